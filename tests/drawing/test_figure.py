import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.figure import Figure

from encoding.core.errors import DataError
from encoding.drawing.dimensions import draw_similarity
from encoding.drawing.figure import save_figure, text_width, write_atomically


@pytest.mark.parametrize("kind", ["png", "svg", "pdf"])
def test_equal_figures_give_equal_bytes(kind, table, tmp_path):
    for name in ("a", "b"):
        figure = draw_similarity(np.arange(4) / 4, np.arange(4) / 5, title="T")
        save_figure(figure, tmp_path / name / f"figure.{kind}", dpi=60)
    one, other = ((tmp_path / name / f"figure.{kind}").read_bytes() for name in ("a", "b"))
    assert one == other
    assert b"Matplotlib v" not in one
    assert sorted(path.name for path in (tmp_path / "a").iterdir()) == [f"figure.{kind}"]


def test_text_stays_text_in_svg(table, tmp_path):
    figure = draw_similarity(np.arange(4) / 4, np.arange(4) / 5)
    assert "predicted similarity" in save_figure(figure, tmp_path / "f.svg").read_text()


def test_look_does_not_depend_on_the_users_settings(table, tmp_path):
    def draw(name):
        figure = draw_similarity(np.arange(4) / 4, np.arange(4) / 5)
        return save_figure(figure, tmp_path / name, dpi=60).read_bytes()

    plain = draw("a.png")
    with mpl.rc_context({"font.size": 20, "axes.facecolor": "red", "xtick.labelsize": 30, "text.color": "pink"}):
        assert draw("b.png") == plain


def test_a_failed_write_leaves_nothing_and_keeps_what_was_there(tmp_path):
    target = tmp_path / "figure.png"
    target.write_bytes(b"old")

    def fail(file):
        file.write(b"half")
        raise RuntimeError("disk")

    with pytest.raises(RuntimeError, match="disk"):
        write_atomically(target, fail)
    assert target.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [target]


def test_unknown_formats_are_refused(tmp_path):
    with pytest.raises(DataError, match=r"'f.bmp': suffix '.bmp' is not one of"):
        save_figure(Figure(), tmp_path / "f.bmp")


def test_text_is_measured_in_inches():
    assert text_width("", 8) == 0
    np.testing.assert_allclose(text_width("mm", 16), 2 * text_width("mm", 8), rtol=0.02)
    assert text_width("m", 8, bold=True) > text_width("m", 8)

"""Low-level vision of small clips, against what was drawn into them."""

import numpy as np
import pytest

from encoding.embedding import LowLevelVision, SourceContext, measure_vision
from encoding.io.luminance import lightness

from .test_motion_energy import EDGE, write_clip

av = pytest.importorskip("av", reason="videos are decoded with PyAV (extras motion and collect)")


def stripes(width, contrast=100):
    """Vertical stripes about middle grey."""
    x = np.arange(EDGE) // width % 2
    return lambda _: np.broadcast_to(128 + contrast * (2 * x - 1), (EDGE, EDGE))


def test_every_measure_answers_to_what_it_measures(tmp_path):
    folder = tmp_path / "stimuli"
    folder.mkdir()
    write_clip(folder / "grey.mkv", lambda _: np.full((EDGE, EDGE), 60), frames=30)
    write_clip(folder / "faint.mkv", stripes(8, 20), frames=30)
    write_clip(folder / "coarse.mkv", stripes(8), frames=30)
    write_clip(folder / "fine.mkv", stripes(2), frames=30)
    write_clip(folder / "flicker.mkv", lambda t: np.full((EDGE, EDGE), 60 + 120 * (t > 1)), frames=30)
    source = LowLevelVision("low", pattern="*.mkv")
    source.check(tmp_path)
    space = source.make_space(SourceContext(tmp_path, tmp_path / "kept"))
    assert space.features == ("low_luminance", "low_contrast", "low_edges", "low_change")
    value = dict(zip(space.samples.stimulus.tolist(), space.values, strict=True))
    grey = lightness(np.full((1, 3), 60, np.uint8)).item()
    np.testing.assert_allclose(value["grey"], [grey, 0, 0, 0], atol=0.5)
    assert value["coarse"][1] > 3 * value["faint"][1] > 1
    assert value["fine"][2] > 2 * value["coarse"][2]
    assert value["flicker"][3] > 1 > value["fine"][3]


def test_clips_are_measured_once(tmp_path, monkeypatch):
    clip = write_clip(tmp_path / "a.mkv", stripes(4))
    first = measure_vision([clip], tmp_path / "kept")
    monkeypatch.setattr("encoding.embedding.vision.read_luminance", None)
    again = clip.rename(tmp_path / "b.mkv")  # kept by content
    np.testing.assert_array_equal(measure_vision([again], tmp_path / "kept"), first)

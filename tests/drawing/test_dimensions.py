"""Pictures of embeddings show what they are given."""

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from encoding.core import DataError
from encoding.drawing.dimensions import (
    CATEGORY_COLORS,
    draw_contact_sheet,
    draw_correlations,
    draw_map,
    draw_path,
    draw_quality,
    draw_reproducibility,
)


def texts(figure):
    return [
        text.get_text()
        for axes in figure.axes
        for text in [*axes.texts, *axes.get_xticklabels(), *axes.get_yticklabels()]
    ]


def test_path_marks_what_was_chosen():
    table = pd.DataFrame(
        {
            "lambda": [0.01, 0.02, 0.04],
            "loss": [0.9, 0.8, 0.85],
            "train_loss": [0.6, 0.7, 0.8],
            "n_dims": [40, 12, 9],
            "chosen": [False, True, False],
        }
    )
    figure = draw_path(table, title="Path")
    assert "12 dimensions" in texts(figure)
    assert "0.02" in texts(figure)
    left = figure.axes[0]
    assert left.lines[0].get_ydata().tolist() == [0.6, 0.7, 0.8]
    assert left.lines[1].get_ydata().tolist() == [0.9, 0.8, 0.85]


def test_unreliable_dimensions_have_another_colour():
    table = pd.DataFrame(
        {
            "dimension": [1, 2],
            "reproducibility": [0.95, 0.4],
            "low": [0.9, 0.1],
            "high": [0.97, 0.7],
            "item_split": [0.94, 0.3],
            "triplet_split": [np.nan, np.nan],
            "reliable": [True, False],
        }
    )
    axes = draw_reproducibility(table, threshold=0.8).axes[0]
    colors = axes.collections[1].get_facecolors()
    assert not np.array_equal(colors[0], colors[1])
    assert len(axes.get_legend().get_texts()) == 2  # halves of the judgments were not fitted


def test_ratings_are_ordered_along_the_diagonal():
    values = np.array([[0.0, 0.9, 0.1], [0.0, 0.2, -0.8], [0.5, 0.0, 0.0]])
    figure = draw_correlations(values, ["d1", "d2", "d3"], ["joy", "awe", "safety"], significant=np.abs(values) > 0.4)
    axes = figure.axes[0]
    assert [label.get_text() for label in axes.get_xticklabels()] == ["awe", "safety", "joy"]
    assert np.allclose(axes.images[0].get_array(), values[:, [1, 2, 0]])
    assert axes.images[0].norm.vmin == -0.9
    assert axes.images[0].norm.vmax == 0.9
    assert len(axes.collections[0].get_offsets()) == 3


def test_large_groups_are_named_on_the_map_and_small_ones_grey():
    rng = np.random.default_rng(0)
    groups = [f"g{k:02d}" for k in range(15) for _ in range(20 - k)] + [""] * 5
    figure = draw_map(rng.random((len(groups), 2)), groups)
    axes = figure.axes[0]
    assert len(axes.texts) == len(CATEGORY_COLORS)
    assert len(axes.collections[0].get_offsets()) == 5 + 8 + 7 + 6
    assert sum(len(part.get_offsets()) for part in axes.collections) == len(groups)


def test_quality_says_how_many_dimensions_it_takes():
    calibration = pd.DataFrame({"predicted": [0.1, 0.5], "observed": [0.2, 0.5], "n": [10, 20]})
    kept = pd.DataFrame({"n_kept": [0, 1, 2, 3], "accuracy": [0.33, 0.5, 0.6, 0.61], "share": [0, 0.6, 0.96, 1.0]})
    figure = draw_quality(calibration, kept, np.array([[1, 2], [1, 3], [2, 3]]))
    assert "95% of all above chance: 2\n99% of all above chance: 3" in texts(figure)
    legend = [text.get_text() for text in figure.axes[2].get_legend().get_texts()]
    assert legend == ["95%: median 1", "99%: median 3"]


def test_contact_sheet_shows_pictures_in_order(tmp_path):
    for name, color in (("red", (255, 0, 0)), ("green", (0, 255, 0))):
        Image.new("RGB", (300, 200), color).save(tmp_path / f"{name}.png")
    frames = {name: tmp_path / f"{name}.png" for name in ("red", "green")}
    path = draw_contact_sheet(["green", "red", "unknown"], [2.0, 1.0, 0.0], frames, tmp_path / "sheet.jpg", n_columns=2)
    with Image.open(path) as sheet:
        assert sheet.size == (2 * 174, 2 * 136)
        assert sheet.getpixel((84, 56)) == pytest.approx((0, 255, 0), abs=3)
        assert sheet.getpixel((174 + 84, 56)) == pytest.approx((255, 0, 0), abs=3)
        assert sheet.getpixel((84, 136 + 56)) == pytest.approx((0xD5, 0xD9, 0xDE), abs=3)
        assert sheet.crop((0, 112, 174, 136)).convert("L").getextrema()[0] < 100  # a name is written
    (tmp_path / "broken.png").write_text("no picture")
    with pytest.raises(DataError, match=r"broken.png: cannot be read as a picture"):
        draw_contact_sheet(["x"], [1.0], {"x": tmp_path / "broken.png"}, tmp_path / "y.png")

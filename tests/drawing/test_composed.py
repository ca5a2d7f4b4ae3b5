"""Pixels that are composed are those that matplotlib draws of the same blocks."""

import io

import matplotlib as mpl
import numpy as np
import pytest
from PIL import Image
from scipy.ndimage import maximum_filter, minimum_filter

from encoding.core import Grid, Targets
from encoding.drawing.composed import compose, to_png
from encoding.drawing.figure import LOOK, render
from encoding.drawing.mesh import HEMISPHERES, load_mesh
from encoding.drawing.panels import Drawn, Painting
from encoding.drawing.scales import ColorScale, WinnerScale
from encoding.mapping import Maps, canvas_of, find_surfaces

DPI = 120
SCALE = ColorScale(0.0, 0.4, "inferno", "Pearson r, held out", 0.1)


@pytest.fixture(scope="module")
def canvas():
    """Fsaverage5 with one outlined region, and its coordinates."""
    side = np.repeat(["CORTEX_LEFT", "CORTEX_RIGHT"], 10242)
    sizes = {"CORTEX_LEFT": 10242, "CORTEX_RIGHT": 10242}
    targets = Targets("vertex", "fsaverage5", np.tile(np.arange(10242), 2), side, n_vertices=sizes)
    points = np.concatenate([load_mesh("inflated", hemi).coordinates for hemi in HEMISPHERES])
    settings = Maps(dpi=DPI, views=("lateral", "medial"))
    outlines = {"front": points[:, 1] > 50}
    return canvas_of(targets, None, find_surfaces(settings, targets, "01"), settings, outlines), points


def drawn(figure, dpi=DPI):
    target = io.BytesIO()
    render(figure, target, "png", dpi=dpi)
    return np.asarray(Image.open(target).convert("RGB"))


def far(one, other):
    """Share of blocks of 4 x 4 pixels that differ by more than 30 of 255: edges may fall half a pixel apart.

    Lower edges are aligned: matplotlib leaves out the row of pixels that is only partly in the figure.
    """
    rows, columns = (4 * (min(sides) // 4) for sides in zip(one.shape[:2], other.shape[:2], strict=True))
    coarse = [
        part[len(part) - rows :, :columns].astype(float).reshape(rows // 4, 4, columns // 4, 4, 3).mean(axis=(1, 3))
        for part in (one, other)
    ]
    return float(np.mean(np.abs(coarse[0] - coarse[1]).max(axis=2) > 30))


def test_surfaces_are_those_of_matplotlib(canvas):
    canvas, points = canvas
    values = 0.4 * np.exp(-((points - [-40, 20, 10]) ** 2).sum(axis=1) / 2000)
    values[:300] = np.nan
    winner = np.where(points[:, 2] > 0, 0, -2)
    scale = WinnerScale(("words", "pictures"), ("#0072B2", "#D55E00"), 0.1, 1e-6, "U")
    ones = np.ones(len(points))
    for made in (
        canvas.accuracy(values, SCALE, "sub-01: one\nsecond line", values > 0.1),
        canvas.accuracy(values, SCALE, "another title"),
        canvas.winner(winner, 0.05 * ones, ones, scale, "best"),
    ):
        pixels, figure = made.pixels(DPI), drawn(made.figure)
        assert np.abs(np.subtract(pixels.shape, figure.shape)).max() <= 1
        assert far(pixels, figure) < 0.01
        assert far(pixels, 255 * np.ones_like(figure)) > 0.2  # brains are there at all
        assert np.array_equal(pixels, made.pixels(DPI))  # what is kept is not painted over


def test_what_is_shared_is_not_what_differs(canvas):
    canvas, points = canvas
    values = np.full(len(points), 0.2)
    wide = ColorScale(0.0, 0.8, "inferno", "Pearson r, held out")
    first, second = (canvas.accuracy(values, scale, "t").pixels(DPI) for scale in (SCALE, wide))
    half = first.shape[0] * 2 // 3
    assert not np.array_equal(first[half:], second[half:])  # each has the colour bar of its own scale
    assert far(second, drawn(canvas.accuracy(values, wide, "t").figure)) < 0.01


def test_slices_are_those_of_matplotlib():
    affine = np.diag([4.0, 4.0, 4.0, 1.0])
    affine[:3, 3] = -40, -40, -30
    shape = (20, 20, 15)
    targets = Targets("voxel", "T1w", np.arange(6000), np.full(6000, ""), Grid(shape, affine))
    values = np.random.default_rng(0).uniform(0, 0.4, 6000)
    inside = np.zeros(shape, bool)
    inside[3:7, 5:9, 4:8] = True
    settings = Maps(dpi=DPI, slices=6)
    canvas = canvas_of(targets, None, find_surfaces(settings, targets, "01"), settings, {"nucleus": inside.ravel()})
    made = canvas.accuracy(values, SCALE, "t")
    pixels, figure = made.pixels(DPI), drawn(made.figure)
    assert far(pixels, figure) < 0.05  # edges of voxels may fall a pixel apart
    rows = min(len(pixels), len(figure))
    pixels, figure = (one[len(one) - rows :].astype(int) for one in (pixels, figure))
    inner = (maximum_filter(figure, (5, 5, 1)) == minimum_filter(figure, (5, 5, 1))).all(axis=2)
    inner &= (figure < 250).any(axis=2)  # inside of voxels there is no difference
    assert inner.sum() > 100_000
    assert np.mean(np.abs(pixels - figure)[inner].max(axis=1) <= 2) > 0.995
    named = [axes for axes in made.figure.axes if any(text.get_text() == "nucleus" for text in axes.texts)]
    assert named
    for axes in named:  # the outline lies where the region does
        lines = np.concatenate([np.concatenate(one.get_segments()) for one in axes.collections[1:]])
        corner = {"axial": (-30, -22), "coronal": (-30, -16), "sagittal": (-22, -16)}[axes.get_label().split()[0]]
        assert lines.min(axis=0) == pytest.approx(corner)
        assert np.ptp(lines, axis=0) == pytest.approx((16, 16))


def test_paintings_are_cut_at_the_edge_and_bytes_are_equal():
    red = np.zeros((40, 40, 3), np.uint8)
    red[..., 0] = 255
    block = Drawn(1.0, 0.5, lambda *_: None, (Painting(0.0, 0.25, lambda _: red),))
    with mpl.rc_context(LOOK):
        pixels = compose([block], width=1.0, dpi=50)
    assert (pixels[..., 1] == 0).sum() == 20 * min(40, pixels.shape[0])
    png = to_png(pixels, dpi=50, text={"Inputs": "key"})
    assert png == to_png(pixels, dpi=50, text={"Inputs": "key"})
    with Image.open(io.BytesIO(png)) as image:
        assert image.info["Inputs"] == "key"
        assert round(image.info["dpi"][0]) == 50
        assert np.array_equal(np.asarray(image), pixels)

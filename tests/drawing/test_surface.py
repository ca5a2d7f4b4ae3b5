import subprocess
import sys

import numpy as np
import pytest
from matplotlib.colors import to_rgb

from encoding.core.errors import DataError
from encoding.drawing.mesh import HEMISPHERES, N_VERTICES, load_mesh
from encoding.drawing.outlines import trace
from encoding.drawing.raster import pixel_table, view_axes
from encoding.drawing.scales import ColorScale, WinnerScale
from encoding.drawing.surface import draw_surface, draw_winner, vote

from .conftest import axes_of, half, pixels_of

SCALE = ColorScale(0.0, 1.0, "viridis", "Pearson r, held-out runs")


def painted(figure, label):
    """The picture inside a panel, and a function from mm to its pixel."""
    axes = axes_of(figure, label)
    (image,) = axes.images
    left, _, _, top = image.get_extent()
    array = np.asarray(image.get_array()) / 255
    return lambda x, y: array[int(top - y), int(x - left)]


def is_colored(rgb):
    return np.ptp(rgb) > 0.1


@pytest.mark.parametrize("hemisphere", HEMISPHERES)
@pytest.mark.parametrize("view", ["lateral", "medial", "ventral"])
def test_color_at_a_vertex_is_that_of_its_value(hemisphere, view, height, coarse):
    figure = draw_surface(height, SCALE, views=(view,), style=coarse)
    color_at = painted(figure, f"{hemisphere} {view}")
    right, up, towards = view_axes(hemisphere, view)
    mesh, values = load_mesh("inflated", hemisphere), height[half(hemisphere)]
    facing = np.flatnonzero((mesh.normals @ towards > 0.95) & (values > 0.15))
    nearest = facing[np.argsort(mesh.coordinates[facing] @ towards)[-40:]]
    for vertex in nearest:
        seen = color_at(mesh.coordinates[vertex] @ right, mesh.coordinates[vertex] @ up)
        np.testing.assert_allclose(seen, SCALE.rgba(values[[vertex]])[0, :3], atol=0.03)


def test_the_front_of_the_brain_is_at_the_left_in_left_lateral(coarse):
    y = np.concatenate([load_mesh("inflated", side).coordinates[:, 1] for side in HEMISPHERES])
    front = np.where(y > 60, 0.9, -0.5)
    figure = draw_surface(front, SCALE, style=coarse)
    for label, front_is_left in (
        ("left lateral", True),
        ("left medial", False),
        ("right lateral", False),
        ("right medial", True),
    ):
        axes = axes_of(figure, label)
        picture = np.asarray(axes.images[0].get_array()) / 255
        columns = np.flatnonzero((np.ptp(picture, axis=2) > 0.1).any(axis=0))
        assert (columns.mean() < picture.shape[1] / 2) == front_is_left, label


def test_left_and_right_are_not_swapped(coarse):
    only_left = np.zeros(2 * N_VERTICES)
    only_left[:N_VERTICES] = 0.8
    figure = draw_surface(only_left, SCALE, style=coarse)
    for view in ("lateral", "medial"):
        for side, colored in (("left", True), ("right", False)):
            picture = np.asarray(axes_of(figure, f"{side} {view}").images[0].get_array()) / 255
            assert (np.ptp(picture, axis=2) > 0.1).any() == colored
    # ... and the left one is drawn on the left, under its letter.
    left, right = (axes_of(figure, f"{side} lateral").get_position() for side in HEMISPHERES)
    letters = {text.get_text(): text.get_position()[0] for text in figure.texts}
    assert left.x0 < letters["L"] < left.x1 < right.x0 < letters["R"] < right.x1


def test_temporal_pole_is_below_and_vertex_of_the_brain_above(coarse, height):
    figure = draw_surface(np.where(height > 0.7, 0.9, -1), SCALE, style=coarse)
    picture = np.asarray(axes_of(figure, "left lateral").images[0].get_array()) / 255
    assert np.flatnonzero((np.ptp(picture, axis=2) > 0.1).any(axis=1)).max() < picture.shape[0] / 2


def test_threshold_is_an_edge_in_the_space_of_values(coarse, height):
    scale = ColorScale(0.0, 1.0, "viridis", "r", threshold=0.5)
    figure = draw_surface(height, scale, style=coarse)
    image = axes_of(figure, "left lateral").images[0]
    made = pixel_table("inflated", "left", "lateral", px_per_mm=1.0)
    values = made.image(made.interpolate(height[:N_VERTICES]), np.nan)
    picture = np.asarray(image.get_array()) / 255
    above = values >= 0.5
    np.testing.assert_allclose(picture[above], scale.rgba(values[above])[:, :3], atol=0.005)
    just_below = (values < 0.5) & (values > 0.45)
    opaque = scale.rgba(values[just_below])[:, :3]
    assert np.abs(picture[just_below] - opaque).max(axis=1).min() > 0.02


def test_values_at_or_below_0_and_uncovered_vertices_get_no_color(coarse, height):
    values = np.where(height > 0.5, -0.3, np.nan)
    figure = draw_surface(values, SCALE, style=coarse)
    for label in ("left lateral", "right medial"):
        picture = np.asarray(axes_of(figure, label).images[0].get_array()) / 255
        assert np.ptp(picture, axis=2).max() < 0.02
        made = pixel_table("inflated", *label.split(), px_per_mm=1.0)
        uncovered = np.isnan(made.interpolate(values[half(label.split()[0])]))
        tones = set(np.unique(picture[..., 0].ravel()[made.pixel[uncovered]]).round(2))
        assert tones == {0.84, 0.95}  # stripes


def test_figure_says_what_it_shows(coarse, height):
    values = height.copy()
    values[:42] = np.nan
    scale = ColorScale(0.0, 0.8, "inferno", "Pearson r, runs 7-8", threshold=0.1)
    figure = draw_surface(values, scale, title="categories", subtitle="sub-01", style=coarse)
    texts = {text.get_text() for text in figure.findobj(lambda artist: hasattr(artist, "get_text"))}
    assert {"categories", "sub-01", "L", "R", "lateral", "medial", "Pearson r, runs 7-8", "threshold 0.1"} <= texts
    assert any("20,442 vertices (L 10,200, R 10,242)" in text for text in texts)
    assert "not covered" in texts


def test_arrow_of_the_color_bar_appears_only_where_data_go_on(coarse, height):
    def n_arrows(vmin, vmax):
        figure = draw_surface(height - 0.5, ColorScale(vmin, vmax, "RdBu_r", "bar"), style=coarse)
        bar = next(axes for axes in figure.axes if axes.get_title() == "bar")
        return len(bar.patches)

    assert [n_arrows(-0.6, 0.6), n_arrows(-0.6, 0.3), n_arrows(-0.3, 0.3), n_arrows(0, 0.3)] == [0, 1, 2, 1]


def test_color_bar_shows_the_colors_of_the_scale(coarse, height):
    figure = draw_surface(height, SCALE, style=coarse)
    bar = next(axes for axes in figure.axes if axes.get_title() == SCALE.label)
    picture = np.asarray(bar.images[0].get_array())
    np.testing.assert_allclose(picture[0, -1], SCALE.rgba(np.array([1.0]))[0, :3])
    assert np.ptp(picture[0, 0]) < 1e-6  # 0 is as grey as brain without data


@pytest.mark.parametrize("radius", [12.0, 25.0])
def test_outline_encloses_the_area_of_its_vertices(radius):
    mesh = load_mesh("inflated", "left")
    centre = mesh.coordinates[mesh.coordinates[:, 0].argmin()]
    mask = np.linalg.norm(mesh.coordinates - centre, axis=1) < radius
    made = pixel_table("inflated", "left", "lateral", px_per_mm=2.0)
    outline = trace(made, mesh, mask, "circle")
    (line,) = outline.lines
    x, y = line.T
    enclosed = abs(np.sum(x[:-1] * y[1:] - x[1:] * y[:-1])) / 2
    assert enclosed == pytest.approx((made.interpolate(mask.astype(float)) > 0.5).sum() / 4, rel=0.08)
    np.testing.assert_allclose(line.mean(axis=0), [-centre[1], centre[2]], atol=2)


def test_outlines_are_named_where_they_are_seen(coarse):
    coordinates = np.concatenate([load_mesh("inflated", side).coordinates for side in HEMISPHERES])
    lateral = (np.concatenate([-coordinates[:N_VERTICES, 0], coordinates[N_VERTICES:, 0]]) > 25) & (
        np.abs(coordinates[:, 1]) < 15
    )
    figure = draw_surface(np.zeros(2 * N_VERTICES), SCALE, outlines={"patch": lateral}, style=coarse)
    for side in HEMISPHERES:
        shown = {
            view: [t.get_text() for t in axes_of(figure, f"{side} {view}").texts] for view in ("lateral", "medial")
        }
        assert "patch" in shown["lateral"]
        assert "patch" not in shown["medial"]
    bare = draw_surface(
        np.zeros(2 * N_VERTICES), SCALE, outlines={"patch": lateral}, outline_labels=False, style=coarse
    )
    assert "patch" not in [t.get_text() for t in axes_of(bare, "left lateral").texts]
    assert axes_of(bare, "left lateral").collections


def test_winner_map_has_the_color_of_the_winner(coarse):
    scale = WinnerScale(("a", "b"), ("#0072B2", "#D55E00"), margin=0.1, threshold=0.1)
    winner = np.repeat([0, 1], N_VERTICES)
    flat = np.full(2 * N_VERTICES, 0.3)
    figure = draw_winner(winner, flat, flat, scale, title="Best\nsub-01", style=coarse)
    for side, color in (("left", "#0072B2"), ("right", "#D55E00")):
        picture = np.asarray(axes_of(figure, f"{side} lateral").images[0].get_array())
        np.testing.assert_allclose(picture[80, 100] / 255, to_rgb(color), atol=0.01)
    texts = {text.get_text() for axes in figure.axes for text in axes.texts} | {t.get_text() for t in figure.texts}
    assert {"a", "b", "Best", "sub-01"} <= texts


def test_winner_is_voted_by_weight_and_none_stays_none():
    made = pixel_table("inflated", "left", "lateral", px_per_mm=1.0)
    labels = np.random.default_rng(0).integers(-1, 3, N_VERTICES)
    seen = vote(made, labels, 3)
    clear = made.weight.max(axis=1) > 0.5
    own = labels[made.vertex[np.arange(len(seen)), made.weight.argmax(axis=1)]]
    np.testing.assert_array_equal(seen[clear], own[clear])


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (np.zeros(10242), r"Map 'm': shape \(10242,\), but fsaverage5 has \(20484,\)"),
        (np.zeros((2, 20484)), r"shape \(2, 20484\)"),
    ],
)
def test_wrong_number_of_vertices_is_named(values, message):
    with pytest.raises(DataError, match=message):
        draw_surface(values, SCALE, title="m")


def test_wrong_outline_and_winner_index_are_named(coarse):
    with pytest.raises(DataError, match=r"Outline 'V1': shape \(5,\)"):
        draw_surface(np.zeros(2 * N_VERTICES), SCALE, outlines={"V1": np.ones(5)}, style=coarse)
    scale = WinnerScale(("a",), ("#0072B2",), margin=0.1, threshold=0.1)
    flat = np.zeros(2 * N_VERTICES)
    with pytest.raises(DataError, match="indices reach from 0 to 1, but there are 1 names"):
        draw_winner(np.repeat([0, 1], N_VERTICES), flat, flat, scale)


def test_all_panels_share_one_scale_and_nothing_is_cut(coarse, height):
    figure = draw_surface(height, SCALE, views=("lateral", "medial", "ventral", "dorsal"), style=coarse)
    width, tall = figure.get_size_inches()
    panels = [axes for axes in figure.axes if axes.get_label().split(" ")[0] in HEMISPHERES]
    assert len(panels) == 8
    for axes in panels:
        box = axes.get_position()
        assert np.ptp(axes.get_xlim()) / (box.width * width) == pytest.approx(
            np.ptp(axes.get_ylim()) / (box.height * tall), rel=1e-6
        )
    picture = pixels_of(figure)
    edge = np.concatenate([picture[0], picture[-1], picture[:, 0], picture[:, -1]])
    assert (edge == 1).all()


def test_drawing_loads_neither_pyplot_nor_nilearn():
    code = (
        "import sys, encoding.drawing.surface, encoding.drawing.volume, encoding.drawing.charts;"
        "import encoding.drawing.report; from encoding.drawing.mesh import load_mesh; load_mesh('inflated', 'left');"
        "assert not {'matplotlib.pyplot', 'nilearn'} & set(sys.modules), 'loaded'"
    )
    subprocess.run([sys.executable, "-W", "ignore", "-c", code], check=True, timeout=60)

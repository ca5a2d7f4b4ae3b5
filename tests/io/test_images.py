"""Runs come in and maps go out with every value in its place."""

import json

import nibabel as nib
import numpy as np
import pytest
from factories import AFFINE, brain_models, write_bold, write_dtseries, write_gifti, write_hemispheres, write_study

from encoding.core import AlignmentError, ConfigError, DataError, Grid, Targets
from encoding.io.images.cifti import targets_of_axis
from encoding.io.images.formats import entity_label, map_name, read_run, surface_of, volume_of, write_map
from encoding.io.images.volumes import read_mask, read_voxels, varying_voxels, voxel_targets

RNG = np.random.default_rng(0)
SHAPE = (3, 4, 2)
GRID = Grid(SHAPE, AFFINE)
VALUES = RNG.standard_normal((7, 40)).astype(np.float32)


def voxels(index):
    mask = np.zeros(24, bool)
    mask[index] = True
    return voxel_targets(mask.reshape(SHAPE), GRID, "T1w", "2")


@pytest.mark.parametrize("extension", ["nii", "nii.gz"])
@pytest.mark.parametrize("chunk", [1, 1 << 26])
def test_voxels_are_read_in_order_whatever_the_chunk(tmp_path, monkeypatch, extension, chunk):
    monkeypatch.setattr("encoding.io.images.volumes.CHUNK_BYTES", chunk)
    path = tmp_path / f"x.{extension}"
    write_bold(path, VALUES, SHAPE, 2.5)
    index = [0, 5, 6, 23]
    image = read_run("volume", (path,), voxels(index))
    np.testing.assert_array_equal(image.values, VALUES[:, index])
    assert image.t_r == 2.5
    np.testing.assert_array_equal(read_voxels(path, voxels(index), slice(2, 5)), VALUES[2:5, index])


def test_milliseconds_in_a_header_are_understood(tmp_path):
    write_bold(tmp_path / "x.nii", VALUES, SHAPE, 2.5)
    image = nib.load(tmp_path / "x.nii")
    image.header.set_xyzt_units("mm", "msec")
    image.header.set_zooms((3, 3, 3, 800))
    nib.save(image, tmp_path / "y.nii")
    assert read_run("volume", (tmp_path / "y.nii",), voxels([0])).t_r == pytest.approx(0.8)


def test_hemispheres_are_read_left_then_right(tmp_path):
    write_hemispheres(tmp_path, "r", VALUES, (10, 12), 2.0)
    paths = tuple(tmp_path / f"r_hemi-{hemi}_space-fsaverage5_bold.func.gii" for hemi in "LR")
    image = read_run("surface", paths, None, space="fsaverage5")
    np.testing.assert_array_equal(image.values, VALUES[:, :22])
    assert image.targets.n_vertices == {"CORTEX_LEFT": 10, "CORTEX_RIGHT": 12}
    assert image.targets.hemi.tolist() == ["L"] * 10 + ["R"] * 12
    assert image.targets.index[10] == 0
    assert image.t_r == 2.0


@pytest.mark.parametrize(("written", "t_r"), [("800", 0.8), ("0.8", 0.8), (None, None)])
def test_gifti_steps_may_be_milliseconds(tmp_path, written, t_r):
    for hemi, structure in zip("LR", ("CortexLeft", "CortexRight"), strict=True):
        write_gifti(tmp_path / f"{hemi}.func.gii", VALUES if hemi == "L" else -VALUES, structure, written)
    paths = tuple(tmp_path / f"{hemi}.func.gii" for hemi in "LR")
    assert read_run("surface", paths, None).t_r == t_r


def test_swapped_hemispheres_are_noticed(tmp_path):
    write_hemispheres(tmp_path, "r", VALUES, (10, 12), 2.0)
    paths = tuple(tmp_path / f"r_hemi-{hemi}_space-fsaverage5_bold.func.gii" for hemi in "RL")
    with pytest.raises(DataError, match="says CortexRight, but it stands where CortexLeft"):
        read_run("surface", paths, None)


def test_hemispheres_of_different_length_are_refused(tmp_path):
    write_gifti(tmp_path / "L.func.gii", VALUES, "CortexLeft")
    write_gifti(tmp_path / "R.func.gii", VALUES[1:], "CortexRight")
    with pytest.raises(DataError, match=r"L\.func\.gii has 7 volumes, but R\.func\.gii has 6"):
        read_run("surface", (tmp_path / "L.func.gii", tmp_path / "R.func.gii"), None)


def test_grayordinates_keep_structures_and_places(tmp_path):
    path = tmp_path / "x.dtseries.nii"
    write_dtseries(path, VALUES, 0.8)
    image = read_run("cifti", (path,), None, space="fsLR", density="91k")
    np.testing.assert_array_equal(image.values, VALUES[:, :30])
    assert image.t_r == pytest.approx(0.8)
    targets = image.targets
    assert dict(zip(*np.unique(targets.structure, return_counts=True), strict=True)) == {
        "AMYGDALA_LEFT": 8,
        "CORTEX_LEFT": 12,
        "CORTEX_RIGHT": 10,
    }
    assert targets.index[12:22].tolist() == list(range(4, 14))
    assert targets.index[22] == np.ravel_multi_index((1, 1, 1), (5, 5, 5))
    assert targets.n_vertices == {"CORTEX_LEFT": 14, "CORTEX_RIGHT": 14}


def test_runs_with_other_targets_are_refused(tmp_path):
    write_dtseries(tmp_path / "x.dtseries.nii", VALUES, 2.0)
    other = targets_of_axis(brain_models()[:22], "fsLR")
    with pytest.raises(AlignmentError, match="are not the Targets"):
        read_run("cifti", (tmp_path / "x.dtseries.nii",), other)
    write_bold(tmp_path / "x.nii.gz", VALUES, (4, 3, 2), 2.0)
    with pytest.raises(AlignmentError, match=r"grid \(4, 3, 2\) differs"):
        read_run("volume", (tmp_path / "x.nii.gz",), voxels([0]))
    write_bold(tmp_path / "y.nii.gz", VALUES, SHAPE, 2.0, affine=np.diag([2.0, 3, 3, 1]))
    with pytest.raises(AlignmentError, match="differs in shape or affine"):
        read_run("volume", (tmp_path / "y.nii.gz",), voxels([0]))


@pytest.mark.parametrize("kind", ["volume", "surface", "cifti"])
@pytest.mark.parametrize("keep", [0.0, 0.3, 0.9])
def test_truncated_files_are_named(tmp_path, kind, keep):
    study = write_study(tmp_path, kinds=(kind,), n_scans=20)
    pattern = {"volume": "*run-2*bold.nii.gz", "surface": "*run-2_hemi-R*.gii", "cifti": "*run-2*.dtseries.nii"}[kind]
    path = study.find(pattern)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(keep * len(whole))])
    bold = (study.find("*run-2_hemi-L*.gii"), path) if kind == "surface" else (path,)
    targets = voxel_targets(np.ones((6, 5, 4), bool), Grid((6, 5, 4), AFFINE), "T1w") if kind == "volume" else None
    with pytest.raises(DataError, match=f"{path.name}: cannot be read.*truncated or damaged"):
        read_run(kind, bold, targets)


@pytest.mark.parametrize("extension", ["nii", "nii.gz"])
def test_a_volume_without_its_last_bytes_is_named(tmp_path, extension):
    path = tmp_path / f"x.{extension}"
    write_bold(path, VALUES, SHAPE, 2.0)
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(DataError, match="cannot be read"):
        read_run("volume", (path,), voxels([0, 23]))


def test_files_of_another_kind_are_refused(tmp_path):
    text = tmp_path / "x.nii.gz"
    text.write_text("not an image")
    with pytest.raises(DataError, match="cannot be read"):
        read_mask(text)
    write_dtseries(tmp_path / "x.dtseries.nii", VALUES, 2.0)
    with pytest.raises(DataError, match="3-D or 4-D NIfTI"):
        read_mask(tmp_path / "x.dtseries.nii")
    write_bold(tmp_path / "y.nii.gz", VALUES, SHAPE, 2.0)
    with pytest.raises(DataError, match="a mask must have three dimensions"):
        read_mask(tmp_path / "y.nii.gz")
    with pytest.raises(DataError, match="a CIFTI-2 image"):
        read_run("cifti", (tmp_path / "y.nii.gz",), None)


def test_varying_voxels_are_finite_and_not_constant(tmp_path):
    values = VALUES.copy()
    values[:, 3] = 5
    values[2, 4] = np.nan
    write_bold(tmp_path / "x.nii", values, SHAPE, 2.0)
    mask, grid = varying_voxels(tmp_path / "x.nii")
    assert np.flatnonzero(~mask).tolist() == [3, 4]
    assert grid.same_as(GRID)


ENTITIES = {"sub": "01", "task": "video", "model": "my_model", "stat": "r", "empty": ""}


def test_a_volume_map_is_whole_and_can_be_read_back(tmp_path):
    targets = voxels([2, 7, 20])
    (path,) = write_map(tmp_path / "new", ENTITIES, [0.5, np.nan, -1], targets, {"Model": "my_model"})
    assert path.name == "sub-01_task-video_space-T1w_res-2_model-mymodel_stat-r_statmap.nii.gz"
    image = nib.load(path)
    data = image.get_fdata()
    assert data.shape == SHAPE
    np.testing.assert_array_equal(np.isfinite(data).ravel().nonzero()[0], [2, 20])
    assert data.ravel()[20] == -1
    np.testing.assert_allclose(image.affine, AFFINE)
    np.testing.assert_array_equal(volume_of([0.5, np.nan, -1], targets)[0], data.astype(np.float32))
    assert json.loads(path.with_name(path.name.replace(".nii.gz", ".json")).read_text()) == {"Model": "my_model"}
    assert not list(path.parent.glob(".*"))


def test_a_surface_map_is_a_pair_of_whole_hemispheres(tmp_path):
    sides = {"CORTEX_LEFT": 4, "CORTEX_RIGHT": 5}
    targets = Targets("vertex", "fsaverage5", [1, 3, 0], ["CORTEX_LEFT"] * 2 + ["CORTEX_RIGHT"], n_vertices=sides)
    left, right = write_map(tmp_path, ENTITIES, [1, 2, 3], targets)
    assert left.name == "sub-01_task-video_hemi-L_space-fsaverage5_model-mymodel_stat-r_statmap.shape.gii"
    data = [nib.load(path).darrays[0].data for path in (left, right)]
    np.testing.assert_array_equal(data[0], np.float32([np.nan, 1, np.nan, 2]))
    np.testing.assert_array_equal(data[1], np.float32([3, *[np.nan] * 4]))
    np.testing.assert_array_equal(surface_of([1, 2, 3], targets), np.concatenate(data))
    assert nib.load(right).meta["AnatomicalStructurePrimary"] == "CortexRight"


def test_a_cifti_map_has_the_axis_it_was_read_with(tmp_path):
    targets = targets_of_axis(brain_models(), "fsLR", "91k")
    values = np.arange(30.0)
    (path,) = write_map(tmp_path, ENTITIES, values, targets)
    assert path.name == "sub-01_task-video_space-fsLR_den-91k_model-mymodel_stat-r_statmap.dscalar.nii"
    image = nib.load(path)
    np.testing.assert_array_equal(image.get_fdata(), values[None])
    assert image.header.get_axis(1) == brain_models()
    assert targets_of_axis(image.header.get_axis(1), "fsLR", "91k").same_as(targets)
    cortex = surface_of(values, targets)
    assert cortex.shape == (28,)
    assert np.isnan(cortex[12:18]).all()
    assert volume_of(values, targets)[0][1, 1, 1] == 22
    assert np.isfinite(volume_of(values, targets)[0]).sum() == 8


def test_table_columns_are_written_as_a_table(tmp_path):
    (path,) = write_map(tmp_path, ENTITIES, [1.5, np.nan], Targets.of_columns(["a", "b"]))
    assert path.read_text() == "target\tvalue\na\t1.5\nb\tn/a\n"


def test_what_has_no_such_place_says_so(tmp_path):
    columns = Targets.of_columns(["a"])
    with pytest.raises(AlignmentError, match="no voxel grid"):
        volume_of([1], columns)
    with pytest.raises(AlignmentError, match="no surface CORTEX_LEFT"):
        surface_of([1], columns)
    for function in (volume_of, surface_of):
        with pytest.raises(AlignmentError, match=r"shape \(2,\), one per target"):
            function([1, 2], voxels([0]))
    with pytest.raises(AlignmentError, match="one per target"):
        write_map(tmp_path, ENTITIES, [1, 2], columns)


def test_names_become_labels():
    assert entity_label("mllm_30-d") == "mllm30d"
    with pytest.raises(ConfigError, match="no letter or digit"):
        entity_label("__")
    assert map_name({"stat": "r", "sub": "1"}) == "sub-1_stat-r_statmap"

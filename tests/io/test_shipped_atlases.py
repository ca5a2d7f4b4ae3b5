"""Shipped atlases in every space: the same parcels in the same places, and those of their publishers."""

import importlib.util

import numpy as np
import pytest

from encoding.core.axes import Targets
from encoding.core.errors import DataError
from encoding.io.atlases.catalogue import load_atlas, match_atlas
from encoding.io.atlases.coordinates import centroids, coordinates_of
from encoding.io.atlases.shipped import SHIPPED, shipped_space

VOLUMES = ("MNI152NLin2009cAsym", "MNI152NLin6Asym")


def centres(atlas):
    return centroids(atlas.labels, atlas.index, coordinates_of(atlas.targets))


@pytest.mark.parametrize("space", ["fsaverage5", *VOLUMES])
@pytest.mark.parametrize("n", [100, 400])
def test_parcels_lie_where_their_table_says_in_every_space(n, space):
    atlas = load_atlas(f"Schaefer2018-{n}", space=space)
    assert atlas.targets.space == space
    far = np.linalg.norm(centres(atlas) - atlas.centroids, axis=1)
    assert np.median(far) < 5  # mm; a surface is folded, and its centre lies beside that of the same parcel in a volume
    assert far.max() < 15
    left = np.asarray(atlas.hemi) == "L"
    assert (centres(atlas)[:, 0] < 0).tolist() == left.tolist()
    assert {(roi.set, roi.roi) for roi in atlas.roi_sets} >= {
        ("schaefer_emotion", "mPFC"),
        ("schaefer_networks", "Vis"),
    }


@pytest.mark.parametrize("n", [200])
def test_finer_meshes_have_the_published_labels_and_the_coarse_ones_nearly_so(n):
    fine, six, five = (load_atlas(f"Schaefer2018-{n}", space=s) for s in ("fsaverage", "fsaverage6", "fsaverage5"))
    assert [len(a.labels) // 2 for a in (fine, six, five)] == [163842, 40962, 10242]
    for hemi in range(2):
        whole, part, coarse = (np.split(a.labels, 2)[hemi] for a in (fine, six, five))
        np.testing.assert_array_equal(whole[:40962], part)
        assert np.mean(whole[:10242] == coarse) > {100: 0.95, 200: 0.93, 400: 0.91}[n]
    assert load_atlas(f"Schaefer2018-{n}", space="fsaverage7").targets.space == "fsaverage7"
    assert (set(five.confidence), set(six.confidence)) == ({"moved from fsLR"}, set())


@pytest.mark.skipif(importlib.util.find_spec("brainspace") is None, reason="needs the labels of brainspace")
def test_labels_on_fslr_are_those_of_brainspace():
    spec = importlib.util.find_spec("brainspace")
    path = f"{spec.submodule_search_locations[0]}/datasets/parcellations/schaefer_200_conte69.csv"
    np.testing.assert_array_equal(load_atlas("Schaefer2018-200", space="fsLR").labels, np.loadtxt(path, dtype=int))


@pytest.mark.parametrize("space", ["fsaverage5", "fsLR", VOLUMES[0]])
def test_seventeen_networks_are_the_same_parcels_under_other_names(space):
    seven, more = load_atlas("Schaefer2018-200", space=space), load_atlas("Schaefer2018-200-17n", space=space)
    pairs = np.unique(np.stack([seven.labels, more.labels]), axis=1)
    assert pairs.shape[1] == len(np.unique(seven.labels))
    assert len(set(more.network)) == 17
    assert all(name.startswith("17Networks_") for name in more.region)
    hemis = [dict(zip(a.index.tolist(), a.hemi, strict=True)) for a in (seven, more)]
    assert all(hemis[0].get(a) == hemis[1].get(b) for a, b in pairs.T.tolist())
    # Names tell the same place: visual parcels are visual in both.
    of_7 = dict(zip(seven.index.tolist(), seven.network, strict=True))
    of_17 = dict(zip(more.index.tolist(), more.network, strict=True))
    visual = [(of_7[a] == "Vis", of_17[b].startswith("Vis")) for a, b in pairs.T.tolist() if a]
    assert np.mean([one == other for one, other in visual]) > 0.97
    assert more.roi_sets == ()


@pytest.mark.parametrize("space", VOLUMES)
def test_the_subcortex_lies_where_anatomy_has_it(space):
    atlas = load_atlas("Tian2020-S1", space=space)
    of_name = dict(zip(atlas.region, centres(atlas), strict=True))
    for side, sign in (("rh", 1), ("lh", -1)):
        np.testing.assert_allclose(of_name[f"AMY-{side}"], [24 * sign, -4, -20], atol=3)
        np.testing.assert_allclose(of_name[f"NAc-{side}"], [11 * sign, 12, -7], atol=4)
    assert {(roi.set, roi.roi) for roi in atlas.roi_sets} >= {("horikawa2020_subcortical", "amygdala")}
    fine = load_atlas("Tian2020-S2", space=space)
    sets = {roi.roi: roi.regions for roi in fine.roi_sets}
    assert sets["amygdala"] == ("lAMY-rh", "mAMY-rh", "lAMY-lh", "mAMY-lh")
    assert len(sets["thalamus"]) == 8


def test_the_space_of_the_responses_is_chosen_by_name():
    def of(kind, space):
        return Targets("vertex", space, np.zeros(0, int), np.zeros(0, str)) if kind == "vertex" else gray(space)

    def gray(space):
        grid = load_atlas("Tian2020-S1").targets.grid
        return Targets("grayordinate", space, np.zeros(0, int), np.zeros(0, str), grid)

    assert shipped_space("Schaefer2018-100", of("vertex", "fsaverage6")) == "fsaverage6"
    assert shipped_space("Schaefer2018-100", gray("fsLR")) == "fsLR"
    assert shipped_space("Tian2020-S1", gray("fsLR")) == "MNI152NLin6Asym"
    assert shipped_space("Schaefer2018-100", of("vertex", "fsnative")) is None
    assert shipped_space("nothing", of("vertex", "fsaverage6")) is None
    with pytest.raises(DataError, match=r"Atlas 'Tian2020-S1' is shipped for MNI152NLin6Asym, .* not for 'fsaverage5'"):
        load_atlas("Tian2020-S1", space="fsaverage5")


def test_a_volume_atlas_labels_grayordinates_beside_the_surface():
    atlas = load_atlas("Tian2020-S1")
    structure = np.full(len(atlas.targets), "OTHER")
    targets = Targets("grayordinate", "fsLR", atlas.targets.index, structure, atlas.targets.grid)
    np.testing.assert_array_equal(match_atlas(atlas, targets), atlas.labels)
    assert {about.atlas for about in SHIPPED.values()} == {"Schaefer2018", "Tian2020"}

"""Where volumes are cut: nothing above the line may stay between two slices without a word."""

import nibabel as nib
import numpy as np
import pytest
from scipy import ndimage

from encoding.core.errors import ConfigError
from encoding.drawing.cuts import STRUCTURES, choose_cuts, find_clusters, parse_cut
from encoding.drawing.slices import CUTS, turn_upright

AFFINE = np.diag([3.0, 3.0, 3.0, 1.0])
AFFINE[:3, 3] = -78, -112, -70
SHAPE = (53, 64, 54)


def slab_of(covered, affine=AFFINE):
    return turn_upright({}, covered, affine, "axial", "t")[0]


def map_of(peaks, sigma=1.2):
    """A map with peaks of known heights at known voxels."""
    values = np.zeros(SHAPE)
    for voxel, height in peaks.items():
        one = np.zeros(SHAPE)
        one[voxel] = 1
        blurred = ndimage.gaussian_filter(one, sigma)
        values += height * blurred / blurred.max()
    return values


def test_clusters_have_their_peaks_places_and_extents():
    values = map_of({(10, 20, 30): 0.5, (40, 20, 30): 0.9, (40, 30, 30): 0.7})
    found = find_clusters(values, values > 0.2, AFFINE)
    assert [round(cluster.value, 2) for cluster in found] == [0.9, 0.7, 0.5]
    assert [cluster.peaks[0] for cluster in found] == [(40, 20, 30), (40, 30, 30), (10, 20, 30)]
    np.testing.assert_allclose(found[2].place, nib.affines.apply_affine(AFFINE, (10, 20, 30)))
    for axis in range(3):
        inside = np.argwhere((values > 0.2) & (np.arange(SHAPE[0])[:, None, None] < 25))[:, axis]
        assert found[2].reach[axis] == frozenset(inside.tolist())


def test_two_summits_of_one_cluster_are_two_peaks_if_they_are_apart():
    values = map_of({(20, 20, 20): 0.9, (20, 32, 20): 0.8}, sigma=4.0)
    (one,) = find_clusters(values, values > 0.2, AFFINE)
    assert one.peaks == ((20, 20, 20), (20, 32, 20))
    near = map_of({(20, 20, 20): 0.9, (20, 23, 20): 0.8}, sigma=1.0)
    (one,) = find_clusters(near, near > 0.2, AFFINE)
    assert len(one.peaks) == 1


@pytest.mark.parametrize("seed", range(5))
def test_every_cluster_has_a_slice_through_its_peak_where_slices_suffice(seed):
    rng = np.random.default_rng(seed)
    peaks = {}
    while len(peaks) < 8:
        voxel = tuple(int(rng.integers(5, size - 5)) for size in SHAPE)
        if all(np.linalg.norm(np.subtract(voxel, other)) > 9 for other in peaks):
            peaks[voxel] = rng.uniform(0.4, 0.9)
    values = map_of(peaks, sigma=1.0)
    covered = np.ones(SHAPE, bool)
    clusters = find_clusters(values, values > 0.2, AFFINE)
    assert len(clusters) == 8
    cuts = choose_cuts(slab_of(covered), clusters, 18)
    assert cuts.missed == ()
    assert cuts.warning() == ""
    for voxel in peaks:
        assert any(abs(voxel[CUTS[cut.plane][0]] - cut.index) <= 1 for cut in cuts.cuts), voxel
    assert {cut.plane for cut in cuts.cuts} == set(CUTS)
    assert len(cuts.cuts) == 18


def test_what_is_on_no_slice_is_told_with_the_strongest_first():
    values = map_of({(10, 12, 14): 0.5, (40, 50, 40): 0.9, (26, 32, 27): 0.7}, sigma=0.8)
    clusters = find_clusters(values, values > 0.2, AFFINE)
    cuts = choose_cuts(slab_of(np.ones(SHAPE, bool)), clusters, ["z=11"])  # through the one in the middle
    assert [cut.index for cut in cuts.cuts] == [27]
    assert [cluster.peaks[0] for cluster in cuts.missed] == [(40, 50, 40), (10, 12, 14)]
    assert cuts.warning() == "2 of 3 clusters above the line are on no slice, the strongest at (42, 38, 50) mm with 0.9"


def test_positions_that_are_asked_for_are_taken_and_no_others():
    slab = slab_of(np.ones(SHAPE, bool))
    cuts = choose_cuts(slab, [], ["z = -10", "x=0", "y=-31.5"]).cuts
    assert [(cut.plane, slab.at(cut.plane).position(cut.index)) for cut in cuts] == [
        ("axial", -10.0),
        ("coronal", -31.0),
        ("sagittal", 0.0),
    ]
    with pytest.raises(ConfigError, match=r"\[map\] slices: 'z=900' lies outside the volume, which reaches from -70"):
        choose_cuts(slab, [], ["z=900"])
    with pytest.raises(ConfigError, match=r"'up 3' is no position. Write x=, y= or z= and millimetres"):
        parse_cut("up 3")


def test_small_structures_are_cut_through_in_mni_space_only():
    slab = slab_of(np.ones(SHAPE, bool))
    cuts = choose_cuts(slab, [], 18, structures=True).cuts
    for name, place in STRUCTURES.items():
        near = [cut for cut in cuts if abs(slab.at(cut.plane).position(cut.index) - place[CUTS[cut.plane][0]]) <= 1.5]
        assert len(near) >= 2, name
    assert {cut.name for cut in cuts} >= {"amygdala", "PAG", "NAcc"}
    assert {cut.name for cut in choose_cuts(slab, [], 18).cuts} == {""}


def test_a_plane_of_a_slab_is_no_picture():
    covered = np.ones((40, 20, 1), bool)
    cuts = choose_cuts(slab_of(covered, np.eye(4)), [], 18).cuts
    assert [(cut.plane, cut.index) for cut in cuts] == [("axial", 0)]

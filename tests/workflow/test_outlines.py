"""Regions of results are kept, found by name, and outlined in maps."""

import numpy as np
import pytest

from encoding.core import Atlas, ConfigError, RoiSet, Targets
from encoding.mapping import Maps, Region, canvas_of, find_surfaces, read_parcels
from encoding.workflow.maps import find_outlines, keep_parcels

SIZE = 642


class Job:
    """What `keep_parcels` asks of a job."""

    def __init__(self, folder):
        self.folder = folder


class Found:
    """What `find_outlines` asks of a result."""

    subject = "01"

    def __init__(self, parcels):
        self.parcels = parcels


@pytest.fixture
def labelled():
    """An atlas of two regions, one network and one ROI set, with the label of every vertex."""
    index = np.concatenate([np.arange(SIZE)] * 2)
    sizes = {"CORTEX_LEFT": SIZE, "CORTEX_RIGHT": SIZE}
    targets = Targets("vertex", "fsaverage3", index, np.repeat(list(sizes), SIZE), n_vertices=sizes)
    labels = np.where(np.arange(2 * SIZE) < 100, 1, np.where(np.arange(2 * SIZE) < 150, 2, 0)).astype(np.int32)
    roi = RoiSet("mine", "both", ("V1", "V2"))
    atlas = Atlas(
        "small", labels, targets, np.array([1, 2], np.int32), ("V1", "V2"), ("L", "L"), ("Vis", "Vis"), ("", ""),
        roi_sets=(roi,),
    )  # fmt: skip
    return atlas, labels


def test_regions_networks_and_sets_are_kept_once(tmp_path, labelled):
    atlas, labels = labelled
    keep_parcels(Job(tmp_path), [(None, labels), (atlas, labels)])
    first = (tmp_path / "parcels.npz").stat().st_mtime_ns
    found = {(region.level, region.region): int(region.mask.sum()) for region in read_parcels(tmp_path)}
    assert found == {("region", "V1"): 100, ("region", "V2"): 50, ("network", "Vis"): 150, ("roi_set", "both"): 150}
    keep_parcels(Job(tmp_path), [(atlas, labels)])
    assert (tmp_path / "parcels.npz").stat().st_mtime_ns == first
    keep_parcels(Job(tmp_path), [(atlas, np.where(labels == 2, 0, labels))])
    assert int(read_parcels(tmp_path)[0].mask.sum()) == 100
    assert len(read_parcels(tmp_path)) == 3  # V2 has no vertex left


def test_outlines_are_found_by_region_and_by_set():
    mask = np.arange(10) < 3
    result = Found([
        Region("a", "region", "", "V1", "L", mask),
        Region("a", "region", "", "V1", "R", ~mask & (np.arange(10) < 5)),
        Region("a", "roi_set", "emotion", "OFC", "", mask),
    ])  # fmt: skip
    assert find_outlines(Maps(), result) == {}
    found = find_outlines(Maps(outlines=("V1", "emotion")), result)
    assert {name: int(inside.sum()) for name, inside in found.items()} == {"V1": 5, "OFC": 3}
    with pytest.raises(ConfigError, match=r"\[map\] outlines: no atlas of sub-01 has a region or set 'V2'"):
        find_outlines(Maps(outlines=("V2",)), result)


def test_outlines_decide_how_maps_look(labelled):
    atlas, labels = labelled
    settings = Maps()
    surfaces = find_surfaces(settings, atlas.targets)
    plain = canvas_of(atlas.targets, None, surfaces, settings)
    outlined = canvas_of(atlas.targets, None, surfaces, settings, {"V1": labels == 1})
    assert plain.identity != outlined.identity
    assert plain.identity == canvas_of(atlas.targets, None, surfaces, settings).identity

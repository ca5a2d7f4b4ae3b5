"""Axes check themselves."""

import numpy as np
import pytest

from encoding.core import AlignmentError, Grid, Samples, Targets


def samples(**changes):
    fields = {"stimulus": ["a", "b"], "onset": [0, 2], "duration": [2, 2], "run": ["1", "1"], "clock": "tr"}
    return Samples(**(fields | changes))


def test_arrays_are_kept_read_only_and_apart_from_the_callers():
    onset = np.array([0.0, 2.0])
    axis = samples(onset=onset)
    onset[0] = 99
    assert axis.onset[0] == 0
    with pytest.raises(ValueError, match="read-only"):
        axis.onset[0] = 1


def test_a_read_only_array_is_kept_without_a_copy():
    onset = np.array([0.0, 2.0])
    onset.flags.writeable = False
    assert samples(onset=onset).onset is onset


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"onset": [0]}, r"onset has shape \(1,\), but \(2,\)"),
        ({"run": ["1"] * 3}, r"run has shape \(3,\)"),
        ({"clock": "run"}, "clock is 'run', but must be one of"),
    ],
)
def test_samples_that_do_not_fit_are_refused(changes, message):
    with pytest.raises(AlignmentError, match=message):
        samples(**changes)


def test_samples_compare_by_every_field():
    assert samples().same_as(samples())
    for changes in ({"stimulus": ["a", "c"]}, {"onset": [0, 3]}, {"run": ["1", "2"]}, {"clock": "stimulus"}):
        assert not samples().same_as(samples(**changes))
    assert Samples.of_stimuli(["a"]).same_as(Samples.of_stimuli(["a"]))


def test_samples_are_indexed_and_know_their_runs():
    axis = samples(run=["2", "1"])
    assert axis.runs == ("2", "1")
    assert axis[1:].stimulus.tolist() == ["b"]
    assert repr(axis) == "Samples(2 rows, 2 runs, clock 'tr')"


GRID = Grid((2, 3, 4), np.eye(4))


def voxels(index):
    return Targets("voxel", "T1w", index, [""] * len(index), GRID)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: voxels([24]), "1 indices lie outside"),
        (lambda: voxels([-1]), "the first is -1"),
        (lambda: voxels([3, 3]), "1 targets are listed twice"),
        (lambda: Targets("voxel", "T1w", [0], [""]), "there is no grid"),
        (lambda: Targets("pixel", "T1w", [0], [""]), "kind is 'pixel'"),
        (lambda: Targets("vertex", "x", [5], ["CORTEX_LEFT"], n_vertices={"CORTEX_LEFT": 5}), "outside"),
        (lambda: Targets("column", "", [0, 1], ["", ""], names=("a",)), "1 names for 2 columns"),
        (lambda: voxels([[1, 2]]), "shape"),
    ],
)
def test_targets_that_cannot_be_are_refused(make, message):
    with pytest.raises(AlignmentError, match=message):
        make()


def test_the_same_vertex_number_may_occur_on_both_sides():
    sides = {"CORTEX_LEFT": 3, "CORTEX_RIGHT": 3}
    both = Targets("vertex", "x", [0, 0], list(sides), n_vertices=sides)
    assert both.hemi.tolist() == ["L", "R"]


def test_targets_compare_by_grid_and_index():
    moved = Targets("voxel", "T1w", [1, 2], ["", ""], Grid((2, 3, 4), np.diag([2.0, 1, 1, 1])))
    assert voxels([1, 2]).same_as(voxels([1, 2]))
    assert not voxels([1, 2]).same_as(voxels([2, 1]))
    assert not voxels([1, 2]).same_as(moved)
    assert not voxels([1]).same_as(Targets.of_columns(["a"]))
    assert voxels([1, 2, 5])[[2]].index.tolist() == [5]
    assert Targets.of_columns(["a", "b"])[1:].names == ("b",)

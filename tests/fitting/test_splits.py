"""Folds that never cut a run, never show a stimulus on both sides unasked, and refuse what would leak."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from encoding.core import ConfigError, Samples, SplitError
from encoding.fitting import Fold, Folds, Split, make_folds


def shown(samples):
    return np.arange(len(samples)), samples.stimulus


def split(samples, **settings):
    return make_folds(Split(**settings), samples, shown(samples))


def runs_of(samples, rows):
    return tuple(dict.fromkeys(samples.run[rows].tolist()))


def stimuli_on_both_sides(samples, one, other):
    return np.intersect1d(samples.stimulus[one], samples.stimulus[other]).tolist()


# Whole runs


def test_leave_one_run_out_is_the_default(make_samples):
    samples = make_samples((5, 4, 6, 5))
    folds = split(samples)
    assert [runs_of(samples, fold.test) for fold in folds.folds] == [(run,) for run in samples.runs]
    for fold in folds.folds:
        np.testing.assert_array_equal(np.sort(np.append(fold.train, fold.test)), np.arange(20))
        np.testing.assert_array_equal(fold.average, np.arange(len(fold.test)))
    assert folds.exclusions == ()


def test_sixty_one_runs_in_six_folds(make_samples):
    samples = make_samples((3,) * 61)
    folds = split(samples, n_outer=6)
    assert [len(runs_of(samples, fold.test)) for fold in folds.folds] == [10, 10, 10, 10, 10, 11]
    neighbours = [samples.runs.index(runs_of(samples, fold.test)[0]) for fold in folds.folds]
    assert neighbours == [0, 10, 20, 30, 40, 50]


@settings(max_examples=25, deadline=None)
@given(
    lengths=st.lists(st.integers(1, 6), min_size=3, max_size=12),
    n_outer=st.one_of(st.just("leave_one_out"), st.integers(2, 12)),
    n_inner=st.one_of(st.just("leave_one_out"), st.integers(2, 12)),
)
def test_neither_outer_nor_inner_folds_cut_a_run(lengths, n_outer, n_inner):
    run = np.repeat([f"run-{k:02d}" for k in range(len(lengths))], lengths)
    n = len(run)
    samples = Samples(np.arange(n).astype(str), np.arange(n) * 2.0, np.full(n, 2.0), run, "stimulus")
    n_folds = len(lengths) if n_outer == "leave_one_out" else n_outer
    if n_folds > len(lengths):
        with pytest.raises(SplitError, match=rf"n_outer = {n_folds}, but there are {len(lengths)} runs"):
            split(samples, n_outer=n_outer)
        return
    smallest_training = len(lengths) - -(-len(lengths) // n_folds)
    if smallest_training < 2:
        with pytest.raises(SplitError, match="1 training run is left for the inner folds"):
            split(samples, n_outer=n_outer, n_inner=n_inner)
        return
    folds = split(samples, n_outer=n_outer, n_inner=n_inner)
    assert len(folds.folds) == n_folds
    np.testing.assert_array_equal(np.sort(np.concatenate([fold.test for fold in folds.folds])), np.arange(n))
    for fold in folds.folds:
        assert not set(run[fold.train]) & set(run[fold.test])
        n_training_runs = len(set(run[fold.train]))
        assert len(fold.inner) == (n_training_runs if n_inner == "leave_one_out" else min(n_inner, n_training_runs))
        validated = np.concatenate([validation for _, validation in fold.inner])
        np.testing.assert_array_equal(np.sort(validated), np.arange(len(fold.train)))
        for fit, validation in fold.inner:
            assert not set(run[fold.train[fit]]) & set(run[fold.train[validation]])
            assert len(fit) + len(validation) == len(fold.train)


def test_named_groups_of_runs_with_patterns():
    run = np.repeat(["ses-01_run-1", "ses-01_run-2", "ses-02_run-1", "ses-02_run-2", "ses-03_run-1"], 3)
    samples = Samples(np.arange(15).astype(str), np.arange(15.0), np.ones(15), run, "stimulus")
    folds = split(samples, groups=(("ses-01_*",), ("ses-02_run-2", "ses-02_run-1")))
    assert [set(run[fold.test]) for fold in folds.folds] == [
        {"ses-01_run-1", "ses-01_run-2"},
        {"ses-02_run-1", "ses-02_run-2"},
    ]
    # Session 3 is in no group: it is trained on in both folds and tested in none.
    assert all("ses-03_run-1" in run[fold.train] for fold in folds.folds)
    np.testing.assert_array_equal(folds.membership()["outer"], np.repeat([0, 0, 1, 1, -1], 3))


def test_run_in_two_groups_is_named(make_samples):
    with pytest.raises(SplitError, match=r"run 'run-02' is in group 0 and in group 1"):
        split(make_samples((3,) * 5), groups=(("run-01", "run-02"), ("run-0[23]",)))


@pytest.mark.parametrize("settings", [{"groups": (("run-1",),)}, {"kind": "fixed", "test_runs": ("run-1",)}])
def test_unknown_run_is_named_with_the_nearest(make_samples, settings):
    with pytest.raises(SplitError, match=r"'run-1' matches no run. Did you mean 'run-01'\? Known: run-01, run-02"):
        split(make_samples((3,) * 4), **settings)


def test_one_run_only_names_blocks(make_samples):
    with pytest.raises(SplitError, match=r"one run only \('run-01'\).*Set kind = \"blocks\" in \[split\]"):
        split(make_samples((30,)))


def test_two_runs_leave_nothing_to_choose_on(make_samples):
    with pytest.raises(SplitError, match=r"1 training run is left for the inner folds \(run-02\), and two are needed"):
        split(make_samples((5, 5)))


# A fixed split, and averaging


def test_test_stimuli_that_repeat_are_averaged(make_samples):
    names = ["a", "b", "c", "d", "e", "f", "y", "x", "x", "y", "x", "z"]
    samples = make_samples((3, 3, 3, 3), names)
    (fold,) = split(samples, kind="fixed", test_runs=("run-0[34]",)).folds
    np.testing.assert_array_equal(fold.train, np.arange(6))
    np.testing.assert_array_equal(fold.test, np.arange(6, 12))
    # In the order in which they are first shown: y, x, z.
    np.testing.assert_array_equal(fold.average, [0, 1, 1, 0, 1, 2])


def test_identical_test_runs_are_averaged_volume_by_volume(make_samples):
    film, other = ["a", "a", "b", ""], ["a", "b", "b", ""]
    samples = make_samples((4,) * 6, ["p"] * 4 + ["q"] * 4 + film + other + film + film, clock="tr")
    (fold,) = split(samples, kind="fixed", test_runs=("run-0[3456]",)).folds
    np.testing.assert_array_equal(fold.average, [0, 1, 2, 3, 4, 5, 6, 7, 0, 1, 2, 3, 0, 1, 2, 3])


def test_leave_one_run_out_averages_nothing(make_samples):
    samples = make_samples((4,) * 4, ["a", "a", "b", "b"] * 4)
    for fold in split(samples, repeats="condition").folds:
        np.testing.assert_array_equal(fold.average, np.arange(4))


def test_all_runs_in_the_test_set(make_samples):
    with pytest.raises(SplitError, match="0 training run"):
        split(make_samples((4,) * 4), kind="fixed", test_runs=("*",))


# Blocks of one run


@settings(max_examples=30, deadline=None)
@given(
    n=st.integers(90, 150),
    n_outer=st.integers(2, 4),
    n_inner=st.integers(2, 3),
    gap=st.floats(0, 8),
    seconds=st.sampled_from([0.72, 1.0, 2.0]),
)
def test_no_training_sample_lies_within_the_gap(n, n_outer, n_inner, gap, seconds):
    onset = np.arange(n) * seconds
    samples = Samples(np.arange(n).astype(str), onset, np.full(n, seconds), np.full(n, "run-1"), "tr")
    folds = split(samples, kind="blocks", n_outer=n_outer, n_inner=n_inner, gap=gap)
    stop = onset + seconds

    def nearest(train, test):
        between = np.maximum(onset[train][:, None] - stop[test], onset[test] - stop[train][:, None])
        return between.min()

    np.testing.assert_array_equal(np.concatenate([fold.test for fold in folds.folds]), np.arange(n))
    for fold in folds.folds:
        assert (np.diff(fold.test) == 1).all()
        assert nearest(fold.train, fold.test) >= gap
        # What is lost to the gap: at most the samples that start or end within it, on both sides.
        lost = n - len(fold.train) - len(fold.test)
        assert lost <= 2 * (gap / seconds + 1)
        for fit, validation in fold.inner:
            assert nearest(fold.train[fit], fold.train[validation]) >= gap


def test_gap_does_not_reach_into_other_runs(make_samples):
    samples = make_samples((20, 20), clock="tr")
    folds = split(samples, kind="blocks", n_outer=2, n_inner=2, gap=10.0)
    np.testing.assert_array_equal(folds.folds[0].test, np.arange(20))
    np.testing.assert_array_equal(folds.folds[0].train, np.arange(20, 40))


def test_gap_that_leaves_nothing(make_samples):
    with pytest.raises(SplitError, match=r"0 training samples \(after a gap of 60.0 s\) cannot be cut into 2 blocks"):
        split(make_samples((12,)), kind="blocks", n_outer=2, n_inner=2, gap=60.0)


def test_gap_that_leaves_nothing_to_choose_on(make_samples):
    with pytest.raises(SplitError, match=r"inner fold 0: 0 training and 4 .*A gap of 10.0 s .* may be too long"):
        split(make_samples((28,)), kind="blocks", n_outer=2, n_inner=2, gap=10.0)


def test_too_few_samples_for_blocks(make_samples):
    with pytest.raises(SplitError, match="7 samples cannot be cut into 4 blocks"):
        split(make_samples((7,)), kind="blocks", n_outer=4, n_inner=2)


# Stimuli that recur

RECURRING = ["a", "b", "c", "d", "a", "e", "f", "g", "h", "b", "i", "j"]  # a: runs 1, 2; b: runs 1, 4 (of 3 rows)


def test_undeclared_repeats_raise(make_samples):
    with pytest.raises(
        SplitError, match=r"2 stimuli are both trained on and tested, e.g. 'a'.*repeats = \"condition\""
    ):
        split(make_samples((3,) * 4, RECURRING))


def test_undeclared_repeats_raise_between_inner_folds_too(make_samples):
    # Runs 2 and 3 share a stimulus. Neither is ever tested, but they are told apart to choose hyper-parameters.
    names = ["b", "c", "d", "a", "e", "f", "a", "g", "h", "i", "j", "k"]
    samples = make_samples((3,) * 4, names)
    with pytest.raises(SplitError, match=r"Outer fold 0, inner fold 1: 1 stimuli are both trained on and tested"):
        split(samples, kind="fixed", test_runs=("run-04",), n_inner="leave_one_out")
    # Kept in one inner fold, they are on the same side.
    split(samples, groups=(("run-04",),), n_inner=2)


def test_condition_keeps_everything(make_samples):
    samples = make_samples((3,) * 4, RECURRING)
    folds = split(samples, repeats="condition")
    assert [len(fold.train) for fold in folds.folds] == [9] * 4
    assert folds.exclusions == ()
    assert any(stimuli_on_both_sides(samples, fold.train, fold.test) for fold in folds.folds)


def test_drop_later_keeps_the_first_showing(make_samples):
    samples = make_samples((3,) * 4, RECURRING)
    folds = split(samples, repeats="drop_later")
    used = np.unique(np.concatenate([np.append(fold.train, fold.test) for fold in folds.folds]))
    np.testing.assert_array_equal(used, np.setdiff1d(np.arange(12), [4, 9]))
    (exclusion,) = folds.exclusions
    assert (exclusion.what, exclusion.n) == ("presentations", 2)
    assert "(a, b)" in exclusion.reason
    np.testing.assert_array_equal(np.flatnonzero(folds.membership()["outer"] < 0), [4, 9])


def test_drop_later_has_nothing_to_drop_where_nothing_recurs(make_samples):
    samples = make_samples((3,) * 4)
    folds = split(samples, repeats="drop_later")
    assert folds.exclusions == ()
    np.testing.assert_array_equal(np.concatenate([fold.test for fold in folds.folds]), np.arange(12))


def test_drop_later_needs_rows_of_stimuli(make_samples):
    with pytest.raises(SplitError, match=r"needs one row per stimulus.*exclude_from_training"):
        split(make_samples((3,) * 4, RECURRING, clock="tr"), repeats="drop_later")


def test_exclude_from_training_in_outer_and_inner_folds(make_samples):
    samples = make_samples((3,) * 4, RECURRING)
    folds = split(samples, repeats="exclude_from_training", n_inner="leave_one_out")
    np.testing.assert_array_equal(np.concatenate([fold.test for fold in folds.folds]), np.arange(12))
    np.testing.assert_array_equal(folds.folds[0].train, [3, 5, 6, 7, 8, 10, 11])  # without a of run 2 and b of run 4
    np.testing.assert_array_equal(folds.folds[2].train, [0, 1, 2, 3, 4, 5, 9, 10, 11])
    assert [(e.what, e.n) for e in folds.exclusions] == [("training samples", n) for n in (2, 1, 1)]
    for fold in folds.folds:
        assert stimuli_on_both_sides(samples, fold.train, fold.test) == []
        for fit, validation in fold.inner:
            assert stimuli_on_both_sides(samples, fold.train[fit], fold.train[validation]) == []
        validated = np.concatenate([validation for _, validation in fold.inner])
        np.testing.assert_array_equal(np.sort(validated), np.arange(len(fold.train)))


def test_volumes_depend_on_stimuli_that_have_ended(make_samples):
    # With delays, the volume after the clip still answers to it: it must not be trained on when the clip is tested.
    samples = make_samples((4,) * 3, ["a", "", "b", "c", "a", "", "d", "e", "f", "", "g", "h"], clock="tr")
    rows = np.array([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11])
    stimuli = np.array(["a", "a", "b", "c", "a", "a", "d", "e", "f", "f", "g", "h"])
    folds = make_folds(Split(repeats="exclude_from_training"), samples, (rows, stimuli))
    np.testing.assert_array_equal(folds.folds[0].train, [6, 7, 8, 9, 10, 11])


# Folds look for leaks themselves


def good(samples):
    return split(samples, n_inner=2).folds


def with_fold(samples, fold, gap=None):
    return Folds((fold, *good(samples)[1:]), samples, gap)


def test_run_on_both_sides_raises(make_samples):
    samples = make_samples((4,) * 4)
    first = good(samples)[0]
    train, test = np.append(first.train[1:], first.test[0]), first.test[1:]
    with pytest.raises(SplitError, match=r"outer fold 0: run 'run-01' is both trained on and tested.*hold out whole"):
        with_fold(samples, Fold(train, test, (), np.arange(3)))


def test_row_on_both_sides_raises(make_samples):
    samples = make_samples((4,) * 4)
    first = good(samples)[0]
    with pytest.raises(SplitError, match="outer fold 0: 1 samples are both trained on and tested, the first is row 2"):
        with_fold(samples, Fold(np.append(first.train, 2), first.test, first.inner, first.average))


def test_row_tested_twice_raises(make_samples):
    samples = make_samples((4,) * 4)
    first = good(samples)[0]
    with pytest.raises(SplitError, match="tested in more than one outer fold"):
        Folds((first, *good(samples)), samples)


@pytest.mark.parametrize("side", ["train", "test"])
def test_row_listed_twice_raises(make_samples, side):
    samples = make_samples((4,) * 4)
    first = good(samples)[0]
    rows = {"train": first.train, "test": first.test}
    rows[side] = np.append(rows[side], rows[side][0])
    with pytest.raises(SplitError, match=rf"outer fold 0: row {rows[side][0]} is listed twice"):
        with_fold(samples, Fold(rows["train"], rows["test"], first.inner, first.average))


@pytest.mark.parametrize("row", [-16, 16])
def test_row_outside_the_samples_raises(make_samples, row):
    # -16 would be row 0, which is tested in this fold.
    samples = make_samples((4,) * 4)
    first = good(samples)[0]
    with pytest.raises(SplitError, match=rf"outer fold 0: row {row} does not exist; there are 16 rows"):
        with_fold(samples, Fold(np.append(first.train, row), first.test, first.inner, first.average))


def test_inner_fold_that_cuts_a_run_raises(make_samples):
    samples = make_samples((4,) * 4)
    first = good(samples)[0]
    inner = ((np.arange(6), np.arange(6, 12)),)
    with pytest.raises(SplitError, match="outer fold 0, inner fold 0: run 'run-03' is both trained on and tested"):
        with_fold(samples, Fold(first.train, first.test, inner, first.average))


def test_empty_folds_raise(make_samples):
    samples = make_samples((4,) * 4)
    first = good(samples)[0]
    with pytest.raises(SplitError, match="outer fold 0: 12 training and 0 held-out samples"):
        with_fold(samples, Fold(first.train, first.test[:0], first.inner, first.average[:0]))
    with pytest.raises(SplitError, match="no outer fold"):
        Folds((), samples)
    with pytest.raises(SplitError, match="outer fold 0 has no inner folds"):
        with_fold(samples, Fold(first.train, first.test, (), first.average))


def test_blocks_that_touch_raise(make_samples):
    samples = make_samples((24,), clock="tr")
    inner = ((np.arange(4), np.arange(8, 12)),)
    fold = Fold(np.arange(12), np.arange(12, 24), inner, np.arange(12))
    with pytest.raises(SplitError, match=r"outer fold 0: 2 training samples lie within 4.0 s of held-out samples"):
        Folds((fold,), samples, gap=4.0)
    Folds((fold,), samples, gap=0.0)


def test_averages_that_do_not_fit_the_test_rows_raise(make_samples):
    samples = make_samples((4,) * 4)
    first = good(samples)[0]
    for average in (np.arange(3), np.array([0, 1, 2, 4])):
        with pytest.raises(SplitError, match="outer fold 0: `average`"):
            with_fold(samples, Fold(first.train, first.test, first.inner, average))


def test_membership_says_where_every_row_is_tested(make_samples):
    samples = make_samples((2,) * 4)
    member = split(samples, n_inner=3).membership()
    np.testing.assert_array_equal(member["outer"], [0, 0, 1, 1, 2, 2, 3, 3])
    np.testing.assert_array_equal(member["inner_of_outer_0"], [-1, -1, 0, 0, 1, 1, 2, 2])
    np.testing.assert_array_equal(member["inner_of_outer_2"], [0, 0, 1, 1, -1, -1, 2, 2])


# Settings


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"kind": "run"}, r"kind = 'run': 'runs', 'fixed' or 'blocks' is needed \(did you mean 'runs'\?\)"),
        ({"repeats": "drop"}, r"repeats = 'drop': 'condition', 'drop_later' or 'exclude_from_training' is needed"),
        ({"n_outer": 1}, r"n_outer = 1: an integer from 2 to 100,000 or 'leave_one_out' is needed"),
        ({"n_inner": "all"}, r"n_inner = 'all': an integer"),
        ({"n_outer": True}, r"n_outer = true"),
        ({"n_outer": 2.5}, r"n_outer = 2.5"),
        ({"kind": "fixed"}, r'kind = "fixed" needs test_runs'),
        ({"test_runs": ("run-1",)}, r"other kinds have none"),
        ({"kind": "blocks", "n_outer": 3, "groups": (("run-1",),)}, r'groups belong to kind = "runs"'),
        ({"kind": "blocks"}, r'kind = "blocks" needs numbers'),
        ({"kind": "blocks", "n_outer": 3, "gap": -1.0}, r"gap = -1.0: a number of 0 or more is needed"),
    ],
)
def test_settings_that_cannot_be_meant(settings, message):
    with pytest.raises(ConfigError, match=message):
        Split(**settings)

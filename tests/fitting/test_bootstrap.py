"""Runs that are drawn with replacement stay on one side of every fold, copies and all."""

import numpy as np
import pytest

from encoding.core import FeatureSpace, Responses, Samples, SplitError, Targets
from encoding.fitting import Split, make_folds
from encoding.fitting.bootstrap import draw_runs, take_rows


def runs_of(n_runs, length=5):
    n = n_runs * length
    run = np.repeat([f"r{k:02d}" for k in range(n_runs)], length)
    return Samples(np.array([f"s{k:03d}" for k in range(n)]), np.arange(n) * 9.0, np.full(n, 8.0), run, "stimulus")


def folds_of(samples, **settings):
    return make_folds(Split(**settings), samples, (np.arange(len(samples)), samples.stimulus))


@pytest.mark.parametrize("seed", range(10))
def test_copies_of_a_run_are_in_the_fold_of_the_run(seed):
    samples = runs_of(8)
    folds = folds_of(samples, n_outer=4, n_inner=3)
    rows, drawn = draw_runs(folds, np.random.default_rng(seed))
    assert len(rows) == len(samples)
    of_run = {run: k for k, fold in enumerate(folds.folds) for run in samples.run[fold.test]}
    tested = []
    for fold in drawn.folds:
        runs = set(drawn.samples.run[fold.test])
        assert len({of_run[run] for run in runs}) == 1
        assert not runs & set(drawn.samples.run[fold.train])
        for train, validation in fold.inner:
            assert not set(drawn.samples.run[fold.train][train]) & set(drawn.samples.run[fold.train][validation])
        tested += fold.test.tolist()
    assert sorted(tested) == list(range(len(rows)))  # every drawn row, copies included, is tested once
    assert np.array_equal(drawn.samples.stimulus, samples.stimulus[rows])


def test_features_and_responses_move_together():
    samples, rng = runs_of(6), np.random.default_rng(0)
    X, Y = rng.standard_normal((30, 2)), rng.standard_normal((30, 3))
    responses = Responses(Y, samples, Targets.of_columns("abc"), samples, np.zeros((30, 0)), "01", "video", 2.0)
    rows, drawn = draw_runs(folds_of(samples), rng)
    (space,), moved = take_rows([FeatureSpace("x", X, samples, ("1", "2"))], responses, rows)
    np.testing.assert_array_equal(space.values, X[rows].astype(np.float32))
    np.testing.assert_array_equal(moved.values, Y[rows].astype(np.float32))
    assert space.samples.same_as(moved.samples)
    assert moved.samples.same_as(drawn.samples)


@pytest.mark.parametrize(
    ("n_runs", "settings", "told"),
    [
        (3, {}, "needs at least two outer folds of whole runs, and 4 runs; these are 3 folds of 3 runs"),
        (6, {"kind": "fixed", "test_runs": ("r05",)}, "these are 1 folds of 6 runs"),
        (1, {"kind": "blocks", "n_outer": 2, "n_inner": 2, "gap": 0.0}, "2 folds of 1 runs, which they divide"),
    ],
)
def test_what_has_too_few_runs_is_refused(n_runs, settings, told):
    with pytest.raises(SplitError, match=told):
        draw_runs(folds_of(runs_of(n_runs, 12), **settings), np.random.default_rng(0))

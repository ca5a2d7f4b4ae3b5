"""No leak: chance where there is nothing to find, errors where a split leaks, no influence of what is held out."""

import dataclasses

import numpy as np
import pytest
from scipy import signal

from encoding.comparison import evaluate
from encoding.core import FeatureSpace, Responses, Samples, SplitError, Targets
from encoding.fitting import BandedRidge, Fold, Folds, Ridge, Split, cross_predict, make_folds
from encoding.numerics.metrics import correlation, fold_sums
from encoding.numerics.resampling import permute_within
from encoding.numerics.ridge import band_predictions, scale_band

N_RUNS, N_ROWS, N_TARGETS = 8, 60, 400
N = N_RUNS * N_ROWS
RUN = np.repeat([f"run-{k + 1}" for k in range(N_RUNS)], N_ROWS)
POSITION, RUN_INDEX = np.tile(np.arange(N_ROWS), N_RUNS), np.repeat(np.arange(N_RUNS), N_ROWS)


def responses_of(values, clock="tr"):
    onset = POSITION * 2.0
    samples = Samples(np.arange(N).astype(str), onset, np.full(N, 2.0), RUN, clock)
    presentations = dataclasses.replace(samples, clock="stimulus")
    targets = Targets.of_columns([f"t{k}" for k in range(values.shape[1])])
    return Responses(values, samples, targets, presentations, np.empty((N, 0)), "01", "video", 2.0)


def space_of(name, X, responses):
    return FeatureSpace(name, X, responses.samples, [f"{name}{k}" for k in range(X.shape[1])])


def noise(seed, n_targets=N_TARGETS):
    """Slow noise, AR(1) with a coefficient of .95, new in every run and centred in every run.

    It correlates .95 from one sample to the next and .6 over ten, so that whoever has seen the neighbours of a
    sample can predict it; but nothing in it recurs from run to run.
    """
    rng = np.random.default_rng(seed)
    white = rng.standard_normal((N_RUNS, N_ROWS + 100, n_targets))
    slow = signal.lfilter([1], [1, -0.95], white, axis=1)[:, 100:]
    return (slow - slow.mean(1, keepdims=True)).reshape(N, n_targets)


def position_and_run():
    """Features that say where in which run a sample lies, and nothing else.

    Cosines over the run, the number of the run as one column and as one column per run, and all products of
    cosines and runs: with them a curve of its own can be drawn for every run that has been seen.
    """
    cosines = np.cos(np.pi * np.outer(POSITION + 0.5, np.arange(1, 11)) / N_ROWS)
    runs = (RUN_INDEX[:, None] == np.arange(N_RUNS)).astype(float)
    products = (cosines[:, :, None] * runs[:, None]).reshape(N, -1)
    return np.column_stack([POSITION, cosines, RUN_INDEX, runs, products])


def assert_chance(r, band):
    """Mean correlation of independent targets: within the band, which four standard errors must fit into."""
    error = r.std(ddof=1) / np.sqrt(len(r))
    assert 4 * error < band, error
    assert abs(r.mean()) < 4 * error, (r.mean(), error)


def shown_by(responses):
    return np.arange(N), responses.samples.stimulus


# Chance where there is nothing to find


@pytest.mark.parametrize("n_outer", ["leave_one_out", 4])
def test_position_and_run_index_score_at_chance(tmp_path, n_outer):
    # 3,000 targets with noise of their own: a standard error of .005.
    responses = responses_of(noise(0, 3000))
    folds = make_folds(Split(n_outer=n_outer), responses.samples, shown_by(responses))
    space = space_of("place", position_and_run(), responses)
    found = cross_predict(Ridge(("place",)), [space], responses, folds, tmp_path / "p")
    assert_chance(evaluate([found], "r").values[0], band=0.02)
    assert evaluate([found], "r2").values.mean() < 0
    # The correlation over all folds at once is no measure of chance, as its documentation says.
    assert evaluate([found], "pooled_r").values.mean() < -0.05


def test_a_broken_split_would_score_the_same_features_well_above_chance():
    # By hand, since Folds refuses it: rows are shuffled into folds.
    Y, X = noise(0), position_and_run()
    fold = np.random.default_rng(1).permutation(np.arange(N) % 8)
    r = []
    for k in range(8):
        train, test = fold != k, fold == k
        X_train, X_test = scale_band(X[train], X[test])
        mean = Y[train].mean(0)
        predicted = band_predictions(
            X_train,
            Y[train] - mean,
            X_test,
            bands=[slice(0, X.shape[1])],
            gammas=np.ones((1, N_TARGETS)),
            alphas=np.full(N_TARGETS, 0.1),
        )
        sums = fold_sums(Y[test] - mean, predicted)
        r.append(correlation(test.sum(), *(sums[name] for name in ("y", "p", "yy", "pp", "yp"))))
    assert np.mean(r) > 0.6


def test_the_same_broken_split_is_refused():
    responses = responses_of(noise(0, 2))
    fold = np.random.default_rng(1).permutation(np.arange(N) % 8)
    pairs = []
    for k in range(8):
        train, test = np.flatnonzero(fold != k), np.flatnonzero(fold == k)
        half = np.arange(len(train)) % 2
        inner = ((np.flatnonzero(half == 0), np.flatnonzero(half == 1)),)
        pairs.append(Fold(train, test, inner, np.arange(len(test))))
    with pytest.raises(SplitError, match=r"outer fold 0: run 'run-1' is both trained on and tested \(8 such runs\)"):
        Folds(tuple(pairs), responses.samples)
    with pytest.raises(SplitError, match=r"training samples lie within 20.0 s of held-out samples"):
        Folds(tuple(pairs), responses.samples, gap=20.0)


def test_broken_inner_folds_are_refused():
    responses = responses_of(noise(0, 2))
    folds = make_folds(Split(), responses.samples, shown_by(responses))
    first = folds.folds[0]
    half = np.random.default_rng(1).permutation(np.arange(len(first.train)) % 2)
    shuffled = dataclasses.replace(first, inner=((np.flatnonzero(half == 0), np.flatnonzero(half == 1)),))
    with pytest.raises(SplitError, match="outer fold 0, inner fold 0: run 'run-2' is both trained on and tested"):
        Folds((shuffled, *folds.folds[1:]), responses.samples)


def rearranged(how, rng):
    """Order of rows in which features belong to other rows of their run, or to other runs."""
    if how == "rows within runs":
        return permute_within(RUN, rng)
    shift = int(rng.integers(1, N_RUNS))
    return np.roll(np.arange(N), shift * N_ROWS)


@pytest.mark.parametrize("how", ["rows within runs", "whole runs"])
def test_true_features_score_and_rearranged_features_do_not(tmp_path, how):
    # Ten targets share the features that half drive them, and so what these correlate with by chance; 60 studies with
    # features of their own are independent. Whole runs keep the slow course of the features and change places.
    rng = np.random.default_rng(2)
    true, chance = [], []
    for study in range(60):
        X = noise(100 + study, 6)
        Y = X @ rng.standard_normal((6, 10)) / np.sqrt(6) + noise(200 + study, 10)
        responses = responses_of(Y)
        folds = make_folds(Split(n_outer=4), responses.samples, shown_by(responses))
        for found, name, order in ((true, "true", slice(None)), (chance, "chance", rearranged(how, rng))):
            space = space_of("f", X[order], responses)
            predictions = cross_predict(Ridge(("f",)), [space], responses, folds, tmp_path / f"{study}-{name}")
            found.append(evaluate([predictions], "r").values.mean())
    assert np.min(true) > 0.3
    assert_chance(np.array(chance), band=0.02 if how == "rows within runs" else 0.08)


# Held-out rows have no influence


@pytest.mark.parametrize("model", [Ridge(("a",)), BandedRidge(("a", "b"), n_iter=6)], ids=["ridge", "banded"])
def test_held_out_responses_never_influence_predictions(tmp_path, model):
    rng = np.random.default_rng(6)
    values = noise(7, 5)
    responses = responses_of(values)
    spaces = [space_of(name, rng.standard_normal((N, 4)), responses) for name in "ab"]
    folds = make_folds(Split(n_outer=4, n_inner=2), responses.samples, shown_by(responses))
    expected = cross_predict(model, spaces, responses, folds, tmp_path / "expected")
    for k, fold in enumerate(folds.folds):
        disturbed = values.copy()
        disturbed[fold.test] = 1e3 * rng.standard_normal((len(fold.test), 5)) + 500
        found = cross_predict(model, spaces, responses_of(disturbed), folds, tmp_path / str(k))
        np.testing.assert_array_equal(found.values[:, found.fold == k], expected.values[:, expected.fold == k])
        np.testing.assert_array_equal(found.alphas[k], expected.alphas[k])
        np.testing.assert_array_equal(found.gammas[k], expected.gammas[k])
        others = found.fold != k
        assert (found.values[:, others] != expected.values[:, others]).any()


@pytest.mark.parametrize("model", [Ridge(("a",)), BandedRidge(("a", "b"), n_iter=6)], ids=["ridge", "banded"])
def test_held_out_features_never_influence_the_fit(tmp_path, model):
    # All but one held-out row change wildly: choice and prediction of the one that stays remain, so that neither
    # scaling nor weights have seen the others.
    rng = np.random.default_rng(8)
    responses = responses_of(noise(9, 5))
    values = {name: rng.standard_normal((N, 4)).astype(np.float32) for name in "ab"}
    folds = make_folds(Split(n_outer=4, n_inner=2), responses.samples, shown_by(responses))
    rows = folds.folds[0].test
    spaces, wild = [], []
    for name, X in values.items():
        disturbed = X.copy()
        disturbed[rows[1:]] = 1e4 * rng.standard_normal((len(rows) - 1, 4))
        spaces.append(space_of(name, X, responses))
        wild.append(space_of(name, disturbed, responses))
    expected, found = (
        cross_predict(model, given, responses, folds, tmp_path / name) for name, given in (("e", spaces), ("f", wild))
    )
    np.testing.assert_allclose(found.values[:, 0], expected.values[:, 0], rtol=1e-6)
    np.testing.assert_array_equal(found.alphas[0], expected.alphas[0])
    np.testing.assert_array_equal(found.gammas[0], expected.gammas[0])


def test_rows_outside_the_training_set_never_influence_the_fit(tmp_path):
    # Rows inside the gap are neither trained on nor tested; they must not matter either.
    rng = np.random.default_rng(10)
    values = noise(11, 4)
    X = rng.standard_normal((N, 3)).astype(np.float32)
    split = Split(kind="blocks", n_outer=3, n_inner=2, gap=20.0)
    responses = responses_of(values)
    folds = make_folds(split, responses.samples, shown_by(responses))
    first = folds.folds[0]
    between = np.setdiff1d(np.arange(N), np.append(first.train, first.test))
    assert len(between) == 10
    found = []
    for name in ("plain", "disturbed"):
        if name == "disturbed":
            values[between], X[between] = 1e5, 1e5
        given = responses_of(values)
        found.append(cross_predict(Ridge(("a",)), [space_of("a", X, given)], given, folds, tmp_path / name))
    plain, disturbed = found
    np.testing.assert_array_equal(disturbed.values[:, disturbed.fold == 0], plain.values[:, plain.fold == 0])

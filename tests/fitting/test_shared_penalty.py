"""One penalty for all targets, penalties as papers state them, against ridge by scikit-learn."""

import dataclasses

import numpy as np
import pytest
from sklearn.linear_model import Ridge as Oracle

from encoding.comparison import evaluate
from encoding.core import ConfigError
from encoding.fitting import BandedRidge, Compute, Ridge, Split, cross_predict, make_folds
from encoding.numerics.nested_correlation import decompose_validation, nested_correlations

LAMBDAS = tuple(float(v) for v in np.logspace(0, 3, 7))
SHARED = Ridge(("wide",), alphas=LAMBDAS, alpha_per_target=False, alpha_unit="zscored")


def zscored(train, test):
    mean, sd = train.mean(0), train.std(0)
    return (train - mean) / sd, (test - mean) / sd


def by_hand(X, Y, folds):
    """Choose one penalty per outer fold by the mean nested correlation, and predict, with scikit-learn."""
    chosen, predicted = [], []
    for fold in folds.folds:
        X_train, Y_train = X[fold.train], Y[fold.train]
        table = np.zeros(len(LAMBDAS))
        for fit, held in fold.inner:
            Z, Z_held = zscored(X_train[fit], X_train[held])
            for number, penalty in enumerate(LAMBDAS):
                p = Oracle(alpha=penalty).fit(Z, Y_train[fit]).predict(Z_held)
                r = [np.corrcoef(p[:, t], Y_train[held][:, t])[0, 1] for t in range(Y.shape[1])]
                table[number] += np.mean(r)
        best = LAMBDAS[int(table.argmax())]
        Z, Z_test = zscored(X_train, X[fold.test])
        chosen.append(best)
        predicted.append(Oracle(alpha=best).fit(Z, Y_train).predict(Z_test) - Y_train.mean(0))
    return chosen, np.concatenate(predicted)


@pytest.mark.parametrize("width", [7, 90], ids=["fewer features than rows", "more features than rows"])
def test_choices_and_predictions_are_those_of_nested_loops(tmp_path, make_study, width):
    study = make_study(widths={"wide": width}, n_targets=9)
    folds = make_folds(Split(n_outer=3, n_inner=2), study.responses.samples, study.shown)
    made = cross_predict(SHARED, study.spaces, study.responses, folds, tmp_path / "m")
    X, Y = study.spaces[0].values.astype(float), study.responses.values.astype(float)
    chosen, predicted = by_hand(X, Y, folds)
    np.testing.assert_allclose(made.alphas, np.repeat(np.asarray(chosen)[:, None] / width, 9, axis=1))
    np.testing.assert_allclose(made.alpha_grid, np.asarray(LAMBDAS) / width)
    np.testing.assert_allclose(made.values.sum(0), predicted, atol=2e-5)
    assert made.solver["method"] == "shared"


def test_chunks_of_targets_change_nothing(tmp_path, make_study):
    study = make_study(n_targets=70)
    folds = make_folds(Split(n_outer=3, n_inner=2), study.responses.samples, study.shown)
    whole = cross_predict(SHARED, study.spaces, study.responses, folds, tmp_path / "whole")
    small = Compute(chunk_bytes=4 * 96 * 16)
    parts = cross_predict(SHARED, study.spaces, study.responses, folds, tmp_path / "parts", compute=small)
    np.testing.assert_array_equal(whole.alphas, parts.alphas)
    np.testing.assert_allclose(whole.values, parts.values, atol=1e-6)


def test_a_single_penalty_per_target_means_the_same_in_both_units(tmp_path, make_study):
    study = make_study()
    folds = make_folds(Split(n_outer=3, n_inner=2), study.responses.samples, study.shown)
    stated = Ridge(("wide",), alphas=(70.0,), alpha_unit="zscored")
    ours = Ridge(("wide",), alphas=(10.0,))
    a, b = (
        cross_predict(model, study.spaces, study.responses, folds, tmp_path / name)
        for name, model in (("a", stated), ("b", ours))
    )
    np.testing.assert_allclose(a.values, b.values, rtol=1e-6)


def test_scaling_responses_over_all_runs_changes_no_score(tmp_path, make_study):
    study = make_study()
    folds = make_folds(Split(n_outer=3, n_inner=2), study.responses.samples, study.shown)
    Y = np.asarray(study.responses.values, float)
    scaled = dataclasses.replace(study.responses, values=((Y - Y.mean(0)) / Y.std(0)).astype(np.float32))
    a, b = (
        evaluate([cross_predict(SHARED, study.spaces, responses, folds, tmp_path / name)], "pooled_r")
        for name, responses in (("a", study.responses), ("b", scaled))
    )
    np.testing.assert_allclose(a.values, b.values, atol=1e-5)


def test_correlations_of_constant_responses_are_zero():
    rng = np.random.default_rng(0)
    decomposed = decompose_validation(rng.standard_normal((20, 3)), rng.standard_normal((8, 3)))
    Y = np.zeros((8, 2))
    assert nested_correlations(decomposed, rng.standard_normal((20, 2)), Y, np.array([1.0])).tolist() == [[0.0, 0.0]]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"alpha_unit": "lambda"}, "alpha_unit = 'lambda': 'trace' or 'zscored' is needed"),
        ({"alpha_per_target": 1}, "alpha_per_target = 1: true or false"),
        ({"alpha_per_target": False, "method": "kernel"}, "solver of its own; leave out method"),
    ],
)
def test_settings_are_checked(settings, message):
    with pytest.raises(ConfigError, match=message):
        Ridge(("a",), **settings)


def test_banded_ridge_states_penalties_of_the_trace():
    assert BandedRidge(("a", "b"), alphas=(2.0, 1.0)).penalties(10).tolist() == [1.0, 2.0]

"""Closed-form banded ridge against an explicit solve."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import Ridge

from encoding.numerics import ridge
from encoding.numerics.ridge import band_predictions

ALPHAS = np.array([0.1, 1.0, 30.0, 1e4])


def problem(seed, n_train, widths, n_targets=4):
    rng = np.random.default_rng(seed)
    p = sum(widths)
    X = rng.standard_normal((n_train, p))
    Y = X @ rng.standard_normal((p, n_targets)) + rng.standard_normal((n_train, n_targets))
    edges = np.cumsum([0, *widths])
    bands = [slice(a, b) for a, b in pairwise(edges)]
    return X - X.mean(0), Y - Y.mean(0), rng.standard_normal((11, p)), bands


def explicit(X, Y, bands, gammas, alphas):
    """Weights of each target from the normal equations of the penalised problem, w'w / gamma * alpha.

    A band of share 0 has an infinite penalty: its weights are zero and its columns are left out.
    """
    weights = np.zeros((X.shape[1], Y.shape[1]))
    for t in range(Y.shape[1]):
        penalty = np.concatenate(
            [np.full(band.stop - band.start, g) for band, g in zip(bands, gammas[:, t], strict=True)]
        )
        inside = penalty > 0
        A = X[:, inside]
        system = A.T @ A + alphas[t] * np.diag(1 / penalty[inside])
        weights[inside, t] = np.linalg.solve(system, A.T @ Y[:, t])
    return weights


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    n_train=st.integers(3, 40),
    widths=st.lists(st.integers(1, 20), min_size=1, max_size=4),
)
def test_primal_and_dual_weights_equal_the_normal_equations(seed, n_train, widths):
    X, Y, _, bands = problem(seed, n_train, widths)
    gamma = np.random.default_rng(seed).dirichlet(np.ones(len(widths))) + 0.05
    scale = np.concatenate([np.full(width, np.sqrt(g)) for width, g in zip(widths, gamma, strict=True)])
    expected = explicit(X, Y, bands, np.tile(gamma[:, None], 4), ALPHAS)
    primal = ridge._primal(X, Y, X.T @ X, scale, ALPHAS)
    repeated = ridge._primal(X, np.tile(Y, (1, 12)), X.T @ X, scale, np.tile(ALPHAS, 12))
    dual = ridge._dual(X, Y, scale, ALPHAS)
    size = np.abs(expected).max()
    np.testing.assert_allclose(primal, expected, atol=1e-8 * size)
    np.testing.assert_allclose(repeated, np.tile(expected, (1, 12)), atol=1e-8 * size)  # more targets than samples
    np.testing.assert_allclose(dual, expected, atol=1e-8 * size)


@pytest.mark.parametrize("n_train", [60, 20], ids=["primal", "dual"])
def test_predictions_of_each_band(n_train):
    X, Y, X_test, bands = problem(0, n_train, (7, 3, 15))
    gammas = np.array([[0.2, 1 / 3, 0.9, 0.2], [0.5, 1 / 3, 0.1, 0.5], [0.3, 1 / 3, 0.0, 0.3]])
    found = band_predictions(X, Y, X_test, bands=bands, gammas=gammas, alphas=ALPHAS)
    weights = explicit(X, Y, bands, gammas, ALPHAS)
    assert found.dtype == np.float32
    assert found.shape == (3, 11, 4)
    for number, band in enumerate(bands):
        expected = X_test[:, band] @ weights[band]
        np.testing.assert_allclose(found[number], expected, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("n_train", [60, 20], ids=["primal", "dual"])
def test_share_of_exactly_zero_leaves_a_band_out(n_train):
    X, Y, X_test, bands = problem(1, n_train, (7, 3, 15))
    gammas = np.tile(np.array([[0.0], [1.0], [0.0]]), (1, 4))
    found = band_predictions(X, Y, X_test, bands=bands, gammas=gammas, alphas=ALPHAS)
    np.testing.assert_array_equal(found[[0, 2]], 0)
    alone = band_predictions(
        X[:, bands[1]], Y, X_test[:, bands[1]], bands=[slice(0, 3)], gammas=np.ones((1, 4)), alphas=ALPHAS
    )
    np.testing.assert_allclose(found[1], alone[0], rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("n_train", [60, 20], ids=["primal", "dual"])
def test_one_band_equals_scikit_learn(n_train):
    X, Y, X_test, _ = problem(2, n_train, (25,))
    found = band_predictions(X, Y, X_test, bands=[slice(0, 25)], gammas=np.ones((1, 4)), alphas=ALPHAS)[0]
    expected = Ridge(alpha=ALPHAS, fit_intercept=False).fit(X, Y).predict(X_test)
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-6)


def test_targets_do_not_influence_each_other():
    X, Y, X_test, bands = problem(3, 30, (4, 5))
    gammas = np.random.default_rng(3).dirichlet([1, 1], 4).T
    gammas[:, 2] = gammas[:, 0]  # two targets that share a decomposition
    together = band_predictions(X, Y, X_test, bands=bands, gammas=gammas, alphas=ALPHAS)
    for t in range(4):
        alone = band_predictions(X, Y[:, [t]], X_test, bands=bands, gammas=gammas[:, [t]], alphas=ALPHAS[[t]])
        np.testing.assert_allclose(together[:, :, [t]], alone, rtol=1e-6, atol=1e-6)


def test_constant_features_are_harmless():
    X, Y, X_test, bands = problem(4, 30, (4, 5))
    X[:, [1, 6]] = 0
    X_test[:, [1, 6]] = 0
    found = band_predictions(X, Y, X_test, bands=bands, gammas=np.full((2, 4), 0.5), alphas=ALPHAS)
    assert np.isfinite(found).all()

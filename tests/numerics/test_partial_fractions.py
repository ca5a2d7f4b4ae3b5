"""Losses for all penalties at once against ridge from the normal equations."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from encoding.numerics.partial_fractions import couple, decompose, losses

ALPHAS = np.logspace(-1, 4, 7)


def centred(X, n_train):
    X = X - X[:n_train].mean(0)
    return X[:n_train], X[n_train:]


def by_partial_fractions(X, Y, n_train, alphas=ALPHAS, dtype=np.float64):
    """Loss of every penalty, and the number of directions that were treated as close."""
    (Z, Z_v), (y, y_v) = centred(X, n_train), centred(Y, n_train)
    spectrum = decompose(Z.T @ Z, alphas.min())
    turn = (spectrum.vectors / spectrum.unit).T
    coupling = couple(spectrum.values, turn @ (Z_v.T @ Z_v / len(Z_v)) @ turn.T, alphas, n_train=n_train, dtype=dtype)
    turn = turn.astype(dtype)
    c, e = turn @ (Z.T @ y).astype(dtype), turn @ (Z_v.T @ y_v / len(Z_v)).astype(dtype)
    work = np.empty((3 * len(c), Y.shape[1]), dtype)
    work[len(c) : 2 * len(c)] = c * c
    found = losses(np, coupling, c, e, work)
    assert found.dtype == dtype
    return found + (y_v**2).mean(0), 0 if coupling.close is None else len(coupling.close)


def by_textbook(X, Y, n_train, alphas=ALPHAS):
    (Z, Z_v), (y, y_v) = centred(X, n_train), centred(Y, n_train)
    found = []
    for alpha in alphas:
        weights = np.linalg.solve(Z.T @ Z + alpha * np.eye(Z.shape[1]), Z.T @ y)
        found.append(((y_v - Z_v @ weights) ** 2).mean(0))
    return np.array(found)


def responses(X, rng, n_targets=5):
    Y = rng.standard_normal((len(X), n_targets))
    Y[:, ::2] += X @ rng.standard_normal((X.shape[1], len(Y[0, ::2])))
    return Y / Y.std(0)


@settings(max_examples=80, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    n_train=st.integers(2, 60),
    n_validation=st.integers(1, 20),
    p=st.integers(1, 40),
    decades=st.floats(0, 4),
)
def test_losses_equal_the_textbook(seed, n_train, n_validation, p, decades):
    # Up to four decades in the features are eight in the spectrum; p > n_train happens in half of the examples.
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n_train + n_validation, p)) * 10 ** rng.uniform(-decades / 2, decades / 2, p)
    Y = responses(X, rng)
    expected = by_textbook(X, Y, n_train)
    found, _ = by_partial_fractions(X, Y, n_train)
    np.testing.assert_allclose(found, expected, rtol=1e-8, atol=1e-9)


def correlated(rng, n=600, p=60):
    X = rng.standard_normal((n, p)) @ (rng.standard_normal((p, p)) * np.geomspace(1, 0.02, p)[:, None])
    return X / X.std(0)


def one_hot(n=600, levels=24):
    return np.eye(levels)[np.arange(n) % levels]


def nearly(X, rng, by):
    return X * (1 + by * rng.standard_normal(X.shape[1]))


def awkward(rng):
    """Features that are known to be hard, by name."""
    some, half = correlated(rng, p=20), np.repeat([1.0, 1e-6], 30)
    return {
        "correlated": correlated(rng),
        "balanced categories": one_hot(),
        "two balanced sets of categories": np.hstack([one_hot(), one_hot(levels=10)]),
        **{f"nearly balanced {by}": nearly(one_hot(), rng, by) for by in (1e-12, 1e-8, 1e-5, 1e-3, 1e-2)},
        "duplicates": np.repeat(some, 2, axis=1),
        "almost duplicates": np.hstack([some, some + 1e-6 * rng.standard_normal(some.shape)]),
        "constants": np.hstack([some, np.full((600, 3), 7.0)]),
        "nothing but constants": np.full((600, 4), 3.0),
        "one feature": rng.standard_normal((600, 1)),
        "white": rng.standard_normal((600, 60)),
        "tiny weight": correlated(rng) * half,
    }


@pytest.mark.parametrize("n_train", [480, 490], ids=["balanced", "unbalanced"])
@pytest.mark.parametrize("name", awkward(np.random.default_rng(0)))
def test_awkward_spectra(name, n_train):
    rng = np.random.default_rng(0)
    X = awkward(rng)[name]
    Y = responses(X, rng) if name != "nothing but constants" else rng.standard_normal((600, 5))
    expected = by_textbook(X, Y, n_train)
    found, _ = by_partial_fractions(X, Y, n_train)
    np.testing.assert_allclose(found, expected, atol=1e-10 * 600)
    single, _ = by_partial_fractions(X, Y, n_train, dtype=np.float32)
    np.testing.assert_allclose(single, expected, atol=5e-6)


def test_equal_eigenvalues_are_close_and_distinct_ones_are_not():
    rng = np.random.default_rng(0)
    assert by_partial_fractions(one_hot(), responses(one_hot(), rng), 480, dtype=np.float32)[1] > 0
    X = rng.standard_normal((600, 3)) * [1.0, 10.0, 100.0]
    assert by_partial_fractions(X, responses(X, rng), 480, dtype=np.float32)[1] == 0


def test_partial_fractions_alone_would_lose_all_digits(monkeypatch):
    # The other form is there for a reason: without it nearly equal eigenvalues destroy float32.
    rng = np.random.default_rng(0)
    X = nearly(one_hot(), rng, 1e-5)
    X[480:] += 0.3 * rng.standard_normal((120, 24))  # validation rows that couple what training rows part
    Y = responses(X, rng)
    expected = by_textbook(X, Y, 480)
    found, _ = by_partial_fractions(X, Y, 480, dtype=np.float32)
    np.testing.assert_allclose(found, expected, atol=5e-6)
    monkeypatch.setattr(
        "encoding.numerics.partial_fractions._close_pairs",
        lambda *given: np.zeros(given[2].shape, bool),
    )
    found, _ = by_partial_fractions(X, Y, 480, dtype=np.float32)
    assert np.abs(found - expected).max() > 1e-3


@pytest.mark.parametrize("scale", [1e-12, 1.0, 1e12])
def test_units_of_the_features_do_not_matter_in_float32(scale):
    rng = np.random.default_rng(1)
    X = correlated(rng)
    Y = responses(X, rng)
    expected = by_textbook(X, Y, 480)
    found, _ = by_partial_fractions(X * scale, Y, 480, alphas=ALPHAS * scale**2, dtype=np.float32)
    np.testing.assert_allclose(found, expected, atol=5e-6)


def test_null_space_is_left_out():
    rng = np.random.default_rng(2)
    Z = rng.standard_normal((50, 3)) @ rng.standard_normal((3, 10))
    spectrum = decompose(Z.T @ Z, 1.0)
    assert len(spectrum.values) == 3
    np.testing.assert_allclose(spectrum.vectors @ (spectrum.values[:, None] * spectrum.vectors.T), Z.T @ Z, atol=1e-10)
    assert decompose(np.zeros((4, 4)), 1.0).vectors.shape == (4, 0)

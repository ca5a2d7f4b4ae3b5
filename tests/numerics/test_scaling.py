"""Scaling that listens to training samples only."""

import numpy as np
import pytest
from sklearn.preprocessing import StandardScaler

from encoding.numerics.ridge import scale_band


def draw(n_features, n=50, seed=0):
    rng = np.random.default_rng(seed)
    scale, shift = 10 ** rng.uniform(-3, 3, n_features), rng.uniform(-100, 100, n_features)
    return rng.standard_normal((n, n_features)) * scale + shift


@pytest.mark.parametrize("n_features", [1, 14, 2000])
def test_bands_of_any_width_start_equal(n_features):
    train, _ = scale_band(draw(n_features), draw(n_features, 7))
    np.testing.assert_allclose(np.trace(train @ train.T) / len(train), 1, rtol=1e-9)


def test_standardised_as_scikit_learn_does():
    X, X_test = draw(14), draw(14, 9, seed=1)
    train, test = scale_band(X, X_test)
    scaler = StandardScaler().fit(X)
    np.testing.assert_allclose(train * np.sqrt(14), scaler.transform(X), atol=1e-9)
    np.testing.assert_allclose(test * np.sqrt(14), scaler.transform(X_test), rtol=1e-9, atol=1e-9)


def test_test_rows_have_no_say():
    X, X_test = draw(14), draw(14, 9, seed=1)
    train, test = scale_band(X, X_test)
    wild = X_test.copy()
    wild[1:] = 1e9
    same_train, other_test = scale_band(X, wild)
    np.testing.assert_array_equal(same_train, train)
    np.testing.assert_array_equal(other_test[0], test[0])


@pytest.mark.parametrize("value", [0.0, 0.1, -3e7, 1e-30])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_constant_features_become_zero_and_count_for_nothing(value, dtype):
    X = draw(5).astype(dtype)
    X[:, 2] = value
    X_test = draw(5, 9, seed=1).astype(dtype)  # varies here, which must not matter
    train, test = scale_band(X, X_test)
    np.testing.assert_array_equal(train[:, 2], 0)
    np.testing.assert_array_equal(test[:, 2], 0)
    np.testing.assert_allclose(np.trace(train @ train.T) / len(train), 1, rtol=1e-6)


def test_all_constant_band_is_all_zero():
    train, test = scale_band(np.ones((6, 3)), np.zeros((2, 3)))
    assert not train.any()
    assert not test.any()


def test_units_do_not_matter():
    X, X_test = draw(5), draw(5, 9, seed=1)
    units = np.array([1e-6, 1.0, 1e6, -1.0, 60.0])
    for one, other in zip(scale_band(X, X_test), scale_band(X * units, X_test * units), strict=True):
        np.testing.assert_allclose(other * np.sign(units), one, rtol=1e-8, atol=1e-12)


def test_small_float32_features_are_not_taken_for_constants():
    rng = np.random.default_rng(2)
    X = (1 + 1e-4 * rng.standard_normal((50, 1))).astype(np.float32)
    train, _ = scale_band(X, X)
    np.testing.assert_allclose(train.std(), 1, rtol=1e-6)

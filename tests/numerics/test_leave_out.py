"""Left-out blocks from one decomposition against fits without them."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from encoding.numerics.ridge import left_out_losses

ALPHAS = np.array([0.1, 3.0, 1e3])


@settings(max_examples=30, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    lengths=st.lists(st.integers(1, 9), min_size=2, max_size=5),
    p=st.integers(1, 60),
    intercept=st.booleans(),
)
def test_errors_are_those_of_fits_without_the_block(seed, lengths, p, intercept):
    rng = np.random.default_rng(seed)
    block = rng.permutation(np.repeat(np.arange(len(lengths)), lengths))
    X, Y = rng.standard_normal((len(block), p)) + 1, rng.standard_normal((len(block), 3)) + 2
    blocks = [np.flatnonzero(block == b) for b in range(len(lengths))]
    expected = np.zeros((3, 3))
    for held in blocks:
        train = np.setdiff1d(np.arange(len(block)), held)
        mean_x, mean_y = (part[train].mean(0) if intercept else 0.0 for part in (X, Y))
        Z, y = X[train] - mean_x, Y[train] - mean_y
        for a, alpha in enumerate(ALPHAS):
            weights = np.linalg.solve(Z.T @ Z + alpha * np.eye(p), Z.T @ y)
            error = Y[held] - mean_y - (X[held] - mean_x) @ weights
            expected[a] += (error**2).mean(0) / len(blocks)
    found = left_out_losses(X @ X.T, Y, blocks, ALPHAS, intercept=intercept)
    np.testing.assert_allclose(found, expected, rtol=1e-8, atol=1e-9)


@pytest.mark.parametrize("intercept", [True, False])
def test_precision_follows_the_responses(intercept):
    rng = np.random.default_rng(0)
    X, Y = rng.standard_normal((60, 90)), rng.standard_normal((60, 5))
    blocks = np.array_split(np.arange(60), 4)
    double = left_out_losses(X @ X.T, Y, blocks, ALPHAS, intercept=intercept)
    single = left_out_losses(X @ X.T, Y.astype(np.float32), blocks, ALPHAS, intercept=intercept)
    assert single.dtype == np.float32
    np.testing.assert_allclose(single, double, rtol=1e-4)

"""The reduction of a wide kernel to tridiagonal form, against dense algebra."""

import numpy as np
import pytest

from encoding.numerics.wide_band import Tridiagonal, tridiagonalise


@pytest.mark.parametrize("n", [1, 2, 3, 70])
@pytest.mark.parametrize("rank", [1, 40])
@pytest.mark.parametrize("penalty", [1e-6, 1.0, 1e8, np.inf])
def test_systems_are_those_of_the_dense_matrix(n, rank, penalty):
    rng = np.random.default_rng(n)
    Z = rng.standard_normal((n, rank)) * np.geomspace(1e-3, 30, rank)
    kernel, right = Z @ Z.T, rng.standard_normal((n, 5))
    reduced = tridiagonalise(kernel)
    Q = reduced.vectors
    np.testing.assert_allclose(Q.T @ Q, np.eye(n), atol=1e-12)
    T = np.diag(reduced.diagonal) + np.diag(reduced.beside, 1) + np.diag(reduced.beside, -1)
    np.testing.assert_allclose(Q @ T @ Q.T, kernel, atol=1e-11 * max(np.abs(kernel).max(), 1))
    found = Q @ reduced.damp(Q.T @ right, penalty)
    values, vectors = np.linalg.eigh(kernel)
    expected = vectors @ ((vectors.T @ right) / (np.maximum(values, 0)[:, None] / penalty + 1))
    np.testing.assert_allclose(found, expected, atol=1e-5 if penalty < 1e-3 else 1e-10)


def test_penalty_that_is_lost_in_rounding_is_an_error():
    reduced = Tridiagonal(np.array([1.0, -1e-3]), np.array([0.0]), np.eye(2))
    with pytest.raises(np.linalg.LinAlgError, match=r"penalty 0\.0001 is below"):
        reduced.damp(np.ones((2, 1)), 1e-4)

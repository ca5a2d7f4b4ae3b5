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


@pytest.mark.parametrize("rank", [1, 5, 20])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("share", [1e-18, 1e-16, 1e-12, 4e-9, 3e-8])
def test_tiny_penalties_leave_nothing_in_the_range_of_the_kernel(rank, dtype, share):
    rng = np.random.default_rng(rank)
    Z, right = rng.standard_normal((120, rank)).astype(dtype), rng.standard_normal((120, 3))
    kernel = (Z @ Z.T).astype(np.float64)
    reduced = tridiagonalise(kernel)
    left = reduced.vectors @ reduced.damp(reduced.vectors.T @ right, share * np.linalg.norm(kernel, 2))
    basis = np.linalg.svd(Z.astype(np.float64), full_matrices=False)[0]
    assert (np.linalg.norm(left, axis=0) < 2 * np.linalg.norm(right, axis=0)).all()  # rounding amplifies nothing
    np.testing.assert_allclose(basis.T @ left, 0, atol=1e-5)

"""Ridge on narrow bands beside a wide one: exact, from statistics of the narrow bands.

Let K be the kernel of the wide band and l its penalty, Z the narrow bands, t the training rows and v validation rows.
With ``K_tt = Q T Q'``, Q orthogonal and T tridiagonal, and ``D = (T / l + I)^-1``, the wide band alone predicts
``A = R Q'Y_t`` for ``R = K_vt Q D / l``, and eliminating it leaves ridge regression on the narrow bands with

    Z~ = Q'Z_t,  Y~ = Q'Y_t,  B = Z_v - R Z~                            (what the wide band does not explain of Z_v)
    S_t = Z~'D Z~,  C_t = Z~'D Y~,  S_v = B'B,  C_v = B'(Y_v - A),  |Y_v - A|^2

in place of Z_t'Z_t, Z_t'Y_t, Z_v'Z_v, Z_v'Y_v, and |Y_v|^2. Predictions are ``A + B beta``. Rows are centred, and
features scaled, on the training rows. Without the wide band (l infinite) D is the identity and R is zero.

Systems in T cost a few operations per row and right-hand side at every penalty, as eigenvalues would, and the
reduction to T is less than half of an eigendecomposition.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.linalg import eigvalsh_tridiagonal, lapack

from .designs import Scaled

BLOCK = 64  # columns that LAPACK reduces at once
LEAST_PIVOT = 0.5  # those of a positive semidefinite matrix plus the identity are at least 1
SINGLE, DOUBLE = float(np.finfo(np.float32).eps), float(np.finfo(np.float64).eps)


@dataclass(frozen=True, eq=False, slots=True)
class Tridiagonal:
    """A positive semidefinite symmetric matrix ``Q T Q'``."""

    diagonal: np.ndarray  # (n,) Diagonal of ``T``
    beside: np.ndarray  # (n - 1,) Its neighbour
    vectors: np.ndarray  # (n, n) ``Q``

    def damp(self, right: np.ndarray, penalty: float) -> np.ndarray:
        """Solve ``(T / penalty + I) x = right`` for the columns of `right` (n, m), in float64."""
        if not np.isfinite(penalty) or not right.shape[1]:
            return right
        if len(self.diagonal) == 1:  # which LAPACK's wrappers refuse
            return right / (self.diagonal / penalty + 1.0)
        beside = self.beside / penalty
        *factors, failed = lapack.dpttrf(self.diagonal / penalty + 1.0, beside)
        if failed or factors[0].min() < LEAST_PIVOT:
            *factors, failed = lapack.dpttrf((self.diagonal + self._negative()) / penalty + 1.0, beside)
        if failed:
            raise np.linalg.LinAlgError(f"penalty {penalty:g} is below what rounding leaves of the kernel")
        solved, _ = lapack.dpttrs(*factors, right)
        return solved

    def _negative(self) -> float:
        """Bound what must be added to eigenvalues that rounding made negative; no more than rounding in float32."""
        size = len(self.diagonal) * float(self.diagonal.max())
        lowest = eigvalsh_tridiagonal(self.diagonal, self.beside, select="i", select_range=(0, 0))[0]
        return min(max(-float(lowest), 0.0), size * SINGLE) + size * DOUBLE


def tridiagonalise(kernel: np.ndarray) -> Tridiagonal:
    """Reduce a symmetric matrix to tridiagonal form by Householder reflections."""
    n = len(kernel)
    if n == 1:
        return Tridiagonal(kernel[0].copy(), np.empty(0), np.ones((1, 1)))
    reduced, diagonal, beside, tau, _ = lapack.dsytrd(
        np.array(kernel, dtype=np.float64, order="F"), lower=1, lwork=n * BLOCK, overwrite_a=1
    )
    vectors = np.zeros((n, n), order="F")
    vectors[0, 0] = 1.0
    vectors[1:, 1:], _, _ = lapack.dorgqr(reduced[1:, :-1], tau, lwork=n * BLOCK)
    return Tridiagonal(diagonal, beside, vectors)


@dataclass(frozen=True, eq=False, slots=True)
class WideBasis:
    """A training set in the basis that makes its wide kernel tridiagonal."""

    kernel: Tridiagonal
    narrow: np.ndarray  # (n_train, n_features) ``Z~``
    across: tuple[np.ndarray, ...]  # (n_validation, n_train) ``K_vt Q`` of every validation set
    held: tuple[np.ndarray, ...]  # (n_validation, n_features) ``Z_v`` of every validation set


@dataclass(frozen=True, eq=False, slots=True)
class WideStep:
    """A training set at one penalty of the wide band."""

    # (sum of n_validation + n_features, n_train) ``R`` of every validation set, then ``Z~'D``: what rotated
    # training responses are multiplied by
    project: Any
    rest: tuple[Any, ...]  # (n_features, n_validation) ``B' / n_validation`` of every validation set
    scaled: Scaled  # ``S_t`` and ``S_v / n_validation``, as the search of narrow bands wants them


def make_basis(
    kernel: np.ndarray, across: Sequence[np.ndarray], narrow: np.ndarray, held: Sequence[np.ndarray]
) -> WideBasis:
    """Reduce the wide kernel of a training set; `across` are the kernels K_vt, `held` the narrow features Z_v."""
    made = tridiagonalise(kernel)
    return WideBasis(made, made.vectors.T @ narrow, tuple(part @ made.vectors for part in across), tuple(held))


def make_step(basis: WideBasis, penalty: float, varies: np.ndarray, dtype: Any = np.float64) -> WideStep:
    """Eliminate the wide band at one penalty, in float64; `varies` marks the features that vary in training.

    What rotated responses are multiplied by is rounded to `dtype`.
    """
    damped = basis.kernel.damp(basis.narrow, penalty)
    eliminated = damped / penalty
    rests = [Z - part @ eliminated for Z, part in zip(basis.held, basis.across, strict=True)]
    gram = basis.narrow.T @ damped
    scaled = Scaled(
        np.zeros(len(varies)),
        varies.astype(np.float64),
        (gram + gram.T) / 2,
        tuple(rest.T @ rest / len(rest) for rest in rests),
    )
    project = np.empty((sum(map(len, rests)) + len(varies), len(basis.narrow)), dtype=dtype)
    first = 0
    for part in basis.across:
        np.divide(
            basis.kernel.damp(part.T, penalty).T, penalty, out=project[first : first + len(part)], casting="same_kind"
        )
        first += len(part)
    project[first:] = damped.T
    return WideStep(project, tuple(rest.T / max(len(rest), 1) for rest in rests), scaled)


def eliminate(xp: Any, step: WideStep, rotated: Any, held: Sequence[Any]) -> tuple[Any, list[Any], list[Any]]:
    """Remove the wide band's part from the responses of some targets.

    From rotated training responses (n_train, n_targets) and centred validation responses compute ``C_t``, and for every
    validation set ``C_v / n_validation`` and ``(|Y_v - A|^2 - |Y_v|^2) / n_validation``.
    """
    product = xp.matmul(step.project, rotated)
    cross, gains, first = [], [], 0
    for Y, rest in zip(held, step.rest, strict=True):
        A = product[first : first + len(Y)]
        first += len(Y)
        left = Y - A
        # |Y - A|^2 - |Y|^2, without the difference of large sums.
        gains.append(-(A * (left + Y)).sum(0) / len(Y))
        cross.append(xp.matmul(rest, left))
    return product[first:], cross, gains

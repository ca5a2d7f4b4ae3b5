"""Validation losses of ridge for all penalties at once.

Let ``Z`` be the centred training features of one candidate (bands already multiplied by the roots of their
shares), ``Z'Z = V diag(s) V'`` and ``c = V'Z'y``. With ``e = V'Z_v'y_v / n_v`` and ``H = V'Z_v'Z_v V / n_v`` of the
validation rows, taken about the *training* means, and ``w_i = 1 / (s_i + alpha)``,

    loss(alpha) = |y_v|^2 / n_v - 2 sum_i w_i c_i e_i + sum_ij w_i w_j c_i c_j H_ij.

The double sum costs one p x p product per penalty. Partial fractions take it out of the loop over penalties:

    w_i w_j = (w_i - w_j) / (s_j - s_i),     sum_{i != j} = 2 sum_i w_i c_i sum_j M_ij c_j,   M_ij = H_ij / (s_j - s_i),

so that one product ``M c`` serves all of them. Where two eigenvalues are so close that the difference of
``w_i`` and ``w_j`` would be lost in rounding,

    w_i w_j = (w_i^2 + w_j^2) / 2 - (w_i - w_j)^2 / 2

is used without its last part. For every pair the form with the smaller error bound is taken.

Everything is held in units in which no number overflows float32: ``c_i`` over ``u_i = sqrt(s_i + smallest
penalty)``, ``H_ij`` over ``u_i u_j``, and ``w_i`` times ``u_i^2``, which lies between 0 and 1.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

# A pair may add this many units in the last place of the target's variance, in the worst case that the
# response lies wholly in its two directions; responses of n samples are n times less unkind.
TOLERATED = 16.0
STRIP = 64  # rows of a banded matrix that are multiplied at once


@dataclass(frozen=True, eq=False, slots=True)
class Spectrum:
    """Eigenvalues and eigenvectors of the weighted features of one candidate on the training samples."""

    values: np.ndarray  # (rank,) Eigenvalues that differ from zero, ascending
    vectors: np.ndarray  # (n_columns, rank) Their eigenvectors
    unit: np.ndarray  # (rank,) Root of eigenvalue plus smallest penalty


@dataclass(frozen=True, eq=False, slots=True)
class Coupling:
    """Coefficients of the losses of one validation set, the same for all targets."""

    apart: Any  # (rank, rank) ``M``, for pairs of well separated eigenvalues
    close: Any  # (n_close,) Directions that take part in a pair of close eigenvalues
    near: Any  # (n_close, n_close) ``H`` of such pairs, zero elsewhere
    weights: Any  # (n_alphas, 2 rank + n_close) What linear, square and close parts are multiplied by
    reach: int = 0  # How far from the diagonal `near` has values


def decompose(gram: np.ndarray, smallest: float) -> Spectrum:
    """Eigendecompose ``Z'Z`` or ``Z Z'`` and drop its null space; `smallest` is the smallest penalty.

    In directions in which the training samples do not vary ``c_i = 0``: a ridge model never uses them.
    """
    values, vectors = np.linalg.eigh(gram)
    noise = 4 * len(values) * np.finfo(values.dtype).eps * max(float(values[-1]) if len(values) else 0.0, 0.0)
    kept = values > noise
    values, vectors = values[kept], vectors[:, kept]
    return Spectrum(values, vectors, np.sqrt(values + smallest))


def couple(
    values: np.ndarray,
    validation: np.ndarray,
    alphas: np.ndarray,
    *,
    n_train: int,
    dtype: Any = np.float32,
) -> Coupling:
    """Prepare the losses of one validation set from eigenvalues (rank,) and ``H_ij / (u_i u_j)`` (rank, rank).

    `n_train` enters the error bounds; `dtype` is the precision in which `losses` will compute.
    """
    # Rounding that differs on both sides of the diagonal would be divided by the gap.
    validation = (validation + validation.T) / 2
    smallest = float(alphas.min())
    shifted = values + smallest
    gap = values[None, :] - values[:, None]
    near = _close_pairs(shifted, values, np.abs(validation), n_train, float(np.finfo(dtype).eps) / 2)
    with np.errstate(divide="ignore", invalid="ignore"):
        apart = np.where(near | (gap == 0), 0.0, validation * shifted[None, :] / gap)
    close = np.flatnonzero(near.any(0))
    shrink = shifted / (values + alphas[:, None])
    squared = shrink * shrink
    weights = np.concatenate([2 * shrink, squared * np.diag(validation), squared[:, close]], axis=1)
    if not len(close):
        return Coupling(apart.astype(dtype), None, None, weights.astype(dtype))
    block = np.where(near, validation, 0.0)[np.ix_(close, close)]
    row, column = np.nonzero(block)
    reach = int(np.abs(row - column).max(initial=0))
    return Coupling(apart.astype(dtype), close, block.astype(dtype), weights.astype(dtype), reach)


def _close_pairs(shifted: np.ndarray, values: np.ndarray, size: np.ndarray, n_train: int, eps: float) -> np.ndarray:
    """Mark the pairs for which partial fractions would lose more digits than the other form.

    Bounds are relative to the mean square of the target: |c_i| <= sqrt(n_train s_i) for a target of unit variance.
    """
    reach = values / shifted
    size = size * n_train * np.sqrt(reach[:, None] * reach[None, :])
    gap = np.abs(values[None, :] - values[:, None])
    with np.errstate(divide="ignore", invalid="ignore"):
        lost_apart = eps * size * np.maximum(shifted[:, None], shifted[None, :]) / gap
    # w_i - w_j, in units, is gap (alpha - smallest) / ((s_i + alpha) (s_j + alpha)) <= gap / (4 (s + smallest)).
    lost_near = 0.5 * size * (gap / (4 * np.minimum(shifted[:, None], shifted[None, :]))) ** 2
    near = (lost_apart > TOLERATED * eps) & (lost_apart > lost_near) | (gap == 0)
    np.fill_diagonal(near, False)
    return near


def _times_near(xp: Any, coupling: Coupling, rows: Any) -> Any:
    """Multiply by `near`, which is banded: eigenvalues are sorted, so close ones are neighbours."""
    n, reach = len(rows), coupling.reach
    if n <= 4 * STRIP or 2 * reach > n:
        return xp.matmul(coupling.near, rows)
    product = xp.empty_like(rows)
    for first in range(0, n, STRIP):
        last, low, high = min(first + STRIP, n), max(first - reach, 0), min(first + STRIP + reach, n)
        xp.matmul(coupling.near[first:last, low:high], rows[low:high], out=product[first:last])
    return product


def losses(xp: Any, coupling: Coupling, c: Any, e: Any, work: Any) -> Any:
    """Compute loss minus ``|y_v|^2 / n_v`` (n_alphas, n_targets) at every penalty: negative where the model helps.

    `c` and `e` (rank, n_targets) are the rotated training and validation products, in units; `e` is overwritten. Rows
    ``rank`` to ``2 rank`` of `work` (at least 3 rank, n_targets) must hold ``c * c``.
    """
    rank = len(c)
    linear = work[:rank]
    xp.matmul(coupling.apart, c, out=linear)
    xp.subtract(linear, e, out=linear)
    xp.multiply(linear, c, out=linear)
    n_close = 0
    if coupling.close is not None:
        n_close = len(coupling.close)
        rows = c[coupling.close]
        xp.multiply(rows, _times_near(xp, coupling, rows), out=work[2 * rank : 2 * rank + n_close])
    return xp.matmul(coupling.weights, work[: 2 * rank + n_close])

"""Search band weights and penalties for many targets at once.

A candidate (one weight per band) needs one eigendecomposition per training set, in float64; what is as wide as the
number of targets is matrix products only. For p features, A penalties, one training set that is validated on v
sets, and one target these are 2 p^2 (1 + 2 v) + 4 A p v operations.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from .designs import Scaled
from .partial_fractions import Coupling, couple, decompose, losses
from .target_products import SetProducts


@dataclass(frozen=True, eq=False, slots=True)
class Operator:
    """One candidate on one training set."""

    columns: Any  # Features of bands with a weight; None stands for all
    rotate: Any  # (rank, n_columns) Takes products of features and responses to the eigenvectors, in units
    couplings: tuple[Coupling, ...]  # One per validation set


@dataclass(eq=False, slots=True)
class Best:
    """Best choice so far of every target in every outer fold."""

    loss: Any  # (n_outer, n_targets) Its mean over inner folds, less the mean square of the validation responses
    candidate: Any  # (n_outer, n_targets) Number of the candidate
    alpha: Any  # (n_outer, n_targets) Number of the penalty


def band_scale(bands: Sequence[slice], gamma: np.ndarray, n_features: int) -> np.ndarray:
    """Repeat the square root of each band's weight over its features: (n_features,)."""
    scale = np.zeros(n_features)
    for band, weight in zip(bands, gamma, strict=True):
        scale[band] = np.sqrt(weight)
    return scale


def make_operator(
    scaled: Scaled,
    scale: np.ndarray,
    alphas: np.ndarray,
    shares: Sequence[float],
    *,
    n_train: int,
    dtype: Any = np.float32,
    columns: np.ndarray | None = None,
) -> Operator:
    """Decompose one candidate, given as the root of every feature's weight, on one training set.

    `shares` are the weights of the validation sets in the scores of their outer folds; `columns` says where the
    features stand among those whose products were computed, if not in order. Features of weight 0 are left out.
    """
    kept = np.flatnonzero((scale > 0) & (scaled.factor > 0))
    whole = len(kept) == len(scale)
    z = scale[kept]
    inside = np.ix_(kept, kept)
    spectrum = decompose(scaled.gram[inside] * z * z[:, None], float(alphas[0]))
    vectors = spectrum.vectors / spectrum.unit
    weighted = z[:, None] * vectors
    couplings = []
    for gram, share in zip(scaled.validation, shares, strict=True):
        inner = weighted.T @ gram[inside] @ weighted
        coupling = couple(spectrum.values, inner, alphas, n_train=n_train, dtype=dtype)
        weights = (coupling.weights * share).astype(dtype)
        couplings.append(Coupling(coupling.apart, coupling.close, coupling.near, weights, coupling.reach))
    rotate = np.ascontiguousarray((weighted * scaled.factor[kept, None]).T.astype(dtype))
    if columns is None:
        return Operator(None if whole else as_slice(kept), rotate, tuple(couplings))
    return Operator(as_slice(columns[kept]), rotate, tuple(couplings))


def as_slice(columns: np.ndarray) -> Any:
    """Convert neighbouring columns to a slice, which is read without a copy."""
    if len(columns) and bool((np.diff(columns) == 1).all()):
        return slice(int(columns[0]), int(columns[-1]) + 1)
    return columns


class Scratch:
    """Work arrays of one batch of targets, allocated once for all candidates."""

    def __init__(self, xp: Any, empty: Any, rank: int, n_alphas: int, n_outer: int, n_targets: int) -> None:
        self.xp = xp
        self.c, self.e = empty((rank, n_targets)), empty((rank, n_targets))
        self.work = empty((3 * rank, n_targets))
        self.total = empty((n_outer, n_alphas, n_targets))


def score_candidate(
    scratch: Scratch,
    operators: Sequence[Operator],
    products: SetProducts,
    outer: Sequence[Sequence[int]],
) -> Any:
    """Compute the losses (n_outer, n_alphas, n_targets) of one candidate at every penalty, as a view of the scratch.

    They are means over inner folds, less the mean square of the responses; `outer` lists the outer fold of every
    validation set of every training set.
    """
    xp = scratch.xp
    total = scratch.total
    total[:] = 0
    number = 0
    for operator, train, folds in zip(operators, products.train, outer, strict=True):
        rank = len(operator.rotate)
        c, e = scratch.c[:rank], scratch.e[:rank]
        rotate(xp, operator, train, c)
        xp.multiply(c, c, out=scratch.work[rank : 2 * rank])
        for coupling, fold in zip(operator.couplings, folds, strict=True):
            rotate(xp, operator, products.validation[number], e)
            total[fold] += losses(xp, coupling, c, e, scratch.work)
            number += 1
    return total


def rotate(xp: Any, operator: Operator, products: Any, out: Any) -> None:
    """Rotate products (n_features, n_targets) to the eigenvectors of a candidate, into `out` (rank, n_targets)."""
    part = products if operator.columns is None else products[operator.columns]
    xp.matmul(operator.rotate, part, out=out)


def start(empty: Any, whole: Any, n_outer: int, n_targets: int) -> Best:
    """Initialise the running best of every target (loss = +inf)."""
    loss = empty((n_outer, n_targets))
    loss[:] = float("inf")
    return Best(loss, whole((n_outer, n_targets)), whole((n_outer, n_targets)))


def improve(xp: Any, best: Best, total: Any, number: int) -> None:
    """Update the running best with the losses (n_outer, n_alphas, n_targets) of candidate `number`."""
    lowest = xp.amin(total, 1)
    better = lowest < best.loss
    if bool(better.any()):
        best.alpha = xp.where(better, xp.argmin(total, 1), best.alpha)
        best.candidate[better] = number
        best.loss = xp.where(better, lowest, best.loss)


def draw_candidates(n_bands: int, n: int, rng: np.random.Generator) -> np.ndarray:
    """Draw n weightings (n, n_bands): all bands equal, each band alone, then random mixtures.

    Half of the draws come from a Dirichlet distribution of concentration 0.1 (few bands matter), half from one of 1
    (uniform on the simplex). The first candidates of a longer list are those of a shorter one.
    """
    fixed = np.vstack([np.full((1, n_bands), 1 / n_bands), np.eye(n_bands)])
    if n_bands == 1:
        fixed = fixed[:1]
    n_draws = max(n - len(fixed), 0)
    concentration = np.where(np.arange(n_draws) % 2 == 0, 0.1, 1.0)
    gamma = rng.standard_gamma(np.repeat(concentration[:, None], n_bands, axis=1)) + 1e-300
    return np.vstack([fixed, gamma / gamma.sum(1, keepdims=True)])[:n]

"""Candidates of a model with wide bands: penalties of the wide ones, weightings and penalties of the narrow ones."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..rows import Rows
from .base import Size, Task, decomposition_operations, reduction_operations

# A band is worth it from so many features, and such a share of the training rows; below, statistics are quick.
FEWEST, SHARE_OF_ROWS = 128, 0.25
# Shares of the first of two wide bands in their kernel. Two more (.2 and .8) lower the mean error over targets by some
# 1e-4 of the variance, for the penalty of both is searched finely; twice the narrow weightings lower it by more.
SHARES = (0.0, 0.5, 1.0)
# Beside two wide bands there are so many more weightings of the narrow ones, to make up for that.
BESIDE_TWO = 1.25
# Penalties of the wide bands lie at least this factor apart: at half a decade a score changes by some 1e-4 only.
SPACING = 3.0
# About so many such penalties cover the usual range, for the count of operations.
N_SPACED = 13
# Operations that solving a tridiagonal system counts for, per row and right-hand side: as measured, since it waits for
# memory.
SOLVING = 900.0
# Stands for a penalty or a weighting where the wide or the narrow bands are left out.
NONE = -1


@dataclass(frozen=True, eq=False, slots=True)
class Grid:
    """Candidates of one model with wide bands.

    Attributes
    ----------
    wide, narrow : tuple of int
        Numbers of the bands.
    mixtures : ndarray of float64, shape (n_mixtures, n_wide)
        Weights of the wide bands among themselves.
    weightings : ndarray of float64, shape (n_weightings, n_narrow)
        Weights of the narrow bands among themselves.
    penalties : ndarray of float64, shape (n_penalties,)
        Penalties of a mixture.
    alphas : ndarray of float64, shape (n_alphas,)
        Penalties of a weighting.
    candidates : ndarray of int, shape (n_candidates, 3)
        Mixture, penalty and weighting of every candidate, in the order in which they are tried; -1 where the wide or
        the narrow bands are left out. A candidate without narrow bands has one penalty, its own.
    """

    wide: tuple[int, ...]
    narrow: tuple[int, ...]
    mixtures: np.ndarray
    weightings: np.ndarray
    penalties: np.ndarray
    alphas: np.ndarray
    candidates: np.ndarray

    def choices(self, candidate: np.ndarray, alpha: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Translate choices (n,) to weights (n, n_bands), which sum to one, and penalties (n,).

        A band of weight g under the penalty a is penalised by a / g: weights are inverse penalties.
        """
        mixture, penalty, weighting = self.candidates[candidate].T
        strength = np.where(penalty == NONE, 0.0, 1 / self.penalties[penalty])
        narrow = np.where(weighting == NONE, 0.0, 1 / self.alphas[alpha])
        total = strength + narrow
        gammas = np.zeros((len(candidate), len(self.wide) + len(self.narrow)))
        gammas[:, self.wide] = self.mixtures[mixture] * (strength / total)[:, None]
        if self.narrow:
            gammas[:, self.narrow] = self.weightings[weighting] * (narrow / total)[:, None]
        return gammas, 1 / total


def choose_wide(rows: Rows, widths: Sequence[int], n_candidates: int, n_alphas: int) -> tuple[int, ...]:
    """Choose which bands count as wide: the widest, or the two widest if that takes fewer operations per target."""
    order = sorted(range(len(widths)), key=lambda band: -widths[band])
    sets = [tuple(sorted(order[:n])) for n in (1, 2) if n <= len(widths)]
    size = Size(rows, tuple(widths), n_candidates, n_alphas)
    # Without the narrow bands' own search: which bands count as wide decides what is tried, and so the results.
    return min(sets, key=lambda wide: count_grid_operations(size, wide, alone=False)[1])


def is_wide(rows: Rows, widths: Sequence[int]) -> bool:
    """Return True if there are several bands and one of them is wide."""
    return len(widths) > 1 and max(widths) >= max(FEWEST, SHARE_OF_ROWS * float(rows.plan.n_train.mean()))


def count_weightings(n_narrow: int, n_bands: int, n_candidates: int) -> int:
    """Count weightings of the narrow bands that are as dense among them as the candidates among all bands."""
    if n_narrow < 2:
        return n_narrow
    more = BESIDE_TWO if n_bands - n_narrow == 2 else 1.0
    return max(n_narrow + 1, round(more * n_candidates ** ((n_narrow - 1) / (n_bands - 1))))


def make_grid(rows: Rows, task: Task) -> Grid:
    """Build the candidate grid of a model; its own candidates set the weights among narrow bands."""
    widths = [band.stop - band.start for band in task.bands]
    wide = choose_wide(rows, widths, len(task.gammas), len(task.alphas))
    narrow = tuple(band for band in range(len(widths)) if band not in wide)
    n_weightings = count_weightings(len(narrow), len(widths), len(task.gammas))
    weightings = _weightings(task.gammas[:, narrow], n_weightings)
    mixtures = np.ones((1, 1)) if len(wide) == 1 else np.array([[share, 1 - share] for share in SHARES])
    penalties = _spaced(task.alphas)
    # Where the wide bands are left out no mixture matters; that comes last of the first.
    tried = [
        (mixture, penalty, weighting)
        for mixture in range(len(mixtures))
        for penalty in [*range(len(penalties)), *([NONE] if mixture == 0 and len(weightings) else [])]
        for weighting in [*([NONE] if penalty != NONE else []), *range(len(weightings))]
    ]
    return Grid(wide, narrow, mixtures, weightings, penalties, task.alphas, np.array(tried))


def _weightings(gammas: np.ndarray, n: int) -> np.ndarray:
    """Return the first `n` distinct weightings of candidates, without the wide bands."""
    total = gammas.sum(1, keepdims=True)
    shares = (gammas / np.where(total > 0, total, 1.0))[total[:, 0] > 0]
    _, first = np.unique(shares.round(12), axis=0, return_index=True)
    return shares[np.sort(first)[:n]]


def _spaced(alphas: np.ndarray) -> np.ndarray:
    """Thin penalties to those at least a factor apart, from the largest down."""
    kept = [alphas[-1]]
    for alpha in alphas[-2::-1]:
        if kept[-1] / alpha >= SPACING * (1 - 1e-9):
            kept.append(alpha)
    return np.array(kept[::-1])


def count_grid_operations(size: Size, wide: tuple[int, ...], *, alone: bool = True) -> tuple[float, float]:
    """Count operations at once and for every target, with the search of the narrow bands `alone` or without it."""
    rows, A = size.rows, size.n_alphas
    n, v = float(rows.plan.n_train.mean()), float(rows.plan.n_validation.mean())
    n_sets, n_val = len(rows.sets), rows.n_validations
    p = sum(size.widths[band] for band in wide)
    q = size.n_features - p
    M = count_weightings(len(size.widths) - len(wide), len(size.widths), size.n_candidates)
    R, L = 1 if len(wide) == 1 else len(SHARES), min(A, N_SPACED)
    steps = R * L + (alone and M > 0)
    by_step = n_sets * 2 * q * n + n_val * 2 * v * (n + q)
    by_weighting = n_sets * 2 * q * q + n_val * (4 * q * q + 4 * A * q)
    per_target = R * n_sets * 2 * n * n + steps * (by_step + M * by_weighting)
    fixed = n_sets * n * n * p + n_val * 2 * v * n * p
    fixed += R * (n_sets * (reduction_operations(n) + 2 * n * n * q) + n_val * 2 * v * n * n)
    solved = SOLVING * n * (n_sets * q + n_val * v)
    weighted = M * n_sets * decomposition_operations(q, "cpu")
    fixed += steps * (solved + weighted + n_sets * 2 * n * q * q + n_val * 2 * v * q * (n + q))
    return fixed, per_target

"""Signal variance that different runs share: an estimate of the population R2 without a fitted penalty.

Write y_r = X_r b + e_r for run r, features and responses centred per run, S_r = X_r'X_r, C_r = X_r'y_r, S the sum of
S_r and N its inverse. Noise is independent between runs, so for r != s

    E[C_r' N C_s] = b' S_r N S_s b,

which no noise enters and which no number of features inflates. Features that are exchangeable over runs give
E[S_r N S_s] = c S, hence

    k_rs = C_r' N C_s * G (G - 1) tr(S) / (sum over r != s of tr(S_r N S_s) * y'y),    U = mean of k_rs over r != s

estimates b'Sb / y'y, the share of variance that is linear in the features. U is a U-statistic of order two over runs,
and its variance follows from the products k_rs alone. Everything linear in U (a difference of two spaces, a mean over
targets or participants, a unique part) is the same combination of kernels, with the same formula for its variance.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from .designs import contiguous_groups

MOST_BLOCKS = 20  # more runs than this are joined to blocks of neighbouring runs
FEWEST_BLOCKS = 4  # the variance of a U-statistic of order two needs products of four different blocks
RANK_TOLERANCE = 1e-9  # eigenvalues below this share of the largest are rounding


@dataclass(frozen=True, eq=False, slots=True)
class SharedSpace:
    """Features whitened over all rows: ``rows @ rows.T`` is X N X'."""

    rows: np.ndarray  # (n_samples, rank) Whitened features
    # (n_samples, rank) What is multiplied on the other side; the same array, or the second version of unreliable
    # features
    left: np.ndarray
    blocks: list[np.ndarray]  # Rows of each block of runs
    scale: float  # What a sum over pairs of different blocks is multiplied with
    # Where blocks are of stimuli: for each run the rows of every block, whose products are left out
    within: list[list[np.ndarray]]

    @property
    def rank(self) -> int:
        """Number of independent features."""
        return self.rows.shape[1]


@dataclass(frozen=True, eq=False, slots=True)
class Estimate:
    """Estimates with their variances."""

    value: np.ndarray  # One per target, region, or difference
    variance: np.ndarray  # Of each value
    df: np.ndarray  # Degrees of freedom of Student's t

    @property
    def se(self) -> np.ndarray:
        """Standard errors."""
        return np.sqrt(self.variance)

    @property
    def t(self) -> np.ndarray:
        """Estimate over standard error; NaN where nothing varies."""
        return np.divide(self.value, self.se, out=np.full(np.shape(self.value), np.nan), where=self.variance > 0)

    def p_above(self) -> np.ndarray:
        """One-sided p for a value above 0."""
        return stats.t.sf(self.t, self.df)

    def p_differs(self) -> np.ndarray:
        """Two-sided p for a value other than 0."""
        return 2 * stats.t.sf(np.abs(self.t), self.df)

    def interval(self, coverage: float = 0.95) -> tuple[np.ndarray, np.ndarray]:
        """Lower and upper limit."""
        half = stats.t.ppf(0.5 + coverage / 2, self.df) * self.se
        return self.value - half, self.value + half


def centre_runs(values: np.ndarray, run: np.ndarray) -> np.ndarray:
    """Centre the rows of every run on their mean, in float64."""
    centred = np.array(values, dtype=np.float64)
    for label in dict.fromkeys(run.tolist()):
        rows = run == label
        centred[rows] -= centred[rows].mean(0)
    return centred


def blocks_of_runs(run: np.ndarray, most: int = MOST_BLOCKS) -> list[np.ndarray]:
    """List the rows of every run, or of at most `most` blocks of neighbouring runs."""
    labels = list(dict.fromkeys(run.tolist()))
    group = np.arange(len(labels)) if len(labels) <= most else contiguous_groups(len(labels), most)
    of_run = dict(zip(labels, group.tolist(), strict=True))
    of_row = np.array([of_run[label] for label in run.tolist()], dtype=np.int64)
    return [np.flatnonzero(of_row == number) for number in range(len(set(group.tolist())))]


def inverse_root(gram: np.ndarray, penalty: float = 0.0) -> np.ndarray:
    """Compute W with W W' the inverse of gram + penalty, shape (n_features, rank), without directions of rounding."""
    values, vectors = np.linalg.eigh((gram + gram.T) / 2)
    if not len(values):
        return vectors
    kept = values > RANK_TOLERANCE * max(float(values[-1]), np.finfo(float).tiny)
    return vectors[:, kept] / np.sqrt(values[kept] + penalty)


def shared_space(
    X: np.ndarray, blocks: Sequence[np.ndarray], other: np.ndarray | None = None, *, run: np.ndarray | None = None
) -> SharedSpace:
    """Whiten features for products of different blocks.

    Shapes: `X` (n_samples, n_features), `other` (n_samples, n_features), `run` (n_samples,).
    """
    if len(blocks) < FEWEST_BLOCKS:
        raise ValueError(f"{len(blocks)} blocks of runs, but at least {FEWEST_BLOCKS} are needed for a variance")
    X = np.asarray(X, dtype=np.float64)
    second = X if other is None else np.asarray(other, dtype=np.float64)
    grams = [_symmetric(X[rows].T @ second[rows]) for rows in blocks]
    whole = np.sum(grams, axis=0)
    values = np.linalg.eigvalsh(whole)
    if not len(values) or not values[-1] > 0:
        raise ValueError("the features do not vary within runs")
    if other is not None and values[0] < -RANK_TOLERANCE * values[-1]:
        raise ValueError("both versions of the features share too little: X'other is not positive definite")
    root = inverse_root(whole)
    within = [] if run is None else _within_runs(blocks, run)
    crossed = _crossed(grams, root)
    for cells in within:
        crossed -= _crossed([_symmetric(X[rows].T @ second[rows]) for rows in cells], root)
    if not crossed > 0:
        raise ValueError("different runs share no variance of the features")
    n_pairs = len(blocks) * (len(blocks) - 1)
    rows = X @ root
    left = rows if other is None else second @ root
    return SharedSpace(rows, left, list(blocks), float(n_pairs * np.trace(whole) / crossed), within)


def _within_runs(blocks: Sequence[np.ndarray], run: np.ndarray) -> list[list[np.ndarray]]:
    return [[rows[run[rows] == label] for rows in blocks] for label in dict.fromkeys(run.tolist())]


def _crossed(grams: Sequence[np.ndarray], root: np.ndarray) -> float:
    """Sum tr(S_r N S_s) over different blocks."""
    total = np.sum(grams, axis=0)
    inside = [root.T @ gram for gram in (total, *grams)]
    squares = [float(np.square(part).sum()) for part in inside]
    return squares[0] - sum(squares[1:])


def _symmetric(matrix: np.ndarray) -> np.ndarray:
    return (matrix + matrix.T) / 2


def shared_kernel(space: SharedSpace, Y: np.ndarray) -> np.ndarray:
    """Multiply the products of features and responses of different blocks.

    Shapes: `Y` (n_samples, n_targets); returns (n_targets, n_blocks, n_blocks).
    """
    Y = np.asarray(Y, dtype=np.float64)
    kernel = _products(space, Y, space.blocks)
    for cells in space.within:
        kernel -= _products(space, Y, cells)
    square = np.einsum("nt,nt->t", Y, Y)
    kernel *= np.divide(space.scale, square, out=np.zeros_like(square), where=square > 0)[:, None, None]
    number = np.arange(len(space.blocks))
    kernel[:, number, number] = 0.0
    return kernel


def _products(space: SharedSpace, Y: np.ndarray, blocks: Sequence[np.ndarray]) -> np.ndarray:
    """C_r' N C_s of all pairs of blocks, shape (n_targets, n_blocks, n_blocks), symmetric."""
    first = np.stack([Y[rows].T @ space.rows[rows] for rows in blocks], axis=1)
    if space.left is space.rows:
        return first @ first.transpose(0, 2, 1)
    second = np.stack([Y[rows].T @ space.left[rows] for rows in blocks], axis=1)
    kernel = first @ second.transpose(0, 2, 1)
    return (kernel + kernel.transpose(0, 2, 1)) / 2


def estimate(kernel: np.ndarray) -> Estimate:
    """Average products of different blocks, with the variance of a U-statistic.

    Shapes: `kernel` (..., n_blocks, n_blocks).
    """
    G = kernel.shape[-1]
    rows = kernel.sum(-1)
    A, B, Q = rows.sum(-1), np.square(rows).sum(-1), np.square(kernel).sum((-2, -1))
    pairs, triples = G * (G - 1), G * (G - 1) * (G - 2)
    squared = (A**2 - 4 * (B - Q) - 2 * Q) / (triples * (G - 3))
    one, two = np.maximum(0, (B - Q) / triples - squared), np.maximum(0, Q / pairs - squared)
    variance = (4 * (G - 2) * one + 2 * two) / pairs
    return Estimate(A / pairs, variance, np.full(np.shape(A), float(G - 1)))


def over_participants(kernels: np.ndarray, *, shared: bool) -> Estimate:
    """Average over participants, as a statement about the population of participants (and of stimuli).

    Shapes: `kernels` (n_participants, ..., n_blocks, n_blocks).
    """
    n, G = kernels.shape[0], kernels.shape[-1]
    if n < 2:
        raise ValueError(f"{n} participant; a statement about participants needs at least two")
    each = estimate(kernels)
    value = each.value.mean(0)
    of_subjects = each.value.var(0, ddof=1) / n
    if not shared:
        variance = np.maximum(of_subjects, each.variance.sum(0) / n**2)
        return Estimate(value, variance, np.full(np.shape(value), float(n - 1)))
    of_runs = estimate(kernels.mean(0)).variance
    # What is neither common to participants nor to runs is in both terms; it counts once.
    both = np.maximum(0, (each.variance.sum(0) / n**2 - of_runs / n) * n / (n - 1))
    variance = np.maximum.reduce([of_runs, of_subjects, of_runs + of_subjects - both])
    spread = of_runs**2 / (G - 1) + of_subjects**2 / (n - 1)
    df = np.divide(variance**2, spread, out=np.full(np.shape(value), float(min(n, G) - 1)), where=spread > 0)
    return Estimate(value, variance, np.clip(df, min(n, G) - 1, n + G - 2))


def reliability(first: np.ndarray, second: np.ndarray) -> float:
    """Correlate two versions of features column by column; the mean weighted by variance."""
    first, second = first - first.mean(0), second - second.mean(0)
    scale = np.sqrt(np.square(first).sum() * np.square(second).sum())
    return float((first * second).sum() / scale) if scale > 0 else 0.0

"""Tests of representational similarity: runs of stimuli are exchanged, and differences vary over runs.

Pairs of stimuli are far from independent, runs are. The correlation r of two similarities over pairs of stimuli of
different runs is computed again without each run (jackknife), r_(s). With a_s = (G - 1) (r - r_(s)) / 2, centred, the
kernel

    k_st = r + a_s + a_t      for runs s != t

averages to r, and its variance as a U-statistic (see `shared_variance.estimate`) is that of the jackknife. Differences
of models, and means over participants, are therefore combinations of kernels here as they are there. (The linear part
of r in each pair of runs gives .07 to .13 at p <= .05 for equal models; the jackknife .035 to .07.)
"""

from collections.abc import Sequence

import numpy as np

from .permutation import Scheme


def standard(values: np.ndarray) -> np.ndarray:
    """Centre and scale to unit length; NaN where nothing varies."""
    centred = np.asarray(values, dtype=np.float64) - np.mean(values)
    norm = np.linalg.norm(centred)
    return centred / norm if norm > 1e-12 * np.linalg.norm(values) else np.full(len(centred), np.nan)


def similarity_kernel(
    model: np.ndarray, brain: np.ndarray, first: np.ndarray, second: np.ndarray, n: int
) -> np.ndarray:
    """Build the kernel of a correlation over pairs, shape (n_blocks, n_blocks), zero on the diagonal.

    Shapes: `model, brain` (n_pairs,), `first, second` (n_pairs,).
    """
    m, b = standard(model), standard(brain)
    place = first * n + second
    parts = np.stack([
        np.bincount(place, weights, n * n).reshape(n, n) for weights in (np.ones(len(m)), m, b, m * m, b * b, m * b)
    ])  # fmt: skip
    of_block = parts.sum(1) + parts.sum(2)
    total = parts.sum((1, 2))
    whole, without = _correlation(total), _correlation(total[:, None] - of_block)
    deviation = (n - 1) * (whole - without) / 2
    deviation -= deviation.mean()
    kernel = whole + deviation[:, None] + deviation
    kernel[np.arange(n), np.arange(n)] = 0.0
    return kernel


def _correlation(sums: np.ndarray) -> np.ndarray:
    """Pearson's r from counts, sums, sums of squares and of products, shape (6, ...)."""
    n, m, b, mm, bb, mb = sums
    with np.errstate(invalid="ignore", divide="ignore"):
        return (mb - m * b / n) / np.sqrt((mm - m * m / n) * (bb - b * b / n))


def exchanged(
    models: Sequence[np.ndarray],
    brains: np.ndarray,
    pairs: tuple[np.ndarray, np.ndarray],
    scheme: Scheme,
    n_draws: int,
) -> np.ndarray:
    """Correlate similarities after exchanges of stimuli between runs.

    Shapes: `models` (n_stimuli, n_stimuli), `brains` (n_regions, n_pairs), `pairs` (n_pairs,); returns (n_draws +
    1, n_models, n_regions).
    """
    kept = np.isin(pairs[0], scheme.rows) & np.isin(pairs[1], scheme.rows)
    left, right = pairs[0][kept], pairs[1][kept]
    brains = np.ascontiguousarray(np.stack([standard(row[kept]) for row in brains]).T, dtype=np.float32)
    matrices = []
    for model in models:
        values = standard(model[left, right])
        mean, norm = model[left, right].mean(), np.linalg.norm(model[left, right] - model[left, right].mean())
        matrices.append(((model - mean) / norm if np.isfinite(values).all() else model * np.nan).astype(np.float32))
    found = np.empty((n_draws + 1, len(models), brains.shape[1]), dtype=np.float32)
    place = np.empty(len(models[0]), dtype=np.int64)
    for draw in range(n_draws + 1):
        order = scheme.order(draw)
        place[scheme.rows] = np.concatenate([scheme.units[a] for a in order])
        moved_left, moved_right = place[left], place[right]
        for number, matrix in enumerate(matrices):
            found[draw, number] = matrix[moved_left, moved_right] @ brains
    return found


def noise_ceiling(brains: np.ndarray) -> tuple[float, float]:
    """Bound what a perfect model could reach in the average participant (Nili et al. 2014).

    Parameters
    ----------
    brains : ndarray, shape (n_participants, n_pairs)
        Similarities of responses to the same stimuli; of ranks where ranks are compared.

    Returns
    -------
    lower, upper : float
        Mean correlation with the mean of the other participants, and with the mean of all.
    """
    each = np.stack([standard(row) for row in brains])
    total = each.sum(0)
    lower = np.mean([row @ standard(total - row) for row in each])
    upper = np.mean([row @ standard(total) for row in each])
    return float(lower), float(upper)

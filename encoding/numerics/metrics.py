"""Scores of held-out predictions, all from the same few sums.

For one fold let y be the responses and p = sum_b p_b the predictions, both about the mean of y over the
*training* samples. Then with sums over held-out samples

    r        = Pearson(y, p) in each fold, averaged over folds through Fisher's z
    r2       = 1 - sum_folds SSE / sum_folds SST,  SSE = |y - p|^2,  SST = |y|^2
    split r2 = sum_folds (2 y'p_b - p'p_b) / sum_folds SST    (product measure; sums to r2 over bands)

The product measure is that of Dupré la Tour, Eickenberg, Nunez-Elizalde & Gallant (2022), NeuroImage 264:119728.
"""

import numpy as np
from scipy.stats import t as student_t


def fold_sums(y: np.ndarray, p_bands: np.ndarray) -> dict[str, np.ndarray]:
    """Sum what all scores need over the held-out samples of one fold.

    Shapes: `y` (n_samples, n_targets), `p_bands` (n_bands, n_samples, n_targets).
    """
    y = y.astype(np.float64)
    bands = p_bands.astype(np.float64)
    p = bands.sum(0)
    return {
        "y": y.sum(0),
        "p": p.sum(0),
        "yy": np.einsum("nt,nt->t", y, y),
        "pp": np.einsum("nt,nt->t", p, p),
        "yp": np.einsum("nt,nt->t", y, p),
        "y_band": np.einsum("nt,bnt->bt", y, bands),
        "p_band": np.einsum("nt,bnt->bt", p, bands),
    }


def correlation(
    n: np.ndarray | int, y: np.ndarray, p: np.ndarray, yy: np.ndarray, pp: np.ndarray, yp: np.ndarray
) -> np.ndarray:
    """Compute Pearson correlations from sums."""
    var_y, var_p = yy - y * y / n, pp - p * p / n
    # A constant has a variance of rounding errors only.
    flat_p = var_p <= 1e-12 * np.maximum(pp, np.finfo(float).tiny)
    flat_y = var_y <= 1e-12 * np.maximum(yy, np.finfo(float).tiny)
    scale = np.sqrt(np.where(flat_p, 1.0, var_p) * np.where(flat_y, np.nan, var_y))
    return np.where(flat_p, np.where(flat_y, np.nan, 0.0 * scale), (yp - y * p / n) / scale).clip(-1, 1)


def fisher_mean(r: np.ndarray) -> np.ndarray:
    """Average correlations over the first axis through Fisher's z.

    Shapes: `r` (n, ...); returns (...).
    """
    limit = 1 - 1e-12
    return np.tanh(np.arctanh(np.clip(r, -limit, limit)).mean(0))


def fold_averaged_r(
    n: np.ndarray, y: np.ndarray, p: np.ndarray, yy: np.ndarray, pp: np.ndarray, yp: np.ndarray
) -> np.ndarray:
    """Average the correlation of every fold through Fisher's z.

    Unlike the correlation over all held-out samples at once, this has no bias below zero: there, training
    means that move against the test means make a useless model correlate negatively.

    Shapes: `n` (n_folds,), `y, p, yy, pp, yp` (n_folds, n_targets); returns (n_targets,).
    """
    return fisher_mean(correlation(n[:, None], y, p, yy, pp, yp))


def pooled_r(n: np.ndarray, y: np.ndarray, p: np.ndarray, yy: np.ndarray, pp: np.ndarray, yp: np.ndarray) -> np.ndarray:
    """Correlate responses and predictions over the held-out samples of all folds at once.

    Shapes: `n` (n_folds,), `y, p, yy, pp, yp` (n_folds, n_targets); returns (n_targets,).
    """
    return correlation(n.sum(), *(part.sum(0) for part in (y, p, yy, pp, yp)))


def r2(yy: np.ndarray, pp: np.ndarray, yp: np.ndarray) -> np.ndarray:
    """Compute the share of variance explained about the training mean, over all folds.

    Shapes: `yy, pp, yp` (n_folds, n_targets); returns (n_targets,).
    """
    total = yy.sum(0)
    return (2 * yp - pp).sum(0) / np.where(total > 0, total, np.nan)


def split_r2(yy: np.ndarray, y_band: np.ndarray, p_band: np.ndarray) -> np.ndarray:
    """Divide the variance explained among the bands by the product measure.

    Shapes: `yy` (n_folds, n_targets), `y_band, p_band` (n_folds, n_bands, n_targets); returns (n_bands, n_targets).
    """
    total = yy.sum(0)
    return (2 * y_band - p_band).sum(0) / np.where(total > 0, total, np.nan)


def correlation_of_noise(n_samples: int, share: float) -> float:
    """Find the correlation that a share of pairs of unrelated variables exceeds.

    The distribution is that of r = t / sqrt(n - 2 + t^2) with Student's t of n - 2 degrees of freedom: samples are
    taken as independent and normal.

    Examples
    --------
    >>> round(correlation_of_noise(200, 0.01), 3)
    0.164
    """
    t = float(student_t.isf(share, n_samples - 2))
    return t / float(np.sqrt(n_samples - 2 + t * t))

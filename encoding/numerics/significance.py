"""Probabilities of scores under independent noise, and false discovery rates."""

import numpy as np
from scipy import stats


def noise_probability(r: np.ndarray, n: np.ndarray, *, pooled: bool) -> np.ndarray:
    """Compute how often unrelated responses and predictions correlate as highly, one-sided.

    Responses and predictions are taken as independent normal samples. One fold, or samples of all folds at once: exact,
    by Student's t of n - 2 degrees of freedom. The Fisher average over several folds: normal, each fold's z having the
    variance 1 / (n - 3).

    Shapes: `n` (n_folds,).

    Examples
    --------
    >>> float(noise_probability(np.array(0.111), np.array([2181]), pooled=True) * 1e5) < 0.011
    True
    """
    r = np.clip(np.asarray(r, dtype=np.float64), -1 + 1e-12, 1 - 1e-12)
    n = np.asarray(n)
    if pooled or len(n) == 1:
        free = n.sum() - 2
        return stats.t.sf(r * np.sqrt(free / (1 - r * r)), free)
    return stats.norm.sf(np.arctanh(r) * len(n) / np.sqrt(np.sum(1 / (n - 3.0))))


def discovery_rates(p: np.ndarray) -> np.ndarray:
    """Turn probabilities into false discovery rates, by Benjamini and Hochberg (1995).

    Shapes: `p` (n,); returns (n,).

    Examples
    --------
    >>> discovery_rates(np.array([0.01, 0.04, np.nan, 0.5])).round(3).tolist()
    [0.03, 0.06, nan, 0.5]
    """
    q = np.full(p.shape, np.nan)
    known = np.isfinite(p)
    if known.any():
        q[known] = stats.false_discovery_control(p[known])
    return q

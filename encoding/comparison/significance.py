"""Which targets a model predicts better than independent noise would."""

from typing import Any

import numpy as np

from ..core import DataError, Scores
from ..numerics.significance import discovery_rates, noise_probability


def discoveries(scores: Scores, n: np.ndarray) -> np.ndarray:
    """Compute the false discovery rate of every score, model by model.

    Parameters
    ----------
    scores : Scores
        Correlations, "r" or "pooled_r".
    n : ndarray of int, shape (n_folds,)
        Held-out samples of each outer fold.

    Returns
    -------
    ndarray of float64, shape (n_rows, n_targets)
        Rates over the usable targets of each model, one-sided; neighbouring samples are taken as independent.

    Raises
    ------
    DataError
        If the scores are no correlations, or a fold has fewer than four samples.
    """
    if scores.metric not in ("r", "pooled_r"):
        raise DataError(f'Significance against noise needs correlations ("r" or "pooled_r"), not {scores.metric!r}.')
    if np.min(n) < 4:
        raise DataError(f"An outer fold has {np.min(n)} held-out samples; significance against noise needs 4 or more.")
    p = noise_probability(scores.values, n, pooled=scores.metric == "pooled_r")
    return np.stack([discovery_rates(row) for row in p])


def count_discoveries(scores: Scores, rates: np.ndarray, level: float) -> dict[str, dict[str, Any]]:
    """Count the targets of every model that are discoveries.

    Parameters
    ----------
    scores : Scores
        What was tested.
    rates : ndarray, shape (n_rows, n_targets)
        Of `discoveries`.
    level : float
        Accepted false discovery rate.

    Returns
    -------
    dict
        By model: ``n`` targets, their ``share`` of the usable ones, and the smallest score among them (``critical``;
        None without any).
    """
    found: dict[str, dict[str, Any]] = {}
    for row, values, q in zip(scores.rows, scores.values, rates, strict=True):
        inside = q <= level
        usable = max(int(np.isfinite(q).sum()), 1)
        critical = float(values[inside].min()) if inside.any() else None
        found[row.model] = {"n": int(inside.sum()), "share": float(inside.sum()) / usable, "critical": critical}
    return found

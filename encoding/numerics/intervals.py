"""Overlaps in time: which presentation falls into which volume, and for how long."""

import numpy as np


def overlaps(start: np.ndarray, stop: np.ndarray, other_start: np.ndarray, other_stop: np.ndarray) -> np.ndarray:
    """Measure how long each interval of one list overlaps each interval of another.

    Shapes: `start, stop` (n,), `other_start, other_stop` (m,); returns (n, m).

    Examples
    --------
    >>> overlaps(np.array([0.0, 2.0]), np.array([2.0, 4.0]), np.array([1.5]), np.array([4.0]))
    array([[0.5],
           [2. ]])
    """
    first = np.maximum(np.asarray(start)[:, None], np.asarray(other_start)[None])
    last = np.minimum(np.asarray(stop)[:, None], np.asarray(other_stop)[None])
    shared = last - first
    return np.where(shared > 1e-6, shared, 0.0)


def mean_weights(shared: np.ndarray) -> np.ndarray:
    """Turn overlaps into the weights of a mean.

    Shapes: `shared` (n, m); returns (n, m).
    """
    total = shared.sum(axis=1, keepdims=True)
    return np.divide(shared, total, out=np.zeros_like(shared, dtype=np.float64), where=total > 0)

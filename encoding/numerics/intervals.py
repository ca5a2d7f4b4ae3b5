"""Overlaps in time: which presentation falls into which volume, and for how long."""

import numpy as np


def overlaps(start: np.ndarray, stop: np.ndarray, other_start: np.ndarray, other_stop: np.ndarray) -> np.ndarray:
    """Measure how long each interval of one list overlaps each interval of another.

    Parameters
    ----------
    start, stop : ndarray, shape (n,)
        Intervals, in seconds.
    other_start, other_stop : ndarray, shape (m,)
        Intervals, in seconds.

    Returns
    -------
    ndarray of float64, shape (n, m)
        Seconds, 0 where they do not overlap. Slivers below a microsecond count as rounding and are 0.

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

    Parameters
    ----------
    shared : ndarray, shape (n, m)
        Overlaps.

    Returns
    -------
    ndarray of float64, shape (n, m)
        Rows add up to 1, or are 0 where nothing overlaps.
    """
    total = shared.sum(axis=1, keepdims=True)
    return np.divide(shared, total, out=np.zeros_like(shared, dtype=np.float64), where=total > 0)

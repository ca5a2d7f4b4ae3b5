"""Which dimension of one embedding is which of another."""

import numpy as np
from scipy.optimize import linear_sum_assignment

LARGEST = 1 - 1e-7  # keeps Fisher's z finite for dimensions that are the same


def correlate_columns(A: np.ndarray, B: np.ndarray) -> np.ndarray:
    """Correlate every column of one matrix with every column of another.

    Parameters
    ----------
    A : ndarray, shape (n, a)
        Columns.
    B : ndarray, shape (n, b)
        Columns.

    Returns
    -------
    ndarray, shape (a, b)
        Pearson r; 0 for a constant column.
    """
    parts = []
    for values in (A, B):
        centred = np.asarray(values, dtype=np.float64) - np.mean(values, axis=0, dtype=np.float64)
        norm = np.linalg.norm(centred, axis=0)
        parts.append(np.divide(centred, norm, out=np.zeros_like(centred), where=norm > 1e-12 * np.sqrt(len(centred))))
    return parts[0].T @ parts[1]


def match_columns(A: np.ndarray, B: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Pair columns so that the sum of correlations is as large as possible (Hungarian method).

    Parameters
    ----------
    A : ndarray, shape (n, a)
        Columns.
    B : ndarray, shape (n, b)
        Columns.

    Returns
    -------
    partner : ndarray of int, shape (a,)
        Column of `B` for each of `A`; -1 for those that are left over.
    r : ndarray, shape (a,)
        Their correlation; 0 for those that are left over.
    """
    table = correlate_columns(A, B)
    rows, columns = linear_sum_assignment(-table)
    partner, r = np.full(len(table), -1), np.zeros(len(table))
    partner[rows], r[rows] = columns, table[rows, columns]
    return partner, r


def fisher_interval(r: np.ndarray, *, critical: np.ndarray | float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Average correlations over runs on Fisher's scale.

    Parameters
    ----------
    r : ndarray, shape (n_runs, n_dims)
        Correlations.
    critical : float
        Quantile of Student's t for the interval.

    Returns
    -------
    mean, low, high : ndarray, shape (n_dims,)
        Back on the scale of r; the interval of a single run is NaN.
    """
    z = np.arctanh(np.clip(r, -LARGEST, LARGEST))
    mean = z.mean(axis=0)
    half = critical * z.std(axis=0, ddof=1) / np.sqrt(len(z)) if len(z) > 1 else np.full_like(mean, np.nan)
    return np.tanh(mean), np.tanh(mean - half), np.tanh(mean + half)

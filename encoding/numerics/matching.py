"""Which dimension of one embedding is which of another."""

import numpy as np
from scipy.optimize import linear_sum_assignment

LARGEST = 1 - 1e-7  # keeps Fisher's z finite for dimensions that are the same


def correlate_columns(A: np.ndarray, B: np.ndarray) -> np.ndarray:
    """Correlate every column of one matrix with every column of another.

    Shapes: `A` (n, a), `B` (n, b); returns (a, b).
    """
    parts = []
    for values in (A, B):
        centred = np.asarray(values, dtype=np.float64) - np.mean(values, axis=0, dtype=np.float64)
        norm = np.linalg.norm(centred, axis=0)
        parts.append(np.divide(centred, norm, out=np.zeros_like(centred), where=norm > 1e-12 * np.sqrt(len(centred))))
    return parts[0].T @ parts[1]


def match_columns(A: np.ndarray, B: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Pair columns so that the sum of correlations is as large as possible (Hungarian method).

    Shapes: `A` (n, a), `B` (n, b); returns partner (a,), r (a,).
    """
    table = correlate_columns(A, B)
    rows, columns = linear_sum_assignment(-table)
    partner, r = np.full(len(table), -1), np.zeros(len(table))
    partner[rows], r[rows] = columns, table[rows, columns]
    return partner, r


def fisher_interval(r: np.ndarray, *, critical: np.ndarray | float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Average correlations over runs on Fisher's scale.

    Shapes: `r` (n_runs, n_dims); returns mean, low, high (n_dims,).
    """
    z = np.arctanh(np.clip(r, -LARGEST, LARGEST))
    mean = z.mean(axis=0)
    half = critical * z.std(axis=0, ddof=1) / np.sqrt(len(z)) if len(z) > 1 else np.full_like(mean, np.nan)
    return np.tanh(mean), np.tanh(mean - half), np.tanh(mean + half)

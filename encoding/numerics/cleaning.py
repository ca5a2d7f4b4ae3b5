"""Take nuisance out of time series."""

import numpy as np

# Chunks of targets are worked on in float64; this many values at a time keeps that to tens of megabytes.
CHUNK_VALUES = 1 << 20
# What is left of a signal after projection below this part of it is rounding.
ROUNDING = 1e-6


def clean_series(
    values: np.ndarray,
    drift: np.ndarray,
    nuisance: np.ndarray,
    *,
    standardize: bool = True,
    despike: float | None = None,
) -> np.ndarray:
    """Project drift and nuisance out of every column, in place.

    Parameters
    ----------
    values : ndarray of float32, shape (n_samples, n_targets)
        Time series of one run; overwritten. Columns that are not finite, do not vary, or are nothing but
        drift and nuisance become NaN.
    drift, nuisance : ndarray, shape (n_samples, any)
        Orthonormal columns, together as well; the constant is in `drift`.
    standardize : bool
        Divide by the standard deviation of the run (n - 1 in the denominator).
    despike : float, optional
        Values beyond this many standard deviations are set to that limit.

    Returns
    -------
    ndarray of bool, shape (n_targets,)
        Columns that cannot be used.
    """
    n_samples, n_targets = values.shape
    basis = np.concatenate([drift, nuisance], axis=1).astype(np.float64)
    unusable = np.zeros(n_targets, dtype=bool)
    step = max(1, CHUNK_VALUES // max(n_samples, 1))
    for start in range(0, n_targets, step):
        columns = slice(start, start + step)
        raw = values[:, columns].astype(np.float64)
        bad = ~np.isfinite(raw).all(axis=0)
        raw[:, bad] = 0.0
        raw -= raw.mean(axis=0)
        before = np.linalg.norm(raw, axis=0)
        raw -= basis @ (basis.T @ raw)
        norm = np.linalg.norm(raw, axis=0)
        bad |= (before == 0) | (norm <= ROUNDING * before)
        if despike is not None:
            limit = despike * norm / np.sqrt(n_samples - 1)
            np.clip(raw, -limit, limit, out=raw)
            raw -= raw.mean(axis=0)
            norm = np.linalg.norm(raw, axis=0)
        if standardize:
            raw /= np.where(bad, 1.0, norm / np.sqrt(n_samples - 1))
        raw[:, bad] = np.nan
        values[:, columns] = raw
        unusable[columns] = bad
    return unusable


def zscore_rows(values: np.ndarray) -> np.ndarray:
    """Standardise every column over its rows, in place.

    Parameters
    ----------
    values : ndarray of float32, shape (n_rows, n_targets)
        Responses of one run; overwritten. Columns that are not finite or do not vary become NaN.

    Returns
    -------
    ndarray of bool, shape (n_targets,)
        Columns that cannot be used.
    """
    return clean_series(values, np.full((len(values), 1), len(values) ** -0.5), np.zeros((len(values), 0)))

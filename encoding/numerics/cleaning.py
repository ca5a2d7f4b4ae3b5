"""Remove nuisance signals from time series."""

import numpy as np

# Chunks of targets are worked on in float64; this many values at a time keeps that to tens of megabytes.
CHUNK_VALUES = 1 << 20
# What is left of a signal after projection below this part of it is rounding.
ROUNDING = 1e-6
# Responses come in float32: what is left below a few of its steps, in parts of the raw signal, is rounding too.
FLOAT32_STEPS = 4 * float(np.finfo(np.float32).eps)


def clean_series(
    values: np.ndarray,
    drift: np.ndarray,
    nuisance: np.ndarray,
    *,
    standardize: bool = True,
    despike: float | None = None,
) -> np.ndarray:
    """Project drift and nuisance out of every column, in place.

    Shapes: `values` (n_samples, n_targets), `drift, nuisance` (n_samples, any); returns (n_targets,).
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
        whole = np.linalg.norm(raw, axis=0)
        raw -= raw.mean(axis=0)
        before = np.linalg.norm(raw, axis=0)
        raw -= basis @ (basis.T @ raw)
        norm = np.linalg.norm(raw, axis=0)
        bad |= (before == 0) | (norm <= np.maximum(ROUNDING * before, FLOAT32_STEPS * whole))
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

    Shapes: `values` (n_rows, n_targets); returns (n_targets,).
    """
    return clean_series(values, np.full((len(values), 1), len(values) ** -0.5), np.zeros((len(values), 0)))


def cosine_drifts(n_scans: int, t_r: float, high_pass: float) -> np.ndarray:
    """Make the slow cosines of the discrete cosine transform, as SPM and nilearn do.

    Column k is ``sqrt(2 / n) cos(pi k (t + 1/2) / n)`` for k = 1 ... floor(2 n t_r high_pass), where n is the
    number of volumes.

    Returns (n_scans, n_cosines).

    Examples
    --------
    >>> cosine_drifts(121, 2.5, 0.008).shape
    (121, 4)
    """
    order = min(n_scans - 1, int(np.floor(2 * n_scans * t_r * high_pass)))
    k = np.arange(1, order + 1)
    t = np.arange(n_scans)[:, None]
    return np.sqrt(2 / n_scans) * np.cos(np.pi * k * (t + 0.5) / n_scans)


def linear_drift(n_scans: int) -> np.ndarray:
    """Make a linear trend.

    Returns (n_scans, 1).
    """
    return np.linspace(-1.0, 1.0, n_scans)[:, None]


def orthonormal(columns: np.ndarray, *, within: np.ndarray | None = None, tol: float = 1e-8) -> np.ndarray:
    """Make an orthonormal basis of what some columns span.

    Shapes: `columns` (n_samples, n_columns), `within` (n_samples, n_basis); returns (n_samples, rank).
    """
    columns = np.asarray(columns, dtype=np.float64)
    size = np.abs(columns).max(axis=0, initial=0.0)
    columns = np.where(size > 1e150, columns / np.where(size > 0, size, 1.0), columns)  # whose squares would overflow
    length = np.linalg.norm(columns, axis=0)
    columns = columns[:, length > 0] / length[length > 0]
    if within is not None and columns.size:
        # Twice is enough (Kahan): the first pass leaves rounding errors of the size of the columns.
        for _ in range(2):
            columns = columns - within @ (within.T @ columns)
    if not columns.size:
        return np.zeros((columns.shape[0], 0))
    left, singular, _ = np.linalg.svd(columns, full_matrices=False)
    return left[:, singular > tol * max(1.0, singular[0])]


def project_out(values: np.ndarray, basis: np.ndarray) -> np.ndarray:
    """Project the span of an orthonormal basis out of every column.

    Shapes: `values` (n_samples, n_columns), `basis` (n_samples, n_basis); returns (n_samples, n_columns).
    """
    values = np.asarray(values, dtype=np.float64)
    basis = np.asarray(basis, dtype=np.float64)
    return values - basis @ (basis.T @ values)

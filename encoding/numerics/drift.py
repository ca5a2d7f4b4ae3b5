"""Slow signals of a run, and how they are taken out of responses and features alike."""

import numpy as np


def cosine_drifts(n_scans: int, t_r: float, high_pass: float) -> np.ndarray:
    """Make the slow cosines of the discrete cosine transform, as SPM and nilearn do.

    Column k is ``sqrt(2 / n) cos(pi k (t + 1/2) / n)`` for k = 1 ... floor(2 n t_r high_pass), where n is the
    number of volumes.

    Parameters
    ----------
    n_scans : int
        Volumes of the whole run, before any is left out.
    t_r : float
        Repetition time in seconds.
    high_pass : float
        Cutoff in Hz: slower cosines are in the basis.

    Returns
    -------
    ndarray of float64, shape (n_scans, n_cosines)
        Orthonormal columns; none if the run is shorter than half a period.

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

    Parameters
    ----------
    n_scans : int
        Volumes of the whole run.

    Returns
    -------
    ndarray of float64, shape (n_scans, 1)
        From -1 to 1.
    """
    return np.linspace(-1.0, 1.0, n_scans)[:, None]


def orthonormal(columns: np.ndarray, *, within: np.ndarray | None = None, tol: float = 1e-8) -> np.ndarray:
    """Make an orthonormal basis of what some columns span.

    Parameters
    ----------
    columns : ndarray, shape (n_samples, n_columns)
        Any columns, dependent ones included.
    within : ndarray, shape (n_samples, n_basis), optional
        Orthonormal columns whose span is taken out first.
    tol : float
        Directions whose singular value, after scaling columns to unit length, is below this part of the
        largest are left out.

    Returns
    -------
    ndarray of float64, shape (n_samples, rank)
        Orthonormal columns, orthogonal to `within`.
    """
    columns = np.asarray(columns, dtype=np.float64)
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
    """Take the span of an orthonormal basis out of every column.

    Parameters
    ----------
    values : ndarray, shape (n_samples, n_columns)
        Signals.
    basis : ndarray, shape (n_samples, n_basis)
        Orthonormal columns; columns of zeros do nothing.

    Returns
    -------
    ndarray of float64, shape (n_samples, n_columns)
        ``values - basis basis' values``.
    """
    values = np.asarray(values, dtype=np.float64)
    basis = np.asarray(basis, dtype=np.float64)
    return values - basis @ (basis.T @ values)

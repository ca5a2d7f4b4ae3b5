"""Correlation of neighbouring samples within runs."""

import numpy as np


def lag_one(values: np.ndarray, run: np.ndarray) -> np.ndarray:
    """Compute the lag-1 autocorrelation of every column, pooled over runs.

    Every run is centred on its own mean, which biases the estimate by about -(1 + 3 rho) / n for runs of n samples
    (Kendall 1954); that bias is removed.

    Shapes: `values` (n_samples, n_columns), `run` (n_samples,); returns (n_columns,).

    Examples
    --------
    >>> steps = np.repeat(np.random.default_rng(0).standard_normal(3000), 2)[:, None]
    >>> round(float(lag_one(steps, np.full(6000, "run"))[0]), 1)
    0.5
    """
    products = np.zeros(values.shape[1])
    squares = np.zeros(values.shape[1])
    length = []
    for label in dict.fromkeys(run.tolist()):
        rows = np.asarray(values[run == label], dtype=np.float64)
        if len(rows) < 6:
            continue
        rows = rows - rows.mean(0)
        products += np.einsum("nt,nt->t", rows[1:], rows[:-1])
        squares += np.einsum("nt,nt->t", rows, rows)
        length.append(len(rows))
    if not length:
        return np.full(values.shape[1], np.nan)
    raw = np.divide(products, squares, out=np.full(values.shape[1], np.nan), where=squares > 0)
    n = len(values) if len(length) == 1 else float(np.mean(length))
    return np.clip((raw * n + 1) / (n - 3), -1, 1)


def variance_inflation(first: np.ndarray | float, second: np.ndarray | float) -> np.ndarray:
    """Compute how many times larger the variance of a null correlation of two AR(1) series is than of white ones."""
    product = np.multiply(first, second)
    return (1 + product) / (1 - product)

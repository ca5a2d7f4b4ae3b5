"""Refit chosen weights and penalties from the rows of a fold, and predict what it holds out."""

import numpy as np

from ...numerics.designs import scale_set
from ...numerics.metrics import fold_sums
from ...numerics.ridge import band_predictions, band_weights, scale_band
from ..design import DesignMatrix, average
from .base import Keep, Task


def refit_fold(
    design: DesignMatrix,
    task: Task,
    number: int,
    Y: np.ndarray,
    *,
    gammas: np.ndarray,
    alphas: np.ndarray,
    keep: Keep | None,
    unit: np.ndarray,
) -> dict[str, np.ndarray]:
    """Refit one outer fold with gammas (n_bands, n_targets) and alphas (n_targets,); return sums over held-out rows.

    Predictions and sums are multiplied by `unit` (n_targets,), the size of a target in Y.
    """
    fold = design.folds[number]
    train, test = scaled_fold(design, task, number)
    Y_train = Y[fold.train].astype(np.float64)
    mean = Y_train.mean(0)
    Y_train -= mean
    predicted = band_predictions(train, Y_train, test, bands=task.bands, gammas=gammas, alphas=alphas)
    Y_test = average(Y[fold.test].astype(np.float64), fold.average) - mean
    if keep is not None:
        keep(number, np.arange(Y.shape[1]), predicted * unit)
    return in_units(fold_sums(Y_test, predicted), unit)


def in_units(sums: dict[str, np.ndarray], unit: np.ndarray) -> dict[str, np.ndarray]:
    """Multiply sums of standardised responses by their units, sums of squares by the squares."""
    return {name: value * (unit if name in ("y", "p") else unit**2) for name, value in sums.items()}


def stack_sums(parts: list[dict[str, np.ndarray]]) -> dict[str, np.ndarray]:
    """Stack the sums of all outer folds."""
    return {name: np.stack([part[name] for part in parts]) for name in parts[0]}


def refit_all_folds(
    design: DesignMatrix,
    task: Task,
    Y: np.ndarray,
    *,
    gammas: np.ndarray,
    alphas: np.ndarray,
    keep: Keep | None,
    unit: np.ndarray,
) -> dict[str, np.ndarray]:
    """Refit every outer fold that holds rows out; gammas and alphas have the fold first."""
    numbers = [k for k, fold in enumerate(design.folds) if len(fold.test)]
    if not numbers:
        return {}
    return stack_sums(
        [refit_fold(design, task, k, Y, gammas=gammas[k], alphas=alphas[k], keep=keep, unit=unit) for k in numbers]
    )


def first_fold_weights(
    design: DesignMatrix, task: Task, Y: np.ndarray, gammas: np.ndarray, alphas: np.ndarray
) -> np.ndarray:
    """Fit weights (n_features, n_targets) of the unscaled features on the training rows of the first outer fold."""
    train = design.folds[0].train
    X = design.X[:, task.columns]
    mean, factor = scale_set(X, train, task.bands, scale=design.scale, intercept=design.intercept)
    Y = Y[train] - Y[train].mean(0) if design.intercept else Y[train]
    weights = band_weights((X[train] - mean) * factor, Y, bands=task.bands, gammas=gammas, alphas=alphas)
    return weights * factor[:, None]


def scaled_fold(design: DesignMatrix, task: Task, number: int) -> tuple[np.ndarray, np.ndarray]:
    """Scale training and held-out rows of an outer fold, feature by feature and band by band, on the training rows."""
    fold = design.folds[number]
    X = design.X[:, task.columns]
    X_train, X_test = X[fold.train], average(X[fold.test], fold.average)
    parts = [scale_band(X_train[:, band], X_test[:, band]) for band in task.bands]
    return np.concatenate([part[0] for part in parts], axis=1), np.concatenate([part[1] for part in parts], axis=1)

"""Training and validation sets of nested cross-validation, and the products of the features on each.

Nested folds repeat themselves: outer fold i with inner fold j and outer fold j with inner fold i train on the same
rows, all but those of i and j. Every distinct training set is kept once, with all the sets that it is validated on.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

COLUMNS_AT_ONCE = 512

Rows = np.ndarray
OuterFold = tuple[Rows, Sequence[tuple[Rows, Rows]]]


@dataclass(frozen=True, eq=False, slots=True)
class Validation:
    """Rows that one training set is validated on."""

    rows: Rows  # The rows
    outer: int  # Outer fold that this is an inner fold of
    share: float  # Part that it has in the score of the outer fold, 1 / number of inner folds


@dataclass(frozen=True, eq=False, slots=True)
class TrainingSet:
    """Rows that are trained on."""

    rows: Rows  # The rows
    validations: tuple[Validation, ...]  # What it is validated on; more than one where nested folds meet


@dataclass(frozen=True, eq=False, slots=True)
class Scaled:
    """Features of one model on one training set."""

    mean: np.ndarray  # (n_features,) Training means, on which everything is centred; zeros without an intercept
    factor: np.ndarray  # (n_features,) Scale of the centred features
    gram: np.ndarray  # (n_features, n_features) ``Z'Z`` of the training rows, centred and scaled
    # ``Z_v'Z_v / n_v`` of every validation set, centred and scaled with the training rows
    validation: tuple[np.ndarray, ...]


def training_sets(folds: Sequence[OuterFold]) -> list[TrainingSet]:
    """Collect the distinct training sets of all inner folds, in the order in which they first occur."""
    found: dict[bytes, tuple[Rows, list[Validation]]] = {}
    for outer, (_, inner) in enumerate(folds):
        for train, validation in inner:
            rows = np.sort(np.asarray(train, dtype=np.int64))
            _, validations = found.setdefault(rows.tobytes(), (rows, []))
            validations.append(Validation(np.sort(np.asarray(validation, dtype=np.int64)), outer, 1 / len(inner)))
    return [TrainingSet(rows, tuple(validations)) for rows, validations in found.values()]


def divide(sets: Sequence[Rows], n_rows: int) -> tuple[list[Rows], np.ndarray]:
    """Divide rows into the largest blocks that no set cuts.

    Return the rows of each block, and a matrix (n_sets, n_blocks) that is 1 where the set holds the block. Rows that
    are in no set are in no block.
    """
    inside = np.zeros((n_rows, len(sets)), dtype=bool)
    for number, rows in enumerate(sets):
        inside[rows, number] = True
    patterns, label = np.unique(inside, axis=0, return_inverse=True)
    label = label.ravel()
    used = np.flatnonzero(patterns.any(1))
    return [np.flatnonzero(label == number) for number in used], patterns[used].T.astype(np.float64)


def scale_set(
    X: np.ndarray, rows: Rows, bands: Sequence[slice], *, scale: bool, intercept: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Compute mean and factor (n_features,) of the features X (n_samples, n_features) on some training rows.

    With `scale`, the factor divides every feature by its standard deviation, and every band by the root of its total
    variance, as `scale_band` does; it is 0 for features that do not vary in these rows. Without `intercept` the mean
    is zero.
    """
    mean, factor, varies = np.zeros(X.shape[1]), np.ones(X.shape[1]), np.ones(X.shape[1], dtype=bool)
    # Some columns at a time, so that the copies of wide features stay in the cache.
    for first in range(0, X.shape[1], COLUMNS_AT_ONCE):
        some = slice(first, first + COLUMNS_AT_ONCE)
        here = X[:, some][rows]
        centre = here.mean(0)
        if intercept:
            mean[some] = centre
        if scale:
            sd = here.std(0)
            varies[some] = sd > 1e-7 * np.maximum(np.abs(centre), np.abs(here).max(0, initial=0.0))
            factor[some] = np.where(varies[some], 1 / np.where(varies[some], sd, 1.0), 0.0)
    if scale:
        for band in bands:
            factor[band] /= np.sqrt(max(int(varies[band].sum()), 1))
    return mean, factor


def scaled_grams(
    X: np.ndarray, training: TrainingSet, bands: Sequence[slice], *, scale: bool, intercept: bool
) -> Scaled:
    """Compute products of the features, centred and scaled on a training set, there and on its validation sets."""
    mean, factor = scale_set(X, training.rows, bands, scale=scale, intercept=intercept)
    Z = (X[training.rows] - mean) * factor
    products = []
    for validation in training.validations:
        Z_v = (X[validation.rows] - mean) * factor
        products.append(Z_v.T @ Z_v / len(Z_v))
    return Scaled(mean, factor, Z.T @ Z, tuple(products))


def contiguous_groups(n_groups: int, n_folds: int) -> np.ndarray:
    """Assign each of `n_groups` groups (runs) to one of `n_folds` contiguous folds; the larger folds come last."""
    edges = (np.arange(n_folds + 1) * n_groups) // n_folds
    return np.repeat(np.arange(n_folds), np.diff(edges))


def purge(start: np.ndarray, stop: np.ndarray, held_out: np.ndarray, gap: float) -> np.ndarray:
    """Mark the samples of one run that are at least `gap` seconds away from every held-out sample.

    `start` and `stop` (n_samples,) are in seconds; `held_out` and the result are boolean masks.
    """
    order = np.argsort(start[held_out], kind="stable")
    starts = start[held_out][order]
    stops = np.maximum.accumulate(stop[held_out][order])
    # Nearest held-out sample that starts after, and latest end among those that start before.
    after = np.searchsorted(starts, start, side="left")
    next_start = np.append(starts, np.inf)[after]
    last_stop = np.concatenate([[-np.inf], stops])[after]
    clear = (next_start - stop >= gap) & (start - last_stop >= gap)
    return clear & ~held_out

"""Features of several models side by side, and the folds as the solvers want them."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from ..core import FeatureSpace
from .folds import Fold, Folds
from .rows import Rows, lay_out


@dataclass(frozen=True, eq=False, slots=True)
class DesignMatrix:
    """Everything about features and folds that does not depend on the responses."""

    X: np.ndarray  # (n_samples, n_features) Features of all models, every space once, roughly centred
    columns: dict[str, slice]  # Columns of every space
    rows: Rows  # Training and validation sets of all folds
    folds: tuple[Fold, ...]  # Outer folds; one without held-out rows where a model is only fitted
    scale: bool = True  # Whether features and bands are scaled on the rows of every training set, or used as they are
    intercept: bool = True  # Whether features and responses are centred on every training set


def make_design(spaces: Sequence[FeatureSpace], folds: Folds) -> DesignMatrix:
    """Concatenate the feature spaces and find the distinct training sets of all folds."""
    X = np.concatenate([space.values.astype(np.float64) for space in spaces], axis=1)
    size = np.abs(X).max(0, initial=0.0)
    # Centring changes no result, but sums of values far from zero would lose digits.
    X -= np.median(X, axis=0)
    X[:, X.std(0) <= 1e-7 * size] = 0.0
    edges = np.cumsum([0] + [space.values.shape[1] for space in spaces]).tolist()
    columns = {space.name: slice(a, b) for space, (a, b) in zip(spaces, pairwise(edges), strict=True)}
    return DesignMatrix(X, columns, lay_out_folds(X, folds), folds.folds)


def lay_out_folds(X: np.ndarray, folds: Folds) -> Rows:
    """Find the distinct training and validation sets of all folds; X (n_samples, n_features) are the features."""
    outer = [(fold.train, [(fold.train[fit], fold.train[held]) for fit, held in fold.inner]) for fold in folds.folds]
    return lay_out(X, outer, [fold.test for fold in folds.folds])


def average(rows: np.ndarray, member: np.ndarray) -> np.ndarray:
    """Average the rows (n_rows, n_columns) that share a number in `member`; return them as they are if none do."""
    if np.array_equal(member, np.arange(len(rows))):
        return rows
    sums = np.zeros((int(member.max()) + 1, rows.shape[1]))
    np.add.at(sums, member, rows)
    return sums / np.bincount(member)[:, None]

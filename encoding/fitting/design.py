"""Features of several models side by side, and the folds as the solvers want them."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from ..core import FeatureSpace
from .folds import Folds
from .models import EncodingModel
from .rows import Rows, lay_out
from .solvers.search_statistics import Task


@dataclass(frozen=True, eq=False, slots=True)
class Design:
    """Everything about features and folds that does not depend on the responses.

    Attributes
    ----------
    X : ndarray of float64, shape (n_samples, n_features)
        Features of all models, every space once, about their medians.
    columns : dict of str to slice
        Columns of every space.
    rows : Rows
        The folds.
    folds : Folds
        The same as they were given.
    """

    X: np.ndarray
    columns: dict[str, slice]
    rows: Rows
    folds: Folds

    def task(self, model: EncodingModel, gammas: np.ndarray) -> Task:
        """Say what is searched for a model.

        Parameters
        ----------
        model : Ridge or BandedRidge
            The model.
        gammas : ndarray, shape (n_candidates, n_bands)
            Its candidates.

        Returns
        -------
        Task
            With the columns of its spaces.
        """
        parts = [np.arange(self.X.shape[1])[self.columns[band]] for band in model.bands]
        edges = np.cumsum([0] + [len(part) for part in parts]).tolist()
        bands = [slice(0, edges[-1])] if model.joined else [slice(a, b) for a, b in pairwise(edges)]
        return Task(np.concatenate(parts), bands, gammas, model.penalties(edges[-1]), model.search == "guided")


def make_design(spaces: Sequence[FeatureSpace], folds: Folds) -> Design:
    """Put feature spaces side by side and find the different training sets of all folds.

    Parameters
    ----------
    spaces : sequence of FeatureSpace
        Feature spaces of all models, each once.
    folds : Folds
        Outer and inner folds.

    Returns
    -------
    Design
        Features and rows.
    """
    X = np.concatenate([space.values.astype(np.float64) for space in spaces], axis=1)
    size = np.abs(X).max(0, initial=0.0)
    # Changes no result, but sums of values far from zero would lose digits.
    X -= np.median(X, axis=0)
    X[:, X.std(0) <= 1e-7 * size] = 0.0
    edges = np.cumsum([0] + [space.values.shape[1] for space in spaces]).tolist()
    columns = {space.name: slice(a, b) for space, (a, b) in zip(spaces, pairwise(edges), strict=True)}
    outer = [(fold.train, [(fold.train[fit], fold.train[held]) for fit, held in fold.inner]) for fold in folds.folds]
    rows = lay_out(X, outer, [fold.test for fold in folds.folds])
    return Design(X, columns, rows, folds)


def average(rows: np.ndarray, member: np.ndarray) -> np.ndarray:
    """Average rows that repeat each other.

    Parameters
    ----------
    rows : ndarray, shape (n_rows, n_columns)
        Values.
    member : ndarray of int, shape (n_rows,)
        Averaged row that each row goes into.

    Returns
    -------
    ndarray, shape (n_averaged, n_columns)
        Means; the rows themselves where nothing is averaged.
    """
    if np.array_equal(member, np.arange(len(rows))):
        return rows
    sums = np.zeros((int(member.max()) + 1, rows.shape[1]))
    np.add.at(sums, member, rows)
    return sums / np.bincount(member)[:, None]

"""One penalty per outer fold for all targets, chosen by the mean correlation of inner folds."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from ...numerics.nested_correlation import decompose_validation, nested_correlations
from ...numerics.ridge import scale_band
from ..arrays import Arrays
from ..design import Design
from ..plan import Choice
from .base import Fit, Keep, refit_fold
from .search_statistics import Task

SHARED = Choice("shared", "one penalty per outer fold for all targets, as asked.")


def share_penalties(
    design: Design, task: Task, values: np.ndarray, chunks: Sequence[np.ndarray], arrays: Arrays
) -> Task:
    """Choose the penalty of every outer fold from all targets.

    In every inner fold features are scaled on the rows that are fitted only.

    Parameters
    ----------
    design : Design
        Features and folds.
    task : Task
        The model.
    values : ndarray, shape (n_samples, n_targets)
        Responses; read chunk by chunk, once for every inner fold.
    chunks : sequence of ndarray of int
        Columns of the targets that count.
    arrays : Arrays
        Threads and precision.

    Returns
    -------
    Task
        With the number of the penalty of the highest correlation, averaged over inner folds and targets, for every
        outer fold; of equal ones the largest.
    """
    X, shared = design.X[:, task.columns], []
    for _, inner in design.rows.folds:
        total = np.zeros(len(task.alphas))
        for train, held in inner:
            scaled = [scale_band(X[train][:, band], X[held][:, band]) for band in task.bands]
            features, validation = (np.concatenate(part, axis=1) for part in zip(*scaled, strict=True))
            decomposed = decompose_validation(features, validation, dtype=np.dtype(arrays.dtype).type)

            def add(chunk: np.ndarray, rows: tuple = (train, held, decomposed)) -> np.ndarray:
                Y = values[:, chunk]
                return nested_correlations(rows[2], Y[rows[0]], Y[rows[1]], task.alphas).sum(1)

            total += np.sum(list(arrays.each(add, chunks)), axis=0)
        shared.append(len(total) - 1 - int(np.argmax(total[::-1])))
    return replace(task, shared=np.asarray(shared))


class SharedSolver:
    """One model whose targets share a penalty.

    Parameters
    ----------
    design : Design
        Features and folds.
    task : Task
        The model, with the penalty of every outer fold.
    """

    def __init__(self, design: Design, task: Task) -> None:
        self.design, self.task = design, task

    def fit(self, Y: np.ndarray, keep: Sequence[Keep | None]) -> list[Fit]:
        """Fit the model.

        Parameters
        ----------
        Y : ndarray, shape (n_samples, n_targets)
            Responses.
        keep : sequence of callable or None
            Where predictions go.

        Returns
        -------
        list of Fit
            One. There is no score per target.
        """
        task, n_folds, n_targets = self.task, len(self.design.folds.folds), Y.shape[1]
        chosen = task.alphas[task.shared]
        alphas = np.repeat(chosen[:, None], n_targets, axis=1)
        gammas = np.broadcast_to(task.gammas[0][None, :, None], (n_folds, len(task.gammas[0]), n_targets)).copy()
        unit = np.ones(n_targets)
        sums = [
            refit_fold(self.design, task, k, Y, gammas=gammas[k], alphas=alphas[k], keep=keep[0], unit=unit)
            for k in range(n_folds)
        ]
        joined = {name: np.stack([part[name] for part in sums]) for name in sums[0]}
        scores = np.full((n_folds, n_targets), np.nan)
        return [Fit(alphas, gammas, scores, np.full(len(task.gammas), np.nan), joined)]

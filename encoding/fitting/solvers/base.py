"""Fit one chunk of targets in every outer fold: from statistics, from kernels, or with himalaya."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from ...numerics.held_out import (
    OuterTargets,
    Refit,
    held_out_sums,
    outer_features,
    outer_targets,
    prepare_refit,
    refit_all,
)
from ...numerics.metrics import fold_sums
from ...numerics.ridge import band_predictions, scale_band
from ...numerics.ridge_search import band_scale
from ...numerics.target_products import TargetProducts, standardise_targets
from ..arrays import Arrays
from ..design import Design, average
from ..rows import REFIT_BYTES
from .kernel import KernelSearch
from .search_statistics import Found, StatisticsSearch, Task

# Called with the outer fold, the columns within the chunk, and predictions (n_bands, n_rows, n_columns).
Keep = Callable[[int, np.ndarray, np.ndarray], None]


@dataclass(frozen=True, eq=False, slots=True)
class Fit:
    """One model on one chunk of targets.

    Attributes
    ----------
    alphas : ndarray of float64, shape (n_folds, n_targets)
        Chosen penalties.
    gammas : ndarray of float64, shape (n_folds, n_bands, n_targets)
        Chosen weights.
    scores : ndarray of float64, shape (n_folds, n_targets)
        Negative mean squared error of the choice on inner folds, in units of the target's variance.
    curve : ndarray of float64, shape (n_candidates,)
        Sum of the best score over folds and targets after every candidate; NaN where the solver does not tell.
    sums : dict of str to ndarray
        Sums over held-out samples as `FoldMoments` wants them, fold first.
    """

    alphas: np.ndarray
    gammas: np.ndarray
    scores: np.ndarray
    curve: np.ndarray
    sums: dict[str, np.ndarray]


class StatisticsSolver:
    """Several models from one look at the responses.

    Parameters
    ----------
    design : Design
        Features and folds.
    tasks : sequence of Task
        One per model.
    arrays : Arrays
        Where to compute.
    operators : int
        Bytes for prepared candidates.
    """

    def __init__(self, design: Design, tasks: Sequence[Task], arrays: Arrays, operators: int) -> None:
        self.design, self.tasks, self.arrays = design, list(tasks), arrays
        self.engine = StatisticsSearch(
            design.X, design.rows, tasks, scale=True, intercept=True, arrays=arrays, memory=operators
        )
        self.refits: dict[tuple[int, int, int], Refit] = {}
        self.features = [
            [
                outer_features(
                    design.X[:, task.columns],
                    average(design.X[np.ix_(fold.test, task.columns)], fold.average),
                    fold.train,
                    task.bands,
                    scale=True,
                    intercept=True,
                )
                for fold in design.folds.folds
            ]
            for task in tasks
        ]

    def fit(self, Y: np.ndarray, keep: Sequence[Keep | None]) -> list[Fit]:
        """Fit all models: every task, or every set of choices of a task.

        Parameters
        ----------
        Y : ndarray, shape (n_samples, n_targets)
            Responses.
        keep : sequence of callable or None
            Where predictions of each model go.

        Returns
        -------
        list of Fit
            One per model.
        """
        width = self.engine.batch
        pieces = [np.arange(first, min(first + width, Y.shape[1])) for first in range(0, Y.shape[1], width)]
        read = list(self.arrays.each(lambda columns: self._read(Y[:, columns]), pieces))
        found = self.engine.run([batch.products for batch in read])
        return [
            self._refit(owner, of_model, read, where)
            for owner, of_model, where in zip(self.engine.owners, found, keep, strict=True)
        ]

    def _read(self, Y: np.ndarray) -> "_Read":
        values, unit = self.engine.standardise(Y)
        averaged = {
            number: average(values[fold.test], fold.average)
            for number, fold in enumerate(self.design.folds.folds)
            if not np.array_equal(fold.average, np.arange(len(fold.test)))
        }
        return _Read(self.engine.products(values), unit, averaged)

    def _refit(self, number: int, found: list[Found], read: list["_Read"], keep: Keep | None) -> Fit:
        task = self.tasks[number]
        n_folds = len(self.design.folds.folds)
        jobs = [(k, b) for k in range(n_folds) for b in range(len(read))]
        first = np.cumsum([0, *(len(batch.unit) for batch in read)])

        def one(job: tuple[int, int]) -> dict[str, np.ndarray]:
            k, b = job
            targets = self._outer(k, read[b], task.columns)
            features, part = self.features[number][k], found[b]
            alphas = task.alphas[part.alpha[k]]
            prepared = partial(self._prepare_refit, number, k)
            weights = refit_all(prepared, targets.train, part.candidate[k], alphas)
            sums = held_out_sums(features, targets, weights, task.bands)
            unit = read[b].unit
            if keep is not None:
                scaled = weights * unit
                columns = np.arange(first[b], first[b + 1])
                keep(k, columns, np.stack([features.test[:, band] @ scaled[band] for band in task.bands]))
            return {name: value * (unit if name in ("y", "p") else unit**2) for name, value in sums.items()}

        done = list(self.arrays.each(one, jobs))
        rows = [done[k * len(read) : (k + 1) * len(read)] for k in range(n_folds)]
        whole = join_found(found)
        return Fit(
            task.alphas[whole.alpha],
            task.gammas[whole.candidate].transpose(0, 2, 1),
            whole.score,
            whole.curve,
            {
                name: np.stack([np.concatenate([part[name] for part in row], axis=-1) for row in rows])
                for name in done[0]
            },
        )

    def _prepare_refit(self, number: int, k: int, candidate: int) -> Refit:
        """Decompose a candidate in an outer fold, or take it from memory."""
        known = self.refits.get((number, k, candidate))
        if known is None:
            task = self.tasks[number]
            scale = band_scale(task.bands, task.gammas[candidate], len(task.columns))
            known = prepare_refit(self.features[number][k], scale)
            if (len(self.refits) + 1) * known.turned.nbytes < REFIT_BYTES:
                self.refits[number, k, candidate] = known
        return known

    def _outer(self, number: int, read: "_Read", columns: np.ndarray) -> OuterTargets:
        """Take products of an outer fold, of the features of one model."""
        products, plan = read.products, self.design.rows.plan
        if not np.array_equal(columns, np.arange(self.design.X.shape[1])):
            products = replace(products, cross=products.cross[:, columns])
        plan = replace(plan, feature_total=plan.feature_total[:, columns])
        averaged = None
        if number in read.averaged:
            fold = self.design.folds.folds[number]
            averaged = (average(self.design.X[np.ix_(fold.test, columns)], fold.average), read.averaged[number])
        return outer_targets(plan, products, number, averaged)


@dataclass(frozen=True, eq=False, slots=True)
class _Read:
    """What is kept of the responses of a batch: products, units, and averaged held-out responses by outer fold."""

    products: TargetProducts
    unit: np.ndarray
    averaged: dict[int, np.ndarray]


def join_found(parts: Sequence[Found]) -> Found:
    """Put the findings of several batches of targets side by side.

    Parameters
    ----------
    parts : sequence of Found
        Findings, in the order of the targets.

    Returns
    -------
    Found
        Of all targets.
    """
    each = [part.each for part in parts if part.each is not None]
    return Found(
        np.concatenate([part.candidate for part in parts], axis=1),
        np.concatenate([part.alpha for part in parts], axis=1),
        np.concatenate([part.score for part in parts], axis=1),
        np.sum([part.curve for part in parts], axis=0),
        np.concatenate(each, axis=2) if each else None,
    )


class KernelSolver:
    """One model with more features than samples.

    Parameters
    ----------
    design : Design
        Features and folds.
    task : Task
        What to search.
    arrays : Arrays
        Where to compute.
    """

    def __init__(self, design: Design, task: Task, arrays: Arrays) -> None:
        self.design, self.task, self.arrays = design, task, arrays
        self.engine = KernelSearch(
            design.X[:, task.columns], design.rows, task, scale=True, intercept=True, arrays=arrays
        )

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
            One.
        """
        standard = np.empty(Y.shape, dtype=self.arrays.dtype)
        unit = np.empty(Y.shape[1])
        for first in range(0, Y.shape[1], 1024):
            part = slice(first, first + 1024)
            standard[:, part], unit[part] = standardise_targets(
                Y[:, part], self.design.rows.plan.blocks, intercept=True
            )
        found = self.engine.run(standard)
        alphas = self.task.alphas[found.alpha]
        gammas = self.task.gammas[found.candidate].transpose(0, 2, 1)
        sums = [
            refit_fold(self.design, self.task, k, standard, gammas=gammas[k], alphas=alphas[k], keep=keep[0], unit=unit)
            for k in range(len(self.design.folds.folds))
        ]
        return [
            Fit(alphas, gammas, found.score, found.curve, {n: np.stack([part[n] for part in sums]) for n in sums[0]})
        ]


def refit_fold(
    design: Design,
    task: Task,
    number: int,
    Y: np.ndarray,
    *,
    gammas: np.ndarray,
    alphas: np.ndarray,
    keep: Keep | None,
    unit: np.ndarray,
) -> dict[str, np.ndarray]:
    """Refit one outer fold from its rows and predict what it holds out.

    Parameters
    ----------
    design : Design
        Features and folds.
    task : Task
        The model.
    number : int
        The outer fold.
    Y : ndarray, shape (n_samples, n_targets)
        Responses.
    gammas : ndarray, shape (n_bands, n_targets)
        Chosen weights.
    alphas : ndarray, shape (n_targets,)
        Chosen penalties.
    keep : callable or None
        Where predictions go.
    unit : ndarray, shape (n_targets,)
        What predictions are to be multiplied by.

    Returns
    -------
    dict of str to ndarray
        Sums over the held-out rows.
    """
    fold = design.folds.folds[number]
    train, test = scaled_fold(design, task, number)
    Y_train = Y[fold.train].astype(np.float64)
    mean = Y_train.mean(0)
    Y_train -= mean
    predicted = band_predictions(train, Y_train, test, bands=task.bands, gammas=gammas, alphas=alphas)
    Y_test = average(Y[fold.test].astype(np.float64), fold.average) - mean
    if keep is not None:
        keep(number, np.arange(Y.shape[1]), predicted * unit)
    sums = fold_sums(Y_test, predicted)
    return {name: value * (unit if name in ("y", "p") else unit**2) for name, value in sums.items()}


def scaled_fold(design: Design, task: Task, number: int) -> tuple[np.ndarray, np.ndarray]:
    """Scale features and bands on the training rows of an outer fold.

    Parameters
    ----------
    design : Design
        Features and folds.
    task : Task
        The model.
    number : int
        The outer fold.

    Returns
    -------
    tuple of ndarray
        Training rows and held-out rows.
    """
    fold = design.folds.folds[number]
    X = design.X[:, task.columns]
    X_train, X_test = X[fold.train], average(X[fold.test], fold.average)
    parts = [scale_band(X_train[:, band], X_test[:, band]) for band in task.bands]
    return np.concatenate([part[0] for part in parts], axis=1), np.concatenate([part[1] for part in parts], axis=1)

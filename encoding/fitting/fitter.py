"""What the estimators do with arrays that have been checked."""

import functools
from typing import Any

import numpy as np

from ..core import EncodingError
from ..numerics.held_out import Refit, outer_features, prepare_refit, refit_all, training_products
from ..numerics.leave_out import left_out_losses
from ..numerics.ridge import band_weights
from ..numerics.ridge_search import band_scale
from ..numerics.target_products import TargetProducts, standardise_targets
from .arrays import Arrays
from .plan import count_operations
from .rows import Rows
from .solvers.base import join_found
from .solvers.himalaya import search_all
from .solvers.kernel import KernelSearch
from .solvers.search_statistics import Found, StatisticsSearch, Task

BATCHES_AT_ONCE = 8
N_VERIFIED = 8
TOLERATED = 1e-4


class Fitter:
    """Search and refit, a few batches of targets at a time.

    Parameters
    ----------
    X : ndarray of float64, shape (n_samples, n_features)
        Features, bands side by side.
    Y : ndarray, shape (n_samples, n_targets)
        Responses.
    rows : Rows
        One outer fold that trains on all rows.
    task : Task
        What to search.
    intercept : bool
        Whether to centre.
    arrays : Arrays
        Where to compute.
    """

    def __init__(self, X: np.ndarray, Y: np.ndarray, rows: Rows, task: Task, intercept: bool, arrays: Arrays) -> None:
        self.X, self.Y, self.rows, self.task = X, Y, rows, task
        self.intercept, self.arrays = intercept, arrays

    def run(self, method: str, splits: list[tuple[np.ndarray, np.ndarray]]) -> tuple[Found, np.ndarray]:
        """Search and refit all targets.

        Parameters
        ----------
        method : {"statistics", "kernel", "himalaya"}
            Solver.
        splits : list of (ndarray, ndarray)
            Inner folds.

        Returns
        -------
        tuple of (Found, ndarray)
            The choices, and weights of shape (n_features, n_targets).
        """
        if method == "statistics":
            return self._by_statistics()
        found = self._by_himalaya(splits) if method == "himalaya" else self._by_kernels(splits)
        X = self.X - self.X.mean(0) if self.intercept else self.X
        Y = self.Y - self.Y.mean(0) if self.intercept else self.Y
        weights = band_weights(
            X,
            Y,
            bands=self.task.bands,
            gammas=self.task.gammas[found.candidate[0]].T,
            alphas=self.task.alphas[found.alpha[0]],
        )
        return found, weights

    def _by_statistics(self) -> tuple[Found, np.ndarray]:
        settings = {"scale": False, "intercept": self.intercept}
        engine = StatisticsSearch(self.X, self.rows, [self.task], arrays=self.arrays, **settings)
        train = self.rows.folds[0][0]
        features = outer_features(self.X, self.X[:0], train, self.task.bands, **settings)
        found, weights = [], []

        @functools.cache
        def prepared(candidate: int) -> Refit:
            return prepare_refit(features, band_scale(self.task.bands, self.task.gammas[candidate], self.X.shape[1]))

        width = engine.batch * BATCHES_AT_ONCE

        def read(first: int) -> tuple[TargetProducts, np.ndarray]:
            values, unit = engine.standardise(self.Y[:, first : first + engine.batch])
            return engine.products(values), unit

        for begin in range(0, self.Y.shape[1], width):
            stop = min(begin + width, self.Y.shape[1])
            batches = list(self.arrays.each(read, range(begin, stop, engine.batch)))
            parts = engine.run([products for products, _ in batches], keep_all=True)[0]
            for part, (products, unit) in zip(parts, batches, strict=True):
                cross, _, _ = training_products(self.rows.plan, products, 0, intercept=self.intercept)
                alphas = self.task.alphas[part.alpha[0]]
                fitted = refit_all(prepared, cross, part.candidate[0], alphas)
                weights.append(fitted * unit)
                found.append(_in_units(part, unit))
        return join_found(found), np.concatenate(weights, axis=1)

    def _by_kernels(self, splits: list[tuple[np.ndarray, np.ndarray]]) -> Found:
        values, unit = standardise_targets(self.Y, self.rows.plan.blocks, intercept=self.intercept)
        if self.arrays.device == "cpu" and one_decomposition_is_cheaper(self.rows, self.task, splits, self.Y.shape[1]):
            return _in_units(self._by_leaving_out(values, [held for _, held in splits]), unit)
        engine = KernelSearch(self.X, self.rows, self.task, scale=False, intercept=self.intercept, arrays=self.arrays)
        return _in_units(engine.run(values, keep_all=True), unit)

    def _by_leaving_out(self, Y: np.ndarray, blocks: list[np.ndarray]) -> Found:
        """Decompose the kernel of all rows once per candidate."""
        Y = Y.astype(self.arrays.dtype)
        n, n_targets = len(self.task.gammas), Y.shape[1]
        losses = np.empty((n, n_targets), dtype=Y.dtype)
        alpha = np.empty((n, n_targets), dtype=np.int64)

        def one(number: int) -> None:
            Z = self.X * band_scale(self.task.bands, self.task.gammas[number], self.X.shape[1])
            loss = left_out_losses(Z @ Z.T, Y, blocks, self.task.alphas, intercept=self.intercept)
            losses[number], alpha[number] = loss.min(0), loss.argmin(0)

        list(self.arrays.each(one, range(n)))
        best = losses.argmin(0)
        chosen = np.take_along_axis(alpha, best[None], axis=0)
        curve = -np.minimum.accumulate(losses, axis=0).astype(np.float64).sum(1)
        return Found(best[None], chosen, -losses.min(0)[None].astype(np.float64), curve, -losses[:, None])

    def _by_himalaya(self, splits: list[tuple[np.ndarray, np.ndarray]]) -> Found:
        candidate, alpha, scores = search_all(
            self.X,
            self.Y,
            bands=self.task.bands,
            gammas=self.task.gammas,
            alphas=self.task.alphas.tolist(),
            inner=splits,
            intercept=self.intercept,
            device=self.arrays.device,
        )
        curve = np.maximum.accumulate(scores, axis=0).sum(1)
        return Found(candidate[None], alpha[None], scores.max(0)[None], curve, scores[:, None])


def one_decomposition_is_cheaper(
    rows: Rows, task: Task, splits: list[tuple[np.ndarray, np.ndarray]], n_targets: int
) -> bool:
    """Tell whether leaving blocks out of one decomposition takes fewer operations than one decomposition per fold.

    Parameters
    ----------
    rows : Rows
        One outer fold that trains on all rows.
    task : Task
        What to search.
    splits : list of (ndarray, ndarray)
        Inner folds; every one must train on all rows that it does not validate on.
    n_targets : int
        Number of targets.

    Returns
    -------
    bool
        True for few targets, where decompositions are most of the work.
    """
    n, A = len(rows.folds[0][0]), len(task.alphas)
    if any(len(np.union1d(train, held)) != n or len(train) + len(held) != n for train, held in splits):
        return False
    by_fold = count_operations(rows, len(task.columns), 1, A, n_targets)["kernel"]
    products = 2.0 * n * n * (n_targets * A + len(task.columns))
    inverses = sum(2.0 * A * n * len(held) ** 2 for _, held in splits)
    return 16.0 * n**3 + 5e3 * n * n + products + inverses < by_fold


def _in_units(found: Found, unit: np.ndarray) -> Found:
    each = None if found.each is None else found.each * unit**2
    return Found(found.candidate, found.alpha, found.score * unit**2, found.curve, each)


def verify_scores(
    X: np.ndarray,
    Y: np.ndarray,
    rows: Rows,
    task: Task,
    *,
    splits: list[tuple[np.ndarray, np.ndarray]],
    found: Found,
    intercept: bool,
) -> dict[str, Any]:
    """Search some targets with himalaya too, and compare the scores.

    Parameters
    ----------
    X : ndarray of float64, shape (n_samples, n_features)
        Features, bands side by side.
    Y : ndarray, shape (n_samples, n_targets)
        Responses.
    rows : Rows
        One outer fold that trains on all rows.
    task : Task
        What was searched.
    splits : list of (ndarray, ndarray)
        Inner folds.
    found : Found
        Scores of every candidate.
    intercept : bool
        Whether inner folds have an intercept.

    Returns
    -------
    dict
        Number of targets, and the largest difference in units of their variance.

    Raises
    ------
    EncodingError
        If a score differs by more than 1e-4.
    """
    columns = np.unique(np.linspace(0, Y.shape[1] - 1, N_VERIFIED).astype(int))
    values, unit = standardise_targets(Y[:, columns], rows.plan.blocks, intercept=intercept)
    _, _, scores = search_all(
        X,
        values,
        bands=task.bands,
        gammas=task.gammas,
        alphas=task.alphas.tolist(),
        inner=splits,
        intercept=intercept,
    )
    difference = float(np.abs(scores - found.each[:, 0, columns] / unit**2).max())  # type: ignore[index]
    if not difference <= TOLERATED:
        raise EncodingError(
            f"Verification: scores of {len(columns)} targets differ from himalaya's by up to {difference:.1e} of their "
            f'variance, but {TOLERATED} was allowed. Use method = "himalaya" and report this.'
        )
    return {"verified_targets": len(columns), "verified_difference": difference}

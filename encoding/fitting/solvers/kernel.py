"""Fit features that outnumber the samples: the same losses, in the basis of the training rows.

The eigenvectors of the kernel ``K = Z Z' = U diag(s) U'`` take the place of those of ``Z'Z``: a target is rotated by
``U'``, the validation rows by ``R = Z_v Z' U diag(s)^{-1/2}``, and every formula for the losses stays as it is.
Scaling on the rows of every training set makes a kernel of its own for each; nested folds still share it.
"""

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np

from ...numerics.designs import TrainingSet, scale_set
from ...numerics.partial_fractions import Coupling, couple, decompose, losses
from ...numerics.ridge import left_out_losses
from ...numerics.ridge_search import band_scale, improve, start
from ...numerics.target_products import standardise_targets
from ..arrays import Arrays
from ..rows import KERNEL_BYTES, Rows
from .base import Bytes, Fit, Found, Keep, OneTaskSolver, Problem, Size, Task, decomposition_operations, finish_search
from .refit import first_fold_weights, refit_all_folds

BATCH = 1024
# Kernels of bands with more features than this are kept from candidate to candidate, as far as they fit.
NARROW = 256


class KernelSolver(OneTaskSolver):
    """One model with more features than samples."""

    name: ClassVar[str] = "kernel"
    checked: ClassVar[bool] = True

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem)
        self._engine: KernelSearch | None = None

    @staticmethod
    def operations(size: Size, n_targets: int, device: str) -> float:
        """Count kernels, decompositions and losses of every candidate."""
        n, v = float(size.rows.plan.n_train.mean()), float(size.rows.plan.n_validation.mean())
        p, n_sets, n_val = size.n_features, len(size.rows.sets), size.rows.n_validations
        rank = min(p, n)
        by_rank = n_sets * 2 * rank * n + n_val * (2 * rank * v + 2 * rank * rank + 4 * size.n_alphas * rank)
        products = n_sets * (2 * n * rank * p + decomposition_operations(rank, device))
        products += n_val * (2 * v * p * rank + 2 * v * rank * rank)
        return size.n_candidates * (products + by_rank * n_targets)

    @staticmethod
    def bytes(sizes: Sequence[Size], n_features: int, arrays: Arrays) -> Bytes:  # noqa: ARG004
        """Count kernels of all rows and of all training sets, and losses of a batch."""
        (size,) = sizes
        n, n_outer = size.n_rows, len(size.rows.folds)
        return Bytes(
            fixed=8 * n * (2 * size.n_features + 6 * n) + min(KERNEL_BYTES, 16 * len(size.rows.sets) * n**2),
            target=arrays.itemsize * (n + n_outer * size.n_alphas),
            thread=arrays.itemsize * 6 * n * 1024,
            refit=8 * size.n_candidates * n_outer * size.n_features**2,
        )

    def fit(self, Y: np.ndarray, keep: Sequence[Keep | None]) -> list[Fit]:
        """Search and refit the model."""
        standard, unit = self._standardise(Y)
        found = self._search(standard)
        alphas = self.task.alphas[found.alpha]
        gammas = self.task.gammas[found.candidate].transpose(0, 2, 1)
        sums = refit_all_folds(self.design, self.task, standard, gammas=gammas, alphas=alphas, keep=keep[0], unit=unit)
        details = self.problem.details
        weights = first_fold_weights(self.design, self.task, Y, gammas[0], alphas[0]) if details else None
        each = found.each[:, 0] if found.each is not None else None
        return [Fit(alphas, gammas, found.score, found.curve, sums, unit, weights, each)]

    def _standardise(self, Y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Standardise in the precision of the search, some targets at a time, so that float64 takes little memory."""
        standard = np.empty(Y.shape, dtype=self.arrays.dtype)
        unit = np.empty(Y.shape[1])
        for first in range(0, Y.shape[1], BATCH):
            part = slice(first, first + BATCH)
            standard[:, part], unit[part] = standardise_targets(
                Y[:, part], self.design.rows.plan.blocks, intercept=self.design.intercept
            )
        return standard, unit

    def _search(self, standard: np.ndarray) -> Found:
        design = self.design
        if self.arrays.device == "cpu" and one_decomposition_is_cheaper(self.problem, standard.shape[1]):
            return leave_out(self.problem, standard)
        if self._engine is None:
            self._engine = KernelSearch(
                design.X[:, self.task.columns],
                design.rows,
                self.task,
                scale=design.scale,
                intercept=design.intercept,
                arrays=self.arrays,
            )
        return self._engine.run(standard, keep_all=self.problem.details)


def one_decomposition_is_cheaper(problem: Problem, n_targets: int) -> bool:
    """Return True if leaving blocks out of the kernel of all rows takes fewer operations than a kernel per fold.

    Possible with one outer fold whose inner folds each train on all rows that they do not validate on, and without
    scaling in every fold; cheaper for few targets, where decompositions are most of the work.
    """
    (task,), rows = problem.tasks, problem.design.rows
    if problem.design.scale or len(rows.folds) > 1:
        return False
    train, splits = rows.folds[0]
    n, A = len(train), len(task.alphas)
    if any(len(np.union1d(fitted, held)) != n or len(fitted) + len(held) != n for fitted, held in splits):
        return False
    size = Size(rows, tuple(band.stop - band.start for band in task.bands), 1, A)
    by_fold = KernelSolver.operations(size, n_targets, "cpu")
    products = 2.0 * n * n * (n_targets * A + len(task.columns))
    inverses = sum(2.0 * A * n * len(held) ** 2 for _, held in splits)
    return decomposition_operations(n, "cpu") + products + inverses < by_fold


def leave_out(problem: Problem, Y: np.ndarray) -> Found:
    """Search standardised responses by decomposing the kernel of all rows once per candidate."""
    (task,), design, arrays = problem.tasks, problem.design, problem.arrays
    X, blocks = design.X[:, task.columns], [held for _, held in design.rows.folds[0][1]]
    n, n_targets = len(task.gammas), Y.shape[1]
    losses_of = np.empty((n, n_targets), dtype=Y.dtype)
    alpha = np.empty((n, n_targets), dtype=np.int64)

    kernels = [X[:, band] @ X[:, band].T for band in task.bands] if X.shape[1] > len(X) else []

    def one(number: int) -> None:
        if kernels:  # sums of kernels that are there take fewer operations than products of many features
            kernel = sum(g * K for g, K in zip(task.gammas[number], kernels, strict=True) if g)
        else:
            Z = X * band_scale(task.bands, task.gammas[number], X.shape[1])
            kernel = Z @ Z.T
        loss = left_out_losses(np.asarray(kernel), Y, blocks, task.alphas, intercept=design.intercept)
        losses_of[number], alpha[number] = loss.min(0), loss.argmin(0)

    list(arrays.each(one, range(n)))
    best = losses_of.argmin(0)
    chosen = np.take_along_axis(alpha, best[None], axis=0)
    curve = -np.minimum.accumulate(losses_of, axis=0).astype(np.float64).sum(1)
    each = -losses_of[:, None] if problem.details else None
    return Found(best[None], chosen, -losses_of.min(0)[None].astype(np.float64), curve, each)


class KernelSearch:
    """Search for one model with features X (n_samples, n_features), from kernels."""

    def __init__(self, X: np.ndarray, rows: Rows, task: Task, *, scale: bool, intercept: bool, arrays: Arrays) -> None:
        self.X, self.rows, self.task, self.arrays = X, rows, task, arrays
        self.scale, self.intercept = scale, intercept
        self.factors = [scale_set(X, s.rows, task.bands, scale=scale, intercept=intercept) for s in rows.sets]
        self._kept: dict[tuple[int, int], list[np.ndarray]] = {}
        self._free = KERNEL_BYTES

    def run(self, Y: np.ndarray, *, keep_all: bool = False) -> Found:
        """Search standardised responses (n_samples, n_targets); keep the score of every candidate if asked."""
        width = BATCH if self.arrays.device == "cpu" else 1 << 15
        batches = [_Batch(self, Y[:, first : first + width], keep_all) for first in range(0, Y.shape[1], width)]
        for candidate in range(len(self.task.gammas)):
            for number in range(len(self.rows.sets)):
                turn, parts = self.prepare(candidate, number)
                list(self.arrays.each(lambda batch, n=number, a=turn, b=parts: batch.add(n, a, b), batches))  # type: ignore[misc]
            for batch in batches:
                batch.end(candidate)
        found = [batch.finish() for batch in batches]
        each = np.concatenate([part.each for part in found], axis=2) if keep_all else None
        return Found(
            np.concatenate([part.candidate for part in found], axis=1),
            np.concatenate([part.alpha for part in found], axis=1),
            np.concatenate([part.score for part in found], axis=1),
            np.sum([part.curve for part in found], axis=0),
            each,
        )

    def prepare(self, candidate: int, number: int) -> tuple[Any, list[tuple[Any, Coupling]]]:
        """Decompose the kernel of a candidate on a training set.

        Return the rotation of training responses (rank, n_train), in units, and for every validation set the rotation
        of its responses (rank, n_validation) and its `Coupling`.
        """
        training: TrainingSet = self.rows.sets[number]
        mean, factor = self.factors[number]
        scale = factor * band_scale(self.task.bands, self.task.gammas[candidate], self.X.shape[1])
        kept = np.flatnonzero(scale > 0)
        smallest = float(self.task.alphas[0])
        if len(kept) <= len(training.rows):
            Z = (self.X[np.ix_(training.rows, kept)] - mean[kept]) * scale[kept]
            spectrum = decompose(Z.T @ Z, smallest)
            basis = spectrum.vectors / spectrum.unit
            turn = (Z @ basis).T
            held = [(self.X[np.ix_(v.rows, kept)] - mean[kept]) * scale[kept] for v in training.validations]
        else:
            kernel, *held = self._weighted(candidate, number)
            spectrum = decompose(kernel, smallest)
            # u sqrt(s) is what Z'y is in the basis of features, so that all units are those of the other search.
            root = np.sqrt(spectrum.values)
            turn = (spectrum.vectors * (root / spectrum.unit)).T
            basis = spectrum.vectors / (root * spectrum.unit)
        parts = []
        for validation, rows in zip(training.validations, held, strict=True):
            R = rows @ basis
            coupling = couple(
                spectrum.values,
                R.T @ R / len(R),
                self.task.alphas,
                n_train=len(training.rows),
                dtype=self.arrays.dtype,
            )
            weights = (coupling.weights * validation.share).astype(self.arrays.dtype)
            to, index = self.arrays.to, self.arrays.index
            near = None if coupling.near is None else to(coupling.near)
            ready = Coupling(to(coupling.apart), index(coupling.close), near, to(weights), coupling.reach)
            parts.append((to(R.T / len(R)), ready))
        return self.arrays.to(turn), parts

    def _weighted(self, candidate: int, number: int) -> list[np.ndarray]:
        """Sum the weighted kernels of all bands, among training rows and with the rows of each validation set."""
        parts: list[np.ndarray] = []
        for band, gamma in enumerate(self.task.gammas[candidate]):
            if gamma > 0:
                kernels = self._of_band(number, band)
                parts = (
                    [gamma * K for K in kernels]
                    if not parts
                    else [total + gamma * K for total, K in zip(parts, kernels, strict=True)]
                )
        return parts

    def _of_band(self, number: int, band: int) -> list[np.ndarray]:
        """Compute the kernels of one band, or return them from memory."""
        known = self._kept.get((number, band))
        if known is not None:
            return known
        training, columns = self.rows.sets[number], self.task.bands[band]
        mean, factor = (part[columns] for part in self.factors[number])
        Z = (self.X[training.rows, columns] - mean) * factor
        made = [Z @ Z.T]
        made += [((self.X[v.rows, columns] - mean) * factor) @ Z.T for v in training.validations]
        size = sum(K.nbytes for K in made)
        if columns.stop - columns.start > NARROW and size <= self._free:
            self._kept[number, band] = made
            self._free -= size
        return made


class _Batch:
    """Search on some targets."""

    def __init__(self, search: KernelSearch, Y: np.ndarray, keep_all: bool) -> None:
        self.search, self.Y = search, Y
        arrays, task, rows = search.arrays, search.task, search.rows
        self.n_outer, self.n_targets = len(rows.folds), Y.shape[1]
        self.best = start(arrays.empty, arrays.whole, self.n_outer, self.n_targets)
        self.total = arrays.empty((self.n_outer, len(task.alphas), self.n_targets))
        self.total[:] = 0
        self.curve = np.zeros(len(task.gammas))
        shape = (len(task.gammas), self.n_outer, self.n_targets)
        self.each = np.empty(shape, dtype=arrays.dtype) if keep_all else None
        # Responses go to where the search is once; they are of unit size, so that centring there loses nothing.
        self.there = arrays.to(Y)
        self.means = [self.mean_of(training.rows) for training in rows.sets]

    def mean_of(self, rows: np.ndarray) -> np.ndarray:
        """Mean response of some rows; zero without an intercept."""
        return self.Y[rows].mean(0) if self.search.intercept else np.zeros(self.n_targets)

    def centred(self, rows: np.ndarray, number: int) -> Any:
        """Centre the responses of some rows on the mean of a training set."""
        arrays = self.search.arrays
        return self.there[arrays.index(rows)] - arrays.to(self.means[number])

    def add(self, number: int, turn: Any, parts: Sequence[tuple[Any, Coupling]]) -> None:
        """Add the losses of one training set."""
        arrays, xp = self.search.arrays, self.search.arrays.xp
        training = self.search.rows.sets[number]
        c = xp.matmul(turn, self.centred(training.rows, number))
        rank = len(c)
        work = arrays.empty((3 * rank, self.n_targets))
        xp.multiply(c, c, out=work[rank : 2 * rank])
        for validation, (project, coupling) in zip(training.validations, parts, strict=True):
            e = xp.matmul(project, self.centred(validation.rows, number))
            self.total[validation.outer] += losses(xp, coupling, c, e, work)

    def end(self, candidate: int) -> None:
        """Update the best choices with the losses of a candidate."""
        xp = self.search.arrays.xp
        improve(xp, self.best, self.total, candidate)
        self.curve[candidate] = -float(self.best.loss.sum())
        if self.each is not None:
            self.each[candidate] = self.search.arrays.host(xp.amin(self.total, 1))
        self.total[:] = 0

    def finish(self) -> Found:
        """Return the best choices, with scores that include the responses' own variance."""
        search = self.search
        return finish_search(
            search.rows, self.Y, self.means, self.best, curve=self.curve, each=self.each, arrays=search.arrays
        )

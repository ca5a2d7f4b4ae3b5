"""Search for features that outnumber the samples: the same losses, in the basis of the training rows.

The eigenvectors of the kernel ``K = Z Z' = U diag(s) U'`` take the place of those of ``Z'Z``: a target is rotated by
``U'``, the validation rows by ``R = Z_v Z' U diag(s)^{-1/2}``, and every formula for the losses stays as it is.
Scaling on the rows of every training set makes a kernel of its own for each; nested folds still share it.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from ...numerics.designs import TrainingSet, scale_set
from ...numerics.partial_fractions import Coupling, couple, decompose, losses
from ...numerics.ridge_search import band_scale, improve, start
from ..arrays import Arrays
from ..rows import KERNEL_BYTES, Rows
from .search_statistics import Found, Task

BATCH = 1024
# Kernels of bands with more features than this are kept from candidate to candidate, as far as they fit.
NARROW = 256


class KernelSearch:
    """Search for one model, from kernels.

    Parameters
    ----------
    X : ndarray of float64, shape (n_samples, n_features)
        Features of the model.
    rows : Rows
        The folds.
    task : Task
        What to search.
    scale, intercept : bool
        Whether to scale, and to centre, on the rows of every training set.
    arrays : Arrays
        Where to compute.
    """

    def __init__(self, X: np.ndarray, rows: Rows, task: Task, *, scale: bool, intercept: bool, arrays: Arrays) -> None:
        self.X, self.rows, self.task, self.arrays = X, rows, task, arrays
        self.scale, self.intercept = scale, intercept
        self.factors = [scale_set(X, s.rows, task.bands, scale=scale, intercept=intercept) for s in rows.sets]
        self._kept: dict[tuple[int, int], list[np.ndarray]] = {}
        self._free = KERNEL_BYTES

    def run(self, Y: np.ndarray, *, keep_all: bool = False) -> Found:
        """Search for some targets.

        Parameters
        ----------
        Y : ndarray, shape (n_samples, n_targets)
            Responses as `standardise_targets` gives them.
        keep_all : bool, default=False
            Whether to keep the score of every candidate.

        Returns
        -------
        Found
            The choices.
        """
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
        """Decompose the kernel of one candidate on one training set.

        Parameters
        ----------
        candidate, number : int
            Which candidate, and which training set.

        Returns
        -------
        turn : array, shape (rank, n_train)
            Takes training responses to the eigenvectors, in units.
        parts : list of (array, Coupling)
            For every validation set, what takes its responses there, and its losses.
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
        """Add up the kernels of the bands of a training set, with itself and with each of its validation sets."""
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
        """Multiply the scaled features of a band out, or take that from memory."""
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
        return self.Y[rows].mean(0) if self.search.intercept else np.zeros(self.n_targets)

    def centred(self, rows: np.ndarray, number: int) -> Any:
        """Take responses about their mean in a training set."""
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
        """Compare a candidate with those before."""
        xp = self.search.arrays.xp
        improve(xp, self.best, self.total, candidate)
        self.curve[candidate] = -float(self.best.loss.sum())
        if self.each is not None:
            self.each[candidate] = self.search.arrays.host(xp.amin(self.total, 1))
        self.total[:] = 0

    def finish(self) -> Found:
        """Add what is the same for every candidate."""
        arrays = self.search.arrays
        base = np.zeros((self.n_outer, self.n_targets))
        for training, mean in zip(self.search.rows.sets, self.means, strict=True):
            for validation in training.validations:
                base[validation.outer] += validation.share * ((self.Y[validation.rows] - mean) ** 2).mean(0)
        loss = arrays.host(self.best.loss).astype(np.float64) + base
        each = None if self.each is None else -(self.each + base.astype(arrays.dtype))
        candidate, alpha = arrays.host(self.best.candidate), arrays.host(self.best.alpha)
        return Found(candidate, alpha, -loss, self.curve - base.sum(), each)

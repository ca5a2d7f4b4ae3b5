"""Search of a model with wide bands: losses of every candidate on every training set."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cached_property, partial
from itertools import groupby, pairwise
from typing import Any, TypeVar

import numpy as np

from ...numerics.designs import scale_set
from ...numerics.partial_fractions import losses
from ...numerics.ridge_search import Operator, band_scale, improve, make_operator, rotate, start
from ...numerics.wide_band import WideBasis, WideStep, eliminate, make_basis, make_step
from ..rows import Rows
from .base import Found, Problem, finish_search
from .wide_grid import NONE, Grid

BATCH = 1024
WIDE_COLUMNS = 2048  # features of a wide band that are scaled and multiplied at once
# Rounding of a kernel, as a share of the smallest penalty, that changes no loss by more than some 1e-6.
HARMLESS = 1e-4
T = TypeVar("T")


class Kept:
    """What was computed and may serve again, as far as it fits into some memory."""

    def __init__(self, memory: int) -> None:
        self.free = memory
        self._known: dict[Any, Any] = {}

    def get(self, key: Any, make: Callable[[], T], size: Callable[[T], int]) -> T:
        """Return what is known under a key, or make it and keep it if it fits."""
        if key in self._known:
            return self._known[key]
        made = make()
        if size(made) <= self.free:
            self.free -= size(made)
            self._known[key] = made
        return made


def kernel_bytes(kernels: list[list[np.ndarray]]) -> int:
    """Count the bytes of the kernels of all wide bands."""
    return sum(part.nbytes for parts in kernels for part in parts)


def basis_bytes(basis: WideBasis) -> int:
    """Count the bytes of a basis."""
    return sum(part.nbytes for part in (basis.kernel.vectors, basis.narrow, *basis.across, *basis.held))


class WideFeatures:
    """Features of one model, and the kernels of its wide bands."""

    def __init__(self, problem: Problem, grid: Grid) -> None:
        design, (task,) = problem.design, problem.tasks
        whole = np.array_equal(task.columns, np.arange(design.X.shape[1]))
        self.X = design.X if whole else design.X[:, task.columns]
        self.grid, self.bands, self.scale, self.intercept = grid, task.bands, design.scale, design.intercept
        parts = [np.arange(self.X.shape[1])[task.bands[band]] for band in grid.narrow]
        self.columns = np.concatenate([np.arange(0), *parts])
        self.narrow_bands = [slice(a, b) for a, b in pairwise(np.cumsum([0, *map(len, parts)]).tolist())]
        self.dtype = problem.arrays.dtype

    def precision(self, n_train: int, size: float = 1.0) -> str:
        """Return the precision of products of wide features; what is summed over parts is summed in float64.

        `size` is the mean square of a band over training rows, 1 where it is scaled. Rounding features to float32
        changes their kernel by a matrix of norm ``2^-24 size sqrt(n_train)`` or so, which must be small beside the
        smallest penalty.
        """
        rounding = 2.0**-24 * size * np.sqrt(n_train)
        return "float32" if self.dtype == "float32" and rounding <= HARMLESS * self.grid.penalties[0] else "float64"

    @cached_property
    def kernels(self) -> list[np.ndarray]:
        """Kernels (n_samples, n_samples) of all rows, which serve every training set where features are not scaled."""
        parts = [self.X[:, self.bands[band]] for band in self.grid.wide]
        return [Z @ Z.T for Z in parts]


class WideRows:
    """Training rows of a model: what its features are centred on and scaled by, and kernels.

    Held-out rows are given as numbers of rows, or as feature rows (n_rows, n_features) where these are averages.
    """

    def __init__(self, features: WideFeatures, train: np.ndarray) -> None:
        self.of, self.train, self.grid = features, train, features.grid
        self.mean, self.factor = scale_set(
            features.X, train, features.bands, scale=features.scale, intercept=features.intercept
        )
        self.varies = self.factor[features.columns] > 0

    def scaled(self, rows: np.ndarray, columns: Any, out: np.ndarray | None = None) -> np.ndarray:
        """Centre and scale some columns of some rows, into `out` if given."""
        part = self.of.X[:, columns][rows] if rows.ndim == 1 else rows[:, columns]
        return np.multiply(part - self.mean[columns], self.factor[columns], out=out, casting="same_kind")

    def kernels(self, held: Sequence[np.ndarray]) -> list[list[np.ndarray]]:
        """Compute for every wide band the kernel of the training rows, and those with each set of held-out rows."""
        if not self.of.scale and all(rows.ndim == 1 for rows in held):
            return [self._centred(kernel, held) for kernel in self.of.kernels]
        return [self._multiplied(self.of.bands[band], held) for band in self.grid.wide]

    def _centred(self, kernel: np.ndarray, held: Sequence[np.ndarray]) -> list[np.ndarray]:
        """Centre a kernel of all rows on the training rows."""
        train = self.train
        if not self.of.intercept:
            return [kernel[np.ix_(rows, train)] for rows in (train, *held)]
        mean = kernel[:, train].mean(1)
        total = mean[train].mean()
        return [kernel[np.ix_(rows, train)] - mean[rows][:, None] - (mean[train] - total) for rows in (train, *held)]

    def _multiplied(self, band: slice, held: Sequence[np.ndarray]) -> list[np.ndarray]:
        """Multiply the scaled features of a band, some columns at a time so that copies stay small."""
        sets = (self.train, *held)
        edges = np.cumsum([0, *map(len, sets)]).tolist()
        # All rows at once: a product with its own transpose takes half the operations.
        total = np.zeros((edges[-1], edges[-1]))
        width = min(band.stop - band.start, WIDE_COLUMNS)
        Z = np.empty((edges[-1], width), dtype=self.of.precision(len(self.train)))
        for first in range(band.start, band.stop, width):
            some = slice(first, min(first + width, band.stop))
            part = Z[:, : some.stop - first]
            for rows, (top, bottom) in zip(sets, pairwise(edges), strict=True):
                self.scaled(rows, some, out=part[top:bottom])
            total += part @ part.T
        return [total[top:bottom, : edges[1]].copy() for top, bottom in pairwise(edges)]

    def basis(self, mixture: int, kernels: list[list[np.ndarray]], held: Sequence[np.ndarray]) -> WideBasis:
        """Reduce one mixture of the wide kernels."""
        weights = self.grid.mixtures[mixture]
        kernel, *across = [
            sum(weight * part for weight, part in zip(weights, parts, strict=True) if weight)
            for parts in zip(*kernels, strict=True)
        ]
        columns = self.of.columns
        narrow = self.scaled(self.train, columns)
        return make_basis(kernel, across, narrow, [self.scaled(rows, columns) for rows in held])


class WideSearch:
    """Search of one model on all training sets."""

    def __init__(self, problem: Problem, features: WideFeatures, kept: Kept) -> None:
        self.problem, self.grid, self.kept, self.arrays = problem, features.grid, kept, problem.arrays
        self.rows: Rows = problem.design.rows
        self.sets = [WideRows(features, training.rows) for training in self.rows.sets]

    def run(self, Y: np.ndarray, *, keep_all: bool = False) -> Found:
        """Search standardised responses (n_samples, n_targets); keep the score of every candidate if asked."""
        width = BATCH if self.arrays.device == "cpu" else 1 << 15
        batches = [_Batch(self, Y[:, first : first + width], keep_all) for first in range(0, Y.shape[1], width)]
        numbered = enumerate(self.grid.candidates.tolist())
        for mixture, of_mixture in groupby(numbered, key=lambda item: item[1][0]):
            bases = self._bases(mixture, batches)
            for penalty, tried in groupby(of_mixture, key=lambda item: item[1][1]):
                for batch in batches:
                    batch.begin()
                value = np.inf if penalty == NONE else float(self.grid.penalties[penalty])
                for number, basis in enumerate(bases):
                    self._add(number, basis, value, batches)
                chosen = [(number, weighting) for number, (_, _, weighting) in tried]
                list(self.arrays.each(lambda batch, these=chosen: batch.end(these), batches))  # type: ignore[misc]
        found = [batch.finish() for batch in batches]
        return Found(
            np.concatenate([part.candidate for part in found], axis=1),
            np.concatenate([part.alpha for part in found], axis=1),
            np.concatenate([part.score for part in found], axis=1),
            np.sum([part.curve for part in found], axis=0),
            np.concatenate([part.each for part in found if part.each is not None], axis=2) if keep_all else None,
        )

    def _bases(self, mixture: int, batches: Sequence["_Batch"]) -> list[WideBasis]:
        """Reduce a mixture on every training set, and rotate the responses there."""
        bases = []
        for number, rows in enumerate(self.sets):
            basis = self.kept.get((mixture, number), partial(self._basis, mixture, number, rows), basis_bytes)
            turn = self.arrays.to(basis.kernel.vectors.T)
            list(self.arrays.each(lambda batch, n=number, t=turn: batch.rotate(n, t), batches))  # type: ignore[misc]
            # The rotation has done its work; only what was kept for the next chunk still holds it.
            bases.append(replace(basis, kernel=replace(basis.kernel, vectors=np.empty((0, 0)))))
        return bases

    def _basis(self, mixture: int, number: int, rows: "WideRows") -> WideBasis:
        held = [validation.rows for validation in self.rows.sets[number].validations]
        if len(self.grid.mixtures) == 1:
            return rows.basis(mixture, rows.kernels(held), held)
        kernels = self.kept.get(("kernels", number), lambda: rows.kernels(held), kernel_bytes)
        return rows.basis(mixture, kernels, held)

    def _add(self, number: int, basis: WideBasis, penalty: float, batches: Sequence["_Batch"]) -> None:
        """Add the losses of one training set at one penalty of the wide bands, for every weighting."""
        arrays, training, rows = self.arrays, self.rows.sets[number], self.sets[number]
        step = make_step(basis, penalty, rows.varies, arrays.dtype)
        shares = [validation.share for validation in training.validations]

        def prepare(weighting: np.ndarray) -> Operator:
            scale = band_scale(rows.of.narrow_bands, weighting, len(rows.varies))
            made = make_operator(
                step.scaled, scale, self.grid.alphas, shares, n_train=len(training.rows), dtype=arrays.dtype
            )
            return arrays.operator(made)

        operators = list(arrays.each(prepare, self.grid.weightings)) if len(rows.varies) else []
        there = replace(step, project=arrays.to(step.project), rest=tuple(arrays.to(part) for part in step.rest))
        list(arrays.each(lambda batch: batch.add(number, there, operators), batches))


class _Batch:
    """Search on some targets."""

    def __init__(self, search: WideSearch, Y: np.ndarray, keep_all: bool) -> None:
        self.search, self.Y = search, Y
        arrays, rows, grid = search.arrays, search.rows, search.grid
        self.n_outer, self.n_targets = len(rows.folds), Y.shape[1]
        self.best = start(arrays.empty, arrays.whole, self.n_outer, self.n_targets)
        self.there = arrays.to(Y)
        intercept = search.problem.design.intercept
        self.means = [
            Y[training.rows].mean(0, dtype=np.float64) if intercept else np.zeros(self.n_targets)
            for training in rows.sets
        ]
        self.rotated: list[Any] = [None] * len(rows.sets)
        self.alone = arrays.empty((self.n_outer, self.n_targets))
        self.total = arrays.empty((self.n_outer, len(grid.weightings), len(grid.alphas), self.n_targets))
        self.curve = np.zeros(len(grid.candidates))
        shape = (len(grid.candidates), self.n_outer, self.n_targets)
        self.each = np.empty(shape, dtype=arrays.dtype) if keep_all else None

    def centred(self, rows: np.ndarray, number: int) -> Any:
        """Centre the responses of some rows on the mean of a training set."""
        arrays = self.search.arrays
        return self.there[arrays.index(rows)] - arrays.to(self.means[number])

    def rotate(self, number: int, turn: Any) -> None:
        """Rotate the responses of a training set to its basis."""
        self.rotated[number] = self.search.arrays.xp.matmul(
            turn, self.centred(self.search.rows.sets[number].rows, number)
        )

    def begin(self) -> None:
        """Forget the losses of the last penalty."""
        self.alone[:] = 0
        self.total[:] = 0

    def add(self, number: int, step: WideStep, operators: Sequence[Operator]) -> None:
        """Add the losses of one training set."""
        arrays, xp = self.search.arrays, self.search.arrays.xp
        validations = self.search.rows.sets[number].validations
        held = [self.centred(validation.rows, number) for validation in validations]
        cross, products, gains = eliminate(xp, step, self.rotated[number], held)
        for validation, gain in zip(validations, gains, strict=True):
            gain *= validation.share
            self.alone[validation.outer] += gain
        for weighting, operator in enumerate(operators):
            rank = len(operator.rotate)
            c, e = arrays.empty((rank, self.n_targets)), arrays.empty((rank, self.n_targets))
            work = arrays.empty((3 * rank, self.n_targets))
            rotate(xp, operator, cross, c)
            xp.multiply(c, c, out=work[rank : 2 * rank])
            for place, validation in enumerate(validations):
                rotate(xp, operator, products[place], e)
                lost = losses(xp, operator.couplings[place], c, e, work)
                lost += gains[place]
                self.total[validation.outer, weighting] += lost

    def end(self, tried: Sequence[tuple[int, int]]) -> None:
        """Update the best choices with the candidates of one penalty, given as numbers and weightings."""
        xp = self.search.arrays.xp
        for number, weighting in tried:
            total = self.alone[:, None] if weighting == NONE else self.total[:, weighting]
            improve(xp, self.best, total, number)
            self.curve[number] = -float(self.best.loss.sum())
            if self.each is not None:
                self.each[number] = self.search.arrays.host(xp.amin(total, 1))

    def finish(self) -> Found:
        """Return the best choices, with scores that include the responses' own variance."""
        search = self.search
        return finish_search(
            search.rows, self.Y, self.means, self.best, curve=self.curve, each=self.each, arrays=search.arrays
        )

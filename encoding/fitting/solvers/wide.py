"""Fit narrow bands beside one or two wide ones, such as motion energy or the layers of a network.

The wide kernel is reduced to tridiagonal form once per training set; at every penalty of the wide band the others are
a narrow ridge problem of their own (`numerics.wide_band`). Candidates are then penalties of the wide band times
weightings of the narrow ones, each at every narrow penalty, instead of random draws of all weights; two wide bands are
mixed in fixed ratios. Choices are translated to weights and penalties as all solvers give them.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import ClassVar

import numpy as np

from ...numerics.held_out import OuterFeatures, Refit, prepare_refit, refit_all
from ...numerics.metrics import fold_sums
from ...numerics.ridge_search import band_scale
from ...numerics.target_products import standardise_targets
from ...numerics.wide_band import Tridiagonal
from ..arrays import Arrays
from ..design import average
from .base import Bytes, Fit, Keep, OneTaskSolver, Problem, Size
from .refit import in_units, stack_sums
from .wide_grid import NONE, SHARES, choose_wide, count_grid_operations, count_weightings, is_wide, make_grid
from .wide_search import BATCH, WIDE_COLUMNS, Kept, WideFeatures, WideRows, WideSearch, kernel_bytes


class WideSolver(OneTaskSolver):
    """One model with one or two wide bands."""

    name: ClassVar[str] = "wide"
    checked: ClassVar[bool] = True
    regrids: ClassVar[bool] = True
    ratios: ClassVar[tuple[float, ...]] = SHARES

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem)
        self.grid = make_grid(self.design.rows, self.task)
        features, kept = WideFeatures(problem, self.grid), Kept(problem.memory)
        self.search = WideSearch(problem, features, kept)
        self.folds = [WideFold(problem, features, k, kept) for k in range(len(self.design.folds))]

    @staticmethod
    def operations(size: Size, n_targets: int, device: str) -> float:  # noqa: ARG004
        """Count reductions of the wide kernels and the narrow search at every penalty; endless if it may not."""
        if not (size.free and is_wide(size.rows, size.widths)):
            return float("inf")
        fixed, per_target = count_grid_operations(
            size, choose_wide(size.rows, size.widths, size.n_candidates, size.n_alphas)
        )
        return fixed + per_target * n_targets

    @staticmethod
    def bytes(sizes: Sequence[Size], n_features: int, arrays: Arrays) -> Bytes:  # noqa: ARG004
        """Count kernels and bases, rotated responses of every training set, and losses of one penalty."""
        (size,) = sizes
        rows, n = size.rows, size.n_rows
        n_outer, n_train = len(rows.folds), int(rows.plan.n_train.max())
        wide = choose_wide(rows, size.widths, size.n_candidates, size.n_alphas)
        q = size.n_features - sum(size.widths[band] for band in wide)
        M = count_weightings(len(size.widths) - len(wide), len(size.widths), size.n_candidates)
        held = int(rows.plan.n_validation.sum())
        basis = 8 * (n_train * (n_train + q) + held // max(len(rows.sets), 1) * (n_train + q))
        R = 1 if len(wide) == 1 else len(SHARES)
        return Bytes(
            fixed=8 * (n * 2 * size.n_features + 4 * n * n * len(wide)) + len(rows.sets) * basis,
            target=arrays.itemsize * (len(rows.sets) * n_train + n + n_outer * (M + 1) * size.n_alphas) + 8 * 4 * n,
            thread=arrays.itemsize * BATCH * (held + 6 * q + n),
            smallest=basis,
            wanted=R * (len(rows.sets) * basis + n_outer * 8 * n * n),
        )

    def draw(self, task: int, rng: np.random.Generator) -> np.ndarray:  # noqa: ARG002
        """Draw a candidate of the grid and a penalty."""
        candidate, alpha = rng.integers(len(self.grid.candidates)), rng.integers(len(self.grid.alphas))
        gammas, alphas = self.grid.choices(np.array([candidate]), np.array([alpha]))
        return np.append(gammas[0], alphas)

    def fit(self, Y: np.ndarray, keep: Sequence[Keep | None]) -> list[Fit]:
        """Search and refit the model."""
        design, n_targets = self.design, Y.shape[1]
        standard, unit = np.empty(Y.shape, dtype=self.arrays.dtype), np.empty(n_targets)
        for first in range(0, n_targets, BATCH):
            part = slice(first, first + BATCH)
            standard[:, part], unit[part] = standardise_targets(
                Y[:, part], design.rows.plan.blocks, intercept=design.intercept
            )
        found = self.search.run(standard, keep_all=self.problem.details)
        translated = [self.grid.choices(*chosen) for chosen in zip(found.candidate, found.alpha, strict=True)]
        sums = []
        for k, fold in enumerate(design.folds):
            if len(fold.test):
                predicted = self.folds[k].predict(standard, found.candidate[k], found.alpha[k])
                mean = standard[fold.train].mean(0, dtype=np.float64) if design.intercept else 0.0
                held = average(standard[fold.test].astype(np.float64), fold.average) - mean
                if keep[0] is not None:
                    keep[0](k, np.arange(n_targets), predicted * unit)
                sums.append(in_units(fold_sums(held, predicted), unit))
        weights = None
        if self.problem.details:
            weights = self.folds[0].weights(standard, found.candidate[0], found.alpha[0])
            weights *= unit.astype(weights.dtype)
        return [
            Fit(
                np.stack([alphas for _, alphas in translated]),
                np.stack([gammas.T for gammas, _ in translated]),
                found.score,
                found.curve,
                stack_sums(sums) if sums else {},
                unit,
                weights,
                found.each[:, 0] if found.each is not None else None,
            )
        ]


@dataclass(frozen=True, eq=False, slots=True)
class FoldBasis:
    """The training rows of an outer fold in the basis of a mixture of its wide kernels."""

    kernel: Tridiagonal
    turn: np.ndarray  # (n_train, n_train) Its transposed basis, in the precision of the search
    narrow: np.ndarray  # (n_train, n_narrow) Rotated narrow features
    across: tuple[np.ndarray, ...]  # (n_test, n_train) Rotated kernel of held-out and training rows, of every wide band

    @property
    def nbytes(self) -> int:
        """Bytes of all arrays."""
        return sum(part.nbytes for part in (self.kernel.vectors, self.turn, self.narrow, *self.across))


class WideFold:
    """One outer fold of a model: refit on its training rows and prediction of what it holds out.

    A target's fit is ``beta`` of the narrow features and ``left = (T + l I)^-1 (Y~ - Z~ beta)`` in the basis Q of its
    wide kernel ``Q T Q'``, solved in float64: the wide band predicts ``K_vt Q left``, and its weights are
    ``X_t'Q left``.
    """

    def __init__(self, problem: Problem, features: WideFeatures, k: int, kept: Kept) -> None:
        self.features, self.grid, self.k, self.kept = features, features.grid, k, kept
        fold = problem.design.folds[k]
        self.rows = WideRows(features, fold.train)
        self.test = average(features.X[fold.test], fold.average)

    def predict(self, Y: np.ndarray, candidate: np.ndarray, alpha: np.ndarray) -> np.ndarray:
        """Refit standardised responses and predict the held-out rows (n_bands, n_test, n_targets), band by band."""
        grid, features = self.grid, self.features
        out = np.zeros((len(features.bands), len(self.test), Y.shape[1]), dtype=np.float32)
        held = self.rows.scaled(self.test, features.columns)
        for mixture, columns, beta, left in self._solve(Y, candidate, alpha):
            share = grid.mixtures[mixture]
            for band, across, weight in zip(grid.wide, self._basis(mixture).across, share, strict=True):
                if weight:
                    out[band][:, columns] = (weight * across) @ left
            for band, local in zip(grid.narrow, features.narrow_bands, strict=True):
                out[band][:, columns] = held[:, local] @ beta[local]
        return out

    def weights(self, Y: np.ndarray, candidate: np.ndarray, alpha: np.ndarray) -> np.ndarray:
        """Refit standardised responses; return weights (n_features, n_targets) of the unscaled features."""
        grid, rows, features = self.grid, self.rows, self.features
        out = np.zeros((features.X.shape[1], Y.shape[1]), dtype=features.dtype)
        for mixture, columns, beta, left in self._solve(Y, candidate, alpha):
            basis = self._basis(mixture)
            precision = features.precision(len(rows.train), float(basis.kernel.diagonal.mean()))
            vectors = basis.kernel.vectors.astype(precision, copy=False)
            for band, weight in zip(grid.wide, grid.mixtures[mixture], strict=True):
                whole = features.bands[band]
                for first in range(whole.start, whole.stop if weight else whole.start, WIDE_COLUMNS):
                    some = slice(first, min(first + WIDE_COLUMNS, whole.stop))
                    Z = np.empty((len(rows.train), some.stop - first), dtype=precision)
                    turned = rows.scaled(rows.train, some, out=Z).T @ vectors
                    turned *= (weight * rows.factor[some, None]).astype(precision)
                    out[some, columns] = turned.astype(features.dtype, copy=False) @ left
            out[np.ix_(features.columns, columns)] = beta * rows.factor[features.columns, None]
        return out

    def _kernels(self) -> list[list[np.ndarray]]:
        return self.kept.get(("fold", self.k), lambda: self.rows.kernels([self.test]), kernel_bytes)

    def _basis(self, mixture: int) -> FoldBasis:
        def make() -> FoldBasis:
            kernels, dtype = self._kernels(), self.features.dtype
            basis = self.rows.basis(mixture, [parts[:1] for parts in kernels], [])
            across = tuple((parts[1] @ basis.kernel.vectors).astype(dtype) for parts in kernels)
            turn = np.ascontiguousarray(basis.kernel.vectors.T, dtype=dtype)
            return FoldBasis(basis.kernel, turn, basis.narrow, across)

        return self.kept.get(("fold", self.k, mixture), make, lambda basis: basis.nbytes)

    def _solve(
        self, Y: np.ndarray, candidate: np.ndarray, alpha: np.ndarray
    ) -> Iterator[tuple[int, np.ndarray, np.ndarray, np.ndarray]]:
        """Yield each chosen mixture with its targets, their narrow weights (n_narrow, n), and ``left`` (n_train, n)."""
        mixture, penalty, weighting = self.grid.candidates[candidate].T
        for one in np.unique(mixture).tolist():
            basis, columns = self._basis(one), np.flatnonzero(mixture == one)
            beta = np.zeros((len(self.rows.varies), len(columns)))
            left = np.empty((len(basis.turn), len(columns)), dtype=self.features.dtype)
            for first in range(0, len(columns), BATCH):
                part = slice(first, first + BATCH)
                y = Y[np.ix_(self.rows.train, columns[part])].astype(self.features.dtype, copy=False)
                if self.features.intercept:
                    y -= y.mean(0, dtype=np.float64).astype(y.dtype)
                np.matmul(basis.turn, y, out=left[:, part])
            for level in np.unique(penalty[columns]):
                at = np.flatnonzero(penalty[columns] == level)
                value = np.inf if level == NONE else float(self.grid.penalties[level])
                some = (weighting[columns[at]], self.grid.alphas[alpha[columns[at]]])
                beta[:, at], left[:, at] = self._at_penalty(basis, value, left[:, at], *some)
            yield one, columns, beta, left

    def _at_penalty(
        self, basis: FoldBasis, penalty: float, rotated: np.ndarray, weighting: np.ndarray, alphas: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        rows = self.rows
        damped = basis.kernel.damp(basis.narrow, penalty)
        nothing = np.zeros((0, len(rows.varies)))
        varies = rows.varies.astype(np.float64)
        features = OuterFeatures(varies, basis.narrow.T @ damped, nothing, nothing)
        beta = np.zeros((len(rows.varies), rotated.shape[1]))
        some = np.flatnonzero(weighting != NONE)
        if len(some) and len(rows.varies):

            @cache
            def prepared(number: int) -> Refit:
                scale = band_scale(self.features.narrow_bands, self.grid.weightings[number], len(rows.varies))
                return prepare_refit(features, scale)

            beta[:, some] = refit_all(prepared, damped.T @ rotated[:, some], weighting[some], alphas[some])
        return beta, basis.kernel.damp(rotated - basis.narrow @ beta, penalty) / penalty

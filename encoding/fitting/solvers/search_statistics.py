"""Fit from products of features and responses: search, refit and predictions, of several models at once.

The responses are read once. What follows works on their products with the features, in batches of targets that stay
in the cache of a processor (or fill a graphics card).
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import ClassVar

import numpy as np

from ...numerics.held_out import (
    OuterTargets,
    Refit,
    held_out_sums,
    outer_features,
    outer_targets,
    prepare_refit,
    refit_all,
    training_products,
)
from ...numerics.ridge_search import Operator, Scratch, band_scale, improve, score_candidate, start
from ...numerics.target_products import (
    BlockSets,
    SetProducts,
    TargetProducts,
    multiply_sets,
    multiply_targets,
    standardise_targets,
)
from ..arrays import Arrays
from ..design import average
from ..rows import REFIT_BYTES, Rows, base_loss, batch_of, operator_bytes
from .base import Bytes, Fit, Found, Keep, Problem, Size, Task, decomposition_operations, draw_choice
from .operators import Operators
from .refit import in_units, stack_sums
from .search_guided import GuidedSearch

# Batches that are searched together where all targets are in memory: more would only take memory.
BATCHES_AT_ONCE = 8


class StatisticsSolver:
    """Several models from one look at the responses."""

    name: ClassVar[str] = "statistics"
    joint: ClassVar[bool] = True
    offered: ClassVar[bool] = True
    checked: ClassVar[bool] = True
    guides: ClassVar[bool] = True
    regrids: ClassVar[bool] = False

    def __init__(self, problem: Problem) -> None:
        design = problem.design
        self.problem, self.design, self.arrays = problem, design, problem.arrays
        settings = {"scale": design.scale, "intercept": design.intercept}
        self.engine = StatisticsSearch(
            design.X, design.rows, problem.tasks, arrays=problem.arrays, memory=problem.memory, **settings
        )
        self.refits: dict[tuple[int, int, int], Refit] = {}
        self.features = [
            [
                outer_features(
                    design.X[:, task.columns],
                    average(design.X[np.ix_(fold.test, task.columns)], fold.average),
                    fold.train,
                    task.bands,
                    **settings,
                )
                for fold in design.folds
            ]
            for task in problem.tasks
        ]

    @staticmethod
    def operations(size: Size, n_targets: int, device: str) -> float:
        """Count the products with the responses, and decompositions and losses of every candidate."""
        p, n_sets, n_val = size.n_features, len(size.rows.sets), size.rows.n_validations
        by_products = n_sets * 2 * p * p + n_val * (4 * p * p + 4 * size.n_alphas * p)
        per_candidate = n_sets * decomposition_operations(p, device) + by_products * n_targets
        return 2.0 * size.n_rows * p * n_targets + size.n_candidates * per_candidate

    @staticmethod
    def bytes(sizes: Sequence[Size], n_features: int, arrays: Arrays) -> Bytes:
        """Count products of features, products with the responses, and decomposed candidates."""
        rows = sizes[0].rows
        n_outer, n_sets = len(rows.folds), len(rows.sets) + rows.n_validations
        candidates = [operator_bytes(rows, size.n_features, size.n_alphas, arrays) for size in sizes]
        return Bytes(
            fixed=sum(8 * size.n_features**2 * (n_sets + 2 * n_outer) for size in sizes),
            target=8 * (len(rows.plan.blocks) + 1) * n_features,
            refit=sum(8 * size.n_candidates * n_outer * size.n_features**2 for size in sizes),
            smallest=max(candidates),
            wanted=sum(one * size.n_candidates for one, size in zip(candidates, sizes, strict=True)),
        )

    def at_once(self, n_targets: int) -> int:
        """Return a few batches, whose products fit into memory."""
        return min(n_targets, self.engine.batch * BATCHES_AT_ONCE)

    def draw(self, task: int, rng: np.random.Generator) -> np.ndarray:
        """Draw a candidate and a penalty."""
        return draw_choice(self.problem.tasks[task], rng)

    def fit(self, Y: np.ndarray, keep: Sequence[Keep | None]) -> list[Fit]:
        """Search and refit every model: every task, or every set of choices of a task."""
        width = self.engine.batch
        pieces = [np.arange(first, min(first + width, Y.shape[1])) for first in range(0, Y.shape[1], width)]
        read = list(self.arrays.each(lambda columns: self._read(Y[:, columns]), pieces))
        found = self.engine.run([batch.products for batch in read], keep_all=self.problem.details)
        return [
            self._refit(owner, of_model, read, where)
            for owner, of_model, where in zip(self.engine.owners, found, keep, strict=True)
        ]

    def _read(self, Y: np.ndarray) -> "_Read":
        values, unit = self.engine.standardise(Y)
        averaged = {
            number: average(values[fold.test], fold.average)
            for number, fold in enumerate(self.design.folds)
            if not np.array_equal(fold.average, np.arange(len(fold.test)))
        }
        return _Read(self.engine.products(values), unit, averaged)

    def _refit(self, number: int, found: list[Found], read: list["_Read"], keep: Keep | None) -> Fit:
        task = self.problem.tasks[number]
        whole = join_found(found)
        details = self.problem.details
        return Fit(
            task.alphas[whole.alpha],
            task.gammas[whole.candidate].transpose(0, 2, 1),
            whole.score,
            whole.curve,
            self._predict(number, found, read, keep),
            np.concatenate([batch.unit for batch in read]),
            self._first_weights(number, found, read) if details else None,
            whole.each[:, 0] if whole.each is not None else None,
        )

    def _predict(
        self, number: int, found: list[Found], read: list["_Read"], keep: Keep | None
    ) -> dict[str, np.ndarray]:
        """Refit every outer fold, keep the predictions, and sum what the scores need over its held-out rows."""
        task = self.problem.tasks[number]
        folds = [k for k, fold in enumerate(self.design.folds) if len(fold.test)]
        first = np.cumsum([0, *(len(batch.unit) for batch in read)])

        def one(job: tuple[int, int]) -> dict[str, np.ndarray]:
            k, b = job
            targets = self._outer(k, read[b], number)
            features = self.features[number][k]
            weights = self._weights(number, k, targets.train, found[b])
            if keep is not None:
                scaled = weights * read[b].unit
                columns = np.arange(first[b], first[b + 1])
                keep(k, columns, np.stack([features.test[:, band] @ scaled[band] for band in task.bands]))
            return in_units(held_out_sums(features, targets, weights, task.bands), read[b].unit)

        done = list(self.arrays.each(one, [(k, b) for k in folds for b in range(len(read))]))
        rows = [done[k * len(read) : (k + 1) * len(read)] for k in range(len(folds))]
        joined = [
            {name: np.concatenate([part[name] for part in row], axis=-1) for name in row[0]} for row in rows if row
        ]
        return stack_sums(joined) if joined else {}

    def _first_weights(self, number: int, found: list[Found], read: list["_Read"]) -> np.ndarray:
        """Fit weights (n_features, n_targets) on the training rows of the first outer fold."""
        parts = []
        for batch, part in zip(read, found, strict=True):
            cross, _, _ = training_products(*self._part(batch, number), 0, intercept=self.design.intercept)
            parts.append(self._weights(number, 0, cross, part) * batch.unit)
        return np.concatenate(parts, axis=1)

    def _weights(self, number: int, k: int, cross: np.ndarray, found: Found) -> np.ndarray:
        alphas = self.problem.tasks[number].alphas[found.alpha[k]]
        return refit_all(partial(self._prepare_refit, number, k), cross, found.candidate[k], alphas)

    def _prepare_refit(self, number: int, k: int, candidate: int) -> Refit:
        """Decompose a candidate in an outer fold, or return what is known of it."""
        known = self.refits.get((number, k, candidate))
        if known is None:
            task = self.problem.tasks[number]
            scale = band_scale(task.bands, task.gammas[candidate], len(task.columns))
            known = prepare_refit(self.features[number][k], scale)
            if (len(self.refits) + 1) * known.turned.nbytes < REFIT_BYTES:
                self.refits[number, k, candidate] = known
        return known

    def _part(self, read: "_Read", number: int) -> tuple[BlockSets, TargetProducts]:
        """Select the features of one model."""
        products, plan, columns = read.products, self.design.rows.plan, self.problem.tasks[number].columns
        if not np.array_equal(columns, np.arange(self.design.X.shape[1])):
            products = replace(products, cross=products.cross[:, columns])
        return replace(plan, feature_total=plan.feature_total[:, columns]), products

    def _outer(self, fold: int, read: "_Read", number: int) -> OuterTargets:
        """Sum the products of an outer fold, of the features of one model."""
        plan, products = self._part(read, number)
        averaged = None
        if fold in read.averaged:
            this, columns = self.design.folds[fold], self.problem.tasks[number].columns
            averaged = (average(self.design.X[np.ix_(this.test, columns)], this.average), read.averaged[fold])
        return outer_targets(plan, products, fold, averaged)


@dataclass(frozen=True, eq=False, slots=True)
class _Read:
    """What is kept of the responses of a batch: products, units, and averaged held-out responses by outer fold."""

    products: TargetProducts
    unit: np.ndarray
    averaged: dict[int, np.ndarray]


def join_found(parts: Sequence[Found]) -> Found:
    """Concatenate the findings of several batches of targets."""
    each = [part.each for part in parts if part.each is not None]
    return Found(
        np.concatenate([part.candidate for part in parts], axis=1),
        np.concatenate([part.alpha for part in parts], axis=1),
        np.concatenate([part.score for part in parts], axis=1),
        np.sum([part.curve for part in parts], axis=0),
        np.concatenate(each, axis=2) if each else None,
    )


class StatisticsSearch:
    """Search for several models, from products of features and responses.

    Shapes: `X` (n_samples, n_features).
    """

    def __init__(
        self,
        X: np.ndarray,
        rows: Rows,
        tasks: Sequence[Task],
        *,
        scale: bool,
        intercept: bool,
        arrays: Arrays,
        memory: int = 1 << 29,
    ) -> None:
        self.X, self.rows, self.tasks = X, rows, list(tasks)
        self.intercept, self.arrays, self.memory = intercept, arrays, memory
        self.operators = Operators(X, rows, tasks, scale=scale, intercept=intercept, arrays=arrays, memory=memory)

    @property
    def batch(self) -> int:
        """Number of targets that are worked on at once."""
        return batch_of(self.rows, self.X.shape[1], self.arrays)

    @property
    def owners(self) -> list[int]:
        """Number of the task of every model."""
        return [number for number, task in enumerate(self.tasks) for _ in task.choices or (None,)]

    def standardise(self, Y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Centre responses (n_samples, n_targets) and divide them by their standard deviation; return both."""
        return standardise_targets(Y, self.rows.plan.blocks, intercept=self.intercept)

    def products(self, Y: np.ndarray) -> TargetProducts:
        """Multiply features and standardised responses (n_samples, n_targets), block by block."""
        return multiply_targets(self.X, Y, self.rows.plan.blocks)

    def run(self, batches: Sequence[TargetProducts], *, keep_all: bool = False) -> list[list[Found]]:
        """Search all targets of all batches, for every model (a task, or a set of choices of a task)."""
        done: list[list[Found]] = []
        for number, task in enumerate(self.tasks):
            if task.guided:
                done.append(GuidedSearch(self.operators, number).run(batches))
                continue
            states = [_State(self, task, products, keep_all) for products in batches]
            for block in self.operators.groups(number, np.arange(len(task.gammas))):
                self._advance(states, number, block)
            finished = [state.finish() for state in states]
            done += [list(of_model) for of_model in zip(*finished, strict=True)]
        return done

    def _advance(self, states: Sequence["_State"], number: int, block: np.ndarray) -> None:
        operators = list(self.arrays.each(lambda candidate: self.operators.prepare(number, int(candidate)), block))
        if self.arrays.library == "torch":
            operators = [[self.arrays.operator(one) for one in each] for each in operators]
        list(self.arrays.each(lambda state: state.advance(block, operators), states))


class _State:
    """Search of one task on one batch of targets."""

    def __init__(self, search: StatisticsSearch, task: Task, products: TargetProducts, keep_all: bool) -> None:
        self.search, self.task, self.source = search, task, products
        self.n_outer, self.n_targets = len(search.rows.folds), products.total.shape[1]
        arrays, n = search.arrays, len(task.gammas)
        self.choices = [np.isin(np.arange(n), choice) for choice in task.choices or (np.arange(n),)]
        self.best = [start(arrays.empty, arrays.whole, self.n_outer, self.n_targets) for _ in self.choices]
        self.curves = np.zeros((len(self.choices), n))
        self.each = np.empty((n, self.n_outer, self.n_targets), dtype=arrays.dtype) if keep_all else None

    def advance(self, numbers: Sequence[int], operators: Sequence[list[Operator]]) -> None:
        """Try some candidates."""
        arrays, rows = self.search.arrays, self.search.rows
        xp = arrays.xp
        products = multiply_sets(rows.plan, self.source, intercept=self.search.intercept, dtype=arrays.dtype)
        if arrays.library == "torch":
            products = SetProducts(arrays.to(products.train), arrays.to(products.validation))
        widest = len(self.task.columns)
        scratch = Scratch(xp, arrays.empty, widest, len(self.task.alphas), self.n_outer, self.n_targets)
        for number, operator in zip(numbers, operators, strict=True):
            total = score_candidate(scratch, operator, products, rows.outer)
            for choice, best, curve in zip(self.choices, self.best, self.curves, strict=True):
                if choice[number]:
                    improve(xp, best, total, number)
                    curve[number] = -float(best.loss.sum())
            if self.each is not None:
                self.each[number] = arrays.host(xp.amin(total, 1))

    def finish(self) -> list[Found]:
        """Add the mean square of the validation responses, which no candidate changes."""
        arrays, rows = self.search.arrays, self.search.rows
        base = base_loss(rows, self.source, self.n_outer, intercept=self.search.intercept)
        each = None if self.each is None else -(self.each + base.astype(arrays.dtype))
        found = []
        for choice, best, curve in zip(self.choices, self.best, self.curves, strict=True):
            loss = arrays.host(best.loss).astype(np.float64) + base
            candidate, alpha = arrays.host(best.candidate), arrays.host(best.alpha)
            found.append(Found(candidate, alpha, -loss, curve[choice] - base.sum(), each))
        return found

"""Search of band weights and penalties from sufficient statistics, for all models and outer folds at once.

The responses are looked at once. What follows works on their products with the features, in batches of
targets that stay in the cache of a processor (or fill a graphics card).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ...numerics.designs import Scaled, scaled_grams
from ...numerics.ridge_search import Operator, Scratch, band_scale, improve, make_operator, score_candidate, start
from ...numerics.target_products import (
    SetProducts,
    TargetProducts,
    multiply_sets,
    multiply_targets,
    standardise_targets,
)
from ..arrays import Arrays
from ..rows import Rows, base_loss, batch_of, operator_bytes


@dataclass(frozen=True, eq=False, slots=True)
class Task:
    """What is searched for one model.

    Attributes
    ----------
    columns : ndarray of int
        Its features, among those of all models.
    bands : list of slice
        Bands of these features.
    gammas : ndarray of float64, shape (n_candidates, n_bands)
        Candidates.
    alphas : ndarray of float64, shape (n_alphas,)
        Penalties, ascending.
    guided : bool
        Whether targets try promising candidates only.
    choices : tuple of ndarray of int
        One set of candidates for every model that chooses among these only, such as all that leave a band out; a
        candidate is computed once for all models that may choose it. One model with all candidates unless given.
    shared : ndarray of int, shape (n_outer,), optional
        Number of the penalty of every outer fold, where all targets share one.
    """

    columns: np.ndarray
    bands: list[slice]
    gammas: np.ndarray
    alphas: np.ndarray
    guided: bool = False
    choices: tuple[np.ndarray, ...] = ()
    shared: np.ndarray | None = None


@dataclass(frozen=True, eq=False, slots=True)
class Found:
    """What a search finds for some targets.

    Attributes
    ----------
    candidate : ndarray of int, shape (n_outer, n_targets)
        Number of the chosen candidate.
    alpha : ndarray of int, shape (n_outer, n_targets)
        Number of the chosen penalty.
    score : ndarray of float64, shape (n_outer, n_targets)
        Negative mean squared error of the choice over inner folds, in squared units of the standardised target.
    curve : ndarray of float64, shape (n_candidates,)
        Sum over outer folds and targets of the best score after every candidate.
    each : ndarray, shape (n_candidates, n_outer, n_targets), or None
        Score of every candidate at its best penalty, where it was asked for.
    """

    candidate: np.ndarray
    alpha: np.ndarray
    score: np.ndarray
    curve: np.ndarray
    each: np.ndarray | None = None


class StatisticsSearch:
    """Search for several models, from products of features and responses.

    Parameters
    ----------
    X : ndarray of float64, shape (n_samples, n_features)
        Features of all models side by side, roughly centred where there is an intercept.
    rows : Rows
        The folds.
    tasks : sequence of Task
        One per model.
    scale : bool
        Whether features and bands are scaled on the rows of every training set, or taken as they are.
    intercept : bool
        Whether features and responses are taken about their means in every training set.
    arrays : Arrays
        Where to compute.
    memory : int
        Bytes that prepared candidates may take; more are prepared anew for every chunk of targets.
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
        self.scale, self.intercept, self.arrays, self.memory = scale, intercept, arrays, memory
        self.scaled: list[list[Scaled]] = [
            [scaled_grams(X[:, task.columns], s, task.bands, scale=scale, intercept=intercept) for s in rows.sets]
            for task in self.tasks
        ]
        self._prepared: dict[tuple[int, int], list[Operator]] = {}

    @property
    def batch(self) -> int:
        """Number of targets that are worked on at once."""
        return batch_of(self.rows, self.X.shape[1], self.arrays)

    def standardise(self, Y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Take responses about their centre, in units of their standard deviation.

        Parameters
        ----------
        Y : ndarray, shape (n_samples, n_targets)
            Responses.

        Returns
        -------
        tuple of ndarray
            Standardised responses, and units.
        """
        return standardise_targets(Y, self.rows.plan.blocks, intercept=self.intercept)

    def products(self, Y: np.ndarray) -> TargetProducts:
        """Multiply features and standardised responses out.

        Parameters
        ----------
        Y : ndarray of float64, shape (n_samples, n_targets)
            Standardised responses.

        Returns
        -------
        TargetProducts
            All that the search needs of the responses.
        """
        return multiply_targets(self.X, Y, self.rows.plan.blocks)

    def run(self, batches: Sequence[TargetProducts], *, keep_all: bool = False) -> list[list[Found]]:
        """Search for all targets of all batches.

        Parameters
        ----------
        batches : sequence of TargetProducts
            Products of some targets each.
        keep_all : bool, default=False
            Whether to keep the score of every candidate.

        Returns
        -------
        list of list of Found
            For every model (a task, or every set of choices of a task), for every batch.
        """
        done: list[list[Found]] = []
        for number, task in enumerate(self.tasks):
            if task.guided:
                from .search_guided import GuidedSearch  # it takes its operators from here

                done.append(GuidedSearch(self, number).run(batches))
                continue
            states = [_State(self, task, products, keep_all) for products in batches]
            for block in self.groups(number, np.arange(len(task.gammas))):
                operators = list(self.arrays.each(lambda g, n=number: self.prepare(n, int(g)), block))  # type: ignore[misc]
                if self.arrays.library == "torch":
                    operators = [[self.arrays.operator(one) for one in each] for each in operators]
                list(self.arrays.each(lambda state, b=block, o=operators: state.advance(b, o), states))  # type: ignore[misc]
            finished = [state.finish() for state in states]
            done += [list(of_model) for of_model in zip(*finished, strict=True)]
        return done

    @property
    def owners(self) -> list[int]:
        """Number of the task of every model."""
        return [number for number, task in enumerate(self.tasks) for _ in task.choices or (None,)]

    def prepare(self, task: int, candidate: int) -> list[Operator]:
        """Prepare one candidate on all training sets, or take it from memory.

        Parameters
        ----------
        task : int
            Number of the task.
        candidate : int
            Number of the candidate.

        Returns
        -------
        list of Operator
            One per training set.
        """
        if (task, candidate) in self._prepared:
            return self._prepared[task, candidate]
        which = self.tasks[task]
        scale = band_scale(which.bands, which.gammas[candidate], len(which.columns))
        columns = None if np.array_equal(which.columns, np.arange(self.X.shape[1])) else which.columns
        made = [
            make_operator(
                scaled,
                scale,
                which.alphas,
                [v.share for v in s.validations],
                n_train=len(s.rows),
                dtype=self.arrays.dtype,
                columns=columns,
            )
            for scaled, s in zip(self.scaled[task], self.rows.sets, strict=True)
        ]
        if sum(self._size(n) for n in range(len(self.tasks))) <= self.memory:
            self._prepared[task, candidate] = made
        return made

    def _size(self, task: int) -> int:
        which = self.tasks[task]
        return len(which.gammas) * operator_bytes(self.rows, len(which.columns), len(which.alphas), self.arrays)

    def groups(self, task: int, candidates: np.ndarray) -> list[np.ndarray]:
        """Divide candidates so that what is prepared of them at a time fits into memory.

        Parameters
        ----------
        task : int
            Number of the task.
        candidates : ndarray of int
            Numbers of candidates.

        Returns
        -------
        list of ndarray of int
            Parts, in order.
        """
        one = max(self._size(task) // len(self.tasks[task].gammas), 1)
        at_once = max(1, int(self.memory // one))
        return [candidates[first : first + at_once] for first in range(0, len(candidates), at_once)]


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
        """Add what is the same for every candidate."""
        arrays, rows = self.search.arrays, self.search.rows
        base = base_loss(rows, self.source, self.n_outer, intercept=self.search.intercept)
        each = None if self.each is None else -(self.each + base.astype(arrays.dtype))
        found = []
        for choice, best, curve in zip(self.choices, self.best, self.curves, strict=True):
            loss = arrays.host(best.loss).astype(np.float64) + base
            candidate, alpha = arrays.host(best.candidate), arrays.host(best.alpha)
            found.append(Found(candidate, alpha, -loss, curve[choice] - base.sum(), each))
        return found

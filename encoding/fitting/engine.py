"""Search of band weights and penalties from sufficient statistics, for all models and outer folds at once.

The responses are looked at once. What follows works on their products with the features, in batches of
targets that stay in the cache of a processor (or fill a graphics card).
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from ..numerics.designs import OuterFold, Scaled, TrainingSet, scaled_grams, training_sets
from ..numerics.ridge_search import (
    Best,
    Operator,
    Scratch,
    band_scale,
    improve,
    make_operator,
    score_candidate,
    start,
)
from ..numerics.target_products import (
    Plan,
    SetProducts,
    TargetProducts,
    multiply_sets,
    multiply_targets,
    plan_sets,
    standardise_targets,
    validation_squares,
)
from .arrays import Arrays

BATCH_BYTES = 48 << 20
LARGEST_BATCH = 2048


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
    """

    columns: np.ndarray
    bands: list[slice]
    gammas: np.ndarray
    alphas: np.ndarray
    guided: bool = False


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


@dataclass(frozen=True, eq=False)
class Rows:
    """Rows of all folds, and how they divide into blocks.

    Attributes
    ----------
    folds : list
        Training rows and inner folds of every outer fold, counted in the whole data.
    sets : list of TrainingSet
        Different training sets.
    plan : Plan
        How blocks make up sets.
    outer : list of list of int
        Outer fold of every validation set of every training set.
    """

    folds: list[OuterFold]
    sets: list[TrainingSet]
    plan: Plan
    outer: list[list[int]] = field(default_factory=list)

    @property
    def n_validations(self) -> int:
        """Number of validation sets."""
        return len(self.plan.validation)


def lay_out(X: np.ndarray, folds: Sequence[OuterFold], tests: Sequence[np.ndarray] = ()) -> Rows:
    """Find the different training sets of all folds, and the blocks that they are made of.

    Parameters
    ----------
    X : ndarray of float64, shape (n_samples, n_features)
        Features of all models.
    folds : sequence of (ndarray, sequence of (ndarray, ndarray))
        Outer folds; rows are counted in the whole data.
    tests : sequence of ndarray of int, optional
        Held-out rows of the outer folds.

    Returns
    -------
    Rows
        What a search needs to know of them.
    """
    sets = training_sets(folds)
    plan = plan_sets(X, sets, [rows for rows, _ in folds], tests)
    return Rows(list(folds), sets, plan, [[v.outer for v in s.validations] for s in sets])


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
            For every task, for every batch.
        """
        done: list[list[Found]] = []
        for number, task in enumerate(self.tasks):
            if task.guided:
                from .guided import GuidedSearch  # it takes its operators from here

                done.append(GuidedSearch(self, number).run(batches))
                continue
            states = [_State(self, task, products, keep_all) for products in batches]
            for block in self.groups(number, np.arange(len(task.gammas))):
                operators = list(self.arrays.each(lambda g, n=number: self.prepare(n, int(g)), block))  # type: ignore[misc]
                if self.arrays.library == "torch":
                    operators = [[self.arrays.operator(one) for one in each] for each in operators]
                list(self.arrays.each(lambda state, b=block, o=operators: state.advance(b, o), states))  # type: ignore[misc]
            done.append([state.finish() for state in states])
        return done

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
        columns = None if len(which.columns) == self.X.shape[1] else which.columns
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


def operator_bytes(rows: Rows, n_features: int, n_alphas: int, arrays: Arrays) -> int:
    """Estimate the memory that one prepared candidate takes.

    Parameters
    ----------
    rows : Rows
        The folds.
    n_features, n_alphas : int
        Features of the model, penalties.
    arrays : Arrays
        Precision.

    Returns
    -------
    int
        Bytes.
    """
    per_validation = n_features**2 + 3 * n_alphas * n_features
    return arrays.itemsize * (len(rows.sets) * n_features**2 + rows.n_validations * per_validation)


def target_bytes(rows: Rows, n_features: int, arrays: Arrays) -> int:
    """Count the memory that one target takes while it is worked on.

    Parameters
    ----------
    rows : Rows
        The folds.
    n_features : int
        Features of all models.
    arrays : Arrays
        Precision.

    Returns
    -------
    int
        Bytes.
    """
    sets = len(rows.sets) + rows.n_validations + 6
    return arrays.itemsize * sets * n_features


def batch_of(rows: Rows, n_features: int, arrays: Arrays, memory: int = 0) -> int:
    """Choose the number of targets that are worked on at once.

    Parameters
    ----------
    rows : Rows
        The folds.
    n_features : int
        Features of all models.
    arrays : Arrays
        Device and precision.
    memory : int, default=0
        On CUDA: bytes that a batch may take.

    Returns
    -------
    int
        A multiple of 64.
    """
    bound, limit = (BATCH_BYTES, LARGEST_BATCH) if arrays.device == "cpu" else (memory or 2 << 30, 1 << 17)
    return int(np.clip(bound // max(target_bytes(rows, n_features, arrays), 1), 64, limit)) // 64 * 64


class _State:
    """Search of one task on one batch of targets."""

    def __init__(self, search: StatisticsSearch, task: Task, products: TargetProducts, keep_all: bool) -> None:
        self.search, self.task, self.source = search, task, products
        self.n_outer, self.n_targets = len(search.rows.folds), products.total.shape[1]
        arrays = search.arrays
        self.best: Best = start(arrays.empty, arrays.whole, self.n_outer, self.n_targets)
        self.curve = np.zeros(len(task.gammas))
        shape = (len(task.gammas), self.n_outer, self.n_targets)
        self.each = np.empty(shape, dtype=arrays.dtype) if keep_all else None

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
            lowest = improve(xp, self.best, total, number)
            self.curve[number] = -float(self.best.loss.sum())
            if self.each is not None:
                self.each[number] = arrays.host(lowest)

    def finish(self) -> Found:
        """Add what is the same for every candidate."""
        arrays, rows = self.search.arrays, self.search.rows
        base = base_loss(rows, self.source, self.n_outer, intercept=self.search.intercept)
        loss = arrays.host(self.best.loss).astype(np.float64) + base
        each = None if self.each is None else -(self.each + base.astype(arrays.dtype))
        candidate, alpha = arrays.host(self.best.candidate), arrays.host(self.best.alpha)
        return Found(candidate, alpha, -loss, self.curve - base.sum(), each)


def base_loss(rows: Rows, products: TargetProducts, n_outer: int, *, intercept: bool) -> np.ndarray:
    """Compute the loss of predicting the training mean, averaged over inner folds.

    Parameters
    ----------
    rows : Rows
        The folds.
    products : TargetProducts
        Sums of the responses.
    n_outer : int
        Number of outer folds.
    intercept : bool
        Whether responses are taken about the training mean.

    Returns
    -------
    ndarray of float64, shape (n_outer, n_targets)
        Mean square of the responses of the validation sets.
    """
    squares = validation_squares(rows.plan, products, intercept=intercept)
    base = np.zeros((n_outer, squares.shape[1]))
    number = 0
    for training in rows.sets:
        for validation in training.validations:
            base[validation.outer] += validation.share * squares[number]
            number += 1
    return base

"""What every solver is given, what it returns, and what the planner asks of it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar, Protocol

import numpy as np

from ...numerics.ridge_search import Best
from ..arrays import Arrays
from ..design import DesignMatrix
from ..rows import Rows

# Called with the outer fold, the columns within the chunk, and predictions (n_bands, n_rows, n_columns).
Keep = Callable[[int, np.ndarray, np.ndarray], None]


@dataclass(frozen=True, eq=False, slots=True)
class Task:
    """What is searched for one model."""

    columns: np.ndarray  # Its features, among those of all models
    bands: list[slice]  # Bands of these features
    gammas: np.ndarray  # (n_candidates, n_bands) Candidate weights of the bands
    alphas: np.ndarray  # (n_alphas,) Penalties, ascending
    guided: bool = False  # Whether targets try promising candidates only
    # One set of candidates for every model that chooses among these only, such as all that leave a band out; a
    # candidate is computed once for all models that may choose it. One model with all candidates unless given
    choices: tuple[np.ndarray, ...] = ()
    # (n_outer,) Number of the penalty of every outer fold, where all targets share one
    shared: np.ndarray | None = None


@dataclass(frozen=True, eq=False, slots=True)
class Found:
    """What a search finds for some targets."""

    candidate: np.ndarray  # (n_outer, n_targets) Number of the chosen candidate
    alpha: np.ndarray  # (n_outer, n_targets) Number of the chosen penalty
    # (n_outer, n_targets) Negative mean squared error of the choice over inner folds, in squared units of the
    # standardised target
    score: np.ndarray
    curve: np.ndarray  # (n_candidates,) Sum over outer folds and targets of the best score after every candidate
    # (n_candidates, n_outer, n_targets) Score of every candidate at its best penalty, where it was asked for
    each: np.ndarray | None = None


@dataclass(frozen=True, eq=False, slots=True)
class Fit:
    """One model on one chunk of targets."""

    alphas: np.ndarray  # (n_folds, n_targets) Chosen penalties
    gammas: np.ndarray  # (n_folds, n_bands, n_targets) Chosen weights of the bands
    # (n_folds, n_targets) Negative mean squared error of the choice over inner folds, in units of `unit` squared
    scores: np.ndarray
    # (n_candidates,) Sum of the best score over folds and targets after every candidate; NaN where the solver does
    # not tell
    curve: np.ndarray
    # Sums over held-out samples as `FoldMoments` wants them, fold first; empty where nothing is held out
    sums: dict[str, np.ndarray]
    unit: np.ndarray  # (n_targets,) Standard deviation of each target, or 1
    # (n_features, n_targets) Weights of the features in the first outer fold, where they were asked for
    weights: np.ndarray | None = None
    # (n_candidates, n_targets) Score of every candidate in the first outer fold, where it was asked for
    each: np.ndarray | None = None


@dataclass(frozen=True, eq=False, slots=True)
class Problem:
    """Models that are fitted together, and where."""

    design: DesignMatrix  # Features and folds
    tasks: tuple[Task, ...]  # One per model; a single one unless the solver is `joint`
    arrays: Arrays  # Where to compute
    memory: int = 1 << 29  # Bytes that what was prepared for a chunk of targets may take until the next
    details: bool = False  # Whether weights and the score of every candidate are wanted, for the first outer fold


@dataclass(frozen=True, eq=False, slots=True)
class Size:
    """Size of one model, by which its solver is chosen and its memory planned."""

    rows: Rows  # Training and validation sets of all folds
    widths: tuple[int, ...]  # Number of features of every band
    n_candidates: int  # Weights of bands to try
    n_alphas: int  # Penalties to try
    free: bool = False  # Whether a solver may try other weights and penalties than these, as many or more

    @property
    def n_features(self) -> int:
        """Features of all bands."""
        return sum(self.widths)

    @property
    def n_rows(self) -> int:
        """Rows that are in any set."""
        return sum(len(block) for block in self.rows.plan.blocks)


@dataclass(frozen=True, slots=True)
class Bytes:
    """Memory that a solver takes for the models that it fits together."""

    fixed: int  # Whatever the number of targets
    target: int  # For every target of a chunk
    thread: int = 0  # Scratch of every thread
    refit: int = 0  # Decompositions that the refit keeps if they fit
    smallest: int = 0  # One piece of what is prepared and kept from chunk to chunk
    wanted: int = 0  # All of it


class Solver(Protocol):
    """A way to search band weights and penalties of a chunk of targets, and to predict what is held out.

    A class is constructed once for a `Problem` and then fits chunk after chunk; what serves all chunks it may keep.
    """

    name: ClassVar[str]
    # Several models share one look at the responses.
    joint: ClassVar[bool]
    # A user may ask for it by name, and "auto" may choose it.
    offered: ClassVar[bool]
    # What it finds is checked against the reference, which also takes over where a decomposition fails.
    checked: ClassVar[bool]
    # Targets can be searched by `Task.guided`.
    guides: ClassVar[bool]
    # It tries weights and penalties of its own, so that the result is another than that of the other solvers.
    regrids: ClassVar[bool]

    problem: Problem

    def __init__(self, problem: Problem) -> None: ...

    @staticmethod
    def operations(size: Size, n_targets: int, device: str) -> float:
        """Count floating-point operations of a search, in those of a matrix product."""
        ...

    @staticmethod
    def bytes(sizes: Sequence[Size], n_features: int, arrays: Arrays) -> Bytes:
        """Count the memory of models that are fitted together, of `n_features` features in all."""
        ...

    def at_once(self, n_targets: int) -> int:
        """Choose how many targets to fit in one call where all of them are in memory."""
        ...

    def draw(self, task: int, rng: np.random.Generator) -> np.ndarray:
        """Draw one of the choices that are tried for a task: weights of the bands, then the penalty."""
        ...

    def fit(self, Y: np.ndarray, keep: Sequence[Keep | None]) -> list[Fit]:
        """Fit all models to responses Y (n_samples, n_targets); predictions of each go to its `keep`."""
        ...


def draw_choice(task: Task, rng: np.random.Generator) -> np.ndarray:
    """Draw a candidate and a penalty of a task."""
    return np.append(task.gammas[rng.integers(len(task.gammas))], rng.choice(task.alphas))


class OneTaskSolver:
    """What solvers of one model at a time have in common: every call fits all targets that it is given."""

    joint: ClassVar[bool] = False
    offered: ClassVar[bool] = True
    checked: ClassVar[bool] = False
    guides: ClassVar[bool] = False
    regrids: ClassVar[bool] = False

    def __init__(self, problem: Problem) -> None:
        self.problem, self.design, self.arrays = problem, problem.design, problem.arrays
        (self.task,) = problem.tasks

    def at_once(self, n_targets: int) -> int:
        """Return all targets: a call repeats the decompositions, whatever its number of targets."""
        return n_targets

    def draw(self, task: int, rng: np.random.Generator) -> np.ndarray:
        """Draw a candidate and a penalty."""
        return draw_choice(self.problem.tasks[task], rng)


def finish_search(
    rows: Rows,
    Y: np.ndarray,
    means: Sequence[np.ndarray],
    best: Best,
    *,
    curve: np.ndarray,
    each: np.ndarray | None,
    arrays: Arrays,
) -> Found:
    """Add the mean square of the validation responses, which no candidate changes, to the losses of a search."""
    base = np.zeros((len(rows.folds), Y.shape[1]))
    for training, mean in zip(rows.sets, means, strict=True):
        for validation in training.validations:
            base[validation.outer] += validation.share * ((Y[validation.rows] - mean) ** 2).mean(0)
    loss = arrays.host(best.loss).astype(np.float64) + base
    scores = None if each is None else -(each + base.astype(arrays.dtype))
    candidate, alpha = arrays.host(best.candidate), arrays.host(best.alpha)
    return Found(candidate, alpha, -loss, curve - base.sum(), scores)


def decomposition_operations(size: float, device: str) -> float:
    """Operations that an eigendecomposition counts for, as measured; on CUDA it still runs on the processor."""
    slow = 50.0 if device == "cuda" else 1.0
    return slow * (16 * size**3 + 5e3 * size**2)


def reduction_operations(size: float) -> float:
    """Operations that a reduction to tridiagonal form counts for, as measured: half of a decomposition's."""
    return decomposition_operations(size, "cpu") / 2

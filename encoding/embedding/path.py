"""Maximum a posteriori embeddings along a path of penalties, each started from the one before.

The objective is mean loss + lambda / n_items * sum of all coordinates, in the units of SPoSE (Zheng et al. 2019). The
path begins at its smallest lambda, where no dimension dies, and goes up: a dimension disappears when its penalty
outweighs what it explains, never because a random start was too small. Of the fits whose validation loss is within one
standard error of the best, the one with the largest lambda is taken.
"""

import dataclasses
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch

from ..core import DataError
from ..numerics.choices import choice_logits, correct_share, cross_entropy, log_probabilities
from ..numerics.nonnegative import minimise_nonnegative
from ..numerics.triplets import MOST_ITEMS, Batch, TripletLoss, make_batch
from .triplets import Triplets

NEGLIGIBLE = 0.1  # a dimension whose largest weight is smaller is dropped, as in SPoSE
HARD = (0.35, 0.5, 0.7, 1.0, 1.4, 2.0, 2.8)
SOFT = (0.05, 0.1, 0.2, *HARD)  # probabilities have less noise than choices
LOOSER = 10  # how much sooner a fit of the path stops than the last one
PATH_STEPS = 150
RAMP, RAMP_STEPS = (0.25, 0.5), 60  # parts of the smallest lambda that lead up to it, so that it meets no random start
KNEE = 0.3  # coordinates well above it are hardly penalised once reweighted


@dataclass(frozen=True, eq=False, slots=True)
class Point:
    """An embedding on the path.

    Attributes
    ----------
    X : Tensor, shape (n_items, n_dims)
        Coordinates; dimensions without weight are dropped.
    bias : Tensor or None, shape (3,)
        Preference for each slot.
    objective : float
        Loss and penalty.
    n_evaluations : int
        Gradients that were computed.
    converged : bool
        Whether it stopped by itself.
    trace : tuple of float
        Objective after each step.
    """

    X: torch.Tensor
    bias: torch.Tensor | None
    objective: float
    n_evaluations: int
    converged: bool
    trace: tuple[float, ...] = ()


class Problem:
    """Judgments and buffers, ready to be minimised.

    Parameters
    ----------
    data : Triplets
        Judgments to learn from.
    with_bias : bool
        Whether slots have preferences.
    dtype : torch.dtype
        Of everything.
    device : str
        Where to compute.

    Raises
    ------
    DataError
        If there are more items than pairs can be numbered.
    """

    def __init__(self, data: Triplets, *, with_bias: bool, dtype: torch.dtype, device: str) -> None:
        self.data, self.with_bias, self.dtype, self.device = data, with_bias, dtype, device
        self.n_items = len(data.names)
        if self.n_items > MOST_ITEMS:
            raise DataError(
                f"SparseEmbedding: {self.n_items:,} items, but {MOST_ITEMS:,} are the most that are handled."
            )
        self.loss = TripletLoss(self.n_items, dtype=dtype, device=device)
        self.batch = self.sort(data)

    def sort(self, data: Triplets) -> Batch:
        """Sort judgments for the loss.

        Parameters
        ----------
        data : Triplets
            Judgments.

        Returns
        -------
        Batch
            The same, sorted.
        """
        return make_batch(
            data.items, data.choice, n_items=self.n_items, probabilities=data.probabilities, weight=data.weight,
            by_slot=self.with_bias, dtype=self.dtype, device=self.device,
        )  # fmt: skip

    def minimise(
        self,
        start: Point,
        penalty: float | torch.Tensor,
        *,
        tol: float,
        max_iter: int,
        watch: Callable[[torch.Tensor], None] = lambda X: None,  # noqa: ARG005
    ) -> Point:
        """Minimise loss and penalty.

        Parameters
        ----------
        start : Point
            Where to begin.
        penalty : float or Tensor, shape (n_items, n_dims)
            What a unit of each coordinate costs.
        tol : float
            Relative decrease at which to stop.
        max_iter : int
            Most steps.
        watch : callable
            Called with the coordinates after every step.

        Returns
        -------
        Point
            The minimum, with as many dimensions as `start`.
        """
        n_dims = start.X.shape[1]
        size = self.n_items * n_dims
        cost = torch.as_tensor(penalty, dtype=self.dtype, device=self.device).expand(self.n_items, n_dims).reshape(-1)

        def _objective(point: torch.Tensor) -> tuple[float, torch.Tensor]:
            bias = point[size:] if self.with_bias else None
            loss, gradient, of_bias = self.loss(point[:size].view(self.n_items, n_dims), self.batch, bias=bias)
            slope = gradient.view(-1).add_(cost)
            value = loss + float(torch.dot(cost, point[:size]))
            return value, torch.cat([slope, of_bias.to(self.dtype)]) if self.with_bias else slope

        begin = start.X.reshape(-1)
        if self.with_bias:
            assert start.bias is not None
            begin = torch.cat([begin, start.bias])
        found = minimise_nonnegative(
            _objective,
            begin,
            n_bounded=size,
            max_iter=max_iter,
            tol=tol,
            watch=lambda x: watch(x[:size].view(self.n_items, n_dims)),
        )
        bias = found.x[size:].clone() if self.with_bias else None
        X = found.x[:size].view(self.n_items, n_dims)
        return Point(X, bias, found.value, found.n_evaluations, found.converged, found.trace)

    def begin(self, start: np.ndarray) -> Point:
        """Put a start where the computation takes place.

        Parameters
        ----------
        start : ndarray, shape (n_items, n_dims)
            Coordinates.

        Returns
        -------
        Point
            Without slot preferences.
        """
        bias = torch.zeros(3, dtype=self.dtype, device=self.device) if self.with_bias else None
        return Point(torch.as_tensor(start, device=self.device).to(self.dtype), bias, float("nan"), 0, False)


def default_lambdas(data: Triplets) -> tuple[float, ...]:
    """Choose a path from the size of the problem.

    An item's coordinate is seen in 3 n / n_items judgments, so that the noise of its gradient, in units of lambda /
    n_items, is in proportion to sqrt(3 n_items / n). A fifth of that is the middle of the path.

    Parameters
    ----------
    data : Triplets
        Judgments.

    Returns
    -------
    tuple of float
        Ascending.
    """
    multiples = HARD if data.probabilities is None else SOFT
    total = float(len(data) if data.weight is None else data.weight.sum())
    return tuple(float(f"{m * 0.2 * np.sqrt(3 * len(data.names) / total):.3g}") for m in multiples)


def prune(point: Point, limit: float = NEGLIGIBLE) -> Point:
    """Drop dimensions without weight, and order the others by their sum.

    Parameters
    ----------
    point : Point
        An embedding.
    limit : float
        A dimension is dropped if its largest weight does not exceed it.

    Returns
    -------
    Point
        With the largest dimension first.
    """
    X = point.X
    kept = torch.nonzero(X.amax(dim=0) > limit).view(-1) if X.shape[1] else torch.zeros(0, dtype=torch.long)
    order = kept[torch.argsort(X[:, kept].sum(dim=0), descending=True, stable=True)]
    return dataclasses.replace(point, X=X[:, order].contiguous())


def row_losses(X: torch.Tensor, bias: torch.Tensor | None, data: Triplets) -> tuple[np.ndarray, np.ndarray]:
    """Score every judgment.

    Parameters
    ----------
    X : Tensor, shape (n_items, n_dims)
        Coordinates.
    bias : Tensor or None
        Preference for each slot.
    data : Triplets
        Judgments.

    Returns
    -------
    loss : ndarray, shape (n,)
        Cross-entropy in nats.
    correct : ndarray, shape (n,)
        1, 0, or the share of a tie.
    """
    similarity = (X @ X.T).cpu().numpy()
    logits = choice_logits(similarity, data.items, bias=None if bias is None else bias.cpu().numpy())
    losses = cross_entropy(log_probabilities(logits), data.choice, probabilities=data.probabilities)
    return losses, correct_share(logits, data.choice)


def walk(
    problem: Problem, start: Point, lambdas: Sequence[float], held_out: Triplets, *, tol: float
) -> tuple[list[Point], pd.DataFrame]:
    """Fit every penalty from the smallest to the largest.

    Parameters
    ----------
    problem : Problem
        Training judgments.
    start : Point
        Where the first fit begins.
    lambdas : sequence of float
        Penalties, ascending.
    held_out : Triplets
        Validation judgments.
    tol : float
        Relative decrease at which the last fit stops; the path stops at ten times that.

    Returns
    -------
    points : list of Point
        One per penalty.
    table : DataFrame
        Columns lambda, n_dims, train_loss, loss, loss_se (standard error of the paired difference from the best),
        accuracy, n_gradients, converged, cpu_seconds.
    """
    points, rows, losses = [], [], []
    weight = None if held_out.weight is None else held_out.weight.astype(np.float64)
    point = start
    for part in RAMP:
        point = problem.minimise(point, part * lambdas[0] / problem.n_items, tol=LOOSER * tol, max_iter=RAMP_STEPS)
    for value in lambdas:
        before = time.process_time()
        cost = value / problem.n_items
        point = prune(problem.minimise(point, cost, tol=LOOSER * tol, max_iter=PATH_STEPS))
        seconds = time.process_time() - before
        loss, correct = row_losses(point.X, point.bias, held_out)
        losses.append(loss)
        points.append(point)
        rows.append(
            {
                "lambda": value,
                "n_dims": point.X.shape[1],
                "train_loss": point.objective - cost * float(point.X.sum(dtype=torch.float64)),
                "loss": float(np.average(loss, weights=weight)),
                "accuracy": float(np.average(correct, weights=weight)),
                "n_gradients": point.n_evaluations,
                "converged": point.converged,
                "cpu_seconds": seconds,
            }
        )
    table = pd.DataFrame(rows)
    best = int(table["loss"].argmin())
    gaps = np.stack(losses) - losses[best]
    table.insert(4, "loss_se", gaps.std(axis=1) / np.sqrt(len(held_out)))
    return points, table


def choose(table: pd.DataFrame, n_dims: int | None) -> int:
    """Choose a penalty.

    Parameters
    ----------
    table : DataFrame
        What `walk` found.
    n_dims : int or None
        Number of dimensions that the embedding must have; None for what the validation loss says.

    Returns
    -------
    int
        Row of the table.

    Raises
    ------
    DataError
        If no penalty leaves that many dimensions.
    """
    able = np.ones(len(table), bool) if n_dims is None else table["n_dims"].to_numpy() >= n_dims
    if not able.any():
        raise DataError(
            f"SparseEmbedding: n_dims = {n_dims}, but no lambda of {table['lambda'].tolist()} leaves more than "
            f"{table['n_dims'].max()} dimensions. Give smaller lambdas, or ask for fewer dimensions."
        )
    losses = table["loss"].to_numpy()
    best = int(np.flatnonzero(able)[losses[able].argmin()])
    # The standard error is that of the difference from the overall best, which is the best one if n_dims is free.
    near = able & (losses - losses[best] <= table["loss_se"].to_numpy())
    near[best] = True
    return int(np.flatnonzero(near).max())


def refine(
    problem: Problem,
    point: Point,
    value: float,
    *,
    rounds: int,
    drop: bool,
    tol: float,
    max_iter: int,
) -> Point:
    """Converge at one penalty, then weaken it where coordinates are large.

    L1 pulls large coordinates down as hard as it pulls noise to zero. In each round a coordinate x costs
    2 KNEE / (x + KNEE) times as much as in L1, which is twice L1 for what is zero and little for what is large
    (iteratively reweighted L1, Candes, Wakin & Boyd 2008); every round lowers the same concave penalty.

    Before that the smallest dimension is taken out as long as loss and penalty together are lower without it: two
    columns that share what one could explain are a local minimum.

    Parameters
    ----------
    problem : Problem
        Judgments.
    point : Point
        Where to begin.
    value : float
        Lambda.
    rounds : int
        Number of rounds; 0 leaves plain L1.
    drop : bool
        Drop dimensions that lose their weight; not where their number is fixed.
    tol : float
        Relative decrease at which to stop.
    max_iter : int
        Most steps of each fit.

    Returns
    -------
    Point
        The embedding.
    """
    cost = value / problem.n_items
    limit = NEGLIGIBLE if drop else -np.inf

    def _settle(start: Point, penalty: float | torch.Tensor) -> Point:
        return prune(problem.minimise(start, penalty, tol=tol, max_iter=max_iter), limit)

    point = _settle(point, cost)
    while drop and point.X.shape[1] > 1:
        simpler = _settle(dataclasses.replace(point, X=point.X[:, :-1].contiguous()), cost)
        if simpler.objective >= point.objective:
            break
        point = simpler
    for _ in range(rounds):
        point = _settle(point, 2 * cost * KNEE / (point.X + KNEE))
    return point

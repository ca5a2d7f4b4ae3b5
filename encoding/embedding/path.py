"""Maximum a posteriori embeddings along a path of penalties, each started from the one before.

The objective is mean loss + lambda / n_items * sum of all coordinates, in the units of SPoSE (Zheng et al. 2019). The
path begins at its smallest lambda, where no dimension dies, and goes up: a dimension disappears when its penalty
outweighs what it explains, never because a random start was too small. Of the fits whose validation loss is within one
standard error of the best, the one with the largest lambda is taken.
"""

import dataclasses
import time
from collections.abc import Sequence

import numpy as np
import pandas as pd
import torch

from ..core import DataError
from .objective import NEGLIGIBLE, Point, Problem, prune, row_losses
from .triplets import Triplets

LARGE = 2_000_000  # judgments from which the way to the path is found on a tenth of them
HARD = (0.35, 0.5, 0.7, 1.0, 1.4, 2.0, 2.8)
SOFT = (0.05, 0.1, 0.2, *HARD)  # probabilities have less noise than choices
LOOSER = 10  # how much sooner a fit of the path stops than the last one
PATH_STEPS = 150
RAMP, RAMP_STEPS = (0.25, 0.5), 60  # parts of the smallest lambda that lead up to it, so that it meets no random start
KNEE = 0.3  # coordinates well above it are hardly penalised once reweighted


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
    point = _approach(problem, start, lambdas[0], tol)
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


def _approach(problem: Problem, start: Point, first: float, tol: float) -> Point:
    """Lead a start to the first penalty by smaller ones, with a tenth of the judgments if there are many.

    Fewer judgments are noisier by the root of their share; so are the penalties, which keeps all dimensions alive.
    """
    n = len(problem.data)
    if n >= LARGE:
        rows = np.sort(np.random.default_rng(0).choice(n, n // 10, replace=False))
        problem = Problem(problem.data[rows], with_bias=problem.with_bias, dtype=problem.dtype, device=problem.device)
        first *= float(np.sqrt(n / len(rows)))
    for part in RAMP:
        start = problem.minimise(start, part * first / problem.n_items, tol=LOOSER * tol, max_iter=RAMP_STEPS)
    return start


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

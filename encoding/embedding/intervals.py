"""Posterior of an embedding: how wide, and of which dimensions it can be believed."""

import dataclasses
import itertools
from collections.abc import Callable

import numpy as np
import torch

from ..numerics.choices import choice_logits, log_probabilities
from ..numerics.variational import Posterior, SpikeSlab, fit_posterior
from .objective import NEGLIGIBLE, Point, Problem

STEPS, RATE = 1000, 0.03
BATCH = 250_000  # judgments of a step, where there are many
WIDTH_95 = 1.96
LEAST_INFLATION = 1.1  # of posterior standard deviations; simulations give 1.0 to 1.2
TURN = np.deg2rad(15.0)  # by which two dimensions are turned into each other; r with what they were falls below .97
LEAST_COST = 8.0  # log-likelihood that this must cost, so that 95 percent of the posterior lie within 7.5 degrees


def draw_posterior(problem: Problem, point: Point, prior: SpikeSlab, *, seed: int, large: int) -> Posterior:
    """Fit the posterior from a point; `large` judgments or more are taken in batches."""
    batches = [problem.batch]
    n = len(problem.data)
    if n >= large:
        order = np.random.default_rng([seed, 4]).permutation(n)
        batches = [problem.sort(problem.data[np.sort(rows)]) for rows in np.array_split(order, n // BATCH)]
    turn = itertools.count()

    def _loss(X: torch.Tensor) -> tuple[float, torch.Tensor]:
        batch = batches[next(turn) // 2 % len(batches)]  # both draws of an antithetic pair see the same one
        return problem.loss(X, batch, bias=point.bias)[:2]

    return fit_posterior(
        _loss, point.X, n_judgments=problem.batch.total, prior=prior, n_steps=STEPS, rate=RATE, seed=seed
    )


def inflation(
    problem: Problem, point: Point, mean: torch.Tensor, again: Callable[[Problem, Point], Posterior], *, seed: int
) -> float:
    """Widen the posterior until 95 percent intervals hold the truth in a simulation.

    Independent Gaussians are narrower than the posterior that they stand for. Judgments are simulated from the fitted
    means and fitted `again`; the 95 percent quantile of the standardised errors of coordinates above zero says by how
    much. One simulation is noisy, so that it is at least what most of them need. Probabilities have no known noise to
    simulate.

    Shapes: `mean` (n_items, n_dims).
    """
    data = problem.data
    if data.probabilities is not None:
        return LEAST_INFLATION
    truth = mean.clamp(min=0)
    logits = choice_logits((truth @ truth.T).cpu().numpy(), data.items,
                           bias=None if point.bias is None else point.bias.cpu().numpy(),
                           sharpness=data.sharpness)  # fmt: skip
    p = np.exp(log_probabilities(logits)).cumsum(axis=1)
    draws = np.random.default_rng([seed, 6]).random((len(p), 1))
    simulated = dataclasses.replace(data, choice=(draws > p).sum(axis=1).clip(0, 2).astype(np.int8))
    fitted = again(problem.of(simulated), dataclasses.replace(point, X=truth))
    error = ((fitted.mean - truth) / fitted.scale).abs()[truth > NEGLIGIBLE].cpu().numpy()
    return max(LEAST_INFLATION, float(np.quantile(error, 0.95) / WIDTH_95)) if len(error) else LEAST_INFLATION


def cost_of_turning(problem: Problem, X: torch.Tensor, bias: torch.Tensor | None) -> np.ndarray:
    """Least log-likelihood that is lost when a dimension and another one are turned into each other.

    A rotation leaves all dot products as they are; only what it makes negative, and is then cut, costs anything.
    Dimensions that hardly any stimulus lacks can therefore be mixed at no cost, the prior chooses among the mixtures,
    and no simulation from what it chose shows that others would do as well.

    Shapes: `X` (n_items, n_dims); returns (n_dims,), infinite where there is no other dimension.
    """
    cost = np.full(X.shape[1], np.inf)
    base = problem.loss(X, problem.batch, bias=bias)[0]
    cos, sin = float(np.cos(TURN)), float(np.sin(TURN))
    for a, b in itertools.permutations(range(X.shape[1]), 2):
        turned = X.clone()
        turned[:, a], turned[:, b] = cos * X[:, a] + sin * X[:, b], (cos * X[:, b] - sin * X[:, a]).clamp(min=0)
        loss = (problem.loss(turned, problem.batch, bias=bias)[0] - base) * problem.batch.total
        cost[[a, b]] = np.minimum(cost[[a, b]], loss)
    return cost

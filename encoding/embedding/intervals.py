"""Posterior of an embedding: how wide, and of which dimensions it can be believed."""

import dataclasses
import itertools
from collections.abc import Callable

import numpy as np
import torch
from torch.nn.functional import logsigmoid

from ..numerics.choices import choice_logits, log_probabilities
from ..numerics.ratings import thresholds
from ..numerics.variational import Posterior, SpikeSlab, fit_posterior
from .objective import NEGLIGIBLE, Point, Problem
from .rated import Rated, Rows, draw_steps
from .triplets import Triplets, targets

STEPS, RATE = 1000, 0.03
BATCH = 250_000  # judgments of a step, where there are many
WIDTH_95 = 1.96
LEAST_INFLATION = 1.1  # of posterior standard deviations; simulations give 1.0 to 1.2
TURN = np.deg2rad(15.0)  # by which two dimensions are turned into each other; r with what they were falls below .97
SCREENED = 20_000  # judgments on which all pairs of dimensions are tried first
SURE = 6.0  # standard errors of that
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
    if isinstance(data, Rated):
        assert point.bias is not None
        simulated: Rows = draw_steps((truth @ truth.T).cpu().numpy(), point.bias.cpu().numpy(), data,
                                     np.random.default_rng([seed, 6]))  # fmt: skip
    else:
        simulated = _draw_choices(truth, point, data, seed)
    fitted = again(problem.of(simulated), dataclasses.replace(point, X=truth))
    error = ((fitted.mean - truth) / fitted.scale).abs()[truth > NEGLIGIBLE].cpu().numpy()
    return max(LEAST_INFLATION, float(np.quantile(error, 0.95) / WIDTH_95)) if len(error) else LEAST_INFLATION


def _draw_choices(truth: torch.Tensor, point: Point, data: Triplets, seed: int) -> Triplets:
    logits = choice_logits((truth @ truth.T).cpu().numpy(), data.items,
                           bias=None if point.bias is None else point.bias.cpu().numpy(),
                           sharpness=data.sharpness)  # fmt: skip
    p = np.exp(log_probabilities(logits)).cumsum(axis=1)
    draws = np.random.default_rng([seed, 6]).random((len(p), 1))
    return dataclasses.replace(data, choice=(draws > p).sum(axis=1).clip(0, 2).astype(np.int8))


def cost_of_turning(problem: Problem, X: torch.Tensor, bias: torch.Tensor | None) -> np.ndarray:
    """Least log-likelihood that is lost when a dimension and another one are turned into each other.

    A rotation leaves all dot products as they are; only what it makes negative, and is then cut, costs anything.
    Dimensions that hardly any stimulus lacks can therefore be mixed at no cost, the prior chooses among the mixtures,
    and no simulation from what it chose shows that others would do as well.

    With many judgments all pairs of dimensions are tried on some of them first, and on all only where the least cost of
    a dimension may be among six standard errors of that.

    Shapes: `X` (n_items, n_dims); returns (n_dims,), infinite where there is no other dimension.
    """
    X = X.double()
    cost = np.full(X.shape[1], np.inf)
    pairs = np.array(list(itertools.permutations(range(X.shape[1]), 2))).reshape(-1, 2)
    if not len(pairs):
        return cost
    data, n = problem.data, len(problem.data)
    least = np.full(len(pairs), -np.inf)
    if n > SCREENED:
        rows = np.sort(np.random.default_rng(0).choice(n, SCREENED, replace=False))
        some = _Turned(data[rows], X, bias, torch.float32)
        for k, (a, b) in enumerate(pairs):
            lost = some.lost(*_turn(X, a, b)).double()
            least[k] = n * float(lost.mean() - SURE * lost.std() / SCREENED**0.5)
    whole = _Turned(data, X, bias, torch.float64)
    for k in np.argsort(least, kind="stable"):
        pair = pairs[k]
        if least[k] < cost[pair].max():
            cost[pair] = np.minimum(cost[pair], float(whole.lost(*_turn(X, *pair)).sum()))
    return cost


def _turn(X: torch.Tensor, a: int, b: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Turn dimension a towards b, and return what is kept and what is cut of the other one, both (n_items,)."""
    y = float(np.cos(TURN)) * X[:, b] - float(np.sin(TURN)) * X[:, a]
    return y.clamp(min=0), (-y).clamp(min=0)


class _Turned:
    """What judgments lose by a cut, without the dot products: cutting y = p - m to p changes them by a rank of two.

    x_i . x_j becomes x_i . x_j + p_i m_j + m_i p_j - m_i m_j.
    """

    def __init__(self, data: Rows, X: torch.Tensor, bias: torch.Tensor | None, dtype: torch.dtype) -> None:
        self.dtype, device = dtype, X.device

        def tensor(values: np.ndarray) -> torch.Tensor:
            return torch.as_tensor(np.ascontiguousarray(values), device=device).to(dtype)

        self.weight = None if data.weight is None else tensor(data.weight)
        free = None if bias is None else bias.double().cpu().numpy()
        self.target: torch.Tensor | None = None
        if isinstance(data, Rated):
            assert free is not None
            t, a = thresholds(free, len(data.judges), len(data.values))
            rows = np.arange(len(data))
            self.edges = tensor(np.stack([t[data.who, data.step + 1], t[data.who, data.step]])), tensor(a[data.who])
            order = np.tile([[0], [1]], len(data))
            self.sides = [(0, 1)]
        else:
            # The slot that was called odd comes first, the others follow in cyclic order.
            order, rows = (data.choice.astype(np.int64) + np.arange(3)[:, None]) % 3, np.arange(len(data))
            shown = targets(data)
            self.target = None if data.probabilities is None else tensor(shown[rows, order])
            self.shift = None if free is None else tensor(free[order])
            self.sharpness = None if data.sharpness is None else tensor(data.sharpness)
            self.sides = [(1, 2), (2, 0), (0, 1)]
        self.items = torch.as_tensor(data.items[rows, order].astype(np.int64), device=device)
        products = (X @ X.T).view(-1)
        n_items = len(X)
        self.base = torch.stack([products[self.items[i] * n_items + self.items[j]] for i, j in self.sides]).to(dtype)
        self.before = self._losses(self.base)

    def lost(self, kept: torch.Tensor, cut: torch.Tensor) -> torch.Tensor:
        """Log-likelihood that each judgment loses (n,)."""
        p, m = (part.to(self.dtype)[self.items] for part in (kept, cut))
        change = torch.stack([p[i] * m[j] + m[i] * (p[j] - m[j]) for i, j in self.sides])
        lost = self._losses(change.add_(self.base)) - self.before
        return lost if self.weight is None else lost * self.weight

    def _losses(self, products: torch.Tensor) -> torch.Tensor:
        if len(self.sides) == 1:
            (upper, lower), a = self.edges
            s = a * products[0]
            return -(logsigmoid(upper - s) + logsigmoid(s - lower))  # what steps lose besides does not change
        logits = products if self.sharpness is None else products * self.sharpness
        logits = logits if self.shift is None else logits + self.shift
        total = torch.logsumexp(logits, dim=0)
        if self.target is None:
            return total - logits[0]
        return torch.where(self.target > 0, (total - logits) * self.target, 0).sum(dim=0)

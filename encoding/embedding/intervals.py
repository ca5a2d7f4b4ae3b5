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
PART = 10_000  # judgments on which pairs of dimensions are tried at once: what one pair needs stays in the cache
SURE = 6.0  # standard errors by which it must then cost more than the limit not to be tried on more
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

    Judgments are taken in random parts, until the parts so far say by six standard errors that a pair costs more than
    the limit; what it costs on all judgments is extrapolated from them.

    Shapes: `X` (n_items, n_dims); returns (n_dims,), infinite where there is no other dimension.
    """
    n = len(problem.data)
    cost = np.full(X.shape[1], np.inf)
    pairs = np.array(list(itertools.permutations(range(X.shape[1]), 2)), dtype=int).reshape(-1, 2)
    sums, squares = np.zeros(len(pairs)), np.zeros(len(pairs))
    order = np.random.default_rng(0).permutation(n)
    for start in range(0, n, PART):
        rows = np.sort(order[start : start + PART])
        turned, seen = _Turned(problem.data[rows], X.double(), bias, problem.dtype), start + len(rows)
        for k, (a, b) in enumerate(pairs):
            lost = turned.lost(int(a), int(b))
            sums[k] += float(lost.sum(dtype=torch.float64))
            squares[k] += float(lost.square().sum(dtype=torch.float64))
        whole, unsure = n / seen * sums, n / seen * SURE * np.sqrt(np.maximum(squares - sums**2 / seen, 0))
        known = (whole - unsure > LEAST_COST) | (seen == n)  # that it costs less, a few judgments can refute
        np.minimum.at(cost, pairs[known].ravel(), np.repeat(whole[known], 2))
        pairs, sums, squares = pairs[~known], sums[~known], squares[~known]
        if not len(pairs):
            break
    return cost


class _Turned:
    """What judgments lose by a turn and a cut, without new dot products.

    Cutting y = p - m to p, with p, m >= 0, makes x_i . x_j larger by p_i m_j + m_i y_j.
    """

    def __init__(self, data: Rows, X: torch.Tensor, bias: torch.Tensor | None, dtype: torch.dtype) -> None:
        device = X.device

        def tensor(values: np.ndarray) -> torch.Tensor:
            return torch.as_tensor(np.ascontiguousarray(values), device=device)

        rows = np.arange(len(data))
        self.weight = None if data.weight is None else tensor(data.weight)
        self.sharpness = None if data.sharpness is None else tensor(data.sharpness).to(dtype)
        self.target: torch.Tensor | None = None
        self.steps: tuple[torch.Tensor, ...] | None = None
        free = None if bias is None else bias.double().cpu().numpy()
        if isinstance(data, Rated):
            assert free is not None
            t, a = thresholds(free, len(data.judges), len(data.values))
            order = np.tile([[0], [1]], len(data))
            self.sides = slice(0, 1), slice(1, 2)
        else:
            # The slot that was called odd comes first, the others follow in cyclic order; each slot stands for the
            # similarity of the two others.
            order = (data.choice.astype(np.int64) + np.arange(5)[:, None]) % 3
            self.target = None if data.probabilities is None else tensor(targets(data)[rows, order[:3]]).to(dtype)
            self.sides = slice(1, 4), slice(2, 5)
        items = tensor(data.items[rows, order].astype(np.int64))
        self.X = X.T.to(dtype)[:, items]  # (n_dims, n_slots, n) what all turns are made of
        products = (X @ X.T).view(-1)[items[self.sides[0]] * len(X) + items[self.sides[1]]]
        if isinstance(data, Rated):
            edges = tensor(np.stack([t[data.who, data.step + 1], t[data.who, data.step]])), tensor(a[data.who])
            upper, lower = edges[0] - edges[1] * products
            self.steps = upper.to(dtype), lower.to(dtype), edges[1].to(dtype)
            self.before = logsigmoid(self.steps[0]) + logsigmoid(-self.steps[1])
        else:
            logits = products if data.sharpness is None else products * tensor(data.sharpness).double()
            self.log_p = torch.log_softmax(logits if free is None else logits + tensor(free[order[:3]]), dim=0).to(
                dtype
            )

    def lost(self, a: int, b: int) -> torch.Tensor:
        """Log-likelihood that each judgment loses when dimension a is turned towards b (n,)."""
        y = torch.mul(self.X[b], float(np.cos(TURN))).sub_(self.X[a], alpha=float(np.sin(TURN)))
        p = y.clamp(min=0)
        m, (i, j) = p - y, self.sides
        change = (p[i] * m[j]).addcmul_(m[i], y[j])
        lost = self._of(change)
        return lost if self.weight is None else lost * self.weight

    def _of(self, change: torch.Tensor) -> torch.Tensor:
        if self.steps is not None:
            upper, lower, a = self.steps
            s = a * change[0]
            return self.before - logsigmoid(upper - s) - logsigmoid(s - lower)  # what steps lose besides is the same
        if self.sharpness is not None:
            change *= self.sharpness
        total = torch.logsumexp(self.log_p + change, dim=0)
        return total - (change[0] if self.target is None else (self.target * change).sum(dim=0))

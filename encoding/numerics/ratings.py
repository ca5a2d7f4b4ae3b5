"""Loss and gradient of ratings of pairs: a cumulative logit of dot products, with thresholds of each participant.

Items have non-negative coordinates x_1 ... x_M. Participant p rates how alike i and j are by one of K steps, and a step
of at most k is given with the probability

    P(rating <= k) = 1 / (1 + exp(-(t_pk - a_p x_i . x_j))),    t_p1 < ... < t_p(K-1)

(McCullagh 1980). The thresholds t_p say how the participant uses the scale: nothing is assumed of the distances between
steps, and a rating has the same unit, the spread of the logistic noise, as a choice among three. With u = t_pk - s and
l = t_p(k-1) - s a rating of step k has the probability

    sigma(u) - sigma(l) = sigma(u) sigma(-l) (1 - exp(l - u)),

whose last factor does not depend on s, so that nothing cancels. Thresholds are kept in order as a first one and the
logarithms of the gaps. A normal prior draws those of each participant to the mean of all, for participants with few
ratings, and that mean, weakly, to the shares of all ratings; sharpness a_p (geometric mean one) has a prior of its own.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch.nn.functional import logsigmoid

# Standard deviations of the priors
FIRST, GAP = 3.0, 1.0  # of a participant's first threshold, and of the logarithm of its gaps
MEAN = 10.0  # of the mean over participants
SHARPNESS = 0.7  # of the logarithm of sharpness
LEAST_GAP = 1e-6


@dataclass(frozen=True, eq=False, slots=True)
class RatingBatch:
    """Ratings whose mean loss is one step's objective."""

    pairs: torch.Tensor  # (n,) Flat index i * n_items + j
    place: torch.Tensor  # (n,) Flat index judge * (n_steps + 1) + step, of the threshold below
    judge: torch.Tensor  # (n,)
    weight: torch.Tensor | None  # (n,)
    counts: torch.Tensor  # (n_judges, n_steps) Sum of weights
    total: float  # Sum of weights

    @property
    def n_rows(self) -> int:
        """Number of ratings."""
        return len(self.pairs)


def make_rating_batch(  # noqa: PLR0913
    items: np.ndarray, step: np.ndarray, judge: np.ndarray | None, *, n_items: int, n_judges: int, n_steps: int,
    weight: np.ndarray | None = None, dtype: torch.dtype = torch.float32, device: str = "cpu",
) -> RatingBatch:  # fmt: skip
    """Sort ratings for `RatingLoss`.

    Shapes: `items` (n, 2), `step, judge, weight` (n,).
    """
    who = np.zeros(len(items), np.int64) if judge is None else judge.astype(np.int64)
    pairs = items[:, 0].astype(np.int64) * n_items + items[:, 1]
    order = np.argsort(pairs, kind="stable")
    counts = np.bincount(who * n_steps + step, weights=weight, minlength=n_judges * n_steps)

    def tensor(values: np.ndarray) -> torch.Tensor:
        return torch.as_tensor(np.ascontiguousarray(values[order]), device=device)

    return RatingBatch(
        tensor(pairs), tensor(who * (n_steps + 1) + step), tensor(who),
        None if weight is None else tensor(weight).to(dtype),
        torch.as_tensor(counts.reshape(n_judges, n_steps), device=device).to(dtype),
        float(len(items) if weight is None else weight.sum(dtype=np.float64)),
    )  # fmt: skip


def first_thresholds(counts: np.ndarray) -> np.ndarray:
    """Parameters of the thresholds that explain how often each step is used, if nothing else does.

    Shapes: `counts` (n_steps,); returns (n_steps - 1,): the first threshold, then logarithms of gaps.
    """
    share = np.cumsum(counts + 0.5)[:-1] / (counts + 0.5).sum()
    t = np.log(share) - np.log1p(-share)
    return np.concatenate([t[:1], np.log(np.maximum(np.diff(t), LEAST_GAP))])


class RatingLoss:
    """Mean loss of ratings and its gradient, with buffers that are used again.

    What it calls `bias` are the parameters of the thresholds, participant after participant, and then, with `sharp`,
    the logarithm of each participant's sharpness.
    """

    def __init__(self, n_items: int, n_judges: int, anchor: np.ndarray, *, sharp: bool = False,
                 dtype: torch.dtype = torch.float32, device: str = "cpu") -> None:  # fmt: skip
        self.n_items, self.n_judges, self.n_steps, self.sharp = n_items, n_judges, len(anchor) + 1, sharp
        self.anchor = torch.as_tensor(anchor, device=device).to(dtype)
        widths = np.array([FIRST, *[GAP] * (len(anchor) - 1)])
        self.widths = torch.as_tensor(widths, device=device).to(dtype)
        self._sums = torch.empty((n_items, n_items), dtype=dtype, device=device)

    def start(self, middle: float = 0.0) -> torch.Tensor:
        """Parameters to begin with, where dot products are about `middle`."""
        raw = self.anchor.repeat(self.n_judges, 1)
        raw[:, 0] += middle
        return torch.cat([raw.view(-1), raw.new_zeros(self.n_judges if self.sharp else 0)])

    def __call__(
        self, X: torch.Tensor, batch: RatingBatch, *, bias: torch.Tensor | None = None
    ) -> tuple[float, torch.Tensor, torch.Tensor]:
        """Compute loss and gradients.

        Shapes: `X` (n_items, n_dims), `bias` (n_parameters,); returns gradient (n_items, n_dims), bias_gradient.
        """
        assert bias is not None
        products = torch.mm(X, X.T).view(-1).index_select(0, batch.pairs)
        loss, slope, of_bias = self.of_similarity(products, batch, bias)
        sums = self._sums.zero_()
        sums.view(-1).index_add_(0, batch.pairs, slope)
        return loss, sums @ X + sums.T @ X, of_bias

    def of_similarity(
        self, products: torch.Tensor, batch: RatingBatch, bias: torch.Tensor
    ) -> tuple[float, torch.Tensor, torch.Tensor]:
        """Compute the loss, its slope along each dot product, and along the parameters.

        Shapes: `products` (n,), `bias` (n_parameters,).
        """
        n, inner = self.n_judges, self.n_steps - 1
        raw, log_a = bias[: n * inner].view(n, inner), bias[n * inner :]
        gaps = raw[:, 1:].exp().clamp(min=LEAST_GAP)
        ends = raw.new_full((n, 1), torch.inf)
        table = torch.cat([-ends, raw[:, :1], raw[:, :1] + gaps.cumsum(dim=1), ends], dim=1).view(-1)
        a = (log_a - log_a.mean()).exp().index_select(0, batch.judge) if self.sharp else None
        s = products if a is None else products * a
        upper, lower = table.index_select(0, batch.place + 1).sub_(s), table.index_select(0, batch.place).sub_(s)
        logs = logsigmoid(upper) + logsigmoid(-lower)
        of_upper, of_lower = torch.sigmoid(-upper), torch.sigmoid(lower)
        if batch.weight is not None:
            logs, of_upper, of_lower = (part * batch.weight for part in (logs, of_upper, of_lower))
        counts = batch.counts[:, 1:-1]
        within_gaps = counts * torch.log(-torch.expm1(-gaps))
        loss = -float(logs.sum(dtype=torch.float64)) - float(within_gaps.sum(dtype=torch.float64))
        slope = of_upper - of_lower
        by_place = torch.zeros_like(table)
        by_place.index_add_(0, batch.place + 1, -of_upper).index_add_(0, batch.place, of_lower)
        by_raw = by_place.view(n, -1)[:, 1:-1].clone()
        by_gap = counts / torch.expm1(gaps)
        by_raw[:, 1:] -= by_gap
        by_raw[:, :-1] += by_gap
        by_raw = by_raw.flip(1).cumsum(dim=1).flip(1)
        by_raw[:, 1:] *= gaps
        prior, of_prior = self._prior(raw)
        of_bias = (by_raw + of_prior).reshape(-1)
        loss += prior
        if a is not None:
            by_judge = torch.zeros_like(log_a).index_add_(0, batch.judge, slope * s)
            loss += 0.5 * float((log_a / SHARPNESS).square().sum())
            of_bias = torch.cat([of_bias, by_judge - by_judge.mean() + log_a / SHARPNESS**2])
            slope = slope * a
        scale = 1.0 / batch.total
        return loss * scale, slope * scale, of_bias.mul_(scale).double()

    def _prior(self, raw: torch.Tensor) -> tuple[float, torch.Tensor]:
        mean = raw.mean(dim=0)
        apart, away = (raw - mean) / self.widths, (mean - self.anchor) / MEAN
        value = 0.5 * float(apart.square().sum()) + 0.5 * float(away.square().sum())
        return value, apart / self.widths + away / (MEAN * len(raw))


def thresholds(bias: np.ndarray, n_judges: int, n_steps: int) -> tuple[np.ndarray, np.ndarray]:
    """Return thresholds, with minus and plus infinity at their ends, and sharpness.

    Shapes: `bias` (n_parameters,); returns (n_judges, n_steps + 1), (n_judges,).
    """
    inner = n_steps - 1
    raw, log_a = bias[: n_judges * inner].reshape(n_judges, inner).astype(np.float64), bias[n_judges * inner :]
    inside = np.cumsum(np.column_stack([raw[:, 0], np.maximum(np.exp(raw[:, 1:]), LEAST_GAP)]), axis=1)
    ends = np.full((n_judges, 1), np.inf)
    a = np.exp(log_a - log_a.mean()) if len(log_a) else np.ones(n_judges)
    return np.hstack([-ends, inside, ends]), a.astype(np.float64)


def step_probabilities(similarity: np.ndarray, t: np.ndarray) -> np.ndarray:
    """Probability of each step.

    Shapes: `similarity` (n,), times the participant's sharpness, `t` (n, n_steps + 1) thresholds; returns (n, n_steps).
    """
    z = t - similarity[:, None]
    upper, lower = z[:, 1:], z[:, :-1]
    # Where both ends are positive their complements are subtracted, which are small then.
    flip = lower > 0
    upper, lower = np.where(flip, -lower, upper), np.where(flip, -upper, lower)
    return np.maximum(_sigmoid(upper) - _sigmoid(lower), 1e-300)


def _sigmoid(z: np.ndarray) -> np.ndarray:
    with np.errstate(over="ignore"):
        return 1.0 / (1.0 + np.exp(-z))

"""Judgments that are ready to be minimised over, and the embeddings that come out."""

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from ..core import DataError
from ..numerics.choices import choice_logits, correct_share, cross_entropy, log_probabilities
from ..numerics.nonnegative import minimise_nonnegative
from ..numerics.ratings import RatingBatch, RatingLoss, make_rating_batch
from ..numerics.triplets import MOST_ITEMS, Batch, TripletLoss, make_batch
from .rated import Rated, Rows, rating_loss, rating_losses

NEGLIGIBLE = 0.1  # a dimension whose largest weight is smaller is dropped, as in SPoSE
RAMP, RAMP_STEPS = (0.25, 0.5), 60  # parts of the smallest lambda that lead up to it, so that it meets no random start
KNEE = 0.3  # coordinates well above it are hardly penalised once reweighted

GiveUp = Callable[[torch.Tensor, torch.Tensor | None], bool]  # of coordinates and bias


@dataclass(frozen=True, eq=False, slots=True)
class Point:
    """An embedding on the path."""

    X: torch.Tensor  # (n_items, n_dims) Coordinates; dimensions without weight are dropped
    bias: torch.Tensor | None  # (3,) Preference for each slot; of ratings the parameters of thresholds
    objective: float  # Loss and penalty
    n_evaluations: int  # Gradients that were computed
    converged: bool  # Whether it stopped by itself
    trace: tuple[float, ...] = ()  # Objective after each step
    loss: float = float("nan")  # Mean loss of the judgments that were fitted


class Problem:
    """Judgments and buffers, ready to be minimised."""

    def __init__(
        self, data: Rows, *, with_bias: bool, dtype: torch.dtype, device: str, matching: bool = False,
        sharp: bool = False,
    ) -> None:  # fmt: skip
        self.data, self.dtype, self.device, self.matching, self.sharp = data, dtype, device, matching, sharp
        self.with_bias = with_bias or isinstance(data, Rated)  # thresholds of ratings are always estimated
        # A target, in the first slot, cannot be the odd one.
        self.fixed = torch.tensor([-torch.inf, 0, 0], dtype=dtype, device=device) if matching else None
        self.n_items = len(data.names)
        if self.n_items > MOST_ITEMS:
            raise DataError(
                f"SparseEmbedding: {self.n_items:,} items, but {MOST_ITEMS:,} are the most that are handled."
            )
        self.loss: Callable[..., tuple[float, torch.Tensor, torch.Tensor]]
        if isinstance(data, Rated):
            self.loss = rating_loss(data, sharp=sharp, dtype=dtype, device=device)
        else:
            self.loss = TripletLoss(self.n_items, dtype=dtype, device=device)
        self.batch = self.sort(data)

    def sort(self, data: Rows) -> Batch | RatingBatch:
        """Sort judgments for the loss."""
        if isinstance(data, Rated):
            return make_rating_batch(
                data.items, data.step, data.judge, n_items=self.n_items, n_judges=len(data.judges),
                n_steps=len(data.values), weight=data.weight, dtype=self.dtype, device=self.device,
            )  # fmt: skip
        return make_batch(
            data.items, data.choice, n_items=self.n_items, probabilities=data.probabilities, weight=data.weight,
            sharpness=data.sharpness, by_slot=self.with_bias or self.matching, dtype=self.dtype, device=self.device,
        )  # fmt: skip

    def of(self, data: Rows) -> "Problem":
        """Make the same problem of other judgments."""
        return Problem(data, with_bias=self.with_bias, dtype=self.dtype, device=self.device, matching=self.matching,
                       sharp=self.sharp)  # fmt: skip

    def _bias(self, free: torch.Tensor) -> torch.Tensor | None:
        """Slot biases of a point that ends with those that are estimated, if any are."""
        if not self.with_bias:
            return self.fixed
        return free if self.fixed is None else free + self.fixed

    def minimise(
        self,
        start: Point,
        penalty: float | torch.Tensor,
        *,
        tol: float,
        max_iter: int,
        ridge: float = 0.0,
        give_up: GiveUp = lambda X, bias: False,  # noqa: ARG005
    ) -> Point:
        """Minimise loss + sum(penalty * X) + ridge / 2 * sum(X ** 2) until a step gains less than `tol` of it.

        `penalty` is a number or has the shape of X; `give_up` is asked after every step, with X and bias.
        """
        n_dims = start.X.shape[1]
        size = self.n_items * n_dims
        cost = torch.as_tensor(penalty, dtype=self.dtype, device=self.device).expand(self.n_items, n_dims).reshape(-1)

        def _penalty(x: torch.Tensor) -> float:
            return float(torch.dot(cost, x)) + (0.5 * ridge * float(torch.dot(x, x)) if ridge else 0.0)

        def _objective(point: torch.Tensor) -> tuple[float, torch.Tensor]:
            bias = self._bias(point[size:])
            x = point[:size]
            loss, gradient, of_bias = self.loss(x.view(self.n_items, n_dims), self.batch, bias=bias)
            slope = gradient.view(-1).add_(cost)
            if ridge:
                slope.add_(x, alpha=ridge)
            return loss + _penalty(x), torch.cat([slope, of_bias.to(self.dtype)]) if self.with_bias else slope

        begin = start.X.reshape(-1)
        if self.with_bias:
            assert start.bias is not None
            begin = torch.cat([begin, torch.where(torch.isfinite(start.bias), start.bias, 0)])
        found = minimise_nonnegative(
            _objective,
            begin,
            n_bounded=size,
            max_iter=max_iter,
            tol=tol,
            give_up=lambda x: give_up(x[:size].view(self.n_items, n_dims), self._bias(x[size:])),
        )
        bias = self._bias(found.x[size:].clone())
        X = found.x[:size].view(self.n_items, n_dims)
        loss = found.value - _penalty(found.x[:size])
        return Point(X, bias, found.value, found.n_evaluations, found.converged, found.trace, loss)

    def begin(self, start: np.ndarray) -> Point:
        """Move a starting point to the device of the computation.

        Shapes: `start` (n_items, n_dims).
        """
        X = torch.as_tensor(start, device=self.device).to(self.dtype)
        bias = self._bias(torch.zeros(3, dtype=self.dtype, device=self.device))
        if isinstance(self.loss, RatingLoss):
            bias = self.loss.start(float(X.mean(dim=0).square().sum()))
        return Point(X, bias, float("nan"), 0, False)


def largest_first(X: torch.Tensor, limit: float = NEGLIGIBLE) -> torch.Tensor:
    """Columns whose largest weight exceeds `limit`, by descending sum."""
    kept = torch.nonzero(X.amax(dim=0) > limit).view(-1) if X.shape[1] else torch.zeros(0, dtype=torch.long)
    return kept[torch.argsort(X[:, kept].sum(dim=0), descending=True, stable=True)]


def prune(point: Point, limit: float = NEGLIGIBLE) -> Point:
    """Drop dimensions without weight, and order the others by their sum."""
    return dataclasses.replace(point, X=point.X[:, largest_first(point.X, limit)].contiguous())


def row_losses(X: torch.Tensor, bias: torch.Tensor | None, data: Rows) -> tuple[np.ndarray, np.ndarray]:
    """Score every judgment.

    Shapes: `X` (n_items, n_dims); returns loss (n,), correct (n,), which is NaN for ratings.
    """
    similarity = (X @ X.T).cpu().numpy()
    if isinstance(data, Rated):
        assert bias is not None
        return rating_losses(similarity, bias.cpu().numpy(), data), np.full(len(data), np.nan)
    logits = choice_logits(
        similarity, data.items, bias=None if bias is None else bias.cpu().numpy(), sharpness=data.sharpness
    )
    losses = cross_entropy(log_probabilities(logits), data.choice, probabilities=data.probabilities)
    return losses, correct_share(logits, data.choice)


def keep_first(point: Point, n_dims: int) -> Point:
    """Keep the first dimensions, which are the largest."""
    return dataclasses.replace(point, X=point.X[:, :n_dims].contiguous())


def freed(X: torch.Tensor) -> torch.Tensor:
    """Weights of the penalty that free large coordinates (iteratively reweighted L1; Candes, Wakin & Boyd 2008).

    A coordinate x costs 2 KNEE / (x + KNEE) times as much as in L1, which is twice L1 for what is zero.
    """
    return 2 * KNEE / (X + KNEE)


def approach(problem: Problem, start: Point, first: float, ridge: float, *, tol: float, large: int) -> Point:
    """Lead a start to the first penalty by smaller ones, with a tenth of the judgments if there are many.

    Fewer judgments are noisier by the root of their share; so are the penalties, which keeps all dimensions alive.
    """
    n = len(problem.data)
    if n >= large:
        rows = np.sort(np.random.default_rng(0).choice(n, n // 10, replace=False))
        problem = problem.of(problem.data[rows])
        first *= float(np.sqrt(n / len(rows)))
    for part in RAMP:
        cost = part * first / problem.n_items
        start = problem.minimise(start, cost, ridge=cost * ridge, tol=tol, max_iter=RAMP_STEPS)
    return start

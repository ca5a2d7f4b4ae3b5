"""Ratings of pairs as arrays, beside triplets: what they have in common is what the search needs."""

import dataclasses
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch

from ..core import ConfigError, DataError, Judgments, PairRatings, fingerprint_array
from ..numerics.ratings import RatingLoss, first_thresholds, step_probabilities, thresholds
from .triplets import Triplets, as_triplets, check_matches, shown_order

MOST_STEPS = 25  # different ratings; more are grouped into at most
GROUPS = 10  # steps of about equally many ratings


@dataclass(frozen=True, eq=False, slots=True)
class Rated:
    """Ratings of pairs as arrays."""

    items: np.ndarray  # (n, 2) Item numbers
    step: np.ndarray  # (n,) Number of the step of the scale
    rating: np.ndarray  # (n,) What was answered
    values: np.ndarray  # (n_steps,) Mean rating of each step
    weight: np.ndarray | None  # (n,) None where all are one
    names: tuple[str, ...]  # Name of each item
    judge: np.ndarray | None = None  # (n,) Number of who answered; None where there is one participant
    judges: tuple[str, ...] = ("",)  # Name of each participant
    probabilities: None = None  # of slots: ratings have none
    sharpness: None = None  # is among what is fitted

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, rows: np.ndarray) -> "Rated":
        weight = None if self.weight is None else self.weight[rows]
        judge = None if self.judge is None else self.judge[rows]
        return dataclasses.replace(
            self, items=self.items[rows], step=self.step[rows], rating=self.rating[rows], weight=weight, judge=judge
        )

    @property
    def total(self) -> float:
        """Sum of weights."""
        return float(len(self) if self.weight is None else self.weight.sum(dtype=np.float64))

    @property
    def keys(self) -> np.ndarray:
        """Number of the pair that each rating is about."""
        low, high = np.sort(self.items.astype(np.int64), axis=1).T
        return low * len(self.names) + high

    @property
    def who(self) -> np.ndarray:
        """Number of the participant of each rating."""
        return np.zeros(len(self), np.int64) if self.judge is None else self.judge.astype(np.int64)


Rows = Triplets | Rated
Given = Judgments | PairRatings | Triplets | Rated | np.ndarray


def as_rows(given: Given, *, n_items: int | None = None) -> Rows:
    """Select valid judgments, or ratings."""
    if isinstance(given, Rated):
        return given
    return as_rated(given) if isinstance(given, PairRatings) else as_triplets(given, n_items=n_items)


def as_rated(ratings: PairRatings) -> Rated:
    """Make arrays of the steps of the scale and of participants; more than 25 ratings become ten steps.

    A rating belongs to the step that the middle of its share falls into, so that equal ratings stay together, and a
    rating that a fifth of the answers have is a step of its own.
    """
    values, step, size = np.unique(ratings.rating, return_inverse=True, return_counts=True)
    if len(values) > MOST_STEPS:
        middle = (size.cumsum() - size / 2) / size.sum()
        step = np.unique(np.floor(GROUPS * middle), return_inverse=True)[1][step]
        values = np.bincount(step, weights=ratings.rating) / np.bincount(step)
    judges, judge = np.unique(ratings.participant, return_inverse=True)
    return Rated(
        ratings.pairs, step.astype(np.int16), ratings.rating, values,
        ratings.weight if (ratings.weight != 1).any() else None, ratings.stimuli,
        judge.astype(np.int32) if len(judges) > 1 else None, tuple(judges.tolist()),
    )  # fmt: skip


def check_rows(data: Rows, *, task: str, slot_bias: bool, judge_noise: bool, start: str) -> None:
    """Refuse settings that the judgments cannot have been made for."""
    rated = isinstance(data, Rated)
    if rated != (task == "rate"):
        kind = "ratings of pairs" if rated else "choices among three"
        raise ConfigError(
            f"SparseEmbedding: task = {task!r}, but these are {kind}. "
            + ('Set task = "rate".' if rated else 'task = "rate" needs PairRatings, "odd" and "match" choices.')
        )
    if isinstance(data, Rated):
        for name, wrong in (("slot_bias = True", slot_bias), ("start = 'spectral'", start == "spectral")):
            if wrong:
                raise ConfigError(f"SparseEmbedding: {name} is for choices among three, not for ratings. Leave it out.")
    elif slot_bias and not shown_order(data):
        raise DataError(
            f"SparseEmbedding: slot_bias = True, but the odd item is in slot {int(data.choice[0]) + 1} of all "
            f"{len(data):,} judgments: their order is not that of showing. Leave slot_bias out."
        )
    elif task == "match":
        check_matches(data)
    if judge_noise and data.judge is None:
        raise DataError(
            "SparseEmbedding: judge_noise = True, but all judgments are of one annotator. Leave judge_noise out."
        )


def fingerprints(data: Rows) -> dict[str, str]:
    """Identify judgments by content."""
    own = {"rating": data.rating, "judge": data.judge} if isinstance(data, Rated) else {"choice": data.choice}
    parts = {"items": data.items, **own, "probabilities": data.probabilities, "weight": data.weight}
    return {name: fingerprint_array(values) for name, values in parts.items() if values is not None}


def rating_loss(data: Rated, *, sharp: bool, dtype: torch.dtype, device: str) -> RatingLoss:
    """Make the loss of ratings; steps start with the shares that they have among these."""
    counts = np.bincount(data.step, weights=data.weight, minlength=len(data.values))
    return RatingLoss(
        len(data.names), len(data.judges), first_thresholds(counts), sharp=sharp, dtype=dtype, device=device
    )


def predict(similarity: np.ndarray, bias: np.ndarray, data: Rated) -> np.ndarray:
    """Probability of each step of the scale for each rating (n, n_steps).

    Shapes: `similarity` (n,) dot products of the pairs, `bias` (n_parameters,) of `RatingLoss`.
    """
    t, a = thresholds(bias, len(data.judges), len(data.values))
    return step_probabilities(a[data.who] * similarity, t[data.who])


def rating_losses(similarity: np.ndarray, bias: np.ndarray, data: Rated) -> np.ndarray:
    """Loss of each rating.

    Shapes: `similarity` (n_items, n_items), `bias` (n_parameters,); returns (n,).
    """
    p = predict(similarity[data.items[:, 0], data.items[:, 1]].astype(np.float64), bias, data)
    return -np.log(p[np.arange(len(data)), data.step])


def draw_steps(similarity: np.ndarray, bias: np.ndarray, data: Rated, rng: np.random.Generator) -> Rated:
    """Simulate ratings of the same pairs by the same participants.

    Shapes: `similarity` (n_items, n_items), `bias` (n_parameters,).
    """
    p = predict(similarity[data.items[:, 0], data.items[:, 1]].astype(np.float64), bias, data)
    step = (rng.random((len(p), 1)) > p.cumsum(axis=1)).sum(axis=1).clip(0, p.shape[1] - 1)
    return dataclasses.replace(data, step=step.astype(np.int16), rating=data.values[step])


def rated_judges(bias: np.ndarray, data: Rated) -> pd.DataFrame:
    """List the sharpness of each participant, as `judge_sharpness` does for choices, without intervals."""
    a = thresholds(bias, len(data.judges), len(data.values))[1]
    size = np.bincount(data.who, weights=data.weight, minlength=len(a))
    return pd.DataFrame({"judge": data.judges, "n": size, "sharpness": a, "noise": 1 / a})


def within(values: np.ndarray, data: Rated) -> np.ndarray:
    """Subtract each participant's mean; what only rounding leaves, as of a single rating, is 0.

    Shapes: `values` (n,).
    """
    weight = np.ones(len(data)) if data.weight is None else data.weight.astype(np.float64)
    total = np.bincount(data.who, weights=weight, minlength=len(data.judges))
    sums = np.bincount(data.who, weights=weight * values, minlength=len(data.judges))
    apart = values - (sums / np.maximum(total, 1e-300))[data.who]
    return np.where(np.abs(apart) <= 1e-12 * np.abs(values).max(initial=0.0), 0.0, apart)


def single(data: Rated) -> np.ndarray:
    """Mark the ratings of participants who gave no other one (n,)."""
    return np.bincount(data.who, minlength=len(data.judges))[data.who] == 1

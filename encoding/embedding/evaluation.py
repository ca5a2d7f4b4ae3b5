"""How good an embedding is: against chance, against repeats of the same question, and against other embeddings."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol, TypeVar

import numpy as np
import pandas as pd
from scipy.optimize import minimize_scalar
from scipy.stats import chi2

from ..core import DataError, Judgments
from ..numerics.choices import (
    calibration,
    choice_logits,
    choice_similarity,
    correct_share,
    cross_entropy,
    log_probabilities,
    noise_ceiling,
    repeat_counts,
)
from .rated import Rated
from .triplets import Triplets, as_triplets, shown_order, targets

R = TypeVar("R", Triplets, Rated)

MOST_BLOCKS = 5_000  # groups of triplets that are drawn with replacement
FEWEST_REPEATED = 100  # sets of three with several answers, without which there is no ceiling to speak of
LARGEST_FACTOR = 100.0  # that logits are multiplied by, after division by their standard deviation
SLOT_P = 1e-6  # below it a preference for slots is reported


class Resampled(Protocol):
    """What is drawn with replacement: rows that are about the same triplet, or pair, have the same key."""

    @property
    def keys(self) -> np.ndarray: ...  # noqa: D102
    @property
    def weight(self) -> np.ndarray | None: ...  # noqa: D102
    def __len__(self) -> int: ...


def drop_weightless(data: R) -> R:
    """Leave out judgments of weight 0, which count for nothing; collections exclude people by them."""
    if data.weight is None or (data.weight > 0).all():
        return data
    if not (data.weight > 0).any():
        raise DataError(
            f"Judgments: all {len(data):,} have weight 0, so that none is left to score by. Give some a weight above 0."
        )
    return data[data.weight > 0]


@dataclass(frozen=True, eq=False, slots=True)
class SlotPreference:
    """Whether judges prefer a slot whatever is shown there."""

    bias: np.ndarray  # (3,) Maximum-likelihood preference given the embedding, mean zero, in logits
    # Likelihood ratio against the slot biases that the embedding was fitted with, on two degrees of freedom
    chi2: float
    p: float  # Its p-value
    # (3,) How often each slot was called odd, by weight. Where it is always the same slot, the order of showing was not
    # recorded (files with the odd item last), and there is nothing to test: bias and p are NaN
    shares: np.ndarray

    @property
    def found(self) -> bool:
        """Whether p is below 1e-6, so that an embedding without `slot_bias` is not to be trusted."""
        return self.p < SLOT_P


def evaluate(
    embeddings: Mapping[str, np.ndarray],
    judgments: Judgments | Triplets,
    *,
    bias: Mapping[str, np.ndarray] | None = None,
    n_bootstrap: int = 1000,
    seed: int = 0,
) -> pd.DataFrame:
    """Score embeddings on judgments that none of them was fitted to.

    Parameters
    ----------
    embeddings : mapping of str to ndarray, shape (n_items, n_dims)
        Embeddings of the items of the judgments, by name.
    judgments : Judgments or Triplets
        Test judgments.
    bias : mapping of str to ndarray, shape (3,), optional
        Slot preferences that belong to an embedding. A slot that one of them rules out (minus infinity, as that of a
        target) is ruled out for all, since all are scored on the same question.
    n_bootstrap : int
        Samples with replacement for the 95 percent intervals; answers about the same three items stay together.
    seed : int
        Seed of the samples.

    Returns
    -------
    DataFrame
        One row per embedding, one for chance, and two for the noise ceiling where a hundred triplets were repeated
        (their number is n; "agreement of two answers" and "most frequent answer"). Columns name, n_dims, n, accuracy,
        accuracy_low, accuracy_high, cross_entropy, cross_entropy_low, cross_entropy_high. Judgments of weight 0 are
        left out of all rows.

    Raises
    ------
    DataError
        If an embedding has another number of items.

    Examples
    --------
    >>> from encoding.embedding import evaluate, simulate_judgments
    >>> X = np.random.default_rng(0).gamma(1, 1, (20, 3))
    >>> found = evaluate({"true": X, "shuffled": X[::-1]}, simulate_judgments(X, 2000, seed=0), n_bootstrap=20)
    >>> found.iloc[:, :3].round(1)
                           name  n_dims     n
    0                      true     3.0  2000
    1                  shuffled     3.0  2000
    2                    chance     0.0  2000
    3  agreement of two answers     NaN   585
    4      most frequent answer     NaN   585
    """
    data = drop_weightless(as_triplets(judgments))
    draws = Bootstrap(data, n_bootstrap, seed)
    given = {name: np.asarray(shift, np.float64) for name, shift in (bias or {}).items()}
    possible = np.all([np.ones(3, bool), *(np.isfinite(shift) for shift in given.values())], axis=0)
    rows = []
    for name, X in embeddings.items():
        if len(X) != len(data.names):
            raise DataError(f"evaluate: embedding {name!r} has {len(X)} items, the judgments {len(data.names)}.")
        logits = _logits(X, data, np.where(possible, given.get(name, np.zeros(3)), -np.inf))
        correct = correct_share(logits, data.choice)
        loss = cross_entropy(log_probabilities(logits), data.choice, probabilities=data.probabilities)
        rows.append(
            {
                "name": name,
                "n_dims": X.shape[1],
                "n": len(data),
                **draws.summary(correct, "accuracy"),
                **draws.summary(loss, "cross_entropy"),
            }
        )
    matching = not possible.all()
    chance = 1 / 2 if matching else 1 / 3
    rows.append({"name": "chance", "n_dims": 0, "n": len(data), "accuracy": chance, "cross_entropy": -np.log(chance)})
    counts = repeat_counts(data.items, data.choice, len(data.names))[1]
    agreement, modal, n_sets = noise_ceiling(counts)
    if n_sets >= FEWEST_REPEATED and not matching:  # the same three items are another question with another target
        rows.append({"name": "agreement of two answers", "n": n_sets, "accuracy": agreement})
        rows.append({"name": "most frequent answer", "n": n_sets, "accuracy": modal})
    return pd.DataFrame(rows).astype({"n": int})


def _logits(X: np.ndarray, data: Triplets, bias: np.ndarray | None) -> np.ndarray:
    X = np.asarray(X, np.float64)
    return choice_logits(X @ X.T, data.items, bias=bias, sharpness=data.sharpness)


def fit_factor(X: np.ndarray, judgments: Judgments | Triplets, *, bias: np.ndarray | None = None) -> float:
    """Find what to multiply all dot products by, so that they predict judgments best; 0 if they do not.

    Shapes: `X` (n_items, n_dims), `bias` (3,).
    """
    data = drop_weightless(as_triplets(judgments))
    similarity = np.asarray(X, np.float64)
    similarity = similarity @ similarity.T
    unit = float(choice_logits(similarity, data.items).std()) or 1.0

    def _loss(factor: float) -> float:
        logits = choice_logits(factor / unit * similarity, data.items, bias=bias, sharpness=data.sharpness)
        losses = cross_entropy(log_probabilities(logits), data.choice, probabilities=data.probabilities)
        return float(np.average(losses, weights=data.weight))

    found = float(minimize_scalar(_loss, bounds=(0, LARGEST_FACTOR), method="bounded").x)
    return found / unit if _loss(found) < _loss(0.0) else 0.0


class Bootstrap:
    """Samples of triplets, or of pairs, the same for every measure so that embeddings are compared on the same ones."""

    def __init__(self, data: Resampled, n_bootstrap: int, seed: int) -> None:
        rng = np.random.default_rng(seed)
        group = np.unique(data.keys, return_inverse=True)[1]
        n_sets = int(group.max()) + 1
        n_blocks = min(n_sets, MOST_BLOCKS)
        self.block = rng.permutation(n_sets)[group] % n_blocks
        self.weight = np.ones(len(data)) if data.weight is None else data.weight.astype(np.float64)
        self.total = np.bincount(self.block, weights=self.weight, minlength=n_blocks)
        self.times = rng.multinomial(n_blocks, np.full(n_blocks, 1 / n_blocks), size=n_bootstrap)

    def summary(self, values: np.ndarray, name: str) -> dict[str, float]:
        """Average values (n,), with a 95 percent interval."""
        sums = np.bincount(self.block, weights=values * self.weight, minlength=len(self.total))
        means = (self.times @ sums) / (self.times @ self.total)
        low, high = np.quantile(means, (0.025, 0.975))
        return {name: float(sums.sum() / self.total.sum()), f"{name}_low": float(low), f"{name}_high": float(high)}

    def correlation(self, expected: np.ndarray, given: np.ndarray) -> dict[str, float]:
        """Correlate values without mean, and compute the share of the variance that is explained.

        Both are NaN where what was given does not vary.
        """
        products = (expected * given, expected**2, given**2)
        sums = np.stack([np.bincount(self.block, weights=self.weight * v, minlength=len(self.total)) for v in products])
        found: dict[str, float] = {}
        xy, xx, yy = np.column_stack([sums.sum(axis=1), sums @ self.times.T])  # the first of each is all ratings
        power = np.sqrt(xx * yy)
        nothing = np.where(yy > 0, 0.0, np.nan)
        r = np.divide(xy, power, out=nothing, where=power > 0)
        explained = 1 - np.divide(yy - 2 * xy + xx, yy, out=np.full(len(yy), np.nan), where=yy > 0)
        for name, values in (("r", r), ("explained", explained)):
            drawn = values[1:][yy[1:] > 0]
            low, high = np.quantile(drawn, (0.025, 0.975)) if yy[0] > 0 and len(drawn) else (np.nan, np.nan)
            found |= {name: float(values[0]), f"{name}_low": float(low), f"{name}_high": float(high)}
        return found


def slot_preference(
    X: np.ndarray, judgments: Judgments | Triplets, *, bias: np.ndarray | None = None
) -> SlotPreference:
    """Test whether slots were preferred, beyond what the items in them explain.

    Parameters
    ----------
    X : ndarray, shape (n_items, n_dims)
        Embedding.
    judgments : Judgments or Triplets
        Judgments in the order of showing.
    bias : ndarray, shape (3,), optional
        Preference that the embedding was fitted with; zero if left out.

    Returns
    -------
    SlotPreference
        Estimate and test.

    Examples
    --------
    >>> from encoding.embedding import simulate_judgments, slot_preference
    >>> X = np.random.default_rng(0).gamma(1, 1, (20, 3))
    >>> biased = simulate_judgments(X, 2000, seed=0, slot_bias=[0.5, 0.0, 0.0])
    >>> slot_preference(X, biased).bias.round(1)  # planted: 0.5 more for the first slot
    array([ 0.4, -0.2, -0.2])
    """
    data = drop_weightless(as_triplets(judgments))
    logits = _logits(X, data, None)
    target = targets(data)
    weight = np.ones(len(data)) if data.weight is None else data.weight.astype(np.float64)
    shares = np.average(target, axis=0, weights=weight)
    if not shown_order(data):
        return SlotPreference(np.full(3, np.nan), float("nan"), float("nan"), shares)
    # The sum of weights is the number of equal judgments that would be as sure (Kish), so that their unit is of no
    # matter and the likelihood ratio keeps its distribution.
    weight *= weight.sum() / (weight**2).sum()
    given = np.zeros(3) if bias is None else np.asarray(bias, dtype=np.float64)
    b = given.copy()
    finite = np.isfinite(given)  # the slot of a target has minus infinity
    free = np.flatnonzero(finite)[1:]
    for _ in range(50):  # Newton's method for the free parameters of a concave function
        p = np.exp(log_probabilities(logits + b))
        slope = weight @ (target - p)
        curvature = np.diag(weight @ p) - (weight[:, None] * p).T @ p
        step = np.linalg.solve(curvature[np.ix_(free, free)], slope[free])
        b[free] += np.clip(step, -1, 1)
        if np.abs(step).max() < 1e-10:
            break
    gain = log_probabilities(logits + b)[:, finite] - log_probabilities(logits + given)[:, finite]
    statistic = max(2 * float((weight[:, None] * target[:, finite] * gain).sum()), 0.0)
    p_value = float(chi2.sf(statistic, len(free)))
    return SlotPreference(b - b[finite].mean(), statistic, p_value, shares)


def calibrate(
    X: np.ndarray, judgments: Judgments | Triplets, *, bias: np.ndarray | None = None, n_bins: int = 10
) -> pd.DataFrame:
    """Compare predicted probabilities with how often they came true.

    Shapes: `X` (n_items, n_dims), `bias` (3,).
    """
    data = drop_weightless(as_triplets(judgments))
    logits = _logits(X, data, bias)
    table = calibration(np.exp(log_probabilities(logits)), data.choice, n_bins=n_bins, weight=data.weight)
    frame = pd.DataFrame(table, columns=["predicted", "observed", "n"]).dropna()
    return frame.astype({"n": int}).reset_index(drop=True)


def accuracy_by_dimensions(
    X: np.ndarray, judgments: Judgments | Triplets, *, bias: np.ndarray | None = None
) -> pd.DataFrame:
    """Score an embedding in which every item keeps only its largest weights.

    Shapes: `X` (n_items, n_dims), `bias` (3,).
    """
    data = drop_weightless(as_triplets(judgments))
    order = np.argsort(-X, axis=1, kind="stable")
    kept = np.zeros_like(X, dtype=np.float64)
    rows, accuracy = np.arange(len(X)), []
    for n_kept in range(X.shape[1] + 1):
        if n_kept:
            column = order[:, n_kept - 1]
            kept[rows, column] = X[rows, column]
        logits = _logits(kept, data, bias)
        accuracy.append(float(np.average(correct_share(logits, data.choice), weights=data.weight)))
    above = np.asarray(accuracy) - (1 / 3 if bias is None or np.isfinite(bias).all() else 1 / 2)
    share = above / above[-1] if above[-1] > 0 else np.full(len(above), np.nan)
    return pd.DataFrame({"n_kept": np.arange(len(accuracy)), "accuracy": accuracy, "share": share})


def importance(
    X: np.ndarray,
    judgments: Judgments | Triplets,
    *,
    bias: np.ndarray | None = None,
    n_bootstrap: int = 1000,
    seed: int = 0,
) -> pd.DataFrame:
    """Score the embedding without each of its dimensions, the others as they are.

    Shapes: `X` (n_items, n_dims), `bias` (3,). One row per dimension, from 1: what the accuracy loses and the
    cross-entropy gains, with 95 percent intervals over triplets.
    """
    data = drop_weightless(as_triplets(judgments))
    draws = Bootstrap(data, n_bootstrap, seed)
    X = np.asarray(X, np.float64)
    similarity = X @ X.T

    def score(products: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        logits = choice_logits(products, data.items, bias=bias, sharpness=data.sharpness)
        loss = cross_entropy(log_probabilities(logits), data.choice, probabilities=data.probabilities)
        return correct_share(logits, data.choice), loss

    correct, loss = score(similarity)
    rows = []
    for number, column in enumerate(X.T, start=1):
        without = score(similarity - np.outer(column, column))
        rows.append(
            {
                "dimension": number,
                **draws.summary(correct - without[0], "accuracy_lost"),
                **draws.summary(without[1] - loss, "cross_entropy_gained"),
            }
        )
    return pd.DataFrame(rows)


def largest_alone(
    X: np.ndarray,
    judgments: Judgments | Triplets,
    fitted_to: Judgments | Triplets,
    *,
    bias: np.ndarray | None = None,
    n_bootstrap: int = 1000,
    seed: int = 0,
) -> dict[str, float]:
    """Measure what cross-entropy gains if every item keeps only its largest weight, with a 95 percent interval.

    One factor of these weights is fitted to `fitted_to`, since the others would have added to the dot products.

    Shapes: `X` (n_items, n_dims), `bias` (3,).
    """
    data = drop_weightless(as_triplets(judgments))
    kept = keep_largest(X)
    kept *= fit_factor(kept, fitted_to, bias=bias) ** 0.5
    of_all, alone = (
        cross_entropy(log_probabilities(_logits(Y, data, bias)), data.choice, probabilities=data.probabilities)
        for Y in (X, kept)
    )
    return Bootstrap(data, n_bootstrap, seed).summary(alone - of_all, "cross_entropy_gained")


def keep_largest(X: np.ndarray) -> np.ndarray:
    """Set all but the largest weight of every item to zero (n_items, n_dims)."""
    X = np.asarray(X, np.float64)
    kept, rows, top = np.zeros_like(X), np.arange(len(X)), X.argmax(axis=1)
    kept[rows, top] = X[rows, top]
    return kept


def dimensions_needed(X: np.ndarray, *, levels: tuple[float, ...] = (0.95, 0.99)) -> np.ndarray:
    """Count the dimensions that each item needs for its similarities to the others.

    Shapes: `X` (n_items, n_dims); returns (n_items, n_levels).
    """
    X = np.asarray(X, dtype=np.float64)
    needed = np.zeros((len(X), len(levels)), dtype=int)
    for item, row in enumerate(X):
        order = np.argsort(-row, kind="stable")[: np.count_nonzero(row)]
        others = np.delete(X, item, axis=0)
        partial = np.cumsum(others[:, order] * row[order], axis=1)
        if not partial.shape[1]:
            continue
        partial -= partial.mean(axis=0)
        power = (partial**2).sum(axis=0) * (partial[:, -1] ** 2).sum()
        r2 = np.divide((partial.T @ partial[:, -1]) ** 2, power, out=np.zeros(len(power)), where=power > 0)
        needed[item] = [np.argmax(r2 >= level - 1e-12) + 1 for level in levels]
    return needed


@dataclass(frozen=True, eq=False, slots=True)
class SimilarityComparison:
    """Predicted and measured similarity of the pairs of some items."""

    r: float  # Pearson correlation over pairs
    low: float  # Lower end of the 95 percent interval: items drawn with replacement
    high: float  # Upper end
    n_items: int  # Items of which all triplets were judged
    measured: np.ndarray  # (n_pairs,) How often a pair was kept together, over all third items
    predicted: np.ndarray  # (n_pairs,) The same, as the embedding predicts it


def compare_similarity(
    X: np.ndarray, judgments: Judgments | Triplets, *, n_bootstrap: int = 1000, seed: int = 0
) -> SimilarityComparison:
    """Correlate predicted with measured similarity on the items of fully sampled judgments.

    Parameters
    ----------
    X : ndarray, shape (n_items, n_dims)
        Embedding of all items of the judgments.
    judgments : Judgments or Triplets
        All triplets of some of the items, judged once or more. Weights count; those of 0 are no judgments.
    n_bootstrap : int
        Samples of items with replacement, for the interval.
    seed : int
        Seed of the samples.

    Returns
    -------
    SimilarityComparison
        Over all pairs of those items.

    Raises
    ------
    DataError
        If a pair of the items was judged with fewer than every third item.
    """
    data = drop_weightless(as_triplets(judgments))
    used = np.unique(data.items)
    place = np.full(len(data.names), -1)
    place[used] = np.arange(len(used))
    items, n = place[data.items], len(used)
    kept, shown, times = np.zeros((3, n, n))
    target = targets(data)
    weight = np.ones(len(data)) if data.weight is None else data.weight.astype(np.float64)
    for slot in range(3):
        first, second = (items[:, other] for other in range(3) if other != slot)
        for a, b in ((first, second), (second, first)):
            np.add.at(kept, (a, b), weight * target[:, slot])
            np.add.at(shown, (a, b), weight)
            np.add.at(times, (a, b), 1)
    upper = np.triu_indices(n, 1)
    if (times[upper] < n - 2).any():
        raise DataError(
            f"compare_similarity: some pairs of {n} items were judged {int(times[upper].min())} times, but with every "
            f"third item {n - 2} were needed. Give the fully sampled part of the judgments."
        )
    measured = kept[upper] / shown[upper]
    predicted = choice_similarity(X[used])[upper]
    rng = np.random.default_rng(seed)
    whole = np.zeros((2, n, n))
    whole[:, upper[0], upper[1]] = measured, predicted
    whole += np.transpose(whole, (0, 2, 1))
    samples = []
    for _ in range(n_bootstrap):
        drawn = rng.integers(0, n, n)
        a, b = drawn[upper[0]], drawn[upper[1]]
        different = a != b
        samples.append(np.corrcoef(whole[0, a[different], b[different]], whole[1, a[different], b[different]])[0, 1])
    low, high = np.quantile(samples, (0.025, 0.975))
    r = float(np.corrcoef(measured, predicted)[0, 1])
    return SimilarityComparison(r, float(low), float(high), n, measured, predicted)

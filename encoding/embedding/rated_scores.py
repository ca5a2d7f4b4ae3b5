"""How well embeddings predict ratings of pairs."""

import dataclasses
from collections.abc import Mapping

import numpy as np
import pandas as pd
import torch

from ..core import DataError, PairRatings
from ..numerics.choices import calibration
from ..numerics.nonnegative import minimise_nonnegative
from ..numerics.ratings import make_rating_batch
from .evaluation import FEWEST_REPEATED, Bootstrap, drop_weightless, keep_largest
from .rated import Rated, as_rated, predict, rating_loss, single, within


def calibrate_ratings(X: np.ndarray, data: Rated) -> tuple[float, np.ndarray]:
    """Fit a factor of all dot products and the thresholds of all participants to ratings.

    Shapes: `X` (n_items, n_dims); returns the factor and (n_parameters,).
    """
    X, data = np.asarray(X, np.float64), drop_weightless(data)
    own = (X[data.items[:, 0]] * X[data.items[:, 1]]).sum(axis=1)
    scale = float(own.std()) or 1.0
    # As two items with the coordinates (1, z): the factor is the only coordinate, and each pair is one of its own.
    one = torch.as_tensor(own / scale)
    loss = rating_loss(dataclasses.replace(data, names=("", "")), sharp=False, dtype=torch.float64, device="cpu")
    batch = make_rating_batch(np.tile([0, 1], (len(data), 1)), data.step, data.judge, n_items=2,
                              n_judges=len(data.judges), n_steps=len(data.values), weight=data.weight,
                              dtype=torch.float64)  # fmt: skip

    def objective(x: torch.Tensor) -> tuple[float, torch.Tensor]:
        value, by_pair, of_bias = loss.of_similarity(x[0] * one, batch, x[1:])
        return value, torch.cat([(by_pair @ one)[None], of_bias])

    begin = torch.cat([one.new_full((1,), 1.0), loss.start(float(one.mean()))])
    found = minimise_nonnegative(objective, begin, n_bounded=1, max_iter=300, tol=1e-9)
    return float(found.x[0]) / scale, found.x[1:].numpy()


def evaluate_ratings(
    embeddings: Mapping[str, np.ndarray],
    ratings: PairRatings | Rated,
    fitted_to: PairRatings | Rated,
    *,
    n_bootstrap: int = 1000,
    seed: int = 0,
) -> pd.DataFrame:
    """Score embeddings on ratings of pairs that none of them was fitted to.

    Every embedding gets a factor for its dot products and thresholds for each participant from `fitted_to`, so that
    embeddings of other judgments can be compared as well.

    Parameters
    ----------
    embeddings : mapping of str to ndarray, shape (n_items, n_dims)
        Embeddings of the items of the ratings, by name.
    ratings : PairRatings
        Test ratings.
    fitted_to : PairRatings
        Ratings of the same stimuli that thresholds are estimated from.
    n_bootstrap : int
        Samples with replacement for the 95 percent intervals; ratings of the same pair stay together.
    seed : int
        Seed of the samples.

    Returns
    -------
    DataFrame
        One row per embedding; one without any, which knows how each participant uses the scale; and "two ratings of a
        pair" where a hundred pairs were rated several times. Columns name, n_dims, n; r, the correlation of expected
        and given rating, both less the participant's mean; explained, the share of the variance within participants
        (participants with one rating count for neither, and both are NaN where no participant's ratings vary);
        cross_entropy of the step of the scale, in nats; each with its interval. Ratings of weight 0 are left out.

    Raises
    ------
    DataError
        If an embedding has another number of items, or the stimuli of the ratings differ.

    Examples
    --------
    >>> import encoding
    >>> from encoding.embedding import evaluate_ratings
    >>> rng = np.random.default_rng(0)
    >>> X = rng.gamma(1, 1, (20, 3))
    >>> pairs = np.stack(np.triu_indices(20, 1), axis=1)
    >>> alike = (X[pairs[:, 0]] * X[pairs[:, 1]]).sum(axis=1) + rng.logistic(size=len(pairs))
    >>> rating, one = np.digitize(alike, [1, 2, 3, 5]), np.ones(len(pairs))
    >>> some = encoding.PairRatings(tuple(map(str, range(20))), pairs, rating, ["me"] * 190, one, [""] * 190)
    >>> found = evaluate_ratings({"true": X}, some, some, n_bootstrap=20)
    >>> found[["name", "n_dims", "n"]]
               name  n_dims    n
    0          true       3  190
    1  no embedding       0  190
    """
    data, known = _alike(ratings, fitted_to)
    data = drop_weightless(data)
    draws = Bootstrap(data, n_bootstrap, seed)
    rows = []
    for name, X in {**embeddings, "no embedding": np.zeros((len(data.names), 0))}.items():
        if len(X) != len(data.names):
            raise DataError(f"evaluate_ratings: embedding {name!r} has {len(X)} items, ratings {len(data.names)}.")
        factor, bias = calibrate_ratings(X, known)
        own = factor * (X[data.items[:, 0]] * X[data.items[:, 1]]).sum(axis=1)
        p = predict(own.astype(np.float64), bias, data)
        rows.append({
            "name": name, "n_dims": X.shape[1], "n": len(data),
            **draws.correlation(within(p @ data.values, data), within(data.rating, data)),
            **draws.summary(-np.log(p[np.arange(len(data)), data.step]), "cross_entropy"),
        })  # fmt: skip
    rows[-1] |= dict.fromkeys(("r", "r_low", "r_high", "explained", "explained_low", "explained_high"), np.nan)
    again = _two_ratings(data)
    if again is not None:
        rows.append(again)
    return pd.DataFrame(rows)


def _alike(ratings: PairRatings | Rated, others: PairRatings | Rated) -> tuple[Rated, Rated]:
    """Use the same numbers for steps and participants of two sets of ratings."""
    if isinstance(ratings, Rated) and isinstance(others, Rated):
        return ratings, others
    if isinstance(ratings, Rated) or isinstance(others, Rated) or ratings.stimuli != others.stimuli:
        raise DataError("evaluate_ratings: two PairRatings about the same stimuli in the same order were needed.")
    both = as_rated(PairRatings.concat([ratings, others]))
    first = np.arange(len(both)) < len(ratings)
    return both[first], both[~first]


def _two_ratings(data: Rated) -> dict[str, object] | None:
    """Correlation of two ratings of the same pair, where a hundred pairs have several."""
    data = data[~single(data)]
    values = within(data.rating, data)
    order = np.lexsort((np.arange(len(data)), data.keys))
    keys = data.keys[order]
    same = keys[1:] == keys[:-1]
    n_pairs = len(np.unique(keys[1:][same]))
    if n_pairs < FEWEST_REPEATED:
        return None
    # Every rating with the next one of its pair, in both orders.
    first, second = values[order[:-1][same]], values[order[1:][same]]
    varies = min(np.ptp(first), np.ptp(second)) > 0
    r = float(np.corrcoef(np.r_[first, second], np.r_[second, first])[0, 1]) if varies else np.nan
    return {"name": "two ratings of a pair", "n_dims": np.nan, "n": n_pairs, "r": r}


class RatingScores:
    """An embedding with the factor and the thresholds that go with it, scored on other ratings."""

    def __init__(self, X: np.ndarray, data: Rated, fitted_to: Rated) -> None:
        self.X, self.data, self.fitted_to = np.asarray(X, np.float64), drop_weightless(data), fitted_to
        self.factor, self.bias = calibrate_ratings(self.X, fitted_to)

    def probabilities(self, X: np.ndarray) -> np.ndarray:
        """Probability of each step (n, n_steps), as other coordinates (n_items, n_dims) predict it."""
        a, b = self.data.items.T
        return predict(self.factor * (X[a] * X[b]).sum(axis=1), self.bias, self.data)

    def losses(self, p: np.ndarray) -> np.ndarray:
        """Loss of each rating, given probabilities (n, n_steps)."""
        return -np.log(p[np.arange(len(p)), self.data.step])

    def calibration(self, n_bins: int = 10) -> pd.DataFrame:
        """Compare predicted probabilities of steps with how often they came true."""
        p, step = self.probabilities(self.X), self.data.step.astype(np.int64)
        table = calibration(p, step, n_bins=n_bins, weight=self.data.weight)
        frame = pd.DataFrame(table, columns=["predicted", "observed", "n"]).dropna()
        return frame.astype({"n": int}).reset_index(drop=True)

    def by_dimensions(self) -> pd.DataFrame:
        """Correlate expected and given ratings where every item keeps only its largest weights."""
        order = np.argsort(-self.X, axis=1, kind="stable")
        kept, rows, r = np.zeros_like(self.X), np.arange(len(self.X)), [0.0]
        draws = Bootstrap(self.data, 1, 0)
        given = within(self.data.rating, self.data)
        for column in order.T:
            kept[rows, column] = self.X[rows, column]
            expected = within(self.probabilities(kept) @ self.data.values, self.data)
            r.append(draws.correlation(expected, given)["r"])
        share = np.asarray(r) / r[-1] if r[-1] > 0 else np.full(len(r), np.nan)
        return pd.DataFrame({"n_kept": np.arange(len(r)), "r": r, "share": share})

    def largest_alone(self, *, n_bootstrap: int = 1000, seed: int = 0) -> dict[str, float]:
        """Measure what cross-entropy gains if every item keeps only its largest weight, with a 95 percent interval."""
        alone = RatingScores(keep_largest(self.X), self.data, self.fitted_to)
        lost = alone.losses(alone.probabilities(alone.X)) - self.losses(self.probabilities(self.X))
        return Bootstrap(self.data, n_bootstrap, seed).summary(lost, "cross_entropy_gained")

    def importance(self, *, n_bootstrap: int = 1000, seed: int = 0) -> pd.DataFrame:
        """Measure what cross-entropy gains without each dimension, with 95 percent intervals over pairs."""
        draws = Bootstrap(self.data, n_bootstrap, seed)
        loss = self.losses(self.probabilities(self.X))
        rows = []
        for number in range(self.X.shape[1]):
            without = self.losses(self.probabilities(np.delete(self.X, number, axis=1)))
            rows.append({"dimension": number + 1, **draws.summary(without - loss, "cross_entropy_gained")})
        return pd.DataFrame(rows)

"""What many seeds agree on."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
import torch
from scipy.stats import t as student
from sklearn.base import clone

from ..core import ConfigError, FeatureSpace, Judgments, Provenance, versions
from ..core.progress import Progress, silent
from ..numerics.matching import fisher_interval, match_columns
from ..numerics.threads import torch_threads
from .sparse import SparseEmbedding, feature_space
from .triplets import Triplets, as_triplets, divide, parts_of

RELIABLE = 0.8
N_SPLITS = 10  # divisions of the items into halves
STEP = "consensus/1"


@dataclass(frozen=True, eq=False, slots=True)
class Consensus:
    """Dimensions that were found from several seeds.

    Attributes
    ----------
    embedding : ndarray, shape (n_items, n_dims)
        Mean over runs of matched dimensions.
    dimensions : DataFrame
        One row per dimension: dimension (from 1), sum, reproducibility with low and high (95 percent), item_split,
        triplet_split, n_runs (in how many runs it was found), reliable.
    runs : tuple of SparseEmbedding
        The fits, in the order of the seeds.
    reference : int
        The run that agrees best with all others; its dimensions are the ones that are matched.
    threshold : float
        Reproducibility from which a dimension counts as reliable.
    """

    embedding: np.ndarray
    dimensions: pd.DataFrame
    runs: tuple[SparseEmbedding, ...]
    reference: int
    threshold: float

    @property
    def items(self) -> tuple[str, ...]:
        """Name of each row."""
        return self.runs[self.reference].items_

    @property
    def slot_bias(self) -> np.ndarray:
        """Mean over runs of the preference for each slot."""
        return np.mean([run.slot_bias_ for run in self.runs], axis=0)

    def to_feature_space(self, name: str, *, only_reliable: bool = False) -> FeatureSpace:
        """Make a feature space for encoding models.

        Parameters
        ----------
        name : str
            Its name; dimensions are called name_1, name_2, ...
        only_reliable : bool
            Leave out dimensions below the threshold.

        Returns
        -------
        FeatureSpace
            One row per item, on the clock "none".
        """
        first = self.runs[0]
        settings: dict[str, Any] = first.settings() | {
            "seeds": [run.random_state for run in self.runs],
            "threshold": self.threshold,
            "only_reliable": only_reliable,
        }
        space = feature_space(
            name, self.embedding, self.items, Provenance(STEP, settings, first.inputs_, first.random_state, versions())
        )
        if not only_reliable:
            return space
        kept = np.flatnonzero(self.dimensions["reliable"])
        return replace(space, values=space.values[:, kept], features=tuple(space.features[k] for k in kept))


def fit_consensus(
    estimator: SparseEmbedding,
    judgments: Judgments | Triplets | np.ndarray,
    *,
    seeds: Sequence[int] = tuple(range(10)),
    n_jobs: int = 1,
    threshold: float = RELIABLE,
    halves: bool = True,
    progress: Progress = silent,
) -> Consensus:
    """Fit from several seeds and match what they find.

    The first seed chooses lambda on its path; the others start anew at that lambda. The run whose dimensions agree
    best with those of all others is the reference. Nothing is picked by hand.

    Parameters
    ----------
    estimator : SparseEmbedding
        Settings; it is not fitted itself.
    judgments : Judgments, Triplets, or ndarray of int, shape (n, 3)
        Judgments.
    seeds : sequence of int
        Seeds, two or more.
    n_jobs : int
        Fits at a time on the CPU, each with the estimator's number of threads.
    threshold : float
        Reproducibility below which a dimension is marked as not reliable.
    halves : bool
        Also fit both halves of the triplets.
    progress : callable
        Called with the share of fits that are done.

    Returns
    -------
    Consensus
        Dimensions with their reproducibility.

    Raises
    ------
    ConfigError
        If there are fewer than two seeds, or a seed is given twice.
    """
    if len(seeds) < 2 or len(set(seeds)) < len(seeds):
        raise ConfigError(f"fit_consensus: seeds = {list(seeds)}, but two or more different ones are needed.")
    first = clone(estimator).set_params(random_state=seeds[0]).fit(judgments)
    chosen = {"lambdas": (first.lambda_,)}
    tasks: list[tuple[SparseEmbedding, Judgments | Triplets | np.ndarray]] = [
        (clone(estimator).set_params(random_state=seed, **chosen), judgments) for seed in seeds[1:]
    ]
    if halves:
        # Half the judgments are noisier by the square root of two; so is the penalty that holds noise down.
        stronger = {"lambdas": (first.lambda_ * 2**0.5,)}
        tasks += [(clone(estimator).set_params(**stronger), half) for half in _halves(judgments, seeds[0])]
    n_fits = len(tasks) + 1
    progress(1 / n_fits)
    fitted = []
    with (
        torch_threads(estimator.threads),
        ThreadPoolExecutor(n_jobs, initializer=torch.set_num_threads, initargs=(estimator.threads,)) as pool,
    ):
        for done, model in enumerate(pool.map(lambda task: task[0].fit(task[1]), tasks), start=2):
            fitted.append(model)
            progress(done / n_fits)
    runs = (first, *fitted[: len(seeds) - 1])
    return agree(runs, halves=fitted[len(seeds) - 1 :], threshold=threshold)


def _halves(judgments: Judgments | Triplets | np.ndarray, seed: int) -> list[Triplets]:
    """Divide the triplets in two; the test part is in neither."""
    data = as_triplets(judgments)
    parts = parts_of(judgments, data)
    if parts is not None:
        data = data[parts != "test"]
    first = divide(data, 0.5, np.random.default_rng([seed, 2]))
    return [data[first], data[~first]]


def agree(
    runs: Sequence[SparseEmbedding], *, halves: Sequence[SparseEmbedding] = (), threshold: float = RELIABLE
) -> Consensus:
    """Match the dimensions of fitted embeddings.

    Parameters
    ----------
    runs : sequence of SparseEmbedding
        Fits of the same judgments from different seeds.
    halves : sequence of SparseEmbedding
        Fits of two halves of the triplets; none, or two.
    threshold : float
        Reproducibility below which a dimension is marked as not reliable.

    Returns
    -------
    Consensus
        Dimensions with their reproducibility.
    """
    spaces = [np.asarray(run.embedding_, dtype=np.float64) for run in runs]
    totals = [sum(match_columns(space, other)[1].sum() / max(space.shape[1], other.shape[1]) for other in spaces)
              for space in spaces]  # fmt: skip
    reference = int(np.argmax(totals))
    base = spaces[reference]
    others = [space for number, space in enumerate(spaces) if number != reference]
    matches = [match_columns(base, other) for other in others]
    r = np.stack([of[1] for of in matches])
    mean, low, high = fisher_interval(r, critical=student.ppf(0.975, max(len(r) - 1, 1)))
    found = r >= threshold
    total, count = base.copy(), np.ones(base.shape[1])
    for other, (partner, _), same in zip(others, matches, found, strict=True):
        total[:, same] += other[:, partner[same]]
        count += same
    embedding = total / count
    table = pd.DataFrame(
        {
            "sum": embedding.sum(axis=0),
            "reproducibility": mean,
            "low": low,
            "high": high,
            "item_split": _item_split(base, others),
            "triplet_split": _triplet_split(base, halves),
            "n_runs": count.astype(int),
            "reliable": mean >= threshold,
        }
    )
    order = np.argsort(-table["sum"].to_numpy(), kind="stable")
    table = table.iloc[order].reset_index(drop=True)
    table.insert(0, "dimension", np.arange(1, len(table) + 1))
    return Consensus(embedding[:, order].astype(base.dtype), table, tuple(runs), reference, threshold)


def _item_split(base: np.ndarray, others: Sequence[np.ndarray]) -> np.ndarray:
    """Match on one half of the items and correlate on the other, so that matching itself cannot raise r."""
    rng = np.random.default_rng(0)
    found = []
    for _ in range(N_SPLITS):
        order = rng.permutation(len(base))
        halves = order[: len(base) // 2], order[len(base) // 2 :]
        for other in others:
            for fit, test in (halves, halves[::-1]):
                partner, _ = match_columns(base[fit], other[fit])
                r = np.zeros(base.shape[1])
                some = np.flatnonzero(partner >= 0)
                pairs = zip(base[test][:, some].T, other[test][:, partner[some]].T, strict=True)
                r[some] = [match_columns(a[:, None], b[:, None])[1][0] for a, b in pairs]
                found.append(r)
    return fisher_interval(np.stack(found), critical=0.0)[0]


def _triplet_split(base: np.ndarray, halves: Sequence[SparseEmbedding]) -> np.ndarray:
    """Correlate the dimensions that two halves of the triplets give for each dimension of the reference."""
    if not halves:
        return np.full(base.shape[1], np.nan)
    first, second = (np.asarray(half.embedding_, dtype=np.float64) for half in halves)
    partners = [match_columns(base, space)[0] for space in (first, second)]
    r = np.zeros(base.shape[1])
    for k, (a, b) in enumerate(zip(*partners, strict=True)):
        if a >= 0 and b >= 0:
            r[k] = match_columns(first[:, [a]], second[:, [b]])[1][0]
    return r

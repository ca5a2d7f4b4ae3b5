"""What many seeds agree on."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from sklearn.base import clone

from ..core import ConfigError, DataError, FeatureSpace, Provenance, versions
from ..core.progress import Progress, silent
from ..core.workers import HERE, Workers
from ..numerics.matching import match_columns
from ..numerics.threads import torch_threads
from .methods import RELIABLE
from .path import AtChanceError
from .rated import Given, Rows, as_rows
from .sparse import SparseEmbedding, feature_space
from .triplets import PARTS, SEEN, divide, parts_of

SHARE = 0.8  # of seeds, and of resamples, in which a reliable dimension is found
ENOUGH_FITS = 40  # for a 95 percent range; of fewer the smallest and the largest value are given
N_SPLITS = 10  # divisions of the items into halves
STEP = "consensus/4"


@dataclass(frozen=True, eq=False, slots=True)
class Consensus:
    """Dimensions found by fits from several seeds.

    Attributes
    ----------
    embedding : ndarray, shape (n_items, n_dims)
        Mean over the runs in which each dimension was found.
    dimensions : DataFrame
        One row per dimension: dimension (from 1), sum; reproducibility (median correlation with its match in the other
        seeds, 0 where there is none), found (share of seeds with a match of at least the threshold); resampled
        (median correlation with its match in fits of resampled judgments) with low and high (95 percent of the
        resamples; smallest and largest value of fewer than 40) and found_resampled; found_rivals (share of all fits
        whose rival, a fit with more dimensions that predicts about as well, has it too; NaN if there are no rivals);
        item_split, triplet_split, n_runs, reliable. Without resamples low and high are over seeds.
    choices : DataFrame
        One row per fit: sample ("seed", "resample", "half"), number, n_dims, lambda, ridge, rounds, n_start, loss and
        accuracy on its own validation judgments. One that found nothing better than chance has n_dims
        0 and no other values.
    runs : tuple of SparseEmbedding
        The fits, in the order of the seeds.
    reference : int
        The run that agrees best with all others; its dimensions are the ones that are matched.
    threshold : float
        Correlation from which two dimensions count as the same.

    Examples
    --------
    >>> from encoding.embedding import SparseEmbedding, agree, simulate_judgments
    >>> many = simulate_judgments(np.random.default_rng(0).gamma(1, 1, (12, 2)), 2000, seed=0)
    >>> agree([SparseEmbedding(n_dims=2, random_state=seed).fit(many) for seed in (0, 1)]).embedding.shape
    (12, 2)
    """

    embedding: np.ndarray
    dimensions: pd.DataFrame
    choices: pd.DataFrame
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

    @property
    def notes(self) -> tuple[str, ...]:
        """What should be known about the fits, in words."""
        lost = int(((self.choices["sample"] == "half") & (self.choices["n_dims"] == 0)).sum())
        if not lost:
            return ()
        return (f"In {lost} of two halves of the judgments nothing better than chance is found: triplet_split is 0.",)

    def to_feature_space(self, name: str, *, only_reliable: bool = False) -> FeatureSpace:
        """Make a feature space for encoding models.

        Parameters
        ----------
        name : str
            Its name; dimensions are called name_1, name_2, ...
        only_reliable : bool
            Leave out dimensions that `dimensions` does not call reliable.

        Returns
        -------
        FeatureSpace
            One row per item, on the clock "none".

        Raises
        ------
        DataError
            If only reliable dimensions are wanted and there is none.
        """
        first = self.runs[0]
        settings: dict[str, Any] = first.settings() | {
            "seeds": [run.random_state for run in self.runs],
            "threshold": self.threshold,
            "only_reliable": only_reliable,
        }
        space = feature_space(
            name,
            self.embedding[first.judged_],
            tuple(np.asarray(self.items)[first.judged_].tolist()),
            Provenance(STEP, settings, first.inputs_, first.random_state, versions()),
        )
        if not only_reliable:
            return space
        kept = np.flatnonzero(self.dimensions["reliable"])
        if not len(kept):
            why = "a single dimension may be what several have in common" if len(self.dimensions) == 1 else (
                f"each is found with r of {self.threshold:g} or more in less than {SHARE:.0%} of the seeds, of the "
                f"resamples or of fits with more dimensions"
            )  # fmt: skip
            raise DataError(
                f"Feature space {name!r}: only_reliable = true, but none of {len(self.dimensions)} dimensions is "
                f"reliable: {why}. Collect more judgments, or leave only_reliable out and read the table of "
                f"reproducibility."
            )
        return replace(space, values=space.values[:, kept], features=tuple(space.features[k] for k in kept))


def fit_consensus(
    estimator: SparseEmbedding,
    judgments: Given,
    *,
    seeds: Sequence[int] = tuple(range(10)),
    workers: Workers = HERE,
    threshold: float = RELIABLE,
    halves: bool = True,
    resamples: int = 10,
    progress: Progress = silent,
) -> Consensus:
    """Fit from several seeds and to resampled judgments, and match the dimensions.

    Every fit chooses its own penalty and number of dimensions on its own validation judgments: the first seed searches
    all of the path, the others around what it chose. The run whose dimensions agree best with those of all others is
    the reference.

    Parameters
    ----------
    estimator : SparseEmbedding
        Settings; it is not fitted itself.
    judgments : Judgments, PairRatings, Triplets, or ndarray of int, shape (n, 3)
        Judgments.
    seeds : sequence of int
        Seeds, two or more.
    workers : Workers
        Where fits run, each with the estimator's number of threads.
    threshold : float
        Correlation from which two dimensions count as the same.
    halves : bool
        Also fit both halves of the triplets.
    resamples : int
        Number of bootstrap samples of the triplets to fit as well. Agreement of seeds shows only that the same
        judgments give the same dimensions; resamples show how far other judgments would change them.
    progress : callable
        Called with the share of fits that are done.

    Returns
    -------
    Consensus
        Dimensions with their reproducibility.

    Raises
    ------
    ConfigError
        If there are fewer than two seeds, a seed is given twice, or the number of resamples is negative.

    Examples
    --------
    >>> from encoding.embedding import SparseEmbedding, fit_consensus, simulate_judgments
    >>> planted = np.random.default_rng(0).gamma(1, 1, (12, 2))
    >>> many = simulate_judgments(planted, 2000, seed=0)
    >>> found = fit_consensus(SparseEmbedding(n_dims=2), many, seeds=(0, 1), halves=False, resamples=0)
    >>> np.abs(np.corrcoef(planted.T, found.embedding.T)[:2, 2:]).max(1).round(1)  # the planted dimensions are found
    array([1., 1.])
    """
    if len(seeds) < 2 or len(set(seeds)) < len(seeds):
        raise ConfigError(f"fit_consensus: seeds = {list(seeds)}, but two or more different ones are needed.")
    if resamples < 0:
        raise ConfigError(f"fit_consensus: resamples = {resamples}, but 0 or more are needed.")
    first = clone(estimator).set_params(random_state=seeds[0]).fit(judgments)
    tasks = [_Task(clone(estimator).set_params(random_state=seed)) for seed in seeds[1:]]
    if halves or resamples:
        seen = _seen(judgments)
    if halves:
        half = divide(seen, 0.5, np.random.default_rng([seeds[0], 2]))
        # Half the judgments are noisier by the square root of two; so is the penalty that holds noise down.
        # Each has a start of its own: from the same one both may end in the same of several minima.
        for number, rows in enumerate((half, ~half), start=resamples):
            model = clone(estimator).set_params(random_state=max(seeds) + 1 + number)
            tasks.append(_Task(model, rows=rows, stronger=2**0.5))
    for number in range(resamples):
        # A new seed each: the fits differ in start and validation part too, as a replication would.
        model = clone(estimator).set_params(random_state=max(seeds) + 1 + number)
        tasks.append(_Task(model, resample=(seeds[0], 5, number)))
    n_fits = len(tasks) + 1
    progress(1 / n_fits)
    fitted: list[Any] = []  # None for a half or a resample in which nothing was found
    shared = first, judgments, seen if halves or resamples else None
    for done, model in enumerate(workers.map(_fit_task, shared, tasks), start=2):
        fitted.append(model)
        progress(done / n_fits)
    n_seeds = len(seeds) - 1
    n_own = n_seeds + 2 * halves
    return agree(
        (first, *fitted[:n_seeds]),
        halves=fitted[n_seeds:n_own],
        resamples=fitted[n_own:],
        threshold=threshold,
    )


@dataclass(frozen=True, eq=False, slots=True)
class _Task:
    """A fit near that of the first seed: to all judgments, to some rows of those that are fitted to, or resampled."""

    model: SparseEmbedding
    rows: np.ndarray | None = None
    resample: tuple[int, ...] = ()
    stronger: float = 1.0


def _fit_task(shared: tuple[SparseEmbedding, Given, Rows | None], task: _Task) -> SparseEmbedding | None:
    """Fit; None where a part or a resample of the judgments is predicted no better than chance."""
    first, judgments, seen = shared
    data: Given = judgments
    if seen is not None and task.rows is not None:
        data = seen[task.rows]
    elif seen is not None and task.resample:
        data = _resample(seen, task.resample)
    with torch_threads(task.model.threads):
        try:
            return task.model.fit_near(data, first, stronger=task.stronger)
        except AtChanceError:
            if data is judgments:
                raise
            return None


def _seen(judgments: Given) -> Rows:
    """All judgments but those of the parts that are never fitted to."""
    data = as_rows(judgments)
    parts = parts_of(judgments, data)
    return data if parts is None else data[np.isin(parts, PARTS[:SEEN])]


def _resample(data: Rows, seed: Sequence[int]) -> Rows:
    """Draw triplets with replacement; answers to the same triplet stay together and count as often as it is drawn."""
    rng = np.random.default_rng(seed)
    sets, group = np.unique(data.keys, return_inverse=True)
    times = np.bincount(rng.integers(0, len(sets), len(sets)), minlength=len(sets))[group]
    kept = np.flatnonzero(times)
    weight = times[kept] if data.weight is None else times[kept] * data.weight[kept]
    return replace(data[kept], weight=weight.astype(np.float32))


def agree(
    runs: Sequence[SparseEmbedding],
    *,
    halves: Sequence[SparseEmbedding | None] = (),
    resamples: Sequence[SparseEmbedding | None] = (),
    threshold: float = RELIABLE,
) -> Consensus:
    """Match the dimensions of fitted embeddings.

    Parameters
    ----------
    runs : sequence of SparseEmbedding
        Fits of the same judgments from different seeds.
    halves : sequence of SparseEmbedding
        Fits of two halves of the triplets; none, or two. None for one in which nothing was found.
    resamples : sequence of SparseEmbedding
        Fits of resampled judgments; None for one in which nothing was found.
    threshold : float
        Correlation from which two dimensions count as the same.

    Returns
    -------
    Consensus
        Dimensions with their reproducibility. A dimension is reliable if it is found in four fifths of the seeds, of
        the resamples and of the rivals; a dimension that is the only one never is.

    Examples
    --------
    >>> from encoding.embedding import SparseEmbedding, agree, simulate_judgments
    >>> planted = np.random.default_rng(0).gamma(1, 1, (12, 2))
    >>> many = simulate_judgments(planted, 2000, seed=0)
    >>> found = agree([SparseEmbedding(n_dims=2, random_state=seed).fit(many) for seed in (0, 1)])
    >>> np.abs(np.corrcoef(planted.T, found.embedding.T)[:2, 2:]).max(1).round(1)  # the planted dimensions are found
    array([1., 1.])
    """
    spaces = [np.asarray(run.embedding_, dtype=np.float64) for run in runs]
    totals = [sum(match_columns(space, other)[1].sum() / max(space.shape[1], other.shape[1]) for other in spaces)
              for space in spaces]  # fmt: skip
    reference = int(np.argmax(totals))
    base = spaces[reference]
    others = [space for number, space in enumerate(spaces) if number != reference]
    matches = [match_columns(base, other) for other in others]
    r = np.stack([of[1] for of in matches])
    found = r >= threshold
    total, count = base.copy(), np.ones(base.shape[1])
    for other, (partner, _), same in zip(others, matches, found, strict=True):
        total[:, same] += other[:, partner[same]]
        count += same
    embedding = total / count
    again = r
    if resamples:
        none = np.zeros(base.shape[1])
        again = np.stack([none if model is None else match_columns(embedding, np.asarray(model.embedding_))[1]
                          for model in resamples])  # fmt: skip
    low, high = np.quantile(again, (0.025, 0.975) if len(again) >= ENOUGH_FITS else (0, 1), axis=0)
    # A dimension that falls apart where a fit may have more is a mixture, however well fits agree on it.
    rivals = [np.asarray(model.rival_) for model in (*runs, *resamples)
              if model is not None and model.rival_ is not None]  # fmt: skip
    in_rivals = np.full(base.shape[1], np.nan)
    if rivals:
        in_rivals = np.mean([match_columns(embedding, rival)[1] >= threshold for rival in rivals], axis=0)
    # One dimension alone may be what several correlated ones share; nothing in the judgments tells.
    enough = (found.mean(axis=0) >= SHARE) & ~(in_rivals < SHARE) & (base.shape[1] > 1)
    if resamples:
        enough &= (again >= threshold).mean(axis=0) >= SHARE
    missing = np.full(base.shape[1], np.nan)
    table = pd.DataFrame(
        {
            "sum": embedding.sum(axis=0),
            "reproducibility": np.median(r, axis=0),
            "found": found.mean(axis=0),
            "resampled": np.median(again, axis=0) if resamples else missing,
            "low": low,
            "high": high,
            "found_resampled": (again >= threshold).mean(axis=0) if resamples else missing,
            "found_rivals": in_rivals,
            "item_split": _item_split(base, others),
            "triplet_split": _triplet_split(base, halves),
            "n_runs": count.astype(int),
            "reliable": enough,
        }
    )
    order = np.argsort(-table["sum"].to_numpy(), kind="stable")
    table = table.iloc[order].reset_index(drop=True)
    table.insert(0, "dimension", np.arange(1, len(table) + 1))
    choices = _choices({"seed": runs, "resample": resamples, "half": halves})
    return Consensus(embedding[:, order].astype(base.dtype), table, choices, tuple(runs), reference, threshold)


def _choices(samples: Mapping[str, Sequence[SparseEmbedding | None]]) -> pd.DataFrame:
    """List what each fit chose by its own validation judgments."""
    rows = []
    for sample, models in samples.items():
        for number, model in enumerate(models):
            if model is None:
                rows.append({"sample": sample, "number": number, "n_dims": 0})
                continue
            row = model.path_[model.path_["chosen"]].iloc[0]
            rows.append(
                {
                    "sample": sample,
                    "number": number,
                    "n_dims": model.embedding_.shape[1],
                    **{name: row[name] for name in ("lambda", "ridge", "rounds", "n_start", "loss", "accuracy")},
                }
            )
    return pd.DataFrame(rows)


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
    return np.median(np.stack(found), axis=0)


def _triplet_split(base: np.ndarray, halves: Sequence[SparseEmbedding | None]) -> np.ndarray:
    """Correlate the dimensions that two halves of the triplets give for each one of the reference; 0 for none."""
    if not halves:
        return np.full(base.shape[1], np.nan)
    r = np.zeros(base.shape[1])
    spaces = [np.asarray(half.embedding_, dtype=np.float64) for half in halves if half is not None]
    if len(spaces) < len(halves):
        return r
    first, second = spaces
    partners = [match_columns(base, space)[0] for space in spaces]
    for k, (a, b) in enumerate(zip(*partners, strict=True)):
        if a >= 0 and b >= 0:
            r[k] = match_columns(first[:, [a]], second[:, [b]])[1][0]
    return r

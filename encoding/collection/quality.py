"""Can these judgments be trusted? Numbers, each with what it would be by chance."""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations
from math import factorial
from typing import Any

import numpy as np
import pandas as pd

from ..core import DataError, Judgments
from ..core.judgments import OUTCOMES
from ..numerics.triplet_ranks import rank_triplets
from .participants import assess_participants

LEVEL = 1e-3  # of significance at which something is pointed out
LEAST = 0.03  # deviation of a share from what it should be that is worth pointing out
N_BINS = 20  # of time
N_DRAWS = 2000  # of the bootstrap


@dataclass(frozen=True, eq=False)
class SlotUse:
    """How often each slot is called odd."""

    counts: np.ndarray  # (3,) Valid choices per slot
    shares: np.ndarray  # (3,) Mean probability of each slot where probabilities are known, share of choices elsewhere
    statistic: float  # Chi-squared, of equal use of the slots
    p: float  # Of this statistic, with 2 degrees of freedom
    flagged: bool  # Whether the judge prefers a slot: p < 0.001, and some share is off by 3 points or more


@dataclass(frozen=True)
class Agreement:
    """Share of answers that agree."""

    share: float  # Estimate; NaN if there is nothing to compare
    low: float  # Lower end of the 95 % interval
    high: float  # Upper end
    n: int  # Triplets that are compared


@dataclass(frozen=True, eq=False)
class Quality:
    """Quality of one judge.

    Attributes
    ----------
    annotator : str
        Name.
    outcomes : dict of str to int
        Answers per outcome.
    slots : SlotUse
        Of all valid answers.
    ceiling : Agreement
        Noise ceiling: how often the most frequent answer to all other presentations of a triplet predicts one; 1/3 by
        chance.
    pairs : Agreement
        Probability that answers to two presentations of a triplet agree; 1/3 by chance.
    per_triplet : ndarray
        Share of the most frequent answer, per repeated triplet.
    mass : float
        Median probability of the three labels together; NaN if unknown.
    refused : tuple of (str, int, int)
        Stimuli whose trials are most often without a valid answer: name, such trials, all trials.
    drift : DataFrame
        Per part of the time: "answers", "valid", shares of the slots, "latency", "start" (s since 1970).
    drift_p : float
        Test of whether slots are used alike at all times, given the stimuli that were shown.
    presentations : int
        Median number of different presentations of a repeated triplet.
    participants : DataFrame or None
        Quality of each participant, as of `assess_participants`; None if nobody is named.

    Examples
    --------
    >>> from encoding.collection import assess
    >>> (quality,) = assess(judgments)
    >>> quality.outcomes
    {'valid': 320, 'refused': 0, 'unparsed': 0, 'truncated': 0, 'error': 0}
    """

    annotator: str
    outcomes: dict[str, int]
    slots: SlotUse
    ceiling: Agreement
    pairs: Agreement
    per_triplet: np.ndarray
    mass: float
    refused: tuple[tuple[str, int, int], ...]
    drift: pd.DataFrame
    drift_p: float
    presentations: int = 0
    participants: pd.DataFrame | None = None

    @property
    def valid(self) -> float:
        """Share of answers that are valid."""
        return self.outcomes["valid"] / max(sum(self.outcomes.values()), 1)

    @property
    def warnings(self) -> tuple[str, ...]:
        """What should be known before the judgments are used."""
        found = []
        if self.valid < 0.99:
            found.append(f"{self.annotator}: only {self.valid:.1%} of the answers are valid.")
        if self.slots.flagged:
            listed = " / ".join(f"{share:.1%}" for share in self.slots.shares)
            found.append(
                f"{self.annotator}: the slots are not used equally ({listed}; chi-squared {self.slots.statistic:,.0f}, "
                f"p = {max(self.slots.p, 1e-300):.1g}). Average over orders, or let the embedding estimate it."
            )
        if self.pairs.n and self.pairs.low <= 1 / 3:
            found.append(f"{self.annotator}: answers to the same triplet agree no more often than by chance.")
        if self.drift_p < LEVEL:
            over = "time" if self.participants is None else "sessions"
            p = max(self.drift_p, 1e-300)
            found.append(f"{self.annotator}: the use of the slots changes over {over} (p = {p:.1g}).")
        if self.participants is not None:
            flagged = self.participants[self.participants["flags"] != ""].to_dict("records")
            found += [f"{self.annotator}: participant {row['participant']} {row['flags']}." for row in flagged]
        return tuple(found)


def _people(
    judgments: Judgments, rows: np.ndarray, who: np.ndarray | None, extra: Mapping[str, np.ndarray]
) -> pd.DataFrame | None:
    if who is None:
        return None
    valid = judgments.choice[rows] >= 0
    reaction = extra["reaction_time"][rows][valid] if "reaction_time" in extra else None
    return assess_participants(
        judgments.items[rows][valid], judgments.choice[rows][valid], who[valid], reaction=reaction
    )


def assess(judgments: Judgments, extra: Mapping[str, np.ndarray] | None = None, *, seed: int = 0) -> list[Quality]:
    """Assess the quality of every judge.

    Parameters
    ----------
    judgments : Judgments
        Of one or several annotators.
    extra : mapping of str to ndarray, shape (n_judgments,), optional
        "answered" (s since 1970), "latency", "mass", "participant" and "reaction_time" (s), where they are known.
    seed : int, optional
        Seed of the bootstrap.

    Returns
    -------
    list of Quality
        One per annotator.

    Raises
    ------
    DataError
        If there are no judgments.

    Examples
    --------
    >>> from encoding.collection import assess
    >>> [quality.annotator for quality in assess(judgments)]
    ['careful']
    """
    if not len(judgments):
        raise DataError("There are no judgments to check.")
    extra = extra or {}
    return [
        _assess(judgments, np.flatnonzero(judgments.annotator == name), str(name), extra, seed)
        for name in pd.unique(judgments.annotator)
    ]


def _assess(judgments: Judgments, rows: np.ndarray, name: str, extra: Mapping[str, np.ndarray], seed: int) -> Quality:
    outcome, choice = judgments.outcome[rows], judgments.choice[rows]
    outcomes = {kind: int((outcome == kind).sum()) for kind in OUTCOMES}
    people = extra.get("participant")
    named = people[rows] if people is not None and (people[rows] != "").any() else None
    shown: dict[str, Any] = {"probabilities": judgments.probabilities[rows], "who": named, "seed": seed}
    _, pairs, per_triplet = repeat_agreement(judgments.items[rows], choice, **shown)
    ceiling = noise_ceiling(judgments.items[rows], choice, **shown)
    times = _presentations(judgments.items[rows], choice, None, named)[3]
    mass = extra["mass"][rows] if "mass" in extra else np.array([])
    drift, drift_p = drift_of(
        judgments.items[rows], choice, {key: values[rows] for key, values in extra.items()}, named
    )
    return Quality(
        name, outcomes, slot_use(choice, judgments.probabilities[rows]), ceiling, pairs, per_triplet,
        float(np.nanmedian(mass)) if np.isfinite(mass).any() else float("nan"),
        _most_refused(judgments, rows), drift, drift_p, int(np.median(times)) if len(times) else 0,
        _people(judgments, rows, named, extra),
    )  # fmt: skip


def slot_use(choice: np.ndarray, probabilities: np.ndarray) -> SlotUse:
    """Test whether a judge prefers a slot.

    Parameters
    ----------
    choice : ndarray of int8, shape (n,)
        Slot; -1 where there is no valid answer.
    probabilities : ndarray, shape (n, 3)
        Probability of each slot; NaN where only the choice is known.

    Returns
    -------
    SlotUse
        The test.

    Examples
    --------
    >>> from encoding.collection import slot_use
    >>> choice = np.array([0] * 60 + [1] * 20 + [2] * 20)  # the first slot too often
    >>> use = slot_use(choice, np.full((100, 3), np.nan))
    >>> use.shares, bool(use.p < 0.001)
    (array([0.6, 0.2, 0.2]), True)
    """
    valid = choice >= 0
    counts = np.bincount(choice[valid], minlength=3)
    n = int(counts.sum())
    if not n:
        return SlotUse(counts, np.full(3, np.nan), float("nan"), float("nan"), False)
    soft = probabilities[valid]
    hard = np.eye(3)[choice[valid]]
    shares = np.where(np.isfinite(soft), soft, hard).mean(axis=0)
    from scipy.stats import chisquare

    statistic, p = chisquare(counts)
    off = max(np.abs(shares - 1 / 3).max(), np.abs(counts / n - 1 / 3).max())
    return SlotUse(counts, shares, float(statistic), float(p), bool(p < LEVEL and off >= LEAST))


def repeat_agreement(
    items: np.ndarray, choice: np.ndarray, *, probabilities: np.ndarray | None = None, who: np.ndarray | None = None,
    seed: int = 0,
) -> tuple[Agreement, Agreement, np.ndarray]:  # fmt: skip
    """Estimate how well answers to the same triplet agree, whatever the order in which it was shown.

    Identical requests have identical answers where nothing is drawn, and say nothing of a judge. Answers to one
    presentation (one order, shown to one participant) are therefore averaged first, and presentations compared.

    Parameters
    ----------
    items : ndarray of int32, shape (n, 3)
        Stimuli in the order of showing.
    choice : ndarray of int8, shape (n,)
        Slot; -1 where there is no valid answer.
    probabilities : ndarray, shape (n, 3), optional
        Probability of each slot, used where it is known; NaN elsewhere.
    who : ndarray, shape (n,), optional
        Participant, where one judge stands for several people.
    seed : int, optional
        Seed of the bootstrap over triplets.

    Returns
    -------
    modal : Agreement
        Mean over triplets of the share of the most frequent answer. It is above 1/3 by chance; see `chance_ceiling`.
    pairs : Agreement
        Mean over triplets of the probability that answers to two presentations agree; 1/3 by chance.
    per_triplet : ndarray
        Share of the most frequent answer, per triplet with two or more presentations.

    Examples
    --------
    >>> from encoding.collection import repeat_agreement
    >>> items = np.tile([[0, 1, 2], [3, 4, 5]], (4, 1))  # two triplets, asked four times
    >>> choice = np.array([2, 0, 2, 0, 2, 0, 2, 1])  # the last answer about the second one is another
    >>> modal, pairs, per_triplet = repeat_agreement(items, choice)
    >>> round(modal.share, 3), round(pairs.share, 2)
    (nan, nan)
    """
    modal, alike, _, _ = _presentations(items, choice, probabilities, who)
    if not len(modal):
        nothing = Agreement(float("nan"), float("nan"), float("nan"), 0)
        return nothing, nothing, modal
    return _interval(modal, seed), _interval(alike, seed), modal


def noise_ceiling(
    items: np.ndarray, choice: np.ndarray, *, probabilities: np.ndarray | None = None, who: np.ndarray | None = None,
    seed: int = 0,
) -> Agreement:  # fmt: skip
    """Estimate how well the answer to a presentation is predicted by the most frequent answer to the others."""
    _, _, left_out, _ = _presentations(items, choice, probabilities, who)
    if not len(left_out):
        return Agreement(float("nan"), float("nan"), float("nan"), 0)
    return _interval(left_out, seed)


def _presentations(
    items: np.ndarray, choice: np.ndarray, probabilities: np.ndarray | None, who: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return share of the mode, agreement of pairs, left-out score and number of presentations, per triplet."""
    rows = np.flatnonzero(choice >= 0)
    ranks = rank_triplets(items[rows])
    _, place, times = np.unique(ranks, return_inverse=True, return_counts=True)
    again = times[place] >= 2
    rows, place = rows[again], place[again]
    order = np.argsort(items[rows], axis=1)
    answer = np.eye(3)[choice[rows]]
    if probabilities is not None:
        known = np.isfinite(probabilities[rows]).all(axis=1, keepdims=True)
        answer = np.where(known, probabilities[rows], answer)
    answer = np.take_along_axis(answer, order, axis=1)
    person = np.zeros(len(rows), np.int64) if who is None else np.unique(who[rows], return_inverse=True)[1]
    key = np.stack((place, order[:, 0] * 3 + order[:, 1], person), axis=1)
    cells, cell = np.unique(key, axis=0, return_inverse=True)
    mean = np.zeros((len(cells), 3))
    np.add.at(mean, cell, answer)
    mean /= np.bincount(cell, minlength=len(cells))[:, None]
    _, triplet, n = np.unique(cells[:, 0], return_inverse=True, return_counts=True)
    total = np.zeros((len(n), 3))
    np.add.at(total, triplet, mean)
    others = total[triplet] - mean
    best = others >= others.max(axis=1, keepdims=True) - 1e-9
    score = np.bincount(triplet, weights=(mean * best).sum(axis=1) / best.sum(axis=1), minlength=len(n)) / n
    squares = np.bincount(triplet, weights=(mean**2).sum(axis=1), minlength=len(n))
    use = n >= 2
    pairs = ((total**2).sum(axis=1) - squares)[use] / (n * (n - 1))[use]
    return total.max(axis=1)[use] / n[use], pairs, score[use], n[use]


def _interval(values: np.ndarray, seed: int) -> Agreement:
    rng = np.random.default_rng(seed)
    # Draws of triplets as counts: the same as drawing rows, with memory for one draw at a time.
    means = [float(values @ rng.multinomial(len(values), np.full(len(values), 1 / len(values)))) / len(values)
             for _ in range(N_DRAWS if len(values) > 1 else 0)]  # fmt: skip
    low, high = np.percentile(means, (2.5, 97.5)) if means else (float("nan"), float("nan"))
    return Agreement(float(values.mean()), float(low), float(high), len(values))


def judge_agreement(judgments: Judgments) -> pd.DataFrame:
    """Compare all pairs of judges on the triplets that both answered, by probabilities if these are known.

    Parameters
    ----------
    judgments : Judgments
        Of several annotators.

    Returns
    -------
    DataFrame
        Columns "a", "b", "triplets", "agreement", "low", "high" (95 % interval of Wilson); agreement is the
        probability that an answer of one and an answer of the other name the same stimulus. "trials" and "on_trials"
        are the same of identical trials (triplet and order), by which prompts are compared.

    Examples
    --------
    >>> from dataclasses import replace
    >>> from encoding.collection import judge_agreement
    >>> who = np.where(judgments.repeat == 0, "first", "second")  # ten triplets were answered again
    >>> two = replace(judgments, annotator=who)
    >>> judge_agreement(two)[["a", "b", "triplets", "agreement"]]
           a       b  triplets  agreement
    0  first  second        10        1.0
    """
    names = [str(name) for name in pd.unique(judgments.annotator)]
    tables = {name: _answers(judgments, judgments.annotator == name) for name in names}
    trials = {name: _answers(judgments, judgments.annotator == name, ordered=True) for name in names}
    rows = []
    for a, b in combinations(names, 2):
        n, agreement = _agreement(tables[a], tables[b])
        if n:
            rows.append((a, b, n, agreement, *_wilson(agreement, n), *_agreement(trials[a], trials[b])))
    return pd.DataFrame(rows, columns=["a", "b", "triplets", "agreement", "low", "high", "trials", "on_trials"])


def _agreement(first: tuple[np.ndarray, np.ndarray], second: tuple[np.ndarray, np.ndarray]) -> tuple[int, float]:
    """Return how many questions two judges share, and the probability that their answers agree."""
    (ranks_a, counts_a), (ranks_b, counts_b) = first, second
    _, i, j = np.intersect1d(ranks_a, ranks_b, assume_unique=True, return_indices=True)
    if not len(i):
        return 0, float("nan")
    share_a = counts_a[i] / counts_a[i].sum(axis=1, keepdims=True)
    share_b = counts_b[j] / counts_b[j].sum(axis=1, keepdims=True)
    return len(i), float((share_a * share_b).sum(axis=1).mean())


def _answers(judgments: Judgments, rows: np.ndarray, *, ordered: bool = False) -> tuple[np.ndarray, np.ndarray]:
    """Return the numbers of the triplets (or trials) of a judge, and the sum of the answers to each, by item."""
    valid = rows & (judgments.choice >= 0)
    items, choice, soft = judgments.items[valid], judgments.choice[valid], judgments.probabilities[valid]
    numbers = rank_triplets(items)
    if ordered:
        order = np.argsort(items, axis=1)
        numbers = numbers * 9 + order[:, 0] * 3 + order[:, 1]
    ranks, place = np.unique(numbers, return_inverse=True)
    answer = np.where(np.isfinite(soft).all(axis=1, keepdims=True), soft, np.eye(3)[choice])
    answer = np.take_along_axis(answer, np.argsort(items, axis=1), axis=1)
    total = [np.bincount(place, weights=answer[:, slot], minlength=len(ranks)) for slot in range(3)]
    return ranks, np.stack(total, axis=1)


def _wilson(share: float, n: int) -> tuple[float, float]:
    z = 1.959964
    middle = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * np.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    return float(middle - half), float(middle + half)


def _most_refused(judgments: Judgments, rows: np.ndarray, most: int = 10) -> tuple[tuple[str, int, int], ...]:
    items = judgments.items[rows]
    without = judgments.choice[rows] < 0
    n = len(judgments.stimuli)
    lost = np.bincount(items[without].ravel(), minlength=n)
    total = np.bincount(items.ravel(), minlength=n)
    order = np.argsort(-lost, kind="stable")[:most]
    return tuple((judgments.stimuli[k], int(lost[k]), int(total[k])) for k in order if lost[k])


def drift_of(
    items: np.ndarray, choice: np.ndarray, extra: Mapping[str, np.ndarray], who: np.ndarray | None
) -> tuple[pd.DataFrame, float]:
    """Cut the answers, in the order of time, into parts of equal numbers, and compare them.

    People answer one after the other, and differ: their parts are those of the session of each, not of the study.
    """
    names = ["answers", "valid", "first", "second", "third", "latency", "start"]
    if "answered" not in extra or not np.isfinite(extra["answered"]).all() or len(choice) < 2:
        return pd.DataFrame(columns=names), float("nan")
    order = np.argsort(extra["answered"] if who is None else _progress(extra["answered"], who), kind="stable")
    parts = np.array_split(order, min(N_BINS, max(1, len(order) // 30)))
    rows = []
    for part in parts:
        counts = np.bincount(choice[part][choice[part] >= 0], minlength=3)
        n = counts.sum()
        latency = float(np.median(extra["latency"][part])) if "latency" in extra else float("nan")
        shares = counts / n if n else np.full(3, np.nan)
        rows.append((len(part), n / len(part), *shares, latency, float(extra["answered"][part[0]])))
    return pd.DataFrame(rows, columns=names), _drift_test(items, _once(items, choice, order, who), parts)


def _progress(answered: np.ndarray, who: np.ndarray) -> np.ndarray:
    """Return how far the participant of each answer had come with it, from 0 to 1 (n,)."""
    groups = pd.Series(answered).groupby(pd.Series(who).to_numpy())
    return np.asarray((groups.rank(method="first") - 0.5) / groups.transform("size"))


def _once(items: np.ndarray, choice: np.ndarray, order: np.ndarray, who: np.ndarray | None) -> np.ndarray:
    """Return the choices without those to a presentation that was there before: they are no further evidence."""
    presentation = items[order].astype(np.int64)
    n = int(items.max()) + 1
    key = (presentation[:, 0] * n + presentation[:, 1]) * n + presentation[:, 2]
    if who is not None:
        key = key + np.unique(who[order], return_inverse=True)[1] * np.int64(n) ** 3
    first = np.zeros(len(order), dtype=bool)
    first[order[np.unique(key, return_index=True)[1]]] = True
    return np.where(first, choice, -1)


def _drift_test(items: np.ndarray, choice: np.ndarray, parts: list[np.ndarray]) -> float:
    """Test whether the use of slots changes over time, given which stimuli were shown when.

    Trials that begin with the same stimulus run together, so that a stimulus that is often odd makes its slot seem
    popular for a while. What is expected of each part is therefore computed from how often each stimulus is called
    odd, and how often each slot, over the whole time.
    """
    from scipy.stats import chi2

    valid = np.flatnonzero(choice >= 0)
    if not len(valid) or len(parts) < 2:
        return float("nan")
    expected = np.zeros((len(choice), 3))
    expected[valid] = _expected(items[valid], choice[valid])
    actual = np.zeros((len(choice), 3))
    actual[valid, choice[valid]] = 1
    observed = np.array([actual[part].sum(axis=0) for part in parts])
    hoped = np.array([expected[part].sum(axis=0) for part in parts])
    use = hoped > 1
    if use.sum() < 4:
        return float("nan")
    statistic = float(((observed - hoped) ** 2 / np.where(use, hoped, 1))[use].sum())
    return float(chi2.sf(statistic, (len(parts) - 1) * (int(use.any(axis=0).sum()) - 1)))


def _expected(items: np.ndarray, choice: np.ndarray, n_steps: int = 30) -> np.ndarray:
    """Fit that a slot is called odd in proportion to a weight of its stimulus and a weight of the slot.

    Source of the updates: Hunter (2004), MM algorithms for generalized Bradley-Terry models.
    """
    n = int(items.max()) + 1
    stimulus, slot = np.ones(n), np.ones(3)
    chosen = np.bincount(items[np.arange(len(items)), choice], minlength=n)
    used = np.bincount(choice, minlength=3)
    share = np.full(items.shape, 1 / 3)
    for _ in range(n_steps):
        weight = stimulus[items] * slot
        share = weight / weight.sum(axis=1, keepdims=True)
        # Half an answer more on both sides keeps stimuli that were never odd above zero.
        stimulus *= (chosen + 0.5) / (np.bincount(items.ravel(), weights=share.ravel(), minlength=n) + 0.5)
        weight = stimulus[items] * slot
        share = weight / weight.sum(axis=1, keepdims=True)
        slot *= np.maximum(used, 1e-9) / np.maximum(share.sum(axis=0), 1e-9)
    return share


def chance_ceiling(n_answers: int) -> float:
    """Return the expected share of the most frequent of three answers at random."""
    total = 0.0
    # All ways to divide the answers among three items.
    for a in range(n_answers + 1):
        for b in range(n_answers - a + 1):
            c = n_answers - a - b
            ways = factorial(n_answers) // (factorial(a) * factorial(b) * factorial(c))
            total += ways / 3**n_answers * max(a, b, c) / n_answers
    return total

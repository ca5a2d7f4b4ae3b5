"""What may be said of the population of participants from three to ten of them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import combinations, product

import numpy as np
import pandas as pd
from scipy import stats

from ..core import AlignmentError, DataError
from ..numerics.shared_variance import Estimate, estimate, over_participants
from .claims import (
    ABOVE_0,
    AHEAD,
    BEHIND,
    BELOW_0,
    NAMED,
    NO_DIFFERENCE,
    NOT_ABOVE_0,
    NOT_FROM_0,
    NOT_TESTED,
    POPULATION,
    rates_of_divisions,
    verdict_table,
)
from .space_tests import BEYOND, NUISANCE, SpaceTests

PLACE = ["atlas", "level", "set", "region", "hemi"]
GROUP_CLAIMS = [
    *PLACE, "claim", "space", "versus", "estimand", "n_subjects", "n_ahead", "value", "smallest", "largest", "se", "df",
    "low", "high", "p", "q", "sign_flip_p", "sign_flip_floor", "n_detected", "prevalence", "prevalence_low",
    "prevalence_high", "verdict", "note",
]  # fmt: skip
GROUP_VERDICTS = [
    *PLACE, "best", "leading", "u", "next", "lead", "low", "high", "p", "q", "n_subjects", "n_leading", "n_named",
    "n_detected", "prevalence", "prevalence_low", "prevalence_high", "verdict", "note",
]  # fmt: skip
OF_PEOPLE = f"{POPULATION}, mean over people"
# Verdicts by claim and sign: what is said where q is at most the level, and otherwise
WORDS = {
    ("above 0", True): (ABOVE_0, NOT_ABOVE_0),
    ("above 0", False): (ABOVE_0, NOT_ABOVE_0),
    ("difference", True): (AHEAD, NO_DIFFERENCE),
    ("difference", False): (BEHIND, NO_DIFFERENCE),
    ("beyond", True): (ABOVE_0, NOT_FROM_0),
    ("beyond", False): (BELOW_0, NOT_FROM_0),
}
MOST_FLIPPED, N_FLIPS = 14, 9_999  # participants up to which all flips of signs are made; flips that are drawn else
SHARED = "participants saw the same stimuli: what stimuli contribute does not average out"
APART = "participants saw different stimuli"
CAUTIOUS = "the variance over runs is added in full, which is cautious"
REORDERED = f"participants saw the same stimuli in different runs: {CAUTIOUS}"
UNKNOWN = f"what participants saw in common is not in these results of an older version: {CAUTIOUS}"
PARTLY = "participants saw {shared} of {n} stimuli in common (some lack runs, or saw others): " + CAUTIOUS


@dataclass(frozen=True, slots=True)
class Prevalence:
    """Share of a population whose effect would be detected in one participant's data.

    Attributes
    ----------
    value, low, high : float
        Estimate and limits.

    Examples
    --------
    >>> from encoding.comparison import prevalence
    >>> found = prevalence(4, 5)
    >>> type(found).__name__, round(found.value, 2), round(found.low, 2)
    ('Prevalence', 0.79, 0.25)
    """

    value: float
    low: float
    high: float


def prevalence(n_detected: int, n_subjects: int, *, level: float = 0.05, coverage: float = 0.95) -> Prevalence:
    """Estimate in what share of the population an effect would be detected.

    The share of participants in whom a test at `level` is significant is (1 - g) level + g where a share g has an
    effect that the test never misses. Exact limits of the former (Clopper and Pearson 1934) are mapped to g. Real tests
    miss effects, so that this is the prevalence of *detectable* effects.

    Parameters
    ----------
    n_detected : int
        Participants in whom the test is significant.
    n_subjects : int
        Participants.
    level : float
        Level of the test.
    coverage : float
        Coverage of the interval.

    Returns
    -------
    Prevalence
        Estimate and limits between 0 and 1.

    Raises
    ------
    DataError
        If the numbers make no sense.

    Examples
    --------
    >>> round(prevalence(5, 5).low, 2)
    0.45
    """
    if not 0 <= n_detected <= n_subjects or n_subjects < 1:
        raise DataError(f"{n_detected} of {n_subjects} participants is no share; at most all can be counted.")
    tail = (1 - coverage) / 2
    low = stats.beta.ppf(tail, n_detected, n_subjects - n_detected + 1) if n_detected else 0.0
    high = stats.beta.isf(tail, n_detected + 1, n_subjects - n_detected) if n_detected < n_subjects else 1.0
    shares = np.clip((np.array([n_detected / n_subjects, low, high]) - level) / (1 - level), 0, 1)
    return Prevalence(*shares.tolist())


def sign_flip_p(values: np.ndarray) -> float:
    """Test whether values of few participants are symmetric about 0, by all flips of their signs (two-sided).

    Parameters
    ----------
    values : ndarray, shape (n_subjects,)
        One value per participant.

    Returns
    -------
    float
        Exact p, at least 2 / 2^n; of more than 14 participants from 9,999 flips drawn with a fixed seed.

    Examples
    --------
    >>> sign_flip_p(np.array([1.0, 2.0, 3.0, 1.5, 2.5]))
    0.0625
    """
    values = np.asarray(values, dtype=np.float64)
    observed = abs(values.sum()) * (1 - 1e-12)
    if len(values) > MOST_FLIPPED:
        flips = np.random.default_rng(0).choice((1.0, -1.0), size=(N_FLIPS, len(values)))
        return float((1 + np.sum(np.abs(flips @ values) >= observed)) / (1 + N_FLIPS))
    flips = np.array(list(product((1.0, -1.0), repeat=len(values))))
    return float(np.mean(np.abs(flips @ values) >= observed))


def group_claims(
    tests: Sequence[SpaceTests], *, pairs: Sequence[tuple[str, str]] | None = None, level: float = 0.05
) -> pd.DataFrame:
    """Test spaces and their differences over participants.

    Parameters
    ----------
    tests : sequence of SpaceTests
        Participants, three to ten of them; with the same spaces and regions.
    pairs : sequence of (str, str), optional
        Spaces to compare; all pairs unless given.
    level : float
        Largest false discovery rate that is called a difference, and level of the tests that prevalence counts.

    Returns
    -------
    pandas.DataFrame
        One row per region and space (claim "above 0", one-sided: the mean U of people is above 0), pair (claim
        "difference", two-sided), and space beyond declared nuisance spaces (claim "beyond", two-sided): mean over
        participants with the 95% interval and p of the two-way variance (participants and stimuli), q over all regions
        and spaces or pairs of the claim, by which the verdict goes; in how many participants it is above 0 and in how
        many p of this region alone is at most the level ("n_detected"), the prevalence of effects that are so
        detectable with its interval, and an exact sign flip with the smallest p that it can give.

    Raises
    ------
    AlignmentError
        If participants differ in spaces or regions.

    Examples
    --------
    >>> from encoding.comparison import group_claims
    >>> sorted(set(group_claims([tests, tests])["claim"]))
    ['above 0']
    """
    _check(tests)
    first = tests[0]
    there = [space for space in first.spaces if all(space in one.sets for one in tests)]
    whole = [space for space in there if all(space in one.comparable for one in tests)]
    pairs = list(combinations(whole, 2)) if pairs is None else [pair for pair in pairs if set(pair) <= set(whole)]
    average, note = _average(tests)
    of_spaces = _space_notes(tests)
    rows = []
    beyond = [space for space in there if all(BEYOND + space in one.sets for one in tests)]
    for claim, space, versus in [
        *(("above 0", space, "") for space in there),
        *(("difference", a, b) for a, b in pairs),
        *(("beyond", space, NUISANCE) for space in beyond),
    ]:
        of = BEYOND + space if claim == "beyond" else space
        kernels = [one.kernel(of) - one.kernel(versus) if versus else one.kernel(of) for one in tests]
        notes = "; ".join([note, *(of_spaces[name] for name in (space, versus) if name in of_spaces)])
        rows += _rows(first, (claim, space, versus), kernels, average, level, notes)
    table = pd.DataFrame(rows, columns=GROUP_CLAIMS)
    table["q"] = rates_of_divisions(table, ["claim"])
    said = zip(table["claim"], table["value"], table["q"], strict=True)
    return table.assign(verdict=[_word(claim, value, q, level) for claim, value, q in said])


def _word(claim: str, value: float, q: float, level: float) -> str:
    if not np.isfinite(q):
        return NOT_TESTED
    return WORDS[claim, value > 0][0 if q <= level else 1]


def _rows(
    first: SpaceTests,
    named: tuple[str, str, str],
    kernels: Sequence[np.ndarray],
    average: Callable[[Sequence[np.ndarray]], Estimate],
    level: float,
    note: str,
) -> list[tuple]:
    one_sided = named[0] == "above 0"
    each = [estimate(kernel) for kernel in kernels]
    values = np.stack([one.value for one in each])
    of_each = np.stack([one.p_above() if one_sided else one.p_differs() for one in each])
    whole = average(kernels)
    low, high = whole.interval()
    p = whole.p_above() if one_sided else whole.p_differs()
    # An effect in the other direction is none of this claim.
    sign = np.ones(len(p)) if one_sided else np.where(whole.value >= 0, 1.0, -1.0)
    n = len(values)
    rows = []
    for place, where in enumerate(first.places):
        column = values[:, place]
        if not np.isfinite(column).all():
            blank = [np.nan] * 15
            rows.append((*where, *named, OF_PEOPLE, n, 0, *blank, NOT_TESTED, "no usable targets in a participant"))
            continue
        detected = int(((of_each[:, place] <= level) & (column * sign[place] > 0)).sum())
        share = prevalence(detected, n, level=level if one_sided else level / 2)
        rows.append((
            *where, *named, OF_PEOPLE, n, int((column * sign[place] > 0).sum()), whole.value[place], column.min(),
            column.max(), whole.se[place], whole.df[place], low[place], high[place], p[place], np.nan,
            sign_flip_p(column), max(2.0 ** (1 - n), 1 / (1 + N_FLIPS)), detected, share.value, share.low, share.high,
            "", note,
        ))  # fmt: skip
    return rows


def group_verdicts(tests: Sequence[SpaceTests], *, level: float = 0.05) -> pd.DataFrame:
    """Name the best space of every region over participants, where the data can show one.

    Parameters
    ----------
    tests : sequence of SpaceTests
        Participants.
    level : float
        Largest p of the naming rule: the largest mean U is above 0 (one-sided p times the number of spaces) and ahead
        of every other (two-sided), with the two-way variance over participants and stimuli.

    Returns
    -------
    pandas.DataFrame
        One row per region: as of `verdict_table`, with the number of participants in whom the leading space has the
        largest U ("n_leading"), is named in their own table ("n_named"), or passes the rule in this region alone, at p
        ("n_detected"), and the prevalence of people in whom it would pass the latter.

    Examples
    --------
    >>> from encoding.comparison import group_verdicts
    >>> len(group_verdicts([tests, tests]))
    1
    """
    _check(tests)
    first = tests[0]
    there = [space for space in first.spaces if all(space in one.comparable for one in tests)]
    average, note = _average(tests)
    of_spaces = _space_notes(tests)
    note = "; ".join([note, *of_spaces.values()])
    n, n_places = len(tests), len(first.places)
    if len(there) < 2:
        why = "; ".join(dict.fromkeys(one.notes["spaces"] for one in tests if "spaces" in one.notes))
        why = "; ".join([why, *of_spaces.values()] if why else of_spaces.values())
        tail = (*[np.nan] * 3, NOT_TESTED, why or "there is one feature space only")
        rows = [(*where, "", "", np.nan, "", *[np.nan] * 5, n, 0, 0, 0, *tail) for where in first.places]
        return pd.DataFrame(rows, columns=GROUP_VERDICTS)
    single = [np.stack([one.kernel(space) for space in there]) for one in tests]
    alone = [average([kernels[k] for kernels in single]) for k in range(len(there))]
    values = np.stack([one.value for one in alone])
    known = np.isfinite(values).all(0)
    order = np.argsort(-np.nan_to_num(values, nan=-np.inf), axis=0, kind="stable")
    best, second, place = order[0], order[1], np.arange(n_places)
    p = np.minimum(1.0, len(there) * np.stack([one.p_above() for one in alone])[best, place])
    for other in range(len(there)):
        ahead = average([kernels[best, place] - kernels[other] for kernels in single]).p_differs()
        p = np.where(best == other, p, np.maximum(p, np.nan_to_num(ahead, nan=1.0)))
    p = np.where(known, p, np.nan)
    lead = average([kernels[best, place] - kernels[second, place] for kernels in single])
    low, high = lead.interval()
    own = [verdict_table(one) for one in tests]
    q = rates_of_divisions(pd.DataFrame([where[:2] for where in first.places], columns=PLACE[:2]).assign(p=p))
    rows = []
    for at, where in enumerate(first.places):
        if not known[at]:
            tail = (*[np.nan] * 3, NOT_TESTED, "no usable targets in a participant")
            rows.append((*where, "", "", np.nan, "", *[np.nan] * 5, n, 0, 0, 0, *tail))
            continue
        named, leader = p[at] <= level, there[best[at]]
        theirs = [table.iloc[at] for table in own]
        n_leading = sum(row["leading"] == leader for row in theirs)
        n_named = sum(row["best"] == leader for row in theirs)
        n_detected = sum(row["leading"] == leader and row["p"] <= level for row in theirs)
        # Whoever has another best space, or a tie, sees this one ahead of it in half of `level` of cases at most.
        share = prevalence(n_detected, n, level=level / 2)
        rows.append((
            *where, leader if named else "", leader, values[best[at], at], there[second[at]],
            lead.value[at], low[at], high[at], p[at], q[at], n, n_leading, n_named, n_detected, share.value,
            share.low, share.high, NAMED if named else NO_DIFFERENCE, note,
        ))  # fmt: skip
    return pd.DataFrame(rows, columns=GROUP_VERDICTS)


def _space_notes(tests: Sequence[SpaceTests]) -> dict[str, str]:
    """Return what is noted of each space, by any participant."""
    found = {}
    for space in tests[0].spaces:
        notes = dict.fromkeys(one.notes[f"space {space}"] for one in tests if f"space {space}" in one.notes)
        if notes:
            found[space] = f"{space}: {'; '.join(notes)}"
    return found


def _check(tests: Sequence[SpaceTests]) -> None:
    if len(tests) < 2:
        raise DataError(f"{len(tests)} participant; statements about a group need at least two.")
    for other in tests[1:]:
        if other.spaces != tests[0].spaces or other.places != tests[0].places:
            raise AlignmentError(
                f"sub-{tests[0].subject} and sub-{other.subject} were tested for different spaces or regions. Run the "
                "participant level again for both with one configuration."
            )


def _average(tests: Sequence[SpaceTests]) -> tuple[Callable[[Sequence[np.ndarray]], Estimate], str]:
    """Choose the variance over participants by what they have in common, and arrange their blocks alike."""
    blocks = [list(one.facts["blocks"]) for one in tests]
    if all(sorted(names) == sorted(blocks[0]) and len(set(names)) == len(names) for names in blocks):
        orders = [[names.index(name) for name in blocks[0]] for names in blocks]
        return lambda kernels: over_participants(
            np.stack([kernel[..., order, :][..., order] for kernel, order in zip(kernels, orders, strict=True)]),
            shared=True,
        ), SHARED
    if not all("stimulus_keys" in one.facts for one in tests):
        return lambda kernels: _apart(kernels, common=True), UNKNOWN
    seen = [set(one.facts["stimulus_keys"]) for one in tests]
    everything, common = set().union(*seen), set.intersection(*seen)
    if sum(map(len, seen)) == len(everything):
        return lambda kernels: _apart(kernels, common=False), APART
    same = len(common) == len(everything)
    note = REORDERED if same else PARTLY.format(shared=len(common), n=len(everything))
    return lambda kernels: _apart(kernels, common=True), note


def _apart(kernels: Sequence[np.ndarray], *, common: bool) -> Estimate:
    """Average estimates whose blocks do not match."""
    each = [estimate(kernel) for kernel in kernels]
    values, variances = np.stack([one.value for one in each]), np.stack([one.variance for one in each])
    n = len(each)
    of_subjects = values.var(0, ddof=1) / n
    variance = of_subjects + variances.mean(0) if common else np.maximum(of_subjects, variances.sum(0) / n**2)
    return Estimate(values.mean(0), variance, np.full(values.shape[1], n - 1.0))

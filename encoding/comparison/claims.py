"""Tables of what may be said about one subject: every sentence, colour and winner of a report comes from here."""

from collections.abc import Mapping, Sequence
from itertools import combinations, product

import numpy as np
import pandas as pd
from scipy import stats

from ..core import DataError, Predictions, Scores, suggest
from ..numerics.shared_variance import Estimate, estimate
from ..numerics.significance import discovery_rates
from .evaluate import fold_correlations
from .inference import Labelled
from .naming import name_best
from .regions import KEYS, parcels
from .space_tests import ALL, BEYOND, NUISANCE, WITHOUT, SpaceTests

CLAIMS = [
    *KEYS, "claim", "space", "versus", "estimand", "value", "se", "df", "low", "high", "p", "p_fwe", "q",
    "p_exchanged", "n_targets", "verdict", "note",
]  # fmt: skip
VERDICTS = [
    *KEYS, "best", "leading", "u", "next", "lead", "low", "high", "p", "q", "p_chance", "n_targets", "verdict", "note",
]  # fmt: skip
POPULATION, FITS = "the spaces themselves", "these fits on new runs"
ABOVE, NOT_ABOVE, NOT_TESTED = "above chance", "not above chance", "not tested"
AHEAD, BEHIND, NO_DIFFERENCE = "ahead", "behind", "no difference that these data can show"
ABOVE_0, BELOW_0, NOT_FROM_0, NOT_ABOVE_0 = "above 0", "below 0", "not different from 0", "not above 0"
NAMED = "best"


def chance_table(tests: SpaceTests) -> pd.DataFrame:
    """List the tests of all spaces against chance, in every region.

    Parameters
    ----------
    tests : SpaceTests
        Of one subject.

    Returns
    -------
    pandas.DataFrame
        One row per region and space (claim "chance"): U with its 95% interval; p, p corrected for all regions and
        spaces (p_fwe) and false discovery rate over all of them (q), from exchanged runs; the verdict goes by q.

    Examples
    --------
    >>> from encoding.comparison import chance_table
    >>> chance_table(tests)[["space", "claim"]].to_dict("list")
    {'space': ['mllm', 'category'], 'claim': ['chance', 'chance']}
    """
    found = [_estimates(tests, space) for space in tests.spaces]
    rows = []
    level = float(tests.facts["settings"]["p_level"])
    for place in range(len(tests.places)):
        for number, space in enumerate(tests.spaces):
            p, p_fwe, q = (float(tests.chance[name][number, place]) for name in ("p", "p_fwe", "q"))
            verdict = NOT_TESTED if not np.isfinite(q) else ABOVE if q <= level else NOT_ABOVE
            note = _note(tests, "chance", "rows", "spaces", f"space {space}")
            tail = (p, p_fwe, q, p, int(tests.n_targets[place]), verdict, note)
            rows.append((*_place(tests, place), "chance", space, "", POPULATION, *found[number][place], *tail))
    return pd.DataFrame(rows, columns=CLAIMS)


def difference_table(tests: SpaceTests, pairs: Sequence[tuple[str, str]] | None = None) -> pd.DataFrame:
    """Compare spaces pair by pair in every region, as statements about the spaces themselves.

    Parameters
    ----------
    tests : SpaceTests
        Of one subject.
    pairs : sequence of (str, str), optional
        Spaces to compare; all pairs unless given.

    Returns
    -------
    pandas.DataFrame
        One row per region and pair (claim "difference"): the difference of U with its 95% interval, two-sided p, and
        the false discovery rate over all regions (of its atlas and level) and pairs (q); the verdict goes by q.

    Examples
    --------
    >>> from encoding.comparison import difference_table
    >>> difference_table(tests)[["space", "versus"]].values.tolist()
    [['mllm', 'category']]
    """
    pairs = list(combinations(tests.spaces, 2)) if pairs is None else list(pairs)
    for name in dict.fromkeys(name for pair in pairs for name in pair):
        if name not in tests.spaces:
            raise DataError(f"No tests of {name!r} for sub-{tests.subject}. {suggest(name, tests.spaces)}")
    blank = [Estimate(*np.full((3, len(tests.places)), np.nan))]
    there = set(tests.comparable)
    found = [estimate(tests.kernel(a) - tests.kernel(b)) if {a, b} <= there else blank[0] for a, b in pairs]
    named = [("difference", a, b, POPULATION, _note(tests, "spaces", f"space {a}", f"space {b}")) for a, b in pairs]
    return _tested(tests, named, found)


def unique_table(tests: SpaceTests) -> pd.DataFrame:
    """Estimate what each space adds to all others, and what they share, in every region.

    Parameters
    ----------
    tests : SpaceTests
        Of one subject.

    Returns
    -------
    pandas.DataFrame
        Per region one row of each space (claim "unique", versus "the others"): U of all spaces less U of all others;
        one row (claim "shared"): U of all spaces less all unique parts; and one row (claim "joint") of all together.
        With 95% intervals, two-sided p, and q over all regions and spaces of a claim, by which the verdict goes.
        Population values: what fits reach with so many samples is less.

    Examples
    --------
    >>> from encoding.comparison import unique_table
    >>> unique_table(tests)["space"].tolist()
    []
    """
    if ALL not in tests.sets or any(WITHOUT + space not in tests.sets for space in tests.spaces):
        return pd.DataFrame(columns=CLAIMS)
    whole = tests.kernel(ALL)
    unique = [whole - tests.kernel(WITHOUT + space) for space in tests.spaces]
    named = [("unique", space, "the others", POPULATION, _note(tests, f"space {space}")) for space in tests.spaces]
    named += [
        ("shared", "+".join(tests.spaces), "", POPULATION, ""),
        ("joint", "+".join(tests.spaces), "", POPULATION, ""),
    ]
    kernels = [*unique, whole - np.sum(unique, axis=0), whole]
    table = _from_0(_tested(tests, named, [estimate(kernel) for kernel in kernels]))
    if "unique_p" in tests.chance:
        of_spaces = (table["claim"] == "unique").to_numpy()
        table.loc[of_spaces, "p_exchanged"] = tests.chance["unique_p"].T.ravel()
    return table


def beyond_table(tests: SpaceTests) -> pd.DataFrame:
    """Estimate what each space explains beyond the declared nuisance spaces, in every region.

    Parameters
    ----------
    tests : SpaceTests
        Of one subject.

    Returns
    -------
    pandas.DataFrame
        Per region one row of the nuisance spaces together (claim "nuisance": their U), and one row of each space (claim
        "beyond"): U of the space and the nuisance spaces together less U of the latter. With 95% intervals, two-sided
        p, and q over all regions and spaces of a claim, by which the verdict goes. No rows where no nuisance space was
        declared, or their U was refused.

    Examples
    --------
    >>> from encoding.comparison import beyond_table
    >>> len(beyond_table(tests))
    0
    """
    there = [space for space in tests.spaces if BEYOND + space in tests.sets]
    if NUISANCE not in tests.sets or not there:
        return pd.DataFrame(columns=CLAIMS)
    nuisance = tests.kernel(NUISANCE)
    named = [(NUISANCE, NUISANCE, "", POPULATION, _note(tests, f"space {NUISANCE}"))]
    named += [("beyond", space, NUISANCE, POPULATION, _note(tests, f"space {space}")) for space in there]
    kernels = [nuisance, *(tests.kernel(BEYOND + space) - nuisance for space in there)]
    return _from_0(_tested(tests, named, [estimate(kernel) for kernel in kernels]))


def verdict_table(tests: SpaceTests) -> pd.DataFrame:
    """Name the best space of every region, where the data can show one.

    Parameters
    ----------
    tests : SpaceTests
        Of one subject.

    Returns
    -------
    pandas.DataFrame
        One row per region: "best" (the named space, or empty), "leading" (the largest U, named or not) with its "u",
        "next" (the second largest U), the lead with its 95% interval, p (the largest that the rule asks for, by which a
        space is named), q over all regions of the atlas and level, "p_chance" (of the leading space against chance,
        corrected for all regions and spaces), the verdict ("best", "no difference that these data can show", "not
        tested") and a note.

    Examples
    --------
    >>> from encoding.comparison import verdict_table
    >>> len(verdict_table(tests))
    1
    """
    level = float(tests.facts["settings"]["p_level"])
    n_places = len(tests.places)
    there = list(tests.comparable)
    if len(there) < 2:
        told = (_note(tests, "spaces"), _note_by_space(tests))  # also of spaces that could not take part
        note = "; ".join(filter(None, told)) or "there is one feature space only"
        rows = [
            (*_place(tests, place), "", "", np.nan, "", *[np.nan] * 6, int(tests.n_targets[place]), NOT_TESTED, note)
            for place in range(n_places)
        ]
        return pd.DataFrame(rows, columns=VERDICTS)
    kernels = np.stack([tests.kernel(space) for space in there])
    winner, p = name_best(kernels, level)
    values = estimate(kernels).value
    order = np.argsort(-np.nan_to_num(values, nan=-np.inf), axis=0, kind="stable")
    lead = estimate(kernels[order[0], np.arange(n_places)] - kernels[order[1], np.arange(n_places)])
    low, high = lead.interval()
    q = rates_of_divisions(pd.DataFrame([place[:2] for place in tests.places], columns=KEYS[1:3]).assign(p=p))
    rows = []
    for place in range(n_places):
        first, second = there[order[0, place]], there[order[1, place]]
        known = np.isfinite(p[place])
        named = known and winner[place] >= 0
        chance = float(tests.chance["p_fwe"][tests.spaces.index(first), place])
        verdict = NOT_TESTED if not known else NAMED if named else NO_DIFFERENCE
        note = _note_by_space(tests) if known else "no usable targets"
        rows.append((
            *_place(tests, place), first if named else "", first if known else "", values[order[0, place], place],
            second if known else "", lead.value[place], low[place], high[place], p[place], q[place], chance,
            int(tests.n_targets[place]), verdict, note,
        ))  # fmt: skip
    return pd.DataFrame(rows, columns=VERDICTS)


def fit_differences(
    predictions: Sequence[Predictions],
    atlases: Labelled,
    *,
    pairs: Sequence[tuple[str, str]],
    level: float = 0.05,
    draws: np.ndarray | None = None,
) -> pd.DataFrame:
    """Compare models pair by pair, as statements about these fits on new runs.

    The difference of the mean correlation of a region is taken in every outer fold. Training sets of folds overlap, so
    that its variance is (1 / K + 1 / (K - 1)) s^2, with Student's t of K - 1 degrees of freedom (Nadeau and Bengio
    2003); or it is that over fits to runs drawn with replacement, with as many degrees as there are runs less one. A
    model that needs fewer samples is ahead here though its space may hold no more: see `difference_table`.

    Parameters
    ----------
    predictions : sequence of Predictions
        Models of one subject.
    atlases : sequence of (Atlas or None, ndarray)
        Atlases with the label of each target.
    pairs : sequence of (str, str)
        Models to compare.
    level : float
        Largest false discovery rate that is called a difference.
    draws : ndarray, shape (n_draws, n_regions * n_pairs), optional
        The same differences (`region_differences`) of fits to drawn runs.

    Returns
    -------
    pandas.DataFrame
        One row per region and pair (claim "fits"): difference of r with its 95% interval, two-sided p, and q over all
        regions and pairs, by which the verdict goes. NaN with a single fold.

    Examples
    --------
    >>> from encoding.comparison import fit_differences
    >>> everything = (None, np.ones(1092, dtype=int))
    >>> len(fit_differences(fitted.predictions, [everything], pairs=[("mllm", "category")]))
    1
    """
    if not predictions or not pairs:
        return pd.DataFrame(columns=CLAIMS)
    subject, samples = predictions[0].subject, predictions[0].samples
    n_folds = len(predictions[0].moments.n)
    note = "" if n_folds > 1 else "one outer fold has no spread over folds; use folds of runs to compare fits"
    if draws is not None:
        note = f"interval from fits to {len(draws)} draws of runs with replacement"
    each, counts = region_differences(predictions, atlases, pairs)
    places = [(atlas.name if atlas else "", *parcel[:4]) for atlas, of in atlases for parcel in parcels(atlas, of)]
    rows = []
    for number, (place, (a, b)) in enumerate(product(places, pairs)):
        n = int(counts[number])
        value = float(each[:, number].mean()) if n else np.nan
        se = df = low = high = p = np.nan
        if n_folds > 1 and n:
            df = n_folds - 1.0
            se = float(np.sqrt((1 / n_folds + 1 / df) * each[:, number].var(ddof=1)))
            if draws is not None:
                df, se = len(samples.runs) - 1.0, float(draws[:, number].std(ddof=1))
            half = stats.t.ppf(0.975, df) * se
            low, high = value - half, value + half
            p = float(2 * stats.t.sf(abs(value) / se, df)) if se > 0 else np.nan
        rows.append((subject, *place, "fits", a, b, FITS, value, se, df, low, high, p, *[np.nan] * 3, n, "", note))
    return _judged(pd.DataFrame(rows, columns=CLAIMS), level)


def region_differences(
    predictions: Sequence[Predictions], atlases: Labelled, pairs: Sequence[tuple[str, str]]
) -> tuple[np.ndarray, np.ndarray]:
    """Average the difference of correlations over the targets of every region, in every outer fold.

    Returns (n_folds, n_regions * n_pairs), pairs varying fastest, and the targets of each.
    """
    by_fold = {p.model: fold_correlations(p) for p in predictions}
    means, counts = [], []
    for atlas, labels in atlases:
        for parcel in parcels(atlas, labels):
            for a, b in pairs:
                folds = (by_fold[a] - by_fold[b])[:, parcel.mask]
                finite = np.isfinite(folds)
                means.append(np.where(finite, folds, 0).sum(1) / np.maximum(finite.sum(1), 1))
                counts.append(int(finite.any(0).sum()))
    n_folds = len(predictions[0].moments.n)
    return np.array(means).reshape(-1, n_folds).T, np.array(counts, dtype=int)


def unique_of_fits(
    scores: Scores, atlases: Labelled, pairs: Mapping[str, tuple[str, str]], versus: str = "the others"
) -> pd.DataFrame:
    """Subtract the held-out R2 of a model without a space from that of a model with it, region by region.

    Parameters
    ----------
    scores : Scores
        R2 of all models.
    atlases : sequence of (Atlas or None, ndarray)
        Atlases with the label of each target.
    pairs : mapping of str to (str, str)
        For each space the model that has it, and the one that lacks it.
    versus : str
        What both models have in common.

    Returns
    -------
    pandas.DataFrame
        One row per region and space (claim "delta R2"), without a test: honest at this number of samples, and far from
        the population value where they are few.

    Examples
    --------
    >>> from encoding.comparison import unique_of_fits
    >>> everything = (None, np.ones(1092, dtype=int))
    >>> found = unique_of_fits(result.scores["r2"], [everything], {"mllm": ("joint", "category")}, "category")
    >>> found[["space", "versus"]].values.tolist()
    [['mllm', 'category']]
    """
    rows = []
    for atlas, labels in atlases:
        for parcel in parcels(atlas, labels):
            for space, (whole, without) in pairs.items():
                delta = (scores.row(whole) - scores.row(without))[parcel.mask].astype(np.float64)
                delta = delta[np.isfinite(delta)]
                value = float(delta.mean()) if len(delta) else np.nan
                place = (scores.subject, atlas.name if atlas else "", *parcel[:4])
                tail = ([np.nan] * 8, len(delta), NOT_TESTED, f"{whole} less {without}")
                rows.append((*place, "delta R2", space, versus, FITS, value, *tail[0], *tail[1:]))
    return pd.DataFrame(rows, columns=CLAIMS)


def _estimates(tests: SpaceTests, name: str) -> np.ndarray:
    """Value, se, df, low and high of a set, shape (n_places, 5); NaN where it has no estimate."""
    if name not in tests.sets:
        return np.full((len(tests.places), 5), np.nan)
    found = estimate(tests.kernel(name))
    return np.stack([found.value, found.se, found.df, *found.interval()], axis=1)


def _tested(
    tests: SpaceTests, named: Sequence[tuple[str, str, str, str, str]], found: Sequence[Estimate]
) -> pd.DataFrame:
    """Rows of estimates that are tested against 0, region by region."""
    rows = []
    columns = [np.stack([one.value, one.se, one.df, *one.interval(), one.p_differs()], axis=1) for one in found]
    for place in range(len(tests.places)):
        for (claim, space, versus, estimand, note), values in zip(named, columns, strict=True):
            tail = (np.nan, np.nan, np.nan, int(tests.n_targets[place]), "", note)
            rows.append((*_place(tests, place), claim, space, versus, estimand, *values[place], *tail))
    return _judged(pd.DataFrame(rows, columns=CLAIMS), float(tests.facts["settings"]["p_level"]))


def _from_0(table: pd.DataFrame) -> pd.DataFrame:
    """Reword verdicts as above or below 0, where there is nothing to be ahead of."""
    return table.assign(verdict=table["verdict"].replace({AHEAD: ABOVE_0, BEHIND: BELOW_0, NO_DIFFERENCE: NOT_FROM_0}))


def _judged(table: pd.DataFrame, level: float) -> pd.DataFrame:
    """Add q over all regions and pairs of each claim and division of the brain, and the verdict by it."""
    if not len(table):
        return table
    value, q = table["value"].to_numpy(float), rates_of_divisions(table, ["claim"])
    verdict = np.where(q <= level, np.where(value > 0, AHEAD, BEHIND), NO_DIFFERENCE)
    verdict = np.where(np.isfinite(q), verdict, NOT_TESTED)
    return table.assign(q=q, verdict=verdict)


def rates_of_divisions(table: pd.DataFrame, more: Sequence[str] = ()) -> np.ndarray:
    """Turn column p into false discovery rates, over the rows of one atlas and level, (n_rows,)."""
    p, q = table["p"].to_numpy(float), np.full(len(table), np.nan)
    for rows in table.groupby(["atlas", "level", *more], sort=False, dropna=False).indices.values():
        q[rows] = discovery_rates(p[rows])
    return q


def _place(tests: SpaceTests, place: int) -> tuple[str, ...]:
    return (tests.subject, *tests.places[place])


def _note_by_space(tests: SpaceTests) -> str:
    """Join the notes of all spaces, those that could not take part among them."""
    notes = {space: tests.notes[f"space {space}"] for space in tests.spaces if f"space {space}" in tests.notes}
    return "; ".join(f"{space}: {note}" for space, note in notes.items())


def _note(tests: SpaceTests, *topics: str) -> str:
    return "; ".join(dict.fromkeys(tests.notes[topic] for topic in topics if topic in tests.notes))

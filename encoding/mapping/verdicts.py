"""One table that says what may be claimed of every region; charts, captions, tables and pages read it."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from .results import Result

PLACE = ["atlas", "level", "set", "region", "hemi"]
GROUP = ""  # in the column "subject" of claims: all participants together
UNTESTED = "not tested"
NOTHING_TESTED = "These values were not tested, so nothing is claimed about which space is ahead."
NO_DIFFERENCE = "no difference that these data can show"
CLAIM = ["best", "leading", "next", "lead", "low", "high", "p", "q", "verdict", "note"]
COUNTS = ["n_leading", "n_named", "prevalence", "prevalence_low", "prevalence_high"]
COLUMNS = [*PLACE, "n_subjects", "highest", "value", "runner_up", "margin", "n_highest", "tested", *CLAIM, *COUNTS]
TEXTS = ("best", "leading", "next", "note")


def rank_spaces(table: pd.DataFrame, models: Sequence[str]) -> pd.DataFrame:
    """Find the highest-scoring model of every region and subject (descriptive, not a test).

    Parameters
    ----------
    table : pandas.DataFrame
        Rows of `score_regions`, of one metric.
    models : sequence of str
        Candidates, usually the models of single feature spaces.

    Returns
    -------
    pandas.DataFrame
        One row per region and subject: highest ("" where no score exceeds 0), value, runner_up, margin.

    Examples
    --------
    >>> from encoding.mapping import rank_spaces
    >>> rank_spaces(result.regions, ["mllm", "category"])[["region", "highest", "runner_up", "margin"]].head(2).round(2)
            region   highest runner_up  margin
    0  all targets      mllm  category    0.00
    1       HIP-rh  category      mllm    0.08
    """
    chosen = table[table["model"].isin(list(models)) & (table["feature"] == "all") & table["value"].notna()]
    keys = ["subject", *PLACE]
    group = chosen.groupby(keys, sort=False, dropna=False).ngroup().to_numpy()
    ordered = chosen.iloc[np.lexsort((-chosen["value"].to_numpy(float), group))]  # equal values stay in their order
    rank = ordered.groupby(keys, sort=False, dropna=False).cumcount().to_numpy()
    first, second = ordered[rank == 0].reset_index(drop=True), ordered[rank == 1]
    following = second.set_index(keys)[["model", "value"]].reindex(pd.MultiIndex.from_frame(first[keys]))
    runner_up = following["model"].fillna("").to_numpy(object)
    margin = first["value"].to_numpy(float) - following["value"].to_numpy(float)
    highest = np.where(first["value"] > 0, first["model"], "")
    found = {"highest": highest, "value": first["value"], "runner_up": runner_up, "margin": margin}
    return first[keys].assign(**found)[["subject", *PLACE, "highest", "value", "runner_up", "margin"]]


def joined_claims(
    results: Sequence[Result], of_group: pd.DataFrame | None = None, rsa: str = ""
) -> pd.DataFrame | None:
    """Concatenate the verdicts of all subjects and of the group, as input for `judge_regions`.

    Those of the models, or of the analysis of similarity `rsa`; rows of the group are told apart by a column "rsa".

    Parameters
    ----------
    results : sequence of Result
        Participants.
    of_group : pandas.DataFrame, optional
        Verdicts of the group.
    rsa : str, optional
        Name of an analysis of similarity; the models if left out.

    Returns
    -------
    pandas.DataFrame or None
        None where nothing was tested.

    Examples
    --------
    >>> from encoding.mapping import joined_claims
    >>> joined_claims([result, other]) is None
    True
    """
    found = [result.rsa_verdicts if rsa else result.verdicts for result in results]
    found += [of_group.assign(subject=GROUP)] if of_group is not None else []
    found = [table[table["rsa"] == rsa] if "rsa" in table else table for table in found if len(table)]
    found = [table for table in found if len(table)]
    return pd.concat(found, ignore_index=True) if found else None


def judge_regions(regions: pd.DataFrame, spaces: Sequence[str], claims: pd.DataFrame | None = None) -> pd.DataFrame:
    """Return for every region the feature space that is ahead, if one can be named.

    Parameters
    ----------
    regions : pandas.DataFrame
        Rows of `score_regions` of one metric and of all subjects. Models that are no candidates are ignored.
    spaces : sequence of str
        Candidates: models of single feature spaces. Joint models contain them and never compete with them.
    claims : pandas.DataFrame, optional
        Rows of `verdict_table` of every subject and, where there are several, of `group_verdicts` with `GROUP` as their
        subject. None where nothing was tested.

    Returns
    -------
    pandas.DataFrame
        One row per region: n_subjects; highest, value, runner_up and margin (of means over subjects; descriptive, ""
        where no mean exceeds 0) and n_highest (subjects in whom that space is the highest); "tested"; and, of the claim
        that holds for these subjects (that of the group, or of the only subject), `CLAIM`, where "best" is the space
        that may be named, n_leading and n_named (subjects in whom the leading space leads and is named) and the
        prevalence of subjects in whom it would be named.

    Examples
    --------
    >>> from encoding.mapping import judge_regions
    >>> judge_regions(result.regions, ["mllm", "category"])[["region", "highest", "tested"]].head(2)
            region   highest  tested
    0  all targets      mllm   False
    1       HIP-rh  category   False
    """
    chosen = regions[regions["model"].isin(list(spaces)) & (regions["feature"] == "all") & regions["value"].notna()]
    single = rank_spaces(chosen, spaces)
    means = chosen.groupby([*PLACE, "model"], sort=False, as_index=False)["value"].mean()
    pooled = rank_spaces(means.assign(subject=GROUP, feature="all"), spaces)
    places = list(single[PLACE].itertuples(index=False, name=None))
    n_subjects, n_highest = Counter(places), Counter(zip(places, single["highest"], strict=True))
    known = [*chosen["subject"].unique(), GROUP]
    of_claims: dict[tuple[Any, ...], list[dict[str, Any]]] = {}
    for claim in [] if claims is None else claims[claims["subject"].isin(known)].to_dict("records"):
        of_claims.setdefault(tuple(claim[name] for name in PLACE), []).append({str(k): v for k, v in claim.items()})
    rows = []
    for row in pooled.to_dict("records"):
        key = tuple(row[name] for name in PLACE)
        counts = {"n_subjects": n_subjects[key], "n_highest": n_highest[key, row["highest"]]}
        rows.append(row | counts | _claim(of_claims.get(key, []), n_subjects[key]))
    return pd.DataFrame(rows, columns=COLUMNS)


def _claim(here: Sequence[Mapping[str, Any]], n_subjects: int) -> dict[str, Any]:
    """Return the claim that holds for all subjects of a region."""
    empty: dict[str, Any] = dict.fromkeys([*CLAIM, *COUNTS], np.nan)
    empty |= {"tested": False, **dict.fromkeys(TEXTS, ""), "verdict": UNTESTED, "n_leading": 0, "n_named": 0}
    whole = [row for row in here if (row["subject"] == GROUP) == (n_subjects > 1)]
    if len(whole) != 1:
        return empty
    found = {key: value for key, value in whole[0].items() if key in empty and pd.notna(value)}
    found["tested"] = found.get("verdict", UNTESTED) != UNTESTED
    for name in ("n_leading", "n_named"):
        if name in found:
            found[name] = int(found[name])
    if n_subjects == 1:
        found |= {"n_leading": int(bool(found.get("leading"))), "n_named": int(bool(found.get("best")))}
    return empty | found


def headline(verdicts: pd.DataFrame) -> str:
    """Summarise the claims about some regions in words."""
    if verdicts.empty:
        return ""
    if not verdicts["tested"].any():
        return NOTHING_TESTED  # the reason stands on top of the page, once
    wins: dict[str, list[str]] = {}
    undecided, rest = [], []
    for row in verdicts.to_dict("records"):
        where = str(row["region"])
        if not row["tested"]:
            rest.append(where)
        elif row["best"]:
            count = f" ({row['n_leading']}/{row['n_subjects']})" if row["n_subjects"] > 1 else ""
            wins.setdefault(row["best"], []).append(f"{where}{count}")
        else:
            undecided.append(where)
    found = [f"{space} is ahead in {', '.join(where)}." for space, where in wins.items()]
    if undecided:
        found.append(f"{NO_DIFFERENCE.capitalize()} in {', '.join(undecided)}.")
    if rest:
        found.append(f"Not tested: {', '.join(rest)}.")
    return " ".join(found)


def untested(verdicts: pd.DataFrame) -> str:
    """State that no spaces were compared, with the reason if it is known."""
    notes = [note for note in dict.fromkeys(verdicts["note"]) if note] if len(verdicts) else []
    return f"No spaces were compared: {'; '.join(notes)}." if notes else NOTHING_TESTED


def margin_notes(verdicts: pd.DataFrame) -> dict[str, tuple[str, str]]:
    """Shorten verdicts for the margin of a chart: by region the named space ("" for none), and a text beside it."""
    notes = {}
    for row in verdicts.to_dict("records"):
        count = f", leads in {row['n_leading']}/{row['n_subjects']}" if row["n_subjects"] > 1 else ""
        if row["best"]:
            notes[str(row["region"])] = row["best"], f"p {row['p']:.3f}, q {row['q']:.3f}{count}"
        else:
            notes[str(row["region"])] = "", "no difference shown" if row["tested"] else UNTESTED
    return notes

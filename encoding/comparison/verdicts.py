"""One table that says what may be claimed of every region; charts, captions, tables and pages read it."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from .group import PLACE, rank_spaces

GROUP = ""  # in the column "subject" of claims: all participants together
NOTHING_TESTED = "These values were not tested: nothing is claimed about which space is ahead."
NO_DIFFERENCE = "no difference that these data can show"
CLAIM = ["named", "best", "next", "difference", "low", "high", "p"]
COLUMNS = [
    *PLACE, "n_subjects", "highest", "value", "runner_up", "margin", "n_highest", "tested", *CLAIM, "n_named",
    "prevalence", "prevalence_low", "prevalence_high",
]  # fmt: skip


def judge_regions(regions: pd.DataFrame, spaces: Sequence[str], claims: pd.DataFrame | None = None) -> pd.DataFrame:
    """Say of every region which feature space is ahead, or that none can be named.

    Parameters
    ----------
    regions : pandas.DataFrame
        Rows of `score_regions` of one metric and of all subjects. Models that are no candidates are ignored.
    spaces : sequence of str
        Candidates: models of single feature spaces. Joint models contain them and never compete with them.
    claims : pandas.DataFrame, optional
        Tests: one row per region and subject, and one per region with `GROUP` as its subject where there are several
        subjects. Columns `PLACE`, subject, named (the space that may be named, "" for none), best and next (the spaces
        of largest and second largest tested value), difference, low, high (95% interval), p, and, of the group,
        prevalence, prevalence_low, prevalence_high. None where nothing was tested.

    Returns
    -------
    pandas.DataFrame
        One row per region: n_subjects; highest, value, runner_up, margin (of means over subjects; descriptive, "" where
        no mean exceeds 0) and n_highest (subjects in whom it is the highest); tested, and the claim that holds for these
        subjects (that of the group, or of the only subject); n_named, the subjects in whom the same space is named.
    """
    chosen = regions[regions["model"].isin(list(spaces)) & (regions["feature"] == "all") & regions["value"].notna()]
    single = rank_spaces(chosen, spaces)
    means = chosen.groupby([*PLACE, "model"], sort=False, as_index=False)["value"].mean()
    pooled = rank_spaces(means.assign(subject=GROUP, feature="all"), spaces)
    of_place = _by_place(single)
    of_claims = {} if claims is None else _by_place(claims)
    rows = []
    for row in pooled.to_dict("records"):
        key = tuple(row[name] for name in PLACE)
        here = of_place[key]
        counts = {"n_subjects": len(here), "n_highest": int((here["highest"] == row["highest"]).sum())}
        rows.append(row | counts | _claim(of_claims.get(key), len(here)))
    return pd.DataFrame(rows, columns=COLUMNS)


def _by_place(table: pd.DataFrame) -> dict[tuple[str, ...], pd.DataFrame]:
    return dict(iter(table.groupby(PLACE, sort=False)))  # type: ignore[arg-type]


def _claim(here: pd.DataFrame | None, n_subjects: int) -> dict[str, Any]:
    """Look up the claim that holds for all subjects of a region."""
    nothing = dict.fromkeys(COLUMNS[COLUMNS.index("difference") :], np.nan)
    empty = {**nothing, "tested": False, "named": "", "best": "", "next": "", "n_named": 0}
    if here is None:
        return empty
    group, single = here[here["subject"] == GROUP], here[here["subject"] != GROUP]
    whole = group if len(group) else single if n_subjects == 1 else single.head(0)
    if whole.empty:
        return empty
    found = {key: value for key, value in whole.iloc[0].items() if key in COLUMNS}
    named = found["named"]
    return empty | found | {"tested": True, "n_named": int((single["named"] == named).sum()) if named else 0}


def headline(verdicts: pd.DataFrame) -> str:
    """Say in words what may be claimed of some regions.

    Parameters
    ----------
    verdicts : pandas.DataFrame
        Rows of `judge_regions`.

    Returns
    -------
    str
        One sentence per space that is named somewhere, and one for all other tested regions; or that nothing was
        tested.
    """
    if verdicts.empty:
        return ""
    if not verdicts["tested"].any():
        return NOTHING_TESTED
    wins: dict[str, list[str]] = {}
    undecided, untested = [], []
    for row in verdicts.to_dict("records"):
        where = str(row["region"])
        if not row["tested"]:
            untested.append(where)
        elif row["named"]:
            count = f" ({row['n_named']}/{row['n_subjects']})" if row["n_subjects"] > 1 else ""
            wins.setdefault(row["named"], []).append(f"{where}{count}")
        else:
            undecided.append(where)
    found = [f"{space} is ahead in {', '.join(where)}." for space, where in wins.items()]
    if undecided:
        found.append(f"{NO_DIFFERENCE.capitalize()} in {', '.join(undecided)}.")
    if untested:
        found.append(f"Not tested: {', '.join(untested)}.")
    return " ".join(found)

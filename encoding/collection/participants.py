"""Participants: how well each answers, and what is known about them."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from ..core import DataError, suggest
from ..io.tables import read_table
from ..numerics.triplet_ranks import rank_triplets

TWICE = 0.3  # s; nobody compares three clips faster
LEVEL = 1e-3  # of significance at which a participant is flagged
PARTS, FEWEST = 3, 15  # of the trials, in which somebody may lapse, and trials in each
RUN = 12  # answers in a row with one slot, which a fair judge gives once in 3 ** 11
IDENTIFIERS = ("Participant id", "participant_id", "Participant ID", "PROLIFIC_PID", "participant")
STATUS = ("Status", "status")


def assess_participants(
    items: np.ndarray, choice: np.ndarray, participant: np.ndarray, *, reaction: np.ndarray | None = None,
    catch: pd.DataFrame | None = None, fastest: float = TWICE,
) -> pd.DataFrame:  # fmt: skip
    """Assess every participant by the others, by themselves and by the clock.

    Shapes: `items` (n, 3), `choice` (n,), `participant` (n,), `reaction` (n,).
    """
    from scipy.stats import binom, chisquare

    ranks, place = np.unique(rank_triplets(items), return_inverse=True)
    odd = items[np.arange(len(items)), choice]
    which = (np.sort(items, axis=1) == odd[:, None]).argmax(axis=1)
    votes = np.zeros((len(ranks), 3))
    np.add.at(votes, (place, which), 1)
    reaction = np.full(len(items), np.nan) if reaction is None else reaction
    found, courses = [], []
    for name in pd.unique(pd.Series(participant)):
        rows = np.flatnonzero(participant == name)
        own = np.zeros((len(rows), 3))
        index, inverse = np.unique(place[rows], return_inverse=True)
        mine = np.zeros((len(index), 3))
        np.add.at(mine, (inverse, which[rows]), 1)
        others = votes[place[rows]] - mine[inverse]
        n_others = others.sum(axis=1)
        own[np.arange(len(rows)), which[rows]] = 1
        shared = n_others > 0
        agree = (own * others).sum(axis=1)[shared] / n_others[shared]
        courses.append(agree)
        several = mine.sum(axis=1)
        pairs = several * (several - 1)
        consistent = ((mine * (mine - 1)).sum(axis=1) / np.where(pairs > 0, pairs, 1))[pairs > 0]
        counts = np.bincount(choice[rows], minlength=3)
        rt = reaction[rows][np.isfinite(reaction[rows])]
        passed = (
            catch.loc[catch["participant"] == name, "passed"]
            if catch is not None and len(catch)
            else pd.Series(dtype=bool)
        )
        found.append({
            "participant": name, "trials": len(rows), "agreement": agree.mean() if len(agree) else np.nan,
            "shared": len(agree), "consistency": consistent.mean() if len(consistent) else np.nan,
            **dict(zip(("first", "second", "third"), counts / len(rows), strict=True)),
            "slots_p": float(chisquare(counts).pvalue), "longest_run": _longest_run(choice[rows]),
            "fast": float((rt < fastest).mean()) if len(rt) else np.nan,
            "median_rt": float(np.median(rt)) if len(rt) else np.nan,
            "catch": float(passed.mean()) if len(passed) else np.nan, "n_catch": len(passed),
        })  # fmt: skip
    table = pd.DataFrame(found)
    typical = table["agreement"].median()
    flags = []
    for row, course in zip(table.to_dict("records"), courses, strict=True):
        said = []
        n, agreement = int(row["shared"]), row["agreement"]
        middle = (1 / 3 + max(typical, 1 / 3)) / 2
        guessing = binom.cdf(round(agreement * n), n, max(typical, 1 / 3)) < LEVEL if n >= 30 else False
        if guessing and agreement < middle:
            said.append("agrees with the others as by chance")
        elif (part := _lapse(course, max(typical, 1 / 3), middle)) is not None:
            said.append(f"agrees with the others as by chance in part {part + 1} of {PARTS} of the trials")
        if row["slots_p"] < LEVEL and max(abs(row[slot] - 1 / 3) for slot in ("first", "second", "third")) > 0.1:
            said.append("prefers a slot")
        if row["fast"] > 0.1:
            said.append("answers faster than anybody can look")
        if row["longest_run"] >= RUN:
            said.append(f"gave one slot {row['longest_run']} times in a row")
        if row["n_catch"] >= 2 and row["catch"] < 0.75:
            said.append("fails catch trials")
        flags.append("; ".join(said))
    return table.assign(flags=flags)


def _lapse(agree: np.ndarray, typical: float, middle: float) -> int | None:
    """Return the last of equal parts of the trials in which somebody answers by chance, or None."""
    from scipy.stats import binom

    for part, values in reversed(list(enumerate(np.array_split(agree, PARTS)))):
        n = len(values)
        if n >= FEWEST and values.mean() < middle and binom.cdf(round(values.sum()), n, typical) < LEVEL / PARTS:
            return part
    return None


def _longest_run(choice: np.ndarray) -> int:
    edges = np.flatnonzero(np.diff(choice)) + 1
    return int(np.diff(np.r_[0, edges, len(choice)]).max()) if len(choice) else 0


def read_demographics(path: Path, participants: Sequence[str], column: str = "") -> pd.DataFrame:
    """Read what Prolific, or a table of your own, says about participants; one row each, "participant" first.

    Who is not in the table has missing values. Of several submissions of one participant the last counts.
    """
    frame = read_table(path, text=(*IDENTIFIERS, *([column] if column else ())))
    if column and column not in frame.columns:
        raise DataError(f"{path}: no column {column!r}. {suggest(column, list(map(str, frame.columns)))}")
    found = [name for name in (column, *IDENTIFIERS) if name and name in frame.columns]
    if not found:
        raise DataError(
            f"{path}: no column with the participant (looked for {', '.join(IDENTIFIERS)}). There is: "
            f"{', '.join(map(str, frame.columns))}. Name it as demographics_id."
        )
    key = found[0]
    names = list(dict.fromkeys(name for name in participants if name))
    frame = frame.drop_duplicates(key, keep="last").set_index(key)
    if not set(names) & set(frame.index):
        raise DataError(
            f"{path}: none of the participants ({', '.join(names[:3])}, ...) is in its column {key!r} "
            f"({', '.join(map(str, frame.index[:3]))}, ...). Name another column of the answers as `participant`, or "
            f"of this table as demographics_id."
        )
    table = frame.drop(columns="participant", errors="ignore").reindex(names)  # that name is of `key` from here on
    table.index.name = "participant"
    return table.reset_index()


def status_of(table: pd.DataFrame) -> pd.Series:
    """Return the status of submissions in capital letters, "" where there is none."""
    column = next((name for name in STATUS if name in table.columns), None)
    if column is None:
        return pd.Series("", index=table.index)
    return table[column].fillna("").astype(str).str.strip().str.upper()

"""Judgments that people gave in experiments: tables of several programs, and the quality of participants."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from ..core import DataError, suggest
from ..io.tables import read_table
from ..numerics.triplet_ranks import rank_triplets

TWICE = 0.3  # s; nobody compares three clips faster
LEVEL = 1e-3  # of significance at which a participant is flagged
RUN = 12  # answers in a row with one slot, which a fair judge gives once in 3 ** 11


class Source(NamedTuple):
    """How a program writes its tables.

    Attributes
    ----------
    columns : tuple of tuple of str
        Usual names of the three items, or of one column with a list of them.
    odd : tuple of str
        Usual names of the column with the answer.
    participant, reaction, answered : tuple of str
        Usual names of these columns.
    unit : float
        Seconds in one unit of the reaction time.
    first : int
        Number of the first slot, where an answer is a number.
    """

    columns: tuple[tuple[str, ...], ...]
    odd: tuple[str, ...]
    participant: tuple[str, ...]
    reaction: tuple[str, ...]
    answered: tuple[str, ...]
    unit: float = 1.0
    first: int = 0


ITEMS = (("item_1", "item_2", "item_3"), ("image1", "image2", "image3"), ("stimulus_1", "stimulus_2", "stimulus_3"),
         ("left", "middle", "right"), ("stim1", "stim2", "stim3"))  # fmt: skip
LISTED = (("items",), ("stimuli",), ("images",), ("triplet",))
PEOPLE = ("participant", "participant_id", "subject", "subject_id", "worker_id", "PROLIFIC_PID", "prolific_id")
ODD = ("odd", "choice", "response", "answer")
TIMES = ("answered", "time", "timestamp", "datetime", "date")
SOURCES = {
    "table": Source((*ITEMS, *LISTED), ODD, PEOPLE, ("reaction_time", "rt", "RT", "rt_s"), TIMES),
    "jspsych": Source((*LISTED, *ITEMS), ("odd", "response", "button_pressed"), PEOPLE, ("rt",), ("answered",), 1e-3),
    "labjs": Source((*ITEMS, *LISTED), ("odd", "response"), (*PEOPLE, "observation", "id"), ("duration",),
                    ("timestamp", "ended_on"), 1e-3),
    "psychopy": Source((*ITEMS, *LISTED), ("odd", "mouse.clicked_name", "key_resp.keys", "key_resp_trial.keys"),
                       PEOPLE, ("key_resp.rt", "mouse.time", "key_resp_trial.rt"), ("expStart", "date"), 1.0, 1),
    "gorilla": Source((*ITEMS, *LISTED), ("odd", "Response"),
                      ("Participant Private ID", "Participant Public ID"), ("Reaction Time",), ("UTC Timestamp",),
                      1e-3, 1),
    "page": Source((("item_1", "item_2", "item_3"),), ("odd",), ("participant",), ("reaction_time",), ("answered",)),
    "things": Source((("image1", "image2", "image3"), *ITEMS), ("choice", "odd"), ("subject_id", "session_id", *PEOPLE),
                     ("RT", "rt"), ("date", "datetime"), 1e-3, 1),
}  # fmt: skip
# What programs write where nobody answered in time.
NO_TIME = {"", "n/a", "na", "nan", "none", "null", "undefined", "timeout", "-", "[]"}


@dataclass(frozen=True, eq=False)
class Answers:
    """What people answered, row by row, in the order of the file."""

    items: np.ndarray  # (n, 3) Stimuli in the order of showing
    odd: np.ndarray  # (n,) The stimulus that was called odd
    participant: list[str]  # Who answered; "" if the file does not say
    reaction: np.ndarray  # (n,) Seconds from showing to answering; seconds since 1970. NaN where unknown
    answered: np.ndarray  # (n,) Seconds from showing to answering; seconds since 1970. NaN where unknown
    catch: pd.DataFrame  # Catch trials: "participant" and "passed"
    left_out: dict[str, int]  # Rows that are no judgments, and why


def read_answers(
    path: Path, stimuli: Sequence[str], source: str, names: Mapping[str, Any], keys: Sequence[str] = ()
) -> Answers:  # fmt: skip
    """Read a table of one row per answer."""
    kind = SOURCES[source]
    frame = _frame(path, source)
    columns = _items(frame, names.get("columns"), kind, path)
    answer = _column(frame, names.get("odd"), kind.odd, path, "the answer", needed=True)
    who = _column(frame, names.get("participant"), kind.participant, path, "the participant")
    rt = _column(frame, names.get("reaction_time"), kind.reaction, path, "the reaction time")
    when = _column(frame, names.get("answered"), kind.answered, path, "the time")
    rows, left_out = _trials(frame, columns, answer)
    listed = _listed(frame.loc[rows, columns], columns, path)
    participant = frame.loc[rows, who].fillna("").astype(str).tolist() if who else [""] * len(listed)
    said = frame.loc[rows, answer].tolist()
    place = _places(stimuli)
    items = np.array([[_number(name, place, path) for name in row] for row in listed], dtype=np.int64).reshape(-1, 3)
    slots = _slots(said, listed, keys, kind.first, path)
    odd = items[np.arange(len(items)), slots]
    reaction = _seconds(frame.loc[rows, rt], kind.unit, path) if rt else np.full(len(items), np.nan)
    answered = _since_1970(frame.loc[rows, when]) if when else np.full(len(items), np.nan)
    expected = frame.loc[rows, "expected"].fillna("").astype(str).tolist() if "expected" in frame else [""] * len(items)
    a, b, c = items.T
    twice = (a == b) | (b == c) | (a == c)
    catching = np.array([name not in ("", "nan", "None", "n/a") for name in expected], dtype=bool) | twice
    passed = []
    for row in np.flatnonzero(catching):
        wanted = place.get(expected[row], -1)
        if wanted < 0:  # of a clip shown twice and another, the other is odd
            values, counts = np.unique(items[row], return_counts=True)
            wanted = int(values[counts == 1][0]) if (counts == 1).any() else -1
        passed.append((participant[row], bool(odd[row] == wanted)))
    if catching.any():
        left_out["catch trials"] = int(catching.sum())
    kept = ~catching
    return Answers(
        items[kept], odd[kept], [name for name, keep in zip(participant, kept, strict=True) if keep], reaction[kept],
        answered[kept], pd.DataFrame(passed, columns=["participant", "passed"]), left_out,
    )  # fmt: skip


def read_people(path: Path, names: Mapping[str, Any]) -> tuple[list[str], np.ndarray, np.ndarray]:
    """Return participant, reaction time and time of the rows of a table, as far as it has them."""
    frame, kind = _frame(path, "table"), SOURCES["table"]
    who = _column(frame, names.get("participant"), kind.participant, path, "the participant")
    rt = _column(frame, names.get("reaction_time"), kind.reaction, path, "the reaction time")
    when = _column(frame, names.get("answered"), kind.answered, path, "the time")
    unknown = np.full(len(frame), np.nan)
    return (
        frame[who].fillna("").astype(str).tolist() if who else [""] * len(frame),
        _seconds(frame[rt], 1.0, path) if rt else unknown,
        _since_1970(frame[when]) if when else unknown,
    )


def _frame(path: Path, source: str) -> pd.DataFrame:
    if path.is_dir():
        files = sorted(file for file in path.iterdir() if file.suffix in (".json", ".jsonl", ".csv", ".tsv"))
        if not files:
            raise DataError(f"{path}: no .json, .csv or .tsv file of a participant here.")
        return pd.concat([_frame(file, source) for file in files], ignore_index=True)
    if path.suffix in (".json", ".jsonl"):
        try:
            text = path.read_text(encoding="utf-8-sig")
            content = json.loads(text) if path.suffix == ".json" else [json.loads(line) for line in text.splitlines()]
        except ValueError as error:
            raise DataError(f"{path}: not valid JSON ({error}).") from error
        content = content.get("trials", [content]) if isinstance(content, dict) else content
        return pd.DataFrame(content)
    frame = read_table(path, text=PEOPLE)
    if source == "gorilla" and len(frame) and "END OF FILE" in str(frame.iloc[-1, 0]):
        frame = frame.iloc[:-1]
    return frame


def _column(
    frame: pd.DataFrame, named: str | None, usual: Sequence[str], path: Path, what: str, *, needed: bool = False
) -> str:
    if named:
        if named not in frame.columns:
            raise DataError(f"{path}: no column {named!r}. {suggest(named, list(map(str, frame.columns)))}")
        return named
    found = [name for name in usual if name in frame.columns]
    if needed and not found:
        raise DataError(
            f"{path}: no column with {what} (looked for {', '.join(usual)}). There is: "
            f"{', '.join(map(str, frame.columns))}. Name it in the [[annotator]] table."
        )
    return found[0] if found else ""


def _items(frame: pd.DataFrame, named: Sequence[str] | None, kind: Source, path: Path) -> list[str]:
    for columns in [tuple(named)] if named else kind.columns:
        if all(name in frame.columns for name in columns):
            return list(columns)
    raise DataError(
        f"{path}: no columns of the three items ({', '.join(named or kind.columns[0])}). There is: "
        f"{', '.join(map(str, frame.columns))}. Name them as `columns`: three, or one that holds a list."
    )


def _trials(frame: pd.DataFrame, columns: list[str], answer: str) -> tuple[np.ndarray, dict[str, int]]:
    """Choose the rows that are trials: no practice, no screens without items or answers."""
    left_out = {}
    practice = np.zeros(len(frame), dtype=bool)
    for name in ("kind", "phase", "block", "display", "task"):
        if name in frame.columns:
            practice |= (
                frame[name].astype(str).str.contains("practice|training|example", case=False, na=False).to_numpy()
            )
    empty = frame[columns].isna().any(axis=1).to_numpy() | frame[answer].isna().to_numpy()
    empty |= (frame[answer].astype(str).str.strip() == "").to_numpy()
    for why, rows in (("practice trials", practice), ("rows without items or answer", empty & ~practice)):
        if rows.any():
            left_out[why] = int(rows.sum())
    return ~(practice | empty), left_out


def _listed(frame: pd.DataFrame, columns: list[str], path: Path) -> list[list[str]]:
    if len(columns) == 3:
        return [[str(value) for value in row] for row in frame.to_numpy().tolist()]
    rows = []
    for value in frame[columns[0]].tolist():
        try:
            found = value if isinstance(value, list) else json.loads(str(value).replace("'", '"'))
        except ValueError:
            found = [part.strip() for part in str(value).strip("[]()").replace(";", ",").split(",")]
        if not isinstance(found, list) or len(found) != 3:
            raise DataError(f"{path}: {str(value)[:80]!r} in column {columns[0]!r} is no list of three items.")
        rows.append([str(item) for item in found])
    return rows


def _places(stimuli: Sequence[str]) -> dict[str, int]:
    place = {str(name): number for number, name in enumerate(stimuli)}
    stems: dict[str, list[int]] = {}
    for number, name in enumerate(stimuli):
        stems.setdefault(Path(str(name)).stem, []).append(number)
    return {stem: numbers[0] for stem, numbers in stems.items() if len(numbers) == 1} | place


def _number(name: str, place: Mapping[str, int], path: Path) -> int:
    for form in (name, Path(name).name, Path(name).stem, name.removesuffix(".0")):
        if form in place:
            return place[form]
    raise DataError(f"{path}: no stimulus {name!r}. {suggest(name, list(place)[:50])}")


def _slots(said: list[Any], listed: list[list[str]], keys: Sequence[str], first: int, path: Path) -> np.ndarray:
    """Return which of three items each answer names: all by the name of the item, by a key, or by a slot's number."""
    texts = [str(value).strip() for value in said]
    if keys:
        return _each([list(keys).index(text) if text in keys else -1 for text in texts], texts, listed, keys, path)
    named = [_named(text, row) for text, row in zip(texts, listed, strict=True)]
    numbers = [text.removesuffix(".0") for text in texts]
    counted = [int(text) - first if text.isdigit() and first <= int(text) < first + 3 else -1 for text in numbers]
    if named and min(named) >= 0 and min(counted) >= 0 and named != counted:
        raise DataError(
            f"{path}: the answers can be names of items, and numbers of slots from {first} to {first + 2}. Say in "
            f"`keys` what stands for the first, second and third slot."
        )
    if counted and min(counted) >= 0 and min(named) < 0:
        return np.array(counted, dtype=np.int64)
    return _each(named, texts, listed, [str(first + slot) for slot in range(3)], path)


def _named(text: str, row: Sequence[str]) -> int:
    forms = {text, Path(text).name, Path(text).stem, text.removesuffix(".0")}
    return next((slot for slot, name in enumerate(row) if name in forms or Path(name).stem in forms), -1)


def _each(slots: list[int], texts: list[str], listed: list[list[str]], keys: Sequence[str], path: Path) -> np.ndarray:
    for row, slot in enumerate(slots):
        if slot < 0:
            raise DataError(
                f"{path}: row {row + 1} calls {texts[row]!r} odd, which is none of its three items "
                f"({', '.join(listed[row])}), nor one of {', '.join(keys)}. Say in `keys` what stands for the slots."
            )
    return np.array(slots, dtype=np.int64)


def _seconds(values: pd.Series, unit: float, path: Path) -> np.ndarray:
    """Read reaction times; what is no number and does not say that there is none is refused, such as 1,234."""
    numbers = pd.to_numeric(values, errors="coerce")
    texts = values.astype(str).str.strip()
    odd = numbers.isna() & values.notna() & ~texts.str.lower().isin(NO_TIME)
    if odd.any():
        row = int(np.flatnonzero(odd)[0])
        raise DataError(
            f"{path}: column {values.name!r} holds {texts.iloc[row]!r} in row {int(values.index[row]) + 1}; a reaction "
            f"time as a plain number was needed, or n/a."
        )
    return numbers.to_numpy(dtype=np.float64) * unit


def _since_1970(values: pd.Series) -> np.ndarray:
    numbers = pd.to_numeric(values, errors="coerce")
    if numbers.notna().any():
        seconds = numbers.to_numpy(dtype=np.float64)
        return np.where(seconds > 1e11, seconds / 1000, seconds)  # milliseconds, as programs of browsers count
    times = pd.to_datetime(values.astype(str), errors="coerce", utc=True, format="mixed")
    return np.array([time.timestamp() if time is not pd.NaT else np.nan for time in times], dtype=np.float64)


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
    found = []
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
    for row in table.to_dict("records"):
        said = []
        n, agreement = int(row["shared"]), row["agreement"]
        middle = (1 / 3 + max(typical, 1 / 3)) / 2
        guessing = binom.cdf(round(agreement * n), n, max(typical, 1 / 3)) < LEVEL if n >= 30 else False
        if guessing and agreement < middle:
            said.append("agrees with the others as by chance")
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


def _longest_run(choice: np.ndarray) -> int:
    edges = np.flatnonzero(np.diff(choice)) + 1
    return int(np.diff(np.r_[0, edges, len(choice)]).max()) if len(choice) else 0

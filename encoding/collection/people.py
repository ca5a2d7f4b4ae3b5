"""Judgments that people gave in experiments, from the tables that several programs write."""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from ..core import DataError, suggest
from ..io.tables import read_table

# What programs write where there is no value.
MISSING = ["", "n/a", "null", "None", "undefined", "NaN"]
PRACTICE = re.compile(r"practi[cs]e|training|example", re.IGNORECASE)
STAMPED = re.compile(r"(\d{4}-\d\d-\d\d)[_ ](\d\d)h(\d\d)\.(\d\d)(\.\d+)?( ?[+-]\d{4})?")  # PsychoPy's times


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
    first_item : int or None
        Number of the first stimulus, where items are numbers.
    """

    columns: tuple[tuple[str, ...], ...]
    odd: tuple[str, ...]
    participant: tuple[str, ...]
    reaction: tuple[str, ...]
    answered: tuple[str, ...]
    unit: float = 1.0
    first: int = 0
    first_item: int | None = None


ITEMS = (("item_1", "item_2", "item_3"), ("image1", "image2", "image3"), ("stimulus_1", "stimulus_2", "stimulus_3"),
         ("left", "middle", "right"), ("stim1", "stim2", "stim3"))  # fmt: skip
LISTED = (("items",), ("stimuli",), ("images",), ("triplet",))
PEOPLE = ("participant", "participant_id", "subject", "subject_id", "worker_id", "PROLIFIC_PID", "prolific_pid",
          "prolific_id", "prolific_participant_id", "subjectId", "participantId", "workerId")  # fmt: skip
TEXTS = (*PEOPLE, "Participant Private ID", "Participant Public ID", "session_id", "observation", "id")
ODD = ("odd", "choice", "response", "answer")
TIMES = ("answered", "time", "timestamp", "datetime", "date")
SOURCES = {
    "table": Source((*ITEMS, *LISTED), ODD, PEOPLE, ("reaction_time", "rt", "RT", "rt_s"), TIMES),
    "jspsych": Source((*LISTED, *ITEMS), ("odd", "response", "button_pressed", "key_press"), PEOPLE, ("rt",),
                      ("answered",), 1e-3),
    "labjs": Source((*ITEMS, *LISTED), ("odd", "response"), (*PEOPLE, "observation", "id"), ("duration",),
                    ("timestamp", "ended_on"), 1e-3),
    "psychopy": Source((*ITEMS, *LISTED), ("odd", "mouse.clicked_name", "key_resp.keys", "key_resp_trial.keys"),
                       PEOPLE, (), ("expStart", "date"), 1.0, 1),
    "gorilla": Source((*ITEMS, *LISTED), ("odd", "Response"),
                      ("Participant Private ID", "Participant Public ID"), ("Reaction Time",), ("UTC Timestamp",),
                      1e-3, 1),
    "page": Source((("item_1", "item_2", "item_3"),), ("odd",), ("participant",), ("reaction_time",), ("answered",)),
    "things": Source((("image1", "image2", "image3"), *ITEMS), ("choice", "odd"), ("subject_id", "session_id", *PEOPLE),
                     ("RT", "rt"), ("date", "datetime"), 1e-3, 1, 1),
}  # fmt: skip
# PsychoPy names columns after components: where the time of an answer is, by the end of the answer's name.
CLOCKS = {".keys": (".rt",), ".clicked_name": (".time", ".RT")}
PLAUSIBLE = (0.02, 300.0)  # s; a median reaction time outside is one in another unit
UNITS = {"s": 1.0, "ms": 1e-3}
# What programs write where nobody answered in time.
NO_TIME = {"", "n/a", "na", "nan", "none", "null", "undefined", "timeout", "-", "[]"}


@dataclass(frozen=True, eq=False)
class Answers:
    """What people answered, row by row, in the order of the file."""

    items: np.ndarray  # (n, 3) Stimuli in the order of showing
    odd: np.ndarray  # (n,) The stimulus that was called odd
    participant: list[str]  # Who answered; "" if the file does not say
    reaction: np.ndarray  # (n,) Seconds from showing to answering; NaN where unknown
    answered: np.ndarray  # (n,) When it was answered, in seconds since 1970; NaN where unknown
    catch: pd.DataFrame  # Catch trials: "participant" and "passed"
    left_out: dict[str, int]  # Rows that are no judgments, and why


def read_answers(
    path: Path, stimuli: Sequence[str], source: str, names: Mapping[str, Any], keys: Sequence[str] = (),
    first_item: int | None = None, *, unit: str = "",
) -> Answers:  # fmt: skip
    """Read a table of one row per answer; `unit` is that of reaction times, "" for the usual one of the program."""
    kind = SOURCES[source]
    frame = _frame(path, source, own_names=not names.get("participant"))
    columns = _items(frame, names.get("columns"), kind, path)
    answer = _column(frame, names.get("odd"), kind.odd, path, "the answer", needed=True)
    who = _column(frame, names.get("participant"), kind.participant, path, "the participant")
    clocks = next((ends for end, ends in CLOCKS.items() if answer.endswith(end)), ())
    own = tuple(answer[: answer.rindex(".")] + end for end in clocks)
    rt = _column(frame, names.get("reaction_time"), (*own, *kind.reaction), path, "the reaction time")
    when = _column(frame, names.get("answered"), kind.answered, path, "the time")
    rows, left_out = _trials(frame, columns, answer, source, path)
    listed = _listed(frame.loc[rows, columns], columns, path)
    participant = frame.loc[rows, who].fillna("").astype(str).str.strip().tolist() if who else [""] * len(listed)
    said = [_bare(value) for value in frame.loc[rows, answer].tolist()]
    find = _finder(listed, stimuli, kind.first_item if first_item is None else first_item, path,
                   sure=first_item is not None)  # fmt: skip
    known: dict[str, int] = {}
    for row in listed:
        for name in row:
            if name not in known:
                known[name] = find(name)
    items = np.array([[known[name] for name in row] for row in listed], dtype=np.int64).reshape(-1, 3)
    slots = _slots(said, listed, keys, kind.first, path)
    odd = items[np.arange(len(items)), slots]
    reaction = _seconds(frame.loc[rows, rt], UNITS.get(unit, kind.unit), path) if rt else np.full(len(items), np.nan)
    if not unit:
        _require_plausible(reaction, rt, kind.unit, path)
    answered = _since_1970(frame.loc[rows, when]) if when else np.full(len(items), np.nan)
    expected = frame.loc[rows, "expected"].fillna("").astype(str).tolist() if "expected" in frame else [""] * len(items)
    a, b, c = items.T
    twice = (a == b) | (b == c) | (a == c)
    catching = np.array([name not in ("", "nan", "None", "n/a") for name in expected], dtype=bool) | twice
    passed = []
    for place in np.flatnonzero(catching).tolist():
        if expected[place] in ("", "nan", "None", "n/a"):  # of a clip shown twice and another, the other is odd
            values, counts = np.unique(items[place], return_counts=True)
            wanted = int(values[counts == 1][0]) if (counts == 1).any() else -1
        else:
            wanted = find(expected[place])
        passed.append((participant[place], bool(odd[place] == wanted)))
    if catching.any():
        left_out["catch trials"] = int(catching.sum())
    again = _again(participant, items, odd, reaction, answered)
    if again.any():
        left_out["rows that are there twice"] = int(again.sum())
    kept = ~catching & ~again
    return Answers(
        items[kept], odd[kept], [name for name, keep in zip(participant, kept, strict=True) if keep], reaction[kept],
        answered[kept], pd.DataFrame(passed, columns=["participant", "passed"]), left_out,
    )  # fmt: skip


def _again(
    participant: Sequence[str], items: np.ndarray, odd: np.ndarray, reaction: np.ndarray, answered: np.ndarray
) -> np.ndarray:
    """Return a mask of rows that repeat an earlier one in everything, the time of the answer included (n,)."""
    times = pd.Series(answered).groupby(pd.Series(participant, dtype=object))
    exact = np.isfinite(reaction) & np.isfinite(answered)
    if len(items):  # a time of the whole session tells no rows apart
        exact &= np.asarray(times.transform("nunique") * 4 >= times.transform("size"))
    frame = pd.DataFrame({"who": participant, "odd": odd, "rt": reaction, "when": answered}).join(pd.DataFrame(items))
    return np.asarray(frame.duplicated() & exact)


def _require_plausible(reaction: np.ndarray, column: str, unit: float, path: Path) -> None:
    known = reaction[np.isfinite(reaction)]
    if (known < 0).any():
        raise DataError(f"{path}: column {column!r} holds {known.min():g} s; reaction times are not negative.")
    if len(known) and not PLAUSIBLE[0] <= np.median(known) <= PLAUSIBLE[1]:
        read, other = ("s", "ms") if unit == 1.0 else ("ms", "s")
        raise DataError(
            f"{path}: the reaction times in column {column!r} were read in {read}, and have a median of "
            f'{np.median(known):.4g} s. If they are in {other}, set reaction_unit = "{other}"; if not, set '
            f'reaction_unit = "{read}".'
        )


def read_people(path: Path, names: Mapping[str, Any], unit: str = "") -> tuple[list[str], np.ndarray, np.ndarray]:
    """Return participant, reaction time and time of the rows of a table, as far as it has them."""
    frame, kind = _frame(path, "table"), SOURCES["table"]
    who = _column(frame, names.get("participant"), kind.participant, path, "the participant")
    rt = _column(frame, names.get("reaction_time"), kind.reaction, path, "the reaction time")
    when = _column(frame, names.get("answered"), kind.answered, path, "the time")
    unknown = np.full(len(frame), np.nan)
    reaction = _seconds(frame[rt], UNITS.get(unit, 1.0), path) if rt else unknown
    if not unit:
        _require_plausible(reaction, rt, 1.0, path)
    return (
        frame[who].fillna("").astype(str).tolist() if who else [""] * len(frame),
        reaction,
        _since_1970(frame[when]) if when else unknown,
    )


def _holds_json(path: Path) -> bool:
    """Return True if a text begins as JSON does, such as JATOS' exports."""
    with path.open(encoding="utf-8-sig", errors="replace") as file:
        return file.read(1000).lstrip()[:1] in ("{", "[")


def _frame(path: Path, source: str, *, own_names: bool = False) -> pd.DataFrame:
    """Read a table, or those of a folder; `own_names`: files that name no participant are named after their file."""
    if path.is_dir():
        files = sorted(file for file in path.iterdir() if file.suffix in (".json", ".jsonl", ".csv", ".tsv", ".txt"))
        files = [file for file in files if file.suffix != ".txt" or _holds_json(file)]  # not a README
        if not files:
            raise DataError(f"{path}: no .json, .csv or .tsv file of a participant here.")
        frames = [_frame(file, source) for file in files]
        same: dict[bytes, Path] = {}
        for file, frame in zip(files, frames, strict=True):
            first = same.setdefault(sha256(file.read_bytes()).digest(), file)
            if first is not file and len(frame):  # people who leave at once save files without a row
                raise DataError(f"{file}: the same as {first.name}; every judgment would count twice. Delete one.")
            if own_names and not any(_found(frame, name) for name in SOURCES[source].participant):
                frame["participant"] = file.stem
        return pd.concat(frames, ignore_index=True)
    if path.suffix in (".json", ".jsonl", ".txt"):
        return pd.DataFrame(_records(path))
    usual = {".csv": ",", ".tsv": "\t"}.get(path.suffix)
    if source in ("table", "page") and (not usual or not path.is_file() or _separator(path) == (usual, 0)):
        return read_table(path, text=TEXTS)
    frame = _loose(path)
    if source == "gorilla" and len(frame) and "END OF FILE" in str(frame.iloc[-1, 0]):
        frame = frame.iloc[:-1]
    return frame


def _records(path: Path) -> list[dict[str, Any]]:
    """Read trials from JSON: a list, one object with "trials" or "data", or one of those per line, as JATOS writes."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: not valid JSON ({error}).") from error
    try:
        content = [json.loads(text)]
    except ValueError as whole:
        try:
            content = [json.loads(line) for line in text.split("\n") if line.strip()]
        except ValueError:
            raise DataError(f"{path}: not valid JSON ({whole}).") from whole
    found: list[dict[str, Any]] = []
    while content:
        part = content.pop(0)
        if isinstance(part, list):
            content = [*part, *content]
        elif not isinstance(part, dict):
            raise DataError(f"{path}: {str(part)[:60]!r} is no trial; a list of objects was needed.")
        else:
            inner = next((part[name] for name in ("trials", "data") if isinstance(part.get(name), list)), None)
            found += [part] if inner is None else inner
    return found


def _loose(path: Path) -> pd.DataFrame:
    """Read a table of an experiment: line breaks in quoted cells, short rows, tabs or semicolons, nameless columns."""
    try:
        separator, n_before = _separator(path)
        dtypes: dict[str, Any] = dict.fromkeys(TEXTS, str)
        frame = pd.read_csv(
            path, sep=separator, encoding="utf-8-sig", dtype=dtypes, keep_default_na=False, na_values=MISSING,
            index_col=False, low_memory=False, skiprows=n_before,
        )  # fmt: skip
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: cannot be read as a table ({error}). Save it as UTF-8 text.") from error
    if separator == ";":  # of programs in countries whose decimal mark is a comma
        for name in frame.columns:
            texts = frame[name].dropna().astype(str)
            if len(texts) and texts.str.fullmatch(r"-?\d+(?:,\d+)?").all() and texts.str.contains(",").any():
                frame[name] = pd.to_numeric(frame[name].astype(str).str.replace(",", "."), errors="coerce")
    return frame


def _separator(path: Path) -> tuple[str, int]:
    """Return what separates the cells of a table, and how many lines come before its header."""
    with path.open(encoding="utf-8-sig", errors="replace", newline=None) as stream:
        header = stream.readline()
        if said := re.fullmatch(r"sep=(.)\s*", header):  # a line for Excel
            return said[1], 1
    return max("\t,;", key=header.count), 0


def _bare(value: Any) -> str:
    """Return an answer as text; of a list, as PsychoPy writes clicks, the last."""
    if isinstance(value, list):
        return str(value[-1]).strip() if value else ""
    text = str(value).strip()
    if text.startswith("[") and text.endswith("]"):
        return text[1:-1].split(",")[-1].strip().strip("'\"")
    return text


def _found(frame: pd.DataFrame, name: str) -> str:
    """Return a column by its name, or the only one that differs in case, blanks or the prefix of Gorilla; else ""."""
    if name in frame.columns:
        return name

    def plain(text: str) -> str:
        return re.sub(r"[\s_.-]", "", text.lower().removeprefix("spreadsheet: "))

    alike = [str(column) for column in frame.columns if plain(str(column)) == plain(name)]
    return alike[0] if len(alike) == 1 else ""


def _column(
    frame: pd.DataFrame, named: str | None, usual: Sequence[str], path: Path, what: str, *, needed: bool = False
) -> str:
    if named:
        if named not in frame.columns:
            raise DataError(f"{path}: no column {named!r}. {suggest(named, list(map(str, frame.columns)))}")
        return named
    found = list(filter(None, (_found(frame, name) for name in usual)))
    if needed and not found:
        raise DataError(
            f"{path}: no column with {what} (looked for {', '.join(usual)}). There is: "
            f"{', '.join(map(str, frame.columns))}. Name it in the [[annotator]] table."
        )
    return found[0] if found else ""


def _items(frame: pd.DataFrame, named: Sequence[str] | None, kind: Source, path: Path) -> list[str]:
    for columns in [tuple(named)] if named else kind.columns:
        written = [_found(frame, name) for name in columns]
        if all(written):
            return written
    raise DataError(
        f"{path}: no columns of the three items ({', '.join(named or kind.columns[0])}). There is: "
        f"{', '.join(map(str, frame.columns))}. Name them as `columns`: three, or one that holds a list."
    )


def _trials(
    frame: pd.DataFrame, columns: list[str], answer: str, source: str, path: Path
) -> tuple[np.ndarray, dict[str, int]]:
    """Choose the rows that are trials: no practice, no screens without items or answers."""
    left_out = {}
    practice, called = np.zeros(len(frame), dtype=bool), []
    for name in map(str, frame.columns):
        before = int(practice.sum())
        if name.lower().removeprefix("spreadsheet: ") in (
            "kind", "phase", "block", "display", "screen", "task", "part", "sender",
        ):  # fmt: skip
            practice |= frame[name].astype(str).str.contains(PRACTICE).fillna(False).to_numpy(dtype=bool)
        elif name.lower() in ("practice", "is_practice"):
            practice |= frame[name].astype(str).str.strip().str.lower().isin(["true", "1", "1.0", "yes"]).to_numpy()
        elif name.endswith((".thisN", ".thisRepN")) and PRACTICE.search(name):  # a loop of PsychoPy
            practice |= frame[name].notna().to_numpy()
        if practice.sum() > before:
            called.append(name)
    empty = frame[columns].isna().any(axis=1).to_numpy() | frame[answer].isna().to_numpy()
    empty |= (frame[answer].astype(str).str.strip().isin(["", "[]"])).to_numpy()
    if source == "gorilla" and "Response Type" in frame.columns:  # also screens that were shown, and buttons to go on
        kinds = frame["Response Type"].astype(str).str.strip().str.lower()
        other = kinds != "response" if (kinds == "response").any() else kinds.isin(["info", "action", "continue"])
        empty |= other.to_numpy()
    if practice.any() and not (~practice & ~empty).any() and (practice & ~empty).any():
        raise DataError(
            f"{path}: all {int((practice & ~empty).sum())} answers are in rows that are called practice, training or "
            f"example in {', '.join(map(repr, called))}. Rename what is no practice, or take that column out."
        )
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


def _finder(
    listed: list[list[str]], stimuli: Sequence[str], first: int | None, path: Path, *, sure: bool
) -> Callable[[str], int]:
    """Return what finds the stimulus of an item: by its name, or by its number in the table of stimuli."""
    place = _places(stimuli)
    names = {name for row in listed for name in row}
    if first is None or (not sure and not all(name.removesuffix(".0").isdigit() for name in names)):
        return lambda name: _number(name, place, path)
    numbers = [name.removesuffix(".0") for name in names]
    if not sure and any(place.get(number, int(number) - first) != int(number) - first for number in numbers):
        raise DataError(
            f"{path}: the items are numbers, and stimuli are called by numbers too. Say which is meant: first_item = "
            f"{first} counts the rows of the table of stimuli from {first}."
        )

    def counted(name: str) -> int:
        text = name.removesuffix(".0")
        if not text.isdigit() or not first <= int(text) < first + len(stimuli):
            raise DataError(
                f"{path}: item {name!r} is none of the {len(stimuli):,} stimuli, counted from {first} in the order of "
                f"their table."
            )
        return int(text) - first

    return counted


def _slots(texts: list[str], listed: list[list[str]], keys: Sequence[str], first: int, path: Path) -> np.ndarray:
    """Return which of three items each answer names: all by the name of the item, by a key, or by a slot's number."""
    if keys:
        place = {key: slot for slot, key in enumerate(keys)}
        # Codes of keys are read as 49.0 where other rows have none.
        said = [place.get(text, place.get(text.removesuffix(".0"), -1)) for text in texts]
        return _each(said, texts, listed, keys, path)
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
    if values.dtype == object or pd.api.types.is_string_dtype(values):
        values = values.map(_bare)
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
    times = pd.to_datetime(
        values.astype(str).str.strip().str.replace(STAMPED, _stamp, regex=True),
        errors="coerce",
        utc=True,
        format="mixed",
    )
    return np.array([time.timestamp() if time is not pd.NaT else np.nan for time in times], dtype=np.float64)


def _stamp(match: re.Match[str]) -> str:
    day, hour, minute, second, part, zone = match.groups()
    return f"{day} {hour}:{minute}:{second}{part or ''}{(zone or '').strip()}"

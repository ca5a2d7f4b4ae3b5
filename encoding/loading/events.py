"""What was shown when: which rows of events count, and under which names."""

from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import Path

import numpy as np
import pandas as pd

from ..core import ConfigError, DataError, Samples, StimulusSet
from ..io.tables import numbers_of, read_table, require_plain_names, stimulus_column
from .loader import Scans

DEFAULT_COLUMNS = ("stim_id", "stim_file")
# What R, SPSS, Excel and Python write where BIDS wants n/a; as stimuli, rest would become something that was shown.
NOT_SHOWN = {"na", "n.a.", "nan", "none", "null", "-", "--", "#n/a", "<na>", "nil"}


def read_presentations(
    path: Path,
    run: str,
    *,
    loader: Scans | None = None,
    stimulus: str | None = None,
    stimuli: StimulusSet | None = None,
) -> Samples:
    """Read the presentations of a run; `loader` chooses among events."""
    where = str(path)
    stimulus = loader.stimulus if loader is not None else stimulus
    names = (stimulus,) if stimulus else DEFAULT_COLUMNS
    frame = read_table(path, text=(*names, *(loader.where if loader is not None else ())))
    fixed = loader.event_duration if loader is not None else None
    onset = numbers_of(frame, "onset", where)
    duration = numbers_of(frame, "duration", where) if fixed is None else np.full(len(frame), float(fixed))
    column = _column(list(frame.columns), stimulus, where)
    shown = frame[column].to_numpy(dtype=str)
    if loader is not None and loader.combine:
        shown = np.asarray([_combined(name, loader.combine, where) for name in shown.tolist()], dtype=str)
    chosen = np.ones(len(frame), bool) if loader is None else chosen_rows(frame, loader.where, where)
    rows = np.flatnonzero((shown != "") & chosen)
    if not len(rows):
        among = "" if chosen.all() else f" that `where` chooses ({chosen.sum()})"
        raise DataError(f"{where}: no stimulus in column {column!r} of its {len(frame)} rows{among}.")
    require_plain_names(shown[rows].tolist(), where)
    _require_shown(shown, rows, column, where, () if stimuli is None else stimuli.stimulus.tolist())
    _check_times(onset, duration, rows, shown, where)
    rows = rows[np.argsort(onset[rows], kind="stable")]
    twice = np.flatnonzero((np.diff(onset[rows]) == 0) & (shown[rows][1:] == shown[rows][:-1]))
    if len(twice):
        first, second = sorted(rows[twice[0] : twice[0] + 2] + 1)
        raise DataError(
            f"{where}: rows {first} and {second} both show {str(shown[rows[twice[0]]])!r} at {onset[first - 1]:g} s "
            f"({len(twice)} such rows). Keep one row for each presentation."
        )
    named = shown[rows] if stimuli is None else stimuli.canonical(shown[rows])
    return Samples(named, onset[rows], duration[rows], np.full(len(rows), run), "stimulus")


def _require_shown(shown: np.ndarray, rows: np.ndarray, column: str, where: str, known: Sequence[str]) -> None:
    """Refuse rows that most likely show nothing, under a name that neither BIDS nor the stimuli know."""
    names = shown[rows].tolist()
    odd = next((name for name in names if (name.lower() in NOT_SHOWN or name == "N/A") and name not in known), None)
    if odd is not None:
        raise DataError(
            f"{where}: {names.count(odd)} rows have {odd!r} in column {column!r}. Where nothing was shown, BIDS wants "
            f"n/a; a stimulus needs another name, which `combine` in [load] can give."
        )


def chosen_rows(frame: pd.DataFrame, where: Mapping[str, Sequence[str]], path: str) -> np.ndarray:
    """Mark the rows whose cells match the patterns of every column; patterns with ``!`` leave rows out.

    Returns (n_rows,).
    """
    kept = np.ones(len(frame), bool)
    for column, patterns in where.items():
        if column not in frame.columns:
            raise DataError(
                f"{path}: no column {column!r}, which `where` in [load] names. There is: {', '.join(frame.columns)}."
            )
        cells = frame[column].to_numpy(dtype=str)
        wanted = [pattern for pattern in patterns if not pattern.startswith("!")]
        unwanted = [pattern[1:] for pattern in patterns if pattern.startswith("!")]
        known = set(cells.tolist())
        of_cell = {cell: (not wanted or _matches(cell, wanted)) and not _matches(cell, unwanted) for cell in known}
        kept &= np.array([of_cell[cell] for cell in cells.tolist()], bool)
    return kept


def _matches(cell: str, patterns: Sequence[str]) -> bool:
    return any(fnmatchcase(cell, pattern) for pattern in patterns)


def _combined(name: str, combine: Mapping[str, Sequence[str]], where: str) -> str:
    found = [new for new, patterns in combine.items() if _matches(name, patterns)]
    if len(found) > 1:
        raise ConfigError(
            f"{where}: {name!r} matches the patterns of {' and of '.join(map(repr, found))} in `combine` of [load]. "
            f"Make each stimulus part of one."
        )
    return found[0] if found else name


def _column(columns: list[str], wanted: str | None, where: str) -> str:
    if wanted is None:
        for name in DEFAULT_COLUMNS:
            if name in columns:
                return name
        raise DataError(
            f"{where}: no column {' or '.join(map(repr, DEFAULT_COLUMNS))}. There is: {', '.join(columns)}. "
            f"Set `stimulus` in [load] to the column that names the stimulus."
        )
    return stimulus_column(columns, wanted, where)


def _check_times(onset: np.ndarray, duration: np.ndarray, rows: np.ndarray, shown: np.ndarray, where: str) -> None:
    for name, values in (("onset", onset), ("duration", duration)):
        bad = ~np.isfinite(values[rows])
        if name == "duration":
            bad |= values[rows] < 0
        if bad.any():
            row = rows[bad][0]
            needed = "a number" if name == "onset" else "a number of at least 0"
            raise DataError(
                f"{where}: {name} of {str(shown[row])!r} in row {row + 1} is {values[row]}; {needed} was needed "
                f"({bad.sum()} such rows)."
            )

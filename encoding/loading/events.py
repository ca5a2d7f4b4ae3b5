"""What was shown when."""

from pathlib import Path

import numpy as np

from ..core import DataError, Samples, StimulusSet
from ..io.tables import numbers_of, read_table, stimulus_column

DEFAULT_COLUMNS = ("stim_id", "stim_file")


def read_presentations(
    path: Path, run: str, *, stimulus: str | None = None, stimuli: StimulusSet | None = None
) -> Samples:
    """Read the presentations of a run."""
    where = str(path)
    names = (stimulus,) if stimulus else DEFAULT_COLUMNS
    frame = read_table(path, text=names)
    onset, duration = (numbers_of(frame, name, where) for name in ("onset", "duration"))
    column = _column(list(frame.columns), stimulus, where)
    shown = frame[column].to_numpy(dtype=str)
    rows = np.flatnonzero(shown != "")
    if not len(rows):
        raise DataError(f"{where}: no stimulus in column {column!r} of its {len(frame)} rows.")
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

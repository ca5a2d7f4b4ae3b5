"""Tables in: TSV, CSV, parquet and npy, with messages that name the file."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ..core import DataError, StimulusSet

MISSING = ("n/a", "")
STIMULUS_COLUMNS = ("stim_id", "stimulus", "stim_file", "stimulus_name", "stimulus_id", "video_id", "video")


def read_table(path: str | Path, *, text: Sequence[str] = ()) -> pd.DataFrame:
    """Read a table with a header.

    Parameters
    ----------
    path : str or Path
        A ``.tsv``, ``.csv`` or ``.parquet`` file.
    text : sequence of str
        Columns to keep as text; stimulus names such as ``007`` must not become numbers. Missing text
        is "".

    Returns
    -------
    pandas.DataFrame
        The table; "n/a" and empty cells are missing.

    Raises
    ------
    DataError
        If the file does not exist, cannot be read, or has another extension.
    """
    path = Path(path)
    if not path.is_file():
        raise DataError(f"{path}: no such file.")
    separators = {".tsv": "\t", ".csv": ","}
    try:
        if path.suffix == ".parquet":
            frame = pd.read_parquet(path)
        elif path.suffix in separators:
            options: dict[str, Any] = {"sep": separators[path.suffix], "na_values": list(MISSING)}
            options["keep_default_na"] = False
            columns = pd.read_csv(path, nrows=0, **options).columns
            names: dict[str, Any] = {name: str for name in text if name in columns}
            frame = pd.read_csv(path, dtype=names, **options)
        else:
            raise DataError(f"{path}: tables are read from .tsv, .csv or .parquet files.")
    except (OSError, ValueError) as error:
        if isinstance(error, DataError):
            raise
        raise DataError(f"{path}: cannot be read as a table ({error}).") from error
    for name in text:
        if name in frame.columns:
            frame[name] = frame[name].astype(object).where(frame[name].notna(), "").astype(str)
    return frame


def numbers_of(frame: pd.DataFrame, column: str, where: str) -> np.ndarray:
    """Take a numeric column out of a table.

    Parameters
    ----------
    frame : pandas.DataFrame
        The table.
    column : str
        Its name.
    where : str
        The file, for the message.

    Returns
    -------
    ndarray of float64
        Missing cells are NaN.

    Raises
    ------
    DataError
        If the column is missing or holds something that is not a number.
    """
    if column not in frame.columns:
        raise DataError(f"{where}: no column {column!r}. There is: {', '.join(map(str, frame.columns))}.")
    values = pd.to_numeric(frame[column], errors="coerce")
    bad = values.isna() & frame[column].notna()
    if bad.any():
        row = int(np.flatnonzero(bad)[0])
        raise DataError(
            f"{where}: column {column!r} holds {frame[column].iloc[row]!r} in row {row + 1}; a number was needed."
        )
    return values.to_numpy(dtype=np.float64)


def stimulus_column(columns: Sequence[str], wanted: str | None, where: str) -> str:
    """Choose the column that names the stimulus.

    Parameters
    ----------
    columns : sequence of str
        Columns of the table.
    wanted : str or None
        What the user asked for; None for the first usual name.
    where : str
        The file, for the message.

    Returns
    -------
    str
        Name of the column.

    Raises
    ------
    DataError
        If there is no such column.
    """
    choices = STIMULUS_COLUMNS if wanted is None else (wanted,)
    for name in choices:
        if name in columns:
            return name
    raise DataError(
        f"{where}: no column {' or '.join(map(repr, choices))}. There is: {', '.join(map(str, columns))}. "
        f"Set `stimulus` to the column that names the stimulus."
    )


def read_stimuli(path: str | Path) -> StimulusSet:
    """Read a stimulus table.

    Parameters
    ----------
    path : str or Path
        A table with a stimulus column, and if known the columns ``path``, ``duration`` (seconds),
        ``duplicate_of`` and ``split``.

    Returns
    -------
    StimulusSet
        One row per stimulus.

    Raises
    ------
    DataError
        If the table cannot be read, has no stimulus column, or lists a stimulus twice.
    """
    texts = ("path", "duplicate_of", "split", *STIMULUS_COLUMNS)
    frame = read_table(path, text=texts)
    column = stimulus_column(list(frame.columns), None, str(path))
    n = len(frame)
    empty = np.full(n, "", dtype=str)

    def words(name: str) -> np.ndarray:
        return frame[name].to_numpy(dtype=str) if name in frame.columns else empty

    duration = numbers_of(frame, "duration", str(path)) if "duration" in frame.columns else np.full(n, np.nan)
    return StimulusSet(
        frame[column].to_numpy(dtype=str), words("path"), duration, words("duplicate_of"), words("split")
    )

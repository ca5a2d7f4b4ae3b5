"""Matrices of features in time: one row per volume, per frame or per word, in the files that people keep them in."""

from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from ..core import DataError, suggest
from .arrays import open_npy
from .errors import naming
from .fetched import require_content
from .tables import numbers_of, read_table, require_no_row_numbers

TABLES = (".tsv", ".csv", ".parquet")
HDF5 = (".h5", ".hdf5", ".hdf")
TIMES = ("onset", "duration", "end")
SUFFIXES = (".npy", ".npz", *HDF5, *TABLES)


@dataclass(frozen=True, eq=False, slots=True)
class SeriesFile:
    """Content of one file."""

    values: np.ndarray  # (n_rows, n_features)
    features: tuple[str, ...] | None  # Names of columns; None where the file has none
    onset: np.ndarray | None  # (n_rows,) Seconds; None where rows follow each other at a rate
    duration: np.ndarray | None  # (n_rows,) Seconds
    files: tuple[Path, ...]  # What was read


def read_series(path: Path, key: str | None = None, columns: Sequence[str] | None = None) -> SeriesFile:
    """Read the matrix of one recording.

    `key` names the array of a file that holds several, `columns` the features of a table. A table with a column
    "onset", an array "onset" in the same file, and a table of the same name beside a ``.npy`` file give times.
    """
    require_content(path)
    if path.suffix in TABLES:
        found = _table(path, columns)
    elif path.suffix == ".npy":
        found = _npy(path)
    elif path.suffix == ".npz":
        with _named(path), np.load(path, allow_pickle=False) as archive:
            arrays = {name: np.asarray(archive[name]) for name in archive.files}
        found = _of_arrays(path, arrays, key)
    elif path.suffix in HDF5:
        found = _of_arrays(path, read_hdf5(path, key), key)
    else:
        raise DataError(f"{path}: features in time are read from {', '.join(SUFFIXES)} files.")
    if key is not None and path.suffix in (".npy", *TABLES):
        raise DataError(f"{path}: key = {key!r} names an array of an .npz or HDF5 file, and this is neither.")
    _check(path, found)
    return found


def _named(path: Path) -> AbstractContextManager[None]:
    return naming(path, (Exception,), "cannot be read", "The file is truncated or damaged; make or download it again.")


def read_hdf5(path: Path, key: str | None) -> dict[str, np.ndarray]:
    """Read the arrays of an HDF5 file that are asked for, or all of its top level."""
    import h5py

    with _named(path), h5py.File(path, "r") as file:
        names = [name for name, item in file.items() if isinstance(item, h5py.Dataset)]
        if key is not None and key in file and isinstance(file[key], h5py.Dataset):
            folder = key.rsplit("/", 1)[0] + "/" if "/" in key else ""
            names = [key, *(folder + name for name in TIMES if folder + name in file)]
        return {name: np.asarray(file[name]) for name in names if file[name].dtype.kind in "fiub"}


def array_names(path: Path) -> list[str]:
    """List the arrays of an .npz or HDF5 file, those in groups with the names of their groups."""
    if path.suffix == ".npz":
        with _named(path), np.load(path, allow_pickle=False) as archive:
            return list(archive.files)
    import h5py

    names: list[str] = []
    with _named(path), h5py.File(path, "r") as file:
        file.visititems(lambda name, item: names.append(name) if isinstance(item, h5py.Dataset) else None)
    return names


def _of_arrays(path: Path, arrays: dict[str, np.ndarray], key: str | None) -> SeriesFile:
    matrices = [name for name in arrays if name.rsplit("/", 1)[-1] not in TIMES]
    if key is None:
        if len(matrices) != 1:
            raise DataError(
                f"{path}: holds {len(matrices)} arrays ({', '.join(matrices[:8]) or 'none'}). Set `key` to one of them."
            )
        key = matrices[0]
    if key not in arrays:
        raise DataError(f"{path}: no array {key!r}. {suggest(key, matrices)}")
    times = {name.rsplit("/", 1)[-1]: values for name, values in arrays.items() if name not in matrices}
    frame = pd.DataFrame({name: np.ravel(values) for name, values in times.items()}) if times else None
    onset, duration = _times(frame, str(path)) if frame is not None else (None, None)
    return SeriesFile(_matrix(arrays[key], f"{path} ({key})"), None, onset, duration, (path,))


def _npy(path: Path) -> SeriesFile:
    values = _matrix(np.asarray(open_npy(path)), str(path))
    beside = [path.with_suffix(suffix) for suffix in (".tsv", ".csv") if path.with_suffix(suffix).is_file()]
    if not beside:
        return SeriesFile(values, None, None, None, (path,))
    onset, duration = _times(read_table(beside[0]), str(beside[0]))
    return SeriesFile(values, None, onset, duration, (path, beside[0]))


def _table(path: Path, columns: Sequence[str] | None) -> SeriesFile:
    frame, where = read_table(path), str(path)
    onset, duration = _times(frame, where) if "onset" in frame.columns else (None, None)
    if columns is None:
        require_no_row_numbers(frame, where)
        reserved = TIMES if onset is not None else ()
        names = [str(name) for name in frame.columns if name not in reserved and not _is_text(frame[name])]
    else:
        names = list(columns)
        for name in names:
            if name not in frame.columns:
                raise DataError(f"{where}: no column {name!r}. {suggest(name, [str(c) for c in frame.columns])}")
    if not names:
        raise DataError(f"{where}: no column of numbers beside {', '.join(map(str, frame.columns))}.")
    values = np.stack([numbers_of(frame, name, where) for name in names], axis=1)
    return SeriesFile(values, tuple(names), onset, duration, (path,))


def _is_text(column: pd.Series) -> bool:
    """Return True for words and notes: a column in which no cell is a number, nor meant as one (0,5 and 50%)."""
    cells = column.dropna().astype(str)
    dates = cells.str.fullmatch(r"\s*[0-9]{1,4}[./-][0-9]{1,2}[./-][0-9]{1,4}\s*")
    if len(cells) and not dates.any() and cells.str.fullmatch(r"\s*[-+\u2212]?[0-9][0-9.,' ]*%?\s*").all():
        return False
    return not pd.api.types.is_numeric_dtype(column) and bool(pd.to_numeric(column, errors="coerce").isna().all())


def _times(frame: pd.DataFrame, where: str) -> tuple[np.ndarray, np.ndarray]:
    onset = numbers_of(frame, "onset", where)
    duration = np.zeros(len(onset))
    if "duration" in frame.columns:
        duration = numbers_of(frame, "duration", where)
    elif "end" in frame.columns:
        duration = numbers_of(frame, "end", where) - onset
    for name, values, wrong in (("onset", onset, ~np.isfinite(onset)), ("duration", duration, ~(duration >= 0))):
        if wrong.any():
            row = int(np.flatnonzero(wrong)[0])
            raise DataError(f"{where}: the {name} in row {row + 1} is {values[row]} ({wrong.sum()} such rows).")
    return onset, duration


def _matrix(values: np.ndarray, where: str) -> np.ndarray:
    if values.ndim == 1:
        values = values[:, None]
    if values.ndim != 2 or values.dtype.kind not in "fiub":
        raise DataError(
            f"{where}: shape {values.shape} of {values.dtype}, but numbers (n_rows, n_features) were needed."
        )
    return values


def _check(path: Path, found: SeriesFile) -> None:
    if not len(found.values):
        raise DataError(f"{path}: has no rows.")
    if found.onset is not None and len(found.onset) != len(found.values):
        raise DataError(
            f"{path}: {len(found.values)} rows of features, but {len(found.onset)} onsets in {found.files[-1].name}. "
            f"Each row needs one onset."
        )
    bad = ~np.isfinite(found.values)
    if bad.any():
        row, column = np.argwhere(bad)[0]
        raise DataError(
            f"{path}: {bad.sum()} values are missing or not finite; the first is in row {row + 1}, column "
            f"{found.features[column] if found.features else column + 1}. Fill them, or leave the rows or columns out."
        )

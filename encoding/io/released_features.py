"""Feature matrices as MATLAB and bdpy write them: one file of all stimuli, or one file per stimulus."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import scipy.io

from ..core import DataError
from ..core.stimuli import number_name

STRUCT = "L"


def read_feature_struct(path: Path) -> tuple[np.ndarray, tuple[str, ...]]:
    """Read a MATLAB file with a struct ``L`` of ``feat`` and ``featname``; row i belongs to stimulus id i.

    Returns values (n_stimuli, n_features).
    """
    content = _read(path, STRUCT)
    if not isinstance(content, dict) or not {"feat", "featname"} <= set(content):
        there = sorted(content) if isinstance(content, dict) else type(content).__name__
        raise DataError(f"{path}: {STRUCT!r} must be a struct with feat and featname, but holds {there}.")
    values = _numbers(content["feat"], path, f"{STRUCT}.feat")
    names = _texts(content["featname"], path)
    if values.ndim != 2 or values.shape[1] != len(names):
        raise DataError(
            f"{path}: {STRUCT}.feat has shape {values.shape}, but {STRUCT}.featname names {len(names)} features; "
            f"(n_stimuli, {len(names)}) was needed."
        )
    empty = [number for number, name in enumerate(names, start=1) if not name]
    if empty:
        raise DataError(f"{path}: {STRUCT}.featname {empty[0]} is empty ({len(empty)} such names).")
    return values, names


def read_feature_folder(path: Path) -> tuple[tuple[str, ...], np.ndarray, tuple[Path, ...]]:
    """Read a folder with one MATLAB file per stimulus, each with a vector ``feat``.

    Returns values (n_stimuli, n_features).
    """
    files = tuple(sorted(path.glob("*.mat")))
    if not files:
        raise DataError(f"{path}: a folder without *.mat files (one per stimulus), and without a saved feature space.")
    known: dict[str, Path] = {}
    rows = []
    for file in files:
        name = number_name(file.stem)
        if name in known:
            raise DataError(f"{path}: {known[name].name} and {file.name} both name stimulus {name!r}. Keep one.")
        known[name] = file
        row = _numbers(_read(file, "feat"), file, "feat")
        if max(row.shape, default=0) != row.size:
            raise DataError(f"{file}: feat has shape {row.shape}; the features of one stimulus, a vector, were needed.")
        rows.append(row.ravel())
        if len(rows[-1]) != len(rows[0]):
            raise DataError(
                f"{file}: {len(rows[-1])} features, but {files[0].name} has {len(rows[0])}; all files need the same."
            )
    return tuple(known), np.stack(rows), files


def _read(path: Path, name: str) -> Any:
    """Read one variable: an array, a list of texts, or a struct of such as a dict."""
    try:
        if h5py.is_hdf5(path):
            with h5py.File(path, "r") as file:
                return _from_hdf5(file, name, path)
        content = scipy.io.loadmat(path, variable_names=[name], appendmat=False)
    except DataError:
        raise
    # What a damaged file raises depends on the byte that is wrong.
    except Exception as error:
        raise DataError(f"{path}: cannot be read as a MATLAB file ({type(error).__name__}: {error}).") from error
    if name not in content:
        raise DataError(f"{path}: there is no variable {name!r}.")
    value = content[name]
    if value.dtype.names:
        return {field: value[field].flat[0] for field in value.dtype.names} if value.size == 1 else value
    return value


def _from_hdf5(file: h5py.File, name: str, path: Path) -> Any:
    """Read a variable of MATLAB 7.3, whose axes are stored in reverse."""
    if name not in file:
        raise DataError(f"{path}: there is no variable {name!r}. There is: {', '.join(file)}.")

    def read(item: Any) -> Any:
        if isinstance(item, h5py.Group):
            return {key: read(item[key]) for key in item}
        values = item[()]
        if item.dtype == h5py.ref_dtype:
            return [_characters(file[reference][()]) for reference in np.asarray(values).T.ravel()]
        return np.asarray(values).T

    return read(file[name])


def _characters(codes: np.ndarray) -> str:
    return "".join(chr(int(code)) for code in np.asarray(codes).T.ravel() if code)


def _numbers(value: Any, path: Path, name: str) -> np.ndarray:
    values = np.asarray(value) if not isinstance(value, dict) else np.empty(0, dtype=object)
    if values.dtype.kind not in "fiub" or not values.size:
        raise DataError(f"{path}: {name} is {values.dtype} of shape {values.shape}; an array of numbers was needed.")
    return values.astype(np.float64)


def _texts(value: Any, path: Path) -> tuple[str, ...]:
    """Read names from a cell of texts, a list, or rows of characters."""
    if isinstance(value, Sequence):
        return tuple(str(name).strip() for name in value)
    items = np.asarray(value).ravel()
    if items.dtype.kind not in "OU":
        raise DataError(f"{path}: {STRUCT}.featname is {items.dtype}; a cell array of names was needed.")
    return tuple("".join(map(str, np.asarray(item).ravel())).strip() for item in items)

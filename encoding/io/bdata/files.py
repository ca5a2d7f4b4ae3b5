"""The HDF5 files of BrainDecoderToolbox2 and bdpy: a table of samples and, for each of its columns, metadata.

``/dataset`` has a row per sample. ``/metadata/value`` has a row per key and a column per column of the dataset:
rows like ``VoxelData`` or ``Run`` are 1 where that column holds voxels or run numbers, rows like ``voxel_x`` or the
masks of regions describe the voxels. Older files spell the two ``dataSet`` and ``metaData``. ``/vmap``, which bdpy
writes, names the values of a column. All of it is read a few rows and columns at a time.
"""

import warnings
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from ...core import DataError, suggest
from ..errors import naming
from ..fetched import absent

# What is read at a time; and what HDF5 keeps of unpacked chunks, which must hold a row of them.
CHUNK_BYTES = 16 << 20
CACHE_BYTES = 64 << 20
DAMAGED = (OSError, RuntimeError, ValueError, KeyError, TypeError, IndexError, AttributeError, OverflowError)


def readable(path: Path) -> AbstractContextManager[None]:
    """Turn whatever a reader raises on a damaged file into one error that names the file."""
    advice = "The file is truncated or damaged; download it again and compare its checksum."
    return naming(path, DAMAGED, "cannot be read as HDF5", advice)


@contextmanager
def open_bdata(path: Path) -> Iterator["Bdata"]:
    """Open a bdata file and check its structure, without reading its data."""
    if not path.is_file():
        raise absent(path)
    with readable(path):
        file = h5py.File(path, "r", rdcc_nbytes=CACHE_BYTES)
    with file:
        with readable(path):
            bdata = Bdata(path, file)
        yield bdata


class Bdata:
    """An open file; `open_bdata` makes it."""

    def __init__(self, path: Path, file: h5py.File) -> None:
        self.path = path
        self._data = _part(path, file, ("dataset", "dataSet"), h5py.Dataset)
        metadata = _part(path, file, ("metadata", "metaData"), h5py.Group)
        parts = {name: _part(path, metadata, (name,), h5py.Dataset) for name in ("key", "description", "value")}
        self._value, self._vmap = parts["value"], file.get("vmap", {})
        for name, array in (("dataset", self._data), ("metadata/value", self._value)):
            if array.ndim != 2 or array.dtype.kind not in "fiu":
                raise DataError(f"{path}: {name} has shape {array.shape} of {array.dtype}; a matrix was needed.")
        self.n_rows, self.n_columns = self._data.shape
        for name in ("key", "description"):
            if parts[name].shape != (self._value.shape[0],):
                raise DataError(
                    f"{path}: metadata/{name} has shape {parts[name].shape}, but metadata/value {self._value.shape}: "
                    f"one {name} for each of its {self._value.shape[0]} rows was needed."
                )
        if self._value.shape[1] != self.n_columns:
            raise DataError(
                f"{path}: metadata/value has {self._value.shape[1]} columns, but the dataset {self.n_columns} "
                f"({self.n_rows} rows). They must describe the same columns."
            )
        self.keys = _texts(path, "key", parts["key"])
        self.descriptions = _texts(path, "description", parts["description"])

    def rows(self, keys: Sequence[str]) -> Iterator[tuple[str, np.ndarray]]:
        """Read rows of metadata, a few at a time."""
        wanted = {self._place(key): key for key in keys}
        step = max(1, CHUNK_BYTES // (8 * max(self.n_columns, 1)))
        for first in range(0, len(self.keys), step):
            here = [place for place in sorted(wanted) if first <= place < first + step]
            if here:
                with readable(self.path):
                    block = np.asarray(self._value[here[0] : here[-1] + 1], dtype=np.float64)
                for place in here:
                    yield wanted[place], block[place - here[0]]

    def row(self, key: str) -> np.ndarray:
        """Read one row of metadata.

        Returns (n_columns,).
        """
        return next(iter(self.rows([key])))[1]

    def _place(self, key: str) -> int:
        times = self.keys.count(key)
        if times == 0:
            raise DataError(f"{self.path}: there is no metadata row {key!r}. {_near(key, self.keys)}")
        if times > 1:
            raise DataError(f"{self.path}: metadata row {key!r} occurs {times} times; which one is meant is unknown.")
        return self.keys.index(key)

    def columns(self, key: str) -> np.ndarray:
        """Find the columns of the dataset that a key selects.

        Returns (n_selected,).
        """
        selected = as_mask(self.row(key), f"{self.path}: metadata row {key!r}")
        if not selected.any():
            raise DataError(f"{self.path}: metadata row {key!r} selects no column (it is nowhere 1).")
        return np.flatnonzero(selected)

    def numbers(self, key: str, *, place: int = 0, of: int = 1) -> np.ndarray:
        """Read whole numbers that stand in a column of the dataset.

        Returns (n_rows,).
        """
        columns = self.columns(key)
        if len(columns) != of:
            raise DataError(
                f"{self.path}: metadata row {key!r} selects {len(columns)} columns, but {of} "
                f"{'was' if of == 1 else 'were'} needed."
            )
        with readable(self.path):
            values = np.asarray(self._data[:, int(columns[place])], dtype=np.float64)
        whole = np.isfinite(values) & (np.abs(values) < 1 << 53)
        whole &= np.round(np.where(whole, values, 0)) == np.where(whole, values, 0)
        if not whole.all():
            row = int(np.flatnonzero(~whole)[0])
            raise DataError(
                f"{self.path}: {key} is {values[row]:g} in row {row + 1} of {self.n_rows}, but a whole number was "
                f"needed in every row ({np.sum(~whole)} are not)."
            )
        return values.astype(np.int64)

    def names(self, key: str) -> dict[int, str]:
        """Read the names of the values of a column, as bdpy keeps them."""
        found: dict[int, str] = {}
        with readable(self.path):
            group = self._vmap.get(key)
            for number in group if isinstance(group, h5py.Group) else ():
                content = group[number][()]
                text = content.decode("utf-8") if isinstance(content, bytes) else str(content)
                if int(float(number)) in found or float(number) != int(float(number)):
                    raise DataError(f"{self.path}: vmap/{key} names {number!r}, which is no number of its own.")
                found[int(float(number))] = text
        return found

    def read(self, rows: slice, columns: np.ndarray) -> np.ndarray:
        """Read values of some samples, a few columns at a time.

        Shapes: `columns` (n_selected,); returns (n_samples, n_selected).
        """
        first, last, _ = rows.indices(self.n_rows)
        values = np.empty((last - first, len(columns)), dtype=np.float32)
        step = max(1, CHUNK_BYTES // (8 * max(last - first, 1)))
        for start in range(int(columns[0]), int(columns[-1]) + 1, step):
            here = slice(*np.searchsorted(columns, [start, start + step]))
            if here.start < here.stop:
                with readable(self.path):
                    block = self._data[first:last, start : int(columns[here.stop - 1]) + 1]
                with np.errstate(over="ignore", invalid="ignore"), warnings.catch_warnings():
                    warnings.simplefilter("ignore", RuntimeWarning)
                    values[:, here] = block[:, columns[here] - start]
        return values


def _part(path: Path, group: Any, names: Sequence[str], kind: type) -> Any:
    found = [name for name in names if isinstance(group.get(name), kind)]
    if len(found) != 1:
        there = ", ".join(map(repr, group)) or "nothing"
        what = "a matrix or list" if kind is h5py.Dataset else "a group"
        raise DataError(
            f"{path}: {group.name.rstrip('/')}/{names[0]} ({what}) is {'there twice' if found else 'missing'}; "
            f"there is {there}. A bdata file of BrainDecoderToolbox2 or bdpy was needed."
        )
    return group[found[0]]


def _texts(path: Path, name: str, array: Any) -> tuple[str, ...]:
    with readable(path):
        content = array[()].tolist()
        # MATLAB pads texts with NUL or spaces.
        texts = [item.decode("utf-8") if isinstance(item, bytes) else item for item in content]
        if not all(isinstance(text, str) for text in texts):
            raise DataError(f"{path}: metadata/{name} holds {array.dtype}, but texts were needed.")
        return tuple(text.rstrip("\x00 ") for text in texts)


def _near(key: str, keys: Sequence[str]) -> str:
    if len(keys) <= 20:
        return suggest(key, keys)
    return suggest(key, keys).partition("Known:")[0] + f"It has {len(keys)} rows: {', '.join(keys[:12])}, ..."


def as_mask(values: np.ndarray, where: str) -> np.ndarray:
    """Interpret a row of 1, 0 and NaN as a mask."""
    inside = values == 1
    strange = ~(inside | (values == 0) | np.isnan(values))
    if strange.any():
        raise DataError(f"{where} holds {values[strange][0]:g}; 1 inside, 0 or NaN outside was needed.")
    return inside

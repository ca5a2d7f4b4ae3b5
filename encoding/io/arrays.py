"""Arrays of ``.npy`` files as memory maps, after a look at what the header promises."""

import math
import mmap
import os
import threading
from pathlib import Path

import numpy as np

from ..core import DataError, fingerprint_array
from .fetched import absent, require_content

BLOCK_BYTES = 64 << 20
WRITING = threading.Lock()
HEADERS = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}


def open_npy(path: Path, advice: str = "Make or download it again.") -> np.ndarray:
    """Open an array as a read-only memory map.

    A header may promise terabytes that the file does not hold: nothing is allocated before sizes are compared.
    """
    if not path.is_file():
        raise absent(path)
    require_content(path)
    try:
        with path.open("rb") as stream:
            shape, _, dtype = HEADERS[np.lib.format.read_magic(stream)](stream)
            there = path.stat().st_size - stream.tell()
        if dtype.hasobject:
            raise DataError(f"{path}: holds Python objects, which are never read. Save numbers only.")
        needed = math.prod(shape) * dtype.itemsize
        if needed > there:
            raise DataError(
                f"{path}: cannot be read: its header says {needed} bytes (shape {shape} of {dtype}), but {there} "
                f"follow. {advice}"
            )
        # An array without elements cannot be mapped.
        return np.load(path, mmap_mode="r", allow_pickle=False) if needed else np.zeros(shape, dtype)
    except DataError:
        raise
    # What a damaged header raises depends on the byte that is wrong: numpy evaluates it as Python.
    except Exception as error:
        told = " ".join(str(error).split())
        raise DataError(f"{path}: cannot be read as an array ({type(error).__name__}: {told}). {advice}") from error


def _root(values: np.ndarray) -> mmap.mmap | None:
    """Return the map of an array that is a whole file, and None for other arrays."""
    base = values.base if isinstance(values, np.memmap) else None
    return base if isinstance(base, mmap.mmap) else None


def drop_pages(values: np.ndarray) -> None:
    """Release the pages of a memory map; what was written stays in the file.

    Pages that were looked at once count as memory of the process, and schedulers kill by that.
    """
    mapped = _root(values)
    if mapped is not None and hasattr(mmap, "MADV_DONTNEED"):
        mapped.madvise(mmap.MADV_DONTNEED)


def hash_rows(values: np.ndarray) -> list[str]:
    """Hash an array (n_rows, n_columns) of float32 some rows at a time, and give their pages back."""
    found = []
    height = max(1, BLOCK_BYTES // (4 * max(values.shape[1], 1)))
    for start in range(0, len(values), height):
        found.append(fingerprint_array(values[start : start + height]))
        drop_pages(values)
    return found


def put_columns(values: np.ndarray, rows: slice, columns: np.ndarray, content: np.ndarray) -> None:
    """Write some columns of some rows, ``values[:, rows, columns] = content``, without mapping what lies between them.

    Threads take turns: where columns are no neighbours, what lies between them is read and written back.

    Shapes: `values` (n_layers, n_rows, n_columns), `columns` (n_put,), `content` (n_layers, n_rows put, n_put).
    """
    mapped = isinstance(values, np.memmap) and _root(values) is not None and values.flags.c_contiguous
    if not mapped or not len(columns) or not hasattr(os, "pwrite"):
        values[:, rows, columns] = content
        return
    assert isinstance(values, np.memmap)
    content = np.ascontiguousarray(content, dtype=values.dtype)
    first, last, start = int(columns.min()), int(columns.max()) + 1, rows.indices(values.shape[1])[0]
    between = np.empty(last - first, dtype=values.dtype)
    neighbours = len(columns) == last - first and bool((np.diff(columns) == 1).all())
    number = os.open(str(values.filename), os.O_RDWR)
    try:
        with WRITING:
            for layer, row in np.ndindex(*content.shape[:2]):
                place = (layer * values.shape[1] + start + row) * values.shape[2] + first
                at = values.offset + place * values.itemsize
                if not neighbours:
                    os.preadv(number, [between.data], at)
                    between[columns - first] = content[layer, row]
                os.pwrite(number, content[layer, row].data if neighbours else between.data, at)
    finally:
        os.close(number)


def _of_memory(values: np.ndarray, columns: np.ndarray, rows: np.ndarray | None) -> np.ndarray:
    if rows is None:
        return values[:, columns]
    taken = np.empty((len(rows), len(columns)), dtype=values.dtype)
    for place, row in enumerate(rows.tolist()):
        taken[place] = values[row][columns]
    return taken


def take_columns(values: np.ndarray, columns: np.ndarray, rows: np.ndarray | None = None) -> np.ndarray:
    """Copy columns (of some rows), ``values[rows][:, columns]``, without mapping what lies between them.

    Each look at a mapped file maps 64 KiB around it, many times the part of a row that is wanted: rows are read by
    ordinary reads instead.

    Shapes: `values` (n_rows, n_columns), `columns` (n_taken,), `rows` (n_read,); returns (n_read, n_taken).
    """
    if not isinstance(values, np.memmap) or _root(values) is None or not values.flags.c_contiguous:
        return _of_memory(values, columns, rows)
    if values.ndim != 2 or not len(columns) or values.filename is None or not hasattr(os, "preadv"):
        return _of_memory(values, columns, rows)
    rows = np.arange(len(values)) if rows is None else rows
    first, last = int(columns.min()), int(columns.max()) + 1
    row = np.empty(last - first, dtype=values.dtype)
    taken = np.empty((len(rows), len(columns)), dtype=values.dtype)
    number = os.open(values.filename, os.O_RDONLY)
    try:
        for place, number_of_row in enumerate(rows.tolist()):
            start = values.offset + (number_of_row * values.shape[1] + first) * values.itemsize
            if os.preadv(number, [row.data], start) != row.nbytes:
                raise DataError(f"{values.filename}: was cut short while it was read. Make it again.")
            taken[place] = row[columns - first]
    finally:
        os.close(number)
    return taken

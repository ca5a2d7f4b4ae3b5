"""Arrays of ``.npy`` files as memory maps, after a look at what the header promises."""

import math
import mmap
import os
from pathlib import Path

import numpy as np

from ..core import DataError
from .fetched import absent, require_content

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


def take_columns(values: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """Copy columns, ``values[:, columns]``, without mapping what lies between them.

    Each look at a mapped file maps 64 KiB around it, many times the part of a row that is wanted: rows are read by
    ordinary reads instead.

    Shapes: `values` (n_rows, n_columns), `columns` (n_taken,); returns (n_rows, n_taken).
    """
    if not isinstance(values, np.memmap) or _root(values) is None or not values.flags.c_contiguous:
        return values[:, columns]
    if values.ndim != 2 or not len(columns) or values.filename is None or not hasattr(os, "preadv"):
        return values[:, columns]
    first, last = int(columns.min()), int(columns.max()) + 1
    row = np.empty(last - first, dtype=values.dtype)
    taken = np.empty((len(values), len(columns)), dtype=values.dtype)
    number = os.open(values.filename, os.O_RDONLY)
    try:
        for place in range(len(values)):
            start = values.offset + (place * values.shape[1] + first) * values.itemsize
            if os.preadv(number, [row.data], start) != row.nbytes:
                raise DataError(f"{values.filename}: was cut short while it was read. Make it again.")
            taken[place] = row[columns - first]
    finally:
        os.close(number)
    return taken

"""Write a large array row block by row block, so that it never stands in memory."""

import io
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from ..numerics.cleaning import zscore_rows
from .arrays import drop_pages

HEADER_BYTES = 128
BLOCK_BYTES = 64 << 20


@contextmanager
def npy_rows(path: Path) -> Iterator[Callable[[np.ndarray], None]]:
    """Append rows to a float32 ``.npy`` file whose shape is not known yet.

    Ordinary writes are used instead of a memory map, whose dirty pages would count as memory of the
    process until the system gets to write them.
    """
    n_rows, n_columns = 0, None
    with path.open("wb") as stream:
        stream.seek(HEADER_BYTES)

        def append(block: np.ndarray) -> None:
            nonlocal n_rows, n_columns
            n_columns = block.shape[1] if n_columns is None else n_columns
            if block.shape[1] != n_columns:
                raise ValueError(f"rows of {block.shape[1]} columns for a file of {n_columns}")
            stream.write(np.ascontiguousarray(block, dtype="<f4").data)
            n_rows += block.shape[0]

        yield append
        stream.flush()
        stream.seek(0)
        stream.write(_header(n_rows, n_columns or 0))


def _header(n_rows: int, n_columns: int) -> bytes:
    buffer = io.BytesIO()
    description = {"descr": "<f4", "fortran_order": False, "shape": (n_rows, n_columns)}
    np.lib.format.write_array_header_1_0(buffer, description)
    header = buffer.getvalue()
    # numpy pads headers to multiples of 64 bytes and leaves room for a growing shape: 128 is what comes out.
    if len(header) != HEADER_BYTES:
        raise ValueError(f"npy header of {len(header)} bytes, but {HEADER_BYTES} were reserved")
    return header


def blank_columns(path: Path, columns: np.ndarray) -> None:
    """Set whole columns of a file made by `npy_rows` to NaN.

    Shapes: `columns` (n_columns,).
    """
    width = len(columns)
    step = max(1, BLOCK_BYTES // (4 * max(width, 1)))
    with path.open("r+b") as stream:
        position = HEADER_BYTES
        while True:
            stream.seek(position)
            block = np.frombuffer(stream.read(4 * width * step), dtype="<f4").reshape(-1, width).copy()
            if not len(block):
                return
            block[:, columns] = np.nan
            stream.seek(position)
            stream.write(block.tobytes())
            position += block.nbytes


def scale_columns(path: Path) -> None:
    """Z-score every column of a file made by `npy_rows` over all its rows."""
    values = np.load(path, mmap_mode="r+", allow_pickle=False)
    step = max(1, BLOCK_BYTES // (4 * max(len(values), 1)))
    for first in range(0, values.shape[1], step):
        block = np.array(values[:, first : first + step])
        zscore_rows(block)
        values[:, first : first + step] = block
        drop_pages(values)
    values.flush()

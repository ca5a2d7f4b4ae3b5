"""Check arrays when an object takes them: dtype, shape, read-only."""

import mmap
import unicodedata
from typing import Any

import numpy as np

from .errors import AlignmentError, DataError
from .words import count

FIRST_MARK = 0x300  # no character below it can be composed with another


def own(
    array: Any,
    *,
    owner: str,
    name: str,
    shape: tuple[int | None, ...],
    dtype: Any = None,
) -> np.ndarray:
    """Return a read-only array of the asked dtype and shape, copied unless it is read-only already.

    A memory map opened with mode "r" is therefore kept as it is, and an array that the caller may
    still write to is copied, so that a later write cannot show through. Values that an integer dtype cannot hold (NaN,
    1.5, 256 as int8) are refused.

    Examples
    --------
    >>> own([1, 2], owner="x", name="n", shape=(2,), dtype=float).flags.writeable
    False
    """
    given = np.asanyarray(array)
    if dtype is str:
        kept = given if given.dtype.kind == "U" else np.asarray([str(item) for item in given.ravel()], dtype=str)
        kept = kept.reshape(given.shape)
    elif dtype is None or given.dtype == dtype:
        kept = given
    elif np.dtype(dtype).kind in "iub":
        kept = _as_integers(given, np.dtype(dtype), f"{owner}: {name}")
    else:
        kept = given.astype(dtype, copy=False)
    wanted = tuple("any" if length is None else length for length in shape)
    matches = kept.ndim == len(shape) and all(
        want is None or have == want for have, want in zip(kept.shape, shape, strict=True)
    )
    if not matches:
        raise AlignmentError(
            f"{owner}: {name} has shape {kept.shape}, but {wanted} was needed. "
            f"Its axes and its values must come from the same data."
        )
    if kept is given and kept.flags.writeable:
        kept = kept.copy()
    if kept.flags.writeable:
        kept.flags.writeable = False
    return kept


def _as_integers(given: np.ndarray, dtype: np.dtype, what: str) -> np.ndarray:
    """Cast to integers, or bool, of the same values."""
    wanted = "True or False" if dtype.kind == "b" else f"{dtype} integers"
    if given.size and given.dtype.kind not in "iubfO":
        raise DataError(f"{what} holds {given.dtype}, but {wanted} were needed.")
    try:
        with np.errstate(invalid="ignore"):  # of NaN, which is refused below
            kept = given.astype(dtype)
    except (TypeError, ValueError, OverflowError) as error:
        raise DataError(f"{what} cannot be read as {wanted} ({error}).") from error
    if np.can_cast(given.dtype, dtype):
        return kept
    changed = np.asarray(kept != given, dtype=bool)
    if changed.any():
        at = tuple(int(k) for k in np.argwhere(changed)[0])
        raise DataError(
            f"{what} holds {given[at]} at {list(at)} ({count(changed.sum(), 'such value')}), but {wanted} were needed."
        )
    return kept


def composed(names: np.ndarray) -> np.ndarray:
    """Write accented letters as one character (Unicode NFC).

    File names of macOS have them in two, so that one stimulus would count as two.
    """
    codes = np.ascontiguousarray(names).view(np.uint32) if names.size and names.dtype.itemsize else np.zeros(1)
    if codes.max() < FIRST_MARK:
        return names
    return np.array([unicodedata.normalize("NFC", name) for name in names.ravel().tolist()]).reshape(names.shape)


def same(a: np.ndarray, b: np.ndarray) -> bool:
    """Return True if two arrays are equal; NaN counts as equal to NaN."""
    if a.shape != b.shape:
        return False
    return bool(np.array_equal(a, b, equal_nan=a.dtype.kind == "f" and b.dtype.kind == "f"))


class _File:
    """An array whose content stays in its file when it is pickled."""

    def __init__(self, values: np.memmap) -> None:
        self.values = values

    def __reduce__(self) -> tuple[Any, ...]:
        values = self.values
        return _map, (str(values.filename), values.dtype.str, values.offset, values.shape)


def _map(path: str, dtype: str, offset: int, shape: tuple[int, ...]) -> np.memmap:
    return np.memmap(path, np.dtype(dtype), "r", offset, shape)


def by_file(values: np.ndarray) -> Any:
    """Return what becomes an array again when it is unpickled: a whole memory map is opened there, not copied."""
    if not isinstance(values, np.memmap) or not isinstance(values.base, mmap.mmap) or values.filename is None:
        return np.asarray(values)
    return _File(values) if values.flags.c_contiguous else np.asarray(values)

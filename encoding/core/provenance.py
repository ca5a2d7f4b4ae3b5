"""Provenance of saved objects: settings and inputs, and the key that decides about reuse."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

PIECE = 1 << 22  # bytes that are hashed at a time
VERSIONED = (
    "brain-encoding",
    "numpy",
    "scipy",
    "scikit-learn",
    "himalaya",
    "torch",
    "nibabel",
    "nilearn",
    "pybids",
)


@dataclass(frozen=True, eq=False, slots=True)
class Provenance:
    """How an object was made.

    Attributes
    ----------
    step : str
        The function that made it, with a number that changes when its results change (``load/1``).
    config : mapping
        Every setting, defaults included; must be JSON.
    inputs : mapping of str to str
        Fingerprint of every input, by name.
    seed : int or None
        Seed of the random numbers.
    versions : mapping of str to str
        Versions of packages.
    """

    step: str
    config: Mapping[str, Any] = field(default_factory=dict)
    inputs: Mapping[str, str] = field(default_factory=dict)
    seed: int | None = None
    versions: Mapping[str, str] = field(default_factory=dict)

    @property
    def key(self) -> str:
        """Identity of the result: step, settings, inputs and seed; not versions, device or paths."""
        return digest([self.step, self.config, self.inputs, self.seed])


def digest(value: Any) -> str:
    """Hash anything that JSON can hold.

    Parameters
    ----------
    value : object
        Nested dicts, lists, strings, numbers, None.

    Returns
    -------
    str
        Sixteen hexadecimal digits.

    Examples
    --------
    >>> digest({"a": 1, "b": 2}) == digest({"b": 2, "a": 1})
    True
    """
    text = json.dumps(_plain(value), sort_keys=True, separators=(",", ":"), allow_nan=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, Path):
        return value.as_posix()
    return value.item() if hasattr(value, "item") else value


def fingerprint(path: str | Path) -> str:
    """Hash the content of a file.

    Parameters
    ----------
    path : str or Path
        An existing file.

    Returns
    -------
    str
        BLAKE2b of its bytes, sixteen hexadecimal digits.
    """
    state = hashlib.blake2b(digest_size=8)
    with Path(path).open("rb") as stream:
        while block := stream.read(1 << 22):
            state.update(block)
    return state.hexdigest()


def fingerprint_array(array: np.ndarray) -> str:
    """Hash the values of an array.

    Parameters
    ----------
    array : ndarray
        Numbers.

    Returns
    -------
    str
        BLAKE2b of dtype, shape and bytes, sixteen hexadecimal digits.
    """
    state = hashlib.blake2b(f"{array.dtype}{array.shape}".encode(), digest_size=8)
    if array.ndim and array.flags.c_contiguous:
        # Piece by piece: a copy of the bytes would be as large as the array.
        step = max(1, PIECE // max(array[:1].nbytes, 1))
        for start in range(0, len(array), step):
            state.update(np.ascontiguousarray(array[start : start + step]).tobytes())
    else:
        state.update(np.ascontiguousarray(array).tobytes())
    return state.hexdigest()


@cache
def _versions() -> tuple[tuple[str, str], ...]:
    """Return versions; cached, since each look-up searches the whole path."""
    found = []
    for name in VERSIONED:
        try:
            found.append((name, metadata.version(name)))
        except metadata.PackageNotFoundError:
            continue
    return tuple(found)


def versions() -> dict[str, str]:
    """Return the versions of the packages that affect results.

    Returns
    -------
    dict of str to str
        Package name to version; packages that are not installed are left out.
    """
    return dict(_versions())

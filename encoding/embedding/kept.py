"""Fits on disk, from which space, tables and page are made again without fitting."""

import json
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ..core import DataError
from ..io.atomic import atomic_file
from .consensus import Consensus
from .sparse import SparseEmbedding

FORMAT = 1
CONTENT = "content"  # the array that holds the description of all others, as JSON
DAMAGE = (OSError, EOFError, ValueError, KeyError, TypeError, RecursionError, zipfile.BadZipFile, zlib.error)


def keep_fit(path: Path, key: str, result: SparseEmbedding | Consensus) -> None:
    """Write all that fits have learned, without the device that they were made on."""
    runs = result.runs if isinstance(result, Consensus) else (result,)
    parts: dict[str, Any] = {"runs": [{k: v for k, v in vars(run).items() if k != "device"} for run in runs]}
    if isinstance(result, Consensus):
        agreed = ("embedding", "dimensions", "choices", "reference", "threshold")
        parts["agreed"] = {name: getattr(result, name) for name in agreed}
    keep(path, key, parts)


def kept_fit(path: Path, key: str, device: str) -> SparseEmbedding | Consensus | None:
    """Read what `keep_fit` wrote; None where there is nothing, or a fit of other judgments or settings."""
    parts = kept(path, key)
    if parts is None:
        return None
    runs = []
    for learned in parts["runs"]:
        run = SparseEmbedding(device=device)
        run.__dict__.update(learned)
        runs.append(run)
    return Consensus(runs=tuple(runs), **parts["agreed"]) if "agreed" in parts else runs[0]


def keep(path: Path, key: str, parts: Mapping[str, Any]) -> None:
    """Write nested numbers, texts, arrays and tables as one compressed ``.npz`` without pickle."""
    arrays: dict[str, Any] = {}
    content = json.dumps({"format": FORMAT, "key": key, "parts": _describe(parts, arrays)})
    arrays[CONTENT] = np.frombuffer(content.encode(), np.uint8)
    with atomic_file(path) as temporary, temporary.open("wb") as stream:
        np.savez_compressed(stream, **arrays)


def kept(path: Path, key: str) -> dict[str, Any] | None:
    """Read what `keep` wrote under a key; lists come back as tuples."""
    if not path.is_file():
        return None
    try:
        with np.load(path, allow_pickle=False) as stored:
            content = json.loads(stored[CONTENT].tobytes())
            if content["format"] != FORMAT or content["key"] != key:
                return None
            found: dict[str, Any] = _restore(content["parts"], stored)
            return found
    except DAMAGE as error:
        raise DataError(
            f"{path}: the kept fit is damaged ({type(error).__name__}: {error}). Remove the file; the next run fits "
            f"again."
        ) from error


def _describe(value: Any, arrays: dict[str, np.ndarray]) -> Any:
    if isinstance(value, np.ndarray):
        name = f"array_{len(arrays)}"
        arrays[name] = value
        return {"array": name}
    if isinstance(value, pd.DataFrame):
        return {"table": {str(name): _describe(_plain(value[name]), arrays) for name in value}}
    if isinstance(value, Mapping):
        return {"map": {str(key): _describe(part, arrays) for key, part in value.items()}}
    if isinstance(value, list | tuple):
        return [_describe(part, arrays) for part in value]
    return value.item() if isinstance(value, np.generic) else value


def _plain(column: "pd.Series[Any]") -> np.ndarray:
    """Return the values of a column (n,); texts as characters, which need no pickle."""
    if pd.api.types.infer_dtype(column, skipna=False) == "string":
        return column.to_numpy().astype(str)
    if column.dtype == object:
        raise TypeError(f"column {column.name!r} mixes kinds of values")
    return column.to_numpy()


def _restore(value: Any, stored: Mapping[str, np.ndarray]) -> Any:
    if isinstance(value, list):
        return tuple(_restore(part, stored) for part in value)
    if not isinstance(value, dict):
        return value
    if "array" in value:
        return stored[value["array"]]
    if "table" in value:
        return pd.DataFrame({name: _restore(part, stored) for name, part in value["table"].items()})
    return {key: _restore(part, stored) for key, part in value["map"].items()}

"""Embeddings of vision and language models as they are stored: named arrays, and the stimuli that their rows are of."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..core import DataError, suggest
from .arrays import open_npy
from .fetched import require_content

SUFFIXES = (".npy", ".npz", ".pt", ".pth", ".safetensors", ".h5", ".hdf5")
# Names under which a file lists the stimuli of its rows.
LISTS = ("stimuli", "stimulus", "stim_id", "stim_ids", "stimulus_id", "names", "ids", "filenames", "files", "index")
LONGEST_HEADER = 100_000_000
SAFE_TYPES = {
    "F64": "<f8", "F32": "<f4", "F16": "<f2", "BF16": "<u2", "I64": "<i8", "I32": "<i4", "I16": "<i2", "I8": "i1",
    "U8": "u1", "U16": "<u2", "U32": "<u4", "U64": "<u8", "BOOL": "?",
}  # fmt: skip


@dataclass(frozen=True, eq=False)
class Stored:
    """Arrays of a file, and the stimuli that it lists itself."""

    arrays: Mapping[str, np.ndarray]
    stimuli: tuple[str, ...] | None = None


def read_embeddings(path: Path, layer: str | None = None) -> tuple[np.ndarray, tuple[str, ...] | None]:
    """Read one matrix of a file (n_stimuli, n_features), and the stimuli of its rows if the file lists them.

    `layer` names the matrix where there are several. A file of one vector per stimulus, named after it, is a matrix
    too. Nothing in a file is run: of pickled files only tensors, numbers and texts are read.
    """
    require_content(path)
    stored = _READERS[path.suffix.lower()](path)
    arrays = {name: array for name, array in stored.arrays.items() if array.dtype.kind in "fiub"}
    if layer is not None:
        if layer not in arrays:
            raise DataError(f"{path}: no layer {layer!r}. {suggest(layer, arrays)}")
        return _matrix(path, arrays[layer], layer), stored.stimuli
    if len(arrays) == 1:
        ((name, array),) = arrays.items()
        return _matrix(path, array, name), stored.stimuli
    if len(arrays) > 1 and all(array.ndim == 1 for array in arrays.values()):
        lengths = {len(array) for array in arrays.values()}
        if len(lengths) == 1:
            return np.stack([array.astype(np.float64) for array in arrays.values()]), tuple(arrays)
        raise DataError(f"{path}: vectors of {min(lengths)} to {max(lengths)} numbers; all stimuli need as many.")
    if not arrays:
        raise DataError(f"{path}: holds no array of numbers.")
    listed = ", ".join(f"{name!r} {array.shape}" for name, array in list(arrays.items())[:8])
    raise DataError(f"{path}: holds {len(arrays)} arrays ({listed}). Say which with `layer`, or several with `layers`.")


def _matrix(path: Path, array: np.ndarray, name: str) -> np.ndarray:
    if array.ndim != 2:
        raise DataError(
            f"{path}: shape {array.shape} of {array.dtype} ({name!r}), but numbers (n_stimuli, n_features) were "
            f"needed. Average or flatten further axes, such as tokens or places, before."
        )
    return np.asarray(array, dtype=np.float64)


def _npy(path: Path) -> Stored:
    array = np.asarray(open_npy(path))
    if array.dtype.kind not in "fiub" or array.ndim != 2:
        raise DataError(
            f"{path}: shape {array.shape} of {array.dtype}, but numbers (n_stimuli, n_features) were needed."
        )
    return Stored({path.stem: array})


def _npz(path: Path) -> Stored:
    try:
        with path.open("rb") as stream, np.load(stream, allow_pickle=False) as content:
            arrays = {name: content[name] for name in content.files}
    except Exception as error:  # what a damaged file raises depends on the byte that is wrong
        raise _unreadable(path, error) from error
    return _with_lists(arrays, path)


def _torch(path: Path) -> Stored:
    import torch

    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        raise DataError(
            f"{path}: cannot be read as tensors ({type(error).__name__}). Only tensors, numbers, texts, and lists and "
            f"dicts of these are read, nothing that would run: save torch.save({{'stimuli': [...], 'layer': tensor}})."
        ) from error
    content = {path.stem: content} if not isinstance(content, Mapping) else content
    found: dict[str, Any] = {}
    for name, value in content.items():
        if isinstance(value, torch.Tensor):
            found[str(name)] = value.detach().to(torch.float64).numpy() if value.is_floating_point() else value.numpy()
        elif isinstance(value, list | tuple) and all(isinstance(one, str) for one in value):
            found[str(name)] = np.asarray(value, dtype=str)
    return _with_lists(found, path)


def _safetensors(path: Path) -> Stored:
    """Read the format by its description: eight bytes, the length of a JSON header; the header; the numbers."""
    size = path.stat().st_size
    try:
        with path.open("rb") as stream:
            length = int.from_bytes(stream.read(8), "little")
            if not 2 <= length <= min(LONGEST_HEADER, size - 8):
                raise ValueError(f"its header would have {length} bytes")
            header = json.loads(stream.read(length))
            about = header.pop("__metadata__", {})
            arrays: dict[str, Any] = {}
            for name, item in header.items():
                start, stop = item["data_offsets"]
                dtype = np.dtype(SAFE_TYPES[item["dtype"]])
                shape = tuple(int(n) for n in item["shape"])
                if not 0 <= start <= stop <= size - 8 - length or stop - start != dtype.itemsize * int(np.prod(shape)):
                    raise ValueError(f"{name!r} has shape {shape}, but {stop - start} bytes")
                stream.seek(8 + length + start)
                array = np.frombuffer(stream.read(stop - start), dtype=dtype).reshape(shape)
                if item["dtype"] == "BF16":  # the upper half of a float32
                    array = (array.astype(np.uint32) << 16).view(np.float32)
                arrays[str(name)] = array
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise _unreadable(path, error) from error
    for name in LISTS:
        if isinstance(about, Mapping) and name in about:
            arrays[name] = np.asarray(_list_of(str(about[name])), dtype=str)
            break
    return _with_lists(arrays, path)


def _list_of(text: str) -> list[str]:
    """Read a list that is stored as text: JSON, or one per line."""
    try:
        found = json.loads(text)
    except json.JSONDecodeError:
        found = text.replace("\r\n", "\n").rstrip("\n").split("\n")
    return [str(name) for name in found] if isinstance(found, list) else [text]


def _hdf5(path: Path) -> Stored:
    import h5py

    arrays: dict[str, np.ndarray] = {}

    def take(name: str, item: Any) -> None:
        if isinstance(item, h5py.Dataset):
            values = item.asstr()[()] if h5py.check_string_dtype(item.dtype) else item[()]
            arrays[name] = np.asarray(values, dtype=str if h5py.check_string_dtype(item.dtype) else None)

    try:
        with h5py.File(path, "r") as file:
            file.visititems(take)
    except Exception as error:
        raise _unreadable(path, error) from error
    return _with_lists(arrays, path)


def _with_lists(arrays: Mapping[str, np.ndarray], path: Path) -> Stored:
    """Separate the list of stimuli from the arrays."""
    lists = [name for name in arrays if name.rpartition("/")[2] in LISTS and arrays[name].ndim == 1]
    if len(lists) > 1:
        raise DataError(f"{path}: {', '.join(lists)} may all name the stimuli. Keep one of them.")
    if not lists:
        return Stored(arrays)
    stimuli = tuple(str(name).strip() for name in arrays[lists[0]].tolist())
    return Stored({name: array for name, array in arrays.items() if name != lists[0]}, stimuli)


def _unreadable(path: Path, error: Exception) -> DataError:
    told = " ".join(str(error).split())
    return DataError(f"{path}: cannot be read ({type(error).__name__}: {told}). Make or download it again.")


_READERS = {
    ".npy": _npy,
    ".npz": _npz,
    ".pt": _torch,
    ".pth": _torch,
    ".safetensors": _safetensors,
    ".h5": _hdf5,
    ".hdf5": _hdf5,
}

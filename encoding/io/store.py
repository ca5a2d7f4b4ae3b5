"""Save and load the nouns: one folder each, no pickle.

A folder holds ``object.json`` (type, plain fields, provenance), one ``.npy`` file per array, and one
``.tsv`` file per `Samples` axis. Arrays come back as read-only memory maps.
"""

import csv
import dataclasses
import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from .. import core
from .arrays import open_npy
from .atomic import atomic_folder

FORMAT = 1
TYPES: dict[str, type] = {
    cls.__name__: cls
    for cls in (
        core.Atlas, core.Exclusion, core.FeatureSpace, core.FoldMoments, core.Grid, core.Judgments, core.Placement,
        core.Plan, core.Predictions, core.Provenance, core.Responses, core.RoiSet, core.Samples, core.Scores,
        core.StimulusSet, core.Targets, core.Weights,
    )
}  # fmt: skip
DESCRIPTION = "object.json"
AGAIN = "Remove the folder and make it again."


def save(item: Any, folder: str | Path) -> Path:
    """Save an object as a folder, atomically replacing an existing one.

    Parameters
    ----------
    item : StimulusSet, Judgments, FeatureSpace, Responses, Predictions, Scores, Weights, Atlas, Samples or Targets
        The object.
    folder : str or Path
        Where to.

    Returns
    -------
    Path
        The folder.

    Examples
    --------
    >>> import encoding, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     _ = encoding.save(encoding.Targets.of_columns(["V1"]), folder + "/targets")
    ...     encoding.load(folder + "/targets")
    Targets(1 of kind 'column')
    """
    with atomic_folder(folder) as temporary:
        write_object(item, temporary)
    return Path(folder)


def write_object(item: Any, folder: Path) -> None:
    """Write an object into an existing folder.

    Arrays that already are memory maps of the very file they would be written to are left alone; this
    is how stages that fill a large array piece by piece save it without a copy.
    """
    content = {"format": FORMAT, "object": _encode(item, "", folder)}
    (folder / DESCRIPTION).write_text(json.dumps(content, indent=1, allow_nan=False), encoding="utf-8")


def load(folder: str | Path) -> Any:
    """Load an object that `save` wrote.

    Parameters
    ----------
    folder : str or Path
        The folder.

    Returns
    -------
    object
        Of the class that was saved; its arrays are read-only memory maps.

    Raises
    ------
    DataError
        If the folder holds no object, or one of another format.

    Examples
    --------
    >>> import encoding, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     _ = encoding.save(encoding.Samples.of_stimuli(["joy.mp4"]), folder + "/stimuli")
    ...     encoding.load(folder + "/stimuli").stimulus
    array(['joy.mp4'], dtype='<U7')
    """
    folder = Path(folder)
    content = _read_description(folder)
    with _whole(folder):
        found = _decode(content["object"], folder)
    if not isinstance(found, tuple(TYPES.values())):
        raise core.DataError(
            f"{folder / DESCRIPTION}: holds a {type(found).__name__}, but an object was needed. {AGAIN}"
        )
    return found


def describe(folder: str | Path) -> dict[str, Any]:
    """Read type and provenance of a saved object without touching its arrays."""
    folder = Path(folder)
    content = _read_description(folder)
    with _whole(folder):
        item = content["object"]
        provenance = item["fields"].get("provenance")
        return {"type": item["type"], "provenance": _decode(provenance, folder) if provenance else None}


def saved_with(folder: str | Path, key: str) -> bool:
    """Return True if a folder holds the result of exactly these settings and inputs."""
    if not (Path(folder) / DESCRIPTION).is_file():
        return False
    provenance = describe(folder)["provenance"]
    return provenance is not None and provenance.key == key


def _read_description(folder: Path) -> dict[str, Any]:
    path = folder / DESCRIPTION
    if not path.is_file():
        raise core.DataError(f"{folder}: no saved object here ({DESCRIPTION} is missing).")
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:  # numbers of thousands of digits are ValueErrors too
        raise core.DataError(f"{path}: not valid JSON ({error}). {AGAIN}") from error
    except OSError as error:
        raise core.DataError(f"{path}: cannot be read ({error.strerror}).") from error
    if not isinstance(content, dict):
        raise core.DataError(f"{path}: holds a {type(content).__name__}, but an object was needed. {AGAIN}")
    if content.get("format") != FORMAT:
        raise core.DataError(f"{path}: format {content.get('format')!r}, but this version reads format {FORMAT}.")
    return content


def _encode(value: Any, name: str, folder: Path) -> Any:
    if isinstance(value, core.Samples):
        return _encode_samples(value, f"{name or 'samples'}.tsv", folder)
    if dataclasses.is_dataclass(value) and type(value).__name__ in TYPES:
        prefix = f"{name}_" if name else ""
        fields = {
            field.name: _encode(getattr(value, field.name), prefix + field.name, folder)
            for field in dataclasses.fields(value)
        }
        return {"type": type(value).__name__, "fields": fields}
    if isinstance(value, np.ndarray):
        return _encode_array(value, name, folder)
    if isinstance(value, Mapping):
        return {"map": {str(key): _encode(item, f"{name}_{key}", folder) for key, item in value.items()}}
    if isinstance(value, list | tuple):
        return [_encode(item, f"{name}_{i}", folder) for i, item in enumerate(value)]
    if isinstance(value, Path):
        return value.as_posix()
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return {"float": repr(value)}
    if value is None or isinstance(value, bool | int | float | str):
        return value
    raise core.DataError(f"Cannot save {name or 'this'}: a {type(value).__name__} has no place in the format.")


def _encode_array(array: np.ndarray, name: str, folder: Path) -> dict[str, Any]:
    path = folder / f"{name}.npy"
    if array.dtype.kind == "U":
        # Few different strings on many rows: numbers on disk, the strings once in the description.
        words, codes = np.unique(array, return_inverse=True)
        np.save(path, codes.reshape(array.shape).astype(np.int32), allow_pickle=False)
        return {"strings": path.name, "words": words.tolist()}
    mapped = getattr(array, "filename", None)
    if mapped is None or Path(mapped).resolve() != path.resolve():
        np.save(path, np.asarray(array), allow_pickle=False)
    return {"array": path.name}


def _encode_samples(samples: core.Samples, file: str, folder: Path) -> dict[str, Any]:
    with (folder / file).open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream, delimiter="\t", lineterminator="\n")
        writer.writerow(("run", "onset", "duration", "stimulus"))
        columns = (samples.run, samples.onset, samples.duration, samples.stimulus)
        writer.writerows(zip(*(column.tolist() for column in columns), strict=True))
    return {"samples": file, "clock": samples.clock}


def _decode(item: Any, folder: Path) -> Any:
    if isinstance(item, list):
        return tuple(_decode(part, folder) for part in item)
    if not isinstance(item, dict):
        return item
    if "type" in item:
        fields = {name: _decode(part, folder) for name, part in item["fields"].items()}
        if item["type"] == "Responses" and "warnings" not in fields:
            fields |= _notes_of_0_1(fields["exclusions"])
        return TYPES[item["type"]](**fields)
    if "map" in item:
        return {key: _decode(part, folder) for key, part in item["map"].items()}
    if "float" in item:
        return float(item["float"])
    if "samples" in item:
        return _decode_samples(_inside(folder, item["samples"]), item["clock"])
    if "strings" in item:
        codes = _read_array(_inside(folder, item["strings"]))
        return np.asarray(item["words"], dtype=str)[codes] if item["words"] else np.zeros(codes.shape, dtype="<U1")
    return _read_array(_inside(folder, item["array"]))


def _notes_of_0_1(notes: Sequence[core.Exclusion]) -> dict[str, Any]:
    """Separate what version 0.1 kept in the reasons of exclusions: warnings, and names of runs."""
    split = [(note, re.fullmatch(r"(?:(sub-\S+, [^:]+): )?(.*)", note.reason, re.DOTALL)) for note in notes]
    return {
        "exclusions": tuple(
            core.Exclusion(note.what, note.n, parts[2], parts[1] or "")
            for note, parts in split
            if parts is not None and note.what != "warnings"
        ),
        "warnings": tuple(note.reason for note in notes if note.what == "warnings"),
    }


def _read_array(path: Path) -> np.ndarray:
    return open_npy(path, AGAIN)


def _inside(folder: Path, name: Any) -> Path:
    """Return the path of a file in the folder; a name that leads elsewhere is refused."""
    if not isinstance(name, str) or name != Path(name).name or name in ("", ".", ".."):
        raise core.DataError(f"{folder / DESCRIPTION}: names the file {name!r}, which is not in its folder. {AGAIN}")
    return folder / name


@contextmanager
def _whole(folder: Path) -> Iterator[None]:
    """Turn whatever a damaged description leads to into one error."""
    try:
        with np.errstate(over="ignore", invalid="ignore"):  # what is too large is found not to be finite
            yield
    except core.EncodingError:
        raise
    except (OSError, KeyError, TypeError, ValueError, AttributeError, IndexError, RecursionError) as error:
        told = " ".join(str(error).split())
        raise core.DataError(
            f"{folder / DESCRIPTION}: holds no object of this program ({type(error).__name__}: {told}). {AGAIN}"
        ) from error


def _decode_samples(path: Path, clock: str) -> core.Samples:
    with path.open(encoding="utf-8", newline="") as stream:
        rows = list(csv.reader(stream, delimiter="\t"))[1:]
    columns = list(zip(*rows, strict=True)) or [(), (), (), ()]
    run, onset, duration, stimulus = columns
    return core.Samples(
        np.asarray(stimulus, dtype=str), np.asarray(onset, dtype=float), np.asarray(duration, dtype=float),
        np.asarray(run, dtype=str), clock,
    )  # fmt: skip

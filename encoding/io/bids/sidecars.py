"""JSON sidecars, read by the inheritance principle of BIDS, and the search for derivatives."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ...core import DataError


def entities_of(name: str) -> tuple[dict[str, str], str]:
    """Split a BIDS file name.

    Examples
    --------
    >>> entities_of("sub-01_task-video_bold.nii.gz")
    ({'sub': '01', 'task': 'video'}, 'bold')
    """
    *parts, suffix = name.split(".")[0].split("_")
    return dict(part.split("-", 1) for part in parts if "-" in part), suffix


def seconds_of(metadata: Mapping[str, Any], key: str, where: str) -> float | None:
    """Read a time from the content of a sidecar."""
    value = metadata.get(key)
    if value is None:
        other = next((name for name in metadata if name.lower() == key.lower() and name != key), None)
        if other is not None:
            raise DataError(f"{where}: the JSON sidecar has {other!r}, but BIDS spells it {key}. Correct it.")
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise DataError(f"{where}: {key} is {value!r} in the JSON sidecar, but a number of seconds is needed.")
    if not 0 < value < 1e9:  # also infinity, NaN, and whole numbers that no float holds
        raise DataError(
            f"{where}: {key} is {str(value)[:20]} in the JSON sidecar, but a number of seconds above 0 is needed."
        )
    return float(value)


TIMES = {"RepetitionTime", "VolumeTiming", "StartTime", "SliceTiming", "DelayTime", "AcquisitionDuration", "EchoTime"}


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON file that must hold an object."""
    try:
        content = json.loads(path.read_text(encoding="utf-8-sig"), object_pairs_hook=_only_once)
    except (ValueError, RecursionError) as error:  # numbers of thousands of digits are ValueErrors too
        raise DataError(f"{path}: not valid JSON ({error}).") from error
    if not isinstance(content, dict):
        raise DataError(f"{path}: holds a {type(content).__name__}, but an object was needed.")
    return content


def _only_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Make an object; where a key of times stands twice with different values, neither can be trusted."""
    made: dict[str, Any] = {}
    for name, value in pairs:
        if name in TIMES and name in made and made[name] != value:
            raise ValueError(f"{name!r} stands twice, as {made[name]!r} and as {value!r}")
        made[name] = value
    return made


def read_sidecar(path: Path, root: Path) -> dict[str, Any]:
    """Collect the metadata of a file: every sidecar that applies, the nearest having the last word.

    A sidecar applies if it lies in the folder of the file or above, has the same suffix, and all its
    entities are entities of the file (BIDS inheritance principle).
    """
    entities, suffix = entities_of(path.name)
    folders = [root, *(root / part for part in _steps(path.parent.relative_to(root)))]
    metadata: dict[str, Any] = {}
    for folder in folders:
        found = []
        for candidate in sorted(folder.glob(f"*{suffix}.json")):
            theirs, their_suffix = entities_of(candidate.name)
            if their_suffix == suffix and theirs.items() <= entities.items():
                found.append((len(theirs), candidate))
        for _, candidate in sorted(found):
            metadata.update(read_json(candidate))
    return metadata


def _steps(relative: Path) -> list[Path]:
    parts = relative.parts
    return [Path(*parts[: i + 1]) for i in range(len(parts))]


def find_derivatives(bids_dir: Path, derivatives: str | Path | None = None) -> Path:
    """Find the folder of the preprocessed data."""
    if derivatives is not None:
        path = Path(derivatives)
        if not path.is_dir():
            raise DataError(f"Derivatives {path}: no such folder.")
        return path
    folder = bids_dir / "derivatives"
    if (folder / "fmriprep").is_dir():
        return folder / "fmriprep"
    datasets = sorted(path.parent for path in folder.glob("*/dataset_description.json"))
    if len(datasets) == 1:
        return datasets[0]
    if not datasets:
        raise DataError(
            f"{bids_dir}: no preprocessed data in {folder} (neither 'fmriprep' nor another dataset with a "
            f"dataset_description.json). Say where they are with --derivatives."
        )
    names = ", ".join(path.name for path in datasets)
    raise DataError(f"{folder}: {len(datasets)} datasets ({names}). Choose one with --derivatives.")

"""BOLD runs in, maps out, whatever the format."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ...core import AlignmentError, ConfigError, DataError, Targets
from ..arrays import open_npy
from ..atomic import write_json, write_tsv
from .cifti import open_cifti, read_grayordinates, series_length, write_cifti, write_cifti_labels
from .surfaces import HEMISPHERES, read_vertices, vertices_of, write_surface, write_surface_labels
from .volumes import header_t_r, open_volume, read_voxels, volume_of, write_volume

# Where BIDS wants these entities; the rest keep the order in which they are given.
LEADING = ("sub", "ses", "task", "acq", "ce", "rec", "dir", "run")


@dataclass(frozen=True, slots=True)
class RunImage:
    """One run as it was read.

    Attributes
    ----------
    values : ndarray of float32, shape (n_scans, n_targets)
        Time series.
    targets : Targets
        The columns.
    t_r : float or None
        Repetition time by the header in seconds; None if it does not say.
    """

    values: np.ndarray
    targets: Targets
    t_r: float | None


def read_run(
    kind: str, bold: tuple[Path, ...], targets: Targets | None, *, space: str = "", density: str = ""
) -> RunImage:
    """Read the time series of a run.

    Parameters
    ----------
    kind : {"volume", "surface", "cifti", "array"}
        File format.
    bold : tuple of Path
        One file, or left and right hemisphere.
    targets : Targets or None
        What to read; for surfaces and CIFTI, None reads everything.
    space, density : str
        BIDS labels for the targets where `targets` is None.

    Returns
    -------
    RunImage
        Peak memory is that of its values, and for compressed volumes 64 MiB more.

    Raises
    ------
    DataError
        If a file is damaged or is not what it should be.
    AlignmentError
        If the run has other targets.
    """
    if kind == "volume":
        if targets is None:
            raise AlignmentError(f"{bold[0]}: voxels are read inside a mask, but no targets were given.")
        return RunImage(read_voxels(bold[0], targets), targets, header_t_r(open_volume(bold[0])))
    if kind == "surface":
        values, found, t_r = read_vertices(bold, space, density)
    elif kind == "array":
        array = _series_array(bold[0])
        values, t_r = np.array(array, dtype=np.float32), None
        found = Targets.of_columns(f"target_{number + 1}" for number in range(array.shape[1]))
    else:
        values, found, t_r = read_grayordinates(bold[0], space, density)
    if targets is not None and not found.same_as(targets):
        raise AlignmentError(
            f"{bold[0]}: {found!r} are not the {targets!r} of the first run. All runs must share one surface "
            f"or one brain-model axis."
        )
    return RunImage(values, found, t_r)


def length_of_run(kind: str, bold: tuple[Path, ...]) -> tuple[int | None, float | None]:
    """Read the number of volumes and the repetition time from headers; None for what only the whole file tells."""
    if kind == "volume":
        image = open_volume(bold[0])
        return (image.shape[3] if len(image.shape) == 4 else 1), header_t_r(image)
    if kind == "array":
        return len(_series_array(bold[0])), None
    return series_length(bold[0]) if kind == "cifti" else (None, None)


def _series_array(path: Path) -> np.ndarray:
    """Open (n_volumes, n_targets) numbers."""
    if path.suffix != ".npy":
        raise DataError(f"{path}: time series without an image are read from .npy files (n_volumes, n_targets).")
    values = open_npy(path)
    if values.ndim != 2 or values.dtype.kind not in "fiu":
        raise DataError(
            f"{path}: shape {values.shape} of {values.dtype}, but numbers (n_volumes, n_targets) were needed."
        )
    return values


def targets_of_file(kind: str, path: Path) -> int:
    """Count the vertices or grayordinates of a file."""
    if kind == "cifti":
        return len(open_cifti(path).header.get_axis(1))
    if kind == "array":
        return int(_series_array(path).shape[1])
    return vertices_of(path)[1]


def volumes_of_file(kind: str, path: Path) -> int:
    """Count the volumes of a file."""
    if kind == "volume":
        shape = open_volume(path).shape
        return shape[3] if len(shape) == 4 else 1
    if kind == "array":
        return len(_series_array(path))
    return len(open_cifti(path).header.get_axis(0)) if kind == "cifti" else vertices_of(path)[0]


def surface_of(values: np.ndarray, targets: Targets) -> np.ndarray:
    """Write one value per target onto both hemispheres.

    Parameters
    ----------
    values : ndarray, shape (n_targets,)
        One value per target.
    targets : Targets
        Vertices, or grayordinates of which those in the cortex are used.

    Returns
    -------
    ndarray of float32, shape (n_left + n_right,)
        NaN where no target is; left hemisphere first.

    Raises
    ------
    AlignmentError
        If the targets do not cover two cortical surfaces, or there is not one value per target.
    """
    values = np.asarray(values)
    if values.shape != (len(targets),):
        raise AlignmentError(f"{targets!r}: values have shape {values.shape}, one per target was needed.")
    parts = []
    for structure in HEMISPHERES:
        if structure not in targets.n_vertices:
            raise AlignmentError(f"{targets!r} has no surface {structure}, so that it cannot be shown on one.")
        side = np.full(targets.n_vertices[structure], np.nan, dtype=np.float32)
        here = targets.structure == structure
        side[targets.index[here]] = values[here]
        parts.append(side)
    return np.concatenate(parts)


def entity_label(text: str) -> str:
    """Make a BIDS label out of a name: letters and digits only.

    Parameters
    ----------
    text : str
        Any name.

    Returns
    -------
    str
        The name without all else.

    Raises
    ------
    ConfigError
        If nothing is left.

    Examples
    --------
    >>> entity_label("mllm_30d")
    'mllm30d'
    """
    label = re.sub(r"[^A-Za-z0-9+]", "", str(text))
    if not label:
        raise ConfigError(f"Name {text!r}: has no letter or digit, so that no file can be named after it.")
    return label


def map_name(entities: Mapping[str, str], suffix: str = "statmap") -> str:
    """Join entities to a BIDS-like file name without extension.

    Parameters
    ----------
    entities : mapping of str to str
        Short entity names to values; empty values are left out.
    suffix : str
        What the file holds.

    Returns
    -------
    str
        For example ``sub-01_task-video_hemi-L_space-fsaverage5_model-joint_stat-r_statmap``.
    """
    present = {name: entity_label(value) for name, value in entities.items() if value}
    order = [name for name in LEADING if name in present]
    order += [name for name in ("hemi", "space", "res", "den") if name in present]
    order += [name for name in present if name not in order]
    return "_".join([*(f"{name}-{present[name]}" for name in order), suffix])


def write_map(
    folder: str | Path,
    entities: Mapping[str, str],
    values: np.ndarray,
    targets: Targets,
    sidecar: Mapping[str, Any] | None = None,
    *,
    name: str = "",
) -> list[Path]:
    """Write one value per target as an image: NIfTI, two GIFTI files, CIFTI, or a table.

    Surfaces with a volume beside them become GIFTI and NIfTI files, or CIFTI in the spaces of that format.

    Parameters
    ----------
    folder : str or Path
        Where to; it is made if needed.
    entities : mapping of str to str
        Short entity names to values (``{"sub": "01", "task": "video", "model": "joint", "stat": "r"}``);
        hemisphere, space, resolution and density are added.
    values : ndarray, shape (n_targets,)
        One value per target; NaN where there is none.
    targets : Targets
        Their places.
    sidecar : mapping, optional
        Metadata for the JSON file beside each image.
    name : str, optional
        Name of the map inside the file; made of model, feature space and statistic unless given.

    Returns
    -------
    list of Path
        The images, without sidecars.

    Raises
    ------
    AlignmentError
        If there is not one value per target.
    """
    folder, values = Path(folder), np.asarray(values)
    name = name or map_title(entities)
    if targets.volume_space:
        _require_one_each(values, targets)
        parts = targets.parts
        return [
            path for part, at in parts for path in write_map(folder, entities, values[at], part, sidecar, name=name)
        ]
    entities = _placed(entities, values, targets)
    stem = map_name(entities)
    if targets.kind == "voxel":
        written = [write_volume(folder / f"{stem}.nii.gz", values, targets, name)]
    elif targets.kind == "grayordinate":
        written = [write_cifti(folder / f"{stem}.dscalar.nii", values, targets, name)]
    elif targets.kind == "vertex":
        written = [
            write_surface(folder / f"{map_name(entities | {'hemi': hemi})}.shape.gii", side, structure, name)
            for hemi, side, structure in _halves(values, targets)
        ]
    else:
        frame = pd.DataFrame({"target": targets.names, "value": values})
        written = [write_tsv(folder / f"{stem}.tsv", frame)]
    for path in written:
        write_json(path.with_name(f"{path.name.split('.')[0]}.json"), dict(sidecar or {}))
    return written


def write_labels(
    folder: str | Path,
    entities: Mapping[str, str],
    numbers: np.ndarray,
    targets: Targets,
    table: Sequence[tuple[int, str, str]],
    sidecar: Mapping[str, Any] | None = None,
) -> list[Path]:
    """Write one label per target as an image with names and colours: NIfTI with a table, two GIFTI files, or CIFTI.

    Parameters
    ----------
    folder : str or Path
        Where to; it is made if needed.
    entities : mapping of str to str
        As of `write_map`.
    numbers : ndarray of int, shape (n_targets,)
        One label per target; 0 where there is none.
    targets : Targets
        Their places.
    table : sequence of (int, str, str)
        Number, name and colour (such as "#0072B2") of each label.
    sidecar : mapping, optional
        Metadata for the JSON file beside each image.

    Returns
    -------
    list of Path
        The images and, beside a NIfTI image, its table.
    """
    folder, numbers = Path(folder), np.asarray(numbers)
    name = map_title(entities)
    if targets.volume_space:
        _require_one_each(numbers, targets)
        parts = targets.parts
        return [
            path for part, at in parts for path in write_labels(folder, entities, numbers[at], part, table, sidecar)
        ]
    entities = _placed(entities, numbers, targets)
    stem = map_name(entities, "dseg")
    frame = pd.DataFrame(
        [(number, text, color) for number, text, color in ((0, "none", "n/a"), *table)],
        columns=["index", "name", "color"],
    )
    if targets.kind == "voxel":
        images = [write_volume(folder / f"{stem}.nii.gz", numbers, targets, name, labels=True)]
    elif targets.kind == "grayordinate":
        images = [write_cifti_labels(folder / f"{stem}.dlabel.nii", numbers, targets, table, name)]
    elif targets.kind == "vertex":
        images = []
        for hemi, side, structure in _halves(numbers, targets):
            path = folder / f"{map_name(entities | {'hemi': hemi}, 'dseg')}.label.gii"
            images.append(write_surface_labels(path, np.nan_to_num(side), structure, table, name))
    else:
        return [write_tsv(folder / f"{stem}.tsv", pd.DataFrame({"target": targets.names, "label": numbers}))]
    for path in images:
        write_json(path.with_name(f"{path.name.split('.')[0]}.json"), dict(sidecar or {}))
    return [*images, write_tsv(folder / f"{stem}.tsv", frame)] if targets.kind == "voxel" else images


def map_title(entities: Mapping[str, str]) -> str:
    """Make the name of a map inside its file, such as "sub-01 joint: category, split_r2"."""
    feature = entities.get("feature", "all")
    who = f"sub-{entities['sub']} " if entities.get("sub") else "group "
    what = ", ".join(part for part in ("" if feature == "all" else feature, entities.get("stat", "")) if part)
    what = "named spaces" if entities.get("model") == what == "winner" else what
    described = f" ({entities['desc']})" if entities.get("desc") else ""
    return f"{who}{entities.get('model', '')}: {what}{described}"


def _placed(entities: Mapping[str, str], values: np.ndarray, targets: Targets) -> dict[str, str]:
    """Add space and resolution or density to entities."""
    _require_one_each(values, targets)
    return dict(entities) | {"space": targets.space, "res" if targets.kind == "voxel" else "den": targets.density}


def _require_one_each(values: np.ndarray, targets: Targets) -> None:
    if values.shape != (len(targets),):
        raise AlignmentError(f"{targets!r}: values have shape {values.shape}, one per target was needed.")


def _halves(values: np.ndarray, targets: Targets) -> list[tuple[str, np.ndarray, str]]:
    """Lay values out on both hemispheres; return letter, values and structure of each."""
    both = surface_of(values, targets)
    left, right = np.split(both, [targets.n_vertices["CORTEX_LEFT"]])
    return [("L", left, HEMISPHERES[0]), ("R", right, HEMISPHERES[1])]


__all__ = [
    "RunImage",
    "entity_label",
    "map_name",
    "read_run",
    "surface_of",
    "volume_of",
    "write_labels",
    "write_map",
]

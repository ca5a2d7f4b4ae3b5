"""BOLD runs in, maps out, whatever the format."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ...core import AlignmentError, ConfigError, Targets
from ..atomic import write_json, write_tsv
from .cifti import open_cifti, read_grayordinates, write_cifti
from .surfaces import HEMISPHERES, read_vertices, vertices_of, write_surface
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
    kind : {"volume", "surface", "cifti"}
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
    else:
        values, found, t_r = read_grayordinates(bold[0], space, density)
    if targets is not None and not found.same_as(targets):
        raise AlignmentError(
            f"{bold[0]}: {found!r} are not the {targets!r} of the first run. All runs must share one surface "
            f"or one brain-model axis."
        )
    return RunImage(values, found, t_r)


def targets_of_file(kind: str, path: Path) -> int:
    """Count the vertices or grayordinates of a file."""
    if kind == "cifti":
        return len(open_cifti(path).header.get_axis(1))
    return vertices_of(path)[1]


def volumes_of_file(kind: str, path: Path) -> int:
    """Count the volumes of a file."""
    if kind == "volume":
        shape = open_volume(path).shape
        return shape[3] if len(shape) == 4 else 1
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
) -> list[Path]:
    """Write one value per target as an image: NIfTI, two GIFTI files, CIFTI, or a table.

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
    if values.shape != (len(targets),):
        raise AlignmentError(f"{targets!r}: values have shape {values.shape}, one per target was needed.")
    density = "res" if targets.kind == "voxel" else "den"
    entities = dict(entities) | {"space": targets.space, density: targets.density}
    if targets.kind == "voxel":
        written = [write_volume(folder / f"{map_name(entities)}.nii.gz", values, targets)]
    elif targets.kind == "grayordinate":
        written = [write_cifti(folder / f"{map_name(entities)}.dscalar.nii", values, targets)]
    elif targets.kind == "vertex":
        both = surface_of(values, targets)
        n_left = targets.n_vertices["CORTEX_LEFT"]
        written = [
            write_surface(folder / f"{map_name(entities | {'hemi': hemi})}.shape.gii", side, structure)
            for hemi, side, structure in zip("LR", np.split(both, [n_left]), HEMISPHERES, strict=True)
        ]
    else:
        frame = pd.DataFrame({"target": targets.names, "value": values})
        written = [write_tsv(folder / f"{map_name(entities)}.tsv", frame)]
    for path in written:
        write_json(path.with_name(f"{path.name.split('.')[0]}.json"), dict(sidecar or {}))
    return written


__all__ = [
    "RunImage",
    "entity_label",
    "map_name",
    "read_run",
    "surface_of",
    "volume_of",
    "write_map",
]

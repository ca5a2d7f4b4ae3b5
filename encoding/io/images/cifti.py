"""CIFTI grayordinates in and out, on nibabel's axes."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np

from ...core import DataError, Grid, Targets
from ..atomic import atomic_file
from .surfaces import to_rgba
from .volumes import readable

PREFIX = "CIFTI_STRUCTURE_"


def open_cifti(path: Path) -> Any:
    """Open a CIFTI file without reading its data."""
    with readable(path):
        image = nib.load(path)
        if not isinstance(image, nib.Cifti2Image) or len(image.shape) != 2:
            raise DataError(f"{path}: a CIFTI-2 image with two axes was needed.")
        if not isinstance(image.header.get_axis(1), nib.cifti2.BrainModelAxis):
            raise DataError(f"{path}: its columns are no grayordinates (BrainModelAxis).")
    return image


def targets_of_axis(axis: Any, space: str, density: str = "") -> Targets:
    """Read targets off a brain-model axis."""
    names = np.char.replace(np.asarray(axis.name, dtype=str), PREFIX, "")
    index = np.array(axis.vertex, dtype=np.int64)
    grid = None
    voxels = np.asarray(axis.volume_mask)
    if voxels.any():
        grid = Grid(axis.volume_shape, axis.affine)
        index[voxels] = np.ravel_multi_index(np.asarray(axis.voxel)[voxels].T, grid.shape)
    n_vertices = {name.replace(PREFIX, ""): int(n) for name, n in axis.nvertices.items()}
    return Targets("grayordinate", space, index, names, grid, n_vertices, density)


def axis_of_targets(targets: Targets) -> Any:
    """Make the brain-model axis that targets were read from."""
    on_surface = np.isin(targets.structure, list(targets.n_vertices))
    voxel = np.full((len(targets), 3), -1)
    affine = shape = None
    if targets.grid is not None:
        affine, shape = np.array(targets.grid.affine), targets.grid.shape
        voxel[~on_surface] = np.stack(np.unravel_index(targets.index[~on_surface], shape), axis=1)
    return nib.cifti2.BrainModelAxis(
        np.char.add(PREFIX, targets.structure).astype(object),
        voxel=voxel,
        vertex=np.where(on_surface, targets.index, -1),
        affine=affine,
        volume_shape=shape,
        nvertices={PREFIX + name: n for name, n in targets.n_vertices.items()},
    )


def grayordinates_of(path: Path, space: str, density: str = "") -> Targets:
    """Read the targets of a CIFTI file off its header."""
    return targets_of_axis(open_cifti(path).header.get_axis(1), space, density)


def series_length(path: Path) -> tuple[int, float | None]:
    """Read the number of rows of a dense time series, and the seconds between them."""
    series = open_cifti(path).header.get_axis(0)
    if not isinstance(series, nib.cifti2.SeriesAxis):
        return len(series), None
    return len(series), float(series.step) if series.unit == "SECOND" else None


def read_grayordinates(
    path: Path, space: str, density: str = "", *, series: bool = True
) -> tuple[np.ndarray, Targets, float | None]:
    """Read a dense time series, or with ``series=False`` the rows of any dense file.

    Returns values (n_scans, n_targets).
    """
    image = open_cifti(path)
    axis = image.header.get_axis(0)
    in_time = isinstance(axis, nib.cifti2.SeriesAxis)
    if series and not in_time:
        raise DataError(f"{path}: its rows are no time series (SeriesAxis).")
    t_r = float(axis.step) if in_time and axis.unit == "SECOND" else None
    with readable(path):
        values = np.asarray(image.dataobj, dtype=np.float32)
    return values, targets_of_axis(image.header.get_axis(1), space, density), t_r


def write_cifti(path: Path, values: np.ndarray, targets: Targets, name: str = "") -> Path:
    """Write one value per grayordinate as a dense scalar file; `name` is the name of the map in the file.

    Shapes: `values` (n_targets,).
    """
    scalar = nib.cifti2.ScalarAxis([name or path.name.split(".")[0]])
    return _save(path, np.asarray(values, dtype=np.float32), scalar, targets, "SCALARS")


def write_cifti_labels(
    path: Path, numbers: np.ndarray, targets: Targets, table: Sequence[tuple[int, str, str]], name: str = ""
) -> Path:
    """Write one label per grayordinate as a dense label file, with the names and colours of the labels.

    Shapes: `numbers` (n_targets,) whole numbers; 0 is no label.
    """
    entries = {0: ("none", (0.0, 0.0, 0.0, 0.0))} | {number: (text, to_rgba(color)) for number, text, color in table}
    labels = nib.cifti2.LabelAxis([name or path.name.split(".")[0]], [entries])
    return _save(path, np.asarray(numbers, dtype=np.float32), labels, targets, "LABELS")


def _save(path: Path, row: np.ndarray, first: Any, targets: Targets, kind: str) -> Path:
    image = nib.Cifti2Image(row[None], header=(first, axis_of_targets(targets)))
    image.nifti_header.set_intent(f"NIFTI_INTENT_CONNECTIVITY_DENSE_{kind}")
    with atomic_file(path) as temporary:
        nib.save(image, temporary)
    return path

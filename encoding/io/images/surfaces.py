"""GIFTI data on pairs of cortical surfaces, in and out."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np

from ...core import DataError, Targets
from ..atomic import atomic_file
from .volumes import readable

HEMISPHERES = ("CORTEX_LEFT", "CORTEX_RIGHT")
# Vertices per hemisphere of fsaverage3 to fsaverage, and of fsLR at 4k, 8k, 32k and 59k.
MESHES = (642, 2562, 10242, 40962, 163842, 4002, 7842, 32492, 59292)
SAME_STEP = 1e-3  # seconds
# What GIFTI files hold that are no time series, by their intent.
NO_SERIES = {
    "NIFTI_INTENT_POINTSET": "coordinates of a surface", "NIFTI_INTENT_TRIANGLE": "triangles of a surface",
    "NIFTI_INTENT_LABEL": "labels",
}  # fmt: skip
GIFTI_NAMES = {"CORTEX_LEFT": "CortexLeft", "CORTEX_RIGHT": "CortexRight"}


def read_gifti(path: Path) -> Any:
    """Read a GIFTI file."""
    with readable(path):
        image = nib.load(path)
    if not isinstance(image, nib.GiftiImage) or not image.darrays:
        raise DataError(f"{path}: holds no GIFTI data array.")
    return image


def _series(path: Path, structure: str) -> tuple[np.ndarray, float | None]:
    image = read_gifti(path)
    first = image.darrays[0]
    stated = image.meta.get("AnatomicalStructurePrimary") or first.meta.get("AnatomicalStructurePrimary")
    if stated in set(GIFTI_NAMES.values()) - {GIFTI_NAMES[structure]}:
        raise DataError(f"{path}: its header says {stated}, but it stands where {GIFTI_NAMES[structure]} was expected.")
    kinds = {str(nib.nifti1.intent_codes.niistring[array.intent]) for array in image.darrays} & set(NO_SERIES)
    if kinds:
        raise DataError(f"{path}: holds {NO_SERIES[min(kinds)]}, but one value per vertex and volume was needed.")
    arrays = [array.data for array in image.darrays]
    if len({array.shape for array in arrays}) > 1:
        raise DataError(f"{path}: its data arrays differ in length. The file is damaged; make it again.")
    if arrays[0].ndim > 2 or (arrays[0].ndim == 2 and len(arrays) > 1):
        raise DataError(f"{path}: {len(arrays)} arrays of shape {arrays[0].shape}; one per volume was needed.")
    # fMRIPrep writes one array per volume; some tools write one array of vertices by volumes.
    values = _volumes_first(path, arrays[0]) if len(arrays) == 1 and arrays[0].ndim == 2 else np.stack(arrays)
    return np.asarray(values, dtype=np.float32), _step(path, image.meta.get("TimeStep") or first.meta.get("TimeStep"))


def _step(path: Path, text: str | None) -> float | None:
    """Read the time between volumes; above 50 it is in milliseconds, and 0 stands for nothing."""
    try:
        step = float(text or 0)
    except ValueError:
        step = np.nan
    if not np.isfinite(step):
        raise DataError(f"{path}: TimeStep in its header is {text!r}; a number was needed.")
    return None if step <= 0 else step / 1000 if step > 50 else step


def vertices_of(path: Path) -> tuple[int, int]:
    """Count the volumes and vertices of a GIFTI file."""
    arrays = [array.data for array in read_gifti(path).darrays]
    if len(arrays) == 1 and arrays[0].ndim == 2:
        n_volumes, n_vertices = _volumes_first(path, arrays[0]).shape
        return n_volumes, n_vertices
    return len(arrays), len(arrays[0])


def _volumes_first(path: Path, values: np.ndarray) -> np.ndarray:
    """Arrange one array as (n_scans, n_vertices), recognising vertices by the size of known meshes."""
    known = [axis for axis, size in enumerate(values.shape) if size in MESHES]
    if known == [1]:
        return values
    if known == [0] or values.shape[0] >= values.shape[1]:
        return values.T
    raise DataError(
        f"{path}: its one data array has shape {values.shape}, and neither is the number of vertices of a known mesh "
        f"({', '.join(map(str, MESHES))}). Save one array per volume, or vertices by volumes with more vertices."
    )


def read_vertices(paths: tuple[Path, ...], space: str, density: str = "") -> tuple[np.ndarray, Targets, float | None]:
    """Read the time series of both hemispheres.

    Returns values (n_scans, n_vertices).
    """
    (left, t_r), (right, other) = (_series(path, side) for path, side in zip(paths, HEMISPHERES, strict=True))
    if t_r is not None and other is not None and abs(t_r - other) > SAME_STEP:
        raise DataError(
            f"{paths[0].name} has a TimeStep of {t_r:g} s, but {paths[1].name} of {other:g} s. The hemispheres must be "
            f"of the same run."
        )
    if np.array_equal(left, right) and np.ptp(left) > 0:
        raise DataError(
            f"{paths[0]} and {paths[1].name} hold the same numbers: one hemisphere was saved twice. Make them again."
        )
    if left.shape[0] != right.shape[0]:
        raise DataError(
            f"{paths[0].name} has {left.shape[0]} volumes, but {paths[1].name} has {right.shape[0]}. "
            f"The hemispheres must be of the same run."
        )
    sizes = dict(zip(HEMISPHERES, (left.shape[1], right.shape[1]), strict=True))
    targets = Targets(
        "vertex",
        space,
        np.concatenate([np.arange(size) for size in sizes.values()]),
        np.repeat(list(sizes), list(sizes.values())),
        n_vertices=sizes,
        density=density,
    )
    return np.concatenate([left, right], axis=1), targets, other if t_r is None else t_r


def write_surface(path: Path, values: np.ndarray, structure: str, name: str = "") -> Path:
    """Write one value per vertex of a hemisphere as GIFTI; `name` is the name of the map in the file.

    Shapes: `values` (n_vertices,).
    """
    meta = nib.gifti.GiftiMetaData({"Name": name}) if name else None
    array = nib.gifti.GiftiDataArray(np.asarray(values, dtype=np.float32), intent="NIFTI_INTENT_SHAPE", meta=meta)
    return _save(path, nib.GiftiImage(darrays=[array], meta=_structure(structure)))


def write_surface_labels(
    path: Path, numbers: np.ndarray, structure: str, table: Sequence[tuple[int, str, str]], name: str = ""
) -> Path:
    """Write one label per vertex of a hemisphere as GIFTI, with the names and colours of the labels.

    Shapes: `numbers` (n_vertices,) whole numbers; 0 is no label.
    """
    labels = nib.gifti.GiftiLabelTable()
    for number, text, color in ((0, "none", "#00000000"), *table):
        red, green, blue, alpha = to_rgba(color)
        label: Any = nib.gifti.GiftiLabel(number, red, green, blue, alpha)
        label.label = text
        labels.labels.append(label)
    meta = nib.gifti.GiftiMetaData({"Name": name}) if name else None
    array = nib.gifti.GiftiDataArray(np.asarray(numbers, dtype=np.int32), intent="NIFTI_INTENT_LABEL", meta=meta)
    return _save(path, nib.GiftiImage(darrays=[array], labeltable=labels, meta=_structure(structure)))


def to_rgba(color: str) -> tuple[float, float, float, float]:
    """Read a colour such as #0072B2 or #0072B2FF as four numbers from 0 to 1."""
    parts = [int(color[place : place + 2], 16) / 255 for place in range(1, len(color), 2)]
    return parts[0], parts[1], parts[2], parts[3] if len(parts) > 3 else 1.0


def _structure(structure: str) -> Any:
    return nib.gifti.GiftiMetaData({"AnatomicalStructurePrimary": GIFTI_NAMES[structure]})


def _save(path: Path, image: Any) -> Path:
    with atomic_file(path) as temporary:
        nib.save(image, temporary)
    return path

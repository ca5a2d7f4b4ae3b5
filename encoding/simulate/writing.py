"""Images of the study, small and quick to compress."""

import base64
import zlib
from pathlib import Path

import nibabel as nib
import numpy as np
from nibabel.cifti2 import Cifti2Image
from nibabel.cifti2.cifti2_axes import BrainModelAxis, LabelAxis, SeriesAxis

from ..io.atomic import atomic_file
from .presets import TR
from .targets import Grid

NOISE_UNIT = 128.0
STEP = 64.0

_GIFTI_HEAD = """<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE GIFTI SYSTEM "http://www.nitrc.org/frs/download.php/115/gifti.dtd">
<GIFTI Version="1.0" NumberOfDataArrays="{n}">
<MetaData><MD><Name>AnatomicalStructurePrimary</Name><Value>{structure}</Value></MD></MetaData>
<LabelTable/>
"""
_GIFTI_ARRAY = """<DataArray Intent="NIFTI_INTENT_TIME_SERIES" DataType="NIFTI_TYPE_FLOAT32" \
ArrayIndexingOrder="RowMajorOrder" Dimensionality="1" Dim0="{n}" Encoding="GZipBase64Binary" \
Endian="LittleEndian" ExternalFileName="" ExternalFileOffset=""><MetaData/><Data>{data}</Data></DataArray>
"""


def to_intensity(baseline: np.ndarray, fluctuation: np.ndarray) -> np.ndarray:
    """Scale unit-variance signals to scanner intensities.

    Shapes: `baseline` (n_targets,), `fluctuation` (n_targets, n_volumes); returns (n_targets, n_volumes).
    """
    fluctuation *= np.float32(NOISE_UNIT / STEP)
    fluctuation += baseline[:, None] / np.float32(STEP)
    np.rint(fluctuation, out=fluctuation)
    fluctuation *= np.float32(STEP)
    return fluctuation


def write_gifti_series(path: Path, data: np.ndarray, *, hemi: str) -> None:
    """Write a time series on one hemisphere as GIFTI.

    Written here and not by nibabel, whose fixed compression level takes seven times as long.

    Shapes: `data` (n_vertices, n_volumes).
    """
    structure = {"L": "CortexLeft", "R": "CortexRight"}[hemi]
    rows = np.ascontiguousarray(data.T, dtype="<f4")
    with atomic_file(path) as temporary, temporary.open("w", encoding="ascii") as file:
        file.write(_GIFTI_HEAD.format(n=len(rows), structure=structure))
        for row in rows:
            packed = base64.b64encode(zlib.compress(row.tobytes(), 1)).decode("ascii")
            file.write(_GIFTI_ARRAY.format(n=len(row), data=packed))
        file.write("</GIFTI>\n")


def write_gifti_labels(path: Path, labels: np.ndarray, table: dict[int, tuple[str, str]], *, hemi: str) -> None:
    """Write labels of one hemisphere as GIFTI.

    Shapes: `labels` (n_vertices,).
    """
    label_table = nib.gifti.GiftiLabelTable()
    for number, (name, color) in table.items():
        entry = nib.gifti.GiftiLabel(number, *_rgba(number, color))
        entry.label = name  # type: ignore[attr-defined]
        label_table.labels.append(entry)
    structure = {"L": "CortexLeft", "R": "CortexRight"}[hemi]
    array = nib.gifti.GiftiDataArray(labels.astype(np.int32), intent="NIFTI_INTENT_LABEL", datatype="NIFTI_TYPE_INT32")
    meta = nib.gifti.GiftiMetaData({"AnatomicalStructurePrimary": structure})
    image = nib.gifti.GiftiImage(darrays=[array], labeltable=label_table, meta=meta)
    with atomic_file(path) as temporary:
        nib.save(image, temporary)


def _rgba(number: int, color: str) -> tuple[float, float, float, float]:
    """Components of a colour from 0 to 1; "no region" is transparent."""
    red, green, blue = (int(color[k : k + 2], 16) / 255 for k in (1, 3, 5))
    return red, green, blue, float(number != 0)


def write_volume(path: Path, values: np.ndarray, grid: Grid) -> None:
    """Write an image on the grid, as 16-bit integers.

    Shapes: `values` (n_voxels,).
    """
    data = np.zeros(grid.mask.shape + values.shape[1:], dtype=np.int16)
    data[grid.mask] = values
    image = nib.Nifti1Image(data, grid.affine)
    image.header.set_xyzt_units("mm", "sec")
    image.set_sform(grid.affine, code=4)
    image.set_qform(grid.affine, code=4)
    if values.ndim == 2:
        image.header.set_zooms((*image.header.get_zooms()[:3], TR))
    with atomic_file(path) as temporary:
        nib.save(image, temporary)


def write_cifti_series(path: Path, data: np.ndarray, axis: BrainModelAxis) -> None:
    """Write a grayordinate time series as 16-bit integers.

    Shapes: `data` (n_grayordinates, n_volumes).
    """
    series = SeriesAxis(0.0, TR, data.shape[1], unit="second")
    image = Cifti2Image(np.ascontiguousarray(data.T.astype(np.int16)), (series, axis))
    image.nifti_header.set_intent("ConnDenseSeries")
    image.set_data_dtype(np.int16)
    with atomic_file(path) as temporary:
        nib.save(image, temporary)


def write_cifti_labels(path: Path, labels: np.ndarray, table: dict[int, tuple[str, str]], axis: BrainModelAxis) -> None:
    """Write labels of grayordinates.

    Shapes: `labels` (n_grayordinates,).
    """
    entries = {number: (name, _rgba(number, color)) for number, (name, color) in table.items()}
    image = Cifti2Image(labels[None].astype(np.float32), (LabelAxis(["Planted"], [entries]), axis))
    image.nifti_header.set_intent("ConnDenseLabel")
    with atomic_file(path) as temporary:
        nib.save(image, temporary)

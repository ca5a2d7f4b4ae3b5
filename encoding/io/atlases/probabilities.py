"""Probabilistic atlases: one volume per region, of which every voxel takes the most probable."""

import logging
from typing import Any

import numpy as np

from ...core.axes import Grid
from ...core.errors import DataError

logger = logging.getLogger(__name__)


def most_probable(name: str, image: Any, threshold: float | None, grid: Grid | None = None) -> np.ndarray:
    """Label every voxel with the most probable of the regions (1..n_regions) that reach the threshold, else 0.

    The first of equally probable regions is taken, as in FSL's own summary images, and their number is logged. With a
    `grid`, every probability is resampled to it (cubic splines) before they are compared. Returns (i, j, k) int32.
    """
    n_regions = image.shape[3]
    if threshold is None:
        largest = max(float(np.nanmax(image.dataobj[..., n])) for n in range(n_regions))
        raise DataError(
            f"Atlas {name}: its shape is {image.shape}, but one volume of labels is needed. If these are the "
            f"probabilities of {n_regions} regions (largest value {largest:g}), give `threshold`, the smallest that "
            f"counts, in the unit of the file (in TOML: threshold = {25 if largest > 1 else 0.25:g} in its [[atlas]] "
            f"table)."
        )
    shape = image.shape[:3] if grid is None else grid.shape
    n_voxels = int(np.prod(shape))
    best, labels, equal = np.zeros(n_voxels), np.zeros(n_voxels, dtype=np.int32), np.zeros(n_voxels, dtype=bool)
    for number in range(n_regions):
        values = np.nan_to_num(np.asarray(image.dataobj[..., number], dtype=np.float32))
        if grid is not None:
            values = resample_values(values, image.affine, grid)
        # A region fills a small part of the brain: all else is looked at once.
        enough = np.flatnonzero((values >= threshold) & (values > 0))
        found = values.ravel()[enough]
        better, same = found > best[enough], found == best[enough]
        equal[enough[same]] = True
        equal[enough[better]] = False
        labels[enough[better]] = number + 1
        best[enough[better]] = found[better]
    labels, equal = labels.reshape(shape), equal.reshape(shape)
    if not labels.any():
        raise DataError(
            f"Atlas {name}: no probability reaches threshold = {threshold:g}. It is in the unit of the file (25, 0.25)."
        )
    if equal.any():
        logger.info("Atlas %s: in %d voxels several regions are equally probable; the first counts.", name, equal.sum())
    return labels


def resample_values(values: np.ndarray, affine: np.ndarray, grid: Grid) -> np.ndarray:
    """Resample continuous values (i, j, k) to another grid."""
    import nibabel as nib
    from nilearn.image import resample_img

    moved = resample_img(
        nib.Nifti1Image(values, affine),
        target_affine=np.array(grid.affine),
        target_shape=grid.shape,
        interpolation="continuous",
        force_resample=True,
        copy_header=True,
    )
    return np.asarray(moved.dataobj, dtype=np.float32)

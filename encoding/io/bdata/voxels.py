"""Where the voxels of a bdata file lie."""

import numpy as np

from ...core import AlignmentError, DataError, Grid, Targets
from .files import Bdata

VOXELS = "VoxelData"
COORDINATES = ("voxel_x", "voxel_y", "voxel_z")
INDICES = ("voxel_i", "voxel_j", "voxel_k")
# A tenth of a millimetre allows for coordinates that were rounded before they were written.
AFFINE_TOLERANCE = 0.1
LARGEST_INDEX = 1023


def coordinates_of(bdata: Bdata, columns: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Read where voxels lie.

    Shapes: `columns` (n_voxels,); returns xyz (n_voxels, 3), ijk (n_voxels, 3).
    """
    rows = {key: values[columns] for key, values in bdata.rows([*COORDINATES, *INDICES])}
    for key in COORDINATES:
        if not np.isfinite(rows[key]).all():
            n = int(np.sum(~np.isfinite(rows[key])))
            raise DataError(f"{bdata.path}: metadata row {key!r} is not finite for {n} of {len(columns)} voxels.")
    for key in INDICES:
        with np.errstate(invalid="ignore"):
            good = (rows[key] >= 0) & (rows[key] <= LARGEST_INDEX) & (rows[key] == np.round(rows[key]))
        if not good.all():
            raise DataError(
                f"{bdata.path}: metadata row {key!r} is {rows[key][~good][0]:g} for a voxel; a whole number from 0 to "
                f"{LARGEST_INDEX} was needed ({np.sum(~good)} are not)."
            )
    xyz, ijk = (np.stack([rows[key] for key in keys], axis=1) for keys in (COORDINATES, INDICES))
    return xyz, ijk.astype(np.int64)


def affine_of(xyz: np.ndarray, ijk: np.ndarray, where: str) -> np.ndarray:
    """Find the affine that takes voxel indices to millimetres, and check that it takes all of them there.

    Shapes: `xyz` (n_voxels, 3), `ijk` (n_voxels, 3); returns (4, 4).
    """
    centre = ijk.mean(axis=0)
    design = np.column_stack([ijk - centre, np.ones(len(ijk))])
    if np.linalg.matrix_rank(design) < 4:
        raise DataError(
            f"{where}: its {len(ijk)} voxels lie in one plane, so that the affine of the volume is unknown."
        )
    solution = np.linalg.lstsq(design, xyz, rcond=None)[0]
    error = np.abs(design @ solution - xyz).max(axis=1)
    if error.max() > AFFINE_TOLERANCE:
        worst = int(error.argmax())
        raise AlignmentError(
            f"{where}: voxel indices and coordinates contradict each other: (voxel_i, voxel_j, voxel_k) = "
            f"{tuple(ijk[worst].tolist())} lies {error[worst]:.3g} mm from its voxel_x, voxel_y, voxel_z = "
            f"{tuple(xyz[worst].round(2).tolist())} ({np.sum(error > AFFINE_TOLERANCE)} such voxels)."
        )
    affine = np.eye(4)
    affine[:3, :3] = solution[:3].T
    affine[:3, 3] = solution[3] - affine[:3, :3] @ centre
    if abs(np.linalg.det(affine)) < 1e-6:
        raise AlignmentError(f"{where}: voxels with different indices have the same voxel_x, voxel_y, voxel_z.")
    return affine


def targets_of(bdata: Bdata, space: str, density: str = "") -> tuple[Targets, np.ndarray]:
    """Make an axis of the voxels of a file.

    Returns columns (n_voxels,).
    """
    columns = bdata.columns(VOXELS)
    xyz, ijk = coordinates_of(bdata, columns)
    affine = affine_of(xyz, ijk, str(bdata.path))
    grid = Grid(tuple((ijk.max(axis=0) + 1).tolist()), affine)
    index = np.ravel_multi_index(tuple(ijk.T), grid.shape)
    twice = len(index) - len(np.unique(index))
    if twice:
        raise DataError(f"{bdata.path}: {twice} voxels have the same voxel_i, voxel_j, voxel_k as another one.")
    return Targets("voxel", space, index, np.full(len(index), "", dtype=str), grid, density=density), columns

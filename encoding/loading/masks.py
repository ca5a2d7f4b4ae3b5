"""Which voxels are loaded."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ..core import AlignmentError, DataError, Exclusion, Grid, Targets
from ..io.bids.runs import RunFiles
from ..io.images.volumes import grid_of, open_volume, read_mask, voxel_targets


def subject_voxels(
    runs: list[RunFiles], mask: str | Path, subject: str, *, resample: bool = False
) -> tuple[Targets, list[Exclusion]]:
    """Choose the voxels that every run has; `resample` brings a mask of one's own to their grid."""
    grid = grid_of(open_volume(runs[0].bold[0]))
    exclusions: list[Exclusion] = []
    if mask == "none":
        inside = np.ones(grid.shape, dtype=bool)
    elif isinstance(mask, Path):
        inside, mask_grid = read_mask(mask)
        if resample and not mask_grid.same_as(grid):
            inside = resample_mask(inside, mask_grid, grid)
        else:
            check_grid(mask, mask_grid, runs[0].bold[0], grid)
    else:
        inside, exclusions = common_brain(runs, grid, subject)
    if not inside.any():
        source = "in all brain masks" if mask == "brain" else f"in {mask}"
        raise DataError(f"sub-{subject}: the mask is empty (no voxel {source}). Give another `mask` in [load].")
    entities = runs[0].entities
    return voxel_targets(inside, grid, entities.get("space", ""), entities.get("res", "")), exclusions


def resample_mask(inside: np.ndarray, theirs: Grid, ours: Grid) -> np.ndarray:
    """Find the nearest voxel of a mask for every voxel of another grid; outside the mask's grid nothing is inside.

    Shapes: `inside` (i, j, k); returns `ours.shape`.
    """
    places = np.indices(ours.shape).reshape(3, -1)
    to_theirs = np.linalg.inv(theirs.affine) @ ours.affine
    nearest = np.rint(to_theirs[:3, :3] @ places + to_theirs[:3, 3:]).astype(int)
    within = ((nearest >= 0) & (nearest < np.array(theirs.shape)[:, None])).all(axis=0)
    found = np.zeros(places.shape[1], bool)
    found[within] = inside[tuple(nearest[:, within])]
    return found.reshape(ours.shape)


def common_brain(runs: Sequence[RunFiles], grid: Grid, subject: str) -> tuple[np.ndarray, list[Exclusion]]:
    """Intersect the brain masks of all runs."""
    everywhere = np.ones(grid.shape, dtype=bool)
    somewhere = np.zeros(grid.shape, dtype=bool)
    for run in runs:
        if run.mask is None:
            raise DataError(
                f"sub-{subject}, {run.label}: no brain mask (*_desc-brain_mask.nii.gz) of the space and resolution "
                f'of {run.bold[0].name}. Set `mask` in [load] to "none" or to a mask image.'
            )
        inside, mask_grid = read_mask(run.mask)
        check_grid(run.mask, mask_grid, runs[0].bold[0], grid)
        everywhere &= inside
        somewhere |= inside
    lost = int(somewhere.sum() - everywhere.sum())
    if not lost or not everywhere.any():
        return everywhere, []
    return everywhere, [Exclusion("targets", lost, f"sub-{subject}: outside the brain mask of at least one run")]


def check_grid(path: Path, grid: Grid, bold: Path, expected: Grid, *, key: str = "mask", advice: str = "") -> None:
    """Refuse an image on another grid than that of the first run."""
    if not grid.same_as(expected):
        masks = (
            f"Set resample_mask = true in [load] for a {key} of your own, or choose runs and masks of one space and "
            f"resolution."
        )
        raise AlignmentError(
            f"{path}: its grid {grid.shape} differs in shape or affine from the grid {expected.shape} of "
            f"{bold.name}. {advice or masks}"
        )

"""Labels of an atlas for given targets."""

import logging

import numpy as np

from ...core.atlas import Atlas
from ...core.axes import Grid, Targets
from ...core.errors import AlignmentError

logger = logging.getLogger(__name__)


def match_atlas(atlas: Atlas, targets: Targets) -> np.ndarray:
    """Return the region of each target.

    Targets are joined by structure and index, never by position, so that they may be any part of the atlas's in
    any order. Surfaces must be of the same space and mesh. Volumes must be of the same space; on another grid, the
    atlas is resampled to it with nearest neighbour. In grayordinates, surfaces and volume are matched each for
    itself: an atlas that has only one of both leaves the targets of the other without a region, which is logged. The
    volume of the space fsLR counts as MNI152NLin6Asym.

    Parameters
    ----------
    atlas : Atlas
        The atlas.
    targets : Targets
        Voxels, vertices or grayordinates.

    Returns
    -------
    ndarray of int32, shape (n_targets,)
        Number of the region (see ``atlas.index``), 0 where a target lies in none.

    Raises
    ------
    AlignmentError
        If atlas and targets have no kind of place in common, or differ in space or mesh, or no target lies in a
        region.
    """
    if targets.kind == "column":
        raise AlignmentError(f"Atlas {atlas.name!r}: table columns have no place in the brain to look up.")
    labels = np.zeros(len(targets), dtype=np.int32)
    matched = False
    for part, match in (("surface", _match_surface), ("volume", _match_volume)):
        ours, theirs = _part(atlas.targets, part), _part(targets, part)
        if theirs.any() and not ours.any():
            logger.info("Atlas %r has no %s: %d targets there have no region.", atlas.name, part, theirs.sum())
        elif theirs.any():
            match(atlas, ours, targets, theirs, labels)
            matched = True
    if not matched:
        raise AlignmentError(
            f"Atlas {atlas.name!r} labels {_places(atlas.targets)}, but the targets are {_places(targets)}. "
            f"Use an atlas of their kind and space."
        )
    if len(labels) and not labels.any():
        raise AlignmentError(f"Atlas {atlas.name!r}: none of the {len(labels)} targets lies in a region.")
    return labels


def check_places(atlas: Atlas, targets: Targets) -> None:
    """Refuse an atlas that cannot label targets of a kind and space, of which no index need be known."""
    surface, volume = (_part(atlas.targets, part).any() for part in ("surface", "volume"))
    on_surface = bool(surface) and atlas.targets.space == targets.space
    in_volume = bool(volume) and atlas.targets.voxel_space == targets.voxel_space
    fits = {"vertex": on_surface, "voxel": in_volume, "grayordinate": on_surface or in_volume}[targets.kind]
    if not fits:
        raise AlignmentError(
            f"Atlas {atlas.name!r} labels {_places(atlas.targets)}, but the responses are {_places(targets)}. "
            f"Use an atlas of their kind and space in [map]."
        )


def _part(targets: Targets, part: str) -> np.ndarray:
    return targets.on_surface if part == "surface" else ~targets.on_surface


def _places(targets: Targets) -> str:
    return f"{targets.kind} targets in {targets.spaces!r}"


def _match_surface(atlas: Atlas, ours: np.ndarray, targets: Targets, theirs: np.ndarray, labels: np.ndarray) -> None:
    """Write the labels of the targets on surfaces into `labels`."""
    known = atlas.targets
    if known.space != targets.space:
        raise AlignmentError(
            f"Atlas {atlas.name!r} lies on the surface {known.space!r}, the targets on {targets.space!r}. "
            f"Labels are not moved between surfaces: use an atlas on {targets.space!r}."
        )
    for structure in np.unique(targets.structure[theirs]):
        n_vertices = targets.n_vertices[structure]
        if structure not in known.n_vertices:
            logger.info("Atlas %r has no %s: its targets have no region.", atlas.name, structure)
            continue
        if known.n_vertices[structure] != n_vertices:
            raise AlignmentError(
                f"Atlas {atlas.name!r}: {structure} has {known.n_vertices[structure]} vertices, "
                f"that of the targets {n_vertices}. Use the atlas at the targets' density."
            )
        mesh = np.zeros(n_vertices, dtype=np.int32)
        there, here = ours & (known.structure == structure), theirs & (targets.structure == structure)
        mesh[known.index[there]] = atlas.labels[there]
        labels[here] = mesh[targets.index[here]]


def _match_volume(atlas: Atlas, ours: np.ndarray, targets: Targets, theirs: np.ndarray, labels: np.ndarray) -> None:
    """Write the labels of the targets in the volume into `labels`."""
    known, space = atlas.targets, targets.voxel_space
    if known.voxel_space != space:
        raise AlignmentError(
            f"Atlas {atlas.name!r} is a volume in {known.voxel_space!r}, the targets are in {space!r}. "
            f"Volumes are resampled between grids of one space only: use an atlas in {space!r}."
        )
    assert known.grid is not None  # Targets refuses voxels without one
    assert targets.grid is not None
    volume = np.zeros(known.grid.shape, dtype=np.int32)
    volume.ravel()[known.index[ours]] = atlas.labels[ours]
    if not known.grid.same_as(targets.grid):
        before = np.unique(volume)
        volume = _resample(volume, known.grid, targets.grid)
        lost = np.setdiff1d(before, volume)
        names = [name for name, index in zip(atlas.region, atlas.index, strict=True) if index in lost]
        if names:
            logger.warning("Atlas %r: no voxel left on the targets' grid for %s.", atlas.name, ", ".join(names))
    labels[theirs] = volume.ravel()[targets.index[theirs]]


def _resample(volume: np.ndarray, grid: Grid, to: Grid) -> np.ndarray:
    import nibabel as nib
    from nilearn.image import resample_img

    # One voxel of padding: without it the outer half of the outermost voxels would count as outside.
    corner = grid.affine @ [-1, -1, -1, 1]
    affine = np.column_stack([grid.affine[:, :3], corner])
    moved = resample_img(
        nib.Nifti1Image(np.pad(volume, 1), affine, dtype=np.int32),
        target_affine=np.array(to.affine),
        target_shape=to.shape,
        interpolation="nearest",
        force_resample=True,
        copy_header=True,
    )
    return np.asanyarray(moved.dataobj).astype(np.int32)

"""Move an atlas onto the space of responses: between meshes through spheres, between MNI spaces as they are."""

import logging
from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from ...core.atlas import Atlas
from ...core.axes import Targets
from ...core.errors import AlignmentError
from .matching import check_places
from .packages import FSAVERAGE, MOVED, N_FSLR, nearest, nearest_of_fsaverage, surface_targets

logger = logging.getLogger(__name__)

MNI = "MNI"
ADVICE = "Set resample = true (in its [[atlas]] table) to move it there, or use an atlas in the space of the responses."


def fit_atlas(atlas: Atlas, targets: Targets, *, resample: bool) -> Atlas:
    """Check that an atlas fits targets, or move it to their space.

    Between MNI152 spaces coordinates are taken as they are: their brains differ by a few millimetres. Between meshes
    of fsaverage, whose vertices are those of the finer ones, and from fsLR to fsaverage and back, every vertex takes
    the label of the nearest one on the registered sphere. Every region then says so in its confidence.

    Parameters
    ----------
    atlas : Atlas
        The atlas.
    targets : Targets
        The targets of the responses; those of a check have no index, but a grid or numbers of vertices where known.
    resample : bool
        Whether to move what does not fit.

    Returns
    -------
    Atlas
        In the space of the targets; a volume keeps its grid, which `match_atlas` resamples.

    Raises
    ------
    AlignmentError
        If it does not fit, and is not to be moved or cannot be.
    """
    ours = atlas.targets
    if ours.kind == "voxel" and targets.kind in ("voxel", "grayordinate"):
        space = targets.voxel_space
        if ours.space != space:
            if not (ours.space.startswith(MNI) and space.startswith(MNI)):
                check_places(atlas, targets)
            atlas = _moved(atlas, replace(ours, space=space), atlas.labels, resample, space)
        _check_grid(atlas, targets, resample)
    elif ours.kind == "vertex" and targets.kind in ("vertex", "grayordinate"):
        atlas = _fit_surface(atlas, targets, resample)
    check_places(atlas, targets)
    return atlas


def _moved(atlas: Atlas, to: Targets, labels: np.ndarray, resample: bool, space: str) -> Atlas:
    if not resample:
        raise AlignmentError(
            f"Atlas {atlas.name!r} is in {atlas.targets.space!r}, the responses are in {space!r}. {ADVICE}"
        )
    text = MOVED.format(space=atlas.targets.space)
    logger.warning("Atlas %r was %s to %s; its regions say so.", atlas.name, text, space)
    confidence = tuple("; ".join(filter(None, (known, text))) for known in atlas.confidence_of_regions)
    return replace(atlas, targets=to, labels=labels, confidence=confidence, centroids=None)


def _check_grid(atlas: Atlas, targets: Targets, resample: bool) -> None:
    known = atlas.targets.grid
    if resample or targets.grid is None or known is None or known.same_as(targets.grid):
        return
    raise AlignmentError(
        f"Atlas {atlas.name!r}: its grid has the shape {known.shape}, that of the responses {targets.grid.shape}, or "
        f"their affines differ. {ADVICE}"
    )


def _fit_surface(atlas: Atlas, targets: Targets, resample: bool) -> Atlas:
    ours = atlas.targets
    wanted = dict(targets.n_vertices) or _vertices_of(targets.space)
    same = ours.space == targets.space and (not wanted or dict(ours.n_vertices) == wanted)
    if same:
        return atlas
    vertices = onto_mesh(atlas, targets.space, wanted)
    if vertices is None:
        raise AlignmentError(
            f"Atlas {atlas.name!r} lies on the surface {ours.space!r} ({_counts(ours.n_vertices)} vertices), the "
            f"responses on {targets.space!r} ({_counts(wanted) or 'unknown'}). Labels are moved between fsaverage, "
            f"fsaverage5, fsaverage6 and fsLR 32k only: use an atlas on {targets.space!r}."
        )
    to = surface_targets(targets.space, wanted)
    return _moved(atlas, to, atlas.labels[vertices], resample, targets.space)


def _counts(n_vertices: Mapping[str, int]) -> str:
    return " + ".join(str(n) for n in n_vertices.values())


def _vertices_of(space: str) -> dict[str, int]:
    n = FSAVERAGE.get(space, N_FSLR if space == "fsLR" else 0)
    return dict.fromkeys(("CORTEX_LEFT", "CORTEX_RIGHT"), n) if n else {}


def onto_mesh(atlas: Atlas, space: str, wanted: dict[str, int]) -> np.ndarray | None:
    """Find the position in the atlas's labels of every vertex of a mesh, (n_vertices,); None if there is no way."""
    ours = atlas.targets
    there, here = dict(ours.n_vertices), ours.space
    known = {**FSAVERAGE, "fsLR": N_FSLR}
    whole = len(ours) == sum(there.values())
    if not whole or here not in known or space not in known or set(there) != set(wanted):
        return None
    if any(n != known[here] for n in there.values()) or any(n != known[space] for n in wanted.values()):
        return None
    places, first = [], 0
    for hemi, structure in (("L", "CORTEX_LEFT"), ("R", "CORTEX_RIGHT")):
        if here == "fsLR":
            found = nearest(hemi, wanted[structure])
        elif space == "fsLR":
            found = nearest_of_fsaverage(hemi, there[structure])
        elif wanted[structure] <= there[structure]:
            found = np.arange(wanted[structure])
        else:
            found = nearest_of_fsaverage(hemi, there[structure], wanted[structure])
        places.append(found + first)
        first += there[structure]
    return np.concatenate(places)

"""Volumes sampled onto a cortical surface, for display only."""

from functools import lru_cache

import numpy as np
from scipy import ndimage

from .mesh import HEMISPHERES, Meshes

DEPTHS = np.linspace(0.1, 0.9, 5)  # from the white to the pial surface
# From the coordinates of fsaverage (MNI305) to MNI152, as FreeSurfer's documentation of coordinate systems gives it
MNI305_TO_MNI152 = np.array(
    [
        [0.9975, -0.0073, 0.0176, -0.0429],
        [0.0146, 1.0009, -0.0024, 1.5496],
        [-0.0130, -0.0093, 0.9971, 1.1840],
        [0, 0, 0, 1],
    ]
)
LEAST = 0.3  # share of the depths of a vertex that must lie in measured voxels


@lru_cache(maxsize=4)
def ribbon(meshes: Meshes) -> np.ndarray | None:
    """Return points through the cortex of both hemispheres in mm, (n_depths, n_vertices, 3); None without surfaces."""
    inner = next((name for name in ("white", "smoothwm") if name in meshes.surfaces), None)
    if inner is not None and "pial" in meshes.surfaces:
        ends = [
            np.concatenate([meshes.load(shape, side).coordinates for side in HEMISPHERES]) for shape in (inner, "pial")
        ]
        points = np.stack([(1 - depth) * ends[0] + depth * ends[1] for depth in DEPTHS])
    elif "midthickness" in meshes.surfaces:
        points = np.concatenate([meshes.load("midthickness", side).coordinates for side in HEMISPHERES])[None]
    else:
        return None
    if meshes.name.startswith("fsaverage"):
        points = points @ MNI305_TO_MNI152[:3, :3].T + MNI305_TO_MNI152[:3, 3]
    return points


def project(volume: np.ndarray, affine: np.ndarray, meshes: Meshes, *, labels: bool = False) -> np.ndarray:
    """Sample a volume onto the vertices of both hemispheres; NaN where it has no values.

    Numbers are interpolated linearly among measured voxels and averaged over depth; labels are taken at half depth from
    the nearest voxel.

    Shapes: `volume` (x, y, z), `affine` (4, 4); returns (n_vertices,).
    """
    points = ribbon(meshes)
    assert points is not None
    inverse = np.linalg.inv(affine)
    if labels:
        voxel = np.round(points[len(points) // 2] @ inverse[:3, :3].T + inverse[:3, 3]).astype(int)
        inside = ((voxel >= 0) & (voxel < volume.shape)).all(axis=1)
        found = np.full(len(voxel), np.nan)
        found[inside] = volume[tuple(voxel[inside].T)]
        return found
    places = np.moveaxis(points @ inverse[:3, :3].T + inverse[:3, 3], -1, 0)
    known = np.isfinite(volume).astype(float)
    share = ndimage.map_coordinates(known, places, order=1, cval=0.0).mean(axis=0)
    total = ndimage.map_coordinates(np.nan_to_num(volume), places, order=1, cval=0.0).mean(axis=0)
    return np.where(share >= LEAST, total / np.maximum(share, LEAST), np.nan)

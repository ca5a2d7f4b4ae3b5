"""Masks of regions as released with block means, made of simple shapes and of the planted regions."""

import numpy as np
from scipy.spatial import cKDTree

from ..io.bdata.rois import AREAS, NETWORKS, STRUCTURES
from .presets import HEMISPHERES, REGIONS, region_number
from .targets import SUBCORTEX, Grid, TargetSet

CORTEX = {"L": 3, "R": 42}
# A planted region becomes these areas, so that the groups of areas have the planted winners.
AREAS_OF = {
    "TPJ": ("TPOJ1", "TPOJ2", "TPOJ3"),
    "pSTS": ("STSdp", "STSvp"),
    "LOTC": ("LO1", "LO2", "MT"),
    "ATL": ("TGd", "TGv"),
    "MTG": ("TE1m", "TE1a"),
    "DMPFC": ("9m", "10d", "d32"),
    "OFC": ("OFC", "pOFC"),
    "aINS": ("AAIC", "MI"),
    "M1": ("4",),
    "EVC": ("V1", "V2"),
}
# Structures that the segmentation lacks: centre in the right hemisphere, and radius, in millimetres.
BALLS = {"hypothalamus": ((4.0, -4.0, -12.0), 6.0), "brainstem": ((4.0, -28.0, -32.0), 10.0)}
NAMES_IN_SEGMENTATION = {"nuc_accum": "accumbens"}
ATLAS_OF = {"thalamus": "aal", "hippocampus": "aal", "pallidum": "aal", "amygdala": "aal"}
NAMES_IN_PICKATLAS = {"nuc_accum": "Brodmann_area_34", "brainstem": "Brainstem"}


def area_labels(targets: TargetSet, grid: Grid) -> dict[str, np.ndarray]:
    """Divide the cortex of each hemisphere into 180 areas.

    Planted regions are divided among the areas that stand for them; the rest belongs to the nearest of seeds that lie
    as far from each other as can be. On coarse grids some areas have no voxel.

    Parameters
    ----------
    targets : TargetSet
        Voxels of the brain.
    grid : Grid
        Their grid and segmentation.

    Returns
    -------
    dict of str to ndarray of int64, shape (n_voxels,)
        For each hemisphere the place of the area in `AREAS`; -1 outside its cortex.
    """
    aseg = grid.aseg[grid.mask]
    labels = {}
    for hemi in HEMISPHERES:
        label = np.full(len(targets), -1)
        planted = np.zeros(len(targets), dtype=bool)
        for position, region in enumerate(REGIONS):
            here = np.flatnonzero(targets.region == region_number(position, hemi))
            if region.name in AREAS_OF:
                planted[here] = True
                names = AREAS_OF[region.name]
                in_order = here[np.argsort(targets.coordinates[here, 1], kind="stable")]
                for name, part in zip(names, np.array_split(in_order, len(names)), strict=True):
                    label[part] = AREAS.index(name)
        used = {name for names in AREAS_OF.values() for name in names}
        rest = np.flatnonzero((aseg == CORTEX[hemi]) & ~planted)
        free = [number for number, name in enumerate(AREAS) if name not in used]
        seeds = _far_apart(targets.coordinates[rest], len(free))
        nearest = cKDTree(targets.coordinates[rest][seeds]).query(targets.coordinates[rest])[1]
        label[rest] = np.asarray(free)[nearest]
        labels[hemi] = label
    return labels


def _far_apart(points: np.ndarray, n: int) -> np.ndarray:
    """Choose up to n points, each as far as can be from those before it."""
    chosen = [int(np.argmax(points[:, 1]))]
    distance = np.linalg.norm(points - points[chosen[0]], axis=1)
    while len(chosen) < min(n, len(points)):
        chosen.append(int(np.argmax(distance)))
        distance = np.minimum(distance, np.linalg.norm(points - points[chosen[-1]], axis=1))
    return np.asarray(chosen)


def cortical_masks(labels: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Name the masks of areas and networks of each hemisphere as they are released.

    Parameters
    ----------
    labels : dict of str to ndarray
        From `area_labels`.

    Returns
    -------
    dict of str to ndarray of bool, shape (n_voxels,)
        360 areas, then 34 networks, which are groups of areas here.
    """
    masks = {}
    for hemi in HEMISPHERES:
        for number, area in enumerate(AREAS):
            masks[f"hcp180_r_{hemi.lower()}h.{hemi}_{area}_ROI"] = labels[hemi] == number
    for hemi in HEMISPHERES:
        network = np.where(labels[hemi] < 0, -1, labels[hemi] * len(NETWORKS) // len(AREAS))
        for number, name in enumerate(NETWORKS):
            masks[f"yeo2011_17_r_{hemi.lower()}h.{name}"] = network == number
    return masks


def structure_masks(targets: TargetSet, grid: Grid) -> dict[str, dict[str, np.ndarray]]:
    """Make masks of the ten structures outside the cerebral cortex.

    Parameters
    ----------
    targets : TargetSet
        Voxels of the brain.
    grid : Grid
        Their grid and segmentation.

    Returns
    -------
    dict of str to dict of str to ndarray of bool, shape (n_voxels,)
        For each structure and hemisphere; hypothalamus and brainstem are balls and overlap others.
    """
    aseg, xyz = grid.aseg[grid.mask], targets.coordinates
    masks: dict[str, dict[str, np.ndarray]] = {}
    for name in STRUCTURES:
        masks[name] = {}
        for hemi, sign in zip(HEMISPHERES, (-1, 1), strict=True):
            if name in BALLS:
                (x, y, z), radius = BALLS[name]
                side = (xyz[:, 0] > 0) == (hemi == "R")
                distance = np.where(side, np.linalg.norm(xyz - np.array([sign * x, y, z]), axis=1), np.inf)
                masks[name][hemi] = distance <= max(radius, float(distance.min()))
            else:
                numbers = SUBCORTEX[NAMES_IN_SEGMENTATION.get(name, name)][0]
                masks[name][hemi] = aseg == numbers[HEMISPHERES.index(hemi)]
    return masks


def first_release(
    cortical: dict[str, np.ndarray], structures: dict[str, dict[str, np.ndarray]]
) -> dict[str, np.ndarray]:
    """Name masks as in the first release: each hemisphere for itself, structures by their PickAtlas files.

    Parameters
    ----------
    cortical, structures : dict
        From `cortical_masks` and `structure_masks`.

    Returns
    -------
    dict of str to ndarray of bool, shape (n_voxels,)
        All masks.
    """
    masks = dict(cortical)
    for name, sides in structures.items():
        for hemi, mask in sides.items():
            called = NAMES_IN_PICKATLAS.get(name, name.capitalize())
            source = "aal_MNI_V4" if ATLAS_OF.get(name) == "aal" else "TD"
            masks[f"pickatlas_r_w{source}_{called}_{hemi}"] = mask
    return masks


def second_release(
    cortical: dict[str, np.ndarray], structures: dict[str, dict[str, np.ndarray]]
) -> dict[str, np.ndarray]:
    """Name masks as in the second release: those of the first for cortex, and unions of both hemispheres.

    Parameters
    ----------
    cortical, structures : dict
        From `cortical_masks` and `structure_masks`.

    Returns
    -------
    dict of str to ndarray of bool, shape (n_voxels,)
        All masks.
    """
    both = {
        f"hcp180_{area}": cortical[f"hcp180_r_lh.L_{area}_ROI"] | cortical[f"hcp180_r_rh.R_{area}_ROI"]
        for area in AREAS
    }
    joined = {STRUCTURES[name][0]: sides["L"] | sides["R"] for name, sides in structures.items()}
    cortex = np.any(list(both.values()), axis=0)
    whole = cortex | np.any(list(joined.values()), axis=0)
    return {"WholeBrain": whole, "Cortex": cortex, **joined, **cortical, **both}

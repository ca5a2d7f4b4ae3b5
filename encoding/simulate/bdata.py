"""Block means of a simulated study as HDF5 files of both releases, and its feature spaces as released."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from scipy.io import savemat
from scipy.spatial import cKDTree

from ..core import Grid as VoxelGrid
from ..io.atomic import atomic_file, atomic_folder
from ..io.bdata.rois import AREAS, NETWORKS, STRUCTURES
from .presets import HEMISPHERES, REGIONS, region_number
from .spaces import SimulatedSpace
from .targets import SUBCORTEX, Grid, TargetSet

# The first release was written by MATLAB, which packed large matrices in chunks of a tenth of each edge.
PACKED_BYTES = 10_000_000
PACKING = 4
ROWS_AT_ONCE = 36
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


@dataclass(frozen=True, eq=False)
class BlockTable:
    """The block means of one subject."""

    values: np.ndarray  # (n_blocks, n_voxels) Responses, perhaps a memory map
    session: np.ndarray  # (n_blocks,) Numbers from 1
    run: np.ndarray  # (n_blocks,) Numbers from 1, within the session
    label: np.ndarray  # (n_blocks,) Number of what was shown; a stimulus that is shown again has a number of its own
    stimulus: np.ndarray  # (n_blocks,) The same, but the number of the original
    names: Mapping[int, str]  # Name of each original
    ijk: np.ndarray  # (n_voxels, 3) Voxel indices
    grid: VoxelGrid  # Where they lie


def write_sessions(folder: Path, number: int, table: BlockTable, masks: Mapping[str, np.ndarray]) -> list[Path]:
    """Write the files of the first release.

    Runs, blocks and sessions start at 1 in each file; the third label is the stimulus.

    Shapes: `masks` (n_voxels,).
    """
    paths = []
    for session in np.unique(table.session).tolist():
        here = np.flatnonzero(table.session == session)
        order = np.arange(len(here)) + 1
        columns = {
            "Session": np.ones((len(here), 1)),
            "Run": table.run[here, None],
            "Block": order[:, None],
            "Label": np.stack([np.ones(len(here)), order, table.label[here]], axis=1),
        }
        paths.append(folder / f"fmri_Subject{number}_Session{session}.h5")
        _write(paths[-1], table, slice(int(here[0]), int(here[-1]) + 1), columns, masks, packed=True)
    return paths


def write_single(folder: Path, number: int, table: BlockTable, masks: Mapping[str, np.ndarray]) -> Path:
    """Write the file of the second release: runs are numbered across sessions, stimuli have names.

    Shapes: `masks` (n_voxels,).
    """
    n = len(table.session)
    starts = np.diff(table.run, prepend=0) != 0
    columns = {
        "Session": table.session[:, None],
        "Run": np.cumsum(starts)[:, None],
        "Block": np.arange(n)[:, None] + 1,
        "Label": np.stack([np.ones(n), table.stimulus], axis=1),
    }
    path = folder / f"fmri_Subject{number}.h5"
    _write(path, table, slice(0, n), columns, masks, packed=False)
    return path


def _write(
    path: Path,
    table: BlockTable,
    rows: slice,
    columns: dict[str, np.ndarray],
    masks: Mapping[str, np.ndarray],
    *,
    packed: bool,
) -> None:
    n_voxels, n_extra = len(table.ijk), sum(values.shape[1] for values in columns.values())
    extra = np.concatenate(list(columns.values()), axis=1).astype(np.float64)
    n_keys = 1 + len(columns) + 6 + len(masks) + (not packed)
    lines = _metadata(table, columns, masks, named=not packed)
    texts: list[tuple[str, str]] = []
    with atomic_file(path) as temporary, h5py.File(temporary, "w") as file:
        data = _matrix(file, "dataset", (len(extra), n_voxels + n_extra), packed=packed)
        for first in range(0, len(extra), ROWS_AT_ONCE):
            part = slice(first, min(first + ROWS_AT_ONCE, len(extra)))
            block = table.values[rows.start + part.start : rows.start + part.stop]
            data[part] = np.concatenate([block.astype(np.float64), extra[part]], axis=1)
        value = _matrix(file, "metadata/value", (n_keys, n_voxels + n_extra), packed=packed)
        step = value.chunks[0] if value.chunks else ROWS_AT_ONCE
        while some := list(islice(lines, step)):
            value[len(texts) : len(texts) + len(some)] = np.stack([line for _, _, line in some])
            texts += [(key, text) for key, text, _ in some]
        file["metadata/key"] = [key.encode() for key, _ in texts]
        file["metadata/description"] = [text.encode() for _, text in texts]
        if not packed:
            for number, name in table.names.items():
                file[f"vmap/stimulus_name/{float(number)}"] = name.encode()


def _matrix(file: h5py.File, name: str, shape: tuple[int, int], *, packed: bool) -> Any:
    options: dict[str, Any] = {}
    if packed and 8 * shape[0] * shape[1] > PACKED_BYTES:
        options = {"chunks": tuple(edge // 10 + 1 for edge in shape), "compression": PACKING}
    return file.create_dataset(name, shape, dtype=np.float64, **options)


def _metadata(
    table: BlockTable, columns: dict[str, np.ndarray], masks: Mapping[str, np.ndarray], *, named: bool
) -> Iterator[tuple[str, str, np.ndarray]]:
    """Yield key, description and values of every row of metadata."""
    n_voxels = len(table.ijk)
    widths = {"VoxelData": n_voxels, **{key: values.shape[1] for key, values in columns.items()}}
    total, start = sum(widths.values()), 0

    def row(values: Any, where: slice) -> np.ndarray:
        line = np.full(total, np.nan)
        line[where] = values
        return line

    for key, width in widths.items():
        yield key, f"1 = {key}", row(1.0, slice(start, start + width))
        start += width
    if named:
        yield "stimulus_name", "Label stimulus_name", row(1.0, slice(total - 1, total))
    voxels = slice(0, n_voxels)
    xyz = table.ijk @ table.grid.affine[:3, :3].T + table.grid.affine[:3, 3]
    for key, values in zip("xyz", xyz.T, strict=True):
        yield f"voxel_{key}", f"Voxel {key} coordinate", row(values, voxels)
    for key, values in zip("ijk", table.ijk.T, strict=True):
        yield f"voxel_{key}", f"Voxel {key} index", row(values, voxels)
    for key, mask in masks.items():
        yield key, f"1 = ROI {key}", row(mask, voxels)


def write_features(folder: Path, space: SimulatedSpace, shown: np.ndarray) -> Path:
    """Write a feature space as in the first release: a struct ``L``, whose row i belongs to label i.

    Shapes: `shown` (n_labels,).
    """
    names = np.empty((1, len(space.columns)), dtype=object)
    names[0] = space.columns
    path = folder / f"{space.name}.mat"
    with atomic_file(path) as temporary:
        savemat(temporary, {"L": {"feat": np.round(space.table, 4)[shown], "featname": names}})
    return path


def write_feature_files(folder: Path, space: SimulatedSpace, stimuli: np.ndarray) -> Path:
    """Write a feature space as in the second release: a file per stimulus.

    Shapes: `stimuli` (n_stimuli,).
    """
    with atomic_folder(folder / space.name) as temporary:
        for name, values in zip(stimuli.tolist(), np.round(space.table, 4), strict=True):
            savemat(temporary / f"{name}.mat", {"feat": values[None]})
    return folder / space.name


def area_labels(targets: TargetSet, grid: Grid) -> dict[str, np.ndarray]:
    """Divide the cortex of each hemisphere into 180 areas.

    Planted regions are divided among the areas that stand for them; the rest belongs to the nearest of seeds that lie
    as far from each other as can be. On coarse grids some areas have no voxel.

    Returns (n_voxels,).
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
    """Choose up to n points by farthest-point sampling."""
    chosen = [int(np.argmax(points[:, 1]))]
    distance = np.linalg.norm(points - points[chosen[0]], axis=1)
    while len(chosen) < min(n, len(points)):
        chosen.append(int(np.argmax(distance)))
        distance = np.minimum(distance, np.linalg.norm(points - points[chosen[-1]], axis=1))
    return np.asarray(chosen)


def cortical_masks(labels: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Name the masks of areas and networks as in the releases.

    Returns (n_voxels,).
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

    Returns (n_voxels,).
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
    """Name masks as in the first release: one per hemisphere, structures by their PickAtlas files.

    Returns (n_voxels,).
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

    Returns (n_voxels,).
    """
    both = {
        f"hcp180_{area}": cortical[f"hcp180_r_lh.L_{area}_ROI"] | cortical[f"hcp180_r_rh.R_{area}_ROI"]
        for area in AREAS
    }
    joined = {STRUCTURES[name][0]: sides["L"] | sides["R"] for name, sides in structures.items()}
    cortex = np.any(list(both.values()), axis=0)
    whole = cortex | np.any(list(joined.values()), axis=0)
    return {"WholeBrain": whole, "Cortex": cortex, **joined, **cortical, **both}

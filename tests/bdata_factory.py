"""Small bdata files of both releases, written by bdpy, and ways to damage them."""

import warnings
from dataclasses import dataclass, field

import h5py
import numpy as np
import pytest

from encoding.io.bdata.rois import AREAS, NETWORKS, STRUCTURES

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # escapes in its source that newer Pythons warn of
    BData = pytest.importorskip("bdpy", reason="bdpy, which writes the files, is not installed").BData

# 2 mm voxels in a tilted head whose middle is not at 0.
TILT = np.deg2rad(7)
AFFINE = np.array(
    [
        [2 * np.cos(TILT), 0.0, -2 * np.sin(TILT), -20.0],
        [0.0, 2.0, 0.0, -15.0],
        [2 * np.sin(TILT), 0.0, 2 * np.cos(TILT), 8.0],
        [0.0, 0.0, 0.0, 1.0],
    ]
)
SHAPE = (24, 7, 6)
MIDDLE = 12
# Areas from back to front, those that are told by their place where `Brain._placed` puts such voxels.
BACK, LOW, HIGH, FRONT = ("V1", "V2"), ("TGd", "TGv"), ("4",), ("9m", "10d")
OTHERS = [area for area in AREAS if area not in BACK + LOW + HIGH + FRONT]
IN_PLACE = (*BACK, *HIGH, *OTHERS, *LOW, *FRONT)
AAL = ("thalamus", "hippocampus", "pallidum", "amygdala")
PICKATLAS = {"nuc_accum": "TD_Brodmann_area_34", "brainstem": "TD_Brainstem"}


@dataclass
class Brain:
    """What the files of one subject hold; voxels are in a random order, as nothing says that they are not."""

    seed: int = 0
    runs: tuple = (3, 2)
    n_blocks: int = 4
    ijk: np.ndarray = field(init=False)
    values: np.ndarray = field(init=False)
    masks: dict = field(init=False)
    label: np.ndarray = field(init=False)

    def __post_init__(self):
        rng = np.random.default_rng(self.seed)
        self.ijk = rng.permutation(np.argwhere(rng.random(SHAPE) < 0.8))
        n_rows = sum(self.runs) * self.n_blocks
        self.values = rng.standard_normal((n_rows, len(self.ijk))) * 3 + 10
        self.label = rng.permutation(n_rows) + 1
        self.masks = self._masks(rng)

    def _masks(self, rng):
        left = self.ijk[:, 0] < MIDDLE
        masks = {}
        for side, hemi in (("L", left), ("R", ~left)):
            voxels = np.flatnonzero(hemi)
            # Slice by slice from back to front, each from below to above.
            voxels = voxels[np.argsort(self.ijk[voxels] @ [1, 10000, 100])]
            for names, pattern in ((IN_PLACE, "hcp180_r_{1}h.{0}_{2}_ROI"), (NETWORKS, "yeo2011_17_r_{1}h.{2}")):
                order = self._placed(voxels) if names is IN_PLACE else voxels
                for name, part in zip(names, np.array_split(order, len(names)), strict=True):
                    mask = np.zeros(len(self.ijk), bool)
                    mask[part] = True
                    masks[pattern.format(side, side.lower(), name)] = mask
        for name in STRUCTURES:
            for side, hemi in (("L", left), ("R", ~left)):
                masks[f"{name}_{side}"] = hemi & (rng.random(len(self.ijk)) < 0.05)
        return masks

    def _placed(self, voxels):
        """Move the highest voxels of the third slice behind the first, and the lowest of the fifth before the last."""
        n = -(-len(voxels) // len(IN_PLACE))
        slices = self.ijk[voxels, 1]
        high, low = voxels[slices == 2][-n:], voxels[slices == 4][: 2 * n]
        rest = voxels[~np.isin(voxels, [*high, *low])]
        return np.concatenate([rest[: 2 * n], high, rest[2 * n : -2 * n], low, rest[-2 * n :]])

    @property
    def xyz(self):
        return self.ijk @ AFFINE[:3, :3].T + AFFINE[:3, 3]

    @property
    def session(self):
        return np.repeat(np.arange(len(self.runs)) + 1, np.array(self.runs) * self.n_blocks)

    @property
    def run(self):
        """Numbers within the session."""
        return np.concatenate([np.repeat(np.arange(n) + 1, self.n_blocks) for n in self.runs])

    @property
    def stimulus(self):
        return np.array([f"video{number:04d}" for number in self.label])

    def structure(self, name):
        return self.masks[f"{name}_L"] | self.masks[f"{name}_R"]


def _add_voxels(bdata, brain):
    for key, values in zip(("x", "y", "z"), brain.xyz.T, strict=True):
        bdata.add_metadata(f"voxel_{key}", values, f"Voxel {key} coordinate", where="VoxelData")
    for key, values in zip(("i", "j", "k"), brain.ijk.T, strict=True):
        bdata.add_metadata(f"voxel_{key}", values.astype(float), f"Voxel {key} index", where="VoxelData")


def _add_masks(bdata, masks):
    for key, mask in masks.items():
        bdata.add_metadata(key, mask.astype(float), f"1 = ROI {key}", where="VoxelData")


def pickatlas(name, side):
    """Name of a row of the first release."""
    if name in AAL:
        return f"pickatlas_r_waal_MNI_V4_{name.capitalize()}_{side}"
    return f"pickatlas_r_w{PICKATLAS.get(name, 'TD_' + name.capitalize())}_{side}"


def write_sessions(folder, brain, number=1, *, counts_on=False):
    """First release: a file per session, runs and blocks restart, the third label is the stimulus."""
    paths = []
    for session in np.unique(brain.session):
        here = brain.session == session
        before = sum(brain.runs[: session - 1]) if counts_on else 0
        bdata = BData()
        bdata.add(brain.values[here], "VoxelData")
        bdata.add(np.full((here.sum(), 1), session if counts_on else 1.0), "Session")
        bdata.add(brain.run[here, None] + float(before), "Run")
        bdata.add(np.arange(here.sum())[:, None] + 1.0, "Block")
        label = brain.label[here]
        bdata.add(np.stack([np.ones(here.sum()), 2000.0 - label, label], axis=1), "Label")
        _add_voxels(bdata, brain)
        _add_masks(bdata, {key: mask for key, mask in brain.masks.items() if key.startswith(("hcp", "yeo"))})
        _add_masks(
            bdata, {pickatlas(name, side): brain.masks[f"{name}_{side}"] for name in STRUCTURES for side in "LR"}
        )
        paths.append(folder / f"fmri_Subject{number}_Session{session}.h5")
        bdata.save(str(paths[-1]))
    return paths


def write_single(folder, brain, number=1, *, runs="count on", bilateral=False):
    """Second release: one file, stimuli by name, masks of both sides joined too."""
    bdata = BData()
    n = len(brain.label)
    offset = np.concatenate([[0], np.cumsum(brain.runs)])[brain.session - 1]
    bdata.add(brain.values, "VoxelData")
    bdata.add(brain.session[:, None].astype(float), "Session")
    bdata.add((brain.run + (offset if runs == "count on" else 0))[:, None].astype(float), "Run")
    bdata.add(np.arange(n)[:, None] + 1.0, "Block")
    bdata.add(np.stack([np.ones(n), brain.label], axis=1), "Label")
    for place, key in enumerate(("event_type", "stimulus_name")):
        values = np.full(2, np.nan)
        values[place] = 1
        bdata.add_metadata(key, values, f"Label {key}", where="Label")
    _add_voxels(bdata, brain)
    areas = {
        f"hcp180_{a}": brain.masks[f"hcp180_r_lh.L_{a}_ROI"] | brain.masks[f"hcp180_r_rh.R_{a}_ROI"] for a in AREAS
    }
    sides = {key: mask for key, mask in brain.masks.items() if key.startswith(("hcp", "yeo"))}
    structures = {row: brain.structure(name) for name, (row, _) in STRUCTURES.items()}
    cortex = np.any(list(areas.values()), axis=0)
    _add_masks(bdata, {"WholeBrain": cortex | np.any(list(structures.values()), axis=0), "Cortex": cortex})
    _add_masks(bdata, structures)
    _add_masks(bdata, {key: mask for key, mask in sides.items() if not bilateral or key.startswith("yeo")} | areas)
    bdata.add_vmap("stimulus_name", {float(k): f"video{k:04d}" for k in brain.label})
    path = folder / f"fmri_Subject{number}.h5"
    bdata.save(str(path))
    return path


def key_of(file, key):
    """Row of a key in an open file."""
    return [text.decode() for text in file["metadata/key"][()]].index(key)


def set_row(path, key, values):
    """Replace a row of metadata, or what a function makes of it."""
    with h5py.File(path, "r+") as file:
        row = key_of(file, key)
        file["metadata/value"][row] = values(file["metadata/value"][row]) if callable(values) else values


def set_column(path, key, values, place=0):
    """Replace the column of the dataset that a key selects, or what a function makes of it."""
    with h5py.File(path, "r+") as file:
        column = np.flatnonzero(file["metadata/value"][key_of(file, key)] == 1)[place]
        file["dataset"][:, column] = values(file["dataset"][:, column]) if callable(values) else values


def rename(path, changes):
    """Change names of rows of metadata."""
    with h5py.File(path, "r+") as file:
        keys = [text.decode() for text in file["metadata/key"][()]]
        del file["metadata/key"]
        file["metadata/key"] = [changes.get(key, key).encode() for key in keys]


def replace(path, name, make):
    """Replace an array by what a function makes of it."""
    with h5py.File(path, "r+") as file:
        made = make(file[name][()])
        del file[name]
        file[name] = made

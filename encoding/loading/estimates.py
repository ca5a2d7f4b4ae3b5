"""Files of estimates per trial, in the formats that programs write them."""

import gzip
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np

from ..core import AlignmentError, DataError, Targets, suggest
from ..io.arrays import open_npy
from ..io.bids.runs import BidsIndex
from ..io.bids.sidecars import entities_of
from ..io.fetched import require_fetched
from ..io.images.cifti import read_grayordinates
from ..io.images.surfaces import HEMISPHERES, read_vertices
from ..io.images.volumes import (
    grid_of,
    open_volume,
    read_mask,
    read_voxels,
    readable,
    varying_voxels,
    voxel_targets,
)
from ..io.patterns import find_files
from ..io.pickled import is_pickled, read_pickled_arrays
from ..io.tables import numbers_of, read_table, require_no_row_numbers
from .loader import Betas, dataset_path

# Reads the trials of a slice: (n_trials, n_targets) of float32.
Reader = Callable[[slice], np.ndarray]
KNOWN = ("betasmd", "betas")  # of GLMsingle, and of NSD
ARRAYS = (".npy", ".h5", ".hdf5", ".hdf", ".mat")
LEFT = ("L", "lh", "left")


@dataclass(frozen=True, eq=False, slots=True)
class Estimates:
    """Estimates that can be read trial by trial."""

    n_trials: int
    targets: Targets
    read: Reader


@dataclass(frozen=True, slots=True)
class BetaFile:
    """The file, or the two files of both hemispheres, of one session."""

    session: str  # Label; "" where one file holds all sessions
    paths: tuple[Path, ...]

    @property
    def path(self) -> Path:
        """The first file."""
        return self.paths[0]


def files_of(loader: Betas, index: BidsIndex, subject: str) -> list[BetaFile]:
    """Find the files of a subject, in the order of sessions."""
    pattern = str(loader.file).replace("{subject}", subject)
    if "{" not in pattern:
        return [BetaFile("", (dataset_path(index, pattern, subject),))]
    groups: dict[str, dict[str, Path]] = {}
    for values, path in find_files(pattern, index.bids_dir):
        groups.setdefault(values.get("session", ""), {})[values.get("hemi", "")] = path
    if not groups:
        raise DataError(f"{index.bids_dir}: no file of sub-{subject} is named like file = {loader.file!r} in [load].")
    found = []
    for session in sorted(groups, key=lambda label: (not label.isdigit(), int(label) if label.isdigit() else 0, label)):
        sides = groups[session]
        order = sorted(sides, key=lambda side: side not in LEFT)
        if "{hemi}" in pattern and [side in LEFT for side in order] != [True, False]:
            names = ", ".join(path.name for path in sides.values())
            raise DataError(
                f"sub-{subject}: {names}: one file of each hemisphere is needed, named L and R or lh and rh."
            )
        found.append(BetaFile(session, tuple(sides[side] for side in order)))
    require_fetched(paths_of(found), f"sub-{subject}")
    return found


def paths_of(files: Sequence[BetaFile]) -> list[Path]:
    """List all files."""
    return [path for file in files for path in file.paths]


def open_estimates(
    loader: Betas, index: BidsIndex, subject: str, files: Sequence[BetaFile], n_trials: int
) -> Estimates:
    """Open the files of all sessions as one; `n_trials` of the table tells trials from targets in an array."""
    # Of several sessions only the sum of trials is known.
    parts = [_open(loader, index, subject, file, n_trials if len(files) == 1 else None) for file in files]
    first = parts[0]
    if len(parts) == 1:
        return first
    for file, part in zip(files, parts, strict=True):
        if not part.targets.same_as(first.targets):
            raise AlignmentError(
                f"{file.path}: {part.targets!r} are not the {first.targets!r} of {files[0].path.name}."
            )
    edges = np.cumsum([0, *(part.n_trials for part in parts)]).tolist()

    def read(rows: slice) -> np.ndarray:
        start, stop, _ = rows.indices(edges[-1])
        pieces = [
            part.read(slice(max(start - begin, 0), min(stop, end) - begin))
            for part, begin, end in zip(parts, edges, edges[1:], strict=False)
            if begin < stop and end > start
        ]
        return np.concatenate(pieces)

    return Estimates(edges[-1], first.targets, read)


def _open(loader: Betas, index: BidsIndex, subject: str, files: BetaFile, n_trials: int | None) -> Estimates:
    file, name = files.path, files.path.name
    mask = None if loader.mask in ("brain", "none") else dataset_path(index, loader.mask, subject)
    if len(files.paths) == 2:
        return _surface(loader, files.paths)
    if name.endswith((".dscalar.nii", ".dtseries.nii")):
        space = loader.space or entities_of(name)[0].get("space", "") or "fsLR"
        values, targets, _ = read_grayordinates(file, space, loader.res or "", series=False)
        return Estimates(len(values), targets, lambda rows: values[rows])
    if name.endswith((".nii", ".nii.gz")):
        return _image(loader, mask, file)
    if file.suffix in (".gii", ".mgh", ".mgz"):
        raise DataError(f"{file}: holds one hemisphere. Put {{hemi}} into `file` in [load], so that both are read.")
    if file.suffix in ARRAYS:
        return _array(loader, mask, file, n_trials)
    if mask is not None:
        raise DataError(f"{file}: a mask ({loader.mask!r}) needs betas in a NIfTI image, not in a table.")
    if loader.key is not None:
        raise DataError(f"{file}: key = {loader.key!r} names an array of an HDF5 or MATLAB file, and this is neither.")
    frame = read_table(file)
    require_no_row_numbers(frame, str(file), choose="")
    names = [str(name) for name in frame.columns]
    table = np.stack([numbers_of(frame, name, str(file)) for name in frame.columns], axis=1).astype(np.float32)
    return Estimates(len(table), Targets.of_columns(names), lambda rows: np.array(table[rows]))


def _image(loader: Betas, path: Path | None, file: Path) -> Estimates:
    image = open_volume(file)
    grid = grid_of(image)
    if loader.mask == "brain":
        mask, _ = varying_voxels(file)
    elif path is None:
        mask = np.ones(grid.shape, dtype=bool)
    else:
        mask, mask_grid = read_mask(path)
        if not mask_grid.same_as(grid):
            raise AlignmentError(
                f"{path}: its grid {mask_grid.shape} differs in shape or affine from the grid {grid.shape} of "
                f"{file.name}. Resample the mask."
            )
    if not mask.any():
        raise DataError(f"{file}: no voxel to load (mask = {loader.mask!r}). The mask is empty.")
    stated, _ = entities_of(file.name)
    targets = voxel_targets(mask, grid, loader.space or stated.get("space", ""), loader.res or stated.get("res", ""))
    n_trials = image.shape[3] if len(image.shape) == 4 else 1
    return Estimates(n_trials, targets, lambda rows: read_voxels(file, targets, rows))


def _surface(loader: Betas, paths: tuple[Path, ...]) -> Estimates:
    space = loader.space or entities_of(paths[0].name)[0].get("space", "")
    if not space:
        raise DataError(f"{paths[0]}: its name tells no space. Set `space` in [load], such as fsaverage or fsaverage5.")
    if paths[0].suffix == ".gii":
        values, targets, _ = read_vertices(paths, space)
        return Estimates(len(values), targets, lambda rows: values[rows])
    sides = []
    for path in paths:
        with readable(path):
            content = path.read_bytes()
            image: Any = nib.MGHImage.from_bytes(gzip.decompress(content) if path.suffix == ".mgz" else content)
            sides.append(np.asarray(image.dataobj, dtype=np.float32))
    # MGH files hold (n_vertices, 1, 1, n_trials).
    left, right = (side.reshape(-1, side.shape[-1] if side.ndim == 4 else 1).T for side in sides)
    if len(left) != len(right):
        raise DataError(f"{paths[0].name} holds {len(left)} estimates, but {paths[1].name} {len(right)}.")
    sizes = dict(zip(HEMISPHERES, (left.shape[1], right.shape[1]), strict=True))
    index = np.concatenate([np.arange(size) for size in sizes.values()])
    targets = Targets("vertex", space, index, np.repeat(list(sizes), list(sizes.values())), n_vertices=sizes)
    both = np.concatenate([left, right], axis=1)
    return Estimates(len(both), targets, lambda rows: both[rows])


def _array(loader: Betas, path: Path | None, file: Path, n_trials: int | None) -> Estimates:
    """Open an array: trials by targets, or volumes of trials whose grid is that of the mask."""
    values, key = _values(loader, file)
    where = f"{file}{f' ({key})' if key else ''}: shape {values.shape}"
    if values.ndim == 4 and min(values.shape[1:3]) == max(values.shape[1:3]) == 1 and path is None:
        values = values[:, 0, 0]  # GLMsingle on (n_targets, n_volumes) data
        if n_trials is None:
            return _flat(values, None, where, swap=True)
    if values.ndim == 2:
        swap = n_trials is not None and values.shape[0] != n_trials == values.shape[1]
        if n_trials is not None and values.shape[0] == values.shape[1] == n_trials and file.suffix != ".npy":
            raise DataError(f"{where}: as many trials as targets. Save it as .npy of shape (n_trials, n_targets).")
        return _flat(values, _mask_targets(loader, path) if path else None, where, swap=swap)
    if values.ndim != 4:
        raise DataError(f"{where}; (n_trials, n_targets) was needed, or three axes of space and one of trials.")
    if path is None:
        raise DataError(
            f"{where}: an array does not tell where its voxels lie. Set `mask` in [load] to an image of the same grid."
        )
    targets = _mask_targets(loader, path)
    assert targets.grid is not None
    shape = targets.grid.shape
    forward, backward = values.shape[:3] == shape, values.shape[1:] == shape[::-1]
    if forward == backward:
        raise DataError(
            f"{where}, but the mask {path.name} has {shape}; needed are (x, y, z, n_trials), or reversed, as h5py "
            f"shows what MATLAB wrote."
        )
    i, j, k = np.unravel_index(targets.index, shape)

    def read(rows: slice) -> np.ndarray:
        if forward:
            return np.ascontiguousarray(np.asarray(values[..., rows])[i, j, k].T, dtype=np.float32)
        return np.asarray(values[rows])[:, k, j, i].astype(np.float32)

    return Estimates(values.shape[3 if forward else 0], targets, read)


def _flat(values: Any, targets: Targets | None, where: str, *, swap: bool) -> Estimates:
    n_trials, n_targets = values.shape[::-1] if swap else values.shape
    if targets is not None and len(targets) != n_targets:
        raise DataError(
            f"{where}: {n_targets} targets, but the mask has {len(targets)} voxels. They must be the voxels of the "
            f"mask, in the order of values[mask] in NumPy."
        )
    names = [f"target_{i + 1}" for i in range(n_targets)]

    def read(rows: slice) -> np.ndarray:
        return np.array(values[:, rows].T if swap else values[rows], dtype=np.float32)

    return Estimates(n_trials, Targets.of_columns(names) if targets is None else targets, read)


def _mask_targets(loader: Betas, path: Path) -> Targets:
    inside, grid = read_mask(path)
    if not inside.any():
        raise DataError(f"{path}: the mask is empty. Give another `mask` in [load].")
    stated, _ = entities_of(path.name)
    return voxel_targets(inside, grid, loader.space or stated.get("space", ""), loader.res or stated.get("res", ""))


def _values(loader: Betas, file: Path) -> tuple[Any, str]:
    """Open the array of a file; HDF5 is read when it is asked for."""
    if file.suffix == ".npy" and not is_pickled(file):
        if loader.key is not None:
            raise DataError(
                f"{file}: key = {loader.key!r} names an array of a file that holds several, and this holds one."
            )
        values = open_npy(file)
        if values.dtype.kind not in "fiu":
            raise DataError(f"{file}: shape {values.shape} of {values.dtype}; (n_trials, n_targets) was needed.")
        return values, ""
    if file.suffix == ".npy":
        arrays = read_pickled_arrays(file)
    else:
        arrays = _matlab_5(file) if file.suffix == ".mat" and not _is_hdf5(file) else _hdf5(file)
    names = [name for name in arrays if arrays[name].ndim in (2, 4) and max(arrays[name].shape) > 1]
    wanted = loader.key or next((name for name in KNOWN if name in arrays), "")
    if not wanted and len(names) == 1:
        wanted = names[0]
    if wanted not in arrays:
        problem = (
            f"no array {wanted!r}. {suggest(wanted, list(arrays))}" if wanted else f"{len(names)} arrays ({names})"
        )
        raise DataError(f"{file}: {problem} Set `key` in [load] to the array of estimates.")
    return arrays[wanted], wanted


def _is_hdf5(file: Path) -> bool:
    import h5py

    return bool(h5py.is_hdf5(file))


def _hdf5(file: Path) -> dict[str, Any]:
    import h5py

    found: dict[str, Any] = {}
    with readable(file):
        opened = h5py.File(file, "r")  # stays open while trials are read
        opened.visititems(
            lambda name, item: (
                found.update({name: item}) if isinstance(item, h5py.Dataset) and item.dtype.kind in "fiu" else None
            )
        )
    return found


def _matlab_5(file: Path) -> dict[str, Any]:
    import scipy.io

    with readable(file):
        content = scipy.io.loadmat(file)
    return {name: item for name, item in content.items() if isinstance(item, np.ndarray) and item.dtype.kind in "fiu"}

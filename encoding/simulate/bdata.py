"""Block means of a simulated study as HDF5 files of both releases, and its feature spaces as released."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from scipy.io import savemat

from ..core import Grid
from ..io.atomic import atomic_file, atomic_folder
from .spaces import SimulatedSpace

# The first release was written by MATLAB, which packed large matrices in chunks of a tenth of each edge.
PACKED_BYTES = 10_000_000
PACKING = 4
ROWS_AT_ONCE = 36


@dataclass(frozen=True, eq=False)
class BlockTable:
    """The block means of one subject.

    Attributes
    ----------
    values : ndarray of float32, shape (n_blocks, n_voxels)
        Responses, perhaps a memory map.
    session, run : ndarray of int64, shape (n_blocks,)
        Numbers from 1; the run within its session.
    label : ndarray of int64, shape (n_blocks,)
        Number of what was shown; a stimulus that is shown again has a number of its own.
    stimulus : ndarray of int64, shape (n_blocks,)
        The same, but the number of the original.
    names : mapping of int to str
        Name of each original.
    ijk : ndarray of int64, shape (n_voxels, 3)
        Voxel indices.
    grid : Grid
        Where they lie.
    """

    values: np.ndarray
    session: np.ndarray
    run: np.ndarray
    label: np.ndarray
    stimulus: np.ndarray
    names: Mapping[int, str]
    ijk: np.ndarray
    grid: Grid


def write_sessions(folder: Path, number: int, table: BlockTable, masks: Mapping[str, np.ndarray]) -> list[Path]:
    """Write the files of the first release.

    Runs, blocks and sessions start at 1 in each file; the third label is the stimulus.

    Parameters
    ----------
    folder : Path
        Where to.
    number : int
        Number of the subject.
    table : BlockTable
        Its blocks.
    masks : mapping of str to ndarray of bool, shape (n_voxels,)
        Masks by the names of their rows.

    Returns
    -------
    list of Path
        One per session.
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
    """Write the file of the second release: runs are numbered on over sessions, stimuli have names.

    Parameters
    ----------
    folder : Path
        Where to.
    number : int
        Number of the subject.
    table : BlockTable
        Its blocks.
    masks : mapping of str to ndarray of bool, shape (n_voxels,)
        Masks by the names of their rows.

    Returns
    -------
    Path
        The file.
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

    Parameters
    ----------
    folder : Path
        Where to.
    space : SimulatedSpace
        Features of the stimuli.
    shown : ndarray of int64, shape (n_labels,)
        Row of the stimulus that each label shows.

    Returns
    -------
    Path
        ``<name>.mat``.
    """
    names = np.empty((1, len(space.columns)), dtype=object)
    names[0] = space.columns
    path = folder / f"{space.name}.mat"
    with atomic_file(path) as temporary:
        savemat(temporary, {"L": {"feat": np.round(space.table, 4)[shown], "featname": names}})
    return path


def write_feature_files(folder: Path, space: SimulatedSpace, stimuli: np.ndarray) -> Path:
    """Write a feature space as in the second release: a file per stimulus.

    Parameters
    ----------
    folder : Path
        Where to.
    space : SimulatedSpace
        Features of the stimuli.
    stimuli : ndarray of str, shape (n_stimuli,)
        Their names.

    Returns
    -------
    Path
        The folder ``<name>``.
    """
    with atomic_folder(folder / space.name) as temporary:
        for name, values in zip(stimuli.tolist(), np.round(space.table, 4), strict=True):
            savemat(temporary / f"{name}.mat", {"feat": values[None]})
    return folder / space.name

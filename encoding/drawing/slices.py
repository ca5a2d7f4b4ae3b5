"""Geometry of slices: reorientation, bounding box, and background."""

import weakref
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import nibabel as nib
import numpy as np
from scipy import ndimage

from ..core.errors import DataError, suggest

# Axis that is cut, then those that run to the right and up in the picture; right is right, front or top is up.
CUTS = {"axial": (2, 0, 1), "coronal": (1, 0, 2), "sagittal": (0, 1, 2)}
MARGIN = 1  # voxels around the covered box
FINEST = 1.0  # mm, pixels of a background

_LAST: dict[int, tuple[Any, tuple[np.ndarray, float, float]]] = {}  # the same image lies under all maps of a report

Background = np.ndarray | tuple[np.ndarray, np.ndarray] | None


@dataclass(frozen=True)
class Slab:
    """A volume in RAS orientation, and the window that is shown."""

    affine: np.ndarray  # (4, 4) Voxel to mm, of the turned grid
    covered: np.ndarray  # (x, y, z) Voxels with data
    window: tuple[slice, slice, slice]  # Box around the covered voxels, per axis
    cut: str  # "axial", "coronal" or "sagittal"

    def at(self, cut: str) -> "Slab":
        """Return the same volume, cut in another plane."""
        return replace(self, cut=cut)

    @property
    def zooms(self) -> np.ndarray:
        """Size of a voxel along each axis, in mm."""
        return np.linalg.norm(self.affine[:3, :3], axis=0)

    def take(self, volume: np.ndarray, index: int) -> np.ndarray:
        """Extract one slice of a reoriented volume.

        Shapes: `volume` (x, y, z); returns (rows, columns).
        """
        axis, across, up = CUTS[self.cut]
        plane = np.take(volume, index, axis=axis)
        return plane[self.window[across], self.window[up]].swapaxes(0, 1)

    def extent(self) -> tuple[float, float, float, float]:
        """Return the extent of the window."""
        _, across, up = CUTS[self.cut]
        return (*self._edges(across), *self._edges(up))

    def _edges(self, axis: int) -> tuple[float, float]:
        # Along an axis of an oblique grid, mm are counted from where the middle of the window lies.
        middle = np.array([(side.start + side.stop - 1) / 2 for side in self.window])
        centre = (self.affine @ [*middle, 1])[axis]
        half = (self.window[axis].stop - self.window[axis].start) / 2 * self.zooms[axis]
        return centre - half, centre + half

    def position(self, index: int) -> float:
        """Return the coordinate of a slice at the centre of the window."""
        axis = CUTS[self.cut][0]
        middle = np.array([(side.start + side.stop - 1) / 2 for side in self.window])
        middle[axis] = index
        return float((self.affine @ [*middle, 1])[axis])


def turn_upright(
    arrays: dict[str, np.ndarray], covered: np.ndarray, affine: np.ndarray, cut: str, title: str
) -> tuple[Slab, dict[str, np.ndarray]]:
    """Reorient arrays to RAS and find the bounding box of the data.

    Shapes: `arrays` (x, y, z), `covered` (x, y, z), `affine` (4, 4).
    """
    if cut not in CUTS:
        raise DataError(f"Slices {title!r}: direction {cut!r} is unknown. {suggest(cut, CUTS)}")
    for name, array in arrays.items():
        if array.ndim != 3 or array.shape != covered.shape:
            raise DataError(
                f"Slices {title!r}: {name} has shape {array.shape}, the mask {covered.shape}; "
                "both need the same three axes."
            )
    if not covered.any():
        raise DataError(f"Slices {title!r}: no voxel of {covered.shape} is covered (all NaN, or an empty mask).")
    turn = nib.io_orientation(np.asarray(affine, dtype=float))
    new_affine = affine @ nib.orientations.inv_ornt_aff(turn, covered.shape)
    covered = nib.apply_orientation(covered, turn)
    window = []
    for axis in range(3):
        used = np.flatnonzero(covered.any(axis=tuple({0, 1, 2} - {axis})))
        window.append(slice(max(used[0] - MARGIN, 0), min(used[-1] + 1 + MARGIN, covered.shape[axis])))
    turned = {name: nib.apply_orientation(array, turn) for name, array in arrays.items()}
    return Slab(new_affine, covered, (window[0], window[1], window[2]), cut), turned


def choose_slices(covered: np.ndarray, n_slices: int) -> np.ndarray:
    """Choose slices evenly between those that hold the first and last hundredth of the covered voxels.

    Shapes: `covered` (n,).

    Examples
    --------
    >>> choose_slices(np.array([0, 5, 5, 5, 0]), 12).tolist()
    [1, 2, 3]
    """
    share = np.cumsum(covered) / np.sum(covered)
    first, last = np.searchsorted(share, [0.01, 0.99])
    step = -(-(last - first + 1) // n_slices)  # whole steps, so that the slices are equally far apart
    start = first + (last - first) % step // 2
    return np.arange(start, last + 1, step)


def sample_background(slab: Slab, background: Background, affine: np.ndarray) -> Callable[[int], np.ndarray] | None:
    """Prepare a background: brightness 0-1 under each slice, on pixels of about 1 mm.

    Shapes: `affine` (4, 4).
    """
    if background is None:
        return None
    array, own = background if isinstance(background, tuple) else (background, affine)
    if np.ndim(array) != 3:
        raise DataError(f"Background of the slices has shape {np.shape(array)}; three axes are needed.")
    array, low, high = _levels(array)
    same = np.allclose(own, affine)
    _, across, up = CUTS[slab.cut]

    def sample(index: int) -> np.ndarray:
        fine = [1 if same else int(np.clip(np.ceil(zoom / FINEST), 1, 8)) for zoom in slab.zooms]
        grid = [(np.arange(s.start * k, s.stop * k) + 0.5) / k - 0.5 for s, k in zip(slab.window, fine, strict=True)]
        grid[CUTS[slab.cut][0]] = np.array([float(index)])
        points = np.stack(np.meshgrid(*grid, indexing="ij"), axis=-1)
        there = nib.affines.apply_affine(np.linalg.inv(own) @ slab.affine, points)
        seen = ndimage.map_coordinates(array, np.moveaxis(there, -1, 0), order=0 if same else 1, cval=0.0)
        plane = seen.transpose(up, across, CUTS[slab.cut][0])[:, :, 0]
        return np.clip((plane - low) / (high - low), 0, 1)

    return sample


def _levels(array: np.ndarray) -> tuple[np.ndarray, float, float]:
    """Return a background without NaN, and the values that are drawn black and white; the last one is remembered."""
    known = _LAST.get(id(array))
    if known is not None and known[0]() is array:
        return known[1]
    clean = np.nan_to_num(np.asarray(array, dtype=np.float32))
    bright = clean[clean > clean.mean()]
    low, high = np.percentile(bright, [1, 99.5]).tolist() if bright.size else (0.0, 1.0)
    found = clean, min(low * 0.35, high - 1e-9), high
    _LAST.clear()
    _LAST[id(array)] = (weakref.ref(array), found)
    return found


def trace_voxels(covered: np.ndarray, extent: tuple[float, float, float, float]) -> list[np.ndarray]:
    """Trace the border of a mask along the edges of its voxels.

    Shapes: `covered` (rows, columns); returns (2, 2).
    """
    rows, columns = covered.shape
    x = np.linspace(extent[0], extent[1], columns + 1)
    y = np.linspace(extent[2], extent[3], rows + 1)
    padded = np.pad(covered, 1)
    lines = []
    for row, column in np.argwhere(padded[1:-1, 1:] != padded[1:-1, :-1]):
        lines.append(np.array([(x[column], y[row]), (x[column], y[row + 1])]))
    for row, column in np.argwhere(padded[1:, 1:-1] != padded[:-1, 1:-1]):
        lines.append(np.array([(x[column], y[row]), (x[column + 1], y[row])]))
    return lines

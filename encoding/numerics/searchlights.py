"""Which voxels lie around a voxel."""

import itertools

import numpy as np


def sphere(radius: float, affine: np.ndarray) -> np.ndarray:
    """List the steps from a voxel to those whose centres lie within a radius.

    Shapes: `affine` (4, 4); returns (n_steps, 3).

    Examples
    --------
    >>> len(sphere(3.0, np.eye(4)))
    123
    """
    axes = np.asarray(affine, dtype=np.float64)[:3, :3]
    # Planes of voxels perpendicular to an axis of the grid are this far apart, also where the grid is sheared.
    spacing = 1 / np.linalg.norm(np.linalg.inv(axes), axis=1)
    reach = np.floor(radius / spacing + 1e-6).astype(int)
    steps = np.array(list(itertools.product(*(range(-r, r + 1) for r in reach.tolist()))), dtype=np.int64)
    return steps[np.linalg.norm(steps @ axes.T, axis=1) <= radius * (1 + 1e-6)]


def cube(edge: int) -> np.ndarray:
    """List the steps from a voxel to those of a cube about it.

    Returns (edge**3, 3).
    """
    half = edge // 2
    return np.array(list(itertools.product(range(-half, half + 1), repeat=3)), dtype=np.int64)


def neighbours(place: np.ndarray, shape: tuple[int, int, int], column: np.ndarray, steps: np.ndarray) -> np.ndarray:
    """Find the columns around some voxels.

    Shapes: `place` (n,), `column` (n_voxels,), `steps` (n_steps, 3); returns (n, n_steps).
    """
    there = np.stack(np.unravel_index(place, shape), axis=1)[:, None, :] + steps
    inside = np.all((there >= 0) & (there < shape), axis=2)
    flat = np.ravel_multi_index(tuple(np.moveaxis(np.where(inside[..., None], there, 0), 2, 0)), shape)
    return np.where(inside, column[flat], -1)

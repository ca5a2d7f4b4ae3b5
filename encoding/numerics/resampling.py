"""Rearrangements of rows that keep runs whole."""

import numpy as np


def circular_shift(run: np.ndarray, rng: np.random.Generator, minimum: int = 1) -> np.ndarray:
    """Shift the rows of every run in a circle by a random amount of its own.

    Shapes: `run` (n_samples,); returns (n_samples,).
    """
    order = np.arange(len(run))
    for label in dict.fromkeys(run.tolist()):
        rows = np.flatnonzero(run == label)
        # A shift of k one way is a shift of len - k the other way; both must be large enough.
        if len(rows) < 2 * minimum:
            raise ValueError(f"Run {label!r} has {len(rows)} rows, too few to shift by {minimum} or more either way.")
        order[rows] = np.roll(rows, int(rng.integers(minimum, len(rows) - minimum + 1)))
    return order


def permute_within(run: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Permute rows within every run.

    Shapes: `run` (n_samples,); returns (n_samples,).
    """
    order = np.arange(len(run))
    for label in dict.fromkeys(run.tolist()):
        rows = np.flatnonzero(run == label)
        order[rows] = rng.permutation(rows)
    return order

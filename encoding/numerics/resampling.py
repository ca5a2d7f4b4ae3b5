"""Rearrangements of rows that keep runs whole."""

import numpy as np


def circular_shift(run: np.ndarray, rng: np.random.Generator, minimum: int = 1) -> np.ndarray:
    """Shift the rows of every run in a circle by a random amount of its own.

    Parameters
    ----------
    run : ndarray, shape (n_samples,)
        Run of each row.
    rng : numpy.random.Generator
        Source of the shifts.
    minimum : int, default=1
        Smallest shift in rows, in either direction.

    Returns
    -------
    ndarray of int, shape (n_samples,)
        Row that comes to stand at each place: ``X[circular_shift(run, rng)]`` is X shifted within runs.

    Raises
    ------
    ValueError
        If a run is too short for the smallest shift.
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

    Parameters
    ----------
    run : ndarray, shape (n_samples,)
        Run of each row.
    rng : numpy.random.Generator
        Source of the permutations.

    Returns
    -------
    ndarray of int, shape (n_samples,)
        Row that comes to stand at each place.
    """
    order = np.arange(len(run))
    for label in dict.fromkeys(run.tolist()):
        rows = np.flatnonzero(run == label)
        order[rows] = rng.permutation(rows)
    return order

"""Divide samples into folds without cutting what belongs together."""

import numpy as np


def contiguous_groups(n_groups: int, n_folds: int) -> np.ndarray:
    """Deal groups, in their order, into folds of nearly equal size.

    Parameters
    ----------
    n_groups : int
        Number of groups (runs).
    n_folds : int
        Number of folds, at most `n_groups`.

    Returns
    -------
    ndarray of int, shape (n_groups,)
        The fold of each group; larger folds come last, as in 61 runs in 6 folds: 10, 10, 10, 10, 10, 11.
    """
    edges = (np.arange(n_folds + 1) * n_groups) // n_folds
    return np.repeat(np.arange(n_folds), np.diff(edges))


def purge(start: np.ndarray, stop: np.ndarray, held_out: np.ndarray, gap: float) -> np.ndarray:
    """Find the samples that are at least a gap away from every held-out sample.

    Parameters
    ----------
    start, stop : ndarray, shape (n_samples,)
        When each sample starts and ends, in seconds, within one run.
    held_out : ndarray of bool, shape (n_samples,)
        The samples that are tested.
    gap : float
        Seconds that must lie between the end of one and the start of the other.

    Returns
    -------
    ndarray of bool, shape (n_samples,)
        The samples that may be trained on.
    """
    order = np.argsort(start[held_out], kind="stable")
    starts = start[held_out][order]
    stops = np.maximum.accumulate(stop[held_out][order])
    # Nearest held-out sample that starts after, and latest end among those that start before.
    after = np.searchsorted(starts, start, side="left")
    next_start = np.append(starts, np.inf)[after]
    last_stop = np.concatenate([[-np.inf], stops])[after]
    clear = (next_start - stop >= gap) & (start - last_stop >= gap)
    return clear & ~held_out

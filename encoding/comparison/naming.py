"""The rule by which a feature space is named the best: from U only, never from scores of fits."""

import numpy as np

from ..numerics.shared_variance import estimate


def name_best(kernels: np.ndarray, level: float) -> tuple[np.ndarray, np.ndarray]:
    """Name the best of several feature spaces if the data can show one.

    A space may be named if its U is the largest and above 0 (one-sided p times the number of spaces at most `level`),
    and ahead of every other space (two-sided p at most `level` for each). The rule is about one place by itself; tables
    give the false discovery rate of p over places beside it.

    Parameters
    ----------
    kernels : ndarray, shape (n_spaces, n_places, n_blocks, n_blocks)
        Kernels of `shared_kernel`, of targets or means over regions.
    level : float
        Largest p.

    Returns
    -------
    winner : ndarray of int, shape (n_places,)
        Position of the named space; -1 where none is.
    p : ndarray of float64, shape (n_places,)
        Largest of all p that the rule asks for, for the space with the largest U; NaN without an estimate.

    Examples
    --------
    >>> from encoding.comparison import name_best
    >>> winner, p = name_best(tests.kernels, 0.05)
    >>> winner, p.round(1)  # -1: none can be named
    (array([ 0, -1]), array([0. , 0.2]))
    """
    n_spaces, n_places = kernels.shape[:2]
    alone = estimate(kernels)
    known = np.isfinite(alone.value).all(0)
    best = np.where(known, np.where(known, alone.value, 0).argmax(0), 0)
    place = np.arange(n_places)
    above = np.nan_to_num(alone.p_above()[best, place], nan=1.0)
    p = np.minimum(1.0, n_spaces * above)
    leading = kernels[best, place]
    for other in range(n_spaces):
        ahead = np.nan_to_num(estimate(leading - kernels[other]).p_differs(), nan=1.0)
        p = np.where(best == other, p, np.maximum(p, ahead))
    p = np.where(known, p, np.nan)
    return np.where(known & (p <= level), best, -1), p

"""Runs drawn with replacement, for fits that are made again on what was drawn."""

from dataclasses import replace

import numpy as np

from ..core import FeatureSpace, Responses, SplitError
from .folds import Fold, Folds

FEWEST_RUNS = 4
ATTEMPTS = 100


def draw_runs(folds: Folds, rng: np.random.Generator) -> tuple[np.ndarray, Folds]:
    """Draw as many runs as there are, with replacement; all copies of a run stay in the fold of the run.

    Parameters
    ----------
    folds : Folds
        Outer and inner folds of whole runs.
    rng : numpy.random.Generator
        Random numbers.

    Returns
    -------
    rows : ndarray of int
        Rows of the drawn runs, copies included.
    folds : Folds
        The same folds of these rows, without those of which no run was drawn; at least two.

    Raises
    ------
    SplitError
        If folds divide runs, test averages, or are of fewer than four runs.
    """
    runs = np.array(folds.samples.runs)
    if folds.gap is not None or len(folds.folds) < 2 or len(runs) < FEWEST_RUNS:
        raise SplitError(
            f"A bootstrap of runs needs at least two outer folds of whole runs, and {FEWEST_RUNS} runs; these are "
            f"{len(folds.folds)} folds of {len(runs)} runs{', which they divide' if folds.gap is not None else ''}. "
            'Set [compare] fits = "nadeau_bengio".'
        )
    for _ in range(ATTEMPTS):
        drawn = np.sort(rng.integers(0, len(runs), len(runs)))
        rows = np.concatenate([np.flatnonzero(folds.samples.run == runs[number]) for number in drawn])
        kept = [fold for fold in (_copied(fold, rows) for fold in folds.folds) if fold is not None]
        if len(kept) > 1:
            return rows, Folds(tuple(kept), folds.samples[rows])
    raise SplitError(f"In {ATTEMPTS} draws of {len(runs)} runs, never two outer folds were left. Use more folds.")


def _copied(fold: Fold, rows: np.ndarray) -> Fold | None:
    """Return the same fold of drawn rows; None without rows on a side, or without an inner fold."""
    train, test = (np.flatnonzero(np.isin(rows, side)) for side in (fold.train, fold.test))
    inner = []
    for pair in fold.inner:
        first, second = (np.flatnonzero(np.isin(rows[train], fold.train[side])) for side in pair)
        if len(first) and len(second):
            inner.append((first, second))
    if not len(test) or not inner:
        return None
    return Fold(train, test, tuple(inner), np.arange(len(test)))


def take_rows(
    spaces: list[FeatureSpace], responses: Responses, rows: np.ndarray
) -> tuple[list[FeatureSpace], Responses]:
    """Select rows of aligned features and responses, in memory."""
    samples = responses.samples[rows]
    moved = [FeatureSpace(one.name, one.values[rows], samples, one.features, one.provenance) for one in spaces]
    shown = samples if samples.clock == "stimulus" else responses.presentations
    values = np.asarray(responses.values[rows])
    return moved, replace(responses, values=values, samples=samples, presentations=shown, drift=responses.drift[rows])

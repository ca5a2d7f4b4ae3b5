"""Representational similarity of regions as tables and as a map."""

from collections.abc import Sequence
from itertools import combinations

import numpy as np
import pandas as pd

from ..core import Atlas, Scores
from .regions import KEYS, parcels

METRIC = "rsa"
COLUMNS = [*KEYS, "model", "feature", "metric", "value", "median", "n_targets", "n_usable"]
DIFFERENCES = [*KEYS, "model_a", "model_b", "metric", "difference", "share_a", "folds_a", "n_folds", "n_usable"]
Labelled = Sequence[tuple[Atlas | None, np.ndarray]]


def paint(values: np.ndarray, atlases: Labelled, n_targets: int) -> np.ndarray:
    """Give every target the value of its region in the first atlas, or that of all targets if there is no atlas.

    Parameters
    ----------
    values : ndarray, shape (n_rows, n_regions)
        Values of everything that `parcels` lists, atlas after atlas.
    atlases : sequence of (Atlas or None, ndarray)
        Atlases with the label of each target.
    n_targets : int
        Number of targets.

    Returns
    -------
    ndarray of float32, shape (n_rows, n_targets)
        NaN outside all regions.
    """
    painted = np.full((len(values), n_targets), np.nan, dtype=np.float32)
    chosen = next((number for number, (atlas, _) in enumerate(atlases) if atlas is not None), 0)
    place = 0
    for number, (atlas, labels) in enumerate(atlases):
        for parcel in parcels(atlas, labels):
            if number == chosen and parcel.level in ("region", "brain"):
                painted[:, parcel.mask] = values[:, place, None]
            place += 1
    return painted


def tables_of_regions(stored: Scores, atlases: Labelled, usable: np.ndarray) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Make tables of values that belong to regions as a whole.

    Parameters
    ----------
    stored : Scores
        Values of everything that `parcels` lists, atlas after atlas, in its columns.
    atlases : sequence of (Atlas or None, ndarray)
        Atlases with the label of each target.
    usable : ndarray of int
        Targets that have values.

    Returns
    -------
    regions, differences : pandas.DataFrame
        With the columns of `score_regions` and `compare_regions`; what refers to targets or folds is missing.
    """
    rows, pairs, place = [], [], 0
    for atlas, labels in atlases:
        for parcel in parcels(atlas, labels):
            where = (stored.subject, atlas.name if atlas else "", *parcel[:4])
            n_usable = int(parcel.mask[usable].sum())
            of_region = stored.values[:, place].astype(float)
            for row, value in zip(stored.rows, of_region, strict=True):
                rows.append((*where, *row, METRIC, value, np.nan, int(parcel.mask.sum()), n_usable))
            for a, b in combinations(range(len(stored.rows)), 2):
                names = str(stored.rows[a]), str(stored.rows[b])
                pairs.append((*where, *names, METRIC, of_region[a] - of_region[b], np.nan, np.nan, 0, n_usable))
            place += 1
    return pd.DataFrame(rows, columns=COLUMNS), pd.DataFrame(pairs, columns=DIFFERENCES)


def differences_of_targets(scores: Scores, atlas: Atlas | None, labels: np.ndarray) -> pd.DataFrame:
    """Compare feature spaces pair by pair over the targets of every region.

    Parameters
    ----------
    scores : Scores
        A row per feature space.
    atlas : Atlas or None
        The atlas; None is all targets as one.
    labels : ndarray of int, shape (n_targets,)
        Its label of each target.

    Returns
    -------
    pandas.DataFrame
        With the columns of `compare_regions`; there are no folds.
    """
    pairs = []
    for parcel in parcels(atlas, labels):
        where = (scores.subject, atlas.name if atlas else "", *parcel[:4])
        inside = scores.values[:, parcel.mask].astype(np.float64)
        for a, b in combinations(range(len(scores.rows)), 2):
            difference = inside[a] - inside[b]
            difference = difference[np.isfinite(difference)]
            found = (difference.mean(), (difference > 0).mean()) if len(difference) else (np.nan, np.nan)
            names = str(scores.rows[a]), str(scores.rows[b])
            pairs.append((*where, *names, METRIC, *found, np.nan, 0, len(difference)))
    return pd.DataFrame(pairs, columns=DIFFERENCES)

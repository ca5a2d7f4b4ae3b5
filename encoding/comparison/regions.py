"""Scores per target to scores per region, ROI set and network."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from ..core import AlignmentError, Atlas, DataError, Predictions, Scores, suggest
from .evaluate import fold_correlations

KEYS = ["subject", "atlas", "level", "set", "region", "hemi"]


class Parcel(NamedTuple):
    """A region, a network, or an ROI of a set, as targets.

    Shapes: `mask` (n_targets,).
    """

    level: str
    set: str
    region: str
    hemi: str
    mask: np.ndarray


def parcels(atlas: Atlas | None, labels: np.ndarray) -> Iterator[Parcel]:
    """List everything an atlas defines on some targets.

    Parameters
    ----------
    atlas : Atlas or None
        The atlas; None lists all targets as one parcel.
    labels : ndarray of int, shape (n_targets,)
        Its label of each target; any numbers without an atlas.

    Yields
    ------
    Parcel
        Every region, every network (both hemispheres joined), and every ROI of its sets that has a target.

    Raises
    ------
    DataError
        If an ROI names a region that the atlas lacks.

    Examples
    --------
    >>> import encoding
    >>> from encoding.comparison import parcels
    >>> targets = encoding.Targets.of_columns(["v1", "v2", "v3"])
    >>> networks, no, grey = ("visual", "visual"), ("", ""), ("#888888",) * 2
    >>> atlas = encoding.Atlas("mine", [1, 2, 0], targets, [1, 2], ("V1", "V2"), no, networks, grey)
    >>> [(parcel.level, parcel.region) for parcel in parcels(atlas, atlas.labels)]
    [('region', 'V1'), ('region', 'V2'), ('network', 'visual')]
    """
    if atlas is None:
        yield Parcel("brain", "", "all targets", "", np.ones(len(labels), bool))
        return
    for number, name, hemi in zip(atlas.index.tolist(), atlas.region, atlas.hemi, strict=True):
        yield from _if_any(Parcel("region", "", name, hemi, atlas.members(labels, [number])))
    networks = dict.fromkeys(network for network in atlas.network if network)
    for network in networks:
        numbers = [n for n, of in zip(atlas.index.tolist(), atlas.network, strict=True) if of == network]
        yield from _if_any(Parcel("network", "", network, "", atlas.members(labels, numbers)))
    number_of = dict(zip(atlas.region, atlas.index.tolist(), strict=True))
    for roi in atlas.roi_sets:
        for region in roi.regions:
            if region not in number_of:
                raise DataError(f"{atlas!r}: ROI {roi.roi!r} of {roi.set!r} names region {region!r}, which it lacks.")
        numbers = [number_of[region] for region in roi.regions]
        yield from _if_any(Parcel("roi_set", roi.set, roi.roi, "", atlas.members(labels, numbers)))


def add_confidence(table: pd.DataFrame, atlases: Sequence[tuple[Atlas | None, np.ndarray]]) -> pd.DataFrame:
    """Add the confidence in each region as the last column of a table.

    Parameters
    ----------
    table : pandas.DataFrame
        With the columns atlas, level, set and region.
    atlases : sequence of (Atlas or None, ndarray)
        Atlases with the label of every target.

    Returns
    -------
    pandas.DataFrame
        With the column confidence: of an ROI as its set states it, of a region what lowers it; "" where nothing is
        known.

    Examples
    --------
    >>> from encoding.comparison import add_confidence, score_regions
    >>> table = score_regions(result.scores["r"], None, np.ones(1092, dtype=int))
    >>> add_confidence(table, [(None, np.ones(1092, dtype=int))]).columns[-1]
    'confidence'
    """
    if not {"atlas", "level", "set", "region"} <= set(table.columns):
        return table
    told: dict[tuple[str, ...], str] = {}
    for atlas, _ in atlases:
        if atlas is not None:
            regions = zip(atlas.region, atlas.confidence_of_regions, strict=True)
            told |= {(atlas.name, "region", "", region): text for region, text in regions}
            told |= {(atlas.name, "roi_set", roi.set, roi.roi): roi.confidence for roi in atlas.roi_sets}
    places = table[["atlas", "level", "set", "region"]].astype(str).itertuples(index=False, name=None)
    return table.assign(confidence=[told.get(place, "") for place in places])


def _if_any(parcel: Parcel) -> Iterator[Parcel]:
    if parcel.mask.any():
        yield parcel


def score_regions(
    scores: Scores, atlas: Atlas | None, labels: np.ndarray, *, significant: np.ndarray | None = None
) -> pd.DataFrame:
    """Average scores over the targets of every region, network and ROI.

    Parameters
    ----------
    scores : Scores
        Scores per target.
    atlas : Atlas or None
        The atlas; None scores all targets as one.
    labels : ndarray of int, shape (n_targets,)
        Its label of each target of the scores.
    significant : ndarray of bool, shape (n_rows, n_targets), optional
        Scores that passed a test.

    Returns
    -------
    pandas.DataFrame
        One row per region and row of the scores: subject, atlas, level, set, region, hemi, model, feature, metric,
        value (mean over usable targets), median, n_targets, n_usable, and n_significant where it is known. A region
        without usable targets has NaN.

    Raises
    ------
    AlignmentError
        If there is not one label per target.

    Examples
    --------
    >>> from encoding.comparison import score_regions
    >>> table = score_regions(result.scores["r"], None, np.ones(1092, dtype=int))
    >>> table[["region", "model", "n_usable"]]
            region     model  n_usable
    0  all targets      mllm      1092
    1  all targets  category      1092
    2  all targets     joint      1092
    """
    _check_labels(scores, atlas, labels)
    rows = []
    for parcel in parcels(atlas, labels):
        inside = scores.values[:, parcel.mask].astype(np.float64)
        usable = np.isfinite(inside)
        for number, row in enumerate(scores.rows):
            found = inside[number][usable[number]]
            summary = (found.mean(), np.median(found)) if len(found) else (np.nan, np.nan)
            place = (scores.subject, atlas.name if atlas else "", *parcel[:4])
            counts: tuple[int, ...] = (int(parcel.mask.sum()), len(found))
            if significant is not None:
                counts += (int(significant[number, parcel.mask].sum()),)
            rows.append((*place, row.model, row.feature, scores.metric, *summary, *counts))
    columns = [*KEYS, "model", "feature", "metric", "value", "median", "n_targets", "n_usable"]
    columns += [] if significant is None else ["n_significant"]
    return pd.DataFrame(rows, columns=columns)


def _check_labels(scores: Scores, atlas: Atlas | None, labels: np.ndarray) -> None:
    if len(labels) != len(scores.targets):
        raise AlignmentError(f"{atlas!r}: {len(labels)} labels for {scores.targets!r}; one per target is needed.")


def compare_regions(
    predictions: Sequence[Predictions],
    scores: Scores,
    atlas: Atlas | None,
    labels: np.ndarray,
    *,
    pairs: Sequence[tuple[str, str]],
) -> pd.DataFrame:
    """Compare models pair by pair in every region, network and ROI of one subject.

    Parameters
    ----------
    predictions : sequence of Predictions
        Held-out predictions, for the score of every fold.
    scores : Scores
        Scores of the same models.
    atlas : Atlas or None
        The atlas; None compares all targets as one.
    labels : ndarray of int, shape (n_targets,)
        Its label of each target.
    pairs : sequence of (str, str)
        Models to compare.

    Returns
    -------
    pandas.DataFrame
        One row per region and pair: subject, atlas, level, set, region, hemi, model_a, model_b, metric, difference
        (mean of a - b over usable targets), share_a (share of targets in which a scores higher), folds_a (outer folds
        in which the mean correlation of a is higher), n_folds, n_usable.

    Raises
    ------
    AlignmentError
        If there is not one label per target, or a model of a pair has no predictions.
    DataError
        If a model of a pair has no scores.

    Examples
    --------
    >>> from encoding.comparison import compare_regions
    >>> labels = np.ones(1092, dtype=int)
    >>> len(compare_regions(fitted.predictions, result.scores["r"], None, labels, pairs=[("mllm", "category")]))
    1
    """
    _check_labels(scores, atlas, labels)
    by_fold = {p.model: fold_correlations(p) for p in predictions}
    for name in dict.fromkeys(name for pair in pairs for name in pair):
        if name not in by_fold:
            raise AlignmentError(f"There are no predictions of model {name!r} to compare. {suggest(name, by_fold)}")
    rows = []
    for parcel in parcels(atlas, labels):
        for a, b in pairs:
            difference = (scores.row(a) - scores.row(b))[parcel.mask].astype(np.float64)
            usable = np.isfinite(difference)
            difference = difference[usable]
            folds = (by_fold[a] - by_fold[b])[:, parcel.mask][:, usable]
            found = (np.nan, np.nan, 0)
            if usable.any():
                found = (difference.mean(), (difference > 0).mean(), int((_mean_of_finite(folds) > 0).sum()))
            place = (scores.subject, atlas.name if atlas else "", *parcel[:4])
            rows.append((*place, a, b, scores.metric, *found, len(folds), int(usable.sum())))
    columns = [*KEYS, "model_a", "model_b", "metric", "difference", "share_a", "folds_a", "n_folds", "n_usable"]
    return pd.DataFrame(rows, columns=columns)


def _mean_of_finite(folds: np.ndarray) -> np.ndarray:
    """Average over targets, skipping those without a correlation in a fold."""
    finite = np.isfinite(folds)
    return np.where(finite, folds, 0).sum(1) / np.maximum(finite.sum(1), 1)

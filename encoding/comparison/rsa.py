"""Representational similarity: find out whether what is alike to a model has alike responses."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from ..core import (
    AlignmentError,
    Atlas,
    DataError,
    Exclusion,
    FeatureSpace,
    Provenance,
    Responses,
    ScoreRow,
    Scores,
    Targets,
    digest,
    fingerprint_array,
    versions,
)
from ..core.progress import Progress, silent
from ..core.workers import HERE, Workers
from ..io.arrays import hash_rows
from ..io.store import load, saved_with, write_object
from ..numerics.similarity import Pairs, Similarity, feature_similarity, pairs_of, undefined_rows
from .patterns import Patterns, patterns_of
from .regions import KEYS, Parcel, parcels, score_regions
from .settings import UNITS, Rsa

if TYPE_CHECKING:
    import torch

STEP = "rsa/1"
READ_COLUMNS = 2048
METRIC = "rsa"
COLUMNS = [*KEYS, "model", "feature", "metric", "value", "median", "n_targets", "n_usable"]
DIFFERENCES = [*KEYS, "model_a", "model_b", "metric", "difference", "share_a", "folds_a", "n_folds", "n_usable"]
Labelled = Sequence[tuple[Atlas | None, np.ndarray]]


@dataclass(frozen=True, eq=False, slots=True)
class RsaResult:
    """Result of one similarity analysis in one subject.

    Attributes
    ----------
    settings : Rsa
        What was compared.
    scores : Scores
        One row per feature space: the analysis is the model, the space the feature. With searchlights every target has
        the value of the searchlight about it, with an atlas that of its region in the first atlas.
    table : pandas.DataFrame
        Regions, as of `score_regions`: the mean over searchlights, or the value of the region's own patterns.
    differences : pandas.DataFrame
        Pairs of spaces in every region, as of `compare_regions`; without folds.
    exclusions : tuple of Exclusion
        Targets and regions without a value.
    facts : dict
        Every choice, and how many stimuli and pairs there were; JSON.

    Examples
    --------
    >>> found = encoding.rsa(X, Y, runs)
    >>> found.table["feature"].tolist()
    ['mllm']
    """

    settings: Rsa
    scores: Scores
    table: pd.DataFrame
    differences: pd.DataFrame
    exclusions: tuple[Exclusion, ...]
    facts: dict[str, Any]

    def __repr__(self) -> str:
        return f"RsaResult({self.settings.name!r}, {self.scores!r}, {len(self.table)} rows of regions)"


def compare_similarity(
    settings: Rsa,
    spaces: Sequence[FeatureSpace],
    responses: Responses,
    atlases: Labelled,
    folder: str | Path,
    *,
    device: str = "cpu",
    workers: Workers = HERE,
    progress: Progress = silent,
) -> RsaResult:
    """Compare the similarity of stimuli in feature spaces with that of their responses.

    Parameters
    ----------
    settings : Rsa
        What to compare.
    spaces : sequence of FeatureSpace
        With one row per stimulus (clock "none"), as they are: neither centred nor scaled.
    responses : Responses
        With one row per presentation (clock "stimulus").
    atlases : sequence of (Atlas or None, ndarray)
        Atlases with the label of each target; None is all targets as one.
    folder : str or Path
        Where the result is saved, or loaded from if it is that of the same settings and inputs. An interrupted
        computation of searchlights goes on after its last finished chunk.
    device : {"cpu", "cuda"}
        Where to compute.
    workers : Workers
        Where chunks of searchlights are computed, as of `open_workers`.
    progress : callable
        Called with the share done.

    Returns
    -------
    RsaResult
        Values, tables, and every choice that was made.

    Raises
    ------
    AlignmentError
        If responses have one row per volume, a stimulus has no features, or searchlights are wanted off a volume.
    DataError
        If similarity is not defined for a stimulus, nothing differs, or repeats are not declared.
    ConfigError
        If a space is named that is not there.

    Examples
    --------
    >>> from encoding.comparison import Rsa, compare_similarity
    >>> settings, everything = Rsa("example", repeats="first"), (None, np.ones(1092, dtype=int))
    >>> found = compare_similarity(settings, loaded.described, loaded.responses, [everything], "work/rsa")
    >>> found.table["feature"].tolist()
    ['mllm', 'category']
    """
    where = f"[[rsa]] {settings.name!r}"
    patterns = patterns_of(responses, settings, where)
    pairs = pairs_to_compare(settings, patterns)
    if pairs.n < 3:
        raise DataError(
            f"{where}: {pairs.n} pairs of stimuli of sub-{responses.subject} were shown in different runs; at least 3 "
            "are needed. Set same_run = true, knowing that stimuli of one run share noise."
        )
    chosen = settings.resolve([space.name for space in spaces])
    by_name = {space.name: space for space in spaces}
    used = [(on_stimuli(by_name[name], patterns, where), kind) for name, kind in chosen]
    regions = [parcel for atlas, labels in atlases for parcel in parcels(atlas, labels)]
    provenance = _provenance(settings, used, responses, regions if settings.regions == "atlas" else [])
    folder = Path(folder)
    if not saved_with(folder, provenance.key):
        from .searchlights import compare_lights, partial_of  # torch takes a second, and reports do without it

        models = [model_of(space, kind, pairs, where) for space, kind in used]
        rows = tuple(ScoreRow(settings.name, name) for name, _ in chosen)
        partial, targets = partial_of(folder, provenance.key), responses.targets
        if settings.regions == "searchlight":
            values = compare_lights(
                settings, models, pairs, patterns, partial=partial, device=device, workers=workers, progress=progress
            )
        else:
            values = _compare_regions(settings, models, pairs, patterns, regions, device=device, progress=progress)
            targets = Targets.of_columns([" ".join(filter(None, parcel[:4])) for parcel in regions])
        write_object(Scores(METRIC, rows, values, targets, responses.subject, provenance), partial.folder)
        partial.finish()
    else:
        progress(1.0)
    facts = _facts(settings, chosen, patterns, pairs, responses)
    return _result(settings, load(folder), patterns, atlases, facts)


def on_stimuli(space: FeatureSpace, patterns: Patterns, where: str) -> FeatureSpace:
    """Select the rows of the stimuli of some patterns, in their order."""
    if space.samples.clock != "none":
        raise AlignmentError(
            f"{where}: feature space {space.name!r} is on {space.samples!r}, but one row per stimulus (clock 'none') "
            "is needed, as it is before `align`."
        )
    unknown = np.setdiff1d(patterns.stimulus, space.samples.stimulus)
    if len(unknown):
        raise AlignmentError(
            f"{where}: {len(unknown)} stimuli shown to sub-{patterns.responses.subject} have no features in "
            f"{space.name!r}, the first is {str(unknown[0])!r}. Add their rows."
        )
    order = np.argsort(space.samples.stimulus)
    rows = order[np.searchsorted(space.samples.stimulus, patterns.stimulus, sorter=order)]
    return FeatureSpace(space.name, space.values[rows], space.samples[rows], space.features, space.provenance)


def model_of(space: FeatureSpace, kind: str, pairs: Pairs, where: str) -> Similarity:
    """Compute the similarity of stimuli in a feature space; refuse what is not defined or does not vary."""
    bad = undefined_rows(space.values, kind)
    if bad.any():
        has = {"cosine": "all features are 0", "correlation": f"all {space.n_features} features are equal"}[kind]
        raise DataError(
            f"{where}: feature space {space.name!r}: for {bad.sum()} stimuli, the first is "
            f"{str(space.samples.stimulus[bad][0])!r}, {has}, so that {kind} with others is not defined. Set its "
            'similarity = "dot", or leave the space out.'
        )
    model = feature_similarity(space.values, kind)
    _, norm = pairs.moments(model)
    if not norm > 0:
        raise DataError(f"{where}: feature space {space.name!r}: all pairs of stimuli have the same {kind}.")
    return model


def stated(settings: Rsa) -> dict[str, Any]:
    """Return all settings, also the units of crossnobis distances where they are not given."""
    config = asdict(settings)
    if settings.brain == "crossnobis":
        config["noise"] = settings.noise or UNITS
    return config


def _provenance(
    settings: Rsa,
    used: Sequence[tuple[FeatureSpace, str]],
    responses: Responses,
    regions: Sequence[Parcel],
) -> Provenance:
    config = stated(settings) | {"spaces": [(space.name, kind) for space, kind in used]}
    axes = (responses.samples.stimulus, responses.samples.run, responses.targets.index, responses.targets.structure)
    blocks = hash_rows(responses.values)
    inputs = {
        "responses": digest([responses.provenance.key, blocks, [fingerprint_array(axis) for axis in axes]]),
        "regions": digest([(*parcel[:4], fingerprint_array(parcel.mask)) for parcel in regions]),
    }
    inputs |= {f"features {space.name}": fingerprint_array(space.values) for space, _ in used}
    return Provenance(STEP, config, inputs, None, versions())


def _compare_regions(
    settings: Rsa,
    models: Sequence[Similarity],
    pairs: Pairs,
    patterns: Patterns,
    regions: Sequence[Parcel],
    *,
    device: str,
    progress: Progress,
) -> np.ndarray:
    from ..numerics.rsa import Comparer  # torch takes a second, and reports do without it

    crossed = settings.brain == "crossnobis"
    brain = "correlation" if crossed else settings.brain
    comparer = Comparer(models, pairs, brain=brain, comparison=settings.comparison, device=device)
    values = np.full((len(models), len(regions)), np.nan, dtype=np.float32)
    for number, parcel in enumerate(regions):
        columns = patterns.usable[parcel.mask[patterns.usable]]
        if len(columns) >= settings.min_targets:
            if crossed:
                values[:, number] = comparer.compare(similarity_of(settings, patterns, columns, device))
            else:
                values[:, number] = comparer.parts(read_parts(patterns, columns))
        progress((number + 1) / len(regions))
    return values


def pairs_to_compare(settings: Rsa, patterns: Patterns) -> Pairs:
    """Choose pairs of stimuli: of different runs, or all where asked for and of distances across runs."""
    return pairs_of(patterns.runs, same_run=settings.same_run or settings.brain == "crossnobis")


def similarity_of(settings: Rsa, patterns: Patterns, columns: np.ndarray, device: str = "cpu") -> "torch.Tensor":
    """Compute how alike the responses of some targets to all stimuli are.

    Returns (n_stimuli, n_stimuli).
    """
    from ..numerics.crossnobis import crossnobis
    from ..numerics.rsa import pattern_similarity, products_of

    parts = read_parts(patterns, columns)
    if settings.brain == "crossnobis":
        return crossnobis(parts, patterns.shows, settings.noise or UNITS, device).neg_()
    products, sums, n = products_of(parts, device)
    return pattern_similarity(products, sums, n, settings.brain)


def read_parts(patterns: Patterns, columns: np.ndarray) -> Iterator[np.ndarray]:
    """Read patterns of some targets, a part of them at a time."""
    for start in range(0, len(columns), READ_COLUMNS):
        yield patterns.read(columns[start : start + READ_COLUMNS])


def _facts(
    settings: Rsa, chosen: Sequence[tuple[str, str]], patterns: Patterns, pairs: Pairs, responses: Responses
) -> dict[str, Any]:
    n = len(patterns)
    repeated = sum(len(runs) - 1 for runs in patterns.runs)
    if settings.repeats == "first":
        repeated = len(responses.samples) - n
    return {
        "name": settings.name,
        "similarity": dict(chosen),
        "brain": settings.brain,
        "noise": (settings.noise or UNITS) if settings.brain == "crossnobis" else None,
        "comparison": settings.comparison,
        "regions": settings.regions,
        "radius_mm": settings.radius_mm,
        "edge_voxels": settings.edge_voxels,
        "min_targets": settings.min_targets,
        "same_run": settings.same_run,
        "repeats": settings.repeats,
        "n_repeated_presentations": repeated,
        "n_stimuli": n,
        "n_pairs": pairs.n,
        "n_pairs_of_one_run_left_out": n * (n - 1) // 2 - pairs.n,
    }


def _result(settings: Rsa, stored: Scores, patterns: Patterns, atlases: Labelled, facts: dict[str, Any]) -> RsaResult:
    targets, names = patterns.responses.targets, [row.feature for row in stored.rows]
    if settings.regions == "searchlight":
        tables = [score_regions(stored, atlas, labels) for atlas, labels in atlases]
        differences = [differences_of_targets(stored, atlas, labels) for atlas, labels in atlases]
        n_without = len(patterns.usable) - int(np.isfinite(stored.values).all(axis=0).sum())
        what, unit = f"in searchlights of fewer than {settings.min_targets} voxels, or without variance", "targets"
        table, difference = pd.concat(tables, ignore_index=True), pd.concat(differences, ignore_index=True)
        scores = stored
    else:
        table, difference = tables_of_regions(stored, atlases, patterns.usable)
        painted = paint(stored.values, atlases, len(targets))
        scores = Scores(METRIC, stored.rows, painted, targets, stored.subject, stored.provenance)
        n_without = int((~np.isfinite(stored.values).all(axis=0)).sum())
        what, unit = f"with fewer than {settings.min_targets} usable targets, or without variance", "regions"
        shown = [atlas.name for atlas, _ in atlases if atlas is not None]
        facts = facts | {"atlas_of_map": shown[0] if shown else "all targets"}
    reason = f"rsa {settings.name!r} of {', '.join(names)}: {what}"
    exclusions: tuple[Exclusion, ...] = (Exclusion(unit, n_without, reason),) if n_without else ()
    if patterns.n_left_out:
        alone = f"rsa {settings.name!r}: stimuli of a single run have no crossnobis distance"
        exclusions += (Exclusion("stimuli", patterns.n_left_out, alone),)
    return RsaResult(settings, scores, table, difference, exclusions, facts)


def paint(values: np.ndarray, atlases: Labelled, n_targets: int) -> np.ndarray:
    """Assign every target the value of its region in the first atlas (of all targets without an atlas).

    Shapes: `values` (n_rows, n_regions); returns (n_rows, n_targets).
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
    """Make tables of values that belong to regions as a whole."""
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

    Shapes: `labels` (n_targets,).
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

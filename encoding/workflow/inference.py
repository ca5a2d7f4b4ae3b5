"""The step of the pipeline that tests feature spaces, and what it writes for participants and groups."""

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

from ..comparison import (
    Inference,
    Presented,
    Resources,
    SpaceTests,
    chance_table,
    difference_table,
    fit_differences,
    group_claims,
    group_verdicts,
    infer_spaces,
    read_tests,
    unique_of_fits,
    unique_table,
    units_of,
    verdict_table,
)
from ..core import Atlas, FeatureSpace, Predictions, Samples, Scores
from ..fitting.arrays import available_threads
from ..io.atomic import atomic_folder, write_tsv
from ..loading import align
from ..mapping import INFERENCE, Result
from .jobs import Fitted, Job, Loaded

Labelled = Sequence[tuple[Atlas | None, np.ndarray]]


@dataclass(frozen=True, eq=False, slots=True)
class Inferred:
    """Tests of one subject, and the tables that follow from them.

    Attributes
    ----------
    tests : SpaceTests or None
        Estimates and tests; None where they are not wanted, or nothing was fitted.
    claims, verdicts : pandas.DataFrame
        Every claim, and the named space of every region.
    """

    tests: SpaceTests | None
    claims: pd.DataFrame
    verdicts: pd.DataFrame


def tested_spaces(job: Job) -> dict[str, str]:
    """List feature spaces that have a model of their own: name of the first such model, by space."""
    second = {name for _, name in job.study.compare.versions}
    single = [model for model in job.study.models if len(model.bands) == 1 and model.bands[0] not in second]
    return {model.bands[0]: model.name for model in reversed(single)}


def infer_subject(job: Job, loaded: Loaded, fitted: Fitted, atlases: Labelled, r2: Scores | None) -> Inferred:
    """Test the feature spaces of one subject and make its tables of claims.

    Parameters
    ----------
    job : Job
        Study, places and subject.
    loaded : Loaded
        Responses and features.
    fitted : Fitted
        Folds and predictions.
    atlases : sequence of (Atlas or None, ndarray)
        Atlases with the label of every target.
    r2 : Scores or None
        Held-out R2 of all models, for what models without a space lose.

    Returns
    -------
    Inferred
        Empty tables where ``[compare] inference`` is off or nothing was fitted.
    """
    settings = job.study.compare
    models = tested_spaces(job)
    if not settings.inference or not models or fitted.folds is None:
        return Inferred(None, pd.DataFrame(), pd.DataFrame())
    by_name = {space.name: space for space in loaded.spaces}
    # Tables speak of models, as those of scores do; most models have the name of their space.
    spaces = [_renamed(by_name[band], models[band]) for band in by_name if band in models]
    described = tuple(_renamed(space, models[space.name]) for space in loaded.described if space.name in models)
    uses = fitted.folds.uses(job.study.split.repeats)
    use = ~np.char.startswith(uses, "left out")
    versions = {models[first]: by_name[second] for first, second in settings.versions if first in models}
    compute = job.study.compute.compute("cpu")
    tests = infer_spaces(
        spaces,
        loaded.responses,
        atlases,
        job.work / INFERENCE,
        settings=Inference(
            settings.n_permutations,
            settings.p_level,
            unique_permutations=settings.unique_permutations,
            seed=job.study.seed,
        ),
        presented=Presented(described, _layout(job, loaded, use), use, versions),
        resources=Resources(available_threads(), compute.memory_bytes // 2),
        progress=partial(job.progress, "tests"),
    )
    parts = [
        chance_table(tests),
        difference_table(tests),
        fit_differences(fitted.predictions, atlases, pairs=job.study.pairs, level=settings.p_level),
        unique_table(tests),
        _lost(fitted.predictions, r2, atlases, tests.spaces),
    ]
    claims = pd.concat([part for part in parts if len(part)], ignore_index=True)
    return Inferred(tests, claims, verdict_table(tests))


def save_tests(job: Job, inferred: Inferred) -> None:
    """Copy tests to the results of the subject, where maps and the group find them."""
    final = job.folder / INFERENCE
    if inferred.tests is None:
        shutil.rmtree(final, ignore_errors=True)
        return
    with atomic_folder(final) as temporary:
        for path in sorted((job.work / INFERENCE).iterdir()):
            shutil.copy2(path, temporary / path.name)


def write_group_inference(folder: Path, results: Sequence[Result]) -> Mapping[str, pd.DataFrame]:
    """Write what may be said of the group, ``claims.tsv`` and ``verdicts.tsv``.

    Parameters
    ----------
    folder : Path
        ``OUTPUT_DIR/group``.
    results : sequence of Result
        Participants.

    Returns
    -------
    mapping of str to pandas.DataFrame
        "claims" and "verdicts"; empty for fewer than two participants, or without tests.
    """
    places = [result.folder / INFERENCE for result in results]
    if len(results) < 2 or not all(place.is_dir() for place in places):
        for name in ("claims", "verdicts"):
            (folder / f"{name}.tsv").unlink(missing_ok=True)
        return {}
    tests = [read_tests(place) for place in places]
    level = float(tests[0].facts["settings"]["p_level"])
    tables = {"claims": group_claims(tests, level=level), "verdicts": group_verdicts(tests, level=level)}
    for name, table in tables.items():
        write_tsv(folder / f"{name}.tsv", table)
    return tables


def _renamed(space: FeatureSpace, name: str) -> FeatureSpace:
    if space.name == name:
        return space
    return FeatureSpace(name, space.values, space.samples, space.features, space.provenance)


def _layout(job: Job, loaded: Loaded, use: np.ndarray) -> FeatureSpace | None:
    """Align indicators of stimuli as the features are, where the exchange of stimuli needs them."""
    responses = loaded.responses
    if responses.samples.clock != "tr" or not units_of(responses, use).recurring:
        return None
    names = np.unique(responses.presentations.stimulus)
    names = names[names != ""]
    indicators = FeatureSpace("stimuli", np.eye(len(names), dtype=np.float32), Samples.of_stimuli(names), tuple(names))
    return align(indicators, responses, delays=job.study.align.delays)


def _lost(
    predictions: Sequence[Predictions], r2: Scores | None, atlases: Labelled, spaces: Sequence[str]
) -> pd.DataFrame:
    """Subtract models without a space from the joint model, where both were fitted."""
    of_bands = {frozenset(prediction.bands): prediction.model for prediction in predictions}
    single = {p.model: p.bands[0] for p in predictions if len(p.bands) == 1}
    bands = {space: single[space] for space in spaces}
    joint = of_bands.get(frozenset(bands.values()))
    without = {space: of_bands.get(frozenset(bands.values()) - {band}) for space, band in bands.items()}
    known = {space: model for space, model in without.items() if model is not None}
    if r2 is None or joint is None or len(bands) < 2 or not known:
        return pd.DataFrame()
    return unique_of_fits(r2, atlases, joint, known)

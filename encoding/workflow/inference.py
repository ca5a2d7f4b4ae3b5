"""The step of the pipeline that tests feature spaces, and what it writes for participants and groups."""

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pandas as pd

from ..comparison import (
    Inference,
    Presented,
    Resources,
    SpaceTests,
    add_confidence,
    beyond_table,
    chance_table,
    confidence_of,
    difference_table,
    fit_differences,
    group_claims,
    group_verdicts,
    infer_similarity,
    infer_spaces,
    join_confidence,
    read_tests,
    unique_of_fits,
    unique_table,
    units_of,
    verdict_table,
)
from ..comparison.claims import region_differences
from ..comparison.shared_signal import MEANS_FILE, group_signal, save_region_means, similarity_ceilings
from ..comparison.space_tests import NUISANCE
from ..core import Atlas, DataError, FeatureSpace, Predictions, Samples, Scores, digest, fingerprint_array
from ..fitting import cross_predict_all
from ..fitting.arrays import available_threads
from ..fitting.bootstrap import draw_runs, take_rows
from ..io.atomic import atomic_folder, write_tsv
from ..io.partial import Partial
from ..loading import align
from ..mapping import INFERENCE, Result
from .jobs import Fitted, Job, Loaded

Labelled = Sequence[tuple[Atlas | None, np.ndarray]]


@dataclass(frozen=True, eq=False, slots=True)
class Inferred:
    """Tests of one subject, and the tables that follow from them."""

    tests: SpaceTests | None  # Estimates and tests; None where they are not wanted, or nothing was fitted
    claims: pd.DataFrame  # Every claim
    verdicts: pd.DataFrame  # The named space of every region
    # Verdicts of every analysis of similarity, in the column "rsa"
    rsa_verdicts: pd.DataFrame = field(default_factory=pd.DataFrame)
    places: tuple[str, ...] = ()  # Folders of tests, in the work folder of the subject


def tested_spaces(job: Job) -> dict[str, str]:
    """List feature spaces that have a model of their own: name of the first such model, by space."""
    compare = job.study.compare
    others = {*(name for _, name in compare.versions), *compare.nuisance}
    single = [model for model in job.study.models if len(model.bands) == 1 and model.bands[0] not in others]
    return {model.bands[0]: model.name for model in reversed(single)}


def infer_all(job: Job, loaded: Loaded, fitted: Fitted, atlases: Labelled, r2: Scores | None) -> Inferred:
    """Test feature spaces by the models of one subject, and by the similarity of stimuli.

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
        Held-out R2 of all models.

    Returns
    -------
    Inferred
        Empty tables where ``[compare] inference`` is off.

    Examples
    --------
    >>> from encoding.pipeline import infer_all
    >>> infer_all(job, loaded, fitted, [(None, np.ones(1092, dtype=int))], None).tests is None  # not asked for
    True
    """
    of_models = infer_subject(job, loaded, fitted, atlases, r2)
    places = [INFERENCE] if of_models.tests is not None else []
    claims, verdicts = [of_models.claims], []
    settings = job.study.compare
    for analysis in job.study.rsa if settings.inference else ():
        if analysis.regions != "atlas":
            continue
        place = f"{INFERENCE}-rsa-{analysis.name}"
        tests = infer_similarity(
            analysis,
            loaded.described,
            loaded.responses,
            atlases,
            job.work / place,
            inference=Inference(settings.n_permutations, settings.p_level, seed=job.study.seed),
            progress=partial(job.progress, f"tests of rsa {analysis.name}"),
        )
        claims += [_of_similarity(table, analysis.name) for table in (chance_table(tests), difference_table(tests))]
        verdicts.append(verdict_table(tests).assign(rsa=analysis.name))
        places.append(place)
    found = [table for table in claims if len(table)]
    return Inferred(
        of_models.tests,
        pd.concat(found, ignore_index=True) if found else pd.DataFrame(),
        of_models.verdicts,
        add_confidence(pd.concat(verdicts, ignore_index=True), atlases) if verdicts else pd.DataFrame(),
        tuple(places),
    )


def _of_similarity(table: pd.DataFrame, name: str) -> pd.DataFrame:
    people = ", mean over people" if "n_subjects" in table else ""
    return table.assign(claim="rsa " + table["claim"], estimand=f"similarity {name}{people}")


def infer_subject(job: Job, loaded: Loaded, fitted: Fitted, atlases: Labelled, r2: Scores | None) -> Inferred:
    """Test the feature spaces of one subject and make its tables of claims."""
    settings = job.study.compare
    models = tested_spaces(job)
    if not settings.inference or not models or fitted.folds is None:
        return Inferred(None, pd.DataFrame(), pd.DataFrame())
    by_name = {space.name: space for space in loaded.spaces}
    # Tables speak of models, as those of scores do; most models have the name of their space.
    spaces = [_renamed(by_name[band], models[band]) for band in by_name if band in models]
    per_stimulus = [space for space in loaded.described if space.samples.clock == "none"]
    described = tuple(_renamed(space, models[space.name]) for space in per_stimulus if space.name in models)
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
        presented=Presented(
            described, _layout(job, loaded, use), use, versions, tuple(by_name[name] for name in settings.nuisance)
        ),
        resources=Resources(available_threads(), compute.memory_bytes // 2, job.workers),
        progress=partial(job.progress, "tests"),
    )
    parts = [
        chance_table(tests),
        difference_table(tests),
        fit_differences(
            fitted.predictions,
            atlases,
            pairs=job.study.pairs,
            level=settings.p_level,
            draws=_drawn_fits(job, loaded, fitted, atlases)
            if settings.fits == "bootstrap" and job.study.pairs
            else None,
        ),
        unique_table(tests),
        beyond_table(tests),
        *_losses(fitted.predictions, r2, atlases, tests.spaces, settings.nuisance),
    ]
    claims = pd.concat([part for part in parts if len(part)], ignore_index=True)
    return Inferred(tests, claims, verdict_table(tests))


def _drawn_fits(job: Job, loaded: Loaded, fitted: Fitted, atlases: Labelled) -> np.ndarray:
    """Fit the compared models again to every draw of runs; differences of regions and pairs, (n_draws, n)."""
    assert fitted.folds is not None
    settings, pairs = job.study.compare, job.study.pairs
    models = [model for model in job.study.models if any(model.name in pair for pair in pairs)]
    used = {p.model: p for p in fitted.predictions}
    labels = [fingerprint_array(values) for _, values in atlases]
    key = digest([[used[model.name].provenance.key for model in models], pairs, labels, job.study.seed])
    partial_result = Partial(job.work / "drawn-fits", {"key": key})
    compute, found = job.study.compute.compute("cpu", job.workers), []
    needed = 4 * len(loaded.responses.samples) * len(loaded.responses.targets)
    if needed > compute.memory_bytes // 2:
        raise DataError(
            f'[compare] fits = "bootstrap": drawn responses of sub-{job.subject} take {needed / 2**30:.1f} GiB, but at '
            f"most half of [compute] memory ({compute.memory_bytes / 2**30:.1f} GiB) is for them. Raise it, or set "
            'fits = "nadeau_bengio".'
        )
    for number in range(settings.n_bootstrap):
        if not partial_result.has(number):
            rows, folds = draw_runs(fitted.folds, np.random.default_rng([job.study.seed, 7, number]))
            spaces, responses = take_rows(list(loaded.spaces), loaded.responses, rows)
            with TemporaryDirectory(dir=job.work, prefix=".drawn-") as folder:
                places = [Path(folder) / model.name for model in models]
                drawn = cross_predict_all(
                    models,
                    spaces,
                    responses,
                    folds,
                    places,
                    seed=job.study.seed,
                    compute=replace(compute, keep_bytes=0),
                )
                partial_result.write(number, {"mean": region_differences(drawn, atlases, pairs)[0].mean(0)})
        found.append(partial_result.read(number)["mean"])
        job.progress("fits to drawn runs", (number + 1) / settings.n_bootstrap)
    return np.stack(found)


def save_tests(job: Job, loaded: Loaded, atlases: Labelled, inferred: Inferred) -> None:
    """Copy tests to the results of the subject, where maps and the group find them; write means of regions too."""
    (job.folder / MEANS_FILE).unlink(missing_ok=True)
    if inferred.places:
        save_region_means(job.folder, loaded.responses, atlases)
    for old in job.folder.glob(f"{INFERENCE}*"):
        if old.name not in inferred.places:
            shutil.rmtree(old)
    for place in inferred.places:
        with atomic_folder(job.folder / place) as temporary:
            for path in sorted((job.work / place).iterdir()):
                shutil.copy2(path, temporary / path.name)
    table = job.folder / "rsa_verdicts.tsv"
    table.unlink(missing_ok=True)
    if len(inferred.rsa_verdicts):
        write_tsv(table, inferred.rsa_verdicts)


def write_group_inference(folder: Path, results: Sequence[Result]) -> Mapping[str, pd.DataFrame]:
    """Write what may be said of the group: claims, verdicts, and bounds of what models of shared signal can reach."""
    for name in ("claims", "verdicts", "rsa_verdicts", "rsa_ceilings", "shared_signal"):
        (folder / f"{name}.tsv").unlink(missing_ok=True)
    if len(results) < 2:
        return {}
    names = sorted(place.name for place in results[0].folder.glob(f"{INFERENCE}*"))
    claims, tables = [], {"shared_signal": group_signal([result.folder for result in results])}
    of_similarity, ceilings = [], []
    for name in names:
        folders = [result.folder / name for result in results]
        if not all(place.is_dir() for place in folders):
            continue
        tests = [read_tests(place) for place in folders]
        level = float(tests[0].facts["settings"]["p_level"])
        table, verdicts = group_claims(tests, level=level), group_verdicts(tests, level=level)
        if name == INFERENCE:
            claims.append(table)
            tables["verdicts"] = verdicts
        else:
            analysis = name.removeprefix(f"{INFERENCE}-rsa-")
            claims.append(_of_similarity(table, analysis))
            of_similarity.append(verdicts.assign(rsa=analysis))
            comparison = results[0].summary.rsa[analysis].comparison
            ceilings.append(similarity_ceilings(folders, tests[0].places, analysis, comparison))
    if claims:
        tables["claims"] = pd.concat([table for table in claims if len(table)] or claims[:1], ignore_index=True)
    if of_similarity:
        tables["rsa_verdicts"] = pd.concat(of_similarity, ignore_index=True)
    if ceilings:
        tables["rsa_ceilings"] = pd.concat(ceilings, ignore_index=True)
    tables = {name: table for name, table in tables.items() if len(table)}
    told = confidence_of(pd.concat([result.regions for result in results], ignore_index=True))
    for name, table in tables.items():
        write_tsv(folder / f"{name}.tsv", join_confidence(table, told))
    return tables


def joined_verdicts(found: Mapping[str, pd.DataFrame]) -> pd.DataFrame | None:
    """Join the group's verdicts into one table; the column "rsa" names the analysis, "" for models."""
    tables = [found["verdicts"].assign(rsa="")] if "verdicts" in found else []
    tables += [found["rsa_verdicts"]] if "rsa_verdicts" in found else []
    return pd.concat(tables, ignore_index=True) if tables else None


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


def _losses(
    predictions: Sequence[Predictions],
    r2: Scores | None,
    atlases: Labelled,
    spaces: Sequence[str],
    nuisance: Sequence[str],
) -> list[pd.DataFrame]:
    """Subtract R2 of models without a space from R2 of models with it: all others, and nuisance spaces, in both."""
    if r2 is None:
        return []
    of_bands = {frozenset(prediction.bands): prediction.model for prediction in predictions}
    single = {p.model: p.bands[0] for p in predictions if len(p.bands) == 1}
    bands = {space: single[space] for space in spaces}
    every = frozenset(bands.values())
    pairs = {
        "the others": {space: (every, every - {band}) for space, band in bands.items()},
        NUISANCE: {space: (frozenset({band, *nuisance}), frozenset(nuisance)) for space, band in bands.items()},
    }
    tables = []
    for versus, of_spaces in pairs.items():
        known = {
            space: (of_bands[whole], of_bands[without])
            for space, (whole, without) in of_spaces.items()
            if whole in of_bands and without in of_bands and without
        }
        if known:
            tables.append(unique_of_fits(r2, atlases, known, versus))
    return tables

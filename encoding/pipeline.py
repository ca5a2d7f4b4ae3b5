"""The stages in order: the file to read first.

    features   read_spaces        [[features]] tables          -> feature spaces, one row per stimulus
    load       load_subject       BIDS and fMRIPrep files      -> responses, and features on their clock
    fit        fit_subject        folds and [[fit]] models     -> held-out predictions
    compare    compare_subject    predictions and atlases      -> scores of targets, regions, pairs of models
    map        map_subject        scores                       -> brain maps and the participant's report
    group      run_group          what participants wrote      -> group tables and the report

Every step saves its result with a key of its settings and inputs, and is skipped when that result is there.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from .comparison import compare_regions, evaluate, score_regions, summarise_differences, summarise_regions, winners
from .config import Study
from .core import Atlas, DataError, Exclusion, FeatureSpace, Predictions, Responses, digest, suggest, versions
from .embedding import embed
from .fitting import Folds, choose_device, cross_predict, make_folds
from .io.atlas_matching import match_atlas
from .io.atlases import load_atlas, load_dseg
from .io.atomic import write_tsv
from .io.bids import PybidsIndex
from .loading import load_responses, stimuli_of_rows
from .loading.responses import _find_runs, _query
from .loading.spaces import align_spaces
from .mapping import (
    FACTS,
    METRICS,
    Result,
    choose_atlases,
    prepare_derivative,
    read_result,
    write_maps,
    write_report,
    write_result,
)

Progress = Callable[[str, float], None]


@dataclass(frozen=True, slots=True)
class Places:
    """Where things are.

    Attributes
    ----------
    bids_dir : Path
        The raw dataset, with events and stimuli.
    output_dir : Path
        BIDS derivative that is written.
    work_dir : Path
        Intermediate results, reused by the next run.
    derivatives : Path or None
        fMRIPrep's output; found in the dataset unless given.
    """

    bids_dir: Path
    output_dir: Path
    work_dir: Path
    derivatives: Path | None = None


@dataclass(frozen=True, slots=True)
class Job:
    """One study, one subject.

    Attributes
    ----------
    study : Study
        What is done.
    places : Places
        Where.
    subject : str
        For whom, without ``sub-``.
    device : {"cpu", "cuda", "auto"}
        What the solver runs on.
    sessions : tuple of str
        Sessions to use; all unless given.
    filters : mapping
        Entities that the BOLD files must have, as in fMRIPrep's filter file.
    progress : callable
        Called with the name of the step and the share of it that is done.
    """

    study: Study
    places: Places
    subject: str
    device: str = "auto"
    sessions: tuple[str, ...] = ()
    filters: dict[str, Any] = field(default_factory=dict)
    progress: Progress = lambda step, share: None  # noqa: ARG005

    @property
    def folder(self) -> Path:
        """Where the subject's results go."""
        return self.places.output_dir / f"sub-{self.subject}"

    @property
    def work(self) -> Path:
        """Where the subject's intermediate results go."""
        return self.places.work_dir / f"sub-{self.subject}"


@dataclass(frozen=True, eq=False, slots=True)
class Loaded:
    """What loading finds.

    Attributes
    ----------
    responses : Responses
        Cleaned responses.
    spaces : tuple of FeatureSpace
        Feature spaces on the same samples.
    exclusions : tuple of Exclusion
        Everything that was left out.
    """

    responses: Responses
    spaces: tuple[FeatureSpace, ...]
    exclusions: tuple[Exclusion, ...]


@dataclass(frozen=True, eq=False, slots=True)
class Fitted:
    """What fitting finds.

    Attributes
    ----------
    folds : Folds
        Outer and inner folds.
    predictions : tuple of Predictions
        One per model.
    device : str
        What was computed on, and why.
    """

    folds: Folds
    predictions: tuple[Predictions, ...]
    device: str


def run_participant(job: Job) -> Result:
    """Take one subject from BIDS files to maps; the stages, in order.

    Parameters
    ----------
    job : Job
        Study, places and subject.

    Returns
    -------
    Result
        What was written to ``OUTPUT_DIR/sub-<label>``.
    """
    loaded = load_subject(job)
    fitted = fit_subject(job, loaded)
    result = compare_subject(job, loaded, fitted)
    map_subject(job, result)
    return result


def run_compare(job: Job) -> Result:
    """Take one subject from BIDS files to tables, without maps.

    Parameters
    ----------
    job : Job
        Study, places and subject.

    Returns
    -------
    Result
        What was written to ``OUTPUT_DIR/sub-<label>``.
    """
    loaded = load_subject(job)
    return compare_subject(job, loaded, fit_subject(job, loaded))


def prepare_output(study: Study, places: Places, command: Sequence[str]) -> None:
    """Make the output folder a BIDS derivative and note what is being run.

    Parameters
    ----------
    study : Study
        What is done.
    places : Places
        Where.
    command : sequence of str
        Arguments of the program.
    """
    prepare_derivative(places.output_dir, places.bids_dir, text=study.text, settings=study.resolved(), command=command)


def subjects_of(places: Places, wanted: Sequence[str]) -> list[str]:
    """List the subjects of a dataset.

    Parameters
    ----------
    places : Places
        Where the dataset is.
    wanted : sequence of str
        Labels; all unless given.

    Returns
    -------
    list of str
        Labels without ``sub-``.

    Raises
    ------
    DataError
        If a wanted subject is not there, or there is none.
    """
    return _chosen(places.bids_dir, [path.name for path in places.bids_dir.glob("sub-*") if path.is_dir()], wanted)


def finished_subjects(places: Places, wanted: Sequence[str]) -> list[str]:
    """List the subjects whose participant level is finished.

    Parameters
    ----------
    places : Places
        Where results are.
    wanted : sequence of str
        Labels; all unless given.

    Returns
    -------
    list of str
        Labels without ``sub-``.

    Raises
    ------
    DataError
        If a wanted subject is not finished, or there is none.
    """
    found = [path.parent.name for path in places.output_dir.glob(f"sub-*/{FACTS}")]
    return _chosen(places.output_dir, found, wanted)


def _chosen(folder: Path, found: Sequence[str], wanted: Sequence[str]) -> list[str]:
    labels = sorted(name.removeprefix("sub-") for name in found)
    for label in wanted:
        if label not in labels:
            raise DataError(f"{folder}: there is no sub-{label}. {suggest(label, labels)}")
    if not labels:
        raise DataError(f"{folder}: no subject was found. Folders named sub-<label> are needed.")
    return [label for label in labels if not wanted or label in wanted]


def read_spaces(job: Job) -> tuple[FeatureSpace, ...]:
    """Read every feature space, one row per stimulus.

    Parameters
    ----------
    job : Job
        Study and places.

    Returns
    -------
    tuple of FeatureSpace
        In the order of the configuration.
    """
    return tuple(embed(source, job.places.bids_dir) for source in job.study.features)


def load_subject(job: Job) -> Loaded:
    """Load and clean one subject's responses, and lay the features out on their clock.

    Parameters
    ----------
    job : Job
        Study, places and subject.

    Returns
    -------
    Loaded
        Responses and features with the same samples.
    """
    spaces = read_spaces(job)
    responses = load_responses(
        job.study.load,
        _index(job),
        job.subject,
        job.work / "responses",
        sessions=job.sessions,
        bids_filters=job.filters,
        progress=lambda done, total, run: job.progress("load", done / total),  # noqa: ARG005
    )
    settings = job.study.align
    aligned, exclusions = align_spaces(spaces, responses, delays=settings.delays, centre=settings.centre)
    return Loaded(responses, aligned, (*responses.exclusions, *exclusions))


def fit_subject(job: Job, loaded: Loaded) -> Fitted:
    """Fit every model and predict every held-out sample.

    Parameters
    ----------
    job : Job
        Study, places and subject.
    loaded : Loaded
        Responses and features.

    Returns
    -------
    Fitted
        Folds and predictions.
    """
    responses = loaded.responses
    shown = stimuli_of_rows(responses, job.study.align.delays)
    folds = make_folds(job.study.split, responses.samples, shown)
    device, why = choose_device(job.device)
    predictions = tuple(
        cross_predict(
            model,
            loaded.spaces,
            responses,
            folds,
            job.work / f"model-{model.name}",
            seed=job.study.seed,
            compute=job.study.compute.compute(device),
            progress=lambda share, name=model.name: job.progress(f"fit {name}", share),  # type: ignore[misc]
        )
        for model in job.study.models
    )
    return Fitted(folds, predictions, why)


def compare_subject(job: Job, loaded: Loaded, fitted: Fitted) -> Result:
    """Score targets, regions and pairs of models, and write the tables.

    Parameters
    ----------
    job : Job
        Study, places and subject.
    loaded : Loaded
        Responses and features.
    fitted : Fitted
        Folds and predictions.

    Returns
    -------
    Result
        As read back from ``OUTPUT_DIR/sub-<label>``.
    """
    study, predictions = job.study, fitted.predictions
    scores = {metric: evaluate(predictions, metric) for metric in METRICS}
    regions, differences = [], []
    atlases = _atlases(job, loaded.responses)
    for number, (atlas, labels) in enumerate(atlases):
        regions += [score_regions(of_metric, atlas, labels) for of_metric in scores.values()]
        main = scores[study.compare.metric]
        differences.append(compare_regions(predictions, main, atlas, labels, pairs=study.pairs))
        job.progress("compare", (number + 1) / len(atlases))
    exclusions = (*loaded.exclusions, *fitted.folds.exclusions)
    samples = fitted.folds.samples
    tables = {
        "regions": pd.concat(regions, ignore_index=True),
        "differences": pd.concat(differences, ignore_index=True),
        "exclusions": pd.DataFrame([(e.what, e.n, e.reason) for e in exclusions], columns=["what", "n", "reason"]),
        "splits": pd.DataFrame(
            {"run": samples.run, "onset": samples.onset, "stimulus": samples.stimulus, **fitted.folds.membership()}
        ),
    }
    return write_result(job.folder, scores, tables, _facts(job, loaded, fitted))


def map_subject(job: Job, result: Result) -> Path:
    """Write the maps of one subject and draw its report.

    Parameters
    ----------
    job : Job
        Study, places and subject.
    result : Result
        What `compare_subject` wrote.

    Returns
    -------
    Path
        ``OUTPUT_DIR/sub-<label>.html``.
    """
    study = job.study
    entities = {"sub": job.subject, "task": result.facts["task"]}
    write_maps(
        job.folder / "func",
        entities,
        result.scores,
        metric=study.compare.metric,
        single=study.single,
        pairs=study.pairs,
    )
    page = job.places.output_dir / f"sub-{job.subject}.html"
    return write_report([result], study.maps, page, job.folder / "figures", progress=job.progress)


def run_group(study: Study, places: Places, subjects: Sequence[str], progress: Progress) -> Path:
    """Bring together what participants wrote; reads nothing else.

    Parameters
    ----------
    study : Study
        For what to show.
    places : Places
        Where participants wrote.
    subjects : sequence of str
        Participants.
    progress : callable
        Called with the name of the step and the share done.

    Returns
    -------
    Path
        ``OUTPUT_DIR/report.html``.
    """
    results = [read_result(places.output_dir / f"sub-{subject}") for subject in subjects]
    folder = places.output_dir / "group"
    regions = pd.concat([result.regions for result in results], ignore_index=True)
    differences = pd.concat([result.differences for result in results], ignore_index=True)
    main = regions[regions["metric"] == study.compare.metric]
    write_tsv(folder / "regions.tsv", regions)
    write_tsv(folder / "differences.tsv", differences)
    write_tsv(folder / "regions_summary.tsv", summarise_regions(regions))
    write_tsv(folder / "differences_summary.tsv", summarise_differences(differences))
    write_tsv(folder / "winners.tsv", winners(main, list(study.single)))
    return write_report(results, study.maps, places.output_dir / "report.html", folder / "figures", progress=progress)


def _index(job: Job) -> PybidsIndex:
    return PybidsIndex(job.places.bids_dir, job.places.derivatives, subjects=(job.subject,))


def _atlases(job: Job, responses: Responses) -> list[tuple[Atlas | None, np.ndarray]]:
    """Load the atlases that are asked for, with the label of every target; all targets as one come first."""
    pairs: list[tuple[Atlas | None, np.ndarray]] = [(None, np.ones(len(responses.targets), dtype=int))]
    query = _query(job.study.load, job.sessions, job.filters)
    runs = _find_runs(job.study.load, _index(job), job.subject, query)[0]
    dseg = runs[0].dseg
    for name, path in choose_atlases(job.study.maps.atlases, responses.targets, dseg, job.places.bids_dir):
        atlas = load_dseg(path, name) if name in ("aseg", "aparcaseg") else load_atlas(path)
        pairs.append((atlas, match_atlas(atlas, responses.targets)))
    return pairs


def _facts(job: Job, loaded: Loaded, fitted: Fitted) -> dict[str, Any]:
    """Collect what the report says about data, folds and penalties."""
    responses, membership = loaded.responses, fitted.folds.membership()["outer"]
    models = {}
    for prediction in fitted.predictions:
        chosen = prediction.alphas[np.isfinite(prediction.alphas)]
        counts = [int(np.isclose(chosen, alpha).sum()) for alpha in prediction.alpha_grid]
        models[prediction.model] = {
            "bands": list(prediction.bands),
            "alphas": prediction.alpha_grid.tolist(),
            "chosen": counts,
            "mean_gamma": np.nanmean(prediction.gammas, axis=(0, 2)).astype(float).round(4).tolist(),
            "key": prediction.provenance.key,
        }
    settings = job.study.resolved()
    same_for_all = {key: value for key, value in settings.items() if key not in ("compute", "maps")}
    return {
        "subject": job.subject,
        "task": responses.task,
        "clock": responses.samples.clock,
        "t_r": responses.t_r if np.isfinite(responses.t_r) else None,
        "kind": responses.targets.kind,
        "space": responses.targets.space,
        "n_samples": len(responses.samples),
        "n_targets": len(responses.targets),
        "n_usable": int(responses.usable.sum()),
        "runs": list(responses.samples.runs),
        "fold_of_run": {run: int(membership[responses.samples.run == run].max()) for run in responses.samples.runs},
        "n_folds": len(fitted.folds.folds),
        "features": {space.name: space.n_features for space in loaded.spaces},
        "models": models,
        "single": list(job.study.single),
        "pairs": [list(pair) for pair in job.study.pairs],
        "metric": job.study.compare.metric,
        "device": fitted.device,
        "settings": settings,
        "settings_key": digest(same_for_all),
        "config": job.study.text,
        "versions": versions(),
    }

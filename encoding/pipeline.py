"""The stages in order: the file to read first.

    collect    collect_judgments  videos, captions, annotators -> odd-one-out judgments and their quality
    features   make_spaces        [[features]] tables          -> feature spaces, per stimulus or in time
    load       load_subject       BIDS and fMRIPrep files      -> responses, and features on their clock
    fit        fit_subject        folds and [[fit]] models     -> held-out predictions
    compare    compare_subject    predictions and atlases      -> scores of targets, regions, pairs of models
               infer_all          features, responses, folds   -> tests, and every claim that they allow
               rsa_subject        [[rsa]], responses, features -> the same of similarities
    map        map_subject        scores                       -> brain maps and the participant's report
    group      run_group          what participants wrote      -> group tables and the report

Every step saves its result with a key of its settings and inputs, and loads it if the key is the same. Inputs and
outputs of the steps (`Places`, `Job`, `Loaded`, `Fitted`) are in `workflow/jobs.py`.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from .collection import collect_judgments
from .config.settings import Study
from .core.progress import StepProgress, silent_steps
from .fitting import choose_device, cross_predict_all, make_folds
from .io.atomic import atomic_folder, write_json, write_text
from .io.locks import locked
from .io.partial import sweep_results
from .loading import (
    align_spaces,
    find_runs,
    load_responses,
    match_stimuli,
    name_recordings,
    stimuli_of_rows,
)
from .mapping import (
    Result,
    Scrubber,
    drawing_key,
    finished_result,
    is_drawn,
    new_labels,
    note_drawn,
    prepare_derivative,
    rates_of,
    read_result,
    require_clean,
    require_same_settings,
    write_background,
    write_maps,
    write_report,
    write_result,
    write_rsa_maps,
)
from .workflow.cluster import open_workers
from .workflow.controls import control_subject, stimulus_prints
from .workflow.features import fill_spaces, make_spaces
from .workflow.group_maps import write_group_maps
from .workflow.inference import infer_all, save_tests
from .workflow.jobs import Fitted, Job, Loaded, Places, finished_subjects, held, labelled_targets, subjects_of
from .workflow.maps import canvases_of, keep_parcels
from .workflow.scores import joined_scores, rsa_subject, score_models
from .workflow.summary import (
    comparison_key,
    content_keys,
    input_keys,
    require_different,
    require_present_tables,
    summarise,
    table_keys,
)
from .workflow.tables import tables_of, write_group_tables
from .workflow.weights import keep_weights, map_components, map_weights, weights_key

__all__ = [
    "Fitted",
    "Job",
    "Loaded",
    "Places",
    "collect_judgments",
    "compare_subject",
    "finished_subjects",
    "fit_subject",
    "infer_all",
    "load_subject",
    "make_spaces",
    "map_subject",
    "open_workers",
    "prepare_output",
    "rsa_subject",
    "run_compare",
    "run_group",
    "run_participant",
    "share_report",
    "subjects_of",
]


def run_participant(job: Job) -> Result:
    """Run all stages for one subject, from BIDS files to maps and the report.

    Parameters
    ----------
    job : Job
        Study, places and subject.

    Returns
    -------
    Result
        Scores, tables and summary in ``OUTPUT_DIR/sub-<label>``.

    Examples
    --------
    >>> from encoding.pipeline import run_participant
    >>> run_participant(job).summary.runs
    ('run-01', 'run-02', 'run-03', 'run-04')
    """
    loaded = load_subject(job)
    fitted = fit_subject(job, loaded)
    result = compare_subject(job, loaded, fitted)
    map_subject(job, result)
    return result


def run_compare(job: Job) -> Result:
    """Run all stages for one subject up to the tables, without maps.

    Parameters
    ----------
    job : Job
        Study, places and subject.

    Returns
    -------
    Result
        Scores, tables and summary in ``OUTPUT_DIR/sub-<label>``.

    Examples
    --------
    >>> from encoding.pipeline import run_compare
    >>> run_compare(job).summary.n_stimuli
    38
    """
    loaded = load_subject(job)
    return compare_subject(job, loaded, fit_subject(job, loaded))


def prepare_output(study: Study, places: Places, command: Sequence[str]) -> None:
    """Make the output folder a BIDS derivative and log settings and command.

    Parameters
    ----------
    study : Study
        Settings.
    places : Places
        Folders.
    command : sequence of str
        Arguments of the program.

    Examples
    --------
    >>> from encoding.pipeline import prepare_output
    >>> prepare_output(study, places, ["encoding", "run"])
    >>> Path("results/dataset_description.json").is_file()
    True
    """
    logs = places.output_dir / "logs"
    shared = ((logs, "run*"), *((places.output_dir, name) for name in (".bidsignore", "dataset_description.json")))
    with locked(logs, "prepare", sweeping=shared):
        prepare_derivative(
            places.output_dir, places.bids_dir, text=study.text, settings=study.resolved(), command=command
        )


def load_subject(job: Job) -> Loaded:
    """Load and clean one subject's responses, and align the feature spaces with them.

    Parameters
    ----------
    job : Job
        Study, places and subject.

    Returns
    -------
    Loaded
        Responses and features with the same samples.

    Examples
    --------
    >>> from encoding.pipeline import load_subject
    >>> len(load_subject(job).responses.targets)
    1092
    """
    spaces = make_spaces(job.study, job.places, device=job.device, workers=job.workers, progress=job.progress)
    index = job.index()
    runs, _ = find_runs(job.study.load, index, job.subject, sessions=job.sessions, bids_filters=job.filters)
    responses = load_responses(
        job.study.load,
        index,
        job.subject,
        job.work / "responses",
        sessions=job.sessions,
        bids_filters=job.filters,
        progress=partial(job.progress, "load"),
    )
    tables = table_keys(spaces, job.subject) | input_keys(job.study, job.places, spaces)
    spaces, responses = match_stimuli(spaces, name_recordings(responses, spaces))
    spaces, filled = fill_spaces(job.study, spaces, responses)
    settings = job.study.align
    aligned, exclusions = align_spaces(spaces, responses, delays=settings.delays, centre=settings.centre)
    there = {space.name for space in aligned}
    described = tuple(space for space in spaces if space.name in there)
    return Loaded(responses, aligned, (*responses.exclusions, *filled, *exclusions), described, tuple(runs), tables)


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
        Folds and predictions; none if the study has no models.

    Examples
    --------
    >>> from encoding.pipeline import fit_subject
    >>> [one.model for one in fit_subject(job, loaded).predictions]
    ['mllm', 'category', 'joint']
    """
    responses, job = loaded.responses, job.with_spaces(loaded.names)
    if not job.study.models:
        return Fitted(None, (), choose_device(job.device)[1])
    shown = stimuli_of_rows(responses, job.study.align.delays, loaded.described)
    folds = make_folds(job.study.split, responses.samples, shown)
    device, why = choose_device(job.device)
    job.progress("fit", 0.0)
    predictions = cross_predict_all(
        job.study.models,
        loaded.spaces,
        responses,
        folds,
        [job.work / f"model-{model.name}" for model in job.study.models],
        seed=job.study.seed,
        compute=job.study.compute.compute(device, job.workers),
        progress=partial(job.progress, "fit"),
    )
    job.progress("fit", 1.0)
    fitted = Fitted(folds, tuple(predictions), why)
    keep_weights(job, loaded, fitted)
    return fitted


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

    Examples
    --------
    >>> from encoding.pipeline import compare_subject
    >>> compare_subject(job, loaded, fitted).scores["r"]
    Scores(r, sub-01, rows mllm, category, joint, 1092 targets)
    """
    job = job.with_spaces(loaded.names)
    atlases, unfit = labelled_targets(job, loaded)
    keep_parcels(job, atlases)
    similar = rsa_subject(job, loaded, atlases)
    exclusions = (*loaded.exclusions, *unfit, *fitted.exclusions, *(e for one in similar for e in one.exclusions))
    sources = {**loaded.tables, **content_keys(loaded.described, atlases, job.study.own_atlases, job.subject)}
    inputs = sources | stimulus_prints(job, loaded)
    key = comparison_key(job, fitted, atlases, exclusions, loaded.responses.warnings, similar, sources=inputs)
    done = finished_result(job.folder, key)
    if done is not None:
        job.progress("compare", 1.0)
        return done
    scored = score_models(job, loaded, fitted, atlases)
    job.progress("compare", 1.0)
    inferred = infer_all(job, loaded, fitted, atlases, scored.scores.get("r2"))
    tables = tables_of(
        job, loaded, fitted, scored, similar=similar, inferred=inferred, exclusions=exclusions, atlases=atlases
    )
    save_tests(job, loaded, atlases, inferred)
    write_background(job.folder / "func", loaded.responses, loaded.bold)
    controls = control_subject(job, loaded, fitted)
    summary = summarise(job, loaded, fitted, similar, scored.significant, key=key, sources=sources)
    summary = replace(summary, controls=controls, ceiling=scored.ceiling)
    return write_result(job.folder, scored.scores | joined_scores(similar), tables, summary)


def map_subject(job: Job, result: Result, *, again: bool = False) -> Path:
    """Write the maps of one subject and draw its report.

    Parameters
    ----------
    job : Job
        Study, places and subject.
    result : Result
        What `compare_subject` wrote.
    again : bool, optional
        Whether to draw again what is up to date.

    Returns
    -------
    Path
        ``OUTPUT_DIR/sub-<label>.html``.

    Examples
    --------
    >>> from encoding.pipeline import map_subject
    >>> map_subject(job, result).name
    'sub-01.html'
    """
    job = job.with_spaces(tuple(result.summary.features))
    study = job.study
    page = job.places.output_dir / f"sub-{job.subject}.html"
    canvases = canvases_of(study, job.places, [result])
    key = drawing_key([result], study.maps, weights_key(job.folder, study), canvases=canvases)
    job.progress("report", 0.0)
    if again or not is_drawn(job.folder, key):
        rates = {model.name: rates_of(result, model.name) for model in study.models}
        maps = write_maps(
            job.folder / "func",
            {"sub": job.subject, "task": result.summary.task},
            result.scores,
            metric=study.compare.metric,
            pairs=study.pairs,
            tests=result.tests,
            about=result,
            rates={name: values for name, values in rates.items() if values is not None},
            left_out=study.auxiliary,
        )
        maps += write_rsa_maps(job.folder / "func", result)
        maps += map_weights(result, study)
        drawn = write_report(
            [result],
            study.maps,
            page,
            job.folder / "figures",
            progress=partial(job.progress, "report"),
            canvases=canvases,
        )
        note_drawn(job.folder, key, [*maps, *drawn])
    job.progress("report", 1.0)
    return page


def run_group(
    study: Study,
    places: Places,
    subjects: Sequence[str],
    progress: StepProgress = silent_steps,
    *,
    again: bool = False,
    tell: Callable[[str], None] = lambda text: None,  # noqa: ARG005
) -> Path:
    """Summarise the results of participants and draw the report; of the dataset, only feature tables are read.

    Parameters
    ----------
    study : Study
        Settings.
    places : Places
        Folders; results of the participants are read.
    subjects : sequence of str
        Labels without ``sub-``.
    progress : callable, optional
        Called with the name of the step and the share done.
    again : bool, optional
        Whether to draw again what is up to date.
    tell : callable, optional
        Called with a sentence if a participant that is being made has to be waited for.

    Returns
    -------
    Path
        ``OUTPUT_DIR/report.html``.

    Raises
    ------
    DataError
        If a participant is not finished, participants were made with different settings, or a feature table was changed
        since.

    Examples
    --------
    >>> from encoding.pipeline import run_group
    >>> run_group(study, places, ["01", "02"]).name
    'report.html'
    """
    with (
        locked(places.output_dir / "logs", "group", sweeping=((places.output_dir, "report.html"),), tell=tell),
        held(places, subjects, tell),
    ):
        sweep_results(places.output_dir / "group")
        return _run_group(study, places, subjects, progress, again=again)


def _run_group(study: Study, places: Places, subjects: Sequence[str], progress: StepProgress, *, again: bool) -> Path:
    results = [read_result(places.output_dir / f"sub-{subject}") for subject in subjects]
    require_same_settings(results, study.resolved())
    require_present_tables(study, places, results)
    require_different(results)
    folder, page = places.output_dir / "group", places.output_dir / "report.html"
    tests, found = write_group_tables(study, folder, results)
    canvases = canvases_of(study, places, results)
    keys = [key for result in results for key in weights_key(result.folder, study)]
    key = drawing_key(results, study.maps, keys, canvases=canvases)
    if again or not is_drawn(folder, key):
        drawn = write_report(
            results,
            study.maps,
            page,
            folder / "figures",
            progress=partial(progress, "report"),
            tests=tests,
            group=found,
            canvases=canvases,
            viewer=True,
        )
        maps = [*write_group_maps(folder, results, found.get("verdicts")), *map_components(results, folder, study)]
        note_drawn(folder, key, [*maps, *drawn])
    progress("report", 1.0)
    return page


def share_report(
    study: Study,
    places: Places,
    subjects: Sequence[str],
    progress: StepProgress = silent_steps,
    *,
    frames: bool = False,
) -> Path:
    """Draw report and viewer for sharing, without paths and with new participant labels.

    Parameters
    ----------
    study : Study
        Settings.
    places : Places
        Folders; results of the participants are read.
    subjects : sequence of str
        Labels without ``sub-``.
    progress : callable, optional
        Called with the name of the step and the share done.
    frames : bool, optional
        Whether to add the pages of embeddings, which show frames of clips.

    Returns
    -------
    Path
        ``OUTPUT_DIR/shareable/report.html``. Which label was whose stands in ``logs/shareable.json`` only.

    Raises
    ------
    DataError
        If a participant is not finished, participants were made with different settings, or a label or a path is left.

    Examples
    --------
    >>> from encoding.pipeline import share_report
    >>> share_report(study, places, ["01", "02"]).parent.name
    'shareable'
    """
    output = places.output_dir
    with locked(output / "logs", "group", sweeping=((output, "shareable"),)), held(places, subjects):
        results = [read_result(output / f"sub-{subject}") for subject in subjects]
        require_same_settings(results, study.resolved())
        require_present_tables(study, places, results)
        tests, found = write_group_tables(study, output / "group", results)
        labels = new_labels(results)
        folders = (
            output,
            places.bids_dir,
            places.work_dir,
            *([places.derivatives] if places.derivatives else []),
            Path.home(),
        )
        scrubber, canvases = Scrubber(labels, folders), canvases_of(study, places, results)
        with atomic_folder(output / "shareable") as folder:  # what is not clean never gets its name
            written = write_report(
                sorted(map(scrubber.result, results), key=lambda result: result.subject),
                study.maps,
                folder / "report.html",
                folder / "figures",
                progress=partial(progress, "report"),
                tests=tests,
                group={name: scrubber.table(table) for name, table in found.items()},
                canvases={labels[subject]: scrubber.canvas(canvas) for subject, canvas in canvases.items()},
                viewer=True,
            )
            for page in sorted((output / "embedding").glob("*.html")) if frames else ():
                written.append(write_text(folder / page.name, scrubber.known(page.read_text(encoding="utf-8"))))
            require_clean(written, scrubber)
        write_json(output / "logs" / "shareable.json", labels)
    progress("report", 1.0)
    return output / "shareable" / "report.html"

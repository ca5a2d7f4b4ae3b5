"""Commands of the main job: run, its single stages, and the reports."""

import argparse
import logging
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..core import ConfigError, EncodingError
from .options import (
    add_command,
    add_jobs,
    add_places,
    add_run_options,
    filters_of,
    job_of,
    labels_of,
    places_of,
    study_of,
)
from .progress import Bar, Screen, end_line, say, system_error

if TYPE_CHECKING:
    from ..config.settings import Study
    from ..workflow.jobs import Job, Places

STAGES = {
    "load": "clean the responses and align the features with them",
    "fit": "load, then fit the models and predict held-out samples",
    "compare": "load and fit, then score targets, regions and pairs of models",
    "map": "load, fit and compare, then write maps and the participant's report",
}


def add_analysis(commands: Any) -> None:
    """Add the commands that take a dataset to results."""
    run = add_command(commands, "run", _run, "run all stages, from a BIDS dataset to a report (BIDS App)")
    add_places(run)
    run.add_argument("level", choices=("participant", "group"), help="each subject by itself, or the group")
    add_run_options(run)
    for stage, what in STAGES.items():
        command = add_command(commands, stage, _stage, f"run the participant level up to one stage: {what}")
        add_places(command)
        add_run_options(command)
    report = add_command(commands, "report", _report, "draw the reports of finished participants again")
    add_places(report)
    add_run_options(report)
    report.add_argument(
        "--shareable", action="store_true",
        help="write report and viewer to OUTPUT_DIR/shareable, without paths and with new participant labels",
    )  # fmt: skip
    report.add_argument(
        "--frames",
        action="store_true",
        help="with --shareable: include the pages of embeddings, which show frames of clips",
    )
    viewer = add_command(
        commands,
        "view",
        _view,
        "write viewer.html, an interactive page with the maps of all finished participants",
    )
    viewer.add_argument("output_dir", type=Path, metavar="OUTPUT_DIR", help="results of encoding run")
    viewer.add_argument("-o", "--output", type=Path, metavar="FILE", help="HTML file (default: OUTPUT_DIR/viewer.html)")
    viewer.add_argument(
        "--participant-label", "--participant_label", nargs="+", default=[], metavar="LABEL",
        help="subjects, with or without sub- (default: all that are finished)",
    )  # fmt: skip


def _run(options: argparse.Namespace) -> int:
    from ..pipeline import run_participant

    if options.level == "group":
        return _report_group(options)
    return _each_subject(options, run_participant)


def _stage(options: argparse.Namespace) -> int:
    from .. import pipeline

    return _each_subject(options, {
        "load": pipeline.load_subject,
        "fit": _fit,
        "compare": pipeline.run_compare,
        "map": pipeline.run_participant,
    }[options.name])  # fmt: skip


def _fit(job: "Job") -> Any:
    """Load and fit; returns what was loaded, which tells what was left out."""
    from .. import pipeline

    loaded = pipeline.load_subject(job)
    pipeline.fit_subject(job, loaded)
    return loaded


def _redraw(job: "Job") -> None:
    from ..mapping import read_result
    from ..pipeline import map_subject

    map_subject(job, read_result(job.folder), again=True)


def _report(options: argparse.Namespace) -> int:
    if options.frames and not options.shareable:
        raise ConfigError("--frames goes with --shareable: the reports themselves show no frames of clips.")
    if options.shareable:
        return _share(options)
    failed = _each_subject(options, _redraw, finished=True)
    return _report_group(options, again=True) or failed


def _share(options: argparse.Namespace) -> int:
    from ..pipeline import finished_subjects, share_report

    study, places = study_of(options), places_of(options, finished=True)
    subjects = finished_subjects(places, labels_of(options.participant_label, "sub-"))
    bar = Bar()
    try:
        page = share_report(study, places, subjects, bar, frames=options.frames)
    finally:
        bar.close()
    print(page)
    return 0


def _view(options: argparse.Namespace) -> int:
    from ..mapping import view

    print(view(options.output_dir, options.output, subjects=labels_of(options.participant_label, "sub-")))
    return 0


def _report_group(options: argparse.Namespace, *, again: bool = False) -> int:
    from ..pipeline import finished_subjects, run_group

    study, places = study_of(options), places_of(options, finished=True)
    subjects = finished_subjects(places, labels_of(options.participant_label, "sub-"))
    bar = Bar()
    try:
        page = run_group(study, places, subjects, bar, again=again, tell=say)
    finally:
        bar.close()
    say(f"{len(subjects)} participants: {', '.join(subjects)}")
    print(page)
    return 0


def _each_subject(options: argparse.Namespace, work: Callable[["Job"], Any], *, finished: bool = False) -> int:
    """Run `work` for every subject; a failure does not stop the others."""
    from ..pipeline import finished_subjects, make_spaces, open_workers, prepare_output, subjects_of

    study, places = study_of(options), places_of(options, finished=finished)
    wanted = labels_of(options.participant_label, "sub-")
    subjects = finished_subjects(places, wanted) if finished else subjects_of(places, wanted, study.load)
    if not finished:
        _check_subjects(options, study, places, subjects)
        prepare_output(study, places, options.arguments)
    screen = Screen()
    with open_workers(study.compute, options.n_jobs, hear=screen) as workers:
        if not finished and any(source.slow for source in study.features):
            # Once for all subjects, which then load it.
            make_spaces(study, places, device=options.device, workers=workers, progress=Bar())
        jobs = [job_of(options, study, places, subject, workers) for subject in subjects]
        failures = list(workers.map(_attempt, (work, options.verbose), jobs, lost=_lost))
    screen.close()
    failed = [failure for failure in failures if failure]
    for failure in failed:
        say(f"encoding {options.name}: error: {failure}")
    if failed and len(subjects) > 1:
        say(f"{len(failed)} of {len(subjects)} participants failed; the others finished")
    return 1 if failed else 0


def _check_subjects(options: argparse.Namespace, study: "Study", places: "Places", subjects: Sequence[str]) -> None:
    """Refuse what cannot work before anything is computed, and tell which subjects will fail."""
    from ..loading import require_files
    from ..mapping import FACTS
    from ..workflow.checks import check_dataset
    from ..workflow.jobs import Job

    sessions, filters = labels_of(options.session_label, "ses-"), filters_of(options.bids_filter_file)
    require_files(study.load, places.bids_dir, places.derivatives, subjects, sessions=sessions, bids_filters=filters)
    # Finished subjects are not looked through again.
    done = {path.parent.name.removeprefix("sub-") for path in places.output_dir.glob(f"sub-*/{FACTS}")}
    todo = [subject for subject in subjects if subject not in done]
    if not todo:
        return
    found = check_dataset(study, places, todo, sessions=sessions, filters=filters, folds=options.name != "load")
    if len(found.failed) < len(subjects):  # otherwise each says it itself, at once
        for subject, problem in found.failed.items():
            say(f"sub-{subject} will fail: {problem.removeprefix(f'sub-{subject}: ')}")
    sound = [subject for subject in todo if subject not in found.failed]
    _require_disk([Job(study, places, subject, sessions=tuple(sessions), filters=filters) for subject in sound])


def _require_disk(jobs: list["Job"]) -> None:
    """Refuse to begin where responses and predictions of all subjects cannot fit; the first one stands for the rest."""
    from ..workflow.checks import expected_footprint
    from ..workflow.disk import WEIGHTS, bytes_there, require_space, same_disk

    if not jobs:
        return
    try:
        found = expected_footprint(jobs[0])
    except EncodingError:
        return  # said by the participant itself, which does not stop the others
    if found is not None:
        places, many = jobs[0].places, f"{len(jobs)} participants"
        work = sum(max(0, found.work - bytes_there(job.work)) for job in jobs)
        weights = sum(max(0, found.weights - bytes_there(job.folder / WEIGHTS)) for job in jobs)
        if same_disk(places.work_dir, places.output_dir):
            require_space(places.work_dir, work + weights, f"the work of {many}")
        else:
            require_space(places.work_dir, work, f"the work of {many}")
            require_space(places.output_dir, weights, f"the weights of {many}")


def _lost(job: "Job") -> str:
    return (
        f"sub-{job.subject}: its workers died again and again, most likely for lack of memory. Set a smaller `memory` "
        "in [compute], or take fewer workers."
    )


def _attempt(shared: tuple[Callable[["Job"], Any], bool], job: "Job") -> str:
    """Do the work of one subject; return what went wrong, or nothing."""
    from ..workflow.jobs import left_out

    work, verbose = shared
    start, who, tell = time.monotonic(), f"sub-{job.subject}", getattr(job.progress, "say", say)
    try:
        with job.alone(tell):
            missing = left_out(work(job))
    except EncodingError as error:
        if verbose:
            logging.getLogger(__name__).exception("sub-%s", job.subject)
        return str(error) if str(error).startswith(who) else f"{who}: {error}"
    except OSError as error:
        if verbose:
            logging.getLogger(__name__).exception("sub-%s", job.subject)
        return f"{who}: {system_error(error)}"
    except MemoryError as error:
        return f"{who}: out of memory ({error}). Set a smaller `memory` in [compute], or run fewer --n-jobs."
    except Exception as error:  # a fault of ours: the other participants go on
        logging.getLogger(__name__).exception(who)
        return f"{who}: unexpected {type(error).__name__}: {error}"
    finally:
        end_line(job.progress)
    tell(f"{who}: done in {time.monotonic() - start:.0f} s")
    return f"{who} is finished, but without {' Also, without '.join(missing)}" if missing else ""


def add_embedding(commands: Any) -> None:
    """Add the command that learns dimensions."""
    embed = add_command(
        commands, "embed", _embed, 'learn the feature spaces of kind = "judgments" and write a page about each'
    )
    embed.add_argument(
        "bids_dir", type=Path, nargs="?", metavar="BIDS_DIR",
        help="folder that file names are relative to (default: folder of the configuration)",
    )  # fmt: skip
    embed.add_argument(
        "output_dir", type=Path, nargs="?", metavar="OUTPUT_DIR",
        help="where results go (default: derivatives/brain-encoding in BIDS_DIR)",
    )  # fmt: skip
    embed.add_argument("--config", type=Path, required=True, help="TOML configuration")
    add_jobs(embed)
    embed.add_argument(
        "--device", choices=("cpu", "cuda", "auto"), default="cpu", help="device of the fits (default: cpu)"
    )
    embed.set_defaults(work_dir=None, derivatives=None)


def _embed(options: argparse.Namespace) -> int:
    from ..config.settings import read_config
    from ..embedding import JudgmentTable
    from ..pipeline import make_spaces, open_workers, prepare_output

    study = read_config(options.config, only_features=True)
    options.bids_dir = options.bids_dir or options.config.parent
    options.output_dir = options.output_dir or options.bids_dir / "derivatives" / "brain-encoding"
    places = places_of(options)
    learned = [source.name for source in study.features if isinstance(source, JudgmentTable)]
    if not learned:
        raise ConfigError(
            f'{options.config}: no [[features]] table has kind = "judgments", so there is nothing to learn.'
        )
    prepare_output(study, places, options.arguments)
    with open_workers(study.compute, options.n_jobs) as workers:
        make_spaces(study, places, device=options.device, workers=workers, progress=Bar())
    for name in learned:
        print(places.output_dir / "embedding" / f"{name}.html")
    return 0

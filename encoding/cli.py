"""The command line: arguments to the pipeline; the only module that prints and exits.

Everything heavy is imported inside the commands, so that ``--help`` answers at once.
"""

import argparse
import json
import logging
import os
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .core import ConfigError, DataError, EncodingError

if TYPE_CHECKING:
    from .config import Study
    from .pipeline import Job, Places

STAGES = {
    "load": "clean responses and lay features out on their clock",
    "fit": "the same, then fit the models and predict held-out samples",
    "compare": "the same, then score targets, regions and pairs of models",
    "map": "the same, then write maps and the participant's report",
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command.

    Parameters
    ----------
    arguments : sequence of str, optional
        Those of the process unless given.

    Returns
    -------
    int
        0 if all went well, 1 after an error that the user can act on; usage errors exit with 2.
    """
    options = build_parser().parse_args(arguments)
    logging.basicConfig(level=logging.INFO if options.verbose else logging.WARNING, format="%(name)s: %(message)s")
    try:
        return options.command(options)
    except EncodingError as error:
        if options.verbose:
            raise
        _say(f"encoding {options.name}: error: {error}")
        return 1
    except KeyboardInterrupt:
        _say("interrupted; what was finished is kept, run the same command again to go on")
        return 130


def build_parser() -> argparse.ArgumentParser:
    """Make the parser of all commands.

    Returns
    -------
    argparse.ArgumentParser
        Ready to parse.
    """
    from . import __version__

    parser = argparse.ArgumentParser(
        prog="encoding",
        description="Fit fMRI encoding models from BIDS datasets, compare feature spaces, map them on the brain.",
    )
    parser.add_argument("--version", action="version", version=f"brain-encoding {__version__}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True, dest="name")
    run = _command(commands, "run", _run, "take a BIDS dataset to a report (BIDS App)")
    _add_places(run)
    run.add_argument("level", choices=("participant", "group"), help="each subject on its own, or all together")
    _add_run_options(run)
    for stage, what in STAGES.items():
        command = _command(commands, stage, _stage, f"participant level up to one stage: {what}")
        _add_places(command)
        _add_run_options(command)
    report = _command(commands, "report", _report, "draw the reports again from what participants wrote")
    _add_places(report)
    _add_run_options(report)
    check = _command(commands, "check", _check, "build everything a configuration describes, touch no data")
    check.add_argument("config", type=Path, metavar="CONFIG", help="a TOML file")
    show = _command(commands, "show", _show, "describe a saved object or a folder of results")
    show.add_argument("path", type=Path, metavar="PATH", help="a folder written by this program")
    _command(commands, "atlases", _atlases, "list the atlases that are shipped, with licence and citation")
    simulate = _command(commands, "simulate", _simulate, "write a BIDS dataset with known truth")
    simulate.add_argument("out", type=Path, metavar="OUT", help="folder of the new dataset")
    simulate.add_argument(
        "--preset", choices=("tiny", "demo", "study"), default="demo", help="its size (default: demo)"
    )
    simulate.add_argument("--seed", type=int, default=0, help="seed of everything random (default: 0)")
    return parser


def _command(
    commands: Any, name: str, function: Callable[[argparse.Namespace], int], text: str
) -> argparse.ArgumentParser:
    command: argparse.ArgumentParser = commands.add_parser(
        name, help=text, description=text[0].upper() + text[1:] + "."
    )
    command.set_defaults(command=function)
    command.add_argument("-v", "--verbose", action="store_true", help="log more, and show the traceback of errors")
    return command


def _add_places(command: argparse.ArgumentParser) -> None:
    command.add_argument("bids_dir", type=Path, metavar="BIDS_DIR", help="the dataset: events, stimuli, participants")
    command.add_argument("output_dir", type=Path, metavar="OUTPUT_DIR", help="where results go, as a BIDS derivative")


def _add_run_options(command: argparse.ArgumentParser) -> None:
    add = command.add_argument
    add("--config", type=Path, required=True, help="TOML file that says what to do")
    add(
        "--participant-label",
        "--participant_label",
        nargs="+",
        default=[],
        metavar="LABEL",
        help="subjects, with or without sub- (default: all)",
    )
    add(
        "--session-label",
        "--session_label",
        nargs="+",
        default=[],
        metavar="LABEL",
        help="sessions, with or without ses- (default: all)",
    )
    add("--task-id", "--task_id", metavar="LABEL", help="task, instead of the one in the configuration")
    add("--derivatives", type=Path, metavar="PATH", help="fMRIPrep's output (default: BIDS_DIR/derivatives/fmriprep)")
    add(
        "--bids-filter-file",
        "--bids_filter_file",
        type=Path,
        metavar="FILE",
        help='JSON file: {"bold": {entity: value}}',
    )
    add(
        "-w",
        "--work-dir",
        "--work_dir",
        type=Path,
        metavar="WORK_DIR",
        help="intermediate results (default: OUTPUT_DIR/work)",
    )
    add("--n-jobs", "--n_jobs", type=int, default=1, metavar="N", help="subjects at a time (default: 1)")
    add("--device", choices=("cpu", "cuda", "auto"), default="auto", help="what the solver runs on (default: auto)")


def _run(options: argparse.Namespace) -> int:
    from .pipeline import run_participant

    if options.level == "group":
        return _report_group(options)
    return _each_subject(options, run_participant)


def _stage(options: argparse.Namespace) -> int:
    from . import pipeline

    return _each_subject(options, {
        "load": pipeline.load_subject,
        "fit": lambda job: pipeline.fit_subject(job, pipeline.load_subject(job)),
        "compare": pipeline.run_compare,
        "map": pipeline.run_participant,
    }[options.name])  # fmt: skip


def _report(options: argparse.Namespace) -> int:
    from .mapping import read_result
    from .pipeline import map_subject

    _each_subject(options, lambda job: map_subject(job, read_result(job.folder)), finished=True)
    return _report_group(options)


def _report_group(options: argparse.Namespace) -> int:
    from .pipeline import finished_subjects, run_group

    study, places = _study(options), _places(options)
    wanted = _labels(options.participant_label, "sub-")
    subjects = finished_subjects(places, wanted)
    page = run_group(study, places, subjects, Bar())
    _say(f"{len(subjects)} participants: {', '.join(subjects)}")
    print(page)
    return 0


def _each_subject(options: argparse.Namespace, work: Callable[["Job"], Any], *, finished: bool = False) -> int:
    """Do something for every subject; one that fails does not stop the others."""
    from joblib import Parallel, delayed

    from .pipeline import finished_subjects, prepare_output, subjects_of

    study, places = _study(options), _places(options)
    wanted = _labels(options.participant_label, "sub-")
    subjects = finished_subjects(places, wanted) if finished else subjects_of(places, wanted)
    prepare_output(study, places, sys.argv[1:])
    n_jobs = min(options.n_jobs if options.n_jobs > 0 else os.cpu_count() or 1, len(subjects))
    jobs = [_job(options, study, places, subject, quiet=n_jobs > 1) for subject in subjects]
    failures = Parallel(n_jobs=n_jobs)(delayed(_attempt)(work, job, options.verbose) for job in jobs)
    failed = [failure for failure in failures if failure]
    for failure in failed:
        _say(f"encoding {options.name}: error: {failure}")
    if failed and len(subjects) > 1:
        _say(f"{len(failed)} of {len(subjects)} participants failed; the others are finished")
    return 1 if failed else 0


def _attempt(work: Callable[["Job"], Any], job: "Job", verbose: bool) -> str:
    start = time.monotonic()
    try:
        work(job)
    except EncodingError as error:
        if verbose:
            logging.getLogger(__name__).exception("sub-%s", job.subject)
        return f"sub-{job.subject}: {error}"
    _say(f"sub-{job.subject}: done in {time.monotonic() - start:.0f} s")
    return ""


def _job(options: argparse.Namespace, study: "Study", places: "Places", subject: str, *, quiet: bool) -> "Job":
    from .pipeline import Job

    sessions = tuple(_labels(options.session_label, "ses-"))
    progress = Milestones(subject) if quiet else Bar(f"sub-{subject} ")
    return Job(study, places, subject, options.device, sessions, _filters(options.bids_filter_file), progress)


def _study(options: argparse.Namespace) -> "Study":
    import dataclasses

    from .config import read_config

    study = read_config(options.config)
    if options.task_id:
        task = options.task_id.removeprefix("task-")
        study = dataclasses.replace(study, load=dataclasses.replace(study.load, task=task))
    return study


def _places(options: argparse.Namespace) -> "Places":
    from .pipeline import Places

    if not options.bids_dir.is_dir():
        raise DataError(f"BIDS_DIR {options.bids_dir} is not a folder.")
    work = options.work_dir or options.output_dir / "work"
    return Places(options.bids_dir.resolve(), options.output_dir.resolve(), work.resolve(), options.derivatives)


def _labels(labels: Sequence[str], prefix: str) -> list[str]:
    return [label.removeprefix(prefix) for label in labels]


def _filters(path: Path | None) -> dict[str, Any]:
    if path is None:
        return {}
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, json.JSONDecodeError) as error:
        raise ConfigError(f"--bids-filter-file {path}: cannot be read ({error}).") from error
    return content


def _check(options: argparse.Namespace) -> int:
    from .config import kind_of, read_config

    study = read_config(options.config)
    print(f"{options.config}: good")
    print(f"  feature spaces  {', '.join(feature.name for feature in study.features)}")
    print(f"  load            {study.load.kind}, one row per {study.load.per}")
    print(f"  split           {study.split.kind}, outer {study.split.n_outer}, inner {study.split.n_inner}")
    for model in study.models:
        print(
            f"  model           {model.name}: {kind_of(model)} on {', '.join(model.bands)}, {len(model.alphas)} alphas"
        )
    print(f"  compare         {', '.join(f'{a} with {b}' for a, b in study.pairs) or 'one model, nothing to compare'}")
    print(f"  atlases         {', '.join(study.maps.atlases)}")
    return 0


def _show(options: argparse.Namespace) -> int:
    from .io.store import DESCRIPTION, describe, load

    path: Path = options.path
    if (path / DESCRIPTION).is_file():
        print(load(path))
        found = describe(path)["provenance"]
        if found is not None:
            content = {
                "step": found.step,
                "key": found.key,
                "seed": found.seed,
                "config": found.config,
                "inputs": found.inputs,
                "versions": found.versions,
            }
            print(json.dumps(content, indent=2, default=str))
        return 0
    objects = sorted(file.parent for file in path.rglob(DESCRIPTION)) if path.is_dir() else []
    if not objects:
        raise DataError(f"{path}: nothing that this program saved.")
    for folder in objects:
        print(f"{folder.relative_to(path)}: {load(folder)}")
    return 0


def _atlases(options: argparse.Namespace) -> int:  # noqa: ARG001
    from .io.atlases import available_atlases

    for atlas in available_atlases():
        print(f"{atlas.name}  ({atlas.kind}, {atlas.space}, {atlas.n_regions} regions)")
        print(f"    {atlas.summary}\n    licence: {atlas.licence}\n    cite: {atlas.citation}")
    return 0


def _simulate(options: argparse.Namespace) -> int:
    from .simulate import simulate

    print(simulate(options.out, preset=options.preset, seed=options.seed, progress=_say))
    return 0


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


class Bar:
    """Shows one progress bar per step, with the time that is left.

    Parameters
    ----------
    prefix : str
        Put before the name of the step.
    """

    def __init__(self, prefix: str = "") -> None:
        self.prefix, self.step, self.bar = prefix, "", None

    def __call__(self, step: str, share: float) -> None:
        """Move the bar.

        Parameters
        ----------
        step : str
            Name of the step; a new name begins a new bar.
        share : float
            Share of the step that is done.
        """
        from tqdm import tqdm

        if step != self.step or self.bar is None:
            self.step = step
            self.bar = tqdm(
                total=1.0,
                desc=f"{self.prefix}{step}",
                bar_format="{desc:<28}{percentage:3.0f}%|{bar:30}| {elapsed} elapsed, {remaining} left",
                mininterval=0.2,
                file=sys.stderr,
            )
        self.bar.update(share - self.bar.n)
        if share >= 1:
            self.bar.close()
            self.step, self.bar = "", None


class Milestones:
    """Says when a step is done, for subjects that run side by side.

    Parameters
    ----------
    subject : str
        Label of the subject.
    """

    def __init__(self, subject: str) -> None:
        self.subject, self.start = subject, time.monotonic()

    def __call__(self, step: str, share: float) -> None:
        """Note a step that is done.

        Parameters
        ----------
        step : str
            Name of the step.
        share : float
            Share of the step that is done.
        """
        if share >= 1:
            _say(f"sub-{self.subject} {step}: done after {time.monotonic() - self.start:.0f} s")

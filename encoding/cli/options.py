"""Arguments that commands share, and the objects made from them."""

import argparse
import dataclasses
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..core import ConfigError, DataError
from .progress import Bar

if TYPE_CHECKING:
    from ..config.settings import Study
    from ..core.workers import Workers
    from ..workflow.jobs import Job, Places


def add_command(
    commands: Any, name: str, function: Callable[[argparse.Namespace], int], text: str
) -> argparse.ArgumentParser:
    """Add a command to a parser."""
    command: argparse.ArgumentParser = commands.add_parser(
        name, help=text, description=text[0].upper() + text[1:] + "."
    )
    command.set_defaults(command=function)
    command.add_argument("-v", "--verbose", action="store_true", help="log more, and show the traceback of errors")
    return command


def add_places(command: argparse.ArgumentParser) -> None:
    """Add the two folders of a BIDS App."""
    command.add_argument("bids_dir", type=Path, metavar="BIDS_DIR", help="the dataset: events, stimuli, participants")
    command.add_argument("output_dir", type=Path, metavar="OUTPUT_DIR", help="where results go, as a BIDS derivative")


def add_jobs(command: argparse.ArgumentParser) -> None:
    """Add the option that starts workers on this machine."""
    command.add_argument(
        "--n-jobs", "--n_jobs", type=int, default=1, metavar="N",
        help="workers on this machine, for subjects and parts of each (default: 1; 0: one per processor); "
        "[compute] cluster takes precedence",
    )  # fmt: skip


def add_run_options(command: argparse.ArgumentParser) -> None:
    """Add the options that select data, work folder and device."""
    add = command.add_argument
    add("--config", type=Path, required=True, help="TOML configuration; `encoding init BIDS_DIR` writes one")
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
    add_jobs(command)
    add("--device", choices=("cpu", "cuda", "auto"), default="auto", help="device of the solver (default: auto)")


def job_of(options: argparse.Namespace, study: "Study", places: "Places", subject: str, workers: "Workers") -> "Job":
    """Create the job of one subject, which tells its progress itself where it runs in this process."""
    from ..workflow.cluster import Relay
    from ..workflow.jobs import Job

    sessions = tuple(labels_of(options.session_label, "ses-"))
    progress = Relay(subject) if workers.apart else Bar(f"sub-{subject} ")
    filters = filters_of(options.bids_filter_file)
    return Job(study, places, subject, options.device, sessions, filters, progress, workers)


def study_of(options: argparse.Namespace) -> "Study":
    """Read the configuration, with the task of the command line."""
    from ..config.settings import read_config

    study = read_config(options.config)
    if options.task_id:
        task = options.task_id.removeprefix("task-")
        study = dataclasses.replace(study, load=dataclasses.replace(study.load, task=task))
    return study


def places_of(options: argparse.Namespace, *, finished: bool = False) -> "Places":
    """Collect the folders of a run."""
    from ..workflow.jobs import Places

    if not finished and not options.bids_dir.is_dir():
        raise DataError(f"BIDS_DIR {options.bids_dir} is not a folder.")
    work = options.work_dir or options.output_dir / "work"
    return Places(options.bids_dir, options.output_dir, work, options.derivatives)


def labels_of(labels: Sequence[str], prefix: str) -> list[str]:
    """Remove the entity from BIDS labels ("sub-01" becomes "01")."""
    return [label.removeprefix(prefix) for label in labels]


def filters_of(path: Path | None) -> dict[str, Any]:
    """Read the file of `--bids-filter-file`; empty without one."""
    if path is None:
        return {}
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise ConfigError(f"--bids-filter-file {path}: cannot be read ({error}).") from error
    if not content and not isinstance(content, dict):  # others are named with their part below
        raise ConfigError(
            f"--bids-filter-file {path}: holds a {type(content).__name__}; an object was needed, such as "
            f'{{"bold": {{"acquisition": "mb4"}}}}.'
        )
    return content

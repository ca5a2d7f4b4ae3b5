"""Responses per trial that were estimated elsewhere."""

import warnings
from pathlib import Path

import numpy as np
import pandas as pd

from ..core import DataError, Exclusion, Provenance, Responses, Samples, fingerprint, versions
from ..io.atomic import atomic_folder
from ..io.bids.entities import plain
from ..io.bids.runs import BidsIndex
from ..io.row_writer import blank_columns, npy_rows, scale_columns
from ..io.store import load, saved_with, write_object
from ..io.tables import STIMULUS_COLUMNS, numbers_of, read_table, stimulus_column
from ..numerics.cleaning import zscore_rows
from .copies import Copies
from .estimates import Reader, files_of, open_estimates, paths_of
from .events import chosen_rows
from .loader import Betas, dataset_path, scaling_warning, stimuli_of, stimuli_path


def load_betas(loader: Betas, index: BidsIndex, subject: str, folder: Path) -> Responses:
    """Load responses that another program estimated, one per trial.

    Of the settings for cleaning, only `scale_rows` applies: it z-scores every target over the trials of each
    run. Images are read run by run; a table is read whole.
    """
    files = files_of(loader, index, subject)
    events = dataset_path(index, str(loader.events), subject)
    told = _warnings(loader, subject, files[0].path)
    names = [path.name for path in (*paths_of(files), events)]
    inputs = {
        path.name if names.count(path.name) == 1 else path.relative_to(index.bids_dir).as_posix(): fingerprint(path)
        for path in (*paths_of(files), events)
    }
    if loader.mask not in ("brain", "none"):
        inputs["mask"] = fingerprint(dataset_path(index, loader.mask, subject))
    if loader.stimuli not in (None, "none"):
        inputs["stimuli"] = fingerprint(stimuli_path(index, loader.stimuli, subject))
    provenance = Provenance("betas/2", loader.resolved() | {"subject": subject}, inputs, None, versions())
    if saved_with(folder, provenance.key):
        return load(folder)
    samples = _trials(loader, index, subject, events, [file.session for file in files])
    estimates = open_estimates(loader, index, subject, files, len(samples))
    if estimates.n_trials != len(samples):
        raise DataError(
            f"{' and '.join(map(str, paths_of(files)[:2]))} holds {estimates.n_trials} estimates, but {events} "
            f"lists {len(samples)} trials. Row i of the table must describe estimate i."
        )
    with atomic_folder(folder) as temporary:
        kept, lost, copied = _write(
            temporary / "values.npy", samples, estimates.read, loader.scale_rows is True, subject
        )
        told += copied
        if loader.scale_rows == "all":
            scale_columns(temporary / "values.npy")
            told.append(scaling_warning(subject))
        responses = Responses(
            values=np.load(temporary / "values.npy", mmap_mode="r"),
            samples=kept,
            targets=estimates.targets,
            presentations=kept,
            drift=np.zeros((len(kept), 0), np.float32),
            subject=subject,
            task="+".join(loader.tasks),
            t_r=float("nan"),
            exclusions=tuple(lost),
            warnings=tuple(told),
            provenance=provenance,
        )
        write_object(responses, temporary)
    return load(folder)


def _warnings(loader: Betas, subject: str, file: Path) -> list[str]:
    if loader.estimated_within == "run":
        return []
    how = "were" if loader.estimated_within == "all" else "may have been"
    text = (
        f"sub-{subject}: the estimates in {file.name} {how} made from several runs at once, so that training folds "
        f"may know of test folds and scores may be too high. If every run was estimated on its own, set "
        f'estimated_within = "run" in [load].'
    )
    warnings.warn(text, stacklevel=4)
    return [text]


def _trials(loader: Betas, index: BidsIndex, subject: str, path: Path, sessions: list[str]) -> Samples:
    """Read the table of trials; of several sessions, those that have a file."""
    where = str(path)
    # NSD writes SUBJECT, SESSION, RUN.
    own = {name.lower(): name for name in read_table(path).columns if name.lower() in ("run", "session", "subject")}
    texts = (*STIMULUS_COLUMNS, *own.values(), *loader.where, *([loader.stimulus] if loader.stimulus else []))
    frame = read_table(path, text=texts).rename(columns={name: lower for lower, name in own.items()})
    frame = frame[chosen_rows(frame, {own_name(key): names for key, names in loader.where.items()}, where)]
    if sessions[0] and "session" in frame.columns:
        there = {plain(session) for session in sessions}
        frame = frame[[plain(label.removeprefix("ses-")) in there for label in frame["session"]]]
    frame = frame.reset_index(drop=True)
    column = stimulus_column([str(name) for name in frame.columns], loader.stimulus, where)
    if "run" not in frame.columns:
        raise DataError(f"{where}: no column 'run'. There is: {', '.join(map(str, frame.columns))}.")
    names = frame[column].to_numpy(dtype=str)
    stimuli = stimuli_of(index, loader.stimuli, subject)
    if stimuli is not None:
        names = stimuli.canonical(names)
    onset, duration = (
        numbers_of(frame, name, where) if name in frame.columns else np.full(len(frame), np.nan)
        for name in ("onset", "duration")
    )
    samples = Samples(names, onset, duration, _run_labels(frame, where), "stimulus")
    changes = 1 + np.count_nonzero(samples.run[1:] != samples.run[:-1])
    if len(samples) and changes != len(samples.runs):
        raise DataError(
            f"{where}: trials of one run must follow each other, but runs change {changes - 1} times between "
            f"{len(samples.runs)} runs. Sort table and estimates by session and run."
        )
    return samples


def own_name(column: str) -> str:
    """Return the name that a column has here."""
    return column.lower() if column.lower() in ("run", "session", "subject") else column


def _run_labels(frame: pd.DataFrame, where: str) -> np.ndarray:
    for name in ("session", "run"):
        if name in frame.columns and (frame[name] == "").any():
            raise DataError(f"{where}: column {name!r} has {np.sum(frame[name] == '')} empty cells.")
    labels = "run-" + frame["run"].str.removeprefix("run-")
    if "session" in frame.columns:
        labels = "ses-" + frame["session"].str.removeprefix("ses-") + "_" + labels
    return labels.to_numpy(dtype=str)


def _write(
    path: Path, samples: Samples, read: Reader, scale_rows: bool, subject: str
) -> tuple[Samples, list[Exclusion], list[str]]:
    copies, told = Copies(subject, "trials"), list[str]()
    shown = samples.stimulus != ""
    exclusions, unusable = [], None
    if not shown.all():
        exclusions.append(Exclusion("presentations", int(np.sum(~shown)), f"sub-{subject}: trials without a stimulus"))
    with npy_rows(path) as append:
        for run in samples.runs:
            here = np.flatnonzero(samples.run == run)
            values = read(slice(here[0], here[-1] + 1))[shown[here]]
            if len(values) < 2:
                raise DataError(f"sub-{subject}, {run}: {len(values)} trials; at least 2 are needed.")
            told += copies.add(values, run)
            bad = (
                zscore_rows(values)
                if scale_rows
                else ~np.isfinite(values).all(axis=0) | ~np.ptp(values, axis=0).astype(bool)
            )
            unusable = bad if unusable is None else unusable | bad
            append(values)
    if unusable is None or unusable.all():
        raise DataError(f"sub-{subject}: no target has finite estimates that vary within every run.")
    if unusable.any():
        blank_columns(path, unusable)
        reason = f"sub-{subject}: estimates constant or not finite in at least one run"
        exclusions.append(Exclusion("targets", int(unusable.sum()), reason))
    return samples[shown], exclusions, told

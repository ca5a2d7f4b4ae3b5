"""Responses per trial that were estimated elsewhere."""

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ..core import AlignmentError, DataError, Exclusion, Provenance, Responses, Samples, Targets, fingerprint, versions
from ..io.arrays import open_npy
from ..io.atomic import atomic_folder
from ..io.bids.runs import BidsIndex
from ..io.bids.sidecars import entities_of
from ..io.images.volumes import grid_of, open_volume, read_mask, read_voxels, varying_voxels, voxel_targets
from ..io.row_writer import blank_columns, npy_rows, scale_columns
from ..io.store import load, saved_with, write_object
from ..io.tables import STIMULUS_COLUMNS, numbers_of, read_table, stimulus_column
from ..numerics.cleaning import zscore_rows
from .loader import Betas, dataset_path, scaling_warning, stimuli_of, stimuli_path

# Reads the trials of a slice: (n_trials, n_targets) of float32.
Reader = Callable[[slice], np.ndarray]


def load_betas(loader: Betas, index: BidsIndex, subject: str, folder: Path) -> Responses:
    """Load responses that another program estimated, one per trial.

    Of the settings for cleaning, only `scale_rows` applies: it z-scores every target over the trials of each
    run. Images are read run by run; a table is read whole.
    """
    file, events = (dataset_path(index, str(path), subject) for path in (loader.file, loader.events))
    told = _warnings(loader, subject, file)
    inputs = {path.name: fingerprint(path) for path in (file, events)}
    if loader.mask not in ("brain", "none"):
        inputs["mask"] = fingerprint(dataset_path(index, loader.mask, subject))
    if loader.stimuli not in (None, "none"):
        inputs["stimuli"] = fingerprint(stimuli_path(index, loader.stimuli, subject))
    provenance = Provenance("betas/2", loader.resolved() | {"subject": subject}, inputs, None, versions())
    if saved_with(folder, provenance.key):
        return load(folder)
    samples = _trials(loader, index, subject, events)
    n_trials, targets, read = _open(loader, index, subject, file)
    if n_trials != len(samples):
        raise DataError(
            f"{file} holds {n_trials} estimates, but {events} lists {len(samples)} trials. Row i of the table must "
            f"describe estimate i."
        )
    with atomic_folder(folder) as temporary:
        kept, lost = _write(temporary / "values.npy", samples, read, loader.scale_rows is True, subject)
        if loader.scale_rows == "all":
            scale_columns(temporary / "values.npy")
            told.append(scaling_warning(subject))
        responses = Responses(
            values=np.load(temporary / "values.npy", mmap_mode="r"),
            samples=kept,
            targets=targets,
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


def _trials(loader: Betas, index: BidsIndex, subject: str, path: Path) -> Samples:
    texts = (*STIMULUS_COLUMNS, "run", "session", *([loader.stimulus] if loader.stimulus else []))
    frame = read_table(path, text=texts)
    where = str(path)
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


def _run_labels(frame: pd.DataFrame, where: str) -> np.ndarray:
    for name in ("session", "run"):
        if name in frame.columns and (frame[name] == "").any():
            raise DataError(f"{where}: column {name!r} has {np.sum(frame[name] == '')} empty cells.")
    labels = "run-" + frame["run"].str.removeprefix("run-")
    if "session" in frame.columns:
        labels = "ses-" + frame["session"].str.removeprefix("ses-") + "_" + labels
    return labels.to_numpy(dtype=str)


def _open(loader: Betas, index: BidsIndex, subject: str, file: Path) -> tuple[int, Targets, Reader]:
    if file.name.endswith((".nii", ".nii.gz")):
        return _open_image(loader, index, subject, file)
    if loader.mask not in ("brain", "none"):
        raise DataError(f"{file}: a mask ({loader.mask!r}) needs betas in a NIfTI image, not in a table.")
    if file.suffix == ".npy":
        values = open_npy(file)
        if values.ndim != 2 or values.dtype.kind not in "fiu":
            raise DataError(f"{file}: shape {values.shape} of {values.dtype}; (n_trials, n_targets) was needed.")
        names: Any = [f"target_{i + 1}" for i in range(values.shape[1])]
    else:
        frame = read_table(file)
        names = [str(name) for name in frame.columns]
        columns = [numbers_of(frame, name, str(file)) for name in frame.columns]
        values = np.stack(columns, axis=1).astype(np.float32)
    return (
        len(values),
        Targets.of_columns(names),
        lambda rows: np.array(values[rows], dtype=np.float32),
    )


def _open_image(loader: Betas, index: BidsIndex, subject: str, file: Path) -> tuple[int, Targets, Reader]:
    image = open_volume(file)
    grid = grid_of(image)
    if loader.mask == "brain":
        mask, _ = varying_voxels(file)
    elif loader.mask == "none":
        mask = np.ones(grid.shape, dtype=bool)
    else:
        path = dataset_path(index, loader.mask, subject)
        mask, mask_grid = read_mask(path)
        if not mask_grid.same_as(grid):
            raise AlignmentError(
                f"{path}: its grid {mask_grid.shape} differs in shape or affine from the grid {grid.shape} of "
                f"{file.name}. Resample the mask."
            )
    if not mask.any():
        raise DataError(f"{file}: no voxel to load (mask = {loader.mask!r}). The mask is empty.")
    stated, _ = entities_of(file.name)
    targets = voxel_targets(mask, grid, loader.space or stated.get("space", ""), loader.res or stated.get("res", ""))
    n_trials = image.shape[3] if len(image.shape) == 4 else 1
    return n_trials, targets, lambda rows: read_voxels(file, targets, rows)


def _write(
    path: Path, samples: Samples, read: Reader, scale_rows: bool, subject: str
) -> tuple[Samples, list[Exclusion]]:
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
    return samples[shown], exclusions

"""The step of the pipeline that asks whether responses can be predicted from what knows nothing of the stimuli."""

import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np

from ..comparison.controls import (
    Control,
    above_chance,
    autocorrelations,
    fold_control,
    hidden_duplicates,
    run_control,
    same_files,
    shared_control,
)
from ..core import DataError, FeatureSpace, Samples, fingerprint
from ..core.stimuli import number_name
from ..embedding import measure_vision
from ..io.arrays import take_columns
from ..io.fetched import is_unfetched
from ..loading import align
from ..loading.motion import motion_of_rows
from ..mapping import ControlsSummary, ControlSummary
from ..numerics.control_features import position_bumps, random_twin, time_waves
from ..numerics.shared_variance import centre_runs
from .jobs import Fitted, Job, Loaded

SHOWN = {
    ".mp4",
    ".m4v",
    ".mov",
    ".avi",
    ".mkv",
    ".webm",
    ".mpg",
    ".mpeg",
    ".png",
    ".jpg",
    ".jpeg",
    ".bmp",
    ".tif",
    ".tiff",
}
BLOCKS, WIDTH = 16, 128  # targets are read in blocks of neighbours, which costs little on disk
LARGEST = 10**10  # rows times squared features whose spectrum is computed, some ten seconds


def control_subject(job: Job, loaded: Loaded, fitted: Fitted) -> ControlsSummary | None:
    """Test all controls of one subject; None where they are not wanted or nothing was fitted."""
    if not job.study.compare.controls or fitted.folds is None:
        return None
    began = time.perf_counter()
    responses = loaded.responses
    columns = _some_targets(np.flatnonzero(responses.usable))
    Y = take_columns(responses.values, columns).astype(np.float64)
    folds = [(fold.train, fold.test) for fold in fitted.folds.folds]
    files = _stimulus_files(job, responses.presentations)
    found = [*_controls(job, loaded, Y, folds), _vision(job, loaded, Y, folds, files)]
    flags = above_chance(found)
    lags = autocorrelations(Y, loaded.spaces, responses.samples.run)
    return ControlsSummary(
        tuple(_summary(control, flag) for control, flag in zip(found, flags, strict=True)),
        len(columns),
        hidden_duplicates(
            [space for space in loaded.described if space.samples.clock == "none"], responses.samples, folds
        ),
        {name: _or_none(value) for name, value in lags.items()},
        round(time.perf_counter() - began, 2),
        same_files({name: fingerprint(path) for name, path in files.items()}, responses.samples, folds),
    )


def _some_targets(usable: np.ndarray) -> np.ndarray:
    """Choose at most 2,048 targets, in evenly spaced blocks of neighbours."""
    if len(usable) <= BLOCKS * WIDTH:
        return usable
    starts = np.linspace(0, len(usable) - WIDTH, BLOCKS).astype(int)
    return usable[np.concatenate([np.arange(start, start + WIDTH) for start in starts])]


def _controls(job: Job, loaded: Loaded, Y: np.ndarray, folds: list[tuple[np.ndarray, np.ndarray]]) -> Iterator[Control]:
    responses, samples = loaded.responses, loaded.responses.samples
    if job.study.split.kind == "blocks":
        yield fold_control("time", "smooth cosines over the recording", time_waves(samples.onset), Y, folds)
    else:
        bumps = _as_responses(loaded, position_bumps(samples.onset))
        yield shared_control("position", "time since the start of the run", bumps, Y, samples.run, folds)
        yield run_control("run", "number of the run", Y, samples.run)
    if loaded.described:
        yield _random(job, loaded, Y, folds)
    motion = motion_of_rows(job.study.load, responses, loaded.runs) if loaded.runs else None
    if motion is None:
        yield Control("motion", "head motion", 0, np.nan, np.nan, np.nan, "there are no motion parameters")
    elif job.study.split.kind == "blocks":
        yield fold_control("motion", "head motion", motion, Y, folds)
    else:
        yield shared_control("motion", "head motion", _as_responses(loaded, motion), Y, samples.run, folds)


def _as_responses(loaded: Loaded, values: np.ndarray) -> np.ndarray:
    """Do to the rows of a control what was done to responses: take the slow signals of every run out."""
    responses = loaded.responses
    values = centre_runs(values, responses.samples.run)
    for run in responses.samples.runs if responses.drift.shape[1] else ():
        rows = responses.samples.run == run
        basis = responses.drift[rows].astype(np.float64)
        values[rows] -= basis @ (basis.T @ values[rows])
    return values


def stimulus_prints(job: Job, loaded: Loaded) -> dict[str, str]:
    """Identify by content the files of stimuli that controls look at; none where there are no controls."""
    wanted = job.study.compare.controls and bool(job.study.models)
    files = _stimulus_files(job, loaded.responses.presentations) if wanted else {}
    return {f"file of stimulus {name!r}": fingerprint(path) for name, path in files.items()}


def _stimulus_files(job: Job, presentations: Samples) -> dict[str, Path]:
    """Find the files of the stimuli that were shown: in ``stimuli``, and in folders that feature spaces name."""
    places = ["stimuli", *(source.videos for source in job.study.features if hasattr(source, "videos"))]
    known: dict[str, Path] = {}
    for folder in dict.fromkeys(job.places.bids_dir / place for place in places):
        for path in sorted(folder.rglob("*")) if folder.is_dir() else ():
            if path.suffix.lower() in SHOWN and not is_unfetched(path):
                known.setdefault(number_name(path.stem), path)
                known.setdefault(number_name(path.name), path)
    shown = dict.fromkeys(presentations.stimulus.tolist())
    return {name: known[name] for name in shown if name and name in known}


def _vision(
    job: Job,
    loaded: Loaded,
    Y: np.ndarray,
    folds: list[tuple[np.ndarray, np.ndarray]],
    files: Mapping[str, Path],
) -> Control:
    """Test luminance, contrast, edges and change of the stimuli, where all of them have a file."""
    meaning = "luminance, contrast, edges and change of the stimuli"
    n_shown = len(set(loaded.responses.presentations.stimulus.tolist()) - {""})
    why = "" if files else "there are no videos or pictures of the stimuli"
    if files and len(files) < n_shown:
        why = f"{n_shown - len(files)} of {n_shown} stimuli have no file"
    if not why:
        try:
            values = measure_vision(files.values(), job.places.work_dir / "features")
        except DataError as error:
            why = str(error).rstrip(".")
    if why:
        return Control("vision", meaning, 0, np.nan, np.nan, np.nan, why)
    features = tuple(f"f{k}" for k in range(values.shape[1]))
    spread = np.where(values.std(0) > 0, values.std(0), 1.0)
    space = FeatureSpace("vision", values / spread, Samples.of_stimuli(np.array(list(files))), features)
    return _of_stimuli(job, loaded, space, meaning, Y, folds)


def _random(job: Job, loaded: Loaded, Y: np.ndarray, folds: list[tuple[np.ndarray, np.ndarray]]) -> Control:
    """Draw random features with the size and spectrum of the widest space."""
    widest = max(loaded.described, key=lambda space: space.n_features)
    meaning = f"random numbers with the size and spectrum of {widest.name}"
    if widest.samples.clock == "time" and widest.values.size * widest.n_features > LARGEST:
        why = f"{len(widest.values)} rows of {widest.n_features} features are too many"
        return Control("random", meaning, widest.n_features, np.nan, np.nan, np.nan, why)
    values = random_twin(widest.values, np.random.default_rng(job.study.seed)).astype(np.float32)
    names = tuple(f"f{k}" for k in range(values.shape[1]))
    space = FeatureSpace("random", values, widest.samples, names, placement=widest.placement)
    return _of_stimuli(job, loaded, space, meaning, Y, folds)


def _of_stimuli(
    job: Job,
    loaded: Loaded,
    space: FeatureSpace,
    meaning: str,
    Y: np.ndarray,
    folds: list[tuple[np.ndarray, np.ndarray]],
) -> Control:
    """Align features of stimuli as feature spaces are, and test them."""
    per_volume = loaded.responses.samples.clock == "tr"
    delays = tuple(job.study.align.delays) if per_volume else None
    try:
        X = align(space, loaded.responses, delays=delays, centre=job.study.align.centre).values.astype(np.float64)
    except DataError as error:
        return Control(space.name, meaning, space.n_features, np.nan, np.nan, np.nan, str(error))
    if job.study.split.kind == "blocks":
        return fold_control(space.name, meaning, X, Y, folds)
    return shared_control(space.name, meaning, X, Y, loaded.responses.samples.run, folds)


def _summary(control: Control, flag: bool) -> ControlSummary:
    r, shared, p = (_or_none(value) for value in (control.r, control.shared, control.p))
    return ControlSummary(control.name, control.meaning, control.n_features, r, shared, p, control.why_not, flag)


def _or_none(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None

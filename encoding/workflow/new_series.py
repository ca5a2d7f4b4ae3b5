"""What ``encoding init`` looks for beside tables of stimuli: features in time, and betas without a BIDS dataset."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from ..core import DataError
from ..io.bids.runs import RunFiles
from ..io.images.formats import length_of_run
from ..io.patterns import find_files, fits
from ..io.series_files import SUFFIXES, SeriesFile, read_series
from ..io.tables import STIMULUS_COLUMNS, read_table
from ..loading.names import same_names

FEATURE_FOLDERS = ("stimuli", "features", "phenotype", "derivatives/features")
ENTITIES = {"sub": "subject", "ses": "session", "task": "task", "acq": "acq", "run": "run"}
BETAS = re.compile(r"(beta|typed_|fithrf)", re.IGNORECASE)
BETA_SUFFIXES = (".nii", ".nii.gz", ".npy", ".h5", ".hdf5", ".mat", ".gii", ".mgh")
LOOSE = 1.05  # of a rate that is told from rows and seconds


@dataclass(frozen=True, slots=True)
class SeriesCandidate:
    """Files of features in time."""

    name: str
    file: str  # pattern, relative to the dataset
    rate: float | None  # rows per second; None for a row per volume, and for rows with onsets
    what: str  # for the reader


def series_of_runs(
    bids_dir: Path, runs: Sequence[RunFiles], t_r_of: Mapping[str, float | None], kind: str
) -> tuple[list[SeriesCandidate], list[str]]:
    """Find matrices of which each run has one, and say why others were not taken."""
    found, near = [], []
    lengths = {run.label: length_of_run(kind, run.bold) for run in runs}
    for pattern in dict.fromkeys(_pattern(path, bids_dir, runs) for path in _files(bids_dir)):
        if "{" not in pattern:
            continue
        of_run = {run.label: _file_of(pattern, bids_dir, run) for run in runs}
        lacking = [label for label, path in of_run.items() if path is None]
        if lacking:
            near.append(f"{pattern} (no file for {lacking[0]})")
            continue
        parts: dict[str, SeriesFile] = {}
        try:
            parts = {label: read_series(path) for label, path in of_run.items() if path is not None}
        except DataError as error:
            near.append(f"{pattern} ({error})")
            continue
        seconds = {
            label: n * t_r
            for label, (n, header) in lengths.items()
            if n is not None and (t_r := t_r_of.get(label) or header) is not None
        }
        volumes = {label: n for label, (n, _) in lengths.items() if n is not None}
        rate, what = _rate(parts, volumes, seconds)
        if not what:
            label, part = next(iter(parts.items()))
            near.append(
                f"{pattern} ({len(part.values)} rows, but {volumes[label]} volumes in {label}; set `rate` or `trim`)"
            )
            continue
        found.append(SeriesCandidate(_name(pattern), pattern, rate, what))
    return found, near


def series_of_stimuli(bids_dir: Path, shown: Mapping[str, float], t_r: float | None) -> list[SeriesCandidate]:
    """Find folders with a matrix for each stimulus; `shown` has the duration of each in seconds."""
    folders: dict[tuple[str, str], dict[str, Path]] = {}
    for path in _files(bids_dir):
        place = (path.parent.relative_to(bids_dir).as_posix(), path.suffix)
        folders.setdefault(place, {})[path.stem] = path
    found = []
    for (folder, suffix), files in folders.items():
        try:
            partner = same_names(list(shown), np.array(sorted(files)), folder)
        except DataError:
            continue
        if len(partner) < len(shown):
            continue
        parts = {name: read_series(files[stem]) for name, stem in list(partner.items())[:5]}
        volumes = {name: round(shown[name] / t_r) for name in parts} if t_r else {}
        rate, what = _rate(parts, volumes, {name: shown[name] for name in parts})
        if what:
            found.append(SeriesCandidate(_name(f"{folder}/x"), f"{folder}/{{stimulus}}{suffix}", rate, what))
    return found


def _rate(
    parts: Mapping[str, SeriesFile], volumes: Mapping[str, int], seconds: Mapping[str, float]
) -> tuple[float | None, str]:
    """Guess what rows are: words, volumes, or samples at a rate that all recordings share; "" if none of these."""
    first = next(iter(parts.values()))
    n_features = first.values.shape[1]
    if first.onset is not None:
        return None, f"{n_features} features, rows with onsets"
    rows = {label: len(part.values) for label, part in parts.items()}
    if not volumes:
        return None, f"{n_features} features; the number of volumes is not known before images are read"
    if all(rows[label] == n for label, n in volumes.items()):
        return None, f"{n_features} features, a row per volume"
    rates = [rows[label] / length for label, length in seconds.items() if length > 0]
    if (
        rates
        and max(rates) <= LOOSE * min(rates)
        and min(rates) > LOOSE * max(volumes[label] / seconds[label] for label in seconds)
    ):
        rate = round(float(np.median(rates)), 1)
        whole = round(rate)
        rate = whole if abs(rate - whole) <= 0.03 * whole else rate
        return rate, f"{n_features} features, {rate:g} rows per second"
    return None, ""


def _files(bids_dir: Path) -> Iterator[Path]:
    for folder in FEATURE_FOLDERS:
        paths = sorted(path for path in (bids_dir / folder).rglob("*") if path.suffix in SUFFIXES and path.is_file())
        arrays = {path.with_suffix("") for path in paths if path.suffix == ".npy"}
        yield from (path for path in paths if path.suffix == ".npy" or path.with_suffix("") not in arrays)


def _pattern(path: Path, bids_dir: Path, runs: Sequence[RunFiles]) -> str:
    """Replace entities of the runs by their names in braces."""
    name = path.relative_to(bids_dir).as_posix()
    for short, long in ENTITIES.items():
        name = re.sub(rf"(?<![a-zA-Z0-9]){short}-[A-Za-z0-9]+", f"{short}-{{{long}}}", name)
    name = re.sub(r"(?<![a-zA-Z])run_?[0-9]+", lambda found: re.sub(r"[0-9]+", "{run}", found[0]), name)
    tasks = {run.entities.get("task", "") for run in runs} - {""}
    return re.sub(rf"(?<![A-Za-z0-9{{-])({'|'.join(map(re.escape, tasks))})(?![A-Za-z0-9}}])", "{task}", name)


def _file_of(pattern: str, bids_dir: Path, run: RunFiles) -> Path | None:
    short = {short: run.entities.get({"ses": "session", "sub": "subject", "acq": "acquisition"}.get(short, short), "")
             for short in ENTITIES}  # fmt: skip
    found = [path for values, path in find_files(pattern, bids_dir) if fits(values, short)]
    return found[0] if len(found) == 1 else None


def _name(pattern: str) -> str:
    """Name a space after its folder, or what is left of the file name without entities."""
    path = Path(pattern)
    inner = [part for part in path.parent.parts if part not in ("stimuli", "features", "derivatives", "phenotype")]
    words = [part for part in path.name.split(".")[0].split("_") if "{" not in part]
    label = re.sub(r"[^A-Za-z0-9_+]+", "_", "_".join(words if words and not inner else inner[-1:])).strip("_")
    return label or "features"


# Betas


@dataclass(frozen=True, slots=True)
class BetasFound:
    """Files of estimates and what describes them."""

    lines: tuple[str, ...]  # of [load]
    shown: pd.DataFrame  # columns run, stimulus
    what: str


def find_betas(folder: Path) -> BetasFound | None:
    """Find estimates, their table of trials, and a mask, in a folder without preprocessed images."""
    every = sorted(path for path in folder.rglob("*") if path.is_file())
    estimates = [path for path in every if BETAS.search(path.name) and path.name.endswith(BETA_SUFFIXES)]
    trials = [(path, columns) for path in every if (columns := _trial_columns(path))]
    if not estimates or not trials:
        return None
    file, (table, (stimulus, run, session)) = estimates[0], trials[0]
    masks = [path for path in every if "mask" in path.name.lower() and path.name.endswith((".nii", ".nii.gz"))]
    lines = ['kind = "betas"', 'per = "stimulus"', f'file = "{_beta_pattern(file, folder)}"']
    lines += [f'events = "{_beta_pattern(table, folder)}"', f'stimulus = "{stimulus}"']
    voxels = not file.name.endswith((".gii", ".mgh", ".dscalar.nii", ".dtseries.nii"))
    lines += [f'mask = "{_beta_pattern(masks[0], folder)}"'] if masks and voxels else []
    lines += ['estimated_within = "unknown"        # "run" if every run was estimated alone']
    frame = read_table(table, text=(stimulus, run, *([session] if session else [])))
    runs = frame[run] if not session else frame[session] + "/" + frame[run]
    shown = pd.DataFrame({"run": runs, "stimulus": frame[stimulus]})
    what = f"betas: {_beta_pattern(file, folder)}, {len(frame)} trials in {_beta_pattern(table, folder)}"
    return BetasFound(tuple(lines), shown[shown["stimulus"] != ""], what)


def _trial_columns(path: Path) -> tuple[str, str, str] | None:
    """Name the columns of stimuli, runs and sessions of a table of trials."""
    if path.suffix not in (".tsv", ".csv"):
        return None
    try:
        names = [str(name) for name in read_table(path).columns]
    except DataError:
        return None
    lower = {name.lower(): name for name in names}
    stimulus = next((name for name in (*STIMULUS_COLUMNS, "73KID", "trial_type") if name in names), None)
    if stimulus is None or "run" not in lower:
        return None
    return stimulus, lower["run"], lower.get("session", "")


def _beta_pattern(path: Path, folder: Path) -> str:
    name = path.relative_to(folder).as_posix()
    name = re.sub(r"(?<![a-zA-Z0-9])(sub-|subj)[A-Za-z0-9]+", r"\1{subject}", name)
    name = re.sub(r"(?<![a-zA-Z0-9])(ses-|session)[0-9]+", r"\1{session}", name)
    name = re.sub(r"(?<![a-zA-Z0-9])(lh|rh)(?=\.)|(?<=hemi-)[LR](?![A-Za-z])", "{hemi}", name)
    return re.sub(r"^[0-9]+(?=/)", "{subject}", name)  # a folder per participant: 01/betas.npy

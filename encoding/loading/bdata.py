"""Responses that were released as bdata files: one row per block, voxels in columns."""

import dataclasses
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..core import (
    AlignmentError,
    DataError,
    Exclusion,
    Provenance,
    Responses,
    Samples,
    Targets,
    fingerprint,
    suggest,
    versions,
)
from ..core.progress import Progress, silent
from ..io.atomic import atomic_folder
from ..io.bdata.files import Bdata, open_bdata
from ..io.bdata.rois import PREFIX, bdata_mask
from ..io.bdata.voxels import VOXELS, targets_of
from ..io.bids.runs import BidsIndex
from ..io.row_writer import blank_columns, npy_rows, scale_columns
from ..io.store import load, saved_with, write_object
from ..numerics.cleaning import zscore_rows
from .bdata_files import bdata_sources, chosen_sessions
from .copies import Copies
from .loader import Blocks, scaling_warning, stimuli_of, stimuli_path

# The files lie in the subject's own space unless the settings say otherwise.
SPACE = "T1w"
NAMED = "stimulus_name"
# The first release labels each block with three numbers; the third is the stimulus.
N_LABELS, STIMULUS_LABEL = 3, 2


@dataclass(frozen=True, slots=True)
class Piece:
    """Rows of one session in one file."""

    path: Path  # The file
    session: int  # Number of the session; 0 if the file does not tell
    first: int  # First row of the file that belongs to it
    run: np.ndarray  # (n_rows,) Number of the run within the session, from 1
    stimulus: np.ndarray  # (n_rows,) What was shown
    missing: tuple[int, ...]  # Runs within the session that are not there

    @property
    def labels(self) -> np.ndarray:
        """Name of the run of each row, as BIDS would call it."""
        session = f"ses-{self.session:02d}_" if self.session else ""
        return np.asarray([f"{session}run-{number:02d}" for number in self.run.tolist()], dtype=str)


def read_pieces(bdata: Bdata, session: int, *, before: int, stimulus: str | None, labels: str) -> list[Piece]:
    """Read what the rows of a file are."""
    _check_columns(bdata, stimulus)
    names = _stimuli(bdata, stimulus, labels)
    if len(names) == 0:
        raise DataError(f"{bdata.path}: the dataset has no rows.")
    run = bdata.numbers("Run")
    sessions = bdata.numbers("Session") if session or "Session" in bdata.keys else np.zeros(len(run), np.int64)
    if session:
        _same_session(sessions, session, bdata.path)
        sessions = np.full(len(run), session)
    elif "Session" in bdata.keys:
        _in_steps(sessions, "Session", str(bdata.path))
    _check_blocks(bdata, sessions, run, needed=bool(session))
    pieces = []
    for number in np.unique(sessions).tolist():
        rows = np.flatnonzero(sessions == number)
        within, missing = _count_runs(run[rows], before, f"{bdata.path}, session {number or 'not told'}")
        pieces.append(Piece(bdata.path, number, int(rows[0]), within, names[rows], missing))
        before += int(within[-1])
    return pieces


def join_pieces(
    pieces: Sequence[Piece], subject: str, *, n_runs: int | None, exclude_missing: bool
) -> tuple[Samples, list[Exclusion]]:
    """Concatenate the rows of all sessions."""
    stimulus = np.concatenate([piece.stimulus for piece in pieces])
    nan = np.full(len(stimulus), np.nan)
    samples = Samples(stimulus, nan, nan, np.concatenate([piece.labels for piece in pieces]), "stimulus")
    missing = [f"{piece.path.name}: run {number}" for piece in pieces for number in piece.missing]
    found = len(samples.runs)
    short = n_runs is not None and found != n_runs
    if missing or short:
        text = f"sub-{subject}: {len(missing)} runs are skipped ({', '.join(missing[:5])})" if missing else ""
        if short:
            text = "; ".join(filter(None, [text, f"sub-{subject}: the files hold {found} runs, n_runs = {n_runs}"]))
        if not exclude_missing or (n_runs is not None and found > n_runs):
            raise DataError(
                f'{text}. Download what is missing, or set missing_runs = "exclude" and the right n_runs in [load].'
            )
        return samples, [Exclusion("runs", max(len(missing), (n_runs or found) - found), text)]
    return samples, []


def _check_columns(bdata: Bdata, stimulus: str | None) -> None:
    """Refuse files in which one column is said to be two things."""
    key = stimulus or (NAMED if NAMED in bdata.keys else "Label")
    taken: dict[int, str] = {}
    for name in (VOXELS, "Session", "Run", "Block", key):
        for column in bdata.columns(name).tolist() if name in bdata.keys else ():
            other = taken.setdefault(column, name)
            if other != name:
                raise DataError(
                    f"{bdata.path}: column {column + 1} of the dataset is {other} and {name} by its metadata rows, but "
                    f"each column can only be one of them."
                )


def _stimuli(bdata: Bdata, stimulus: str | None, labels: str) -> np.ndarray:
    if stimulus is None and NAMED not in bdata.keys:
        if "Label" not in bdata.keys:
            raise DataError(
                f"{bdata.path}: neither a metadata row {NAMED!r} nor 'Label', so that nothing tells what was shown. "
                f"{suggest('Label', bdata.keys[:20])} Set `stimulus` in [load] to the row that does."
            )
        key, numbers = "Label", bdata.numbers("Label", place=STIMULUS_LABEL, of=N_LABELS)
    else:
        key = stimulus or NAMED
        numbers = bdata.numbers(key)
    names = bdata.names(key)
    if names:
        unknown = np.setdiff1d(numbers, list(names))
        if len(unknown):
            raise DataError(
                f"{bdata.path}: {key} holds {unknown[0]}, but vmap/{key} has no name for it "
                f"({len(unknown)} such values)."
            )
        return np.asarray([names[number] for number in numbers.tolist()], dtype=str)
    if numbers.min(initial=1) < 1:
        row = int(np.argmin(numbers))
        raise DataError(
            f"{bdata.path}: {key} is {numbers[row]} in row {row + 1}, but the number of a stimulus, "
            f"1 or more, was needed."
        )
    return np.asarray([labels.format(label=number) for number in numbers.tolist()], dtype=str)


def _same_session(values: np.ndarray, session: int, path: Path) -> None:
    found = np.unique(values)
    if len(found) > 1 or found[0] not in (1, session):
        raise DataError(
            f"{path}: by its name it holds session {session}, but Session is {', '.join(map(str, found[:5]))}; 1 "
            f"(numbers restart in each file) or {session} was needed. Are files of sessions exchanged?"
        )


def _in_steps(values: np.ndarray, key: str, where: str) -> None:
    steps = np.diff(values)
    if values[0] != 1 or ((steps != 0) & (steps != 1)).any():
        bad = np.flatnonzero((steps != 0) & (steps != 1))
        at = (
            f"goes from {values[bad[0]]} to {values[bad[0] + 1]} in row {bad[0] + 2}"
            if len(bad)
            else f"starts at {values[0]}"
        )
        raise DataError(f"{where}: {key} {at}, but numbers that start at 1 and go up by 1 were needed.")


def _count_runs(run: np.ndarray, before: int, where: str) -> tuple[np.ndarray, tuple[int, ...]]:
    """Assign run numbers within the session, whether the file restarts or continues, and list skipped numbers."""
    back = np.flatnonzero(np.diff(run) < 0)
    if len(back):
        raise DataError(
            f"{where}: Run goes back from {run[back[0]]} to {run[back[0] + 1]} within the session (its row "
            f"{back[0] + 2}); runs must follow each other, with their rows together."
        )
    if run[0] < 1:
        raise DataError(f"{where}: Run is {run[0]}; numbers from 1 were needed.")
    # Numbers that count on from the sessions before are told by their first; where the very first runs of a session are
    # missing the two cannot be told apart, and are refused.
    offset = before if before and run[0] == before + 1 else 0
    if run[0] - offset != 1:
        expected = f"1 or {before + 1}" if before else "1"
        raise DataError(
            f"{where}: its first Run is {run[0]}, but {expected} was needed: a run is missing, or "
            f"sessions are out of order."
        )
    within = run - offset
    missing = tuple(np.setdiff1d(np.arange(1, within[-1] + 1), within).tolist()) if within[-1] < 1 << 16 else ()
    if within[-1] >= 1 << 16:
        raise DataError(f"{where}: Run goes up to {run[-1]}, which is no number of a run.")
    return within, missing


def _check_blocks(bdata: Bdata, sessions: np.ndarray, run: np.ndarray, *, needed: bool) -> None:
    """Refuse rows that are volumes: each block must have one row."""
    if not needed and "Block" not in bdata.keys:
        return
    block = bdata.numbers("Block")
    same = (np.diff(block) == 0) & (np.diff(run) == 0) & (np.diff(sessions) == 0)
    if same.any():
        row = int(np.flatnonzero(same)[0])
        raise DataError(
            f"{bdata.path}: rows {row + 1} and {row + 2} are both of Block {block[row]} in Run {run[row]}, but one row "
            f"per block was needed ({same.sum()} rows repeat the block before). Average volumes first."
        )
    within = (np.diff(run) == 0) & (np.diff(sessions) == 0)
    steps = np.diff(block)
    usual = int(np.median(steps[within])) if within.any() else 1
    odd = np.flatnonzero(within & (steps != max(usual, 1)))
    if len(odd):
        row = int(odd[0])
        raise DataError(
            f"{bdata.path}: Block goes from {block[row]} to {block[row + 1]} within Run {run[row]} (row {row + 2}), "
            f"but by {max(usual, 1)} elsewhere: rows are missing or out of order."
        )


def load_bdata(
    loader: Blocks,
    index: BidsIndex,
    subject: str,
    folder: Path,
    *,
    sessions: Iterable[str] | None = None,
    progress: Progress = silent,
) -> Responses:
    """Load the block means of one subject from bdata files.

    Of the settings for cleaning, only `scale_rows` applies: it z-scores every target over the blocks of each run, or
    of all runs.
    Rows are read run by run, and of each run a few columns at a time, so that memory does not grow with the number of
    runs: the peak is one run of the voxels in float32, and some 150 MB for HDF5 and for what is read at a time.
    """
    wanted = [str(label).removeprefix("ses-") for label in sessions or ()]
    exclude = loader.missing_runs == "exclude"
    sources, exclusions = bdata_sources(str(loader.file), index.bids_dir, subject, exclude_missing=exclude)
    provenance = _provenance(loader, index, subject, [path for _, path in sources], wanted)
    if saved_with(folder, provenance.key):
        return load(folder)
    pieces = _pieces(loader, sources)
    chosen = chosen_sessions([piece.session for piece in pieces if piece.session], wanted, f"sub-{subject}")
    pieces = [piece for piece in pieces if not piece.session or piece.session in chosen]
    samples, skipped = join_pieces(pieces, subject, n_runs=None if wanted else loader.n_runs, exclude_missing=exclude)
    stimuli = stimuli_of(index, loader.stimuli, subject)
    if stimuli is not None:
        samples = dataclasses.replace(samples, stimulus=stimuli.canonical(samples.stimulus))
    targets, columns = _common_targets(loader, [path for _, path in sources])
    with atomic_folder(folder) as temporary:
        per_run = loader.scale_rows is True
        lost, told = _write(
            temporary / "values.npy", pieces, columns, scale_rows=per_run, subject=subject, progress=progress
        )
        if loader.scale_rows == "all":
            scale_columns(temporary / "values.npy")
        responses = Responses(
            values=np.load(temporary / "values.npy", mmap_mode="r"),
            samples=samples,
            targets=targets,
            presentations=samples,
            drift=np.zeros((len(samples), 0), np.float32),
            subject=subject,
            task="+".join(loader.tasks),
            t_r=float("nan"),
            exclusions=(*exclusions, *skipped, *lost),
            warnings=(*told, *([scaling_warning(subject)] if loader.scale_rows == "all" else [])),
            provenance=provenance,
        )
        write_object(responses, temporary)
    return load(folder)


def _provenance(loader: Blocks, index: BidsIndex, subject: str, paths: list[Path], sessions: list[str]) -> Provenance:
    inputs = {path.name: fingerprint(path) for path in paths}
    if loader.stimuli not in (None, "none"):
        inputs["stimuli"] = fingerprint(stimuli_path(index, loader.stimuli, subject))
    config = loader.resolved() | {"subject": subject, "sessions": sessions}
    return Provenance("bdata/2", config, inputs, None, versions())


def _pieces(loader: Blocks, sources: list[tuple[int, Path]]) -> list[Piece]:
    pieces: list[Piece] = []
    for session, path in sources:
        before = sum(int(piece.run[-1]) for piece in pieces)
        with open_bdata(path) as bdata:
            pieces += read_pieces(bdata, session, before=before, stimulus=loader.stimulus, labels=loader.labels)
    return pieces


def _common_targets(loader: Blocks, paths: list[Path]) -> tuple[Targets, dict[Path, np.ndarray]]:
    """Return the voxels of the first file, after checking that all files have the same voxels in the same order."""
    places: dict[Path, np.ndarray] = {}
    targets: Targets | None = None
    for path in paths:
        with open_bdata(path) as bdata:
            theirs, places[path] = targets_of(bdata, loader.space or SPACE, loader.res or "")
            if targets is None:
                targets, inside = theirs, np.ones(len(theirs), dtype=bool)
                if loader.mask.startswith(PREFIX):
                    inside = bdata_mask(bdata, loader.mask, places[path])
        if not theirs.same_as(targets):
            raise AlignmentError(
                f"{path}: its {len(theirs)} voxels are not the {len(targets)} of {paths[0].name}: their number, order, "
                f"indices or coordinates differ. All files of one subject must have the same voxels."
            )
    if targets is None:
        raise DataError("No file was given.")
    return targets[inside], {path: columns[inside] for path, columns in places.items()}


def _write(
    path: Path,
    pieces: list[Piece],
    columns: dict[Path, np.ndarray],
    *,
    scale_rows: bool,
    subject: str,
    progress: Progress,
) -> tuple[list[Exclusion], list[str]]:
    """Append run after run to the array; targets that are unusable in any run become NaN from top to bottom."""
    copies, told = Copies(subject, "blocks"), list[str]()
    unusable: np.ndarray | None = None
    done, n_runs = 0, sum(len(set(piece.run.tolist())) for piece in pieces)
    with npy_rows(path) as append:
        for piece in pieces:
            with open_bdata(piece.path) as bdata:  # one file at a time: HDF5 keeps what it unpacked
                for number in dict.fromkeys(piece.run.tolist()):
                    here = np.flatnonzero(piece.run == number)
                    label = str(piece.labels[here[0]])
                    if len(here) < 2:
                        raise DataError(f"sub-{subject}, {label}: {len(here)} blocks in {piece.path}; 2 are needed.")
                    rows = slice(int(here[0]) + piece.first, int(here[-1]) + 1 + piece.first)
                    values = bdata.read(rows, columns[piece.path])
                    told += copies.add(values, label)
                    bad = zscore_rows(values) if scale_rows else _constant(values)
                    unusable = bad if unusable is None else unusable | bad
                    append(values)
                    done += 1
                    progress(done / n_runs)
    if unusable is None or unusable.all():
        raise DataError(f"sub-{subject}: no voxel has finite responses that vary within every run.")
    if not unusable.any():
        return [], told
    blank_columns(path, unusable)
    reason = f"sub-{subject}: constant or not finite in at least one run"
    return [Exclusion("targets", int(unusable.sum()), reason)], told


def _constant(values: np.ndarray) -> np.ndarray:
    finite = np.isfinite(values).all(axis=0)
    return ~finite | (values == values[:1]).all(axis=0)

"""Responses that were released as bdata files: one row per block, voxels in columns."""

import dataclasses
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np

from ..core import AlignmentError, DataError, Exclusion, Provenance, Responses, Targets, fingerprint, versions
from ..io.atomic import atomic_folder
from ..io.bdata.files import open_bdata
from ..io.bdata.rois import PREFIX, bdata_mask
from ..io.bdata.voxels import targets_of
from ..io.bids.runs import BidsIndex
from ..io.row_writer import blank_columns, npy_rows, scale_columns
from ..io.store import load, saved_with, write_object
from ..numerics.cleaning import zscore_rows
from .bdata_files import bdata_sources, chosen_sessions
from .bdata_rows import Piece, join_pieces, read_pieces
from .files import stimuli_of, stimuli_path
from .loader import Loader
from .notes import scaling_note

# The files lie in the subject's own space unless the settings say otherwise.
SPACE = "T1w"


def load_bdata(
    loader: Loader,
    index: BidsIndex,
    subject: str,
    folder: Path,
    *,
    sessions: Iterable[str] | None = None,
    progress: Callable[[int, int, str], None] | None = None,
) -> Responses:
    """Load the block means of one subject from bdata files.

    Of the settings for cleaning, only `scale_rows` applies: it z-scores every target over the blocks of each run, or
    of all runs.
    Rows are read run by run, and of each run a few columns at a time, so that memory does not grow with the number of
    runs: the peak is one run of the voxels in float32, and some 150 MB for HDF5 and for what is read at a time.

    Parameters
    ----------
    loader : Loader
        Settings, of the kind "bdata".
    index : BidsIndex
        Only its folder counts.
    subject : str
        Label without ``sub-``.
    folder : Path
        Where the responses are kept.
    sessions : iterable of str, optional
        Session labels; all if left out.
    progress : callable, optional
        Called with the number of finished runs, the number of runs, and the label of the run.

    Returns
    -------
    Responses
        On the clock "stimulus".

    Raises
    ------
    DataError
        If a file is missing or damaged, its parts contradict each other, or sessions or runs are missing or out of
        order.
    AlignmentError
        If files of one subject have different voxels.
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
        lost = _write(temporary / "values.npy", pieces, columns, scale_rows=per_run, subject=subject, progress=progress)
        if loader.scale_rows == "all":
            scale_columns(temporary / "values.npy")
            lost.append(scaling_note(subject))
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
            provenance=provenance,
        )
        write_object(responses, temporary)
    return load(folder)


def _provenance(loader: Loader, index: BidsIndex, subject: str, paths: list[Path], sessions: list[str]) -> Provenance:
    inputs = {path.name: fingerprint(path) for path in paths}
    if loader.stimuli not in (None, "none"):
        inputs["stimuli"] = fingerprint(stimuli_path(index, loader.stimuli, subject))
    config = dataclasses.asdict(loader) | {"subject": subject, "sessions": sessions}
    return Provenance("bdata/1", config, inputs, None, versions())


def _pieces(loader: Loader, sources: list[tuple[int, Path]]) -> list[Piece]:
    pieces: list[Piece] = []
    for session, path in sources:
        before = sum(int(piece.run[-1]) for piece in pieces)
        with open_bdata(path) as bdata:
            pieces += read_pieces(bdata, session, before=before, stimulus=loader.stimulus, labels=loader.labels)
    return pieces


def _common_targets(loader: Loader, paths: list[Path]) -> tuple[Targets, dict[Path, np.ndarray]]:
    """Take the voxels of the first file, and check that the others have the same in the same order."""
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
    progress: Callable[[int, int, str], None] | None,
) -> list[Exclusion]:
    """Append run after run to the array; targets that are unusable in any run become NaN from top to bottom."""
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
                    bad = zscore_rows(values) if scale_rows else _constant(values)
                    unusable = bad if unusable is None else unusable | bad
                    append(values)
                    done += 1
                    if progress is not None:
                        progress(done, n_runs, label)
    if unusable is None or unusable.all():
        raise DataError(f"sub-{subject}: no voxel has finite responses that vary within every run.")
    if not unusable.any():
        return []
    blank_columns(path, unusable)
    return [Exclusion("targets", int(unusable.sum()), f"sub-{subject}: constant or not finite in at least one run")]


def _constant(values: np.ndarray) -> np.ndarray:
    finite = np.isfinite(values).all(axis=0)
    return ~finite | (values == values[:1]).all(axis=0)

"""Files of a subject to `Responses`."""

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..core import (
    ConfigError,
    DataError,
    Exclusion,
    Provenance,
    Responses,
    Samples,
    Targets,
    digest,
    fingerprint,
    versions,
)
from ..core.progress import Progress, silent
from ..io.atomic import atomic_folder
from ..io.bids.entities import SHORT, plain
from ..io.bids.index import unfetched_files
from ..io.bids.runs import BidsIndex, RunFiles, RunQuery, check_filters
from ..io.bids.sidecars import find_derivatives
from ..io.fetched import is_unfetched, require_fetched, unfetched_error
from ..io.images.formats import read_run
from ..io.images.volumes import open_volume, told_forms
from ..io.patterns import BRACES, find_files, fits
from ..io.patterns import SHORT as SHORT_NAMES
from ..io.row_writer import blank_columns, npy_rows, scale_columns
from ..io.store import load, saved_with, write_object
from .bdata import load_bdata
from .beside import (
    ASEG,
    Voxels,
    inputs_of,
    join_rows,
    pair_runs,
    read_beside,
    segmentation_of,
    subcortical_voxels,
    volume_query,
)
from .betas import load_betas
from .copies import Copies
from .events import read_presentations
from .loader import SUBCORTEX, Betas, Blocks, Loader, Scans, dataset_path, scaling_warning, stimuli_of, stimuli_path
from .masks import subject_voxels
from .runs import T_R_TOLERANCE, RunRows, agreed_t_r, run_confounds, run_rows, told_overlaps

KINDS = {"vertex": "vertices", "voxel": "voxels"}


def load_responses(
    loader: Loader,
    index: BidsIndex,
    subject: str,
    folder: str | Path,
    *,
    sessions: Iterable[str] | None = None,
    bids_filters: Mapping[str, Any] | None = None,
    progress: Progress = silent,
) -> Responses:
    """Load, clean and save the responses of one subject.

    Runs are read one after the other and appended to the saved array, so that memory does not grow with
    their number. The peak is one run of the targets in float32 (twice that where volumes are scrubbed) and some
    50 MB to read and clean it: 270 MB beyond the imported libraries for 238 volumes of 233,495 voxels.

    Parameters
    ----------
    loader : Loader
        Settings.
    index : BidsIndex
        The dataset.
    subject : str
        Label, with or without ``sub-``.
    folder : str or Path
        Where the responses are kept. If it holds those of the same settings and inputs already, they are
        loaded instead of made again.
    sessions : iterable of str, optional
        Session labels; all if left out.
    bids_filters : mapping, optional
        Content of a ``--bids-filter-file``; its part "bold" is used.
    progress : callable, optional
        Called with the share of runs that are done.

    Returns
    -------
    Responses
        Their values are a read-only memory map of a file in `folder`.

    Raises
    ------
    DataError
        If a file is missing, damaged, or contradicts another; the message names it.
    AlignmentError
        If runs have different targets or grids.
    ConfigError
        If `bids_filters` names an unknown entity.

    Examples
    --------
    >>> from encoding.loading import load_responses
    >>> len(load_responses(study.load, job.index(), "01", "work/mine").targets)
    1092
    """
    subject, folder = subject.removeprefix("sub-"), Path(folder)
    if isinstance(loader, Betas):
        if list(sessions or ()) or bids_filters:
            raise ConfigError(
                "--session-label and --bids-filter-file choose images of runs; betas are chosen by `where` and the "
                "names of files in [load]."
            )
        return load_betas(loader, index, subject, folder)
    if isinstance(loader, Blocks):
        _no_filters(bids_filters)
        return load_bdata(loader, index, subject, folder, sessions=sessions, progress=progress)
    assert isinstance(loader, Scans)
    query = _query(loader, sessions, bids_filters)
    runs, exclusions = _find_runs(loader, index, subject, query)
    provenance = _provenance(loader, index, subject, runs, query)
    _require_different(runs, provenance, subject)
    if saved_with(folder, provenance.key):
        found = load(folder)
        if found.extents is not None:  # as of version 0.2
            return found
    with atomic_folder(folder) as temporary:
        responses = _load_runs(loader, index, subject, runs, temporary, progress)
        responses = dataclasses.replace(
            responses, exclusions=(*exclusions, *responses.exclusions), provenance=provenance
        )
        write_object(responses, temporary)
    return load(folder)


def find_runs(
    loader: Loader,
    index: BidsIndex,
    subject: str,
    *,
    sessions: Iterable[str] | None = None,
    bids_filters: Mapping[str, Any] | None = None,
) -> tuple[list[RunFiles], tuple[Exclusion, ...]]:
    """Find the files that `load_responses` reads.

    Parameters
    ----------
    loader : Loader
        Settings.
    index : BidsIndex
        The dataset.
    subject : str
        Label, with or without ``sub-``.
    sessions, bids_filters : optional
        As for `load_responses`.

    Returns
    -------
    runs : list of RunFiles
        In order of session and run; empty for betas and bdata.
    exclusions : tuple of Exclusion
        Missing runs that were accepted.

    Raises
    ------
    DataError
        If runs, events or confounds are missing, or several files match.

    Examples
    --------
    >>> from encoding.loading import find_runs
    >>> runs, left_out = find_runs(study.load, job.index(), "01")
    >>> [run.label for run in runs]
    ['run-01', 'run-02', 'run-03', 'run-04']
    """
    if not isinstance(loader, Scans):
        return [], ()
    return _find_runs(loader, index, subject.removeprefix("sub-"), _query(loader, sessions, bids_filters))


def require_files(
    loader: Loader,
    bids_dir: Path,
    derivatives: Path | None,
    subjects: Sequence[str],
    *,
    sessions: Iterable[str] | None = None,
    bids_filters: Mapping[str, Any] | None = None,
) -> None:
    """Raise an error if files of any subject are links or pointers to content that was not fetched.

    Parameters
    ----------
    loader : Loader
        Settings.
    bids_dir : Path
        The dataset.
    derivatives : Path or None
        Root of the preprocessed dataset, if it is not in the dataset.
    subjects : sequence of str
        Labels without ``sub-``.
    sessions, bids_filters : optional
        As for `load_responses`.

    Raises
    ------
    DataError
        Once for all files, with their number and the command that fetches them.

    Examples
    --------
    >>> from encoding.loading import require_files
    >>> require_files(study.load, places.bids_dir, None, ["01", "02"])
    """
    if not isinstance(loader, Scans):
        return
    query = _query(loader, sessions, bids_filters)
    folder = find_derivatives(bids_dir, derivatives)
    missing = unfetched_files(bids_dir, folder, subjects, query)
    if loader.volume_space:
        dseg = ASEG if loader.subcortex == SUBCORTEX else ()
        missing += unfetched_files(bids_dir, folder, subjects, _volume_query(loader, query), dseg)
        if loader.subcortex_file:
            own = [bids_dir / loader.subcortex.replace("{subject}", subject) for subject in subjects]
            missing += [path for path in own if is_unfetched(path)]
    missing = list(dict.fromkeys(missing))
    if missing:
        raise unfetched_error(missing)


def _no_filters(filters: Mapping[str, Any] | None) -> None:
    if filters:
        raise ConfigError(f"BIDS filters ({', '.join(filters)}) do not apply to bdata files.")


def _query(loader: Scans, sessions: Iterable[str] | None, bids_filters: Mapping[str, Any] | None) -> RunQuery:
    space, labels = split_space(loader.space)
    for name, value in labels.items():
        given = getattr(loader, name)
        if given is not None and plain(given) != plain(value):
            raise ConfigError(f"[load]: space = {loader.space!r}, but {name} = {given!r}. Say it once.")
    return RunQuery(
        kind=loader.kind,
        task=loader.tasks,
        space=space,
        res=labels.get("res", loader.res),
        density=labels.get("density", loader.density),
        desc="preproc" if loader.desc is None and loader.kind == "volume" else loader.desc,
        sessions=tuple(str(label).removeprefix("ses-") for label in sessions or ()),
        filters=check_filters(bids_filters),
    )


def _volume_query(loader: Scans, query: RunQuery) -> RunQuery:
    space, labels = split_space(loader.volume_space, "volume_space")
    if "density" in labels:
        raise ConfigError(f"[load]: volume_space = {loader.volume_space!r}: volumes have a resolution, res-<label>.")
    return volume_query(query, space, labels.get("res"))


def split_space(space: str | None, setting: str = "space") -> tuple[str | None, dict[str, str]]:
    """Split a space written as on fMRIPrep's command line (``MNI152NLin2009cAsym:res-2``)."""
    name, *parts = (space or "").split(":")
    labels = {}
    for part in parts:
        key, _, value = part.partition("-")
        known = {"res": "res", "den": "density"}
        if key not in known or not value:
            raise ConfigError(
                f"[load]: {setting} = {space!r}: {part!r} is not understood; res-<label> and den-<label> may follow "
                f"the space, for instance MNI152NLin2009cAsym:res-2. Choose other entities with --bids-filter-file."
            )
        labels[known[key]] = value
    return name or None, labels


def _find_runs(
    loader: Scans, index: BidsIndex, subject: str, query: RunQuery
) -> tuple[list[RunFiles], tuple[Exclusion, ...]]:
    runs, missing, skipped = index.runs(subject, query), index.missing(subject, query), index.skipped(subject, query)
    kind = loader.kind
    if loader.volume_space:
        kind = "surface and volume"
        runs, lacking = pair_runs(runs, index.runs(subject, _volume_query(loader, query)))
        missing = tuple(sorted([*(name for name in missing if name not in lacking), *lacking.values()]))
        skipped = tuple(name for name in skipped if name not in lacking)
    runs = [_with_own_files(loader, index, subject, run) for run in runs]
    if missing and loader.missing_runs == "error":
        raise DataError(_told_missing(missing, skipped, runs, kind, subject))
    if not runs:
        raise DataError(f"sub-{subject}: no run has both surfaces and a volume: {', '.join(missing)}.")
    require_fetched(_needed(loader, runs), f"sub-{subject}")
    for run in runs:
        where = f"sub-{subject}, {run.label}"
        if loader.has_events:
            _events_of(run, index, where)
        if (loader.strategies or loader.confounds_file) and run.confounds is None:
            run_confounds(loader, run, where)
    spaces = sorted({run.entities.get("space", "none") for run in runs})
    if len(spaces) > 1:
        raise DataError(f"sub-{subject}: runs in different spaces ({', '.join(spaces)}). Set `space` in [load].")
    exclusions = (
        (Exclusion("runs", len(missing), f"sub-{subject}: not there: {', '.join(missing)}"),) if missing else ()
    )
    return runs, exclusions


def _told_missing(
    missing: tuple[str, ...], skipped: tuple[str, ...], runs: list[RunFiles], kind: str, subject: str
) -> str:
    """Describe runs that have files but no image, and run numbers that have no file."""
    lost = [name for name in missing if name not in skipped]
    told = []
    if lost:
        told.append(
            f"{len(lost)} runs have no preprocessed {kind} as asked for: {', '.join(lost)}. Preprocess them, or set "
            f'missing_runs = "exclude" in [load].'
        )
    if skipped:
        told.append(
            f"run numbers skip {', '.join(skipped)}, of which there is no file at all; there is "
            f"{', '.join(run.label for run in runs)}. If they were never acquired, or were dropped on purpose, set "
            f'missing_runs = "exclude" in [load].'
        )
    return f"sub-{subject}: {' Also, '.join(told)}"


def _needed(loader: Scans, runs: list[RunFiles]) -> list[Path]:
    found = [path for run in runs for path in _inputs(loader, run)]
    if loader.volume_space and loader.subcortex == SUBCORTEX:
        found += [segmentation_of(run, f"sub-{run.entities.get('subject', '')}, {run.label}") for run in runs]
    return found


def _inputs(loader: Scans, run: RunFiles) -> list[Path]:
    """List the files of a run that are read."""
    unread = () if loader.mask == "brain" else (run.mask, run.volume.mask if run.volume else None)
    return [path for path in run.inputs if path not in unread]


def _provenance(loader: Scans, index: BidsIndex, subject: str, runs: list[RunFiles], query: RunQuery) -> Provenance:
    inputs = {}
    for run in runs:
        begin = [] if run.start_time is None else [run.start_time]
        inputs[f"{run.label} metadata"] = digest([run.t_r, run.raw_t_r, dict(run.entities), *begin])
        if run.volume is not None:
            volume = run.volume
            inputs[f"{run.label} volume metadata"] = digest([volume.t_r, dict(volume.entities), volume.start_time])
        for path in _inputs(loader, run):
            # Without BIDS, files of different runs may have one name.
            name = path.name if path.name not in inputs else f"{run.label} {path.name}"
            inputs[name] = fingerprint(path)
    if loader.volume_space:
        inputs |= inputs_of(loader, runs, index, subject)
    if loader.mask not in ("brain", "none"):
        inputs["mask"] = fingerprint(dataset_path(index, loader.mask, subject))
    if loader.stimuli not in (None, "none"):
        inputs["stimuli"] = fingerprint(stimuli_path(index, loader.stimuli, subject))
    config = loader.resolved() | {
        "subject": subject,
        "sessions": query.sessions,
        "bids_filters": dict(query.filters),
    }
    return Provenance("load/2", config, inputs, None, versions())


def _require_different(runs: list[RunFiles], provenance: Provenance, subject: str) -> None:
    """Refuse runs whose images are one file under two names, before any is read."""
    seen: dict[str, str] = {}
    images = [(run.label, run.bold) for run in runs] + [(run.label, run.volume.bold) for run in runs if run.volume]
    for label, bold in images:
        # Without BIDS, files of different runs may have one name, as in `_provenance`.
        found = [provenance.inputs.get(f"{label} {path.name}", provenance.inputs.get(path.name)) for path in bold]
        other = seen.setdefault("+".join(map(str, found)), label)
        if other != label:
            raise DataError(
                f"sub-{subject}: {label} and {other} have the same image, byte by byte ({bold[0].name}). One "
                f"is a copy under another name: what is held out would be learned from. Replace it, or remove it and "
                f"leave its number out."
            )


def _load_runs(
    loader: Scans,
    index: BidsIndex,
    subject: str,
    runs: list[RunFiles],
    folder: Path,
    progress: Progress,
) -> Responses:
    """Append run after run to the array, and put axes around it."""
    targets: Targets | None = None
    voxels: Voxels | None = None
    exclusions: list[Exclusion] = []
    if loader.kind == "volume":
        own = None if loader.mask in ("brain", "none") else dataset_path(index, loader.mask, subject)
        targets, exclusions = subject_voxels(
            runs, loader.mask if own is None else own, subject, resample=loader.resample_mask
        )
    elif loader.volume_space:
        voxels = subcortical_voxels(loader, runs, index, subject)
        exclusions += voxels.exclusions
    stimuli = stimuli_of(index, loader.stimuli, subject)
    warned: list[str] = []
    copies, copies_beside = Copies(subject), Copies(subject)
    parts, t_r = [], None
    with npy_rows(folder / "values.npy") as append:
        for done, run in enumerate(runs, start=1):
            where = f"sub-{subject}, {run.label}"
            presentations = None
            if loader.has_events:
                events = _events_of(run, index, where)
                presentations = read_presentations(events, run.label, loader=loader, stimuli=stimuli)
            confounds = run_confounds(loader, run, where)
            image = read_run(loader.kind, run.bold, targets, **_labels_of(run))
            warned += (*copies.add(image.values, run.label), *copies.add_confounds(confounds, run.label))
            if loader.kind == "volume":
                warned += told_forms(open_volume(run.bold[0]), where)
            stated, told = agreed_t_r(run, image.t_r, where, loader.t_r)
            overlapping = () if presentations is None else told_overlaps(presentations, stated, where)
            warned += (*told, *overlapping)
            n_volumes = len(image.values)
            targets, t_r = image.targets, _same_t_r(stated, t_r, where)
            rows = run_rows(loader, run, image, presentations, confounds, t_r=t_r, where=where)
            if voxels is not None:
                # Cleaned apart, so that each part has the very numbers that it has alone.
                beside, told = read_beside(run, n_volumes, voxels, t_r, where, loader.t_r)
                warned += (*told, *copies_beside.add(beside.values, run.label))
                of_voxels = run_rows(loader, run, beside, presentations, confounds, t_r=t_r, where=where)
                rows = join_rows(rows, of_voxels, voxels.order)
                del beside, of_voxels
            append(rows.values)
            # Keep what is small only; the values of the run are freed before the next is read.
            parts.append(dataclasses.replace(rows, values=np.zeros((0, 0), np.float32)))
            del image, rows
            progress(done / len(runs))
    assert targets is not None
    targets = targets if voxels is None else voxels.beside(targets)
    exclusions += _blank(folder / "values.npy", parts, runs, subject, targets)
    if loader.scale_rows == "all":
        scale_columns(folder / "values.npy")
        warned.append(scaling_warning(subject))
    return Responses(
        values=np.load(folder / "values.npy", mmap_mode="r"),
        samples=_joined([part.samples for part in parts]),
        targets=targets,
        presentations=_joined([part.presentations for part in parts]),
        drift=_padded([part.drift for part in parts]),
        subject=subject,
        task="+".join(sorted({run.entities.get("task", "") for run in runs})),
        t_r=float(t_r),  # type: ignore[arg-type]
        exclusions=(*exclusions, *(note for part in parts for note in part.exclusions)),
        warnings=tuple(warned),
        extents=_joined([part.extent for part in parts]),
    )


def _with_own_files(loader: Scans, index: BidsIndex, subject: str, run: RunFiles) -> RunFiles:
    """Find events and confounds of a run where the settings say."""
    found: dict[str, Path | None] = {}
    if not loader.has_events:
        found["events"] = None
    elif loader.events is not None:
        found["events"] = file_of_run(loader.events, index.bids_dir, subject, run, "events")
    if loader.confounds_file is not None:
        found["confounds"] = file_of_run(loader.confounds_file, index.bids_dir, subject, run, "confounds_file")
    return dataclasses.replace(run, **found) if found else run  # type: ignore[arg-type]


def file_of_run(pattern: str, base: Path, subject: str, run: RunFiles, key: str) -> Path | None:
    """Find the one file of a run among those that a pattern names; None if there is none."""
    short = {"sub": subject} | {SHORT.get(name, name): value for name, value in run.entities.items()}
    unknown = [name for name in BRACES.findall(pattern) if SHORT_NAMES[name] not in short]
    if unknown:
        raise DataError(
            f"sub-{subject}, {run.label}: {key} = {pattern!r} in [load] has {{{unknown[0]}}}, which the name of its "
            f"image ({run.bold[0].name}) does not tell. There is: {', '.join(sorted(short))}."
        )
    found = [path for values, path in find_files(pattern, base) if fits(values, short)]
    if len(found) > 1:
        raise DataError(
            f"sub-{subject}, {run.label}: {len(found)} files are named like {key} = {pattern!r} in [load] "
            f"({found[0].name}, {found[1].name}). Put more entities into the pattern."
        )
    return found[0] if found else None


def _events_of(run: RunFiles, index: BidsIndex, where: str) -> Path:
    if run.events is None:
        raise DataError(
            f"{where}: no events.tsv in {index.bids_dir} matches {run.bold[0].name}. "
            f"Add it, name its folder with `events` in [load], or leave the run out with a BIDS filter. With features "
            f'in time for each run, events = "none" needs none.'
        )
    return run.events


def _labels_of(run: RunFiles) -> dict[str, str]:
    density = run.entities.get("den", "") or run.entities.get("res", "")
    return {"space": run.entities.get("space", ""), "density": density}


def _same_t_r(t_r: float, previous: float | None, where: str) -> float:
    if previous is not None and abs(t_r - previous) > T_R_TOLERANCE:
        raise DataError(
            f"{where}: repetition time is {t_r:g} s, but {previous:g} s in the runs before. "
            f"Load them apart, with a BIDS filter."
        )
    return t_r if previous is None else previous


def _blank(path: Path, parts: list[RunRows], runs: list[RunFiles], subject: str, targets: Targets) -> list[Exclusion]:
    """Make targets that are unusable in any run NaN from top to bottom."""
    unusable = np.any([part.unusable for part in parts], axis=0)
    if not unusable.any():
        return []
    counts = ", ".join(
        f"{run.label}: {part.unusable.sum()}" for run, part in zip(runs, parts, strict=True) if part.unusable.any()
    )
    for part, columns in targets.parts:
        if unusable[columns].all():
            what = "targets" if len(columns) == len(unusable) else KINDS[part.kind]
            raise DataError(
                f"sub-{subject}: all {len(columns)} {what} are constant or not finite in at least one run "
                f"({counts}). Check the images and the mask."
            )
    blank_columns(path, unusable)
    return [Exclusion("targets", int(unusable.sum()), f"sub-{subject}: constant or not finite in a run ({counts})")]


def _joined(axes: list[Samples]) -> Samples:
    stimulus, onset, duration, run = (
        np.concatenate([getattr(axis, name) for axis in axes]) for name in ("stimulus", "onset", "duration", "run")
    )
    return Samples(stimulus, onset, duration, run, axes[0].clock)


def _padded(bases: list[np.ndarray]) -> np.ndarray:
    width = max(basis.shape[1] for basis in bases)
    return np.concatenate([np.pad(basis, ((0, 0), (0, width - basis.shape[1]))) for basis in bases])

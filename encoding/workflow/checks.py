"""What can be said of a study and its dataset before anything is computed; no image of responses is read."""

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from ..comparison.patterns import crossed
from ..comparison.settings import UNITS
from ..config.settings import Study
from ..core import Atlas, DataError, EncodingError, FeatureSpace, Targets
from ..embedding import SeriesTable, SourceContext, in_order
from ..fitting.splits import check_runs
from ..io.atlases.catalogue import add_user_sets
from ..io.atlases.matching import check_places
from ..io.bids.runs import BidsIndex, RunFiles
from ..io.bids.sidecars import read_json
from ..io.images.cifti import grayordinates_of
from ..io.images.formats import targets_of_file, volumes_of_file
from ..io.images.volumes import grid_of, open_volume
from ..io.tables import read_table
from ..loading import Betas, Blocks, Scans, find_runs
from ..loading.bdata import SPACE
from ..loading.bdata_files import bdata_sources
from ..loading.beside import Voxels, check_beside, subcortical_voxels
from ..loading.estimates import files_of
from ..loading.events import read_presentations
from ..loading.loader import dataset_path, stimuli_of
from ..loading.masks import subject_voxels
from ..loading.series import check_series
from .disk import Footprint, footprint
from .jobs import STRUCTURES, Job, Places, chosen_atlases, index_of, load_named_atlas

TARGETS = {"surface": "vertex", "volume": "voxel", "cifti": "grayordinate", "bdata": "voxel", "array": "column"}


@dataclasses.dataclass(frozen=True, slots=True)
class Checked:
    """What a check of a dataset found."""

    runs: dict[str, int]  # Number of runs, or of bdata files, of each subject
    atlases: dict[str, int]  # Number of regions of each atlas
    failed: dict[str, str]  # What is wrong with the files or runs of single subjects; others can be computed
    notes: tuple[str, ...] = ()  # What to know of the feature spaces, and what of them can only be checked later


def check_dataset(
    study: Study,
    places: Places,
    subjects: Sequence[str],
    *,
    sessions: Sequence[str] = (),
    filters: Mapping[str, Any] | None = None,
    folds: bool = True,
) -> Checked:
    """Resolve the files of a study: feature spaces with their columns, runs of all subjects, and atlases.

    Whatever concerns all subjects is raised at once, all of it; what is wrong with single subjects is returned.
    `folds` tells whether models are fitted, so that runs must suit the split.
    """
    problems: list[str] = []
    notes = _sources(study, places, problems)
    description = places.bids_dir / "dataset_description.json"
    if description.is_file():
        read_json(description)  # its name goes into the results, and an unreadable one stops the index
    index = index_of(study.load, places, subjects)
    series = _series(study, places, problems)
    counts: dict[str, int] = {}
    regions: dict[str, int] = {}
    failed: dict[str, str] = {}
    for subject in subjects:
        job = Job(study, places, subject, sessions=tuple(sessions), filters=dict(filters or {}))
        of_subject: list[str] = []
        voxels: Voxels | None = None
        with _noting(of_subject):
            runs, counts[subject] = _files(job, index)
            if runs and study.models and folds:
                check_runs(study.split, [run.label for run in runs])
            if isinstance(study.load, Scans):
                check_series(study.load, series, runs, subject)
                voxels = check_beside(study.load, runs, index, subject)
                _check_crossed(job, index, runs)
        if of_subject:
            failed[subject] = of_subject[0]
        elif not isinstance(study.load, Betas):  # the space of betas is known once they are read
            with _noting(problems):
                regions |= {atlas.name: len(atlas.index) for atlas in _atlases(job, runs, voxels)}
    if problems:
        raise DataError(listed(problems))
    return Checked(counts, regions, failed, notes)


def check_features(study: Study, places: Places) -> tuple[str, ...]:
    """Check feature spaces alone, which is all that `encoding embed` needs; return what to know of them."""
    problems: list[str] = []
    notes = _sources(study, places, problems)
    if problems:
        raise DataError(listed(problems))
    return notes


def _sources(study: Study, places: Places, problems: list[str]) -> tuple[str, ...]:
    """Check every feature source, beside the spaces that it is made of or shown with, where these are quick to make."""
    needed = {name for source in study.features for names in source.needs().values() for name in names}
    made: dict[str, FeatureSpace] = {}
    notes: list[str] = []
    for source in in_order(study.features):
        context = SourceContext(places.bids_dir, places.output_dir / "embedding", dict(made))
        with _noting(problems):
            notes += source.check_with(context)
            if source.name in needed and not source.slow and set().union(*source.needs().values()) <= set(made):
                made[source.name] = source.make_space(context)
    return tuple(notes)


def _series(study: Study, places: Places, problems: list[str]) -> list[FeatureSpace]:
    """Read the feature spaces in time, whose length is compared with that of every run."""
    found = []
    for source in study.features:
        if isinstance(source, SeriesTable):
            with _noting(problems):
                found.append(source.make_space(SourceContext(places.bids_dir, places.output_dir)))
    return found


def listed(problems: Sequence[str]) -> str:
    """Write different problems below each other; one alone stays as it is."""
    different = list(dict.fromkeys(problems))
    return different[0] if len(different) == 1 else "\n- ".join([f"{len(different)} problems", *different])


@contextmanager
def _noting(problems: list[str]) -> Iterator[None]:
    """Keep the message of an error, so that the next check is made too."""
    try:
        yield
    except EncodingError as error:
        problems.append(str(error))


def _files(job: Job, index: BidsIndex) -> tuple[list[RunFiles], int]:
    """Find the files of responses, and what [load] names beside them."""
    load, subject = job.study.load, job.subject
    stimuli_of(index, load.stimuli, subject)
    if isinstance(load, Blocks):
        pattern, exclude = str(load.file), load.missing_runs == "exclude"
        return [], len(bdata_sources(pattern, index.bids_dir, subject, exclude_missing=exclude)[0])
    if load.mask not in ("brain", "none"):
        dataset_path(index, load.mask, subject)
    if isinstance(load, Betas):
        dataset_path(index, str(load.events), subject)
        return [], len(files_of(load, index, subject))
    runs, _ = find_runs(load, index, subject, sessions=job.sessions, bids_filters=job.filters)
    return runs, len(runs)


def _check_crossed(job: Job, index: BidsIndex, runs: Sequence[RunFiles]) -> None:
    """Refuse crossnobis distances of stimuli that are not shown in several runs, or as often as their units need."""
    load = job.study.load
    analyses = [analysis for analysis in job.study.rsa if analysis.brain == "crossnobis"]
    if not analyses or not isinstance(load, Scans):
        return
    known = stimuli_of(index, load.stimuli, job.subject)
    shown = [
        read_presentations(run.events, run.label, loader=load, stimuli=known) for run in runs if run.events is not None
    ]
    names = [str(name) for samples in shown for name in samples.stimulus]
    of_runs = [str(run) for samples in shown for run in samples.run]
    for analysis in analyses:
        crossed(names, of_runs, analysis.noise or UNITS, f"sub-{job.subject}", f"[[rsa]] {analysis.name!r}")


def _atlases(job: Job, runs: Sequence[RunFiles], voxels: Voxels | None) -> Iterator[Atlas]:
    """Load every atlas, and refuse those that label another kind of place or another space."""
    load = job.study.load
    stated = runs[0].entities.get("space", "") if runs else ""
    space = (load.space or SPACE) if isinstance(load, Blocks) else stated
    kind = TARGETS[load.kind] if isinstance(load, Scans | Blocks) else ""
    targets = _places(job, runs, kind, space, voxels)
    dseg = runs[0].dseg if runs else ()
    found: list[tuple[Atlas | None, np.ndarray]] = []
    for name, path in chosen_atlases(job, targets, dseg):
        atlas = load_named_atlas(job, name, path, targets)
        check_places(atlas, targets)
        found.append((atlas, atlas.labels))
        yield atlas
    inside = None if voxels is None else voxels.targets
    add_user_sets(job.study.roi_sets, found, None, base=job.places.bids_dir, subject=job.subject, voxels=inside)


def _places(job: Job, runs: Sequence[RunFiles], kind: str, space: str, voxels: Voxels | None) -> Targets:
    """Return what can be known of the targets: kind and space, and from a header their grid or grayordinates."""
    vertices = Targets("vertex", space, np.zeros(0, np.int64), np.zeros(0, str))
    if voxels is not None:
        return voxels.beside(vertices)
    wanted = bool(job.study.atlases) or STRUCTURES in job.study.maps.atlases
    bold = runs[0].bold[0] if runs and wanted else None
    if bold is not None and kind == "grayordinate":
        return grayordinates_of(bold, space)
    grid = grid_of(open_volume(bold)) if bold is not None and kind == "voxel" else None
    return dataclasses.replace(vertices, kind=kind, grid=grid)


def expected_footprint(job: Job) -> Footprint | None:
    """Estimate what one subject takes on disk, from masks, headers and events; None where only the data can tell."""
    load, study = job.study.load, job.study
    if not isinstance(load, Scans):
        return None
    index = job.index()
    runs, _ = find_runs(load, index, job.subject, sessions=job.sessions, bids_filters=job.filters)
    n_targets, n_rows = _size_of(job, index, runs), 0
    for run in runs:
        if load.per == "stimulus" and run.events is not None:
            n_rows += len(read_presentations(run.events, run.label, loader=load))
        else:
            n_rows += _n_volumes(load.kind, run)
    n_outer = study.split.n_outer if isinstance(study.split.n_outer, int) else len(runs)
    keep = study.compute.compute("cpu").keep_bytes
    return footprint(n_rows, n_targets, study.models, n_outer=n_outer, keep_bytes=keep, n_features=_columns(job))


def _columns(job: Job) -> dict[str, int]:
    """Count the columns of the feature spaces as they are fitted; those that are learned or measured are not known."""
    study = job.study
    wanted = {band for model in study.models if getattr(model, "keep_weights", "no") != "no" for band in model.bands}
    copies = len(study.align.delays) if study.load.per == "tr" else 1
    made: dict[str, FeatureSpace] = {}
    for source in in_order(study.features) if wanted else ():
        if not source.slow and set().union(*source.needs().values()) <= set(made):
            context = SourceContext(job.places.bids_dir, job.places.output_dir / "embedding", dict(made))
            made[source.name] = source.make_space(context)
    return {name: copies * space.n_features for name, space in made.items() if name in wanted}


def _size_of(job: Job, index: BidsIndex, runs: Sequence[RunFiles]) -> int:
    """Count the targets of a subject."""
    load = job.study.load
    if load.kind == "volume":
        mask = load.mask if load.mask in ("brain", "none") else dataset_path(index, load.mask, job.subject)
        resample = isinstance(load, Scans) and load.resample_mask
        return len(subject_voxels(list(runs), mask, job.subject, resample=resample)[0])
    beside = 0
    if isinstance(load, Scans) and load.volume_space:
        beside = len(subcortical_voxels(load, runs, index, job.subject).targets)
    return beside + sum(targets_of_file(load.kind, path) for path in runs[0].bold)


def _n_volumes(kind: str, run: RunFiles) -> int:
    if kind == "surface" and run.confounds is not None and run.confounds.suffix == ".tsv":
        return len(read_table(run.confounds))  # a GIFTI file would have to be read whole
    return volumes_of_file(kind, run.bold[0])

"""Inputs and outputs of the pipeline's steps for one subject."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ..comparison import Rsa
from ..config.settings import Study
from ..core import (
    Atlas,
    DataError,
    EncodingError,
    Exclusion,
    FeatureSpace,
    Predictions,
    Responses,
    Targets,
    suggest,
)
from ..core.progress import StepProgress, silent_steps
from ..core.workers import HERE, Workers
from ..fitting import Folds
from ..io.atlases.catalogue import (
    add_user_sets,
    load_atlas,
    load_bdata_atlas,
    load_dseg,
    load_files,
    load_structures,
)
from ..io.atlases.fetching import fetched_space
from ..io.atlases.matching import match_atlas
from ..io.atlases.packages import PACKAGED
from ..io.atlases.remote import REMOTE
from ..io.atlases.shipped import shipped_space
from ..io.bids.index import PybidsIndex
from ..io.bids.patterned import PatternIndex, pattern_subjects
from ..io.bids.runs import BidsIndex, PlainFolder, RunFiles
from ..io.locks import locked
from ..io.partial import sweep_results
from ..loading import Betas, Blocks, Loader, Scans, bdata_subjects, first_bdata_file
from ..mapping import BDATA, FACTS, SEGMENTATIONS, choose_atlases

# Exclusions of a whole part of what was asked for: the participant is finished without it, and the program says so.
WHOLE = {"feature spaces": "feature space", "atlases": "atlas"}
STRUCTURES = "structures"  # the atlas of what CIFTI files name


@dataclass(frozen=True, slots=True)
class Places:
    """Folders of a run; relative paths are made absolute.

    The dataset need not exist where only results are read.

    Attributes
    ----------
    bids_dir : Path
        The raw dataset, with events and stimuli.
    output_dir : Path
        BIDS derivative that is written.
    work_dir : Path
        Intermediate results, reused by the next run.
    derivatives : Path or None
        fMRIPrep's output; found in the dataset unless given.

    Raises
    ------
    DataError
        If results would go among the input, or onto a file.

    Examples
    --------
    >>> from encoding.pipeline import Places
    >>> Places(Path("my_study"), Path("results"), Path("work")).output_dir.name
    'results'
    """

    bids_dir: Path
    output_dir: Path
    work_dir: Path
    derivatives: Path | None = None

    def __post_init__(self) -> None:
        """Make paths absolute, since parallel workers may have another current folder."""
        for name in ("bids_dir", "output_dir", "work_dir"):
            object.__setattr__(self, name, Path(getattr(self, name)).resolve())
        if self.derivatives is not None:
            object.__setattr__(self, "derivatives", Path(self.derivatives).resolve())
        if self.output_dir in (self.bids_dir, self.derivatives):
            raise DataError(f"OUTPUT_DIR {self.output_dir} is the input. Results need a folder of their own.")
        for name in ("output_dir", "work_dir"):
            path = getattr(self, name)
            if path.exists() and not path.is_dir():
                raise DataError(f"{path} ({name}) is a file, but a folder is needed.")


@dataclass(frozen=True, slots=True)
class Job:
    """A study to be run on one subject.

    Attributes
    ----------
    study : Study
        Settings.
    places : Places
        Folders.
    subject : str
        Label without ``sub-``.
    device : {"cpu", "cuda", "auto"}
        Where solvers run.
    sessions : tuple of str
        Sessions to use; all unless given.
    filters : mapping
        Entities that the BOLD files must have, as in fMRIPrep's filter file.
    progress : callable
        Called with the name of the step and the share of it that is done.
    workers : Workers
        Where chunks of targets, searchlights and tests are worked on, as of `open_workers`.

    Examples
    --------
    >>> from dataclasses import replace
    >>> replace(job, subject="02").subject
    '02'
    """

    study: Study
    places: Places
    subject: str
    device: str = "auto"
    sessions: tuple[str, ...] = ()
    filters: dict[str, Any] = field(default_factory=dict)
    progress: StepProgress = silent_steps
    workers: Workers = HERE

    @property
    def folder(self) -> Path:
        """Folder of the subject's results."""
        return self.places.output_dir / f"sub-{self.subject}"

    @property
    def work(self) -> Path:
        """Folder of the subject's intermediate results."""
        return self.places.work_dir / f"sub-{self.subject}"

    @contextmanager
    def alone(self, tell: Callable[[str], None] = lambda text: None) -> Iterator[None]:  # noqa: ARG005
        """Hold the locks of the subject's results, and remove what killed processes left among them.

        Parameters
        ----------
        tell : callable, optional
            Called with a sentence if another process has to be waited for.

        Yields
        ------
        None
            No other process writes these results while the block runs.
        """
        name, output = f"sub-{self.subject}", self.places.output_dir
        with ExitStack() as stack:
            stack.enter_context(locked(output / "logs", name, sweeping=((output, f"{name}.html"),), tell=tell))
            if self.places.work_dir != output / "work":
                stack.enter_context(locked(self.places.work_dir, name, tell=tell))
            for folder in (self.folder, self.work):
                sweep_results(folder)
            yield

    def with_spaces(self, names: Sequence[str]) -> "Job":
        """Leave out whatever needs other feature spaces than these.

        Parameters
        ----------
        names : sequence of str
            Feature spaces that this subject has.

        Returns
        -------
        Job
            The same if nothing is missing.

        Raises
        ------
        DataError
            If no model and no analysis of similarity is left.
        """
        study, there = self.study, set(names)
        if there >= {source.name for source in study.features}:
            return self
        models = tuple(model for model in study.models if there >= set(model.bands))
        rsa = tuple(one for one in study.rsa if not one.spaces or there & set(one.spaces))
        if not models and not rsa:
            raise DataError(f"sub-{self.subject}: every model needs a feature space that was left out.")
        known = {model.name for model in models}
        compare = replace(
            study.compare,
            pairs=tuple(pair for pair in study.compare.pairs if known >= set(pair)),
            versions=tuple(pair for pair in study.compare.versions if there >= set(pair)),
        )
        left = replace(
            study,
            features=tuple(source for source in study.features if source.name in there),
            models=models,
            rsa=tuple(_with_spaces(one, there) for one in rsa),
            compare=compare,
            auxiliary=tuple(name for name in study.auxiliary if name in known),
        )
        return replace(self, study=left)

    def index(self) -> BidsIndex:
        """Index the files of the subject.

        Returns
        -------
        BidsIndex
            Of this subject only; the folder alone where responses are found by the names of files.
        """
        return index_of(self.study.load, self.places, (self.subject,))


@contextmanager
def held(
    places: Places,
    subjects: Sequence[str],
    tell: Callable[[str], None] = lambda text: None,  # noqa: ARG005
) -> Iterator[None]:
    """Hold the locks of participants while their results are read, so that none is written meanwhile.

    Who makes a participant holds the lock of that one only, so that nobody can wait for each other.
    """
    with ExitStack() as stack:
        for subject in sorted(set(subjects)):
            stack.enter_context(locked(places.output_dir / "logs", f"sub-{subject}", tell=tell))
        yield


def _with_spaces(analysis: Rsa, there: set[str]) -> Rsa:
    kinds = analysis.similarity
    return replace(
        analysis,
        spaces=tuple(name for name in analysis.spaces if name in there),
        similarity=kinds if isinstance(kinds, str) else {name: kinds[name] for name in kinds if name in there},
    )


@dataclass(frozen=True, eq=False, slots=True)
class Loaded:
    """Output of `load_subject`.

    Attributes
    ----------
    responses : Responses
        Cleaned responses.
    spaces : tuple of FeatureSpace
        Feature spaces on the same samples.
    exclusions : tuple of Exclusion
        Data that were left out, and why.
    described : tuple of FeatureSpace
        The same before alignment, one row per stimulus.
    runs : tuple of RunFiles
        Files of the runs that were loaded; empty for betas and bdata.
    tables : mapping of str to str
        Content of every feature space as its source gives it.

    Examples
    --------
    >>> loaded.names
    ('mllm', 'category')
    """

    responses: Responses
    spaces: tuple[FeatureSpace, ...]
    exclusions: tuple[Exclusion, ...]
    described: tuple[FeatureSpace, ...] = ()
    runs: tuple[RunFiles, ...] = ()
    tables: Mapping[str, str] = field(default_factory=dict)

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the feature spaces."""
        return tuple(space.name for space in self.spaces)

    @property
    def bold(self) -> Path | None:
        """Image of the first run, that of the volume where there are surfaces too; None without runs."""
        return (self.runs[0].volume or self.runs[0]).bold[0] if self.runs else None


@dataclass(frozen=True, eq=False, slots=True)
class Fitted:
    """Output of `fit_subject`.

    Attributes
    ----------
    folds : Folds or None
        Outer and inner folds; None where nothing was fitted.
    predictions : tuple of Predictions
        One per model.
    device : str
        Device that was used, and why.

    Examples
    --------
    >>> len(fitted.folds.folds), fitted.device
    (4, 'CPU, as asked.')
    """

    folds: Folds | None
    predictions: tuple[Predictions, ...]
    device: str

    @property
    def exclusions(self) -> tuple[Exclusion, ...]:
        """Samples that were left out of the folds."""
        return self.folds.exclusions if self.folds is not None else ()

    def membership(self, n_samples: int, repeats: str | None) -> dict[str, np.ndarray]:
        """List the use of every row, and the outer fold that tests it.

        Parameters
        ----------
        n_samples : int
            Number of rows.
        repeats : str or None
            As in ``[split] repeats``.

        Returns
        -------
        dict of str to ndarray, shape (n_samples,)
            "use", as of `Folds.uses`, and as of `Folds.membership`; no row is tested where nothing was fitted.
        """
        if self.folds is None:
            return {"use": np.full(n_samples, "not fitted"), "outer": np.full(n_samples, -1)}
        return {"use": self.folds.uses(repeats), **self.folds.membership()}


def index_of(load: Loader, places: Places, subjects: Sequence[str]) -> BidsIndex:
    """Index the files of some subjects: by BIDS, or by patterns of names where there is no BIDS dataset."""
    if isinstance(load, Blocks | Betas):
        return PlainFolder(places.bids_dir, places.bids_dir)
    if isinstance(load, Scans) and load.file is not None:
        labels = {"space": load.space, "res": load.res, "den": load.density}
        return PatternIndex(places.bids_dir, load.file, {name: value for name, value in labels.items() if value})
    return PybidsIndex(places.bids_dir, places.derivatives, subjects=tuple(subjects))


def subjects_of(places: Places, wanted: Sequence[str], loader: Loader | None = None) -> list[str]:
    """List the subjects of a dataset.

    Parameters
    ----------
    places : Places
        Folders; the dataset is read.
    wanted : sequence of str
        Labels; all unless given.
    loader : Loader, optional
        Settings; where files are found by their names, subjects are those that have some, without folders of their own.

    Returns
    -------
    list of str
        Labels without ``sub-``.

    Raises
    ------
    DataError
        If a wanted subject is missing, or there are no subjects.

    Examples
    --------
    >>> from encoding.pipeline import subjects_of
    >>> subjects_of(places, [])
    ['01', '02']
    """
    if isinstance(loader, Blocks):
        found = bdata_subjects(str(loader.file), places.bids_dir)
        return _chosen(places.bids_dir, found, wanted, f"Files named {loader.file} are needed.")
    folders = [path.name for path in places.bids_dir.glob("sub-*") if path.is_dir()]
    by_name = isinstance(loader, Scans) or not folders
    if isinstance(loader, Scans | Betas) and by_name and loader.file is not None:
        there = pattern_subjects(loader.file, places.bids_dir)
        return _chosen(places.bids_dir, there, wanted, f"Files named {loader.file} are needed.")
    return _chosen(places.bids_dir, folders, wanted)


def finished_subjects(places: Places, wanted: Sequence[str]) -> list[str]:
    """List the subjects whose participant level is finished.

    Parameters
    ----------
    places : Places
        Folders; results are read.
    wanted : sequence of str
        Labels; all unless given.

    Returns
    -------
    list of str
        Labels without ``sub-``.

    Raises
    ------
    DataError
        If a wanted subject is not finished, or there are no subjects.

    Examples
    --------
    >>> from encoding.pipeline import finished_subjects
    >>> finished_subjects(places, [])
    ['01', '02']
    """
    found = [path.parent.name for path in places.output_dir.glob(f"sub-*/{FACTS}")]
    return _chosen(places.output_dir, found, wanted)


def _chosen(
    folder: Path, found: Sequence[str], wanted: Sequence[str], needed: str = "Folders named sub-<label> are needed."
) -> list[str]:
    labels = sorted(name.removeprefix("sub-") for name in found)
    for label in wanted:
        if label not in labels:
            raise DataError(f"{folder}: there is no sub-{label}. {suggest(label, labels)}")
    if not labels:
        raise DataError(f"{folder}: no subject was found. {needed}")
    return [label for label in labels if not wanted or label in wanted]


def load_named_atlas(job: Job, name: str, path: Path | str, targets: Targets) -> Atlas:
    """Load an atlas that `choose_atlases` chose, for targets in a space: a file, a name, or masks of bdata files."""
    space, as_released = targets.space, job.study.maps.as_released
    described = {about.name: about for about in job.study.atlases}
    if name in described:
        base = job.places.bids_dir
        return load_files(described[name], base=base, subject=job.subject, targets=targets, as_released=as_released)
    if name.startswith(BDATA):
        assert isinstance(job.study.load, Blocks)  # parse_config holds this
        file = first_bdata_file(str(job.study.load.file), job.places.bids_dir, job.subject)
        return load_bdata_atlas(file, name, space=space, as_released=as_released)
    if name in SEGMENTATIONS:
        return load_dseg(path, name)
    if name == STRUCTURES:
        return load_structures(targets, as_released=as_released)
    # A file says in its name where it lies; an atlas by name is loaded onto the surface of the responses.
    onto = None
    if isinstance(path, str):
        by_name = fetched_space if path in REMOTE else shipped_space
        onto = space if path in PACKAGED else by_name(path, targets)
    return load_atlas(path, space=onto, as_released=as_released)


def chosen_atlases(job: Job, targets: Targets, dseg: Sequence[Path]) -> list[tuple[str, Path | str]]:
    """List names and files of the atlases of [map], then those of [[atlas]] tables that it does not name."""
    own = [about.name for about in job.study.atlases]
    wanted = list(job.study.maps.atlases)
    load = job.study.load
    if isinstance(load, Scans) and load.subcortex_atlas and "auto" in wanted:
        wanted.append(load.subcortex_atlas)
    beside = isinstance(load, Scans) and load.volume_space is not None
    chosen = choose_atlases(list(dict.fromkeys(wanted)), targets, dseg, job.places.bids_dir, beside=beside)
    named = {name for name, _ in chosen}
    return chosen + [(name, name) for name in own if name not in named]


def labelled_targets(job: Job, loaded: Loaded) -> tuple[list[tuple[Atlas | None, np.ndarray]], tuple[Exclusion, ...]]:
    """Load the atlases that are asked for, with the label of every target; all targets as one come first.

    An atlas that does not fit is left out, so that it does not take the others down.
    """
    targets = loaded.responses.targets
    pairs: list[tuple[Atlas | None, np.ndarray]] = [(None, np.ones(len(targets), dtype=int))]
    dseg = loaded.runs[0].dseg if loaded.runs else ()
    failed: list[Exclusion] = []
    for name, path in chosen_atlases(job, targets, dseg):
        try:
            atlas = load_named_atlas(job, name, path, targets)
            pairs.append((atlas, match_atlas(atlas, targets)))
        except EncodingError as error:
            failed.append(Exclusion("atlases", 1, f"{name!r} was left out: {error}"))
    try:
        pairs = add_user_sets(job.study.roi_sets, pairs, targets, base=job.places.bids_dir, subject=job.subject)
    except EncodingError as error:
        failed.append(Exclusion("atlases", 1, f"[[roi_set]] tables were left out: {error}"))
    return pairs, tuple(failed)


def left_out(found: Any) -> list[str]:
    """List what a finished step did without, of what the configuration asks for: feature spaces and atlases."""
    exclusions = getattr(found, "exclusions", ())
    if isinstance(exclusions, pd.DataFrame):
        rows = zip(exclusions["what"], exclusions["reason"], strict=True)
    else:
        rows = zip([one.what for one in exclusions], [one.reason for one in exclusions], strict=True)
    return [f"{WHOLE[what]} {reason}" for what, reason in rows if what in WHOLE]

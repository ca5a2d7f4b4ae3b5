"""The settings of the stage: the table [load] of a configuration."""

import dataclasses
from dataclasses import field
from pathlib import Path
from typing import Annotated, Any, Literal

from annotated_types import Interval
from pydantic import BeforeValidator
from typing_extensions import TypedDict  # pydantic needs it before Python 3.12

from ..core import ConfigError, DataError, StimulusSet
from ..core.settings import Count, CountOrZero, No, Number, OneOf, Positive, Rule, Text, Unit, annotations_of, settings
from ..io.bids.runs import BidsIndex
from ..io.fetched import require_content
from ..io.patterns import check_file_pattern
from ..io.stimulus_lists import LISTS, list_path, read_list
from ..io.tables import read_stimuli
from .bdata_files import check_pattern

SCANS = ("volume", "surface", "cifti", "array")
KINDS = (*SCANS, "betas", "bdata")
STRATEGIES = ("motion", "high_pass", "wm_csf", "global_signal", "compcor", "ica_aroma", "scrub")
MODELS = ("basic", "power2", "derivatives", "full")
COMPCOR = ("anat_combined", "anat_separated", "temporal", "temporal_anat_combined", "temporal_anat_separated")
NEEDS = {"n_compcor": "compcor", "fd_threshold": "scrub", "std_dvars_threshold": "scrub"}  # others: their own strategy
SHIFT = 4.0
NUMBER_ALONE = "{label}"
NO_EVENTS = "none"
SUBCORTEX = "aseg"
# Settings that came later; at their defaults they are no part of keys, so that what was made before is found.
LATER = (
    "where", "combine", "event_duration", "late_events", "trim", "confounds_file", "confound_columns", "t_r",
    "resample_mask", "key", "transpose", "volume_space", "subcortex",
)  # fmt: skip


Resolution = Annotated[Text, BeforeValidator(lambda label: str(label) if type(label) is int else label)]


class ConfoundOptions(TypedDict, total=False):
    """Parameters of nilearn's `load_confounds`, with its defaults."""

    motion: Annotated[str, OneOf(MODELS)]
    wm_csf: Annotated[str, OneOf(MODELS)]
    global_signal: Annotated[str, OneOf(MODELS)]
    compcor: Annotated[str, OneOf(COMPCOR)]
    n_compcor: Annotated[int, Interval(ge=1, le=1000)] | Literal["all"]
    ica_aroma: Annotated[str, OneOf(("full", "basic"))]
    scrub: Annotated[int, Interval(ge=0, le=10_000)]
    fd_threshold: Annotated[Positive, Unit("mm")]
    std_dvars_threshold: Positive


Patterns = Annotated[
    tuple[Text, ...],
    BeforeValidator(lambda names: tuple(names) if isinstance(names, list) else names),
    Rule("a list of one or more names or patterns", bool),
]


@settings("[load]")
class Loader:
    """What to load; ``Loader(kind=...)`` makes an object of the class of that kind.

    Paths are relative to the BIDS folder and may contain ``{subject}``.

    Examples
    --------
    >>> from encoding.loading import Loader
    >>> scans = Loader(kind="surface", per="stimulus", shift=4.0)
    >>> betas = Loader(kind="betas", per="stimulus", file="betas.npy", events="trials.tsv")
    >>> type(scans).__name__, type(betas).__name__
    ('Scans', 'Betas')
    """

    kind: Annotated[str, OneOf(KINDS)] = "volume"
    """NIfTI images, pairs of GIFTI files, CIFTI dense time series, or an array for each run; "betas": responses
    per trial that were estimated elsewhere; "bdata": block means in the HDF5 files of BrainDecoderToolbox2 and bdpy."""
    task: Text | tuple[Text, ...] | None = None
    """Task label; several are loaded together. May be left out if the dataset has one."""
    space: Text | None = None
    """BIDS label; may be left out if that leaves one file per run."""
    res: Resolution | None = None
    """BIDS label; may be left out if that leaves one file per run."""
    per: Annotated[str, OneOf(("tr", "stimulus"))] = "tr"
    """One row per volume, or one per presentation (mean of its window)."""
    stimulus: Text | None = None
    """Column that names the stimulus: ``stim_id`` if there is one, else ``stim_file``. Rows where it is n/a are rest.
    Bdata: the row of metadata that selects the column; by default ``stimulus_name``, else the third column of
    ``Label``."""
    scale_rows: bool | Literal["all"] = True
    """With one row per presentation: z-score the responses over the rows of each run, and centre the features there too
    (see ``[align]``). "all" z-scores them over the rows of all runs, held-out ones too, as some published analyses do;
    the report warns of it."""
    mask: Text = "brain"
    """"brain" for the intersection of the brain masks of all runs, "none", or the path of a mask. Surfaces and CIFTI:
    "brain" or "none", both for every vertex with a signal; of voxels beside surfaces, "brain" loads those in all brain
    masks. Bdata: "brain" or "none" for all voxels of the file, or
    masks in it ("bdata:WholeBrain", "bdata:hcp180")."""
    stimuli: Text | None = None
    """Table of stimuli; its column ``duplicate_of`` names the originals of stimuli that recur under other names. Or a
    list that comes with the package: "cowen2017", the 2,196 stimulus ids of Horikawa et al. (2020), in which every
    stimulus that was shown must be found; "cowen2017-2180", see `encoding.io.stimulus_lists.read_list`. "none" for no
    table."""

    def __new__(cls, *args: Any, **values: Any) -> "Loader":
        """Choose the class of a kind, and refuse settings of other kinds by name."""
        kind = args[0] if args else values.get("kind", "volume")
        made = LOADERS.get(kind, cls) if cls is Loader and isinstance(kind, str) else cls
        for key in values:
            owners = [name for name, other in LOADERS.items() if key in annotations_of(other)]
            if owners and key not in annotations_of(made):
                raise ConfigError(
                    f"[load]: {key} does not belong to kind = {kind!r}, but to {', '.join(map(repr, owners))}."
                )
        return object.__new__(made)

    @property
    def tasks(self) -> tuple[str, ...]:
        """Task labels; empty if none was named."""
        if self.task is None:
            return ()
        return (self.task,) if isinstance(self.task, str) else self.task

    def resolved(self) -> dict[str, Any]:
        """List the settings of all kinds, which keys of results are made of.

        Returns
        -------
        dict
            Settings of other kinds have their defaults.
        """
        every = {field.name: field.default for cls in LOADERS.values() for field in dataclasses.fields(cls)}
        every |= {"confound_options": {}, "where": {}, "combine": {}}
        found = every | dataclasses.asdict(self)
        return {name: value for name, value in found.items() if name not in LATER or value != every[name]}


@settings("[load]")
class Scans(Loader):
    """Time series in files of fMRIPrep or elsewhere, and how to clean them.

    The defaults suit the output of fMRIPrep: 24 motion parameters, a high-pass at 0.008 Hz (1/128 s, with cosines that
    are made here), linear trend, z-score within run, one row per volume.

    Examples
    --------
    >>> from encoding.loading import Scans
    >>> Scans(kind="cifti", task="movie", trim=(4, 0)).trim
    (4, 0)
    """

    kind: Annotated[str, OneOf(SCANS)] = "volume"
    """NIfTI images, pairs of GIFTI files, CIFTI dense time series, or ``.npy`` files (n_volumes, n_targets), one for
    each run, which need `file` and `t_r`."""
    density: Text | None = None
    """BIDS label; may be left out if that leaves one file per run."""
    desc: Text | None = None
    """BIDS label; "preproc" for volumes, otherwise it may be left out if that leaves one file per run."""
    volume_space: Text | None = None
    """For surfaces: the space of a volume of the same runs, whose subcortical voxels are loaded behind the vertices, so
    that one analysis has both: "MNI152NLin2009cAsym", with a resolution "MNI152NLin2009cAsym:res-2". Left out, vertices
    only."""
    subcortex: Text = SUBCORTEX
    """Which voxels of `volume_space`: "aseg" for the 19 structures that CIFTI files hold, by fMRIPrep's segmentation
    beside the volume (``desc-aseg_dseg``, ``desc-aparcaseg_dseg``); the name of an atlas ("Tian2020-S2"), for its
    regions, the same in all subjects; or the path of a mask, or of such a segmentation (with ``aseg_dseg`` or
    ``aparcaseg_dseg`` in its name)."""
    shift: Annotated[Number, Interval(ge=-3600, le=3600), Unit("s")] = SHIFT
    """Seconds from the onset of a presentation to the start of its window."""
    window: Annotated[Positive, Unit("s")] | Literal["block"] | None = None
    """Length of the window in seconds; the duration of the event if left out. "block": up to the next presentation, the
    rest between them included; after the last of a run, as much rest as is usual in the run (the median)."""
    confounds: tuple[Annotated[str, OneOf(STRATEGIES)], ...] = ("motion",)
    """Strategies of `nilearn.interfaces.fmriprep.load_confounds`; empty for none."""
    confound_options: ConfoundOptions = field(default_factory=ConfoundOptions)
    """Their parameters (``{motion = "basic", fd_threshold = 0.5}``), with nilearn's defaults."""
    high_pass: Annotated[Positive, Unit("Hz")] | No | Literal["confounds"] = 0.008
    """Cutoff in Hz of cosines that are made here; or the cosines of the confounds file; or neither."""
    detrend: bool = True
    """Remove a linear trend from each run. The mean is always removed."""
    standardize: bool = True
    """Divide each run by its standard deviation."""
    despike: Annotated[Positive, Unit("standard deviations")] | None = None
    """Clip values of the cleaned run beyond this many standard deviations."""
    missing_runs: Annotated[str, OneOf(("error", "exclude"))] = "error"
    """Whether a missing run is an error ("error"), or is left out and reported ("exclude")."""
    file: Text | None = None
    """Pattern of the images where they are not named as in BIDS, relative to the BIDS folder, with ``{subject}``,
    ``{session}``, ``{task}``, ``{run}``, ``{acq}``, ``{dir}``, ``{rec}``, and ``{hemi}`` (L and R, or lh and rh) for
    surfaces: ``"{subject}/MNINonLinear/Results/{task}_{run}/{task}_{run}_Atlas.dtseries.nii"``. Needs no derivatives,
    no sidecars, and no BIDS names; masks are then "none" or a file."""
    t_r: Annotated[Positive, Unit("s")] | None = None
    """Repetition time, if neither sidecars nor headers state the right one; it is compared with sidecars."""
    events: Text | None = None
    """Pattern of the tables of events where they are not in the BIDS folder beside the raw images:
    ``"other/sub-{subject}_run-{run}.tsv"``. "none": there are no events; every run is one recording, and features are
    matrices of runs (``kind = "series"``)."""
    where: dict[Text, Patterns] = field(default_factory=dict)
    """Events to use: for columns of the table, the values that are kept, with ``*`` and ``?``, or with ``!`` in front
    those that are left out (``{ trial_type = ["clip*", "!clip_practice"] }``). All columns must agree."""
    combine: dict[Text, Patterns] = field(default_factory=dict)
    """New names for stimuli: ``{ face = ["face_*", "head"] }`` makes one stimulus of all whose names match."""
    event_duration: Annotated[Positive, Unit("s")] | None = None
    """Duration of every event, instead of the one in the table."""
    late_events: Annotated[str, OneOf(("error", "drop"))] = "error"
    """Events that begin after the last volume, as in a run that was aborted: an error, or left out and reported."""
    trim: Annotated[tuple[CountOrZero, CountOrZero], Unit("volumes")] = (0, 0)
    """Volumes that are left out at the start and at the end of each run, such as dummy scans. Onsets of events still
    count from the first volume of the file."""
    confounds_file: Text | None = None
    """Pattern of tables of confounds of one's own, one row per volume: TSV or CSV with a header, or ``.txt`` and
    ``.1D`` with numbers only. They take the place of `confounds`."""
    confound_columns: Annotated[tuple[Text, ...], Rule("a list of one or more columns", bool)] | None = None
    """Columns of these tables, with ``*`` and ``?``; all if left out."""
    resample_mask: bool = False
    """Resample a mask (or the file of `subcortex`) to the grid of the images, by the nearest neighbour."""

    def __post_init__(self) -> None:
        """Check rules across fields."""
        self._check_confounds()
        self._check_patterns()
        self._check_events()
        if self.per == "tr" and (self.window is not None or self.shift != SHIFT):
            raise ConfigError(
                'shift and window belong to per = "stimulus"; with per = "tr", set `delays` of the models instead.'
            )
        if self.kind == "array" and (self.file is None or self.t_r is None):
            raise ConfigError('kind = "array" needs file, a pattern of .npy files, and t_r.')
        if self.kind in ("surface", "cifti", "array") and self.mask not in ("brain", "none"):
            advice = " Name it in subcortex, for voxels." if self.volume_space else ""
            raise ConfigError(
                f'mask is {self.mask!r}, but for {self.kind} it can only be "brain" or "none" (both: every '
                f"vertex with a signal).{advice}"
            )
        self._check_volume()

    @property
    def has_events(self) -> bool:
        """Whether there are tables of events."""
        return self.events != NO_EVENTS

    @property
    def strategies(self) -> tuple[str, ...]:
        """Strategies for nilearn, "high_pass" among them if the file's cosines are wanted."""
        if self.confounds_file is not None:
            return ()
        extra = ("high_pass",) if self.high_pass == "confounds" and "high_pass" not in self.confounds else ()
        return (*self.confounds, *extra)

    @property
    def subcortex_file(self) -> bool:
        """Whether `subcortex` names a file."""
        return "/" in self.subcortex or self.subcortex.endswith((".nii", ".nii.gz"))

    @property
    def subcortex_atlas(self) -> str | None:
        """Name of the atlas that chooses voxels beside surfaces, if one does."""
        named = self.volume_space and not self.subcortex_file and self.subcortex != SUBCORTEX
        return self.subcortex if named else None

    def _check_volume(self) -> None:
        if self.volume_space is None:
            if self.subcortex != SUBCORTEX:
                raise ConfigError(
                    f"subcortex = {self.subcortex!r} does nothing without volume_space, the space of its voxels."
                )
            return
        if self.kind != "surface":
            whole = "CIFTI files hold both already" if self.kind == "cifti" else "it adds voxels to surfaces"
            raise ConfigError(
                f'volume_space = {self.volume_space!r} belongs to kind = "surface", not to {self.kind!r}: {whole}.'
            )
        if self.file is not None:
            raise ConfigError(
                "volume_space finds images by their BIDS names, but file gives names of its own. Remove one of them."
            )

    def _check_patterns(self) -> None:
        for key in ("file", "events", "confounds_file"):
            value = getattr(self, key)
            if value is not None:
                check_file_pattern(value, key, ("hemi",) if key == "file" else ())
        if self.file is not None and (self.kind == "surface") != ("{hemi}" in self.file):
            raise ConfigError(
                f'file is {self.file!r}; {{hemi}} is needed for kind = "surface" and belongs to no other.'
            )
        if self.file is not None and self.kind == "volume" and self.mask == "brain":
            raise ConfigError('file has no brain masks beside it: set mask = "none", or to the path of a mask.')
        own = self.subcortex_file if self.volume_space else self.mask not in ("brain", "none")
        if self.resample_mask and not own:
            name = f"subcortex = {self.subcortex!r}" if self.volume_space else f"mask = {self.mask!r}"
            raise ConfigError(f"resample_mask does nothing with {name}; name a file there.")

    def _check_events(self) -> None:
        if not self.has_events:
            if self.per != "tr":
                raise ConfigError('events = "none" leaves no presentations; set per = "tr".')
            wrong = [name for name in ("stimulus", "where", "combine", "event_duration") if getattr(self, name)]
            if wrong:
                raise ConfigError(f'{wrong[0]} does nothing with events = "none". Remove one of them.')
        for name, patterns in self.where.items():
            if name in ("onset", "duration"):
                raise ConfigError(f"where: {name!r} is a time; name a column of words, such as trial_type.")
            if all(pattern in ("!", "") for pattern in patterns):
                raise ConfigError(f"where: {name} = {list(patterns)} chooses nothing.")

    def _check_confounds(self) -> None:
        if self.confounds_file is not None:
            given = [name for name in self.confounds if name != "motion"] + list(self.confound_options)
            if given or self.high_pass == "confounds":
                raise ConfigError(
                    f'confounds_file takes the place of confounds, confound_options and high_pass = "confounds" '
                    f"({', '.join(given) or 'confounds'}). Remove one of them."
                )
            return
        if self.confound_columns is not None:
            raise ConfigError("confound_columns are those of confounds_file, which is not given.")
        for name in self.confound_options:
            strategy = NEEDS.get(name, name)
            if strategy not in self.confounds:
                raise ConfigError(
                    f"confound option {name!r} does nothing without {strategy!r} in confounds "
                    f"({list(self.confounds)}). Add the strategy or remove the option."
                )
        if not isinstance(self.high_pass, str) and self.high_pass > 0.1:
            raise ConfigError(
                f"high_pass = {self.high_pass} Hz would remove the responses themselves; it is a cutoff in Hz, not a "
                f"period in seconds. Usual is 0.008."
            )
        if "high_pass" in self.confounds and self.high_pass != "confounds":
            raise ConfigError(
                f'"high_pass" in confounds and high_pass = {self.high_pass!r} would filter twice or not as stated. '
                f'Set high_pass = "confounds", or remove "high_pass" from confounds.'
            )
        if "compcor" in self.confounds and self.high_pass != "confounds":
            raise ConfigError(
                f"fMRIPrep computes CompCor after its own high-pass, so that compcor needs high_pass = "
                f'"confounds" (it is {self.high_pass!r}).'
            )


@settings("[load]")
class Betas(Loader):
    """Responses per trial that were estimated elsewhere.

    Examples
    --------
    >>> from encoding.loading import Betas
    >>> Betas(file="betas.npy", events="trials.tsv", per="stimulus").kind
    'betas'
    """

    kind: Annotated[str, OneOf(("betas",))] = "betas"
    """Always "betas"."""
    file: Text | None = None
    """Estimates of all trials, relative to the BIDS folder, or one file for each ``{session}``: 4-D NIfTI; two GIFTI or
    MGH files of a surface with ``{hemi}`` (L and R, or lh and rh); CIFTI; an array or table (n_trials, n_targets) in
    ``.npy``, TSV, CSV or parquet; arrays of GLMsingle and of NSD in ``.npy``, HDF5 or MATLAB files, (x, y, z, n_trials)
    or reversed as MATLAB and h5py show them, which need `mask` for the place of voxels."""
    key: Text | None = None
    """Array of an HDF5 or MATLAB file, or of the ``.npy`` that GLMsingle saves; left out: ``betasmd`` (GLMsingle),
    ``betas`` (NSD), or the only one."""
    where: dict[Text, Patterns] = field(default_factory=dict)
    """Rows of `events` that belong to the estimates, by values or patterns of columns: ``{ SUBJECT = ["1"] }``."""
    events: Text | None = None
    """The table that lists the trials (columns: stimulus, ``run``, optionally ``session``, ``onset``,
    ``duration``)."""
    estimated_within: Annotated[str, OneOf(("run", "unknown", "all"))] = "unknown"
    """Data that each estimate was made from. Anything but "run" may include data of other folds."""

    def __post_init__(self) -> None:
        """Check that there are files, and one row per trial."""
        if not self.file or not self.events:
            raise ConfigError('kind = "betas" needs `file` and `events`.')
        if self.per != "stimulus":
            raise ConfigError('betas have one row per trial; set per = "stimulus".')
        check_file_pattern(self.file, "file", ("hemi",))
        surface = "{hemi}" in self.file or self.file.endswith((".dscalar.nii", ".dtseries.nii"))
        if surface and self.mask not in ("brain", "none"):
            raise ConfigError(f"mask is {self.mask!r}, but {self.file!r} has no voxels; leave it out.")


@settings("[load]")
class Blocks(Loader):
    """Block means in HDF5 files of BrainDecoderToolbox2 and bdpy, which also name the stimuli.

    Examples
    --------
    >>> from encoding.loading import Blocks
    >>> Blocks(file="sub-{subject}.h5", per="stimulus").kind
    'bdata'
    """

    kind: Annotated[str, OneOf(("bdata",))] = "bdata"
    """Always "bdata"."""
    file: Text | None = None
    """Pattern of the files with ``{number}`` (1 for sub-01) or ``{subject}``, and ``{session}`` where every session has
    a file."""
    labels: Text = NUMBER_ALONE
    """Name of a stimulus that has only a number (``video{label:04d}``)."""
    n_runs: Count | None = None
    """Number of runs that each subject must have."""
    missing_runs: Annotated[str, OneOf(("error", "exclude"))] = "error"
    """Whether a missing run is an error ("error"), or is left out and reported ("exclude")."""

    def __post_init__(self) -> None:
        """Check the patterns of files and names, and rules across fields."""
        check_pattern(self.file or "")
        if self.per != "stimulus":
            raise ConfigError('bdata files have one row per block; set per = "stimulus".')
        if self.mask not in ("brain", "none") and not self.mask.startswith("bdata:"):
            raise ConfigError(
                f'mask is {self.mask!r}, but for bdata it can only be "brain" or "none" (both: every voxel of the '
                f'file) or masks in the file ("bdata:WholeBrain", "bdata:hcp180").'
            )
        try:
            told = {self.labels.format(label=number) for number in (1, 2)}
        except (AttributeError, IndexError, KeyError, ValueError) as error:
            raise ConfigError(f"labels is {self.labels!r}, which is not a format ({error!r}).") from error
        if len(told) < 2:
            raise ConfigError(f"labels is {self.labels!r}, but must hold {{label}}, for instance video{{label:04d}}.")


# What `kind` in the [load] table of the configuration can be.
LOADERS: dict[str, type[Loader]] = {**dict.fromkeys(SCANS, Scans), "betas": Betas, "bdata": Blocks}


def dataset_path(index: BidsIndex, path: str, subject: str) -> Path:
    """Resolve a file of the settings, in which ``{subject}`` stands for the label, relative to the BIDS folder."""
    full = index.bids_dir / path.replace("{subject}", subject)
    require_content(full)
    if not full.is_file():
        raise DataError(f"{full}: no such file ({path!r} in [load], relative to the BIDS folder).")
    return full


def stimuli_path(index: BidsIndex, name: str, subject: str) -> Path:
    """Resolve the table of stimuli: a list that comes with the package, or a file."""
    return list_path(name) if name in LISTS else dataset_path(index, name, subject)


def stimuli_of(index: BidsIndex, name: str | None, subject: str) -> StimulusSet | None:
    """Read the table of stimuli; None without one (None or "none")."""
    if name in (None, "none"):
        return None
    return read_list(name) if name in LISTS else read_stimuli(dataset_path(index, name, subject))


def scaling_warning(subject: str) -> str:
    """Return the warning that scaling over all runs uses held-out rows."""
    return (
        f"sub-{subject}: responses were z-scored over the rows of all runs, held-out runs included, because scale_rows "
        f'= "all" in [load]. Models here take responses about training means, and no score or choice of a penalty '
        f"depends on their unit, so that this moves no score; it would elsewhere"
    )

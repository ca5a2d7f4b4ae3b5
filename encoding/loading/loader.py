"""The settings of the stage: the table [load] of a configuration."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from numbers import Real
from pathlib import Path
from typing import Any

from ..core import ConfigError, DataError, StimulusSet, suggest
from ..io.bids.runs import BidsIndex
from ..io.stimulus_lists import LISTS, list_path, read_list
from ..io.tables import read_stimuli
from .bdata_files import check_pattern

KINDS = ("volume", "surface", "cifti", "betas", "bdata")
STRATEGIES = ("motion", "high_pass", "wm_csf", "global_signal", "compcor", "ica_aroma", "scrub")
MODELS = ("basic", "power2", "derivatives", "full")
# Parameter of nilearn's load_confounds: the strategy that it belongs to, and its values if they are few.
OPTIONS: dict[str, tuple[str, tuple[str, ...]]] = {
    "motion": ("motion", MODELS),
    "wm_csf": ("wm_csf", MODELS),
    "global_signal": ("global_signal", MODELS),
    "compcor": (
        "compcor",
        ("anat_combined", "anat_separated", "temporal", "temporal_anat_combined", "temporal_anat_separated"),
    ),
    "n_compcor": ("compcor", ()),
    "ica_aroma": ("ica_aroma", ("full", "basic")),
    "scrub": ("scrub", ()),
    "fd_threshold": ("scrub", ()),
    "std_dvars_threshold": ("scrub", ()),
}
SHIFT = 4.0
NUMBER_ALONE = "{label}"


@dataclass(frozen=True)
class Loader:
    """What to load, and how to clean it.

    The defaults suit the output of fMRIPrep: 24 motion parameters, a high-pass at 0.008 Hz (1/128 s, with
    cosines that are made here), linear trend, z-score within run, one row per volume. Paths are relative to
    the BIDS folder and may contain ``{subject}``.

    Attributes
    ----------
    kind : {"volume", "surface", "cifti", "betas", "bdata"}
        NIfTI images, pairs of GIFTI files, CIFTI dense time series; responses per trial that were estimated
        elsewhere; or block means in the HDF5 files of BrainDecoderToolbox2 and bdpy.
    task : str or sequence of str, optional
        Task label; several are loaded together. May be left out if the dataset has one.
    space, res, density, desc : str, optional
        BIDS labels; may be left out if that leaves one file per run. `desc` is "preproc" for volumes.
    per : {"tr", "stimulus"}
        One row per volume, or one per presentation (mean of its window).
    stimulus : str, optional
        Column of events.tsv that names the stimulus: ``stim_id`` if there is one, else ``stim_file``.
        Rows where it is n/a are rest. Bdata: the row of metadata that selects the column; by default
        ``stimulus_name``, else the third column of ``Label``.
    shift : float
        Seconds from the onset of a presentation to the start of its window.
    window : float or "block", optional
        Length of the window in seconds; the duration of the event if left out. "block": up to the next presentation,
        the rest between them included; after the last of a run, as much rest as is usual in the run (the median).
    confounds : sequence of str
        Strategies of `nilearn.interfaces.fmriprep.load_confounds`; empty for none.
    confound_options : mapping
        Their parameters (``{motion = "basic", fd_threshold = 0.5}``), with nilearn's defaults.
    high_pass : float, "confounds" or False
        Cutoff in Hz of cosines that are made here; or the cosines of the confounds file; or neither.
    detrend : bool
        Take out a linear trend per run. The mean is always taken out.
    standardize : bool
        Divide each run by its standard deviation.
    scale_rows : bool or "all"
        One row per presentation only: z-score the responses over the rows of each run, and centre the
        features there too (see `align`). "all" z-scores them over the rows of all runs, held-out ones too, as some
        published analyses do; the report warns of it.
    despike : float, optional
        Values beyond this many standard deviations of the cleaned run are set to that limit.
    mask : str
        "brain" for the intersection of the brain masks of all runs, "none", or the path of a mask. Bdata: "brain" for
        all voxels of the file, or masks of regions in it ("bdata:WholeBrain", "bdata:hcp180").
    missing_runs : {"error", "exclude"}
        What to do about runs that should be there but are not.
    stimuli : str, optional
        Table of stimuli; its column ``duplicate_of`` makes repeats under other names known. Or a list that comes with
        the package: "cowen2017", the 2,196 stimulus ids of Horikawa et al. (2020), in which every stimulus that was
        shown must be found; "cowen2017-2180", see `encoding.io.stimulus_lists.read_list`. "none" for no table.
    file, events : str, optional
        Betas only: a 4-D NIfTI image or a table with one row per trial, and the table that lists the trials
        (columns: stimulus, ``run``, optionally ``session``, ``onset``, ``duration``). Bdata: `file` is a pattern with
        ``{number}`` (1 for sub-01) or ``{subject}``, and ``{session}`` where every session has a file.
    estimated_within : {"run", "unknown", "all"}
        Betas only: what went into each estimate. Anything but "run" may have looked across folds.
    labels : str
        Bdata only: how a stimulus that has only a number is named (``video{label:04d}``).
    n_runs : int, optional
        Bdata only: how many runs each subject must have.

    Raises
    ------
    ConfigError
        If a value is not allowed, or two contradict each other.
    """

    kind: str = "volume"
    task: str | tuple[str, ...] | None = None
    space: str | None = None
    res: str | None = None
    density: str | None = None
    desc: str | None = None
    per: str = "tr"
    stimulus: str | None = None
    shift: float = SHIFT
    window: float | str | None = None
    confounds: tuple[str, ...] = ("motion",)
    confound_options: Mapping[str, Any] = field(default_factory=dict)
    high_pass: float | str | bool = 0.008
    detrend: bool = True
    standardize: bool = True
    scale_rows: bool | str = True
    despike: float | None = None
    mask: str = "brain"
    missing_runs: str = "error"
    stimuli: str | None = None
    file: str | None = None
    events: str | None = None
    estimated_within: str = "unknown"
    labels: str = NUMBER_ALONE
    n_runs: int | None = None

    def __post_init__(self) -> None:
        """Check every value."""
        if isinstance(self.confounds, str):
            raise ConfigError(f"[load]: confounds is {self.confounds!r}, but a list of strategies was needed.")
        object.__setattr__(self, "confounds", tuple(self.confounds))
        object.__setattr__(self, "confound_options", dict(self.confound_options))
        if not isinstance(self.task, str) and self.task is not None:
            object.__setattr__(self, "task", tuple(self.task))
        for name in ("res", "density", "space", "desc"):
            value = getattr(self, name)
            object.__setattr__(self, name, None if value is None else str(value))
        _one_of("kind", self.kind, KINDS)
        _one_of("per", self.per, ("tr", "stimulus"))
        _one_of("missing_runs", self.missing_runs, ("error", "exclude"))
        _one_of("estimated_within", self.estimated_within, ("run", "unknown", "all"))
        for name in ("detrend", "standardize"):
            if not isinstance(getattr(self, name), bool):
                raise ConfigError(f"[load]: {name} is {getattr(self, name)!r}, but must be true or false.")
        if not isinstance(self.scale_rows, bool) and self.scale_rows != "all":
            raise ConfigError(f'[load]: scale_rows is {self.scale_rows!r}, but must be true, false or "all".')
        self._check_numbers()
        self._check_confounds()
        self._check_combinations()

    @property
    def tasks(self) -> tuple[str, ...]:
        """Task labels; empty if none was named."""
        if self.task is None:
            return ()
        return (self.task,) if isinstance(self.task, str) else self.task

    @property
    def strategies(self) -> tuple[str, ...]:
        """Strategies for nilearn, "high_pass" among them if the file's cosines are wanted."""
        extra = ("high_pass",) if self.high_pass == "confounds" and "high_pass" not in self.confounds else ()
        return (*self.confounds, *extra)

    def _check_numbers(self) -> None:
        if self.high_pass is not False and self.high_pass != "confounds" and not _positive(self.high_pass):
            raise ConfigError(
                f'[load]: high_pass is {self.high_pass!r}, but must be a cutoff in Hz (0.008), "confounds" for '
                f"the cosines of the confounds file, or false."
            )
        if _positive(self.high_pass) and float(self.high_pass) > 0.1:
            raise ConfigError(
                f"[load]: high_pass = {self.high_pass} Hz would take out the responses themselves; it is a "
                f"cutoff in Hz, not a period in seconds. Usual is 0.008."
            )
        for name, words in (("despike", ()), ("window", ("block",))):
            value = getattr(self, name)
            if value is not None and value not in words and not _positive(value):
                extra = f' or "{words[0]}"' if words else ""
                raise ConfigError(f"[load]: {name} is {value!r}, but must be a number above 0{extra}.")
        if isinstance(self.shift, bool) or not isinstance(self.shift, Real):
            raise ConfigError(f"[load]: shift is {self.shift!r}, but must be a number of seconds.")

    def _check_confounds(self) -> None:
        for strategy in self.confounds:
            if strategy not in STRATEGIES:
                raise ConfigError(f"[load]: unknown confound strategy {strategy!r}. {suggest(strategy, STRATEGIES)}")
        for name, value in self.confound_options.items():
            if name not in OPTIONS:
                raise ConfigError(f"[load]: unknown confound option {name!r}. {suggest(name, OPTIONS)}")
            strategy, allowed = OPTIONS[name]
            if strategy not in self.confounds:
                raise ConfigError(
                    f"[load]: confound option {name!r} does nothing without {strategy!r} in confounds "
                    f"({list(self.confounds)}). Add the strategy or remove the option."
                )
            if allowed:
                _one_of(f"confound_options.{name}", value, allowed)
        if "high_pass" in self.confounds and self.high_pass != "confounds":
            raise ConfigError(
                f'[load]: "high_pass" in confounds and high_pass = {self.high_pass!r} would filter twice or not '
                f'as stated. Set high_pass = "confounds", or take "high_pass" out of confounds.'
            )
        if "compcor" in self.confounds and self.high_pass != "confounds":
            raise ConfigError(
                f"[load]: fMRIPrep computes CompCor after its own high-pass, so that compcor needs "
                f'high_pass = "confounds" (it is {self.high_pass!r}).'
            )

    def _check_combinations(self) -> None:
        if self.per == "tr" and (self.window is not None or self.shift != SHIFT):
            raise ConfigError(
                '[load]: shift and window belong to per = "stimulus"; with per = "tr", set `delays` of the '
                "models instead."
            )
        if self.kind in ("surface", "cifti") and self.mask not in ("brain", "none"):
            raise ConfigError(
                f'[load]: mask is {self.mask!r}, but for {self.kind} it can only be "brain" or "none" '
                f"(both: every vertex with a signal)."
            )
        if self.kind == "betas":
            if not self.file or not self.events:
                raise ConfigError('[load]: kind = "betas" needs `file` and `events`.')
            if self.per != "stimulus":
                raise ConfigError('[load]: betas have one row per trial; set per = "stimulus".')
        elif self.kind == "bdata":
            self._check_bdata()
        elif self.file or self.events:
            raise ConfigError(f'[load]: file and events belong to kind = "betas", not {self.kind!r}.')
        if self.kind != "bdata" and (self.labels != NUMBER_ALONE or self.n_runs is not None):
            raise ConfigError(f'[load]: labels and n_runs belong to kind = "bdata", not {self.kind!r}.')

    def _check_bdata(self) -> None:
        check_pattern(str(self.file or ""))
        if self.events:
            raise ConfigError('[load]: kind = "bdata" has no `events`: its files tell what was shown.')
        if self.per != "stimulus":
            raise ConfigError('[load]: bdata files have one row per block; set per = "stimulus".')
        if self.mask not in ("brain", "none") and not self.mask.startswith("bdata:"):
            raise ConfigError(
                f'[load]: mask is {self.mask!r}, but for bdata it can only be "brain" or "none" (both: every voxel of '
                f'the file) or masks in the file ("bdata:WholeBrain", "bdata:hcp180").'
            )
        if self.n_runs is not None and (
            not isinstance(self.n_runs, int) or isinstance(self.n_runs, bool) or self.n_runs < 1
        ):
            raise ConfigError(f"[load]: n_runs is {self.n_runs!r}, but a number of runs, 1 or more, was needed.")
        try:
            told = {self.labels.format(label=number) for number in (1, 2)}
        except (AttributeError, IndexError, KeyError, ValueError) as error:
            raise ConfigError(f"[load]: labels is {self.labels!r}, which is no format ({error!r}).") from error
        if len(told) < 2:
            raise ConfigError(
                f"[load]: labels is {self.labels!r}, but must hold {{label}}, for instance video{{label:04d}}."
            )


def _one_of(name: str, value: Any, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        hint = suggest(value, allowed) if isinstance(value, str) else f"Known: {', '.join(allowed)}."
        raise ConfigError(f"[load]: {name} is {value!r}. {hint}")


def _positive(value: Any) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool) and float(value) > 0


def dataset_path(index: BidsIndex, path: str, subject: str) -> Path:
    """Find a file that the settings name.

    Parameters
    ----------
    index : BidsIndex
        The dataset.
    path : str
        Relative to the BIDS folder; ``{subject}`` stands for the label.
    subject : str
        The label.

    Returns
    -------
    Path
        An existing file.

    Raises
    ------
    DataError
        If it does not exist.
    """
    full = index.bids_dir / path.replace("{subject}", subject)
    if not full.is_file():
        raise DataError(f"{full}: no such file ({path!r} in [load], relative to the BIDS folder).")
    return full


def stimuli_path(index: BidsIndex, name: str, subject: str) -> Path:
    """Find the table of stimuli that the settings name.

    Parameters
    ----------
    index : BidsIndex
        The dataset.
    name : str
        A list that comes with the package, or a file as of `dataset_path`.
    subject : str
        The label.

    Returns
    -------
    Path
        An existing file.
    """
    return list_path(name) if name in LISTS else dataset_path(index, name, subject)


def stimuli_of(index: BidsIndex, name: str | None, subject: str) -> StimulusSet | None:
    """Read the table of stimuli that the settings name.

    Parameters
    ----------
    index : BidsIndex
        The dataset.
    name : str or None
        As of `stimuli_path`; None or "none" for no table.
    subject : str
        The label.

    Returns
    -------
    StimulusSet or None
        None without a table.
    """
    if name in (None, "none"):
        return None
    return read_list(name) if name in LISTS else read_stimuli(dataset_path(index, name, subject))


def scaling_warning(subject: str) -> str:
    """Say that scaling over all runs looks across folds.

    Parameters
    ----------
    subject : str
        Label.

    Returns
    -------
    Exclusion
        A warning for the report.
    """
    return (
        f"sub-{subject}: responses were z-scored over the rows of all runs, held-out runs included, because scale_rows "
        f'= "all" in [load]. Models here take responses about training means, and no score or choice of a penalty '
        f"depends on their unit, so that this moves no score; it would elsewhere"
    )

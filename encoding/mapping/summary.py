"""The summary of a participant's run: counts, folds, penalties, settings, versions, as typed fields and as JSON."""

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..core import DataError
from ..io.atomic import write_json

FACTS = "facts.json"
FORMAT = 3  # of what a participant leaves behind
READABLE = (2, FORMAT)
AGAIN = "Run the participant level again (encoding run BIDS_DIR OUTPUT_DIR participant --config FILE)"


@dataclass(frozen=True, slots=True)
class SolverSummary:
    """How the hyper-parameters of one model were searched.

    Attributes
    ----------
    method : str
        Solver.
    reason : str
        Why it was chosen.
    fell_back : int
        Chunks of targets that another solver fitted.
    unstable_gammas : float
        Share of targets whose band weights change between outer folds.
    at_smallest_alpha, at_largest_alpha : float
        Share of choices at the edges of the grid.
    verified_targets : int
        Targets that a second solver repeated.
    verified_difference : float
        Largest difference that it found.

    Examples
    --------
    >>> result.summary.models["mllm"].solver.method
    'kernel'
    """

    method: str
    reason: str
    fell_back: int = 0
    unstable_gammas: float = 0.0
    at_smallest_alpha: float = 0.0
    at_largest_alpha: float = 0.0
    verified_targets: int = 0
    verified_difference: float = 0.0


@dataclass(frozen=True, slots=True)
class ModelSummary:
    """Penalties and weights that one model chose.

    Attributes
    ----------
    bands : tuple of str
        Its feature spaces.
    alphas : tuple of float
        Grid of penalties, ascending.
    chosen : tuple of int
        How often each was chosen, over targets and outer folds.
    mean_gamma : tuple of float
        Mean weight of every band over outer folds and targets.
    solver : SolverSummary
        How they were searched.
    curve : tuple of float
        Mean of the best score after every candidate.
    alpha_unit : {"trace", "zscored"}
        Unit of the penalties.
    key : str
        Identity of its predictions.

    Examples
    --------
    >>> result.summary.models["joint"].bands
    ('mllm', 'category')
    """

    bands: tuple[str, ...]
    alphas: tuple[float, ...]
    chosen: tuple[int, ...]
    mean_gamma: tuple[float, ...]
    solver: SolverSummary
    curve: tuple[float, ...] = ()
    alpha_unit: str = "trace"
    key: str = ""


@dataclass(frozen=True, slots=True)
class DiscoverySummary:
    """Significant targets of one model.

    Attributes
    ----------
    n : int
        How many.
    share : float
        Of the usable targets.
    critical : float or None
        Smallest score among them; None without any.

    Examples
    --------
    >>> from encoding.mapping import DiscoverySummary
    >>> DiscoverySummary(12, 0.01, 0.3).n
    12
    """

    n: int
    share: float
    critical: float | None


@dataclass(frozen=True, slots=True)
class RsaSummary:
    """Choices and counts of one analysis of similarity.

    Attributes
    ----------
    name : str
        Name of the analysis.
    similarity : mapping of str to str
        Similarity of stimuli, by feature space.
    brain : str
        Similarity of responses.
    comparison : str
        Correlation between the two.
    regions : {"atlas", "searchlight"}
        Where.
    radius_mm : float or None
        Radius of searchlights.
    edge_voxels : int or None
        Edge of cubic searchlights.
    min_targets : int
        Fewest targets of a region or searchlight.
    same_run : bool
        Whether pairs of one run are compared.
    repeats : str or None
        What is done with repeated presentations.
    n_repeated_presentations, n_stimuli, n_pairs, n_pairs_of_one_run_left_out : int
        Counts.
    atlas_of_map : str or None
        Atlas whose regions are painted on the map; None for searchlights.
    noise : str or None
        Covariance of the noise in crossnobis distances; None for other similarities.

    Examples
    --------
    >>> result.summary.rsa
    {}
    """

    name: str
    similarity: Mapping[str, str]
    brain: str
    comparison: str
    regions: str
    radius_mm: float | None
    edge_voxels: int | None
    min_targets: int
    same_run: bool
    repeats: str | None
    n_repeated_presentations: int
    n_stimuli: int
    n_pairs: int
    n_pairs_of_one_run_left_out: int
    atlas_of_map: str | None = None
    noise: str | None = None

    def plain(self) -> dict[str, Any]:
        """List choices and counts, without those that do not apply.

        Returns
        -------
        dict
            JSON.
        """
        optional = {"atlas_of_map", "noise"}
        return {
            name: value for name, value in dataclasses.asdict(self).items() if value is not None or name not in optional
        }


@dataclass(frozen=True, slots=True)
class ControlSummary:
    """Result of one control: features without information about the stimuli.

    Attributes
    ----------
    name, meaning : str
        Its name, and what its features are.
    n_features : int
        How many there are.
    r : float or None
        Held-out correlation at a fixed penalty, mean over targets.
    shared : float or None
        Variance of the responses that is linear in the features and shared by runs.
    p : float or None
        One-sided probability of as much by chance; None where it was not tested.
    why_not : str
        Why it was not tested.
    above_chance : bool
        Whether it predicts better than chance, corrected for the number of controls.

    Examples
    --------
    >>> from encoding.mapping import ControlSummary
    >>> ControlSummary("run_time", "position in the run", 5, 0.01, 0.0, 0.4, "", False).above_chance
    False
    """

    name: str
    meaning: str
    n_features: int
    r: float | None
    shared: float | None
    p: float | None
    why_not: str
    above_chance: bool


@dataclass(frozen=True, slots=True)
class ControlsSummary:
    """All controls of one participant.

    Attributes
    ----------
    found : tuple of ControlSummary
        In the order of testing.
    n_targets : int
        Targets that they were computed on.
    duplicates : tuple of tuple of str
        Stimuli of equal features in every space that are trained on under one name and tested under another.
    same_files : tuple of tuple of str
        The same of stimuli whose files have equal content.
    autocorrelation : mapping of str to float or None
        Lag-1 autocorrelation within runs, of "responses" and of every feature space.
    seconds : float
        Time that they took.

    Examples
    --------
    >>> from encoding.mapping import ControlsSummary
    >>> ControlsSummary((), 1092, (), {}, 0.1).n_targets
    1092
    """

    found: tuple[ControlSummary, ...]
    n_targets: int
    duplicates: tuple[tuple[str, ...], ...]
    autocorrelation: Mapping[str, float | None]
    seconds: float
    same_files: tuple[tuple[str, ...], ...] = ()


@dataclass(frozen=True, slots=True)
class CeilingSummary:
    """Noise ceilings from stimuli that were shown several times.

    Attributes
    ----------
    n_stimuli : int
        Stimuli that were repeated in different runs.
    n_averaged : float
        Occasions over which the tested responses are averaged.
    n_usable, n_targets : int
        Targets whose reliability is certainly above the floor, and all usable ones.
    median : float or None
        Median ceiling of r over the former.
    why_not : str
        Why there is none.

    Examples
    --------
    >>> result.summary.ceiling.n_stimuli
    2
    """

    n_stimuli: int
    n_averaged: float
    n_usable: int
    n_targets: int
    median: float | None
    why_not: str = ""


@dataclass(frozen=True, slots=True)
class Summary:
    """What a report says about a participant's data, folds, models and settings.

    Attributes
    ----------
    key : str
        Identity of the comparison: of its settings and of everything that went in.
    subject, task : str
        Labels.
    clock : {"stimulus", "tr"}
        What one sample is.
    t_r : float or None
        Repetition time in seconds; None for responses that were estimated elsewhere.
    kind, space : str
        Of the targets.
    n_samples, n_targets, n_usable : int
        Samples, targets, and targets with usable data.
    runs : tuple of str
        In order.
    fold_of_run : mapping of str to int
        Outer fold that tests each run; -1 for none.
    n_folds : int
        Outer folds; 0 where nothing was fitted.
    features : mapping of str to int
        Number of features by feature space, delays included.
    models : mapping of str to ModelSummary
        By name.
    auxiliary : tuple of str
        Models that are fitted only to partition the variance of a larger one.
    single : tuple of str
        Models of one feature space.
    pairs : tuple of (str, str)
        Models that are compared.
    rsa : mapping of str to RsaSummary
        Analyses of similarity by name.
    metric : str
        Metric of maps and charts.
    device : str
        What was computed on, and why.
    settings : mapping
        Every setting with its default, as `Study.resolved` lists them.
    settings_key : str
        Equal for participants that can be put on one page.
    config : str
        The configuration as given.
    versions : mapping of str to str
        Versions of packages.
    expanded : str
        The configuration with the settings of its recipe; "" without one.
    n_tested : tuple of int
        Held-out samples of each outer fold.
    n_presentations, n_stimuli : int or None
        Presentations, and different stimuli.
    uses : mapping of str to int
        Rows by what they were used for.
    significant : mapping of str to DiscoverySummary
        By model; empty where significance was not asked for.
    warnings : tuple of str
        What limits the trust in the responses.
    sources : mapping of str to str
        Content of feature spaces and tables of regions, which participants of one group must share.
    controls : ControlsSummary or None
        Controls; None where they were not wanted or nothing was fitted.
    ceiling : CeilingSummary or None
        Noise ceilings, or why there are none; None where nothing was fitted.

    Examples
    --------
    >>> result.summary.n_stimuli, result.summary.runs[0]
    (38, 'run-01')
    """

    key: str
    subject: str
    task: str
    clock: str
    t_r: float | None
    kind: str
    space: str
    n_samples: int
    n_targets: int
    n_usable: int
    runs: tuple[str, ...]
    fold_of_run: Mapping[str, int]
    n_folds: int
    features: Mapping[str, int]
    models: Mapping[str, ModelSummary]
    auxiliary: tuple[str, ...]
    single: tuple[str, ...]
    pairs: tuple[tuple[str, str], ...]
    rsa: Mapping[str, RsaSummary]
    metric: str
    device: str
    settings: Mapping[str, Any]
    settings_key: str
    config: str
    versions: Mapping[str, str]
    expanded: str = ""
    n_tested: tuple[int, ...] = ()
    n_presentations: int | None = None
    n_stimuli: int | None = None
    uses: Mapping[str, int] = field(default_factory=dict)
    significant: Mapping[str, DiscoverySummary] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    sources: Mapping[str, str] = field(default_factory=dict)
    controls: ControlsSummary | None = None
    ceiling: CeilingSummary | None = None


# Settings of [map] that shape what a participant's run computes; the others only shape drawings.
SHAPING = ("atlases", "as_released")


def shaping_settings(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Select the settings that change scores, leaving out memory, threads, kept weights and how maps are drawn.

    Parameters
    ----------
    settings : mapping
        As `Study.resolved` lists them.

    Returns
    -------
    dict
        Settings on which results depend.

    Examples
    --------
    >>> from encoding.mapping import shaping_settings
    >>> "maps" in shaping_settings(study.resolved())
    True
    """
    kept = {name: value for name, value in settings.items() if name not in ("compute", "recipe")}
    if "models" in kept:
        kept["models"] = [{k: v for k, v in model.items() if k != "keep_weights"} for model in kept["models"]]
    return kept | {"maps": {name: value for name, value in settings.get("maps", {}).items() if name in SHAPING}}


def changed_settings(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """List the settings in which two studies differ, as "load.shift (4.0, now 5.0)".

    A setting that one of them does not know (of another version) is no difference; a missing table is one.
    """
    a, b = (_leaves(json.loads(json.dumps(shaping_settings(one), default=str))) for one in (before, now))
    differ = [name for name in a if name in b and a[name] != b[name]]
    differ += [name for name in {**a, **b} if name.endswith(".name") and (name in a) != (name in b)]
    return [f"{name} ({a.get(name, 'not there')!r}, now {b.get(name, 'not there')!r})" for name in differ]


def _leaves(content: Any, place: str = "") -> dict[str, Any]:
    if isinstance(content, Mapping):
        parts = {f"{place}.{key}" if place else key: value for key, value in content.items()}
    elif isinstance(content, list) and content and all(isinstance(one, Mapping) and "name" in one for one in content):
        parts = {f"{place}.{one['name']}": one for one in content}
    else:
        return {place: content}
    return {name: leaf for key, value in parts.items() for name, leaf in _leaves(value, key).items()}


def write_summary(folder: Path, summary: Summary) -> Path:
    """Write ``facts.json``, whose presence says that a participant is finished."""
    return write_json(folder / FACTS, {"format": FORMAT, **dataclasses.asdict(summary)})


def read_summary(folder: Path) -> Summary:
    """Read ``facts.json`` of this version or of 0.1; raises `DataError` for others and for damaged ones."""
    path = folder / FACTS
    if not path.is_file():
        raise DataError(f"{folder}: no finished participant here ({FACTS} is missing). {AGAIN}.")
    content = _content(path)
    if content.get("format", 1) not in READABLE:
        raise DataError(
            f"{path}: format {content.get('format', 1)}, but this version reads formats {READABLE[0]} to {FORMAT}. "
            f"{AGAIN}; what is fitted in the same way is not fitted again."
        )
    return summary_of(content, str(path))


def key_of(folder: Path) -> str | None:
    """Read the key of a finished participant; None without one, or where it is of a version that is not read."""
    path = folder / FACTS
    content = _content(path) if path.is_file() else {}
    return content.get("key") if content.get("format") in READABLE else None


def summary_of(content: Mapping[str, Any], where: str) -> Summary:
    """Build a `Summary` from JSON; raises `DataError` naming `where` and the entry that is missing or wrong."""
    from pydantic import TypeAdapter, ValidationError

    try:
        return TypeAdapter(Summary).validate_python(content)
    except ValidationError as error:
        wrong = ".".join(map(str, error.errors()[0]["loc"]))
        raise DataError(f"{where}: entry {wrong!r} is missing or has the wrong type. {AGAIN}.") from error


def _content(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, OSError) as error:
        raise DataError(f"{path}: cannot be read as JSON ({error}). {AGAIN}.") from error
    if not isinstance(content, dict):
        raise DataError(f"{path}: holds a {type(content).__name__}, but an object is needed. {AGAIN}.")
    return content

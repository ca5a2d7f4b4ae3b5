"""Refuse settings that are each allowed but contradict each other across tables."""

from collections.abc import Mapping, Sequence
from typing import Any

from ..comparison.settings import Comparison
from ..core import ConfigError
from ..embedding.series import SeriesTable
from ..embedding.sources import FeatureSource
from ..fitting.splits import Split
from ..loading.loader import Betas, Loader, Scans


def check_noise(compare: Comparison, split: Split, *, per_stimulus: bool) -> None:
    """Refuse significance against noise where its null distribution is wrong.

    Under K folds every pair of folds shares training data, so the standard deviation of r is 1.4 times what Student's t
    assumes even for white noise. Neighbouring volumes are autocorrelated, which widens it further.
    """
    if compare.significance != "noise":
        return
    why = ""
    if split.kind != "fixed":
        why = f'[split] kind = "{split.kind}" tests every sample with models that were trained on the others'
    elif not per_stimulus:
        why = 'per = "tr" in [load] tests volumes, which are autocorrelated'
    if why:
        raise ConfigError(
            f'[compare] significance = "noise" takes held-out samples as independent of each other and of the training '
            f"data, but {why}: 4 to 15% of null targets would have p <= 0.01. Use it with one fixed test set "
            f'(kind = "fixed") and one row per presentation; otherwise set significance = "none": spaces are tested by '
            "exchanging whole runs."
        )


def check_blocks(split: Split, load: Loader) -> None:
    """Refuse filters over whole runs where folds divide runs.

    Drift that is fitted to a whole run makes the held-out part depend on the training part: features of time alone
    then score r = .15 on pure noise.
    """
    if split.kind != "blocks" or not isinstance(load, Scans):
        return
    wrong = [f"high_pass = {load.high_pass!r}"] if load.high_pass is not False else []
    wrong += ["detrend = true"] if load.detrend else []
    if wrong:
        raise ConfigError(
            f'[split] kind = "blocks" divides runs into training and held-out rows, but [load] {", ".join(wrong)} fits '
            f"slow signals to whole runs, held-out rows included. Set high_pass = false and detrend = "
            f'false, or hold out whole runs (kind = "runs").'
        )


def check_series(features: Sequence[FeatureSource], load: Loader) -> None:
    """Refuse features in time without volumes in time, and runs without events that have no such features."""
    in_time = [source for source in features if isinstance(source, SeriesTable)]
    if in_time and not (isinstance(load, Scans) and load.per == "tr"):
        raise ConfigError(
            f'[[features]] {in_time[0].name!r}: kind = "series" describes moments, which needs one row per volume, but '
            f'[load] has kind = "{load.kind}" with per = "{load.per}". Set per = "tr", or average the matrix over each '
            f"stimulus into a table with one row per stimulus."
        )
    if not isinstance(load, Scans) or load.has_events:
        return
    wrong = [source.name for source in features if not isinstance(source, SeriesTable) or "stimulus" in source.keys]
    if wrong:
        raise ConfigError(
            f'[[features]] {wrong[0]!r} describes stimuli, but [load] events = "none" leaves out what was shown when. '
            f'Use kind = "series" with a file for each run, or name tables of events.'
        )


def check_betas(given: Mapping[str, Any], load: Loader) -> None:
    """Refuse settings that do nothing where responses were estimated elsewhere."""
    if isinstance(load, Betas) and "delays" in given.get("align", {}):
        raise ConfigError(
            '[align] delays belong to one row per volume; with kind = "betas" there is one row per trial. Remove them.'
        )


def distinct_names(names: Sequence[str], where: str) -> None:
    """Refuse a name that two tables have."""
    for name in names:
        if names.count(name) > 1:
            raise ConfigError(f"{where}: the name {name!r} is used {names.count(name)} times.")

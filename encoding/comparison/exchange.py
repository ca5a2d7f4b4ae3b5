"""What may be exchanged under the null: runs, or stimuli where the same ones recur in all runs."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..core import AlignmentError, DataError, FeatureSpace, Responses
from ..numerics.permutation import FEWEST_UNITS, Scheme, exchange_stimuli, exchange_units

SHIFTS = "features are exchanged between runs and shifted within them, which assumes stationary noise"
STIMULI = (
    "the same stimuli recur in all runs, so features are exchanged between stimuli, alike in all runs; this assumes "
    "that the order of the stimuli has nothing to do with their features"
)


@dataclass(frozen=True, eq=False, slots=True)
class Units:
    """Rows that take part in tests, and how they divide into units that share no stimulus."""

    rows: np.ndarray  # Rows that take part
    run: np.ndarray  # (n_rows,) Their runs
    members: tuple[tuple[np.ndarray, ...], ...]  # For each unit the rows of its runs, counted among `rows`
    stimuli: tuple[tuple[str, ...], ...]  # Stimuli of each unit, sorted
    # Whether so many stimuli recur that runs cannot be told apart: fewer units than runs, and fewer than six
    recurring: bool

    @property
    def labels(self) -> np.ndarray:
        """Number of the unit of each row."""
        labels = np.empty(len(self.rows), dtype=np.int64)
        for number, unit in enumerate(self.members):
            labels[np.concatenate(unit)] = number
        return labels

    def scheme(self, seed: int) -> Scheme:
        """Decide what is exchanged."""
        try:
            if self.recurring:
                return exchange_stimuli(len(set().union(*self.stimuli)), seed)
            return exchange_units(self.members, seed)
        except ValueError as error:
            raise DataError(f"No test against chance: {error}.") from error


def units_of(responses: Responses, use: np.ndarray | None = None) -> Units:
    """Divide runs into units that share no stimulus.

    Parameters
    ----------
    responses : Responses
        Rows and presentations.
    use : ndarray of bool, shape (n_samples,), optional
        Rows that take part; all unless given.

    Returns
    -------
    Units
        One per run where every stimulus was shown in one run only.

    Raises
    ------
    AlignmentError
        If there is not one value of `use` per row.

    Examples
    --------
    >>> from encoding.comparison import units_of
    >>> units = units_of(loaded.responses)
    >>> [len(stimuli) for stimuli in units.stimuli]  # three of four runs share stimuli, and are one unit
    [10, 28]
    """
    samples = responses.samples
    if use is not None and len(use) != len(samples):
        raise AlignmentError(f"{len(use)} values of `use` for {samples!r}; one per row is needed.")
    rows = np.arange(len(samples)) if use is None else np.flatnonzero(use)
    run = samples.run[rows]
    shown = samples[rows] if samples.clock == "stimulus" else responses.presentations
    runs = list(dict.fromkeys(run.tolist()))
    of_run = {label: set(shown.stimulus[shown.run == label].tolist()) - {""} for label in runs}
    units: list[list[str]] = []
    for label in runs:
        near = [unit for unit in units if any(of_run[label] & of_run[other] for other in unit)]
        joined = [other for unit in near for other in unit]
        units = [unit for unit in units if unit not in near] + [[*joined, label]]
    units = [sorted(unit, key=runs.index) for unit in units]
    units.sort(key=lambda unit: runs.index(unit[0]))
    members = tuple(tuple(np.flatnonzero(run == label) for label in unit) for unit in units)
    stimuli = tuple(tuple(sorted(set().union(*(of_run[label] for label in unit)))) for unit in units)
    return Units(rows, run, members, stimuli, len(units) < min(len(runs), FEWEST_UNITS))


def layout_of(responses: Responses, units: Units, layout: FeatureSpace | None) -> tuple[np.ndarray, np.ndarray]:
    """Find where each stimulus is in time.

    Returns names (n_stimuli,), layout (n_delays, n_rows, n_stimuli).
    """
    names = np.array(sorted(set().union(*units.stimuli)))
    if responses.samples.clock == "stimulus":
        shown = (responses.samples.stimulus[units.rows][:, None] == names).astype(np.float32)
        return names, shown[None]
    if layout is None:
        raise DataError(
            f"The stimuli of sub-{responses.subject} recur in all runs. On the clock of volumes their exchange needs "
            "`layout`, the indicators of stimuli aligned as the features are."
        )
    columns = [feature.rsplit("@", 1) for feature in layout.features]
    delays = list(dict.fromkeys(delay for _, delay in columns))
    place = {(name, delay): number for number, (name, delay) in enumerate(columns)}
    order = [[place[name, delay] for name in names.tolist()] for delay in delays]
    return names, np.stack([layout.values[units.rows][:, chosen] for chosen in order])


def values_of_stimuli(space: FeatureSpace, names: Sequence[str] | np.ndarray) -> np.ndarray:
    """Select the rows of some stimuli, in their order."""
    place = {name: number for number, name in enumerate(space.samples.stimulus.tolist())}
    missing = [name for name in names if name not in place]
    if missing:
        raise AlignmentError(
            f"FeatureSpace {space.name!r}: {len(missing)} stimuli have no features, the first is {missing[0]!r}."
        )
    return np.asarray(space.values[[place[name] for name in names]], dtype=np.float64)

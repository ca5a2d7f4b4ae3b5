"""Responses per stimulus: which rows make up a pattern, and reading the patterns of some targets."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ..core import AlignmentError, DataError, Responses
from ..io.arrays import take_columns
from .settings import UNITS, Rsa

if TYPE_CHECKING:
    from ..numerics.crossnobis import Shown

BLOCK_BYTES = 32 << 20
FEWEST_STIMULI = 3  # with three pairs of them


@dataclass(frozen=True, eq=False, slots=True)
class Patterns:
    """What every target did for every stimulus, read as needed."""

    responses: Responses  # One row per presentation
    stimulus: np.ndarray  # (n_stimuli,) Stimuli in the order in which they were first shown
    runs: tuple[tuple[str, ...], ...]  # The runs of the presentations that each pattern is made of
    # Rows of first presentations, and the number of the stimulus of each; then of second presentations, and so on
    shown: tuple[tuple[np.ndarray, np.ndarray], ...]
    usable: np.ndarray  # Columns of the targets that have values
    # (n_rows,) Rows that are read one by one, where presentations are not joined to patterns
    rows: np.ndarray | None = None
    n_left_out: int = 0  # Stimuli of a single run, which have no distance across runs

    def __len__(self) -> int:
        return len(self.stimulus)

    def read(self, columns: np.ndarray, order: np.ndarray | None = None) -> np.ndarray:
        """Read the patterns of some targets.

        Shapes: `columns` (n_columns,); returns (n_columns, n_stimuli), or (n_columns, n_rows) of single presentations.
        """
        if self.rows is not None:
            return np.ascontiguousarray(take_columns(self.responses.values, columns, self.rows).T, dtype=np.float32)
        order = np.arange(len(self)) if order is None else order
        place = np.empty(len(self), dtype=np.int64)
        place[order[order >= 0]] = np.flatnonzero(order >= 0)
        found = np.zeros((len(columns), len(order)), dtype=np.float32)
        height = max(1, BLOCK_BYTES // (4 * max(len(columns), 1)))
        for rows, number in self.shown:
            for start in range(0, len(rows), height):
                part = take_columns(self.responses.values, columns, rows[start : start + height])
                found[:, place[number[start : start + height]]] += part.T
        counts = np.zeros(len(order), dtype=np.float32)
        for _, number in self.shown:
            counts[place[number]] += 1
        several = counts > 1
        found[:, several] /= counts[several]
        return found

    @property
    def shows(self) -> "Shown":
        """Stimulus and run of the rows that are read one by one."""
        from ..numerics.crossnobis import Shown  # torch takes a second, and reports do without it

        assert self.rows is not None
        samples = self.responses.samples[self.rows]
        number = {str(name): k for k, name in enumerate(self.stimulus.tolist())}
        runs = np.unique(samples.run, return_inverse=True)[1]
        return Shown(np.array([number[name] for name in samples.stimulus.tolist()]), runs)


def patterns_of(responses: Responses, settings: Rsa, where: str) -> Patterns:
    """Find the rows that make up the pattern of each stimulus, or that are presentations of each."""
    samples, repeats = responses.samples, settings.repeats
    if samples.clock != "stimulus":
        raise AlignmentError(
            f"{where} compares stimuli, but the responses of sub-{responses.subject} have one row per volume. "
            'Set per = "stimulus" in [load].'
        )
    if settings.brain == "crossnobis":
        return _presentations(responses, settings.noise or UNITS, where)
    names, first, number, counts = np.unique(
        samples.stimulus, return_index=True, return_inverse=True, return_counts=True
    )
    rank = np.argsort(np.argsort(first))
    number = rank[number]
    if repeats is None and (counts > 1).any():
        raise DataError(
            f"{where}: {np.sum(counts > 1)} stimuli were shown to sub-{responses.subject} more than once, the first is "
            f'{str(names[counts > 1][0])!r}. Set repeats = "average" or "first".'
        )
    if len(names) < FEWEST_STIMULI:
        raise DataError(f"{where}: {len(names)} stimuli were shown to sub-{responses.subject}; at least 3 are needed.")
    shown, left = [], np.arange(len(number))
    while len(left):
        chosen = np.sort(np.unique(number[left], return_index=True)[1])
        shown.append((left[chosen], number[left[chosen]]))
        left = np.delete(left, chosen)
        if repeats == "first":
            break
    runs: list[list[str]] = [[] for _ in names]
    for rows, numbers in shown:
        for row, stimulus in zip(rows.tolist(), numbers.tolist(), strict=True):
            runs[stimulus].append(str(samples.run[row]))
    stimuli = names[np.argsort(rank)]
    return Patterns(responses, stimuli, tuple(map(tuple, runs)), tuple(shown), np.flatnonzero(responses.usable))


def _presentations(responses: Responses, noise: str, where: str) -> Patterns:
    """Keep the presentations of all stimuli that were shown in two runs or more."""
    samples = responses.samples
    who = f"sub-{responses.subject}"
    stimuli, n_left_out = crossed(samples.stimulus.tolist(), samples.run.tolist(), noise, who, where)
    runs = tuple(tuple(of_one) for of_one in stimuli.values())
    rows = np.flatnonzero(np.isin(samples.stimulus, list(stimuli)))
    usable = np.flatnonzero(responses.usable)
    return Patterns(responses, np.array(list(stimuli)), runs, (), usable, rows, n_left_out)


def crossed(
    stimuli: Sequence[str], runs: Sequence[str], noise: str, who: str, where: str
) -> tuple[dict[str, list[str]], int]:
    """List the stimuli that were shown in two runs or more, with their runs; also count the others.

    Shapes: `stimuli, runs` (n_rows,). Raises DataError if fewer than three are left, or if these were not shown equally
    often although distances are in units of the noise.
    """
    shown: dict[str, list[str]] = {}
    for name, run in zip(stimuli, runs, strict=True):
        shown.setdefault(str(name), []).append(str(run))
    kept = {name: of_one for name, of_one in shown.items() if len(set(of_one)) > 1}
    if len(kept) < FEWEST_STIMULI:
        raise DataError(
            f'{where}: brain = "crossnobis" compares presentations in different runs, so that stimuli must be shown in '
            f"two runs or more, but of {len(shown)} stimuli shown to {who} {len(kept)} were; at least {FEWEST_STIMULI} "
            'are needed. Set brain = "correlation" or "euclidean", which need one presentation.'
        )
    if noise != "none":
        _check_equal(kept, noise, who, where)
    return kept, len(shown) - len(kept)


def _check_equal(shown: Mapping[str, Sequence[str]], noise: str, who: str, where: str) -> None:
    """Refuse units of noise where stimuli have unequal numbers of presentations, or of runs."""
    presentations = [len(runs) for runs in shown.values()]
    for n, what in ((presentations, "presentations"), ([len(set(runs)) for runs in shown.values()], "runs")):
        if min(n) < max(n):
            raise DataError(
                f'{where}: noise = "{noise}" needs stimuli that were shown equally often, but {len(n)} stimuli shown '
                f"to {who} have from {min(n)} to {max(n)} {what}. The covariance of the noise is estimated from the "
                "same presentations, which places equal stimuli above 0, and farther above where there are fewer of "
                f'them: distances would follow the number of {what}. Set noise = "none", whose distances do not.'
            )

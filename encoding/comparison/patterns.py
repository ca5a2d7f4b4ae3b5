"""Responses per stimulus: which rows make up a pattern, and reading the patterns of some targets."""

from dataclasses import dataclass

import numpy as np

from ..core import AlignmentError, DataError, Responses
from ..io.arrays import take_columns

BLOCK_BYTES = 32 << 20


@dataclass(frozen=True, eq=False, slots=True)
class Patterns:
    """What every target did for every stimulus, read as needed."""

    responses: Responses  # One row per presentation
    stimulus: np.ndarray  # (n_stimuli,) Stimuli in the order in which they were first shown
    runs: tuple[tuple[str, ...], ...]  # The runs of the presentations that each pattern is made of
    # Rows of first presentations, and the number of the stimulus of each; then of second presentations, and so on
    shown: tuple[tuple[np.ndarray, np.ndarray], ...]
    usable: np.ndarray  # Columns of the targets that have values

    def __len__(self) -> int:
        return len(self.stimulus)

    def read(self, columns: np.ndarray, order: np.ndarray | None = None) -> np.ndarray:
        """Read the patterns of some targets.

        Shapes: `columns` (n_columns,); returns (n_columns, n_stimuli).
        """
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


def patterns_of(responses: Responses, repeats: str | None, where: str) -> Patterns:
    """Find the rows that make up the pattern of each stimulus."""
    samples = responses.samples
    if samples.clock != "stimulus":
        raise AlignmentError(
            f"{where} compares stimuli, but the responses of sub-{responses.subject} have one row per volume. "
            'Set per = "stimulus" in [load].'
        )
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
    if len(names) < 3:
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

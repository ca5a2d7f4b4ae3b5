"""Odd-one-out judgments about stimuli."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from .arrays import composed, own
from .errors import DataError
from .provenance import Provenance

COLUMNS = ("items", "choice", "probabilities", "outcome", "weight", "repeat", "split", "annotator")
OUTCOMES = ("valid", "refused", "unparsed", "truncated", "error")


@dataclass(frozen=True, eq=False, slots=True)
class Judgments:
    """Answers to the question "Which of these three is the odd one out?".

    Attributes
    ----------
    stimuli : tuple of str
        Names that `items` points into.
    items : ndarray of int32, shape (n_judgments, 3)
        The three stimuli, in the order in which they were shown.
    choice : ndarray of int8, shape (n_judgments,)
        Slot (0, 1, 2) that was called odd; -1 where there is no valid answer.
    probabilities : ndarray of float32, shape (n_judgments, 3)
        Probability of each slot; NaN where only a hard choice is known.
    outcome : ndarray of str, shape (n_judgments,)
        One of "valid", "refused", "unparsed", "truncated", "error".
    weight : ndarray of float32, shape (n_judgments,)
        How much each judgment counts.
    repeat : ndarray of int32, shape (n_judgments,)
        0 for the first time a triplet is asked, 1 for the second, ...
    split : ndarray of str, shape (n_judgments,)
        "train", "validation", "test", or "".
    annotator : ndarray of str, shape (n_judgments,)
        Who answered.
    provenance : Provenance
        Where they come from.

    Raises
    ------
    DataError
        If an item is unknown or occurs twice in a triplet, or a choice and its outcome contradict.

    Examples
    --------
    >>> import encoding, numpy as np
    >>> items = [[0, 1, 2], [2, 1, 0]]  # two trials, in the order in which the stimuli were shown
    >>> odd = [2, 0]  # the slot of the odd one out: both times the spider
    >>> soft, one = np.full((2, 3), np.nan), np.ones(2)
    >>> answers = encoding.Judgments(
    ...     ("puppy", "kitten", "spider"), items, odd, soft, ["valid"] * 2, one, 0 * one, ["train"] * 2, ["me"] * 2
    ... )
    >>> [answers.stimuli[row[slot]] for row, slot in zip(answers.items, answers.choice)]
    ['spider', 'spider']
    """

    stimuli: tuple[str, ...]
    items: np.ndarray
    choice: np.ndarray
    probabilities: np.ndarray
    outcome: np.ndarray
    weight: np.ndarray
    repeat: np.ndarray
    split: np.ndarray
    annotator: np.ndarray
    provenance: Provenance = field(default_factory=lambda: Provenance("judgments/1"))

    def __post_init__(self) -> None:
        """Check triplets and answers."""
        n = len(self.items)
        fields = (
            ("items", np.int32, (n, 3)),
            ("choice", np.int8, (n,)),
            ("probabilities", np.float32, (n, 3)),
            ("outcome", str, (n,)),
            ("weight", np.float32, (n,)),
            ("repeat", np.int32, (n,)),
            ("split", str, (n,)),
            ("annotator", str, (n,)),
        )
        for name, dtype, shape in fields:
            kept = own(getattr(self, name), owner="Judgments", name=name, shape=shape, dtype=dtype)
            object.__setattr__(self, name, kept)
        object.__setattr__(self, "stimuli", tuple(composed(np.array(self.stimuli, dtype=str)).tolist()))
        self._check()

    def _check(self) -> None:
        a, b, c = self.items.T
        bad = (self.items < 0).any(1) | (self.items >= len(self.stimuli)).any(1) | (a == b) | (b == c) | (a == c)
        if bad.any():
            row = int(np.flatnonzero(bad)[0])
            raise DataError(
                f"Judgments: {bad.sum()} triplets do not name three different stimuli of the {len(self.stimuli)}; "
                f"the first is row {row}: {self.items[row].tolist()}."
            )
        unknown = sorted(set(self.outcome.tolist()) - set(OUTCOMES))
        if unknown:
            raise DataError(f"Judgments: outcome {unknown[0]!r} is not one of {OUTCOMES}.")
        valid = self.outcome == "valid"
        if (valid != (self.choice >= 0)).any() or (self.choice > 2).any() or (self.choice < -1).any():
            raise DataError(
                "Judgments: every valid judgment needs a choice of 0, 1 or 2, and every other one -1; "
                f"{np.sum(valid != (self.choice >= 0))} rows contradict that."
            )

    def take(self, rows: Any) -> "Judgments":
        """Select some judgments.

        Parameters
        ----------
        rows : ndarray of bool or int, or slice
            Which, as for an array.

        Returns
        -------
        Judgments
            About the same stimuli.
        """
        return replace(self, **{name: getattr(self, name)[rows] for name in COLUMNS})

    @classmethod
    def concat(cls, parts: Sequence["Judgments"]) -> "Judgments":
        """Concatenate judgments about the same stimuli.

        Parameters
        ----------
        parts : sequence of Judgments
            At least one.

        Returns
        -------
        Judgments
            All rows, with the provenance of the first part.

        Raises
        ------
        DataError
            If they are about different stimuli, or the same in another order.
        """
        first = parts[0]
        for part in parts[1:]:
            if part.stimuli != first.stimuli:
                raise DataError(
                    f"Judgments about {len(first.stimuli)} and {len(part.stimuli)} stimuli that are not the same in "
                    f"the same order cannot be put together."
                )
        columns = {name: np.concatenate([getattr(part, name) for part in parts]) for name in COLUMNS}
        return cls(first.stimuli, provenance=first.provenance, **columns)

    def __len__(self) -> int:
        return len(self.items)

    def __repr__(self) -> str:
        valid = int(np.sum(self.choice >= 0))
        return f"Judgments({len(self)} about {len(self.stimuli)} stimuli, {valid} valid)"

"""Answers about stimuli: which of three is the odd one out, or how alike two are."""

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Self

import numpy as np

from .arrays import composed, own
from .errors import DataError
from .provenance import Provenance
from .words import count

Columns = dict[str, tuple[Any, tuple[int, ...]]]  # dtype, and shape of a row

OUTCOMES = ("valid", "refused", "unparsed", "truncated", "error")


@dataclass(frozen=True, eq=False, slots=True)
class _Answers(ABC):
    """Rows of answers about the same stimuli."""

    stimuli: tuple[str, ...]

    _columns: ClassVar[Columns]

    def __post_init__(self) -> None:
        """Check all columns."""
        owner, n = type(self).__name__, len(self)
        for name, (dtype, shape) in self._columns.items():
            kept = own(getattr(self, name), owner=owner, name=name, shape=(n, *shape), dtype=dtype)
            object.__setattr__(self, name, kept)
        names = composed(np.array(self.stimuli, dtype=str)).tolist()
        if len(set(names)) < len(names):
            twice = next(name for name, n in Counter(names).items() if n > 1)
            raise DataError(f"{owner}: {twice!r} is the name of {names.count(twice)} stimuli; each needs its own.")
        object.__setattr__(self, "stimuli", tuple(names))
        self._check()

    @abstractmethod
    def _check(self) -> None:
        """Refuse rows that contradict themselves or name unknown stimuli."""

    def take(self, rows: Any) -> Self:
        """Select some answers.

        Parameters
        ----------
        rows : ndarray of bool or int, or slice
            Which, as for an array.

        Returns
        -------
        Judgments or PairRatings
            About the same stimuli.
        """
        return replace(self, **{name: getattr(self, name)[rows] for name in self._columns})

    @classmethod
    def concat(cls, parts: Sequence[Self]) -> Self:
        """Concatenate answers about the same stimuli.

        Parameters
        ----------
        parts : sequence of Judgments, or of PairRatings
            At least one.

        Returns
        -------
        Judgments or PairRatings
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
                    f"{cls.__name__} about {len(first.stimuli)} and {len(part.stimuli)} stimuli that are not the same "
                    f"in the same order cannot be put together."
                )
        rows: dict[str, Any] = {name: np.concatenate([getattr(part, name) for part in parts]) for name in cls._columns}
        return replace(first, **rows)

    def __len__(self) -> int:
        return len(getattr(self, next(iter(self._columns))))


@dataclass(frozen=True, eq=False, slots=True, repr=False)
class Judgments(_Answers):
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

    items: np.ndarray
    choice: np.ndarray
    probabilities: np.ndarray
    outcome: np.ndarray
    weight: np.ndarray
    repeat: np.ndarray
    split: np.ndarray
    annotator: np.ndarray
    provenance: Provenance = field(default_factory=lambda: Provenance("judgments/1"))

    _columns: ClassVar[Columns] = {
        "items": (np.int32, (3,)),
        "choice": (np.int8, ()),
        "probabilities": (np.float32, (3,)),
        "outcome": (str, ()),
        "weight": (np.float32, ()),
        "repeat": (np.int32, ()),
        "split": (str, ()),
        "annotator": (str, ()),
    }

    def _check(self) -> None:
        a, b, c = self.items.T
        bad = (self.items < 0).any(1) | (self.items >= len(self.stimuli)).any(1) | (a == b) | (b == c) | (a == c)
        if bad.any():
            row = int(np.flatnonzero(bad)[0])
            raise DataError(
                f"Judgments: {count(bad.sum(), 'triplet')} without three different stimuli of the {len(self.stimuli)}; "
                f"the first is row {row}: {self.items[row].tolist()}."
            )
        unknown = sorted(set(self.outcome.tolist()) - set(OUTCOMES))
        if unknown:
            raise DataError(f"Judgments: outcome {unknown[0]!r} is not one of {OUTCOMES}.")
        valid = self.outcome == "valid"
        wrong = (valid != (self.choice >= 0)) | (self.choice > 2) | (self.choice < -1)
        if wrong.any():
            raise DataError(
                "Judgments: every valid judgment needs a choice of 0, 1 or 2, and every other one -1; "
                f"{count(wrong.sum(), 'row')} contradict{'s' if wrong.sum() == 1 else ''} that."
            )

    def __repr__(self) -> str:
        valid = int(np.sum(self.choice >= 0))
        return f"Judgments({len(self)} about {len(self.stimuli)} stimuli, {valid} valid)"


@dataclass(frozen=True, eq=False, slots=True, repr=False)
class PairRatings(_Answers):
    """Answers to the question "How alike are these two?".

    Attributes
    ----------
    stimuli : tuple of str
        Names that `pairs` points into.
    pairs : ndarray of int32, shape (n_ratings, 2)
        The two stimuli of each rating, in any order.
    rating : ndarray of float64, shape (n_ratings,)
        What was answered; larger is more alike.
    participant : ndarray of str, shape (n_ratings,)
        Who answered; the same for all where that is not known.
    weight : ndarray of float32, shape (n_ratings,)
        How much each rating counts.
    split : ndarray of str, shape (n_ratings,)
        "train", "validation", "test", or "".
    scale : tuple of float, optional
        Lowest and highest rating that could be given.
    provenance : Provenance
        Where they come from.

    Raises
    ------
    DataError
        If a stimulus is unknown, a pair names one twice, a rating is missing, outside the scale, or the same for all,
        or all weights are 0.

    Examples
    --------
    >>> import encoding, numpy as np
    >>> pairs, one = [[0, 1], [0, 2], [1, 2]], np.ones(3)
    >>> ratings = encoding.PairRatings(
    ...     ("puppy", "kitten", "spider"), pairs, [6, 1, 2], ["me"] * 3, one, [""] * 3, scale=(1, 7)
    ... )
    >>> ratings
    PairRatings(3 of 3 pairs of 3 stimuli, 1 participant)
    """

    pairs: np.ndarray
    rating: np.ndarray
    participant: np.ndarray
    weight: np.ndarray
    split: np.ndarray
    scale: tuple[float, float] | None = None
    provenance: Provenance = field(default_factory=lambda: Provenance("pair_ratings/1"))

    _columns: ClassVar[Columns] = {
        "pairs": (np.int32, (2,)),
        "rating": (np.float64, ()),
        "participant": (str, ()),
        "weight": (np.float32, ()),
        "split": (str, ()),
    }

    def _check(self) -> None:
        a, b = self.pairs.T
        low, high = (-np.inf, np.inf) if self.scale is None else self.scale
        scale = "" if self.scale is None else f" from {low:g} to {high:g}"
        unknown = (self.pairs < 0).any(axis=1) | (self.pairs >= len(self.stimuli)).any(axis=1)
        checks: tuple[tuple[Any, str, np.ndarray], ...] = (
            (unknown, "name an unknown stimulus", self.pairs),
            (a == b, "are of a stimulus with itself", self.pairs),
            (~np.isfinite(self.rating), "are no numbers", self.rating),
            ((self.rating < low) | (self.rating > high), f"are outside the scale{scale}", self.rating),
            (~np.isfinite(self.weight) | (self.weight < 0), "have a weight that is negative or no number", self.weight),
        )
        for bad, what, shown in checks:
            if bad.any():
                row = int(np.flatnonzero(bad)[0])
                raise DataError(
                    f"PairRatings: {bad.sum()} of {len(bad)} ratings {what}; the first is row {row + 1}: "
                    f"{shown[row].tolist()}."
                )
        if len(self.weight) and not self.weight.any():
            raise DataError(
                f"PairRatings: the weight of all {len(self.weight)} ratings is 0; a sum above 0 was needed. Use ones "
                f"where all ratings count alike."
            )
        if not len(self.rating) or self.rating.min() == self.rating.max():
            n, different = len(self.rating), len(np.unique(self.rating))
            raise DataError(
                f"PairRatings: {count(n, 'rating')} with {count(different, 'different value')}; two or more were "
                f"needed to learn from."
            )

    def __repr__(self) -> str:
        pairs, who = len(np.unique(np.sort(self.pairs, axis=1), axis=0)), len(np.unique(self.participant))
        n = len(self.stimuli)
        return f"PairRatings({len(self)} of {pairs} pairs of {n} stimuli, {who} participant{'s' if who != 1 else ''})"

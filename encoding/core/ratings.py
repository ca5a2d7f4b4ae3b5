"""Ratings of how alike two stimuli are."""

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from .arrays import composed, own
from .errors import DataError
from .provenance import Provenance

COLUMNS = ("pairs", "rating", "participant", "weight", "split")


@dataclass(frozen=True, eq=False, slots=True)
class PairRatings:
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

    stimuli: tuple[str, ...]
    pairs: np.ndarray
    rating: np.ndarray
    participant: np.ndarray
    weight: np.ndarray
    split: np.ndarray
    scale: tuple[float, float] | None = None
    provenance: Provenance = field(default_factory=lambda: Provenance("pair_ratings/1"))

    def __post_init__(self) -> None:
        """Check pairs and ratings."""
        n = len(self.pairs)
        fields = (
            ("pairs", np.int32, (n, 2)),
            ("rating", np.float64, (n,)),
            ("participant", str, (n,)),
            ("weight", np.float32, (n,)),
            ("split", str, (n,)),
        )
        for name, dtype, shape in fields:
            kept = own(getattr(self, name), owner="PairRatings", name=name, shape=shape, dtype=dtype)
            object.__setattr__(self, name, kept)
        object.__setattr__(self, "stimuli", tuple(composed(np.array(self.stimuli, dtype=str)).tolist()))
        self._check()

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
            raise DataError(
                f"PairRatings: {len(self.rating)} ratings with {len(np.unique(self.rating))} different values; two or "
                f"more were needed to learn from."
            )

    def take(self, rows: Any) -> "PairRatings":
        """Select some ratings.

        Parameters
        ----------
        rows : ndarray of bool or int, or slice
            Which, as for an array.

        Returns
        -------
        PairRatings
            About the same stimuli.
        """
        return replace(self, **{name: getattr(self, name)[rows] for name in COLUMNS})

    def __len__(self) -> int:
        return len(self.pairs)

    def __repr__(self) -> str:
        pairs, who = len(np.unique(np.sort(self.pairs, axis=1), axis=0)), len(np.unique(self.participant))
        n = len(self.stimuli)
        return f"PairRatings({len(self)} of {pairs} pairs of {n} stimuli, {who} participant{'s' if who != 1 else ''})"

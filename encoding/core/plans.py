"""Plans of odd-one-out trials: which stimuli, in which order, how many times."""

from dataclasses import dataclass, field

import numpy as np

from .arrays import own
from .errors import DataError
from .provenance import Provenance

SPLITS = ("train", "validation", "test", "subset")


@dataclass(frozen=True, eq=False, slots=True)
class Plan:
    """A list of trials.

    Attributes
    ----------
    stimuli : tuple of str
        Names that `items` points into.
    items : ndarray of uint16 or int32, shape (n_trials, 3)
        The three stimuli, in the order in which they are shown.
    repeat : ndarray of int16, shape (n_trials,)
        0 for the first time an unordered triplet is asked, 1 for the second, ...
    split : ndarray of int8, shape (n_trials,)
        Index into `SPLITS`: "train", "validation", "test", or "subset" (all triplets of a few stimuli).
    provenance : Provenance
        How it was drawn.

    Raises
    ------
    DataError
        If an item is unknown or occurs twice in a trial, or a split is unknown.
    """

    stimuli: tuple[str, ...]
    items: np.ndarray
    repeat: np.ndarray
    split: np.ndarray
    provenance: Provenance = field(default_factory=lambda: Provenance("plan/1"))

    def __post_init__(self) -> None:
        """Check trials."""
        object.__setattr__(self, "stimuli", tuple(self.stimuli))
        n = len(self.items)
        fields = (("items", item_type(len(self.stimuli)), (n, 3)), ("repeat", np.int16, (n,)), ("split", np.int8, (n,)))
        for name, dtype, shape in fields:
            kept = own(getattr(self, name), owner="Plan", name=name, shape=shape, dtype=dtype)
            object.__setattr__(self, name, kept)
        a, b, c = self.items.T
        bad = (a == b) | (b == c) | (a == c)
        if n and (bad.any() or int(self.items.max()) >= len(self.stimuli) or int(self.items.min()) < 0):
            raise DataError(
                f"Plan: {bad.sum()} of {n} trials show a stimulus twice, and items run from {self.items.min()} to "
                f"{self.items.max()}; three different of {len(self.stimuli)} stimuli were needed."
            )
        if n and (self.split.min() < 0 or self.split.max() >= len(SPLITS)):
            raise DataError(f"Plan: splits run from {self.split.min()} to {self.split.max()}, but there are {SPLITS}.")

    def __len__(self) -> int:
        return len(self.items)

    def __repr__(self) -> str:
        return f"Plan({len(self)} trials about {len(self.stimuli)} stimuli)"


def item_type(n_stimuli: int) -> type:
    """Return the smallest integer type for the numbers of the stimuli."""
    return np.uint16 if n_stimuli <= 65536 else np.int32

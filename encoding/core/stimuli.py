"""The stimuli of a study."""

from dataclasses import dataclass

import numpy as np

from .arrays import own
from .errors import DataError


@dataclass(frozen=True, eq=False, slots=True)
class StimulusSet:
    """A list of stimuli.

    Attributes
    ----------
    stimulus : ndarray of str, shape (n_stimuli,)
        Names, each once.
    path : ndarray of str, shape (n_stimuli,)
        File of each, relative to the stimulus folder; "" if there is none.
    duration : ndarray of float64, shape (n_stimuli,)
        Seconds; NaN where unknown.
    duplicate_of : ndarray of str, shape (n_stimuli,)
        The stimulus that this one repeats under another name; "" for originals.
    split : ndarray of str, shape (n_stimuli,)
        A named part of the study ("train", "test"); "" where none was declared.

    Raises
    ------
    DataError
        If a name occurs twice, or a duplicate points to a stimulus that is not listed.
    """

    stimulus: np.ndarray
    path: np.ndarray
    duration: np.ndarray
    duplicate_of: np.ndarray
    split: np.ndarray

    def __post_init__(self) -> None:
        """Check names."""
        n = len(self.stimulus)
        kinds = (
            ("stimulus", str),
            ("path", str),
            ("duration", np.float64),
            ("duplicate_of", str),
            ("split", str),
        )
        for name, dtype in kinds:
            kept = own(getattr(self, name), owner="StimulusSet", name=name, shape=(n,), dtype=dtype)
            object.__setattr__(self, name, kept)
        names, counts = np.unique(self.stimulus, return_counts=True)
        if (counts > 1).any():
            raise DataError(
                f"StimulusSet: {np.sum(counts > 1)} names occur more than once, the first is "
                f"{str(names[counts > 1][0])!r}. List every stimulus once; use `duplicate_of` for copies."
            )
        strangers = set(self.duplicate_of.tolist()) - set(names.tolist()) - {""}
        if strangers:
            raise DataError(f"StimulusSet: duplicate_of names {sorted(strangers)[0]!r}, which is not listed.")

    @classmethod
    def of_names(cls, names: list[str]) -> "StimulusSet":
        """Make a set of which only the names are known.

        Parameters
        ----------
        names : list of str
            Each once.

        Returns
        -------
        StimulusSet
            Without paths, durations, duplicates or splits.
        """
        n = len(names)
        empty = np.full(n, "", dtype=str)
        return cls(np.asarray(names, dtype=str), empty, np.full(n, np.nan), empty, empty)

    def canonical(self, names: np.ndarray) -> np.ndarray:
        """Replace duplicates by the stimulus that they repeat.

        Parameters
        ----------
        names : ndarray of str, shape (n,)
            Stimulus names; names that are not in the set stay as they are.

        Returns
        -------
        ndarray of str, shape (n,)
            Names of originals.
        """
        copies = self.duplicate_of != ""
        original = dict(zip(self.stimulus[copies].tolist(), self.duplicate_of[copies].tolist(), strict=True))
        return np.asarray([original.get(name, name) for name in names.tolist()], dtype=str)

    def __len__(self) -> int:
        return len(self.stimulus)

    def __repr__(self) -> str:
        return f"StimulusSet({len(self)} stimuli, {np.sum(self.duplicate_of != '')} duplicates)"

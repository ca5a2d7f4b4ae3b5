"""The stimuli of a study."""

import re
from dataclasses import dataclass

import numpy as np

from .arrays import composed, own
from .errors import DataError

# 17, 0017, 17.0 (numbers that went through a table of floats) or a file name such as 0017.mp4.
NUMBER = re.compile(r"0*([1-9][0-9]*)(?:\.0+)?(?:\.[A-Za-z][A-Za-z0-9]*)?")


def number_name(name: str) -> str:
    """Spell a stimulus that is named by a number in one way.

    Examples
    --------
    >>> number_name("0017.mp4"), number_name("17.0"), number_name("clip_17")
    ('17', '17', 'clip_17')
    """
    found = NUMBER.fullmatch(name.strip())
    return found[1] if found else name


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
    closed : bool
        Whether the list is complete and names its stimuli by numbers: names in any spelling of `number_name` are
        recognised, and names that are not listed are refused.

    Raises
    ------
    DataError
        If a name occurs twice, or a duplicate points to a stimulus that is not listed.

    Examples
    --------
    >>> import encoding
    >>> none = ["", ""]
    >>> encoding.StimulusSet(["a", "b"], ["a.mp4", "b.mp4"], [5.0, 4.0], none, none).duration
    array([5., 4.])
    """

    stimulus: np.ndarray
    path: np.ndarray
    duration: np.ndarray
    duplicate_of: np.ndarray
    split: np.ndarray
    closed: bool = False

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
            if name in ("stimulus", "duplicate_of"):
                kept = own(composed(kept), owner="StimulusSet", name=name, shape=(n,))
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
        copies = self.duplicate_of != ""
        chained = np.flatnonzero(copies & np.isin(self.duplicate_of, self.stimulus[copies]))
        if len(chained):
            name, original = str(self.stimulus[chained[0]]), str(self.duplicate_of[chained[0]])
            raise DataError(
                f"StimulusSet: {name!r} is a copy of {original!r}, which is a copy itself. Let `duplicate_of` of all "
                f"copies name the one original, whose own cell is empty."
            )

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
            Stimulus names; names that are not in the set stay as they are, unless it is closed.

        Returns
        -------
        ndarray of str, shape (n,)
            Names of originals.

        Raises
        ------
        DataError
            If the set is closed and a name is not in it.
        """
        if self.closed:
            names = np.asarray([number_name(name) for name in names.tolist()], dtype=str)
            strangers = np.setdiff1d(names, self.stimulus)
            if len(strangers):
                raise DataError(
                    f"{len(strangers)} stimuli are not in the list of {len(self)} stimuli: "
                    f"{', '.join(map(repr, strangers[:5].tolist()))}{', ...' if len(strangers) > 5 else ''}. It knows "
                    f"numbers such as {str(self.stimulus[0])!r} or {str(self.stimulus[-1])!r}; choose "
                    f"another list, or the column that holds them."
                )
        copies = self.duplicate_of != ""
        original = dict(zip(self.stimulus[copies].tolist(), self.duplicate_of[copies].tolist(), strict=True))
        return np.asarray([original.get(name, name) for name in names.tolist()], dtype=str)

    def __len__(self) -> int:
        return len(self.stimulus)

    def __repr__(self) -> str:
        return f"StimulusSet({len(self)} stimuli, {np.sum(self.duplicate_of != '')} duplicates)"

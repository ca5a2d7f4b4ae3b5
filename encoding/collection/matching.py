"""Which trials of a plan have been answered: rows of a plan against rows of a store."""

import numpy as np

from ..core import DataError


def pack(contents: np.ndarray, repeat: np.ndarray, *, n_contents: int, n_repeats: int) -> np.ndarray:
    """Write what was asked as one number.

    Parameters
    ----------
    contents : ndarray of integers, shape (n, 3)
        Numbers of the contents, 0 .. n_contents - 1.
    repeat : ndarray of integers, shape (n,)
        0 .. n_repeats - 1.
    n_contents, n_repeats : int
        Ranges.

    Returns
    -------
    ndarray of int64, shape (n,)
        Equal only where everything is.

    Raises
    ------
    DataError
        If there is no room for so many in 63 bits.
    """
    if n_contents**3 * n_repeats >= 1 << 63:
        raise DataError(f"{n_contents:,} captions and {n_repeats:,} repeats are too many for one store.")
    key = contents[:, 0].astype(np.int64)
    for part, base in ((contents[:, 1], n_contents), (contents[:, 2], n_contents), (repeat, n_repeats)):
        key *= base
        key += part
    return key


class Matcher:
    """Finds rows of a plan by what was asked.

    Parameters
    ----------
    numbers : ndarray of int64, shape (n_contents,)
        Number of each content in the store.
    shown : ndarray of integers, shape (n_trials, 3)
        Index of the contents of each trial.
    repeat : ndarray of integers, shape (n_trials,)
        Repeat of each trial.
    """

    def __init__(self, numbers: np.ndarray, shown: np.ndarray, repeat: np.ndarray) -> None:
        self._n_contents = int(numbers.max(initial=0)) + 1
        self._n_repeats = int(repeat.max(initial=0)) + 1
        self.keys = self._pack(numbers[shown], repeat)
        self._order: np.ndarray | None = None

    def _pack(self, contents: np.ndarray, repeat: np.ndarray) -> np.ndarray:
        return pack(contents, repeat, n_contents=self._n_contents, n_repeats=self._n_repeats)

    def given(self, contents: np.ndarray, repeat: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Turn answers into keys, leaving out those about something that the plan does not have.

        Parameters
        ----------
        contents : ndarray of int64, shape (n, 3)
            Numbers in the store.
        repeat : ndarray of int64, shape (n,)
            Repeats.

        Returns
        -------
        keys : ndarray of int64
            Keys of the answers that remain.
        kept : ndarray of bool, shape (n,)
            Which those are.
        """
        kept = (contents < self._n_contents).all(axis=1) & (repeat < self._n_repeats)
        return self._pack(contents[kept], repeat[kept]), kept

    def answered(self, contents: np.ndarray, repeat: np.ndarray) -> np.ndarray:
        """Tell which trials of the plan are among the answers.

        Parameters
        ----------
        contents : ndarray of int64, shape (n, 3)
            Numbers in the store.
        repeat : ndarray of int64, shape (n,)
            Repeats.

        Returns
        -------
        ndarray of bool, shape (n_trials,)
            True where there is an answer.
        """
        return np.isin(self.keys, self.given(contents, repeat)[0])

    def rows(self, contents: np.ndarray, repeat: np.ndarray) -> np.ndarray:
        """Find the trials that answers belong to.

        Parameters
        ----------
        contents : ndarray of int64, shape (n, 3)
            Numbers in the store.
        repeat : ndarray of int64, shape (n,)
            Repeats.

        Returns
        -------
        ndarray of int64, shape (n,)
            Row of the plan; -1 where the plan has no such trial.
        """
        rows = np.full(len(contents), -1, dtype=np.int64)
        if not len(self.keys):
            return rows
        if self._order is None:
            self._order = np.argsort(self.keys, kind="stable")
            self._sorted = self.keys[self._order]
        keys, kept = self.given(contents, repeat)
        place = np.minimum(np.searchsorted(self._sorted, keys), len(self._sorted) - 1)
        rows[kept] = np.where(self._sorted[place] == keys, self._order[place], -1)
        return rows

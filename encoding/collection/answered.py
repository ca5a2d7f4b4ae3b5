"""Which trials of a plan have been answered: rows of a plan against rows of a store."""

import numpy as np

from ..core import DataError
from ..io.judgments.answers import key_expression


def pack(contents: np.ndarray, repeat: np.ndarray, *, n_contents: int, n_repeats: int) -> np.ndarray:
    """Pack contents and repeat into one int64: ((repeat n + first) n + second) n + third."""
    if n_contents**3 * n_repeats >= 1 << 63:
        raise DataError(f"{n_contents:,} captions and {n_repeats:,} repeats are too many for one store.")
    key = repeat.astype(np.int64)
    for slot in range(3):
        key *= n_contents
        key += contents[:, slot]
    return key


class Matcher:
    """Finds rows of a plan by what was asked.

    Shapes: `numbers` (n_contents,), `shown` (n_trials, 3), `repeat` (n_trials,), `keys` (n_trials,).
    """

    def __init__(self, numbers: np.ndarray, shown: np.ndarray, repeat: np.ndarray) -> None:
        self.n_contents = int(numbers.max(initial=0)) + 1
        self.n_repeats = int(repeat.max(initial=0)) + 1
        self.keys = pack(numbers[shown], repeat, n_contents=self.n_contents, n_repeats=self.n_repeats)
        self._order: np.ndarray | None = None

    def answered(self, keys: np.ndarray) -> np.ndarray:
        """Return a mask of the trials whose key is among the sorted keys of the answers."""
        if not len(keys):
            return np.zeros(len(self.keys), dtype=bool)
        place = np.minimum(np.searchsorted(keys, self.keys), len(keys) - 1)
        return keys[place] == self.keys

    def rows(self, keys: np.ndarray) -> np.ndarray:
        """Return the plan row of each key; -1 where the plan has no such trial."""
        if not len(self.keys):
            return np.full(len(keys), -1, dtype=np.int64)
        if self._order is None:
            self._order = np.argsort(self.keys, kind="stable")
            self._sorted = self.keys[self._order]
        place = np.minimum(np.searchsorted(self._sorted, keys), len(self._sorted) - 1)
        return np.where(self._sorted[place] == keys, self._order[place], -1)

    @property
    def sql(self) -> str:
        """Expression for the key of a row of the store; -1 where it is out of range."""
        return key_expression(self.n_contents, self.n_repeats)

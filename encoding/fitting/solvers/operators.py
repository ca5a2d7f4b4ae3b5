"""Candidates of a search from statistics, decomposed on every training set."""

from collections.abc import Sequence

import numpy as np

from ...numerics.designs import Scaled, scaled_grams
from ...numerics.ridge_search import Operator, band_scale, make_operator
from ..arrays import Arrays
from ..rows import Rows, operator_bytes
from .base import Task


class Operators:
    """Decompositions of candidates, kept as far as the memory allows.

    Shapes: `X` (n_samples, n_features).
    """

    def __init__(
        self,
        X: np.ndarray,
        rows: Rows,
        tasks: Sequence[Task],
        *,
        scale: bool,
        intercept: bool,
        arrays: Arrays,
        memory: int,
    ) -> None:
        self.X, self.rows, self.tasks = X, rows, list(tasks)
        self.intercept, self.arrays, self.memory = intercept, arrays, memory
        self.scaled: list[list[Scaled]] = [
            [scaled_grams(X[:, task.columns], s, task.bands, scale=scale, intercept=intercept) for s in rows.sets]
            for task in self.tasks
        ]
        self._prepared: dict[tuple[int, int], list[Operator]] = {}

    def prepare(self, task: int, candidate: int) -> list[Operator]:
        """Decompose one candidate on all training sets, or return what is known of it."""
        if (task, candidate) in self._prepared:
            return self._prepared[task, candidate]
        which = self.tasks[task]
        scale = band_scale(which.bands, which.gammas[candidate], len(which.columns))
        columns = None if np.array_equal(which.columns, np.arange(self.X.shape[1])) else which.columns
        made = [
            make_operator(
                scaled,
                scale,
                which.alphas,
                [v.share for v in s.validations],
                n_train=len(s.rows),
                dtype=self.arrays.dtype,
                columns=columns,
            )
            for scaled, s in zip(self.scaled[task], self.rows.sets, strict=True)
        ]
        if sum(self._size(n) for n in range(len(self.tasks))) <= self.memory:
            self._prepared[task, candidate] = made
        return made

    def groups(self, task: int, candidates: np.ndarray) -> list[np.ndarray]:
        """Divide candidates so that the decompositions of each part fit into the memory."""
        one = max(self._size(task) // len(self.tasks[task].gammas), 1)
        at_once = max(1, int(self.memory // one))
        return [candidates[first : first + at_once] for first in range(0, len(candidates), at_once)]

    def _size(self, task: int) -> int:
        which = self.tasks[task]
        return len(which.gammas) * operator_bytes(self.rows, len(which.columns), len(which.alphas), self.arrays)

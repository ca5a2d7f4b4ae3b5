"""A search that tries few of many candidates: those that look promising for a target.

All targets try the first candidates. The others come in blocks; from what a target has tried so far its loss is
guessed for every candidate of the block, and the few with the lowest guesses are tried. Every outer fold of every
target is searched for itself, so that no choice depends on rows that it must not see.
"""

from collections.abc import Sequence

import numpy as np

from ...numerics.partial_fractions import losses
from ...numerics.ridge_search import Operator, rotate
from ...numerics.surrogate import candidate_features, promising
from ...numerics.target_products import SetProducts, TargetProducts, multiply_sets
from ..rows import base_loss
from .base import Found
from .operators import Operators

N_FIRST = 32
N_BLOCK = 200
N_TRIED = 4
AT_ONCE = 256


class GuidedSearch:
    """Search of one task that tries promising candidates only."""

    def __init__(self, operators: Operators, task: int = 0) -> None:
        self.operators, self.number, self.task = operators, task, operators.tasks[task]
        self.features = candidate_features(self.task.gammas)
        n = len(self.task.gammas)
        self.first = np.arange(min(N_FIRST, n))
        self.blocks = [np.arange(a, min(a + N_BLOCK, n)) for a in range(len(self.first), n, N_BLOCK)]

    def run(self, batches: Sequence[TargetProducts]) -> list[Found]:
        """Search all targets of all batches; the curve has one entry per candidate that a target tried."""
        each = self.operators.arrays.each
        states = [_State(self, products) for products in batches]
        stages = [(self.first, len(self.first))] + [(block, N_TRIED) for block in self.blocks]
        for block, n in stages:
            list(each(lambda state, b=block, k=n: state.choose(b, k), states))  # type: ignore[misc]
            for some in self.operators.groups(self.number, block):
                prepared = list(each(lambda c: self.operators.prepare(self.number, int(c)), some))
                list(each(lambda state, s=some, o=prepared: state.try_them(s, o), states))  # type: ignore[misc]
        return [state.finish() for state in states]


class _State:
    """Search on one batch of targets."""

    def __init__(self, search: GuidedSearch, products: TargetProducts) -> None:
        self.search, self.source = search, products
        self.rows, self.dtype = search.operators.rows, search.operators.arrays.dtype
        self.shape = (len(self.rows.folds), products.total.shape[1])
        self.tried = np.zeros((0, *self.shape), dtype=np.int64)
        self.loss = np.zeros((0, *self.shape), dtype=self.dtype)
        self.alpha = np.zeros((0, *self.shape), dtype=np.int64)
        self.total = np.zeros(0)

    def choose(self, block: np.ndarray, n: int) -> None:
        """Choose what to try next."""
        if not len(self.tried):
            more = np.broadcast_to(block[:, None, None], (len(block), *self.shape)).copy()
        else:
            flat_tried = self.tried.reshape(len(self.tried), -1)
            flat_loss = self.loss.reshape(len(self.loss), -1)
            parts = [
                promising(
                    self.search.features,
                    flat_tried[:, first : first + AT_ONCE],
                    flat_loss[:, first : first + AT_ONCE],
                    block,
                    n,
                )
                for first in range(0, flat_tried.shape[1], AT_ONCE)
            ]
            more = np.concatenate(parts, axis=1).reshape(-1, *self.shape)
        self.tried = np.concatenate([self.tried, more])
        self.loss = np.concatenate([self.loss, np.full(more.shape, np.inf, dtype=self.dtype)])
        self.alpha = np.concatenate([self.alpha, np.zeros(more.shape, dtype=np.int64)])

    def try_them(self, candidates: np.ndarray, prepared: Sequence[list[Operator]]) -> None:
        """Compute the losses of candidates for the targets that have chosen them."""
        products = multiply_sets(
            self.rows.plan, self.source, intercept=self.search.operators.intercept, dtype=self.dtype
        )
        for candidate, operators in zip(candidates, prepared, strict=True):
            where = [np.nonzero(self.tried[:, outer] == candidate) for outer in range(self.shape[0])]
            total = [np.zeros((len(self.search.task.alphas), len(columns)), dtype=self.dtype) for _, columns in where]
            self._score(operators, products, [columns for _, columns in where], total)
            for outer, (place, columns) in enumerate(where):
                if len(columns):
                    self.loss[place, outer, columns] = total[outer].min(0)
                    self.alpha[place, outer, columns] = total[outer].argmin(0)

    def _score(
        self,
        operators: Sequence[Operator],
        products: SetProducts,
        columns: Sequence[np.ndarray],
        total: Sequence[np.ndarray],
    ) -> None:
        number = 0
        for operator, train, folds in zip(operators, products.train, self.rows.outer, strict=True):
            rank = len(operator.rotate)
            for coupling, outer in zip(operator.couplings, folds, strict=True):
                here = columns[outer]
                if len(here):
                    c, e = (np.empty((rank, len(here)), dtype=self.dtype) for _ in range(2))
                    rotate(np, operator, train[:, here], c)
                    rotate(np, operator, products.validation[number][:, here], e)
                    work = np.empty((3 * rank, len(here)), dtype=self.dtype)
                    np.multiply(c, c, out=work[rank : 2 * rank])
                    total[outer] += losses(np, coupling, c, e, work)
                number += 1

    def finish(self) -> Found:
        """Return the best candidate tried."""
        base = base_loss(self.rows, self.source, self.shape[0], intercept=self.search.operators.intercept)
        best = self.loss.argmin(0)[None]
        loss, candidate, alpha = (
            np.take_along_axis(part, best, axis=0)[0] for part in (self.loss, self.tried, self.alpha)
        )
        curve = -(np.minimum.accumulate(self.loss, axis=0).astype(np.float64) + base).sum((1, 2))
        return Found(candidate, alpha, -(loss.astype(np.float64) + base), curve)

"""How alike stimuli are: by their features, and which pairs of them count."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from .kinds import SIMILARITIES

ROWS = 512  # of a similarity matrix that are looked at together


@dataclass(frozen=True, eq=False, slots=True)
class Similarity:
    """Similarity of all pairs of rows, as factors where it has them."""

    factor: np.ndarray | None = None  # (n, k) The similarity is ``factor @ factor.T``
    matrix: np.ndarray | None = None  # (n, n) The similarity itself, where it has no factors

    def __len__(self) -> int:
        given = self.matrix if self.factor is None else self.factor
        return 0 if given is None else len(given)

    def rows(self, rows: slice | np.ndarray) -> np.ndarray:
        """Compute some rows of the matrix.

        Returns (n_rows, n).
        """
        if self.factor is not None:
            return self.factor[rows] @ self.factor.T
        return np.asarray(self.matrix)[rows].astype(np.float64)


def undefined_rows(X: np.ndarray, kind: str) -> np.ndarray:
    """Find rows whose similarity to others is not defined.

    Shapes: `X` (n, d); returns (n,).
    """
    if kind == "cosine":
        return ~np.any(X, axis=1)
    if kind == "correlation":
        return np.ptp(X, axis=1) == 0 if X.shape[1] else np.ones(len(X), bool)
    return np.zeros(len(X), bool)


def feature_similarity(X: np.ndarray, kind: str) -> Similarity:
    """Compute how similar the rows of a feature space are.

    Shapes: `X` (n, d).
    """
    if kind not in SIMILARITIES:
        raise ValueError(f"similarity {kind!r} is not one of {SIMILARITIES}")
    bad = undefined_rows(X, kind)
    if bad.any():
        raise ValueError(f"{kind} is not defined for {bad.sum()} rows, the first is {np.flatnonzero(bad)[0]}")
    if kind == "choice_probability":
        from .choices import choice_similarity  # the only kind that needs torch

        return Similarity(matrix=choice_similarity(X))
    factor = np.array(X, dtype=np.float64)
    if kind == "correlation":
        factor -= factor.mean(axis=1, keepdims=True)
    if kind != "dot":
        factor /= np.linalg.norm(factor, axis=1, keepdims=True)
    return Similarity(factor)


@dataclass(frozen=True, eq=False, slots=True)
class Pairs:
    """Which pairs of rows are compared: all but those within a block and some others."""

    # (n,) Block of each row, 0, 1, ...; pairs within a block are left out, and so is every row with itself
    block: np.ndarray
    # (n_extra, 2) Further pairs that are left out, of different blocks, the larger row number first
    extra: np.ndarray

    def __len__(self) -> int:
        return len(self.block)

    @property
    def n(self) -> int:
        """Number of pairs that are compared."""
        inside = np.bincount(self.block)
        return int((len(self) ** 2 - np.sum(inside**2)) // 2 - len(self.extra))

    def lower(self, rows: slice) -> np.ndarray:
        """Return which entries of some rows of the lower triangle are compared.

        Returns (n_rows, n).
        """
        number = np.arange(len(self))
        kept = (number < number[rows, None]) & (self.block != self.block[rows, None])
        first = rows.start or 0
        here = (self.extra[:, 0] >= first) & (self.extra[:, 0] < first + len(kept))
        kept[self.extra[here, 0] - first, self.extra[here, 1]] = False
        return kept

    def slices(self) -> Iterator[slice]:
        """Divide the rows into parts whose matrices are small."""
        for start in range(0, len(self), ROWS):
            yield slice(start, min(start + ROWS, len(self)))

    def flat(self) -> np.ndarray:
        """List the pairs.

        Returns (n_pairs,).
        """
        n = len(self)
        return np.concatenate([np.flatnonzero(self.lower(rows)) + (rows.start or 0) * n for rows in self.slices()])

    def take(self, similarity: Similarity) -> np.ndarray:
        """Return the similarity of every pair.

        Returns (n_pairs,).
        """
        return np.concatenate([similarity.rows(rows)[self.lower(rows)] for rows in self.slices()])

    def moments(self, similarity: Similarity) -> tuple[float, float]:
        """Compute the mean similarity of the pairs, and the root of the sum of squares about it."""
        mean = sum(similarity.rows(rows)[self.lower(rows)].sum() for rows in self.slices()) / max(self.n, 1)
        squares = sum(np.sum((similarity.rows(rows)[self.lower(rows)] - mean) ** 2) for rows in self.slices())
        return float(mean), float(np.sqrt(squares))


def pairs_of(runs: Sequence[Sequence[str]], *, same_run: bool = False) -> Pairs:
    """Return which pairs of stimuli are compared."""
    n = len(runs)
    none = np.zeros((0, 2), dtype=np.int64)
    if same_run:
        return Pairs(np.arange(n), none)
    names = list(dict.fromkeys(run for of_row in runs for run in of_row))
    member = np.zeros((n, len(names)), dtype=np.float32)
    for row, of_row in enumerate(runs):
        member[row, [names.index(run) for run in of_row]] = 1
    block = np.unique([names.index(of_row[0]) for of_row in runs], return_inverse=True)[1].astype(np.int64)
    several = np.flatnonzero(member.sum(axis=1) > 1)
    shared = (member[several] @ member.T > 0) & (block[several, None] != block)
    left, right = several[np.nonzero(shared)[0]], np.nonzero(shared)[1]
    extra = np.stack([np.maximum(left, right), np.minimum(left, right)], axis=1)
    return Pairs(block, np.unique(extra, axis=0).astype(np.int64).reshape(-1, 2))

"""Annotators that compute: of three, the one is odd that the other two resemble least."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Annotated, Any

import numpy as np
from scipy.sparse import csr_array

from ..core import ConfigError, digest, fingerprint_array
from ..core.settings import NotNegative, Number, OneOf, Rule, Seed, Text, settings
from ..numerics.mixing import uniform
from ..numerics.triplet_ranks import rank_triplets
from .trials import Answer, Ledger, Trial

DRAW = 21  # stream of random numbers
METRICS = ("cosine", "dot")


SlotBias = Annotated[tuple[Number, ...], Rule("a list of three numbers", lambda bias: len(bias) == 3)]


@settings("[[annotator]]", kw_only=True)
class Computed:
    """What all annotators that compute have in common."""

    name: Text
    """Name of the annotator in tables."""
    metric: Annotated[str, OneOf(METRICS)] = "cosine"
    """Similarity of two stimuli."""
    temperature: NotNegative = 0.0
    """If 0, the least similar item is the odd one. Otherwise answers are drawn, each slot with a probability
    proportional to exp(similarity of the other two / temperature)."""
    soft: bool = False
    """Whether to store the three probabilities with every answer, as for models that return probabilities."""
    slot_bias: SlotBias = (0.0, 0.0, 0.0)
    """Added to the logarithm of the three probabilities, to simulate a judge that prefers a slot."""
    seed: Seed = 0
    """Seed of drawn answers."""

    def __post_init__(self) -> None:
        """Check that what needs probabilities has them."""
        if (any(self.slot_bias) or self.soft) and not self.temperature:
            raise ConfigError(
                f"slot_bias = {list(self.slot_bias)}, soft = {str(self.soft).lower()}: a temperature above 0 is needed "
                f"where slots are preferred or probabilities are kept."
            )


class ComputedAnnotator:
    """An annotator that compares rows of a table.

    Shapes: `table` (n_rows, n_columns).
    """

    def __init__(self, settings: Computed, kind: str, table: np.ndarray | csr_array, rows_of: str = "items") -> None:
        self.name, self.batch, self.concurrency, self.free = settings.name, 4096, 1, True
        self._settings, self._kind, self._rows_of = settings, kind, rows_of
        self._key = _fingerprint(table)
        self._table = _unit(table) if settings.metric == "cosine" else table

    def identity(self) -> dict[str, Any]:
        """List everything that shapes the answers."""
        names = ("metric", "temperature", "soft", "slot_bias", "seed")
        return {"kind": self._kind, "ratings": self._key, **{name: getattr(self._settings, name) for name in names}}

    @asynccontextmanager
    async def ready(self) -> AsyncIterator[dict[str, Any]]:
        """Yield no notes; there is nothing to open."""
        yield {}

    async def ask(self, trials: Sequence[Trial], ledger: Ledger) -> list[Answer]:  # noqa: ARG002
        """Compute answers."""
        items = np.array([trial.items for trial in trials], dtype=np.int64).reshape(-1, 3)
        rows = np.array([getattr(trial, self._rows_of) for trial in trials], dtype=np.int64).reshape(-1, 3)
        score = similarities(self._table, rows)
        if not self._settings.temperature:
            tied = np.isclose(np.sort(score, axis=1)[:, 1], score.max(axis=1), rtol=0, atol=1e-12)
            unclear = Answer("unparsed", detail="two pairs are equally similar")
            odd = score.argmax(axis=1).tolist()
            return [unclear if tie else Answer("valid", slot) for slot, tie in zip(odd, tied.tolist(), strict=True)]
        score = score / self._settings.temperature + np.array(self._settings.slot_bias)
        weights = np.exp(score - score.max(axis=1, keepdims=True))
        probabilities = weights / weights.sum(axis=1, keepdims=True)
        repeat = np.array([trial.repeat for trial in trials])
        draw = uniform(rank_triplets(items) * (1 << 15) + repeat, self._settings.seed, DRAW)
        odd = np.minimum((draw[:, None] > np.cumsum(probabilities, axis=1)).sum(axis=1), 2).tolist()
        if not self._settings.soft:
            return [Answer("valid", slot) for slot in odd]
        return [Answer("valid", slot, (a, b, c)) for slot, (a, b, c) in zip(odd, probabilities.tolist(), strict=True)]


def similarities(table: np.ndarray | csr_array, rows: np.ndarray) -> np.ndarray:
    """Return the similarity (dot product) of the other two for each slot, as float64 of shape (n_trials, 3)."""
    a, b, c = (table[rows[:, slot]] for slot in range(3))
    return np.stack([np.asarray((x * y).sum(axis=1), dtype=np.float64) for x, y in ((b, c), (a, c), (a, b))], axis=1)


def _unit(table: np.ndarray | csr_array) -> np.ndarray | csr_array:
    """Divide every row by its length; rows of zeros stay."""
    squares = np.asarray((table * table).sum(axis=1), dtype=np.float64).reshape(-1, 1)
    scale = 1 / np.sqrt(np.where(squares > 0, squares, 1.0))
    return csr_array(table.multiply(scale)) if isinstance(table, csr_array) else table * scale


def _fingerprint(table: np.ndarray | csr_array) -> str:
    if isinstance(table, csr_array):
        row, column = table.nonzero()
        values = np.asarray(table[row, column])
        return digest([list(table.shape), *(fingerprint_array(part) for part in (row, column, values))])
    return fingerprint_array(table)

"""In which order trials run: at any time a fair part of the plan, with neighbours that share what a server keeps."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from ..core import Plan
from ..core.plans import SPLITS
from ..numerics.mixing import uniform
from .designs import PRESENTATIONS

SPREAD = 31  # stream of random numbers
CHARACTERS = 4.0  # per token, in English


def schedule(plan: Plan, shown: np.ndarray, *, window: int, seed: int = 0, most: int = 0) -> np.ndarray:
    """Return plan rows in asking order: extras spread evenly, then grouped by content within windows."""
    if plan.provenance.config.get("people"):
        return np.arange(min(most, len(plan)) if most else len(plan))  # as people answered
    extra = is_extra(plan)
    n_main = int((~extra).sum())
    rows, later = np.flatnonzero(~extra), np.flatnonzero(extra)
    if len(later):
        place = np.floor(uniform(np.arange(len(later)), seed, SPREAD) * (n_main + 1)).astype(np.int64)
        order = np.argsort(place, kind="stable")
        rows = np.insert(rows, place[order], later[order])
    rows = rows[:most].copy() if most else rows
    for start in range(0, len(rows) if window > 1 else 0, max(window, 1)):
        part = rows[start : start + window]
        a, b, c = shown[part].T
        rows[start : start + window] = part[np.lexsort((c, b, a))]
    return rows


def is_extra(plan: Plan) -> np.ndarray:
    """Return a mask of trials beyond the drawn ones: subset and repetitions."""
    return (plan.split == SPLITS.index("subset")) | is_repetition(plan)


def is_repetition(plan: Plan) -> np.ndarray:
    """Return a mask of repetitions, asked only to measure consistency."""
    if plan.provenance.config.get("people"):
        return np.zeros(len(plan), dtype=bool)  # every row is somebody's answer
    design = plan.provenance.config.get("design")
    order = design.get("order", "drawn") if isinstance(design, Mapping) else "drawn"
    return plan.repeat >= PRESENTATIONS[order]


def shard_rows(rows: np.ndarray, shard: tuple[int, int], *, window: int) -> np.ndarray:
    """Return one shard: a contiguous piece of every window."""
    number, count = shard
    step = max(window, count)
    parts = []
    for start in range(0, len(rows), step):
        part = rows[start : start + step]
        edges = (np.arange(count + 1) * len(part)) // count
        parts.append(part[edges[number - 1] : edges[number]])
    return np.concatenate(parts) if parts else rows[:0]


class Sharing(NamedTuple):
    """How many trials begin like the one before them."""

    first: float
    pair: float

    def saved(self, prompt_tokens: float, fixed_characters: int) -> float:
        """Estimate the share of prompt tokens that a server that keeps prefixes need not compute."""
        if prompt_tokens <= 0:
            return 0.0
        fixed = min(fixed_characters / CHARACTERS, prompt_tokens)
        item = (prompt_tokens - fixed) / 3
        return (fixed + self.first * item + self.pair * item) / prompt_tokens


def sharing(shown: np.ndarray) -> Sharing:
    """Return the shares of trials that start like the one before them."""
    if len(shown) < 2:
        return Sharing(0.0, 0.0)
    first = shown[1:, 0] == shown[:-1, 0]
    pair = first & (shown[1:, 1] == shown[:-1, 1])
    return Sharing(float(first.mean()), float(pair.mean()))

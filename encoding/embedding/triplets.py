"""Judgments as arrays, and their division into parts that share no triplet."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from ..core import DataError, Judgments, PairRatings, SplitError
from ..core.words import count
from ..numerics.choices import triplet_keys

PARTS = ("train", "validation", "test", "subset")
SEEN = 2  # the first two are fitted to; "subset" (all triplets of a few stimuli) measures similarities


class Keyed(Protocol):
    """Judgments that can be divided: those of the same items, in any order, have the same key."""

    @property
    def items(self) -> np.ndarray:
        """Item numbers of each judgment."""

    @property
    def names(self) -> tuple[str, ...]:
        """Name of each item."""

    @property
    def weight(self) -> np.ndarray | None:
        """How much each judgment counts; None where all count alike."""

    @property
    def keys(self) -> np.ndarray:
        """Number of the set of items of each judgment."""


@dataclass(frozen=True, eq=False, slots=True)
class Triplets:
    """Valid judgments as arrays."""

    items: np.ndarray  # (n, 3) Item numbers in the order in which they were shown
    choice: np.ndarray  # (n,) Slot that was called odd
    probabilities: np.ndarray | None  # (n, 3) None where no judgment has any; rows of choices are NaN
    weight: np.ndarray | None  # (n,) None where all are one
    names: tuple[str, ...]  # Name of each item
    judge: np.ndarray | None = None  # (n,) Number of who answered; None where there is one judge
    judges: tuple[str, ...] = ()  # Name of each judge
    sharpness: np.ndarray | None = None  # (n,) What similarities are multiplied by; None where all are one

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, rows: np.ndarray) -> "Triplets":
        probabilities = None if self.probabilities is None else self.probabilities[rows]
        weight = None if self.weight is None else self.weight[rows]
        judge = None if self.judge is None else self.judge[rows]
        sharpness = None if self.sharpness is None else self.sharpness[rows]
        return Triplets(
            self.items[rows], self.choice[rows], probabilities, weight, self.names, judge, self.judges, sharpness
        )

    @property
    def total(self) -> float:
        """Sum of weights."""
        return float(len(self) if self.weight is None else self.weight.sum(dtype=np.float64))

    @property
    def keys(self) -> np.ndarray:
        """Number of the set of three items that each judgment is about."""
        return triplet_keys(self.items, len(self.names))


def as_triplets(given: Judgments | Triplets | np.ndarray, *, n_items: int | None = None) -> Triplets:
    """Select the valid judgments.

    Shapes: `given` (n, 3).
    """
    if isinstance(given, Triplets):
        return given
    if isinstance(given, Judgments):
        return _of_judgments(given)
    array = np.asarray(given)
    if array.ndim != 2 or array.shape[1] != 3 or array.dtype.kind not in "iu" or not len(array):
        raise DataError(
            f"Triplets: shape {array.shape} of {array.dtype}, but integers of shape (n, 3) were needed, the odd "
            f"item last."
        )
    n_items = int(array.max()) + 1 if n_items is None else n_items
    a, b, c = array.T
    bad = (array < 0).any(axis=1) | (array >= n_items).any(axis=1) | (a == b) | (b == c) | (a == c)
    if bad.any():
        row = int(np.flatnonzero(bad)[0])
        raise DataError(
            f"Triplets: row {row} is {array[row].tolist()} ({count(bad.sum())}); three "
            f"different items from 0 to {n_items - 1} were needed."
        )
    choice = np.full(len(array), 2, np.int8)
    return Triplets(array.astype(np.int32, copy=False), choice, None, None, tuple(map(str, range(n_items))))


def _of_judgments(judgments: Judgments) -> Triplets:
    valid = np.flatnonzero(judgments.choice >= 0)
    if not len(valid):
        raise DataError(f"{judgments!r}: there is no valid judgment to learn from.")
    whole = len(valid) == len(judgments)
    rows: np.ndarray | slice = slice(None) if whole else valid
    soft = np.isfinite(judgments.probabilities).any()
    weighted = bool((judgments.weight != 1).any())
    if weighted and ((judgments.weight < 0).any() or not np.isfinite(judgments.weight).all()):
        raise DataError(f"{judgments!r}: weights must be finite and not negative.")
    if weighted and not judgments.weight[rows].any():
        raise DataError(
            f"{judgments!r}: all valid judgments have a weight of 0. Give those that count a weight above 0."
        )
    if soft:
        _check_probabilities(judgments, valid)
    who = judgments.annotator[rows]
    several = bool((who != who[0]).any())
    judges, judge = np.unique(who, return_inverse=True) if several else (who[:1], np.zeros(1))
    return Triplets(
        judgments.items[rows],
        judgments.choice[rows],
        judgments.probabilities[rows] if soft else None,
        judgments.weight[rows] if weighted else None,
        judgments.stimuli,
        judge.astype(np.int32) if several else None,
        tuple(judges.tolist()) if several else (),
    )


def _check_probabilities(judgments: Judgments, valid: np.ndarray) -> None:
    given = judgments.probabilities[valid]
    some = np.isfinite(given)
    for wrong, what in (
        (np.isinf(given).any(axis=1), "an infinite probability"),
        ((given < 0).any(axis=1), "a negative probability; are these logarithms?"),
        (some.any(axis=1) & ~some.all(axis=1), "only some of the three probabilities"),
        (some.all(axis=1) & (given.sum(axis=1) <= 0), "probabilities that are all zero"),
    ):
        if wrong.any():
            row = int(np.flatnonzero(wrong)[0])
            raise DataError(
                f"{judgments!r}: {count(wrong.sum(), 'judgment')} with {what}, the first is row {valid[row]}: "
                f"{given[row].tolist()}. Three numbers of 0 or more were needed, not all zero; NaN for a hard choice."
            )


def connections(data: Keyed) -> np.ndarray:
    """Component of the graph of judged pairs that each item belongs to, by descending size; -1 if it was never judged.

    Judgments within each component say nothing about similarities across components; those of weight 0 say nothing.
    """
    items, n_items = data.items if data.weight is None else data.items[data.weight > 0], len(data.names)
    a, b = items[:, :-1].ravel(), items[:, 1:].ravel()
    edges = coo_matrix((np.ones(len(a), bool), (a, b)), shape=(n_items, n_items))
    label = connected_components(edges, directed=False)[1]
    judged = np.zeros(n_items, bool)
    judged[items.ravel()] = True
    found = np.full(n_items, -1)
    names, number, size = np.unique(label[judged], return_inverse=True, return_counts=True)
    rank = np.empty(len(names), int)
    rank[np.argsort(-size, kind="stable")] = np.arange(len(names))
    found[judged] = rank[number]
    return found


def gaps(names: tuple[str, ...], components: np.ndarray) -> list[str]:
    """List items in no judgment, and groups of items that are never compared."""
    notes, judged = [], components >= 0
    missing = [name for name, found in zip(names, judged, strict=True) if not found]
    if missing:
        hint = ""
        if missing[0] == "0" and names[0] == "0":
            hint = " Is the first item number 1? Then say count_from = 1."
        shown = ", ".join(map(repr, missing[:5])) + (", ..." if len(missing) > 5 else "")
        are = "is" if len(missing) == 1 else "are"
        items = count(len(missing), "item")
        notes.append(f"{items} {are} in no judgment and {are} left out of the feature space: {shown}.{hint}")
    n_parts = int(components.max()) + 1
    if n_parts > 1:
        sizes = np.bincount(components[judged])
        notes.append(
            f"The judgments fall into {n_parts} groups of items that are never compared with each other (sizes "
            f"{', '.join(map(str, sizes[:5]))}{', ...' if n_parts > 5 else ''}): similarities between groups are "
            f"not measured. Add judgments that connect them."
        )
    return notes


def parts_of(given: object, data: Keyed) -> np.ndarray | None:
    """Return the declared part of each valid judgment."""
    if not isinstance(given, Judgments | PairRatings):
        return None
    declared = np.asarray(given.split[given.choice >= 0] if isinstance(given, Judgments) else given.split)
    if not (declared != "").any():
        return None
    unknown = sorted(set(np.unique(declared).tolist()) - set(PARTS))
    if unknown:
        raise DataError(f"{given!r}: split {unknown[0]!r} is not one of {PARTS}; all judgments need one, or none.")
    for part in PARTS[:SEEN]:
        if data.weight is not None and (declared == part).any() and not data.weight[declared == part].any():
            raise DataError(f"{given!r}: all of the split {part!r} have a weight of 0; some above 0 were needed.")
    check_disjoint(data, declared)
    return declared


def check_disjoint(data: Keyed, part: np.ndarray) -> None:
    """Refuse a division that puts the same three items, or the same pair, into two parts.

    Shapes: `part` (n,).
    """
    codes = np.unique(part, return_inverse=True)[1]
    order = np.argsort(data.keys, kind="stable")
    keys, codes = data.keys[order], codes[order]
    torn = (keys[1:] == keys[:-1]) & (codes[1:] != codes[:-1])
    if torn.any():
        row = int(order[1:][torn][0])
        what = "triplet" if data.items.shape[1] == 3 else "pair"
        names = ", ".join(repr(data.names[item]) for item in data.items[row])
        raise SplitError(
            f"Judgments: {count(torn.sum(), what)} with answers in two parts, the first is {names}. "
            f"Divide by {what}, not by row, or the test part is not independent."
        )


def divide(data: Keyed, share: float, rng: np.random.Generator) -> np.ndarray:
    """Draw a part of the triplets; all answers about the same three items go together.

    Returns (n,).
    """
    sets, group = np.unique(data.keys, return_inverse=True)
    drawn = np.zeros(len(sets), bool)
    drawn[rng.permutation(len(sets))[: max(1, round(share * len(sets)))]] = True
    return drawn[group]


def further_folds(data: Keyed, drawn: np.ndarray, n_folds: int, seed: Sequence[int]) -> Iterator[np.ndarray]:
    """Draw parts of the triplets outside `drawn`, of its size and without overlap, as masks of (n,)."""
    sets, group = np.unique(data.keys, return_inverse=True)
    rest = np.setdiff1d(np.arange(len(sets)), group[drawn])
    size = len(sets) - len(rest)
    rest = np.random.default_rng(seed).permutation(rest)
    for start in range(0, min(n_folds * size, len(rest)), size):
        chosen = np.zeros(len(sets), bool)
        chosen[rest[start : start + size]] = True
        yield chosen[group]


def check_matches(data: Triplets) -> None:
    """Refuse matches in which the target was left over."""
    wrong = data.choice == 0
    if data.probabilities is not None:
        wrong |= data.probabilities[:, 0] > 0
    if wrong.any():
        raise DataError(
            f"SparseEmbedding: task = 'match', but {int(wrong.sum())} of {len(data):,} judgments leave the first "
            f"item over, the first is row {int(np.flatnonzero(wrong)[0])}. The target must be in the first slot; "
            f"the choice, or the last column, is the item that does not go with it."
        )


def targets(data: Triplets) -> np.ndarray:
    """Probability of each slot, one-hot where only a choice is known: shape (n, 3)."""
    target = np.eye(3)[data.choice]
    if data.probabilities is not None:
        soft = np.isfinite(data.probabilities).all(axis=1)
        target[soft] = data.probabilities[soft] / data.probabilities[soft].sum(axis=1, keepdims=True)
    return target


def slot_entropy(data: Triplets) -> float:
    """Cross-entropy of a judge who knows how often each slot is odd, and nothing else."""
    share = np.average(targets(data), axis=0, weights=data.weight)
    return float(-(share * np.log(np.maximum(share, 1e-12))).sum())


def shown_order(data: Triplets) -> bool:
    """Whether items may stand in the order of showing; not where the odd one is always in the same slot."""
    return bool(len(np.unique(data.choice)) > 1 or data.probabilities is not None)

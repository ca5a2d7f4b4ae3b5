"""Which triplets are asked: drawn, balanced, all, or those of a file."""

import dataclasses
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated

import numpy as np
from annotated_types import Interval

from ..core import ConfigError, DataError, Plan, Provenance, digest, fingerprint, suggest
from ..core.plans import SPLITS, item_type
from ..core.settings import CountOrZero, Number, OneOf, Rule, Text, settings
from ..io.tables import read_table
from ..numerics.mixing import Permutation, hashed, uniform
from ..numerics.triplet_ranks import (
    ORDERS,
    balanced_triplets,
    count_triplets,
    counterbalance,
    rank_triplets,
    unrank_triplets,
)

DRAW, SUBSET, SPLIT, REPEATED = 1, 2, 3, 4  # streams of random numbers
KINDS = ("balanced", "random", "full", "file")
PRESENTATIONS = {"drawn": 1, "cyclic": 3, "all": 6}
LATEST = 2  # version of balanced plans
CHUNK = 1 << 19  # triplets that are worked on at once


Columns = Annotated[tuple[Text, ...], Rule("a list of the columns of three items", lambda names: len(names) == 3)]
Share = Annotated[Number, Interval(ge=0, lt=1)]


@settings("[design]")
class Design:
    """Which triplets are asked, and how often.

    Examples
    --------
    >>> from encoding.collection import Design, make_plan
    >>> design = Design(n_triplets=100, test=0.1, repeated=5, repeats=4)
    >>> make_plan(design, [f"clip{k}" for k in range(20)], seed=0)  # 100 triplets, 5 of them three more times
    Plan(115 trials about 20 stimuli)
    """

    kind: Annotated[str, OneOf(KINDS)] = "balanced"
    """"balanced": each pair of stimuli in nearly the same number of triplets; "random": every triplet equally likely;
    "full": all of them; "file": those that a file lists, in an order of our own."""
    n_triplets: CountOrZero = 0
    """Unordered triplets to draw, each once, apart from those of the subset; not used by "full" and "file"."""
    file: str = ""
    """List of triplets, for the kind "file"."""
    columns: Columns = ("item_1", "item_2", "item_3")
    """Columns of the three items, if the file is a table."""
    subset: CountOrZero | tuple[Text, ...] = 0
    """Stimuli of which all triplets are asked, as the split "subset": how many to draw, or their names."""
    test: Share = 0.1
    """Share of the other triplets that belongs to the split "test"."""
    validation: Share = 0.0
    """Share of the other triplets that belongs to the split "validation"; the rest is for training."""
    repeated: CountOrZero = 0
    """Triplets that are asked again to measure how well answers repeat; test triplets if there are any."""
    repeats: Annotated[int, Interval(ge=2, le=np.iinfo(np.int16).max - 6)] = 20
    """How many times each of these is asked in all."""
    order: Annotated[str, OneOf(PRESENTATIONS)] = "drawn"
    """Orders in which a triplet is shown: one at random, three that put each item into each slot, or all six."""

    def __post_init__(self) -> None:
        """Check rules across fields."""
        drawn = self.kind in ("balanced", "random")
        if drawn != (self.n_triplets > 0):
            needed = "a number above 0 is needed" if drawn else f"kind {self.kind!r} takes what there is: leave it out"
            raise ConfigError(f"n_triplets = {self.n_triplets}, but {needed}.")
        if (self.kind == "file") != bool(self.file):
            raise ConfigError(f"kind = {self.kind!r} with file = {self.file!r}: each needs the other.")
        if self.test + self.validation >= 1:
            raise ConfigError(
                f"test = {self.test}, validation = {self.validation}: shares that leave some for training are needed."
            )


def make_plan(
    design: Design, stimuli: Sequence[str], *, seed: int = 0, listed: np.ndarray | None = None, version: int = LATEST,
    trained: np.ndarray | None = None,
) -> Plan:  # fmt: skip
    """Draw a plan; the same design, stimuli and seed give the same bytes.

    A longer random or balanced plan starts with the triplets of a shorter one, in the same splits.

    Parameters
    ----------
    design : Design
        What to draw.
    stimuli : sequence of str
        Stimuli, each once.
    seed : int, optional
        Seed of everything that is drawn.
    listed : ndarray of integers, shape (n_triplets, 3), optional
        Triplets of the file, for the kind "file"; which order they have makes no difference.
    version : int, optional
        1 draws balanced plans as they were drawn before triplets with different distances came first; 2 is the latest.
    trained : ndarray of integers, optional
        Ranks of triplets that are for training whatever is drawn, since they were not chosen by chance.

    Returns
    -------
    Plan
        Trials in the order in which a part of them is the fairest sample of the whole.

    Raises
    ------
    ConfigError
        If there are fewer triplets than asked for, or a stimulus of the subset is unknown.

    Examples
    --------
    >>> from encoding.collection import Design, make_plan
    >>> make_plan(Design(n_triplets=10), ["a", "b", "c", "d", "e"], seed=0)
    Plan(10 trials about 5 stimuli)
    """
    names = tuple(str(name) for name in stimuli)
    if len(names) < 3:
        raise ConfigError(f"[design]: {len(names)} stimuli, but a triplet needs 3.")
    members = _members(design, names, seed)
    inside = np.zeros(len(names), dtype=bool)
    inside[members] = True
    n_inner = count_triplets(len(members))
    again = design.repeated * (design.repeats - 1)
    room = n_inner + (again if PRESENTATIONS[design.order] == 1 else 0)
    items, n_outer = _collect(_blocks(design, len(names), seed, listed, version), design, inside, room)
    split = np.full(len(items), SPLITS.index("subset"), dtype=np.int8)
    split[:n_outer] = _split(items[:n_outer], design, seed)
    if trained is not None:
        split[:n_outer][np.isin(rank_triplets(items[:n_outer]), trained)] = SPLITS.index("train")
    counterbalance(items[:n_outer], len(names), seed, in_place=True)
    if n_inner:
        inner = unrank_triplets(Permutation(n_inner, seed, SUBSET)(np.arange(n_inner)))
        items[n_outer : n_outer + n_inner] = members[counterbalance(inner, len(members), seed, start=1 << 40)]
    repeat = np.zeros(len(items), dtype=np.int16)
    items, repeat, split = _present(items, repeat, split, n_outer + n_inner, design=design, seed=seed)
    for array in (items, repeat, split):
        array.flags.writeable = False
    inputs = {"stimuli": digest(list(names))}
    if listed is not None:
        inputs["file"] = digest(np.sort(rank_triplets(listed)).tobytes().hex())
    if trained is not None:
        inputs["trained"] = digest(np.sort(trained).tobytes().hex())
    step = f"plan/{version if design.kind == 'balanced' else 1}"
    return Plan(names, items, repeat, split, Provenance(step, {"design": dataclasses.asdict(design)}, inputs, seed))


def _members(design: Design, names: tuple[str, ...], seed: int) -> np.ndarray:
    if isinstance(design.subset, int):
        if design.subset and not 3 <= design.subset <= len(names):
            raise ConfigError(f"[design] subset = {design.subset}, but 3 to {len(names)} stimuli can be drawn.")
        return np.sort(Permutation(len(names), seed, SUBSET)(np.arange(design.subset)))
    for name in design.subset:
        if name not in names:
            raise ConfigError(f"[design] subset: no stimulus {name!r}. {suggest(str(name), names)}")
    return np.array(sorted({names.index(name) for name in design.subset}), dtype=np.int64)


def _blocks(design: Design, n: int, seed: int, listed: np.ndarray | None, version: int) -> Iterator[np.ndarray]:
    """Yield different unordered triplets, without end before all of the kind are used up."""
    if design.kind == "balanced":
        yield from balanced_triplets(n, seed, distinct=version > 1)
        return
    if design.kind == "file":
        ranks = np.unique(rank_triplets(listed if listed is not None else np.empty((0, 3), dtype=np.int64)))
        total = len(ranks)
    else:
        total = count_triplets(n)
    order = Permutation(total, seed, DRAW)
    for start in range(0, total, CHUNK):
        places = order(np.arange(start, min(start + CHUNK, total)))
        yield unrank_triplets(ranks[places] if design.kind == "file" else places)


def _collect(blocks: Iterator[np.ndarray], design: Design, inside: np.ndarray, room: int) -> tuple[np.ndarray, int]:
    """Collect the requested number of triplets, without those that lie within the subset.

    Some room is left at the end of the array, since to make it longer later would take twice the memory.
    """
    n = len(inside)
    if design.kind == "file":
        parts = [block[~inside[block].all(axis=1)] for block in blocks]
        n_filled = sum(len(part) for part in parts)
        return np.concatenate([*parts, np.zeros((room, 3))]).astype(item_type(n)), n_filled
    available = count_triplets(n) - count_triplets(int(inside.sum()))
    most = available if design.kind == "full" else design.n_triplets
    if most > available:
        raise ConfigError(
            f"[design] n_triplets = {most:,}, but {n} stimuli have {available:,} different triplets beside those of "
            f'the subset. Ask for fewer, or set kind = "full".'
        )
    items: np.ndarray = np.zeros((most + room, 3), dtype=item_type(n))
    filled = 0
    for block in blocks:
        kept = block[~inside[block].all(axis=1)] if inside.any() else block
        kept = kept[: most - filled]
        items[filled : filled + len(kept)] = kept
        filled += len(kept)
        if filled == most:
            break
    return items, filled


def _split(items: np.ndarray, design: Design, seed: int) -> np.ndarray:
    """Assign each unordered triplet a split from a hash of the triplet and the seed."""
    split = np.zeros(len(items), dtype=np.int8)
    for start in range(0, len(items), CHUNK):
        draw = uniform(rank_triplets(items[start : start + CHUNK]), seed, SPLIT)
        part = split[start : start + CHUNK]
        part[draw < design.test + design.validation] = SPLITS.index("validation")
        part[draw < design.test] = SPLITS.index("test")
    return split


def splits_of(items: np.ndarray, design: Design, stimuli: Sequence[str], seed: int) -> np.ndarray:
    """Return the split that each triplet has in any plan of this design, as int8."""
    split = _split(items, design, seed)
    inside = np.zeros(len(stimuli), dtype=bool)
    inside[_members(design, tuple(stimuli), seed)] = True
    split[inside[items].all(axis=1)] = SPLITS.index("subset")
    return split


def _present(
    items: np.ndarray, repeat: np.ndarray, split: np.ndarray, n_rows: int, *, design: Design, seed: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Add the other orders of every triplet where they are asked for, and the triplets that are asked again."""
    n_orders = PRESENTATIONS[design.order]
    shown, kind = items[:n_rows], split[:n_rows]
    chosen = _repeated(shown, kind, design, seed)
    number = np.arange(n_orders, n_orders + design.repeats - 1)
    # Each of the six orders in turn, from the one that was drawn.
    again = shown[chosen][:, ORDERS[number % len(ORDERS)]].reshape(-1, 3)
    again_split, again_repeat = np.repeat(kind[chosen], len(number)), np.tile(number, len(chosen))
    if n_orders == 1:
        items[n_rows:], repeat[n_rows:], split[n_rows:] = again, again_repeat, again_split
        return items, repeat, split
    shown, kind = shown[:, ORDERS[:n_orders]].reshape(-1, 3), np.repeat(kind, n_orders)
    numbers = np.concatenate((np.tile(np.arange(n_orders), n_rows), again_repeat)).astype(np.int16)
    return np.concatenate((shown, again)), numbers, np.concatenate((kind, again_split))


def _repeated(shown: np.ndarray, split: np.ndarray, design: Design, seed: int) -> np.ndarray:
    """Choose the triplets that are asked again: test triplets, where there are any."""
    if not design.repeated:
        return np.empty(0, dtype=np.int64)
    pool = np.flatnonzero(split == SPLITS.index("test"))
    pool = pool if len(pool) else np.arange(len(shown))
    if design.repeated > len(pool):
        raise ConfigError(
            f"[design] repeated = {design.repeated}, but there are {len(pool)} triplets in the split that is repeated."
        )
    keys = hashed(rank_triplets(shown[pool]), seed, REPEATED)
    chosen = pool[np.argpartition(keys, design.repeated - 1)[: design.repeated]]
    return chosen[np.argsort(keys[np.searchsorted(pool, chosen)])]


def read_listed(design: Design, stimuli: Sequence[str], base: str | Path) -> tuple[np.ndarray | None, dict[str, str]]:
    """Read the file of a design, if it has one.

    Returns listed (n_triplets, 3).
    """
    if design.kind != "file":
        return None, {}
    from ..io.judgments.triplets import read_triplets

    path = Path(base) / design.file
    return read_triplets(path, stimuli, columns=design.columns)[0], {path.name: fingerprint(path)}


def read_trained(design: Design, stimuli: Sequence[str], base: str | Path) -> np.ndarray | None:
    """Return ranks of the triplets that the table of a design calls "train" in a column "split"; None without it."""
    path = Path(base) / design.file
    if design.kind != "file" or path.suffix in (".txt", ".npy"):
        return None
    from ..io.judgments.triplets import read_triplets

    frame = read_table(path, text=("split",))
    if "split" not in frame.columns:
        return None
    unknown = sorted(set(frame["split"]) - {"train", ""})
    if unknown:
        raise DataError(
            f'{path}: split {unknown[0]!r}, but "train", or nothing where the split is drawn, was needed. Rename or '
            "remove the column if it means something else."
        )
    return rank_triplets(
        read_triplets(path, stimuli, columns=design.columns)[0][(frame["split"] == "train").to_numpy()]
    )

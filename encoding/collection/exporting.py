"""Answers of a store as judgments about a plan: Parquet, and the files of triplets that SPoSE and VICE read."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from ..core import DataError, Judgments, Plan, Provenance, versions
from ..core.judgments import OUTCOMES
from ..core.plans import SPLITS
from ..io.atomic import atomic_file
from ..io.judgments.answers import MARK, AnswerStore
from ..io.judgments.files import read_judgments, words, write_judgments
from ..io.judgments.triplets import write_triplets
from ..numerics.triplet_ranks import rank_triplets
from .answered import Matcher
from .contents import Contents
from .schedule import is_repetition

FLOATS = ("p1", "p2", "p3", "mass", "latency", "answered")
CHUNK = 50_000  # rows that are written at once
COUNTS = ("tokens_in", "tokens_cached", "tokens_out", "tries")
# All answers are held at once while they are put in order: these need no more digits.
SMALL = dict.fromkeys(("p1", "p2", "p3", "mass", "latency"), np.float32) | dict.fromkeys(COUNTS, np.int32)
FILES = {"train": "train_90", "validation": "validation", "test": "test_10", "subset": "subset"}


class _Names:
    """Names in alphabetical order: numbers of the store tell who came first, which must not shape what is written."""

    def __init__(self, names: Mapping[int, str]) -> None:
        self.sorted = sorted(set(names.values()))
        self._numbers = np.array(sorted(names), dtype=np.int64)
        self._places = np.array([self.sorted.index(names[number]) for number in sorted(names)], dtype=np.int64)

    def column(self, numbers: np.ndarray) -> Any:
        """Make a column of names from numbers of the store, (n_rows,)."""
        return words(self._places[np.searchsorted(self._numbers, numbers)], self.sorted)


@dataclass(frozen=True)
class Source:
    """Where judgments are taken from.

    Attributes
    ----------
    plan : Plan
        Trials.
    shown : ndarray of integers, shape (n_trials, 3)
        What is shown in each.
    contents : Contents
        What can be shown.
    store : AnswerStore
        Answers.
    setting : int
        Whose answers: number of the setting in the store.
    annotator : str
        Name to give them.
    excluded : ndarray of bool, shape (n_trials,), or None
        Trials that weigh nothing, and are in no file of triplets.

    Examples
    --------
    >>> from encoding.collection import Source
    >>> with opened.store(read_only=True) as store:
    ...     setting = store.find_setting(opened.annotator("careful").identity())
    ...     source = Source(opened.plan, opened.shown, opened.what.contents, store, setting, "careful")
    >>> source.annotator
    'careful'
    """

    plan: Plan
    shown: np.ndarray
    contents: Contents
    store: AnswerStore
    setting: int
    annotator: str
    excluded: np.ndarray | None = None

    @cached_property
    def names(self) -> tuple["_Names", "_Names"]:
        """Names of participants, and of models with their fingerprint, by their numbers in the store."""
        return _Names(self.store.participants()), _Names(self.store.models())

    def answers(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return row of the plan, identifier in the store and choice of every answer to the plan.

        Returns
        -------
        row, identifier, choice : ndarray of int64, shape (n_answers,)
            Row of the plan, number in the store, and slot that was chosen (-1 for none).
        """
        numbers = self.store.find_contents(self.contents.digests, self.contents.owners)
        matcher = Matcher(numbers, self.shown, self.plan.repeat)
        parts = [np.array(list(table.values()), dtype=np.int64)
                 for table in self.store.read(self.setting, (matcher.sql, "id", "choice"))]  # fmt: skip
        found = np.concatenate(parts, axis=1) if parts else np.zeros((3, 0), np.int64)
        rows = matcher.rows(found[0])
        return rows[rows >= 0], found[1][rows >= 0], found[2][rows >= 0]

    def parts(self) -> Iterator[dict[str, np.ndarray]]:
        """Read the answers to the plan, some ten thousand at a time, in the order in which they were given.

        Yields
        ------
        dict of str to ndarray
            Row of the plan ("row"), "outcome" (code) and "choice", and further columns of the store.
        """
        numbers = self.store.find_contents(self.contents.digests, self.contents.owners)
        matcher = Matcher(numbers, self.shown, self.plan.repeat)
        people = self.store.participants()
        more = ("participant", "reaction") if len(people) > 1 else ()
        for table in self.store.read(self.setting, (matcher.sql, MARK, *FLOATS, *COUNTS, *more)):
            row = matcher.rows(np.array(table[matcher.sql], dtype=np.int64))
            known = row >= 0
            mark = np.array(table[MARK], dtype=np.int64)[known]
            part = {"row": row[known], "outcome": mark // 8 % 8, "choice": mark % 8 - 1, "served": mark // 64}
            part["participant"] = np.array(table["participant"], dtype=np.int64)[known] if more else np.zeros_like(mark)
            part["reaction"] = (
                np.array(table["reaction"], dtype=np.float64)[known] if more else np.full(len(mark), np.nan)
            )
            part |= {name: np.array(table[name], dtype=np.float64)[known] for name in FLOATS}
            part |= {name: np.array(table[name], dtype=np.int64)[known] for name in COUNTS}
            yield part


def export(  # noqa: C901
    source: Source, folder: str | Path, *, soft: bool = False, average: bool = False
) -> dict[str, int]:
    """Write all answers as judgments and files of triplets.

    Parameters
    ----------
    source : Source
        Answers and the plan that they belong to.
    folder : str or Path
        Where to: ``judgments.parquet``, and per split the valid judgments as ``train_90``, ``test_10``,
        ``validation`` and ``subset``, each ``.txt`` and ``.npy``, the odd one last. Repetitions for the noise ceiling
        are in the Parquet file only.
    soft : bool, optional
        Whether ``train_90_soft.npy`` and such are written too: three items and the probability of each to be odd.
    average : bool, optional
        Whether all presentations of a triplet become one row in the files of triplets, so that a preference for a slot
        cancels out; its odd one is the most probable item, and triplets without one are left out.

    Returns
    -------
    dict of str to int
        Rows per file.

    Raises
    ------
    DataError
        If there is no answer to the plan.

    Examples
    --------
    >>> from encoding.collection import Source, export
    >>> with opened.store(read_only=True) as store:
    ...     setting = store.find_setting(opened.annotator("careful").identity())
    ...     source = Source(opened.plan, opened.shown, opened.what.contents, store, setting, "careful")
    ...     written = export(source, "exported")
    >>> written["judgments.parquet"]
    320
    """
    folder = Path(folder)
    split_triplets: dict[str, list[np.ndarray]] = {name: [] for name in SPLITS}
    kept: list[np.ndarray] = []
    repetition = is_repetition(source.plan)
    if source.excluded is not None:
        repetition = repetition | source.excluded

    def tables() -> Iterator[dict[str, Any]]:
        for part in _in_order_of_plan(source):
            if soft or average:
                kept.append(_by_item(part, source.plan, repetition))
            if not average:
                _sort_by_split(part, source.plan, repetition, split_triplets)
            yield _columns(part, source)

    plan = source.plan.provenance
    config = {"annotator": source.annotator, "plan": dict(plan.config)}
    provenance = Provenance("collect/1", config, {"plan": plan.key}, plan.seed, versions())
    path = folder / "judgments.parquet"
    counts = {path.name: write_judgments(path, tables(), source.plan.stimuli, provenance)}
    if not counts[path.name]:
        path.unlink()
        raise DataError(f"{source.store.path}: no answer of {source.annotator!r} to this plan. Run it first.")
    if kept:
        counts |= _write_soft(np.concatenate(kept), folder, source.plan, split_triplets, soft=soft, average=average)
    for split, parts in split_triplets.items():
        rows = np.concatenate(parts) if parts else np.empty((0, 3))
        if len(rows):
            for suffix in (".txt", ".npy"):
                write_triplets(folder / f"{FILES[split]}{suffix}", rows)
                counts[f"{FILES[split]}{suffix}"] = len(rows)
    return counts


def _in_order_of_plan(source: Source) -> Iterator[dict[str, np.ndarray]]:
    """Read all answers, and give them in the order of the plan: the order of arrival must not shape what is written."""
    parts = [
        {name: values.astype(SMALL.get(name, values.dtype), copy=False) for name, values in part.items()}
        for part in source.parts()
    ]
    if not parts:
        return
    whole = {name: np.concatenate([part.pop(name) for part in parts]) for name in list(parts[0])}
    order = np.argsort(whole["row"], kind="stable")
    for start in range(0, len(order), CHUNK):
        yield {name: values[order[start : start + CHUNK]] for name, values in whole.items()}


def _sort_by_split(
    part: dict[str, np.ndarray], plan: Plan, repetition: np.ndarray, split_triplets: dict[str, list[np.ndarray]]
) -> None:
    row, choice = part["row"], part["choice"]
    use = (choice >= 0) & ~repetition[row]
    shown, odd = plan.items[row[use]].astype(np.int32), choice[use]
    # The pair in the order in which it was shown, then the odd one.
    place = np.array([(1, 2, 0), (0, 2, 1), (0, 1, 2)])[odd]
    ordered = np.take_along_axis(shown, place, axis=1)
    split = plan.split[row[use]]
    for code, name in enumerate(SPLITS):
        if (split == code).any():
            split_triplets[name].append(ordered[split == code])


def _by_item(part: dict[str, np.ndarray], plan: Plan, repetition: np.ndarray) -> np.ndarray:
    """Return split, three items in ascending order and the probability of each, as float64 of shape (n, 7)."""
    use = (part["choice"] >= 0) & ~repetition[part["row"]]
    row = part["row"][use]
    p = np.stack([part[f"p{slot}"][use] for slot in (1, 2, 3)], axis=1)
    p = np.where(np.isfinite(p).all(axis=1, keepdims=True), p, np.eye(3)[part["choice"][use]])
    items = plan.items[row].astype(np.int64)
    order = np.argsort(items, axis=1)
    sorted_items, sorted_p = np.take_along_axis(items, order, axis=1), np.take_along_axis(p, order, axis=1)
    return np.concatenate((plan.split[row][:, None], sorted_items, sorted_p), axis=1)


def _write_soft(
    rows: np.ndarray, folder: Path, plan: Plan, split_triplets: dict[str, list[np.ndarray]], *,
    soft: bool, average: bool,
) -> dict[str, int]:  # fmt: skip
    if average:
        _, first, place = np.unique(
            rank_triplets(rows[:, 1:4].astype(np.int64)), return_index=True, return_inverse=True
        )
        n = np.bincount(place)
        mean = np.stack([np.bincount(place, weights=rows[:, 4 + k]) for k in range(3)], axis=1) / n[:, None]
        rows = np.concatenate((rows[first, :4], mean), axis=1)
    counts = {}
    for code, name in enumerate(SPLITS):
        part = rows[rows[:, 0] == code, 1:]
        if average and len(part):
            ranked = np.sort(part[:, 3:], axis=1)
            clear = part[ranked[:, 2] - ranked[:, 1] > 1e-9]
            place = np.array([(1, 2, 0), (0, 2, 1), (0, 1, 2)])[clear[:, 3:].argmax(axis=1)]
            split_triplets[name].append(np.take_along_axis(clear[:, :3], place, axis=1).astype(np.int32))
        if soft and len(part):
            path = folder / f"{FILES[name]}_soft.npy"
            with atomic_file(path) as temporary, temporary.open("wb") as stream:
                np.save(stream, part.astype(np.float32 if len(plan.stimuli) < 1 << 24 else np.float64))
            counts[path.name] = len(part)
    return counts


def _columns(part: dict[str, np.ndarray], source: Source) -> dict[str, Any]:
    plan, row, choice = source.plan, part["row"], part["choice"]
    shown = plan.items[row].astype(np.int32)
    odd = np.where(choice >= 0, shown[np.arange(len(shown)), choice], -1)
    columns: dict[str, Any] = {f"item_{slot + 1}": words(shown[:, slot], plan.stimuli) for slot in range(3)}
    columns |= {f"probability_{slot}": part[f"p{slot}"].astype(np.float32) for slot in (1, 2, 3)}
    columns |= {"choice": choice.astype(np.int8), "odd": words(odd, plan.stimuli)}
    columns |= {"outcome": words(part["outcome"], OUTCOMES), "split": words(plan.split[row], SPLITS)}
    weight = np.ones(len(row), dtype=np.float32)
    if source.excluded is not None:
        weight[source.excluded[row]] = 0
    people, models = source.names
    columns |= {"participant": people.column(part["participant"]), "model": models.column(part["served"])}
    columns |= {"reaction_time": part["reaction"].astype(np.float32)}
    columns |= {"weight": weight, "repeat": plan.repeat[row].astype(np.int32)}
    columns |= {"annotator": words(np.zeros(len(row), dtype=np.int32), (source.annotator,))}
    columns |= {name: part[name].astype(np.float32) for name in ("mass", "latency")}
    columns |= {name: part[name].astype(np.int32) for name in ("tokens_in", "tokens_cached", "tokens_out")}
    return columns | {
        "tries": part["tries"].astype(np.int16),
        "answered": np.where(part["answered"] > 0, part["answered"], np.nan),
    }


def exported(folder: str | Path) -> Judgments:
    """Read back what `export` wrote.

    Parameters
    ----------
    folder : str or Path
        The folder.

    Returns
    -------
    Judgments
        All answers, repetitions and those that are not valid too.

    Examples
    --------
    >>> from encoding.collection import exported
    >>> exported("judgments/export/careful")
    Judgments(320 about 38 stimuli, 320 valid)
    """
    return read_judgments(Path(folder) / "judgments.parquet")

"""Judgments straight from a store of answers, without an export."""

from pathlib import Path

import numpy as np

from ...core import DataError, Judgments, Plan, Provenance, digest
from ...core.judgments import OUTCOMES
from ...core.plans import SPLITS
from ...numerics.triplet_ranks import rank_triplets
from ..store import DESCRIPTION, load
from .answers import AnswerStore

COLUMNS = ("first", "second", "third", "repeat", "outcome", "choice", "p1", "p2", "p3")


def read_store(path: str | Path, *, annotator: str = "", split: str = "") -> Judgments:
    """Read the answers of one annotator.

    Where the plan that was asked lies beside the store (as ``encoding collect`` leaves it), only its triplets are
    taken, each with its part of the plan: train, validation, test or subset.

    Parameters
    ----------
    path : str or Path
        ``answers.sqlite``.
    annotator : str, optional
        Whose answers; may be left out if there is one.
    split : str, optional
        Part that all judgments belong to, where there is no plan.

    Returns
    -------
    Judgments
        The newest attempt at every question, in the order of answering.

    Raises
    ------
    DataError
        If the file is no store, holds no answers, or those of several annotators and none is named.
    """
    path = Path(path)
    with AnswerStore(path, read_only=True) as store:
        number, name, identity = _setting(store, path, annotator)
        owners = dict(store.base.execute("SELECT id, stimulus FROM contents"))
        parts: dict[str, list] = {column: [] for column in COLUMNS}
        for table in store.read(number, COLUMNS):
            for column, values in table.items():
                parts[column] += values
    if not parts["first"]:
        raise DataError(f"{path}: no answers of {name!r} yet.")
    plan = _plan(path.parent / "plan")
    stimuli = plan.stimuli if plan else tuple(sorted(set(owners.values())))
    place = {stimulus: row for row, stimulus in enumerate(stimuli)}
    row_of = {content: place.get(stimulus, -1) for content, stimulus in owners.items()}
    items = np.stack([[row_of[content] for content in parts[slot]] for slot in ("first", "second", "third")], axis=1)
    kept, labels = _labels(items, plan, split)
    inputs = {"setting": identity} | ({"plan": plan.provenance.key} if plan else {})
    probabilities = np.array([parts[column] for column in ("p1", "p2", "p3")], dtype=np.float32).T
    return Judgments(
        stimuli, items[kept], np.array(parts["choice"])[kept], probabilities[kept],
        np.array(OUTCOMES)[np.array(parts["outcome"])[kept]], np.ones(int(kept.sum())),
        np.array(parts["repeat"])[kept], labels, np.full(int(kept.sum()), name),
        Provenance("read_store/1", {"annotator": name}, inputs),
    )  # fmt: skip


def _setting(store: AnswerStore, path: Path, annotator: str) -> tuple[int, str, str]:
    found = store.base.execute("SELECT id, annotator, identity FROM settings ORDER BY id").fetchall()
    chosen = [row for row in found if annotator in ("", row[1])]
    if len(chosen) != 1:
        names = ", ".join(sorted({str(row[1]) for row in found})) or "none"
        what = f"annotator {annotator!r}" if annotator else "one annotator"
        raise DataError(
            f"{path}: {len(chosen)} settings with answers of {what} (annotators: {names}). Name an annotator, or take "
            f"the file that `encoding collect export` writes for each."
        )
    return chosen[0][0], chosen[0][1], digest(chosen[0][2])


def _plan(folder: Path) -> Plan | None:
    return load(folder) if (folder / DESCRIPTION).is_file() else None


def _labels(items: np.ndarray, plan: Plan | None, split: str) -> tuple[np.ndarray, np.ndarray]:
    """Say which answers belong to the plan, and to which part of it."""
    if plan is None:
        return np.ones(len(items), bool), np.full(len(items), split)
    known = items.min(axis=1) >= 0
    keys, codes = rank_triplets(plan.items), np.asarray(plan.split)
    order = np.argsort(keys, kind="stable")
    asked = rank_triplets(np.where(known[:, None], items, np.arange(3)))
    at = np.minimum(np.searchsorted(keys[order], asked), len(keys) - 1)
    kept = known & np.equal(keys[order][at], asked)
    return kept, np.array(SPLITS)[codes[order[at[np.flatnonzero(kept)]]]]

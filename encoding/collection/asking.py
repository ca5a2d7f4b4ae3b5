"""Ask the annotators of a collection: some trials to see what it will take, all of them, or a shard."""

import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from ..core import DataError
from ..io.judgments.answers import AnswerStore, merge_stores
from .openai import ChatAnnotator
from .results import check_collection
from .runner import RunStatus, collect
from .schedule import schedule, sharing
from .study import STORE, Collection, Opened, name_of, plan_collection
from .trials import Annotator


def dry_run(
    opened: Opened, name: str, n_trials: int = 20, *, watch: Callable[[RunStatus], None] | None = None
) -> dict[str, Any]:
    """Ask some trials of the plan, and tell what all of them will take.

    The answers are kept: they are trials of the plan, and are not asked again.

    Parameters
    ----------
    opened : Opened
        The plan.
    name : str
        Annotator.
    n_trials : int, optional
        How many to ask.
    watch : callable, optional
        As for `collect`.

    Returns
    -------
    dict
        "asked", "outcomes", "reason"; and, if there were answers, means per trial ("tokens_in", "tokens_cached",
        "tokens_out", "requests", "latency") and for what is left "left", "total_requests", "total_tokens_in",
        "total_tokens_out", "total_money", "total_hours", "saved" (share of prompt tokens that a server with a prefix
        cache need not compute, estimated from the order).
    """
    annotator = opened.annotator(name)
    with opened.store() as store:
        start = time.time()
        asking = opened.asking(most=n_trials, spread=True)
        progress = collect(
            opened.plan, opened.shown, opened.what.contents, annotator, store, asking=asking, watch=watch
        )
        setting = store.find_setting(annotator.identity())
        seconds = time.time() - start
        result: dict[str, Any] = {"annotator": annotator.name, "asked": progress.asked, "outcomes": progress.outcomes,
                                  "reason": progress.reason}  # fmt: skip
        if setting is None or not len(store.keys(setting)):
            return result
        return result | _project(opened, annotator, store, setting, progress, seconds)


def _project(
    opened: Opened, annotator: Annotator, store: AnswerStore, setting: int, progress: RunStatus, seconds: float
) -> dict[str, Any]:  # fmt: skip
    query = (
        "SELECT avg(tokens_in), avg(tokens_cached), avg(tokens_out), avg(tries), avg(latency) FROM answers "
        "WHERE setting = ? AND outcome != 4"
    )
    means = [value or 0.0 for value in store.base.execute(query, (setting,)).fetchone()]
    names = ("tokens_in", "tokens_cached", "tokens_out", "requests", "latency")
    mean = dict(zip(names, means, strict=True))
    left = progress.left
    # Who answers over a network answers many at once; who computes takes the time that it took.
    per_trial = mean["latency"] / annotator.concurrency if mean["latency"] else seconds / max(progress.asked, 1)
    window = opened.collection.collecting.window
    order = schedule(opened.plan, opened.shown, window=window, most=10 * window)
    saved = 0.0
    if isinstance(annotator, ChatAnnotator):
        saved = sharing(opened.shown[order]).saved(mean["tokens_in"], annotator.fixed_characters)
    budget = opened.collection.budget
    cached = saved * mean["tokens_in"] * left
    return {
        **mean,
        "left": left,
        "saved": saved,
        "total_requests": mean["requests"] * left,
        "total_tokens_in": mean["tokens_in"] * left,
        "total_tokens_out": mean["tokens_out"] * left,
        "total_money": budget.cost(mean["tokens_in"] * left, 0, mean["tokens_out"] * left),
        "total_money_cached": budget.cost(mean["tokens_in"] * left, cached, mean["tokens_out"] * left),
        "total_hours": per_trial * left / 3600,
    }


def run_collection(
    opened: Opened, name: str = "", *, shard: tuple[int, int] = (1, 1), retry_errors: bool = False,
    watch: Callable[[RunStatus], None] | None = None,
) -> RunStatus:  # fmt: skip
    """Ask an annotator everything that is planned and not answered yet.

    Parameters
    ----------
    opened : Opened
        The plan.
    name : str, optional
        Annotator; needed if there are several.
    shard : (int, int), optional
        Which part of the plan, from 1, and how many parts; a shard has a store of its own.
    retry_errors : bool, optional
        Whether trials that ended in an error are asked again.
    watch : callable, optional
        As for `collect`.

    Returns
    -------
    RunStatus
        What was done, and why it ended.
    """
    annotator = opened.annotator(name)
    with opened.store(shard=shard) as store:
        whole = opened.collection.folder / STORE
        if shard[1] > 1 and whole.is_file():
            merge_stores(store, whole)  # what a dry run has asked already is not paid for twice
        asking = opened.asking(shard=shard, retry_errors=retry_errors)
        return collect(opened.plan, opened.shown, opened.what.contents, annotator, store, asking=asking, watch=watch)


def merge_shards(opened: Opened) -> dict[str, int]:
    """Bring the stores of all shards together.

    Parameters
    ----------
    opened : Opened
        The plan.

    Returns
    -------
    dict of str to int
        "stores", "added", "known".

    Raises
    ------
    DataError
        If there is no shard.
    """
    shards = sorted(opened.collection.folder.glob("answers-*-of-*.sqlite"))
    if not shards:
        raise DataError(f"{opened.collection.folder}: no shards (answers-1-of-4.sqlite, ...) to merge.")
    total = {"stores": len(shards), "added": 0, "known": 0}
    with opened.store() as store:
        for shard in shards:
            for key, n in merge_stores(store, shard).items():
                total[key] += n
    return total


def collect_judgments(
    collection: Collection,
    *,
    watch: Callable[[str, RunStatus], None] = lambda name, asked: None,  # noqa: ARG005
) -> Path:
    """Plan trials, ask every annotator what is not answered yet, and export what was answered.

    Parameters
    ----------
    collection : Collection
        Stimuli, design, annotators, budget.
    watch : callable
        Called with the name of an annotator and how far it is.

    Returns
    -------
    Path
        The quality report; judgments are beside it in ``export``.

    Raises
    ------
    DataError
        If an annotator did not answer everything: its budget is spent, it was interrupted, or its server is down.
    """
    opened, _ = plan_collection(collection)
    for settings in collection.annotators:
        name = name_of(settings)
        asked = run_collection(opened, name, watch=partial(watch, name))
        if asked.reason != "finished":
            raise DataError(
                f"{collection.folder}: {asked.left} of {asked.planned} trials of {name!r} are not answered "
                f"({asked.reason}). Answers are kept; the same command goes on."
            )
    return check_collection(opened)[0]

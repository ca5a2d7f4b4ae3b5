"""Ask the annotators of a collection: some trials to see what it will take, all of them, or a shard."""

import asyncio
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from ..core import ConfigError, DataError
from ..core.workers import Workers
from ..io.judgments.answers import AnswerStore, merge_stores
from .batches import waiting
from .budget import Budget, Meter
from .openai import ChatAnnotator
from .results import check_collection
from .runner import RunStatus, collect
from .schedule import schedule, sharing
from .study import STORE, Collection, Opened, name_of, open_collection, plan_collection
from .tabled import TableAnnotator
from .trials import Annotator, Trial

WRITING = 2e-5  # s to store one answer
SPENT = ("tokens_in", "tokens_cached", "tokens_out", "most_in", "most_out", "requests", "hours")


def dry_run(
    opened: Opened, name: str, n_trials: int = 20, *, watch: Callable[[RunStatus], None] | None = None
) -> dict[str, Any]:
    """Ask some trials of the plan, and estimate time and costs of all.

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
        "asked", "outcomes", "reason", "reasons", "lessons", of tables "no_judgments"; and, if there were answers,
        means per trial ("tokens_in", "tokens_cached", "tokens_out", "requests", "latency") and for what is left
        "left", "total_requests", "total_tokens_in", "total_tokens_out", "total_money", "total_hours",
        "total_hours_slow", "saved" (share of prompt tokens that a server with a prefix cache need not compute,
        estimated from the order).

    Examples
    --------
    >>> from encoding.collection import dry_run
    >>> sorted(dry_run(opened, "careful", 5))[:3]
    ['annotator', 'asked', 'latency']
    """
    annotator = opened.annotator(name)
    with opened.store() as store:
        asking = opened.asking(most=n_trials, spread=True, waiting=waiting(opened, annotator))
        plan, shown = opened.trials(annotator)
        progress = collect(plan, shown, opened.what.contents, annotator, store, asking=asking, watch=watch)
        setting = store.find_setting(annotator.identity())
        result: dict[str, Any] = {"annotator": annotator.name, "asked": progress.asked, "outcomes": progress.outcomes,
                                  "reason": progress.reason, "reasons": progress.reasons,
                                  "lessons": progress.lessons}  # fmt: skip
        if isinstance(annotator, TableAnnotator):
            result["no_judgments"] = annotator.answers.left_out
        if setting is None or not len(store.keys(setting)):
            return result
        return result | _project(opened, annotator, store, setting, progress)


def _project(
    opened: Opened, annotator: Annotator, store: AnswerStore, setting: int, progress: RunStatus
) -> dict[str, Any]:  # fmt: skip
    mean = store.means(setting)
    left = progress.left
    fastest, slowest = _pace(opened, annotator, mean["latency"], progress)
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
        "total_hours": fastest * left / 3600,
        "total_hours_slow": slowest * left / 3600,
    }


def _pace(opened: Opened, annotator: Annotator, latency: float, progress: RunStatus) -> tuple[float, float]:
    """Return seconds per trial, at best and at the pace of the dry run."""
    asked = max(progress.asked, 1)
    if getattr(annotator, "free", False):
        rate = _computing(opened, annotator)
        return rate, rate
    measured = progress.seconds / asked
    # Remote annotators run concurrently, so divide latency by concurrency; local ones are sequential.
    best = latency / annotator.concurrency if latency else measured
    per_minute = getattr(annotator, "per_minute", 0.0)
    least = 60.0 / per_minute if per_minute else 0.0
    return max(min(best, measured), least), max(measured, least)


def _computing(opened: Opened, annotator: Annotator) -> float:
    """Time a batch of an annotator that computes; writing an answer is added."""
    plan, contents = opened.trials(annotator)
    rows = range(min(annotator.batch, len(plan)))
    items, shown = plan.items[: len(rows)].tolist(), contents[: len(rows)].tolist()
    trials = [Trial(row, tuple(items[row]), tuple(shown[row]), 0) for row in rows]
    start = time.perf_counter()
    asyncio.run(annotator.ask(trials, Meter(Budget(), dict.fromkeys(SPENT, 0.0))))
    return (time.perf_counter() - start) / max(len(trials), 1) + WRITING


def run_collection(
    opened: Opened, name: str = "", *, shard: tuple[int, int] = (1, 1), retry_errors: bool = False,
    retry: tuple[str, ...] = (), watch: Callable[[RunStatus], None] | None = None,
) -> RunStatus:  # fmt: skip
    """Ask an annotator all planned trials that have no answer yet.

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
    retry : tuple of str, optional
        Outcomes that are asked again: "unparsed", "truncated", "error", "refused".
    watch : callable, optional
        As for `collect`.

    Returns
    -------
    RunStatus
        What was done, and why it ended.

    Examples
    --------
    >>> from encoding.collection import run_collection
    >>> run_collection(opened, "careful").before
    320
    """
    annotator = opened.annotator(name)
    with opened.store(shard=shard) as store:
        whole = opened.collection.folder / STORE
        if shard[1] > 1 and whole.is_file():
            merge_stores(store, whole)  # what a dry run has asked already is not paid for twice
        asking = opened.asking(shard=shard, retry_errors=retry_errors, retry=retry, waiting=waiting(opened, annotator))
        plan, shown = opened.trials(annotator)
        return collect(plan, shown, opened.what.contents, annotator, store, asking=asking, watch=watch)


def run_shards(
    collection: Collection, name: str, n_shards: int, workers: Workers, *, retry_errors: bool = False,
    retry: tuple[str, ...] = (),
) -> list[RunStatus]:  # fmt: skip
    """Ask an annotator on several workers, one shard of the plan each, and merge their stores.

    Parameters
    ----------
    collection : Collection
        Settings; the plan is read by every worker.
    name : str
        Annotator; needed if there are several.
    n_shards : int
        Shards to divide the plan into.
    workers : Workers
        As of `encoding.open_workers`.
    retry_errors : bool, optional
        As for `run_collection`.
    retry : tuple of str, optional
        As for `run_collection`.

    Returns
    -------
    list of RunStatus
        What was done in every shard.

    Raises
    ------
    ConfigError
        If something is limited that shards would have to share: the budget, or requests per minute.

    Examples
    --------
    >>> from encoding.collection import run_shards
    >>> from encoding.pipeline import open_workers
    >>> with open_workers(n_jobs=1) as workers:
    ...     found = run_shards(collection, "careful", 2, workers)
    >>> [status.reason for status in found]
    ['finished', 'finished']
    """
    limits = {f"[budget] {key}": getattr(collection.budget, key) for key in ("requests", "tokens", "money", "hours")}
    limits[f"per_minute of {name or 'the annotator'}"] = getattr(collection.annotator(name), "per_minute", 0)
    for limit, value in limits.items():
        if value:
            raise ConfigError(
                f"{limit} = {value:g}, but {n_shards} workers would each spend as much. Take the limit out, or use one "
                "worker, which asks a server many trials at once too."
            )
    shared = (collection, name, n_shards, retry_errors, retry)
    found = list(workers.map(_run_shard, shared, range(1, n_shards + 1)))
    merge_shards(open_collection(collection))
    return found


def _run_shard(shared: tuple[Collection, str, int, bool, tuple[str, ...]], number: int) -> RunStatus:
    collection, name, count, retry_errors, retry = shared
    return run_collection(
        open_collection(collection), name, shard=(number, count), retry_errors=retry_errors, retry=retry
    )


def merge_shards(opened: Opened) -> dict[str, int]:
    """Merge the stores of all shards.

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

    Examples
    --------
    >>> from encoding.collection import merge_shards
    >>> try:
    ...     merge_shards(opened)
    ... except encoding.EncodingError as error:
    ...     print(str(error)[-38:])
    (answers-1-of-4.sqlite, ...) to merge.
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
    """Plan trials, ask every annotator those without an answer, and export the judgments.

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

    Examples
    --------
    >>> from encoding.collection import collect_judgments
    >>> collect_judgments(collection).name
    'quality.html'
    """
    opened, _ = plan_collection(collection)
    for settings in collection.annotators:
        name = name_of(settings)
        asked = run_collection(opened, name, watch=partial(watch, name))
        if asked.reason != "finished":
            raise DataError(
                f"{collection.folder}: {asked.left} of {asked.planned} trials of {name!r} are not answered "
                f"({asked.reason}). Answers are kept; the same command goes on.{_listed(asked)}"
            )
        if asked.waiting and asked.waiting == asked.planned:
            raise DataError(
                f"{collection.folder}: all {asked.waiting} trials of {name!r} wait in batches, and none is answered. "
                f"Fetch or read their results (`encoding collect batch`) before."
            )
        if asked.none_valid:
            raise DataError(
                f"{collection.folder}: none of the {asked.planned} answers of {name!r} is valid. `encoding collect run "
                f"--retry unparsed,truncated,error` asks such trials again.{_listed(asked)}"
            )
    return check_collection(opened)[0]


def _listed(progress: RunStatus) -> str:
    """List the reasons of answers that are not valid, below a message."""
    return "".join(f"\n  {line}" for line in reasons(progress.reasons))


def reasons(found: dict[tuple[str, str], tuple[int, str]], most: int = 5) -> list[str]:
    """List why answers are not valid, one line each, the most frequent first."""
    ordered = sorted(found.items(), key=lambda item: -item[1][0])
    lines = []
    for (outcome, detail), (n, reply) in ordered[:most]:
        said = " ".join(reply.split())[:80]
        lines.append(f"{n:,} {outcome}: {detail or 'no reason given'}" + (f" (reply: {said!r})" if said else ""))
    if len(ordered) > most:
        lines.append(f"and {len(ordered) - most} other reasons")
    return lines

"""Ask everything that is planned and not answered yet, and keep every answer."""

import asyncio
import contextlib
import logging
import signal
import sqlite3
import time
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

import numpy as np

from ..core import DataError, Plan, versions
from ..core.judgments import OUTCOMES
from ..io.judgments.answers import AnswerRow, AnswerStore
from .answered import Matcher, pack
from .budget import Budget, Meter
from .contents import Contents
from .schedule import schedule, shard_rows
from .trials import Annotator, Answer, Stopped, Trial

logger = logging.getLogger(__name__)

FLUSH = 0.25  # s; this much is asked again after a crash, at most
CROWDED = 20_000  # answers that wait to be written before nobody is asked any more
PATIENCE = 50  # trials in a row without a valid answer after which nothing more is asked
FIRST = 20  # the same where there has been no valid answer at all; until then, no more are under way
LENIENT = 10  # times more patience with refusals, and where all these trials show one stimulus
BLOCK, LEAST_VALID = 500, 0.1  # trials of which so many must be valid
ADVICE = "once that is mended, run again with --retry-errors, or --retry and the outcomes to ask again"
REASONS = 200  # different reasons that are counted
CODES = {outcome: code for code, outcome in enumerate(OUTCOMES)}


@dataclass
class RunStatus:
    """Progress of a run.

    Attributes
    ----------
    planned, before, asked : int
        Trials of the plan (or shard), those that had been answered before this run, those answered in it.
    outcomes : dict of str to int
        Outcomes of this run.
    requests, tokens, money, hours : float
        Spent so far, in earlier runs too.
    reason : str
        Why the run ended: "finished", "interrupted", or what stopped it.
    reasons : dict of (str, str) to (int, str)
        For outcome and detail of answers that are not valid: how many there were in this run, and the first reply.
    seconds : float
        Time that asking took in this run, without the time to get ready.
    lessons : tuple of str
        How requests were adapted to a server that did not take them as they were.
    any_valid : bool
        Whether the store holds any valid answer of the annotator, of earlier runs too.
    waiting : int
        Trials of those before this run that wait in batch files, and have no answer yet.

    Examples
    --------
    >>> from encoding.collection import run_collection
    >>> status = run_collection(opened, "careful")
    >>> status.planned, status.asked, status.reason
    (320, 0, 'finished')
    """

    planned: int
    before: int
    asked: int = 0
    outcomes: dict[str, int] = field(default_factory=lambda: dict.fromkeys(OUTCOMES, 0))
    requests: float = 0
    tokens: float = 0
    money: float = 0.0
    hours: float = 0.0
    reason: str = ""
    reasons: dict[tuple[str, str], tuple[int, str]] = field(default_factory=dict)
    seconds: float = 0.0
    lessons: tuple[str, ...] = ()
    any_valid: bool = False
    waiting: int = 0

    @property
    def none_valid(self) -> bool:
        """Whether there are answers, and none is valid."""
        return self.before + self.asked > self.waiting and not self.any_valid

    @property
    def left(self) -> int:
        """Trials without an answer."""
        return self.planned - self.before - self.asked


@dataclass(frozen=True)
class Asking:
    """Settings of how the trials of a plan are asked.

    Attributes
    ----------
    budget : Budget
        Limits.
    window : int
        Trials among which those that share contents are put together.
    shard : (int, int)
        Which part of the plan, from 1, and how many parts there are.
    retry_errors : bool
        Whether trials that ended in an error are asked again.
    retry : tuple of str
        Outcomes that are asked again: some of "unparsed", "truncated", "error" and "refused".
    waiting : ndarray of int64, shape (n, 4), or None
        Contents (by their number in the store) and repeat of trials that are asked by other means already.
    patience : int
        Trials in a row without a valid answer after which the run stops; 0 for any number.
    most : int
        Trials to ask at most; 0 for all.
    spread : bool
        Whether `most` trials are taken from the whole plan rather than from its beginning, for a dry run.

    Examples
    --------
    >>> from encoding.collection import Asking
    >>> Asking(window=1000, most=50).most
    50
    """

    budget: Budget = field(default_factory=Budget)
    window: int = 100_000
    shard: tuple[int, int] = (1, 1)
    retry_errors: bool = False
    most: int = 0
    spread: bool = False
    retry: tuple[str, ...] = ()
    patience: int = PATIENCE
    waiting: np.ndarray | None = None

    @property
    def again(self) -> list[str]:
        """Outcomes that are asked again."""
        return sorted({*self.retry, *(["error"] if self.retry_errors else [])})


def collect(
    plan: Plan, shown: np.ndarray, contents: Contents, annotator: Annotator, store: AnswerStore, *,
    asking: Asking | None = None, watch: Callable[[RunStatus], None] | None = None,
) -> RunStatus:  # fmt: skip
    """Ask the planned trials that have no answer yet; an interrupted run continues where it stopped.

    SIGINT and SIGTERM end it after the answers that are under way.

    Parameters
    ----------
    plan : Plan
        Trials.
    shown : ndarray of integers, shape (n_trials, 3)
        What is shown in each: index into the contents.
    contents : Contents
        What can be shown.
    annotator : Annotator
        Who is asked.
    store : AnswerStore
        Where answers are kept.
    asking : Asking, optional
        Budget, shard and such.
    watch : callable, optional
        Is called now and then with the progress.

    Returns
    -------
    RunStatus
        What was done, and why it ended.

    Raises
    ------
    DataError
        If another process is collecting into the store.

    Examples
    --------
    >>> from encoding.collection import collect
    >>> with opened.store() as store:
    ...     annotator = opened.annotator("careful")
    ...     status = collect(opened.plan, opened.shown, opened.what.contents, annotator, store)
    >>> status.before, status.asked
    (320, 0)
    """
    with store.alone():
        run = _Run(plan, shown, contents, annotator, store, asking=asking or Asking(), watch=watch)
        try:
            return _run_to_end(run.go())
        except asyncio.CancelledError:
            run.progress.reason = "interrupted"
            return run.progress


def _run_to_end(work: Coroutine[Any, Any, RunStatus]) -> RunStatus:
    """Run on a loop of our own, in a thread of its own where one is running already, as in notebooks."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(work)
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(asyncio.run, work).result()


def remaining(
    plan: Plan, shown: np.ndarray, contents: Contents, store: AnswerStore, setting: int, asking: Asking
) -> tuple[np.ndarray, np.ndarray, int, int]:
    """Find what is still to be asked, among how many, and how many wait in batches.

    Shapes: `shown` (n_trials, 3); returns attempts (n_trials,).
    """
    numbers = store.contents(contents.digests, contents.owners)
    matcher = Matcher(numbers, shown, plan.repeat)
    keys = store.packed_keys(setting, n_contents=matcher.n_contents, n_repeats=matcher.n_repeats)
    answered = matcher.answered(keys)
    attempts = np.zeros(len(plan), dtype=np.int64)
    waits = np.zeros(len(plan), dtype=bool)
    if asking.again:
        failed = [(key, attempt) for part in store.read(setting, (matcher.sql, "attempt"), outcomes=asking.again)
                  for key, attempt in zip(*part.values(), strict=True)]  # fmt: skip
        rows = matcher.rows(np.array([key for key, _ in failed], dtype=np.int64))
        here = rows >= 0
        answered[rows[here]] = False
        attempts[rows[here]] = np.array([attempt for _, attempt in failed], dtype=np.int64)[here] + 1
    if asking.waiting is not None and len(asking.waiting):
        known = asking.waiting[(asking.waiting < (*[matcher.n_contents] * 3, matcher.n_repeats)).all(axis=1)]
        keys = pack(known[:, :3], known[:, 3], n_contents=matcher.n_contents, n_repeats=matcher.n_repeats)
        rows = matcher.rows(keys)
        waits[rows[rows >= 0]] = True
    rows = schedule(plan, shown, window=asking.window)
    rows = shard_rows(rows, asking.shard, window=asking.window)
    return rows[~(answered | waits)[rows]], attempts, len(rows), int(waits[rows].sum())


class _Run:
    def __init__(
        self, plan: Plan, shown: np.ndarray, contents: Contents, annotator: Annotator, store: AnswerStore, *,
        asking: Asking, watch: Callable[[RunStatus], None] | None,
    ) -> None:  # fmt: skip
        self._plan, self._shown, self._annotator, self._store = plan, shown, annotator, store
        self._watch = watch
        self._setting = store.setting(annotator.identity(), annotator.name)
        self._rows, self._attempts, planned, n_waiting = remaining(plan, shown, contents, store, self._setting, asking)
        self.progress = RunStatus(planned, planned - len(self._rows), waiting=n_waiting)
        if asking.most and len(self._rows) > asking.most:
            step = len(self._rows) / asking.most if asking.spread else 1
            self._rows = self._rows[(np.arange(asking.most) * step).astype(np.int64)]
        # A name in the store per content, in plain Python: it is looked up three times per answer.
        self._numbers = store.contents(contents.digests, contents.owners).tolist()
        self._meter = Meter(asking.budget, store.spent(self._setting))
        self._waiting: list[AnswerRow] = []
        self._asking = asking
        self._in_row, self._refused, self._shared = (
            0,
            0,
            set[int](),
        )  # trials without a valid answer, and the stimuli in all of them
        self._block, self._block_valid = 0, 0
        self._any_valid = store.has_valid(self._setting)
        self._tries_out = bool(asking.patience) and not getattr(annotator, "free", False)
        self._under_way, self._ended = 0, asyncio.Event()
        self._begun = 0.0
        self._stop = ""
        self._run = 0

    async def go(self) -> RunStatus:
        if not len(self._rows):
            self.progress.reason, self.progress.any_valid = "finished", self._any_valid
            self._report()
            return self.progress
        self._report()
        async with self._annotator.ready() as notes:
            self._run = self._store.start_run(self._setting, {**notes, "versions": versions()})
            with self._signals():
                writer = asyncio.create_task(self._write_on())
                self._begun = time.perf_counter()
                try:
                    await self._ask_all()
                finally:
                    self.progress.seconds = time.perf_counter() - self._begun
                    writer.cancel()
                    await asyncio.gather(writer, return_exceptions=True)
                    try:
                        await self._flush()
                    except (sqlite3.Error, OSError, ValueError, OverflowError) as error:
                        lost = f"{len(self._waiting)} answers are lost and will be asked again"
                        raise DataError(f"{self._store.path}: cannot be written ({error}); {lost}.") from error
        self.progress.lessons = getattr(self._annotator, "lessons", ())
        if self.progress.lessons:
            self._store.note(self._run, {**notes, "versions": versions(), "adapted": self.progress.lessons})
        self._store.counts(self._setting)  # sums are kept, so that status need not read everything
        self.progress.reason, self.progress.any_valid = self._stop or "finished", self._any_valid
        self._report()
        return self.progress

    async def _ask_all(self) -> None:
        batches = self._batches()
        if self._meter.careful:
            await self._work(islice(batches, 1))  # one answer shows what a trial takes, before many are under way
        await self._all_work(batches, self._annotator.concurrency)

    async def _all_work(self, batches: Iterator[list[Trial]], n_workers: int) -> None:
        workers = [asyncio.create_task(self._work(batches)) for _ in range(n_workers)]
        try:
            await asyncio.gather(*workers)
        finally:
            for worker in workers:
                worker.cancel()
            await asyncio.gather(*workers, return_exceptions=True)

    def _batches(self) -> Iterator[list[Trial]]:
        size, chunk = self._annotator.batch, 8192
        for start in range(0, len(self._rows), chunk):
            rows = self._rows[start : start + chunk]
            columns = (rows, self._plan.items[rows], self._shown[rows], self._plan.repeat[rows])
            trials = [
                Trial(row, tuple(items), tuple(shown), repeat)
                for row, items, shown, repeat in zip(*(column.tolist() for column in columns), strict=True)
            ]
            for first in range(0, len(trials), size):
                yield trials[first : first + size]

    async def _work(self, batches: Iterator[list[Trial]]) -> None:
        for trials in batches:
            await self._admit(len(trials))
            if self._stop:
                return
            answers: list[Answer] = []
            try:
                self._meter.begin(len(trials))
            except Stopped as error:
                self._stop = self._stop or str(error)
                return
            try:
                self._under_way += len(trials)
                answers = await self._annotator.ask(trials, self._meter)
                for trial, answer in zip(trials, answers, strict=True):
                    self._keep(trial, answer)
            except Stopped as error:
                self._stop = self._stop or str(error)
                return
            finally:
                self._meter.end(answers, len(trials))
                self._under_way -= len(trials)
                self._ended.set()
            if len(self._waiting) > CROWDED:
                await self._flush()
            elif len(trials) > 1:
                await asyncio.sleep(0)  # in-process annotators never await, so yield to the other workers

    async def _admit(self, n: int) -> None:
        """Wait, until the first valid answer, while trials under way may show that no answer is of use."""
        most = min(FIRST, self._asking.patience)
        while (
            self._tries_out and not self._any_valid and not self._stop
            and self._under_way and self._under_way + self._in_row + n > most
        ):  # fmt: skip
            self._ended.clear()
            await self._ended.wait()

    def _keep(self, trial: Trial, answer: Answer) -> None:
        a, b, c = trial.shown
        number, p = self._numbers, answer.probabilities or (None, None, None)
        # In the order of the columns: names would take as long as all the rest.
        self._waiting.append(
            AnswerRow(
                self._setting, number[a], number[b], number[c], trial.repeat, int(self._attempts[trial.row]), self._run,
                CODES[answer.outcome], answer.choice, p[0], p[1], p[2], answer.mass, answer.reply, answer.detail,
                answer.tokens_in, answer.tokens_cached, answer.tokens_out, answer.tries, answer.latency,
                time.time() if answer.answered is None else answer.answered, answer.served, answer.participant,
                answer.reaction,
            )
        )  # fmt: skip
        self.progress.asked += 1
        self.progress.outcomes[answer.outcome] += 1
        if answer.outcome == "valid":
            self._any_valid = True
        else:
            self._count_reason(answer)
        if self._asking.patience and not getattr(self._annotator, "free", False):
            self._check_patience(trial, answer)

    def _count_reason(self, answer: Answer) -> None:
        reasons, key = self.progress.reasons, (answer.outcome, answer.detail[:120])
        if key in reasons or len(reasons) < REASONS:
            n, reply = reasons.get(key, (0, answer.reply[:200]))
            reasons[key] = n + 1, reply

    def _check_patience(self, trial: Trial, answer: Answer) -> None:
        """Stop where answers cost money and are of no use; stimuli that are refused may be refused rightly."""
        if answer.outcome == "valid":
            self._in_row = self._refused = 0
        elif answer.outcome == "refused":
            self._refused += 1
        else:
            self._shared = self._shared & set(trial.items) if self._in_row else set(trial.items)
            self._in_row += 1
        patience = self._asking.patience if self._any_valid else min(FIRST, self._asking.patience)
        tolerant = LENIENT if self._shared and self._any_valid else 1
        if self._in_row >= patience * tolerant or self._in_row + self._refused >= patience * LENIENT:
            n, detail = self._in_row + self._refused, f"the last: {answer.outcome}, {answer.detail}"
            self._stop = self._stop or f"{n} trials in a row had no valid answer ({detail}); {ADVICE}"
        if answer.outcome != "refused":
            self._block, self._block_valid = self._block + 1, self._block_valid + (answer.outcome == "valid")
        if self._block == BLOCK:
            if self._block_valid < LEAST_VALID * BLOCK:
                detail = f"the last: {answer.outcome}, {answer.detail}"
                share = f"{self._block_valid} of the last {BLOCK} answers were valid"
                self._stop = self._stop or f"only {share} ({detail}); {ADVICE}"
            self._block = self._block_valid = 0

    async def _write_on(self) -> None:
        while True:
            await asyncio.sleep(FLUSH)
            try:
                await self._flush()
            except Exception as error:
                # Nobody is asked what could not be kept; the last attempt to write is made at the end.
                self._stop = self._stop or f"answers cannot be written ({error})"
                return
            self._report()

    async def _flush(self) -> None:
        rows, self._waiting = self._waiting, []
        try:
            # Shielded: what has been answered is written even if the run is being cancelled.
            await asyncio.shield(asyncio.to_thread(self._store.write, rows, run=self._run, requests=self._meter.sent))
        except BaseException:
            self._waiting = rows + self._waiting
            raise

    def _report(self) -> None:
        progress, meter = self.progress, self._meter
        progress.requests, progress.tokens = meter.before["requests"] + meter.sent, meter.tokens
        progress.money, progress.hours = meter.money, meter.hours
        if self._watch is not None:
            self._watch(progress)

    @contextlib.contextmanager
    def _signals(self) -> Iterator[None]:
        """Stop the run cleanly on SIGINT or SIGTERM; a second signal stops it at once."""
        loop = asyncio.get_running_loop()
        task = asyncio.current_task()

        def stop() -> None:
            if self._stop and task is not None:
                task.cancel()
            self._stop = self._stop or "interrupted"

        handled = []
        for number in (signal.SIGINT, signal.SIGTERM):
            with contextlib.suppress(ValueError, NotImplementedError, RuntimeError):  # outside the main thread
                loop.add_signal_handler(number, stop)
                handled.append(number)
        try:
            yield
        finally:
            for number in handled:
                loop.remove_signal_handler(number)

"""Every planned trial ends in one typed outcome, whatever the server does, and whenever the process dies."""

import asyncio
import contextlib
import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from loopback import Loopback, by_hash

from encoding.collection.budget import Budget
from encoding.collection.contents import choose, of_captions
from encoding.collection.designs import Design, make_plan
from encoding.collection.exporting import Source, export, exported
from encoding.collection.openai import OpenAI
from encoding.collection.runner import Asking, collect
from encoding.collection.trials import Answer
from encoding.core import DataError
from encoding.io.judgments.answers import AnswerStore

HERE = Path(__file__).parent


class Serving:
    """A loopback server in a thread, for code that runs an event loop of its own."""

    def __init__(self, answer, **how):
        self._answer, self._how = answer, how

    def __enter__(self):
        started = threading.Event()

        async def main():
            async with Loopback(self._answer, **self._how) as self.server:
                self._done = asyncio.Event()
                self._loop = asyncio.get_running_loop()
                started.set()
                await self._done.wait()

        self._thread = threading.Thread(target=lambda: asyncio.run(main()))
        self._thread.start()
        started.wait()
        return self.server

    def __exit__(self, *_):
        self._loop.call_soon_threadsafe(self._done.set)
        self._thread.join()


def setup(names, captions, n_triplets=150, **design):
    plan = make_plan(Design(n_triplets=n_triplets, **design), names)
    contents = of_captions(names, captions)
    return plan, choose(plan, contents), contents


def rows_of(store):
    query = "SELECT first, second, third, repeat, outcome, choice FROM answers ORDER BY id"
    return store.base.execute(query).fetchall()


def test_answers_are_those_of_the_captions(tmp_path, names, captions):
    plan, shown, contents = setup(names, captions)
    with Serving(by_hash) as server, AnswerStore(tmp_path / "a.sqlite") as store:
        annotator = OpenAI("toy", "captions-letter", url=server.url).open(contents)
        progress = collect(plan, shown, contents, annotator, store)
        assert (progress.planned, progress.asked, progress.left, progress.reason) == (150, 150, 0, "finished")
        assert progress.outcomes["valid"] == 150
        again = collect(plan, shown, contents, annotator, store)
        assert (again.before, again.asked, server.n_requests) == (150, 0, 150)
        setting = store.find_setting(annotator.identity())
        counts = export(Source(plan, shown, contents, store, setting, "toy"), tmp_path / "out")
        (run,) = store.runs(setting)
    assert run["notes"]["models"] == ["toy"]
    assert run["notes"]["version"] == "1.2.3"
    assert counts["judgments.parquet"] == 150
    judgments = exported(tmp_path / "out")
    # The same function of captions, asked directly.
    for items, choice, probabilities in zip(judgments.items, judgments.choice, judgments.probabilities, strict=True):
        lines = [f"{label}: {captions[names[item]][0]}" for label, item in zip("ABC", items, strict=True)]
        wanted = by_hash({"messages": [{"content": "\n".join(lines)}]})
        assert "ABC"[choice] == wanted["content"]
        weights = np.exp([value for _, value in wanted["logprobs"]])
        assert np.allclose(probabilities, weights / weights.sum(), atol=1e-6)
    train = np.loadtxt(tmp_path / "out" / "train_90.txt", dtype=int)
    assert counts["train_90.txt"] + counts["test_10.txt"] == 150
    odd = judgments.items[np.arange(150), judgments.choice]
    by_triplet = {tuple(sorted(items)): one for items, one in zip(judgments.items.tolist(), odd.tolist(), strict=True)}
    assert all(by_triplet[tuple(sorted(row))] == row[2] for row in train.tolist())
    assert np.array_equal(np.load(tmp_path / "out" / "train_90.npy"), train)


def test_every_fault_ends_in_a_typed_outcome(tmp_path, names, captions):
    draw = random.Random(0)
    kinds = {"drop": 0, "garbage": 0, "silence": 0, 429: 0, 500: 0}

    def fault(_number, _body):
        kind = draw.choice(list(kinds)) if draw.random() < 0.12 else None
        if kind == "silence" and kinds[kind] >= 3:
            kind = None
        if kind is not None:
            kinds[kind] += 1
        return (429, {"Retry-After": "0.02"}) if kind == 429 else kind

    plan, shown, contents = setup(names, captions, n_triplets=200)
    with Serving(by_hash, fault=fault) as server, AnswerStore(tmp_path / "a.sqlite") as store:
        annotator = OpenAI("toy", "captions-letter", url=server.url, timeout=1.0, tries=8).open(contents)
        progress = collect(plan, shown, contents, annotator, store)
        rows = rows_of(store)
        spent = store.spent(1)
    assert all(kinds.values())
    assert progress.reason == "finished"
    assert len(rows) == len(set(rows)) == 200
    assert progress.outcomes["valid"] == 200
    assert spent["requests"] == server.n_requests == 200 + sum(kinds.values())


def test_lasting_faults_are_errors_and_are_asked_again_on_demand(tmp_path, names, captions):
    bad = captions[names[3]][0].encode()
    faulty = {"on": True}
    plan, shown, contents = setup(names, captions, n_triplets=100)
    with (
        Serving(by_hash, fault=lambda _, body: 500 if faulty["on"] and bad in body else None) as server,
        AnswerStore(tmp_path / "a.sqlite") as store,
    ):
        annotator = OpenAI("toy", "captions-letter", url=server.url, tries=2).open(contents)
        progress = collect(plan, shown, contents, annotator, store)
        n_bad = int((plan.items == 3).any(axis=1).sum())
        assert progress.outcomes == {"valid": 100 - n_bad, "refused": 0, "unparsed": 0, "truncated": 0, "error": n_bad}
        details = {row[0] for row in store.base.execute("SELECT detail FROM answers WHERE outcome = 4")}
        assert len(details) == 1
        assert "status 500" in details.pop()
        faulty["on"] = False
        assert collect(plan, shown, contents, annotator, store).asked == 0
        again = collect(plan, shown, contents, annotator, store, asking=Asking(retry_errors=True))
        assert again.outcomes["valid"] == again.asked == n_bad
        setting = store.find_setting(annotator.identity())
        assert store.counts(setting)["valid"] == 100
        counts = export(Source(plan, shown, contents, store, setting, "toy"), tmp_path / "out")
        assert counts["judgments.parquet"] == 100


def test_refusals_and_requests_that_are_wrong_are_not_repeated(tmp_path, names, captions):
    plan, shown, contents = setup(names, captions, n_triplets=60)

    def answer(request):
        return {"content": "", "refusal": "I would rather not."} if len(request["messages"]) else {}

    with (
        Serving(answer, fault=lambda number, _: 400 if number % 3 == 0 else None) as server,
        AnswerStore(tmp_path / "a.sqlite") as store,
    ):
        annotator = OpenAI("toy", "captions-letter", url=server.url).open(contents)
        progress = collect(plan, shown, contents, annotator, store)
        assert server.n_requests == 60
    assert progress.outcomes["refused"] == 40
    assert progress.outcomes["error"] == 20


def test_a_server_that_is_down_stops_the_run_with_advice(tmp_path, names, captions):
    plan, shown, contents = setup(names, captions)
    with AnswerStore(tmp_path / "a.sqlite") as store:
        annotator = OpenAI("toy", "captions-letter", url="http://127.0.0.1:9/v1", tries=1).open(contents)
        progress = collect(plan, shown, contents, annotator, store)
    assert "no connection" in progress.reason
    assert "--retry-errors" in progress.reason
    assert progress.left > 0


@pytest.mark.parametrize("status", [401, 404])
def test_a_server_that_knows_us_not_is_asked_once(tmp_path, names, captions, status):
    plan, shown, contents = setup(names, captions)
    with Serving(by_hash, fault=lambda *_: status) as server, AnswerStore(tmp_path / "a.sqlite") as store:
        annotator = OpenAI("toy", "captions-letter", url=server.url, concurrency=1).open(contents)
        progress = collect(plan, shown, contents, annotator, store)
        assert server.n_requests == 1
        assert rows_of(store) == []
    assert f"status {status}" in progress.reason


def test_retry_after_is_honoured(tmp_path, names, captions):
    seen = []

    def fault(number, _body):
        seen.append(time.monotonic())
        return (429, {"Retry-After": "0.6"}) if number == 3 else None

    plan, shown, contents = setup(names, captions, n_triplets=30)
    with Serving(by_hash, fault=fault) as server, AnswerStore(tmp_path / "a.sqlite") as store:
        annotator = OpenAI("toy", "captions-letter", url=server.url, concurrency=1).open(contents)
        assert collect(plan, shown, contents, annotator, store).outcomes["valid"] == 30
    gaps = np.diff(seen)
    assert gaps[2] >= 0.6
    assert np.delete(gaps, 2).max() < 0.5


def test_a_long_rest_ends_the_run(tmp_path, names, captions):
    plan, shown, contents = setup(names, captions)
    with (
        Serving(by_hash, fault=lambda *_: (429, {"Retry-After": "7200"})) as server,
        AnswerStore(tmp_path / "a.sqlite") as store,
    ):
        annotator = OpenAI("toy", "captions-letter", url=server.url).open(contents)
        progress = collect(plan, shown, contents, annotator, store)
    assert "wants 7,200 s of rest" in progress.reason


def test_concurrency_falls_when_the_server_complains(tmp_path, names, captions):
    plan, shown, contents = setup(names, captions, n_triplets=200)
    late = []

    def fault(number, _body):
        late.append(server_box[0].under_way)
        return 429 if server_box[0].under_way > 4 else None

    server_box = []
    with Serving(by_hash, latency=0.01, fault=fault) as server, AnswerStore(tmp_path / "a.sqlite") as store:
        server_box.append(server)
        annotator = OpenAI("toy", "captions-letter", url=server.url, tries=20, concurrency=32).open(contents)
        progress = collect(plan, shown, contents, annotator, store)
    assert progress.outcomes["valid"] == 200
    assert max(late[:40]) > 8
    assert np.mean(late[-100:]) < 7


def tokens(request):
    return by_hash(request) | {"tokens_in": 100, "tokens_cached": 40, "tokens_out": 1}


@pytest.mark.parametrize(
    ("budget", "word", "most"),
    [
        (Budget(requests=37), "37 requests", 37),
        (Budget(tokens=5000), "5,000 tokens", 49),
        (Budget(money=0.001, price_in=5.0, price_cached=5.0, price_out=20.0), "0.001 USD", 2),
        (Budget(money=0.01, price_in=5.0, price_cached=0.5, price_out=20.0), "0.01 USD", 30),
        (Budget(hours=1e-9), "1e-09 hours", 0),
    ],
)
def test_budgets_are_hard_and_count_earlier_runs(tmp_path, names, captions, budget, word, most):
    plan, shown, contents = setup(names, captions)
    with Serving(tokens, latency=0.002) as server, AnswerStore(tmp_path / "a.sqlite") as store:
        annotator = OpenAI("toy", "captions-letter", url=server.url, concurrency=8).open(contents)
        progress = collect(plan, shown, contents, annotator, store, asking=Asking(budget))
        assert word in progress.reason
        first = progress.asked
        assert first <= most
        if most > 2:
            assert first > 0.5 * most
        again = collect(plan, shown, contents, annotator, store, asking=Asking(budget))
        assert word in again.reason
        spent = store.spent(1)
        assert server.n_requests <= most
        assert spent["requests"] == server.n_requests
        if budget.tokens:
            assert spent["tokens_in"] + spent["tokens_out"] <= budget.tokens
        if budget.money:
            cost = budget.cost(spent["tokens_in"], spent["tokens_cached"], spent["tokens_out"])
            assert cost <= budget.money
            assert again.money == pytest.approx(cost)


def test_shards_are_the_plan_and_merge_to_it(tmp_path, names, captions):
    from encoding.io.judgments.answers import merge_stores

    plan, shown, contents = setup(names, captions, n_triplets=100, repeated=3, repeats=4, subset=4)
    with Serving(by_hash) as server:
        annotator = OpenAI("toy", "captions-letter", url=server.url).open(contents)
        for number in (1, 2, 3):
            with AnswerStore(tmp_path / f"{number}.sqlite") as store:
                progress = collect(plan, shown, contents, annotator, store, asking=Asking(shard=(number, 3), window=50))
                assert 30 <= progress.asked <= 43
    with AnswerStore(tmp_path / "all.sqlite") as whole:
        for number in (1, 2, 3):
            assert merge_stores(whole, tmp_path / f"{number}.sqlite")["known"] == 0
        assert len(rows_of(whole)) == len(plan) == 100 + 4 + 9
        assert collect(plan, shown, contents, annotator, whole).asked == 0


COLLECT = """
import sys
sys.path.insert(0, {here!r})
from encoding.collection.contents import choose, of_captions
from encoding.collection.designs import Design, make_plan
from encoding.collection.openai import OpenAI
from encoding.collection.runner import collect
from encoding.io.judgments.answers import AnswerStore
names = [f"clip{{i:02d}}" for i in range(25)]
plan = make_plan(Design(n_triplets=2200), names)
contents = of_captions(names, {{name: ["Thing " + name] for name in names}})
with AnswerStore({store!r}) as store:
    annotator = OpenAI("toy", "captions-letter", url={url!r}, concurrency=16).open(contents)
    progress = collect(plan, choose(plan, contents), contents, annotator, store)
    sys.exit(0 if progress.reason == "finished" else 3)
"""


def kept(path):
    """Answers that a run has kept so far."""
    with contextlib.closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as base:
        return base.execute("SELECT count(*) FROM answers").fetchone()[0]


def test_killed_runs_lose_nothing_and_double_nothing(tmp_path):
    draw = random.Random(1)
    path = tmp_path / "a.sqlite"
    with Serving(by_hash, latency=0.002) as server:
        code = COLLECT.format(here=str(HERE), store=str(path), url=server.url)
        sizes = []
        for some in (False, True, False):
            before = server.n_requests
            process = subprocess.Popen([sys.executable, "-c", code])
            while server.n_requests == before and process.poll() is None:
                time.sleep(0.005)
            # Once when the first answers are kept, whether the machine is quick or slow, else at a random time.
            time.sleep(0 if some else 0.4 * draw.random())
            while some and not kept(path) and process.poll() is None:
                time.sleep(0.002)
            process.kill()
            process.wait()
            with AnswerStore(path) as store:
                sizes.append(len(rows_of(store)))
        assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
    with AnswerStore(path) as store:
        rows = rows_of(store)
        assert store.base.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    assert len(rows) == len({row[:4] for row in rows}) == 2200
    assert all(row[4] == 0 for row in rows)
    assert sizes == sorted(sizes)
    assert 0 < sizes[1] < 2200
    # What was under way when the process died is asked again, and nothing else.
    assert server.n_requests <= 2200 + 3 * (16 + 1000)


def test_sums_are_kept_also_by_who_only_reads(tmp_path, names, captions):
    """Status of millions of answers is quick the second time, after a run that was killed too."""
    plan, shown, contents = setup(names, captions, n_triplets=30)
    with Serving(by_hash) as server, AnswerStore(tmp_path / "a.sqlite") as store:
        collect(plan, shown, contents, OpenAI("toy", "captions-letter", url=server.url).open(contents), store)
        wanted = store.counts(1), store.spent(1)
        store.base.execute("DELETE FROM summaries")
    for _ in range(2):
        with AnswerStore(tmp_path / "a.sqlite", read_only=True) as store:
            assert (store.counts(1), store.spent(1)) == wanted
            assert store.base.execute("SELECT upto FROM summaries").fetchall() == [(30,)]
            with pytest.raises(sqlite3.OperationalError, match="readonly"):
                store.base.execute("DELETE FROM summaries")


def test_sums_are_kept_while_answers_are_written(tmp_path, monkeypatch):
    """A run that is killed leaves few answers that status has to read."""
    from encoding.io.judgments import answers

    monkeypatch.setattr(answers, "SUMMED", 20)
    with AnswerStore(tmp_path / "a.sqlite") as store:
        setting = store.setting({"kind": "x"}, "x")
        run = store.start_run(setting, {})
        contents = store.contents([str(k) for k in range(60)], [str(k) for k in range(60)]).tolist()
        for first in range(0, 50, 10):
            asked = [(setting, *contents[k : k + 3], 0, 0, run, k % 2, 0) for k in range(first, first + 10)]
            rows = [(*what, *[None] * 4, "", "", 7, 2, 1, 1, 0.1, 1.7e9) for what in asked]
            store.write(rows, run=run, requests=first + 10)
        ((upto, sums),) = store.base.execute("SELECT upto, sums FROM summaries").fetchall()
        assert upto == 40
        assert json.loads(sums)["tokens_in"] == 280
        assert sum(store.counts(setting).values()) == 50
        assert store.spent(setting)["tokens_in"] == 350


def test_ctrl_c_ends_a_run_well(tmp_path):
    path = tmp_path / "a.sqlite"
    with Serving(by_hash, latency=0.02) as server:
        code = COLLECT.format(here=str(HERE), store=str(path), url=server.url)
        process = subprocess.Popen([sys.executable, "-c", code])
        while server.n_requests < 50:
            time.sleep(0.01)
        os.kill(process.pid, signal.SIGINT)
        assert process.wait(timeout=20) == 3
        asked = server.n_requests
    with AnswerStore(path) as store:
        assert len(rows_of(store)) == asked


def test_answers_that_cannot_be_written_stop_the_asking(tmp_path, names, captions, monkeypatch):
    plan, shown, contents = setup(names, captions)
    with Serving(by_hash, latency=0.05) as server, AnswerStore(tmp_path / "a.sqlite") as store:
        annotator = OpenAI("toy", "captions-letter", url=server.url, concurrency=4).open(contents)

        def full(*_, **__):
            raise OSError("no space left on device")

        monkeypatch.setattr(store, "write", full)
        with pytest.raises(DataError, match="no space left on device"):
            collect(plan, shown, contents, annotator, store)
        assert server.n_requests < 100


class Instant:
    """An annotator that answers at once, for the parts around it."""

    name, batch, concurrency = "instant", 64, 2

    def identity(self):
        return {"kind": "instant"}

    def ready(self):
        from contextlib import asynccontextmanager

        @asynccontextmanager
        async def nothing():
            yield {}

        return nothing()

    async def ask(self, trials, ledger):  # noqa: ARG002
        return [Answer("valid", trial.row % 3) for trial in trials]


def test_dry_run_takes_trials_from_the_whole_plan(tmp_path, names, captions):
    plan, shown, contents = setup(names, captions, n_triplets=200)
    with AnswerStore(tmp_path / "a.sqlite") as store:
        progress = collect(plan, shown, contents, Instant(), store, asking=Asking(most=20, spread=True, window=1))
        assert progress.asked == 20
        firsts = [row[0] for row in rows_of(store)]
        assert len(set(firsts)) > 6
        rest = collect(plan, shown, contents, Instant(), store)
        assert rest.asked == 180


def test_progress_is_told(tmp_path, names, captions):
    plan, shown, contents = setup(names, captions, n_triplets=200)
    seen = []
    with AnswerStore(tmp_path / "a.sqlite") as store:
        collect(plan, shown, contents, Instant(), store, watch=lambda progress: seen.append(progress.asked))
    assert seen[-1] == 200


def test_it_runs_where_a_loop_is_running_already(tmp_path, names, captions):
    plan, shown, contents = setup(names, captions)

    async def notebook():
        with AnswerStore(tmp_path / "a.sqlite") as store:
            return collect(plan, shown, contents, Instant(), store)

    assert asyncio.run(notebook()).asked == 150

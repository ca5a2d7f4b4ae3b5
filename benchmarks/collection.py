"""Speed and safety of collecting: plans, requests, faults, kills, stores.

    python benchmarks/collection.py [--only plan client faults kills store] [--quick] [--results benchmarks/results]

- plan: 12 million unique triplets of 2,180 stimuli, with orders and splits: time, memory of the whole process, and the
  smallest and largest number of triplets per pair.
- client: requests a second of one process against a loopback server that answers after 20 ms, at concurrency 64, with
  everything that a collection does (schedule, budget, reading, store); beside it, in turns, bare aiohttp on the same
  requests, which is as fast as this could become.
- faults: 1% each of 429, 500, time-outs, dropped connections and garbage.
- kills: the collecting process is killed with SIGKILL at random moments, 50 times, then runs to its end.
- store: a million answers: how long a run takes to find what is left to ask, and how long the export takes.

Times are of this machine at this load; processor time is given beside wall time where another process takes part.
"""

import argparse
import asyncio
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from encoding.collection import Asking, Design, OpenAI, Source, choose, collect, export, make_plan, of_captions
from encoding.collection.runner import remaining
from encoding.core import versions
from encoding.io.atomic import write_json, write_text
from encoding.io.judgments.answers import AnswerStore
from encoding.numerics.triplet_ranks import pair_counts, rank_triplets

LOOPBACK = Path(__file__).resolve().parents[1] / "tests" / "collection" / "loopback.py"
PARTS = ("plan", "client", "faults", "kills", "store")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="+", choices=PARTS, default=PARTS)
    parser.add_argument("--quick", action="store_true", help="a tenth of the size")
    parser.add_argument("--results", type=Path, default=Path(__file__).parent / "results")
    parser.add_argument("--worker", nargs=argparse.REMAINDER, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        return WORKERS[options.worker[0]](*options.worker[1:])
    scale = 0.1 if options.quick else 1.0
    path = options.results / "collection.json"
    found = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    for part in options.only:
        found[part] = {"load": os.getloadavg()[0], **MEASURES[part](scale)}
        print(part, json.dumps(found[part], indent=1))
        write_json(path, {**found, "versions": versions(), "python": sys.version.split()[0], "cores": os.cpu_count()})
    write_text(options.results / "collection.md", table(found))


@contextmanager
def loopback(*arguments: str) -> Iterator[str]:
    server = subprocess.Popen(
        [sys.executable, str(LOOPBACK), *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        yield server.stdout.readline().strip()
    finally:
        server.stdin.close()
        server.wait()


def captioned(n: int):
    names = [f"clip{i:04d}" for i in range(n)]
    return names, of_captions(
        names, {name: [f"Somebody {i} walks along a street and looks up."] for i, name in enumerate(names)}
    )


# Plans


def measure_plan(scale: float) -> dict:
    found = {}
    for kind in ("random", "balanced"):
        command = [sys.executable, __file__, "--worker", "plan", kind, str(int(12_000_000 * scale))]
        result = subprocess.run(command, capture_output=True, text=True, check=True)
        found[kind] = json.loads(result.stdout)
    return found


def work_plan(kind: str, n: str) -> None:
    start, cpu = time.perf_counter(), time.process_time()
    plan = make_plan(Design(kind=kind, n_triplets=int(n)), [f"clip{i:04d}" for i in range(2180)])
    seconds, cpu = time.perf_counter() - start, time.process_time() - cpu
    # Not getrusage, which also counts what the parent held when it made this process.
    status = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    memory = next(int(line.split()[1]) for line in status if line.startswith("VmHWM")) / 1024
    unique = len(np.unique(rank_triplets(plan.items)))
    pairs = pair_counts(plan.items, 2180)
    used = np.stack([np.bincount(plan.items[:, slot], minlength=2180) for slot in range(3)], axis=1)
    print(json.dumps({
        "triplets": len(plan), "unique": unique, "seconds": seconds, "cpu_seconds": cpu, "peak_mb": memory,
        "pair_least": int(pairs.min()), "pair_most": int(pairs.max()),
        "slot_difference": int(np.ptp(used, axis=1).max()),
    }))  # fmt: skip


# Requests


def measure_client(scale: float) -> dict:
    n, rounds = int(10_000 * scale), 3
    names, contents = captioned(200)
    plan = make_plan(Design(n_triplets=n), names)
    shown = choose(plan, contents)
    ours, bare, cpu = [], [], []
    with loopback("--latency", "0.02") as url:
        for turn in range(rounds):
            with tempfile.TemporaryDirectory() as folder, AnswerStore(Path(folder) / "a.sqlite") as store:
                annotator = OpenAI("toy", "captions-letter", url=url).open(contents)
                start, used = time.perf_counter(), time.process_time()
                progress = collect(plan, shown, contents, annotator, store)
                ours.append(n / (time.perf_counter() - start))
                cpu.append((time.process_time() - used) / n * 1000)
                assert progress.reason == "finished", progress
            bare.append(asyncio.run(_bare(url, n, turn)))
    return {
        "requests": n, "concurrency": 64, "latency_ms": 20, "rounds": rounds,
        "per_second": float(np.median(ours)), "per_second_all": ours, "cpu_ms_per_request": float(np.median(cpu)),
        "bare_aiohttp_per_second": float(np.median(bare)), "bare_aiohttp_all": bare,
    }  # fmt: skip


async def _bare(url: str, n: int, turn: int) -> float:
    import aiohttp

    body = json.dumps({"messages": [{"content": f"A: {turn}\nB: b\nC: c"}]}).encode()
    left = iter(range(n))
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:

        async def work() -> None:
            for _ in left:
                async with session.post(f"{url}/chat/completions", data=body) as response:
                    json.loads(await response.read())

        start = time.perf_counter()
        await asyncio.gather(*(work() for _ in range(64)))
        return n / (time.perf_counter() - start)


# Faults


def measure_faults(scale: float) -> dict:
    n = int(10_000 * scale)
    names, contents = captioned(60)
    plan = make_plan(Design(n_triplets=n), names)
    shown = choose(plan, contents)
    with (
        loopback("--latency", "0.02", "--faults", "0.01") as url,
        tempfile.TemporaryDirectory() as folder,
        AnswerStore(Path(folder) / "a.sqlite") as store,
    ):
        annotator = OpenAI("toy", "captions-letter", url=url, timeout=2.0).open(contents)
        start = time.perf_counter()
        progress = collect(plan, shown, contents, annotator, store)
        seconds = time.perf_counter() - start
        distinct = store.base.execute(
            "SELECT count(DISTINCT first || '-' || second || '-' || third) FROM answers"
        ).fetchone()
        total = store.base.execute("SELECT count(*) FROM answers").fetchone()
        requests = store.spent(1)["requests"]
    return {
        "trials": n, "stored": total[0], "distinct": distinct[0], "outcomes": progress.outcomes, "requests": requests,
        "seconds": seconds, "reason": progress.reason,
    }  # fmt: skip


# Kills


def measure_kills(scale: float) -> dict:
    n, kills = int(40_000 * scale), max(5, int(50 * scale))
    draw = random.Random(0)
    with loopback("--latency", "0.005") as url, tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder) / "a.sqlite")
        command = [sys.executable, __file__, "--worker", "collect", path, url, str(n)]
        sizes = [0]
        done = 0
        while done < kills:
            process = subprocess.Popen(command, stdout=subprocess.PIPE)
            process.stdout.readline()  # it begins to ask
            time.sleep(draw.uniform(0.0, 1.2))
            if process.poll() is not None:
                break  # everything was asked before the last kill
            process.kill()
            process.wait()
            done += 1
            if Path(path).is_file():
                with AnswerStore(path) as store:
                    sizes.append(store.base.execute("SELECT count(*) FROM answers").fetchone()[0])
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        with AnswerStore(path) as store:
            total = store.base.execute("SELECT count(*) FROM answers").fetchone()[0]
            keys = store.keys(1)
            whole = store.base.execute("PRAGMA integrity_check").fetchone()[0]
            requests = store.spent(1)["requests"]
    return {
        "trials": n, "kills": done, "stored": total, "distinct": len(np.unique(keys[:, :4], axis=0)),
        "integrity": whole, "never_shrank": sizes == sorted(sizes),
        "counted_requests": requests, "kept_at_kills": sizes[-1],
    }  # fmt: skip


def work_collect(path: str, url: str, n: str) -> None:
    names, contents = captioned(80)
    plan = make_plan(Design(n_triplets=int(n)), names)
    shown = choose(plan, contents)
    with AnswerStore(path) as store:
        annotator = OpenAI("toy", "captions-letter", url=url, concurrency=32).open(contents)
        print("asking", flush=True)
        progress = collect(plan, shown, contents, annotator, store)
    if progress.reason != "finished":
        sys.exit(progress.reason)


# Stores


def measure_store(scale: float) -> dict:
    n = int(1_000_000 * scale)
    names, contents = captioned(2180)
    plan = make_plan(Design(n_triplets=n + 1000), names)
    shown = choose(plan, contents)
    rng = np.random.default_rng(0)
    choice, p = rng.integers(0, 3, n).tolist(), rng.dirichlet((1, 1, 1), n).tolist()
    with tempfile.TemporaryDirectory() as folder, AnswerStore(Path(folder) / "a.sqlite") as store:
        setting = store.setting({"model": "toy"}, "toy")
        numbers = store.contents(contents.digests, contents.owners)
        run = store.start_run(setting, {})
        asked = numbers[shown[rng.permutation(len(plan))[:n]]].tolist()
        start = time.perf_counter()
        for first in range(0, n, 50_000):
            rows = [
                (
                    setting,
                    *asked[i],
                    0,
                    0,
                    run,
                    0,
                    choice[i],
                    *p[i],
                    0.97,
                    "ABC"[choice[i]],
                    "",
                    140,
                    90,
                    1,
                    1,
                    0.3,
                    1e9 + i,
                )
                for i in range(first, min(first + 50_000, n))
            ]
            store.write(rows, run=run, requests=n)
        written = time.perf_counter() - start
        size = store.path.stat().st_size / 1e6
        start, cpu = time.perf_counter(), time.process_time()
        rows, _, _ = remaining(plan, shown, contents, store, setting, Asking())
        resume, resume_cpu = time.perf_counter() - start, time.process_time() - cpu
        assert len(rows) == 1000
        source = Source(plan, shown, contents, store, setting, "toy")
        start, cpu = time.perf_counter(), time.process_time()
        counts = export(source, Path(folder) / "out")
        seconds, export_cpu = time.perf_counter() - start, time.process_time() - cpu
    return {
        "answers": n, "write_seconds": written, "size_mb": size, "resume_seconds": resume,
        "resume_cpu_seconds": resume_cpu, "export_seconds": seconds, "export_cpu_seconds": export_cpu, "files": counts,
    }  # fmt: skip


MEASURES = {
    "plan": measure_plan,
    "client": measure_client,
    "faults": measure_faults,
    "kills": measure_kills,
    "store": measure_store,
}
WORKERS = {"plan": work_plan, "collect": work_collect}


def table(found: dict) -> str:
    rows = [line for part, lines in LINES.items() if part in found for line in lines(found[part])]
    loads = ", ".join(f"{part} {found[part]['load']:.1f}" for part in LINES if part in found)
    head = (
        "# Collecting, measured\n\nBy `benchmarks/collection.py`; conditions in `collection.json`. Other work ran "
        f"beside it: the load average before each part, on {found.get('cores')} cores, was {loads}.\n\n"
    )
    return head + "\n".join(["| what | wanted | measured |", "|---|---|---|", *rows]) + "\n"


def plan_lines(found: dict) -> list[str]:
    return [
        f"| {one['unique']:,} unique triplets, {kind} | 5 s, 300 MB | {one['seconds']:.1f} s "
        f"({one['cpu_seconds']:.1f} s of processor), {one['peak_mb']:.0f} MB; pairs in {one['pair_least']} to "
        f"{one['pair_most']} triplets, slots of an item differ by {one['slot_difference']} at most |"
        for kind, one in found.items()
        if isinstance(one, dict)
    ]


def client_lines(found: dict) -> list[str]:
    return [
        f"| requests a second at 20 ms, concurrency 64, store included | 1,000 | {found['per_second']:,.0f} (bare "
        f"aiohttp in the same run {found['bare_aiohttp_per_second']:,.0f}); {found['cpu_ms_per_request']:.2f} ms of "
        f"processor each |"
    ]


def fault_lines(found: dict) -> list[str]:
    return [
        f"| {found['trials']:,} trials, 1% each of five faults | each once, typed | {found['distinct']:,} distinct of "
        f"{found['stored']:,} stored, {found['outcomes']['valid']:,} valid, {found['outcomes']['error']:,} errors, "
        f"{found['requests']:,.0f} requests |"
    ]


def kill_lines(found: dict) -> list[str]:
    return [
        f"| {found['kills']} SIGKILLs, {found['trials']:,} trials | each once | {found['distinct']:,} distinct of "
        f"{found['stored']:,} stored; integrity {found['integrity']} |"
    ]


def store_lines(found: dict) -> list[str]:
    return [
        f"| {found['answers']:,} answers: resume | 2 s | {found['resume_seconds']:.2f} s "
        f"({found['resume_cpu_seconds']:.2f} s of processor) |",
        f"| {found['answers']:,} answers: export | 10 s | {found['export_seconds']:.1f} s "
        f"({found['export_cpu_seconds']:.1f} s of processor); store of {found['size_mb']:.0f} MB |",
    ]


LINES = {
    "plan": plan_lines,
    "client": client_lines,
    "faults": fault_lines,
    "kills": kill_lines,
    "store": store_lines,
}


if __name__ == "__main__":
    main()

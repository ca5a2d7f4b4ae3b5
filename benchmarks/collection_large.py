"""A collection of 12 million judgments: plan, resume, status, export and report, each by its command.

    python benchmarks/collection_large.py [--rows 12000000] [--folder DIR] [--results benchmarks/results]

2,180 stimuli with captions, a balanced design. All but a thousand of the answers are written into the store as a run
writes them, then every command runs in a process of its own, with a server on loopback for the last thousand. Given are
seconds, seconds of processor, and the largest memory of the process. Needs 5 GB of disk; steps that are done are not
repeated where the folder is kept (`--most` of them at once; answers are written three million at a time).
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from encoding.collection import open_collection
from encoding.config.collect import read_collection
from encoding.core import versions
from encoding.io.atomic import write_json, write_text

LOOPBACK = Path(__file__).resolve().parents[1] / "tests" / "collection" / "loopback.py"
LEFT = 1000  # trials that no answer is written of
PART = 50_000  # answers that are written at once, at least
CONFIG = """seed = 0
[stimuli]
table = "stimuli.tsv"
show = "captions"
[design]
kind = "balanced"
n_triplets = {n}
test = 0.1
[[annotator]]
kind = "openai"
model = "toy"
prompt = "captions-letter"
url = "{url}"
[collect]
folder = "out"
"""
STEPS = {
    "plan": ["plan", "--dry-run", "0"],
    "write": None,
    **{f"write, part {k}": None for k in range(2, 5)},
    "status, first": ["status"],
    "run: find the last 1,000 and ask them": ["run"],
    "run: nothing left": ["run"],
    "status": ["status"],
    "export": ["export"],
    "check": ["check"],
    "trials": ["trials"],
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=12_000_000)
    parser.add_argument("--folder", type=Path, help="kept; default: one that is deleted")
    parser.add_argument("--results", type=Path, default=Path(__file__).parent / "results")
    parser.add_argument("--most", type=int, default=len(STEPS), metavar="N", help="new steps in this run")
    parser.add_argument("--seconds", type=float, default=1e9, help="no step begins later than this")
    parser.add_argument("--write", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.write:
        return write_answers(options.folder)
    folder = options.folder or Path(tempfile.mkdtemp(prefix="collection-large-"))
    folder.mkdir(parents=True, exist_ok=True)
    begun = time.perf_counter()
    kept = folder / "found.json"
    found = json.loads(kept.read_text(encoding="utf-8")) if kept.is_file() else {}
    server = subprocess.Popen([sys.executable, str(LOOPBACK)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        url = server.stdout.readline().strip()
        captions = [f"Somebody {i} walks along a street and looks up." for i in range(2180)]
        lines = ["stimulus\tcaption", *(f"clip{i:04d}\t{text}" for i, text in enumerate(captions))]
        (folder / "stimuli.tsv").write_text("\n".join(lines) + "\n", encoding="utf-8")
        (folder / "run.toml").write_text(CONFIG.format(n=options.rows, url=url), encoding="utf-8")
        for name, arguments in STEPS.items():
            if name not in found and options.most > 0 and time.perf_counter() - begun < options.seconds:
                options.most -= 1
                found[name] = measured(folder, arguments)
                print(name, json.dumps(found[name]), flush=True)
                write_json(kept, found)
    finally:
        server.stdin.close()
        server.wait()
    if len(found) < len(STEPS):
        return
    size = (folder / "out" / "answers.sqlite").stat().st_size / 1e9
    exported = {path.name: path.stat().st_size / 1e9 for path in (folder / "out" / "export" / "toy").iterdir()
                if path.is_file()}  # fmt: skip
    result = {"rows": options.rows, "store_gb": size, "exported_gb": exported, "steps": found, "versions": versions(),
              "cores": os.cpu_count(), "load": os.getloadavg()[0]}  # fmt: skip
    write_json(options.results / "collection_large.json", result)
    write_text(options.results / "collection_large.md", written(result))
    if not options.folder:
        shutil.rmtree(folder)


def measured(folder: Path, arguments: list[str] | None) -> dict:
    """Run a command, and return its seconds and memory."""
    command = [sys.executable, __file__, "--write", "--folder", str(folder)]
    if arguments is not None:
        action, *more = arguments
        command = [sys.executable, "-m", "encoding", "collect", action, "--config", str(folder / "run.toml"), *more]
    start = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    out = process.stdout.read()
    _, status, used = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - start
    assert status == 0, (command, out)
    return {"seconds": seconds, "cpu_seconds": used.ru_utime + used.ru_stime, "peak_mb": used.ru_maxrss / 1024,
            "out": out.strip().splitlines()[-1:] }  # fmt: skip


def write_answers(folder: Path) -> None:
    """Write all but some answers, in the order in which they would be asked."""
    opened = open_collection(read_collection(folder / "run.toml"))
    plan, contents = opened.plan, opened.what.contents
    n, rng = len(plan) - LEFT, np.random.default_rng(0)
    annotator = opened.annotator("")
    with opened.store() as store:
        setting = store.setting(annotator.identity(), annotator.name)
        numbers = store.contents(contents.digests, contents.owners)
        run = store.start_run(setting, {})
        order = _shuffled(len(plan), n, rng)
        done = sum(store.counts(setting).values())
        for first in range(done, min(n, done + max(PART, -(-n // 4))), 50_000):
            rows = order[first : min(first + 50_000, n)]
            asked = numbers[opened.shown[rows]].tolist()
            choice, p = rng.integers(0, 3, len(rows)).tolist(), rng.dirichlet((1, 1, 1), len(rows)).tolist()
            store.write(
                [(setting, *asked[i], 0, 0, run, 0, choice[i], *p[i], 0.97, "ABC"[choice[i]], "", 140, 90, 1, 1, 0.3,
                  1.7e9 + first + i) for i in range(len(rows))], run=run, requests=first + len(rows),
            )  # fmt: skip


def _shuffled(total: int, n: int, rng: np.random.Generator) -> np.ndarray:
    """Windows of the plan in its order, shuffled within, as a run asks them."""
    rows = np.arange(total)
    for start in range(0, total, 100_000):
        rng.shuffle(rows[start : start + 100_000])
    return rows[:n]


def written(found: dict) -> str:
    lines = [
        f"# {found['rows'] / 1e6:g} million judgments", "",
        "By `benchmarks/collection_large.py`: every step is a command in a process of its own. Other work ran beside "
        f"it on {found['cores']} cores (load average {found['load']:.1f}), so that seconds of processor say more than "
        f"seconds. The store has {found['store_gb']:.2f} GB, what is exported "
        f"{sum(found['exported_gb'].values()):.2f} GB.", "",
        "| command | s | s of processor | largest memory (MB) |", "|---|---|---|---|",
    ]  # fmt: skip
    steps = {name: step for name, step in found["steps"].items() if not name.startswith("write")}
    writing = [step for name, step in found["steps"].items() if name.startswith("write")]
    total = {key: sum(step[key] for step in writing) for key in ("seconds", "cpu_seconds")}
    steps = {"write the answers (no command)": total | {"peak_mb": max(step["peak_mb"] for step in writing)}, **steps}
    for name, step in steps.items():
        lines.append(f"| {name} | {step['seconds']:.1f} | {step['cpu_seconds']:.1f} | {step['peak_mb']:,.0f} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()

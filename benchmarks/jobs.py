"""Time the same work with one and with two workers on this machine, one after the other, by processor and wall time.

    python benchmarks/jobs.py demo/dataset          # that of `make demo`
    python benchmarks/jobs.py demo/dataset --case two searchlights   # less than four minutes on two idle cores
    python benchmarks/jobs.py demo/dataset --quick  # a tenth of the work; writes nothing

Every process has one thread for linear algebra, so that only workers differ. Work is timed once workers have started
and imported what they need, which is listed apart.

On a machine that does other work too, wall times of two workers look better than they are (two processes get a larger
share of it). Processor seconds of every process are therefore read ten times a second. The path is what the work would
take on two idle cores: of every second, the longest that a single process ran, or half of what all ran, whichever is
longer. A program that waits for a disk takes longer than that, and processes that other programs kept from running at
the same time would take less. Cases that are in the results already are not measured again.
"""

import argparse
import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import psutil
import rsa

from encoding import pipeline
from encoding.comparison import Rsa, compare_similarity
from encoding.config.settings import read_config
from encoding.embedding import SparseEmbedding, fit_consensus, simulate_judgments
from encoding.mapping import write_report
from encoding.workflow.cluster import open_workers

RESULTS = Path(__file__).parent / "results" / "jobs"
ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
CASES = {
    "two": "two participants of the demo, from files to their reports, 1,000 permutations",
    "searchlights": "16,384 searchlights of 2,180 stimuli, five spaces, correlation",
    "one": "one participant of the demo, from files to the report, 1,000 permutations",
    "seeds": "embedding of 100 stimuli from 100,000 judgments: 12 seeds and 12 resamples",
}
CORES = 2
WINDOW = 10  # readings in a second, in which processes that take turns count as running side by side


def imported(shared, item):
    """Do what costs a new worker its imports and nothing else."""
    return shared, item, fit_consensus, compare_similarity, pipeline.run_participant, write_report


def begin(workers, marker):
    """Start the workers, and mark that the work itself begins."""
    list(workers.map(imported, None, range(4)))
    marker.touch()
    time.sleep(0.3)  # so that it is seen before the work begins


def embed(workers, marker, given):
    """Fit from several seeds and to resampled judgments."""
    rng = np.random.default_rng(0)
    truth = rng.gamma(1.0, 1.0, (100, 6)) * (rng.random((100, 6)) < 0.4)
    judgments = simulate_judgments(truth, 100_000, seed=0)
    model = SparseEmbedding(n_dims=6, lambdas=(0.003, 0.01, 0.03), max_dims=12)
    n = 2 if given.quick else 12
    begin(workers, marker)
    fit_consensus(model, judgments, seeds=tuple(range(n)), workers=workers, halves=False, resamples=n)


def search(workers, marker, given):
    """Compare all searchlights of a ball of voxels."""
    n = 2048 if given.quick else 16_384
    with tempfile.TemporaryDirectory() as name:
        responses, spaces = rsa.make_data(Path(name), n)
        settings = Rsa("x", regions="searchlight", radius_mm=rsa.RADIUS * rsa.VOXEL_MM)
        everything = [(None, np.ones(len(responses.targets), int))]
        begin(workers, marker)
        compare_similarity(settings, spaces, responses, everything, Path(name) / "x", workers=workers)


def participant(shared, job):
    """Run one participant, from files to the report."""
    pipeline.run_participant(job)
    return shared


def participants(workers, marker, given):
    """Run participants from files to their reports, as `encoding run` does."""
    with tempfile.TemporaryDirectory() as name:
        config = Path(name) / "run.toml"
        text, n = (given.dataset / "run.toml").read_text(), 100 if given.quick else 1000
        config.write_text(f"{text}\n[compare]\nn_permutations = {n}\n")
        study, out = read_config(config), Path(name) / "out"
        places = pipeline.Places(given.dataset, out, out / "work")
        subjects = ("01", "02") if given.case[0] == "two" else ("01",)
        begin(workers, marker)
        pipeline.make_spaces(study, places, device="cpu", workers=workers)
        jobs = [pipeline.Job(study, places, subject, "cpu", workers=workers) for subject in subjects]
        list(workers.map(participant, None, jobs))


WORK = {"seeds": embed, "searchlights": search, "one": participants, "two": participants}


def timed(command, marker):
    """Run a command; return wall seconds, and processor seconds of every process before and after the marker."""
    start, readings, before = time.monotonic(), [{}], None
    with subprocess.Popen([*map(str, command)], env=os.environ | ONE_THREAD, stderr=subprocess.PIPE) as process:
        main = psutil.Process(process.pid)
        while process.poll() is None:
            seconds = dict(readings[-1])  # one that has ended keeps its last time
            with contextlib.suppress(psutil.NoSuchProcess):
                for one in (main, *main.children(recursive=True)):
                    used = one.cpu_times()
                    seconds[one.pid] = used.user + used.system
            readings.append(seconds)
            if before is None and marker.exists():
                start, before, readings = time.monotonic(), seconds, [seconds]
            time.sleep(0.1)
        wall = time.monotonic() - start
        if process.returncode:
            raise RuntimeError(process.stderr.read().decode())
    assert before is not None
    spent = {pid: used - before.get(pid, 0.0) for pid, used in readings[-1].items()}
    workers = [pid for pid in spent if pid != process.pid and max(spent[pid], before.get(pid, 0.0)) > 1]
    return {
        "wall": round(wall, 1), "main": round(spent[process.pid], 1),
        "workers": [round(spent[pid], 1) for pid in workers],
        "start_main": round(before[process.pid], 1),
        "start_workers": [round(before.get(pid, 0.0), 1) for pid in workers],
        "path": round(path_of(readings), 1), "load": round(os.getloadavg()[0], 1),
    }  # fmt: skip


def path_of(readings):
    """Seconds on idle cores: of every second the longest that one process ran, or the share of each core."""
    total = 0.0
    for first, last in zip(readings[::WINDOW], [*readings[WINDOW::WINDOW], readings[-1]], strict=False):
        used = [seconds - first.get(pid, 0.0) for pid, seconds in last.items()]
        total += max(max(used, default=0.0), sum(used) / CORES)
    return total


def write(found):
    """Keep the figures, and a table of them."""
    RESULTS.with_suffix(".json").write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    lines = [
        "# One and two workers on two cores",
        "",
        "By `python benchmarks/jobs.py`, one thread for linear algebra in every process. Imports and the start of "
        "workers are listed apart; all else is timed after them. The path is what the work would take on two idle "
        "cores, from processor seconds that are read ten times a second: of every second the longest that one "
        "process ran, or half of what all ran. Wall times say little at a load above 2.",
        "",
        "| seconds | start, 1 job | 2 jobs: main, workers | processor, 1 job | 2 jobs: main, workers | path, 2 jobs | "
        "times as fast by path | wall, 1 job | 2 jobs | times as fast by wall | load |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for case, (one, two) in found.items():
        alone = one["main"] + sum(one["workers"])
        parts = [
            f"{two[f'{kind}main']:.1f}, {' + '.join(f'{used:.1f}' for used in two[f'{kind}workers'])}"
            for kind in ("start_", "")
        ]
        lines.append(
            f"| {CASES[case]} | {one['start_main']:.1f} | {parts[0]} | {alone:.1f} | {parts[1]} | {two['path']:.1f} | "
            f"**{alone / two['path']:.2f}** | {one['wall']:.0f} | {two['wall']:.0f} | {one['wall'] / two['wall']:.2f} |"
            f" {one['load']}, {two['load']} |"
        )
    RESULTS.with_suffix(".md").write_text("\n".join([*lines, ""]), encoding="utf-8")


def measure(case, given):
    """Time one case with one and with two jobs."""
    pair = []
    for n_jobs in (1, 2):
        with tempfile.TemporaryDirectory() as name:
            marker = Path(name) / "began"
            command = [sys.executable, __file__, given.dataset, "--case", case, "--jobs", n_jobs, "--marker", marker]
            pair.append(timed([*command, *(["--quick"] if given.quick else [])], marker))
    return pair


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("dataset", type=Path)
    parser.add_argument("--case", choices=list(CASES), nargs="+", default=list(CASES))
    parser.add_argument("--quick", action="store_true", help="a tenth of the work, nothing written")
    parser.add_argument("--marker", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--jobs", type=int, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.jobs:
        with open_workers(n_jobs=given.jobs) as workers:
            WORK[given.case[0]](workers, given.marker, given)
        return
    file = RESULTS.with_suffix(".json")
    known = json.loads(file.read_text(encoding="utf-8")) if file.is_file() and not given.quick else {}
    found = {case: pair for case, pair in known.items() if "path" in pair[1]}  # earlier ones had none
    for case in given.case:
        if case not in found:
            found[case] = measure(case, given)
            print(case, json.dumps(found[case]), flush=True)
            if not given.quick:
                write(found)


if __name__ == "__main__":
    main()

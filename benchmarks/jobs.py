"""Time the same work with one and with two workers on this machine, one after the other, by processor and wall time.

    python benchmarks/jobs.py DATASET           # made by `encoding simulate DATASET --preset demo --no-clips`

Every process has one thread for linear algebra, so that only workers differ. On a machine that does other work too,
wall times of two workers look better than they are (two processes get a larger share of it), so that processor times of
every process are kept: what the busiest worker and the main program need one after the other is the wall time of an
idle machine. Of embeddings and searchlights only the work is timed, once workers have started and imported libraries;
participants are timed from the start of the program. Cases that are in the results already are not measured again.
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

from encoding.comparison import Rsa, compare_similarity
from encoding.embedding import SparseEmbedding, fit_consensus, simulate_judgments
from encoding.workflow.cluster import open_workers

RESULTS = Path(__file__).parent / "results" / "jobs"
ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
CASES = {
    "seeds": "embedding of 100 stimuli from 100,000 judgments: 6 seeds and 6 resamples",
    "searchlights": "8,192 searchlights of 2,180 stimuli, five spaces, correlation",
    "one": "one participant of the demo, from files to the report",
    "two": "two participants of the demo",
}


def imported(shared, item):
    """Do what costs a new worker its imports and nothing else."""
    return shared, item, fit_consensus, compare_similarity


def begin(workers, marker):
    """Start the workers, and mark that the work itself begins."""
    list(workers.map(imported, None, range(4)))
    marker.touch()


def embed(workers, marker):
    """Fit from several seeds and to resampled judgments."""
    rng = np.random.default_rng(0)
    truth = rng.gamma(1.0, 1.0, (100, 6)) * (rng.random((100, 6)) < 0.4)
    judgments = simulate_judgments(truth, 100_000, seed=0)
    model = SparseEmbedding(n_dims=6, lambdas=(0.003, 0.01, 0.03), max_dims=12)
    begin(workers, marker)
    fit_consensus(model, judgments, seeds=tuple(range(6)), workers=workers, halves=False, resamples=6)


def search(workers, marker):
    """Compare all searchlights of a ball of voxels."""
    with tempfile.TemporaryDirectory() as name:
        responses, spaces = rsa.make_data(Path(name), 8192)
        settings = Rsa("x", regions="searchlight", radius_mm=rsa.RADIUS * rsa.VOXEL_MM)
        everything = [(None, np.ones(len(responses.targets), int))]
        begin(workers, marker)
        compare_similarity(settings, spaces, responses, everything, Path(name) / "x", workers=workers)


def work(case, n_jobs, dataset, folder):
    """Return the command of a case."""
    if case in ("seeds", "searchlights"):
        return [sys.executable, __file__, "-", "--case", case, "--jobs", str(n_jobs), "--marker", folder / "began"]
    subjects = ["01", "02"] if case == "two" else ["01"]
    config = dataset / "fewer.toml"
    config.write_text(f"{(dataset / 'run.toml').read_text()}\n[compare]\nn_permutations = 300\n")
    return [
        sys.executable, "-m", "encoding", "run", dataset, folder / "out", "participant", "--config",
        config, "--n-jobs", str(n_jobs), "--participant-label", *subjects,
    ]  # fmt: skip


def timed(command, marker):
    """Run a command; return wall seconds, and processor seconds of every process since the marker was made."""
    start, seconds, before = time.monotonic(), {}, {}
    with subprocess.Popen([*map(str, command)], env=os.environ | ONE_THREAD, stderr=subprocess.PIPE) as process:
        main = psutil.Process(process.pid)
        while process.poll() is None:
            with contextlib.suppress(psutil.NoSuchProcess):  # one that ended just now keeps its last time
                for one in (main, *main.children(recursive=True)):
                    used = one.cpu_times()
                    seconds[one.pid] = used.user + used.system
            if not before and marker.exists():
                start, before = time.monotonic(), dict(seconds)
            time.sleep(0.1)
        if process.returncode:
            raise RuntimeError(process.stderr.read().decode())
    spent = {pid: used - before.get(pid, 0.0) for pid, used in seconds.items()}
    own = spent.pop(process.pid)
    return {
        "wall": round(time.monotonic() - start, 1), "main": round(own, 1),
        "workers": sorted((round(used, 1) for used in spent.values() if used > 1), reverse=True),
        "load": round(os.getloadavg()[0], 1),
    }  # fmt: skip


def write(found):
    """Keep the figures, and a table of them."""
    RESULTS.with_suffix(".json").write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    lines = [
        "# One and two workers on two cores",
        "",
        "By `python benchmarks/jobs.py`, one thread for linear algebra in every process. The machine did other work "
        "too, at the load given, so that wall times say little; on an idle one, two workers take at most what the main "
        "program and the busiest worker need one after the other. Participants include the start of the program and of "
        "its workers (imports of 2 to 3 s in every process), and make 300 permutations.",
        "",
        "| seconds | wall, 1 job | 2 jobs | processor, 1 job | 2 jobs: main, workers | idle: times as fast | load |",
        "|---|---|---|---|---|---|---|",
    ]
    for case, (one, two) in found.items():
        alone, busiest = one["main"] + sum(one["workers"]), two["main"] + max(two["workers"])
        parts = f"{two['main']:.1f}, {' + '.join(f'{used:.1f}' for used in two['workers'])}"
        lines.append(
            f"| {CASES[case]} | {one['wall']:.0f} | {two['wall']:.0f} | {alone:.1f} | {parts} | "
            f"**{alone / busiest:.2f}** | {one['load']}, {two['load']} |"
        )
    RESULTS.with_suffix(".md").write_text("\n".join([*lines, ""]), encoding="utf-8")


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("dataset", type=Path)
    parser.add_argument("--case", choices=list(CASES), nargs="+", default=list(CASES))
    parser.add_argument("--marker", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--jobs", type=int, help="only do the work of a case, with as many workers")
    given = parser.parse_args()
    if given.jobs:
        with open_workers(n_jobs=given.jobs) as workers:
            {"seeds": embed, "searchlights": search}[given.case[0]](workers, given.marker)
        return
    file = RESULTS.with_suffix(".json")
    found = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
    for case in given.case:
        if case not in found:
            pair = []
            for n_jobs in (1, 2):
                with tempfile.TemporaryDirectory() as name:
                    pair.append(timed(work(case, n_jobs, given.dataset, Path(name)), Path(name) / "began"))
            found[case] = pair
            write(found)


if __name__ == "__main__":
    main()

"""Print what a study needs on 1 to 1,000 workers: data read, moved and written, and what limits it.

    python benchmarks/cluster_needs.py                         # an emotion-video study of 5 participants
    python benchmarks/cluster_needs.py --subjects 200 --targets 90000 --samples 3000

The constants are measured where it runs, in about two minutes: how long a target takes in a fit of four narrow spaces,
and a byte of responses in loading, how fast the disk of `--folder` is (put it where results will be), and what one task
of the scheduler costs. The rest is counting. Workers are taken to be like this machine's processors; the disk is one
for all, which is what limits most.
"""

import argparse
import json
import os
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np

from encoding import pipeline
from encoding.config.settings import read_config
from encoding.core import FeatureSpace, Provenance, Responses, Samples, Targets
from encoding.fitting import BandedRidge, Compute, Split, cross_predict, make_folds
from encoding.loading import stimuli_of_rows
from encoding.simulate import PRESETS
from encoding.simulate.dataset import simulate_volumes
from encoding.workflow.cluster import open_workers

WORKERS = (1, 2, 4, 10, 30, 100, 300, 1000)
CHUNK = 32_000_000  # bytes of responses in a task, as `[compute] chunk`
KEEP = 2_000_000_000  # bytes of predictions, as `[compute] keep_predictions`
WIDTHS = (30, 30, 34, 14)
LOAD = """[[features]]
name = "category"
file = "stimuli/feature-category.tsv"

[load]
task = "video"
space = "MNI152NLin2009cAsym"
res = "{res}"
stimulus = "stim_id"
stimuli = "none"
per = "stimulus"

[[fit]]
kind = "ridge"
bands = ["category"]
"""


def nothing(shared, item):
    """Do what costs nothing but the scheduler's time."""
    return shared, item


def measure_fit(folder, n_samples, n_targets, n_candidates):
    """Processor seconds per target of a banded ridge with one thread, and those of what is done once."""
    rng = np.random.default_rng(0)
    run = np.char.add("run-", (np.arange(n_samples) * 12 // n_samples).astype(str))
    names = np.array([f"s{k}" for k in range(n_samples)])
    samples = Samples(names, np.arange(n_samples) * 12.0, np.full(n_samples, 10.0), run, "stimulus")
    spaces = [
        FeatureSpace(f"space{k}", rng.standard_normal((n_samples, width)), samples, tuple(map(str, range(width))))
        for k, width in enumerate(WIDTHS)
    ]
    seconds = []
    model = BandedRidge(tuple(s.name for s in spaces), alphas=tuple(np.logspace(-2, 4, 20)), n_iter=n_candidates)
    for n in (n_targets, 3 * n_targets):
        values = rng.standard_normal((n_samples, n)).astype(np.float32)
        responses = Responses(
            values, samples, Targets.of_columns([str(k) for k in range(n)]), samples, np.zeros((n_samples, 0)), "01",
            "video", 2.0, provenance=Provenance("benchmark/1"),
        )  # fmt: skip
        folds = make_folds(Split(n_outer=6, n_inner=5), samples, stimuli_of_rows(responses, ()))
        start = time.process_time()
        cross_predict(model, spaces, responses, folds, folder / f"fit-{n}", compute=Compute(threads=1, keep_bytes=0))
        seconds.append(time.process_time() - start)
    each = (seconds[1] - seconds[0]) / (2 * n_targets)
    return max(each, 1e-6), max(seconds[0] - each * n_targets, 0.0)


def measure_disk(folder, n_bytes=200_000_000):
    """Bytes per second written to the disk and read from it (from its cache, unless memory is short)."""
    path, block = folder / "block", np.random.default_rng(0).bytes(n_bytes)
    start = time.perf_counter()
    with path.open("wb") as stream:
        stream.write(block)
        stream.flush()
        os.fsync(stream.fileno())
    written = n_bytes / (time.perf_counter() - start)
    if hasattr(os, "posix_fadvise"):
        with path.open("rb") as stream:
            os.posix_fadvise(stream.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    start = time.perf_counter()
    path.read_bytes()
    return written, n_bytes / (time.perf_counter() - start)


def measure_load(folder, voxels):
    """Processor seconds per byte of responses that cleaning and reading take, from two sizes of the same runs."""
    found = []
    for millimetres in voxels:
        size = replace(PRESETS["tiny"], n_runs=6, n_blocks=30, volume_mm=millimetres)
        root = simulate_volumes(folder / f"load-{millimetres:g}", size, 0, 1)
        config = folder / f"load-{millimetres:g}.toml"
        config.write_text(LOAD.format(res=f"{millimetres:g}".replace(".", "p")), encoding="utf-8")
        places = pipeline.Places(root, folder / "out", folder / f"work-{millimetres:g}")
        start = time.process_time()
        loaded = pipeline.load_subject(pipeline.Job(read_config(config), places, "01", "cpu"))
        found.append((time.process_time() - start, loaded.responses.values.nbytes))
    (few, small), (many, large) = found
    return max(many - few, 0.0) / (large - small)


def measure_tasks(n=300):
    """Return seconds that one task costs, and seconds until two workers have started."""
    start = time.perf_counter()
    with open_workers(n_jobs=2) as workers:
        list(workers.map(nothing, None, range(2)))
        started, begin = time.perf_counter() - start, time.perf_counter()
        list(workers.map(nothing, None, range(n)))
        return (time.perf_counter() - begin) / n, started


def needs(study, constants, n_workers):
    """Count bytes, and seconds of every resource if it alone were the limit."""
    s, c = study, constants
    responses = 4 * s["samples"] * s["targets"]
    chunks = -(-responses // CHUNK)
    design = 8 * s["samples"] * sum(WIDTHS) * 4
    # One model per band, and joint ones; predictions above the limit of `keep_predictions` are not kept.
    sizes = [responses * (1 if k < s["bands"] else s["bands"]) for k in range(s["models"])]
    kept = sum(size for size in sizes if size <= KEEP)
    sums = 6 * s["targets"] * 4 * 60
    users = min(n_workers, s["subjects"] * chunks)
    read = s["subjects"] * (responses * (2 * s["models"] + 3))  # images twice as large as what is kept of them
    written = s["subjects"] * (responses + s["models"] * sums + 2 * kept)
    moved = min(users, chunks) * s["subjects"] * s["models"] * design
    compute = s["subjects"] * (s["models"] * (s["targets"] * c["target"] + c["fixed"]) + c["load"] * responses)
    # A chunk is the smallest piece; what is prepared once per fit is prepared on every worker that takes part in it.
    prepare = s["models"] * c["fixed"] * max(1.0, s["subjects"] / n_workers)
    loading = c["load"] * responses * -(-s["subjects"] // n_workers)
    limits = {
        "processors": compute / users,
        "what is done once per fit": prepare,
        "loading, one participant at a time": loading,
        "reading": read / c["read"],
        "writing": written / c["write"],
        "network of the scheduler": moved / c["network"],
        "scheduler": s["subjects"] * (s["models"] * chunks + 3) * c["task"],
    }
    worst = max(limits, key=lambda name: limits[name])
    return {
        "workers": n_workers, "used": users, "read_gb": read / 1e9, "moved_gb": moved / 1e9,
        "written_gb": written / 1e9, "hours": max(limits.values()) / 3600, "limit": worst,
    }  # fmt: skip


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--subjects", type=int, default=5)
    parser.add_argument("--samples", type=int, default=2196)
    parser.add_argument("--targets", type=int, default=100_000)
    parser.add_argument("--models", type=int, default=5)
    parser.add_argument("--bands", type=int, default=4, help="of the joint models; there is one model of each")
    parser.add_argument("--folder", type=Path, default=None, help="on the disk that is to be measured")
    parser.add_argument("--network", type=float, default=1.0, help="gigabytes per second that the scheduler can send")
    parser.add_argument("--quick", action="store_true", help="constants of a small fit, for a test")
    given = parser.parse_args(arguments)
    study = {name: getattr(given, name) for name in ("subjects", "samples", "targets", "models", "bands")}
    with tempfile.TemporaryDirectory(dir=given.folder) as name:
        n_samples, n_targets, n = (120, 50, 6) if given.quick else (given.samples, 500, 100)
        target, fixed = measure_fit(Path(name), n_samples, n_targets, n)
        write, read = measure_disk(Path(name), 2_000_000 if given.quick else 200_000_000)
        load = measure_load(Path(name), (12.0, 8.0) if given.quick else (6.0, 3.0))
    task, started = measure_tasks(20 if given.quick else 300)
    constants = {"target": target, "fixed": fixed, "read": read, "write": write, "task": task, "started": started,
                 "load": load, "network": given.network * 1e9}  # fmt: skip
    rows = [needs(study, constants, n_workers) for n_workers in WORKERS]
    print(json.dumps({name: float(f"{value:.3g}") for name, value in constants.items()}))
    print(f"{given.subjects} participants, {given.samples} samples, {given.targets} targets, {given.models} models")
    print("| workers | used | read, GB | moved, GB | written, GB | hours | limit |\n|---|---|---|---|---|---|---|")
    for row in rows:
        print(
            f"| {row['workers']} | {row['used']} | {row['read_gb']:.0f} | {row['moved_gb']:.2f} | "
            f"{row['written_gb']:.0f} | {row['hours']:.3f} | {row['limit']} |"
        )
    return rows


if __name__ == "__main__":
    main()

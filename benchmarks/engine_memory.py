"""Peak memory of a fit from a memory map, for more and more targets, each in a process of its own."""

import json
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np
from engine_workload import WIDTHS, make_workload

from encoding.core import FeatureSpace, Responses, Targets
from encoding.fitting import BandedRidge, Compute, cross_predict

SIZES = (20_000, 60_000, 200_000)
# One wide band: rows, widths, numbers of targets
WIDE = (1000, (*WIDTHS, 3000), (2000, 6000, 18_000))
BUDGET = 1 << 30


def fewest(widths):
    """Count all bands equal and each band alone: no model may try fewer candidates."""
    return len(widths) + 1


def own_memory():
    """Bytes of this process that are not pages of files: responses are such pages."""
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    return next(int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith("RssAnon"))


def measure(folder, n_targets, n, widths):
    load = make_workload(n, widths, 8)
    samples = load.study.samples
    spaces = [
        FeatureSpace(f"s{k}", load.X[:, band].astype(np.float32), samples, [f"{k}.{j}" for j in range(width)])
        for k, (band, width) in enumerate(zip(load.bands, widths, strict=True))
    ]
    values = np.load(Path(folder) / "Y.npy", mmap_mode="r")[:, :n_targets]
    targets = Targets.of_columns([f"t{k}" for k in range(n_targets)])
    responses = Responses(values, samples, targets, samples, np.empty((n, 0)), "01", "video", 2.0)
    before, peak, running = own_memory(), [0], [True]

    def watch():
        while running[0]:
            peak[0] = max(peak[0], own_memory())
            time.sleep(0.02)

    watcher = threading.Thread(target=watch, daemon=True)  # a fit that fails ends the process
    watcher.start()
    start = time.process_time()
    compute = Compute(keep_bytes=0, threads=1, memory_bytes=BUDGET)
    model = BandedRidge(tuple(space.name for space in spaces), n_iter=fewest(widths))
    cross_predict(model, spaces, responses, load.study, Path(folder) / f"fit-{n_targets}", compute=compute)
    seconds, running[0] = time.process_time() - start, False
    watcher.join()
    sys.stdout.write(json.dumps({"peak": peak[0] - before, "cpu_seconds": seconds}) + "\n")


def peaks(out, n, widths, sizes):
    """Measure every size in a process of its own."""
    with tempfile.TemporaryDirectory(dir=out) as folder:
        rng = np.random.default_rng(0)
        Y = np.lib.format.open_memmap(Path(folder) / "Y.npy", "w+", np.float32, (n, sizes[-1]))
        for first in range(0, n, 100):
            Y[first : first + 100] = rng.standard_normal((len(Y[first : first + 100]), sizes[-1]), dtype=np.float32)
        Y.flush()
        del Y
        for n_targets in sizes:
            command = [sys.executable, __file__, folder, str(n_targets), str(n), *map(str, widths)]
            done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
            yield {"n_targets": n_targets, **json.loads(done.stdout.splitlines()[-1])}


def memory_rows(row, out):
    found = []
    for one in peaks(out, 2196, WIDTHS, SIZES):
        found.append(one)
        note = f"peak {one['peak'] / 1e9:.2f} GB beyond mapped pages, budget 1.07 GB, 0.27 GB of it responses"
        what = f"cross_predict, T = {one['n_targets']}, 5 candidates"
        row("peak memory", what, one["cpu_seconds"], reach="<= 1 GB, flat", note=note)
    return found


def wide_memory_rows(row, out):
    """Note peaks beside one wide band."""
    n, widths, sizes = WIDE
    for one in peaks(out, n, widths, sizes):
        note = f"peak {one['peak'] / 1e9:.2f} GB beyond mapped pages, budget {BUDGET / 1e9:.2f} GB"
        what = f"n = {n}, cross_predict, 6 outer folds, T = {one['n_targets']}, {fewest(widths)} draws"
        row("wide, 3,000 + 108, memory", what, one["cpu_seconds"], reach="budget", note=note)


if __name__ == "__main__":
    measure(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), tuple(map(int, sys.argv[4:])))

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


def own_memory():
    """Bytes of this process that are not pages of files: responses are such pages."""
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    return next(int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith("RssAnon"))


def measure(folder, n_targets):
    load = make_workload(2196, WIDTHS, 8)
    samples = load.study.samples
    spaces = [
        FeatureSpace(f"s{k}", load.X[:, band].astype(np.float32), samples, [f"{k}.{j}" for j in range(width)])
        for k, (band, width) in enumerate(zip(load.bands, WIDTHS, strict=True))
    ]
    values = np.load(Path(folder) / "Y.npy", mmap_mode="r")[:, :n_targets]
    targets = Targets.of_columns([f"t{k}" for k in range(n_targets)])
    responses = Responses(values, samples, targets, samples, np.empty((2196, 0)), "01", "video", 2.0)
    before, peak, running = own_memory(), [0], [True]

    def watch():
        while running[0]:
            peak[0] = max(peak[0], own_memory())
            time.sleep(0.02)

    watcher = threading.Thread(target=watch)
    watcher.start()
    start = time.process_time()
    compute = Compute(keep_bytes=0, threads=1, memory_bytes=1 << 30)
    model = BandedRidge(("s0", "s1", "s2", "s3"), n_iter=5)
    cross_predict(model, spaces, responses, load.study, Path(folder) / f"fit-{n_targets}", compute=compute)
    seconds, running[0] = time.process_time() - start, False
    watcher.join()
    sys.stdout.write(json.dumps({"peak": peak[0] - before, "cpu_seconds": seconds}) + "\n")


def memory_rows(row, out):
    found = []
    with tempfile.TemporaryDirectory(dir=out) as folder:
        rng = np.random.default_rng(0)
        Y = np.lib.format.open_memmap(Path(folder) / "Y.npy", "w+", np.float32, (2196, SIZES[-1]))
        for first in range(0, 2196, 100):
            Y[first : first + 100] = rng.standard_normal((len(Y[first : first + 100]), SIZES[-1]), dtype=np.float32)
        Y.flush()
        del Y
        for n in SIZES:
            command = [sys.executable, __file__, folder, str(n)]
            done = subprocess.run(command, capture_output=True, text=True, check=True)
            one = json.loads(done.stdout.splitlines()[-1])
            found.append({"n_targets": n, **one})
            note = f"peak {one['peak'] / 1e9:.2f} GB beyond mapped pages, budget 1.07 GB, 0.27 GB of it responses"
            row(
                "peak memory",
                f"cross_predict, T = {n}, 5 candidates",
                one["cpu_seconds"],
                reach="<= 1 GB, flat",
                note=note,
            )
    return found


if __name__ == "__main__":
    measure(sys.argv[1], int(sys.argv[2]))

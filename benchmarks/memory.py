"""Peak memory of every step of one participant, as a scheduler counts it, at three budgets.

Each step runs in a process of its own after the steps before it. Its peak (VmHWM, mapped pages included) is compared
with what the process held after its imports, plus ``[compute] memory``, plus 300 MB. Writes ``results/memory.tsv``.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd

SHAPE, N_RUNS, N_STIMULI = (60, 60, 56), 6, 100  # 201,600 voxels; 600 rows, so that responses take 484 MB
BUDGETS = {"200 MB": 200_000_000, "1 GB": 1_000_000_000, "4 GB": 4_000_000_000}
STEPS = ("load", "fit", "compare", "map")
MARGIN = 300_000_000
CONFIG = """
seed = 0
[[features]]
name = "first"
file = "features.tsv"
columns = ["a", "b", "c"]
[[features]]
name = "second"
file = "features.tsv"
columns = ["d", "e", "f"]
[load]
kind = "volume"
task = "video"
space = "T1w"
mask = "none"
confounds = []
per = "stimulus"
[split]
n_outer = 3
n_inner = 2
[[fit]]
kind = "ridge"
bands = "each"
alphas = [1, 100]
[[fit]]
kind = "banded_ridge"
name = "joint"
bands = ["first", "second"]
alphas = [1, 100]
n_iter = 5
[[rsa]]
name = "regions"
[compare]
n_permutations = 100
[compute]
memory = "{memory}"
[map]
atlases = ["space-T1w_parts.nii.gz"]
"""


def write_dataset(root):
    """Write one participant whose presentations last one volume each."""
    rng = np.random.default_rng(0)
    raw, func = root / "sub-01" / "func", root / "derivatives" / "fmriprep" / "sub-01" / "func"
    for folder in (raw, func):
        folder.mkdir(parents=True)
    (root / "dataset_description.json").write_text(json.dumps({"Name": "memory", "BIDSVersion": "1.10.0"}))
    names = [f"s{number:03d}" for number in range(N_RUNS * N_STIMULI)]
    features = pd.DataFrame(rng.standard_normal((len(names), 6)), columns=list("abcdef"))
    features.insert(0, "stimulus", names)
    features.to_csv(root / "features.tsv", sep="\t", index=False)
    affine = np.diag([3.0, 3.0, 3.0, 1.0])
    parts = np.zeros(SHAPE, np.int16)
    parts[5:55] = 1 + np.arange(50)[:, None, None] // 5
    nib.save(nib.Nifti1Image(parts, affine), root / "space-T1w_parts.nii.gz")
    lines = ["index\tname", *(f"{number}\tpart{number}" for number in range(1, 11))]
    (root / "space-T1w_parts.tsv").write_text("\n".join(lines) + "\n")
    for run in range(N_RUNS):
        name = f"sub-01_task-video_run-{run + 1}"
        shown = names[run * N_STIMULI : (run + 1) * N_STIMULI]
        onset = 2.0 * np.arange(N_STIMULI)
        events = pd.DataFrame({"onset": onset, "duration": 2.0, "stim_id": shown})
        events.to_csv(raw / f"{name}_events.tsv", sep="\t", index=False)
        (raw / f"{name}_bold.json").write_text(json.dumps({"TaskName": "video", "RepetitionTime": 2.0}))
        data = rng.integers(900, 1100, size=(*SHAPE, N_STIMULI + 4), dtype=np.int16)
        image = nib.Nifti1Image(data, affine)
        image.header.set_xyzt_units("mm", "sec")
        image.header.set_zooms((3, 3, 3, 2))
        nib.save(image, func / f"{name}_space-T1w_desc-preproc_bold.nii")


def memory(name):
    """Return a line of the status of this process, in bytes."""
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    return next(int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith(name))


def measure(step, root, out, config):
    """Run one step and print what it took."""
    from encoding import pipeline
    from encoding.config import read_config
    from encoding.mapping import read_result
    from encoding.workflow.jobs import Job, Places

    for module in ("torch", "nilearn.plotting", "pandas", "pyarrow", "matplotlib.pyplot", "bids", "himalaya.ridge"):
        __import__(module)
    job = Job(read_config(config), Places(root, out, out / "work"), "01", "cpu")
    before, began = memory("VmRSS"), time.process_time()
    if step == "map":
        pipeline.map_subject(job, read_result(job.folder))
    else:
        loaded = pipeline.load_subject(job)
        fitted = pipeline.fit_subject(job, loaded) if step != "load" else None
        if fitted is not None and step == "compare":
            pipeline.compare_subject(job, loaded, fitted)
    found = {"before": before, "peak": memory("VmHWM"), "cpu_s": round(time.process_time() - began, 1)}
    sys.stdout.write(json.dumps(found) + "\n")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--results", type=Path, default=Path(__file__).parent / "results")
    options = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        top = Path(folder)
        write_dataset(top / "bids")
        for budget, n_bytes in BUDGETS.items():
            config = top / f"{n_bytes}.toml"
            config.write_text(CONFIG.replace("{memory}", budget))
            for step in STEPS:
                arguments = [step, str(top / "bids"), str(top / f"out{n_bytes}"), str(config)]
                command = [sys.executable, __file__, "--step", *arguments]
                done = subprocess.run(command, capture_output=True, text=True, check=False)
                if done.returncode:
                    sys.exit(done.stderr)
                one = json.loads(done.stdout.splitlines()[-1])
                allowed = one["before"] + n_bytes + MARGIN
                rows.append(
                    {
                        "budget": budget,
                        "step": step,
                        "after_imports_mb": round(one["before"] / 1e6),
                        "peak_mb": round(one["peak"] / 1e6),
                        "allowed_mb": round(allowed / 1e6),
                        "kept": one["peak"] <= allowed,
                        "cpu_s": one["cpu_s"],
                    }
                )
                print(rows[-1], flush=True)
                pd.DataFrame(rows).to_csv(options.results / "memory.tsv", sep="\t", index=False)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--step"]:
        measure(sys.argv[2], *map(Path, sys.argv[3:]))
    else:
        main()

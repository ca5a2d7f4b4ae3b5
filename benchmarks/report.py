"""How much processor time the reports take: `encoding report` of finished results, by what is drawn.

    python benchmarks/report.py DATASET RESULTS --config RUN.toml [--subjects N --spaces N] --name after

Results are copied, so that nothing of them changes. With --subjects and --spaces a synthetic study on fsaverage5 is
made instead: noise of known size for every participant and space, without a fit, so that only reading and drawing is
timed. Figures are appended to benchmarks/results/report.json.
"""

import argparse
import json
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd

RESULTS = Path(__file__).parent / "results" / "report.json"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("dataset", type=Path, nargs="?")
    parser.add_argument("results", type=Path, nargs="?")
    parser.add_argument("--config", type=Path)
    parser.add_argument("--subjects", type=int, default=0)
    parser.add_argument("--spaces", type=int, default=5)
    parser.add_argument("--name", required=True, help="what was timed, for instance 'after'")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        if options.subjects:
            what = f"{options.subjects} participants x {options.spaces} spaces"
            found = timed(synthetic_report, Path(folder), options.subjects, options.spaces)
        else:
            copy = Path(folder) / "results"
            shutil.copytree(options.results, copy, ignore=shutil.ignore_patterns("work", "figures"))
            command = [sys.executable, "-m", "encoding", "report", str(options.dataset), str(copy)]
            what = "demo"
            found = timed(subprocess.run, [*command, "--config", str(options.config)], check=True, capture_output=True)
    known = json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.is_file() else {}
    known.setdefault(what, {})[options.name] = found
    RESULTS.write_text(json.dumps(known, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    sys.stdout.write(f"{what}, {options.name}: {found}\n")


def timed(work, *arguments, **keywords) -> dict[str, float]:
    """Processor and wall seconds of a call, its child processes included."""
    before, start = cpu_seconds(), time.monotonic()
    work(*arguments, **keywords)
    return {"cpu_s": round(cpu_seconds() - before, 1), "wall_s": round(time.monotonic() - start, 1)}


def cpu_seconds() -> float:
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)


def synthetic_report(folder: Path, n_subjects: int, n_spaces: int) -> None:
    """Write results of noise, and draw the page of every participant and of all."""
    from encoding.core import ScoreRow, Scores, Targets
    from encoding.mapping import Maps, write_report, write_result
    from encoding.mapping.summary import summary_of

    spaces = [f"space{k}" for k in range(n_spaces)]
    sides = np.repeat(["CORTEX_LEFT", "CORTEX_RIGHT"], 10242)
    sizes = {"CORTEX_LEFT": 10242, "CORTEX_RIGHT": 10242}
    targets = Targets("vertex", "fsaverage5", np.tile(np.arange(10242), 2), sides, n_vertices=sizes)
    model = {"alphas": [1.0, 10.0], "chosen": [0, 5], "mean_gamma": [1.0], "key": "m"}
    model["solver"] = {"method": "statistics", "reason": "as asked"}
    pairs = [[a, b] for k, a in enumerate(spaces) for b in spaces[k + 1 :]]
    results, rng = [], np.random.default_rng(0)
    for number in range(1, n_subjects + 1):
        subject = f"{number:02d}"
        values = rng.normal(0.08, 0.08, size=(n_spaces, len(targets))).astype(np.float32)
        scores = {"r": Scores("r", tuple(ScoreRow(name, "all") for name in spaces), values, targets, subject)}
        place = {"subject": subject, "atlas": "parts", "level": "network", "set": "", "hemi": "", "feature": "all"}
        regions = pd.DataFrame([
            {**place, "region": f"network {part}", "model": name, "metric": "r", "value": float(row[part::17].mean()),
             "n_targets": 1200, "n_usable": 1200}
            for name, row in zip(spaces, values, strict=True) for part in range(17)
        ])  # fmt: skip
        tables = {
            "regions": regions,
            "differences": regions.head(0),
            "splits": pd.DataFrame({"run": ["1"], "outer": [0]}),
        }
        tables["exclusions"] = pd.DataFrame(columns=["what", "n", "reason", "run"])
        facts = {
            "key": f"key-{subject}", "subject": subject, "task": "video", "clock": "stimulus", "t_r": 2.0,
            "kind": "vertex", "space": "fsaverage5", "n_samples": 200, "n_targets": len(targets),
            "n_usable": len(targets), "runs": ["1", "2"], "fold_of_run": {"1": 0, "2": 1}, "n_folds": 2,
            "features": dict.fromkeys(spaces, 3), "auxiliary": [], "rsa": {}, "metric": "r", "single": spaces,
            "models": {name: {**model, "bands": [name]} for name in spaces}, "pairs": pairs, "device": "CPU",
            "settings": {
                "seed": 0, "align": {"delays": [1], "centre": True}, "compare": {"level": 0.01},
                "load": {"kind": "surface", "confounds": [], "high_pass": None, "detrend": True, "standardize": True,
                         "window": None, "shift": 4.0, "scale_rows": True},
                "split": {"kind": "runs", "n_inner": 5, "repeats": "drop_later", "gap": 20.0},
                "models": [{"kind": "ridge", "name": name, "bands": [name], "alphas": [1.0, 10.0]} for name in spaces],
            },
            "settings_key": "same", "config": "seed = 0\n", "versions": {},
        }  # fmt: skip
        results.append(write_result(folder / f"sub-{subject}", scores, tables, summary_of(facts, "the benchmark")))
    for result in results:
        page = folder / f"sub-{result.subject}.html"
        write_report([result], Maps(), page, result.folder / "figures", progress=lambda _: None)
    write_report(results, Maps(), folder / "report.html", folder / "group" / "figures", progress=lambda _: None)


if __name__ == "__main__":
    main()

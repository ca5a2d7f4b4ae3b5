"""Run other embedding programs, which you supply, on our data, and score what they write.

DIR holds one folder per program: ``SPoSE``, ``VICE``, ``object-dimensions``. Their command lines changed between
versions; the ones below are those of their documentation. A file ``anchors.toml`` in DIR overrides or adds programs:

    [VICE]
    command = ["{python}", "main_optimization.py", "--triplets_dir", "{triplets}", "--results_dir", "{results}"]
    result = "**/pruned_params.npz"   # newest match below {results}: .npy, .npz or text of numbers
    key = "pruned_loc"                # array of an .npz
    unpruned = { result = "**/parameters.npz", key = "loc" }  # scored too: what pruning has not been applied to
    transpose = false                 # true if dimensions are rows
    seconds = 7200                    # longest run
    search = ["0.02", "0.04"]         # what {search} is replaced by in turn; the best on test_10 is scored

Placeholders: {python} (set ENCODING_ANCHOR_PYTHON to the interpreter that has their dependencies), {triplets} (folder
with train_90 and test_10 as .txt and .npy, odd item last), {arrays} (the same, only .npy), {search}, {results},
{threads}, {folder} (of the program).
"""

import os
import resource
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

PROGRAMS: dict[str, dict[str, Any]] = {
    "SPoSE": {
        "command": [
            *("{python}", "train.py", "--triplets_dir", "{triplets}", "--results_dir", "{results}"),
            *("--embed_dim", "30", "--lmbda", "{search}", "--epochs", "300", "--batch_size", "100", "--device", "cpu"),
            *("--num_threads", "{threads}"),
        ],
        "search": ["0.03"],
        "result": "**/weights_sorted.npy",
        "environment": {"SLURM_ARRAY_TASK_ID": "0"},
    },
    "VICE": {
        "command": [
            *("{python}", "main_optimization.py", "--triplets_dir", "{triplets}", "--results_dir", "{results}"),
            *("--init_dim", "30", "--spike", "0.25", "--slab", "1.0", "--pi", "0.6", "--epochs", "300"),
            *("--burnin", "250", "--ws", "50", "--device", "cpu", "--num_threads", "{threads}"),
        ],
        "result": "**/pruned_params.npz",
        "key": "pruned_loc",
        "unpruned": {"result": "**/parameters.npz", "key": "loc"},
    },
    "object-dimensions": {
        "command": [
            *("{python}", "run_optimization.py", "--triplet_path", "{arrays}", "--log_path", "{results}", "--fresh"),
            *("--method", "deterministic", "--init_dim", "30", "--n_epochs", "300", "--batch_size", "256"),
            *("--beta", "{search}"),
        ],
        "search": ["0.03"],
        "result": "**/params/parameters.npz",
        "key": "pruned_weights",
    },
}
LONGEST = 7200  # seconds


def run_anchors(
    directory: Path,
    judgments: Any,
    grade: Callable[[np.ndarray], dict[str, float]],
    validate: Callable[[np.ndarray, np.ndarray], float],
    *,
    threads: int,
) -> list[dict[str, Any]]:
    """Run every program that is there; the others are named with the reason why they were left out.

    `validate` returns the loss of an embedding on rows of test_10, by which the best run of a search is chosen.
    """
    programs = {name: dict(settings) for name, settings in PROGRAMS.items()}
    overrides = directory / "anchors.toml"
    if overrides.is_file():
        for name, settings in tomllib.loads(overrides.read_text(encoding="utf-8")).items():
            programs[name] = programs.get(name, {}) | settings
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        triplets, held_out = _write_triplets(judgments, Path(folder))
        for name, settings in programs.items():
            checkout = directory / name
            if not checkout.is_dir():
                rows.append({"name": name, "skipped": f"there is no folder {checkout}"})
                continue
            runs: list[dict[str, Any]] = []
            for number, value in enumerate(settings.get("search", [""])):
                results = Path(folder) / f"results-{name}-{number}"
                results.mkdir()
                run = {"search": value, **_run(checkout, settings, triplets, results, threads=threads, value=value)}
                runs.append(run)
            found = [run for run in runs if "X" in run]
            if not found:
                rows.append({"name": name, "skipped": "; ".join(run["skipped"] for run in runs)})
                continue
            best = min(found, key=lambda run: validate(run["X"], held_out))
            rows.append({
                "name": name, "tried": " ".join(run["search"] for run in runs), "best": best["search"],
                "cpu_seconds": sum(run["cpu_seconds"] for run in found), "cpu_seconds_of_best": best["cpu_seconds"],
                **grade(best["X"]),
                **({f"{name}_unpruned": value for name, value in grade(best["unpruned"]).items()}
                   if "unpruned" in best else {}),
            })  # fmt: skip
    return rows


def _write_triplets(judgments: Any, folder: Path) -> tuple[Path, np.ndarray]:
    rows = np.arange(len(judgments))
    others = [judgments.items[rows, (judgments.choice + shift) % 3] for shift in (1, 2)]
    odd_last = np.stack([*others, judgments.items[rows, judgments.choice]], axis=1)
    odd_last = odd_last[np.random.default_rng(0).permutation(len(odd_last))]
    cut = len(odd_last) * 9 // 10
    for kind in ("triplets", "arrays"):
        (folder / kind).mkdir()
        for name, part in (("train_90", odd_last[:cut]), ("test_10", odd_last[cut:])):
            np.save(folder / kind / f"{name}.npy", part)
            if kind == "triplets":
                np.savetxt(folder / kind / f"{name}.txt", part, fmt="%d")
    return folder / "triplets", odd_last[cut:]


def _run(
    checkout: Path,
    settings: dict[str, Any],
    triplets: Path,
    results: Path,
    *,
    threads: int,
    value: str,
) -> dict[str, Any]:
    values = {
        "python": os.environ.get("ENCODING_ANCHOR_PYTHON", sys.executable),
        "triplets": str(triplets),
        "arrays": str(triplets.parent / "arrays"),
        "search": value,
        "results": str(results),
        "threads": str(threads),
        "folder": str(checkout),
    }
    limits = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), str(threads))
    environment = {**os.environ, **limits, "PYTHONPATH": str(checkout), **settings.get("environment", {})}
    command = [part.format(**values) for part in settings["command"]]
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    try:
        done = subprocess.run(
            command, cwd=checkout, env=environment, capture_output=True, text=True, check=False,
            timeout=settings.get("seconds", LONGEST),
        )  # fmt: skip
    except subprocess.TimeoutExpired as error:
        return {"skipped": f"not finished after {error.timeout} s"}
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode:
        lines = done.stderr.strip().splitlines() or [f"exit status {done.returncode}"]
        return {"skipped": f"failed: {lines[-1]}"}
    found = sorted(results.glob(settings["result"]), key=lambda path: path.stat().st_mtime)
    if not found:
        return {"skipped": f"wrote nothing that matches {settings['result']}"}
    X = _read(found[-1], settings.get("key"))
    X = X.T if settings.get("transpose") else X
    seconds = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    run = {"cpu_seconds": seconds, "X": X}
    whole = settings.get("unpruned", {})
    for path in sorted(results.glob(whole["result"]), key=lambda path: path.stat().st_mtime)[-1:] if whole else []:
        run["unpruned"] = _read(path, whole.get("key"))
    return run


def _read(path: Path, key: str | None) -> np.ndarray:
    if path.suffix == ".txt":
        return np.loadtxt(path)
    content = np.load(path, allow_pickle=False)
    return content if isinstance(content, np.ndarray) else content[key]

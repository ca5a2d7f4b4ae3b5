"""Time and memory of the tests of feature spaces and of the controls, at the size of the study.

    python benchmarks/inference_cost.py [--sizes 2048 8192] [--threads 2] [--results benchmarks/results]

Simulated responses (61 runs of 36 presentations) with four spaces (14, 34, 30 and 30 dimensions). Every size is a
process of its own, so that its peak memory is its own. Tests are `infer_spaces` with 1,000 draws, all of it: U of every
set of spaces, draws, regions of some 100 targets, files. Controls are the five that need no files (position, run,
random, motion, autocorrelation), beside fits of the four spaces and of all together to the same targets.
"""

import argparse
import json
import multiprocessing
import resource
import tempfile
import time
from pathlib import Path

import numpy as np

from encoding.comparison import Inference, Resources, infer_spaces
from encoding.comparison.controls import autocorrelations, run_control, shared_control
from encoding.core import Atlas, FeatureSpace, Responses, Samples, Targets, versions
from encoding.fitting import BandedRidge, Compute, Ridge, Split, cross_predict_all, make_folds
from encoding.io.atomic import write_json, write_text
from encoding.numerics.control_features import position_bumps, random_twin

N_RUNS, LENGTH, DIMS, N_DRAWS = 61, 36, (14, 34, 30, 30), 1000
MOST_CONTROLLED = 2048  # targets on which controls are computed, as in the pipeline


def study(n_targets: int) -> tuple[list[FeatureSpace], Responses]:
    """Simulate responses in which every space has a tenth of the variance of a fifth of the targets."""
    rng, rows = np.random.default_rng(0), N_RUNS * LENGTH
    names = np.array([f"s{k:05d}" for k in range(rows)])
    run = np.repeat([f"run-{k:02d}" for k in range(N_RUNS)], LENGTH)
    samples = Samples(names, np.tile(np.arange(LENGTH) * 8.0, N_RUNS), np.full(rows, 8.0), run, "stimulus")
    spaces = [
        FeatureSpace(f"space{k}", rng.standard_normal((rows, p), np.float32), samples, tuple(map(str, range(p))))
        for k, p in enumerate(DIMS)
    ]
    Y = rng.standard_normal((rows, n_targets), np.float32)
    for number, space in enumerate(spaces):
        some = Y[:, number :: len(spaces) + 1]
        some += (0.33 * space.values @ rng.standard_normal((space.n_features, some.shape[1]), np.float32)) / np.sqrt(
            space.n_features
        )
    targets = Targets.of_columns([f"t{k}" for k in range(n_targets)])
    return spaces, Responses(Y, samples, targets, samples, np.zeros((rows, 0), np.float32), "01", "video", 2.0)


def tests(n_targets: int, threads: int, pipe: "multiprocessing.connection.Connection") -> None:
    """Time all tests of so many targets."""
    spaces, responses = study(n_targets)
    labels = np.arange(n_targets) // 100 + 1
    n = int(labels.max())
    numbers = np.arange(1, n + 1)
    names = tuple(f"R{k}" for k in numbers)
    atlas = Atlas("toy", labels, responses.targets, numbers, names, ("L",) * n, ("",) * n, ("#000000",) * n)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    seen: list[float] = []
    with tempfile.TemporaryDirectory() as folder:
        began, cpu = time.perf_counter(), time.process_time()
        infer_spaces(
            spaces, responses, [(None, np.ones(n_targets, int)), (atlas, labels)], folder,
            settings=Inference(N_DRAWS), resources=Resources(threads, 2 << 30), progress=seen.append,
        )  # fmt: skip
        seconds, cpu = time.perf_counter() - began, time.process_time() - cpu
        size = sum(path.stat().st_size for path in Path(folder).rglob("*") if path.is_file()) / 2**20
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    pipe.send({"seconds": seconds, "cpu": cpu, "peak_mib": peak, "before_mib": before, "files_mib": size,
               "steps_shown": len(set(seen))})  # fmt: skip


def controls(n_targets: int, threads: int, pipe: "multiprocessing.connection.Connection") -> None:  # noqa: ARG001
    """Time fits of four spaces and of all together, and the controls."""
    spaces, responses = study(n_targets)
    samples, names = responses.samples, [space.name for space in spaces]
    folds = make_folds(Split(n_outer=6), samples, (samples.stimulus, np.arange(len(samples.stimulus))))
    with tempfile.TemporaryDirectory() as folder:
        cpu = time.process_time()
        models = [*(Ridge((name,)) for name in names), BandedRidge(tuple(names), name="all")]
        places = [Path(folder) / model.name for model in models]
        cross_predict_all(models, spaces, responses, folds, places, compute=Compute())
        fits = time.process_time() - cpu
    cpu = time.process_time()
    Y = responses.values[:, :MOST_CONTROLLED].astype(np.float64)
    pairs = [(fold.train, fold.test) for fold in folds.folds]
    rng = np.random.default_rng(0)
    twin = random_twin(spaces[1].values, rng)
    for name, X in (
        ("position", position_bumps(samples.onset)),
        ("random", twin),
        ("motion", rng.standard_normal((len(Y), 7))),
    ):
        shared_control(name, "", X, Y, samples.run, pairs)
    run_control("run", "", Y, samples.run)
    autocorrelations(Y, spaces, samples.run)
    pipe.send({"fits": fits, "controls": time.process_time() - cpu})


def measured(function, *arguments):
    """Call a function in a process of its own."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=function, args=(*arguments, theirs))
    process.start()
    found = ours.recv()
    process.join()
    return found


def main() -> None:
    """Measure all sizes and write results."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", type=int, nargs="+", default=[2048, 8192])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--results", type=Path, default=Path(__file__).parent / "results")
    options = parser.parse_args()
    path = options.results / "inference_cost.json"
    found = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    for what, sizes, function in (("controls", [256, 2048, 8192], controls), ("tests", options.sizes, tests)):
        for size in sizes:
            name = f"{what} {size}"
            if name not in found:
                found[name] = measured(function, size, options.threads)
                found["versions"] = versions()
                print(name, found[name], flush=True)
                write_json(path, found)
                write_text(options.results / "inference_cost.md", table_of(found))


def table_of(found: dict[str, dict[str, float]]) -> str:
    """Write all sizes as Markdown."""
    lines = [
        "# Time and memory of tests and controls", "",
        "Made by `benchmarks/inference_cost.py`: 61 runs of 36 presentations, spaces of 14, 34, 30 and 30.",
        "The machine has two cores, which others used too: processor seconds count.", "",
        "## Tests: `infer_spaces`, 1,000 draws of four spaces", "",
        "| targets | processor s | per 1,000 targets | wall s | peak memory, MiB | of it the data | files, MiB |",
        "|---|---|---|---|---|---|---|",
    ]  # fmt: skip
    sizes = {int(name.split()[1]): cell for name, cell in found.items() if name.startswith("tests")}
    for n, cell in sorted(sizes.items()):
        lines.append(
            f"| {n:,} | {cell['cpu']:.0f} | {cell['cpu'] / n * 1000:.2f} | {cell['seconds']:.0f} | "
            f"{cell['peak_mib']:.0f} | {cell['before_mib']:.0f} | {cell['files_mib']:.0f} |"
        )
    if len(sizes) > 1:
        (small, a), (large, b) = min(sizes.items()), max(sizes.items())
        slope = (b["cpu"] - a["cpu"]) / (large - small)
        lines += [
            "",
            f"{slope * 1000:.2f} processor seconds per 1,000 targets between the two sizes. Extrapolated in a",
            f"straight line to 100,000 targets: {(b['cpu'] + slope * (1e5 - large)) / 60:.0f} processor minutes, "
            f"{(b['cpu'] + slope * (1e5 - large)) / 120:.0f} minutes of two cores.",
        ]
    lines += ["", "## Controls beside fits of five models", "", "| targets | fits, s | controls, s | share |"]
    lines.append("|---|---|---|---|")
    for name, cell in found.items():
        if name.startswith("controls"):
            n = int(name.split()[1])
            share = cell["controls"] / cell["fits"]
            lines.append(f"| {n:,} | {cell['fits']:.1f} | {cell['controls']:.1f} | {share:.0%} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()

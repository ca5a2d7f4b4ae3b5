"""Embeddings of simulated judgments: recovery, speed, memory, and other programs beside this one.

    python benchmarks/embedding.py [--part recovery speed study ...] [--anchors DIR] [--results DIR] [--threads 1]

Every part is run in a process of its own, which measures its processor time and its largest memory. Planted truth of
other shapes, people's judgments, trust and intervals are measured by `embedding_cells.py`. Parts:

- recovery: 150 items, 8 dimensions, 30,000 choices, data seeds 0-4; and 3,000 judgments with probabilities.
- bias: the same with preferred slots, estimated and ignored.
- path: the number of dimensions left at every penalty between .005 and .05.
- seeds: the number of dimensions of ten seeds, and whether the same seed gives the same bytes.
- speed: judgments per second of processor time at 1,854 items and 100 dimensions.
- reading: 4.7 million rows of text.
- similarity: the matrix of choice probabilities of 2,180 items over all third items.
- study: 2,180 items, 7.1 million judgments, ten seeds, against a run that may go on three times as long.
- study_small: the same with 4.7 million judgments.
- curve: the same judgments and one seed: validation loss against processor time from the first step on.
- anchors: checkouts of SPoSE, VICE and object-dimensions that you supply in folders of these names in DIR, on the data
  of "recovery" or, with --things, on 80 percent of people's judgments; same number of threads, same scoring. Nothing of
  theirs comes with this package.
"""

import argparse
import json
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from matplotlib.figure import Figure

from encoding.core import versions
from encoding.drawing.figure import save_figure
from encoding.embedding import SparseEmbedding, agree, fit_consensus, simulate_judgments
from encoding.embedding.evaluation import evaluate, slot_preference
from encoding.embedding.objective import Problem, row_losses
from encoding.embedding.path import default_lambdas
from encoding.embedding.triplets import as_triplets, divide
from encoding.io.atomic import write_json, write_text
from encoding.io.judgments.files import read_judgments, read_numbers
from encoding.numerics.choices import choice_logits, choice_similarity, correct_share, cross_entropy, log_probabilities
from encoding.numerics.matching import match_columns
from encoding.numerics.triplets import TripletLoss, make_batch
from encoding.numerics.variational import SpikeSlab, fit_posterior
from encoding.workflow.cluster import open_workers

SEEDS = range(5)
BIAS = (1.5, 0.0, -0.4)
MIDDLE = 2  # of the path of penalties, where choices have their best one


def planted(seed: int, n_items: int = 150, n_dims: int = 8) -> np.ndarray:
    """Gamma-distributed weights, 35 percent of them present."""
    rng = np.random.default_rng(seed)
    return rng.gamma(2.0, 0.7, (n_items, n_dims)) * (rng.random((n_items, n_dims)) < 0.35)


def grade(X: np.ndarray, truth: np.ndarray, unseen: Any) -> dict[str, float]:
    """Score any embedding the same way."""
    X = np.maximum(np.asarray(X, dtype=np.float64), 0)
    losses = []
    for values in (X, truth):
        log_p = log_probabilities(choice_logits(values @ values.T, unseen.items))
        losses.append(float(cross_entropy(log_p, unseen.choice).mean()))
    p = np.asarray(unseen.probabilities, dtype=np.float64)
    p /= p.sum(axis=1, keepdims=True)
    logits = choice_logits(X @ X.T, unseen.items)
    log_p = log_probabilities(logits)
    r = match_columns(truth, X)[1]
    upper = np.triu_indices(len(X), 1)
    return {
        "accuracy": float(correct_share(logits, unseen.choice).mean()),
        "loss": losses[0],
        "loss_above_truth": losses[0] - losses[1],
        "n_dims": X.shape[1],
        "r_mean": float(r.mean()),
        "r_min": float(r.min()),
        "rsm_r": float(np.corrcoef(choice_similarity(truth)[upper], choice_similarity(X)[upper])[0, 1]),
        "divergence": float((p * (np.log(p) - log_p)).sum(axis=1).mean()),
    }


def timed(run: Callable[[], Any]) -> tuple[Any, float, float]:
    """Return the result, processor seconds, and wall seconds."""
    cpu, wall = time.process_time(), time.perf_counter()
    found = run()
    return found, time.process_time() - cpu, time.perf_counter() - wall


def log(row: dict[str, Any]) -> None:
    """Show a row when it is there, since a whole part may take long."""
    sys.stderr.write(f"{row}\n")


def recovery(_: argparse.Namespace) -> dict[str, Any]:
    rows = []
    for seed in SEEDS:
        truth = planted(seed)
        unseen = simulate_judgments(truth, 10_000, seed=seed + 200, soft=True)
        hard = simulate_judgments(truth, 30_000, seed=seed + 100)
        soft = simulate_judgments(truth, 3_000, seed=seed + 300, soft=True)
        for method, judgments, kind in (("map", hard, "30,000 choices"), ("variational", hard, "30,000 choices"),
                                        ("map", soft, "3,000 probabilities")):  # fmt: skip
            model, cpu, _wall = timed(lambda m=method, j=judgments, s=seed: SparseEmbedding(m, random_state=s).fit(j))
            rows.append({"judgments": kind, "method": method, "seed": seed, "cpu_seconds": cpu,
                         **grade(model.embedding_, truth, unseen)})  # fmt: skip
    return {"rows": rows}


def bias(_: argparse.Namespace) -> dict[str, Any]:
    rows = []
    for seed in SEEDS:
        truth = planted(seed)
        unseen = simulate_judgments(truth, 10_000, seed=seed + 200, soft=True)
        plain = SparseEmbedding(random_state=seed).fit(simulate_judgments(truth, 30_000, seed=seed + 100))
        biased = simulate_judgments(truth, 30_000, seed=seed + 100, slot_bias=BIAS)
        with_bias = SparseEmbedding(slot_bias=True, random_state=seed).fit(biased)
        ignored = SparseEmbedding(random_state=seed).fit(biased)
        rsm = [grade(model.embedding_, truth, unseen)["rsm_r"] for model in (plain, with_bias, ignored)]
        error = np.abs(with_bias.slot_bias_ - (np.array(BIAS) - np.mean(BIAS))).max()
        test = slot_preference(ignored.embedding_, biased)
        rows.append({"seed": seed, "largest_error": float(error), "rsm_unbiased": rsm[0], "rsm_estimated": rsm[1],
                     "rsm_ignored": rsm[2], "p_when_ignored": test.p, "reported": test.found})  # fmt: skip
    return {"rows": rows}


def path(_: argparse.Namespace) -> dict[str, Any]:
    lambdas = (0.005, 0.0075, 0.01, 0.015, 0.02, 0.03, 0.04, 0.05)
    rows = []
    for seed in SEEDS:
        judgments = simulate_judgments(planted(seed), 30_000, seed=seed + 100)
        whole = SparseEmbedding(lambdas=lambdas, ridges=(0.0,), reweight=0, random_state=seed).fit(judgments).path_
        together = whole[(whole["n_start"] == whole["n_start"].max()) & ~whole["chosen"]]["n_dims"].tolist()
        alone = [SparseEmbedding(lambdas=(v,), random_state=seed).fit(judgments).embedding_.shape[1] for v in lambdas]
        rows.append({"seed": seed, "lambdas": list(lambdas), "n_dims_on_path": together, "n_dims_alone": alone})
    return {"rows": rows}


def seeds(_: argparse.Namespace) -> dict[str, Any]:
    judgments = simulate_judgments(planted(0), 30_000, seed=100)
    free = [SparseEmbedding(random_state=seed).fit(judgments).embedding_.shape[1] for seed in range(10)]
    runs = []
    for jobs in (1, 2, 2):
        with open_workers(n_jobs=jobs) as workers:
            runs.append(fit_consensus(SparseEmbedding(), judgments, workers=workers, resamples=3))
    table = runs[0].dimensions
    return {
        "n_dims_of_ten_seeds": free,
        "n_dims_of_consensus": [run.embedding_.shape[1] for run in runs[0].runs],
        "same_bytes_on_one_and_two_jobs": len({run.embedding.tobytes() for run in runs}) == 1,
        "reproducibility_min": float(table["reproducibility"].min()),
        "item_split_min": float(table["item_split"].min()),
        "triplet_split_mean": float(table["triplet_split"].mean()),
    }


def speed(_: argparse.Namespace) -> dict[str, Any]:
    n_items, n_dims, n = 1854, 100, 4_000_000
    rng = np.random.default_rng(0)
    X = rng.gamma(2.0, 0.35, (n_items, n_dims)) * (rng.random((n_items, n_dims)) < 0.2)
    data = as_triplets(simulate_judgments(X, n, seed=0))
    problem = Problem(data, with_bias=False, dtype=torch.float32, device="cpu")
    start = problem.begin(0.1 + 0.1 * rng.random((n_items, n_dims)))
    problem.loss(start.X, problem.batch)
    rates = []
    for _ in range(3):
        _found, cpu, _wall = timed(lambda: [problem.loss(start.X, problem.batch) for _ in range(5)])
        rates.append(5 * n / cpu)
    point, cpu, _wall = timed(lambda: problem.minimise(start, 0.005 / n_items, tol=0.0, max_iter=20))
    updates = point.n_evaluations * n / cpu
    loss = TripletLoss(n_items)
    variational = {}
    for size in (16_384, 131_072, n):
        batch = make_batch(data.items[:size], data.choice[:size], n_items=n_items)
        n_steps = 5
        _found, cpu, _wall = timed(lambda b=batch, s=n_steps: fit_posterior(
            lambda latent: loss(latent, b)[:2], start.X, n_judgments=n, prior=SpikeSlab(), n_steps=s, rate=0.03, seed=0
        ))  # fmt: skip
        variational[str(size)] = n_steps * size / cpu
    return {"gradient": float(np.median(rates)), "map_updates": updates, "variational_updates_by_batch": variational,
            "n_items": n_items, "n_dims": n_dims, "n_judgments": n}  # fmt: skip


def reading(_: argparse.Namespace) -> dict[str, Any]:
    items = as_triplets(simulate_judgments(np.random.default_rng(0).random((1854, 3)), 4_700_000, seed=0)).items
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "train_90.txt"
        pd.DataFrame(items).to_csv(file, sep=" ", header=False, index=False)
        numbers = [timed(lambda: read_numbers(file))[1:] for _ in range(3)]
        judgments = [timed(lambda: read_judgments(file))[1:] for _ in range(3)]
        return {
            "rows": len(items),
            "megabytes": file.stat().st_size / 1e6,
            "as_array_cpu_seconds": min(cpu for cpu, _ in numbers),
            "as_array_seconds": min(wall for _, wall in numbers),
            "as_judgments_cpu_seconds": min(cpu for cpu, _ in judgments),
            "as_judgments_seconds": min(wall for _, wall in judgments),
        }


def similarity(_: argparse.Namespace) -> dict[str, Any]:
    rng = np.random.default_rng(0)
    X = rng.gamma(2.0, 0.35, (2180, 30)) * (rng.random((2180, 30)) < 0.3)
    found = [timed(lambda: choice_similarity(X))[1:] for _ in range(3)]
    return {"n_items": 2180, "cpu_seconds": min(cpu for cpu, _ in found), "seconds": min(wall for _, wall in found)}


def study_truth(n_items: int, n_dims: int = 30) -> np.ndarray:
    rng = np.random.default_rng(0)
    return rng.gamma(2.0, 0.5, (n_items, n_dims)) * (rng.random((n_items, n_dims)) < 0.25)


def study(arguments: argparse.Namespace) -> dict[str, Any]:
    n_items, n = arguments.items, arguments.judgments
    truth = study_truth(n_items)
    judgments = simulate_judgments(truth, n, seed=0)
    unseen = simulate_judgments(truth, 200_000, seed=1, soft=True)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    estimator = SparseEmbedding(threads=1)
    with open_workers(n_jobs=arguments.jobs) as workers:
        found, cpu, wall = timed(
            lambda: fit_consensus(
                estimator, judgments, seeds=range(arguments.n_seeds), workers=workers, halves=False, resamples=0
            )
        )
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    first = found.runs[0]
    longer, longer_cpu, _wall = timed(
        lambda: SparseEmbedding(
            threads=1, lambdas=(first.lambda_,), tol=first.tol / 30, max_iter=3 * first.max_iter
        ).fit(judgments)
    )
    same = agree((first, longer))
    columns = ["lambda", "n_dims", "train_loss", "loss", "accuracy", "n_gradients", "cpu_seconds"]
    return {
        "n_items": n_items, "n_judgments": n, "n_seeds": arguments.n_seeds, "jobs": arguments.jobs,
        "cpu_seconds": cpu, "seconds": wall, "peak_gigabytes": peak, "gigabytes_before": before,
        "n_dims": [run.embedding_.shape[1] for run in found.runs],
        "steps_of_last_fit": [len(run.trace_) for run in found.runs],
        "consensus": grade(found.embedding, truth, unseen),
        "runs_loss": [grade(run.embedding_, truth, unseen)["loss"] for run in found.runs[:3]],
        "longer_run": {**grade(longer.embedding_, truth, unseen), "cpu_seconds": longer_cpu,
                       "steps": len(longer.trace_),
                       "r_with_first_min": float(same.dimensions["reproducibility"].min())},
        "reproducibility": found.dimensions["reproducibility"].round(4).tolist(),
        "path_of_first_seed": first.path_[columns].round(5).to_dict("list"),
        "objective_of_last_fit": [round(value, 6) for value in first.trace_],
    }  # fmt: skip


def study_small(arguments: argparse.Namespace) -> dict[str, Any]:
    arguments.judgments = 4_700_000
    return study(arguments)


def curve(arguments: argparse.Namespace) -> dict[str, Any]:
    truth = study_truth(arguments.items)
    data = as_triplets(simulate_judgments(truth, arguments.judgments, seed=0))
    held_out = as_triplets(simulate_judgments(truth, 200_000, seed=1))
    problem = Problem(data, with_bias=False, dtype=torch.float32, device="cpu")
    chosen = default_lambdas(data)[MIDDLE]
    rng = np.random.default_rng(0)
    point = problem.begin(0.1 + 0.1 * rng.random((arguments.items, 100)))
    points, begin, scoring = [], time.process_time(), 0.0

    def watch(X: torch.Tensor) -> bool:
        nonlocal scoring
        if len(points) % 5 == 0:
            start = time.process_time()
            loss = float(row_losses(X, None, held_out)[0].mean())
            scoring += time.process_time() - start
        else:
            loss = float("nan")
        points.append((time.process_time() - begin - scoring, loss))
        return False

    for part, steps in ((0.25, 60), (0.5, 60), (1.0, 500)):
        tol = 1e-5 if part < 1 else 1e-6
        point = problem.minimise(point, part * chosen / arguments.items, tol=tol, max_iter=steps, give_up=watch)
    true_loss = float(row_losses(torch.as_tensor(truth), None, held_out)[0].mean())
    table = pd.DataFrame(points, columns=["cpu_seconds", "loss"]).dropna().round(5)
    return {"lambda": chosen, "steps": len(points), "loss_of_truth": true_loss, **table.to_dict("list")}


def anchors(arguments: argparse.Namespace) -> dict[str, Any]:
    from embedding_anchors import run_anchors

    if arguments.anchors is None:
        return {"skipped": "No --anchors DIR was given: SPoSE, VICE and object-dimensions were not run."}

    def _loss(X: np.ndarray, rows: np.ndarray) -> float:
        X = np.maximum(np.asarray(X, dtype=np.float64), 0)
        return float(-log_probabilities(choice_logits(X @ X.T, rows))[:, 2].mean())

    if arguments.things is not None:
        data = as_triplets(read_numbers(arguments.things))
        test = divide(data, 0.2, np.random.default_rng(0))
        judgments, methods = data[~test], ("map",)

        def _grade(X: np.ndarray) -> dict[str, float]:
            X = np.maximum(np.asarray(X, dtype=np.float64), 0)
            score = evaluate({"x": X}, data[test], n_bootstrap=200).iloc[0]
            return {"accuracy": float(score["accuracy"]), "cross_entropy": float(score["cross_entropy"]),
                    "n_dims": int((X.max(axis=0) > 0.1).sum())}  # fmt: skip
    else:
        truth = planted(0)
        unseen = simulate_judgments(truth, 10_000, seed=200, soft=True)
        judgments, methods = simulate_judgments(truth, 30_000, seed=100), ("map", "variational")

        def _grade(X: np.ndarray) -> dict[str, float]:
            return grade(X, truth, unseen)

    rows = run_anchors(arguments.anchors, judgments, _grade, _loss, threads=arguments.threads)
    for method in methods:
        model, cpu, _wall = timed(lambda m=method: SparseEmbedding(m).fit(judgments))
        rows.append({"name": f"this package, {method}", "cpu_seconds": cpu, **_grade(model.embedding_)})
        log(rows[-1])
    return {"rows": rows}


PARTS = {
    part.__name__: part
    for part in (*(recovery, bias, path, seeds, speed, reading, similarity, study, study_small, curve, anchors),)
}


def machine(threads: int) -> dict[str, Any]:
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return {
        "processor": models[0] if models else platform.processor(),
        "cores": os.cpu_count(),
        "threads": threads,
        "load_average": round(os.getloadavg()[0], 1),  # of everything that runs; seconds by the clock suffer from it
        "python": platform.python_version(),
        **versions(),
    }


def describe(found: dict[str, Any]) -> str:
    """Write all results as tables of plain text."""
    lines = ["# Embedding", "", "`python benchmarks/embedding.py`; see there for what each part is.", ""]
    lines += [f"- {key}: {value}" for key, value in found["machine"].items()]
    for name, part in found["parts"].items():
        lines += ["", f"## {name}", ""]
        rows = part.get("rows")
        if isinstance(rows, list):
            frame = pd.DataFrame(rows)
            lines += ["| " + " | ".join(map(str, frame.columns)) + " |", "|" + "---|" * len(frame.columns)]
            lines += ["| " + " | ".join(_cell(value) for value in row) + " |" for row in frame.itertuples(index=False)]
        rest = {key: value for key, value in part.items() if not (key == "rows" and isinstance(rows, list))}
        lines += [f"- {key}: {_cell(value)}" for key, value in rest.items()]
    return "\n".join(lines) + "\n"


def draw_curve(part: dict[str, Any], file: Path) -> Path:
    """Draw how the loss of unseen judgments falls with processor time."""
    figure = Figure(figsize=(7.0, 3.6))
    axes = figure.subplots()
    axes.plot(part["cpu_seconds"], part["loss"], color="#0072B2", marker=".")
    axes.axhline(part["loss_of_truth"], color="#6A737D", linewidth=0.9, linestyle=(0, (4, 3)))
    axes.annotate("true embedding", (0, part["loss_of_truth"]), (0, 4), textcoords="offset points", color="#6A737D")
    axes.set_xlabel("processor seconds, one thread")
    axes.set_ylabel("cross-entropy of unseen judgments, nats")
    figure.tight_layout()
    return save_figure(figure, file)


def _cell(value: Any) -> str:
    if value is None or (isinstance(value, float) and np.isnan(value)):
        return ""
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, dict):
        return ", ".join(f"{key} {_cell(item)}" for key, item in value.items())
    if isinstance(value, list):
        return " ".join(_cell(item) for item in value)
    return str(value)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--part", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--anchors", type=Path, help="folder with checkouts SPoSE, VICE, object-dimensions")
    parser.add_argument(
        "--things",
        type=Path,
        help="file of human judgments, three numbers per row, the odd one last, for the part anchors",
    )
    parser.add_argument("--results", type=Path, default=Path(__file__).parent / "results")
    parser.add_argument("--threads", type=int, default=1, help="of every computation")
    parser.add_argument("--jobs", type=int, default=2, help="seeds that are fitted at a time in the part study")
    parser.add_argument("--items", type=int, default=2180, help="of the part study")
    parser.add_argument("--judgments", type=int, default=7_100_000, help="of the part study")
    parser.add_argument("--n-seeds", type=int, default=10, help="of the part study")
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        (name,) = arguments.part
        torch.set_num_threads(arguments.threads)
        result = PARTS[name](arguments)
        result["peak_memory_gigabytes"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
        sys.stdout.write(json.dumps(result))
        return 0
    file = arguments.results / "embedding.json"
    found = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {"parts": {}}
    found["machine"] = machine(arguments.threads)
    for name in arguments.part:
        command = [sys.executable, __file__, *sys.argv[1:], "--child", "--part", name]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
        found["parts"][name] = json.loads(done.stdout)
        found["parts"] = {part: found["parts"][part] for part in PARTS if part in found["parts"]}
        write_json(file, found)
        write_text(file.with_suffix(".md"), describe(found))
        if name == "curve":
            draw_curve(found["parts"]["curve"], file.with_name("embedding_curve.svg"))
    return 0


if __name__ == "__main__":
    sys.exit(main())

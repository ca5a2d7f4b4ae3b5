"""Fit a twin of the "shortclips" study of the voxelwise tutorials, against himalaya's pipeline: time and scores.

The twin has the sizes of the study: 3,600 training volumes in 12 runs and 270 test volumes shown 10 times, WordNet
labels (1,705 features) and motion energy (6,555), four delays each, and 20 candidates of band weights with 20
penalties. Responses follow one space, the other, or both. What is compared, on one thread each:

- himalaya: `MultipleKernelRidgeCV` on two linear kernels, precomputed, float32, torch backend;
- kernel: `BandedRidgeCV(method="kernel")` at the same candidates, penalties and folds: the same scores are expected;
- wide: `BandedRidgeCV(method="wide")`, which tries a grid of its own, with the same number of folds.

With ``--same``, himalaya gets the very weights and penalties of the grid of "wide", so that the scores of each of its
candidates can be compared, in every target; "kernel" gets some of them. What was fitted is kept in ``--work``.

Run it alone: ``nice -n 15 python benchmarks/shortclips.py``; results go to ``benchmarks/results/shortclips.*``.
"""

import argparse
import json
import os
import platform
import resource
import time
from pathlib import Path

import numpy as np
import torch
from threadpoolctl import threadpool_limits

from encoding.core import versions
from encoding.fitting import BandedRidgeCV
from encoding.fitting.solvers.wide_grid import SHARES, SPACING
from encoding.numerics.ridge_search import draw_candidates

DELAYS = (1, 2, 3, 4)
ALPHAS = np.logspace(0, 6, 20)
RESULTS = Path(__file__).parent / "results"


def make_twin(*, n_train, n_test, n_targets, widths, n_runs, n_repeats=10, seed=0):
    """Make features with delays (n, 4 p), scaled to unit trace on the training rows, and planted responses."""
    rng = np.random.default_rng(seed)
    n = n_train + n_test
    spaces, parts = [], []
    for number, width in enumerate(widths):
        # A few hundred directions carry most of the variance, as of labels and of motion energy, and change slowly.
        latent = rng.standard_normal((n + 8, 300)).astype(np.float32)
        latent = (latent[:-2] + latent[1:-1] + latent[2:])[: n + 4] * (np.arange(1, 301) ** -0.4).astype(np.float32)
        X = latent @ rng.standard_normal((300, width)).astype(np.float32)
        X += 0.5 * X.std() * rng.standard_normal(X.shape, dtype=np.float32)
        X = np.concatenate([X[4 - d : 4 - d + n] for d in DELAYS], axis=1)
        X -= X[:n_train].mean(0)
        X /= np.sqrt((X[:n_train] ** 2).sum() / n_train, dtype=np.float32)
        spaces.append(X)
        share = (np.arange(n_targets) % 3 != number).astype(np.float32)  # the other space, this one, or both
        weights = rng.standard_normal((X.shape[1], n_targets), dtype=np.float32) * share
        parts.append(X @ weights)
    signal = sum(part / max(part.std(), 1e-9) for part in parts)
    noise = rng.standard_normal(signal.shape, dtype=np.float32) * 2.0
    noise[n_train:] /= np.sqrt(n_repeats)  # test stimuli are averaged over their repeats
    Y = signal + noise
    Y -= Y[:n_train].mean(0)
    run = np.arange(n_train) * n_runs // n_train
    return spaces, Y, run


def inner_folds(run, n_splits):
    """Divide training rows by blocks of runs."""
    block = run * n_splits // (run.max() + 1)
    return [(np.flatnonzero(block != k), np.flatnonzero(block == k)) for k in range(n_splits)]


def timed(function):
    start, wall = time.process_time(), time.perf_counter()
    result = function()
    return result, time.process_time() - start, time.perf_counter() - wall


def by_himalaya(spaces, Y, n_train, folds, gammas, alphas=ALPHAS):
    """Fit and predict as the tutorials do: one linear kernel per space, dual solutions, targets in batches."""
    from himalaya.backend import set_backend
    from himalaya.kernel_ridge import MultipleKernelRidgeCV

    set_backend("torch")
    train = np.stack([X[:n_train] @ X[:n_train].T for X in spaces])
    across = np.stack([X[n_train:] @ X[:n_train].T for X in spaces])
    model = MultipleKernelRidgeCV(
        kernels="precomputed", cv=folds,
        solver_params={"n_iter": gammas.astype(np.float32), "alphas": alphas.astype(np.float32), "n_targets_batch": 500,
                       "n_alphas_batch": 5, "n_targets_batch_refit": 500, "progress_bar": False},
    )  # fmt: skip
    model.fit(train, Y[:n_train])
    return model.cv_scores_.numpy(), model.predict(across).numpy()


def by_us(spaces, Y, n_train, folds, method, n_iter, *, alphas=ALPHAS):
    X = np.concatenate(spaces, axis=1)
    groups = np.repeat(range(len(spaces)), [part.shape[1] for part in spaces])
    model = BandedRidgeCV(groups, alphas=alphas, n_iter=n_iter, cv=folds, method=method, random_state=0)
    model.fit(X[:n_train], Y[:n_train])
    return model.cv_scores_, model.predict(X[n_train:])


def correlations(Y, P):
    Y, P = Y - Y.mean(0), P - P.mean(0)
    return (Y * P).sum(0) / np.sqrt((Y**2).sum(0) * (P**2).sum(0))


def measure(sizes, methods):
    spaces, Y, run = make_twin(**sizes["twin"])
    n_train = sizes["twin"]["n_train"]
    folds = inner_folds(run, sizes["n_splits"])
    # No candidate has a weight of zero, at which himalaya's scores are not defined.
    drawn = draw_candidates(2, 4 * sizes["n_candidates"], np.random.default_rng(0))
    gammas = drawn[drawn.min(1) > 1e-4][: sizes["n_measured"]]
    more = sizes["n_candidates"] / len(gammas)
    held, rows, kept = Y[n_train:], [], {}
    once = {"himalaya": 0.0, "kernel": 0.0}
    if more > 1:  # kernels do not depend on the number of candidates
        once["himalaya"] = timed(lambda: [X[:n_train] @ X[:n_train].T for X in spaces])[1]
        wide = [X[:n_train].astype(np.float64) for X in spaces]
        once["kernel"] = timed(lambda: [X @ X.T for X in wide])[1]
        del wide
    variance = Y[:n_train].var(0)
    jobs = {
        "himalaya": lambda: by_himalaya(spaces, Y, n_train, folds, gammas),
        "kernel": lambda: by_us(spaces, Y, n_train, folds, "kernel", gammas),
        "wide": lambda: by_us(spaces, Y, n_train, folds, "wide", sizes["n_candidates"]),
    }
    for name in methods:
        (scores, predicted), cpu, wall = timed(jobs[name])
        kept[name] = scores, correlations(held, predicted)
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        row = {"method": name, "measured_cpu_s": cpu, "wall_s": wall, "peak_bytes_so_far": memory}
        # Kernels are made once, and all candidates take the same time.
        row["cpu_s"] = cpu if name == "wide" else once[name] + (cpu - once[name]) * more
        row["median_r"] = float(np.median(kept[name][1]))
        if name != "himalaya" and "himalaya" in kept:
            reference = kept["himalaya"]
            row["ratio_cpu"] = rows[0]["cpu_s"] / row["cpu_s"]
            row["largest_difference_of_test_r"] = float(np.abs(kept[name][1] - reference[1]).max())
            row["median_difference_of_test_r"] = float(np.median(kept[name][1] - reference[1]))
            if name == "kernel":
                differences = np.abs(scores - reference[0]) / variance
                row["largest_difference_of_cv_score"] = float(differences.max())
                row["same_candidate"] = float((scores.argmax(0) == reference[0].argmax(0)).mean())
        rows.append(row)
        print(json.dumps(row), flush=True)
        yield rows


def measure_same(sizes, work):
    """Compare the score of every weighting at its best penalty, and test scores where the choice is the same."""
    spaces, Y, run = make_twin(**sizes["twin"])
    n_train = sizes["twin"]["n_train"]
    folds = inner_folds(run, sizes["n_splits"])
    step = int(np.ceil(np.log(SPACING) / np.log(ALPHAS[1] / ALPHAS[0])))
    alphas = ALPHAS[::-step][::-1]  # "wide" thins penalties from the largest down
    # A weight of zero has no logarithm, which himalaya takes; so small a one changes no score.
    gammas = np.maximum(np.array([[share, 1 - share] for share in SHARES]), 1e-9)
    some = [k for k, share in enumerate(SHARES) if share in sizes["kernel_shares"]]
    jobs = {
        "himalaya": lambda: by_himalaya(spaces, Y, n_train, folds, gammas, alphas),
        "wide": lambda: by_us(spaces, Y, n_train, folds, "wide", 20, alphas=alphas),
        "kernel": lambda: by_us(spaces, Y, n_train, folds, "kernel", gammas[some], alphas=alphas),
    }
    variance, held, rows, kept = Y[:n_train].var(0), Y[n_train:], [], {}
    for name, job in jobs.items():
        path = work / f"{name}.npz"
        if not path.is_file():
            (scores, predicted), cpu, wall = timed(job)
            if name == "wide":  # a row per weighting and penalty, himalaya has one per weighting
                scores = scores.reshape(len(gammas), len(alphas), -1).max(1)
            memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
            np.savez(path, scores=scores, r=correlations(held, predicted), numbers=[cpu, wall, memory])
        with np.load(path) as found:
            kept[name] = found["scores"] / variance, found["r"]
            cpu, wall, memory = found["numbers"].tolist()
        row = {"method": name, "cpu_s": cpu, "wall_s": wall, "peak_bytes_so_far": memory,
               "n_weightings": len(kept[name][0]), "median_r": float(np.median(kept[name][1]))}  # fmt: skip
        if name != "himalaya":
            reference = kept["himalaya"][0][some if name == "kernel" else slice(None)]
            differences = np.abs(kept[name][0] - reference)
            row["largest_difference_of_cv_score"] = float(differences.max())
            row["largest_difference_of_best_score"] = float(np.abs(kept[name][0].max(0) - reference.max(0)).max())
            chosen = kept["himalaya"][0].argmax(0)
            own = np.array(some)[kept[name][0].argmax(0)] if name == "kernel" else kept[name][0].argmax(0)
            same = own == chosen
            row["same_choice"] = float(same.mean())
            r = np.abs(kept[name][1] - kept["himalaya"][1])[same]
            row |= {"median_difference_of_test_r": float(np.median(r)), "share_within": float((r <= 1e-4).mean()),
                    "largest_difference_of_test_r": float(r.max())}  # fmt: skip
        rows.append(row)
        print(json.dumps(row), flush=True)
        yield rows


def same_as_markdown(report):
    """Describe the comparison at the same candidates."""
    sizes, twin = report["sizes"], report["sizes"]["twin"]
    lines = [
        "## The same candidates",
        "",
        f"{twin['n_train']:,} + {twin['n_test']} rows, {' + '.join(f'{w:,}' for w in twin['widths'])} features with "
        f"{len(DELAYS)} delays, {twin['n_targets']:,} targets, {sizes['n_splits']} inner folds, one thread: all "
        f'{len(SHARES)} weightings and all penalties of the grid of "wide", given to himalaya. {report["note"]}',
        "",
        "| method | weightings | CPU s | median test r | largest difference of CV scores | same choice | "
        "difference of test r there: median, largest | within 1e-4 | peak GB |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for row in report["rows"]:
        cells = [row["method"], str(row["n_weightings"]), f"{row['cpu_s']:.0f}", f"{row['median_r']:.4f}"]
        if "same_choice" in row:
            cells += [
                f"{row['largest_difference_of_cv_score']:.1e}", f"{row['same_choice']:.4f}",
                f"{row['median_difference_of_test_r']:.1e}, {row['largest_difference_of_test_r']:.1e}",
                f"{row['share_within']:.4f}",
            ]  # fmt: skip
        else:
            cells += [""] * 4
        cells.append(f"{row['peak_bytes_so_far'] / 1e9:.1f}")
        lines.append(f"| {' | '.join(cells)} |")
    return [*lines, ""]


def as_markdown(reports):
    lines = ["# shortclips twin", ""]
    for name, report in reports.items():
        if name.startswith("same"):
            continue
        twin, sizes = report["sizes"]["twin"], report["sizes"]
        lines += [
            f"{twin['n_train']:,} training rows in {twin['n_runs']} runs, {twin['n_test']} test rows averaged over "
            f"{twin['n_repeats']} repeats, {' + '.join(f'{w:,}' for w in twin['widths'])} features with {len(DELAYS)} "
            f"delays, {twin['n_targets']:,} targets, {sizes['n_candidates']} candidates, {len(ALPHAS)} penalties, "
            f"{sizes['n_splits']} inner folds, one thread, {report['machine']}. himalaya and kernel were measured, and "
            f"scored, with {sizes['n_measured']} candidates; their seconds are those of {sizes['n_candidates']}. "
            f"{report['note']}",
            "",
            "| method | CPU s | himalaya / method | median test r | difference of test r | of CV scores | peak GB |",
            "|---|---|---|---|---|---|---|",
        ]
        for row in report["rows"]:
            cells = [
                row["method"], f"{row['cpu_s']:.0f}", f"{row['ratio_cpu']:.2f}" if "ratio_cpu" in row else "1",
                f"{row['median_r']:.4f}",
                *(f"{row[name]:.1e}" if name in row else "" for name in
                  ("largest_difference_of_test_r", "largest_difference_of_cv_score")),
                f"{row['peak_bytes_so_far'] / 1e9:.1f}",
            ]  # fmt: skip
            lines.append(f"| {' | '.join(cells)} |")
        lines.append("")
    lines += [
        "Differences are the largest from himalaya, those of CV scores in variances of a target; memory is that of",
        'all methods so far, in this order. Only "kernel" tries the candidates that himalaya tries, so that its scores',
        'can be compared one by one. "wide" tries ratios and penalties of its own: single targets differ either way.',
        "",
    ]
    for name, report in reports.items():
        if name.startswith("same"):
            lines += same_as_markdown(report)
    return "\n".join(lines).rstrip() + "\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--small", action="store_true", help="a sixth of the rows and features, to try it")
    parser.add_argument("--half", action="store_true", help="half the rows and targets")
    parser.add_argument("--splits", type=int, default=5, help="inner folds (5)")
    parser.add_argument("--measured", type=int, default=20, help="candidates that are measured, of 20")
    parser.add_argument("--methods", nargs="+", default=["wide", "himalaya", "kernel"])
    parser.add_argument("--same", action="store_true", help="give himalaya the candidates of wide")
    parser.add_argument("--work", type=Path, help="folder of what --same has fitted, to go on from")
    parser.add_argument("--kernel-shares", type=float, nargs="*", default=[0.25, 0.75], help="weightings of kernel")
    parser.add_argument("--note", default="")
    options = parser.parse_args()
    twin = {"n_train": 3600, "n_test": 270, "n_targets": 2000, "widths": [1705, 6555], "n_runs": 12, "n_repeats": 10}
    if options.half:
        twin |= {"n_train": 1800, "n_test": 270, "n_targets": 1000}
    if options.small:
        twin |= {"n_train": 600, "n_test": 90, "n_targets": 200, "widths": [285, 1092]}
    sizes = {"twin": twin, "n_candidates": 20, "n_measured": options.measured, "n_splits": options.splits}
    torch.set_num_threads(1)
    methods = sorted(options.methods, key=lambda name: name != "himalaya")
    report = {
        "sizes": sizes, "rows": [], "machine": f"{platform.machine()}, {os.cpu_count()} cores", "note": options.note,
        "versions": versions(),
    }  # fmt: skip
    name = "small" if options.small else "half" if options.half else "full"
    path = RESULTS / "shortclips.json"
    if options.same:
        name = f"same-{name}"
        sizes["kernel_shares"] = options.kernel_shares
        options.work.mkdir(parents=True, exist_ok=True)
    reports = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    with threadpool_limits(1):
        for rows in measure_same(sizes, options.work) if options.same else measure(sizes, methods):
            reports[name] = report | {"rows": rows}
            path.write_text(json.dumps(reports, indent=1) + "\n", encoding="utf-8")
            path.with_suffix(".md").write_text(as_markdown(reports), encoding="utf-8")
    print(as_markdown({name: reports[name]}))


if __name__ == "__main__":
    main()

"""Time and check the banded-ridge engine against himalaya and scikit-learn.

One command, one JSON, one table, four pictures:

    python benchmarks/engine.py --out benchmarks/results

Every rival is timed in the same run, on one thread, in processor seconds of this process. himalaya is timed with few
candidates and few targets and extrapolated (linear in targets and candidates, with at most one refit); the table says
so.
"""

import argparse
import functools
import json
import platform
import sys
import time
from importlib.metadata import version
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from engine_memory import memory_rows, wide_memory_rows
from engine_wide import growth, quality_rows, wide_rows
from engine_workload import WIDTHS, Workload, make_workload
from threadpoolctl import threadpool_limits

from encoding.fitting import BandedRidgeCV, RidgeCV
from encoding.fitting.arrays import choose_arrays
from encoding.fitting.design import DesignMatrix
from encoding.fitting.rows import lay_out
from encoding.fitting.solvers.base import Problem, Task
from encoding.fitting.solvers.search_guided import GuidedSearch
from encoding.fitting.solvers.search_statistics import StatisticsSearch, StatisticsSolver
from encoding.numerics.ridge_search import draw_candidates

ALPHAS = np.logspace(-1, 5, 20)
N_CANDIDATES, N_TARGETS = 100, 20_000
ROWS = []


def timed(function, *arguments, **named):
    """Return the result, processor seconds and wall seconds."""
    wall, cpu = time.perf_counter(), time.process_time()
    result = function(*arguments, **named)
    return result, time.process_time() - cpu, time.perf_counter() - wall


def row(workload, what, seconds, *, wall=None, against=None, extrapolated="", reach="", note=""):
    """Note one line of the table."""
    ratio = None if against is None else against / seconds
    ROWS.append(
        {
            "workload": workload, "what": what, "cpu_seconds": seconds, "wall_seconds": wall, "ratio": ratio,
            "extrapolated": extrapolated, "reach": reach, "note": note,
        }
    )  # fmt: skip
    shown = "" if ratio is None else f"{ratio:10.1f}x"
    sys.stderr.write(f"{workload:28} {what:58} {seconds or 0:10.2f} s {shown} {note}\n")


def quickest(function, *arguments):
    """Processor seconds of the best of three."""
    return min(timed(function, *arguments)[1] for _ in range(3))


def linear(function, sizes, size):
    """Time at two sizes, best of three each, and extend the line through them."""
    first, second = (quickest(function, at) for at in sizes)
    slope = max((second - first) / (sizes[1] - sizes[0]), 0.0)
    return first + slope * (size - sizes[0])


def product_rate(n=1536):
    """Rate of a large float32 matrix product on one thread, in operations per second; best of five."""
    a = np.random.default_rng(0).standard_normal((n, n)).astype(np.float32)
    a @ a
    return 2 * n**3 / min(timed(np.matmul, a, a)[1] for _ in range(5))


# Rivals


def group_ridge(load: Workload, backend, batch, n_candidates, n_targets):
    from himalaya.backend import set_backend
    from himalaya.ridge import solve_group_ridge_random_search

    used = set_backend(backend)
    X, Y = load.scaled(0)
    settings = {"n_iter": draw(len(load.bands), n_candidates).astype(np.float32), "alphas": ALPHAS.astype(np.float32)}
    solve_group_ridge_random_search(
        [used.asarray(X[:, band]) for band in load.bands], used.asarray(Y[:, :n_targets]),
        **{name: used.asarray(value) for name, value in settings.items()}, cv=load.inner(0), fit_intercept=True,
        n_targets_batch=batch, return_weights=False, progress_bar=False, warn=False,
    )  # fmt: skip


def kernel_ridge(load: Workload, n_candidates, n_targets, batch=2000):
    """Search one candidate several times: the first is refitted, the others improve nothing and are not."""
    from himalaya.backend import set_backend
    from himalaya.kernel_ridge import MultipleKernelRidgeCV

    set_backend("torch")
    X, Y = load.scaled(0)
    kernels = np.stack([X[:, band] @ X[:, band].T for band in load.bands])
    gammas = np.repeat(draw(len(load.bands), 1), n_candidates, axis=0).astype(np.float32)
    MultipleKernelRidgeCV(
        kernels="precomputed",
        fit_intercept=True,
        cv=load.inner(0),
        solver_params={
            "n_iter": gammas,
            "alphas": ALPHAS.astype(np.float32),
            "n_targets_batch": batch,
            "n_targets_batch_refit": batch,
            "progress_bar": False,
        },
    ).fit(kernels, Y[:, :n_targets])


def all_candidates(function, n_targets, sizes=(512, 2048)):
    """Extend the time of one and of two candidates to all, with one refit: what rivals refit besides is left out."""
    one, two = (linear(lambda n, g=g: function(g, n), sizes, n_targets) for g in (1, 2))
    return one + (N_CANDIDATES - 1) * max(two - one, 0.0)


def draw(n_bands, n, seed=1):
    """Candidates without exact zeros, which himalaya's primal solver cannot take."""
    return np.random.default_rng(seed).dirichlet(np.ones(n_bands), n)


# Ours


def solver_of(load: Workload, gammas, arrays, tasks=None):
    rows = lay_out(load.X, load.folds, [fold.test for fold in load.study.folds])
    design = DesignMatrix(load.X, {}, rows, load.study.folds)
    tasks = tasks or [Task(np.arange(load.X.shape[1]), load.bands, gammas, ALPHAS)]
    return StatisticsSolver(Problem(design, tuple(tasks), arrays))


def nested(load: Workload, arrays, n_candidates, n_targets, tasks=None):
    """All outer folds, leak-free scaling, refit and held-out sums included."""
    solver = solver_of(load, draw(len(load.bands), n_candidates), arrays, tasks)
    for first in range(0, n_targets, 8192):
        solver.fit(load.Y[:, first : min(first + 8192, n_targets)], [None] * len(solver.engine.owners))


def counted_operations(load, n_candidates, n_targets):
    """Products of the search: 2 p^2 per training set, 4 p^2 + 4 A p per validation set."""
    rows = lay_out(load.X, load.folds)
    p, n_sets, n_val = load.X.shape[1], len(rows.sets), rows.n_validations
    return n_candidates * n_targets * (n_sets * 2 * p * p + n_val * (4 * p * p + 4 * len(ALPHAS) * p))


def w1(load, arrays, n_targets):
    name = "W1"
    nested(load, arrays, 2, 512)  # loads libraries
    rate = product_rate()
    _, ours, wall = timed(nested, load, arrays, N_CANDIDATES, n_targets)
    rate = max(rate, product_rate())
    row(name, f"engine, 6 x 5 folds, leak-free, T = {n_targets}", ours, wall=wall, note="all of it, refit and scores")
    share = counted_operations(load, N_CANDIDATES, n_targets) / ours / rate
    note = f"{share:.0%} of {rate / 1e9:.0f} GFLOP/s, decompositions and reading responses included in the time"
    row(name, "counted operations as a share of a float32 product", ours, reach="50%", note=note)
    gammas = draw(4, N_CANDIDATES)
    part = n_targets // 5
    X, Y = load.scaled(0)
    model = BandedRidgeCV(load.groups, alphas=ALPHAS, n_iter=gammas, cv=load.inner(0), fit_intercept=True)
    _, one, _ = timed(model.fit, X, Y[:, :part])
    note = f"one outer fold of six at T = {part}, times 6 x {n_targets // part}"
    row(name, "BandedRidgeCV on features scaled once per outer fold", one * 30, extrapolated="folds, T", note=note)
    settings = [(backend, batch) for backend in ("torch", "numpy") for batch in (200, 1000, 2000)]
    best = min(settings, key=lambda one: timed(group_ridge, load, *one, 1, 1000)[1])
    seconds = 6 * N_CANDIDATES * linear(lambda n: group_ridge(load, *best, 1, n), (500, 2000), n_targets)
    what = f"himalaya GroupRidgeCV ({best[0]}, batches of {best[1]}; best of 6 settings)"
    rival(name, what, seconds, ours, "folds, candidates, T", "100x")
    seconds = 6 * all_candidates(functools.partial(kernel_ridge, load), n_targets)
    rival(name, "himalaya MultipleKernelRidgeCV, precomputed kernels", seconds, ours, "folds, candidates, T", "100x")
    return ours


def rival(workload, what, seconds, ours, extrapolated, reach):
    """Note a rival, and how many times longer it takes than ours."""
    row(workload, what, seconds, extrapolated=extrapolated, reach=reach)
    ROWS[-1]["ratio"] = seconds / ours
    sys.stderr.write(f"    ratio {seconds / ours:.1f}\n")


def agreement(load, n_targets=1000, n_candidates=20):
    """Scores, choices and held-out correlations on the same scaling, for the first outer fold."""
    from himalaya.backend import set_backend
    from himalaya.ridge import GroupRidgeCV

    set_backend("numpy")
    X, Y = load.scaled(0)
    X_test, Y_test = load.scaled_test(0)
    Y, Y_test = Y[:, :n_targets], Y_test[:, :n_targets]
    gammas = draw(4, n_candidates)
    ours = BandedRidgeCV(load.groups, alphas=ALPHAS, n_iter=gammas, cv=load.inner(0), fit_intercept=True).fit(X, Y)
    theirs = GroupRidgeCV(
        groups=load.groups, fit_intercept=True, cv=load.inner(0),
        solver_params={"n_iter": gammas.astype(np.float32), "alphas": ALPHAS.astype(np.float32), "warn": False,
                       "progress_bar": False, "n_targets_batch": 500},
    ).fit(X.astype(np.float32), Y.astype(np.float32))  # fmt: skip
    difference = float(np.abs(ours.cv_scores_ - theirs.cv_scores_).max())
    two = np.sort(theirs.cv_scores_, axis=0)[-2:]
    clear = two[1] - two[0] > 1e-6
    same = np.isclose(ours.best_alphas_, theirs.best_alphas_, rtol=1e-3)
    same &= np.isclose(ours.deltas_, theirs.deltas_, rtol=1e-3, atol=1e-3).all(0)
    r = [correlate(model.predict(X_test), Y_test) for model in (ours, theirs)]
    apart = float(np.abs(r[0] - r[1])[same].max())
    found = {
        "largest_score_difference": difference,
        "same_choice_share": float(same[clear].mean()),
        "clear_targets": int(clear.sum()),
        "largest_r_difference": apart,
    }
    note = f"scores within {difference:.1e}, same choice in {found['same_choice_share']:.1%} of {clear.sum()} "
    note += f"clear targets, held-out r within {apart:.1e} where the choice is the same"
    row("W1", "agreement with GroupRidgeCV, float32", 0.0, reach="1e-5, 99.9%, 1e-4", note=note)
    return found


def correlate(a, b):
    a, b = a - a.mean(0), b - b.mean(0)
    return (a * b).sum(0) / np.sqrt((a * a).sum(0) * (b * b).sum(0))


def w2(load, n_targets):
    X, Y = load.scaled(0)

    def ours(n_candidates, n):
        gammas = np.repeat(draw(len(load.bands), 1), n_candidates, axis=0)
        model = BandedRidgeCV(
            load.groups, alphas=ALPHAS, n_iter=gammas, cv=load.inner(0), fit_intercept=True, method="kernel"
        )
        model.fit(X, Y[:, :n])

    # With fewer targets another way of kernels is taken, and no line leads from one to the other.
    mine = all_candidates(ours, n_targets, (2048, 4096))
    what = f"BandedRidgeCV, kernel, one outer fold, {N_CANDIDATES} candidates, T = {n_targets}"
    row("W2", what, mine, extrapolated="candidates, T")
    theirs = all_candidates(functools.partial(kernel_ridge, load), n_targets)
    rival("W2", "himalaya MultipleKernelRidgeCV, the same", theirs, mine, "candidates, T", "2x")


def single_space(load, n_targets):
    from himalaya.backend import set_backend
    from himalaya.ridge import RidgeCV as HimalayaRidgeCV
    from sklearn.linear_model import Ridge

    set_backend("torch")
    rng = np.random.default_rng(0)
    _, Y = load.scaled(0)
    Y = np.tile(Y, (1, -(-n_targets // Y.shape[1])))[:, :n_targets]
    inner = load.inner(0)
    for p, reach in ((30, "5x"), (100, "5x"), (300, "5x"), (1000, "3x")):
        X = rng.standard_normal((len(Y), p)).astype(np.float32) / np.sqrt(p)
        model = RidgeCV(ALPHAS, cv=inner, fit_intercept=True)
        model.fit(X, Y[:, :64])
        ours = quickest(model.fit, X, Y)
        row(f"single space, p = {p}", f"RidgeCV, T = {n_targets}, {model.solver_['method']}", ours)
        them = HimalayaRidgeCV(ALPHAS, cv=inner, fit_intercept=True, solver_params={"n_targets_batch": 1000})
        seconds = linear(lambda n, m=them, x=X: m.fit(x, Y[:, :n]), (300, 1000), n_targets)
        rival(f"single space, p = {p}", "himalaya RidgeCV (torch)", seconds, ours, "T", reach)

        def looped(n, x=X):
            for train, held in inner[:1]:
                for alpha in ALPHAS[::10]:
                    Ridge(alpha=alpha).fit(x[train], Y[train, :n]).predict(x[held])

        seconds = 50 * linear(looped, (300, 1000), n_targets)
        rival(
            f"single space, p = {p}",
            "scikit-learn Ridge, 5 folds x 20 alphas",
            seconds,
            ours,
            "folds, alphas, T",
            "20x",
        )


def subsets(load, arrays, n_targets=8192, per_band=25):
    """All 15 models of some of 4 bands, with candidates in proportion to their bands."""
    supports = [[number for number in range(4) if code >> number & 1] for code in range(1, 16)]
    gammas = []
    for support in supports:
        some = np.zeros((per_band * len(support), 4))
        some[:, support] = draw(len(support), len(some))
        gammas.append(some)
    columns = np.arange(load.X.shape[1])
    alone = Task(columns, load.bands, gammas[-1], ALPHAS)
    together = np.concatenate(gammas)
    outside = [[band for band in range(4) if band not in support] for support in supports]
    choices = tuple(np.flatnonzero((together[:, out] == 0).all(1)) for out in outside)
    _, joint, _ = timed(nested, load, arrays, 0, n_targets, [alone])
    _, whole, _ = timed(nested, load, arrays, 0, n_targets, [Task(columns, load.bands, together, ALPHAS)])
    _, every, _ = timed(
        nested, load, arrays, 0, n_targets, [Task(columns, load.bands, together, ALPHAS, False, choices)]
    )
    # As a configuration with `subsets = true` makes them: one task each, and a single candidate for a single band.
    tasks = [_task_of(load, support, per_band) for support in supports]
    _, listed, _ = timed(nested, load, arrays, 0, n_targets, tasks)
    name = "15 subset models of 4 bands"
    row(name, f"joint model, its own {len(alone.gammas)} candidates, T = {n_targets}", joint)
    row(name, f"joint model, all {len(together)} candidates, subsets as weights of zero", whole)
    note = f"{every / whole:.2f} times the joint model with the same candidates, {every / joint:.2f} times with its own"
    row(name, "all 15 models in one pass, each chooses among its candidates", every, reach="<= 3x", note=note)
    note = f"{listed / joint:.2f} times the joint model with its own candidates"
    row(name, "all 15 models in one pass, as `subsets = true` lists them", listed, reach="<= 3x", note=note)


def _task_of(load, support, per_band):
    """One model of some bands, on their columns alone."""
    columns = np.concatenate([np.arange(load.X.shape[1])[load.bands[band]] for band in support])
    edges = np.cumsum([0] + [load.bands[band].stop - load.bands[band].start for band in support]).tolist()
    n = per_band * len(support) if len(support) > 1 else 1
    return Task(columns, [slice(a, b) for a, b in pairwise(edges)], draw(len(support), n), ALPHAS)


def scaling(arrays):
    """Processor seconds against T, n, p and the number of candidates."""
    usual = {"n": 1200, "widths": WIDTHS, "n_targets": 2048, "n_candidates": 10}
    axes = {
        "targets": ("n_targets", (512, 1024, 2048, 4096, 8192)),
        "samples": ("n", (600, 1200, 2400, 4800)),
        "features": ("widths", tuple((w, w, w, w) for w in (8, 16, 32, 64))),
        "candidates": ("n_candidates", (5, 10, 20, 40)),
    }
    found = {}
    for label, (name, sizes) in axes.items():
        points = []
        for size in sizes:
            these = usual | {name: size}
            load = make_workload(these["n"], these["widths"], these["n_targets"])
            seconds = timed(nested, load, arrays, these["n_candidates"], these["n_targets"])[1]
            points.append([int(np.sum(size)), seconds])
        found[label] = points
    return found


def search_quality(arrays, n_targets=600):
    """Best mean inner score against the number of candidates that a target tries."""
    load = make_workload(1200, WIDTHS, n_targets, seed=5, noise="mixed")
    gammas = draw_candidates(4, 2000, np.random.default_rng(0))
    rows = lay_out(load.X, load.folds[:2])
    found = {}
    for name, number in (("random", 1000), ("guided", 2000)):
        task = Task(np.arange(load.X.shape[1]), load.bands, gammas[:number], ALPHAS)
        engine = StatisticsSearch(load.X, rows, [task], scale=True, intercept=True, arrays=arrays, memory=1 << 28)
        products = [engine.products(engine.standardise(load.Y)[0])]
        search = engine.run if name == "random" else GuidedSearch(engine.operators).run
        parts, seconds, _ = timed(search, products)
        part = parts[0][0] if name == "random" else parts[0]
        found[name] = {"curve": (part.curve / (2 * n_targets)).tolist(), "cpu_seconds": seconds}
    reached = found["guided"]["curve"]
    of_1000 = found["random"]["curve"][-1]
    enough = next((n + 1 for n, score in enumerate(reached) if score >= of_1000), None)
    found["guided_candidates_for_score_of_1000_random"] = enough
    note = f"score {reached[-1]:.6f} with {len(reached)} candidates per target against {of_1000:.6f} with 1000 random"
    note += f"; the score of 1000 is reached with {enough}"
    row("search", f"guided search of 2,000 candidates, T = {n_targets}", found["guided"]["cpu_seconds"], note=note)
    row("search", f"random search of 1,000 candidates, T = {n_targets}", found["random"]["cpu_seconds"])
    return found


def on_cuda(load, n_targets=100_000):
    """Fill the rows of the table that need a GPU."""
    if not torch.cuda.is_available():
        reason = "skipped: no CUDA device in this run"
        for what in ("W1 on one GPU, T = 100,000", "five subjects on one GPU", "himalaya torch_cuda"):
            row("W1, CUDA", what, None, reach="20x; < 60 s", note=reason)
        return
    arrays = choose_arrays("cuda", vram=16 << 30)
    load.Y = np.tile(load.Y, (1, -(-n_targets // load.Y.shape[1])))[:, :n_targets]
    nested(load, arrays, 2, 8192)
    _, _, wall = timed(nested, load, arrays, N_CANDIDATES, n_targets)
    row("W1, CUDA", f"engine, T = {n_targets}, wall seconds", wall, wall=wall)
    row("W1, CUDA", "five subjects", 5 * wall, reach="< 60 s", extrapolated="subjects")
    walls = {}
    for batch in (1000, 4000, 16000):
        group_ridge(load, "torch_cuda", batch, 1, 2000)
        small, large = (timed(group_ridge, load, "torch_cuda", batch, 1, n)[2] for n in (4000, 16000))
        walls[batch] = small + (large - small) / 12000 * (n_targets - 4000)
    best = min(walls, key=lambda batch: walls[batch])
    seconds = 6 * N_CANDIDATES * walls[best]
    rival("W1, CUDA", f"himalaya torch_cuda, batches of {best}", seconds, wall, "folds, candidates, T", "20x")


def describe():
    names = ("numpy", "scipy", "torch", "himalaya", "scikit-learn")
    listed = Path("/proc/cpuinfo").read_text(encoding="utf-8") if Path("/proc/cpuinfo").exists() else ""
    names_of = [line.split(":")[1].strip() for line in listed.splitlines() if line.startswith("model name")]
    cpu = names_of[0] if names_of else platform.processor()
    device = torch.cuda.get_device_name(0) if torch.cuda.is_available() else "none"
    return {
        "python": platform.python_version(), "versions": {name: version(name) for name in names}, "cpu": cpu,
        "threads": 1, "cuda": device, "n": 2196, "widths": list(WIDTHS), "n_alphas": len(ALPHAS),
        "n_candidates": N_CANDIDATES, "n_targets": N_TARGETS, "outer": 6, "inner": 5, "dtype": "float32",
    }  # fmt: skip


def table(result):
    about = result["about"]
    lines = [
        "# The engine, measured",
        "",
        f"{about['cpu']}, one thread, processor seconds; Python {about['python']}, "
        + ", ".join(f"{name} {number}" for name, number in about["versions"].items())
        + f"; GPU: {about['cuda']}.",
        "",
        f"W1: n = {about['n']}, features {' + '.join(map(str, about['widths']))}, 6 outer and 5 inner folds, "
        f"{about['n_candidates']} candidates, {about['n_alphas']} penalties. W2: W1 and a space of 2,000. "
        "Ratios are the rival's seconds over the engine's.",
        "",
        "| workload | what | CPU s | ratio | wanted | extrapolated | note |",
        "|---|---|---:|---:|---|---|---|",
    ]
    for one in result["rows"]:
        ratio = "" if one["ratio"] is None else f"{one['ratio']:.1f}x"
        seconds = f"{one['cpu_seconds']:.2f}" if one["cpu_seconds"] else ""
        cells = (one["workload"], one["what"], seconds, ratio, one["reach"], one["extrapolated"], one["note"])
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results"))
    parser.add_argument("--targets", type=int, default=N_TARGETS)
    parser.add_argument("--only", nargs="*", default=())
    parser.add_argument("--cells", type=Path, default=Path("benchmarks/cells"), help="what was measured of wide bands")
    parser.add_argument(
        "--kept", action="store_true", help="of wide bands, take what is in --cells and measure nothing"
    )
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)
    arrays = choose_arrays("cpu", threads=1)
    n = options.targets
    load = functools.cache(lambda: make_workload(2196, WIDTHS, n))
    wide = functools.cache(lambda: make_workload(2196, (*WIDTHS, 2000), 4096, seed=1))
    parts = {
        "w1": lambda: w1(load(), arrays, n),
        "agreement": lambda: agreement(load()),
        "w2": lambda: w2(wide(), n),
        "wide": lambda: wide_rows(row, options.cells, measure=not options.kept),
        "wide_scores": lambda: quality_rows(row, options.cells, measure=not options.kept),
        "wide_memory": lambda: wide_memory_rows(row, options.out),
        "wide_growth": lambda: growth(options.cells, measure=not options.kept),
        "single": lambda: single_space(load(), n),
        "subsets": lambda: subsets(load(), arrays, min(n, 8192)),
        "memory": lambda: memory_rows(row, options.out),
        "search": lambda: search_quality(arrays),
        "scaling": lambda: scaling(arrays),
        "cuda": lambda: on_cuda(load()),
    }
    with threadpool_limits(1):
        found = {name: part() for name, part in parts.items() if not options.only or name in options.only}
    result = {"about": describe() | {"n_targets": n}, "rows": ROWS, **{k: v for k, v in found.items() if v is not None}}
    path = options.out / "engine.json"
    if options.only and path.exists():  # replace what was run again
        before = json.loads(path.read_text(encoding="utf-8"))
        again = {one["workload"] for one in ROWS}
        result["rows"] = [one for one in before["rows"] if one["workload"] not in again] + ROWS
        result = before | result
    path.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    (options.out / "engine.md").write_text(table(result), encoding="utf-8")
    from engine_plots import draw_all

    draw_all(result, options.out)


if __name__ == "__main__":
    main()

"""Time wide bands beside narrow ones against himalaya, and check that both agree at the same penalties.

Every size is a cell of its own, kept in a folder as soon as it is measured, so that a run that is cut short goes on.
"""

import json
import time
from dataclasses import dataclass
from functools import partial

import numpy as np
from engine_workload import WIDTHS, make_workload

from encoding.fitting import Fold
from encoding.fitting.arrays import Arrays
from encoding.fitting.design import DesignMatrix
from encoding.fitting.rows import lay_out
from encoding.fitting.solvers.base import Problem, Task
from encoding.fitting.solvers.wide import WideSolver
from encoding.numerics.ridge_search import draw_candidates

ALPHAS = np.logspace(-1, 5, 13)
N_CANDIDATES = 100
ONE, OTHER = "6,555 + 108", "2,000 + 108"
CASES = {ONE: (*WIDTHS, 6555), OTHER: (*WIDTHS, 2000)}
TWO = (*WIDTHS, 2000, 2000)
# Rows in all, a sixth of them held out: 1,744 and 3,600 are searched.
FEW, MANY = 2093, 4320
BOTH, SCALED = (False, True), (True,)


@dataclass(frozen=True)
class Cell:
    """One size of one wide band beside narrow ones.

    `draws` sets how dense the grid is: with 13 it has about as many weightings as himalaya's 100 draws. `scales` says
    how features are treated, and `compared` lists targets whose scores are compared.
    """

    n: int
    case: str
    n_targets: int
    draws: tuple = (13,)
    scales: tuple = SCALED
    compared: tuple = ()
    refit: bool = True


CELLS = [
    Cell(FEW, ONE, 2000, scales=BOTH, compared=(0, 3, 7, 12)),
    Cell(FEW, OTHER, 2000, scales=BOTH, compared=(0, 3, 7, 12)),
    Cell(FEW, ONE, 20_000),
    Cell(FEW, OTHER, 20_000),
    Cell(MANY, ONE, 2000),
    Cell(MANY, OTHER, 2000, scales=BOTH, compared=(3,)),
    Cell(MANY, ONE, 20_000, refit=False),
    Cell(MANY, OTHER, 20_000, refit=False),
]
# Growth: one thing changes at a time.
USUAL = {"targets": 1000, "samples": 900, "width": 1200, "draws": 13}
GROWTH = {
    "targets": (500, 1000, 2000, 4000, 8000), "samples": (450, 900, 1800, 3600), "width": (600, 1200, 2400, 4800),
    "draws": (5, 13, 40, 120),
}  # fmt: skip


def seconds_of(function, *arguments):
    before = time.process_time()
    result = function(*arguments)
    return result, time.process_time() - before


def cell(folder, name, make, *, measure=True):
    """Return what is in the folder under a name, or make it (JSON) and keep it; None if nothing is to be made."""
    path = folder / f"{name}.json"
    if not path.exists() and not measure:
        return None
    if not path.exists():
        made = make()
        folder.mkdir(parents=True, exist_ok=True)
        temporary = path.with_suffix(".part")
        temporary.write_text(json.dumps(made) + "\n", encoding="utf-8")
        temporary.replace(path)
    return json.loads(path.read_text(encoding="utf-8"))


class Data:
    """Features and responses of the first outer fold, scaled once, outside of what is timed.

    `copies` repeats the targets, so that more of them have the scores that few were found to have.
    """

    def __init__(self, n, widths, n_targets, seed=1, copies=1):
        load = make_workload(n, widths, n_targets, seed=seed, noise="mixed")
        self.X, self.Y = load.scaled(0)
        self.Y = np.tile(self.Y, (1, copies))
        self.bands, self.inner, self.groups = load.bands, load.inner(0), load.groups

    def kernels(self):
        """Kernels of all bands (n_bands, n, n), for himalaya."""
        return np.stack([self.X[:, band] @ self.X[:, band].T for band in self.bands]).astype(np.float32)


def solver_of(data, *, scale, n_iter=N_CANDIDATES):
    """Make the solver of one outer fold as the pipeline does (scaling in every inner fold) or as the estimator does."""
    X, inner = data.X.astype(np.float64), data.inner
    rows, none = np.arange(len(X)), np.arange(0)
    design = DesignMatrix(
        X, {}, lay_out(X, [(rows, inner)], [none]), (Fold(rows, none, tuple(inner), none),), scale=scale
    )
    gammas = draw_candidates(len(data.bands), n_iter, np.random.default_rng(0))
    task = Task(np.arange(X.shape[1]), data.bands, gammas, ALPHAS)
    return WideSolver(Problem(design, (task,), Arrays(), details=True))


def fit_one(data, scale, n_iter, refit=True):
    """Search, and refit with weights if asked.

    Return the fit, or what was found without one, the number of weightings, and seconds of the search.
    """
    solver = solver_of(data, scale=scale, n_iter=n_iter)
    run, tried = solver.search.run, len(solver.grid.candidates)
    if not refit:
        standard = data.Y / data.Y.std(0)
        found, seconds = seconds_of(run, standard)
        return found, tried, seconds
    searched = []

    def timed(*arguments, **named):
        found, seconds = seconds_of(partial(run, *arguments, **named))
        searched.append(seconds)
        return found

    solver.search.run = timed
    return solver.fit(data.Y, [None])[0], tried, searched[0]


def himalaya(data, kernels, n_targets, gammas, alphas=ALPHAS):
    from himalaya.backend import set_backend
    from himalaya.kernel_ridge import MultipleKernelRidgeCV

    set_backend("torch")
    batch = 2000
    return MultipleKernelRidgeCV(
        kernels="precomputed", fit_intercept=True, cv=data.inner,
        solver_params={"n_iter": gammas.astype(np.float32), "alphas": np.asarray(alphas, dtype=np.float32),
                       "n_targets_batch": batch, "n_targets_batch_refit": batch, "progress_bar": False},
    ).fit(kernels, data.Y[:, :n_targets].astype(np.float32))  # fmt: skip


def per_candidate(data, kernels):
    """Seconds of himalaya for one more candidate.

    Up to 2,000 targets and 2,000 rows it is three against one; equal ones improve nothing, and so need no refit.
    Beyond, it is one, without an intercept, which allows to leave out the refit: less work than ours.
    """
    equal, n_targets = np.full((1, len(data.bands)), 1 / len(data.bands)), data.Y.shape[1]
    if n_targets > FEW or len(data.X) > FEW:
        return seconds_of(himalaya_search, data, kernels, equal)[1]
    few, many = (seconds_of(himalaya, data, kernels, n_targets, np.repeat(equal, n, axis=0))[1] for n in (1, 3))
    return (many - few) / 2


def himalaya_search(data, kernels, gammas):
    from himalaya.backend import set_backend
    from himalaya.kernel_ridge import solve_multiple_kernel_ridge_random_search

    set_backend("torch")
    return solve_multiple_kernel_ridge_random_search(
        kernels, data.Y.astype(np.float32), n_iter=gammas.astype(np.float32), alphas=ALPHAS.astype(np.float32),
        cv=data.inner, return_weights=None, n_targets_batch=2000, progress_bar=False,
    )  # fmt: skip


def agreement(data, kernels, fit, targets):
    """Largest difference of inner scores at the chosen weights and penalties, in units of the target's variance."""
    largest = 0.0
    for t in targets:
        gamma, alpha = fit.gammas[0][:, t], fit.alphas[0, t]
        with np.errstate(divide="ignore"):  # the logarithm of a weight of zero
            reference = himalaya(data, kernels, t + 1, gamma[None], [alpha]).cv_scores_[0, t]
        largest = max(largest, abs(fit.scores[0, t] * fit.unit[t] ** 2 - reference) / data.Y[:, t].var())
    return float(largest)


def measure_size(one):
    """Time one size; himalaya with few candidates."""
    data = Data(one.n, CASES[one.case], one.n_targets)
    kernels = data.kernels()
    found = {"n": len(data.X), "per_candidate": per_candidate(data, kernels), "ours": []}
    for n_iter in one.draws:
        for scale in one.scales:
            (fit, tried, searched), seconds = seconds_of(fit_one, data, scale, n_iter, one.refit)
            found["ours"].append([scale, tried, seconds if one.refit else None, searched])
            if not scale and "agreement" not in found and one.compared:
                found["agreement"] = agreement(data, kernels, fit, one.compared)
    return found


def wide_rows(row, folder, *, measure=True):
    """Note times for every case and number of targets; himalaya is measured with few candidates and extrapolated."""
    for one in CELLS:
        name = f"wide, {one.case}"
        key = f"wide-{one.case}-{one.n}-{one.n_targets}"
        found = cell(folder, key, partial(measure_size, one), measure=measure)
        if found is None:
            continue
        size, theirs = f"n = {found['n']}, T = {one.n_targets}", found["per_candidate"]
        for scale, tried, ours, searched in found["ours"]:
            how = "features scaled in every inner fold" if scale else "features as they are"
            note = f"himalaya's search: {tried * theirs:.0f} s, from {theirs:.2f} s for one weighting"
            if ours is not None:
                note += f"; with refit and all weights {ours:.1f} s, {tried * theirs / ours:.1f} times less than that"
            row(
                name, f"{size}: search of {tried} weightings, {how}", searched, against=tried * theirs,
                extrapolated="candidates", reach="40x", note=note,
            )  # fmt: skip
        if "agreement" in found:
            row(name, f"{size}: agreement with himalaya", 0.0, reach="1e-5", note=f"{found['agreement']:.1e}")


def growth_point(what, size):
    """Time one outer fold, features scaled in every inner fold, with one size that is not the usual one."""
    sizes = USUAL | {what: size}
    data = Data(sizes["samples"], (*WIDTHS, sizes["width"]), sizes["targets"])
    (_, tried, _), seconds = seconds_of(fit_one, data, True, sizes["draws"])
    return [tried if what == "draws" else size, seconds]


def large_growth(folder):
    """Processor seconds, with refit and weights, against sizes of `CELLS` that differ in one of them."""
    known = {}
    for one in CELLS:
        path = folder / f"wide-{one.case}-{one.n}-{one.n_targets}.json"
        if path.exists() and one.refit:
            ours = json.loads(path.read_text(encoding="utf-8"))["ours"]
            known[one.n, one.case, one.n_targets] = next(seconds for scale, _, seconds, _ in ours if scale)
    lines = {
        "rows, T = 2,000": [(FEW, ONE, 2000, 1744), (MANY, ONE, 2000, 3600)],
        "wide features, n = 1,744": [(FEW, OTHER, 2000, 2000), (FEW, ONE, 2000, 6555)],
        "targets, n = 1,744": [(FEW, ONE, 2000, 2000), (FEW, ONE, 20_000, 20_000)],
    }
    return {
        name: [[size, known[tuple(key)]] for *key, size in line if tuple(key) in known] for name, line in lines.items()
    }


def growth(folder, *, measure=True):
    """Processor seconds against every size."""
    found = large_growth(folder)
    for what, sizes in GROWTH.items():
        points = [
            cell(folder, f"growth-{what}-{size}", partial(growth_point, what, size), measure=measure) for size in sizes
        ]
        found["weightings" if what == "draws" else what] = [point for point in points if point]
    return found


def quality(widths, n=1000, n_targets=200):
    """Run himalaya's 100 draws and the grid, both in full; compare mean inner scores in units of the variance."""
    data = Data(n, widths, n_targets, seed=0)
    gammas = draw_candidates(len(widths), N_CANDIDATES, np.random.default_rng(0))
    theirs, his = seconds_of(himalaya, data, data.kernels(), n_targets, gammas)
    found = {
        "n": len(data.X),
        "himalaya": [float((np.asarray(theirs.cv_scores_).max(0) / data.Y.var(0)).mean()), his],
        "ours": [],
    }
    for n_iter in (13, N_CANDIDATES):
        (fit, tried, _), seconds = seconds_of(fit_one, data, False, n_iter)
        score = float((fit.scores[0] * fit.unit**2 / data.Y.var(0)).mean())
        found["ours"].append([tried, score, seconds])
    return found


QUALITY = [((*WIDTHS, 700, 700), 1000, 200)]
# Two wide bands: targets, those of them whose draws are all run by himalaya, draws at once, and other sizes, of which
# only the search is timed: rows and copies of the targets
TWO_TARGETS, TWO_SCORED, TWO_PART = 2000, 100, 25
TWO_SIZES = [(FEW, 10), (MANY, 1), (MANY, 10)]


def two_draws(first):
    """Run some of himalaya's draws on some targets; return the best score of each so far."""
    data = Data(FEW, TWO, TWO_TARGETS)
    gammas = draw_candidates(len(TWO), N_CANDIDATES, np.random.default_rng(0))[first : first + TWO_PART]
    scores = np.asarray(himalaya(data, data.kernels(), TWO_SCORED, gammas).cv_scores_)
    return scores.max(0).tolist()


def two_times(scale):
    """Time one draw of himalaya, and the whole grid with refit and weights, on all targets."""
    data = Data(FEW, TWO, TWO_TARGETS)
    theirs = per_candidate(data, data.kernels())
    variance = data.Y.var(0).astype(np.float64)
    (fit, tried, searched), seconds = seconds_of(fit_one, data, scale, N_CANDIDATES)
    score = (fit.scores[0] * fit.unit**2 / variance)[:TWO_SCORED]
    return {
        "n": len(data.X), "per_candidate": theirs, "tried": tried, "seconds": seconds, "searched": searched,
        "score": float(score.mean()), "variance": variance[:TWO_SCORED].tolist(),
    }  # fmt: skip


def two_size(n, copies):
    """Time one draw of himalaya and the search of the engine."""
    data = Data(n, TWO, TWO_TARGETS, copies=copies)
    theirs = per_candidate(data, data.kernels())
    found, tried, searched = fit_one(data, True, N_CANDIDATES, refit=False)
    score = float(found.score[0, :TWO_SCORED].mean())
    return {"n": len(data.X), "per_candidate": theirs, "tried": tried, "searched": searched, "score": score}


def two_rows(row, folder, *, measure=True):
    """Note inner scores and processor seconds of two wide bands at full size."""
    name = "wide, 2 x 2,000 + 108"
    starts = range(0, N_CANDIDATES, TWO_PART)
    parts = [cell(folder, f"two-draws-{first}", partial(two_draws, first), measure=measure) for first in starts]
    draws = [part for part in parts if part]
    for scale in BOTH:
        how = "scaled in every inner fold" if scale else "as they are"
        found = cell(folder, f"two-times, {how}", partial(two_times, scale), measure=measure)
        if not found or not draws:
            continue
        size, his = f"n = {found['n']}, T = {TWO_TARGETS}", N_CANDIDATES * found["per_candidate"]
        score = float((np.max(draws, axis=0) / found["variance"]).mean())
        scored = f"after {TWO_PART * len(draws)} draws, over {TWO_SCORED} of the targets"
        row(name, f"{size}: search of himalaya, {N_CANDIDATES} random weightings", his, extrapolated="candidates",
            note=f"score {score:.5f} {scored}; {found['per_candidate']:.2f} s for one weighting")  # fmt: skip
        note = f"score {found['score']:.5f} over the same targets; {found['seconds']:.1f} s with refit and all weights"
        row(name, f"{size}: search of the engine, {found['tried']} weightings, features {how}", found["searched"],
            against=his, reach="10x", note=note)  # fmt: skip
    for n, copies in TWO_SIZES:
        n_targets = copies * TWO_TARGETS
        one = cell(folder, f"two-{n}-{n_targets}", partial(two_size, n, copies), measure=measure)
        if one:
            size, his = f"n = {one['n']}, T = {n_targets}", N_CANDIDATES * one["per_candidate"]
            note = f"{his:.0f} s of himalaya for {N_CANDIDATES} weightings, from one"
            if "score" in one:
                note += f"; score {one['score']:.5f} over the first {TWO_SCORED} targets"
            row(name, f"{size}: search of the engine, {one['tried']} weightings, features scaled in every inner fold",
                one["searched"], against=his, reach="10x", extrapolated="candidates", note=note)  # fmt: skip


def quality_rows(row, folder, *, measure=True):
    """Note inner scores and processor seconds of both, extrapolated for the largest sizes only."""
    two_rows(row, folder, measure=measure)
    for widths, n, n_targets in QUALITY:
        name = f"wide, 2 x {widths[-1]} + {sum(WIDTHS)}"
        key = f"quality-{'-'.join(map(str, widths))}-{n}-{n_targets}"
        found = cell(folder, key, partial(quality, widths, n, n_targets), measure=measure)
        if found is None:
            continue
        score, his = found["himalaya"]
        size = f"n = {found['n']}, T = {n_targets}"
        row(name, f"{size}: himalaya, {N_CANDIDATES} random weightings, all run", his, note=f"score {score:.5f}")
        for tried, ours, seconds in found["ours"]:
            row(
                name, f"{size}: engine, {tried} weightings", seconds, against=his, reach="10x", note=f"score {ours:.5f}"
            )

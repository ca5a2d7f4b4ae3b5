"""Time wide bands beside narrow ones against himalaya, and check that both agree at the same penalties."""

import time

import numpy as np
from engine_workload import WIDTHS, make_workload

from encoding.fitting import BandedRidgeCV, Fold
from encoding.fitting.arrays import Arrays
from encoding.fitting.design import DesignMatrix
from encoding.fitting.rows import lay_out
from encoding.fitting.solvers.base import Problem, Task
from encoding.fitting.solvers.wide import WideSolver
from encoding.numerics.ridge_search import draw_candidates

ALPHAS = np.logspace(-1, 5, 13)
N_CANDIDATES = 100
CASES = {"6,555 + 108": (*WIDTHS, 6555), "2,000 + 108": (*WIDTHS, 2000), "2,000 + 2,000 + 108": (*WIDTHS, 2000, 2000)}


def seconds_of(function, *arguments):
    before = time.process_time()
    result = function(*arguments)
    return result, time.process_time() - before


def solver_of(load, *, scale, n_iter=N_CANDIDATES):
    """Make the solver of one outer fold as the pipeline does (scaling in every inner fold) or as the estimator does."""
    X, _ = load.scaled(0)
    rows, none = np.arange(len(X)), np.arange(0)
    inner = load.inner(0)
    X = X.astype(np.float64)
    design = DesignMatrix(
        X, {}, lay_out(X, [(rows, inner)], [none]), (Fold(rows, none, tuple(inner), none),), scale=scale
    )
    gammas = draw_candidates(len(load.bands), n_iter, np.random.default_rng(0))
    task = Task(np.arange(X.shape[1]), load.bands, gammas, ALPHAS)
    return WideSolver(Problem(design, (task,), Arrays(), details=True))


def fit_one(load, n_targets, scale, n_iter):
    return solver_of(load, scale=scale, n_iter=n_iter).fit(load.scaled(0)[1][:, :n_targets], [None])[0]


def himalaya(load, kernels, n_targets, n_candidates, gammas=None, alphas=ALPHAS):
    """One candidate several times: the first is refitted, the others improve nothing and are not."""
    from himalaya.backend import set_backend
    from himalaya.kernel_ridge import MultipleKernelRidgeCV

    set_backend("torch")
    if gammas is None:
        gammas = np.repeat(np.full((1, len(load.bands)), 1 / len(load.bands)), n_candidates, axis=0)
    batch = 2000
    return MultipleKernelRidgeCV(
        kernels="precomputed", fit_intercept=True, cv=load.inner(0),
        solver_params={"n_iter": gammas.astype(np.float32), "alphas": np.asarray(alphas, dtype=np.float32),
                       "n_targets_batch": batch, "n_targets_batch_refit": batch, "progress_bar": False},
    ).fit(kernels, load.scaled(0)[1][:, :n_targets].astype(np.float32))  # fmt: skip


def per_candidate(load, kernels, n_targets):
    """Seconds of himalaya for one candidate more, from four against one."""
    few, many = (seconds_of(himalaya, load, kernels, n_targets, n)[1] for n in (1, 4))
    return (many - few) / 3


def agreement(load, kernels, fit, targets):
    """Largest difference of inner scores at the chosen weights and penalties, in units of the target's variance."""
    largest = 0.0
    Y = load.scaled(0)[1]
    for t in targets:
        gamma, alpha = fit.gammas[0][:, t], fit.alphas[0, t]
        with np.errstate(divide="ignore"):  # the logarithm of a weight of zero
            reference = himalaya(load, kernels, t + 1, 1, gamma[None], [alpha]).cv_scores_[0, t]
        largest = max(largest, abs(fit.scores[0, t] * fit.unit[t] ** 2 - reference) / Y[:, t].var())
    return float(largest)


def wide_rows(row, rival, n=2093, sizes=(2000, 20_000), cases=tuple(CASES)):
    """Note times for every case and number of targets; himalaya is measured with few candidates and extrapolated."""
    for case in cases:
        load = make_workload(n, CASES[case], max(sizes), seed=1, noise="mixed")
        X, Y = load.scaled(0)
        kernels = np.stack([X[:, band] @ X[:, band].T for band in load.bands]).astype(np.float32)
        name, reach = f"wide, {case}", "40x" if len(load.bands) == len(WIDTHS) + 1 else "10x"
        for n_targets in sizes:
            size = f"n = {len(X)}, T = {n_targets}"
            theirs = per_candidate(load, kernels, n_targets)
            # The grid of 13 draws has as many weightings as himalaya's 100; that of 100 is as dense as they are.
            for scale, n_iter in ((False, 13), (True, 13), (False, N_CANDIDATES), (True, N_CANDIDATES)):
                fit, ours = seconds_of(fit_one, load, n_targets, scale, n_iter)
                tried = len(fit.each)
                how = "features scaled in every inner fold" if scale else "features as they are"
                note = f"himalaya takes {theirs:.1f} s for one weighting, so {N_CANDIDATES} take "
                note += f"{N_CANDIDATES * theirs / ours:.0f} times as long as this"
                row(name, f"{size}: engine, {tried} weightings, {how}, with weights", ours, note=note)
                rival(name, f"{size}: himalaya, {tried} weightings", tried * theirs, ours, "candidates", reach)
            if n_targets == min(sizes):
                fit = solver_of(load, scale=False).fit(Y[:, :64], [None])[0]
                found = agreement(load, kernels, fit, (0, 5, 10, 20, 40, 63))
                row(name, "agreement with himalaya at the same penalties", 0.0, reach="1e-5", note=f"{found:.1e}")


def quality_rows(row, n=1000, n_targets=200):
    """Compare mean inner scores with those of random draws, which himalaya would try; exact kernels score them here."""
    for widths in ((*WIDTHS, 1200), (*WIDTHS, 700, 700)):
        load = make_workload(n, widths, n_targets, seed=0, noise="mixed")
        X, Y = load.scaled(0)
        settings = {"alphas": ALPHAS, "cv": load.inner(0), "fit_intercept": True, "n_iter": N_CANDIDATES}
        scores, seconds, tried = {}, {}, {}
        for method in ("wide", "kernel"):
            model = BandedRidgeCV(load.groups, method=method, random_state=0, **settings)
            _, seconds[method] = seconds_of(model.fit, X, Y)
            tried[method] = len(model.cv_scores_)
            scores[method] = float((model.cv_scores_.max(0) / Y.var(0)).mean())
        note = f"{scores['wide']:.4f} of the variance; {N_CANDIDATES} random weightings (exact kernels): "
        note += f"{scores['kernel']:.4f} in {seconds['kernel']:.1f} s"
        name = f"wide, mean inner score, {' + '.join(map(str, widths))}"
        row(name, f"n = {len(X)}, T = {n_targets}: engine, {tried['wide']} weightings", seconds["wide"], note=note)

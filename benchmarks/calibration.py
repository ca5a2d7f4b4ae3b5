"""Error rates, coverage and power of every test that a report rests on, by simulation.

    python benchmarks/calibration.py [--work FOLDER] [--results benchmarks/results] [--only TEXT] [--scale 1.0]

A cell is one design and one question. Cells are computed in three rounds, a tenth of the data sets first. What is
finished is kept in the work folder and not computed again, nor is what the committed results hold of a cell of the same
name, question and parameters; tables are written anew after every step, so that an interrupted run has said all that it
knows. Targets of one data set share features and noise: intervals are over data sets, exact binomial for rates of data
sets ("any target ...").

The generator has nothing in common with `encoding.simulate`: Gaussian features and noise of first-order autocorrelation
within runs, targets in regions of 25 that share a third of their noise.
"""

import argparse
import json
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, is_dataclass
from functools import partial
from pathlib import Path
from typing import Any

import calibration_claims
import numpy as np
from calibration_data import (
    N_DRAWS,
    N_TARGETS,
    REGION,
    SIX,
    STUDY,
    TWELVE,
    Design,
    cleaned,
    features_of,
    kernel,
    noise_of,
    regions,
    series,
    signal,
)
from scipy import stats

from encoding.comparison import name_best
from encoding.core import digest, versions
from encoding.io.atomic import write_json, write_text
from encoding.numerics import permutation
from encoding.numerics.rsa_inference import exchanged, similarity_kernel
from encoding.numerics.shared_variance import (
    Estimate,
    centre_runs,
    estimate,
    over_participants,
    shared_kernel,
    shared_space,
)
from encoding.numerics.significance import discovery_rates

ROUNDS = (0.1, 0.3, 1.0)  # shares of the data sets of all cells, so that every cell soon has some


# Questions: one data set to named numbers ---------------------------------------------------------------------------


def chance(rng: np.random.Generator, design: Design, dims: tuple[int, ...] = (30, 14)) -> dict[str, float]:
    spaces = [cleaned(features_of(rng, design, p), design) for p in dims]
    Y = cleaned(noise_of(rng, design), design)
    run = design.run
    scheme = permutation.exchange_units(
        [[np.flatnonzero(run == number)] for number in range(len(design.runs))], int(rng.integers(1 << 30))
    )
    draws = permutation.UnitDraws([permutation.prepare_rows(X, scheme) for X in spaces], scheme, N_DRAWS)
    return rates_of(draws.statistics(permutation.prepare_rows(Y, scheme)))


def rates_of(statistics: np.ndarray) -> dict[str, float]:
    null = permutation.summarise(statistics)
    q = discovery_rates(permutation.tail_probability(null.z, null.skewness).ravel())
    means = permutation.summarise(statistics.reshape(*statistics.shape[:2], -1, REGION).mean(-1))
    return {
        "p <= .05": float((null.p <= 0.05).mean()),
        "p <= .01": float((null.p <= 0.01).mean()),
        "any p_fwe <= .05": float((permutation.family_wise(null.z, null.largest) <= 0.05).any()),
        "any q <= .05": float((q <= 0.05).any()),
        "region p <= .05": float((means.p <= 0.05).mean()),
        "any region p_fwe <= .05": float((permutation.family_wise(means.z, means.largest) <= 0.05).any()),
    }


def recurring(rng: np.random.Generator, n_stimuli: int, n_runs: int) -> dict[str, float]:
    """Show the same stimuli in all runs: responses to stimuli are real, features are random."""
    design = Design((n_stimuli,) * n_runs, 0.5)
    order = np.concatenate([rng.permutation(n_stimuli) for _ in range(n_runs)])
    Y = centre_runs(noise_of(rng, design) + rng.standard_normal((n_stimuli, N_TARGETS))[order], design.run)
    scheme = permutation.exchange_stimuli(n_stimuli, int(rng.integers(1 << 30)))
    layout = (order[:, None] == np.arange(n_stimuli)).astype(float)[None]
    spaces = [rng.standard_normal((n_stimuli, p)) for p in (8, 5)]
    found = rates_of(permutation.StimulusDraws(spaces, layout, scheme, N_DRAWS).statistics(Y))
    blocks = [np.flatnonzero(order % min(20, n_stimuli // 2) == k) for k in range(min(20, n_stimuli // 2))]
    pair = [shared_kernel(shared_space(centre_runs(F[order], design.run), blocks, run=design.run), Y) for F in spaces]
    found["U > 0, p <= .05"] = float((estimate(pair[0]).p_above() <= 0.05).mean())
    found["U differs, p <= .05"] = float((estimate(pair[0] - pair[1]).p_differs() <= 0.05).mean())
    return found


def equal(
    rng: np.random.Generator, design: Design, dims: tuple[int, int], share: float, fits: bool
) -> dict[str, float]:
    A, B = (series(rng, design.runs, p, design.features) for p in dims)
    Y = signal(rng, A, share, N_TARGETS) + signal(rng, B, share, N_TARGETS)
    Y += np.sqrt(1 - 2 * share) * noise_of(rng, design)
    first, second = kernel(A, Y, design.run), kernel(B, Y, design.run)
    difference = estimate(first - second)
    low, high = estimate(first).interval()
    found = {
        "first ahead": float((difference.value > 0).mean()),
        "p <= .05": float((difference.p_differs() <= 0.05).mean()),
        "region p <= .05": float((estimate(regions(first - second)).p_differs() <= 0.05).mean()),
        "U first": float(estimate(first).value.mean()),
        "U second": float(estimate(second).value.mean()),
        "coverage of U": float(((low <= share) & (high >= share)).mean()),
    }
    if fits:
        r = [fold_correlations(X, Y, design.run) for X in (A, B)]
        found["first ahead, raw r"] = float((r[0].mean(0) > r[1].mean(0)).mean())
    return found


def fold_correlations(
    X: np.ndarray, Y: np.ndarray, run: np.ndarray, n_folds: int = 6, rows: np.ndarray | None = None
) -> np.ndarray:
    """Correlate held-out responses with nested ridge, shape (n_folds, n_targets); penalties from four inner folds.

    Of `rows` only where given: those of drawn runs, whose copies stay in one fold; folds without rows are left out.
    """
    labels = np.unique(run)
    fold = np.array([k * n_folds // len(labels) for k in range(len(labels))])[np.searchsorted(labels, run)]
    X, Y = centre_runs(X, run), centre_runs(Y, run)
    if rows is not None:
        X, Y = X[rows], Y[rows]
        fold = np.unique(fold[rows], return_inverse=True)[1]
        n_folds = int(fold.max()) + 1
    grams = np.stack([X[fold == k].T @ X[fold == k] for k in range(n_folds)])
    cross = np.stack([X[fold == k].T @ Y[fold == k] for k in range(n_folds)])
    found = []
    for outer in range(n_folds):
        train = [k for k in range(n_folds) if k != outer]
        loss = np.zeros((len(ALPHAS), Y.shape[1]))
        for inner in train:
            rest = [k for k in train if k != inner]
            for number, W in enumerate(ridge(grams[rest].sum(0), cross[rest].sum(0))):
                loss[number] += np.einsum("pt,pt->t", W, grams[inner] @ W - 2 * cross[inner])
        W = np.stack(ridge(grams[train].sum(0), cross[train].sum(0)))
        best = W[loss.argmin(0), :, np.arange(Y.shape[1])].T
        predicted, y = X[fold == outer] @ best, Y[fold == outer]
        top = (predicted * y).sum(0)
        found.append(top / np.sqrt(np.square(predicted).sum(0) * np.square(y).sum(0)))
    return np.stack(found)


ALPHAS = (0.1, 1.0, 10.0, 100.0)


def ridge(gram: np.ndarray, cross: np.ndarray) -> list[np.ndarray]:
    values, vectors = np.linalg.eigh(gram)
    rotated = vectors.T @ cross
    unit = values.mean()
    return [vectors @ (rotated / (values + alpha * unit)[:, None]) for alpha in ALPHAS]


def naming(
    rng: np.random.Generator, design: Design, dims: tuple[int, ...], shares: tuple[float, ...]
) -> dict[str, float]:
    spaces = [series(rng, design.runs, p, design.features) for p in dims]
    parts = [signal(rng, X, share, N_TARGETS) for X, share in zip(spaces, shares, strict=True)]
    Y = sum(parts) + np.sqrt(1 - sum(shares)) * noise_of(rng, design)
    kernels = np.stack([kernel(X, Y, design.run) for X in spaces])
    winner = name_best(np.stack([regions(one) for one in kernels]), 0.05)[0]
    of_targets = name_best(kernels, 0.05)[0]
    best = int(np.argmax(shares))
    return {
        "regions named": float((winner >= 0).mean()),
        "regions named as planted": float((winner == best).mean()) if len(set(shares)) > 1 else 0.0,
        "targets named": float((of_targets >= 0).mean()),
    }


def unique(rng: np.random.Generator, design: Design, correlation: float, share: float = 0.05) -> dict[str, float]:
    p = 20
    B = series(rng, design.runs, p, design.features)
    E = series(rng, design.runs, p, design.features)
    A = correlation * B + np.sqrt(1 - correlation**2) * E
    # E is all that A has beyond B: its signal is what is unique to A.
    Y = signal(rng, E, share, N_TARGETS) + signal(rng, B, 0.1, N_TARGETS)
    Y += np.sqrt(0.9 - share) * noise_of(rng, design)
    part = estimate(kernel(np.concatenate([A, B], 1), Y, design.run) - kernel(B, Y, design.run))
    low, high = part.interval()
    return {
        "unique U": float(part.value.mean()),
        "coverage": float(((low <= share) & (high >= share)).mean()),
    }


def residual_band(rng: np.random.Generator, design: Design, correlation: float) -> dict[str, float]:
    p = 10
    B = series(rng, design.runs, p, design.features)
    A = correlation * B + np.sqrt(1 - correlation**2) * series(rng, design.runs, p, design.features)
    Y = signal(rng, B, 0.15, N_TARGETS) + np.sqrt(0.85) * noise_of(rng, design)
    run = design.run
    scheme = permutation.exchange_units(
        [[np.flatnonzero(run == number)] for number in range(len(design.runs))], int(rng.integers(1 << 30))
    )
    A, B, Y = (permutation.prepare_rows(values, scheme) for values in (A, B, Y))
    null = permutation.summarise(permutation.BandDraws(A, B, scheme, N_DRAWS).statistics(Y))
    return {"p <= .05": float((null.p <= 0.05).mean())}


def participants(
    rng: np.random.Generator, design: Design, dims: tuple[int, int], shares: tuple[float, float], shared: bool
) -> dict[str, float]:
    """Five participants whose shares vary by a third about the mean of the population."""
    n, differences = 5, []
    spaces = [series(rng, design.runs, p, design.features) for p in dims]
    for _ in range(n):
        if not shared:
            spaces = [series(rng, design.runs, p, design.features) for p in dims]
        mine = [share * rng.uniform(2 / 3, 4 / 3) for share in shares]
        Y = sum(signal(rng, X, share, N_TARGETS) for X, share in zip(spaces, mine, strict=True))
        Y = Y + np.sqrt(1 - sum(mine)) * noise_of(rng, design)
        differences.append(regions(kernel(spaces[0], Y, design.run) - kernel(spaces[1], Y, design.run)))
    found: Estimate = over_participants(np.stack(differences), shared=shared)
    each = estimate(np.stack(differences)).value
    paired = stats.ttest_1samp(each, 0.0).pvalue
    low, high = found.interval()
    truth = shares[0] - shares[1]
    return {
        "p <= .05": float((found.p_differs() <= 0.05).mean()),
        "coverage": float(((low <= truth) & (high >= truth)).mean()),
        "paired t on U, p <= .05": float((paired <= 0.05).mean()),
    }


def fit_difference(
    rng: np.random.Generator, design: Design, dims: tuple[int, int], shares: tuple[float, float]
) -> dict[str, np.ndarray]:
    """Difference of fits in the folds of one data set; the truth is its mean over all data sets."""
    fixed = np.random.default_rng(12345)
    spaces = [series(rng, design.runs, p, design.features) for p in dims]
    Y = sum(signal(fixed, X, share, N_TARGETS) for X, share in zip(spaces, shares, strict=True))
    Y = Y + np.sqrt(1 - sum(shares)) * noise_of(rng, design)
    r = [fold_correlations(X, Y, design.run) for X in spaces]
    return {"folds": r[0] - r[1]}


def drawn_fits(
    rng: np.random.Generator, design: Design, dims: tuple[int, int], shares: tuple[float, float], n_draws: int
) -> dict[str, np.ndarray]:
    """Difference of fits of one data set, with its standard error from fits to drawn runs."""
    fixed = np.random.default_rng(12345)
    spaces = [series(rng, design.runs, p, design.features) for p in dims]
    Y = sum(signal(fixed, X, share, N_TARGETS) for X, share in zip(spaces, shares, strict=True))
    Y = Y + np.sqrt(1 - sum(shares)) * noise_of(rng, design)
    run, n_runs, drawn = design.run, len(design.runs), []
    for _ in range(n_draws):
        rows = np.concatenate([np.flatnonzero(run == k) for k in np.sort(rng.integers(0, n_runs, n_runs))])
        r = [fold_correlations(X, Y, run, rows=rows).mean(0) for X in spaces]
        drawn.append(r[0] - r[1])
    r = [fold_correlations(X, Y, run).mean(0) for X in spaces]
    of_regions = np.stack(drawn).reshape(n_draws, -1, REGION).mean(-1)
    half = stats.t.ppf(0.975, n_runs - 1)
    widths = half * np.stack(drawn).std(0, ddof=1), half * of_regions.std(0, ddof=1)
    return {"value": r[0] - r[1], "target": widths[0], "region": widths[1]}


def coverage_of_draws(found: dict[str, list[np.ndarray]]) -> dict[str, list[float]]:
    """Compare the intervals of all data sets with the truth, the mean over data sets."""
    value = np.stack(found["value"])
    values = {"target": value, "region": value.reshape(len(value), -1, REGION).mean(-1)}
    inside = {name: np.abs(each - each.mean(0)) <= np.stack(found[name]) for name, each in values.items()}
    return {f"coverage, {name}": each.mean(1).tolist() for name, each in inside.items()}


def coverage_of_fits(found: dict[str, list[np.ndarray]]) -> dict[str, list[float]]:
    """Compare the intervals of all data sets with the truth."""
    folds = np.stack(found["folds"])
    truth, K = folds.mean((0, 1)), folds.shape[1]
    means = {"target": folds, "region": folds.reshape(*folds.shape[:2], -1, REGION).mean(-1)}
    truths = {"target": truth, "region": truth.reshape(-1, REGION).mean(-1)}
    rates = {}
    for what, values in means.items():
        se = np.sqrt((1 / K + 1 / (K - 1)) * values.var(1, ddof=1))
        half = stats.t.ppf(0.975, K - 1) * se
        inside = np.abs(values.mean(1) - truths[what]) <= half
        rates[f"coverage, {what}"] = inside.mean(1).tolist()
    return rates


FINISH: dict[str, Callable[[dict[str, list[Any]]], dict[str, list[float]]]] = {
    "fit_difference": coverage_of_fits,
    "drawn_fits": coverage_of_draws,
}


def rest(rng: np.random.Generator) -> dict[str, float]:
    """Real resting fMRI (one run on fsaverage5, package brainspace), cut into eight runs, with random features."""
    values = resting()
    chosen = values[:, rng.choice(values.shape[1], 1000, replace=False)]
    length = len(chosen) // 8
    design = Design((length,) * 8, features=0.8)
    starts = [chosen[k * length : (k + 1) * length] for k in range(8)]
    Y = np.concatenate(starts)
    scheme = permutation.exchange_units(
        [[np.flatnonzero(design.run == k)] for k in range(8)], int(rng.integers(1 << 30))
    )
    spaces = [permutation.prepare_rows(series(rng, design.runs, p, 0.8), scheme) for p in (20, 10)]
    statistics = permutation.UnitDraws(spaces, scheme, N_DRAWS).statistics(permutation.prepare_rows(Y, scheme))
    found = rates_of(statistics)
    found["U > 0, p <= .05"] = float((estimate(kernel(spaces[0], Y, design.run)).p_above() <= 0.05).mean())
    return found


def similarity(rng: np.random.Generator, design: Design, strength: float) -> dict[str, float]:
    """Correlate similarities of stimuli by two spaces that shape a region of 30 targets alike, or not at all."""
    spaces = [series(rng, design.runs, 10, design.features) for _ in range(2)]
    weights = np.linalg.qr(rng.standard_normal((30, 20)))[0].T * np.sqrt(1.5)
    Y = strength * np.concatenate(spaces, 1) @ weights + series(rng, design.runs, 30, design.noise)
    run = design.run
    left, right = np.nonzero(run[:, None] > run)
    brain = np.corrcoef(centre_runs(Y, run))[left, right]
    models = [np.corrcoef(X) for X in spaces]
    kernels = [
        similarity_kernel(model[left, right], brain, run[left], run[right], len(design.runs)) for model in models
    ]
    found = {"differs, p <= .05": float(estimate(kernels[0] - kernels[1]).p_differs() <= 0.05)}
    if not strength:
        scheme = permutation.exchange_units(
            [[np.flatnonzero(run == k)] for k in range(len(design.runs))], int(rng.integers(1 << 30))
        )
        null = permutation.summarise(exchanged(models, brain[None], (left, right), scheme, N_DRAWS))
        found["chance, p <= .05"] = float((null.p <= 0.05).mean())
    return found


def resting() -> np.ndarray:
    if "rest" not in CACHE:
        import brainspace
        import nibabel

        folder = Path(brainspace.__file__).parent / "datasets" / "preprocessing"
        parts = [np.asarray(nibabel.load(path).dataobj).squeeze() for path in sorted(folder.glob("*.mgz"))]
        values = np.concatenate(parts).T.astype(np.float32)
        CACHE["rest"] = values[:, values.std(0) > 0]
    return CACHE["rest"]


CACHE: dict[str, np.ndarray] = {}


def cost(rng: np.random.Generator) -> dict[str, float]:
    """Time 1,000 draws of four spaces at the size of the study on one thread, and extrapolate."""
    design, n = Design((36,) * 61), 2048
    spaces = [features_of(rng, design, p) for p in (14, 34, 30, 30)]
    Y = noise_of(rng, design, n)
    scheme = permutation.exchange_units([[np.flatnonzero(design.run == k)] for k in range(61)], 0)
    start = time.process_time()
    draws = permutation.UnitDraws([permutation.prepare_rows(X, scheme) for X in spaces], scheme, 1000)
    for at in range(0, n, 1024):
        permutation.summarise(draws.statistics(permutation.prepare_rows(Y[:, at : at + 1024], scheme)))
    return {"minutes of 100,000 targets on two cores": (time.process_time() - start) * 1e5 / n / 60 / 2}


# Cells --------------------------------------------------------------------------------------------------------------

Question = partial[dict[str, float]]


def null_designs() -> Iterator[tuple[str, int, Design, tuple[int, ...]]]:
    """List designs without any signal: name, data sets, design and dimensions of the spaces."""
    yield "6 x 36, white", 200, Design(SIX), (30, 14)
    yield "6 x 36, AR .3/.5", 200, Design(SIX, 0.3, 0.5), (30, 14)
    yield "12 x 18, white", 200, Design(TWELVE), (30, 14)
    yield "12 x 18, AR .3/.5", 200, Design(TWELVE, 0.3, 0.5), (30, 14)
    yield "61 x 36, white", 1000, Design(STUDY), (30, 14)
    yield "61 x 36, AR .3/.5", 200, Design(STUDY, 0.3, 0.5), (30, 14)
    yield "61 x 36, AR .5/.8", 200, Design(STUDY, 0.5, 0.8), (30, 14)
    yield "5 x 43, AR .5/.8 (runs and shifts)", 200, Design((43,) * 5, 0.5, 0.8), (30, 14)
    yield "5 x 43, white (runs and shifts)", 200, Design((43,) * 5), (30, 14)
    yield "4 x 54, AR .5/.8 (runs and shifts)", 200, Design((54,) * 4, 0.5, 0.8), (30, 14)
    yield "3 x 72, AR .5/.8 (runs and shifts)", 400, Design((72,) * 3, 0.5, 0.8), (30, 14)
    yield "3 x 72, white (runs and shifts)", 200, Design((72,) * 3), (30, 14)
    yield "12 x 18, AR .5/.8, spaces wider than n / 2 (150, 200)", 300, Design(TWELVE, 0.5, 0.8), (150, 200)
    yield "volumes 8 x 250, four delays, white", 200, Design((250,) * 8, clock="tr"), (8, 5)
    yield "volumes 8 x 250, four delays, AR .5", 200, Design((250,) * 8, 0.5, clock="tr"), (8, 5)
    yield "6 x 36, a time course common to all runs", 200, Design(SIX, 0.3, 0.5, common=0.5), (30, 14)
    yield (
        "5 x 43, a time course common to all runs (runs and shifts)",
        200,
        Design((43,) * 5, 0.3, 0.5, common=0.5),
        (30, 14),
    )
    yield "12 x 18, targets of unequal autocorrelation", 200, Design(TWELVE, 0.5, 0.8, mixed=True), (30, 14)
    yield "unequal runs (8 x 20, 8 x 12)", 200, Design((20, 12) * 8, 0.5, 0.8), (30, 14)
    yield "unequal runs (34 to 36 rows)", 200, Design((36, 35, 34) * 3, 0.5, 0.8), (30, 14)


def cells() -> dict[str, tuple[str, int, Question]]:  # noqa: C901, PLR0912 - a list
    """List all cells: name to (table, data sets, question with its parameters), the most important first."""
    found: dict[str, tuple[str, int, Question]] = {}

    def add(table: str, name: str, n: int, question: Callable[..., dict[str, float]], **parameters: Any) -> None:
        found[f"{table}: {name}"] = (table, n, partial(question, **parameters))

    def null(name: str, n: int, design: Design, dims: tuple[int, ...] = (30, 14)) -> None:
        add("chance", name, n, chance, design=design, dims=dims)

    null("6 x 36, AR .5/.8", 1300, Design(SIX, 0.5, 0.8))
    null("12 x 18, AR .5/.8", 1300, Design(TWELVE, 0.5, 0.8))
    for name, runs in (("216", SIX), ("2196", STUDY)):
        share = 0.1 if name == "216" else 0.03
        for noise, ar in (("white", (0.0, 0.0)), ("AR .5/.5", (0.5, 0.5))):
            design = Design(runs if name == "2196" else TWELVE, *ar)
            for dims in ((30, 30), (14, 34)):
                n = 400 if name == "216" else 200
                what = f"{dims[0]} v {dims[1]}, n {name}, {noise}"
                add("equal spaces", what, n, equal, design=design, dims=dims, share=share, fits=True)
    four = (14, 34, 30, 30)
    for name, runs, n, share in (("216", SIX, 400, 0.1), ("2196", STUDY, 200, 0.03)):
        design = Design(runs, 0.5, 0.5)
        add("naming", f"no signal, n {name}", n, naming, design=design, dims=four, shares=(0.0,) * 4)
        add("naming", f"four equal spaces, n {name}", n, naming, design=design, dims=four, shares=(share,) * 4)
    add("naming", ".05 v .03, n 2196", 200, naming, design=Design(STUDY), dims=(30, 30), shares=(0.05, 0.03))
    add("naming", ".2 v .1, n 216", 200, naming, design=Design(SIX), dims=(30, 30), shares=(0.2, 0.1))
    for correlation in (0.3, 0.6, 0.9):
        for name, runs in (("216", TWELVE), ("2196", STUDY)):
            what, design = f"correlation {correlation}, n {name}", Design(runs, 0.3, 0.5)
            add("unique variance", what, 750, unique, design=design, correlation=correlation)
    five = {"design": Design(TWELVE, 0.3), "shares": (0.1, 0.1)}
    for dims in ((30, 30), (14, 34)):
        for stimuli, shared in (("shared", True), ("other", False)):
            what = f"equal {dims[0]} v {dims[1]}, {stimuli} stimuli, n 216"
            add("five participants", what, 300, participants, dims=dims, shared=shared, **five)
    five = {"design": Design(STUDY, 0.3), "dims": (30, 30), "shares": (0.06, 0.03), "shared": True}
    add("five participants", "power: .06 v .03, shared stimuli, n 2196", 200, participants, **five)
    fits = {"design": Design(TWELVE, 0.3, 0.5), "dims": (30, 14), "shares": (0.1, 0.05)}
    add("these fits on new runs", "30 v 14, .1 v .05, n 216, six folds", 400, fit_difference, **fits)
    what = "the same, bootstrap of runs, 40 draws"
    add("these fits on new runs", what, 100, drawn_fits, **fits, n_draws=40)
    for name, n, design, dims in null_designs():
        null(name, n, design, dims)
    add("recurring stimuli", "24 stimuli in 6 runs, AR .5", 200, recurring, n_stimuli=24, n_runs=6)
    add("recurring stimuli", "60 stimuli in 4 runs, AR .5", 200, recurring, n_stimuli=60, n_runs=4)
    for noise, ar in (("white", (0.0, 0.0)), ("AR .5/.5", (0.5, 0.5))):
        wide = {"design": Design(STUDY, *ar), "dims": (30, 300), "share": 0.03, "fits": False}
        add("equal spaces", f"30 v 300, n 2196, {noise}", 200, equal, **wide)
    for name, strength in (("no relation", 0.0), ("equal models", 0.5), ("equal strong models", 1.0)):
        for runs in (SIX, TWELVE):
            what, design = f"{name}, {len(runs)} x {runs[0]}, AR .3/.5", Design(runs, 0.3, 0.5)
            add("similarity of stimuli", what, 1000, similarity, design=design, strength=strength)
    for correlation in (0.0, 0.9):
        what, design = f"correlation {correlation}, 12 x 18", Design(TWELVE, 0.3, 0.5)
        add("residual band", what, 200, residual_band, design=design, correlation=correlation)
    add("real rest", "8 x 81 volumes, random features, 1,000 vertices", 200, rest)
    for table, name, n, question, parameters in calibration_claims.cells():
        add(table, name, n, question, **parameters)
    add("cost", "1,000 draws, 4 spaces, n 2196", 1, cost)
    return found


def key_of(name: str, question: Question) -> str:
    """Identify a cell by its name, its question and all parameters."""
    parameters = {key: asdict(value) if is_dataclass(value) else value for key, value in question.keywords.items()}
    return digest([name, question.func.__name__, parameters, N_TARGETS, REGION, N_DRAWS])


def compute(name: str, n: int, question: Question, before: dict[str, Any]) -> dict[str, Any]:
    """Add data sets to a cell until it has n; every data set has a seed of its own."""
    start = time.process_time()
    seed = int(digest([name]), 16) % (1 << 32)
    finish = FINISH.get(question.func.__name__)
    values: dict[str, list[Any]] = {} if finish is not None else before.get("values", {})
    # Without the values of earlier data sets (only their summary is committed) all are made again.
    first = before.get("n", 0) if values else 0
    for number in range(first, n):
        for measure, value in question(np.random.default_rng([seed, number])).items():
            values.setdefault(measure, []).append(value)
    if finish is not None:
        values = finish(values)
    seconds = (before.get("seconds", 0.0) if first else 0.0) + time.process_time() - start
    return {
        "key": key_of(name, question),
        "n": n,
        "seconds": seconds,
        "measures": {m: _summary(m, np.array(v)) for m, v in values.items()},
        "values": values,
    }


def _summary(measure: str, each: np.ndarray) -> dict[str, float]:
    mean = float(each.mean())
    if measure.startswith("any"):
        exact = stats.binomtest(int(each.sum()), len(each)).proportion_ci(method="exact")
        return {"mean": mean, "low": float(exact.low), "high": float(exact.high)}
    half = 1.96 * float(each.std(ddof=1)) / np.sqrt(len(each)) if len(each) > 1 else 0.0
    return {"mean": mean, "low": mean - half, "high": mean + half}


def write_tables(done: dict[str, dict], results: Path, missing: list[str]) -> None:
    """Write all finished cells as JSON and as tables."""
    kept = {name: {key: value for key, value in cell.items() if key != "values"} for name, cell in done.items()}
    write_json(results / "calibration.json", {"versions": versions(), "cells": kept, "missing": missing})
    lines = [
        "# Calibration", "",
        "Made by `benchmarks/calibration.py`. Rates with 95% intervals over data sets (exact binomial for rates of",
        "data sets, which begin with \"any\"); 200 targets in 8 regions, 199 draws.", "",
    ]  # fmt: skip
    tables = dict.fromkeys(name.split(": ", 1)[0] for name in done)
    for table in tables:
        of_table = {name.split(": ", 1)[1]: cell for name, cell in done.items() if name.startswith(f"{table}: ")}
        measures = list(dict.fromkeys(m for cell in of_table.values() for m in cell["measures"]))
        lines += [f"## {table.capitalize()}", "", "| | data sets | " + " | ".join(measures) + " |"]
        lines.append("|---|---|" + "---|" * len(measures))
        for name, cell in of_table.items():
            found = [_number(cell["measures"].get(measure)) for measure in measures]
            lines.append(f"| {name} | {cell['n']:,} | " + " | ".join(found) + " |")
        lines.append("")
    pooled = [c for name, c in done.items() if name.startswith("chance: ") and "shifts" not in name]
    if pooled:
        weights = np.array([cell["n"] for cell in pooled], float)
        lines += ["## Pooled over the designs against chance (runs)", ""]
        for measure in pooled[0]["measures"]:
            rate = np.average([cell["measures"][measure]["mean"] for cell in pooled], weights=weights)
            lines.append(f"- {measure}: {rate:.3f}")
        lines.append("")
    minutes = sum(cell["seconds"] for cell in done.values()) / 60
    left = f" Not yet computed: {'; '.join(missing)}." if missing else ""
    lines += [f"{minutes:.0f} minutes of one core.{left}", ""]
    write_text(results / "calibration.md", "\n".join(lines))


def _number(measure: dict[str, float] | None) -> str:
    return "" if measure is None else f"{measure['mean']:.3f} [{measure['low']:.3f}, {measure['high']:.3f}]"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--work", type=Path, default=Path(tempfile.gettempdir()) / "encoding-calibration")
    parser.add_argument("--results", type=Path, default=Path(__file__).parent / "results")
    parser.add_argument("--only", default="", help="cells whose name holds this text")
    parser.add_argument("--scale", type=float, default=1.0, help="share of the data sets of each cell")
    options = parser.parse_args()
    options.work.mkdir(parents=True, exist_ok=True)
    every = cells()

    def finished() -> dict[str, dict[str, Any]]:
        """Read the cells of the work folder and of the committed results, whichever has more data sets."""
        committed = options.results / "calibration.json"
        kept = json.loads(committed.read_text(encoding="utf-8"))["cells"] if committed.is_file() else {}
        found = {}
        for name, (_, _, question) in every.items():
            path = options.work / f"{_file(name)}.json"
            own = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
            alike = [one for one in (own, kept.get(name, {})) if one.get("key") == key_of(name, question)]
            if alike:
                found[name] = max(alike, key=lambda one: one["n"])
        return found

    for share in ROUNDS:
        for name, (_, n, question) in every.items():
            before = finished().get(name, {})
            whole = question.func.__name__ in FINISH
            wanted = max(1, round(n * options.scale * (1.0 if whole else share)))
            if before.get("n", 0) < wanted and options.only in name:
                write_json(options.work / f"{_file(name)}.json", compute(name, wanted, question, before))
                done = finished()
                print(f"{name}: {wanted} data sets, {done[name]['seconds']:.0f} s", flush=True)
                write_tables(done, options.results, [other for other in every if other not in done])
    done = finished()
    write_tables(done, options.results, [other for other in every if other not in done])


def _file(name: str) -> str:
    return "".join(letter if letter.isalnum() else "-" for letter in name)


if __name__ == "__main__":
    main()

"""Controls, ceilings and planning on simulated data: rates, bias, coverage, and predicted against found power.

    python benchmarks/controls.py              # all cells that are not there yet; results/controls.json and .md

Cells are independent and resumable; all of them take some ten minutes on one core.
"""

import argparse
import json
from itertools import product
from pathlib import Path

import numpy as np
from scipy.signal import lfilter

from encoding.comparison.controls import above_chance, run_control, shared_control
from encoding.core import digest
from encoding.numerics.ceilings import repeat_reliability
from encoding.numerics.control_features import position_bumps, random_twin
from encoding.numerics.planning import StudyDesign, power
from encoding.numerics.shared_variance import blocks_of_runs, centre_runs, estimate, shared_kernel, shared_space

HERE = Path(__file__).parent / "results"
# Raised where what a cell measures has changed; cells of another version or of other arguments are made again
VERSIONS = {"control_rates": 2, "ceiling_rates": 1, "power_found": 1}


def autoregressive(rng, n_rows, n_columns, rho):
    """Stationary AR(1) series of unit variance."""
    drawn = rng.standard_normal((n_rows + 50, n_columns))
    return lfilter([np.sqrt(1 - rho**2)], [1, -rho], drawn, axis=0)[50:]


def in_runs(rng, n_runs, n_rows, n_columns, rho):
    """Draw the same, run by run."""
    return np.concatenate([autoregressive(rng, n_rows, n_columns, rho) for _ in range(n_runs)])


def control_rates(n_runs, n_rows, rho, leak, n_sets=200, signs=False):
    """Share of data sets in which each control is above chance, of 100 targets."""
    n_targets = 100
    run = np.repeat([f"r{k:02d}" for k in range(n_runs)], n_rows)
    time = np.tile(np.arange(n_rows) * 8.0, n_runs)
    folds = [(np.flatnonzero(name != run), np.flatnonzero(name == run)) for name in np.unique(run)[:3]]
    counts = dict.fromkeys(("position", "run", "random", "motion", "any"), 0)
    for seed in range(n_sets):
        rng = np.random.default_rng(seed)
        mixing = np.eye(n_targets) + 0.1 * rng.standard_normal((n_targets, n_targets))
        Y = in_runs(rng, n_runs, n_rows, n_targets, rho) @ mixing
        moved = in_runs(rng, n_runs, n_rows, 7, 0.8)
        stimuli = np.arange(n_runs * n_rows)
        sign = rng.choice([-1.0, 1.0], n_targets) if signs else 1.0
        if leak == "position":
            Y += 0.3 * np.tile(np.sin(np.arange(n_rows) / n_rows * 6), n_runs)[:, None] * sign
        if leak == "run":
            Y += 2.0 * (np.repeat(np.arange(n_runs), n_rows) / n_runs)[:, None] * rng.standard_normal(n_targets)
        if leak == "random":
            stimuli = np.concatenate([rng.permutation(n_rows) for _ in range(n_runs)])
            Y += 0.6 * rng.standard_normal((n_rows, n_targets))[stimuli]
        if leak == "motion":
            Y += 0.3 * moved[:, :1] * sign
        twin = random_twin(rng.standard_normal((stimuli.max() + 1, 14)), rng)[stimuli]
        found = [
            shared_control("position", "", position_bumps(time), Y, run, folds),
            run_control("run", "", Y, run),
            shared_control("random", "", twin, Y, run, folds),
            shared_control("motion", "", moved, Y, run, folds),
        ]
        flags = above_chance(found)
        for control, flag in zip(found, flags, strict=True):
            counts[control.name] += flag
        counts["any"] += any(flags)
    return {name: count / n_sets for name, count in counts.items()} | {"n_sets": n_sets}


def ceiling_rates(kind, n_stimuli, n_repeats, snr, n_targets=4000):
    """Bias and coverage of the reliability of single presentations and of means.

    The truth is that of the population of stimuli; "shown": coverage of the reliability of the stimuli that were shown.
    """
    rng = np.random.default_rng(1)
    shape = (n_stimuli, n_targets)
    signal = {
        "gauss": lambda: rng.standard_normal(shape),
        "exponential": lambda: rng.standard_exponential(shape) - 1,
        "sparse": lambda: rng.standard_normal(shape) * (rng.random(shape) < 0.1) / np.sqrt(0.1),
    }[kind]()
    stimulus = np.repeat(np.arange(n_stimuli), n_repeats)
    Y = np.sqrt(snr) * signal[stimulus] + rng.standard_normal((len(stimulus), n_targets))
    out = {}
    realised = snr * signal.var(0, ddof=1)
    for name, averaged in (("single", 1.0), ("mean", float(n_repeats))):
        truth, of_shown = snr / (snr + 1 / averaged), realised / (realised + 1 / averaged)
        found = repeat_reliability(Y, stimulus, averaged=averaged)
        out[name] = {
            "truth": truth,
            "bias": float(np.nanmean(found.value) - truth),
            "coverage": float(np.mean((found.low <= truth) & (truth <= found.high))),
            "shown": float(np.mean((found.low <= of_shown) & (of_shown <= found.high))),
        }
    return out


def power_found(q, p, n_runs, n_rows, rho, n_sets=300):
    """Predicted power and standard error of a difference of U, and those found, of single targets."""
    run = np.repeat([f"r{k:02d}" for k in range(n_runs)], n_rows)
    values, hits, predicted_se = [], [], []
    design = StudyDesign((q[0] ** 0.5, q[1] ** 0.5), p, n_rows, 1.0, rho[0], rho[1])
    for seed in range(n_sets):
        rng = np.random.default_rng(seed)
        spaces = [in_runs(rng, n_runs, n_rows, width, rho[0]) for width in p]
        n_targets = 20
        signal = np.zeros((len(run), n_targets))
        for share, X in zip(q, spaces, strict=True):
            weights = rng.standard_normal((X.shape[1], n_targets))
            signal += np.sqrt(share) * X @ (weights / np.linalg.norm(weights, axis=0))
        Y = signal + np.sqrt(1 - sum(q)) * in_runs(rng, n_runs, n_rows, n_targets, rho[1])
        blocks = blocks_of_runs(run)
        kernels = [shared_kernel(shared_space(centre_runs(X, run), blocks), centre_runs(Y, run)) for X in spaces]
        gap = estimate(kernels[0] - kernels[1])
        values.append(gap.value)
        predicted_se.append(gap.se)
        hits.append((gap.p_differs() <= 0.05) & (gap.value > 0))
    return {
        "difference": q[0] - q[1],
        "found difference": float(np.mean(values)),
        "predicted se": float(np.sqrt(design.variance(n_runs))),
        "found se": float(np.std(values)),
        "predicted power": power(design, n_runs),
        "found power": float(np.mean(hits)),
    }


LEAKS = ("none", "position", "run", "random", "motion")


def control_cells():
    """Designs, noise and leaks; the large design without leaks only."""
    for (n_runs, n_rows), rho, leak in product(((6, 36), (12, 18), (61, 36)), (0.0, 0.5), LEAKS):
        if n_runs < 61 or leak == "none":
            name = f"controls {leak} {n_runs}x{n_rows} AR {rho}"
            yield name, control_rates, (n_runs, n_rows, rho, leak, 200 if n_runs < 61 else 60)
        if n_runs < 61 and leak in ("position", "motion"):
            yield f"{name}, either sign", control_rates, (n_runs, n_rows, rho, leak, 200, True)


def ceiling_cells():
    """Signals, numbers of stimuli and repeats, and signal to noise."""
    for kind, n, repeats, snr in product(("gauss", "exponential", "sparse"), (24, 100), (2, 4), (0.2, 1.0)):
        yield f"ceiling {kind} {n} stimuli x {repeats} SNR {snr}", ceiling_rates, (kind, n, repeats, snr)


def power_cells():
    """Differences, numbers of runs, and autocorrelation."""
    sizes, lags = ((6, 300), (24, 150), (61, 60)), ((0.0, 0.0), (0.8, 0.5))
    for q, (n_runs, n_sets), rho in product(((0.2, 0.1), (0.05, 0.03)), sizes, lags):
        name = f"power R2 {q[0]} v {q[1]} {n_runs}x36 AR {rho[0]}/{rho[1]}"
        yield name, power_found, (q, (30, 30), n_runs, 36, rho, n_sets)


def cells():
    """All cells: name, function and arguments."""
    return [*ceiling_cells(), *control_cells(), *power_cells()]


def table_of(found):
    """Write all cells as Markdown."""
    lines = ["# Controls, ceilings and planning on simulated data", ""]
    lines += ["Made by `benchmarks/controls.py`. Share of data sets in which each control is above chance (level 0.05"]
    lines += [
        "over the tested controls); the planted leak stands in the name (of one sign in all targets, or of either)."
    ]
    lines += [""]
    lines += ["| data | position | run | random | motion | any | data sets |", "|---|---|---|---|---|---|---|"]
    for name, cell in found.items():
        if name.startswith("controls"):
            rates = " | ".join(f"{cell[key]:.3f}" for key in ("position", "run", "random", "motion", "any"))
            lines.append(f"| {name.removeprefix('controls ')} | {rates} | {cell['n_sets']} |")
    lines += [
        "",
        "Reliability from repeats: bias and coverage of the 95% interval over 4,000 targets; of the population of",
    ]
    lines += ["stimuli, and (shown) of the stimuli that were shown.", ""]
    lines += [
        "| data | single: truth | bias | coverage | shown | mean: truth | bias | coverage | shown |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for name, cell in found.items():
        if name.startswith("ceiling"):
            parts = [
                f"{cell[k]['truth']:.3f} | {cell[k]['bias']:+.3f} | {cell[k]['coverage']:.3f} | {cell[k]['shown']:.3f}"
                for k in ("single", "mean")
            ]
            lines.append(f"| {name.removeprefix('ceiling ')} | {' | '.join(parts)} |")
    lines += ["", "`encoding power` for single targets: predicted from the formula, and found.", ""]
    lines += ["| data | se predicted | found | power predicted | found |", "|---|---|---|---|---|"]
    for name, cell in found.items():
        if name.startswith("power"):
            keys = ("predicted se", "found se", "predicted power", "found power")
            lines.append(f"| {name.removeprefix('power ')} | " + " | ".join(f"{cell[key]:.4f}" for key in keys) + " |")
    return "\n".join(lines) + "\n"


def main():
    """Run what is missing and write results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default="", help="cells whose name contains this")
    only = parser.parse_args().only
    path = HERE / "controls.json"
    every = cells()
    keys = {name: digest([function.__name__, VERSIONS[function.__name__], given]) for name, function, given in every}
    found = json.loads(path.read_text()) if path.is_file() else {}
    found = {name: cell for name, cell in found.items() if cell.get("key") == keys.get(name)}
    for name, function, arguments in every:
        if name not in found and only in name:
            found[name] = function(*arguments) | {"key": keys[name]}
            path.write_text(json.dumps(found, indent=1) + "\n")
            (HERE / "controls.md").write_text(table_of({key: found[key] for key, *_ in every if key in found}))
            print(name, found[name], flush=True)


if __name__ == "__main__":
    main()

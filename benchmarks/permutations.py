"""State what one permutation of the tests against chance costs, as a share of a fit.

    python benchmarks/permutations.py [--samples 2196] [--targets 1000]

Four spaces of 108 features in all. A fit is the joint banded ridge of 6 x 5 folds, 100 candidates and 20 penalties; a
permutation exchanges runs and scores all four spaces in every target again. Both are processor seconds of one thread,
per target, from the difference of two sizes, so that what is done once does not count. Then the same for what a narrow
space adds to a narrow and a wide one: permutations of its residual, against a fit of all three. Results go to
`results/permutations.json` and `.md`.
"""

import argparse
import json
import tempfile
import time
from pathlib import Path

import numpy as np
from cluster_needs import WIDTHS, measure_fit

from encoding.comparison import Inference, Resources, infer_spaces
from encoding.core import FeatureSpace, Provenance, Responses, Samples, Targets
from encoding.io.atomic import write_json, write_text
from encoding.numerics.permutation import BesideWideDraws, exchange_units, prepare_rows

BESIDE = (30, 34, 2000)


def measure_tests(folder, n_samples, n_targets, numbers=(100, 500), n_runs=60):
    """Processor seconds per permutation and target, and of what is estimated without permutations."""
    rng = np.random.default_rng(0)
    n_samples -= n_samples % n_runs
    run = np.char.add("run-", np.char.zfill((np.arange(n_samples) * n_runs // n_samples).astype(str), 2))
    names = np.array([f"s{k}" for k in range(n_samples)])
    samples = Samples(names, np.arange(n_samples) * 12.0, np.full(n_samples, 10.0), run, "stimulus")
    spaces = [
        FeatureSpace(f"space{k}", rng.standard_normal((n_samples, width)), samples, tuple(map(str, range(width))))
        for k, width in enumerate(WIDTHS)
    ]
    values = rng.standard_normal((n_samples, n_targets)).astype(np.float32)
    responses = Responses(
        values, samples, Targets.of_columns([str(k) for k in range(n_targets)]), samples,
        np.zeros((n_samples, 0)), "01", "video", 2.0, provenance=Provenance("benchmark/1"),
    )  # fmt: skip
    seconds = []
    for number in (2, *numbers):  # the first is not counted: it warms up
        start = time.process_time()
        infer_spaces(
            spaces, responses, [(None, np.ones(n_targets, dtype=int))], folder / f"tests-{number}",
            settings=Inference(number, 0.05), resources=Resources(1, 1 << 30),
        )  # fmt: skip
        seconds.append(time.process_time() - start)
    each = (seconds[2] - seconds[1]) / (numbers[1] - numbers[0]) / n_targets
    return each, max(seconds[1] - each * numbers[0] * n_targets, 0.0) / n_targets


def measure_beside(n_samples, n_targets, numbers=(5, 45), n_runs=60):
    """Processor seconds per target of one permutation of a narrow band's residual, and of what is done once."""
    rng = np.random.default_rng(0)
    n_samples -= n_samples % n_runs
    rows = np.split(np.arange(n_samples), n_runs)
    scheme = exchange_units([[unit] for unit in rows], 0)
    narrow, band, wide = (rng.standard_normal((n_samples, width)) for width in BESIDE)
    band[:, :10] += wide[:, :10]
    Y = prepare_rows(rng.standard_normal((n_samples, n_targets)), scheme)
    band, narrow, wide = (prepare_rows(X, scheme) for X in (band, narrow, wide))
    seconds = []
    for number in numbers:
        draws = BesideWideDraws(band, narrow, [wide], scheme, number)
        start = time.process_time()
        draws.statistics(Y)
        seconds.append(time.process_time() - start)
    each = (seconds[1] - seconds[0]) / (numbers[1] - numbers[0]) / n_targets
    return each, max(seconds[0] - each * numbers[0] * n_targets, 0.0) / n_targets


def costs(fit, draw, rest):
    return {
        "fit_ms_per_target": round(1e3 * fit, 3),
        "permutation_us_per_target": round(1e6 * draw, 2),
        "share_of_a_fit": round(draw / fit, 6),
        "estimates_ms_per_target": round(1e3 * rest, 3),
    }


def markdown(found):
    lines = [
        "# Permutations",
        "",
        "Processor time of one thread per target. Made by `python benchmarks/permutations.py`.",
        "",
        "| permuted | a fit, ms | a permutation, microseconds | of a fit | done once, ms |",
        "|---|---:|---:|---:|---:|",
    ]
    for name, of in found.items():
        fit, draw, share, rest = of.values()
        lines.append(f"| {name} | {fit:.2f} | {draw:.1f} | {share:.2%} | {rest:.2f} |")
    return "\n".join([*lines, ""])


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--samples", type=int, default=2196)
    parser.add_argument("--targets", type=int, default=1000)
    parser.add_argument("--results", type=Path, default=Path(__file__).resolve().parent / "results")
    given = parser.parse_args(arguments)
    n, few = given.samples, given.targets // 2
    found = {}
    with tempfile.TemporaryDirectory() as name:
        tests = measure_tests(Path(name), n, given.targets)
        found["four narrow spaces, 108 features"] = costs(measure_fit(Path(name), n, few, 100)[0], *tests)
    with tempfile.TemporaryDirectory() as name:
        tests = measure_beside(n, given.targets)
        what = f"residual of {BESIDE[1]} features beside {BESIDE[0]} and {BESIDE[2]:,}"
        found[what] = costs(measure_fit(Path(name), n, few, 100, BESIDE)[0], *tests)
    print(json.dumps(found))
    write_json(given.results / "permutations.json", found)
    write_text(given.results / "permutations.md", markdown(found))
    return found


if __name__ == "__main__":
    main()

"""State what one permutation of the tests against chance costs, as a share of a fit.

    python benchmarks/permutations.py [--samples 2196] [--targets 1000]

Four spaces of 108 features in all. A fit is the joint banded ridge of 6 x 5 folds, 100 candidates and 20 penalties; a
permutation exchanges runs and scores all four spaces in every target again. Both are processor seconds of one thread,
per target, from the difference of two sizes, so that what is done once does not count.
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


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--samples", type=int, default=2196)
    parser.add_argument("--targets", type=int, default=1000)
    given = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as name:
        draw, rest = measure_tests(Path(name), given.samples, given.targets)
        fit, _ = measure_fit(Path(name), given.samples, given.targets // 2, 100)
    found = {
        "fit_ms_per_target": round(1e3 * fit, 3), "permutation_us_per_target": round(1e6 * draw, 2),
        "share_of_a_fit": round(draw / fit, 6), "estimates_ms_per_target": round(1e3 * rest, 3),
    }  # fmt: skip
    print(json.dumps(found))
    return found


if __name__ == "__main__":
    main()

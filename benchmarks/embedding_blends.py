"""Whether weights beyond the largest of each stimulus help, on planted stimuli of one dimension and on blends.

    python benchmarks/embedding_blends.py [--results DIR]

The page of an embedding says so where the 95% interval of what cross-entropy gains without them, on test judgments, is
above 0 (`largest_alone`). Of stimuli of one dimension this should happen in 2.5 percent of all data sets or less; their
effective number of dimensions, which is 1 in truth, shows what noise of the estimate adds. All settings are the
default; a tenth of the triplets is kept for testing. About three processor minutes.
"""

import argparse
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from embedding_shapes import judge

from encoding.embedding import SparseEmbedding, measure_blend
from encoding.embedding.evaluation import largest_alone
from encoding.embedding.triplets import as_triplets, divide
from encoding.io.atomic import write_text

# Share of stimuli with a second dimension, stimuli, dimensions, judgments, data sets
CELLS = (
    *((0.0, 80, 4, n, sets) for n, sets in ((1_500, 20), (4_000, 20), (10_000, 10))),
    *((0.0, 120, 8, n, 10) for n in (3_000, 8_000)),
    *((share, 80, 4, 4_000, 10) for share in (0.1, 0.3, 1.0)),
    (1.0, 80, 4, 1_500, 10),
)


def plant(share: float, n_items: int, n_dims: int, rng: np.random.Generator) -> np.ndarray:
    """Plant one dimension per stimulus, and a second one in some."""
    X, item, first = np.zeros((n_items, n_dims)), np.arange(n_items), np.arange(n_items) % n_dims
    X[item, first] = rng.gamma(4.0, 0.4, n_items)
    second = (first + rng.integers(1, n_dims, n_items)) % n_dims
    X[item, second] = rng.gamma(4.0, 0.3, n_items) * (rng.random(n_items) < share)
    return X


def measure(share: float, n_items: int, n_dims: int, n: int, seed: int) -> dict[str, float]:
    rng = np.random.default_rng([seed, n, n_items])
    rows, _ = judge(plant(share, n_items, n_dims, rng), n, seed)
    data = as_triplets(rows, n_items=n_items)
    test = divide(data, 0.1, rng)
    model = SparseEmbedding(max_dims=20, random_state=seed).fit(data[~test])
    found = largest_alone(model.embedding_, data[test], data[~test], seed=seed)
    return {
        "n_dims": model.embedding_.shape[1],
        "effective": measure_blend(model.embedding_).mean,
        "gained": found["cross_entropy_gained"],
        "above": found["cross_entropy_gained_low"] > 0,
        "below": found["cross_entropy_gained_high"] < 0,
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--results", type=Path, default=Path(__file__).parent / "results")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    lines = []
    for share, n_items, n_dims, n, sets in CELLS:
        table = pd.DataFrame([measure(share, n_items, n_dims, n, seed) for seed in range(sets)])
        lines.append(
            f"| {share:.0%} | {n_items} | {n_dims} | {n:,} | {table['n_dims'].min()} to {table['n_dims'].max()} | "
            f"{table['effective'].min():.2f} to {table['effective'].max():.2f} | {table['gained'].mean():+.4f} | "
            f"{table['above'].sum()} of {sets} | {table['below'].sum()} of {sets} |"
        )
        print(lines[-1], flush=True)
    head = (
        "# Weights beyond the largest\n\n`python benchmarks/embedding_blends.py`; see there for what is measured.\n\n"
        "| stimuli with a second dimension | stimuli | dimensions | judgments | found | effective dimensions | "
        "cross-entropy gained without other weights, mean | called better with them | called better without |\n"
        + "|---" * 9
        + "|\n"
    )
    write_text(arguments.results / "embedding_blends.md", head + "\n".join(lines) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""
Judgments without a model
=========================

Go from a plan of triplets to a quality report and to the files that embeddings are fitted to, within seconds. Forty
imaginary videos have ratings on eight emotions. One judge follows the ratings and makes mistakes, one also prefers the
first slot, and a few people have answered some triplets. For a language model, only the ``[[annotator]]`` table
differs.
"""

import sys
import tempfile
from itertools import combinations
from pathlib import Path

import numpy as np
import pandas as pd

from encoding.collection import (
    average_orders,
    check_collection,
    export_collection,
    exported,
    name_of,
    open_collection,
    plan_collection,
    run_collection,
    slot_use,
)
from encoding.config.collect import read_collection

EMOTIONS = ("amusement", "awe", "calmness", "disgust", "fear", "joy", "romance", "sadness")
CONFIG = """
seed = 1

[stimuli]
table = "stimuli.tsv"

[design]
kind = "balanced"       # every pair of videos in nearly the same number of triplets
n_triplets = 2000
subset = 8              # all triplets of eight videos, to measure their similarities directly
repeated = 60           # sixty triplets are asked ten times: the noise ceiling
repeats = 10
order = "all"           # every triplet in all six orders, so that a preference for a slot can be averaged out

[[annotator]]
kind = "cosine"
name = "careful"
file = "ratings.tsv"
temperature = 0.12

[[annotator]]
kind = "cosine"
name = "hasty"
file = "ratings.tsv"
temperature = 0.2
slot_bias = [0.8, 0.0, -0.2]
seed = 7

[collect]
folder = "judgments"
human = "people.parquet"
"""


def write_study(folder):
    """Write a table of videos, their ratings, and what people have answered."""
    rng = np.random.default_rng(0)
    names = [f"video{i:02d}" for i in range(40)]
    pd.DataFrame({"stimulus": names}).to_csv(folder / "stimuli.tsv", sep="\t", index=False)
    ratings = rng.gamma(0.5, 1.0, size=(40, len(EMOTIONS)))
    table = pd.DataFrame({"stimulus": names, **dict(zip(EMOTIONS, ratings.T, strict=True))})
    table.to_csv(folder / "ratings.tsv", sep="\t", index=False)
    unit = ratings / np.linalg.norm(ratings, axis=1, keepdims=True)
    rows = []
    for triplet in list(combinations(range(40), 3))[::12]:
        shown = rng.permutation(triplet)
        a, b, c = unit[shown]
        odd = int(np.argmax(np.array([b @ c, a @ c, a @ b]) + rng.gumbel(0, 0.15, 3)))
        rows.append((*(names[i] for i in shown), odd, "valid", "people"))
    columns = ["item_1", "item_2", "item_3", "choice", "outcome", "annotator"]
    pd.DataFrame(rows, columns=columns).to_parquet(folder / "people.parquet")
    (folder / "collect.toml").write_text(CONFIG, encoding="utf-8")


def main(folder):
    """Plan, ask, check, export."""
    write_study(folder)
    collection = read_collection(folder / "collect.toml")
    _, summary = plan_collection(collection)
    print(f"{summary['trials']:,} trials; each pair in {summary['pair_least']} to {summary['pair_most']} triplets")

    opened = open_collection(collection)
    for settings in collection.annotators:
        progress = run_collection(opened, name_of(settings))
        print(f"{name_of(settings)}: {progress.asked:,} answers, {progress.reason}")

    report, found = check_collection(opened)
    for quality in found:
        print(f"{quality.annotator}: slots {np.round(quality.slots.shares, 3)}, flagged: {quality.slots.flagged}")

    written = export_collection(opened)
    hasty = exported(next(name for name in written if name.endswith("hasty")))
    once = average_orders(hasty)
    before, after = slot_use(hasty.choice, hasty.probabilities), slot_use(once.choice, once.probabilities)
    print(f"hasty, as shown: {np.round(before.shares, 3)}; averaged over orders: {np.round(after.shares, 3)}")
    print(f"The report: {report}")
    return report


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(tempfile.mkdtemp(prefix="collect-")))

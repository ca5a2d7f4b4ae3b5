"""
Judgments of people
===================

Let people choose the odd one out of three clips on a page that needs no server, and check their answers participant by
participant before learning anything from them.
"""

# %%
# Plan the triplets of thirty clips: every pair is in nearly the same number of triplets, and all triplets of six clips
# are included.

import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from encoding.collection import (
    Experiment,
    check_collection,
    export_collection,
    exported,
    open_collection,
    plan_collection,
    run_collection,
    write_page,
)
from encoding.config.collect import read_collection

folder = Path(tempfile.mkdtemp(prefix="people-"))
names = [f"clip{k:02d}" for k in range(30)]
pd.DataFrame({"stimulus": names}).to_csv(folder / "stimuli.tsv", sep="\t", index=False)
what = pd.DataFrame({"stimulus": names, "caption": [f"A short film, number {k}." for k in range(30)]})
what.to_csv(folder / "captions.tsv", sep="\t", index=False)
config = folder / "collect.toml"
config.write_text(
    """
[stimuli]
table = "stimuli.tsv"
show = "captions"               # with clips: "videos" or "frames"
captions = "captions.tsv"

[design]
n_triplets = 600
subset = 6

[[annotator]]
kind = "table"
name = "people"
file = "people.csv"
odd = "named"                   # by a column; "last" and "first" are places of the odd one among the three
column = "odd"
exclude_flagged = true

[collect]
folder = "judgments"
"""
)
(folder / "people.csv").write_text("item_1,item_2,item_3,odd,participant,rt\n")
collection = read_collection(config)
_, summary = plan_collection(collection)
print(f"{summary['trials']} trials; each pair in {summary['pair_least']} to {summary['pair_most']} triplets")

# %%
# Write the page: three lists of 80 trials, with practice and catch trials (which show one clip twice). It opens from
# the disk, also on a phone, and saves a table. ``encoding collect page`` does the same.

opened = open_collection(collection)
made = write_page(opened, folder / "experiment.html", Experiment(trials=80, lists=3))
print(made)

# %%
# Simulate seven people who answer by planted dimensions, with some mistakes, and an eighth who quickly clicks the left
# clip every time.

rng = np.random.default_rng(0)
truth = rng.gamma(0.6, 1.0, (30, 4))
truth /= np.linalg.norm(truth, axis=1, keepdims=True)
rows = []
for person in range(8):
    for _ in range(80):
        shown = rng.choice(30, 3, replace=False)
        a, b, c = truth[shown]
        odd = int(np.argmax(np.array([b @ c, a @ c, a @ b]) + rng.gumbel(0, 0.08, 3)))
        odd, seconds = (0, rng.uniform(0.1, 0.25)) if person == 7 else (odd, rng.gamma(6, 0.4))
        rows.append([*(names[k] for k in shown), names[shown[odd]], f"p{person + 1}", seconds])
frame = pd.DataFrame(rows, columns=["item_1", "item_2", "item_3", "odd", "participant", "rt"])
frame.to_csv(folder / "people.csv", index=False)

# %%
# Read their table. Every row is kept, and every participant is assessed.

collection = read_collection(config)
opened = open_collection(collection)
print(run_collection(opened, "people").reason)
report, (quality,) = check_collection(opened)
table = quality.participants
print(table.to_string(index=False, max_colwidth=40))

# %%
# Flagged participants stay in the table with weight 0, and are left out of the files that embeddings are fitted to.

judgments = exported(next(iter(export_collection(opened))))
print(f"{len(judgments.items)} judgments, {int((np.asarray(judgments.weight) == 0).sum())} of them with weight 0")

figure, axes = plt.subplots(figsize=(6, 3.2), layout="constrained")
people = frame.groupby("participant")["rt"]
flagged = judgments.weight == 0
who = frame["participant"].to_numpy()
for place, (name, times) in enumerate(people):
    colour = "#D55E00" if flagged[who == name].all() else "#0072B2"
    axes.scatter(times, np.full(len(times), place) + rng.uniform(-0.2, 0.2, len(times)), s=5, color=colour)
axes.set_yticks(range(8), [name for name, _ in people])
axes.set(xlabel="reaction time, s; orange: flagged and left out")

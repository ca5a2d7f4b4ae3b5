"""
Stories from words
==================

Predict responses to stories from a vector for every word, such as those of a language model. Words come at irregular
times and are resampled to the volumes of the scanner.
"""

# %%
# Simulate six stories with about three words per second. Each word has a vector of five numbers.

import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from encoding.config import parse_config
from encoding.pipeline import Job, Places, run_compare

rng = np.random.default_rng(4)
folder = Path(tempfile.mkdtemp(prefix="stories-"))
(folder / "responses").mkdir()
(folder / "words").mkdir()
stories, n_volumes, t_r, n_targets = ("pieman", "tunnel", "lucy", "bronx", "forest", "milky"), 180, 1.5, 30
dimensions = [f"d{k}" for k in range(5)]
weights = rng.standard_normal((5, n_targets))
weights[:, 15:] = 0
words = {}
for story in stories:
    onset = np.cumsum(rng.gamma(4, 0.09, 700))
    onset = onset[onset < n_volumes * t_r - 2]
    vectors = pd.DataFrame(rng.standard_normal((len(onset), 5)), columns=dimensions)
    table = pd.DataFrame({"onset": onset.round(3), "duration": 0.25, "word": "word"}).join(vectors)
    table.to_csv(folder / f"words/{story}.tsv", sep="\t", index=False)
    words[story] = table
    fine = np.zeros(
        (n_volumes * 30, 5)
    )  # planted in steps of 50 ms, through another response function than the model's
    np.add.at(fine, (onset / 0.05).astype(int), vectors.to_numpy())
    seconds = np.arange(0, 15, 0.05)
    hrf = seconds**5 * np.exp(-seconds) / 120
    signal = np.stack([np.convolve(column, hrf)[: len(fine)] for column in fine.T], axis=1)[::30]
    values = signal / signal.std() @ weights + 3.0 * rng.standard_normal((n_volumes, n_targets))
    np.save(folder / f"responses/01_task-{story}.npy", values)

# %%
# Lanczos interpolation, common in encoding models of speech, resamples the vectors to the times of the volumes; "mean",
# "sum" and "last" are alternatives. Eight delays cover twelve seconds.

text = """
[[features]]
name = "words"
kind = "series"
file = "words/{task}.tsv"
resample = "HOW"

[load]
kind = "array"
file = "responses/{subject}_task-{task}.npy"
task = ["pieman", "tunnel", "lucy", "bronx", "forest", "milky"]
t_r = 1.5
events = "none"
confounds = []

[align]
delays = [1, 2, 3, 4, 5, 6, 7, 8]

[split]
kind = "runs"

[[fit]]
kind = "ridge"
bands = "each"

[compare]
inference = false
controls = false

[map]
atlases = []
"""
scores = {}
for how in ("lanczos", "mean", "sum", "last"):
    study = parse_config(text.replace("HOW", how))
    job = Job(study, Places(folder, folder / f"results-{how}", folder / f"work-{how}"), "01")
    scores[how] = run_compare(job).scores["r"].row("words")
print(pd.DataFrame(scores).groupby(np.repeat(["planted", "nothing"], 15)).mean().round(3))

# %%
# Left: words come several times per volume. Right: each dot is a target. "last" keeps only one word per volume and
# loses most of the signal; the other three use all words.

figure, (left, right) = plt.subplots(1, 2, figsize=(8, 3.4), layout="constrained")
story = words["pieman"]
left.plot(story["onset"][:40], story["d0"][:40], ".", color="#9AA1A9", label="words, first number")
left.plot(np.arange(10) * t_r, np.load(folder / "responses/01_task-pieman.npy")[:10, 0], "o-", color="#0072B2",
          label="response of one target")  # fmt: skip
left.set(xlabel="seconds", ylabel="value")
left.legend(frameon=False, loc="lower right")
for place, values in enumerate(scores.values()):
    for some, color in ((slice(15), "#0072B2"), (slice(15, 30), "#9AA1A9")):
        right.plot(np.full(15, place) + np.linspace(-0.2, 0.2, 15), values[some], ".", color=color)
right.set_xticks(range(4), list(scores))
right.set(ylabel="held-out r (blue: planted, grey: nothing)")

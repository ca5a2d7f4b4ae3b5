"""
Chance and ceiling
==================

Test which targets a feature space predicts above chance, and compare its accuracy with the noise ceiling, the best that
any model could reach.
"""

# %%
# Sixty clips were shown in each of eight runs, in a different order each time. A third of the targets respond to the
# features, a third to other properties of the clips, and a third are noise.

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

import encoding
from encoding.comparison import noise_ceiling

rng = np.random.default_rng(5)
n_clips, n_runs, n_targets = 60, 8, 90
features = rng.standard_normal((n_clips, 6))
clip_signal = np.hstack(
    [
        features @ rng.standard_normal((6, 30)) / np.sqrt(6),
        rng.standard_normal((n_clips, 30)),
        np.zeros((n_clips, 30)),
    ]
)
order = np.concatenate([rng.permutation(n_clips) for _ in range(n_runs)])
run = np.repeat(np.arange(n_runs), n_clips)
responses = clip_signal[order] + 1.5 * rng.standard_normal((len(order), n_targets))
stimuli = [f"clip-{k:02d}" for k in order]

# %%
# With the same clips in all runs, a held-out run contains nothing new: *any* features that tell clips apart predict
# above 0, even random ones. The test therefore exchanges clips, in the same way in all runs.

spaces = {"features": features[order], "random": rng.standard_normal((n_clips, 6))[order]}
settings = {"stimuli": stimuli}
found = encoding.cross_validate(spaces, responses, run, repeats="condition", **settings)
tests = encoding.permutation_test(spaces, responses, run, n_permutations=300, **settings)
kind = np.repeat(["features", "other clip signal", "nothing"], 30)
r = found.to_frame("r")
print("mean r:", r.groupby(kind)[["features", "random"]].mean().round(2), sep="\n")
print("share with p_fwe < .05:")
passed = tests.assign(passed=tests["p_fwe"] < 0.05).pivot(index="target", columns="space", values="passed").loc[r.index]
print(passed.groupby(kind).mean().round(2))

# %%
# Recurring clips give a noise ceiling: the correlation that a perfect model would reach with a single presentation. It
# is missing where responses are not reliable enough.

position = np.concatenate([np.arange(n_clips, dtype=float)] * n_runs)
rows = encoding.Samples(stimuli, position, np.ones(len(run)), run.astype(str), "stimulus")
data = encoding.Responses(
    responses, rows, found.predictions[0].targets, rows, np.zeros((len(run), 0)), "01", "clips", np.nan
)
ceiling = noise_ceiling(data)
print(pd.Series(ceiling.r).groupby(kind).agg(["mean", "count"]).round(2))

# %%
figure, axes = plt.subplots(figsize=(5.4, 4.2), layout="constrained")
for name, color in zip(("features", "other clip signal", "nothing"), ("#0072B2", "#D55E00", "#9AA1A9"), strict=True):
    some = kind == name
    x = np.nan_to_num(ceiling.r[some], nan=-0.1)  # targets without a ceiling are drawn on the left
    axes.scatter(x, r["features"][some], color=color, s=22, label=name)
axes.axline((0, 0), slope=1, color="#9AA1A9", linewidth=0.8)
axes.set_xticks([-0.1, 0, 0.2, 0.4, 0.6, 0.8], ["none", "0", "0.2", "0.4", "0.6", "0.8"])
axes.set(xlabel="noise ceiling", ylabel="held-out r of the features")
axes.legend(title="planted", frameon=False)

# %%
# The features reach the ceiling in targets that respond to them alone, and half of it or less in targets that respond
# to other properties. The distance to the ceiling is what a better description could still explain.

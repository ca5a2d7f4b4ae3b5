"""
Betas of single trials
======================

Use one estimate per trial, from GLMsingle or any other program, instead of time series. No BIDS folders are needed,
only a file of estimates, a table of trials, and a table of features.
"""

# %%
# Simulate 180 pictures in six runs, as an array (n_trials, n_targets). NIfTI, surfaces, CIFTI and the HDF5 files of
# GLMsingle and NSD are used in the same way.

import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from encoding.config import parse_config
from encoding.pipeline import Job, Places, run_compare

rng = np.random.default_rng(6)
folder = Path(tempfile.mkdtemp(prefix="betas-"))
pictures = [f"picture-{k:03d}" for k in range(180)]
ratings, vision = rng.standard_normal((180, 6)), rng.standard_normal((180, 12))
for name, values in (("ratings", ratings), ("vision", vision)):
    table = pd.DataFrame(values, columns=[f"{name}{k}" for k in range(values.shape[1])])
    table.insert(0, "stim_id", pictures)
    table.to_csv(folder / f"{name}.tsv", sep="\t", index=False)
trials = pd.DataFrame({"run": np.repeat(np.arange(1, 7), 30), "stim_id": rng.permutation(pictures)})
trials.to_csv(folder / "01_trials.tsv", sep="\t", index=False)
shown = [pictures.index(name) for name in trials["stim_id"]]
betas = np.hstack([ratings[shown] @ rng.standard_normal((6, 25)), vision[shown] @ rng.standard_normal((12, 25))])
np.save(folder / "01_betas.npy", betas + 4.0 * rng.standard_normal(betas.shape))

# %%
# ``estimated_within`` states which data each beta was estimated from. If denoising or shrinkage was chosen over all
# runs, held-out runs leak into training, and the report contains a warning.

study = parse_config(
    """
[[features]]
name = "ratings"
file = "ratings.tsv"

[[features]]
name = "vision"
file = "vision.tsv"

[load]
kind = "betas"
per = "stimulus"
file = "{subject}_betas.npy"
events = "{subject}_trials.tsv"
estimated_within = "run"

[split]
kind = "runs"

[[fit]]
kind = "ridge"
bands = "each"

[compare]
n_permutations = 200

[map]
atlases = []
"""
)
result = run_compare(Job(study, Places(folder, folder / "results", folder / "work"), "01"))

# %%
r = result.scores["r"]
figure, axes = plt.subplots(figsize=(4.4, 4), layout="constrained")
for first, name, color in ((0, "ratings", "#0072B2"), (25, "vision", "#D55E00")):
    some = slice(first, first + 25)
    axes.plot(r.row("ratings")[some], r.row("vision")[some], "o", color=color, label=f"planted: {name}", markersize=5)
axes.axline((0, 0), slope=1, color="#9AA1A9", linewidth=0.8)
axes.set(xlabel="held-out r of ratings", ylabel="held-out r of vision")
axes.legend(frameon=False)

"""
A first encoding model from arrays
==================================

Fit encoding models to arrays of features and responses, and measure how well each feature space predicts responses in
runs that the models were not fitted to.
"""

# %%
# Two feature spaces describe 240 clips that were shown in six runs. Targets 1 to 20 follow the first space, targets 21
# to 40 the second, and the last 20 are noise.

import matplotlib.pyplot as plt
import numpy as np

import encoding

rng = np.random.default_rng(0)
run = np.repeat(np.arange(6), 40)
spaces = {"mllm": rng.standard_normal((240, 20)), "ratings": rng.standard_normal((240, 8))}
signal = [X @ rng.standard_normal((X.shape[1], 20)) / np.sqrt(X.shape[1]) for X in spaces.values()]
responses = np.hstack([*signal, np.zeros((240, 20))]) + 1.2 * rng.standard_normal((240, 60))

# %%
# Whole runs are held out. Means, scales and penalties are fitted to the training runs only; the penalty of every target
# is chosen on inner folds. One ridge model per space is fitted, and a banded ridge model of both.

found = encoding.cross_validate(spaces, responses, groups=run)
r = found.to_frame("r")
print(r.iloc[[0, 20, 40]].round(2))

# %%
# Each dot is a target. A prediction from the wrong space scores about 0, and never far below.

planted = np.repeat(["mllm", "ratings", "nothing"], 20)
figure, axes = plt.subplots(figsize=(5, 4.2), layout="constrained")
for name, color in zip(("mllm", "ratings", "nothing"), ("#0072B2", "#D55E00", "#9AA1A9"), strict=True):
    some = planted == name
    axes.scatter(r["mllm"][some], r["ratings"][some], color=color, label=f"planted: {name}", s=22)
axes.axline((0, 0), slope=1, color="#9AA1A9", linewidth=0.8)
axes.set(xlabel="held-out r of mllm", ylabel="held-out r of ratings")
axes.legend(frameon=False)

# %%
# The contributions of the spaces to the joint model add up to its R2 (product measure).

parts = found.scores("split_r2").to_frame()
print(parts.groupby(planted).mean().round(3))

# %%
# r is the accuracy of *these fits* at this number of samples, which favours small spaces. Which space explains more of
# the signal is another question: :doc:`plot_03_which_space_wins`.

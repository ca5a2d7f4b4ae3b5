"""
Banded ridge and variance partitioning with a wide space
========================================================

Fit a network layer of 400 features together with two narrow, overlapping spaces, and find out how much each of them
predicts that the others do not.
"""

# %%
# The narrow spaces share two features. Targets 1 to 30 follow these, targets 31 to 60 the features that only ``affect``
# has, and targets 61 to 90 the wide space.

import matplotlib.pyplot as plt
import numpy as np

import encoding

rng = np.random.default_rng(1)
run = np.repeat(np.arange(6), 50)
n = len(run)
shared, own, categories_own, layer = (rng.standard_normal((n, p)) for p in (2, 3, 6, 400))
spaces = {"layer": layer, "categories": np.hstack([shared, categories_own]), "affect": np.hstack([shared, own])}


def planted(X, n_targets):
    signal = X @ rng.standard_normal((X.shape[1], n_targets))
    return signal / signal.std(axis=0)


components = layer[:, :15]  # what counts is a small part of the layer
responses = np.hstack([planted(shared, 30), planted(own, 30), planted(components, 30)])
responses += rng.standard_normal(responses.shape)

# %%
# Every band has its own penalty in every target, chosen on inner folds. The engine decomposes the wide band once per
# training set, so that the search over all three costs little more than one ridge model.

model = encoding.BandedRidge(("layer", "categories", "affect"), name="joint", n_iter=50)
found = encoding.cross_validate(spaces, responses, run, models=[model])
truth = np.repeat(["shared", "affect alone", "layer"], 30)
print(found.scores("split_r2").to_frame().groupby(truth).mean().round(2))

# %%
# The product measure divides the variance of the joint model among its bands; two bands with the same signal share it.
# Commonality analysis asks instead what is lost without a band, and what is lost only without several.

parts = encoding.variance_partition(spaces, responses, run, n_iter=50).to_frame()
means = parts.groupby(truth).mean().loc[["shared", "affect alone", "layer"]]
print(means.round(2))

# %%
figure, axes = plt.subplots(figsize=(7.5, 3.6), layout="constrained")
bottom = np.zeros(len(means))
for name, color in zip(
    means, ("#0072B2", "#D55E00", "#F0E442", "#009E73", "#3B0F4F", "#CC79A7", "#56B4E9"), strict=True
):
    height = means[name].clip(lower=0).to_numpy()
    axes.bar(means.index, height, bottom=bottom, color=color, label=name, width=0.6)
    bottom += height
axes.set(xlabel="signal planted in the targets", ylabel="held-out R2 (parts below 0 not drawn)")
axes.legend(title="explained by", frameon=False, loc="center left", bbox_to_anchor=(1, 0.5))

# %%
# These parts belong to fits at this number of samples. The wide space is penalised most, so its part is shrunken most.
# If spaces are narrow enough, ``encoding run`` also reports population values with intervals.

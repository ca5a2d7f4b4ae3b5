"""
Weights, tuning and new stimuli
===============================

What does a voxel follow, and what will it do when something new is shown? Weights answer the first question for every
feature, and predictions the second.
"""

# %%
# Sixty targets follow six emotions: the first twenty joy, the next twenty fear, the rest noise only.

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

import encoding
from encoding.fitting import tuning

rng = np.random.default_rng(0)
emotions = ["joy", "fear", "awe", "calmness", "disgust", "sadness"]
run = np.repeat(np.arange(6), 40)
ratings = pd.DataFrame(rng.gamma(1, 1, (240, 6)), columns=emotions)
planted = np.zeros((6, 60))
planted[0, :20], planted[1, 20:40] = 1, 1
Y = ratings.to_numpy() @ planted + 1.5 * rng.standard_normal((240, 60))

# %%
# ``keep_weights = "mean"`` keeps the mean over outer folds, "folds" those of every fold. They are in the units of
# features and responses, so that a weight says by how much the response rises with one unit of the rating.

model = encoding.Ridge(("ratings",), keep_weights="mean")
found = encoding.cross_validate({"ratings": ratings}, Y, run, models=[model])
weights = found.weights["ratings"]
print(weights)
print(pd.DataFrame(weights.values[0, [0, 25, 50]], columns=emotions, index=["t1", "t26", "t51"]).round(2))

# %%
# Penalties shrink targets differently, so that raw weights cannot be compared between them. ``tuning`` divides the
# weights of a target by their norm and multiplies them by the root of the variance that the model explains there:
# targets that follow nothing fade.

r2 = found.scores("r2").values[0]
map_of = tuning(weights, "ratings", r2)
figure, axes = plt.subplots(figsize=(8, 2.6), layout="constrained")
limit = np.abs(map_of).max()
image = axes.imshow(map_of, cmap="RdBu_r", vmin=-limit, vmax=limit, aspect="auto")
axes.set_yticks(range(6), emotions)
axes.set(xlabel="target: 1-20 planted joy, 21-40 fear, 41-60 nothing")
figure.colorbar(image, label="tuning")

# %%
# A stimulus that nobody has seen: a row of the same features is enough.

new = pd.DataFrame([[4, 0, 0, 0, 0, 0], [0, 4, 0, 0, 0, 0]], columns=emotions, index=["party", "snake"])
predicted = weights.predict(new.to_numpy())
print(pd.DataFrame(predicted[:, [0, 25, 50]], index=new.index, columns=["t1", "t26", "t51"]).round(1))

# %%
# With files, ``keep_weights`` is a key of ``[[fit]]``, ``encoding predict`` does the last step, and the report maps
# single features. Weights of correlated features are not importances: where features share variance, compare spaces.

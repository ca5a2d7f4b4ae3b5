"""
Weights, tuning and new stimuli
===============================

Keep the weights of a model to see which features a voxel responds to, and to predict its response to new stimuli.
"""

# %%
# Simulate sixty targets and ratings of six emotions: the first twenty targets follow joy, the next twenty fear, and the
# rest are noise.

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
# ``keep_weights = "mean"`` keeps the mean over outer folds, "folds" the weights of every fold. They are in the units of
# features and responses: a weight is the change of the response per unit of the rating.

model = encoding.Ridge(("ratings",), keep_weights="mean")
found = encoding.cross_validate({"ratings": ratings}, Y, run, models=[model])
weights = found.weights["ratings"]
print(weights)
print(pd.DataFrame(weights.values[0, [0, 25, 50]], columns=emotions, index=["t1", "t26", "t51"]).round(2))

# %%
# Penalties differ between targets, so raw weights cannot be compared across them. ``tuning`` divides the weights of a
# target by their norm, and multiplies them by the root of the variance that the model explains: targets that follow no
# feature fade.

r2 = found.scores("r2").values[0]
map_of = tuning(weights, "ratings", r2)
figure, axes = plt.subplots(figsize=(8, 2.6), layout="constrained")
limit = np.abs(map_of).max()
image = axes.imshow(map_of, cmap="RdBu_r", vmin=-limit, vmax=limit, aspect="auto")
axes.set_yticks(range(6), emotions)
axes.set(xlabel="target (planted: 1-20 joy, 21-40 fear, 41-60 nothing)")
figure.colorbar(image, label="tuning")

# %%
# To predict the response to a new stimulus, a row of the same features is enough.

new = pd.DataFrame([[4, 0, 0, 0, 0, 0], [0, 4, 0, 0, 0, 0]], columns=emotions, index=["party", "snake"])
predicted = weights.predict(new.to_numpy())
print(pd.DataFrame(predicted[:, [0, 25, 50]], index=new.index, columns=["t1", "t26", "t51"]).round(1))

# %%
# In a configuration, ``keep_weights`` is a key of ``[[fit]]``. ``encoding predict`` does the last step, and the report
# has maps of single features. Weights of correlated features do not measure importance; if features share variance,
# compare feature spaces instead.

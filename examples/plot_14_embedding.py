"""
Dimensions from judgments, and what they mean
=============================================

Learn sparse, non-negative dimensions from thousands of odd-one-out judgments, choose how many there are, and see what
they mean.
"""

# %%
# Simulate a judge who follows five planted dimensions of 120 stimuli.

import matplotlib.pyplot as plt
import numpy as np

from encoding import FeatureSpace, Samples
from encoding.embedding import SparseEmbedding, evaluate, simulate_judgments
from encoding.numerics.matching import match_columns

rng = np.random.default_rng(0)
names = [f"clip-{k:03d}" for k in range(120)]
words = ("awe", "fear", "joy", "calmness", "disgust")
truth = rng.gamma(1, 1.2, (120, 5)) * (rng.random((120, 5)) < 0.5)
judgments = simulate_judgments(FeatureSpace("truth", truth, Samples.of_stimuli(names), words), 20_000, seed=0)

# %%
# The penalty, its shape and the number of dimensions are chosen together, on held-out judgments: the fewest dimensions
# within one standard error of the best fit.

model = SparseEmbedding(max_dims=20, random_state=0).fit(judgments)
partner, r = match_columns(truth, model.embedding_)
print(f"{model.embedding_.shape[1]} dimensions; correlation of each true one with its match: {np.round(r, 2)}")

# %%
path = model.path_.sort_values("n_dims")
figure, axes = plt.subplots(figsize=(5.4, 3.6), layout="constrained")
axes.errorbar(path["n_dims"], path["loss"], path["loss_se"], fmt=".", color="#9AA1A9", label="all fits")
chosen = path[path["chosen"]]
axes.plot(chosen["n_dims"], chosen["loss"], "o", color="#D55E00", label="chosen")
axes.set_xticks(range(0, 21, 5))
axes.set(xlabel="number of dimensions", ylabel="validation loss, nats per judgment")
axes.legend(frameon=False)

# %%
# Score the embedding on new judgments of the same judge, and compare it with the true dimensions.

test = simulate_judgments(FeatureSpace("truth", truth, Samples.of_stimuli(names), words), 10_000, seed=1)
columns = ["name", "n_dims", "accuracy", "accuracy_low", "accuracy_high", "cross_entropy"]
print(evaluate({"learned": model.embedding_, "truth": truth}, test)[columns].round(3).to_string(index=False))

# %%
# ``encoding embed`` does this for several seeds and for resampled judgments, marks the reliable dimensions, and writes
# a page with all results. Its portraits can also be drawn alone; here are six stimuli as roses, with a petal for each
# dimension.

from encoding.drawing.portraits import draw_roses  # noqa: E402
from encoding.embedding.relations import relate  # noqa: E402

X = np.asarray(model.embedding_)
labels = [""] * X.shape[1]
for word, place in zip(words, partner, strict=True):
    labels[place] = word
some = X.sum(axis=1).argsort()[::-20][:6]
roses = draw_roses(X[some], [names[k] for k in some], labels, relate(X).hue, title="Six stimuli")

"""
Which space wins, and how sure are we?
======================================

Compare feature spaces of different size without bias. Here two spaces explain the same amount of signal, one with 14
dimensions and one with 34. Held-out accuracy favours the small one, because its weights are estimated better.
"""

# %%
# Every target is the sum of a part that is linear in the small space, an equally large part that is linear in the large
# space, and temporally correlated noise.

import matplotlib.pyplot as plt
import numpy as np

import encoding

rng = np.random.default_rng(3)
run = np.repeat(np.arange(6), 36)
n, n_targets = len(run), 300


def unit(values):
    return values / values.std(axis=0)


small, large = rng.standard_normal((n, 14)), rng.standard_normal((n, 34))
parts = [unit(X @ rng.standard_normal((X.shape[1], n_targets))) for X in (small, large)]
noise = rng.standard_normal((n, n_targets))
for row in range(1, n):
    if run[row] == run[row - 1]:
        noise[row] = 0.3 * noise[row - 1] + np.sqrt(1 - 0.3**2) * noise[row]
responses = np.sqrt(0.1) * (parts[0] + parts[1]) + np.sqrt(0.8) * noise
for one in range(6):
    responses[run == one] -= responses[run == one].mean(axis=0)
spaces = {"small": small, "large": large}

# %%
# In what share of targets is the small space ahead? Compare the r of the fits with U, the share of the variance that is
# linear in a space and shared by different runs. U needs no fit, and is unbiased whatever the number of dimensions.

r = encoding.cross_validate(spaces, responses, run, models=[encoding.Ridge((name,)) for name in spaces]).to_frame("r")
tests = encoding.permutation_test(spaces, responses, run, n_permutations=200)
u = tests.pivot(index="target", columns="space", values="u").loc[r.index]
print(f"small ahead by r in {np.mean(r['small'] > r['large']):.0%}, by U in {np.mean(u['small'] > u['large']):.0%}")
print(u.mean().round(3))

# %%
figure, panels = plt.subplots(1, 2, figsize=(7.5, 3.4), layout="constrained")
for axes, table, label in zip(panels, (r, u), ("held-out r", "U"), strict=True):
    gap = (table["small"] - table["large"]).to_numpy()
    axes.hist(gap, bins=30, color="#0072B2")
    axes.axvline(0, color="#1F2328", linewidth=0.8)
    axes.axvline(gap.mean(), color="#D55E00", linewidth=1.6, label=f"mean {gap.mean():+.3f}")
    axes.set(xlabel=f"{label}: small minus large", ylabel="targets")
    axes.legend(frameon=False)

# %%
# A space is *named* in a region only if its U is above 0 and larger than that of every other space, each with p of at
# most .05. Here no space should be named, and none is.

claims = encoding.permutation_test(
    spaces, responses, run, n_permutations=200, labels=np.repeat(["left", "right"], n_targets // 2)
)
shown = claims[claims["claim"] == "difference"]
print(shown[["region", "space", "versus", "value", "low", "high", "p", "verdict"]].round(3).to_string(index=False))

"""
Similarity in regions and searchlights
======================================

Test whether stimuli that are similar in a feature space evoke similar response patterns. Representational similarity
analysis fits nothing, but its values can change tenfold with the choices that are made.
"""

# %%
# Simulate eighty stimuli in eight runs, and a brain of 9 x 9 x 7 voxels with a sphere that follows the first space.

import matplotlib.pyplot as plt
import nibabel as nib
import numpy as np

import encoding

rng = np.random.default_rng(2)
run = np.repeat(np.arange(8), 10)
spaces = {"mllm": rng.random((80, 12)) ** 2, "ratings": rng.random((80, 6))}
shape = (9, 9, 7)
image = nib.Nifti1Image(np.ones(shape, np.uint8), np.diag([3.0, 3.0, 3.0, 1.0]))
places = np.stack(np.meshgrid(*[range(n) for n in shape], indexing="ij"), axis=-1).reshape(-1, 3)
inside = np.linalg.norm(places - [3, 4, 3], axis=1) <= 2
signal = spaces["mllm"] @ rng.standard_normal((12, len(places))) * inside
voxels = signal + 1.5 * rng.standard_normal((80, len(places)))

# %%
# In regions: stimuli of the same run are not compared, because they share noise and slow signals.

labels = np.where(inside, "sphere", "rest")
found = encoding.rsa(spaces, voxels, run, labels=labels)
print(found.table[["region", "feature", "value"]].round(3).to_string(index=False))

# %%
# The same with other measures of similarity:

for brain in ("correlation", "euclidean"):
    for comparison in ("pearson", "spearman"):
        one = encoding.rsa(spaces, voxels, run, labels=labels, brain=brain, comparison=comparison).table
        value = one.loc[(one["region"] == "sphere") & (one["feature"] == "mllm"), "value"].iloc[0]
        print(f"{brain:>12} {comparison:>9}: {value:.3f}")

# %%
# In searchlights of 6 mm around every voxel: the map is descriptive and is not tested. The sphere stands out, but the
# size of the values has no meaning by itself.

lights = encoding.rsa(spaces, voxels, run, radius_mm=6.0, targets=image)
maps = [lights.scores.to_img("rsa", name).get_fdata() for name in spaces]
figure, panels = plt.subplots(1, 2, figsize=(7, 3.4), layout="constrained")
for axes, name, values in zip(panels, spaces, maps, strict=True):
    shown = axes.imshow(values[:, :, 3].T, origin="lower", cmap="RdBu_r", vmin=-0.3, vmax=0.3)
    axes.set(title=name, xticks=[], yticks=[])
figure.colorbar(shown, ax=panels, label="correlation of similarities", shrink=0.8)

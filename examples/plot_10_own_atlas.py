"""
Atlases and networks of your own
================================

Regions come from shipped atlases, from label files as they are downloaded, or from coordinates. Where does each lie,
and how far can its name be trusted?
"""

# %%
# Shipped atlases are known by name, with terms and centroids. ``encoding atlases show Tian2020-S1`` prints the same.

import tempfile
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd

import encoding
from encoding.cli import main
from encoding.io.atlases.catalogue import load_files
from encoding.io.atlases.settings import AtlasFile

main(["atlases", "show", "Tian2020-S1"])

# %%
# A label image and its table, here of three regions in a volume of 4 mm, load as they are. A number that is not in the
# table, a table without names, or a space that is not said would be refused.

folder = Path(tempfile.mkdtemp(prefix="atlas-"))
affine = np.diag([4.0, 4.0, 4.0, 1.0])
affine[:3, 3] = [-76, -110, -60]
labels = np.zeros((39, 46, 37), np.int16)
labels[8:14, 24:30, 9:14] = 1
labels[25:31, 24:30, 9:14] = 2
labels[17:22, 18:22, 8:13] = 3
nib.save(nib.Nifti1Image(labels, affine), folder / "mine.nii.gz")
names = pd.DataFrame({"index": [1, 2, 3], "name": ["amygdala-lh", "amygdala-rh", "brainstem"]})
names.to_csv(folder / "mine.tsv", sep="\t", index=False)

about = AtlasFile("mine", "mine.nii.gz", "mine.tsv", space="MNI152NLin6Asym", both_sides="join")  # the brainstem
atlas = load_files(about, base=folder)
print(atlas)
print(pd.DataFrame({"region": atlas.region, "hemisphere": atlas.hemi}).to_string(index=False))

# %%
# In a configuration the same is a table, and ROI sets join regions to networks. Spheres are possible; they are always
# marked as of low confidence.

print(
    """
[[atlas]]
name = "mine"
file = "atlases/mine.nii.gz"
labels = "atlases/mine.tsv"
space = "MNI152NLin6Asym"
both_sides = "join"

[[roi_set]]
name = "emotion"
atlas = "mine"
regions = { amygdala = ["amygdala-lh", "amygdala-rh"] }
spheres = { PAG = [0, -30, -10, 5] }
"""
)

# %%
# Accuracy over regions, from arrays: 1 to 3 in the order of the table.

rng = np.random.default_rng(0)
run = np.repeat(np.arange(6), 30)
ratings = rng.standard_normal((180, 5))
inside = labels > 0
region = labels[inside]
signal = ratings @ rng.standard_normal((5, inside.sum())) * (region == 1)
responses = signal + 2.0 * rng.standard_normal((180, inside.sum()))
mask = nib.Nifti1Image(inside.astype(np.uint8), affine)
found = encoding.cross_validate({"ratings": ratings}, responses, run, targets=mask)
print(found.regions(names["name"].to_numpy()[region - 1]).round(3).to_string(index=False))

# %%
figure = encoding.draw_map(found.scores().to_img("ratings"), label="held-out r", title="ratings")

"""
Atlases and networks of your own
================================

Summarise results in regions from shipped atlases, from label files of your own, or from coordinates, and see where each
region is and how far its name can be trusted.
"""

# %%
# Shipped atlases are referred to by name. ``encoding atlases show Tian2020-S1`` prints licence, regions and centroids.

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
# Load a label image and its table, here with three regions in a volume of 4 mm. Labels that are not in the table, a
# table without names, or a missing reference space would be refused.

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
# In a configuration, the same is written as a table, and ROI sets combine regions. Spheres are possible, but always
# marked as low confidence.

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
# Average accuracy over the regions of the table:

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

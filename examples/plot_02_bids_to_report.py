"""
From a BIDS dataset to a report
===============================

Three commands turn the output of fMRIPrep and a table of features into a report. Here they are run on a simulated
dataset with known truth.
"""

# %%
# First, simulate a study of two subjects in BIDS format, with files like those that fMRIPrep writes.

import json
import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import pandas as pd

from encoding.cli import main
from encoding.simulate import simulate

folder = Path(tempfile.mkdtemp(prefix="from-bids-"))
dataset, results = folder / "dataset", folder / "results"
simulate(dataset, preset="tiny")
for path in sorted(dataset.rglob("sub-01*"))[:12]:
    print(path.relative_to(dataset))

# %%
# ``encoding init`` looks at the dataset and writes a configuration with comments.

config = folder / "run.toml"
main(["init", str(dataset), "-o", str(config)])
print("".join(config.read_text().splitlines(keepends=True)[:40]))

# %%
# ``encoding check`` looks for every file, column and atlas, without reading an image.

main(["check", str(config), str(dataset)])

# %%
# The participant level analyses each subject separately, and the group level reads only their results. To save time on
# this page, the tests make 100 draws instead of 1,000.

config.write_text(config.read_text() + "\n[compare]\nn_permutations = 100\n")
main(["run", str(dataset), str(results), "participant", "--config", str(config)])
main(["run", str(dataset), str(results), "group", "--config", str(config)])
print(sorted(path.name for path in results.iterdir()))

# %%
# The report begins with the verdicts: which feature space is named in which region.

verdicts = pd.read_csv(results / "group" / "verdicts.tsv", sep="\t")
print(verdicts.head(8).to_string(index=False))

# %%
# Every picture of the report is also a file. ``encoding figure`` draws a figure for a paper: the group, every
# participant and the winner, on one scale.

main(["figure", str(results), "-o", str(folder / "figure.png"), "--dpi", "150"])
figure, axes = plt.subplots(figsize=(8, 8), layout="constrained")
axes.imshow(plt.imread(folder / "figure.png"))
axes.set_axis_off()

# %%
# ``encoding plot`` draws any map, whichever program wrote it.

maps = sorted((results / "sub-01" / "func").glob("*model-mllm_*stat-r_*.shape.gii"))
main(["plot", str(maps[0]), "-o", str(folder / "map.png"), "--dpi", "110"])
picture, axes = plt.subplots(figsize=(8, 4), layout="constrained")
axes.imshow(plt.imread(folder / "map.png"))
axes.set_axis_off()

# %%
# The sidecar of each map describes how it was made.

sidecar = maps[0].with_name(maps[0].name.replace(".shape.gii", ".json"))
sidecar = sidecar if sidecar.exists() else next(iter(sorted(maps[0].parent.glob("*model-mllm_*stat-r_*.json"))))
print(json.dumps(json.loads(sidecar.read_text()), indent=1)[:900])

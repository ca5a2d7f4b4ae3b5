"""
A figure for the paper, and the viewer
======================================

Draw finished results as one figure for print, and as an interactive page in which every value can be read.
"""

# %%
# First, simulate and analyse a small study of two subjects. To save time, tests make 100 draws instead of 1,000.

import html
import tempfile
from pathlib import Path

import encoding
from encoding.cli import main
from encoding.mapping import view
from encoding.simulate import simulate

folder = Path(tempfile.mkdtemp(prefix="figure-"))
dataset, results = folder / "dataset", folder / "results"
simulate(dataset, preset="tiny")
config = folder / "run.toml"
config.write_text(
    """
seed = 0
[[features]]
name = "mllm"
file = "stimuli/feature-mllm.tsv"
[[features]]
name = "category"
file = "stimuli/feature-category.tsv"
[load]
kind = "surface"
space = "fsaverage5"
per = "stimulus"
shift = 4.0
[split]
n_outer = 4
n_inner = 3
repeats = "drop_later"
[[fit]]
kind = "ridge"
bands = "each"
[compare]
n_permutations = 100
controls = false
"""
)
main(["run", str(dataset), str(results), "participant", "--config", str(config), "--n-jobs", "1"])

# %%
# One call draws the figure: the mean over participants, every participant, the winner where the tests name one, and two
# spaces on one map. All accuracy maps share one scale. ``encoding figure results -o figure.pdf`` does the same.

figure = encoding.plot_results(results, folder / "figure.pdf")
print(sorted(path.name for path in folder.glob("figure.*")))

# %%
# The viewer is a single file that needs no network and no installation: ``encoding view results``. Turn the brain with
# the mouse, choose space and subject at the top, and read values under the cursor.

page = view(results, folder / "viewer.html")
print(f"{page.name}: {page.stat().st_size / 1e6:.1f} MB")


class Shown:
    """The page inside this one."""

    def _repr_html_(self):
        text = html.escape(page.read_text(encoding="utf-8"), quote=True)
        return f'<iframe title="viewer" srcdoc="{text}" style="width:100%;height:640px;border:1px solid #ccc"></iframe>'


Shown()

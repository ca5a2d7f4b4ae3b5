"""
A film, volume by volume
========================

Fit models to a continuous film. Features are a matrix with one row per volume, or with several rows per second, and the
model has several delayed copies of them, because the response follows some volumes later.
"""

# %%
# Simulate five runs of a film at a TR of 2 s. ``vision`` has one row per volume, ``sound`` ten per second. Half of the
# targets respond to each, one to three volumes later.

import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

from encoding.config import parse_config
from encoding.pipeline import Job, Places, run_compare

rng = np.random.default_rng(3)
folder = Path(tempfile.mkdtemp(prefix="film-"))
n_volumes, n_targets, half = 160, 40, 20
(folder / "responses").mkdir()
(folder / "features").mkdir()


def smooth(n, width, n_columns=4):
    kernel = np.ones(width) / np.sqrt(width)
    noise = rng.standard_normal((n + width, n_columns))
    return np.stack([np.convolve(column, kernel, "valid")[:n] for column in noise.T], axis=1)


weights = rng.standard_normal((2, 4, n_targets))
weights[0, :, half:] = weights[1, :, :half] = 0
for run in range(1, 6):
    vision, frames = smooth(n_volumes, 3), smooth(20 * n_volumes, 40)
    np.save(folder / f"features/vision_run-{run}.npy", vision)
    np.save(folder / f"features/sound_run-{run}.npy", frames)
    shown = vision @ weights[0] + frames.reshape(n_volumes, 20, 4).mean(axis=1) @ weights[1]
    answer = sum(height * np.roll(shown, delay, axis=0) for delay, height in ((1, 0.4), (2, 1.0), (3, 0.6)))
    np.save(folder / f"responses/01_run-{run}.npy", answer + 4.0 * rng.standard_normal(answer.shape))

# %%
# Names in braces are filled in for every run. Rows and volumes must agree; ``trim`` and ``offset`` adjust them. For
# files of fMRIPrep, set ``kind = "surface"`` and leave out ``file``.

study = parse_config(
    """
[[features]]
name = "vision"
kind = "series"
file = "features/vision_run-{run}.npy"

[[features]]
name = "sound"
kind = "series"
file = "features/sound_run-{run}.npy"
rate = 10

[load]
kind = "array"
file = "responses/{subject}_run-{run}.npy"
t_r = 2.0
events = "none"
confounds = []
high_pass = 0.01

[align]
delays = [1, 2, 3, 4]

[split]
kind = "runs"

[[fit]]
kind = "ridge"
bands = "each"

[compare]
n_permutations = 200

[map]
atlases = []
"""
)
result = run_compare(Job(study, Places(folder, folder / "results", folder / "work"), "01"))

# %%
r = result.scores["r"]
figure, axes = plt.subplots(figsize=(6, 3.4), layout="constrained")
for name, color in (("vision", "#0072B2"), ("sound", "#D55E00")):
    axes.plot(r.row(name), "o", color=color, label=name, markersize=5)
axes.axvline(half - 0.5, color="#9AA1A9", linewidth=0.8)
axes.set(xlabel="target (planted: left half vision, right half sound)", ylabel="held-out r")
axes.legend(frameon=False)

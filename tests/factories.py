"""Tiny BIDS studies with planted signal, written in well under a second."""

import json
from dataclasses import dataclass
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd

T_R = 2.0
AFFINE = np.diag([3.0, 3.0, 3.0, 1.0])
MOTION = ("trans_x", "trans_y", "trans_z", "rot_x", "rot_y", "rot_z")
BLOCK, REST, LEAD = 8.0, 4.0, 6.0
# Planted: the response to a presentation is its features times weights, this many volumes later.
DELAY = 2


@dataclass(frozen=True)
class Study:
    """Where a study is, and what was planted in it.

    `weights` has shape (n_features, n_targets); the first half of the targets responds, the rest is noise.
    """

    root: Path
    derivatives: Path
    features: pd.DataFrame
    n_targets: int
    weights: np.ndarray

    def func(self, subject="01", session="", *, raw=False):
        folder = (self.root if raw else self.derivatives) / f"sub-{subject}"
        return (folder / f"ses-{session}" if session else folder) / "func"

    def find(self, pattern, *, raw=False):
        """The one file of the study (derivatives, or raw) that matches."""
        top = self.root if raw else self.derivatives
        found = [path for path in top.rglob(pattern) if raw is False or "derivatives" not in path.parts]
        assert len(found) == 1, found
        return found[0]


def write_study(
    root,
    *,
    kinds=("volume",),
    subjects=("01",),
    runs=(("", "1"), ("", "2"), ("", "3")),
    n_scans=60,
    shape=(6, 5, 4),
    n_vertices=(30, 32),
    noise=1.0,
    trend=20.0,
    confounds="full",
    space="T1w",
    hemi_first=True,
    t_r=T_R,
    seed=0,
    recurring=True,
):
    """Write a raw dataset and fMRIPrep-like derivatives.

    Each run shows the same eight stimuli (``clip0`` ...) in another order, 8 s each with 4 s of rest between.

    Parameters
    ----------
    root : Path
        An empty folder.
    kinds : tuple of {"volume", "surface", "cifti"}
        Formats; the same signal is written in each, cut to the number of targets it has.
    runs : tuple of (session, run)
        Labels, "" for none.
    confounds : {"full", "motion", None}
        Everything that fMRIPrep writes, six motion columns only, or no file.
    hemi_first : bool
        Which of fMRIPrep's two entity orders GIFTI files have.
    recurring : bool
        Whether all runs show the same eight stimuli; else every run has eight of its own.
    """
    rng = np.random.default_rng(seed)
    derivatives = root / "derivatives" / "fmriprep"
    stimuli = [f"clip{k}" for k in range(8 if recurring else 8 * len(runs))]
    features = pd.DataFrame(
        rng.standard_normal((len(stimuli), 3)), index=pd.Index(stimuli, name="stim_id"), columns=list("abc")
    )
    n_targets = max(int(np.prod(shape)), sum(n_vertices), 40)
    weights = rng.standard_normal((3, n_targets)) * (np.arange(n_targets) < n_targets // 2)
    study = Study(root, derivatives, features, n_targets, weights)
    description = {"Name": "tiny", "BIDSVersion": "1.10.0"}
    write_json(root / "dataset_description.json", {**description, "DatasetType": "raw"})
    generated = {"DatasetType": "derivative", "GeneratedBy": [{"Name": "fMRIPrep"}]}
    write_json(derivatives / "dataset_description.json", {**description, **generated})
    (root / "stimuli").mkdir()
    features.to_csv(root / "stimuli" / "feature-abc.tsv", sep="\t")
    for subject in subjects:
        for number, (session, run) in enumerate(runs):
            events = make_events(rng.permutation(stimuli if recurring else stimuli[8 * number :][:8]))
            signal = planted(events, features, weights, n_scans, t_r)
            values = 1000 + 10 * signal + 10 * noise * rng.standard_normal(signal.shape)
            values += trend * np.linspace(0, 1, n_scans)[:, None]
            name = "_".join(
                [f"sub-{subject}", *([f"ses-{session}"] if session else []), "task-video"]
                + ([f"run-{run}"] if run else [])
            )
            raw, func = study.func(subject, session, raw=True), study.func(subject, session)
            raw.mkdir(parents=True, exist_ok=True)
            func.mkdir(parents=True, exist_ok=True)
            events.to_csv(raw / f"{name}_events.tsv", sep="\t", index=False, na_rep="n/a")
            write_json(raw / f"{name}_bold.json", {"TaskName": "video", "RepetitionTime": t_r})
            if confounds:
                write_confounds(
                    func / f"{name}_desc-confounds_timeseries.tsv", rng, n_scans, t_r, only_motion=confounds == "motion"
                )
            if "volume" in kinds:
                write_bold(func / f"{name}_space-{space}_desc-preproc_bold.nii.gz", values, shape, t_r)
                mask = np.ones(shape, np.uint8)
                mask[0] = 0
                nib.save(nib.Nifti1Image(mask, AFFINE), func / f"{name}_space-{space}_desc-brain_mask.nii.gz")
            if "surface" in kinds:
                write_hemispheres(func, name, values, n_vertices, t_r, hemi_first=hemi_first)
            if "cifti" in kinds:
                write_dtseries(func / f"{name}_space-fsLR_den-91k_bold.dtseries.nii", values, t_r)
    return study


def planted_judgments(rng, n_stimuli, n_judgments):
    """Triplets of numbers, the odd one last: stimuli are of two groups, and the one of another group is odd."""
    rows = np.array([rng.permutation(n_stimuli)[:3] for _ in range(n_judgments)])
    group = rows % 2
    alone = np.where(group.sum(axis=1) == 1, group.argmax(axis=1), group.argmin(axis=1))
    place = np.array([(1, 2, 0), (0, 2, 1), (0, 1, 2)])[alone]
    return np.take_along_axis(rows, place, axis=1)


def make_events(order):
    """Blocks of 8 s with 4 s of rest, the first after 6 s; rest has a row of its own."""
    onset = LEAD + np.arange(len(order)) * (BLOCK + REST)
    shown = pd.DataFrame({"onset": onset, "duration": BLOCK, "trial_type": "video", "stim_id": order})
    rest = pd.DataFrame({"onset": [0.0], "duration": [LEAD], "trial_type": ["rest"], "stim_id": [None]})
    return pd.concat([rest, shown.astype(object)], ignore_index=True)


def planted(events, features, weights, n_scans, t_r):
    """Noise-free responses, shape (n_scans, n_targets): features of what is on, DELAY volumes later."""
    shown = events.dropna(subset=["stim_id"])
    design = np.zeros((n_scans, features.shape[1]))
    for row in shown.itertuples():
        first, last = round(row.onset / t_r) + DELAY, round((row.onset + row.duration) / t_r) + DELAY
        design[first:last] = features.loc[row.stim_id]
    return design @ weights


def write_json(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))


def write_bold(path, values, shape, t_r, affine=AFFINE):
    data = values[:, : int(np.prod(shape))].T.reshape(*shape, len(values)).astype(np.float32)
    image = nib.Nifti1Image(data, affine)
    image.header.set_xyzt_units("mm", "sec")
    image.header.set_zooms((*image.header.get_zooms()[:3], t_r))
    nib.save(image, path)


def write_hemispheres(func, name, values, n_vertices, t_r, *, hemi_first=True):
    parts = np.split(values[:, : sum(n_vertices)], [n_vertices[0]], axis=1)
    for hemi, part, structure in zip("LR", parts, ("CortexLeft", "CortexRight"), strict=True):
        middle = f"hemi-{hemi}_space-fsaverage5" if hemi_first else f"space-fsaverage5_hemi-{hemi}"
        write_gifti(func / f"{name}_{middle}_bold.func.gii", part, structure, t_r)


def write_gifti(path, values, structure, t_r=None):
    meta = {"AnatomicalStructurePrimary": structure} | ({"TimeStep": str(t_r)} if t_r else {})
    arrays = [nib.gifti.GiftiDataArray(row.astype(np.float32), intent="NIFTI_INTENT_TIME_SERIES") for row in values]
    nib.save(nib.GiftiImage(darrays=arrays, meta=nib.gifti.GiftiMetaData(meta)), path)


def brain_models():
    """Twelve of 14 vertices left, 10 of 14 right, and eight voxels of the left amygdala."""
    left = nib.cifti2.BrainModelAxis.from_surface(np.arange(12), 14, name="CIFTI_STRUCTURE_CORTEX_LEFT")
    right = nib.cifti2.BrainModelAxis.from_surface(np.arange(4, 14), 14, name="CIFTI_STRUCTURE_CORTEX_RIGHT")
    mask = np.zeros((5, 5, 5), bool)
    mask[1:3, 1:3, 1:3] = True
    voxels = nib.cifti2.BrainModelAxis.from_mask(mask, name="CIFTI_STRUCTURE_AMYGDALA_LEFT", affine=AFFINE)
    return left + right + voxels


def write_dtseries(path, values, t_r):
    models = brain_models()
    series = nib.cifti2.SeriesAxis(0, t_r, len(values), unit="SECOND")
    nib.save(nib.Cifti2Image(values[:, : len(models)].astype(np.float32), header=(series, models)), path)


def write_confounds(path, rng, n_scans, t_r, *, only_motion=False):
    motion = pd.DataFrame(rng.standard_normal((n_scans, 6)).cumsum(axis=0) * 0.01, columns=MOTION)
    if only_motion:
        motion.to_csv(path, sep="\t", index=False, na_rep="n/a")
        return
    table = motion.copy()
    for name in MOTION:
        table[f"{name}_derivative1"] = motion[name].diff()
        table[f"{name}_power2"] = motion[name] ** 2
        table[f"{name}_derivative1_power2"] = motion[name].diff() ** 2
    for name in ("csf", "white_matter", "global_signal"):
        table[name] = 500 + rng.standard_normal(n_scans)
    k, t = np.arange(1, 1 + int(2 * n_scans * t_r / 128)), np.arange(n_scans)[:, None]
    cosines = np.sqrt(2 / n_scans) * np.cos(np.pi * k * (t + 0.5) / n_scans)
    table[[f"cosine{i:02d}" for i in range(len(k))]] = cosines
    table["framewise_displacement"] = 0.1
    table["std_dvars"] = 1.0
    table.to_csv(path, sep="\t", index=False, na_rep="n/a")
    write_json(path.with_suffix(".json"), {})


RUN = """\
seed = 0

[[features]]
name = "abc"
file = "stimuli/feature-abc.tsv"

[[features]]
name = "first"
file = "stimuli/feature-abc.tsv"
columns = ["a"]

[load]
kind = "volume"
task = "video"
confound_options = { motion = "basic" }

[align]
delays = [1, 2, 3]

[split]
n_inner = 2
repeats = "condition"

[[fit]]
kind = "ridge"
bands = "each"
alphas = [1, 10]

[[fit]]
kind = "banded_ridge"
name = "joint"
bands = ["abc", "first"]
alphas = [1, 10]
n_iter = 3

[map]
dpi = 50
"""


def write_config(folder, *changes):
    """Write a configuration that suits the volumes of `write_study`, with texts replaced pair by pair."""
    text = RUN
    for old, new in changes:
        assert old in text, old
        text = text.replace(old, new)
    path = folder / "run.toml"
    path.write_text(text)
    return path

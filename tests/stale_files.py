"""What runs again when a file changes: one line for each kind of file that an analysis reads, alone and in a group.

A group looks at feature tables, and at what learned and measured spaces follow from; responses are compared by the
participants that were made of them.
"""

import copy
import json
import shutil

import h5py
import nibabel as nib
import numpy as np
import pandas as pd
import stale_matrix as matrix
from factories import planted_judgments, write_study
from PIL import Image
from stale_matrix import DRAWN, EVERYTHING, LOADED, TESTS, VOLUMES, World, block, number_of, text, toml_of, voxel

from encoding import pipeline
from encoding.config import parse_config
from encoding.core import DataError, FeatureSpace, Samples
from encoding.io.store import save
from encoding.pipeline import Places, run_group

KEPT, REDRAWN, REFUSED = "kept", "drawn again", "refused"
CLIPS = [f"clip{k}" for k in range(8)]
# Features come from the table that changed: responses stay, all models of it and the tests run again.
OF_ABC = {matrix.ABC, matrix.JOINT, TESTS} | DRAWN


def surface(top):
    """GIFTI of both hemispheres."""
    write_study(top / "bids", kinds=("surface",), runs=tuple(("", str(k)) for k in range(1, 5)))
    load = {"kind": "surface", "task": "video", "space": "fsaverage5", "confound_options": {"motion": "basic"}}
    return World(top, VOLUMES | {"load": load, "map": {"dpi": 50, "atlases": []}})


def cifti(top):
    """Dense time series."""
    write_study(top / "bids", kinds=("cifti",), runs=tuple(("", str(k)) for k in range(1, 5)))
    load = {"kind": "cifti", "task": "video", "space": "fsLR", "confound_options": {"motion": "basic"}}
    return World(top, VOLUMES | {"load": load, "map": {"dpi": 50, "atlases": []}})


def arrays(top):
    """Arrays without BIDS names, with events and confounds elsewhere, and words with onsets."""
    study = write_study(top / "bids", runs=tuple(("", str(k)) for k in range(1, 5)))
    root, rng = study.root, np.random.default_rng(0)
    for folder in ("runs", "ev", "conf", "words"):
        (root / folder).mkdir()
    for run in range(1, 5):
        bold = next(study.derivatives.rglob(f"*run-{run}_space-T1w_desc-preproc_bold.nii.gz"))
        name = f"sub-01_run-{run}"
        values = np.asarray(nib.load(bold).dataobj).reshape(-1, 60).T[:, :100]
        np.save(root / "runs" / f"{name}.npy", values.astype(np.float32))
        shutil.copy(next(root.glob(f"sub-01/func/*run-{run}_events.tsv")), root / "ev" / f"{name}.tsv")
        confounds = pd.DataFrame(rng.standard_normal((60, 2)), columns=["a", "b"])
        confounds.to_csv(root / "conf" / f"{name}.tsv", sep="\t", index=False)
        words = pd.DataFrame({"onset": np.arange(0, 116, 2.0), "x": rng.random(58).round(4)})
        words.to_csv(root / "words" / f"run-{run}.tsv", sep="\t", index=False)
    load = {
        "kind": "array", "task": "video", "file": "runs/sub-{subject}_run-{run}.npy", "t_r": 2.0, "mask": "none",
        "events": "ev/sub-{subject}_run-{run}.tsv", "confounds_file": "conf/sub-{subject}_run-{run}.tsv",
    }  # fmt: skip
    words = {"kind": "series", "name": "words", "file": "words/run-{run}.tsv"}
    fit = [matrix.RIDGE | {"bands": ["abc"]}, matrix.RIDGE | {"bands": ["words"]}]
    content = {**VOLUMES, "features": [matrix.FEATURES[0], words], "load": load, "fit": fit}
    return World(top, content | {"map": {"dpi": 50, "atlases": []}})


FORMATS = ("csv", "parquet", "npy", "npz", "h5", "saved", "folder", "learned", "tabled", "vision", "both")


def formats(top):
    """Feature spaces from files of every kind, one model for each."""
    study = write_study(top / "bids", runs=tuple(("", str(k)) for k in range(1, 5)))
    root, rng = study.root, np.random.default_rng(0)
    place = root / "f"
    (place / "pictures").mkdir(parents=True)
    (place / "folder").mkdir()
    values = rng.standard_normal((8, 2)).round(3)
    frame = pd.DataFrame(values, columns=["x", "y"])
    frame.insert(0, "stimulus", CLIPS)
    frame.to_csv(place / "csv.csv", index=False)
    (frame + pd.DataFrame({"stimulus": [""] * 8, "x": 0.5, "y": 0.25})).to_parquet(place / "parquet.parquet")
    np.save(place / "npy.npy", values**2)
    (place / "npy.txt").write_text("\n".join(CLIPS) + "\n")
    np.savez(place / "npz.npz", values=np.sin(values), stimuli=np.array(CLIPS))
    with h5py.File(place / "h5.h5", "w") as file:
        file["values"] = np.cos(values)
        file["stimuli"] = np.array(CLIPS, dtype="S")
    save(FeatureSpace("saved", values[::-1].copy(), Samples.of_stimuli(np.array(CLIPS)), ("x", "y")), place / "saved")
    from scipy.io import savemat

    for name, row in zip(CLIPS, rng.standard_normal((8, 3)), strict=True):
        savemat(place / "folder" / f"{name}.mat", {"feat": row})
        picture = Image.fromarray(rng.integers(0, 255, (32, 32, 3)).astype(np.uint8) // (1 + CLIPS.index(name)))
        picture.save(place / "pictures" / f"{name}.png")
    items = planted_judgments(rng, 24, 3000)
    np.savetxt(place / "train_90.txt", items, fmt="%d")
    named = [*CLIPS, *(f"other{k}" for k in range(16))]
    (place / "names.txt").write_text("\n".join(named) + "\n")
    table = pd.DataFrame(np.array(named)[items], columns=["item_1", "item_2", "item_3"]).assign(choice=2)
    table.to_parquet(place / "judgments.parquet")
    few = {"n_dims": 2, "lambdas": [0.001]}
    features = [
        {"name": "csv", "file": "f/csv.csv"},
        {"name": "parquet", "file": "f/parquet.parquet"},
        {"name": "npy", "file": "f/npy.npy"},
        {"name": "npz", "file": "f/npz.npz", "layer": "values"},
        {"name": "h5", "file": "f/h5.h5", "layer": "values"},
        {"name": "saved", "file": "f/saved"},
        {"name": "folder", "file": "f/folder"},
        {"kind": "judgments", "name": "learned", "file": "f/train_90.txt", "stimuli": "f/names.txt", **few},
        {"kind": "judgments", "name": "tabled", "file": "f/judgments.parquet", **few},
        {"kind": "low_level_vision", "name": "vision", "videos": "f/pictures", "pattern": "*.png"},
        {"kind": "concat", "name": "both", "spaces": ["csv", "npy"]},
    ]
    fit = [matrix.RIDGE | {"bands": [name]} for name in FORMATS]
    compare = {"n_permutations": 20, "controls": False, "inference": False}
    content = {**matrix.ONE_ROW, "features": features, "fit": fit, "compare": compare}
    return World(top, content | {"map": {"dpi": 50, "atlases": []}})


WORLDS = matrix.WORLDS | {"surface": surface, "cifti": cifti, "arrays": arrays, "formats": formats}


def _models(*names):
    return {f"model-{name}" for name in names} | DRAWN


def gifti(path):
    """Change one vertex of a volume."""
    image = nib.load(path)
    values = image.darrays[7].data.copy()
    values[3] += 1
    image.darrays[7].data = values
    path.unlink()
    nib.save(image, path)


def dense(path):
    """Change one grayordinate."""
    image = nib.load(path)
    values = np.asarray(image.dataobj).copy()
    values[7, 3] += 1
    image = nib.Cifti2Image(values, image.header, image.nifti_header)
    path.unlink()
    nib.save(image, path)


def array(path):
    """Change one number."""
    values = np.load(path).copy()
    values[3, 1] += 0.5
    np.save(path, values)


def npz(path):
    """Change one number of a collection of arrays."""
    content = dict(np.load(path))
    content["values"][0, 0] += 1
    np.savez(path, **content)


def hdf5(path):
    """Change one number of HDF5."""
    with h5py.File(path, "r+") as file:
        file["values"][0, 0] += 1


def mat(path):
    """Change one number of a MATLAB file."""
    from scipy.io import loadmat, savemat

    savemat(path, {"feat": loadmat(path)["feat"] + 0.5})


def cell(path):
    """Change one number of a CSV."""
    frame = pd.read_csv(path)
    frame.loc[1, "x"] = 0.123
    frame.to_csv(path, index=False)


def parquet(path):
    """Change one number, or leave out one judgment."""
    frame = pd.read_parquet(path)
    if "choice" in frame.columns:
        frame = frame.iloc[1:]
    else:
        frame.loc[1, "x"] = 0.123
    frame.to_parquet(path)


def picture(path):
    """Make a picture grey."""
    Image.fromarray(np.full((32, 32, 3), 90, np.uint8)).save(path)


def lines(change):
    """Return a change of the lines of a text file."""
    return lambda path: path.write_text("\n".join(change(path.read_text().splitlines())) + "\n")


def key_of_sidecar(key, value):
    """Return a change of one key of a sidecar."""

    def change(path):
        content = json.loads(path.read_text()) if path.is_file() else {}
        path.write_text(json.dumps(content | {key: value}))

    return change


TWIN = "derivatives/fmriprep/sub-01/func/sub-01_task-video_run-2_space-T1w_desc-preproc_bold.json"
OF_ARRAYS = {matrix.RESPONSES, "model-abc", "model-words"}
# Files: world, where, what is changed, the steps that run again, and what a group does.
FILES = {
    "a volume": ("volumes", "derivatives/**/*run-2_space-T1w_desc-preproc_bold.nii.gz", voxel, LOADED, KEPT),
    "a brain mask": ("volumes", "derivatives/**/*run-2_space-T1w_desc-brain_mask.nii.gz", voxel, LOADED, KEPT),
    "a volume of another space": (
        *("volumes", "derivatives/**/*run-2_space-MNI_desc-preproc_bold.nii.gz", voxel),
        *((), KEPT),
    ),
    "confounds": ("volumes", "derivatives/**/*run-2_desc-confounds_timeseries.tsv", number_of("trans_x"), LOADED, KEPT),
    "the sidecar of confounds": (
        *("volumes", "derivatives/**/*run-2_desc-confounds_timeseries.json", key_of_sidecar("Note", 1)),
        *((), KEPT),
    ),
    "events": ("volumes", "sub-01/func/*run-2_events.tsv", text("\t8.0\t", "\t7.5\t"), LOADED, KEPT),
    "a sidecar, not its times": ("volumes", "sub-01/func/*run-2_bold.json", key_of_sidecar("Note", 1), (), KEPT),
    "a sidecar of the derivative, its StartTime": ("volumes", TWIN, key_of_sidecar("StartTime", 0.5), LOADED, KEPT),
    "the description of the dataset": ("volumes", "dataset_description.json", key_of_sidecar("Name", "x"), (), KEPT),
    "a feature table": ("volumes", "stimuli/feature-abc.tsv", number_of("b"), OF_ABC, REFUSED),
    "the same feature table, spelled otherwise": (
        *("volumes", "stimuli/feature-abc.tsv", lines(lambda found: [line + "\r" for line in found])),
        *((), KEPT),
    ),
    "labels of an atlas": ("volumes", "space-T1w_parts.nii.gz", voxel, {TESTS} | DRAWN, KEPT),
    "names of regions": ("volumes", "space-T1w_parts.tsv", text("two", "second"), {TESTS} | DRAWN, KEPT),
    "a file that nobody reads": ("volumes", "participants.tsv", lambda path: path.write_text("x"), (), KEPT),
    "betas": ("betas", "betas.nii.gz", voxel, LOADED, KEPT),
    "trials": ("betas", "trials.tsv", text("clip4", "clip3"), LOADED, KEPT),
    "bdata": ("bdata", "fmri_Subject1.h5", block, EVERYTHING, KEPT),
    "a surface": ("surface", "derivatives/**/*run-2_hemi-R_space-fsaverage5_bold.func.gii", gifti, LOADED, KEPT),
    "a dense time series": ("cifti", "derivatives/**/*run-2_space-fsLR_den-91k_bold.dtseries.nii", dense, LOADED, KEPT),
    "an array of responses": ("arrays", "runs/sub-01_run-2.npy", array, OF_ARRAYS, KEPT),
    "events elsewhere": (
        *("arrays", "ev/sub-01_run-2.tsv", text("\t8.0\t", "\t7.5\t")),
        *(OF_ARRAYS, KEPT),
    ),
    "confounds of one's own": (
        *("arrays", "conf/sub-01_run-2.tsv", number_of("a")),
        *(OF_ARRAYS, KEPT),
    ),
    "words": ("arrays", "words/run-2.tsv", number_of("x"), {"model-words"}, REFUSED),
    "onsets of words": ("arrays", "words/run-2.tsv", text("\n8.0\t", "\n8.5\t"), {"model-words"}, REFUSED),
    "a CSV": ("formats", "f/csv.csv", cell, _models("csv", "both"), REFUSED),
    "a Parquet table": ("formats", "f/parquet.parquet", parquet, _models("parquet"), REFUSED),
    "an array": ("formats", "f/npy.npy", array, _models("npy", "both"), REFUSED),
    "names of its rows": ("formats", "f/npy.txt", lines(lambda found: found[::-1]), _models("npy", "both"), REFUSED),
    "a collection of arrays": ("formats", "f/npz.npz", npz, _models("npz"), REFUSED),
    "HDF5": ("formats", "f/h5.h5", hdf5, _models("h5"), REFUSED),
    "a saved feature space": ("formats", "f/saved/values.npy", array, _models("saved"), REFUSED),
    "a MATLAB file of one stimulus": ("formats", "f/folder/clip3.mat", mat, _models("folder"), REFUSED),
    "judgments as numbers": (
        *("formats", "f/train_90.txt", lines(lambda found: found[1:])),
        *(_models("learned"), REFUSED),
    ),
    "names of their stimuli": (
        *("formats", "f/names.txt", lines(lambda found: [found[1], found[0], *found[2:]])),
        *(_models("learned"), REFUSED),
    ),
    "judgments in Parquet": ("formats", "f/judgments.parquet", parquet, _models("tabled"), REFUSED),
    "a picture that is measured": ("formats", "f/pictures/clip3.png", picture, _models("vision"), REFUSED),
}  # fmt: skip
# Worlds whose tests and results run again with any of their models.
ALSO = {"arrays": {TESTS} | DRAWN}


def steps_of(name):
    """Return the steps that run again after a file was changed."""
    world, _, _, steps, _ = FILES[name]
    return set(steps) | (ALSO.get(world, set()) if steps else set())


def changed(made, name):
    """Change a file; returns how to undo that."""
    _, pattern, change, _, _ = FILES[name]
    paths = sorted(made.root.glob(pattern)) or [made.root / pattern]
    assert len(paths) == 1, paths
    path, before = paths[0], paths[0].read_bytes() if paths[0].is_file() else None
    change(path)

    def undo():
        path.unlink()
        if before is not None:
            path.write_bytes(before)

    return undo


def mismatches(world, top):
    """Change every file of one world; returns those after which participant or group did what is not listed."""
    made, wrong = WORLDS[world](top), []
    if group(made, made.base, made.content) != REDRAWN or group(made, made.base, made.content) != KEPT:
        wrong.append(("no change", "the group is not kept"))
    for name in [name for name, line in FILES.items() if line[0] == world]:
        undo = changed(made, name)
        together = group_on_copy(made, made.content)
        again = made.again(lambda content: None)  # noqa: ARG005
        undo()
        steps = steps_of(name)
        if again != steps:
            wrong.append((name, f"again {sorted(again - steps)}", f"not {sorted(steps - again)}"))
        if together != FILES[name][4]:
            wrong.append((name, f"the group is {together}"))
    return wrong


def group(made, out, content):
    """Run the group of one participant; returns whether it was drawn again, kept or refused."""
    places, drawn = Places(made.root, out, out / "work"), []
    before = {name: getattr(pipeline, name) for name in ("write_report", "write_group_maps", "map_components")}
    # What is drawn is tested elsewhere, and takes seconds.
    pipeline.write_report = lambda *_, **__: drawn.append(True) or []
    pipeline.write_group_maps = pipeline.map_components = lambda *_, **__: []
    try:
        run_group(parse_config(toml_of(content)), places, ["01"])
    except DataError as error:
        if "was made before" not in str(error):
            raise
        return REFUSED
    finally:
        for name, value in before.items():
            setattr(pipeline, name, value)
    return REDRAWN if drawn else KEPT


def group_on_copy(made, content):
    """Run a group on a copy of the results."""
    out = made.top / "group"
    shutil.copytree(made.base, out)
    try:
        return group(made, out, content)
    finally:
        shutil.rmtree(out)


# Settings that a group takes in another way than a participant: it computes nothing of its own.
OF_GROUP = {
    ("compute", "", "keep_predictions"): KEPT,
    # Weights are kept when participants run; a group takes those that are there.
    ("fit", "ridge", "keep_weights"): KEPT,
    ("fit", "banded_ridge", "keep_weights"): KEPT,
}


def outcome_of_setting(key, steps):
    """Return what a group does after a setting was changed: what shapes results is refused."""
    if key in OF_GROUP:
        return OF_GROUP[key]
    return KEPT if not steps else REDRAWN if steps <= {matrix.FIGURES} else REFUSED


def mismatches_of_settings(world, top):
    """Make every change of one world; returns the settings after which a group did what is not listed."""
    made, wrong = WORLDS[world](top), []
    group(made, made.base, made.content)
    for key, one in matrix.ANALYSIS.items():
        if isinstance(one, str) or one.world != world:
            continue
        content = copy.deepcopy(made.content)
        one.change(content)
        found, expected = group_on_copy(made, content), outcome_of_setting(key, one.steps)
        if found != expected:
            wrong.append((key, f"the group is {found}, not {expected}"))
    return wrong

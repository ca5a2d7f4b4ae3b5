"""What runs again when an input or a setting changes: one line for each setting of the reference page.

A line holds another value of the setting, and the steps that depend on it; `run` shows the steps that were done again.
"""

import copy
import dataclasses
import json
import shutil
import warnings

import h5py
import nibabel as nib
import numpy as np
import pandas as pd
from bdata_factory import Brain, write_single
from factories import AFFINE, write_bold, write_study

from encoding.config import parse_config
from encoding.config.schema import tables
from encoding.config.tables import General
from encoding.mapping import drawing_key
from encoding.mapping.derivative import is_drawn, note_drawn
from encoding.pipeline import Job, Places, run_compare
from encoding.workflow.weights import weights_key

# Steps of the analysis, in order; a model has a step of its own.
RESPONSES, ABC, FIRST, JOINT, RSA, TESTS, RSA_TESTS, RESULT, FIGURES = (
    *("responses", "model-abc", "model-first", "model-joint", "rsa-r", "tests", "tests-rsa-r", "result", "figures"),
)
EVERYTHING = {RESPONSES, ABC, FIRST, JOINT, RSA, TESTS, RSA_TESTS, RESULT, FIGURES}
DRAWN = {RESULT, FIGURES}  # whatever changes a result is drawn again
REFITTED = {ABC, FIRST, JOINT} | DRAWN
FITTED = {ABC, FIRST, JOINT, TESTS} | DRAWN


def _latest(folder):
    return max(path.stat().st_mtime_ns for path in folder.iterdir())


def toml_of(content):
    """Write a configuration as TOML."""
    lines = [f"{key} = {_value(value)}" for key, value in content.items() if not isinstance(value, dict | list)]
    for key, value in content.items():
        for table in value if isinstance(value, list) else [value] if isinstance(value, dict) else []:
            lines.append(f"[[{key}]]" if isinstance(value, list) else f"[{key}]")
            lines += [f"{name} = {_value(one)}" for name, one in table.items()]
    return "\n".join(lines) + "\n"


def _value(value):
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{key} = {_value(one)}" for key, one in value.items()) + " }"
    if isinstance(value, list):
        return "[" + ", ".join(map(_value, value)) + "]"
    return json.dumps(value)


class World:
    """A dataset with a configuration, and the results of it."""

    def __init__(self, top, content):
        self.top, self.content, self.root = top, content, top / "bids"
        self.number = 0
        self.base = top / "base"
        self.run(self.base, content)

    def job(self, out, content):
        places = Places(self.root, out, out / "work")
        return Job(parse_config(toml_of(content)), places, "01", "cpu")

    def run(self, out, content):
        """Run up to the tables; returns when each step was last done, and the key of the drawings."""
        job = self.job(out, content)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", category=UserWarning)  # that betas may know of other folds
            result = run_compare(job)
        key = drawing_key([result], job.study.maps, weights_key(job.folder, job.study))
        drawn = is_drawn(job.folder, key)
        note_drawn(job.folder, key, [])
        return self.times(out), drawn

    def times(self, out):
        """Return when each step was last done."""
        work, folder = out / "work" / "sub-01", out / "sub-01"
        found = {path.parent.name: path.stat().st_mtime_ns for path in work.glob("*/object.json")}
        found |= {TESTS + folder.name.removeprefix("inference"): _latest(folder) for folder in work.glob("inference*")}
        return found | {RESULT: (folder / "facts.json").stat().st_mtime_ns}

    def again(self, change):
        """Return the steps that are done again after a change of the configuration."""
        out = self.top / f"out{self.number}"
        self.number += 1
        shutil.copytree(self.base, out)
        before = self.times(out)
        content = copy.deepcopy(self.content)
        change(content)
        after, drawn = self.run(out, content)
        shutil.rmtree(out)
        again = {name for name, time in after.items() if before.get(name) != time}
        return again | (set() if drawn else {FIGURES})


FEATURES = [
    {"name": "abc", "file": "stimuli/feature-abc.tsv"},
    {"name": "first", "file": "stimuli/feature-abc.tsv", "columns": ["a"]},
]
RIDGE = {"kind": "ridge", "alphas": [1, 10]}
FIT = [
    RIDGE | {"bands": ["abc"]},
    RIDGE | {"bands": ["first"]},
    {"kind": "banded_ridge", "name": "joint", "bands": ["abc", "first"], "alphas": [1, 10], "n_iter": 3},
]
VOLUMES = {
    "seed": 0,
    "features": FEATURES,
    "load": {"kind": "volume", "task": "video", "space": "T1w", "confound_options": {"motion": "basic"}},
    "align": {"delays": [1, 2, 3]},
    "split": {"n_inner": 2, "repeats": "condition"},
    "fit": FIT,
    "compare": {"n_permutations": 20, "controls": False},
    "map": {"dpi": 50, "atlases": ["space-T1w_parts.nii.gz"]},
}
ONE_ROW = VOLUMES | {
    "load": VOLUMES["load"] | {"per": "stimulus"},
}
del ONE_ROW["align"]


def volumes(top, content=VOLUMES):
    """One subject with volumes, masks, tables of several kinds and an atlas of two parts."""
    study = write_study(top / "bids", kinds=("volume", "surface"), runs=tuple(("", str(k)) for k in range(1, 5)))
    root = study.root
    for path in list(study.derivatives.rglob("*_space-T1w_*")):  # another space, of the same content
        shutil.copy(path, path.with_name(path.name.replace("space-T1w", "space-MNI")))
    for path in list(study.derivatives.rglob("*_space-T1w_*preproc*")):
        shutil.copy(path, path.with_name(path.name.replace("desc-preproc", "desc-other")))
    parts = np.ones((6, 5, 4), np.int16)
    parts[3:] = 2
    nib.save(nib.Nifti1Image(parts, AFFINE), root / "space-T1w_parts.nii.gz")
    nib.save(nib.Nifti1Image(3 - parts, AFFINE), root / "space-T1w_other.nii.gz")
    (root / "space-T1w_parts.tsv").write_text("index\tname\n1\tone\n2\ttwo\n")
    (root / "space-T1w_other.tsv").write_text("index\tname\n1\tone\n2\ttwo\n")
    mask = np.ones((6, 5, 4), np.uint8)
    mask[:2] = 0
    nib.save(nib.Nifti1Image(mask, AFFINE), root / "mask.nii.gz")
    names = [f"clip{k}" for k in range(8)]
    pd.DataFrame({"stimulus": names, "duplicate_of": ["", *["clip0"], *[""] * 6]}).to_csv(
        root / "stimuli.tsv", sep="\t", index=False
    )
    frame = pd.read_csv(root / "stimuli" / "feature-abc.tsv", sep="\t")
    frame.assign(d=range(0, 16, 2)).to_csv(root / "more.tsv", sep="\t", index=False)
    for path in root.rglob("*events.tsv"):
        events = pd.read_csv(path, sep="\t")
        events.assign(shown=events["stim_id"]).to_csv(path, sep="\t", index=False, na_rep="n/a")
    return World(top, content)


def one_row(top):
    """The same with one row per presentation, which needs no delays."""
    return volumes(top, ONE_ROW)


def betas(top, more=None):
    """Betas of three runs."""
    study = write_study(top / "bids", kinds=(), runs=(("", "1"),))
    rng, rows = np.random.default_rng(0), 30
    frame = pd.DataFrame({"run": np.repeat([1, 2, 3], 10), "stim_id": [f"clip{k % 5}" for k in range(rows)]})
    frame.assign(again=frame["stim_id"]).to_csv(study.root / "trials.tsv", sep="\t", index=False)
    shutil.copy(study.root / "trials.tsv", study.root / "trials2.tsv")
    write_bold(study.root / "betas.nii.gz", rng.standard_normal((rows, 24)), (3, 4, 2), 1.0)
    write_bold(study.root / "betas2.nii.gz", rng.standard_normal((rows, 24)), (3, 4, 2), 1.0)
    mask = np.ones((3, 4, 2), np.uint8)
    mask[0] = 0
    nib.save(nib.Nifti1Image(mask, AFFINE), study.root / "mask.nii.gz")
    pd.DataFrame({"stimulus": [f"clip{k}" for k in range(8)]}).to_csv(study.root / "stimuli.tsv", sep="\t", index=False)
    load = {"kind": "betas", "file": "betas.nii.gz", "events": "trials.tsv", "per": "stimulus", "mask": "none",
            "estimated_within": "run"}  # fmt: skip
    return World(top, ONE_ROW | {"load": load, "map": {"dpi": 50, "atlases": []}} | (more or {}))


def recurring(top):
    """Betas of stimuli that every run shows, compared across runs."""
    return betas(top, {"rsa": [{"name": "r", "brain": "crossnobis", "min_targets": 5}]})


def bdata(top):
    """Block means of six runs in HDF5."""
    root = top / "bids"
    root.mkdir(parents=True)
    brain = Brain(runs=(3, 2, 1), n_blocks=8)
    write_single(root, brain)
    names = [*map(str, sorted(brain.label)), *sorted(brain.stimulus)]
    rng = np.random.default_rng(0)
    table = pd.DataFrame(rng.standard_normal((len(names), 3)), columns=list("abc"))
    table.insert(0, "stimulus", names)
    (root / "stimuli").mkdir()
    table.to_csv(root / "stimuli" / "feature-abc.tsv", sep="\t", index=False)
    load = {"kind": "bdata", "file": "fmri_Subject{number}.h5", "per": "stimulus"}
    shutil.copy(root / "fmri_Subject1.h5", root / "fmri_Subject1b.h5")
    pd.DataFrame({"stimulus": names}).to_csv(root / "stimuli.tsv", sep="\t", index=False)
    rsa = [{"name": "r", "similarity": "dot", "min_targets": 5}]
    return World(top, ONE_ROW | {"load": load, "map": {"dpi": 50, "atlases": []}, "rsa": rsa})


def put(table, field, value, number=None):
    """Return a change of one setting; the change of several of a table that is written as a list needs its number."""

    def change(content):
        if not table:
            content[field] = value
            return
        place = content.setdefault(table, {}) if number is None else content[table][number]
        place[field] = value

    return change


@dataclasses.dataclass(frozen=True)
class Line:
    """A setting with another value, and the steps that depend on it."""

    world: str
    change: object
    steps: frozenset


def line(world, table, field, value, steps, number=None):
    """Make the line of one setting."""
    return Line(world, put(table, field, value, number), frozenset(steps))


def also(first, *others):
    """Join several changes, where one alone would not be allowed."""

    def change(content):
        for one in (first, *others):
            one(content)

    return change


OWN = "labels, names and sets of regions are in the key of the result, as for [map] atlases"
VALUES = "read every time; the values are in the keys of the models"
SERIES_FIELDS = ("name", "file", "key", "columns", "rate", "offset", "trim", "resample", "rest")
LOAD = "every setting of the table is in the key of the responses, as despike is"
LOAD_FIELDS = (
    *("combine", "confound_columns", "confounds_file", "event_duration", "events", "file", "late_events"),
    *("resample_mask", "subcortex", "t_r", "trim", "volume_space", "where"),
)
ATLAS_FIELDS = (
    *("name", "file", "labels", "space", "map", "threshold", "resample", "both_sides", "citation", "licence"),
)
ROI_SET_FIELDS = (
    *("name", "file", "atlas", "regions", "masks", "spheres", "radius", "surface", "space", "source", "confidence"),
)
# Of the same content: tests of similarity take values, not where they come from.
RELOADED = EVERYTHING - {RSA_TESTS}
NOT = "no step of an analysis depends on it: "
LOADED = EVERYTHING - {RSA, RSA_TESTS}
# By table, kind and field. A text says why nothing runs again; `tests/test_stale_results.py` refuses a setting without
# a line.
ANALYSIS = {
    ("", "", "seed"): line("volumes", "", "seed", 1, FITTED),
    ("", "", "recipe"): NOT + "its settings are those of the file where the file gives none",
    ("features", "table", "name"): NOT + "a feature space of another name is another feature space",
    ("features", "table", "file"): line("volumes", "features", "file", "more.tsv", {ABC, JOINT, TESTS} | DRAWN, 0),
    ("features", "table", "stimulus"): line("volumes", "features", "stimulus", "stim_id", DRAWN, 0),
    ("features", "table", "columns"): line("volumes", "features", "columns", ["b"], {FIRST, JOINT, TESTS} | DRAWN, 1),
    ("features", "table", "rows"): line("volumes", "features", "rows", 8, DRAWN, 0),
    ("features", "table", "fill"): line("volumes", "features", "fill", "mean", DRAWN, 0),
    ("features", "table", "layer"): NOT + "it chooses a part of a file, whose content is in the keys as for file",
    ("features", "table", "layers"): NOT + "it makes feature spaces of other names",
    **{
        ("features", "low_level_vision", name): "measures are kept by the content of the clips, as for motion_energy"
        for name in ("name", "videos", "pattern")
    },
    **{("features", "series", name): VALUES for name in SERIES_FIELDS},
    **{("load", "volume", name): LOAD for name in LOAD_FIELDS},
    **{("load", "betas", name): LOAD for name in ("key", "where")},
    **{("atlas", "", name): OWN for name in ATLAS_FIELDS},
    **{("roi_set", "", name): OWN for name in ROI_SET_FIELDS},
    ("load", "volume", "kind"): Line(
        "volumes",
        also(put("load", "kind", "surface"), put("load", "space", "fsaverage5"), put("map", "atlases", [])),
        frozenset(LOADED),
    ),
    ("load", "volume", "task"): line("volumes", "load", "task", ["video"], LOADED),
    ("load", "volume", "space"): Line(
        "volumes", also(put("load", "space", "MNI"), put("map", "atlases", [])), frozenset(LOADED)
    ),
    ("load", "volume", "res"): NOT + "chooses among files, as space does",
    ("load", "volume", "density"): NOT + "chooses among files, as space does",
    ("load", "volume", "desc"): line("volumes", "load", "desc", "other", LOADED),
    ("load", "volume", "per"): line("volumes", "load", "per", "stimulus", LOADED),
    ("load", "volume", "stimulus"): line("volumes", "load", "stimulus", "shown", LOADED),
    ("load", "volume", "scale_rows"): Line(
        "one_row", also(put("load", "scale_rows", "all"), put("align", "centre", False)), frozenset(LOADED)
    ),
    ("load", "volume", "mask"): line("volumes", "load", "mask", "mask.nii.gz", LOADED),
    ("load", "volume", "stimuli"): line("volumes", "load", "stimuli", "stimuli.tsv", LOADED),
    ("load", "volume", "shift"): line("one_row", "load", "shift", 5.0, LOADED),
    ("load", "volume", "window"): line("one_row", "load", "window", 6.0, LOADED),
    ("load", "volume", "confounds"): line("volumes", "load", "confounds", ["motion", "wm_csf"], LOADED),
    ("load", "volume", "confound_options"): line("volumes", "load", "confound_options", {"motion": "full"}, LOADED),
    ("load", "volume", "high_pass"): line("volumes", "load", "high_pass", 0.02, LOADED),
    ("load", "volume", "detrend"): line("volumes", "load", "detrend", False, LOADED),
    ("load", "volume", "standardize"): line("volumes", "load", "standardize", False, LOADED),
    ("load", "volume", "despike"): line("volumes", "load", "despike", 2.0, LOADED),
    ("load", "volume", "missing_runs"): line("volumes", "load", "missing_runs", "exclude", LOADED),
    ("load", "betas", "task"): line("betas", "load", "task", "video", LOADED),
    ("load", "betas", "space"): line("betas", "load", "space", "T1w", LOADED),
    ("load", "betas", "res"): NOT + "it names the density of maps, as space names theirs",
    ("load", "betas", "per"): NOT + "it has one value",
    ("load", "betas", "stimulus"): line("betas", "load", "stimulus", "again", LOADED),
    ("load", "betas", "scale_rows"): Line(
        "betas", also(put("load", "scale_rows", "all"), put("align", "centre", False)), frozenset(LOADED)
    ),
    ("load", "betas", "mask"): line("betas", "load", "mask", "mask.nii.gz", LOADED),
    ("load", "betas", "stimuli"): line("betas", "load", "stimuli", "stimuli.tsv", LOADED),
    ("load", "betas", "file"): line("betas", "load", "file", "betas2.nii.gz", LOADED),
    ("load", "betas", "events"): line("betas", "load", "events", "trials2.tsv", LOADED),
    ("load", "betas", "estimated_within"): line("betas", "load", "estimated_within", "all", LOADED),
    ("load", "bdata", "task"): line("bdata", "load", "task", "video", RELOADED),
    ("load", "bdata", "space"): line("bdata", "load", "space", "T1w", RELOADED),
    ("load", "bdata", "res"): NOT + "it names the density of maps, as space names theirs",
    ("load", "bdata", "per"): NOT + "it has one value",
    ("load", "bdata", "stimulus"): line("bdata", "load", "stimulus", "stimulus_name", RELOADED),
    ("load", "bdata", "scale_rows"): Line(
        "bdata", also(put("load", "scale_rows", "all"), put("align", "centre", False)), frozenset(EVERYTHING)
    ),
    ("load", "bdata", "mask"): line("bdata", "load", "mask", "bdata:hcp180", RELOADED),
    ("load", "bdata", "stimuli"): line("bdata", "load", "stimuli", "stimuli.tsv", RELOADED),
    ("load", "bdata", "file"): line("bdata", "load", "file", "fmri_Subject{number}b.h5", RELOADED),
    ("load", "bdata", "labels"): line("bdata", "load", "labels", "video{label:04d}", RELOADED),
    ("load", "bdata", "n_runs"): line("bdata", "load", "n_runs", 6, RELOADED),
    ("load", "bdata", "missing_runs"): line("bdata", "load", "missing_runs", "exclude", RELOADED),
    ("align", "", "delays"): line("volumes", "align", "delays", [1, 2], FITTED),
    ("align", "", "centre"): Line(
        "one_row", also(put("align", "centre", False), put("load", "scale_rows", False)), frozenset(LOADED)
    ),
    ("split", "", "kind"): Line(
        "volumes", also(put("split", "kind", "fixed"), put("split", "test_runs", ["run-3"])), frozenset(REFITTED)
    ),
    ("split", "", "n_outer"): line("volumes", "split", "n_outer", 2, REFITTED),
    ("split", "", "n_inner"): line("volumes", "split", "n_inner", "leave_one_out", REFITTED),
    ("split", "", "repeats"): line("bdata", "split", "repeats", "drop_later", DRAWN),
    ("split", "", "groups"): line("volumes", "split", "groups", [["run-1", "run-2"], ["run-3", "run-4"]], REFITTED),
    ("split", "", "test_runs"): Line(
        "volumes", also(put("split", "kind", "fixed"), put("split", "test_runs", ["run-2"])), frozenset(REFITTED)
    ),
    ("split", "", "gap"): line("volumes", "split", "gap", 10.0, DRAWN),
    ("split", "", "inner"): line("volumes", "split", "inner", "random", REFITTED),
    ("split", "", "validation_share"): line("volumes", "split", "validation_share", 0.4, DRAWN),
    ("split", "", "seed"): line("volumes", "split", "seed", 1, DRAWN),
    ("fit", "ridge", "bands"): line("volumes", "fit", "bands", ["abc", "first"], {"model-abc+first", TESTS} | DRAWN, 0),
    ("fit", "ridge", "name"): line("volumes", "fit", "name", "other", {"model-other", TESTS} | DRAWN, 0),
    ("fit", "ridge", "alphas"): line("volumes", "fit", "alphas", [1, 100], {ABC} | DRAWN, 0),
    ("fit", "ridge", "pca"): line("volumes", "fit", "pca", 2, {ABC} | DRAWN, 0),
    ("fit", "ridge", "keep_variance"): line("volumes", "fit", "keep_variance", 0.9, {ABC} | DRAWN, 0),
    ("fit", "ridge", "keep_weights"): line("volumes", "fit", "keep_weights", "mean", {FIGURES}, 0),
    ("fit", "ridge", "method"): line("volumes", "fit", "method", "kernel", {ABC} | DRAWN, 0),
    ("fit", "ridge", "alpha_per_target"): line("volumes", "fit", "alpha_per_target", False, {ABC} | DRAWN, 0),
    ("fit", "ridge", "alpha_unit"): line("volumes", "fit", "alpha_unit", "zscored", {ABC} | DRAWN, 0),
    ("fit", "banded_ridge", "bands"): line("volumes", "fit", "bands", ["first", "abc"], {JOINT} | DRAWN, 2),
    ("fit", "banded_ridge", "name"): line("volumes", "fit", "name", "other", {"model-other"} | DRAWN, 2),
    ("fit", "banded_ridge", "alphas"): line("volumes", "fit", "alphas", [1, 100], {JOINT} | DRAWN, 2),
    ("fit", "banded_ridge", "n_iter"): line("volumes", "fit", "n_iter", 4, {JOINT} | DRAWN, 2),
    ("fit", "banded_ridge", "pca"): line("volumes", "fit", "pca", 2, {JOINT} | DRAWN, 2),
    ("fit", "banded_ridge", "keep_variance"): line("volumes", "fit", "keep_variance", 0.9, {JOINT} | DRAWN, 2),
    ("fit", "banded_ridge", "keep_weights"): line("volumes", "fit", "keep_weights", "mean", {FIGURES}, 2),
    ("fit", "banded_ridge", "method"): line("volumes", "fit", "method", "kernel", {JOINT} | DRAWN, 2),
    ("fit", "banded_ridge", "search"): line("volumes", "fit", "search", "guided", {JOINT} | DRAWN, 2),
    ("fit", "banded_ridge", "subsets"): line("volumes", "fit", "subsets", True, {JOINT} | DRAWN, 2),
    ("rsa", "", "name"): line("bdata", "rsa", "name", "other", {"rsa-other", "tests-rsa-other"} | DRAWN, 0),
    ("rsa", "", "spaces"): line("bdata", "rsa", "spaces", ["abc"], {RSA, RSA_TESTS} | DRAWN, 0),
    ("rsa", "", "similarity"): line("bdata", "rsa", "similarity", "cosine", {RSA, RSA_TESTS} | DRAWN, 0),
    ("rsa", "", "brain"): line("bdata", "rsa", "brain", "euclidean", {RSA, RSA_TESTS} | DRAWN, 0),
    ("rsa", "", "noise"): line("recurring", "rsa", "noise", "none", {RSA, RSA_TESTS} | DRAWN, 0),
    ("rsa", "", "comparison"): line("bdata", "rsa", "comparison", "spearman", {RSA, RSA_TESTS} | DRAWN, 0),
    ("rsa", "", "regions"): Line(
        "bdata",
        also(put("rsa", "regions", "searchlight", 0), put("rsa", "radius_mm", 4.0, 0)),
        frozenset({RSA} | DRAWN),
    ),
    ("rsa", "", "radius_mm"): Line(
        "bdata",
        also(put("rsa", "regions", "searchlight", 0), put("rsa", "radius_mm", 5.0, 0)),
        frozenset({RSA} | DRAWN),
    ),
    ("rsa", "", "edge_voxels"): Line(
        "bdata",
        also(put("rsa", "regions", "searchlight", 0), put("rsa", "edge_voxels", 3, 0)),
        frozenset({RSA} | DRAWN),
    ),
    ("rsa", "", "same_run"): line("bdata", "rsa", "same_run", True, {RSA, RSA_TESTS} | DRAWN, 0),
    ("rsa", "", "repeats"): line("bdata", "rsa", "repeats", "first", {RSA, RSA_TESTS} | DRAWN, 0),
    ("rsa", "", "min_targets"): line("bdata", "rsa", "min_targets", 6, {RSA, RSA_TESTS} | DRAWN, 0),
    ("compute", "", "keep_predictions"): line(
        "volumes", "compute", "keep_predictions", "0 B", {ABC, FIRST, JOINT} | DRAWN
    ),
    ("compute", "", "chunk"): line("volumes", "compute", "chunk", "1 MB", set()),
    ("compute", "", "memory"): line("volumes", "compute", "memory", "500 MB", set()),
    ("compute", "", "vram"): line("volumes", "compute", "vram", "1 GB", set()),
    ("compute", "", "threads"): line("volumes", "compute", "threads", 1, set()),
    **{
        ("compute", "", name): NOT + "it says where work is done"
        for name in (*("workers", "cluster", "scratch", "account", "interface", "job_options", "queue", "walltime"),)
    },
    ("compute", "", "verify"): line("volumes", "compute", "verify", True, set()),
    ("compare", "", "metric"): line("volumes", "compare", "metric", "r2", DRAWN),
    ("compare", "", "pairs"): line("volumes", "compare", "pairs", [["abc", "joint"]], DRAWN),
    ("compare", "", "significance"): Line(
        "bdata",
        also(
            put("compare", "significance", "noise"),
            put("split", "kind", "fixed"),
            put("split", "test_runs", ["1-2"]),
        ),
        frozenset(REFITTED),
    ),
    ("compare", "", "level"): line("volumes", "compare", "level", 0.02, DRAWN),
    ("compare", "", "group_test"): line("volumes", "compare", "group_test", "paired_t", DRAWN),
    ("compare", "", "nuisance"): line("volumes", "compare", "nuisance", ["first"], {TESTS} | DRAWN),
    ("compare", "", "controls"): line("volumes", "compare", "controls", True, DRAWN),
    ("compare", "", "inference"): line("volumes", "compare", "inference", False, DRAWN),
    ("compare", "", "n_permutations"): line("volumes", "compare", "n_permutations", 30, {TESTS} | DRAWN),
    ("compare", "", "unique_permutations"): line("volumes", "compare", "unique_permutations", 20, {TESTS} | DRAWN),
    ("compare", "", "fits"): line("volumes", "compare", "fits", "bootstrap", DRAWN),
    ("compare", "", "n_bootstrap"): Line(
        "volumes", also(put("compare", "fits", "bootstrap"), put("compare", "n_bootstrap", 20)), frozenset(DRAWN)
    ),
    ("compare", "", "versions"): line("volumes", "compare", "versions", [["abc", "first"]], {TESTS} | DRAWN),
    ("compare", "", "p_level"): line("volumes", "compare", "p_level", 0.04, {TESTS} | DRAWN),
    ("map", "", "atlases"): line("volumes", "map", "atlases", ["space-T1w_other.nii.gz"], {TESTS} | DRAWN),
    ("map", "", "roi_set"): line("volumes", "map", "roi_set", "horikawa2020", {FIGURES}),
    ("map", "", "threshold"): line("volumes", "map", "threshold", 0.1, {FIGURES}),
    ("map", "", "mesh"): line("volumes", "map", "mesh", "fsaverage6", {FIGURES}),
    ("map", "", "flat"): NOT + "it names a file beside those of mesh, which draws again",
    ("map", "", "views"): line("volumes", "map", "views", ["lateral"], {FIGURES}),
    ("map", "", "outlines"): line("volumes", "map", "outlines", ["one"], {FIGURES}),
    ("map", "", "slices"): line("volumes", "map", "slices", 6, {FIGURES}),
    ("map", "", "glass"): line("volumes", "map", "glass", False, {FIGURES}),
    ("map", "", "project"): line("volumes", "map", "project", False, {FIGURES}),
    ("map", "", "dpi"): line("volumes", "map", "dpi", 60, {FIGURES}),
    ("map", "", "as_released"): line("volumes", "map", "as_released", True, DRAWN),
}
WORLDS = {"volumes": volumes, "one_row": one_row, "betas": betas, "bdata": bdata, "recurring": recurring}


# Of tables that steps before the analysis read: another value, and whether what was learned or answered is made again.
AGAIN, KEPT = "again", "kept"
JUDGMENTS = {
    "name": ("other", AGAIN), "file": ("other.txt", AGAIN), "annotator": ("people", AGAIN), "ratings": ("r", AGAIN),
    "n_judgments": (50, AGAIN), "temperature": (0.5, AGAIN), "test": ("other.txt", AGAIN), "odd": ("first", AGAIN),
    "count_from": (1, AGAIN), "stimuli": ("names.txt", AGAIN), "test_share": (0.1, AGAIN),
    "method": ("variational", AGAIN), "n_dims": (3, AGAIN), "max_dims": (50, AGAIN), "lambdas": ((0.1,), AGAIN),
    "start": ("spectral", AGAIN), "slot_bias": (True, AGAIN), "ridges": ((1.0,), AGAIN), "reweight": (1, AGAIN),
    "validation": (0.2, AGAIN), "spike": (0.5, AGAIN), "slab": (2.0, AGAIN), "share": (0.5, AGAIN),
    "tol": (1e-5, AGAIN), "max_iter": (9, AGAIN), "precision": ("float64", AGAIN), "threads": (2, AGAIN),
    "seeds": ((0, 1), AGAIN), "halves": (False, AGAIN), "resamples": (3, AGAIN), "only_reliable": (True, AGAIN),
    "threshold": (0.5, AGAIN), "categories": ("r", KEPT), "dimensions": ("r", KEPT), "frames": ("frames", KEPT),
    "task": ("match", AGAIN), "judge_noise": (True, AGAIN), "learning_curve": (True, KEPT),
    "learning_shares": ((0.5,), KEPT), "similarity": ("dot", AGAIN), "soft": (True, AGAIN), "n_repeats": (2, AGAIN),
    "scale": ((1, 7), AGAIN), "n_permutations": (50, KEPT), "n_bootstrap": (50, KEPT),
}  # fmt: skip
SIMULATED = ("n_judgments", "temperature", "similarity", "soft", "n_repeats")  # with `ratings`; else not used
PRIOR = ("spike", "slab", "share")  # with `method = "variational"`
MOTION = {
    "name": ("other", KEPT), "videos": ("same", KEPT), "pattern": ("*.mp*", KEPT), "size": (64, AGAIN),
    "rate": (10, AGAIN), "spatial_frequencies": ((0, 2), AGAIN), "temporal_frequencies": ((0, 2), AGAIN),
}  # fmt: skip
CONCAT = {"name": ("other", AGAIN), "spaces": (("b", "a"), AGAIN)}
COMPUTED = {
    "name": ("other", KEPT), "metric": ("dot", AGAIN), "temperature": (2.0, AGAIN), "soft": (True, AGAIN),
    "slot_bias": ((1.0, 0.0, 0.0), AGAIN), "seed": (1, AGAIN),
}  # fmt: skip
ANNOTATORS_AGAIN = {
    "openai": {
        "model": ("other", AGAIN), "prompt": ("captions-text", AGAIN), "url": ("http://127.0.0.1:9/v1", KEPT),
        "name": ("other", KEPT), "temperature": (1.0, AGAIN), "seed": (1, AGAIN), "top_logprobs": (5, AGAIN),
        "least_mass": (0.2, AGAIN), "extra": ({"top_k": 1}, AGAIN), "key_variable": ("", KEPT),
        "concurrency": (2, KEPT), "per_minute": (5.0, KEPT), "timeout": (5.0, KEPT), "tries": (2, KEPT),
        "api_version": ("2024-10-21", KEPT), "reasoning_tokens": (9, AGAIN), "structured": ("json", AGAIN),
        "media": ("file", KEPT), "video_frames": (3, AGAIN), "video_fps": (2.0, AGAIN), "video_sound": (True, AGAIN),
        "persona": ("a child", AGAIN),
    },
    "transformers": {
        "model": ("other", AGAIN), "prompt": ("other.toml", AGAIN), "name": ("other", KEPT), "device": ("cuda", KEPT),
        "dtype": ("float32", AGAIN), "batch": (4, KEPT), "least_mass": (0.2, AGAIN),
    },
    "table": {
        "file": ("other.tsv", AGAIN), "odd": ("first", AGAIN), "column": ("odd", AGAIN),
        "columns": (("item_2", "item_3", "item_1"), AGAIN), "name": ("other", KEPT), "source": ("page", AGAIN),
        "keys": (("1", "2", "3"), AGAIN), "participant": ("who", KEPT), "reaction_time": ("rt", KEPT),
        "reaction_unit": ("s", AGAIN), "answered": ("when", KEPT), "exclude": (("p1",), KEPT),
        "exclude_flagged": (True, KEPT), "fastest": (0.1, KEPT), "slowest": (9.0, KEPT),
        "demographics": ("people.tsv", KEPT), "demographics_id": ("who", KEPT),
        "excluded_status": (("REJECTED",), KEPT), "first_item": (1, AGAIN),
    },
    "cosine": COMPUTED | {"file": ("other.tsv", AGAIN), "stimulus": ("name", AGAIN), "columns": (("x",), AGAIN)},
    "colours": COMPUTED | {"levels": (2, AGAIN), "dark": (50, AGAIN)},
    "words": COMPUTED | {"weights": ("count", AGAIN)},
}  # fmt: skip
DESIGN = {
    "kind": ("random", AGAIN), "n_triplets": (12, AGAIN), "columns": (("a", "b", "c"), KEPT),
    "subset": (4, AGAIN), "test": (0.3, AGAIN), "validation": (0.2, AGAIN), "repeated": (3, AGAIN),
    "repeats": (5, KEPT), "order": ("all", AGAIN),
}  # fmt: skip
# What a trial shows is known by its content: answers to contents that stay are kept.
SHOWN = "answers belong to what was shown: stimuli, captions and pictures that stay keep theirs"
SPENT = "decides when a run stops; answers stay"
REST = {
    ("stimuli", name): SHOWN
    for name in (
        *("table", "show", "folder", "captions", "captions_shown", "caption", "captions_each", "mask_emotions"),
        *("n_frames", "frames_per_second", "size", "sheet", "split"),
    )
} | {
    ("budget", name): SPENT
    for name in ("requests", "tokens", "money", "hours", "price_in", "price_cached", "price_out", "currency")
} | {
    ("design", "file"): "the triplets of the file are the plan",
    ("collect", "folder"): "another folder is another collection",
    ("collect", "window"): "order of the trials; answers stay",
    ("collect", "human"): "read for the quality report, which is written every time",
    ("collect", "stop_after"): SPENT,
}  # fmt: skip


def stated():
    """List every setting that has a line, as (table, kind, field)."""
    found = set(ANALYSIS) | {("design", "", name) for name in DESIGN} | {(table, "", name) for table, name in REST}
    for kind, lines in {"judgments": JUDGMENTS, "motion_energy": MOTION, "concat": CONCAT}.items():
        found |= {("features", kind, name) for name in lines}
    return found | {("annotator", kind, name) for kind, lines in ANNOTATORS_AGAIN.items() for name in lines}


def settings_there():
    """List every setting of the reference page, as (table, kind, field)."""
    found = {("", "", field.name) for field in dataclasses.fields(General)}
    for table in tables():
        for kind in table.kinds:
            name = kind.names[0] if kind.names else ""
            fields = [field.name for field in dataclasses.fields(kind.cls)]
            found |= {(table.name, name, field) for field in fields if field != "kind" or len(kind.names) != 1}
    return found


def voxel(path):
    """Change one voxel."""
    image = nib.load(path)
    data = np.asarray(image.dataobj).copy()
    data[tuple(size // 2 for size in data.shape)] += 1
    if "mask" in path.name:
        data = np.minimum(data, 1)
        data[tuple(size // 2 for size in data.shape)] = 0
    header = image.header
    path.unlink()
    nib.save(nib.Nifti1Image(data, image.affine, header), path)


def text(before, after):
    """Return a change of some text, wherever it is."""

    def change(path):
        content = path.read_text()
        assert before in content
        path.write_text(content.replace(before, after))

    return change


def number_of(column):
    """Return a change of the second number of a column."""

    def change(path):
        frame = pd.read_csv(path, sep="\t", dtype=str, keep_default_na=False)
        frame.loc[1, column] = "0.123"
        frame.to_csv(path, sep="\t", index=False)

    return change


def block(path):
    """Change one value of a bdata file."""
    with h5py.File(path, "r+") as file:
        file["dataset"][0, 0] += 1  # a voxel; labels come last


def mismatches(world, top, only=None):
    """Make every change of one world; returns the settings after which other steps ran than are listed."""
    made, wrong = WORLDS[world](top), []
    for key, one in ANALYSIS.items():
        if isinstance(one, str) or one.world != world or (only is not None and key not in only):
            continue
        again = made.again(one.change)
        if again != one.steps:
            wrong.append((key, f"again {sorted(again - one.steps)}", f"not {sorted(one.steps - again)}"))
    return wrong

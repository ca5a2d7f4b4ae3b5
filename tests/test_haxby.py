"""Haxby et al. (2001) by the command line: real responses reach the figures of a plain script, and hold categories."""

import dataclasses
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from encoding.cli import main
from encoding.config import read_config
from encoding.embedding import FeatureTable
from encoding.fitting import one_model_each
from encoding.mapping import read_result
from encoding.pipeline import Job, Places, run_compare

CONFIG = Path(__file__).resolve().parents[1] / "examples" / "haxby.toml"


@pytest.mark.slow
def test_the_example_reaches_a_plain_script(haxby, tmp_path):
    # The dataset and the example configuration as they stand, from images to report. nilearn and himalaya called by
    # hand: r > .3 in 110 of 530 voxels with `category` (at most .63), in 104 with `animacy`.
    out = tmp_path / "out"
    assert main(["run", str(haxby), str(out), "participant", "--config", str(CONFIG)]) == 0
    assert (out / "sub-01.html").stat().st_size > 100_000
    result = read_result(out / "sub-01")
    r, r2, parts = (result.scores[metric] for metric in ("r", "r2", "split_r2"))
    assert np.isfinite(r.row("category")).sum() == 530
    found = {model: int((r.row(model) > 0.3).sum()) for model in ("category", "animacy")}
    assert 105 <= found["category"] <= 150, found
    assert 100 <= found["animacy"] <= 150, found
    assert 0.6 < np.nanmax(r.row("category")) < 0.75
    # `animacy` is a sum of columns of `category`: the joint model has nothing to add, and little to lose.
    difference = r2.row("joint") - np.maximum(r2.row("category"), r2.row("animacy"))
    assert abs(np.median(difference)) < 0.01
    total = parts.row("joint", "category") + parts.row("joint", "animacy")
    np.testing.assert_allclose(total, r2.row("joint"), atol=1e-5)


def advantage(haxby, folder, *, seed=None):
    """R2 of `category` minus R2 of one column that says that anything is shown.

    With a seed, the labels of the eight blocks of every run are permuted; when something is shown stays the same.
    """
    dataset = folder / "dataset"
    shutil.copytree(haxby, dataset, ignore=shutil.ignore_patterns("derivatives"), copy_function=shutil.copyfile)
    for path in (dataset, *dataset.rglob("*")):
        path.chmod(0o755 if path.is_dir() else 0o644)
    rng = np.random.default_rng(seed)
    for path in sorted(dataset.rglob("*_events.tsv")) if seed is not None else ():
        events = pd.read_csv(path, sep="\t")
        events.assign(stim_id=rng.permutation(events.stim_id)).to_csv(path, sep="\t", index=False)
    stimuli = pd.read_csv(dataset / "stimuli" / "feature-category.tsv", sep="\t").stim_id
    pd.DataFrame({"stim_id": stimuli, "on": 1}).to_csv(dataset / "stimuli" / "feature-on.tsv", sep="\t", index=False)
    study = read_config(CONFIG)
    category, on = study.features[0], FeatureTable("on", "stimuli/feature-on.tsv")
    models = one_model_each(["category", "on"], alphas=study.models[0].alphas)
    places = Places(dataset, folder / "out", folder / "work", haxby / "derivatives" / "fmriprep")
    # Four inner folds instead of eleven choose as well, in half the time.
    split = dataclasses.replace(study.split, n_inner=4)
    study = dataclasses.replace(study, features=(category, on), models=models, split=split)
    r2 = run_compare(Job(study, places, "01", "cpu")).scores["r2"]
    return r2.row("category") - r2.row("on")


def test_category_knows_more_than_that_something_is_shown(haxby, tmp_path):
    assert (advantage(haxby, tmp_path) > 0.02).sum() >= 50


def test_permuted_labels_know_no_more_than_that_something_is_shown(haxby, tmp_path):
    difference = advantage(haxby, tmp_path, seed=0)
    assert (difference > 0.02).sum() <= 3
    assert np.median(difference) < 0

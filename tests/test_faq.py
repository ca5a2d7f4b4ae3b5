"""The messages on the page of frequent errors are those that the program gives: each is produced here."""

import json
import re
import shutil
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
from factories import AFFINE, write_study

import encoding
from encoding.config import parse_config
from encoding.core import EncodingError
from encoding.loading import Loader, load_responses
from encoding.pipeline import Job, Places, load_subject, run_compare
from encoding.workflow.checks import check_dataset
from encoding.workflow.new_config import propose_config

PAGE = Path(__file__).resolve().parents[1] / "docs" / "faq.md"
SECTIONS = dict(re.findall(r"^## (.*?)\n\n```text\n(.*?)\n```$", PAGE.read_text(encoding="utf-8"), re.M | re.S))

CONFIG = """
[[features]]
name = "ratings"
file = "stimuli/feature-abc.tsv"
[load]
task = "video"
mask = "none"
confounds = []
{load}
[split]
n_inner = 2
{split}
[[fit]]
kind = "ridge"
bands = "each"
"""
CASES = {}


def case(question):
    def register(function):
        CASES[question] = function
        return function

    return register


def job(study, load="", split='repeats = "condition"'):
    text = CONFIG.format(load=load, split=split)
    return Job(parse_config(text), Places(study.root, study.root / "o", study.root / "w"), "01", "cpu")


def change_events(study, change):
    for path in study.root.glob("sub-*/**/*_events.tsv"):
        change(pd.read_csv(path, sep="\t")).to_csv(path, sep="\t", index=False, na_rep="n/a")


@case("I misspelled a setting")
def _(study):
    parse_config(CONFIG.format(load='spaec = "T1w"', split=""))


@case("A model names a feature space that does not exist")
def _(study):
    parse_config(CONFIG.format(load="", split="") + '[[fit]]\nkind = "ridge"\nname = "x"\nbands = ["rating"]\n')


@case("No preprocessed images are found")
def _(study):
    shutil.rmtree(study.derivatives)
    load_subject(job(study))


@case("The images are not named as in BIDS")
def _(study):
    for path in list(study.derivatives.rglob("*_bold.nii.gz")):
        path.rename(study.root / path.name.replace("sub-01_task-video_", "").replace("_space-T1w_desc-preproc", ""))
    shutil.rmtree(study.root / "derivatives")
    propose_config(study.root)


@case("There are only single echoes")
def _(study):
    for path in list(study.derivatives.rglob("*_desc-preproc_bold.nii.gz")):
        path.rename(path.with_name(path.name.replace("_space", "_echo-1_space")))
    propose_config(study.root)


@case("Files of a DataLad or git-annex dataset are not there")
def _(study):
    path = study.find("*run-1*_desc-preproc_bold.nii.gz")
    path.unlink()
    path.symlink_to(".git/annex/objects/aa/bb/MD5E-s1--x.nii.gz")
    load_subject(job(study))


@case("Run numbers are missing")
def _(study):
    for path in [*study.root.rglob("*run-2_*")]:
        path.unlink()
    load_subject(job(study))


@case("Runs have different repetition times")
def _(study):
    for path in study.root.glob("sub-01/**/*run-3_bold.json"):
        path.write_text(json.dumps({"TaskName": "video", "RepetitionTime": 1.5}))
    path = study.find("*run-3*_desc-preproc_bold.nii.gz")
    image = nib.load(path)
    image.header.set_zooms((3, 3, 3, 1.5))
    nib.save(image, path)
    load_subject(job(study))


@case("Events do not name the stimulus")
def _(study):
    change_events(study, lambda frame: frame.drop(columns="stim_id"))
    load_subject(job(study))


@case("Events begin after the end of the run")
def _(study):
    change_events(study, lambda frame: frame.assign(onset=frame["onset"] * 2))
    load_subject(job(study))


@case("Events have no duration")
def _(study):
    change_events(study, lambda frame: frame.assign(duration=0))
    load_subject(job(study))


@case("Stimuli of the events have no row in the feature table")
def _(study):
    path = study.root / "stimuli" / "feature-abc.tsv"
    pd.read_csv(path, sep="\t")[:6].to_csv(path, sep="\t", index=False)
    load_subject(job(study))


@case("A feature table has empty cells")
def _(study):
    path = study.root / "stimuli" / "feature-abc.tsv"
    pd.read_csv(path, sep="\t").assign(b=[np.nan, *range(7)]).to_csv(path, sep="\t", index=False, na_rep="n/a")
    load_subject(job(study))


@case("A stimulus is shown in several runs")
def _(study):
    run_compare(job(study, split=""))


@case("There is one run only")
def _(study):
    for number in (2, 3):
        for path in [*study.root.rglob(f"*run-{number}_*")]:
            path.unlink()
    run_compare(job(study))


@case("Columns of confounds are missing")
def _(study):
    path = study.find("*run-1_desc-confounds_timeseries.tsv")
    pd.read_csv(path, sep="\t").drop(columns="trans_x").to_csv(path, sep="\t", index=False, na_rep="n/a")
    load_responses(Loader(mask="none", task="video"), job(study).index(), "01", study.root / "w")


@case("A mask is on another grid")
def _(study):
    nib.save(nib.Nifti1Image(np.ones((3, 3, 3), np.uint8), AFFINE), study.root / "roi.nii.gz")
    load_responses(Loader(mask="roi.nii.gz", task="video", confounds=[]), job(study).index(), "01", study.root / "w")


@case("An atlas is not known")
def _(study):
    one = job(study)
    text = CONFIG.format(load="", split="") + '[map]\natlases = ["Schaefer-200"]\n'
    check_dataset(parse_config(text), one.places, ["01"])


@case("Features in time have another number of rows than the run has volumes")
def _(study):
    for run in (1, 2, 3):
        np.save(study.root / f"stimuli/vision_run-{run}.npy", np.zeros((61, 2)))
    text = CONFIG.format(load='events = "none"', split="").replace(
        'file = "stimuli/feature-abc.tsv"', 'kind = "series"\nfile = "stimuli/vision_run-{run}.npy"'
    )
    load_subject(Job(parse_config(text), job(study).places, "01", "cpu"))


@case("Betas and the table of trials have different lengths")
def _(study):
    np.save(study.root / "betas.npy", np.random.default_rng(0).random((10, 4)))
    trials = pd.DataFrame({"run": np.repeat([1, 2, 3], 3), "stimulus": [f"clip{k}" for k in range(9)]})
    trials.to_csv(study.root / "trials.tsv", sep="\t", index=False)
    loader = Loader(kind="betas", file="betas.npy", events="trials.tsv", per="stimulus", estimated_within="run")
    load_responses(loader, job(study).index(), "01", study.root / "w")


@case("Arrays have different numbers of rows")
def _(study):
    encoding.cross_validate({"ratings": np.zeros((60, 3))}, np.zeros((80, 4)), np.repeat([1, 2, 3, 4], 20))


@case("What are groups?")
def _(study):
    encoding.cross_validate({"ratings": np.zeros((80, 3))}, np.zeros((80, 4)), None)


@case("There is no noise ceiling")
def _(study):
    encoding.noise_ceiling(np.zeros((20, 2)), np.repeat([1, 2], 10), [f"clip{k}" for k in range(20)])


def said(tmp_path, question):
    """The message of a case, with its folder as my_study."""
    study = write_study(tmp_path / "my_study")
    with pytest.raises(EncodingError) as caught:
        CASES[question](study)
    return f"{type(caught.value).__name__}: {caught.value}".replace(str(study.root) + "/", "").replace(
        str(study.root), "my_study"
    )


def test_every_entry_has_a_case_and_the_other_way_round():
    assert list(SECTIONS) == list(CASES)


@pytest.mark.parametrize("question", list(CASES))
def test_the_message_is_what_is_said(tmp_path, question):
    assert " ".join(SECTIONS.get(question, "").split()) == " ".join(said(tmp_path, question).split())

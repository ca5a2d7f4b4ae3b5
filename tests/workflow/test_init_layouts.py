"""``encoding init`` on what scanners and pipelines leave behind: its configuration runs, or it says what is missing."""

import json
import shutil
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
from factories import AFFINE, T_R, write_dtseries, write_json, write_study

from encoding.config import parse_config
from encoding.core import DataError
from encoding.pipeline import Job, Places, run_compare, subjects_of
from encoding.workflow.checks import check_dataset
from encoding.workflow.new_config import propose_config

LAYOUTS = {}


def layout(function):
    LAYOUTS[function.__name__] = function
    return function


def write(root, **settings):
    return write_study(root, runs=[("", str(run)) for run in (1, 2, 3, 4)], noise=0.5, **settings)


def bold(study):
    return sorted(study.derivatives.rglob("*_desc-preproc_bold.nii.gz"))


def moved(study, pipeline, rename, *, keep_masks=False):
    """Move the images to another derivative."""
    for path in bold(study):
        target = study.root / "derivatives" / pipeline / path.parent.relative_to(study.derivatives) / rename(path.name)
        target.parent.mkdir(parents=True, exist_ok=True)
        path.rename(target)
    write_json(study.root / f"derivatives/{pipeline}/dataset_description.json", {"Name": "p", "BIDSVersion": "1.10.0"})
    shutil.rmtree(study.derivatives)
    return study.root / "derivatives" / pipeline


@layout
def numbers_of_runs_with_gaps(root):
    study = write_study(root, runs=[("", run) for run in ("01", "02", "05", "11")], noise=0.5)
    return study, None


@layout
def a_run_that_was_aborted(root):
    """The image of the last run ends long before its events."""
    study = write(root)
    image = nib.load(bold(study)[-1])
    nib.save(nib.Nifti1Image(image.get_fdata()[..., :30].astype(np.float32), AFFINE, image.header), bold(study)[-1])
    confounds = study.find("*run-4_desc-confounds_timeseries.tsv")
    pd.read_csv(confounds, sep="\t")[:30].to_csv(confounds, sep="\t", index=False, na_rep="n/a")
    return study, None


@layout
def slice_timing(root):
    study = write(root)
    for path in bold(study):
        write_json(Path(str(path).replace(".nii.gz", ".json")), {"RepetitionTime": T_R, "StartTime": 0.95})
    return study, None


@layout
def single_echoes_beside_their_combination(root):
    study = write(root)
    for path in bold(study):
        for echo in (1, 2, 3):
            shutil.copy(path, path.with_name(path.name.replace("_space", f"_echo-{echo}_space")))
    return study, None


@layout
def several_resolutions_and_spaces(root):
    study = write(root)
    for path in sorted(study.derivatives.rglob("*space-T1w*.nii.gz")):
        for space in ("MNI152NLin2009cAsym_res-2", "MNI152NLin6Asym_res-02", "MNI152NLin2009cAsym_res-1"):
            shutil.copy(path, path.with_name(path.name.replace("T1w", space)))
    return study, None


@layout
def native_space(root):
    """fMRIPrep's output space "func" has no entity "space"."""
    study = write(root)
    for path in sorted(study.derivatives.rglob("*space-T1w*.nii.gz")):
        path.rename(path.with_name(path.name.replace("_space-T1w", "")))
    return study, None


@layout
def tedana(root):
    study = write(root)
    return study, moved(study, "tedana", lambda name: name.replace("_space-T1w_desc-preproc", "_desc-denoised"))


@layout
def xcp_d(root):
    study = write(root)
    new = "MNI152NLin6Asym_res-2_desc-denoised"
    return study, moved(study, "xcp_d", lambda name: name.replace("T1w_desc-preproc", new))


@layout
def a_task_without_run_numbers_in_sessions(root):
    return write_study(root, runs=[(session, "") for session in ("01", "02", "post")], noise=0.5), None


@layout
def subjects_with_letters_and_only_raw_data_of_the_first(root):
    study = write(root, subjects=("CTRL07",))
    (root / "sub-A01" / "func").mkdir(parents=True)
    shutil.copy(
        study.find("sub-CTRL07*run-1_events.tsv", raw=True), root / "sub-A01/func/sub-A01_task-video_events.tsv"
    )
    return study, None


@layout
def uncompressed_images_and_old_names_of_confounds(root):
    study = write(root)
    for path in sorted(study.derivatives.rglob("*.nii.gz")):
        nib.save(nib.load(path), path.with_suffix(""))
        path.unlink()
    for path in sorted(study.derivatives.rglob("*desc-confounds_timeseries.tsv")):
        path.rename(path.with_name(path.name.replace("timeseries", "regressors")))
    return study, None


@layout
def features_with_paths_to_pictures(root):
    """Events name a picture with folder and ending, the table numbers it."""
    study = write(root)
    for path in sorted(root.glob("sub-*/**/*_events.tsv")):
        frame = pd.read_csv(path, sep="\t").rename(columns={"stim_id": "stim_file"})
        frame["stim_file"] = "pictures/" + frame["stim_file"].str.replace("clip", "00") + ".png"
        frame.to_csv(path, sep="\t", index=False, na_rep="n/a")
    table = pd.read_csv(root / "stimuli/feature-abc.tsv", sep="\t").rename(columns={"stim_id": "item"})
    table["item"] = table["item"].str.replace("clip", "").astype(int)
    (root / "stimuli/feature-abc.tsv").unlink()
    (root / "features").mkdir()
    table.to_csv(root / "features" / "My ratings (v2).csv", index=False)
    return study, None


@layout
def events_with_capitals_and_a_byte_order_mark(root):
    study = write(root)
    for path in sorted(root.glob("sub-*/**/*_events.tsv")):
        path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes().replace(b"\n", b"\r\n"))
    return study, None


@layout
def grayordinates_only(root):
    study = write(root, kinds=("cifti",))
    return study, None


@pytest.mark.parametrize("name", list(LAYOUTS))
def test_the_configuration_runs_and_the_planted_signal_comes_back(tmp_path, name):
    study, derivatives = LAYOUTS[name](tmp_path / "bids")
    proposal = propose_config(study.root, derivatives)
    assert proposal.missing == [], proposal
    text = proposal.text.replace('["auto"]', "[]") + "[compare]\ninference = false\ncontrols = false\n"
    config = parse_config(text)
    places = Places(study.root, tmp_path / "o", tmp_path / "w", derivatives=derivatives)
    subject = subjects_of(places, [], config.load)[-1]
    assert check_dataset(config, places, [subject]).failed == {}, proposal.text
    result = run_compare(Job(config, places, subject, "cpu"))
    r = result.scores["r"].values[0]
    assert np.nanmean(r[: study.n_targets // 3]) > 0.3, proposal.text


def test_sessions_of_different_repetition_times_are_named(tmp_path):
    study = write(tmp_path / "bids")
    path = bold(study)[-1]
    image = nib.load(path)
    image.header.set_zooms((3, 3, 3, 1.5))
    nib.save(image, path)
    for sidecar in study.root.glob("sub-*/**/*run-4_bold.json"):
        sidecar.write_text(json.dumps({"TaskName": "video", "RepetitionTime": 1.5}))
    proposal = propose_config(study.root)
    assert proposal.text == ""
    assert "repetition times differ (run-1 2 s, run-2 2 s, run-3 2 s, run-4 1.5 s)" in "".join(proposal.missing)
    text = '[[features]]\nname = "abc"\nfile = "stimuli/feature-abc.tsv"\n[load]\ntask = "video"\n'
    config = parse_config(f'{text}[[fit]]\nkind = "ridge"\nbands = "each"\n')
    with pytest.raises(DataError, match=r"sub-01, run-4: repetition time is 1\.5 s, but 2 s in the runs before"):
        run_compare(Job(config, Places(study.root, tmp_path / "o", tmp_path / "w"), "01", "cpu"))


def test_a_tree_of_hcp_is_told(tmp_path):
    """No BIDS names: what is there is named, with the lines that load it."""
    folder = tmp_path / "hcp"
    for run in ("LR", "RL"):
        place = folder / "100307" / "MNINonLinear" / "Results" / f"tfMRI_EMOTION_{run}"
        place.mkdir(parents=True)
        values = np.random.default_rng(0).standard_normal((60, 90))
        write_dtseries(place / f"tfMRI_EMOTION_{run}_Atlas_MSMAll.dtseries.nii", values, T_R)
    with pytest.raises(DataError, match=r"`file` in \[load\]"):
        propose_config(folder)


def test_only_single_echoes_are_told(tmp_path):
    study = write(tmp_path / "bids")
    for path in bold(study):
        for echo in (1, 2):
            shutil.copy(path, path.with_name(path.name.replace("_space", f"_echo-{echo}_space")))
        path.unlink()
    with pytest.raises(DataError, match="are single echoes; combine them"):
        propose_config(study.root)

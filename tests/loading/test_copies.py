"""Runs, volumes, trials and confounds that occur twice are found, and headers that contradict themselves are told."""

import gzip
import shutil
import warnings

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
from factories import AFFINE, write_bold, write_study

from encoding.core import DataError
from encoding.io.bids.index import PybidsIndex
from encoding.loading import Loader, load_responses
from encoding.loading.copies import Copies


def load(study, out, **settings):
    loader = Loader(**{"kind": "volume", "task": "video", "confounds": (), "mask": "none", **settings})
    return load_responses(loader, PybidsIndex(study.root, study.derivatives, subjects=("01",)), "01", out)


@pytest.fixture
def study(tmp_path):
    return write_study(tmp_path / "bids")


def run(study, number):
    return study.find(f"*run-{number}_space-T1w_desc-preproc_bold.nii.gz")


def change(path, edit):
    image = nib.load(path)
    data, affine, header = np.asarray(image.dataobj).copy(), image.affine, image.header
    edit(data)
    path.unlink()
    nib.save(nib.Nifti1Image(data, affine, header), path)


def test_real_runs_are_no_copies(study, tmp_path):
    assert load(study, tmp_path / "out").warnings == ()


def test_a_run_that_was_copied_under_another_number_is_refused(study, tmp_path):
    shutil.copy(run(study, 1), run(study, 3))
    with pytest.raises(DataError, match=r"sub-01: run-3 and run-1 have the same image, byte by byte.*held out"):
        load(study, tmp_path / "out")


def test_the_same_volumes_in_other_bytes_are_refused(study, tmp_path):
    content = gzip.decompress(run(study, 1).read_bytes())
    run(study, 2).write_bytes(gzip.compress(content, 1))
    with pytest.raises(DataError, match=r"sub-01, run-2: 60 of its 60 volumes are, number by number, volumes of run-1"):
        load(study, tmp_path / "out")


def test_most_of_a_run_in_another_one_is_refused(study, tmp_path):
    first = np.asarray(nib.load(run(study, 1)).dataobj)

    def edit(data):
        data[..., 5:] = first[..., :55]  # the same recording, cut at another volume

    change(run(study, 2), edit)
    with pytest.raises(DataError, match=r"run-2: 55 of its 60 volumes are, number by number, volumes of run-1"):
        load(study, tmp_path / "out")


def test_volumes_that_repeat_are_told(study, tmp_path):
    def edit(data):
        data[..., 11] = data[..., 12] = data[..., 10]

    change(run(study, 2), edit)
    (told,) = load(study, tmp_path / "out").warnings
    assert told == (
        "sub-01, run-2: 2 volumes are copies of others of the run; the first is number 12, equal to number 11"
    )


def test_a_run_without_any_signal_is_refused(study, tmp_path):
    def edit(data):
        data[:] = 7

    change(run(study, 2), edit)
    with pytest.raises(DataError, match=r"all 120 targets are constant or not finite in at least one run \(run-2: 120"):
        load(study, tmp_path / "out")


def test_confounds_of_another_run_and_constant_ones_are_told(study, tmp_path):
    first, second, third = (study.find(f"*run-{k}_desc-confounds_timeseries.tsv") for k in (1, 2, 3))
    shutil.copy(first, second)
    frame = pd.read_csv(third, sep="\t")
    frame.assign(rot_x=0.0, rot_y=0.0).to_csv(third, sep="\t", index=False, na_rep="n/a")
    told = load(study, tmp_path / "out", confounds=("motion",), confound_options={"motion": "basic"}).warnings
    assert told == (
        "sub-01, run-2: its confounds are, number by number, those of run-1",
        "sub-01, run-3: 2 of 6 confounds are constant, and take nothing out",
    )


def test_forms_that_disagree_and_forms_that_are_missing_are_told(study, tmp_path):
    for number, forms in ((1, (1, 1)), (2, (0, 0))):
        path = run(study, number)
        image = nib.load(path)
        data, header = np.asarray(image.dataobj).copy(), image.header
        path.unlink()
        made = nib.Nifti1Image(data, AFFINE, header)
        made.set_sform(AFFINE, forms[0])
        made.set_qform(AFFINE + np.eye(4, k=3) * 9, forms[1])
        nib.save(made, path)
    with pytest.raises(Exception, match="grid"):  # without forms, nibabel makes up another place
        load(study, tmp_path / "out")
    shutil.copy(run(study, 3), run(study, 2))
    change(run(study, 2), lambda data: data.__iadd__(np.random.default_rng(0).normal(size=data.shape)))
    (told,) = load(study, tmp_path / "out").warnings
    assert "sform and qform of sub-01_task-video_run-1_space-T1w_desc-preproc_bold.nii.gz put its voxels" in told
    assert "9.0 mm apart; the sform was followed" in told


@pytest.mark.parametrize("kind", ["whole", "some"])
def test_trials_that_were_copied_are_found(tmp_path, kind):
    study = write_study(tmp_path / "bids", kinds=(), runs=(("", "1"),))
    values = np.random.default_rng(0).standard_normal((30, 24))
    if kind == "whole":
        values[10:20] = values[:10]
    else:
        values[12], values[25] = values[11], values[3]
    table = pd.DataFrame({"run": np.repeat([1, 2, 3], 10), "stim_id": [f"clip{k % 5}" for k in range(30)]})
    table.to_csv(study.root / "trials.tsv", sep="\t", index=False)
    write_bold(study.root / "betas.nii.gz", values, (3, 4, 2), 1.0)
    settings = {"kind": "betas", "file": "betas.nii.gz", "events": "trials.tsv", "per": "stimulus", "mask": "none"}
    loader = Loader(**settings, estimated_within="run")
    index = PybidsIndex(study.root, study.derivatives, subjects=("01",))
    if kind == "whole":
        with pytest.raises(DataError, match="run-2: 10 of its 10 trials are, number by number, trials of run-1"):
            load_responses(loader, index, "01", tmp_path / "out")
        return
    assert load_responses(loader, index, "01", tmp_path / "out").warnings == (
        "sub-01, run-2: 1 trials are copies of others of the run; the first is number 3, equal to number 2",
        "sub-01, run-3: 1 trials are also trials of run-1, number by number",
    )


def test_rows_of_few_targets_may_be_equal_by_chance():
    rng, copies = np.random.default_rng(0), Copies("01")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for number in range(4):
            assert copies.add(rng.integers(0, 2, (30, 3)).astype(np.float32), f"run-{number}") == ()


def test_rows_that_are_constant_or_missing_tell_nothing():
    copies = Copies("01")
    values = np.zeros((4, 50), np.float32)
    values[2:] = np.nan
    assert copies.add(values, "run-1") == copies.add(values, "run-2") == ()

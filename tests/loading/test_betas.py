"""Responses that were estimated elsewhere."""

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
from factories import AFFINE, write_study

from encoding.core import AlignmentError, DataError
from encoding.io.bids.index import PybidsIndex
from encoding.loading import Loader, align, load_responses
from encoding.loading.responses import find_runs

RNG = np.random.default_rng(0)
BETAS = RNG.standard_normal((10, 24)).astype(np.float32)
TRIALS = pd.DataFrame({"run": [1] * 6 + [2] * 4, "stim_id": [f"clip{k % 5}" for k in range(10)]})


@pytest.fixture
def bids(tmp_path):
    study = write_study(tmp_path / "bids", runs=(("", "1"),), n_scans=60)
    write_trials(study.root)
    data = BETAS.T.reshape(3, 4, 2, 10)
    nib.save(nib.Nifti1Image(data, AFFINE), study.root / "sub-01_space-T1w_betas.nii.gz")
    return study.root


def write_trials(root, frame=TRIALS):
    frame.to_csv(root / "sub-01_trials.tsv", sep="\t", index=False, na_rep="n/a")


def load(root, file="sub-{subject}_space-T1w_betas.nii.gz", **settings):
    settings = {"estimated_within": "run", "per": "stimulus"} | settings
    loader = Loader(kind="betas", file=file, events="sub-{subject}_trials.tsv", **settings)
    return load_responses(loader, PybidsIndex(root), "01", root.parent / "work")


def zscored(values):
    return (values - values.mean(0)) / values.std(0, ddof=1)


def test_images_are_scaled_within_each_run(bids):
    responses = load(bids)
    np.testing.assert_allclose(responses.values, np.concatenate([zscored(BETAS[:6]), zscored(BETAS[6:])]), atol=1e-5)
    assert responses.samples.runs == ("run-1", "run-2")
    assert responses.samples.stimulus.tolist() == TRIALS.stim_id.tolist()
    assert responses.samples.same_as(responses.presentations)
    assert responses.targets.space == "T1w"
    assert np.isnan(responses.t_r)
    assert responses.exclusions == ()
    np.testing.assert_allclose(load(bids, scale_rows=False).values, BETAS, atol=1e-6)


@pytest.mark.parametrize("name", ["betas.npy", "betas.tsv", "betas.parquet"])
def test_tables_have_one_column_per_target(bids, name):
    frame = pd.DataFrame(BETAS, columns=[f"v{k}" for k in range(24)])
    if name.endswith("npy"):
        np.save(bids / name, BETAS)
    elif name.endswith("tsv"):
        frame.to_csv(bids / name, sep="\t", index=False)
    else:
        frame.to_parquet(bids / name)
    responses = load(bids, name, scale_rows=False)
    np.testing.assert_allclose(responses.values, BETAS, atol=1e-6)
    assert responses.targets.kind == "column"
    assert responses.targets.names[:2] == (("target_1", "target_2") if name.endswith("npy") else ("v0", "v1"))


@pytest.mark.parametrize(("within", "how"), [("unknown", "may have been"), ("all", "were")])
def test_estimates_that_may_know_of_other_runs_give_a_warning(bids, within, how):
    for _ in range(2):  # also when the result is reused
        with pytest.warns(UserWarning, match=f"{how} made from several runs") as caught:
            responses = load(bids, estimated_within=within)
        assert caught[0].filename == __file__
    (note,) = responses.warnings
    assert "scores may be too high" in note
    assert responses.exclusions == ()


def test_features_align_to_betas(bids):
    from encoding.embedding import FeatureTable, embed

    aligned = align(embed(FeatureTable("abc", "stimuli/feature-abc.tsv"), bids), load(bids))
    np.testing.assert_allclose(aligned.values[:6].mean(axis=0), 0, atol=1e-6)
    assert aligned.features == ("a", "b", "c")


def test_runs_are_named_with_their_session(bids):
    write_trials(bids, TRIALS.assign(session=["01"] * 6 + ["ses-02"] * 4, run=["1"] * 6 + ["run-1"] * 4))
    assert load(bids).samples.runs == ("ses-01_run-1", "ses-02_run-1")


def test_trials_without_a_stimulus_are_left_out(bids):
    write_trials(bids, TRIALS.assign(stim_id=[None, *TRIALS.stim_id[1:]]))
    responses = load(bids)
    assert len(responses.samples) == 9
    np.testing.assert_allclose(responses.values[:5], zscored(BETAS[1:6]), atol=1e-5)
    assert (responses.exclusions[0].what, responses.exclusions[0].n) == ("presentations", 1)


def test_voxels_without_estimates_are_left_out_or_nan(bids):
    data = BETAS.copy()
    data[:, 3] = np.nan
    data[:6, 5] = 2
    nib.save(nib.Nifti1Image(data.T.reshape(3, 4, 2, 10), AFFINE), bids / "sub-01_space-T1w_betas.nii.gz")
    responses = load(bids)
    assert len(responses.targets) == 23
    assert responses.targets.index[~responses.usable].tolist() == [5]
    assert [(e.what, e.n) for e in responses.exclusions] == [("targets", 1)]
    assert len(load(bids, mask="none").targets) == 24


def test_masks_must_be_on_the_grid_and_not_empty(bids):
    mask = np.zeros((3, 4, 2), np.uint8)
    nib.save(nib.Nifti1Image(mask, AFFINE), bids / "empty.nii.gz")
    with pytest.raises(DataError, match="mask is empty"):
        load(bids, mask="empty.nii.gz")
    mask[0, 0, 1] = 1
    nib.save(nib.Nifti1Image(mask, AFFINE), bids / "one.nii.gz")
    assert load(bids, mask="one.nii.gz").targets.index.tolist() == [1]
    nib.save(nib.Nifti1Image(mask[:2], AFFINE), bids / "other.nii.gz")
    with pytest.raises(AlignmentError, match=r"grid \(2, 4, 2\) differs"):
        load(bids, mask="other.nii.gz")


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        (TRIALS[:9], "holds 10 estimates, but .*trials.tsv lists 9 trials"),
        (TRIALS.drop(columns="run"), "no column 'run'"),
        (TRIALS.drop(columns="stim_id"), "no column 'stim_id'"),
        (TRIALS.assign(run=[1, 2] * 5), "trials of one run must follow each other"),
        (TRIALS.assign(run=[1] * 9 + [None]), "column 'run' has 1 empty cells"),
        (TRIALS.assign(run=[1] * 9 + [2]), "run-2: 1 trials; at least 2"),
        (TRIALS.assign(stim_id=None), "run-1: 0 trials"),
    ],
)
def test_bad_trials_are_named(bids, frame, message):
    write_trials(bids, frame)
    with pytest.raises(DataError, match=message):
        load(bids)
    assert not (bids.parent / "work").exists()


def test_bad_files_are_named(bids):
    with pytest.raises(DataError, match=r"nowhere\.nii: no such file"):
        load(bids, "nowhere.nii")
    (bids / "broken.npy").write_bytes(b"no")
    with pytest.raises(DataError, match=r"broken\.npy: cannot be read"):
        load(bids, "broken.npy")
    np.save(bids / "flat.npy", np.zeros(10))
    with pytest.raises(DataError, match=r"\(n_trials, n_targets\) was needed"):
        load(bids, "flat.npy")
    np.save(bids / "same.npy", np.zeros((10, 3)))
    with pytest.raises(DataError, match="no target has finite estimates"):
        load(bids, "same.npy")
    (bids / "m.nii.gz").touch()
    pd.DataFrame(np.zeros((10, 3))).add_prefix("v").to_csv(bids / "same.tsv", sep="\t", index=False)
    with pytest.raises(DataError, match="needs betas in a NIfTI image"):
        load(bids, "same.tsv", mask="m.nii.gz")


def test_betas_have_no_runs_of_images(bids):
    loader = Loader(kind="betas", file="f", events="e", per="stimulus")
    assert find_runs(loader, PybidsIndex(bids), "01") == ([], ())


def test_row_numbers_of_a_table_are_no_target(bids):
    pd.DataFrame(BETAS, columns=[f"v{k}" for k in range(24)]).to_csv(bids / "betas.tsv", sep="\t")
    with pytest.raises(DataError, match=r"column 1 has no name .*name the column\.$"):
        load(bids, "betas.tsv", mask="none")

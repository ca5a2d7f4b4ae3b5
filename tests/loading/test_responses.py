"""Loading gives back what was planted, on both clocks and from every format."""

import subprocess
import sys

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
from factories import AFFINE, DELAY, T_R, planted, write_study
from nilearn import signal
from nilearn.glm.first_level.design_matrix import create_cosine_drift
from scipy.signal import detrend

from encoding.core import AlignmentError, DataError
from encoding.io.bids.index import PybidsIndex
from encoding.loading import Loader, load_responses
from encoding.loading.responses import find_runs

PLAIN = {"confound_options": {"motion": "basic"}, "high_pass": False}


def responses_of(study, folder=None, *, subject="01", sessions=None, bids_filters=None, **settings):
    index = PybidsIndex(study.root)
    loader = Loader(**(PLAIN | settings))
    folder = folder or study.root.parent / "work"
    return load_responses(loader, index, subject, folder, sessions=sessions, bids_filters=bids_filters)


def events_of(study, run="1"):
    return pd.read_csv(study.find(f"*run-{run}_events.tsv", raw=True), sep="\t", na_values="n/a")


def change_events(study, run="1", **columns):
    events_of(study, run).assign(**columns).to_csv(
        study.find(f"*run-{run}_events.tsv", raw=True), sep="\t", index=False, na_rep="n/a"
    )


def reasons(responses, what):
    return [(exclusion.n, exclusion.text) for exclusion in responses.exclusions if exclusion.what == what]


@pytest.mark.parametrize(("kind", "n_targets"), [("volume", 100), ("surface", 62), ("cifti", 30)])
def test_every_format_gives_the_planted_signal(tmp_path, kind, n_targets):
    study = write_study(tmp_path / "bids", kinds=(kind,), noise=0.001)
    responses = responses_of(study, kind=kind, confounds=[], confound_options={})
    assert responses.values.shape == (180, n_targets)
    assert responses.samples.clock == "tr"
    # The brain mask of volumes leaves out the first 20 voxels.
    first = 20 if kind == "volume" else 0
    truth = planted(events_of(study, "2"), study.features, study.weights, 60, T_R)[:, first : first + n_targets]
    answering = truth.std(axis=0) > 0
    rows = responses.samples.run == "run-2"
    for column in np.flatnonzero(answering):
        wanted = detrend(truth[:, column])
        assert np.corrcoef(responses.values[rows, column], wanted)[0, 1] > 0.999


def test_rows_per_volume_know_time_and_stimulus(study):
    responses = responses_of(study)
    assert responses.t_r == T_R
    assert responses.task == "video"
    assert responses.samples.runs == ("run-1", "run-2", "run-3")
    rows = responses.samples.run == "run-1"
    np.testing.assert_array_equal(responses.samples.onset[rows], np.arange(60) * T_R)
    order = events_of(study).stim_id.dropna().tolist()
    assert responses.samples.stimulus[rows][:10].tolist() == [""] * 3 + [order[0]] * 4 + [""] * 2 + [order[1]]
    assert len(responses.presentations) == 24
    assert responses.presentations.stimulus[:8].tolist() == order


def test_values_are_those_of_nilearn(study):
    responses = responses_of(study, high_pass=0.02)
    image = nib.load(study.find("*run-3*preproc_bold.nii.gz"))
    raw = image.get_fdata().reshape(-1, 60).T[:, 20:]
    table = pd.read_csv(study.find("*run-3_desc-confounds*.tsv"), sep="\t", na_values="n/a")
    motion = table[[f"{kind}_{axis}" for kind in ("trans", "rot") for axis in "xyz"]].to_numpy()
    # Given as confounds: nilearn would leave its own filter out where a motion trace resembles a cosine.
    cosines = create_cosine_drift(0.02, np.arange(60) * T_R)[:, :-1]
    both = np.concatenate([motion, cosines], axis=1)
    theirs = signal.clean(raw, detrend=True, standardize="zscore_sample", confounds=both, filter=False)
    np.testing.assert_allclose(responses.values[responses.samples.run == "run-3"], theirs, atol=1e-4)


def test_the_drift_is_what_is_missing_from_the_values(study):
    responses = responses_of(study, high_pass=0.02)
    for run in responses.samples.runs:
        rows = responses.samples.run == run
        basis = responses.drift[rows]
        np.testing.assert_allclose(basis.T @ basis, np.eye(basis.shape[1]), atol=1e-6)
        np.testing.assert_allclose(basis.T @ responses.values[rows], 0, atol=1e-4)
    assert responses.drift.shape == (180, 2 + int(2 * 60 * T_R * 0.02))


@pytest.mark.parametrize(
    ("settings", "width"),
    [
        ({"high_pass": False}, 2),
        ({"high_pass": False, "detrend": False}, 1),
        ({"high_pass": 0.008}, 3),
        ({"high_pass": "confounds"}, 3),
    ],
)
def test_slow_signals_are_taken_out_once(study, settings, width):
    responses = responses_of(study, **settings)
    assert responses.drift.shape == (180, width)
    np.testing.assert_allclose(responses.values[:60].mean(axis=0), 0, atol=1e-5)


def test_cosines_of_the_file_and_ours_agree(study):
    ours, theirs = (responses_of(study, study.root.parent / str(k), high_pass=k) for k in (0.008, "confounds"))
    np.testing.assert_allclose(ours.values, theirs.values, atol=2e-4)


def test_runs_of_different_length_share_one_drift_array(tmp_path):
    study = write_study(tmp_path / "bids")
    path = study.find("*run-2*preproc_bold.nii.gz")
    image = nib.load(path)
    events = events_of(study, "2")
    events[events.onset < 60].to_csv(study.find("*run-2_events.tsv", raw=True), sep="\t", index=False, na_rep="n/a")
    nib.save(image.slicer[..., :40], path)
    table = pd.read_csv(study.find("*run-2_desc-confounds*.tsv"), sep="\t", na_values="n/a")
    table[:40].to_csv(study.find("*run-2_desc-confounds*.tsv"), sep="\t", index=False, na_rep="n/a")
    responses = responses_of(study, high_pass=0.02)
    assert len(responses.samples) == 160
    short = responses.drift[responses.samples.run == "run-2"]
    assert np.flatnonzero(np.any(short, axis=0)).tolist() == list(range(2 + int(2 * 40 * T_R * 0.02)))


# Per stimulus.


def test_windows_catch_the_planted_response(tmp_path):
    study = write_study(tmp_path / "bids", noise=0.001)
    responses = responses_of(study, per="stimulus", shift=DELAY * T_R, confounds=[], confound_options={})
    assert responses.values.shape == (24, 100)
    assert responses.drift.shape == (24, 0)
    assert responses.samples.same_as(responses.presentations)
    truth = study.features.loc[responses.samples.stimulus].to_numpy() @ study.weights[:, 20:]
    for run in responses.samples.runs:
        rows = responses.samples.run == run
        np.testing.assert_allclose(responses.values[rows].mean(axis=0), 0, atol=1e-5)
        np.testing.assert_allclose(responses.values[rows].std(axis=0, ddof=1), 1, rtol=1e-4)
        for column in np.flatnonzero(truth.any(axis=0)):
            assert np.corrcoef(responses.values[rows, column], truth[rows, column])[0, 1] > 0.97


@pytest.mark.parametrize(
    ("shift", "window", "volumes"),
    [(4.0, None, {5: 1, 6: 1, 7: 1, 8: 1}), (3.0, 4.0, {4: 0.5, 5: 1, 6: 0.5}), (-6.0, 1.0, {0: 1})],
)
def test_windows_weigh_volumes_by_overlap(study, shift, window, volumes):
    """The first presentation starts after 6 s, the fourth volume (number 3)."""
    whole = responses_of(study, study.root.parent / "tr", standardize=False)
    rows = responses_of(study, per="stimulus", shift=shift, window=window, standardize=False, scale_rows=False)
    weights = np.array(list(volumes.values())) / sum(volumes.values())
    np.testing.assert_allclose(rows.values[0], weights @ whole.values[list(volumes)], rtol=1e-4, atol=1e-3)


def test_windows_beyond_the_end_are_said(study):
    responses = responses_of(study, per="stimulus", shift=24.0)
    assert reasons(responses, "presentations") == []
    assert [n for n, _ in reasons(responses, "volumes")] == [1, 1, 1]
    assert "1 presentations reach beyond the end" in reasons(responses, "volumes")[0][1]
    late = responses_of(study, study.root.parent / "late", per="stimulus", shift=40.0)
    assert len(late.samples) == 3 * 7
    assert len(late.presentations) == 24
    assert "run-1: no kept volume in the window" in reasons(late, "presentations")[0][1]


def test_scrubbed_volumes_are_in_no_row(study):
    path = study.find("*run-1_desc-confounds*.tsv")
    table = pd.read_csv(path, sep="\t", na_values="n/a")
    table["framewise_displacement"] = np.isin(np.arange(60), [0, 5, 6, 7, 8]) * 3.0
    table.to_csv(path, sep="\t", index=False, na_rep="n/a")
    scrub = {"confounds": ["motion", "scrub"], "confound_options": {"motion": "basic", "scrub": 0}}
    responses = responses_of(study, **scrub)
    assert len(responses.samples) == 175
    assert responses.samples.onset[:5].tolist() == [2, 4, 6, 8, 18]
    assert reasons(responses, "volumes")[0][0] == 5
    basis = responses.drift[:55]
    np.testing.assert_allclose(basis.T @ basis, np.eye(basis.shape[1]), atol=1e-6)
    rows = responses_of(study, study.root.parent / "rows", per="stimulus", **scrub)
    assert len(rows.samples) == 23
    assert reasons(rows, "presentations") == [
        (1, f"sub-01, run-1: no kept volume in the window ({events_of(study).stim_id[1]})")
    ]


# Targets.


def test_only_voxels_of_all_brain_masks_are_loaded(study):
    path = study.find("*run-2*brain_mask.nii.gz")
    mask = nib.load(path).get_fdata()
    mask[5, 0, 0] = 0
    nib.save(nib.Nifti1Image(mask.astype(np.uint8), AFFINE), path)
    responses = responses_of(study)
    assert len(responses.targets) == 99
    assert np.ravel_multi_index((5, 0, 0), (6, 5, 4)) not in responses.targets.index
    assert reasons(responses, "targets") == [(1, "sub-01: outside the brain mask of at least one run")]


def test_masks_may_be_chosen(study):
    mask = np.zeros((6, 5, 4), np.uint8)
    mask[0, 0] = 1
    nib.save(nib.Nifti1Image(mask, AFFINE), study.root / "mask-01.nii.gz")
    own = responses_of(study, mask="mask-{subject}.nii.gz")
    assert own.targets.index.tolist() == [0, 1, 2, 3]
    assert len(responses_of(study, mask="none").targets) == 120


def test_empty_masks_and_other_grids_are_refused(study):
    nib.save(nib.Nifti1Image(np.zeros((6, 5, 4), np.uint8), AFFINE), study.root / "empty.nii.gz")
    with pytest.raises(DataError, match="the mask is empty"):
        responses_of(study, mask="empty.nii.gz")
    nib.save(nib.Nifti1Image(np.ones((6, 5, 3), np.uint8), AFFINE), study.root / "other.nii.gz")
    with pytest.raises(AlignmentError, match=r"grid \(6, 5, 3\) differs"):
        responses_of(study, mask="other.nii.gz")
    with pytest.raises(DataError, match=r"no such file \('nowhere.nii' in \[load\]"):
        responses_of(study, mask="nowhere.nii")
    for run, half in (("1", slice(0, 3)), ("2", slice(3, 6))):
        inside = np.zeros((6, 5, 4), np.uint8)
        inside[half] = 1
        nib.save(nib.Nifti1Image(inside, AFFINE), study.find(f"*run-{run}*brain_mask.nii.gz"))
    with pytest.raises(DataError, match="the mask is empty"):
        responses_of(study)
    study.find("*run-3*brain_mask.nii.gz").unlink()
    with pytest.raises(DataError, match=r"run-3: no brain mask"):
        responses_of(study)


def spoil(study, run, change):
    path = study.find(f"*run-{run}*preproc_bold.nii.gz")
    image = nib.load(path)
    data = image.get_fdata(dtype=np.float32)
    change(data)
    nib.save(nib.Nifti1Image(data, AFFINE, image.header), path)


@pytest.mark.parametrize("value", [np.nan, np.inf, 0.0, 7.5])
def test_voxels_without_a_signal_in_one_run_are_nan_in_all(study, value):
    spoil(study, "2", lambda data: data[1:2, 0, 0].fill(value))
    responses = responses_of(study)
    assert np.flatnonzero(~responses.usable).tolist() == [0]
    assert np.isnan(responses.values[:, 0]).all()
    assert np.isfinite(responses.values[:, 1:]).all()
    assert reasons(responses, "targets") == [(1, "sub-01: constant or not finite in a run (run-2: 1)")]


def test_one_missing_value_is_enough(study):
    def change(data):
        data[1, 0, 0, 30] = np.nan

    spoil(study, "3", change)
    for per in ("tr", "stimulus"):
        responses = responses_of(study, study.root.parent / per, per=per)
        assert np.flatnonzero(~responses.usable).tolist() == [0]
        assert np.isnan(responses.values[:, 0]).all()


def test_no_usable_voxel_is_an_error(study):
    spoil(study, "1", lambda data: data.fill(5))
    with pytest.raises(DataError, match=r"all 100 targets are constant.*run-1: 100"):
        responses_of(study)
    assert not (study.root.parent / "work").exists()
    assert not list(study.root.parent.glob(".*"))


# Bad input.


def test_a_missing_run_is_an_error_or_excluded(study):
    study.find("*run-2*preproc_bold.nii.gz").unlink()
    with pytest.raises(
        DataError, match=r'1 runs have no preprocessed volume.*task-video_run-2.*missing_runs = "exclude"'
    ):
        responses_of(study)
    responses = responses_of(study, missing_runs="exclude")
    assert responses.samples.runs == ("run-1", "run-3")
    assert reasons(responses, "runs") == [(1, "sub-01: not there: task-video_run-2")]


def test_missing_confounds_are_an_error_if_they_are_wanted(study):
    study.find("*run-2_desc-confounds*.tsv").unlink()
    with pytest.raises(DataError, match=r"run-2: no confounds table.*\['motion'\] were asked for"):
        responses_of(study)
    assert len(responses_of(study, confounds=[], confound_options={}).samples) == 180
    with pytest.raises(DataError, match=r"run-2: no confounds table.*\['high_pass'\]"):
        responses_of(study, confounds=[], confound_options={}, high_pass="confounds")


def test_confounds_of_another_length_are_an_error(study):
    path = study.find("*run-2_desc-confounds*.tsv")
    path.write_text("\n".join(path.read_text().splitlines()[:-1]) + "\n")
    with pytest.raises(DataError, match="run-2: the confounds table has 59 rows, but the image has 60 volumes"):
        responses_of(study)


def test_missing_events_are_an_error(study):
    study.find("*run-3_events.tsv", raw=True).unlink()
    with pytest.raises(DataError, match=r"run-3: no events\.tsv .* matches sub-01_task-video_run-3"):
        responses_of(study)


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"onset": 1000.0}, r"9 events start after|8 events start after the end of the run \(120 s\)"),
        ({"duration": -1.0}, "duration of 'clip.' in row 2 is -1.0"),
        ({"duration": np.nan}, "duration of 'clip.' in row 2 is nan; a number of at least 0"),
        ({"duration": 0.0}, "8 events have the duration 0"),
        ({"onset": np.nan}, "onset of 'clip.' in row 2 is nan"),
        ({"onset": "soon"}, "column 'onset' holds 'soon' in row 1"),
        ({"stim_id": None}, "no stimulus in column 'stim_id' of its 9 rows"),
    ],
)
def test_bad_events_are_named(study, columns, message):
    change_events(study, "2", **columns)
    with pytest.raises(DataError, match=f"run-2.*{message}"):
        responses_of(study)


@pytest.mark.parametrize("column", ["onset", "duration"])
def test_events_need_their_columns(study, column):
    path = study.find("*run-1_events.tsv", raw=True)
    events_of(study).drop(columns=column).to_csv(path, sep="\t", index=False)
    with pytest.raises(DataError, match=f"no column '{column}'"):
        responses_of(study)


def test_empty_events_are_named(study):
    path = study.find("*run-1_events.tsv", raw=True)
    path.write_text("onset\tduration\tstim_id\n")
    with pytest.raises(DataError, match="no stimulus in column 'stim_id' of its 0 rows"):
        responses_of(study)


def test_any_column_can_name_the_stimulus(study):
    responses = responses_of(study, stimulus="trial_type")
    assert set(responses.presentations.stimulus) == {"video", "rest"}
    with pytest.raises(DataError, match=r"no column 'clip'\. There is: onset, duration, trial_type, stim_id"):
        responses_of(study, stimulus="clip")
    for run in "123":
        events_of(study, run).drop(columns="stim_id").to_csv(
            study.find(f"*run-{run}_events.tsv", raw=True), sep="\t", index=False
        )
    with pytest.raises(DataError, match=r"no column 'stim_id' or 'stim_file'.*Set `stimulus`"):
        responses_of(study)


def test_copies_take_the_name_of_their_original(study):
    (study.root / "stimuli" / "stimuli.tsv").write_text("stim_id\tduplicate_of\nclip0\tn/a\nclip1\tclip0\n")
    shown = responses_of(study, stimuli="stimuli/stimuli.tsv").presentations.stimulus
    assert "clip1" not in shown
    assert np.sum(shown == "clip0") == 6


def test_repetition_times_must_agree(study):
    path = study.find("*run-2_bold.json", raw=True)
    path.write_text('{"RepetitionTime": 2.5}')
    with pytest.raises(
        DataError, match=r"run-2: the repetition time is 2\.5 s by the sidecar, but 2 s by the header of"
    ):
        responses_of(study)
    path.write_text("{}")
    assert responses_of(study).t_r == 2.0


def test_runs_must_share_a_repetition_time(study):
    spoil(study, "2", lambda data: data)
    path = study.find("*run-2*preproc_bold.nii.gz")
    image = nib.load(path)
    image.header.set_zooms((3, 3, 3, 2.5))
    nib.save(image, path)
    study.find("*run-2_bold.json", raw=True).write_text('{"RepetitionTime": 2.5}')
    with pytest.raises(DataError, match=r"run-2: repetition time is 2\.5 s, but 2 s in the runs before"):
        responses_of(study)


def test_no_repetition_time_is_an_error(study):
    path = study.find("*run-1*preproc_bold.nii.gz")
    image = nib.load(path)
    image.header.set_zooms((3, 3, 3, 0))
    nib.save(image, path)
    study.find("*run-1_bold.json", raw=True).unlink()
    with pytest.raises(DataError, match="run-1: neither sidecar nor header state a repetition time"):
        responses_of(study)


@pytest.mark.parametrize("kind", ["surface", "cifti"])
def test_headers_of_other_formats_are_compared_too(tmp_path, kind):
    study = write_study(tmp_path / "bids", kinds=(kind,))
    study.find("*run-1_bold.json", raw=True).write_text('{"RepetitionTime": 1.5}')
    with pytest.raises(DataError, match=r"run-1: the repetition time is 1\.5 s by the sidecar, but 2 s by the header"):
        responses_of(study, kind=kind)


def test_a_truncated_image_is_named_and_leaves_nothing(study):
    path = study.find("*run-3*preproc_bold.nii.gz")
    path.write_bytes(path.read_bytes()[:-500])
    with pytest.raises(DataError, match=r"run-3_space-T1w_desc-preproc_bold\.nii\.gz: cannot be read"):
        responses_of(study)
    assert not (study.root.parent / "work").exists()
    assert not list(study.root.parent.glob(".*"))


def test_more_confounds_than_volumes_are_refused(tmp_path):
    study = write_study(tmp_path / "bids", n_scans=10)
    for run in "123":
        events = events_of(study, run)
        events[events.onset < 15].to_csv(
            study.find(f"*run-{run}_events.tsv", raw=True), sep="\t", index=False, na_rep="n/a"
        )
    with pytest.raises(DataError, match=r"10 volumes are kept, but 2 slow signals and . confounds"):
        responses_of(study, confound_options={})


# Reuse.


def test_a_second_call_reuses_and_a_changed_input_does_not(study):
    folder = study.root.parent / "work"
    first = responses_of(study, folder)
    stamp = (folder / "values.npy").stat().st_mtime_ns
    again = responses_of(study, folder)
    assert (folder / "values.npy").stat().st_mtime_ns == stamp
    np.testing.assert_array_equal(first.values, again.values)
    assert responses_of(study, folder, detrend=False).provenance.key != first.provenance.key
    responses_of(study, folder)
    spoil(study, "1", lambda data: data.__iadd__(1))
    assert responses_of(study, folder).provenance.key != first.provenance.key


def test_values_are_a_memory_map_of_float32(study):
    responses = responses_of(study)
    assert isinstance(responses.values, np.memmap)
    assert responses.values.dtype == np.float32
    assert not responses.values.flags.writeable


def test_sessions_filters_and_progress(tmp_path):
    study = write_study(tmp_path / "bids", runs=(("01", "1"), ("02", "1"), ("02", "2")))
    assert responses_of(study, sessions=["ses-02"]).samples.runs == ("ses-02_run-1", "ses-02_run-2")
    by_run = responses_of(study, bids_filters={"bold": {"run": 1}})
    assert by_run.samples.runs == ("ses-01_run-1", "ses-02_run-1")
    steps = []
    load_responses(Loader(**PLAIN), PybidsIndex(study.root), "sub-01", tmp_path / "x", progress=steps.append)
    assert steps == [1 / 3, 2 / 3, 1.0]
    runs, exclusions = find_runs(Loader(**PLAIN), PybidsIndex(study.root), "01", sessions=["01"])
    assert ([run.label for run in runs], exclusions) == (["ses-01_run-1"], ())


MEASURE = """
import resource, sys
from pathlib import Path
from encoding.io.bids.index import PybidsIndex
from encoding.loading import Loader, load_responses
root = Path(sys.argv[1])
load_responses(Loader(confounds=()), PybidsIndex(root), "01", root.parent / "work")
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


def test_peak_memory_does_not_grow_with_the_number_of_runs(tmp_path):
    """Nine more runs add 83 MB to the result; the peak may grow by less than one of them (9.2 MB)."""
    peaks = []
    for n_runs in (2, 11):
        runs = tuple(("", str(k + 1)) for k in range(n_runs))
        study = write_study(tmp_path / str(n_runs) / "bids", runs=runs, shape=(40, 40, 24), confounds=None)
        done = subprocess.run(
            [sys.executable, "-c", MEASURE, str(study.root)], capture_output=True, text=True, check=True
        )
        peaks.append(int(done.stdout) / 1024)
    assert peaks[1] - peaks[0] < 9, peaks


def test_haxby_loads_whole(haxby, tmp_path):
    loader = Loader(confound_options={"motion": "basic"})
    responses = load_responses(loader, PybidsIndex(haxby), "01", tmp_path / "work")
    assert responses.values.shape == (1452, 530)
    assert responses.usable.all()
    assert responses.drift.shape == (1452, 6)
    assert len(responses.presentations) == 96
    assert responses.exclusions == ()

"""Block means of both releases become the responses that were put into them."""

import dataclasses
import shutil
import tracemalloc

import h5py
import numpy as np
import pandas as pd
import pytest
from bdata_factory import Brain, rename, replace, set_column, set_row, write_sessions, write_single

from encoding.core import AlignmentError, ConfigError, DataError, FeatureSpace, Samples
from encoding.io.bids.runs import PlainFolder
from encoding.loading import Loader, align, bdata_subjects, find_runs, load_responses
from encoding.loading.bdata_files import bdata_sources, first_bdata_file

SESSIONS, SINGLE = "fmri_Subject{number}_Session{session}.h5", "fmri_Subject{number}.h5"
NAMES = "video{label:04d}"


@pytest.fixture(scope="module")
def brain():
    return Brain(runs=(3, 2, 1))


@pytest.fixture(scope="module")
def originals(tmp_path_factory, brain):
    folder = tmp_path_factory.mktemp("bdata")
    write_sessions(folder, brain)
    write_single(folder, brain)
    return folder


@pytest.fixture
def data(originals, tmp_path):
    return shutil.copytree(originals, tmp_path / "data")


def load(data, file=SESSIONS, subject="01", sessions=None, **settings):
    settings = {"labels": NAMES if file == SESSIONS else "{label}", "scale_rows": False} | settings
    loader = Loader(kind="bdata", file=file, per="stimulus", **settings)
    return load_responses(loader, PlainFolder(data, data), subject, data.parent / "work", sessions=sessions)


def session(data, number):
    return data / f"fmri_Subject1_Session{number}.h5"


def zscored(values):
    return (values - values.mean(0)) / values.std(0, ddof=1)


@pytest.mark.parametrize("file", [SESSIONS, SINGLE])
def test_responses_are_those_of_the_file(originals, tmp_path, brain, file):
    loader = Loader(kind="bdata", file=file, per="stimulus", labels=NAMES, scale_rows=False)
    seen = []
    responses = load_responses(loader, PlainFolder(originals, originals), "01", tmp_path, progress=seen.append)
    np.testing.assert_array_equal(responses.values, brain.values.astype(np.float32))
    assert responses.values.dtype == np.float32
    assert responses.samples.stimulus.tolist() == brain.stimulus.tolist()
    names = [f"ses-{s:02d}_run-{r:02d}" for s, r in zip(brain.session, brain.run, strict=True)]
    assert responses.samples.run.tolist() == names
    assert responses.samples.clock == "stimulus"
    assert responses.samples.same_as(responses.presentations)
    assert responses.targets.space == "T1w"
    ijk = np.stack(np.unravel_index(responses.targets.index, responses.targets.grid.shape), axis=1)
    np.testing.assert_array_equal(ijk, brain.ijk)
    assert np.isnan(responses.t_r)
    assert responses.exclusions == ()
    assert seen == [(k + 1) / 6 for k in range(len(set(names)))]
    assert isinstance(responses.values, np.memmap)


def test_releases_agree_whether_numbers_restart_or_count_on(originals, tmp_path, brain):
    one, other = tmp_path / "one", tmp_path / "other"
    for folder in (one, other):
        folder.mkdir()
    write_sessions(one, brain, counts_on=True)
    write_single(other, brain, runs="restart")
    found = [load(one), load(originals, work := SINGLE), load(other, work)]
    for responses in found:
        np.testing.assert_array_equal(responses.values, found[0].values)
        assert responses.samples.same_as(found[0].samples)
        assert responses.targets.same_as(found[0].targets)


def test_rows_are_scaled_within_runs(data, brain):
    responses = load(data, scale_rows=True)
    for start in range(0, len(brain.label), 4):
        rows = slice(start, start + 4)
        np.testing.assert_allclose(responses.values[rows], zscored(brain.values[rows]), atol=1e-4)


def test_voxels_may_be_chosen_by_masks(data, brain):
    found = [load(data, file, mask="bdata:subcortex") for file in (SESSIONS, SINGLE)]
    inside = np.any([mask for key, mask in brain.masks.items() if not key.startswith(("hcp", "yeo"))], axis=0)
    for responses in found:
        np.testing.assert_array_equal(responses.values, brain.values[:, inside].astype(np.float32))
    assert len(load(data, SINGLE, mask="bdata:WholeBrain").targets) == len(brain.ijk)


def test_useless_voxels_are_nan_and_counted(data):
    with h5py.File(session(data, 1), "r+") as file:
        file["dataset"][2, 5] = np.nan
        file["dataset"][0, 6] = 1e300
        file["dataset"][4:8, 7] = 3.0
    for scale_rows in (True, False):
        responses = load(data, scale_rows=scale_rows)
        assert np.flatnonzero(~responses.usable).tolist() == [5, 6, 7]
        assert np.isnan(responses.values[:, 5:8]).all()
        (lost,) = responses.exclusions
        assert (lost.what, lost.n) == ("targets", 3)


def test_results_are_reused_and_follow_the_files(data):
    first = load(data)
    assert load(data).provenance.key == first.provenance.key
    set_column(session(data, 2), "Label", lambda column: column[::-1], place=2)
    changed = load(data)
    assert changed.provenance.key != first.provenance.key
    assert not changed.samples.same_as(first.samples)


def test_duplicates_get_the_name_of_the_original(data, brain):
    table = pd.DataFrame({"stim_id": [f"video{k:04d}" for k in range(1, 25)], "duplicate_of": None})
    table.loc[23, "duplicate_of"] = "video0001"
    table.to_csv(data / "stimuli.tsv", sep="\t", index=False, na_rep="n/a")
    for file in (SESSIONS, SINGLE):
        names = load(data, file, stimuli="stimuli.tsv").samples.stimulus
        assert (names == "video0001").sum() == 2
        assert "video0024" not in names


# Sessions and runs


def test_sessions_may_be_chosen(data, brain):
    for file in (SESSIONS, SINGLE):
        responses = load(data, file, sessions=["02", "ses-03"])
        np.testing.assert_array_equal(responses.values, brain.values[brain.session >= 2].astype(np.float32))
        assert responses.samples.runs == ("ses-02_run-01", "ses-02_run-02", "ses-03_run-01")
        with pytest.raises(DataError, match=r"there is no session '4'\. The files hold 01, 02, 03"):
            load(data, file, sessions=["4"])


def test_a_missing_session_is_an_error_unless_it_is_accepted(data, brain):
    session(data, 2).unlink()
    with pytest.raises(DataError, match=r"sub-01: no file of session 2 \(.*Session\{session\}\.h5\); there is 1, 3"):
        load(data)
    responses = load(data, missing_runs="exclude")
    np.testing.assert_array_equal(responses.values, brain.values[brain.session != 2].astype(np.float32))
    assert [(e.what, e.n) for e in responses.exclusions] == [("runs", 1)]


def test_a_missing_last_session_shows_in_the_number_of_runs(data):
    assert len(load(data, n_runs=6).samples.runs) == 6
    session(data, 3).unlink()
    with pytest.raises(DataError, match="sub-01: the files hold 5 runs, n_runs = 6"):
        load(data, n_runs=6)
    responses = load(data, n_runs=6, missing_runs="exclude")
    assert "the files hold 5 runs" in responses.exclusions[0].reason
    with pytest.raises(DataError, match="the files hold 5 runs, n_runs = 4"):
        load(data, n_runs=4, missing_runs="exclude")


def test_exchanged_sessions_are_seen_where_they_are_numbered(tmp_path, brain):
    data = tmp_path / "data"
    data.mkdir()
    write_sessions(data, brain, counts_on=True)
    session(data, 2).rename(data / "x")
    session(data, 3).rename(session(data, 2))
    (data / "x").rename(session(data, 3))
    with pytest.raises(DataError, match=r"Session2\.h5: by its name it holds session 2, but Session is 3; 1 .*or 2"):
        load(data)


@pytest.mark.parametrize(
    ("key", "values", "message"),
    [
        ("Run", lambda x: x + 1, "its first Run is 2, but 1 was needed: a run is missing"),
        ("Run", lambda x: x[::-1], "Run goes back from 3 to 2 within the session"),
        ("Run", lambda x: np.where(x == 2, np.nan, x), "Run is nan in row 5 of 12, but a whole number was needed"),
        ("Run", lambda x: x + 0.5, "Run is 1.5 in row 1 of 12"),
        ("Run", lambda x: np.where(x == 2, 3, x), "1 runs are skipped"),
        ("Run", lambda x: np.arange(len(x)) + 1, "run-01: 1 blocks"),
        ("Run", lambda x: np.where(x == 3, 1e6, x), "Run goes up to 1000000, which is no number of a run"),
        ("Session", lambda x: x + 1, "holds session 1, but Session is 2; 1"),
        ("Session", lambda x: np.arange(len(x)) // 6 + 1, "but Session is 1, 2; 1"),
        ("Block", lambda x: x // 2, "both of Block 1 in Run 1, but one row per block was needed"),
        ("Block", lambda x: x[::-1], "Block goes from 12 to 11 within Run 1 .*rows are missing or out of order"),
        (
            "Block",
            lambda x: np.where(x > 6, x + 1, x),
            r"Block goes from 6 to 8 within Run 2 \(row 7\), but by 1 elsewhere",
        ),
    ],
)
def test_rows_out_of_order_are_refused(data, key, values, message):
    set_column(session(data, 1), key, values)
    with pytest.raises(DataError, match=message):
        load(data)
    assert not (data.parent / "work").exists()


@pytest.mark.parametrize(
    ("key", "values", "message"),
    [
        ("Session", lambda x: np.where(x == 2, 3, x), "Session goes from 1 to 3 in row 13"),
        ("Session", lambda x: x + 1, "Session starts at 2, but numbers that start at 1"),
        ("Run", lambda x: np.where(x > 4, x + 1, x), "1 runs are skipped .*run 2"),
        ("Run", lambda x: np.where(x > 3, x + 1, x), "its first Run is 5, but 1 or 4 was needed"),
    ],
)
def test_rows_of_the_single_file_out_of_order_are_refused(data, key, values, message):
    set_column(data / "fmri_Subject1.h5", key, values)
    with pytest.raises(DataError, match=message):
        load(data, SINGLE)


def test_skipped_runs_may_be_accepted(data):
    set_column(data / "fmri_Subject1.h5", "Run", lambda x: np.where(x > 4, x + 1, x))
    responses = load(data, SINGLE, missing_runs="exclude", n_runs=7)
    assert "ses-02_run-03" in responses.samples.runs
    assert [(e.what, e.n) for e in responses.exclusions] == [("runs", 1)]


def test_one_column_is_one_thing(data):
    with h5py.File(session(data, 1)) as file:
        keys = [key.decode() for key in file["metadata/key"]]
        row = file["metadata/value"][keys.index("Session")]
    set_row(session(data, 1), "Run", row)
    with pytest.raises(DataError, match="column 795 of the dataset is Session and Run"):
        load(data)


@pytest.mark.parametrize("key", ["Run", "Session", "Block", "Label"])
def test_missing_rows_of_the_design_are_named(data, key):
    rename(session(data, 2), {key: "nothing"})
    with pytest.raises(DataError, match=rf"Session2\.h5: .*'{key}'"):
        load(data)


def test_blocks_must_have_company(tmp_path):
    brain = Brain(runs=(2,), n_blocks=1)
    write_sessions(tmp_path, brain)
    with pytest.raises(DataError, match=r"ses-01_run-01: 1 blocks in .*; 2 are needed"):
        load(tmp_path)


# Stimuli


def test_labels_that_match_no_stimulus_are_refused_with_the_features(data, brain):
    set_column(session(data, 1), "Label", lambda x: np.where(np.arange(12) == 3, 9999, x), place=2)
    responses = load(data)
    known = np.unique(brain.stimulus)
    features = np.random.default_rng(0).standard_normal((len(known), 3)).astype(np.float32)
    space = FeatureSpace("f", features, Samples.of_stimuli(known), ("a", "b", "c"))
    with pytest.raises(AlignmentError, match=r"1 stimuli shown to sub-01 have no features \('video9999'\)"):
        align(space, responses)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (lambda x: x * 0, "Label is 0 in row 1, but the number of a stimulus, 1 or more"),
        (lambda x: x + 0.25, r"Label is \d+\.25 in row 1 of 12, but a whole number"),
        (lambda x: x * np.nan, "Label is nan in row 1"),
    ],
)
def test_labels_must_be_numbers_of_stimuli(data, values, message):
    set_column(session(data, 1), "Label", values, place=2)
    with pytest.raises(DataError, match=message):
        load(data)


def test_the_label_has_three_columns(data):
    set_row(session(data, 1), "Label", lambda row: np.where(np.arange(len(row)) == len(row) - 1, 0, row))
    with pytest.raises(DataError, match="'Label' selects 2 columns, but 3 were needed"):
        load(data)


def test_names_of_stimuli_must_be_there(data):
    with h5py.File(data / "fmri_Subject1.h5", "r+") as file:
        del file["vmap/stimulus_name/7.0"]
    with pytest.raises(DataError, match="stimulus_name holds 7, but vmap/stimulus_name has no name for it"):
        load(data, SINGLE)
    with h5py.File(data / "fmri_Subject1.h5", "r+") as file:
        del file["vmap"]
    assert load(data, SINGLE, labels="clip{label}").samples.stimulus[0].startswith("clip")


def test_another_row_may_name_the_stimulus(data, brain):
    for number in (1, 2, 3):
        rename(session(data, number), {"Block": "stimulus_id"})
    with pytest.raises(DataError, match="no metadata row 'Block'"):
        load(data, stimulus="stimulus_id")
    assert load(data, SINGLE, stimulus="stimulus_name").samples.stimulus.tolist() == brain.stimulus.tolist()
    with pytest.raises(DataError, match="no metadata row 'stim'"):
        load(data, SINGLE, stimulus="stim")


# Files


def test_files_of_a_subject_have_the_same_voxels(data):
    set_row(session(data, 3), "voxel_x", lambda row: row + 1)
    with pytest.raises(AlignmentError, match=r"Session3\.h5: its 794 voxels are not the 794 of .*coordinates differ"):
        load(data)
    with h5py.File(session(data, 3), "r+") as file:
        n = len(file["metadata/value"][0]) - 6
    for name in ("dataset", "metadata/value"):
        replace(session(data, 3), name, lambda x: np.delete(x, 0, axis=1))
    with pytest.raises(
        AlignmentError, match=rf"Session3\.h5: its {n - 1} voxels are not the {n} of fmri_Subject1_Session1"
    ):
        load(data)


def test_subjects_are_those_with_files(originals, tmp_path, brain):
    for name in (
        "fmri_Subject2_Session1.h5",
        "fmri_Subject12_Session1.h5",
        "fmri_Subjectx_Session1.h5",
        "fmri_Subject3.h5",
    ):
        (tmp_path / name).touch()
    assert bdata_subjects(SESSIONS, tmp_path) == ["02", "12"]
    assert bdata_subjects(SINGLE, tmp_path) == ["03"]
    assert bdata_subjects("fmri_Subject{subject}_Session{session}.h5", tmp_path) == ["12", "2", "x"]
    (tmp_path / "Subject4" / "rois").mkdir(parents=True)
    (tmp_path / "Subject4" / "rois" / "a_Subject4.h5").touch()
    (tmp_path / "Subject4" / "rois" / "a_Subject5.h5").touch()
    assert bdata_subjects("Subject{number}/rois/a_Subject{number}.h5", tmp_path) == ["04"]
    found, _ = bdata_sources(SESSIONS, originals, "01", exclude_missing=False)
    assert [number for number, _ in found] == [1, 2, 3]
    assert first_bdata_file(SESSIONS, originals, "01").name == "fmri_Subject1_Session1.h5"
    assert first_bdata_file(SINGLE, originals, "01").name == "fmri_Subject1.h5"


def test_missing_files_are_named(originals):
    with pytest.raises(DataError, match=r"fmri_Subject2\.h5: no such file .*The pattern finds sub-01 in"):
        load(originals, SINGLE, subject="02")
    with pytest.raises(DataError, match=r"Session\{session\}\.h5: no such file for any \{session\}"):
        load(originals, subject="02")
    with pytest.raises(DataError, match=r"sub-x: .*needs the number of the subject, but its label is none"):
        load(originals, subject="x")


def test_filters_of_bids_files_are_refused(originals, tmp_path):
    loader = Loader(kind="bdata", file=SINGLE, per="stimulus")
    with pytest.raises(ConfigError, match=r"BIDS filters \(bold\) do not apply to bdata files"):
        load_responses(loader, PlainFolder(originals, originals), "01", tmp_path, bids_filters={"bold": {"run": 1}})
    assert find_runs(loader, PlainFolder(originals, originals), "01") == ([], ())


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"file": "fmri.h5"}, r"file is 'fmri.h5', but for kind = \"bdata\" a path with \{number\}"),
        ({"file": "s{number}_{run}.h5"}, r"a path with \{number\}"),
        ({"file": None}, r"file is '', but"),
        ({"per": "tr"}, 'bdata files have one row per block; set per = "stimulus"'),
        ({"events": "e.tsv"}, "events does not belong to kind = 'bdata'"),
        ({"mask": "m.nii"}, r"mask is 'm.nii', but for bdata it can only be"),
        ({"n_runs": 0}, "n_runs = 0: an integer of 1 or more"),
        ({"labels": "video"}, "labels is 'video', but must hold {label}"),
        ({"labels": "{name}"}, r"labels is '\{name\}', which is not a format"),
        (
            {"kind": "volume", "file": None, "n_runs": 3},
            "n_runs does not belong to kind = 'volume', but to 'bdata'",
        ),
    ],
)
def test_settings_are_checked(settings, message):
    with pytest.raises(ConfigError, match=message):
        Loader(**{"kind": "bdata", "file": SINGLE, "per": "stimulus"} | settings)


def test_a_run_at_a_time_is_in_memory(tmp_path, monkeypatch):
    brain = Brain(runs=(80,), n_blocks=10)
    write_single(tmp_path, brain)
    loader = Loader(kind="bdata", file=SINGLE, per="stimulus")
    # What is small next to a study would hide what is meant here.
    monkeypatch.setattr("encoding.io.bdata.files.CHUNK_BYTES", 1 << 16)
    monkeypatch.setattr("encoding.loading.bdata.fingerprint", lambda path: path.name)
    monkeypatch.setattr("encoding.numerics.cleaning.CHUNK_VALUES", 1 << 13)
    for scale_rows in (True, False):
        tracemalloc.start()
        load_responses(
            dataclasses.replace(loader, scale_rows=scale_rows), PlainFolder(tmp_path, tmp_path), "01", tmp_path / "work"
        )
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < brain.values.nbytes / 4

"""Tables and confounds come in as they are, or say what is wrong with them."""

import numpy as np
import pandas as pd
import pytest
from factories import MOTION, write_confounds
from nilearn.interfaces.fmriprep import load_confounds

from encoding.core import DataError
from encoding.io.bids.confounds import read_confounds
from encoding.io.row_writer import blank_columns, npy_rows
from encoding.io.tables import numbers_of, read_stimuli, read_table, stimulus_column

RNG = np.random.default_rng(0)


@pytest.mark.parametrize("extension", ["tsv", "csv", "parquet"])
def test_stimulus_names_stay_text(tmp_path, extension):
    path = tmp_path / f"x.{extension}"
    frame = pd.DataFrame({"stim_id": ["007", None, "NA"], "joy": [0.5, np.nan, 1.0]})
    if extension == "parquet":
        frame.to_parquet(path)
    else:
        frame.to_csv(path, sep="\t" if extension == "tsv" else ",", index=False, na_rep="n/a")
    table = read_table(path, text=("stim_id",))
    assert table["stim_id"].tolist() == ["007", "", "NA"]
    np.testing.assert_array_equal(numbers_of(table, "joy", "x"), [0.5, np.nan, 1])


def test_numbers_that_are_none_are_shown(tmp_path):
    path = tmp_path / "x.tsv"
    path.write_text("stim_id\tjoy\na\t1\nb\thigh\n")
    with pytest.raises(DataError, match="column 'joy' holds 'high' in row 2; a number was needed"):
        numbers_of(read_table(path), "joy", "x")
    path.write_text(f"{';'.join('abcdefgh' * 20)}\n{';'.join('12345678' * 20)}\n")
    table = read_table(path)
    with pytest.raises(DataError, match="It is the only column: are the cells separated by tabs") as caught:
        numbers_of(table, str(table.columns[0]), "x")
    assert len(str(caught.value)) < 300
    path.write_text("stim_id\tjoy\na\t1\nb\thigh\n")
    with pytest.raises(DataError, match=r"no column 'fear'\. There is: stim_id, joy"):
        numbers_of(read_table(path), "fear", "x")


def test_tables_that_cannot_be_read_are_named(tmp_path):
    with pytest.raises(DataError, match="no such file"):
        read_table(tmp_path / "x.tsv")
    (tmp_path / "x.xlsx").touch()
    with pytest.raises(DataError, match=r"from \.tsv, \.csv or \.parquet"):
        read_table(tmp_path / "x.xlsx")
    for name in ("empty.tsv", "x.parquet"):
        (tmp_path / name).touch()
        with pytest.raises(DataError, match=f"{name}: cannot be read as a table"):
            read_table(tmp_path / name)


def test_the_stimulus_column_is_found_or_asked_for():
    assert stimulus_column(["a", "stim_file", "stim_id"], None, "x") == "stim_id"
    assert stimulus_column(["a", "b"], "b", "x") == "b"
    with pytest.raises(DataError, match=r"no column 'c'\. There is: a, b\. Set `stimulus`"):
        stimulus_column(["a", "b"], "c", "x")
    with pytest.raises(DataError, match="There is: a"):
        stimulus_column(["a"], None, "x")


def test_stimulus_tables_know_copies(tmp_path):
    path = tmp_path / "stimuli.tsv"
    path.write_text("stim_id\tduration\tduplicate_of\n01\t2.5\tn/a\n02\tn/a\t01\n")
    stimuli = read_stimuli(path)
    assert stimuli.canonical(np.array(["02"])).tolist() == ["01"]
    assert stimuli.path.tolist() == ["", ""]
    np.testing.assert_array_equal(stimuli.duration, [2.5, np.nan])


@pytest.fixture
def confounds(tmp_path):
    path = tmp_path / "sub-01_task-video_desc-confounds_timeseries.tsv"
    write_confounds(path, RNG, 150, 2.0)
    return path


def change(path, **columns):
    frame = pd.read_csv(path, sep="\t", na_values="n/a").assign(**columns)
    frame.to_csv(path, sep="\t", index=False, na_rep="n/a")


def test_confounds_are_those_of_nilearn(confounds):
    image = confounds.with_name("sub-01_task-video_space-T1w_desc-preproc_bold.nii.gz")
    image.touch()
    theirs, mask = load_confounds(str(image), strategy=("motion", "wm_csf"), motion="derivatives", demean=False)
    ours = read_confounds(confounds, ("motion", "wm_csf"), {"motion": "derivatives"})
    np.testing.assert_allclose(ours.values, theirs.to_numpy())
    assert mask is None
    assert ours.kept.all()
    assert ours.cosines.shape == (150, 0)


def test_cosines_are_kept_apart(confounds):
    ours = read_confounds(confounds, ("motion", "high_pass"), {"motion": "basic"})
    assert ours.values.shape == (150, 6)
    assert ours.cosines.shape == (150, 4)


def test_missing_cosines_are_an_error_and_not_silence(tmp_path):
    path = tmp_path / "x_desc-confounds_timeseries.tsv"
    write_confounds(path, RNG, 20, 2.0, only_motion=True)
    with pytest.raises(DataError, match=r"no cosine columns.*high_pass = 0\.008"):
        read_confounds(path, ("motion", "high_pass"), {"motion": "basic"})


def test_missing_columns_say_what_to_set(tmp_path):
    path = tmp_path / "x_desc-confounds_timeseries.tsv"
    write_confounds(path, RNG, 20, 2.0, only_motion=True)
    with pytest.raises(DataError, match=r'trans_x_derivative1.*confound_options = \{motion = "basic"\}'):
        read_confounds(path, ("motion",), {})
    with pytest.raises(DataError, match="wm_csf"):
        read_confounds(path, ("wm_csf",), {})
    with pytest.raises(DataError, match="framewise_displacement"):
        read_confounds(path, ("scrub",), {})
    assert read_confounds(path, ("motion",), {"motion": "basic"}).values.shape == (20, 6)


def test_scrubbed_and_early_volumes_are_left_out(confounds):
    moved = np.full(150, 0.1)
    moved[70] = 3
    early = np.eye(150)[:, :2].astype(int)
    change(
        confounds,
        framewise_displacement=moved,
        non_steady_state_outlier00=early[:, 0],
        non_steady_state_outlier01=early[:, 1],
    )
    scrubbed = read_confounds(confounds, ("motion", "scrub"), {"scrub": 0, "motion": "basic"})
    assert np.flatnonzero(~scrubbed.kept).tolist() == [0, 1, 70]
    for strategies in ((), ("motion",)):
        assert np.flatnonzero(~read_confounds(confounds, strategies, {}).kept).tolist() == [0, 1]


def test_nothing_left_and_missing_values_are_errors(confounds):
    change(confounds, framewise_displacement=9.0)
    with pytest.raises(DataError, match="no volume is left after scrubbing"):
        read_confounds(confounds, ("motion", "scrub"), {})
    values = np.zeros(150)
    values[5] = np.nan
    change(confounds, **{MOTION[0]: values})
    with pytest.raises(DataError, match="1 confound values of kept volumes are missing"):
        read_confounds(confounds, ("motion",), {"motion": "basic"})


def test_rows_are_appended_and_columns_blanked(tmp_path, monkeypatch):
    monkeypatch.setattr("encoding.io.row_writer.BLOCK_BYTES", 40)
    blocks = [RNG.standard_normal((n, 5)).astype(np.float32) for n in (3, 1, 4)]
    path = tmp_path / "x.npy"
    with npy_rows(path) as append:
        for block in blocks:
            append(block)
    whole = np.concatenate(blocks)
    np.testing.assert_array_equal(np.load(path), whole)
    assert isinstance(np.load(path, mmap_mode="r"), np.memmap)
    blank_columns(path, np.array([False, True, False, False, True]))
    whole[:, [1, 4]] = np.nan
    np.testing.assert_array_equal(np.load(path), whole)
    with npy_rows(path) as append:
        append(blocks[0])
        with pytest.raises(ValueError, match="rows of 4 columns for a file of 5"):
            append(blocks[0][:, :4])

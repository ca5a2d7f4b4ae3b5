"""Judgments come in from every file alike, and what is wrong with a file is said."""

import json

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from encoding.core import DataError
from encoding.io.judgments.files import read_judgments, read_numbers
from encoding.io.store import save

ROWS = np.array([[3, 0, 2], [1, 2, 0], [0, 1, 3]])


def write_rows(path, rows=ROWS, separator=" "):
    path.write_text("\n".join(separator.join(map(str, row)) for row in rows) + "\n")
    return path


@pytest.mark.parametrize("separator", [" ", "\t", ",", "  ", ", "])
@pytest.mark.parametrize("rows", [ROWS, ROWS.astype(float)], ids=["integers", "floats"])
def test_text_is_read_whatever_stands_between_numbers(tmp_path, separator, rows):
    found = read_numbers(write_rows(tmp_path / "train_90.txt", rows, separator))
    assert found.dtype == np.int32
    assert np.array_equal(found, ROWS)


def test_text_of_numpy_and_npy_are_read_alike(tmp_path):
    np.savetxt(tmp_path / "a.txt", ROWS)
    np.save(tmp_path / "b.npy", ROWS.astype(np.float64))
    assert np.array_equal(read_numbers(tmp_path / "a.txt"), ROWS)
    assert np.array_equal(read_numbers(tmp_path / "b.npy"), ROWS)


def test_the_odd_item_is_last(tmp_path):
    judgments = read_judgments(write_rows(tmp_path / "test_10.txt"), split="test")
    assert np.array_equal(judgments.items, ROWS)
    assert (judgments.choice == 2).all()
    assert (judgments.split == "test").all()
    assert judgments.stimuli == ("0", "1", "2", "3")
    assert np.isnan(judgments.probabilities).all()
    assert list(judgments.provenance.inputs) == ["test_10.txt"]


def test_numbers_count_the_names_that_are_given(tmp_path):
    path = write_rows(tmp_path / "train.txt")
    assert read_judgments(path, stimuli=list("abcde")).stimuli == tuple("abcde")
    with pytest.raises(DataError, match="numbers go up to 3, but 3 stimuli are named, counted from 0"):
        read_judgments(path, stimuli=list("abc"))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("0 1 2\n0 1 -2\n", r"row 2 is \[0, 1, -2\]; whole numbers of 0 or more"),
        ("0 1 2.5\n", r"row 1 is \[0.0, 1.0, 2.5\]; whole numbers"),
        ("0 1\n2 3\n", r"shape \(2, 2\) of int64, but three whole numbers per row"),
        ("a b c\nd e f\n", "but three whole numbers per row were needed|cannot be read"),
        ("", "cannot be read as rows of three numbers"),
    ],
)
def test_rows_that_are_not_three_numbers_are_refused(tmp_path, content, message):
    path = tmp_path / "train.txt"
    path.write_text(content)
    with pytest.raises(DataError, match=message):
        read_numbers(path)


def test_parquet_keeps_everything(tmp_path):
    frame = pd.DataFrame(
        {
            "item_1": ["joy", "fear", "awe"],
            "item_2": ["fear", "awe", "joy"],
            "item_3": ["awe", "joy", "fear"],
            "choice": [2, -1, 0],
            "outcome": ["valid", "refused", "valid"],
            "probability_1": [0.1, np.nan, 0.8],
            "probability_2": [0.2, np.nan, 0.1],
            "probability_3": [0.7, np.nan, 0.1],
            "weight": [1.0, 1.0, 0.5],
            "repeat": [0, 0, 1],
            "split": ["train", "train", "test"],
            "annotator": ["model", "model", None],
        }
    )
    table = pa.Table.from_pandas(frame, preserve_index=False)
    meta = {"stimuli": ["awe", "fear", "joy", "never"], "step": "collect/1", "config": {"model": "x"}, "seed": 3}
    pq.write_table(table.replace_schema_metadata({b"encoding.judgments": json.dumps(meta)}), tmp_path / "j.parquet")
    found = read_judgments(tmp_path / "j.parquet")
    assert found.stimuli == ("awe", "fear", "joy", "never")
    assert found.items.tolist() == [[2, 1, 0], [1, 0, 2], [0, 2, 1]]
    assert found.choice.tolist() == [2, -1, 0]
    assert found.outcome.tolist() == ["valid", "refused", "valid"]
    assert np.allclose(found.probabilities[0], [0.1, 0.2, 0.7])
    assert np.isnan(found.probabilities[1]).all()
    assert found.weight.tolist() == [1.0, 1.0, 0.5]
    assert found.repeat.tolist() == [0, 0, 1]
    assert found.split.tolist() == ["train", "train", "test"]
    assert found.annotator.tolist() == ["model", "model", ""]
    assert (found.provenance.step, found.provenance.seed) == ("collect/1", 3)


def test_parquet_needs_only_items_and_choices(tmp_path):
    frame = pd.DataFrame({"item_1": ["b"], "item_2": ["a"], "item_3": ["c"], "choice": [1]})
    frame.astype({"item_1": "category"}).to_parquet(tmp_path / "j.parquet")
    found = read_judgments(tmp_path / "j.parquet", split="train")
    assert found.stimuli == ("a", "b", "c")
    assert found.items.tolist() == [[1, 0, 2]]
    assert found.outcome.tolist() == ["valid"]
    assert found.split.tolist() == ["train"]
    frame.drop(columns="choice").to_parquet(tmp_path / "k.parquet")
    with pytest.raises(DataError, match=r"no column 'choice'\. There is: item_1, item_2, item_3"):
        read_judgments(tmp_path / "k.parquet")


def test_saved_judgments_come_back(tmp_path):
    judgments = read_judgments(write_rows(tmp_path / "train.txt"))
    save(judgments, tmp_path / "saved")
    found = read_judgments(tmp_path / "saved")
    assert np.array_equal(found.items, judgments.items)
    assert found.provenance.key == judgments.provenance.key


def test_what_is_no_file_of_judgments_is_refused(tmp_path):
    with pytest.raises(DataError, match="no such file"):
        read_judgments(tmp_path / "nothing.txt")
    (tmp_path / "x.mat").write_text("x")
    with pytest.raises(DataError, match=r"judgments are read from .parquet, .sqlite, .txt"):
        read_judgments(tmp_path / "x.mat")
    (tmp_path / "x.parquet").write_text("x")
    with pytest.raises(DataError, match="cannot be read as Parquet"):
        read_judgments(tmp_path / "x.parquet")

"""Judgments come in from every file alike, and what is wrong with a file is said."""

import json

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from encoding.core import ConfigError, DataError
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


def test_the_odd_item_may_be_first_and_items_may_count_from_one(tmp_path):
    path = write_rows(tmp_path / "cblearn.txt", ROWS + 1)
    found = read_judgments(path, odd="first", count_from=1)
    assert found.items.tolist() == ROWS[:, [1, 2, 0]].tolist()
    assert found.stimuli == ("1", "2", "3", "4")
    named = read_judgments(path, count_from=1, stimuli=list("abcd"))
    assert named.items.tolist() == ROWS.tolist()
    with pytest.raises(DataError, match="Numbers start at 1: say count_from = 1"):
        read_judgments(write_rows(tmp_path / "one.txt", ROWS + 1),
                       stimuli=list("abcd"))  # fmt: skip
    with pytest.raises(DataError, match="item 0 occurs, but items are counted from 1"):
        read_judgments(write_rows(tmp_path / "zero.txt"), count_from=1)
    with pytest.raises(ConfigError, match="odd = 'middle'"):
        read_judgments(path, odd="middle")


@pytest.mark.parametrize("header", ["a b c", "item_i,item_j,odd_item"])
def test_a_header_of_rows_is_skipped(tmp_path, header):
    path = tmp_path / "train.txt"
    separator = "," if "," in header else " "
    path.write_text(header + "\n" + "\n".join(separator.join(map(str, row)) for row in ROWS) + "\n")
    assert np.array_equal(read_judgments(path).items, ROWS)


@pytest.mark.parametrize(("answers", "separator"), [(("4", "2", "1"), "\t"), (("2", "3", "1"), ",")])
def test_the_table_of_things_is_read(tmp_path, answers, separator):
    """Items count from 1; the choice is the item or its position."""
    path = tmp_path / "triplets.csv"
    lines = [("trial_id", "subject_id", "image1", "image2", "image3", "choice", "RT")]
    items = [("1", "4", "7"), ("9", "5", "2"), ("1", "3", "6")]
    lines += [
        (str(k), f"s{k % 2}", *three, answer, "1.5")
        for k, (three, answer) in enumerate(zip(items, answers, strict=True))
    ]
    path.write_text("\n".join(separator.join(line) for line in lines) + "\n")
    found = read_judgments(path, count_from=1)
    assert found.items.tolist() == [[0, 3, 6], [8, 4, 1], [0, 2, 5]]
    assert found.choice.tolist() == [1, 2, 0]
    assert found.annotator.tolist() == ["s0", "s1", "s0"]
    assert read_judgments(path, count_from=1, annotator="s1").items.tolist() == [[8, 4, 1]]


def test_choices_that_fit_nothing_are_refused(tmp_path):
    path = tmp_path / "triplets.csv"
    path.write_text("image1,image2,image3,choice\n10,11,12,7\n")
    with pytest.raises(
        DataError, match=r"name neither one item of each row nor positions.*'7' for \['10', '11', '12'\]"
    ):
        read_judgments(path)


def test_a_missing_choice_is_no_choice(tmp_path):
    frame = pd.DataFrame({"item_1": ["b", "b"], "item_2": ["a", "a"], "item_3": ["c", "c"], "choice": [1.0, np.nan]})
    frame.to_parquet(tmp_path / "j.parquet")
    found = read_judgments(tmp_path / "j.parquet")
    assert found.choice.tolist() == [1, -1]
    assert found.outcome.tolist() == ["valid", "error"]
    frame.assign(choice=[1, 3]).to_parquet(tmp_path / "k.parquet")
    with pytest.raises(DataError, match=r"row 2 has the choice 3, but 0, 1, 2 or -1 were needed"):
        read_judgments(tmp_path / "k.parquet")

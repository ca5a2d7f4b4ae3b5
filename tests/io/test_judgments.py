"""Judgments as Parquet: ours come back as they were, those of others are filled in, damaged ones are named."""

import numpy as np
import pandas as pd
import pytest

from encoding.core import DataError, Provenance
from encoding.io.judgments.files import SCHEMA, read_judgments, words, write_judgments
from encoding.io.judgments.triplets import read_triplets, write_triplets

NAMES = ("clip 1", "clip\u00e9", "007", "never shown")


def columns(items, choice):
    items, choice = np.array(items), np.array(choice)
    n = len(items)
    odd = np.where(choice >= 0, items[np.arange(n), choice], -1)
    numbers = {field.name: np.zeros(n) for field in SCHEMA if str(field.type) in ("float", "double")}
    counts = {name: np.arange(n) for name in ("tokens_in", "tokens_cached", "tokens_out", "tries", "repeat")}
    return numbers | counts | {
        **{f"item_{slot + 1}": words(items[:, slot], NAMES) for slot in range(3)},
        **{f"probability_{slot}": np.where(choice >= 0, 1 / 3, np.nan).astype(np.float32) for slot in (1, 2, 3)},
        "choice": choice.astype(np.int8), "odd": words(odd, NAMES),
        "outcome": words((choice < 0) * 1, ("valid", "refused")),
        "split": words(np.zeros(n, dtype=int), ("train",)), "annotator": words(np.zeros(n, dtype=int), ("judge",)),
        "weight": np.ones(n, dtype=np.float32),
    }  # fmt: skip


def test_judgments_come_back_in_parts_and_with_stimuli_that_were_never_shown(tmp_path):
    parts = [columns([[0, 1, 2], [2, 1, 0]], [2, -1]), columns([[1, 0, 2]], [0])]
    provenance = Provenance("collect/1", {"annotator": "judge"}, {"plan": "x"}, 3, {"numpy": "2"})
    assert write_judgments(tmp_path / "j.parquet", parts, NAMES, provenance) == 3
    back = read_judgments(tmp_path / "j.parquet")
    assert back.stimuli == NAMES
    assert back.items.tolist() == [[0, 1, 2], [2, 1, 0], [1, 0, 2]]
    assert back.choice.tolist() == [2, -1, 0]
    assert back.outcome.tolist() == ["valid", "refused", "valid"]
    assert np.isnan(back.probabilities[1]).all()
    assert back.provenance.key == provenance.key
    frame = pd.read_parquet(tmp_path / "j.parquet")
    assert frame["odd"].astype(object).where(frame["odd"].notna(), None).tolist() == ["007", None, "clip\u00e9"]
    assert np.isnan(frame["probability_1"][1])


def test_files_of_others_need_five_columns(tmp_path):
    frame = pd.DataFrame([["b", "a", "c", 1, "valid"]], columns=["item_1", "item_2", "item_3", "choice", "outcome"])
    frame.to_parquet(tmp_path / "j.parquet")
    back = read_judgments(tmp_path / "j.parquet")
    assert back.stimuli == ("a", "b", "c")
    assert back.items.tolist() == [[1, 0, 2]]
    assert (back.weight.tolist(), back.repeat.tolist(), back.split.tolist()) == ([1.0], [0], [""])
    frame.drop(columns="choice").to_parquet(tmp_path / "bad.parquet")
    with pytest.raises(DataError, match="no column 'choice'"):
        read_judgments(tmp_path / "bad.parquet")
    (tmp_path / "text.parquet").write_text("no", encoding="utf-8")
    with pytest.raises(DataError, match="cannot be read as Parquet"):
        read_judgments(tmp_path / "text.parquet")
    with pytest.raises(DataError, match="no such file"):
        read_judgments(tmp_path / "none.parquet")


@pytest.mark.parametrize("suffix", [".txt", ".npy"])
def test_triplets_are_written_as_they_are_read(tmp_path, suffix):
    rows = np.array([[0, 2, 1], [3, 1, 0]])
    path = write_triplets(tmp_path / f"train_90{suffix}", rows)
    assert np.array_equal(read_triplets(path, NAMES)[0], rows)
    if suffix == ".txt":
        assert path.read_text(encoding="utf-8") == "0 2 1\n3 1 0\n"

"""People's answers: every row stays, with its order, participant and times, whatever program wrote the table."""

import json

import numpy as np
import pandas as pd
import pytest
from test_command import PEOPLE, write

from encoding.cli import main
from encoding.collection.people import read_answers
from encoding.core import DataError
from encoding.io.judgments.files import read_judgments

NAMES = [f"clip{i:02d}" for i in range(12)]


def rows(n=120, n_triplets=27, seed=0):
    rng = np.random.default_rng(seed)
    triplets = [rng.choice(12, 3, replace=False) for _ in range(n_triplets)]
    shown = [rng.permutation(triplets[k % n_triplets]) for k in range(n)]
    frame = pd.DataFrame([[NAMES[i] for i in row] for row in shown], columns=["item_1", "item_2", "item_3"])
    slot = rng.choice(3, n, p=(0.6, 0.2, 0.2))
    frame["odd"] = frame.to_numpy()[np.arange(n), slot]
    frame["participant"] = [f"p{k % 5}" for k in range(n)]
    frame["rt"] = rng.gamma(4, 0.5, n)
    frame["time"] = 1.7e9 + np.arange(n)
    return frame, slot


def test_every_row_of_people_is_kept_as_it_was(tmp_path, capsys):
    frame, slot = rows()
    config = write(tmp_path, PEOPLE + 'odd = "named"\ncolumn = "odd"\nexclude = ["p3"]\n')
    frame.to_csv(tmp_path / "people.tsv", sep="\t", index=False)
    assert main(["collect", "all", "--config", config]) == 0
    capsys.readouterr()
    folder = tmp_path / "out" / "export" / "people"
    table = pd.read_parquet(folder / "judgments.parquet")
    assert len(table) == 120
    for name in ("item_1", "item_2", "item_3", "odd", "participant"):
        assert table[name].astype(str).tolist() == frame[name].tolist(), name
    assert table["choice"].tolist() == slot.tolist()
    assert np.allclose(table["reaction_time"], frame["rt"], atol=1e-6)
    assert np.allclose(table["answered"], frame["time"])
    assert (table["weight"] == 0).tolist() == (frame["participant"] == "p3").tolist()
    for path in (folder / "judgments.parquet", tmp_path / "out" / "answers.sqlite"):
        assert set(read_judgments(path).annotator.tolist()) == {"people"}
        persons = read_judgments(path, annotator="people", persons=True)
        assert set(persons.annotator.tolist()) == set(frame["participant"].tolist())
    assert len(read_judgments(folder / "judgments.parquet", annotator="p1", persons=True)) == 24
    judgments = read_judgments(folder / "judgments.parquet")
    by_triplet = {}
    for items, split in zip(np.sort(judgments.items, axis=1).tolist(), judgments.split.tolist(), strict=True):
        assert by_triplet.setdefault(tuple(items), split) == split
    files = [np.load(path) for path in folder.glob("*.npy")]
    assert sum(map(len, files)) == 96
    page = (tmp_path / "out" / "quality.html").read_text(encoding="utf-8")
    assert "slots are not used equally" in page
    assert "Participants" in page
    assert main(["collect", "run", "--config", config]) == 0
    assert "nothing to ask" in capsys.readouterr().out


def forms(frame, slot):
    """The same answers as five programs write them."""
    three = frame[["item_1", "item_2", "item_3"]]
    lists = [json.dumps([f"stimuli/{name}.mp4" for name in row]) for row in three.to_numpy().tolist()]
    named = three.set_axis(["left", "middle", "right"], axis=1)
    screens = pd.DataFrame({"trial_type": ["instructions"]})
    return {
        "jspsych": (pd.concat([screens, pd.DataFrame({"stimuli": lists, "response": slot, "rt": frame["rt"] * 1000,
                                                      "subject": frame["participant"]})]), {}, ()),
        "labjs": (named.assign(response=frame["odd"], duration=frame["rt"] * 1000, id=frame["participant"]), {}, ()),
        "psychopy": (three.assign(**{"key_resp.keys": np.array(["left", "down", "right"])[slot],
                                     "key_resp.rt": frame["rt"],
                                     "participant": frame["participant"]}), {}, ("left", "down", "right")),
        "gorilla": (pd.concat([three.assign(**{"Response": slot + 1, "Reaction Time": frame["rt"] * 1000,
                               "Participant Private ID": frame["participant"]}),
                               pd.DataFrame({"item_1": ["END OF FILE"]})]), {}, ()),
        "things": (three.set_axis(["image1", "image2", "image3"], axis=1).assign(
            choice=slot + 1, RT=frame["rt"] * 1000, subject_id=frame["participant"]), {}, ()),
    }  # fmt: skip


@pytest.mark.parametrize("source", ["jspsych", "labjs", "psychopy", "gorilla", "things"])
def test_tables_of_programs_say_the_same(tmp_path, source):
    frame, slot = rows(40)
    table, names, keys = forms(frame, slot)[source]
    table.to_csv(tmp_path / "t.csv", index=False)
    found = read_answers(tmp_path / "t.csv", NAMES, source, names, keys)
    assert [[NAMES[i] for i in row] for row in found.items] == frame[["item_1", "item_2", "item_3"]].to_numpy().tolist()
    assert [NAMES[i] for i in found.odd] == frame["odd"].tolist()
    assert found.participant == frame["participant"].tolist()
    assert np.allclose(found.reaction, frame["rt"], atol=1e-3)


def test_practice_and_catch_trials_are_no_judgments(tmp_path):
    frame, _ = rows(10)
    frame["kind"] = ["practice", *["trial"] * 9]
    frame["expected"] = ["", frame["odd"][1], *[""] * 8]
    frame.loc[2, "item_2"] = frame.loc[2, "item_1"]
    frame.loc[2, "odd"] = frame.loc[2, "item_1"]
    frame.to_csv(tmp_path / "t.csv", index=False)
    found = read_answers(tmp_path / "t.csv", NAMES, "table", {})
    assert len(found.items) == 7
    assert found.left_out == {"practice trials": 1, "catch trials": 2}
    assert found.catch["passed"].tolist() == [True, False]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"odd": "clip99"}, "row 1 calls 'clip99' odd, which is none of its three items"),
        ({"item_2": "clip99"}, "no stimulus 'clip99'"),
        ({"odd": None}, "no column with the answer"),
        ({"item_1": None}, "no columns of the three items"),
    ],
)
def test_what_cannot_be_understood_is_named(tmp_path, change, message):
    frame, _ = rows(5)
    for name, value in change.items():
        frame = frame.drop(columns=name) if value is None else frame.assign(**{name: value})
    frame.to_csv(tmp_path / "t.csv", index=False)
    with pytest.raises(DataError, match=message):
        read_answers(tmp_path / "t.csv", NAMES, "table", {})


def test_numbers_that_could_be_names_or_slots_are_refused(tmp_path):
    frame = pd.DataFrame({"image1": ["1", "2"], "image2": ["2", "3"], "image3": ["3", "1"], "choice": [3, 1]})
    frame.to_csv(tmp_path / "t.csv", index=False)
    with pytest.raises(DataError, match="can be names of items, and numbers of slots"):
        read_answers(tmp_path / "t.csv", ["1", "2", "3"], "things", {})


def test_a_column_that_names_another_item_than_the_last_is_not_passed_over(tmp_path, capsys):
    """The default takes the last item for the odd one; a table that says otherwise was misread without a word."""
    frame, _ = rows()
    config = write(tmp_path, PEOPLE)
    frame.to_csv(tmp_path / "people.tsv", sep="\t", index=False)
    assert main(["collect", "all", "--config", config]) != 0
    assert "Set odd = \"named\" and column = 'odd'" in " ".join(capsys.readouterr().err.split())
    frame["odd"] = frame["item_3"]
    frame.to_csv(tmp_path / "people.tsv", sep="\t", index=False)
    assert main(["collect", "all", "--config", config]) == 0


def test_tables_without_catch_trials_are_assessed(tmp_path, capsys):
    """Flags of participants were looked for in catch trials that a table of places does not have."""
    frame, _ = rows()
    frame.drop(columns="odd").to_csv(tmp_path / "people.tsv", sep="\t", index=False)
    config = write(tmp_path, PEOPLE + "exclude_flagged = true\n")
    assert main(["collect", "all", "--config", config]) == 0


def test_tables_of_excel_are_read_with_semicolons_and_decimal_commas(tmp_path):
    frame, _ = rows(20)
    wanted = None
    for how in ({}, {"sep": ";"}, {"sep": ";", "decimal": ","}, {"sep": "\t"}, {"encoding": "utf-8-sig"}):
        frame.to_csv(tmp_path / "t.csv", index=False, **how)
        found = read_answers(tmp_path / "t.csv", NAMES, "table", {})
        wanted = wanted or found
        assert found.items.tolist() == wanted.items.tolist()
        assert np.allclose(found.reaction, frame["rt"])
        assert np.allclose(found.answered, frame["time"])
        assert found.participant == frame["participant"].tolist()
    (tmp_path / "t.csv").write_text("sep=;\n" + frame.to_csv(sep=";", index=False), encoding="utf-8")
    assert read_answers(tmp_path / "t.csv", NAMES, "table", {}).odd.tolist() == wanted.odd.tolist()
    for name in ("Participant ID", "subjectId", "SUBJECT"):
        frame.rename(columns={"participant": name, "item_1": "Item 1"}).to_csv(tmp_path / "t.csv", index=False)
        assert read_answers(tmp_path / "t.csv", NAMES, "table", {}).participant == wanted.participant


def test_reaction_times_in_another_unit_are_refused_until_the_unit_is_named(tmp_path):
    frame, _ = rows(20)
    frame.assign(rt=1000 * frame["rt"]).to_csv(tmp_path / "t.csv", index=False)
    with pytest.raises(DataError, match='set reaction_unit = "ms"'):
        read_answers(tmp_path / "t.csv", NAMES, "table", {})
    assert np.allclose(read_answers(tmp_path / "t.csv", NAMES, "table", {}, unit="ms").reaction, frame["rt"])
    assert np.nanmedian(read_answers(tmp_path / "t.csv", NAMES, "table", {}, unit="s").reaction) > 300
    frame.to_csv(tmp_path / "t.csv", index=False)
    with pytest.raises(DataError, match='set reaction_unit = "s"'):
        read_answers(tmp_path / "t.csv", NAMES, "jspsych", {})
    frame.assign(rt=-frame["rt"]).to_csv(tmp_path / "t.csv", index=False)
    with pytest.raises(DataError, match="reaction times are not negative"):
        read_answers(tmp_path / "t.csv", NAMES, "table", {})


def test_what_was_saved_twice_counts_once(tmp_path, capsys):
    frame, _ = rows(20)
    folder = tmp_path / "results"
    folder.mkdir()
    frame.to_csv(folder / "p1.csv", index=False)
    frame.to_csv(folder / "p1 (1).csv", index=False)
    with pytest.raises(DataError, match="every judgment would count twice"):
        read_answers(folder, NAMES, "table", {})
    twice = pd.concat([frame, frame.iloc[:7]])
    twice.to_csv(tmp_path / "t.csv", index=False)
    found = read_answers(tmp_path / "t.csv", NAMES, "table", {})
    assert (len(found.items), found.left_out) == (20, {"rows that are there twice": 7})
    twice.drop(columns="time").to_csv(tmp_path / "t.csv", index=False)  # the same judgment again, for all that is known
    assert len(read_answers(tmp_path / "t.csv", NAMES, "table", {}).items) == 27
    twice.to_csv(tmp_path / "people.tsv", sep="\t", index=False)
    assert main(["collect", "plan", "--config", write(tmp_path, PEOPLE + 'odd = "named"\ncolumn = "odd"\n')]) == 0
    assert "no judgments    7 rows that are there twice" in capsys.readouterr().out


def test_files_of_a_folder_keep_the_participants_that_they_name_in_any_case(tmp_path):
    frame, _ = rows(8)
    for site in ("site1", "site2"):
        frame.drop(columns="participant").assign(Subject=[f"{site}-{k % 2}" for k in range(8)]).to_csv(
            tmp_path / f"{site}.csv", index=False
        )
    found = read_answers(tmp_path, NAMES, "table", {})
    assert found.participant == [f"{site}-{k % 2}" for site in ("site1", "site2") for k in range(8)]


def test_people_who_leave_at_once_are_no_copies_of_each_other(tmp_path):
    frame, _ = rows(8)
    frame.to_csv(tmp_path / "p1.csv", index=False)
    for name in ("p2", "p3"):
        frame.iloc[:0].to_csv(tmp_path / f"{name}.csv", index=False)
        (tmp_path / f"{name}.json").write_text("[]", encoding="utf-8")
    assert len(read_answers(tmp_path, NAMES, "table", {}).items) == 8


def test_a_study_called_training_is_not_dropped(tmp_path):
    frame, _ = rows(8)
    frame.assign(**{"Task Name": "Emotion training study, main"}).to_csv(tmp_path / "t.csv", index=False)
    assert len(read_answers(tmp_path / "t.csv", NAMES, "gorilla", {"participant": "participant"}).items) == 8
    frame.assign(Screen="Example and trial").to_csv(tmp_path / "t.csv", index=False)
    with pytest.raises(
        DataError, match="all 8 answers are in rows that are called practice, training or example in 'Screen'"
    ):
        read_answers(tmp_path / "t.csv", NAMES, "table", {})

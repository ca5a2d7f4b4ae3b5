"""Stimuli and people are found by their names, or refused: no table is read as if about others."""

import dataclasses

import numpy as np
import pandas as pd
import pytest

from encoding.core import DataError, Judgments, PairRatings, Provenance
from encoding.embedding import JudgmentTable
from encoding.embedding.from_judgments import gather_judgments
from encoding.embedding.triplets import as_triplets, connections, gaps
from encoding.io.judgments.answers import AnswerRow, AnswerStore
from encoding.io.judgments.files import fingerprint_store, read_judgments, words, write_judgments
from encoding.io.judgments.ratings import read_ratings
from encoding.io.judgments.triplets import read_triplets
from encoding.io.tables import read_names

NFC, NFD = "caf\u00e9", "cafe\u0301"
ITEMS = ["item_1", "item_2", "item_3"]
PADDED = [f"{k:02d}" for k in range(1, 82)]
TENS = [str(10 * k) for k in range(1, 60)]


def choices(tmp_path, rows, columns=(*ITEMS, "choice"), name="j.csv", **arguments):
    """Read a table of choices; Parquet, CSV or a list of numbers by its name."""
    path = tmp_path / name
    if path.suffix == ".parquet":
        pd.DataFrame(rows, columns=list(columns)).to_parquet(path)
    else:
        lines = [",".join(map(str, row)) for row in ((columns,) if columns else ()) + tuple(rows)]
        path.write_text("\n".join(lines) + "\n", encoding=arguments.pop("encoding", "utf-8"))
    return read_judgments(path, **arguments)


def ratings(tmp_path, pairs, **arguments):
    path = tmp_path / "r.tsv"
    rows = [f"{a}\t{b}\t{k}" for k, (a, b) in enumerate(pairs)]
    path.write_text("\n".join(["a\tb\trating", *rows]) + "\n", encoding="utf-8")
    return read_ratings(path, **arguments)


def both(tmp_path, row, other, **arguments):
    """Names of three stimuli, and of two, as choices and as ratings read them."""
    judged = choices(tmp_path, [(*row, row[0]), (*other, other[2])], **arguments)
    rated = ratings(tmp_path, [row[:2], other[:2], row[1:], other[1:]], **arguments)
    items = np.array([rated.pairs[:2, 0], rated.pairs[:2, 1], rated.pairs[2:, 1]]).T
    assert rated.stimuli == judged.stimuli
    assert items.tolist() == judged.items.tolist()
    assert judged.choice.tolist() == [0, 2]
    return [[judged.stimuli[item] for item in items] for items in judged.items.tolist()]


@pytest.mark.parametrize("names", [PADDED, TENS, ["4", "3", "2", "1", "0"]], ids=["padded", "tens", "shuffled"])
def test_names_that_are_numerals_are_names(tmp_path, names):
    rows = [names[:3], [names[3], names[1], names[-1]]]
    assert both(tmp_path, *rows, stimuli=names) == rows
    if names is not TENS:
        assert both(tmp_path, ["01", "02", "03"], ["02", "03", "1"]) == [["01", "02", "03"], ["02", "03", "1"]]


def test_numbers_are_positions_where_they_cannot_be_names(tmp_path):
    names = [str(k) for k in range(1, 7)]
    assert both(tmp_path, ["0", "1", "4"], ["2", "3", "4"], stimuli=names) == [["1", "2", "5"], ["3", "4", "5"]]
    assert both(tmp_path, ["1", "2", "6"], ["5", "3", "4"], stimuli=names) == [["1", "2", "6"], ["5", "3", "4"]]
    for read, rows in ((choices, [("1", "2", "5", "5")]), (ratings, [("1", "2"), ("2", "5")])):
        with pytest.raises(DataError, match=r"numbers from 1 to 5 may be the names .* 1 to 6, .* say count_from = 1"):
            read(tmp_path, rows, stimuli=names)
        found = read(tmp_path, rows, stimuli=names, count_from=1)
        assert getattr(found, "items" if read is choices else "pairs")[0].tolist()[:2] == [0, 1]
        with pytest.raises(DataError, match=r"row [12]: no stimulus '5'"):  # one number that is no name moves no other
            read(tmp_path, [tuple(str(10 * int(k)) if k != "5" else k for k in row) for row in rows], stimuli=TENS)


def test_rows_of_numbers_are_no_names(tmp_path):
    assert choices(tmp_path, [(0, 1, 2)], None, stimuli=TENS).items.tolist() == [[0, 1, 2]]
    assert choices(tmp_path, [(1, 2, 3)], None, stimuli=list("1234")).items.tolist() == [[1, 2, 3]]
    with pytest.raises(DataError, match="all its numbers are names of stimuli, such as '10'"):
        choices(tmp_path, [(10, 20, 30), (20, 30, 40)], None, stimuli=TENS)


@pytest.mark.parametrize("name", ["t.txt", "t.csv", "t.parquet"])
def test_numerals_in_a_test_file_are_those_of_the_file(tmp_path, name):
    items = [k for k in range(80) if k not in (3, 7)]
    rows = [(*items[k : k + 3], 0) for k in range(len(items) - 2)]
    choices(tmp_path, [tuple(map(str, row[:3])) + row[3:] for row in rows], name="j.parquet")
    if name == "t.parquet":
        choices(tmp_path, [("2", "4", "10", 0)], name=name)
    else:
        columns = (*ITEMS, "choice") if name == "t.csv" else None
        choices(tmp_path, [(2, 4, 10, 10) if columns else (4, 10, 2)], columns, name)
    source = JudgmentTable("j", file="j.parquet", test=name)
    found = gather_judgments(source, tmp_path)
    assert found.stimuli == tuple(map(str, items))  # in the order of numbers
    assert sorted(found.stimuli[item] for item in found.items[-1].tolist()) == ["10", "2", "4"]
    (tmp_path / "t.txt").write_text("2 3 4\n", encoding="utf-8")
    with pytest.raises(DataError, match="no stimulus '3'"):
        gather_judgments(dataclasses.replace(source, test="t.txt"), tmp_path)


def test_rows_of_numbers_that_name_other_stimuli_than_they_count_are_refused(tmp_path):
    shuffled = [str((k * 7 + 5) % 80) for k in range(80)]
    with pytest.raises(DataError, match=r"all its numbers are names of stimuli, such as '\d+', but rows"):
        choices(tmp_path, [(2, 3, 4)], None, "t.txt", stimuli=shuffled)
    assert choices(tmp_path, [(2, 3, 79)], None, "t.txt", stimuli=list(map(str, range(80)))).items[0, 0] == 2


def test_exports_are_looked_up_by_name_only(tmp_path):
    names = [str(k) for k in range(1, 82)]
    part = {"choice": np.zeros(2, np.int8), "weight": np.ones(2), "outcome": ["valid"] * 2} | {
        f"item_{slot + 1}": words(np.array([slot, slot + 3], np.int32), names) for slot in range(3)
    }
    write_judgments(tmp_path / "j.parquet", [part], names, Provenance("export/1"))
    for stimuli in (names[::-1], [*names, "82"], names[:-1], ["0", *names]):
        found = read_judgments(tmp_path / "j.parquet", stimuli=stimuli)
        assert found.stimuli == tuple(stimuli)
        assert [[stimuli[item] for item in row] for row in found.items.tolist()] == [["1", "2", "3"], ["4", "5", "6"]]
    with pytest.raises(DataError, match="row 1: no stimulus '1'"):
        read_judgments(tmp_path / "j.parquet", stimuli=names[1:])
    (tmp_path / "t.txt").write_text("0 1 2\n", encoding="utf-8")  # counts the list in the export, as its own files do
    judged = gather_judgments(JudgmentTable("j", file="j.parquet", test="t.txt"), tmp_path)
    assert judged.items[-1].tolist() == [0, 1, 2]
    found = choices(tmp_path, [("10", "11", "12", "10"), ("12", "13", "14", "14")], stimuli=PADDED)
    assert [PADDED[item] for item in found.items[0].tolist()] == ["10", "11", "12"]
    with pytest.raises(DataError, match="may be the names"):  # which lost their zeros, perhaps
        choices(tmp_path, [("1", "2", "3", "3")], stimuli=PADDED)


def test_a_number_written_as_decimal_is_the_same_number(tmp_path):
    expected = [["1", "2", "3"], ["2", "3", "4"]]
    assert both(tmp_path, ["1", "2", "3.0"], ["2", "3", "4.0"]) == expected
    assert both(tmp_path, ["10", "20", "30.0"], ["20", "30", "40.0"], stimuli=TENS)[0] == ["10", "20", "30"]
    assert both(tmp_path, ["3.0", "x", "y"], ["3.5", "y", "z"])[0] == ["3.0", "x", "y"]  # is a name
    with pytest.raises(DataError, match=r"'3' and '3\.0' would be two stimuli"):
        both(tmp_path, ["3", "x", "3.0"], ["x", "y", "z"])
    frame = pd.DataFrame({"a": [1, 2], "b": [2.0, 3.0], "rating": [1, 2], "participant": [1.0, 2.0]})
    frame.to_parquet(tmp_path / "r.parquet")
    found = read_ratings(tmp_path / "r.parquet")
    assert (found.pairs.tolist(), found.participant.tolist()) == ([[1, 2], [2, 3]], ["1", "2"])
    mixed = choices(tmp_path, [("1", "2", "3.0", 0), ("3", "2", "1.0", 2)], name="j.parquet")
    assert (mixed.stimuli, mixed.items.tolist()) == (("1", "2", "3"), [[0, 1, 2], [2, 1, 0]])


@pytest.mark.parametrize("stimuli", [None, [NFC, "b", "c", "d"], [NFD, "b", "c", "d"]])
def test_accents_of_one_character_and_of_two_are_one_name(tmp_path, stimuli):
    assert both(tmp_path, [NFD, "b", "c"], [NFC, "c", "d"], stimuli=stimuli) == [[NFC, "b", "c"], [NFC, "c", "d"]]
    found = choices(tmp_path, [(NFD, "b", "c", 0), ("d", "c", NFC, 2)], name="j.parquet", stimuli=stimuli)
    assert found.items[0, 0] == found.items[1, 2]
    with pytest.raises(DataError, match=f"row 2 rates '{NFC}' with itself|row 2 rates '{NFD}' with itself"):
        ratings(tmp_path, [("b", "c"), (NFD, NFC)], stimuli=stimuli)
    (tmp_path / "t.csv").write_text(f"item_1,item_2,item_3\n{NFD},b,c\n", encoding="utf-8")
    assert read_triplets(tmp_path / "t.csv", [NFC, "b", "c"])[0].tolist() == [[0, 1, 2]]


def test_names_are_different_and_can_be_seen(tmp_path):
    for twice in ([NFC, NFD, "b", "c"], ["b", "b", NFC, "c"]):
        with pytest.raises(DataError, match="is the name of 2 stimuli; each needs its own"):
            both(tmp_path, [NFC, "b", "c"], ["b", "c", NFC], stimuli=twice)
        rows = [np.full((1, 3), np.nan), ["valid"], [1], [0], [""], ["me"]]
        with pytest.raises(DataError, match=r"Judgments: '.*' is the name of 2 stimuli"):
            Judgments(tuple(twice), [[0, 1, 2]], [0], *rows)
        with pytest.raises(DataError, match=r"PairRatings: '.*' is the name of 2 stimuli"):
            PairRatings(tuple(twice), [[0, 1], [1, 2]], [1, 2], ["me"] * 2, [1, 1], ["", ""])
    for name in ("j.csv", "j.parquet"):
        with pytest.raises(DataError, match=r"the name 'b\\u200b' holds a character that cannot be seen"):
            choices(tmp_path, [("a", "b\u200b", "c", 0), ("b", "c", "d", 2)], name=name)
        for word in ("nan", "NA", "None"):
            with pytest.raises(DataError, match=r"row 2 .*\(1 such row\)"):
                choices(tmp_path, [("a", "b", "c", 0), (word, "c", "d", 2)], name=name)
    with pytest.raises(DataError, match=r"the name 'b\\u200b' holds a character"):
        ratings(tmp_path, [("a", "b\u200b"), ("a", "b")])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("stimulus\na\nb\n", "line 1 is 'stimulus', and lists of names have no header"),
        ("# made by X\na\nb\n", "line 1 is '# made by X'"),
        ("a\n\nb\n", "line 2 is empty"),
        (f"{NFC}\nb\n{NFD}\n", "lines 1 and 3 both name"),
        ("a\nb\u200b\n", "cannot be seen"),
    ],
)
def test_a_list_of_names_names_each_stimulus_once(tmp_path, content, message):
    path = tmp_path / "names.txt"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(DataError, match=message):
        read_names(path)
    path.write_text(f"\ufeff{NFD}\r\nb\r\n\r\n", encoding="utf-8")
    assert read_names(path) == [NFC, "b"]


@pytest.mark.parametrize("name", ["j.csv", "j.txt"])
@pytest.mark.parametrize("comment", ["# made by X", "# i j k", "# odd_item_is_last", "\ufeff# by X\n\n# and Y"])
def test_comments_are_no_header(tmp_path, name, comment):
    rows = [(0, 1, 2), (1, 2, 3), (2, 3, 4)]
    assert choices(tmp_path, [(comment,), *rows], None, name).items.tolist() == [list(row) for row in rows]
    with pytest.raises(DataError, match="line 1 is a comment"):
        choices(tmp_path, [(comment.strip("\ufeff"),), (*ITEMS, "choice"), ("a", "b", "c", "b")], None, name)


@pytest.mark.parametrize("header", ["odd_item,item_a,item_b", "Odd,A,B", "Choice,left,right", "# odd,other,other_2"])
def test_a_header_that_says_where_the_odd_one_is_is_believed(tmp_path, header):
    rows = [(header,), (0, 1, 2), (1, 2, 3)]
    with pytest.raises(DataError, match=r'calls column 1 the odd one.*Say odd = "first"'):
        choices(tmp_path, rows, None)
    assert choices(tmp_path, rows, None, odd="first").items.tolist() == [[1, 2, 0], [2, 3, 1]]
    with pytest.raises(DataError, match=r"calls column 2 the odd one.*Put it last"):
        choices(tmp_path, [("a,odd,b",), (0, 1, 2)], None)
    assert choices(tmp_path, [("a,b,odd",), (0, 1, 2)], None).items.tolist() == [[0, 1, 2]]


@pytest.mark.parametrize(
    ("header", "matched"),
    [(f"target,{two}", True) for two in ("response,foil", "chosen,rejected", "answer,left_over")]
    + [(f"# {text}", False) for text in ("odd one out", "triplets (odd last)", "answers of people")],
)
def test_a_header_that_calls_no_column_odd_is_skipped(tmp_path, header, matched):
    for between in (",", " "):
        rows = [header.replace(",", between), *(between.join(row) for row in ("012", "123"))]
        (tmp_path / "j.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")
        assert read_judgments(tmp_path / "j.csv", matched=matched).items.tolist() == [[0, 1, 2], [1, 2, 3]]
    (tmp_path / "j.csv").write_text("# odd i j\n0 1 2\n1 2 3\n", encoding="utf-8")  # as of numpy.savetxt
    with pytest.raises(DataError, match="calls column 1 the odd one"):
        read_judgments(tmp_path / "j.csv", matched=matched)


def test_the_mark_of_excel_is_no_part_of_a_name(tmp_path):
    rows = [(9, 5, 2, 2), (1, 5, 4, 4)]
    found = choices(tmp_path, rows, ("image1", "image2", "image3", "choice"), encoding="utf-8-sig", count_from=1)
    assert (found.items.tolist(), found.choice.tolist()) == ([[8, 4, 1], [0, 4, 3]], [2, 2])


def test_columns_that_contradict_or_compete_are_refused(tmp_path):
    columns = (*ITEMS, "choice", "odd")
    with pytest.raises(DataError, match="row 1 has the choice '0', but the odd 'c'"):
        choices(tmp_path, [("a", "b", "c", 0, "c"), ("b", "c", "d", 2, "d")], columns)
    agreeing = choices(tmp_path, [("a", "b", "c", 0, "a"), ("b", "c", "d", 2, "")], columns)
    assert agreeing.choice.tolist() == [0, 2]
    with pytest.raises(DataError, match=r"\(item_1, item_2, item_3\) and \(image1, image2, image3\) all look like"):
        choices(tmp_path, [tuple("abcxyz0")], (*ITEMS, "image1", "image2", "image3", "choice"))
    with pytest.raises(DataError, match=r"may be items or positions; row 2 has '1' for \['3', '1', '2'\]"):
        choices(tmp_path, [(1, 2, 3, 3), (3, 1, 2, 1)])


@pytest.mark.parametrize("name", ["j.csv", "j.parquet"])
def test_outcomes_are_never_left_out(tmp_path, name):
    columns, rows = (*ITEMS, "choice", "outcome"), [("a", "b", "c", 0, "Valid"), ("b", "c", "d", -1, "REFUSED")]
    assert choices(tmp_path, rows, columns, name).outcome.tolist() == ["valid", "refused"]
    with pytest.raises(DataError, match=r"row 2 has the outcome 'declined'.*Rename the column"):
        choices(tmp_path, [rows[0], ("b", "c", "d", 0, "declined")], columns, name)


@pytest.mark.parametrize("name", ["j.csv", "j.parquet"])
@pytest.mark.parametrize("column", ["participant", "Annotator", "subject_id", "participant_id", "SUBJECT"])
def test_every_name_for_participants_is_known_in_every_file(tmp_path, name, column):
    rows = [("a", "b", "c", 0, NFC), ("b", "c", "d", 2, NFD), ("b", "c", "a", 1, "q")]
    found = choices(tmp_path, rows, (*ITEMS, "choice", column), name)
    assert found.annotator.tolist() == [NFC, NFC, "q"]
    assert as_triplets(found).judges == (NFC, "q")
    assert len(choices(tmp_path, rows, (*ITEMS, "choice", column), name, annotator="q")) == 1
    unknown = [("a", "b", "c", 0, "p"), ("b", "c", "d", 2, "n/a")]
    with pytest.raises(DataError, match=rf"row 2 has the {column} '(n/a)?'; others have one"):
        choices(tmp_path, unknown, (*ITEMS, "choice", column), name)
    other = "subject" if column != "SUBJECT" else "annotator"
    with pytest.raises(DataError, match="all look like annotators"):
        choices(tmp_path, [(*row, "z") for row in rows], (*ITEMS, "choice", column, other), name)
    empty = choices(tmp_path, [(*row, "n/a") for row in rows], (*ITEMS, "choice", column, other), name)
    assert empty.annotator.tolist() == [NFC, NFC, "q"]  # nobody is named in the other column


@pytest.mark.parametrize("suffix", ["tsv", "csv"])
def test_participants_of_ratings_are_found_in_any_case(tmp_path, suffix):
    path, between = tmp_path / f"r.{suffix}", "\t" if suffix == "tsv" else ","

    def read(*people):
        pairs = ("x,y,1", "y,z,2", "x,z,3")
        rows = ["a,b,rating,Participant", *map(",".join, zip(pairs, people, strict=True))]
        path.write_text("\n".join(rows).replace(",", between) + "\n", encoding="utf-8")
        return read_ratings(path).participant.tolist()

    assert read("01", "1", "001") == ["01", "1", "001"]
    with pytest.raises(DataError, match="row 2 has the Participant ''; others have one"):
        read("7", "n/a", "8")


@pytest.mark.parametrize("name", ["j.csv", "j.parquet"])
def test_an_export_without_its_header_names_people_and_groups(tmp_path, name):
    columns = (*ITEMS, "choice", "annotator", "participant")
    rows = [("a", "b", "c", 0, "people", "01"), ("b", "c", "d", 2, "people", "1"), ("b", "c", "a", 1, "mllm", None)]
    rows = [tuple("" if cell is None and name == "j.csv" else cell for cell in row) for row in rows]
    assert choices(tmp_path, rows, columns, name).annotator.tolist() == ["people", "people", "mllm"]
    assert choices(tmp_path, rows, columns, name, persons=True).annotator.tolist() == ["01", "1", "mllm"]
    found = choices(tmp_path, rows, columns, name, persons=True, annotator="people")
    assert found.annotator.tolist() == ["01", "1"]
    with pytest.raises(DataError, match=r"no judgments of 'peopel'\. Did you mean 'people'"):
        choices(tmp_path, rows, columns, name, persons=True, annotator="peopel")


def test_judgments_of_a_test_file_are_of_the_same_annotator(tmp_path):
    columns = (*ITEMS, "choice", "annotator")
    for name, rows in (
        ("j.csv", [("a", "b", "c", "a", "A"), ("b", "c", "d", "d", "B")]),
        ("t.csv", [("d", "b", "a", "a", "B"), ("a", "c", "d", "d", "A")]),
    ):
        choices(tmp_path, rows, columns, name)
    found = gather_judgments(JudgmentTable("j", file="j.csv", test="t.csv", annotator="A"), tmp_path)
    assert (found.annotator.tolist(), found.split.tolist()) == (["A", "A"], ["train", "test"])
    assert found.items.tolist() == [[0, 1, 2], [0, 2, 3]]
    choices(tmp_path, [(0, 1, 2)], None, "t.csv")
    with pytest.raises(DataError, match=r"no judgments of 'A'. It names no annotators: leave annotator out"):
        gather_judgments(JudgmentTable("j", file="j.csv", test="t.csv", annotator="A"), tmp_path)


def test_parquet_has_the_declared_stimuli(tmp_path):
    rows = [("a", "b", "c", 0), ("b", "c", "d", 2)]
    found = choices(tmp_path, rows, name="j.parquet", stimuli=["d", "c", "b", "a", "never"])
    assert found.stimuli == ("d", "c", "b", "a", "never")
    assert found.items.tolist() == [[3, 2, 1], [2, 1, 0]]
    with pytest.raises(DataError, match="row 1: no stimulus 'a'"):
        choices(tmp_path, rows, name="j.parquet", stimuli=["x", "y", "z"])


def test_a_decimal_in_a_choice_is_no_part_of_another_name(tmp_path):
    for items, wrong in ((("v25", "v2", "v7"), "v2.05"), (("a1", "a2", "a3"), "a1.0")):
        with pytest.raises(DataError, match=rf"row 1 has '{wrong}'"):
            choices(tmp_path, [(*items, wrong), (*items, items[1])])


def test_who_answered_is_part_of_what_a_store_is(tmp_path):
    keys = set()
    for number, people in enumerate([(0, 1), (1, 0), (0, 0)] * 2):
        with AnswerStore(tmp_path / f"{number}.sqlite") as store:
            setting = store.setting({"model": "m"}, "toy")
            store.contents(list("abc"), list("abc"))
            run = store.start_run(setting, {})
            rows = [
                AnswerRow(setting, 1, 2, 3, repeat, 0, run, 0, 1, *(None,) * 4, "", "", 0, 0, 0, 1, 0.0, 1.8e9, None,
                          f"p{people[repeat % 2]}", 0.5)
                for repeat in range(6000)
            ]  # fmt: skip
            store.write(rows, run=run, requests=1)
        keys.add(fingerprint_store(tmp_path / f"{number}.sqlite"))
    assert len(keys) == 3


def test_slots_from_0_or_from_1_are_not_guessed(tmp_path):
    rows = [("a", "b", "c", 1), ("b", "c", "d", 2)]
    for name in ("j.csv", "j.parquet"):
        with pytest.raises(DataError, match="all choices are 1 or 2"):
            choices(tmp_path, rows, name=name)
        # A target in the first slot is never chosen.
        assert choices(tmp_path, rows, name=name, matched=True).choice.tolist() == [1, 2]
    told = choices(tmp_path, [(*row, row[row[3]]) for row in rows], (*ITEMS, "choice", "odd"), "j.parquet")
    assert told.choice.tolist() == [1, 2]


def test_judgments_of_weight_0_connect_nothing():
    items = [[0, 1, 2], [1, 2, 3], [2, 3, 4]]
    given = Judgments(tuple("abcde"), items, [0, 1, 2], np.full((3, 3), np.nan), ["valid"] * 3, [1, 1, 0], [0] * 3,
                      [""] * 3, ["me"] * 3)  # fmt: skip
    found = connections(as_triplets(given))
    assert found.tolist() == [0, 0, 0, 0, -1]
    assert gaps(given.stimuli, found)[0].startswith(
        "1 item is in no judgment and is left out of the feature space: 'e'"
    )
    with pytest.raises(DataError, match="all valid judgments have a weight of 0"):
        as_triplets(dataclasses.replace(given, weight=np.zeros(3)))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"choice": [np.nan]}, r"choice holds nan at \[0\] \(1 such value\), but int8 integers were needed"),
        ({"choice": [1.5]}, r"choice holds 1\.5"),
        ({"choice": [256]}, "choice holds 256"),
        ({"choice": [None]}, "choice cannot be read as int8"),
        ({"choice": ["1"]}, "choice holds <U1"),
        ({"items": [[0.9, 1.2, 2.7]]}, r"items holds 0\.9 at \[0, 0\] \(3 such values\)"),
        ({"repeat": [np.inf]}, "repeat holds inf"),
    ],
)
def test_what_is_no_integer_becomes_none(change, message):
    good = {"stimuli": tuple("abc"), "items": [[0.0, 1.0, 2.0]], "choice": np.array([2], np.uint64),
            "probabilities": np.full((1, 3), np.nan), "outcome": ["valid"], "weight": [1], "repeat": [0], "split": [""],
            "annotator": ["me"]}  # fmt: skip
    assert Judgments(**good).items.tolist() == [[0, 1, 2]]
    with pytest.raises(DataError, match=message):
        Judgments(**good | change)
    with pytest.raises(DataError, match=r"pairs holds 0\.9"):
        PairRatings(tuple("abc"), [[0.9, 1.5], [1, 2]], [1, 2], ["me"] * 2, [1, 1], ["", ""])

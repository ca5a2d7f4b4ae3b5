"""A store of answers: only added to, each once, found again, brought together."""

import sqlite3
import time

import numpy as np
import pytest

from encoding.core import DataError
from encoding.io.judgments.answers import COLUMNS, MORE, AnswerStore, merge_stores


def row(setting, contents, run, *, repeat=0, attempt=0, outcome=0, choice=1, tokens=(10, 4, 1)):
    return (
        setting, *(int(number) for number in contents), repeat, attempt, run, outcome, choice, None, None, None, None,
        "B", "", *tokens, 1, 0.5, time.time(),
    )  # fmt: skip


@pytest.fixture
def store(tmp_path):
    with AnswerStore(tmp_path / "answers.sqlite") as made:
        yield made


def test_row_has_the_columns_of_the_table():
    assert len(row(1, (1, 2, 3), 1)) == len(COLUMNS)


def test_an_answer_is_kept_once_and_the_first_one_stays(store):
    setting = store.setting({"model": "m"}, "m")
    assert store.setting({"model": "m"}, "other name") == setting
    assert store.setting({"model": "m", "temperature": 1}, "m") != setting
    numbers = store.contents(["x", "y", "z"], ["a", "b", "c"])
    run = store.start_run(setting, {"server": "s"})
    assert store.write([row(setting, numbers, run, choice=1)], run=run, requests=1) == 1
    assert store.write([row(setting, numbers, run, choice=2)] * 2, run=run, requests=3) == 0
    assert (
        store.write([row(setting, numbers[::-1], run), row(setting, numbers, run, repeat=1)], run=run, requests=5) == 2
    )
    (table,) = store.read(setting, ("first", "repeat", "choice"))
    assert table == {"first": [1, 3, 1], "repeat": [0, 0, 1], "choice": [1, 1, 1]}
    assert store.counts(setting)["valid"] == 3
    spent = store.spent(setting)
    assert (spent["requests"], spent["tokens_in"], spent["tokens_cached"], spent["tokens_out"]) == (5, 30, 12, 3)


@pytest.mark.parametrize("statement", ["UPDATE answers SET choice = 0", "DELETE FROM answers"])
def test_nothing_can_be_changed_or_taken_away(store, statement):
    setting = store.setting({}, "m")
    numbers = store.contents(["x", "y", "z"], ["a", "b", "c"])
    run = store.start_run(setting, {})
    store.write([row(setting, numbers, run)], run=run, requests=1)
    with pytest.raises(sqlite3.IntegrityError, match="answers are only added"):
        store.base.execute(statement)


def test_newest_attempt_counts_and_the_others_stay(store):
    setting = store.setting({}, "m")
    numbers = store.contents(["x", "y", "z"], ["a", "b", "c"])
    run = store.start_run(setting, {})
    store.write([row(setting, numbers, run, outcome=4, choice=-1)], run=run, requests=1)
    assert list(store.read(setting, ("attempt",), outcomes=["error"])) == [{"attempt": [0]}]
    store.write([row(setting, numbers, run, attempt=1)], run=run, requests=2)
    assert store.keys(setting).tolist() == [[1, 2, 3, 0, 1]]
    assert list(store.read(setting, ("attempt",), outcomes=["error"])) == []
    assert store.counts(setting) == {"valid": 1, "refused": 0, "unparsed": 0, "truncated": 0, "error": 0}
    assert [table["choice"] for table in store.read(setting, ("choice",))] == [[1]]
    assert store.base.execute("SELECT count(*) FROM answers").fetchone() == (2,)


def test_half_a_transaction_leaves_nothing(store):
    setting = store.setting({}, "m")
    numbers = store.contents(["x", "y", "z"], ["a", "b", "c"])
    run = store.start_run(setting, {})
    with pytest.raises(sqlite3.IntegrityError):
        store.write(
            [row(setting, numbers, run), row(setting, numbers, run, repeat=1)[:12] + (None,) * 9], run=run, requests=1
        )
    assert len(store.keys(setting)) == 0


def test_same_content_of_two_stimuli_is_told_apart(store):
    numbers = store.contents(["x", "x", "x"], ["a", "b", "a"])
    assert numbers.tolist() == [1, 2, 1]
    assert store.find_contents(["x", "new"], ["b", "b"]).tolist() == [2, 3]
    assert store.stimuli() == {1: "a", 2: "b"}


def test_merging_renumbers_and_keeps_what_was_there(tmp_path):
    files = []
    for number, order in enumerate((("x", "y", "z"), ("z", "w", "x"))):
        with AnswerStore(tmp_path / f"{number}.sqlite") as part:
            part.setting({"other": number}, "o")
            setting = part.setting({"model": "m"}, "m")
            numbers = part.contents(order, [f"of {name}" for name in order])
            run = part.start_run(setting, {"shard": number})
            part.write([row(setting, numbers, run, choice=number)], run=run, requests=10)
            by_name = dict(zip(order, numbers, strict=True))
            both = [by_name[name] for name in ("x", "z")]
            shared = part.contents(["v"], ["of v"])[0]
            part.write([row(setting, (both[0], both[1], shared), run, choice=number)], run=run, requests=11)
        files.append(tmp_path / f"{number}.sqlite")
    with AnswerStore(tmp_path / "all.sqlite") as whole:
        assert merge_stores(whole, files[0]) == {"added": 2, "known": 0}
        assert merge_stores(whole, files[1]) == {"added": 1, "known": 1}
        assert merge_stores(whole, files[1]) == {"added": 0, "known": 2}
        setting = whole.find_setting({"model": "m"})
        stimuli = whole.stimuli()
        (table,) = whole.read(setting, ("first", "second", "third", "choice"))
        found = [
            (*(stimuli[number] for number in numbers[:3]), numbers[3]) for numbers in zip(*table.values(), strict=True)
        ]
        assert found == [("of x", "of y", "of z", 0), ("of x", "of z", "of v", 0), ("of z", "of w", "of x", 1)]
        assert whole.spent(setting)["requests"] == 22
        assert [run["notes"] for run in whole.runs(setting)] == [{"shard": 0}, {"shard": 1}]


def test_two_processes_do_not_collect_at_once(store):
    refused = pytest.raises(DataError, match="another process is collecting")
    with AnswerStore(store.path) as second, store.alone(), refused, second.alone():
        pass
    with AnswerStore(store.path) as second, second.alone():
        pass


def test_readers_see_answers_while_they_are_written(store):
    setting = store.setting({}, "m")
    with AnswerStore(store.path, read_only=True) as reader:
        numbers = store.contents(["x", "y", "z"], ["a", "b", "c"])
        run = store.start_run(setting, {})
        store.write([row(setting, numbers, run)], run=run, requests=1)
        assert len(reader.keys(setting)) == 1
        with pytest.raises(sqlite3.OperationalError, match="readonly"):
            reader.start_run(setting, {})


@pytest.mark.parametrize(
    ("content", "message"), [(b"not a database at all" * 99, "cannot be used"), (None, "no answers here yet")]
)
def test_other_files_are_refused(tmp_path, content, message):
    path = tmp_path / "x.sqlite"
    if content:
        path.write_bytes(content)
    with pytest.raises(DataError, match=message):
        AnswerStore(path, read_only=True)


def test_another_format_is_refused(tmp_path):
    base = sqlite3.connect(tmp_path / "x.sqlite")
    base.execute("PRAGMA user_version = 7")
    base.close()
    with pytest.raises(DataError, match="format 7, but this version reads format 1"):
        AnswerStore(tmp_path / "x.sqlite")


def test_keys_of_many_answers_are_read_fast(store):
    # A million rows are the benchmark's; a twentieth of them must not take a second of processor time here.
    setting = store.setting({}, "m")
    store.contents([str(i) for i in range(60)], [str(i) for i in range(60)])
    run = store.start_run(setting, {})
    wanted = np.array(
        [(a, b, c) for a in range(1, 60) for b in range(1, 60) for c in range(1, 16) if len({a, b, c}) == 3]
    )
    store.write((row(setting, triple, run) for triple in wanted.tolist()), run=run, requests=1)
    start = time.process_time()
    packed = store.packed_keys(setting, n_contents=61, n_repeats=1)
    assert time.process_time() - start < 1
    keys = np.stack((packed // 61**2, packed // 61 % 61, packed % 61), axis=1)
    assert np.all(np.diff(packed) > 0)
    assert np.array_equal(np.unique(store.keys(setting)[:, :3], axis=0), keys)
    assert {tuple(key) for key in keys[:, :3].tolist()} == {tuple(triple) for triple in wanted.tolist()}


def test_stores_made_before_models_and_participants_were_kept_are_read_and_added_to(tmp_path):
    path = tmp_path / "old.sqlite"
    with AnswerStore(path) as store:
        setting = store.setting({}, "m")
        numbers = store.contents(["x", "y", "z"], ["a", "b", "c"])
        run = store.start_run(setting, {})
        store.write([row(setting, numbers, run)], run=run, requests=1)
    base = sqlite3.connect(path, isolation_level=None)
    for column in MORE:
        base.execute(f"ALTER TABLE answers DROP COLUMN {column}")
    base.execute("DROP TABLE served")
    base.execute("DROP TABLE participants")
    base.close()
    with AnswerStore(path) as store:
        store.write([(*row(setting, numbers, run, repeat=1), ("m", "fp"), "ann", 1.5)], run=run, requests=2)
        (table,) = store.read(setting, ("repeat", *MORE))
        assert table == {"repeat": [0, 1], "served": [0, 1], "participant": [0, 1], "reaction": [None, 1.5]}
        assert store.participants()[1] == "ann"
        with AnswerStore(tmp_path / "other.sqlite") as other:
            assert merge_stores(other, path) == {"added": 2, "known": 0}
            assert other.served(1)[0][:3] == ("m", "fp", 1)


def test_sums_that_are_kept_are_those_of_all_rows(store):
    setting, other = store.setting({}, "m"), store.setting({"a": 1}, "n")
    numbers = store.contents(["x", "y", "z"], ["a", "b", "c"])
    run = store.start_run(setting, {})
    rng = np.random.default_rng(0)
    attempt = {}
    for turn in range(6):
        rows = []
        for _ in range(5):
            key = (setting if rng.random() < 0.7 else other, int(rng.integers(20)))
            outcome = int(rng.choice(5))
            rows.append(row(key[0], numbers, run, repeat=key[1], attempt=attempt.get(key, 0), outcome=outcome,
                            choice=1 if outcome == 0 else -1, tokens=(int(rng.integers(9)), 1, 2)))  # fmt: skip
            attempt[key] = attempt.get(key, 0) + 1
        store.write(rows, run=run, requests=turn)
        for one in (setting, other):
            query = "SELECT total(tokens_in), total(tokens_out) FROM answers WHERE setting = ?"
            total = store.base.execute(query, (one,))
            spent = store.spent(one)
            assert (spent["tokens_in"], spent["tokens_out"]) == total.fetchone()
            query = "SELECT repeat, outcome FROM answers WHERE setting = ? ORDER BY attempt"
            newest = dict(store.base.execute(query, (one,)).fetchall())
            assert list(store.counts(one).values()) == [list(newest.values()).count(code) for code in range(5)]

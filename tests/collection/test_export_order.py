"""Exports hold the same bytes in whatever order answers arrived, from however many stores and attempts."""

import hashlib

import numpy as np
import pytest

from encoding.collection.contents import choose, of_captions
from encoding.collection.designs import Design, make_plan
from encoding.collection.exporting import Source, export
from encoding.io.judgments.answers import AnswerRow, AnswerStore, merge_stores

NAMES = [f"s{number}" for number in range(12)]
CAPTIONS = {name: [f"a {name} walks", f"{name} runs"] for name in NAMES}
PLAN = make_plan(Design(n_triplets=120, repeated=10, repeats=2), NAMES)
CONTENTS = of_captions(NAMES, CAPTIONS)
SHOWN = choose(PLAN, CONTENTS)
PEOPLE = ("zoe", "ann", "mia")
SERVED = (("m-2", "f2"), ("m-1", "f9"), ("m-1", "f1"))


def write(path, order, *, attempts=True):
    """Write the same answers in some order; contents, people and models get the numbers that they have then."""
    with AnswerStore(path) as store:
        setting = store.setting({"model": "m"}, "toy")
        run = store.start_run(setting, {})
        used = [pair for row in order for pair in SHOWN[row]]
        first = list(dict.fromkeys(used))
        store.contents([CONTENTS.digests[k] for k in first], [CONTENTS.owners[k] for k in first])
        numbers = store.find_contents(CONTENTS.digests, CONTENTS.owners)
        for row in order:
            outcome = 4 if row % 17 == 5 else 0
            p = np.random.default_rng(row).dirichlet(np.ones(3))
            choice = int(p.argmax()) if outcome == 0 else -1
            made = AnswerRow(
                setting, *map(int, numbers[SHOWN[row]]), int(PLAN.repeat[row]), 0, run, outcome, choice,
                *(map(float, p) if outcome == 0 else (None,) * 3), 0.9, "A", "", 5, 1, 1, 1, 0.25, 1e9 + row,
                SERVED[row % 3], PEOPLE[row % 3], 0.5 + row / 100,
            )  # fmt: skip
            rows = [made]
            if attempts and row % 17 == 3:  # an error that was asked again
                rows = [made._replace(outcome=4, choice=-1, p1=None, p2=None, p3=None), made._replace(attempt=1)]
            store.write(rows, run=run, requests=1)
        return store, setting


def exported(path, folder):
    with AnswerStore(path, read_only=True) as store:
        source = Source(PLAN, SHOWN, CONTENTS, store, store.find_setting({"model": "m"}), "toy")
        export(source, folder, soft=True)
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(folder.iterdir())}


@pytest.fixture(scope="module")
def expected(tmp_path_factory):
    top = tmp_path_factory.mktemp("expected")
    write(top / "a.sqlite", range(len(PLAN.items)))
    found = exported(top / "a.sqlite", top / "out")
    assert {"judgments.parquet", "train_90.txt", "train_90.npy", "train_90_soft.npy"} <= set(found)
    return found


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_the_order_of_arrival_changes_no_byte(tmp_path, expected, seed):
    write(tmp_path / "a.sqlite", np.random.default_rng(seed).permutation(len(PLAN.items)).tolist())
    assert exported(tmp_path / "a.sqlite", tmp_path / "out") == expected


def test_the_order_of_merging_changes_no_byte(tmp_path, expected):
    parts = np.array_split(np.random.default_rng(3).permutation(len(PLAN.items)), 3)
    for number, part in enumerate(parts):
        write(tmp_path / f"{number}.sqlite", part.tolist())
    for order in ((0, 1, 2), (2, 0, 1)):
        name = "".join(map(str, order))
        with AnswerStore(tmp_path / f"{name}.sqlite") as store:
            for number in order:
                merge_stores(store, tmp_path / f"{number}.sqlite")
        assert exported(tmp_path / f"{name}.sqlite", tmp_path / name) == expected


def test_another_answer_changes_them(tmp_path, expected):
    write(tmp_path / "a.sqlite", list(range(len(PLAN.items)))[1:])
    assert exported(tmp_path / "a.sqlite", tmp_path / "out") != expected

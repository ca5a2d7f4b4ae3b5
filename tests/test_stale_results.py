"""Every setting has a line that says what runs again when it changes, and the lines hold.

Keys of learned features, answers and plans are compared here, and a few steps of an analysis are run; the other steps
are run by `tests/slow/test_stale_matrix.py`.
"""

import dataclasses

import numpy as np
import pandas as pd
import pytest
import stale_matrix as matrix
from PIL import Image
from stale_matrix import AGAIN, KEPT

from encoding.collection import ANNOTATORS
from encoding.collection.contents import of_captions, of_frames, of_names
from encoding.collection.designs import Design, make_plan
from encoding.core import FeatureSpace, Samples
from encoding.embedding import motion
from encoding.embedding.from_judgments import JudgmentTable, _provenance
from encoding.embedding.tables import ConcatTable, concatenate

NAMES = ["a", "b", "c", "d", "e", "f"]


def space(name, shift=0.0):
    values = np.arange(12.0).reshape(6, 2) + shift
    return FeatureSpace(name, values, Samples.of_stimuli(np.array(NAMES)), (f"{name}1", f"{name}2"))


def test_every_setting_has_a_line():
    there, stated = matrix.settings_there(), matrix.stated()
    assert sorted(there - stated) == [], "say in tests/stale_matrix.py what runs again when these settings change"
    assert sorted(stated - there) == []


def outcome(same):
    return KEPT if same else AGAIN


@pytest.mark.parametrize("field", matrix.JUDGMENTS)
def test_embeddings_are_learned_again(tmp_path, field):
    for name in ("j.txt", "other.txt", "names.txt"):
        (tmp_path / name).write_text("0 1 2\n1 2 3\n")
    value, expected = matrix.JUDGMENTS[field]
    known = {"r": space("r")}
    task, method = "rate" if field == "scale" else "odd", "variational" if field in matrix.PRIOR else "map"
    simulated = {"file": "", "ratings": "r"} if field in matrix.SIMULATED else {"file": "j.txt"}
    base = JudgmentTable("x", **simulated, task=task, method=method)
    changes = {field: value} | ({"file": ""} if field == "ratings" else {})
    changed = dataclasses.replace(base, **changes)
    assert outcome(_provenance(base, tmp_path, known).key == _provenance(changed, tmp_path, known).key) == expected


@pytest.mark.parametrize("field", matrix.MOTION)
def test_clips_are_measured_again(tmp_path, monkeypatch, field):
    measured = []
    monkeypatch.setattr(motion, "_pyramid", lambda source: None)  # noqa: ARG005
    monkeypatch.setattr(motion, "_energy", lambda source, pyramid, path: measured.append(path) or np.ones(3))  # noqa: ARG005
    for folder in ("clips", "same"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "a.mp4").write_bytes(b"a clip")
    value, expected = matrix.MOTION[field]
    source = motion.MotionEnergy("m", "clips", size=80, spatial_frequencies=(0, 2, 4))
    motion.measure_motion(source, tmp_path, tmp_path / "kept")
    motion.measure_motion(dataclasses.replace(source, **{field: value}), tmp_path, tmp_path / "kept")
    assert outcome(len(measured) == 1) == expected


@pytest.mark.parametrize("field", matrix.CONCAT)
def test_joined_spaces_are_joined_again(field):
    known = {name: space(name, shift) for name, shift in (("a", 0.0), ("b", 1.0))}
    value, expected = matrix.CONCAT[field]
    base = ConcatTable("x", ("a", "b"))
    keys = [concatenate(one, known).provenance.key for one in (base, dataclasses.replace(base, **{field: value}))]
    assert outcome(keys[0] == keys[1]) == expected


CASES = [(kind, field) for kind, lines in matrix.ANNOTATORS_AGAIN.items() for field in lines]
REQUIRED = {
    "openai": {"model": "m", "prompt": "captions-letter"},
    "transformers": {"model": "m", "prompt": "captions-letter"},
    "table": {"file": "table.tsv"},
    "cosine": {"file": "ratings.tsv", "temperature": 1.0},
    "colours": {"temperature": 1.0},
    "words": {"temperature": 1.0},
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    top = tmp_path_factory.mktemp("annotators")
    ratings = pd.DataFrame({"stimulus": NAMES, "x": [1.0, 2, 3, 4, 5, 6], "y": [6.0, 1, 2, 5, 4, 3]})
    ratings.assign(name=NAMES[::-1]).drop(columns="name").to_csv(top / "ratings.tsv", sep="\t", index=False)
    ratings.assign(x=0.5).to_csv(top / "other.tsv", sep="\t", index=False)
    rows = pd.DataFrame({"item_1": ["a"], "item_2": ["b"], "item_3": ["c"], "odd": ["c"], "who": ["p"], "rt": [1.0]})
    rows.assign(when="2024-01-01").to_csv(top / "table.tsv", sep="\t", index=False)
    for number, name in enumerate(NAMES):
        shade = np.full((8, 8, 3), 40 * number, np.uint8)
        shade[:4] = 20
        Image.fromarray(shade).save(top / f"{name}.png")
    return top


@pytest.mark.parametrize(("kind", "field"), CASES)
def test_answers_are_asked_again(folder, kind, field):
    value, expected = matrix.ANNOTATORS_AGAIN[kind][field]
    if kind == "table":
        pytest.skip("its identity is compared below, without the programs that write such files")
    contents = {
        "words": of_captions(NAMES, {name: [f"animal{name} walks"] for name in NAMES}),
        "colours": of_frames(NAMES, {name: [(folder / f"{name}.png", name)] for name in NAMES}),
        "cosine": of_names(NAMES),
    }.get(kind, of_captions(NAMES, {name: [f"a {name} walks"] for name in NAMES}))
    if field == "prompt" and kind == "transformers":
        pytest.skip("one prompt of the package is answered by a letter; files of prompts are compared by content")
    settings = REQUIRED[kind]
    if field == "stimulus":
        frame = pd.read_csv(folder / "ratings.tsv", sep="\t").assign(name=NAMES[::-1])
        frame.to_csv(folder / "named.tsv", sep="\t", index=False)
        settings = settings | {"file": "named.tsv", "columns": ("x", "y")}
    base, changed = (ANNOTATORS[kind](**one) for one in (settings, settings | {field: value}))
    one, other = (annotator.open(contents, folder).identity() for annotator in (base, changed))
    assert outcome(one == other) == expected


@pytest.mark.parametrize("field", matrix.ANNOTATORS_AGAIN["table"])
def test_tables_are_looked_up_again(tmp_path, monkeypatch, field):
    table = ANNOTATORS["table"]
    monkeypatch.setattr(table, "_read", lambda self, path, stimuli: _Nothing())  # noqa: ARG005
    monkeypatch.setattr("encoding.collection.tabled.read_demographics", lambda *_: None)
    for name in ("table.tsv", "other.tsv"):
        (tmp_path / name).write_text(name)
    value, expected = matrix.ANNOTATORS_AGAIN["table"][field]
    paged = {"source": "page"} if field in ("keys", "first_item") else {}  # others have none
    more = {"odd": "named"} if field == "column" else paged
    base = table("table.tsv", **paged)
    changed = table(**{"file": "table.tsv"} | more | {field: value})
    contents = of_names(NAMES)
    assert outcome(base.open(contents, tmp_path).identity() == changed.open(contents, tmp_path).identity()) == expected


class _Nothing:
    items = np.zeros((0, 3), np.int64)
    participant = np.zeros(0, dtype=str)


@pytest.mark.parametrize("field", matrix.DESIGN)
def test_plans_are_drawn_again(field):
    value, expected = matrix.DESIGN[field]
    base = Design("balanced", n_triplets=10)
    plans = [make_plan(one, NAMES, seed=0) for one in (base, dataclasses.replace(base, **{field: value}))]
    same = [np.array_equal(getattr(plans[0], name), getattr(plans[1], name)) for name in ("items", "repeat", "split")]
    assert outcome(all(same)) == expected


def test_steps_of_an_analysis_run_again(tmp_path):
    few = {("load", "volume", "despike"), ("fit", "ridge", "alphas"), ("map", "", "dpi"), ("compute", "", "memory")}
    assert matrix.mismatches("volumes", tmp_path, few) == []

"""Nouns check themselves against their axes, and come back from disk as they were."""

import dataclasses
import json

import numpy as np
import pytest

import encoding
from encoding.core import (
    AlignmentError,
    Atlas,
    DataError,
    Exclusion,
    FeatureSpace,
    Grid,
    Judgments,
    Provenance,
    Responses,
    RoiSet,
    Samples,
    Scores,
    StimulusSet,
    Targets,
    digest,
)
from encoding.core.errors import suggest
from encoding.core.predictions import FoldMoments, Predictions
from encoding.core.scores import ScoreRow
from encoding.io.store import describe, load, save, saved_with

RNG = np.random.default_rng(0)
ROWS = Samples(["a", "", "b"], [0, 2, 4], [2, 2, 2], ["run-1", "run-1", "run-2"], "tr")
SHOWN = Samples(["a", "b"], [0, 0.1], [2, 2], ["run-1", "run-2"], "stimulus")
VOXELS = Targets("voxel", "T1w", [0, 5], ["", ""], Grid((1, 2, 3), np.diag([2.0, 2, 2, 1])), density="2")
GRAYORDINATES = Targets(
    "grayordinate", "fsLR", [1, 4], ["CORTEX_LEFT", "AMYGDALA_LEFT"], VOXELS.grid, {"CORTEX_LEFT": 3}, "91k"
)


def responses(**changes):
    fields = {
        "values": RNG.standard_normal((3, 2)),
        "samples": ROWS,
        "targets": VOXELS,
        "presentations": SHOWN,
        "drift": np.zeros((3, 1)),
        "subject": "01",
        "task": "video",
        "t_r": 2.0,
        "exclusions": (Exclusion("volumes", 3, "scrubbed"),),
        "provenance": Provenance("load/1", {"shift": 4.0, "tasks": ["x"]}, {"f": "0"}, 7, {"numpy": "2"}),
    }
    return Responses(**(fields | changes))


def space(**changes):
    fields = {
        "name": "emotion",
        "values": RNG.standard_normal((2, 2)),
        "samples": Samples.of_stimuli(["a", "b"]),
        "features": ("joy", "fear"),
    }
    return FeatureSpace(**(fields | changes))


def atlas(**changes):
    fields = {
        "name": "two",
        "labels": [1, 0],
        "targets": VOXELS,
        "index": [1, 2],
        "region": ("one", "two"),
        "hemi": ("L", "R"),
        "network": ("", ""),
        "color": ("#000000", "#ffffff"),
        "roi_sets": (RoiSet("s", "r", ("one",)),),
    }
    return Atlas(**(fields | changes))


def stimuli(**changes):
    fields = {
        "stimulus": ["a", "b"],
        "path": ["a.mp4", ""],
        "duration": [2.5, np.nan],
        "duplicate_of": ["", "a"],
        "split": ["train", "test"],
    }
    return StimulusSet(**(fields | changes))


def judgments(**changes):
    fields = {
        "stimuli": ("a", "b", "c"),
        "items": [[0, 1, 2], [2, 0, 1]],
        "choice": [1, -1],
        "probabilities": [[0.2, 0.7, 0.1], [np.nan] * 3],
        "outcome": ["valid", "refused"],
        "weight": [1, 0],
        "repeat": [0, 1],
        "split": ["train", ""],
        "annotator": ["llm", "llm"],
    }
    return Judgments(**(fields | changes))


def predictions(**changes):
    moments = FoldMoments([2, 1], *RNG.standard_normal((5, 2, 2)), *RNG.standard_normal((2, 2, 1, 2)))
    fields = {
        "model": "joint",
        "bands": ("emotion",),
        "subject": "01",
        "samples": ROWS,
        "targets": VOXELS,
        "fold": [0, 0, 1],
        "moments": moments,
        "alphas": np.ones((2, 2)),
        "alpha_grid": [1.0],
        "gammas": np.ones((2, 1, 2)),
        "values": RNG.standard_normal((1, 3, 2)),
    }
    return Predictions(**(fields | changes))


def scores(**changes):
    fields = {"metric": "r", "rows": (ScoreRow("joint"), ScoreRow("joint", "emotion")), "values": [[0.1, np.nan]] * 2}
    return Scores(**(fields | {"targets": VOXELS, "subject": "01"} | changes))


def same(a, b):
    """Compare two nouns field by field, NaN equal to NaN."""
    if dataclasses.is_dataclass(a):
        return type(a) is type(b) and all(
            same(getattr(a, field.name), getattr(b, field.name)) for field in dataclasses.fields(a)
        )
    if isinstance(a, np.ndarray):
        return a.dtype.kind == b.dtype.kind and np.array_equal(a, b, equal_nan=a.dtype.kind == "f")
    if isinstance(a, list | tuple):
        return len(a) == len(b) and all(same(x, y) for x, y in zip(a, b, strict=True))
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[key], b[key]) for key in a)
    return a == b or bool(np.isnan(a) and np.isnan(b))


NOUNS = {
    "responses": responses(),
    "grayordinates": responses(targets=GRAYORDINATES),
    "responses that were estimated elsewhere": responses(t_r=float("nan"), drift=np.zeros((3, 0))),
    "feature space": space(),
    "atlas": atlas(),
    "stimuli": stimuli(),
    "judgments": judgments(),
    "predictions": predictions(),
    "predictions without values": predictions(values=None),
    "scores": scores(),
    "samples": ROWS,
    "stimulus axis": Samples.of_stimuli(["ä", 'quote " and tab\t', "line\nbreak", " space ", ""]),
    "no samples": ROWS[:0],
    "columns": Targets.of_columns(["a", "b"]),
    "targets": GRAYORDINATES,
}


@pytest.mark.parametrize("name", NOUNS)
def test_nouns_come_back_from_disk_as_they_were(tmp_path, name):
    item = NOUNS[name]
    back = load(save(item, tmp_path / "item"))
    assert same(item, back)
    assert not list(tmp_path.glob(".*"))


def test_the_public_names_save_and_load(tmp_path):
    assert same(encoding.load(encoding.save(space(), tmp_path / "x")), encoding.load(tmp_path / "x"))


def test_large_arrays_come_back_as_memory_maps(tmp_path):
    assert isinstance(load(save(responses(), tmp_path / "x")).values, np.memmap)


def test_an_object_that_was_loaded_can_be_saved_over_itself(tmp_path):
    item = responses()
    save(item, tmp_path / "x")
    save(load(tmp_path / "x"), tmp_path / "x")
    assert same(load(tmp_path / "x"), item)


def test_a_failed_save_leaves_the_old_object(tmp_path):
    folder = save(space(), tmp_path / "x")
    broken = Provenance("x/1", {"what": object()})
    with pytest.raises(DataError, match="object has no place in the format"):
        save(space(provenance=broken), folder)
    assert load(folder).features == ("joy", "fear")
    assert not list(tmp_path.glob(".*"))


def test_the_key_decides_about_reuse(tmp_path):
    item = responses()
    save(item, tmp_path / "x")
    assert saved_with(tmp_path / "x", item.provenance.key)
    assert not saved_with(tmp_path / "x", Provenance("load/2").key)
    assert not saved_with(tmp_path / "y", item.provenance.key)
    assert describe(tmp_path / "x")["type"] == "Responses"


def test_judgments_are_selected_and_concatenated():
    item = judgments()
    for rows in (np.array([False, True]), np.array([1]), slice(1, None)):
        second = item.take(rows)
        assert (second.outcome.tolist(), second.items.tolist()) == (["refused"], [[2, 0, 1]])
        assert (second.stimuli, second.provenance) == (item.stimuli, item.provenance)
    again = Judgments.concat([item.take([0]), item.take([1])])
    for name in ("items", "choice", "probabilities", "outcome", "weight", "repeat", "split", "annotator"):
        np.testing.assert_array_equal(getattr(again, name), getattr(item, name))
    other = judgments(stimuli=("a", "c", "b"))
    with pytest.raises(DataError, match="about 3 and 3 stimuli that are not the same in the same order"):
        Judgments.concat([item, other])


def test_responses_that_0_1_saved_are_read(tmp_path):
    notes = (Exclusion("volumes", 3, "scrubbed", "sub-01, ses-01_run-1"), Exclusion("targets", 1, "sub-01: constant"))
    told = ("sub-01: estimates may know: of other runs",)
    save(responses(exclusions=notes, warnings=told), tmp_path)
    assert (load(tmp_path).exclusions, load(tmp_path).warnings) == (notes, told)
    content = json.loads((tmp_path / "object.json").read_text())
    fields = content["object"]["fields"]
    del fields["warnings"]
    old = [("warnings", 0, told[0]), ("volumes", 3, "sub-01, ses-01_run-1: scrubbed"), ("targets", 1, notes[1].reason)]
    fields["exclusions"] = [
        {"type": "Exclusion", "fields": dict(zip(("what", "n", "reason"), note, strict=True))} for note in old
    ]
    (tmp_path / "object.json").write_text(json.dumps(content))
    assert (load(tmp_path).exclusions, load(tmp_path).warnings) == (notes, told)


def test_folders_without_an_object_are_named(tmp_path):
    with pytest.raises(DataError, match="no saved object here"):
        load(tmp_path)
    (tmp_path / "object.json").write_text("{")
    with pytest.raises(DataError, match="not valid JSON"):
        load(tmp_path)
    (tmp_path / "object.json").write_text('{"format": 99}')
    with pytest.raises(DataError, match="format 99, but this version reads"):
        load(tmp_path)


def test_a_truncated_array_is_named(tmp_path):
    folder = save(responses(), tmp_path / "x")
    file = folder / "values.npy"
    file.write_bytes(file.read_bytes()[:-8])
    with pytest.raises(DataError, match=r"values\.npy: cannot be read"):
        load(folder)


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: responses(values=np.zeros((2, 2))), AlignmentError, r"values has shape \(2, 2\), but \(3, 2\)"),
        (lambda: responses(drift=np.zeros((2, 1))), AlignmentError, "drift has shape"),
        (lambda: responses(samples=Samples.of_stimuli(list("abc"))), AlignmentError, "on the clock 'none'"),
        (lambda: space(values=np.zeros((3, 2))), AlignmentError, r"FeatureSpace 'emotion': values has shape \(3, 2\)"),
        (lambda: space(values=[[1, np.nan], [0, 0]]), DataError, "the first is feature 'fear' of 'a'"),
        (lambda: space(features=("joy", "joy")), DataError, "feature 'joy' occurs more than once"),
        (lambda: space(samples=Samples.of_stimuli(list("aa"))), DataError, "the first is 'a'"),
        (lambda: atlas(labels=[3, 0]), DataError, "label 3 has no row"),
        (lambda: atlas(index=[1, 1]), DataError, "unique"),
        (lambda: atlas(region=("a", "a")), DataError, "region names must be unique"),
        (lambda: atlas(hemi=("L",)), AlignmentError, "hemi has shape"),
        (lambda: stimuli(stimulus=["a", "a"]), DataError, "the first is 'a'"),
        (lambda: judgments(items=[[0, 1, 1], [0, 1, 2]]), DataError, r"row 0: \[0, 1, 1\]"),
        (lambda: judgments(choice=[-1, -1]), DataError, "1 row contradicts"),
        (lambda: judgments(outcome=["valid", "maybe"]), DataError, "outcome 'maybe' is not one of"),
        (lambda: predictions(fold=[0, 1]), AlignmentError, "fold has shape"),
        (lambda: predictions(values=np.zeros((2, 3, 2))), AlignmentError, "values has shape"),
        (lambda: scores(metric="auc"), DataError, "metric 'auc' is not one of"),
        (lambda: scores(rows=(ScoreRow("a"), ScoreRow("a"))), DataError, "a row is listed twice"),
        (lambda: scores().row("jiont"), DataError, "no row 'jiont'. Rows: joint, joint/emotion"),
        (lambda: stimuli(duplicate_of=["", "c"]), DataError, "duplicate_of names 'c'"),
        (lambda: stimuli(duplicate_of=["b", "a"]), DataError, "'a' is a copy of 'b', which is a copy itself"),
        (lambda: stimuli(duplicate_of=["", "b"]), DataError, "'b' is a copy of 'b', which is a copy itself"),
    ],
)
def test_what_does_not_fit_is_refused(make, error, message):
    with pytest.raises(error, match=message):
        make()


def test_copies_are_known_by_their_original():
    assert stimuli().canonical(np.array(["b", "a", "z"])).tolist() == ["a", "a", "z"]
    assert len(StimulusSet.of_names(["x"])) == 1


def test_usable_targets_have_values():
    values = np.zeros((3, 2))
    values[:, 1] = np.nan
    assert responses(values=values).usable.tolist() == [True, False]


def test_the_key_knows_settings_and_inputs_but_not_versions():
    base = Provenance("load/1", {"a": 1, "b": (2, 3)}, {"x": "1"}, 0, {"numpy": "1"})
    assert base.key == Provenance("load/1", {"b": [2, 3], "a": 1}, {"x": "1"}, 0, {"numpy": "2"}).key
    others = [
        Provenance("load/2", base.config, base.inputs, 0),
        Provenance("load/1", {"a": 2, "b": (2, 3)}, base.inputs, 0),
        Provenance("load/1", base.config, {"x": "2"}, 0),
        Provenance("load/1", base.config, base.inputs, 1),
    ]
    assert len({base.key, *(other.key for other in others)}) == 5
    assert digest({"a": np.float64(1.5)}) == digest({"a": 1.5})


def test_suggestions_name_the_nearest():
    assert suggest("alpha", ["alphas", "n_iter"]).startswith("Did you mean 'alphas'?")
    assert suggest("zzz", []) == "Known: none."

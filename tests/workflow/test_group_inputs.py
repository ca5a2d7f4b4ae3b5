"""A group refuses participants that were made before judgments, clips, recordings or tables were changed."""

import dataclasses
import shutil
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from factories import planted_judgments
from PIL import Image

from encoding.config import parse_config
from encoding.core import DataError
from encoding.pipeline import Places, make_spaces
from encoding.workflow.summary import input_keys, require_different, require_present_tables, table_keys

CONFIG = """
seed = 0
[[features]]
name = "abc"
file = "abc.tsv"
[[features]]
kind = "judgments"
name = "learned"
file = "train_90.txt"
stimuli = "names.txt"
n_dims = 2
lambdas = [0.001]
[[features]]
kind = "judgments"
name = "simulated"
ratings = "abc"
n_judgments = 3000
temperature = 0.1
n_dims = 2
lambdas = [0.001]
[[features]]
kind = "low_level_vision"
name = "vision"
videos = "pictures"
pattern = "*.png"
[[features]]
kind = "concat"
name = "both"
spaces = ["abc", "learned"]
[[features]]
kind = "series"
name = "words"
file = "words/sub-{subject}_run-{run}.tsv"
[load]
kind = "volume"
[[fit]]
kind = "ridge"
bands = "each"
"""
NAMES = [f"s{number:02d}" for number in range(24)]


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    """A dataset of feature files, and what a participant notes of them."""
    top, rng = tmp_path_factory.mktemp("base"), np.random.default_rng(0)
    root = top / "bids"
    (root / "pictures").mkdir(parents=True)
    (root / "words").mkdir()
    frame = pd.DataFrame(rng.random((24, 3)).round(3), columns=list("abc"))
    frame.insert(0, "stimulus", NAMES)
    frame.to_csv(root / "abc.tsv", sep="\t", index=False)
    np.savetxt(root / "train_90.txt", planted_judgments(rng, 24, 2000), fmt="%d")
    (root / "names.txt").write_text("\n".join(NAMES) + "\n")
    for number, name in enumerate(NAMES[:3]):
        Image.fromarray(rng.integers(0, 255, (32, 32, 3)).astype(np.uint8) // (number + 1)).save(
            root / "pictures" / f"{name}.png"
        )
    for subject in ("01", "02"):
        for run in (1, 2):
            table = pd.DataFrame({"onset": np.arange(5) * 2.0, "x": rng.random(5).round(3)})
            table.to_csv(root / "words" / f"sub-{subject}_run-{run}.tsv", sep="\t", index=False)
    study = parse_config(CONFIG)
    places = Places(root, top / "out", top / "out" / "work")
    left = top / "out" / "embedding" / "learned_files" / ".tmp-0123abcd-portraits-1.svg"
    left.parent.mkdir(parents=True)
    left.write_text("of a process that was killed")
    spaces = make_spaces(study, places)
    assert not left.exists()
    sources = {s: table_keys(spaces, s) | input_keys(study, places, spaces) for s in ("01", "02")}
    return top, study, sources


@pytest.fixture
def made(base, tmp_path):
    top, study, sources = base
    for name in ("bids", "out"):
        shutil.copytree(top / name, tmp_path / name)
    results = [SimpleNamespace(subject=s, summary=SimpleNamespace(sources=sources[s])) for s in ("01", "02")]
    return SimpleNamespace(
        root=tmp_path / "bids",
        check=lambda: require_present_tables(
            study, Places(tmp_path / "bids", tmp_path / "out", tmp_path / "out" / "work"), results
        ),
    )


def test_what_is_unchanged_passes_and_is_all_noted(base, made):
    made.check()
    noted = set(base[2]["01"])
    assert {f"inputs of feature space '{name}'" for name in ("learned", "simulated", "vision")} <= noted
    assert "table of feature space 'words' of sub-01" in noted


def edit_lines(path, edit):
    lines = path.read_text().splitlines()
    path.write_text("\n".join(edit(lines)) + "\n")


CHANGES = {
    "judgments": ("train_90.txt", lambda lines: lines[1:], "sub-01", "inputs of feature space 'learned'"),
    "names of stimuli": ("names.txt", lambda lines: lines[::-1], "sub-01", "inputs of feature space 'learned'"),
    "ratings": (
        "abc.tsv",
        lambda lines: [*lines[:-1], lines[-1][:-1] + ("1" if lines[-1][-1] != "1" else "2")],
        "sub-01",
        "table of feature space 'abc'",
    ),
    "values of words": (
        "words/sub-02_run-2.tsv",
        lambda lines: [*lines[:-1], "8.0\t0.5555"],
        "sub-02",
        "table of feature space 'words' of sub-02",
    ),
    "times of words": (
        "words/sub-02_run-1.tsv",
        lambda lines: [line.replace("4.0\t", "4.5\t") for line in lines],
        "sub-02",
        "table of feature space 'words' of sub-02",
    ),
}


@pytest.mark.parametrize("name", CHANGES)
def test_changed_files_are_refused_by_name(made, name):
    file, change, who, what = CHANGES[name]
    edit_lines(made.root / file, change)
    with pytest.raises(DataError, match=f"{who} was made before the {what} was changed"):
        made.check()


def test_changed_pictures_are_refused(made):
    path = made.root / "pictures" / "s00.png"
    Image.fromarray(np.zeros((32, 32, 3), np.uint8)).save(path)
    with pytest.raises(DataError, match="inputs of feature space 'vision' was changed"):
        made.check()


def test_recordings_of_a_new_participant_change_nothing_for_others(made):
    shutil.copy(made.root / "words" / "sub-01_run-1.tsv", made.root / "words" / "sub-03_run-1.tsv")
    made.check()


def test_files_that_are_not_there_are_not_compared(made):
    shutil.rmtree(made.root)
    made.check()


def test_copies_of_participants_are_refused():
    def result(subject, values):
        scores = {"r2": SimpleNamespace(values=np.array(values, np.float32))}
        return SimpleNamespace(subject=subject, scores=scores)

    require_different([result("01", [1.0, np.nan]), result("02", [1.0, 2.0])])
    with pytest.raises(DataError, match="sub-03 has the scores of sub-01, number by number"):
        require_different([result("01", [1.0, np.nan]), result("02", [1.0, 2.0]), result("03", [1.0, np.nan])])


def test_a_source_of_ones_own_need_not_tell(base):
    top, study, _ = base
    places = Places(top / "bids", top / "out", top / "out" / "work")
    (source,) = (one for one in study.features if one.name == "vision")
    quiet = type("Quiet", (), {"slow": True, "name": "q", "needs": lambda _: {}, "inputs_key": lambda *_: None})()
    assert input_keys(dataclasses.replace(study, features=(quiet,)), places, ()) == {}
    assert list(input_keys(dataclasses.replace(study, features=(source,)), places, ())) == [
        "inputs of feature space 'vision'"
    ]

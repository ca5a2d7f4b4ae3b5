"""Feature tables are read, or say what is wrong with them."""

import numpy as np
import pandas as pd
import pytest

from encoding.core import ConfigError, DataError, FeatureSpace, Samples
from encoding.embedding import SOURCES, FeatureTable, embed
from encoding.io.store import save

FRAME = pd.DataFrame({"stim_id": ["007", "b", "c"], "joy": [0.1, 0.2, 0.3], "fear": [1, 2, 3]})


def write(folder, frame=FRAME, name="x.tsv"):
    path = folder / name
    if path.suffix == ".parquet":
        frame.to_parquet(path)
    else:
        frame.to_csv(path, sep="\t" if path.suffix == ".tsv" else ",", index=False, na_rep="n/a")
    return name


@pytest.mark.parametrize("name", ["x.tsv", "x.csv", "x.parquet"])
def test_tables_become_feature_spaces(tmp_path, name):
    space = embed(FeatureTable("emotion", write(tmp_path, name=name)), tmp_path)
    assert space.name == "emotion"
    assert space.features == ("joy", "fear")
    assert space.samples.clock == "none"
    assert space.samples.stimulus.tolist() == ["007", "b", "c"]
    np.testing.assert_allclose(space.values, FRAME[["joy", "fear"]])
    assert list(space.provenance.inputs) == [name]


def test_columns_and_stimulus_can_be_chosen(tmp_path):
    frame = FRAME.assign(clip=["x", "y", "z"], note="text")
    name = write(tmp_path, frame)
    space = embed(FeatureTable("e", name, stimulus="clip", columns=["fear"]), tmp_path)
    assert space.features == ("fear",)
    assert space.samples.stimulus.tolist() == ["x", "y", "z"]


def test_arrays_take_their_names_from_beside_them(tmp_path):
    values = np.random.default_rng(0).standard_normal((3, 2))
    np.save(tmp_path / "x.npy", values)
    with pytest.raises(DataError, match=r"0 of x\.txt"):
        embed(FeatureTable("e", "x.npy"), tmp_path)
    (tmp_path / "x.txt").write_text("007\nb\nc\n")
    space = embed(FeatureTable("e", "x.npy"), tmp_path)
    assert space.features == ("e_1", "e_2")
    assert space.samples.stimulus.tolist() == ["007", "b", "c"]
    np.testing.assert_allclose(space.values, values.astype(np.float32))
    assert sorted(space.provenance.inputs) == ["x.npy", "x.txt"]
    write(tmp_path)
    with pytest.raises(DataError, match=r"2 of x\.txt"):
        embed(FeatureTable("e", "x.npy"), tmp_path)
    (tmp_path / "x.txt").unlink()
    named = embed(FeatureTable("e", "x.npy", columns=["p", "q"]), tmp_path)
    assert named.features == ("p", "q")
    (tmp_path / "x.tsv").write_text("stim_id\na\n")
    with pytest.raises(DataError, match=r"shape \(3, 2\), but x\.tsv names 1 stimulus"):
        embed(FeatureTable("e", "x.npy"), tmp_path)


def test_saved_spaces_can_be_used_again(tmp_path):
    space = FeatureSpace("old", np.eye(2), Samples.of_stimuli(["a", "b"]), ["p", "q"])
    save(space, tmp_path / "space")
    again = embed(FeatureTable("new", "space"), tmp_path)
    assert (again.name, again.features) == ("new", ("p", "q"))
    assert embed(FeatureTable("new", "space", columns=["q"]), tmp_path).values.tolist() == [[0], [1]]
    with pytest.raises(DataError, match="no feature 'r'"):
        embed(FeatureTable("new", "space", columns=["r"]), tmp_path)
    save(space.samples, tmp_path / "other")
    with pytest.raises(DataError, match="holds a Samples, but a FeatureSpace"):
        embed(FeatureTable("new", "other"), tmp_path)


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        (FRAME.assign(stim_id=["a", "b", "b"]), r"1 stimulus has more than one row \('b'\)"),
        (FRAME.assign(joy=[1, np.nan, 2]), "1 value is missing or not finite; the first is 'joy' of 'b'"),
        (FRAME.assign(joy=[1, np.inf, 2]), "the first is 'joy' of 'b'"),
        (FRAME.assign(joy=["1", "much", "2"]), "column 'joy' holds 'much' in row 2.*List the features in `columns`"),
        (FRAME.assign(stim_id=["a", None, "b"]), "row 2 has no stimulus"),
        (FRAME[["stim_id"]], "no column beside 'stim_id'"),
        (FRAME[["joy", "fear"]], "no column 'stim_id' or .*Set `stimulus`"),
    ],
)
def test_bad_tables_are_named(tmp_path, frame, message):
    with pytest.raises(DataError, match=rf"x\.tsv.*{message}"):
        embed(FeatureTable("e", write(tmp_path, frame)), tmp_path)


def test_missing_columns_and_files_are_named(tmp_path):
    name = write(tmp_path)
    with pytest.raises(DataError, match=r"no column 'joi' for feature space 'e'\. Did you mean 'joy'"):
        embed(FeatureTable("e", name, columns=["joi"]), tmp_path)
    with pytest.raises(DataError, match="no column 'clip'"):
        embed(FeatureTable("e", name, stimulus="clip"), tmp_path)
    with pytest.raises(DataError, match=r"Feature space 'e': no file .*nowhere\.tsv"):
        embed(FeatureTable("e", "nowhere.tsv"), tmp_path)
    np.save(tmp_path / "flat.npy", np.zeros(3))
    with pytest.raises(DataError, match=r"flat\.npy: shape \(3,\) of float64"):
        embed(FeatureTable("e", "flat.npy"), tmp_path)
    (tmp_path / "broken.npy").write_bytes(b"not an array")
    with pytest.raises(DataError, match=r"broken\.npy: cannot be read"):
        embed(FeatureTable("e", "broken.npy"), tmp_path)


def test_settings_are_checked():
    assert SOURCES["table"] is FeatureTable
    for settings, message in (
        ({"name": "", "file": "x"}, "name = '': a string that is not empty is needed"),
        ({"name": "e", "file": "x", "columns": "joy"}, "columns = 'joy': a list"),
        ({"name": "e", "file": "x", "columns": []}, "columns = \\[\\]: a list of one or more columns"),
    ):
        with pytest.raises(ConfigError, match=message):
            FeatureTable(**settings)


def test_haxby_features_are_one_hot(haxby):
    space = embed(FeatureTable("category", "stimuli/feature-category.tsv"), haxby)
    assert space.n_features == 8
    np.testing.assert_array_equal(space.values.sum(axis=1), 1)

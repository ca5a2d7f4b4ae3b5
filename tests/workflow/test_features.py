"""All feature spaces of a study, whatever they are made of and in whatever order they are listed."""

import numpy as np
import pytest

from encoding.config import parse_config
from encoding.core import ConfigError, DataError, FeatureSpace, Samples
from encoding.embedding import in_order
from encoding.workflow.features import make_spaces
from encoding.workflow.jobs import Places

REST = '\n[load]\ntask = "video"\n[[fit]]\nkind = "ridge"\nbands = "each"\n'
BOTH = '[[features]]\nname = "both"\nkind = "concat"\nspaces = ["b", "a"]\n'
TABLES = "".join(f'[[features]]\nname = "{name}"\nfile = "{name}.tsv"\n' for name in "ab")


def test_a_concat_may_be_listed_first(tmp_path):
    for name in "ab":
        (tmp_path / f"{name}.tsv").write_text(f"stim_id\t{name}1\n7\t1\n8\t2\n")
    study = parse_config(BOTH + TABLES + REST)
    spaces = make_spaces(study, Places(tmp_path, tmp_path / "out", tmp_path / "work"))
    assert [space.name for space in spaces] == ["both", "a", "b"]
    assert spaces[0].features == ("b1", "a1")
    assert study.single == ("both", "a", "b")


def test_motion_energy_is_kept_with_what_is_learned(tmp_path, monkeypatch):
    made = FeatureSpace("motion", np.arange(4.0).reshape(2, 2), Samples.of_stimuli(np.array(["1", "2"])), ("m1", "m2"))
    asked = []
    monkeypatch.setattr("encoding.embedding.motion.measure_motion", lambda *given, **_: asked.append(given) or made)
    text = '[[features]]\nname = "motion"\nkind = "motion_energy"\nvideos = "clips"\n'
    study = parse_config(text + REST)
    (space,) = make_spaces(study, Places(tmp_path, tmp_path / "out", tmp_path / "work"))
    assert space is made
    assert asked == [(study.features[0], tmp_path, tmp_path / "out" / "embedding")]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (BOTH.replace('"b"', '"c"') + TABLES + REST, r"'both': spaces names 'c'.*Known: a, b"),
        (BOTH.replace('"b"', '"both"') + TABLES + REST, r"'both': spaces names 'both', which is no feature space"),
        (TABLES + REST + '[map]\nthreshold = "fdr"\n', r'threshold = "fdr" needs significance = "noise"'),
        (
            (TABLES + REST).replace("[[fit]]", 'per = "stimulus"\nscale_rows = "all"\n[[fit]]'),
            r'scale_rows = all with \[align\] centre = true.*scale_rows = "all" goes with centre = false',
        ),
    ],
)
def test_what_does_not_go_together_is_refused(text, message):
    with pytest.raises(ConfigError, match=message):
        parse_config(text)


CHAIN = (
    '[[features]]\nname = "all"\nkind = "concat"\nspaces = ["both", "c"]\n'
    + BOTH
    + "".join(f'[[features]]\nname = "{name}"\nfile = "{name}.tsv"\n' for name in "abc")
)


def test_what_is_made_of_others_follows_them(tmp_path):
    for name in "abc":
        (tmp_path / f"{name}.tsv").write_text(f"stim_id\t{name}1\n7\t1\n8\t2\n")
    study = parse_config(CHAIN + REST)
    assert [source.name for source in in_order(study.features)] == ["a", "b", "both", "c", "all"]
    spaces = make_spaces(study, Places(tmp_path, tmp_path / "out", tmp_path / "work"))
    assert [space.name for space in spaces] == ["all", "both", "a", "b", "c"]
    assert spaces[0].features == ("b1", "a1", "c1")


def test_slow_sources_come_after_quick_ones_that_they_do_not_name():
    judged = '[[features]]\nname = "judged"\nkind = "judgments"\nfile = "x.parquet"\n'
    study = parse_config(judged + BOTH.replace('"a"', '"judged"') + TABLES + REST)
    assert [source.name for source in in_order(study.features)] == ["a", "b", "judged", "both"]


def test_spaces_that_are_made_of_each_other_are_refused():
    other = '[[features]]\nname = "other"\nkind = "concat"\nspaces = ["both", "a"]\n'
    with pytest.raises(ConfigError, match=r"'both', 'other' need each other"):
        parse_config(BOTH.replace('"b"', '"other"') + other + TABLES + REST)


def test_ratings_that_are_not_there_are_named_before_anything_is_read():
    judged = '[[features]]\nname = "judged"\nkind = "judgments"\nratings = "d"\n'
    with pytest.raises(ConfigError, match=r"'judged': ratings names 'd', which is no feature space .*Known: a, b"):
        parse_config(judged + TABLES + REST)


@pytest.mark.parametrize("made", [None, FeatureSpace("c", np.eye(2), Samples.of_stimuli(["7", "8"]), ("c1", "c2"))])
def test_a_source_that_returns_something_else_is_named(tmp_path, monkeypatch, made):
    monkeypatch.setattr("encoding.embedding.tables.embed", lambda *_: made)
    study = parse_config(TABLES + REST)
    with pytest.raises(
        DataError, match=r"'a': FeatureTable.make_space returned .* a FeatureSpace named 'a' with one row"
    ):
        make_spaces(study, Places(tmp_path, tmp_path / "out", tmp_path / "work"))


@pytest.mark.parametrize("filled", [False, True])
def test_stimuli_without_features_are_filled_only_when_asked(tmp_path, filled):
    """A table that lacks one of eight stimuli, and has a missing value in another."""
    from factories import write_config, write_study

    from encoding.config import read_config
    from encoding.core import AlignmentError
    from encoding.pipeline import Job, load_subject

    study = write_study(tmp_path / "bids")
    table = study.features.drop("clip3")
    table.loc["clip5", "b"] = np.nan
    table.to_csv(study.root / "stimuli" / "feature-abc.tsv", sep="\t", na_rep="n/a")
    setting = 'name = "abc"\nfile = "stimuli/feature-abc.tsv"\n'
    config = write_config(tmp_path, (setting, setting + 'fill = "mean"\n' * filled))
    text = config.read_text().replace('columns = ["a"]', 'columns = ["a"]\nfill = "mean"')
    config.write_text(text)
    job = Job(read_config(config), Places(study.root, tmp_path / "out", tmp_path / "work"), "01")
    if not filled:
        with pytest.raises((AlignmentError, DataError), match="missing"):
            load_subject(job)
        return
    loaded = load_subject(job)
    whole = loaded.described[0]
    assert set(whole.samples.stimulus) == set(study.features.index)
    place = whole.samples.stimulus.tolist().index
    expected = study.features.drop(["clip3", "clip5"]).mean()
    np.testing.assert_allclose(whole.values[place("clip3")], expected, rtol=1e-5)
    np.testing.assert_allclose(whole.values[place("clip5")], expected, rtol=1e-5)
    told = [note.text for note in loaded.exclusions if note.what == "stimuli"]
    assert "feature space 'abc': without features, filled with the mean of the others (clip3, clip5)" in told
    assert "feature space 'first': without features, filled with the mean of the others (clip3)" in told

"""From a file of judgments to a feature space, a page, and an encoding model, once."""

import dataclasses
import inspect

import numpy as np
import pandas as pd
import pytest
from factories import write_config

from encoding.cli import main
from encoding.config import parse_config, read_config
from encoding.core import ConfigError, DataError, FeatureSpace, Samples
from encoding.embedding import (
    FeatureTable,
    JudgmentTable,
    SparseEmbedding,
    compare_embeddings,
    embed,
    evaluate,
    evaluate_ratings,
    explain,
    fit_consensus,
    learn,
    learning_curve,
    measure_blend,
    predict_ratings,
    simulate_judgments,
)
from encoding.embedding.from_judgments import gather_judgments
from encoding.embedding.triplets import as_triplets
from encoding.io.store import load, save
from encoding.numerics.matching import match_columns
from encoding.pipeline import Job, Places, run_compare

from .conftest import planted


def refuse(*arguments, **named):
    pytest.fail("learned again")


@pytest.fixture
def folder(tmp_path, small):
    save(small, tmp_path / "judgments")
    return tmp_path


def table(**changes):
    settings = {"name": "judge", "file": "judgments", "max_dims": 10, "seeds": (0, 1), "resamples": 2, **changes}
    return JudgmentTable(**settings)


def test_judgments_become_a_feature_space_with_all_that_belongs_to_it(folder, small_truth):
    space = learn(table(), folder, folder / "out")
    assert match_columns(small_truth, space.values)[1].min() > 0.9
    assert space.samples.stimulus.tolist() == [str(k) for k in range(40)]
    array = np.load(folder / "out" / "judge.npy")
    assert np.array_equal(array, space.values)
    assert len((folder / "out" / "judge.txt").read_text().splitlines()) == 40
    path = pd.read_csv(folder / "out" / "judge_path.tsv", sep="\t")
    assert path["chosen"].sum() == 1
    dimensions = pd.read_csv(folder / "out" / "judge_dimensions.tsv", sep="\t")
    assert len(dimensions) == space.n_features
    page = (folder / "out" / "judge.html").read_text()
    assert "Dimensions of all seeds are matched" in page
    assert "scored on" in page
    assert "<script src" not in page


def test_intervals_of_weights_are_shown_and_kept(folder):
    source = table(method="variational", seeds=(0,), lambdas=(0.05,), ridges=(0.0,), reweight=0)
    space = learn(source, folder, folder / "out")
    kept = pd.read_csv(folder / "out" / "judge_intervals.tsv", sep="\t")
    assert len(kept) == space.values.size
    assert (kept["low"] <= kept["weight"]).all()
    assert (kept["weight"] <= kept["high"]).all()
    for feature, part in kept.groupby("dimension"):
        column = dict(zip(space.samples.stimulus, space.values[:, space.features.index(feature)], strict=True))
        assert part["weight"].to_numpy() == pytest.approx([column[str(k)] for k in part["stimulus"]], abs=1e-5)
        assert part["weight"].is_monotonic_decreasing
    page = (folder / "out" / "judge.html").read_text()
    assert "Intervals of weights" in page
    assert "no intervals" not in page


def test_the_array_can_be_read_as_a_table_again(folder):
    space = learn(table(seeds=(0,)), folder, folder / "out")
    again = embed(FeatureTable("again", "out/judge.npy"), folder)
    assert np.array_equal(again.values, space.values)
    assert embed(FeatureTable("again", "out/judge"), folder).samples.same_as(space.samples)


def test_what_was_learned_is_loaded(folder, monkeypatch, small):
    first = learn(table(), folder, folder / "out")
    monkeypatch.setattr("encoding.embedding.consensus.fit_consensus", refuse)
    again = learn(table(categories=None, frames=None), folder, folder / "out")
    assert np.array_equal(first.values, again.values)
    with pytest.raises(pytest.fail.Exception, match="learned again"):
        learn(table(seeds=(0, 2)), folder, folder / "out")
    save(dataclasses.replace(small, choice=(small.choice + 1) % 3), folder / "judgments")
    with pytest.raises(pytest.fail.Exception, match="learned again"):
        learn(table(), folder, folder / "out")


def test_a_part_is_kept_for_testing_whatever_the_order(folder, small):
    judgments = gather_judgments(table(test_share=0.1), folder)
    data = as_triplets(small)
    sets = pd.Series(judgments.split == "test").groupby(data.keys)
    assert sets.nunique().max() == 1
    assert sets.first().mean() == pytest.approx(0.1, abs=0.001)
    assert (gather_judgments(table(test_share=0.0), folder).split == "").all()


def test_files_of_numbers_are_joined(tmp_path, small):
    rows = np.arange(len(small))
    others = [small.items[rows, (small.choice + shift) % 3] for shift in (1, 2)]
    numbers = np.stack([*others, small.items[rows, small.choice]], axis=1)
    keys = as_triplets(small).keys
    test = keys % 10 == 0
    np.savetxt(tmp_path / "train_90.txt", numbers[~test], fmt="%d")
    np.save(tmp_path / "test_10.npy", numbers[test])
    (tmp_path / "names.txt").write_text("\n".join(f"clip{k}" for k in range(40)))
    source = table(file="train_90.txt", test="test_10.npy", stimuli="names.txt", seeds=(0,))
    judgments = gather_judgments(source, tmp_path)
    assert judgments.stimuli[0] == "clip0"
    assert (judgments.split == "test").sum() == test.sum()
    space = learn(source, tmp_path, tmp_path / "out")
    assert space.samples.stimulus[0] == "clip0"
    unnamed = gather_judgments(dataclasses.replace(source, stimuli=None), tmp_path)
    assert unnamed.stimuli == tuple(map(str, range(40)))


def test_ratings_and_pictures_are_shown(folder, small_truth):
    from PIL import Image

    names = [str(k) for k in range(40)]
    rng = np.random.default_rng(0)
    ratings = FeatureSpace(
        "emotions", small_truth + rng.random((40, 3)), Samples.of_stimuli(names), ("awe", "joy", "fear")
    )
    affect = FeatureSpace("affect", rng.random((40, 2)), Samples.of_stimuli(names), ("valence", "arousal"))
    (folder / "frames").mkdir()
    for name in names[:30]:
        Image.new("RGB", (64, 48), (10, 100, 200)).save(folder / "frames" / f"{name}.png")
    source = table(categories="emotions", dimensions="affect", frames="frames")
    learn(source, folder, folder / "out", related={"emotions": ratings, "affect": affect})
    page = (folder / "out" / "judge.html").read_text()
    for word in ("awe", "What the dimensions mean", "Nearest centroid among 3 categories", "judge_stimuli/judge_1.jpg"):
        assert word in page
    assert (folder / "out" / "judge_stimuli" / "judge_1.jpg").is_file()
    for word in ("Portraits", "Stimuli as roses", "judge_files/portraits-1.svg"):
        assert word in page or word in (folder / "out" / "judge_files" / "portraits-4.svg").read_text()
    worth = pd.read_csv(folder / "out" / "judge_files" / "portraits-2.tsv", sep="\t")
    assert worth["dimension"].tolist() == list(range(1, load(folder / "out" / "judge").n_features + 1))
    assert isinstance(load(folder / "out" / "judge"), FeatureSpace)
    with pytest.raises(ConfigError, match=r"'judge': no feature space 'emotion'. Did you mean 'emotions'\?"):
        learn(table(categories="emotion", seeds=(0, 5)), folder, folder / "out", related={"emotions": ratings})


def test_ratings_are_embedded_through_the_same_door(tmp_path, small_truth):
    names = [f"clip{k}" for k in range(40)]
    ratings = FeatureSpace("emotions", small_truth + 0.05, Samples.of_stimuli(names), ("awe", "joy", "fear"))
    source = table(file="", ratings="emotions", n_judgments=5_000, temperature=0.1)
    space = learn(source, tmp_path, tmp_path / "out", related={"emotions": ratings})
    assert space.samples.stimulus.tolist() == names
    profiles = small_truth / np.linalg.norm(small_truth + 1e-9, axis=1, keepdims=True)
    assert match_columns(profiles, space.values)[1].min() > 0.8
    other = dataclasses.replace(ratings, values=ratings.values[::-1].copy())
    again = learn(source, tmp_path, tmp_path / "out", related={"emotions": other})
    assert not np.array_equal(again.values, space.values)
    with pytest.raises(ConfigError, match=r"no feature space 'emotions'\. Known: none"):
        learn(source, tmp_path, tmp_path / "out")


def test_missing_files_are_named(folder):
    with pytest.raises(DataError, match=r"Feature space 'judge': no file .*nowhere.parquet"):
        learn(table(file="nowhere.parquet"), folder, folder / "out")
    with pytest.raises(DataError, match=r"frames .*nowhere is not a folder"):
        learn(table(frames="nowhere"), folder, folder / "out")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('method = "mapp"', r"method = 'mapp': 'map' or 'variational' is needed \(did you mean 'map'\?\)"),
        ("seeds = [1, 1]", r"seeds = \[1, 1\]: a list of different integers"),
        ("n_dims = 0", "n_dims = 0: an integer from 1 to 100,000"),
        ("lambdas = []", r"lambdas = \[\]: a list of numbers of 0 or more"),
        ("test_share = 1.5", "test_share = 1.5"),
        ('ratings = "emotions"', "ratings = 'emotions', but one of the two is needed"),
        ("n_judgments = 0", "n_judgments = 0: an integer of 1 or more is needed"),
        ("seed = 3", r"unknown key 'seed'. Did you mean 'seeds'\?"),
    ],
)
def test_wrong_settings_are_refused(line, message):
    text = f"""
        [[features]]
        kind = "judgments"
        name = "judge"
        file = "judgments.parquet"
        {line}
        [load]
        task = "video"
        kind = "volume"
        [[fit]]
        kind = "ridge"
        bands = ["judge"]
    """
    with pytest.raises(ConfigError, match=message):
        parse_config(text)


JUDGMENTS = """
[[features]]
kind = "judgments"
name = "judge"
file = "stimuli/judgments"
max_dims = 6
lambdas = [0.02, 0.05]
seeds = [0, 1]
resamples = 2
"""


@pytest.fixture
def judged_study(study):
    """Judgments about the eight clips, and their embedding as a band of its own."""
    truth = planted(0, n_items=8, n_dims=3) + 0.2
    space = FeatureSpace("t", truth, Samples.of_stimuli([f"clip{k}" for k in range(8)]), ("a", "b", "c"))
    save(simulate_judgments(space, 4_000, seed=0, soft=True), study.root / "stimuli" / "judgments")
    config = write_config(study.root.parent)
    text = config.read_text()
    place = text.index("[[features]]")
    config.write_text(text[:place] + JUDGMENTS + text[place:])
    return study, config


def test_one_command_learns_and_the_other_uses_it(judged_study, capsys, monkeypatch):
    study, config = judged_study
    out = study.root.parent / "out"
    assert main(["embed", str(study.root), str(out), "--config", str(config)]) == 0
    printed = capsys.readouterr().out.split()
    assert printed == [str(out / "embedding" / "judge.html")]
    space = load(out / "embedding" / "judge")
    assert space.samples.stimulus.tolist() == [f"clip{k}" for k in range(8)]
    monkeypatch.setattr("encoding.embedding.consensus.fit_consensus", refuse)
    text = config.read_text().replace(
        "[[fit]]", '[[fit]]\nkind = "ridge"\nname = "judged"\nbands = ["judge"]\n\n[[fit]]', 1
    )
    config.write_text(text)
    job = Job(read_config(config), Places(study.root, out, out / "work"), "01", "cpu")
    result = run_compare(job)
    assert "judged" in result.summary.models
    assert result.summary.features["judge"] == space.n_features * len(job.study.align.delays)


def test_without_judgments_there_is_nothing_to_learn(study, capsys):
    config = write_config(study.root.parent)
    assert main(["embed", str(study.root), str(study.root.parent / "out"), "--config", str(config)]) == 1
    assert 'no [[features]] table has kind = "judgments"' in capsys.readouterr().err


def test_a_file_of_feature_spaces_is_enough_to_learn(folder, capsys):
    config = folder / "spaces.toml"
    config.write_text(
        '[[features]]\nkind = "judgments"\nname = "judge"\nfile = "judgments"\nmax_dims = 10\nseeds = [0]\n'
    )
    assert main(["embed", "--config", str(config)]) == 0
    page = folder / "derivatives" / "brain-encoding" / "embedding" / "judge.html"
    assert capsys.readouterr().out.split() == [str(page.resolve())]
    assert page.is_file()
    assert main(["run", str(folder), str(folder / "out"), "participant", "--config", str(config)]) == 1
    assert "table [load] is missing" in capsys.readouterr().err


def test_all_that_python_can_set_a_configuration_can():
    """Every parameter of the estimator and of the consensus is a key with the same default."""
    own = {"device": "--device", "random_state": "seeds"}  # of the command line; the first seed
    keys = {
        field.name: getattr(JudgmentTable("x", file="y"), field.name) for field in dataclasses.fields(JudgmentTable)
    }
    estimator = {field.name: field.default for field in dataclasses.fields(SparseEmbedding)}
    shared = {name for name in estimator if name not in own}
    assert {name: keys.get(name, "missing") for name in shared} == {name: estimator[name] for name in shared}
    signature = inspect.signature(fit_consensus).parameters
    options = {name: p.default for name, p in signature.items() if p.kind is p.KEYWORD_ONLY}
    given_elsewhere = {"workers", "progress"}
    assert {name: keys.get(name, "missing") for name in options if name not in given_elsewhere} == {
        name: value for name, value in options.items() if name not in given_elsewhere
    }
    # And what is set arrives: every key that differs from the default differs in the estimator.
    others = {"method": "variational", "n_dims": 3, "max_dims": 7, "lambdas": (0.1,), "start": "spectral",
              "slot_bias": True, "task": "match", "judge_noise": True, "ridges": (1.0,), "reweight": 1, "spike": 0.1,
              "slab": 2.0, "share": 0.3, "validation": 0.2, "tol": 1e-5, "max_iter": 9, "precision": "float64",
              "threads": 2}  # fmt: skip
    assert set(others) == shared
    table = JudgmentTable("x", file="y", seeds=(4, 5), **others)
    assert table.estimator("cpu").get_params() == others | {"device": "cpu", "random_state": 4}


@pytest.mark.parametrize(
    ("function", "elsewhere"),
    [
        # Why a table does not set them: data, where the run decides, or seeds, which `seeds` sets.
        (SparseEmbedding, {"device", "random_state"}),
        (fit_consensus, {"estimator", "judgments", "workers", "progress"}),
        (learning_curve, {"model", "judgments", "seed"}),
        (simulate_judgments, {"space", "seed", "slot_bias"}),  # a simulated preference is there to test its estimate
        (evaluate, {"embeddings", "judgments", "bias", "seed"}),
        (evaluate_ratings, {"embeddings", "ratings", "fitted_to", "seed"}),
        (explain, {"space", "categories", "dimensions", "seed"}),
        (predict_ratings, {"space", "ratings", "alpha", "seed"}),  # the page's sentences state its 5%
        (compare_embeddings, {"first", "second", "seed"}),
        (measure_blend, {"X"}),
    ],
)
def test_all_that_python_can_set_a_table_can(function, elsewhere):
    called = {"n": "n_judgments", "shares": "learning_shares", "n_simulations": "n_permutations"}
    settable = {field.name for field in dataclasses.fields(JudgmentTable)}
    names = {called.get(name, name) for name in inspect.signature(function).parameters}
    assert names - elsewhere <= settable

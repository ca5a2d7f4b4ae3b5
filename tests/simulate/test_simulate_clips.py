"""Clips and captions show what the simulated spaces say, and judges get it back out of them."""

import numpy as np
import pandas as pd
import pytest

av = pytest.importorskip("av", reason="PyAV (the extra collect) is not installed")

from encoding.cli import main  # noqa: E402
from encoding.collection import exported, open_collection  # noqa: E402
from encoding.config import read_config  # noqa: E402
from encoding.config.collect import read_collection  # noqa: E402
from encoding.core import ConfigError, DataError, fingerprint  # noqa: E402
from encoding.embedding import SparseEmbedding  # noqa: E402
from encoding.io.judgments.files import read_judgments  # noqa: E402
from encoding.io.tables import read_stimuli  # noqa: E402
from encoding.simulate import simulate  # noqa: E402
from encoding.simulate.clips import STEPS, THEMES, TILES, caption, mosaic, palette, write_clip  # noqa: E402
from encoding.simulate.spaces import simulate_spaces  # noqa: E402


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    root = simulate(tmp_path_factory.mktemp("clips") / "study", preset="tiny", seed=3, clips=True)
    for folder in ("clips", "captions"):
        assert main(["collect", "all", "--config", str(root / f"collect_{folder}.toml")]) == 0
    return root


def test_colours_differ_and_are_never_dark():
    colours = palette(30)
    assert len(np.unique(colours, axis=0)) == 30
    assert (colours.max(axis=1) >= 256 // STEPS).all()
    steps = colours.astype(int) * STEPS // 256
    assert np.array_equal(colours, (2 * steps + 1) * 256 // (2 * STEPS))


def test_tiles_are_in_proportion_and_a_full_picture_shows_all_in_proportion():
    rng = np.random.default_rng(0)
    values = np.array([2.0, 0.5, 0.0, 1.0])
    tiles = mosaic(values, rng).reshape(-1, 3)
    shown = [(tiles == colour).all(axis=1).sum() for colour in palette(4)]
    assert np.abs(np.array(shown) - 12 * values).max() <= 1
    crowded = mosaic(20 * values, rng).reshape(-1, 3)
    shown = np.array([(crowded == colour).all(axis=1).sum() for colour in palette(4)])
    assert shown.sum() <= TILES * TILES
    assert np.allclose(shown / shown.sum(), values / values.sum(), atol=0.01)


def test_captions_name_more_the_more_there_is():
    words = " ".join(THEMES).split()
    assert len(set(words)) == len(words) == 180
    text = caption(np.array([0.0, 1.0, 9.0]), np.random.default_rng(0))
    assert sum(word in text.replace(",", " ").replace(".", " ").split() for word in THEMES[1].split()) == 2
    assert all(word in text for word in THEMES[2].split())
    assert not any(word in text for word in THEMES[0].split())
    assert caption(np.zeros(3), np.random.default_rng(0)) == "We see nothing."


def test_clips_play_as_long_as_the_table_says_and_are_the_same_again(study, tmp_path):
    stimuli = read_stimuli(study / "stimuli" / "stimuli.tsv")
    for path, seconds in list(zip(stimuli.path, stimuli.duration, strict=True))[:5]:
        with av.open(str(study / "stimuli" / path)) as container:
            shown = sum(1 for _ in container.decode(video=0))
        assert shown == max(round(seconds * 4), 1)
    tiles = mosaic(np.ones(5), np.random.default_rng(1))
    for name in ("a.mp4", "b.mp4"):
        write_clip(tmp_path / name, tiles, 2.0)
    assert fingerprint(tmp_path / "a.mp4") == fingerprint(tmp_path / "b.mp4")


@pytest.mark.parametrize(("folder", "name", "least"), [("clips", "mllm", 0.99), ("captions", "llm", 0.8)])
def test_an_embedding_of_the_judgments_is_the_planted_space(study, folder, name, least):
    judgments = exported(study / "judgments" / folder / "export" / name)
    assert set(judgments.outcome) == {"valid"}
    space = simulate_spaces(len(judgments.stimuli), 3)[name]
    rows = [int(stimulus.removeprefix("video")) - 1 for stimulus in judgments.stimuli]
    truth = space.clean[rows] @ space.clean[rows].T
    X = SparseEmbedding(n_dims=25, max_dims=40).fit(judgments).embedding_
    upper = np.triu_indices(len(X), 1)
    assert np.corrcoef((X @ X.T)[upper], truth[upper])[0, 1] > least
    # The other judge saw something else.
    other = simulate_spaces(len(judgments.stimuli), 3)["llm" if name == "mllm" else "mllm"].clean[rows]
    assert np.corrcoef((X @ X.T)[upper], (other @ other.T)[upper])[0, 1] < 0.8


def test_stages_run_from_clips_to_scores(study, tmp_path):
    text = (study / "run.toml").read_text(encoding="utf-8")
    config = tmp_path / "run.toml"
    config.write_text(text.replace("seeds = [0, 1, 2, 3, 4]", "seeds = [0, 1]"), encoding="utf-8")
    where = [str(study), str(tmp_path / "out"), "--config", str(config), "--participant-label", "01"]
    assert main(["compare", *where]) == 0
    regions = pd.read_csv(tmp_path / "out" / "sub-01" / "regions.tsv", sep="\t")
    assert {"mllm", "llm", "category", "dimension", "joint"} <= set(regions["model"])
    page = (tmp_path / "out" / "embedding" / "mllm.html").read_text(encoding="utf-8")
    assert "Predicted and measured similarity" in page
    assert "Pairs of 20 stimuli" in page or "20 stimuli drawn anew" in page
    assert (tmp_path / "out" / "embedding" / "mllm_stimuli" / "mllm_1.jpg").is_file()
    assert read_config(study / "run.toml").features[2].name == "mllm"


def test_what_was_collected_is_not_asked_again(study, capsys):
    config = study / "collect_clips.toml"
    before = fingerprint(study / "judgments" / "clips" / "export" / "mllm" / "judgments.parquet")
    assert main(["collect", "all", "--config", str(config)]) == 0
    assert "quality.html" in capsys.readouterr().out
    opened = open_collection(read_collection(config))
    with opened.store(read_only=True) as store:
        setting = store.find_setting(opened.annotator("mllm").identity())
        assert sum(store.counts(setting).values()) == len(opened.plan)
    assert fingerprint(study / "judgments" / "clips" / "export" / "mllm" / "judgments.parquet") == before


def test_a_run_without_judgments_says_what_is_missing(tmp_path, capsys):
    root = simulate(tmp_path / "study", preset="tiny", seed=3, clips=True)
    assert main(["run", str(root), str(tmp_path / "out"), "participant", "--config", str(root / "run.toml")]) == 1
    assert "judgments/clips/export/mllm/judgments.parquet" in capsys.readouterr().err


def test_clips_without_the_package_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    with pytest.raises(ConfigError, match="PyAV, which is not there"):
        simulate(tmp_path / "study", preset="tiny", clips=True)
    assert not (tmp_path / "study").exists()


def test_the_store_holds_what_was_exported(study):
    folder = study / "judgments" / "clips"
    export = exported(folder / "export" / "mllm")
    stored = read_judgments(folder / "answers.sqlite")
    assert stored.stimuli == export.stimuli
    # An export is in the order of its plan, a store is read in the order of triplets, whenever they were answered.
    rows = [np.lexsort((one.repeat, *one.items.T)) for one in (stored, export)]
    for name in ("items", "choice", "outcome", "repeat", "split", "annotator"):
        ours, theirs = (getattr(one, name)[order] for one, order in zip((stored, export), rows, strict=True))
        np.testing.assert_array_equal(ours, theirs, err_msg=name)
    np.testing.assert_allclose(stored.probabilities[rows[0]], export.probabilities[rows[1]])
    assert set(stored.split) == {"train", "test", "subset"}
    with pytest.raises(DataError, match="0 settings with answers of annotator 'llm'"):
        read_judgments(folder / "answers.sqlite", annotator="llm")
    with pytest.raises(DataError, match=r"judgments.parquet: no judgments of 'mlm'. Did you mean 'mllm'"):
        read_judgments(folder / "export" / "mllm" / "judgments.parquet", annotator="mlm")

"""Judges that look at colours and count words, against what was painted and written."""

import asyncio
from itertools import combinations

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from sklearn.feature_extraction.text import TfidfVectorizer

from encoding.collection import Colours, Cosine, Words, of_captions, of_frames, of_names
from encoding.collection.baselines import colour_histogram, word_counts
from encoding.collection.computed import similarities
from encoding.collection.trials import Trial
from encoding.core import ConfigError, DataError

CAPTIONS = ["a dog and a puppy", "the puppy plays with a dog", "rain on a window", "rain, rain and wind"]


def ask(annotator, rows, repeats=None):
    trials = [Trial(k, tuple(row), tuple(row), 0 if repeats is None else repeats[k]) for k, row in enumerate(rows)]
    return asyncio.run(annotator.ask(trials, None))


@pytest.fixture
def painted(tmp_path):
    """Twelve pictures of 16 tiles in four colours, as frames of clips, and the tiles of each colour."""
    rng = np.random.default_rng(0)
    colours = np.array([[224, 32, 32], [32, 224, 32], [32, 32, 224], [0, 0, 0]], dtype=np.uint8)
    counts = rng.multinomial(16, [0.3, 0.3, 0.3, 0.1], size=12)
    frames = {}
    for number, count in enumerate(counts):
        tiles = rng.permutation(np.repeat(np.arange(4), count)).reshape(4, 4)
        path = tmp_path / f"{number}.png"
        Image.fromarray(colours[tiles].repeat(8, axis=0).repeat(8, axis=1)).save(path)
        frames[f"clip{number}"] = [(path, f"hash{number}")]
    return frames, counts


def test_histogram_is_the_share_of_each_colour(painted):
    frames, counts = painted
    for count, ((path, _),) in zip(counts, frames.values(), strict=True):
        shares = colour_histogram([path], dark=64)
        assert np.allclose(shares[[48, 12, 3]], count[:3] / 16)
        assert shares.sum() == pytest.approx(count[:3].sum() / 16)
        assert colour_histogram([path])[0] == pytest.approx(count[3] / 16)
    paths = [path for ((path, _),) in frames.values()]
    assert np.allclose(colour_histogram(paths), np.mean([colour_histogram([path]) for path in paths], axis=0))


@pytest.mark.parametrize("metric", ["dot", "cosine"])
def test_who_looks_at_colours_answers_by_what_was_painted(painted, metric):
    frames, counts = painted
    annotator = Colours(metric=metric, dark=64).open(of_frames(list(frames), frames))
    shares = counts[:, :3] / (np.linalg.norm(counts[:, :3], axis=1, keepdims=True) if metric == "cosine" else 1)
    rows = list(combinations(range(12), 3))
    decided = 0
    for row, answer in zip(rows, ask(annotator, rows), strict=True):
        a, b, c = shares[list(row)]
        score = np.array([b @ c, a @ c, a @ b])
        if np.diff(np.sort(score))[-1] < 1e-9:
            assert answer.outcome == "unparsed"
        else:
            decided += 1
            assert answer.choice == score.argmax()
    assert decided > 100


def test_probabilities_are_kept_if_wanted_and_answers_drawn_from_them(painted):
    frames, counts = painted
    contents = of_frames(list(frames), frames)
    annotator = Colours(metric="dot", dark=64, temperature=0.1, soft=True).open(contents)
    answers = ask(annotator, [(0, 5, 7)] * 3000, range(3000))
    a, b, c = counts[[0, 5, 7], :3] / 16
    wanted = np.exp(np.array([b @ c, a @ c, a @ b]) / 0.1)
    wanted /= wanted.sum()
    assert np.allclose([answer.probabilities for answer in answers], wanted)
    assert np.allclose(np.bincount([answer.choice for answer in answers], minlength=3) / 3000, wanted, atol=0.03)
    hard = Colours(metric="dot", dark=64, temperature=0.1).open(contents)
    assert hard.identity() != annotator.identity()
    assert {answer.probabilities for answer in ask(hard, [(0, 5, 7)] * 5)} == {None}


def test_words_are_weighted_as_scikit_learn_does():
    wanted = TfidfVectorizer(stop_words="english").fit_transform(CAPTIONS)
    contents = of_captions(list("abcd"), dict(zip("abcd", ([text] for text in CAPTIONS), strict=True)))
    annotator = Words().open(contents)
    rows = np.array(list(combinations(range(4), 3)))
    dense = wanted.toarray()
    assert np.allclose(similarities(annotator._table, rows), similarities(dense, rows))
    assert [answer.choice for answer in ask(annotator, [(0, 1, 2), (0, 2, 3)])] == [2, 0]
    counts = word_counts(CAPTIONS, weights="count")
    assert counts.sum() == 2 + 3 + 2 + 3
    assert counts.max() == 2


def test_each_caption_of_a_stimulus_is_judged_by_its_own_words():
    captions = {"a": ["dog", "rain"], "b": ["dog"], "c": ["rain"]}
    contents = of_captions(list("abc"), captions, policy="random")
    annotator = Words(metric="dot", weights="count").open(contents)
    trials = [Trial(0, (0, 1, 2), (0, 2, 3), 0), Trial(1, (0, 1, 2), (1, 2, 3), 0)]
    assert [answer.choice for answer in asyncio.run(annotator.ask(trials, None))] == [2, 1]


def test_judges_say_what_they_need(tmp_path):
    with pytest.raises(DataError, match='set show = "frames"'):
        Colours().open(of_names(["a", "b", "c"]))
    with pytest.raises(DataError, match='set show = "captions"'):
        Words().open(of_names(["a", "b", "c"]))
    with pytest.raises(DataError, match="3 captions: there are no words"):
        Words().open(of_captions(list("abc"), {name: ["the"] for name in "abc"}))
    with pytest.raises(ConfigError, match="levels = 1: an integer from 2 to 16"):
        Colours(levels=1)
    with pytest.raises(ConfigError, match="weights = 'log'"):
        Words(weights="log")
    with pytest.raises(ConfigError, match="soft = true"):
        Colours(soft=True)
    pd.DataFrame({"stimulus": list("abc"), "x": [1.0, 2.0, 3.0]}).to_csv(tmp_path / "r.csv", index=False)
    soft = Cosine("r.csv", metric="dot", temperature=1.0, soft=True).open(of_names(list("abc")), tmp_path)
    wanted = np.exp([6, 3, 2]) / np.exp([6, 3, 2]).sum()
    assert np.allclose(ask(soft, [(0, 1, 2)])[0].probabilities, wanted)

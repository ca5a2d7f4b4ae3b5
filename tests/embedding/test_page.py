"""The page of an embedding claims what is shown, and is drawn whatever names and ratings there are."""

import copy
import dataclasses

import numpy as np
import pandas as pd
import pytest

from encoding.core import FeatureSpace, Samples
from encoding.drawing.report import Text
from encoding.embedding import SparseEmbedding, agree, page, simulate_judgments
from encoding.embedding.page_scores import Context, gather, show_quality, weigh_largest
from encoding.embedding.simulated import draw_triplets, judgments_of
from encoding.embedding.triplets import as_triplets, divide

N = 40
NAMES = [f"$clip_{{{k}$ a$" for k in range(N)]


def space(name, values, features, names=NAMES):
    return FeatureSpace(name, np.asarray(values, float), Samples.of_stimuli(names), tuple(features))


def split(judgments, seed=0):
    part = np.where(divide(as_triplets(judgments), 0.1, np.random.default_rng(seed)), "test", "train")
    return dataclasses.replace(judgments, stimuli=tuple(NAMES), split=part)


@pytest.fixture(scope="module")
def one_each():
    """Stimuli of one dimension, and an embedding of them; a hundred judgments have weight 0."""
    truth = np.eye(3)[np.arange(N) % 3] * np.random.default_rng(0).gamma(4.0, 0.4, (N, 1))
    judgments = split(simulate_judgments(truth, 3_000, seed=0))
    judgments = dataclasses.replace(judgments, weight=(np.arange(3_000) >= 100).astype(np.float32))
    return truth, judgments, SparseEmbedding(n_dims=3, max_dims=3, lambdas=(0.1,)).fit(judgments)


def test_a_page_says_what_is_shown_and_no_more(tmp_path, one_each):
    truth, judgments, model = one_each
    classes = np.eye(4)[np.arange(N) % 3]
    classes[0], classes[1] = 0, 1
    again = SparseEmbedding(n_dims=3, max_dims=3, lambdas=(0.1,), random_state=1).fit(judgments)
    context = Context(
        ratings={"category": space("c", classes, ("$a_$", "b", "c^$x$", "d"))},
        others={"half": space("h", truth / 2, "abc"), "few": space("f", truth[:10], "abc", NAMES[:10])},
        n_permutations=19, n_bootstrap=100,
    )  # fmt: skip
    written = page.write_page(
        tmp_path / "x.html", "x", agree([model, again], resamples=[again, model]), judgments, context
    )
    text = written.read_text(encoding="utf-8")
    svg = "".join(file.read_text(encoding="utf-8") for file in tmp_path.glob("x_files/*.svg"))
    n_test = int(((judgments.split == "test") & (judgments.weight > 0)).sum())
    for words in (
        f"3 dimensions of 40 stimuli, fitted to {2_900 - n_test:,} judgments", "judgments of weight 0, not counted",
        "It is not shown that weights beyond the largest", "do not show that stimuli are blends",
        "range of 2 resamples", "Tree of dimensions, and what each is worth", "0 of 3 pairs connected",
        "grey: no single highest rating (2)", "few is left out. Feature spaces",
        "3 of 3 dimensions are found in half as well (p of .05 or less). Similarities",
    ):  # fmt: skip
        assert words in text + svg, words
    assert "c^$x$" in svg
    for words in (
        "are unique",
        "neighbours are correlated",
        "go together",
        "95% interval over resamples",
        "1 dimensions",
    ):
        assert words not in text + svg, words
    scores = pd.read_csv(tmp_path / "x_files" / "how-good-it-is-1.tsv", sep="\t")
    assert scores["n"].tolist() == [n_test] * 4
    reproducibility = pd.read_csv(tmp_path / "x_files" / "reproducibility-2.tsv", sep="\t")
    assert (reproducibility["low"] <= reproducibility["resampled"]).all()


@pytest.mark.parametrize(
    ("n_rated", "columns", "words"),
    [
        (N, [1.0, 0.5], "two that have the highest rating of two stimuli or more are needed, and there is one"),
        (N, [1.0, 1.0], "and there is none"),
        (10, [1.0, 0.5], "share 10 stimuli; 20 or more are needed"),
    ],
)
def test_sections_that_cannot_be_made_say_why(one_each, n_rated, columns, words):
    _, judgments, model = one_each
    ratings = np.tile(columns, (n_rated, 1)) * np.arange(1, n_rated + 1)[:, None]
    context = Context({"category": space("c", ratings, "ab", NAMES[:n_rated])}, n_permutations=9, n_bootstrap=9)
    shown = gather("x", model, judgments)
    sections = [*page._map(shown, context, shown.X[:, :2]), *page._structure(shown, context)]
    assert words in " ".join(block.text for section in sections for block in section.blocks if isinstance(block, Text))


def test_how_the_penalty_was_chosen_is_said_as_it_was(one_each):
    _, judgments, model = one_each

    def intro(**changes):
        given = copy.copy(model).set_params(ridges=changes.pop("ridges", (2.0, 0.0)))
        given.path_ = model.path_.assign(**changes)
        return page._path(gather("x", given, judgments)).intro

    assert "Plain L1, searched by itself, is kept" in intro()
    assert "held out in turn" not in intro(folds_loss=np.nan)
    assert "further parts were held out in turn" in intro(folds_loss=1.0)
    assert "Plain L1" not in intro(ridges=(2.0,))


def test_stimuli_without_ratings_are_not_counted_as_ties(one_each, monkeypatch):
    _, judgments, model = one_each
    titles = []
    monkeypatch.setattr(page, "draw_map", lambda *_, subtitle, **__: titles.append(subtitle))
    ratings = np.eye(3)[np.arange(30) % 3]
    ratings[:2] = 1
    shown = gather("x", model, judgments)
    page._map(shown, Context({"category": space("c", ratings, "abc", NAMES[:30])}, n_permutations=9), shown.X[:, :2])
    assert titles[0].endswith("; grey: no single highest rating (2), no ratings (10)")


def test_others_are_scored_as_the_same_task_on_the_scale_of_the_judgments():
    rng = np.random.default_rng(2)
    truth, items = rng.gamma(2.0, 0.7, (N, 3)) * (rng.random((N, 3)) < 0.5), draw_triplets(N, 3_000, rng)
    products = truth @ truth.T
    first = 1 / (1 + np.exp(products[items[:, 0], items[:, 2]] - products[items[:, 0], items[:, 1]]))
    judgments = split(judgments_of(NAMES, items, np.where(rng.random(3_000) < first, 2, 1)))
    model = SparseEmbedding(task="match", n_dims=3, max_dims=3, lambdas=(0.05,)).fit(judgments)
    others = {"same": 7 * model.embedding_, "true": truth}
    context = Context(others={name: space(name, X, "abc") for name, X in others.items()}, n_bootstrap=100)
    shown = gather("x", model, judgments)
    scores = show_quality(shown, context).blocks[0].frame
    plain, own, same, true, chance = (row for _, row in scores.drop(columns="name").iterrows())
    np.testing.assert_allclose(own, same, rtol=1e-3)
    assert plain["accuracy"] == own["accuracy"]
    assert true["cross_entropy"] < chance["cross_entropy"] == pytest.approx(np.log(2))
    assert weigh_largest(shown, context).startswith(
        "All weights predict test judgments better than the largest weight of each stimulus alone"
    )


def test_one_is_not_written_as_several():
    written = [
        page.count(n, *words) for n, words in ((1, ["pair"]), (0, ["pair"]), (1_200, ["category", "categories"]))
    ]
    assert written == ["1 pair", "0 pairs", "1,200 categories"]

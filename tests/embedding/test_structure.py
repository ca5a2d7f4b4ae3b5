"""Embeddings that are made of categories, of dimensions or of both are told apart, and noise is told too."""

import numpy as np
import pytest

from encoding.core import AlignmentError, FeatureSpace, Samples
from encoding.embedding.structure import compare_embeddings, explain, measure_blend, predict_ratings

N = 200
NAMES = [f"clip{k}" for k in range(N)]


def space(name, values, names=NAMES):
    return FeatureSpace(name, values, Samples.of_stimuli(names), tuple(f"{name}{k}" for k in range(values.shape[1])))


@pytest.fixture(scope="module")
def tables():
    rng = np.random.default_rng(0)
    categories = np.eye(12)[rng.integers(0, 12, N)] + 0.1 * rng.random((N, 12))
    return space("c", categories), space("d", rng.normal(size=(N, 4)))


def made_of(tables, weights, noise=0.3):
    rng = np.random.default_rng(5)
    total = sum(w * (t.values @ rng.normal(size=(t.values.shape[1], 6))) for w, t in zip(weights, tables, strict=True))
    return space("x", np.maximum(total + noise * rng.normal(size=(N, 6)), 0))


@pytest.mark.parametrize(
    ("weights", "words"),
    [
        ((1, 0), "Categories explain a part that dimensions do not; the reverse is not shown"),
        ((0, 1), "Dimensions explain a part that categories do not; the reverse is not shown"),
        ((1, 0.6), "Both are needed"),
        ((0, 0), "explain nothing that is certain"),
    ],
)
def test_the_verdict_is_the_truth(tables, weights, words):
    found = explain(made_of(tables, weights), *tables, n_permutations=19, n_bootstrap=100)
    assert found.verdict.count(words) == 1
    assert found.n_items == N
    rows = found.table.set_index("part")
    assert rows.loc["both", "explained"] <= 1
    assert abs(rows.loc["both", "chance"]) < 0.1
    assert (rows["low"] <= rows["high"]).all()


def test_more_columns_alone_are_no_advantage():
    """34 columns of noise do not beat 14 that matter, and 34 that share a source with 14 lose it when cut to 14."""
    rng = np.random.default_rng(1)
    dimensions = space("d", rng.normal(size=(N, 3)))
    noise = space("c", rng.normal(size=(N, 30)))
    X = space("x", np.maximum(dimensions.values @ rng.normal(size=(3, 5)) + 0.2 * rng.normal(size=(N, 5)), 0))
    found = explain(X, noise, dimensions, n_permutations=19, n_bootstrap=100).table.set_index("part")
    assert found.loc["categories", "explained"] < 0.05
    assert found.loc["only categories", "p"] > 0.05
    assert found.loc["categories, 3 columns", "explained"] < found.loc["dimensions", "explained"]


def test_p_values_of_noise_are_not_too_small(tables):
    rng = np.random.default_rng(2)
    p = []
    for _ in range(6):
        X = space("x", rng.gamma(1.0, 1.0, (60, 3)), NAMES[:60])
        table = explain(X, *tables, n_permutations=9, n_bootstrap=20).table.set_index("part")
        p += [table.loc["only categories", "p"], table.loc["only dimensions", "p"]]
    assert np.mean(np.array(p) <= 0.2) < 0.45


def test_effective_dimensions_are_counted():
    assert measure_blend(np.eye(4)[[0, 1, 2, 3, 0]]).effective.tolist() == [1.0] * 5
    assert measure_blend(np.full((3, 4), 2.0)).effective == pytest.approx(np.full(3, 4.0))
    assert measure_blend(np.array([[9.0, 1.0, 0.0], [5.0, 4.0, 1.0]])).active.tolist() == [1, 2]
    assert np.isnan(measure_blend(np.array([[0.0, 0.0], [1.0, 0.0]])).effective[0])


def test_as_many_columns_need_no_draw_and_have_an_interval_over_stimuli():
    rng = np.random.default_rng(6)
    X = space("x", rng.gamma(1.0, 1.0, (60, 3)), NAMES[:60])
    same = space("c", X.values + 0.01 * rng.normal(size=(60, 3)), NAMES[:60])
    table = explain(X, same, space("d", rng.normal(size=(60, 3)), NAMES[:60]), n_permutations=9, n_bootstrap=50).table
    rows = table.set_index("part")
    values = ["explained", "low", "high"]
    assert rows.loc["categories, 3 columns", values].tolist() == rows.loc["categories", values].tolist()
    less = rows.loc["categories less dimensions, 3 columns each"]
    assert less["explained"] == pytest.approx(rows.loc["categories", "explained"] - rows.loc["dimensions", "explained"])
    assert 0.5 < less["low"] < less["explained"] < less["high"]
    assert rows.iloc[-2:][["chance", "p"]].isna().all(axis=None)


def test_ratings_that_follow_the_embedding_are_predicted(tables):
    rng = np.random.default_rng(3)
    X = made_of(tables, (1, 1))
    ratings = np.column_stack([X.values[:, 0] + 0.3 * rng.normal(size=N), rng.normal(size=N)])
    found = predict_ratings(X, {"dimension": space("r", ratings)}, n_permutations=99).set_index("rating")
    assert found.loc["r0", "r"] > 0.8
    assert found.loc["r0", "significant"]
    assert not found.loc["r1", "significant"]


def test_shared_and_own_dimensions_of_two_embeddings():
    rng = np.random.default_rng(4)
    shared = rng.gamma(1.0, 1.0, (N, 3))
    first = space("a", np.hstack([shared, rng.gamma(1.0, 1.0, (N, 1))]))
    second = space("b", np.hstack([shared[:, ::-1] + 0.2 * rng.random((N, 3)), rng.gamma(1.0, 1.0, (N, 2))]))
    found = compare_embeddings(first, second, n_permutations=99, n_bootstrap=100)
    pairs = found.dimensions.set_index("first")
    assert [pairs.loc[f"a{k}", "second"] for k in range(3)] == ["b2", "b1", "b0"]
    assert pairs.loc[["a0", "a1", "a2"], "shared"].all()
    assert not pairs.loc["a3", "shared"]
    assert (pairs.loc["a0", "low"] < pairs.loc["a0", "r"]) & (pairs.loc["a0", "r"] < pairs.loc["a0", "high"])
    explained = found.explained.set_index("of")["explained"]
    assert explained["a"] == pytest.approx(0.75, abs=0.12)
    assert explained["b"] == pytest.approx(0.6, abs=0.12)
    assert found.similarity_low < found.similarity_r < found.similarity_high
    with pytest.raises(AlignmentError, match="share 0 stimuli; 20 or more are needed"):
        compare_embeddings(first, space("b", second.values, [f"other{k}" for k in range(N)]))

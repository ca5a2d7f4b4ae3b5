"""Ratings, labels, neighbours and partners of dimensions whose meaning is planted."""

import numpy as np
import pytest

from encoding.core import AlignmentError, DataError, FeatureSpace, Samples
from encoding.embedding.meaning import (
    classify,
    correlate_ratings,
    extremes,
    label_dimensions,
    lay_out,
    match_spaces,
    top_category,
)

N = 200
NAMES = [f"clip-{k:03d}" for k in range(N)]


def space(name, values, features=None, names=NAMES):
    features = features or tuple(f"{name}_{k + 1}" for k in range(values.shape[1]))
    return FeatureSpace(name, values, Samples.of_stimuli(names), tuple(features))


@pytest.fixture
def rated():
    """First dimension is awe, second is low safety, third awe and calm alike, the fourth nothing."""
    rng = np.random.default_rng(0)
    categories, affect = rng.random((N, 3)), rng.random((N, 3))
    X = np.stack([categories[:, 0], 1 - affect[:, 1], categories[:, 1] + affect[:, 2], rng.random(N)], axis=1)
    X[:, :3] += 0.1 * rng.random((N, 3))
    return (
        space("x", X),
        {
            "category": space("emotions", categories, ("awe", "calm", "fear")),
            "dimension": space("affect", affect, ("valence", "safety", "control")),
        },
    )


def test_dimensions_are_named_by_what_they_go_with(rated):
    embedding, ratings = rated
    table = correlate_ratings(embedding, ratings, n_permutations=2_000)
    assert len(table) == 4 * 6
    row = table.set_index(["dimension", "rating"]).loc[("x_1", "awe")]
    assert row["r"] == pytest.approx(
        np.corrcoef(embedding.values[:, 0], ratings["category"].values[:, 0])[0, 1], abs=1e-5
    )
    assert row["p"] == pytest.approx(1 / 2_001)
    labels = label_dimensions(table).set_index("dimension")
    assert labels.loc["x_1", "label"].split(", ")[0] == "awe"
    assert labels.loc["x_2", "label"].split(", ")[0] == "safety-low"
    assert labels.loc["x_3", "label"].split(", ")[:2] in (["calm", "control"], ["control", "calm"])
    assert labels["kind"].tolist() == ["category", "dimension", "mixed", "none"]
    assert labels.loc["x_4", "label"] == ""


def test_nothing_is_found_in_noise():
    rng = np.random.default_rng(1)
    found = [
        correlate_ratings(
            space("x", rng.random((N, 5))), {"category": space("r", rng.random((N, 8)))}, n_permutations=500, seed=seed
        )["significant"].any()
        for seed in range(20)
    ]
    assert np.mean(found) <= 0.2


def test_stimuli_are_matched_by_name(rated):
    embedding, ratings = rated
    order = np.random.default_rng(0).permutation(N)[:150]
    table = ratings["category"]
    part = space("emotions", table.values[order], table.features, [NAMES[k] for k in order])
    found = correlate_ratings(embedding, {"category": part}, n_permutations=10)
    wanted = np.corrcoef(embedding.values[order, 0], table.values[order, 0])[0, 1]
    assert found["r"].iloc[0] == pytest.approx(wanted, abs=1e-5)
    stranger = space("other", table.values, table.features, [f"video-{k}" for k in range(N)])
    with pytest.raises(AlignmentError, match="'x' and 'other' share 0 stimuli"):
        correlate_ratings(embedding, {"category": stranger})


def test_both_ends_are_listed(rated):
    embedding, _ = rated
    table = extremes(embedding, n=3)
    top = table[(table["dimension"] == "x_1") & (table["end"] == "top")]
    assert top["stimulus"].tolist() == [NAMES[k] for k in np.argsort(-embedding.values[:, 0])[:3]]
    bottom = table[(table["dimension"] == "x_1") & (table["end"] == "bottom")]
    assert bottom["value"].is_monotonic_increasing


def test_classes_are_told_apart_and_chance_is_balanced(rated):
    rng = np.random.default_rng(0)
    labels = np.repeat(["a", "b", "c", "d"], [140, 30, 20, 10])
    centres = rng.normal(size=(4, 5))
    good = centres[np.unique(labels, return_inverse=True)[1]] + 0.2 * rng.normal(size=(N, 5))
    found = classify(good, labels)
    assert found.accuracy[1] > 0.95
    assert found.n_classes == 4
    assert found.p[1] < 0.01
    nothing = classify(rng.normal(size=(N, 5)), labels, guesses=(1, 2, 4))
    assert nothing.accuracy[1] == pytest.approx(0.25, abs=0.12)
    assert nothing.chance[1] == pytest.approx(0.25, abs=0.04)
    assert nothing.chance[2] == pytest.approx(0.5, abs=0.05)
    assert nothing.accuracy[4] == 1


def test_an_item_is_not_its_own_neighbour():
    X, labels = np.eye(6), np.array(["a", "a", "b", "b", "c", ""])
    found = classify(X, labels, n_permutations=10)
    assert found.n_items == 4
    # Every item is equally far from the other member and farther than the mean of the other class.
    assert found.accuracy[1] == 0
    with pytest.raises(DataError, match="1 classes have two members or more"):
        classify(X[:3], np.array(["a", "a", "b"]))


def test_shared_dimensions_are_paired_and_unique_ones_are_not():
    rng = np.random.default_rng(0)
    common, own, other = rng.random((N, 3)), rng.random((N, 1)), rng.random((N, 2))
    first = space("a", np.hstack([common, own]))
    second = space("b", np.hstack([other, common[:, ::-1] + 0.1 * rng.random((N, 3))]))
    table = match_spaces(first, second, n_permutations=300)
    shared = table[table["shared"]]
    assert dict(zip(shared["first"], shared["second"], strict=True)) == {"a_1": "b_5", "a_2": "b_4", "a_3": "b_3"}
    assert set(table.loc[~table["shared"], "first"]) == {"a_4", ""}
    assert len(table) == 5


def test_neighbours_stay_neighbours_on_the_map():
    rng = np.random.default_rng(0)
    group = np.repeat(np.arange(4), 30)
    X = np.eye(4)[group] * 3 + 0.1 * rng.random((120, 4))
    places = lay_out(X, seed=1)
    assert places.shape == (120, 2)
    distance = np.linalg.norm(places[:, None] - places, axis=2) + np.where(np.eye(120), np.inf, 0)
    assert (group[distance.argmin(axis=1)] == group).mean() > 0.99
    assert np.array_equal(places, lay_out(X, seed=1))


def test_top_category(rated):
    embedding, ratings = rated
    part = ratings["category"]
    short = space("emotions", part.values[:100], part.features, NAMES[:100])
    found = top_category(embedding, short)
    assert found[0] == part.features[int(part.values[0].argmax())]
    assert (found[100:] == "").all()


def test_a_tie_and_ratings_of_zero_are_no_category(rated):
    embedding, _ = rated
    values = np.array([[1.0, 1.0, 0.5], [0, 0, 0], [0.2, 0.2, 0.7], [-1.0, -2.0, -3.0]])
    found = top_category(embedding, space("emotions", values, ("joy", "fear", "awe"), NAMES[:4]))
    assert found[:4].tolist() == ["", "", "awe", "joy"]


def test_one_dimension_keeps_neighbours_together():
    X = np.repeat([0.0, 10.0], 20)[:, None] + np.random.default_rng(0).normal(0, 0.1, (40, 1))
    places = lay_out(X, seed=1)
    assert places.shape == (40, 2)
    nearest = np.linalg.norm(places[:, None] - places[None], axis=2)
    np.fill_diagonal(nearest, np.inf)
    assert (nearest.argmin(axis=1) // 20 == np.arange(40) // 20).mean() > 0.9

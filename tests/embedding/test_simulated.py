"""Simulated judges choose as often as they say, and new items find their place."""

import numpy as np
import pytest

from encoding.core import AlignmentError, DataError, FeatureSpace, Samples
from encoding.embedding.new_items import place_by_features
from encoding.embedding.simulated import draw_triplets, judgments_of, simulate_judgments
from encoding.numerics.choices import choice_logits, log_probabilities, triplet_keys

from .conftest import planted


def test_triplets_are_drawn_evenly():
    items = draw_triplets(6, 60_000, np.random.default_rng(0))
    ordered = items @ np.array([36, 6, 1])
    counts = np.unique(ordered, return_counts=True)[1]
    assert len(counts) == 6 * 5 * 4
    assert np.abs(counts / 500 - 1).max() < 0.2
    assert items.dtype == np.int32


def test_choices_follow_the_softmax():
    X = planted(0, n_items=6, n_dims=3)
    judgments = simulate_judgments(X, 200_000, seed=0, slot_bias=(0.5, 0, 0), soft=True)
    wanted = np.exp(log_probabilities(choice_logits(X @ X.T, judgments.items) + np.array([0.5, 0, 0])))
    assert np.allclose(judgments.probabilities, wanted, atol=1e-6)
    for slot in range(3):
        assert (judgments.choice == slot).mean() == pytest.approx(wanted[:, slot].mean(), abs=0.005)


def test_without_temperature_the_most_similar_pair_is_always_kept():
    X = np.array([[1.0, 0.0], [0.9, 0.1], [0.0, 1.0], [0.1, 0.9]])
    judgments = simulate_judgments(X, 500, seed=0, temperature=0)
    logits = choice_logits(X @ X.T, judgments.items)
    assert (logits[np.arange(500), judgments.choice] == logits.max(axis=1)).all()
    ties = simulate_judgments(np.zeros((3, 1)), 3_000, seed=0, temperature=0)
    assert np.bincount(ties.choice) / 3_000 == pytest.approx(np.full(3, 1 / 3), abs=0.03)


def test_ratings_are_compared_by_their_profile():
    ratings = np.array([[1.0, 100.0], [2.0, 200.0], [1.0, 10.0], [3.0, 33.0]])
    space = FeatureSpace("ratings", ratings, Samples.of_stimuli(["a", "b", "c", "d"]), ("joy", "arousal"))
    judgments = simulate_judgments(space, 300, seed=0, similarity="cosine", temperature=0)
    assert judgments.stimuli == ("a", "b", "c", "d")
    kept = np.sort(np.where(np.arange(3) == judgments.choice[:, None], 9, judgments.items), axis=1)[:, :2]
    assert set(map(tuple, kept.tolist())) == {(0, 1), (2, 3)}


@pytest.mark.parametrize("similarity", ["dot", "cosine"])
def test_few_triplets_of_many_items_are_answered_as_all_are(monkeypatch, similarity):
    X = planted(1, n_items=60, n_dims=3)
    given = {"seed": 2, "similarity": similarity, "soft": True}
    whole = simulate_judgments(X, 50, **given)
    monkeypatch.setattr("encoding.embedding.simulated.SPARSE", 1)
    monkeypatch.setattr("encoding.embedding.simulated.PART", 20)
    few = simulate_judgments(X, 50, **given)
    np.testing.assert_array_equal(few.choice, whole.choice)
    np.testing.assert_allclose(few.probabilities, whole.probabilities, rtol=1e-5)


def test_repeats_are_of_the_same_three_in_the_same_order():
    judgments = simulate_judgments(planted(0, n_items=10), 50, seed=0, n_repeats=4)
    keys = triplet_keys(judgments.items, 10).reshape(50, 4)
    assert (keys == keys[:, :1]).all()
    assert judgments.repeat[:5].tolist() == [0, 1, 2, 3, 0]


def test_the_seed_decides():
    X = planted(0, n_items=10)
    first, again, other = (simulate_judgments(X, 100, seed=seed) for seed in (1, 1, 2))
    assert np.array_equal(first.items, again.items)
    assert np.array_equal(first.choice, again.choice)
    assert not np.array_equal(first.items, other.items)
    assert first.provenance.key == again.provenance.key != other.provenance.key


@pytest.mark.parametrize("wrong", [{"n": 0}, {"similarity": "euclid"}, {"temperature": -1.0}, {"n_repeats": 0}])
def test_wrong_wishes_are_refused(wrong):
    with pytest.raises(DataError, match="needed three items, one triplet and one repeat or more"):
        simulate_judgments(planted(0, n_items=10), **{"n": 10, "seed": 0, **wrong})


def test_columns_of_one_value_take_no_memory():
    items = draw_triplets(10, 1000, np.random.default_rng(0))
    judgments = judgments_of([str(k) for k in range(10)], items, np.zeros(1000, np.int8))
    assert judgments.outcome.strides == (0,)
    assert judgments.probabilities.strides == (0, 0)


def test_features_that_know_the_dimensions_place_new_items():
    rng = np.random.default_rng(0)
    X = planted(3, n_items=300, n_dims=4)
    features = X @ rng.normal(size=(4, 20)) + 0.1 * rng.normal(size=(300, 20))
    placed = place_by_features(X[:250], features[:250], features[250:])
    assert placed.values.shape == (50, 4)
    assert (placed.values >= 0).all()
    r = [np.corrcoef(placed.values[:, k], X[250:, k])[0, 1] for k in range(4)]
    assert min(r) > 0.95
    assert placed.r == pytest.approx(r, abs=0.05)


def test_features_that_know_nothing_are_seen_to_know_nothing():
    rng = np.random.default_rng(0)
    X = planted(3, n_items=200, n_dims=4)
    placed = place_by_features(X[:150], rng.normal(size=(150, 10)), rng.normal(size=(50, 10)))
    assert np.abs(placed.r).max() < 0.3
    with pytest.raises(AlignmentError, match="needed one row of features per known item"):
        place_by_features(X, rng.normal(size=(150, 10)), rng.normal(size=(50, 10)))

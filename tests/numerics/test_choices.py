"""Probabilities, ties, similarity and ceilings of odd-one-out choices against loops and known truth."""

import math

import numpy as np
import pytest

from encoding.numerics.choices import (
    calibration,
    choice_logits,
    choice_similarity,
    correct_share,
    cross_entropy,
    log_probabilities,
    noise_ceiling,
    repeat_counts,
    triplet_keys,
)


def sparse(seed, n_items, n_dims):
    rng = np.random.default_rng(seed)
    return rng.gamma(2.0, 0.7, (n_items, n_dims)) * (rng.random((n_items, n_dims)) < 0.4)


def test_the_odd_one_is_the_one_outside_the_most_similar_pair():
    X = np.array([[1.0, 0.0], [1.0, 0.1], [0.0, 1.0]])
    logits = choice_logits(X @ X.T, np.array([[0, 1, 2], [2, 0, 1]]), bias=np.array([0.0, 0.0, 0.5]))
    assert np.allclose(logits, [[0.1, 0.0, 1.5], [1.0, 0.1, 0.5]])
    assert np.allclose(np.exp(log_probabilities(logits)).sum(axis=1), 1)
    assert np.isfinite(log_probabilities(np.array([[2000.0, 0.0, -2000.0]]))).all()


def test_ties_count_as_the_chance_of_guessing_them():
    logits = np.array([[0.0, 0.0, 0.0], [1.0, 1.0, 0.0], [1.0, 1.0, 0.0], [0.0, 2.0, 0.0]])
    assert np.allclose(correct_share(logits, np.array([0, 1, 2, 1])), [1 / 3, 1 / 2, 0, 1])


def test_probabilities_take_the_place_of_choices():
    log_p = np.log([[0.5, 0.25, 0.25], [0.5, 0.25, 0.25]])
    given = np.array([[0.2, 0.2, 0.4], [np.nan] * 3])  # the first is normalised
    wanted = [0.25 * math.log(2) + 0.75 * math.log(4), math.log(4)]
    assert np.allclose(cross_entropy(log_p, np.array([0, 1]), probabilities=given), wanted)
    assert np.allclose(cross_entropy(log_p, np.array([0, 1])), [math.log(2), math.log(4)])


@pytest.mark.parametrize("n_items", [3, 7, 40, 300])
def test_similarity_is_the_mean_over_all_third_items(n_items):
    X = sparse(0, n_items, 5)
    E = np.exp(X @ X.T)
    found = choice_similarity(X)
    rng = np.random.default_rng(0)
    for _ in range(30):
        i, j = rng.choice(n_items, 2, replace=False)
        third = np.delete(np.arange(n_items), [i, j])
        assert found[i, j] == pytest.approx(np.mean(E[i, j] / (E[i, j] + E[i, third] + E[j, third])), rel=1e-5)
    assert np.array_equal(found, found.T)
    assert np.array_equal(np.diag(found), np.ones(n_items))


def test_similarity_survives_large_dot_products():
    found = choice_similarity(sparse(0, 50, 5) * 20)
    assert np.isfinite(found).all()
    assert found.min() >= 0
    assert found.max() <= 1 + 1e-6


def test_answers_are_counted_whatever_the_order_of_showing():
    items = np.array([[4, 1, 2], [2, 4, 1], [0, 1, 2], [1, 2, 4]])
    choice = np.array([0, 1, 2, 0])  # item 4, item 4, item 2, item 1
    group, counts = repeat_counts(items, choice, 5)
    assert group[0] == group[1] == group[3] != group[2]
    assert counts[group[0]].tolist() == [1, 0, 2]
    assert counts[group[2]].tolist() == [0, 0, 1]
    assert len(set(triplet_keys(items, 5))) == 2


def test_ceiling_is_that_of_the_probabilities_behind_the_answers():
    rng = np.random.default_rng(0)
    p = rng.dirichlet(np.ones(3), 4_000)
    counts = np.stack([rng.multinomial(8, row) for row in p])
    agreement, modal, n_sets = noise_ceiling(counts)
    assert agreement == pytest.approx((p**2).sum(axis=1).mean(), abs=0.01)
    assert p.max(axis=1).mean() < modal < p.max(axis=1).mean() + 0.05
    assert n_sets == 4_000
    assert np.isnan(noise_ceiling(np.array([[1, 0, 0]]))[0])


def test_calibrated_predictions_come_true_as_often_as_they_say():
    rng = np.random.default_rng(0)
    p = rng.dirichlet(np.ones(3), 50_000)
    choice = (rng.random((len(p), 1)) > p.cumsum(axis=1)).sum(axis=1)
    table = calibration(p, choice, n_bins=10)
    assert table[:, 2].sum() == 3 * len(p)
    assert np.abs(table[:, 0] - table[:, 1]).max() < 0.02
    wrong = calibration(np.roll(p, 1, axis=1), choice, n_bins=10)
    assert np.abs(wrong[:, 0] - wrong[:, 1]).max() > 0.3


def brute_force_similarity(X):
    """Every triple on its own, from logits."""
    S = X @ X.T
    n = len(X)
    found = np.eye(n)
    for i in range(n):
        for j in range(n):
            if i != j:
                k = np.delete(np.arange(n), [i, j])
                with np.errstate(over="ignore"):
                    found[i, j] = np.mean(1 / (1 + np.exp(S[i, k] - S[i, j]) + np.exp(S[j, k] - S[i, j])))
    return found


@pytest.mark.parametrize("largest", [5.0, 68.0, 82.0, 400.0, 3_000.0, 40_000.0])
@pytest.mark.parametrize("shape", ["gamma", "signed"])
def test_similarity_is_exact_whatever_the_size_of_dot_products(largest, shape):
    rng = np.random.default_rng(3)
    X = rng.gamma(1.0, 1.0, (30, 4)) if shape == "gamma" else rng.normal(size=(30, 4))
    S = np.abs(X @ X.T)
    np.fill_diagonal(S, 0)
    X *= np.sqrt(largest / S.max())
    assert np.abs(choice_similarity(X) - brute_force_similarity(X)).max() < 1e-6

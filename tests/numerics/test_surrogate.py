"""Guesses of losses against the covariance that they stand for, and against a loss that is known."""

import numpy as np

from encoding.numerics.ridge_search import draw_candidates
from encoding.numerics.surrogate import CONSTANT, LENGTH, candidate_features, promising


def covariance(gammas):
    place = gammas**0.25
    distance = ((place[:, None] - place[None]) ** 2).sum(-1)
    return np.exp(-distance / (2 * LENGTH**2)) + CONSTANT


def test_products_of_features_are_covariances():
    gammas = draw_candidates(4, 700, np.random.default_rng(0))
    features = candidate_features(gammas)
    assert features.shape[1] <= 64
    np.testing.assert_allclose(features @ features.T, covariance(gammas), atol=2e-3)


def test_few_candidates_have_few_features():
    features = candidate_features(draw_candidates(2, 5, np.random.default_rng(0)))
    assert features.shape[0] == 5
    assert features.shape[1] <= 5


def test_promising_candidates_are_near_the_best():
    # Every target has a best mixture of its own; the loss grows smoothly away from it.
    gammas = draw_candidates(4, 500, np.random.default_rng(1))
    best = np.random.default_rng(2).dirichlet(np.ones(4), 40)
    loss = ((gammas[:, None] ** 0.25 - best[None] ** 0.25) ** 2).sum(-1)
    tried = np.repeat(np.arange(32)[:, None], 40, axis=1)
    block = np.arange(32, 500)
    chosen = promising(candidate_features(gammas), tried, loss[:32], block, 4)
    assert chosen.shape == (4, 40)
    assert np.isin(chosen, block).all()
    assert all(len(set(column)) == 4 for column in chosen.T)
    found = np.take_along_axis(loss, chosen, axis=0).min(0)
    rank = (loss[32:] < found).sum(0)
    assert np.median(rank) <= 3  # of 468
    assert (found < loss[:32].min(0)).mean() > 0.9


def test_a_block_smaller_than_asked_for_is_taken_whole():
    gammas = draw_candidates(3, 40, np.random.default_rng(0))
    tried = np.repeat(np.arange(32)[:, None], 2, axis=1)
    chosen = promising(candidate_features(gammas), tried, np.ones((32, 2)), np.array([36, 38]), 4)
    np.testing.assert_array_equal(chosen, [[36, 36], [38, 38]])

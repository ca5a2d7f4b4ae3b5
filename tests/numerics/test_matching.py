"""Dimensions are matched whatever their order and scale."""

import numpy as np
import pytest

from encoding.numerics.matching import correlate_columns, fisher_interval, match_columns
from encoding.numerics.spectral import spectral_start, win_rates


def test_correlations_are_those_of_numpy():
    rng = np.random.default_rng(0)
    A, B = rng.random((50, 3)), rng.random((50, 4))
    assert np.allclose(correlate_columns(A, B), np.corrcoef(A.T, B.T)[:3, 3:])
    assert np.array_equal(correlate_columns(np.ones((50, 1)), B), np.zeros((1, 4)))


def test_a_permutation_is_undone():
    rng = np.random.default_rng(0)
    A = rng.random((50, 5))
    order = rng.permutation(5)
    partner, r = match_columns(A, 3 * A[:, order] + 1)
    assert np.array_equal(order[partner], np.arange(5))
    assert np.allclose(r, 1)


def test_what_is_left_over_has_no_partner():
    rng = np.random.default_rng(0)
    A = rng.random((50, 5))
    partner, r = match_columns(A, A[:, [3, 1]])
    assert partner.tolist() == [-1, 1, -1, 0, -1]
    assert r[[0, 2, 4]].tolist() == [0, 0, 0]


def test_matching_maximises_the_sum_and_not_each():
    rng = np.random.default_rng(2)
    A, B = rng.random((10, 6)), rng.random((10, 6))
    _, r = match_columns(A, B)
    assert r.sum() >= correlate_columns(A, B).max(axis=0).sum() - 6
    assert r.sum() >= np.trace(correlate_columns(A, B))


def test_intervals_hold_the_truth():
    rng = np.random.default_rng(0)
    r = np.tanh(np.arctanh(0.7) + 0.1 * rng.normal(size=(9, 2000)))
    mean, low, high = fisher_interval(r, critical=2.306)
    assert mean.mean() == pytest.approx(0.7, abs=0.01)
    assert ((low < 0.7) & (high > 0.7)).mean() == pytest.approx(0.95, abs=0.02)
    assert np.isnan(fisher_interval(r[:1], critical=2.0)[1]).all()


def test_win_rates_are_those_of_a_loop():
    rng = np.random.default_rng(0)
    items = np.argsort(rng.random((200, 6)), axis=1)[:, :3]
    choice = rng.integers(0, 3, 200)
    kept, shown = np.zeros((6, 6)), np.zeros((6, 6))
    for triplet, odd in zip(items, choice, strict=True):
        for slot in range(3):
            i, j = np.delete(triplet, slot)
            for a, b in ((i, j), (j, i)):
                shown[a, b] += 1
                kept[a, b] += slot == odd
    wanted = (kept + 1 / 3) / (shown + 1)
    found = win_rates(items, choice, 6)
    assert np.allclose(found, wanted)
    soft = np.eye(3)[choice]
    assert np.allclose(win_rates(items, 0 * choice, 6, probabilities=soft), wanted)


def test_spectral_start_sees_planted_groups():
    group = np.repeat(np.arange(3), 10)
    rate = np.where(group[:, None] == group, 0.8, 0.1)
    start = spectral_start(rate, 6)
    assert start.shape == (30, 6)
    assert (start > 0).all()
    partner, r = match_columns(np.eye(3)[group], start)
    assert (r > 0.5).all()
    assert len(set(partner.tolist())) == 3
    assert spectral_start(rate, 100).shape == (30, 100)

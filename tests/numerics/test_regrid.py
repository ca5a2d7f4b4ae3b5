"""Rows at any times on the grid of volumes: against loops, a band-limited signal, and sums that must be kept."""

import math

import numpy as np
import pytest

from encoding.numerics import regrid as numerics
from encoding.numerics.regrid import METHODS, interval_shares, lanczos_weights


def regrid(values, start, duration, *grid):
    return numerics.regrid(
        values, start, duration, **dict(zip(("first", "step", "n_steps", "method"), grid, strict=True))
    )


def by_hand(t, lobes=3):
    """The kernel from its definition, one number at a time."""
    if t == 0:
        return 1.0
    if abs(t) > lobes:
        return 0.0
    return lobes * math.sin(math.pi * t) * math.sin(math.pi * t / lobes) / (math.pi * t) ** 2


@pytest.fixture
def words():
    rng = np.random.default_rng(0)
    start = np.sort(rng.uniform(-3, 45, 120))
    return rng.standard_normal((120, 5)), start, rng.uniform(0, 3.5, 120) * (rng.random(120) > 0.2)


def test_lanczos_is_its_formula(words):
    values, start, duration = words
    found = regrid(values, start, duration, 1.0, 1.5, 24, "lanczos")
    for k in range(24):
        middle = 1.0 + 1.5 * k + 0.75
        weights = [by_hand((middle - (s + d / 2)) / 1.5) for s, d in zip(start, duration, strict=True)]
        np.testing.assert_allclose(found[k], weights @ values, atol=1e-12)


def test_lanczos_returns_a_slow_signal():
    """Of 20 samples per volume, the sum over a volume is 20 times a signal below the cutoff."""
    times = np.arange(0, 400, 0.1) + 0.05

    def slow(t):
        return np.sin(2 * np.pi * 0.05 * t) + 0.5 * np.cos(2 * np.pi * 0.02 * t)

    wanted = np.arange(200) * 2.0 + 1.0
    found = lanczos_weights(times, wanted, 2.0) @ slow(times) / 20
    np.testing.assert_allclose(found[5:-5], slow(wanted)[5:-5], atol=0.03)
    fast = lanczos_weights(times, wanted, 2.0) @ np.sin(2 * np.pi * 1.0 * times) / 20
    assert np.abs(fast[5:-5]).max() < 0.01  # a frequency far above the cutoff is taken out


def test_shares_against_a_loop_over_milliseconds(words):
    _, start, duration = words
    start, duration = start.round(2), duration.round(2)
    shares = interval_shares(start, duration, 0.5, 1.5, 20).toarray()
    for row, (s, d) in enumerate(zip(start, duration, strict=True)):
        # The middle of every hundredth of a second of the row, or its start.
        moments = s + 0.01 * (np.arange(round(d / 0.01)) + 0.5) if d > 0 else np.array([s])
        place = np.floor((moments - 0.5) / 1.5 + 1e-9).astype(int)
        expected = np.bincount(place[(place >= 0) & (place < 20)], minlength=20) / len(moments)
        np.testing.assert_allclose(shares[:, row], expected, atol=1e-6)


def test_the_sum_is_kept_and_the_mean_lies_within(words):
    values, start, duration = words
    first, n = start.min() - 1, 80
    total = regrid(values, start, duration, first, 1.0, n, "sum")
    np.testing.assert_allclose(total.sum(0), values.sum(0), atol=1e-9)
    mean = regrid(values, start, duration, first, 1.0, n, "mean")
    assert (mean <= values.max(0) + 1e-12).all()
    counted = regrid(np.ones((120, 1)), start, duration, first, 1.0, n, "mean")
    assert set(counted.ravel().round(12)) == {0.0, 1.0}


def test_rows_on_the_grid_stay_as_they_are():
    values = np.random.default_rng(1).standard_normal((30, 3))
    start = 0.7 + 1.3 * np.arange(30)
    for method in METHODS:
        found = regrid(values, start, np.full(30, 1.3), 0.7, 1.3, 30, method)
        np.testing.assert_allclose(found, values, atol=1e-9)


def test_last_takes_the_word_that_begins_last():
    values = np.arange(1.0, 6.0)[:, None]
    start = np.array([0.1, 1.9, 1.2, 4.0, 9.0])
    found = regrid(values, start, np.zeros(5), 0.0, 2.0, 3, "last")
    np.testing.assert_array_equal(found.ravel(), [2, 0, 4])


def test_no_rows_give_zeros():
    for method in METHODS:
        assert not regrid(np.zeros((0, 2)), np.zeros(0), np.zeros(0), 0.0, 2.0, 4, method).any()

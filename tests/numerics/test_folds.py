"""Folds of groups, and gaps around held-out samples."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from encoding.numerics.designs import contiguous_groups, purge


def test_sixty_one_runs_in_six_folds():
    assert np.bincount(contiguous_groups(61, 6)).tolist() == [10, 10, 10, 10, 10, 11]


@settings(max_examples=60, deadline=None)
@given(n_folds=st.integers(1, 20), extra=st.integers(0, 80))
def test_groups_keep_their_order_and_nearly_equal_sizes(n_folds, extra):
    fold = contiguous_groups(n_folds + extra, n_folds)
    assert len(fold) == n_folds + extra
    assert (np.diff(fold) >= 0).all()
    sizes = np.bincount(fold, minlength=n_folds)
    assert len(sizes) == n_folds
    assert sizes.max() - sizes.min() <= 1


def distance(start, stop, other_start, other_stop):
    """Seconds between two intervals; negative or zero where they touch or overlap."""
    return max(other_start - stop, start - other_stop)


@settings(max_examples=80, deadline=None)
@given(
    onsets=st.lists(st.integers(0, 60), min_size=2, max_size=25),
    durations=st.lists(st.integers(1, 15), min_size=25, max_size=25),
    chosen=st.lists(st.booleans(), min_size=25, max_size=25),
    gap=st.integers(0, 20),
)
def test_purge_equals_the_distance_to_every_held_out_sample(onsets, durations, chosen, gap):
    start = np.array(onsets, dtype=float)  # in any order, of any length, overlapping or not
    stop = start + durations[: len(start)]
    held_out = np.array(chosen[: len(start)])
    expected = [
        not held_out[i] and all(distance(start[i], stop[i], start[j], stop[j]) >= gap for j in np.flatnonzero(held_out))
        for i in range(len(start))
    ]
    np.testing.assert_array_equal(purge(start, stop, held_out, gap), expected)


@pytest.mark.parametrize(("gap", "lost"), [(0.0, 0), (2.0, 2), (3.0, 4), (6.0, 6)])
def test_purge_of_volumes(gap, lost):
    start = np.arange(20) * 2.0
    held_out = (start >= 16) & (start < 24)
    kept = purge(start, start + 2, held_out, gap)
    assert kept.sum() == 20 - 4 - lost

"""Shifts and permutations that keep runs whole."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from encoding.numerics.resampling import circular_shift, permute_within

RUN = np.repeat(["a", "b", "c"], [7, 12, 9])


@pytest.mark.parametrize("rearrange", [circular_shift, permute_within])
def test_rows_stay_in_their_run(rearrange):
    order = rearrange(RUN, np.random.default_rng(0))
    np.testing.assert_array_equal(np.sort(order), np.arange(len(RUN)))
    np.testing.assert_array_equal(RUN[order], RUN)
    assert (order != np.arange(len(RUN))).any()


@pytest.mark.parametrize("rearrange", [circular_shift, permute_within])
def test_runs_may_lie_interleaved(rearrange):
    run = np.tile(["a", "b"], 10)
    order = rearrange(run, np.random.default_rng(1))
    np.testing.assert_array_equal(run[order], run)


@pytest.mark.parametrize("rearrange", [circular_shift, permute_within])
def test_same_seed_same_order(rearrange):
    first, again = (rearrange(RUN, np.random.default_rng(2)) for _ in range(2))
    np.testing.assert_array_equal(first, again)
    assert (rearrange(RUN, np.random.default_rng(3)) != first).any()


@settings(max_examples=80, deadline=None)
@given(lengths=st.lists(st.integers(1, 12), min_size=1, max_size=4), minimum=st.integers(1, 6), seed=st.integers(0, 99))
def test_shifts_are_circular_and_at_least_the_minimum_either_way(lengths, minimum, seed):
    run = np.repeat(np.arange(len(lengths)).astype(str), lengths)
    if min(lengths) < 2 * minimum:
        with pytest.raises(ValueError, match="too few to shift"):
            circular_shift(run, np.random.default_rng(seed), minimum)
        return
    order = circular_shift(run, np.random.default_rng(seed), minimum)
    for label in np.unique(run):
        rows = np.flatnonzero(run == label)
        shift = (rows[0] - order[rows[0]]) % len(rows)
        np.testing.assert_array_equal(order[rows], np.roll(rows, shift))
        assert min(shift, len(rows) - shift) >= minimum


def test_all_shifts_are_drawn():
    rng = np.random.default_rng(4)
    shifts = {int(-circular_shift(np.repeat("a", 8), rng, 2)[0] % 8) for _ in range(200)}
    assert shifts == {2, 3, 4, 5, 6}


def test_run_too_short_to_shift_is_named():
    with pytest.raises(ValueError, match=r"Run 'b' has 1 rows, too few to shift by 1"):
        circular_shift(np.array(["a", "a", "b"]), np.random.default_rng(0))

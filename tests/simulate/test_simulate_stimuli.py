"""Blocks of looped clips tile runs, and repeats come later."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from encoding.simulate.presets import PRESETS, TR
from encoding.simulate.stimuli import block_seconds, clip_durations, plan_runs, plan_short_runs


@pytest.mark.parametrize(
    ("clip", "block"),
    # 54 loops of 0.15 s run for 8.1 s; two of 5 s for 10 s; four of 2 s for 8 s are not more than 8 s, five are.
    [(0.15, 12.0), (5.0, 12.0), (2.0, 12.0), (7.9, 18.0), (8.0, 10.0), (8.01, 12.0), (90.0, 92.0)],
)
def test_blocks_loop_until_more_than_eight_seconds(clip, block):
    assert block_seconds(np.array([clip])) == block


@given(st.floats(0.15, 90.0))
def test_blocks_are_whole_volumes_with_rest(clip):
    block = float(block_seconds(np.array([clip]))[0])
    assert block % TR == 0
    assert block >= max(clip, 8.0) + 2.0


def test_clip_durations_follow_the_study():
    drawn = clip_durations(20000, 90.0, np.random.default_rng(0))
    assert drawn.min() >= 0.15
    assert drawn.max() <= 90.0
    assert np.median(drawn) == pytest.approx(5.0, rel=0.03)
    assert drawn.mean() == pytest.approx(6.6, rel=0.03)


@pytest.mark.parametrize("name", list(PRESETS))
def test_every_stimulus_is_shown_and_repeats_come_in_later_runs(name):
    preset = PRESETS[name]
    n = preset.n_runs * preset.n_blocks - preset.n_repeats
    plan = plan_runs(preset, np.full(n, 5.0), 7)
    shown = np.array([run.stimulus for run in plan])
    assert shown.shape == (preset.n_runs, preset.n_blocks)
    stimuli, counts = np.unique(shown, return_counts=True)
    assert len(stimuli) == n
    assert np.bincount(counts).tolist() == [0, n - preset.n_repeats, preset.n_repeats]
    for stimulus in stimuli[counts == 2]:
        first, second = np.flatnonzero((shown == stimulus).any(axis=1))
        assert first < preset.n_runs / 2 <= second


def test_study_preset_has_the_published_size():
    study = PRESETS["study"]
    assert study.sessions == (5, 7, 6, 5, 5)
    assert (study.n_runs, study.n_runs * study.n_blocks, study.n_repeats) == (61, 2196, 15)
    assert (study.rest_start, study.rest_end) == (32.0, 6.0)


def test_events_tile_the_run():
    duration = clip_durations(24, 90.0, np.random.default_rng(1))
    for run in plan_short_runs(duration):
        events = run.events(np.array([f"v{i}" for i in range(24)]))
        ends = events.onset + events.duration
        np.testing.assert_array_equal(events.onset[1:], ends[:-1])
        assert ends.iloc[-1] == run.n_volumes * TR
        assert (events.trial_type == "rest").tolist() == [True, *[False] * 8, True]
        assert events.stim_id.isna().tolist() == (events.trial_type == "rest").tolist()

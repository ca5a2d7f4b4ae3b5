"""Clips, blocks of looped clips, and the order in which they are shown."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd

from .presets import TR, Preset, stream

LOOP_UNTIL = 8.0
REST_AFTER_CLIP = 2.0


@dataclass(frozen=True)
class RunPlan:
    """The blocks of one run.

    Attributes
    ----------
    stimulus : ndarray of int64, shape (n_blocks,)
        Row of the stimulus that each block shows.
    seconds : ndarray of float64, shape (n_blocks,)
        Length of each block with its rest, a multiple of the TR.
    rest_start, rest_end : float
        Rest around the blocks, in seconds.
    """

    stimulus: np.ndarray
    seconds: np.ndarray
    rest_start: float
    rest_end: float

    @cached_property
    def onset(self) -> np.ndarray:
        """Start of each block in seconds, shape (n_blocks,)."""
        return self.rest_start + np.concatenate([[0.0], np.cumsum(self.seconds)[:-1]])

    @property
    def n_volumes(self) -> int:
        """Volumes of the run, which its events tile exactly."""
        return round((self.rest_start + self.seconds.sum() + self.rest_end) / TR)

    def events(self, names: np.ndarray) -> pd.DataFrame:
        """Make the BIDS events table.

        Parameters
        ----------
        names : ndarray of str, shape (n_stimuli,)
            Names of the stimuli.

        Returns
        -------
        pandas.DataFrame
            Columns onset, duration (seconds), trial_type, stim_id; rest at both ends.
        """
        end = self.onset[-1] + self.seconds[-1]
        return pd.DataFrame(
            {
                "onset": [0.0, *self.onset, end],
                "duration": [self.rest_start, *self.seconds, self.rest_end],
                "trial_type": ["rest", *["video"] * len(self.onset), "rest"],
                "stim_id": [None, *names[self.stimulus], None],
            }
        )


def clip_durations(n: int, longest: float, rng: np.random.Generator) -> np.ndarray:
    """Draw the durations of the clips.

    Parameters
    ----------
    n : int
        Number of clips.
    longest : float
        Upper limit in seconds.
    rng : numpy.random.Generator
        Source of randomness.

    Returns
    -------
    ndarray of float64, shape (n,)
        Seconds, log-normal with median 5 and mean 6.6 before clipping to 0.15 ... `longest`.
    """
    return np.round(np.clip(rng.lognormal(np.log(5.0), 0.745, n), 0.15, longest), 2)


def block_seconds(duration: np.ndarray) -> np.ndarray:
    """Turn clip durations into block lengths.

    Parameters
    ----------
    duration : ndarray of float64, shape (n,)
        Clip durations in seconds.

    Returns
    -------
    ndarray of float64, shape (n,)
        A clip shorter than 8 s loops until it has run for more than 8 s; 2 s of rest follow; the sum is rounded
        up to the TR.
    """
    loops = np.where(duration < LOOP_UNTIL, np.floor(LOOP_UNTIL / duration) + 1, 1)
    return np.ceil((loops * duration + REST_AFTER_CLIP) / TR - 1e-9) * TR


def plan_runs(preset: Preset, duration: np.ndarray, seed: int) -> list[RunPlan]:
    """Order the stimuli over the runs, the same for every subject.

    Parameters
    ----------
    preset : Preset
        Size of the study.
    duration : ndarray of float64, shape (n_stimuli,)
        Clip durations in seconds; one per stimulus, n_runs * n_blocks - n_repeats of them.
    seed : int
        Seed of the study.

    Returns
    -------
    list of RunPlan
        One per run. Stimuli of the first half of the runs are repeated in the second half.
    """
    rng = stream(seed, "order")
    n_shown = preset.n_runs * preset.n_blocks
    half = preset.n_runs // 2 * preset.n_blocks
    place = half + rng.choice(n_shown - half, preset.n_repeats, replace=False)
    order = np.empty(n_shown, dtype=np.int64)
    first = np.setdiff1d(np.arange(n_shown), place)
    order[first] = rng.permutation(len(first))
    order[place] = order[rng.choice(half, preset.n_repeats, replace=False)]
    seconds = block_seconds(duration)
    return [
        RunPlan(shown, seconds[shown], preset.rest_start, preset.rest_end)
        for shown in order.reshape(preset.n_runs, preset.n_blocks)
    ]


def plan_short_runs(duration: np.ndarray, *, n_runs: int = 3, n_blocks: int = 8) -> list[RunPlan]:
    """Plan the short task that is written as grayordinates.

    Parameters
    ----------
    duration : ndarray of float64, shape (n_stimuli,)
        Clip durations in seconds; the first stimuli are shown, once each.
    n_runs, n_blocks : int
        Size of the task.

    Returns
    -------
    list of RunPlan
        One per run, with 8 s of rest before and 6 s after.
    """
    seconds = block_seconds(np.minimum(duration, LOOP_UNTIL))
    return [
        RunPlan(shown, seconds[shown], 8.0, 6.0) for shown in np.arange(n_runs * n_blocks).reshape(n_runs, n_blocks)
    ]

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
    """The blocks of one run."""

    stimulus: np.ndarray  # (n_blocks,) Row of the stimulus that each block shows
    seconds: np.ndarray  # (n_blocks,) Length of each block with its rest, a multiple of the TR
    rest_start: float  # Rest before the first block, in seconds
    rest_end: float  # Rest after the last block, in seconds

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

        Shapes: `names` (n_stimuli,).
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

    Returns (n,).
    """
    return np.round(np.clip(rng.lognormal(np.log(5.0), 0.745, n), 0.15, longest), 2)


def block_seconds(duration: np.ndarray) -> np.ndarray:
    """Turn clip durations into block lengths.

    Shapes: `duration` (n,); returns (n,).
    """
    loops = np.where(duration < LOOP_UNTIL, np.floor(LOOP_UNTIL / duration) + 1, 1)
    return np.ceil((loops * duration + REST_AFTER_CLIP) / TR - 1e-9) * TR


def plan_runs(preset: Preset, duration: np.ndarray, seed: int) -> list[RunPlan]:
    """Order the stimuli over the runs, the same for every subject.

    Shapes: `duration` (n_stimuli,).
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

    Shapes: `duration` (n_stimuli,).
    """
    seconds = block_seconds(np.minimum(duration, LOOP_UNTIL))
    return [
        RunPlan(shown, seconds[shown], 8.0, 6.0) for shown in np.arange(n_runs * n_blocks).reshape(n_runs, n_blocks)
    ]

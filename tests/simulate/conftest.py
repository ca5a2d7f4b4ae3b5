"""One tiny study, written once."""

import numpy as np
import pytest

from encoding.simulate import PRESETS, simulate
from encoding.simulate.signal import build_design
from encoding.simulate.spaces import simulate_spaces
from encoding.simulate.stimuli import clip_durations, plan_runs
from encoding.simulate.targets import find_sources, surface_targets, volume_targets


@pytest.fixture(scope="session")
def tiny(tmp_path_factory):
    """The tiny preset on disk, with grayordinates where their packages are installed."""
    root = tmp_path_factory.mktemp("tiny") / "study"
    return simulate(root, preset="tiny", seed=3, cifti=find_sources() is not None)


@pytest.fixture(scope="session")
def surface():
    """The targets of fsaverage5."""
    return surface_targets()


@pytest.fixture(scope="session")
def coarse():
    """A 12 mm grid: its targets and the grid."""
    return volume_targets(12.0)


@pytest.fixture(scope="session")
def demo_plan():
    """Spaces, runs and design of the demo preset, in memory."""
    preset = PRESETS["demo"]
    n = preset.n_runs * preset.n_blocks - preset.n_repeats
    duration = clip_durations(n, preset.longest_clip, np.random.default_rng(0))
    plan, spaces = plan_runs(preset, duration, 0), simulate_spaces(n, 0)
    return spaces, plan, build_design(spaces, plan)

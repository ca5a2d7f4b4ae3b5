"""A small study with known weights, made in memory."""

from typing import NamedTuple

import numpy as np
import pytest

from encoding.core import FeatureSpace, Responses, Samples, Targets


class Study(NamedTuple):
    """Feature spaces and responses on the same samples, and the planted weights of each space."""

    spaces: list[FeatureSpace]
    responses: Responses
    weights: dict[str, np.ndarray]

    @property
    def shown(self):
        """Rows and stimuli, one to one."""
        return np.arange(len(self.responses.samples)), self.responses.samples.stimulus


def lay_out(runs, stimuli=None, clock="stimulus", seconds=2.0):
    """Place samples one after the other in runs of the given lengths."""
    run = np.repeat([f"run-{number + 1:02d}" for number in range(len(runs))], runs)
    onset = np.concatenate([np.arange(length) * seconds for length in runs])
    names = [f"clip{number:04d}" for number in range(len(run))] if stimuli is None else stimuli
    return Samples(np.asarray(names, dtype=str), onset, np.full(len(run), seconds), run, clock)


def build(runs=(24, 24, 24, 24), widths=None, n_targets=6, *, seed=0, clock="stimulus", centred=True, stimuli=None):
    """Make responses that follow a different mixture of the spaces in every target."""
    widths = {"wide": 7, "narrow": 3} if widths is None else widths
    rng = np.random.default_rng(seed)
    samples = lay_out(runs, stimuli, clock)
    values = np.sqrt(1.5) * rng.standard_normal((len(samples), n_targets))
    spaces, weights = [], {}
    for number, (name, width) in enumerate(widths.items()):
        # Columns in units of their own, none of them about zero.
        X = (
            rng.standard_normal((len(samples), width)) * rng.uniform(0.1, 30, width) + rng.uniform(-5, 5, width)
        ).astype(np.float32)
        share = (np.arange(n_targets) % len(widths) == number) + 0.2
        weights[name] = rng.standard_normal((width, n_targets)) * share / np.sqrt(width) / X.std(0)[:, None]
        values += (X - X.mean(0)) @ weights[name]
        spaces.append(FeatureSpace(name, X, samples, [f"{name}{k}" for k in range(width)]))
    if centred:
        for run in samples.runs:
            values[samples.run == run] -= values[samples.run == run].mean(0)
    presentations = Samples(samples.stimulus, samples.onset, samples.duration, samples.run, "stimulus")
    targets = Targets.of_columns([f"roi{number}" for number in range(n_targets)])
    no_drift = np.empty((len(samples), 0))
    responses = Responses(values, samples, targets, presentations, no_drift, "01", "video", 2.0)
    return Study(spaces, responses, weights)


@pytest.fixture
def make_study():
    """Return the function that makes a study."""
    return build


@pytest.fixture
def make_samples():
    """Return the function that makes samples."""
    return lay_out

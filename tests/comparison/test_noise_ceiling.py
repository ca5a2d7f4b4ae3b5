"""Ceilings of responses: from repeats in different runs only, refused where there are none, beside the raw scores."""

import numpy as np
import pytest

from encoding.comparison import noise_ceiling, over_ceiling
from encoding.core import Responses, Samples, ScoreRow, Scores, Targets


def responses_of(stimulus, run, values, clock="stimulus"):
    n = len(stimulus)
    samples = Samples(np.asarray(stimulus).astype(str), np.arange(n) * 8.0, np.full(n, 8.0), np.asarray(run), clock)
    shown = (
        samples
        if clock == "stimulus"
        else Samples(samples.stimulus, samples.onset, samples.duration, samples.run, "stimulus")
    )
    targets, drift = Targets.of_columns([f"t{k}" for k in range(values.shape[1])]), np.zeros((n, 0), np.float32)
    return Responses(values.astype(np.float32), samples, targets, shown, drift, "01", "video", 2.0)


@pytest.fixture
def repeated():
    """Eighty stimuli in each of two runs; half of the targets have as much signal as noise, the others none."""
    rng = np.random.default_rng(0)
    stimulus = np.tile(np.arange(80), 2)
    values = rng.standard_normal((160, 200))
    values[:, :100] += rng.standard_normal((80, 100))[stimulus]
    values[:, 199] = np.nan
    return responses_of(stimulus, np.repeat(["run-1", "run-2"], 80), values)


def test_the_ceiling_is_the_root_of_the_reliability_where_that_is_certain(repeated):
    single = noise_ceiling(repeated)
    assert np.nanmean(single.reliability[:100]) == pytest.approx(0.5, abs=0.02)
    assert np.isfinite(single.r[:100]).mean() > 0.95
    assert np.isfinite(single.r[100:]).mean() < 0.05
    assert np.isnan(single.reliability[199])
    averaged = noise_ceiling(repeated, n_averaged=2)
    assert np.nanmean(averaged.reliability[:100]) == pytest.approx(2 / 3, abs=0.02)


def test_scores_are_shown_beside_their_part_of_the_ceiling(repeated):
    ceiling = noise_ceiling(repeated)
    scores = Scores("r", (ScoreRow("a"),), np.full((1, 200), 0.3, np.float32), repeated.targets, "01")
    found = over_ceiling(scores, ceiling)
    np.testing.assert_allclose(found["over_ceiling"].values[0], 0.3 / ceiling.r, rtol=1e-5)
    assert scores.values[0, 0] == np.float32(0.3)


def test_stimuli_that_were_shown_once_give_none():
    rng = np.random.default_rng(0)
    once = responses_of(np.arange(40), np.repeat(["run-1", "run-2"], 20), rng.standard_normal((40, 3)))
    found = noise_ceiling(once)
    assert found.why_not == "because 0 stimuli were shown more than once; 10 are needed"
    assert np.isnan(found.r).all()
    scores = Scores("r", (ScoreRow("a"),), np.full((1, 3), 0.3, np.float32), once.targets, "01")
    assert over_ceiling(scores, found) == {}


def test_repeats_within_a_run_share_noise_and_do_not_count():
    rng = np.random.default_rng(0)
    within = responses_of(np.repeat(np.arange(20), 2), np.repeat(["run-1", "run-2"], 20), rng.standard_normal((40, 3)))
    assert noise_ceiling(within).why_not.startswith("because 0 stimuli")


def test_volumes_give_none():
    rng = np.random.default_rng(0)
    volumes = responses_of(
        np.tile(np.arange(20), 2), np.repeat(["run-1", "run-2"], 20), rng.standard_normal((40, 3)), "tr"
    )
    assert "volumes" in noise_ceiling(volumes).why_not

"""Predicted power is that of simulated experiments."""

import numpy as np
import pytest

from encoding.numerics.planning import StudyDesign, power, power_of
from encoding.numerics.shared_variance import centre_runs, estimate, shared_kernel, shared_space


def found(design, n_runs, *, n_sets=60, n_targets=40):
    """Standard deviation of estimated differences, and share that are found, over simulated white experiments."""
    run = np.repeat(np.arange(n_runs).astype(str), design.samples_per_run)
    q, gaps, hits = [r * r for r in design.r], [], []
    for seed in range(n_sets):
        rng = np.random.default_rng(seed)
        spaces = [rng.standard_normal((len(run), p)) for p in design.n_features]
        Y = np.sqrt(1 - sum(q)) * rng.standard_normal((len(run), n_targets))
        for share, X in zip(q, spaces, strict=True):
            weights = rng.standard_normal((X.shape[1], n_targets))
            Y += np.sqrt(share) * X @ (weights / np.linalg.norm(weights, axis=0))
        blocks = [np.flatnonzero(run == name) for name in np.unique(run)]
        Y = centre_runs(Y, run)
        kernels = [shared_kernel(shared_space(centre_runs(X, run), blocks), Y) for X in spaces]
        gap = estimate(kernels[0] - kernels[1])
        gaps.append(gap.value)
        hits.append((gap.p_differs() <= 0.05) & (gap.value > 0))
    return np.std(gaps), np.mean(hits)


@pytest.mark.parametrize("r", [(0.45, 0.3), (0.3, 0.0)])
def test_power_of_a_target_is_that_found(r):
    design = StudyDesign(r, (10, 20), 30)
    se, share = found(design, 12)
    assert np.sqrt(design.variance(12)) == pytest.approx(se, rel=0.25)
    assert power(design, 12) == pytest.approx(share, abs=0.1)


def test_more_of_anything_helps_and_equal_spaces_are_never_told_apart():
    base = StudyDesign((0.3, 0.2), (30, 30), 36, n_targets=5.0)
    assert power(base, 12) < power(base, 24) < power(base, 48)
    assert power(base, 12) < power(base, 12, 5) < power(base, 12, 10)
    slow = StudyDesign((0.3, 0.2), (30, 30), 36, 5.0, 0.8, 0.5)
    assert power(slow, 12) < power(base, 12)
    varied = StudyDesign((0.3, 0.2), (30, 30), 36, 5.0, subject_sd=0.05)
    assert power(varied, 24, 5) < power(base, 24, 5)
    assert power(StudyDesign((0.3, 0.3), (30, 30), 36), 24) == pytest.approx(0.025, abs=0.001)


def test_a_test_without_effect_has_the_level_in_each_direction():
    assert power_of(0.0, 1.0, 10, 0.05) == pytest.approx(0.025)

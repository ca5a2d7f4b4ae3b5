"""Probabilities under noise against draws and textbook formulas, and false discovery rates."""

import numpy as np
import pytest
from scipy import stats

from encoding.numerics.significance import discovery_rates, noise_probability


def test_one_fold_is_the_one_sided_test_of_a_correlation():
    rng = np.random.default_rng(0)
    for _ in range(5):
        x, y = rng.standard_normal((2, 40))
        known = stats.pearsonr(x, y, alternative="greater")
        found = noise_probability(np.array(known.statistic), np.array([40]), pooled=False)
        assert found == pytest.approx(known.pvalue, rel=1e-9)


def test_it_is_the_null_of_two_gaussian_vectors():
    """As Du et al. (2023) make it: correlations of independent normal vectors as long as the test set."""
    rng = np.random.default_rng(1)
    a, b = rng.standard_normal((2, 20_000, 36))
    null = np.array([np.corrcoef(u, v)[0, 1] for u, v in zip(a[:4000], b[:4000], strict=True)])
    for r in (0.1, 0.25, 0.4):
        share = (null >= r).mean()
        spread = 4 * np.sqrt(share * (1 - share) / len(null)) + 1e-3
        assert noise_probability(np.array(r), np.array([36]), pooled=True) == pytest.approx(share, abs=spread)


def test_averages_over_folds_are_calibrated():
    rng = np.random.default_rng(2)
    sizes = [30, 60, 45]
    z = np.zeros(4000)
    for n in sizes:
        u, v = rng.standard_normal((2, 4000, n))
        u, v = u - u.mean(1, keepdims=True), v - v.mean(1, keepdims=True)
        z += np.arctanh((u * v).sum(1) / np.sqrt((u**2).sum(1) * (v**2).sum(1))) / len(sizes)
    p = noise_probability(np.tanh(z), np.array(sizes), pooled=False)
    for level in (0.5, 0.1, 0.01):
        assert (p <= level).mean() == pytest.approx(level, abs=4 * np.sqrt(level * (1 - level) / 4000) + 2e-3)


def test_published_threshold_of_the_whole_brain():
    """r = .111 is where 1e5 one-sided tests at 2,181 samples reach p = .01 after Bonferroni."""
    p = noise_probability(np.array([0.110, 0.112]), np.array([363] * 6 + [3]), pooled=True)
    assert p[0] * 1e5 > 0.01 > p[1] * 1e5


def test_missing_scores_stay_missing():
    p = noise_probability(np.array([np.nan, 0.5]), np.array([20]), pooled=True)
    assert np.isnan(p).tolist() == [True, False]


def slow_rates(p):
    """Benjamini and Hochberg, by the definition: the smallest level at which the step-up procedure rejects."""
    ordered = np.sort(p)
    n = len(p)
    return np.array([min(n * ordered[k] / (k + 1) for k in range(n) if ordered[k] >= value) for value in p])


@pytest.mark.parametrize("seed", range(5))
def test_rates_are_those_of_the_step_up_procedure(seed):
    p = np.random.default_rng(seed).random(30) ** 2
    np.testing.assert_allclose(discovery_rates(p), slow_rates(p))
    holed = np.insert(p, 3, np.nan)
    np.testing.assert_allclose(np.delete(discovery_rates(holed), 3), slow_rates(p))
    assert np.isnan(discovery_rates(holed)[3])


def test_nothing_tested_is_nothing_found():
    assert np.isnan(discovery_rates(np.full(4, np.nan))).all()

"""Kernels of correlations over pairs of stimuli have the variance of the jackknife over runs."""

import numpy as np
import pytest

from encoding.numerics.permutation import exchange_units, summarise
from encoding.numerics.rsa_inference import exchanged, noise_ceiling, similarity_kernel
from encoding.numerics.shared_variance import estimate


def pairs_of(run):
    return np.nonzero(run[:, None] > run)


def test_the_kernel_is_the_correlation_and_its_jackknife():
    rng = np.random.default_rng(0)
    run = np.repeat(np.arange(7), 6)
    left, right = pairs_of(run)
    common = rng.standard_normal(len(left))
    model, brain = common + rng.standard_normal(len(left)), common + rng.standard_normal(len(left))
    found = estimate(similarity_kernel(model, brain, run[left], run[right], 7))
    whole = np.corrcoef(model, brain)[0, 1]
    without = np.array(
        [
            np.corrcoef(model[kept], brain[kept])[0, 1]
            for kept in ((run[left] != r) & (run[right] != r) for r in range(7))
        ]
    )
    assert found.value == pytest.approx(whole)
    assert found.variance == pytest.approx(6 / 7 * np.square(without - without.mean()).sum())


def draw(rng, n_runs, length, n_targets, signal, dims=(8, 8)):
    """Two spaces that shape the responses alike, each on targets of its own; noise and features drift."""
    n = n_runs * length

    def walk(k):
        values = rng.standard_normal((n_runs, length, k))
        for t in range(1, length):
            values[:, t] = 0.4 * values[:, t - 1] + np.sqrt(0.84) * values[:, t]
        return values.reshape(n, k)

    spaces = [walk(p) for p in dims]
    weights = np.linalg.qr(rng.standard_normal((n_targets, sum(dims))))[0].T * np.sqrt(n_targets)
    Y = walk(n_targets) + signal * np.concatenate([X / np.sqrt(X.shape[1]) for X in spaces], 1) @ weights
    return [np.corrcoef(X) for X in spaces], np.corrcoef(Y), np.repeat(np.arange(n_runs), length)


def test_equal_models_differ_as_often_as_the_level_says():
    rejected = []
    for seed in range(120):
        models, brain, run = draw(np.random.default_rng([1, seed]), 8, 10, 24, 0.5)
        left, right = pairs_of(run)
        kernels = [similarity_kernel(m[left, right], brain[left, right], run[left], run[right], 8) for m in models]
        rejected.append(estimate(kernels[0] - kernels[1]).p_differs() <= 0.05)
        assert estimate(kernels[0]).value > 0
    assert sum(rejected) <= 14  # binomial(120, .05) exceeds this in one of 1,000 cases


def test_models_without_a_relation_are_at_chance():
    p = []
    for seed in range(60):
        models, brain, run = draw(np.random.default_rng([2, seed]), 6, 10, 20, 0.0)
        scheme = exchange_units([[np.flatnonzero(run == r)] for r in range(6)], seed)
        left, right = pairs_of(run)
        p.append(summarise(exchanged(models, brain[left, right][None], (left, right), scheme, 99)).p)
    assert (np.array(p) <= 0.05).mean() < 0.11
    assert np.mean(p) == pytest.approx(0.5, abs=0.1)


def test_a_relation_is_found_and_the_observed_comes_first():
    models, brain, run = draw(np.random.default_rng(3), 8, 12, 24, 1.0)
    scheme = exchange_units([[np.flatnonzero(run == r)] for r in range(8)], 0)
    left, right = pairs_of(run)
    found = exchanged(models, brain[left, right][None], (left, right), scheme, 99)
    assert found[0, 0, 0] == pytest.approx(np.corrcoef(models[0][left, right], brain[left, right])[0, 1], abs=1e-5)
    assert summarise(found).p.max() == 0.01


def test_the_ceiling_holds_a_perfect_model():
    rng = np.random.default_rng(4)
    truth = rng.standard_normal(3000)
    brains = truth + rng.standard_normal((6, 3000))
    lower, upper = noise_ceiling(brains)
    reached = np.mean([np.corrcoef(truth, brain)[0, 1] for brain in brains])
    assert lower < reached < upper
    assert upper - lower < 0.12

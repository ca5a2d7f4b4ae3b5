"""The spike-and-slab prior and its posterior against scipy, statsmodels' definition and conjugate truth."""

import numpy as np
import pytest
import torch
from scipy.stats import norm

from encoding.numerics.threads import torch_threads
from encoding.numerics.variational import SpikeSlab, alive, discoveries, fit_posterior, log_prior


@pytest.fixture(autouse=True)
def one_thread():
    with torch_threads(1):
        yield


def test_prior_is_a_mixture_in_log_space():
    prior = SpikeSlab(0.25, 1.0, 0.6)
    x = torch.linspace(-4, 4, 81, dtype=torch.float64)
    value, slope = log_prior(x, prior)
    wanted = np.log(0.6 * norm.pdf(x, 0, 0.25) + 0.4 * norm.pdf(x, 0, 1.0))
    assert np.allclose(value, wanted, rtol=1e-12)
    step = 1e-6
    numeric = (log_prior(x + step, prior)[0] - log_prior(x - step, prior)[0]) / (2 * step)
    assert np.allclose(slope, numeric, atol=1e-6)


def test_prior_does_not_underflow():
    value, slope = log_prior(torch.tensor([50.0]), SpikeSlab(0.05, 0.5, 0.9))
    assert torch.isfinite(value).all()
    assert slope.item() == pytest.approx(-50 / 0.25, rel=1e-5)


def test_posterior_of_a_gaussian_is_the_conjugate_one():
    # With a likelihood of N(x; a, s^2) and a prior that is (almost) all slab the posterior is known. x stays positive.
    a, s, slab, n = 3.0, 0.2, 1.0, 50.0

    def loss(X):
        return float(((X - a) ** 2 / (2 * s**2)).sum()) / n, (X - a) / s**2 / n

    prior = SpikeSlab(0.9999, slab, 1e-6)
    found = fit_posterior(
        loss, torch.full((20, 5), 2.0, dtype=torch.float64), n_judgments=n, prior=prior, n_steps=1200, rate=0.05, seed=0
    )
    precision = 1 / s**2 + 1 / slab**2
    assert found.mean.mean().item() == pytest.approx(a / s**2 / precision, abs=0.01)
    assert found.scale.mean().item() == pytest.approx(precision**-0.5, rel=0.05)
    assert np.mean(found.trace[-100:]) < np.mean(found.trace[:100])


def by_hand(p, alpha):
    """Benjamini & Hochberg step-up, written as in their paper."""
    order = sorted(range(len(p)), key=lambda k: p[k])
    last = max((rank for rank, k in enumerate(order, 1) if p[k] <= alpha * rank / len(p)), default=0)
    found = np.zeros(len(p), bool)
    found[order[:last]] = True
    return found


def test_discoveries_step_up():
    p = np.array([0.03, 0.04, 0.045, 0.048, 0.9])
    # 0.048 > 0.05 * 4 / 5: nothing passes. With one smaller value the fourth rank passes and carries the others along.
    assert not discoveries(p).any()
    p = np.array([0.03, 0.035, 0.038, 0.0395, 0.9])
    assert discoveries(p).tolist() == [True] * 4 + [False]


@pytest.mark.parametrize("seed", range(5))
def test_discoveries_are_those_of_the_paper(seed):
    rng = np.random.default_rng(seed)
    p = np.concatenate([rng.random((40, 3)) ** 4, rng.random((40, 3))])
    found = discoveries(p, alpha=0.1, axis=0)
    assert np.array_equal(found, np.stack([by_hand(column, 0.1) for column in p.T], axis=1))
    assert np.array_equal(discoveries(p.T, alpha=0.1, axis=1), found.T)


def test_dimensions_without_enough_items_above_zero_are_dead():
    mean, scale = np.zeros((100, 3)), np.full((100, 3), 0.2)
    mean[:30, 0], mean[:3, 1] = 1.5, 1.5
    assert alive(mean, scale).tolist() == [True, False, False]
    assert alive(mean, scale, more_than=2).tolist() == [True, True, False]

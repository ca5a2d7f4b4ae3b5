"""Embeddings with known truth."""

import numpy as np
import pytest

from encoding.embedding.simulated import simulate_judgments


def planted(seed, *, n_items=150, n_dims=8):
    """Non-negative dimensions, a third of them filled, after the generator of the benchmark."""
    rng = np.random.default_rng(seed)
    return rng.gamma(2.0, 0.7, (n_items, n_dims)) * (rng.random((n_items, n_dims)) < 0.35)


@pytest.fixture(scope="session")
def truth():
    return planted(0)


@pytest.fixture(scope="session")
def hard(truth):
    return simulate_judgments(truth, 30_000, seed=100)


@pytest.fixture(scope="session")
def unseen(truth):
    return simulate_judgments(truth, 10_000, seed=200, soft=True)


@pytest.fixture(scope="session")
def small_truth():
    return planted(1, n_items=40, n_dims=3)


@pytest.fixture(scope="session")
def small(small_truth):
    return simulate_judgments(small_truth, 6_000, seed=1)

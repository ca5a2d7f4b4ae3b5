"""Pairs counted instead of sorted, and distances in float32: against sorting and float64, and where they give way."""

import numpy as np
import pytest
import torch
from scipy.spatial.distance import cdist
from scipy.stats import spearmanr

from encoding.numerics import rsa_pairs
from encoding.numerics.rsa_pairs import BINS, PairRsa
from encoding.numerics.similarity import Pairs, feature_similarity


def make(n=700, n_targets=40, n_blocks=23, n_extra=30, seed=0, noise=3.0):
    """Patterns that two spaces drive, blocks in random order, and a few more pairs that do not count."""
    rng = np.random.default_rng(seed)
    block = np.unique(rng.integers(0, n_blocks, n), return_inverse=True)[1]
    extra = np.sort(rng.integers(0, n, (n_extra, 2)), axis=1)[:, ::-1]
    extra = np.unique(extra[block[extra[:, 0]] != block[extra[:, 1]]], axis=0)
    features = [rng.random((n, width)) for width in (12, 5)]
    X = sum(rng.standard_normal((n_targets, f.shape[1])) @ f.T for f in features)
    X = X + noise * rng.standard_normal((n_targets, n))
    return [feature_similarity(f, "correlation") for f in features], Pairs(block, extra), X.astype(np.float32)


def alone(monkeypatch):
    """Fail where the definition is asked."""
    monkeypatch.setattr(rsa_pairs.Comparer, "patterns", lambda *_: pytest.fail("sorted after all"))


def compared(models, pairs, X, brain, comparison):
    engine = PairRsa(models, pairs, brain=brain, comparison=comparison)
    return engine, engine.compare(torch.as_tensor(X[:, engine.order]))


@pytest.mark.parametrize("n_blocks", [1 << 20, 23])
@pytest.mark.parametrize("brain", ["correlation", "euclidean"])
def test_counting_gives_the_correlation_of_ranks(monkeypatch, brain, n_blocks):
    alone(monkeypatch)
    models, pairs, X = make(n_blocks=n_blocks)
    assert pairs.n > BINS
    _, found = compared(models, pairs, X, brain, "spearman")
    Z = X.T.astype(np.float64)
    similarity = np.corrcoef(Z) if brain == "correlation" else -cdist(Z, Z)
    counts = np.concatenate([pairs.lower(rows) for rows in pairs.slices()])
    want = [spearmanr(similarity[counts], model.rows(slice(None))[counts]).statistic for model in models]
    np.testing.assert_allclose(found, want, atol=2e-6)
    assert abs(want[0]) > 0.05


@pytest.mark.parametrize("offset", [0.0, 1e3])
def test_distances_are_compared_in_single_precision(monkeypatch, offset):
    alone(monkeypatch)
    models, pairs, X = make(seed=1)
    _, found = compared(models, pairs, X + np.float32(offset), "euclidean", "pearson")
    Z = (X + np.float32(offset)).T.astype(np.float64)
    counts = np.concatenate([pairs.lower(rows) for rows in pairs.slices()])
    want = [np.corrcoef(-cdist(Z, Z)[counts], model.rows(slice(None))[counts])[0, 1] for model in models]
    np.testing.assert_allclose(found, want, atol=2e-6)


@pytest.mark.parametrize("skew", [1.0, 8.0])
def test_the_error_is_within_its_bound_with_few_bins(monkeypatch, skew):
    """With 2^10 bins the bound is wide enough to be tested; heavy tails crowd the middle."""
    monkeypatch.setattr(rsa_pairs, "BINS", 1 << 10)
    monkeypatch.setattr(rsa_pairs, "WORST", np.inf)
    models, pairs, X = make(seed=2)
    X = np.sign(X) * np.abs(X) ** np.float32(skew)
    engine, found = compared(models, pairs, X, "correlation", "spearman")
    want = engine.exact.patterns(torch.as_tensor(X))
    Z = torch.as_tensor(X - X.mean(0))
    Z = Z / torch.linalg.vector_norm(Z, dim=0)
    low, width = engine._bins(Z[:, engine.order], Z)
    values = (Z.T @ Z).reshape(-1)[engine.exact.flat].numpy()
    c = np.bincount(((values - low) / width).clip(0, (1 << 10) - 1).astype(int), minlength=1 << 10).astype(float)
    beside = np.maximum(np.r_[0, c[:-1]], np.r_[c[1:], 0])
    bound = np.sqrt(12 * np.sum(c * (c / 2 + beside) ** 2) / pairs.n**3)
    assert np.abs(found - want).max() <= bound < 0.9
    assert np.abs(found - want).max() > 0


def test_what_cannot_be_counted_is_sorted():
    models, pairs, X = make(seed=3)
    few = make(n=60, seed=3)
    ties = np.round(X[:2] / 4)  # two targets of a handful of values: all correlations are 1 or -1, or not defined
    ties += np.arange(2)[:, None] * 100
    twins = X.copy()
    twins[:, 1] = twins[:, 0]
    for given, brain, comparison in (
        (few, "correlation", "spearman"),
        ((models, pairs, ties), "correlation", "spearman"),
        ((models, pairs, twins), "euclidean", "pearson"),
    ):
        engine, found = compared(*given, brain, comparison)
        np.testing.assert_array_equal(found, engine.exact.patterns(torch.as_tensor(given[2])))


def test_a_pattern_without_variance_gives_no_number():
    models, pairs, X = make(seed=4)
    X[:, 5] = 1.0
    assert np.isnan(compared(models, pairs, X, "correlation", "spearman")[1]).all()
    X[:] = 1.0
    assert np.isnan(compared(models, pairs, X, "euclidean", "pearson")[1]).all()
    assert np.isnan(compared(models, pairs, X, "euclidean", "spearman")[1]).all()

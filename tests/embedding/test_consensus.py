"""Several seeds agree on planted dimensions, and are seen not to agree where there is nothing to agree on."""

import copy
import pickle

import numpy as np
import pytest

from encoding.core import ConfigError
from encoding.embedding import simulate_judgments
from encoding.embedding.consensus import agree, fit_consensus
from encoding.embedding.sparse import SparseEmbedding
from encoding.numerics.matching import match_columns


@pytest.fixture(scope="module")
def consensus(hard):
    return fit_consensus(SparseEmbedding(max_dims=30), hard, seeds=range(4), resamples=2)


def test_planted_dimensions_are_reproducible(truth, consensus):
    table = consensus.dimensions
    assert {run.embedding_.shape[1] for run in consensus.runs} <= {8, 9}  # each chose for itself
    assert consensus.embedding.shape == (150, 8)
    assert match_columns(truth, consensus.embedding)[1].mean() >= 0.994
    assert table["reproducibility"].min() > 0.98
    assert table["item_split"].min() > 0.98
    assert (table["triplet_split"] > 0.85).all()
    assert (table["triplet_split"] < 0.9999).all()
    assert table["reliable"].all()
    assert (table["n_runs"] == 4).all()
    assert table["dimension"].tolist() == list(range(1, 9))
    assert table["sum"].is_monotonic_decreasing


def test_halves_that_share_a_minimum_do_not_count_as_agreeing():
    """Twelve dimensions of a truth of 24 have many minima, which the start chooses among."""
    rng = np.random.default_rng(0)
    X = rng.gamma(2, 0.5, (40, 24)) * (rng.random((40, 24)) < 0.3)
    model = SparseEmbedding(n_dims=12, max_dims=20, lambdas=(0.001,), ridges=(0.0,), reweight=0, max_iter=100)
    found = fit_consensus(model, simulate_judgments(X, 8_000, seed=1, soft=True), seeds=(0, 1), resamples=0)
    assert found.dimensions["reproducibility"].median() < 0.8
    assert found.dimensions["triplet_split"].median() < 0.8  # .95 from the same start


class Elsewhere:
    """Workers that get copies of everything, as other processes do."""

    apart = True

    def map(self, function, shared, items, **_):
        for item in items:
            called = pickle.loads(pickle.dumps((function, shared, item)))
            yield pickle.loads(pickle.dumps(called[0](*called[1:])))


def test_workers_do_not_change_a_byte(hard, consensus):
    again = fit_consensus(
        SparseEmbedding(max_dims=30), hard, seeds=range(4), workers=Elsewhere(), halves=False, resamples=0
    )
    assert again.embedding.tobytes() == consensus.embedding.tobytes()
    assert again.dimensions["triplet_split"].isna().all()


def test_a_dimension_of_one_run_is_marked(small):
    base = SparseEmbedding(max_dims=8, lambdas=(0.05,)).fit(small)
    runs = []
    rng = np.random.default_rng(0)
    for number in range(4):
        run = copy.copy(base)
        own = rng.gamma(2.0, 0.5, (len(base.items_), 1))
        noisy = base.embedding_ * rng.normal(1, 0.05, base.embedding_.shape)
        run.embedding_ = np.hstack([noisy[:, ::-1], own]) if number else np.hstack([noisy, own])
        runs.append(run)
    found = agree(runs)
    n_shared = base.embedding_.shape[1]
    assert found.dimensions["reliable"].sum() == n_shared
    alone = found.dimensions[~found.dimensions["reliable"]].iloc[0]
    assert alone["n_runs"] == 1
    assert alone["reproducibility"] < 0.5
    space = found.to_feature_space("x", only_reliable=True)
    assert space.values.shape == (len(base.items_), n_shared)
    assert f"x_{int(alone['dimension'])}" not in space.features
    assert found.to_feature_space("x").values.shape[1] == n_shared + 1


@pytest.mark.parametrize(("n", "edges"), [(2, (0, 1)), (39, (0, 1)), (40, (0.025, 0.975))])
def test_few_resamples_have_a_range_and_no_95_percent(small, n, edges):
    base = SparseEmbedding(max_dims=3, n_dims=3, lambdas=(0.05,)).fit(small)
    rng = np.random.default_rng(0)
    again = []
    for _ in range(n):
        again.append(copy.copy(base))
        again[-1].embedding_ = base.embedding_ * rng.normal(1, 0.3, base.embedding_.shape)
    found = agree([base, base], resamples=again)
    r = [match_columns(found.embedding, run.embedding_)[1] for run in again]
    np.testing.assert_allclose(found.dimensions[["low", "high"]].to_numpy().T, np.quantile(r, edges, axis=0))


@pytest.mark.parametrize("seeds", [[0], [1, 1]])
def test_one_seed_is_no_consensus(small, seeds):
    with pytest.raises(ConfigError, match="two or more different ones are needed"):
        fit_consensus(SparseEmbedding(), small, seeds=seeds)

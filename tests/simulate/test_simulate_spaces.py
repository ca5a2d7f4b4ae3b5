"""Feature tables look like ratings and embeddings, correlate, and keep a part of their own."""

import numpy as np
import pytest

from encoding.simulate.presets import SPACES
from encoding.simulate.spaces import simulate_spaces


@pytest.fixture(scope="module")
def spaces():
    return simulate_spaces(2181, 0)


def test_shapes_and_order(spaces):
    assert tuple(spaces) == SPACES
    assert [space.table.shape[1] for space in spaces.values()] == [34, 14, 30, 30]
    assert all(len(space.columns) == space.table.shape[1] for space in spaces.values())


def test_category_ratings_are_proportions_of_raters(spaces):
    table = spaces["category"].table
    grid = np.unique(np.concatenate([np.arange(n + 1) / n for n in range(9, 18)]))
    assert np.abs(table[..., None] - grid).min(axis=-1).max() < 1e-12
    assert 0.68 < (table == 0).mean() < 0.78
    assert 0.03 < table.mean() < 0.09


def test_dimension_ratings_are_on_the_nine_point_scale(spaces):
    table = spaces["dimension"].table
    assert table.min() >= 1
    assert table.max() <= 9
    assert abs(table.mean() - 5) < 0.3


@pytest.mark.parametrize("name", ["mllm", "llm"])
def test_embeddings_are_sparse_and_not_negative(spaces, name):
    table = spaces[name].table
    assert table.min() >= 0
    assert 0.4 < (table == 0).mean() < 0.8


def _explained(features, wanted):
    """Held-out correlation of a ridge from features to wanted, mean over columns."""
    half = len(features) // 2
    centred = features - features[:half].mean(axis=0)
    train = centred[:half]
    gram = train.T @ train
    weights = np.linalg.solve(gram + 0.01 * np.trace(gram) / len(gram) * np.eye(len(gram)), train.T @ wanted[:half])
    guess = centred[half:] @ weights
    return np.mean([np.corrcoef(a, b)[0, 1] for a, b in zip(guess.T, wanted[half:].T, strict=True)])


def test_spaces_share_a_part_and_each_has_its_own(spaces):
    rng = np.random.default_rng(0)
    for driver, space in spaces.items():
        clean = space.clean - space.clean.mean(axis=0)
        wanted = clean @ rng.standard_normal((clean.shape[1], 40))
        r = {name: _explained(other.table, wanted) for name, other in spaces.items()}
        own = r.pop(driver)
        assert own > 0.85
        assert max(r.values()) < own - 0.15
        assert min(r.values()) > 0.3


def test_seed_decides():
    one, same, other = (simulate_spaces(50, seed) for seed in (1, 1, 2))
    for name in SPACES:
        np.testing.assert_array_equal(one[name].table, same[name].table)
        assert not np.array_equal(one[name].table, other[name].table)

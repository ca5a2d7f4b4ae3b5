"""Relations between dimensions that are planted, and none where there is none."""

import numpy as np
import pytest
from scipy.stats import pearsonr

from encoding.core import DataError
from encoding.embedding.evaluation import evaluate, importance
from encoding.embedding.relations import blend_hues, place_dimensions, relate
from encoding.embedding.simulated import simulate_judgments


@pytest.fixture(scope="module")
def two_families():
    """Dimensions 0-3 share one source, 4-6 another, 7 has none."""
    rng = np.random.default_rng(0)
    source = rng.gamma(1, 1, (300, 2))
    X = rng.gamma(1, 0.5, (300, 8))
    X[:, :4] += source[:, :1]
    X[:, 4:7] += source[:, 1:]
    return X


def test_communities_are_the_planted_families(two_families):
    found = relate(two_families, n_permutations=500)
    assert found.community.tolist() == [0, 0, 0, 0, 1, 1, 1, 2]
    pairs = {(int(a), int(b)) for a, b in found.edges[["first", "second"]].to_numpy()}
    assert {(0, 1), (2, 3), (4, 5), (5, 6)} <= pairs
    assert found.r[0, 1] == pytest.approx(pearsonr(two_families[:, 0], two_families[:, 1])[0])
    neighbours = np.argsort(found.hue)
    families = np.array([0, 0, 0, 0, 1, 1, 1, 2])[neighbours]
    assert (np.diff(families) != 0).sum() == 2, "families are not split over the wheel"
    places = place_dimensions(found)
    near, far = np.linalg.norm(places[0] - places[1]), np.linalg.norm(places[0] - places[4])
    assert near < far


def test_independent_dimensions_are_rarely_connected():
    rng = np.random.default_rng(1)
    any_edge = [len(relate(rng.gamma(1, 1, (100, 6)), n_permutations=400, seed=seed).edges) > 0 for seed in range(40)]
    assert sum(any_edge) <= 6  # 0.05 of 40 are 2; 7 or more have a probability of .004


def test_a_negative_correlation_is_no_edge():
    x = np.random.default_rng(2).random(200)
    assert len(relate(np.stack([x, 1 - x], axis=1), n_permutations=200).edges) == 0


def test_one_dimension_has_no_relations():
    with pytest.raises(DataError, match="Embedding of 1 dimensions: relations need two or more"):
        relate(np.ones((5, 1)))


def test_hues_mix():
    hue = np.array([0.0, 0.25, 0.5])
    mixed, purity = blend_hues(np.array([[2.0, 0, 0], [0, 3, 0], [1, 1, 0], [1, 0, 1], [0, 0, 0]]), hue)
    assert mixed[:3] == pytest.approx([0, 0.25, 0.125])
    assert purity == pytest.approx([1, 1, np.sqrt(0.5), 0, 0])


def test_importance_is_the_score_without_the_dimension():
    rng = np.random.default_rng(3)
    X = rng.gamma(1, 0.8, (40, 4))
    X[:, 3] = 0.001 * rng.random(40)
    judgments = simulate_judgments(X, 4_000, seed=0)
    table = importance(X, judgments, n_bootstrap=200)
    both = {"all": X} | {str(k + 1): np.delete(X, k, axis=1) for k in range(4)}
    scores = evaluate(both, judgments, n_bootstrap=10).set_index("name")
    for row in table.to_dict("records"):
        without = scores.loc[str(row["dimension"])]
        assert row["accuracy_lost"] == pytest.approx(scores.loc["all", "accuracy"] - without["accuracy"], abs=1e-12)
        gained = without["cross_entropy"] - scores.loc["all", "cross_entropy"]
        assert row["cross_entropy_gained"] == pytest.approx(gained, abs=1e-12)
        assert row["cross_entropy_gained_low"] <= row["cross_entropy_gained"] <= row["cross_entropy_gained_high"]
    assert (table["cross_entropy_gained_low"][:3] > 0).all()
    assert table["cross_entropy_gained"][3] == pytest.approx(0, abs=1e-3)

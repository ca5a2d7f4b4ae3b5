"""More judgments make a better embedding, rounds ask something new, and test triplets stay out of both."""

import numpy as np
import pandas as pd
import pytest

from encoding.core import ConfigError
from encoding.numerics.triplet_ranks import rank_triplets
from encoding.workflow.power import Power, choose_triplets, needed, simulate_power, true_embedding


def test_more_judgments_come_closer_to_the_truth():
    table = simulate_power(Power(n_stimuli=40, n_dims=4, numbers=(400, 3000), designs=("balanced", "active"), rounds=1))
    assert len(table) == 4
    for _, part in table.groupby("design"):
        few, many = part.sort_values("judgments").to_dict("records")
        assert many["loss"] < few["loss"]
        assert many["similarity"] > max(few["similarity"], 0.8)
        assert many["accuracy"] <= many["best_accuracy"] + 1e-9
        assert many["loss"] >= many["best_loss"] - 1e-9


def test_a_noisier_judge_teaches_less():
    table = simulate_power(Power(n_stimuli=40, n_dims=4, numbers=(2000,), noise=(0.5, 4.0)))
    clear, noisy = table["loss"]
    assert clear < noisy


def test_a_round_asks_what_is_uncertain_and_new():
    X = true_embedding(40, 4, 0)
    asked = rank_triplets(np.array([[0, 1, 2], [3, 4, 5]]))
    found = choose_triplets([X], asked, 200, uniform=0.25, seed=1)
    ranks = rank_triplets(found)
    assert len(set(ranks.tolist())) == 200
    assert not set(ranks.tolist()) & set(asked.tolist())
    S = X @ X.T

    def certainty(items):
        a, b, c = items.T
        logits = np.stack([S[b, c], S[a, c], S[a, b]], axis=1)
        p = np.exp(logits - logits.max(axis=1, keepdims=True))
        return (p.max(axis=1) / p.sum(axis=1)).mean()

    assert certainty(found[:150]) < certainty(found[150:])


def test_a_round_asks_what_embeddings_disagree_about():
    X = true_embedding(40, 4, 0)
    X[:10] = 0  # whatever they are shown with, all embeddings call them a toss-up: nothing would be learned
    others = [X + np.random.default_rng(k).gamma(0.2, size=X.shape) * (np.arange(40) >= 30)[:, None] for k in range(3)]
    found = choose_triplets(others, np.zeros(0, dtype=np.int64), 100, uniform=0.0, seed=1)
    assert (found >= 30).any(axis=1).mean() > 0.95
    alone = choose_triplets([X], np.zeros(0, dtype=np.int64), 100, uniform=0.0, seed=1)
    assert (alone < 10).any(axis=1).mean() > 0.5


def test_needed_is_read_between_numbers():
    table = pd.DataFrame({"design": "random", "judgments": [100, 400, 1600], "loss": [1.0, 0.8, 0.7]})
    assert needed(table, 0.8, "random") == pytest.approx(400)
    assert needed(table, 0.9, "random") == pytest.approx(200)
    assert needed(table, 0.5, "random") == np.inf


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ({"designs": ("best",)}, "design 'best'"),
        ({"numbers": (10,)}, "100 to"),
        ({"n_stimuli": 5}, "30 stimuli"),
        ({"noise": (0.0,)}, "numbers above 0"),
    ],
)
def test_bad_simulations_are_refused(how, message):
    with pytest.raises(ConfigError, match=message):
        Power(**how)


def test_too_few_judgments_are_a_result_and_no_failure():
    table = simulate_power(Power(n_stimuli=60, n_dims=4, numbers=(100,), noise=(50.0,)))
    assert table["dims"].tolist() == [0]
    assert table["loss"].tolist() == pytest.approx([np.log(3)])
    assert table["similarity"].tolist() == [0.0]

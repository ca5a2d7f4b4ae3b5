"""Accuracies, intervals, ceilings and slot preferences of embeddings whose truth is known."""

import itertools

import numpy as np
import pytest

from encoding.core import DataError
from encoding.embedding.evaluation import (
    accuracy_by_dimensions,
    calibrate,
    compare_similarity,
    dimensions_needed,
    evaluate,
    slot_preference,
)
from encoding.embedding.simulated import judgments_of, simulate_judgments
from encoding.embedding.triplets import as_triplets
from encoding.numerics.choices import choice_logits, log_probabilities


def test_the_truth_beats_noise_and_stays_below_the_ceiling(truth):
    repeated = simulate_judgments(truth, 3_000, seed=0, n_repeats=5)
    table = evaluate({"truth": truth, "noise": np.random.default_rng(0).random(truth.shape)}, repeated).set_index(
        "name"
    )
    p = np.exp(log_probabilities(choice_logits(truth @ truth.T, repeated.items)))
    assert table.loc["truth", "accuracy"] == pytest.approx(p.max(axis=1).mean(), abs=0.02)
    assert table.loc["truth", "cross_entropy"] == pytest.approx(-(p * np.log(p)).sum(axis=1).mean(), abs=0.02)
    assert table.loc["noise", "accuracy"] == pytest.approx(1 / 3, abs=0.05)
    assert table.loc["chance", "cross_entropy"] == pytest.approx(np.log(3))
    assert table.loc["agreement of two answers", "accuracy"] == pytest.approx((p**2).sum(axis=1).mean(), abs=0.02)
    assert table.loc["truth", "accuracy"] < table.loc["most frequent answer", "accuracy"]
    assert table.loc["truth", "n"] == 15_000
    assert 2_950 < table.loc["most frequent answer", "n"] <= 3_000


def test_intervals_are_as_wide_as_new_judgments_vary(truth):
    tables = [
        evaluate({"x": truth}, simulate_judgments(truth, 1_000, seed=seed), n_bootstrap=200) for seed in range(40)
    ]
    accuracies = np.array([table["accuracy"].iloc[0] for table in tables])
    widths = np.array([table["accuracy_high"].iloc[0] - table["accuracy_low"].iloc[0] for table in tables])
    assert widths.mean() / (2 * 1.96) == pytest.approx(accuracies.std(), rel=0.35)


def test_repeats_make_intervals_wider_than_as_many_triplets(truth):
    alone = evaluate({"x": truth}, simulate_judgments(truth, 2_000, seed=0)).iloc[0]
    repeated = evaluate({"x": truth}, simulate_judgments(truth, 100, seed=0, n_repeats=20)).iloc[0]
    assert repeated["accuracy_high"] - repeated["accuracy_low"] > 1.5 * (alone["accuracy_high"] - alone["accuracy_low"])


def test_ties_do_not_pay(truth):
    judgments = simulate_judgments(truth, 500, seed=0)
    table = evaluate({"zeros": np.zeros((150, 2))}, judgments)
    assert table["accuracy"].iloc[0] == pytest.approx(1 / 3)
    with pytest.raises(DataError, match="embedding 'x' has 149 items, the judgments 150"):
        evaluate({"x": truth[:-1]}, judgments)


def test_a_slot_preference_is_found_and_its_absence_too(truth):
    fair = slot_preference(truth, simulate_judgments(truth, 5_000, seed=0))
    assert not fair.found
    assert fair.p > 0.001
    bias = np.array([1.5, 0.0, -0.4])
    judgments = simulate_judgments(truth, 30_000, seed=1, slot_bias=bias)
    unfair = slot_preference(truth, judgments)
    assert unfair.found
    assert unfair.bias == pytest.approx(bias - bias.mean(), abs=0.06)
    assert unfair.shares[0] > 0.45
    assert not slot_preference(truth, judgments, bias=bias).found


def test_p_values_of_no_preference_are_uniform(truth):
    p = [slot_preference(truth, simulate_judgments(truth, 400, seed=seed)).p for seed in range(120)]
    assert np.mean(np.array(p) < 0.5) == pytest.approx(0.5, abs=0.15)
    assert np.mean(np.array(p) < 0.05) < 0.12


def test_the_truth_is_calibrated_and_its_double_is_too_sure(truth):
    judgments = simulate_judgments(truth, 30_000, seed=0)
    table = calibrate(truth, judgments)
    assert (np.abs(table["predicted"] - table["observed"]) < 0.03).all()
    sure = calibrate(2 * truth, judgments)
    assert (sure["predicted"].iloc[-1] - sure["observed"].iloc[-1]) > 0.05


def test_accuracy_grows_with_the_dimensions_kept(truth):
    table = accuracy_by_dimensions(truth, simulate_judgments(truth, 10_000, seed=0))
    assert table["n_kept"].tolist() == list(range(9))
    assert table["accuracy"].iloc[0] == pytest.approx(1 / 3)
    assert table["share"].iloc[-1] == 1
    assert table["accuracy"].iloc[1] < table["accuracy"].iloc[3] < table["accuracy"].iloc[-1] + 0.01


def test_items_need_as_many_dimensions_as_they_have():
    rng = np.random.default_rng(0)
    X = rng.gamma(2.0, 1.0, (100, 5))
    X[0, 1:], X[1, :], X[2, 2:] = 0, 0, 0
    X[2, :2] = 1.0, 1.0
    needed = dimensions_needed(X, levels=(0.95, 0.99, 1.0))
    assert needed[0].tolist() == [1, 1, 1]
    assert needed[1].tolist() == [0, 0, 0]
    assert needed[2].tolist() == [2, 2, 2]
    assert (np.diff(needed, axis=1) >= 0).all()
    assert needed[3:, 2].tolist() == [5] * 97


def test_similarity_is_compared_on_a_fully_sampled_subset(truth):
    chosen = np.arange(0, 150, 6)
    triplets = np.array(list(itertools.combinations(chosen, 3)))
    p = np.exp(log_probabilities(choice_logits(truth @ truth.T, triplets)))
    choice = (np.random.default_rng(0).random((len(p), 1)) > p.cumsum(axis=1)).sum(axis=1)
    judgments = judgments_of(list(map(str, range(150))), triplets, choice)
    found = compare_similarity(truth, judgments)
    assert found.r > 0.95
    assert found.low < found.r < found.high
    assert found.n_items == 25
    assert len(found.measured) == len(found.predicted) == 300
    assert np.corrcoef(found.measured, found.predicted)[0, 1] == pytest.approx(found.r)
    assert compare_similarity(np.random.default_rng(1).random((150, 8)), judgments).r < 0.5
    with pytest.raises(DataError, match="some pairs of 25 items were judged 22 times, but with every third item 23"):
        compare_similarity(truth, as_triplets(judgments)[1:])

"""Accuracies, intervals, ceilings and slot preferences of embeddings whose truth is known."""

import dataclasses
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
    fit_factor,
    importance,
    largest_alone,
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


def with_people_excluded(truth):
    """Judgments repeated four times; half of the answers are of people with weight 0, who name the first slot."""
    judgments = simulate_judgments(truth, 600, seed=3, n_repeats=4)
    excluded = np.arange(len(judgments)) % 4 >= 2
    choice = np.where(excluded, 0, judgments.choice)
    weight = np.where(excluded, 0, 1 + np.arange(len(judgments)) % 4).astype(np.float32)
    return dataclasses.replace(judgments, choice=choice, weight=weight), ~excluded


@pytest.mark.parametrize(
    "measure",
    [
        lambda X, given: evaluate({"x": X}, given, n_bootstrap=20),
        lambda X, given: dataclasses.asdict(slot_preference(X, given)),
        lambda X, given: calibrate(X, given),
        lambda X, given: accuracy_by_dimensions(X, given),
        lambda X, given: importance(X, given, n_bootstrap=20),
        lambda X, given: fit_factor(X, given),
        lambda X, given: largest_alone(X, given, given, n_bootstrap=20),
    ],
)
def test_judgments_of_weight_0_count_for_nothing(truth, measure):
    judgments, kept = with_people_excluded(truth)
    found, expected = measure(truth, judgments), measure(truth, judgments.take(kept))
    np.testing.assert_equal(*(part.to_dict() if hasattr(part, "to_dict") else part for part in (found, expected)))


def test_measured_similarity_is_weighted(truth):
    chosen = np.arange(0, 150, 10)
    triplets = np.repeat(np.array(list(itertools.combinations(chosen, 3))), 2, axis=0)
    names = list(map(str, range(150)))
    choice = np.random.default_rng(1).integers(0, 3, len(triplets))
    whole = judgments_of(names, triplets, choice)
    weight = np.tile([1, 0], len(triplets) // 2).astype(np.float32)
    found = compare_similarity(truth, dataclasses.replace(whole, weight=weight), n_bootstrap=5)
    assert found.measured.tolist() == compare_similarity(truth, whole.take(weight > 0), n_bootstrap=5).measured.tolist()
    never = (triplets[:, :2] == [0, 10]).all(axis=1)
    some = dataclasses.replace(whole, weight=np.where(never, 0, weight).astype(np.float32))
    with pytest.raises(DataError, match="some pairs of 15 items were judged 0 times"):
        compare_similarity(truth, some)


def test_judgments_that_all_have_weight_0_are_refused(truth):
    judgments = simulate_judgments(truth, 200, seed=0)
    none = np.zeros(200, np.float32)
    with pytest.raises(DataError, match="all valid judgments have a weight of 0"):
        evaluate({"x": truth}, dataclasses.replace(judgments, weight=none))
    with pytest.raises(DataError, match="all 200 have weight 0"):
        evaluate({"x": truth}, dataclasses.replace(as_triplets(judgments), weight=none))


def test_weights_of_any_unit_and_size_leave_p_values_uniform(truth):
    rng = np.random.default_rng(0)
    p = []
    for seed in range(120):
        judgments = simulate_judgments(truth, 400, seed=seed)
        p.append(slot_preference(truth, dataclasses.replace(judgments, weight=rng.gamma(1, 5, 400).astype("f4"))).p)
    assert np.mean(np.array(p) < 0.5) == pytest.approx(0.5, abs=0.15)
    assert np.mean(np.array(p) < 0.05) < 0.12


def test_calibration_is_weighted(truth):
    judgments = simulate_judgments(truth, 400, seed=0)
    twice = judgments.take(np.r_[np.arange(400), np.arange(100)])
    weight = np.where(np.arange(400) < 100, 2, 1).astype(np.float32)
    found, expected = calibrate(truth, dataclasses.replace(judgments, weight=weight)), calibrate(truth, twice)
    np.testing.assert_allclose(found[["predicted", "observed"]], expected[["predicted", "observed"]])


def test_what_one_bias_rules_out_is_ruled_out_for_all(truth):
    judgments = simulate_judgments(truth, 2_000, seed=0)
    judgments = judgments.take(judgments.choice > 0)
    found = evaluate({"own": truth, "same": truth}, judgments, bias={"own": np.array([-np.inf, 0, 0])}, n_bootstrap=5)
    own, same = found.iloc[0], found.iloc[1]
    assert same.drop("name").tolist() == own.drop("name").tolist()
    assert found.set_index("name").loc["chance", "accuracy"] == 0.5


def test_the_factor_of_another_scale_is_found(truth):
    judgments = simulate_judgments(truth, 20_000, seed=0)
    assert fit_factor(truth, judgments) == pytest.approx(1, abs=0.05)
    assert fit_factor(10 * truth, judgments) == pytest.approx(0.01 * fit_factor(truth, judgments), rel=0.01)
    assert fit_factor(np.zeros_like(truth), judgments) == 0
    match = np.array([-np.inf, 0.5, -0.5])
    matched = judgments.take(judgments.choice > 0)
    assert 0.5 < fit_factor(truth, matched, bias=match) < 1.5


def test_the_largest_weight_alone_is_enough_for_clusters_and_not_for_blends():
    rng = np.random.default_rng(0)
    clusters = np.eye(4)[np.arange(80) % 4] * rng.gamma(4.0, 0.4, (80, 1))
    noisy = clusters + 0.4 * rng.random((80, 4)) * (rng.random((80, 4)) < 0.3)  # as an estimate has it
    train, test = (simulate_judgments(clusters, 4_000, seed=seed) for seed in (0, 1))
    assert largest_alone(noisy, test, train)["cross_entropy_gained_low"] < 0
    blends = rng.gamma(2.0, 0.7, (80, 4)) * (rng.random((80, 4)) < 0.6)
    train, test = (simulate_judgments(blends, 4_000, seed=seed) for seed in (2, 3))
    assert largest_alone(blends, test, train)["cross_entropy_gained_low"] > 0.05

"""What is returned was chosen by validation judgments, and what the judgments cannot say is told."""

import copy
import dataclasses
import itertools

import numpy as np
import pytest
import torch

from encoding.core import DataError, PairRatings
from encoding.embedding import (
    SparseEmbedding,
    agree,
    fit_consensus,
    intervals,
    learning_curve,
    page,
    path,
    simulate_judgments,
    slot_preference,
)
from encoding.embedding.intervals import LEAST_COST, cost_of_turning
from encoding.embedding.objective import Problem
from encoding.embedding.path import AtChanceError
from encoding.embedding.rated import as_rated
from encoding.embedding.simulated import judgments_of
from encoding.embedding.triplets import Triplets, as_triplets, connections

from .shapes import categories, cross_entropy_of, judge, lognormal


@pytest.mark.parametrize("make", [lognormal, categories])
def test_few_judgments_do_not_make_it_worse_than_chance_or_plain_l1(make):
    truth = make(0, 120, 5)
    rows, unseen = judge(truth, 3_000, 1), judge(truth, 6_000, 2)
    data = as_triplets(rows, n_items=120)
    chosen = SparseEmbedding().fit(data)
    plain = SparseEmbedding(ridges=(0.0,), reweight=0).fit(data)
    loss = cross_entropy_of(chosen.embedding_, unseen)
    assert loss < np.log(3)
    assert loss <= cross_entropy_of(plain.embedding_, unseen) + 0.002
    assert chosen.embedding_.max() < 10
    assert chosen.validation_loss_ <= plain.validation_loss_ + 1e-6


def with_probabilities(X, n, seed):
    """Judgments whose probabilities are exact: there is no noise."""
    rows, similarity = judge(X, n, seed), X @ X.T
    logits = np.stack([similarity[rows[:, j], rows[:, k]] for j, k in ((1, 2), (0, 2), (0, 1))], axis=1)
    p = np.exp(logits - logits.max(axis=1, keepdims=True))
    p /= p.sum(axis=1, keepdims=True)
    data = as_triplets(rows, n_items=len(X))
    return Triplets(data.items, p.argmax(axis=1).astype(np.int8), p.astype(np.float32), None, data.names)


@pytest.mark.parametrize("soft", [False, True])
def test_plain_l1_is_found_as_if_nothing_else_were_tried(soft):
    truth = lognormal(0, 90, 4)
    data = with_probabilities(truth, 2_000, 1) if soft else as_triplets(judge(truth, 10_000, 1), n_items=90)
    chosen = SparseEmbedding(max_dims=10).fit(data)
    plain = SparseEmbedding(max_dims=10, ridges=(0.0,), reweight=0).fit(data)
    assert plain.plain_
    best = chosen.path_[(chosen.path_["ridge"] == 0) & (chosen.path_["rounds"] == 0)]["loss"]
    assert plain.validation_loss_ in best.tolist()
    if chosen.plain_:
        np.testing.assert_array_equal(chosen.embedding_, plain.embedding_)
    else:
        assert chosen.validation_loss_ <= plain.validation_loss_


def test_without_noise_the_penalty_goes_down_as_long_as_that_helps(monkeypatch):
    monkeypatch.setattr(path, "MOST_EXTENSIONS", 0)
    monkeypatch.setattr(path, "SOFT", (0.7, 1.0))  # a path that ends far too early
    truth = lognormal(0, 90, 4)
    data, unseen = with_probabilities(truth, 2_000, 1), judge(truth, 6_000, 2)
    found = {}
    for least in (path.LEAST_GAIN, np.inf):
        monkeypatch.setattr(path, "LEAST_GAIN", least)
        found[least] = SparseEmbedding(max_dims=10, ridges=(0.0,), reweight=0).fit(data)
    near, far = found.values()
    assert near.lambda_ < far.lambda_
    assert near.validation_loss_ < far.validation_loss_
    excess = [cross_entropy_of(model.embedding_, unseen) - cross_entropy_of(truth, unseen) for model in (near, far)]
    assert abs(excess[0]) < 0.5 * excess[1]


def test_enough_judgments_find_dimensions_of_another_shape():
    truth = lognormal(3, 120, 5)
    model = SparseEmbedding().fit(as_triplets(judge(truth, 20_000, 4), n_items=120))
    unseen = judge(truth, 6_000, 5)
    assert model.embedding_.shape[1] == 5
    assert cross_entropy_of(model.embedding_, unseen) <= cross_entropy_of(truth, unseen) + 0.02


def test_the_chosen_row_is_the_fit_that_was_scored(small):
    model = SparseEmbedding(max_dims=10).fit(small)
    row = model.path_[model.path_["chosen"]].iloc[0]
    assert model.path_["chosen"].sum() == 1
    assert (row["lambda"], row["ridge"], row["rounds"]) == (model.lambda_, model.ridge_, model.rounds_)
    plain = model.path_[(model.path_["ridge"] == 0) & (model.path_["rounds"] == 0)]
    assert row["loss"] <= plain["loss"].min() + plain["loss_se"].max()
    assert set(model.path_["rounds"]) == {0, 1, 2}
    assert set(model.path_["ridge"]) == {0.0, 2.0, 100.0}


def test_a_lambda_at_the_edge_is_told(small):
    model = SparseEmbedding(max_dims=10, lambdas=(0.3, 0.5), ridges=(0.0,), reweight=0).fit(small)
    assert any("is the smallest that was tried (0.3 to 0.5)" in note for note in model.notes_)
    assert not SparseEmbedding(max_dims=10).fit(small).notes_


def test_every_seed_chooses_for_itself(small):
    found = fit_consensus(SparseEmbedding(max_dims=8), small, seeds=(0, 1, 2), halves=False, resamples=2)
    assert found.choices["sample"].tolist() == ["seed"] * 3 + ["resample"] * 2
    assert found.choices.loc[found.choices["sample"] == "seed", "loss"].nunique() == 3
    assert (found.dimensions["found_resampled"] >= 0).all()
    assert found.choices["n_dims"].between(2, 5).all()


def test_what_nobody_judged_is_left_out_and_told(small_truth):
    rows = judge(small_truth, 3_000, 0) + 1
    model = SparseEmbedding(max_dims=6).fit(rows)
    assert model.judged_.tolist() == [False] + [True] * 40
    assert model.to_feature_space("x").samples.stimulus.tolist() == [str(k) for k in range(1, 41)]
    assert any("'0'. Is the first item number 1? Then say count_from = 1." in note for note in model.notes_)


def test_groups_that_are_never_compared_are_told():
    truth = lognormal(1, 40, 3)
    rows = np.concatenate([judge(truth[:25], 2_000, 0), judge(truth[25:], 2_000, 1) + 25])
    assert np.bincount(connections(as_triplets(rows))).tolist() == [25, 15]
    model = SparseEmbedding(max_dims=6).fit(rows)
    assert any("2 groups of items that are never compared with each other (sizes 25, 15)" in n for n in model.notes_)


def test_the_order_of_files_with_the_odd_item_last_is_no_preference(small, small_truth):
    rows = judge(small_truth, 3_000, 0)
    found = slot_preference(small_truth, as_triplets(rows))
    assert not found.found
    assert np.isnan(found.p)
    with pytest.raises(DataError, match=r"slot_bias = True, but the odd item is in slot 3 of all 3,000 judgments"):
        SparseEmbedding(slot_bias=True).fit(rows)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ([0.0, 0.0, 0.0], "probabilities that are all zero, the first is row 7"),
        ([-0.5, -1.2, -2.0], "a negative probability; are these logarithms"),
        ([0.5, np.nan, 0.5], "only some of the three probabilities"),
        ([np.inf, 1.0, 1.0], "an infinite probability"),
    ],
)
def test_what_is_no_probability_is_refused(small_truth, values, message):
    judgments = simulate_judgments(small_truth, 100, seed=0, soft=True)
    probabilities = judgments.probabilities.copy()
    probabilities[7] = values
    with pytest.raises(DataError, match=message):
        SparseEmbedding().fit(dataclasses.replace(judgments, probabilities=probabilities))


def test_a_judge_who_is_worse_than_chance_is_refused(small_truth):
    rows = judge(small_truth, 4_000, 0)
    with pytest.raises(DataError, match="better than chance"):
        SparseEmbedding(max_dims=6).fit(rows[:, [2, 0, 1]].copy())


def test_posterior_intervals_hold_the_truth():
    truth = lognormal(7, 60, 3)
    inside = {0.5: [], 0.95: []}
    for seed in range(2):
        rows = judge(truth, 9_000, seed)
        model = SparseEmbedding("variational", max_dims=8, random_state=seed).fit(as_triplets(rows, n_items=60))
        from encoding.numerics.matching import match_columns

        partner = match_columns(truth, model.embedding_)[0]
        for level, found in inside.items():
            low, high = (part[:, partner] for part in model.interval(level))
            found.append(((low <= truth) & (truth <= high))[truth > 0.1])
    assert np.concatenate(inside[0.95]).mean() == pytest.approx(0.95, abs=0.035)
    assert np.concatenate(inside[0.5]).mean() == pytest.approx(0.5, abs=0.12)


def test_a_dimension_of_few_seeds_is_not_called_reliable(small):
    """Three seeds of ten agree perfectly, the others not at all: agreement of all is what counts."""
    base = SparseEmbedding(max_dims=8, lambdas=(0.05,)).fit(small)
    rng = np.random.default_rng(0)
    runs = []
    shared = rng.gamma(2.0, 0.5, (len(base.items_), 1))
    for number in range(10):
        run = copy.copy(base)
        own = shared if number < 3 else rng.gamma(2.0, 0.5, (len(base.items_), 1))
        run.embedding_ = np.hstack([base.embedding_, own])
        runs.append(run)
    table = agree(runs).dimensions
    weak = table.loc[~table["reliable"]]
    assert len(weak) == 1
    assert weak["reproducibility"].iloc[0] < 0.5
    assert weak["found"].iloc[0] == pytest.approx(2 / 9, abs=0.12)


def test_agreeing_seeds_are_not_enough_where_resamples_differ(small):
    base = SparseEmbedding(max_dims=8, lambdas=(0.05,)).fit(small)
    rng = np.random.default_rng(0)
    others = []
    for _ in range(10):
        run = copy.copy(base)
        run.embedding_ = base.embedding_.copy()
        run.embedding_[:, -1] = rng.permutation(run.embedding_[:, -1])
        others.append(run)
    table = agree([base, base, base], resamples=others).dimensions
    assert table["reproducibility"].min() > 0.99
    assert table["reliable"].tolist() == [True] * (len(table) - 1) + [False]
    assert table["low"].iloc[-1] < 0.8


def test_numbers_of_judgments_need_no_order(small_truth):
    names = [f"clip{k}" for k in range(40)]
    rows = judge(small_truth, 500, 0)
    assert as_triplets(judgments_of(names, rows, np.full(500, 2))).names[3] == "clip3"


def test_more_judgments_lower_the_loss_until_they_do_not(small_truth):
    rows = judge(small_truth, 5_000, 3)
    names = [f"clip{k}" for k in range(40)]
    split = np.where(as_triplets(rows).keys % 5 == 0, "test", "train")
    judgments = dataclasses.replace(judgments_of(names, rows, np.full(5_000, 2)), split=split)
    model = SparseEmbedding(max_dims=6).fit(judgments)
    table = learning_curve(model, judgments, shares=(0.4, 0.1))
    assert table["share"].tolist() == [0.1, 0.4, 1.0]
    assert table["n"].is_monotonic_increasing
    assert table["cross_entropy"].is_monotonic_decreasing
    first, second = -np.diff(table["cross_entropy"])
    assert first > second > -0.01
    with pytest.raises(DataError, match=r"shares = \[1.5\]"):
        learning_curve(model, judgments, shares=[1.5])
    whole = dataclasses.replace(judgments, split=np.full(5_000, ""))
    with pytest.raises(DataError, match="no judgments are in the part 'test'"):
        learning_curve(SparseEmbedding(max_dims=6, lambdas=(0.05,)).fit(whole), whole)


def test_what_falls_apart_in_a_fit_with_more_dimensions_is_not_reliable(small):
    base = SparseEmbedding(max_dims=8, lambdas=(0.05,)).fit(small)
    runs = [copy.copy(base) for _ in range(3)]
    rng = np.random.default_rng(0)
    mixed = base.embedding_[:, -1:]
    for run in runs:
        parts = np.eye(3)[rng.integers(0, 3, len(mixed))] * mixed  # each stimulus in one of three
        run.rival_ = np.hstack([base.embedding_[:, :-1], parts])
    table = agree(runs).dimensions
    assert table["found_rivals"].tolist() == [1.0] * (len(table) - 1) + [0.0]
    assert table["reliable"].tolist() == [True] * (len(table) - 1) + [False]


def test_a_dimension_that_is_the_only_one_is_not_called_reliable():
    """Eight dimensions that share much look like one where judgments are few."""
    rng = np.random.default_rng(5)
    shared = rng.normal(size=(80, 1))
    truth = 0.35 * np.exp(0.6 * (shared + rng.normal(size=(80, 8))))
    found = fit_consensus(SparseEmbedding(max_dims=8), judge(truth, 3_000, 0), seeds=(0, 1), halves=False, resamples=2)
    assert len(found.dimensions) == 1
    assert found.dimensions["found_resampled"].iloc[0] == 1
    assert not found.dimensions["reliable"].any()


def test_close_choices_are_made_on_further_parts(small):
    model = SparseEmbedding().fit(small)
    compared = model.path_.dropna(subset="folds_loss")
    assert model.embedding_.shape[1] == 3
    assert compared["n_dims"].nunique() > 1
    assert len(compared) <= 8
    assert set(compared["n_dims"]) >= {model.embedding_.shape[1]}


def correlated(seed, n_items, n_dims):
    """Exponentials of Gaussians that are correlated by r = .5: no coordinate is zero, and any mixture would do."""
    rng = np.random.default_rng([seed, 14])
    common = rng.normal(size=(n_items, 1))
    return 0.5 * np.exp(0.6 * (common + rng.normal(size=(n_items, n_dims))))


def half_correlated(seed, n_items, n_dims):
    """Sparse dimensions beside correlated ones without zeros: what is cut most may cost least."""
    n = n_dims // 2
    return np.hstack([lognormal(seed, n_items, n), correlated(seed, n_items, n_dims - n)])


def test_dimensions_that_can_be_mixed_at_no_cost_have_no_intervals():
    mixed = as_triplets(judge(correlated(1, 60, 3), 8_000, 0), n_items=60)
    model = SparseEmbedding("variational", max_dims=6, ridges=(100.0,), reweight=0).fit(mixed)
    assert model.embedding_.shape[1] > 1
    assert not model.determined_.any()
    assert all(np.isnan(part).all() for part in model.interval())
    sparse = as_triplets(judge(lognormal(7, 60, 3), 8_000, 0), n_items=60)
    model = SparseEmbedding("variational", max_dims=6, lambdas=(0.03,), ridges=(0.0,), reweight=0).fit(sparse)
    assert model.determined_.all()
    low, high = model.interval()
    assert (low < high).all()


def test_turning_costs_what_is_cut():
    """Against the loss of two turned columns, written out."""
    X = lognormal(0, 30, 2)
    rows = judge(X, 2_000, 0)
    cos, sin = np.cos(np.pi / 12), np.sin(np.pi / 12)
    turned = [np.stack([cos * X[:, a] + sin * X[:, b], np.maximum(cos * X[:, b] - sin * X[:, a], 0)], axis=1)
              for a, b in ((0, 1), (1, 0))]  # fmt: skip
    cost = min(cross_entropy_of(part, rows) for part in turned) - cross_entropy_of(X, rows)
    data = as_triplets(rows, n_items=30)
    problem = Problem(data, with_bias=False, dtype=torch.float64, device="cpu")
    found = cost_of_turning(problem, torch.as_tensor(X), None)
    assert found == pytest.approx([2_000 * cost] * 2, rel=1e-6)


@pytest.mark.parametrize("make", [lognormal, categories, correlated, half_correlated])
def test_of_many_dimensions_all_pairs_are_turned(make):
    X = make(0, 60, 9)
    rows = judge(X, 3_000, 0)
    cos, sin = np.cos(np.pi / 12), np.sin(np.pi / 12)
    least = np.full(9, np.inf)
    for a, b in itertools.permutations(range(9), 2):
        turned = X.copy()
        turned[:, a], turned[:, b] = cos * X[:, a] + sin * X[:, b], np.maximum(cos * X[:, b] - sin * X[:, a], 0)
        cost = 3_000 * (cross_entropy_of(turned, rows) - cross_entropy_of(X, rows))
        least[[a, b]] = np.minimum(least[[a, b]], cost)
    problem = Problem(as_triplets(rows, n_items=60), with_bias=False, dtype=torch.float64, device="cpu")
    assert cost_of_turning(problem, torch.as_tensor(X), None) == pytest.approx(least, rel=1e-6, abs=1e-6)


def test_one_dimension_cannot_be_turned():
    problem = Problem(as_triplets(judge(lognormal(0, 30, 1), 500, 0)), with_bias=False, dtype=torch.float64,
                      device="cpu")  # fmt: skip
    assert cost_of_turning(problem, torch.ones(30, 1), None).tolist() == [np.inf]


def test_what_is_hardly_cut_is_not_determined():
    X = lognormal(2, 60, 9)
    X[:, 1] = X[:, 0] + 0.5  # nothing is cut of it
    data = as_triplets(judge(X, 3_000, 0), n_items=60)
    problem = Problem(data, with_bias=False, dtype=torch.float64, device="cpu")
    found = cost_of_turning(problem, torch.as_tensor(X), None)
    assert (found < LEAST_COST)[:2].all()
    assert (found > LEAST_COST)[2:].any()


def test_a_resample_in_which_nothing_is_found_counts_against_all_dimensions(small, monkeypatch):
    learn = SparseEmbedding._learn

    def sometimes(self, X, near, stronger):
        if self.random_state == 3:  # that of the first resample
            raise AtChanceError("no better than chance")
        return learn(self, X, near, stronger)

    monkeypatch.setattr(SparseEmbedding, "_learn", sometimes)
    base = SparseEmbedding(max_dims=8, lambdas=(0.05,))
    found = fit_consensus(base, small, seeds=(0, 2), halves=False, resamples=2)
    assert (found.dimensions["found_resampled"] == 0.5).all()
    assert not found.dimensions["reliable"].any()
    assert found.choices["n_dims"].tolist()[2:] == [0, len(found.dimensions)]
    with pytest.raises(AtChanceError):
        fit_consensus(base, small, seeds=(0, 3), halves=False, resamples=0)


@pytest.mark.parametrize("lost", [(0,), (0, 1)])
def test_a_half_in_which_nothing_is_found_counts_and_is_told(small, monkeypatch, lost):
    learn, halves = SparseEmbedding._learn, []

    def sometimes(self, X, near, stronger):
        if stronger != 1:  # one of the halves
            halves.append(self)
            if len(halves) - 1 in lost:
                raise AtChanceError("no better than chance")
        return learn(self, X, near, stronger)

    monkeypatch.setattr(SparseEmbedding, "_learn", sometimes)
    found = fit_consensus(SparseEmbedding(max_dims=8, lambdas=(0.05,)), small, seeds=(0, 2), resamples=0)
    assert len(halves) == 2
    assert (found.dimensions["triplet_split"] == 0).all()
    choices = found.choices[found.choices["sample"] == "half"]
    assert (choices["n_dims"] == 0).tolist() == [number in lost for number in (0, 1)]
    told = f"In {len(lost)} of two halves of the judgments nothing better than chance is found: triplet_split is 0."
    assert found.notes == (told,)
    assert told in page.list_warnings(page.gather("x", found, small))


def test_a_fit_that_validation_judgments_speak_against_ends_early(small):
    """Penalties far below the noise: coordinates grow until looks at the validation judgments end it."""
    model = SparseEmbedding(max_dims=10).fit(small)
    path = model.path_
    given_up = path[~path["converged"]]
    assert len(given_up)
    assert (given_up["n_gradients"] < 150).all()
    assert not given_up["chosen"].any()
    assert (given_up["loss"] > path["loss"].min()).all()


def _by_turning_all(problem, X, bias):
    """Cost of turning, from the loss of every pair of dimensions."""
    cost, (cos, sin) = np.full(X.shape[1], np.inf), (np.cos(np.deg2rad(15)), np.sin(np.deg2rad(15)))
    base = problem.loss(X, problem.batch, bias=bias)[0]
    for a, b in itertools.permutations(range(X.shape[1]), 2):
        turned = X.clone()
        turned[:, a], turned[:, b] = cos * X[:, a] + sin * X[:, b], (cos * X[:, b] - sin * X[:, a]).clamp(min=0)
        lost = (problem.loss(turned, problem.batch, bias=bias)[0] - base) * problem.batch.total
        cost[[a, b]] = np.minimum(cost[[a, b]], lost)
    return cost


@pytest.mark.parametrize("kind", ["choices", "probabilities", "matches", "judges", "ratings"])
@pytest.mark.parametrize("part", [10_000, 700])
def test_the_cost_of_turning_is_that_of_every_pair(kind, part, monkeypatch):
    monkeypatch.setattr(intervals, "PART", part)
    rng = np.random.default_rng(5)
    X = torch.as_tensor(rng.gamma(1, 1, (30, 6)) * (rng.random((30, 6)) < 0.6))
    items = np.array([rng.choice(30, 3, replace=False) for _ in range(3_000)]).astype(np.int32)
    choice = rng.integers(1 if kind == "matches" else 0, 3, 3_000).astype(np.int8)
    data = Triplets(items, choice, None, rng.random(3_000).astype(np.float32), tuple(map(str, range(30))))
    more = {"matching": kind == "matches"}
    bias = torch.tensor([-np.inf, 0.1, -0.1]) if kind == "matches" else None
    if kind == "probabilities":
        p = rng.dirichlet([1, 1, 1], 3_000)
        data = dataclasses.replace(data, probabilities=p, choice=p.argmax(axis=1).astype(np.int8), weight=None)
    elif kind == "judges":
        data = dataclasses.replace(data, sharpness=rng.choice([0.5, 1, 2], 3_000))
        more, bias = {"with_bias": True}, torch.tensor([0.3, 0.0, -0.3])
    elif kind == "ratings":
        rating = np.digitize(rng.gamma(2, 1, 3_000), [1, 2, 3])
        data = as_rated(PairRatings(data.names, items[:, :2], rating, rng.choice(list("abc"), 3_000), np.ones(3_000),
                                    [""] * 3_000))  # fmt: skip
        more = {"sharp": True}
    problem = Problem(data, **{"with_bias": False, **more}, dtype=torch.float64, device="cpu")
    if kind == "ratings":
        bias = problem.begin(X.numpy()).bias + 0.1
    found = cost_of_turning(problem, X, None if bias is None else bias.double())
    true = _by_turning_all(problem, X, bias)
    exact = (true < LEAST_COST) | (part > len(data))
    assert found[exact] == pytest.approx(true[exact], rel=1e-6, abs=1e-6)
    assert found[~exact] == pytest.approx(true[~exact], rel=0.5)  # extrapolated
    assert (found[~exact] > LEAST_COST).all()


def test_few_judgments_that_determine_dimensions_are_not_missed(monkeypatch):
    monkeypatch.setattr(intervals, "PART", 100)
    X = np.full((30, 2), 2.0)
    X[0], X[1] = (3, 0), (0, 3)  # nothing is cut of other items
    rng = np.random.default_rng(0)
    rows = np.array([rng.choice(np.arange(2, 30), 3, replace=False) for _ in range(3_000)])
    rows[rng.choice(3_000, 40, replace=False), rng.integers(0, 3, 40)] = np.arange(40) % 2
    problem = Problem(as_triplets(rows, n_items=30), with_bias=False, dtype=torch.float64, device="cpu")
    true = _by_turning_all(problem, torch.as_tensor(X), None)
    assert cost_of_turning(problem, torch.as_tensor(X), None) == pytest.approx(true, rel=1e-6)
    assert abs(true).min() > 0.1


def test_dimensions_that_plain_l1_does_not_reach_are_left_to_the_other_penalties():
    rows = judge(lognormal(0, 40, 3), 2_000, 1)
    settings = {"lambdas": (0.07,), "n_dims": 6}
    with pytest.raises(DataError, match=r"n_dims = 6, but no lambda of \[0.07\] leaves more than 4 dimensions"):
        SparseEmbedding(ridges=(0.0,), **settings).fit(rows)
    model = SparseEmbedding(ridges=(100.0, 0.0), **settings).fit(rows)
    assert model.embedding_.shape[1] == 6
    assert model.ridge_ == 100
    assert not model.plain_

"""Target-matching and judges with their own noise: planted truth, gradients written out, and what is refused."""

import dataclasses

import numpy as np
import pandas as pd
import pytest
import torch

from encoding.core import DataError
from encoding.embedding import SparseEmbedding, evaluate, slot_preference
from encoding.embedding.from_judgments import JudgmentTable, learn
from encoding.embedding.objective import row_losses
from encoding.embedding.simulated import judgments_of, simulate_judgments
from encoding.embedding.triplets import Triplets, as_triplets
from encoding.io.judgments.files import read_judgments
from encoding.numerics.matching import match_columns
from encoding.numerics.triplets import TripletLoss, make_batch

from .shapes import judge, lognormal


def match(X, n, seed, *, preference=0.0):
    """Rows of target, item that was matched with it, and item that was left over; or as shown, with the choice."""
    rng = np.random.default_rng([seed, 21])
    rows = np.array([rng.choice(len(X), 3, replace=False) for _ in range(n)])
    target, one, other = (X[rows[:, k]] for k in range(3))
    gap = (target * one).sum(axis=1) - (target * other).sum(axis=1) + preference
    first = rng.random(n) < 1 / (1 + np.exp(-gap))
    return rows, np.where(first, 2, 1)


@pytest.fixture(scope="module")
def matched():
    truth = lognormal(2, 60, 3, scale=0.8)
    rows, left_over = match(truth, 12_000, 0)
    pick = np.arange(len(rows))
    return truth, np.stack([rows[:, 0], rows[pick, 3 - left_over], rows[pick, left_over]], axis=1)


def test_matches_of_a_target_give_the_planted_dimensions(matched):
    truth, rows = matched
    model = SparseEmbedding(task="match", max_dims=10).fit(rows)
    assert model.embedding_.shape[1] == 3
    assert match_columns(truth, model.embedding_)[1].min() > 0.95
    assert np.isneginf(model.slot_bias_[0])
    shown, left_over = match(truth, 6_000, 1)
    test = Triplets(shown, left_over.astype(np.int8), None, None, model.items_)
    scores = evaluate({"found": model.embedding_, "true": truth}, test, n_bootstrap=10,
                      bias=dict.fromkeys(("found", "true"), model.slot_bias_)).set_index("name")  # fmt: skip
    assert scores.loc["chance", ["accuracy", "cross_entropy"]].tolist() == pytest.approx([0.5, np.log(2)])
    gap = scores.loc["found", "cross_entropy"] - scores.loc["true", "cross_entropy"]
    assert -0.01 < gap < 0.01
    a, b, c = (truth[shown[:, k]] for k in range(3))
    logit = np.where(left_over == 2, 1, -1) * ((a * b).sum(axis=1) - (a * c).sum(axis=1))
    assert scores.loc["true", "cross_entropy"] == pytest.approx(np.log1p(np.exp(-logit)).mean(), rel=1e-6)
    assert model.score(test) > 0.6


def test_a_preferred_place_of_the_two_is_estimated(matched):
    truth, _ = matched
    rows, left_over = match(truth, 12_000, 3, preference=0.8)
    data = Triplets(rows, left_over.astype(np.int8), None, None, tuple(map(str, range(60))))
    model = SparseEmbedding(task="match", slot_bias=True, max_dims=10).fit(data)
    assert model.slot_bias_[2] - model.slot_bias_[1] == pytest.approx(0.8, abs=0.1)
    assert slot_preference(truth, data, bias=np.array([-np.inf, 0, 0])).found
    assert not slot_preference(truth, data, bias=model.slot_bias_).found


@pytest.mark.parametrize(("task", "slot_bias"), [("match", False), ("match", True), ("odd", True)])
def test_a_fit_is_ended_early_by_losses_with_the_preferred_slot(matched, monkeypatch, task, slot_bias):
    """What is compared with the best fit, which was scored with its bias, must be scored alike."""
    biases = []

    def noted(X, bias, data):
        biases.append(bias)
        return row_losses(X, bias, data)

    monkeypatch.setattr("encoding.embedding.path.row_losses", noted)
    truth, rows = matched
    if task == "odd":
        data = simulate_judgments(truth, 6_000, seed=0, slot_bias=(0.0, -0.5, 0.5))
    elif slot_bias:
        shown, left_over = match(truth, 6_000, 5, preference=1.0)
        data = Triplets(shown, left_over.astype(np.int8), None, None, tuple(map(str, range(60))))
    else:
        data = rows[:6_000]
    settings = {"max_dims": 4, "lambdas": (0.01, 0.02), "ridges": (0.0,), "reweight": 0}
    model = SparseEmbedding(task=task, slot_bias=slot_bias, **settings).fit(data)
    assert len(biases) > 1.5 * len(model.path_)  # looks on the way among them
    assert all(bias is not None for bias in biases)
    assert all(np.isneginf(float(bias[0])) == (task == "match") for bias in biases)
    assert all((float(bias[2] - bias[1]) > 0.3) == slot_bias for bias in biases)


def test_a_target_that_is_left_over_is_refused(matched):
    _, rows = matched
    data = Triplets(rows, (np.arange(len(rows)) % 3).astype(np.int8), None, None, tuple(map(str, range(60))))
    with pytest.raises(DataError, match=r"4000 of 12,000 judgments leave the first item over, the first is row 0"):
        SparseEmbedding(task="match").fit(data)
    with pytest.raises(DataError, match=r"in order \(target first, the item that is left over last\)"):
        SparseEmbedding(task="match", max_dims=4).fit(rows[:4000, [0, 2, 1]].copy())


@pytest.mark.parametrize("scale", [0.4, 6.0])  # below and beyond what exponentials can hold
def test_loss_and_gradient_with_sharpness_and_a_slot_that_cannot_be_odd(scale):
    rng = np.random.default_rng(0)
    X = torch.tensor(scale * rng.gamma(2.0, 1.0, (12, 3)), requires_grad=True)
    items = np.array([rng.choice(12, 3, replace=False) for _ in range(200)])
    p = rng.dirichlet((1, 1), 200)
    probabilities = np.where(rng.random((200, 1)) < 0.5, np.c_[np.zeros(200), p], np.nan)
    choice, sharpness = rng.integers(1, 3, 200), rng.choice([0.5, 1.0, 1.7], 200)
    bias = torch.tensor([-torch.inf, 0.2, -0.2], dtype=torch.float64)
    batch = make_batch(items, choice, n_items=12, probabilities=probabilities, sharpness=sharpness, by_slot=True,
                       dtype=torch.float64)  # fmt: skip
    loss, gradient, _ = TripletLoss(12, dtype=torch.float64)(X.detach(), batch, bias=bias)
    S = X @ X.T
    total = 0.0
    for row, slots in enumerate(items):
        _, second, third = slots
        a = sharpness[row]
        logits = torch.stack([a * S[slots[0], third] + 0.2, a * S[slots[0], second] - 0.2])
        target = np.eye(2)[choice[row] - 1] if np.isnan(probabilities[row, 0]) else probabilities[row, 1:]
        total = total - (torch.as_tensor(target) * torch.log_softmax(logits, 0)).sum()
    total = total / 200
    total.backward()
    assert loss == pytest.approx(float(total.detach()), rel=1e-10)
    np.testing.assert_allclose(gradient.numpy(), X.grad.numpy(), rtol=1e-9, atol=1e-12)


def test_the_noise_of_each_judge_is_found():
    truth = lognormal(4, 50, 3, scale=0.8)
    sharp = {"careful": 1.6, "hasty": 0.3, "usual": 1.0}
    parts, who = [], []
    for number, (name, a) in enumerate(sharp.items()):
        parts.append(judge(np.sqrt(a) * truth, 5_000, number))
        who += [name] * 5_000
    rows = np.concatenate(parts)
    one = judgments_of(list(map(str, range(50))), rows, np.full(15_000, 2))
    judgments = dataclasses.replace(one, annotator=np.array(who))
    model = SparseEmbedding(judge_noise=True, max_dims=8).fit(judgments)
    table = model.judges_.set_index("judge")
    expected = np.exp(np.mean(np.log(list(sharp.values()))))
    for name, a in sharp.items():
        assert table.loc[name, "sharpness"] == pytest.approx(a / expected, rel=0.15)
    assert table["n"].tolist() == [5_000] * 3
    assert (table["low"] < table["noise"]).all()
    unseen = as_triplets(judge(truth, 8_000, 9))
    plain = SparseEmbedding(max_dims=8).fit(judgments)
    # In units of the usual judge: the one of sharpness 1 was shown `expected` times less than the mean.
    own = model.embedding_ / np.sqrt(expected)
    loss = evaluate({"own": own, "shared": plain.embedding_}, unseen, n_bootstrap=5).set_index("name")["cross_entropy"]
    assert loss["own"] < loss["shared"] - 0.005
    with pytest.raises(DataError, match="all judgments are of one annotator"):
        SparseEmbedding(judge_noise=True).fit(one)


def test_what_tables_of_answers_leave_open_is_told(tmp_path):
    frame = pd.DataFrame({"image1": [0, 3, 4], "image2": [1, 4, 5], "image3": [2, 5, 6], "choice": [1.0, np.nan, 6.0]})
    file = tmp_path / "things.csv"
    frame.to_csv(file, index=False)  # pandas writes 1.0 where a number is missing in the column
    assert read_judgments(file).choice.tolist() == [1, -1, 2]
    frame.assign(choice=2).to_csv(file, index=False)
    with pytest.raises(DataError, match="all choices are 2, so that positions may count from 0 or from 1"):
        read_judgments(file)
    frame.rename(columns={"image3": "rating"})[["image1", "image2", "rating"]].to_csv(file, index=False)
    with pytest.raises(DataError, match="column 'rating' looks like ratings of similarity, but choices were asked for"):
        read_judgments(file)


def test_one_table_of_settings_gives_annotators_and_learning_curve_on_the_page(tmp_path, matched):
    truth, _ = matched
    tables = []
    for number, a in enumerate((0.4, 1.6)):
        rows, left_over = match(np.sqrt(a) * truth, 3_000, number)
        tables.append(
            pd.DataFrame(rows, columns=["item_1", "item_2", "item_3"]).assign(
                choice=rows[np.arange(3_000), left_over], annotator=("hasty", "careful")[number]
            )
        )
    pd.concat(tables).to_csv(tmp_path / "match.csv", index=False)
    source = JudgmentTable(name="matched", file="match.csv", task="match", judge_noise=True, learning_curve=True,
                           seeds=(0,), lambdas=(0.05,), reweight=0, ridges=(0.0,), max_dims=5)  # fmt: skip
    space = learn(source, tmp_path, tmp_path / "out")
    assert match_columns(truth, space.values)[1].min() > 0.9
    page = (tmp_path / "out" / "matched.html").read_text(encoding="utf-8")
    assert "Annotators" in page
    assert "hasty" in page
    assert "Are more judgments worth it?" in page
    curve = pd.read_csv(tmp_path / "out" / "matched_curve.tsv", sep="\t")
    assert curve["n_dims"].iloc[0] == 0  # an eighth of them is not enough, and says so
    assert curve["cross_entropy"].iloc[-1] < np.log(2)

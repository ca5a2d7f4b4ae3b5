"""Planted dimensions are found again, by both methods, from choices and from probabilities."""

import dataclasses

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.exceptions import NotFittedError

from encoding.core import ConfigError, DataError, FeatureSpace, Judgments, SplitError
from encoding.embedding.simulated import simulate_judgments
from encoding.embedding.sparse import SparseEmbedding
from encoding.embedding.triplets import as_triplets
from encoding.numerics.choices import choice_logits, choice_similarity, cross_entropy, log_probabilities
from encoding.numerics.matching import match_columns

from .conftest import planted

UPPER = np.triu_indices(150, 1)


def loss_of(X, judgments):
    log_p = log_probabilities(choice_logits(X @ X.T, judgments.items))
    return cross_entropy(log_p, judgments.choice).mean()


def divergence(X, judgments):
    p = np.asarray(judgments.probabilities, dtype=np.float64)
    p /= p.sum(axis=1, keepdims=True)
    log_p = log_probabilities(choice_logits(X @ X.T, judgments.items))
    return float((p * (np.log(p) - log_p)).sum(axis=1).mean())


def agreement(truth, X):
    return match_columns(truth, X)[1], np.corrcoef(choice_similarity(truth)[UPPER], choice_similarity(X)[UPPER])[0, 1]


@pytest.fixture(scope="module")
def fitted(hard):
    return SparseEmbedding().fit(hard)


@pytest.mark.parametrize("seed", range(5))
def test_planted_dimensions_are_found_again(seed):
    truth = planted(seed)
    unseen = simulate_judgments(truth, 10_000, seed=seed + 200)
    X = SparseEmbedding(random_state=seed).fit(simulate_judgments(truth, 30_000, seed=seed + 100)).embedding_
    r, similarity = agreement(truth, X)
    assert X.shape[1] == 8
    assert (X >= 0).all()
    assert loss_of(X, unseen) <= loss_of(truth, unseen) + 0.010
    assert r.mean() >= 0.994
    assert r.min() >= 0.99
    assert similarity >= 0.991


def test_variational_finds_them_too_and_says_how_sure_it_is(truth, hard, unseen):
    model = SparseEmbedding("variational").fit(hard)
    r, similarity = agreement(truth, model.embedding_)
    assert model.embedding_.shape[1] in (7, 8, 9)
    assert loss_of(model.embedding_, unseen) <= loss_of(truth, unseen) + 0.010
    assert r.mean() >= 0.993
    assert similarity >= 0.991
    assert model.scale_.shape == model.embedding_.shape
    partner = match_columns(truth, model.embedding_)[0]
    scale = (truth * model.embedding_[:, partner]).sum(axis=0) / (truth**2).sum(axis=0)
    large = truth > 0.7
    error = (model.embedding_[:, partner] - truth * scale)[large] / model.scale_[:, partner][large]
    assert 0.6 < np.sqrt(np.mean(error**2)) < 2.0  # as large as the posterior says


def test_variational_takes_many_judgments_in_batches(truth, hard, unseen, monkeypatch):
    whole = SparseEmbedding("variational").fit(hard)
    monkeypatch.setattr("encoding.embedding.sparse.LARGE", 10_000)
    monkeypatch.setattr("encoding.embedding.intervals.BATCH", 5_000)
    parts = SparseEmbedding("variational").fit(hard)
    assert parts.embedding_.shape == whole.embedding_.shape
    assert match_columns(whole.embedding_, parts.embedding_)[1].min() > 0.995
    assert loss_of(parts.embedding_, unseen) <= loss_of(truth, unseen) + 0.012


def test_probabilities_are_worth_ten_times_as_many_choices(truth, unseen):
    X = SparseEmbedding().fit(simulate_judgments(truth, 3_000, seed=300, soft=True)).embedding_
    r, _ = agreement(truth, X)
    assert X.shape[1] == 8
    assert r.mean() >= 0.995
    assert divergence(X, unseen) <= 0.01


def test_a_slot_bias_is_estimated_and_does_no_harm(truth, hard, fitted):
    bias = np.array([1.5, 0.0, -0.4])
    biased = simulate_judgments(truth, 30_000, seed=100, slot_bias=bias)
    model = SparseEmbedding(slot_bias=True).fit(biased)
    assert np.abs(model.slot_bias_ - (bias - bias.mean())).max() <= 0.05
    unbiased = agreement(truth, fitted.embedding_)[1]
    assert agreement(truth, model.embedding_)[1] >= unbiased - 0.003
    ignored = SparseEmbedding().fit(biased)
    assert agreement(truth, ignored.embedding_)[1] < unbiased - 0.003
    assert np.array_equal(ignored.slot_bias_, np.zeros(3))


def test_no_penalty_of_the_path_kills_every_dimension(hard):
    lambdas = (0.005, 0.01, 0.02, 0.03, 0.04, 0.05)
    model = SparseEmbedding(lambdas=lambdas).fit(hard)
    whole = model.path_[(model.path_["n_start"] == model.path_["n_start"].max()) & ~model.path_["chosen"]]
    for ridge in model.ridges:
        # Plain L1 that was converged and then replaced is a later row.
        path = whole[(whole["ridge"] == ridge) & (whole["rounds"] == 0)].head(len(lambdas))
        assert path["lambda"].tolist() == pytest.approx([value / max(1, ridge / 2) for value in lambdas])
        assert (path["n_dims"] >= 8).all()
        assert path["n_dims"].is_monotonic_decreasing
    assert model.path_["loss"].iloc[model.path_["chosen"].argmax()] <= model.path_["loss"].min() + 0.005


def test_every_penalty_alone_finds_dimensions(hard):
    found = [SparseEmbedding(lambdas=(value,)).fit(hard).embedding_.shape[1] for value in (0.03, 0.05)]
    assert found == [8, 8]


def test_the_same_seed_gives_the_same_bytes(small):
    for method in ("map", "variational"):
        first, second = (SparseEmbedding(method, max_dims=10, random_state=3).fit(small) for _ in range(2))
        assert first.embedding_.tobytes() == second.embedding_.tobytes()
        assert first.to_feature_space("x").provenance.key == second.to_feature_space("x").provenance.key


@pytest.mark.parametrize("n_dims", [5, 12])
def test_the_number_of_dimensions_can_be_fixed(hard, n_dims):
    model = SparseEmbedding(n_dims=n_dims).fit(hard)
    assert model.embedding_.shape == (150, n_dims)
    assert (np.diff(model.embedding_.sum(axis=0)) <= 0).all()


def test_more_dimensions_than_there_are_cannot_be_had(hard):
    with pytest.raises(
        DataError, match=r"n_dims = 30, but no lambda of \[0.001, 0.05\] leaves more than \d+ dimensions"
    ):
        SparseEmbedding(n_dims=30, lambdas=(0.05,)).fit(hard)


def test_many_judgments_are_approached_through_a_part_of_them(truth, hard, fitted, monkeypatch):
    monkeypatch.setattr("encoding.embedding.path.LARGE", 1_000)
    model = SparseEmbedding().fit(hard)
    assert model.embedding_.shape[1] == 8
    assert match_columns(fitted.embedding_, model.embedding_)[1].min() > 0.999


def test_a_spectral_start_finds_the_same(truth, hard):
    X = SparseEmbedding(start="spectral").fit(hard).embedding_
    assert X.shape[1] in (8, 9)
    assert agreement(truth, X)[0].mean() >= 0.994


def test_double_precision_finds_the_same(hard):
    single, double = (SparseEmbedding(precision=precision, lambdas=(0.03,), ridges=(0.0,)).fit(hard)
                      for precision in ("float32", "float64"))  # fmt: skip
    assert double.embedding_.dtype == np.float64
    assert match_columns(single.embedding_, double.embedding_)[1].min() > 0.9999


def test_arrays_have_the_odd_item_last(small, small_truth):
    rows = np.arange(len(small))
    odd = small.items[rows, small.choice]
    others = [small.items[rows, (small.choice + shift) % 3] for shift in (1, 2)]
    array = np.stack([*others, odd], axis=1)
    from_array = SparseEmbedding(max_dims=10).fit(array)
    from_judgments = SparseEmbedding(max_dims=10).fit(small)
    assert np.allclose(from_array.embedding_, from_judgments.embedding_, atol=1e-3)
    assert from_array.score(array) == pytest.approx(from_judgments.score(small), abs=1e-3)
    with pytest.raises(DataError, match=r"Are the columns in order \(odd item last\)"):
        SparseEmbedding(max_dims=10).fit(array[:, ::-1].copy())


def test_score_counts_ties_as_guesses(small):
    model = SparseEmbedding(max_dims=10).fit(small)
    model.embedding_ = np.zeros_like(model.embedding_)
    assert model.score(small) == pytest.approx(1 / 3)


def test_weights_of_zero_are_as_good_as_absence(small):
    spoilt = dataclasses.replace(small, choice=(small.choice + 1) % 3)
    both = join(small, spoilt, weight=np.r_[np.ones(len(small)), np.zeros(len(spoilt))])
    part = np.tile(np.where(np.arange(len(small)) % 10 == 0, "validation", "train"), 2)
    keys = as_triplets(small).keys
    part[: len(small)] = np.where(keys % 10 == 0, "validation", "train")
    part[len(small) :] = part[: len(small)]
    alone = dataclasses.replace(small, split=part[: len(small)])
    model = SparseEmbedding(max_dims=10, lambdas=(0.05,), precision="float64").fit(
        dataclasses.replace(both, split=part)
    )
    assert np.allclose(
        model.embedding_,
        SparseEmbedding(max_dims=10, lambdas=(0.05,), precision="float64").fit(alone).embedding_,
        atol=1e-3,
    )


def join(first, second, *, weight):
    fields = {
        field.name: np.concatenate([getattr(first, field.name), getattr(second, field.name)])
        for field in dataclasses.fields(Judgments)
        if field.name not in ("stimuli", "provenance", "weight")
    }
    return Judgments(stimuli=first.stimuli, weight=weight, **fields)


def test_declared_splits_are_kept_and_the_test_part_is_not_looked_at(small):
    keys = as_triplets(small).keys
    part = np.select([keys % 10 == 0, keys % 10 == 1], ["test", "validation"], "train")
    declared = dataclasses.replace(small, split=part)
    model = SparseEmbedding(max_dims=10).fit(declared)
    assert np.array_equal(model.parts_, part)
    spoilt = np.where(part == "test", (small.choice + 1) % 3, small.choice)
    again = SparseEmbedding(max_dims=10).fit(dataclasses.replace(declared, choice=spoilt))
    assert model.embedding_.tobytes() == again.embedding_.tobytes()


def test_repeats_of_a_triplet_stay_in_one_part():
    judgments = simulate_judgments(planted(2, n_items=20, n_dims=2), 500, seed=0, n_repeats=4)
    model = SparseEmbedding(max_dims=4).fit(judgments)
    keys = as_triplets(judgments).keys
    assert set(model.parts_) == {"train", "validation"}
    assert not set(keys[model.parts_ == "train"]) & set(keys[model.parts_ == "validation"])


def test_a_split_by_row_is_refused():
    judgments = simulate_judgments(planted(2, n_items=20, n_dims=2), 100, seed=0, n_repeats=2)
    part = np.where(np.arange(len(judgments)) % 2, "train", "test")
    with pytest.raises(SplitError, match="triplets with answers in two parts"):
        SparseEmbedding(max_dims=4).fit(dataclasses.replace(judgments, split=part))


def test_invalid_judgments_are_left_out(small):
    choice, outcome = small.choice.copy(), small.outcome.astype("<U9")
    choice[:100], outcome[:100] = -1, "refused"
    model = SparseEmbedding(max_dims=10).fit(dataclasses.replace(small, choice=choice, outcome=outcome))
    assert len(model.parts_) == len(small) - 100


def test_new_items_are_placed_by_their_judgments(truth, hard, fitted):
    X = fitted.embedding_
    partner = match_columns(truth, X)[0]
    newcomers = planted(9, n_items=5)
    everything = np.concatenate([truth, newcomers])
    many = simulate_judgments(everything, 400_000, seed=5)
    one_new = (many.items >= 150).sum(axis=1) == 1
    few = np.flatnonzero(one_new)[:2_000]  # some 400 each
    judged = as_triplets(many)[few]
    found = fitted.transform(judged)
    assert found.shape == (155, X.shape[1])
    assert np.array_equal(found[:150], X.astype(np.float64))
    assert (found >= 0).all()
    r = [np.corrcoef(found[150 + k][partner], newcomers[k])[0, 1] for k in range(5)]
    assert min(r) > 0.9


def test_an_item_nobody_judged_with_known_ones_cannot_be_placed(fitted):
    with pytest.raises(DataError, match="Item '152': no judgment with two known items"):
        fitted.transform(np.array([[0, 1, 150], [0, 1, 151], [0, 150, 152]]))


def test_the_result_is_a_feature_space(fitted):
    space = fitted.to_feature_space("mllm")
    assert isinstance(space, FeatureSpace)
    assert space.samples.clock == "none"
    assert space.features[0] == "mllm_1"
    assert space.values.shape == fitted.embedding_.shape
    assert space.provenance.config["lambdas"] is None


def test_it_is_an_estimator():
    model = SparseEmbedding("variational", n_dims=30, random_state=4)
    assert clone(model).get_params() == model.get_params()
    assert "n_dims=30" in repr(model)
    with pytest.raises(NotFittedError, match="call fit before"):
        model.score(np.array([[0, 1, 2]]))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"method": "mapp"}, r"method = 'mapp'. Did you mean 'map'\?"),
        ({"start": "warm"}, "start = 'warm'. Known: random, spectral"),
        ({"max_dims": 0}, "max_dims = 0, but 1 or more"),
        ({"n_dims": 0}, "n_dims = 0, but 1 or more"),
        ({"lambdas": ()}, r"lambdas = \(\), but numbers of 0 or more"),
        ({"validation": 1.0}, "validation = 1.0, but a share"),
        ({"spike": 4.0}, "needed 0 < spike < slab"),
    ],
)
def test_wrong_settings_are_refused(small, settings, message):
    with pytest.raises(ConfigError, match=message):
        SparseEmbedding(**settings).fit(small)


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.zeros((4, 2), int), r"shape \(4, 2\) of int64, but integers of shape \(n, 3\)"),
        (
            np.array([[0, 1, 1]]),
            r"row 0 is \[0, 1, 1\] \(1 such row\); three different items from 0 to 1",
        ),
        (np.array([[0.0, 1.0, 2.0]]), "of float64, but integers"),
    ],
)
def test_wrong_arrays_are_refused(array, message):
    with pytest.raises(DataError, match=message):
        SparseEmbedding().fit(array)


def test_noise_gives_no_dimensions():
    rng = np.random.default_rng(0)
    noise = np.argsort(rng.random((2_000, 60)), axis=1)[:, :3]
    with pytest.raises(DataError, match="no dimension is left that predicts validation judgments better than chance"):
        SparseEmbedding(max_dims=10).fit(noise)

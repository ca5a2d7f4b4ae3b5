"""Ratings of pairs: planted truth from another generator, a brute-force optimum, files, and what is refused."""

import dataclasses
import itertools
import json

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.optimize import minimize
from scipy.special import expit

from encoding.core import ConfigError, DataError, PairRatings, SplitError
from encoding.drawing.dimensions import draw_quality
from encoding.embedding import (
    JudgmentTable,
    SparseEmbedding,
    evaluate_ratings,
    fit_consensus,
    intervals,
    learn,
    learning_curve,
)
from encoding.embedding.from_judgments import gather_judgments
from encoding.embedding.objective import Problem
from encoding.embedding.rated import as_rated, single
from encoding.embedding.rated_scores import RatingScores, _two_ratings, calibrate_ratings
from encoding.io.judgments.files import read_judgments
from encoding.io.judgments.ratings import read_ratings
from encoding.numerics.matching import match_columns
from encoding.numerics.ratings import (
    FIRST,
    GAP,
    MEAN,
    RatingLoss,
    first_thresholds,
    make_rating_batch,
    step_probabilities,
    thresholds,
)

SIMPLE = {"task": "rate", "n_dims": 2, "lambdas": (0.05,), "ridges": (0.0,), "reweight": 0}


def rate(n_items, n_dims, n, n_participants, seed, *, spread=0.8):
    """Ratings from 1 to 7 by people with Gaussian noise, who shift and stretch the scale in ways of their own."""
    rng = np.random.default_rng([seed, 5])
    X = rng.gamma(2, 0.7, (n_items, n_dims)) * (rng.random((n_items, n_dims)) < 0.4)
    X *= np.sqrt(2.5 / (X @ X.T)[np.triu_indices(n_items, 1)].std())
    pairs = np.array([rng.choice(n_items, 2, replace=False) for _ in range(n)])
    similarity = (X[pairs[:, 0]] * X[pairs[:, 1]]).sum(axis=1)
    who = rng.integers(0, n_participants, n)
    cuts = np.quantile(similarity, [0.2, 0.4, 0.55, 0.7, 0.82, 0.92])
    shift, stretch = rng.normal(0, spread, n_participants), np.exp(rng.normal(0, spread / 2, n_participants))
    own = cuts.mean() + shift[:, None] + stretch[:, None] * (cuts - cuts.mean())
    rating = 1 + ((similarity + rng.normal(0, 1.5, n))[:, None] > own[who]).sum(axis=1)
    key = np.unique(np.sort(pairs, axis=1), axis=0, return_inverse=True)[1]
    test = (rng.random(key.max() + 1) < 0.15)[key]
    return X, PairRatings(
        tuple(f"s{k:02d}" for k in range(n_items)), pairs, rating, [f"p{k}" for k in who], np.ones(n),
        np.where(test, "test", "train"), (1, 7),
    )  # fmt: skip


@pytest.fixture(scope="module")
def planted():
    return rate(36, 3, 2_000, 5, 0)


@pytest.fixture(scope="module")
def fitted(planted):
    return SparseEmbedding(task="rate", max_dims=6, ridges=(2.0, 0.0), reweight=0).fit(planted[1])


def test_ratings_give_the_planted_dimensions_whatever_participants_make_of_the_scale(planted, fitted):
    truth, ratings = planted
    assert fitted.embedding_.shape == truth.shape
    assert match_columns(truth, fitted.embedding_)[1].min() > 0.93
    test, seen = (ratings.take(ratings.split == part) for part in ("test", "train"))
    scores = evaluate_ratings({"found": fitted.embedding_, "true": truth}, test, seen, n_bootstrap=200)
    found, true, none = (scores.iloc[k] for k in range(3))
    assert true["r"] - 0.05 < found["r"] < true["r"] + 0.02
    assert found["r_low"] < found["r"] < found["r_high"]
    assert true["cross_entropy"] < found["cross_entropy"] < none["cross_entropy"] - 0.2
    assert none["n_dims"] == 0
    assert np.isnan(none["r"])
    assert fitted.score(test) == pytest.approx(found["r"], abs=0.08)
    assert fitted.path_["accuracy"].isna().all()


def test_thresholds_of_each_participant_are_worth_having():
    """Without them a fit takes the participant's use of the scale for noise: the oracle is the same fit of one."""
    truth, ratings = rate(24, 2, 1_600, 8, 2, spread=2.0)
    alike = dataclasses.replace(ratings, participant=np.zeros(len(ratings), "U1"))
    # Fixed penalties: what is compared is the likelihood, not the search.
    models = [SparseEmbedding(**SIMPLE).fit(part) for part in (ratings, alike)]
    r = [match_columns(truth, model.embedding_)[1].mean() for model in models]
    assert r[0] > r[1] + 0.005


def test_loss_and_gradient_are_those_written_out():
    rng = np.random.default_rng(0)
    n_items, n_judges, n_steps, n = 7, 3, 5, 60
    items = np.array([rng.choice(n_items, 2, replace=False) for _ in range(n)])
    step, judge, weight = rng.integers(0, n_steps, n), rng.integers(0, n_judges, n), rng.random(n)
    anchor = first_thresholds(np.bincount(step, minlength=n_steps))
    loss = RatingLoss(n_items, n_judges, anchor, sharp=True, dtype=torch.float64)
    batch = make_rating_batch(items, step, judge, n_items=n_items, n_judges=n_judges, n_steps=n_steps, weight=weight,
                              dtype=torch.float64)  # fmt: skip
    X = torch.as_tensor(rng.random((n_items, 2)))
    bias = loss.start(0.5) + 0.3 * torch.as_tensor(rng.normal(size=len(loss.start())))
    value, gradient, of_bias = loss(X, batch, bias=bias)
    t, a = thresholds(bias.numpy(), n_judges, n_steps)
    s = a[judge] * (X.numpy()[items[:, 0]] * X.numpy()[items[:, 1]]).sum(axis=1)
    with np.errstate(invalid="ignore"):
        p = expit(t[judge, step + 1] - s) - expit(t[judge, step] - s)
    np.testing.assert_allclose(step_probabilities(s, t[judge])[np.arange(n), step], p, rtol=1e-10)
    raw, log_a = bias.numpy()[:-n_judges].reshape(n_judges, -1), bias.numpy()[-n_judges:]
    widths = np.array([FIRST, GAP, GAP, GAP])
    prior = (((raw - raw.mean(axis=0)) / widths) ** 2).sum() + (((raw.mean(axis=0) - anchor) / MEAN) ** 2).sum()
    prior += ((log_a / 0.7) ** 2).sum()
    assert value == pytest.approx((-(weight * np.log(p)).sum() + prior / 2) / weight.sum(), rel=1e-10)
    for point, slope in ((X, gradient), (bias, of_bias)):
        for place in itertools.product(*map(range, point.shape)):
            kept, found = float(point[place]), []
            for change in (1e-5, -1e-5):
                point[place] = kept + change
                found.append(loss(X, batch, bias=bias)[0])
            point[place] = kept
            assert float(slope[place]) == pytest.approx((found[0] - found[1]) / 2e-5, abs=1e-8)


def test_the_fit_is_the_optimum_that_brute_force_finds():
    """Six items, two dimensions, three steps: many starts of scipy on a likelihood that is written out."""
    rng = np.random.default_rng(3)
    pairs = np.array(list(itertools.combinations(range(6), 2)) * 6)
    X = np.array([[2, 0], [1.5, 0], [1.8, 0.3], [0, 1.6], [0.2, 2], [0, 1.4]])
    s = (X[pairs[:, 0]] * X[pairs[:, 1]]).sum(axis=1)
    rating = 1 + (s[:, None] + rng.logistic(size=(len(s), 1)) > [1.0, 3.0]).sum(axis=1)
    data = as_rated(PairRatings(tuple("abcdef"), pairs, rating, ["me"] * len(s), np.ones(len(s)), [""] * len(s)))
    cost = 0.02
    anchor = first_thresholds(np.bincount(data.step))

    def objective(z):
        Y, first, gap = z[:12].reshape(6, 2), z[12], np.exp(z[13])
        edges = np.array([-np.inf, first, first + gap, np.inf])
        dot = (Y[pairs[:, 0]] * Y[pairs[:, 1]]).sum(axis=1)
        p = expit(edges[data.step + 1] - dot) - expit(edges[data.step] - dot)
        return (-np.log(p).sum() + 0.5 * (((z[12:] - anchor) / MEAN) ** 2).sum()) / len(s) + cost * z[:12].sum()

    bounds = [(0, None)] * 12 + [(None, None)] * 2
    starts = [np.r_[rng.random(12) * 2, anchor[0] + 1, anchor[1]] for _ in range(6)]
    best = min(minimize(objective, z, method="L-BFGS-B", bounds=bounds).fun for z in starts)
    problem = Problem(data, with_bias=False, dtype=torch.float64, device="cpu")
    found = [problem.minimise(problem.begin(z[:12].reshape(6, 2)), cost, tol=1e-10, max_iter=500) for z in starts]
    assert min(point.objective for point in found) == pytest.approx(best, abs=1e-5)


def test_the_posterior_of_ratings_holds_the_truth(monkeypatch):
    monkeypatch.setattr(intervals, "STEPS", 300)
    truth, ratings = rate(24, 2, 1_200, 3, 7)
    model = SparseEmbedding("variational", judge_noise=True, **SIMPLE).fit(ratings)
    partner, r = match_columns(truth, model.embedding_)
    assert r.min() > 0.9
    assert model.determined_.all()
    found, (low, high) = model.embedding_[:, partner], (part[:, partner] for part in model.interval())
    truth *= (truth * found).sum() / (truth**2).sum()  # the noise of the generator has another unit
    assert ((low <= truth) & (truth <= high)).mean() > 0.85
    assert model.judges_["judge"].tolist() == ["p0", "p1", "p2"]
    assert np.log(model.judges_["sharpness"]).mean() == pytest.approx(0, abs=1e-5)


def test_seeds_resamples_and_parts_of_ratings_are_fitted():
    _, ratings = rate(24, 2, 1_600, 3, 7)
    again = fit_consensus(SparseEmbedding(**SIMPLE), ratings, seeds=(0, 1), resamples=2, halves=False)
    assert again.dimensions["reproducibility"].min() > 0.9
    assert again.choices["accuracy"].isna().all()
    curve = learning_curve(again.runs[0], ratings, shares=(0.5,))
    assert curve["r"].notna().all()


def test_a_participant_with_less_noise_is_found_out():
    _, ratings = rate(24, 2, 1_600, 2, 1, spread=0.0)
    rng = np.random.default_rng(2)
    careless = (ratings.participant == "p1") & (rng.random(len(ratings)) < 0.6)
    noisy = np.where(careless, rng.permutation(ratings.rating), ratings.rating)
    model = SparseEmbedding(**SIMPLE, judge_noise=True)
    noise = model.fit(dataclasses.replace(ratings, rating=noisy)).judges_.set_index("judge")["noise"]
    assert noise["p1"] > 1.5 * noise["p0"]


def test_ratings_without_any_structure_are_refused():
    _, ratings = rate(20, 2, 600, 2, 3)
    rng = np.random.default_rng(0)
    shuffled = dataclasses.replace(ratings, rating=rng.permutation(ratings.rating))
    with pytest.raises(DataError, match=r"no dimension is left .* Do larger ratings mean more alike"):
        SparseEmbedding(task="rate", max_dims=3, ridges=(0.0,), reweight=0).fit(shuffled)


def test_scores_know_that_two_ratings_of_a_pair_are_noisy():
    X, ratings = rate(12, 2, 3_000, 1, 4)
    half = np.arange(3_000) < 1_500
    scores = evaluate_ratings({"true": X}, ratings.take(half), ratings.take(~half), n_bootstrap=20).set_index("name")
    assert "two ratings of a pair" not in scores.index  # 66 pairs are too few
    X, ratings = rate(25, 2, 3_000, 1, 4)
    scores = evaluate_ratings({"true": X}, ratings.take(half), ratings.take(~half), n_bootstrap=20).set_index("name")
    two = scores.loc["two ratings of a pair", "r"]
    assert np.sqrt(two) == pytest.approx(scores.loc["true", "r"], abs=0.05)


@pytest.mark.parametrize(
    "measure",
    [
        lambda X, test, seen: evaluate_ratings({"x": X}, test, seen, n_bootstrap=20),
        lambda X, test, seen: RatingScores(X, test, seen).calibration(),
        lambda X, test, seen: RatingScores(X, test, seen).by_dimensions(),
        lambda X, test, seen: RatingScores(X, test, seen).importance(n_bootstrap=20),
        lambda X, test, seen: pd.DataFrame([RatingScores(X, test, seen).largest_alone(n_bootstrap=20)]),
    ],
)
def test_ratings_of_weight_0_count_for_nothing(measure):
    X, ratings = rate(25, 2, 1_500, 3, 4)
    rating, weight = np.r_[ratings.rating, np.full(1_500, 7)], np.repeat([1.0, 0.0], 1_500)
    with_excluded = dataclasses.replace(PairRatings.concat([ratings, ratings]), rating=rating, weight=weight)
    data = as_rated(with_excluded)
    half, kept = np.arange(3_000) % 2 == 0, data[weight > 0]
    found = measure(X, data[half], data[~half])
    pd.testing.assert_frame_equal(found, measure(X, kept[half[:1_500]], kept[~half[:1_500]]))


def test_an_embedding_on_another_scale_is_scored_alike(planted):
    truth, ratings = planted
    data = as_rated(ratings)
    seen, test = data[ratings.split == "train"], data[ratings.split == "test"]
    factor, bias = calibrate_ratings(truth, seen)
    half, again = calibrate_ratings(2 * truth, seen)
    assert half == pytest.approx(factor / 4, rel=1e-3)
    np.testing.assert_allclose(again, bias, atol=0.02)
    own = RatingScores(truth, test, seen)
    table = own.calibration()
    assert np.average(np.abs(table["predicted"] - table["observed"]), weights=table["n"]) < 0.03
    assert own.by_dimensions()["r"].iloc[-1] == pytest.approx(
        evaluate_ratings({"x": truth}, test, seen, n_bootstrap=10)["r"].iloc[0]
    )
    worth = own.importance(n_bootstrap=50)
    assert worth["dimension"].tolist() == [1, 2, 3]
    assert worth["cross_entropy_gained_low"].max() > 0


def test_sliders_are_cut_into_steps(planted):
    _, ratings = planted
    rng = np.random.default_rng(0)
    slider = dataclasses.replace(ratings, rating=10 * ratings.rating + rng.random(len(ratings)), scale=None)
    data = as_rated(slider)
    assert len(data.values) == 10
    assert np.bincount(data.step).min() > 0.08 * len(data)
    assert (np.diff(data.values) > 0).all()


@pytest.mark.parametrize(
    ("rating", "sizes"),
    [
        ([*range(15), *[100] * 175], [*[1] * 15, 175]),
        ([*range(30), *[100] * 160], [19, 11, 160]),
        ([*range(70), *[100] * 120], [19, 19, 19, 13, 120]),
        ([*[0] * 120, *range(31, 101)], [120, 13, 19, 19, 19]),
        (np.repeat(np.arange(12), [21, 21, 21, 20, 20, 15, 15, 15, 12, 10, 10, 10]),
         [21, 21, 21, 20, 20, 15, 15, 15, 12, 10, 10, 10]),
        (np.arange(190) % 25, [8] * 15 + [7] * 10),
        (np.arange(260) % 26, [30, 20, 30, 20, 30, 30, 20, 30, 20, 30]),
    ],
)  # fmt: skip
def test_only_many_values_are_grouped_and_equal_ratings_never_divided(rating, sizes):
    pairs = np.stack(np.triu_indices(24, 1), axis=1)[: len(rating)]
    names, n = tuple(map(str, range(24))), len(rating)
    data = as_rated(PairRatings(names, pairs, rating, ["me"] * n, np.ones(n), [""] * n))
    assert np.bincount(data.step).tolist() == sizes
    order = np.argsort(data.rating, kind="stable")
    assert (np.diff(data.step[order]) >= 0).all()
    for value in np.unique(data.rating):
        assert len(np.unique(data.step[data.rating == value])) == 1
    bias = calibrate_ratings(np.ones((24, 1)), data)[1]
    assert np.isfinite(bias).all()
    assert len(bias) == len(sizes) - 1


@pytest.mark.filterwarnings("error")
def test_one_rating_per_participant_tells_nothing_within_participants(planted):
    truth, ratings = planted
    X, half = truth, np.arange(len(ratings)) < 1_000
    alone = dataclasses.replace(ratings, participant=np.arange(len(ratings)).astype(str))
    scores = evaluate_ratings({"true": X}, alone.take(half), alone.take(~half), n_bootstrap=20).set_index("name")
    within = ["r", "r_low", "r_high", "explained", "explained_low", "explained_high"]
    assert scores.loc["true", within].isna().all()
    assert np.isfinite(scores.loc["true", "cross_entropy_high"])
    assert "two ratings of a pair" not in scores.index
    data = as_rated(alone)
    own = RatingScores(X, data[half], data[~half])
    kept = own.by_dimensions()
    assert kept["share"].isna().all()
    draw_quality(own.calibration(), kept, np.ones((36, 2)), score="r", chance=0.0)
    # Every participant gives everything the same rating: pairs are repeated, and nothing varies.
    flat = dataclasses.replace(ratings, rating=1.0 + (ratings.participant == "p1"))
    assert np.isnan(_two_ratings(as_rated(flat))["r"])
    scores = evaluate_ratings({"true": X}, flat.take(half), flat.take(~half), n_bootstrap=20).set_index("name")
    assert scores.loc["true", within].isna().all()


def test_participants_with_one_rating_leave_r_as_it_is(planted):
    truth, ratings = planted
    test, seen = ratings.take(slice(0, 400)), ratings.take(slice(400, 2_000))
    more = dataclasses.replace(ratings.take(slice(400, 440)), participant=[f"new{k}" for k in range(40)])
    both = PairRatings(
        ratings.stimuli, *(np.concatenate([getattr(test, name), getattr(more, name)])
                           for name in ("pairs", "rating", "participant", "weight", "split")),
    )  # fmt: skip
    assert single(as_rated(both)).sum() == 40
    r = [evaluate_ratings({"true": truth}, part, seen, n_bootstrap=5).loc[0, "r"] for part in (test, both)]
    assert r[1] == pytest.approx(r[0], abs=2e-3)  # thresholds are drawn to a mean of other participants
    assert r[0] > 0.4


HEADER = "a\tb\trating\tparticipant\n"


def write(tmp_path, text, name="pairs.tsv"):
    (tmp_path / name).write_text(text, encoding="utf-8")
    return tmp_path / name


def test_files_of_names_and_of_numbers_are_read(tmp_path):
    path = write(tmp_path, HEADER + "cat\tdog\t5\tx\ndog\tant\t2\ty\n")
    ratings = read_ratings(path)
    assert ratings.stimuli == ("ant", "cat", "dog")
    assert ratings.pairs.tolist() == [[1, 2], [2, 0]]
    assert ratings.participant.tolist() == ["x", "y"]
    table = write(tmp_path, "item_1,item_2,dissimilarity\n1,2,5\n3,2,1\n", "numbers.csv")
    numbered = read_ratings(table, count_from=1, scale=(1, 5), stimuli=["x", "y", "z"])
    assert numbered.pairs.tolist() == [[0, 1], [2, 1]]
    assert numbered.rating.tolist() == [1, 5]  # 5 is least alike


def test_numbers_with_zeros_before_them_are_names(tmp_path):
    assert read_ratings(write(tmp_path, HEADER + "01\t02\t5\tx\n1\t3\t2\tx\n")).stimuli == ("01", "02", "1", "3")
    assert read_ratings(write(tmp_path, HEADER + "1\t2\t5\tx\n0\t10\t2\tx\n")).pairs.tolist() == [[1, 2], [0, 10]]


@pytest.mark.parametrize("column", ["dissimilarity", "distance"])
def test_ratings_are_turned_around_on_a_known_scale_only(tmp_path, column):
    header = f"a,b,{column}\n"
    write(tmp_path, header + "x,y,1\nx,z,7\ny,z,4\n", "a.csv")
    write(tmp_path, header + "x,w,1\ny,w,4\nz,w,3\n", "t.csv")
    (tmp_path / "names.txt").write_text("w\nx\ny\nz\n", encoding="utf-8")
    source = JudgmentTable("far", file="a.csv", test="t.csv", stimuli="names.txt", task="rate")
    with pytest.raises(ConfigError, match=rf"a\.csv: in the column '{column}' larger is less alike.*scale = \[1, 7\]"):
        source.check(tmp_path)
    known = dataclasses.replace(source, scale=(1, 7))
    known.check(tmp_path)
    assert gather_judgments(known, tmp_path).rating.tolist() == [7, 1, 4, 7, 4, 5]


def test_columns_that_could_all_be_meant_are_refused(tmp_path):
    for header, named in (
        ("a,b,rating,dissimilarity", "rating and dissimilarity all look like ratings"),
        ("a,b,rating,similarity", "rating and similarity all look like ratings"),
        ("a,b,item_1,item_2,rating", r"\(a, b\) and \(item_1, item_2\) all look like pairs of stimuli"),
        ("a,b,rating,participant,subject_id", "participant and subject_id all look like participants"),
    ):
        path = write(tmp_path, f"{header}\n{','.join('12345'[: header.count(',') + 1])}\n", "many.csv")
        with pytest.raises(DataError, match=f"{named}; one was needed"):
            read_ratings(path, scale=(1, 7))


@pytest.mark.parametrize("word", ["", "n/a", "NA", "nan", "None", "null"])
def test_words_for_missing_are_no_stimuli_and_no_participants(tmp_path, word):
    with pytest.raises(DataError, match=r"row 2 names .* two needed"):
        read_ratings(write(tmp_path, HEADER + f"cat\tdog\t5\tx\ncat\t{word}\t2\tx\n"))
    with pytest.raises(DataError, match=r"row 2 has the participant '.*others have one.* \(1 such row\)"):
        read_ratings(write(tmp_path, HEADER + f"cat\tdog\t5\tx\ncat\tant\t2\t{word}\n"))
    nobody = read_ratings(write(tmp_path, HEADER + f"cat\tdog\t5\t{word}\ncat\tant\t2\t{word}\n"))
    assert nobody.participant.tolist() == ["", ""]


def test_a_check_refuses_what_a_run_would_refuse(tmp_path):
    write(tmp_path, HEADER + "a\tb\t5\tx\nb\tc\t2\tx\na\tc\t3\tx\n")
    write(tmp_path, HEADER + "c\tb\t5\tx\na\td\t2\tx\n", "test.tsv")
    (tmp_path / "names.txt").write_text("a\nb\nc\nd\n", encoding="utf-8")
    plain = JudgmentTable("alike", file="pairs.tsv", task="rate", test_share=0)
    plain.check(tmp_path)
    with pytest.raises(DataError, match="judge_noise = True, but all judgments are of one annotator"):
        dataclasses.replace(plain, judge_noise=True).check(tmp_path)
    with pytest.raises(SplitError, match="1 pair with answers in two parts"):
        dataclasses.replace(plain, test="test.tsv", stimuli="names.txt").check(tmp_path)
    write(tmp_path, "a\tb\trating\tweight\na\tb\t5\t0\nb\tc\t2\t0\n")
    with pytest.raises(DataError, match=r"pairs\.tsv: the weight of all 2 ratings is 0"):
        plain.check(tmp_path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a\tb\n1\t2\n", r"two columns of stimuli \(a, b\) and one of ratings"),
        (HEADER, "a header, but no row"),
        (HEADER + "cat\tdog\t5\tx\ncat\tant\t9\tx\n", r"row 2 has the rating 9; the scale is 1 to 7 \(1 such row\)"),
        (HEADER + "cat\tdog\t5\tx\ncat\tant\tnan\tx\n", "row 2 has the rating 'nan' .* Leave out rows"),
        (HEADER + "cat\tdog\t5\tx\ncat\tcat\t7\tx\n", "row 2 rates 'cat' with itself"),
        (HEADER + "cat\tdog\t5\tx\ncat\t\t7\tx\n", r"row 2 names \['cat', ''\]"),
        (HEADER + "cat\tdog\t5\tx\ncat\tbee\t7\tx\n", "row 2: no stimulus 'bee'"),
        (HEADER + "0\t1\t5\tx\n3\t1\t7\tx\n", r"row 2 names \['3', '1'\], but 3 stimuli .* count_from = 1"),
        (HEADER + "cat\tdog\t5\tx\ncat\tant\t5\tx\n", "all 2 ratings are 5"),
        ("a\tb\trating\tsplit\ncat\tdog\t5\tlater\n", "row 1 has the split 'later'"),
        ("a\tb\trating\tweight\ncat\tdog\t5\t-1\n", "row 1 has the weight -1"),
    ],
)
def test_bad_files_are_refused_with_their_row(tmp_path, text, message):
    path = write(tmp_path, text)
    with pytest.raises(DataError, match=message) as caught:
        read_ratings(path, scale=(1, 7), stimuli=["ant", "cat", "dog"])
    assert str(path) in str(caught.value)


def test_a_check_finds_stimuli_without_ratings_and_groups_that_are_never_compared(tmp_path):
    write(tmp_path, HEADER + "a\tb\t5\tx\nc\td\t2\tx\n")
    (tmp_path / "names.txt").write_text("a\nb\nc\nd\ne\n", encoding="utf-8")
    source = JudgmentTable("alike", file="pairs.tsv", task="rate", stimuli="names.txt")
    with pytest.raises(DataError, match=r"1 item is in no judgment.*: 'e'. .*2 groups of items"):
        source.check(tmp_path)


def test_arrays_are_checked_like_files():
    good = {"stimuli": ("a", "b", "c"), "pairs": [[0, 1], [1, 2]], "rating": [1, 2], "participant": ["x"] * 2,
            "weight": np.ones(2), "split": [""] * 2, "scale": (1, 7)}  # fmt: skip
    assert "2 of 2 pairs of 3 stimuli, 1 participant" in repr(PairRatings(**good))
    for change, message in (
        ({"pairs": [[0, 1], [1, 3]]}, "unknown stimulus; the first is row 2"),
        ({"pairs": [[0, 1], [1, 1]]}, "of a stimulus with itself; the first is row 2"),
        ({"rating": [1, np.nan]}, "are no numbers; the first is row 2"),
        ({"rating": [1, 8]}, "outside the scale from 1 to 7; the first is row 2: 8.0"),
        ({"weight": [1, -1]}, "a weight that is negative"),
        ({"rating": [2, 2]}, "1 different value;"),
        ({"weight": [0, 0]}, "the weight of all 2 ratings is 0"),
    ):
        with pytest.raises(DataError, match=message):
            PairRatings(**good | change)


def test_settings_of_choices_are_refused_for_ratings(planted):
    _, ratings = planted
    with pytest.raises(ConfigError, match='Set task = "rate"'):
        SparseEmbedding().fit(ratings)
    with pytest.raises(ConfigError, match="these are choices among three"):
        SparseEmbedding(task="rate").fit(np.array([[0, 1, 2], [1, 2, 3]]))
    with pytest.raises(ConfigError, match="slot_bias = True is for choices"):
        SparseEmbedding(task="rate", slot_bias=True).fit(ratings)
    with pytest.raises(ConfigError, match="slot_bias, start is for choices"):
        JudgmentTable("x", file="f.tsv", task="rate", slot_bias=True, start="spectral")
    with pytest.raises(ConfigError, match='a scale belongs to task = "rate"'):
        JudgmentTable("x", file="f.tsv", scale=(1, 7))
    with pytest.raises(ConfigError, match="scale"):
        JudgmentTable("x", file="f.tsv", task="rate", scale=(7, 1))
    torn = dataclasses.replace(ratings, split=np.where(np.arange(len(ratings)) % 2, "train", "test"))
    with pytest.raises(SplitError, match="Divide by pair, not by row"):
        SparseEmbedding(task="rate").fit(torn)


def test_new_items_are_not_placed_by_ratings(planted, fitted):
    with pytest.raises(ConfigError, match="placed by choices only"):
        fitted.transform(planted[1])


def test_a_table_of_ratings_becomes_a_feature_space_with_its_page(tmp_path, planted):
    truth, ratings = planted
    names = np.asarray(ratings.stimuli)
    frame = pd.DataFrame({"a": names[ratings.pairs[:, 0]], "b": names[ratings.pairs[:, 1]],
                          "rating": ratings.rating.astype(int), "participant": ratings.participant})  # fmt: skip
    frame.loc[frame.index[-40:], "participant"] = [f"once{k}" for k in range(40)]
    frame.to_csv(tmp_path / "pairs.tsv", sep="\t", index=False)
    with pytest.raises(DataError, match=r'looks like ratings of similarity.* Set task = "rate"'):
        read_judgments(tmp_path / "pairs.tsv")
    source = JudgmentTable("alike", file="pairs.tsv", task="rate", scale=(1, 7), seeds=(0,), n_dims=3,
                           lambdas=(0.05,), ridges=(0.0,), reweight=0, test_share=0.15, learning_curve=True,
                           learning_shares=(0.5,), n_bootstrap=50, n_permutations=50)  # fmt: skip
    source.check(tmp_path)
    space = learn(source, tmp_path, tmp_path / "out")
    assert match_columns(truth, space.values)[1].min() > 0.9
    page = (tmp_path / "out" / "alike.html").read_text(encoding="utf-8")
    assert "how each participant uses the scale" in page
    assert "Loss of accuracy" not in page
    n_once = int((gather_judgments(source, tmp_path).split[-40:] == "test").sum())
    assert 0 < n_once < 40
    assert f"Participants with a single rating among these ({n_once}) count for neither r nor explained" in page
    scores = pd.read_csv(tmp_path / "out" / "alike_files" / "how-good-it-is-1.tsv", sep="\t")
    assert {"r", "explained", "cross_entropy"} <= set(scores.columns)
    assert "accuracy" not in scores.columns
    assert pd.read_csv(tmp_path / "out" / "alike_curve.tsv", sep="\t")["share"].tolist() == [0.5, 1.0]
    description = json.loads((tmp_path / "out" / "alike" / "object.json").read_text(encoding="utf-8"))
    assert "rate" in json.dumps(description)

"""Held-out predictions against ridge by hand, himalaya and scikit-learn, and what is written to disk."""

import dataclasses
import re
from itertools import pairwise

import numpy as np
import pytest
from himalaya.kernel_ridge import MultipleKernelRidgeCV
from himalaya.ridge import GroupRidgeCV, RidgeCV, solve_group_ridge_random_search
from himalaya.scoring import correlation_score, r2_score, r2_score_split
from sklearn import linear_model

from encoding.comparison import band_scores, evaluate
from encoding.core import AlignmentError, ConfigError, DataError, EncodingError, FeatureSpace, Provenance
from encoding.fitting import BandedRidge, Compute, Ridge, Split, cross_predict, cross_predict_all, make_folds
from encoding.fitting.solvers.search_statistics import StatisticsSearch, StatisticsSolver
from encoding.io.store import load

ALPHAS = (0.01, 0.1, 1.0, 10.0, 100.0)
BANDED = BandedRidge(("wide", "narrow"), alphas=ALPHAS, n_iter=8)
BY_HIMALAYA = dataclasses.replace(BANDED, method="himalaya")
WIDE = {"wide": 60, "narrow": 15}  # more features than half the training samples: the kernel path


def folds_of(study, **settings):
    outer = {} if settings.get("kind") == "fixed" else {"n_outer": 3}
    return make_folds(Split(**{**outer, "n_inner": 2, **settings}), study.responses.samples, study.shown)


def standardise(X, X_test):
    """Z-score with training rows and divide by the root of the number of features; all features vary."""
    mean, sd = X.mean(0), X.std(0)
    return (X - mean) / sd / np.sqrt(X.shape[1]), (X_test - mean) / sd / np.sqrt(X.shape[1])


class Halves:
    """Training and held-out halves of one outer fold, prepared by hand."""

    def __init__(self, study, fold):
        scaled = [
            standardise(s.values[fold.train].astype(float), s.values[fold.test].astype(float)) for s in study.spaces
        ]
        self.train, self.test = [part[0] for part in scaled], [part[1] for part in scaled]
        self.raw = [s.values[fold.train].astype(float) for s in study.spaces]
        self.Y = study.responses.values[fold.train].astype(float)
        self.Y_test = study.responses.values[fold.test].astype(float)
        self.inner = list(fold.inner)

    @property
    def bands(self):
        edges = np.cumsum([0] + [block.shape[1] for block in self.train])
        return [slice(int(a), int(b)) for a, b in pairwise(edges)]


def textbook(Z, Y, alpha):
    """Weights and intercept of ridge from the normal equations."""
    mean_x, mean_y = Z.mean(0), Y.mean(0)
    A = Z - mean_x
    weights = np.linalg.solve(A.T @ A + alpha * np.eye(Z.shape[1]), A.T @ (Y - mean_y))
    return weights, mean_y - mean_x @ weights


def by_textbook(halves, gammas, alphas, *, scale_inside=True):
    """Choose on inner folds by trying everything, refit, and predict every band about the training mean.

    Features are scaled on the rows that an inner fold fits, or (as with himalaya) once on the outer training rows.
    """
    n_targets = halves.Y.shape[1]
    scaled = [
        np.concatenate([np.sqrt(g) * X for g, X in zip(gamma, halves.train, strict=True)], axis=1) for gamma in gammas
    ]
    loss = np.zeros((len(gammas), len(alphas), n_targets))
    for fit, validation in halves.inner:
        inside = [
            standardise(raw[fit], raw[validation]) if scale_inside else (X[fit], X[validation])
            for raw, X in zip(halves.raw, halves.train, strict=True)
        ]
        for c, gamma in enumerate(gammas):
            Z, Z_validation = (
                np.concatenate([np.sqrt(g) * part[side] for g, part in zip(gamma, inside, strict=True)], axis=1)
                for side in (0, 1)
            )
            for a, alpha in enumerate(alphas):
                weights, intercept = textbook(Z, halves.Y[fit], alpha)
                loss[c, a] += ((halves.Y[validation] - Z_validation @ weights - intercept) ** 2).mean(0)
    best = loss.reshape(-1, n_targets).argmin(0)
    c, a = np.unravel_index(best, loss.shape[:2])
    predicted = np.zeros((len(halves.train), len(halves.Y_test), n_targets))
    for t in range(n_targets):
        weights, _ = textbook(scaled[c[t]], halves.Y[:, t], alphas[a[t]])
        for b, band in enumerate(halves.bands):
            predicted[b, :, t] = halves.test[b] @ weights[band] * np.sqrt(gammas[c[t], b])
    return predicted, np.asarray(alphas)[a], np.asarray(gammas)[c].T


def scores_by_hand(folds_hand):
    """Scores from full predictions: Fisher average of r, and R2 and its parts about the training mean."""
    r = np.stack([correlation_score(h.Y_test, p.sum(0)) for h, p in folds_hand])
    y = [h.Y_test - h.Y.mean(0) for h, _ in folds_hand]
    total = sum((part**2).sum(0) for part in y)
    error = sum(((part - p.sum(0)) ** 2).sum(0) for part, (_, p) in zip(y, folds_hand, strict=True))
    parts = sum((p * (2 * part - p.sum(0))).sum(1) for part, (_, p) in zip(y, folds_hand, strict=True))
    return np.tanh(np.arctanh(r).mean(0)), 1 - error / total, parts / total


def assert_scores(predictions, folds_hand, tolerance=1e-5):
    r, r2, parts = scores_by_hand(folds_hand)
    np.testing.assert_allclose(evaluate([predictions], "r").values[0], r, atol=tolerance)
    np.testing.assert_allclose(evaluate([predictions], "r2").values[0], r2, atol=tolerance)
    np.testing.assert_allclose(band_scores(predictions), parts, atol=tolerance)
    np.testing.assert_allclose(band_scores(predictions).sum(0), r2, atol=tolerance)
    assert r.max() > 0.4  # there is something to predict


def use_candidates(monkeypatch, gammas):
    """Search these band weights instead of drawing some."""

    def candidates(model, rng):
        return gammas

    monkeypatch.setattr(BandedRidge, "candidates", candidates)


# Independent oracles


@pytest.mark.parametrize("widths", [None, WIDE], ids=["narrow", "wide"])
@pytest.mark.parametrize("method", ["auto", "statistics", "kernel", "himalaya"])
def test_ridge_equals_textbook_and_scikit_learn(make_study, tmp_path, widths, method):
    study = make_study(widths=widths)
    model, folds = Ridge(("wide",), alphas=ALPHAS, method=method), folds_of(study)
    found = cross_predict(model, study.spaces, study.responses, folds, tmp_path / "p")
    closed = []
    for k, fold in enumerate(folds.folds):
        halves = Halves(study._replace(spaces=study.spaces[:1]), fold)
        predicted, alpha, _ = by_textbook(halves, np.ones((1, 1)), ALPHAS, scale_inside=method != "himalaya")
        np.testing.assert_array_equal(found.alphas[k], alpha)
        closed.append((halves, predicted))
        sklearn = linear_model.Ridge(alpha=alpha).fit(halves.train[0], halves.Y).predict(halves.test[0])
        np.testing.assert_allclose(found.values[0][found.fold == k], sklearn - halves.Y.mean(0), atol=1e-5)
    assert_scores(found, closed)
    assert len(np.unique(found.alphas)) > 1
    assert found.solver["method"] in (method, "statistics" if widths is None else "kernel")


@pytest.mark.parametrize("widths", [None, WIDE], ids=["primal", "kernel"])
def test_ridge_by_himalaya_equals_himalaya(make_study, tmp_path, widths):
    study = make_study(widths=widths)
    model, folds = Ridge(("wide",), alphas=ALPHAS, method="himalaya"), folds_of(study)
    found = cross_predict(model, study.spaces, study.responses, folds, tmp_path / "p")
    himalaya = []
    for k, fold in enumerate(folds.folds):
        halves = Halves(study._replace(spaces=study.spaces[:1]), fold)
        ridge = RidgeCV(alphas=np.asarray(ALPHAS), fit_intercept=True, cv=halves.inner, solver_params={"warn": False})
        ridge.fit(halves.train[0], halves.Y)
        np.testing.assert_allclose(ridge.best_alphas_, found.alphas[k])
        himalaya.append((halves, (ridge.predict(halves.test[0]) - halves.Y.mean(0))[None]))
    assert_scores(found, himalaya)


@pytest.mark.parametrize("widths", [None, WIDE], ids=["narrow", "wide"])
@pytest.mark.parametrize("method", ["statistics", "kernel", "himalaya"])
def test_banded_ridge_equals_textbook(make_study, tmp_path, monkeypatch, widths, method):
    study = make_study(widths=widths)
    folds = folds_of(study)
    gammas = np.array([[0.5, 0.5], [1.0, 0.0], [0.0, 1.0], [0.83, 0.17], [0.07, 0.93]])
    use_candidates(monkeypatch, gammas)
    model = dataclasses.replace(BANDED, method=method)
    found = cross_predict(model, study.spaces, study.responses, folds, tmp_path / "p")
    closed = []
    for k, fold in enumerate(folds.folds):
        halves = Halves(study, fold)
        predicted, alpha, gamma = by_textbook(halves, gammas, ALPHAS, scale_inside=method != "himalaya")
        np.testing.assert_array_equal(found.alphas[k], alpha)
        np.testing.assert_array_equal(found.gammas[k], gamma.astype(np.float32))
        np.testing.assert_allclose(found.values[:, found.fold == k], predicted, atol=1e-5)
        closed.append((halves, predicted))
    assert_scores(found, closed)
    assert len(np.unique(found.gammas[:, 0])) > 2


def test_banded_ridge_equals_himalaya_primal(make_study, tmp_path, monkeypatch):
    study = make_study()
    folds = folds_of(study)
    gammas = np.random.default_rng(0).dirichlet([1, 1], 12)
    use_candidates(monkeypatch, gammas)
    found = cross_predict(BY_HIMALAYA, study.spaces, study.responses, folds, tmp_path / "p")
    by_solver, by_class = [], []
    settings = {"n_iter": gammas, "alphas": np.asarray(ALPHAS), "progress_bar": False}
    for fold in folds.folds:
        halves = Halves(study, fold)
        _, weights, _, _ = solve_group_ridge_random_search(
            halves.train, halves.Y, fit_intercept=True, cv=halves.inner, return_weights=True, **settings
        )
        split = np.stack([X @ weights[band] for X, band in zip(halves.test, halves.bands, strict=True)])
        by_solver.append((halves, split))
        groups = np.repeat([0, 1], [X.shape[1] for X in halves.train])
        estimator = GroupRidgeCV(groups=groups, solver_params=settings, fit_intercept=True, cv=halves.inner)
        estimator.fit(np.concatenate(halves.train, axis=1), halves.Y)
        whole = estimator.predict(np.concatenate(halves.test, axis=1)) - halves.Y.mean(0)
        np.testing.assert_allclose(whole, split.sum(0), atol=1e-8)
        by_class.append((halves, whole))
    assert_scores(found, by_solver)
    r, r2, _ = scores_by_hand([(halves, whole[None]) for halves, whole in by_class])
    np.testing.assert_allclose(evaluate([found], "r").values[0], r, atol=1e-5)
    np.testing.assert_allclose(evaluate([found], "r2").values[0], r2, atol=1e-5)


def test_banded_ridge_equals_himalaya_kernels(make_study, tmp_path, monkeypatch):
    study = make_study(widths=WIDE)
    folds = folds_of(study)
    gammas = np.random.default_rng(0).dirichlet([1, 1], 12)
    use_candidates(monkeypatch, gammas)
    found = cross_predict(BY_HIMALAYA, study.spaces, study.responses, folds, tmp_path / "p")
    by_hand = []
    for fold in folds.folds:
        halves = Halves(study, fold)
        estimator = MultipleKernelRidgeCV(
            kernels="precomputed",
            solver_params={"n_iter": gammas, "alphas": np.asarray(ALPHAS), "progress_bar": False},
            fit_intercept=True,
            cv=halves.inner,
        ).fit(np.stack([X @ X.T for X in halves.train]), halves.Y)
        kernels = np.stack([X_test @ X.T for X, X_test in zip(halves.train, halves.test, strict=True)])
        np.testing.assert_allclose(
            found.values.sum(0)[found.fold == len(by_hand)], estimator.predict(kernels) - halves.Y.mean(0), atol=1e-4
        )
        weights = np.exp(estimator.deltas_)[:, None] * estimator.dual_coef_
        by_hand.append((halves, np.einsum("bsn,bnt->bst", kernels, weights)))
    assert_scores(found, by_hand)


def test_scores_of_a_fixed_split_equal_himalaya_scoring(make_study, tmp_path):
    # Responses are centred in every run, so that training mean and test mean, about which himalaya scores, agree.
    study = make_study()
    folds = folds_of(study, kind="fixed", test_runs=("run-04",))
    found = cross_predict(BANDED, study.spaces, study.responses, folds, tmp_path / "p")
    y, p = study.responses.values[folds.folds[0].test].astype(float), found.values.astype(float)
    y -= y.mean(0)
    np.testing.assert_allclose(evaluate([found], "r").values[0], correlation_score(y, p.sum(0)), atol=1e-5)
    np.testing.assert_allclose(evaluate([found], "r2").values[0], r2_score(y, p.sum(0)), atol=1e-5)
    np.testing.assert_allclose(evaluate([found], "split_r2").values, r2_score_split(y, p), atol=1e-5)


def test_joined_spaces_are_one_band(make_study, tmp_path):
    study = make_study()
    both = np.concatenate([space.values for space in study.spaces], axis=1)
    joined = FeatureSpace("both", both, study.responses.samples, [f"f{k}" for k in range(both.shape[1])])
    folds = folds_of(study)
    one = cross_predict(Ridge(("wide", "narrow"), alphas=ALPHAS), study.spaces, study.responses, folds, tmp_path / "1")
    other = cross_predict(Ridge(("both",), alphas=ALPHAS), [joined], study.responses, folds, tmp_path / "2")
    assert one.bands == ("wide+narrow",)
    np.testing.assert_array_equal(one.values, other.values)
    np.testing.assert_array_equal(one.gammas, 1)


def test_planted_bands_are_found(make_study, tmp_path):
    # Even targets follow the wide space six times as strongly as the narrow one; odd targets the other way round.
    study = make_study(runs=(60,) * 4, n_targets=10)
    found = cross_predict(BANDED, study.spaces, study.responses, folds_of(study), tmp_path / "p")
    parts = band_scores(found)
    assert (parts[0, ::2] > parts[1, ::2]).all()
    assert (parts[1, 1::2] > parts[0, 1::2]).all()


# Rows, averaging, drift of means


def test_rows_come_fold_after_fold(make_study, tmp_path):
    study = make_study()
    folds = folds_of(study)
    found = cross_predict(Ridge(("wide",)), study.spaces, study.responses, folds, tmp_path / "p")
    rows = np.concatenate([fold.test for fold in folds.folds])
    assert found.samples.same_as(study.responses.samples[rows])
    np.testing.assert_array_equal(found.fold, folds.membership()["outer"][rows])
    np.testing.assert_array_equal(found.moments.n, [len(fold.test) for fold in folds.folds])


def test_r2_is_about_the_training_mean(make_study, tmp_path):
    # The test run lies 3 above the training runs: nothing that a model of training runs could know.
    study = make_study()
    values = study.responses.values + 3.0 * (study.responses.samples.run == "run-04")[:, None]
    shifted = dataclasses.replace(study.responses, values=values)
    folds = folds_of(study, kind="fixed", test_runs=("run-04",))
    model = Ridge(("wide",), alphas=ALPHAS)
    plain, found = (
        cross_predict(model, study.spaces, responses, folds, tmp_path / name)
        for name, responses in (("plain", study.responses), ("shifted", shifted))
    )
    y, p = values[folds.folds[0].test], found.values[0]
    about_training = y - values[folds.folds[0].train].mean(0)
    expected = 1 - ((about_training - p) ** 2).sum(0) / (about_training**2).sum(0)
    np.testing.assert_allclose(evaluate([found], "r2").values[0], expected, atol=1e-5)
    assert (evaluate([found], "r2").values < evaluate([plain], "r2").values).any()
    np.testing.assert_allclose(evaluate([found], "r").values, evaluate([plain], "r").values, atol=1e-5)


def test_repeats_of_the_test_set_are_averaged(make_study, tmp_path):
    names = [f"train{k}" for k in range(40)] + ["x", "y", "z", "w"] * 10
    study = make_study(runs=(20,) * 4, stimuli=names)
    folds = folds_of(study, kind="fixed", test_runs=("run-03", "run-04"))
    found = cross_predict(Ridge(("wide",), alphas=ALPHAS), study.spaces, study.responses, folds, tmp_path / "p")
    assert found.samples.stimulus.tolist() == ["x", "y", "z", "w"]
    assert found.moments.n.tolist() == [4]
    train, test = (study.responses.values[rows].astype(float) for rows in (folds.folds[0].train, folds.folds[0].test))
    y = test.reshape(10, 4, -1).mean(0) - train.mean(0)
    np.testing.assert_allclose(found.moments.yy[0], (y**2).sum(0), rtol=1e-6)
    X, X_test = standardise(
        study.spaces[0].values[:40].astype(float), study.spaces[0].values[40:].reshape(10, 4, -1).mean(0)
    )
    for t, alpha in enumerate(found.alphas[0]):
        weights, _ = textbook(X, train[:, t], alpha)
        np.testing.assert_allclose(found.values[0][:, t], X_test @ weights, atol=1e-5)


def test_test_runs_that_lie_interleaved_are_averaged_in_place(make_study, tmp_path):
    # Two identical test runs whose rows alternate: averaged rows and their samples must still belong together.
    study = make_study(
        runs=(8,) * 4, clock="tr", stimuli=["a", "b", "c", "d"] * 2 + ["e", "f", "g", "h"] * 2 + ["x", "y"] * 8
    )
    order = np.concatenate([np.arange(16), np.arange(16, 32).reshape(2, 8).T.ravel()])
    samples = study.responses.samples[order]
    responses = dataclasses.replace(study.responses, samples=samples, values=study.responses.values[order])
    space = dataclasses.replace(study.spaces[0], samples=samples, values=study.spaces[0].values[order])
    split = Split(kind="fixed", test_runs=("run-03", "run-04"), n_inner=2)
    folds = make_folds(split, samples, (np.arange(32), samples.stimulus))
    found = cross_predict(Ridge(("wide",), alphas=(1.0,)), [space], responses, folds, tmp_path / "p")
    assert found.samples.stimulus.tolist() == ["x", "y"] * 4
    raw = study.responses.values.astype(float)
    y = raw[16:].reshape(2, 8, -1).mean(0) - raw[:16].mean(0)
    np.testing.assert_allclose(found.moments.yy[0], (y**2).sum(0), rtol=1e-6)
    X = study.spaces[0].values.astype(float)
    Z, Z_test = standardise(X[:16], X[16:].reshape(2, 8, -1).mean(0))
    np.testing.assert_allclose(found.values[0], Z_test @ textbook(Z, raw[:16], 1.0)[0], atol=1e-5)


# Targets that cannot be fitted


def test_nan_targets_stay_nan_and_touch_no_other(make_study, tmp_path):
    study = make_study()
    folds = folds_of(study)
    values = study.responses.values.copy()
    values[:, [0, 3]] = np.nan
    broken = dataclasses.replace(study.responses, values=values)
    whole = cross_predict(BANDED, study.spaces, study.responses, folds, tmp_path / "whole")
    found = cross_predict(BANDED, study.spaces, broken, folds, tmp_path / "broken")
    others = [1, 2, 4, 5]
    for metric in ("r", "pooled_r", "r2", "split_r2"):
        scores, expected = (evaluate([p], metric).values for p in (found, whole))
        assert np.isnan(scores[:, [0, 3]]).all()
        np.testing.assert_allclose(scores[:, others], expected[:, others], atol=1e-6)
    assert np.isnan(found.values[:, :, [0, 3]]).all()
    assert np.isnan(found.alphas[:, [0, 3]]).all()
    assert np.isfinite(found.values[:, :, others]).all()


@pytest.mark.parametrize("constant", [0.0, 0.1, 1e4])
def test_constant_response_has_no_score(make_study, tmp_path, constant):
    study = make_study()
    values = study.responses.values.copy()
    values[:, 2] = constant
    flat = dataclasses.replace(study.responses, values=values)
    found = cross_predict(BANDED, study.spaces, flat, folds_of(study), tmp_path / "p")
    for metric in ("r", "pooled_r", "r2", "split_r2"):
        scores = evaluate([found], metric).values
        assert np.isnan(scores[:, 2]).all()
        assert np.isfinite(scores[:, [0, 1, 3, 4, 5]]).all()


def test_no_usable_target(make_study, tmp_path):
    study = make_study()
    empty = dataclasses.replace(study.responses, values=np.full_like(study.responses.values, np.nan))
    found = cross_predict(BANDED, study.spaces, empty, folds_of(study), tmp_path / "p")
    assert np.isnan(evaluate([found], "r").values).all()


def test_constant_features_predict_nothing(make_study, tmp_path):
    study = make_study()
    flat = FeatureSpace("flat", np.ones((len(study.responses.samples), 3)), study.responses.samples, ("a", "b", "c"))
    found = cross_predict(Ridge(("flat",)), [flat], study.responses, folds_of(study), tmp_path / "p")
    np.testing.assert_array_equal(found.values, 0)
    np.testing.assert_array_equal(evaluate([found], "r").values, 0)
    np.testing.assert_array_equal(evaluate([found], "r2").values, 0)


# Memory and disk


def everything(predictions):
    moments = {
        name: getattr(predictions.moments, name) for name in ("n", "y", "p", "yy", "pp", "yp", "y_band", "p_band")
    }
    return moments | {"alphas": predictions.alphas, "gammas": predictions.gammas}


def test_size_of_the_chunks_does_not_matter(make_study, tmp_path):
    study = make_study(n_targets=9)
    folds = folds_of(study)
    one, many = (
        cross_predict(
            BANDED, study.spaces, study.responses, folds, tmp_path / str(size), compute=Compute(chunk_bytes=size)
        )
        for size in (1 << 30, 4 * 96 * 2)
    )
    np.testing.assert_array_equal(many.alphas, one.alphas)
    np.testing.assert_array_equal(many.gammas, one.gammas)
    np.testing.assert_allclose(many.values, one.values, atol=1e-6)
    for name, value in everything(one).items():
        np.testing.assert_allclose(everything(many)[name], value, rtol=1e-5, atol=1e-5, err_msg=name)


def test_predictions_are_dropped_beyond_the_budget(make_study, tmp_path):
    study = make_study()
    folds = folds_of(study)
    kept = cross_predict(BANDED, study.spaces, study.responses, folds, tmp_path / "kept")
    dropped = cross_predict(
        BANDED, study.spaces, study.responses, folds, tmp_path / "dropped", compute=Compute(keep_bytes=0)
    )
    assert kept.values.shape == (2, 96, 6)
    assert dropped.values is None
    assert not list((tmp_path / "dropped").glob("values*"))
    for name, value in everything(kept).items():
        np.testing.assert_array_equal(everything(dropped)[name], value, err_msg=name)
    # Sums are those of the predictions that are kept.
    p = kept.values.astype(float).sum(0)
    np.testing.assert_allclose(kept.moments.pp, [(p[kept.fold == k] ** 2).sum(0) for k in range(3)], rtol=1e-6)
    # The budget is exact.
    size = 4 * kept.values.size
    for budget, is_kept in ((size, True), (size - 1, False)):
        folder = tmp_path / str(budget)
        found = cross_predict(BANDED, study.spaces, study.responses, folds, folder, compute=Compute(keep_bytes=budget))
        assert (found.values is not None) == is_kept


def test_same_seed_gives_the_same_bytes(make_study, tmp_path):
    study = make_study()
    folds = folds_of(study)
    for name in ("one", "two"):
        cross_predict(BANDED, study.spaces, study.responses, folds, tmp_path / name, seed=3)
    files = sorted(path.name for path in (tmp_path / "one").iterdir())
    assert "values.npy" in files
    for name in files:
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes(), name


def test_result_is_the_saved_one(make_study, tmp_path):
    study = make_study()
    found = cross_predict(BANDED, study.spaces, study.responses, folds_of(study), tmp_path / "p")
    again = load(tmp_path / "p")
    np.testing.assert_array_equal(again.values, found.values)
    assert isinstance(found.values, np.memmap)
    assert again.provenance.key == found.provenance.key


def changed(study, what):
    """Change one input."""
    wide, narrow = study.spaces
    responses = study.responses
    if what == "features":
        values = wide.values.copy()
        values[0, 0] += 1
        return [dataclasses.replace(wide, values=values), narrow], responses
    if what == "names of features":
        return [dataclasses.replace(wide, features=[f"x{k}" for k in range(7)]), narrow], responses
    if what == "values of responses":
        values = responses.values.copy()
        values[0, 0] += 1
        return study.spaces, dataclasses.replace(responses, values=values)
    if what == "provenance of responses":
        return study.spaces, dataclasses.replace(responses, provenance=Provenance("load/1", {"t_r": 2.0}))
    return study.spaces, dataclasses.replace(responses, targets=responses.targets[[1, 0, 2, 3, 4, 5]])


def stamp(folder):
    return {path.name: path.stat().st_mtime_ns for path in [folder, *folder.iterdir()]}


def fit_into(folder, study, *, model=BANDED, inputs=None, folds=None, **settings):
    spaces, responses = inputs or (study.spaces, study.responses)
    return cross_predict(model, spaces, responses, folds or folds_of(study), folder, **settings)


def test_saved_result_is_reused(make_study, tmp_path):
    study = make_study()
    fit_into(tmp_path / "p", study)
    before = stamp(tmp_path / "p")
    again = make_study()  # other objects, same values
    fit_into(tmp_path / "p", again, compute=Compute(chunk_bytes=4000))
    fit_into(tmp_path / "p", again, inputs=(again.spaces[::-1], again.responses))
    assert stamp(tmp_path / "p") == before


@pytest.mark.parametrize(
    "what",
    ["features", "names of features", "values of responses", "provenance of responses", "targets of responses"],
)
def test_changed_inputs_are_fitted_anew(make_study, tmp_path, what):
    study = make_study()
    first = fit_into(tmp_path / "p", study)
    second = fit_into(tmp_path / "p", study, inputs=changed(study, what))
    assert second.provenance.key != first.provenance.key
    assert load(tmp_path / "p").provenance.key == second.provenance.key


@pytest.mark.parametrize(
    "settings",
    [
        {"seed": 1},
        {"model": dataclasses.replace(BANDED, alphas=(0.1, 1.0))},
        {"model": dataclasses.replace(BANDED, n_iter=9)},
        {"model": Ridge(("wide", "narrow"), alphas=ALPHAS)},
    ],
    ids=["seed", "alphas", "n_iter", "kind"],
)
def test_changed_settings_are_fitted_anew(make_study, tmp_path, settings):
    study = make_study()
    first = fit_into(tmp_path / "p", study)
    assert fit_into(tmp_path / "p", study, **settings).provenance.key != first.provenance.key


def test_changed_folds_are_fitted_anew(make_study, tmp_path):
    study = make_study()
    keys = {
        fit_into(tmp_path / "p", study, folds=folds_of(study, **settings)).provenance.key
        for settings in ({}, {"n_outer": 2}, {"n_outer": 4}, {"n_outer": 4, "n_inner": 3})
    }
    assert len(keys) == 4


def interrupt_after(n_calls):
    """Stop a fit as a user would, when it reports progress for the nth time."""
    calls = []

    def progress(share):
        calls.append(share)
        if len(calls) == n_calls:
            raise KeyboardInterrupt

    return progress


@pytest.mark.parametrize("method", ["statistics", "kernel"])
@pytest.mark.parametrize("n_calls", [1, 2])
def test_interrupted_fit_goes_on_after_the_last_chunk_with_the_same_bytes(make_study, tmp_path, method, n_calls):
    study = make_study()
    model, compute = dataclasses.replace(BANDED, method=method), Compute(chunk_bytes=4 * 96 * 2)
    whole = fit_into(tmp_path / "whole", study, model=model, compute=compute)
    with pytest.raises(KeyboardInterrupt):
        fit_into(tmp_path / "p", study, model=model, compute=compute, progress=interrupt_after(n_calls))
    assert [path.name for path in tmp_path.iterdir() if path.name != "whole"] == [".partial-p"]
    finished = stamp(tmp_path / ".partial-p")
    assert [name for name in sorted(finished) if name.endswith("npz")] == [f"chunk-0000{n}.npz" for n in range(n_calls)]
    assert fit_into(tmp_path / "p", study, model=model, compute=compute).model == whole.model
    names = sorted(path.name for path in (tmp_path / "whole").iterdir())
    assert sorted(path.name for path in (tmp_path / "p").iterdir()) == names
    for name in names:
        assert (tmp_path / "whole" / name).read_bytes() == (tmp_path / "p" / name).read_bytes(), name


def test_finished_chunks_are_not_fitted_again(make_study, tmp_path, monkeypatch):
    study, compute = make_study(), Compute(chunk_bytes=4 * 96 * 2)
    with pytest.raises(KeyboardInterrupt):
        fit_into(tmp_path / "p", study, compute=compute, progress=interrupt_after(2))
    widths, original = [], StatisticsSolver.fit

    def count(solver, Y, keep):
        widths.append(Y.shape[1])
        return original(solver, Y, keep)

    monkeypatch.setattr(StatisticsSolver, "fit", count)
    fit_into(tmp_path / "p", study, compute=compute)
    assert widths == [2]


def test_chunks_of_other_settings_are_not_reused(make_study, tmp_path):
    study, compute = make_study(), Compute(chunk_bytes=4 * 96 * 2)
    with pytest.raises(KeyboardInterrupt):
        fit_into(tmp_path / "p", study, seed=1, compute=compute, progress=interrupt_after(1))
    found, expected = (fit_into(tmp_path / name, study, compute=compute) for name in ("p", "fresh"))
    for name, value in everything(expected).items():
        np.testing.assert_array_equal(everything(found)[name], value, err_msg=name)


def test_interrupted_fit_leaves_the_old_result_alone(make_study, tmp_path):
    study = make_study()
    kept = fit_into(tmp_path / "p", study)
    before = stamp(tmp_path / "p")
    with pytest.raises(KeyboardInterrupt):
        fit_into(tmp_path / "p", study, seed=1, progress=interrupt_after(1))
    assert stamp(tmp_path / "p") == before
    assert load(tmp_path / "p").provenance.key == kept.provenance.key


def test_progress_rises_to_one(make_study, tmp_path):
    study = make_study()
    seen = []
    fit_into(tmp_path / "p", study, progress=seen.append, compute=Compute(chunk_bytes=4 * 96 * 4))
    np.testing.assert_allclose(seen, [1 / 2, 1])  # two chunks


# Several models at once, budgets, verification


def test_models_that_share_a_pass_find_what_they_find_alone(make_study, tmp_path):
    study = make_study(widths={"wide": 7, "narrow": 3, "long": 50})
    models = [
        Ridge(("narrow",), alphas=ALPHAS),
        BANDED,
        BandedRidge(("narrow", "wide"), "reversed", alphas=ALPHAS, n_iter=6),
        Ridge(("wide", "narrow"), "joined", alphas=ALPHAS),
        BandedRidge(("long", "narrow"), alphas=ALPHAS, n_iter=6),
        BandedRidge(("wide", "narrow"), "reference", alphas=ALPHAS, n_iter=6, method="himalaya"),
    ]
    folds = folds_of(study)
    folders = [tmp_path / f"together{n}" for n in range(len(models))]
    together = cross_predict_all(models, study.spaces, study.responses, folds, folders)
    assert [found.solver["method"] for found in together] == [*["statistics"] * 4, "kernel", "himalaya"]
    for number, (model, found) in enumerate(zip(models, together, strict=True)):
        alone = fit_into(tmp_path / f"alone{number}", study, model=model)
        assert found.bands == alone.bands
        np.testing.assert_array_equal(found.alphas, alone.alphas)
        np.testing.assert_array_equal(found.gammas, alone.gammas)
        np.testing.assert_allclose(found.values, alone.values, atol=1e-5)
        assert found.provenance.key == alone.provenance.key


@pytest.mark.parametrize("method", ["statistics", "kernel"])
def test_order_of_the_spaces_does_not_matter(make_study, tmp_path, method):
    # The first model puts the spaces side by side in another order than the second names them.
    study = make_study()
    models = [Ridge(("narrow",), alphas=ALPHAS), BandedRidge(("wide", "narrow"), alphas=ALPHAS, method=method)]
    folders = [tmp_path / "0", tmp_path / "1"]
    together = cross_predict_all(models, study.spaces, study.responses, folds_of(study), folders)[1]
    alone = fit_into(tmp_path / "alone", study, model=models[1])
    np.testing.assert_array_equal(together.alphas, alone.alphas)
    np.testing.assert_allclose(together.values, alone.values, atol=1e-6)


def test_responses_are_read_once_for_all_models(make_study, tmp_path, monkeypatch):
    study = make_study()
    looks, original = [], StatisticsSearch.products

    def count(engine, Y):
        looks.append(Y.shape[1])
        return original(engine, Y)

    monkeypatch.setattr(StatisticsSearch, "products", count)
    models = [Ridge(("wide",)), Ridge(("narrow",)), BANDED]
    folders = [tmp_path / model.name for model in models]
    cross_predict_all(models, study.spaces, study.responses, folds_of(study), folders)
    assert looks == [6]


def test_budget_makes_chunks_smaller_and_is_said(make_study, tmp_path, caplog):
    study = make_study(n_targets=2000)
    model = Ridge(("wide",), alphas=ALPHAS)
    caplog.set_level("INFO", logger="encoding.fitting.crossval")
    roomy = fit_into(tmp_path / "roomy", study, model=model)
    assert "2000 targets in chunks of 2000" in caplog.text
    caplog.clear()
    tight = fit_into(tmp_path / "tight", study, model=model, compute=Compute(memory_bytes=55 << 20, threads=1))
    assert re.search(r"2000 targets in chunks of \d{2,3},", caplog.text)
    np.testing.assert_array_equal(tight.alphas, roomy.alphas)
    with pytest.raises(ConfigError, match=r"\[compute\] memory = 0.00 GB, but 0.06 GB are needed for 7 features"):
        fit_into(tmp_path / "p", study, model=model, compute=Compute(memory_bytes=1000, threads=1))


@pytest.mark.parametrize("method", ["statistics", "kernel"])
def test_verification_agrees_with_himalaya(make_study, tmp_path, method):
    study = make_study()
    model = dataclasses.replace(BANDED, method=method)
    found = fit_into(tmp_path / "p", study, model=model, compute=Compute(verify=True))
    assert found.solver["verified_targets"] == 6
    assert 0 < found.solver["verified_difference"] < 1e-5


def test_verification_catches_wrong_scores(make_study, tmp_path, monkeypatch):
    original = StatisticsSearch.run

    def wrong(engine, batches, **settings):
        found = original(engine, batches, **settings)
        return [[dataclasses.replace(part, score=part.score + 0.001) for part in task] for task in found]

    monkeypatch.setattr(StatisticsSearch, "run", wrong)
    with pytest.raises(EncodingError, match=r"differ from himalaya's by up to 1.0e-03 of their variance"):
        fit_into(tmp_path / "p", make_study(), compute=Compute(verify=True))


def test_verification_catches_a_choice_that_is_not_the_best(make_study, tmp_path, monkeypatch):
    # Scores are true, but the worst candidate at the largest penalty was taken.
    original = StatisticsSearch.run

    def wrong(engine, batches, **settings):
        only = dataclasses.replace(engine.tasks[0], alphas=engine.tasks[0].alphas[-1:])
        small = StatisticsSearch(
            engine.X, engine.rows, [only], scale=True, intercept=True, arrays=engine.arrays, memory=engine.memory
        )
        found = original(small, batches, **settings)
        return [[dataclasses.replace(part, alpha=part.alpha + len(ALPHAS) - 1) for part in task] for task in found]

    monkeypatch.setattr(StatisticsSearch, "run", wrong)
    study = make_study(n_targets=40)
    with pytest.raises(EncodingError, match=r"but 0\.0001 was allowed"):
        fit_into(tmp_path / "p", study, compute=Compute(verify=True))


def test_failed_decomposition_falls_back_to_himalaya_and_says_so(make_study, tmp_path, monkeypatch, caplog):
    def fail(engine, batches, **settings):
        raise np.linalg.LinAlgError("Eigenvalues did not converge")

    study = make_study()
    expected = fit_into(tmp_path / "expected", study, model=BY_HIMALAYA)
    monkeypatch.setattr(StatisticsSearch, "run", fail)
    found = fit_into(tmp_path / "p", study)
    assert "A decomposition failed (Eigenvalues did not converge); himalaya fits" in caplog.text
    assert (found.solver["method"], found.solver["fell_back"]) == ("statistics", 1)
    np.testing.assert_array_equal(found.alphas, expected.alphas)
    np.testing.assert_array_equal(found.values, expected.values)


def test_search_tells_how_it_went(make_study, tmp_path):
    study = make_study()
    found = fit_into(tmp_path / "p", study)
    curve = np.asarray(found.solver["curve"])
    assert curve.shape == (8,)
    assert (np.diff(curve) >= 0).all()
    assert curve[-1] > curve[0]
    low, high = (np.mean(found.alphas == alpha) for alpha in (ALPHAS[0], ALPHAS[-1]))
    assert found.solver["at_smallest_alpha"] == pytest.approx(low)
    assert found.solver["at_largest_alpha"] == pytest.approx(high)
    moved = 0.5 * np.abs(found.gammas - found.gammas.mean(0)).sum(1).mean(0)
    assert found.solver["unstable_gammas"] == pytest.approx(np.mean(moved > 0.25))


# Inputs that do not fit together


def test_missing_band_is_named_with_the_nearest(make_study, tmp_path):
    study = make_study()
    with pytest.raises(AlignmentError, match=r"needs feature space 'wied'. Did you mean 'wide'\? Known: wide, narrow"):
        fit_into(tmp_path / "p", study, model=Ridge(("wied",)))


def test_other_samples_raise(make_study, tmp_path):
    study = make_study()
    order = np.arange(96)
    order[[0, 1]] = [1, 0]
    space = study.spaces[0]
    swapped = FeatureSpace("wide", space.values, space.samples[order], space.features)
    with pytest.raises(AlignmentError, match=r"Feature space 'wide' has .* responses of sub-01 have .* Call `align`"):
        fit_into(tmp_path / "p", study, model=Ridge(("wide",)), inputs=([swapped], study.responses))
    assert list(tmp_path.iterdir()) == []


def test_folds_of_other_samples_raise(make_study, make_samples, tmp_path):
    study = make_study()
    other = make_samples((24, 24, 24, 25))
    folds = make_folds(Split(n_outer=3, n_inner=2), other, (np.arange(97), other.stimulus))
    with pytest.raises(
        AlignmentError, match=r"The folds divide Samples\(97 rows.*responses of sub-01 have Samples\(96 rows"
    ):
        fit_into(tmp_path / "p", study, folds=folds)


def test_responses_with_holes_raise(make_study, tmp_path):
    study = make_study()
    values = study.responses.values.copy()
    values[5, 2] = np.nan
    holed = dataclasses.replace(study.responses, values=values)
    with pytest.raises(DataError, match=r"1 targets of sub-01 are finite in some samples only, the first is column 2"):
        fit_into(tmp_path / "p", study, inputs=(study.spaces, holed))


@pytest.mark.gpu
@pytest.mark.parametrize("widths", [None, WIDE], ids=["primal", "kernel"])
def test_cuda_equals_the_cpu(make_study, tmp_path, widths):
    torch = pytest.importorskip("torch")
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    study = make_study(widths=widths)
    on_cpu, on_cuda = (fit_into(tmp_path / device, study, compute=Compute(device=device)) for device in ("cpu", "cuda"))
    np.testing.assert_array_equal(on_cuda.alphas, on_cpu.alphas)
    np.testing.assert_array_equal(on_cuda.gammas, on_cpu.gammas)
    np.testing.assert_allclose(on_cuda.values, on_cpu.values, atol=1e-4)
    for metric in ("r", "r2", "split_r2"):
        np.testing.assert_allclose(evaluate([on_cuda], metric).values, evaluate([on_cpu], metric).values, atol=1e-4)


# Guided search


GUIDED = BandedRidge(("wide", "narrow", "third"), alphas=ALPHAS, n_iter=600, search="guided")


def test_guided_search_reaches_what_many_random_candidates_reach(make_study, tmp_path):
    study = make_study(runs=(40,) * 4, widths={"wide": 7, "narrow": 3, "third": 5}, n_targets=60)
    folds = folds_of(study)
    guided = fit_into(tmp_path / "guided", study, model=GUIDED, folds=folds)
    few, many = (
        fit_into(tmp_path / str(n), study, model=dataclasses.replace(GUIDED, n_iter=n, search="random"), folds=folds)
        for n in (44, 600)
    )
    curve = np.asarray(guided.solver["curve"])
    assert len(curve) == 32 + 3 * 4
    np.testing.assert_allclose(curve[:32], few.solver["curve"][:32], rtol=1e-5)
    reached, of_few, of_many = (found.solver["curve"][-1] for found in (guided, few, many))
    assert of_few < reached <= of_many + 1e-7
    # With 44 candidates tried it closes much of the gap between 44 and 600 random ones.
    assert reached - of_few > 0.4 * (of_many - of_few)


def test_guided_choices_have_their_true_scores(make_study, tmp_path):
    study = make_study(widths={"wide": 7, "narrow": 3, "third": 5})
    found = fit_into(tmp_path / "p", study, model=GUIDED, compute=Compute(verify=True, chunk_bytes=4 * 96 * 4))
    assert found.solver["verified_targets"] == 6


def test_guided_search_in_chunks_finds_the_same(make_study, tmp_path):
    study = make_study(widths={"wide": 7, "narrow": 3, "third": 5})
    whole = fit_into(tmp_path / "whole", study, model=GUIDED)
    parts = fit_into(tmp_path / "parts", study, model=GUIDED, compute=Compute(chunk_bytes=4 * 96 * 2))
    np.testing.assert_array_equal(parts.alphas, whole.alphas)
    np.testing.assert_array_equal(parts.gammas, whole.gammas)


def test_guided_choices_do_not_depend_on_held_out_rows(make_study, tmp_path):
    study = make_study(widths={"wide": 7, "narrow": 3, "third": 5})
    folds = folds_of(study)
    values = study.responses.values.copy()
    values[folds.folds[0].test] = np.random.default_rng(0).standard_normal((len(folds.folds[0].test), 6))
    disturbed = dataclasses.replace(study.responses, values=values)
    one = fit_into(tmp_path / "one", study, model=GUIDED, folds=folds)
    other = fit_into(tmp_path / "other", study, model=GUIDED, folds=folds, inputs=(study.spaces, disturbed))
    np.testing.assert_array_equal(one.alphas[0], other.alphas[0])
    np.testing.assert_allclose(one.gammas[0], other.gammas[0], atol=1e-6)  # weights below that tie
    assert (one.gammas[1:] != other.gammas[1:]).any()

"""Kept weights against held-out predictions, himalaya, scikit-learn and planted weights."""

import dataclasses

import numpy as np
import pytest
from himalaya.kernel_ridge import MultipleKernelRidgeCV
from sklearn import linear_model

from encoding.core import AlignmentError, DataError, EncodingError, FeatureSpace, Samples
from encoding.fitting import (
    BandedRidge,
    Compute,
    Ridge,
    Split,
    cross_predict,
    fit_weights,
    intercept_of,
    make_folds,
    predict_rows,
    predict_stimuli,
    tuning,
)

ALPHAS = (0.1, 1.0, 10.0, 100.0)
JOINT = BandedRidge(("wide", "narrow"), alphas=ALPHAS, n_iter=5)
MANY = {"wide": 90, "narrow": 5}  # more features than training rows
MODELS = {
    "statistics": (JOINT, None, "statistics"),
    "kernel": (JOINT, MANY, "kernel"),
    "wide": (JOINT, MANY, "wide"),
    "himalaya": (JOINT, None, "himalaya"),
    "joined": (Ridge(("wide", "narrow"), alphas=ALPHAS), None, "auto"),
    "shared": (Ridge(("wide",), alphas=ALPHAS, alpha_per_target=False), None, "auto"),
}


def fit(study, model, folder, **settings):
    folds = make_folds(Split(**{"n_outer": 3, "n_inner": 2, **settings}), study.responses.samples, study.shown)
    predictions = cross_predict(model, study.spaces, study.responses, folds, folder / "predictions")
    return folds, predictions


def take(study, rows):
    return [FeatureSpace(space.name, space.values[rows], space.samples[rows], space.features) for space in study.spaces]


@pytest.mark.parametrize("name", MODELS)
def test_weights_of_every_solver_give_the_held_out_predictions(tmp_path, make_study, name):
    model, widths, method = MODELS[name]
    study = make_study(widths=widths)
    model = model if method == "auto" else dataclasses.replace(model, method=method)
    folds, predictions = fit(study, model, tmp_path)
    kept = fit_weights(model, study.spaces, study.responses, folds, predictions, tmp_path / "weights")
    assert kept.values.shape == (3, 6, sum(space.n_features for space in study.spaces if space.name in model.bands))
    for k, fold in enumerate(folds.folds):
        predicted = predict_rows(kept, take(study, fold.test), fold=k)
        stored = np.asarray(predictions.values[:, predictions.fold == k])
        moved = (kept.offset[k] - study_mean(study, model, fold.train)).max()
        assert abs(moved) < 1e-6
        together = predicted.sum(0) if model.joined else predicted
        np.testing.assert_allclose(together, stored[0] if model.joined else stored, atol=1e-5)
        np.testing.assert_allclose(intercept_of(kept, k), study.responses.values[fold.train].mean(0), atol=1e-6)


def study_mean(study, model, rows):
    parts = [space.values[rows].astype(float).mean(0) for space in study.spaces if space.name in model.bands]
    return np.concatenate(parts)


def test_weights_equal_those_of_scikit_learn(tmp_path, make_study):
    study = make_study()
    model = Ridge(("wide",), alphas=(3.0,))
    folds, predictions = fit(study, model, tmp_path)
    kept = fit_weights(model, study.spaces, study.responses, folds, predictions, tmp_path / "weights")
    for k, fold in enumerate(folds.folds):
        X = study.spaces[0].values[fold.train].astype(float)
        scale = X.std(0) * np.sqrt(X.shape[1])
        oracle = linear_model.Ridge(alpha=3.0).fit(X / scale, study.responses.values[fold.train].astype(float))
        np.testing.assert_allclose(kept.values[k], oracle.coef_ / scale, rtol=1e-4, atol=1e-6)


def test_predictions_equal_those_of_himalaya(tmp_path, make_study):
    """Kernels of scaled features with himalaya's own estimator at the same weights and penalties."""
    study = make_study(widths=MANY)
    model = BandedRidge(("wide", "narrow"), alphas=(1.0,), n_iter=3, method="kernel")
    folds, predictions = fit(study, model, tmp_path)
    kept = fit_weights(model, study.spaces, study.responses, folds, predictions, tmp_path / "weights")
    fold, new = folds.folds[0], np.random.default_rng(1).standard_normal((8, 95))
    train, held = [], []
    for space, part in zip(study.spaces, np.split(new, [90], axis=1), strict=True):
        X = space.values[fold.train].astype(float)
        unit = X.std(0) * np.sqrt(X.shape[1])
        train.append((X - X.mean(0)) / unit)
        held.append((part.astype(np.float32) - X.mean(0)) / unit)
    Y = study.responses.values[fold.train].astype(float)
    samples = Samples.of_stimuli([f"new{i}" for i in range(8)])
    spaces = [
        FeatureSpace(space.name, part, samples, space.features)
        for space, part in zip(study.spaces, np.split(new, [90], axis=1), strict=True)
    ]
    ours = predict_rows(kept, spaces, fold=0).sum(0) + intercept_of(kept, 0)
    for target in range(3):
        weight = predictions.gammas[0, :, target].astype(float)
        used = np.flatnonzero(weight)  # himalaya fails at weights of zero
        gamma = weight[used][None]
        oracle = MultipleKernelRidgeCV(
            kernels="precomputed",
            cv=2,
            solver_params={"n_iter": gamma, "alphas": np.ones(1), "progress_bar": False},
        )
        oracle.fit(np.stack([train[b] @ train[b].T for b in used]), (Y - Y.mean(0))[:, [target]])
        theirs = oracle.predict(np.stack([held[b] @ train[b].T for b in used]))
        np.testing.assert_allclose(ours[:, target], theirs[:, 0] + Y.mean(0)[target], atol=1e-5)


def test_the_mean_over_folds_predicts_the_mean(tmp_path, make_study):
    study = make_study()
    folds, predictions = fit(study, JOINT, tmp_path)
    args = (JOINT, study.spaces, study.responses, folds, predictions)
    each = fit_weights(*args, tmp_path / "each", keep="folds")
    mean = fit_weights(*args, tmp_path / "mean", keep="mean")
    assert mean.values.shape[0] == 1
    rows = np.arange(10)
    expected = np.mean(
        [predict_rows(each, take(study, rows), fold=k).sum(0) + intercept_of(each, k) for k in range(3)], axis=0
    )
    for kept in (each, mean):
        np.testing.assert_allclose(
            predict_rows(kept, take(study, rows)).sum(0) + intercept_of(kept), expected, atol=1e-5
        )
        X = {space.name: space.values[rows] for space in study.spaces}
        np.testing.assert_allclose(kept.predict(X), expected, atol=1e-5)
        np.testing.assert_allclose(kept.predict(np.hstack([X["wide"], X["narrow"]])), expected, atol=1e-5)
    with pytest.raises(AlignmentError, match=r"X has shape \(10, 7\), but .* features 7 of wide, 3 of narrow"):
        mean.predict(X["wide"])
    with pytest.raises(AlignmentError, match="needs feature space 'narrow', which X does not have"):
        mean.predict({"wide": X["wide"]})
    with pytest.raises(DataError, match='Set keep_weights = "folds"'):
        predict_rows(mean, take(study, rows), fold=0)


def test_planted_weights_are_found_and_unusable_targets_stay_empty(tmp_path, make_study):
    study = make_study(runs=(60,) * 4)
    values = np.array(study.responses.values)
    values[:, 2] = np.nan
    study = study._replace(responses=dataclasses.replace(study.responses, values=values))
    folds, predictions = fit(study, JOINT, tmp_path)
    kept = fit_weights(JOINT, study.spaces, study.responses, folds, predictions, tmp_path / "weights", keep="mean")
    assert np.isnan(kept.values[0, 2]).all()
    planted = np.concatenate([study.weights["wide"], study.weights["narrow"]])
    scaled = planted * kept.spread[0][:, None]
    for target in (0, 1, 3, 4, 5):
        assert np.corrcoef(kept.values[0, target] * kept.spread[0], scaled[:, target])[0, 1] > 0.85


def test_tuning_averages_delays_and_has_the_length_of_the_explained_variance(tmp_path, make_study):
    study = make_study(clock="tr", widths={"wide": 6, "narrow": 2})
    names = [f"f{k}@{d}" for d in (1, 2, 3) for k in range(2)]
    wide = dataclasses.replace(study.spaces[0], features=tuple(names))
    study = study._replace(spaces=[wide, study.spaces[1]])
    folds, predictions = fit(study, JOINT, tmp_path)
    kept = fit_weights(JOINT, study.spaces, study.responses, folds, predictions, tmp_path / "weights")
    assert kept.names("wide")[0] == ("f0", "f1")
    r2 = np.linspace(-0.1, 0.5, 6)
    both = np.concatenate([tuning(kept, "wide", r2), tuning(kept, "narrow", r2)])
    np.testing.assert_allclose(np.linalg.norm(both, axis=0), np.sqrt(np.maximum(r2, 0)), rtol=1e-5)
    scaled = (kept.values * kept.spread.mean(0)).mean(0)
    by_hand = np.stack([scaled[:, [k, 2 + k, 4 + k]].mean(1) for k in range(2)])
    found = tuning(kept, "wide")
    np.testing.assert_allclose(found[0] * by_hand[1], found[1] * by_hand[0], rtol=1e-4, atol=1e-9)
    # A stimulus of one volume evokes the sum over delays.
    stimuli = Samples.of_stimuli(["x", "y"])
    new = [
        FeatureSpace("wide", np.eye(2), stimuli, ("f1", "f0")),  # found by name
        FeatureSpace("narrow", np.zeros((2, 2)), stimuli, study.spaces[1].features),
    ]
    mean = kept.values.mean(0)
    np.testing.assert_allclose(predict_stimuli(kept, new)[0], mean[:, [1, 3, 5]].sum(1), rtol=1e-5, atol=1e-6)


def test_an_interrupted_fit_goes_on_and_gives_the_same(tmp_path, make_study, monkeypatch):
    study = make_study(n_targets=40)
    folds, predictions = fit(study, JOINT, tmp_path)
    args = (JOINT, study.spaces, study.responses, folds, predictions)
    small = Compute(memory_bytes=4 * 16 * 8 * (3 * 10 + 3 * 96))  # 16 targets at a time
    whole = fit_weights(*args, tmp_path / "whole", keep="mean", compute=small)

    class KilledError(Exception):
        pass

    def kill(share):
        if share >= 0.5:
            raise KilledError

    with pytest.raises(KilledError):
        fit_weights(*args, tmp_path / "cut", keep="mean", compute=small, progress=kill)
    n_fitted = []
    from encoding.fitting import weights as module

    solve = module._Fit.solve
    monkeypatch.setattr(module._Fit, "solve", lambda self, k, *rest: n_fitted.append(k) or solve(self, k, *rest))
    again = fit_weights(*args, tmp_path / "cut", keep="mean", compute=small)
    assert len(n_fitted) == 3  # one chunk of three is left, in three folds
    np.testing.assert_array_equal(again.values, whole.values)
    fit_weights(*args, tmp_path / "cut", keep="mean", compute=small)
    assert len(n_fitted) == 3


def test_other_features_than_those_that_were_fitted_are_refused(tmp_path, make_study):
    study = make_study()
    folds, predictions = fit(study, JOINT, tmp_path)
    wrong = dataclasses.replace(study.spaces[0], values=study.spaces[0].values[::-1].copy())
    with pytest.raises(EncodingError, match="predict held-out rows otherwise"):
        fit_weights(JOINT, [wrong, study.spaces[1]], study.responses, folds, predictions, tmp_path / "weights")
    kept = fit_weights(JOINT, study.spaces, study.responses, folds, predictions, tmp_path / "weights")
    fewer = dataclasses.replace(
        study.spaces[0], values=study.spaces[0].values[:, 1:], features=study.spaces[0].features[1:]
    )
    with pytest.raises(AlignmentError, match=r"1 of the 7 features .* are missing, the first is 'wide0'"):
        predict_rows(kept, [fewer, study.spaces[1]])
    with pytest.raises(AlignmentError, match="needs feature space 'narrow'"):
        predict_rows(kept, study.spaces[:1])

"""Models of principal components: against scikit-learn, without a look at what is held out."""

import dataclasses

import numpy as np
import pytest
from sklearn.decomposition import PCA
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from encoding.comparison import evaluate
from encoding.core import FeatureSpace
from encoding.fitting import BandedRidge, Ridge, Split, cross_predict, cross_predict_all, fit_weights, make_folds
from encoding.fitting.reduction import fit_reduction, reduce_space
from encoding.fitting.weights import predict_rows

ALPHAS = (1.0, 10.0)
JOINT = BandedRidge(("wide", "narrow"), alphas=ALPHAS, n_iter=4, pca=4)


def fit(study, model, folder):
    folds = make_folds(Split(n_outer=3, n_inner=2), study.responses.samples, study.shown)
    return folds, cross_predict(model, study.spaces, study.responses, folds, folder)


@pytest.mark.parametrize("widths", [{"wide": 12}, {"wide": 150}])
def test_components_are_those_of_scikit_learn(make_study, widths):
    space = make_study(widths=widths).spaces[0]
    rows = np.arange(50)
    oracle = make_pipeline(StandardScaler(), PCA(5)).fit(space.values[rows].astype(float))
    reduced, _ = reduce_space(space, rows, n_components=5, share=None)
    theirs = oracle.transform(space.values.astype(float))
    assert reduced.features == tuple(f"component{k}" for k in range(1, 6))
    np.testing.assert_allclose(np.abs(reduced.values), np.abs(theirs), rtol=1e-3, atol=1e-3)
    ratio = PCA().fit(StandardScaler().fit_transform(space.values[rows].astype(float))).explained_variance_ratio_
    for share in (0.3, 0.8, 0.95):
        kept, _ = reduce_space(space, rows, n_components=None, share=share)
        assert kept.n_features == np.searchsorted(np.cumsum(ratio), share) + 1


def test_delays_of_a_feature_share_components(make_study):
    study = make_study(clock="tr", widths={"wide": 12})
    columns = [f"f{k}@{d}" for d in (1, 2, 3) for k in range(4)]
    space = dataclasses.replace(study.spaces[0], features=tuple(columns))
    found = fit_reduction(space, np.arange(60), n_components=2, share=None)
    assert found.names == tuple(f"component{k}@{d}" for d in (1, 2, 3) for k in (1, 2))
    blocks = found.rotate.reshape(3, 4, 3, 2)
    assert all((blocks[a, :, b] == 0).all() for a in range(3) for b in range(3) if a != b)
    sd = space.values[:60].astype(float).std(0).reshape(3, 4)
    unscaled = [blocks[d, :, d] * sd[d][:, None] for d in range(3)]
    np.testing.assert_allclose(unscaled[1], unscaled[0], rtol=1e-6)


def test_what_is_held_out_changes_no_component(tmp_path, make_study):
    """Change features and responses of a held-out fold: what was chosen and fitted without it stays as it is."""
    study = make_study(widths={"wide": 40, "narrow": 3})
    folds, before = fit(study, JOINT, tmp_path / "a")
    kept = fit_weights(JOINT, study.spaces, study.responses, folds, before, tmp_path / "wa")
    test = folds.folds[0].test
    rng = np.random.default_rng(5)
    spaces = []
    for space in study.spaces:
        values = np.array(space.values)
        values[test] = 100 * rng.standard_normal(values[test].shape)
        spaces.append(dataclasses.replace(space, values=values))
    responses = np.array(study.responses.values)
    responses[test] = 100 * rng.standard_normal(responses[test].shape)
    other = study._replace(spaces=spaces, responses=dataclasses.replace(study.responses, values=responses))
    again_folds, after = fit(other, JOINT, tmp_path / "b")
    again = fit_weights(JOINT, other.spaces, other.responses, again_folds, after, tmp_path / "wb")
    np.testing.assert_array_equal(after.alphas[0], before.alphas[0])
    np.testing.assert_array_equal(after.gammas[0], before.gammas[0])
    np.testing.assert_allclose(again.values[0], kept.values[0], rtol=1e-5, atol=1e-7)
    # The change is large enough to be seen where it may be: in folds that train on these rows.
    assert np.abs(again.values[1] - kept.values[1]).max() > 0.1 * np.abs(kept.values[1]).max()


def test_a_model_of_components_is_ridge_on_them(tmp_path, make_study):
    study = make_study(widths={"wide": 40, "narrow": 3})
    model = Ridge(("wide",), alphas=(3.0,), pca=6)
    folds, found = fit(study, model, tmp_path / "m")
    for k, fold in enumerate(folds.folds):
        scaled = make_pipeline(StandardScaler(), PCA(6), StandardScaler()).fit(study.spaces[0].values[fold.train])
        Z, held = (scaled.transform(study.spaces[0].values[rows]) / np.sqrt(6) for rows in (fold.train, fold.test))
        Y = study.responses.values[fold.train].astype(float)
        weights = np.linalg.solve(Z.T @ Z + 3.0 * np.eye(6), Z.T @ (Y - Y.mean(0)))
        np.testing.assert_allclose(found.values[0, found.fold == k], held @ weights, atol=2e-4)
    assert "Components of training rows: wide 6." in found.solver["reason"]
    assert not list(tmp_path.glob("*-fold-*"))


def test_weights_of_components_are_weights_of_features(tmp_path, make_study):
    study = make_study(widths={"wide": 40, "narrow": 3})
    folds, found = fit(study, JOINT, tmp_path / "m")
    kept = fit_weights(JOINT, study.spaces, study.responses, folds, found, tmp_path / "w")
    assert kept.values.shape == (3, 6, 43)
    for k, fold in enumerate(folds.folds):
        spaces = [FeatureSpace(s.name, s.values[fold.test], s.samples[fold.test], s.features) for s in study.spaces]
        np.testing.assert_allclose(predict_rows(kept, spaces, fold=k), found.values[:, found.fold == k], atol=1e-5)


def test_components_beside_whole_spaces_are_resumed_and_scored(tmp_path, make_study):
    study = make_study(widths={"wide": 40, "narrow": 3})
    folds = make_folds(Split(n_outer=3, n_inner=2), study.responses.samples, study.shown)
    whole = dataclasses.replace(JOINT, pca=None, name="whole")
    models = [JOINT, whole, dataclasses.replace(JOINT, pca=None, keep_variance=0.5, name="half")]
    folders = [tmp_path / model.name for model in models]
    found = cross_predict_all(models, study.spaces, study.responses, folds, folders)
    assert evaluate(found, "r").values.shape == (3, 6)
    stamp = (tmp_path / "wide+narrow" / "values.npy").stat().st_mtime_ns
    cross_predict_all(models, study.spaces, study.responses, folds, folders)
    assert (tmp_path / "wide+narrow" / "values.npy").stat().st_mtime_ns == stamp
    enough = dataclasses.replace(JOINT, pca=1000, name="enough")
    same = cross_predict(enough, study.spaces, study.responses, folds, tmp_path / "enough")
    assert same.gammas.shape == found[1].gammas.shape

"""Scores from sums against scipy, himalaya and the formulas of the papers."""

import numpy as np
import pytest
from himalaya.scoring import correlation_score, r2_score, r2_score_split
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from encoding.numerics import metrics

MOMENTS = ("y", "p", "yy", "pp", "yp")


def draw(seed, n_samples=40, n_bands=3, n_targets=5):
    """Make responses and band predictions that share something, both with an offset."""
    rng = np.random.default_rng(seed)
    bands = rng.standard_normal((n_bands, n_samples, n_targets)) + rng.standard_normal((n_bands, 1, n_targets))
    y = 0.5 * bands.sum(0) + rng.standard_normal((n_samples, n_targets)) + 0.3
    return y, bands


def stack(folds):
    """Sum every fold and stack the sums, as `cross_predict` does."""
    sums = [metrics.fold_sums(y, bands) for y, bands in folds]
    stacked = {name: np.stack([part[name] for part in sums]) for name in sums[0]}
    return np.array([len(y) for y, _ in folds]), stacked


def moments(sums):
    return [sums[name] for name in MOMENTS]


def test_correlation_equals_scipy_and_himalaya():
    y, bands = draw(0)
    n, sums = stack([(y, bands)])
    found = metrics.fold_averaged_r(n, *moments(sums))
    by_scipy = [stats.pearsonr(y[:, t], bands.sum(0)[:, t]).statistic for t in range(y.shape[1])]
    np.testing.assert_allclose(found, by_scipy, atol=1e-12)
    np.testing.assert_allclose(found, correlation_score(y, bands.sum(0)), atol=1e-12)


def test_fold_average_is_the_average_of_fishers_z():
    folds = [draw(seed, n_samples) for seed, n_samples in ((1, 20), (2, 35), (3, 50))]
    n, sums = stack(folds)
    by_fold = np.array([[stats.pearsonr(y[:, t], b.sum(0)[:, t]).statistic for t in range(5)] for y, b in folds])
    np.testing.assert_allclose(
        metrics.fold_averaged_r(n, *moments(sums)), np.tanh(np.arctanh(by_fold).mean(0)), atol=1e-12
    )


def test_pooled_r_is_the_correlation_of_all_samples():
    folds = [draw(seed) for seed in range(3)]
    n, sums = stack(folds)
    y, p = np.concatenate([y for y, _ in folds]), np.concatenate([b.sum(0) for _, b in folds])
    expected = [stats.pearsonr(y[:, t], p[:, t]).statistic for t in range(5)]
    np.testing.assert_allclose(metrics.pooled_r(n, *moments(sums)), expected, atol=1e-12)


def test_r2_and_split_r2_equal_himalaya_on_centred_responses():
    y, bands = draw(4)
    y = y - y.mean(0)  # himalaya takes the variance about the test mean
    _, sums = stack([(y, bands)])
    np.testing.assert_allclose(metrics.r2(sums["yy"], sums["pp"], sums["yp"]), r2_score(y, bands.sum(0)), atol=1e-12)
    np.testing.assert_allclose(
        metrics.split_r2(sums["yy"], sums["y_band"], sums["p_band"]), r2_score_split(y, bands), atol=1e-12
    )


def test_r2_is_about_the_training_mean():
    y, bands = draw(5)
    y = y + 2.0  # far from the training mean, which is 0
    _, sums = stack([(y, bands)])
    found = metrics.r2(sums["yy"], sums["pp"], sums["yp"])
    error = ((y - bands.sum(0)) ** 2).sum(0)
    np.testing.assert_allclose(found, 1 - error / (y**2).sum(0), atol=1e-12)
    assert np.all(np.abs(found - r2_score(y, bands.sum(0))) > 0.1)
    # A model that predicts the training mean explains exactly nothing, whatever the test mean is.
    _, nothing = stack([(y, np.zeros_like(bands))])
    np.testing.assert_array_equal(metrics.r2(nothing["yy"], nothing["pp"], nothing["yp"]), 0)


def test_r2_over_folds_divides_sums_not_averages():
    folds = [draw(6, 10), draw(7, 70)]
    _, sums = stack(folds)
    error = sum(((y - b.sum(0)) ** 2).sum(0) for y, b in folds)
    total = sum((y**2).sum(0) for y, _ in folds)
    np.testing.assert_allclose(metrics.r2(sums["yy"], sums["pp"], sums["yp"]), 1 - error / total, atol=1e-12)


def test_perfect_prediction_scores_one():
    y, _ = draw(8)
    n, sums = stack([(y, y[None])])
    np.testing.assert_allclose(metrics.fold_averaged_r(n, *moments(sums)), 1, atol=1e-11)
    np.testing.assert_allclose(metrics.r2(sums["yy"], sums["pp"], sums["yp"]), 1, atol=1e-12)
    n, sums = stack([(y, -y[None])])
    np.testing.assert_allclose(metrics.fold_averaged_r(n, *moments(sums)), -1, atol=1e-11)


@pytest.mark.parametrize("constant", [0.0, 0.1, -1e5, 1e-20])
def test_constant_prediction_has_r_zero(constant):
    y, bands = draw(9)
    n, sums = stack([(y, np.full_like(bands, constant))])
    np.testing.assert_array_equal(metrics.fold_averaged_r(n, *moments(sums)), 0)


@pytest.mark.parametrize("constant", [0.0, 0.1, 1e5])
@pytest.mark.parametrize("flat_prediction", [False, True])
def test_constant_response_has_no_r(constant, flat_prediction):
    y, bands = draw(10)
    bands = bands * (not flat_prediction)
    n, sums = stack([(np.full_like(y, constant), bands)])
    assert np.isnan(metrics.fold_averaged_r(n, *moments(sums))).all()


def test_response_at_the_training_mean_has_no_r2():
    y, bands = draw(11)
    _, sums = stack([(0 * y, bands)])
    assert np.isnan(metrics.r2(sums["yy"], sums["pp"], sums["yp"])).all()
    assert np.isnan(metrics.split_r2(sums["yy"], sums["y_band"], sums["p_band"])).all()


def test_nan_stays_in_its_target():
    y, bands = draw(12)
    y[3, 1] = np.nan
    n, sums = stack([(y, bands), draw(13)])
    others = [0, 2, 3, 4]
    for scores in (metrics.fold_averaged_r(n, *moments(sums)), metrics.r2(sums["yy"], sums["pp"], sums["yp"])):
        assert np.isnan(scores[1])
        assert np.isfinite(scores[others]).all()


def test_fisher_mean_of_perfect_correlations_is_finite():
    found = metrics.fisher_mean(np.array([[1.0, 1.0, -1.0], [1.0, 0.0, 1.0]]))
    assert np.isfinite(found).all()
    np.testing.assert_allclose(found[[0, 2]], [1, 0], atol=1e-9)


def test_small_offsets_do_not_hide_small_variance():
    rng = np.random.default_rng(14)
    p = 1 + 1e-3 * rng.standard_normal((200, 1))
    y = p + 1e-3 * rng.standard_normal((200, 1))
    n, sums = stack([(y, p[None])])
    np.testing.assert_allclose(
        metrics.fold_averaged_r(n, *moments(sums)), stats.pearsonr(y[:, 0], p[:, 0]).statistic, atol=1e-8
    )


def test_pooled_r_of_a_useless_model_is_below_zero_and_the_fold_average_is_not():
    # 4,000 targets of white noise and a ridge on four unrelated features. The mean of 4,000 correlations with a
    # standard deviation of about .23 has a standard error of about .004: zero must lie within 4 of them for the
    # fold average, and more than 6 above the pooled one.
    rng = np.random.default_rng(15)
    n_samples, n_folds, n_targets = 48, 6, 4000
    X, Y = rng.standard_normal((n_samples, 4)), rng.standard_normal((n_samples, n_targets))
    fold = np.arange(n_samples) // (n_samples // n_folds)
    folds = []
    for k in range(n_folds):
        train, test = fold != k, fold == k
        mean_x, mean_y = X[train].mean(0), Y[train].mean(0)
        centred = X[train] - mean_x
        weights = np.linalg.solve(centred.T @ centred + 10 * np.eye(4), centred.T @ (Y[train] - mean_y))
        folds.append((Y[test] - mean_y, ((X[test] - mean_x) @ weights)[None]))
    n, sums = stack(folds)

    def in_standard_errors(r):
        return r.mean() / (r.std() / np.sqrt(n_targets))

    assert abs(in_standard_errors(metrics.fold_averaged_r(n, *moments(sums)))) < 4
    assert in_standard_errors(metrics.pooled_r(n, *moments(sums))) < -6
    # R2 of a useless model is below zero too: it pays for the variance of its predictions.
    assert metrics.r2(sums["yy"], sums["pp"], sums["yp"]).mean() < -0.02


seeds = st.integers(0, 2**32 - 1)
factors = st.floats(1e-3, 1e3)


@settings(max_examples=30, deadline=None)
@given(seed=seeds, scale_y=factors, scale_p=factors, shift_y=st.floats(-10, 10), shift_p=st.floats(-10, 10))
def test_r_ignores_scale_and_shift_of_either(seed, scale_y, scale_p, shift_y, shift_p):
    folds = [draw(seed), draw(seed + 1)]
    moved = [(scale_y * (y + shift_y), scale_p * (b + shift_p)) for y, b in folds]
    (n, sums), (_, others) = stack(folds), stack(moved)
    np.testing.assert_allclose(
        metrics.fold_averaged_r(n, *moments(others)), metrics.fold_averaged_r(n, *moments(sums)), atol=1e-9
    )
    np.testing.assert_allclose(metrics.pooled_r(n, *moments(others)), metrics.pooled_r(n, *moments(sums)), atol=1e-9)


@settings(max_examples=30, deadline=None)
@given(seed=seeds, scale=factors)
def test_r2_ignores_a_scale_of_both(seed, scale):
    y, bands = draw(seed)
    (_, sums), (_, others) = stack([(y, bands)]), stack([(scale * y, scale * bands)])
    for score, names in ((metrics.r2, ("yy", "pp", "yp")), (metrics.split_r2, ("yy", "y_band", "p_band"))):
        np.testing.assert_allclose(
            score(*(others[name] for name in names)), score(*(sums[name] for name in names)), atol=1e-9
        )


@settings(max_examples=30, deadline=None)
@given(seed=seeds, order=st.permutations(range(40)), bands_order=st.permutations(range(3)))
def test_order_of_rows_and_bands_does_not_matter(seed, order, bands_order):
    y, bands = draw(seed)
    n, sums = stack([(y, bands)])
    _, others = stack([(y[order], bands[bands_order][:, order])])
    np.testing.assert_allclose(
        metrics.fold_averaged_r(n, *moments(others)), metrics.fold_averaged_r(n, *moments(sums)), atol=1e-10
    )
    parts, permuted = (metrics.split_r2(s["yy"], s["y_band"], s["p_band"]) for s in (sums, others))
    np.testing.assert_allclose(permuted, parts[bands_order], atol=1e-10)


@settings(max_examples=30, deadline=None)
@given(seed=seeds, n_bands=st.integers(1, 6))
def test_parts_of_r2_sum_to_r2(seed, n_bands):
    _, sums = stack([draw(seed, n_bands=n_bands), draw(seed + 1, n_bands=n_bands)])
    parts = metrics.split_r2(sums["yy"], sums["y_band"], sums["p_band"])
    assert parts.shape == (n_bands, 5)
    np.testing.assert_allclose(parts.sum(0), metrics.r2(sums["yy"], sums["pp"], sums["yp"]), atol=1e-10)

"""Noise has the stated statistics, and the confounds table explains what leaks."""

import numpy as np
import pytest
from nilearn.glm.first_level.design_matrix import create_cosine_drift

from encoding.simulate.noise import (
    ar_noise,
    confounds_table,
    cosines,
    draw_noise,
    draw_noise_model,
    draw_nuisance,
    smoothing_kernel,
)
from encoding.simulate.presets import TR
from encoding.simulate.signal import AR


def test_ar_noise_is_stationary_with_unit_variance():
    noise = ar_noise(4000, 50, np.random.default_rng(0))
    assert noise.dtype == np.float32
    np.testing.assert_allclose(noise.var(axis=0), 1.0, atol=0.12)
    lag = [np.mean(noise[:, t] * noise[:, t + 1]) for t in range(49)]
    assert np.mean(lag) == pytest.approx(AR, abs=0.01)


def test_kernel_keeps_variance_and_leaves_the_medial_wall_empty(surface):
    kernel = smoothing_kernel(surface)
    squares = np.asarray(kernel.power(2).sum(axis=1)).ravel()
    np.testing.assert_allclose(squares[surface.measured], 1.0, rtol=1e-5)
    assert not squares[~surface.measured].any()


@pytest.mark.parametrize("dummies", [0, 1, 3])
def test_cosines_are_those_of_a_128_s_high_pass(dummies):
    made = cosines(240, dummies)
    assert made.shape[1] == np.floor(2 * (240 - dummies) * TR / 128)
    np.testing.assert_allclose(made.T @ made, np.eye(made.shape[1]), atol=1e-12)
    assert not made[:dummies].any()
    oracle = create_cosine_drift(1 / 128, np.arange(240 - dummies) * TR)[:, :-1]
    np.testing.assert_allclose(made[dummies:], oracle, atol=1e-9)


def test_confounds_explain_what_leaks(coarse):
    targets, _ = coarse
    rng = np.random.default_rng(2)
    nuisance = draw_nuisance(240, rng, dummies=0)
    model = draw_noise_model(targets, smoothing_kernel(targets), rng)
    data = draw_noise(model, nuisance, rng)
    table = confounds_table(nuisance, rng)
    data = data - data.mean(axis=1, keepdims=True)

    def left(columns):
        regressors = columns - columns.mean(axis=0)
        fitted = regressors @ np.linalg.lstsq(regressors, data.T, rcond=None)[0]
        return np.var(data.T - fitted) / np.var(data)

    tissue = table[["csf", "white_matter"]].to_numpy()
    random = np.random.default_rng(3).standard_normal(tissue.shape)
    assert left(random) > 0.98
    assert left(tissue) < 0.9
    assert left(nuisance.motion) < 0.9
    assert left(table.filter(like="cosine").to_numpy()) < 0.8


def test_confounds_columns(coarse):
    table = confounds_table(draw_nuisance(80, np.random.default_rng(0), dummies=2), np.random.default_rng(1))
    assert table.filter(regex="^(trans|rot)").shape[1] == 24
    assert table["framewise_displacement"].isna().tolist() == [True, *[False] * 79]
    np.testing.assert_array_equal(table["trans_x_derivative1"][1:], np.diff(table["trans_x"]))
    np.testing.assert_array_equal(table["rot_y_power2"], table["rot_y"] ** 2)
    assert table["non_steady_state_outlier01"].tolist() == [0, 1, *[0] * 78]

"""Cleaning against nilearn, and against algebra."""

import numpy as np
import pytest
from nilearn import signal
from nilearn.glm.first_level.design_matrix import create_cosine_drift

from encoding.numerics.cleaning import clean_series, cosine_drifts, linear_drift, orthonormal, project_out, zscore_rows
from encoding.numerics.intervals import mean_weights, overlaps

RNG = np.random.default_rng(0)


@pytest.mark.parametrize(("n", "t_r", "cutoff"), [(121, 2.5, 0.008), (300, 0.8, 0.01), (40, 2, 0.1), (20, 2, 0.001)])
def test_cosines_are_those_of_nilearn(n, t_r, cutoff):
    theirs = create_cosine_drift(cutoff, np.arange(n) * t_r)[:, :-1]
    np.testing.assert_allclose(cosine_drifts(n, t_r, cutoff), theirs, atol=1e-12)


@pytest.mark.parametrize("kept", [slice(None), np.r_[3:50, 55:121]])
@pytest.mark.parametrize("detrend", [True, False])
def test_cleaning_is_that_of_nilearn(kept, detrend):
    n, t_r = 121, 2.0
    raw = 800 + RNG.standard_normal((n, 50)).cumsum(axis=0) + np.linspace(0, 30, n)[:, None]
    confounds = RNG.standard_normal((n, 6))
    rows = None if isinstance(kept, slice) else kept
    # nilearn's own trend counts kept volumes, ours counts seconds: where volumes are cut out, give it seconds.
    timed = detrend and rows is not None
    theirs_too = np.concatenate([confounds, linear_drift(n)], axis=1) if timed else confounds
    theirs = signal.clean(
        raw, detrend=detrend and not timed, standardize="zscore_sample", confounds=theirs_too,
        standardize_confounds=True, sample_mask=rows, filter="cosine", high_pass=0.008, t_r=t_r,
    )  # fmt: skip
    slow = [np.ones((n, 1)), *([linear_drift(n)] if detrend else []), cosine_drifts(n, t_r, 0.008)]
    drift = orthonormal(np.concatenate(slow, axis=1)[kept])
    ours = raw[kept].astype(np.float32)
    unusable = clean_series(ours, drift, orthonormal(confounds[kept], within=drift))
    assert not unusable.any()
    np.testing.assert_allclose(ours, theirs, atol=1e-4)


def test_drift_is_gone_from_what_is_left():
    drift = orthonormal(np.concatenate([np.ones((60, 1)), linear_drift(60), cosine_drifts(60, 2, 0.02)], axis=1))
    values = (1e4 + RNG.standard_normal((60, 9))).astype(np.float32)
    clean_series(values, drift, np.zeros((60, 0)))
    np.testing.assert_allclose(drift.T @ values, 0, atol=1e-4)
    np.testing.assert_allclose(values.std(axis=0, ddof=1), 1, rtol=1e-5)
    once = project_out(RNG.standard_normal((60, 3)), drift)
    np.testing.assert_allclose(project_out(once, drift), once, atol=1e-12)


def test_columns_that_cannot_be_used_become_nan():
    n = 50
    values = RNG.standard_normal((n, 6)).astype(np.float32)
    values[:, 0] = 7
    values[3, 1] = np.nan
    values[3, 2] = np.inf
    values[:, 3] = np.nan
    values[:, 4] = 500 + np.arange(n)
    drift = orthonormal(np.concatenate([np.ones((n, 1)), linear_drift(n)], axis=1))
    unusable = clean_series(values, drift, np.zeros((n, 0)))
    assert unusable.tolist() == [True] * 5 + [False]
    assert np.isnan(values[:, :5]).all()
    assert np.isfinite(values[:, 5]).all()


def test_large_means_do_not_hide_small_signals():
    values = (1e5 + RNG.standard_normal((50, 4))).astype(np.float32)
    expected = values.astype(np.float64)
    drift = np.full((50, 1), 50**-0.5)
    assert not clean_series(values, drift, np.zeros((50, 0))).any()
    np.testing.assert_allclose(values, (expected - expected.mean(0)) / expected.std(0, ddof=1), atol=1e-3)


def test_spikes_are_cut_and_nothing_else():
    values = RNG.standard_normal((200, 3)).astype(np.float32)
    values[10, 0] = 100
    plain, cut = values.copy(), values.copy()
    drift = np.full((200, 1), 200**-0.5)
    clean_series(plain, drift, np.zeros((200, 0)), standardize=False)
    clean_series(cut, drift, np.zeros((200, 0)), standardize=False, despike=4)
    limit = 4 * plain[:, 0].std(ddof=1)
    assert cut[10, 0] == pytest.approx(limit, rel=0.02)
    np.testing.assert_allclose(cut[:, 1:], plain[:, 1:], atol=1e-6)
    np.testing.assert_allclose(cut.mean(axis=0), 0, atol=1e-5)


def test_results_do_not_depend_on_chunks(monkeypatch):
    values = RNG.standard_normal((30, 17)).astype(np.float32)
    whole, parts = values.copy(), values.copy()
    drift = np.full((30, 1), 30**-0.5)
    clean_series(whole, drift, np.zeros((30, 0)))
    monkeypatch.setattr("encoding.numerics.cleaning.CHUNK_VALUES", 60)
    clean_series(parts, drift, np.zeros((30, 0)))
    np.testing.assert_allclose(parts, whole, atol=1e-7)


def test_rows_are_standardised_with_one_unusable_column():
    values = RNG.standard_normal((10, 3)).astype(np.float32)
    values[:, 1] = 3
    expected = (values - values.mean(0)) / np.where([1, 0, 1], values.std(0, ddof=1), 1)
    assert zscore_rows(values).tolist() == [False, True, False]
    np.testing.assert_allclose(values[:, [0, 2]], expected[:, [0, 2]], atol=1e-6)


def test_bases_survive_dependent_and_empty_columns():
    columns = RNG.standard_normal((20, 3))
    basis = orthonormal(np.concatenate([columns, columns @ RNG.standard_normal((3, 2)), np.zeros((20, 1))], axis=1))
    assert basis.shape == (20, 3)
    np.testing.assert_allclose(basis.T @ basis, np.eye(3), atol=1e-12)
    assert orthonormal(np.zeros((20, 0))).shape == (20, 0)
    assert orthonormal(columns, within=basis).shape == (20, 0)
    rest = orthonormal(RNG.standard_normal((20, 4)), within=basis)
    np.testing.assert_allclose(basis.T @ rest, 0, atol=1e-12)


def test_overlaps_add_up():
    start = np.arange(0, 20, 2.0)
    event, stop = np.array([1.0, 3.0, 7.5, 18.0, -5.0]), np.array([3.0, 3.5, 12.0, 25.0, 1.0])
    shared = overlaps(start, start + 2, event, stop)
    np.testing.assert_allclose(shared.sum(axis=0), [2, 0.5, 4.5, 2, 1])
    np.testing.assert_allclose(shared[:2, 0], [1, 1])
    weights = mean_weights(shared.T)
    np.testing.assert_allclose(weights.sum(axis=1), 1)
    assert mean_weights(np.zeros((1, 3))).tolist() == [[0, 0, 0]]
    # 0.1 * 3 is a little more than 0.3: that is rounding and no overlap.
    assert overlaps(np.array([0.1 * 3]), np.array([1.0]), np.array([0.0]), np.array([0.3])).item() == 0

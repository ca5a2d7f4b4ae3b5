"""Every planted leak is flagged by its control, one at a time, and clean data are not."""

from itertools import pairwise

import numpy as np
import pytest
from scipy.signal import lfilter

from encoding.comparison.controls import (
    _components,
    above_chance,
    autocorrelations,
    fold_control,
    hidden_duplicates,
    run_control,
    same_files,
    shared_control,
)
from encoding.core import FeatureSpace, Samples
from encoding.numerics.autocorrelation import lag_one, variance_inflation
from encoding.numerics.control_features import equal_rows, position_bumps, random_twin, time_waves
from encoding.numerics.shared_variance import blocks_of_runs, centre_runs, estimate, shared_kernel, shared_space

N_RUNS, N_ROWS, N_TARGETS = 6, 36, 60
RUN = np.repeat([f"run-{k}" for k in range(N_RUNS)], N_ROWS)
TIME = np.tile(np.arange(N_ROWS) * 8.0, N_RUNS)
FOLDS = [(np.flatnonzero(name != RUN), np.flatnonzero(name == RUN)) for name in np.unique(RUN)]


def noise(rng, n_rows, n_columns, rho=0.4):
    drawn = rng.standard_normal((n_rows + 30, n_columns))
    return lfilter([np.sqrt(1 - rho**2)], [1, -rho], drawn, axis=0)[30:]


def responses(rng):
    return np.concatenate([noise(rng, N_ROWS, N_TARGETS) for _ in range(N_RUNS)])


def motion(rng):
    return np.concatenate([noise(rng, N_ROWS, 7, 0.8) for _ in range(N_RUNS)])


def controls(rng, Y, moved, stimuli):
    """All controls of the pipeline, on explicit arrays."""
    twin = random_twin(rng.standard_normal((stimuli.max() + 1, 12)), rng)[stimuli]
    found = [
        shared_control("position", "", position_bumps(TIME), Y, RUN, FOLDS),
        run_control("run", "", Y, RUN),
        shared_control("random", "", twin, Y, RUN, FOLDS),
        shared_control("motion", "", moved, Y, RUN, FOLDS),
    ]
    return {control.name for control, flag in zip(found, above_chance(found), strict=True) if flag}


def planted(leak, rng):
    """Responses with one leak, motion, and the stimulus of every row."""
    Y, moved = responses(rng), motion(rng)
    stimuli = np.arange(N_RUNS * N_ROWS)
    if leak == "position":
        Y += 0.5 * np.tile(np.sin(np.arange(N_ROWS) / 5), N_RUNS)[:, None]
    if leak == "run":
        Y += 0.6 * np.repeat(np.arange(N_RUNS), N_ROWS)[:, None] * rng.standard_normal(N_TARGETS)
    if leak == "random":  # the same stimuli in all runs: their identity predicts, whatever the features
        stimuli = np.concatenate([rng.permutation(N_ROWS) for _ in range(N_RUNS)])
        Y += 0.7 * rng.standard_normal((N_ROWS, N_TARGETS))[stimuli]
    if leak == "motion":
        Y += 0.4 * moved[:, :1]
    return Y, moved, stimuli


def test_a_leak_is_flagged_by_its_control_and_seldom_by_another():
    others = []
    for leak in ("position", "run", "random", "motion"):
        for seed in range(3):
            rng = np.random.default_rng(seed)
            flagged = controls(rng, *planted(leak, rng))
            assert leak in flagged
            others += flagged - {leak}
    assert len(others) <= 2  # of 36, at a level of one in eighty


@pytest.mark.parametrize("signs", [False, True])
def test_weak_motion_is_flagged_in_most_studies(signs):
    """Exchanging runs finds what the variance over six runs finds in four of ten, of one sign in all targets or not."""
    found = 0
    for seed in range(12):
        rng = np.random.default_rng([9, seed])
        Y, moved = responses(rng), motion(rng)
        Y += 0.3 * moved[:, :1] * (rng.choice([-1.0, 1.0], N_TARGETS) if signs else 1.0)
        found += shared_control("motion", "", moved, Y, RUN, FOLDS).p <= 0.0125
    assert found >= 8


def test_features_that_are_alike_in_all_runs_are_tested_by_the_variance_over_runs():
    rng = np.random.default_rng(8)
    Y, moved = responses(rng), motion(rng)
    blocks, centred = blocks_of_runs(RUN), centre_runs(Y, RUN)
    space = shared_space(centre_runs(position_bumps(TIME), RUN), blocks)
    p = [estimate(shared_kernel(space, some).mean(0)).p_above() for some in (centred, centred.mean(1, keepdims=True))]
    assert shared_control("position", "", position_bumps(TIME), Y, RUN, FOLDS).p == pytest.approx(min(1, 2 * min(p)))
    exchanged = shared_control("motion", "", moved, Y, RUN, FOLDS).p
    assert (400 * exchanged) == pytest.approx(round(400 * exchanged))  # a count of draws
    few = RUN != "run-5"  # 120 orders of five runs are too few
    five = [(np.flatnonzero(name != RUN[few]), np.flatnonzero(name == RUN[few])) for name in np.unique(RUN[few])]
    few_p = shared_control("motion", "", moved[few], Y[few], RUN[few], five).p
    assert (400 * few_p) != pytest.approx(round(400 * few_p))


def test_clean_data_are_seldom_flagged():
    flagged = [controls(rng, *planted("", rng)) for rng in map(np.random.default_rng, range(100, 140))]
    assert sum(map(bool, flagged)) <= 6  # at most a twentieth is expected


def test_centred_responses_have_no_run_means_to_test():
    rng = np.random.default_rng(0)
    Y = responses(rng).reshape(N_RUNS, N_ROWS, -1)
    found = run_control("run", "", (Y - Y.mean(1, keepdims=True)).reshape(N_RUNS * N_ROWS, -1), RUN)
    assert found.why_not == "responses are centred within runs"
    assert above_chance([found]) == [False]


def test_few_runs_are_not_tested():
    rows = RUN < "run-3"
    folds = [(train[train < rows.sum()], test) for train, test in FOLDS[:3]]
    Y = responses(np.random.default_rng(0))[rows]
    found = shared_control("position", "", position_bumps(TIME[rows]), Y, RUN[rows], folds)
    assert found.why_not == "3 runs; 4 are needed"
    assert np.isfinite(found.r)


def blocks_of(n, n_folds=6, gap=3):
    edges = np.linspace(0, n, n_folds + 1).astype(int)
    rows = np.arange(n)
    return [(rows[(rows < a - gap) | (rows >= b + gap)], rows[a:b]) for a, b in pairwise(edges)]


def test_time_predicts_blocks_after_a_filter_over_the_whole_run_and_not_without():
    n, flagged, plain = 400, [], []
    basis = np.linalg.qr(np.cos(np.pi * (np.arange(n)[:, None] + 0.5) / n * np.arange(13)))[0]
    for seed in range(12):
        Y = noise(np.random.default_rng(seed), n, 100, 0.6)
        filtered = Y - basis @ (basis.T @ Y)
        waves = time_waves(np.arange(n) * 2.0, 24)
        flagged.append(fold_control("time", "", waves - basis @ (basis.T @ waves), filtered, blocks_of(n)).r)
        plain.append(fold_control("time", "", waves, Y, blocks_of(n)).r)
    assert abs(np.mean(plain)) < 0.03
    assert np.mean(np.abs(flagged)) > np.mean(np.abs(plain))


def space_of(name, values):
    names = [f"clip{k}" for k in range(len(values))]
    return FeatureSpace(name, values, Samples.of_stimuli(names), tuple(f"f{k}" for k in range(values.shape[1])))


def test_a_clip_under_two_names_is_found_where_it_is_on_both_sides_of_a_fold():
    rng = np.random.default_rng(0)
    one, two = rng.standard_normal((12, 5)), rng.standard_normal((12, 3))
    one[7], two[7] = one[2], two[2]
    one[9] = one[4]  # equal in one space only
    samples = Samples(np.array([f"clip{k}" for k in range(12)]), np.arange(12.0), np.ones(12), RUN[:12], "stimulus")
    apart = [(np.arange(6), np.arange(6, 12))]
    together = [(np.array([0, 1, 3]), np.array([2, 7]))]
    spaces = [space_of("one", one), space_of("two", two)]
    assert hidden_duplicates(spaces, samples, apart) == (("clip2", "clip7"),)
    assert hidden_duplicates(spaces, samples, together) == ()
    assert hidden_duplicates([spaces[1], space_of("free", rng.standard_normal((12, 2)))], samples, apart) == ()


def test_files_of_equal_content_are_found_whatever_their_features():
    samples = Samples(np.array([f"clip{k}" for k in range(12)]), np.arange(12.0), np.ones(12), RUN[:12], "stimulus")
    contents = {f"clip{k}": str(k % 9) for k in range(12)}  # 0 and 9, 1 and 10, 2 and 11
    apart = [(np.arange(6), np.arange(6, 12))]
    assert same_files(contents, samples, apart) == (("clip0", "clip9"), ("clip1", "clip10"), ("clip11", "clip2"))
    assert same_files(contents, samples, [(np.array([0, 9]), np.array([3]))]) == ()


def test_nearly_equal_rows_count_and_others_do_not():
    values = np.random.default_rng(0).standard_normal((700, 6))
    values[650] = values[3] + 1e-6
    assert [group.tolist() for group in equal_rows(values)] == [[3, 650]]


def test_random_features_have_the_spectrum_and_keep_equal_rows_equal():
    rng = np.random.default_rng(0)
    values = rng.standard_normal((3000, 4)) @ np.diag([3.0, 1.0, 0.5, 0.1])
    values[5] = values[17]
    twin = random_twin(values, rng)
    np.testing.assert_array_equal(twin[5], twin[17])
    expected = np.linalg.eigvalsh(np.cov(values.T))
    np.testing.assert_allclose(np.linalg.eigvalsh(np.cov(twin.T)), expected, rtol=0.15)
    assert abs(np.corrcoef(values[:, 0], twin[:, 0])[0, 1]) < 0.06


def test_autocorrelation_has_little_bias_in_short_runs():
    rng = np.random.default_rng(0)
    run = np.repeat(np.arange(8).astype(str), 30)
    for rho in (0.0, 0.5):
        values = np.concatenate([noise(rng, 30, 400, rho) for _ in range(8)])
        assert np.mean(lag_one(values, run)) == pytest.approx(rho, abs=0.025)
    assert np.isnan(lag_one(np.zeros((240, 1)), run)).all()
    assert autocorrelations(values, [], run)["responses"] == pytest.approx(0.5, abs=0.035)


def test_inflation_is_that_of_simulated_correlations():
    rng = np.random.default_rng(0)
    a, b = noise(rng, 200, 3000, 0.5), noise(rng, 200, 3000, 0.8)
    r = [np.corrcoef(x, y)[0, 1] for x, y in zip(a.T, b.T, strict=True)]
    assert np.var(r) * 199 == pytest.approx(float(variance_inflation(0.5, 0.8)), rel=0.1)


def test_components_of_many_features_are_those_of_the_smaller_decomposition():
    X = np.random.default_rng(5).standard_normal((12, 40))
    X -= X.mean(0)
    left, singular, _ = np.linalg.svd(X, full_matrices=False)
    for most in (3, 11):
        found = _components(X, most)
        np.testing.assert_allclose(np.abs(found.T @ left[:, :most]), np.diag(singular[:most]), atol=1e-10)

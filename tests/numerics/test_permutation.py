"""Exchanged runs give nominal rates where runs are all that is independent, and the same draws correct the maximum."""

import itertools
import math

import numpy as np
import pytest

from encoding.numerics import permutation
from encoding.numerics.permutation import (
    BandDraws,
    StimulusDraws,
    UnitDraws,
    exchange_stimuli,
    exchange_units,
    family_wise,
    penalised,
    prepare_rows,
    summarise,
    tail_probability,
    unit_squares,
)


def units(*lengths):
    ends = np.cumsum(lengths)
    return [[np.arange(end - length, end)] for end, length in zip(ends, lengths, strict=True)]


def walk(rng, lengths, n, ar):
    parts = []
    for length in lengths:
        values = rng.standard_normal((length, n))
        for t in range(1, length):
            values[t] = ar * values[t - 1] + np.sqrt(1 - ar**2) * values[t]
        parts.append(values)
    return np.concatenate(parts)


def test_statistics_are_those_of_a_loop():
    rng = np.random.default_rng(0)
    scheme = exchange_units(units(*[7] * 6), seed=3)
    spaces = [prepare_rows(rng.standard_normal((42, p)), scheme) for p in (3, 4)]
    Y = prepare_rows(rng.standard_normal((42, 5)), scheme)
    found = UnitDraws(spaces, scheme, 4).statistics(Y)
    y = unit_squares(Y)
    for draw, (k, X) in itertools.product(range(5), enumerate(spaces)):
        S = X.T @ X
        N = np.linalg.inv(S + np.trace(S) / len(S) * np.eye(len(S)))
        order = scheme.order(draw)
        C = [X[7 * a : 7 * a + 7].T @ y[7 * b : 7 * b + 7] for b, a in enumerate(order)]
        expected = [sum(C[r][:, t] @ N @ C[s][:, t] for r, s in itertools.permutations(range(6), 2)) for t in range(5)]
        assert found[draw, k] == pytest.approx(np.array(expected), abs=1e-5)


@pytest.mark.parametrize("kind", ["runs", "runs and shifts", "stimuli"])
def test_nominal_rates_under_the_null(kind):
    p, maxima, found = [], [], []
    for seed in range(60):
        rng = np.random.default_rng([11, seed])
        if kind == "stimuli":
            order = np.concatenate([rng.permutation(30) for _ in range(3)])
            scheme = exchange_stimuli(30, seed)
            layout = (order[:, None] == np.arange(30)).astype(float)[None]
            Y = rng.standard_normal((30, 40))[order] + rng.standard_normal((90, 40))
            draws = StimulusDraws([rng.standard_normal((30, 6))], layout, scheme, 99)
        else:
            lengths = [24] * 8 if kind == "runs" else [48] * 4
            scheme = exchange_units(units(*lengths), seed)
            X = prepare_rows(walk(rng, lengths, 12, 0.8), scheme)
            Y = prepare_rows(walk(rng, lengths, 40, 0.5), scheme)
            draws = UnitDraws([X], scheme, 99)
        assert scheme.kind == kind
        null = summarise(draws.statistics(Y))
        p.append((null.p <= 0.05).mean())
        maxima.append((family_wise(null.z, null.largest) <= 0.05).any())
        found.append(tail_probability(null.z, null.skewness).min())
    assert np.mean(p) == pytest.approx(0.05, abs=4 * np.std(p) / np.sqrt(60) + 0.005)
    assert sum(maxima) <= 9  # binomial(60, .05) exceeds this in one of 1,000 cases
    assert np.min(found) > 1e-7


def test_a_signal_is_found():
    rng = np.random.default_rng(1)
    scheme = exchange_units(units(*[30] * 8), seed=0)
    X, Y = rng.standard_normal((240, 10)), rng.standard_normal((240, 20))
    Y[:, :5] += X @ rng.standard_normal((10, 5))
    null = summarise(UnitDraws([prepare_rows(X, scheme)], scheme, 199).statistics(prepare_rows(Y, scheme)))
    assert (family_wise(null.z, null.largest)[0, :5] == 1 / 200).all()
    assert (tail_probability(null.z, null.skewness)[0, :5] < 1e-3).all()


def test_a_time_course_common_to_runs_is_no_signal():
    rates = []
    for seed in range(40):
        rng = np.random.default_rng([12, seed])
        course = walk(rng, [40], 20, 0.95)
        scheme = exchange_units(units(*[40] * 6), seed)
        X = np.tile(course[:, :8], (6, 1)) + rng.standard_normal((240, 8))
        Y = np.tile(course[:, 8:], (6, 1)) + rng.standard_normal((240, 12))
        null = summarise(UnitDraws([prepare_rows(X, scheme)], scheme, 99).statistics(prepare_rows(Y, scheme)))
        rates.append((null.p <= 0.05).mean())
    assert np.mean(rates) < 0.08


def test_what_a_band_adds_is_tested_by_its_residual():
    rates, power = [], []
    for seed in range(30):
        rng = np.random.default_rng([13, seed])
        lengths = [20] * 8
        scheme = exchange_units(units(*lengths), seed)
        B, E = rng.standard_normal((160, 6)), rng.standard_normal((160, 6))
        A = 0.9 * B + np.sqrt(1 - 0.81) * E
        Y = B @ rng.standard_normal((6, 20)) + 2 * rng.standard_normal((160, 20))
        Y[:, 15:] += 2 * E @ rng.standard_normal((6, 5))
        draws = BandDraws(prepare_rows(A, scheme), prepare_rows(B, scheme), scheme, 99)
        null = summarise(draws.statistics(prepare_rows(Y, scheme)))
        rates.append((null.p[0, :15] <= 0.05).mean())
        power.append((null.p[0, 15:] <= 0.05).mean())
    assert np.mean(rates) < 0.09
    assert np.mean(power) > 0.9


def test_whitened_rows_of_many_features_have_the_same_products():
    X = np.random.default_rng(17).standard_normal((15, 40)) * np.geomspace(0.1, 3, 40)
    gram = X.T @ X
    expected = X @ np.linalg.solve(gram + np.eye(40) * np.trace(gram) / 40, X.T)
    found = penalised(X)
    assert found.shape[1] == 15
    np.testing.assert_allclose(found @ found.T, expected, atol=1e-10)
    assert not penalised(np.zeros((3, 9))).any()


def test_runs_of_one_length_are_exchanged_with_each_other_only():
    scheme = exchange_units(units(*[20, 12] * 6), seed=0)
    assert scheme.kind == "runs"
    assert scheme.n_orders == pytest.approx(math.factorial(6) ** 2)
    for draw in range(1, 20):
        order = scheme.order(draw)
        assert sorted(order) == list(range(12))
        assert np.array_equal(order % 2, np.arange(12) % 2)
    assert np.array_equal(scheme.order(0), np.arange(12))


def test_runs_of_almost_one_length_are_cut():
    scheme = exchange_units(units(36, 35, 34, 36, 35, 34, 36), seed=0)
    assert {len(unit) for unit in scheme.units} == {34}
    assert scheme.n_dropped == 8


def test_units_of_several_runs_keep_together():
    rows = np.arange(80).reshape(8, 10)
    scheme = exchange_units([[rows[0], rows[1]], *[[row] for row in rows[2:]]], seed=0)
    assert scheme.kind == "runs"
    assert all(scheme.order(draw)[0] == 0 for draw in range(30))


@pytest.mark.parametrize(("n", "kind"), [(3, "runs and shifts"), (5, "runs and shifts"), (6, "runs")])
def test_few_runs_are_shifted_as_well(n, kind):
    assert exchange_units(units(*[20] * n), seed=0).kind == kind


def test_too_few_runs_are_refused():
    with pytest.raises(ValueError, match="2 runs, but at least 3"):
        exchange_units(units(20, 20), seed=0)
    with pytest.raises(ValueError, match="5 different stimuli, but at least 6"):
        exchange_stimuli(5, seed=0)


def test_draws_depend_on_the_seed_only():
    first, again, other = (exchange_units(units(*[20] * 9), seed=seed) for seed in (1, 1, 2))
    assert [first.order(k).tolist() for k in range(9)] == [again.order(k).tolist() for k in range(9)]
    assert [first.order(k).tolist() for k in range(9)] != [other.order(k).tolist() for k in range(9)]


def test_the_penalty_is_the_mean_eigenvalue():
    X = np.random.default_rng(2).standard_normal((50, 4))
    S = X.T @ X
    expected = X @ np.linalg.inv(S + np.trace(S) / 4 * np.eye(4)) @ X.T
    assert np.allclose(penalised(X) @ penalised(X).T, expected)


def test_pearson_tails_agree_with_many_draws():
    rng = np.random.default_rng(3)
    draws = rng.gamma(4.0, size=(20001, 1, 50))
    null = summarise(draws[:201])
    exact = (draws[1:, 0] >= draws[0, 0]).mean(0)
    tail = tail_probability(null.z, null.skewness)[0]
    known = exact > 1e-3
    assert np.abs(np.log10(tail[known] / exact[known])).max() < 0.35


def test_targets_without_variance_have_no_p():
    statistics = np.random.default_rng(4).standard_normal((20, 1, 3))
    statistics[:, :, 1] = 0.0
    null = summarise(statistics)
    assert np.isnan(null.p[0, 1])
    assert np.isnan(family_wise(null.z, null.largest)[0, 1])
    assert np.isfinite(null.p[0, [0, 2]]).all()


@pytest.mark.parametrize("n_runs", [4, 6])
def test_features_that_vary_between_runs_only_have_no_test(n_runs):
    rng = np.random.default_rng(5)
    scheme = exchange_units(units(*[20] * n_runs), seed=0)
    spaces = [np.repeat(np.arange(n_runs), 20)[:, None].astype(float), rng.standard_normal((20 * n_runs, 3))]
    prepared = [prepare_rows(X, scheme) for X in spaces]
    Y = prepare_rows(rng.standard_normal((20 * n_runs, 4)), scheme)
    null = summarise(UnitDraws(prepared, scheme, 20).statistics(Y))
    alone = summarise(UnitDraws(prepared[1:], scheme, 20).statistics(Y))
    assert np.isnan(null.p[0]).all()
    assert np.array_equal(null.p[1], alone.p[0])
    assert np.array_equal(family_wise(null.z, null.largest)[1], family_wise(alone.z, alone.largest)[0])


def test_memory_bounds_the_targets_at_once():
    scheme = exchange_units(units(*[36] * 61), seed=0)
    few, many = (permutation.targets_at_once(scheme, 4, 1000, size) for size in (1 << 24, 1 << 30))
    assert few < many <= 2048

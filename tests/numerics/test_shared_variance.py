"""U finds planted shares of variance whatever the number of features, with an honest variance."""

import itertools

import numpy as np
import pytest
from scipy import stats

from encoding.numerics.shared_variance import (
    blocks_of_runs,
    centre_runs,
    estimate,
    over_participants,
    reliability,
    shared_kernel,
    shared_space,
)


def runs_of(n_runs, length):
    return np.repeat(np.arange(n_runs), length)


def planted(rng, run, dims, shares, n_targets, ar=0.5):
    """Features and responses; each space brings its share of the variance, noise is autocorrelated within runs."""
    spaces = [rng.standard_normal((len(run), p)) for p in dims]
    Y = rng.standard_normal((len(run), n_targets))
    for t in range(1, len(run)):
        if run[t] == run[t - 1]:
            Y[t] = ar * Y[t - 1] + np.sqrt(1 - ar**2) * Y[t]
    Y *= np.sqrt(1 - sum(shares))
    for X, share in zip(spaces, shares, strict=True):
        weights = rng.standard_normal((X.shape[1], n_targets))
        Y += np.sqrt(share) * X @ (weights / np.linalg.norm(weights, axis=0))
    return spaces, Y


def kernel_of(X, Y, run):
    return shared_kernel(shared_space(centre_runs(X, run), blocks_of_runs(run)), centre_runs(Y, run))


def test_the_kernel_is_that_of_the_formula():
    rng = np.random.default_rng(0)
    run = runs_of(5, 14)
    X, Y = centre_runs(rng.standard_normal((70, 6)), run), centre_runs(rng.standard_normal((70, 3)), run)
    S = [X[run == r].T @ X[run == r] for r in range(5)]
    C = [X[run == r].T @ Y[run == r] for r in range(5)]
    N = np.linalg.inv(sum(S))
    crossed = sum(np.trace(S[r] @ N @ S[s]) for r, s in itertools.permutations(range(5), 2))
    found = shared_kernel(shared_space(X, blocks_of_runs(run)), Y)
    for t, (r, s) in itertools.product(range(3), itertools.permutations(range(5), 2)):
        expected = C[r][:, t] @ N @ C[s][:, t] * 20 * np.trace(sum(S)) / (crossed * (Y[:, t] @ Y[:, t]))
        assert found[t, r, s] == pytest.approx(expected, rel=1e-9)
    assert not found[:, np.arange(5), np.arange(5)].any()


def test_the_variance_is_that_of_sums_over_different_runs():
    rng = np.random.default_rng(1)
    k = rng.standard_normal((6, 6))
    k = np.triu(k, 1) + np.triu(k, 1).T
    quads = [k[a, b] * k[c, d] for a, b, c, d in itertools.permutations(range(6), 4)]
    trips = [k[a, b] * k[a, c] for a, b, c in itertools.permutations(range(6), 3)]
    pairs = [k[a, b] ** 2 for a, b in itertools.permutations(range(6), 2)]
    one, two = max(0, np.mean(trips) - np.mean(quads)), max(0, np.mean(pairs) - np.mean(quads))
    found = estimate(k)
    assert found.variance == pytest.approx((4 * 4 * one + 2 * two) / 30)
    assert found.value == pytest.approx(k.sum() / 30)


@pytest.mark.parametrize(("n_runs", "length", "share"), [(6, 36, 0.1), (30, 36, 0.02)])
def test_the_number_of_features_does_not_bias(n_runs, length, share):
    run = runs_of(n_runs, length)
    values, ahead, covered = [], [], []
    for seed in range(30):
        rng = np.random.default_rng([5, seed])
        spaces, Y = planted(rng, run, (14, 34), (share, share), 60)
        kernels = [kernel_of(X, Y, run) for X in spaces]
        each = [estimate(kernel) for kernel in kernels]
        values.append([one.value.mean() for one in each])
        ahead.append((each[0].value > each[1].value).mean())
        low, high = each[1].interval()
        covered.append(((low <= share) & (high >= share)).mean())
    error = np.std(values, axis=0, ddof=1) / np.sqrt(30)
    assert np.all(np.abs(np.mean(values, axis=0) - share) < 4 * error + 0.02 * share)
    assert np.mean(ahead) == pytest.approx(0.5, abs=4 * np.std(ahead) / np.sqrt(30) + 0.01)
    assert np.mean(covered) > 0.92


def test_equal_spaces_differ_as_often_as_the_level_says():
    run = runs_of(12, 18)
    rejected = []
    for seed in range(60):
        spaces, Y = planted(np.random.default_rng([6, seed]), run, (30, 20), (0.1, 0.1), 50)
        difference = estimate(kernel_of(spaces[0], Y, run) - kernel_of(spaces[1], Y, run))
        rejected.append((difference.p_differs() <= 0.05).mean())
    assert 0.01 < np.mean(rejected) < 0.08


def test_what_a_space_adds_to_a_correlated_one():
    run = runs_of(12, 18)
    values = []
    for seed in range(40):
        rng = np.random.default_rng([7, seed])
        (E, B), Y = planted(rng, run, (10, 10), (0.05, 0.1), 40, ar=0.0)
        A = 0.9 * B + np.sqrt(1 - 0.81) * E
        both, alone = kernel_of(np.hstack([A, B]), Y, run), kernel_of(B, Y, run)
        values.append(estimate(both - alone).value.mean())
    assert np.mean(values) == pytest.approx(0.05, abs=4 * np.std(values) / np.sqrt(40))


def test_two_versions_of_unreliable_features_undo_the_loss():
    run = runs_of(20, 54)
    plain, instruments = [], []
    for seed in range(25):
        rng = np.random.default_rng([8, seed])
        (F,), Y = planted(rng, run, (10,), (0.2,), 40, ar=0.0)
        versions = [F + rng.standard_normal(F.shape) for _ in range(2)]
        first, second = (centre_runs(X, run) for X in versions)
        assert reliability(first, second) == pytest.approx(0.5, abs=0.05)
        plain.append(estimate(kernel_of(versions[0], Y, run)).value.mean())
        space = shared_space(first, blocks_of_runs(run), second)
        instruments.append(estimate(shared_kernel(space, centre_runs(Y, run))).value.mean())
    assert np.mean(instruments) == pytest.approx(0.2, abs=4 * np.std(instruments) / 5 + 0.004)
    assert np.mean(plain) == pytest.approx(0.1, abs=0.01)


def test_stimuli_that_recur_are_the_units():
    """Responses differ between stimuli, features are random: products of the same stimulus would find a signal."""
    rejected, naive = [], []
    for seed in range(40):
        rng = np.random.default_rng([9, seed])
        order = np.concatenate([rng.permutation(40) for _ in range(5)])
        run = runs_of(5, 40)
        Y = centre_runs((rng.standard_normal((40, 30)))[order] + rng.standard_normal((200, 30)), run)
        X = centre_runs(rng.standard_normal((40, 8))[order], run)
        blocks = [np.flatnonzero(order % 10 == k) for k in range(10)]
        found = estimate(shared_kernel(shared_space(X, blocks, run=run), Y))
        rejected.append((found.p_above() <= 0.05).mean())
        naive.append((estimate(kernel_of(X, Y, run)).p_above() <= 0.05).mean())
    assert np.mean(rejected) < 0.07
    assert np.mean(naive) > 0.5


def test_what_stimuli_contribute_does_not_average_out_over_participants():
    """Kernels of participants who share all of their deviation by run: the mean is no surer than one of them."""
    rng = np.random.default_rng(2)
    deviation = rng.standard_normal((8, 8))
    kernel = deviation + deviation.T
    kernel[np.arange(8), np.arange(8)] = 0
    alike = np.stack([kernel] * 5)
    assert over_participants(alike, shared=True).variance == pytest.approx(estimate(kernel).variance)
    apart = over_participants(
        rng.standard_normal() + np.zeros((5, 8, 8)) + rng.standard_normal((5, 1, 1)), shared=False
    )
    assert apart.df == 4


def test_more_runs_than_twenty_are_joined_in_order():
    blocks = blocks_of_runs(runs_of(61, 3))
    assert len(blocks) == 20
    assert np.array_equal(np.concatenate(blocks), np.arange(183))


def test_p_and_interval_agree():
    kernel = np.abs(np.random.default_rng(3).standard_normal((40, 6, 6)))
    kernel = (kernel + kernel.transpose(0, 2, 1)) - 1.2
    kernel[:, np.arange(6), np.arange(6)] = 0
    found = estimate(kernel)
    low, high = found.interval()
    assert np.array_equal(found.p_differs() <= 0.05, (low >= 0) | (high <= 0))
    assert np.allclose(found.p_above(), stats.t.sf(found.value / found.se, 5))


@pytest.mark.parametrize(
    ("X", "n_runs", "message"),
    [
        (np.ones((12, 2)), 3, "3 blocks of runs, but at least 4"),
        (np.zeros((12, 2)), 4, "do not vary within runs"),
        (np.zeros((12, 0)), 4, "do not vary"),
    ],
)
def test_what_cannot_be_estimated_is_refused(X, n_runs, message):
    with pytest.raises(ValueError, match=message):
        shared_space(X, blocks_of_runs(runs_of(n_runs, 12 // n_runs)))


def test_versions_with_nothing_in_common_are_refused():
    rng = np.random.default_rng(4)
    with pytest.raises(ValueError, match="share too little"):
        shared_space(rng.standard_normal((80, 5)), blocks_of_runs(runs_of(8, 10)), rng.standard_normal((80, 5)))

"""Estimators against himalaya, against textbook ridge in float64, and against what scikit-learn asks of them."""

from unittest.mock import Mock

import numpy as np
import pytest
from himalaya.kernel_ridge import MultipleKernelRidgeCV
from himalaya.ridge import GroupRidgeCV
from himalaya.ridge import RidgeCV as HimalayaRidgeCV
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.base import clone
from sklearn.model_selection import KFold, ShuffleSplit
from sklearn.utils.estimator_checks import parametrize_with_checks

from encoding.core import AlignmentError, ConfigError, EncodingError
from encoding.fitting import BandedRidgeCV, Fold, RidgeCV
from encoding.fitting.arrays import Arrays
from encoding.fitting.design import DesignMatrix
from encoding.fitting.rows import lay_out
from encoding.fitting.solvers import kernel
from encoding.fitting.solvers.base import Problem, Task
from encoding.fitting.solvers.search_statistics import StatisticsSearch

ALPHAS = np.logspace(-2, 3, 8)
GAMMAS = np.vstack([np.eye(3), np.random.default_rng(0).dirichlet(np.ones(3), 7)])
METHODS = ("statistics", "kernel")


def problem(widths=(6, 9, 3), n=90, n_targets=40, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n, sum(widths))) * rng.uniform(0.3, 3, sum(widths)) + rng.uniform(-1, 1, sum(widths))
    W = rng.standard_normal((sum(widths), n_targets)) * np.repeat(rng.random((len(widths), n_targets)) < 0.5, widths, 0)
    Y = X @ W + 3 * rng.standard_normal((n, n_targets)) + 1
    return X, Y, np.repeat(np.arange(len(widths)), widths)


def textbook_scores(X, Y, groups, gammas, alphas, splits, *, intercept):
    """Negative mean squared error, shape (n_candidates, n_alphas, n_targets), from the normal equations."""
    found = np.zeros((len(gammas), len(alphas), Y.shape[1]))
    for c, gamma in enumerate(gammas):
        Z = X * np.sqrt(gamma)[groups]
        for train, held in splits:
            mean_x, mean_y = (part[train].mean(0) if intercept else 0.0 for part in (Z, Y))
            A, y = Z[train] - mean_x, Y[train] - mean_y
            for a, alpha in enumerate(alphas):
                weights = np.linalg.solve(A.T @ A + alpha * np.eye(Z.shape[1]), A.T @ y)
                error = Y[held] - mean_y - (Z[held] - mean_x) @ weights
                found[c, a] -= (error**2).mean(0) / len(splits)
    return found


# Known truth


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    n=st.integers(8, 60),
    widths=st.lists(st.integers(1, 15), min_size=1, max_size=4),
    n_splits=st.integers(2, 5),
    decades=st.floats(0, 2),
    intercept=st.booleans(),
    method=st.sampled_from(METHODS),
)
def test_scores_choices_and_weights_equal_the_textbook(*, seed, n, widths, n_splits, decades, intercept, method):
    rng = np.random.default_rng(seed)
    X, Y, groups = problem(tuple(widths), n, 5, seed)
    X = X * 10 ** rng.uniform(-decades, decades, X.shape[1])
    gammas = np.vstack([np.eye(len(widths)), rng.dirichlet(np.ones(len(widths)), 3)])
    splits = list(KFold(n_splits).split(X))
    model = BandedRidgeCV(
        groups, alphas=ALPHAS, n_iter=gammas, cv=splits, fit_intercept=intercept, method=method, dtype="float64"
    ).fit(X, Y)
    expected = textbook_scores(X, Y, groups, gammas, ALPHAS, splits, intercept=intercept)
    size = np.abs(expected).max()
    np.testing.assert_allclose(model.cv_scores_, expected.max(1), atol=1e-9 * size)
    best = expected.max((0, 1))
    chosen = expected[
        np.abs(np.exp(model.deltas_) * model.best_alphas_ - gammas[:, :, None]).max(1).argmin(0),
        np.searchsorted(ALPHAS, model.best_alphas_ * 0.999),
        np.arange(5),
    ]
    np.testing.assert_allclose(chosen, best, atol=1e-9 * size)
    for t in range(5):
        Z = X * np.sqrt(np.exp(model.deltas_[:, t]) * model.best_alphas_[t])[groups]
        A, y = (part - (part.mean(0) if intercept else 0) for part in (Z, Y[:, t]))
        weights = np.linalg.solve(A.T @ A + model.best_alphas_[t] * np.eye(Z.shape[1]), A.T @ y)
        fitted = A @ weights + (Y[:, t].mean() if intercept else 0)
        np.testing.assert_allclose(model.predict(X)[:, t], fitted, atol=1e-7 * np.abs(Y).max())


@pytest.mark.parametrize("scale", [1e-30, 1e-6, 1.0, 1e6, 1e18])
@pytest.mark.parametrize("method", METHODS)
def test_choices_do_not_depend_on_the_size_of_responses(method, scale):
    X, Y, groups = problem()
    settings = {"alphas": ALPHAS, "n_iter": GAMMAS, "fit_intercept": True, "method": method}
    expected = BandedRidgeCV(groups, **settings).fit(X, Y)
    found = BandedRidgeCV(groups, **settings).fit(X, Y * scale)
    np.testing.assert_array_equal(found.best_alphas_, expected.best_alphas_)
    np.testing.assert_allclose(found.deltas_, expected.deltas_)
    np.testing.assert_allclose(found.coef_ / scale, expected.coef_, rtol=1e-6, atol=1e-12)
    np.testing.assert_allclose(found.cv_scores_ / scale**2, expected.cv_scores_, rtol=1e-5)


@pytest.mark.parametrize("method", METHODS)
def test_responses_that_do_not_vary(method):
    X, Y, groups = problem(n_targets=3)
    Y[:, 0], Y[:, 1] = 0.0, 1e4
    model = BandedRidgeCV(groups, alphas=ALPHAS, n_iter=GAMMAS, fit_intercept=True, method=method).fit(X, Y)
    np.testing.assert_allclose(model.coef_[:, :2], 0)
    np.testing.assert_allclose(model.predict(X)[:, :2], [[0.0, 1e4]] * len(X))
    assert np.isfinite(model.cv_scores_).all()


@pytest.mark.parametrize("method", METHODS)
def test_float32_agrees_with_float64(method):
    X, Y, groups = problem(n_targets=300)
    one, other = (
        BandedRidgeCV(groups, alphas=ALPHAS, n_iter=GAMMAS, fit_intercept=True, method=method, dtype=dtype).fit(X, Y)
        for dtype in ("float32", "float64")
    )
    np.testing.assert_allclose(one.cv_scores_ / Y.var(0), other.cv_scores_ / Y.var(0), atol=2e-6)
    same = (one.best_alphas_ == other.best_alphas_) & (np.abs(one.coef_ - other.coef_).max(0) < 1e-9)
    assert same.mean() > 0.99


# himalaya


@pytest.mark.parametrize("method", ["statistics", "kernel", "himalaya"])
@pytest.mark.parametrize("intercept", [True, False])
def test_banded_ridge_equals_group_ridge_of_himalaya(method, intercept):
    X, Y, groups = problem()
    gammas = np.random.default_rng(1).dirichlet(np.ones(3), 10)  # himalaya's solver fails for exact zeros
    splits = list(KFold(4).split(X))
    reference = GroupRidgeCV(
        groups=groups,
        solver_params={"n_iter": gammas, "alphas": ALPHAS, "progress_bar": False, "warn": False},
        fit_intercept=intercept,
        cv=splits,
    ).fit(X, Y)
    found = BandedRidgeCV(groups, alphas=ALPHAS, n_iter=gammas, cv=splits, fit_intercept=intercept, method=method).fit(
        X, Y
    )
    np.testing.assert_allclose(found.cv_scores_, reference.cv_scores_, rtol=1e-5)
    np.testing.assert_allclose(found.deltas_, reference.deltas_, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(found.best_alphas_, reference.best_alphas_, rtol=1e-6)
    np.testing.assert_allclose(found.coef_, reference.coef_, atol=1e-5)
    np.testing.assert_allclose(found.predict(X), reference.predict(X), atol=1e-4)
    np.testing.assert_allclose(found.score(X, Y), reference.score(X, Y), atol=1e-6)
    if intercept:
        np.testing.assert_allclose(found.intercept_, reference.intercept_, atol=1e-5)
    else:
        assert not hasattr(found, "intercept_")
        np.testing.assert_allclose(found.predict(X, split=True), reference.predict(X, split=True), atol=1e-4)
        np.testing.assert_allclose(found.predict(X, split=True).sum(0), found.predict(X), atol=1e-9)


def test_wide_bands_equal_multiple_kernels_of_himalaya():
    X, Y, groups = problem((40, 50, 5))
    kernels = np.stack([X[:, groups == g] @ X[:, groups == g].T for g in range(3)])
    reference = MultipleKernelRidgeCV(
        kernels="precomputed",
        solver_params={"n_iter": GAMMAS, "alphas": ALPHAS, "progress_bar": False},
        fit_intercept=True,
        cv=3,
    )
    with np.errstate(divide="ignore"):  # the logarithm of a weight of zero
        reference.fit(kernels, Y)
    found = BandedRidgeCV(groups, alphas=ALPHAS, n_iter=GAMMAS, cv=3, fit_intercept=True).fit(X, Y)
    assert found.solver_["method"] == "kernel"
    np.testing.assert_allclose(found.cv_scores_ / Y.var(0), reference.cv_scores_ / Y.var(0), atol=1e-5)
    np.testing.assert_allclose(found.deltas_, reference.deltas_, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(found.predict(X), reference.predict(kernels), atol=1e-3)


@pytest.mark.parametrize("method", ["statistics", "kernel", "himalaya"])
def test_ridge_equals_himalaya(method):
    X, Y, _ = problem()
    reference = HimalayaRidgeCV(alphas=ALPHAS, fit_intercept=True, cv=4, solver_params={"warn": False}).fit(X, Y)
    found = RidgeCV(ALPHAS, fit_intercept=True, cv=4, method=method).fit(X, Y)
    np.testing.assert_allclose(found.best_alphas_, reference.best_alphas_)
    np.testing.assert_allclose(found.coef_, reference.coef_, atol=1e-6)
    np.testing.assert_allclose(found.cv_scores_, reference.cv_scores_, rtol=1e-5)
    assert found.cv_scores_.shape == (40,)


@pytest.mark.parametrize("intercept", [True, False])
def test_both_ways_of_kernels_find_the_same(monkeypatch, intercept):
    X, Y, groups = problem((40, 50, 5))
    settings = {"alphas": ALPHAS, "n_iter": GAMMAS, "fit_intercept": intercept, "method": "kernel", "dtype": "float64"}
    found = []
    for cheaper in (True, False):
        monkeypatch.setattr(kernel, "one_decomposition_is_cheaper", Mock(return_value=cheaper))
        found.append(BandedRidgeCV(groups, **settings).fit(X, Y))
    np.testing.assert_allclose(found[0].cv_scores_, found[1].cv_scores_, rtol=1e-9)
    np.testing.assert_array_equal(found[0].best_alphas_, found[1].best_alphas_)
    np.testing.assert_allclose(found[0].coef_, found[1].coef_, atol=1e-9)


def test_one_decomposition_serves_few_targets_and_whole_folds_only():
    X, _, _ = problem((400, 50, 5), n=200)
    rows = np.arange(200)
    task = Task(np.arange(455), [slice(0, 400), slice(400, 450), slice(450, 455)], GAMMAS, ALPHAS)
    whole = [(np.setdiff1d(rows, held), held) for held in np.array_split(rows, 5)]
    gap = [(train[5:], held) for train, held in whole]
    answers = []
    for splits, n in ((whole, 10), (whole, 10**6), (gap, 10)):
        fold = Fold(rows, rows[:0], tuple(splits), rows[:0])
        design = DesignMatrix(X, {}, lay_out(X, [(rows, splits)]), (fold,), scale=False)
        answers.append(kernel.one_decomposition_is_cheaper(Problem(design, (task,), Arrays()), n))
    assert answers == [True, False, False]


def test_verification():
    X, Y, groups = problem()
    model = BandedRidgeCV(groups, alphas=ALPHAS, n_iter=20, fit_intercept=True, random_state=0, verify=True)
    assert model.fit(X, Y).solver_["verified_targets"] == 8
    assert 0 < model.solver_["verified_difference"] < 1e-5


def test_verification_catches_wrong_scores(monkeypatch):
    original = StatisticsSearch.run

    def wrong(engine, batches, **settings):
        found = original(engine, batches, **settings)
        for part in found[0]:
            part.each[3] += 0.01
        return found

    monkeypatch.setattr(StatisticsSearch, "run", wrong)
    X, Y, groups = problem()
    model = BandedRidgeCV(groups, alphas=ALPHAS, n_iter=20, method="statistics", verify=True, fit_intercept=True)
    with pytest.raises(EncodingError, match=r"scores of 8 targets differ from himalaya's by up to 1.0e-02"):
        model.fit(X, Y)


# What an estimator does


@pytest.mark.parametrize("estimator", [BandedRidgeCV([0, 1, 1], alphas=(1.0, 2.0), n_iter=7), RidgeCV((1.0, 3.0))])
def test_parameters_survive_cloning(estimator):
    assert clone(estimator).get_params() == estimator.get_params()
    assert clone(estimator).set_params(method="kernel").method == "kernel"


def test_one_response_has_flat_results():
    X, Y, groups = problem()
    flat = BandedRidgeCV(groups, n_iter=5, fit_intercept=True, random_state=0).fit(X, Y[:, 0])
    deep = BandedRidgeCV(groups, n_iter=5, fit_intercept=True, random_state=0).fit(X, Y[:, :1])
    assert flat.coef_.shape == (18,)
    assert flat.predict(X).shape == (90,)
    assert flat.predict(X, split=True).shape == (3, 90)
    np.testing.assert_allclose(flat.predict(X), deep.predict(X)[:, 0])
    assert isinstance(flat.score(X, Y[:, 0]), float)


def test_groups_may_be_mixed_left_out_or_given_as_a_list():
    X, Y, groups = problem()
    settings = {"n_iter": GAMMAS, "alphas": ALPHAS, "fit_intercept": True}
    expected = BandedRidgeCV(groups, **settings).fit(X, Y)
    order = np.random.default_rng(0).permutation(len(groups))
    mixed = BandedRidgeCV(groups[order], **settings).fit(X[:, order], Y)
    np.testing.assert_allclose(mixed.coef_, expected.coef_[order], atol=1e-9)
    parts = [X[:, groups == g] for g in range(3)]
    listed = BandedRidgeCV("input", **settings).fit(parts, Y)
    np.testing.assert_allclose(listed.predict(parts), expected.predict(X), atol=1e-9)
    more = BandedRidgeCV(np.append(groups, -1), **settings).fit(np.column_stack([X, Y[:, 0]]), Y)
    np.testing.assert_array_equal(more.coef_[-1], 0)
    np.testing.assert_allclose(more.coef_[:-1], expected.coef_, atol=1e-9)


def test_splitters_are_drawn_once_and_candidates_follow_the_seed():
    X, Y, groups = problem()
    cv = ShuffleSplit(3, random_state=None)
    model = BandedRidgeCV(groups, n_iter=np.repeat(GAMMAS[:1], 5, axis=0), cv=cv).fit(X, Y)
    np.testing.assert_array_equal(model.cv_scores_, np.repeat(model.cv_scores_[:1], 5, axis=0))
    one, same, other = (BandedRidgeCV(groups, n_iter=12, random_state=seed).fit(X, Y).cv_scores_ for seed in (0, 0, 1))
    np.testing.assert_array_equal(one, same)
    assert (one[4:] != other[4:]).any()


def test_many_targets_go_in_batches():
    X, Y, groups = problem(n_targets=5000)
    settings = {"n_iter": GAMMAS[:4], "alphas": ALPHAS, "fit_intercept": True, "method": "statistics"}
    whole = BandedRidgeCV(groups, **settings).fit(X, Y)
    part = BandedRidgeCV(groups, **settings).fit(X, Y[:, 2040:2060])
    np.testing.assert_array_equal(whole.best_alphas_[2040:2060], part.best_alphas_)
    np.testing.assert_allclose(whole.coef_[:, 2040:2060], part.coef_, atol=1e-9)


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"method": "statistic"}, ConfigError, r"method = 'statistic'. Did you mean 'statistics'"),
        ({"alphas": (1.0, 0.0)}, ConfigError, r"alphas = \[1.0, 0.0\]; positive finite"),
        ({"n_iter": 0}, ConfigError, r"n_iter = 0, but at least one"),
        ({"n_iter": np.ones((4, 2))}, ConfigError, r"n_iter has shape \(4, 2\), but \(n_candidates, 3\)"),
        ({"n_iter": -np.ones((4, 3))}, ConfigError, "must be finite and not negative"),
        ({"groups": [0, 1]}, AlignmentError, r"groups has shape \(2,\), but X has 18 features"),
        ({"groups": "given"}, ConfigError, r"groups = 'given', but an array"),
    ],
)
def test_parameters_that_cannot_be_meant(settings, error, message):
    X, Y, groups = problem(n_targets=2)
    with pytest.raises(error, match=message):
        BandedRidgeCV(**{"groups": groups, **settings}).fit(X, Y)


def test_data_that_do_not_fit_together():
    X, Y, groups = problem(n_targets=2)
    with pytest.raises(AlignmentError, match="X has 90 samples and y has 80"):
        BandedRidgeCV(groups).fit(X, Y[:80])
    with pytest.raises(ValueError, match="contains NaN"):
        BandedRidgeCV(groups).fit(X, np.where(Y > 0, Y, np.nan))
    model = RidgeCV().fit(X, Y)
    with pytest.raises(
        AlignmentError,
        match="X has 17 features, but RidgeCV is expecting 18 features as input: those that were fitted",
    ):
        model.predict(X[:, 1:])


@pytest.mark.gpu
@pytest.mark.parametrize("method", METHODS)
def test_cuda_equals_the_cpu(method):
    torch = pytest.importorskip("torch")
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    X, Y, groups = problem(n_targets=500)
    settings = {"n_iter": GAMMAS, "alphas": ALPHAS, "fit_intercept": True, "method": method}
    on_cpu, on_cuda = (BandedRidgeCV(groups, device=device, **settings).fit(X, Y) for device in ("cpu", "cuda"))
    np.testing.assert_allclose(on_cuda.cv_scores_ / Y.var(0), on_cpu.cv_scores_ / Y.var(0), atol=2e-6)
    assert (on_cuda.best_alphas_ == on_cpu.best_alphas_).mean() > 0.99


@parametrize_with_checks([RidgeCV(), BandedRidgeCV(random_state=0, n_iter=3)])
def test_scikit_learn_is_content(estimator, check):
    check(estimator)

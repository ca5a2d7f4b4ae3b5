"""Wide bands beside narrow ones: against textbook ridge, against himalaya, and against themselves."""

import dataclasses
from itertools import pairwise

import numpy as np
import pytest
from himalaya.kernel_ridge import MultipleKernelRidgeCV
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.model_selection import KFold

from encoding.comparison import evaluate
from encoding.core import ConfigError
from encoding.fitting import (
    BandedRidge,
    BandedRidgeCV,
    Compute,
    Fold,
    Split,
    cross_predict,
    cross_predict_all,
    make_folds,
    models_of_subsets,
)
from encoding.fitting.arrays import Arrays
from encoding.fitting.design import DesignMatrix
from encoding.fitting.plan import choose_method, plan_memory
from encoding.fitting.rows import lay_out
from encoding.fitting.solvers.base import Problem, Size, Task, reduction_operations
from encoding.fitting.solvers.wide import WideSolver
from encoding.fitting.solvers.wide_grid import NONE, SHARES, count_grid_operations, make_grid
from encoding.numerics import wide_band
from encoding.numerics.ridge import scale_band

ALPHAS = np.logspace(-1, 3, 5)
MODEL = BandedRidge(("wide", "narrow", "third"), alphas=tuple(ALPHAS), n_iter=9, method="wide")
WIDTHS = {"wide": 140, "narrow": 5, "third": 3}


def problem(widths, n=48, n_targets=6, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n, sum(widths))) * rng.uniform(0.3, 3, sum(widths)) + 0.3
    Y = X @ rng.standard_normal((sum(widths), n_targets)) * 0.2 + rng.standard_normal((n, n_targets)) + 1
    return X, Y, np.repeat(np.arange(len(widths)), widths)


def solver_of(X, Y, groups, splits, *, intercept=True, dtype="float64", library="numpy", scale=False, n_iter=9):
    """The solver of an estimator, whose grid a test wants to see."""
    edges = np.searchsorted(groups, np.arange(groups.max() + 2)).tolist()
    bands = [slice(a, b) for a, b in pairwise(edges)]
    rng = np.random.default_rng(0)
    gammas = np.vstack(
        [np.full(len(bands), 1 / len(bands)), np.eye(len(bands)), rng.dirichlet([1] * len(bands), n_iter)]
    )
    rows, none = np.arange(len(X)), np.arange(0)
    fold = Fold(rows, none, tuple(splits), none)
    design = DesignMatrix(X, {}, lay_out(X, [(rows, splits)], [none]), (fold,), scale=scale, intercept=intercept)
    arrays = Arrays("cpu", dtype, library=library)
    return WideSolver(Problem(design, (Task(np.arange(X.shape[1]), bands, gammas, ALPHAS),), arrays, details=True))


def solve(Z, y, alpha):
    """Textbook ridge, in the smaller of both forms."""
    if len(Z) < Z.shape[1]:
        return Z.T @ np.linalg.solve(Z @ Z.T + alpha * np.eye(len(Z)), y)
    return np.linalg.solve(Z.T @ Z + alpha * np.eye(Z.shape[1]), Z.T @ y)


def textbook_score(X, Y, groups, gamma, alpha, splits, *, intercept, scale=False):
    """Negative mean squared error of one candidate, averaged over inner folds scaled on their training rows."""
    found = np.zeros(Y.shape[1])
    for train, held in splits:
        if scale:
            parts = [scale_band(X[train][:, groups == g], X[held][:, groups == g]) for g in range(len(gamma))]
            A, B = (np.concatenate([part[side] for part in parts], axis=1) for side in (0, 1))
        else:
            mean = X[train].mean(0) if intercept else 0.0
            A, B = X[train] - mean, X[held] - mean
        mean = Y[train].mean(0) if intercept else 0.0
        root = np.sqrt(gamma)[groups]
        weights = solve(A * root, Y[train] - mean, alpha)
        found -= ((Y[held] - mean - (B * root) @ weights) ** 2).mean(0) / len(splits)
    return found


# Known truth


@settings(max_examples=12, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    widths=st.sampled_from([(60, 5, 4), (5, 80, 3), (70, 6), (60, 50, 4), (50, 70), (30, 2, 2, 2)]),
    n_splits=st.integers(2, 4),
    intercept=st.booleans(),
    scale=st.booleans(),
)
def test_every_candidate_scores_as_textbook_ridge_does(*, seed, widths, n_splits, intercept, scale):
    X, Y, groups = problem(widths, 40, 4, seed)
    splits = list(KFold(n_splits).split(X))
    intercept = intercept or scale
    solver = solver_of(X, Y, groups, splits, intercept=intercept, scale=scale)
    fit = solver.fit(Y, [None])[0]
    n = len(solver.grid.candidates)
    expected = np.full((n, 4), -np.inf)
    for number in range(n):
        alone = solver.grid.candidates[number, 2] == NONE
        for alpha in range(1 if alone else len(ALPHAS)):
            gammas, alphas = solver.grid.choices(np.array([number]), np.array([alpha]))
            score = textbook_score(X, Y, groups, gammas[0], alphas[0], splits, intercept=intercept, scale=scale)
            expected[number] = np.maximum(expected[number], score)
    np.testing.assert_allclose(fit.each * fit.unit**2, expected, atol=1e-9 * np.abs(expected).max())
    for t in range(4):
        chosen = textbook_score(
            X, Y[:, t : t + 1], groups, fit.gammas[0][:, t], fit.alphas[0, t], splits, intercept=intercept, scale=scale
        )
        assert chosen[0] == pytest.approx(expected[:, t].max(), rel=1e-9)


@pytest.mark.parametrize("widths", [(60, 5, 4), (60, 50, 4), (50, 70)])
@pytest.mark.parametrize("intercept", [True, False])
def test_weights_are_those_of_ridge_at_the_chosen_penalties(widths, intercept):
    X, Y, groups = problem(widths)
    model = BandedRidgeCV(
        groups, alphas=ALPHAS, n_iter=9, cv=4, fit_intercept=intercept, method="wide", dtype="float64", random_state=0
    ).fit(X, Y)
    assert model.solver_["method"] == "wide"
    gammas = np.exp(model.deltas_) * model.best_alphas_
    np.testing.assert_allclose(gammas.sum(0), 1)
    for t in range(Y.shape[1]):
        Z = X * np.sqrt(gammas[:, t])[groups]
        A, y = (part - (part.mean(0) if intercept else 0) for part in (Z, Y[:, t]))
        expected = A @ solve(A, y, model.best_alphas_[t]) + (Y[:, t].mean() if intercept else 0)
        np.testing.assert_allclose(model.predict(X)[:, t], expected, atol=1e-9)
    parts = model.predict(X, split=True).sum(0) + (model.intercept_ if intercept else 0.0)
    np.testing.assert_allclose(parts, model.predict(X), atol=1e-9)


def test_choices_are_inverse_penalties():
    X, Y, groups = problem((60, 50, 4, 3))
    grid = solver_of(X, Y, groups, list(KFold(3).split(X))).grid
    assert grid.wide == (0, 1)
    assert len(grid.mixtures) == len(SHARES)
    rng = np.random.default_rng(0)
    candidate, alpha = rng.integers(len(grid.candidates), size=50), rng.integers(len(ALPHAS), size=50)
    gammas, alphas = grid.choices(candidate, alpha)
    np.testing.assert_allclose(gammas.sum(1), 1)
    for gamma, a, (mixture, penalty, weighting), number in zip(
        gammas, alphas, grid.candidates[candidate], alpha, strict=True
    ):
        strength = gamma / a
        wide = np.zeros(2) if penalty == NONE else grid.mixtures[mixture] / grid.penalties[penalty]
        narrow = np.zeros(2) if weighting == NONE else grid.weightings[weighting] / ALPHAS[number]
        np.testing.assert_allclose(strength, [*wide, *narrow], atol=1e-12)


def test_planted_bands_are_told_apart(make_study, tmp_path):
    study = make_study(runs=(60,) * 4, widths=WIDTHS, n_targets=30, seed=1)
    folds = make_folds(Split(n_outer=4, n_inner=3), study.responses.samples, study.shown)
    found = cross_predict(
        dataclasses.replace(MODEL, method="auto", n_iter=30), study.spaces, study.responses, folds, tmp_path / "p"
    )
    assert found.solver["method"] == "wide"
    planted = np.arange(30) % 3  # each target follows one band most
    shares = evaluate([found], "split_r2").values
    np.testing.assert_array_equal(shares[1:].argmax(0)[planted > 0], planted[planted > 0] - 1)


# The pipeline


def by_textbook(study, folds, found):
    """Predictions of every band at the choices that were found, from rows scaled on the training rows."""
    values = []
    Y = study.responses.values.astype(np.float64)
    for k, fold in enumerate(folds.folds):
        parts = [scale_band(space.values[fold.train], space.values[fold.test]) for space in study.spaces]
        y = Y[fold.train] - Y[fold.train].mean(0)
        held = np.zeros((len(parts), len(fold.test), Y.shape[1]))
        for t in range(Y.shape[1]):
            gamma = np.sqrt(found.gammas[k, :, t].astype(np.float64))
            A = np.concatenate([root * train for root, (train, _) in zip(gamma, parts, strict=True)], axis=1)
            weights = np.split(solve(A, y[:, t], found.alphas[k, t]), np.cumsum([p[0].shape[1] for p in parts])[:-1])
            for band, (root, (_, test), w) in enumerate(zip(gamma, parts, weights, strict=True)):
                held[band, :, t] = root * test @ w
        values.append(held)
    return np.concatenate(values, axis=1)


def folds_of(study, **settings):
    return make_folds(Split(**{"n_outer": 3, "n_inner": 2, **settings}), study.responses.samples, study.shown)


@pytest.mark.parametrize("widths", [WIDTHS, {"narrow": 4, "wide": 90, "third": 80}], ids=["one wide", "two wide"])
def test_predictions_of_bands_are_those_of_textbook_ridge(make_study, tmp_path, widths):
    study = make_study(widths=widths)
    folds = folds_of(study)
    model = dataclasses.replace(MODEL, bands=tuple(widths), name="joint")
    found = cross_predict(model, study.spaces, study.responses, folds, tmp_path / "p", compute=Compute(verify=True))
    assert found.solver["method"] == "wide"
    # himalaya agrees on the inner scores, and finds nothing better among the candidates.
    assert found.solver["verified_targets"] == 6
    assert 0 < found.solver["verified_difference"] < 1e-5
    np.testing.assert_allclose(found.values, by_textbook(study, folds, found), atol=2e-5)
    np.testing.assert_allclose(found.gammas.sum(1), 1, atol=1e-6)
    curve = np.asarray(found.solver["curve"])
    assert (np.diff(curve) >= -1e-9).all()


def test_repeats_of_a_test_stimulus_are_averaged(make_study, tmp_path):
    names = np.array([f"clip{n:03d}" for n in range(72)] + [f"test{n:03d}" for n in range(12)] * 2)
    study = make_study(widths=WIDTHS, stimuli=names)
    folds = folds_of(study, kind="fixed", n_outer="leave_one_out", test_runs=("run-04",), n_inner=3)
    found = cross_predict(MODEL, study.spaces, study.responses, folds, tmp_path / "p")
    fold = folds.folds[0]
    assert found.values.shape[1] == 12 < len(fold.test)
    every = by_textbook(study, folds, found)
    expected = np.stack([every[:, fold.average == row].mean(1) for row in range(12)], axis=1)
    np.testing.assert_allclose(found.values, expected, atol=2e-5)


@pytest.mark.parametrize("memory", [8 << 30, 250 << 20])
def test_chunks_and_memory_change_nothing(make_study, tmp_path, memory):
    study = make_study(widths={"wide": 140, "other": 150, "narrow": 5}, n_targets=150)
    model = dataclasses.replace(MODEL, bands=("wide", "other", "narrow"), name="joint")
    folds = folds_of(study)
    whole = cross_predict(model, study.spaces, study.responses, folds, tmp_path / "whole")
    compute = Compute(chunk_bytes=4 * 96 * 64, memory_bytes=memory, threads=2)
    parts = cross_predict(model, study.spaces, study.responses, folds, tmp_path / "parts", compute=compute)
    np.testing.assert_array_equal(parts.alphas, whole.alphas)
    np.testing.assert_array_equal(parts.gammas, whole.gammas)
    np.testing.assert_allclose(parts.values, whole.values, atol=1e-6)


def test_interrupted_fit_goes_on_and_ends_with_the_same_bytes(make_study, tmp_path, monkeypatch):
    study = make_study(widths=WIDTHS, n_targets=150)
    folds, compute = folds_of(study), Compute(chunk_bytes=4 * 96 * 64, threads=1)
    whole = cross_predict(MODEL, study.spaces, study.responses, folds, tmp_path / "whole", compute=compute)
    original, calls = WideSolver.fit, []

    def stop(solver, Y, keep):
        calls.append(Y.shape[1])
        if len(calls) == 2:
            raise KeyboardInterrupt
        return original(solver, Y, keep)

    monkeypatch.setattr(WideSolver, "fit", stop)
    with pytest.raises(KeyboardInterrupt):
        cross_predict(MODEL, study.spaces, study.responses, folds, tmp_path / "p", compute=compute)
    found = cross_predict(MODEL, study.spaces, study.responses, folds, tmp_path / "p", compute=compute)
    assert calls == [64, 64, 64, 22]
    for name in ("alphas", "gammas", "values"):
        np.testing.assert_array_equal(getattr(found, name), getattr(whole, name))


def test_subsets_of_bands_partition_the_variance(make_study, tmp_path):
    study = make_study(runs=(40,) * 4, widths=WIDTHS, n_targets=12)
    joint = dataclasses.replace(MODEL, method="auto", subsets=True)
    models = [joint, *models_of_subsets(joint)]
    folders = [tmp_path / str(number) for number in range(len(models))]
    found = cross_predict_all(models, study.spaces, study.responses, folds_of(study), folders)
    by_name = {one.model: one.solver["method"] for one in found}
    assert by_name["wide+narrow+third"] == by_name["wide+narrow"] == by_name["wide+third"] == "wide"
    assert by_name["narrow+third"] == "statistics"
    assert np.isfinite(evaluate(found, "partition_r2").values).all()
    r2 = evaluate(found, "r2").values.mean(1)
    assert r2[0] > r2[1:].max()  # every band carries something that is planted


def test_key_of_a_result_names_a_solver_with_candidates_of_its_own(make_study, tmp_path):
    study = make_study(widths={**WIDTHS, "small": 4})
    models = [
        dataclasses.replace(MODEL, method="auto"),
        dataclasses.replace(MODEL, bands=("small", "narrow"), name="narrow", method="auto"),
    ]
    found = cross_predict_all(models, study.spaces, study.responses, folds_of(study), [tmp_path / "0", tmp_path / "1"])
    assert [one.provenance.config.get("solver") for one in found] == ["wide", None]


# Choices of the planner


def test_planner_takes_it_for_wide_bands_among_drawn_candidates_only():
    X = np.zeros((600, 0))
    block, rows = np.repeat(np.arange(4), 150), np.arange(600)
    layout = lay_out(X, [(rows, [(rows[block != k], rows[block == k]) for k in range(4)])])
    choices = {
        (widths, free): choose_method("auto", Size(layout, widths, 100, 13, free=free), 2000).method
        for widths in ((2000, 30, 14), (2000, 1500), (2000,), (100, 30, 14))
        for free in (True, False)
    }
    assert choices[(2000, 30, 14), True] == choices[(2000, 1500), True] == "wide"
    assert choices[(2000, 30, 14), False] == choices[(2000, 1500), False] == "kernel"
    assert choices[(2000,), True] == "kernel"
    assert choices[(100, 30, 14), True] == choices[(100, 30, 14), False] == "statistics"


@pytest.mark.parametrize(("widths", "n_wide"), [((80, 4, 3, 2), 1), ((80, 70, 7, 6), 2)])
def test_planner_counts_the_products_that_a_search_makes(monkeypatch, widths, n_wide):
    X, Y, groups = problem(widths, n=60, n_targets=64)
    solver = solver_of(X, Y, groups, list(KFold(3).split(X)))
    grid = solver.grid
    assert len(grid.wide) == n_wide
    # The plan takes all narrow bands in every weighting: those of a single one are fewer operations.
    solver.search.grid = dataclasses.replace(grid, weightings=(grid.weightings + 0.1) / (grid.weightings + 0.1).sum())
    counted = {"targets": 0, "reduced": 0}

    class Counting:
        """Numpy that counts the operations of products with targets."""

        def __getattr__(self, name):
            return getattr(np, name)

        def matmul(self, a, b, out=None):
            if b.shape[1] == counted["n"]:
                counted["targets"] += 2 * a.shape[0] * a.shape[1] * b.shape[1]
            return np.matmul(a, b, out=out)

    reduce = wide_band.tridiagonalise
    monkeypatch.setattr(Arrays, "xp", Counting())
    monkeypatch.setattr(
        wide_band, "tridiagonalise", lambda K: counted.update(reduced=counted["reduced"] + 1) or reduce(K)
    )
    found = []
    for n in (40, 64):
        counted |= {"n": n, "targets": 0}
        solver.search.run(Y[:, :n])
        found.append(counted["targets"])
    rows, task = solver.search.rows, solver.task
    size = Size(rows, widths, len(task.gammas), len(task.alphas), free=True)
    fixed, planned = count_grid_operations(size, grid.wide)
    assert (found[1] - found[0]) / 24 == pytest.approx(planned, rel=1e-12)
    # Kernels of both searches come from one reduction of every mixture and training set.
    assert counted["reduced"] == len(grid.mixtures) * len(rows.sets)
    assert fixed > counted["reduced"] * reduction_operations(40)


def test_plan_counts_its_memory(make_study, tmp_path):
    study = make_study(widths=WIDTHS)
    with pytest.raises(ConfigError, match=r"\[compute\] memory = 0.00 GB, but 0.\d\d GB are needed for 148 features"):
        cross_predict(
            MODEL, study.spaces, study.responses, folds_of(study), tmp_path / "p", compute=Compute(memory_bytes=1000)
        )
    X = np.zeros((2000, 0))
    rows = np.arange(2000)
    layout = lay_out(X, [(rows, [(rows[rows % 5 != k], rows[rows % 5 == k]) for k in range(5)])])
    sizes = [Size(layout, (6555, 30, 34), 100, 13, free=True)]
    plan = plan_memory(
        layout, sizes, Arrays(), n_features=6619, n_targets=10**5, memory=2 << 30, chunk_bytes=1 << 40, methods=["wide"]
    )
    assert plan.total <= 2 << 30


# himalaya, other precisions and libraries


@pytest.mark.parametrize("widths", [(80, 6, 5), (70, 60, 4)])
def test_scores_are_those_of_himalaya_at_the_same_penalties(widths):
    X, Y, groups = problem(widths, n=90, n_targets=30)
    splits = list(KFold(3).split(X))
    solver = solver_of(X, Y, groups, splits, dtype="float32")
    fit = solver.fit(Y, [None])[0]
    kernels = np.stack([X[:, groups == g] @ X[:, groups == g].T for g in range(3)])
    checked = 0
    for t in range(0, 30, 5):
        gamma, alpha = fit.gammas[0][:, t], fit.alphas[0, t]
        reference = MultipleKernelRidgeCV(
            kernels="precomputed",
            solver_params={"n_iter": gamma[None], "alphas": np.array([alpha]), "progress_bar": False},
            fit_intercept=True,
            cv=splits,
        )
        with np.errstate(divide="ignore"):  # the logarithm of a weight of zero
            reference.fit(kernels, Y)
        ours = fit.scores[0, t] * fit.unit[t] ** 2
        assert ours == pytest.approx(reference.cv_scores_[0, t], abs=1e-5 * Y[:, t].var())
        checked += 1
    assert checked == 6


def test_float32_and_torch_agree_with_float64():
    X, Y, groups = problem((80, 50, 5), n=60, n_targets=200)
    splits = list(KFold(3).split(X))
    settings = [("float64", "numpy", 0), ("float64", "torch", 1e-9), ("float32", "numpy", 3e-6)]
    fits = [solver_of(X, Y, groups, splits, dtype=d, library=library).fit(Y, [None])[0] for d, library, _ in settings]
    for fit, (_, _, tolerance) in zip(fits[1:], settings[1:], strict=True):
        np.testing.assert_allclose(fit.each, fits[0].each, atol=tolerance)
        assert (fit.alphas == fits[0].alphas).mean() > 0.98


def test_kernels_in_single_precision_move_scores_by_rounding_only():
    X, Y, groups = problem((700, 5), n=90, n_targets=50)
    X[:, :700] += 20  # centred on every training set before it is rounded
    splits = list(KFold(3).split(X))
    single, double = (solver_of(X, Y, groups, splits, dtype=dtype, scale=True) for dtype in ("float32", "float64"))
    assert (single.search.sets[0].of.precision(60), double.search.sets[0].of.precision(60)) == ("float32", "float64")
    np.testing.assert_allclose(single.fit(Y, [None])[0].each, double.fit(Y, [None])[0].each, atol=3e-6)
    # Beside a penalty that rounding comes near to, kernels stay in double precision.
    features = single.search.sets[0].of
    features.grid = dataclasses.replace(features.grid, penalties=np.array([1e-3, 1.0]))
    assert features.precision(60) == "float64"


def test_features_that_do_not_vary_repeat_or_outnumber_the_rows(make_study, tmp_path):
    study = make_study(widths={"wide": 140, "narrow": 60, "third": 3})
    wide, narrow, third = study.spaces
    values = wide.values.copy()
    values[:, 10:20] = 3.0  # constant everywhere
    values[24:, 30] = 0.0  # constant in some training sets
    values[:, 40:60] = values[:, [41]]  # the same
    narrow_values = narrow.values.copy()
    narrow_values[:, 50:] = narrow_values[:, :10]
    spaces = [dataclasses.replace(wide, values=values), dataclasses.replace(narrow, values=narrow_values), third]
    study = study._replace(spaces=spaces)
    folds = folds_of(study)
    model = dataclasses.replace(MODEL, alphas=(1e-6, 1.0, 100.0))
    found = cross_predict(model, spaces, study.responses, folds, tmp_path / "p", compute=Compute(verify=True))
    np.testing.assert_allclose(found.values, by_textbook(study, folds, found), atol=1e-4)


def test_candidates_of_few_bands_and_penalties():
    X, _, _ = problem((60, 6))
    rows = lay_out(X, [(np.arange(48), list(KFold(3).split(X)))])
    gammas = np.array([[0.5, 0.5], [1.0, 0.0], [0.0, 1.0], [0.3, 0.7]])
    grid = make_grid(rows, Task(np.arange(66), [slice(0, 60), slice(60, 66)], gammas, np.array([1.0, 10.0])))
    assert grid.wide == (0,)
    np.testing.assert_array_equal(grid.weightings, [[1.0]])
    # Wide alone and both at each penalty of the wide band, then narrow alone.
    assert grid.candidates.tolist() == [[0, 0, NONE], [0, 0, 0], [0, 1, NONE], [0, 1, 0], [0, NONE, 0]]

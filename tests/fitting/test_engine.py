"""The search on arrays: subsets of candidates, other array libraries, batches, budgets."""

import ast
import dataclasses
import re
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch

from encoding.core import ConfigError
from encoding.fitting.arrays import Arrays, available_threads, choose_arrays
from encoding.fitting.plan import choose_method, count_operations, plan_memory
from encoding.fitting.rows import batch_of, lay_out
from encoding.fitting.solvers import METHODS, SOLVERS
from encoding.fitting.solvers.base import Size, Task
from encoding.fitting.solvers.kernel import KernelSearch
from encoding.fitting.solvers.search_statistics import StatisticsSearch

ALPHAS = np.logspace(-2, 3, 6)
WIDTHS = (5, 4, 3)
EDGES = np.cumsum([0, *WIDTHS]).tolist()
BANDS = [slice(a, b) for a, b in pairwise(EDGES)]
GAMMAS = np.vstack([np.eye(3), [[0.5, 0.5, 0.0], [0.2, 0.0, 0.8]], np.random.default_rng(0).dirichlet(np.ones(3), 4)])


def nested(n=80, n_blocks=4):
    block, rows = np.repeat(np.arange(n_blocks), n // n_blocks), np.arange(n)
    return [
        (rows[block != i], [(rows[(block != i) & (block != j)], rows[block == j]) for j in range(n_blocks) if j != i])
        for i in range(n_blocks)
    ]


@pytest.fixture(autouse=True)
def one_thread():
    """Keep torch from waiting for threads that share a processor with other tests."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def problem():
    rng = np.random.default_rng(3)
    X = rng.standard_normal((80, 12)) * rng.uniform(0.1, 10, 12)
    Y = X / X.std(0) @ rng.standard_normal((12, 30)) * 0.4 + rng.standard_normal((80, 30))
    X -= np.median(X, axis=0)
    return X, Y, lay_out(X, nested())


def search(problem, task, arrays, *, scale=True, intercept=True, size=30, **settings):
    X, Y, rows = problem
    engine = StatisticsSearch(X, rows, [task], scale=scale, intercept=intercept, arrays=arrays, **settings)
    Y, _ = engine.standardise(Y)
    batches = [engine.products(Y[:, first : first + size]) for first in range(0, 30, size)]
    return engine.run(batches, keep_all=True)


def whole(gammas=GAMMAS, **changes):
    return dataclasses.replace(Task(np.arange(12), BANDS, gammas, ALPHAS), **changes)


def same(found, expected, tolerance):
    np.testing.assert_allclose(found.score, expected.score, atol=tolerance)
    np.testing.assert_allclose(found.each, expected.each, atol=tolerance)
    np.testing.assert_allclose(found.curve, expected.curve, atol=200 * tolerance)
    np.testing.assert_array_equal(found.candidate, expected.candidate)
    np.testing.assert_array_equal(found.alpha, expected.alpha)


@pytest.mark.parametrize("scale", [True, False])
@pytest.mark.parametrize("intercept", [True, False])
def test_torch_and_kernels_find_what_numpy_finds(problem, scale, intercept):
    settings = {"scale": scale, "intercept": intercept}
    expected = search(problem, whole(), Arrays("cpu", "float64"), **settings)[0][0]
    by_torch = search(problem, whole(), Arrays("cpu", "float64", library="torch"), **settings)[0][0]
    same(by_torch, expected, 1e-12)
    X, Y, rows = problem
    engine = StatisticsSearch(X, rows, [whole()], arrays=Arrays(dtype="float64"), **settings)
    for library in ("numpy", "torch"):
        arrays = Arrays("cpu", "float64", library=library)
        kernels = KernelSearch(X, rows, whole(), arrays=arrays, **settings)
        same(kernels.run(engine.standardise(Y)[0], keep_all=True), expected, 1e-10)


def test_batches_threads_and_prepared_memory_change_nothing(problem):
    expected = search(problem, whole(), Arrays(threads=1))[0][0]
    for arrays, settings in ((Arrays(threads=3), {"size": 7}), (Arrays(threads=2), {"size": 11, "memory": 1})):
        parts = search(problem, whole(), arrays, **settings)[0]
        np.testing.assert_array_equal(np.concatenate([part.candidate for part in parts], axis=1), expected.candidate)
        scores = np.concatenate([part.score for part in parts], axis=1)
        np.testing.assert_allclose(scores, expected.score, atol=1e-6)


def test_models_that_may_choose_some_candidates_find_what_they_find_alone(problem):
    choices = tuple(np.flatnonzero((GAMMAS[:, out] == 0).all(1)) for out in ([], [2], [1, 2]))
    assert [len(choice) for choice in choices] == [9, 3, 1]
    arrays = Arrays("cpu", "float64")
    together = search(problem, whole(choices=choices), arrays)
    assert len(together) == 3
    for choice, found in zip(choices, together, strict=True):
        alone = search(problem, whole(GAMMAS[choice]), arrays)[0][0]
        np.testing.assert_array_equal(choice[alone.candidate], found[0].candidate)
        np.testing.assert_array_equal(alone.alpha, found[0].alpha)
        np.testing.assert_allclose(alone.score, found[0].score, atol=1e-12)
        np.testing.assert_allclose(alone.curve, found[0].curve, atol=1e-9)


def test_a_weight_of_zero_is_a_band_less(problem):
    X, Y, _ = problem
    arrays = Arrays("cpu", "float64")
    zero = search(problem, whole(np.array([[0.3, 0.0, 0.7]])), arrays)[0][0]
    columns = np.r_[0:5, 9:12]
    less = Task(np.arange(8), [slice(0, 5), slice(5, 8)], np.array([[0.3, 0.7]]), ALPHAS)
    alone = search((X[:, columns], Y, lay_out(X[:, columns], nested())), less, arrays)[0][0]
    np.testing.assert_allclose(zero.score, alone.score, atol=1e-12)
    tiny = search(problem, whole(np.array([[0.3, 1e-12, 0.7]])), arrays)[0][0]
    np.testing.assert_allclose(tiny.score, zero.score, atol=1e-9)


def test_columns_of_a_task_may_come_in_any_order(problem):
    arrays = Arrays("cpu", "float64")
    expected = search(problem, whole(), arrays)[0][0]
    columns = np.r_[9:12, 0:5, 5:9]
    bands = [slice(0, 3), slice(3, 8), slice(8, 12)]
    turned = search(problem, Task(columns, bands, GAMMAS[:, [2, 0, 1]], ALPHAS), arrays)[0][0]
    same(turned, expected, 1e-12)


# Solvers


def compared_names(path):
    """Lines of a file that compare something with the name of a solver."""
    return [
        f"{path.name}:{node.lineno}"
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Compare)
        for part in ast.walk(node)
        if isinstance(part, ast.Constant) and part.value in SOLVERS
    ]


def test_only_the_registry_knows_names_of_solvers(tmp_path):
    root = Path(__file__).resolve().parents[2] / "encoding"
    assert [line for path in sorted(root.rglob("*.py")) for line in compared_names(path)] == []
    bad = tmp_path / "bad.py"
    bad.write_text("if method == 'kernel':\n    pass\n", encoding="utf-8")
    assert compared_names(bad) == ["bad.py:1"]


def test_every_solver_has_what_the_protocol_asks(problem):
    size = Size(problem[2], WIDTHS, 9, 6)
    assert tuple(METHODS) == ("auto", "statistics", "kernel", "wide", "himalaya")
    for name, solver in SOLVERS.items():
        assert solver.name == name
        assert solver.operations(size, 100, "cpu") > 0
        assert solver.bytes([size], 12, Arrays()).target > 0
        for flag in ("joint", "offered", "checked", "guides", "regrids"):
            assert isinstance(getattr(solver, flag), bool)


# Plans


def test_solver_follows_the_number_of_features(problem):
    rows = problem[2]
    narrow, wide = (Size(rows, widths, 100, 20) for widths in ((5, 4, 3), (5000,)))
    assert choose_method("auto", narrow, 10_000).method == "statistics"
    wide = choose_method("auto", wide, 10_000)
    assert wide.method == "kernel"
    assert "5000 features, 40 rows in a training set, 10000 targets (statistics" in wide.reason
    assert choose_method("himalaya", narrow, 10_000).reason == "himalaya, as asked."
    counted = count_operations(narrow, 10_000)
    per_target = 100 * (6 * 2 * 144 + 12 * (4 * 144 + 4 * 20 * 12)) + 2 * 80 * 12
    assert count_operations(narrow, 20_000)["statistics"] - counted["statistics"] == 10_000 * per_target


def test_plan_keeps_its_budget_or_says_what_is_needed(problem):
    rows, arrays = problem[2], Arrays()
    settings = {"n_features": 12, "n_targets": 10**6, "chunk_bytes": 1 << 40, "methods": ["statistics"]}
    plans = [plan_memory(rows, [Size(rows, WIDTHS, 9, 6)], arrays, memory=m << 20, **settings) for m in (64, 80, 120)]
    for plan, budget in zip(plans, (64, 80, 120), strict=True):
        assert plan.total <= budget << 20
        assert f"1000000 targets in chunks of {plan.n_chunk}" in plan.text
    assert plans[0].n_chunk < plans[1].n_chunk < plans[2].n_chunk
    with pytest.raises(ConfigError, match=r"memory = 0.00 GB, but 0.06 GB are needed for 12 features in 18 training"):
        plan_memory(rows, [Size(rows, WIDTHS, 9, 6)], arrays, memory=1, **settings)
    small = plan_memory(rows, [Size(rows, WIDTHS, 9, 6)], arrays, memory=8 << 30, **(settings | {"n_targets": 5}))
    assert small.n_chunk == 5


def test_plan_for_a_graphics_card_keeps_its_budget_too(problem):
    rows, settings = problem[2], {"n_features": 12, "n_targets": 10**6, "chunk_bytes": 1 << 40, "memory": 8 << 30}
    settings["methods"] = ["statistics"]
    small, large = (Arrays("cuda", library="torch", vram=v << 20) for v in (1, 100))
    assert batch_of(rows, 12, small) < batch_of(rows, 12, large)
    for arrays in (small, large):
        text = plan_memory(rows, [Size(rows, WIDTHS, 9, 6)], arrays, **settings).text
        used, budget = (float(number) for number in re.search(r"Graphics card: ([\d.]+) of ([\d.]+) GB", text).groups())
        assert used <= budget
    with pytest.raises(ConfigError, match=r"vram = 0.00 GB, but 0.00 GB are needed for 64 targets"):
        plan_memory(rows, [Size(rows, WIDTHS, 9, 6)], Arrays("cuda", library="torch", vram=1000), **settings)


def test_batches_shrink_with_the_number_of_folds():
    X = np.zeros((600, 100))
    few, many = (batch_of(lay_out(X, nested(600, n)), 100, Arrays()) for n in (3, 12))
    assert few == 2048
    assert 64 <= many < few
    assert many % 64 == 0


def test_arrays_follow_the_device():
    assert choose_arrays("cpu", threads=3) == Arrays("cpu", "float32", 3, "numpy")
    assert choose_arrays("cuda", vram=5) == Arrays("cuda", "float32", 1, "torch", 5)
    assert choose_arrays().threads == available_threads() >= 1

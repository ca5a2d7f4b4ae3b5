"""Minimisation over x >= 0 against scipy's."""

import numpy as np
import pytest
import torch
from scipy.optimize import minimize, nnls

from encoding.numerics.nonnegative import minimise_nonnegative


def least_squares(A, b, penalty=0.0):
    A, b = torch.as_tensor(A), torch.as_tensor(b)

    def objective(x):
        rest = A @ x - b
        return float(0.5 * rest @ rest + penalty * x.sum()), A.T @ rest + penalty

    return objective


@pytest.fixture
def problem():
    rng = np.random.default_rng(0)
    return rng.normal(size=(60, 25)), rng.normal(size=60)


def test_least_squares_are_those_of_scipy(problem):
    A, b = problem
    found = minimise_nonnegative(least_squares(A, b), torch.ones(25, dtype=torch.float64), tol=1e-14)
    wanted, _ = nnls(A, b)
    assert found.converged
    assert np.allclose(found.x, wanted, atol=1e-6)
    assert np.array_equal(found.x.numpy() == 0, wanted == 0)


def test_a_penalty_gives_exact_zeros(problem):
    A, b = problem
    objective = least_squares(A, b, penalty=5.0)
    found = minimise_nonnegative(objective, torch.ones(25, dtype=torch.float64), tol=1e-14)
    wanted = minimize(
        lambda x: objective(torch.as_tensor(x))[0],
        np.ones(25),
        jac=lambda x: objective(torch.as_tensor(x))[1].numpy(),
        bounds=[(0, None)] * 25,
        method="L-BFGS-B",
        options={"ftol": 1e-15, "gtol": 1e-10},
    )
    assert found.value == pytest.approx(wanted.fun, rel=1e-9)
    assert (found.x == 0).sum() >= 10


def test_unbounded_variables_may_become_negative(problem):
    A, b = problem
    found = minimise_nonnegative(least_squares(A, b), torch.ones(25, dtype=torch.float64), n_bounded=0, tol=1e-15)
    assert np.allclose(found.x, np.linalg.lstsq(A, b, rcond=None)[0], atol=1e-5)


def test_the_start_is_not_changed_and_the_trace_only_falls(problem):
    start = torch.ones(25, dtype=torch.float64)
    found = minimise_nonnegative(least_squares(*problem), start)
    assert torch.equal(start, torch.ones(25, dtype=torch.float64))
    assert (np.diff(found.trace) < 0).all()
    assert found.trace[-1] == found.value


def test_a_minimum_is_recognised():
    found = minimise_nonnegative(lambda x: (float(x.sum()), torch.ones_like(x)), torch.zeros(3))
    assert found.converged
    assert found.n_evaluations == 1


def test_too_few_steps_are_said():
    A = np.diag(np.logspace(0, 3, 20))
    found = minimise_nonnegative(least_squares(A, np.ones(20)), torch.full((20,), 3.0, dtype=torch.float64), max_iter=3)
    assert not found.converged

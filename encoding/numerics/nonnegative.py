"""Minimise a smooth function of non-negative variables with curvature learned from gradients."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

Objective = Callable[[torch.Tensor], tuple[float, torch.Tensor]]
SUFFICIENT = 1e-4  # part of the promised decrease that a step must bring
SHRINK = 0.5
MOST_HALVINGS = 20
PATIENCE = 3  # steps in a row that bring less than `tol`


@dataclass(frozen=True, slots=True)
class Minimum:
    """Where minimisation ended."""

    x: torch.Tensor  # (n,) The point
    value: float  # The function there
    n_evaluations: int  # How often the function was computed
    converged: bool  # Whether it ended because it had converged, not because `max_iter` was reached
    trace: tuple[float, ...]  # The function after each step


def minimise_nonnegative(
    objective: Objective,
    start: torch.Tensor,
    *,
    n_bounded: int | None = None,
    max_iter: int = 500,
    tol: float = 1e-7,
    memory: int = 10,
    give_up: Callable[[torch.Tensor], bool] = lambda x: False,  # noqa: ARG005
) -> Minimum:
    """Minimise f(x) over x >= 0 with a projected limited-memory quasi-Newton method.

    Variables that are zero and want to become negative are held; for the others the L-BFGS direction is computed from
    past steps restricted to them (two-metric projection, Bertsekas 1982; Schmidt, Kim & Sra 2011), and the step along
    it is projected onto x >= 0 and halved until f decreases enough. An L1 penalty is linear on x >= 0, so that it needs
    no other treatment than its constant gradient, and zeros are exact. `give_up` is asked after every step.

    Shapes: `start` (n,).
    """
    bounded = torch.zeros(len(start), dtype=torch.bool, device=start.device)
    bounded[: len(start) if n_bounded is None else n_bounded] = True
    x = _project(start.clone(), bounded)
    value, gradient = objective(x)
    steps: list[tuple[torch.Tensor, torch.Tensor]] = []
    trace, n_evaluations, small = [value], 1, 0
    for _ in range(max_iter):
        free = ~(bounded & (x <= 0) & (gradient >= 0))
        direction = _direction(gradient, free, steps)
        found, n_tried = _search(objective, x, value, gradient, direction, bounded, first=not steps)
        n_evaluations += n_tried
        if found is None:
            if not steps:
                return Minimum(x, value, n_evaluations, True, tuple(trace))
            steps.clear()  # the learned curvature misled; the gradient itself decides next
            continue
        x_new, value_new, gradient_new = found
        steps = [*steps, (x_new - x, gradient_new - gradient)][-memory:]
        small = small + 1 if value - value_new <= tol * max(1.0, abs(value)) else 0
        x, value, gradient = x_new, value_new, gradient_new
        trace.append(value)
        if give_up(x):
            break
        if small >= PATIENCE:
            return Minimum(x, value, n_evaluations, True, tuple(trace))
    return Minimum(x, value, n_evaluations, False, tuple(trace))


def _project(x: torch.Tensor, bounded: torch.Tensor) -> torch.Tensor:
    return torch.where(bounded, x.clamp(min=0), x)


def _direction(
    gradient: torch.Tensor, free: torch.Tensor, steps: list[tuple[torch.Tensor, torch.Tensor]]
) -> torch.Tensor:
    """Two-loop recursion on the free variables, on coefficients of past steps, their changes and the gradient."""
    mask = free.to(gradient.dtype)
    n = len(steps)
    rows = torch.stack([*(step for step, _ in steps), *(change for _, change in steps), gradient]).mul_(mask)
    # All inner products at once; what follows is arithmetic on their coefficients.
    products = (rows @ rows.T).double().cpu().numpy()
    q = np.zeros(2 * n + 1)
    q[-1], scale = 1.0, 1.0
    kept: list[tuple[int, float]] = []
    for k in reversed(range(n)):
        curvature, size = products[k, n + k], products[n + k, n + k]
        if curvature <= 1e-10 * size:
            continue
        alpha = products[k] @ q / curvature
        q[n + k] -= alpha
        scale = scale if kept else curvature / size
        kept.append((k, alpha))
    q *= scale
    for k, alpha in reversed(kept):
        q[k] += alpha - products[n + k] @ q / products[k, n + k]
    if products[-1] @ q <= 0:
        return -rows[-1]
    return -(torch.as_tensor(q, dtype=rows.dtype, device=rows.device) @ rows)


def _search(
    objective: Objective,
    x: torch.Tensor,
    value: float,
    gradient: torch.Tensor,
    direction: torch.Tensor,
    bounded: torch.Tensor,
    *,
    first: bool,
) -> tuple[tuple[torch.Tensor, float, torch.Tensor] | None, int]:
    """Halve the step until the function decreases; None if it never does."""
    length = 1.0
    if first:  # no curvature is known: the first step changes the largest coordinate by a tenth
        largest = float(direction.abs().max()) if len(direction) else 0.0
        if largest == 0:
            return None, 0
        length = 0.1 / largest
    for tried in range(1, MOST_HALVINGS + 1):
        x_new = _project(x + length * direction, bounded)
        value_new, gradient_new = objective(x_new)
        promised = float(torch.dot(gradient, x_new - x))
        if value_new <= value + SUFFICIENT * promised and value_new < value:
            return (x_new, value_new, gradient_new), tried
        length *= SHRINK
    return None, MOST_HALVINGS

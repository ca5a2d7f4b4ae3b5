"""A solver: the one for kernels, given one target at a time by the estimators.

One of your own need not inherit; it has the methods of `encoding.fitting.solvers.base.Solver`.
"""

from typing import ClassVar

from encoding.fitting.solvers.base import Size
from encoding.fitting.solvers.kernel import KernelSolver


class OneByOneSolver(KernelSolver):
    """Kernels, one target after the other."""

    name: ClassVar[str] = "one_by_one"

    @staticmethod
    def operations(size: Size, n_targets: int, device: str) -> float:
        """Count every decomposition once per target, so that "auto" takes another solver."""
        return n_targets * KernelSolver.operations(size, 1, device) + 1e12

    def at_once(self, n_targets: int) -> int:  # noqa: ARG002
        """Return one target."""
        return 1

"""Solvers: ways to search band weights and penalties, by name.

A new one is a class like those here, with the methods of `Solver` in `base`, and its entry in `SOLVERS`.
"""

from .base import Solver
from .himalaya import HimalayaSolver
from .kernel import KernelSolver
from .search_statistics import StatisticsSolver
from .shared import SharedSolver
from .wide import WideSolver

SOLVERS: dict[str, type[Solver]] = {
    solver.name: solver for solver in (StatisticsSolver, KernelSolver, WideSolver, HimalayaSolver, SharedSolver)
}
METHODS = ("auto", *(name for name, solver in SOLVERS.items() if solver.offered))
GUIDED_METHODS = ("auto", *(name for name, solver in SOLVERS.items() if solver.guides))

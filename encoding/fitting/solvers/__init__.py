"""Solvers: ways to search band weights and penalties, by name.

A new one is a class with the methods of `Solver` in `base`: an entry in `SOLVERS`, or the entry point
``encoding.solvers`` of another package.
"""

from collections.abc import Callable, Collection, Iterator

from ...core.plugins import Registry
from .base import Solver
from .himalaya import HimalayaSolver
from .kernel import KernelSolver
from .search_statistics import StatisticsSolver
from .shared import SharedSolver
from .wide import WideSolver

SOLVERS: Registry[type[Solver]] = Registry(
    "encoding.solvers",
    {solver.name: solver for solver in (StatisticsSolver, KernelSolver, WideSolver, HimalayaSolver, SharedSolver)},
    needs=("joint", "offered", "checked", "guides", "regrids", "operations", "bytes", "at_once", "draw", "fit"),
)


class Methods(Collection[str]):
    """What `method` can be: "auto", and every solver for which a condition holds."""

    def __init__(self, holds: Callable[[type[Solver]], bool]) -> None:
        self._holds = holds

    def __contains__(self, name: object) -> bool:
        return name == "auto" or (isinstance(name, str) and name in SOLVERS and self._holds(SOLVERS[name]))

    def __iter__(self) -> Iterator[str]:
        yield "auto"
        yield from (name for name, solver in SOLVERS.items() if self._holds(solver))

    def __len__(self) -> int:
        return sum(1 for _ in self)


METHODS = Methods(lambda solver: solver.offered)
GUIDED_METHODS = Methods(lambda solver: solver.guides)

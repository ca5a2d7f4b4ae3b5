"""Where pieces of work run: in this process, or on the workers of a cluster."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol, TypeVar

S = TypeVar("S")
T = TypeVar("T")
R = TypeVar("R")


class Workers(Protocol):
    """Runs pieces of work that do not depend on each other.

    Pieces save their results where they run, or return something small: what is shared and what is returned may cross
    a network. Everything must survive pickling.
    """

    @property
    def apart(self) -> bool:
        """Whether pieces may run in other processes, so that two of them must not write to one file."""
        ...

    def map(
        self, function: Callable[[S, T], R], shared: S, items: Sequence[T], *, lost: Callable[[T], R] | None = None
    ) -> Iterator[R]:
        """Call ``function(shared, item)`` for every item; yield results in the order of the items.

        `lost` gives the result of an item whose workers die every time; without it that is an error.
        """
        ...


class Here:
    """Works in this process, one piece after the other."""

    apart = False

    def map(
        self,
        function: Callable[[Any, Any], Any],
        shared: Any,
        items: Sequence[Any],
        *,
        lost: Callable[[Any], Any] | None = None,  # noqa: ARG002
    ) -> Iterator[Any]:
        """Call the function for every item when its result is asked for."""
        return (function(shared, item) for item in items)


HERE = Here()

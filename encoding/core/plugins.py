"""Registries that other packages extend through entry points.

An installed package adds a kind of feature source, annotator, model, solver or atlas by an entry point in its
``pyproject.toml``; nothing in this package changes::

    [project.entry-points."encoding.sources"]
    saliency = "my_package.saliency:Saliency"

Entry points are listed when a name is not built in, and a plugin is imported when it is looked up.
"""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from .errors import ConfigError

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

T = TypeVar("T")


class Registry(Mapping[str, T], Generic[T]):
    """Named objects: those built in, then those that installed packages add to an entry-point group.

    Examples
    --------
    >>> numbers = Registry("encoding.examples", {"one": 1})
    >>> numbers["one"], list(numbers), "two" in numbers
    (1, ['one'], False)
    """

    def __init__(self, group: str, builtin: Mapping[str, T], needs: tuple[str, ...] = ()) -> None:
        self.group, self.builtin, self.needs = group, dict(builtin), needs

    def __getitem__(self, name: str) -> T:
        return self.builtin[name] if name in self.builtin else self._plugins()[name]

    def __contains__(self, name: object) -> bool:
        return name in self.builtin or name in self._plugins()

    def __iter__(self) -> Iterator[str]:
        yield from self.builtin
        yield from self._plugins()

    def __len__(self) -> int:
        return len(self.builtin) + len(self._plugins())

    def name_of(self, item: Any) -> str:
        """Return the name under which a class, or the class of an object, is registered."""
        cls = item if isinstance(item, type) else type(item)
        for name, known in self.items():
            if known is cls:
                return name
        raise ConfigError(f"{cls.__module__}.{cls.__qualname__} is not registered in {self.group!r}.")

    def _plugins(self) -> "Plugins":
        plugins = load_plugins(self.group, needs=self.needs)
        taken = sorted(set(self.builtin) & set(plugins))
        if taken:
            raise ConfigError(
                f"{plugins.where(taken[0])}: the name {taken[0]!r} is built in. Rename the entry point, or uninstall "
                f"the package."
            )
        return plugins


class Plugins(Mapping[str, Any]):
    """Entry points of one group; each is imported when it is looked up."""

    def __init__(self, group: str, points: Mapping[str, "EntryPoint"], needs: tuple[str, ...] = ()) -> None:
        self.group, self._points, self._needs = group, dict(points), needs

    def __getitem__(self, name: str) -> Any:
        point = self._points[name]
        try:
            loaded = point.load()
        except Exception as error:  # the plugin is somebody else's code: any error may come
            told = " ".join(str(error).split())
            raise ConfigError(
                f"{self.where(name)}: {point.value!r} cannot be imported ({type(error).__name__}: {told}). "
                f"Repair the package, or uninstall it."
            ) from error
        missing = [attribute for attribute in self._needs if not hasattr(loaded, attribute)]
        if missing:
            raise ConfigError(
                f"{self.where(name)}: {point.value!r} has no {', '.join(map(repr, missing))}, which everything in "
                f"{self.group!r} needs."
            )
        return loaded

    def __contains__(self, name: object) -> bool:
        return name in self._points  # without importing it, unlike Mapping

    def __iter__(self) -> Iterator[str]:
        return iter(self._points)

    def __len__(self) -> int:
        return len(self._points)

    def where(self, name: str) -> str:
        """Name an entry point and the package that it belongs to, for messages."""
        return f"Plugin {name!r} in {self.group!r} ({_package(self._points[name])})"


def load_plugins(group: str, *, needs: tuple[str, ...] = ()) -> Plugins:
    """Find what installed packages add to an entry-point group."""
    from importlib.metadata import entry_points  # 20 ms, for which `import encoding` does not wait

    found: dict[str, EntryPoint] = {}
    for point in entry_points(group=group):
        other = found.setdefault(point.name, point)
        if other.value != point.value:
            raise ConfigError(
                f"Plugin {point.name!r} in {group!r} is offered by {_package(other)} and by {_package(point)}. "
                f"Uninstall one of them."
            )
    return Plugins(group, found, needs)


def _package(point: "EntryPoint") -> str:
    return f"{point.dist.name} {point.dist.version}" if point.dist is not None else "unknown package"

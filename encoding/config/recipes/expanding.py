"""Add the settings of a recipe to a configuration."""

import tomllib
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from importlib import resources
from typing import Any

import tomlkit
from tomlkit.items import AoT

from ...core import ConfigError, suggest
from ...core.settings import annotations_of
from ...loading.loader import LOADERS

RECIPES = ("horikawa2020", "du2023", "du2025")
Settings = tuple[str, ...]
WIDTH = 88


@dataclass(frozen=True, slots=True)
class Recipe:
    """A published analysis.

    Attributes
    ----------
    name : str
        Name in the configuration.
    title : str
        Title, with the paper that it follows.
    open : tuple of str
        Points that the paper leaves open, and the choices made here.
    """

    name: str
    title: str
    open: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Expanded:
    """A configuration with the settings of its recipe.

    Attributes
    ----------
    content : dict
        All settings.
    recipe : Recipe or None
        None where the configuration names none.
    text : str
        The settings as TOML; those of the recipe are marked.
    """

    content: dict[str, Any]
    recipe: Recipe | None
    text: str


def expand(content: Mapping[str, Any]) -> Expanded:
    """Complete a configuration with the settings of the recipe that it names.

    A key of a table that both have is the configuration's; a list of tables (``[[features]]``, ``[[fit]]``) in the
    configuration replaces that of the recipe as a whole.

    Parameters
    ----------
    content : mapping
        A configuration as `tomllib` reads it; its key ``recipe`` names the recipe.

    Returns
    -------
    Expanded
        The same content where no recipe is named.

    Raises
    ------
    ConfigError
        If there is no such recipe.
    """
    given = {key: value for key, value in content.items() if key != "recipe"}
    name = content.get("recipe")
    if name is None:
        return Expanded(given, None, write_toml(given))
    if name not in RECIPES:
        raise ConfigError(f"recipe = {name!r}. {suggest(str(name), RECIPES)}")
    stated = tomllib.loads((resources.files(__package__) / f"{name}.toml").read_text(encoding="utf-8"))
    about = stated.pop("recipe")
    _fit_kind(stated, given.get("load"))
    merged, taken = _merge(stated, given)
    recipe = Recipe(name, about["title"], tuple(about["open"]))
    return Expanded(merged, recipe, write_toml(merged, marked=taken, mark=name))


def _fit_kind(stated: dict[str, Any], load: Any) -> None:
    """Drop what a recipe says of preparing scans where the configuration loads another kind of data."""
    kind = load.get("kind") if isinstance(load, Mapping) else None
    if isinstance(kind, str) and kind in LOADERS:
        known = annotations_of(LOADERS[kind])
        stated["load"] = {key: value for key, value in stated["load"].items() if key in known}


def _merge(stated: Mapping[str, Any], given: Mapping[str, Any]) -> tuple[dict[str, Any], set[Settings]]:
    """Merge settings, and list the keys whose values come from the recipe."""
    merged: dict[str, Any] = {}
    taken: set[Settings] = set()
    for key in dict.fromkeys([*(key for key in given if key not in stated), *stated]):
        ours, theirs = stated.get(key), given.get(key)
        if isinstance(ours, dict) and isinstance(theirs, dict):
            merged[key] = {**ours, **theirs}
            taken |= {(key, inner) for inner in ours if inner not in theirs}
        elif key in given:
            merged[key] = theirs
        else:
            merged[key] = ours
            taken |= set(_places(key, ours))
    return merged, taken


def _places(key: str, value: Any) -> Iterator[Settings]:
    yield (key,)
    if isinstance(value, dict):
        yield from ((key, inner) for inner in value)


def write_toml(content: Mapping[str, Any], *, marked: Collection[Settings] = (), mark: str = "") -> str:
    """Write settings as TOML with comments.

    Parameters
    ----------
    content : mapping
        Texts, numbers, truth values and lists of them, tables, and lists of tables.
    marked : collection of tuple of str
        Places, ``(key,)`` or ``(table, key)``, whose lines end with a comment.
    mark : str
        The comment.

    Returns
    -------
    str
        TOML that reads back as the same content.

    Examples
    --------
    >>> print(write_toml({"seed": 1, "load": {"task": "video"}}, marked=[("load", "task")], mark="recipe"))
    seed = 1
    <BLANKLINE>
    [load]
    task = "video"  # recipe
    """
    document = tomlkit.document()
    tables = {key: value for key, value in content.items() if _is_table(value) or _is_tables(value)}
    for key, value in content.items():
        if key not in tables:
            document.append(key, _item(value, mark if (key,) in marked else ""))
    for key, value in tables.items():
        several = isinstance(value, list)
        parts = []
        for table in value if several else [value]:
            whole = several and (key,) in marked
            lines = tomlkit.table()
            for name, item in table.items():
                lines.append(name, _item(item, mark if whole or (key, name) in marked else ""))
            parts.append(lines)
        parts[-1].add(tomlkit.nl())  # tomlkit parts the tables of a list itself
        if document.body and key == next(iter(tables)):
            document.add(tomlkit.nl())
        document.append(key, AoT(parts) if several else parts[0])
    return document.as_string().rstrip("\n")


def _is_table(value: Any) -> bool:
    return isinstance(value, Mapping)


def _is_tables(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(item, Mapping) for item in value)


def _item(value: Any, comment: str) -> Any:
    """Write a value: tables in one line, long lists in several, and a comment behind it."""
    if isinstance(value, Mapping):
        made: Any = tomlkit.inline_table()
        for key, inner in value.items():
            made.append(key, _item(inner, ""))
    elif isinstance(value, list | tuple) and len(tomlkit.item(value).as_string()) > WIDTH:
        made = tomlkit.array()
        row: list[Any] = []
        for inner in value:
            if row and len(tomlkit.item([*row, inner]).as_string()) > WIDTH:
                made.add_line(*row, indent="  ")
                row = []
            row.append(inner)
        made.add_line(*row, indent="  ")
        made.add_line(indent="")
    else:
        made = tomlkit.item(value)
    if comment:
        made.comment(comment)
        made.trivia.comment_ws = "  "
    return made

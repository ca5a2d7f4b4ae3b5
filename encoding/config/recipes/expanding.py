"""What a recipe puts under the settings of a configuration."""

import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib import resources
from typing import Any

from ...core import ConfigError, suggest
from .writing import Settings, write_toml

RECIPES = ("horikawa2020", "du2023", "du2025")


@dataclass(frozen=True, slots=True)
class Recipe:
    """A published analysis.

    Attributes
    ----------
    name : str
        The word in the configuration.
    title : str
        What it follows.
    open : tuple of str
        What the paper leaves open, and what is done about it.
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
    """Put the settings of a recipe under those of a configuration.

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
    merged, taken = _merge(stated, given)
    recipe = Recipe(name, about["title"], tuple(about["open"]))
    return Expanded(merged, recipe, write_toml(merged, marked=taken, mark=name))


def _merge(stated: Mapping[str, Any], given: Mapping[str, Any]) -> tuple[dict[str, Any], set[Settings]]:
    """Merge, and list the places that hold what the recipe states."""
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

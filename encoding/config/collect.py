"""The tables that describe a collection of judgments: stimuli, design, annotators, budget, and folder."""

import dataclasses
import tomllib
from pathlib import Path
from typing import Any

from ..collection import ANNOTATORS, Budget, Collecting, Collection, Design, Stimuli, name_of
from ..core import ConfigError, suggest
from .tables import TABLES, General, build


def read_collection(path: str | Path) -> Collection:
    """Read the tables of a configuration that describe a collection, without touching data."""
    path = Path(path)
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror}).") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: not valid TOML ({error}).") from error
    try:
        return _collection(content, path.resolve().parent)
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from error


def _collection(content: dict[str, Any], base: Path) -> Collection:
    for key in content:
        if key not in TABLES:
            raise ConfigError(f"unknown key {key!r}. {suggest(key, TABLES)}")
    for key in ("stimuli", "design", "annotator"):
        if not content.get(key):
            raise ConfigError(f"table [{key}] is missing; collecting needs one.")
    seed = General(seed=content.get("seed", 0)).seed
    tables = content["annotator"]
    annotators = tuple(_annotator(table) for table in (tables if isinstance(tables, list) else [tables]))
    names = [name_of(annotator) for annotator in annotators]
    for name in names:
        if names.count(name) > 1:
            raise ConfigError(f"[[annotator]]: {names.count(name)} are called {name!r}. Give each a name of its own.")
    return Collection(
        build(Stimuli, content["stimuli"], "[stimuli]"),
        build(Design, content["design"], "[design]"),
        annotators,
        build(Budget, content.get("budget", {}), "[budget]"),
        build(Collecting, content.get("collect", {}), "[collect]"),
        seed,
        base,
    )


def _annotator(table: Any) -> Any:
    if not isinstance(table, dict):
        raise ConfigError(f"[[annotator]] must be a table, but is {table!r}.")
    settings = dict(table)
    kind = settings.pop("kind", None)
    if not isinstance(kind, str) or kind not in ANNOTATORS:
        raise ConfigError(f"[[annotator]] kind = {kind!r}. {suggest(str(kind), ANNOTATORS)}")
    secret = {"key", "api_key", "token", "password"} & settings.keys()
    if secret:
        raise ConfigError(
            f"[[annotator]] {sorted(secret)[0]}: keys do not belong in files. Put it in an environment variable, "
            f"and name that variable as key_variable."
        )
    return build(ANNOTATORS[kind], settings, "[[annotator]]")


def resolved(collection: Collection) -> dict[str, Any]:
    """List every setting with its defaults filled in."""
    content = dataclasses.asdict(collection)
    content["base"] = content["base"].as_posix()
    content["annotators"] = [
        {"kind": ANNOTATORS.name_of(settings)} | dataclasses.asdict(settings) for settings in collection.annotators
    ]
    return content

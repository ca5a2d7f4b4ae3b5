"""Tables of a configuration to the objects that they describe, and messages about what does not fit."""

import dataclasses
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from ..core import ConfigError, suggest

COLLECTING = ("stimuli", "design", "annotator", "budget", "collect")  # tables that `collect_config` reads
TABLES = (
    "recipe", "seed", "features", "load", "align", "split", "fit", "rsa", "compute", "compare", "map", *COLLECTING,
)  # fmt: skip


def build_kind(registry: Mapping[str, type], table: Mapping[str, Any], where: str, default: str | None) -> Any:
    """Make one of several dataclasses from a table, whose key ``kind`` says which.

    Parameters
    ----------
    registry : mapping of str to type
        Dataclasses by kind.
    table : mapping
        Fields, and ``kind``.
    where : str
        Name of the table, for the message.
    default : str or None
        Kind of a table that names none; None if it must.

    Returns
    -------
    object
        The instance.

    Raises
    ------
    ConfigError
        If the kind is unknown or missing, or as for `build`.
    """
    settings = dict(table)
    kind = settings.pop("kind", default)
    if kind is None:
        raise ConfigError(f"{where}: kind is missing. Known: {', '.join(registry)}.")
    if kind not in registry:
        raise ConfigError(f"{where}: kind = {kind!r}. {suggest(str(kind), registry)}")
    return build(registry[kind], settings, where)


def build(cls: type, table: Any, where: str) -> Any:
    """Make a dataclass from a table, refusing what it does not know.

    Parameters
    ----------
    cls : type
        A dataclass that checks its own values.
    table : mapping
        Its fields.
    where : str
        Name of the table, for the message.

    Returns
    -------
    object
        The instance.

    Raises
    ------
    ConfigError
        If a key is unknown or missing, or a value has the wrong type.

    Examples
    --------
    >>> @dataclasses.dataclass
    ... class Delays:
    ...     delays: tuple[int, ...]
    >>> build(Delays, {"delays": [1, 2]}, "[align]").delays
    (1, 2)
    """
    if not isinstance(table, Mapping):
        raise ConfigError(f"{where} must be a table, but is {table!r}.")
    fields = {field.name: field for field in dataclasses.fields(cls) if field.init}
    refuse_unknown(table, list(fields), where)
    for name, field in fields.items():
        needed = field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
        if needed and name not in table:
            raise ConfigError(f"{where}: key {name!r} is missing.")
    with wrong_type(where):
        return cls(**{key: plain(value) for key, value in table.items()})


@contextmanager
def wrong_type(where: str) -> Iterator[None]:
    """Say in which table a value is that a class cannot even compare or convert.

    Parameters
    ----------
    where : str
        Name of the table.

    Yields
    ------
    None
        Errors of types and values inside become a `ConfigError`; those that are one already pass.
    """
    try:
        yield
    except ConfigError:
        raise
    except (TypeError, ValueError) as error:
        raise ConfigError(f"{where}: a value has the wrong type ({error}).") from error


def refuse_unknown(table: Mapping[str, Any], known: list[str], where: str) -> None:
    """Raise if a table has a key that is not known.

    Parameters
    ----------
    table : mapping
        The table.
    known : list of str
        Keys that it may have.
    where : str
        Name of the table, for the message.

    Raises
    ------
    ConfigError
        With the nearest known key.
    """
    for key in table:
        if key not in known:
            raise ConfigError(f"{where}: unknown key {key!r}. {suggest(key, known)}")


def plain(value: Any) -> Any:
    """Turn lists to tuples, at every depth, so that dataclasses stay frozen.

    Parameters
    ----------
    value : object
        As read from TOML.

    Returns
    -------
    object
        The same, without lists.
    """
    return tuple(plain(item) for item in value) if isinstance(value, list) else value

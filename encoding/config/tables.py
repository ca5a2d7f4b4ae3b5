"""Build the objects that the tables of a configuration describe."""

from collections.abc import Mapping
from typing import Annotated, Any

from ..core import ConfigError, suggest
from ..core.settings import OneOf, Seed, settings, shown
from .recipes import RECIPES

COLLECTING = ("stimuli", "design", "annotator", "budget", "collect")  # tables that `read_collection` reads
TABLES = (
    "recipe", "seed", "features", "load", "align", "split", "fit", "rsa", "compute", "compare", "map", "atlas",
    "roi_set", *COLLECTING,
)  # fmt: skip


@settings("")
class General:
    """Keys that belong to no table."""

    recipe: Annotated[str, OneOf(RECIPES)] | None = None
    """Published analysis whose settings are taken where this file gives none."""
    seed: Seed = 0
    """Seed of everything random."""


def build_kind(registry: Mapping[str, type], table: Mapping[str, Any], where: str, default: str | None) -> Any:
    """Build an object of the class that the key ``kind`` of its table names; `default` is for tables without one."""
    settings = dict(table)
    kind = settings.pop("kind", default)
    if kind is None:
        raise ConfigError(f"{where}: kind is missing. Known: {', '.join(registry)}.")
    if not isinstance(kind, str) or kind not in registry:
        raise ConfigError(f"{where}: kind = {kind!r}. {suggest(str(kind), registry)}")
    return build(registry[kind], settings, where)


def build(cls: type, table: Any, where: str) -> Any:
    """Build an object from the table that describes it.

    Parameters
    ----------
    cls : type
        A class of settings.
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
        If a key is unknown or missing, or a value is not allowed.

    Examples
    --------
    >>> from encoding.config import Alignment
    >>> build(Alignment, {"delays": [1, 2]}, "[align]").delays
    (1, 2)
    """
    if not isinstance(table, Mapping):
        raise ConfigError(f"{where} must be a table, but is {shown(table)}.")
    try:
        return cls(**table)
    except (TypeError, ValueError) as error:  # of a plugin that is not checked like ours
        if isinstance(error, ConfigError):
            raise
        raise ConfigError(f"{where}: {error}") from error

"""The configuration as a JSON schema for editors, and as a page of all settings, made from the classes of settings."""

import dataclasses
import functools
import json
import re
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Literal, NamedTuple, Union, get_args, get_origin

from annotated_types import Interval
from typing_extensions import is_typeddict

from ..collection import ANNOTATORS, Budget, Collecting, Design, Stimuli
from ..comparison.settings import Comparison, Rsa
from ..core.settings import SETTINGS, OneOf, Rule, Unit, annotations_of, descriptions_of, needed, shown, unwrap
from ..embedding.registry import SOURCES
from ..fitting.budget import ComputeSettings
from ..fitting.models import MODELS
from ..fitting.splits import Split
from ..io.atlases.settings import AtlasFile, RoiGroup
from ..loading.loader import LOADERS
from ..mapping.settings import Maps
from .settings import Alignment
from .tables import General

DIALECT = "http://json-schema.org/draft-07/schema#"
EACH = {"const": "each", "description": "One ridge model for every feature space, without a name."}


class Kind(NamedTuple):
    """One form of a table: the values of its key ``kind`` ("" where it has none), and the class that describes it."""

    names: tuple[str, ...]
    cls: type


class Table(NamedTuple):
    """A table of the configuration: its name, whether there can be several, its kinds, and the kind by default."""

    name: str
    several: bool
    kinds: tuple[Kind, ...]
    default: str | None = None


def tables() -> tuple[Table, ...]:
    """List the tables of the configuration in the order of the stages, plugins included."""
    return (
        _table("stimuli", Stimuli),
        _table("design", Design),
        _table("annotator", ANNOTATORS, several=True),
        _table("budget", Budget),
        _table("collect", Collecting),
        _table("features", SOURCES, several=True, default="table"),
        _table("load", LOADERS, default="volume"),
        _table("align", Alignment),
        _table("split", Split),
        _table("fit", MODELS, several=True),
        _table("rsa", Rsa, several=True),
        _table("compute", ComputeSettings),
        _table("compare", Comparison),
        _table("map", Maps),
        _table("atlas", AtlasFile, several=True),
        _table("roi_set", RoiGroup, several=True),
    )


def _table(name: str, found: Any, *, several: bool = False, default: str | None = None) -> Table:
    if isinstance(found, type):
        return Table(name, several, (Kind((), found),))
    by_class: dict[type, list[str]] = {}
    for kind, cls in found.items():
        by_class.setdefault(cls, []).append(kind)
    return Table(name, several, tuple(Kind(tuple(names), cls) for cls, names in by_class.items()), default)


# Examples


@functools.cache
def examples() -> dict[str, Any]:
    """Read the examples of all keys: those without a table, and a list of tables for each name of a table."""
    return tomllib.loads(Path(__file__).with_name("examples.toml").read_text(encoding="utf-8"))


def examples_of(table: Table, kind: Kind) -> list[dict[str, Any]]:
    """Return the tables of the examples that are of this kind, as the class takes them."""
    own = [one for one in examples()[table.name] if not kind.names or one.get("kind") in kind.names]
    known = annotations_of(kind.cls)
    return [{key: value for key, value in one.items() if key != "kind" or key in known} for one in own]


def _first(given: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the first value of every key."""
    return {key: value for one in reversed(given) for key, value in one.items()}


# JSON schema


def json_schema() -> dict[str, Any]:
    """Describe every table, key and value of the configuration."""
    properties: dict[str, Any] = _properties(General, examples())
    for table in tables():
        forms = [_form(table, kind) for kind in table.kinds]
        described = forms[0] if len(forms) == 1 else {"anyOf": forms}
        properties[table.name] = {"type": "array", "items": described} if table.several else described
    return {
        "$schema": DIALECT,
        "title": "brain-encoding configuration",
        "type": "object",
        "additionalProperties": False,
        "properties": properties,
    }


def _form(table: Table, kind: Kind) -> dict[str, Any]:
    if kind.cls not in SETTINGS:
        return {"type": "object"}  # a plugin that checks itself
    properties = _properties(kind.cls, _first(examples_of(table, kind)))
    required = [name for name, field in _fields(kind.cls).items() if _is_required(field)]
    if kind.names:
        meaning = properties.get("kind", {}).get("description", _summary(kind.cls))
        properties["kind"] = {"enum": list(kind.names), "description": meaning}
        required += [] if table.default in kind.names else ["kind"]
    if table.name == "fit" and "ridge" in kind.names:
        properties["bands"] = {**properties["bands"], "anyOf": [{"type": "array", "items": {"type": "string"}}, EACH]}
        for key in ("type", "items"):
            properties["bands"].pop(key)
    found = {"type": "object", "description": _summary(kind.cls), "properties": properties}
    return found | {"additionalProperties": False} | ({"required": sorted(set(required))} if required else {})


def _properties(cls: type, given: Mapping[str, Any]) -> dict[str, Any]:
    descriptions = descriptions_of(cls)
    found = {}
    for name, annotation in annotations_of(cls).items():
        found[name] = _value(annotation) | {"description": _meaning(descriptions[name], annotation)}
        default = _default(_fields(cls)[name])
        if default is not None:
            found[name]["default"] = default
        if name in given:
            found[name]["examples"] = [given[name]]
    return found


def _value(annotation: Any) -> dict[str, Any]:
    """Describe the values that an annotation allows; rules that JSON schema cannot state are left to the program."""
    base, metadata = unwrap(annotation)
    names = [list(rule.names) for rule in metadata if isinstance(rule, OneOf)]
    if names:
        return {"enum": names[0]}
    if get_origin(base) is not None or is_typeddict(base):
        return _several(base, metadata)
    if base is bool:
        only = any(isinstance(rule, Rule) and rule.needed == "false" for rule in metadata)
        return {"const": False} if only else {"type": "boolean"}
    if base is str:
        return {"type": "string"} | ({"minLength": 1} if any(isinstance(rule, Rule) for rule in metadata) else {})
    return {"type": "integer" if base is int else "number"} | _bounds(metadata)


def _several(base: Any, metadata: list[Any]) -> dict[str, Any]:
    """Describe alternatives, lists and tables."""
    if is_typeddict(base):
        inner = {name: _value(hint) for name, hint in base.__annotations__.items()}
        return {"type": "object", "properties": inner, "additionalProperties": False}
    parts = tuple(part for part in get_args(base) if part is not NoneType)
    if get_origin(base) in (Union, UnionType):
        if set(parts) == {int, float}:
            return {"type": "number"} | _bounds(metadata)
        forms = [_value(part) for part in parts]
        return forms[0] if len(forms) == 1 else {"anyOf": forms}
    if get_origin(base) is Literal:
        return {"enum": list(parts)}
    if get_origin(base) is tuple:
        return {"type": "array", "items": _value(parts[0])}
    return {"type": "object"} | ({} if parts[1] is Any else {"additionalProperties": _value(parts[1])})


SECTION = re.compile(r"^\s*\w[\w ]*\n\s*---", re.MULTILINE)  # the heading of a section in numpydoc
BOUNDS = {"ge": "minimum", "gt": "exclusiveMinimum", "le": "maximum", "lt": "exclusiveMaximum"}


def _bounds(metadata: list[Any]) -> dict[str, Any]:
    limits = [rule for rule in metadata if isinstance(rule, Interval)]
    return {
        word: getattr(limit, name)
        for limit in limits
        for name, word in BOUNDS.items()
        if getattr(limit, name) is not None
    }


# The page of all settings


def settings_page() -> str:
    """Write the page of all settings."""
    lines = [
        "# Settings",
        "",
        "Look up every table and key of the configuration here (`encoding schema --format markdown` writes this page).",
        "An editor that supports JSON schemas completes and checks a configuration: run `encoding schema >",
        "encoding.schema.json`, and write `#:schema encoding.schema.json` as the first line of the file.",
        "",
        "[Keys that belong to no table](#keys-that-belong-to-no-table)"
        + "".join(f" · [`{_bracket(table)}`](#{table.name})" for table in tables()),
        "",
        "## Keys that belong to no table",
        "",
        *_rows(General, examples()),
    ]
    for table in tables():
        lines += ["", f"## {table.name}", ""]
        for kind in table.kinds:
            if kind.names:
                words = " or ".join(f'`kind = "{name}"`' for name in kind.names)
                default = " (the default)" if table.default in kind.names else ""
                lines += [f"### `{_bracket(table)}` {words}{default}", ""]
            else:
                lines += [f"`{_bracket(table)}`", ""]
            if kind.cls in SETTINGS:
                rows = _rows(kind.cls, _first(examples_of(table, kind)), without="kind" if kind.names else "")
                lines += [_summary(kind.cls), "", *rows, ""]
        lines.pop()
    return "\n".join(lines).rstrip() + "\n"


def _bracket(table: Table) -> str:
    return f"[[{table.name}]]" if table.several else f"[{table.name}]"


def _rows(cls: type, given: Mapping[str, Any], without: str = "") -> Iterator[str]:
    yield "| key | meaning | what is allowed | unit | default | example |"
    yield "|---|---|---|---|---|---|"
    descriptions = descriptions_of(cls)
    for name, annotation in annotations_of(cls).items():
        if name == without and len(_alternatives(annotation)) < 2:
            continue
        field = _fields(cls)[name]
        default = _default(field)
        written = "*required*" if _is_required(field) else "" if default in (None, "") else f"`{shown(default)}`"
        example = f"`{shown(given[name])}`" if name in given else ""  # plugins have none
        meaning = _text(descriptions[name])
        cells = (f"`{name}`", meaning, needed(annotation), _unit(annotation), written, example)
        yield "| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in cells) + " |"


def _alternatives(annotation: Any) -> list[str]:
    return [name for rule in unwrap(annotation)[1] if isinstance(rule, OneOf) for name in rule.names]


def _meaning(text: str, annotation: Any) -> str:
    unit = _unit(annotation)
    return _text(text).replace("``", "`") + (f" Unit: {unit}." if unit else "")


def _text(text: str) -> str:
    return " ".join(text.replace("``", "`").split())


def _unit(annotation: Any) -> str:
    base, metadata = unwrap(annotation)
    for rule in metadata:
        if isinstance(rule, Unit):
            return rule.name
    inner = get_args(base) if get_origin(base) in (Union, UnionType, tuple) else ()
    return next((unit for part in inner if part is not Ellipsis for unit in [_unit(part)] if unit), "")


def _summary(cls: type) -> str:
    """Return the docstring of a class, up to its sections, as one paragraph."""
    return _text(SECTION.split(cls.__doc__ or "")[0])


def _fields(cls: type) -> Mapping[str, dataclasses.Field[Any]]:
    return {field.name: field for field in dataclasses.fields(cls)}


def _is_required(field: dataclasses.Field[Any]) -> bool:
    return field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING


def _default(field: dataclasses.Field[Any]) -> Any:
    """Return the default as TOML has it; None where there is none."""
    if field.default is dataclasses.MISSING:
        return None
    return json.loads(json.dumps(field.default))

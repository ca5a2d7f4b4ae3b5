"""Settings that check themselves: pydantic dataclasses whose errors are written in the words of the configuration.

A class describes one table of the configuration. Its annotations say what is allowed, and the docstring under each
field says what the field means; messages, the JSON schema and the page of all settings are made from these alone.
"""

import ast
import dataclasses
import datetime
import difflib
import functools
import inspect
import itertools
import textwrap
from collections.abc import Callable, Collection, Iterable, Mapping
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, TypeVar, Union, dataclass_transform, get_args, get_origin

import numpy as np
from annotated_types import Interval
from pydantic import ConfigDict, GetCoreSchemaHandler, ValidationError
from pydantic.dataclasses import dataclass as pydantic_dataclass
from pydantic_core import CoreSchema, PydanticCustomError, core_schema
from typing_extensions import is_typeddict

from .errors import ConfigError, EncodingError, suggest

T = TypeVar("T")
LARGEST = 10**9  # no count or quantity is larger, and nothing below it overflows later
CONFIG = ConfigDict(strict=True, extra="forbid", allow_inf_nan=False)
SETTINGS: dict[type, str] = {}  # every class of settings, and the table that it describes
WIDTH = 100  # characters of a wrong value that are repeated in a message


@dataclasses.dataclass(frozen=True)
class Rule:
    """A condition on a value, for use in `Annotated`."""

    needed: str  # What is needed, as the subject of "... is needed"
    # Returns True for values that are allowed; None if the type says it all and only the words are missing
    holds: Callable[[Any], bool] | None = None
    several: str = ""  # What is needed in a list of such values

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_after_validator_function(self._check, handler(source))

    def _check(self, value: Any) -> Any:
        if self.holds is not None and not self.holds(value):
            raise PydanticCustomError("rule", "not allowed")
        return value


@dataclasses.dataclass(frozen=True)
class OneOf:
    """Names that a string can be, for use in `Annotated`; a registry of names may grow after it is named here."""

    # What is allowed, or a function that imports it when it is needed
    source: Collection[str] | Callable[[], Collection[str]]

    @property
    def names(self) -> Collection[str]:
        """What is allowed."""
        return self.source() if callable(self.source) else self.source

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_after_validator_function(self._check, handler(source))

    def _check(self, value: str) -> str:
        if value not in self.names:
            raise PydanticCustomError("one_of", "not allowed")
        return value


@dataclasses.dataclass(frozen=True)
class Unit:
    """Unit of a number, for the page of settings; for use in `Annotated`."""

    name: str  # As it is shown ("s", "mm")


# A number stays as it was written (4 or 4.0), since settings are part of the keys of results.
Number = Annotated[int | float, Interval(ge=-LARGEST, le=LARGEST)]
Positive = Annotated[int | float, Interval(gt=0, le=LARGEST)]
NotNegative = Annotated[int | float, Interval(ge=0, le=LARGEST)]
Probability = Annotated[int | float, Interval(ge=0, le=1)]
Count = Annotated[int, Interval(ge=1, le=LARGEST)]
CountOrZero = Annotated[int, Interval(ge=0, le=LARGEST)]
Seed = Annotated[int, Interval(ge=0, le=2**32 - 1)]
Text = Annotated[str, Rule("a string that is not empty", bool, "strings that are not empty")]
No = Annotated[bool, Rule("false", lambda value: not value)]


def distinct(values: Iterable[Any]) -> bool:
    """Return True if there are values and none occurs twice."""
    values = list(values)
    return bool(values) and len(set(values)) == len(values)


@dataclass_transform(frozen_default=True, field_specifiers=(dataclasses.field,))
def settings(table: str, *, kw_only: bool = False) -> Callable[[type[T]], type[T]]:
    """Make a class the description of a table: a frozen dataclass with slots that checks every value.

    The constructor turns lists and arrays into tuples and NumPy scalars into Python's, and raises `ConfigError` for
    everything that the annotations do not allow. Rules across fields are checked in ``__post_init__``, which raises
    `ConfigError` with the bare message; the name of the table is put in front of it.
    """

    def decorate(cls: type[T]) -> type[T]:
        made: Any = pydantic_dataclass(frozen=True, slots=True, kw_only=kw_only, config=CONFIG)(cls)
        construct = made.__init__

        @functools.wraps(construct)
        def init(self: T, *args: Any, **values: Any) -> None:
            try:
                construct(self, *map(plain, args), **{key: plain(value) for key, value in values.items()})
            except ValidationError as error:
                names = [field.name for field in dataclasses.fields(made) if field.init and not field.kw_only]
                raise _translated(error, made, dict(zip(names, args, strict=False)) | values) from None

        made.__init__ = init
        SETTINGS[made] = table
        return made

    return decorate


def plain(value: Any) -> Any:
    """Turn lists and arrays into tuples, at every depth and in tables, and NumPy scalars into those of Python."""
    if isinstance(value, np.ndarray | np.generic):
        value = value.tolist()
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    return tuple(plain(item) for item in value) if isinstance(value, list | tuple) else value


def annotations_of(cls: type) -> dict[str, Any]:
    """Map the fields of a class of settings, in their order, to their annotations."""
    fields: Mapping[str, Any] = getattr(cls, "__pydantic_fields__")  # noqa: B009 (no attribute for type checkers)
    return {name: info.rebuild_annotation() for name, info in fields.items() if info.init is not False}


@functools.cache
def descriptions_of(cls: type) -> dict[str, str]:
    """Map the fields of a class of settings, inherited ones included, to the docstrings under them."""
    # Read on demand: `use_attribute_docstrings` of pydantic does the same while a class is made, and parsing all
    # modules at every start takes three times as long as making the classes.
    found: dict[str, str] = {}
    for base in reversed([base for base in cls.__mro__ if base in SETTINGS]):
        body = getattr(ast.parse(textwrap.dedent(inspect.getsource(base))).body[0], "body")  # noqa: B009
        for field, text in itertools.pairwise(body):
            if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name) and isinstance(text, ast.Expr):
                found[field.target.id] = inspect.cleandoc(ast.literal_eval(text.value))
    return {name: found[name] for name in annotations_of(cls) if name in found}


# From errors of pydantic to ours


def _translated(error: ValidationError, cls: type, given: Mapping[str, Any]) -> EncodingError:
    """Write what is wrong in the words of the configuration: unknown keys first, then missing ones, then values."""
    found = error.errors(include_url=False)
    known = annotations_of(cls)
    where, subject = _where(SETTINGS[cls], given)
    unknown = [key for key in given if key not in known]
    if unknown:
        return ConfigError(f"{subject}unknown key {unknown[0]!r}. {suggest(unknown[0], known)}")
    if any(one["type"] == "unexpected_positional_argument" for one in found):
        return ConfigError(f"{subject}at most {len(known)} values are needed.")
    missing = [name for name in known if name not in given]
    for one in found:
        key = one["loc"][0] if one["loc"] else None
        if one["type"] in ("missing", "missing_argument") and len(one["loc"]) == 1:
            return ConfigError(f"{subject}key {key if key in missing else missing[0]!r} is missing.")
    first = found[0]
    raised = first.get("ctx", {}).get("error")
    if isinstance(raised, EncodingError):
        return type(raised)(f"{where}{raised}")
    key = first["loc"][0] if isinstance(first["loc"][0], str) else list(known)[int(first["loc"][0])]
    return ConfigError(f"{where}{refusal(key, given[key], known[key], found)}")


def _where(table: str, given: Mapping[str, Any]) -> tuple[str, str]:
    """Name a table, and which one it is where there can be several: before a key, and before a sentence."""
    names = given.get("name") or given.get("bands")
    name = names
    if isinstance(names, list | tuple) and all(isinstance(part, str) for part in names):
        name = "+".join(names)
    if table.startswith("[[") and isinstance(name, str) and name:
        return (f"{table} {name!r}: ",) * 2
    return (f"{table} ", f"{table}: ") if table else ("", "")


def refusal(key: str, value: Any, annotation: Any, found: Iterable[Mapping[str, Any]] = ()) -> str:
    """Describe the value of a key and what is needed, with the nearest allowed name."""
    inner = _table_of(annotation)
    if inner is not None and isinstance(value, Mapping):
        keys = [str(one["loc"][1]) for one in found if len(one["loc"]) > 1]
        known = inner.__annotations__
        unknown = [name for name in keys if name not in known]
        if unknown:
            return f"{key}: unknown key {unknown[0]!r}. {suggest(unknown[0], known)}"
        key, value, annotation = f"{key}.{keys[0]}", value[keys[0]], known[keys[0]]
    wrong = [one["input"] for one in found if isinstance(one["input"], str)]
    wrong += [value] if isinstance(value, str) else []
    near = [match for name in wrong for match in difflib.get_close_matches(name, sorted(_names_in(annotation)), n=1)]
    numbers = value if isinstance(value, tuple | list) else [value]
    large = any(isinstance(number, int) and _absurd(number) for number in numbers)
    hint = f" (did you mean {near[0]!r}?)" if near else " (it is too large)" if large else ""
    return f"{key} = {shown(value)}: {needed(annotation)} is needed{hint}."


def shown(value: Any) -> str:
    """Write a value as the configuration would have it, shortened if it is long."""
    text = _toml(value)
    return text if len(text) <= WIDTH else f"{text[: WIDTH - 4]} ..."


def _toml(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, np.ndarray | np.generic):
        value = value.tolist()
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_toml, value))}]"
    if isinstance(value, Mapping):
        return f"{{ {', '.join(f'{key} = {_toml(item)}' for key, item in value.items())} }}" if value else "{}"
    return value.isoformat() if isinstance(value, datetime.date | datetime.time) else repr(value)


# From annotations to words


def needed(annotation: Any) -> str:
    """Describe what a key needs.

    Examples
    --------
    >>> needed(tuple[Count, ...] | Literal["all"])
    "a list of integers of 1 or more, or 'all'"
    """
    return _words(annotation, 1)


def _words(annotation: Any, n: int) -> str:
    """Write what is allowed, of one value (n = 1) or of several."""
    *first, last = _alternatives(annotation, n)
    comma = "," if any(" of " in part or " with " in part for part in first) else ""
    return f"{', '.join(first)}{comma} or {last}" if first else last


def _alternatives(annotation: Any, n: int) -> list[str]:
    base, metadata = unwrap(annotation)
    for rule in reversed(metadata):
        if isinstance(rule, Rule):
            return [rule.needed if n == 1 else rule.several or rule.needed]
        if isinstance(rule, OneOf):
            return [repr(name) for name in rule.names]
    arguments = get_args(base)
    if get_origin(base) in (Union, UnionType):
        parts = [part for part in arguments if part is not NoneType]
        if set(parts) != {int, float}:
            return [words for part in parts for words in _alternatives(part, n)]
        base = float
    if get_origin(base) is Literal:
        return [_toml(name) for name in arguments]
    if get_origin(base) is tuple:
        return [f"{'a list' if n == 1 else 'lists'} {_items(arguments)}"]
    if base is bool:
        return ["true", "false"]
    return [WORDS.get(base, ("a table", "tables"))[n > 1] + _bounds(metadata)]


WORDS: dict[Any, tuple[str, str]] = {
    int: ("an integer", "integers"),
    float: ("a number", "numbers"),
    str: ("a string", "strings"),
}


def _items(items: tuple[Any, ...]) -> str:
    """Write what a list holds."""
    if items[-1] is not Ellipsis:
        return f"of {len(items)}: {', '.join(_words(item, 1) for item in items)}"
    names = _alternatives(items[0], 2)
    return f"with any of {', '.join(names)}" if len(names) > 1 else f"of {names[0]}"


def _bounds(metadata: Iterable[Any]) -> str:
    """Write the bounds of a number; those that only keep absurd numbers out are not worth a word."""
    for bounds in reversed(list(metadata)):
        if not isinstance(bounds, Interval):
            continue
        open_below, open_above = bounds.ge is None, bounds.le is None
        low, high = bounds.gt if open_below else bounds.ge, bounds.lt if open_above else bounds.le
        lower = "" if _absurd(low) else f" above {_amount(low)}" if open_below else f" from {_amount(low)}"
        if _absurd(high):
            return lower.replace(" from ", " of ") + (" or more" if lower and not open_below else "")
        upper = f" below {_amount(high)}" if open_above else f" to {_amount(high)}"
        joined = " to" if open_above and not open_below else " and" if open_above else " up" if open_below else ""
        return f"{lower}{joined}{upper}"
    return ""


def _absurd(number: Any) -> bool:
    return abs(number) >= LARGEST


def _amount(number: Any) -> str:
    return f"{number:,}" if isinstance(number, int) else f"{number:g}"


def unwrap(annotation: Any) -> tuple[Any, list[Any]]:
    """Split an annotation into its type and its metadata."""
    metadata: list[Any] = []
    while get_origin(annotation) is Annotated:
        annotation, *inner = get_args(annotation)
        metadata = [*metadata, *inner]
    return annotation, metadata


def _names_in(annotation: Any) -> set[str]:
    """Collect every string that an annotation names."""
    base, metadata = unwrap(annotation)
    names = {name for rule in metadata if isinstance(rule, OneOf) for name in rule.names}
    if get_origin(base) is Literal:
        return names | {name for name in get_args(base) if isinstance(name, str)}
    return names.union(*(_names_in(part) for part in get_args(base) if part is not Ellipsis))


def _table_of(annotation: Any) -> type | None:
    """Find the `TypedDict` that describes an inline table, if there is one."""
    base, _ = unwrap(annotation)
    parts = get_args(base) if get_origin(base) in (Union, UnionType) else (base,)
    return next((part for part in parts if is_typeddict(part)), None)

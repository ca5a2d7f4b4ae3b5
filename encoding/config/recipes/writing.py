"""Settings as TOML."""

import json
from collections.abc import Collection, Mapping
from typing import Any

Settings = tuple[str, ...]
WIDTH = 88


def write_toml(content: Mapping[str, Any], *, marked: Collection[Settings] = (), mark: str = "") -> str:
    """Write settings as TOML.

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
    plain = {key: value for key, value in content.items() if not _is_table(value) and not _is_tables(value)}
    parts = ["\n".join(_line(key, value, (key,) in marked, mark) for key, value in plain.items())] if plain else []
    for key, value in content.items():
        if key in plain:
            continue
        for table in value if isinstance(value, list) else [value]:
            whole = isinstance(value, list) and (key,) in marked
            head = f"[[{key}]]" if isinstance(value, list) else f"[{key}]"
            lines = [_line(name, item, whole or (key, name) in marked, mark) for name, item in table.items()]
            parts.append("\n".join([head, *lines]))
    return "\n\n".join(parts)


def _is_table(value: Any) -> bool:
    return isinstance(value, Mapping)


def _is_tables(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(item, Mapping) for item in value)


def _line(key: str, value: Any, marked: bool, mark: str) -> str:
    comment = f"  # {mark}" if marked else ""
    text = _value(value)
    if isinstance(value, list) and len(text) > WIDTH:
        rows = [""]
        for item in value:
            word = f"{_value(item)}, "
            if len(rows[-1]) + len(word) > WIDTH:
                rows.append("")
            rows[-1] += word
        text = "[\n" + "".join(f"  {row.rstrip()}\n" for row in rows) + "]"
    return f"{_key(key)} = {text}{comment}"


def _key(key: str) -> str:
    return key if key.replace("_", "").replace("-", "").isalnum() and key.isascii() else json.dumps(key)


def _value(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    if isinstance(value, Mapping):
        inside = ", ".join(f"{_key(key)} = {_value(item)}" for key, item in value.items())
        return f"{{ {inside} }}" if inside else "{}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(_value(item) for item in value)}]"
    return repr(value) if isinstance(value, int | float) else str(value)

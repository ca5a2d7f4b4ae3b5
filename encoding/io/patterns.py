"""Patterns of file names with entities in braces: ``features/task-{task}_run-{run}.npy``."""

import re
from collections.abc import Mapping
from pathlib import Path

from ..core import ConfigError

# Names in braces and the short names that BIDS has for them.
SHORT = {
    "subject": "sub", "session": "ses", "task": "task", "acquisition": "acq", "acq": "acq", "reconstruction": "rec",
    "rec": "rec", "direction": "dir", "dir": "dir", "run": "run",
}  # fmt: skip
BRACES = re.compile(r"\{([^{}]*)\}")


def check_file_pattern(pattern: str, key: str, extra: tuple[str, ...] = ()) -> tuple[str, ...]:
    """Return the names in braces of a pattern, each once; unknown ones are refused."""
    names = tuple(dict.fromkeys(BRACES.findall(pattern)))
    strange = [name for name in names if name not in SHORT and name not in extra]
    if strange or "{" in BRACES.sub("", pattern) or "}" in BRACES.sub("", pattern):
        raise ConfigError(
            f"{key} is {pattern!r}, but in braces there can only be {', '.join((*SHORT, *extra))}, for instance "
            f'"features/task-{{task}}_run-{{run}}.npy".'
        )
    return names


def plain_label(value: str) -> str:
    """Make ``1`` and ``01`` equal."""
    return str(int(value)) if value.isdigit() else value


def expression_of(pattern: str) -> re.Pattern[str]:
    """Make the regular expression of a pattern; a name that occurs twice has one value, and values have no ``/``."""
    seen: set[str] = set()

    def group(name: str) -> str:
        if name in seen:
            return f"(?P={name})"
        seen.add(name)
        return f"(?P<{name}>{'[^/]+?' if name == 'stimulus' else '[A-Za-z0-9+]+'})"

    parts = BRACES.split(pattern)
    return re.compile("".join(group(part) if number % 2 else re.escape(part) for number, part in enumerate(parts)))


def find_files(pattern: str, base: Path) -> list[tuple[dict[str, str], Path]]:
    """Find the files of a pattern relative to a folder, with the value of every name in braces."""
    expression, absolute = expression_of(pattern), pattern.startswith("/")
    parts = BRACES.split(pattern)
    glob = "".join("*" if number % 2 else _escaped(part) for number, part in enumerate(parts))
    root = Path("/") if absolute else base
    found = []
    for path in sorted(root.glob(glob.lstrip("/"))):
        matched = expression.fullmatch(path.as_posix() if absolute else path.relative_to(base).as_posix())
        if matched and path.is_file():
            found.append((matched.groupdict(), path))
    return found


def _escaped(text: str) -> str:
    """Keep the characters of a name that would be wildcards."""
    return re.sub(r"([*?\[])", r"[\1]", text)


def recording_name(values: Mapping[str, str]) -> str:
    """Name a recording by what chooses it (``task-movie_run-1``); a stimulus names itself."""
    if "stimulus" in values:
        return values["stimulus"]
    return "_".join(f"{SHORT[name]}-{plain_label(values[name])}" for name in SHORT if name in values)


def fits(values: Mapping[str, str], entities: Mapping[str, str]) -> bool:
    """Return True if values of a pattern are those of short entities, where these have them."""
    return all(
        plain_label(value) == plain_label(entities[SHORT[name]])
        for name, value in values.items()
        if name in SHORT and SHORT[name] in entities
    )

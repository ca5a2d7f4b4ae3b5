"""Files as their BIDS entities, and the rules by which files belong together."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...core import DataError

# Entities that tell one recording from another, under the names that pybids gives them.
RUN_ENTITIES = ("session", "task", "acquisition", "ceagent", "reconstruction", "direction", "run")
SHORT = {
    "subject": "sub", "session": "ses", "acquisition": "acq", "ceagent": "ce", "reconstruction": "rec",
    "direction": "dir",
}  # fmt: skip
LONG = {short: name for name, short in SHORT.items()} | {"resolution": "res", "density": "den"}
# Entity: the key of [load] that chooses among its values.
SETTINGS = {"space": "space", "res": "res", "den": "density", "desc": "desc", "task": "task"}


@dataclass(frozen=True, slots=True)
class EntityFile:
    """A file and what its name says."""

    path: Path  # The file
    # Entities, suffix and extension under pybids' names, values as they are written (``01``)
    entities: dict[str, str]

    def get(self, name: str) -> str:
        """Return the value of an entity."""
        return self.entities.get(name, "")

    @property
    def run_name(self) -> str:
        """The entities that tell recordings apart, joined as in a file name."""
        return "_".join(f"{SHORT.get(name, name)}-{self.get(name)}" for name in RUN_ENTITIES if self.get(name))


def plain(value: Any) -> str:
    """Make ``1`` and ``01`` equal."""
    text = str(value)
    return str(int(text)) if text.isdigit() else text


def run_key(file: EntityFile) -> tuple[str, ...]:
    """Identify the recording of a file."""
    return tuple(plain(file.get(name)) for name in RUN_ENTITIES)


def natural_order(key: Sequence[str]) -> tuple[tuple[int, int, str], ...]:
    """Sort numbers as numbers."""
    return tuple((0, int(part), "") if part.isdigit() else (1, 0, part) for part in key)


def agree(general: EntityFile, special: EntityFile) -> bool:
    """Return True if every run entity of `general` matches `special`.

    Parameters
    ----------
    general : EntityFile
        May leave entities out.
    special : EntityFile
        Must have those that `general` has.

    Returns
    -------
    bool
        True if they agree.
    """
    return all(
        not general.get(name) or plain(general.get(name)) == plain(special.get(name))
        for name in ("subject", *RUN_ENTITIES)
    )


def passes(file: EntityFile, name: str, value: Any) -> bool:
    """Return True if a file passes one entry of a filter file."""
    has = file.get(LONG.get(name, name))
    if value is None or value == "Query.NONE":
        return not has
    if value in ("*", "Query.ANY"):
        return bool(has)
    values = value if isinstance(value, list | tuple) else [value]
    return plain(has) in {plain(item) for item in values}


def short_labels(files: list[EntityFile]) -> dict[tuple[str, ...], str]:
    """Name recordings by session and run, and by whatever else is needed to tell them apart."""
    several = {name for name in RUN_ENTITIES if len({plain(file.get(name)) for file in files}) > 1}
    used = [name for name in RUN_ENTITIES if name in several or name in ("session", "run")]
    labels = {}
    for file in files:
        parts = [f"{SHORT.get(name, name)}-{file.get(name)}" for name in used if file.get(name)]
        labels[run_key(file)] = "_".join(parts) or f"task-{file.get('task')}"
    return labels


def one_per_hemisphere(files: list[EntityFile], where: str) -> tuple[EntityFile, EntityFile]:
    """Sort the two files of a surface run."""
    sides = {side: [file for file in files if file.get("hemi") == side] for side in ("L", "R")}
    for side, found in sides.items():
        if not found:
            raise DataError(
                f"{where}: no file for hemi-{side}, only {files[0].path.name}. Both hemispheres are needed."
            )
    return single(sides["L"], where), single(sides["R"], where)


def single(files: list[EntityFile], where: str) -> EntityFile:
    """Insist on one file; links to one file, of a folder that holds a link to itself say, are one."""
    different = list({file.path.resolve(): file for file in reversed(files)}.values())
    if len(different) == 1:
        return files[0]
    a, b = different[:2]
    differ = sorted(name for name in {*a.entities, *b.entities} if plain(a.get(name)) != plain(b.get(name)))
    settings = [f"`{SETTINGS[name]}`" for name in differ if name in SETTINGS]
    others = [name for name in differ if name not in (*SETTINGS, "extension", "suffix")]
    if settings:
        advice = f"Set {' or '.join(settings)} in [load]."
    elif others:
        advice = f"Choose {' or '.join(others)} with --bids-filter-file."
    else:
        advice = "Remove one of them."
    shown = (a.path.name, b.path.name) if a.path.name != b.path.name else (a.path, b.path)
    raise DataError(f"{where}: {len(different)} files match ({', '.join(map(str, shown))}). {advice}")


def only(files: list[EntityFile], where: str) -> Path | None:
    """Insist on at most one file."""
    return single(files, where).path if files else None


def closest(candidates: list[EntityFile], bold: EntityFile, where: str) -> Path | None:
    """Choose the file that applies to a recording by the inheritance principle."""
    fitting = [file for file in candidates if agree(file, bold)]
    if not fitting:
        return None
    most = max(len(file.entities) for file in fitting)
    return single([file for file in fitting if len(file.entities) == most], where).path

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
    """A file and what its name says.

    Attributes
    ----------
    path : Path
        The file.
    entities : dict of str to str
        Entities, suffix and extension under pybids' names, values as they are written (``01``).
    """

    path: Path
    entities: dict[str, str]

    def get(self, name: str) -> str:
        """Look an entity up.

        Parameters
        ----------
        name : str
            The entity.

        Returns
        -------
        str
            Its value, "" if the file has none.
        """
        return self.entities.get(name, "")

    @property
    def run_name(self) -> str:
        """The entities that tell recordings apart, joined as in a file name."""
        return "_".join(f"{SHORT.get(name, name)}-{self.get(name)}" for name in RUN_ENTITIES if self.get(name))


def plain(value: Any) -> str:
    """Make ``1`` and ``01`` equal.

    Parameters
    ----------
    value : object
        A label.

    Returns
    -------
    str
        Without leading zeros if it is a number.
    """
    text = str(value)
    return str(int(text)) if text.isdigit() else text


def run_key(file: EntityFile) -> tuple[str, ...]:
    """Identify the recording of a file.

    Parameters
    ----------
    file : EntityFile
        Any file of it.

    Returns
    -------
    tuple of str
        Equal for all files of one recording of a subject.
    """
    return tuple(plain(file.get(name)) for name in RUN_ENTITIES)


def natural_order(key: Sequence[str]) -> tuple[tuple[int, int, str], ...]:
    """Sort numbers as numbers.

    Parameters
    ----------
    key : sequence of str
        For example what `run_key` returns.

    Returns
    -------
    tuple
        To sort by.
    """
    return tuple((0, int(part), "") if part.isdigit() else (1, 0, part) for part in key)


def agree(general: EntityFile, special: EntityFile) -> bool:
    """Tell whether all that the first file says of its recording is true of the second.

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
    """Tell whether a file passes one entry of a filter file.

    Parameters
    ----------
    file : EntityFile
        The file.
    name : str
        Entity, in its short or its long form.
    value : object
        A value or a list of values; None (or "Query.NONE") for "must be absent", "*" (or "Query.ANY")
        for "must be there".

    Returns
    -------
    bool
        True if it passes.
    """
    has = file.get(LONG.get(name, name))
    if value is None or value == "Query.NONE":
        return not has
    if value in ("*", "Query.ANY"):
        return bool(has)
    values = value if isinstance(value, list | tuple) else [value]
    return plain(has) in {plain(item) for item in values}


def short_labels(files: list[EntityFile]) -> dict[tuple[str, ...], str]:
    """Name recordings by session and run, and by whatever else is needed to tell them apart.

    Parameters
    ----------
    files : list of EntityFile
        One per recording.

    Returns
    -------
    dict of tuple to str
        `run_key` to label.
    """
    several = {name for name in RUN_ENTITIES if len({plain(file.get(name)) for file in files}) > 1}
    used = [name for name in RUN_ENTITIES if name in several or name in ("session", "run")]
    labels = {}
    for file in files:
        parts = [f"{SHORT.get(name, name)}-{file.get(name)}" for name in used if file.get(name)]
        labels[run_key(file)] = "_".join(parts) or f"task-{file.get('task')}"
    return labels


def one_per_hemisphere(files: list[EntityFile], where: str) -> tuple[EntityFile, EntityFile]:
    """Sort the two files of a surface run.

    Parameters
    ----------
    files : list of EntityFile
        All files that match.
    where : str
        Subject and run, for messages.

    Returns
    -------
    tuple of EntityFile
        Left and right.

    Raises
    ------
    DataError
        If one is missing or there are several.
    """
    sides = {side: [file for file in files if file.get("hemi") == side] for side in ("L", "R")}
    for side, found in sides.items():
        if not found:
            raise DataError(
                f"{where}: no file for hemi-{side}, only {files[0].path.name}. Both hemispheres are needed."
            )
    return single(sides["L"], where), single(sides["R"], where)


def single(files: list[EntityFile], where: str) -> EntityFile:
    """Insist on one file.

    Parameters
    ----------
    files : list of EntityFile
        At least one.
    where : str
        Subject and run, for messages.

    Returns
    -------
    EntityFile
        The only one.

    Raises
    ------
    DataError
        If there are several; the message says by which setting to choose.
    """
    if len(files) == 1:
        return files[0]
    a, b = files[:2]
    differ = sorted(name for name in {*a.entities, *b.entities} if plain(a.get(name)) != plain(b.get(name)))
    settings = [f"`{SETTINGS[name]}`" for name in differ if name in SETTINGS]
    others = [name for name in differ if name not in (*SETTINGS, "extension", "suffix")]
    if settings:
        advice = f"Set {' or '.join(settings)} in [load]."
    elif others:
        advice = f"Choose {' or '.join(others)} with --bids-filter-file."
    else:
        advice = "Remove one of them."
    raise DataError(f"{where}: {len(files)} files match ({a.path.name}, {b.path.name}). {advice}")


def only(files: list[EntityFile], where: str) -> Path | None:
    """Insist on at most one file.

    Parameters
    ----------
    files : list of EntityFile
        What matches.
    where : str
        Subject and run, for messages.

    Returns
    -------
    Path or None
        None if there is none.

    Raises
    ------
    DataError
        If there are several.
    """
    return single(files, where).path if files else None


def closest(candidates: list[EntityFile], bold: EntityFile, where: str) -> Path | None:
    """Choose the file that applies to a recording by the inheritance principle.

    Parameters
    ----------
    candidates : list of EntityFile
        Files of one kind.
    bold : EntityFile
        The recording.
    where : str
        Subject and run, for messages.

    Returns
    -------
    Path or None
        Of those whose entities all agree, the one that has most of them; None if none agrees.

    Raises
    ------
    DataError
        If two are equally close.
    """
    fitting = [file for file in candidates if agree(file, bold)]
    if not fitting:
        return None
    most = max(len(file.entities) for file in fitting)
    return single([file for file in fitting if len(file.entities) == most], where).path

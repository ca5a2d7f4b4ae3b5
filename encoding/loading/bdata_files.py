"""Which bdata files belong to whom: patterns of names with the number of a subject and of a session."""

import re
from collections.abc import Sequence
from pathlib import Path

from ..core import ConfigError, DataError, Exclusion

PLACES = {"number": r"[1-9][0-9]*", "subject": r"[A-Za-z0-9]+", "session": r"[1-9][0-9]*"}


def check_pattern(pattern: str) -> None:
    """Refuse a pattern of file names that cannot tell subjects apart."""
    names = set(re.findall(r"\{([^{}]*)\}", pattern))
    strange = names - set(PLACES)
    if strange or "{" in re.sub(r"\{[a-z]+\}", "", pattern) or not names & {"number", "subject"}:
        raise ConfigError(
            f'file is {pattern!r}, but for kind = "bdata" a path with {{number}} (1 for sub-01) or {{subject}} '
            f"(01 for sub-01) is needed, and {{session}} where each session has a file, for instance "
            f'"fmri_Subject{{number}}_Session{{session}}.h5".'
        )


def bdata_subjects(pattern: str, folder: Path) -> list[str]:
    """Find the subjects that have files.

    Parameters
    ----------
    pattern : str
        As for `check_pattern`, relative to the folder.
    folder : Path
        The data set.

    Returns
    -------
    list of str
        Labels in order; numbers get two digits.

    Examples
    --------
    >>> from encoding.loading import bdata_subjects
    >>> Path("bdata").mkdir()
    >>> Path("bdata/S1.h5").touch()
    >>> bdata_subjects("bdata/{subject}.h5", Path("."))
    ['S1']
    """
    labels = {
        found["subject"] if "subject" in found else f"{int(found['number']):02d}"
        for _, found in _found(pattern, folder)
    }
    return sorted(labels)


def bdata_sources(
    pattern: str, folder: Path, subject: str, *, exclude_missing: bool
) -> tuple[list[tuple[int, Path]], list[Exclusion]]:
    """Find the files of a subject."""
    filled = pattern.replace("{subject}", subject)
    if "{number}" in filled:
        if not re.fullmatch(r"0*[1-9][0-9]*", subject):
            raise DataError(
                f"sub-{subject}: file = {pattern!r} in [load] needs the number of the subject, but its label is none. "
                f"Use {{subject}} in the pattern."
            )
        filled = filled.replace("{number}", str(int(subject)))
    if "{session}" not in filled:
        path = folder / filled
        if not path.is_file():
            there = ", ".join(f"sub-{label}" for label in bdata_subjects(pattern, folder)) or "no subject"
            raise DataError(
                f"{path}: no such file (file = {pattern!r} in [load], for sub-{subject}). The pattern finds {there} in "
                f"{folder}."
            )
        return [(0, path)], []
    sources = sorted((int(found["session"]), path) for path, found in _found(filled, folder))
    numbers = [number for number, _ in sources]
    if not sources:
        raise DataError(
            f"{folder / filled}: no such file for any {{session}} (file = {pattern!r} in [load], for sub-{subject})."
        )
    missing = [number for number in range(1, numbers[-1] + 1) if number not in numbers]
    if not missing:
        return sources, []
    text = f"sub-{subject}: no file of session {', '.join(map(str, missing))} ({folder / filled})"
    if not exclude_missing:
        raise DataError(
            f'{text}; there is {", ".join(map(str, numbers))}. Download it, or set missing_runs = "exclude" in [load].'
        )
    return sources, [Exclusion("runs", len(missing), f"{text}: all of its runs")]


def first_bdata_file(pattern: str, folder: Path, subject: str) -> Path:
    """Find the file whose masks are used for all files of a subject.

    Parameters
    ----------
    pattern : str
        As for `check_pattern`.
    folder : Path
        The data set.
    subject : str
        Label without ``sub-``.

    Returns
    -------
    Path
        The file of the first session, or of all.

    Examples
    --------
    >>> from encoding.loading import first_bdata_file
    >>> Path("released").mkdir()
    >>> Path("released/S1.h5").touch()
    >>> first_bdata_file("released/{subject}.h5", Path("."), "S1").name
    'S1.h5'
    """
    return bdata_sources(pattern, folder, subject, exclude_missing=True)[0][0][1]


def chosen_sessions(found: Sequence[int], wanted: Sequence[str], where: str) -> list[int]:
    """Turn session labels of the command line into numbers."""
    if not wanted:
        return list(found)
    numbers = {f"{number:02d}": number for number in found} | {str(number): number for number in found}
    strange = [label for label in wanted if label not in numbers]
    if strange:
        known = ", ".join(f"{number:02d}" for number in found)
        raise DataError(f"{where}: there is no session {strange[0]!r}. The files hold {known or 'no session numbers'}.")
    return sorted({numbers[label] for label in wanted})


def _found(pattern: str, folder: Path) -> list[tuple[Path, dict[str, str]]]:
    """List the files that match, with what stands for the names in braces."""
    expression, seen = "", set()
    for part in re.split(r"(\{[a-z]+\})", pattern):
        name = part[1:-1] if part.startswith("{") and part.endswith("}") else ""
        if not name:
            expression += re.escape(part)
        elif name in seen:
            expression += f"(?P={name})"
        else:
            expression += f"(?P<{name}>{PLACES[name]})"
            seen.add(name)
    paths = sorted(folder.glob(re.sub(r"\{[a-z]+\}", "*", re.sub(r"([*?[])", r"[\1]", pattern))))
    matches = [
        (path, re.fullmatch(expression, path.relative_to(folder).as_posix())) for path in paths if path.is_file()
    ]
    return [(path, match.groupdict()) for path, match in matches if match is not None]

"""Files that are listed but not there: links into git-annex, and pointers of annex and Git LFS."""

import os
import shlex
from collections.abc import Iterable
from pathlib import Path

from ..core import DataError

# An unlocked annexed file, or one of Git LFS, holds a few lines that say where its content is.
POINTERS = (b"/annex/objects/", b"version https://git-lfs.github.com/spec/")
POINTER_BYTES = 32 * 1024  # git-annex reads no larger file as a pointer
SHOWN = 5


def is_unfetched(path: Path) -> bool:
    """Return True if a name is there, but its content is elsewhere."""
    try:
        if path.stat().st_size > POINTER_BYTES:
            return False
        with path.open("rb") as stream:
            return stream.read(64).startswith(POINTERS)
    except FileNotFoundError:
        return path.is_symlink()
    except OSError:
        return False


def absent(path: Path, advice: str = "") -> DataError:
    """Make the error for a file that cannot be found: never there, or not fetched."""
    if is_unfetched(path):
        return unfetched_error([path])
    return DataError(f"{path}: no such file.{f' {advice}' if advice else ''}")


def require_content(path: Path) -> None:
    """Raise `DataError` if a file is a pointer to content that was not fetched."""
    if is_unfetched(path):
        raise unfetched_error([path])


def require_fetched(paths: Iterable[Path], who: str = "") -> None:
    """Raise one `DataError` for all files that were not fetched, with the command that fetches them."""
    missing = [path for path in paths if is_unfetched(path)]
    if missing:
        raise unfetched_error(missing, who)


def unfetched_error(paths: list[Path], who: str = "") -> DataError:
    """Describe how many files are missing, and the command that fetches them."""
    root = _repository(paths[0])
    command = "git lfs pull" if _is_lfs(paths[0]) else "datalad get"
    named = [shlex.quote(os.path.relpath(path, root)) for path in paths[:SHOWN]]
    there = "" if len(paths) <= SHOWN else f" (and {len(paths) - SHOWN} more; `{command} .` takes everything)"
    arguments = "" if command.startswith("git lfs") else f" {' '.join(named)}"
    return DataError(
        f"{f'{who}: ' if who else ''}{len(paths)} file{'s' if len(paths) > 1 else ''} of the dataset "
        f"{'were' if len(paths) > 1 else 'was'} not fetched, the first is {paths[0]}. Run: cd {shlex.quote(str(root))} "
        f"&& {command}{arguments}{there}"
    )


def _is_lfs(path: Path) -> bool:
    try:
        with path.open("rb") as stream:
            return stream.read(64).startswith(POINTERS[1])
    except OSError:
        return False


def _repository(path: Path) -> Path:
    """Find the dataset that a file belongs to, or else its folder."""
    for folder in path.parents:
        if (folder / ".git").exists() or (folder / ".datalad").exists():
            return folder
    described = [folder for folder in path.parents if (folder / "dataset_description.json").is_file()]
    return described[0] if described else path.parent

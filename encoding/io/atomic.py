"""Nothing half-written ever stands under its final name."""

import csv
import errno
import json
import os
import re
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from ..core import DataError

TOKEN = 12  # hexadecimal digits that make a temporary name unique
BREAKS = re.compile(r"[\t\r\n]")


# How temporary names begin; `sweep` removes what a process that was killed has left under them.
PREFIXES = (".tmp-", ".old-")
LONGEST = 150  # characters of the final name that a temporary one repeats; file systems take 255 bytes in all
FULL = {errno.ENOSPC, errno.EDQUOT}
SHORT = re.compile(r"\d+ requested and \d+ written")
FORBIDDEN = {errno.EACCES, errno.EPERM, errno.EROFS}


@contextmanager
def clean_errors(path: str | Path, n_bytes: int = 0) -> Iterator[None]:
    """Turn errors of a disk that is full or may not be written to into a `DataError` with one clean sentence."""
    try:
        yield
    except OSError as error:
        # numpy tells of a short write without a number.
        if error.errno not in FULL | FORBIDDEN and not SHORT.search(str(error)):
            raise
        raise DataError(disk_error(error, path, n_bytes)) from error


def disk_error(error: OSError, path: str | Path, n_bytes: int = 0) -> str:
    """Describe what the disk lacks, and what to do."""
    if error.errno in FULL or SHORT.search(str(error)):
        missing = ""
        with suppress(OSError):  # without the figures the message still holds
            free = shutil.disk_usage(_existing(Path(path))).free
            needed = f"{_megabytes(n_bytes)} are needed, " if n_bytes else ""
            missing = f" ({needed}{_megabytes(free)} are free)"
        return (
            f"{path}: the disk is full{missing}. Free some space, or choose another --work-dir; then run the same "
            f"command again: it goes on where it stopped."
        )
    place = error.filename or path
    return f"{place}: cannot be written ({error.strerror}). Check the permissions of the folder, or choose another."


def _existing(path: Path) -> Path:
    return next(folder for folder in (path, *path.absolute().parents) if folder.exists())


def _megabytes(n_bytes: int) -> str:
    return f"{n_bytes / 1e6:.0f} MB"


def reserve(path: Path, n_bytes: int) -> None:
    """Reserve the blocks of a file on disk before it is mapped.

    A page of a sparse file that finds the disk full kills the process (SIGBUS); here it is an error.
    """
    with clean_errors(path, n_bytes), path.open("r+b") as stream:
        if n_bytes and hasattr(os, "posix_fallocate"):
            try:
                os.posix_fallocate(stream.fileno(), 0, n_bytes)
            except OSError as error:
                if error.errno not in (errno.EOPNOTSUPP, errno.ENOTSUP, errno.EINVAL, errno.ENOSYS):
                    raise


def sweep(folder: Path, pattern: str = "*") -> None:
    """Remove temporary files and folders of processes that were killed; the caller holds the lock of their results."""
    for prefix in PREFIXES:
        for left in folder.glob(f"{prefix}*-{pattern}"):
            if left.is_dir() and not left.is_symlink():
                shutil.rmtree(left, ignore_errors=True)
            else:
                left.unlink(missing_ok=True)


def temporary_name(path: Path, prefix: str = ".tmp-") -> Path:
    """Make a name that no other process uses: in two containers, process numbers are equal."""
    return path.with_name(f"{prefix}{secrets.token_hex(TOKEN // 2)}-{path.name[-LONGEST:]}")


def sync(path: Path) -> None:
    """Wait until a file or a folder is on the disk, so that a loss of power cannot take it after it was renamed."""
    number = os.open(path, os.O_RDONLY)
    try:
        os.fsync(number)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP, errno.EACCES, errno.EBADF):  # not on every file system
            raise
    finally:
        os.close(number)


def sync_folder(folder: Path) -> None:
    """Wait until a folder and all that is in it are on the disk."""
    for path in (*folder.rglob("*"), folder):
        sync(path)


@contextmanager
def atomic_file(path: str | Path) -> Iterator[Path]:
    """Write a file under a temporary name and rename it when the block ends well."""
    path = Path(path)
    temporary = temporary_name(path)
    with clean_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            yield temporary
            sync(temporary)
            temporary.replace(path)
            sync(path.parent)
        finally:
            temporary.unlink(missing_ok=True)


@contextmanager
def atomic_folder(path: str | Path) -> Iterator[Path]:
    """Fill a folder under a temporary name and rename it when the block ends well."""
    path = Path(path)
    temporary, old = temporary_name(path), temporary_name(path, ".old-")
    with clean_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary.mkdir()
        try:
            yield temporary
            sync_folder(temporary)
            if path.exists():
                path.rename(old)
            temporary.rename(path)
            sync(path.parent)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
            shutil.rmtree(old, ignore_errors=True)


def write_text(path: str | Path, text: str) -> Path:
    """Write a text file in one step."""
    with atomic_file(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
    return Path(path)


def write_json(path: str | Path, content: Any) -> Path:
    """Write a JSON file in one step."""
    return write_text(path, json.dumps(content, indent=2, ensure_ascii=False) + "\n")


def _one_line(cell: Any) -> Any:
    return " ".join(cell.split()) if isinstance(cell, str) and BREAKS.search(cell) else cell


def write_tsv(path: str | Path, frame: Any) -> Path:
    """Write a table as BIDS wants it: tabs, a header, "n/a" for what is missing."""
    # BIDS knows no quotation marks, so that a cell can hold neither a tab nor a line break.
    texts = frame.select_dtypes(include=["object", "string"]).columns
    plain = frame.assign(**{name: frame[name].map(_one_line, na_action="ignore") for name in texts})
    with atomic_file(path) as temporary:
        plain.to_csv(
            temporary, sep="\t", index=False, na_rep="n/a", float_format="%.6g", lineterminator="\n",
            quoting=csv.QUOTE_NONE,
        )  # fmt: skip
    return Path(path)

"""Nothing half-written ever stands under its final name."""

import csv
import json
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

BREAKS = re.compile(r"[\t\r\n]")


@contextmanager
def atomic_file(path: str | Path) -> Iterator[Path]:
    """Write a file under a temporary name and rename it when the block ends well.

    Parameters
    ----------
    path : str or Path
        The final name. Missing folders are made.

    Yields
    ------
    Path
        The temporary name, in the same folder and with the same extensions. It is removed if the block raises.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".tmp-{os.getpid()}-{path.name}")
    try:
        yield temporary
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def atomic_folder(path: str | Path) -> Iterator[Path]:
    """Fill a folder under a temporary name and rename it when the block ends well.

    Parameters
    ----------
    path : str or Path
        The final name; a folder that is already there is replaced.

    Yields
    ------
    Path
        An empty folder beside it. It is removed if the block raises.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".tmp-{os.getpid()}-{path.name}")
    old = path.with_name(f".old-{os.getpid()}-{path.name}")
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir()
    try:
        yield temporary
        if path.exists():
            path.rename(old)
        temporary.rename(path)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
        shutil.rmtree(old, ignore_errors=True)


def write_text(path: str | Path, text: str) -> Path:
    """Write a text file in one step.

    Parameters
    ----------
    path : str or Path
        The final name.
    text : str
        UTF-8 content.

    Returns
    -------
    Path
        The final name.
    """
    with atomic_file(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
    return Path(path)


def write_json(path: str | Path, content: Any) -> Path:
    """Write a JSON file in one step.

    Parameters
    ----------
    path : str or Path
        The final name.
    content : object
        Anything JSON can hold.

    Returns
    -------
    Path
        The final name.
    """
    return write_text(path, json.dumps(content, indent=2, ensure_ascii=False) + "\n")


def _one_line(cell: Any) -> Any:
    return " ".join(cell.split()) if isinstance(cell, str) and BREAKS.search(cell) else cell


def write_tsv(path: str | Path, frame: Any) -> Path:
    """Write a table as BIDS wants it: tabs, a header, "n/a" for what is missing.

    Parameters
    ----------
    path : str or Path
        The final name.
    frame : pandas.DataFrame
        The table; its index is not written.

    Returns
    -------
    Path
        The final name.
    """
    # BIDS knows no quotation marks, so that a cell can hold neither a tab nor a line break.
    texts = frame.select_dtypes(include=["object", "string"]).columns
    plain = frame.assign(**{name: frame[name].map(_one_line, na_action="ignore") for name in texts})
    with atomic_file(path) as temporary:
        plain.to_csv(
            temporary, sep="\t", index=False, na_rep="n/a", float_format="%.6g", lineterminator="\n",
            quoting=csv.QUOTE_NONE,
        )  # fmt: skip
    return Path(path)

"""Remove what must not be shared from results: labels of participants, and the paths of files."""

import re
import zlib
from base64 import b64decode
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import Any, TypeVar

import pandas as pd

from ..core import DataError, digest
from .figures import Canvas
from .results import Result

T = TypeVar("T")
# A path from the root of a disk, on any system; what stands for it says that something was there.
ABSOLUTE = re.compile(r"""(?<![\w.~/:<])(?:/(?:[\w.@+~-]+/)+[\w.@+~{}*?-]*|[A-Za-z]:\\[^\s"'<>]+)""")
TAKEN_OUT = "(path)"
PACKED = re.compile(r'id="data">([^<]*)<')


def new_labels(results: Sequence[Result]) -> dict[str, str]:
    """Assign every participant a new label, in an order unrelated to the old ones.

    Parameters
    ----------
    results : sequence of Result
        Participants.

    Returns
    -------
    dict of str to str
        New label ("P1") by old one; the same for the same results.

    Examples
    --------
    >>> from encoding.mapping import new_labels
    >>> sorted(new_labels([result, other]))
    ['01', '02']
    """
    order = sorted(results, key=lambda result: digest([result.summary.key, result.subject]))
    return {result.subject: f"P{number}" for number, result in enumerate(order, start=1)}


class Scrubber:
    """Replaces labels of participants and paths in texts, tables and nested containers.

    Parameters
    ----------
    labels : mapping of str to str
        New label of every participant, without ``sub-``.
    folders : iterable of Path
        Folders whose names must not be told.

    Examples
    --------
    >>> from encoding.mapping import Scrubber
    >>> Scrubber({"01": "A"}, [Path("/home/me")]).known("sub-01 in /home/me/data")
    'sub-A in (path)/data'
    """

    def __init__(self, labels: Mapping[str, str], folders: Iterable[Path]) -> None:
        self.labels = labels
        self.folders = sorted({str(folder) for folder in folders if len(folder.parts) > 1}, key=len, reverse=True)
        inner = "|".join(re.escape(label) for label in sorted(labels, key=len, reverse=True))
        self.marked = re.compile(rf"(?<![A-Za-z0-9])sub-({inner})(?![A-Za-z0-9])")
        # A label that cannot be anything else is also replaced where it stands by itself.
        telling = [label for label in labels if len(label) > 2 and not label.isdigit()]
        self.bare = (
            re.compile(rf"(?<![A-Za-z0-9])({'|'.join(map(re.escape, telling))})(?![A-Za-z0-9])") if telling else None
        )

    def text(self, text: str) -> str:
        """Replace what must not be told, and whatever looks like a path from the root of a disk.

        Parameters
        ----------
        text : str
            Any text.

        Returns
        -------
        str
            The text without it.
        """
        return self.known(ABSOLUTE.sub(TAKEN_OUT, text))

    def known(self, text: str) -> str:
        """Replace known folders and labels; safe for pages, whose pictures may look like paths.

        Parameters
        ----------
        text : str
            Any text.

        Returns
        -------
        str
            The text without them.
        """
        for folder in self.folders:
            text = text.replace(folder, TAKEN_OUT)
        text = self.marked.sub(lambda found: f"sub-{self.labels[found[1]]}", text)
        return text if self.bare is None else self.bare.sub(lambda found: self.labels[found[1]], text)

    def anything(self, value: Any) -> Any:
        """Replace in all texts inside a value, keys included.

        Parameters
        ----------
        value : object
            Texts, mappings, lists and tuples; all else is left as it is.

        Returns
        -------
        object
            The same with new texts.
        """
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, Mapping):
            return {self.text(str(key)): self.anything(one) for key, one in value.items()}
        if isinstance(value, tuple | list):
            return type(value)(self.anything(one) for one in value)
        return value

    def table(self, table: pd.DataFrame) -> pd.DataFrame:
        """Replace in every column of texts; the column "subject" holds bare labels.

        Parameters
        ----------
        table : pandas.DataFrame
            Any table.

        Returns
        -------
        pandas.DataFrame
            The same with new texts.
        """
        made = {}
        for name in table.columns:
            column = table[name]
            if name == "subject":
                made[name] = column.map(lambda label: self.labels.get(label, label))
            elif column.dtype == object or isinstance(column.dtype, pd.StringDtype):
                made[name] = column.map(self.anything)
        return table.assign(**made)

    def result(self, result: Result) -> Result:
        """Replace in all that a report shows of a participant.

        Parameters
        ----------
        result : Result
            One participant.

        Returns
        -------
        Result
            The same under the new label.
        """
        summary = result.summary
        told = {
            name: self.anything(getattr(summary, name))
            for name in ("runs", "fold_of_run", "config", "expanded", "warnings", "device")
        }
        summary = replace(
            summary, subject=self.labels[result.subject], settings=self.anything(summary.settings), **told
        )
        tables: dict[str, Any] = {
            one.name: self.table(getattr(result, one.name))
            for one in fields(result)
            if isinstance(getattr(result, one.name), pd.DataFrame)
        }
        return replace(result, summary=summary, **tables)

    def canvas(self, canvas: Canvas) -> Canvas:
        """Replace in what a drawing says of its mesh.

        Parameters
        ----------
        canvas : Canvas
            What maps are drawn on.

        Returns
        -------
        Canvas
            The same with new texts.
        """
        surfaces = replace(canvas.surfaces, missing=self.text(canvas.surfaces.missing))
        if surfaces.meshes is not None:
            meshes = surfaces.meshes
            meshes = replace(meshes, name=self.text(meshes.name), note=self.text(meshes.note))
            surfaces = replace(surfaces, meshes=meshes)
        return replace(canvas, surfaces=surfaces)


def require_clean(files: Iterable[Path], scrubber: Scrubber) -> None:
    """Raise an error if a file still holds a label or a path.

    Parameters
    ----------
    files : iterable of Path
        Everything that was written to be shared.
    scrubber : Scrubber
        What must not be in them.

    Raises
    ------
    DataError
        If one is found, in text or in what a page holds compressed; it names the file.

    Examples
    --------
    >>> from encoding.mapping import Scrubber, require_clean
    >>> characters = Path("page.html").write_text("made in /home/me")
    >>> try:
    ...     require_clean([Path("page.html")], Scrubber({"01": "A"}, [Path("/home/me")]))
    ... except encoding.EncodingError as error:
    ...     print(error)
    page.html: still holds '/home/me', which must not be shared. Take it out of names and settings.
    """
    for path in files:
        for text in _texts(path):
            found = [folder for folder in scrubber.folders if folder in text]
            found += [match[0] for match in scrubber.marked.finditer(text)]
            found += [match[0] for match in scrubber.bare.finditer(text)] if scrubber.bare is not None else []
            if found:
                raise DataError(
                    f"{path}: still holds {found[0]!r}, which must not be shared. Take it out of names and settings."
                )


def _texts(path: Path) -> list[str]:
    text = path.read_bytes().decode("latin-1")
    return [text, *(zlib.decompress(b64decode(one), -15).decode("latin-1") for one in PACKED.findall(text))]

"""One HTML file that holds a whole result: no network, no side files, readable without scripts."""

import base64
import math
import re
from dataclasses import dataclass, field
from functools import cache
from hashlib import sha256
from pathlib import Path

import numpy as np
import pandas as pd
from jinja2 import Environment, StrictUndefined
from markupsafe import Markup, escape
from matplotlib.figure import Figure
from PIL import Image

from ..core.errors import DataError
from .answer import Answer, lay_out
from .encoded import asset, encode, open_picture, script
from .figure import save_figure, write_bytes

__all__ = [
    "Chart",
    "Code",
    "DataTable",
    "Picture",
    "Report",
    "Section",
    "Text",
    "render_report",
    "save_figure",
    "write_report",
]

COLUMN = 9.0  # inches that fill the column, so that letters are equally large in all figures
THIRD, HALF = 292, 440  # units of charts that fill a part of the column
WIDE = re.compile(r'<svg[^>]* width="([\d.]+)"')
QUALITY = 85  # of WebP
WIDEST = 2000  # pixels; larger pictures from disk are scaled down
MOST_ENCODED = 512  # pictures that are kept encoded, of about 60 kB; pages of participants and of the group share some
_ENCODED: dict[bytes, tuple[str, tuple[int, int], float]] = {}
# Of tables on paper, in inches: a letter, room between columns, and the width up to which a table takes half a page.
LETTER, PADDING, PAPER_COLUMN = 0.05, 0.08, 4.6
MOST_ROWS = 2000  # of a table inside the report; the rest is in its file


@dataclass(frozen=True)
class Picture:
    """A figure with its caption.

    Attributes
    ----------
    figure : Figure or Path or str
        Figure, or a PNG, WebP or JPEG file; it is stored inside the report as WebP.
    alt : str
        What is to be seen, for those who cannot see it; must not be empty.
    caption : str
        What the reader should know.
    subject : str
        Subject whose picture it is; empty for pictures of the group.
    file : str
        Path of the picture on disk, relative to the report.
    """

    figure: Figure | Path | str
    alt: str
    caption: str = ""
    subject: str = ""
    file: str = ""

    def __post_init__(self):
        if not self.alt.strip():
            raise DataError(f"Picture {self.file or self.caption!r}: alt text is empty; say what the picture shows.")


@dataclass(frozen=True)
class Chart:
    """A chart as SVG, with its caption.

    Attributes
    ----------
    svg : str
        An ``<svg>`` element whose text is escaped; it stands in the page, in the colours of the page.
    alt : str
        What is to be seen, for those who cannot see it; must not be empty.
    caption : str
        What the reader should know.
    subject : str
        Subject whose chart it is; empty for charts of the group.
    file : str
        Path of the chart on disk, relative to the report.
    """

    svg: str
    alt: str
    caption: str = ""
    subject: str = ""
    file: str = ""

    def __post_init__(self):
        if not self.alt.strip():
            raise DataError(f"Chart {self.file or self.caption!r}: alt text is empty; say what the chart shows.")


@dataclass(frozen=True, eq=False)
class DataTable:
    """A table that can be sorted and downloaded.

    Attributes
    ----------
    frame : DataFrame
        Rows and named columns; the index is not shown.
    caption : str
        What the reader should know.
    subject : str
        Subject whose table it is; empty for tables of the group.
    file : str
        Path of the table on disk, relative to the report.
    formats : mapping of str to str
        Format per column, for instance {"r": ".3f"}; other floats get three significant digits.
    """

    frame: pd.DataFrame
    caption: str = ""
    subject: str = ""
    file: str = ""
    formats: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Text:
    """Plain text; an empty line begins a new paragraph.

    Attributes
    ----------
    text : str
        The text, shown as it is.
    subject : str
        Subject it is about; empty for all.
    """

    text: str
    subject: str = ""


@dataclass(frozen=True)
class Code:
    """Preformatted text, such as a configuration.

    Attributes
    ----------
    text : str
        The text, shown as it is.
    caption : str
        What it is.
    subject : str
        Subject it is about; empty for all.
    """

    text: str
    caption: str = ""
    subject: str = ""


Block = Picture | Chart | DataTable | Text | Code


@dataclass(frozen=True)
class Section:
    """A part of the report that can be folded.

    Attributes
    ----------
    title : str
        Heading, also in the navigation.
    blocks : tuple of Picture, Chart, DataTable, Text or Code
        Contents, in order.
    intro : str
        What the section answers; stands under the heading.
    folded : bool
        Whether the section is closed at first.
    columns : int
        Pictures side by side where the window is wide enough.
    """

    title: str
    blocks: tuple[Block, ...]
    intro: str = ""
    folded: bool = False
    columns: int = 1


@dataclass(frozen=True)
class Report:
    """Everything that is written into the file.

    Attributes
    ----------
    title, subtitle : str
        Heading.
    facts : tuple of (str, str)
        What was run, as short pairs ("subjects", "3").
    warnings : tuple of str
        What the reader must know before trusting a number; shown on top.
    sections : tuple of Section
        Contents, in order.
    links : tuple of (str, str)
        Text and address of files beside the report.
    answers : tuple of Answer
        What the page says first, before facts and warnings.
    """

    title: str
    subtitle: str = ""
    facts: tuple[tuple[str, str], ...] = ()
    warnings: tuple[str, ...] = ()
    sections: tuple[Section, ...] = ()
    links: tuple[tuple[str, str], ...] = ()
    answers: tuple[Answer, ...] = ()


def write_report(report: Report, path: Path | str) -> Path:
    """Write a report to one HTML file.

    Parameters
    ----------
    report : Report
        Contents.
    path : Path or str
        Target; it is there in full or not at all.

    Returns
    -------
    Path
        The file.
    """
    return write_bytes(Path(path), render_report(report).encode("utf-8"))


def render_report(report: Report) -> str:
    """Render a report to HTML that asks for nothing from outside.

    All text is escaped; the same report gives the same characters.

    Parameters
    ----------
    report : Report
        Contents.

    Returns
    -------
    str
        The page.

    Raises
    ------
    DataError
        If a picture cannot be read, or a table has a format for a column that it lacks.

    Examples
    --------
    >>> page = render_report(Report("Two spaces", sections=(Section("Methods", (Text("Ridge."),)),)))
    >>> "<h2>Methods</h2>" in page
    True
    """
    sections = [
        {
            "id": f"s{rank}",
            "title": section.title,
            "intro": _paragraphs(section.intro),
            "folded": section.folded,
            "columns": section.columns,
            "blocks": [_prepare(block) for block in section.blocks],
            "subjects": _subjects([section], everywhere=True),
        }
        for rank, section in enumerate(report.sections, start=1)
    ]
    return _template().render(
        report=report,
        answers=[{"block": answer, **lay_out(answer)} for answer in report.answers],
        sections=sections,
        subjects=_subjects(report.sections),
        style=Markup(asset("report.css")),
        script=Markup(script("report.js")),
    )


def _subjects(sections, *, everywhere: bool = False) -> list[str]:
    """List the subjects of blocks; with `everywhere`, none if some block belongs to all of them."""
    tags = [block.subject for section in sections for block in section.blocks]
    if everywhere and ("" in tags or any(section.intro for section in sections)):
        return []
    return sorted({tag for tag in tags if tag})


@cache
def _template():
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters["breakable"] = lambda text: escape(text).replace("_", Markup("_<wbr>"))
    return environment.from_string(asset("report.html"))


def _prepare(block: Block) -> dict:
    if isinstance(block, Picture):
        data, size, inches = _encode(block)
        return {"kind": "picture", "block": block, "data": data, "size": size, "part": min(1.0, inches / COLUMN)}
    if isinstance(block, Chart):
        wide = float(WIDE.search(block.svg)[1])  # type: ignore[index]
        part = "third" if wide <= 1.1 * THIRD else "half" if wide <= 1.1 * HALF else "whole"
        return {"kind": "chart", "block": block, "svg": Markup(block.svg), "part": part}
    if isinstance(block, DataTable):
        return {"kind": "table", "block": block, **_lay_out(block)}
    if isinstance(block, Text):
        return {"kind": "text", "block": block, "paragraphs": _paragraphs(block.text)}
    return {"kind": "code", "block": block}


def _paragraphs(text: str) -> list[str]:
    return [part.strip() for part in text.split("\n\n") if part.strip()]


def _encode(picture: Picture) -> tuple[str, tuple[int, int], float]:
    """Turn a figure or a file into base64 WebP, its size in pixels, and its width in inches."""
    if isinstance(picture.figure, Figure) or not Path(picture.figure).is_file():
        return _encoded(open_picture(picture.figure))
    place = sha256(Path(picture.figure).read_bytes()).digest()
    if place not in _ENCODED:
        _keep(place, open_picture(picture.figure))
    return _ENCODED[place]


def remember(png: bytes, pixels: np.ndarray, dpi: float) -> None:
    """Encode the pixels of a file that a page is going to show, so that it need not be read again."""
    image = Image.fromarray(pixels)
    image.info["dpi"] = (dpi, dpi)
    _keep(sha256(png).digest(), image)


def _keep(place: bytes, image: Image.Image) -> None:
    _ENCODED[place] = _encoded(image)
    while len(_ENCODED) > MOST_ENCODED:
        del _ENCODED[next(iter(_ENCODED))]


def _encoded(image: Image.Image) -> tuple[str, tuple[int, int], float]:
    return *encode(image, WIDEST, QUALITY), image.width / float(image.info["dpi"][0])


def _lay_out(table: DataTable) -> dict:
    frame = table.frame
    strange = [name for name in table.formats if name not in frame.columns]
    if strange:
        raise DataError(
            f"Table {table.caption!r}: formats name {strange}, but the columns are {list(map(str, frame.columns))}."
        )
    if len(frame) > MOST_ROWS and not table.file:
        raise DataError(
            f"Table {table.caption!r}: {len(frame)} rows are more than the {MOST_ROWS} a report holds; "
            "write it to disk and give its path as `file`."
        )
    numeric = [pd.api.types.is_numeric_dtype(kind) and not pd.api.types.is_bool_dtype(kind) for kind in frame.dtypes]
    columns = [
        [_cell(value, is_number, table.formats.get(name)) for value in frame[name].head(MOST_ROWS)]
        for name, is_number in zip(frame.columns, numeric, strict=True)
    ]
    whole = len(frame) <= MOST_ROWS
    csv = base64.b64encode(frame.to_csv(index=False, lineterminator="\n").encode("utf-8")).decode("ascii")
    heads = [str(name) for name in frame.columns]
    letters = [
        max(len(head), *(len(text) for text, _ in column), 0) for head, column in zip(heads, columns, strict=True)
    ]
    return {
        "wide": LETTER * sum(letters) + PADDING * len(letters) > PAPER_COLUMN,
        "heads": list(zip(map(str, frame.columns), numeric, strict=True)),
        "rows": list(zip(*columns, strict=True)),
        "numeric": numeric,
        "csv": csv if whole else "",
        "left_out": len(frame) - min(len(frame), MOST_ROWS),
        "n_rows": len(frame),
    }


def _cell(value, is_number: bool, form: str | None) -> tuple[str, str]:
    """Return the text of a cell and its sort key."""
    if value is None or (isinstance(value, float | np.floating) and math.isnan(value)) or value is pd.NA:
        return "\N{EN DASH}", ""
    if not is_number:
        return str(value), str(value)
    if form is not None:
        text = format(value, form)
    elif isinstance(value, int | np.integer):
        text = f"{value:,}"
    else:
        text = f"{value:.3g}"
    return text.replace("-", "\N{MINUS SIGN}"), repr(float(value))

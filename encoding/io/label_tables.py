"""Tables of labels as they are downloaded: BIDS, CSV, FSL XML, FreeSurfer, ITK-SNAP, Connectome Workbench, lists."""

import csv
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from xml.etree import ElementTree

from ..core.errors import DataError
from .fetched import absent, require_content
from .region_tables import read_rows

Row = dict[str, str]
# Names that label files give to what is no region.
LINE = re.compile(r"\r\n|\r|\n")  # str.splitlines would also divide at characters that a name may hold
NO_REGION = re.compile(
    r"(background.*|\?\?\?|unknown|unclassified|clear[ _]label|.*medial[ _]?wall.*|ctx-[lr]h-unknown|undetermined)",
    re.I,
)
FREESURFER = re.compile(r"\s*(-?\d+)\s+(\S+)\s+(\d+)\s+(\d+)\s+(\d+)(?:\s+\d+)?\s*")
ITKSNAP = re.compile(r'\s*(-?\d+)\s+(\d+)\s+(\d+)\s+(\d+)\s+[\d.]+\s+[01]\s+[01]\s+"(.*)"\s*')
NUMBERED = re.compile(r"\s*(-?\d+)[\s,;:]+(\S.*?)\s*")
WORKBENCH = re.compile(r"\s*(-?\d+)\s+(\d+)\s+(\d+)\s+(\d+)\s+\d+\s*")
COLUMNS = {  # of CSV files, lower case; the first that is there counts
    "index": ("index", "id", "roi label", "roi_label", "region_id", "label_id", "value", "key", "number", "no"),
    "name": ("name", "label", "region", "roi name", "roi_name", "region_name", "label_name", "structure"),
    "hemi": ("hemi", "hemisphere", "side"),
    "network": ("network", "yeo_network"),
    "color": ("color", "colour"),
}
KNOWN = (
    "a BIDS TSV or a CSV with columns index and name, an FSL XML file, a FreeSurfer colour table (number name R G B "
    "A), an ITK-SNAP label description, a label list of Connectome Workbench, or lines of a number and a name"
)


def read_label_rows(path: Path) -> list[Row]:
    """Read a table of labels in any of the formats that atlases are published with; colours become #rrggbb."""
    kind = path.suffix.lower()
    if kind == ".tsv":
        return read_rows(path, ("index", "name"))
    text = _text(path)
    if kind == ".xml" or text.lstrip().startswith("<?xml"):
        return _fsl(path, text)
    if kind == ".csv":
        return _csv(path, text)
    return _lines(path, text)


def is_region(name: str) -> bool:
    """Return True unless a name says background, medial wall or unknown."""
    return bool(name.strip()) and NO_REGION.fullmatch(name.strip()) is None


def _text(path: Path) -> str:
    if not path.is_file():
        raise absent(path)
    require_content(path)
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(f"Table {path}: cannot be read ({error}). Save it as UTF-8 text.") from error


def _fsl(path: Path, text: str) -> list[Row]:
    """Read an atlas description of FSL; of probabilistic atlases label n has the number n + 1 in the summary image."""
    if "<!ENTITY" in text:
        raise DataError(f"Table {path.name}: XML entities are not read. Use a plain FSL atlas description.")
    try:
        root = ElementTree.fromstring(text)  # entities, the known danger, are refused above
    except ElementTree.ParseError as error:
        raise DataError(f"Table {path.name}: not XML ({error}).") from error
    kind = (root.findtext("header/type") or "").strip().lower()
    first = 0 if kind == "label" else 1
    rows = []
    for label in root.iter("label"):
        number = label.get("index", "")
        if not re.fullmatch(r"\d+", number):
            raise DataError(f"Table {path.name}: a label has index {number!r}; an FSL atlas description has numbers.")
        rows.append({"index": str(int(number) + first), "name": "".join(label.itertext()).strip()})
    return _some(path, rows)


def _csv(path: Path, text: str) -> list[Row]:
    """Read a CSV, with commas or semicolons, whose columns have any of the usual names."""
    lines = [line for line in LINE.split(text) if line.strip()]
    delimiter = ";" if lines and lines[0].count(";") > lines[0].count(",") else ","
    header, *cells = _cells(path, lines, delimiter)
    named = {name.lower(): name for name in header}
    rows = [dict(zip(header, line, strict=True)) for line in cells]
    if "index" not in named and "id" not in named and rows and "label" in named and "name" in named:
        named["index"] = named.pop("label")  # label is the number where there is a name too
    found = {key: next((named[a] for a in known if a in named), None) for key, known in COLUMNS.items()}
    if found["index"] is None or found["name"] is None:
        raise DataError(
            f"Table {path.name}: no column for the {'number' if found['index'] is None else 'name'} of a region; it "
            f"has {', '.join(header) or 'none'}. Call the columns index and name."
        )
    kept = {key: column for key, column in found.items() if column is not None}
    return _some(path, [{key: (row[column] or "").strip() for key, column in kept.items()} for row in rows])


def _cells(path: Path, lines: Sequence[str], delimiter: str) -> list[list[str]]:
    """Divide lines into cells; a lone quotation mark must not join them, and each needs as many cells as the header."""
    rows: list[list[str]] = []
    for number, line in enumerate(lines or [""], start=1):
        try:
            row = [cell.strip() for cell in next(csv.reader([line], delimiter=delimiter, strict=True), [""])]
        except csv.Error as error:
            raise DataError(
                f"Table {path.name}, line {number}: a quotation mark without its partner ({error})."
            ) from error
        while row and not row[-1] and (not rows or len(row) > len(rows[0])):
            row.pop()  # spreadsheets end lines with empty cells
        if rows and len(row) != len(rows[0]):
            raise DataError(f"Table {path.name}, line {number}: {len(row)} cells, but the header has {len(rows[0])}.")
        rows.append(row)
    twice = next((name for name in rows[0] if rows[0].count(name) > 1), None)
    if twice is not None:
        raise DataError(f"Table {path.name}: {rows[0].count(twice)} columns are called {twice!r}. Keep one.")
    return rows


def _lines(path: Path, text: str) -> list[Row]:
    """Read lines of text by the one pattern that fits all of them."""
    lines = [line for line in LINE.split(text) if line.strip() and not line.lstrip().startswith(("#", "//"))]
    for pattern, order in ((ITKSNAP, (1, 5, 2, 3, 4)), (FREESURFER, (1, 2, 3, 4, 5))):
        found = [pattern.fullmatch(line) for line in lines]
        if lines and all(found):
            rows = [[match[at] for at in order] for match in found if match]
            _require_names(path, [row[1] for row in rows])
            return [_colored(index, name, rgb) for index, name, *rgb in rows]
    pairs = list(zip(lines[::2], lines[1::2], strict=False))
    matches = [WORKBENCH.fullmatch(second) for _, second in pairs]
    if lines and len(lines) % 2 == 0 and all(matches):
        named = zip(pairs, matches, strict=True)
        return [_colored(m[1], name.strip(), [m[2], m[3], m[4]]) for (name, _), m in named if m]
    numbered = [NUMBERED.fullmatch(line) for line in lines]
    if lines and all(numbered):
        _require_names(path, [match[2] for match in numbered if match])
        return [{"index": match[1], "name": match[2]} for match in numbered if match]
    if lines and not any(numbered) and not any("\t" in line or "," in line for line in lines):
        return [{"index": str(n), "name": line.strip()} for n, line in enumerate(lines, start=1)]
    odd = next((n for n, match in enumerate(numbered, start=1) if not match), 1)
    raise DataError(f"Table {path.name}: the format is not known (line {odd} is the first odd one). Give {KNOWN}.")


def _require_names(path: Path, names: Sequence[str]) -> None:
    """Refuse a table of colours alone, whose numbers would be taken for names."""
    if all(re.fullmatch(r"[\d\s.,;]+", name) for name in names):
        raise DataError(
            f"Table {path.name}: it has numbers and colours but no names (the first is {names[0]!r}). Give {KNOWN}; or "
            f'set labels = "numbers", which calls regions by their numbers.'
        )


def _colored(index: str, name: str, rgb: Sequence[str]) -> Row:
    return {"index": index, "name": name, "color": "#" + "".join(f"{min(255, int(part)):02x}" for part in rgb)}


def _some(path: Path, rows: list[Row]) -> list[Row]:
    if not rows:
        raise DataError(f"Table {path.name}: no label. Give {KNOWN}.")
    return rows


def rows_of_colors(names: Mapping[int, tuple[str, Sequence[float]]]) -> list[Row]:
    """Make rows of the names and colours (0 to 1) that stand in an image."""
    return [
        {"index": str(number), "name": name, "color": "#" + "".join(f"{round(255 * part):02x}" for part in rgba[:3])}
        for number, (name, rgba) in names.items()
    ]

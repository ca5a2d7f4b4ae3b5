"""Tables of atlas regions, and how file names lead to them."""

import colorsys
import csv
import math
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from ..core.errors import DataError
from .fetched import absent, require_content

EMPTY = ("", "n/a", "none", "nan")
HEMIS = {"l": "L", "lh": "L", "left": "L", "r": "R", "rh": "R", "right": "R", "b": "", "bilateral": ""}


@dataclass(frozen=True, slots=True)
class RegionTable:
    """The regions of an atlas, one entry per region."""

    index: tuple[int, ...]  # Label of each region
    region: tuple[str, ...]  # Name of each
    hemi: tuple[str, ...]  # "L", "R" or ""
    network: tuple[str, ...]  # "" if none
    color: tuple[str, ...]  # "#rrggbb"
    states_hemi: bool  # Whether the file has a column of hemispheres
    centroids: tuple[tuple[float, float, float], ...] | None = None


def entities(path: Path) -> dict[str, str]:
    """Split a BIDS file name into its entities."""
    parts = path.name.split(".")[0].split("_")
    return dict(part.split("-", 1) for part in parts if "-" in part)


def read_rows(path: Path, needed: Iterable[str]) -> list[dict[str, str]]:
    """Read a TSV as text."""
    if not path.is_file():
        raise absent(path)
    require_content(path)
    # BIDS has no quotation marks: a lone one would join all lines up to the next.
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE)
            rows, columns = list(reader), list(reader.fieldnames or [])
    except (UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"Table {path}: cannot be read ({error}). Save it as UTF-8 text with tabs.") from error
    twice = next((name for name in columns if columns.count(name) > 1), None)
    if twice is not None:
        raise DataError(f"Table {path.name}: {columns.count(twice)} columns are called {twice!r}. Keep one.")
    missing = [column for column in needed if column not in columns]
    if missing:
        raise DataError(f"Table {path.name}: column {missing[0]!r} is missing; it has {', '.join(columns) or 'none'}.")
    for number, row in enumerate(rows, start=2):
        if None in row or None in row.values():
            raise DataError(f"Table {path.name}, line {number}: not {len(columns)} fields separated by tabs.")
    if not rows:
        raise DataError(f"Table {path.name}: no rows.")
    return rows


def find_table(image: Path) -> Path:
    """Find the table of a label image by the naming rule of BIDS.

    A table belongs to an image if it lies beside it, has the same suffix and no entity that differs from the
    image's; ``hemi-``, ``res-`` and ``den-`` are usually left out. A table of exactly the image's name wins, then
    the one with most entities.
    """
    stem = image.name.split(".")[0]
    exact = image.with_name(f"{stem}.tsv")
    if exact.is_file():
        return exact
    wanted, suffix = set(entities(image).items()), stem.rsplit("_", 1)[-1]
    fits = [
        (len(found), table)
        for table in sorted(image.parent.glob(f"*_{suffix}.tsv"))
        if (found := set(entities(table).items())) and found <= wanted
    ]
    most = max((n for n, _ in fits), default=0)
    best = [table for n, table in fits if n == most]
    if not best:
        raise DataError(
            f"Atlas {image.name}: no table beside it (expected {exact.name}, or a _{suffix}.tsv with fewer entities). "
            f"Give `table`, a TSV with the columns index and name."
        )
    if len(best) > 1:
        raise DataError(f"Atlas {image.name}: tables {', '.join(t.name for t in best)} fit equally well. Give `table`.")
    return best[0]


def read_table(path: Path) -> RegionTable:
    """Read the regions of an atlas."""
    return make_table(read_rows(path, ("index", "name")), path.name)


def make_table(rows: list[dict[str, str]], name: str) -> RegionTable:
    """Check rows and make a table of them."""
    numbered = [(_integer(row["index"], name), row) for row in rows]
    numbered = [(index, row) for index, row in numbered if index != 0]
    index = tuple(number for number, _ in numbered)
    region = tuple(row["name"].strip() for _, row in numbered)
    empty = next((number for number, called in zip(index, region, strict=True) if called.lower() in ("", "n/a")), None)
    if empty is not None:
        raise DataError(f"Table {name}: region {empty} has no name.")
    _check_unique(index, name, "index", "Number the regions of the right hemisphere after those of the left.")
    _check_unique(region, name, "name", "Add the hemisphere to the name.")
    return RegionTable(
        index=index,
        region=region,
        hemi=tuple(hemisphere(row.get("hemi", ""), name) for _, row in numbered),
        network=tuple(_text(row.get("network", "")) for _, row in numbered),
        color=tuple(_color(row.get("color", ""), number, name) for number, (_, row) in enumerate(numbered)),
        states_hemi="hemi" in rows[0],
        centroids=_centroids([row for _, row in numbered], name),
    )


def _centroids(rows: list[dict[str, str]], name: str) -> tuple[tuple[float, float, float], ...] | None:
    """Read the columns x, y and z (mm); None unless all three are there."""
    if not rows or not {"x", "y", "z"} <= rows[0].keys():
        return None
    found = []
    for row in rows:
        try:
            point = (float(row["x"]), float(row["y"]), float(row["z"]))
        except ValueError:
            point = (math.nan, math.nan, math.nan)
        if not all(math.isfinite(value) for value in point):
            raise DataError(
                f"Table {name}: region {row['name']!r} has x, y, z = {row['x']!r}, {row['y']!r}, {row['z']!r}; "
                "use millimetres, or leave out the three columns."
            )
        found.append(point)
    return tuple(found)


def _integer(text: str, name: str) -> int:
    if not re.fullmatch(r"-?[0-9]{1,9}", text.strip()):  # not int(): it knows 1_0, and digits of other scripts
        raise DataError(f"Table {name}: index {text!r} is not a whole number of up to nine digits.")
    return int(text)


def _check_unique(values: tuple, name: str, column: str, advice: str) -> None:
    twice = [value for value in dict.fromkeys(values) if values.count(value) > 1]
    if twice:
        raise DataError(f"Table {name}: {column} {twice[0]!r} occurs twice ({len(twice)} such values). {advice}")


def _text(text: str) -> str:
    return "" if text.strip().lower() in EMPTY else text.strip()


def hemisphere(text: str, name: str) -> str:
    """Read a hemisphere as L, R or ""."""
    short = _text(text).lower()
    if short and short not in HEMIS:
        raise DataError(f"Table {name}: hemi {text!r} is not understood; use L, R or n/a.")
    return HEMIS.get(short, "")


def _color(text: str, number: int, name: str) -> str:
    given = _text(text)
    if not given:  # golden-ratio steps keep the hues of neighbouring rows apart
        red, green, blue = colorsys.hsv_to_rgb(number * 0.618034 % 1, 0.6, 0.85)
        return f"#{round(255 * red):02x}{round(255 * green):02x}{round(255 * blue):02x}"
    if not re.fullmatch(r"#[0-9a-fA-F]{6}([0-9a-fA-F]{2})?", given):
        raise DataError(f"Table {name}: color {text!r} is not understood; use #rrggbb.")
    return given[:7].lower()

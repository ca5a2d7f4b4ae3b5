"""Tables in: TSV, CSV, parquet and npy, with messages that name the file.

A row is a line. BIDS knows no quotation marks in TSV files, so that a lone ``"`` is a character like any other; in CSV
files a quoted cell must end in the line in which it begins. pandas alone would join the lines between two marks.
"""

import csv
import io
import re
import reprlib
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ..core import DataError, StimulusSet, Targets
from ..core.arrays import composed
from .fetched import absent, require_content

MISSING = ("n/a", "")
STIMULUS_COLUMNS = ("stim_id", "stimulus", "stim_file", "stimulus_name", "stimulus_id", "video_id", "video")
# What pandas calls a column without a name, also after the table was written again, and what it and R call row numbers.
NAMELESS = re.compile(r"(Unnamed: \d+(\.\d+|_level_\d+)?|)")
TITLES = {
    *STIMULUS_COLUMNS,
    "stimuli",
    "name",
    "names",
    "item",
    "items",
    "image",
    "images",
    "file",
    "filename",
    "concept",
}
EXCERPT = reprlib.Repr()
EXCERPT.maxstring = 60  # a file that is no table has cells of any length
ROW_NUMBERS = {"index", "level_0", "row", "rownames", "row_number", "rn", "...1", "id", "#", "no.", "nr", "nr."}
# Characters that nobody sees, which make two names of one: zero-width blanks, marks of direction and order. The
# joiners U+200C and U+200D are none of them: Persian and Indic words are spelled with them.
INVISIBLE = re.compile("[\u00ad\u200b\u200e\u200f\u202a-\u202e\u2060\ufeff]")


def read_table(path: str | Path, *, text: Sequence[str] = ()) -> pd.DataFrame:
    """Read a table with a header."""
    path = Path(path)
    if not path.is_file():
        raise absent(path)
    if path.suffix not in (".tsv", ".csv", ".parquet"):
        raise DataError(f"{path}: tables are read from .tsv, .csv or .parquet files.")
    require_content(path)
    try:
        frame = _parquet(path) if path.suffix == ".parquet" else _delimited(path, text)
    except DataError:
        raise
    # Of pyarrow, errors are of many kinds.
    except (OSError, ValueError, TypeError, KeyError, NotImplementedError, csv.Error) as error:
        advice = " Save it as UTF-8 text." if isinstance(error, UnicodeDecodeError) else ""
        raise DataError(f"{path}: cannot be read as a table ({error}).{advice}") from error
    for name in text:
        if name in frame.columns:
            frame[name] = frame[name].astype(object).where(frame[name].notna(), "").astype(str).str.strip()
    return frame


def _parquet(path: Path) -> pd.DataFrame:
    frame = pd.read_parquet(path)
    # pandas keeps what was the index apart; a stimulus that was made the index is a column like the others.
    named = [name for name in frame.index.names if name is not None]
    if named:
        unnamed = [level for level, name in enumerate(frame.index.names) if name is None]
        frame = frame.reset_index(level=unnamed, drop=True) if unnamed else frame
        twice = sorted({str(name) for name in named} & {str(name) for name in frame.columns})
        if twice:
            raise DataError(f"{path}: {twice[0]!r} is both a column and the index. Drop one of them.")
        frame = frame.reset_index()
    frame.columns = _checked_names([str(name) for name in frame.columns], path)
    return frame


def _delimited(path: Path, text: Sequence[str]) -> pd.DataFrame:
    content = path.read_bytes().removeprefix(b"\xef\xbb\xbf").rstrip(b"\r\n")
    content.decode("utf-8")  # raises where the file is of another encoding
    if b"\0" in content:
        raise DataError(f"{path}: cannot be read as a table (it holds zero bytes; save it as UTF-8 text).")
    if not content.strip():
        raise DataError(f"{path}: cannot be read as a table (it is empty).")
    lines = content.splitlines()
    if path.suffix == ".tsv":
        header = [name.decode() for name in lines[0].split(b"\t")]
        cells = [line.count(b"\t") + 1 for line in lines]
    else:
        header, cells = _cells_of_csv(content.decode("utf-8"), path)
    names = _checked_names(header, path)
    if all(_is_number(name) for name in names) and not all(name.isdecimal() for name in names):
        raise DataError(f"{path}: its first line holds numbers ({', '.join(names[:3])}), but names were needed.")
    if path.suffix == ".tsv" and all(_is_quoted(name) for name in names):
        raise DataError(f"{path}: its cells are in quotation marks, which BIDS does not know. Write them without.")
    wrong = next((row for row, n in enumerate(cells) if n != len(names)), None)
    if wrong is not None:
        what = "is empty" if not lines[wrong].strip() else f"has {cells[wrong]} cells"
        raise DataError(
            f"{path}: line {wrong + 1} {what}, but the header has {len(names)}. Every row needs one line with as many "
            f"cells; missing values are n/a."
        )
    dtypes: dict[str, Any] = {name: str for name in text if name in names}
    tabs = path.suffix == ".tsv"
    frame = pd.read_csv(
        io.BytesIO(content), sep="\t" if tabs else ",", quoting=csv.QUOTE_NONE if tabs else csv.QUOTE_MINIMAL,
        header=None, names=names, skiprows=1, index_col=False, skip_blank_lines=False, dtype=dtypes,
        keep_default_na=False, na_values=list(MISSING), low_memory=False,
    )  # fmt: skip
    if len(frame) != len(cells) - 1:
        raise DataError(f"{path}: {len(frame)} rows were read of {len(cells) - 1} lines. Save it as plain UTF-8 text.")
    return frame


def _cells_of_csv(content: str, path: Path) -> tuple[list[str], list[int]]:
    """Count the cells of each line, and refuse marks that are not closed where they were opened."""
    header: list[str] = []
    cells: list[int] = []
    for number, line in enumerate(re.split("\r\n|\n|\r", content), start=1):
        try:
            row = next(csv.reader([line], strict=True), [])
        except csv.Error as error:
            raise DataError(
                f"{path}: line {number} has a quotation mark without its partner ({error}). Double the marks within a "
                f'quoted cell ("she said ""stop"""), and write a line break in a cell as a blank.'
            ) from error
        header = row if number == 1 else header
        cells.append(max(len(row), 1))
    return header, cells


def _checked_names(columns: Sequence[str], path: Path) -> list[str]:
    names = [name.strip() for name in columns]
    for name, n in Counter(names).items():
        if n > 1:
            what = f"{n} columns are called {name!r}" if name else f"{n} columns have no name"
            raise DataError(f"{path}: {what}. Give every column a name of its own.")
    return names


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return text.lower() not in ("nan", "inf", "infinity")  # which may be names


def _is_quoted(text: str) -> bool:
    return len(text) > 1 and text[0] == text[-1] and text[0] in "\"'"


def require_plain_names(names: Sequence[str], where: str) -> None:
    """Refuse names of stimuli that are in quotation marks throughout, or hold characters that nobody sees."""
    given = [name for name in names if name]
    if given and all(_is_quoted(name) for name in given):
        raise DataError(
            f"{where}: the names of stimuli are in quotation marks ({given[0]}), which BIDS does not know. Write them "
            f"without."
        )
    hidden = next((name for name in given if INVISIBLE.search(name)), None)
    if hidden is not None:
        shown = hidden.encode("unicode_escape").decode()
        raise DataError(f"{where}: the name '{shown}' holds a character that cannot be seen. Remove it.")


def require_no_row_numbers(
    frame: pd.DataFrame, where: str, stimulus: str | None = None, *, choose: str = "list the features in `columns`"
) -> None:
    """Refuse a column without a name, or one that only numbers the rows: pandas and R write such columns.

    They write them first: a first column before that of the stimuli numbers rows whatever its name is.
    """
    columns = [str(name) for name in frame.columns]
    before = {columns[0]} if stimulus in columns[1:] else set()
    suspect = [
        name for name in columns if name.lower() in ROW_NUMBERS or (name in before and not NAMELESS.fullmatch(name))
    ]
    counted = [name for name in suspect if _counts_rows(frame[name])]
    if counted:
        raise DataError(
            f"{where}: column {counted[0]!r} only numbers the rows. Remove it{f', or {choose}' if choose else ''}."
        )
    nameless = next((number for number, name in enumerate(columns, start=1) if NAMELESS.fullmatch(name)), None)
    if nameless is not None:
        raise DataError(
            f"{where}: column {nameless} has no name ({columns[nameless - 1]!r}); pandas writes row numbers so. Write "
            f"the table with `to_csv(..., index=False)`, or name the column{f', or {choose}' if choose else ''}."
        )


def read_names(path: Path) -> list[str]:
    """Read a list of names of stimuli, one a line."""
    if not path.is_file():
        raise absent(path)
    require_content(path)
    try:
        content = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: cannot be read as a list of stimuli ({error}). Save it as UTF-8 text.") from error
    lines = content.strip().split("\n") if content.strip() else []
    names = composed(np.array([line.strip() for line in lines], dtype=str)).tolist()
    if names and (names[0].lower() in TITLES or names[0].startswith("# ")):
        raise DataError(
            f"{path}: line 1 is {names[0]!r}, and lists of names have no header. Remove it, or write a "
            f"table with a column 'stimulus' if a stimulus is called so."
        )
    require_plain_names(names, str(path))
    seen: dict[str, int] = {}
    for number, name in enumerate(names, start=1):
        if not name:
            raise DataError(f"{path}: line {number} is empty, and each line names a stimulus. Remove it.")
        if seen.setdefault(name, number) != number:
            raise DataError(f"{path}: lines {seen[name]} and {number} both name {name!r}; each needs its own name.")
    return names


def _counts_rows(column: pd.Series) -> bool:
    """Return True for 0, 1, 2, ... or 1, 2, 3, ... in a column of more than two rows."""
    if len(column) < 3 or not pd.api.types.is_numeric_dtype(column):
        return False
    return any(np.array_equal(column.to_numpy(), np.arange(first, first + len(column))) for first in (0, 1))


def numbers_of(frame: pd.DataFrame, column: str, where: str) -> np.ndarray:
    """Return a numeric column of a table."""
    if column not in frame.columns:
        raise DataError(f"{where}: no column {column!r}. There is: {', '.join(map(str, frame.columns))}.")
    values = pd.to_numeric(frame[column], errors="coerce")
    bad = values.isna() & frame[column].notna()
    if frame[column].dtype.kind in "mM" or np.iscomplexobj(values):
        bad[:] = True  # times would count as nanoseconds
    if frame[column].dtype.kind in "iu":
        large = ~values.between(-(2**53), 2**53)
        if large.any():
            raise DataError(
                f"{where}: column {column!r} holds {values[large].iloc[0]}, and numbers beyond 2^53 lose their last "
                f"digits. Subtract an offset, or leave the column out if it is an identifier."
            )
    if bad.any():
        row = int(np.flatnonzero(bad)[0])
        alone = " It is the only column: are the cells separated by tabs?" if len(frame.columns) == 1 else ""
        raise DataError(
            f"{where}: column {EXCERPT.repr(column)} holds {EXCERPT.repr(frame[column].iloc[row])} in row {row + 1}; "
            f"a number was needed.{alone}"
        )
    return values.to_numpy(dtype=np.float64)


def stimulus_column(columns: Sequence[str], wanted: str | None, where: str) -> str:
    """Choose the column that names the stimulus."""
    choices = STIMULUS_COLUMNS if wanted is None else (wanted,)
    for name in choices:
        if name in columns:
            return name
    raise DataError(
        f"{where}: no column {' or '.join(map(repr, choices))}. There is: {', '.join(map(str, columns))}. "
        f"Set `stimulus` to the column that names the stimulus."
    )


def read_stimuli(path: str | Path) -> StimulusSet:
    """Read a stimulus table."""
    texts = ("path", "duplicate_of", "split", *STIMULUS_COLUMNS)
    frame = read_table(path, text=texts)
    column = stimulus_column(list(frame.columns), None, str(path))
    n = len(frame)
    empty = np.full(n, "", dtype=str)

    def words(name: str) -> np.ndarray:
        return frame[name].to_numpy(dtype=str) if name in frame.columns else empty

    require_plain_names(frame[column].tolist(), str(path))
    duration = numbers_of(frame, "duration", str(path)) if "duration" in frame.columns else np.full(n, np.nan)
    if (duration < 0).any():
        row = int(np.flatnonzero(duration < 0)[0])
        raise DataError(f"{path}: the duration in row {row + 1} is {duration[row]:g} s; 0 or more was needed.")
    try:
        return StimulusSet(
            frame[column].to_numpy(dtype=str), words("path"), duration, words("duplicate_of"), words("split")
        )
    except DataError as error:
        raise DataError(f"{path}: {error}") from error


def frame_of(columns: Mapping[str, np.ndarray], targets: Targets) -> pd.DataFrame:
    """Make a table with a row per target, called by its name, or by structure and index."""
    if targets.kind == "column":
        index = pd.Index(list(targets.names), name="target")
    elif any(targets.structure):
        index = pd.MultiIndex.from_arrays([targets.structure, targets.index], names=["structure", "index"])
    else:
        index = pd.Index(targets.index, name="voxel")
    return pd.DataFrame(dict(columns), index=index)

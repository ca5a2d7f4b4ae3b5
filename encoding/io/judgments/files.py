"""Judgments from files of all kinds: Parquet, rows of numbers with the odd item last, and saved `Judgments`."""

import csv
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
import pyarrow.parquet as pq

from ...core import ConfigError, DataError, Judgments, Plan, Provenance, digest, fingerprint, suggest
from ...core.judgments import OUTCOMES
from ...core.plans import SPLITS
from ...core.words import count
from ...numerics.triplet_ranks import rank_triplets
from ..arrays import open_npy
from ..atomic import atomic_file
from ..fetched import absent, require_content
from ..store import DESCRIPTION, load
from ..tables import read_table
from .answers import AnswerStore
from .columns import (
    CHOICE_NAMES,
    annotators,
    choices,
    constant,
    factorised,
    is_header,
    read_choices,
    read_probabilities,
    require_counted_from_0,
    require_odd,
    require_same_odd,
    settled,
    text_cells,
)
from .names import (
    COUNTED,
    MISSING,
    MOST_UNSEEN,
    WHO,
    alike,
    as_whole,
    check_numbers,
    declared,
    factorise,
    look_up,
    number_names,
    only,
    require_positions,
    require_three,
    spelled,
)

META = b"encoding.judgments"
ITEMS = ("item_1", "item_2", "item_3")
NUMBERS = (".txt", ".npy", ".csv", ".tsv")
WORDS = pa.dictionary(pa.int32(), pa.string())
SCHEMA = pa.schema(
    [
        *((f"item_{slot}", WORDS) for slot in (1, 2, 3)),
        ("choice", pa.int8()),
        ("odd", WORDS),
        *((f"probability_{slot}", pa.float32()) for slot in (1, 2, 3)),
        ("outcome", WORDS),
        ("weight", pa.float32()),
        ("repeat", pa.int32()),
        ("split", WORDS),
        ("annotator", WORDS),
        ("participant", WORDS),
        ("reaction_time", pa.float32()),
        ("model", WORDS),
        ("mass", pa.float32()),
        ("tokens_in", pa.int32()),
        ("tokens_cached", pa.int32()),
        ("tokens_out", pa.int32()),
        ("tries", pa.int16()),
        ("latency", pa.float32()),
        ("answered", pa.float64()),
    ]
)
COLUMNS = ("first", "second", "third", "repeat", "outcome", "choice", "p1", "p2", "p3", "participant")


ODD = ("last", "first")  # column of the odd item in rows of numbers
# What the columns of tables with a header are called: ours, and those of the THINGS odd-one-out files.
ITEM_NAMES = (ITEMS, ("image1", "image2", "image3"), ("item1", "item2", "item3"), ("image_1", "image_2", "image_3"))
RATING_NAMES = ("rating", "similarity", "similarity_rating", "dissimilarity")


def read_judgments(
    path: str | Path,
    *,
    stimuli: Sequence[str] | None = None,
    split: str = "",
    annotator: str = "",
    odd: str = "last",
    count_from: int = 0,
    matched: bool = False,
    persons: bool = False,
) -> Judgments:
    """Read judgments; `matched` if the first item is a target, which is never the choice.

    With `persons`, annotators of a collection's files are the participants where these are known.
    """
    path = Path(path)
    if not path.exists():
        raise absent(path)
    if odd not in ODD or count_from not in (0, 1):
        raise ConfigError(f"{path}: odd = {odd!r}, count_from = {count_from!r}; needed 'last' or 'first', and 0 or 1.")
    try:
        if path.suffix in NUMBERS and path.is_file():
            require_content(path)
            return _of_text(
                path, stimuli, split, annotator, odd=odd, count_from=count_from, matched=matched, persons=persons
            )
        found = _of_file(path, split, annotator, matched=matched, persons=persons)
        if stimuli is None:
            return found
        # Exports and stores of a collection name the stimuli; no numeral in them is a position.
        named = path.is_file() and found.provenance.step != "read_judgments/1"
        return renumbered(found, stimuli, path, None if named else count_from)
    except DataError as error:
        if str(path) in str(error):
            raise
        raise DataError(f"{path}: {error}") from error


def _of_file(path: Path, split: str, annotator: str, *, matched: bool, persons: bool) -> Judgments:
    """Read files that name their stimuli."""
    if path.is_dir():
        found = load(path)
        if not isinstance(found, Judgments):
            raise DataError(f"{path}: holds a {type(found).__name__}, but Judgments were needed.")
        return _of(annotator, found, path)
    require_content(path)
    if path.suffix == ".parquet":
        return _parquet(path, split, annotator, matched=matched, persons=persons)
    if path.suffix == ".sqlite":
        return read_store(path, annotator=annotator, split=split, persons=persons)
    kinds = f".parquet, .sqlite, {', '.join(NUMBERS)} files, or a saved folder"
    raise DataError(f"{path}: judgments are read from {kinds}.")


def renumbered(judgments: Judgments, stimuli: Sequence[str], path: Path, count_from: int | None = None) -> Judgments:
    """Return judgments with the declared stimuli in their order; numerals may count them if `count_from` is given."""
    if list(judgments.stimuli) == declared(stimuli, path):
        return judgments
    shown, codes = np.unique(judgments.items, return_inverse=True)
    given = [judgments.stimuli[item] for item in shown.tolist()]
    names, items = look_up(codes.reshape(judgments.items.shape), given, stimuli, path, count_from=count_from)
    return replace(judgments, stimuli=names, items=items)


def _of_text(
    path: Path,
    stimuli: Sequence[str] | None,
    split: str,
    annotator: str,
    *,
    odd: str,
    count_from: int,
    matched: bool,
    persons: bool,
) -> Judgments:
    if path.suffix != ".npy":
        table = _with_header(path)
        # Three columns are rows of numbers, whatever they are called.
        chosen = table is not None and len(table.columns) > 3 and bool(set(CHOICE_NAMES) & set(table.columns))
        rated = [] if table is None or chosen else [name for name in RATING_NAMES if name in table.columns]
        if rated:
            raise DataError(
                f"{path}: column {rated[0]!r} looks like ratings of similarity, but choices were asked for: the odd "
                f'one of three stimuli, or which of two goes with a third. Set task = "rate" to embed ratings of pairs.'
            )
        if table is not None and chosen:
            return _of_table(
                path, table, stimuli, split, annotator, count_from=count_from, matched=matched, persons=persons
            )
        require_odd(path, *_head(path), odd, matched=matched)
    rows = read_numbers(path)
    rows = rows if odd == "last" else np.ascontiguousarray(rows[:, [1, 2, 0]])
    return _of(annotator, _of_numbers(path, rows, stimuli, split, count_from=count_from), path)


def _of(annotator: str, judgments: Judgments, path: Path, groups: np.ndarray | None = None) -> Judgments:
    """Select the judgments of one annotator, or group of them."""
    if not annotator:
        return judgments
    chosen = judgments.annotator == annotator
    if groups is not None:
        chosen |= groups == annotator
    if not chosen.any():
        known = sorted({*judgments.annotator.tolist(), *(() if groups is None else groups.tolist())} - {""})
        hint = suggest(annotator, known) if known else "It names no annotators: leave annotator out."
        raise DataError(f"{path}: no judgments of {annotator!r}. {hint}")
    return judgments.take(chosen)


def read_numbers(path: str | Path) -> np.ndarray:
    """Read rows of three numbers, such as the files ``train_90.txt`` and ``test_10.npy`` of SPoSE and VICE.

    Returns (n, 3).
    """
    path = Path(path)
    if not path.is_file():
        raise absent(path)
    require_content(path)
    try:
        values = np.asarray(open_npy(path)) if path.suffix == ".npy" else _text(path)
    except DataError:
        raise
    except (OSError, ValueError, EOFError) as error:
        raise DataError(f"{path}: cannot be read as rows of three numbers ({error}).") from error
    if values.ndim != 2 or values.shape[1] != 3 or values.dtype.kind not in "iuf" or not len(values):
        raise DataError(f"{path}: shape {values.shape} of {values.dtype}, but three whole numbers per row were needed.")
    if not np.isfinite(values).all():
        row = int(np.flatnonzero(~np.isfinite(values).all(axis=1))[0])
        raise DataError(f"{path}: row {row + 1} is {values[row].tolist()}; whole numbers of 0 or more were needed.")
    if values.max() > np.iinfo(np.int32).max:
        raise DataError(f"{path}: numbers go up to {values.max():.0f}; items are counted from 0.")
    with np.errstate(invalid="ignore"):
        whole = values.astype(np.int32, copy=False)
    if values.min() < 0 or (values.dtype.kind == "f" and not np.array_equal(whole, values)):
        row = int(np.flatnonzero((values < 0).any(axis=1) | (whole != values).any(axis=1))[0])
        raise DataError(f"{path}: row {row + 1} is {values[row].tolist()}; whole numbers of 0 or more were needed.")
    return whole


def _head(path: Path) -> tuple[list[str], str]:
    """Return comments at the start of a file, and the first other line, without the byte order mark of Excel."""
    comments: list[str] = []
    with path.open(encoding="utf-8-sig", errors="replace") as stream:
        for line in map(str.strip, stream):
            if line and not line.startswith("#"):
                return comments, line
            comments += [line.lstrip("# ")] * bool(line)
    return comments, ""


def header(path: Path) -> list[str]:
    """Return the names in the first line of a table; none of Parquet, which has types."""
    if path.suffix == ".parquet":
        return []
    require_content(path)
    return [name.strip() for name in _split(_head(path)[1], "\t" if path.suffix == ".tsv" else ",")]


def _text(path: Path) -> np.ndarray:
    """Parse with all threads if one character separates numbers, and else by the rules of white space."""
    comments, first = _head(path)
    with path.open(encoding="utf-8") as stream:
        stream.readline()  # raises where the file is of another encoding
    if is_header(first):
        return pd.read_csv(
            path, sep=r"[\s,;]+", header=0, comment="#", engine="python", encoding="utf-8-sig"
        ).to_numpy()
    separators = set(first) - set("0123456789.+-eE")
    separator = "".join(separators)
    if not comments and len(separator) == 1 and len(first.split(separator)) == 3:
        kind = pa.float64() if set(first) & set(".eE") else pa.int32()
        try:
            table = pa.csv.read_csv(
                path,
                read_options=pa.csv.ReadOptions(column_names=list(ITEMS)),
                parse_options=pa.csv.ParseOptions(delimiter=separator),
                convert_options=pa.csv.ConvertOptions(column_types=dict.fromkeys(ITEMS, kind)),
            )
            return np.stack([column.to_numpy() for column in table.columns], axis=1)
        except (pa.ArrowInvalid, pa.ArrowTypeError):
            pass  # rows are not all alike; the slower reader says what is wrong, or copes
    return pd.read_csv(path, sep=r"[\s,]+", header=None, comment="#", engine="python", encoding="utf-8-sig").to_numpy()


def _with_header(path: Path) -> pd.DataFrame | None:
    """Read a table whose first line has names of columns; None if it has none."""
    comments, first = _head(path)
    if not any(character.isalpha() for character in first.replace("e", "").replace("E", "")):
        return None
    for separator in ("\t", ",", ";", r"\s+"):
        names = [name.strip().strip('"') for name in _split(first, separator)]
        if len(names) >= 3:
            if all(name.isalnum() and not name.isdigit() for name in names) or {*CHOICE_NAMES, *RATING_NAMES} & set(
                names
            ):
                if comments:
                    raise DataError(
                        f"{path}: line 1 is a comment ({comments[0]!r}). Remove it: tables begin with names."
                    )
                if (path.suffix, separator) in ((".tsv", "\t"), (".csv", ",")):
                    return read_table(path, text=names)
                return _separated(path, separator)
            return None
    return None


def _split(line: str, separator: str) -> list[str]:
    if separator == ",":
        return next(csv.reader([line]), [])
    return line.split() if separator == r"\s+" else line.split(separator)


def _separated(path: Path, separator: str) -> pd.DataFrame:
    """Read a table with blanks or semicolons between its cells; a lone quotation mark must not join lines."""
    try:
        content = path.read_text(encoding="utf-8-sig").rstrip()
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: cannot be read as a table ({error}). Save it as UTF-8 text.") from error
    if "\0" in content:
        raise DataError(f"{path}: cannot be read as a table (it holds zero bytes; save it as UTF-8 text).")
    lines = [line.split() if separator != ";" else line.split(separator) for line in content.split("\n")]
    rows = [[_without_marks(cell.strip()) for cell in line] for line in lines]
    header = rows[0]
    wrong = next((number for number, row in enumerate(rows) if len(row) != len(header)), None)
    if wrong is not None:
        raise DataError(
            f"{path}: line {wrong + 1} has {len(rows[wrong])} cells, but the header has {len(header)}. Names with "
            f"blanks need tabs between cells."
        )
    return pd.DataFrame(rows[1:], columns=header, dtype=str)


def _without_marks(cell: str) -> str:
    return cell[1:-1] if len(cell) > 1 and cell[0] == cell[-1] == '"' else cell


def _of_table(
    path: Path,
    table: pd.DataFrame,
    stimuli: Sequence[str] | None,
    split: str,
    annotator: str,
    *,
    count_from: int,
    matched: bool,
    persons: bool,
) -> Judgments:
    """Judgments of a table with a header; rows without a choice are invalid answers."""
    columns = only([names for names in ITEM_NAMES if set(names) <= set(table.columns)], "items", path)
    if columns is None:
        raise DataError(f"{path}: no columns {', '.join(ITEMS)}. There is: {', '.join(table.columns)}.")
    if not len(table):
        raise DataError(f"{path}: a header, but no row.")
    codes, given = factorise(table[list(columns)].to_numpy())
    names, items = look_up(codes, given, stimuli, path, count_from=count_from)
    cells = np.array(as_whole(alike(given)))[codes]
    require_three(items, names, path)
    choice = choices(path, table, cells, matched=matched)
    n = len(table)
    named = [name for name in table.columns if name.lower() in WHO]
    given_by = pa.table({name: table[name].astype(str).tolist() for name in named} | {"row": np.arange(n)})
    who, groups = annotators(given_by, path, ours=False, persons=persons)
    known = [name for name in SCHEMA.names[5:12] if name in table.columns]
    more = pa.table({name: text_cells(table[name], name) for name in known} | {"row": np.arange(n)})
    found = Judgments(
        names,
        items,
        choice,
        read_probabilities(more, choice, path),
        *settled(more, choice, split, path),
        who,
        Provenance("read_judgments/1", {"count_from": count_from}, {path.name: fingerprint(path)}),
    )
    return _of(annotator, found, path, groups)


def _of_numbers(
    path: Path, rows: np.ndarray, stimuli: Sequence[str] | None, split: str, *, count_from: int
) -> Judgments:
    known = None if stimuli is None else declared(stimuli, path)
    if known is not None and rows.max() <= max(MOST_UNSEEN, len(known)):
        require_positions(path, np.flatnonzero(np.bincount(rows.ravel())).tolist(), known, count_from)
    rows = rows - count_from if count_from else rows
    n_items = int(rows.max()) + 1
    n_seen = len(np.unique(rows)) if known is None and n_items > MOST_UNSEEN else n_items
    check_numbers(path, int(rows.min()), n_items, known, count_from, n_seen=n_seen)
    names = number_names(n_items, known, count_from)
    require_three(rows, names, path)
    n = len(rows)
    return Judgments(
        names, rows, constant(2, np.int8, n), np.broadcast_to(np.float32(np.nan), (n, 3)), constant("valid", str, n),
        constant(1, np.float32, n), constant(0, np.int32, n), constant(split, str, n), constant("", str, n),
        Provenance("read_judgments/1", {}, {path.name: fingerprint(path)}),
    )  # fmt: skip


def _parquet(path: Path, split: str, annotator: str, *, matched: bool, persons: bool) -> Judgments:
    try:
        table = pa.parquet.read_table(path)
    except (OSError, ValueError, pa.lib.ArrowException) as error:
        raise DataError(f"{path}: cannot be read as Parquet ({error}).") from error
    for name in (*ITEMS, "choice"):
        if name not in table.column_names:
            raise DataError(f"{path}: no column {name!r}. There is: {', '.join(table.column_names)}.")
    meta = _meta(table, path)
    coded = [factorised(table[name]) for name in ITEMS]
    listed = meta.pop("stimuli", None)
    stimuli, items = _named(coded, listed, path, ours=bool(meta))
    require_three(items, stimuli, path)
    choice = read_choices(table, path)
    if not meta:
        require_counted_from_0(table, choice, path, matched=matched)
    require_same_odd(table, choice, coded, path)
    who, groups = annotators(table, path, ours=bool(meta), persons=persons)
    found = Judgments(
        stimuli, items, choice, read_probabilities(table, choice, path), *settled(table, choice, split, path), who,
        Provenance(**meta) if meta else Provenance("read_judgments/1", {}, {path.name: fingerprint(path)}),
    )  # fmt: skip
    return _of(annotator, found, path, groups)


def _named(
    coded: Sequence[tuple[np.ndarray, list[str]]], listed: Sequence[str] | None, path: Path, *, ours: bool
) -> tuple[tuple[str, ...], np.ndarray]:
    """Return names of stimuli, and items (n, 3), of three columns of names."""
    starts = np.cumsum([0, *(len(names) for _, names in coded)])
    given = [name for _, names in coded for name in names]
    codes = np.stack([part + start for (part, _), start in zip(coded, starts, strict=False)], axis=1)
    absent = np.array([name == "" if ours else name.strip().lower() in MISSING for name in given], dtype=bool)
    empty = absent[codes].any(axis=1)
    if empty.any():
        raise DataError(
            f"{path}: row {int(np.flatnonzero(empty)[0]) + 1} does not name three items ({count(empty.sum())})."
        )
    names = given if ours else spelled(given, path)  # others write names as they like
    shown = {name for name, gone in zip(names, absent, strict=True) if not gone}
    stimuli = listed or sorted(shown, key=int if all(map(COUNTED.fullmatch, shown)) else None)
    place = {name: number for number, name in enumerate(stimuli)}
    unknown = shown - set(place)
    if unknown:
        raise DataError(f"{path}: stimulus {sorted(unknown)[0]!r} is not among the {len(stimuli)} that the file lists.")
    return tuple(stimuli), np.array([place.get(name, -1) for name in names], dtype=np.int32)[codes]


def _meta(table: pa.Table, path: Path) -> dict[str, Any]:
    """Read what we wrote into the header of a file."""
    known = {"stimuli", "step", "config", "inputs", "seed", "versions"}
    try:
        meta = json.loads((table.schema.metadata or {}).get(META, b"{}"))
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path}: its header is damaged ({error}). Export it again.") from error
    if not isinstance(meta, dict) or not set(meta) <= known or (meta and "step" not in meta):
        raise DataError(f"{path}: its header is damaged. Export it again.")
    return meta


def words(codes: np.ndarray, names: Sequence[str]) -> pa.DictionaryArray:
    """Make a column of names from numbers.

    Shapes: `codes` (n_rows,).
    """
    missing = codes < 0
    index = pa.array(np.where(missing, 0, codes).astype(np.int32), mask=missing)
    return pa.DictionaryArray.from_arrays(index, pa.array(list(names), type=pa.string()))


def write_judgments(
    path: str | Path, tables: Iterable[Mapping[str, Any]], stimuli: Sequence[str], provenance: Provenance
) -> int:
    """Write judgments as a Parquet file, part by part."""
    meta = {
        "stimuli": list(stimuli),
        "step": provenance.step,
        "config": dict(provenance.config),
        "inputs": dict(provenance.inputs),
        "seed": provenance.seed,
        "versions": dict(provenance.versions),
    }
    schema = SCHEMA.with_metadata({META: json.dumps(meta, ensure_ascii=False).encode()})
    n_rows = 0
    with atomic_file(path) as temporary, pq.ParquetWriter(temporary, schema, compression="zstd") as writer:
        for columns in tables:
            n = len(columns["choice"])
            batch = pa.record_batch([_column(columns.get(field.name), field, n) for field in schema], schema=schema)
            writer.write_batch(batch)
            n_rows += batch.num_rows
    return n_rows


def _column(values: Any, field: pa.Field, n: int) -> pa.Array:
    if values is None:
        return pa.nulls(n, field.type)
    if isinstance(values, pa.Array):
        return values
    if isinstance(values, np.ndarray) and values.dtype.kind == "f":
        return pa.array(values, type=field.type, from_pandas=True)  # NaN is what is missing
    return pa.array(values, type=field.type)


def read_store(path: str | Path, *, annotator: str = "", split: str = "", persons: bool = False) -> Judgments:
    """Read the answers of one annotator.

    Where the plan that was asked lies beside the store (as ``encoding collect`` leaves it), only its triplets are
    taken, each with its part of the plan: train, validation, test or subset.
    """
    path = Path(path)
    with AnswerStore(path, read_only=True) as store:
        number, name, identity = _setting(store, path, annotator)
        named = store.participants() | {0: name} if persons else {}
        owners = dict(store.base.execute("SELECT id, stimulus FROM contents"))
        parts: dict[str, list] = {column: [] for column in COLUMNS}
        for table in store.read(number, COLUMNS):
            for column, values in table.items():
                parts[column] += values
    if not parts["first"]:
        raise DataError(f"{path}: no answers of {name!r} yet.")
    plan = _plan(path.parent / "plan")
    stimuli = plan.stimuli if plan else tuple(sorted(set(owners.values())))
    place = {stimulus: row for row, stimulus in enumerate(stimuli)}
    row_of = {content: place.get(stimulus, -1) for content, stimulus in owners.items()}
    items = np.stack([[row_of[content] for content in parts[slot]] for slot in ("first", "second", "third")], axis=1)
    order = np.lexsort((*items.T[::-1], np.array(parts["repeat"])))
    items = items[order]
    known = {column: np.array(values)[order] for column, values in parts.items()}
    kept, labels = _labels(items, plan, split)
    inputs = {"setting": identity} | ({"plan": plan.provenance.key} if plan else {})
    who = np.array([named.get(person, name) for person in known["participant"][kept].tolist()], dtype=str)
    probabilities = np.array([known[column] for column in ("p1", "p2", "p3")], dtype=np.float32).T
    return Judgments(
        stimuli, items[kept], known["choice"][kept], probabilities[kept],
        np.array(OUTCOMES)[known["outcome"][kept]], np.ones(int(kept.sum())),
        known["repeat"][kept], labels, who,
        Provenance("read_store/1", {"annotator": name}, inputs),
    )  # fmt: skip


def fingerprint_store(path: Path) -> str:
    """Identify the answers of a store and the plan beside it, wherever SQLite keeps them.

    The newest answers lie in a write-ahead log beside the file, which alone says nothing of them.
    """
    with AnswerStore(path, read_only=True) as store:
        # Who answered what counts, even where all answers have one time. SQLite refuses sums above 2^63.
        rows = store.base.execute(
            "SELECT settings.digest, coalesce(participants.name, ''), count(*), "
            "sum(CAST(answered * 1000000 AS INTEGER) % 2147483647), sum(choice), sum(outcome), sum(answers.repeat), "
            "sum((first * 1000003 + second * 10007 + third * 101 + answers.repeat) % 2147483647 * (choice + 2)) "
            "FROM answers JOIN settings ON settings.id = answers.setting "
            "LEFT JOIN participants ON participants.id = answers.participant "
            "GROUP BY settings.digest, answers.participant ORDER BY settings.digest, participants.name"
        ).fetchall()
        shown = sorted(store.base.execute("SELECT digest, stimulus FROM contents").fetchall())
    plan = _plan(path.parent / "plan")
    return digest([rows, shown, plan.provenance.key if plan else None])


def _setting(store: AnswerStore, path: Path, annotator: str) -> tuple[int, str, str]:
    found = store.base.execute("SELECT id, annotator, identity FROM settings ORDER BY id").fetchall()
    chosen = [row for row in found if annotator in ("", row[1])]
    if len(chosen) != 1:
        names = ", ".join(sorted({str(row[1]) for row in found})) or "none"
        what = f"annotator {annotator!r}" if annotator else "one annotator"
        raise DataError(
            f"{path}: {len(chosen)} settings with answers of {what} (annotators: {names}). Name an annotator, or take "
            f"the file that `encoding collect export` writes for each."
        )
    return chosen[0][0], chosen[0][1], digest(chosen[0][2])


def _plan(folder: Path) -> Plan | None:
    return load(folder) if (folder / DESCRIPTION).is_file() else None


def _labels(items: np.ndarray, plan: Plan | None, split: str) -> tuple[np.ndarray, np.ndarray]:
    """Return which answers belong to the plan, and to which part of it."""
    if plan is None:
        return np.ones(len(items), bool), np.full(len(items), split)
    known = items.min(axis=1) >= 0
    keys, codes = rank_triplets(plan.items), np.asarray(plan.split)
    order = np.argsort(keys, kind="stable")
    asked = rank_triplets(np.where(known[:, None], items, np.arange(3)))
    at = np.minimum(np.searchsorted(keys[order], asked), len(keys) - 1)
    kept = known & np.equal(keys[order][at], asked)
    return kept, np.array(SPLITS)[codes[order[at[np.flatnonzero(kept)]]]]

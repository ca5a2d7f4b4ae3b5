"""Judgments from files of all kinds: Parquet, rows of numbers with the odd item last, and saved `Judgments`."""

import json
from collections.abc import Iterable, Mapping, Sequence
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
from ...numerics.triplet_ranks import rank_triplets
from ..arrays import open_npy
from ..atomic import atomic_file
from ..fetched import absent, require_content
from ..store import DESCRIPTION, load
from ..tables import read_table
from .answers import AnswerStore
from .columns import constant, factorised, read_choices, read_probabilities, require_same_odd, settled, text_column

META = b"encoding.judgments"
ITEMS = ("item_1", "item_2", "item_3")
# Numbers up to here may name items that occur in no triplet.
MOST_UNSEEN = 10_000
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
COLUMNS = ("first", "second", "third", "repeat", "outcome", "choice", "p1", "p2", "p3")


ODD = ("last", "first")  # column of the odd item in rows of numbers
# What the columns of tables with a header are called: ours, and those of the THINGS odd-one-out files.
ITEM_NAMES = (ITEMS, ("image1", "image2", "image3"), ("item1", "item2", "item3"), ("image_1", "image_2", "image_3"))
CHOICE_NAMES = ("choice", "odd", "odd_one_out")
RATING_NAMES = ("rating", "similarity", "similarity_rating", "dissimilarity")
ANNOTATOR_NAMES = ("annotator", "subject_id", "participant_id", "subject")


def read_judgments(
    path: str | Path,
    *,
    stimuli: Sequence[str] | None = None,
    split: str = "",
    annotator: str = "",
    odd: str = "last",
    count_from: int = 0,
) -> Judgments:
    """Read judgments."""
    path = Path(path)
    if path.is_dir():
        found = load(path)
        if not isinstance(found, Judgments):
            raise DataError(f"{path}: holds a {type(found).__name__}, but Judgments were needed.")
        return _of(annotator, found, path)
    if not path.is_file():
        raise absent(path)
    require_content(path)
    if odd not in ODD or count_from not in (0, 1):
        raise ConfigError(f"{path}: odd = {odd!r}, count_from = {count_from!r}; needed 'last' or 'first', and 0 or 1.")
    try:
        if path.suffix == ".parquet":
            return _of(annotator, _parquet(path, split), path)
        if path.suffix == ".sqlite":
            return read_store(path, annotator=annotator, split=split)
        if path.suffix in NUMBERS:
            return _of_text(path, stimuli, split, annotator, odd=odd, count_from=count_from)
    except DataError as error:
        if str(path) in str(error):
            raise
        raise DataError(f"{path}: {error}") from error
    kinds = f".parquet, .sqlite, {', '.join(NUMBERS)} files, or a saved folder"
    raise DataError(f"{path}: judgments are read from {kinds}.")


def _of_text(
    path: Path, stimuli: Sequence[str] | None, split: str, annotator: str, *, odd: str, count_from: int
) -> Judgments:
    if path.suffix != ".npy":
        table = _with_header(path)
        chosen = table is not None and bool(set(CHOICE_NAMES) & set(table.columns))
        rated = [] if table is None or chosen else [name for name in RATING_NAMES if name in table.columns]
        if rated:
            raise DataError(
                f"{path}: column {rated[0]!r} looks like ratings of similarity, but choices were asked for: the odd "
                f'one of three stimuli, or which of two goes with a third. Set task = "rate" to embed ratings of pairs.'
            )
        if table is not None and chosen:
            return _of(annotator, _of_table(path, table, stimuli, split, count_from=count_from), path)
    rows = read_numbers(path)
    rows = rows if odd == "last" else np.ascontiguousarray(rows[:, [1, 2, 0]])
    return _of_numbers(path, rows, stimuli, split, count_from=count_from)


def _of(annotator: str, judgments: Judgments, path: Path) -> Judgments:
    """Select the judgments of one annotator."""
    if not annotator:
        return judgments
    chosen = judgments.annotator == annotator
    if not chosen.any():
        raise DataError(
            f"{path}: no judgments of {annotator!r}. {suggest(annotator, sorted(set(judgments.annotator.tolist())))}"
        )
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


def _text(path: Path) -> np.ndarray:
    """Parse with all threads if one character separates numbers, and else by the rules of white space."""
    with path.open(encoding="utf-8") as stream:
        first = stream.readline().strip()
    if any(character.isalpha() and character not in "eE" for character in first):
        return pd.read_csv(path, sep=r"[\s,;]+", header=0, comment="#", engine="python").to_numpy()
    separators = set(first) - set("0123456789.+-eE")
    separator = "".join(separators)
    if len(separator) == 1 and len(first.split(separator)) == 3:
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
    return pd.read_csv(path, sep=r"[\s,]+", header=None, comment="#", engine="python").to_numpy()


def _with_header(path: Path) -> pd.DataFrame | None:
    """Read a table whose first line has names of columns; None if it has none."""
    with path.open(encoding="utf-8", errors="replace") as stream:
        first = stream.readline().strip()
    if not any(character.isalpha() for character in first.replace("e", "").replace("E", "")):
        return None
    for separator in ("\t", ",", ";", r"\s+"):
        names = [name.strip().strip('"') for name in (first.split() if separator == r"\s+" else first.split(separator))]
        if len(names) >= 3:
            if all(name.isalnum() and not name.isdigit() for name in names) or {*CHOICE_NAMES, *RATING_NAMES} & set(
                names
            ):
                if (path.suffix, separator) in ((".tsv", "\t"), (".csv", ",")):
                    return read_table(path, text=names)
                return _separated(path, separator)
            return None
    return None


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
    path: Path, table: pd.DataFrame, stimuli: Sequence[str] | None, split: str, *, count_from: int
) -> Judgments:
    """Judgments of a table with a header; rows without a choice are invalid answers."""
    columns = next((names for names in ITEM_NAMES if set(names) <= set(table.columns)), None)
    if columns is None:
        raise DataError(f"{path}: no columns {', '.join(ITEMS)}. There is: {', '.join(table.columns)}.")
    if not len(table):
        raise DataError(f"{path}: a header, but no row.")
    cells = table[list(columns)].apply(lambda column: column.str.strip())
    _require_items(path, cells.to_numpy())
    answer = table[next(name for name in CHOICE_NAMES if name in table.columns)].str.strip()
    numbered = bool(cells.apply(lambda column: column.str.fullmatch(r"\d+").all()).all())
    names: tuple[str, ...]
    if numbered:
        items = cells.to_numpy().astype(np.int64) - count_from
        n_items = int(items.max()) + 1
        _check_numbers(path, items, stimuli, count_from)
        names = tuple(map(str, range(count_from, n_items + count_from))) if stimuli is None else tuple(stimuli)
    else:
        names = tuple(stimuli) if stimuli is not None else tuple(sorted(set(cells.to_numpy().ravel().tolist())))
        place = {name: number for number, name in enumerate(names)}
        unknown = set(cells.to_numpy().ravel().tolist()) - set(place)
        if unknown:
            raise DataError(f"{path}: stimulus {sorted(unknown)[0]!r} is not among the {len(names)} that are named.")
        items = np.stack([cells[column].map(place).to_numpy(np.int64) for column in columns], axis=1)
    if numbered:  # a column of numbers in which one is missing is written as 12.0
        answer = answer.str.replace(r"^(\d+)\.0+$", r"\1", regex=True)
    choice = _positions(path, answer, cells)
    annotators = next((name for name in ANNOTATOR_NAMES if name in table.columns), None)
    n = len(table)
    who = constant("", str, n) if annotators is None else table[annotators].to_numpy(str)
    known = [name for name in SCHEMA.names[5:12] if name in table.columns]
    if "outcome" in known and not set(table["outcome"].astype(str)) & set(OUTCOMES):
        known.remove("outcome")  # a column of something else, such as right and wrong
    more = pa.table({name: _cells(table[name], name) for name in known} | {"row": np.arange(n)})
    return Judgments(
        names, items, choice, read_probabilities(more, choice, path),
        *settled(more, choice, split, path), who,
        Provenance("read_judgments/1", {"count_from": count_from}, {path.name: fingerprint(path)}),
    )  # fmt: skip


def _cells(column: pd.Series, name: str) -> list[str | None]:
    """Return the cells of a text table; numbers may be missing."""
    cells = column.astype(str).str.strip().tolist()
    missing = ("", "n/a", "na", "nan") if name not in ("outcome", "split") else ()
    return [None if cell.lower() in missing else cell for cell in cells]


def _require_items(path: Path, cells: np.ndarray) -> None:
    """Refuse rows of (n, 3) names of which one is missing."""
    empty = np.isin(cells, ("", "n/a")).any(axis=1)
    if empty.any():
        row = int(np.flatnonzero(empty)[0])
        raise DataError(f"{path}: row {row + 1} names {cells[row].tolist()} ({empty.sum()} such rows); three needed.")


def _positions(path: Path, answer: pd.Series, cells: pd.DataFrame) -> np.ndarray:
    """Slot of the odd item, -1 without an answer: answers name the item, or its position from 0 or from 1."""
    given = ~answer.str.lower().isin(("", "nan", "na", "n/a", "-1")).to_numpy()
    same = cells.to_numpy() == answer.to_numpy()[:, None]
    values = set(answer[given])
    if given.any() and (same.sum(axis=1) == 1)[given].all() and not values <= {"0", "1", "2", "3"}:
        return np.where(given, same.argmax(axis=1), -1).astype(np.int8)
    for first in (0, 1):
        known = {str(first + slot): slot for slot in range(3)}
        if values <= set(known) and str(3 * first) in values:
            return np.array([known[a] if g else -1 for a, g in zip(answer, given, strict=True)], dtype=np.int8)
    if given.any() and values <= {"1", "2"}:
        raise DataError(
            f"{path}: all choices are {' or '.join(sorted(values))}, so that positions may count from 0 or from 1. Let "
            f"the choice be the item itself."
        )
    row = int(np.flatnonzero(given)[0]) if given.any() else 0
    raise DataError(
        f"{path}: the choices name neither one item of each row nor positions 0 to 2 or 1 to 3; row {row + 1} has "
        f"{answer.iloc[row]!r} for {cells.iloc[row].tolist()}."
    )


def _check_numbers(path: Path, items: np.ndarray, stimuli: Sequence[str] | None, count_from: int) -> None:
    if items.min() < 0:
        raise DataError(f"{path}: item 0 occurs, but items are counted from 1. Leave count_from out.")
    n_items = int(items.max()) + 1
    if stimuli is not None and n_items > len(stimuli):
        one_based = not count_from and items.min() == 1 and n_items == len(stimuli) + 1
        hint = " Numbers start at 1: say count_from = 1 if that is the first stimulus." if one_based else ""
        raise DataError(
            f"{path}: numbers go up to {n_items - 1 + count_from}, but {len(stimuli)} stimuli are named, counted from "
            f"{count_from}.{hint}"
        )


def _of_numbers(
    path: Path, rows: np.ndarray, stimuli: Sequence[str] | None, split: str, *, count_from: int
) -> Judgments:
    rows = rows - count_from if count_from else rows
    _check_numbers(path, rows, stimuli, count_from)
    n_items = int(rows.max()) + 1
    if stimuli is None and n_items > MOST_UNSEEN and n_items > 10 * (n_seen := len(np.unique(rows))):
        raise DataError(
            f"{path}: numbers go up to {n_items - 1}, but only {n_seen} different items occur. Count items from 0, or "
            f"name them with `stimuli`."
        )
    names = tuple(map(str, range(count_from, n_items + count_from))) if stimuli is None else tuple(stimuli)
    n = len(rows)
    return Judgments(
        names, rows, constant(2, np.int8, n), np.broadcast_to(np.float32(np.nan), (n, 3)), constant("valid", str, n),
        constant(1, np.float32, n), constant(0, np.int32, n), constant(split, str, n), constant("", str, n),
        Provenance("read_judgments/1", {}, {path.name: fingerprint(path)}),
    )  # fmt: skip


def _parquet(path: Path, split: str) -> Judgments:
    try:
        table = pa.parquet.read_table(path)
    except (OSError, ValueError, pa.lib.ArrowException) as error:
        raise DataError(f"{path}: cannot be read as Parquet ({error}).") from error
    for name in (*ITEMS, "choice"):
        if name not in table.column_names:
            raise DataError(f"{path}: no column {name!r}. There is: {', '.join(table.column_names)}.")
    n = table.num_rows
    meta = _meta(table, path)
    coded = [factorised(table[name]) for name in ITEMS]
    if not meta:  # names as others write them
        coded = [(codes, [name.strip() for name in names]) for codes, names in coded]
    for codes, names in coded:
        if "" in names and np.isin(codes, [k for k, name in enumerate(names) if not name]).any():
            row = int(np.flatnonzero(np.isin(codes, [k for k, name in enumerate(names) if not name]))[0])
            raise DataError(f"{path}: row {row + 1} does not name three items.")
    stimuli = meta.pop("stimuli", None) or sorted({name for _, names in coded for name in names})
    place = {name: number for number, name in enumerate(stimuli)}
    unknown = {name for _, names in coded for name in names} - set(place)
    if unknown:
        raise DataError(f"{path}: stimulus {sorted(unknown)[0]!r} is not among the {len(stimuli)} that the file lists.")
    items = np.stack([np.array([place[name] for name in names])[codes] for codes, names in coded], axis=1)
    choice = read_choices(table, path)
    require_same_odd(table, choice, [(codes, names) for codes, names in coded], path)
    return Judgments(
        tuple(stimuli), items, choice, read_probabilities(table, choice, path), *settled(table, choice, split, path),
        text_column(table, "annotator", constant("", str, n)),
        Provenance(**meta) if meta else Provenance("read_judgments/1", {}, {path.name: fingerprint(path)}),
    )  # fmt: skip


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


def read_store(path: str | Path, *, annotator: str = "", split: str = "") -> Judgments:
    """Read the answers of one annotator.

    Where the plan that was asked lies beside the store (as ``encoding collect`` leaves it), only its triplets are
    taken, each with its part of the plan: train, validation, test or subset.
    """
    path = Path(path)
    with AnswerStore(path, read_only=True) as store:
        number, name, identity = _setting(store, path, annotator)
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
    probabilities = np.array([known[column] for column in ("p1", "p2", "p3")], dtype=np.float32).T
    return Judgments(
        stimuli, items[kept], known["choice"][kept], probabilities[kept],
        np.array(OUTCOMES)[known["outcome"][kept]], np.ones(int(kept.sum())),
        known["repeat"][kept], labels, np.full(int(kept.sum()), name),
        Provenance("read_store/1", {"annotator": name}, inputs),
    )  # fmt: skip


def fingerprint_store(path: Path) -> str:
    """Identify the answers of a store and the plan beside it, wherever SQLite keeps them.

    The newest answers lie in a write-ahead log beside the file, which alone says nothing of them.
    """
    with AnswerStore(path, read_only=True) as store:
        rows = store.base.execute(
            "SELECT settings.digest, count(*), sum(CAST(answered * 1000000 AS INTEGER)), sum(choice), sum(outcome), "
            "sum(answers.repeat) FROM answers JOIN settings ON settings.id = answers.setting GROUP BY settings.digest "
            "ORDER BY settings.digest"
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

"""Judgments as Parquet files, and as the files of triplets that SPoSE and VICE read."""

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from ..core import DataError, Judgments, Provenance
from .atomic import atomic_file

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
        ("mass", pa.float32()),
        ("tokens_in", pa.int32()),
        ("tokens_cached", pa.int32()),
        ("tokens_out", pa.int32()),
        ("tries", pa.int16()),
        ("latency", pa.float32()),
        ("answered", pa.float64()),
    ]
)
NEEDED = ("item_1", "item_2", "item_3", "choice", "outcome")
META = b"encoding.judgments"


def words(codes: np.ndarray, names: Sequence[str]) -> pa.DictionaryArray:
    """Make a column of names from numbers.

    Parameters
    ----------
    codes : ndarray of integers, shape (n_rows,)
        Index into `names`; -1 for a missing name.
    names : sequence of str
        The names.

    Returns
    -------
    pyarrow.DictionaryArray
        The column.
    """
    missing = codes < 0
    index = pa.array(np.where(missing, 0, codes).astype(np.int32), mask=missing)
    return pa.DictionaryArray.from_arrays(index, pa.array(list(names), type=pa.string()))


def write_judgments(
    path: str | Path, tables: Iterable[Mapping[str, Any]], stimuli: Sequence[str], provenance: Provenance
) -> int:
    """Write judgments as a Parquet file, part by part.

    Parameters
    ----------
    path : str or Path
        The file.
    tables : iterable of mapping
        Columns of `SCHEMA` as arrays, for some rows at a time.
    stimuli : sequence of str
        Names of all stimuli, in their order.
    provenance : Provenance
        Where the judgments come from.

    Returns
    -------
    int
        Number of rows.
    """
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
            batch = pa.record_batch([_column(columns[field.name], field) for field in schema], schema=schema)
            writer.write_batch(batch)
            n_rows += batch.num_rows
    return n_rows


def _column(values: Any, field: pa.Field) -> pa.Array:
    if isinstance(values, pa.Array):
        return values
    if isinstance(values, np.ndarray) and values.dtype.kind == "f":
        return pa.array(values, type=field.type, from_pandas=True)  # NaN is what is missing
    return pa.array(values, type=field.type)


def read_judgments(path: str | Path) -> Judgments:
    """Read judgments from a Parquet file.

    Parameters
    ----------
    path : str or Path
        A file that `write_judgments` wrote, or one with columns item_1, item_2, item_3 (names in the order of
        showing), choice (0, 1, 2, or -1) and outcome.

    Returns
    -------
    Judgments
        The judgments; probabilities, weights, repeats, splits and annotators are filled in where they are missing.

    Raises
    ------
    DataError
        If the file cannot be read or lacks a column.
    """
    path = Path(path)
    if not path.is_file():
        raise DataError(f"{path}: no such file.")
    try:
        table = pq.read_table(path)
    except (OSError, pa.ArrowInvalid) as error:
        raise DataError(f"{path}: cannot be read as Parquet ({error}).") from error
    for name in NEEDED:
        if name not in table.column_names:
            raise DataError(f"{path}: no column {name!r}. There is: {', '.join(table.column_names)}.")
    meta = json.loads((table.schema.metadata or {}).get(META, b"{}"))
    coded = [_codes(table[name]) for name in NEEDED[:3]]
    known = meta.pop("stimuli", None)
    stimuli = tuple(known if known is not None else sorted({name for _, names in coded for name in names}))
    place = {name: i for i, name in enumerate(stimuli)}
    items = np.stack([np.array([place[name] for name in names] or [0])[codes] for codes, names in coded], axis=1)
    n = table.num_rows
    probabilities = np.full((n, 3), np.nan, dtype=np.float32)
    for slot in range(3):
        if f"probability_{slot + 1}" in table.column_names:
            probabilities[:, slot] = table[f"probability_{slot + 1}"].to_numpy()

    def text(name: str) -> np.ndarray:
        if name not in table.column_names:
            return np.full(n, "", dtype=str)
        codes, names = _codes(table[name])
        return np.array(names or [""], dtype=str)[codes]

    def number(name: str, default: float) -> np.ndarray:
        return table[name].to_numpy() if name in table.column_names else np.full(n, default)

    provenance = Provenance(**meta) if meta else Provenance("judgments/1")
    return Judgments(
        stimuli, items, table["choice"].to_numpy(), probabilities, text("outcome"), number("weight", 1),
        number("repeat", 0), text("split"), text("annotator"), provenance,
    )  # fmt: skip


def _codes(column: pa.ChunkedArray) -> tuple[np.ndarray, list[str]]:
    if not pa.types.is_dictionary(column.type):
        column = column.cast(pa.string()).dictionary_encode()
    whole = column.unify_dictionaries().combine_chunks()
    if isinstance(whole, pa.ChunkedArray):  # combining no chunks gives none
        return np.empty(0, dtype=np.int64), []
    return whole.indices.to_numpy(zero_copy_only=False).astype(np.int64), whole.dictionary.to_pylist()

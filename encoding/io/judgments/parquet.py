"""Judgments written as Parquet files; `judgment_files` reads them."""

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from ...core import Provenance
from ..atomic import atomic_file
from .files import META

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

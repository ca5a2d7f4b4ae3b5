"""Judgments from files of all kinds: Parquet, rows of numbers with the odd item last, and saved `Judgments`."""

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet

from ...core import DataError, Judgments, Provenance, fingerprint, suggest
from ..store import load
from .stored import read_store

META = b"encoding.judgments"
ITEMS = ("item_1", "item_2", "item_3")
NUMBERS = (".txt", ".npy", ".csv", ".tsv")


def read_judgments(
    path: str | Path, *, stimuli: Sequence[str] | None = None, split: str = "", annotator: str = ""
) -> Judgments:
    """Read judgments.

    Parameters
    ----------
    path : str or Path
        ``.parquet`` with the columns item_1, item_2, item_3 (names in the order of showing), choice (0, 1, 2, or -1)
        and if known outcome, probability_1 to _3, weight, repeat, split, annotator; ``.txt`` or ``.npy`` with three
        0-based numbers per row, the odd item last; ``answers.sqlite`` of a collection; or a folder into which
        `Judgments` were saved.
    stimuli : sequence of str, optional
        Names that numbers count. Without them items are called 0, 1, 2, ...
    split : str
        Part that all judgments belong to, where the file names none.
    annotator : str
        Whose judgments, where a file holds those of several; all of them unless given, which a store does not allow.

    Returns
    -------
    Judgments
        In the order of the file.

    Raises
    ------
    DataError
        If the file cannot be read, lacks a column, or holds something else.
    """
    path = Path(path)
    if path.is_dir():
        found = load(path)
        if not isinstance(found, Judgments):
            raise DataError(f"{path}: holds a {type(found).__name__}, but Judgments were needed.")
        return _of(annotator, found, path)
    if not path.is_file():
        raise DataError(f"{path}: no such file.")
    if path.suffix == ".parquet":
        return _of(annotator, _parquet(path, split), path)
    if path.suffix == ".sqlite":
        return read_store(path, annotator=annotator, split=split)
    if path.suffix in NUMBERS:
        return _of_numbers(path, read_numbers(path), stimuli, split)
    kinds = f".parquet, .sqlite, {', '.join(NUMBERS)} files, or a saved folder"
    raise DataError(f"{path}: judgments are read from {kinds}.")


def _of(annotator: str, judgments: Judgments, path: Path) -> Judgments:
    """Take the judgments of one annotator."""
    if not annotator:
        return judgments
    chosen = judgments.annotator == annotator
    if not chosen.any():
        raise DataError(
            f"{path}: no judgments of {annotator!r}. {suggest(annotator, sorted(set(judgments.annotator.tolist())))}"
        )
    names = ("items", "choice", "probabilities", "outcome", "weight", "repeat", "split", "annotator")
    return dataclasses.replace(judgments, **{name: getattr(judgments, name)[chosen] for name in names})


def read_numbers(path: str | Path) -> np.ndarray:
    """Read rows of three numbers, such as the files ``train_90.txt`` and ``test_10.npy`` of SPoSE and VICE.

    Parameters
    ----------
    path : str or Path
        ``.npy``, or text with spaces, tabs or commas between numbers.

    Returns
    -------
    ndarray of int32, shape (n, 3)
        As in the file.

    Raises
    ------
    DataError
        If the file cannot be read, or rows are not three whole numbers of 0 or more.
    """
    path = Path(path)
    if not path.is_file():
        raise DataError(f"{path}: no such file.")
    try:
        values = np.load(path, allow_pickle=False) if path.suffix == ".npy" else _text(path)
    except (OSError, ValueError, EOFError) as error:
        raise DataError(f"{path}: cannot be read as rows of three numbers ({error}).") from error
    if values.ndim != 2 or values.shape[1] != 3 or values.dtype.kind not in "iuf" or not len(values):
        raise DataError(f"{path}: shape {values.shape} of {values.dtype}, but three whole numbers per row were needed.")
    whole = values.astype(np.int32, copy=False)
    if values.min() < 0 or (values.dtype.kind == "f" and not np.array_equal(whole, values)):
        row = int(np.flatnonzero((values < 0).any(axis=1) | (whole != values).any(axis=1))[0])
        raise DataError(f"{path}: row {row + 1} is {values[row].tolist()}; whole numbers of 0 or more were needed.")
    return whole


def _text(path: Path) -> np.ndarray:
    """Parse with all threads if one character separates numbers, and else by the rules of white space."""
    with path.open(encoding="utf-8") as stream:
        first = stream.readline().strip()
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


def _of_numbers(path: Path, rows: np.ndarray, stimuli: Sequence[str] | None, split: str) -> Judgments:
    n_items = int(rows.max()) + 1
    if stimuli is not None and n_items > len(stimuli):
        raise DataError(
            f"{path}: numbers go up to {n_items - 1}, but {len(stimuli)} stimuli are named, counted from 0."
        )
    names = tuple(map(str, range(n_items))) if stimuli is None else tuple(stimuli)
    n = len(rows)
    return Judgments(
        names, rows, _same(2, np.int8, n), np.broadcast_to(np.float32(np.nan), (n, 3)), _same("valid", str, n),
        _same(1, np.float32, n), _same(0, np.int32, n), _same(split, str, n), _same("", str, n),
        Provenance("read_judgments/1", {}, {path.name: fingerprint(path)}),
    )  # fmt: skip


def _same(value: object, dtype: type, n: int) -> np.ndarray:
    """Give a column of one value, which takes no memory."""
    return np.broadcast_to(np.asarray(value, dtype=dtype), (n,))


def _parquet(path: Path, split: str) -> Judgments:
    try:
        table = pa.parquet.read_table(path)
    except (OSError, pa.ArrowInvalid) as error:
        raise DataError(f"{path}: cannot be read as Parquet ({error}).") from error
    for name in (*ITEMS, "choice"):
        if name not in table.column_names:
            raise DataError(f"{path}: no column {name!r}. There is: {', '.join(table.column_names)}.")
    n = table.num_rows
    meta = json.loads((table.schema.metadata or {}).get(META, b"{}"))
    coded = [_words(table[name]) for name in ITEMS]
    stimuli = meta.pop("stimuli", None) or sorted({name for _, names in coded for name in names})
    place = {name: number for number, name in enumerate(stimuli)}
    unknown = {name for _, names in coded for name in names} - set(place)
    if unknown:
        raise DataError(f"{path}: stimulus {sorted(unknown)[0]!r} is not among the {len(stimuli)} that the file lists.")
    items = np.stack([np.array([place[name] for name in names])[codes] for codes, names in coded], axis=1)
    choice = table["choice"].to_numpy().astype(np.int8)
    probabilities = np.full((n, 3), np.nan, dtype=np.float32)
    for slot in range(3):
        if f"probability_{slot + 1}" in table.column_names:
            probabilities[:, slot] = table[f"probability_{slot + 1}"].to_numpy()

    def text(name: str, default: np.ndarray) -> np.ndarray:
        if name not in table.column_names:
            return default
        codes, names = _words(table[name])
        return np.asarray(names, dtype=str)[codes]

    def number(name: str, default: int) -> np.ndarray:
        return table[name].to_numpy() if name in table.column_names else np.full(n, default)

    return Judgments(
        tuple(stimuli), items, choice, probabilities, text("outcome", np.where(choice >= 0, "valid", "error")),
        number("weight", 1), number("repeat", 0), text("split", _same(split, str, n)),
        text("annotator", _same("", str, n)),
        Provenance(**meta) if meta else Provenance("read_judgments/1", {}, {path.name: fingerprint(path)}),
    )  # fmt: skip


def _words(column: pa.ChunkedArray) -> tuple[np.ndarray, list[str]]:
    """Take a column of names apart into numbers and different names; a missing name is ""."""
    column = column if pa.types.is_dictionary(column.type) else column.cast(pa.string()).dictionary_encode()
    whole = column.unify_dictionaries().combine_chunks()
    if isinstance(whole, pa.ChunkedArray):
        return np.zeros(0, np.int64), [""]
    names, codes = whole.dictionary.cast(pa.string()).to_pylist(), whole.indices
    if codes.null_count:
        names.append("")
        codes = codes.cast(pa.int64()).fill_null(len(names) - 1)
    return codes.to_numpy(zero_copy_only=False).astype(np.int64), names

"""Ratings of pairs of stimuli from tables."""

from collections.abc import Sequence
from pathlib import Path
from typing import TypeVar

import numpy as np
import pandas as pd

from ...core import ConfigError, DataError, PairRatings, Provenance, fingerprint, suggest
from ...core.plans import SPLITS
from ..fetched import absent
from ..tables import read_table
from .files import ANNOTATOR_NAMES, RATING_NAMES

PAIR_NAMES = (
    *(("a", "b"), ("item_1", "item_2"), ("stimulus_1", "stimulus_2"), ("image1", "image2"), ("item1", "item2")),
    *(("stimulus1", "stimulus2"), ("stimulus_a", "stimulus_b"), ("image_1", "image_2")),
)
UNLIKE = ("dissimilarity", "distance")  # columns in which larger is less alike
WHO = ("participant", *ANNOTATOR_NAMES)
MISSING = ("", "n/a", "na", "nan", "none", "null", "<na>")  # in any case of letters

Named = TypeVar("Named", str, tuple[str, str])


def read_ratings(
    path: str | Path,
    *,
    stimuli: Sequence[str] | None = None,
    annotator: str = "",
    count_from: int = 0,
    scale: tuple[float, float] | None = None,
) -> PairRatings:
    """Read a table with a row per rating: two stimuli (names, or numbers), the rating, and perhaps who gave it.

    Where larger is less alike (`dissimilarity`, `distance`), they are turned around on `scale`, which is needed then.
    """
    path = Path(path)
    if not path.is_file():
        raise absent(path)
    if count_from not in (0, 1):
        raise ConfigError(f"{path}: count_from = {count_from!r}; needed 0 or 1.")
    if path.suffix not in (".csv", ".tsv", ".parquet"):
        raise DataError(f"{path}: ratings are read from .csv, .tsv or .parquet tables with a header.")
    texts = sorted({name for pair in PAIR_NAMES for name in pair} | {*WHO, *RATING_NAMES, *UNLIKE, "weight", "split"})
    table = read_table(path, text=texts)
    given = set(table.columns)
    pair = _one([names for names in PAIR_NAMES if set(names) <= given], "pairs of stimuli", path)
    rated = _one([name for name in dict.fromkeys((*RATING_NAMES, *UNLIKE)) if name in given], "ratings", path)
    who = _one([name for name in WHO if name in given], "participants", path)
    if pair is None or rated is None:
        raise DataError(
            f"{path}: two columns of stimuli (a, b) and one of ratings (rating) were needed. There is: "
            f"{', '.join(map(str, table.columns))}."
        )
    if not len(table):
        raise DataError(f"{path}: a header, but no row.")
    rating = _numbers(table[rated], path, rated)
    if rated in UNLIKE and scale is None:
        raise ConfigError(
            f"{path}: in the column {rated!r} larger is less alike, and ratings can only be turned around on a known "
            f"scale; scale = None. Give the lowest and highest rating that could be given, such as scale = [1, 7]."
        )
    low, high = scale or (float(rating.min()), float(rating.max()))
    _require(path, rating, (rating >= low) & (rating <= high), f"{rated} {{}}; the scale is {low:g} to {high:g}")
    names, pairs = _pairs(table[list(pair)], stimuli, path, count_from)
    n = len(table)
    participant = np.zeros(n, "U1") if who is None else _participants(table[who], path, who)
    split = table["split"].to_numpy(str) if "split" in table.columns else np.zeros(n, "U1")
    _require(path, split, np.isin(split, ("", *SPLITS)), f"split {{!r}}; {', '.join(SPLITS)} or nothing was needed")
    weight = _weights(table["weight"], path) if "weight" in table.columns else np.ones(n)
    if rating.min() == rating.max():
        raise DataError(f"{path}: all {n} ratings are {rating[0]:g}. There is nothing to learn from them.")
    found = PairRatings(
        names, pairs, low + high - rating if rated in UNLIKE else rating, participant, weight, split, scale,
        Provenance("read_ratings/1", {"count_from": count_from}, {path.name: fingerprint(path)}),
    )  # fmt: skip
    if not annotator:
        return found
    own = found.participant == annotator
    if not own.any():
        raise DataError(f"{path}: no ratings of {annotator!r}. {suggest(annotator, sorted(set(participant.tolist())))}")
    return found.take(own)


def _one(found: list[Named], what: str, path: Path) -> Named | None:
    """Return the only column, or pair of columns, that fits; None where none does."""
    if len(found) > 1:
        shown = " and ".join(name if isinstance(name, str) else f"({', '.join(name)})" for name in found)
        raise DataError(f"{path}: {shown} all look like {what}; one was needed. Remove or rename the others.")
    return found[0] if found else None


def _missing(cells: np.ndarray) -> np.ndarray:
    """Find cells without an answer."""
    return np.isin(np.strings.lower(cells), MISSING)


def _participants(column: pd.Series, path: Path, name: str) -> np.ndarray:
    """Return who gave each rating: the same name for all where nobody is named."""
    given = column.to_numpy(str)
    missing = _missing(given)
    if missing.all():
        return np.zeros(len(given), "U1")
    _require(path, given, ~missing, f"{name} {{!r}}; others have one. Name who gave the rating, or leave the row out")
    return given


def _weights(column: pd.Series, path: Path) -> np.ndarray:
    weight = _numbers(column, path, "weight")
    _require(path, weight, weight >= 0, "weight {}; a number of 0 or more was needed")
    if not weight.any():
        raise DataError(
            f"{path}: the weight of all {len(weight)} ratings is 0. Give those that count a weight above 0."
        )
    return weight


def _require(path: Path, values: np.ndarray, good: np.ndarray, text: str) -> None:
    """Refuse rows that are not good, with the first of their values in the text."""
    if not good.all():
        row = int(np.flatnonzero(~good)[0])
        value = str(values[row]) if values.dtype.kind == "U" else f"{values[row]:g}"
        raise DataError(f"{path}: row {row + 1} has the {text.format(value)} ({(~good).sum()} such rows).")


def _numbers(column: pd.Series, path: Path, name: str) -> np.ndarray:
    values = pd.to_numeric(column, errors="coerce").to_numpy(np.float64)
    bad = ~np.isfinite(values)
    if bad.any():
        row = int(np.flatnonzero(bad)[0])
        raise DataError(
            f"{path}: row {row + 1} has the {name} {column.iloc[row]!r} ({bad.sum()} such rows); a number was needed. "
            f"Leave out rows without an answer."
        )
    return values


def _pairs(
    cells: pd.DataFrame, stimuli: Sequence[str] | None, path: Path, count_from: int
) -> tuple[tuple[str, ...], np.ndarray]:
    """Return names of stimuli and pairs of their numbers (n, 2)."""
    given = cells.to_numpy(str)
    empty = _missing(given).any(axis=1)
    if empty.any():
        row = int(np.flatnonzero(empty)[0])
        raise DataError(f"{path}: row {row + 1} names {given[row].tolist()} ({empty.sum()} such rows); two needed.")
    known = None if stimuli is None else pd.Index(list(stimuli))
    # "01" is a name: as a number it would be the same stimulus as "1".
    numbered = bool(cells.apply(lambda column: column.str.fullmatch("0|[1-9][0-9]*").all()).all())
    if numbered and (known is None or not set(given.ravel().tolist()) <= set(known)):
        pairs = given.astype(np.int64) - count_from
        n_items = int(pairs.max()) + 1
        if pairs.min() < 0:
            raise DataError(f"{path}: item 0 occurs, but items are counted from 1. Leave count_from out.")
        if known is not None and n_items > len(known):
            row = int(np.flatnonzero((pairs >= len(known)).any(axis=1))[0])
            raise DataError(
                f"{path}: row {row + 1} names {given[row].tolist()}, but {len(known)} stimuli are named, counted from "
                f"{count_from}. Do the numbers start at 1? Then say count_from = 1."
            )
        names = tuple(map(str, range(count_from, n_items + count_from))) if known is None else tuple(known)
    else:
        names = tuple(sorted(set(given.ravel().tolist()))) if known is None else tuple(known)
        pairs = np.stack([pd.Index(names).get_indexer(pd.Index(given[:, k])) for k in (0, 1)], axis=1)
        if (pairs < 0).any():
            row, column = np.argwhere(pairs < 0)[0]
            name = str(given[row, column])
            hint = suggest(name, names) if len(names) <= 50 else f"There are {len(names)} stimuli."
            raise DataError(f"{path}: row {row + 1}: no stimulus {name!r}. {hint}")
    same = pairs[:, 0] == pairs[:, 1]
    if same.any():
        row = int(np.flatnonzero(same)[0])
        raise DataError(
            f"{path}: row {row + 1} rates {str(given[row, 0])!r} with itself ({same.sum()} such rows). Leave these out."
        )
    return names, pairs

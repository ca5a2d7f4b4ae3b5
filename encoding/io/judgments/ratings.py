"""Ratings of pairs of stimuli from tables."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from ...core import ConfigError, DataError, PairRatings, Provenance, fingerprint, suggest
from ...core.plans import SPLITS
from ...core.words import count
from ..fetched import absent
from ..tables import read_table
from .files import RATING_NAMES, header
from .names import WHO, factorise, look_up, named_column, only, people

PAIR_NAMES = (
    *(("a", "b"), ("item_1", "item_2"), ("stimulus_1", "stimulus_2"), ("image1", "image2"), ("item1", "item2")),
    *(("stimulus1", "stimulus2"), ("stimulus_a", "stimulus_b"), ("image_1", "image_2")),
)
UNLIKE = ("dissimilarity", "distance")  # columns in which larger is less alike


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
    texts = {name for pair in PAIR_NAMES for name in pair} | {*WHO, *RATING_NAMES, *UNLIKE, "weight", "split"}
    texts |= {name for name in header(path) if name.lower() in WHO}  # as numbers, 01 and 1 would be one person
    table = read_table(path, text=sorted(texts))
    given = set(table.columns)
    pair = only([names for names in PAIR_NAMES if set(names) <= given], "pairs of stimuli", path)
    rated = only([name for name in dict.fromkeys((*RATING_NAMES, *UNLIKE)) if name in given], "ratings", path)
    who = named_column(table, "participants", path)
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
    participant = np.zeros(n, "U1") if who is None else people(*factorise(table[who].to_numpy()), who, path)
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
        raise DataError(f"{path}: row {row + 1} has the {text.format(value)} ({count((~good).sum())}).")


def _numbers(column: pd.Series, path: Path, name: str) -> np.ndarray:
    values = pd.to_numeric(column, errors="coerce").to_numpy(np.float64)
    bad = ~np.isfinite(values)
    if bad.any():
        row = int(np.flatnonzero(bad)[0])
        raise DataError(
            f"{path}: row {row + 1} has the {name} {column.iloc[row]!r} ({count(bad.sum())}); a number was needed. "
            f"Leave out rows without an answer."
        )
    return values


def _pairs(
    cells: pd.DataFrame, stimuli: Sequence[str] | None, path: Path, count_from: int
) -> tuple[tuple[str, ...], np.ndarray]:
    """Return names of stimuli and pairs of their numbers (n, 2)."""
    codes, given = factorise(cells.to_numpy())
    names, pairs = look_up(codes, given, stimuli, path, count_from=count_from)
    same = pairs[:, 0] == pairs[:, 1]
    if same.any():
        row = int(np.flatnonzero(same)[0])
        raise DataError(
            f"{path}: row {row + 1} rates {given[codes[row, 0]]!r} with itself ({count(same.sum())}). Leave these out."
        )
    return names, pairs

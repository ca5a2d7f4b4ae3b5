"""Files of triplets: which stimuli they name, and in which column the odd one stands."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from ...core import DataError, suggest
from ..atomic import atomic_file
from ..tables import read_table
from .files import read_numbers
from .names import alike, declared, factorise, require_three

COLUMNS = ("item_1", "item_2", "item_3")


def read_triplets(
    path: str | Path, stimuli: Sequence[str], *, columns: Sequence[str] = COLUMNS, odd: str | None = None
) -> tuple[np.ndarray, np.ndarray | None]:
    """Read triplets from a table of names, or from a file of 0-based numbers.

    Returns items (n_triplets, 3), odd (n_triplets,).
    """
    path = Path(path)
    names = None
    if path.suffix in (".txt", ".npy"):
        if odd is not None:
            raise DataError(
                f"{path}: a file of numbers has no column {odd!r}. Say whether the odd one is last or first."
            )
        items = _numbers(path, len(stimuli))
    else:
        wanted = [*columns, *([odd] if odd else [])]
        frame = read_table(path, text=wanted)
        for name in wanted:
            if name not in frame.columns:
                raise DataError(f"{path}: no column {name!r}. {suggest(name, map(str, frame.columns))}")
        found = _look_up(frame[wanted], stimuli, path)
        items, names = found[:, :3], found[:, 3] if odd else None
    require_three(items, stimuli, path)
    if names is not None and not (items == names[:, None]).any(1).all():
        row = int(np.flatnonzero(~(items == names[:, None]).any(1))[0])
        raise DataError(f"{path}: row {row + 1} calls {stimuli[names[row]]!r} odd, which is none of its three items.")
    return np.ascontiguousarray(items), names


def _numbers(path: Path, n_stimuli: int) -> np.ndarray:
    rows = read_numbers(path)
    if rows.max() >= n_stimuli:
        raise DataError(
            f"{path}: numbers run from {rows.min()} to {rows.max()}, but there are {n_stimuli} stimuli, counted from 0."
        )
    return rows


def _look_up(frame: pd.DataFrame, stimuli: Sequence[str], path: Path) -> np.ndarray:
    index = pd.Index(declared(stimuli, path))
    codes, given = factorise(frame.to_numpy())
    found = index.get_indexer(pd.Index(alike(given)))[codes]
    if (found < 0).any():
        row, column = np.argwhere(found < 0)[0]
        name = str(frame.iloc[row, column])
        known = suggest(name, list(stimuli)) if len(stimuli) <= 50 else f"There are {len(stimuli)} stimuli."
        raise DataError(f"{path}: row {row + 1}, {frame.columns[column]}: no stimulus {name!r}. {known}")
    return found.astype(np.int32)


def write_triplets(path: str | Path, items: np.ndarray) -> Path:
    """Write triplets as SPoSE and VICE read them: 0-based numbers, one row each, the odd one last.

    Shapes: `items` (n_triplets, 3).
    """
    path = Path(path)
    with atomic_file(path) as temporary:
        if path.suffix == ".npy":
            with temporary.open("wb") as stream:
                np.save(stream, np.asarray(items, dtype=np.int32), allow_pickle=False)
        else:
            frame = pd.DataFrame(np.asarray(items))
            frame.to_csv(temporary, sep=" ", header=False, index=False, lineterminator="\n")
    return path

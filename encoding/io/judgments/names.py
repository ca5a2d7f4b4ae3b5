"""Names of stimuli and of people in tables of answers: written alike, checked, and looked up."""

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TypeVar

import numpy as np
import pandas as pd

from ...core import DataError, suggest
from ...core.words import count
from ..tables import require_plain_names

MISSING = ("", "n/a", "na", "nan", "none", "null", "<na>")  # in any case of letters
WHO = ("participant", "annotator", "subject_id", "participant_id", "subject")
WHOLE = re.compile(r"([0-9]+)(\.0+)?")
COUNTED = re.compile(r"0|[1-9][0-9]*")  # "01" is a name: as a number it would be the same stimulus as "1"
MOST_UNSEEN = 10_000  # numbers up to here may name items that occur in no row

Named = TypeVar("Named", str, tuple[str, ...])


def only(found: Sequence[Named], what: str, path: Path) -> Named | None:
    """Return the only column, or set of columns, that fits; None where none does."""
    if len(found) > 1:
        shown = " and ".join(name if isinstance(name, str) else f"({', '.join(name)})" for name in found)
        raise DataError(f"{path}: {shown} all look like {what}; one was needed. Remove or rename the others.")
    return found[0] if found else None


def missing(names: Iterable[str]) -> np.ndarray:
    """Find names that stand for nothing."""
    return np.array([str(name).strip().lower() in MISSING for name in names], dtype=bool)


def factorise(cells: np.ndarray) -> tuple[np.ndarray, list[str]]:
    """Return numbers of different cells in their shape, and the different cells."""
    codes, names = pd.factorize(np.asarray(cells, dtype=object).ravel(), use_na_sentinel=False)
    return codes.reshape(cells.shape), [str(name) for name in names]


def alike(names: Sequence[str]) -> list[str]:
    """Write names alike: without blanks around them, accented letters as one character (NFC)."""
    return [unicodedata.normalize("NFC", name.strip()) for name in names]


def as_whole(names: Sequence[str]) -> list[str]:
    """Write 3.0 as 3 where all are whole numbers: pandas writes so a column in which one is missing."""
    found = [WHOLE.fullmatch(name) for name in names]
    return [number[1] for number in found if number] if all(found) else list(names)


def spelled(names: Sequence[str], path: Path) -> list[str]:
    """Write names of stimuli alike, and refuse those that cannot be told apart."""
    found = as_whole(alike(names))
    require_plain_names(found, str(path))
    numbers = {name: number[1] for name in found if (number := WHOLE.fullmatch(name)) and number[2]}
    both = next((name for name, number in numbers.items() if number in found), None)
    if both is not None:
        raise DataError(f"{path}: {numbers[both]!r} and {both!r} would be two stimuli. Write the number in one way.")
    return found


def named_column(table: pd.DataFrame, what: str, path: Path) -> str | None:
    """Return the column that names who answered; one in which nobody is named does not count."""
    named = [name for name in map(str, table.columns) if name.lower() in WHO]
    return only([name for name in named if not missing(table[name].unique()).all()], what, path)


def people(codes: np.ndarray, given: Sequence[str], column: str, path: Path) -> np.ndarray:
    """Return who gave each answer (n,): the same name for all where nobody is named."""
    absent = missing(given)
    if absent.all():
        return np.zeros(len(codes), "U1")
    bad = absent[codes]
    if bad.any():
        row = int(np.flatnonzero(bad)[0])
        raise DataError(
            f"{path}: row {row + 1} has the {column} {given[int(codes[row])]!r}; others have one. Name who gave the "
            f"answer, or leave the row out ({count(bad.sum())})."
        )
    some = np.flatnonzero(~absent).tolist()
    names = as_whole(alike([given[k] for k in some]))
    require_plain_names(names, str(path))
    place = np.zeros(len(given), np.int64)
    place[some] = np.arange(len(some))
    return np.array(names)[place[codes]]


def require_three(items: np.ndarray, names: Sequence[str], path: Path) -> None:
    """Refuse rows of items (n, 3) that name one twice."""
    a, b, c = items.T
    bad = (a == b) | (b == c) | (a == c)
    if bad.any():
        row = int(np.flatnonzero(bad)[0])
        shown = [names[item] for item in items[row].tolist()]
        raise DataError(f"{path}: row {row + 1} names {shown} ({count(bad.sum())}); three different ones needed.")


def look_up(
    codes: np.ndarray, given: Sequence[str], stimuli: Sequence[str] | None, path: Path, *, count_from: int | None = 0
) -> tuple[tuple[str, ...], np.ndarray]:
    """Return names of stimuli, and the number of each cell among them.

    Declared names are looked up first. Cells are numbers only where all are written like 0, 1, 12, and never if
    `count_from` is None. Shapes: `codes` (n, 2 or 3) into the different cells `given`; returns the same shape.
    """
    _require_present(codes, given, path)
    cells = alike(given)
    known = None if stimuli is None else declared(stimuli, path)
    if known is None or not set(cells) <= set(known):
        cells = spelled(given, path)
    numbered = count_from is not None and all(COUNTED.fullmatch(cell) for cell in cells)
    if numbered and known is not None:
        numbered = _are_positions(cells, known, path, count_from or 0)
    if count_from is not None and numbered:
        names, numbers = _count(cells, codes, known, path, count_from)
    else:
        names = tuple(sorted(set(cells))) if known is None else tuple(known)
        place = {name: number for number, name in enumerate(names)}
        numbers = np.array([place.get(cell, -1) for cell in cells], dtype=np.int64)
        _require_known(codes, cells, numbers, names, path)
    return names, numbers.astype(np.int32)[codes]


def declared(stimuli: Sequence[str], where: str | Path) -> list[str]:
    """Compose a list of names, and refuse it if two are the same."""
    names = alike(stimuli)
    twice = [name for name, n in Counter(names).items() if n > 1]
    if twice:
        raise DataError(f"{where}: {twice[0]!r} is the name of {names.count(twice[0])} stimuli; each needs its own.")
    return names


def _require_present(codes: np.ndarray, given: Sequence[str], path: Path) -> None:
    empty = missing(given)[codes].any(axis=1)
    if empty.any():
        row = int(np.flatnonzero(empty)[0])
        needed = {2: "two", 3: "three"}[codes.shape[1]]
        raise DataError(
            f"{path}: row {row + 1} names {_shown(codes, given, row)} ({count(empty.sum())}); {needed} needed."
        )


def _require_known(
    codes: np.ndarray, cells: Sequence[str], numbers: np.ndarray, names: Sequence[str], path: Path
) -> None:
    if (numbers < 0).any():
        row, column = np.argwhere((numbers < 0)[codes])[0]
        name = cells[codes[row, column]]
        hint = suggest(name, names) if len(names) <= 50 else f"There are {len(names)} stimuli."
        raise DataError(f"{path}: row {row + 1}: no stimulus {name!r}. {hint}")


def _are_positions(cells: Sequence[str], known: Sequence[str], path: Path, count_from: int) -> bool:
    """Return True if numbers count the declared names, and are no names themselves."""
    if set(cells) <= set(known) and not all(map(COUNTED.fullmatch, known)):
        return False  # names such as 01 to 81, of which only those from 10 on are written like numbers
    numbers, n = [int(cell) for cell in cells], len(known)
    listed = [int(name) for name in known if name.isascii() and name.isdigit()]
    first = min(listed, default=0)
    consecutive = set(listed) == set(range(first, first + n))
    low, high = max(first, count_from), min(first, count_from) + n
    if consecutive and first != count_from and low <= min(numbers) and max(numbers) < high:
        raise DataError(
            f"{path}: numbers from {min(numbers)} to {max(numbers)} may be the names of stimuli, which are {first} to "
            f"{first + n - 1}, or count the {n} names from {count_from}. If they are names, say count_from = {first}; "
            f"else write names in the table."
        )
    # A single number that is no name must not make positions of all others.
    return not set(cells) <= set(known) and (consecutive or not set(cells) & set(known))


def _count(
    cells: Sequence[str], codes: np.ndarray, known: Sequence[str] | None, path: Path, count_from: int
) -> tuple[tuple[str, ...], np.ndarray]:
    """Read cells as numbers of stimuli."""
    given = [int(cell) - count_from for cell in cells]
    n_items = max(given) + 1
    if known is not None and n_items > len(known):
        beyond = np.array([number >= len(known) for number in given])[codes].any(axis=1)
        row = int(np.flatnonzero(beyond)[0])
        raise DataError(
            f"{path}: row {row + 1} names {_shown(codes, cells, row)}, but {len(known)} stimuli are named, counted "
            f"from {count_from} ({count(beyond.sum())}). Do the numbers start at 1? Then say count_from = 1."
        )
    check_numbers(path, min(given), n_items, known, count_from, n_seen=len(given))
    return number_names(n_items, known, count_from), np.array(given, dtype=np.int64)


def require_positions(path: Path, numbers: Sequence[int], known: Sequence[str], count_from: int) -> None:
    """Refuse rows of numbers that are all names of stimuli, such as 10, 20, 30, and of other ones than they count."""
    place = {name: number for number, name in enumerate(known)}
    if list(known) in [list(map(str, range(first, first + len(known)))) for first in (0, 1)]:
        return  # are counted from 0, or from 1, as said by count_from
    named = [place.get(str(number)) for number in numbers]
    other = next((k for k, at in enumerate(named) if at != numbers[k] - count_from), None)
    if None not in named and other is not None:
        raise DataError(
            f"{path}: all its numbers are names of stimuli, such as {str(numbers[other])!r}, but rows of numbers count "
            f"the {len(known)} names. Write a table with a header, item_1, item_2, item_3, choice."
        )


def number_names(n_items: int, known: Sequence[str] | None, count_from: int) -> tuple[str, ...]:
    """Return the declared names, or numbers as names."""
    return tuple(map(str, range(count_from, n_items + count_from))) if known is None else tuple(known)


def check_numbers(
    path: Path, lowest: int, n_items: int, stimuli: Sequence[str] | None, count_from: int, *, n_seen: int
) -> None:
    """Refuse numbers from `lowest` to `n_items` - 1, after subtraction of `count_from`, that count no stimuli."""
    if lowest < 0:
        raise DataError(f"{path}: item 0 occurs, but items are counted from 1. Leave count_from out.")
    if stimuli is not None and n_items > len(stimuli):
        one_based = not count_from and lowest == 1 and n_items == len(stimuli) + 1
        hint = " Numbers start at 1: say count_from = 1 if that is the first stimulus." if one_based else ""
        raise DataError(
            f"{path}: numbers go up to {n_items - 1 + count_from}, but {len(stimuli)} stimuli are named, counted from "
            f"{count_from}.{hint}"
        )
    if stimuli is None and n_items > MOST_UNSEEN and n_items > 10 * n_seen:
        raise DataError(
            f"{path}: numbers go up to {n_items - 1}, but only {n_seen} different items occur. Count items from 0, or "
            f"name them with `stimuli`."
        )


def _shown(codes: np.ndarray, given: Sequence[str], row: int) -> list[str]:
    return [given[k] for k in codes[row].tolist()]

"""Columns of tables of judgments: read, and checked against each other."""

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa

from ...core import DataError
from ...core.judgments import OUTCOMES
from ...core.plans import SPLITS
from ...core.words import count
from .names import WHO, alike, as_whole, factorise, missing, only, people

CHOICE_NAMES = ("choice", "odd", "odd_one_out")
UNSURE = 0.02  # by how much probabilities may miss 1: they are often written with two digits
# Orders in which columns of probabilities may stand; that of the slots comes first.
ORDERS = np.array([(0, 1, 2), (0, 2, 1), (1, 0, 2), (1, 2, 0), (2, 0, 1), (2, 1, 0)])
CERTAIN = 20.0  # log likelihood by which another order must fit better: 1 in 10^8 by chance, whatever the choices
LEAST = 0.005  # stands for 0 where probabilities have two digits
ROUNDED = 0.02  # share of choices whose probability, rounded to two digits, may be 0

TITLE_OF_ODD = re.compile("odd|choice|chosen|answer|response", re.IGNORECASE)
WHOLE_TITLE = re.compile(rf"(\w+_)?({TITLE_OF_ODD.pattern})(_\w+)?", re.IGNORECASE)  # in comments, which have words
SHORT = re.compile(r"[^\W\d_]|[^\W\d_]+[\d_]\w*")  # names of columns rather than words of a sentence: a, item_1


def constant(value: object, dtype: type, n: int) -> np.ndarray:
    """Return a column of one value, which takes no memory."""
    return np.broadcast_to(np.asarray(value, dtype=dtype), (n,))


def text_column(table: pa.Table, name: str, default: np.ndarray) -> np.ndarray:
    """Read a column of names, or the default where there is none."""
    if name not in table.column_names:
        return default
    codes, names = factorised(table[name])
    return np.asarray(names, dtype=str)[codes]


def text_cells(column: pd.Series, name: str) -> list[str | None]:
    """Return the cells of a text table; numbers may be missing."""
    cells = column.astype(str).str.strip().tolist()
    absent = ("", "n/a", "na", "nan") if name not in ("outcome", "split") else ()
    return [None if cell.lower() in absent else cell for cell in cells]


def annotators(table: pa.Table, path: Path, *, ours: bool, persons: bool) -> tuple[np.ndarray, np.ndarray | None]:
    """Return who gave each answer; of our own files also what annotators they are, such as people."""
    n = table.num_rows
    given = {name: factorised(table[name]) for name in table.column_names if name.lower() in WHO}
    filled = [name for name, (_, names) in given.items() if not missing(names).all()]
    # An export that other programs filtered has both columns, but not the header that says whose file it is.
    both = set(filled) == {"annotator", "participant"}
    if not ours and not both:
        who = only(filled, "annotators", path)
        return (constant("", str, n) if who is None else people(*given[who], who, path)), None
    groups = text_column(table, "annotator", constant("", str, n))
    if not ours:
        groups = people(*given["annotator"], "annotator", path)
    if not persons or "participant" not in given:
        return groups, None
    codes, names = given["participant"]
    nobody = np.array([name == "" for name in names]) if ours else missing(names)
    known = [name for name, gone in zip(names, nobody, strict=True) if not gone]
    place = np.zeros(len(names), np.int64)
    place[~nobody] = np.arange(len(known))
    person = np.array([*(known if ours else as_whole(alike(known))), ""])[place[codes]]
    return np.where(nobody[codes], groups, person), groups


def settled(
    table: pa.Table, choice: np.ndarray, split: str, path: Path
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Read outcome, weight, repeat and split of every judgment, with their defaults."""
    n = table.num_rows

    def number(name: str, default: int, *, whole: bool) -> np.ndarray:
        if name not in table.column_names:
            return constant(default, np.int32 if whole else np.float32, n)
        values = number_column(table, name, path)
        if name == "repeat":
            values = np.where(np.isnan(values), default, values)  # not said: it is the first
        with np.errstate(invalid="ignore"):
            bad = ~np.isfinite(values) | (values < 0) | (whole & ((values % 1 != 0) | (values > 1e9)))
        if bad.any():
            row = int(np.flatnonzero(bad)[0])
            kind = "whole number" if whole else "number"
            raise DataError(f"{path}: {name} of row {row + 1} is {values[row]}; a {kind} of 0 or more was needed.")
        return values

    parts = text_column(table, "split", constant(split, str, n))
    unknown = sorted(set(np.unique(parts).tolist()) - {"", *SPLITS, split})
    if unknown:
        raise DataError(f"{path}: split {unknown[0]!r} is none of {', '.join(SPLITS)}, or nothing.")
    outcome = np.where(choice >= 0, "valid", "error")
    if "outcome" in table.column_names:
        codes, words = factorised(table["outcome"])
        words = [word.strip().lower() for word in words]
        strange = ~np.isin(words, OUTCOMES)[codes]
        if strange.any():
            row = int(np.flatnonzero(strange)[0])
            raise DataError(
                f"{path}: row {row + 1} has the outcome {words[codes[row]]!r} ({count(strange.sum())}); one of "
                f"{', '.join(OUTCOMES)} was needed. Rename the column if it says something else."
            )
        outcome = np.asarray(words)[codes]
    return outcome, number("weight", 1, whole=False), number("repeat", 0, whole=True), parts


def is_header(line: str) -> bool:
    """Return True if a line has letters other than the e of numbers."""
    return any(character.isalpha() and character not in "eE" for character in line)


def require_odd(path: Path, comments: Sequence[str], first: str, odd: str, *, matched: bool) -> None:
    """Refuse rows of numbers whose header, or comment, calls another column odd than the one that is read as odd."""
    headers = [re.split(r"[\s,;]+", first)] if is_header(first) else []
    between = next((mark for mark in "\t,;" if mark in first), None)
    for names in ([cell.strip() for cell in comment.split(between)] for comment in comments):
        others = [name for name in names if not WHOLE_TITLE.fullmatch(name)]
        # With blanks between them, names of columns look like the words of a sentence.
        if len(others) < len(names) and (between or any(map(SHORT.fullmatch, others))):
            headers.append(names)
    # Which of two goes with a target is the answer, and not the odd one.
    title = re.compile("odd", re.IGNORECASE) if matched else TITLE_OF_ODD
    for cells in headers:
        names = [name.strip("\"' ") for name in cells]
        called = [place for place, name in enumerate(names) if title.search(name)]
        if len(names) == 3 and called and {"first": 0, "last": 2}[odd] not in called:
            advice = 'Say odd = "first".' if called == [0] else 'Put it last, or say odd = "last".'
            raise DataError(
                f"{path}: the header ({', '.join(names)}) calls column {called[0] + 1} the odd one, but the {odd} one "
                f"would be read so. {advice}"
            )


def require_same_odd(
    table: pa.Table, choice: np.ndarray, items: Sequence[tuple[np.ndarray, list[str]]], path: Path
) -> None:
    """Refuse rows whose column `odd` names another item than the slot that was chosen."""
    if "odd" not in table.column_names:
        return
    codes, names = factorised(table["odd"])
    if not set(map(str.strip, names)) & set().union(*(known for _, known in items)):
        return  # none is the name of an item: numbers of slots, say
    odd = np.char.strip(np.asarray(names, dtype=str))[codes]
    chosen = np.full(len(choice), "", dtype=object)
    for slot, (item, known) in enumerate(items):
        here = choice == slot
        chosen[here] = np.asarray(known, dtype=object)[item[here]]
    bad = (odd != "") & (odd != chosen.astype(str))
    if bad.any():
        row = int(np.flatnonzero(bad)[0])
        raise DataError(
            f"{path}: row {row + 1} calls {str(odd[row])!r} odd, but its choice is slot {choice[row]}, "
            f"{str(chosen[row])!r} ({count(bad.sum())}). Slots count from 0."
        )


def require_counted_from_0(table: pa.Table, choice: np.ndarray, path: Path, *, matched: bool) -> None:
    """Refuse slots 1 and 2 without a 0, which may count from 1, unless another column or a target settles it."""
    told = matched or {"odd", "probability_1"} & set(table.column_names)
    if not told and set(np.unique(choice[choice >= 0]).tolist()) == {1, 2}:
        raise DataError(
            f"{path}: all choices are 1 or 2, so that slots may count from 0 or from 1. Add a column 'odd' with the "
            f"name of the item that was chosen."
        )


def choices(path: Path, table: pd.DataFrame, cells: np.ndarray, *, matched: bool) -> np.ndarray:
    """Slot of the odd item, which all columns that name it must agree on."""
    columns = [name for name in CHOICE_NAMES if name in table.columns]
    slots = [_slots(path, table[name], cells, matched=matched) for name in columns]
    for name, other in zip(columns[1:], slots[1:], strict=True):
        bad = (other >= 0) & (other != slots[0])
        if bad.any():
            row = int(np.flatnonzero(bad)[0])
            raise DataError(
                f"{path}: row {row + 1} has the {columns[0]} {table[columns[0]].iloc[row]!r}, but the {name} "
                f"{table[name].iloc[row]!r} ({count(bad.sum())}). Remove the column that is wrong."
            )
    return slots[0]


def _slots(path: Path, answer: pd.Series, cells: np.ndarray, *, matched: bool) -> np.ndarray:
    """Slot of the odd item, -1 without an answer: answers name the item, or its position from 0 or from 1."""
    codes, given = factorise(answer.to_numpy())
    items, texts = set(np.unique(cells).tolist()), alike(given)
    # A column of numbers in which one is missing is written as 12.0.
    texts = [text if text in items else as_whole([text])[0] for text in texts]
    said = ~(missing(texts) | np.isin(texts, ("-1", "-1.0")))
    values = {text for text, one in zip(texts, said, strict=True) if one}
    known = said[codes]
    same = cells == np.array(texts)[codes][:, None]
    item = np.where(known, same.argmax(axis=1), -1) if values and (same.sum(axis=1) == 1)[known].all() else None
    # With a target in the first slot, 1 is the second.
    certain = {0: "0" in values or (matched and "1" in values), 1: "3" in values}
    first = next((k for k in (0, 1) if certain[k] and values <= {str(k + slot) for slot in range(3)}), None)
    if first is not None:
        slots = np.array([int(text) - first if one else -1 for text, one in zip(texts, said, strict=True)])[codes]
        if item is not None and (item != slots).any():
            row = int(np.flatnonzero(item != slots)[0])
            raise DataError(
                f"{path}: all choices may be items or positions; row {row + 1} has {answer.iloc[row]!r} for "
                f"{cells[row].tolist()}. Give the items names that are no numbers."
            )
        return slots.astype(np.int8)
    if item is not None and not values <= {"1", "2"}:
        return item.astype(np.int8)
    if values and values <= {"1", "2"}:
        raise DataError(
            f"{path}: all choices are {' or '.join(sorted(values))}, so that positions may count from 0 or from 1. Let "
            f"the choice be the item itself."
        )
    row = int(np.flatnonzero(known)[0]) if known.any() else 0
    raise DataError(
        f"{path}: the choices name neither one item of each row nor positions 0 to 2 or 1 to 3; row {row + 1} has "
        f"{answer.iloc[row]!r} for {cells[row].tolist()}."
    )


def number_column(table: pa.Table, name: str, path: Path) -> np.ndarray:
    """Read a column of numbers; missing ones are NaN."""
    try:
        return table[name].cast(pa.float64()).to_numpy()
    except pa.lib.ArrowException as error:
        raise DataError(f"{path}: column {name!r} is {table[name].type}; numbers were needed ({error}).") from error


def read_choices(table: pa.Table, path: Path) -> np.ndarray:
    """Read slots; a missing one is -1, not the first slot."""
    if pa.types.is_boolean(table["choice"].type):
        raise DataError(f"{path}: column 'choice' holds true and false, but a slot (0, 1, 2) or -1 was needed.")
    choice = np.nan_to_num(number_column(table, "choice", path), nan=-1.0)
    strange = ~np.isin(choice, (-1, 0, 1, 2))
    if strange.any():
        row = int(np.flatnonzero(strange)[0])
        raise DataError(f"{path}: row {row + 1} has the choice {choice[row]:g}, but 0, 1, 2 or -1 were needed.")
    return choice.astype(np.int8)


def read_probabilities(table: pa.Table, choice: np.ndarray, path: Path) -> np.ndarray:
    """Read probabilities; refuse rows that are no distribution, or under which the recorded choice was impossible.

    Logarithms, scores, or zeros for what is not known are no distribution. A choice that is merely less probable than
    another is what drawing from the probabilities gives; who takes the most probable one has contradictions in every
    row, which `require_likely` tells.
    """
    probabilities = np.full((table.num_rows, 3), np.nan, dtype=np.float32)
    for slot in range(3):
        if f"probability_{slot + 1}" in table.column_names:
            # Beyond float32 they are no probabilities either, and are refused below.
            with np.errstate(over="ignore"):
                probabilities[:, slot] = number_column(table, f"probability_{slot + 1}", path)
    known = ~np.isnan(probabilities)
    with np.errstate(invalid="ignore"):
        wrong = (probabilities < 0) | (probabilities > 1 + UNSURE)
        sums = probabilities.sum(axis=1)
    bad = wrong.any(axis=1) | (known.any(axis=1) & ~known.all(axis=1)) | (np.abs(sums - 1) > UNSURE)
    if bad.any():
        row = int(np.flatnonzero(bad)[0])
        raise DataError(
            f"{path}: probabilities of row {row + 1} are {probabilities[row].tolist()} ({count(bad.sum())}); three "
            f"numbers from 0 to 1 that add up to 1 were needed, or none. Are they logarithms?"
        )
    unsaid = known.all(axis=1) & (choice < 0)
    if "outcome" not in table.column_names and unsaid.any():
        row = int(np.flatnonzero(unsaid)[0])
        raise DataError(
            f"{path}: row {row + 1} has probabilities, but no choice ({count(unsaid.sum())}). Write the slot that was "
            f"chosen, or an `outcome` other than valid."
        )
    require_likely(probabilities, choice, path)
    return probabilities


def require_likely(probabilities: np.ndarray, choice: np.ndarray, path: Path) -> None:
    """Refuse choices that their probabilities (n, 3) rule out, and columns in another order than the slots."""
    known = np.isfinite(probabilities).all(axis=1)
    chosen = np.flatnonzero(known & (choice >= 0))
    if not len(chosen):
        return
    rows, slots = probabilities[chosen], choice[chosen].astype(np.int64)
    own = rows[np.arange(len(rows)), slots]
    if np.mean(own <= 0) > ROUNDED:
        row = int(chosen[np.flatnonzero(own <= 0)[0]])
        raise DataError(
            f"{path}: row {row + 1} chose slot {choice[row]}, whose probability is 0 ({probabilities[row].tolist()}; "
            f"{count((own <= 0).sum())}). probability_1 belongs to slot 0, which item_1 names."
        )
    # If choices are drawn from probabilities, or are the most probable ones, no other order is likely to fit better.
    places = np.arange(len(rows))
    fits = [float(np.log(np.maximum(rows[places, order[slots]], LEAST)).sum()) for order in ORDERS]
    best = ORDERS[int(np.argmax(fits))]
    if max(fits) - fits[0] > CERTAIN:
        agree = float(np.mean(rows.argmax(axis=1) == slots))
        raise DataError(
            f"{path}: choices and probabilities contradict: only {agree:.0%} of {len(rows)} choices are the most "
            f"probable slot, and they would fit probability_{best[0] + 1}, _{best[1] + 1} and _{best[2] + 1} for the "
            f"slots 0, 1 and 2. Slot 0 is item_1 and has probability_1."
        )


def factorised(column: pa.ChunkedArray) -> tuple[np.ndarray, list[str]]:
    """Factorise a column of names; a missing name is ""."""
    column = column if pa.types.is_dictionary(column.type) else column.cast(pa.string()).dictionary_encode()
    whole = column.unify_dictionaries().combine_chunks()
    if isinstance(whole, pa.ChunkedArray):
        return np.zeros(0, np.int64), [""]
    names, codes = whole.dictionary.cast(pa.string()).to_pylist(), whole.indices
    if codes.null_count:
        names.append("")
        codes = codes.cast(pa.int64()).fill_null(len(names) - 1)
    return codes.to_numpy(zero_copy_only=False).astype(np.int64), names

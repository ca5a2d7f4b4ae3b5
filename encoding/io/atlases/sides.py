"""Keep left and right apart where a label file gives both the same number."""

import logging
import re
from collections.abc import Mapping, Sequence

import numpy as np

from ...core.axes import Targets
from ...core.errors import DataError
from ..label_tables import Row, is_region
from ..region_tables import hemisphere

logger = logging.getLogger(__name__)

BOTH = ""
SMALLEST_SHARE = 0.25  # of a region's voxels: less beyond x = 0 is the ragged edge of a region of one side
SIDED = re.compile(r"(?:^|[^a-z])(l|r|lh|rh|left|right)(?=[^a-z]|$)", re.I)  # names that say their side
NEAR = 2.0  # mm from the midline, within which a region has no side
MOST_WRONG = 0.75  # of the regions with a side; a few letters in names may mean something else


def separate_sides(
    name: str, labels: np.ndarray, targets: Targets, names: Mapping[str, Sequence[Row]], both_sides: str | None
) -> tuple[np.ndarray, list[Row]]:
    """Renumber regions of the right hemisphere where both hemispheres share a number.

    On surfaces and in CIFTI structures a number that each side names is split, unless `both_sides` is "join". One row
    for both sides stays one region, which is said unless it is wanted or the table has a column of hemispheres. In
    volumes, whose voxels tell no side, a number is split at x = 0 if `both_sides` is "split", and said otherwise.

    Parameters
    ----------
    name : str
        Name of the atlas.
    labels : ndarray of int, shape (n_targets,)
        Label of each target.
    targets : Targets
        The targets.
    names : mapping of str to sequence of dict
        Rows of the table of each hemisphere, "" for rows of both.
    both_sides : {"split", "join"} or None
        What is wanted; None as described above.

    Returns
    -------
    labels : ndarray of int32, shape (n_targets,)
        Labels of which none occurs on both sides unless that is wanted.
    rows : list of dict
        Rows for `make_table`.
    """
    side = targets.hemi
    if targets.kind == "voxel":
        x = coordinates_x(targets)
        if both_sides != "split":
            _say_bilateral(name, labels, x, names, both_sides)
            return labels, _named_apart([row for rows in names.values() for row in rows], name)
        side = _sides_of_voxels(name, x, targets.space)
    tables = {key: _by_number(name, names, key) for key in ("L", "R", BOTH)}
    stated = any("hemi" in row for row in names.get(BOTH, ()))
    labels = labels.astype(np.int64)
    shared = np.setdiff1d(np.intersect1d(labels[side == "L"], labels[side == "R"]), 0).tolist()
    base = int(max([labels.max(initial=0), *(n for table in tables.values() for n in table)], default=0))
    rows, done, told = [], set(), []
    for number in shared:
        left, right, both = (tables[key].get(number) for key in ("L", "R", BOTH))
        if (left is None) != (right is None) and both is None:
            continue  # stated for one side only: the caller refuses it
        first, second = left or both, right or both
        same = first is not None and second is not None and first["name"] == second["name"]
        one_row = left is None and right is None
        if (both_sides == "join" and same) or (both_sides is None and one_row):
            rows += [{**first, "hemi": ""} if both is None else first] if first else []
            told += [first["name"]] if first and both_sides is None and not stated else []
        else:
            labels[(side == "R") & (labels == number)] = base + number
            rows.append({**(first or {"name": str(number)}), "index": str(number), "hemi": "L"})
            rows.append({**(second or {"name": str(number)}), "index": str(base + number), "hemi": "R"})
        done.add(number)
    for key in ("L", "R", BOTH):
        for number, row in tables[key].items():
            if number not in done:
                rows.append({**row, "hemi": key} if key else row)
    _say(name, told, "")
    return labels.astype(np.int32), _named_apart(_one_each(rows, side, labels), name)


def _by_number(name: str, names: Mapping[str, Sequence[Row]], key: str) -> dict[int, Row]:
    """Collect the rows of one hemisphere, those of a table for both that states its hemisphere included."""
    rows = list(names.get(key, ())) if key else []
    rows += [row for row in names.get(BOTH, ()) if hemisphere(row.get("hemi", ""), name) == key]
    found: dict[int, Row] = {}
    for row in rows:
        try:
            number = int(row["index"])
        except ValueError:
            raise DataError(f"Atlas {name!r}: index {row['index']!r} is not a whole number.") from None
        if number in found and number != 0:
            raise DataError(
                f"Atlas {name!r}: index {number} occurs twice in its table ({found[number]['name']!r} and "
                f"{row['name']!r}). Number the regions of the right hemisphere after those of the left, or add a "
                f"column hemi with L and R."
            )
        found[number] = row
    found.pop(0, None)
    return found


def _one_each(rows: list[Row], side: np.ndarray, labels: np.ndarray) -> list[Row]:
    """Keep one row per number: where both files name one, that of the side on which it lies."""
    kept: dict[str, Row] = {}
    for row in rows:
        other = kept.get(row["index"])
        if other is None or (
            row.get("hemi") in ("L", "R") and np.any(labels[side == row["hemi"]] == int(row["index"]))
        ):
            kept[row["index"]] = row
    if not any("hemi" in row for row in rows):
        return list(kept.values())
    lies = {hemi: set(np.unique(labels[side == hemi]).tolist()) for hemi in ("L", "R")}
    return [{"hemi": _only_side(int(row["index"]), lies), **row} for row in kept.values()]


def _only_side(number: int, lies: Mapping[str, set[int]]) -> str:
    """Return the hemisphere in which alone a number lies, else ""."""
    found = [hemi for hemi, numbers in lies.items() if number in numbers]
    return found[0] if len(found) == 1 else ""


def _named_apart(rows: list[Row], name: str) -> list[Row]:
    """Prefix names that occur on both sides with the hemisphere."""
    counts: dict[str, int] = {}
    for row in rows:
        counts[row["name"]] = counts.get(row["name"], 0) + 1
    found = []
    for row in rows:
        side = hemisphere(row.get("hemi", ""), name) if counts[row["name"]] > 1 else ""
        found.append({**row, "name": f"{side}_{row['name']}"} if side else row)
    return found


def require_true_sides(name: str, labels: np.ndarray, targets: Targets, names: Mapping[str, Sequence[Row]]) -> None:
    """Refuse a volume in MNI space in which regions that are named left lie at the right, and the other way round."""
    if targets.kind != "voxel" or not targets.space.startswith("MNI"):
        return
    x = coordinates_x(targets)
    place = np.searchsorted(numbers := np.unique(labels), labels)
    means = dict(zip(numbers.tolist(), np.bincount(place, x) / np.bincount(place), strict=True))
    wrong, n_sided = [], 0
    for row in (row for rows in names.values() for row in rows if row["index"].lstrip("-").isdigit()):
        side, middle = _stated_side(row, name), means.get(int(row["index"]), 0.0)
        if side and abs(middle) > NEAR:
            n_sided += 1
            wrong += [f"{row['name']} at x = {middle:.0f} mm"] if (middle < 0) != (side == "L") else []
    if n_sided > 1 and len(wrong) > MOST_WRONG * n_sided:
        raise DataError(
            f"Atlas {name!r}: {len(wrong)} of {n_sided} regions lie on the other side than their names say "
            f"({', '.join(wrong[:2])}). Its labels or its affine are flipped: right is positive in MNI spaces."
        )


def _stated_side(row: Row, name: str) -> str:
    """Return L or R where a column or one word of a name says so, else ""."""
    if row.get("hemi", "").strip():
        return hemisphere(row["hemi"], name)
    said = {word[0].upper() for word in SIDED.findall(row["name"])}
    return said.pop() if len(said) == 1 else ""


def coordinates_x(targets: Targets) -> np.ndarray:
    """Return the x coordinates of voxels in mm, (n_targets,)."""
    assert targets.grid is not None
    where = np.stack(np.unravel_index(targets.index, targets.grid.shape))
    return targets.grid.affine[0, :3] @ where + targets.grid.affine[0, 3]


def _sides_of_voxels(name: str, x: np.ndarray, space: str) -> np.ndarray:
    if not space.startswith("MNI"):
        raise DataError(
            f"Atlas {name!r}: both_sides = 'split' divides a volume at x = 0, the midline of MNI spaces, but this one "
            f"is in {space!r}. Give each side its own number in the file."
        )
    return np.where(x < 0, "L", "R")


def _say_bilateral(
    name: str, labels: np.ndarray, x: np.ndarray, names: Mapping[str, Sequence[Row]], both_sides: str | None
) -> None:
    """Log which regions of a volume lie on both sides as one, unless that is wanted or stated."""
    if both_sides == "join":
        return
    rows = [row for part in names.values() for row in part if row["index"].lstrip("-").isdigit()]
    for row in rows:
        if "hemi" in row and row["hemi"].strip():
            return
    left = dict(zip(*np.unique(labels[x < 0], return_counts=True), strict=True))
    right = dict(zip(*np.unique(labels[x > 0], return_counts=True), strict=True))
    low = 1 / (1 / SMALLEST_SHARE - 1)
    found = [
        row["name"]
        for row in rows
        if (n := int(row["index"])) in left
        and n in right
        and low < left[n] / right[n] < 1 / low
        and not SIDED.search(row["name"])
    ]
    _say(name, found, " at x = 0")


def _say(name: str, regions: Sequence[str], where: str) -> None:
    if regions:
        shown = ", ".join(regions[:4]) + (f" and {len(regions) - 4} more" if len(regions) > 4 else "")
        logger.warning(
            "Atlas %r: one number and one name stand for both hemispheres in %d regions (%s), which are one region "
            'each. Set both_sides = "split" to divide them%s, or both_sides = "join" if that is meant.',
            name,
            len(regions),
            shown,
            where,
        )


def only_present(rows: Sequence[Row], labels: np.ndarray) -> list[Row]:
    """Keep the rows of regions that the image has; colour tables list what no image holds."""
    present = set(np.unique(labels).tolist())
    return [row for row in rows if row["index"].lstrip("-").isdigit() and int(row["index"]) in present]


def without_background(labels: np.ndarray, names: Mapping[str, Sequence[Row]], hemi: np.ndarray) -> np.ndarray:
    """Set to 0 what a file calls background, medial wall or unknown."""
    labels = labels.copy()
    for key, rows in names.items():
        nothing = [int(row["index"]) for row in rows if not is_region(row["name"])]
        here = (hemi == key) if key else np.ones(len(labels), dtype=bool)
        labels[here & np.isin(labels, nothing)] = 0
    return labels

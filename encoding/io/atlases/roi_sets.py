"""ROI sets: named groups of atlas regions, given by region names and by where the regions lie."""

import logging
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from pathlib import Path

import numpy as np

from ...core.atlas import Atlas, RoiSet
from ...core.errors import DataError
from ..region_tables import read_rows

logger = logging.getLogger(__name__)

# One bound on the centroid of a region: "|x|<=18", "y>=20".
BOUND = re.compile(r"(\|[xyz]\||[xyz])(<=|>=)(-?[0-9]+(?:\.[0-9]+)?)")
SHARED_NAMES = {  # other names of one parcellation
    **dict.fromkeys(("aseg", "aparcaseg", "structures"), "FreeSurfer"),
    **dict.fromkeys(("HCP-MMP1", "HCPMMP1", "HCP-MMP", "Glasser", "Glasser2016"), "hcp180"),
}


@dataclass(frozen=True, slots=True)
class RoiPattern:
    """One row of the table of ROI sets."""

    set: str  # The list
    roi: str  # The name in it
    hemi: str  # Hemispheres that the regions may lie in
    atlas: str  # The atlas for which every pattern must match
    patterns: tuple[str, ...]  # Shell patterns of region names
    source: str  # Where the grouping comes from
    confidence: str  # How far it can be trusted
    where: tuple[tuple[str, str, float], ...] = ()  # (axis, "<=" or ">=", mm) bounds on the centroids of the regions

    def holds(self, centroids: np.ndarray) -> np.ndarray:
        """Return which regions lie within all bounds, (n_regions,), for centroids (n_regions, 3) in mm."""
        inside = np.ones(len(centroids), dtype=bool)
        for axis, relation, limit in self.where:
            values = centroids[:, "xyz".index(axis.strip("|"))]
            values = np.abs(values) if axis.startswith("|") else values
            inside &= values <= limit if relation == "<=" else values >= limit
        return inside


def read_roi_patterns(path: Path) -> tuple[RoiPattern, ...]:
    """Read a table of ROI sets."""
    rows = read_rows(path, ("set", "roi", "hemi", "atlas", "labels", "source", "confidence"))
    wrong = [row for row in rows if row["hemi"] not in ("L", "R", "B")]
    if wrong:
        raise DataError(f"Table {path.name}: ROI {wrong[0]['roi']!r} has hemi {wrong[0]['hemi']!r}; use L, R or B.")
    return tuple(
        RoiPattern(
            row["set"],
            row["roi"],
            row["hemi"],
            row["atlas"],
            tuple(pattern.strip() for pattern in row["labels"].split(",")),
            row["source"],
            row["confidence"],
            _bounds(row.get("where", ""), row["roi"], path.name),
        )
        for row in rows
    )


def _bounds(text: str, roi: str, table: str) -> tuple[tuple[str, str, float], ...]:
    if text.strip() in ("", "n/a"):
        return ()
    found = [BOUND.fullmatch(word) for word in text.split()]
    if not all(found):
        raise DataError(
            f"Table {table}: ROI {roi!r} has where = {text!r}; use bounds such as '|x|<=18 y>=20', separated by spaces."
        )
    return tuple((match[1], match[2], float(match[3])) for match in found if match)


def attach_roi_sets(atlas: Atlas, patterns: Iterable[RoiPattern]) -> Atlas:
    """Add to an atlas the ROI sets that are defined on it.

    Patterns select regions by name; bounds (``where``) then keep those whose centroid lies within them, at every scale.
    An ROI of both hemispheres that has bounds must have regions in both, otherwise it is left out and a warning is
    logged: half of a network must not stand under the name of the whole.

    A row belongs to the atlas that it names and to the atlas's other scales (``Schaefer2018-400`` also to
    ``Schaefer2018-100``). Where a pattern matches nothing at another scale it is left out and a warning is logged.

    Parameters
    ----------
    atlas : Atlas
        The atlas.
    patterns : iterable of RoiPattern
        Rows, as `read_roi_patterns` gives them.

    Returns
    -------
    Atlas
        The atlas with these ROI sets in place of those that it had.

    Raises
    ------
    DataError
        If a pattern matches no region of the very atlas that its row names.
    """
    sets, left_out = [], []
    for row in patterns:
        if family(row.atlas) != family(atlas.name):
            continue
        found = {pattern: _matching(atlas, pattern, row.hemi) for pattern in row.patterns}
        unmatched = [pattern for pattern, names in found.items() if not names]
        if unmatched and row.atlas == atlas.name:
            raise DataError(
                f"ROI {row.roi!r} of set {row.set!r}: pattern {unmatched[0]!r} matches no region of {atlas.name!r}."
            )
        left_out += [f"{row.set}/{row.roi} ({pattern})" for pattern in unmatched]
        regions = _in_order(atlas, found)
        if row.where and regions:
            regions, why = _within(atlas, row, regions)
            left_out += [f"{row.set}/{row.roi} ({why})"] if why else []
        if regions:
            sets.append(RoiSet(row.set, row.roi, regions, row.source, row.confidence))
    if left_out:
        logger.warning("Atlas %r has no region for, and leaves out: %s.", atlas.name, ", ".join(left_out))
    return replace(atlas, roi_sets=tuple(sets))


def _within(atlas: Atlas, row: RoiPattern, regions: tuple[str, ...]) -> tuple[tuple[str, ...], str]:
    """Keep the regions within the bounds of a row; none, and why, where that leaves half of an ROI or is unknown."""
    if atlas.centroids is None:
        return (), "its table has no columns x, y, z"
    inside = set(np.asarray(atlas.region)[row.holds(atlas.centroids)].tolist())
    kept = tuple(region for region in regions if region in inside)
    sides = {hemi for region, hemi in zip(atlas.region, atlas.hemi, strict=True) if region in kept}
    if row.hemi == "B" and sides != {"L", "R"}:
        return (), "no region within its bounds in " + " and ".join(sorted({"L", "R"} - sides))
    return kept, "" if kept else "no region within its bounds"


def family(name: str) -> str:
    """Return what all scales, forms and names of a parcellation share."""
    if name.endswith("-17n"):  # parcels of 17 networks have other names than those of 7
        return f"{name.split('-')[0]}-17n"
    return SHARED_NAMES.get(name, name.split("-")[0])


def _matching(atlas: Atlas, pattern: str, hemi: str) -> set[str]:
    return {
        region
        for region, side in zip(atlas.region, atlas.hemi, strict=True)
        if hemi in ("B", side) and (fnmatchcase(region, pattern) or fnmatchcase(region.removesuffix("_ROI"), pattern))
    }


def forms(region: str) -> tuple[str, ...]:
    """List the forms in which a region may be named: with and without its hemisphere in front and _ROI at the end."""
    short = region.removesuffix("_ROI")
    bare = re.sub(r"^(?:[LR]_|(?:ctx-)?[lr]h-|Left-|Right-)", "", short)
    return tuple(dict.fromkeys((region, short, bare)))


def _in_order(atlas: Atlas, found: Mapping[str, set[str]]) -> tuple[str, ...]:
    wanted = set().union(*found.values())
    return tuple(region for region in atlas.region if region in wanted)

"""Masks of regions in bdata files as atlases on the voxels of the file.

Masks may overlap: those of PickAtlas come from two atlases, and areas of cortex that were moved into a volume one by
one share voxels at their borders. Such voxels get labels of their own (`Atlas.overlaps`), so that every region
keeps exactly the voxels of its mask.
"""

import logging
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

import numpy as np

from ...core import Atlas, DataError, suggest
from ..region_tables import make_table
from .files import Bdata, as_mask, open_bdata
from .voxels import VOXELS, coordinates_of, targets_of

logger = logging.getLogger(__name__)

PREFIX = "bdata:"
# The 180 areas of Glasser et al. 2016, in their order.
_AREAS = (
    "V1 MST V6 V2 V3 V4 V8 4 3b FEF PEF 55b V3A RSC POS2 V7 IPS1 FFC V3B LO1 LO2 PIT MT A1 PSL SFL PCV STV 7Pm 7m POS1 "
    "23d v23ab d23ab 31pv 5m 5mv 23c 5L 24dd 24dv 7AL SCEF 6ma 7Am 7PL 7PC LIPv VIP MIP 1 2 3a 6d 6mp 6v p24pr 33pr "
    "a24pr p32pr a24 d32 8BM p32 10r 47m 8Av 8Ad 9m 8BL 9p 10d 8C 44 45 47l a47r 6r IFJa IFJp IFSp IFSa p9-46v 46 "
    "a9-46v 9-46d 9a 10v a10p 10pp 11l 13l OFC 47s LIPd 6a i6-8 s6-8 43 OP4 OP1 OP2-3 52 RI PFcm PoI2 TA2 FOP4 MI Pir "
    "AVI AAIC FOP1 FOP3 FOP2 PFt AIP EC PreS H ProS PeEc STGa PBelt A5 PHA1 PHA3 STSda STSdp STSvp TGd TE1a TE1p TE2a "
    "TF TE2p PHT PH TPOJ1 TPOJ2 TPOJ3 DVT PGp IP2 IP1 IP0 PFop PF PFm PGi PGs V6A VMV1 VMV3 PHA2 V4t FST V3CD LO3 VMV2 "
    "31pd 31a VVC 25 s32 pOFC PoI1 Ig FOP5 p10p p47r TGv MBelt LBelt A4 STSva TE1m PI a32pr p24"
)
AREAS = tuple(_AREAS.split())
NETWORKS = tuple(f"17Networks_{number}" for number in range(1, 18))
# Structure: its row in the second release, and what ends the names of its PickAtlas rows in the first.
STRUCTURES = {
    "thalamus": ("thalamus", r"(?<!hypo)thalamus"),
    "hippocampus": ("hyppocampus", r"(?<!para)hippocampus"),
    "hypothalamus": ("hypothalamus", r"hypothalamus"),
    "pallidum": ("pallidum", r"pallidum"),
    "brainstem": ("brainstem", r"brain_?stem"),
    "caudate": ("caudate", r"caudate"),
    "putamen": ("putamen", r"putamen"),
    "nuc_accum": ("nuc_accum", r"(nuc_accum|brodmann_area_34)"),
    "amygdala": ("amygdala", r"amygdala"),
    "cerebellum": ("cerebellum", r"cerebellum"),
}
CORTICAL = re.compile(
    r"(?P<family>hcp180|yeo2011_17)_(?:r_)?(?P<side>[lr])h\.(?:(?P<letter>[LR])_)?(?P<name>.+?)(?:_ROI)?"
)
LICENCE = "Part of the data set of Horikawa et al. 2020; its terms apply"
CITATIONS = {
    "hcp180": "Glasser et al. 2016, Nature 536:171; Horikawa et al. 2020, iScience 23:101060",
    "yeo17": "Yeo et al. 2011, J Neurophysiol 106:1125; Horikawa et al. 2020, iScience 23:101060",
    "subcortex": "Maldjian et al. 2003, NeuroImage 19:1233 (WFU PickAtlas); Horikawa et al. 2020, iScience 23:101060",
}
# Single letters count in capitals only: the names of masks have an "r" that tells nothing.
SIDE = re.compile(r"(?:^|[_.])(?:(?P<left>L|(?i:lh|left))|(?P<right>R|(?i:rh|right)))(?=[_.]|$)")
# A mask may reach this far over the middle of the brain, in millimetres, before its name is doubted.
OVER_THE_MIDDLE = 5.0
# Axis, its row, and areas at its lower and at its upper end in every brain.
AXES = (
    (1, "voxel_y", "back", ("V1", "V2"), ("9m", "10d")),
    (2, "voxel_z", "lower", ("TGd", "TGv"), ("4",)),
)


@dataclass(frozen=True, slots=True)
class RoiRows:
    """A region, and the rows of metadata whose union it is."""

    region: str  # Its name
    hemi: str  # "L", "R", or "" where it has both sides
    network: str  # Network that it belongs to, "" if none
    keys: tuple[str, ...]  # The rows


def bdata_atlas(path: Path, what: str, space: str) -> Atlas:
    """Make an atlas of masks in a bdata file."""
    what = what.removeprefix(PREFIX)
    with open_bdata(path) as bdata:
        targets, columns = targets_of(bdata, space)
        regions = find_regions(bdata, what)
        masks = _masks(bdata, regions, columns)
        xyz = coordinates_of(bdata, columns)[0]
    keys = {key: mask for region in regions for key, mask in zip(region.keys, masks[region.region], strict=True)}
    check_sides(keys, xyz[:, 0], str(path))
    unions = [np.any(masks[region.region], axis=0) for region in regions]
    if what == "hcp180":
        both: dict[str, np.ndarray] = {}
        for region, union in zip(regions, unions, strict=True):
            both[region.region[2:]] = both.get(region.region[2:], False) | union
        check_axes(both, xyz, str(path))
    empty = [region.region for region, union in zip(regions, unions, strict=True) if not union.any()]
    if len(empty) == len(regions):
        raise DataError(f"{path}: no voxel lies in any of the {len(regions)} regions of {PREFIX}{what}.")
    if empty:
        logger.info("%s: no voxel of %s.", path.name, ", ".join(empty))
    labels, overlaps = label_voxels(unions)
    rows = [
        {"index": str(number), "name": region.region, "hemi": region.hemi, "network": region.network}
        for number, region in enumerate(regions, start=1)
    ]
    table = make_table(rows, f"{path.name}, {PREFIX}{what}")
    return Atlas(
        name=re.sub(r"[^A-Za-z0-9]+", "-", what).strip("-") or "all",
        labels=labels,
        targets=targets,
        index=np.asarray(table.index, dtype=np.int32),
        region=table.region,
        hemi=table.hemi,
        network=table.network,
        color=table.color,
        citation=CITATIONS.get(what, "Horikawa et al. 2020, iScience 23:101060"),
        licence=LICENCE,
        overlaps=overlaps,
    )


def bdata_mask(bdata: Bdata, what: str, columns: np.ndarray) -> np.ndarray:
    """Find the voxels that lie in any of some masks.

    Shapes: `columns` (n_voxels,); returns (n_voxels,).
    """
    what = what.removeprefix(PREFIX)
    parts = {"Cortex": ("hcp180",), "WholeBrain": ("hcp180", "subcortex")}.get(what, (what,))
    if what in bdata.keys:
        parts = (what,)
    inside = np.zeros(len(columns), dtype=bool)
    for part in parts:
        for masks in _masks(bdata, find_regions(bdata, part), columns).values():
            inside |= np.any(masks, axis=0)
    if not inside.any():
        raise DataError(f"{bdata.path}: the mask {PREFIX}{what} is empty.")
    return inside


def find_regions(bdata: Bdata, what: str) -> list[RoiRows]:
    """Find the rows of metadata that are the masks of an atlas."""
    if what == "hcp180":
        both = {f"hcp180_{area}": area for area in AREAS if f"hcp180_{area}" in bdata.keys}
        if both and not any(key.startswith(("hcp180_r_", "hcp180_lh", "hcp180_rh")) for key in bdata.keys):
            _complete(bdata, what, set(both.values()), AREAS, "hcp180_{}")
            return [RoiRows(f"B_{area}", "", "", (f"hcp180_{area}",)) for area in AREAS]
        return _by_hemisphere(bdata, what, "hcp180", AREAS, "hcp180_r_{1}h.{0}_{2}_ROI")
    if what == "yeo17":
        return _by_hemisphere(bdata, what, "yeo2011_17", NETWORKS, "yeo2011_17_r_{1}h.{2}")
    if what == "subcortex":
        return [RoiRows(name, "", "", _structure(bdata, name)) for name in STRUCTURES]
    keys = [key for key in roi_keys(bdata) if fnmatchcase(key, what)]
    if not keys:
        known = ["hcp180", "yeo17", "subcortex", *roi_keys(bdata)[:20]]
        raise DataError(
            f"{bdata.path}: no mask of a region is called {what!r} ({PREFIX}{what}). {suggest(what, known)} "
            f"The file has {len(roi_keys(bdata))} masks."
        )
    return [RoiRows(key, side_of(key), "", (key,)) for key in keys]


def roi_keys(bdata: Bdata) -> list[str]:
    """List the rows of metadata that are masks of regions."""
    return [key for key, text in zip(bdata.keys, bdata.descriptions, strict=True) if "ROI" in text and key != VOXELS]


def _by_hemisphere(bdata: Bdata, what: str, family: str, names: Sequence[str], pattern: str) -> list[RoiRows]:
    found: dict[tuple[str, str], list[str]] = {}
    for key in bdata.keys:
        match = CORTICAL.fullmatch(key)
        if match is None or match["family"] != family or match["name"] not in names:
            continue
        side = match["side"].upper()
        if match["letter"] not in (None, side):
            raise DataError(
                f"{bdata.path}: the name of metadata row {key!r} says {match['side']}h and {match['letter']}, which "
                f"are different hemispheres. Which one is right is unknown."
            )
        found.setdefault((side, match["name"]), []).append(key)
    for (side, name), keys in found.items():
        if len(set(keys)) > 1:
            raise DataError(f"{bdata.path}: {len(keys)} rows are the mask of {side}_{name}: {', '.join(keys)}.")
    wanted = [(side, name) for side in "LR" for name in names]
    there = {pattern.format(side, side.lower(), name) for side, name in found}
    _complete(bdata, what, there, [pattern.format(side, side.lower(), name) for side, name in wanted], "{}")
    network = {name: name if what == "yeo17" else "" for name in names}
    return [RoiRows(f"{side}_{name}", side, network[name], (found[side, name][0],)) for side, name in wanted]


def _complete(bdata: Bdata, what: str, found: set[str], wanted: Sequence[str], pattern: str) -> None:
    missing = [pattern.format(name) for name in wanted if name not in found]
    if missing:
        shown = ", ".join(map(repr, missing[:5])) + (", ..." if len(missing) > 5 else "")
        raise DataError(
            f"{bdata.path}: {PREFIX}{what} needs {len(wanted)} masks, but {len(missing)} metadata rows are missing: "
            f"{shown}. Choose what there is by pattern ({PREFIX}{pattern.format('*').partition('_')[0]}*), or use a "
            f"complete file."
        )


def _structure(bdata: Bdata, name: str) -> tuple[str, ...]:
    exact, pattern = STRUCTURES[name]
    if exact in bdata.keys:
        return (exact,)
    named = re.compile(rf"pickatlas_.*?{pattern}(_[LR])?", re.IGNORECASE)
    keys = [key for key in bdata.keys if named.fullmatch(key.replace(" ", "_"))]
    if not keys:
        raise DataError(
            f"{bdata.path}: {PREFIX}subcortex needs a mask of {name}, but there is neither a metadata row {exact!r} "
            f"nor a row of PickAtlas (pickatlas_...) that ends in its name. Choose what there is by pattern "
            f"({PREFIX}pickatlas_*)."
        )
    sides = {side_of(key) for key in keys}
    if len(sides) == 1 and sides < {"L", "R"}:
        raise DataError(
            f"{bdata.path}: of {name} there is only the mask {', '.join(map(repr, keys))}; that of the other side "
            f"is missing. Choose what there is by pattern ({PREFIX}{keys[0]})."
        )
    sources = {"AAL" if "aal" in key.lower() else "other" for key in keys}
    if len(sources) > 1:
        raise DataError(
            f"{bdata.path}: {name} is there in two atlases ({', '.join(keys)}); which one is meant is unknown. Choose "
            f"it by pattern ({PREFIX}{keys[0]})."
        )
    return tuple(keys)


def _masks(bdata: Bdata, regions: Sequence[RoiRows], columns: np.ndarray) -> dict[str, list[np.ndarray]]:
    """Read the masks of every region, bool of shape (n_voxels,) for each of its rows."""
    keys = list(dict.fromkeys(key for region in regions for key in region.keys))
    rows = {
        key: as_mask(values[columns], f"{bdata.path}: mask {key!r} in the columns of voxels")
        for key, values in bdata.rows(keys)
    }
    return {region.region: [rows[key] for key in region.keys] for region in regions}


def side_of(key: str) -> str:
    """Read the hemisphere in the name of a mask.

    Examples
    --------
    >>> side_of("hcp180_r_lh.L_V1_ROI"), side_of("pickatlas_r_waal_MNI_V4_Amygdala_R"), side_of("WholeBrain")
    ('L', 'R', '')
    """
    found = {"L" if match["left"] else "R" for match in SIDE.finditer(key)}
    return found.pop() if len(found) == 1 else ""


def check_sides(masks: Mapping[str, np.ndarray], x: np.ndarray, where: str) -> None:
    """Refuse masks whose name tells another hemisphere than the coordinates of their voxels.

    Left is where x is smaller. In a subject's own space the middle of the brain need not be at 0; it is taken half-way
    between the masks that are named left and those that are named right.

    Shapes: `x` (n_voxels,).
    """
    centre = {key: float(x[mask].mean()) for key, mask in masks.items() if mask.any()}
    sides = {side: [key for key in centre if side_of(key) == side] for side in "LR"}
    if sides["L"] and sides["R"]:
        left, right = (float(np.median([centre[key] for key in sides[side]])) for side in "LR")
        if left >= right:
            raise DataError(
                f"{where}: {len(sides['L'])} masks named left ({sides['L'][0]!r}, ...) have their voxels at voxel_x = "
                f"{left:.1f} mm, {len(sides['R'])} named right at {right:.1f} mm, but left must have the smaller x. "
                f"Names or coordinates are exchanged."
            )
        middle = (left + right) / 2
    else:
        middle = float((x.min() + x.max()) / 2)
    for side, sign in (("L", 1), ("R", -1)):
        for key in sides[side]:
            if sign * (centre[key] - middle) > OVER_THE_MIDDLE:
                raise DataError(
                    f"{where}: mask {key!r} is named {side}, but the mean voxel_x of its {int(masks[key].sum())} "
                    f"voxels is {centre[key]:.1f} mm, beyond the middle of the brain ({middle:.1f} mm; "
                    f"left has the smaller x). Its name or its voxels are exchanged."
                )
    _check_pairs(masks, centre, sides["L"], where)


def _check_pairs(masks: Mapping[str, np.ndarray], centre: dict[str, float], left: list[str], where: str) -> None:
    """Refuse a pair near the middle of which the left one lies right of the right one."""
    for key in left:
        mirror = re.sub(r"(?<=[_.])L(?=[_.]|$)", "R", re.sub(r"(?<=[_.])lh(?=[_.]|$)", "rh", key))
        if mirror == key or mirror not in centre or centre[key] < centre[mirror]:
            continue
        if not (masks[key] & masks[mirror]).any():
            raise DataError(
                f"{where}: mask {key!r} has its voxels at voxel_x = {centre[key]:.1f} mm on average, {mirror!r} at "
                f"{centre[mirror]:.1f} mm, but left must have the smaller x. The two are exchanged."
            )


def check_axes(masks: Mapping[str, np.ndarray], xyz: np.ndarray, where: str) -> None:
    """Refuse areas of cortex of which the back ones lie in front of the front ones, or the lower above the upper ones.

    Tells of y and z coordinates that were exchanged or mirrored.

    Shapes: `xyz` (n_voxels, 3).
    """
    for axis, key, word, low, high in AXES:
        centres = []
        for names in (low, high):
            inside = np.any([masks[name] for name in names], axis=0)
            if not inside.any():
                return
            centres.append(float(xyz[inside, axis].mean()))
        if centres[0] >= centres[1]:
            raise DataError(
                f"{where}: the areas {', '.join(low)} have their voxels at {key} = {centres[0]:.1f} mm on average, "
                f"{', '.join(high)} at {centres[1]:.1f} mm, but the {word} must have the smaller one. The coordinates "
                f"are exchanged or mirrored, or the names of the masks are wrong."
            )


def label_voxels(masks: Sequence[np.ndarray]) -> tuple[np.ndarray, tuple[tuple[int, tuple[int, ...]], ...]]:
    """Assign every voxel one label; voxels in several masks get one per combination.

    Returns labels (n_voxels,).

    Examples
    --------
    >>> label_voxels([np.array([True, True, False]), np.array([False, True, False])])
    (array([1, 3, 0], dtype=int32), ((3, (1, 2)),))
    """
    labels = np.zeros(len(masks[0]), dtype=np.int32)
    times = np.zeros(len(masks[0]), dtype=np.int32)
    for number, mask in enumerate(masks, start=1):
        labels[mask] = number
        times += mask
    several = np.flatnonzero(times > 1)
    if not len(several):
        return labels, ()
    stacked = np.stack([mask[several] for mask in masks])
    combinations, which = np.unique(stacked, axis=1, return_inverse=True)
    labels[several] = len(masks) + 1 + which.ravel()
    overlaps = tuple(
        (len(masks) + 1 + number, tuple((np.flatnonzero(column) + 1).tolist()))
        for number, column in enumerate(combinations.T)
    )
    return labels, overlaps

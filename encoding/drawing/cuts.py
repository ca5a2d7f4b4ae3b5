"""Where a volume is cut: through peaks and named structures, so that no cluster stays between two slices."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from ..core.errors import ConfigError
from .slices import CUTS, Slab, choose_slices

LETTERS = ("x", "y", "z")
PLANES = {"z": "axial", "y": "coronal", "x": "sagittal"}
APART = 16.0  # mm between two peaks of one cluster
OUTER = 0.06  # share of the volume at each end in which no slice is laid without a reason
THIN = 4  # voxels: planes with fewer along one side are no pictures
CUT = re.compile(r"^([xyz])\s*=\s*(-?\d+(?:\.\d+)?)$")
# Small structures that slices far apart miss; mm in MNI space, of the right half, in the order of importance
STRUCTURES = {
    "amygdala": (23.0, -4.0, -18.0),
    "hypothal., PAG": (4.0, -4.0, -9.0),
    "PAG": (2.0, -31.0, -9.0),
    "NAcc": (10.0, 12.0, -8.0),
}
STRUCTURE_CUTS = {
    "axial": (("amygdala", 2), ("hypothal., PAG", 2)),
    "coronal": (("NAcc", 1), ("amygdala", 1), ("PAG", 1)),
    "sagittal": (("PAG", 0), ("NAcc", 0), ("amygdala", 0)),
}


@dataclass(frozen=True)
class Cluster:
    """Voxels above the line that touch each other."""

    peaks: tuple[tuple[int, int, int], ...]  # Voxels of its local maxima, the highest first
    value: float  # Of the highest
    reach: tuple[frozenset[int], ...]  # Indices along each axis that it occupies
    place: tuple[float, float, float]  # mm of the highest peak


@dataclass(frozen=True)
class Cut:
    """One slice."""

    plane: str  # "axial", "coronal" or "sagittal"
    index: int  # Along the axis that is cut
    name: str = ""  # Structure that it goes through


@dataclass(frozen=True)
class Cuts:
    """Slices of a map, and what they miss."""

    cuts: tuple[Cut, ...]
    n_clusters: int  # Above the line
    missed: tuple[Cluster, ...]  # On no slice, the strongest first

    def warning(self) -> str:
        """Describe the clusters that are on no slice; empty if there is none."""
        if not self.missed:
            return ""
        first = self.missed[0]
        place = ", ".join(f"{mm:.0f}" for mm in first.place).replace("-", "\N{MINUS SIGN}")
        several = len(self.missed) > 1
        return (
            f"{len(self.missed)} of {self.n_clusters} cluster{'s' if self.n_clusters > 1 else ''} above the line "
            f"{'are' if several else 'is'} on no slice"
            f"{', the strongest' if several else ''} at ({place}) mm with {first.value:.2g}"
        )


def find_clusters(strength: np.ndarray, above: np.ndarray, affine: np.ndarray) -> list[Cluster]:
    """Find clusters of voxels above the line and their local maxima, the strongest cluster first.

    Shapes: `strength` and `above` (x, y, z), `affine` (4, 4).
    """
    values = np.where(above, np.nan_to_num(strength, nan=-np.inf), -np.inf)
    labels, n = ndimage.label(above, structure=np.ones((3, 3, 3)))
    if not n:
        return []
    summits = above & (values >= ndimage.maximum_filter(values, size=3))
    where = np.argwhere(summits)
    of_cluster, height = labels[summits], values[summits]
    mm = where @ affine[:3, :3].T + affine[:3, 3]
    peaks: list[list[int]] = [[] for _ in range(n)]
    for rank in np.argsort(-height, kind="stable"):
        own = peaks[of_cluster[rank] - 1]
        if all(np.linalg.norm(mm[rank] - mm[other]) >= APART for other in own):
            own.append(int(rank))
    found = []
    for number, box in enumerate(ndimage.find_objects(labels)):
        inside = labels[box] == number + 1
        reach = tuple(
            frozenset((np.flatnonzero(inside.any(axis=tuple({0, 1, 2} - {axis}))) + box[axis].start).tolist())
            for axis in range(3)
        )
        first = peaks[number][0]
        places = tuple((int(where[rank][0]), int(where[rank][1]), int(where[rank][2])) for rank in peaks[number])
        found.append(Cluster(places, float(height[first]), reach, (mm[first][0], mm[first][1], mm[first][2])))
    return sorted(found, key=lambda cluster: -cluster.value)


def choose_cuts(
    slab: Slab,
    clusters: Sequence[Cluster],
    wanted: int | Sequence[str],
    *,
    structures: bool = False,
    regions: Mapping[str, np.ndarray] | None = None,
) -> Cuts:
    """Choose slices in all three planes: named structures, outlined regions, peaks by height, then what lies between.

    A number is the most slices, the same for each plane; or positions such as "z=-9" are taken as they are.
    """
    planes = [plane for plane in CUTS if _is_picture(slab, plane)] or ["axial"]
    chosen: dict[str, dict[int, str]] = {plane: {} for plane in planes}
    if not isinstance(wanted, int):
        for text in wanted:
            plane, index = _position(slab, text)
            chosen.setdefault(plane, {})[index] = ""
    else:
        most = max(1, wanted // len(planes))
        if structures:
            _take_structures(slab, chosen, min(most, 3))
        _take_regions(chosen, regions or {}, most)
        _take_peaks(chosen, clusters, most)
        for plane in planes:
            _fill(slab, plane, chosen[plane], most)
    missed = tuple(cluster for cluster in clusters if not _seen(cluster, chosen))
    cuts = [Cut(plane, index, name) for plane, of_plane in chosen.items() for index, name in sorted(of_plane.items())]
    return Cuts(tuple(cuts), len(clusters), missed)


def parse_cut(text: str) -> tuple[str, float]:
    """Read "z=-9" as a plane and millimetres."""
    match = CUT.match(text.strip())
    if match is None:
        raise ConfigError(f"[map] slices: {text!r} is no position. Write x=, y= or z= and millimetres, such as z=-9.")
    return PLANES[match[1]], float(match[2])


def _position(slab: Slab, text: str) -> tuple[str, int]:
    plane, mm = parse_cut(text)
    axis = CUTS[plane][0]
    at = [abs(slab.at(plane).position(index) - mm) for index in range(slab.covered.shape[axis])]
    index = int(np.argmin(at))
    if at[index] > slab.zooms[axis]:
        first, last = slab.at(plane).position(0), slab.at(plane).position(slab.covered.shape[axis] - 1)
        raise ConfigError(f"[map] slices: {text!r} lies outside the volume, which reaches from {first:g} to {last:g}.")
    return plane, index


def _is_picture(slab: Slab, plane: str) -> bool:
    _, across, up = CUTS[plane]
    return all(slab.window[axis].stop - slab.window[axis].start >= THIN for axis in (across, up))


def _take_structures(slab: Slab, chosen: dict[str, dict[int, str]], most: int) -> None:
    inverse = np.linalg.inv(slab.affine)
    for plane, of_plane in chosen.items():
        for name, axis in STRUCTURE_CUTS[plane][:most]:
            voxel = np.round((inverse @ [*STRUCTURES[name], 1])[:3]).astype(int)
            inside = all(0 <= v < n for v, n in zip(voxel, slab.covered.shape, strict=True))
            around = tuple(slice(max(v - 2, 0), v + 3) for v in voxel)
            if inside and slab.covered[around].any():
                of_plane.setdefault(int(voxel[axis]), name)


def _take_regions(chosen: dict[str, dict[int, str]], regions: Mapping[str, np.ndarray], most: int) -> None:
    """Cut through the middle of every region, (x, y, z), that is on no slice yet, while there is room."""
    for mask in regions.values():
        where = np.argwhere(mask)
        room = [plane for plane, of_plane in chosen.items() if len(of_plane) < most]
        seen = any(index in where[:, CUTS[plane][0]] for plane, of_plane in chosen.items() for index in of_plane)
        if len(where) and room and not seen:
            plane = min(room, key=lambda name: len(chosen[name]))
            values, counts = np.unique(where[:, CUTS[plane][0]], return_counts=True)
            chosen[plane][int(values[np.argmax(counts)])] = ""


def _take_peaks(chosen: dict[str, dict[int, str]], clusters: Sequence[Cluster], most: int) -> None:
    """Cut through the peak of every cluster, the strongest first, then through further peaks.

    Of the planes with room, the one that also shows most of the clusters that are on no slice yet is taken.
    """
    peaks = [(cluster, cluster.peaks[0]) for cluster in clusters]
    peaks += [(cluster, peak) for cluster in clusters for peak in cluster.peaks[1:]]
    for cluster, peak in peaks:
        room = [plane for plane, of_plane in chosen.items() if len(of_plane) < most]
        if not room:
            return
        near = any(abs(peak[CUTS[plane][0]] - index) <= 1 for plane, of_plane in chosen.items() for index in of_plane)
        if not (near and _seen(cluster, chosen)):
            gains = {plane: _gain(plane, peak, clusters, chosen) for plane in room}
            best = max(gains, key=gains.__getitem__)
            chosen[best][peak[CUTS[best][0]]] = ""


def _gain(
    plane: str, peak: tuple[int, int, int], clusters: Sequence[Cluster], chosen: Mapping[str, Mapping[int, str]]
) -> float:
    axis = CUTS[plane][0]
    new = [c.value for c in clusters if peak[axis] in c.reach[axis] and not _seen(c, chosen)]
    near = min((abs(peak[axis] - index) for index in chosen[plane]), default=99)
    return sum(new) + 1e-3 * near - 1e-4 * len(chosen[plane])


def _seen(cluster: Cluster, chosen: Mapping[str, Mapping[int, str]]) -> bool:
    return any(index in cluster.reach[CUTS[plane][0]] for plane, of_plane in chosen.items() for index in of_plane)


def _fill(slab: Slab, plane: str, of_plane: dict[int, str], most: int) -> None:
    """Add slices where the widest gaps are."""
    axis = CUTS[plane][0]
    counts = slab.covered.sum(axis=tuple({0, 1, 2} - {axis}))
    if not of_plane:
        of_plane.update(dict.fromkeys(choose_slices(counts, most).tolist(), ""))
        return
    first, last = np.searchsorted(np.cumsum(counts) / counts.sum(), [OUTER, 1 - OUTER])
    while len(of_plane) < most:
        free = np.setdiff1d(np.arange(first, last + 1), list(of_plane))
        if not len(free):
            return
        distance = np.abs(free[:, None] - np.array(list(of_plane))).min(axis=1)
        of_plane[int(free[np.argmax(distance)])] = ""

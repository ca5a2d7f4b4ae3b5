"""ROI sets of the user: groups of regions of an atlas, spheres around coordinates, and masks."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ...core.atlas import Atlas, RoiSet
from ...core.axes import VOLUME_BESIDE, Targets
from ...core.errors import ConfigError, DataError, suggest
from ..region_tables import read_rows
from .coordinates import coordinates_of
from .files import file_paths
from .label_images import hemi_files, read_labels
from .matching import match_atlas
from .roi_sets import family, forms
from .settings import RoiGroup, each_sphere

Labelled = tuple[Atlas | None, np.ndarray]
OWN = "own"  # the default of [[roi_set]] confidence
STANDARD = ("MNI", "fsaverage", "fsLR")  # spaces in which MNI152 coordinates mean something


@dataclass(frozen=True, slots=True)
class Roi:
    """One ROI of a set: regions by name or number, or spheres (x, y, z, radius)."""

    set: str
    roi: str
    hemi: str = "B"
    atlas: str | None = None
    regions: tuple[str | int, ...] = ()
    spheres: tuple[tuple[float, float, float, float], ...] = ()
    mask: str | None = None
    source: str = ""
    confidence: str = ""


class Region(NamedTuple):
    """A region to be added: its targets (n_targets,), and what is said of it."""

    roi: Roi
    hemi: str
    inside: np.ndarray
    confidence: str


def _sphere(x: float, y: float, z: float, radius: float) -> tuple[float, float, float, float]:
    return x, y, z, radius


def rois_of(group: RoiGroup, base: Path, shipped: Path) -> list[Roi]:
    """List the ROIs of a set, those of its file first."""
    made = partial(Roi, group.name, atlas=group.atlas, source=group.source, confidence=group.confidence)
    found = list(_from_file(group, base, shipped)) if group.file else []
    found += [made(roi, regions=one) for roi, one in group.regions.items()]
    for roi, given in group.spheres.items():
        spheres = tuple(_sphere(*map(float, [*one, group.radius][:4])) for one in each_sphere(given))
        found.append(made(roi, spheres=spheres))
    found += [made(roi, mask=path) for roi, path in group.masks.items()]
    names = [(one.set, one.roi) for one in found]
    twice = [name for name in dict.fromkeys(names) if names.count(name) > 1]
    if twice:
        raise ConfigError(f"[[roi_set]] {group.name!r}: the ROI {twice[0][1]!r} is defined twice. Rename one.")
    return found


def _from_file(group: RoiGroup, base: Path, shipped: Path) -> Iterator[Roi]:
    """Read the rows of a table, those of the same ROI joined."""
    name = str(group.file)
    on_request = name.endswith((".tsv", ".txt")) or "/" in name
    path = base / name if on_request else shipped
    rows = read_rows(path, ("roi",))
    if not on_request:
        known = list(dict.fromkeys(row["set"] for row in rows))
        if name not in known:
            raise ConfigError(f"[[roi_set]] {group.name!r}: file = {name!r}. {suggest(name, known)} Or a TSV file.")
        rows = [row for row in rows if row["set"] == name]
    joined: dict[tuple[str, str], Roi] = {}
    for number, row in enumerate(rows, start=2):
        one = _row(group, row, f"Table {path.name}, line {number}", named=on_request)
        before = joined.get((one.set, one.roi))
        if before is not None:
            one = replace(one, spheres=before.spheres + one.spheres, regions=before.regions + one.regions)
        joined[one.set, one.roi] = one
    yield from joined.values()


def _row(group: RoiGroup, row: Mapping[str, str], where: str, *, named: bool) -> Roi:
    given = {key: value.strip() for key, value in row.items() if value.strip() not in ("", "n/a")}
    hemi = given.get("hemi", "B")
    if hemi not in ("L", "R", "B"):
        raise DataError(f"{where}: hemi {hemi!r}; use L, R or B.")
    spheres: tuple = ()
    if {"x", "y", "z"} & given.keys():
        try:
            point = tuple(float(given[axis]) for axis in "xyz")
            radius = float(given.get("radius", group.radius))
        except (KeyError, ValueError):
            raise DataError(f"{where}: ROI {row['roi']!r} needs numbers in x, y and z (mm), and in radius.") from None
        if not (all(map(math.isfinite, (*point, radius))) and radius > 0):
            raise DataError(f"{where}: ROI {row['roi']!r} needs finite x, y, z and a radius above 0.")
        spheres = ((*point, radius),)
    regions = tuple(part.strip() for part in given.get("labels", "").split(",") if part.strip())
    if not regions and not spheres:
        raise DataError(f"{where}: ROI {row['roi']!r} has neither labels nor x, y, z.")
    return Roi(
        given.get("set", group.name) if named else group.name,
        given["roi"],
        hemi,
        given.get("atlas", group.atlas),
        regions,
        spheres,
        source=given.get("source", group.source),
        confidence=given.get("confidence", group.confidence),
    )


def add_roi_sets(
    groups: Sequence[RoiGroup],
    labelled: Sequence[Labelled],
    targets: Targets,
    *,
    base: Path,
    shipped: Path,
    subject: str = "",
) -> list[Labelled]:
    """Add the ROI sets of the user to the atlases of some targets.

    Parameters
    ----------
    groups : sequence of RoiGroup
        The sets.
    labelled : sequence of (Atlas or None, ndarray)
        Atlases, each with the label of every target.
    targets : Targets
        The targets.
    base : Path
        Folder that files are relative to.
    shipped : Path
        Table of the sets that are used on request.
    subject : str
        Label that takes the place of ``{subject}``.
    """
    found = list(labelled)
    for group in groups:
        rois = rois_of(group, base, shipped)
        for name in dict.fromkeys(one.atlas for one in rois):
            part = [one for one in rois if one.atlas == name]
            places = _atlases_for(group, name, part, found)
            labels_of = [found[place][1] for place in places]
            regions = [_region(group, one, targets, base, subject, labels_of) for one in part if not one.regions]
            if not places:
                found.append(_own_atlas(group.name, regions, targets))
            for place in places:
                known, labels = found[place]
                assert known is not None
                sets = tuple(_roi_set(known, one) for one in part if one.regions)
                atlas, labels = _extended(known, labels, regions)
                sets += tuple(
                    RoiSet(one.roi.set, one.roi.roi, (one.roi.roi,), one.roi.source, one.confidence) for one in regions
                )
                # Sets of the user come first, so that reports show them rather than those that are shipped.
                found[place] = (replace(atlas, roi_sets=sets + atlas.roi_sets), labels)
    return found


def check_roi_sets(
    groups: Sequence[RoiGroup],
    labelled: Sequence[Labelled],
    voxels: Targets | None = None,
    *,
    base: Path,
    shipped: Path,
    subject: str,
) -> None:
    """Refuse what is wrong without knowing targets: files, atlases, regions, and spheres where voxels are known."""
    for group in groups:
        rois = rois_of(group, base, shipped)
        for name in dict.fromkeys(one.atlas for one in rois):
            part = [one for one in rois if one.atlas == name]
            for place in _atlases_for(group, name, part, labelled):
                atlas = labelled[place][0]
                assert atlas is not None
                deep = None if atlas.targets.on_surface.any() else voxels
                for one in part:
                    _ = _roi_set(atlas, one) if one.regions else None
                    _ = _region(group, one, deep, base, subject) if one.spheres and deep is not None else None
        for one in rois:
            path = file_paths(one.mask, base, subject)[0] if one.mask else None
            if path is not None and "{hemi}" not in str(path) and not path.is_file():
                raise DataError(f"[[roi_set]] {group.name!r}: mask of {one.roi!r}: {path}: no such file.")


def _atlases_for(group: RoiGroup, name: str | None, rois: Sequence[Roi], found: Sequence[Labelled]) -> list[int]:
    """Find the places of the atlases that some ROIs belong to; none where they make one of their own."""
    atlases = {place: atlas for place, (atlas, _) in enumerate(found) if atlas is not None}
    with_regions = [one for one in rois if one.regions]
    if name is None and not with_regions:
        return []
    if name is not None:
        chosen = [place for place, atlas in atlases.items() if name == atlas.name]
        chosen = chosen or [place for place, atlas in atlases.items() if family(name) == family(atlas.name)]
        if not chosen:
            known = [atlas.name for atlas in atlases.values()]
            raise ConfigError(
                f"[[roi_set]] {group.name!r}: atlas {name!r} is not among those that are used. "
                f"{suggest(name, known) if known else 'None is.'} Name it in [map] atlases, or describe it in an "
                f"[[atlas]] table."
            )
        return chosen
    fits = [place for place, atlas in atlases.items() if all(_matches(atlas, one) for one in with_regions)]
    if not fits:
        lacking = {
            atlas.name: next(
                f"{one.roi} ({_unmatched(atlas, one)!r})" for one in with_regions if not _matches(atlas, one)
            )
            for atlas in atlases.values()
        }
        told = "; ".join(f"{atlas} has no region for {roi}" for atlas, roi in lacking.items()) or "no atlas is used"
        raise ConfigError(f"[[roi_set]] {group.name!r}: no atlas has all its regions: {told}.")
    return fits


def _matching(atlas: Atlas, wanted: str | int, hemi: str) -> list[str]:
    """List the regions that a name, pattern, number or network stands for."""
    text = str(wanted)
    found = []
    columns = zip(atlas.index.tolist(), atlas.region, atlas.hemi, atlas.network, strict=True)
    for number, region, side, network in columns:
        if hemi not in ("B", side):
            continue
        if text.startswith("network:"):
            fits = fnmatchcase(network, text.removeprefix("network:").strip())
        else:
            known = forms(region)
            fits = any(fnmatchcase(one, text) or fnmatchcase(one, text.removesuffix("_ROI")) for one in known)
            fits = fits or (text.isdigit() and int(text) == number and text not in known)
        if fits:
            found.append(region)
    return found


def _unmatched(atlas: Atlas, roi: Roi) -> str | int | None:
    return next((one for one in roi.regions if not _matching(atlas, one, roi.hemi)), None)


def _matches(atlas: Atlas, roi: Roi) -> bool:
    return _unmatched(atlas, roi) is None


def _roi_set(atlas: Atlas, roi: Roi) -> RoiSet:
    wrong = _unmatched(atlas, roi)
    if wrong is not None:
        raise ConfigError(
            f"[[roi_set]] {roi.set!r}: ROI {roi.roi!r} names {wrong!r}, which is no region of atlas {atlas.name!r}. "
            f"{suggest(str(wrong), atlas.region)}"
        )
    wanted = {name for one in roi.regions for name in _matching(atlas, one, roi.hemi)}
    regions = tuple(region for region in atlas.region if region in wanted)
    return RoiSet(roi.set, roi.roi, regions, roi.source, roi.confidence)


def _region(
    group: RoiGroup, roi: Roi, targets: Targets, base: Path, subject: str, labels: Sequence[np.ndarray] = ()
) -> Region:
    """Find the targets of a mask or sphere; a sphere of an atlas of voxels holds no vertices, nor the other way round.

    `labels` are those of the targets in the atlases that the region is added to, (n_targets,) each.
    """
    if roi.mask is not None:
        return _mask_region(group, roi, targets, base, subject)
    allowed = np.ones(len(targets), bool)
    if labels:
        allowed = np.isin(targets.on_surface, targets.on_surface[np.any([one > 0 for one in labels], axis=0)])
    part = targets[allowed]
    space = part.space if part.on_surface.any() else part.voxel_space
    if not (space.startswith(STANDARD) or group.space in (space, targets.space)):
        raise ConfigError(
            f"[[roi_set]] {group.name!r}: ROI {roi.roi!r} is given by MNI152 coordinates, but the responses are in "
            f"{space!r}. Load responses in an MNI space, on fsaverage or on fsLR, use masks, or set space = "
            f"{space!r} if the coordinates are of that space."
        )
    surfaces = None
    if group.surface is not None:
        surfaces = hemi_files(file_paths(group.surface, base, subject)[0])
    points = coordinates_of(part, surfaces)
    distance = np.stack([np.linalg.norm(points - np.asarray(one[:3]), axis=1) / one[3] for one in roi.spheres])
    inside = allowed.copy()
    inside[allowed] = (distance <= 1).any(0)
    if not inside.any():
        near = min(float(np.min(far)) * one[3] for far, one in zip(distance, roi.spheres, strict=True))
        why = "surfaces hold no subcortex" if part.on_surface.any() else "only voxels that were loaded count"
        raise DataError(
            f"[[roi_set]] {group.name!r}: no target lies within the sphere of {roi.roi!r} ({_spheres(roi)}); the "
            f"nearest of {len(part)} is {near:.1f} mm away. Enlarge the radius, or leave it out: {why}."
        )
    hemi = "L" if all(one[0] < 0 for one in roi.spheres) else "R" if all(one[0] > 0 for one in roi.spheres) else ""
    radii = " and ".join(f"{radius:g}" for radius in dict.fromkeys(one[3] for one in roi.spheres))
    told = "" if roi.confidence == OWN else f", {roi.confidence}"
    return Region(roi, hemi, inside, f"low: sphere of {radii} mm{told}")


def _spheres(roi: Roi) -> str:
    return " and ".join(f"{x:g}, {y:g}, {z:g}; {radius:g} mm" for x, y, z, radius in roi.spheres)


def _mask_region(group: RoiGroup, roi: Roi, targets: Targets, base: Path, subject: str) -> Region:
    path = file_paths(str(roi.mask), base, subject)[0]
    space = group.space or targets.space
    if (
        targets.kind == "grayordinate"
        and path.name.endswith((".nii", ".nii.gz"))
        and not path.name.endswith((".dlabel.nii", ".dscalar.nii"))
    ):
        space = VOLUME_BESIDE.get(group.space, group.space) if group.space else targets.voxel_space
    labels, places = read_labels(path, space)
    labels = (labels != 0).astype(np.int32)
    mask = Atlas(roi.roi, labels, places, np.array([1]), (roi.roi,), ("",), ("",), ("#808080",))
    return Region(roi, "", np.asarray(match_atlas(mask, targets) == 1), f"mask {Path(str(roi.mask)).name}")


def _own_atlas(name: str, regions: Sequence[Region], targets: Targets) -> Labelled:
    """Make an atlas of spheres and masks."""
    empty = Atlas(name, np.zeros(len(targets), np.int32), targets, np.zeros(0, np.int32), (), (), (), ())
    atlas, labels = _extended(empty, empty.labels, regions)
    return replace(atlas, labels=labels), labels


def _extended(atlas: Atlas, labels: np.ndarray, regions: Sequence[Region]) -> tuple[Atlas, np.ndarray]:
    """Add regions to an atlas and to the labels of targets; targets of several regions get labels of overlaps."""
    if not regions:
        return atlas, labels
    for one in regions:
        if one.roi.roi in atlas.region:
            raise ConfigError(
                f"[[roi_set]] {one.roi.set!r}: atlas {atlas.name!r} already has a region {one.roi.roi!r}; rename it."
            )
    overlaps = dict(atlas.overlaps)
    used = [0, *atlas.index.tolist(), *overlaps]
    numbers = [max(used) + n for n in range(1, len(regions) + 1)]
    of_targets = np.stack([one.inside for one in regions])
    labels = labels.astype(np.int32).copy()
    made: dict[tuple[int, ...], int] = {parts: number for number, parts in overlaps.items()}
    following = max(used) + len(regions) + 1
    for target in np.flatnonzero(of_targets.any(0)).tolist():
        old = int(labels[target])
        parts = (
            *overlaps.get(old, (old,) if old else ()),
            *(n for n, hit in zip(numbers, of_targets[:, target], strict=True) if hit),
        )
        if len(parts) == 1:
            labels[target] = parts[0]
            continue
        if parts not in made:
            made[parts], following = following, following + 1
        labels[target] = made[parts]
    n = len(regions)
    return (
        replace(
            atlas,
            index=np.concatenate([atlas.index, numbers]).astype(np.int32),
            region=(*atlas.region, *(one.roi.roi for one in regions)),
            hemi=(*atlas.hemi, *(one.hemi for one in regions)),
            network=(*atlas.network, *("",) * n),
            color=(*atlas.color, *("#808080",) * n),
            overlaps=tuple((number, parts) for parts, number in made.items()),
            confidence=(*atlas.confidence_of_regions, *(one.confidence for one in regions)),
            centroids=None,
        ),
        labels,
    )

"""Label images (NIfTI, MGH, pairs of GIFTI or .annot, CIFTI) as labels, targets, and the names that stand inside."""

import logging
import re
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from xml.parsers.expat import ExpatError

import nibabel as nib
import numpy as np

from ...core.axes import Grid, Targets
from ...core.errors import DataError
from ..fetched import absent, require_content
from ..label_tables import Row, is_region, rows_of_colors
from ..region_tables import entities
from .probabilities import most_probable

logger = logging.getLogger(__name__)

CORTEX = {"L": "CORTEX_LEFT", "R": "CORTEX_RIGHT"}
GIFTI_STRUCTURE = {"L": "CortexLeft", "R": "CortexRight"}
FSAVERAGE = {"3k": "fsaverage4", "10k": "fsaverage5", "41k": "fsaverage6", "164k": "fsaverage"}
N_VERTICES = {
    "fsaverage4": (2562,),
    "fsaverage5": (10242,),
    "fsaverage6": (40962,),
    "fsaverage": (163842,),
    "fsLR": (4002, 7842, 32492, 59292, 163842),
}
ROUNDING = 1e-4
UNREADABLE = (OSError, EOFError, zlib.error, ExpatError, nib.filebasedimages.ImageFileError, ValueError)


SIDES = {"L": ("L", "lh", "left"), "R": ("R", "rh", "right")}
SIDE_WORD = re.compile(r"(?<![A-Za-z0-9])(lh|rh|L|R|left|right)(?![A-Za-z0-9])")


@dataclass(frozen=True, eq=False, slots=True)
class LabelImage:
    """Labels (n_targets,), where they lie, and the names inside the file, by hemisphere ("" for both)."""

    labels: np.ndarray
    targets: Targets
    names: Mapping[str, list[Row]] = field(default_factory=dict)
    n_volumes: int = 0  # of a 4-D image of probabilities


def read_labels(path: Path, space: str | None = None) -> tuple[np.ndarray, Targets]:
    """Read a label image.

    Returns labels (n_targets,).
    """
    found = read_label_image((path,), space)
    return found.labels, found.targets


def read_label_image(
    paths: Sequence[Path],
    space: str | None = None,
    *,
    threshold: float | None = None,
    chosen: str | None = None,
    grid: Grid | None = None,
) -> LabelImage:
    """Read a label image of one file, or of one file per hemisphere, with the names that stand inside.

    Parameters
    ----------
    paths : sequence of Path
        One file, or the left and the right one.
    space : str, optional
        Reference space, if the name does not say it.
    threshold : float, optional
        Of a 4-D image of probabilities: what a voxel needs to belong to the most probable region.
    chosen : str, optional
        Name of the map, of a file with several.
    grid : Grid, optional
        Of a 4-D image of probabilities: resample them to this grid first.
    """
    path = paths[0]
    space = _space(path, space)
    if path.name.endswith((".gii", ".gii.gz", ".annot")):
        return _read_pair(paths, space, chosen)
    if path.name.endswith((".dlabel.nii", ".dscalar.nii")):
        return _read_cifti(path, space, chosen)
    if path.name.endswith((".nii", ".nii.gz", ".mgz", ".mgh")):
        return _read_volume(path, space, threshold, grid)
    raise DataError(
        f"Atlas {path}: the format is not known. Use .nii(.gz), .mgz, .gii, .annot, .dlabel.nii or .dscalar.nii."
    )


def _space(path: Path, space: str | None) -> str:
    named = entities(path)
    found = space or named.get("space") or named.get("tpl")
    if not found:
        raise DataError(
            f"Atlas {path.name}: its reference space is not known. Give `space`, or add space-<label> to its name "
            f'(in TOML: an [[atlas]] table with file and, for instance, space = "MNI152NLin2009cAsym").'
        )
    # TemplateFlow calls the coarser meshes of fsaverage by density, fMRIPrep by name.
    return FSAVERAGE.get(named.get("den", ""), found) if found == "fsaverage" else found


def _load(path: Path, kind: type) -> Any:
    if not path.is_file():
        raise absent(path)
    require_content(path)
    # Volumes of compressed 4-D images are read one after the other: an open file need not start anew for each.
    options = {"keep_file_open": True} if kind is nib.spatialimages.SpatialImage else {}
    try:
        image = nib.load(path, **options)
    except UNREADABLE as error:
        raise DataError(f"Atlas {path}: cannot be read ({error}).") from error
    if not isinstance(image, kind):
        raise DataError(f"Atlas {path}: it is a {type(image).__name__}, which its name does not say.")
    return image


def _values(path: Path, image: Any) -> np.ndarray:
    try:
        return np.asanyarray(image.dataobj)
    except UNREADABLE as error:
        raise DataError(f"Atlas {path}: its values cannot be read ({error}).") from error


def _whole(path: Path, values: np.ndarray) -> np.ndarray:
    """Convert to int32, refusing what would change by it."""
    limits = np.iinfo(np.int32)
    if values.dtype.kind == "f":
        near = np.round(values)
        values = np.where(np.abs(values - near) < ROUNDING, near, values)  # a scale factor of the header rounds
    fits = np.isfinite(values) & (values >= limits.min) & (values <= limits.max)
    fits &= np.where(fits, values, 0) == np.round(np.where(fits, values, 0))
    if not fits.all():
        raise DataError(
            f"Atlas {path.name}: {np.sum(~fits)} values are not whole numbers of 32 bits, the first is "
            f"{values[~fits][0]}. A label image is needed, with 0 where there is no region, resampled with nearest "
            f"neighbour."
        )
    labels = values.astype(np.int32)
    if not labels.any():
        raise DataError(f"Atlas {path.name}: every label is 0.")
    return labels


def _read_volume(path: Path, space: str, threshold: float | None, grid: Grid | None) -> LabelImage:
    return labels_of_volume(_load(path, nib.spatialimages.SpatialImage), path, space, threshold=threshold, grid=grid)


def labels_of_volume(
    image: Any, path: Path, space: str, *, threshold: float | None = None, grid: Grid | None = None
) -> LabelImage:
    """Read labels from a volume that is open; `path` names it in messages."""
    shape = image.shape[:3] + tuple(n for n in image.shape[3:] if n != 1)
    if len(shape) == 4 and len(image.shape) == 4:
        volume, affine = most_probable(path.name, image, threshold, grid), image.affine if grid is None else grid.affine
    elif len(shape) != 3:
        raise DataError(f"Atlas {path.name}: its shape is {shape}, but one volume is needed.")
    elif threshold is not None:
        raise DataError(
            f"Atlas {path.name}: threshold = {threshold:g} is for 4-D images of probabilities, and this is one volume "
            f"of labels. Leave it out."
        )
    else:
        volume, affine = _whole(path, _values(path, image).reshape(shape)), image.affine
    n_volumes = shape[3] if len(shape) == 4 else 0
    index = np.flatnonzero(volume)
    structure = np.full(len(index), "", dtype=str)
    density = entities(path).get("res", "")
    targets = Targets("voxel", space, index, structure, Grid(volume.shape, affine), density=density)
    return LabelImage(volume.ravel()[index], targets, n_volumes=n_volumes)


def hemi_files(path: Path) -> dict[str, Path]:
    """Find the files of both hemispheres, of the path of one or with {hemi} where L and R (lh and rh) go."""
    if "{hemi}" in str(path):
        pairs = [dict(zip("LR", words, strict=True)) for words in zip(*SIDES.values(), strict=True)]
        found = [{hemi: Path(str(path).replace("{hemi}", word)) for hemi, word in pair.items()} for pair in pairs]
        return next((files for files in found if all(file.is_file() for file in files.values())), found[0])
    if entities(path).get("hemi") in CORTEX:
        given = entities(path)["hemi"]
        return {hemi: path.with_name(path.name.replace(f"hemi-{given}", f"hemi-{hemi}")) for hemi in CORTEX}
    words = SIDE_WORD.findall(path.name)
    if len(words) == 1:
        place = next(place for side in SIDES.values() for place, word in enumerate(side) if word == words[0])
        return {hemi: path.with_name(SIDE_WORD.sub(SIDES[hemi][place], path.name)) for hemi in CORTEX}
    raise DataError(
        f"Atlas {path.name}: a surface atlas is a pair of files. Put {{hemi}} where L and R stand, "
        f"or name them with hemi-L and hemi-R."
    )


def _read_pair(paths: Sequence[Path], space: str, chosen: str | None) -> LabelImage:
    files = dict(zip(CORTEX, paths, strict=True)) if len(paths) == 2 else hemi_files(paths[0])
    for hemi, file in files.items():
        _require_side(file, hemi)
    labels, names = {}, {}
    for hemi, file in files.items():
        read = _read_annot if file.name.endswith(".annot") else _read_gifti
        labels[hemi], rows = read(file, hemi, chosen)
        _check_mesh(file, space, len(labels[hemi]))
        if rows:
            names[hemi] = rows
    index = np.concatenate([np.arange(len(half)) for half in labels.values()])
    structure = np.concatenate([np.full(len(half), CORTEX[hemi]) for hemi, half in labels.items()])
    n_vertices = {CORTEX[hemi]: len(half) for hemi, half in labels.items()}
    density = entities(files["L"]).get("den", "")
    targets = Targets("vertex", space, index, structure, n_vertices=n_vertices, density=density)
    return LabelImage(np.concatenate(list(labels.values())), targets, names)


def _require_side(path: Path, hemi: str) -> None:
    """Refuse a file whose name says the other hemisphere than that which it was given for."""
    stated = entities(path).get("hemi")
    words = [stated] if stated in CORTEX else SIDE_WORD.findall(path.name)
    other = "R" if hemi == "L" else "L"
    if len(words) == 1 and words[0] in SIDES[other]:
        raise DataError(
            f"Atlas {path.name}: given for the {SIDES[hemi][2]} hemisphere, but its name says {SIDES[other][2]}. Name "
            f"the left file first, then the right one."
        )


def _check_mesh(path: Path, space: str, n_vertices: int) -> None:
    known = N_VERTICES.get(space, (n_vertices,))
    if n_vertices not in known:
        needed = " or ".join(map(str, known))
        raise DataError(f"Atlas {path.name}: {n_vertices} vertices, but {space} has {needed} per hemisphere.")


def _read_gifti(path: Path, hemi: str, chosen: str | None) -> tuple[np.ndarray, list[Row]]:
    image = _load(path, nib.gifti.GiftiImage)
    array = image.darrays[_map_number(path, [one.meta.get("Name") or "" for one in image.darrays], chosen)]
    stated = image.meta.get("AnatomicalStructurePrimary") or image.darrays[0].meta.get("AnatomicalStructurePrimary")
    if stated not in (None, GIFTI_STRUCTURE[hemi]):
        raise DataError(f"Atlas {path.name}: named as hemi-{hemi}, but the file says {stated}.")
    labels = _whole(path, array.data)
    if labels.ndim != 1:
        raise DataError(f"Atlas {path.name}: its shape is {labels.shape}, but one label per vertex is needed.")
    inside = image.labeltable.labels if image.labeltable is not None else []
    named = {int(one.key): (str(one.label), tuple(part or 0.0 for part in one.rgba)) for one in inside}
    return labels, rows_of_colors(named)


def _map_number(path: Path, names: Sequence[str], chosen: str | None) -> int:
    """Choose among the maps of a file; several need a choice."""
    if chosen is not None and chosen in names:
        if (n := list(names).count(chosen)) > 1:
            raise DataError(f"Atlas {path.name}: {n} of its maps are called {chosen!r}. Keep the one that is meant.")
        return list(names).index(chosen)
    if len(names) == 1 and chosen is None:
        return 0
    if chosen is not None:
        raise DataError(f"Atlas {path.name}: it has no map {chosen!r}, but {', '.join(map(repr, names))}.")
    raise DataError(
        f"Atlas {path.name}: it holds {len(names)} maps, but one is needed. Set map to one of "
        f"{', '.join(map(repr, names)) or 'them'} (in TOML: in its [[atlas]] table)."
    )


def _read_annot(path: Path, hemi: str, chosen: str | None) -> tuple[np.ndarray, list[Row]]:  # noqa: ARG001
    """Read a FreeSurfer annotation; regions are numbered by their place in its table, which is 1..N in most."""
    if not path.is_file():
        raise absent(path)
    require_content(path)
    try:
        places, colors, names = nib.freesurfer.read_annot(path)
    except (*UNREADABLE, IndexError, MemoryError) as error:
        raise DataError(f"Atlas {path}: cannot be read ({error}).") from error
    named = {}
    first = 1 if is_region(names[0].decode("utf-8", "replace")) else 0
    for place, (name, color) in enumerate(zip(names, colors, strict=True)):
        named[place + first] = (name.decode("utf-8", "replace"), tuple(color[:3] / 255))
    labels = np.where(places < 0, 0, places + first).astype(np.int32)
    return labels, rows_of_colors(named)


def _read_cifti(path: Path, space: str, chosen: str | None) -> LabelImage:
    image = _load(path, nib.Cifti2Image)
    rows, axis = image.header.get_axis(0), image.header.get_axis(image.ndim - 1)
    if not isinstance(axis, nib.cifti2.BrainModelAxis):
        raise DataError(f"Atlas {path.name}: its shape is {image.shape}, but one map of grayordinates is needed.")
    number = _map_number(path, [str(name) for name in getattr(rows, "name", ["?"] * image.shape[0])], chosen)
    labels = _whole(path, _values(path, image)[number])
    grid = None if axis.volume_shape is None else Grid(axis.volume_shape, axis.affine)
    structure = np.char.replace(axis.name.astype(str), "CIFTI_STRUCTURE_", "")
    index = np.asarray(axis.vertex, dtype=np.int64).copy()
    if grid is not None:
        in_volume = ~axis.surface_mask
        index[in_volume] = np.ravel_multi_index(tuple(axis.voxel[in_volume].T), grid.shape)
    n_vertices = {name.removeprefix("CIFTI_STRUCTURE_"): n for name, n in axis.nvertices.items()}
    density = entities(path).get("den", "")
    inside = dict(rows.label[number]) if isinstance(rows, nib.cifti2.LabelAxis) else {}
    names = {"": rows_of_colors(inside)} if inside else {}
    return LabelImage(labels, Targets("grayordinate", space, index, structure, grid, n_vertices, density), names)

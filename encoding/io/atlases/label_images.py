"""Label images (NIfTI, GIFTI pair, CIFTI) as labels and the targets that carry them."""

import zlib
from pathlib import Path
from typing import Any
from xml.parsers.expat import ExpatError

import nibabel as nib
import numpy as np

from ...core.axes import Grid, Targets
from ...core.errors import DataError
from ..fetched import absent, require_content
from ..region_tables import entities

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
UNREADABLE = (OSError, EOFError, zlib.error, ExpatError, nib.filebasedimages.ImageFileError, ValueError)


def read_labels(path: Path, space: str | None = None) -> tuple[np.ndarray, Targets]:
    """Read a label image.

    Returns labels (n_targets,).
    """
    space = _space(path, space)
    if path.name.endswith(".gii"):
        return _read_gifti_pair(path, space)
    if path.name.endswith((".dlabel.nii", ".dscalar.nii")):
        return _read_cifti(path, space)
    if path.name.endswith((".nii", ".nii.gz")):
        return _read_volume(path, space)
    raise DataError(f"Atlas {path}: the format is not known. Use .nii(.gz), .gii, .dlabel.nii or .dscalar.nii.")


def _space(path: Path, space: str | None) -> str:
    named = entities(path)
    found = space or named.get("space") or named.get("tpl")
    if not found:
        raise DataError(
            f"Atlas {path.name}: its reference space is not known. Give `space`, or add space-<label> to its name."
        )
    # TemplateFlow calls the coarser meshes of fsaverage by density, fMRIPrep by name.
    return FSAVERAGE.get(named.get("den", ""), found) if found == "fsaverage" else found


def _load(path: Path, kind: type) -> Any:
    if not path.is_file():
        raise absent(path)
    require_content(path)
    try:
        image = nib.load(path)
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
    fits = np.isfinite(values) & (values >= limits.min) & (values <= limits.max)
    fits &= np.where(fits, values, 0) == np.round(np.where(fits, values, 0))
    if not fits.all():
        raise DataError(
            f"Atlas {path.name}: {np.sum(~fits)} values are not whole numbers of 32 bits, the first is "
            f"{values[~fits][0]}. A label image is needed, resampled with nearest neighbour."
        )
    labels = values.astype(np.int32)
    if not labels.any():
        raise DataError(f"Atlas {path.name}: every label is 0.")
    return labels


def _read_volume(path: Path, space: str) -> tuple[np.ndarray, Targets]:
    image = _load(path, nib.spatialimages.SpatialImage)
    values = _values(path, image)
    if values.ndim > 3:
        values = values.reshape(values.shape[:3] + tuple(n for n in values.shape[3:] if n != 1))
    if values.ndim != 3:
        raise DataError(f"Atlas {path.name}: its shape is {values.shape}, but one volume is needed.")
    volume = _whole(path, values)
    index = np.flatnonzero(volume)
    grid = Grid(volume.shape, image.affine)
    structure = np.full(len(index), "", dtype=str)
    density = entities(path).get("res", "")
    return volume.ravel()[index], Targets("voxel", space, index, structure, grid, density=density)


def _hemi_files(path: Path) -> dict[str, Path]:
    if "{hemi}" in str(path):
        return {hemi: Path(str(path).replace("{hemi}", hemi)) for hemi in CORTEX}
    if entities(path).get("hemi") in CORTEX:
        given = entities(path)["hemi"]
        return {hemi: path.with_name(path.name.replace(f"hemi-{given}", f"hemi-{hemi}")) for hemi in CORTEX}
    raise DataError(
        f"Atlas {path.name}: a surface atlas is a pair of files. Put {{hemi}} where L and R stand, "
        f"or name them with hemi-L and hemi-R."
    )


def _read_gifti_pair(path: Path, space: str) -> tuple[np.ndarray, Targets]:
    labels = {hemi: _read_gifti(file, hemi, space) for hemi, file in _hemi_files(path).items()}
    index = np.concatenate([np.arange(len(half)) for half in labels.values()])
    structure = np.concatenate([np.full(len(half), CORTEX[hemi]) for hemi, half in labels.items()])
    n_vertices = {CORTEX[hemi]: len(half) for hemi, half in labels.items()}
    density = entities(path).get("den", "")
    targets = Targets("vertex", space, index, structure, n_vertices=n_vertices, density=density)
    return np.concatenate(list(labels.values())), targets


def _read_gifti(path: Path, hemi: str, space: str) -> np.ndarray:
    image = _load(path, nib.gifti.GiftiImage)
    if len(image.darrays) != 1:
        raise DataError(f"Atlas {path.name}: it holds {len(image.darrays)} maps, but one is needed.")
    stated = image.meta.get("AnatomicalStructurePrimary") or image.darrays[0].meta.get("AnatomicalStructurePrimary")
    if stated not in (None, GIFTI_STRUCTURE[hemi]):
        raise DataError(f"Atlas {path.name}: named as hemi-{hemi}, but the file says {stated}.")
    labels = _whole(path, image.darrays[0].data)
    if labels.ndim != 1:
        raise DataError(f"Atlas {path.name}: its shape is {labels.shape}, but one label per vertex is needed.")
    known = N_VERTICES.get(space, (len(labels),))
    if len(labels) not in known:
        needed = " or ".join(map(str, known))
        raise DataError(f"Atlas {path.name}: {len(labels)} vertices, but {space} has {needed} per hemisphere.")
    return labels


def _read_cifti(path: Path, space: str) -> tuple[np.ndarray, Targets]:
    image = _load(path, nib.Cifti2Image)
    axis = image.header.get_axis(image.ndim - 1)
    if not isinstance(axis, nib.cifti2.BrainModelAxis) or image.shape[0] != 1:
        raise DataError(f"Atlas {path.name}: its shape is {image.shape}, but one map of grayordinates is needed.")
    labels = _whole(path, _values(path, image)[0])
    grid = None if axis.volume_shape is None else Grid(axis.volume_shape, axis.affine)
    structure = np.char.replace(axis.name.astype(str), "CIFTI_STRUCTURE_", "")
    index = np.asarray(axis.vertex, dtype=np.int64).copy()
    if grid is not None:
        in_volume = ~axis.surface_mask
        index[in_volume] = np.ravel_multi_index(tuple(axis.voxel[in_volume].T), grid.shape)
    n_vertices = {name.removeprefix("CIFTI_STRUCTURE_"): n for name, n in axis.nvertices.items()}
    density = entities(path).get("den", "")
    return labels, Targets("grayordinate", space, index, structure, grid, n_vertices, density)

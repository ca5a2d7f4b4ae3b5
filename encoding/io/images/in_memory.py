"""Images in memory: targets of a mask, and nibabel and nilearn images of one value per target."""

from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np

from ...core import AlignmentError, DataError, Targets
from .cifti import axis_of_targets, targets_of_axis
from .surfaces import HEMISPHERES
from .volumes import grid_of, open_volume, read_mask, volume_of, voxel_targets

# Vertices per hemisphere of the mesh that nilearn brings along.
PACKAGED_MESH = {10242: "fsaverage5"}


def targets_of_mask(mask: Any, space: str = "") -> Targets:
    """Make an axis of the voxels of a mask (image, or path), the vertices of a `SurfaceImage`, or a CIFTI image.

    Voxels are in C order, as nilearn's maskers list them; of a surface all vertices, left before right.
    """
    mask = getattr(mask, "mask_img_", mask)  # a masker that was fitted
    if isinstance(mask, str | Path):
        path = Path(mask)
        if path.name.endswith((".dscalar.nii", ".dtseries.nii")):
            mask = nib.load(path)
        else:
            return voxel_targets(*read_mask(path), space)
    if isinstance(mask, nib.Cifti2Image):
        return targets_of_axis(mask.header.get_axis(1), space or "fsLR")
    parts = getattr(getattr(mask, "data", None), "parts", None)
    if parts is not None:
        sizes = {name: len(parts[side]) for name, side in zip(HEMISPHERES, ("left", "right"), strict=True)}
        inside = np.concatenate([np.asarray(parts[side]).reshape(size, -1)[:, 0] for side, size in
                                 zip(("left", "right"), sizes.values(), strict=True)])  # fmt: skip
        everything = inside.dtype != bool and not np.isin(inside, (0, 1)).all()
        index = np.concatenate([np.arange(size) for size in sizes.values()])
        structure = np.repeat(list(sizes), list(sizes.values()))
        keep = np.ones(len(index), bool) if everything else inside.astype(bool)
        space = space or PACKAGED_MESH.get(next(iter(sizes.values())), "surface")
        return Targets("vertex", space, index[keep], structure[keep], n_vertices=sizes)
    if hasattr(mask, "affine") and hasattr(mask, "dataobj"):
        data = np.nan_to_num(np.asarray(mask.dataobj))
        data = data[..., 0] if data.ndim == 4 and data.shape[3] == 1 else data
        if data.ndim != 3:
            raise DataError(f"A mask must have three dimensions, but this has shape {data.shape}.")
        return voxel_targets(data > 0, grid_of(mask), space)
    raise DataError(f"{type(mask).__name__}: a mask image, its path, a fitted masker or names of columns are needed.")


def image_of(values: np.ndarray, targets: Targets, mesh: Any = None) -> Any:
    """Make an image of rows of values (n_rows, n_targets); one row makes a 3-D volume, several a 4-D one."""
    if targets.kind == "voxel":
        volumes = [volume_of(row, targets) for row in values]
        data = volumes[0][0] if len(volumes) == 1 else np.stack([volume for volume, _ in volumes], axis=-1)
        return nib.Nifti1Image(data, volumes[0][1])
    if targets.kind == "grayordinate":
        scalar = nib.cifti2.ScalarAxis([str(number) for number in range(len(values))])
        image = nib.Cifti2Image(np.asarray(values, np.float32), header=(scalar, axis_of_targets(targets)))
        image.nifti_header.set_intent("NIFTI_INTENT_CONNECTIVITY_DENSE_SCALARS")
        return image
    if targets.kind == "vertex":
        return _surface(values, targets, mesh)
    raise AlignmentError(f"{targets!r} have no place in the brain. Use `to_frame`, or give a mask as `targets`.")


def _surface(values: np.ndarray, targets: Targets, mesh: Any) -> Any:
    """Make a nilearn `SurfaceImage`; NaN where no target is."""
    from nilearn.surface import SurfaceImage

    sides = {}
    for side, structure in zip(("left", "right"), HEMISPHERES, strict=True):
        here = targets.structure == structure
        data = np.full((targets.n_vertices.get(structure, 0), len(values)), np.nan, dtype=np.float32)
        data[targets.index[here]] = values[:, here].T
        sides[side] = data[:, 0] if len(values) == 1 else data
    n = len(sides["left"])
    if mesh is None:
        if n not in PACKAGED_MESH:
            raise AlignmentError(
                f"{targets!r}: a mesh of {n} vertices per hemisphere is not at hand. Give `mesh`, a nilearn PolyMesh."
            )
        from nilearn.datasets import load_fsaverage

        mesh = load_fsaverage(PACKAGED_MESH[n])["pial"]
    return SurfaceImage(mesh=mesh, data=sides)


def values_of_image(image: Any) -> tuple[np.ndarray, Targets]:
    """Read a map: a 3-D image or its path, a `SurfaceImage`, or CIFTI scalars; voxels of NaN or 0 are left out."""
    if isinstance(image, str | Path):
        path = Path(image)
        image = nib.load(path) if path.name.endswith(".dscalar.nii") else open_volume(path)
    if isinstance(image, nib.Cifti2Image) or hasattr(getattr(image, "data", None), "parts"):
        targets = targets_of_mask(image)
        if isinstance(image, nib.Cifti2Image):
            return np.asarray(image.dataobj, dtype=np.float32)[0], targets
        parts = [np.asarray(image.data.parts[side], dtype=np.float32) for side in ("left", "right")]
        both = np.concatenate([part.reshape(len(part), -1)[:, 0] for part in parts])
        whole = Targets(
            "vertex",
            targets.space,
            np.concatenate([np.arange(len(part)) for part in parts]),
            np.repeat(HEMISPHERES, [len(part) for part in parts]),
            n_vertices={name: len(part) for name, part in zip(HEMISPHERES, parts, strict=True)},
        )
        return both, whole
    data = np.asarray(image.dataobj, dtype=np.float32)
    data = data[..., 0] if data.ndim == 4 and data.shape[3] == 1 else data
    if data.ndim != 3:
        raise DataError(f"A map must have three dimensions, but this image has shape {data.shape}. Take one volume.")
    inside = np.isfinite(data) & (data != 0)
    targets = voxel_targets(inside, grid_of(image), "")
    return data[inside], targets

"""NIfTI volumes in and out."""

import zlib
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any
from xml.parsers.expat import ExpatError

import nibabel as nib
import numpy as np

from ...core import AlignmentError, DataError, Grid, Targets
from ..atomic import atomic_file
from ..errors import naming

# Voxels are read a few volumes at a time, so that a run never stands in memory whole and unmasked.
CHUNK_BYTES = 64 << 20
# What nibabel, its XML parser and the decompressor raise on damaged files.
DAMAGED = (
    OSError, EOFError, ValueError, zlib.error, ExpatError, nib.filebasedimages.ImageFileError,
    nib.spatialimages.HeaderDataError, AssertionError, KeyError, IndexError, TypeError,
)  # fmt: skip
SECONDS = {"sec": 1.0, "msec": 1e-3, "usec": 1e-6, "unknown": 1.0}


def readable(path: Path) -> AbstractContextManager[None]:
    """Turn whatever a reader raises on a damaged file into one error that names the file."""
    advice = "The file is missing, truncated or damaged; make or download it again."
    return naming(path, DAMAGED, "cannot be read", advice)


def open_volume(path: Path) -> Any:
    """Open a NIfTI file without reading its data."""
    with readable(path):
        image = nib.load(path, keep_file_open=True, mmap=False)
        if not isinstance(image, nib.Nifti1Image | nib.Nifti2Image):
            raise DataError(f"{path}: is a {type(image).__name__}, but a 3-D or 4-D NIfTI image was needed.")
        if len(image.shape) not in (3, 4):
            advice = " Time must be the fourth axis: drop the axes of length 1 and save it again."
            raise DataError(
                f"{path}: shape {image.shape}, but a 3-D or 4-D NIfTI image was needed."
                f"{advice if len(image.shape) > 4 else ''}"
            )
        if image.get_data_dtype().kind not in "iufb":
            raise DataError(
                f"{path}: its voxels are {image.get_data_dtype()}, but one real number per voxel was needed. Save "
                f"magnitudes, or one channel."
            )
        _require_finite_affine(path, image)
    return image


def told_forms(image: Any, where: str) -> tuple[str, ...]:
    """Return warnings of headers that do not say where the voxels are, or say it twice and differently."""
    header = image.header
    sform, s_code = header.get_sform(coded=True)
    try:
        qform, q_code = header.get_qform(coded=True)
    except ValueError:
        return (
            (f"{where}: the qform of {Path(image.get_filename()).name} is no rotation; the sform was followed",)
            if s_code
            else ()
        )
    if not s_code and not q_code:
        return (
            f"{where}: the header of {Path(image.get_filename()).name} does not say where its voxels are (sform_code "
            f"and qform_code are 0); millimetres and sides of the brain are guesses",
        )
    if s_code != q_code or sform is None or qform is None:
        return ()
    corners = np.array(np.meshgrid(*[(0, size - 1) for size in image.shape[:3]], [1])).reshape(4, -1)
    apart = float(np.linalg.norm((sform - qform)[:3] @ corners, axis=0).max())
    if apart <= 0.5 * float(min(header.get_zooms()[:3])):
        return ()
    return (
        f"{where}: sform and qform of {Path(image.get_filename()).name} put its voxels up to {apart:.1f} mm apart; the "
        f"sform was followed",
    )


def grid_of(image: Any) -> Grid:
    """Return the voxel grid of an image."""
    return Grid(image.shape[:3], image.affine)


def header_t_r(image: Any) -> float | None:
    """Read the repetition time from a header."""
    if len(image.shape) < 4:
        return None
    unit = image.header.get_xyzt_units()[1]
    value = float(image.header.get_zooms()[3]) * SECONDS.get(unit, np.nan)
    return value if np.isfinite(value) and value > 0 else None


def read_mask(path: Path) -> tuple[np.ndarray, Grid]:
    """Read a mask.

    Returns mask (i, j, k).
    """
    image = open_volume(path)
    with readable(path):
        data = np.asarray(image.dataobj)
        _require_end(path, image)
    if data.ndim == 4 and data.shape[3] == 1:
        data = data[..., 0]
    if data.ndim != 3:
        raise DataError(f"{path}: a mask must have three dimensions, but this has shape {data.shape}.")
    data = np.nan_to_num(data)
    if (data < 0).any():
        raise DataError(f"{path}: holds {data.min():g}; a mask holds 0 outside, and a number above 0 inside.")
    if data.dtype.kind == "f" and ((data % 1 != 0) & (data != data.max())).any():
        raise DataError(
            f"{path}: holds fractions from {data[data > 0].min():.3g} to {data.max():.3g}, and does not say where the "
            f"mask ends. Make a mask of them, such as of all above 0.5, and save that."
        )
    return data > 0, grid_of(image)


def _require_end(path: Path, image: Any) -> None:
    """Refuse a file that goes on for volumes that its header does not count, or whose compressed bytes are damaged.

    Only at the end of a gzip stream its checksum is compared, so that all of it is read once the last volume was.
    """
    if path.suffix not in (".gz", ".nii"):
        return
    end = int(image.dataobj.offset) + int(np.prod(image.shape)) * image.get_data_dtype().itemsize
    volume = int(np.prod(image.shape[:3])) * image.get_data_dtype().itemsize
    if path.suffix == ".gz":
        more = 0
        with image.dataobj._get_fileobj() as stream:
            stream.seek(end)
            while block := stream.read(1 << 20):
                more += len(block)
    else:
        more = path.stat().st_size - end
    if more >= volume:
        raise DataError(
            f"{path}: its header says {'x'.join(map(str, image.shape))} voxels, but {more / volume:.3g} more volumes "
            f"follow. One of the two is wrong; make or download it again."
        )


def _require_finite_affine(path: Path, image: Any) -> None:
    if not np.isfinite(image.affine).all() or abs(np.linalg.det(image.affine[:3, :3])) < 1e-9:
        raise DataError(f"{path}: its affine is {np.round(image.affine, 3).tolist()}, which places no voxels.")


def voxel_targets(mask: np.ndarray, grid: Grid, space: str, density: str = "") -> Targets:
    """Make an axis of the voxels inside a mask.

    Shapes: `mask` (i, j, k).
    """
    index = np.flatnonzero(mask)
    return Targets("voxel", space, index, np.full(len(index), "", dtype=str), grid, density=density)


def read_voxels(path: Path, targets: Targets, volumes: slice = slice(None)) -> np.ndarray:
    """Read the time series of some voxels, a few volumes at a time.

    Returns (n_scans, n_targets).
    """
    image = open_volume(path)
    grid = grid_of(image)
    if targets.grid is None or not targets.grid.same_as(grid):
        expected = "none" if targets.grid is None else f"{targets.grid.shape}"
        raise AlignmentError(
            f"{path}: its grid {grid.shape} differs in shape or affine from the grid {expected} of the mask or "
            f"of the first run. All runs and the mask must be in one space and resolution."
        )
    if len(image.shape) != 4:
        raise DataError(f"{path}: a 4-D image was needed, but this has shape {image.shape}.")
    where = np.unravel_index(targets.index, grid.shape)
    first, last, _ = volumes.indices(image.shape[3])
    values = np.empty((last - first, len(targets)), dtype=np.float32)
    with np.errstate(over="ignore"):  # what float32 cannot hold becomes infinite, and is left out as not finite
        for start, block in _blocks(path, image, first, last):
            values[start - first : start - first + block.shape[3]] = block[where].T
    if last == image.shape[3]:
        with readable(path):
            _require_end(path, image)
    return values


def varying_voxels(path: Path) -> tuple[np.ndarray, Grid]:
    """Find the voxels of a 4-D image that are finite throughout and not constant.

    Returns mask (i, j, k).
    """
    image = open_volume(path)
    if len(image.shape) != 4:
        raise DataError(f"{path}: a 4-D image was needed, but this has shape {image.shape}.")
    finite, varies, first = np.ones(image.shape[:3], bool), np.zeros(image.shape[:3], bool), None
    for _, block in _blocks(path, image, 0, image.shape[3]):
        first = block[..., :1] if first is None else first
        finite &= np.isfinite(block).all(axis=3)
        varies |= (block != first).any(axis=3)
    return finite & varies, grid_of(image)


def _blocks(path: Path, image: Any, first: int, last: int) -> Iterator[tuple[int, np.ndarray]]:
    step = max(1, CHUNK_BYTES // (8 * int(np.prod(image.shape[:3]))))
    for start in range(first, last, step):
        with readable(path):
            block = np.asarray(image.dataobj[..., start : min(start + step, last)])
        yield start, block


def volume_of(values: np.ndarray, targets: Targets) -> tuple[np.ndarray, np.ndarray]:
    """Write one value per target into a volume.

    Parameters
    ----------
    values : ndarray, shape (n_targets,)
        One value per target.
    targets : Targets
        Voxels, or grayordinates of which those that are voxels are used.

    Returns
    -------
    volume : ndarray of float32, shape (i, j, k)
        NaN where no target is.
    affine : ndarray of float64, shape (4, 4)
        From voxel indices to millimetres.

    Raises
    ------
    AlignmentError
        If no target has a grid, or there is not one value per target.
    """
    if targets.grid is None:
        raise AlignmentError(f"{targets!r} has no voxel grid, so that it cannot be shown as a volume.")
    values = np.asarray(values)
    if values.shape != (len(targets),):
        raise AlignmentError(f"{targets!r}: values have shape {values.shape}, one per target was needed.")
    volume = np.full(targets.grid.shape, np.nan, dtype=np.float32)
    voxels = ~np.isin(targets.structure, list(targets.n_vertices))
    volume.ravel()[targets.index[voxels]] = values[voxels]
    return volume, np.array(targets.grid.affine)


def write_volume(path: Path, values: np.ndarray, targets: Targets, name: str = "", *, labels: bool = False) -> Path:
    """Write one value per voxel as a NIfTI image; `name` stands in its header, cut to 79 characters.

    Shapes: `values` (n_targets,), whole numbers of labels where `labels` is set.
    """
    volume, affine = volume_of(values, targets)
    image = nib.Nifti1Image(np.nan_to_num(volume).astype(np.int32) if labels else volume, affine)
    # Form codes say what the coordinates mean: 4 is MNI space, 2 is aligned to another image.
    code = 4 if targets.space.startswith("MNI") else 2
    image.set_sform(affine, code)
    image.set_qform(affine, code)
    image.header.set_xyzt_units("mm")
    image.header["descrip"] = name.encode("ascii", "replace")[:79]
    if labels:
        image.header.set_intent("label", name=name.encode("ascii", "replace")[:15].decode("ascii"))
    with atomic_file(path) as temporary:
        nib.save(image, temporary)
    return path

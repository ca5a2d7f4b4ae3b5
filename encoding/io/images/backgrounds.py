"""Images to draw slices on."""

from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path

import nibabel as nib
import numpy as np

from ...core import Targets
from ..atomic import atomic_file
from .volumes import open_volume, readable

Background = tuple[np.ndarray, np.ndarray]


def write_mean_volume(bold: Path, path: Path) -> Path:
    """Write the mean over time of a run."""
    image = open_volume(bold)
    with readable(bold):
        total = np.zeros(image.shape[:3])
        for volume in range(image.shape[3]):
            total += np.asarray(image.dataobj[..., volume], dtype=np.float64)
    mean = nib.Nifti1Image((total / image.shape[3]).astype(np.float32), image.affine)
    with atomic_file(path) as temporary:
        nib.save(mean, temporary)
    return path


def background_of(path: Path | None, targets: Targets) -> Background | None:
    """Find an image that lies under the voxels of some targets."""
    if targets.voxel_space.startswith("MNI152") or (targets.kind == "grayordinate" and not targets.volume_space):
        path = _template()
    if path is None:
        return None
    with readable(path):
        changed = path.stat().st_mtime_ns
    return _read(path, changed)


@lru_cache(maxsize=2)
def _read(path: Path, changed: int) -> Background:  # noqa: ARG001 - a new file is another key
    """Read an image once for all maps of a report."""
    image = open_volume(path)
    with readable(path):
        return np.asarray(image.dataobj, dtype=np.float32), image.affine


def _template() -> Path | None:
    spec = find_spec("nilearn")
    if spec is None or spec.origin is None:
        return None
    found = sorted((Path(spec.origin).parent / "datasets" / "data").glob("mni_icbm152_t1_tal_nlin_sym_09a*.nii.gz"))
    return found[0] if found else None

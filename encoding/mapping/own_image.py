"""A picture of a map of one's own, in the style of the report."""

from typing import Any

import numpy as np
from matplotlib.figure import Figure

from ..core import AlignmentError, Targets
from ..drawing.scales import accuracy_scale, difference_scale
from ..io.images.in_memory import values_of_image
from .figures import canvas_of
from .meshes import find_surfaces
from .settings import Maps


def draw_map(
    image: Any, *, targets: Targets | None = None, label: str = "", title: str = "", two_sided: bool | None = None
) -> Figure:
    """Draw one map as slices through a volume, on a surface, or both; files are drawn by `plot_files`.

    Parameters
    ----------
    image : NIfTI image, SurfaceImage, CIFTI image, path, or ndarray of shape (n_targets,)
        The map; voxels that are 0 or NaN are left out.
    targets : Targets, optional
        Places of the values where `image` is an array.
    label : str, optional
        What the numbers are, for the colour bar.
    title : str, optional
        Above the map.
    two_sided : bool, optional
        Whether colours diverge from 0; unless given, where there are values below 0 too.

    Returns
    -------
    matplotlib.figure.Figure
        To show or to save.

    Raises
    ------
    AlignmentError
        If values have no place, or there is no mesh of their surface.

    Examples
    --------
    >>> import nibabel as nib, numpy as np
    >>> values = np.zeros((8, 9, 7))
    >>> values[2, 3, 4] = 0.5  # one voxel
    >>> figure = draw_map(nib.Nifti1Image(values, np.diag([3.0, 3.0, 3.0, 1.0])), label="r", title="My map")
    >>> type(figure).__name__
    'Figure'
    """
    values, where = values_of_image(image) if targets is None else (np.asarray(image, dtype=np.float32), targets)
    finite = values[np.isfinite(values)]
    diverging = bool(len(finite)) and bool((finite < 0).any()) if two_sided is None else two_sided
    scale = (difference_scale if diverging else accuracy_scale)([values], label)
    settings = Maps()
    canvas = canvas_of(where, None, find_surfaces(settings, where), settings)
    if not canvas.drawable:
        raise AlignmentError(f"{where!r}: has no place to be drawn on. {canvas.surfaces.missing}")
    return canvas.accuracy(values, scale, title).figure

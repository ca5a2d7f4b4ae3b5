"""What an atlas looks like: rows of its regions with centroids, and its labels on a mesh or grid to draw on."""

import numpy as np

from ...core.atlas import Atlas
from ...core.axes import Targets
from ...core.errors import DataError
from .coordinates import centroids, coordinates_of, has_mesh
from .moving import onto_mesh

FSAVERAGE5 = {"CORTEX_LEFT": 10242, "CORTEX_RIGHT": 10242}


def region_rows(atlas: Atlas) -> list[dict[str, str]]:
    """List the regions of an atlas: number, name, hemisphere, network, centroid in mm, targets, confidence.

    Parameters
    ----------
    atlas : Atlas
        The atlas.

    Returns
    -------
    list of dict
        Centroids are those of its table, or the mean of its targets where these have coordinates; "" elsewhere.
    """
    places = atlas.centroids
    if places is None and has_mesh(atlas.targets):
        places = centroids(atlas.labels, atlas.index, coordinates_of(atlas.targets))
    rows = []
    columns = zip(atlas.index.tolist(), atlas.region, atlas.hemi, atlas.network, strict=True)
    for row, (number, region, hemi, network) in enumerate(columns):
        place = ["", "", ""] if places is None else [f"{v:.1f}" if np.isfinite(v) else "" for v in places[row]]
        told = {"targets": str(int(atlas.members(atlas.labels, [number]).sum()))}
        told["confidence"] = atlas.confidence_of_regions[row]
        rows.append(
            {"index": str(number), "name": region, "hemi": hemi, "network": network}
            | dict(zip("xyz", place, strict=True))
            | told
        )
    return rows


def labels_on_fsaverage5(atlas: Atlas) -> np.ndarray:
    """Return the labels of a surface atlas on fsaverage5, (20484,), to be drawn there.

    Parameters
    ----------
    atlas : Atlas
        On fsaverage, fsaverage5, fsaverage6 or fsLR 32k.

    Returns
    -------
    ndarray of int32, shape (20484,)
        Left hemisphere first.

    Raises
    ------
    DataError
        If it lies on another mesh.
    """
    if atlas.targets.space == "fsaverage5" and len(atlas.labels) == sum(FSAVERAGE5.values()):
        return np.asarray(atlas.labels)
    found = onto_mesh(atlas, "fsaverage5", FSAVERAGE5)
    if found is None:
        raise DataError(
            f"Atlas {atlas.name!r} lies on {atlas.targets.space!r}: pictures are of fsaverage, fsLR 32k and volumes."
        )
    return np.asarray(atlas.labels[found])


def label_volume(atlas: Atlas) -> tuple[np.ndarray, np.ndarray]:
    """Return the labels of a volume with axes to the right, front and top.

    Parameters
    ----------
    atlas : Atlas
        With voxels; of grayordinates those that are voxels.

    Returns
    -------
    labels : ndarray of int32, shape (i, j, k)
        0 where no region is.
    affine : ndarray of float64, shape (4, 4)
        From voxel indices to millimetres.

    Raises
    ------
    DataError
        If it has no voxels.
    """
    import nibabel as nib

    targets: Targets = atlas.targets
    in_volume = ~np.isin(targets.structure, list(targets.n_vertices))
    if targets.grid is None or not in_volume.any():
        raise DataError(f"Atlas {atlas.name!r} has no voxels.")
    volume = np.zeros(targets.grid.shape, dtype=np.int32)
    volume.ravel()[targets.index[in_volume]] = atlas.labels[in_volume]
    turned = nib.as_closest_canonical(nib.Nifti1Image(volume, np.array(targets.grid.affine), dtype=np.int32))
    return np.asarray(turned.dataobj).astype(np.int32), np.asarray(turned.affine)

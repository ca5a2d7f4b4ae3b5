"""Masks of regions: the hemisphere that their names tell, and one label for every voxel."""

import re
from collections.abc import Mapping, Sequence

import numpy as np

from ...core import DataError

# Single letters count in capitals only: the names of masks have an "r" that tells nothing.
SIDE = re.compile(r"(?:^|[_.])(?:(?P<left>L|(?i:lh|left))|(?P<right>R|(?i:rh|right)))(?=[_.]|$)")
# A mask may reach this far over the middle of the brain, in millimetres, before its name is doubted.
OVER_THE_MIDDLE = 5.0
# Axis, its row, and areas at its lower and at its upper end in every brain.
AXES = (
    (1, "voxel_y", "back", ("V1", "V2"), ("9m", "10d")),
    (2, "voxel_z", "lower", ("TGd", "TGv"), ("4",)),
)


def side_of(key: str) -> str:
    """Read the hemisphere in the name of a mask.

    Parameters
    ----------
    key : str
        Name of the row.

    Returns
    -------
    str
        "L", "R", or "" if it names none or both.

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

    Parameters
    ----------
    masks : dict of str to ndarray of bool
        Key, and mask of shape (n_voxels,).
    x : ndarray of float64, shape (n_voxels,)
        Millimetres.
    where : str
        The file, for the message.

    Raises
    ------
    DataError
        If left and right are exchanged, or a mask lies on the other side of the middle.
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

    Parameters
    ----------
    masks : mapping of str to ndarray of bool
        Name of an area without its hemisphere, and mask of shape (n_voxels,).
    xyz : ndarray of float64, shape (n_voxels, 3)
        Millimetres.
    where : str
        The file, for the message.

    Raises
    ------
    DataError
        If they are not where they are in a brain.
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
    """Give every voxel one label, those in several masks one for each combination.

    Parameters
    ----------
    masks : sequence of ndarray of bool
        One of shape (n_voxels,) for each of the regions 1, 2, ...

    Returns
    -------
    labels : ndarray of int32, shape (n_voxels,)
        Number of the region, of the combination, or 0.
    overlaps : tuple of (int, tuple of int)
        Number of each combination, and its regions.

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

"""Atlases whose labels are shipped: in which spaces, and from which files of the data package."""

from pathlib import Path
from typing import NamedTuple

import numpy as np

from ...core.axes import Targets
from ...core.errors import DataError, suggest
from ..region_tables import RegionTable, read_rows, read_table
from .label_images import read_labels
from .packages import FSAVERAGE, surface_targets

SCHAEFER, TIAN = "Schaefer2018", "Tian2020"
VOLUMES = ("MNI152NLin2009cAsym", "MNI152NLin6Asym")
SURFACES = ("fsaverage5", "fsaverage6", "fsaverage", "fsLR")
SCALES = (100, 200, 400)
MADE_ON = "fsaverage5"  # its labels were made from those on fsLR, see roi_atlases/README.md
# fsaverage7 is another name of fsaverage.
SAME = {"fsaverage7": "fsaverage"}


class Shipped(NamedTuple):
    """Labels that are shipped: the atlas, its scale and networks, and the spaces that it is in, the usual one first."""

    atlas: str
    scale: int
    networks: int
    spaces: tuple[str, ...]


SHIPPED = {
    **{f"{SCHAEFER}-{n}": Shipped(SCHAEFER, n, 7, (*SURFACES, *VOLUMES)) for n in SCALES},
    **{f"{SCHAEFER}-{n}-17n": Shipped(SCHAEFER, n, 17, (*SURFACES, *VOLUMES)) for n in SCALES},
    **{f"{TIAN}-S{n}": Shipped(TIAN, n, 0, VOLUMES[::-1]) for n in (1, 2, 3, 4)},
}


def table_path(name: str, folder: Path) -> Path:
    """Return the table of regions of an atlas that is shipped."""
    about = SHIPPED[name]
    if about.atlas == TIAN:
        return folder / f"atlas-{TIAN}_scale-{about.scale}_dseg.tsv"
    start = "tpl-fsaverage5_" if about.networks == 7 else ""  # the first to be shipped was on fsaverage5
    return folder / f"{start}atlas-{SCHAEFER}_seg-{about.networks}n_scale-{about.scale}_dseg.tsv"


def shipped_space(name: str, targets: Targets) -> str | None:
    """Return the space in which an atlas is shipped that is that of the targets; None if there is none."""
    spaces = SHIPPED[name].spaces if name in SHIPPED else ()
    return next((space for space in (targets.space, targets.voxel_space) if SAME.get(space, space) in spaces), None)


def read_shipped(name: str, space: str | None, folder: Path) -> tuple[np.ndarray, Targets, RegionTable]:
    """Read labels, targets and regions of an atlas that is shipped."""
    about = SHIPPED[name]
    space = about.spaces[0] if space is None else space
    known = SAME.get(space, space)
    if known not in about.spaces:
        raise DataError(
            f"Atlas {name!r} is shipped for {', '.join(about.spaces)}, not for {space!r}. "
            f"{suggest(space, about.spaces)} Files of your own are described in [[atlas]] tables."
        )
    if known in VOLUMES:
        end = f"{SCHAEFER}_seg-7n_scale" if about.atlas == SCHAEFER else f"{TIAN}_scale"
        path = folder / f"tpl-{known}_res-02_atlas-{end}-{about.scale}_dseg.nii.gz"
    else:
        mesh = "fsaverage" if known == "fsaverage6" else known
        path = folder / f"tpl-{mesh}_hemi-L_atlas-{SCHAEFER}_seg-7n_scale-{about.scale}_dseg.label.gii"
    labels, targets = read_labels(path, "fsaverage" if known == "fsaverage6" else known)
    if known == "fsaverage6":  # its vertices are the first of fsaverage's
        labels = np.concatenate([half[: FSAVERAGE[known]] for half in np.split(labels, 2)])
    if known in FSAVERAGE:
        targets = surface_targets(space, dict.fromkeys(targets.n_vertices, FSAVERAGE[known]))
    table = read_table(table_path(name, folder))
    if about.networks == 17:  # the parcels are those of 7 networks, numbered otherwise
        rows = read_rows(table_path(name, folder), ("index", "seven"))
        number = np.zeros(about.scale + 1, dtype=np.int32)
        number[[int(row["seven"]) for row in rows]] = [int(row["index"]) for row in rows]
        labels = number[labels]
    return labels, targets, table

"""Which targets lie in which region: kept beside the results, so that maps can be drawn without an atlas."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..io.atomic import atomic_file

PARCELS = "parcels.npz"
COLUMNS = ("atlas", "level", "set", "region", "hemi")


@dataclass(frozen=True, eq=False, slots=True)
class Region:
    """A region, a network, or an ROI of a set, as named in tables.

    Attributes
    ----------
    atlas, level, set, region, hemi : str
        As in ``regions.tsv``.
    mask : ndarray of bool, shape (n_targets,)
        Targets inside.

    Examples
    --------
    >>> from encoding.mapping import read_parcels
    >>> region = read_parcels(result.folder)[0]
    >>> region.atlas, region.region
    ('Tian2020-S1', 'HIP-rh')
    """

    atlas: str
    level: str
    set: str
    region: str
    hemi: str
    mask: np.ndarray

    @property
    def place(self) -> tuple[str, str, str, str, str]:
        """What tells it from others in tables."""
        return self.atlas, self.level, self.set, self.region, self.hemi


def write_parcels(folder: Path, regions: Sequence[Region]) -> Path:
    """Write the regions of a participant.

    Parameters
    ----------
    folder : Path
        ``OUTPUT_DIR/sub-<label>``.
    regions : sequence of Region
        Of all atlases.

    Returns
    -------
    Path
        ``parcels.npz``.

    Examples
    --------
    >>> from encoding.mapping import read_parcels, write_parcels
    >>> Path("parcels").mkdir()
    >>> write_parcels(Path("parcels"), read_parcels(result.folder)).name
    'parcels.npz'
    """
    inside = [np.flatnonzero(region.mask).astype(np.int32) for region in regions]
    with atomic_file(folder / PARCELS) as temporary, temporary.open("wb") as target:
        np.savez_compressed(
            target,
            places=np.array([region.place for region in regions], dtype=str).reshape(len(regions), len(COLUMNS)),
            targets=np.concatenate([*inside, np.zeros(0, dtype=np.int32)]),
            ends=np.cumsum([len(part) for part in inside], dtype=np.int64),
            n_targets=len(regions[0].mask) if regions else 0,
        )
    return folder / PARCELS


def read_parcels(folder: Path) -> list[Region]:
    """Read the regions of a participant.

    Parameters
    ----------
    folder : Path
        ``OUTPUT_DIR/sub-<label>``.

    Returns
    -------
    list of Region
        Empty for results of versions that did not keep them.

    Examples
    --------
    >>> from encoding.mapping import read_parcels
    >>> len(read_parcels(result.folder))
    20
    """
    path = folder / PARCELS
    if not path.is_file():
        return []
    with np.load(path, allow_pickle=False) as stored:
        places, targets, ends, n = (stored[name] for name in ("places", "targets", "ends", "n_targets"))
    found = []
    for (atlas, level, of_set, region, hemi), inside in zip(places.tolist(), np.split(targets, ends[:-1]), strict=True):
        mask = np.zeros(int(n), dtype=bool)
        mask[inside] = True
        found.append(Region(atlas, level, of_set, region, hemi, mask))
    return found

"""Named regions on a set of targets."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from .arrays import own
from .axes import Targets
from .errors import DataError


@dataclass(frozen=True, slots=True)
class RoiSet:
    """A named group of regions of an atlas.

    Attributes
    ----------
    set : str
        The list that it belongs to (``schaefer_emotion``).
    roi : str
        Its name in that list (``TPJ_IPL``).
    regions : tuple of str
        Names of the regions it is made of.
    source : str
        Where the grouping comes from.
    confidence : str
        How far it can be trusted ("exact", "approx").
    """

    set: str
    roi: str
    regions: tuple[str, ...]
    source: str = ""
    confidence: str = ""


@dataclass(frozen=True, eq=False, slots=True)
class Atlas:
    """Labels of targets: to which region each belongs.

    Attributes
    ----------
    name : str
        Name of the atlas.
    labels : ndarray of int32, shape (n_targets,)
        Number of the region that each target belongs to; 0 is none.
    targets : Targets
        The targets that are labelled.
    index : ndarray of int32, shape (n_regions,)
        Number of each region.
    region, hemi, network, color : tuple of str
        Name, hemisphere ("L", "R", ""), network ("" if none) and colour ("#rrggbb") of each region.
    citation, licence : str
        What to cite, and the terms of use.
    roi_sets : tuple of RoiSet
        Groups of regions.
    overlaps : tuple of (int, tuple of int)
        Labels of targets that lie in several regions, and the numbers of these regions.
    centroids : ndarray of float64, shape (n_regions, 3), optional
        Centre of each region in mm (RAS); None where the table states none.
    confidence : tuple of str
        What lowers the trust in each region ("low: sphere of 5 mm", "moved from fsLR"), "" where nothing does; empty
        for none at all.

    Raises
    ------
    AlignmentError
        If shapes and axes differ.
    DataError
        If numbers or names of regions are not unique, or a label has no region.

    Examples
    --------
    >>> import encoding, numpy as np
    >>> targets = encoding.Targets.of_columns(["v1", "v2", "v3"])
    >>> one = ("",)
    >>> atlas = encoding.Atlas("mine", [1, 1, 0], targets, [1], ("insula",), one, one, ("#888888",))
    >>> np.array([0.2, 0.4, 0.9])[atlas.labels == 1].mean().round(1)  # the mean of a map in the insula
    np.float64(0.3)
    """

    name: str
    labels: np.ndarray
    targets: Targets
    index: np.ndarray
    region: tuple[str, ...]
    hemi: tuple[str, ...]
    network: tuple[str, ...]
    color: tuple[str, ...]
    citation: str = ""
    licence: str = ""
    roi_sets: tuple[RoiSet, ...] = ()
    overlaps: tuple[tuple[int, tuple[int, ...]], ...] = ()
    centroids: np.ndarray | None = None
    confidence: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Check labels against the table of regions."""
        owner = f"Atlas {self.name!r}"
        n_targets, n_regions = len(self.targets), len(self.region)
        labels = own(self.labels, owner=owner, name="labels", shape=(n_targets,), dtype=np.int32)
        index = own(self.index, owner=owner, name="index", shape=(n_regions,), dtype=np.int32)
        object.__setattr__(self, "labels", labels)
        object.__setattr__(self, "index", index)
        for name in ("region", "hemi", "network", "color"):
            values = tuple(str(value) for value in getattr(self, name))
            own(np.asarray(values, dtype=str), owner=owner, name=name, shape=(n_regions,))
            object.__setattr__(self, name, values)
        if self.centroids is not None:
            centroids = own(self.centroids, owner=owner, name="centroids", shape=(n_regions, 3), dtype=np.float64)
            object.__setattr__(self, "centroids", centroids)
        if self.confidence:
            own(np.asarray(self.confidence, dtype=str), owner=owner, name="confidence", shape=(n_regions,))
        self._check(owner)

    @property
    def confidence_of_regions(self) -> tuple[str, ...]:
        """The confidence of every region, "" where nothing lowers it."""
        return self.confidence or ("",) * len(self.region)

    def _check(self, owner: str) -> None:
        if len(np.unique(self.index)) != len(self.index) or (self.index == 0).any():
            raise DataError(f"{owner}: region numbers must be unique and not 0 (0 means no region).")
        if len(set(self.region)) != len(self.region):
            raise DataError(f"{owner}: region names must be unique.")
        shared = [number for number, _ in self.overlaps]
        strangers = {part for _, parts in self.overlaps for part in parts} - set(self.index.tolist())
        if strangers or set(shared) & {0, *self.index.tolist()} or len(set(shared)) != len(shared):
            raise DataError(f"{owner}: labels of overlaps must be numbers of their own, of regions that exist.")
        missing = np.setdiff1d(self.labels, np.concatenate([self.index, [0], shared]))
        if len(missing):
            raise DataError(
                f"{owner}: label {missing[0]} has no row in its table ({len(missing)} such labels). Add the rows."
            )

    def members(self, labels: np.ndarray, numbers: Iterable[int]) -> np.ndarray:
        """Find the targets that lie in some regions, those in an overlap included.

        Parameters
        ----------
        labels : ndarray of int, shape (n_targets,)
            Label of each target.
        numbers : iterable of int
            Numbers of regions.

        Returns
        -------
        ndarray of bool, shape (n_targets,)
            Whether the target lies in any of them.
        """
        wanted = set(numbers)
        shared = [number for number, parts in self.overlaps if wanted & set(parts)]
        return np.isin(labels, [*wanted, *shared])

    def __repr__(self) -> str:
        return f"Atlas({self.name!r}, {len(self.region)} regions, {self.targets!r})"

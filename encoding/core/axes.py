"""The two axes of all data: samples (rows) and targets (columns)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from .arrays import composed, own, same
from .errors import AlignmentError

CLOCKS = ("none", "stimulus", "tr", "time")
KINDS = ("voxel", "vertex", "grayordinate", "column")
# The volume that fMRIPrep and the HCP pipelines put beside the fs_LR surfaces in one CIFTI file.
VOLUME_BESIDE = {"fsLR": "MNI152NLin6Asym"}


@dataclass(frozen=True, eq=False, slots=True)
class Samples:
    """Rows of an array.

    Attributes
    ----------
    stimulus : ndarray of str, shape (n_samples,)
        Stimulus shown during each sample; "" where none was. On the clock "time": name of the recording.
    onset : ndarray of float64, shape (n_samples,)
        Seconds since the first volume of the run; NaN on the clock "none". On the clock "time": since the start of the
        recording, NaN if its rows are volumes.
    duration : ndarray of float64, shape (n_samples,)
        Seconds; NaN on the clock "none".
    run : ndarray of str, shape (n_samples,)
        The run, unique within a subject (``ses-01_run-02``); "" on the clocks "none" and "time".
    clock : {"none", "stimulus", "tr", "time"}
        "none": one row per stimulus, not placed in time; "stimulus": one row per presentation;
        "tr": one row per volume; "time": many rows per recording (frames, words), not placed in runs.

    Raises
    ------
    AlignmentError
        If the lengths differ or the clock is unknown.

    Examples
    --------
    >>> from encoding import Samples
    >>> Samples.of_stimuli(["clip1", "clip2"])
    Samples(2 rows, clock 'none')
    """

    stimulus: np.ndarray
    onset: np.ndarray
    duration: np.ndarray
    run: np.ndarray
    clock: str

    def __post_init__(self) -> None:
        """Check the clock and take the arrays."""
        if self.clock not in CLOCKS:
            raise AlignmentError(f"Samples: clock is {self.clock!r}, but must be one of {CLOCKS}.")
        n = len(self.stimulus)
        for name, dtype in (("stimulus", str), ("onset", np.float64), ("duration", np.float64), ("run", str)):
            kept = own(getattr(self, name), owner="Samples", name=name, shape=(n,), dtype=dtype)
            kept = own(composed(kept), owner="Samples", name=name, shape=(n,)) if name == "stimulus" else kept
            object.__setattr__(self, name, kept)

    @classmethod
    def of_stimuli(cls, names: Any) -> "Samples":
        """Make an axis of stimuli that are not placed in time.

        Parameters
        ----------
        names : sequence of str
            One stimulus per row.

        Returns
        -------
        Samples
            With the clock "none".

        Examples
        --------
        >>> Samples.of_stimuli(["joy.mp4", "fear.mp4"])
        Samples(2 rows, clock 'none')
        """
        n = len(names)
        nan = np.full(n, np.nan)
        return cls(np.asarray(names, dtype=str), nan, nan, np.full(n, "", dtype=str), "none")

    @property
    def runs(self) -> tuple[str, ...]:
        """Runs in the order in which they appear."""
        return tuple(dict.fromkeys(self.run.tolist()))

    def __len__(self) -> int:
        return len(self.stimulus)

    def __getitem__(self, rows: Any) -> "Samples":
        return Samples(self.stimulus[rows], self.onset[rows], self.duration[rows], self.run[rows], self.clock)

    def __repr__(self) -> str:
        in_runs = f", {len(self.runs)} runs" if self.clock not in ("none", "time") else ""
        return f"Samples({len(self)} rows{in_runs}, clock {self.clock!r})"

    def same_as(self, other: "Samples") -> bool:
        """Return True if both describe the same rows in the same order.

        Parameters
        ----------
        other : Samples
            The axis to compare with.

        Returns
        -------
        bool
            True if clock, stimulus, run, onset and duration all agree.
        """
        return self.clock == other.clock and all(
            same(getattr(self, name), getattr(other, name)) for name in ("stimulus", "run", "onset", "duration")
        )


@dataclass(frozen=True, eq=False, slots=True)
class Grid:
    """The voxel grid of a volume.

    Attributes
    ----------
    shape : tuple of int
        Number of voxels along i, j, k.
    affine : ndarray of float64, shape (4, 4)
        From voxel indices to millimetres.

    Examples
    --------
    >>> import encoding, numpy as np
    >>> grid = encoding.Grid((64, 64, 30), np.diag([3.0, 3.0, 3.0, 1.0]))
    >>> grid.affine @ [10, 20, 5, 1]  # mm, of the voxel (10, 20, 5)
    array([30., 60., 15.,  1.])
    """

    shape: tuple[int, int, int]
    affine: np.ndarray

    def __post_init__(self) -> None:
        """Store the affine."""
        object.__setattr__(self, "shape", tuple(int(n) for n in self.shape))
        affine = own(self.affine, owner="Grid", name="affine", shape=(4, 4), dtype=np.float64)
        object.__setattr__(self, "affine", affine)

    def same_as(self, other: "Grid | None") -> bool:
        """Return True if both grids place every voxel alike.

        Parameters
        ----------
        other : Grid or None
            The grid to compare with.

        Returns
        -------
        bool
            True if shapes agree and affines agree to a hundredth of a millimetre.
        """
        if other is None or self.shape != other.shape:
            return False
        return bool(np.allclose(self.affine, other.affine, atol=1e-2))


@dataclass(frozen=True, eq=False, slots=True)
class Targets:
    """Columns of an array: voxels, vertices, grayordinates, or columns of a table.

    Attributes
    ----------
    kind : {"voxel", "vertex", "grayordinate", "column"}
        What one target is.
    space : str
        BIDS label of the reference space (``fsaverage5``, ``T1w``); "" for table columns.
    index : ndarray of int64, shape (n_targets,)
        Vertex number within its hemisphere, or flat voxel number (C order) in `grid`, or column number.
    structure : ndarray of str, shape (n_targets,)
        CIFTI name of the brain structure (``CORTEX_LEFT``, ``AMYGDALA_RIGHT``); "" where it has none.
    grid : Grid, optional
        Needed when some targets are voxels.
    n_vertices : mapping of str to int
        Vertices that the full surface of each surface structure has.
    density : str
        BIDS ``res-`` or ``den-`` label, "" if none.
    names : tuple of str
        Column names when `kind` is "column".
    volume_space : str
        BIDS label of the space of grayordinates that are voxels, where surfaces and a volume were loaded from files of
        their own; "" for CIFTI, whose format says it.
    resolution : str
        BIDS ``res-`` label of these voxels, "" if none.

    Raises
    ------
    AlignmentError
        If the lengths differ, an index lies outside its surface or grid, or a target is listed twice.

    Examples
    --------
    >>> import encoding
    >>> encoding.Targets.of_columns(["V1", "V2"])
    Targets(2 of kind 'column')
    """

    kind: str
    space: str
    index: np.ndarray
    structure: np.ndarray
    grid: Grid | None = None
    n_vertices: Mapping[str, int] = field(default_factory=dict)
    density: str = ""
    names: tuple[str, ...] = ()
    volume_space: str = ""
    resolution: str = ""

    def __post_init__(self) -> None:
        """Check that every target exists once."""
        if self.kind not in KINDS:
            raise AlignmentError(f"Targets: kind is {self.kind!r}, but must be one of {KINDS}.")
        n = len(self.index)
        index = own(self.index, owner="Targets", name="index", shape=(n,), dtype=np.int64)
        structure = own(self.structure, owner="Targets", name="structure", shape=(n,), dtype=str)
        object.__setattr__(self, "index", index)
        object.__setattr__(self, "structure", structure)
        object.__setattr__(self, "n_vertices", dict(self.n_vertices))
        self._check_index()
        if self.kind == "column" and len(self.names) != n:
            raise AlignmentError(f"Targets: {len(self.names)} names for {n} columns; one name each is needed.")

    def _check_index(self) -> None:
        surface = np.zeros(len(self.index), dtype=np.int64)  # number of the surface, from 1; 0 elsewhere
        limits = np.full(len(self.index), np.iinfo(np.int64).max)
        for number, (structure, n_vertices) in enumerate(self.n_vertices.items(), start=1):
            there = self.structure == structure
            limits[there], surface[there] = n_vertices, number
        on_surface = surface > 0
        if self.kind != "column" and not on_surface.all():
            if self.grid is None:
                raise AlignmentError(
                    f"Targets in {self.space!r}: {np.sum(~on_surface)} targets lie on no surface and there is no "
                    f"grid. Give `grid`, or `n_vertices` for their structures."
                )
            limits[~on_surface] = np.prod(self.grid.shape)
        outside = (self.index < 0) | (self.index >= limits)
        if outside.any():
            raise AlignmentError(
                f"Targets in {self.space!r}: {outside.sum()} indices lie outside their surface or grid, "
                f"the first is {self.index[outside][0]}."
            )
        places = surface * (int(self.index.max(initial=0)) + 1) + self.index
        n_twice = len(self.index) - len(np.unique(places))
        if n_twice:
            raise AlignmentError(f"Targets in {self.space!r}: {n_twice} targets are listed twice.")

    @classmethod
    def of_columns(cls, names: Any) -> "Targets":
        """Make an axis of named table columns.

        Parameters
        ----------
        names : sequence of str
            One name per column.

        Returns
        -------
        Targets
            With the kind "column".
        """
        names = tuple(str(name) for name in names)
        return cls("column", "", np.arange(len(names)), np.full(len(names), "", dtype=str), names=names)

    @property
    def hemi(self) -> np.ndarray:
        """Hemisphere of each target, "L", "R" or ""."""
        left = np.char.endswith(self.structure, "_LEFT")
        right = np.char.endswith(self.structure, "_RIGHT")
        return np.select([left, right], ["L", "R"], default="")

    @property
    def on_surface(self) -> np.ndarray:
        """Whether each target is a vertex, shape (n_targets,)."""
        return np.isin(self.structure, list(self.n_vertices))

    @property
    def voxel_space(self) -> str:
        """Space of those targets that are voxels."""
        beside = VOLUME_BESIDE.get(self.space, self.space) if self.kind == "grayordinate" else self.space
        return self.volume_space or beside

    @property
    def spaces(self) -> str:
        """Name of the space, or of both where a volume was loaded beside surfaces."""
        return f"{self.space} + {self.volume_space}" if self.volume_space else self.space

    @property
    def parts(self) -> tuple[tuple["Targets", np.ndarray], ...]:
        """Vertices and voxels from files of their own as two targets, each with its columns; all others as one."""
        columns = np.arange(len(self))
        if not self.volume_space:
            return ((self, columns),)
        vertices, voxels = columns[self.on_surface], columns[~self.on_surface]
        index, structure = self.index, self.structure
        surface = Targets(
            "vertex", self.space, index[vertices], structure[vertices], None, self.n_vertices, self.density
        )
        if not len(voxels):
            return ((surface, vertices),)
        nameless = np.full(len(voxels), "", dtype=str)
        volume = Targets("voxel", self.volume_space, index[voxels], nameless, self.grid, density=self.resolution)
        return (surface, vertices), (volume, voxels)

    def __len__(self) -> int:
        return len(self.index)

    def __getitem__(self, columns: Any) -> "Targets":
        names = tuple(np.asarray(self.names, dtype=object)[columns]) if self.names else ()
        return replace(self, index=self.index[columns], structure=self.structure[columns], names=names)

    def __repr__(self) -> str:
        where = f" in {self.spaces}" if self.space else ""
        return f"Targets({len(self)} of kind {self.kind!r}{where})"

    def same_as(self, other: "Targets") -> bool:
        """Return True if both describe the same targets in the same order.

        Parameters
        ----------
        other : Targets
            The axis to compare with.

        Returns
        -------
        bool
            True if kind, space, structures, indices, grids and surfaces agree.
        """
        grids = self.grid.same_as(other.grid) if self.grid is not None else other.grid is None
        return (
            (self.kind, self.spaces, self.names) == (other.kind, other.spaces, other.names)
            and dict(self.n_vertices) == dict(other.n_vertices)
            and grids
            and same(self.index, other.index)
            and same(self.structure, other.structure)
        )


def shared_places(every: Sequence[Targets]) -> list[np.ndarray] | None:
    """Find the targets of the first among those of each, (n_targets of the first,); -1 where one has no such voxel.

    Only the voxels beside surfaces may differ, as segmentations of participants do; otherwise None. On different grids
    no voxel is that of another.
    """
    first = every[0]
    if all(first.same_as(other) for other in every[1:]):
        return [np.arange(len(first)) for _ in every]
    if not all(one.kind == "grayordinate" and one.grid is not None for one in every):
        return None
    vertices = [replace(one[one.on_surface], grid=None) for one in every]
    if not all(vertices[0].same_as(other) for other in vertices[1:]):
        return None
    one_grid = all(one.grid is not None and one.grid.same_as(first.grid) for one in every)
    found = []
    for one in every:
        places = np.full(len(first), -1)
        places[first.on_surface] = np.flatnonzero(one.on_surface)
        if one_grid:
            at = np.flatnonzero(~one.on_surface)
            of_voxel = dict(zip(one.index[at].tolist(), at.tolist(), strict=True))
            places[~first.on_surface] = [of_voxel.get(voxel, -1) for voxel in first.index[~first.on_surface].tolist()]
        found.append(places)
    return found


def shared_columns(first: Targets, places: Sequence[np.ndarray]) -> np.ndarray:
    """Columns of the first that a map of a group has: the vertices alone, if no voxel is that of all."""
    everywhere = np.all([at >= 0 for at in places], axis=0)
    return np.arange(len(first)) if everywhere[~first.on_surface].any() else np.flatnonzero(everywhere)


def told_unshared(every: Sequence[Targets], places: Sequence[np.ndarray] | None) -> tuple[str, ...]:
    """Name what means and maps of a group lack of vertices with voxels; nothing of other kinds."""
    first = every[0]
    if len(every) < 2 or first.kind != "grayordinate":
        return ()
    if places is None:
        return (
            f"No means and no maps of the group: the vertices of participants in {first.space} differ. Load surfaces "
            f"of a standard space (fsaverage5) for them.",
        )
    if len(shared_columns(first, places)) == len(first):
        return ()
    why = "lie on different grids"
    if all(one.grid is not None and one.grid.same_as(first.grid) for one in every):
        why = "have none in common"
    return (
        f"Means and maps of the group hold vertices alone: the voxels of participants in {first.voxel_space} {why}. "
        f"Load the volume in a standard space (MNI152NLin2009cAsym) for maps of both.",
    )


def moved_to(places: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Lay values (..., n_targets) out on the targets of another, as `shared_places` finds them; NaN where -1."""
    if (places >= 0).all():
        return values[..., places]
    return np.where(places >= 0, values[..., places], np.nan)

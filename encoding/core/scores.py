"""How well models predict."""

from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from .arrays import own
from .axes import Targets
from .errors import DataError
from .lazy import later
from .provenance import Provenance

METRICS = ("r", "pooled_r", "r2", "split_r2", "partition_r2", "rsa", "ceiling", "over_ceiling")


class ScoreRow(NamedTuple):
    """What one row of a `Scores` is about.

    Attributes
    ----------
    model : str
        Name of the model.
    feature : str
        One of its feature spaces, or "all".
    """

    model: str
    feature: str = "all"

    def __str__(self) -> str:
        return self.model if self.feature == "all" else f"{self.model}/{self.feature}"


@dataclass(frozen=True, eq=False, slots=True)
class Scores:
    """One number per model (or band of a model) and target.

    Attributes
    ----------
    metric : {"r", "pooled_r", "r2", "split_r2", "partition_r2", "rsa", "ceiling", "over_ceiling"}
        "r": Pearson correlation on held-out samples, Fisher average over outer folds; "pooled_r": over all
        held-out samples at once; "r2": 1 - SSE / SST about the training mean; "split_r2": product
        measure, the part of r2 that each band brings; "partition_r2": the part that some bands, joined by "+", share
        with each other and with no other band of the model; "rsa": correlation, over pairs of stimuli, of the
        similarity of responses with that of a feature space; "ceiling": largest r that a model can reach, from repeated
        stimuli; "over_ceiling": r as a part of it.
    rows : tuple of ScoreRow
        What each row is about.
    values : ndarray of float32, shape (n_rows, n_targets)
        The scores; NaN for targets without usable responses.
    targets : Targets
        The columns.
    subject : str
        Label without ``sub-``.
    provenance : Provenance
        Settings and inputs.

    Raises
    ------
    AlignmentError
        If shapes and axes differ.
    DataError
        If the metric is unknown or a row is listed twice.

    Examples
    --------
    >>> import encoding
    >>> targets = encoding.Targets.of_columns(["V1", "V2"])
    >>> encoding.Scores("r", [("mllm", "all")], [[0.25, 0.5]], targets, "01").row("mllm")
    array([0.25, 0.5 ], dtype=float32)
    """

    metric: str
    rows: tuple[ScoreRow, ...]
    values: np.ndarray
    targets: Targets
    subject: str
    provenance: Provenance = field(default_factory=lambda: Provenance("scores/1"))

    def __post_init__(self) -> None:
        """Check values against axes."""
        if self.metric not in METRICS:
            raise DataError(f"Scores: metric {self.metric!r} is not one of {METRICS}.")
        rows = tuple(ScoreRow(*row) for row in self.rows)
        if len(set(rows)) != len(rows):
            raise DataError(f"Scores of sub-{self.subject}: a row is listed twice in {[str(row) for row in rows]}.")
        object.__setattr__(self, "rows", rows)
        shape = (len(rows), len(self.targets))
        kept = own(self.values, owner=f"Scores of sub-{self.subject}", name="values", shape=shape, dtype=np.float32)
        object.__setattr__(self, "values", kept)

    def row(self, model: str, feature: str = "all") -> np.ndarray:
        """Return the scores of one model or band.

        Parameters
        ----------
        model : str
            Name of the model.
        feature : str, default="all"
            One of its feature spaces.

        Returns
        -------
        ndarray of float32, shape (n_targets,)
            Its scores.

        Raises
        ------
        DataError
            If there is no such row.
        """
        wanted = ScoreRow(model, feature)
        if wanted not in self.rows:
            raise DataError(f"Scores: no row {str(wanted)!r}. Rows: {', '.join(map(str, self.rows))}.")
        return self.values[self.rows.index(wanted)]

    def to_frame(self) -> Any:
        """Make a table of all scores.

        Returns
        -------
        pandas.DataFrame
            One row per target and one column per row of the scores ("model", or "model/feature").

        Examples
        --------
        >>> import encoding
        >>> targets = encoding.Targets.of_columns(["V1", "V2"])
        >>> encoding.Scores("r", [("mllm", "all")], [[0.25, 0.5]], targets, "01").to_frame()["mllm"].to_dict()
        {'V1': 0.25, 'V2': 0.5}
        """
        frame = later("io.tables", "frame_of")
        columns = {str(row): values for row, values in zip(self.rows, self.values, strict=True)}
        return frame(columns, self.targets)

    def to_img(self, model: str | None = None, feature: str = "all", *, mesh: Any = None) -> Any:
        """Make an image of one row, or of all rows.

        Parameters
        ----------
        model : str, optional
            Model of the row; all rows unless given.
        feature : str, default="all"
            Feature of the row.
        mesh : nilearn.surface.PolyMesh, optional
            Mesh of a surface; fsaverage5 is found by its size.

        Returns
        -------
        nibabel.Nifti1Image, nilearn.surface.SurfaceImage or nibabel.Cifti2Image
            For voxels, vertices and grayordinates; NaN where no target is. All rows are the volumes of a 4-D image.

        Raises
        ------
        AlignmentError
            If the targets have no place in the brain, or the mesh is not known.
        DataError
            If there is no such row.

        Examples
        --------
        >>> import encoding, numpy as np
        >>> where = encoding.Grid((2, 2, 1), np.eye(4))
        >>> targets = encoding.Targets("voxel", "T1w", np.array([0, 3]), np.array(["", ""]), where)
        >>> encoding.Scores("r", [("mllm", "all")], [[0.25, 0.5]], targets, "01").to_img("mllm").shape
        (2, 2, 1)
        """
        values = self.values if model is None else self.row(model, feature)[None]
        return later("io.images.in_memory", "image_of")(np.asarray(values), self.targets, mesh)

    def __repr__(self) -> str:
        rows = ", ".join(map(str, self.rows))
        return f"Scores({self.metric}, sub-{self.subject}, rows {rows}, {len(self.targets)} targets)"

"""Feature spaces: what a model or a person says about each stimulus."""

from dataclasses import dataclass, field

import numpy as np

from .arrays import own
from .axes import Samples
from .errors import AlignmentError, DataError
from .provenance import Provenance


@dataclass(frozen=True, slots=True)
class Placement:
    """Where the recordings of a feature space on the clock "time" lie in runs, and how they come to volumes.

    Attributes
    ----------
    keys : tuple of str
        What chooses the recording: entities of the run (``("task", "run")``), or ``("stimulus",)`` for the
        presentations of events.
    offset : float
        Seconds from the first volume, or from the onset of a presentation, to the first row.
    resample : {"mean", "sum", "last", "lanczos"}
        How the rows of a volume become one.
    rest : {"error", "zero", "onsets"}
        Whether volumes that no row reaches are an error, or have the features 0; "onsets": rows have onsets of their
        own, and volumes between them are 0.
    """

    keys: tuple[str, ...]
    offset: float = 0.0
    resample: str = "mean"
    rest: str = "error"

    def __post_init__(self) -> None:
        """Make keys a tuple."""
        object.__setattr__(self, "keys", tuple(self.keys))


@dataclass(frozen=True, eq=False, slots=True)
class FeatureSpace:
    """A named set of features, one row per sample.

    Attributes
    ----------
    name : str
        The name under which models, figures and tables know it.
    values : ndarray of float32, shape (n_samples, n_features)
        Finite numbers.
    samples : Samples
        What the rows are: stimuli, presentations, volumes, or moments of recordings.
    features : tuple of str
        Names of the columns, each once.
    provenance : Provenance
        Where they come from.
    placement : Placement, optional
        On the clock "time": how recordings are brought to volumes.

    Raises
    ------
    AlignmentError
        If the shape differs from the axes.
    DataError
        If a value is not finite, a feature name occurs twice, or (on the clock "none") a stimulus does.

    Examples
    --------
    >>> import encoding
    >>> clips = encoding.Samples.of_stimuli(["joy.mp4", "fear.mp4"])
    >>> encoding.FeatureSpace("ratings", [[0.9, 0.1], [0.2, 0.8]], clips, ("joy", "fear"))
    FeatureSpace('ratings', 2 features, Samples(2 rows, clock 'none'))
    """

    name: str
    values: np.ndarray
    samples: Samples
    features: tuple[str, ...]
    provenance: Provenance = field(default_factory=lambda: Provenance("features/1"))
    placement: Placement | None = None

    def __post_init__(self) -> None:
        """Check values against axes."""
        object.__setattr__(self, "features", tuple(str(feature) for feature in self.features))
        owner = f"FeatureSpace {self.name!r}"
        shape = (len(self.samples), len(self.features))
        object.__setattr__(self, "values", own(self.values, owner=owner, name="values", shape=shape, dtype=np.float32))
        bad = ~np.isfinite(self.values)
        if bad.any():
            row, column = np.argwhere(bad)[0]
            raise DataError(
                f"{owner}: {bad.sum()} values are not finite; the first is feature {self.features[column]!r} of "
                f"{str(self.samples.stimulus[row])!r}. Fill or remove them."
            )
        self._check_names(owner)
        if (self.samples.clock == "time") != (self.placement is not None):
            raise AlignmentError(
                f"{owner}: its rows are on the clock {self.samples.clock!r}; `placement` belongs to 'time' and to no "
                f"other."
            )

    def _check_names(self, owner: str) -> None:
        repeated = [feature for feature in set(self.features) if self.features.count(feature) > 1]
        if repeated:
            raise DataError(f"{owner}: feature {sorted(repeated)[0]!r} occurs more than once.")
        if self.samples.clock == "none":
            names, counts = np.unique(self.samples.stimulus, return_counts=True)
            if (counts > 1).any():
                raise DataError(
                    f"{owner}: {np.sum(counts > 1)} stimuli have more than one row, the first is "
                    f"{str(names[counts > 1][0])!r}. Keep one row per stimulus."
                )

    @property
    def n_features(self) -> int:
        """Number of columns."""
        return len(self.features)

    def __repr__(self) -> str:
        return f"FeatureSpace({self.name!r}, {self.n_features} features, {self.samples!r})"

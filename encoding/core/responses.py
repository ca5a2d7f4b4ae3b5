"""Brain responses of one subject."""

from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np

from .arrays import by_file, own
from .axes import Samples, Targets
from .errors import AlignmentError
from .provenance import Provenance


@dataclass(frozen=True, slots=True)
class Exclusion:
    """Data that were left out, and why; the report lists them.

    Attributes
    ----------
    what : str
        What was left out: "targets", "presentations", "volumes", "features", "stimuli", "runs",
        "feature spaces", "atlases".
    n : int
        How many.
    reason : str
        Why, naming the file and, where they are few, the things themselves.
    run : str
        The run that it is about ("sub-01, ses-01_run-1"); "" for all runs.
    """

    what: str
    n: int
    reason: str
    run: str = ""

    @property
    def text(self) -> str:
        """Run and reason as one sentence."""
        return f"{self.run}: {self.reason}" if self.run else self.reason


@dataclass(frozen=True, eq=False, slots=True)
class Responses:
    """Responses of all targets, one row per sample.

    Attributes
    ----------
    values : ndarray of float32, shape (n_samples, n_targets)
        Cleaned responses, usually a read-only memory map. The column of a target that cannot be used
        is NaN from top to bottom.
    samples : Samples
        The rows: presentations (clock "stimulus") or volumes (clock "tr").
    targets : Targets
        The columns.
    presentations : Samples
        Every presentation of every stimulus, in time; on the clock "tr" this is what features are
        laid out from.
    drift : ndarray of float32, shape (n_samples, n_drift)
        On the clock "tr": for each run an orthonormal basis of the slow signals (mean, trend, cosines) that
        were taken out of the responses, so that the same can be done to features; zero columns pad
        shorter bases. On the clock "stimulus": no columns.
    subject : str
        Label without ``sub-``.
    task : str
        Label without ``task-``.
    t_r : float
        Repetition time in seconds; NaN for responses that were estimated elsewhere.
    exclusions : tuple of Exclusion
        Data that were left out.
    provenance : Provenance
        Settings and inputs.
    extents : Samples, optional
        The runs themselves, one row each, for features that are placed in runs: `stimulus` holds the entities of the
        images (``sub-01_task-movie_run-1``), `onset` the first volume that was kept, `duration` up to the end.
    warnings : tuple of str
        What limits the trust in these responses, for the report.

    Raises
    ------
    AlignmentError
        If shapes and axes differ, or a clock is not one that responses can have.

    Examples
    --------
    >>> import encoding, numpy as np
    >>> clips = encoding.Samples(["a", "b"], [0.0, 8.0], [6.0, 6.0], ["run-01", "run-01"], "stimulus")
    >>> targets = encoding.Targets.of_columns(["V1"])
    >>> encoding.Responses([[0.1], [0.4]], clips, targets, clips, np.zeros((2, 0)), "01", "video", 2.0)
    Responses(sub-01, Samples(2 rows, 1 runs, clock 'stimulus'), Targets(1 of kind 'column'))
    """

    values: np.ndarray
    samples: Samples
    targets: Targets
    presentations: Samples
    drift: np.ndarray
    subject: str
    task: str
    t_r: float
    exclusions: tuple[Exclusion, ...] = ()
    provenance: Provenance = field(default_factory=lambda: Provenance("responses/1"))
    warnings: tuple[str, ...] = ()
    extents: Samples | None = None

    def __post_init__(self) -> None:
        """Check values against axes."""
        owner = f"Responses of sub-{self.subject}"
        if self.samples.clock not in ("stimulus", "tr") or self.presentations.clock != "stimulus":
            raise AlignmentError(
                f"{owner}: samples are on the clock {self.samples.clock!r} and presentations on "
                f"{self.presentations.clock!r}; needed are 'stimulus' or 'tr', and 'stimulus'."
            )
        shape = (len(self.samples), len(self.targets))
        values = own(self.values, owner=owner, name="values", shape=shape, dtype=np.float32)
        drift = own(self.drift, owner=owner, name="drift", shape=(shape[0], None), dtype=np.float32)
        object.__setattr__(self, "values", values)
        object.__setattr__(self, "drift", drift)
        object.__setattr__(self, "exclusions", tuple(self.exclusions))
        object.__setattr__(self, "warnings", tuple(self.warnings))

    @property
    def usable(self) -> np.ndarray:
        """Which targets have values, bool of shape (n_targets,)."""
        return np.isfinite(self.values[0]) if len(self.samples) else np.zeros(len(self.targets), bool)

    def __reduce__(self) -> tuple[Any, ...]:
        """Pass values that are a memory map to other processes by the name of their file."""
        given = {field.name: getattr(self, field.name) for field in fields(self)}
        return _rebuilt, (given | {"values": by_file(self.values)},)

    def __repr__(self) -> str:
        return f"Responses(sub-{self.subject}, {self.samples!r}, {self.targets!r})"


def _rebuilt(given: dict[str, Any]) -> Responses:
    return Responses(**given)

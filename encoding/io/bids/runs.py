"""What the loader asks of an index of a dataset, and what it is told."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from ...core import ConfigError, DataError, suggest
from .entities import LONG, RUN_ENTITIES, SHORT
from .sidecars import seconds_of


@dataclass(frozen=True, slots=True)
class RunQuery:
    """Which runs, and which version of them."""

    kind: str  # File format
    task: tuple[str, ...] = ()  # Task labels; empty if the dataset has one task only
    # Labels of the version; None accepts anything, as long as that leaves one file per run
    space: str | None = None  # ``space-`` of the BOLD file
    res: str | None = None  # ``res-``, of volumes
    density: str | None = None  # ``den-``, of surfaces
    desc: str | None = None  # ``desc-``, how it was preprocessed
    sessions: tuple[str, ...] = ()  # Session labels; empty for all
    # Further entities of the BOLD file (long names as in a ``--bids-filter-file``: session, acquisition, run, ...),
    # with a value, a list of values, or None for "must be absent"
    filters: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class RunFiles:
    """Everything there is about one run."""

    label: str  # Unique within the subject, as short as that allows (``ses-01_run-02``)
    entities: Mapping[str, str]  # Entities of the BOLD file
    bold: tuple[Path, ...]  # One file, or left and right hemisphere
    mask: Path | None  # Brain mask on the grid of the run
    confounds: Path | None  # Table of confounds, one row per volume
    events: Path | None  # Table of events, of the raw dataset
    metadata: Mapping[str, Any]  # Merged sidecars of the BOLD file, raw ones overruled by derivative ones
    raw_t_r: float | None = None  # Repetition time by the raw sidecar, in seconds
    derived_t_r: float | None = None  # Repetition time by the sidecar of the derivative, in seconds
    dseg: tuple[Path, ...] = ()  # Segmentations on the grid of the run
    volume: "RunFiles | None" = None  # Files of the volume that is loaded beside surfaces
    derived: Mapping[str, Any] = field(default_factory=dict)  # The sidecar of the derivative alone

    @property
    def t_r(self) -> float | None:
        """Repetition time by the sidecars in seconds, None if they do not say."""
        return seconds_of(self.metadata, "RepetitionTime", self.label)

    @property
    def start_time(self) -> float | None:
        """Moment of each volume that slices were shifted to, in seconds; None if the sidecar does not say."""
        value = self.metadata.get("StartTime")
        if value is None or self.metadata.get("SliceTimingCorrected") is False:
            return None
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise DataError(f"{self.label}: StartTime is {value!r} in the JSON sidecar, but seconds are needed.")
        return float(value)

    @property
    def name(self) -> str:
        """Entities of the recording as in a file name (``sub-01_task-movie_run-1``)."""
        names = ("subject", *RUN_ENTITIES)
        return "_".join(f"{SHORT.get(name, name)}-{self.entities[name]}" for name in names if self.entities.get(name))

    @property
    def inputs(self) -> tuple[Path, ...]:
        """Every file that there is."""
        beside = () if self.volume is None else (*self.volume.bold, self.volume.mask)
        paths = (*self.bold, self.mask, self.confounds, self.events, *beside)
        return tuple(path for path in paths if path is not None)


class BidsIndex(Protocol):
    """What the loader wants to know of a dataset; `PybidsIndex` is one way to find out."""

    @property
    def bids_dir(self) -> Path:
        """Root of the dataset."""
        ...

    @property
    def derivatives(self) -> Path:
        """Root of the preprocessed dataset."""
        ...

    def subjects(self) -> tuple[str, ...]:
        """List subject labels without ``sub-``."""
        ...

    def runs(self, subject: str, query: RunQuery) -> list[RunFiles]:
        """Find the files of each run."""
        ...

    def missing(self, subject: str, query: RunQuery) -> tuple[str, ...]:
        """Name the runs that should be there but are not."""
        ...

    def skipped(self, subject: str, query: RunQuery) -> tuple[str, ...]:
        """Name those of `missing` of which there is no file at all: their numbers are skipped."""
        ...


@dataclass(frozen=True, slots=True)
class PlainFolder:
    """A data set without BIDS: a folder, whose files are found by patterns of their names."""

    bids_dir: Path  # The folder
    derivatives: Path  # The same

    def subjects(self) -> tuple[str, ...]:
        """List subject labels; a folder alone knows none."""
        return ()

    def runs(self, subject: str, query: RunQuery) -> list[RunFiles]:  # noqa: ARG002
        """Find the files of each run."""
        return []

    def missing(self, subject: str, query: RunQuery) -> tuple[str, ...]:  # noqa: ARG002
        """Name the runs that should be there but are not."""
        return ()

    def skipped(self, subject: str, query: RunQuery) -> tuple[str, ...]:  # noqa: ARG002
        """Name skipped runs; a folder alone knows none."""
        return ()


def check_filters(filters: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return the BOLD part of a ``--bids-filter-file``."""
    if not filters:
        return {}
    known = {"subject", *RUN_ENTITIES, "echo", "part", "space", "res", "den", "desc", "hemi", "datatype"}
    known |= {"suffix", "extension", *LONG}
    bold = filters.get("bold") if isinstance(filters, Mapping) else None
    if not isinstance(bold, Mapping):
        raise ConfigError(f'BIDS filters {json.dumps(filters)}: a part {{"bold": {{entity: value}}}} is needed.')
    for name in bold:
        if name not in known:
            raise ConfigError(f"BIDS filter 'bold': unknown entity {name!r}. {suggest(name, sorted(known))}")
    return dict(bold)

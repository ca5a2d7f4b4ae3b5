"""Features in time: recordings placed in runs, and brought to volumes."""

import dataclasses
from collections.abc import Sequence

import numpy as np

from ..core import AlignmentError, DataError, FeatureSpace, Placement, Responses, Samples
from ..io.bids.runs import RunFiles
from ..io.bids.sidecars import entities_of
from ..io.images.formats import length_of_run
from ..io.patterns import SHORT, recording_name
from ..numerics.regrid import regrid
from .loader import Scans

# Of a volume: what rows of volumes and other rows may lack at the ends of a run, or reach beyond it.
EXACT, LOOSE = 0.02, 1.0


@dataclasses.dataclass(frozen=True, eq=False, slots=True)
class _Placed:
    """Rows of a feature space that lie in one run."""

    row: np.ndarray  # (n_placed,) Rows of the space
    start: np.ndarray  # (n_placed,) Seconds since the first volume of the run
    duration: np.ndarray  # (n_placed,) Seconds


def in_time(space: FeatureSpace) -> bool:
    """Return True if the rows of a space are moments of recordings."""
    return space.samples.clock == "time"


def placement_of(space: FeatureSpace) -> Placement:
    """Return how the recordings of a space on the clock "time" are placed."""
    assert space.placement is not None  # FeatureSpace holds this
    return space.placement


def series_on_volumes(space: FeatureSpace, responses: Responses, delays: Sequence[int]) -> list[np.ndarray]:
    """Lay the recordings of a space out on the volumes of every run, delay by delay.

    Returns one array (n_rows of the run, n_delays n_features) per run.
    """
    extents = extents_of(space, responses)
    presentations, t_r, longest = responses.presentations, responses.t_r, max(delays)
    method = placement_of(space).resample
    laid_out = []
    for run in responses.samples.runs:
        extent = extents[np.flatnonzero(extents.run == run)]
        shown = presentations[np.flatnonzero(presentations.run == run)]
        placed = place_recordings(space, extent, shown, t_r)
        first, n_volumes = extent.onset[0], round(float(extent.duration[0]) / t_r)
        values = regrid(
            space.values[placed.row],
            placed.start,
            placed.duration,
            first=first - longest * t_r,
            step=t_r,
            n_steps=n_volumes + longest,
            method=method,
        )  # fmt: skip
        here = responses.samples.onset[responses.samples.run == run]
        volume = np.rint((here - first) / t_r).astype(int)
        laid_out.append(np.concatenate([values[volume + longest - delay] for delay in delays], axis=1))
    return laid_out


def extents_of(space: FeatureSpace, responses: Responses) -> Samples:
    """Return the extents of runs, which features in time need."""
    if responses.samples.clock != "tr" or responses.extents is None:
        raise AlignmentError(
            f"FeatureSpace {space.name!r} has many rows per recording, which only responses with one row per volume "
            f'can take. Set per = "tr" in [load].'
        )
    return responses.extents


def place_recordings(space: FeatureSpace, extent: Samples, shown: Samples, t_r: float) -> _Placed:
    """Place rows of a space in one run: its own recording, or that of every presentation.

    `extent` has one row, `shown` the presentations of the run. Raises where recording and run differ in length.
    """
    placement = placement_of(space)
    label = f"FeatureSpace {space.name!r}: run {extent.run[0]}"
    if placement.keys != ("stimulus",):
        name = recording_of_run(placement, str(extent.stimulus[0]), label)
        rows = _rows_of(space, name, label)
        start, duration = _times(space, rows, t_r)
        begin = float(extent.onset[0]) + placement.offset
        length = float(extent.duration[0])
        _check_length(space, rows, (start, duration), length, t_r, f"{label} ({name})")
        return _Placed(rows, begin + start, duration)
    parts = []
    for name, onset, length in zip(shown.stimulus.tolist(), shown.onset, shown.duration, strict=True):
        rows = _rows_of(space, name, label)
        start, duration = _times(space, rows, t_r)
        where = f"{label}, {name!r} at {onset:g} s"
        _check_length(space, rows, (start, duration), length, t_r, where, cut=True)
        inside = start + placement.offset < length - 1e-6
        rows, start = rows[inside], start[inside] + placement.offset
        parts.append(_Placed(rows, onset + start, np.minimum(duration[inside], length - start)))
    row = np.concatenate([part.row for part in parts] or [np.zeros(0, np.int64)])
    start, duration = (
        np.concatenate([getattr(part, name) for part in parts] or [np.zeros(0)]) for name in ("start", "duration")
    )
    return _Placed(row, start, duration)


def recording_of_run(placement: Placement, run: str, where: str) -> str:
    """Name the recording of a run, from the entities of its image."""
    entities, _ = entities_of(f"{run}_bold")
    missing = [key for key in placement.keys if SHORT[key] not in entities]
    if missing:
        raise AlignmentError(
            f"{where}: its image ({run}) has no entity {SHORT[missing[0]]!r}, but the pattern of files has "
            f"{{{missing[0]}}}. Leave it out of the pattern, or rename the files."
        )
    return recording_name({key: entities[SHORT[key]] for key in placement.keys})


def _rows_of(space: FeatureSpace, name: str, where: str) -> np.ndarray:
    rows = np.flatnonzero(space.samples.stimulus == name)
    if not len(rows):
        there = list(dict.fromkeys(space.samples.stimulus.tolist()))
        raise AlignmentError(
            f"{where}: no recording {name!r}; there is {', '.join(there[:5])}{', ...' if len(there) > 5 else ''}. Add "
            f"its file, or correct the pattern in `file`."
        )
    return rows


def _times(space: FeatureSpace, rows: np.ndarray, t_r: float) -> tuple[np.ndarray, np.ndarray]:
    """Return start and duration of rows in seconds since the start of their recording; NaN stands for volumes."""
    start, duration = space.samples.onset[rows], space.samples.duration[rows]
    if np.isnan(start[0]):
        return t_r * np.arange(len(rows)), np.full(len(rows), t_r)
    return np.asarray(start), np.asarray(duration)


def _check_length(
    space: FeatureSpace,
    rows: np.ndarray,
    times: tuple[np.ndarray, np.ndarray],
    length: float,
    t_r: float,
    where: str,
    *,
    cut: bool = False,
) -> None:
    """Refuse rows that do not cover what they belong to, or reach beyond it; `cut` tells that what is beyond is cut."""
    placement, onsets = placement_of(space), space.samples.onset[rows]
    start, duration = times[0] + placement.offset, times[1]
    by_volume = bool(np.isnan(onsets[0]))
    if placement.rest == "onsets":
        late = start >= length
        if late.all() or (late.any() and not cut):
            raise DataError(
                f"{where}: {late.sum()} of {len(rows)} rows begin after its end ({length:g} s), the first at "
                f"{start[late][0]:g} s. Do rows and images belong together, and are onsets in seconds? Set `offset`, "
                f"or `trim`."
            )
        return
    end = float((start + duration).max())
    slack = (EXACT if by_volume else LOOSE) * t_r
    early, lacking = float(start.min()), length - end
    volumes = round(length / t_r)
    has = f"{len(rows)} rows, one per volume" if by_volume else f"{len(rows)} rows that last {end - early:g} s"
    of = f"but {volumes} volumes of {t_r:g} s are loaded" if not cut else f"but it is shown for {length:g} s"
    shift = f", from {placement.offset:g} s on (`offset`)" if placement.offset else ""
    if lacking < -slack and not cut:
        raise DataError(
            f"{where}: {has}{shift}, {of}. Leave out {_amount(-lacking, t_r, by_volume)} with `trim` in "
            f"[[features]] (rows at the start and at the end), or load the volumes that it leaves out."
        )
    if placement.rest == "error" and (lacking > slack or early > slack):
        raise DataError(
            f"{where}: {has}{shift}, {of}. No row reaches {_amount(max(early, 0) + max(lacking, 0), t_r, by_volume)}. "
            f'Leave these volumes out with `trim` in [load], or set rest = "zero" in [[features]] for features of 0.'
        )


def _amount(seconds: float, t_r: float, by_volume: bool) -> str:
    n = round(seconds / t_r)
    return f"{n} {'row' if n == 1 else 'rows'}" if by_volume else f"{seconds:g} s"


# Before anything is loaded


def check_series(loader: Scans, spaces: Sequence[FeatureSpace], runs: Sequence[RunFiles], subject: str) -> None:
    """Compare features in time with the length of every run, as headers of images tell it.

    Features of stimuli are compared when events are read; the number of volumes of surfaces is known when they are.
    """
    for run in runs if any(placement_of(space).keys != ("stimulus",) for space in spaces) else ():
        counted, t_r = length_of_run(loader.kind, run.bold)
        t_r = loader.t_r or run.t_r or t_r
        for space in spaces:
            if placement_of(space).keys == ("stimulus",):
                continue
            if counted is None or t_r is None:
                recording_of_run(placement_of(space), run.name, f"sub-{subject}, {run.label}")
                continue
            length = (counted - sum(loader.trim)) * t_r
            begin = np.array([loader.trim[0] * t_r])
            extent = Samples(np.array([run.name]), begin, np.array([length]), np.array([run.label]), "stimulus")
            place_recordings(space, extent, extent[:0], t_r)


# What runs share


def name_recordings(responses: Responses, spaces: Sequence[FeatureSpace]) -> Responses:
    """Name runs without events after their recordings, so that a recording shown in two runs has one name.

    Of several spaces, the one that tells fewest runs apart gives the names.

    Parameters
    ----------
    responses : Responses
        With events or without; those with events are returned as they are.
    spaces : sequence of FeatureSpace
        Feature spaces before alignment.

    Returns
    -------
    Responses
        Samples and presentations of a run have the name of its recording.

    Raises
    ------
    DataError
        If there are no events and no features in time.

    Examples
    --------
    >>> from encoding.loading import name_recordings
    >>> name_recordings(loaded.responses, loaded.described) is loaded.responses
    True
    """
    extents = responses.extents
    if extents is None or not np.array_equal(responses.presentations.stimulus, extents.stimulus):
        return responses
    names = [_recordings(space, extents) for space in spaces if in_time(space)]
    if not names:
        raise DataError(
            f"sub-{responses.subject}: runs were loaded without events, so that features need a matrix for each run "
            f'([[features]] kind = "series").'
        )
    fewest = min(names, key=lambda found: len(set(found.values())))
    samples, presentations = (
        dataclasses.replace(axis, stimulus=np.asarray([fewest[run] for run in axis.run.tolist()], dtype=str))
        for axis in (responses.samples, responses.presentations)
    )
    return dataclasses.replace(responses, samples=samples, presentations=presentations)


def _recordings(space: FeatureSpace, extents: Samples) -> dict[str, str]:
    """Name the recording of every run."""
    placement, where = placement_of(space), f"FeatureSpace {space.name!r}: run"
    return {
        run: recording_of_run(placement, name, f"{where} {run}")
        for run, name in zip(extents.run.tolist(), extents.stimulus.tolist(), strict=True)
    }


def shared_recordings(responses: Responses, spaces: Sequence[FeatureSpace]) -> tuple[np.ndarray, np.ndarray]:
    """List rows of runs whose recording another run has too, with its name."""
    rows, names = [np.zeros(0, np.int64)], [np.zeros(0, dtype=str)]
    for space in spaces:
        if not in_time(space) or placement_of(space).keys == ("stimulus",) or responses.extents is None:
            continue
        of_run = _recordings(space, responses.extents)
        several = {name for name in of_run.values() if list(of_run.values()).count(name) > 1}
        for run, name in of_run.items():
            if name in several:
                here = np.flatnonzero(responses.samples.run == run)
                rows.append(here)
                names.append(np.full(len(here), f"{space.name} {name}"))
    return np.concatenate(rows), np.concatenate(names)

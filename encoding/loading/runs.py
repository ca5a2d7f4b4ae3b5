"""One run: its timing, its cleaning, its rows."""

from dataclasses import dataclass

import numpy as np

from ..core import DataError, Exclusion, Samples
from ..io.bids.confounds import Confounds, read_confounds, read_own_confounds
from ..io.bids.runs import RunFiles
from ..io.images.formats import RunImage
from ..numerics.cleaning import clean_series, cosine_drifts, linear_drift, orthonormal, zscore_rows
from ..numerics.intervals import mean_weights, overlaps
from .loader import Scans

T_R_TOLERANCE = 1e-3
LONGEST_T_R = 60.0  # seconds; larger numbers are milliseconds


@dataclass(frozen=True, slots=True)
class RunRows:
    """What one run adds to the responses."""

    values: np.ndarray  # (n_rows, n_targets) Cleaned responses; columns that cannot be used are NaN
    unusable: np.ndarray  # (n_targets,) Those columns
    samples: Samples  # The rows
    drift: np.ndarray  # (n_rows, n_drift) Orthonormal basis of the slow signals; no columns on the clock "stimulus"
    exclusions: tuple[Exclusion, ...]  # What was left out
    presentations: Samples  # What was shown
    extent: Samples  # (1,) The run itself


def agreed_t_r(
    run: RunFiles, header: float | None, where: str, given: float | None = None
) -> tuple[float, tuple[str, ...]]:
    """Compare every statement of the repetition time; in seconds, with what the report must warn of.

    fMRIPrep 23.2.0 wrote 1 s into every header. Sidecars of the raw and of the preprocessed run that agree therefore
    outrank a header, any sidecar outranks a header of exactly 1 s, and the configuration outranks any header.
    """
    _require_regular(run, where)
    stated = {"t_r in [load]": given, "the sidecar": run.t_r, "the raw sidecar": run.raw_t_r}
    known = {name: value for name, value in stated.items() if value is not None}
    name = f"the header of {run.bold[0].name}"
    if header is not None:
        known[name] = header
    if not known:
        raise DataError(
            f"{where}: neither sidecar nor header state a repetition time. Add RepetitionTime to the JSON sidecar, or "
            f"set `t_r` in [load]."
        )
    first, t_r = next(iter(known.items()))
    warnings: tuple[str, ...] = ()
    for other, value in known.items():
        if abs(value - t_r) <= T_R_TOLERANCE:
            continue
        if other == name and given is not None:
            warnings = (f"{where}: the repetition time is {t_r:g} s by t_r in [load], but {value:g} s by {name}",)
            continue
        if other == name and ((run.raw_t_r is not None and run.derived_t_r is not None) or value == 1.0):
            warnings = (
                f"{where}: the repetition time is {t_r:g} s by the JSON sidecars, which were followed, but {value:g} s "
                f"by {name}",
            )
            continue
        raise DataError(
            f"{where}: the repetition time is {t_r:g} s by {first}, but {value:g} s by {other}. Correct the one that "
            f"is wrong; a header is outranked once the sidecars of the raw and of the preprocessed run agree."
        )
    if not t_r > 0:
        raise DataError(f"{where}: repetition time is {t_r} s by {first}; it must be above 0.")
    if t_r > LONGEST_T_R:
        raise DataError(
            f"{where}: repetition time is {t_r:g} s by {first}. BIDS wants seconds: divide milliseconds by 1,000."
        )
    return t_r, warnings


def _require_regular(run: RunFiles, where: str) -> None:
    """Refuse volumes that were not acquired at equal steps."""
    times = run.metadata.get("VolumeTiming")
    if times is None:
        return
    try:
        steps = np.diff(np.asarray(times, dtype=np.float64).ravel())
    except (TypeError, ValueError) as error:
        raise DataError(f"{where}: VolumeTiming in the JSON sidecar is no list of numbers ({error}).") from error
    if len(steps) and np.ptp(steps) > T_R_TOLERANCE:
        raise DataError(
            f"{where}: VolumeTiming in the JSON sidecar gives steps of {steps.min():g} to {steps.max():g} s between "
            f"volumes. Only equal steps can be cleaned and delayed here: leave the run out with a BIDS filter, or "
            f'estimate one response per trial elsewhere and load them with kind = "betas".'
        )
    if len(steps) and run.t_r is not None and abs(steps[0] - run.t_r) > T_R_TOLERANCE:
        raise DataError(
            f"{where}: VolumeTiming in the JSON sidecar gives a volume every {steps[0]:g} s, but RepetitionTime is "
            f"{run.t_r:g} s. Correct the one that is wrong."
        )


def run_confounds(loader: Scans, run: RunFiles, where: str) -> Confounds | None:
    """Read the confounds of a run, as far as the loader wants them."""
    if loader.confounds_file is not None:
        if run.confounds is None:
            raise DataError(f"{where}: no file is named like confounds_file = {loader.confounds_file!r} in [load].")
        return read_own_confounds(run.confounds, loader.confound_columns)
    if run.confounds is None:
        if loader.strategies:
            raise DataError(
                f"{where}: no confounds table (*_desc-confounds_timeseries.tsv) beside {run.bold[0].name}, but "
                f"{list(loader.strategies)} were asked for. Make it, or set confounds = [] and a `high_pass` in Hz."
            )
        return None
    aroma = run.entities.get("desc") == "smoothAROMAnonaggr"
    return read_confounds(run.confounds, loader.strategies, loader.confound_options, aroma=aroma)


def run_rows(
    loader: Scans,
    run: RunFiles,
    image: RunImage,
    presentations: Samples | None,
    confounds: Confounds | None,
    *,
    t_r: float,
    where: str,
) -> RunRows:
    """Clean a run and take its rows; without presentations the run is the one thing that was shown."""
    n_scans = len(image.values)
    end = n_scans * t_r
    # A volume is centred on the moment that slices were shifted to.
    begin = 0.0 if run.start_time is None else _checked_start(run.start_time, t_r, where) - t_r / 2
    extent = Samples(
        np.array([run.name]), np.array([begin + loader.trim[0] * t_r]),
        np.array([(n_scans - sum(loader.trim)) * t_r]), np.array([run.label]), "stimulus",
    )  # fmt: skip
    presentations = extent if presentations is None else presentations
    presentations, late = _check_events(loader, presentations, end, where)
    if confounds is not None and len(confounds.kept) != n_scans:
        raise DataError(
            f"{where}: the confounds table has {len(confounds.kept)} rows, but the image has {n_scans} volumes. "
            f"They must be of the same run."
        )
    kept = np.ones(n_scans, bool) if confounds is None else confounds.kept
    kept, trimmed = _trim(loader, kept, where)
    drift, nuisance = _bases(loader, confounds, kept, t_r)
    free = kept.sum() - drift.shape[1] - nuisance.shape[1]
    if free < 2:
        raise DataError(
            f"{where}: {kept.sum()} volumes are kept, but {drift.shape[1]} slow signals and {nuisance.shape[1]} "
            f"confounds are to be taken out. Use fewer confounds or a lower high_pass."
        )
    values = image.values if kept.all() else image.values[kept]
    unusable = clean_series(values, drift, nuisance, standardize=loader.standardize, despike=loader.despike)
    exclusions = [
        *late,
        *trimmed,
        *_early_events(loader, presentations, t_r, where),
        *_late_ends(loader, presentations, t_r, end, where),
    ]
    lost = int(np.sum(~kept)) - sum(note.n for note in trimmed)
    if lost:
        exclusions.append(Exclusion("volumes", lost, "scrubbed or before the steady state", where))
    start = begin + np.flatnonzero(kept) * t_r
    if loader.per == "tr":
        samples = _volume_samples(presentations, start, t_r)
        return RunRows(values, unusable, samples, drift.astype(np.float32), tuple(exclusions), presentations, extent)
    rows, samples, notes = _windows(loader, values, presentations, start, t_r=t_r, end=end, where=where)
    if loader.scale_rows is True:
        unusable |= zscore_rows(rows)
    no_drift = np.zeros((len(rows), 0), np.float32)
    return RunRows(rows, unusable, samples, no_drift, (*exclusions, *notes), presentations, extent)


def _checked_start(start_time: float, t_r: float, where: str) -> float:
    """Refuse a StartTime outside the first volume."""
    if not 0 <= start_time <= t_r + T_R_TOLERANCE:
        raise DataError(
            f"{where}: StartTime in the JSON sidecar is {start_time:g} s, but slices can only be shifted to a moment "
            f"of the volume, from 0 to {t_r:g} s. Correct it, or set `trim` in [load] if volumes were dropped before."
        )
    return start_time


def _trim(loader: Scans, kept: np.ndarray, where: str) -> tuple[np.ndarray, list[Exclusion]]:
    """Leave out volumes at both ends."""
    first, last = loader.trim
    if not first and not last:
        return kept, []
    if first + last >= len(kept):
        raise DataError(f"{where}: trim = [{first}, {last}] in [load] leaves none of its {len(kept)} volumes.")
    inside = np.zeros(len(kept), bool)
    inside[first : len(kept) - last] = True
    return kept & inside, [Exclusion("volumes", first + last, f"trim = [{first}, {last}] in [load]", where)]


def _check_events(loader: Scans, presentations: Samples, end: float, where: str) -> tuple[Samples, list[Exclusion]]:
    """Refuse events that no volume can show, or leave them out."""
    late = presentations.onset >= end
    notes = []
    if late.any() and not late.all() and loader.late_events == "drop":
        notes.append(Exclusion("presentations", int(late.sum()), f"begin after the last volume ({end:g} s)", where))
        presentations, late = presentations[~late], late[~late]
    if late.any():
        first = int(np.flatnonzero(late)[0])
        raise DataError(
            f"{where}: {late.sum()} events start after the end of the run ({end:g} s); the first is "
            f"{str(presentations.stimulus[first])!r} at {presentations.onset[first]:g} s. Do events and images belong "
            f'to the same run, and are onsets in seconds? Of a run that was aborted, late_events = "drop" in [load] '
            f"leaves them out."
        )
    instant = presentations.duration == 0
    if instant.any() and (loader.per == "tr" or loader.window is None):
        advice = "Give durations, or set `event_duration`" + ("." if loader.per == "tr" else " or `window`.")
        raise DataError(f"{where}: {instant.sum()} events have the duration 0, which covers no volume. {advice}")
    return presentations, notes


def _early_events(loader: Scans, presentations: Samples, t_r: float, where: str) -> list[Exclusion]:
    """Note what begins before the first volume, of which only a part was acquired."""
    if not loader.has_events:
        return []
    first = presentations.onset if loader.per == "tr" else presentations.onset + loader.shift
    early = first < -T_R_TOLERANCE
    if not early.any():
        return []
    row = int(np.flatnonzero(early)[0])
    shown = f"the first is {str(presentations.stimulus[row])!r} at {presentations.onset[row]:g} s"
    lost = int(np.ceil(-first[early].min() / t_r - T_R_TOLERANCE))
    if loader.per == "tr":
        text = f"{early.sum()} presentations begin before the first volume ({shown})"
    else:
        text = (
            f"windows of {early.sum()} presentations begin before the run ({shown}); their means are over what was "
            f"acquired"
        )
    return [Exclusion("volumes", lost, text, where)]


def _late_ends(loader: Scans, presentations: Samples, t_r: float, end: float, where: str) -> list[Exclusion]:
    """Note presentations per volume that last beyond the last one; durations may be of another unit."""
    if loader.per != "tr":
        return []
    last = presentations.onset + presentations.duration
    late = last > end + t_r + T_R_TOLERANCE
    if not late.any():
        return []
    row = int(np.flatnonzero(late)[0])
    text = (
        f"{late.sum()} presentations last beyond the end of the run at {end:g} s (the first is "
        f"{str(presentations.stimulus[row])!r} until {last[row]:g} s)"
    )
    return [Exclusion("volumes", int(np.ceil((last[late].max() - end) / t_r - T_R_TOLERANCE)), text, where)]


def told_overlaps(presentations: Samples, t_r: float, where: str) -> tuple[str, ...]:
    """Return a warning where presentations go on for more than half a volume after the next has begun."""
    longer = presentations.onset[:-1] + presentations.duration[:-1] - presentations.onset[1:]
    over = np.flatnonzero(longer > t_r / 2)
    if not len(over):
        return ()
    first = over[0]
    return (
        f"{where}: {len(over)} presentations go on while the next is shown; the first is "
        f"{str(presentations.stimulus[first])!r} at {presentations.onset[first]:g} s, for {longer[first]:g} s",
    )


def _bases(loader: Scans, confounds: Confounds | None, kept: np.ndarray, t_r: float) -> tuple[np.ndarray, np.ndarray]:
    n_scans = len(kept)
    slow = [np.ones((n_scans, 1))]
    if loader.detrend:
        slow.append(linear_drift(n_scans))
    if loader.high_pass == "confounds" and confounds is not None:
        slow.append(confounds.cosines)
    elif loader.high_pass is not False:
        slow.append(cosine_drifts(n_scans, t_r, float(loader.high_pass)))
    drift = orthonormal(np.concatenate(slow, axis=1)[kept])
    nuisance = np.zeros((n_scans, 0)) if confounds is None else confounds.values
    return drift, orthonormal(nuisance[kept], within=drift)


def _volume_samples(presentations: Samples, start: np.ndarray, t_r: float) -> Samples:
    """Name every volume after the presentation that fills most of it."""
    shared = overlaps(start, start + t_r, presentations.onset, presentations.onset + presentations.duration)
    names = np.where(shared.max(axis=1) > 0, presentations.stimulus[shared.argmax(axis=1)], "")
    return Samples(names, start, np.full(len(start), t_r), np.full(len(start), presentations.run[0]), "tr")


def _windows(
    loader: Scans,
    values: np.ndarray,
    presentations: Samples,
    start: np.ndarray,
    *,
    t_r: float,
    end: float,
    where: str,
) -> tuple[np.ndarray, Samples, list[Exclusion]]:
    first = presentations.onset + loader.shift
    last = first + window_lengths(presentations, loader.window)
    shared = overlaps(first, last, start, start + t_r)
    seen = shared.sum(axis=1) > 0
    notes = []
    if not seen.all():
        names = ", ".join(presentations.stimulus[~seen][:5].tolist())
        notes.append(Exclusion("presentations", int(np.sum(~seen)), f"no kept volume in the window ({names})", where))
    beyond = seen & (last > end + T_R_TOLERANCE)
    if beyond.any():
        lost = int(np.ceil((last[beyond].max() - end) / t_r - T_R_TOLERANCE))
        notes.append(
            Exclusion(
                "volumes",
                lost,
                f"windows of {beyond.sum()} presentations reach beyond the end of the run; their means are over what "
                f"was acquired",
                where,
            )
        )
    if seen.sum() < 2:
        raise DataError(
            f"{where}: {seen.sum()} presentations have kept volumes in their windows; at least 2 are needed. "
            f"Check onsets, `shift` and the scrubbing thresholds."
        )
    weights = mean_weights(shared[seen]).astype(np.float32)
    # A column of NaN must stay one; weights of 0 keep it so.
    with np.errstate(invalid="ignore"):
        rows = weights @ values
    return rows, presentations[seen], notes


def window_lengths(presentations: Samples, window: float | str | None) -> np.ndarray:
    """Return the window length of each presentation of a run, in seconds.

    Returns (n_presentations,).
    """
    if window is None:
        return np.asarray(presentations.duration)
    if window != "block":
        return np.full(len(presentations), float(window))
    onset, duration = presentations.onset, presentations.duration
    between = np.diff(onset)
    rest = float(np.median(between - duration[:-1])) if len(between) else 0.0
    return np.append(between, duration[-1] + max(rest, 0.0))

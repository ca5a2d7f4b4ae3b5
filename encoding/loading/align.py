"""Move feature spaces to the clock of the responses; nothing else changes a clock."""

from collections.abc import Iterator, Sequence

import numpy as np

from ..core import (
    AlignmentError,
    ConfigError,
    DataError,
    EncodingError,
    Exclusion,
    FeatureSpace,
    Provenance,
    Responses,
    digest,
    fingerprint_array,
    versions,
)
from ..numerics.cleaning import project_out
from ..numerics.intervals import overlaps
from .series import extents_of, in_time, placement_of, series_on_volumes, shared_recordings

DELAYS = (1, 2, 3, 4)
# What projection leaves of a feature that was nothing but drift, in parts of its size.
ROUNDING = 1e-5


def align(
    space: FeatureSpace,
    responses: Responses,
    *,
    delays: Sequence[int] | None = DELAYS,
    centre: bool = True,
) -> FeatureSpace:
    """Align features with the rows of the responses.

    On the clock "tr", column ``f@d`` holds, for the volume at time t, feature f of what was shown from t - d TR
    to t - (d - 1) TR in the same run, weighted by the time for which it was shown (a finite impulse response
    model); then the slow signals that were taken out of the responses are taken out of it. On the clock
    "stimulus" every presentation has one row, centred over each run. Recordings (clock "time") are first brought to
    volumes as `FeatureSpace.placement` says; column ``f@d`` then holds what they give for d volumes before.

    Columns that become constant (a feature that never varies, or that varies with the slow signals only) are set
    to exactly 0; `drop_constant` takes them out and says so.

    Parameters
    ----------
    space : FeatureSpace
        One row per stimulus (clock "none"), many per recording ("time"), or already laid out.
    responses : Responses
        Where to.
    delays : sequence of int, optional
        Delays in TRs; ignored on the clock "stimulus", where the window is shifted instead.
    centre : bool
        On the clock "stimulus": subtract the mean of each run, as `Loader.scale_rows` does with responses.

    Returns
    -------
    FeatureSpace
        With the samples of the responses.

    Raises
    ------
    AlignmentError
        If a stimulus was shown, or a run loaded, that has no features, or a space that is laid out already has other
        samples.
    ConfigError
        If delays are missing, negative, no integers, or repeated.
    DataError
        If no column varies.

    Examples
    --------
    >>> from encoding.loading import align
    >>> aligned = align(loaded.described[0], loaded.responses, delays=None)  # one row per presentation
    >>> bool((aligned.samples.stimulus == loaded.responses.samples.stimulus).all())
    True
    """
    if space.samples.clock not in ("none", "time"):
        if not space.samples.same_as(responses.samples):
            raise AlignmentError(
                f"FeatureSpace {space.name!r} is on {space.samples!r}, but the responses are on "
                f"{responses.samples!r}. Align the space with one row per stimulus to these responses."
            )
        return space
    per_tr = responses.samples.clock == "tr"
    if in_time(space):
        extents_of(space, responses)
    else:
        _check_stimuli(space, responses)
    used = _checked(delays) if per_tr else ()
    values = _on_volumes(space, responses, used) if per_tr else _on_presentations(space, responses, centre)
    if not np.ptp(values, axis=0).any():
        raise DataError(
            f"FeatureSpace {space.name!r}: all {values.shape[1]} columns are constant over the samples of "
            f"sub-{responses.subject}. It cannot predict anything."
        )
    names = tuple(f"{name}@{d}" for d in used for name in space.features) if per_tr else space.features
    config = {"delays": used, "centre": centre if not per_tr else True, "name": space.name}
    inputs = {
        "features": digest([fingerprint_array(space.values), space.features, space.provenance.key]),
        "responses": digest([*_fingerprints(responses), responses.provenance.key]),
    }
    provenance = Provenance("align/1", config, inputs, None, versions())
    return FeatureSpace(space.name, values, responses.samples, names, provenance)


def drop_constant(space: FeatureSpace) -> tuple[FeatureSpace, tuple[Exclusion, ...]]:
    """Drop the columns that do not vary.

    Parameters
    ----------
    space : FeatureSpace
        Any space; usually one that `align` made.

    Returns
    -------
    space : FeatureSpace
        Without them; the same object if there are none.
    exclusions : tuple of Exclusion
        What was left out, for the report.

    Raises
    ------
    DataError
        If nothing is left.

    Examples
    --------
    >>> from encoding.loading import drop_constant
    >>> from encoding import FeatureSpace, Samples
    >>> rows = Samples.of_stimuli(["clip1", "clip2"])
    >>> kept, left_out = drop_constant(FeatureSpace("x", [[1.0, 5.0], [2.0, 5.0]], rows, ("joy", "same")))
    >>> kept.features, left_out[0].n
    (('joy',), 1)
    """
    varies = np.ptp(space.values, axis=0) > 0
    if varies.all():
        return space, ()
    lost = [name for name, kept in zip(space.features, varies, strict=True) if not kept]
    if not varies.any():
        raise DataError(f"FeatureSpace {space.name!r}: all {len(lost)} features are constant.")
    shown = ", ".join(lost[:5]) + (", ..." if len(lost) > 5 else "")
    kept = tuple(name for name, keep in zip(space.features, varies, strict=True) if keep)
    smaller = FeatureSpace(space.name, space.values[:, varies], space.samples, kept, space.provenance)
    return smaller, (
        Exclusion("features", len(lost), f"feature space {space.name!r}: constant over all samples ({shown})"),
    )


def unused_stimuli(space: FeatureSpace, responses: Responses) -> tuple[Exclusion, ...]:
    """List stimuli that have features but were never shown.

    Parameters
    ----------
    space : FeatureSpace
        On the clock "none".
    responses : Responses
        What was shown.

    Returns
    -------
    tuple of Exclusion
        Empty if every stimulus was shown.

    Examples
    --------
    >>> import encoding
    >>> from encoding.loading import unused_stimuli
    >>> shown = loaded.responses.samples.stimulus[:1].tolist()
    >>> names = encoding.Samples.of_stimuli([*shown, "never_shown"])
    >>> space = encoding.FeatureSpace("x", [[1.0], [2.0]], names, ("joy",))
    >>> unused_stimuli(space, loaded.responses)[0].reason
    "feature space 'x': never shown to sub-01 (never_shown)"
    """
    unused = np.setdiff1d(space.samples.stimulus, responses.presentations.stimulus)
    if not len(unused) or (in_time(space) and placement_of(space).keys != ("stimulus",)):
        return ()
    shown = ", ".join(unused[:5].tolist()) + (", ..." if len(unused) > 5 else "")
    reason = f"feature space {space.name!r}: never shown to sub-{responses.subject} ({shown})"
    return (Exclusion("stimuli", len(unused), reason),)


def stimuli_of_rows(
    responses: Responses, delays: Sequence[int] | None = DELAYS, spaces: Sequence[FeatureSpace] = ()
) -> tuple[np.ndarray, np.ndarray]:
    """List the stimuli that can influence each row.

    Parameters
    ----------
    responses : Responses
        The rows.
    delays : sequence of int, optional
        Delays of the features in TRs; ignored on the clock "stimulus".
    spaces : sequence of FeatureSpace, optional
        Feature spaces before alignment: a recording that several runs have is known to all their rows.

    Returns
    -------
    rows : ndarray of int64, shape (n_pairs,)
        Row numbers, ascending.
    stimulus : ndarray of str, shape (n_pairs,)
        A stimulus whose features enter that row.

    Examples
    --------
    >>> from encoding.loading import stimuli_of_rows
    >>> rows, stimuli = stimuli_of_rows(loaded.responses)
    >>> rows[:3], stimuli[:3]
    (array([0, 1, 2]), array(['video0028', 'video0026', 'video0021'], dtype='<U9'))
    """
    if responses.samples.clock == "stimulus":
        return np.arange(len(responses.samples)), np.array(responses.samples.stimulus)
    rows, names = [], []
    for here, shown, shared in _each_run(responses, _checked(delays)):
        row, presentation = np.nonzero(shared.sum(axis=0))
        rows.append(here[row])
        names.append(responses.presentations.stimulus[shown[presentation]])
    for more, known in zip((rows, names), shared_recordings(responses, spaces), strict=True):
        more.append(known)
    order = np.argsort(np.concatenate(rows), kind="stable")
    return np.concatenate(rows)[order], np.concatenate(names)[order]


def _fingerprints(responses: Responses) -> list[str]:
    """Hash all that the layout depends on; the provenance of responses made by hand says nothing of it."""
    arrays = [
        getattr(axis, name)
        for axis in (responses.samples, responses.presentations)
        for name in ("stimulus", "onset", "duration", "run")
    ]
    return [fingerprint_array(array) for array in (*arrays, responses.drift)]


def _checked(delays: Sequence[int] | None) -> tuple[int, ...]:
    if delays is None or not len(delays):
        raise ConfigError("Responses are per TR, so that `delays` are needed, for example [1, 2, 3, 4].")
    whole = all(isinstance(d, int | np.integer) and not isinstance(d, bool) for d in delays)
    if not whole or min(delays) < 0 or len(set(delays)) < len(delays):
        raise ConfigError(f"delays are {list(delays)}, but must be different whole numbers of TRs, at least 0.")
    return tuple(int(d) for d in delays)


def _check_stimuli(space: FeatureSpace, responses: Responses) -> None:
    shown = responses.samples if responses.samples.clock == "stimulus" else responses.presentations
    unknown = np.setdiff1d(shown.stimulus, space.samples.stimulus)
    if len(unknown):
        names = ", ".join(repr(name) for name in unknown[:5].tolist())
        example = space.samples.stimulus[0] if len(space.samples) else ""
        raise AlignmentError(
            f"FeatureSpace {space.name!r}: {len(unknown)} stimuli shown to sub-{responses.subject} have no features "
            f"({names}{', ...' if len(unknown) > 5 else ''}); it knows {len(space.samples)}, such as {str(example)!r}. "
            f"Add their rows, or set `stimulus` in [load] to the column with these names."
        )


def _positions(space: FeatureSpace, names: np.ndarray) -> np.ndarray:
    order = np.argsort(space.samples.stimulus)
    return order[np.searchsorted(space.samples.stimulus, names, sorter=order)]


def _on_presentations(space: FeatureSpace, responses: Responses, centre: bool) -> np.ndarray:
    samples = responses.samples
    values = space.values[_positions(space, samples.stimulus)].astype(np.float64)
    varies = np.ptp(values, axis=0) > 0
    if centre:
        for run in samples.runs:
            rows = samples.run == run
            values[rows] = _projected(values[rows], np.full((rows.sum(), 1), rows.sum() ** -0.5))
    values[:, ~varies] = 0.0 if centre else values[:, ~varies]
    return values.astype(np.float32)


def _on_volumes(space: FeatureSpace, responses: Responses, delays: tuple[int, ...]) -> np.ndarray:
    n = space.n_features
    values = np.zeros((len(responses.samples), n * len(delays)), dtype=np.float32)
    if in_time(space):
        runs = responses.samples.runs
        for run, laid_out in zip(runs, series_on_volumes(space, responses, delays), strict=True):
            here = np.flatnonzero(responses.samples.run == run)
            values[here] = _projected(laid_out, responses.drift[here])
        return values
    for here, shown, shared in _each_run(responses, delays):
        features = space.values[_positions(space, responses.presentations.stimulus[shown])].astype(np.float64)
        laid_out = np.concatenate([weights @ features for weights in shared / responses.t_r], axis=1)
        values[here] = _projected(laid_out, responses.drift[here])
    return values


def _projected(values: np.ndarray, basis: np.ndarray) -> np.ndarray:
    """Project, and make columns that only rounding is left of exactly 0."""
    left = project_out(values, basis)
    nothing = np.linalg.norm(left, axis=0) <= ROUNDING * np.linalg.norm(values, axis=0)
    left[:, nothing] = 0.0
    return left


def _each_run(responses: Responses, delays: tuple[int, ...]) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Yield rows of a run, its presentations, and their overlaps in seconds (n_delays, n_rows, n_presentations)."""
    samples, presentations = responses.samples, responses.presentations
    for run in samples.runs:
        here = np.flatnonzero(samples.run == run)
        shown = np.flatnonzero(presentations.run == run)
        onset = presentations.onset[shown]
        stop = onset + presentations.duration[shown]
        start = samples.onset[here]
        t_r = responses.t_r
        shared = [overlaps(start - d * t_r, start - (d - 1) * t_r, onset, stop) for d in delays]
        yield here, shown, np.stack(shared)


def align_spaces(
    spaces: Sequence[FeatureSpace], responses: Responses, *, delays: Sequence[int], centre: bool
) -> tuple[tuple[FeatureSpace, ...], tuple[Exclusion, ...]]:
    """Align all feature spaces, drop constant features, and list what was left out.

    Parameters
    ----------
    spaces : sequence of FeatureSpace
        Feature spaces, one row per stimulus.
    responses : Responses
        Responses of one subject.
    delays : sequence of int
        Delays in volumes, where there is one row per volume.
    centre : bool
        Centre features over each run's rows, where there is one row per presentation.

    Returns
    -------
    spaces : tuple of FeatureSpace
        With the samples of the responses; without those that cannot be aligned, as long as one can.
    exclusions : tuple of Exclusion
        Such spaces, constant features, and stimuli that have features but were not shown.

    Raises
    ------
    EncodingError
        If no space can be aligned.

    Examples
    --------
    >>> from encoding.loading import align_spaces
    >>> spaces, left_out = align_spaces(loaded.described, loaded.responses, delays=(1, 2, 3, 4), centre=True)
    >>> [space.name for space in spaces]
    ['mllm', 'category']
    """
    per_volume = responses.samples.clock == "tr"
    aligned, exclusions = [], []
    failed: list[EncodingError] = []
    for space in spaces:
        try:
            moved = align(space, responses, delays=tuple(delays) if per_volume else None, centre=centre)
            kept, dropped = drop_constant(moved)
        except (AlignmentError, DataError) as error:
            failed.append(error)
            exclusions.append(Exclusion("feature spaces", 1, f"{space.name!r} was left out: {error}"))
            continue
        aligned.append(kept)
        exclusions += [*dropped, *unused_stimuli(space, responses)]
    if failed and not aligned:
        raise failed[0]
    return tuple(aligned), tuple(exclusions)

"""Features in time: one matrix per run or per stimulus, with a row per volume, per frame, or per word."""

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import numpy as np
from annotated_types import Interval

from ..core import ConfigError, DataError, FeatureSpace, Placement, Provenance, Samples, digest, fingerprint, versions
from ..core.settings import Number, OneOf, Positive, Rule, Text, Unit, settings
from ..io.patterns import BRACES, SHORT, check_file_pattern, expression_of, find_files, recording_name
from ..io.series_files import SeriesFile, array_names, read_series
from ..numerics.regrid import METHODS
from .sources import FeatureSource, SourceContext
from .tables import check_precision

Rows = Annotated[int, Interval(ge=0, le=10**9)]


@settings("[[features]]")
class SeriesTable(FeatureSource):
    """One matrix per run or per stimulus: a row per volume, per frame, or per word.

    Examples
    --------
    >>> from encoding.embedding import SeriesTable
    >>> SeriesTable("sound", "features/sound_run-{run}.npy", rate=10).rate
    10
    """

    name: Text
    """Name of the feature space."""
    file: Text
    """Relative to the BIDS folder, with names in braces: ``features/task-{task}_run-{run}.npy`` has a file for each run
    (``subject``, ``session``, ``task``, ``run``, ``acq``, ``dir``, ``rec``; 1 and 01 are equal),
    ``features/{stimulus}.h5`` one for each stimulus of the events, placed at its onset. ``.npy``, ``.npz``, HDF5
    (``.h5``, ``.hdf5``), TSV, CSV or parquet of shape (n_rows, n_features). A column or array ``onset`` in the file, or
    in a TSV of the same name beside a ``.npy`` file, gives every row its time in seconds (words, tokens); with
    ``duration`` or ``end``, 0 without."""
    key: Text | None = None
    """Array of an ``.npz`` or HDF5 file; may be left out if there is one. May have names in braces where one file holds
    all recordings (``"{stimulus}"``)."""
    columns: Annotated[tuple[Text, ...], Rule("a list of one or more columns", bool)] | None = None
    """Features to use; all columns of numbers if left out. For arrays, the names of the features."""
    rate: Annotated[Positive, Unit("Hz")] | None = None
    """Rows per second; if left out, a row is a volume. Not for files with onsets."""
    trim: Annotated[tuple[Rows, Rows], Unit("rows")] = (0, 0)
    """Rows that are left out at the start and at the end of every file."""
    offset: Annotated[Number, Unit("s")] = 0
    """Seconds from the first loaded volume (or the onset of the stimulus) to the first remaining row, or to the time 0
    of onsets."""
    resample: Annotated[str, OneOf(METHODS)] | None = None
    """How rows become volumes. "mean" and "sum": rows weighted by the share of their duration in the volume, counted
    whole where they begin if the duration is 0; "last": the row that begins last in the volume; "lanczos": Lanczos
    interpolation with three lobes, cut off at the Nyquist frequency of volumes, from the middle of rows to the middle
    of volumes. Volumes without rows are 0. Left out: "lanczos" for files with onsets, else "mean"."""
    rest: Annotated[str, OneOf(("error", "zero"))] = "error"
    """Volumes of a run, or of a stimulus, that no row covers: "error" refuses them, "zero" sets their features to 0.
    With onsets, volumes between rows are always 0."""

    def __post_init__(self) -> None:
        """Check the names in braces."""
        names = check_file_pattern(self.file, "file", ("stimulus",))
        names += check_file_pattern(self.key or "", "key", ("stimulus",))
        if not names:
            raise ConfigError(
                f"file is {self.file!r}, which names one file only. Put {{run}}, {{task}}, {{stimulus}}, ... where the "
                f"names of files (or of arrays, in `key`) differ between runs or stimuli."
            )
        if "stimulus" in names and len(set(names)) > 1:
            raise ConfigError(f"file is {self.file!r}: {{stimulus}} is placed by events and goes with no other name.")

    @property
    def keys(self) -> tuple[str, ...]:
        """Names in braces, in a fixed order."""
        names = {*BRACES.findall(self.file), *BRACES.findall(self.key or "")}
        return tuple(name for name in (*SHORT, "stimulus") if name in names)

    def make_space(self, context: SourceContext) -> FeatureSpace:
        """Read all files."""
        return read_recordings(self, context.base)


def read_recordings(source: SeriesTable, base: Path) -> FeatureSpace:
    """Read every recording; on the clock "time"."""
    names: list[str] = []
    parts: list[SeriesFile] = []
    inputs: dict[str, str] = {}
    for values, path, key in _files(source, base):
        part = _trimmed(source, read_series(path, key, source.columns if _has_names(path) else None), path)
        name = recording_name(values)
        if name in names:
            raise DataError(f"Feature space {source.name!r}: {path} is one of several files for {name!r}. Keep one.")
        names.append(name)
        parts.append(part)
        inputs |= {file.as_posix().removeprefix(f"{base.as_posix()}/"): fingerprint(file) for file in part.files}
    timed = _alike(source, names, parts)
    if timed and source.rest == "zero":
        raise ConfigError(f'[[features]] {source.name!r}: rows have onsets; rest = "zero" is for rows at a rate.')
    features = _features(source, parts[0])
    matrix = np.concatenate([np.asarray(part.values) for part in parts])
    if matrix.dtype != np.float32:
        check_precision(matrix, features, f"Feature space {source.name!r}")
    counts = [len(part.values) for part in parts]
    samples = Samples(
        np.repeat(names, counts),
        np.concatenate([_onset(source, part) for part in parts]),
        np.concatenate([_duration(source, part) for part in parts]),
        np.full(sum(counts), "", dtype=str),
        "time",
    )
    resample = source.resample or ("lanczos" if timed else "mean")
    placement = Placement(source.keys, float(source.offset), resample, "onsets" if timed else source.rest)
    shown = dataclasses.asdict(source)
    kept = inputs if len(inputs) <= 3 else {source.file: digest(sorted(inputs.items()))}
    provenance = Provenance("series/1", shown, kept, None, versions())
    return FeatureSpace(source.name, matrix.astype(np.float32), samples, features, provenance, placement)


def _files(source: SeriesTable, base: Path) -> Iterator[tuple[dict[str, str], Path, str | None]]:
    """Yield the recordings: values of the names in braces, file, and array."""
    files = find_files(source.file, base)
    if not files:
        raise DataError(f"Feature space {source.name!r}: no file in {base} is named like {source.file!r}.")
    for values, path in files:
        if source.key is None or not BRACES.search(source.key):
            yield values, path, source.key
            continue
        expression = expression_of(source.key)
        found = [match for name in array_names(path) if (match := expression.fullmatch(name))]
        if not found:
            raise DataError(f"{path}: no array is named like key = {source.key!r}.")
        for match in found:
            yield values | match.groupdict(), path, match[0]


def _has_names(path: Path) -> bool:
    return path.suffix in (".tsv", ".csv", ".parquet")


def _trimmed(source: SeriesTable, found: SeriesFile, path: Path) -> SeriesFile:
    first, last = source.trim
    if found.onset is not None and source.rate is not None:
        raise DataError(f"{path}: its rows have onsets, so that rate = {source.rate} Hz contradicts them. Remove one.")
    kept = slice(first, len(found.values) - last)
    if first + last >= len(found.values):
        raise DataError(f"{path}: trim = [{first}, {last}] leaves nothing of its {len(found.values)} rows.")
    return dataclasses.replace(
        found,
        values=found.values[kept],
        onset=None if found.onset is None else found.onset[kept],
        duration=None if found.duration is None else found.duration[kept],
    )


def _alike(source: SeriesTable, names: list[str], parts: list[SeriesFile]) -> bool:
    """Refuse recordings of different features; return True if rows have onsets."""
    first = parts[0]
    for name, part in zip(names, parts, strict=True):
        where = f"Feature space {source.name!r}: {part.files[0]}"
        if part.values.shape[1] != first.values.shape[1] or part.features != first.features:
            raise DataError(
                f"{where} has {part.values.shape[1]} features, but {first.files[0]} has {first.values.shape[1]}"
                f"{' of other names or in another order' if part.values.shape[1] == first.values.shape[1] else ''}. "
                f"All recordings need the same."
            )
        if (part.onset is None) != (first.onset is None):
            raise DataError(f"{where} ({name}) and {first.files[0]}: one has onsets and the other none.")
    return first.onset is not None


def _features(source: SeriesTable, part: SeriesFile) -> tuple[str, ...]:
    if part.features is not None:
        return part.features
    n = part.values.shape[1]
    features = source.columns or tuple(f"{source.name}_{i + 1}" for i in range(n))
    if len(features) != n:
        raise DataError(f"{part.files[0]}: {n} features, but `columns` names {len(features)}.")
    return features


def _onset(source: SeriesTable, part: SeriesFile) -> np.ndarray:
    if part.onset is not None:
        return part.onset
    return np.arange(len(part.values)) / source.rate if source.rate else np.full(len(part.values), np.nan)


def _duration(source: SeriesTable, part: SeriesFile) -> np.ndarray:
    if part.duration is not None:
        return part.duration
    return np.full(len(part.values), 1 / source.rate if source.rate else np.nan)

"""Feature spaces that are there already: human ratings, embeddings of a model, annotations."""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated

import numpy as np
import pandas as pd

from ..core import (
    AlignmentError,
    DataError,
    FeatureSpace,
    Provenance,
    Samples,
    digest,
    fingerprint,
    fingerprint_array,
    suggest,
    versions,
)
from ..core.arrays import composed
from ..core.settings import Count, Rule, Text, distinct, settings
from ..io.arrays import open_npy
from ..io.fetched import absent, require_fetched
from ..io.store import DESCRIPTION, load
from ..io.tables import STIMULUS_COLUMNS, numbers_of, read_table, require_no_row_numbers, stimulus_column
from .sources import FeatureSource, SourceContext

# Stimulus ids of the emotion-video study, which is what such files are released for.
RELEASED = 2196
# Rounding above this part of half the range of a feature is no longer negligible.
LOST = 1e-3


@settings("[[features]]")
class FeatureTable(FeatureSource):
    """A table with one row per stimulus and one column per feature."""

    name: Text
    """Name of the feature space."""
    file: Text
    """Relative to the BIDS folder: TSV, CSV or parquet with a stimulus column; ``.npy`` of shape
    (n_stimuli, n_features) beside a ``.txt`` or ``.tsv`` of the same name that lists the stimuli; a folder into which a
    `FeatureSpace` was saved; a MATLAB ``.mat`` file with a struct ``L`` of ``feat`` and ``featname``, whose row i
    belongs to stimulus "i"; or a folder with one such file per stimulus, named after it, with a vector ``feat`` (bdpy's
    layout)."""
    stimulus: Text | None = None
    """Column that names the stimulus; the first of stim_id, stimulus, stim_file, ... if left out."""
    columns: Annotated[tuple[Text, ...], Rule("a list of one or more columns", bool)] | None = None
    """Features to use; all other columns if left out. For a ``.npy`` file and for files per stimulus, the names of the
    features."""
    rows: Count | None = None
    """Number of stimuli that the file must have; any if left out, but 2,196 for a ``.mat`` file, in which only the
    position of a row says which stimulus it is."""

    def check(self, base: Path) -> None:
        """Read the file, which is small beside everything that follows."""
        embed(self, base)

    def make_space(self, context: SourceContext) -> FeatureSpace:
        """Read the file."""
        return embed(self, context.base)


def embed(source: FeatureTable, base: str | Path) -> FeatureSpace:
    """Read a feature space.

    Parameters
    ----------
    source : FeatureTable
        What to read.
    base : str or Path
        Folder that its file is relative to.

    Returns
    -------
    FeatureSpace
        On the clock "none": one row per stimulus.

    Raises
    ------
    DataError
        If the file is missing or damaged, a column is missing or not numeric, a value is missing, or a stimulus
        has several rows; the message names it.
    """
    path = Path(base) / source.file
    if path.is_dir() and (path / DESCRIPTION).is_file():
        return _saved(source, path)
    if path.is_dir():
        names, values, features, files = _folder(source, path)
    elif not path.is_file():
        if path.is_symlink():
            raise absent(path)
        raise DataError(f"Feature space {source.name!r}: no file {path} ({source.file!r} in {base}).")
    else:
        require_fetched([path], f"Feature space {source.name!r}")
        read = {".npy": _array, ".mat": _struct}.get(path.suffix, _table)
        names, values, features, files = read(source, path)
    empty = np.flatnonzero(names == "")
    if len(empty):
        raise DataError(f"{path}: row {empty[0] + 1} has no stimulus ({len(empty)} such rows).")
    _check(source, path, names, values, features)
    inputs = (
        {path.name: digest([fingerprint(file) for file in files])}
        if len(files) > 2
        else {file.name: fingerprint(file) for file in files}
    )
    provenance = Provenance("table/1", dataclasses.asdict(source), inputs, None, versions())
    return FeatureSpace(source.name, values, Samples.of_stimuli(names), features, provenance)


def _table(source: FeatureTable, path: Path) -> tuple[np.ndarray, np.ndarray, tuple[str, ...], tuple[Path, ...]]:
    where = str(path)
    texts = (*STIMULUS_COLUMNS, source.stimulus) if source.stimulus else STIMULUS_COLUMNS
    frame = read_table(path, text=texts)
    stimulus = stimulus_column([str(name) for name in frame.columns], source.stimulus, where)
    features = source.columns or tuple(name for name in frame.columns if name != stimulus)
    if not features:
        raise DataError(f"{where}: no column beside {stimulus!r}; at least one feature is needed.")
    if source.columns is None:
        require_no_row_numbers(frame, where)
    for name in features:
        if name not in frame.columns:
            raise DataError(
                f"{where}: no column {name!r} for feature space {source.name!r}. {suggest(name, frame.columns)}"
            )
    try:
        values = np.stack([numbers_of(frame, name, where) for name in features], axis=1)
    except DataError as error:
        advice = "" if source.columns else " List the features in `columns` to leave out other columns."
        raise DataError(f"{error}{advice}") from error
    return frame[stimulus].to_numpy(dtype=str), values, features, (path,)


def _array(source: FeatureTable, path: Path) -> tuple[np.ndarray, np.ndarray, tuple[str, ...], tuple[Path, ...]]:
    values = np.asarray(open_npy(path))
    if values.ndim != 2 or values.dtype.kind not in "fiub":
        raise DataError(
            f"{path}: shape {values.shape} of {values.dtype}, but numbers (n_stimuli, n_features) were needed."
        )
    beside = [path.with_suffix(suffix) for suffix in (".txt", ".tsv") if path.with_suffix(suffix).is_file()]
    if len(beside) != 1:
        raise DataError(
            f"{path}: {len(beside)} of {path.stem}.txt (one stimulus per line) and {path.stem}.tsv (with a "
            f"stimulus column) lie beside it; exactly one is needed to name its rows."
        )
    if beside[0].suffix == ".txt":
        names = _lines(beside[0])
    else:
        frame = read_table(beside[0], text=(*STIMULUS_COLUMNS, source.stimulus or ""))
        column = stimulus_column([str(name) for name in frame.columns], source.stimulus, str(beside[0]))
        names = frame[column].tolist()
    features = source.columns or tuple(f"{source.name}_{i + 1}" for i in range(values.shape[1]))
    if (len(names), len(features)) != values.shape:
        raise DataError(
            f"{path}: shape {values.shape}, but {beside[0].name} names {len(names)} stimuli and there are "
            f"{len(features)} feature names."
        )
    return np.asarray(names, dtype=str), values.astype(np.float64), features, (path, beside[0])


def _lines(path: Path) -> list[str]:
    """Read a list of names, one a line."""
    try:
        content = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: cannot be read as a list of stimuli ({error}). Save it as UTF-8 text.") from error
    return [line.strip() for line in content.split("\n") if line.strip()]


def _struct(source: FeatureTable, path: Path) -> tuple[np.ndarray, np.ndarray, tuple[str, ...], tuple[Path, ...]]:
    from ..io.released_features import read_feature_struct  # with h5py and SciPy, which few configurations need

    values, features = read_feature_struct(path)
    names = np.asarray([str(number) for number in range(1, len(values) + 1)], dtype=str)
    if source.columns is not None:
        for name in source.columns:
            if name not in features:
                raise DataError(f"{path}: no feature {name!r}. {suggest(name, features)}")
        values, features = values[:, [features.index(name) for name in source.columns]], source.columns
    return names, values, features, (path,)


def _folder(source: FeatureTable, path: Path) -> tuple[np.ndarray, np.ndarray, tuple[str, ...], tuple[Path, ...]]:
    from ..io.released_features import read_feature_folder

    names, values, files = read_feature_folder(path)
    features = source.columns or tuple(f"{source.name}_{i + 1}" for i in range(values.shape[1]))
    if len(features) != values.shape[1]:
        raise DataError(f"{path}: {values.shape[1]} features per stimulus, but `columns` names {len(features)}.")
    return np.asarray(names, dtype=str), values, features, files


def _saved(source: FeatureTable, path: Path) -> FeatureSpace:
    space = load(path)
    if not isinstance(space, FeatureSpace):
        raise DataError(f"{path}: holds a {type(space).__name__}, but a FeatureSpace was needed.")
    if space.samples.clock != "none":
        raise DataError(f"{path}: is on the clock {space.samples.clock!r}; one row per stimulus was needed.")
    if source.columns is None:
        return dataclasses.replace(space, name=source.name)
    for name in source.columns:
        if name not in space.features:
            raise DataError(f"{path}: no feature {name!r}. {suggest(name, space.features)}")
    chosen = [space.features.index(name) for name in source.columns]
    return dataclasses.replace(space, name=source.name, values=space.values[:, chosen], features=source.columns)


def _check(source: FeatureTable, path: Path, names: np.ndarray, values: np.ndarray, features: tuple[str, ...]) -> None:
    where = f"Feature space {source.name!r} ({path})"
    wanted = RELEASED if source.rows is None and path.suffix == ".mat" else source.rows
    if wanted is not None and len(names) != wanted:
        raise DataError(
            f"{where}: {len(names)} stimuli, but {wanted} were needed"
            f"{'' if source.rows else '; rows of a .mat file are stimulus ids. Set `rows` if it holds other stimuli'}."
        )
    if not values.size:
        raise DataError(f"{where}: {values.shape[0]} stimuli and {values.shape[1]} features; at least one is needed.")
    series = pd.Series(composed(names))
    repeated = series[series.duplicated()].unique()
    if len(repeated):
        shown = ", ".join(repr(str(name)) for name in repeated[:5])
        raise DataError(f"{where}: {len(repeated)} stimuli have more than one row ({shown}). Keep one each.")
    bad = ~np.isfinite(values)
    if bad.any():
        row, column = np.argwhere(bad)[0]
        raise DataError(
            f"{where}: {bad.sum()} values are missing or not finite; the first is {features[column]!r} of "
            f"{str(names[row])!r}. Fill them, or leave the rows or columns out."
        )
    _check_precision(values, features, where)


def _check_precision(values: np.ndarray, features: tuple[str, ...], where: str) -> None:
    """Refuse columns whose variation is lost in float32, such as seconds since 1970."""
    spread = np.ptp(values, axis=0) / 2
    with np.errstate(over="ignore"):
        kept = values.astype(np.float32).astype(np.float64)
    lost = ~np.isfinite(kept).all(axis=0) | (np.abs(kept - values).max(axis=0) > LOST * spread)
    lost &= spread > 0
    if lost.any():
        column = int(np.flatnonzero(lost)[0])
        raise DataError(
            f"{where}: {lost.sum()} features cannot be held in float32, the first is {features[column]!r}: it runs "
            f"from {values[:, column].min():.9g} to {values[:, column].max():.9g}. Subtract a constant from "
            f"the column, or change its unit."
        )


def _several(names: tuple[str, ...]) -> bool:
    return len(names) > 1 and distinct(names)


@settings("[[features]]")
class ConcatTable(FeatureSource):
    """Feature spaces side by side, as one space with one penalty."""

    name: Text
    """Name of the feature space."""
    spaces: Annotated[tuple[Text, ...], Rule("a list of two or more different feature spaces", _several)]
    """Two or more other spaces of ``[[features]]``. All must have the same stimuli; rows are matched by name."""

    def needs(self) -> Mapping[str, tuple[str, ...]]:
        """Need all parts."""
        return {"spaces": self.spaces}

    def make_space(self, context: SourceContext) -> FeatureSpace:
        """Concatenate the parts."""
        return concatenate(self, context.spaces)


def concatenate(source: ConcatTable, known: Mapping[str, FeatureSpace]) -> FeatureSpace:
    """Concatenate feature spaces along features.

    Parameters
    ----------
    source : ConcatTable
        Which.
    known : mapping of str to FeatureSpace
        Spaces on the clock "none".

    Returns
    -------
    FeatureSpace
        Stimuli in the order of the first space. Features keep their names; those that occur in several spaces get the
        name of the space in front ("category.Fear").

    Raises
    ------
    AlignmentError
        If spaces have different stimuli.
    """
    parts = [known[name] for name in source.spaces]
    first = parts[0]
    stimuli = first.samples.stimulus
    for part in parts[1:]:
        _same_stimuli(source, first, part)
    values = [part.values[_order(part.samples.stimulus, stimuli)] for part in parts]
    inputs = {part.name: digest([fingerprint_array(part.values), part.features, part.provenance.key]) for part in parts}
    provenance = Provenance("concat/1", {"name": source.name, "spaces": source.spaces}, inputs, None, versions())
    return FeatureSpace(
        source.name, np.concatenate(values, axis=1), Samples.of_stimuli(stimuli), _names(parts), provenance
    )


def _names(parts: Sequence[FeatureSpace]) -> tuple[str, ...]:
    every = [feature for part in parts for feature in part.features]
    return tuple(
        feature if every.count(feature) == 1 else f"{part.name}.{feature}"
        for part in parts
        for feature in part.features
    )


def _order(have: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    order = np.argsort(have)
    return order[np.searchsorted(have, wanted, sorter=order)]


def _same_stimuli(source: ConcatTable, a: FeatureSpace, b: FeatureSpace) -> None:
    for one, other in ((a, b), (b, a)):
        missing = np.setdiff1d(one.samples.stimulus, other.samples.stimulus)
        if len(missing):
            raise AlignmentError(
                f"[[features]] {source.name!r}: {len(missing)} stimuli of {one.name!r} are not in {other.name!r}, the "
                f"first is {str(missing[0])!r}; all spaces of a concat need the same stimuli."
            )

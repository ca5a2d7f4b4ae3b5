"""Feature spaces that are there already: human ratings, embeddings of a model, annotations."""

import dataclasses
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated

import numpy as np
import pandas as pd

from ..core import (
    AlignmentError,
    ConfigError,
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
from ..core.settings import Count, OneOf, Rule, Text, distinct, settings
from ..core.words import count
from ..io.embeddings import SUFFIXES, read_embeddings
from ..io.fetched import absent, require_fetched
from ..io.store import DESCRIPTION, load
from ..io.tables import (
    STIMULUS_COLUMNS,
    numbers_of,
    read_names,
    read_table,
    require_no_row_numbers,
    require_plain_names,
    stimulus_column,
)
from .sources import FeatureSource, SourceContext

# Stimulus ids of the emotion-video study, which is what such files are released for.
RELEASED = 2196
FILLS = ("no", "mean")
# Rounding above this part of half the range of a feature is no longer negligible.
LOST = 1e-3


Layers = Annotated[tuple[Text, ...], Rule("a list of layers, each once,", distinct)]


@settings("[[features]]")
class FeatureTable(FeatureSource):
    """A table with one row per stimulus and one column per feature.

    Examples
    --------
    >>> from encoding.embedding import FeatureTable
    >>> FeatureTable("mllm", "stimuli/feature-mllm.tsv").name
    'mllm'
    """

    name: Text
    """Name of the feature space."""
    file: Text
    """Relative to the BIDS folder: TSV, CSV or parquet with a stimulus column; an array (n_stimuli, n_features) in
    ``.npy``, ``.npz``, ``.pt``, ``.safetensors`` or ``.h5``, with a list "stimuli" inside or beside a ``.txt`` or
    ``.tsv`` of the same name that lists them; one vector per stimulus in such a file, named after it; a folder into
    which a `FeatureSpace` was saved; a MATLAB ``.mat`` file with a struct ``L`` of ``feat`` and ``featname``, whose row
    i belongs to stimulus "i"; or a folder with one such file per stimulus, named after it, with a vector ``feat``
    (bdpy's layout)."""
    stimulus: Text | None = None
    """Column that names the stimulus; the first of stim_id, stimulus, stim_file, ... if left out."""
    columns: Annotated[tuple[Text, ...], Rule("a list of one or more columns", bool)] | None = None
    """Features to use; all other columns if left out. For arrays and for files per stimulus, the names of the
    features. In parquet, a column may hold a list of numbers in every row; each number is a feature then."""
    layer: Text | None = None
    """Which array of a file of several, or which column of lists in parquet."""
    layers: Layers | None = None
    """Several arrays of one file, each a feature space of its own: ``layers = ["conv1", "fc6"]`` of a space "net" makes
    the spaces "net_conv1" and "net_fc6"."""
    fill: Annotated[str, OneOf(FILLS)] = "no"
    """What to do about stimuli that were shown but have no row, or a row with missing values. "no": raise an error.
    "mean": use the mean of the other stimuli of the table; the report says for how many."""
    rows: Count | None = None
    """Number of stimuli that the file must have; any if left out, but 2,196 for a ``.mat`` file, in which only the
    position of a row says which stimulus it is."""

    def __post_init__(self) -> None:
        """Check rules across fields."""
        if self.layer is not None and self.layers is not None:
            raise ConfigError(f"feature space {self.name!r}: `layer` and `layers` are both given; keep one.")

    def split(self) -> tuple[FeatureSource, ...]:
        """Make a source of every layer.

        Returns
        -------
        tuple of FeatureTable
            One per layer; itself if no layers are named.
        """
        if self.layers is None:
            return (self,)
        names = [re.sub(r"[^A-Za-z0-9]+", "_", layer).strip("_") for layer in self.layers]
        if len(set(names)) < len(names):
            raise ConfigError(
                f"feature space {self.name!r}: layers {', '.join(self.layers)} differ in characters only that names "
                f"of spaces cannot have. Make a [[features]] table of each, with `layer`."
            )
        return tuple(
            dataclasses.replace(self, name=f"{self.name}_{name}", layer=layer, layers=None)
            for name, layer in zip(names, self.layers, strict=True)
        )

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

    Examples
    --------
    >>> from encoding.embedding import FeatureTable, embed
    >>> embed(FeatureTable("mllm", "stimuli/feature-mllm.tsv"), "my_study")
    FeatureSpace('mllm', 30 features, Samples(38 rows, clock 'none'))
    """
    path = Path(base) / source.file
    if "{" in source.file and not path.exists():
        raise DataError(
            f"Feature space {source.name!r}: file = {source.file!r} has names in braces, which a table with one row "
            f'per stimulus has not. Set kind = "series" for one matrix per run or per stimulus.'
        )
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
        readers = {".mat": _struct} | dict.fromkeys(SUFFIXES, _array)
        names, values, features, files = readers.get(path.suffix.lower(), _table)(source, path)
    empty = np.flatnonzero(names == "")
    if len(empty):
        raise DataError(f"{path}: row {empty[0] + 1} has no stimulus ({count(len(empty))}).")
    if source.fill != "no":
        whole = np.isfinite(values).all(axis=1)
        if not whole.any():
            raise DataError(f"{path}: every stimulus of feature space {source.name!r} has missing values.")
        names, values = names[whole], values[whole]
    _check(source, path, names, values, features)
    inputs = (
        {path.name: digest([fingerprint(file) for file in files])}
        if len(files) > 2
        else {file.name: fingerprint(file) for file in files}
    )
    added = {"layer": None, "layers": None, "fill": "no"}
    config = {
        name: value for name, value in dataclasses.asdict(source).items() if name not in added or value != added[name]
    }
    provenance = Provenance("table/1", config, inputs, None, versions())
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
        require_no_row_numbers(frame, where, stimulus)
    for name in features:
        if name not in frame.columns:
            raise DataError(
                f"{where}: no column {name!r} for feature space {source.name!r}. {suggest(name, frame.columns)}"
            )
    lists = [name for name in features if _holds_lists(frame[name])]
    if source.layer is not None and source.layer not in lists:
        raise DataError(f"{where}: no column {source.layer!r} of lists. {suggest(source.layer, lists)}")
    if lists:
        return frame[stimulus].to_numpy(dtype=str), *_listed(source, frame, lists, where), (path,)
    try:
        values = np.stack([numbers_of(frame, name, where) for name in features], axis=1)
    except DataError as error:
        advice = "" if source.columns else " List the features in `columns` to leave out other columns."
        raise DataError(f"{error}{advice}") from error
    return frame[stimulus].to_numpy(dtype=str), values, features, (path,)


def _holds_lists(column: pd.Series) -> bool:
    """Return True if the cells of a column are lists or arrays; empty cells are allowed."""
    cells = column.dropna()
    return (
        column.dtype == object and len(cells) > 0 and all(isinstance(cell, list | tuple | np.ndarray) for cell in cells)
    )


def _listed(
    source: FeatureTable, frame: pd.DataFrame, lists: Sequence[str], where: str
) -> tuple[np.ndarray, tuple[str, ...]]:
    """Spread a column of lists over one column per number."""
    column = source.layer or lists[0]
    if len(lists) > 1 and source.layer is None:
        raise DataError(
            f"{where}: columns {', '.join(lists)} hold lists. Say which with `layer`, or several with `layers`."
        )
    rows = [None if cell is None or cell is pd.NA else np.asarray(cell) for cell in frame[column]]
    shapes = {row.shape for row in rows if row is not None and row.ndim}
    if len(shapes) != 1 or len(next(iter(shapes))) != 1:
        raise DataError(f"{where}: lists in {column!r} have shapes {sorted(shapes)[:3]}; all need as many numbers.")
    (n,) = next(iter(shapes))
    values = np.full((len(rows), n), np.nan)
    for number, row in enumerate(rows):
        if row is not None and row.ndim:
            values[number] = row
    return values, tuple(f"{column}_{i + 1}" for i in range(n))


def _array(source: FeatureTable, path: Path) -> tuple[np.ndarray, np.ndarray, tuple[str, ...], tuple[Path, ...]]:
    values, inside = read_embeddings(path, source.layer)
    files: tuple[Path, ...] = (path,)
    beside = [path.with_suffix(suffix) for suffix in (".txt", ".tsv") if path.with_suffix(suffix).is_file()]
    if inside is None and len(beside) != 1:
        raise DataError(
            f"{path}: {len(beside)} of {path.stem}.txt (one stimulus per line) and {path.stem}.tsv (with a "
            f"stimulus column) lie beside it; exactly one is needed to name its rows."
        )
    if inside is not None:
        names, lister = list(inside), "its own list"
    elif beside[0].suffix == ".txt":
        names = read_names(beside[0])
        lister, files = beside[0].name, (path, beside[0])
    else:
        frame = read_table(beside[0], text=(*STIMULUS_COLUMNS, source.stimulus or ""))
        column = stimulus_column([str(name) for name in frame.columns], source.stimulus, str(beside[0]))
        names = frame[column].tolist()
        lister, files = beside[0].name, (path, beside[0])
    features = source.columns or tuple(f"{source.name}_{i + 1}" for i in range(values.shape[1]))
    if (len(names), len(features)) != values.shape:
        raise DataError(
            f"{path}: shape {values.shape}, but {lister} names {count(len(names), 'stimulus', 'stimuli')} and "
            f"{count(len(features), 'name of a feature is', 'names of features are')} given."
        )
    return np.asarray(names, dtype=str), values, features, files


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
        raise DataError(
            f"{path}: {count(values.shape[1], 'feature')} per stimulus, but `columns` names {len(features)}."
        )
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
            f"{where}: {count(len(names), 'stimulus', 'stimuli')}, but {wanted} {'was' if wanted == 1 else 'were'} "
            f"needed"
            f"{'' if source.rows else '; rows of a .mat file are stimulus ids. Set `rows` if it holds other stimuli'}."
        )
    if not values.size:
        raise DataError(
            f"{where}: {count(len(values), 'stimulus', 'stimuli')} and {count(values.shape[1], 'feature')}; at least "
            f"one is needed."
        )
    require_plain_names(names.tolist(), where)
    series = pd.Series(composed(names))
    repeated = series[series.duplicated()].unique()
    if len(repeated):
        shown = ", ".join(repr(str(name)) for name in repeated[:5])
        raise DataError(
            f"{where}: {count(len(repeated), 'stimulus has', 'stimuli have')} more than one row ({shown}). Keep one "
            f"each."
        )
    bad = ~np.isfinite(values)
    if bad.any():
        row, column = np.argwhere(bad)[0]
        raise DataError(
            f"{where}: {count(int(bad.sum()), 'value is', 'values are')} missing or not finite; the first is "
            f"{features[column]!r} of {str(names[row])!r}. Fill them, leave the rows or columns out, or set "
            f'fill = "mean".'
        )
    check_precision(values, features, where)


def check_precision(values: np.ndarray, features: tuple[str, ...], where: str, what: str = "feature") -> None:
    """Refuse columns whose variation is lost in float32, such as seconds since 1970."""
    spread = np.ptp(values, axis=0) / 2
    with np.errstate(over="ignore"):
        kept = values.astype(np.float32).astype(np.float64)
    lost = ~np.isfinite(kept).all(axis=0) | (np.abs(kept - values).max(axis=0) > LOST * spread)
    lost &= spread > 0
    if lost.any():
        column = int(np.flatnonzero(lost)[0])
        raise DataError(
            f"{where}: {count(int(lost.sum()), what)} cannot be held in float32, the first is {features[column]!r}: it "
            f"runs from {values[:, column].min():.9g} to {values[:, column].max():.9g}. Subtract a constant from "
            f"the column, or change its unit."
        )


def _several(names: tuple[str, ...]) -> bool:
    return len(names) > 1 and distinct(names)


@settings("[[features]]")
class ConcatTable(FeatureSource):
    """Feature spaces side by side, as one space with one penalty.

    Examples
    --------
    >>> from encoding.embedding import ConcatTable
    >>> ConcatTable("both", ("mllm", "category")).spaces
    ('mllm', 'category')
    """

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

    Examples
    --------
    >>> from encoding.embedding import ConcatTable, concatenate
    >>> known = {space.name: space for space in loaded.described}
    >>> concatenate(ConcatTable("both", ("mllm", "category")), known)
    FeatureSpace('both', 64 features, Samples(38 rows, clock 'none'))
    """
    parts = [known[name] for name in source.spaces]
    first = parts[0]
    for part in parts:
        if part.samples.clock != "none":
            raise AlignmentError(
                f"[[features]] {source.name!r}: {part.name!r} has many rows per recording; only spaces with one row "
                f"per stimulus can be concatenated. Make it a band of a banded ridge, or one file."
            )
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
            what = count(len(missing), "stimulus", "stimuli")
            raise AlignmentError(
                f"[[features]] {source.name!r}: {what} of {one.name!r} {'is' if len(missing) == 1 else 'are'} not in "
                f"{other.name!r}, the first is {str(missing[0])!r}; all spaces of a concat need the same stimuli."
            )

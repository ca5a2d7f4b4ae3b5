"""Judgments computed from a table of ratings: the two most similar stimuli belong together, the third is odd."""

from collections.abc import Sequence
from dataclasses import KW_ONLY
from pathlib import Path
from typing import Annotated

import numpy as np

from ..core import DataError
from ..core.settings import Rule, Text, settings
from .computed import Computed, ComputedAnnotator
from .contents import Contents


@settings("[[annotator]]")
class Cosine(Computed):
    """An annotator that compares stimuli by the rows of a table of ratings.

    Examples
    --------
    >>> from encoding.collection import Cosine
    >>> Cosine("ratings.tsv", temperature=0.1).metric
    'cosine'
    """

    file: Text
    """Table of ratings: a stimulus column and one column per rating."""
    _: KW_ONLY
    stimulus: Text | None = None
    """Column that names the stimulus; the first of the usual names if left out."""
    columns: Annotated[tuple[Text, ...], Rule("a list of one or more columns", bool)] | None = None
    """Ratings to use; all other columns if left out."""
    name: Text = "cosine"
    """Name of the annotator in tables."""

    def open(self, contents: Contents, base: str | Path = ".") -> ComputedAnnotator:
        """Read the ratings.

        Parameters
        ----------
        contents : Contents
            Names the stimuli.
        base : str or Path, optional
            Folder that the file is relative to.

        Returns
        -------
        ComputedAnnotator
            Ready to be asked.
        """
        ratings = read_ratings(Path(base) / self.file, contents.stimuli, self.stimulus, self.columns)
        return ComputedAnnotator(self, "cosine", ratings)


def read_ratings(
    path: Path, stimuli: Sequence[str], stimulus: str | None = None, columns: Sequence[str] | None = None
) -> np.ndarray:
    """Read a table of ratings, one row per stimulus of the plan."""
    names, values = _saved(path) if path.is_dir() else _table(path, stimulus, columns)
    place = {name: row for row, name in enumerate(names)}
    if len(place) < len(names):
        raise DataError(f"{path}: {len(names) - len(place)} stimuli have more than one row. Keep one each.")
    missing = [name for name in stimuli if name not in place]
    if missing:
        raise DataError(f"{path}: {len(missing)} of {len(stimuli)} stimuli have no row, the first is {missing[0]!r}.")
    values = values[[place[name] for name in stimuli]]
    if not np.isfinite(values).all():
        row = int(np.flatnonzero(~np.isfinite(values).all(axis=1))[0])
        raise DataError(f"{path}: a rating of {stimuli[row]!r} is missing.")
    return values


def _table(path: Path, stimulus: str | None, columns: Sequence[str] | None) -> tuple[list[str], np.ndarray]:
    from ..io.tables import (
        STIMULUS_COLUMNS,
        numbers_of,
        read_table,
        require_no_row_numbers,
        require_plain_names,
        stimulus_column,
    )

    frame = read_table(path, text=(*STIMULUS_COLUMNS, stimulus or ""))
    column = stimulus_column([str(name) for name in frame.columns], stimulus, str(path))
    require_plain_names(frame[column].tolist(), str(path))
    if not columns:
        require_no_row_numbers(frame, str(path), column)
    wanted = list(columns) if columns else [name for name in frame.columns if name != column]
    values = np.stack([numbers_of(frame, name, str(path)) for name in wanted], axis=1)
    return frame[column].tolist(), values


def _saved(path: Path) -> tuple[list[str], np.ndarray]:
    from ..core import FeatureSpace
    from ..io.store import load

    space = load(path)
    if not isinstance(space, FeatureSpace) or space.samples.clock != "none":
        raise DataError(f"{path}: a saved feature space with one row per stimulus was needed.")
    return space.samples.stimulus.tolist(), np.asarray(space.values, dtype=np.float64)

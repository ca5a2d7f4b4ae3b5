"""Lists of stimuli that come with the package."""

from importlib import resources
from pathlib import Path

import numpy as np

from ..core import DataError, StimulusSet, suggest
from .tables import read_table

# Name of a list: file, and whether a pair that is only suspected to be the same video counts as one.
LISTS = {"cowen2017": ("cowen2017.tsv", False), "cowen2017-2180": ("cowen2017.tsv", True)}


def list_path(name: str) -> Path:
    """Find the file of a shipped list."""
    if name not in LISTS:
        raise DataError(f"There is no stimulus list {name!r}. {suggest(name, LISTS)}")
    return Path(str(resources.files(__package__) / "lists" / LISTS[name][0]))


def read_list(name: str) -> StimulusSet:
    """Read a shipped list of stimuli."""
    path = list_path(name)
    columns = ("stimulus", "file", "duplicate_of", "reason", "suggested_duplicate_of")
    frame = read_table(path, text=columns)
    original = frame["duplicate_of"].to_numpy(dtype=str)
    if LISTS[name][1]:
        suggested = frame["suggested_duplicate_of"].to_numpy(dtype=str)
        original = np.where(original == "", suggested, original)
    n = len(frame)
    empty = np.full(n, "", dtype=str)
    return StimulusSet(frame["stimulus"].to_numpy(dtype=str), empty, np.full(n, np.nan), original, empty, closed=True)

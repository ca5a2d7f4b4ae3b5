"""Files that the settings name."""

from pathlib import Path

from ..core import DataError, StimulusSet
from ..io.bids.runs import BidsIndex
from ..io.stimulus_lists import LISTS, list_path, read_list
from ..io.tables import read_stimuli


def dataset_path(index: BidsIndex, path: str, subject: str) -> Path:
    """Find a file that the settings name.

    Parameters
    ----------
    index : BidsIndex
        The dataset.
    path : str
        Relative to the BIDS folder; ``{subject}`` stands for the label.
    subject : str
        The label.

    Returns
    -------
    Path
        An existing file.

    Raises
    ------
    DataError
        If it does not exist.
    """
    full = index.bids_dir / path.replace("{subject}", subject)
    if not full.is_file():
        raise DataError(f"{full}: no such file ({path!r} in [load], relative to the BIDS folder).")
    return full


def stimuli_path(index: BidsIndex, name: str, subject: str) -> Path:
    """Find the table of stimuli that the settings name.

    Parameters
    ----------
    index : BidsIndex
        The dataset.
    name : str
        A list that comes with the package, or a file as of `dataset_path`.
    subject : str
        The label.

    Returns
    -------
    Path
        An existing file.
    """
    return list_path(name) if name in LISTS else dataset_path(index, name, subject)


def stimuli_of(index: BidsIndex, name: str | None, subject: str) -> StimulusSet | None:
    """Read the table of stimuli that the settings name.

    Parameters
    ----------
    index : BidsIndex
        The dataset.
    name : str or None
        As of `stimuli_path`; None or "none" for no table.
    subject : str
        The label.

    Returns
    -------
    StimulusSet or None
        None without a table.
    """
    if name in (None, "none"):
        return None
    return read_list(name) if name in LISTS else read_stimuli(dataset_path(index, name, subject))

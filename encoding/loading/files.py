"""Files that the settings name."""

from pathlib import Path

from ..core import DataError
from ..io.runs import BidsIndex


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

"""Responses per trial that were estimated elsewhere."""

from pathlib import Path

from ..core import DataError, Responses
from ..io.bids import BidsIndex
from .loader import Loader


def load_betas(loader: Loader, index: BidsIndex, subject: str, folder: Path) -> Responses:
    """Load betas."""
    raise DataError(f"{loader} {index} {subject} {folder}")

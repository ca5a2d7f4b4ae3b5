"""BIDS and fMRIPrep files to responses, and features to the clock of the responses."""

from .align import align, drop_constant, stimuli_of_rows, unused_stimuli
from .loader import Loader
from .responses import find_runs, load_responses
from .spaces import align_spaces

__all__ = [
    "Loader",
    "align",
    "align_spaces",
    "drop_constant",
    "find_runs",
    "load_responses",
    "stimuli_of_rows",
    "unused_stimuli",
]

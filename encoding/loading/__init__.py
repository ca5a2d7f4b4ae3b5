"""BIDS and fMRIPrep files to responses, and features to the clock of the responses."""

from typing import TYPE_CHECKING

from ..core.lazy import lazy_names

if TYPE_CHECKING:
    from .align import align, align_spaces, drop_constant, stimuli_of_rows, unused_stimuli
    from .bdata_files import bdata_subjects, first_bdata_file
    from .loader import LOADERS, Betas, Blocks, Loader, Scans
    from .names import match_stimuli
    from .responses import find_runs, load_responses, require_files
    from .series import name_recordings
else:
    __getattr__ = lazy_names(__name__)

__all__ = [
    "LOADERS",
    "Betas",
    "Blocks",
    "Loader",
    "Scans",
    "align",
    "align_spaces",
    "bdata_subjects",
    "drop_constant",
    "find_runs",
    "first_bdata_file",
    "load_responses",
    "match_stimuli",
    "name_recordings",
    "require_files",
    "stimuli_of_rows",
    "unused_stimuli",
]

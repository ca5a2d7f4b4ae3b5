"""The atlases that a study names, wherever they come from."""

from pathlib import Path

from ..core import Atlas
from ..io.atlases.catalogue import load_atlas, load_bdata_atlas, load_dseg
from ..loading import first_bdata_file
from ..mapping import BDATA, SEGMENTATIONS
from .jobs import Job


def load_named_atlas(job: Job, name: str, path: Path | str, space: str) -> Atlas:
    """Load one of the atlases that `choose_atlases` chose.

    Parameters
    ----------
    job : Job
        Study and subject.
    name : str
        Its name.
    path : Path or str
        Its file, or the name of a shipped atlas, or of masks in bdata files.
    space : str
        Space of the responses.

    Returns
    -------
    Atlas
        On targets of its own.
    """
    if name.startswith(BDATA):
        file = first_bdata_file(str(job.study.load.file), job.places.bids_dir, job.subject)
        return load_bdata_atlas(file, name, space=space, as_released=job.study.maps.as_released)
    return load_dseg(path, name) if name in SEGMENTATIONS else load_atlas(path)

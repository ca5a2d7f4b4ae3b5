"""What the maps of participants are drawn on: meshes, slices, and the regions that are outlined."""

from collections.abc import Sequence

import numpy as np

from ..comparison import parcels
from ..config.settings import Study
from ..core import ConfigError, Targets, suggest
from ..io.atlases.catalogue import load_atlas
from ..io.atlases.matching import match_atlas
from ..io.atlases.packages import PACKAGED
from ..mapping import BDATA, SEGMENTATIONS, Canvas, Result, canvas_of, choose_atlases, find_surfaces
from .jobs import Places


def canvases_of(study: Study, places: Places, results: Sequence[Result]) -> dict[str, Canvas]:
    """Prepare the drawing of every participant's maps.

    Parameters
    ----------
    study : Study
        Settings.
    places : Places
        Folders; surfaces are looked for in the dataset and in fMRIPrep's output.
    results : sequence of Result
        Participants.

    Returns
    -------
    dict of str to Canvas
        By subject.

    Raises
    ------
    ConfigError
        If a mesh or a region that is asked for is missing.
    """
    derivatives = [places.derivatives] if places.derivatives else []
    derivatives += [path for path in (places.bids_dir / "derivatives" / "fmriprep", places.bids_dir) if path.is_dir()]
    canvases: dict[str, Canvas] = {}
    for result in results:
        surfaces = find_surfaces(study.maps, result.targets, result.subject, places.bids_dir, derivatives)
        alike = [canvas.outlines for canvas in canvases.values() if canvas.targets.same_as(result.targets)]
        outlines = alike[0] if alike else find_outlines(study, places, result.targets)
        canvases[result.subject] = canvas_of(result.targets, result.background, surfaces, study.maps, outlines)
    return canvases


def find_outlines(study: Study, places: Places, targets: Targets) -> dict[str, np.ndarray]:
    """Find the regions of ``[map] outlines`` among targets: masks of the shape (n_targets,), by name."""
    wanted = study.maps.outlines
    if not wanted:
        return {}
    found: dict[str, np.ndarray] = {}
    known: set[str] = set()
    for name, path in choose_atlases(study.maps.atlases, targets, (), places.bids_dir):
        if name.startswith(BDATA) or name in SEGMENTATIONS:
            continue  # regions of volumes without a file that says where they are
        onto = targets.space if path in PACKAGED or (isinstance(path, str) and targets.space == "fsLR") else None
        atlas = load_atlas(path, space=onto, as_released=study.maps.as_released)
        for parcel in parcels(atlas, match_atlas(atlas, targets)):
            known |= {parcel.region, parcel.set} - {""}
            if parcel.region in wanted or parcel.set in wanted:
                found[parcel.region] = found.get(parcel.region, np.zeros(len(targets), bool)) | parcel.mask
    for name in wanted:
        if name not in known:
            raise ConfigError(f"[map] outlines: no atlas of [map] has a region or set {name!r}. {suggest(name, known)}")
    return found

"""What the maps of participants are drawn on: meshes, slices, and the regions that are outlined."""

from collections.abc import Sequence

import numpy as np

from ..comparison import parcels
from ..config.settings import Study
from ..core import Atlas, ConfigError, suggest
from ..mapping import Canvas, Maps, Region, Result, canvas_of, find_surfaces, read_parcels, write_parcels
from .jobs import Job, Places


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
        outlines = alike[0] if alike else find_outlines(study.maps, result)
        canvases[result.subject] = canvas_of(result.targets, result.background, surfaces, study.maps, outlines)
    return canvases


def keep_parcels(job: Job, atlases: Sequence[tuple[Atlas | None, np.ndarray]]) -> None:
    """Write which targets lie in which region, for maps; nothing if it is there already."""
    regions = [
        Region(atlas.name, *parcel)
        for atlas, labels in atlases
        if atlas is not None
        for parcel in parcels(atlas, labels)
    ]
    if not same_parcels(read_parcels(job.folder), regions):
        write_parcels(job.folder, regions)


def same_parcels(one: Sequence[Region], other: Sequence[Region]) -> bool:
    """Return True if two lists of regions have the same names and targets."""
    return len(one) == len(other) and all(
        a.place == b.place and np.array_equal(a.mask, b.mask) for a, b in zip(one, other, strict=True)
    )


def find_outlines(settings: Maps, result: Result) -> dict[str, np.ndarray]:
    """Find the regions of ``[map] outlines``: masks of the shape (n_targets,), by name."""
    found: dict[str, np.ndarray] = {}
    if not settings.outlines:
        return found
    known: set[str] = set()
    for region in result.parcels:
        known |= {region.region, region.set} - {""}
        if region.region in settings.outlines or region.set in settings.outlines:
            found[region.region] = found.get(region.region, np.zeros(len(region.mask), bool)) | region.mask
    for name in settings.outlines:
        if name not in known:
            raise ConfigError(
                f"[map] outlines: no atlas of sub-{result.subject} has a region or set {name!r}. {suggest(name, known)}"
            )
    return found

"""The page to look at maps with, beside the report: results of participants to the arrays that it shows."""

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from scipy import ndimage

from ..core import DataError, Targets
from ..drawing.figure import write_bytes
from ..drawing.mesh import FLAT, HEMISPHERES, Meshes
from ..drawing.scales import ColorScale, round_up
from ..drawing.slices import Slab, sample_background, turn_upright
from ..drawing.viewer import Block, Half, Labelled, Layer, Scene, Still, Viewed, render_viewer
from ..io.images.backgrounds import background_of
from ..io.images.formats import surface_of
from .composer import Composer
from .figures import Canvas
from .parcels import Region
from .results import RULE, Result, read_result, require_same_settings
from .selection import set_of
from .settings import Maps
from .significance import named_targets
from .summary import FACTS
from .verdicts import NOTHING_TESTED

VIEWER = "viewer.html"
MEAN = "mean of participants"
NO_BEST = {
    True: "Targets were tested in each participant, not in the mean: choose a participant.",
    False: f"{NOTHING_TESTED} There is no map of the space that is ahead.",
}


def view(output_dir: Path | str, path: Path | str | None = None, *, subjects: Sequence[str] = ()) -> Path:
    """Write the viewer of finished participants: one HTML file that works offline.

    Parameters
    ----------
    output_dir : Path or str
        ``OUTPUT_DIR`` of a run.
    path : Path or str, optional
        The HTML file; ``OUTPUT_DIR/viewer.html`` unless given.
    subjects : sequence of str, optional
        Labels without ``sub-``; all that are finished unless given.

    Returns
    -------
    Path
        The file.

    Raises
    ------
    DataError
        If no participant is finished, or they were made with different settings, or there is nothing to draw.

    Examples
    --------
    >>> from encoding.mapping import view
    >>> view("results", "viewer.html").name
    'viewer.html'
    """
    output = Path(output_dir)
    found = sorted(file.parent for file in output.glob(f"sub-*/{FACTS}"))
    chosen = [folder for folder in found if not subjects or folder.name.removeprefix("sub-") in subjects]
    missing = sorted(set(subjects) - {folder.name.removeprefix("sub-") for folder in chosen})
    if missing or not chosen:
        names = ", ".join(folder.name for folder in found) or "none"
        raise DataError(f"{output}: needed finished participants {missing or ''}, but finished are: {names}.")
    results = [read_result(folder) for folder in chosen]
    require_same_settings(results)
    stored = results[0].summary.settings.get("maps", {})
    known: dict[str, Any] = {name: tuple(v) if isinstance(v, list) else v for name, v in stored.items()}
    maps = Maps(**known)
    composer = Composer(results, maps, output / "group" / "figures", output, _quiet)
    target = Path(path) if path is not None else output / VIEWER
    made = write_viewer(composer, target)
    if made is None:
        raise DataError(
            f"{output}: there is nothing to draw: results have no models, or targets are neither voxels nor on a "
            "surface whose mesh is at hand."
        )
    return made


def _quiet(share: float) -> None:
    """Progress that nobody watches."""


def write_viewer(composer: Composer, path: Path, *, report: str = "") -> Path | None:
    """Write the viewer of what a report shows, on its colours and scales; None where there is nothing to draw."""
    if composer.scale is None or not composer.drawable:
        return None
    return write_bytes(path, render_viewer(_scene(composer, report)).encode("utf-8"))


def _scene(composer: Composer, report: str) -> Scene:
    scale = composer.scale
    assert scale is not None
    parts: dict[str, _Places] = {}
    for result in composer.results:
        made = _Places(composer.canvas[result.subject])
        parts[result.subject] = next((known for known in parts.values() if known.same_as(made)), made)
    named = {
        r.subject: named_targets(r, composer.single) if len(composer.single) > 1 else None for r in composer.results
    }
    leads = [found.lead[found.winner >= 0] for found in named.values() if found is not None]
    pooled = np.concatenate(leads) if leads else np.empty(0)
    lead = round_up(float(np.median(pooled))) if pooled.size and np.median(pooled) > 0 else 0.01
    subjects = [_viewed(composer, result, parts[result.subject], named[result.subject]) for result in composer.results]
    if composer.shared:
        first = subjects[0]
        subjects = [Viewed("mean", MEAN, first.surface, first.volume, atlases=first.atlases), *subjects]
    tested = any(found is not None for found in named.values())
    notes = {
        "one": composer.fading.sentence,
        "mean": "Mean of participants: it was not tested.",
        "best": f"Coloured where {RULE}.",
        "nobest": NO_BEST[tested],
    }
    what = ", ".join(f"sub-{result.subject}" for result in composer.results)
    further: tuple[str, ...] = (
        f"Values are {scale.label}, rounded to a thousandth or better; the files beside the report hold all digits.",
        "Outlines: the regions that the report shows, where these results say in which region every target lies.",
    )
    further += composer.not_drawn
    return Scene(
        f"Maps of {what}", {name: composer.colors[name] for name in composer.models}, tuple(composer.single),
        ColorScale(0.0, scale.vmax, scale.cmap, scale.label, scale.threshold), lead, tuple(subjects), notes,
        _stills(composer, scale), report, further,
    )  # fmt: skip


def _viewed(composer: Composer, result: Result, places: "_Places", named: Any) -> Viewed:
    scores = result.scores[composer.metric]
    masks = [composer.fading.of(result, model) for model in composer.models]
    winner = lead = None
    if named is not None:
        ahead = np.where(named.winner >= 0, named.lead, 0.0)
        lead = places.layer(np.where(named.tested, ahead, np.nan))
        number = np.array([composer.models.index(name) for name in composer.single])
        winner = places.layer(np.where(named.winner < 0, named.winner, number[named.winner]), whole=True)
    return Viewed(
        result.subject, f"sub-{result.subject}", places.surface, places.volume,
        tuple(places.layer(scores.row(model)) for model in composer.models),
        tuple(None if mask is None else places.layer(mask.astype(float), whole=True, none=0) for mask in masks),
        winner, lead,
        places.labelled(result.parcels, composer.settings.roi_set),
    )  # fmt: skip


class _Places:
    """Surface and volume of some targets, and how one value per target is laid out on them."""

    def __init__(self, canvas: Canvas) -> None:
        self.targets, self.ground = canvas.targets, canvas.background
        self.meshes = None if canvas.surfaces.projected else canvas.surfaces.meshes
        self.surface = None if self.meshes is None else _halves(self.meshes)
        self.voxels = ~np.isin(self.targets.structure, list(self.targets.n_vertices))
        self.volume = _block(self.targets, self.voxels, self.ground) if canvas.in_volume else None

    def same_as(self, other: "_Places") -> bool:
        """Return True if both are drawn alike, so that the page holds them once."""
        alike = (self.ground, self.surface) == (other.ground, other.surface)
        return alike and self.targets.same_as(other.targets)

    def layer(self, values: np.ndarray, *, whole: bool = False, none: int = -1) -> Layer:
        """Lay out one value per target; places without a target have NaN, or `none` where numbers are whole."""
        surface = None
        if self.surface is not None:
            surface = surface_of(np.asarray(values, dtype=np.float32), self.targets)
            surface = np.where(np.isfinite(surface), surface, none).astype(int) if whole else surface
        return Layer(surface, values[self.voxels] if self.volume is not None else None)

    def labelled(self, regions: Sequence[Region], roi_set: str) -> tuple[Labelled, ...]:
        """Lay out the regions of every atlas, with the ROI set that the report shows."""
        found = []
        for atlas in dict.fromkeys(region.atlas for region in regions):
            here = [region for region in regions if region.atlas == atlas]
            parcels = [region for region in here if region.level == "region"]
            numbers = np.zeros(len(self.targets), dtype=int)
            for number, parcel in enumerate(parcels, start=1):
                numbers[parcel.mask] = number
            chosen = set_of([region.set for region in here if region.level == "roi_set"], roi_set)
            rois = tuple(
                (roi.region, self.layer(roi.mask.astype(float), whole=True, none=0))
                for roi in here
                if roi.level == "roi_set" and roi.set == chosen
            )
            names = {number: parcel.region for number, parcel in enumerate(parcels, start=1)}
            found.append(Labelled(atlas, names, self.layer(numbers, whole=True, none=0), rois))
        return tuple(found)


@lru_cache(maxsize=4)
def _halves(meshes: Meshes) -> tuple[Half, Half]:
    """Both hemispheres; the same object for all participants, so that the page holds them once."""
    left, right = (_half(meshes, side) for side in HEMISPHERES)
    return left, right


def _half(meshes: Meshes, side: str) -> Half:
    mesh = meshes.load(next(name for name in meshes.surfaces if name != FLAT), side)
    if FLAT not in meshes.surfaces:
        return Half(mesh.coordinates, mesh.faces, mesh.sulci)
    flat, n = meshes.load(FLAT, side), len(mesh.coordinates)
    whole, cut = (np.sort(one.astype(np.int64), axis=1) @ [n * n, n, 1] for one in (mesh.faces, flat.faces))
    if not np.isin(cut, whole).all():
        return Half(mesh.coordinates, mesh.faces, mesh.sulci)
    used = np.zeros(n, dtype=bool)
    used[flat.faces] = True
    shown = np.where(used[:, None], flat.coordinates[:, :2], 0.0)
    return Half(mesh.coordinates, mesh.faces, mesh.sulci, shown, np.isin(whole, cut))


def _block(targets: Targets, voxels: np.ndarray, ground: Path | None) -> Block:
    """Turn the voxels to RAS and crop them; the background is sampled on their grid."""
    assert targets.grid is not None
    number = np.full(targets.grid.shape, -1)
    number.ravel()[targets.index[voxels]] = np.arange(voxels.sum())
    slab, turned = turn_upright({"number": number}, number >= 0, targets.grid.affine, "axial", "viewer")
    cropped = turned["number"][slab.window]
    index = np.empty(int(voxels.sum()), dtype=np.int64)
    index[cropped[cropped >= 0]] = np.flatnonzero(cropped >= 0)
    middle = tuple(round(float(c)) for c in ndimage.center_of_mass(cropped >= 0))
    shape = (cropped.shape[0], cropped.shape[1], cropped.shape[2])
    mm = [np.array([Slab(slab.affine, slab.covered, slab.window, cut).position(side.start + k) for k in range(n)])
          for cut, side, n in zip(("sagittal", "coronal", "axial"), slab.window, shape, strict=True)]  # fmt: skip
    found = background_of(ground, targets)
    light = None
    if found is not None:
        own = slab.affine @ [*(side.start for side in slab.window), 1]
        light = _sampled(found, np.column_stack([slab.affine[:, :3], own]), shape)
    return Block(shape, index, (mm[0], mm[1], mm[2]), light, (middle[0], middle[1], middle[2]))


def _sampled(ground: tuple[np.ndarray, np.ndarray], affine: np.ndarray, shape: tuple[int, int, int]) -> np.ndarray:
    """Sample a background on a grid, with the brightness that slices in figures have."""
    covered = np.ones(shape, dtype=bool)
    slab = Slab(affine, covered, (slice(0, shape[0]), slice(0, shape[1]), slice(0, shape[2])), "axial")
    sample = sample_background(slab, ground, affine)
    assert sample is not None
    planes = np.stack([_shrunk(sample(k), shape) for k in range(shape[2])], axis=2)
    return planes


def _shrunk(plane: np.ndarray, shape: tuple[int, int, int]) -> np.ndarray:
    """Average the fine pixels of one axial plane, (rows, columns), to voxels, (x, y)."""
    k = plane.shape[1] // shape[0], plane.shape[0] // shape[1]
    return plane.reshape(shape[1], k[1], shape[0], k[0]).mean(axis=(1, 3)).T


def _stills(composer: Composer, scale: ColorScale) -> tuple[Still, ...]:
    """Use the pictures that the report has drawn; draw those that are missing."""
    found = []
    for result in composer.results:
        canvas, scores = composer.canvas[result.subject], result.scores[composer.metric]
        for model in composer.models if canvas.drawable else ():
            picture = composer.figures / f"{composer.names(result, f'model-{model}_stat-{composer.metric}')}.png"
            what = f"sub-{result.subject}: {model}"
            if picture.is_file():
                found.append(Still(picture, f"{what}, {scale.label}"))
                continue
            drawn = canvas.accuracy(scores.row(model), scale, what, composer.fading.of(result, model))
            found.append(Still(drawn.figure, f"{what}, {scale.label}"))
    return tuple(found)

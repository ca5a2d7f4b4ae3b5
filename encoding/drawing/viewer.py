"""One offline HTML page to look at maps with: every participant and space, turned, thresholded, read out.

The page asks for nothing. Numbers are stored as whole multiples of a step, compressed, and unpacked by the browser.
"""

import base64
import json
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import matplotlib as mpl
import numpy as np
from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from ..core.errors import DataError
from .encoded import asset, encode_picture, script
from .mesh import HEMISPHERES
from .raster import view_axes
from .scales import BELOW_THRESHOLD, BOTH, FADE, FADED, TIE_COLOR, ColorScale

STEP = 1e-3  # largest step of stored values: a value is off by half of it at most
STEPS_OF_PEAK = 250  # smaller values have smaller steps
COORDINATE = 0.05  # mm
SHADES = 63  # of a background
STILL_WIDTH = 600  # pixels of the pictures for browsers that cannot draw
STILL_QUALITY = 50
VIEWS = {
    "inflated": ("inflated: lateral, medial", "inflated", ("lateral", "medial")),
    "below": ("inflated: ventral, dorsal", "inflated", ("ventral", "dorsal")),
}
FLAT_AXES = [[1, 0, 0], [0, 1, 0]]


@dataclass(frozen=True, eq=False)
class Half:
    """One hemisphere of a surface."""

    inflated: np.ndarray  # (n_vertices, 3) mm
    faces: np.ndarray  # (n_faces, 3)
    sulci: np.ndarray  # (n_vertices,)
    flat: np.ndarray | None = None  # (n_vertices, 2) mm
    flat_faces: np.ndarray | None = None  # (n_faces,) Faces that the flat surface keeps


@dataclass(frozen=True, eq=False)
class Block:
    """The voxels of a volume in RAS orientation, cropped."""

    shape: tuple[int, int, int]
    index: np.ndarray  # (n_voxels,) Flat position of each voxel, C order
    mm: tuple[np.ndarray, np.ndarray, np.ndarray]  # Coordinate of every slice along each axis
    ground: np.ndarray | None = None  # (x, y, z) Brightness 0-1 of the background
    start: tuple[int, int, int] = (0, 0, 0)  # Voxel that the slices go through at first


@dataclass(frozen=True, eq=False)
class Layer:
    """One map, split into the vertices of both hemispheres and the voxels of the block."""

    surface: np.ndarray | None = None
    volume: np.ndarray | None = None


@dataclass(frozen=True, eq=False)
class Labelled:
    """Regions of one atlas on the targets of a participant."""

    name: str
    regions: Mapping[int, str]  # Name by number
    numbers: Layer  # Number of each place; 0 for none
    rois: tuple[tuple[str, Layer], ...]  # Name and mask of what is outlined


@dataclass(frozen=True, eq=False)
class Viewed:
    """One participant, or the mean of all (without maps: it is made in the page)."""

    id: str
    name: str
    surface: tuple[Half, Half] | None
    volume: Block | None
    maps: tuple[Layer, ...] = ()
    passed: tuple[Layer | None, ...] = ()
    winner: Layer | None = None
    lead: Layer | None = None
    atlases: tuple[Labelled, ...] = ()


@dataclass(frozen=True, eq=False)
class Still:
    """A picture for browsers that cannot draw."""

    file: Any
    alt: str


@dataclass(frozen=True, eq=False)
class Scene:
    """Everything that the page shows."""

    title: str
    spaces: Mapping[str, str]  # Colour by name
    single: tuple[str, ...]  # Spaces that compete
    scale: ColorScale
    lead: float  # Lead of full colour
    subjects: tuple[Viewed, ...]
    notes: Mapping[str, str]  # What is claimed in each mode: "one", "mean", "best", "nobest"
    stills: tuple[Still, ...] = ()
    back: str = ""
    further: tuple[str, ...] = ()
    start: int = field(default=0)


def render_viewer(scene: Scene) -> str:
    """Render a scene to a page that asks for nothing from outside; the same scene gives the same characters."""
    if not scene.subjects or not scene.spaces:
        raise DataError(f"Viewer {scene.title!r}: {len(scene.subjects)} participants and {len(scene.spaces)} spaces.")
    pack = _Pack()
    content = _describe(scene, pack)
    # "<" would end the element that holds the text.
    text = json.dumps(content, separators=(",", ":"), ensure_ascii=False, allow_nan=False).replace("<", "\\u003c")
    pictures = [
        {"data": data, "size": size, "alt": still.alt}
        for still in scene.stills
        for data, size in [encode_picture(still.file, STILL_WIDTH, STILL_QUALITY)]
    ]
    return _template().render(
        title=scene.title, back=scene.back, notes=scene.further, pictures=pictures, scene=Markup(text),
        data=pack.text(), style=Markup(asset("viewer.css")), script=Markup(script("viewer.js")),
    )  # fmt: skip


@cache
def _template():
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    return environment.from_string(asset("viewer.html"))


class _Pack:
    """Collects arrays as bytes, equal ones once; a reference says where they are and how they are read."""

    def __init__(self) -> None:
        self.parts: list[bytes] = []
        self.known: dict[bytes, dict[str, Any]] = {}
        self.length = 0

    def whole(self, values: np.ndarray, size: int, *, stride: int = 0, step: float = 0.0) -> dict[str, Any]:
        """Store integers as planes of bytes, perhaps as differences to the value `stride` before."""
        flat = np.ascontiguousarray(values).ravel().astype(np.int64)
        if stride:
            flat = np.concatenate([flat[:stride], flat[stride:] - flat[:-stride]])
        planes = [((flat >> (8 * k)) & 255).astype(np.uint8) for k in range(size)]
        found = b"".join(plane.tobytes() for plane in planes)
        key = found + f"{size} {stride} {step}".encode()
        if key not in self.known:
            ref: dict[str, Any] = {"at": self.length, "n": flat.size, "size": size}
            ref |= {"stride": stride} if stride else {}
            ref |= {"step": step} if step else {}
            self.known[key] = ref
            self.parts.append(found)
            self.length += len(found)
        return self.known[key]

    def numbers(self, values: np.ndarray, step: float | None = None) -> dict[str, Any]:
        """Store numbers as 16-bit multiples of a step, NaN as the smallest integer."""
        values = np.asarray(values, dtype=float)
        peak = float(np.nanmax(np.abs(values), initial=0.0)) if np.isfinite(values).any() else 0.0
        step = step or _step(peak)
        size = 2 if peak / step < 32000 else 4
        whole = np.where(np.isfinite(values), np.round(np.nan_to_num(values) / step), -(2 ** (8 * size - 1)))
        return self.whole(whole, size, step=step)

    def bits(self, mask: np.ndarray) -> dict[str, Any]:
        """Store yes and no, the first in the lowest bit."""
        return self.whole(np.packbits(np.asarray(mask, dtype=bool), bitorder="little"), 1)

    def text(self) -> str:
        squeeze = zlib.compressobj(9, zlib.DEFLATED, -15)
        return base64.b64encode(squeeze.compress(b"".join(self.parts)) + squeeze.flush()).decode("ascii")


def _step(peak: float) -> float:
    """Step of values: `STEP`, or a smaller power of ten where all values are small."""
    if peak <= 0:
        return STEP
    return min(STEP, float(f"1e{int(np.floor(np.log10(peak / STEPS_OF_PEAK)))}"))


def _describe(scene: Scene, pack: _Pack) -> dict[str, Any]:
    geometries: list[dict[str, Any]] = []
    atlases: list[dict[str, Any]] = []
    seen: dict[int, int] = {}  # surfaces and volumes are shared by identity

    def place(what: Any, describe: Any) -> int | None:
        if what is None:
            return None
        if id(what) not in seen:
            seen[id(what)] = len(geometries)
            geometries.append(describe(what, pack))
        return seen[id(what)]

    subjects = []
    for one in scene.subjects:
        found: dict[str, Any] = {"id": one.id, "name": one.name}
        found |= {"surface": place(one.surface, _surface), "volume": place(one.volume, _volume)}
        found["maps"] = [_layer(layer, pack.numbers) for layer in one.maps] or None
        masks = [None if layer is None else _layer(layer, pack.bits) for layer in one.passed]
        found["passed"] = masks if any(mask is not None for mask in masks) else None
        if one.winner is not None and one.lead is not None:
            found["best"] = {
                "winner": _layer(one.winner, lambda v: pack.whole(v, 1)),
                "lead": _layer(one.lead, pack.numbers),
            }
        found["atlases"] = [_labels(atlas, atlases, pack) for atlas in one.atlases]
        subjects.append(found)
    flat = all(one.surface is None or all(half.flat is not None for half in one.surface) for one in scene.subjects)
    return {
        "spaces": [{"name": name, "color": color} for name, color in scene.spaces.items()],
        "single": [list(scene.spaces).index(name) for name in scene.single],
        "subjects": subjects, "start": scene.start, "geometries": geometries, "atlases": atlases, "views": _views(flat),
        "scale": {"vmax": scene.scale.vmax, "threshold": scene.scale.threshold or 0,
                  "lut": pack.whole(_lut(scene.scale.cmap), 1)},
        "label": scene.scale.label, "lead": scene.lead, "both": BOTH, "tie": TIE_COLOR, "notes": dict(scene.notes),
        "fade": FADE, "below": BELOW_THRESHOLD, "faded": FADED,
    }  # fmt: skip


def _lut(cmap: str) -> np.ndarray:
    """Return the 256 colours of a colour map, shape (256, 3), 0-255."""
    return np.round(255 * mpl.colormaps[cmap](np.arange(256))[:, :3])


def _views(flat: bool) -> dict[str, Any]:
    views: dict[str, Any] = {
        name: {
            "title": title, "shape": shape, "names": list(rows),
            "rows": [[[axis.tolist() for axis in view_axes(side, row)[:2]] for side in HEMISPHERES] for row in rows],
        }
        for name, (title, shape, rows) in VIEWS.items()
    }  # fmt: skip
    if flat:
        views["flat"] = {"title": "flat", "shape": "flat", "names": ["flat"], "rows": [[FLAT_AXES, FLAT_AXES]]}
    return views


def _surface(halves: Sequence[Half], pack: _Pack) -> dict[str, Any]:
    found = []
    for half in halves:
        n = len(half.inflated)
        size = 2 if n < 65536 else 4
        shapes = {"inflated": pack.numbers(half.inflated, COORDINATE)}
        one = {"n": n, "faces": pack.whole(half.faces, size, stride=3), "sulci": pack.numbers(half.sulci, 0.05)}
        if half.flat is not None and half.flat_faces is not None:
            shapes["flat"] = pack.numbers(half.flat, COORDINATE)
            one["flatFaces"] = pack.bits(half.flat_faces)
        found.append(one | {"shapes": shapes})
    return {"halves": found}


def _volume(block: Block, pack: _Pack) -> dict[str, Any]:
    found = {"shape": list(block.shape), "index": pack.whole(block.index, 4, stride=1), "start": list(block.start)}
    found["mm"] = [[round(float(x), 2) for x in axis] for axis in block.mm]
    if block.ground is not None:
        found["ground"] = pack.whole(np.round(SHADES * np.clip(block.ground, 0, 1)), 1)
    return found


def _layer(layer: Layer, store: Any) -> dict[str, Any]:
    parts = {"surface": layer.surface, "volume": layer.volume}
    return {name: None if part is None else store(part) for name, part in parts.items()}


def _labels(atlas: Labelled, known: list[dict[str, Any]], pack: _Pack) -> dict[str, Any]:
    told = {"name": atlas.name, "names": {str(k): name for k, name in atlas.regions.items()}}
    if told not in known:
        known.append(told)
    rois = [{"name": name, "mask": _layer(mask, pack.bits)} for name, mask in atlas.rois]
    return {"of": known.index(told), "labels": _layer(atlas.numbers, lambda v: pack.whole(v, 4)), "rois": rois}

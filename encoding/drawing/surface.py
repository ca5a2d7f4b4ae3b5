"""Maps on cortical surfaces, rendered without a 3-D engine by looking up the vertices under each pixel."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache, partial
from hashlib import sha256
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ..core.errors import DataError
from .figure import MUTED, add_axes, styled
from .layers import Layer, number_layer, winner_layer
from .legend import number_footer, over, winner_footer
from .mesh import FLAT, HEMISPHERES, Meshes, fsaverage
from .outlines import draw_names, draw_outlines, trace
from .panels import EDGE, Drawn, Painting, stack
from .raster import PixelTable, pixel_table, view_axes, view_span
from .scales import ColorScale, WinnerScale

GAP = 0.16  # inch between panels
LETTERS = 0.24  # inch, for the letters of the hemispheres
HATCH = 2.2  # mm from one stripe to the next where brain is not covered
CLOSE = 1e-3  # pixels per mm

Place = tuple[str, str]  # view, hemisphere


@dataclass(frozen=True)
class SurfaceStyle:
    """Surface, views and size of a surface figure."""

    surface: str = ""  # Shape of the cortex; "" takes the first that the meshes have
    width: float = 9.0  # Width of the figure in inches
    px_per_mm: float | None = None  # Resolution of the painting; one pixel per dot at `dpi` unless given
    dpi: float = 200  # Dots per inch that the figure is written with
    wide: bool = False  # Four brains in a row, where there are four views or more
    # Folder that keeps pixel tables between runs of the program (13 MB for four views)
    cache_folder: Path | None = None
    meshes: Meshes = field(default_factory=fsaverage)  # fsaverage5 unless given

    @property
    def shape(self) -> str:
        """Shape of the cortex."""
        return self.surface or self.meshes.surfaces[0]


@styled
def draw_surface(  # noqa: PLR0913 - what is shown, where, and what passed
    values: np.ndarray,
    scale: ColorScale,
    *,
    title: str = "",
    subtitle: str = "",
    outlines: Mapping[str, np.ndarray] | None = None,
    outline_labels: bool = True,
    views: tuple[str, ...] = ("lateral", "medial"),
    style: SurfaceStyle | None = None,
    passed: np.ndarray | None = None,
) -> Figure:
    """Draw one map on both hemispheres.

    Values are interpolated linearly between vertices and coloured after that, so a threshold is a smooth line
    and no data colour is ever mixed with that of another value.

    Shapes: `values` (n_left + n_right,), `outlines` (n_left + n_right,).
    """
    style = style or SurfaceStyle()
    values = np.asarray(values, dtype=float)
    style.meshes.split(values, f"Map {title!r}")
    layer = number_layer(values, scale, passed)
    brains = surface_block(layer, style, views=views, outlines=outlines, outline_labels=outline_labels)
    footer = number_footer(values, scale, style.width, coverage(layer, style.meshes), faded=passed is not None)
    title, _, second = title.partition("\n")
    return stack([brains, footer], title=title, subtitle=subtitle or second, width=style.width)


@styled
def draw_winner(
    winner: np.ndarray,
    margin: np.ndarray,
    accuracy: np.ndarray,
    scale: WinnerScale,
    *,
    title: str = "",
    outlines: Mapping[str, np.ndarray] | None = None,
    views: tuple[str, ...] = ("lateral", "medial"),
    style: SurfaceStyle | None = None,
) -> Figure:
    """Draw which feature space predicts best where: hue = space, saturation = margin, opacity = accuracy.

    Shapes: `winner` (n_left + n_right,), `margin` and `accuracy` alike, `outlines` (n_left + n_right,).
    """
    style = style or SurfaceStyle()
    for name, values in (("winner", winner), ("margin", margin), ("accuracy", accuracy)):
        style.meshes.split(values, f"Winner map {title!r}, {name}")
    winner = require_names(winner, scale, title)
    layer = winner_layer(winner, margin, accuracy, scale)
    brains = surface_block(layer, style, views=views, outlines=outlines)
    footer = winner_footer(scale, style.width, coverage(layer, style.meshes), ties=bool((winner == -2).any()))
    title, _, subtitle = title.partition("\n")
    return stack([brains, footer], title=title, subtitle=subtitle, width=style.width)


def require_names(winner: np.ndarray, scale: WinnerScale, title: str) -> np.ndarray:
    """Return a winner map as whole numbers, each of which has a name or is -1 (none) or -2 (tie)."""
    winner = np.asarray(winner, dtype=int)
    if winner.size and (winner.min() < -2 or winner.max() >= len(scale.names)):
        raise DataError(
            f"Winner map {title!r}: indices reach from {winner.min()} to {winner.max()}, but there are "
            f"{len(scale.names)} names; -1 stands for no winner, -2 for a tie."
        )
    return winner


def vote(table: PixelTable, labels: np.ndarray, n_labels: int = 0) -> np.ndarray:  # noqa: ARG001
    """Assign each pixel the label with the largest weight among its three corners.

    Shapes: `labels` (n_vertices,); returns (n_pixels,).
    """
    corners = labels[table.vertex]
    equal = (corners[:, :, None] == corners[:, None, :]) | (np.isnan(corners)[:, :, None] & np.isnan(corners)[:, None])
    share = np.einsum("ijk,ik->ij", equal, table.weight)
    return corners[np.arange(len(corners)), np.argmax(share, axis=1)]


def coverage(layer: Layer, meshes: Meshes) -> str:
    """Count the vertices that were measured."""
    left, right = (int(half.sum()) for half in meshes.split(layer.measured, "Map").values())
    return f"{left + right:,} vertices (L {left:,}, R {right:,})"


def surface_block(
    layer: Layer,
    style: SurfaceStyle,
    *,
    views: tuple[str, ...] = ("lateral", "medial"),
    outlines: Mapping[str, np.ndarray] | None = None,
    outline_labels: bool = True,
    letters: bool = True,
    captions: bool = True,
    gap: float = GAP,
) -> Drawn:
    """Lay out all views of both hemispheres; all but flat maps are drawn at one scale."""
    meshes, outlines = style.meshes, outlines or {}
    edge = EDGE if captions else 0.0
    for name, mask in outlines.items():
        meshes.split(mask, f"Outline {name!r}")
    for view in views:
        for side in HEMISPHERES:
            view_axes(side, view)
        if view == FLAT and FLAT not in meshes.surfaces:
            raise DataError(f"{meshes.name} has no flat map here. Leave {FLAT!r} out of the views.")
    rows = _rows(views, wide=style.wide)
    spans = {(view, side): _span(meshes, style.shape, view, side) for view in views for side in HEMISPHERES}
    boxes = [_fit(row, spans, style.width - 2 * edge, gap) for row in rows]
    folded = [inch for row, (inch, _) in zip(rows, boxes, strict=True) if row[0][0] != FLAT]
    heights = []
    for number, row in enumerate(rows):
        inch = boxes[number][0] if row[0][0] == FLAT else min(folded)
        boxes[number] = inch, max(spans[place][1] for place in row) * inch
        heights.append(boxes[number][1])
    painted = _Painted(layer, style, outlines, outline_labels, captions)
    letters = letters and not style.wide  # four in a row are named one by one
    head = LETTERS if letters else 0.02
    height = head + sum(heights) + gap * len(rows)

    places, y = [], head  # of panels: left and upper edge, width and height, all in inches
    for (inch, tall), row in zip(boxes, rows, strict=True):
        wide = (style.width - 2 * edge - gap * (len(row) - 1)) / len(row)
        places += [(place, (edge + n * (wide + gap), y, wide, tall), inch) for n, place in enumerate(row)]
        y += tall + gap

    def put(figure: Figure, left: float, top: float, *, whole: bool) -> None:
        for place, (x, y, wide, tall), inch in places:
            axes = add_axes(figure, left + x, top + y, wide, tall)
            painted.panel(axes, place, (wide / inch, tall / inch), inch, whole=whole)
            if letters and place in (rows[0][0], rows[0][-1]):
                _letter(figure, place[1], left + x + wide / 2, top + 0.14)

    paintings = tuple(
        Painting(x + wide / 2, y + tall / 2, partial(painted.picture, place, inch))
        for place, (x, y, wide, tall), inch in places
    )
    lines = tuple((name, sha256(np.asarray(mask).tobytes()).hexdigest()) for name, mask in outlines.items())
    shown = (style.shape, style.px_per_mm, style.dpi, style.wide, outline_labels, letters, captions, gap)
    key = ("surface", meshes, views, lines, shown)
    whole, bare = (partial(put, whole=kind) for kind in (True, False))
    return Drawn(style.width, height, whole, paintings, bare, key)


@lru_cache(maxsize=256)
def _span(meshes: Meshes, shape: str, view: str, side: str) -> np.ndarray:
    return view_span(meshes.load(FLAT if view == FLAT else shape, side), side, view)


def _rows(views: tuple[str, ...], *, wide: bool) -> list[list[Place]]:
    """Arrange views: left and right beside each other, or two views of both in a row, mirrored."""
    left, right = HEMISPHERES
    folded = [view for view in views if view != FLAT]
    rows: list[list[Place]] = []
    if wide and len(folded) > 1:
        for first, second in zip(folded[::2], folded[1::2], strict=False):
            rows.append([(first, left), (second, left), (second, right), (first, right)])
        folded = folded[len(folded) // 2 * 2 :]
    rows += [[(view, left), (view, right)] for view in folded]
    return rows + [[(FLAT, left), (FLAT, right)] for view in views if view == FLAT]


def _fit(row: list[Place], spans: Mapping[Place, np.ndarray], width: float, gap: float) -> tuple[float, float]:
    """Return inches per mm with which a row fills the width, and its height."""
    inch = (width - gap * (len(row) - 1)) / len(row) / max(spans[place][0] for place in row)
    return inch, max(spans[place][1] for place in row) * inch


def _letter(figure: Figure, hemisphere: str, x: float, y: float) -> None:
    width, height = figure.get_size_inches()
    figure.text(x / width, 1 - y / height, hemisphere[0].upper(), size=11, weight="bold", ha="center", va="center")


@dataclass(frozen=True, eq=False)
class _Painted:
    """What all panels of a figure share."""

    layer: Layer
    style: SurfaceStyle
    outlines: Mapping[str, np.ndarray]
    labels: bool  # Whether outlines are named
    captions: bool  # Whether views are named

    def ground(self, place: Place, inch: float) -> "_Ground":
        """Return what a panel shows where there is no data, at the resolution of the style."""
        style, (view, hemisphere) = self.style, place
        px_per_mm = style.px_per_mm or max(round(style.dpi * inch, 3), CLOSE)
        shape = FLAT if view == FLAT else style.shape
        return _ground(style.meshes, shape, hemisphere, view, px_per_mm, style.cache_folder)

    def picture(self, place: Place, inch: float, dpi: float | None = None) -> np.ndarray:
        """Paint sulci, then data; where nothing was measured, pale stripes: RGB, (rows, columns, 3), uint8."""
        painted = self if dpi is None else replace(self, style=replace(self.style, dpi=dpi, px_per_mm=None))
        ground = painted.ground(place, inch)
        table, half = ground.table, self.style.meshes.half(place[1])
        sampled = {
            name: vote(table, array[half]) if name in self.layer.labels else table.interpolate(array[half])
            for name, array in self.layer.arrays.items()
        }
        colors, covered = self.layer.paint(sampled)
        below = np.where(covered, ground.sulci, ground.stripes)
        seen = over(colors.astype(np.float32, copy=False), below[:, None])
        return table.image(np.round(255 * np.clip(seen, 0, 1)).astype(np.uint8), 255)

    def panel(self, axes: Axes, place: Place, span: tuple[float, float], inch: float, *, whole: bool) -> None:
        """Draw the painting, if `whole`, then outlines and names."""
        view, hemisphere = place
        table = self.ground(place, inch).table
        if whole:
            axes.imshow(self.picture(place, inch), extent=table.extent, interpolation="antialiased")
        left, right, bottom, top = table.extent
        middle, centre = (left + right) / 2, (bottom + top) / 2
        axes.set_xlim(middle - span[0] / 2, middle + span[0] / 2)
        axes.set_ylim(centre - span[1] / 2, centre + span[1] / 2)
        axes.set_axis_off()
        axes.set_label(f"{hemisphere} {view}")
        if self.captions:
            name = f"{hemisphere} {view}" if self.style.wide else view
            axes.text(0.5, -0.005, name, transform=axes.transAxes, size=8, color=MUTED, ha="center", va="top")
        if not self.outlines:
            return
        meshes = self.style.meshes
        mesh, half = meshes.load(FLAT if view == FLAT else self.style.shape, hemisphere), meshes.half(hemisphere)
        traced = [trace(table, mesh, np.asarray(mask)[half] > 0, name) for name, mask in self.outlines.items()]
        visible = [outline for outline in traced if outline is not None]
        if visible:
            draw_outlines(axes, visible)
            if self.labels:
                draw_names(axes, visible, points=8.0, limits=(*axes.get_xlim(), *axes.get_ylim()))


@dataclass(frozen=True, eq=False)
class _Ground:
    """What lies under the data of one view."""

    table: PixelTable
    sulci: np.ndarray  # (n_pixels,) Grey of the cortex
    stripes: np.ndarray  # (n_pixels,) Grey where nothing was measured


@lru_cache(maxsize=64)
def _ground(
    meshes: Meshes, shape: str, hemisphere: str, view: str, px_per_mm: float, cache_folder: Path | None
) -> _Ground:
    table = pixel_table(shape, hemisphere, view, px_per_mm=px_per_mm, cache_folder=cache_folder, meshes=meshes)
    depth = np.tanh(2.2 * table.interpolate(meshes.load(shape, hemisphere).sulci))
    grey = (0.85 - 0.08 * depth) * (0.78 + 0.22 * np.clip(table.facing, 0, 1) ** 0.6)
    row, column = np.divmod(table.pixel, table.shape[1])
    stripe = ((row + column) / table.px_per_mm % HATCH) < 0.28 * HATCH
    return _Ground(table, grey.astype(np.float32), np.where(stripe, 0.84, 0.95).astype(np.float32))

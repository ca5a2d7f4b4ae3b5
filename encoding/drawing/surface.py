"""Maps on fsaverage5, rendered without a 3-D engine by looking up the vertices under each pixel."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ..core.errors import DataError
from .figure import MUTED, add_axes, styled, title_height, write_title
from .legend import draw_color_bar, draw_uncovered_key, draw_winner_legend, over, winner_legend_size
from .mesh import HEMISPHERES, N_VERTICES, load_mesh, split_hemispheres
from .outlines import draw_names, draw_outlines, trace
from .raster import PixelTable, pixel_table
from .scales import ColorScale, WinnerScale, fade_failed

EDGE = 0.14  # inch
GAP = 0.16  # inch between panels
HATCH = 2.2  # mm from one stripe to the next where brain is not covered
FOOTER = 0.8  # inch

Painter = Callable[[PixelTable, slice], tuple[np.ndarray, np.ndarray]]


@dataclass(frozen=True)
class SurfaceStyle:
    """Surface, views and size of a surface figure."""

    surface: str = "inflated"  # fsaverage5 surface
    width: float = 9.0  # Width of the figure in inches
    px_per_mm: float = 4.0  # Resolution of the painting; 4 suits 200 dpi at 9 inches
    # Folder that keeps pixel tables between runs of the program (13 MB for four views)
    cache_folder: Path | None = None


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

    Shapes: `values` (20484,), `outlines` (20484,).
    """
    values = np.asarray(values, dtype=float)
    split_hemispheres(values, f"Map {title!r}")

    def paint(table: PixelTable, half: slice) -> tuple[np.ndarray, np.ndarray]:
        of_pixels = table.interpolate(values[half])
        colors = scale.rgba(of_pixels)
        if passed is not None:
            colors = fade_failed(colors, table.interpolate(np.asarray(passed, dtype=float)[half]))
        return colors, ~np.isnan(of_pixels)

    style = style or SurfaceStyle()
    heights = title_height(title, subtitle), FOOTER
    figure, foot = _draw_brains(paint, outlines or {}, outline_labels, views, style, heights)
    write_title(figure, title, subtitle=subtitle)
    finite = values[np.isfinite(values)]
    width = 0.36 * style.width
    draw_color_bar(
        figure,
        scale,
        ((style.width - width) / 2, foot + 0.02, width),
        below=scale.two_sided and bool((finite < scale.vmin).any()),
        above=bool((finite > scale.vmax).any()),
    )
    floor = "" if scale.two_sided else f"\nat or below {max(scale.vmin, 0):g}: not coloured"
    floor += "" if passed is None else ("; " if floor else "\n") + "faded: did not pass"
    _write_coverage(figure, np.isfinite(values), foot, floor)
    return figure


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

    Shapes: `winner` (20484,), `margin` (20484,), `accuracy` (20484,), `outlines` (20484,).
    """
    for name, values in (("winner", winner), ("margin", margin), ("accuracy", accuracy)):
        split_hemispheres(values, f"Winner map {title!r}, {name}")
    winner = np.asarray(winner, dtype=int)
    if winner.min() < -1 or winner.max() >= len(scale.names):
        raise DataError(
            f"Winner map {title!r}: indices reach from {winner.min()} to {winner.max()}, but there are "
            f"{len(scale.names)} names; -1 stands for no winner."
        )
    accuracy, margin = np.asarray(accuracy, dtype=float), np.asarray(margin, dtype=float)

    def paint(table: PixelTable, half: slice) -> tuple[np.ndarray, np.ndarray]:
        of_pixels = table.interpolate(accuracy[half])
        best = vote(table, winner[half], len(scale.names))
        margins = table.interpolate(np.nan_to_num(margin[half]))
        return scale.rgba(best, margins, of_pixels), ~np.isnan(of_pixels)

    style = style or SurfaceStyle()
    title, _, subtitle = title.partition("\n")
    wide, high, n_columns = winner_legend_size(scale, style.width - 2.7)
    heights = title_height(title, subtitle), max(high + 0.2, FOOTER)
    figure, foot = _draw_brains(paint, outlines or {}, True, views, style, heights)
    write_title(figure, title, subtitle=subtitle)
    draw_winner_legend(figure, scale, (style.width - wide - EDGE, foot + 0.06), n_columns=n_columns)
    note = "\nnot coloured: no space can be named"
    _write_coverage(figure, np.isfinite(accuracy), foot, note)
    return figure


def vote(table: PixelTable, labels: np.ndarray, n_labels: int) -> np.ndarray:
    """Assign each pixel the label with the largest weight among its three corners.

    Shapes: `labels` (n_vertices,); returns (n_pixels,).
    """
    corners = labels[table.vertex]
    share = [np.where(corners == label, table.weight, 0).sum(axis=1) for label in range(-1, n_labels)]
    return np.argmax(share, axis=0) - 1


def _draw_brains(
    paint: Painter,
    outlines: Mapping[str, np.ndarray],
    outline_labels: bool,
    views: tuple[str, ...],
    style: SurfaceStyle,
    heights: tuple[float, float],
) -> tuple[Figure, float]:
    """Draw all panels at one scale; return the figure and the top of its footer in inches."""
    for name, mask in outlines.items():
        split_hemispheres(mask, f"Outline {name!r}")
    tables = {
        (view, hemisphere): pixel_table(
            style.surface, hemisphere, view, px_per_mm=style.px_per_mm, cache_folder=style.cache_folder
        )
        for view in views
        for hemisphere in HEMISPHERES
    }
    spans = {key: np.abs(np.diff(np.reshape(table.extent, (2, 2)), axis=1)).ravel() for key, table in tables.items()}
    widest = max(span[0] for span in spans.values())
    inch = (style.width - 2 * EDGE - GAP) / 2 / widest  # inches per mm, the same in all panels
    tall = {view: max(spans[view, hemisphere][1] for hemisphere in HEMISPHERES) for view in views}
    total = sum(tall.values()) * inch + GAP * (len(views) - 1) + sum(heights) + 0.24
    figure = Figure(figsize=(style.width, total))
    top = heights[0] + 0.2
    for column, hemisphere in enumerate(HEMISPHERES):
        left = EDGE + column * (widest * inch + GAP)
        centre = (left + widest * inch / 2) / style.width
        name = f"{hemisphere[0].upper()}"
        figure.text(centre, 1 - (top - 0.06) / total, name, size=11, weight="bold", ha="center", va="center")
        y = top
        for view in views:
            axes = add_axes(figure, left, y, widest * inch, tall[view] * inch)
            _paint_panel(axes, tables[view, hemisphere], paint, hemisphere, (widest, tall[view]))
            axes.set_label(f"{hemisphere} {view}")
            axes.text(0.5, -0.005, view, transform=axes.transAxes, size=7.5, color=MUTED, ha="center", va="top")
            _outline_panel(axes, tables[view, hemisphere], outlines, hemisphere, style.surface, outline_labels)
            y += tall[view] * inch + GAP
    return figure, y


def _paint_panel(axes: Axes, table: PixelTable, paint: Painter, hemisphere: str, span: tuple[float, float]) -> None:
    """Paint sulci, then data; where nothing was measured, pale stripes."""
    sulci = load_mesh("inflated", hemisphere).sulci
    depth = np.tanh(2.2 * table.interpolate(sulci))
    grey = (0.85 - 0.08 * depth) * (0.78 + 0.22 * np.clip(table.facing, 0, 1) ** 0.6)
    colors, covered = paint(table, slice(0, N_VERTICES) if hemisphere == "left" else slice(N_VERTICES, None))
    row, column = np.divmod(table.pixel, table.shape[1])
    stripe = ((row + column) / table.px_per_mm % HATCH) < 0.28 * HATCH
    plain = np.where(stripe, 0.84, 0.95)
    ground = np.where(covered, grey, plain)
    seen = over(colors, np.repeat(ground[:, None], 3, axis=1))
    picture = table.image(np.round(255 * np.clip(seen, 0, 1)).astype(np.uint8), 255)
    left, right, bottom, top = table.extent
    axes.imshow(picture, extent=table.extent, interpolation="antialiased")
    middle, centre = (left + right) / 2, (bottom + top) / 2
    axes.set_xlim(middle - span[0] / 2, middle + span[0] / 2)
    axes.set_ylim(centre - span[1] / 2, centre + span[1] / 2)
    axes.set_axis_off()


def _outline_panel(
    axes: Axes,
    table: PixelTable,
    outlines: Mapping[str, np.ndarray],
    hemisphere: str,
    surface: str,
    with_names: bool,
) -> None:
    mesh = load_mesh(surface, hemisphere)
    traced = [
        trace(table, mesh, split_hemispheres(mask, f"Outline {name!r}")[hemisphere] > 0, name)
        for name, mask in outlines.items()
    ]
    visible = [outline for outline in traced if outline is not None]
    if not visible:
        return
    draw_outlines(axes, visible)
    if with_names:
        draw_names(axes, visible, size=7.0, limits=(*axes.get_xlim(), *axes.get_ylim()))


def _write_coverage(figure: Figure, covered: np.ndarray, foot: float, note: str) -> None:
    left, right = (int(half.sum()) for half in np.split(covered, 2))
    width, height = figure.get_size_inches()
    text = f"{left + right:,} vertices (L {left:,}, R {right:,}){note}"
    figure.text(EDGE / width, 1 - (foot + 0.13) / height, text, size=7.5, color=MUTED, va="top", linespacing=1.5)
    if not covered.all():
        draw_uncovered_key(figure, EDGE, foot + 0.45, "not covered")

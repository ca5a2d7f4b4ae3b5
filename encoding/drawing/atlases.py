"""Pictures of atlases: every region in its colour, on fsaverage5 or in slices through a volume."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

from .figure import MUTED, add_axes, styled, title_height, write_title
from .legend import over
from .mesh import HEMISPHERES, N_VERTICES, load_mesh
from .raster import PixelTable, pixel_table

WIDTH, EDGE, GAP = 9.0, 0.14, 0.16  # inches
VIEWS = ("lateral", "medial", "ventral", "dorsal")
PLANES = ("sagittal", "coronal", "axial")
N_SLICES = 6
MARGIN = 8.0  # mm around the regions
MOST_NAMES = 40  # more are a table, not a legend


@styled
def draw_parcels(labels: np.ndarray, colors: Mapping[int, str], *, title: str = "", subtitle: str = "") -> Figure:
    """Draw the regions of a surface atlas on fsaverage5, with lines between them.

    Shapes: `labels` (20484,), 0 where no region is.
    """
    tables = {
        (view, hemi): pixel_table("inflated", hemi, view, px_per_mm=3.0) for view in VIEWS for hemi in HEMISPHERES
    }
    spans = {key: np.abs(np.diff(np.reshape(table.extent, (2, 2)), axis=1)).ravel() for key, table in tables.items()}
    inch = (WIDTH - 2 * EDGE - 3 * GAP) / 4 / max(span[0] for span in spans.values())
    rows = [VIEWS[:2], VIEWS[2:]]
    tall = [max(spans[view, hemi][1] for view in row for hemi in HEMISPHERES) * inch for row in rows]
    head = title_height(title, subtitle) + 0.1
    figure = Figure(figsize=(WIDTH, head + sum(tall) + GAP * len(rows) + 0.3))
    write_title(figure, title, subtitle=subtitle)
    column = (WIDTH - 2 * EDGE - 3 * GAP) / 4
    top = head
    for row, height in zip(rows, tall, strict=True):
        for place, (view, hemi) in enumerate((view, hemi) for view in row for hemi in HEMISPHERES):
            axes = add_axes(figure, EDGE + place * (column + GAP), top, column, height)
            half = labels[:N_VERTICES] if hemi == "left" else labels[N_VERTICES:]
            _paint(axes, tables[view, hemi], half, colors, hemi)
            told = f"{hemi[0].upper()} {view}"
            axes.text(0.5, -0.02, told, transform=axes.transAxes, size=8, color=MUTED, ha="center", va="top")
        top += height + GAP + 0.1
    return figure


def _paint(axes: Axes, table: PixelTable, labels: np.ndarray, colors: Mapping[int, str], hemisphere: str) -> None:
    """Paint every pixel in the colour of its nearest vertex, darker where its neighbour has another region."""
    nearest = labels[table.vertex[np.arange(len(table.pixel)), table.weight.argmax(1)]]
    sulci = np.tanh(2.2 * table.interpolate(load_mesh("inflated", hemisphere).sulci))
    grey = (0.85 - 0.08 * sulci) * (0.78 + 0.22 * np.clip(table.facing, 0, 1) ** 0.6)
    flat = np.full(table.shape[0] * table.shape[1], -1)
    flat[table.pixel] = nearest
    grid = flat.reshape(table.shape)
    edge = np.zeros(table.shape, dtype=bool)
    for axis in (0, 1):
        differs = np.diff(grid, axis=axis) != 0
        edge[:-1, :] |= differs if axis == 0 else False
        edge[:, :-1] |= differs if axis == 1 else False
    rgba = np.zeros((len(nearest), 4))
    for number in np.unique(nearest[nearest != 0]).tolist():
        rgba[nearest == number] = (*to_rgb(colors.get(number, "#808080")), 0.85)
    seen = over(rgba, np.repeat(grey[:, None], 3, axis=1))
    seen[edge.ravel()[table.pixel]] *= 0.45
    picture = table.image(np.round(255 * np.clip(seen, 0, 1)).astype(np.uint8), 255)
    axes.imshow(picture, extent=table.extent, interpolation="antialiased")
    axes.set_axis_off()


@styled
def draw_label_slices(
    labels: np.ndarray,
    affine: np.ndarray,
    colors: Mapping[int, str],
    names: Sequence[tuple[int, str]],
    *,
    title: str = "",
    subtitle: str = "",
) -> Figure:
    """Draw the regions of a volume in slices of three planes, with a legend where they are few.

    Shapes: `labels` (i, j, k) with axes to the right, front and top, `affine` (4, 4).
    """
    labels, affine = _cropped(labels, affine)
    size = np.abs(np.diag(affine)[:3])
    sides = np.asarray(labels.shape) * size  # mm
    panels = {0: (sides[1], sides[2]), 1: (sides[0], sides[2]), 2: (sides[0], sides[1])}
    width = (WIDTH - 2 * EDGE - (N_SLICES - 1) * 0.06) / N_SLICES
    tall = [width * panels[axis][1] / panels[axis][0] for axis in range(3)]
    legend = list(names) if len(names) <= MOST_NAMES else []
    below = 0.17 * -(-len(legend) // 4) + 0.1
    head = title_height(title, subtitle) + 0.15
    figure = Figure(figsize=(WIDTH, head + sum(tall) + 3 * 0.22 + below))
    write_title(figure, title, subtitle=subtitle)
    top = head
    picture = np.ones((*labels.shape, 3))
    for number in np.unique(labels[labels != 0]).tolist():
        picture[labels == number] = to_rgb(colors.get(number, "#808080"))
    for axis, plane in enumerate(PLANES):
        for column, index in enumerate(_slices(labels, axis)):
            axes = add_axes(figure, EDGE + column * (width + 0.06), top, width, tall[axis])
            cut = np.take(picture, index, axis=axis).swapaxes(0, 1)
            axes.imshow(cut, origin="lower", aspect="auto", interpolation="none")
            axes.set_xticks([])
            axes.set_yticks([])
            for spine in axes.spines.values():
                spine.set_color("#cccccc")
            where = round(affine[axis, axis] * index + affine[axis, 3])
            left = "L" if axis else "P"
            told = f"  {plane}, {left} is left" if column == 0 else ""
            axes.set_title(f"{'xyz'[axis]} = {where}{told}", size=7, loc="left", pad=2)
        top += tall[axis] + 0.22
    for place, (number, name) in enumerate(legend):
        row, column = divmod(place, 4)
        y = top + 0.17 * row
        axes = add_axes(figure, EDGE + column * (WIDTH - 2 * EDGE) / 4, y, 0.12, 0.11)
        axes.set_facecolor(colors.get(number, "#808080"))
        axes.set_xticks([])
        axes.set_yticks([])
        axes.text(1.5, 0.5, name[:38], transform=axes.transAxes, size=7, va="center")
    return figure


def _cropped(labels: np.ndarray, affine: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Cut a volume to its regions and a margin; returns (i, j, k) and the affine of the part."""
    margin = np.ceil(MARGIN / np.abs(np.diag(affine)[:3])).astype(int)
    where = np.argwhere(labels)
    low = np.maximum(where.min(0) - margin, 0)
    high = np.minimum(where.max(0) + margin + 1, labels.shape)
    moved = affine.copy()
    moved[:3, 3] = affine[:3, :3] @ low + affine[:3, 3]
    return labels[tuple(slice(a, b) for a, b in zip(low, high, strict=True))], moved


def _slices(labels: np.ndarray, axis: int) -> list[int]:
    """Choose slices, evenly over the labelled part, each moved to where most regions are cut nearby."""
    others = tuple(other for other in range(3) if other != axis)
    covered = np.flatnonzero((labels != 0).any(axis=others))
    edges = np.linspace(covered[0], covered[-1] + 1, N_SLICES + 1).astype(int)
    chosen = []
    for low, high in zip(edges[:-1], np.maximum(edges[1:], edges[:-1] + 1), strict=True):
        counts = [len(np.unique(np.take(labels, index, axis=axis))) for index in range(low, high)]
        best = np.flatnonzero(np.asarray(counts) == max(counts))
        chosen.append(int(low + best[len(best) // 2]))
    return chosen

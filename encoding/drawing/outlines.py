"""Region borders on a surface, and the placement of their names."""

from dataclasses import dataclass, replace

import numpy as np
from contourpy import contour_generator
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from scipy import ndimage

from .figure import INK, halo, shortened
from .mesh import Mesh
from .raster import PixelTable

SMALLEST = 12.0  # mm2 in the picture: smaller islands are not drawn
NAME_ROOM = 1.4  # inch at 8 points, about 20 characters
SMALLEST_NAMED = 60.0  # mm2 in the picture: smaller parts of a region are drawn without its name
PAD = 3  # pixels around a region, so that its line can close
SMOOTHING = 2  # steps; without it the line zigzags along the triangles


@dataclass(frozen=True)
class Outline:
    """Border of one region in one view."""

    name: str  # Region
    lines: tuple[np.ndarray, ...]  # (n_points, 2) Closed lines, in mm along the axes of the picture
    area: float  # Area of the largest visible part, in mm2 of the picture
    box: tuple[float, float, float, float]  # Left, right, bottom and top of that part, in mm


def trace(table: PixelTable, mesh: Mesh, mask: np.ndarray, name: str) -> Outline | None:
    """Trace the border of a region between vertices, where the region's weight is one half.

    Shapes: `mask` (n_vertices,).
    """
    if not mask.any():
        return None
    share = mesh.smooth(mask.astype(float), SMOOTHING)
    picture = table.image(table.interpolate(share), 0.0)
    parts, _ = ndimage.label(picture > 0.5)
    boxes = ndimage.find_objects(parts)
    sizes = np.bincount(parts.ravel())[1:] / table.px_per_mm**2
    kept = np.flatnonzero(sizes >= SMALLEST)
    if not kept.size:
        return None
    lines = [line for rank in kept for line in _contour(picture, parts, rank + 1, boxes[rank], table)]
    rows, columns = boxes[kept[np.argmax(sizes[kept])]]
    left, top = _place(np.array([[columns.start, rows.start]]), table)[0]
    right, bottom = _place(np.array([[columns.stop, rows.stop]]), table)[0]
    return Outline(name, tuple(lines), float(sizes.max()), (left, right, bottom, top))


def _contour(picture, parts, label, box, table):
    """Contour one part inside its own padded box: whole pictures per region would cost seconds and gigabytes."""
    rows, columns = (slice(max(side.start - PAD, 0), side.stop + PAD) for side in box)
    inside = np.where(np.isin(parts[rows, columns], (0, label)), picture[rows, columns], 0.0)
    contours = contour_generator(z=np.pad(inside, 1), line_type="Separate").lines(0.5)
    lines = [np.asarray(line) for line in contours]
    shift = np.array([columns.start - 1, rows.start - 1]) + 0.5
    return [_place(line + shift, table) for line in lines if len(line) > 8]


def _place(points: np.ndarray, table: PixelTable) -> np.ndarray:
    """Convert pixel edges (column, row) to mm along the axes of the picture."""
    left, top = table.corner
    return np.column_stack([left + points[:, 0] / table.px_per_mm, top - points[:, 1] / table.px_per_mm])


def draw_outlines(axes: Axes, outlines: list[Outline]) -> None:
    """Draw borders as white lines on darker ones, which stay visible on any colour."""
    lines = [line for outline in outlines for line in outline.lines]
    axes.add_collection(LineCollection(lines, colors="black", linewidths=2.0, alpha=0.6, joinstyle="round"))
    axes.add_collection(LineCollection(lines, colors="white", linewidths=1.0, joinstyle="round"))


def draw_names(
    axes: Axes, outlines: list[Outline], *, points: float, limits: tuple[float, float, float, float]
) -> None:
    """Write region names beside their regions, without overlaps, in letters of so many points whatever the scale."""
    named = [
        replace(outline, name=shortened(outline.name, NAME_ROOM, 8, bold=True))
        for outline in outlines
        if outline.area >= SMALLEST_NAMED
    ]
    taken = [outline.box for outline in named]
    size = points / 0.72 / _points_per_mm(axes)
    for rank, outline in enumerate(named):
        others = [box for k, box in enumerate(taken) if k != rank]
        box = min(_candidates(outline, size), key=lambda place: _cost(place, outline.box, others, limits))
        taken.append(box)
        axes.text(
            (box[0] + box[1]) / 2,
            (box[2] + box[3]) / 2,
            outline.name,
            size=points,
            color=INK,
            weight="bold",
            ha="center",
            va="center",
            path_effects=halo(2.2),
        )


def _points_per_mm(axes: Axes) -> float:
    figure = axes.get_figure(root=True)
    assert figure is not None
    width = axes.get_position().width * figure.get_size_inches()[0]
    left, right = axes.get_xlim()
    return 72 * width / (right - left)


def _candidates(outline: Outline, size: float) -> list[tuple[float, float, float, float]]:
    """List candidate boxes for a name: above, below, beside, and at the corners of its region."""
    left, right, bottom, top = outline.box
    middle, centre = (left + right) / 2, (bottom + top) / 2
    wide, high, gap = 0.62 * size * len(outline.name) / 2, size / 2, 0.35 * size
    columns = (left - wide - gap, middle, right + wide + gap)
    rows = (bottom - high - gap, centre, top + high + gap)
    spots = [(x, y) for x in columns for y in rows if (x, y) != (middle, centre)]
    return [(x - wide, x + wide, y - high, y + high) for x, y in spots]


def _cost(place, own, others, limits):
    """Sum the overlap with other boxes and the part outside the panel; ties go to the nearest box."""
    covered = sum(_overlap(place, other) for other in others)
    outside = (place[1] - place[0]) * (place[3] - place[2]) - _overlap(place, limits)
    far = np.hypot((place[0] + place[1] - own[0] - own[1]) / 2, (place[2] + place[3] - own[2] - own[3]) / 2)
    return covered + 4 * outside + 0.15 * far


def _overlap(one, other):
    wide = min(one[1], other[1]) - max(one[0], other[0])
    high = min(one[3], other[3]) - max(one[2], other[2])
    return max(wide, 0.0) * max(high, 0.0)

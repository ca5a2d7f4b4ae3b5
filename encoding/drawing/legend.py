"""Colour bars and legends, on axes of their own so that they never shrink a brain."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Polygon, Rectangle
from matplotlib.ticker import MaxNLocator

from .figure import INK, MUTED, UNCOVERED, UNDERLAY, add_axes, shortened, text_width
from .scales import ColorScale, WinnerScale

BAR_HEIGHT = 0.13  # inch
LEGEND_ROW = 0.2  # inch
NAME_ROOM = 2.6  # inch


def over(colors: np.ndarray, ground: np.ndarray) -> np.ndarray:
    """Blend translucent colours over opaque ones.

    Shapes: `colors` (..., 4), `ground` (..., 3); returns (..., 3).
    """
    part = colors[..., 3:]
    return part * colors[..., :3] + (1 - part) * ground


def draw_color_bar(
    figure: Figure, scale: ColorScale, place: tuple[float, float, float], *, below: bool, above: bool
) -> Axes:
    """Draw a colour bar with the fade, the threshold, and arrows where data exceed the scale."""
    left, top, width = place
    axes = add_axes(figure, left, top + 0.18, width, BAR_HEIGHT)
    values = np.linspace(scale.vmin, scale.vmax, 512)
    ground = np.broadcast_to(to_rgb(UNDERLAY), (1, 512, 3))
    picture = over(scale.rgba(values)[None], ground)
    axes.imshow(picture, extent=(scale.vmin, scale.vmax, 0, 1), aspect="auto", interpolation="nearest")
    tip = 0.12 * (scale.vmax - scale.vmin) / width
    for wanted, edge, sign, color in (
        (below, scale.vmin, -1, picture[0, 0]),
        (above, scale.vmax, 1, picture[0, -1]),
    ):
        if wanted:
            corners = [(edge, 0), (edge + sign * tip, 0.5), (edge, 1)]
            axes.add_patch(Polygon(corners, facecolor=color, edgecolor="none", clip_on=False))
    _mark_thresholds(axes, scale)
    axes.set(xlim=(scale.vmin, scale.vmax), ylim=(0, 1), yticks=[])
    axes.xaxis.set_major_locator(MaxNLocator(4, steps=[1, 2, 2.5, 5, 10]))
    axes.tick_params(axis="x", length=2.5, pad=2, width=0.6)
    for side in axes.spines.values():
        side.set_visible(False)
    axes.set_title(scale.label, size=8.5, pad=4, color=INK)
    return axes


def _mark_thresholds(axes: Axes, scale: ColorScale) -> None:
    if scale.threshold is None:
        return
    marks = (-scale.threshold, scale.threshold) if scale.two_sided else (scale.threshold,)
    for mark in marks:
        axes.plot([mark, mark], [-0.25, 1.25], color=INK, linewidth=1.1, clip_on=False, solid_capstyle="butt")
        if mark > 0:
            text = f"threshold {'±' if scale.two_sided else ''}{mark:g}"
            axes.annotate(
                text,
                (mark, -0.25),
                xytext=(0, -13),
                textcoords="offset points",
                size=7,
                color=MUTED,
                ha="center",
                va="top",
                annotation_clip=False,
            )


def winner_legend_size(scale: WinnerScale, room: float) -> tuple[float, float, int]:
    """Return the size of the legend of a winner map."""
    step = _column_width(scale)
    n_columns = max(1, min(len(scale.names), int(room / step)))
    width = max(n_columns * step, text_width(_heading(scale), 7.5) + 0.1)
    return width, 0.24 + LEGEND_ROW * -(-len(scale.names) // n_columns), n_columns


def draw_winner_legend(figure: Figure, scale: WinnerScale, place: tuple[float, float], *, n_columns: int) -> None:
    """Draw a ramp per feature space, from a tie to a clear win, beside its name."""
    left, top = place
    ramp = np.linspace(0, scale.margin, 64)
    for rank, name in enumerate(scale.names):
        x = left + (rank % n_columns) * _column_width(scale)
        y = top + 0.2 + (rank // n_columns) * LEGEND_ROW
        axes = add_axes(figure, x, y, 0.6, BAR_HEIGHT)
        colors = scale.rgba(np.full(64, rank), ramp, np.full(64, 2 * scale.threshold))
        axes.imshow(colors[None, :, :3], aspect="auto", extent=(0, 1, 0, 1))
        axes.set_axis_off()
        axes.text(1.12, 0.5, shortened(name, NAME_ROOM, 8.5), transform=axes.transAxes, va="center", size=8.5)
    width, height = figure.get_size_inches()
    figure.text(left / width, 1 - (top + 0.06) / height, _heading(scale), size=7.5, color=MUTED, va="center")


def _heading(scale: WinnerScale) -> str:
    return f"best space, pale = tie, full = ahead by {scale.margin:g} or more in {scale.label}"


def _column_width(scale: WinnerScale) -> float:
    return 0.95 + max(text_width(shortened(name, NAME_ROOM, 8.5), 8.5) for name in scale.names)


def draw_uncovered_key(figure: Figure, left: float, top: float, text: str) -> None:
    """Draw the key for cortex without measurements."""
    axes = add_axes(figure, left, top, 0.22, BAR_HEIGHT)
    axes.set_axis_off()
    swatch = Rectangle((0, 0), 1, 1, facecolor=UNCOVERED, edgecolor="#C4C4C0", hatch="/////", linewidth=0.6)
    axes.add_patch(swatch)
    axes.text(1.25, 0.5, text, transform=axes.transAxes, size=7.5, color=MUTED, va="center")

"""Colour bars and legends, on axes of their own so that they never shrink a brain."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Polygon, Rectangle
from matplotlib.ticker import MaxNLocator

from .figure import INK, MUTED, SLIM, UNCOVERED, UNDERLAY, add_axes, shortened, text_width
from .panels import EDGE, Drawn
from .scales import TIE, ColorScale, PairScale, WinnerScale

BAR_HEIGHT = 0.13  # inch
LEGEND_ROW = 0.2  # inch
RAMP = 0.45  # inch, from a small lead to a clear one
FOOTER = 0.74  # inch
NOTE, NOTE_LINE = 8.0, 0.165  # points and inches of the notes beside a legend
TIE_NAME = "tie"  # above chance, no space is ahead
MOST_LABELS = 40
SQUARE = 0.85  # inch, legend of a pair of maps
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
                size=NOTE,
                color=MUTED,
                ha="center",
                va="top",
                annotation_clip=False,
            )


def number_footer(values: np.ndarray, scale: ColorScale, width: float, note: str, *, faded: bool = False) -> Drawn:
    """Colour bar of a map of numbers, with notes at its left."""
    finite = np.asarray(values)[np.isfinite(values)]
    bar = min(0.36 * 9.0, (0.44 if width < SLIM else 0.48) * width)
    if not scale.two_sided:
        note += f"\nat or below {max(scale.vmin, 0):g}: not coloured"
    note += "\nfaded: did not pass" if faded else ""

    below, above = scale.two_sided and bool((finite < scale.vmin).any()), bool((finite > scale.vmax).any())
    counts = len(finite), np.size(values)

    def draw(figure: Figure, left: float, top: float) -> None:
        x = left + ((width - bar) / 2 if width > 8 else width - bar - 0.35)
        draw_color_bar(figure, scale, (x, top + 0.02, bar), below=below, above=above)
        _write_note(figure, left, top, note, n_covered=counts[0], n=counts[1])

    key = ("number", scale, note, below, above, counts[0] < counts[1])
    return Drawn(width, max(FOOTER, 0.22 + NOTE_LINE * (note.count("\n") + 1)), draw, key=key)


def winner_footer(scale: WinnerScale, width: float, note: str, *, ties: bool = False) -> Drawn:
    """Ramps of a winner map, with notes at their left, or below them in narrow figures."""
    slim = width < SLIM
    wide, high, n_columns = winner_legend_size(scale, width - (2 * EDGE if slim else 2.7), ties=ties)
    note += "\nnot coloured: no space can be named"
    place = (EDGE, high + 0.04) if slim else (width - wide - EDGE, 0.0)

    def draw(figure: Figure, left: float, top: float) -> None:
        legend = (left + place[0], top + 0.06)
        draw_winner_legend(figure, scale, legend, n_columns=n_columns, ties=ties)
        _write_note(figure, left, top + place[1], note)

    tall = high + 0.1 + (NOTE_LINE * (note.count("\n") + 1) if slim else 0.1)
    return Drawn(width, max(tall, FOOTER), draw, key=("winner", scale, note, ties))


def pair_footer(scale: PairScale, width: float, note: str) -> Drawn:
    """Square legend of two maps, with notes at its left."""

    def draw(figure: Figure, left: float, top: float) -> None:
        place = left + width - SQUARE - 0.4 - text_width(scale.names[0], 8), top + 0.22
        draw_square(figure, scale, place)
        _write_note(figure, left, top, note)

    return Drawn(width, SQUARE + 0.66, draw, key=("pair", scale, note))


def labels_footer(entries: Sequence[tuple[str, str]], width: float, note: str) -> Drawn:
    """Names of labels beside their colours; of many labels only their number."""
    shown = list(entries) if len(entries) <= MOST_LABELS else []
    wide = 0.42 + max((text_width(name, 8) for name, _ in shown), default=0)
    n_columns = max(1, int((width - 2 * EDGE) / wide))
    n_rows = -(-len(shown) // n_columns)
    note += "" if shown else f"\n{len(entries)} labels"
    head = NOTE_LINE * (note.count("\n") + 1) + 0.1

    def draw(figure: Figure, left: float, top: float) -> None:
        _write_note(figure, left, top - 0.08, note)
        for rank, (name, color) in enumerate(shown):
            row, column = divmod(rank, n_columns)
            place = left + EDGE + column * wide, top + head + row * LEGEND_ROW
            axes = add_axes(figure, *place, 0.22, BAR_HEIGHT)
            axes.set_axis_off()
            axes.add_patch(Rectangle((0, 0), 1, 1, facecolor=color, edgecolor="none"))
            axes.text(1.25, 0.5, name, transform=axes.transAxes, size=8, va="center")

    return Drawn(width, head + LEGEND_ROW * n_rows + 0.05, draw)


def draw_square(figure: Figure, scale: PairScale, place: tuple[float, float]) -> Axes:
    """Draw the square of a pair of maps: both axes from 0 to the same limit."""
    axes = add_axes(figure, *place, SQUARE, SQUARE)
    values = np.linspace(0, scale.vmax, 64)
    first, second = np.meshgrid(values, values)
    picture = over(scale.rgba(first, second), np.broadcast_to(to_rgb(UNDERLAY), (64, 64, 3)))
    axes.imshow(picture, extent=(0, scale.vmax, 0, scale.vmax), origin="lower", aspect="auto")
    axes.set(xticks=[0, scale.vmax], yticks=[0, scale.vmax])
    axes.tick_params(length=2, pad=2, width=0.6)
    across, up = (shortened(name, SQUARE + 0.2, 8, bold=True) for name in scale.names)
    axes.set_xlabel(across, color=scale.colors[0], size=8, weight="bold", labelpad=0)
    axes.set_ylabel(up, color=scale.colors[1], size=8, weight="bold", labelpad=0)
    axes.set_title(scale.label, size=NOTE, color=MUTED, pad=7)
    return axes


def _write_note(figure: Figure, left: float, top: float, note: str, *, n_covered: int = 1, n: int = 1) -> None:
    width, height = figure.get_size_inches()
    place = (left + EDGE) / width, 1 - (top + 0.06) / height
    figure.text(*place, note, size=NOTE, color=MUTED, va="top", linespacing=1.5)
    if n_covered < n and "vertices" in note:
        draw_uncovered_key(figure, left + EDGE, top + 0.1 + NOTE_LINE * (note.count("\n") + 1), "not covered")


def winner_legend_size(scale: WinnerScale, room: float, *, ties: bool = False) -> tuple[float, float, int]:
    """Return the size of the legend of a winner map."""
    step, n = _column_width(scale), len(scale.names) + ties
    n_columns = max(1, min(n, int(room / step)))
    width = max(n_columns * step, text_width(_heading(scale), NOTE) + 0.1)
    return width, 0.24 + LEGEND_ROW * -(-n // n_columns), n_columns


def draw_winner_legend(
    figure: Figure, scale: WinnerScale, place: tuple[float, float], *, n_columns: int, ties: bool = False
) -> None:
    """Draw a ramp per feature space, from a small lead to a clear one, beside its name; and the colour of ties."""
    left, top = place
    ramp = np.linspace(0, scale.margin, 64)
    entries = [*enumerate(scale.names), *([(TIE, TIE_NAME)] if ties else [])]
    for rank, (number, name) in enumerate(entries):
        x = left + (rank % n_columns) * _column_width(scale)
        y = top + 0.2 + (rank // n_columns) * LEGEND_ROW
        axes = add_axes(figure, x, y, RAMP, BAR_HEIGHT)
        colors = scale.rgba(np.full(64, number), ramp, np.full(64, 2 * scale.threshold))
        axes.imshow(colors[None, :, :3], aspect="auto", extent=(0, 1, 0, 1))
        axes.set_axis_off()
        axes.text(1.16, 0.5, shortened(name, NAME_ROOM, 8.5), transform=axes.transAxes, va="center", size=8.5)
    width, height = figure.get_size_inches()
    figure.text(left / width, 1 - (top + 0.06) / height, _heading(scale), size=NOTE, color=MUTED, va="center")


def _heading(scale: WinnerScale) -> str:
    return f"best space, pale = small lead, full = ahead by {scale.margin:g} or more in {scale.label}"


def _column_width(scale: WinnerScale) -> float:
    return RAMP + 0.25 + max(text_width(shortened(name, NAME_ROOM, 8.5), 8.5) for name in scale.names)


def draw_uncovered_key(figure: Figure, left: float, top: float, text: str) -> None:
    """Draw the key for cortex without measurements."""
    axes = add_axes(figure, left, top, 0.22, BAR_HEIGHT)
    axes.set_axis_off()
    swatch = Rectangle((0, 0), 1, 1, facecolor=UNCOVERED, edgecolor="#C4C4C0", hatch="/////", linewidth=0.6)
    axes.add_patch(swatch)
    axes.text(1.25, 0.5, text, transform=axes.transAxes, size=NOTE, color=MUTED, va="center")

"""Maps in volumes, drawn as labelled slices without interpolation."""

from collections.abc import Callable
from functools import partial

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

from ..core.errors import DataError
from .figure import FAINT, INK, MUTED, UNDERLAY, add_axes, styled, title_height, write_title
from .legend import draw_color_bar, draw_winner_legend, over, winner_legend_size
from .scales import ColorScale, WinnerScale, fade_failed
from .slices import CUTS, Background, Slab, choose_slices, sample_background, trace_voxels, turn_upright

LETTERS = ("x", "y", "z")
EDGE = 0.14  # inch
GAP = 0.06  # inch between slices
WIDTH = 9.0  # inch
NARROW = 6.6  # inch, of a figure with a single slice
LARGEST = 5.2  # inch, width of one slice
HIGHEST = 4.2  # inch, height of one slice
FOOTER = 0.8  # inch


@styled
def draw_slices(  # noqa: PLR0913 - what is shown, where, and what passed
    volume: np.ndarray,
    affine: np.ndarray,
    scale: ColorScale,
    *,
    background: Background = None,
    mask: np.ndarray | None = None,
    n_slices: int = 12,
    cut: str = "axial",
    title: str = "",
    passed: np.ndarray | None = None,
) -> Figure:
    """Draw a map as slices through the part of the volume that has data; left is left.

    Shapes: `volume` (x, y, z), `affine` (4, 4), `mask` (x, y, z).
    """
    volume = np.asarray(volume, dtype=float)
    covered = np.isfinite(volume) if mask is None else np.asarray(mask) > 0
    shown = {"map": volume} if passed is None else {"map": volume, "passed": np.asarray(passed, dtype=float)}
    slab, turned = turn_upright(shown, covered, affine, cut, title)
    ground = sample_background(slab, background, affine)

    def paint(index: int) -> np.ndarray:
        colors = scale.rgba(slab.take(turned["map"], index))
        return colors if passed is None else fade_failed(colors, slab.take(turned["passed"], index))

    figure, foot = _draw_mosaic(slab, paint, ground, n_slices, title=title, footer=FOOTER)
    finite = volume[np.isfinite(volume)]
    width = figure.get_size_inches()[0]
    bar = min(0.36 * WIDTH, 0.5 * width)
    draw_color_bar(
        figure,
        scale,
        ((width - bar) / 2 if width > 8 else width - bar - 0.35, foot + 0.05, bar),
        below=scale.two_sided and bool((finite < scale.vmin).any()),
        above=bool((finite > scale.vmax).any()),
    )
    floor = "" if scale.two_sided else f"\nat or below {max(scale.vmin, 0):g}: not coloured"
    floor += "" if passed is None else ("; " if floor else "\n") + "faded: did not pass"
    _write_note(figure, slab, foot, floor)
    return figure


@styled
def draw_winner_slices(
    winner: np.ndarray,
    margin: np.ndarray,
    accuracy: np.ndarray,
    affine: np.ndarray,
    scale: WinnerScale,
    *,
    background: Background = None,
    n_slices: int = 12,
    title: str = "",
) -> Figure:
    """Draw which feature space predicts best where, as axial slices.

    Shapes: `winner` (x, y, z), `margin` (x, y, z), `accuracy` (x, y, z), `affine` (4, 4).
    """
    winner = np.asarray(winner, dtype=int)
    if winner.size and (winner.min() < -1 or winner.max() >= len(scale.names)):
        raise DataError(
            f"Winner map {title!r}: indices reach from {winner.min()} to {winner.max()}, but there are "
            f"{len(scale.names)} names; -1 stands for no winner."
        )
    arrays = {"winner": winner, "margin": np.asarray(margin, float), "accuracy": np.asarray(accuracy, float)}
    slab, turned = turn_upright(arrays, np.isfinite(arrays["accuracy"]), affine, "axial", title)

    def paint(index: int) -> np.ndarray:
        best, ahead, height = (slab.take(turned[name], index) for name in ("winner", "margin", "accuracy"))
        return scale.rgba(best.astype(int), ahead, height)

    wide, high, n_columns = winner_legend_size(scale, NARROW - 2.4)
    height = max(high + 0.2, FOOTER)
    ground = sample_background(slab, background, affine)
    figure, foot = _draw_mosaic(slab, paint, ground, n_slices, title=title, footer=height)
    left = figure.get_size_inches()[0] - wide - EDGE
    draw_winner_legend(figure, scale, (left, foot + 0.1), n_columns=n_columns)
    _write_note(figure, slab, foot, "\nnot coloured: no space can be named")
    return figure


def _draw_mosaic(
    slab: Slab,
    paint: Callable[[int], np.ndarray],
    ground: Callable[[int], np.ndarray] | None,
    n_slices: int,
    *,
    title: str,
    footer: float,
) -> tuple[Figure, float]:
    """Draw the slices; return the figure and the top of its footer in inches."""
    axis = CUTS[slab.cut][0]
    chosen = choose_slices(slab.covered.sum(axis=tuple({0, 1, 2} - {axis})), n_slices)
    extent = slab.extent()
    wide, high = extent[1] - extent[0], extent[3] - extent[2]
    n_columns = _columns(len(chosen), wide / high)
    n_rows = -(-len(chosen) // n_columns)
    single = len(chosen) == 1
    inset = 0.5 if single else 0.0  # room for the axes in mm, which only a single slice has
    inch = min((WIDTH - 2 * EDGE - GAP * (n_columns - 1)) / n_columns / wide, HIGHEST / high, LARGEST / wide)
    panel = wide * inch, high * inch
    title, _, subtitle = title.partition("\n")
    content = n_columns * panel[0] + GAP * (n_columns - 1)
    width = WIDTH if content > 5.5 else max(content + 2 * EDGE + inset, NARROW)
    top = title_height(title, subtitle) + 0.14
    label = 0.2
    total = top + n_rows * (panel[1] + label) + (n_rows - 1) * GAP + inset + footer
    figure = Figure(figsize=(width, total))
    write_title(figure, title, subtitle=subtitle)
    left = (width - content) / 2
    for rank, index in enumerate(chosen):
        row, column = divmod(rank, n_columns)
        x, y = left + column * (panel[0] + GAP), top + row * (panel[1] + label + GAP) + label
        axes = add_axes(figure, x, y, *panel)
        _paint_slice(axes, slab, index, paint(index), ground)
        _label_slice(axes, slab, index, with_sides=column == 0 and row == 0, with_ticks=single)
    return figure, top + n_rows * (panel[1] + label) + (n_rows - 1) * GAP + inset


def _columns(n_slices: int, aspect: float) -> int:
    """Choose the number of slices per row: few enough to be legible, in rows that are nearly full."""
    most = max(1, min(n_slices, 6 if aspect < 1.4 else 4))
    n_rows = -(-n_slices // most)
    return -(-n_slices // n_rows)


def _paint_slice(axes: Axes, slab: Slab, index: int, colors: np.ndarray, ground: Callable | None) -> None:
    """Paint background, covered voxels and data, each with hard edges where its voxels end."""
    extent = slab.extent()
    covered = slab.take(slab.covered, index)
    show = partial(axes.imshow, extent=extent, origin="lower", interpolation="nearest")
    if ground is None:
        plain = np.where(covered[..., None], to_rgb(UNDERLAY), to_rgb("white"))
        show(over(np.where(covered[..., None], colors, 0), plain))
    else:
        grey = ground(index)
        tissue = np.clip(grey / 0.1, 0, 1)  # air is white, so that slices stand on the page
        tone = tissue * (0.46 + 0.48 * grey) + (1 - tissue)
        show(np.repeat(tone[..., None], 3, axis=2))
        show(np.where(covered[..., None], colors, 0))
    axes.add_collection(LineCollection(trace_voxels(covered, extent), colors="#8B9096", linewidths=0.6, clip_on=False))
    axes.set(xlim=extent[:2], ylim=extent[2:])
    axes.set_label(f"{slab.cut} {slab.position(index):g}")


def _label_slice(axes: Axes, slab: Slab, index: int, *, with_sides: bool, with_ticks: bool) -> None:
    axis, across, up = CUTS[slab.cut]
    text = f"{LETTERS[axis]} = {_mm(slab.position(index))} mm"
    axes.set_title(text, size=7.5, color=MUTED, pad=3)
    for side in axes.spines.values():
        side.set_visible(False)
    if with_ticks:
        axes.set_xlabel(f"{LETTERS[across]} (mm)")
        axes.set_ylabel(f"{LETTERS[up]} (mm)")
        axes.locator_params(nbins=6)
        axes.tick_params(length=2.5, width=0.6, color=FAINT)
    else:
        axes.set(xticks=[], yticks=[])
    if with_sides:
        ends = ("L", "R") if across == 0 else ("P", "A")
        for place, end in zip((0.0, 1.0), ends, strict=True):
            axes.text(
                place,
                1.0,
                end,
                transform=axes.transAxes,
                ha="left" if place == 0 else "right",
                va="bottom",
                size=9,
                weight="bold",
                color=INK,
            )


def _mm(position: float) -> str:
    text = f"{position:.1f}".rstrip("0").rstrip(".")
    return "0" if text == "-0" else text.replace("-", "\N{MINUS SIGN}")


def _write_note(figure: Figure, slab: Slab, foot: float, note: str) -> None:
    width, height = figure.get_size_inches()
    size = " \N{MULTIPLICATION SIGN} ".join(f"{zoom:.3g}" for zoom in slab.zooms)
    text = f"{int(slab.covered.sum()):,} voxels of {size} mm{note}"
    figure.text(EDGE / width, 1 - (foot + 0.15) / height, text, size=7.5, color=MUTED, va="top", linespacing=1.5)

"""Maps in volumes, drawn as labelled slices without interpolation."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from hashlib import sha256

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from scipy import ndimage

from .cuts import LETTERS, Cuts, choose_cuts, find_clusters
from .figure import FAINT, INK, MUTED, UNDERLAY, add_axes, halo, shortened, styled
from .layers import Layer, number_layer, winner_layer
from .legend import number_footer, over, winner_footer
from .panels import EDGE, Drawn, Painting, stack
from .scales import ColorScale, WinnerScale
from .slices import CUTS, Background, Slab, choose_slices, sample_background, trace_voxels, turn_upright
from .surface import require_names

Ground = Callable[[int], np.ndarray] | None  # Brightness below a slice, 0 to 1
BORDER = "#8B9096"  # of what was measured
POINTS = 72  # in an inch
OUTLINE = "_outline "  # before the names of regions, among the arrays of a layer
NAME_ROOM = 1.0  # inch
GAP = 0.06  # inch between slices
WIDTH = 9.0  # inch
NARROW = 6.6  # inch, of a figure with a single slice
LARGEST = 5.2  # inch, width of one slice
HIGHEST = 4.2  # inch, height of one slice
LABEL = 0.2  # inch, position above a slice
PATCHY = 3  # times as many edges of voxels as the outer border has
LINE = 1 / 3  # of the strongest value: peaks above this are cut through where no line is given
GLASS_HEIGHT = 1.75  # inch
SIDES = {"axial": "all, from above", "coronal": "all, from behind", "sagittal": "all, from the right"}


@dataclass(frozen=True, eq=False)
class VolumeStyle:
    """Which slices of a volume are drawn, and how large."""

    slices: int | tuple[str, ...] = 18  # The most, or positions such as "z=-9"
    glass: bool = True  # Projections through the whole volume above the slices
    mni: bool = False  # Whether coordinates are those of MNI space, so that named structures can be found
    width: float = WIDTH  # inch
    background: Background = field(default=None, repr=False)  # What slices are drawn on
    outlines: Mapping[str, np.ndarray] = field(default_factory=dict, repr=False)  # (x, y, z) Regions by name


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
    """Draw a map as evenly spread slices in one plane; left is left.

    Shapes: `volume` (x, y, z), `affine` (4, 4), `mask` (x, y, z).
    """
    volume = np.asarray(volume, dtype=float)
    covered = np.isfinite(volume) if mask is None else np.asarray(mask) > 0
    layer = number_layer(volume, scale, passed)
    slab, turned = turn_upright(dict(layer.arrays), covered, affine, cut, title)
    mosaic = _mosaic(slab, layer, turned, sample_background(slab, background, affine), n_slices)
    footer = number_footer(volume, scale, mosaic.width, _voxels(slab), faded=passed is not None)
    title, _, subtitle = title.partition("\n")
    return stack([mosaic, footer], title=title, subtitle=subtitle, width=mosaic.width)


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
    winner = require_names(winner, scale, title)
    layer = winner_layer(winner, margin, accuracy, scale)
    slab, turned = turn_upright(dict(layer.arrays), np.isfinite(layer.arrays["accuracy"]), affine, "axial", title)
    mosaic = _mosaic(slab, layer, turned, sample_background(slab, background, affine), n_slices)
    footer = winner_footer(scale, mosaic.width, _voxels(slab), ties=bool((winner == -2).any()))
    title, _, subtitle = title.partition("\n")
    return stack([mosaic, footer], title=title, subtitle=subtitle, width=mosaic.width)


def volume_blocks(
    layer: Layer, affine: np.ndarray, style: VolumeStyle, title: str = ""
) -> tuple[list[Drawn], Cuts, str]:
    """Lay out a glass brain and slices of all planes; return them, the cuts, and a note on the voxels.

    Shapes: arrays of `layer` (x, y, z), `affine` (4, 4).
    """
    slab, turned, strength, above = _turned(layer, affine, title, style.outlines)
    clusters = find_clusters(strength, above, slab.affine)
    regions = {name: turned[OUTLINE + name] > 0.5 for name in style.outlines}
    cuts = choose_cuts(slab, clusters, style.slices, structures=style.mni, regions=regions)
    blocks = []
    if style.glass and len({cut.plane for cut in cuts.cuts}) > 1:
        blocks.append(_glass(slab, layer, turned, np.where(above, strength, -np.inf), style.width))
    for plane in CUTS:
        row = [cut for cut in cuts.cuts if cut.plane == plane]
        if row:
            ground = sample_background(slab.at(plane), style.background, affine)
            names = {cut.index: cut.name for cut in row}
            blocks.append(_row(slab.at(plane), layer, turned, ground, names=names, width=style.width, regions=regions))
    return blocks, cuts, _voxels(slab)


def glass_block(layer: Layer, affine: np.ndarray, width: float) -> Drawn:
    """Lay out projections through a volume along the three axes.

    Shapes: arrays of `layer` (x, y, z), `affine` (4, 4).
    """
    slab, turned, strength, above = _turned(layer, affine, "")
    return _glass(slab, layer, turned, np.where(above, strength, -np.inf), width, captions=False)


def _turned(
    layer: Layer, affine: np.ndarray, title: str, outlines: Mapping[str, np.ndarray] | None = None
) -> tuple[Slab, dict[str, np.ndarray], np.ndarray, np.ndarray]:
    """Reorient a layer and regions; return also its strength, and what is above the line."""
    extra = {"_strength": layer.strength}
    extra |= {OUTLINE + name: np.asarray(mask, dtype=float) for name, mask in (outlines or {}).items()}
    if layer.above is not None:
        extra["_above"] = layer.above
    slab, turned = turn_upright({**layer.arrays, **extra}, layer.measured, affine, "axial", title)
    strength = np.nan_to_num(turned["_strength"], nan=-np.inf)
    peak = float(strength[np.isfinite(strength)].max(initial=0))
    above = np.asarray(turned["_above"], bool) if layer.above is not None else np.zeros(slab.covered.shape, bool)
    if not above.any():  # nothing passed, or there is no line
        above = strength > max(LINE * peak, 1e-12)
    return slab, turned, strength, above & slab.covered


def _sampled(slab: Slab, layer: Layer, turned: dict[str, np.ndarray], index: int) -> np.ndarray:
    return layer.paint({name: slab.take(turned[name], index) for name in layer.arrays})[0]


def _row(
    slab: Slab,
    layer: Layer,
    turned: dict[str, np.ndarray],
    ground: Ground,
    *,
    names: dict[int, str],
    width: float,
    regions: Mapping[str, np.ndarray],
) -> Drawn:
    """Slices of one plane at one scale, in as many rows as they need."""
    extent = slab.extent()
    wide, high = extent[1] - extent[0], extent[3] - extent[2]
    n_columns = min(len(names), 6)
    n_rows = -(-len(names) // n_columns)
    inch = min((width - 2 * EDGE - GAP * (n_columns - 1)) / n_columns / wide, 2.1 / high)
    content = n_columns * wide * inch + GAP * (n_columns - 1)
    sizes = {name: [int(slab.take(mask, index).sum()) for index in names] for name, mask in regions.items()}
    largest = {name: list(names)[int(np.argmax(counts))] for name, counts in sizes.items()}

    panel = wide * inch, high * inch
    places = []  # of slices: left and upper edge, inches
    for rank in range(len(names)):
        row, column = divmod(rank, n_columns)
        x = (width - content) / 2 + column * (panel[0] + GAP)
        places.append((x, row * (panel[1] + LABEL + GAP) + LABEL))

    def put(figure: Figure, left: float, top: float, *, whole: bool) -> None:
        for (x, y), (index, name) in zip(places, names.items(), strict=True):
            axes = add_axes(figure, left + x, top + y, *panel)
            axes.patch.set_visible(whole)
            if whole:
                _paint_slice(axes, slab, index, _sampled(slab, layer, turned, index), ground)
            _frame_slice(axes, slab, index)
            _label_slice(axes, slab, index, with_sides=index == next(iter(names)), with_ticks=False)
            for region, mask in regions.items():
                told = region if largest[region] == index else ""
                _outline(axes, slab.take(mask, index), slab.extent(), told, line=whole)
            if name:
                axes.text(
                    0.5, -0.01, name, transform=axes.transAxes, size=7.5, color=MUTED, ha="center", va="top"
                )  # fmt: skip

    def pixels(index: int, dpi: float) -> np.ndarray:
        shape = round(panel[1] * dpi), round(panel[0] * dpi)
        colors, covered = _sampled(slab, layer, turned, index), slab.take(slab.covered, index)
        picture = _fitted(_ground_of(covered, ground, index), shape)
        picture = over(_fitted(np.where(covered[..., None], colors, 0), shape), picture)
        _draw_edge(picture, _fitted(_bordered(covered), shape), BORDER, 0.6 * dpi / POINTS)
        for mask in regions.values():
            inside = _fitted(slab.take(mask, index), shape)
            _draw_edge(picture, inside, "black", 1.6 * dpi / POINTS, 0.6)
            _draw_edge(picture, inside, "white", 0.8 * dpi / POINTS)
        return np.round(255 * np.clip(picture, 0, 1)).astype(np.uint8)

    paintings = tuple(
        Painting(x + panel[0] / 2, y + panel[1] / 2, partial(pixels, index))
        for (x, y), index in zip(places, names, strict=True)
    )
    shown = tuple((name, sha256(mask.tobytes()).hexdigest()) for name, mask in regions.items())
    window = tuple((side.start, side.stop) for side in slab.window)
    key = ("slices", slab.cut, slab.affine.tobytes(), window, tuple(names.items()), shown)
    height = n_rows * (panel[1] + LABEL) + (n_rows - 1) * GAP + 0.08
    return Drawn(width, height, partial(put, whole=True), paintings, partial(put, whole=False), key)


def _outline(
    axes: Axes, inside: np.ndarray, extent: tuple[float, float, float, float], name: str, *, line: bool = True
) -> None:
    """Draw the border of a region along voxels, if `line`, and its name above its largest part."""
    if not inside.any():
        return
    if line:
        lines = trace_voxels(inside, extent)
        axes.add_collection(LineCollection(lines, colors="black", linewidths=1.6, alpha=0.6, capstyle="round"))
        axes.add_collection(LineCollection(lines, colors="white", linewidths=0.8, capstyle="round"))
    if name:
        parts, _ = ndimage.label(inside)
        rows, columns = np.nonzero(parts == 1 + np.argmax(np.bincount(parts.ravel())[1:]))
        x = extent[0] + (columns.mean() + 0.5) * (extent[1] - extent[0]) / inside.shape[1]
        y = extent[2] + (rows.max() + 1.5) * (extent[3] - extent[2]) / inside.shape[0]
        axes.text(
            x, y, shortened(name, NAME_ROOM, 7), size=7, color=INK, ha="center", va="bottom", path_effects=halo(1.6)
        )


def _glass(
    slab: Slab,
    layer: Layer,
    turned: dict[str, np.ndarray],
    strength: np.ndarray,
    width: float,
    *,
    captions: bool = True,
) -> Drawn:
    """Projections along the three axes: the strongest voxel above the line on each line of sight."""
    spans = {}
    for plane in CUTS:
        left, right, bottom, top = slab.at(plane).extent()
        spans[plane] = right - left, top - bottom
    content = sum(wide for wide, _ in spans.values())
    tallest = max(high for _, high in spans.values())
    edge, gap, label = (EDGE, 2 * GAP, LABEL) if captions else (0.0, 0.03, 0.0)
    inch = min((width - 2 * edge - 2 * gap) / content, GLASS_HEIGHT / tallest)

    places, x = {}, (width - content * inch - 2 * gap) / 2
    for plane, (wide, high) in spans.items():
        places[plane] = x, label + (tallest - high) * inch / 2, wide * inch, high * inch
        x += wide * inch + gap

    def put(figure: Figure, left: float, top: float, *, whole: bool) -> None:
        for plane, (x, y, wide, high) in places.items():
            axes = add_axes(figure, left + x, top + y, wide, high)
            axes.patch.set_visible(whole)
            extent = slab.at(plane).extent()
            if whole:
                picture, covered = _through(slab.at(plane), layer, turned, strength)
                # Matplotlib's outermost pixels are half transparent and black: white ones around them are cut off.
                (left_end, right_end, low, high_end), (across, up) = extent, CUTS[plane][1:]
                wide_by, high_by = (float(slab.zooms[axis]) for axis in (across, up))
                rim = (left_end - wide_by, right_end + wide_by, low - high_by, high_end + high_by)
                wider = np.pad(picture, ((1, 1), (1, 1), (0, 0)), mode="edge")
                axes.imshow(wider, extent=rim, origin="lower", interpolation="nearest")
                lines = LineCollection(_border(covered, extent), colors=BORDER, linewidths=0.6, clip_on=False)
                axes.add_collection(lines)
            axes.set(xlim=extent[:2], ylim=extent[2:], xticks=[], yticks=[])
            axes.set_label(f"glass {plane}")
            if captions:
                axes.set_title(SIDES[plane], size=7.5, color=MUTED, pad=3)
            _frame(axes, CUTS[plane][1] if captions else -1)

    def pixels(plane: str, dpi: float) -> np.ndarray:
        shape = round(places[plane][3] * dpi), round(places[plane][2] * dpi)
        picture, covered = _through(slab.at(plane), layer, turned, strength)
        picture = _fitted(picture, shape)
        _draw_edge(picture, _fitted(_bordered(covered), shape), BORDER, 0.6 * dpi / POINTS)
        return np.round(255 * np.clip(picture, 0, 1)).astype(np.uint8)

    paintings = tuple(
        Painting(x + wide / 2, y + high / 2, partial(pixels, plane)) for plane, (x, y, wide, high) in places.items()
    )
    key = ("glass", tuple(places.items()), captions)
    height = tallest * inch + label + 0.04
    return Drawn(width, height, partial(put, whole=True), paintings, partial(put, whole=False), key)


def _through(
    slab: Slab, layer: Layer, turned: dict[str, np.ndarray], strength: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Colour the strongest voxel above the line on each line of sight; return also where voxels were measured."""
    axis, across, up = CUTS[slab.cut]
    highest = np.argmax(strength, axis=axis, keepdims=True)
    window = (slab.window[across], slab.window[up])

    def seen(array: np.ndarray) -> np.ndarray:
        return np.take_along_axis(array, highest, axis=axis).squeeze(axis)[window].swapaxes(0, 1)

    covered = np.asarray(slab.covered.any(axis=axis))[window].swapaxes(0, 1)
    colors, _ = layer.paint({name: seen(turned[name]) for name in layer.arrays})
    colors[np.isneginf(seen(strength)), :] = 0
    plain = np.where(covered[..., None], 0.93, 1.0) * np.ones(3)
    return over(np.where(covered[..., None], colors, 0), plain), covered


def _frame(axes: Axes, across: int) -> None:
    for spine in axes.spines.values():
        spine.set_visible(False)
    ends = {0: ("L", "R"), 1: ("P", "A")}.get(across, ("", ""))
    for place, end in zip((0.0, 1.0), ends, strict=True):
        axes.text(
            place, 0.0, end, transform=axes.transAxes, ha="left" if place == 0 else "right", va="bottom", size=8,
            weight="bold", color=INK,
        )  # fmt: skip


def _mosaic(
    slab: Slab,
    layer: Layer,
    turned: dict[str, np.ndarray],
    ground: Ground,
    n_slices: int,
) -> Drawn:
    """Evenly spread slices of one plane; a single slice is large and has axes in mm."""
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
    content = n_columns * panel[0] + GAP * (n_columns - 1)
    width = WIDTH if content > 5.5 else max(content + 2 * EDGE + inset, NARROW)

    def draw(figure: Figure, left: float, top: float) -> None:
        x0 = left + (width - content) / 2
        for rank, index in enumerate(chosen):
            row, column = divmod(rank, n_columns)
            x, y = x0 + column * (panel[0] + GAP), top + row * (panel[1] + LABEL + GAP) + LABEL
            axes = add_axes(figure, x, y, *panel)
            _paint_slice(axes, slab, index, _sampled(slab, layer, turned, index), ground)
            _frame_slice(axes, slab, index)
            _label_slice(axes, slab, index, with_sides=column == 0 and row == 0, with_ticks=single)

    return Drawn(width, n_rows * (panel[1] + LABEL) + (n_rows - 1) * GAP + inset, draw)


def _columns(n_slices: int, aspect: float) -> int:
    """Choose the number of slices per row: few enough to be legible, in rows that are nearly full."""
    most = max(1, min(n_slices, 6 if aspect < 1.4 else 4))
    n_rows = -(-n_slices // most)
    return -(-n_slices // n_rows)


def _paint_slice(axes: Axes, slab: Slab, index: int, colors: np.ndarray, ground: Ground) -> None:
    """Paint background, covered voxels and data, each with hard edges where its voxels end."""
    covered = slab.take(slab.covered, index)
    show = partial(axes.imshow, extent=slab.extent(), origin="lower", interpolation="nearest")
    below, above = _ground_of(covered, ground, index), np.where(covered[..., None], colors, 0)
    if ground is None:
        show(over(above, below))
    else:  # the background has pixels of its own
        show(below)
        show(above)
    lines = LineCollection(_border(covered, slab.extent()), colors=BORDER, linewidths=0.6, clip_on=False)
    axes.add_collection(lines)


def _frame_slice(axes: Axes, slab: Slab, index: int) -> None:
    extent = slab.extent()
    axes.set(xlim=extent[:2], ylim=extent[2:])
    axes.set_label(f"{slab.cut} {slab.position(index):g}")


def _ground_of(covered: np.ndarray, ground: Ground, index: int) -> np.ndarray:
    """Colour what lies below the data: the background, or grey where voxels were measured, RGB from 0 to 1."""
    if ground is None:
        return np.where(covered[..., None], to_rgb(UNDERLAY), to_rgb("white"))
    grey = ground(index)
    tissue = np.clip(grey / 0.1, 0, 1)  # air is white, so that slices stand on the page
    return np.repeat((tissue * (0.46 + 0.48 * grey) + (1 - tissue))[..., None], 3, axis=2)


def _fitted(array: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Enlarge an array whose first row is at the bottom to pixels whose first row is at the top, with hard edges."""
    rows, columns = (
        ((np.arange(n) + 0.5) / n * size).astype(int) for n, size in zip(shape, array.shape[:2], strict=True)
    )
    return array[::-1][rows[:, None], columns[None, :]]


def _draw_edge(picture: np.ndarray, inside: np.ndarray, color: str, width: float, opacity: float = 1.0) -> None:
    """Draw the border of a mask of pixels, some pixels wide, in place."""
    edge = np.zeros(inside.shape, dtype=bool)
    edge[1:] |= inside[1:] != inside[:-1]
    edge[:, 1:] |= inside[:, 1:] != inside[:, :-1]
    edge[[0, -1]] |= inside[[0, -1]]
    edge[:, [0, -1]] |= inside[:, [0, -1]]
    size = max(1, round(width))
    if size > 1:
        edge = ndimage.maximum_filter(edge, size=size, origin=-(size // 2) + (size - 1) // 2)
    picture[edge] = opacity * np.array(to_rgb(color)) + (1 - opacity) * picture[edge]


def _border(covered: np.ndarray, extent: tuple[float, float, float, float]) -> list[np.ndarray]:
    """Trace what is covered, or its outer border."""
    return trace_voxels(_bordered(covered), extent)


def _bordered(covered: np.ndarray) -> np.ndarray:
    """Return the mask whose border is drawn: of a patchy map, whose own borders would hide it, what surrounds it."""
    closed = ndimage.binary_closing(np.pad(covered, 3), iterations=2)
    outer = ndimage.binary_fill_holes(closed)[3:-3, 3:-3]
    return outer if _n_edges(covered) > PATCHY * _n_edges(outer) else covered


def _n_edges(covered: np.ndarray) -> int:
    padded = np.pad(covered, 1)
    return int((padded[1:] != padded[:-1]).sum() + (padded[:, 1:] != padded[:, :-1]).sum())


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
                place, 1.0, end, transform=axes.transAxes, ha="left" if place == 0 else "right", va="bottom", size=9,
                weight="bold", color=INK,
            )  # fmt: skip


def _mm(position: float) -> str:
    text = f"{position:.1f}".rstrip("0").rstrip(".")
    return "0" if text == "-0" else text.replace("-", "\N{MINUS SIGN}")


def _voxels(slab: Slab) -> str:
    size = " \N{MULTIPLICATION SIGN} ".join(f"{zoom:.3g}" for zoom in slab.zooms)
    return f"{int(slab.covered.sum()):,} voxels of {size} mm"

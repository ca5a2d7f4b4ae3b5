"""Figures as pixels: paintings put in place, and lines and letters laid over them.

A report has dozens of maps that differ in their pixels only. Matplotlib draws what they share once (about 0.2 processor
seconds), and every further map is a look-up of colours and a copy.
"""

import io
from collections import OrderedDict
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass

import matplotlib as mpl
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image, PngImagePlugin

from .figure import LOOK, title_height, write_title
from .panels import Block, Drawn, place_below

MARGIN = 0.3  # inch around a block, for letters that stand outside of it
MOST = 64  # drawings of lines and letters that are kept
LEVEL = 3  # of compression: half the time of the usual 6, and a few percent larger
_KEPT: "OrderedDict[Hashable, Lettering]" = OrderedDict()


@dataclass(frozen=True, eq=False)
class Lettering:
    """Lines and letters of a block: the pixels that they cover."""

    row: np.ndarray  # (n,) Of the pixel, from the upper edge of the block; negative in its margin
    column: np.ndarray  # (n,) From its left edge
    color: np.ndarray  # (n, 3) Colour times opacity, 0 to 255
    clear: np.ndarray  # (n, 1) What is seen of the pixels below, 0 to 1

    def lay_over(self, pixels: np.ndarray, left: int, top: int) -> None:
        """Blend into a picture (rows, columns, 3), in place."""
        row, column = self.row + top, self.column + left
        inside = (row >= 0) & (row < pixels.shape[0]) & (column >= 0) & (column < pixels.shape[1])
        place = row[inside], column[inside]
        pixels[place] = np.round(self.color[inside] + self.clear[inside] * pixels[place])


def compose(blocks: Sequence[Block], *, title: str = "", subtitle: str = "", width: float, dpi: float) -> np.ndarray:
    """Paint blocks below each other, as `stack` draws them; return RGB, (rows, columns, 3), uint8."""
    tops, height = place_below(blocks, title, subtitle)
    pixels = np.full((round(height * dpi), round(width * dpi), 3), 255, dtype=np.uint8)
    with mpl.rc_context(LOOK):
        if title:
            head = Drawn(width, title_height(title, subtitle), lambda figure, *_: _write(figure, title, subtitle))
            _lettering(head, dpi, margin=0.0).lay_over(pixels, 0, 0)
        for block, edge in zip(blocks, tops, strict=True):
            left, top = round((width - block.width) / 2 * dpi), round(edge * dpi)
            for painting in getattr(block, "paintings", ()):
                picture = painting.paint(dpi)
                rows, columns = picture.shape[:2]
                _put(
                    pixels,
                    picture,
                    round(left + painting.x * dpi - columns / 2),
                    round(top + painting.y * dpi - rows / 2),
                )
            _lettering(block, dpi).lay_over(pixels, left, top)
    return pixels


def to_png(pixels: np.ndarray, *, dpi: float, text: Mapping[str, str] | None = None) -> bytes:
    """Encode RGB pixels, with `text` in the header; equal pixels give equal bytes."""
    header = PngImagePlugin.PngInfo()
    for key, value in (text or {}).items():
        header.add_itxt(key, value)
    target = io.BytesIO()
    Image.fromarray(pixels).save(target, "PNG", compress_level=LEVEL, dpi=(dpi, dpi), pnginfo=header)
    return target.getvalue()


def _write(figure: Figure, title: str, subtitle: str) -> None:
    write_title(figure, title, subtitle=subtitle)


def _put(pixels: np.ndarray, picture: np.ndarray, left: int, top: int) -> None:
    """Copy a picture to a place; what lies outside is cut."""
    low, start = (max(top, 0), max(left, 0)), (max(-top, 0), max(-left, 0))
    part = picture[start[0] : start[0] + pixels.shape[0] - low[0], start[1] : start[1] + pixels.shape[1] - low[1]]
    pixels[low[0] : low[0] + part.shape[0], low[1] : low[1] + part.shape[1]] = part


def _lettering(block: Block, dpi: float, margin: float = MARGIN) -> Lettering:
    key = getattr(block, "key", None)
    place = None if key is None else (key, block.width, block.height, dpi)
    if place is not None and place in _KEPT:
        _KEPT.move_to_end(place)
        return _KEPT[place]
    edge = round(margin * dpi)
    # Whole pixels: half of one would move everything, since matplotlib counts from the lower edge.
    size = [int(np.ceil(side * dpi)) + 2 * edge for side in (block.width, block.height)]
    figure = Figure(figsize=(size[0] / dpi, size[1] / dpi), dpi=dpi, facecolor="none")
    canvas = FigureCanvasAgg(figure)
    draw = getattr(block, "letter", None) or block.draw
    draw(figure, edge / dpi, edge / dpi)
    canvas.draw()
    rgba = np.asarray(canvas.buffer_rgba())
    row, column = np.nonzero(rgba[..., 3])
    seen = rgba[row, column].astype(np.float32)
    part = seen[:, 3:] / 255
    found = Lettering(row - edge, column - edge, seen[:, :3] * part, 1 - part)
    if place is not None:
        _KEPT[place] = found
        while len(_KEPT) > MOST:
            _KEPT.popitem(last=False)
    return found

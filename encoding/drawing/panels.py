"""Figures made of blocks: each knows its size in inches and draws itself at a place."""

import math
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from matplotlib.figure import Figure

from .figure import INK, MUTED, title_height, write_title

EDGE = 0.14  # inch
BETWEEN = 0.12  # inch between blocks


class Block(Protocol):
    """A part of a figure."""

    @property
    def width(self) -> float:
        """Width in inches."""
        ...

    @property
    def height(self) -> float:
        """Height in inches."""
        ...

    def draw(self, figure: Figure, left: float, top: float) -> None:
        """Draw at a place in inches from the upper left corner."""
        ...


@dataclass(frozen=True)
class Painting:
    """Pixels inside a block, made at the resolution that a figure is written with."""

    x: float  # Middle, in inches from the left edge of the block
    y: float  # Middle, in inches from its upper edge
    paint: Callable[[float], np.ndarray]  # Dots per inch to RGB of the shape (rows, columns, 3), uint8


@dataclass(frozen=True)
class Drawn:
    """A block made of a size and a function."""

    width: float  # inch
    height: float  # inch
    draw: Callable[[Figure, float, float], None]  # figure, left, top
    # What pixels are made of instead: paintings, and lines and letters over them. Blocks with equal keys have equal
    # lines and letters, which are then drawn once.
    paintings: tuple[Painting, ...] = ()
    letter: Callable[[Figure, float, float], None] | None = None  # As `draw`, without paintings; `draw` unless given
    key: Hashable | None = None


def note_block(text: str, width: float, size: float = 8.0) -> Drawn:
    """Lines of small text."""
    lines = text.count("\n") + 1

    def draw(figure: Figure, left: float, top: float) -> None:
        wide, high = figure.get_size_inches()
        place = left / wide, 1 - top / high
        figure.text(*place, text, size=size, color=MUTED, va="top", ha="left", linespacing=1.5)

    return Drawn(width, lines * size * 1.5 / 72 + 0.02, draw, key=("note", text, size))


def heading_block(text: str, width: float, size: float = 9.5) -> Drawn:
    """One line of bold text above what follows."""

    def draw(figure: Figure, left: float, top: float) -> None:
        wide, high = figure.get_size_inches()
        figure.text(
            left / wide, 1 - (top + 0.02) / high, text, size=size, color=INK, va="top", ha="left", weight="bold"
        )

    return Drawn(width, 0.22, draw)


def beside(blocks: Sequence[Block], gap: float = BETWEEN) -> Drawn:
    """Arrange blocks in a row, upper edges aligned."""

    def draw(figure: Figure, left: float, top: float) -> None:
        for block in blocks:
            block.draw(figure, left, top)
            left += block.width + gap

    width = sum(block.width for block in blocks) + gap * (len(blocks) - 1)
    return Drawn(width, max(block.height for block in blocks), draw)


def below(blocks: Sequence[Block], gap: float = 0.02) -> Drawn:
    """Stack blocks, left edges aligned."""

    def draw(figure: Figure, left: float, top: float) -> None:
        for block in blocks:
            block.draw(figure, left, top)
            top += block.height + gap

    height = sum(block.height for block in blocks) + gap * (len(blocks) - 1)
    return Drawn(max(block.width for block in blocks), height, draw)


def stack(blocks: Sequence[Block], *, title: str = "", subtitle: str = "", width: float | None = None) -> Figure:
    """Draw blocks below each other, each in the middle; the figure is as large as they need."""
    tops, height = place_below(blocks, title, subtitle)
    width = width or max(block.width for block in blocks) + 2 * EDGE
    figure = Figure(figsize=(width, height))
    if title:
        write_title(figure, title, subtitle=subtitle)
    for block, top in zip(blocks, tops, strict=True):
        block.draw(figure, (width - block.width) / 2, top)
    return figure


def place_below(blocks: Sequence[Block], title: str, subtitle: str) -> tuple[list[float], float]:
    """Return the upper edges of blocks below each other and a title, and the height of the figure, in inches.

    They are multiples of a twentieth of an inch, which is a whole number of pixels at 100, 200 and 300 dots per inch.
    """
    top, tops = title_height(title, subtitle) + 0.04, []
    for block in blocks:
        tops.append(_up(top))
        top = tops[-1] + block.height + BETWEEN - 0.02
    return tops, _up(top - BETWEEN + 0.08)


def _up(inches: float) -> float:
    return math.ceil(20 * inches - 1e-6) / 20

"""Portraits of embeddings: stimuli as roses, a map in mixed hues, a tree and a graph of dimensions."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Wedge
from PIL import Image
from scipy.cluster.hierarchy import dendrogram

from .figure import FAINT, INK, MUTED, add_axes, halo, styled, text_width, title_height, write_title

WIDTH = 9.0  # inch
EDGE = 0.14
PETALS = 6  # of a rose that are named at most
LEAST = 0.05  # share of all weights that a named petal has
GREY = np.array(to_rgb("#B9BEC5"))


def hue_colors(hue: np.ndarray, purity: np.ndarray | float = 1.0) -> np.ndarray:
    """Colour hues of the same lightness and chroma (Oklab), greyer where they are less pure.

    Shapes: `hue, purity` (n,), hue in turns; returns RGB (n, 3).
    """
    angle = 2 * np.pi * np.asarray(hue)
    light, chroma = 0.68, 0.125
    a, b = chroma * np.cos(angle), chroma * np.sin(angle)
    lms = np.stack(
        [
            light + 0.3963377774 * a + 0.2158037573 * b,
            light - 0.1055613458 * a - 0.0638541728 * b,
            light - 0.0894841775 * a - 1.2914855480 * b,
        ]
    )
    mixing = np.array(
        [
            [4.0767416621, -3.3077115913, 0.2309699292],
            [-1.2684380046, 2.6097574011, -0.3413193965],
            [-0.0041960863, -0.7034186147, 1.7076147010],
        ]
    )
    linear = np.clip(mixing @ lms**3, 0, 1)
    rgb = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055).T
    share = np.broadcast_to(np.clip(purity, 0, 1), len(rgb))[:, None]
    return share * rgb + (1 - share) * GREY


@styled
def draw_roses(
    X: np.ndarray,
    names: Sequence[str],
    labels: Sequence[str],
    hue: np.ndarray,
    *,
    frames: Mapping[str, Path] | None = None,
    title: str = "",
    subtitle: str = "",
) -> Figure:
    """Draw each stimulus as a rose: one petal per dimension, its area the weight, its colour the dimension's.

    Shapes: `X` (n_stimuli, n_dims), `hue` (n_dims,). `names` are those of stimuli, `labels` those of dimensions.
    """
    n_columns, size = 3, 2.9
    n_rows = -(-len(X) // n_columns)
    top = title_height(title, subtitle)
    figure = Figure(figsize=(WIDTH, top + n_rows * size + 0.1))
    write_title(figure, title, subtitle=subtitle)
    order = np.argsort(hue, kind="stable")
    peak = np.sqrt(max(float(X.max(initial=0.0)), 1e-12))
    for number, (row, name) in enumerate(zip(X, names, strict=True)):
        place = divmod(number, n_columns)
        axes = add_axes(figure, EDGE + place[1] * (WIDTH - EDGE) / n_columns, top + place[0] * size, 2.75, size - 0.1)
        _rose(axes, row[order], [labels[k] for k in order], hue_colors(hue[order]), peak)
        picture = (frames or {}).get(name)
        if picture is not None:
            with Image.open(picture) as image:
                image.thumbnail((240, 240))
                thumbnail = np.asarray(image.convert("RGB"))
            height = 0.5 * thumbnail.shape[0] / thumbnail.shape[1]
            axes.imshow(thumbnail, extent=(-1.72, -1.06, 1.32 - 1.32 * height, 1.32), zorder=3)
            axes.set_xlim(-1.75, 1.75)
            axes.set_ylim(-1.6, 1.6)
        axes.text(
            0, -1.58, name if len(name) <= 34 else f"{name[:33]}…", ha="center", va="bottom", weight="bold", size=8
        )
    return figure


def _rose(axes: Axes, weights: np.ndarray, labels: Sequence[str], colors: np.ndarray, peak: float) -> None:
    axes.set_axis_off()
    axes.set_aspect("equal")
    axes.set_xlim(-1.75, 1.75)
    axes.set_ylim(-1.6, 1.6)
    for radius in (0.5, 1.0):
        axes.add_patch(Wedge((0, 0), radius, 0, 360, fill=False, edgecolor=FAINT, linewidth=0.6, zorder=0))
    step = 360 / len(weights)
    largest = np.argsort(-weights, kind="stable")[:PETALS]
    named = set(largest[weights[largest] > LEAST * weights.sum()].tolist())
    ends: list[tuple[float, float, str]] = []
    for k, (weight, label, color) in enumerate(zip(weights, labels, colors, strict=True)):
        if weight <= 0:
            continue
        radius = float(np.sqrt(weight)) / peak
        axes.add_patch(
            Wedge((0, 0), radius, k * step, (k + 1) * step, facecolor=color, edgecolor="white", linewidth=0.5)
        )
        if k in named:
            angle = np.deg2rad((k + 0.5) * step)
            ends.append((float(np.cos(angle)), float(np.sin(angle)), label))
    for x, y, label in _apart(ends):
        text = label if len(label) <= 18 else f"{label[:17]}…"
        axes.text(1.08 * x, y, text, ha="left" if x >= 0 else "right", va="center", size=6.5, color=INK)


def _apart(ends: list[tuple[float, float, str]], least: float = 0.19) -> list[tuple[float, float, str]]:
    """Move labels of one side apart vertically, keeping their order."""
    moved = []
    for side in (True, False):
        mine = sorted((end for end in ends if (end[0] >= 0) == side), key=lambda end: end[1])
        heights = [1.08 * end[1] for end in mine]
        for k in range(1, len(heights)):
            heights[k] = max(heights[k], heights[k - 1] + least)
        if heights and heights[-1] > 1.25:
            heights[-1] = 1.25
            for k in range(len(heights) - 2, -1, -1):
                heights[k] = min(heights[k], heights[k + 1] - least)
        moved += [(x, y, label) for (x, _, label), y in zip(mine, heights, strict=True)]
    return moved


@styled
def draw_hue_map(
    places: np.ndarray,
    hue: np.ndarray,
    purity: np.ndarray,
    wheel: tuple[Sequence[str], np.ndarray],
    *,
    title: str = "",
    subtitle: str = "",
) -> Figure:
    """Draw stimuli in two dimensions, in the mixed hue of their dimensions, with the wheel of hues as the legend.

    Shapes: `places` (n_stimuli, 2), `hue, purity` (n_stimuli,). `wheel` is labels and hues of the dimensions.
    """
    top = title_height(title, subtitle)
    figure = Figure(figsize=(WIDTH, top + 5.2))
    write_title(figure, title, subtitle=subtitle)
    axes = add_axes(figure, EDGE, top + 0.1, 5.2, 5.0)
    axes.set_axis_off()
    axes.set_aspect("equal", adjustable="datalim")
    size = float(np.clip(10_000 / len(places), 4, 34))
    axes.scatter(places[:, 0], places[:, 1], s=size, color=hue_colors(hue, purity), linewidths=0)
    legend = add_axes(figure, 5.4, top + 0.75, WIDTH - 5.4 - EDGE, 3.6)
    _wheel(legend, *wheel)
    return figure


def _wheel(axes: Axes, labels: Sequence[str], hue: np.ndarray) -> None:
    axes.set_axis_off()
    axes.set_aspect("equal")
    axes.set_xlim(-1.95, 1.95)
    axes.set_ylim(-1.5, 1.5)
    width = 360 / len(labels)
    for value, color in zip(hue, hue_colors(hue), strict=True):
        angle = 360 * value
        axes.add_patch(Wedge((0, 0), 1, angle - width / 2, angle + width / 2, width=0.34, facecolor=color, linewidth=0))
    step = max(1, -(-len(labels) // 24))
    order = np.argsort(hue, kind="stable")[::step]
    ends = [(float(np.cos(2 * np.pi * hue[k])), float(np.sin(2 * np.pi * hue[k])), labels[k]) for k in order]
    for x, y, label in _apart(ends, least=0.115):
        text = label if len(label) <= 17 else f"{label[:16]}…"
        axes.text(1.08 * x, y, text, ha="left" if x >= 0 else "right", va="center", size=6.5)
    axes.text(0, 0, "grey:\nopposites\nmixed", ha="center", va="center", size=7, color=MUTED)


@styled
def draw_tree(
    tree: np.ndarray, labels: Sequence[str], hue: np.ndarray, importance: pd.DataFrame, *, title: str = "",
    subtitle: str = "",
) -> Figure:  # fmt: skip
    """Draw the tree of dimensions, and beside it what the loss gains without each.

    Shapes: `tree` (n_dims - 1, 4), `hue` (n_dims,). `importance` has one row per dimension, as `importance` gives it.
    """
    top, line = title_height(title, subtitle), 0.17
    height = line * len(labels)
    left = min(3.2, max(text_width(label, 7.5) for label in labels) + 0.1)
    figure = Figure(figsize=(WIDTH, top + height + 0.62))
    write_title(figure, title, subtitle=subtitle)
    wide = WIDTH - 2 * EDGE - left - 0.5
    axes = add_axes(figure, EDGE, top + 0.1, 0.5 * wide, height)
    drawn = dendrogram(tree, orientation="left", no_plot=True)
    order = drawn["leaves"]
    lines = [
        list(zip(x, (np.array(y) - 5) / 10, strict=True)) for x, y in zip(drawn["dcoord"], drawn["icoord"], strict=True)
    ]
    axes.add_collection(LineCollection(lines, colors=MUTED, linewidths=0.9))
    axes.set_xlim(max(1.0, 1.02 * float(tree[:, 2].max())), 0)
    axes.set_ylim(-0.5, len(labels) - 0.5)
    axes.set_yticks([])
    axes.spines["left"].set_visible(False)
    axes.set_xlabel("1 - r over stimuli")
    bars = add_axes(figure, EDGE + 0.5 * wide + left + 0.2, top + 0.1, 0.5 * wide, height)
    for place, k in enumerate(order):
        figure.text(
            (EDGE + 0.5 * wide + 0.08) / WIDTH, 1 - (top + 0.1 + height - (place + 0.5) * line) / (top + height + 0.62),
            labels[k] if text_width(labels[k], 7.5) <= left else f"{labels[k][:34]}…", size=7.5, va="center",
        )  # fmt: skip
    part = importance.iloc[order]
    value = part["cross_entropy_gained"].to_numpy(float)
    bars.barh(range(len(order)), value, height=0.72, color=hue_colors(hue[order]))
    bars.hlines(
        range(len(order)), part["cross_entropy_gained_low"], part["cross_entropy_gained_high"], color=INK, lw=0.9
    )
    bars.axvline(0, color=MUTED, linewidth=0.8)
    bars.set_ylim(-0.5, len(order) - 0.5)
    bars.set_yticks([])
    bars.spines["left"].set_visible(False)
    bars.grid(axis="x")
    bars.set_xlabel("cross-entropy gained without it, nats")
    return figure


@styled
def draw_graph(
    places: np.ndarray,
    edges: pd.DataFrame,
    community: np.ndarray,
    labels: Sequence[str],
    size: np.ndarray,
    *,
    title: str = "",
    subtitle: str = "",
) -> Figure:
    """Draw dimensions as dots, their area the sum of weights, and correlations as lines; colour is the community.

    Shapes: `places` (n_dims, 2), `community, size` (n_dims,). `edges` has columns first, second, r.
    """
    top = title_height(title, subtitle)
    figure = Figure(figsize=(WIDTH, top + 5.6))
    write_title(figure, title, subtitle=subtitle)
    axes = add_axes(figure, EDGE + 0.6, top + 0.15, WIDTH - 2 * EDGE - 1.2, 5.3)
    axes.set_axis_off()
    axes.margins(0.08, 0.06)
    shared = np.bincount(community)[community] > 1
    n_shared = len(np.unique(community[shared]))
    colors = np.tile(GREY, (len(labels), 1))
    colors[shared] = hue_colors(community[shared] / max(n_shared, 1))
    if len(edges):
        lines = places[edges[["first", "second"]].to_numpy()]
        width = 3.5 * edges["r"].to_numpy() / float(edges["r"].max())
        axes.add_collection(
            LineCollection(list(lines), colors="#9AA1A9", linewidths=width.tolist(), alpha=0.7, zorder=1)
        )
    area = 30 + 260 * size / max(float(size.max(initial=0.0)), 1e-12)
    axes.scatter(places[:, 0], places[:, 1], s=area, color=colors, edgecolor="white", linewidths=0.8, zorder=2)
    for (x, y), label, dot in zip(places, labels, area, strict=True):
        text = label if len(label) <= 24 else f"{label[:23]}…"
        offset = (0, -float(np.sqrt(dot)) / 2 - 2)
        axes.annotate(text, (x, y), offset, textcoords="offset points", ha="center", va="top", size=6.8,
                      path_effects=halo(2), zorder=3)  # fmt: skip
    return figure

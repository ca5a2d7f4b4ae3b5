"""Pictures of an embedding: its path, its dimensions against ratings, its stimuli."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import TwoSlopeNorm
from matplotlib.figure import Figure
from PIL import Image, ImageDraw, ImageFont

from ..core.errors import DataError
from ..core.words import count
from .figure import (
    FAINT,
    INK,
    MUTED,
    add_axes,
    halo,
    shortened,
    styled,
    text_width,
    title_height,
    write_atomically,
    write_title,
)
from .scales import PALETTE

WIDTH = 9.0  # inch
EDGE = 0.14
NAME_ROOM = 2.2  # inch
NEAR_EDGE = 0.15  # share of the width within which names turn inwards
ACCENT, WARN = PALETTE[0], "#B3261E"
CATEGORY_COLORS = (
    *("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E3B505", "#56B4E9", "#7A3E9D", "#5B3A1E"),
    *("#8FB339", "#C1121F", "#2A9D8F", "#6C757D"),
)
THUMBNAIL = 168, 112  # pixels


@styled
def draw_path(table: pd.DataFrame, *, title: str = "", subtitle: str = "") -> Figure:
    """Draw validation loss, training loss and number of dimensions along the path of penalties."""
    top = title_height(title, subtitle)
    figure = Figure(figsize=(WIDTH, top + 3.15))
    write_title(figure, title, subtitle=subtitle)
    width = (WIDTH - 2 * EDGE - 1.6) / 2
    place = np.arange(len(table))
    chosen = table["chosen"].to_numpy(bool)
    left = add_axes(figure, EDGE + 0.6, top + 0.2, width, 2.1)
    for column, label, color in (("train_loss", "training", MUTED), ("loss", "validation", ACCENT)):
        values = table[column].to_numpy(float)
        left.plot(place, values, color=color, linewidth=1.6, marker="o", markersize=3.5)
        left.annotate(
            label, (place[-1], values[-1]), (6, 0), textcoords="offset points", va="center", color=color, size=8
        )
    left.set_ylabel("cross-entropy, nats per judgment")
    right = add_axes(figure, EDGE + 0.6 + width + 1.0, top + 0.2, width, 2.1)
    counts = table["n_dims"].to_numpy()
    right.plot(place, counts, color=ACCENT, linewidth=1.6, marker="o", markersize=3.5)
    right.set_ylim(0, max(1, counts.max()) * 1.12)
    right.set_ylabel("dimensions")
    row = int(chosen.argmax())
    for axes, values in ((left, table["loss"].to_numpy(float)), (right, counts)):
        axes.set_xticks(place, [f"{value:.3g}" for value in table["lambda"]], rotation=45, ha="right")
        axes.set_xlabel("penalty λ")
        axes.grid(axis="y")
        axes.axvline(row, color=FAINT, linewidth=6, zorder=0)
        axes.scatter([row], [values[row]], s=52, facecolor="white", edgecolor=ACCENT, linewidth=2, zorder=5)
    right.annotate(
        count(counts[row], "dimension"), (row, counts[row]), (8, 8),
        textcoords="offset points", weight="bold", size=8,
    )  # fmt: skip
    left.margins(x=0.12)
    right.margins(x=0.12)
    right.set_xlim(right=max(right.get_xlim()[1], row + 0.4 * len(table)))  # room for what is written beside the choice
    return figure


@styled
def draw_reproducibility(
    table: pd.DataFrame, *, threshold: float, spread: str = "low to high", title: str = "", subtitle: str = ""
) -> Figure:
    """Draw the reproducibility of every dimension over seeds; `spread` says what low and high are."""
    top = title_height(title, subtitle)
    figure = Figure(figsize=(WIDTH, top + 2.95))
    write_title(figure, title, subtitle=subtitle)
    axes = add_axes(figure, EDGE + 0.5, top + 0.34, WIDTH - 2 * EDGE - 0.6, 2.05)
    x = np.arange(len(table))
    colors = np.where(table["reliable"], ACCENT, WARN)
    marks = [(f"over seeds; line: {spread}", "o", x)]
    axes.vlines(x, table["low"], table["high"], color=colors, linewidth=2.2, alpha=0.5)
    axes.scatter(x, table["reproducibility"], c=colors, s=26, zorder=4)
    for column, label, marker, shift in (
        ("item_split", "matched on half the stimuli, tested on the others", "_", 0.0),
        ("triplet_split", "between halves of the judgments", "x", 0.0),
    ):
        if table[column].notna().any():
            axes.scatter(x + shift, table[column], marker=marker, s=30, color=INK, linewidths=1.1, zorder=5)
            marks.append((label, marker, x))
    for number, (label, marker, _) in enumerate(marks):
        handle = axes.scatter([], [], marker=marker, color=ACCENT if not number else INK, s=26, label=label)
        handle.set_clip_on(False)
    axes.legend(
        loc="lower left", bbox_to_anchor=(0, 1.0), ncols=3, frameon=False, fontsize=8, borderpad=0, handletextpad=0.3
    )
    axes.axhline(threshold, color=WARN, linewidth=0.9, linestyle=(0, (4, 3)))
    low = min(0.0, float(np.nanmin(table[["low", "item_split", "triplet_split"]].to_numpy(float), initial=0.0)))
    axes.set_ylim(low - 0.03, 1.04)
    axes.set_xlim(-0.7, len(table) - 0.3)
    step = max(1, -(-len(table) // 40))
    axes.set_xticks(x[::step], [str(value) for value in table["dimension"][::step]])
    axes.set_xlabel("dimension, by its sum over stimuli")
    axes.set_ylabel("correlation r")
    axes.grid(axis="y")
    return figure


@styled
def draw_weights(table: pd.DataFrame, *, n: int = 8, title: str = "", subtitle: str = "") -> Figure:
    """Draw the largest weights of every dimension with their intervals, one panel each.

    `table` has the columns dimension, stimulus, weight, low and high (NaN without an interval), largest weights first.
    """
    names = list(dict.fromkeys(table["dimension"]))
    n_columns, line, head, foot, gap = 3, 0.16, 0.32, 0.34, 0.22
    n_rows, tall = -(-len(names) // n_columns), n * line
    top = title_height(title, subtitle)
    figure = Figure(figsize=(WIDTH, top + n_rows * (head + tall + foot) + 0.1))
    write_title(figure, title, subtitle=subtitle)
    room = min(1.15, max(text_width(str(label), 7) for label in table["stimulus"]) + 0.15)
    wide = (WIDTH - 2 * EDGE) / n_columns - room - gap
    most = 1.04 * float(np.nanmax(table[["weight", "high"]].to_numpy(float)))
    for number, name in enumerate(names):
        part = table[table["dimension"] == name].head(n)
        row, column = divmod(number, n_columns)
        left = EDGE + column * (wide + room + gap) + room
        axes = add_axes(figure, left, top + row * (head + tall + foot) + head, wide, tall)
        place = np.arange(len(part))
        known = part["low"].notna().all()
        color = ACCENT if known else MUTED
        axes.hlines(place, part["low"], part["high"], color=color, linewidth=1.6, alpha=0.55)
        axes.scatter(part["weight"], place, s=14, color=color, zorder=4)
        axes.set_yticks(place, [shortened(str(label), room - 0.1, 7) for label in part["stimulus"]], size=7)
        axes.set_ylim(n - 0.4, -0.6)
        axes.set_xlim(0, most)
        axes.tick_params(labelsize=7)
        axes.grid(axis="x")
        axes.set_title(name if known else f"{name}: no intervals", size=8, loc="left")
    return figure


@styled
def draw_correlations(
    values: np.ndarray,
    rows: Sequence[str],
    columns: Sequence[str],
    *,
    significant: np.ndarray,
    title: str = "",
    subtitle: str = "",
) -> Figure:
    """Draw a matrix of correlations, its columns ordered so that large ones lie near the diagonal.

    Shapes: `values` (n_rows, n_columns), `significant` (n_rows, n_columns).
    """
    strength = np.abs(values)
    order = np.lexsort((-strength.max(axis=0), strength.argmax(axis=0)))
    values, significant = values[:, order], significant[:, order]
    names = [columns[k] for k in order]
    names, rows = ([shortened(name, NAME_ROOM, 7.5) for name in some] for some in (names, rows))
    top, left = title_height(title, subtitle), EDGE + max(text_width(name, 7.5) for name in rows) + 0.14
    label_height = max(text_width(name, 7.5) for name in names) * 0.75 + 0.2
    cell = min(0.22, (WIDTH - left - EDGE - 0.75) / len(names))
    height = max(cell, 0.15) * len(rows)
    figure = Figure(figsize=(WIDTH, top + label_height + height + 0.2))
    write_title(figure, title, subtitle=subtitle)
    axes = add_axes(figure, left, top + label_height, cell * len(names), height)
    peak = max(float(strength.max(initial=0.0)), 1e-6)
    image = axes.imshow(
        values, cmap="RdBu_r", norm=TwoSlopeNorm(0, -peak, peak), aspect="auto", interpolation="nearest"
    )
    axes.set_xticks(range(len(names)), names, rotation=55, ha="left", size=7.5)
    axes.xaxis.tick_top()
    axes.set_yticks(range(len(rows)), list(rows), size=7.5)
    axes.tick_params(length=0, pad=3)
    for side in ("left", "bottom"):
        axes.spines[side].set_visible(False)
    y, x = np.nonzero(significant)
    dark = strength[:, order][y, x] > 0.6 * peak
    axes.scatter(x, y, s=3.2, c=np.where(dark, "white", INK), linewidths=0)
    bar = figure.colorbar(
        image, cax=add_axes(figure, left + cell * len(names) + 0.22, top + label_height, 0.12, min(1.6, height))
    )
    bar.outline.set_visible(False)
    bar.ax.tick_params(length=0, labelsize=7.5)
    bar.ax.set_xlabel("r", size=8)
    return figure


@styled
def draw_map(places: np.ndarray, groups: Sequence[str], *, title: str = "", subtitle: str = "") -> Figure:
    """Draw stimuli in two dimensions, coloured by group; every group is named at its median.

    Shapes: `places` (n_stimuli, 2).
    """
    top = title_height(title, subtitle)
    figure = Figure(figsize=(WIDTH, top + 6.4))
    write_title(figure, title, subtitle=subtitle)
    axes = add_axes(figure, EDGE, top + 0.1, WIDTH - 2 * EDGE, 6.2)
    axes.set_axis_off()
    axes.set_aspect("equal", adjustable="datalim")
    label = np.asarray(groups, dtype=str)
    names, counts = np.unique(label[label != ""], return_counts=True)
    largest = [str(name) for name in names[np.argsort(-counts, kind="stable")]][: len(CATEGORY_COLORS)]
    other = ~np.isin(label, largest)
    size = float(np.clip(12_000 / len(label), 5, 40))
    axes.scatter(places[other, 0], places[other, 1], s=size, color="#C9CED4", linewidths=0)
    for name, color in zip(largest, CATEGORY_COLORS, strict=False):
        x, y = places[label == name].T
        axes.scatter(x, y, s=size, color=color, linewidths=0, alpha=0.85)
    for name, color in zip(largest, CATEGORY_COLORS, strict=False):
        x, y = np.median(places[label == name], axis=0)
        share = (x - places[:, 0].min()) / max(float(np.ptp(places[:, 0])), 1e-12)
        side = "left" if share < NEAR_EDGE else "right" if share > 1 - NEAR_EDGE else "center"
        shown = shortened(name, NAME_ROOM, 9, bold=True)
        axes.text(x, y, shown, color=color, weight="bold", ha=side, va="center", size=9, path_effects=halo(3))
    return figure


@styled
def draw_quality(
    calibration: pd.DataFrame, kept: pd.DataFrame, needed: np.ndarray, *, score: str = "accuracy",
    chance: float = 1 / 3, title: str = "", subtitle: str = "",
) -> Figure:  # fmt: skip
    """Draw calibration, a score by the number of dimensions kept, and how many each stimulus needs.

    Shapes: `needed` (n_stimuli, 2). `score` is the column of `kept` and what its axis is called.
    """
    top = title_height(title, subtitle)
    figure = Figure(figsize=(WIDTH, top + 2.95))
    write_title(figure, title, subtitle=subtitle)
    width, gap = 2.2, 0.82
    panels = [add_axes(figure, EDGE + 0.5 + k * (width + gap), top + 0.3, width, 2.0) for k in range(3)]
    _calibration(panels[0], calibration)
    axes = panels[1]
    axes.plot(kept["n_kept"], kept[score], color=ACCENT, linewidth=1.6)
    notes = []
    for level in (0.95, 0.99):
        row = kept.loc[kept["share"] >= level].iloc[0] if (kept["share"] >= level).any() else kept.iloc[-1]
        axes.scatter([row["n_kept"]], [row[score]], color=ACCENT, s=22, zorder=4)
        notes.append(f"{level:.0%} of all above chance: {int(row['n_kept'])}")
    axes.text(0.98, 0.45, "\n".join(notes), transform=axes.transAxes, ha="right", va="center", size=8)
    axes.axhline(chance, color=MUTED, linewidth=0.9, linestyle=(0, (4, 3)))
    axes.annotate(
        "chance", (kept["n_kept"].iloc[-1], chance), (0, 3), textcoords="offset points", ha="right", size=8, color=MUTED
    )
    _finish(axes, "largest weights kept per stimulus", score)
    axes = panels[2]
    bins = [edge - 0.5 for edge in range(int(needed.max(initial=1)) + 2)]
    for column, label, color in ((0, "95%", ACCENT), (1, "99%", PALETTE[1])):
        axes.hist(
            needed[:, column],
            bins=bins,
            color=color,
            alpha=0.55,
            label=f"{label}: median {np.median(needed[:, column]):g}",
        )
    axes.legend(frameon=False, fontsize=8, loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=2, columnspacing=1.0)
    _finish(axes, "dimensions a stimulus needs", "stimuli")
    return figure


@styled
def draw_similarity(measured: np.ndarray, predicted: np.ndarray, *, title: str = "", subtitle: str = "") -> Figure:
    """Draw predicted against measured similarity, one dot per pair of stimuli.

    Shapes: `measured, predicted` (n_pairs,).
    """
    top = title_height(title, subtitle)
    figure = Figure(figsize=(4.2, top + 3.8))
    write_title(figure, title, subtitle=subtitle)
    axes = add_axes(figure, EDGE + 0.5, top + 0.1, 3.1, 3.1)
    axes.plot([0, 1], [0, 1], color=MUTED, linewidth=0.9, linestyle=(0, (4, 3)))
    axes.scatter(predicted, measured, s=9, color=ACCENT, alpha=0.45, linewidths=0, rasterized=True)
    axes.set_xlim(0, 1)
    axes.set_ylim(0, 1)
    _finish(axes, "predicted similarity", "measured similarity")
    return figure


def _calibration(axes: Axes, table: pd.DataFrame) -> None:
    axes.plot([0, 1], [0, 1], color=MUTED, linewidth=0.9, linestyle=(0, (4, 3)))
    axes.plot(table["predicted"], table["observed"], color=ACCENT, linewidth=1.4)
    size = 10 + 50 * np.sqrt(table["n"] / table["n"].max())
    axes.scatter(table["predicted"], table["observed"], color=ACCENT, s=size, zorder=4, linewidths=0)
    axes.set_xlim(0, 1)
    axes.set_ylim(0, 1)
    _finish(axes, "predicted probability", "share that came true")


def _finish(axes: Axes, x: str, y: str) -> None:
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    axes.grid(axis="y")


def draw_contact_sheet(
    stimuli: Sequence[str], values: Sequence[float], frames: Mapping[str, Path], path: Path | str, *, n_columns: int = 8
) -> Path:
    """Draw pictures of stimuli side by side, each with its name and value."""
    width, height = THUMBNAIL
    n_rows = -(-len(stimuli) // n_columns)
    sheet = Image.new("RGB", (n_columns * (width + 6), n_rows * (height + 24)), "white")
    font = ImageFont.load_default(12)
    pen = ImageDraw.Draw(sheet)
    for number, (name, value) in enumerate(zip(stimuli, values, strict=True)):
        row, column = divmod(number, n_columns)
        corner = column * (width + 6), row * (height + 24)
        sheet.paste(_thumbnail(frames.get(name)), corner)
        text = f"{value:.2f}  {name}"
        while len(text) > 8 and pen.textlength(text, font=font) > width:
            text = f"{text[:-2]}…" if text.endswith("…") else f"{text[:-1]}…"
        pen.text((corner[0], corner[1] + height + 4), text, fill=INK, font=font)
    return write_atomically(Path(path), lambda target: sheet.save(target, format="JPEG", quality=90))


def _thumbnail(path: Path | None) -> Image.Image:
    if path is None:
        return Image.new("RGB", THUMBNAIL, FAINT)
    try:
        with Image.open(path) as image:
            picture = image.convert("RGB")
    except OSError as error:
        raise DataError(f"{path}: cannot be read as a picture ({error}).") from error
    picture.thumbnail(THUMBNAIL)
    field = Image.new("RGB", THUMBNAIL, FAINT)
    field.paste(picture, tuple((a - b) // 2 for a, b in zip(THUMBNAIL, picture.size, strict=True)))  # type: ignore[arg-type]
    return field

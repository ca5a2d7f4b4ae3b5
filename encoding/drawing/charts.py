"""How well each feature space predicts each network, and by how much they differ, with one dot per subject."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import MaxNLocator

from ..core.errors import DataError, suggest
from .diagnostics import draw_alphas, draw_scatter, draw_splits
from .figure import INK, MUTED, add_axes, shortened, styled, text_width, title_height, write_title
from .scales import round_up

__all__ = ["draw_alphas", "draw_differences", "draw_networks", "draw_scatter", "draw_splits"]

COLUMNS = ("subject", "level", "region", "model", "value")
WIDTH = 9.0  # inch
EDGE = 0.14  # inch
BAND = "#F6F7F8"  # every second region
HEADING = "what can be claimed"
# Inches that names may take: regions, models in verdicts, the words of a verdict, and models in the key.
REGION_ROOM, MODEL_ROOM, VERDICT_ROOM, KEY_ROOM = 2.6, 1.3, 2.2, 4.0


@styled
def draw_networks(
    table: pd.DataFrame,
    *,
    colors: Mapping[str, str],
    label: str,
    title: str = "",
    subtitle: str = "",
    limit: float | None = None,
    verdicts: Mapping[str, tuple[str, str]] | None = None,
    intervals: pd.DataFrame | None = None,
) -> Figure:
    """Draw the accuracy of every feature space in every region: one dot per subject, a bar to their mean.

    The chart ranks nothing itself: the right margin repeats the verdicts that it is given.

    Parameters
    ----------
    table : DataFrame
        Columns subject, level, region, model, value; one row each per subject, region and model, and one level.
        Regions are drawn in the order in which they appear.
    colors : mapping of str to str
        Colour per model, in the order of drawing (see `space_colors`); models without rows are left out.
    label : str
        Quantity at the axis, for instance "mean Pearson r, held-out runs".
    title, subtitle : str, optional
        Text above the chart.
    limit : float, optional
        Upper end of the axis, to share it between figures.
    verdicts : mapping of str to (str, str), optional
        By region: the model that is named ("" for none), whose bar is drawn stronger, and the text beside it.
    intervals : DataFrame, optional
        Columns region, model, low, high: intervals of the bars, drawn as lines; NaN for none.

    Returns
    -------
    Figure
        The chart.

    Raises
    ------
    DataError
        If columns are missing, rows are doubled, a model has no colour, a verdict names another, or nothing is finite.
    """
    grid = read_table(table, colors, title)
    verdicts = {} if verdicts is None else dict(verdicts)
    for region, (model, _) in verdicts.items():
        if model and model not in grid.models:
            raise DataError(f"Chart {title!r}: {model!r} is named in {region!r}. {suggest(model, grid.models)}")
    n_models = len(grid.models)
    row = float(np.clip(6.2 / (len(grid.regions) * n_models), 0.1, 0.17))
    pitch = row * n_models + max(0.09, 0.5 * row)
    regions = _names(grid.regions)
    verdicts = {region: (model, shortened(text, VERDICT_ROOM, 7.5)) for region, (model, text) in verdicts.items()}
    left = EDGE + _widest(regions, 8) + 0.14
    verdict_width = max((_verdict_width(*verdict) for verdict in verdicts.values()), default=0.0)
    verdict_width = max(verdict_width, _verdict_width("", HEADING)) if verdicts else 0.0
    top = title_height(title, subtitle)
    keys = _key_rows(grid.models)
    head = 0.2 * (len(keys) + 1) + 0.08
    height = pitch * len(grid.regions)
    figure = Figure(figsize=(WIDTH, top + head + height + 0.55))
    write_title(figure, title, subtitle=subtitle)
    for line, names in enumerate(keys):
        _write_key(figure, names, colors, top + 0.1 + 0.2 * line, with_note=line == len(keys) - 1)
    axes = add_axes(figure, left, top + head, WIDTH - EDGE - left - verdict_width, height)
    spans = spans_of(intervals, grid)
    for rank, region in enumerate(grid.regions):
        _band(axes, rank)
        named, text = verdicts.get(region, ("", ""))
        for place, model in enumerate(grid.models):
            y = rank + (place - (n_models - 1) / 2) * row / pitch
            strong = 0.6 if model == named else 0.25
            _draw_row(axes, grid.values[place, rank], y, colors=(colors[model],) * 2, height=row / pitch, strong=strong)
            if np.isfinite(spans[place, rank]).all():
                axes.plot(spans[place, rank], [y, y], color=INK, linewidth=0.8, solid_capstyle="butt", zorder=3.5)
        if text:
            _write_verdict(axes, rank, named, colors.get(named, MUTED), text)
    shown = np.concatenate([grid.values.ravel(), spans.ravel()])
    low, high = min(0.0, float(np.nanmin(shown))), limit or round_up(max(float(np.nanmax(shown)), 1e-6))
    axes.set_xlim(low - 0.03 * (high - low) if low < 0 else 0.0, high * 1.02)
    _finish(axes, regions, label)
    if verdicts:
        _annotate(axes, HEADING, 0, 10, size=7.5, color=MUTED, lift=True)
    return figure


@styled
def draw_differences(
    table: pd.DataFrame,
    *,
    colors: Mapping[str, str],
    label: str,
    pairs: Sequence[tuple[str, str]] | None = None,
    title: str = "",
    subtitle: str = "",
) -> Figure:
    """Draw paired differences between feature spaces per region, one dot per subject, one panel per pair.

    Parameters
    ----------
    table : DataFrame
        Columns subject, level, region, model, value; one row each per subject, region and model, and one level.
    colors : mapping of str to str
        Colour per model; a dot has the colour of the model that scores higher in that subject.
    label : str
        Quantity at the axis, for instance "difference in mean r".
    pairs : sequence of (str, str), optional
        First minus second; by default all pairs in the order of `colors`.
    title, subtitle : str, optional
        Text above the chart.

    Returns
    -------
    Figure
        Panels that share one symmetric axis.

    Raises
    ------
    DataError
        If columns are missing, rows are doubled, a model is unknown, or there is no pair.
    """
    grid = read_table(table, colors, title)
    chosen = list(combinations(grid.models, 2)) if pairs is None else list(pairs)
    for model in (model for pair in chosen for model in pair):
        if model not in grid.models:
            raise DataError(f"Chart {title!r}: no rows of model {model!r}. {suggest(model, grid.models)}")
    if not chosen:
        raise DataError(f"Chart {title!r}: differences need two models, but there is only {grid.models}.")
    gaps = {pair: grid.of(pair[0]) - grid.of(pair[1]) for pair in chosen}
    peak = max(float(np.nanmax(np.abs(gap), initial=0.0)) for gap in gaps.values())
    reach = round_up(peak) if peak > 0 else 1.0
    n_columns = min(3, len(chosen))
    names = _names(grid.regions)
    left, between, head = EDGE + _widest(names, 8) + 0.14, 0.28, 0.48
    panel = (WIDTH - EDGE - left - between * (n_columns - 1)) / n_columns, 0.24 * len(grid.regions)
    top, pitch = title_height(title, subtitle), head + panel[1] + 0.5
    figure = Figure(figsize=(WIDTH, top + pitch * -(-len(chosen) // n_columns) + 0.08))
    write_title(figure, title, subtitle=subtitle)
    for place, (pair, gap) in enumerate(gaps.items()):
        row, column = divmod(place, n_columns)
        axes = add_axes(figure, left + column * (panel[0] + between), top + row * pitch + head, *panel)
        for rank, values in enumerate(gap):
            _band(axes, rank)
            _draw_row(axes, values, rank, colors=(colors[pair[0]], colors[pair[1]]), height=0.8, strong=0.3)
        axes.set_xlim(-1.06 * reach, 1.06 * reach)
        _finish(axes, names if column == 0 else ("",) * len(names), label)
        _name_sides(axes, pair, panel[0])
    return figure


@dataclass(frozen=True)
class Grid:
    """A table laid out as models x regions x subjects, NaN where it has no row."""

    models: tuple[str, ...]
    regions: tuple[str, ...]
    values: np.ndarray

    def of(self, model: str) -> np.ndarray:
        return self.values[self.models.index(model)]


def read_table(table: pd.DataFrame, colors: Mapping[str, str], title: str) -> Grid:
    """Check a table; regions keep its order, models that of the colours."""
    missing = [column for column in COLUMNS if column not in table.columns]
    if missing:
        raise DataError(f"Chart {title!r}: the table lacks columns {missing}; it has {list(table.columns)}.")
    levels = list(pd.unique(table["level"]))
    if len(levels) != 1:
        raise DataError(f"Chart {title!r}: one level of regions is drawn at a time, the table has {levels}.")
    unknown = sorted(set(table["model"]) - set(colors))
    if unknown:
        raise DataError(f"Chart {title!r}: model {unknown[0]!r} has no colour. {suggest(unknown[0], colors)}")
    key = ["subject", "region", "model"]
    doubled = table[table.duplicated(key)]
    if len(doubled):
        first = doubled[key].iloc[0].tolist()
        raise DataError(f"Chart {title!r}: {len(doubled)} rows are doubled, the first is {first}.")
    if not np.isfinite(table["value"].to_numpy(float)).any():
        raise DataError(f"Chart {title!r}: none of {len(table)} values is finite.")
    models = [model for model in colors if model in set(table["model"])]
    regions, subjects = list(pd.unique(table["region"])), list(pd.unique(table["subject"]))
    values = np.full((len(models), len(regions), len(subjects)), np.nan)
    places = [
        pd.Index(names).get_indexer(pd.Index(table[name]))
        for name, names in (("model", models), ("region", regions), ("subject", subjects))
    ]
    values[tuple(places)] = table["value"].to_numpy(float)
    return Grid(tuple(models), tuple(map(str, regions)), values)


def spans_of(intervals: pd.DataFrame | None, grid: Grid) -> np.ndarray:
    """Arrange intervals as (models, regions, 2), NaN where there is none."""
    spans = np.full((len(grid.models), len(grid.regions), 2), np.nan)
    for row in () if intervals is None else intervals.itertuples():
        if row.model in grid.models and row.region in grid.regions:
            spans[grid.models.index(row.model), grid.regions.index(row.region)] = row.low, row.high
    return spans


def _band(axes: Axes, rank: int) -> None:
    if rank % 2 == 0:
        axes.axhspan(rank - 0.5, rank + 0.5, color=BAND, linewidth=0, zorder=0)


def _draw_row(
    axes: Axes, values: np.ndarray, y: float, *, colors: tuple[str, str], height: float, strong: float
) -> None:
    """Draw dots and their mean; the first colour is for positive values, the second for the others."""
    values = values[np.isfinite(values)]
    if not values.size:
        return
    mean = float(values.mean())
    color = colors[0 if mean > 0 else 1]
    axes.barh(y, mean, height=0.62 * height, color=color, alpha=strong, linewidth=0, zorder=1)
    if values.size > 1:
        tick = [y - 0.42 * height, y + 0.42 * height]
        axes.plot([mean, mean], tick, color=INK, linewidth=1.6, solid_capstyle="butt", zorder=5)
    hues = [colors[0 if value > 0 else 1] for value in values]
    axes.scatter(values, np.full(values.size, y), s=17, c=hues, edgecolors=INK, linewidths=0.45, zorder=4)


def _name_sides(axes: Axes, pair: tuple[str, str], width: float) -> None:
    """Label which side of zero favours which model, in two lines where one is too narrow."""
    first, second = (shortened(name, width - 0.3, 8, bold=True) for name in pair)
    right, left = f"{first} \N{RIGHTWARDS ARROW}", f"\N{LEFTWARDS ARROW} {second}"
    narrow = sum(text_width(text, 8, bold=True) for text in (left, right)) > width - 0.2
    for text, x, side, lift in ((left, 0, "left", 4), (right, 1, "right", 17 if narrow else 4)):
        axes.annotate(
            text,
            (x, 1),
            xycoords="axes fraction",
            xytext=(0, lift),
            textcoords="offset points",
            ha=side,
            size=8,
            weight="bold",
        )


def _finish(axes: Axes, regions: tuple[str, ...], label: str) -> None:
    axes.set_ylim(len(regions) - 0.5, -0.5)
    axes.set_yticks(range(len(regions)), list(regions))
    axes.tick_params(axis="y", length=0, pad=6)
    axes.tick_params(axis="x", length=2.5, width=0.6)
    axes.xaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 2.5, 5, 10]))
    axes.grid(axis="x")
    axes.axvline(0, color=INK, linewidth=0.9, zorder=3)
    for side in ("left", "bottom"):
        axes.spines[side].set_visible(False)
    axes.set_xlabel(label)


def _annotate(
    axes: Axes, text: str, rank: float, shift: float, *, size: float, color: str, bold: bool = False, lift: bool = False
) -> None:
    """Write beside the right edge of the axes, at a region, or (lifted) above the first."""
    axes.annotate(
        text,
        (1, 1 if lift else rank),
        xycoords=("axes fraction", "axes fraction" if lift else "data"),
        xytext=(shift, 5 if lift else 0),
        textcoords="offset points",
        va="bottom" if lift else "center",
        size=size,
        color=color,
        weight="bold" if bold else "normal",
        annotation_clip=False,
    )


def _write_verdict(axes: Axes, rank: int, name: str, color: str, text: str) -> None:
    if not name:
        _annotate(axes, text, rank, 10, size=7.5, color=MUTED)
        return
    name = shortened(name, MODEL_ROOM, 8, bold=True)
    _annotate(axes, "\N{BLACK SQUARE}", rank, 10, size=11, color=color)
    _annotate(axes, name, rank, 22, size=8, color=INK, bold=True)
    _annotate(axes, text, rank, 29 + 72 * text_width(name, 8, bold=True), size=7.5, color=MUTED)


def _verdict_width(name: str, text: str) -> float:
    """Inches beside the axes that a verdict takes."""
    name = shortened(name, MODEL_ROOM, 8, bold=True)
    return 0.2 + (0.27 + text_width(name, 8, bold=True) if name else 0.0) + text_width(text, 7.5)


def _key_rows(models: tuple[str, ...]) -> list[list[str]]:
    """Break the names of the key into lines that leave room for its note."""
    rows: list[list[str]] = [[]]
    used = 0.0
    for model in models:
        step = 0.42 + text_width(shortened(model, KEY_ROOM, 8), 8)
        if rows[-1] and used + step > WIDTH - 2 * EDGE - 1.9:
            rows.append([])
            used = 0.0
        rows[-1].append(model)
        used += step
    return rows


def _write_key(figure: Figure, names: list[str], colors: Mapping[str, str], top: float, *, with_note: bool) -> None:
    width, height = figure.get_size_inches()
    x, y = EDGE / width, 1 - top / height
    size = 0.11 / width, 0.11 / height
    for name in names:
        swatch = Rectangle((x, y - size[1] / 2), *size, facecolor=colors[name], edgecolor=INK, linewidth=0.4)
        figure.add_artist(swatch)
        shown = shortened(name, KEY_ROOM, 8)
        figure.text(x + 0.17 / width, y, shown, va="center", size=8)
        x += (0.42 + text_width(shown, 8)) / width
    if with_note:
        note = "dot = subject, bar = mean"
        figure.text(1 - EDGE / width, y, note, va="center", ha="right", size=7.5, color=MUTED)


def _names(regions: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(shortened(name, REGION_ROOM, 8) for name in regions)


def _widest(names: tuple[str, ...], size: float, *, bold: bool = False) -> float:
    return max(text_width(name, size, bold=bold) for name in names)

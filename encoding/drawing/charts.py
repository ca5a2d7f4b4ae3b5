"""Charts as SVG: drawn in milliseconds, sharp at any size, in the colours of the page around them.

Lengths are hundredths of an inch: 900 units fill the column of a report, 440 half of it and 292 a third, on paper too,
where letters are then five sixths as large. Colours of marks are fixed; ink, bands and grid are variables of the page,
with fallbacks for files that stand alone.
"""

import base64
import io
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pandas as pd
from markupsafe import escape
from matplotlib.ticker import MaxNLocator
from PIL import Image

from ..core.errors import DataError, suggest
from .figure import INK, MUTED, shortened, text_width, write_bytes
from .scales import round_up

WIDTH, HALF, THIRD = 900.0, 440.0, 292.0
EDGE = 14.0
POINT = 100 / 72  # units
TEXT = 8.0  # points
SMALL = 7.5  # not less: 6.2 points on paper
MOST_REGIONS = 12  # of a chart in a single column
ROW = 9.0  # units of one model in a region
LINE = 13.0  # units from one line of text to the next
INKED, QUIET, BAND, GRID = (
    f"var(--{name}, {color})"
    for name, color in (("ink", INK), ("muted", MUTED), ("band", "#F6F7F8"), ("grid", "#E4E7EB"))
)
COLUMNS = ("subject", "level", "region", "model", "value")
HEADING = "what can be claimed"
# Inches that names may take: regions of differences and of networks, models in verdicts, words of verdicts, the key.
REGION_ROOM, NARROW_ROOM, MODEL_ROOM, VERDICT_ROOM, KEY_ROOM = 2.6, 1.9, 1.6, 1.9, 3.6
NAME_ROOM, RUN_ROOM = 1.1, 1.2  # of the two models of a scatter, and of runs
VARIABLE = re.compile(r"var\(--[a-z]+, ([^)]+)\)")


@dataclass
class Canvas:
    """Marks of one chart, in the order of drawing."""

    width: float
    height: float
    marks: list[str] = field(default_factory=list)

    def rect(self, x: float, y: float, width: float, height: float, fill: str, extra: str = "") -> None:
        """Draw a bar or a swatch."""
        box = f'x="{x:.1f}" y="{y:.1f}" width="{max(width, 0):.1f}" height="{max(height, 0):.1f}"'
        self.marks.append(f'<rect {box} fill="{fill}"{extra}/>')

    def line(self, points: Sequence[tuple[float, float]], ink: str, width: float, extra: str = "") -> None:
        """Draw a line through points."""
        path = "L".join(f"{x:.1f} {y:.1f}" for x, y in points)
        self.marks.append(f'<path d="M{path}" fill="none" stroke="{ink}" stroke-width="{width}"{extra}/>')

    def dot(self, x: float, y: float, fill: str) -> None:
        """Draw one participant."""
        self.marks.append(
            f'<circle cx="{x:.1f}" cy="{y:.1f}" r="2.9" fill="{fill}" stroke="{INKED}" stroke-width=".7"/>'
        )

    def text(self, x: float, y: float, text: str, *, size: float = TEXT, ink: str = INKED, side: str = "start",
             bold: bool = False, extra: str = "") -> None:  # fmt: skip
        """Write a line of text; `y` is the middle of its letters."""
        weight = ' font-weight="700"' if bold else ""
        anchor = "" if side == "start" else f' text-anchor="{side}"'
        self.marks.append(
            f'<text x="{x:.1f}" y="{y + 0.36 * size * POINT:.1f}" font-size="{size * POINT:.2f}" fill="{ink}"'
            f"{weight}{anchor}{extra}>{escape(text)}</text>"
        )

    def title(self, text: str) -> float:
        """Write the title and return where the rest begins."""
        if text:
            room = (self.width - 2 * EDGE) / 100
            self.text(EDGE, 20, shortened(text, room, 11.5, bold=True), size=11.5, bold=True)
        return 38.0 if text else 8.0

    def svg(self, alt: str) -> str:
        """Return the chart as an element with a name for those who cannot see it."""
        size = f'viewBox="0 0 {self.width:.0f} {self.height:.0f}" width="{self.width:.0f}" height="{self.height:.0f}"'
        font = 'font-family="system-ui, -apple-system, Segoe UI, DejaVu Sans, Helvetica, Arial, sans-serif"'
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" {size} {font} role="img" aria-label="{escape(alt)}">'
            f"{''.join(self.marks)}</svg>"
        )


def save_svg(svg: str, path: Path) -> Path:
    """Write a chart to a file of its own, on white, with the colours that pages replace."""
    alone = VARIABLE.sub(r"\1", svg)
    start = alone.index(">") + 1
    page = f'{alone[:start]}<rect width="100%" height="100%" fill="white"/>{alone[start:]}'
    return write_bytes(path, page.encode("utf-8"))


@dataclass(frozen=True)
class _Axis:
    """Values along x."""

    low: float
    high: float
    left: float
    width: float

    def __call__(self, value: float) -> float:
        return self.left + (value - self.low) / (self.high - self.low) * self.width

    def ticks(self, canvas: Canvas, top: float, bottom: float, label: str, most: int = 5) -> None:
        """Draw grid, ticks, the line at zero and the label."""
        for tick in MaxNLocator(most, steps=[1, 2, 2.5, 5, 10]).tick_values(self.low, self.high):
            if self.low - 1e-9 <= tick <= self.high + 1e-9:
                canvas.line([(self(tick), top), (self(tick), bottom)], GRID, 0.9)
                canvas.text(self(tick), bottom + 9, _number(tick), size=SMALL, side="middle")
        if self.low <= 0 <= self.high:
            canvas.line([(self(0), top), (self(0), bottom)], INKED, 1.0)
        if label:
            canvas.text(self.left + self.width / 2, bottom + 26, label, size=8.5, side="middle")


def _short(names: Sequence[str], room: float) -> list[str]:
    return [shortened(name, room, TEXT) for name in names]


def _number(value: float) -> str:
    return f"{round(value, 10):g}".replace("-", "\N{MINUS SIGN}")


def _wide(text: str, size: float = TEXT, *, bold: bool = False) -> float:
    return 100 * text_width(text, size, bold=bold)


@dataclass(frozen=True)
class Grid:
    """A table laid out as models x regions x subjects, NaN where it has no row."""

    models: tuple[str, ...]
    regions: tuple[str, ...]
    values: np.ndarray

    def of(self, model: str) -> np.ndarray:
        """Return the values of one model, (n_regions, n_subjects)."""
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


def network_chart(  # noqa: PLR0913 - what is shown, in which words
    table: pd.DataFrame,
    *,
    colors: Mapping[str, str],
    label: str,
    alt: str,
    title: str = "",
    verdicts: Mapping[str, tuple[str, str]] | None = None,
    intervals: pd.DataFrame | None = None,
    key: str = "dot = subject, bar = mean",
    highest: float | None = None,
) -> str:
    """Draw how well models predict regions: one dot per subject at its value, a bar to the mean.

    `table` has the columns `COLUMNS`, of one level of regions. `verdicts` gives per region the space that is named, or
    "", and the words beside it; `intervals` the columns region, model, low, high. `key` says what marks are, `highest`
    where the axis ends. Nothing is ranked here.
    """
    grid = read_table(table, colors, title)
    verdicts = {} if verdicts is None else dict(verdicts)
    for region, (model, _) in verdicts.items():
        if model and model not in grid.models:
            raise DataError(f"Chart {title!r}: {model!r} is named in {region!r}. {suggest(model, grid.models)}")
    n = len(grid.models)
    named_regions = _short(grid.regions, NARROW_ROOM)
    verdicts = {region: (model, shortened(text, VERDICT_ROOM, SMALL)) for region, (model, text) in verdicts.items()}
    pitch = max(ROW * n + 9.0, LINE * max(map(_n_lines, (None, *verdicts.values()))) + 6)
    words = [_verdict_width(*verdict) for verdict in verdicts.values()] + [_wide(HEADING, SMALL) if verdicts else 0.0]
    left = EDGE + max(*(_wide(region) for region in named_regions), *words) + 10
    n_columns = 1 if len(grid.regions) <= MOST_REGIONS else 2
    canvas = Canvas(HALF if n_columns == 1 else WIDTH, 0)
    top = _key(canvas, grid.models, colors, canvas.title(title) + 10, key) + 28
    n_rows = -(-len(grid.regions) // n_columns)
    canvas.height = top + pitch * n_rows + 42
    spans = spans_of(intervals, grid)
    shown = np.concatenate([grid.values.ravel(), spans.ravel()])
    low, high = min(0.0, float(np.nanmin(shown))), highest or round_up(max(float(np.nanmax(shown)), 1e-6))
    low = low - 0.03 * (high - low) if low < 0 else 0.0
    for start in range(0, len(grid.regions), n_rows):
        edge = (WIDTH - HALF) * bool(start)
        axis = _Axis(low, high * 1.02, edge + left, HALF - EDGE - left)
        some = grid.regions[start : start + n_rows]
        lines = [_n_lines(verdicts.get(region)) for region in some]
        _bands(canvas, axis, top, pitch, named_regions[start : start + n_rows], lines=lines)
        axis.ticks(canvas, top, top + pitch * len(some), label, most=4)
        for rank, region in enumerate(some):
            middle = top + (rank + 0.5) * pitch
            named, text = verdicts.get(region, ("", ""))
            for place, model in enumerate(grid.models):
                y = middle + (place - (n - 1) / 2) * ROW
                strong, span = 0.6 if model == named else 0.25, spans[place, start + rank]
                both, values = (colors[model],) * 2, grid.values[place, start + rank]
                _row(canvas, axis, values, y, colors=both, height=ROW, strong=strong)
                if np.isfinite(span).all():
                    canvas.line([(axis(x), y) for x in span], INKED, 1.2)
            if text:
                _verdict(canvas, axis.left - 8, middle, named, colors.get(named, MUTED), text)
        if verdicts:
            canvas.text(axis.left - 8, top - 9, HEADING, size=SMALL, ink=QUIET, side="end")
    return canvas.svg(alt)


def _n_lines(verdict: tuple[str, str] | None) -> int:
    """Lines that the name of a region and what is said of it take."""
    named, text = verdict or ("", "")
    return 1 + bool(text) * (2 if named else 1)


def _bands(
    canvas: Canvas,
    axis: _Axis,
    top: float,
    pitch: float,
    regions: Sequence[str],
    *,
    named: bool = True,
    lines: Sequence[int] = (),
) -> None:
    """Shade every other region and write names, on the first of the lines that a region has beside it."""
    for rank, region in enumerate(regions):
        if rank % 2 == 0:
            canvas.rect(axis.left, top + rank * pitch, axis.width, pitch, BAND)
        if named:
            up = (lines[rank] - 1) / 2 * LINE if lines else 0.0
            canvas.text(axis.left - 8, top + (rank + 0.5) * pitch - up, region, side="end")


def _row(canvas: Canvas, axis: _Axis, values: np.ndarray, y: float, *, colors: tuple[str, str], height: float,
         strong: float) -> None:  # fmt: skip
    """Draw dots and their mean; the first colour is for positive values, the second for the others."""
    values = values[np.isfinite(values)]
    if not values.size:
        return
    mean = float(values.mean())
    x = sorted((axis(0), axis(mean)))
    canvas.rect(
        x[0], y - 0.31 * height, x[1] - x[0], 0.62 * height, colors[0 if mean > 0 else 1], f' fill-opacity="{strong}"'
    )
    if values.size > 1:
        canvas.line([(axis(mean), y - 0.42 * height), (axis(mean), y + 0.42 * height)], INKED, 2.2)
    for value in values:
        canvas.dot(axis(float(value)), y, colors[0 if value > 0 else 1])


def _verdict(canvas: Canvas, right: float, middle: float, name: str, color: str, text: str) -> None:
    """Write below the name of a region which space is named there, and a text."""
    if not name:
        canvas.text(right, middle + 0.5 * LINE, text, size=SMALL, ink=QUIET, side="end")
        return
    name = shortened(name, MODEL_ROOM, TEXT, bold=True)
    canvas.rect(right - _wide(name, bold=True) - 16, middle - 5, 10, 10, color, f' stroke="{INKED}" stroke-width=".6"')
    canvas.text(right, middle, name, bold=True, side="end")
    canvas.text(right, middle + LINE, text, size=SMALL, ink=QUIET, side="end")


def _verdict_width(name: str, text: str) -> float:
    name = shortened(name, MODEL_ROOM, TEXT, bold=True)
    return max(18 + _wide(name, bold=True) if name else 0.0, _wide(text, SMALL))


def _key(canvas: Canvas, names: Sequence[str], colors: Mapping[str, str], y: float, note: str) -> float:
    """Write names beside their colours and a note, in as many lines as they need; return the place of the last."""
    x, end = EDGE, canvas.width - EDGE
    for name in names:
        shown = shortened(name, KEY_ROOM, TEXT)
        if x > EDGE and x + 17 + _wide(shown) > end:
            x, y = EDGE, y + 18
        canvas.rect(x, y - 5.5, 11, 11, colors[name], f' stroke="{INKED}" stroke-width=".6"')
        canvas.text(x + 17, y, shown)
        x += 38 + _wide(shown)
    if x + _wide(note, SMALL) > end:
        y += 16
    canvas.text(end, y, note, size=SMALL, ink=QUIET, side="end")
    return y


def difference_chart(
    table: pd.DataFrame,
    *,
    colors: Mapping[str, str],
    label: str,
    alt: str,
    pairs: Sequence[tuple[str, str]] | None = None,
    title: str = "",
) -> str:
    """Draw differences of pairs of models within subjects, all pairs of them on one scale."""
    grid = read_table(table, colors, title)
    chosen = list(combinations(grid.models, 2)) if pairs is None else list(pairs)
    for model in (model for pair in chosen for model in pair):
        if model not in grid.models:
            raise DataError(f"Chart {title!r}: no rows of model {model!r}. {suggest(model, grid.models)}")
    if not chosen:
        raise DataError(f"Chart {title!r}: differences need two models, but there is only {grid.models}.")
    gaps = {pair: grid.of(pair[0]) - grid.of(pair[1]) for pair in chosen}
    peak = max(float(np.nanmax(np.abs(gap), initial=0.0)) for gap in gaps.values())
    reach = 1.06 * (round_up(peak) if peak > 0 else 1.0)
    n_columns = min(3, len(chosen))
    regions = _short(grid.regions, REGION_ROOM)
    left, between, head, row = EDGE + max(_wide(region) for region in regions) + 12, 28.0, 30.0, 14.0
    wide, tall = (WIDTH - EDGE - left - between * (n_columns - 1)) / n_columns, row * len(grid.regions)
    head += 16 * any(_two_lines(pair, wide) for pair in chosen)
    canvas = Canvas(WIDTH, 0)
    n_lines = -(-len(chosen) // n_columns)
    top, pitch = canvas.title(title), head + tall + 26  # what is on the axis stands below the last line
    canvas.height = top + pitch * n_lines + 20
    for place, (pair, gap) in enumerate(gaps.items()):
        line, column = divmod(place, n_columns)
        axis = _Axis(-reach, reach, left + column * (wide + between), wide)
        y = top + line * pitch + head
        _bands(canvas, axis, y, row, regions, named=column == 0)
        axis.ticks(canvas, y, y + tall, label if place + n_columns >= len(gaps) else "", most=4)
        for rank, values in enumerate(gap):
            both = colors[pair[0]], colors[pair[1]]
            _row(canvas, axis, values, y + (rank + 0.5) * row, colors=both, height=0.8 * row, strong=0.3)
        _sides(canvas, pair, axis, y)
    return canvas.svg(alt)


def _arrows(pair: tuple[str, str], width: float) -> tuple[str, str]:
    """Name the sides of zero that favour each model."""
    first, second = (shortened(name, width / 100 - 0.3, TEXT, bold=True) for name in pair)
    return f"{first} \N{RIGHTWARDS ARROW}", f"\N{LEFTWARDS ARROW} {second}"


def _two_lines(pair: tuple[str, str], width: float) -> bool:
    return sum(_wide(text, bold=True) for text in _arrows(pair, width)) > width - 20


def _sides(canvas: Canvas, pair: tuple[str, str], axis: _Axis, top: float) -> None:
    """Label which side of zero favours which model, in two lines where one is too narrow."""
    right, left = _arrows(pair, axis.width)
    canvas.text(axis.left, top - 10, left, bold=True)
    up = 26 if _two_lines(pair, axis.width) else 10
    canvas.text(axis.left + axis.width, top - up, right, side="end", bold=True)


@dataclass(frozen=True, eq=False)
class ScatterBins:
    """A histogram of pairs of values."""

    low: float  # Ends of both axes
    high: float
    counts: np.ndarray  # (n_bins, n_bins) Of the first value by the second
    first: float  # Part of the targets in which the first is higher
    second: float
    n: int  # Targets


def scatter_bins(
    a: np.ndarray, b: np.ndarray, names: tuple[str, str], *, limit: float | None = None, n_bins: int = 80
) -> ScatterBins:
    """Count pairs of values in square bins; targets where one is not finite are left out.

    Shapes: `a, b` (n_targets,).
    """
    a, b = np.ravel(np.asarray(a, dtype=float)), np.ravel(np.asarray(b, dtype=float))
    if a.shape != b.shape:
        raise DataError(f"Scatter of {names[0]!r} and {names[1]!r}: {a.size} and {b.size} targets, need equal numbers.")
    both = np.isfinite(a) & np.isfinite(b)
    if not both.any():
        raise DataError(f"Scatter of {names[0]!r} and {names[1]!r}: no target is finite in both.")
    a, b = a[both], b[both]
    high = limit or round_up(max(float(max(a.max(), b.max())), 1e-6))
    low = min(0.0, -round_up(max(-float(min(a.min(), b.min())), 1e-6)))
    edges = np.linspace(low, high, n_bins + 1)
    counts, _, _ = np.histogram2d(np.clip(a, low, high), np.clip(b, low, high), bins=(edges, edges))
    return ScatterBins(low, high, counts, float(np.mean(a > b)), float(np.mean(b > a)), a.size)


def scatter_chart(
    a: np.ndarray, b: np.ndarray, names: tuple[str, str], *, label: str, alt: str, title: str = ""
) -> str:
    """Draw two models against each other, target by target; the cells of the histogram are one small picture."""
    bins = scatter_bins(a, b, names)
    told = [shortened(f"{label}, {name}", 2.2, TEXT) for name in names]
    names = shortened(names[0], NAME_ROOM, TEXT, bold=True), shortened(names[1], NAME_ROOM, TEXT, bold=True)
    canvas = Canvas(THIRD, 0)
    top, left, side = canvas.title(shortened(title, 1.7, 11.5, bold=True)) + 4, 54.0, 224.0
    canvas.height = top + side + 40
    shades = (255 * mpl.colormaps["Blues"](np.linspace(0.25, 1, 256))[:, :3]).round().astype(np.uint8)
    counts = bins.counts.T[::-1]
    part = np.log(np.maximum(counts, 1)) / np.log(max(counts.max(), 2))
    cells = np.dstack(
        [shades[np.clip((255 * part).astype(int), 0, 255)], np.where(counts > 0, 255, 0).astype(np.uint8)]
    )
    target = io.BytesIO()
    Image.fromarray(cells, "RGBA").save(target, format="PNG", optimize=True)
    data = base64.b64encode(target.getvalue()).decode("ascii")
    canvas.marks.append(
        f'<image x="{left}" y="{top}" width="{side}" height="{side}" preserveAspectRatio="none" '
        f'style="image-rendering:pixelated" href="data:image/png;base64,{data}"/>'
    )
    across = _Axis(bins.low, bins.high, left, side)
    for tick in MaxNLocator(4, steps=[1, 2, 2.5, 5, 10]).tick_values(bins.low, bins.high):
        if bins.low - 1e-9 <= tick <= bins.high + 1e-9:
            x, y = across(tick), top + side - (across(tick) - left)
            canvas.line([(x, top + side), (x, top + side + 3)], QUIET, 0.8)
            canvas.line([(left - 3, y), (left, y)], QUIET, 0.8)
            canvas.text(x, top + side + 11, _number(tick), size=SMALL, side="middle")
            canvas.text(left - 6, y, _number(tick), size=SMALL, side="end")
    zero = across(0)
    canvas.line([(zero, top), (zero, top + side)], QUIET, 0.8)
    canvas.line([(left, top + side - (zero - left)), (left + side, top + side - (zero - left))], QUIET, 0.8)
    canvas.line([(left, top + side), (left + side, top)], INKED, 1.4, ' stroke-dasharray="6 4"')
    canvas.text(left + side / 2, top + side + 27, told[0], side="middle")
    middle = top + side / 2
    canvas.text(12, middle, told[1], side="middle", extra=f' transform="rotate(-90 12 {middle:.0f})"')
    canvas.text(left + 6, top + 12, f"{names[1]} higher in {bins.second:.0%}", bold=True)
    canvas.text(left + side - 6, top + side - 12, f"{names[0]} higher in {bins.first:.0%}", bold=True, side="end")
    canvas.text(left + side, 20, f"{bins.n:,} targets", size=SMALL, ink=QUIET, side="end")
    return canvas.svg(alt)


def check_alphas(counts: Mapping[str, np.ndarray], alphas: np.ndarray) -> np.ndarray:
    """Return the grid, or refuse one that does not rise from above 0 or counts of another length."""
    alphas = np.asarray(alphas, dtype=float)
    if not counts or alphas.ndim != 1 or not (np.diff(alphas) > 0).all() or alphas[0] <= 0:
        raise DataError(f"Alphas {alphas.tolist()} of {list(counts)}: needed a rising grid above 0, and a model.")
    for name, count in counts.items():
        if np.shape(count) != alphas.shape:
            raise DataError(f"Alphas of {name!r}: {np.size(count)} counts for {alphas.size} alphas.")
    return alphas


def alpha_chart(
    counts: Mapping[str, np.ndarray], alphas: np.ndarray, *, colors: Mapping[str, str], alt: str, title: str = "",
    warn_above: float = 0.05,
) -> str:  # fmt: skip
    """Draw how often each penalty was chosen; many at an edge of the grid mean that it is too narrow."""
    alphas = check_alphas(counts, alphas)
    shares = {name: np.asarray(count, dtype=float) / max(np.sum(count), 1) for name, count in counts.items()}
    peak = 1.12 * max(max(float(share.max()) for share in shares.values()), 1e-6)
    n_columns = min(4, len(counts))
    wide, tall = (WIDTH - EDGE - 55 - 30 * (n_columns - 1)) / n_columns, 120.0
    canvas = Canvas(WIDTH, 0)
    top, pitch = canvas.title(title), tall + 96
    canvas.height = top + pitch * -(-len(counts) // n_columns)
    for rank, (name, share) in enumerate(shares.items()):
        line, column = divmod(rank, n_columns)
        left, y = 55 + column * (wide + 30), top + line * pitch + 44
        canvas.text(left, y - 32, name, size=8.5, bold=True)
        step = wide / share.size
        for place, value in enumerate(share):
            height = tall * value / peak
            canvas.rect(left + (place + 0.1) * step, y + tall - height, 0.8 * step, height, colors[name])
        canvas.line([(left, y + tall), (left + wide, y + tall)], QUIET, 0.8)
        for place, x, side in ((0, left, "start"), (share.size - 1, left + wide, "end")):
            loud = share[place] > warn_above
            canvas.text(
                x,
                y - 12,
                f"{share[place]:.0%} at the edge",
                size=SMALL,
                side=side,
                bold=loud,
                ink=INKED if loud else QUIET,
            )
        for place in range(0, share.size, max(1, -(-share.size // 5))):
            canvas.text(left + (place + 0.5) * step, y + tall + 10, f"{alphas[place]:.3g}", size=SMALL, side="middle")
        canvas.text(left + wide / 2, y + tall + 26, "alpha", side="middle")
        if column == 0:
            for tick in MaxNLocator(3).tick_values(0, peak):
                if 0 <= tick <= peak:
                    canvas.text(left - 5, y + tall * (1 - tick / peak), f"{tick:.0%}", size=SMALL, side="end")
    return canvas.svg(alt)


def split_chart(fold_of_run: Mapping[str, int], *, alt: str, title: str = "") -> str:
    """Draw which runs each fold holds out."""
    runs, folds = list(fold_of_run), list(fold_of_run.values())
    if not folds or max(folds) < 0:
        raise DataError(f"Splits {title!r}: {len(folds)} runs, none of which is ever tested.")
    cell = min(30.0, (WIDTH - 84) / len(folds))
    high = min(cell, 24.0)
    canvas = Canvas(max(84 + cell * len(folds), THIRD), 0)
    top = canvas.title(title) + 22
    step = max(1, -(-len(runs) // 24))
    names = [shortened(name, RUN_ROOM, SMALL) for name in runs]
    longest = max(_wide(name, SMALL) for name in names)
    upright = longest > 0.95 * step * cell  # side by side they would touch
    below = longest + 8 if upright else 16.0
    canvas.height = top + high * (max(folds) + 1) + below + 24
    canvas.text(70, top - 10, "dark = held out, light = trained on", size=SMALL, ink=QUIET)
    for fold in range(max(folds) + 1):
        canvas.text(62, top + (fold + 0.5) * high, str(fold + 1), size=SMALL, side="end")
        for place, of in enumerate(folds):
            fill = "#0B3C5D" if of == fold else "#DCE6EE"
            canvas.rect(70 + place * cell + 0.6, top + fold * high + 0.6, cell - 1.2, high - 1.2, fill)
    bottom = top + high * (max(folds) + 1)
    for place in range(0, len(runs), step):
        x, y = 70 + (place + 0.5) * cell, bottom + (6 if upright else 9)
        turned = f' transform="rotate(-90 {x:.1f} {y:.1f})"' if upright else ""
        canvas.text(x, y, names[place], size=SMALL, side="end" if upright else "middle", extra=turned)
    canvas.text(70 + cell * len(folds) / 2, bottom + below + 10, "run", side="middle")
    canvas.text(14, top + (bottom - top) / 2, "fold", size=SMALL)
    return canvas.svg(alt)

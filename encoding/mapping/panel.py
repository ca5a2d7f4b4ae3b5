"""The figure for a paper: the group and every participant, the named space, two spaces at once, ceilings."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from ..core import DataError, suggest
from ..core.axes import shared_places, told_unshared
from ..drawing.figure import INK, MUTED, save_figure, shortened, styled
from ..drawing.layers import Layer, number_layer, pair_layer, winner_layer
from ..drawing.legend import draw_color_bar, draw_square, draw_winner_legend, winner_legend_size
from ..drawing.panels import Block, Drawn, beside, stack
from ..drawing.scales import ColorScale, PairScale, WinnerScale, accuracy_scale, round_up, space_colors
from .composer import LABELS
from .figures import Canvas, canvas_of, group_mean
from .meshes import find_surfaces
from .plotting import map_settings
from .results import Result, read_result, require_same_settings
from .settings import Maps
from .significance import Named, fading_of, named_targets
from .summary import FACTS

WIDTH = 7.2  # inch, two columns of a journal
NAMES = 0.62  # inch, names of rows
INSIDE = WIDTH - 0.28  # inch
GAP = 0.1  # inch between columns
LETTER = 7.0  # points; the smallest letters of the figure
MOST_COLUMNS = 5


def plot_results(
    output_dir: str | Path, output: str | Path | None = None, *, models: Sequence[str] = (), **settings: Any
) -> Figure:
    """Draw a figure for a paper: mean and participants by model, winner, two spaces on one map, and ceiling.

    All maps of accuracy have one scale. Colours are faded where a test of the target did not pass, and winners are
    those that the tests name.

    Parameters
    ----------
    output_dir : path
        Results, as ``encoding run`` writes them.
    output : path, optional
        PDF, SVG or PNG to write.
    models : sequence of str, optional
        Models to show, at most five; those of single feature spaces unless given, or all if there are none.
    **settings
        Keys of ``[map]``, such as mesh and dpi (300 unless given).

    Returns
    -------
    matplotlib.figure.Figure
        18 cm wide; also where it was written.

    Raises
    ------
    DataError
        If there are no finished participants, they were made with different settings, a model is unknown, or nothing
        of them can be drawn.

    Examples
    --------
    >>> plot_results("elsewhere")
    Traceback (most recent call last):
    encoding.core.errors.DataError: elsewhere: no finished participant here. Run encoding run BIDS_DIR OUTPUT_DIR.
    """
    folder = Path(output_dir)
    labels = sorted(path.parent.name.removeprefix("sub-") for path in folder.glob(f"sub-*/{FACTS}"))
    if not labels:
        raise DataError(f"{folder}: no finished participant here. Run encoding run BIDS_DIR OUTPUT_DIR.")
    results = [read_result(folder / f"sub-{label}") for label in labels]
    require_same_settings(results)
    chosen = map_settings(**settings)
    figure = _draw(_Panel.of(results, models, chosen))
    if output is not None:
        save_figure(figure, output, dpi=chosen.dpi)
    return figure


@dataclass(frozen=True, eq=False)
class _Panel:
    """What is shown of whom, and on what scale."""

    results: Sequence[Result]
    models: tuple[str, ...]
    settings: Maps
    canvas: dict[str, Canvas]
    scale: ColorScale
    places: Sequence[np.ndarray] | None  # As of `shared_places`, where there is a mean
    colors: dict[str, str]
    cell: float  # Width of a column in inches

    @classmethod
    def of(cls, results: Sequence[Result], models: Sequence[str], settings: Maps) -> "_Panel":
        summary = results[0].summary
        known = [name for name in summary.models if name not in summary.auxiliary]
        for name in models:
            if name not in known:
                raise DataError(f"{results[0].folder.parent}: has no model {name!r}. {suggest(name, known)}")
        shown = tuple(models) or tuple(summary.single)[:MOST_COLUMNS] or tuple(known)[:MOST_COLUMNS]
        if not 0 < len(shown) <= MOST_COLUMNS:
            raise DataError(f"{len(shown)} models: between 1 and {MOST_COLUMNS} fit beside each other.")
        canvas = {
            r.subject: canvas_of(r.targets, r.background, find_surfaces(settings, r.targets, r.subject), settings)
            for r in results
        }
        for subject, one in canvas.items():
            if not one.drawable:
                raise DataError(f"sub-{subject}: cannot be drawn. {one.surfaces.missing or 'It has no place.'}")
        values = [r.scores[summary.metric].row(model) for r in results for model in shown]
        scale = accuracy_scale(values, LABELS[summary.metric])
        places = shared_places([r.targets for r in results]) if len(results) > 1 else None
        n = max(len(shown), 2)  # of a single model, pictures would be too large
        cell = (INSIDE - NAMES - GAP * n) / n
        return cls(results, shown, settings, canvas, scale, places, space_colors(known), cell)

    @property
    def metric(self) -> str:
        return self.results[0].summary.metric

    def picture(self, result: Result, layer: Layer) -> Drawn:
        return self.canvas[result.subject].compact(layer, self.cell, self.settings.dpi)

    def row(self, name: str, cells: Sequence[Block]) -> Drawn:
        return _left(beside([_name(name, max(cell.height for cell in cells)), *cells], gap=GAP))


@styled
def _draw(panel: _Panel) -> Figure:
    results, first = panel.results, panel.results[0]
    sides = all(canvas.on_surface for canvas in panel.canvas.values())
    heads = [_head(model, panel.cell, panel.colors[model], sides=sides) for model in panel.models]
    blocks: list[Block] = [_left(beside([_head("", NAMES, INK), *heads], gap=GAP))]
    if panel.places is not None:
        of_models = [[r.scores[panel.metric].row(model) for r in results] for model in panel.models]
        means = [group_mean(maps, panel.places) for maps in of_models]
        pictures = [panel.picture(first, number_layer(mean, panel.scale)) for mean in means]
        what = "mean of\nvertices" if told_unshared([r.targets for r in results], panel.places) else "mean"
        blocks.append(panel.row(f"{what}\nn = {len(results)}", pictures))
    fading = fading_of(results, panel.settings, panel.models)
    for result in results:
        layers = [
            number_layer(result.scores[panel.metric].row(model), panel.scale, fading.of(result, model))
            for model in panel.models
        ]
        blocks.append(panel.row(f"sub-{result.subject}", [panel.picture(result, layer) for layer in layers]))
    blocks.append(_bar(panel, "faded: did not pass" if fading.passed else "not tested"))
    blocks += _winners(panel)
    blocks += _pairs(panel)
    blocks += _ceilings(panel)
    return stack(blocks, width=WIDTH)


def _left(block: Block) -> Drawn:
    """Widen a block to the whole figure, so that columns of all rows stand below each other."""
    return Drawn(INSIDE, block.height, block.draw)


def _head(text: str, width: float, color: str, *, sides: bool = False) -> Drawn:
    """Write a name above a column, between the letters of the hemispheres if there are `sides`."""

    def draw(figure: Figure, left: float, top: float) -> None:
        wide, high = figure.get_size_inches()
        y = 1 - (top + 0.08) / high
        shown = shortened(text, width - 0.4 * sides, 9, bold=True)
        figure.text((left + width / 2) / wide, y, shown, size=9, weight="bold", color=color, ha="center", va="center")
        for letter, place in (("L", 0.03), ("R", 0.97)) if sides else ():
            figure.text((left + place * width) / wide, y, letter, size=8, color=MUTED, ha="center", va="center")

    return Drawn(width, 0.17, draw)


def _name(text: str, height: float) -> Drawn:
    def draw(figure: Figure, left: float, top: float) -> None:
        wide, high = figure.get_size_inches()
        figure.text(left / wide, 1 - (top + height / 2) / high, text, size=LETTER + 1, va="center", ha="left")

    return Drawn(NAMES, height, draw)


def _bar(panel: _Panel, note: str) -> Drawn:
    """Make the one colour bar of all maps of accuracy."""

    def draw(figure: Figure, left: float, top: float) -> None:
        width, height = figure.get_size_inches()
        draw_color_bar(figure, panel.scale, (left + INSIDE / 2 - 1.3, top, 2.6), below=False, above=False)
        text = f"one scale for all; {note}"
        place = (left + INSIDE / 2 + 1.45) / width, 1 - (top + 0.25) / height
        figure.text(*place, text, size=LETTER, color=MUTED, va="center", ha="left")

    return Drawn(INSIDE, 0.52, draw)


def _grid(panel: _Panel, title: str, cells: Sequence[tuple[str, Drawn]], legend: Drawn | None) -> list[Block]:
    """Make a titled row of pictures with their names, broken where the page ends, and a legend."""
    n = max(1, int((INSIDE - NAMES + 1e-6) / (panel.cell + GAP)))
    blocks: list[Block] = []
    for start in range(0, len(cells), n):
        part = cells[start : start + n]
        heads = [_head(name, panel.cell, INK) for name, _ in part]
        blocks.append(_left(beside([_head("", NAMES, INK), *heads], gap=GAP)))
        blocks.append(panel.row(title if start == 0 else "", [picture for _, picture in part]))
    return blocks + ([legend] if legend is not None else [])


def _winners(panel: _Panel) -> list[Block]:
    """Name the space that is ahead in every target of every participant; none without tests."""
    single = list(panel.results[0].summary.single)
    found = [(result, named_targets(result, single)) for result in panel.results] if len(single) > 1 else []
    tested: list[tuple[Result, Named]] = [(result, named) for result, named in found if named is not None]
    if not tested:
        return []
    leads = np.concatenate([named.lead[named.winner >= 0] for _, named in tested])
    full = round_up(float(np.median(leads))) if leads.size and np.median(leads) > 0 else 0.01
    scale = WinnerScale(tuple(single), tuple(panel.colors[name] for name in single), full, 1e-6, "U")
    cells = []
    for result, named in tested:
        layer = winner_layer(named.winner, named.lead, np.where(named.tested, 1.0, np.nan), scale)
        cells.append((f"sub-{result.subject}", panel.picture(result, layer)))
    wide, high, n_columns = winner_legend_size(scale, INSIDE, ties=True)

    def draw(figure: Figure, left: float, top: float) -> None:
        draw_winner_legend(figure, scale, (left + (INSIDE - wide) / 2, top), n_columns=n_columns, ties=True)

    return _grid(panel, "space\nahead", cells, Drawn(INSIDE, high + 0.1, draw))


def _pairs(panel: _Panel) -> list[Block]:
    """Show the first two spaces at once, in the mean if there is one and in every participant."""
    single = [name for name in panel.models if name in panel.results[0].summary.single]
    if len(single) < 2:
        return []
    a, b = single[:2]
    scale = PairScale((a, b), (panel.colors[a], panel.colors[b]), panel.scale.vmax, LABELS[panel.metric])
    scores = [(result, result.scores[panel.metric]) for result in panel.results]
    cells = [(f"sub-{r.subject}", panel.picture(r, pair_layer(s.row(a), s.row(b), scale))) for r, s in scores]
    if panel.places is not None:
        means = [group_mean([s.row(name) for _, s in scores], panel.places) for name in (a, b)]
        mean = pair_layer(means[0], means[1], scale)
        cells.insert(0, ("mean", panel.picture(panel.results[0], mean)))

    def draw(figure: Figure, left: float, top: float) -> None:
        draw_square(figure, scale, (left + INSIDE / 2 - 0.4, top + 0.2))

    return _grid(panel, "two\nspaces", cells, Drawn(INSIDE, 1.45, draw))


def _ceilings(panel: _Panel) -> list[Block]:
    """Show the noise ceiling of every participant that has one."""
    results = [result for result in panel.results if "ceiling" in result.scores]
    if not results:
        return []
    scale = ColorScale(0.0, 1.0, "cividis", "noise ceiling of r")
    cells = [
        (f"sub-{r.subject}", panel.picture(r, number_layer(r.scores["ceiling"].values[0], scale))) for r in results
    ]

    def draw(figure: Figure, left: float, top: float) -> None:
        draw_color_bar(figure, scale, (left + INSIDE / 2 - 1.3, top, 2.6), below=False, above=False)

    return _grid(panel, "ceiling", cells, Drawn(INSIDE, 0.52, draw))

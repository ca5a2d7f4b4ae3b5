"""Pictures that say whether a fit can be trusted: two spaces against each other, chosen alphas, folds."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure

from ..core.errors import DataError
from .figure import INK, MUTED, add_axes, halo, shortened, styled, title_height, write_title
from .scales import round_up

WIDTH = 9.0  # inch
EDGE = 0.14  # inch
RUN_ROOM = 1.2  # inch
WARN = "#B3261E"


@styled
def draw_scatter(
    a: np.ndarray,
    b: np.ndarray,
    names: tuple[str, str],
    *,
    label: str,
    title: str = "",
    limit: float | None = None,
    n_bins: int = 80,
) -> Figure:
    """Draw a 2-D histogram of two accuracies per target, with equal axes and the line on which they are equal.

    Parameters
    ----------
    a, b : ndarray, shape (n_targets,)
        Accuracy of two feature spaces; targets where one is not finite are left out.
    names : (str, str)
        Their names.
    label : str
        Quantity, for instance "Pearson r".
    title : str, optional
        Text above the chart; what follows a line break is set smaller.
    limit : float, optional
        Upper end of both axes, to share it between figures.
    n_bins : int, optional
        Bins along each axis.

    Returns
    -------
    Figure
        Square chart.

    Raises
    ------
    DataError
        If the shapes differ or no target has two finite values.
    """
    bins = scatter_bins(a, b, names, limit=limit, n_bins=n_bins)
    title, _, subtitle = title.partition("\n")
    top = title_height(title, subtitle) + 0.12
    side = 4.3
    figure = Figure(figsize=(6.4, top + side + 0.55))
    write_title(figure, title, subtitle=subtitle)
    axes = add_axes(figure, 0.75, top, side, side)
    low, high, counts = bins.low, bins.high, bins.counts
    edges = np.linspace(low, high, n_bins + 1)
    norm = LogNorm(1, max(counts.max(), 2))
    shades = mpl.colormaps["Blues"](np.linspace(0.25, 1, 256))
    mesh = axes.pcolormesh(
        edges,
        edges,
        np.ma.masked_equal(counts.T, 0),
        norm=norm,
        cmap=mpl.colors.ListedColormap(shades),
        rasterized=True,
    )
    axes.axhline(0, color=MUTED, linewidth=0.6)
    axes.axvline(0, color=MUTED, linewidth=0.6)
    axes.plot([low, high], [low, high], color=INK, linewidth=1.0, dashes=(4, 3))
    axes.set(xlim=(low, high), ylim=(low, high), aspect="equal")
    axes.set_xlabel(shortened(f"{label}, {names[0]}", side, 8.5))
    axes.set_ylabel(shortened(f"{label}, {names[1]}", side, 8.5))
    axes.tick_params(length=2.5, width=0.6)
    for x, y, name, part, h, v in (
        (0.03, 0.97, names[1], bins.second, "left", "top"),
        (0.97, 0.03, names[0], bins.first, "right", "bottom"),
    ):
        text = f"{shortened(name, side - 1.7, 8.5, bold=True)} higher in {part:.0%}"
        axes.text(x, y, text, transform=axes.transAxes, ha=h, va=v, size=8.5, weight="bold", path_effects=halo(2.5))
    bar = figure.colorbar(mesh, cax=add_axes(figure, 0.75 + side + 0.2, top + side * 0.3, 0.11, side * 0.4))
    bar.outline.set_visible(False)
    bar.ax.tick_params(length=2, width=0.6)
    bar.ax.yaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
    bar.set_label(f"targets per bin\n{bins.n:,} in all", size=7.5, color=MUTED)
    return figure


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


def check_alphas(counts: Mapping[str, np.ndarray], alphas: np.ndarray) -> np.ndarray:
    """Return the grid, or refuse one that does not rise from above 0 or counts of another length."""
    alphas = np.asarray(alphas, dtype=float)
    if not counts or alphas.ndim != 1 or not (np.diff(alphas) > 0).all() or alphas[0] <= 0:
        raise DataError(f"Alphas {alphas.tolist()} of {list(counts)}: needed a rising grid above 0, and a model.")
    for name, count in counts.items():
        if np.shape(count) != alphas.shape:
            raise DataError(f"Alphas of {name!r}: {np.size(count)} counts for {alphas.size} alphas.")
    return alphas


@styled
def draw_alphas(
    counts: Mapping[str, np.ndarray],
    alphas: np.ndarray,
    *,
    colors: Mapping[str, str],
    title: str = "",
    warn_above: float = 0.05,
) -> Figure:
    """Draw how often each ridge penalty was chosen; many at an edge of the grid mean that it is too narrow.

    Parameters
    ----------
    counts : mapping of str to ndarray, shape (n_alphas,)
        How many targets and folds chose each alpha, per model or feature space.
    alphas : ndarray, shape (n_alphas,)
        The grid, rising, above 0.
    colors : mapping of str to str
        Colour per name.
    title : str, optional
        Text above the chart; what follows a line break is set smaller.
    warn_above : float, optional
        Share at an edge from which on it is written in red.

    Returns
    -------
    Figure
        One panel per name.

    Raises
    ------
    DataError
        If the lengths do not match or there is nothing to draw.
    """
    alphas = check_alphas(counts, alphas)
    shares = {name: np.asarray(count, dtype=float) / max(np.sum(count), 1) for name, count in counts.items()}
    peak = max(max(float(share.max()) for share in shares.values()), 1e-6)
    title, _, subtitle = title.partition("\n")
    n_columns = min(4, len(counts))
    panel = (WIDTH - EDGE - 0.55 - 0.3 * (n_columns - 1)) / n_columns, 1.35
    top, pitch = title_height(title, subtitle), 0.42 + panel[1] + 0.55
    figure = Figure(figsize=(WIDTH, top + pitch * -(-len(counts) // n_columns)))
    write_title(figure, title, subtitle=subtitle)
    for rank, name in enumerate(counts):
        row, column = divmod(rank, n_columns)
        axes = add_axes(figure, 0.55 + column * (panel[0] + 0.3), top + row * pitch + 0.42, *panel)
        _draw_alpha_panel(axes, shares[name], alphas, color=colors[name], warn_above=warn_above)
        axes.set_ylim(0, 1.12 * peak)
        axes.set_title(name, size=8.5, weight="bold", loc="left", pad=15)
        if column == 0:
            axes.set_ylabel("share of choices")
        else:
            axes.tick_params(axis="y", labelleft=False)
    return figure


def _draw_alpha_panel(axes: Axes, share: np.ndarray, alphas: np.ndarray, *, color: str, warn_above: float) -> None:
    places = np.arange(alphas.size)
    axes.bar(places, share, width=0.8, color=color, edgecolor=INK, linewidth=0.4)
    for place, edge, side in ((0, -0.5, "left"), (alphas.size - 1, alphas.size - 0.5, "right")):
        loud = share[place] > warn_above
        tone = WARN if loud else MUTED
        axes.axvline(edge, color=tone, linewidth=0.9, dashes=(3, 2), clip_on=False)
        axes.text(
            0 if side == "left" else 1,
            1.03,
            f"{share[place]:.0%} at the edge",
            transform=axes.transAxes,
            size=7,
            color=tone,
            weight="bold" if loud else "normal",
            ha=side,
            va="bottom",
        )
    step = max(1, -(-alphas.size // 5))
    shown = places[::step]
    axes.set_xticks(shown, [_power(alpha) for alpha in alphas[shown]])
    axes.set(xlim=(-0.5, alphas.size - 0.5), xlabel="alpha")
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:.0%}")
    axes.locator_params(axis="y", nbins=4)
    axes.tick_params(length=2.5, width=0.6)


def _power(value: float) -> str:
    exponent = np.log10(value)
    if abs(exponent - round(exponent)) < 1e-6:
        return f"$10^{{{round(exponent)}}}$"
    return f"{value:.2g}"


@styled
def draw_splits(fold_of_run: Mapping[str, int] | Sequence[int], *, title: str = "", unit: str = "run") -> Figure:
    """Draw which runs are held out in which outer fold.

    Parameters
    ----------
    fold_of_run : mapping of str to int, or sequence of int
        Fold in which each run is tested, from 0 on; -1 for runs that are only ever trained on.
    title : str, optional
        Text above the chart; what follows a line break is set smaller.
    unit : str, optional
        What a column is ("run", "block").

    Returns
    -------
    Figure
        One row per fold, one column per run; dark cells are tested, light ones trained on.

    Raises
    ------
    DataError
        If there is no run, or none is ever tested.
    """
    pairs = fold_of_run.items() if isinstance(fold_of_run, Mapping) else enumerate(fold_of_run, start=1)
    labels, folds = zip(*[(str(run), int(fold)) for run, fold in pairs], strict=True) if len(fold_of_run) else ((), ())
    if not folds or max(folds) < 0:
        raise DataError(f"Splits {title!r}: {len(folds)} runs, none of which is ever tested.")
    n_folds = max(folds) + 1
    title, _, subtitle = title.partition("\n")
    cell = min(0.3, (WIDTH - 2 * EDGE - 0.6) / len(folds))
    high = min(cell, 0.24)
    top = title_height(title, subtitle) + 0.3
    width = max(0.7 + cell * len(folds) + EDGE, 3.6)
    figure = Figure(figsize=(width, top + high * n_folds + 0.5))
    write_title(figure, title, subtitle=subtitle)
    axes = add_axes(figure, 0.7, top, cell * len(folds), high * n_folds)
    tested = np.array(folds)[None, :] == np.arange(n_folds)[:, None]
    tones = np.where(tested, 0.0, 1.0)
    axes.pcolormesh(tones, cmap=mpl.colors.ListedColormap(["#0B3C5D", "#DCE6EE"]), edgecolors="white", linewidth=1.2)
    axes.set_ylim(n_folds, 0)
    step = max(1, -(-len(folds) // 24))
    axes.set_xticks(np.arange(0, len(folds), step) + 0.5, [shortened(name, RUN_ROOM, 7) for name in labels[::step]])
    axes.set_yticks(np.arange(n_folds) + 0.5, [str(fold + 1) for fold in range(n_folds)])
    axes.set(xlabel=unit, ylabel="outer fold")
    axes.tick_params(length=0, labelsize=7)
    for side in ("left", "bottom"):
        axes.spines[side].set_visible(False)
    axes.set_title("dark = held out, light = trained on", size=7.5, color=MUTED, loc="left", pad=4)
    return figure

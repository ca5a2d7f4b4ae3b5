"""Figures on the quality of judgments."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from .figure import INK, MUTED, add_axes, shortened, styled, text_width, title_height, write_title

WIDTH = 9.0  # inch
EDGE = 0.14  # inch
NAME_ROOM = 3.0  # inch
WARN = "#B3261E"
GOOD = "#2E6F95"
SLOTS = ("#2E6F95", "#E0A030", "#7A5195")
OUTCOME_COLORS = {
    "valid": "#2E6F95",
    "refused": "#E0A030",
    "unparsed": "#7A5195",
    "truncated": "#A0A7AE",
    "error": "#B3261E",
}


def _left(names: Sequence[str]) -> float:
    return EDGE + max(text_width(_short(name), 8.5) for name in names) + 0.16


def _short(name: str) -> str:
    """Shorten a name to what the left margin holds."""
    return shortened(name, NAME_ROOM, 8.5)


@styled
def draw_outcomes(outcomes: Mapping[str, Mapping[str, int]], *, title: str = "") -> Figure:
    """Draw the share of each outcome, one bar per judge."""
    names = list(outcomes)
    left, top = _left(names), title_height(title) + 0.28
    height = 0.34 * len(names)
    figure = Figure(figsize=(WIDTH, top + height + 0.45))
    write_title(figure, title)
    axes = add_axes(figure, left, top, WIDTH - left - 1.5, height)
    for row, name in enumerate(names):
        total, start = max(sum(outcomes[name].values()), 1), 0.0
        for kind, color in OUTCOME_COLORS.items():
            share = outcomes[name].get(kind, 0) / total
            axes.barh(row, share, left=start, height=0.66, color=color, linewidth=0)
            start += share
        text = f"{outcomes[name].get('valid', 0) / total:.2%} valid"
        axes.annotate(
            text, (1, row), xycoords=("axes fraction", "data"), xytext=(8, 0), textcoords="offset points", va="center",
            size=8.5, weight="bold", annotation_clip=False,
        )  # fmt: skip
    axes.set(xlim=(0, 1), ylim=(len(names) - 0.5, -0.5))
    axes.set_yticks(range(len(names)), [_short(name) for name in names])
    axes.tick_params(axis="y", length=0)
    axes.xaxis.set_major_formatter(PercentFormatter(1))
    axes.set_xlabel("share of answers")
    x = left / WIDTH
    for kind, color in OUTCOME_COLORS.items():
        y = 1 - (top - 0.14) / figure.get_size_inches()[1]
        figure.text(x, y, "\N{BLACK SQUARE}", color=color, size=10, va="center")
        figure.text(x + 0.16 / WIDTH, y, kind, size=8, va="center")
        x += (0.38 + text_width(kind, 8)) / WIDTH
    return figure


@styled
def draw_slots(
    shares: Mapping[str, np.ndarray], p: Mapping[str, float], flagged: Mapping[str, bool], *, title: str = ""
) -> Figure:
    """Draw how often each judge chooses each slot; the dashed line is equal use.

    Shapes: `shares` (3,).
    """
    names = list(shares)
    n_columns = min(4, len(names))
    pitch = (WIDTH - 2 * EDGE - 0.35) / n_columns
    top, panel = title_height(title), 1.45
    n_rows = -(-len(names) // n_columns)
    figure = Figure(figsize=(WIDTH, top + n_rows * (panel + 0.95) + 0.02))
    write_title(figure, title)
    peak = max(0.5, 1.15 * max(float(np.nanmax(value, initial=0)) for value in shares.values()))
    for place, name in enumerate(names):
        row, column = divmod(place, n_columns)
        left = EDGE + 0.35 + column * pitch
        axes = add_axes(figure, left, top + row * (panel + 0.95) + 0.45, min(pitch - 0.35, 1.9), panel)
        axes.bar(range(3), np.nan_to_num(shares[name]), color=WARN if flagged[name] else GOOD, width=0.68, linewidth=0)
        for slot, share in enumerate(shares[name]):
            if np.isfinite(share):
                axes.text(slot, share + 0.01 * peak, f"{share:.1%}", ha="center", va="bottom", size=8)
        axes.axhline(1 / 3, color=INK, linewidth=0.9, dashes=(4, 3))
        axes.set(ylim=(0, peak), xlim=(-0.55, 2.55))
        axes.set_xticks(range(3), ["first", "second", "third"])
        axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
        axes.tick_params(length=0)
        axes.set_title(shortened(name, pitch - 0.35, 9, bold=True), size=9, weight="bold", loc="left", pad=16)
        says = (
            f"prefers a slot, p = {p[name]:.1g}"
            if flagged[name]
            else f"no preference to point out, p = {max(p[name], 1e-300):.2g}"
        )
        color = WARN if flagged[name] else MUTED
        axes.annotate(says, (0, 1), xycoords="axes fraction", xytext=(0, 4), textcoords="offset points", size=7.5,
                      color=color)  # fmt: skip
    return figure


@styled
def draw_repeats(
    per_triplet: Mapping[str, np.ndarray], intervals: Mapping[str, tuple[float, float, float]], *,
    chance: Mapping[str, float], title: str = "",
) -> Figure:  # fmt: skip
    """Draw how consistently repeated triplets are answered."""
    names = list(per_triplet)
    n_columns = min(3, len(names))
    pitch = (WIDTH - 2 * EDGE) / n_columns
    top, panel = title_height(title), 1.4
    n_rows = -(-len(names) // n_columns)
    figure = Figure(figsize=(WIDTH, top + n_rows * (panel + 1.2)))
    write_title(figure, title)
    edges = np.linspace(1 / 3, 1, 21).tolist()
    for place, name in enumerate(names):
        row, column = divmod(place, n_columns)
        left = EDGE + 0.6 + column * pitch
        axes = add_axes(figure, left, top + row * (panel + 1.2) + 0.56, pitch - 0.75, panel)
        axes.hist(np.clip(per_triplet[name], 1 / 3, 1), bins=edges, color=GOOD, linewidth=0)
        mean, low, high = intervals[name]
        axes.axvspan(low, high, color=INK, alpha=0.15, linewidth=0)
        axes.axvline(mean, color=INK, linewidth=1.4)
        axes.axvline(chance[name], color=WARN, linewidth=1.0, dashes=(4, 3))
        axes.set(xlim=(1 / 3 - 0.01, 1.01), xlabel="share of the most frequent answer", ylabel="triplets")
        axes.xaxis.set_major_formatter(PercentFormatter(1, decimals=0))
        axes.tick_params(length=2)
        axes.set_title(shortened(name, pitch - 0.65, 9, bold=True), size=9, weight="bold", loc="left", pad=25)
        says = f"ceiling {mean:.1%} [{low:.1%}, {high:.1%}]\nat random 33.3%; bars {chance[name]:.1%} (dashed)"
        axes.annotate(says, (0, 1), xycoords="axes fraction", xytext=(0, 4), textcoords="offset points", size=7.5,
                      color=MUTED)  # fmt: skip
    return figure


@styled
def draw_agreement(table: pd.DataFrame, *, title: str = "") -> Figure:
    """Draw how often judges agree, one line per pair; the dashed line is chance."""
    names = [f"{a} \N{MULTIPLICATION SIGN} {b}" for a, b in zip(table["a"], table["b"], strict=True)]
    left, top = _left(names), title_height(title) + 0.1
    height = 0.3 * len(names) + 0.1
    figure = Figure(figsize=(WIDTH, top + height + 0.5))
    write_title(figure, title)
    axes = add_axes(figure, left, top, WIDTH - left - 1.8, height)
    for row, (share, low, high, n) in enumerate(table[["agreement", "low", "high", "triplets"]].to_numpy()):
        axes.plot([low, high], [row, row], color=GOOD, linewidth=2.2, solid_capstyle="butt")
        axes.scatter([share], [row], s=30, color=GOOD, zorder=3)
        axes.annotate(
            f"{share:.1%} of {int(n):,}", (1, row), xycoords=("axes fraction", "data"), xytext=(8, 0),
            textcoords="offset points", va="center", size=8.5, annotation_clip=False,
        )  # fmt: skip
    axes.axvline(1 / 3, color=INK, linewidth=0.9, dashes=(4, 3))
    axes.set(xlim=(0, 1), ylim=(len(names) - 0.5, -0.5), xlabel="triplets on which both name the same stimulus")
    axes.set_yticks(range(len(names)), [_short(name) for name in names])
    axes.tick_params(axis="y", length=0)
    axes.xaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    axes.grid(axis="x")
    return figure


@styled
def draw_drift(drift: Mapping[str, pd.DataFrame], *, title: str = "") -> Figure:
    """Draw slot use, validity and latency over time, one row per judge."""
    top, panel, gap = title_height(title), 1.05, 0.95
    figure = Figure(figsize=(WIDTH, top + len(drift) * (panel + gap)))
    write_title(figure, title)
    third = (WIDTH - 2 * EDGE) / 3
    for row, (name, table) in enumerate(drift.items()):
        where = top + row * (panel + gap) + 0.42
        x = (np.arange(len(table)) + 0.5) / len(table)
        slots, valid, latency = (
            add_axes(figure, EDGE + 0.42 + k * third, where, third - 0.62, panel) for k in range(3)
        )
        for column, color in zip(("first", "second", "third"), SLOTS, strict=True):
            slots.plot(x, table[column], color=color, linewidth=1.6, marker="o", markersize=2.5, label=column)
        slots.axhline(1 / 3, color=INK, linewidth=0.8, dashes=(4, 3))
        slots.legend(loc="upper right", ncols=3, frameon=False, fontsize=6.5, handlelength=1, borderpad=0)
        slots.set(ylim=(0, 1))
        valid.plot(x, table["valid"], color=GOOD, linewidth=1.6, marker="o", markersize=2.5)
        valid.set(ylim=(min(0.9, float(table["valid"].min()) - 0.05), 1.005))
        latency.plot(x, table["latency"], color=GOOD, linewidth=1.6, marker="o", markersize=2.5)
        latency.set(ylim=(0, 1.2 * max(float(np.nan_to_num(table["latency"]).max()), 1e-3)))
        panels = ((slots, "choices per slot", 1), (valid, "valid answers", 1), (latency, "latency (s)", 0))
        for axes, what, percent in panels:
            axes.set_xlim(0, 1)
            axes.set_xticks([0, 1], ["first answers", "last"])
            axes.tick_params(length=2)
            first, last = axes.get_xticklabels()
            first.set_horizontalalignment("left")
            last.set_horizontalalignment("right")
            if percent:
                axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
            axes.set_title(
                what if axes is not slots else f"{shortened(name, third - 1.6, 8.5)}: {what}", size=8.5, loc="left"
            )
    return figure

"""The first thing on a report: which space is ahead where, in whom, how sure, and where nothing can be said."""

import math
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup, escape

WIDTH, HEIGHT = 112.0, 18.0  # of the interval in a cell, in pixels


@dataclass(frozen=True)
class Person:
    """What the data of one participant say of one region."""

    subject: str
    space: str  # The space that leads there; "" if that was not tested
    color: str
    named: bool  # Whether it may be named by their own data


@dataclass(frozen=True)
class Verdict:
    """What may be claimed of one region."""

    region: str
    best: str  # The space that may be named; "" for none
    color: str  # Of the named space
    told: str  # What stands in the place of a name, where none may be named
    value: float  # Lead of the first over the second space, NaN where not tested
    low: float
    high: float
    p: float
    q: float
    second: str  # The space that the lead is over
    people: tuple[Person, ...] = ()


@dataclass(frozen=True)
class Answer:
    """Verdicts on some regions.

    Attributes
    ----------
    title : str
        What the regions are.
    sentence : str
        The same in words.
    rows : tuple of Verdict
        One per region.
    unit : str
        Quantity of the lead.
    subject : str
        Subject it is about; empty for all.
    key : tuple of (str, str)
        Names and colours of the spaces.
    """

    title: str
    sentence: str
    rows: tuple[Verdict, ...]
    unit: str = "U"
    subject: str = ""
    key: tuple[tuple[str, str], ...] = ()


def lay_out(answer: Answer) -> dict[str, Any]:
    """Prepare the cells of a table; all intervals share one scale."""
    ends = [end for row in answer.rows for end in (row.low, row.high, row.value) if math.isfinite(end)]
    low, high = min([0.0, *ends]), max([0.0, *ends])
    spread = (high - low) or 1.0
    low, high = low - 0.04 * spread, high + 0.04 * spread
    rows = [
        {
            "verdict": row,
            "interval": _interval(row, low, high),
            "lead": _lead(row),
            "p": _number(row.p),
            "q": _number(row.q),
            "agree": f"{sum(one.space == row.best for one in row.people)} of {len(row.people)}" if row.best else "",
        }
        for row in answer.rows
    ]
    return {"rows": rows, "people": [one.subject for one in answer.rows[0].people] if answer.rows else []}


def _interval(row: Verdict, low: float, high: float) -> Markup:
    """Draw the lead as a dot on its interval, with the line at zero."""
    if not math.isfinite(row.value):
        return Markup()

    def x(value: float) -> float:
        return WIDTH * (value - low) / (high - low)

    ink = row.color if row.best else "var(--muted, #6A737D)"
    ends = (row.low, row.high) if math.isfinite(row.low) and math.isfinite(row.high) else (row.value, row.value)
    alt = f"lead {_number(row.value)}, 95% interval {_number(ends[0])} to {_number(ends[1])}"
    return Markup(
        f'<svg viewBox="0 0 {WIDTH:.0f} {HEIGHT:.0f}" width="{WIDTH:.0f}" height="{HEIGHT:.0f}" role="img" '
        f'aria-label="{escape(alt)}"><path d="M{x(0):.1f} 0V18" stroke="var(--ink, #1F2328)" stroke-width="1"/>'
        f'<path d="M{x(ends[0]):.1f} 9H{x(ends[1]):.1f}" stroke="{ink}" stroke-width="3"/>'
        f'<circle cx="{x(row.value):.1f}" cy="9" r="4.5" fill="{ink}" stroke="var(--ink, #1F2328)" stroke-width=".8"/>'
        "</svg>"
    )


def _lead(row: Verdict) -> str:
    if not math.isfinite(row.value):
        return ""
    if not math.isfinite(row.low):
        return _number(row.value)
    return f"{_number(row.value)} ({_number(row.low)} to {_number(row.high)})"


def _number(value: float) -> str:
    return "" if not math.isfinite(value) else f"{value:.3f}".replace("-", "\N{MINUS SIGN}")

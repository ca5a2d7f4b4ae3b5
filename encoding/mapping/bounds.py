"""What the report says beside winners: spaces against chance, beyond nuisance spaces, and bounds of any model."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from ..drawing import report as page
from .results import Result
from .selection import Chart
from .verdicts import PLACE

BEYOND, ABOVE_0 = "beyond", "above 0"
CHANCE = ("chance", ABOVE_0)  # claims of one participant, and of a group
ABOVE, NOT_TESTED = ("above chance", ABOVE_0), "not tested"  # verdicts


def chance_of(results: Sequence[Result], group: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """Select the claims about single spaces: of the only participant, or of the group; may be empty."""
    claims = results[0].claims if len(results) == 1 else group.get("claims", pd.DataFrame())
    return claims[claims["claim"].isin(CHANCE)] if len(claims) else claims


def chance_line(chart: Chart, claims: pd.DataFrame, *, named: bool) -> str:
    """Count, or name, the regions of a chart in which each space predicts responses; "" without claims."""
    here = _of_chart(claims, chart)
    if here.empty:
        return ""
    if here["region"].nunique() == 1:
        return f"{'; '.join(here['space'].str.cat(here['verdict'], ' '))}."
    found = []
    for space, rows in here.groupby("space", sort=False):
        tested = rows[rows["verdict"] != NOT_TESTED]
        above = [str(region) for region in tested.loc[tested["verdict"].isin(ABOVE), "region"]]
        where = f" ({', '.join(above)})" if named and above else ""
        found.append(f"{space} in {len(above)} of {len(tested)}{where}" if len(tested) else f"{space} was not tested")
    kind = "Above chance" if (here["claim"] == CHANCE[0]).any() else "U above 0 in the mean of participants"
    return f"{kind}: {'; '.join(found)} regions."


def chance_table(chart: Chart, claims: pd.DataFrame) -> list[page.Block]:
    """Table of U of every space in every region, with its false discovery rate and verdict; none without claims."""
    here = _of_chart(claims, chart)
    if here.empty:
        return []
    of_group = (here["claim"] != CHANCE[0]).all()
    rows: dict[tuple[str, ...], dict[str, str]] = {}  # one per region: a page holds more of them
    for row in chart.named(here).to_dict("records"):
        tested = row["verdict"] != NOT_TESTED
        cell = f"{_signed(row['value'])}, q {row['q']:.3f}" if tested else NOT_TESTED
        cells = rows.setdefault(tuple(str(row[name]) for name in PLACE), {"region": str(row["region"])})
        cells[str(row["space"])] = f"{cell}: above" if row["verdict"] in ABOVE else cell
    test = (
        "above: the mean over participants is above 0, one-sided, with the variance over participants and stimuli"
        if of_group
        else "above: above chance, one-sided, by exchange"
    )
    level = "q, the false discovery rate over regions and spaces, decides; intervals, p and corrected p: claims.tsv"
    caption = f"{chart.title}: U, the variance that runs share through each space; {test}. {level}"
    return [page.DataTable(pd.DataFrame(list(rows.values())), caption)]


def chance_notes(claims: pd.DataFrame) -> list[str]:
    """List what was assumed or refused of all spaces; what is noted of single ones stands beside the verdicts."""
    notes = [{*note.split("; ")} for note in claims["note"].fillna("")] if len(claims) else []
    first = claims["note"].iloc[0].split("; ") if notes and isinstance(claims["note"].iloc[0], str) else []
    return [f"{note[0].upper()}{note[1:]}." for note in first if note and all(note in found for found in notes)]


def beyond_of(results: Sequence[Result], group: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """Select the claims about spaces beyond nuisance spaces: of the only participant, or of the group; may be empty."""
    claims = results[0].claims if len(results) == 1 else group.get("claims", pd.DataFrame())
    return claims[claims["claim"] == BEYOND] if len(claims) else claims


def beyond_line(chart: Chart, claims: pd.DataFrame, nuisance: Sequence[str]) -> str:
    """List the regions of a chart in which each space holds signal beyond nuisance spaces; "" without claims."""
    here = _of_chart(claims, chart)
    if here.empty:
        return ""
    found = []
    for space, rows in here.groupby("space", sort=False):
        shown = [str(region) for region in rows.loc[rows["verdict"] == ABOVE_0, "region"]]
        found.append(f"{space} in {', '.join(shown)}" if shown else f"{space} nowhere that these data can show")
    return f"{chart.title}: signal beyond nuisance ({', '.join(nuisance)}): {'; '.join(found)}."


def beyond_table(chart: Chart, claims: pd.DataFrame) -> list[page.Block]:
    """Table of the same, with intervals; none without claims."""
    here = _of_chart(claims, chart)
    if here.empty:
        return []
    frame = pd.DataFrame({
        "region": here["region"],
        "space": here["space"],
        "U beyond nuisance (95% interval)": [
            _estimate(*values) for values in here[["value", "low", "high"]].to_numpy(float)
        ],
        "p": here["p"],
        "q": here["q"],
        "verdict": here["verdict"],
    })  # fmt: skip
    caption = (
        f"{chart.title}: U of each space and the nuisance spaces together, minus U of the nuisance spaces; "
        "two-sided p, q over all regions and spaces"
    )
    return [page.DataTable(frame, caption, formats={"p": ".3f", "q": ".3f"})]


def signal_line(group: Mapping[str, pd.DataFrame]) -> str:
    """Describe the signal that participants share in region means; "" where it was not computed."""
    table = group.get("shared_signal", pd.DataFrame())
    known = table[table["r"].notna()] if len(table) else table
    if not len(known):
        return ""
    return (
        f"Shared signal (inter-subject): region means of one participant correlate with those of the others at r "
        f"{known['r'].min():.2f} to {known['r'].max():.2f} over regions (median {known['r'].median():.2f}, "
        f"{known['n_subjects'].iloc[0]} participants, not a test). It bounds models of what people share from below, "
        "in region means only."
    )


def signal_tables(charts: Sequence[Chart], group: Mapping[str, pd.DataFrame]) -> list[page.Block]:
    """Tables of shared signal, one per chart."""
    table = group.get("shared_signal", pd.DataFrame())
    blocks: list[page.Block] = []
    for chart in charts if len(table) else ():
        here = _of_chart(table, chart)
        frame = here[["region", "r", "smallest", "largest", "n_samples"]].rename(
            columns={"r": "shared signal r", "n_samples": "samples"}
        )
        caption = f"{chart.title}: correlation of a participant's region means with those of the others; not a test"
        formats = dict.fromkeys(("shared signal r", "smallest", "largest"), ".3f")
        if len(frame):
            blocks.append(page.DataTable(frame, caption, formats=formats))
    return blocks


def similarity_bounds(chart: Chart, group: Mapping[str, pd.DataFrame], rsa: str) -> list[page.Block]:
    """Table of the noise ceiling of an analysis of similarity, in the regions of a chart; none without one."""
    table = group.get("rsa_ceilings", pd.DataFrame())
    here = _of_chart(table[table["rsa"] == rsa], chart) if len(table) else table
    here = here[here[["lower", "upper", "within"]].notna().any(axis=1)] if len(here) else here
    if not len(here):
        return []
    columns = {"lower": "lower bound", "upper": "upper bound", "within": "within participants", "n_pairs": "pairs"}
    frame = here[["region", *columns]].rename(columns=columns)
    once = ""
    if here["within"].isna().all():
        frame = frame.drop(columns="within participants")
        once = " No bound within participants: it needs ten stimuli that were shown in odd and in even runs."
    caption = (
        f"{chart.title}: noise ceiling of {rsa}, what a perfect model of the similarities that participants share "
        f"could reach in the average participant (Nili et al. 2014); bounds, not tests.{once}"
    )
    formats = dict.fromkeys(("lower bound", "upper bound", "within participants"), ".3f")
    return [page.DataTable(frame, caption, formats={k: v for k, v in formats.items() if k in frame})]


def _of_chart(table: pd.DataFrame, chart: Chart) -> pd.DataFrame:
    if table.empty:
        return table
    return chart.rows[PLACE].drop_duplicates().merge(table, on=PLACE)


def _signed(value: float) -> str:
    return "" if np.isnan(value) else f"{value:.3f}".replace("-", "\N{MINUS SIGN}")


def _estimate(value: float, low: float, high: float) -> str:
    return "" if np.isnan(value) else f"{value:.3f} ({low:.3f} to {high:.3f})".replace("-", "\N{MINUS SIGN}")

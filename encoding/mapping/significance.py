"""What passed a test: masks of maps, verdicts of regions, and the sentences that say so."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from ..drawing import report as page
from ..drawing.scales import TIE
from ..numerics.significance import discovery_rates, noise_probability
from .parcels import COLUMNS, Region
from .results import Result, TargetTests, named_winner, tied
from .selection import Chart
from .settings import Maps
from .verdicts import PLACE, untested


def rates_of(result: Result, model: str) -> np.ndarray | None:
    """Compute the false discovery rate of every target against independent noise; None if not requested.

    Parameters
    ----------
    result : Result
        One participant.
    model : str
        Name of a model.

    Returns
    -------
    ndarray of float64, shape (n_targets,), or None
        Rates; None where significance was not asked for.

    Examples
    --------
    >>> from encoding.mapping import rates_of
    >>> rates_of(result, "mllm") is None
    True
    """
    if not result.summary.significant:
        return None
    metric = result.summary.metric
    values = result.scores[metric].row(model)
    return discovery_rates(noise_probability(values, np.asarray(result.summary.n_tested), pooled=metric == "pooled_r"))


# How draws under the null are made, as captions and methods say it
EXCHANGED = {
    "runs": "features of whole runs",
    "runs and shifts": "features of whole runs and shifting them circularly, after slow time courses are projected out",
    "stimuli": "features between stimuli, in the same way in all runs",
}
UNTESTED_TARGETS = "Targets were not tested: colours show size only, and nothing is claimed about any target."


@dataclass(frozen=True, eq=False, slots=True)
class Fading:
    """What is faded in maps of accuracy: one mask per participant and model, never one line for several models."""

    # (n_targets,) By participant and model; empty where no target was tested
    passed: Mapping[tuple[str, str], np.ndarray]
    threshold: float | None  # Score below which all maps are faded, where the settings name one
    sentence: str  # What is faded and why

    def of(self, result: Result, model: str) -> np.ndarray | None:
        """Mask of one map; None without a test."""
        return self.passed.get((result.subject, model))

    def count(self, result: Result, model: str, values: np.ndarray) -> str:
        """Count the targets that passed the test or lie above the threshold."""
        usable = int(np.isfinite(values).sum())
        mask = self.of(result, model)
        if mask is not None:
            return f"{int(mask.sum())} of {usable} targets passed the test"
        if self.threshold is not None:
            return f"{int(np.sum(values > self.threshold))} of {usable} targets above {self.threshold:g} (not a test)"
        return f"{usable} targets, not tested"


def fading_of(results: Sequence[Result], settings: Maps, models: Sequence[str]) -> Fading:
    """Choose the masks of accuracy maps."""
    if not isinstance(settings.threshold, str):
        line = f"Faded below {settings.threshold:g}, as set in [map] threshold; that is not a test. Files hold all."
        return Fading({}, float(settings.threshold), line)
    passed: dict[tuple[str, str], np.ndarray] = {}
    lines = []
    level = results[0].summary.settings.get("compare", {}).get("level", 0.01)
    for result in results:
        for model in models:
            rates, line = _rates_of_model(result, model)
            if rates is not None:
                passed[result.subject, model] = rates <= level
                lines.append(line)
    if not passed:
        return Fading({}, None, UNTESTED_TARGETS)
    line = (
        "Faded: targets that did not pass, by themselves for each model and participant "
        f"({'; '.join(dict.fromkeys(lines))}"
    )
    line += f"; false discovery rate {level:g}, one-sided). Files hold all values."
    if any((result.subject, model) not in passed for result in results for model in models):
        line += " Joint models were not tested, and are not faded."
    return Fading(passed, None, line)


def _rates_of_model(result: Result, model: str) -> tuple[np.ndarray | None, str]:
    """Return the false discovery rates of a model's targets and their test; None where it was not tested."""
    rates = rates_of(result, model)
    if rates is not None:
        return rates, "test against independent noise on the fixed test set"
    tests = result.tests
    if tests is None or model not in tests.spaces:
        return None, ""
    q = tests.q[tests.spaces.index(model)]
    if not np.isfinite(q).any():
        return None, ""
    return q, f"test of the feature space against chance, by exchanging {EXCHANGED[tests.exchanged]}"


@dataclass(frozen=True, eq=False, slots=True)
class Shown:
    """Where a difference of two spaces was shown."""

    mask: np.ndarray  # (n_targets,) Targets of regions whose difference passed, where the map has the same sign
    n_passed: int  # Regions whose difference passed
    n_tested: int  # Regions that were tested


def shown_differences(
    values: np.ndarray, pair: tuple[str, str], claims: pd.DataFrame, regions: Sequence[Region], level: float
) -> Shown | None:
    """Find the targets in which the claims tables show a difference; None where they do not test the pair.

    The claim is about the spaces and a region (false discovery rate over regions and pairs), the map about fits and
    targets: a target is shown if its region passed, and the map has the sign of the claim.

    Shapes: `values` (n_targets,).
    """
    if not len(claims) or not regions:
        return None
    rows = claims[(claims["claim"] == "difference") & (claims["level"] == "region") & claims["q"].notna()]
    mask, n_tested, n_passed = np.zeros(len(values), dtype=bool), 0, 0
    at = {region.place: region.mask for region in regions}
    for sign, (a, b) in ((1.0, pair), (-1.0, pair[::-1])):
        for row in rows[(rows["space"] == a) & (rows["versus"] == b)].to_dict("records"):
            inside = at.get(tuple(str(row[name]) for name in COLUMNS))  # type: ignore[arg-type]
            if inside is None:
                continue
            n_tested += 1
            if row["q"] <= level:
                n_passed += 1
                mask |= inside & (np.sign(np.nan_to_num(values)) == np.sign(sign * row["value"]))
    return Shown(mask, n_passed, n_tested) if n_tested else None


@dataclass(frozen=True, eq=False, slots=True)
class Named:
    """Which space is ahead in which target."""

    winner: np.ndarray  # (n_targets,) Position among the models; -1 where none can be named, `TIE` for a tie
    lead: np.ndarray  # (n_targets,) Its lead over the second in U
    tested: np.ndarray  # (n_targets,) Targets that were tested
    note: str  # Which spaces took no part, and why; "" where all did


def named_targets(result: Result, models: Sequence[str]) -> Named | None:
    """Find the targets in which a space is ahead; None where that was not tested, or of less than two spaces."""
    tests = result.tests
    if tests is None or not tests.known.any() or not np.isfinite(tests.p_fwe).any():
        return None
    number = np.array([models.index(space) for space in tests.spaces] + [-1])
    winner = np.where(tied(tests), TIE, number[named_winner(tests)])
    rows = [tests.spaces.index(space) for space in tests.compared]
    ordered = np.sort(np.where(tests.known, tests.u[rows], 0.0), axis=0)
    return Named(winner, ordered[-1] - ordered[-2], tests.known, _left_out(tests))


def _left_out(tests: TargetTests) -> str:
    """Name the spaces that were not compared with others, and why."""
    found = []
    for space in tests.spaces:
        if space not in tests.compared:
            why = tests.notes.get(f"space {space}", "") or tests.notes.get("spaces", "") or "no target has an estimate"
            found.append(f"{space} took no part ({why})")
    return "; ".join(found)


def why_no_winners(result: Result) -> str:
    """Explain why no map of the best space can be drawn although tests were made; "" where none were."""
    tests = result.tests
    if tests is None:
        return ""
    if len(tests.compared) < 2:
        return f"sub-{result.subject}: fewer than two spaces can be compared: {_left_out(tests)}."
    told = tests.notes.get("chance", "")
    return f"sub-{result.subject}: {told}." if told and not np.isfinite(tests.p_fwe).any() else ""


def significant_targets(results: Sequence[Result]) -> list[page.Block]:
    """Table of significant targets of every participant and model; none where significance was not asked for."""
    rows = [
        (f"sub-{result.subject}", name, model.n, model.share, model.critical)
        for result in results
        for name, model in result.summary.significant.items()
    ]
    if not rows:
        return []
    summary = results[0].summary
    columns = ["participant", "model", "significant targets", "share", f"smallest {summary.metric}"]
    caption = (
        f"Targets whose {summary.metric} on the fixed test set unrelated noise would reach so rarely that the false "
        f"discovery rate over targets is at most {summary.settings['compare']['level']:g} (one-sided)"
    )
    return [page.DataTable(pd.DataFrame(rows, columns=columns), caption, formats={"share": ".1%"})]


def differences_tested(charts: Sequence[Chart], tests: pd.DataFrame | None) -> list[page.Block]:
    """Tables of paired t-tests in the regions that the report shows, one per chart."""
    blocks: list[page.Block] = []
    for chart in charts if tests is not None else ():
        shown = chart.named(tests.merge(chart.rows[PLACE].drop_duplicates(), on=PLACE))  # type: ignore[union-attr]
        agree = shown["subjects_a"].astype(str) + " of " + shown["n_subjects"].astype(str)
        frame = shown.assign(**{"first higher in": agree}).rename(
            columns={"model_a": "first", "model_b": "second", "mean": "difference", "effect_size": "effect size"}
        )
        columns = ["region", "hemi", "first", "second", "difference", "effect size", "first higher in", "t", "p", "q"]
        floor = tests["sign_flip_floor"].min()  # type: ignore[index]
        caption = (
            f"{chart.title}: paired t over participants, two-tailed, of fits to these stimuli; it does not generalise "
            f"over stimuli, favours spaces of few dimensions, and names no winner. q is the false discovery rate over "
            f"all regions and pairs. A test by flipping signs could not give less than p = {floor:.3g} with so few "
            f"participants: look at how many agree."
        )
        blocks.append(page.DataTable(frame[columns], caption, formats={"difference": ".3f", "t": ".2f"}))
    return blocks


EXPLAINED = (
    "U is the variance that is linear in a space and shared by runs, an estimate of what could be explained with "
    "unlimited data. A space is named where its U is above 0 and ahead of that of every other space, region by region, "
    "by p, the largest of these tests: of regions in which two spaces are equal, as many are named by error as the "
    "level says, and fewer where more are equal. The false discovery rate q, over regions of the atlas and level, "
    "allows for their number. "
    "The lead is the difference of U of the two leading spaces."
)
EXPLAINED_GROUP = (
    " Leads, named in: participants in whom the leading space leads (in brackets above), and is named by their own "
    "data. Prevalence: 95% interval of the share of people in whom the rule would pass in the region alone, at p, with "
    "as much data."
)


def explain_verdicts(verdicts: pd.DataFrame) -> str:
    """Explain the tables of verdicts once, with what was refused or assumed."""
    text = EXPLAINED + (EXPLAINED_GROUP if int(verdicts["n_subjects"].max()) > 1 else "")
    notes = [note for note in dict.fromkeys(verdicts.loc[verdicts["tested"], "note"]) if note]
    return text + "".join(f" {note[0].upper()}{note[1:]}." for note in notes)


def verdict_table(title: str, verdicts: pd.DataFrame) -> page.Block:
    """Table of what may be claimed of the regions of one chart; a sentence where nothing was tested."""
    if not verdicts["tested"].any():
        return page.Text(f"{title}: {untested(verdicts)}")
    several = int(verdicts["n_subjects"].max()) > 1
    rows = []
    for row in verdicts.to_dict("records"):
        out = {
            "region": row["region"],
            "best space": row["best"] or ("none" if row["tested"] else row["verdict"]),
            "two leading": f"{row['leading']}, {row['next']}" if row["tested"] else "",
            "lead in U (95% interval)": _estimate(row["lead"], row["low"], row["high"]),
            "p": row["p"],
            "q": row["q"],
        }
        if several:
            out["leads, named in"] = f"{row['n_leading']}, {row['n_named']} of {row['n_subjects']}"
            out["prevalence"] = _interval(row["prevalence_low"], row["prevalence_high"])
        rows.append(out)
    return page.DataTable(pd.DataFrame(rows), title, formats=dict.fromkeys(("p", "q"), ".3f"))


def _estimate(value: float, low: float, high: float) -> str:
    return "" if np.isnan(value) else f"{value:.3f} ({low:.3f} to {high:.3f})".replace("-", "\N{MINUS SIGN}")


def _interval(low: float, high: float) -> str:
    return "" if np.isnan(low) else f"{low:.0%} to {high:.0%}"

"""The section of a report on one analysis of similarity."""

from collections.abc import Iterator

import numpy as np
from matplotlib.figure import Figure

from ..core import Scores
from ..drawing import report as page
from ..drawing.charts import network_chart
from ..drawing.scales import ColorScale, accuracy_scale, space_colors
from .bounds import similarity_bounds
from .composer import INTERVAL, Composer, intervals_over_participants
from .figures import MapFigure, group_mean
from .results import Result
from .rsa_maps import describe_choices, scores_of, spaces_as_models
from .selection import Chart
from .summary import RsaSummary
from .verdicts import headline, joined_claims, judge_regions, margin_notes

UNTESTED_MAPS = (
    "Values of targets were not tested: all of the maps are faded, their colours show size only, and nothing is "
    "claimed."
)
TESTED_MAPS = (
    "Maps show the value of each region; faded: regions that are not above chance (false discovery rate {level:g} over "
    "regions and spaces, stimuli of whole runs exchanged). Means over participants were not tested, and are faded."
)
LABELS = {"pearson": "Pearson r of similarities (RSA)", "spearman": "Spearman rank r of similarities (RSA)"}


def similarity_sections(composer: Composer) -> list[page.Section]:
    """Show every analysis of similarity."""
    return [_Analysis(composer, name, choices).section() for name, choices in composer.summary.rsa.items()]


class _Analysis:
    """One analysis of all participants, on one scale."""

    def __init__(self, composer: Composer, name: str, choices: RsaSummary) -> None:
        self.composer, self.name, self.choices = composer, name, choices
        self.spaces: list[str] = list(choices.similarity)
        known = space_colors([*composer.models, *(s for s in self.spaces if s not in composer.models)])
        self.colors = {space: known[space] for space in self.spaces}
        self.label = LABELS[choices.comparison]
        self.maps: dict[str, Scores] = {result.subject: scores_of(result, name) for result in composer.results}
        self.passed = self._passed()
        values = [scores.values for scores in self.maps.values()]
        finite = any(np.isfinite(some).any() for some in values)
        self.scale: ColorScale | None = accuracy_scale(values, self.label) if finite and composer.drawable else None

    def _passed(self) -> dict[tuple[str, str], np.ndarray]:
        """Targets in regions that are above chance, by participant and space; empty where regions were not tested."""
        level = self.composer.summary.settings["compare"].get("p_level", 0.05)
        return {
            (result.subject, space): rates <= level
            for result in self.composer.results
            for space, rates in result.similarity_rates(self.name).items()
        }

    def section(self) -> page.Section:
        blocks: list[page.Block] = [page.Text(describe_choices(self.choices))]
        charts = [Chart(chart.title, spaces_as_models(chart.rows, self.name)) for chart in self.composer.charts]
        charts = [chart for chart in charts if chart.rows["value"].notna().any()]
        blocks += [self._chart(number, chart) for number, chart in enumerate(charts)]
        if self.scale is not None:
            blocks += self._maps(self.scale)
        blocks += [self._table(chart) for chart in charts]
        for chart in self.composer.charts:
            blocks += similarity_bounds(chart, self.composer.group, self.name)
        intro = "Do stimuli with similar features evoke similar responses?"
        if self.scale is not None:
            level = self.composer.summary.settings["compare"]["p_level"]
            intro += f" {TESTED_MAPS.format(level=level) if self.passed else UNTESTED_MAPS}"
        return page.Section(f"Representational similarity: {self.name}", tuple(blocks), intro)

    def _keep(
        self, figure: Figure | MapFigure, what: str, alt: str, caption: str, result: Result | None = None
    ) -> page.Picture:
        file = f"rsa-{self.name}_{what}"
        if result is not None:
            return self.composer.keep(figure, self.composer.names(result, file), alt, caption, result.subject)
        return self.composer.keep(figure, f"group_{file}", alt, caption)

    def _chart(self, number: int, chart: Chart) -> page.Block:
        rows = chart.rows[chart.rows["value"].notna()]
        claims = joined_claims(self.composer.results, self.composer.group_verdicts, self.name)
        verdicts, rows = chart.named(judge_regions(rows, self.spaces, claims)), chart.named(rows)
        text = headline(verdicts) if len(self.spaces) > 1 else ""
        lights = self.choices.regions == "searchlight"
        value = "mean over searchlights centred in it" if lights else "similarity of its own patterns"
        alt = f"{chart.title}: {text}"
        drawn = network_chart(
            rows,
            colors=self.colors,
            label=self.label,
            alt=alt,
            title=f"{chart.title}: {self.name}",
            verdicts=margin_notes(verdicts) if len(self.spaces) > 1 else None,
            intervals=intervals_over_participants(rows),
        )
        several = f" {INTERVAL}" if len(self.composer.results) > 1 else ""
        caption = (
            f"Every dot is one participant, the bar is their mean; the value of a region is the {value}.{several} "
            f"{text}"
        )
        return self.composer.keep_chart(drawn, f"rsa-{self.name}_chart-{number + 1}", alt, caption)

    def _maps(self, scale: ColorScale) -> list[page.Block]:
        blocks: list[page.Block] = []
        for space in self.spaces:
            for result, values, who in self._shown():
                canvas = self.composer.canvas[(result or self.composer.results[0]).subject]
                passed = self.passed.get((result.subject, space)) if result is not None else None
                mask = np.zeros(len(values[space]), dtype=bool) if passed is None else passed
                figure = canvas.accuracy(values[space], scale, f"{who}: {space}, {self.name}", mask)
                highest = np.nanmax(values[space], initial=-np.inf)
                found = f"highest {highest:.3f}" if np.isfinite(highest) else "no value"
                told = "not tested, so the whole map is faded"
                if passed is not None:
                    told = f"{int(mask.sum())} targets are in regions that passed the test"
                caption = (
                    f"{who}, {space} ({self.name}): {found}; {told}. One scale for all spaces: 0 to {scale.vmax:g}."
                )
                what = f"feature-{space}_stat-rsa"
                blocks.append(self._keep(figure, what, f"Map of {space} in {who}", caption, result))
        return blocks

    def _shown(self) -> Iterator[tuple[Result | None, dict[str, np.ndarray], str]]:
        """Yield the mean of participants if they share their targets, then every participant."""
        results = self.composer.results
        places = self.composer.places
        if places is not None:
            mean = {s: group_mean([self.maps[r.subject].row(s) for r in results], places) for s in self.spaces}
            yield None, mean, f"mean of {len(results)} participants"
        for result in results:
            yield result, {s: self.maps[result.subject].row(s) for s in self.spaces}, f"sub-{result.subject}"

    def _table(self, chart: Chart) -> page.DataTable:
        rows = chart.named(chart.rows)
        table = rows.pivot_table(
            index=["region", "subject", "n_usable"], columns="model", values="value", sort=False, dropna=False
        )
        frame = table.dropna(how="all").reset_index()[["region", "subject", *self.spaces, "n_usable"]]
        frame = frame.rename(columns={"n_usable": "targets"})
        formats = dict.fromkeys(self.spaces, ".4f")
        return page.DataTable(frame, f"{chart.title}: {self.name}", formats=formats)

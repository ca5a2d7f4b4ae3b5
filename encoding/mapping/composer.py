"""Draw the figures of a report on shared scales."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from functools import partial
from hashlib import sha256
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from PIL import Image
from scipy import stats

from ..core import Scores, digest, versions
from ..core.axes import shared_places, told_unshared
from ..core.progress import Progress
from ..drawing import report as page
from ..drawing.charts import difference_chart, network_chart, save_svg, scatter_chart
from ..drawing.composed import to_png
from ..drawing.figure import save_figure, write_bytes
from ..drawing.scales import ColorScale, WinnerScale, accuracy_scale, difference_scale, round_up, space_colors
from .figures import Canvas, MapFigure, canvas_of, group_mean
from .meshes import find_surfaces
from .results import MEANING, RULE, Result, read_group_claims
from .selection import Chart, charts
from .settings import Maps
from .significance import fading_of, named_targets, shown_differences, why_no_winners
from .verdicts import NOTHING_TESTED, PLACE, headline, joined_claims, judge_regions, margin_notes

LABELS = {"r": "Pearson r, held out", "pooled_r": "pooled Pearson r, held out", "r2": "R², held out"}
GROUP = "mean of participants"
SHARED = "#8A8F98"
FEWEST_SUBJECTS = 3  # for an interval over participants
INTERVAL = "Lines are 95% intervals of the mean over participants (Student's t)."


class Composer:
    """Draws the figures of a report on shared scales and saves them."""

    def __init__(
        self,
        results: Sequence[Result],
        settings: Maps,
        figures: Path,
        root: Path,
        progress: Progress,
        group: Mapping[str, pd.DataFrame] | None = None,
        *,
        canvases: Mapping[str, Canvas] | None = None,
    ) -> None:
        self.results, self.settings, self.figures, self.root, self.progress = results, settings, figures, root, progress
        summary = results[0].summary
        self.summary, self.metric = summary, summary.metric
        self.models: list[str] = [name for name in summary.models if name not in summary.auxiliary]
        self.single = list(summary.single)
        self.pairs = list(summary.pairs)
        self.colors = space_colors(self.models)
        self.regions = pd.concat([result.regions for result in results], ignore_index=True)
        self.canvas = canvases or {
            r.subject: canvas_of(r.targets, r.background, find_surfaces(settings, r.targets, r.subject), settings)
            for r in results
        }
        self.missed: list[str] = []  # clusters that are on no slice, by map
        self.places = shared_places([r.targets for r in results]) if len(results) > 1 else None  # of maps of the group
        self.shared = self.places is not None and all(r.targets.same_as(results[0].targets) for r in results)
        self.unshared = told_unshared([r.targets for r in results], self.places)
        self.columns = 2 if len(results) > 1 else 1
        self.drawable = all(canvas.drawable for canvas in self.canvas.values())
        self.not_drawn = tuple(
            dict.fromkeys(canvas.surfaces.missing for canvas in self.canvas.values() if canvas.surfaces.missing)
        )
        label = LABELS[self.metric]
        everything = [self._main(r).values for r in results if self.models]
        finite = any(np.isfinite(values).any() for values in everything)
        self.fading = fading_of(results, settings, self.models)
        threshold = self.fading.threshold or None
        self.scale: ColorScale | None = accuracy_scale(everything, label, threshold=threshold) if finite else None
        self.charts = charts(self.regions, settings.roi_set)
        main = self.regions[self.regions["metric"] == self.metric]
        self.group = group or {}
        self.group_verdicts = self.group.get("verdicts")
        self.verdicts = judge_regions(main, self.single, joined_claims(results, self.group_verdicts))
        self.pictures: list[Path] = []

    def _main(self, result: Result) -> Scores:
        return result.scores[self.metric]

    def keep(
        self, figure: Figure | MapFigure | partial[MapFigure], name: str, alt: str, caption: str, subject: str = ""
    ) -> page.Picture:
        """Save a figure and make it a block of the report; a map yet to be drawn is not drawn twice for a subject."""
        path, warning = self.figures / f"{name}.png", ""
        if isinstance(figure, partial):
            warning = self._draw_once(figure, path, subject)
        elif isinstance(figure, MapFigure):
            warning = figure.warning
            self._save(figure, path)
        else:
            save_figure(figure, path, dpi=self.settings.dpi)
        if warning:
            caption = f"{caption} {warning}."
            self.missed.append(f"{name}: {warning}")
        self.pictures.append(path)
        self.progress(min(0.95, len(self.pictures) / self._n_expected()))
        return page.Picture(path, alt, caption, subject, path.relative_to(self.root).as_posix())

    def _draw_once(self, drawing: partial[MapFigure], path: Path, subject: str) -> str:
        """Draw a map, or copy the picture of the subject's own page where that was drawn from the same; its warning."""
        key = drawn_from(drawing, self.settings)
        earlier = self.root / f"sub-{subject}" / "figures" / path.name
        told = picture_text(earlier) if subject and earlier != path and earlier.is_file() else {}
        if told.get(INPUTS) == key:
            write_bytes(path, earlier.read_bytes())
            return told.get(WARNING, "")
        found = drawing()
        text = {INPUTS: key, WARNING: found.warning} if found.warning else {INPUTS: key}
        self._save(found, path, text)
        return found.warning

    def _save(self, figure: MapFigure, path: Path, text: Mapping[str, str] | None = None) -> None:
        pixels, dpi = figure.pixels(self.settings.dpi), self.settings.dpi
        content = to_png(pixels, dpi=dpi, text=text)
        page.remember(content, pixels, dpi)
        write_bytes(path, content)

    def keep_chart(self, svg: str, name: str, alt: str, caption: str, subject: str = "") -> page.Chart:
        """Save a chart and make it a block of the report."""
        path = save_svg(svg, self.figures / f"{name}.svg")
        self.pictures.append(path)
        return page.Chart(svg, alt, caption, subject, path.relative_to(self.root).as_posix())

    def _n_expected(self) -> int:
        maps = (len(self.models) + len(self.pairs) + 1) if self.drawable else 0
        similar = sum(len(choices.similarity) + 2 for choices in self.summary.rsa.values())
        return len(self.results) * (maps + len(self.pairs) + similar) + 8

    def verdicts_of(self, chart: Chart) -> pd.DataFrame:
        """Rows of the table of verdicts that belong to the regions of a chart."""
        places = chart.rows[PLACE].drop_duplicates()
        return chart.named(places.merge(self.verdicts, on=PLACE)) if len(self.verdicts) else self.verdicts

    def names(self, result: Result, what: str) -> str:
        """Make a file name in the manner of BIDS."""
        return f"sub-{result.subject}_{what}"

    def glance(self) -> page.Section:
        """Chart the accuracy of every model in every region, with the verdicts of tests."""
        blocks: list[page.Block] = []
        for number, chart in enumerate(self.charts):
            shown = chart.of_models(self.metric, self.models)
            if shown.empty:
                continue
            verdicts = self.verdicts_of(chart)
            text = headline(verdicts) if len(self.single) > 1 else ""
            alt = f"{chart.title}: {text}"
            drawn = network_chart(
                shown,
                colors=self.colors,
                label=f"mean {LABELS[self.metric]}",
                alt=alt,
                title=chart.title,
                verdicts=margin_notes(verdicts) if len(self.single) > 1 else None,
                intervals=intervals_over_participants(shown),
            )
            several = len(self.results) > 1
            caption = (
                "Every dot is one participant, the bar is their mean; a region's value is the mean over its targets. "
                f"{INTERVAL if several else ''} Joint models contain the single spaces and are not compared. {text}"
            )
            caption = " ".join(caption.split())
            blocks.append(self.keep_chart(drawn, f"chart-{number + 1}_regions", alt, caption))
        intro = "Which feature space predicts which part of the brain, in each participant?"
        return page.Section("At a glance", tuple(blocks), intro)

    def winners(self) -> page.Section | None:
        """Map the feature space that the tests name in every target."""
        if len(self.single) < 2 or not self.drawable or self.scale is None:
            return None
        found = {result.subject: named_targets(result, self.single) for result in self.results}
        tested = {subject: named for subject, named in found.items() if named is not None}
        title = "Which space is ahead where"
        if not tested:
            why = " ".join(dict.fromkeys(text for text in map(why_no_winners, self.results) if text))
            told = f"{NOTHING_TESTED} There is no map of the best space. {why}".strip()
            return page.Section(title, (page.Text(told),))
        leads = np.concatenate([named.lead[named.winner >= 0] for named in tested.values()])
        full = round_up(float(np.median(leads))) if leads.size and np.median(leads) > 0 else 0.01
        colors = tuple(self.colors[name] for name in self.single)
        scale = WinnerScale(tuple(self.single), colors, full, 1e-6, "U")
        blocks = []
        for result in self.results:
            named = tested.get(result.subject)
            if named is None:
                continue
            parts = named.winner, named.lead, np.where(named.tested, 1.0, np.nan)
            who = f"sub-{result.subject}: space that is ahead"
            figure = partial(self.canvas[result.subject].winner, *parts, scale, who)
            counts = [(name, int((named.winner == number).sum())) for number, name in enumerate(self.single)]
            said = ", ".join(f"{name} in {n}" for name, n in counts if n) or "no space in any"
            caption = (
                f"sub-{result.subject}: {said} of {int(named.tested.sum())} targets. Coloured where {RULE}; full "
                f"colour from a lead of {full:g} in U on.{f' {named.note}.' if named.note else ''}"
            )
            alt = f"Map of the space that is ahead in sub-{result.subject}: {said} targets"
            blocks.append(self.keep(figure, self.names(result, "winner"), alt, caption, result.subject))
        intro = "Hue: the space that the tests name. Strength: its lead. Elsewhere, no space can be named."
        return page.Section(title, tuple(blocks), intro, columns=self.columns)

    def accuracy(self) -> page.Section | None:
        """Show the accuracy map of every model."""
        untold = tuple(page.Text(text) for text in self.not_drawn)
        if not self.drawable or self.scale is None:
            return page.Section("Accuracy of each model", untold) if untold else None
        blocks: list[page.Block] = list(untold)
        for model in self.models:
            if self.places is not None:
                mean = group_mean([self._main(r).row(model) for r in self.results], self.places)
                canvas = self.canvas[self.results[0].subject]
                figure = canvas.accuracy(mean, self.scale, f"{model}: mean of {len(self.results)} participants")
                caption = f"{model}: {_lower(MEANING[self.metric])}, {GROUP}; the mean was not tested."
                blocks.append(self.keep(figure, f"group_model-{model}_mean", f"Mean accuracy map of {model}", caption))
            for result in self.results:
                values = self._main(result).row(model)
                drawing = partial(
                    self.canvas[result.subject].accuracy,
                    *(values, self.scale, f"sub-{result.subject}: {model}", self.fading.of(result, model)),
                )
                caption = (
                    f"sub-{result.subject}, {model}: {_lower(MEANING[self.metric])}. "
                    f"{self.fading.count(result, model, values)}; highest {np.nanmax(values):.2f}."
                )
                name = self.names(result, f"model-{model}_stat-{self.metric}")
                blocks.append(
                    self.keep(
                        drawing, name, f"Accuracy map of {model} in sub-{result.subject}", caption, result.subject
                    )
                )
        intro = f"One scale for all models and participants: 0 to {self.scale.vmax:g}. {self.fading.sentence}"
        return page.Section("Accuracy of each model", tuple(blocks), intro, columns=self.columns)

    def differences(self) -> page.Section | None:
        """Show pairwise differences: charts of regions, maps, and targets against each other."""
        if not self.pairs or self.scale is None:
            return None
        blocks: list[page.Block] = []
        for number, chart in enumerate(self.charts):
            shown = chart.of_models(self.metric, self.models)
            if shown.empty:
                continue
            label = f"difference in mean {LABELS[self.metric]}"
            alt = f"{chart.title}: pairwise differences"
            drawn = difference_chart(
                shown, colors=self.colors, label=label, alt=alt, pairs=self.pairs, title=chart.title
            )
            caption = (
                "First minus second model; every dot is one participant, coloured by the model that scores higher. "
                "Differences of fits are not tested, and favour spaces of few dimensions."
            )
            name = f"chart-{number + 1}_differences"
            blocks.append(self.keep_chart(drawn, name, alt, caption))
        blocks += self._difference_maps()
        for result in self.results:
            for a, b in self.pairs[:3]:
                scores = self._main(result)
                alt, who = (
                    f"Accuracy of {a} against {b} for every target of sub-{result.subject}",
                    f"sub-{result.subject}",
                )
                label = LABELS[self.metric]
                drawn = scatter_chart(scores.row(a), scores.row(b), (a, b), label=label, alt=alt, title=who)
                name = self.names(result, f"scatter-{a}-{b}")
                caption = f"sub-{result.subject}: every target's accuracy with {a} and with {b}; darker: more targets."
                blocks.append(self.keep_chart(drawn, name, alt, caption, result.subject))
        return page.Section("Pairwise differences", tuple(blocks), "The same folds and samples for both models.")

    def _difference_maps(self) -> list[page.Block]:
        if not self.drawable:
            return []
        maps = {}
        for a, b in self.pairs:
            for result in self.results:
                scores = self._main(result)
                maps[a, b, result.subject] = scores.row(a) - scores.row(b)
        scale = difference_scale(list(maps.values()), f"difference in {LABELS[self.metric]}")
        blocks: list[page.Block] = []
        for a, b in self.pairs:
            if self.places is not None:
                mean = group_mean([maps[a, b, r.subject] for r in self.results], self.places)
                shown, told = self._shown(mean, (a, b), read_group_claims(self.results), self.results[0])
                canvas = self.canvas[self.results[0].subject]
                figure = canvas.accuracy(mean, scale, f"{a} minus {b}: mean of {len(self.results)} participants", shown)
                caption = f"{a} minus {b}, {GROUP}. {told} Maps of single participants are on their own pages."
                blocks.append(self.keep(figure, f"group_diff-{a}-{b}", f"Mean of {a} minus {b}", caption))
                continue
            for result in self.results:
                values = maps[a, b, result.subject]
                shown, told = self._shown(values, (a, b), result.claims, result)
                figure = self.canvas[result.subject].accuracy(
                    values, scale, f"sub-{result.subject}: {a} minus {b}", shown
                )
                name = self.names(result, f"diff-{a}-{b}")
                alt = f"Difference of {a} and {b} in sub-{result.subject}"
                caption = f"sub-{result.subject}: {a} minus {b}. {told}"
                blocks.append(self.keep(figure, name, alt, caption, result.subject))
        return blocks

    def _shown(
        self, values: np.ndarray, pair: tuple[str, str], claims: pd.DataFrame, result: Result
    ) -> tuple[np.ndarray | None, str]:
        """Mask of a map of differences, and what its caption says of it."""
        level = float(result.summary.settings.get("compare", {}).get("p_level", 0.05))
        shown = shown_differences(values, pair, claims, result.parcels, level)
        if shown is None:
            return None, "Not tested: colours show size only."
        told = (
            f"Faded but in regions in which the difference of the spaces was shown (false discovery rate at most "
            f"{level:g} over regions and pairs; {shown.n_passed} of {shown.n_tested} regions), where the map has the "
            f"same sign."
        )
        return shown.mask, told

    def parts(self) -> page.Section | None:
        """Chart how joint models divide their explained variance among feature spaces."""
        blocks: list[page.Block] = []
        for number, chart in enumerate(self.charts):
            for model, of_model in chart.of_parts("split_r2"):
                if model not in self.models:
                    continue
                shown = of_model.assign(model=of_model["feature"])
                known = {name: self.colors.get(name, "#666666") for name in shown["model"].unique()}
                alt = f"{chart.title}: explained variance of {model} divided among feature spaces"
                label, title = "part of R² (product measure)", f"{chart.title}: parts of {model}"
                drawn = network_chart(shown, colors=known, label=label, alt=alt, title=title)
                caption = (
                    f"Contribution of each feature space to {model}, counting half of what it shares with every other; "
                    f"parts add up to the R² of the model, and can be negative. Not tested."
                )
                blocks.append(self.keep_chart(drawn, f"chart-{number + 1}_model-{model}_parts", alt, caption))
        return page.Section("Parts of the joint model", tuple(blocks)) if blocks else None

    def partition(self) -> page.Section | None:
        """Chart the unique and shared variance of feature spaces."""
        blocks: list[page.Block] = []
        keys = ["subject", "level", "region"]
        for number, chart in enumerate(self.charts):
            for model, parts in chart.of_parts("partition_r2"):
                if model not in self.models:
                    continue
                single = ~parts["feature"].str.contains("+", regex=False)
                alone = parts[single].assign(model=parts["feature"])
                shared = parts[~single].groupby(keys, sort=False, as_index=False)["value"].sum().assign(model="shared")
                colors = {name: self.colors.get(name, "#666666") for name in alone["model"].unique()}
                shown = pd.concat([alone, shared], ignore_index=True)
                title = f"{chart.title}: unique to each feature space of {model}"
                alt, colors = f"{title}, and shared", {**colors, "shared": SHARED}
                drawn = network_chart(shown, colors=colors, label="part of R²", alt=alt, title=title)
                caption = (
                    f"R² of {model} that is lost without a feature space, and the rest, which any of several could "
                    "explain (shared). Parts add up to R², can be negative, and are all in the tables "
                    "(partition_r2). Not "
                    "tested; with few samples, far below the population values."
                )
                name = f"chart-{number + 1}_model-{model}_partition"
                blocks.append(self.keep_chart(drawn, name, alt, caption))
        return page.Section("Unique and shared variance", tuple(blocks)) if blocks else None


INPUTS, WARNING = "Inputs", "Warning"  # keywords in the header of a picture


def drawn_from(drawing: partial[MapFigure], settings: Maps) -> str:
    """Identify a map by what it is drawn from: place, values, scale, title, settings and versions."""
    canvas: Canvas = drawing.func.__self__  # type: ignore[attr-defined]
    inputs = [canvas.targets.index, canvas.targets.structure, *drawing.args]
    told = [digest_of(one.tobytes()) if isinstance(one, np.ndarray) else repr(one) for one in inputs]
    made_by = [versions()["brain-encoding"], mpl.__version__]
    return digest(["picture/3", drawing.func.__name__, *canvas.identity, *told, asdict(settings), *made_by])


def digest_of(content: bytes) -> str:
    """Identify an array by its bytes."""
    return sha256(content).hexdigest()


def picture_text(path: Path) -> dict[str, str]:
    """Read what stands in the header of a PNG."""
    with Image.open(path) as image:
        return {str(key): str(value) for key, value in image.info.items()}


def _lower(sentence: str) -> str:
    return sentence if sentence.startswith("Pearson") else sentence[0].lower() + sentence[1:]


def intervals_over_participants(shown: pd.DataFrame) -> pd.DataFrame | None:
    """95% intervals of the means over participants, from Student's t; None below three participants."""
    grouped = shown.groupby(["region", "model"], sort=False)["value"].agg(["count", "mean", "std"]).reset_index()
    grouped = grouped[grouped["count"] >= FEWEST_SUBJECTS]
    if grouped.empty:
        return None
    half = stats.t.ppf(0.975, grouped["count"] - 1) * grouped["std"] / np.sqrt(grouped["count"])
    return grouped.assign(low=grouped["mean"] - half, high=grouped["mean"] + half)

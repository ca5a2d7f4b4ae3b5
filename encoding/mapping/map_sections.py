"""Further parts of a report: accuracy over the noise ceiling, two spaces at once, and counts of participants."""

from itertools import combinations

import numpy as np

from ..core.axes import moved_to
from ..drawing import report as page
from ..drawing.charts import network_chart
from ..drawing.scales import ColorScale, PairScale
from .composer import LABELS, Composer
from .figures import group_mean
from .results import Result
from .verdicts import PLACE

OVER, CEILING = "over_ceiling", "ceiling"
MOST_PAIRS = 3  # two spaces at once: of the first three spaces


def ceiling_maps(composer: Composer) -> page.Section | None:
    """Map accuracy as a share of the noise ceiling, and the ceiling; None without ceilings."""
    results = [result for result in composer.results if OVER in result.scores]
    if not results or not composer.drawable:
        return None
    over = ColorScale(0.0, 1.0, "viridis", "r as a share of the noise ceiling")
    blocks: list[page.Block] = []
    for result in results:
        scores, who = result.scores[OVER], f"sub-{result.subject}"
        canvas = composer.canvas[result.subject]
        if CEILING in result.scores:
            values = result.scores[CEILING].values[0]
            top = ColorScale(0.0, 1.0, "cividis", "noise ceiling of r")
            figure = canvas.accuracy(values, top, f"{who}: noise ceiling")
            caption = f"{who}: largest correlation that a model can reach, where that is certain. {_known(values)}"
            name = composer.names(result, "ceiling")
            blocks.append(composer.keep(figure, name, f"Noise ceiling of {who}", caption, result.subject))
        for model in [row.model for row in scores.rows if row.model in composer.models]:
            values = scores.row(model)
            figure = canvas.accuracy(values, over, f"{who}: {model}, r over the noise ceiling")
            caption = (
                f"{who}, {model}: r as a part of its ceiling, where the ceiling is certain; the files are not cut at "
                f"1, the colours are. {_known(values)} Not tested."
            )
            name = composer.names(result, f"model-{model}_stat-overceiling")
            alt = f"Accuracy of {model} over the noise ceiling in {who}"
            blocks.append(composer.keep(figure, name, alt, caption, result.subject))
    intro = "Striped or grey: the ceiling is uncertain there, so nothing is divided by it."
    return page.Section("Accuracy over the noise ceiling", tuple(blocks), intro, columns=composer.columns)


def _known(values: np.ndarray) -> str:
    return f"{int(np.isfinite(values).sum())} targets have one."


def pair_maps(composer: Composer) -> page.Section | None:
    """Map two spaces at once, on one square of colours; None without two spaces."""
    if len(composer.single) < 2 or not composer.drawable or composer.scale is None:
        return None
    blocks: list[page.Block] = []
    for a, b in list(combinations(composer.single, 2))[:MOST_PAIRS]:
        scale = PairScale(
            (a, b), (composer.colors[a], composer.colors[b]), composer.scale.vmax, LABELS[composer.metric]
        )
        for result, first, second, who in _shown(composer, a, b):
            canvas = composer.canvas[(result or composer.results[0]).subject]
            figure = canvas.pair(first, second, scale, f"{who}: {a} and {b}")
            caption = f"{who}: {a} and {b} on one scale; dark where both predict. Not tested: no winner is named here."
            name = f"group_pair-{a}-{b}" if result is None else composer.names(result, f"pair-{a}-{b}")
            subject = "" if result is None else result.subject
            blocks.append(composer.keep(figure, name, f"Accuracy of {a} and of {b}, {who}", caption, subject))
    return page.Section("Two spaces at once", tuple(blocks), columns=composer.columns)


def _shown(composer: Composer, a: str, b: str) -> list[tuple[Result | None, np.ndarray, np.ndarray, str]]:
    """Average participants that share their targets; list the others one by one."""
    scores = [(result, result.scores[composer.metric]) for result in composer.results]
    if composer.places is not None:
        means = [group_mean([of_one.row(name) for _, of_one in scores], composer.places) for name in (a, b)]
        return [(None, means[0], means[1], f"mean of {len(scores)} participants")]
    return [(result, of_one.row(a), of_one.row(b), f"sub-{result.subject}") for result, of_one in scores]


def counts(composer: Composer) -> page.Section | None:
    """Chart prevalences of regions and map counts of participants; None without tests of the group."""
    blocks = (*prevalence_charts(composer), *count_maps(composer))
    return page.Section("In how many participants", blocks, columns=composer.columns) if blocks else None


def prevalence_charts(composer: Composer) -> list[page.Block]:
    """Chart the estimated prevalence of every space in every region, from the claims of the group."""
    claims = composer.group.get("claims")
    if claims is None or not len(claims) or len(composer.results) < 2:
        return []
    rows = claims[(claims["claim"] == "above 0") & claims["prevalence"].notna()]
    rows = rows[rows["space"].isin(composer.models)].drop(columns="value")
    rows = rows.rename(columns={"space": "model", "prevalence": "value"})
    blocks: list[page.Block] = []
    for number, chart in enumerate(composer.charts):
        shown = chart.named(chart.rows[PLACE].drop_duplicates().merge(rows, on=PLACE)).assign(subject="")
        if shown.empty:
            continue
        n = int(shown["n_subjects"].max())
        alt = f"{chart.title}: estimated share of people in whom each space is above chance"
        spans = shown.rename(columns={"prevalence_low": "low", "prevalence_high": "high"})
        drawn = network_chart(
            shown[["subject", "level", "region", "model", "value"]],
            colors={name: composer.colors[name] for name in composer.models if name in set(shown["model"])},
            label="share of people", alt=alt, title=f"{chart.title}: prevalence", highest=1.0,
            intervals=spans[["region", "model", "low", "high"]], key="bar = estimate, line = 95% interval",
        )  # fmt: skip
        caption = (
            f"Estimated share of people in whom each space would be above chance in a region with as much data, from "
            f"the number of participants in whom it is; lines are exact 95% intervals, wide with {n} participants. An "
            f"estimate, not a test."
        )
        blocks.append(composer.keep_chart(drawn, f"chart-{number + 1}_prevalence", alt, caption))
    return blocks


def count_maps(composer: Composer) -> list[page.Block]:
    """Map in how many participants each space is above chance; none unless all were tested on the same targets."""
    tests = [result.tests for result in composer.results]
    known = [test for test in tests if test is not None and np.isfinite(test.q).any()]
    if composer.places is None or len(known) < len(tests) or len({test.spaces for test in known}) > 1:
        return []
    if not composer.drawable:
        return []
    n = len(known)
    blocks: list[page.Block] = []
    scale = ColorScale(0.0, float(n), "viridis", "participants above chance")
    canvas = composer.canvas[composer.results[0].subject]
    for number, space in enumerate(known[0].spaces):
        rates = [moved_to(at, test.q[number]) for at, test in zip(composer.places, known, strict=True)]
        levels = [test.level for test in known]
        passed = np.sum([np.nan_to_num(q, nan=1.0) <= level for q, level in zip(rates, levels, strict=True)], axis=0)
        shown = np.where(np.isfinite(rates).all(axis=0), passed, np.nan)
        figure = canvas.accuracy(shown, scale, f"{space}: how many of {n} are above chance")
        caption = (
            f"{space}: number of participants in whom a target is above chance (false discovery rate at most "
            f"{known[0].level:g} over targets and spaces); all {n} in {int((passed == n).sum())} targets, at least one "
            f"in {int((passed > 0).sum())}. Estimated prevalences are among the maps of the group."
        )
        name = f"group_model-{space}_count"
        blocks.append(composer.keep(figure, name, f"Participants in whom {space} is above chance", caption))
    return blocks

"""Write the report: maps, charts and tables of one or more participants on one page."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from ..core.progress import Progress
from ..drawing import report as page
from ..drawing.charts import alpha_chart, split_chart
from .answer import answers
from .bounds import (
    beyond_line,
    beyond_of,
    beyond_table,
    chance_line,
    chance_notes,
    chance_of,
    chance_table,
    signal_line,
    signal_tables,
)
from .composer import Composer
from .controls import ceiling_line, controls_line, controls_table
from .figures import Canvas
from .map_sections import ceiling_maps, counts, pair_maps
from .methods import describe_methods, spaces_of
from .results import Result
from .rsa_section import similarity_sections
from .selection import Chart
from .settings import Maps
from .significance import differences_tested, explain_verdicts, significant_targets, verdict_table
from .summary import SolverSummary
from .verdicts import headline, untested
from .viewer import VIEWER, write_viewer

KINDS = {"voxel": "voxels", "vertex": "vertices", "grayordinate": "grayordinates", "column": "columns"}
LOW_EDGE, HIGH_EDGE = 0.05, 0.75
UNSTABLE = 0.5
FEW_SAMPLES = 100
NUMBER = re.compile(r"(?<![\w.])-?\d+(?:\.\d+)?(?:e[+-]?\d+)?")
RECURRING = (
    'The same stimuli recur in training and held-out data (repeats = "condition"). Random features that tell stimuli '
    "apart predict such responses too, so that no accuracy on this page says anything about the features"
)


def write_report(  # noqa: PLR0913 - what is shown, where, and on what
    results: Sequence[Result],
    settings: Maps,
    path: Path,
    figures: Path,
    *,
    progress: Progress,
    tests: pd.DataFrame | None = None,
    group: Mapping[str, pd.DataFrame] | None = None,
    canvases: Mapping[str, Canvas] | None = None,
    viewer: bool = False,
) -> list[Path]:
    """Draw a report of one or many participants.

    Parameters
    ----------
    results : sequence of Result
        Participants, all made with the same settings.
    settings : Maps
        What to show.
    path : Path
        The HTML file.
    figures : Path
        Folder for its pictures.
    progress : callable
        Called with the share of pictures that are drawn.
    tests : pandas.DataFrame, optional
        Tests of differences over participants.
    group : mapping of str to pandas.DataFrame, optional
        Tables about all participants together: "verdicts" (as of `group_verdicts`; an optional column "rsa" names the
        analysis), "claims", "shared_signal" and "rsa_ceilings".
    canvases : mapping of str to Canvas, optional
        What the maps of each participant are drawn on; found in installed packages unless given.
    viewer : bool, optional
        Whether to write the page to look at maps with beside the report, as ``viewer.html``.

    Returns
    -------
    list of Path
        The HTML file, its pictures, and the viewer.

    Examples
    --------
    >>> from encoding.mapping import write_report
    >>> shares = []
    >>> write_report([result], study.maps, Path("page.html"), Path("figures"), progress=shares.append)[-1].name
    'alphas-1.svg'
    """
    composer = Composer(results, settings, figures, path.parent, progress, group, canvases=canvases)
    sections = (
        claims(composer), composer.glance(), composer.winners(), composer.accuracy(), ceiling_maps(composer),
        counts(composer), composer.differences(), pair_maps(composer),
        composer.parts(), composer.partition(), *similarity_sections(composer), tables(composer, tests),
        diagnostics(composer), about(composer),
    )  # fmt: skip
    summary = results[0].summary
    who = ", ".join(f"sub-{result.subject}" for result in results)
    usable = ", ".join(str(result.summary.n_usable) for result in results)
    spaces = spaces_of(summary)
    shown = (
        ("participants", who),
        ("task", str(summary.task)),
        ("space", f"{' + '.join(spaces)} ({'vertices and voxels' if len(spaces) > 1 else KINDS[summary.kind]})"),
        ("usable targets", usable),
        ("samples", f"{summary.n_samples}, one per {'presentation' if summary.clock == 'stimulus' else 'volume'}"),
        ("runs, outer folds", f"{len(summary.runs)}, {summary.n_folds}"),
        ("models", ", ".join(summary.models) or "none"),
        *((("analyses of similarity", ", ".join(summary.rsa)),) if summary.rsa else ()),
    )
    what = "Encoding models" if summary.models else "Representational similarity"
    title = what if len(results) > 1 else f"{what} of sub-{results[0].subject}"
    beside = write_viewer(composer, path.with_name(VIEWER), report=path.name) if viewer else None
    links = (("Turn, threshold and read out the maps in the viewer", beside.name),) if beside is not None else ()
    report = page.Report(
        title, f"{len(results)} participant{'s' if len(results) > 1 else ''}, task {summary.task}", shown,
        (*find_warnings(results), *composer.unshared, *composer.not_drawn, *missed_clusters(composer)),
        tuple(section for section in sections if section is not None and section.blocks),
        links, answers(composer),
    )  # fmt: skip
    return [page.write_report(report, path), *composer.pictures, *([beside] if beside is not None else [])]


def claims(composer: Composer) -> page.Section | None:
    """Make the section of verdicts, in words and as tables, with controls and ceilings; None without models."""
    if not composer.models:
        return None
    sentences, blocks = [], []
    tested = composer.verdicts["tested"].any() if len(composer.verdicts) else False
    for chart in composer.charts if len(composer.single) > 1 else ():
        verdicts = composer.verdicts_of(chart)
        if len(verdicts) and verdicts["tested"].any():
            sentences.append(f"{chart.title}: {headline(verdicts)}")
            blocks.append(verdict_table(chart.title, verdicts))
    if not tested and len(composer.single) > 1:
        sentences.append(untested(composer.verdicts))
    chance = chance_of(composer.results, composer.group)
    for chart in composer.charts:
        line = chance_line(chart, chance, named=True)
        sentences.append(f"{chart.title}: {line}" if line else "")
    explained = explain_verdicts(composer.verdicts) if tested else ""
    sentences.append(" ".join(note for note in chance_notes(chance) if note not in explained))
    if composer.summary.settings["split"]["repeats"] == "condition":
        rest = "the tests do, since they exchange features between stimuli" if len(chance) else "nothing is claimed"
        sentences.append(f"{RECURRING}: {rest}.")
    beyond = beyond_of(composer.results, composer.group)
    nuisance = composer.summary.settings.get("compare", {}).get("nuisance", ())
    for chart in composer.charts:
        sentences.append(beyond_line(chart, beyond, nuisance))
        blocks += beyond_table(chart, beyond)
    sentences += [controls_line(composer.results), ceiling_line(composer.results), signal_line(composer.group)]
    sentences.append(explained)
    said = [sentence for sentence in sentences if sentence]
    told: list[page.Block] = [page.Text("\n\n".join(said))] if said else []
    intro = "Named spaces, sentences and the fading of tested maps rest on these tests; everything else is descriptive."
    return page.Section("What can be claimed", (*told, *blocks), intro)


def tables(composer: Composer, tests: pd.DataFrame | None = None) -> page.Section:
    """Show numbers per region."""
    blocks: list[page.Block] = []
    over = {metric: metric in set(composer.regions["metric"]) for metric in (composer.metric, "over_ceiling")}
    for chart in composer.charts if composer.models else ():
        for metric, there in over.items():
            if there:
                blocks.append(_scores_table(composer, chart, metric))
    chance = chance_of(composer.results, composer.group)
    for chart in composer.charts:
        blocks += chance_table(chart, chance)
    blocks += [*significant_targets(composer.results), *differences_tested(composer.charts, tests)]
    blocks += signal_tables(composer.charts, composer.group)
    return page.Section("Tables", tuple(blocks), "Complete tables are beside this report, as TSV files.", folded=True)


def _scores_table(composer: Composer, chart: Chart, metric: str) -> page.DataTable:
    """Table of the mean of one score over the targets of every region of a chart."""
    rows = chart.named(chart.rows[(chart.rows["metric"] == metric) & (chart.rows["feature"] == "all")])
    table = rows.pivot_table(
        index=["region", "subject", "n_usable"], columns="model", values="value", sort=False, dropna=False
    )
    frame = table.dropna(how="all").reset_index().reindex(columns=["region", "subject", *composer.models, "n_usable"])
    caption = f"{chart.title}: mean {metric} over targets"
    if metric == "over_ceiling":
        caption = (
            f"{chart.title}: mean {composer.metric} as a share of the noise ceiling, over targets whose reliability is "
            f"certainly above 0.1; not cut at 1"
        )
    formats = dict.fromkeys(composer.models, ".3f")
    return page.DataTable(frame.rename(columns={"n_usable": "targets"}), caption, formats=formats)


def diagnostics(composer: Composer) -> page.Section:
    """Show folds, penalties and what was left out."""
    blocks: list[page.Block] = []
    for result in composer.results if composer.summary.n_folds else ():
        folds = {str(run): int(fold) for run, fold in result.summary.fold_of_run.items()}
        alt, who = "Runs by outer fold", f"sub-{result.subject}"
        chart = split_chart(folds, alt=alt, title=f"{who}: outer folds")
        caption = f"{who}: which runs are held out in which outer fold."
        blocks.append(composer.keep_chart(chart, composer.names(result, "folds"), alt, caption, result.subject))
    grids = {tuple(model.alphas) for model in composer.summary.models.values()}
    for number, grid in enumerate(sorted(grids)):
        counts = {
            name: np.sum([np.asarray(r.summary.models[name].chosen) for r in composer.results], axis=0)
            for name, model in composer.summary.models.items()
            if tuple(model.alphas) == grid and name in composer.models
        }
        alt = "Histogram of chosen penalties"
        chart = alpha_chart(counts, np.asarray(grid), colors=composer.colors, alt=alt, title="Chosen penalties")
        caption = (
            "How often each penalty was chosen, over targets, folds and participants. "
            "Targets without signal choose the largest."
        )
        blocks.append(composer.keep_chart(chart, f"alphas-{number + 1}", alt, caption))
    for result in composer.results:
        if len(result.exclusions):
            title = f"sub-{result.subject}: what was left out, and why"
            blocks.append(page.DataTable(result.exclusions, title, result.subject))
    blocks += controls_table(composer.results)
    return page.Section("Diagnostics", tuple(blocks), folded=True)


def about(composer: Composer) -> page.Section:
    """Show methods, settings and versions."""
    summary = composer.summary
    versions = "\n".join(f"{name} {version}" for name, version in summary.versions.items())
    versions += f"\ndevice: {summary.device}\nseed: {summary.settings['seed']}"
    blocks: list[page.Block] = [
        page.Text(describe_methods(composer.summary, composer.results[0].tests)),
        page.Code(composer.summary.config, "Configuration, as given"),
    ]
    if composer.summary.expanded:
        blocks.append(page.Code(composer.summary.expanded, "Configuration with the settings of its recipe"))
    blocks.append(page.Code(versions, "Versions"))
    return page.Section("Methods and settings", tuple(blocks))


def missed_clusters(composer: Composer) -> tuple[str, ...]:
    """Count the maps in which a cluster above the line is on no slice, as a warning."""
    if not composer.missed:
        return ()
    n = len(composer.missed)
    return (
        f"{n} map{'s have' if n > 1 else ' has'} clusters above the line that no slice shows, as their captions say. "
        f"Raise [map] slices, or name positions there.",
    )


def find_warnings(results: Sequence[Result]) -> tuple[str, ...]:
    """List the limitations of a set of results."""
    found: list[Warned] = []
    for result in results:
        summary, who = result.summary, result.subject
        lost = summary.n_targets - summary.n_usable
        if lost > 0.1 * summary.n_targets:
            found.append(Warned(who, "", f"{lost} of {summary.n_targets} targets have no usable data."))
        if summary.models and summary.n_samples < FEW_SAMPLES:
            few = f"{summary.n_samples} samples are few: scores of single targets are mostly noise."
            found.append(Warned(who, "", few))
        for name, model in summary.models.items():
            if name in summary.auxiliary:
                continue
            told = [*_edges(np.asarray(model.chosen), model.alphas), *_solver(model.solver)]
            found += [Warned(who, name, text) for text in told]
        told = [warning.removeprefix(f"sub-{who}: ") for warning in summary.warnings]
        found += [Warned(who, "", f"{text}.") for text in told]
        found += [Warned(who, "", text) for text in _left_out(result.exclusions)]
        if summary.controls is not None and summary.controls.duplicates:
            found.append(Warned(who, "", _duplicates(summary.controls.duplicates)))
        if summary.controls is not None and summary.controls.same_files:
            found.append(Warned(who, "", _duplicates(summary.controls.same_files, "are files of equal content")))
    folded = fold_warnings(found, [result.subject for result in results])
    if 1 < len(results) < 10:
        folded += (
            f"{len(results)} participants: means over them describe this sample. "
            f"Look at every participant, and at how many agree.",
        )
    return folded


def _duplicates(groups: Sequence[Sequence[str]], what: str = "have equal features in every space") -> str:
    named = ", ".join(" = ".join(group) for group in groups[:3]) + (", ..." if len(groups) > 3 else "")
    return (
        f"{len(groups)} groups of stimuli {what} and are on both sides of a fold "
        f"({named}). If a clip has several names, list them in [load] stimuli."
    )


class Warned(NamedTuple):
    """A warning, of whom and of which model ("" for none)."""

    subject: str
    model: str
    text: str


def fold_warnings(warnings: Sequence[Warned], subjects: Sequence[str]) -> tuple[str, ...]:
    """Join warnings that differ only in participants, models and numbers; numbers become ranges."""
    alike: dict[tuple[str, bool], list[Warned]] = {}
    for warning in warnings:
        alike.setdefault((NUMBER.sub("#", warning.text), bool(warning.model)), []).append(warning)
    folded = []
    for group in alike.values():
        who = list(dict.fromkeys(warning.subject for warning in group))
        everyone = len(who) > 1 and len(who) == len(subjects)
        of = "all participants" if everyone else ", ".join(f"sub-{subject}" for subject in who)
        models = list(dict.fromkeys(warning.model for warning in group if warning.model))
        of += f", {', '.join(models)}" if models else ""
        folded.append(f"{of}: {_with_ranges([warning.text for warning in group])}")
    return tuple(folded)


def _with_ranges(texts: Sequence[str]) -> str:
    """Write texts that differ in numbers as one, "3 to 5" in the place of numbers that differ."""
    columns = list(zip(*(NUMBER.findall(text) for text in texts), strict=True))
    ranges = []
    for column in columns:
        ordered = sorted(dict.fromkeys(column), key=float)
        ranges.append(ordered[0] if len(ordered) == 1 else f"{ordered[0]} to {ordered[-1]}")
    numbers = iter(ranges)
    return NUMBER.sub(lambda _: next(numbers), texts[0])


def _solver(solver: SolverSummary) -> list[str]:
    found = []
    if solver.fell_back:
        found.append(f"a decomposition failed; himalaya fitted {solver.fell_back} chunks of targets.")
    if solver.unstable_gammas > UNSTABLE:
        found.append(
            f"the weights of the feature spaces change from outer fold to outer fold in "
            f"{solver.unstable_gammas:.0%} of targets. Do not interpret them there."
        )
    return found


def _left_out(exclusions: pd.DataFrame) -> list[str]:
    """Summarise exclusions, one sentence per reason."""
    rows = exclusions[~exclusions["what"].isin(["targets", "features", "stimuli"])]
    found = []
    for (what, why), group in rows.groupby(["what", "reason"], sort=False):
        n_runs = (group["run"] != "").sum()
        runs = f" of {n_runs} run{'s' if n_runs > 1 else ''}" if n_runs else ""
        found.append(f"{group['n'].sum()} {what}{runs} left out: {why}.")
    return found


def _edges(chosen: np.ndarray, alphas: Sequence[float]) -> list[str]:
    share = chosen / max(chosen.sum(), 1)
    found = []
    if len(alphas) > 1 and share[0] > LOW_EDGE:
        found.append(
            f"the smallest penalty ({alphas[0]:g}) was chosen for {share[0]:.0%} of targets and folds. "
            f"Extend the grid downwards."
        )
    if len(alphas) > 1 and share[-1] > HIGH_EDGE:
        found.append(
            f"the largest penalty ({alphas[-1]:g}) was chosen for {share[-1]:.0%} of targets and "
            f"folds: the model predicts little there, or the grid ends too early."
        )
    return found

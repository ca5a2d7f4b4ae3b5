"""The parts of a report that one turns to afterwards: numbers, diagnostics, methods."""

import numpy as np
import pandas as pd

from ..drawing import report as page
from ..drawing.diagnostics import draw_alphas, draw_splits
from .composer import Composer
from .methods import describe_methods
from .significance import differences_tested, significant_targets


def tables(composer: Composer, tests: pd.DataFrame | None = None) -> page.Section:
    """Show numbers per region.

    Parameters
    ----------
    composer : Composer
        Of the report.
    tests : pandas.DataFrame, optional
        Tests of differences over participants.

    Returns
    -------
    Section
        One table per chart, significant targets where they were counted, and tests where there are any.
    """
    blocks: list[page.Block] = []
    for chart in composer.charts if composer.models else ():
        rows = chart.rows[(chart.rows["metric"] == composer.metric) & (chart.rows["feature"] == "all")]
        table = rows.pivot_table(
            index=["region", "subject", "n_usable"], columns="model", values="value", sort=False, dropna=False
        )
        frame = table.dropna(how="all").reset_index()[["region", "subject", *composer.models, "n_usable"]]
        frame = frame.rename(columns={"n_usable": "targets"})
        blocks.append(
            page.DataTable(
                frame,
                f"{chart.title}: mean {composer.metric} over targets",
                formats=dict.fromkeys(composer.models, ".3f"),
            )
        )
    blocks += [*significant_targets(composer.results), *differences_tested(composer.charts, tests)]
    return page.Section("Tables", tuple(blocks), "Complete tables stand beside this report as TSV files.", folded=True)


def diagnostics(composer: Composer) -> page.Section:
    """Show folds, penalties and what was left out.

    Parameters
    ----------
    composer : Composer
        Of the report.

    Returns
    -------
    Section
        Two pictures and a table.
    """
    blocks: list[page.Block] = []
    for result in composer.results if composer.facts["n_folds"] else ():
        folds = {str(run): int(fold) for run, fold in result.facts["fold_of_run"].items()}
        figure = draw_splits(folds, title=f"sub-{result.subject}: outer folds")
        caption = f"sub-{result.subject}: which runs are held out in which outer fold."
        blocks.append(
            composer.keep(figure, composer.names(result, "folds"), "Runs by outer fold", caption, result.subject)
        )
    grids = {tuple(model["alphas"]) for model in composer.facts["models"].values()}
    for number, grid in enumerate(sorted(grids)):
        counts = {
            name: np.sum([np.asarray(r.facts["models"][name]["chosen"]) for r in composer.results], axis=0)
            for name, model in composer.facts["models"].items()
            if tuple(model["alphas"]) == grid and name in composer.models
        }
        figure = draw_alphas(counts, np.asarray(grid), colors=composer.colors, title="Chosen penalties")
        caption = (
            "How often each penalty was chosen, over targets, folds and participants. "
            "Targets without signal choose the largest."
        )
        blocks.append(composer.keep(figure, f"alphas-{number + 1}", "Histogram of chosen penalties", caption))
    for result in composer.results:
        if len(result.exclusions):
            title = f"sub-{result.subject}: what was left out, and why"
            blocks.append(page.DataTable(result.exclusions, title, result.subject))
    return page.Section("Diagnostics", tuple(blocks), folded=True)


def about(composer: Composer) -> page.Section:
    """Show methods, settings and versions.

    Parameters
    ----------
    composer : Composer
        Of the report.

    Returns
    -------
    Section
        Text.
    """
    versions = "\n".join(f"{name} {version}" for name, version in composer.facts["versions"].items())
    blocks: list[page.Block] = [
        page.Text(describe_methods(composer.facts)),
        page.Code(composer.facts["config"], "Configuration, as given"),
    ]
    if composer.facts.get("expanded"):
        blocks.append(page.Code(composer.facts["expanded"], "Configuration with the settings of its recipe"))
    blocks.append(page.Code(versions, "Versions"))
    return page.Section("Methods and settings", tuple(blocks))

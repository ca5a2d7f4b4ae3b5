"""Significant targets and tested differences, as the report and the maps show them."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from ..drawing import report as page
from ..numerics.significance import discovery_rates, noise_probability
from .results import Result
from .selection import Chart


def rates_of(result: Result, model: str) -> np.ndarray | None:
    """Compute the false discovery rate of every target's score, if that was asked for.

    Parameters
    ----------
    result : Result
        One participant.
    model : str
        Name of a model.

    Returns
    -------
    ndarray of float64, shape (n_targets,), or None
        None where significance was not asked for.
    """
    if not result.summary.significant:
        return None
    metric = result.summary.metric
    values = result.scores[metric].row(model)
    return discovery_rates(noise_probability(values, np.asarray(result.summary.n_tested), pooled=metric == "pooled_r"))


def critical_score(results: Sequence[Result]) -> float | None:
    """Find the score from which targets are significant in every model and participant.

    Parameters
    ----------
    results : sequence of Result
        Participants.

    Returns
    -------
    float or None
        The largest of the smallest significant scores; None if there is none.
    """
    found = [
        model.critical
        for result in results
        for model in result.summary.significant.values()
        if model.critical is not None
    ]
    return max(found) if found else None


def significant_targets(results: Sequence[Result]) -> list[page.Block]:
    """Count significant targets of every participant and model.

    Parameters
    ----------
    results : sequence of Result
        Participants.

    Returns
    -------
    list of DataTable
        One table; none where significance was not asked for.
    """
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
        f"Targets whose {summary.metric} unrelated noise would reach so rarely that the false discovery rate over "
        f"targets is at most {summary.settings['compare']['level']:g} (one-sided; samples are taken as independent)"
    )
    return [page.DataTable(pd.DataFrame(rows, columns=columns), caption, formats={"share": ".1%"})]


def differences_tested(charts: Sequence[Chart], tests: pd.DataFrame | None) -> list[page.Block]:
    """Show tests of differences in the regions that the report shows.

    Parameters
    ----------
    charts : sequence of Chart
        Regions of the report.
    tests : pandas.DataFrame or None
        Tests of all regions.

    Returns
    -------
    list of DataTable
        One table per chart.
    """
    blocks: list[page.Block] = []
    for chart in charts if tests is not None else ():
        place = ["atlas", "level", "set", "region", "hemi"]
        shown = tests.merge(chart.rows[place].drop_duplicates(), on=place)  # type: ignore[union-attr]
        agree = shown["subjects_a"].astype(str) + " of " + shown["n_subjects"].astype(str)
        frame = shown.assign(**{"first ahead in": agree}).rename(
            columns={"model_a": "first", "model_b": "second", "mean": "difference", "effect_size": "effect size"}
        )
        columns = ["region", "hemi", "first", "second", "difference", "effect size", "first ahead in", "t", "p", "q"]
        floor = tests["sign_flip_floor"].min()  # type: ignore[index]
        caption = (
            f"{chart.title}: paired t over participants, two-tailed; q is the false discovery rate over these regions. "
            f"A test by flipping signs could not give less than p = {floor:.3g} with so few: look at how many agree."
        )
        blocks.append(page.DataTable(frame[columns], caption, formats={"difference": ".3f", "t": ".2f"}))
    return blocks

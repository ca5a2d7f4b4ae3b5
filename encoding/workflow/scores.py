"""Score models: targets, regions, pairs of models, and significance against noise."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

from ..comparison import (
    Ceiling,
    RsaResult,
    check_independence,
    compare_regions,
    compare_similarity,
    confidence_of,
    count_discoveries,
    discoveries,
    evaluate,
    join_confidence,
    noise_ceiling,
    occasions_averaged,
    over_ceiling,
    score_regions,
)
from ..core import Atlas, Provenance, Scores
from ..core.workers import HERE
from ..fitting import choose_device
from ..io.atomic import write_json, write_tsv
from ..mapping import (
    METRICS,
    RSA,
    CeilingSummary,
    DiscoverySummary,
    Result,
    joined_claims,
    judge_regions,
    spaces_as_models,
)
from .jobs import Fitted, Job, Loaded


@dataclass(frozen=True, eq=False, slots=True)
class Scored:
    """Scores of one subject's models."""

    scores: dict[str, Scores] = field(default_factory=dict)  # By metric
    # Tables of `score_regions` and `compare_regions`, one or several per atlas
    regions: list[pd.DataFrame] = field(default_factory=list)
    # Tables of `score_regions` and `compare_regions`, one or several per atlas
    differences: list[pd.DataFrame] = field(default_factory=list)
    # Targets that noise would not give, by model; empty if that was not asked
    significant: dict[str, DiscoverySummary] = field(default_factory=dict)
    ceiling: CeilingSummary | None = None


def score_models(
    job: Job, loaded: Loaded, fitted: Fitted, atlases: Sequence[tuple[Atlas | None, np.ndarray]]
) -> Scored:
    """Score held-out predictions in every target, region and network, and compare models pair by pair."""
    predictions = fitted.predictions
    if not predictions or fitted.folds is None:
        return Scored()
    settings = job.study.compare
    scores = {metric: evaluate(predictions, metric) for metric in METRICS}
    main = scores[settings.metric]
    rates = None
    if settings.significance == "noise":
        first = fitted.folds.folds[0]
        check_independence(loaded.responses, loaded.spaces, first.train, first.test)
        rates = discoveries(main, predictions[0].moments.n)
    regions, differences = [], []
    for number, (atlas, labels) in enumerate(atlases):
        for of_metric in scores.values():
            low = rates <= settings.level if rates is not None and of_metric is main else None
            regions.append(score_regions(of_metric, atlas, labels, significant=low))
        differences.append(compare_regions(predictions, main, atlas, labels, pairs=job.study.pairs))
        job.progress("compare", (number + 1) / len(atlases))
    ceiling = None
    if settings.metric != "r2":
        n_rows = sum(len(fold.test) for fold in fitted.folds.folds)
        ceiling = noise_ceiling(loaded.responses, n_averaged=occasions_averaged(predictions[0], n_rows))
        found = over_ceiling(main, ceiling)
        scores |= found
        for atlas, labels in atlases if found else ():
            regions += [score_regions(of_metric, atlas, labels) for of_metric in found.values()]
    counted = {} if rates is None else count_discoveries(main, rates, settings.level)
    significant = {model: DiscoverySummary(**found) for model, found in counted.items()}
    return Scored(scores, regions, differences, significant, _ceiling_summary(ceiling, loaded))


def _ceiling_summary(ceiling: Ceiling | None, loaded: Loaded) -> CeilingSummary | None:
    if ceiling is None:
        return None
    known = ceiling.r[np.isfinite(ceiling.r)]
    median = float(np.median(known)) if len(known) else None
    n_usable = int(loaded.responses.usable.sum())
    return CeilingSummary(ceiling.n_stimuli, ceiling.n_averaged, len(known), n_usable, median, ceiling.why_not)


def rsa_subject(job: Job, loaded: Loaded, atlases: Sequence[tuple[Atlas | None, np.ndarray]]) -> tuple[RsaResult, ...]:
    """Compare the similarity of stimuli in feature spaces with that of one subject's responses.

    Parameters
    ----------
    job : Job
        Study, places and subject.
    loaded : Loaded
        Responses, and features as they are.
    atlases : sequence of (Atlas or None, ndarray)
        Atlases with the label of every target.

    Returns
    -------
    tuple of RsaResult
        One per ``[[rsa]]`` table; empty if there is none.

    Examples
    --------
    >>> from encoding.pipeline import rsa_subject
    >>> rsa_subject(job, loaded, [])
    ()
    """
    device = choose_device(job.device)[0]
    return tuple(
        compare_similarity(
            settings,
            loaded.described,
            loaded.responses,
            atlases,
            job.work / f"rsa-{settings.name}",
            device=device,
            workers=job.workers if device == "cpu" else HERE,
            progress=partial(job.progress, f"rsa {settings.name}"),
        )
        for settings in job.study.rsa
    )


def joined_scores(similar: Sequence[RsaResult]) -> dict[str, Scores]:
    """Concatenate the maps of all analyses of similarity of one subject, by metric; empty without an analysis."""
    if not similar:
        return {}
    first = similar[0].scores
    rows = tuple(row for found in similar for row in found.scores.rows)
    values = np.concatenate([found.scores.values for found in similar])
    inputs = {found.settings.name: found.scores.provenance.key for found in similar}
    config = {found.settings.name: found.facts for found in similar}
    provenance = Provenance("rsa/1", config, inputs, None, first.provenance.versions)
    return {RSA: Scores(RSA, rows, values, first.targets, first.subject, provenance)}


def write_group_rsa(
    folder: Path, results: Sequence[Result], regions: pd.DataFrame, of_group: pd.DataFrame | None
) -> None:
    """Write which feature space is ahead in every region of every subject, and the choices of every analysis."""
    choices = results[0].summary.rsa
    if not choices:
        return
    tables = []
    for name, of_one in choices.items():
        rows = spaces_as_models(regions, name)
        claims = joined_claims(results, of_group, name)
        tables.append(judge_regions(rows, list(of_one.similarity), claims).assign(rsa=name))
    winners = pd.concat(tables, ignore_index=True)
    write_tsv(folder / "rsa_winners.tsv", join_confidence(winners, confidence_of(regions)))
    write_json(
        folder / "rsa.json", {name: {r.subject: r.summary.rsa[name].plain() for r in results} for name in choices}
    )

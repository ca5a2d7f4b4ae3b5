"""The step of the pipeline that scores models: targets, regions, pairs, and what noise alone would give."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from ..comparison import compare_regions, count_discoveries, discoveries, evaluate, score_regions
from ..core import Atlas, Predictions, Scores
from ..mapping import METRICS
from .jobs import Job


@dataclass(frozen=True, eq=False, slots=True)
class Scored:
    """Scores of one subject's models.

    Attributes
    ----------
    scores : dict of str to Scores
        By metric.
    regions, differences : list of pandas.DataFrame
        Tables of `score_regions` and `compare_regions`, one or several per atlas.
    significant : dict of str to dict
        Counts of targets that noise would not give, by model; empty if that was not asked.
    """

    scores: dict[str, Scores] = field(default_factory=dict)
    regions: list[pd.DataFrame] = field(default_factory=list)
    differences: list[pd.DataFrame] = field(default_factory=list)
    significant: dict = field(default_factory=dict)


def score_models(
    job: Job, predictions: Sequence[Predictions], atlases: Sequence[tuple[Atlas | None, np.ndarray]]
) -> Scored:
    """Score held-out predictions in every target, region and network, and compare models pair by pair.

    Parameters
    ----------
    job : Job
        Study and subject.
    predictions : sequence of Predictions
        One per model; there may be none.
    atlases : sequence of (Atlas or None, ndarray)
        Atlases with the label of every target.

    Returns
    -------
    Scored
        Empty without predictions.
    """
    if not predictions:
        return Scored()
    settings = job.study.compare
    scores = {metric: evaluate(predictions, metric) for metric in METRICS}
    main = scores[settings.metric]
    rates = discoveries(main, predictions[0].moments.n) if settings.significance == "noise" else None
    regions, differences = [], []
    for number, (atlas, labels) in enumerate(atlases):
        for of_metric in scores.values():
            low = rates <= settings.level if rates is not None and of_metric is main else None
            regions.append(score_regions(of_metric, atlas, labels, significant=low))
        differences.append(compare_regions(predictions, main, atlas, labels, pairs=job.study.pairs))
        job.progress("compare", (number + 1) / len(atlases))
    counted = {} if rates is None else count_discoveries(main, rates, settings.level)
    return Scored(scores, regions, differences, counted)

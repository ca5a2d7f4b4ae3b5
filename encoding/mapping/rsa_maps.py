"""Maps of representational similarity, and results seen with feature spaces in the place of models."""

from collections.abc import Iterator
from dataclasses import replace
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ..core import ScoreRow, Scores
from ..io.images.formats import entity_label, write_map
from .results import MEANING, RSA, Result
from .summary import RsaSummary


def spaces_as_models(regions: pd.DataFrame, name: str) -> pd.DataFrame:
    """Select the rows of one similarity analysis, with feature spaces as models.

    Parameters
    ----------
    regions : pandas.DataFrame
        Rows of `score_regions`, of all metrics.
    name : str
        Name of the analysis.

    Returns
    -------
    pandas.DataFrame
        Its rows, as if each feature space were a model.

    Examples
    --------
    >>> from encoding.mapping import spaces_as_models
    >>> found = encoding.rsa(X, Y, runs)
    >>> spaces_as_models(found.table, "rsa")["model"].tolist()
    ['mllm']
    """
    rows = regions[(regions["metric"] == RSA) & (regions["model"] == name)]
    return rows.assign(model=rows["feature"], feature="all")


def scores_of(result: Result, name: str) -> Scores:
    """Select the scores of one similarity analysis, with feature spaces as models."""
    scores = result.scores[RSA]
    chosen = [number for number, row in enumerate(scores.rows) if row.model == name]
    rows = tuple(ScoreRow(scores.rows[number].feature) for number in chosen)
    return replace(scores, rows=rows, values=scores.values[chosen])


def describe_choices(choices: RsaSummary) -> str:
    """Describe what was compared."""
    kinds: dict[str, list[str]] = {}
    for space, kind in choices.similarity.items():
        kinds.setdefault(SIMILARITY[kind], []).append(space)
    models = "; ".join(f"{kind} ({', '.join(spaces)})" for kind, spaces in kinds.items())
    fewest = choices.min_targets
    if choices.regions == "atlas":
        where = "all usable targets of every region, network and ROI of the atlases"
        unit = "targets"
    elif choices.radius_mm is not None:
        where, unit = f"spheres of {choices.radius_mm:g} mm radius about every usable voxel", "voxels"
    else:
        where, unit = f"cubes of {choices.edge_voxels}³ voxels about every usable voxel", "voxels"
    repeats = {
        None: "no stimulus was shown twice",
        "average": f"responses to {choices.n_repeated_presentations} repeated presentations were averaged in",
        "first": f"{choices.n_repeated_presentations} repeated presentations were left out",
    }[choices.repeats]
    runs = "Pairs within a run were compared as well."
    if not choices.same_run:
        runs = f"{choices.n_pairs_of_one_run_left_out} pairs that share a run were left out."
    brain = BRAIN[choices.brain]
    if choices.brain == "crossnobis":
        brain = f"{brain} {NOISE[str(choices.noise)]}"
        n = choices.n_stimuli + choices.n_repeated_presentations
        repeats, runs = f"{n} presentations", "Products of presentations within a run take no part."
    return (
        f"Representational similarity {choices.name!r}: similarity of stimuli by {models}; of responses by "
        f"{brain} over {where} ({fewest} {unit} at least); both compared by "
        f"{choices.comparison.title()} correlation over {choices.n_pairs} pairs of {choices.n_stimuli} "
        f"stimuli ({repeats}). {runs} Values depend strongly on these choices, and can be compared with values "
        "of the same choices only."
    )


SIMILARITY = {
    "choice_probability": "probability of being kept together, over all third stimuli",
    "dot": "dot products of features",
    "cosine": "cosines of features",
    "correlation": "correlations over features",
}
BRAIN = {
    "correlation": "Pearson correlation",
    "euclidean": "minus Euclidean distance",
    "crossnobis": "minus crossnobis distance (cross-validated over runs, squared)",
}
NOISE = {
    "shrunk": "in units of the noise (shrunk covariance of the differences between presentations)",
    "diagonal": "in units of the noise of every target (variance of the differences between presentations)",
    "none": "in units of the responses",
}


def write_rsa_maps(folder: Path, result: Result) -> list[Path]:
    """Write a map of every feature space of every analysis of similarity, and of all differences.

    Parameters
    ----------
    folder : Path
        ``OUTPUT_DIR/sub-<label>/func``.
    result : Result
        Participant.

    Returns
    -------
    list of Path
        The images; each has a sidecar with every choice that was made. None if there is no analysis.

    Examples
    --------
    >>> from encoding.mapping import write_rsa_maps
    >>> write_rsa_maps(Path("maps"), result)
    []
    """
    written: list[Path] = []
    for name, choices in result.summary.rsa.items():
        scores = scores_of(result, name)
        told = {"Description": MEANING[RSA], "Analysis": name, "Units": "arbitrary", "Rsa": choices.plain()}
        entities = {"sub": result.subject, "task": result.summary.task, "model": entity_label(name)}
        for feature, stat, values, extra in _maps_of(scores, choices):
            named = {**entities, "feature": entity_label(feature), "stat": stat}
            written += write_map(folder, named, values, scores.targets, {**told, **extra})
    return written


def _maps_of(scores: Scores, choices: RsaSummary) -> Iterator[tuple[str, str, np.ndarray, dict[str, Any]]]:
    """Yield what each map is of, its statistic, its values, and what is said of it alone."""
    spaces = [row.model for row in scores.rows]
    for space in spaces:
        yield space, RSA, scores.row(space), {"FeatureSpace": space, "Similarity": choices.similarity[space]}
    for a, b in combinations(spaces, 2):
        described = f"{a} minus {b}: {MEANING[RSA]}"
        yield f"{a}minus{b}", RSA, scores.row(a) - scores.row(b), {"Description": described}

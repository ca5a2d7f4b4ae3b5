"""What stands in the JSON file beside every map: units, samples, folds, estimator, penalties, sources, version."""

from collections.abc import Mapping, Sequence
from typing import Any

from .results import Result

UNITS = {
    "r": "correlation coefficient",
    "pooled_r": "correlation coefficient",
    "r2": "share of variance",
    "split_r2": "share of variance",
    "partition_r2": "share of variance",
    "ceiling": "correlation coefficient",
    "over_ceiling": "share of the noise ceiling",
    "rsa": "correlation coefficient",
    "u": "share of variance",
    "pfwe": "probability",
    "qchance": "false discovery rate",
    "q": "false discovery rate",
}


def map_facts(result: Result, models: Sequence[str] = ()) -> dict[str, Any]:
    """Describe how the maps of one participant were made.

    Parameters
    ----------
    result : Result
        Participant.
    models : sequence of str, optional
        Models that a map is about.

    Returns
    -------
    dict
        JSON; with `models`, also estimator, feature spaces and penalties of each.

    Examples
    --------
    >>> from encoding.mapping import map_facts
    >>> facts = map_facts(result)
    >>> facts["NumberOfFolds"], facts["NumberOfHeldOutSamples"]
    (4, 38)
    """
    summary = result.summary
    kinds = {model["name"]: model["kind"] for model in summary.settings.get("models", ()) if "name" in model}
    facts: dict[str, Any] = {
        "NumberOfSamples": summary.n_samples,
        "SampleUnit": "presentation" if summary.clock == "stimulus" else "volume",
        "NumberOfHeldOutSamples": int(sum(summary.n_tested)) or None,
        "NumberOfRuns": len(summary.runs),
        "NumberOfFolds": summary.n_folds,
        "Threshold": None,  # maps hold every value
        "InputKeys": dict(summary.sources),
        "ResultKey": summary.key,
        "SoftwareVersion": summary.versions.get("brain-encoding", "unknown"),
    }
    described = {
        name: {
            "Estimator": kinds.get(name, "unknown"),
            "FeatureSpaces": list(summary.models[name].bands),
            "Alphas": list(summary.models[name].alphas),
            "AlphaUnit": summary.models[name].alpha_unit,
            "Solver": summary.models[name].solver.method,
        }
        for name in models
        if name in summary.models
    }
    if len(described) == 1:
        return facts | next(iter(described.values()))
    return facts | ({"Models": described} if described else {})


def group_facts(results: Sequence[Result], models: Sequence[str] = ()) -> dict[str, Any]:
    """Describe how the maps of a group were made.

    Parameters
    ----------
    results : sequence of Result
        Participants.
    models : sequence of str, optional
        Models that a map is about.

    Returns
    -------
    dict
        JSON: as of `map_facts`, with the samples of every participant.

    Examples
    --------
    >>> from encoding.mapping import group_facts
    >>> sorted(group_facts([result, other]))[:3]
    ['InputKeys', 'NumberOfFolds', 'NumberOfHeldOutSamples']
    """
    facts = map_facts(results[0], models)
    for name in ("NumberOfSamples", "NumberOfHeldOutSamples", "NumberOfRuns", "ResultKey"):
        facts[name] = {f"sub-{result.subject}": map_facts(result)[name] for result in results}
    return {"NumberOfParticipants": len(results), **facts}


def units_of(stat: str) -> str:
    """Return the unit of a statistic.

    Parameters
    ----------
    stat : str
        Name of a metric, or its label in file names.

    Returns
    -------
    str
        "arbitrary" if it is unknown.

    Examples
    --------
    >>> from encoding.mapping import units_of
    >>> units_of("r")
    'correlation coefficient'
    """
    return next((unit for name, unit in UNITS.items() if name.replace("_", "") == stat.replace("_", "")), "arbitrary")


def sources_of(entities: Mapping[str, str], metrics: Sequence[str]) -> list[str]:
    """List BIDS URIs of the scores that a map of one participant was made of."""
    return [f"bids::sub-{entities['sub']}/scores/metric-{metric}" for metric in metrics]

"""What is written down about a participant's run: counts, folds, penalties, settings, versions."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..comparison import RsaResult
from ..core import Atlas, Exclusion, digest, fingerprint_array, versions
from .jobs import Fitted, Job, Loaded


def comparison_key(
    job: Job,
    fitted: Fitted,
    atlases: Sequence[tuple[Atlas | None, np.ndarray]],
    exclusions: Sequence[Exclusion],
    similar: Sequence[RsaResult],
) -> str:
    """Identify a comparison by its settings and everything that goes in.

    Parameters
    ----------
    job : Job
        Study and subject.
    fitted : Fitted
        Predictions.
    atlases : sequence of (Atlas or None, ndarray)
        Atlases with the label of every target.
    exclusions : sequence of Exclusion
        What was left out.
    similar : sequence of RsaResult
        What analyses of similarity found.

    Returns
    -------
    str
        Equal for equal results.
    """
    models = [prediction.provenance.key for prediction in fitted.predictions]
    models += [found.scores.provenance.key for found in similar]
    regions = [(atlas.name if atlas else "", fingerprint_array(labels)) for atlas, labels in atlases]
    left_out = [(exclusion.what, exclusion.n, exclusion.reason) for exclusion in exclusions]
    return digest(
        ["compare/2", job.study.resolved(), job.study.text, models, regions, left_out, list(job.sessions), job.filters]
    )


def facts_of(job: Job, loaded: Loaded, fitted: Fitted, similar: Sequence[RsaResult], key: str) -> dict[str, Any]:
    """Collect what the report says about data, folds and penalties.

    Parameters
    ----------
    job : Job
        Study and subject.
    loaded : Loaded
        Responses and features.
    fitted : Fitted
        Folds and predictions.
    similar : sequence of RsaResult
        What analyses of similarity found.
    key : str
        Identity of the comparison: of its settings and of everything that went in.

    Returns
    -------
    dict
        JSON.
    """
    responses = loaded.responses
    rows = fitted.membership(len(responses.samples), job.study.split.repeats)
    membership, uses = rows["outer"], rows["use"]
    models = {}
    for model, prediction in zip(job.study.models, fitted.predictions, strict=True):
        chosen = prediction.alphas[np.isfinite(prediction.alphas)]
        counts = [int(np.isclose(chosen, alpha).sum()) for alpha in prediction.alpha_grid]
        models[prediction.model] = {
            "bands": list(prediction.bands),
            "alphas": sorted(set(model.alphas)),  # as stated; the grid of the predictions counts trace(K) / n
            "alpha_unit": getattr(model, "alpha_unit", "trace"),
            "chosen": counts,
            "mean_gamma": np.nanmean(prediction.gammas, axis=(0, 2)).astype(float).round(4).tolist(),
            "solver": {name: value for name, value in prediction.solver.items() if name != "curve"},
            "curve": list(prediction.solver.get("curve", ())),
            "key": prediction.provenance.key,
        }
    settings = job.study.resolved()
    same_for_all = {key: value for key, value in settings.items() if key not in ("compute", "maps")}
    return {
        "key": key,
        "subject": job.subject,
        "task": responses.task,
        "clock": responses.samples.clock,
        "t_r": responses.t_r if np.isfinite(responses.t_r) else None,
        "kind": responses.targets.kind,
        "space": responses.targets.space,
        "n_samples": len(responses.samples),
        "n_targets": len(responses.targets),
        "n_usable": int(responses.usable.sum()),
        "runs": list(responses.samples.runs),
        "fold_of_run": {run: int(membership[responses.samples.run == run].max()) for run in responses.samples.runs},
        "n_folds": len(fitted.folds.folds) if fitted.folds is not None else 0,
        "n_tested": fitted.predictions[0].moments.n.tolist() if fitted.predictions else [],
        "n_presentations": len(responses.presentations),
        "uses": _counted(uses),
        "n_stimuli": len(set(responses.presentations.stimulus.tolist())),
        "features": {space.name: space.n_features for space in loaded.spaces},
        "models": models,
        "auxiliary": list(job.study.auxiliary),
        "single": list(job.study.single),
        "pairs": [list(pair) for pair in job.study.pairs],
        "rsa": {found.settings.name: found.facts for found in similar},
        "metric": job.study.compare.metric,
        "device": fitted.device,
        "settings": settings,
        "settings_key": digest([same_for_all, sorted(job.sessions), job.filters]),
        "config": job.study.text,
        "expanded": job.study.expanded if job.study.recipe is not None else "",
        "versions": versions(),
    }


def _counted(words: np.ndarray) -> dict[str, int]:
    names, counts = np.unique(words, return_counts=True)
    return dict(zip(names.tolist(), counts.tolist(), strict=True))

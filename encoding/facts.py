"""What is written down about a participant's run: counts, folds, penalties, settings, versions."""

from typing import Any

import numpy as np

from .core import digest, versions
from .jobs import Fitted, Job, Loaded


def facts_of(job: Job, loaded: Loaded, fitted: Fitted, key: str) -> dict[str, Any]:
    """Collect what the report says about data, folds and penalties.

    Parameters
    ----------
    job : Job
        Study and subject.
    loaded : Loaded
        Responses and features.
    fitted : Fitted
        Folds and predictions.
    key : str
        Identity of the comparison: of its settings and of everything that went in.

    Returns
    -------
    dict
        JSON.
    """
    responses, membership = loaded.responses, fitted.folds.membership()["outer"]
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
        "n_folds": len(fitted.folds.folds),
        "n_tested": fitted.predictions[0].moments.n.tolist(),
        "n_presentations": len(responses.presentations),
        "uses": _counted(fitted.folds.uses(job.study.split.repeats)),
        "n_stimuli": len(set(responses.presentations.stimulus.tolist())),
        "features": {space.name: space.n_features for space in loaded.spaces},
        "models": models,
        "auxiliary": list(job.study.auxiliary),
        "single": list(job.study.single),
        "pairs": [list(pair) for pair in job.study.pairs],
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

"""Summarise a participant's run: counts, folds, penalties, settings, versions."""

from collections.abc import Mapping, Sequence

import numpy as np

from ..comparison import RsaResult
from ..config.settings import Study
from ..core import Atlas, DataError, Exclusion, FeatureSpace, Predictions, digest, fingerprint_array, versions
from ..embedding import SourceContext, in_order
from ..fitting import EncodingModel
from ..mapping import (
    BDATA,
    DiscoverySummary,
    ModelSummary,
    Result,
    RsaSummary,
    SolverSummary,
    Summary,
    shaping_settings,
)
from ..mapping.summary import AGAIN
from .jobs import Fitted, Job, Loaded, Places


def comparison_key(
    job: Job,
    fitted: Fitted,
    atlases: Sequence[tuple[Atlas | None, np.ndarray]],
    exclusions: Sequence[Exclusion],
    warnings: Sequence[str],
    similar: Sequence[RsaResult],
    *,
    sources: Mapping[str, str],
) -> str:
    """Hash everything that a comparison depends on: settings, predictions, atlases, exclusions and warnings."""
    models = [prediction.provenance.key for prediction in fitted.predictions]
    models += [found.scores.provenance.key for found in similar]
    regions = [(_table_key(atlas), fingerprint_array(labels)) for atlas, labels in atlases]
    left_out = [(exclusion.what, exclusion.n, exclusion.text) for exclusion in exclusions]
    left_out += [("warnings", 0, warning) for warning in warnings]
    settings = shaping_settings(job.study.resolved())
    return digest(["compare/5", settings, models, regions, left_out, list(job.sessions), job.filters, dict(sources)])


def _table_key(atlas: Atlas | None) -> str:
    """Identify the regions of an atlas: every column of its table, and the ROI sets made of them."""
    if atlas is None:
        return ""
    sets = [(found.set, found.roi, found.regions) for found in atlas.roi_sets]
    told = [list(atlas.confidence)] if atlas.confidence else []
    return digest([atlas.name, atlas.index.tolist(), atlas.region, atlas.hemi, atlas.network, atlas.color, sets, *told])


def content_keys(
    spaces: Sequence[FeatureSpace], atlases: Sequence[tuple[Atlas | None, np.ndarray]], own: Sequence[str] = ()
) -> dict[str, str]:
    """Identify by content what all participants of a group must share: feature spaces and tables of regions.

    Masks in bdata files and atlases named in `own` are a participant's own, and may lack regions.
    """
    keys = {
        f"feature space {space.name!r}": digest(
            [space.features, fingerprint_array(space.values), space.samples.stimulus.tolist()]
        )
        for space in spaces
    }
    known = [atlas for atlas, _ in atlases if atlas is not None]
    shared = [atlas for atlas in known if not atlas.name.startswith(BDATA) and atlas.name not in own]
    return keys | {f"regions of atlas {atlas.name!r}": _table_key(atlas) for atlas in shared}


def table_keys(spaces: Sequence[FeatureSpace]) -> dict[str, str]:
    """Identify feature spaces as their sources give them, before they are matched with what was shown."""
    return {f"table of {name}": key for name, key in content_keys(spaces, ()).items()}


def require_present_tables(study: Study, places: Places, results: Sequence[Result]) -> None:
    """Refuse participants that were made before a feature table was changed.

    Tables that are not there are not compared: a group may be run where only results are. What is computed or learned
    is known by its files and settings when participants are made.
    """
    made: dict[str, FeatureSpace] = {}
    for source in in_order(study.features):
        file, needed = getattr(source, "file", None), set().union(*source.needs().values())
        there = bool(needed) if not isinstance(file, str) else "{" not in file and (places.bids_dir / file).exists()
        if there and not source.slow and needed <= set(made):
            made[source.name] = source.make_space(
                SourceContext(places.bids_dir, places.output_dir / "embedding", dict(made))
            )
    now = table_keys(list(made.values()))
    for result in results:
        changed = [name for name, key in now.items() if result.summary.sources.get(name, key) != key]
        if changed:
            raise DataError(
                f"sub-{result.subject} was made before the {changed[0]} was changed ({len(changed)} such tables). "
                f"{AGAIN} for all participants: what is still the same is not made again."
            )


def summarise(
    job: Job,
    loaded: Loaded,
    fitted: Fitted,
    similar: Sequence[RsaResult],
    significant: Mapping[str, DiscoverySummary],
    *,
    key: str,
    sources: Mapping[str, str],
) -> Summary:
    """Collect what the report says about data, folds, penalties and settings."""
    responses, study = loaded.responses, job.study
    rows = fitted.membership(len(responses.samples), study.split.repeats)
    membership = rows["outer"]
    names, counts = np.unique(rows["use"], return_counts=True)
    models = zip(study.models, fitted.predictions, strict=True)
    settings = study.resolved()
    same_for_all = {key: value for key, value in settings.items() if key not in ("compute", "maps")}
    return Summary(
        key=key,
        subject=job.subject,
        task=responses.task,
        clock=responses.samples.clock,
        t_r=responses.t_r if np.isfinite(responses.t_r) else None,
        kind=responses.targets.kind,
        space=responses.targets.space,
        n_samples=len(responses.samples),
        n_targets=len(responses.targets),
        n_usable=int(responses.usable.sum()),
        runs=responses.samples.runs,
        fold_of_run={run: int(membership[responses.samples.run == run].max()) for run in responses.samples.runs},
        n_folds=len(fitted.folds.folds) if fitted.folds is not None else 0,
        n_tested=tuple(fitted.predictions[0].moments.n.tolist()) if fitted.predictions else (),
        n_presentations=len(responses.presentations),
        uses=dict(zip(names.tolist(), counts.tolist(), strict=True)),
        n_stimuli=len(set(responses.presentations.stimulus.tolist())),
        features={space.name: space.n_features for space in loaded.spaces},
        models={prediction.model: _model(model, prediction) for model, prediction in models},
        auxiliary=study.auxiliary,
        single=study.single,
        pairs=study.pairs,
        rsa={found.settings.name: RsaSummary(**found.facts) for found in similar},
        metric=study.compare.metric,
        device=fitted.device,
        settings=settings,
        settings_key=digest([same_for_all, sorted(job.sessions), job.filters]),
        config=study.text,
        expanded=study.expanded if study.recipe is not None else "",
        versions=versions(),
        significant=significant,
        warnings=responses.warnings,
        sources=sources,
    )


def _model(model: EncodingModel, prediction: Predictions) -> ModelSummary:
    grid = prediction.alpha_grid
    # Penalties that a solver chose between those of the grid count for the nearest one.
    place = np.searchsorted(np.sqrt(grid[1:] * grid[:-1]), prediction.alphas[np.isfinite(prediction.alphas)])
    solver = {name: value for name, value in prediction.solver.items() if name != "curve"}
    return ModelSummary(
        bands=prediction.bands,
        alphas=tuple(sorted(set(model.alphas))),  # as stated; the grid of the predictions counts trace(K) / n
        chosen=tuple(np.bincount(place, minlength=len(grid)).tolist()),
        mean_gamma=tuple(np.nanmean(prediction.gammas, axis=(0, 2)).astype(float).round(4).tolist()),
        solver=SolverSummary(**solver),
        curve=tuple(prediction.solver.get("curve", ())),
        alpha_unit=getattr(model, "alpha_unit", "trace"),
        key=prediction.provenance.key,
    )

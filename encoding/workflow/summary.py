"""Summarise a participant's run: counts, folds, penalties, settings, versions."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np

from ..comparison import RsaResult
from ..config.settings import Study
from ..core import (
    Atlas,
    DataError,
    EncodingError,
    Exclusion,
    FeatureSpace,
    Predictions,
    digest,
    fingerprint_array,
    versions,
)
from ..embedding import FeatureSource, SourceContext, in_order
from ..fitting import EncodingModel
from ..io.patterns import find_files, plain_label
from ..io.store import load
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
    spaces: Sequence[FeatureSpace],
    atlases: Sequence[tuple[Atlas | None, np.ndarray]],
    own: Sequence[str] = (),
    subject: str = "",
) -> dict[str, str]:
    """Identify by content what all participants of a group must share: feature spaces and tables of regions.

    Masks in bdata files, atlases named in `own`, and recordings of one participant are a participant's own, and may
    differ: recordings stand under a name with `subject`.
    """
    keys = {f"feature space {space.name!r}{_whose(space, subject)}": _space_key(space, subject) for space in spaces}
    known = [atlas for atlas, _ in atlases if atlas is not None]
    shared = [atlas for atlas in known if not atlas.name.startswith(BDATA) and atlas.name not in own]
    return keys | {f"regions of atlas {atlas.name!r}": _table_key(atlas) for atlas in shared}


def _whose(space: FeatureSpace, subject: str) -> str:
    one = subject and space.placement is not None and "subject" in space.placement.keys
    return f" of sub-{subject}" if one else ""


def _space_key(space: FeatureSpace, subject: str) -> str:
    """Identify a feature space by content; of recordings of all participants, those of one."""
    samples, placement = space.samples, space.placement
    if placement is None:
        return digest([space.features, fingerprint_array(space.values), samples.stimulus.tolist()])
    rows = np.arange(len(samples))
    if _whose(space, subject):
        label = f"sub-{plain_label(subject)}"
        rows = np.flatnonzero([label in name.split("_") for name in samples.stimulus.tolist()])
    times = [fingerprint_array(np.ascontiguousarray(part[rows])) for part in (samples.onset, samples.duration)]
    placed = [list(placement.keys), placement.offset, placement.resample, placement.rest]
    values = fingerprint_array(np.ascontiguousarray(space.values[rows]))
    return digest([space.features, values, samples.stimulus[rows].tolist(), times, placed])


def table_keys(spaces: Sequence[FeatureSpace], subject: str = "") -> dict[str, str]:
    """Identify feature spaces as their sources give them, before they are matched with what was shown."""
    return {f"table of {name}": key for name, key in content_keys(spaces, (), subject=subject).items()}


def input_keys(study: Study, places: Places, spaces: Sequence[FeatureSpace]) -> dict[str, str]:
    """Identify what computed feature spaces follow from; those whose files are not there, or not told, are left out."""
    context = SourceContext(places.bids_dir, places.output_dir / "embedding", {space.name: space for space in spaces})
    found = {}
    for source in study.features:
        if source.slow and {name for names in source.needs().values() for name in names} <= set(context.spaces):
            with suppress(EncodingError, OSError):
                found[f"inputs of feature space {source.name!r}"] = source.inputs_key(context)
    return {name: key for name, key in found.items() if key is not None}


def require_present_tables(study: Study, places: Places, results: Sequence[Result]) -> None:
    """Refuse participants that were made before a feature table, judgments or clips were changed.

    Files that are not there are not compared: a group may be run where only results are.
    """
    made: dict[str, FeatureSpace] = {}
    for source in in_order(study.features):
        context = SourceContext(places.bids_dir, places.output_dir / "embedding", dict(made))
        needed = {name for names in source.needs().values() for name in names}
        if not source.slow and needed <= set(made) and _is_there(source, places.bids_dir, bool(needed)):
            made[source.name] = source.make_space(context)
        elif source.slow:
            # What was learned or measured for participants, which what follows from it is made of.
            kept = _kept(places.output_dir / "embedding" / source.name)
            made |= {} if kept is None else {source.name: kept}
    learned = {source.name for source in study.features if source.slow}
    inputs = input_keys(study, places, tuple(made.values()))
    tables = [space for space in made.values() if space.name not in learned]
    for result in results:
        now = table_keys(tables, result.subject) | inputs
        changed = [name for name, key in now.items() if result.summary.sources.get(name, key) != key]
        if changed:
            raise DataError(
                f"sub-{result.subject} was made before the {changed[0]} was changed ({len(changed)} such tables). "
                f"{AGAIN} for all participants: what is still the same is not made again."
            )


def require_different(results: Sequence[Result]) -> None:
    """Refuse participants whose scores are, number by number, those of another one: copies count twice in a group."""
    seen: dict[str, str] = {}
    for result in results:
        values = [fingerprint_array(np.asarray(scores.values)) for _, scores in sorted(result.scores.items())]
        other = seen.setdefault(digest(values), result.subject)
        if other != result.subject:
            raise DataError(
                f"sub-{result.subject} has the scores of sub-{other}, number by number: one is a copy of the other. "
                f"Choose one of them with --participant-label, or mend the dataset."
            )


def _is_there(source: FeatureSource, base: Path, made_of_others: bool) -> bool:
    """Return True if the file of a source is there, or one of those that its pattern names."""
    file = getattr(source, "file", None)
    if not isinstance(file, str):
        return made_of_others
    return bool(find_files(file, base)) if "{" in file else (base / file).exists()


def _kept(folder: Path) -> FeatureSpace | None:
    with suppress(EncodingError, OSError):
        found = load(folder)
        return found if isinstance(found, FeatureSpace) else None
    return None


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
        space=responses.targets.spaces,
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

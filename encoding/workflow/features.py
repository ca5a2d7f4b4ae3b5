"""All feature spaces of a study: read, measured, learned, or concatenated."""

from collections.abc import Sequence
from functools import partial

import numpy as np

from ..config.settings import Study
from ..core import DataError, Exclusion, FeatureSpace, Provenance, Responses, Samples
from ..core.progress import StepProgress, silent_steps
from ..core.workers import HERE, Workers
from ..embedding import FeatureSource, SourceContext, in_order
from ..fitting import choose_device
from .jobs import Places


def make_spaces(
    study: Study,
    places: Places,
    *,
    device: str = "cpu",
    workers: Workers = HERE,
    progress: StepProgress = silent_steps,
) -> tuple[FeatureSpace, ...]:
    """Make every feature space: read what is there, compute or learn the rest.

    Parameters
    ----------
    study : Study
        For its feature sources.
    places : Places
        Files are relative to the dataset. What is computed goes to ``OUTPUT_DIR/embedding`` and is loaded from there
        if files and settings are the same.
    device : {"cpu", "cuda", "auto"}
        Where embeddings are computed.
    workers : Workers
        Where the seeds of an embedding are fitted, as of `open_workers`.
    progress : callable
        Called with the name of the step and the share done.

    Returns
    -------
    tuple of FeatureSpace
        One row per stimulus, or many per recording; in the order of the configuration.

    Examples
    --------
    >>> from encoding.pipeline import make_spaces
    >>> [space.name for space in make_spaces(study, places)]
    ['mllm', 'category']
    """
    spaces: dict[str, FeatureSpace] = {}
    for source in in_order(study.features):
        context = SourceContext(
            places.bids_dir,
            places.output_dir / "embedding",
            dict(spaces),
            choose_device(device)[0] if source.slow else "cpu",
            workers,
            partial(progress, f"embed {source.name}"),
        )
        spaces[source.name] = _checked(source, source.make_space(context))
    return tuple(spaces[source.name] for source in study.features)


def _checked(source: FeatureSource, space: FeatureSpace) -> FeatureSpace:
    """Refuse what a source of another package should not return."""
    if not isinstance(space, FeatureSpace) or space.name != source.name or space.samples.clock not in ("none", "time"):
        raise DataError(
            f"[[features]] {source.name!r}: {type(source).__name__}.make_space returned {space!r}, but a FeatureSpace "
            f"named {source.name!r} with one row per stimulus (clock 'none') or in time ('time') is needed."
        )
    return space


def fill_spaces(
    study: Study, spaces: Sequence[FeatureSpace], responses: Responses
) -> tuple[tuple[FeatureSpace, ...], tuple[Exclusion, ...]]:
    """Fill stimuli without features by the mean of the others, in spaces whose settings ask for it.

    Parameters
    ----------
    study : Study
        For its feature sources.
    spaces : sequence of FeatureSpace
        One row per stimulus.
    responses : Responses
        What was shown.

    Returns
    -------
    spaces : tuple of FeatureSpace
        With a row for every stimulus that was shown, where that was asked.
    notes : tuple of Exclusion
        How many stimuli were filled, for the report.
    """
    shown = responses.samples if responses.samples.clock == "stimulus" else responses.presentations
    asked = {source.name for source in study.features if getattr(source, "fill", "no") == "mean"}
    filled, notes = [], []
    for space in spaces:
        missing = np.setdiff1d(shown.stimulus, space.samples.stimulus)
        if space.name not in asked or not len(missing):
            filled.append(space)
            continue
        mean = np.broadcast_to(space.values.mean(0, dtype=np.float64), (len(missing), space.n_features))
        names = np.concatenate([space.samples.stimulus, missing])
        step = Provenance("fill/1", {"fill": "mean", "stimuli": missing.tolist()}, {"space": space.provenance.key})
        values = np.concatenate([space.values, mean])
        filled.append(FeatureSpace(space.name, values, Samples.of_stimuli(names), space.features, step))
        listed = ", ".join(missing[:5].tolist()) + (", ..." if len(missing) > 5 else "")
        reason = f"feature space {space.name!r}: without features, filled with the mean of the others ({listed})"
        notes.append(Exclusion("stimuli", len(missing), reason))
    return tuple(filled), tuple(notes)

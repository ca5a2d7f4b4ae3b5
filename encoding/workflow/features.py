"""All feature spaces of a study: read, measured, learned, or concatenated."""

from functools import partial

from ..config.settings import Study
from ..core import DataError, FeatureSpace
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
        One row per stimulus, in the order of the configuration.
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
    if not isinstance(space, FeatureSpace) or (space.name, space.samples.clock) != (source.name, "none"):
        raise DataError(
            f"[[features]] {source.name!r}: {type(source).__name__}.make_space returned {space!r}, but a FeatureSpace "
            f"named {source.name!r} with one row per stimulus (clock 'none') is needed."
        )
    return space

"""All feature spaces of a study: read, measured, learned, or put together."""

from functools import partial

from ..config.settings import Study
from ..core import FeatureSpace
from ..core.progress import StepProgress, silent_steps
from ..embedding import (
    ConcatTable,
    FeatureTable,
    JudgmentTable,
    MotionEnergy,
    concatenate,
    embed,
    learn,
    measure_motion,
)
from ..fitting import choose_device
from .jobs import Places

ORDER = (FeatureTable, MotionEnergy, JudgmentTable, ConcatTable)


def learn_spaces(
    study: Study,
    places: Places,
    *,
    device: str = "cpu",
    n_jobs: int = 1,
    progress: StepProgress = silent_steps,
) -> tuple[FeatureSpace, ...]:
    """Read feature spaces that are there, and learn those that are given as judgments.

    Parameters
    ----------
    study : Study
        For its feature spaces.
    places : Places
        Files are relative to the dataset; what is learned goes to ``OUTPUT_DIR/embedding`` and is loaded from there if
        files and settings are the same.
    device : {"cpu", "cuda", "auto"}
        What embeddings are computed on.
    n_jobs : int
        Seeds of an embedding that are fitted at a time.
    progress : callable
        Called with the name of the step and the share done.

    Returns
    -------
    tuple of FeatureSpace
        In the order of the configuration.
    """
    spaces = {}
    # What is made of others comes after them; concat spaces are made of any others, last of all.
    for source in sorted(study.features, key=lambda one: ORDER.index(type(one))):
        tell = partial(progress, f"embed {source.name}")
        if isinstance(source, FeatureTable):
            spaces[source.name] = embed(source, places.bids_dir)
        elif isinstance(source, ConcatTable):
            spaces[source.name] = concatenate(source, spaces)
        elif isinstance(source, MotionEnergy):
            spaces[source.name] = measure_motion(
                source, places.bids_dir, places.output_dir / "embedding", progress=tell
            )
        else:
            spaces[source.name] = learn(
                source,
                places.bids_dir,
                places.output_dir / "embedding",
                device=choose_device(device)[0],
                n_jobs=n_jobs,
                related=dict(spaces),
                progress=tell,
            )
    return tuple(spaces[source.name] for source in study.features)

"""All feature spaces of a study onto the clock of one subject's responses."""

from collections.abc import Sequence

from ..core import Exclusion, FeatureSpace, Responses
from .align import align, drop_constant, unused_stimuli


def align_spaces(
    spaces: Sequence[FeatureSpace], responses: Responses, *, delays: Sequence[int], centre: bool
) -> tuple[tuple[FeatureSpace, ...], tuple[Exclusion, ...]]:
    """Align every feature space, drop features that are constant, and list what has no use.

    Parameters
    ----------
    spaces : sequence of FeatureSpace
        Feature spaces, one row per stimulus.
    responses : Responses
        Responses of one subject.
    delays : sequence of int
        Delays in volumes, where there is one row per volume.
    centre : bool
        Centre features over each run's rows, where there is one row per presentation.

    Returns
    -------
    spaces : tuple of FeatureSpace
        With the samples of the responses.
    exclusions : tuple of Exclusion
        Constant features, and stimuli that have features but were not shown.
    """
    per_volume = responses.samples.clock == "tr"
    aligned, exclusions = [], []
    for space in spaces:
        moved = align(space, responses, delays=tuple(delays) if per_volume else None, centre=centre)
        kept, dropped = drop_constant(moved)
        aligned.append(kept)
        exclusions += [*dropped, *unused_stimuli(space, responses)]
    return tuple(aligned), tuple(exclusions)

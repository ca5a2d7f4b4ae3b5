"""Several feature spaces side by side as one."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ..core import AlignmentError, ConfigError, FeatureSpace, Provenance, Samples, digest, fingerprint_array, versions


@dataclass(frozen=True)
class ConcatTable:
    """Feature spaces side by side, as one space with one penalty.

    Attributes
    ----------
    name : str
        Name of the feature space.
    spaces : sequence of str
        Two or more other spaces of ``[[features]]``, none of them a concat. All must have the same stimuli; rows are
        matched by name.

    Raises
    ------
    ConfigError
        If fewer than two different spaces are named.
    """

    name: str
    spaces: tuple[str, ...]

    def __post_init__(self) -> None:
        """Check names."""
        if isinstance(self.spaces, str) or len(self.spaces) < 2 or len(set(self.spaces)) < len(self.spaces):
            raise ConfigError(
                f"[[features]] {self.name!r}: spaces = {self.spaces!r}, but a list of two or more different feature "
                f"spaces is needed."
            )
        object.__setattr__(self, "spaces", tuple(self.spaces))


def concatenate(source: ConcatTable, known: Mapping[str, FeatureSpace]) -> FeatureSpace:
    """Put feature spaces side by side.

    Parameters
    ----------
    source : ConcatTable
        Which.
    known : mapping of str to FeatureSpace
        Spaces on the clock "none".

    Returns
    -------
    FeatureSpace
        Stimuli in the order of the first space. Features keep their names; those that occur in several spaces get the
        name of the space in front ("category.Fear").

    Raises
    ------
    AlignmentError
        If spaces have different stimuli.
    """
    parts = [known[name] for name in source.spaces]
    first = parts[0]
    stimuli = first.samples.stimulus
    for part in parts[1:]:
        _same_stimuli(source, first, part)
    values = [part.values[_order(part.samples.stimulus, stimuli)] for part in parts]
    inputs = {part.name: digest([fingerprint_array(part.values), part.features, part.provenance.key]) for part in parts}
    provenance = Provenance("concat/1", {"name": source.name, "spaces": source.spaces}, inputs, None, versions())
    return FeatureSpace(
        source.name, np.concatenate(values, axis=1), Samples.of_stimuli(stimuli), _names(parts), provenance
    )


def _names(parts: Sequence[FeatureSpace]) -> tuple[str, ...]:
    every = [feature for part in parts for feature in part.features]
    return tuple(
        feature if every.count(feature) == 1 else f"{part.name}.{feature}"
        for part in parts
        for feature in part.features
    )


def _order(have: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    order = np.argsort(have)
    return order[np.searchsorted(have, wanted, sorter=order)]


def _same_stimuli(source: ConcatTable, a: FeatureSpace, b: FeatureSpace) -> None:
    for one, other in ((a, b), (b, a)):
        missing = np.setdiff1d(one.samples.stimulus, other.samples.stimulus)
        if len(missing):
            raise AlignmentError(
                f"[[features]] {source.name!r}: {len(missing)} stimuli of {one.name!r} are not in {other.name!r}, the "
                f"first is {str(missing[0])!r}; all spaces of a concat need the same stimuli."
            )

"""Principal components of feature spaces, fitted on training rows only."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..core import FeatureSpace
from ..core.weights import undelayed_names


@dataclass(frozen=True, eq=False, slots=True)
class Reduction:
    """A rotation of the columns of one space to components."""

    rotate: np.ndarray  # (n_features, n_components) applied to features about their training means
    names: tuple[str, ...]  # Of the components


def fit_reduction(
    space: FeatureSpace, rows: np.ndarray, *, n_components: int | None, share: float | None
) -> Reduction | None:
    """Fit principal components of z-scored features on some rows; None where there are no fewer than features.

    At most `n_components` are kept, and as few as explain `share` of the variance. On the clock "tr" the delays of a
    feature are the same feature: components are those of all delays together, and each is delayed in turn.
    """
    delayed = space.samples.clock == "tr"
    names, member = undelayed_names(space.features, space.samples.clock)
    delays = [name.rpartition("@")[2] if delayed else "" for name in space.features]
    steps = list(dict.fromkeys(delays))
    if delayed and any(len(set(delays)) > 1 and "@" not in name for name in space.features):
        names, member, steps, delays = space.features, np.arange(len(space.features)), [""], [""] * len(space.features)
    train = space.values[rows].astype(np.float64)
    mean, sd = train.mean(0), train.std(0)
    varies = sd > 1e-7 * np.maximum(np.abs(mean), np.abs(train).max(0, initial=0.0))
    factor = np.where(varies, 1 / np.where(varies, sd, 1.0), 0.0)
    # A feature has one row per training row and delay; one that is left out at a delay is constant there.
    stacked = np.zeros((len(steps), len(rows), len(names)))
    place = {step: number for number, step in enumerate(steps)}
    for column, (which, delay) in enumerate(zip(member, delays, strict=True)):
        stacked[place[delay], :, which] = (train[:, column] - mean[column]) * factor[column]
    vectors, variance = _components(stacked.reshape(-1, len(names)))
    kept = len(variance) if n_components is None else min(n_components, len(variance))
    if share is not None:
        explained = np.cumsum(variance) / max(variance.sum(), np.finfo(float).tiny)
        kept = min(kept, int(np.searchsorted(explained, share - 1e-12)) + 1)
    if kept >= len(names):
        return None
    rotate = np.zeros((len(space.features), kept * len(steps)))
    for column, (which, delay) in enumerate(zip(member, delays, strict=True)):
        first = place[delay] * kept
        rotate[column, first : first + kept] = vectors[which, :kept] * factor[column]
    suffix = [f"@{step}" if step else "" for step in steps]
    return Reduction(rotate, tuple(f"component{k + 1}{end}" for end in suffix for k in range(kept)))


def _components(Z: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Find directions (n_features, n) of largest variance, those without any left out, and their variances."""
    if Z.shape[1] <= len(Z):
        values, vectors = np.linalg.eigh(Z.T @ Z)
        values, vectors = values[::-1], vectors[:, ::-1]
        kept = values > 1e-10 * max(float(values[0]), np.finfo(float).tiny)
        return vectors[:, kept], values[kept]
    values, vectors = np.linalg.eigh(Z @ Z.T)
    values, vectors = values[::-1], vectors[:, ::-1]
    kept = values > 1e-10 * max(float(values[0]), np.finfo(float).tiny)
    return Z.T @ (vectors[:, kept] / np.sqrt(values[kept])), values[kept]


def reduce_space(
    space: FeatureSpace, rows: np.ndarray, *, n_components: int | None, share: float | None
) -> tuple[FeatureSpace, np.ndarray | None]:
    """Replace a space by components fitted on `rows`; return it and the rotation, None where it is left as it is."""
    found = fit_reduction(space, rows, n_components=n_components, share=share)
    if found is None:
        return space, None
    mean = space.values[rows].astype(np.float64).mean(0)
    values = (space.values - mean) @ found.rotate
    return FeatureSpace(space.name, values, space.samples, found.names, space.provenance), found.rotate


def reduce_all(
    spaces: Sequence[FeatureSpace], rows: np.ndarray, *, n_components: int | None, share: float | None
) -> tuple[list[FeatureSpace], list[np.ndarray | None]]:
    """Reduce every space as `reduce_space` does."""
    pairs = [reduce_space(space, rows, n_components=n_components, share=share) for space in spaces]
    return [space for space, _ in pairs], [rotate for _, rotate in pairs]

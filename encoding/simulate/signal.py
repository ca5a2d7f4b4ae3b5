"""The planted part of the responses: features, weights and the haemodynamic response."""

from dataclasses import dataclass

import numpy as np
from nilearn.glm.first_level import glover_hrf
from scipy.signal import lfilter

from .presets import REGIONS, TR, region_number, stream
from .spaces import SimulatedSpace
from .stimuli import REST_AFTER_CLIP, RunPlan
from .targets import TargetSet

OVERSAMPLING = 4
AR = 0.4
SHIFT_VOLUMES = 2
BACKGROUND_R = 0.14
BACKGROUND_WIDTH = 22.0
N_BACKGROUND = 48


@dataclass(frozen=True)
class CleanFeatures:
    """Noise-free features, one row per volume."""

    columns: dict[str, slice]  # Columns of each feature space
    # (n_volumes, n_columns) Boxcars of the centred features, convolved with the haemodynamic response
    runs: list[np.ndarray]
    covariance: np.ndarray  # (n_columns, n_columns) Covariance of the block means, centred within runs
    noise: float  # Standard deviation of the block mean of unit AR(1) noise


def build_design(spaces: dict[str, SimulatedSpace], plan: list[RunPlan]) -> CleanFeatures:
    """Convolve the features of all runs."""
    features, columns, start = [], {}, 0
    for name, space in spaces.items():
        centred = space.clean - space.clean.mean(axis=0)
        features.append(centred / np.sqrt(centred.var(axis=0).sum()))
        columns[name] = slice(start, start + centred.shape[1])
        start += centred.shape[1]
    stacked = np.concatenate(features, axis=1)
    runs = [_convolved(stacked, run) for run in plan]
    means = [block_means(series, run) for series, run in zip(runs, plan, strict=True)]
    centred = np.concatenate([mean - mean.mean(axis=0) for mean in means]).astype(np.float64)
    length = np.concatenate([run.seconds for run in plan]).mean() / TR
    return CleanFeatures(columns, runs, centred.T @ centred / len(centred), _sd_of_mean(length))


def _convolved(features: np.ndarray, run: RunPlan) -> np.ndarray:
    """Boxcars while the clips run, convolved at a quarter of the TR and read at each volume."""
    fine = np.zeros((run.n_volumes * OVERSAMPLING, features.shape[1]), dtype=np.float32)
    step = TR / OVERSAMPLING
    for stimulus, onset, seconds in zip(run.stimulus, run.onset, run.seconds, strict=True):
        fine[round(onset / step) : round((onset + seconds - REST_AFTER_CLIP) / step)] = features[stimulus]
    hrf = glover_hrf(TR, oversampling=OVERSAMPLING).astype(np.float32)
    return lfilter(hrf, np.ones(1, dtype=np.float32), fine, axis=0)[::OVERSAMPLING].astype(np.float32)


def block_means(series: np.ndarray, run: RunPlan) -> np.ndarray:
    """Average a time series over each block, 4 s after the block.

    Shapes: `series` (n_volumes, n_columns); returns (n_blocks, n_columns).
    """
    first = np.round(run.onset / TR).astype(int) + SHIFT_VOLUMES
    last = first + np.round(run.seconds / TR).astype(int)
    return np.stack([series[a:b].mean(axis=0) for a, b in zip(first, last, strict=True)])


def _sd_of_mean(length: float) -> float:
    """Compute the standard deviation of the mean of `length` samples of a unit AR(1) process."""
    lag = np.arange(1, round(length))
    return float(np.sqrt((1 + 2 * np.sum((1 - lag / length) * AR**lag)) / length))


def plant_weights(design: CleanFeatures, targets: TargetSet, *, subject: int, seed: int, snr: float) -> np.ndarray:
    """Draw the weights that map features to responses.

    Returns (n_columns, n_targets).
    """
    weights = _background(design, targets, subject, seed)
    weights *= snr * _background_amplitude(targets)
    for position, region in enumerate(REGIONS):
        for hemi in ("L", "R"):
            rows = np.flatnonzero(targets.region == region_number(position, hemi))
            weights[:, rows] = 0.0
            if region.winner and len(rows):
                columns = design.columns[region.winner]
                drawn = _region_weights(design, columns, (seed, targets.kind, subject, region.name, hemi), len(rows))
                weights[columns, rows] = drawn * snr * _amplitude(_fading(region.r, targets, rows))
    return weights * np.float32(design.noise)


def _region_weights(design: CleanFeatures, columns: slice, key: tuple[int, str, int, str, str], n: int) -> np.ndarray:
    """Weights of one region, (n_features, n): a profile of the study, changed by subject, side and place."""
    seed, kind, subject, name, hemi = key
    size = columns.stop - columns.start
    group = stream(seed, "weights", name).standard_normal((size, 1))
    own = stream(seed, "weights", name, hemi, subject).standard_normal((size, 1))
    place = stream(seed, "weights", name, hemi, subject, kind).standard_normal((size, n))
    return _unit(group + 0.5 * own + 1.2 * place, design.covariance[columns, columns])


def _unit(weights: np.ndarray, covariance: np.ndarray) -> np.ndarray:
    """Scale each column of weights to unit variance of its block means."""
    return weights / np.sqrt(np.maximum(np.einsum("pv,pv->v", weights, covariance @ weights), 1e-12))


def _amplitude(r: np.ndarray) -> np.ndarray:
    """Ratio of signal to noise that gives a correlation of `r`."""
    return r / np.sqrt(1 - r**2)


def _fading(r: float, targets: TargetSet, rows: np.ndarray) -> np.ndarray:
    """Correlation at each target of a region: `r` in its middle, a fifth less at its edge."""
    offset = targets.coordinates[rows] - targets.coordinates[rows].mean(axis=0)
    distance = np.linalg.norm(offset, axis=1)
    return r * (1 - 0.2 * distance / max(distance.max(), 1.0))


def _background(design: CleanFeatures, targets: TargetSet, subject: int, seed: int) -> np.ndarray:
    """Smooth mixtures of all spaces with unit variance, (n_columns, n_targets)."""
    rng = stream(seed, "background")
    centres = rng.uniform((-70, -100, -45), (70, 70, 78), (N_BACKGROUND, 3))
    size = len(design.covariance)
    profile = rng.standard_normal((size, N_BACKGROUND))
    profile += 0.5 * stream(seed, "background", subject).standard_normal(profile.shape)
    distance = np.linalg.norm(targets.coordinates[:, None] - centres.astype(np.float32), axis=2)
    bumps = np.exp(-0.5 * (distance / BACKGROUND_WIDTH) ** 2)
    mixed = profile.astype(np.float32) @ bumps.T
    return _unit(mixed, design.covariance.astype(np.float32)).astype(np.float32)


def _background_amplitude(targets: TargetSet) -> np.ndarray:
    """Signal-to-noise ratio outside the planted regions: stronger at the back, fading towards null regions."""
    y = targets.coordinates[:, 1]
    r = BACKGROUND_R * (0.4 + 0.6 / (1 + np.exp((y + 30) / 15)))
    nulls = [k for k, region in enumerate(REGIONS) if not region.winner]
    for number in (region_number(k, hemi) for k in nulls for hemi in ("L", "R")):
        rows = targets.region == number
        if rows.any():
            gap = np.linalg.norm(targets.coordinates - targets.coordinates[rows].mean(axis=0), axis=1)
            r = r * (1 - np.exp(-0.5 * (gap / 15) ** 2))
    return _amplitude(np.where(targets.grey, r, 0.0)).astype(np.float32)


def planted_signal(features: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return the noiseless responses.

    Shapes: `features` (n_volumes, n_columns), `weights` (n_columns, n_targets); returns (n_targets, n_volumes).
    """
    return weights.T @ features.T

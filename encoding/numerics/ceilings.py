"""Noise ceilings from repeated stimuli.

Let a target respond to n stimuli, r_i times to stimulus i, on R = (N - sum r_i^2 / N) / (n - 1) occasions on average, N
being the sum of r_i. With the mean squares between and within stimuli of a one-way analysis of variance,

    reliability of a mean over R occasions = 1 - (n - 3) / (n - 1) MSW / MSB,

where (n - 3) / (n - 1) removes the bias of MSW / MSB for normal responses. It is the largest R2 that any model can
reach on such means; its root is the largest r. The reliability of a single occasion follows from Spearman and Brown.
Limits come from the jackknife over stimuli of log(MSB / MSW) with Student's t of n - 1 degrees of freedom.
"""

from dataclasses import dataclass

import numpy as np
from scipy import stats

FEWEST_STIMULI = 10


@dataclass(frozen=True, eq=False, slots=True)
class Reliability:
    """Reliability of responses to repeated stimuli."""

    # (n_targets,) Estimate and its 95% interval; not truncated, so that targets without signal scatter about 0. NaN
    # where a target does not vary
    value: np.ndarray
    # (n_targets,) Estimate and its 95% interval; not truncated, so that targets without signal scatter about 0. NaN
    # where a target does not vary
    low: np.ndarray
    # (n_targets,) Estimate and its 95% interval; not truncated, so that targets without signal scatter about 0. NaN
    # where a target does not vary
    high: np.ndarray
    n_stimuli: int  # Stimuli that were repeated
    n_averaged: float  # Occasions whose mean it is the reliability of


def repeat_reliability(values: np.ndarray, stimulus: np.ndarray, *, averaged: float = 1.0) -> Reliability:
    """Estimate how reliable responses to stimuli are that were shown several times.

    Shapes: `values` (n_rows, n_targets), `stimulus` (n_rows,).
    """
    _, place, counts = np.unique(stimulus, return_inverse=True, return_counts=True)
    repeated = counts[place] > 1
    _, place, counts = np.unique(np.asarray(stimulus)[repeated], return_inverse=True, return_counts=True)
    n = len(counts)
    if n < FEWEST_STIMULI:
        raise ValueError(f"{n} stimuli were shown more than once; {FEWEST_STIMULI} are needed")
    values = np.asarray(values[repeated], dtype=np.float64)
    total = float(counts.sum())
    occasions = (total - np.square(counts).sum() / total) / (n - 1)
    sums = np.zeros((n, values.shape[1]))
    np.add.at(sums, place, values)
    means = sums / counts[:, None]
    within = np.zeros_like(sums)
    np.add.at(within, place, np.square(values - means[place]))
    ratio = _log_ratio(sums.sum(0), (sums * means).sum(0), within.sum(0), total, n)
    theta = np.empty_like(sums)
    for out in range(n):  # a loop over stimuli keeps memory at one row of targets
        theta[out] = _log_ratio(
            sums.sum(0) - sums[out],
            (sums * means).sum(0) - sums[out] * means[out],
            within.sum(0) - within[out],
            total - counts[out],
            n - 1,
        )
    se = np.sqrt((n - 1) / n * np.square(theta - theta.mean(0)).sum(0))
    half = stats.t.ppf(0.975, n - 1) * se
    value, low, high = (_reliability(log, n, occasions, averaged) for log in (ratio, ratio - half, ratio + half))
    # Neither another number of occasions nor skewed signals keep the estimate unbiased; the jackknife does, nearly.
    value = n * value - (n - 1) * _reliability(theta, n - 1, occasions, averaged).mean(0)
    return Reliability(value, low, high, n, averaged)


def _reliability(log_ratio: np.ndarray, n: int, occasions: float, averaged: float) -> np.ndarray:
    """Reliability of a mean over `averaged` occasions, from log(MSB / MSW) of `n` stimuli."""
    return _of_mean(_of_single(1 - (n - 3) / (n - 1) * np.exp(-log_ratio), occasions), averaged)


def _log_ratio(sums: np.ndarray, squares: np.ndarray, within: np.ndarray, total: float, n: int) -> np.ndarray:
    """log(MSB / MSW) from the sum, the sum of squared stimulus sums over counts, and the sum of squares within."""
    between = (squares - sums**2 / total) / (n - 1)
    noise = within / (total - n)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.log(np.where((between > 0) & (noise > 0), between / noise, np.nan))


def _of_single(reliability: np.ndarray, occasions: float) -> np.ndarray:
    """Reliability of one occasion, from that of a mean over several (Spearman 1910; Brown 1910)."""
    return reliability / (occasions - (occasions - 1) * reliability)


def _of_mean(single: np.ndarray, occasions: float) -> np.ndarray:
    return occasions * single / (1 + (occasions - 1) * single)


def shared_signal(responses: np.ndarray) -> np.ndarray:
    """Correlate every participant's responses with the mean of the others.

    Signal that participants share is a part of what a model can predict: a lower bound of the noise ceiling for models
    of what is shared, and none at all for what is specific to a participant.

    Shapes: `responses` (n_participants, n_samples, n_targets); returns (n_participants, n_targets).
    """
    values = np.asarray(responses, dtype=np.float64)
    values = values - values.mean(1, keepdims=True)
    found = np.empty((values.shape[0], values.shape[2]))
    total = values.sum(0)
    for number, own in enumerate(values):
        others = total - own
        scale = np.sqrt(np.square(own).sum(0) * np.square(others).sum(0))
        found[number] = np.divide((own * others).sum(0), scale, out=np.full_like(scale, np.nan), where=scale > 0)
    return found

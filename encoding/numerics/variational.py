"""A Gaussian for every coordinate of an embedding, under a spike-and-slab prior.

X = max(0, mu + sigma e) with e standard normal; the prior of mu + sigma e is share N(0, spike^2) + (1 - share)
N(0, slab^2) (Muttenthaler, Zheng, McClure, Vandermeulen, Hebart & Pereira 2022). What is minimised is the expected loss
of the judgments plus the Kullback-Leibler divergence from the prior per judgment. Everything about the mixture is
computed from logarithms; the entropy of the posterior is exact, and e is drawn in pairs of opposite sign, for which the
linear part of the noise cancels.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from scipy.special import log_ndtr

BETAS = 0.9, 0.99  # of Adam
LAST_RATE = 0.1  # the step length falls linearly to this part of itself


@dataclass(frozen=True, slots=True)
class SpikeSlab:
    """Prior of a coordinate."""

    spike: float = 0.25  # Standard deviation of the narrow part
    slab: float = 3.0  # Standard deviation of the wide part
    share: float = 0.6  # Weight of the narrow part


@dataclass(frozen=True, eq=False, slots=True)
class Posterior:
    """Independent Gaussians."""

    mean: torch.Tensor  # (n_items, n_dims) Before negative values are set to zero
    scale: torch.Tensor  # (n_items, n_dims) Standard deviation, on the same scale
    trace: tuple[float, ...]  # Estimate of the objective at each step


def log_prior(x: torch.Tensor, prior: SpikeSlab) -> tuple[torch.Tensor, torch.Tensor]:
    """Compute the logarithm of the spike-and-slab density, and its derivative."""
    narrow, wide = 1.0 / prior.spike**2, 1.0 / prior.slab**2
    half = x.square().mul_(-0.5)
    spike = half * narrow + (math.log(prior.share) - math.log(prior.spike))
    slab = half.mul_(wide).add_(math.log1p(-prior.share) - math.log(prior.slab))
    in_spike = torch.sigmoid(spike - slab)
    value = torch.logaddexp(spike, slab) - 0.5 * math.log(2 * math.pi)
    return value, in_spike.mul_(narrow - wide).add_(wide).mul_(x).neg_()


def fit_posterior(
    loss: Callable[[torch.Tensor], tuple[float, torch.Tensor]],
    start: torch.Tensor,
    *,
    n_judgments: float,
    prior: SpikeSlab,
    n_steps: int,
    rate: float,
    seed: int,
) -> Posterior:
    """Maximise the evidence lower bound with Adam, one antithetic pair of draws a step.

    Shapes: `start` (n_items, n_dims).
    """
    draws = torch.Generator(device=start.device).manual_seed(seed)
    mean, log_scale = start.clone(), torch.full_like(start, math.log(0.1))
    states = [(torch.zeros_like(mean), torch.zeros_like(mean)) for _ in range(2)]
    trace = []
    for step in range(1, n_steps + 1):
        noise = torch.randn(mean.shape, generator=draws, dtype=mean.dtype, device=mean.device)
        value, slopes = _bound(loss, mean, log_scale, noise, prior=prior, n_judgments=n_judgments)
        trace.append(value)
        length = rate * (1 - (1 - LAST_RATE) * step / n_steps)
        corrections = 1 - BETAS[0] ** step, 1 - BETAS[1] ** step
        for point, slope, (first, second) in zip((mean, log_scale), slopes, states, strict=True):
            first.mul_(BETAS[0]).add_(slope, alpha=1 - BETAS[0])
            second.mul_(BETAS[1]).addcmul_(slope, slope, value=1 - BETAS[1])
            point.addcdiv_(first, (second / corrections[1]).sqrt_().add_(1e-10), value=-length / corrections[0])
    return Posterior(mean, log_scale.exp(), tuple(trace))


def _bound(
    loss: Callable[[torch.Tensor], tuple[float, torch.Tensor]],
    mean: torch.Tensor,
    log_scale: torch.Tensor,
    noise: torch.Tensor,
    *,
    prior: SpikeSlab,
    n_judgments: float,
) -> tuple[float, tuple[torch.Tensor, torch.Tensor]]:
    """Estimate the negative bound per judgment and its slopes along mean and log scale."""
    spread = log_scale.exp().mul_(noise)
    value = -float(log_scale.sum(dtype=torch.float64)) / n_judgments
    of_mean, of_scale = torch.zeros_like(mean), torch.full_like(mean, -1.0 / n_judgments)
    for sign in (0.5, -0.5):
        latent = torch.add(mean, spread, alpha=2 * sign)
        of_judgments, gradient = loss(latent.clamp(min=0))
        density, slope = log_prior(latent, prior)
        value += 0.5 * (of_judgments - float(density.sum(dtype=torch.float64)) / n_judgments)
        slope = gradient.mul_(latent > 0).sub_(slope, alpha=1.0 / n_judgments)
        of_mean.add_(slope, alpha=0.5)
        of_scale.addcmul_(slope, spread, value=sign)
    return value, (of_mean, of_scale)


def discoveries(p: np.ndarray, *, alpha: float = 0.05, axis: int = 0) -> np.ndarray:
    """Mark what the step-up procedure of Benjamini & Hochberg (1995) declares significant.

    Everything up to the *largest* rank i with p_(i) <= alpha i / n is significant, also where smaller ranks fail.

    Parameters
    ----------
    p : ndarray
        p-values.
    alpha : float
        False discovery rate.
    axis : int
        Axis of a family of tests.

    Returns
    -------
    ndarray of bool
        Of the shape of `p`.
    """
    p = np.moveaxis(np.asarray(p, dtype=np.float64), axis, 0)
    rank = np.arange(1, len(p) + 1).reshape((-1,) + (1,) * (p.ndim - 1))
    ordered = np.sort(p, axis=0)
    passes = ordered <= alpha * rank / len(p)
    last = np.where(passes, rank, 0).max(axis=0, initial=0)
    threshold = np.take_along_axis(ordered, np.maximum(last - 1, 0)[None], axis=0)
    return np.moveaxis((p <= threshold) & (last > 0), 0, axis)


def alive(posterior_mean: np.ndarray, scale: np.ndarray, *, alpha: float = 0.05, more_than: int = 5) -> np.ndarray:
    """Return which dimensions are above zero for enough items.

    Shapes: `posterior_mean, scale` (n_items, n_dims); returns (n_dims,).
    """
    p = np.exp(log_ndtr(-np.asarray(posterior_mean, np.float64) / np.asarray(scale, np.float64)))
    return discoveries(p, alpha=alpha, axis=0).sum(axis=0) > more_than

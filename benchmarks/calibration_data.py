"""Simulated designs, noise, features and signals for the calibration; nothing in common with `encoding.simulate`."""

from dataclasses import dataclass

import numpy as np

from encoding.numerics.cleaning import project_out
from encoding.numerics.shared_variance import blocks_of_runs, centre_runs, shared_kernel, shared_space

N_TARGETS, REGION = 200, 25
N_DRAWS = 199
SHARED_NOISE = 1 / 3
SIX, TWELVE, STUDY = (36,) * 6, (18,) * 12, (36,) * 61


@dataclass(frozen=True)
class Design:
    """Runs of some lengths, on a clock, with autocorrelated noise and features."""

    runs: tuple[int, ...]
    noise: float = 0.0
    features: float = 0.0
    clock: str = "stimulus"
    common: float = 0.0
    mixed: bool = False

    @property
    def run(self) -> np.ndarray:
        """Run of each row."""
        return np.repeat(np.arange(len(self.runs)), self.runs)


def series(rng: np.random.Generator, lengths: tuple[int, ...], n: int, ar: float | np.ndarray) -> np.ndarray:
    """Draw first-order autocorrelated columns of unit variance, every run on its own."""
    parts = []
    for length in lengths:
        values = rng.standard_normal((length, n))
        if np.any(ar):
            for t in range(1, length):
                values[t] = ar * values[t - 1] + np.sqrt(1 - np.square(ar)) * values[t]
        parts.append(values)
    return np.concatenate(parts)


def noise_of(rng: np.random.Generator, design: Design, n_targets: int = N_TARGETS) -> np.ndarray:
    """Draw noise in which the targets of a region share a third of the variance."""
    ar: float | np.ndarray = design.noise
    if design.mixed:
        ar = np.repeat([0.0, 0.8], [n_targets // 2, n_targets - n_targets // 2])
    own = series(rng, design.runs, n_targets, ar)
    of_region = series(rng, design.runs, max(1, n_targets // REGION), design.noise)
    member = np.minimum(np.arange(n_targets) // REGION, of_region.shape[1] - 1)
    values = np.sqrt(1 - SHARED_NOISE) * own + np.sqrt(SHARED_NOISE) * of_region[:, member]
    if design.common:
        course = series(rng, (max(design.runs),), n_targets, 0.95)
        values += design.common * np.concatenate([course[:length] for length in design.runs])
    return values


def features_of(rng: np.random.Generator, design: Design, p: int) -> np.ndarray:
    """Draw features; on the clock of volumes four delays of features that last for four volumes."""
    if design.clock == "stimulus":
        values = series(rng, design.runs, p, design.features)
        if design.common:
            course = series(rng, (max(design.runs),), p, 0.95)
            values += design.common * np.concatenate([course[:length] for length in design.runs])
        return values
    parts = []
    for length in design.runs:
        shown = np.repeat(rng.standard_normal((length // 4 + 1, p)), 4, axis=0)[:length]
        shown[rng.random(length) < 0.2] = 0.0
        parts.append(
            np.concatenate([np.roll(shown, d, axis=0) * (np.arange(length) >= d)[:, None] for d in (1, 2, 3, 4)], 1)
        )
    return np.concatenate(parts)


def cleaned(values: np.ndarray, design: Design) -> np.ndarray:
    """Centre every run; on the clock of volumes, also detrend it."""
    if design.clock == "stimulus":
        return centre_runs(values, design.run)
    parts = np.split(values, np.cumsum(design.runs)[:-1])
    bases = [np.linalg.qr(np.vander(np.linspace(-1, 1, len(part)), 2))[0] for part in parts]
    return np.concatenate([project_out(part, basis) for part, basis in zip(parts, bases, strict=True)])


def signal(rng: np.random.Generator, X: np.ndarray, share: float | np.ndarray, n_targets: int) -> np.ndarray:
    """Make responses that are linear in features of unit variance, each with a share of the variance."""
    weights = rng.standard_normal((X.shape[1], n_targets))
    weights /= np.linalg.norm(weights, axis=0)
    return np.sqrt(share) * (X @ weights)


def kernel(X: np.ndarray, Y: np.ndarray, run: np.ndarray) -> np.ndarray:
    """Multiply products of different runs, from raw rows."""
    return shared_kernel(shared_space(centre_runs(X, run), blocks_of_runs(run)), centre_runs(Y, run))


def regions(kernels: np.ndarray) -> np.ndarray:
    """Average kernels over the targets of each region."""
    return kernels.reshape(-1, REGION, *kernels.shape[1:]).mean(1)

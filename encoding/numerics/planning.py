"""Power of the comparison of two feature spaces, from the variance of shared signal variance (U).

With n samples, p features, lag-1 autocorrelations a of features and e of noise, and population R2 = q, the estimate
from products of different runs has approximately (checked by simulation in `benchmarks/controls.py`)

    Var U = k [2 p (1 - q)^2 / n^2 + 4 q (1 - q)^2 / n],    k = (1 + a e) / (1 - a e).

Of this, 2 q^2 (1 - q)^2 / n is the sampling of stimuli, which the targets of a region share; the rest is noise, and
averages over targets whose noise is independent. A difference of two spaces adds both variances: pessimistic where they
share features.
"""

from dataclasses import dataclass

import numpy as np
from scipy import stats

from .autocorrelation import variance_inflation

CAUTION = 1.25  # standard errors that the test estimates are about so many times too large, as simulated


@dataclass(frozen=True, slots=True)
class StudyDesign:
    """What is assumed of an experiment."""

    # Correlation of a model with unlimited data of either space with the responses (the root of population R2)
    r: tuple[float, float]
    n_features: tuple[int, int]  # Features of either space, delays included
    samples_per_run: int  # Presentations or volumes per run
    n_targets: float = 1.0  # Independent targets that a region amounts to; 1 for a single target
    feature_autocorrelation: float = 0.0  # Lag-1 autocorrelation of features
    noise_autocorrelation: float = 0.0  # Lag-1 autocorrelation of noise
    subject_sd: float = 0.0  # Standard deviation over participants of the true difference of R2

    @property
    def difference(self) -> float:
        """Difference of population R2."""
        return self.r[0] ** 2 - self.r[1] ** 2

    def stimulus_variance(self, n_runs: int) -> float:
        """Part of the variance of the estimated difference that comes from the sampling of stimuli."""
        n = n_runs * self.samples_per_run
        return sum(2 * (r * r * (1 - r * r)) ** 2 / n for r in self.r)

    def variance(self, n_runs: int) -> float:
        """Variance of the estimated difference in one participant."""
        n = n_runs * self.samples_per_run
        inflation = float(variance_inflation(self.feature_autocorrelation, self.noise_autocorrelation))
        total = 0.0
        for r, p in zip(self.r, self.n_features, strict=True):
            q = r * r
            total += 2 * p * (1 - q) ** 2 / (n * n) + 4 * q * (1 - q) ** 2 / n
        stimuli = self.stimulus_variance(n_runs)
        return stimuli + (inflation * total - stimuli) / self.n_targets


def power_of(difference: float, variance: float, df: float, level: float = 0.05) -> float:
    """Compute the power of a two-sided t-test to find a difference in the direction that it has."""
    if variance <= 0:
        return float(difference != 0)
    return float(stats.nct.sf(stats.t.isf(level / 2, df), df, abs(difference) / np.sqrt(variance)))


def power(design: StudyDesign, n_runs: int, n_subjects: int = 1, level: float = 0.05) -> float:
    """Compute the power to tell two spaces apart."""
    of_runs = CAUTION**2 * design.variance(n_runs)
    if n_subjects == 1:
        return power_of(design.difference, of_runs, min(n_runs, 20) - 1, level)
    # Sampling of stimuli is common to participants, noise and true differences are not.
    stimuli = CAUTION**2 * design.stimulus_variance(n_runs)
    noise = of_runs - stimuli
    of_subjects = (noise + design.subject_sd**2) / n_subjects
    variance = stimuli + of_subjects
    spread = stimuli**2 / (min(n_runs, 20) - 1) + of_subjects**2 / (n_subjects - 1)
    df = variance**2 / spread if spread > 0 else n_subjects - 1
    return power_of(design.difference, variance, float(np.clip(df, min(n_runs, n_subjects) - 1, None)), level)

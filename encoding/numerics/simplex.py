"""Candidates of band weights: points on the simplex."""

import numpy as np


def draw_candidates(n_bands: int, n: int, rng: np.random.Generator) -> np.ndarray:
    """Draw candidates: all bands equal, each band alone, then random mixtures.

    Parameters
    ----------
    n_bands : int
        Number of bands.
    n : int
        Number of candidates.
    rng : numpy.random.Generator
        Source of the draws; half come from a Dirichlet distribution of concentration 0.1 (few bands matter), half from
        one of 1 (uniform on the simplex).

    Returns
    -------
    ndarray of float64, shape (n, n_bands)
        Non-negative, each row sums to one. The first candidates of a longer list are those of a shorter one.
    """
    fixed = np.vstack([np.full((1, n_bands), 1 / n_bands), np.eye(n_bands)])
    if n_bands == 1:
        fixed = fixed[:1]
    n_draws = max(n - len(fixed), 0)
    concentration = np.where(np.arange(n_draws) % 2 == 0, 0.1, 1.0)
    gamma = rng.standard_gamma(np.repeat(concentration[:, None], n_bands, axis=1)) + 1e-300
    return np.vstack([fixed, gamma / gamma.sum(1, keepdims=True)])[:n]

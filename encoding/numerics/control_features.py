"""Features that know nothing of the stimuli: time, position, run, and random numbers of a given spectrum."""

import numpy as np

N_POSITIONS = 8
N_WAVES = 12


def position_bumps(time: np.ndarray, n_bumps: int = N_POSITIONS) -> np.ndarray:
    """Make Gaussian bumps over the time since the start of the run, the same for all runs.

    Held-out runs are predicted from them where responses have a time course that runs share.

    Shapes: `time` (n_samples,); returns (n_samples, n_bumps).
    """
    centres = np.linspace(time.min(), time.max(), n_bumps)
    width = max((centres[-1] - centres[0]) / (n_bumps - 1), np.finfo(float).tiny)
    return np.exp(-0.5 * ((time[:, None] - centres) / width) ** 2)


def time_waves(time: np.ndarray, n_waves: int = N_WAVES) -> np.ndarray:
    """Make cosines over all of the time of one recording.

    Smooth in time, they predict held-out blocks from neighbouring training blocks (orthogonal autocorrelated sequences,
    Feghhi et al. 2024, in their smoothest directions).

    Shapes: `time` (n_samples,); returns (n_samples, n_waves).
    """
    share = (time - time.min()) / max(np.ptp(time), np.finfo(float).tiny)
    return np.cos(np.pi * share[:, None] * np.arange(1, n_waves + 1))


def random_twin(values: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Draw random features with the size and the spectrum of given ones.

    Rows that are equal stay equal, so that the same stimulus under two names has the same random features.

    Shapes: `values` (n_stimuli, n_features); returns (n_stimuli, n_features).
    """
    values = np.asarray(values, dtype=np.float64)
    first, place = np.unique(values, axis=0, return_inverse=True)
    _, singular, right = np.linalg.svd(values - values.mean(0), full_matrices=False)
    draws = rng.standard_normal((len(first), len(singular)))
    return ((draws * (singular / np.sqrt(max(len(values) - 1, 1)))) @ right)[place.ravel()]


def equal_rows(values: np.ndarray, tolerance: float = 1e-3) -> list[np.ndarray]:
    """Find rows that are equal, or nearly so.

    Shapes: `values` (n_rows, n_columns).
    """
    values = np.asarray(values, dtype=np.float64)
    spread = values.std(0)
    scaled = (values - values.mean(0))[:, spread > 0] / spread[spread > 0]
    if len(scaled) < 2 or not scaled.shape[1]:
        return []
    square = np.einsum("np,np->n", scaled, scaled)
    typical = 2 * float(np.median(square))  # squared distance of two unrelated rows
    group = np.arange(len(scaled))
    for start in range(0, len(scaled), 512):
        rows = slice(start, start + 512)
        near = square[rows, None] + square[None] - 2 * scaled[rows] @ scaled.T <= 1e-4 * typical
        for first, second in np.argwhere(np.triu(near, start + 1)):
            distance = np.square(scaled[start + first] - scaled[second]).sum()
            if distance <= tolerance**2 * typical:
                group[group == group[second]] = group[start + first]
    return [np.flatnonzero(group == label) for label in np.unique(group) if (group == label).sum() > 1]


def held_out_r(X: np.ndarray, Y: np.ndarray, folds: list[tuple[np.ndarray, np.ndarray]]) -> np.ndarray:
    """Correlate held-out responses with ridge predictions at a fixed penalty, the mean eigenvalue of the training data.

    Shapes: `X, Y` (n_samples, n_features); returns (n_folds, n_targets).
    """
    found = []
    for train, test in folds:
        centre, mean = X[train].mean(0), Y[train].mean(0)
        fitted, held = X[train] - centre, X[test] - centre
        gram = fitted.T @ fitted
        penalty = max(float(np.trace(gram)) / max(len(gram), 1), np.finfo(float).tiny)
        weights = np.linalg.solve(gram + penalty * np.eye(len(gram)), fitted.T @ (Y[train] - mean))
        p, y = held @ weights, Y[test] - mean
        p, y = p - p.mean(0), y - y.mean(0)
        scale = np.sqrt(np.square(p).sum(0) * np.square(y).sum(0))
        flat = np.square(p).sum(0) <= 1e-20 * np.square(held).sum()
        r = np.divide((p * y).sum(0), scale, out=np.zeros_like(scale), where=(scale > 0) & ~flat)
        found.append(np.where(np.square(y).sum(0) > 0, r, np.nan))
    return np.stack(found)

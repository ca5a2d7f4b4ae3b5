"""Planted truth of other shapes than the simulator's, and judgments that are drawn from it without the package."""

import numpy as np

SHAPES = ("categorical", "lognormal", "correlated", "heavy-tailed")
ALL_SHAPES = (*SHAPES, "gamma")  # with one on which nothing was tuned


def plant(shape: str, n_items: int, n_dims: int, seed: int) -> np.ndarray:
    """Non-negative coordinates, scaled so that a perfect observer is right in about 65 percent of all trials."""
    rng = np.random.default_rng([seed, ALL_SHAPES.index(shape)])
    if shape == "categorical":  # one strong dimension each, and traces of the others
        X = np.eye(n_dims)[rng.integers(0, n_dims, n_items)] * rng.normal(1.0, 0.2, (n_items, 1))
        X = np.abs(X + 0.08 * np.abs(rng.normal(size=X.shape)))
    elif shape == "lognormal":
        X = np.exp(rng.normal(0.0, 0.9, (n_items, n_dims))) * (rng.random((n_items, n_dims)) < 0.4)
    elif shape == "correlated":  # r = .5 between the Gaussians that are exponentiated; nothing is exactly zero
        common = rng.normal(size=(n_items, 1))
        X = np.exp(0.8 * (np.sqrt(0.5) * common + np.sqrt(0.5) * rng.normal(size=(n_items, n_dims))))
    elif shape == "gamma":
        X = rng.gamma(2.0, 0.7, (n_items, n_dims)) * (rng.random((n_items, n_dims)) < 0.35)
    else:
        X = np.abs(rng.standard_t(2.5, (n_items, n_dims))) * (rng.random((n_items, n_dims)) < 0.4)
    trials = np.argsort(rng.random((3_000, n_items)), axis=1)[:, :3] if n_items < 400 else _draw(rng, n_items, 3_000)
    low, high = 1e-3, 1e3
    for _ in range(40):
        middle = np.sqrt(low * high)
        sure = _probabilities(X * middle, trials).max(axis=1).mean()
        low, high = (middle, high) if sure < 0.65 else (low, middle)
    return X * low


def judge(X: np.ndarray, n: int, seed: int, *, soft: bool = False) -> tuple[np.ndarray, np.ndarray | None]:
    """Draw triplets with the odd one last, or unordered with the probability of each being odd."""
    rng = np.random.default_rng([seed, 77])
    trials = _draw(rng, len(X), n)
    p = _probabilities(X, trials)
    if soft:
        return trials, p
    odd = (rng.random((n, 1)) > p.cumsum(axis=1)).sum(axis=1).clip(0, 2)
    rows = np.arange(n)
    return np.stack([trials[rows, (odd + 1) % 3], trials[rows, (odd + 2) % 3], trials[rows, odd]], axis=1), None


def rate(X: np.ndarray, n: int, n_participants: int, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Draw pairs, and ratings from 1 to 7 of participants who shift and stretch the scale in ways of their own.

    Their noise is Gaussian, with a standard deviation of .6 of that of similarities.
    """
    rng = np.random.default_rng([seed, 78])
    pairs = np.stack([rng.integers(0, len(X), n), rng.integers(1, len(X), n)], axis=1)
    pairs[:, 1] = (pairs[:, 0] + pairs[:, 1]) % len(X)
    similarity = (X[pairs[:, 0]] * X[pairs[:, 1]]).sum(axis=1)
    who = rng.integers(0, n_participants, n)
    cuts = np.quantile(similarity, [0.2, 0.4, 0.55, 0.7, 0.82, 0.92])
    width = similarity.std()
    shift = rng.normal(0, 0.3 * width, n_participants)
    stretch = np.exp(rng.normal(0, 0.35, n_participants))
    own = cuts.mean() + shift[:, None] + stretch[:, None] * (cuts - cuts.mean())
    rating = 1 + ((similarity + rng.normal(0, 0.6 * width, n))[:, None] > own[who]).sum(axis=1)
    return pairs, rating, who


def _draw(rng: np.random.Generator, n_items: int, n: int) -> np.ndarray:
    found = rng.integers(0, n_items, (n, 3))
    while True:
        same = (found[:, 0] == found[:, 1]) | (found[:, 1] == found[:, 2]) | (found[:, 0] == found[:, 2])
        if not same.any():
            return found
        found[same] = rng.integers(0, n_items, (int(same.sum()), 3))


def _probabilities(X: np.ndarray, trials: np.ndarray) -> np.ndarray:
    a, b, c = (X[trials[:, k]] for k in range(3))
    logits = np.stack([(b * c).sum(axis=1), (a * c).sum(axis=1), (a * b).sum(axis=1)], axis=1)
    p = np.exp(logits - logits.max(axis=1, keepdims=True))
    return p / p.sum(axis=1, keepdims=True)

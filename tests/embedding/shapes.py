"""Planted truth and judges that share no code with the package's simulator."""

import numpy as np


def lognormal(seed, n_items, n_dims, *, scale=0.55):
    rng = np.random.default_rng([seed, 11])
    return scale * np.exp(rng.normal(0.0, 0.9, (n_items, n_dims))) * (rng.random((n_items, n_dims)) < 0.4)


def categories(seed, n_items, n_dims):
    rng = np.random.default_rng([seed, 12])
    return np.eye(n_dims)[rng.integers(0, n_dims, n_items)] * rng.normal(1.6, 0.2, (n_items, 1)) + 0.05


def judge(X, n, seed, *, logit=lambda a, b: (a * b).sum(axis=1)):
    """Rows of three item numbers with the odd one last, by a softmax over the similarity of the two others."""
    rng = np.random.default_rng([seed, 13])
    rows = np.array([rng.choice(len(X), 3, replace=False) for _ in range(n)])
    a, b, c = (X[rows[:, k]] for k in range(3))
    weight = np.exp(np.stack([logit(b, c), logit(a, c), logit(a, b)], axis=1))
    odd = (rng.random((n, 1)) * weight.sum(axis=1, keepdims=True) > weight.cumsum(axis=1)).sum(axis=1)
    pick = np.arange(n)
    return np.stack([rows[pick, (odd + 1) % 3], rows[pick, (odd + 2) % 3], rows[pick, odd]], axis=1)


def cross_entropy_of(X, rows):
    """Mean surprise, written out."""
    a, b, c = (np.asarray(X, float)[rows[:, k]] for k in range(3))
    logits = np.stack([(b * c).sum(axis=1), (a * c).sum(axis=1), (a * b).sum(axis=1)], axis=1)
    peak = logits.max(axis=1)
    return float(np.mean(peak + np.log(np.exp(logits - peak[:, None]).sum(axis=1)) - logits[:, 2]))

"""How noisy each judge is, given an embedding."""

import numpy as np
import pandas as pd

from ..numerics.choices import choice_logits, log_probabilities
from .triplets import Triplets, targets

SPREAD = 0.7  # standard deviation of the logarithm of sharpness among judges, as a prior for those with few judgments
Z_95 = 1.96


def judge_sharpness(X: np.ndarray, bias: np.ndarray | None, data: Triplets) -> pd.DataFrame:
    """Estimate by what each judge's similarities are multiplied; the weighted geometric mean is one.

    Newton's method on the logarithm, with a normal prior. Shapes: `X` (n_items, n_dims), `bias` (3,). One row per
    judge: n, sharpness, noise (its reciprocal), low and high (95 percent interval of the noise).
    """
    assert data.judge is not None
    judge, n = data.judge, len(data.judges)
    X = np.asarray(X, dtype=np.float64)
    s = choice_logits(X @ X.T, data.items)
    shift = np.zeros(3) if bias is None else np.asarray(bias, dtype=np.float64)
    target = targets(data)
    weight = np.ones(len(data)) if data.weight is None else data.weight.astype(np.float64)

    def total(values: np.ndarray) -> np.ndarray:
        return np.bincount(judge, weights=weight * values, minlength=n)

    log_a = np.zeros(n)
    for _ in range(50):
        a = np.exp(log_a)[judge]
        p = np.exp(log_probabilities(a[:, None] * s + shift))
        mean = (p * s).sum(axis=1)
        slope = total(a * ((target * s).sum(axis=1) - mean)) - log_a / SPREAD**2
        information = total(a**2 * ((p * s**2).sum(axis=1) - mean**2)) + 1 / SPREAD**2
        step = np.clip(slope / information, -1, 1)
        log_a += step
        if np.abs(step).max() < 1e-9:
            break
    size = total(np.ones(len(data)))
    log_a -= np.average(log_a, weights=size)
    half = Z_95 / np.sqrt(information)
    return pd.DataFrame({"n": size, "sharpness": np.exp(log_a), "noise": np.exp(-log_a),
                         "low": np.exp(-log_a - half), "high": np.exp(-log_a + half)})  # fmt: skip

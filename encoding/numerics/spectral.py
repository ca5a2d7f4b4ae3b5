"""A first guess at non-negative dimensions, from how often pairs are kept."""

import numpy as np
from scipy.linalg import eigh


def win_rates(
    items: np.ndarray, choice: np.ndarray, n_items: int, *, probabilities: np.ndarray | None = None
) -> np.ndarray:
    """Compute how often each pair was kept when it was shown.

    Shapes: `items` (n, 3), `choice` (n,), `probabilities` (n, 3); returns (n_items, n_items).
    """
    target = np.eye(3)[choice]
    if probabilities is not None:
        soft = np.isfinite(probabilities).all(axis=1)
        target[soft] = probabilities[soft] / probabilities[soft].sum(axis=1, keepdims=True)
    kept, shown = np.zeros(n_items * n_items), np.zeros(n_items * n_items)
    for slot in range(3):
        first, second = (items[:, other].astype(np.int64) for other in range(3) if other != slot)
        flat = np.minimum(first, second) * n_items + np.maximum(first, second)
        kept += np.bincount(flat, weights=target[:, slot], minlength=len(kept))
        shown += np.bincount(flat, minlength=len(shown))
    rate = ((kept + 1 / 3) / (shown + 1)).reshape(n_items, n_items)
    upper = np.triu(rate, 1)
    return upper + upper.T + np.eye(n_items) / 3


def spectral_start(rate: np.ndarray, n_dims: int) -> np.ndarray:
    """Split the leading eigenvectors of a similarity into non-negative dimensions.

    Every eigenvector of the log odds about their mean gives two dimensions, its positive and its negative part, as in
    the start of non-negative factorisation by Boutsidis & Gallopoulos (2008).

    Shapes: `rate` (n_items, n_items); returns (n_items, n_dims).
    """
    odds = np.log(rate / (1 - rate))
    odds -= odds.mean()
    n_items = len(rate)
    n_vectors = min((n_dims + 1) // 2, n_items)
    values, vectors = eigh(odds, subset_by_index=(n_items - n_vectors, n_items - 1))
    parts = []
    for value, vector in zip(values[::-1], vectors.T[::-1], strict=True):
        sign = np.sign(vector[np.abs(vector).argmax()])  # eigenvectors have no sign of their own
        scaled = sign * vector * np.sqrt(max(value, 0.0))
        parts += [np.maximum(scaled, 0), np.maximum(-scaled, 0)]
    start = np.full((n_items, n_dims), 0.05)
    found = np.stack(parts, axis=1)[:, :n_dims]
    start[:, : found.shape[1]] += found
    return start

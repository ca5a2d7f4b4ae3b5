"""Predict the loss of untried candidates from those that were tried.

The loss of a target at its best penalty is a smooth function of the band weights. Gaussian-process regression on
the fourth roots of the weights (where losses of sparse mixtures change most, roots are steep) predicts it for all
candidates at once. The process is written as ridge regression on a few features of the candidates, so that the work per
target is small matrix products.
"""

import numpy as np

ROOT, LENGTH, CONSTANT = 0.25, 1.2, 10.0
NOISE = 1e-4
LANDMARKS, RANK = 512, 64


def candidate_features(gammas: np.ndarray) -> np.ndarray:
    """Approximate the covariance of the candidates' losses by features (n_candidates, at most 64).

    They come from the leading eigenvectors among the first 512 candidates (Nyström approximation).
    """
    place = gammas**ROOT
    landmarks = place[:LANDMARKS]
    values, vectors = np.linalg.eigh(_covariance(landmarks, landmarks))
    kept = values > 1e-10 * values[-1]
    values, vectors = values[kept][-RANK:], vectors[:, kept][:, -RANK:]
    return _covariance(place, landmarks) @ (vectors / np.sqrt(values))


def _covariance(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Compute the covariance of the losses at two sets of points."""
    distance = (a * a).sum(1)[:, None] + (b * b).sum(1) - 2 * a @ b.T
    return np.exp(-distance / (2 * LENGTH**2)) + CONSTANT


def promising(features: np.ndarray, tried: np.ndarray, losses: np.ndarray, block: np.ndarray, n: int) -> np.ndarray:
    """Select the `n` candidates of a block with the lowest predicted losses, for every target: (n, n_targets).

    `tried` (n_tried, n_targets) are candidates with known `losses`; `features` are those of all candidates.
    """
    seen = features[tried.T]
    y = losses.T.astype(np.float64)
    y = y - y.mean(1, keepdims=True)
    spread = y.std(1, keepdims=True)
    y /= np.where(spread > 0, spread, 1.0)
    covariance = seen @ seen.transpose(0, 2, 1) + NOISE * np.eye(len(tried))
    weights = (seen.transpose(0, 2, 1) @ np.linalg.solve(covariance, y[:, :, None]))[:, :, 0]
    expected = features[block] @ weights.T
    if n >= len(block):
        return np.repeat(block[:, None], tried.shape[1], axis=1)
    # Sorted, so that equal choices come in equal order.
    return np.sort(block[np.argpartition(expected, n, axis=0)[:n]], axis=0)

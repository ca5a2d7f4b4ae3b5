"""Principal components that several subjects share."""

from collections.abc import Sequence

import numpy as np


def shared_components(parts: Sequence[np.ndarray], n_components: int) -> tuple[np.ndarray, np.ndarray]:
    """Find the directions along which targets of all subjects differ most, every subject counting the same.

    The covariance of features over targets is averaged over subjects, after each was divided by its trace. Signs are
    such that the largest loading of a component is positive.

    Shapes: `parts` (n_features, n_targets) each, without NaN; returns components (n_components, n_features), and the
    share of every subject's variance that each explains (n_subjects, n_components).
    """
    covariances = []
    for part in parts:
        centred = part.astype(np.float64) - part.mean(1, dtype=np.float64)[:, None]
        covariance = centred @ centred.T
        covariances.append(covariance / max(float(np.trace(covariance)), np.finfo(float).tiny))
    _, vectors = np.linalg.eigh(np.mean(covariances, axis=0))
    components = vectors[:, ::-1].T[:n_components]
    largest = np.take_along_axis(components, np.abs(components).argmax(1)[:, None], axis=1)
    components = components * np.where(largest < 0, -1.0, 1.0)
    explained = np.stack([np.einsum("kp,pq,kq->k", components, covariance, components) for covariance in covariances])
    return components, explained

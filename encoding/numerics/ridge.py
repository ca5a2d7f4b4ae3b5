"""Closed-form (banded) ridge predictions for given hyper-parameters.

With band b scaled by the root of its share gamma_b, the weights of one target are

    w = argmin |Z w - y|^2 + alpha |w|^2,   Z = [sqrt(gamma_1) X_1, ..., sqrt(gamma_B) X_B],

found from the eigenvectors of Z'Z (p x p) or of Z Z' (n x n), whichever is smaller. Targets that share gamma
share the decomposition; alpha enters its diagonal only.
"""

import numpy as np
import scipy.linalg


def band_predictions(
    X_train: np.ndarray,
    Y_train: np.ndarray,
    X_test: np.ndarray,
    *,
    bands: list[slice],
    gammas: np.ndarray,
    alphas: np.ndarray,
) -> np.ndarray:
    """Fit ridge with given shares and penalties and predict, band by band.

    Parameters
    ----------
    X_train : ndarray, shape (n_train, n_features)
        Training features, columns centred.
    Y_train : ndarray, shape (n_train, n_targets)
        Training responses, columns centred.
    X_test : ndarray, shape (n_test, n_features)
        Held-out features, about the training means.
    bands : list of slice
        Columns of each band.
    gammas : ndarray, shape (n_bands, n_targets)
        Share of each band; 0 leaves a band out.
    alphas : ndarray, shape (n_targets,)
        Penalty of each target, positive.

    Returns
    -------
    ndarray of float32, shape (n_bands, n_test, n_targets)
        Predictions about the training means; their sum over bands is the prediction of the model.
    """
    n, p = X_train.shape
    out = np.zeros((len(bands), len(X_test), Y_train.shape[1]), dtype=np.float32)
    X_train = X_train.astype(np.float64)
    unique, member = np.unique(gammas, axis=1, return_inverse=True)
    gram = X_train.T @ X_train if p <= n else None
    for number, gamma in enumerate(unique.T):
        columns = np.flatnonzero(member.ravel() == number)
        scale = np.concatenate(
            [np.full(band.stop - band.start, np.sqrt(g)) for band, g in zip(bands, gamma, strict=True)]
        )
        Y = Y_train[:, columns].astype(np.float64)
        if gram is not None:
            weights = _primal(gram, X_train.T @ Y, scale, alphas[columns])
        else:
            weights = _dual(X_train, Y, scale, alphas[columns])
        for number_of_band, band in enumerate(bands):
            out[number_of_band][:, columns] = X_test[:, band] @ weights[band]
    return out


def _primal(gram: np.ndarray, cross: np.ndarray, scale: np.ndarray, alphas: np.ndarray) -> np.ndarray:
    values, vectors = scipy.linalg.eigh(gram * scale * scale[:, None])
    rotated = vectors.T @ (scale[:, None] * cross)
    rotated /= np.maximum(values, 0)[:, None] + alphas
    return scale[:, None] * (vectors @ rotated)


def _dual(X: np.ndarray, Y: np.ndarray, scale: np.ndarray, alphas: np.ndarray) -> np.ndarray:
    Z = X * scale
    values, vectors = scipy.linalg.eigh(Z @ Z.T)
    rotated = vectors.T @ Y
    rotated /= np.maximum(values, 0)[:, None] + alphas
    return scale[:, None] * (Z.T @ (vectors @ rotated))

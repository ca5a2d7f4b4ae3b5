"""Closed-form (banded) ridge predictions for given hyper-parameters.

With band b scaled by the root of its share gamma_b, the weights of one target are

    w = argmin |Z w - y|^2 + alpha |w|^2,   Z = [sqrt(gamma_1) X_1, ..., sqrt(gamma_B) X_B],

found from the eigenvectors of Z'Z (p x p) or of Z Z' (n x n), whichever is smaller. Targets that share gamma
share the decomposition; alpha enters its diagonal only.
"""

import numpy as np
import scipy.linalg

# So many Cholesky factors of a kernel, one per penalty, cost no more than its eigenvectors.
CHEAP_FACTORS = 20


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
    weights = band_weights(X_train, Y_train, bands=bands, gammas=gammas, alphas=alphas)
    out = np.zeros((len(bands), len(X_test), Y_train.shape[1]), dtype=np.float32)
    for number, band in enumerate(bands):
        out[number] = X_test[:, band] @ weights[band]
    return out


def band_weights(
    X: np.ndarray, Y: np.ndarray, *, bands: list[slice], gammas: np.ndarray, alphas: np.ndarray
) -> np.ndarray:
    """Fit ridge with given shares and penalties.

    Parameters
    ----------
    X : ndarray, shape (n_train, n_features)
        Training features.
    Y : ndarray, shape (n_train, n_targets)
        Training responses.
    bands : list of slice
        Columns of each band.
    gammas : ndarray, shape (n_bands, n_targets)
        Share of each band; 0 leaves a band out.
    alphas : ndarray, shape (n_targets,)
        Penalty of each target, positive.

    Returns
    -------
    ndarray of float64, shape (n_features, n_targets)
        Weights of the features.
    """
    n, p = X.shape
    X = X.astype(np.float64)
    weights = np.zeros((p, Y.shape[1]))
    unique, member = np.unique(gammas, axis=1, return_inverse=True)
    gram = X.T @ X if p <= n else None
    for number, gamma in enumerate(unique.T):
        columns = np.flatnonzero(member.ravel() == number)
        scale = np.concatenate(
            [np.full(band.stop - band.start, np.sqrt(g)) for band, g in zip(bands, gamma, strict=True)]
        )
        part = Y[:, columns].astype(np.float64)
        if gram is not None:
            weights[:, columns] = _primal(X, part, gram, scale, alphas[columns])
        else:
            weights[:, columns] = _dual(X, part, scale, alphas[columns])
    return weights


def _primal(X: np.ndarray, Y: np.ndarray, gram: np.ndarray, scale: np.ndarray, alphas: np.ndarray) -> np.ndarray:
    values, vectors = scipy.linalg.eigh(gram * scale * scale[:, None])
    # The features are rotated, or their products with the responses, whichever are fewer columns.
    few = Y.shape[1] < len(X)
    rotated = vectors.T @ (scale[:, None] * (X.T @ Y)) if few else (X @ (scale[:, None] * vectors)).T @ Y
    rotated /= np.maximum(values, 0)[:, None] + alphas
    return scale[:, None] * (vectors @ rotated)


def _dual(X: np.ndarray, Y: np.ndarray, scale: np.ndarray, alphas: np.ndarray) -> np.ndarray:
    Z = X * scale
    kernel = Z @ Z.T
    unique, member = np.unique(alphas, return_inverse=True)
    if len(unique) <= CHEAP_FACTORS:
        solved = np.empty(Y.shape)
        try:
            for number, alpha in enumerate(unique):
                columns = np.flatnonzero(member == number)
                factor = scipy.linalg.cho_factor(kernel + alpha * np.eye(len(kernel)), lower=True, check_finite=False)
                solved[:, columns] = scipy.linalg.cho_solve(factor, Y[:, columns], check_finite=False)
            return scale[:, None] * (Z.T @ solved)
        except np.linalg.LinAlgError:
            # A penalty below the rounding errors of the kernel; eigenvalues can be clipped at zero.
            pass
    values, vectors = scipy.linalg.eigh(kernel)
    rotated = vectors.T @ Y
    rotated /= np.maximum(values, 0)[:, None] + alphas
    return scale[:, None] * (Z.T @ (vectors @ rotated))

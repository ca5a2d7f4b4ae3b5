"""Closed-form (banded) ridge predictions for given hyper-parameters.

With band b scaled by the root of its share gamma_b, the weights of one target are

    w = argmin |Z w - y|^2 + alpha |w|^2,   Z = [sqrt(gamma_1) X_1, ..., sqrt(gamma_B) X_B],

found from the eigenvectors of Z'Z (p x p) or of Z Z' (n x n), whichever is smaller. Targets that share gamma
share the decomposition; alpha enters its diagonal only.
"""

from collections.abc import Sequence

import numpy as np
import scipy.linalg

from .designs import Rows

# So many Cholesky factors of a kernel, one per penalty, cost no more than its eigenvectors.
CHEAP_FACTORS = 20
AT_ONCE = 1024  # targets, so that what is made of them stays in the cache


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
    if X_train.shape[1] > len(X_train):
        # Wide features would have more weights than there are predictions, and take more memory.
        return _kernel_predictions(X_train, Y_train, X_test, bands=bands, gammas=gammas, alphas=alphas)
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
        whole = len(columns) == Y.shape[1]
        part = Y if whole else Y[:, columns]
        if gram is not None:
            found = _primal(X, part, gram, scale, alphas[columns])
        else:
            found = _dual(X, part.astype(np.float64), scale, alphas[columns])
        if whole:
            return found
        weights[:, columns] = found
    return weights


def _primal(X: np.ndarray, Y: np.ndarray, gram: np.ndarray, scale: np.ndarray, alphas: np.ndarray) -> np.ndarray:
    values, vectors = scipy.linalg.eigh(gram * scale * scale[:, None])
    values, back = np.maximum(values, 0)[:, None], scale[:, None] * vectors
    # The features are rotated, or their products with the responses, whichever are fewer columns.
    turned = None if Y.shape[1] < len(X) else X @ back
    weights = np.empty((len(gram), Y.shape[1]))
    for first in range(0, Y.shape[1], AT_ONCE):
        some = slice(first, first + AT_ONCE)
        part = Y[:, some].astype(np.float64)
        rotated = back.T @ (X.T @ part) if turned is None else turned.T @ part
        rotated /= values + alphas[some]
        weights[:, some] = back @ rotated
    return weights


def _kernel_predictions(
    X_train: np.ndarray,
    Y_train: np.ndarray,
    X_test: np.ndarray,
    *,
    bands: list[slice],
    gammas: np.ndarray,
    alphas: np.ndarray,
) -> np.ndarray:
    train = [X_train[:, band].astype(np.float64) for band in bands]
    kernels = [X @ X.T for X in train]
    across = [X_test[:, band].astype(np.float64) @ X.T for band, X in zip(bands, train, strict=True)]
    out = np.zeros((len(bands), len(X_test), Y_train.shape[1]), dtype=np.float32)
    unique, member = np.unique(gammas, axis=1, return_inverse=True)
    for number, gamma in enumerate(unique.T):
        columns = np.flatnonzero(member.ravel() == number)
        kernel = sum(g * K for g, K in zip(gamma, kernels, strict=True) if g)
        solved = _solve(kernel, Y_train[:, columns].astype(np.float64), alphas[columns])
        for band, g in enumerate(gamma):
            if g:
                out[band][:, columns] = g * (across[band] @ solved)
    return out


def _dual(X: np.ndarray, Y: np.ndarray, scale: np.ndarray, alphas: np.ndarray) -> np.ndarray:
    Z = X * scale
    return scale[:, None] * (Z.T @ _solve(Z @ Z.T, Y, alphas))


def _solve(kernel: np.ndarray, Y: np.ndarray, alphas: np.ndarray) -> np.ndarray:
    """Solve (K + alpha) a = y for every column."""
    unique, member = np.unique(alphas, return_inverse=True)
    if len(unique) <= CHEAP_FACTORS:
        solved = np.empty(Y.shape)
        try:
            for number, alpha in enumerate(unique):
                columns = np.flatnonzero(member == number)
                factor = scipy.linalg.cho_factor(kernel + alpha * np.eye(len(kernel)), lower=True, check_finite=False)
                solved[:, columns] = scipy.linalg.cho_solve(factor, Y[:, columns], check_finite=False)
            return solved
        except np.linalg.LinAlgError:
            # A penalty below the rounding errors of the kernel; eigenvalues can be clipped at zero.
            pass
    values, vectors = scipy.linalg.eigh(kernel)
    rotated = vectors.T @ Y
    rotated /= np.maximum(values, 0)[:, None] + alphas
    return vectors @ rotated


def scale_band(train: np.ndarray, test: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Standardise the features of one band and give the band unit total variance.

    Every feature is z-scored with the mean and the standard deviation of the training samples; then the band
    is divided by the root of its total variance (the number of features that vary), so that bands of 14
    and of 2,000 features start equal: trace(X X') / n is 1 on the training samples.

    Parameters
    ----------
    train : ndarray, shape (n_train, n_features)
        Training samples.
    test : ndarray, shape (n_test, n_features)
        Held-out samples; they have no say in the scaling.

    Returns
    -------
    tuple of ndarray
        Both, float64. Features that are constant in training are zero in both.
    """
    train, test = train.astype(np.float64), test.astype(np.float64)
    mean, sd = train.mean(0), train.std(0)
    varies = sd > 1e-7 * np.maximum(np.abs(mean), np.abs(train).max(0, initial=0.0))
    factor = np.where(varies, 1 / np.where(varies, sd, 1), 0) / np.sqrt(max(varies.sum(), 1))
    return (train - mean) * factor, (test - mean) * factor


def left_out_losses(
    kernel: np.ndarray, Y: np.ndarray, blocks: Sequence[Rows], alphas: np.ndarray, *, intercept: bool
) -> np.ndarray:
    """Compute the mean squared error of every left-out block at every penalty, averaged over blocks.

    Parameters
    ----------
    kernel : ndarray of float64, shape (n_samples, n_samples)
        Kernel of all rows; need not be centred.
    Y : ndarray, shape (n_samples, n_targets)
        Responses.
    blocks : sequence of ndarray of int
        Rows that are left out together; each is predicted from all other rows.
    alphas : ndarray of float64, shape (n_alphas,)
        Penalties, positive.
    intercept : bool
        Whether every fold has an intercept.

    Returns
    -------
    ndarray, shape (n_alphas, n_targets)
        Of the precision of `Y`.
    """
    values, vectors = np.linalg.eigh(kernel)
    values = np.maximum(values, 0.0)
    ones = vectors.sum(0)
    rotated = vectors.T.astype(Y.dtype) @ Y
    found = np.zeros((len(alphas), Y.shape[1]), dtype=Y.dtype)
    for number, alpha in enumerate(alphas):
        weight = 1 / (values + alpha)
        border = vectors @ (weight * ones)
        total = float(ones @ (weight * ones))
        coefficients = (weight[:, None] * rotated).astype(Y.dtype)
        correction = (ones @ coefficients) / total if intercept else np.zeros(Y.shape[1])
        for rows in blocks:
            part = vectors[rows]
            inverse = (part * weight) @ part.T
            if intercept:
                inverse -= np.outer(border[rows], border[rows]) / total
            residual = part.astype(Y.dtype) @ coefficients - np.outer(border[rows], correction).astype(Y.dtype)
            factor = scipy.linalg.cho_factor(inverse, lower=True)
            solved = scipy.linalg.cho_solve(factor, residual)
            found[number] += ((solved * solved).mean(0) / len(blocks)).astype(Y.dtype)
    return found

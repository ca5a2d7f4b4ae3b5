"""Closed-form (banded) ridge regression for given hyper-parameters.

With band b scaled by the root of its weight gamma_b, the weights of one target are

    w = argmin |Z w - y|^2 + alpha |w|^2,   Z = [sqrt(gamma_1) X_1, ..., sqrt(gamma_B) X_B],

computed from the eigenvectors of Z'Z (p x p) or of Z Z' (n x n), whichever is smaller. Targets with the same gamma
share the decomposition; alpha only enters its diagonal.
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
    """Fit ridge at gammas (n_bands, n_targets) and alphas (n_targets,), and predict band by band.

    Training rows are centred, held-out rows relative to the training means. The result (n_bands, n_test, n_targets) is
    float32; its sum over bands is the prediction of the model.
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
    """Fit ridge at gammas (n_bands, n_targets) and alphas (n_targets,): weights (n_features, n_targets), float64."""
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
    """Solve through the eigenvectors of ``Z'Z``, given the products of the unscaled features."""
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
    """Predict band by band through kernels, for more features than rows."""
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


def wide_weights(
    X: np.ndarray,
    kernels: Sequence[np.ndarray],
    Y: np.ndarray,
    *,
    bands: list[slice],
    gammas: np.ndarray,
    alphas: np.ndarray,
) -> np.ndarray:
    """Fit as `band_weights` does, given the kernel of every band of X, for more features than rows; float32."""
    weights = np.zeros((X.shape[1], Y.shape[1]), dtype=np.float32)
    unique, member = np.unique(gammas, axis=1, return_inverse=True)
    for number, gamma in enumerate(unique.T):
        columns = np.flatnonzero(member.ravel() == number)
        kernel = sum(g * K for g, K in zip(gamma, kernels, strict=True) if g)
        solved = _solve(kernel, Y[:, columns].astype(np.float64), alphas[columns])
        for band, g in zip(bands, gamma, strict=True):
            if g:
                weights[band, columns] = g * (X[:, band].T @ solved)
    return weights


def _dual(X: np.ndarray, Y: np.ndarray, scale: np.ndarray, alphas: np.ndarray) -> np.ndarray:
    """Solve for the weights of the features through the kernel of the rows."""
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
    """Standardise features on the training rows, then divide the band by the root of its total variance.

    The total variance is the number of features that vary, so that bands of 14 and of 2,000 features start equal:
    trace(X X') / n is 1 on the training samples. Features that are constant in training are zero in both results.
    """
    train, test = train.astype(np.float64), test.astype(np.float64)
    mean, sd = train.mean(0), train.std(0)
    varies = sd > 1e-7 * np.maximum(np.abs(mean), np.abs(train).max(0, initial=0.0))
    factor = np.where(varies, 1 / np.where(varies, sd, 1), 0) / np.sqrt(max(varies.sum(), 1))
    return (train - mean) * factor, (test - mean) * factor


def left_out_losses(
    kernel: np.ndarray, Y: np.ndarray, blocks: Sequence[Rows], alphas: np.ndarray, *, intercept: bool
) -> np.ndarray:
    """Compute the mean squared error (n_alphas, n_targets) of left-out blocks, averaged over blocks.

    `kernel` (n_samples, n_samples) is that of all rows and need not be centred; each block of rows is predicted from
    all other rows, with an intercept in every fold if asked.
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

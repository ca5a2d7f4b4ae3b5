"""Errors of all inner folds from one decomposition of the whole kernel, for features that are not scaled in each fold.

Let ``K`` be the kernel of all rows and ``A = K + alpha I``. The residuals of the rows of a block that is left out of
the fit are ``(G_bb)^-1 (G Y)_b``, with ``G = A^-1``, or with an intercept in every fold

    G = A^-1 - A^-1 1 1' A^-1 / (1' A^-1 1) .

One set of eigenvectors serves all blocks and all penalties. This holds for blocks that together with their training
rows are all rows, and for a kernel that is the same in every fold.
"""

from collections.abc import Sequence

import numpy as np
import scipy.linalg

from .designs import Rows


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

"""Correlations of a validation set at many penalties, without making the predictions."""

from dataclasses import dataclass

import numpy as np
import scipy.linalg


@dataclass(frozen=True, eq=False, slots=True)
class Validation:
    """One training set and one validation set, decomposed.

    With the training features Z = U sqrt(S) V', the prediction at penalty a is ``B diag(1 / (S + a)) T y``.
    """

    turn: np.ndarray  # (rank, n_train) T: takes centred training responses to the eigenvectors
    values: np.ndarray  # (rank,) S, not negative
    basis: np.ndarray  # (n_validation, rank) B, about its mean over validation rows
    root: np.ndarray  # (min(n_validation, rank) R with R'R = B'B


def decompose_validation(train: np.ndarray, validation: np.ndarray, *, dtype: type = np.float32) -> Validation:
    """Decompose the features of a training set, by features or by rows, whichever are fewer."""
    if train.shape[1] <= len(train):
        values, vectors = scipy.linalg.eigh(train.T @ train)
        turn, basis = vectors.T @ train.T, validation @ vectors
    else:
        values, vectors = scipy.linalg.eigh(train @ train.T)
        turn, basis = vectors.T, validation @ (train.T @ vectors)
    basis = basis - basis.mean(0)
    root = np.asarray(np.linalg.qr(basis, mode="r"))
    return Validation(turn.astype(dtype), np.maximum(values, 0), basis.astype(dtype), root.astype(dtype))


def nested_correlations(
    decomposed: Validation, Y_train: np.ndarray, Y_validation: np.ndarray, alphas: np.ndarray
) -> np.ndarray:
    """Correlate validation responses with predictions at every penalty: (n_alphas, n_targets)."""
    dtype = decomposed.turn.dtype
    held = Y_validation - Y_validation.mean(0)
    coordinates = decomposed.turn @ (Y_train - Y_train.mean(0)).astype(dtype)
    shared = (decomposed.basis.T @ held.astype(dtype)) * coordinates
    total = np.einsum("nt,nt->t", held, held, dtype=np.float64)
    found = np.empty((len(alphas), Y_train.shape[1]))
    for number, alpha in enumerate(alphas):
        shrink = (1 / (decomposed.values + alpha)).astype(dtype)
        predicted = decomposed.root @ (shrink[:, None] * coordinates)
        size = np.einsum("rt,rt->t", predicted, predicted, dtype=np.float64) * total
        product = (shrink @ shared).astype(np.float64)
        found[number] = np.where(size > 0, product / np.sqrt(np.where(size > 0, size, 1.0)), 0.0)
    return found

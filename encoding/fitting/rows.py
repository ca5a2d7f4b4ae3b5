"""Rows of all folds, what they mean in memory, and what every candidate has in common."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from ..numerics.designs import OuterFold, TrainingSet, training_sets
from ..numerics.target_products import Plan, TargetProducts, plan_sets, validation_squares
from .arrays import Arrays

BATCH_BYTES = 48 << 20
LARGEST_BATCH = 2048
REFIT_BYTES = 64 << 20
KERNEL_BYTES = 512 << 20


@dataclass(frozen=True, eq=False)
class Rows:
    """Rows of all folds, and how they divide into blocks.

    Attributes
    ----------
    folds : list
        Training rows and inner folds of every outer fold, counted in the whole data.
    sets : list of TrainingSet
        Different training sets.
    plan : Plan
        How blocks make up sets.
    outer : list of list of int
        Outer fold of every validation set of every training set.
    """

    folds: list[OuterFold]
    sets: list[TrainingSet]
    plan: Plan
    outer: list[list[int]] = field(default_factory=list)

    @property
    def n_validations(self) -> int:
        """Number of validation sets."""
        return len(self.plan.validation)


def lay_out(X: np.ndarray, folds: Sequence[OuterFold], tests: Sequence[np.ndarray] = ()) -> Rows:
    """Find the different training sets of all folds, and the blocks that they are made of.

    Parameters
    ----------
    X : ndarray of float64, shape (n_samples, n_features)
        Features of all models.
    folds : sequence of (ndarray, sequence of (ndarray, ndarray))
        Outer folds; rows are counted in the whole data.
    tests : sequence of ndarray of int, optional
        Held-out rows of the outer folds.

    Returns
    -------
    Rows
        What a search needs to know of them.
    """
    sets = training_sets(folds)
    plan = plan_sets(X, sets, [rows for rows, _ in folds], tests)
    return Rows(list(folds), sets, plan, [[v.outer for v in s.validations] for s in sets])


def operator_bytes(rows: Rows, n_features: int, n_alphas: int, arrays: Arrays) -> int:
    """Estimate the memory that one prepared candidate takes.

    Parameters
    ----------
    rows : Rows
        The folds.
    n_features, n_alphas : int
        Features of the model, penalties.
    arrays : Arrays
        Precision.

    Returns
    -------
    int
        Bytes.
    """
    per_validation = n_features**2 + 3 * n_alphas * n_features
    return arrays.itemsize * (len(rows.sets) * n_features**2 + rows.n_validations * per_validation)


def target_bytes(rows: Rows, n_features: int, arrays: Arrays) -> int:
    """Count the memory that one target takes while it is worked on.

    Parameters
    ----------
    rows : Rows
        The folds.
    n_features : int
        Features of all models.
    arrays : Arrays
        Precision.

    Returns
    -------
    int
        Bytes.
    """
    sets = len(rows.sets) + rows.n_validations + 6
    return arrays.itemsize * sets * n_features


def batch_of(rows: Rows, n_features: int, arrays: Arrays) -> int:
    """Choose the number of targets that are worked on at once.

    Parameters
    ----------
    rows : Rows
        The folds.
    n_features : int
        Features of all models.
    arrays : Arrays
        Device, precision, and on CUDA the budget, of which half is for a batch.

    Returns
    -------
    int
        A multiple of 64.
    """
    bound, limit = (BATCH_BYTES, LARGEST_BATCH) if arrays.device == "cpu" else (arrays.vram // 2, 1 << 17)
    return int(np.clip(bound // max(target_bytes(rows, n_features, arrays), 1), 64, limit)) // 64 * 64


def base_loss(rows: Rows, products: TargetProducts, n_outer: int, *, intercept: bool) -> np.ndarray:
    """Compute the loss of predicting the training mean, averaged over inner folds.

    Parameters
    ----------
    rows : Rows
        The folds.
    products : TargetProducts
        Sums of the responses.
    n_outer : int
        Number of outer folds.
    intercept : bool
        Whether responses are taken about the training mean.

    Returns
    -------
    ndarray of float64, shape (n_outer, n_targets)
        Mean square of the responses of the validation sets.
    """
    squares = validation_squares(rows.plan, products, intercept=intercept)
    base = np.zeros((n_outer, squares.shape[1]))
    number = 0
    for training in rows.sets:
        for validation in training.validations:
            base[validation.outer] += validation.share * squares[number]
            number += 1
    return base

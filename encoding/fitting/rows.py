"""Rows of all folds, the memory that they imply, and the loss that no candidate changes."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from ..numerics.designs import OuterFold, TrainingSet, training_sets
from ..numerics.target_products import BlockSets, TargetProducts, plan_sets, validation_squares
from .arrays import Arrays

BATCH_BYTES = 48 << 20
LARGEST_BATCH = 2048
REFIT_BYTES = 64 << 20
KERNEL_BYTES = 512 << 20


@dataclass(frozen=True, eq=False)
class Rows:
    """Rows of all folds, and how they divide into blocks."""

    folds: list[OuterFold]  # Training rows and inner folds of every outer fold, counted in the whole data
    sets: list[TrainingSet]  # Different training sets
    plan: BlockSets  # How blocks make up sets
    outer: list[list[int]] = field(default_factory=list)  # Outer fold of every validation set of every training set

    @property
    def n_validations(self) -> int:
        """Number of validation sets."""
        return len(self.plan.validation)


def lay_out(X: np.ndarray, folds: Sequence[OuterFold], tests: Sequence[np.ndarray] = ()) -> Rows:
    """Find the distinct training sets of all folds, and the blocks that they consist of.

    `folds` are outer training rows with their inner folds, `tests` the held-out rows; all are numbers of rows of X.
    """
    sets = training_sets(folds)
    plan = plan_sets(X, sets, [rows for rows, _ in folds], tests)
    return Rows(list(folds), sets, plan, [[v.outer for v in s.validations] for s in sets])


def operator_bytes(rows: Rows, n_features: int, n_alphas: int, arrays: Arrays) -> int:
    """Estimate the bytes of one decomposed candidate of a model."""
    per_validation = n_features**2 + 3 * n_alphas * n_features
    return arrays.itemsize * (len(rows.sets) * n_features**2 + rows.n_validations * per_validation)


def target_bytes(rows: Rows, n_features: int, arrays: Arrays) -> int:
    """Estimate the bytes of one target while it is searched."""
    sets = len(rows.sets) + rows.n_validations + 6
    return arrays.itemsize * sets * n_features


def batch_of(rows: Rows, n_features: int, arrays: Arrays) -> int:
    """Choose the number of targets to search at once, a multiple of 64: what fits the cache, or half the card."""
    bound, limit = (BATCH_BYTES, LARGEST_BATCH) if arrays.device == "cpu" else (arrays.vram // 2, 1 << 17)
    return int(np.clip(bound // max(target_bytes(rows, n_features, arrays), 1), 64, limit)) // 64 * 64


def base_loss(rows: Rows, products: TargetProducts, n_outer: int, *, intercept: bool) -> np.ndarray:
    """Compute the loss (n_outer, n_targets) of predicting the training mean, averaged over inner folds."""
    squares = validation_squares(rows.plan, products, intercept=intercept)
    base = np.zeros((n_outer, squares.shape[1]))
    number = 0
    for training in rows.sets:
        for validation in training.validations:
            base[validation.outer] += validation.share * squares[number]
            number += 1
    return base

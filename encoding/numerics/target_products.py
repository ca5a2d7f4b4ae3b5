"""Sufficient statistics of the responses for ridge regression, from reading them once.

For every block of rows that no fold cuts: the sum of the responses, of their squares, and their products with
the features. The statistics of a set of rows are sums over its blocks. Centring on the means of a training set is a
rank-one correction for the training rows and a rank-two correction for the validation rows.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from .designs import Rows, TrainingSet, divide

SETS_AT_ONCE = 8


@dataclass(frozen=True, eq=False, slots=True)
class TargetProducts:
    """Products of features and responses, block by block, for some targets."""

    cross: np.ndarray  # (n_blocks, n_features, n_targets) ``X_b' Y_b``
    total: np.ndarray  # (n_blocks, n_targets) Sums of the responses
    square: np.ndarray  # (n_blocks, n_targets) Sums of their squares


@dataclass(frozen=True, eq=False, slots=True)
class BlockSets:
    """How blocks make up training and validation sets."""

    blocks: list[Rows]  # Rows of each block
    train: np.ndarray  # (n_sets, n_blocks) Which training set holds which block
    # (n_validations, n_blocks) The same of all validation sets, in the order of the training sets
    validation: np.ndarray
    outer: np.ndarray  # (n_outer, n_blocks) The same of the training rows of outer folds
    # (n_outer, n_blocks) The same of the held-out rows of outer folds; no rows where nothing is held out
    test: np.ndarray
    of_set: np.ndarray  # (n_validations,) Training set of each validation set
    n_train: np.ndarray  # Rows in each training set
    n_validation: np.ndarray  # Rows in each validation set
    feature_total: np.ndarray  # (n_blocks, n_features) Sums of the features in each block


@dataclass(frozen=True, eq=False, slots=True)
class SetProducts:
    """Products of every training and validation set, centred on the means of the training set."""

    train: Any  # (n_sets, n_features, n_targets) ``X_t' Y_t``, centred
    validation: Any  # (n_validations, n_features, n_targets) ``X_v' Y_v / n_v``, both centred on the training means


def plan_sets(X: np.ndarray, sets: Sequence[TrainingSet], outer: Sequence[Rows], tests: Sequence[Rows]) -> BlockSets:
    """Divide rows into blocks, and write all sets of rows as sums of blocks."""
    validations = [(number, v) for number, s in enumerate(sets) for v in s.validations]
    kinds = [[s.rows for s in sets], [v.rows for _, v in validations], list(outer), list(tests)]
    blocks, member = divide([rows for kind in kinds for rows in kind], len(X))
    train, validation, whole, test = np.split(member, np.cumsum([len(kind) for kind in kinds[:-1]]))
    return BlockSets(
        blocks,
        train,
        validation,
        whole,
        test,
        np.array([number for number, _ in validations], dtype=np.int64),
        np.array([len(s.rows) for s in sets], dtype=np.float64),
        np.array([len(v.rows) for _, v in validations], dtype=np.float64),
        np.array([X[block].sum(0) for block in blocks]).reshape(len(blocks), X.shape[1]),
    )


def standardise_targets(Y: np.ndarray, blocks: Sequence[Rows], *, intercept: bool) -> tuple[np.ndarray, np.ndarray]:
    """Standardise responses (n_samples, n_targets) so that no sum loses digits; this changes no result.

    Return them in float64 and what they were divided by (n_targets,). The centre is the median of the block means,
    which a block of outliers does not move; it is subtracted only with an intercept. Responses that do not
    vary become zero.
    """
    Y = Y.astype(np.float64)
    size = np.abs(Y).max(0, initial=0.0)
    if intercept:
        # Divided first, so that a sum of huge responses is finite.
        Y -= np.median([(Y[rows] / len(rows)).sum(0) for rows in blocks], axis=0)
    largest = np.abs(Y).max(0, initial=0.0)
    varies = largest > (1e-13 * size if intercept else 0.0)
    largest = np.where(varies, largest, 1.0)
    Y /= largest
    spread = Y.std(0) if intercept else np.sqrt(np.einsum("nt,nt->t", Y, Y) / max(len(Y), 1))
    spread = np.where(varies, spread, 1.0)
    Y /= spread
    Y[:, ~varies] = 0.0
    return Y, largest * spread


def multiply_targets(X: np.ndarray, Y: np.ndarray, blocks: Sequence[Rows]) -> TargetProducts:
    """Multiply features (n_samples, n_features) and standardised responses (n_samples, n_targets) in every block."""
    parts = [Y[rows] for rows in blocks]
    return TargetProducts(
        np.stack([X[rows].T @ part for rows, part in zip(blocks, parts, strict=True)]),
        np.stack([part.sum(0) for part in parts]),
        np.stack([np.einsum("nt,nt->t", part, part) for part in parts]),
    )


def multiply_sets(
    plan: BlockSets, products: TargetProducts, *, intercept: bool, dtype: Any = np.float32
) -> SetProducts:
    """Sum block products into sets and centre each on the means of its training rows.

    Sums and differences are computed in float64, so that rows of a set are unaffected by the size of those outside it.
    """
    sum_x, sum_y = plan.train @ plan.feature_total, plan.train @ products.total
    mean_x, mean_y = sum_x / plan.n_train[:, None], sum_y / plan.n_train[:, None]
    member = plan.validation / plan.n_validation[:, None]
    part_x, part_y = member @ plan.feature_total, member @ products.total
    left = np.stack([mean_x[plan.of_set], part_x - mean_x[plan.of_set]], axis=2)
    right = np.stack([part_y, mean_y[plan.of_set]], axis=1)
    train = _combine(plan.train, products.cross, sum_x[:, :, None], mean_y[:, None, :], intercept, dtype)
    return SetProducts(train, _combine(member, products.cross, left, right, intercept, dtype))


def _combine(
    member: np.ndarray, cross: np.ndarray, left: np.ndarray, right: np.ndarray, intercept: bool, dtype: Any
) -> np.ndarray:
    """Sum blocks into sets and subtract ``left @ right``, the contribution of their means; a few sets at a time."""
    n_blocks, p, n_targets = cross.shape
    out = np.empty((len(member), p, n_targets), dtype=dtype)
    flat = cross.reshape(n_blocks, p * n_targets)
    for first in range(0, len(member), SETS_AT_ONCE):
        some = slice(first, first + SETS_AT_ONCE)
        sums = (member[some] @ flat).reshape(-1, p, n_targets)
        if intercept:
            for number, total in enumerate(sums, first):
                np.subtract(total, left[number] @ right[number], out=out[number], casting="same_kind")
        else:
            out[some] = sums
    return out


def validation_squares(plan: BlockSets, products: TargetProducts, *, intercept: bool) -> np.ndarray:
    """Compute the mean square (n_validations, n_targets) of validation responses about their training means."""
    n = plan.n_validation[:, None]
    square = plan.validation @ products.square / n
    if not intercept:
        return square
    means = (plan.train @ products.total / plan.n_train[:, None])[plan.of_set]
    return square - 2 * means * (plan.validation @ products.total / n) + means**2

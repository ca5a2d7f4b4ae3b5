"""Refit on the training rows of an outer fold, and sums of its held-out predictions, from products.

With weights W of centred, unscaled features, S_v and C_v the products of the held-out rows centred on the training
means, and P = S_v W, the sums of y p_b, of p p_b, of p and of y determine all scores: no prediction is computed.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from .designs import Rows, scale_set
from .partial_fractions import decompose
from .target_products import BlockSets, TargetProducts


@dataclass(frozen=True, eq=False, slots=True)
class OuterFeatures:
    """Features of one model in one outer fold."""

    factor: np.ndarray  # (n_features,) Scale of the centred features
    gram: np.ndarray  # (n_features, n_features) Products of the training rows, centred and scaled
    test: np.ndarray  # (n_test, n_features) Held-out rows centred on the training means, unscaled
    test_gram: np.ndarray  # (n_features, n_features) Their products


@dataclass(frozen=True, eq=False, slots=True)
class OuterTargets:
    """Products of one outer fold, centred on the means of its training rows."""

    train: np.ndarray  # (n_features, n_targets) ``X_t' Y_t``
    test: np.ndarray  # (n_features, n_targets) ``X_v' Y_v``
    y: np.ndarray  # (n_targets,) Sums of the held-out responses
    yy: np.ndarray  # (n_targets,) Sums of their squares


@dataclass(frozen=True, eq=False, slots=True)
class Refit:
    """One candidate on the training rows of an outer fold."""

    kept: np.ndarray  # (n_kept,) Features that have a weight
    turned: np.ndarray  # (n_kept, rank) Takes products to the eigenvectors, and back
    values: np.ndarray  # (rank,) Eigenvalues


def outer_features(
    X: np.ndarray, X_test: np.ndarray, train: Rows, bands: Sequence[slice], *, scale: bool, intercept: bool
) -> OuterFeatures:
    """Compute products of the features X (n_samples, n_features) of one model in one outer fold."""
    mean, factor = scale_set(X, train, bands, scale=scale, intercept=intercept)
    Z = (X[train] - mean) * factor
    test = X_test - mean
    return OuterFeatures(factor, Z.T @ Z, test, test.T @ test)


def training_products(
    plan: BlockSets, products: TargetProducts, number: int, *, intercept: bool
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Sum block products into the training rows of an outer fold and centre them.

    Return products (n_features, n_targets), and means of features and responses, zero without an intercept.
    """
    member = plan.outer[number]
    cross = np.tensordot(member, products.cross, 1)
    if not intercept:
        return cross, np.zeros(len(cross)), np.zeros(cross.shape[1])
    n = _count(plan, member)
    sum_x, sum_y = member @ plan.feature_total, member @ products.total
    return cross - np.outer(sum_x, sum_y / n), sum_x / n, sum_y / n


def _count(plan: BlockSets, member: np.ndarray) -> int:
    """Count the rows of the blocks in a set."""
    return sum(len(rows) for rows, inside in zip(plan.blocks, member, strict=True) if inside)


def outer_targets(
    plan: BlockSets,
    products: TargetProducts,
    number: int,
    averaged: tuple[np.ndarray, np.ndarray] | None = None,
) -> OuterTargets:
    """Sum block products into the training and held-out rows of an outer fold, centred on the training means.

    `averaged` has held-out features and responses where these are averages over rows.
    """
    train, mean_x, mean_y = training_products(plan, products, number, intercept=True)
    if averaged is not None:
        X_test, Y_test = averaged[0] - mean_x, averaged[1] - mean_y
        return OuterTargets(train, X_test.T @ Y_test, Y_test.sum(0), np.einsum("nt,nt->t", Y_test, Y_test))
    held = plan.test[number]
    n_test = _count(plan, held)
    part_x, part_y = held @ plan.feature_total, held @ products.total
    test = np.tensordot(held, products.cross, 1) - np.outer(mean_x, part_y) - np.outer(part_x - n_test * mean_x, mean_y)
    yy = held @ products.square - 2 * mean_y * part_y + n_test * mean_y**2
    # Squares about a mean far from theirs may end a rounding error below zero.
    return OuterTargets(train, test, part_y - n_test * mean_y, np.maximum(yy, 0.0))


def prepare_refit(features: OuterFeatures, scale: np.ndarray) -> Refit:
    """Decompose the training rows of an outer fold for one candidate; this serves all targets and penalties."""
    kept = np.flatnonzero((scale > 0) & (features.factor > 0))
    if not len(kept):
        return Refit(kept, np.zeros((0, 0)), np.zeros(0))
    z = scale[kept]
    spectrum = decompose(features.gram[np.ix_(kept, kept)] * z * z[:, None], 0.0)
    return Refit(kept, (z * features.factor[kept])[:, None] * spectrum.vectors, spectrum.values)


def refit_all(
    prepared: Callable[[int], Refit], cross: np.ndarray, candidate: np.ndarray, alphas: np.ndarray
) -> np.ndarray:
    """Fit every target with its candidate and penalty; targets of one candidate share its decomposition.

    `cross` (n_features, n_targets) are products with centred, unscaled features, as are the resulting weights;
    `prepared` returns the `Refit` of a candidate.
    """
    weights = np.zeros(cross.shape)
    for number in np.unique(candidate):
        columns = np.flatnonzero(candidate == number)
        refit = prepared(int(number))
        rotated = refit.turned.T @ cross[np.ix_(refit.kept, columns)]
        rotated /= refit.values[:, None] + alphas[columns]
        weights[np.ix_(refit.kept, columns)] = refit.turned @ rotated
    return weights


def held_out_sums(
    features: OuterFeatures, targets: OuterTargets, weights: np.ndarray, bands: Sequence[slice]
) -> dict[str, np.ndarray]:
    """Compute the sums that `fold_sums` makes of held-out predictions, from products with weights alone."""
    with_y, with_p = weights * targets.test, weights * (features.test_gram @ weights)
    y_band = np.stack([with_y[band].sum(0) for band in bands])
    p_band = np.stack([with_p[band].sum(0) for band in bands])
    return {
        "y": targets.y,
        "p": features.test.sum(0) @ weights,
        "yy": targets.yy,
        "pp": np.maximum(p_band.sum(0), 0.0),
        "yp": y_band.sum(0),
        "y_band": y_band,
        "p_band": p_band,
    }

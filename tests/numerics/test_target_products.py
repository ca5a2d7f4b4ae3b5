"""Sums over blocks against sums over rows."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from encoding.numerics.designs import divide, scaled_grams, training_sets
from encoding.numerics.ridge import scale_band
from encoding.numerics.target_products import (
    multiply_sets,
    multiply_targets,
    plan_sets,
    standardise_targets,
    validation_squares,
)


def nested(block):
    """Leave one block out, twice."""
    rows, blocks = np.arange(len(block)), np.unique(block)
    return [
        (
            rows[block != i],
            [(rows[(block != i) & (block != j)], rows[block == j]) for j in blocks if j != i],
        )
        for i in blocks
    ]


def test_nested_folds_share_training_sets():
    sets = training_sets(nested(np.repeat(np.arange(6), 4)))
    assert len(sets) == 15
    assert sorted((v.outer, int(v.rows[0]) // 4) for s in sets for v in s.validations) == sorted(
        (i, j) for i in range(6) for j in range(6) if i != j
    )
    assert {v.share for s in sets for v in s.validations} == {1 / 5}


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 30), st.integers(1, 6))
def test_blocks_are_cut_by_no_set_and_make_up_every_set(seed, n_rows, n_sets):
    rng = np.random.default_rng(seed)
    sets = [np.flatnonzero(rng.random(n_rows) < 0.5) for _ in range(n_sets)]
    blocks, member = divide(sets, n_rows)
    for rows, inside in zip(sets, member, strict=True):
        parts = [block for block, held in zip(blocks, inside, strict=True) if held]
        np.testing.assert_array_equal(np.sort(np.concatenate([*parts, np.zeros(0, int)])), rows)
    assert len({member[:, b].tobytes() for b in range(len(blocks))}) == len(blocks)


@settings(max_examples=30, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    lengths=st.lists(st.integers(1, 7), min_size=3, max_size=5),
    intercept=st.booleans(),
)
def test_sets_are_centred_on_their_training_rows(seed, lengths, intercept):
    rng = np.random.default_rng(seed)
    block = np.repeat(np.arange(len(lengths)), lengths)
    folds = nested(block)
    X, Y = rng.standard_normal((len(block), 4)) + 3, rng.standard_normal((len(block), 3)) - 2
    sets = training_sets(folds)
    plan = plan_sets(X, sets, [rows for rows, _ in folds], [])
    products = multiply_targets(X, Y, plan.blocks)
    found = multiply_sets(plan, products, intercept=intercept, dtype=np.float64)
    squares = validation_squares(plan, products, intercept=intercept)
    number = 0
    for k, training in enumerate(sets):
        mean_x, mean_y = (part[training.rows].mean(0) if intercept else 0.0 for part in (X, Y))
        np.testing.assert_allclose(
            found.train[k], (X[training.rows] - mean_x).T @ (Y[training.rows] - mean_y), atol=1e-10
        )
        for validation in training.validations:
            Z, y = X[validation.rows] - mean_x, Y[validation.rows] - mean_y
            np.testing.assert_allclose(found.validation[number], Z.T @ y / len(y), atol=1e-10)
            np.testing.assert_allclose(squares[number], (y**2).mean(0), atol=1e-10)
            number += 1


@pytest.mark.parametrize("scale", [True, False])
def test_grams_are_those_of_scaled_bands(scale):
    rng = np.random.default_rng(0)
    X = rng.standard_normal((40, 5)) * [1, 10, 0.1, 3, 0] + 2
    training = training_sets(nested(np.repeat(np.arange(4), 10)))[0]
    bands = [slice(0, 2), slice(2, 5)]
    found = scaled_grams(X, training, bands, scale=scale, intercept=True)
    held = training.validations[0].rows
    if scale:
        parts = [scale_band(X[training.rows][:, band], X[held][:, band]) for band in bands]
    else:
        mean = X[training.rows].mean(0)
        parts = [((X[training.rows] - mean)[:, band], (X[held] - mean)[:, band]) for band in bands]
    Z, Z_v = (np.concatenate([part[side] for part in parts], axis=1) for side in (0, 1))
    np.testing.assert_allclose(found.gram, Z.T @ Z, atol=1e-10)
    np.testing.assert_allclose(found.validation[0], Z_v.T @ Z_v / len(held), atol=1e-10)
    assert (found.factor[4] == 0) == scale


@pytest.mark.parametrize("intercept", [True, False])
@pytest.mark.parametrize("size", [1e-300, 1e-30, 1.0, 1e30, 1e300])
def test_responses_of_any_size_are_standardised(size, intercept):
    rng = np.random.default_rng(0)
    Y = np.column_stack([rng.standard_normal((20, 2)), np.zeros(20), np.full(20, 0.1)]) * size
    found, unit = standardise_targets(Y, [np.arange(10), np.arange(10, 20)], intercept=intercept)
    assert np.isfinite(found).all()
    np.testing.assert_allclose(found[:, :2].std(0), 1, rtol=0.2)
    np.testing.assert_array_equal(found[:, 2], 0)
    assert (found[:, 3] == 0).all() == intercept
    np.testing.assert_allclose((found * unit)[:, :2] - (found * unit)[0, :2], Y[:, :2] - Y[0, :2], rtol=1e-9)

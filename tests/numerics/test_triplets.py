"""The loss of odd-one-out choices against an oracle that computes one judgment at a time, in float64, with loops."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from encoding.numerics.threads import torch_threads
from encoding.numerics.triplets import CHUNK, THIN, TripletLoss, make_batch


@pytest.fixture(autouse=True)
def one_thread():
    with torch_threads(1):
        yield


def oracle(X, items, choice, *, probabilities=None, weight=None, bias=(0.0, 0.0, 0.0)):
    """Follow the formula, one judgment after the other."""
    X = np.asarray(X, dtype=np.float64)
    loss, total = 0.0, 0.0
    gradient, by_slot = np.zeros_like(X), np.zeros(3)
    for n, triplet in enumerate(items):
        w = 1.0 if weight is None else float(weight[n])
        target = np.eye(3)[choice[n]]
        if probabilities is not None and np.isfinite(probabilities[n]).all():
            target = np.asarray(probabilities[n], dtype=np.float64) / np.sum(probabilities[n], dtype=np.float64)
        others = [[triplet[r] for r in range(3) if r != q] for q in range(3)]
        logits = [float(X[i] @ X[j]) + bias[q] for q, (i, j) in enumerate(others)]
        peak = max(logits)
        norm = peak + math.log(sum(math.exp(logit - peak) for logit in logits))
        for q, (i, j) in enumerate(others):
            loss -= w * target[q] * (logits[q] - norm)
            slope = w * (math.exp(logits[q] - norm) - target[q])
            gradient[i] += slope * X[j]
            gradient[j] += slope * X[i]
            by_slot[q] += slope
        total += w
    return loss / total, gradient / total, by_slot / total


def draw(seed, *, n_items=12, n=60, n_dims=4, scale=1.0):
    rng = np.random.default_rng(seed)
    X = rng.gamma(1.0, scale, (n_items, n_dims)) * (rng.random((n_items, n_dims)) < 0.6)
    items = np.argsort(rng.random((n, n_items)), axis=1)[:, :3]
    return X, items, rng.integers(0, 3, n), rng.dirichlet(np.ones(3), n), rng.gamma(2.0, 1.0, n)


def relative(found, wanted):
    return float(np.linalg.norm(np.asarray(found) - wanted) / max(np.linalg.norm(wanted), 1e-300))


PRECISION = [(torch.float64, 1e-10), (torch.float32, 1e-5)]


@pytest.mark.parametrize("precision", PRECISION)
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("biased", [False, True])
@pytest.mark.parametrize("kind", ["hard", "soft", "mixed"])
@settings(max_examples=8, deadline=None)
@given(seed=st.integers(0, 2**31), scale=st.sampled_from([0.1, 0.7, 2.0]))
def test_loss_and_gradients_are_those_of_the_formula(*, precision, weighted, biased, kind, seed, scale):
    dtype, tolerance = precision
    X, items, choice, probabilities, weight = draw(seed, scale=scale)
    if kind == "hard":
        probabilities = None
    elif kind == "mixed":
        probabilities[::2] = np.nan
    weight = weight if weighted else None
    bias = (1.5, 0.0, -0.4)
    # Single precision is asked of the arithmetic, not of the rounding of its inputs.
    X = X.astype(np.float32).astype(np.float64)
    expected = oracle(X, items, choice, probabilities=probabilities, weight=weight, bias=bias if biased else (0, 0, 0))
    batch = make_batch(
        items, choice, n_items=len(X), probabilities=probabilities, weight=weight, by_slot=biased, dtype=dtype
    )
    found = TripletLoss(len(X), dtype=dtype)(
        torch.as_tensor(X, dtype=dtype), batch, bias=torch.tensor(bias, dtype=dtype) if biased else None
    )
    assert found[0] == pytest.approx(expected[0], rel=tolerance)
    assert relative(found[1], expected[1]) <= tolerance
    if biased:
        assert relative(found[2], expected[2]) <= tolerance


@pytest.mark.parametrize(("dtype", "tolerance"), PRECISION)
@pytest.mark.parametrize("kind", ["hard", "soft"])
@pytest.mark.parametrize("n_dims", [3, THIN + 1])
def test_fewer_judgments_than_pairs_give_the_same(dtype, tolerance, kind, n_dims):
    """Exponentials are taken of what is looked up, and the gradient has another order of products."""
    X, items, choice, probabilities, weight = draw(6, n_items=25, n=40, n_dims=n_dims, scale=3 / n_dims)
    X = X.astype(np.float32).astype(np.float64)
    probabilities = probabilities if kind == "soft" else None
    expected = oracle(X, items, choice, probabilities=probabilities, weight=weight)
    batch = make_batch(items, choice, n_items=25, probabilities=probabilities, weight=weight, dtype=dtype)
    assert 3 * batch.n_rows < 25**2
    loss, gradient, _ = TripletLoss(25, dtype=dtype)(torch.as_tensor(X, dtype=dtype), batch)
    assert loss == pytest.approx(expected[0], rel=tolerance)
    assert relative(gradient, expected[1]) <= tolerance


@pytest.mark.parametrize(("dtype", "tolerance"), PRECISION)
@pytest.mark.parametrize("kind", ["hard", "soft"])
def test_large_dot_products_do_not_overflow(dtype, tolerance, kind):
    X, items, choice, probabilities, weight = draw(5, scale=25.0)
    assert (X @ X.T).max() > 2 * np.log(np.finfo(np.float64).max)
    X = X.astype(np.float32).astype(np.float64)
    probabilities = probabilities if kind == "soft" else None
    bias = (0.5, 0.0, -0.4)
    expected = oracle(X, items, choice, probabilities=probabilities, weight=weight, bias=bias)
    batch = make_batch(
        items, choice, n_items=len(X), probabilities=probabilities, weight=weight, by_slot=True, dtype=dtype
    )
    loss, gradient, by_slot = TripletLoss(len(X), dtype=dtype)(
        torch.as_tensor(X, dtype=dtype), batch, bias=torch.tensor(bias, dtype=dtype)
    )
    assert loss == pytest.approx(expected[0], rel=tolerance)
    assert relative(gradient, expected[1]) <= tolerance
    assert relative(by_slot, expected[2]) <= tolerance


def test_gradient_is_the_slope_of_the_loss():
    X, items, choice, _, weight = draw(3)
    batch = make_batch(items, choice, n_items=len(X), weight=weight, by_slot=True, dtype=torch.float64)
    of = TripletLoss(len(X), dtype=torch.float64)
    bias = torch.tensor([0.3, 0.0, -0.2], dtype=torch.float64)
    point, rng = torch.as_tensor(X), np.random.default_rng(0)
    along, tilt = torch.as_tensor(rng.normal(size=X.shape)), torch.as_tensor(rng.normal(size=3))
    _, gradient, by_slot = of(point, batch, bias=bias)
    step = 1e-5
    ahead = of(point + step * along, batch, bias=bias + step * tilt)[0]
    behind = of(point - step * along, batch, bias=bias - step * tilt)[0]
    assert (ahead - behind) / (2 * step) == pytest.approx(
        float((gradient * along).sum() + (by_slot * tilt).sum()), rel=1e-7
    )


def test_a_repeated_judgment_is_one_of_twice_the_weight():
    X, items, choice, _, _ = draw(1)
    of, point = TripletLoss(len(X), dtype=torch.float64), torch.as_tensor(X)
    rows = np.r_[np.arange(len(items)), np.arange(20)]
    twice = of(point, make_batch(items[rows], choice[rows], n_items=len(X), dtype=torch.float64))
    weight = np.r_[np.full(20, 2.0), np.ones(len(items) - 20)]
    once = of(point, make_batch(items, choice, n_items=len(X), weight=weight, dtype=torch.float64))
    assert twice[0] == pytest.approx(once[0], rel=1e-13)
    assert torch.allclose(twice[1], once[1], rtol=1e-12, atol=1e-15)


def test_the_slot_an_item_stood_in_only_matters_to_the_bias():
    X, items, choice, _, _ = draw(2)
    turned, turned_choice = np.roll(items, 1, axis=1), (choice + 1) % 3
    of, point = TripletLoss(len(X), dtype=torch.float64), torch.as_tensor(X)
    bias = torch.tensor([1.0, 0.0, -1.0], dtype=torch.float64)

    def losses(given):
        batch = make_batch(given[0], given[1], n_items=len(X), by_slot=True, dtype=torch.float64)
        return of(point, batch)[0], of(point, batch, bias=bias)[0]

    plain, with_bias = losses((items, choice))
    plain_turned, with_bias_turned = losses((turned, turned_choice))
    assert plain == pytest.approx(plain_turned, rel=1e-12)
    assert abs(with_bias - with_bias_turned) > 1e-3


def test_judgments_beyond_one_chunk_all_count():
    rng = np.random.default_rng(0)
    items = np.argsort(rng.random((CHUNK + 1000, 5)), axis=1)[:, :3]
    choice = rng.integers(0, 3, len(items))
    X = torch.as_tensor(rng.random((5, 2)))
    batch = make_batch(items, choice, n_items=5, dtype=torch.float64)
    assert len(batch.blocks) == 2
    whole = TripletLoss(5, dtype=torch.float64)(X, batch)
    halves = [
        TripletLoss(5, dtype=torch.float64)(X, make_batch(items[part], choice[part], n_items=5, dtype=torch.float64))
        for part in (slice(None, 30_000), slice(30_000, None))
    ]
    shares = np.array([30_000, len(items) - 30_000]) / len(items)
    assert whole[0] == pytest.approx(shares @ [half[0] for half in halves], rel=1e-12)
    assert torch.allclose(whole[1], sum(s * half[1] for s, half in zip(shares, halves, strict=True)), rtol=1e-10)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_cuda_agrees_with_the_cpu():
    X, items, choice, probabilities, weight = draw(7, n=500)
    probabilities[::3] = np.nan
    results = []
    for device in ("cpu", "cuda"):
        batch = make_batch(
            items, choice, n_items=len(X), probabilities=probabilities, weight=weight, by_slot=True,
            dtype=torch.float64, device=device,
        )  # fmt: skip
        of = TripletLoss(len(X), dtype=torch.float64, device=device)
        bias = torch.tensor([0.2, 0.0, 0.1], dtype=torch.float64, device=device)
        results.append(of(torch.as_tensor(X, device=device), batch, bias=bias))
    assert results[0][0] == pytest.approx(results[1][0], rel=1e-12)
    assert torch.allclose(results[0][1], results[1][1].cpu(), rtol=1e-10)

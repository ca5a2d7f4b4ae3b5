"""Hyper-parameters against an exhaustive search with textbook ridge."""

from itertools import pairwise

import numpy as np
import pytest
from himalaya.backend import get_backend
from himalaya.kernel_ridge import MultipleKernelRidgeCV
from himalaya.ridge import solve_group_ridge_random_search

from encoding.core import EncodingError
from encoding.fitting.solvers.himalaya import SMALLEST_GAMMA, search
from encoding.numerics.ridge import scale_band

ALPHAS = (0.01, 0.1, 1.0, 10.0, 100.0)
GAMMAS = np.array([[0.5, 0.5], [1.0, 0.0], [0.0, 1.0], [0.9, 0.1], [0.2, 0.8]])


def problem(widths=(6, 4), n=60, n_targets=12, seed=0):
    """Make targets that need different bands and different penalties."""
    rng = np.random.default_rng(seed)
    blocks = [scale_band(rng.standard_normal((n, width)), np.zeros((0, width)))[0] for width in widths]
    share = rng.dirichlet(np.full(len(widths), 0.3), n_targets)
    Y = np.sqrt(10.0 ** rng.uniform(-2, 2, n_targets)) * rng.standard_normal((n, n_targets))
    for number, block in enumerate(blocks):
        Y += block @ rng.standard_normal((block.shape[1], n_targets)) * np.sqrt(share[:, number])
    edges = np.cumsum([0, *widths])
    bands = [slice(int(a), int(b)) for a, b in pairwise(edges)]
    rows = np.arange(n)
    inner = [(rows[rows % 3 != k], rows[rows % 3 == k]) for k in range(3)]
    return np.concatenate(blocks, axis=1), Y - Y.mean(0), bands, inner


def exhaustive(X, Y, bands, gammas, alphas, inner):
    """Mean squared error of every candidate and penalty, from the normal equations with an intercept."""
    loss = np.zeros((len(gammas), len(alphas), Y.shape[1]))
    for c, gamma in enumerate(gammas):
        Z = np.concatenate([X[:, band] * np.sqrt(g) for band, g in zip(bands, gamma, strict=True)], axis=1)
        for fit, validation in inner:
            mean_x, mean_y = Z[fit].mean(0), Y[fit].mean(0)
            A = Z[fit] - mean_x
            for a, alpha in enumerate(alphas):
                weights = np.linalg.solve(A.T @ A + alpha * np.eye(Z.shape[1]), A.T @ (Y[fit] - mean_y))
                error = Y[validation] - mean_y - (Z[validation] - mean_x) @ weights
                loss[c, a] += (error**2).mean(0) / len(inner)
    return loss


@pytest.mark.parametrize("widths", [(6, 4), (30, 25)], ids=["primal", "dual"])
def test_choice_equals_an_exhaustive_search(widths):
    X, Y, bands, inner = problem(widths)
    gamma, alpha, score = search(X, Y, bands=bands, gammas=GAMMAS, alphas=ALPHAS, inner=inner)
    loss = exhaustive(X, Y, bands, GAMMAS, ALPHAS, inner)
    best = loss.reshape(-1, Y.shape[1]).argmin(0)
    c, a = np.unravel_index(best, loss.shape[:2])
    np.testing.assert_array_equal(gamma, GAMMAS[c].T)
    np.testing.assert_array_equal(alpha, np.asarray(ALPHAS)[a])
    np.testing.assert_allclose(score, -loss.min((0, 1)), rtol=1e-5)
    assert len(np.unique(c)) > 2
    assert len(np.unique(a)) > 2


def test_choice_equals_himalaya_called_by_hand():
    X, Y, bands, inner = problem()
    clipped = np.maximum(GAMMAS, SMALLEST_GAMMA)
    deltas, _, _, _ = solve_group_ridge_random_search(
        [X[:, band] for band in bands],
        Y,
        n_iter=clipped / clipped.sum(1, keepdims=True),
        alphas=np.asarray(ALPHAS),
        fit_intercept=True,
        cv=inner,
        progress_bar=False,
    )
    gamma, alpha, _ = search(X, Y, bands=bands, gammas=GAMMAS, alphas=ALPHAS, inner=inner)
    np.testing.assert_allclose(gamma / alpha, np.exp(deltas), rtol=1e-6, atol=1e-6)


def test_kernel_path_equals_himalaya_called_by_hand():
    X, Y, bands, inner = problem((40, 25))
    kernels = np.stack([X[:, band] @ X[:, band].T for band in bands])
    clipped = np.maximum(GAMMAS, SMALLEST_GAMMA)
    by_hand = MultipleKernelRidgeCV(
        kernels="precomputed",
        solver_params={
            "n_iter": clipped / clipped.sum(1, keepdims=True),
            "alphas": np.asarray(ALPHAS),
            "progress_bar": False,
        },
        fit_intercept=True,
        cv=inner,
    ).fit(kernels, Y)
    gamma, alpha, _ = search(X, Y, bands=bands, gammas=GAMMAS, alphas=ALPHAS, inner=inner)
    np.testing.assert_allclose(gamma / alpha, np.exp(by_hand.deltas_), rtol=1e-6, atol=1e-6)


def test_primal_and_kernel_path_agree():
    # Columns of zeros change no kernel, but make the features so many that the kernel solver is taken.
    X, Y, bands, inner = problem()
    padded = np.concatenate([X, np.zeros((len(X), 40))], axis=1)
    wider = [bands[0], slice(bands[1].start, X.shape[1] + 40)]
    primal = search(X, Y, bands=bands, gammas=GAMMAS, alphas=ALPHAS, inner=inner)
    dual = search(padded, Y, bands=wider, gammas=GAMMAS, alphas=ALPHAS, inner=inner)
    np.testing.assert_array_equal(dual[0], primal[0])
    np.testing.assert_array_equal(dual[1], primal[1])
    np.testing.assert_allclose(dual[2], primal[2], rtol=1e-4)


@pytest.mark.parametrize("widths", [(6, 4, 3), (30, 25, 9)], ids=["primal", "dual"])
def test_choices_come_back_exactly_from_the_lists(widths):
    X, Y, bands, inner = problem(widths)
    # Numbers without an exact float32, some of them tiny, some zero.
    gammas = np.random.default_rng(1).dirichlet([0.1, 0.1, 0.1], 30)
    gammas[3] = [0.0, 1 / 3, 2 / 3]
    alphas = np.geomspace(0.013, 1234.5, 9)
    gamma, alpha, _ = search(X, Y, bands=bands, gammas=gammas, alphas=alphas, inner=inner)
    assert np.isin(alpha, alphas).all()
    for column in gamma.T:
        assert (column == gammas).all(1).any()


def test_order_and_duplicates_of_alphas_do_not_matter():
    X, Y, bands, inner = problem()
    expected = search(X, Y, bands=bands, gammas=GAMMAS, alphas=ALPHAS, inner=inner)
    for alphas in (ALPHAS[::-1], (1.0, 0.01, 100.0, 1.0, 0.1, 10.0, 0.01)):
        found = search(X, Y, bands=bands, gammas=GAMMAS, alphas=alphas, inner=inner)
        np.testing.assert_array_equal(found[0], expected[0])
        np.testing.assert_array_equal(found[1], expected[1])


def test_identical_candidates_are_fine():
    X, Y, bands, inner = problem()
    expected = search(X, Y, bands=bands, gammas=GAMMAS, alphas=ALPHAS, inner=inner)
    found = search(X, Y, bands=bands, gammas=np.repeat(GAMMAS, 3, axis=0), alphas=ALPHAS, inner=inner)
    np.testing.assert_array_equal(found[0], expected[0])
    np.testing.assert_array_equal(found[1], expected[1])


@pytest.mark.parametrize("widths", [(6, 4), (30, 25)], ids=["primal", "dual"])
def test_single_bands_alone_can_win(widths):
    X, Y, bands, inner = problem(widths)
    alone = np.eye(2)
    gamma, alpha, _ = search(X, Y, bands=bands, gammas=alone, alphas=ALPHAS, inner=inner)
    loss = exhaustive(X, Y, bands, alone, ALPHAS, inner)
    np.testing.assert_array_equal(gamma, alone[loss.min(1).argmin(0)].T)
    assert set(gamma[0]) == {0.0, 1.0}
    assert np.isfinite(alpha).all()


def test_size_of_the_batches_does_not_matter():
    X, Y, bands, inner = problem(n_targets=150)
    whole = search(X, Y, bands=bands, gammas=GAMMAS, alphas=ALPHAS, inner=inner)
    parts = search(X, Y, bands=bands, gammas=GAMMAS, alphas=ALPHAS, inner=inner, batch_bytes=1)
    np.testing.assert_array_equal(parts[0], whole[0])
    np.testing.assert_array_equal(parts[1], whole[1])


def test_made_up_weights_are_refused(monkeypatch):
    X, Y, bands, inner = problem()
    monkeypatch.setenv("HIMALAYA_SKIP_FIT", "True")
    with pytest.raises(EncodingError, match=r"HIMALAYA_SKIP_FIT is set.*Unset it"):
        search(X, Y, bands=bands, gammas=GAMMAS, alphas=ALPHAS, inner=inner)


def test_backend_of_himalaya_is_left_alone():
    X, Y, bands, inner = problem()
    before = get_backend().name
    search(X, Y, bands=bands, gammas=GAMMAS, alphas=ALPHAS, inner=inner)
    assert get_backend().name == before
    beyond = [(np.arange(10), np.array([1000]))]
    with pytest.raises(ValueError, match="exceed number of samples"):
        search(X, Y, bands=bands, gammas=GAMMAS, alphas=ALPHAS, inner=beyond)
    assert get_backend().name == before


@pytest.mark.gpu
@pytest.mark.parametrize("widths", [(6, 4), (30, 25)], ids=["primal", "dual"])
def test_cuda_chooses_as_the_cpu_does(widths):
    torch = pytest.importorskip("torch")
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    X, Y, bands, inner = problem(widths)
    on_cpu, on_cuda = (
        search(X, Y, bands=bands, gammas=GAMMAS, alphas=ALPHAS, inner=inner, device=device)
        for device in ("cpu", "cuda")
    )
    np.testing.assert_array_equal(on_cuda[0], on_cpu[0])
    np.testing.assert_array_equal(on_cuda[1], on_cpu[1])
    np.testing.assert_allclose(on_cuda[2], on_cpu[2], rtol=1e-4)

"""Choose band weights and penalties by inner cross-validation, with himalaya."""

import os
from collections.abc import Sequence
from typing import Any

import numpy as np

from ...core import EncodingError
from ..device import himalaya_backend

SMALLEST_GAMMA = 1e-9


def search(
    X: np.ndarray,
    Y: np.ndarray,
    *,
    bands: list[slice],
    gammas: np.ndarray,
    alphas: Sequence[float],
    inner: Sequence[tuple[np.ndarray, np.ndarray]],
    device: str = "cpu",
    batch_bytes: int = 256 << 20,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Find the best candidate and penalty of every target, with an intercept.

    The primal solver is used up to half as many features as samples, the kernel solver above; both fit an
    intercept in every inner fold and both score by the mean squared error of the inner folds.

    Parameters
    ----------
    X : ndarray, shape (n_samples, n_features)
        Scaled training features, all bands side by side.
    Y : ndarray, shape (n_samples, n_targets)
        Training responses, finite.
    bands : list of slice
        Columns of each band.
    gammas : ndarray, shape (n_candidates, n_bands)
        Band weights to try, each row summing to one.
    alphas : sequence of float
        Penalties to try.
    inner : sequence of (ndarray, ndarray)
        Training and validation rows of each inner fold.
    device : {"cpu", "cuda"}
        Where to compute.
    batch_bytes : int
        Size that one tensor of predictions (penalties x samples x targets) may have.

    Returns
    -------
    gamma : ndarray, shape (n_bands, n_targets)
        Chosen band weights, exactly as they stand in `gammas`.
    alpha : ndarray, shape (n_targets,)
        Chosen penalties.
    score : ndarray, shape (n_targets,)
        Mean inner score of the choice (negative mean squared error); optimistic, since it was maximised.

    Raises
    ------
    EncodingError
        If himalaya is told by its environment to return made-up weights.
    """
    candidate, alpha, scores = search_all(
        X, Y, bands=bands, gammas=gammas, alphas=alphas, inner=inner, device=device, batch_bytes=batch_bytes
    )
    return gammas[candidate].T, np.asarray(sorted(alphas))[alpha], scores.max(0)


def search_all(  # noqa: PLR0913 - those of `search`, and whether there is an intercept
    X: np.ndarray,
    Y: np.ndarray,
    *,
    bands: list[slice],
    gammas: np.ndarray,
    alphas: Sequence[float],
    inner: Sequence[tuple[np.ndarray, np.ndarray]],
    intercept: bool = True,
    device: str = "cpu",
    batch_bytes: int = 256 << 20,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Find the best candidate and penalty of every target, by their numbers.

    Parameters
    ----------
    X : ndarray, shape (n_samples, n_features)
        Training features, all bands side by side.
    Y : ndarray, shape (n_samples, n_targets)
        Training responses, finite.
    bands : list of slice
        Columns of each band.
    gammas : ndarray, shape (n_candidates, n_bands)
        Band weights to try.
    alphas : sequence of float
        Penalties to try.
    inner : sequence of (ndarray, ndarray)
        Training and validation rows of each inner fold.
    intercept : bool, default=True
        Whether inner folds fit an intercept.
    device : {"cpu", "cuda"}
        Where to compute.
    batch_bytes : int
        Size that one tensor of predictions may have.

    Returns
    -------
    candidate, alpha : ndarray of int, shape (n_targets,)
        Rows of `gammas`, and numbers among the sorted penalties.
    scores : ndarray, shape (n_candidates, n_targets)
        Mean inner score of every candidate at its best penalty.

    Raises
    ------
    EncodingError
        If himalaya is told by its environment to return made-up weights.
    """
    if os.environ.get("HIMALAYA_SKIP_FIT"):
        raise EncodingError("HIMALAYA_SKIP_FIT is set: himalaya would return made-up weights. Unset it.")
    grid = np.asarray(sorted(alphas), dtype=np.float32)
    # himalaya's primal solver multiplies X by sqrt(gamma) in place and divides again: zeros would become NaN.
    tried = np.maximum(gammas, SMALLEST_GAMMA * gammas.sum(1, keepdims=True))
    tried = tried.astype(np.float32)
    largest = max(len(validation) for _, validation in inner)
    batch = int(max(64, batch_bytes // (4 * len(grid) * largest)))
    settings: dict[str, Any] = {
        "n_iter": tried,
        "alphas": grid,
        "fit_intercept": intercept,
        "cv": [(np.asarray(train), np.asarray(validation)) for train, validation in inner],
        "n_targets_batch": batch,
        "progress_bar": False,
    }
    solver = _primal if X.shape[1] <= len(X) // 2 else _dual
    with himalaya_backend(device):
        deltas, scores = solver(X.astype(np.float32), Y.astype(np.float32), bands, settings)
    candidate = scores.argmax(0)
    # delta = log(gamma / alpha).
    alpha = tried.astype(np.float64).sum(1)[candidate] / np.exp(deltas.astype(np.float64)).sum(0)
    nearest = np.abs(np.log(grid.astype(float)[:, None]) - np.log(alpha)).argmin(0)
    return candidate, nearest, scores


def _primal(
    X: np.ndarray, Y: np.ndarray, bands: list[slice], settings: dict[str, Any]
) -> tuple[np.ndarray, np.ndarray]:
    from himalaya.backend import get_backend
    from himalaya.ridge import solve_group_ridge_random_search

    backend = get_backend()
    settings = _on_backend(settings)
    found = solve_group_ridge_random_search(
        [backend.asarray(X[:, band]) for band in bands],
        backend.asarray(Y),
        return_weights=False,
        warn=False,
        **settings,
    )
    return backend.to_numpy(found[0]), backend.to_numpy(found[2])


def _dual(X: np.ndarray, Y: np.ndarray, bands: list[slice], settings: dict[str, Any]) -> tuple[np.ndarray, np.ndarray]:
    from himalaya.backend import get_backend
    from himalaya.kernel_ridge import solve_multiple_kernel_ridge_random_search

    backend = get_backend()
    settings = _on_backend(settings)
    kernels = backend.asarray(np.stack([X[:, band] @ X[:, band].T for band in bands]))
    # An intercept in every inner fold is only offered together with dual weights.
    found = solve_multiple_kernel_ridge_random_search(
        kernels,
        backend.asarray(Y),
        return_weights="dual",
        n_targets_batch_refit=settings["n_targets_batch"],
        **settings,
    )
    return backend.to_numpy(found[0]), backend.to_numpy(found[2])


def _on_backend(settings: dict[str, Any]) -> dict[str, Any]:
    from himalaya.backend import get_backend

    backend = get_backend()
    return settings | {name: backend.asarray(settings[name]) for name in ("n_iter", "alphas")}

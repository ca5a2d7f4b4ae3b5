"""Choose band weights and penalties by inner cross-validation, with himalaya."""

import os
from collections.abc import Sequence
from typing import Any

import numpy as np

from ...core import EncodingError
from ...numerics.ridge import scale_band
from ...numerics.target_products import standardise_targets
from ..design import Design
from ..device import himalaya_backend
from .base import Fit, Keep, refit_fold, scaled_fold
from .search_statistics import Task

SMALLEST_GAMMA = 1e-9
N_TARGETS = 8
N_OTHERS = 2
# In units of the target's variance; himalaya works in float32.
TOLERATED = 1e-4


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


def verify(design: Design, task: Task, Y: np.ndarray | None, fit: Fit, *, seed: int, device: str = "cpu") -> np.ndarray:
    """Compare scores of choices with those of himalaya, and look whether other choices would have been better.

    Parameters
    ----------
    design : Design
        Features and folds.
    task : Task
        What was searched.
    Y : ndarray, shape (n_samples, n_targets)
        Responses.
    fit : Fit
        What was found.
    seed : int
        Draws targets, the outer fold and other choices.
    device : {"cpu", "cuda"}
        Where himalaya computes.

    Returns
    -------
    ndarray, shape (2,)
        Number of targets, and the largest difference of a score in units of the target's variance.

    Raises
    ------
    EncodingError
        If a score differs, or another choice is better, by more than 1e-4.
    """
    if Y is None or not Y.shape[1]:
        return np.zeros(2)
    rng = np.random.default_rng([seed, Y.shape[1]])
    columns = np.sort(rng.choice(Y.shape[1], min(N_TARGETS, Y.shape[1]), replace=False))
    k = int(rng.integers(len(design.folds.folds)))
    values, _ = standardise_targets(Y[:, columns], design.rows.plan.blocks, intercept=True)
    chosen = np.concatenate([fit.gammas[k][:, columns], fit.alphas[k][None, columns]])
    unique, member = np.unique(chosen, axis=1, return_inverse=True)
    largest = 0.0
    for number, choice in enumerate(unique.T):
        here = np.flatnonzero(member.ravel() == number)
        score = _score(design, task, values[:, here], k, choice, device)
        largest = max(largest, float(np.abs(score - fit.scores[k, columns[here]]).max()))
    for _ in range(N_OTHERS):
        other = np.append(task.gammas[rng.integers(len(task.gammas))], rng.choice(task.alphas))
        better = _score(design, task, values, k, other, device) - fit.scores[k, columns]
        largest = max(largest, float(better.max()))
    if not largest <= TOLERATED:
        raise EncodingError(
            f"Verification in outer fold {k}: scores of {len(columns)} sampled targets differ from himalaya's by up to "
            f'{largest:.1e} of their variance, but {TOLERATED} was allowed. Use method = "himalaya" and report this.'
        )
    return np.array([len(columns), largest])


def _score(design: Design, task: Task, Y: np.ndarray, k: int, choice: np.ndarray, device: str) -> np.ndarray:
    """Score one choice with himalaya, averaged over inner folds that are scaled on their own training rows."""
    X, scores = design.X[:, task.columns], []
    for train, validation in design.rows.folds[k][1]:
        parts = [scale_band(X[train][:, band], X[validation][:, band]) for band in task.bands]
        rows = np.concatenate([np.concatenate(part) for part in parts], axis=1)
        inner = [(np.arange(len(train)), np.arange(len(train), len(rows)))]
        _, _, score = search(
            rows,
            np.concatenate([Y[train], Y[validation]]),
            bands=task.bands,
            gammas=choice[None, :-1],
            alphas=[float(choice[-1])],
            inner=inner,
            device=device,
        )
        scores.append(score)
    return np.mean(scores, axis=0)


class HimalayaSolver:
    """One model with himalaya: features are scaled once per outer fold, and centred in every inner fold.

    Parameters
    ----------
    design : Design
        Features and folds.
    task : Task
        What to search.
    device : {"cpu", "cuda"}
        Where to compute.
    """

    def __init__(self, design: Design, task: Task, device: str) -> None:
        self.design, self.task, self.device = design, task, device

    def fit(self, Y: np.ndarray, keep: Sequence[Keep | None]) -> list[Fit]:
        """Fit the model.

        Parameters
        ----------
        Y : ndarray, shape (n_samples, n_targets)
            Responses.
        keep : sequence of callable or None
            Where predictions go.

        Returns
        -------
        list of Fit
            One.
        """
        task, unit = self.task, np.ones(Y.shape[1])
        alphas, gammas, scores, sums = [], [], [], []
        for k, fold in enumerate(self.design.folds.folds):
            train, _ = scaled_fold(self.design, task, k)
            Y_train = Y[fold.train].astype(np.float64)
            spread = np.maximum(Y_train.var(0), np.finfo(float).tiny)
            gamma, alpha, score = search(
                train,
                Y_train - Y_train.mean(0),
                bands=task.bands,
                gammas=task.gammas,
                alphas=task.alphas.tolist(),
                inner=fold.inner,
                device=self.device,
            )
            sums.append(refit_fold(self.design, task, k, Y, gammas=gamma, alphas=alpha, keep=keep[0], unit=unit))
            alphas.append(alpha)
            gammas.append(gamma)
            scores.append(score / spread)
        joined = {name: np.stack([part[name] for part in sums]) for name in sums[0]}
        curve = np.full(len(task.gammas), np.nan)
        return [Fit(np.stack(alphas), np.stack(gammas), np.stack(scores), curve, joined)]

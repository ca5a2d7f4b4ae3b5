"""Choose band weights and penalties with himalaya: the reference, and what other solvers are checked against."""

import os
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import numpy as np

from ...core import EncodingError
from ...numerics.ridge import scale_band
from ...numerics.target_products import standardise_targets
from ..arrays import Arrays
from ..design import DesignMatrix
from ..device import himalaya_backend
from .base import Bytes, Fit, Keep, OneTaskSolver, Problem, Size, Task, decomposition_operations
from .refit import first_fold_weights, refit_all_folds, scaled_fold

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
    """Find the best candidate and penalty of every target, with an intercept in every inner fold.

    Return weights (n_bands, n_targets) exactly as they stand in `gammas`, penalties (n_targets,), and the mean inner
    score (n_targets,) of the choice, which is optimistic since it was maximised.
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
    """Score every candidate: best candidate, best penalty (n_targets,), and scores (n_candidates, n_targets).

    The primal solver is used up to half as many features as samples, the kernel solver above. `batch_bytes` bounds
    one tensor of predictions (penalties x samples x targets).
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


def verify(
    problem: Problem,
    number: int,
    Y: np.ndarray,
    fit: Fit,
    *,
    draw: Callable[[int, np.random.Generator], np.ndarray],
    seed: int,
) -> np.ndarray:
    """Compare scores of choices with himalaya's, and check that other choices would not have been better.

    Return the number of targets that were checked and the largest difference, in units of a target's variance; raise
    EncodingError where it exceeds 1e-4. `seed` draws targets, the outer fold, and other choices through `draw`.
    """
    design, task, device = problem.design, problem.tasks[number], problem.arrays.device
    if not Y.shape[1]:
        return np.zeros(2)
    rng = np.random.default_rng([seed, Y.shape[1]])
    columns = np.sort(rng.choice(Y.shape[1], min(N_TARGETS, Y.shape[1]), replace=False))
    k = int(rng.integers(len(design.folds)))
    values, _ = standardise_targets(Y[:, columns], design.rows.plan.blocks, intercept=True)
    chosen = np.concatenate([fit.gammas[k][:, columns], fit.alphas[k][None, columns]])
    unique, member = np.unique(chosen, axis=1, return_inverse=True)
    largest = 0.0
    for place, choice in enumerate(unique.T):
        here = np.flatnonzero(member.ravel() == place)
        score = _score(design, task, values[:, here], k, choice, device)
        largest = max(largest, float(np.abs(score - fit.scores[k, columns[here]]).max()))
    for _ in range(N_OTHERS):
        better = _score(design, task, values, k, draw(number, rng), device) - fit.scores[k, columns]
        largest = max(largest, float(better.max()))
    _refuse(largest, f"Verification in outer fold {k}: scores of {len(columns)} sampled targets")
    return np.array([len(columns), largest])


def verify_scores(problem: Problem, Y: np.ndarray, fit: Fit) -> dict[str, float]:
    """Compare the scores of every candidate with himalaya's, for some targets of a problem of one outer fold."""
    (task,), design = problem.tasks, problem.design
    columns = np.unique(np.linspace(0, Y.shape[1] - 1, N_TARGETS).astype(int))
    values, unit = standardise_targets(Y[:, columns], design.rows.plan.blocks, intercept=design.intercept)
    _, _, scores = search_all(
        design.X[:, task.columns],
        values,
        bands=task.bands,
        gammas=task.gammas,
        alphas=task.alphas.tolist(),
        inner=design.folds[0].inner,
        intercept=design.intercept,
    )
    each = np.asarray(fit.each)[:, columns] * (fit.unit[columns] / unit) ** 2
    difference = float(np.abs(scores - each).max())
    _refuse(difference, f"Verification: scores of {len(columns)} targets")
    return {"verified_targets": len(columns), "verified_difference": difference}


def _refuse(difference: float, what: str) -> None:
    if not difference <= TOLERATED:
        raise EncodingError(
            f"{what} differ from himalaya's by up to {difference:.1e} of their variance, but {TOLERATED} was allowed. "
            f'Use method = "himalaya" and report this.'
        )


def _score(design: DesignMatrix, task: Task, Y: np.ndarray, k: int, choice: np.ndarray, device: str) -> np.ndarray:
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


class HimalayaSolver(OneTaskSolver):
    """One model with himalaya: features are scaled once per outer fold, and centred in every inner fold."""

    name: ClassVar[str] = "himalaya"

    @staticmethod
    def operations(size: Size, n_targets: int, device: str) -> float:
        """Count predictions of every validation row at every penalty, each looked at several times to score it."""
        n, v = float(size.rows.plan.n_train.mean()), float(size.rows.plan.n_validation.mean())
        predictions = size.rows.n_validations * size.n_alphas * v * (2 * n + 120)
        decompositions = size.rows.n_validations * decomposition_operations(min(size.n_features, n), device)
        return size.n_candidates * (decompositions + predictions * n_targets)

    @staticmethod
    def bytes(sizes: Sequence[Size], n_features: int, arrays: Arrays) -> Bytes:  # noqa: ARG004
        """Count kernels of all rows, and predictions of a batch."""
        (size,) = sizes
        n, n_outer = size.n_rows, len(size.rows.folds)
        return Bytes(
            fixed=8 * n * (2 * size.n_features + 6 * n),
            target=arrays.itemsize * (n + n_outer * size.n_alphas),
            thread=arrays.itemsize * 6 * n * 1024,
            refit=8 * size.n_candidates * n_outer * size.n_features**2,
        )

    def fit(self, Y: np.ndarray, keep: Sequence[Keep | None]) -> list[Fit]:
        """Search and refit the model."""
        design, task = self.design, self.task
        unit = np.ones(Y.shape[1])
        found = [self._search(k, Y) for k in range(len(design.folds))]
        alphas = np.stack([task.alphas[alpha] for _, alpha, _ in found])
        gammas = np.stack([task.gammas[candidate].T for candidate, _, _ in found])
        sums = refit_all_folds(design, task, Y, gammas=gammas, alphas=alphas, keep=keep[0], unit=unit)
        curve, details = np.full(len(task.gammas), np.nan), self.problem.details
        weights = first_fold_weights(design, task, Y, gammas[0], alphas[0]) if details else None
        scores = np.stack([each.max(0) for _, _, each in found])
        return [Fit(alphas, gammas, scores, curve, sums, unit, weights, found[0][2] if details else None)]

    def _search(self, k: int, Y: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Search one outer fold; scores (n_candidates, n_targets) are in units of the variance if features are."""
        design, task, fold = self.design, self.task, self.design.folds[k]
        X = scaled_fold(design, task, k)[0] if design.scale else design.X[np.ix_(fold.train, task.columns)]
        Y = Y[fold.train].astype(np.float64)
        spread = np.maximum(Y.var(0), np.finfo(float).tiny) if design.scale else 1.0
        candidate, alpha, scores = search_all(
            X,
            Y - Y.mean(0) if design.intercept else Y,
            bands=task.bands,
            gammas=task.gammas,
            alphas=task.alphas.tolist(),
            inner=fold.inner,
            intercept=design.intercept,
            device=self.problem.arrays.device,
        )
        return candidate, alpha, scores / spread

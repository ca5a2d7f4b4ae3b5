"""Check a sample of targets against himalaya, fold by fold on features scaled in each fold."""

import numpy as np

from ...core import EncodingError
from ...numerics.scaling import scale_band
from ...numerics.target_products import standardise_targets
from ..design import Design
from .base import Fit
from .himalaya import search
from .search_statistics import Task

N_TARGETS = 8
N_OTHERS = 2
# In units of the target's variance; himalaya works in float32.
TOLERATED = 1e-4


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

"""One penalty per outer fold for all targets, chosen by the mean correlation of inner folds."""

from collections.abc import Sequence
from dataclasses import replace
from typing import ClassVar

import numpy as np

from ...core import EncodingError
from ...io.arrays import take_columns
from ...numerics.nested_correlation import decompose_validation, nested_correlations
from ...numerics.ridge import scale_band
from ..arrays import Arrays
from ..design import DesignMatrix
from .base import Bytes, Fit, Keep, OneTaskSolver, Size, Task
from .himalaya import HimalayaSolver
from .refit import refit_all_folds


def share_penalties(
    design: DesignMatrix, task: Task, values: np.ndarray, chunks: Sequence[np.ndarray], arrays: Arrays
) -> Task:
    """Choose the penalty of every outer fold: that of the highest correlation, averaged over inner folds and targets.

    Of equal ones the largest is chosen. In every inner fold features are scaled on the training rows only; the
    responses (n_samples, n_targets) are read chunk by chunk, once for every inner fold.
    """
    X, shared = design.X[:, task.columns], []
    for _, inner in design.rows.folds:
        total = np.zeros(len(task.alphas))
        for train, held in inner:
            scaled = [scale_band(X[train][:, band], X[held][:, band]) for band in task.bands]
            features, validation = (np.concatenate(part, axis=1) for part in zip(*scaled, strict=True))
            decomposed = decompose_validation(features, validation, dtype=np.dtype(arrays.dtype).type)

            def add(chunk: np.ndarray, rows: tuple = (train, held, decomposed)) -> np.ndarray:
                Y = take_columns(values, chunk)
                return nested_correlations(rows[2], Y[rows[0]], Y[rows[1]], task.alphas).sum(1)

            total += np.sum(list(arrays.each(add, chunks)), axis=0)
        shared.append(len(total) - 1 - int(np.argmax(total[::-1])))
    return replace(task, shared=np.asarray(shared))


class SharedSolver(OneTaskSolver):
    """One model whose targets share the penalty that `share_penalties` chose for every outer fold."""

    name: ClassVar[str] = "shared"
    offered: ClassVar[bool] = False

    @staticmethod
    def operations(size: Size, n_targets: int, device: str) -> float:
        """Count what himalaya would do for one candidate; no other solver competes."""
        return HimalayaSolver.operations(size, n_targets, device)

    @staticmethod
    def bytes(sizes: Sequence[Size], n_features: int, arrays: Arrays) -> Bytes:
        """Count as for himalaya: kernels of all rows, and predictions of a batch."""
        return HimalayaSolver.bytes(sizes, n_features, arrays)

    def fit(self, Y: np.ndarray, keep: Sequence[Keep | None]) -> list[Fit]:
        """Refit the model; there is no score per target."""
        task, n_folds, n_targets = self.task, len(self.design.folds), Y.shape[1]
        if task.shared is None:
            raise EncodingError("No penalty was chosen for the targets to share. Call `share_penalties` first.")
        alphas = np.repeat(task.alphas[task.shared][:, None], n_targets, axis=1)
        gammas = np.broadcast_to(task.gammas[0][None, :, None], (n_folds, len(task.gammas[0]), n_targets)).copy()
        unit = np.ones(n_targets)
        sums = refit_all_folds(self.design, task, Y, gammas=gammas, alphas=alphas, keep=keep[0], unit=unit)
        curve = np.full(len(task.gammas), np.nan)
        return [Fit(alphas, gammas, np.full((n_folds, n_targets), np.nan), curve, sums, unit)]

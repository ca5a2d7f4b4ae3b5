"""One chunk of targets through the solvers, and all chunks back together."""

import logging
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..io.partial import Partial
from .arrays import Arrays
from .design import Design
from .plan import Choice
from .solvers.base import Fit, HimalayaSolver, Keep, KernelSolver, StatisticsSolver
from .solvers.search_statistics import Task
from .solvers.shared import SharedSolver
from .solvers.verify import verify

FLAT = ("y", "p", "yy", "pp", "yp", "alphas")
BANDED = ("y_band", "p_band", "gammas")
# A target's weights are called unstable if on average over outer folds more than this share of them moves.
UNSTABLE = 0.25
logger = logging.getLogger(__name__)


class ChunkFit:
    """Models that are fitted together.

    Parameters
    ----------
    members : list of int
        Their numbers among all models.
    design : Design
        Features and folds.
    tasks : list of Task
        What is searched for each.
    arrays : Arrays
        Where to compute.
    compute : Compute
        Device, and whether to verify.
    operators : int
        Bytes for prepared candidates.
    """

    def __init__(
        self, members: list[int], design: Design, tasks: list[Task], arrays: Arrays, compute: Any, operators: int
    ) -> None:
        self.members, self.design, self.tasks, self.arrays = members, design, tasks, arrays
        self.compute, self.operators = compute, operators
        self.solver: StatisticsSolver | KernelSolver | HimalayaSolver | SharedSolver | None = None

    def run(
        self,
        number: int,
        Y: np.ndarray | None,
        chunk: np.ndarray,
        jobs: Sequence[Any],
        partials: Sequence[Partial],
        stores: Sequence[np.ndarray | None],
    ) -> None:
        """Fit one chunk, and keep what was found.

        Parameters
        ----------
        number : int
            The chunk.
        Y : ndarray, shape (n_samples, n_chunk)
            Responses.
        chunk : ndarray of int
            Their columns among all targets.
        jobs : sequence
            All models, with the choice of a solver.
        partials : sequence of Partial
            Where results of every model go.
        stores : sequence of ndarray or None
            Where predictions of every model go.
        """
        writers = [_writer(stores[member], chunk, self.design) for member in self.members]
        method = jobs[self.members[0]].choice.method
        fits, used = self._solve(method, Y, writers)
        for index, (member, fit) in enumerate(zip(self.members, fits, strict=True)):
            checked = np.zeros(2)
            if self.compute.verify and used not in ("himalaya", "shared"):
                checked = verify(self.design, self.tasks[index], Y, fit, seed=number, device=self.compute.device)
            store = stores[member]
            if isinstance(store, np.memmap):
                store.flush()
            kept = {"alphas": fit.alphas, "gammas": fit.gammas, "scores": fit.scores, "curve": fit.curve}
            partials[member].write(
                number, {**kept, **fit.sums, "method": np.asarray(used), "verified": np.asarray(checked)}
            )

    def _solve(self, method: str, Y: Any, writers: list[Keep | None]) -> tuple[list[Fit], str]:
        try:
            return self._make(method).fit(Y, writers), method
        except np.linalg.LinAlgError as error:
            if method in ("himalaya", "shared"):
                raise
            logger.warning("A decomposition failed (%s); himalaya fits this chunk of targets.", error)
            fits = [
                HimalayaSolver(self.design, task, self.compute.device).fit(Y, [writer])[0]
                for task, writer in zip(self.tasks, writers, strict=True)
            ]
            return fits, "himalaya"

    def _make(self, method: str) -> StatisticsSolver | KernelSolver | HimalayaSolver | SharedSolver:
        if self.solver is None:
            if method == "statistics":
                self.solver = StatisticsSolver(self.design, self.tasks, self.arrays, self.operators)
            elif method == "shared":
                self.solver = SharedSolver(self.design, self.tasks[0])
            elif method == "kernel":
                self.solver = KernelSolver(self.design, self.tasks[0], self.arrays)
            else:
                self.solver = HimalayaSolver(self.design, self.tasks[0], self.compute.device)
        return self.solver


def _writer(store: np.ndarray | None, chunk: np.ndarray, design: Design) -> Keep | None:
    if store is None:
        return None
    lengths = [len(np.unique(fold.average)) for fold in design.folds.folds]
    first = np.concatenate([[0], np.cumsum(lengths)])

    def keep(fold: int, columns: np.ndarray, predicted: np.ndarray) -> None:
        store[:, first[fold] : first[fold + 1], chunk[columns]] = predicted

    return keep


def gather(
    partial: Partial, chunks: Sequence[np.ndarray], task: Task, choice: Choice, n_folds: int, n_targets: int
) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Put the results of all chunks together.

    Parameters
    ----------
    partial : Partial
        Finished chunks.
    chunks : sequence of ndarray of int
        Targets of each.
    task : Task
        What was searched.
    choice : Choice
        Solver and reason.
    n_folds, n_targets : int
        Sizes of the result.

    Returns
    -------
    state : dict of str to ndarray
        Penalties, weights and sums of all targets, NaN where nothing was fitted.
    solver : dict
        What the report says about solver and search.
    """
    n_bands = task.gammas.shape[1]
    state = {name: partial.array(_file(name), (n_folds, n_targets), _dtype(name)) for name in FLAT}
    state |= {name: partial.array(_file(name), (n_folds, n_bands, n_targets), _dtype(name)) for name in BANDED}
    curve = np.zeros(1)
    methods, verified, largest = [], 0, 0.0
    for number, chunk in enumerate(chunks):
        part = partial.read(number)
        for name in (*FLAT, *BANDED):
            state[name][..., chunk] = part[name]
        curve = curve + part["curve"]
        methods.append(str(part["method"]))
        verified += int(part["verified"][0])
        largest = max(largest, float(part["verified"][1]))
    fitted = sum(len(chunk) for chunk in chunks)
    solver = {
        "method": choice.method,
        "reason": choice.reason,
        "fell_back": sum(method != choice.method for method in methods),
        "verified_targets": verified,
        "verified_difference": largest,
        **search_facts(state, task, curve / max(n_folds * fitted, 1)),
    }
    return {name: partial.reopen(_file(name)) for name in state}, solver


def _file(name: str) -> str:
    """Name of the array in a saved `Predictions`, so that it is saved where it is."""
    return f"{name}.npy" if name in ("alphas", "gammas") else f"moments_{name}.npy"


def _dtype(name: str) -> type:
    return np.float32 if name == "gammas" else np.float64


def search_facts(state: dict[str, np.ndarray], task: Task, curve: np.ndarray) -> dict[str, Any]:
    """Count what a reader should know about a search.

    Parameters
    ----------
    state : dict of str to ndarray
        Chosen penalties and weights.
    task : Task
        What was searched.
    curve : ndarray, shape (n_candidates,)
        Mean of the best score after every candidate.

    Returns
    -------
    dict
        Share of choices at the smallest and at the largest penalty, share of targets whose weights move by more than a
        quarter between outer folds, and the curve.
    """
    alphas = state["alphas"]
    n = max(int(np.isfinite(alphas).all(0).sum()), 1)
    unstable = 0
    for first in range(0, alphas.shape[1], 4096):
        gammas = state["gammas"][:, :, first : first + 4096]
        unstable += int((0.5 * np.abs(gammas - gammas.mean(0)).sum(1).mean(0) > UNSTABLE).sum())
    edge = len(task.alphas) > 1
    return {
        "at_smallest_alpha": float((alphas == task.alphas[0]).sum() / (n * len(alphas))) if edge else 0.0,
        "at_largest_alpha": float((alphas == task.alphas[-1]).sum() / (n * len(alphas))) if edge else 0.0,
        "unstable_gammas": unstable / n,
        "curve": [float(value) for value in curve],
    }

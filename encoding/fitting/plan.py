"""Which solver, and how many targets at a time: decided before the run, by counting operations and bytes."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..core import ConfigError
from .arrays import Arrays
from .rows import BATCH_BYTES, KERNEL_BYTES, REFIT_BYTES, Rows, batch_of, operator_bytes, target_bytes

METHODS = ("auto", "statistics", "kernel", "himalaya")


@dataclass(frozen=True, slots=True)
class Choice:
    """A solver and why it was taken.

    Attributes
    ----------
    method : {"statistics", "kernel", "himalaya"}
        The solver.
    reason : str
        A sentence for the report.
    """

    method: str
    reason: str


@dataclass(frozen=True, slots=True)
class MemoryPlan:
    """What a fit will take.

    Attributes
    ----------
    n_chunk : int
        Targets that are read at a time.
    n_batch : int
        Targets that are worked on at a time.
    operators : int
        Bytes for prepared candidates.
    total : int
        Bytes of everything, the chunk of responses included.
    text : str
        A sentence for the log.
    """

    n_chunk: int
    n_batch: int
    operators: int
    total: int
    text: str


def count_operations(
    rows: Rows, n_features: int, n_candidates: int, n_alphas: int, n_targets: int, device: str = "cpu"
) -> dict[str, float]:
    """Count what each solver would have to do, in floating point operations of a matrix product.

    Decompositions count 16 times their cube and an overhead of 5,000 times their square, as measured; on
    CUDA they still run on the processor and count 50 times more.

    Parameters
    ----------
    rows : Rows
        The folds.
    n_features, n_candidates, n_alphas, n_targets : int
        Size of the problem.
    device : {"cpu", "cuda"}
        Where products run.

    Returns
    -------
    dict of str to float
        Operations of "statistics", "kernel" and "himalaya".
    """
    p, n_sets, n_val = n_features, len(rows.sets), rows.n_validations
    n, v = float(rows.plan.n_train.mean()), float(rows.plan.n_validation.mean())
    n_all, rank = len(np.concatenate(rows.plan.blocks)), min(p, n)
    slow = 50.0 if device == "cuda" else 1.0

    def decomposition(size: float) -> float:
        return slow * (16 * size**3 + 5e3 * size**2)

    by_products = n_sets * 2 * p * p + n_val * (4 * p * p + 4 * n_alphas * p)
    statistics = 2.0 * n_all * p * n_targets + n_candidates * (n_sets * decomposition(p) + by_products * n_targets)
    by_rank = n_sets * 2 * rank * n + n_val * (2 * rank * v + 2 * rank * rank + 4 * n_alphas * rank)
    products = n_sets * (2 * n * rank * p + decomposition(rank)) + n_val * (2 * v * p * rank + 2 * v * rank * rank)
    kernel = n_candidates * (products + by_rank * n_targets)
    # It predicts every validation row at every penalty, and looks at each prediction several times to score it.
    predictions = n_val * n_alphas * v * (2 * n + 120)
    himalaya = n_candidates * (n_val * decomposition(rank) + predictions * n_targets)
    return {"statistics": statistics, "kernel": kernel, "himalaya": himalaya}


def choose_method(
    wanted: str,
    rows: Rows,
    *,
    n_features: int,
    n_candidates: int,
    n_alphas: int,
    n_targets: int,
    device: str = "cpu",
) -> Choice:
    """Take the solver that has least to do, or the one that is asked for.

    Parameters
    ----------
    wanted : {"auto", "statistics", "kernel", "himalaya"}
        What is asked for.
    rows : Rows
        The folds.
    n_features, n_candidates, n_alphas, n_targets : int
        Size of the problem.
    device : {"cpu", "cuda"}
        Where products run.

    Returns
    -------
    Choice
        Solver and reason.
    """
    if wanted != "auto":
        return Choice(wanted, f"{wanted}, as asked.")
    counted = count_operations(rows, n_features, n_candidates, n_alphas, n_targets, device)
    best = min(counted, key=lambda name: counted[name])
    listed = ", ".join(f"{name} {count:.1e}" for name, count in counted.items())
    sizes = f"{n_features} features, {round(float(rows.plan.n_train.mean()))} rows in a training set"
    return Choice(best, f"{best}: fewest operations with {sizes}, {n_targets} targets ({listed}).")


def plan_memory(
    rows: Rows,
    sizes: Sequence[tuple[int, int, int]],
    arrays: Arrays,
    *,
    n_features: int,
    n_targets: int,
    memory: int,
    chunk_bytes: int,
    methods: Sequence[str] = (),
) -> MemoryPlan:
    """Divide a budget of memory among responses, products, prepared candidates and scratch.

    Parameters
    ----------
    rows : Rows
        The folds.
    sizes : sequence of (int, int, int)
        Features, penalties and candidates of every model.
    arrays : Arrays
        Device, precision and threads.
    n_features : int
        Features of all models.
    n_targets : int
        Targets to fit.
    memory : int
        Budget in bytes.
    chunk_bytes : int
        What the responses of a chunk may take at most.
    methods : sequence of str
        Solver of every model; "statistics" unless given. Only that one keeps products of all features and blocks.

    Returns
    -------
    MemoryPlan
        The plan.

    Raises
    ------
    ConfigError
        If a budget is too small for 64 targets.
    """
    n_rows = len(np.concatenate(rows.plan.blocks))
    n_outer, n_sets = len(rows.folds), len(rows.sets) + rows.n_validations
    batch = batch_of(rows, n_features, arrays)
    fixed = 8 * 3 * n_rows * n_features
    # Standardised responses and their parts; products of a few sets; weights and what they are multiplied by.
    widest = 8 * batch * max(4 * n_rows, (8 + 6) * n_features)
    refits = sum(8 * n * n_outer * p * p for p, _, n in sizes)
    scratch = arrays.threads * (BATCH_BYTES + widest) + min(REFIT_BYTES, refits)
    solvers = list(methods) or ["statistics"] * len(sizes)
    per_target = 4 * n_rows
    if "statistics" in solvers:
        per_target += 8 * (len(rows.plan.blocks) + 1) * n_features
    for (p, n_alphas, _), method in zip(sizes, solvers, strict=True):
        per_target += 8 * n_outer * 40
        if method == "statistics":
            fixed += 8 * p * p * (n_sets + 2 * n_outer)
        else:
            fixed += 8 * n_rows * (2 * p + 6 * n_rows)
            fixed += min(KERNEL_BYTES, 16 * len(rows.sets) * n_rows**2) if method == "kernel" else 0
            per_target += arrays.itemsize * (n_rows + n_outer * n_alphas)
            scratch += arrays.threads * arrays.itemsize * 6 * n_rows * 1024
    kept = [
        (operator_bytes(rows, p, n_alphas, arrays), n)
        for (p, n_alphas, n), method in zip(sizes, solvers, strict=True)
        if method == "statistics"
    ]
    one, wanted = max((size for size, _ in kept), default=0), sum(size * n for size, n in kept)
    free = memory - fixed - scratch - one - 64 * per_target
    if free < 0:
        raise ConfigError(
            f"[compute] memory = {memory / 1e9:.2f} GB, but {(memory - free) / 1e9:.2f} GB are needed for {n_features} "
            f"features in {n_sets} training and validation sets. Raise it, or use fewer features, folds or threads."
        )
    operators = min(wanted, one + free // 2)
    if arrays.device == "cuda":
        operators = max(one, min(operators, arrays.vram // 4))
    n_chunk = 64 + int((free - max(0, operators - one)) // per_target)
    n_chunk = max(1, min(n_chunk, chunk_bytes // (4 * n_rows), n_targets))
    total = fixed + scratch + operators + n_chunk * per_target
    text = (
        f"Memory: {total / 1e9:.2f} of {memory / 1e9:.2f} GB; {n_targets} targets in chunks of {n_chunk}, "
        f"{n_chunk * 4 * n_rows / 1e9:.2f} GB of responses each, worked on {batch} at a time with {arrays.threads} "
        f"thread{'s' if arrays.threads > 1 else ''}."
    )
    if arrays.device == "cuda":
        on_card = min(batch, n_chunk) * target_bytes(rows, n_features, arrays) + operators
        if on_card > arrays.vram:
            raise ConfigError(
                f"[compute] vram = {arrays.vram / 1e9:.2f} GB, but {on_card / 1e9:.2f} GB are needed for 64 targets "
                f"and one candidate with {n_features} features in {n_sets} training and validation sets. Raise it."
            )
        text += f" Graphics card: {on_card / 1e9:.2f} of {arrays.vram / 1e9:.2f} GB."
    return MemoryPlan(n_chunk, batch, int(operators), int(total), text)

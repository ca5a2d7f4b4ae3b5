"""Which solver, and how many targets at a time: decided before the run, by counting operations and bytes."""

from collections.abc import Sequence
from dataclasses import dataclass

from ..core import ConfigError
from .arrays import Arrays
from .rows import BATCH_BYTES, REFIT_BYTES, Rows, batch_of, target_bytes
from .solvers import SOLVERS
from .solvers.base import Size


@dataclass(frozen=True, slots=True)
class Choice:
    """A solver and why it was taken."""

    method: str  # Name of the solver
    reason: str  # A sentence for the report


@dataclass(frozen=True, slots=True)
class MemoryPlan:
    """What a fit will take."""

    n_chunk: int  # Targets that are read at a time
    n_batch: int  # Targets that are worked on at a time
    operators: int  # Bytes for what is prepared and kept from chunk to chunk
    total: int  # Bytes of everything, the chunk of responses included
    text: str  # A sentence for the log


def count_operations(size: Size, n_targets: int, device: str = "cpu") -> dict[str, float]:
    """Count the floating-point operations of every solver that "auto" may choose; infinite where it cannot."""
    return {name: solver.operations(size, n_targets, device) for name, solver in SOLVERS.items() if solver.offered}


def choose_method(wanted: str, size: Size, n_targets: int, device: str = "cpu") -> Choice:
    """Pick the solver with the fewest estimated operations, or the requested one."""
    if wanted != "auto":
        return Choice(wanted, f"{wanted}, as asked.")
    counted = count_operations(size, n_targets, device)
    best = min(counted, key=lambda name: counted[name])
    listed = ", ".join(f"{name} {count:.1e}" for name, count in counted.items() if count < float("inf"))
    n_train = round(float(size.rows.plan.n_train.mean()))
    sizes = f"{size.n_features} features, {n_train} rows in a training set"
    return Choice(best, f"{best}: fewest operations with {sizes}, {n_targets} targets ({listed}).")


def group_members(methods: Sequence[str]) -> list[list[int]]:
    """Group models that are fitted together: those of a joint solver; others stand alone."""
    joint = [[n for n, method in enumerate(methods) if method == name] for name in SOLVERS if SOLVERS[name].joint]
    alone = [[number] for number, method in enumerate(methods) if not SOLVERS[method].joint]
    return [members for members in joint if members] + alone


def plan_memory(
    rows: Rows,
    sizes: Sequence[Size],
    arrays: Arrays,
    *,
    n_features: int,
    n_targets: int,
    memory: int,
    chunk_bytes: int,
    methods: Sequence[str],
) -> MemoryPlan:
    """Divide `memory` bytes among responses, products, what is prepared, and scratch.

    `sizes` and `methods` have one entry per model, `n_features` counts the features of all of them, and the responses
    of a chunk take at most `chunk_bytes`. Raise ConfigError if the budget is too small for 64 targets.
    """
    n_rows = sum(len(block) for block in rows.plan.blocks)
    n_outer, n_sets = len(rows.folds), len(rows.sets) + rows.n_validations
    batch = batch_of(rows, n_features, arrays)
    needs = [
        SOLVERS[methods[members[0]]].bytes([sizes[n] for n in members], n_features, arrays)
        for members in group_members(methods)
    ]
    # Standardised responses and their parts; products of a few sets; weights and what they are multiplied by.
    widest = 8 * batch * max(4 * n_rows, (8 + 6) * n_features)
    scratch = arrays.threads * (BATCH_BYTES + widest + sum(need.thread for need in needs))
    scratch += min(REFIT_BYTES, sum(need.refit for need in needs))
    fixed = 8 * 3 * n_rows * n_features + sum(need.fixed for need in needs)
    per_target = 4 * n_rows + 8 * n_outer * 40 * len(sizes) + sum(need.target for need in needs)
    one, wanted = max(need.smallest for need in needs), sum(need.wanted for need in needs)
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

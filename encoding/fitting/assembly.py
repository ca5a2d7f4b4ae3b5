"""Assemble `Predictions` from chunks of targets, or from single outer folds."""

from collections.abc import Sequence
from dataclasses import fields
from typing import Any

import numpy as np

from ..core import FoldMoments, Predictions, Provenance, Responses, Samples
from ..io.arrays import drop_pages
from ..io.partial import Partial
from .folds import Folds
from .models import EncodingModel
from .plan import Choice
from .solvers.base import Task

FLAT = ("y", "p", "yy", "pp", "yp", "alphas")
BANDED = ("y_band", "p_band", "gammas")
VALUES = "values.npy"
# A target's weights are called unstable if on average over outer folds more than this share of them moves.
UNSTABLE = 0.25


def pack(
    model: EncodingModel,
    responses: Responses,
    folds: Folds,
    *,
    grid: np.ndarray,
    provenance: Provenance,
    state: dict[str, np.ndarray],
    values: np.ndarray | None,
    solver: dict[str, object],
) -> Predictions:
    """Build `Predictions` from the arrays of all chunks."""
    rows, fold_of = held_rows(folds)
    samples: Samples = responses.samples[rows]
    moments = FoldMoments(**{name: state[name] for name in ("n", "y", "p", "yy", "pp", "yp", "y_band", "p_band")})
    return Predictions(
        model.name,
        ("+".join(model.bands),) if model.joined else model.bands,
        responses.subject,
        samples,
        responses.targets,
        fold_of,
        moments,
        state["alphas"],
        grid,
        state["gammas"],
        values,
        provenance,
        solver,
    )


def join_folds(
    model: EncodingModel,
    parts: Sequence[Predictions],
    folds: Folds,
    responses: Responses,
    *,
    values: np.ndarray | None,
    provenance: Provenance,
    sizes: Sequence[Sequence[int]],
) -> Predictions:
    """Join the predictions of single outer folds."""
    rows, fold_of = held_rows(folds)
    names = [field.name for field in fields(FoldMoments)]
    moments = {name: np.concatenate([getattr(part.moments, name) for part in parts]) for name in names}
    alphas, gammas = (np.concatenate([getattr(part, name) for part in parts]) for name in ("alphas", "gammas"))
    grid = np.unique(np.concatenate([part.alpha_grid for part in parts]))
    told = [part.solver for part in parts]
    curves = [one["curve"] for one in told]
    curve = np.mean(curves, axis=0) if len({len(one) for one in curves}) == 1 else np.full(1, np.nan)
    solver = dict(told[0]) | search_facts({"alphas": alphas, "gammas": gammas}, grid, curve)
    solver |= {name: sum(one[name] for one in told) for name in ("fell_back", "verified_targets")}
    solver["verified_difference"] = max(one["verified_difference"] for one in told)
    spaces = zip(model.bands, zip(*sizes, strict=True), strict=True)
    counts = ", ".join(f"{band} {min(n)}" + (f" to {max(n)}" if max(n) > min(n) else "") for band, n in spaces)
    solver["reason"] = f"{solver['reason']} Components of training rows: {counts}."
    return Predictions(
        model.name,
        parts[0].bands,
        responses.subject,
        responses.samples[rows],
        responses.targets,
        fold_of,
        FoldMoments(**moments),
        alphas,
        grid,
        gammas,
        values,
        provenance,
        solver,
    )


def held_rows(folds: Folds) -> tuple[np.ndarray, np.ndarray]:
    """List the held-out rows of all folds, and the fold of each; an averaged row is the first of its repeats."""
    rows, fold_of = [], []
    for k, fold in enumerate(folds.folds):
        _, first = np.unique(fold.average, return_index=True)
        rows.append(fold.test[first])
        fold_of.append(np.full(len(first), k))
    return np.concatenate(rows), np.concatenate(fold_of)


def chunk_values(number: int) -> str:
    """Return the name of the file in which a chunk keeps its predictions where it may not write to that of all."""
    return f"chunk-{number:05d}.npy"


def gather_values(partial: Partial, chunks: Sequence[np.ndarray]) -> np.ndarray:
    """Move predictions that chunks have kept in files of their own to the array of all targets."""
    for number, chunk in enumerate(chunks):
        if (partial.folder / chunk_values(number)).is_file():
            whole, part = partial.array(VALUES), partial.reopen(chunk_values(number))
            for band, kept in zip(whole, part, strict=True):
                band[:, chunk] = kept
            drop_pages(whole)
    return partial.reopen(VALUES)


def gather(
    partial: Partial, chunks: Sequence[np.ndarray], task: Task, choice: Choice, n_folds: int, n_targets: int
) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Concatenate the results of all chunks.

    Return penalties, weights and sums of all targets, NaN where nothing was fitted, and what the report says about the
    solver and the search.
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
        **search_facts(state, task.alphas, curve / max(n_folds * fitted, 1)),
    }
    return {name: partial.reopen(_file(name)) for name in state}, solver


def _file(name: str) -> str:
    """Return the file name of an array in a saved `Predictions`, so that it is written in place."""
    return f"{name}.npy" if name in ("alphas", "gammas") else f"moments_{name}.npy"


def _dtype(name: str) -> type:
    """Return the precision in which an array is saved."""
    return np.float32 if name == "gammas" else np.float64


def search_facts(state: dict[str, np.ndarray], grid: np.ndarray, curve: np.ndarray) -> dict[str, Any]:
    """Summarise a search: choices at the smallest and largest penalty, unstable weights, and the learning curve.

    Weights of a target are unstable if more than a quarter of them moves between outer folds.
    """
    alphas = state["alphas"]
    n = max(int(np.isfinite(alphas).all(0).sum()), 1)
    unstable = 0
    for first in range(0, alphas.shape[1], 4096):
        gammas = state["gammas"][:, :, first : first + 4096]
        unstable += int((0.5 * np.abs(gammas - gammas.mean(0)).sum(1).mean(0) > UNSTABLE).sum())
    # A solver with a grid of its own may choose penalties between those of the model; each counts for the nearest.
    edges = np.sqrt(grid[1:] * grid[:-1])
    low, high = (alphas < edges[0], alphas >= edges[-1]) if len(edges) else (np.zeros(1), np.zeros(1))
    return {
        "at_smallest_alpha": float(low.sum() / (n * len(alphas))),
        "at_largest_alpha": float(high.sum() / (n * len(alphas))),
        "unstable_gammas": unstable / n,
        "curve": [float(value) for value in curve],
    }

"""Fit on training folds, predict held-out folds."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np

from ..core import (
    AlignmentError,
    DataError,
    FeatureSpace,
    FoldMoments,
    Predictions,
    Provenance,
    Responses,
    Samples,
    digest,
    fingerprint_array,
    suggest,
    versions,
)
from ..io.atomic import atomic_folder
from ..io.store import load, saved_with, write_object
from ..numerics.metrics import fold_sums
from ..numerics.ridge import band_predictions
from ..numerics.scaling import scale_band
from .folds import Fold, Folds
from .models import EncodingModel
from .search import search

STEP = "cross_predict/1"
BLOCK_BYTES = 64 << 20


@dataclass(frozen=True, slots=True)
class Compute:
    """Where and within what memory to compute; changes no result.

    Attributes
    ----------
    device : {"cpu", "cuda"}
        Where the search runs.
    keep_bytes : int
        Held-out predictions of a model are kept if they take at most this much; 0 keeps none.
    chunk_bytes : int
        Responses are read in chunks of targets of about this size.
    """

    device: str = "cpu"
    keep_bytes: int = 2 << 30
    chunk_bytes: int = 256 << 20


@dataclass(frozen=True, slots=True)
class _Design:
    """Scaled features of one outer fold."""

    fold: Fold
    X_train: np.ndarray
    X_test: np.ndarray
    bands: list[slice]


def cross_predict(
    model: EncodingModel,
    spaces: Sequence[FeatureSpace],
    responses: Responses,
    folds: Folds,
    folder: str | Path,
    *,
    seed: int = 0,
    compute: Compute | None = None,
    progress: Callable[[float], None] | None = None,
) -> Predictions:
    """Predict every held-out sample with a model that has not seen it.

    In each outer fold features are z-scored and bands scaled to unit total variance with training samples only,
    responses are taken about their training mean, hyper-parameters are chosen per target on inner folds, and
    the refitted model predicts the held-out samples. Sums for all scores are kept for every fold; the
    predictions themselves are kept when they fit the budget.

    Peak memory is the features, about eight times `Compute.chunk_bytes`, and the sums of all targets
    (8 bytes x folds x (6 + 3 bands) x targets).

    Parameters
    ----------
    model : Ridge or BandedRidge
        What to fit.
    spaces : sequence of FeatureSpace
        Aligned feature spaces, at least those that the model names.
    responses : Responses
        Responses on the same samples.
    folds : Folds
        Outer and inner folds of these samples.
    folder : str or Path
        Where the result is saved; if it already holds the result of the same inputs, that is loaded.
    seed : int, default=0
        Seed of the candidates.
    compute : Compute, optional
        Device and memory.
    progress : callable, optional
        Called with the share done, between 0 and 1.

    Returns
    -------
    Predictions
        Loaded from `folder`.

    Raises
    ------
    AlignmentError
        If a feature space is missing, or its samples or those of the folds are not those of the responses.
    DataError
        If a target has values in some samples only.
    """
    compute = compute or Compute()
    if not folds.samples.same_as(responses.samples):
        raise AlignmentError(
            f"The folds divide {folds.samples!r}, but the responses of sub-{responses.subject} have "
            f"{responses.samples!r}. Call `make_folds` with the samples of the responses."
        )
    used = _spaces_of(model, spaces, responses)
    rng = np.random.default_rng([seed, int(digest([model.name, model.bands]), 16) % 2**32])
    gammas = model.candidates(rng)
    n_rows = sum(len(np.unique(fold.average)) for fold in folds.folds)
    shape = (gammas.shape[1], n_rows, len(responses.targets))
    keep = 4 * int(np.prod(shape)) <= compute.keep_bytes
    provenance = _provenance(model, used, responses, folds, seed=seed, keep=keep)
    if saved_with(folder, provenance.key):
        return load(folder)
    with atomic_folder(folder) as temporary:
        values = None
        if keep:
            values = np.lib.format.open_memmap(temporary / "values.npy", "w+", np.float32, shape)
            values[:] = np.nan
        state = _empty_state(len(folds.folds), shape[0], shape[2])
        chunks = _chunks(responses, compute.chunk_bytes)
        start = 0
        for k, fold in enumerate(folds.folds):
            design = _design(used, fold, joined=model.joined)
            rows = slice(start, start := start + len(design.X_test))
            state["n"][k] = len(design.X_test)
            for c, chunk in enumerate(chunks):
                predicted, results = _fit_chunk(design, responses, chunk, model.alphas, gammas, compute.device)
                for name, result in results.items():
                    state[name][k][..., chunk] = result
                if values is not None:
                    values[:, rows, chunk] = predicted
                if progress is not None:
                    progress((k * len(chunks) + c + 1) / (len(folds.folds) * len(chunks)))
        if values is not None:
            values.flush()
            values = np.load(temporary / "values.npy", mmap_mode="r")
        write_object(_pack(model, responses, folds, state, values, provenance), temporary)
    return load(folder)


def _chunks(responses: Responses, chunk_bytes: int) -> list[np.ndarray]:
    """Divide the usable targets; columns of NaN are left alone."""
    usable = np.flatnonzero(responses.usable)
    width = max(1, int(chunk_bytes // (4 * max(len(responses.samples), 1))))
    return [usable[start : start + width] for start in range(0, len(usable), width)]


def _spaces_of(model: EncodingModel, spaces: Sequence[FeatureSpace], responses: Responses) -> list[FeatureSpace]:
    by_name = {space.name: space for space in spaces}
    for band in model.bands:
        if band not in by_name:
            raise AlignmentError(f"Model {model.name!r} needs feature space {band!r}. {suggest(band, by_name)}")
        if not by_name[band].samples.same_as(responses.samples):
            raise AlignmentError(
                f"Feature space {band!r} has {by_name[band].samples!r}, the responses of sub-{responses.subject} have "
                f"{responses.samples!r}. Call `align` first."
            )
    return [by_name[band] for band in model.bands]


def _provenance(
    model: EncodingModel, used: list[FeatureSpace], responses: Responses, folds: Folds, *, seed: int, keep: bool
) -> Provenance:
    config = {"model": asdict(model), "kind": type(model).__name__, "keep": keep}
    rows = [[f.train.tolist(), f.test.tolist(), f.average.tolist()] for f in folds.folds]
    inner = [[[fit.tolist(), validation.tolist()] for fit, validation in f.inner] for f in folds.folds]
    inputs = {"responses": _identity(responses), "folds": digest([rows, inner])}
    inputs |= {f"features {s.name}": digest([s.features, fingerprint_array(s.values)]) for s in used}
    return Provenance(STEP, config, inputs, seed, versions())


def _identity(responses: Responses) -> str:
    """Hash provenance, axes and values; the provenance alone would miss values that were changed in memory."""
    n_finite = np.zeros(len(responses.targets), dtype=np.int64)
    blocks = []
    height = max(1, BLOCK_BYTES // (4 * max(len(responses.targets), 1)))
    for start in range(0, len(responses.samples), height):
        block = responses.values[start : start + height]
        n_finite += np.isfinite(block).sum(0)
        blocks.append(fingerprint_array(block))
    holed = np.flatnonzero((n_finite > 0) & (n_finite < len(responses.samples)))
    if len(holed):
        raise DataError(
            f"Responses: {len(holed)} targets of sub-{responses.subject} are finite in some samples only, the first is "
            f"column {holed[0]}. Make such columns NaN from top to bottom."
        )
    samples, targets = responses.samples, responses.targets
    axes = (samples.run, samples.stimulus, samples.onset, samples.duration, targets.index, targets.structure)
    names = [responses.subject, samples.clock, targets.space, targets.names]
    return digest([responses.provenance.key, names, blocks, [fingerprint_array(axis) for axis in axes]])


def _design(used: list[FeatureSpace], fold: Fold, *, joined: bool) -> _Design:
    blocks = [space.values for space in used]
    if joined:
        blocks = [np.concatenate(blocks, axis=1)]
    scaled = [scale_band(block[fold.train], _average(block[fold.test], fold.average)) for block in blocks]
    edges = np.cumsum([0] + [block.shape[1] for block in blocks]).tolist()
    train, test = (np.concatenate(part, axis=1) for part in zip(*scaled, strict=True))
    return _Design(fold, train, test, [slice(a, b) for a, b in pairwise(edges)])


def _average(rows: np.ndarray, member: np.ndarray) -> np.ndarray:
    if np.array_equal(member, np.arange(len(rows))):
        return rows
    sums = np.zeros((int(member.max()) + 1, rows.shape[1]))
    np.add.at(sums, member, rows)
    return sums / np.bincount(member)[:, None]


def _fit_chunk(
    design: _Design,
    responses: Responses,
    chunk: np.ndarray,
    alphas: Sequence[float],
    gammas: np.ndarray,
    device: str,
) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Search, refit and predict some targets in one outer fold."""
    fold, bands = design.fold, design.bands
    Y_train = responses.values[fold.train[:, None], chunk].astype(np.float64)
    mean = Y_train.mean(0)
    Y_train -= mean
    gamma, alpha, _ = search(
        design.X_train, Y_train, bands=bands, gammas=gammas, alphas=alphas, inner=fold.inner, device=device
    )
    predicted = band_predictions(design.X_train, Y_train, design.X_test, bands=bands, gammas=gamma, alphas=alpha)
    Y_test = _average(responses.values[fold.test[:, None], chunk].astype(np.float64), fold.average) - mean
    return predicted, {**fold_sums(Y_test, predicted), "alphas": alpha, "gammas": gamma}


def _empty_state(n_folds: int, n_bands: int, n_targets: int) -> dict[str, np.ndarray]:
    flat = {name: np.full((n_folds, n_targets), np.nan) for name in ("y", "p", "yy", "pp", "yp", "alphas")}
    banded = {name: np.full((n_folds, n_bands, n_targets), np.nan) for name in ("y_band", "p_band", "gammas")}
    return {**flat, **banded, "n": np.zeros(n_folds, dtype=np.int64)}


def _pack(
    model: EncodingModel,
    responses: Responses,
    folds: Folds,
    state: dict[str, np.ndarray],
    values: np.ndarray | None,
    provenance: Provenance,
) -> Predictions:
    rows, fold_of = [], []
    for k, fold in enumerate(folds.folds):
        # An averaged row takes the place of the first of its repeats.
        _, first = np.unique(fold.average, return_index=True)
        rows.append(fold.test[first])
        fold_of.append(np.full(len(first), k))
    samples: Samples = responses.samples[np.concatenate(rows)]
    moments = FoldMoments(**{name: state[name] for name in ("n", "y", "p", "yy", "pp", "yp", "y_band", "p_band")})
    return Predictions(
        model.name,
        ("+".join(model.bands),) if model.joined else model.bands,
        responses.subject,
        samples,
        responses.targets,
        np.concatenate(fold_of),
        moments,
        state["alphas"],
        np.asarray(sorted(model.alphas)),
        state["gammas"],
        values,
        provenance,
    )

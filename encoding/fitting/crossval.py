"""Fit models on training folds and predict the held-out folds."""

import logging
import shutil
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from ..core import (
    AlignmentError,
    DataError,
    FeatureSpace,
    Predictions,
    Provenance,
    Responses,
    digest,
    fingerprint_array,
    suggest,
    versions,
)
from ..core.progress import Progress, silent
from ..io.arrays import drop_pages, put_columns, take_columns
from ..io.partial import Partial
from ..io.store import load, saved_with, write_object
from .arrays import choose_arrays
from .assembly import VALUES, chunk_values, gather, gather_values, held_rows, join_folds, pack
from .budget import Compute
from .design import DesignMatrix, lay_out_folds, make_design
from .folds import Folds
from .models import EncodingModel
from .plan import Choice, choose_method, group_members, plan_memory
from .reduction import reduce_all
from .solvers import SOLVERS
from .solvers.base import Fit, Keep, Problem, Size, Solver, Task
from .solvers.himalaya import HimalayaSolver, verify
from .solvers.search_statistics import StatisticsSolver
from .solvers.shared import SharedSolver, share_penalties

STEP = "cross_predict/2"
logger = logging.getLogger(__name__)
BLOCK_BYTES = 64 << 20
# Settings of a model that reduce its spaces to components.
REDUCTIONS = ("pca", "keep_variance")


@dataclass(eq=False, slots=True)
class _Job:
    """One model and the folder of its result."""

    model: EncodingModel
    gammas: np.ndarray
    provenance: Provenance
    folder: Path
    keep: bool
    choice: Choice
    alphas: np.ndarray
    size: Size


def cross_predict(
    model: EncodingModel,
    spaces: Sequence[FeatureSpace],
    responses: Responses,
    folds: Folds,
    folder: str | Path,
    *,
    seed: int = 0,
    compute: Compute | None = None,
    progress: Progress = silent,
) -> Predictions:
    """Predict every held-out sample with a model that has not seen it.

    In each outer fold hyper-parameters are chosen per target on inner folds, in each of which features are z-scored
    and bands scaled to unit total variance with the rows that are fitted only; the model is refitted on all training
    samples, scaled anew, and predicts the held-out samples. Responses are taken about their training means. Sums for
    all scores are kept for every fold; the predictions themselves are kept when they fit the budget.

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
        Where the result is saved; if it already holds the result of the same inputs, that is loaded. An interrupted
        fit leaves its finished chunks of targets beside it, and goes on after them.
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
    ConfigError
        If the budget of memory is too small.

    Examples
    --------
    >>> from encoding.fitting import cross_predict
    >>> model = encoding.Ridge(("mllm",), name="again")
    >>> cross_predict(model, loaded.spaces, loaded.responses, fitted.folds, "work/again").values.shape
    (1, 38, 1092)
    """
    return cross_predict_all(
        [model], spaces, responses, folds, [folder], seed=seed, compute=compute, progress=progress
    )[0]


def cross_predict_all(
    models: Sequence[EncodingModel],
    spaces: Sequence[FeatureSpace],
    responses: Responses,
    folds: Folds,
    folders: Sequence[str | Path],
    *,
    seed: int = 0,
    compute: Compute | None = None,
    progress: Progress = silent,
) -> list[Predictions]:
    """Predict every held-out sample with several models, reading the responses once.

    Parameters
    ----------
    models : sequence of Ridge or BandedRidge
        What to fit.
    spaces : sequence of FeatureSpace
        Aligned feature spaces, at least those that the models name.
    responses : Responses
        Responses on the same samples.
    folds : Folds
        Outer and inner folds of these samples.
    folders : sequence of str or Path
        Where the result of each model is saved.
    seed : int, default=0
        Seed of the candidates.
    compute : Compute, optional
        Device and memory.
    progress : callable, optional
        Called with the share done, between 0 and 1.

    Returns
    -------
    list of Predictions
        One per model, each as `cross_predict` makes it.

    Examples
    --------
    >>> from encoding.fitting import cross_predict_all
    >>> models = [encoding.Ridge((name,), name=f"only_{name}") for name in ("mllm", "category")]
    >>> folders = [f"work/{model.name}" for model in models]
    >>> found = cross_predict_all(models, loaded.spaces, loaded.responses, fitted.folds, folders)
    >>> [one.model for one in found]
    ['only_mllm', 'only_category']
    """
    compute = compute or Compute()
    if not folds.samples.same_as(responses.samples):
        raise AlignmentError(
            f"The folds divide {folds.samples!r}, but the responses of sub-{responses.subject} have "
            f"{responses.samples!r}. Call `make_folds` with the samples of the responses."
        )
    used = [_spaces_of(model, spaces, responses) for model in models]
    identity = _identity(responses)
    found: dict[int, Predictions] = {}
    for n, (model, its, folder) in enumerate(zip(models, used, folders, strict=True)):
        if _reduction(model) is not None:
            provenance = _provenance(
                model, its, identity, folds, seed=seed, keep=compute.keep_bytes > 0, method=model.method
            )
            found[n] = _fit_components(
                model, its, responses, folds, Path(folder), provenance=provenance, compute=compute, progress=progress
            )
    whole = [n for n in range(len(models)) if n not in found]
    jobs = [
        _job(models[n], used[n], identity, responses, folds, Path(folders[n]), seed=seed, compute=compute)
        for n in whole
    ]
    wanted = [number for number, job in enumerate(jobs) if not saved_with(job.folder, job.provenance.key)]
    if wanted:
        together = {space.name: space for number in wanted for space in used[whole[number]]}
        _fit([jobs[number] for number in wanted], list(together.values()), responses, folds, compute, progress)
    found |= {n: load(job.folder) for n, job in zip(whole, jobs, strict=True)}
    return [found[n] for n in range(len(models))]


def _job(
    model: EncodingModel,
    used: list[FeatureSpace],
    identity: str,
    responses: Responses,
    folds: Folds,
    folder: Path,
    *,
    seed: int,
    compute: Compute,
) -> _Job:
    """Choose the solver of a model, and make the key of its result."""
    rng = np.random.default_rng([seed, int(digest([model.name, model.bands]), 16) % 2**32])
    gammas = model.candidates(rng)
    keep = _keeps(gammas.shape[1], responses, folds, compute)
    widths = tuple(space.values.shape[1] for space in used)
    alphas = model.penalties(sum(widths))
    rows = lay_out_folds(np.empty((len(folds.samples), 0)), folds)
    size = Size(rows, (sum(widths),) if model.joined else widths, len(gammas), len(alphas), free=not model.joined)
    choice = choose_solver(model, size, int(responses.usable.sum()), compute.device)
    provenance = _provenance(model, used, identity, folds, seed=seed, keep=keep, method=choice.method)
    return _Job(model, gammas, provenance, folder, keep, choice, alphas, size)


def _keeps(n_bands: int, responses: Responses, folds: Folds, compute: Compute) -> bool:
    """Return True if held-out predictions of every band fit the budget."""
    return 4 * n_bands * len(held_rows(folds)[0]) * len(responses.targets) <= compute.keep_bytes


def _fit(
    jobs: list[_Job],
    spaces: list[FeatureSpace],
    responses: Responses,
    folds: Folds,
    compute: Compute,
    progress: Progress,
) -> None:
    """Fit chunk after chunk; every model keeps what is finished."""
    design = make_design(spaces, folds)
    arrays = choose_arrays(compute.device, threads=compute.threads or None, vram=compute.vram_bytes)
    usable = np.flatnonzero(responses.usable)
    tasks = [make_task(design, job.model, job.gammas) for job in jobs]
    methods = [job.choice.method for job in jobs]
    plan = plan_memory(
        design.rows,
        [job.size for job in jobs],
        arrays,
        n_features=design.X.shape[1],
        n_targets=max(len(usable), 1),
        memory=compute.memory_bytes,
        chunk_bytes=compute.chunk_bytes,
        methods=methods,
    )
    logger.info("%s", plan.text)
    for job in jobs:
        logger.info("%s: %s", job.model.name, job.choice.reason)
    chunks = [usable[first : first + plan.n_chunk] for first in range(0, len(usable), plan.n_chunk)]
    tasks = [
        task if job.model.alpha_per_target else share_penalties(design, task, responses.values, chunks, arrays)
        for job, task in zip(jobs, tasks, strict=True)
    ]
    n_rows = sum(len(np.unique(fold.average)) for fold in folds.folds)
    shapes = [(task.gammas.shape[1], n_rows, len(responses.targets)) for task in tasks]
    partials = [Partial(job.folder, {"key": job.provenance.key, "chunk": plan.n_chunk}) for job in jobs]
    for job, partial, shape in zip(jobs, partials, shapes, strict=True):
        if job.keep:
            partial.array(VALUES, shape)
    groups = [
        ChunkFit(
            SOLVERS[methods[members[0]]],
            Problem(design, tuple(tasks[n] for n in members), arrays, plan.operators),
            [partials[n] for n in members],
            [shapes[n] if jobs[n].keep else None for n in members],
            apart=compute.workers.apart,
            verify=compute.verify,
        )
        for members in group_members(methods)
    ]
    missing = [number for number in range(len(chunks)) if not all(group.has(number) for group in groups)]
    done = len(chunks) - len(missing)
    fitted = compute.workers.map(_fit_chunk, (groups, responses, chunks), missing)
    for number, _ in enumerate(fitted, start=done + 1):
        progress(number / len(chunks))
    for job, task, partial in zip(jobs, tasks, partials, strict=True):
        values = gather_values(partial, chunks) if job.keep else None
        state, solver = gather(partial, chunks, task, job.choice, len(folds.folds), len(responses.targets))
        state["n"] = np.array([len(np.unique(fold.average)) for fold in folds.folds])
        write_object(
            pack(
                job.model,
                responses,
                folds,
                grid=job.alphas,
                provenance=job.provenance,
                state=state,
                values=values,
                solver=solver,
            ),
            partial.folder,
        )
        partial.finish()


def _fit_chunk(shared: tuple[list["ChunkFit"], Responses, list[np.ndarray]], number: int) -> None:
    """Fit one chunk of targets with every group of models that has not done so."""
    groups, responses, chunks = shared
    Y = take_columns(responses.values, chunks[number])
    for group in groups:
        if not group.has(number):
            group.run(number, Y, chunks[number])


def _reduction(model: EncodingModel) -> dict[str, Any] | None:
    """Return how a model reduces its feature spaces to components; None where it takes them as they are."""
    wanted = {"n_components": getattr(model, "pca", None), "share": getattr(model, "keep_variance", None)}
    return wanted if any(value is not None for value in wanted.values()) else None


def _fit_components(
    model: EncodingModel,
    used: list[FeatureSpace],
    responses: Responses,
    folds: Folds,
    folder: Path,
    *,
    provenance: Provenance,
    compute: Compute,
    progress: Progress,
) -> Predictions:
    """Fit a model of components fold by fold: those of a fold come from its training rows alone."""
    if saved_with(folder, provenance.key):
        found: Predictions = load(folder)
        return found
    wanted = _reduction(model)
    assert wanted is not None
    n_rows, n_bands = len(held_rows(folds)[0]), 1 if model.joined else len(used)
    keep = _keeps(n_bands, responses, folds, compute)
    seed = provenance.seed or 0
    inner = replace(model, pca=None, keep_variance=None)
    all_or_none = replace(compute, keep_bytes=2**62 if keep else 0)
    parts, places, sizes = [], [], []
    for k, fold in enumerate(folds.folds):
        components, _ = reduce_all(used, fold.train, **wanted)
        sizes.append([space.n_features for space in components])
        places.append(folder.with_name(f"{folder.name}-fold-{k}"))
        one = Folds((fold,), folds.samples, folds.gap)

        def tell(part: float, k: int = k) -> None:
            progress((k + part) / len(folds.folds))

        parts.append(
            cross_predict(inner, components, responses, one, places[-1], seed=seed, compute=all_or_none, progress=tell)
        )
    partial = Partial(folder, {"key": provenance.key})
    values = None
    if keep:
        filled = partial.array("values.npy", (n_bands, n_rows, len(responses.targets)))
        first = 0
        for part in parts:
            assert part.values is not None
            filled[:, first : first + len(part.samples)] = part.values
            first += len(part.samples)
        if isinstance(filled, np.memmap):
            filled.flush()
        values = partial.reopen("values.npy")
    write_object(
        join_folds(model, parts, folds, responses, values=values, provenance=provenance, sizes=sizes), partial.folder
    )
    partial.finish()
    for place in places:
        shutil.rmtree(place)
    joined: Predictions = load(folder)
    return joined


def make_task(design: DesignMatrix, model: EncodingModel, gammas: np.ndarray) -> Task:
    """Describe the search of a model: columns of its spaces, bands, candidates and penalties."""
    parts = [np.arange(design.X.shape[1])[design.columns[band]] for band in model.bands]
    edges = np.cumsum([0] + [len(part) for part in parts]).tolist()
    bands = [slice(0, edges[-1])] if model.joined else [slice(a, b) for a, b in pairwise(edges)]
    return Task(np.concatenate(parts), bands, gammas, model.penalties(edges[-1]), model.search == "guided")


def choose_solver(model: EncodingModel, size: Size, n_targets: int, device: str) -> Choice:
    """Choose the solver of a model: the one that its settings require, or the cheapest."""
    if not model.alpha_per_target:
        return Choice(SharedSolver.name, "one penalty per outer fold for all targets, as asked.")
    wanted = StatisticsSolver.name if model.search == "guided" else model.method
    return choose_method(wanted, size, n_targets, device)


def _spaces_of(model: EncodingModel, spaces: Sequence[FeatureSpace], responses: Responses) -> list[FeatureSpace]:
    """Return the feature spaces of a model, on the samples of the responses."""
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
    model: EncodingModel, used: list[FeatureSpace], identity: str, folds: Folds, *, seed: int, keep: bool, method: str
) -> Provenance:
    """Describe model, inputs and folds; a solver that tries candidates of its own is part of the key."""
    unset = {"keep_weights": None} | {name: None for name in REDUCTIONS if getattr(model, name, None) is None}
    settings = {name: value for name, value in asdict(model).items() if name not in unset}
    config = {"model": settings, "kind": type(model).__name__, "keep": keep}
    if method != "auto" and SOLVERS[method].regrids:
        config["solver"] = method
        # What it tries besides the settings of the model.
        if ratios := getattr(SOLVERS[method], "ratios", ()):
            config["ratios"] = list(ratios)
    rows = [[fingerprint_array(part) for part in (f.train, f.test, f.average)] for f in folds.folds]
    inner = [[[fingerprint_array(part) for part in pair] for pair in f.inner] for f in folds.folds]
    inputs = {"responses": identity, "folds": digest([rows, inner])}
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
        drop_pages(responses.values)
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


class ChunkFit:
    """Models that are fitted together, chunk after chunk."""

    def __init__(
        self,
        solver: type[Solver],
        problem: Problem,
        partials: list[Partial],
        shapes: list[tuple[int, ...] | None],
        *,
        apart: bool = False,
        verify: bool,
    ) -> None:
        self.kind, self.problem, self.partials, self.shapes = solver, problem, partials, shapes
        self.apart, self.verify = apart, verify
        self._solver: Solver | None = None

    def __getstate__(self) -> dict[str, Any]:
        """Leave out what the solver has prepared, which every process makes for itself."""
        return self.__dict__ | {"_solver": None}

    def has(self, number: int) -> bool:
        """Return True if the chunk is finished for every model."""
        return all(partial.has(number) for partial in self.partials)

    def run(self, number: int, Y: np.ndarray, chunk: np.ndarray) -> None:
        """Fit one chunk: responses Y (n_samples, n_chunk) of the targets `chunk`."""
        stores = [self._store(number, *pair, len(chunk)) for pair in zip(self.partials, self.shapes, strict=True)]
        columns = np.arange(len(chunk)) if self.apart else chunk
        writers = [_writer(store, columns, self.problem.design) for store in stores]
        fits, solver = self._solve(Y, writers)
        for index, (partial, store, fit) in enumerate(zip(self.partials, stores, fits, strict=True)):
            checked = np.zeros(2)
            if self.verify and solver.checked:
                checked = verify(self.problem, index, Y, fit, draw=solver.draw, seed=number)
            if isinstance(store, np.memmap):
                store.flush()
            kept = {"alphas": fit.alphas, "gammas": fit.gammas, "scores": fit.scores, "curve": fit.curve}
            partial.write(number, {**kept, **fit.sums, "method": np.asarray(solver.name), "verified": checked})

    def _store(self, number: int, partial: Partial, shape: tuple[int, ...] | None, n_chunk: int) -> np.ndarray | None:
        """Open what predictions are written to: the array of all targets, or one of this chunk."""
        if shape is None:
            return None
        # Processes of several machines may not write to one file, whose pages they would overwrite.
        return (
            partial.array(chunk_values(number), (*shape[:-1], n_chunk)) if self.apart else partial.array(VALUES, shape)
        )

    def _solve(self, Y: np.ndarray, writers: list[Keep | None]) -> tuple[list[Fit], Solver]:
        """Fit a chunk; himalaya takes over if a decomposition fails."""
        try:
            if self._solver is None:
                self._solver = self.kind(self.problem)
            return self._solver.fit(Y, writers), self._solver
        except np.linalg.LinAlgError as error:
            if not self.kind.checked:
                raise
            logger.warning("A decomposition failed (%s); himalaya fits this chunk of targets.", error)
            reference = [HimalayaSolver(replace(self.problem, tasks=(task,))) for task in self.problem.tasks]
            fits = [one.fit(Y, [writer])[0] for one, writer in zip(reference, writers, strict=True)]
            return fits, reference[0]


def _writer(store: np.ndarray | None, chunk: np.ndarray, design: DesignMatrix) -> Keep | None:
    """Return a function that stores predictions of a chunk; None where none are kept."""
    if store is None:
        return None
    lengths = [len(np.unique(fold.average)) for fold in design.folds]
    first = np.concatenate([[0], np.cumsum(lengths)])

    def keep(fold: int, columns: np.ndarray, predicted: np.ndarray) -> None:
        put_columns(store, slice(first[fold], first[fold + 1]), chunk[columns], predicted)

    return keep

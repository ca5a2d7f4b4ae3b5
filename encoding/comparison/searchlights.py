"""All searchlights of a volume, in chunks that are kept as soon as they are finished."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ..core import AlignmentError, Targets
from ..core.progress import Progress
from ..core.workers import HERE, Workers
from ..io.partial import Partial
from ..numerics.crossnobis import CrossnobisRsa
from ..numerics.rsa_pairs import PairRsa
from ..numerics.rsa_trace import TraceRsa
from ..numerics.searchlights import cube, neighbours, sphere
from ..numerics.similarity import Pairs, Similarity
from ..numerics.threads import torch_threads
from .patterns import Patterns
from .settings import UNITS, Rsa

CHUNK = 2048  # searchlights that are finished together
PATTERN_BYTES = 256 << 20  # patterns that are held at once
BATCH_BYTES = 256 << 20  # on a graphics card: patterns that are worked on at once


@dataclass(frozen=True, eq=False, slots=True)
class Lights:
    """Searchlights about every usable voxel."""

    targets: Targets  # All voxels
    usable: np.ndarray  # Columns of those that have values
    steps: np.ndarray  # (n_steps, 3) From the voxel in the middle to the others
    column: np.ndarray  # (n_voxels_of_the_grid,) Column of each voxel of the grid; -1 where there is no usable one

    def of(self, centres: np.ndarray) -> list[np.ndarray]:
        """List the columns of some searchlights."""
        grid = self.targets.grid
        assert grid is not None
        around = neighbours(self.targets.index[centres], grid.shape, self.column, self.steps)
        return [row[row >= 0] for row in around]


def lay_lights(settings: Rsa, patterns: Patterns) -> Lights:
    """Place a searchlight around every usable voxel."""
    targets = patterns.responses.targets
    if targets.kind != "voxel" or targets.grid is None:
        raise AlignmentError(
            f"[[rsa]] {settings.name!r}: searchlights need a volume, but targets are {targets!r}. Load a volume, or "
            'set regions = "atlas", which works on all targets.'
        )
    steps = cube(settings.edge_voxels) if settings.edge_voxels else sphere(settings.radius_mm or 0, targets.grid.affine)
    column = np.full(int(np.prod(targets.grid.shape)), -1, dtype=np.int64)
    column[targets.index[patterns.usable]] = patterns.usable
    return Lights(targets, patterns.usable, steps, column)


def compare_lights(
    settings: Rsa,
    models: Sequence[Similarity],
    pairs: Pairs,
    patterns: Patterns,
    *,
    partial: Partial,
    device: str,
    workers: Workers = HERE,
    progress: Progress,
) -> np.ndarray:
    """Compare models with the patterns of every searchlight.

    Memory beyond the models: at most 256 MB of patterns (more only where the voxels of one plane of searchlights take
    more), and for Spearman's correlation and Euclidean distances some 20 bytes per pair and thread.

    Returns (n_models, n_targets).
    """
    lights = lay_lights(settings, patterns)
    values = np.full((len(models), len(lights.targets)), np.nan, dtype=np.float32)
    chunks = [lights.usable[start : start + CHUNK] for start in range(0, len(lights.usable), CHUNK)]
    search = _Search(settings, models, pairs, patterns, lights, partial, device)
    missing = [number for number in range(len(chunks)) if not partial.has(number)]
    first = len(chunks) - len(missing) + 1
    for number, _ in enumerate(workers.map(_Search.run, search, missing), start=first):
        progress(number / len(chunks))
    for number, centres in enumerate(chunks):
        values[:, centres] = partial.read(number)["values"].T
    return values


@dataclass(eq=False)
class _Search:
    """All searchlights of one analysis; every process makes its own engine."""

    settings: Rsa
    models: Sequence[Similarity]
    pairs: Pairs
    patterns: Patterns
    lights: Lights
    partial: Partial
    device: str
    _engine: "_Traces | _Formed | None" = None

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_engine": None}

    def run(self, number: int) -> None:
        """Compute the searchlights of one chunk, and keep them."""
        if self._engine is None:
            self._engine = _engine(self.settings, self.models, self.pairs, self.patterns, self.device)
        centres = self.lights.usable[number * CHUNK : (number + 1) * CHUNK]
        values = _chunk(self._engine, self.lights, centres, self.patterns, self.settings.min_targets)
        self.partial.write(number, {"values": values})


class _Traces:
    """Searchlights by `TraceRsa`."""

    def __init__(self, models: Sequence[Similarity], pairs: Pairs, device: str) -> None:
        self.engine = TraceRsa(models, pairs, device=device)
        self.order, self.device, self.n_models = self.engine.order, device, len(models)
        # Searchlights that are worked on together, so that models without factors are read once for all of them.
        self.most = 1 << 10 if device != "cpu" else 8 if self.engine.without else 1

    def compare(self, patterns: torch.Tensor) -> np.ndarray:
        return self.engine.compare(patterns).cpu().numpy()


class _Formed:
    """Searchlights by `PairRsa` or `CrossnobisRsa`, one at a time."""

    most = 1

    def __init__(
        self, settings: Rsa, models: Sequence[Similarity], pairs: Pairs, patterns: Patterns, device: str
    ) -> None:
        self.engine: PairRsa | CrossnobisRsa
        compared = settings.comparison
        if settings.brain == "crossnobis":
            noise = settings.noise or UNITS
            self.engine = CrossnobisRsa(models, pairs, patterns.shows, noise=noise, comparison=compared, device=device)
        else:
            self.engine = PairRsa(models, pairs, brain=settings.brain, comparison=compared, device=device)
        self.order, self.device, self.n_models = self.engine.order, device, len(models)

    def compare(self, patterns: torch.Tensor) -> np.ndarray:
        return np.stack([self.engine.compare(one) for one in patterns])


def _engine(
    settings: Rsa, models: Sequence[Similarity], pairs: Pairs, patterns: Patterns, device: str
) -> _Traces | _Formed:
    if (settings.brain, settings.comparison) == ("correlation", "pearson"):
        return _Traces(models, pairs, device)
    return _Formed(settings, models, pairs, patterns, device)


def _chunk(
    engine: _Traces | _Formed, lights: Lights, centres: np.ndarray, patterns: Patterns, fewest: int
) -> np.ndarray:
    columns = lights.of(centres)
    sizes = np.array([len(some) for some in columns], dtype=np.int32)
    found = np.full((len(centres), engine.n_models), np.nan, dtype=np.float32)
    for part in _parts(columns, 4 * len(engine.order)):
        union = np.unique(np.concatenate([columns[k] for k in part.tolist()]))
        held = torch.as_tensor(patterns.read(union, engine.order), device=engine.device)
        wanted = part[sizes[part] >= fewest]

        def work(batch: np.ndarray, union: np.ndarray = union, held: torch.Tensor = held) -> None:
            inside = torch.as_tensor(
                np.searchsorted(union, np.stack([columns[k] for k in batch.tolist()])), device=held.device
            )
            found[batch] = engine.compare(held[inside])

        _each(work, list(_batches(wanted, sizes, engine)), engine.device)
    return found


def _parts(columns: Sequence[np.ndarray], bytes_each: int) -> Iterator[np.ndarray]:
    """Divide searchlights until the patterns of each part fit."""
    waiting = [np.arange(len(columns))]
    while waiting:
        part = waiting.pop()
        n_columns = len(np.unique(np.concatenate([columns[k] for k in part.tolist()])))
        if n_columns * bytes_each <= PATTERN_BYTES or len(part) == 1:
            yield part
        else:
            half = len(part) // 2
            waiting += [part[half:], part[:half]]


def _batches(wanted: np.ndarray, sizes: np.ndarray, engine: _Traces | _Formed) -> Iterator[np.ndarray]:
    """Divide searchlights into batches of one size each."""
    for size in np.unique(sizes[wanted]).tolist():
        alike = wanted[sizes[wanted] == size]
        step = int(np.clip(BATCH_BYTES // (4 * size * len(engine.order)), 1, engine.most))
        for start in range(0, len(alike), step):
            yield alike[start : start + step]


def _each(work: Callable[[np.ndarray], None], batches: Sequence[np.ndarray], device: str) -> None:
    """Work on batches side by side on a processor: each is too small to be divided."""
    n_threads = torch.get_num_threads() if device == "cpu" else 1
    if n_threads == 1:
        for batch in batches:
            work(batch)
        return
    with torch_threads(1), ThreadPoolExecutor(n_threads) as pool:
        for _ in pool.map(work, batches):
            pass


def partial_of(folder: Path, key: str) -> Partial:
    """Open the store of finished chunks of one analysis."""
    return Partial(folder, {"key": key, "chunk": CHUNK})

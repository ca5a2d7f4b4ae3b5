"""The array library that a search runs on: numpy on the processor, torch on CUDA."""

import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from ..numerics.partial_fractions import Coupling
from ..numerics.ridge_search import Operator


def available_threads() -> int:
    """Count the processors that this process may use; ``OMP_NUM_THREADS`` lowers it, as workers of a cluster need."""
    there = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else (os.cpu_count() or 1)
    wanted = os.environ.get("OMP_NUM_THREADS", "")
    return max(1, min(there, int(wanted) if wanted.isdigit() and int(wanted) else there))


@dataclass(frozen=True, slots=True)
class Arrays:
    """Where arrays live and how they are made.

    On the processor batches of targets go to threads and every product runs on one thread: the result of a batch
    does not depend on the number of threads, and threads of the linear algebra library do not wait for each other.
    """

    device: str = "cpu"  # Where
    dtype: str = "float32"  # "float32" or "float64": precision of what is as wide as the number of targets
    threads: int = 1  # Batches that are worked on at the same time; 1 on CUDA
    library: str = "numpy"  # Array library; numpy on the processor unless a test asks for the other
    vram: int = 8 << 30  # Bytes that may be taken on the graphics card

    @property
    def xp(self) -> Any:
        """The library."""
        if self.library == "numpy":
            return np
        import torch

        return torch

    @property
    def itemsize(self) -> int:
        """Bytes of a number."""
        return int(np.dtype(self.dtype).itemsize)

    def to(self, array: np.ndarray) -> Any:
        """Copy an array to the device, contiguous and in the precision of the search."""
        array = np.ascontiguousarray(array, dtype=self.dtype)
        return array if self.library == "numpy" else self.xp.from_numpy(array).to(self.device)

    def index(self, array: Any) -> Any:
        """Copy row numbers to the device; a slice or None is returned as it is."""
        if self.library == "numpy" or not isinstance(array, np.ndarray):
            return array
        return self.xp.from_numpy(np.ascontiguousarray(array, dtype=np.int64)).to(self.device)

    def empty(self, shape: tuple[int, ...]) -> Any:
        """Allocate an array of the library, uninitialised."""
        if self.library == "numpy":
            return np.empty(shape, dtype=self.dtype)
        return self.xp.empty(shape, dtype=getattr(self.xp, self.dtype), device=self.device)

    def whole(self, shape: tuple[int, ...]) -> Any:
        """Allocate an integer array of the library, of zeros."""
        if self.library == "numpy":
            return np.zeros(shape, dtype=np.int64)
        return self.xp.zeros(shape, dtype=self.xp.int64, device=self.device)

    def host(self, array: Any) -> np.ndarray:
        """Copy an array of the library back to main memory."""
        return array if self.library == "numpy" else array.cpu().numpy()

    def operator(self, operator: Operator) -> Operator:
        """Copy an operator to the device."""
        if self.library == "numpy":
            return operator
        couplings = tuple(
            Coupling(
                self.to(part.apart),
                self.index(part.close),
                None if part.near is None else self.to(part.near),
                self.to(part.weights),
                part.reach,
            )
            for part in operator.couplings
        )
        return replace(
            operator, columns=self.index(operator.columns), rotate=self.to(operator.rotate), couplings=couplings
        )

    def each(self, function: Callable[[Any], Any], items: Iterable[Any]) -> Iterator[Any]:
        """Map a function over items with several threads, each using one BLAS thread; yield results in order."""
        with threadpool_limits(1, user_api="blas"):
            if self.threads == 1:
                yield from map(function, items)
                return
            with ThreadPoolExecutor(self.threads) as pool:
                yield from pool.map(function, items)


def choose_arrays(
    device: str = "cpu", *, dtype: str = "float32", threads: int | None = None, vram: int = 8 << 30
) -> Arrays:
    """Choose numpy on the processor and torch on CUDA; all available threads unless `threads` is given."""
    if device == "cuda":
        return Arrays("cuda", dtype, 1, "torch", vram)
    return Arrays("cpu", dtype, threads or available_threads())

"""How much disk a run takes, and what of it may be given back."""

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..core import DataError
from ..fitting import EncodingModel
from ..io.locks import FOLDER, locked

WEIGHTS = "weights"  # folder of a participant's results
# Of each model: sums of squares and products of every target and outer fold, penalties, and weights of bands.
SUMS = 7 * 8
# Peak of a process beside [compute] memory: libraries, and what is read to be worked on (benchmarks/memory.py).
PROGRAM_BYTES = 750_000_000


@dataclass(frozen=True, slots=True)
class Footprint:
    """Bytes on disk that one participant takes."""

    responses: int  # Cleaned responses
    predictions: int  # Held-out predictions and the sums that scores are made of
    results: int  # Scores, maps and tables, which stay; the other two may be removed by ``encoding clean``
    weights: int = 0  # What ``keep_weights`` asks for, which stays unless it is named

    @property
    def work(self) -> int:
        """Bytes of intermediate results."""
        return self.responses + self.predictions

    def __str__(self) -> str:
        kept = f", {size_of(self.weights)} of weights" if self.weights else ""
        return (
            f"{size_of(self.work)} of intermediate results ({size_of(self.responses)} responses, "
            f"{size_of(self.predictions)} predictions), {size_of(self.results)} of results{kept}"
        )


def footprint(
    n_samples: int,
    n_targets: int,
    models: Sequence[EncodingModel],
    *,
    n_outer: int,
    keep_bytes: int = 2 << 30,
    n_features: Mapping[str, int] | None = None,
) -> Footprint:
    """Estimate the disk space that one participant takes; `n_features` are the columns of every feature space."""
    kept = [4 * len(model.bands) * n_samples * n_targets for model in models]
    predictions = sum(size for size in kept if size <= keep_bytes)
    sums = sum(n_outer * n_targets * (SUMS + 4 * len(model.bands)) for model in models)
    maps = sum((5 + len(model.bands)) * 2 * 4 * n_targets for model in models)
    known = n_features or {}
    weights = 0
    for model in models:
        n_sets = {"mean": 1, "folds": n_outer}.get(getattr(model, "keep_weights", "no"), 0)
        weights += n_sets * n_targets * (4 * sum(known.get(band, 0) for band in model.bands) + 8)
    return Footprint(4 * n_samples * n_targets, predictions + sums, maps, weights)


def bytes_there(folder: Path) -> int:
    """Count the bytes that a folder holds already; 0 if it is not there."""
    return _bytes_of(folder) if folder.is_dir() else 0


def free_space(folder: Path) -> int:
    """Return the bytes that are free where a folder is, or would be."""
    return shutil.disk_usage(_nearest(folder)).free


def same_disk(a: Path, b: Path) -> bool:
    """Return True if two folders are, or would be, on one disk."""
    return _nearest(a).stat().st_dev == _nearest(b).stat().st_dev


def _nearest(folder: Path) -> Path:
    return next(place for place in (folder, *folder.absolute().parents) if place.exists())


def require_space(folder: Path, n_bytes: int, what: str) -> None:
    """Raise `DataError` if a disk has less space than is needed."""
    free = free_space(folder)
    if free < n_bytes:
        raise DataError(
            f"{folder}: {what} needs {size_of(n_bytes)}, but {size_of(free)} are free. Free some space, or choose "
            f"another --work-dir; then run the same command again."
        )


def clean(output_dir: Path, work_dir: Path | None = None, *, weights: bool = False) -> int:
    """Remove intermediate results, which a later run would make again; results, embeddings and reports stay.

    `weights` removes what ``keep_weights`` asked for too.
    """
    work = work_dir or output_dir / "work"
    if not (output_dir / "dataset_description.json").is_file() or not (output_dir / "logs").is_dir():
        raise DataError(f"{output_dir}: no folder of results (dataset_description.json and logs/ are needed).")
    freed = 0
    for folder in sorted(work.glob("sub-*")):
        busy = f"{folder}: a run is under way for {folder.name}. Wait for it, or stop it."
        logs = output_dir / "logs"  # a run of another output folder with this work folder holds the second lock
        with locked(logs, folder.name, wait=False, busy=busy), locked(work, folder.name, wait=False, busy=busy):
            freed += _bytes_of(folder)
            shutil.rmtree(folder)
    for folder in sorted(output_dir.glob(f"sub-*/{WEIGHTS}")) if weights else []:
        subject = folder.parent.name
        busy = f"{folder}: a run is under way for {subject}. Wait for it, or stop it."
        with locked(output_dir / "logs", subject, wait=False, busy=busy):
            freed += _bytes_of(folder)
            shutil.rmtree(folder)
    shutil.rmtree(work / FOLDER, ignore_errors=True)
    if work.is_dir() and not any(work.iterdir()):
        work.rmdir()
    return freed


def weight_bytes(output_dir: Path) -> int:
    """Count the bytes of the weights of all participants."""
    return sum(_bytes_of(folder) for folder in output_dir.glob(f"sub-*/{WEIGHTS}"))


def _bytes_of(folder: Path) -> int:
    return sum(path.lstat().st_size for path in folder.rglob("*") if path.is_file())


def size_of(n_bytes: int) -> str:
    """Write a number of bytes in megabytes or gigabytes."""
    return f"{n_bytes / 1e9:.2f} GB" if n_bytes >= 1e9 else f"{n_bytes / 1e6:.0f} MB"

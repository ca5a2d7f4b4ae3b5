"""Results of finished chunks of targets, kept so that an interrupted computation goes on where it stopped."""

import json
import shutil
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from .atomic import atomic_file, clean_errors, reserve, sweep, sync, sync_folder, temporary_name

PLAN = "plan.json"
BLOCK_BYTES = 8 << 20


class Partial:
    """A folder beside the final one that fills up chunk by chunk."""

    def __init__(self, folder: Path, plan: Mapping[str, object]) -> None:
        self.final = Path(folder)
        self.folder = self.final.with_name(f".partial-{self.final.name}")
        text = json.dumps(dict(plan), sort_keys=True)
        known = self.folder / PLAN
        if not known.is_file() or known.read_text(encoding="utf-8") != text:
            shutil.rmtree(self.folder, ignore_errors=True)
            with clean_errors(self.folder):
                self.folder.mkdir(parents=True)
        sweep(self.folder)  # whoever has this result to make holds its lock
        if not known.is_file():
            with atomic_file(known) as temporary:
                temporary.write_text(text, encoding="utf-8")

    def has(self, chunk: int) -> bool:
        """Return True if a chunk is finished."""
        return self._path(chunk).is_file()

    def write(self, chunk: int, arrays: Mapping[str, np.ndarray]) -> None:
        """Keep the results of a chunk."""
        with atomic_file(self._path(chunk)) as temporary, temporary.open("wb") as stream:
            np.savez(stream, allow_pickle=False, **arrays)

    def read(self, chunk: int) -> dict[str, np.ndarray]:
        """Read the results of a chunk."""
        with np.load(self._path(chunk), allow_pickle=False) as stored:
            return dict(stored)

    def array(self, name: str, shape: tuple[int, ...] = (), dtype: type = np.float32) -> np.ndarray:
        """Open an array of the result, which is filled column by column; without a shape it must be there."""
        path = self.folder / name
        if shape and not path.is_file():
            with atomic_file(path) as temporary:
                _write_missing(temporary, shape, np.dtype(dtype))
        return np.load(path, mmap_mode="r+", allow_pickle=False)

    def reopen(self, name: str) -> np.ndarray:
        """Open an array that has been filled."""
        return np.load(self.folder / name, mmap_mode="r", allow_pickle=False)

    def finish(self) -> None:
        """Rename the folder to its final name, without files that only serve to resume; all is on the disk then."""
        sync_folder(self.folder)
        # Renamed before it is tidied: a process that is killed in between leaves files too many, not too few.
        old = temporary_name(self.final, ".old-")
        if self.final.exists():
            self.final.rename(old)
        self.folder.rename(self.final)
        sync(self.final.parent)
        shutil.rmtree(old, ignore_errors=True)
        sweep(self.final)  # of workers that died while this one went on
        tidy(self.final)

    def _path(self, chunk: int) -> Path:
        return self.folder / f"chunk-{chunk:05d}.npz"


def tidy(folder: Path) -> None:
    """Remove from finished results below a folder what was only kept to go on."""
    for plan in folder.rglob(PLAN):
        if not plan.parent.name.startswith(".partial-"):
            for path in (*plan.parent.glob("chunk-*.np[yz]"), plan):
                path.unlink(missing_ok=True)


def sweep_results(folder: Path) -> None:
    """Remove what killed processes left below a folder whose lock is held."""
    for place in (folder, *(path for path in folder.rglob("*") if path.is_dir())):
        if place.is_dir():
            sweep(place)
    tidy(folder)


def _write_missing(path: Path, shape: tuple[int, ...], dtype: np.dtype) -> None:
    """Write an array of NaN with ordinary writes, after its space was reserved."""
    values = np.lib.format.open_memmap(path, "w+", dtype, shape)
    first, n_bytes, count = values.offset, values.nbytes, values.size
    del values
    reserve(path, first + n_bytes)
    piece = np.full(min(count, BLOCK_BYTES // dtype.itemsize), np.nan, dtype=dtype)
    with path.open("r+b") as stream:
        stream.seek(first)
        for start in range(0, count, max(len(piece), 1)):
            stream.write(piece[: count - start].data)

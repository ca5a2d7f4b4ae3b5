"""Results of finished chunks of targets, kept so that an interrupted computation goes on where it stopped."""

import json
import shutil
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from .atomic import atomic_file

PLAN = "plan.json"


class Partial:
    """A folder beside the final one that fills up chunk by chunk.

    Parameters
    ----------
    folder : Path
        The final folder.
    plan : mapping
        Key of the result, and how the targets are divided; chunks of another plan are thrown away.
    """

    def __init__(self, folder: Path, plan: Mapping[str, object]) -> None:
        self.final = Path(folder)
        self.folder = self.final.with_name(f".partial-{self.final.name}")
        text = json.dumps(dict(plan), sort_keys=True)
        known = self.folder / PLAN
        if not known.is_file() or known.read_text(encoding="utf-8") != text:
            shutil.rmtree(self.folder, ignore_errors=True)
            self.folder.mkdir(parents=True)
        for left in self.folder.glob(".tmp-*"):  # by a run that was killed while it wrote
            left.unlink()
        if not known.is_file():
            with atomic_file(known) as temporary:
                temporary.write_text(text, encoding="utf-8")

    def has(self, chunk: int) -> bool:
        """Tell whether a chunk is finished.

        Parameters
        ----------
        chunk : int
            Its number.

        Returns
        -------
        bool
            True if `read` can read it.
        """
        return self._path(chunk).is_file()

    def write(self, chunk: int, arrays: Mapping[str, np.ndarray]) -> None:
        """Keep the results of a chunk.

        Parameters
        ----------
        chunk : int
            Its number.
        arrays : mapping of str to ndarray
            The results.
        """
        with atomic_file(self._path(chunk)) as temporary, temporary.open("wb") as stream:
            np.savez(stream, allow_pickle=False, **arrays)

    def read(self, chunk: int) -> dict[str, np.ndarray]:
        """Read the results of a chunk.

        Parameters
        ----------
        chunk : int
            Its number.

        Returns
        -------
        dict of str to ndarray
            What was kept.
        """
        with np.load(self._path(chunk), allow_pickle=False) as stored:
            return dict(stored)

    def array(self, name: str, shape: tuple[int, ...], dtype: type = np.float32) -> np.ndarray:
        """Open an array of the result, which is filled column by column.

        Parameters
        ----------
        name : str
            Its file.
        shape : tuple of int
            Its shape; the last axis are targets.
        dtype : type
            Its precision.

        Returns
        -------
        ndarray
            A writeable memory map; NaN where nothing has been written.
        """
        path = self.folder / name
        if not path.is_file():
            with atomic_file(path) as temporary:
                made = np.lib.format.open_memmap(temporary, "w+", dtype, shape)
                made[:] = np.nan
                made.flush()
        return np.load(path, mmap_mode="r+", allow_pickle=False)

    def reopen(self, name: str) -> np.ndarray:
        """Open an array that has been filled.

        Parameters
        ----------
        name : str
            Its file.

        Returns
        -------
        ndarray
            A memory map that cannot be written to.
        """
        return np.load(self.folder / name, mmap_mode="r", allow_pickle=False)

    def finish(self) -> None:
        """Give the folder its final name, without what was only kept to go on."""
        for path in (*self.folder.glob("chunk-*.npz"), self.folder / PLAN):
            path.unlink()
        old = self.final.with_name(f".old-{self.final.name}")
        shutil.rmtree(old, ignore_errors=True)
        if self.final.exists():
            self.final.rename(old)
        self.folder.rename(self.final)
        shutil.rmtree(old, ignore_errors=True)

    def _path(self, chunk: int) -> Path:
        return self.folder / f"chunk-{chunk:05d}.npz"

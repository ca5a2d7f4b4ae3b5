"""One process at a time on one result.

On a cluster many processes work into one folder, of which several may want the same subject or the same embedding. The
kernel frees the locks of a process that is killed. File systems without such locks (some network drives) get a marker
file instead, which names host and process and is touched while its owner lives.
"""

import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from errno import EINVAL, ENOLCK, ENOSYS, ENOTSUP, EOPNOTSUPP
from pathlib import Path

from filelock import BaseFileLock, FileLock, SoftFileLock, Timeout

from ..core import DataError
from .atomic import clean_errors, sweep, temporary_name

FOLDER = ".locks"
# Errors of file systems that have no locks of the kernel.
NO_LOCKS = (ENOLCK, ENOSYS, ENOTSUP, EOPNOTSUPP, EINVAL)
BEAT = 30.0  # seconds between signs of life of a marker file
LEASE = 600.0  # seconds without one after which its owner counts as dead
SOON = 0.5  # seconds after which somebody who waits is told so


@contextmanager
def locked(
    folder: str | Path,
    name: str,
    *,
    wait: bool = True,
    busy: str = "",
    sweeping: tuple[tuple[Path, str], ...] = (),
    tell: Callable[[str], None] = lambda text: None,  # noqa: ARG005
) -> Iterator[None]:
    """Hold the lock of a result while the block runs."""
    path = Path(folder) / FOLDER / f"{name}.lock"
    with clean_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = _acquire(path, wait, busy, tell)
    stop = _beat(path) if isinstance(lock, SoftFileLock) else None
    try:
        for place, pattern in sweeping:
            sweep(place, pattern)
        yield
    finally:
        if stop is not None:
            stop.set()
        lock.release()


def _acquire(path: Path, wait: bool, busy: str, tell: Callable[[str], None]) -> BaseFileLock:
    try:
        return _try(FileLock(path, fallback_to_soft=False), path, wait, busy, tell)
    except OSError as error:
        if isinstance(error, Timeout) or error.errno not in NO_LOCKS:
            raise
        return _try(SoftFileLock(f"{path}.soft"), path, wait, busy, tell)


def _try(lock: BaseFileLock, path: Path, wait: bool, busy: str, tell: Callable[[str], None]) -> BaseFileLock:
    told = False
    while True:
        _break_dead(path)
        try:
            lock.acquire(timeout=SOON if wait else 0)
            _note_owner(path)
            return lock
        except Timeout as error:
            if not wait:
                raise DataError(busy or f"{path}: another process holds this lock. Wait for it.") from error
        if not told:
            tell(f"waiting for {_owner(path)} to finish {path.stem}")
            told = True


def _break_dead(path: Path) -> None:
    """Remove a marker whose owner gave no sign of life; filelock itself does so for processes of this host.

    Of several that wait, one at a time looks and removes: another could remove the marker that the first one has made
    meanwhile.
    """
    marker, turn = Path(f"{path}.soft"), Path(f"{path}.break")
    if not _is_dead(marker):
        return
    try:
        os.close(os.open(turn, os.O_CREAT | os.O_EXCL | os.O_WRONLY))
    except FileExistsError:
        if _is_dead(turn):  # it was killed in its turn; renaming succeeds for one only
            with suppress(OSError):
                left = temporary_name(turn, ".old-")
                turn.rename(left)
                left.unlink()
        return
    try:
        if _is_dead(marker):
            marker.unlink(missing_ok=True)
    finally:
        turn.unlink(missing_ok=True)


def _is_dead(marker: Path) -> bool:
    try:
        return time.time() - marker.stat().st_mtime > LEASE
    except OSError:  # there is none, or its owner removed it meanwhile
        return False


def _owner(path: Path) -> str:
    try:
        return path.with_suffix(".owner").read_text(encoding="utf-8").strip() or "another process"
    except OSError:
        return "another process"


def _note_owner(path: Path) -> None:
    path.with_suffix(".owner").write_text(f"process {os.getpid()} on {socket.gethostname()}\n", encoding="utf-8")


def _beat(path: Path) -> threading.Event:
    """Touch a marker file until the event is set."""
    stop = threading.Event()

    def touch() -> None:
        while not stop.wait(BEAT):
            try:
                os.utime(f"{path}.soft")
            except OSError:
                return

    threading.Thread(target=touch, daemon=True, name="lock").start()
    return stop

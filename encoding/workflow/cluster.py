"""Workers on this machine, at an address, or in jobs of Slurm or Grid Engine: all of them by Dask."""

import logging
import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from ..core import ConfigError
from ..core.workers import HERE, Workers
from ..fitting.arrays import available_threads
from ..fitting.budget import ComputeSettings, parse_size

if TYPE_CHECKING:
    from distributed import Client

logger = logging.getLogger(__name__)
S = TypeVar("S")
T = TypeVar("T")
R = TypeVar("R")
TOPIC = "brain-encoding"
PROCESSES = True  # tests that replace functions need workers in their own process
OVERHEAD = 1 << 30  # memory of a worker beyond that of its fit: the interpreter and libraries
PIECES_FIRST = 10  # priority of the pieces of a subject over subjects that have not begun
# What is shared is sent with its task on purpose, and people want to see their own progress.
CONFIGURATION = {
    "distributed.admin.large-graph-warning-threshold": "100 GB",
    "logging": {"distributed": "error", "tornado": "error"},
}
LIBRARIES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
# Dask has workers return freed memory to the system at once, so that every large array costs page faults anew. These
# are the largest values that glibc arrives at by itself in other programs; bytes.
MEMORY = {"MALLOC_TRIM_THRESHOLD_": 64 << 20, "MALLOC_MMAP_THRESHOLD_": 32 << 20}


@dataclass(frozen=True, slots=True)
class DaskWorkers:
    """Runs pieces of work as tasks of Dask; a task may divide its work further, and waits without keeping a worker.

    Dask repeats the work of workers that die. A piece that takes its worker down every time is given up.
    """

    @property
    def apart(self) -> bool:
        """Pieces run in other processes."""
        return True

    def map(
        self, function: Callable[[S, T], R], shared: S, items: Sequence[T], *, lost: Callable[[T], R] | None = None
    ) -> Iterator[R]:
        """Submit all pieces, and yield their results in the order of the items."""
        from distributed import KilledWorker

        with _client() as client:
            # A task of its own, so that Dask sends it once to each worker and makes it again if that dies.
            held = client.submit(_hold, shared, pure=False, priority=PIECES_FIRST)
            futures = client.map(function, [held] * len(items), list(items), pure=False, priority=PIECES_FIRST)
            try:
                for item, future in zip(items, futures, strict=True):
                    try:
                        found = future.result()
                    except KilledWorker:
                        if lost is None:
                            raise
                        found = lost(item)
                    yield found
            finally:
                client.cancel([future for future in futures if not future.done()])


def _hold(shared: S) -> S:
    return shared


@contextmanager
def _client() -> Iterator["Client"]:
    """Connect to the scheduler: as a task that lets others work while it waits, or as the main program."""
    from distributed import get_client, get_worker, worker_client

    try:
        get_worker()
    except ValueError:
        yield get_client()
        return
    with worker_client() as client:
        yield client


@dataclass(frozen=True, slots=True)
class Relay:
    """Passes the progress of a participant from its worker to the screen of the program that was started."""

    subject: str

    def __call__(self, step: str, share: float) -> None:
        """Send the share of a step that is done."""
        self._send({"subject": self.subject, "step": step, "share": float(share)})

    def say(self, text: str) -> None:
        """Send a line of text."""
        self._send({"subject": self.subject, "text": text})

    def _send(self, message: dict[str, Any]) -> None:
        from distributed import get_worker

        get_worker().log_event(TOPIC, message)


@contextmanager
def open_workers(
    compute: ComputeSettings | None = None, n_jobs: int = 1, *, hear: Callable[[dict[str, Any]], None] | None = None
) -> Iterator[Workers]:
    """Start the workers set in ``[compute] cluster``, or else `n_jobs` on this machine.

    Parameters
    ----------
    compute : ComputeSettings, optional
        Cluster, memory and threads.
    n_jobs : int
        Workers on this machine where the settings name no cluster; 1 stays in this process, 0 and less take as many
        as there are processors.
    hear : callable, optional
        Called with the messages of `Relay`.

    Yields
    ------
    Workers
        For `Job`, `make_spaces` and all functions that take workers. They stop when the block ends.

    Raises
    ------
    ConfigError
        If packages for a cluster are missing, or nothing answers at an address.

    Examples
    --------
    >>> from encoding.pipeline import open_workers
    >>> with open_workers(study.compute) as workers:
    ...     print(type(workers).__name__)
    Here
    """
    compute = compute or ComputeSettings()
    kind, _, rest = (compute.cluster or f"local:{n_jobs if n_jobs > 0 else os.cpu_count() or 1}").partition(":")
    if (kind, rest) == ("local", "1"):
        yield HERE
        return
    import dask

    dask.config.set(CONFIGURATION)
    from distributed import Client

    with ExitStack() as stack:
        if kind == "dask":
            try:
                client = stack.enter_context(Client(f"tcp://{rest.removeprefix('//')}", timeout="20s"))
            except (OSError, ValueError) as error:
                raise ConfigError(
                    f"[compute] cluster = {compute.cluster!r}: no scheduler answers there ({error}). Start one with "
                    "`dask scheduler`, and workers with `dask worker`."
                ) from error
        else:
            cluster = _local(compute, int(rest), stack) if kind == "local" else _queued(compute, kind)
            client = stack.enter_context(Client(stack.enter_context(cluster)))
        logger.info("Every task is shown on %s", client.dashboard_link)
        if hear is not None:
            client.subscribe_topic(TOPIC, lambda event: hear(event[1]))
        yield DaskWorkers()


def _local(compute: ComputeSettings, n_workers: int, stack: ExitStack) -> Any:
    """Start workers on this machine, which share its processors and memory."""
    from distributed import LocalCluster
    from distributed.system import MEMORY_LIMIT

    threads = compute.threads or max(1, available_threads() // n_workers)
    # Numbers of threads are read when a process starts, and the environment of a worker is that of its parent.
    wanted = _environment(threads)
    before = {name: os.environ.get(name) for name in wanted}
    os.environ |= wanted
    stack.callback(_restore, before)
    return LocalCluster(
        n_workers=n_workers,
        threads_per_worker=1,
        processes=PROCESSES,
        memory_limit=min(_memory(compute), MEMORY_LIMIT // n_workers),
        dashboard_address="127.0.0.1:0",
        host="127.0.0.1",
        protocol="tcp://",
        local_directory=stack.enter_context(tempfile.TemporaryDirectory(prefix="encoding-")),
        silence_logs=40,  # errors
    )


def _environment(threads: int) -> dict[str, str]:
    """Return environment variables of a worker, which libraries read when they are loaded."""
    memory = {name: os.environ.get(name, str(size)) for name, size in MEMORY.items()}
    return dict.fromkeys(LIBRARIES, str(threads)) | memory


def _restore(before: dict[str, str | None]) -> None:
    for name, value in before.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value


def _queued(compute: ComputeSettings, kind: str) -> Any:
    """Submit jobs of one worker each; those that end are submitted again."""
    try:
        from dask_jobqueue import SGECluster, SLURMCluster
    except ImportError as error:
        raise ConfigError(
            f"[compute] cluster = {kind!r} needs dask-jobqueue: pip install 'brain-encoding[cluster]'."
        ) from error
    cluster = {"slurm": SLURMCluster, "sge": SGECluster}[kind](**_job_settings(compute, kind))
    cluster.adapt(minimum=compute.workers, maximum=compute.workers, interval="5s")
    return cluster


def _job_settings(compute: ComputeSettings, kind: str) -> dict[str, Any]:
    """Translate settings to those of a dask-jobqueue cluster; both schedulers are told threads and memory."""
    threads, memory = compute.threads or 1, _memory(compute)
    settings: dict[str, Any] = {
        "cores": 1,
        "processes": 1,
        "memory": f"{memory} B",
        "walltime": compute.walltime,
        "local_directory": compute.scratch,
        "job_script_prologue": [f"export {name}={value}" for name, value in _environment(threads).items()],
        "job_extra_directives": list(compute.job_options),
        "queue": compute.queue,
        "interface": compute.interface,
    }
    if kind == "slurm":
        settings |= {"job_cpu": threads, "account": compute.account}
    else:
        # Parallel environments have no common name, so that only users can ask for the slots of several threads.
        if threads > 1 and not any(option.startswith("-pe ") for option in compute.job_options):
            raise ConfigError(
                f"[compute] threads = {threads} with cluster = 'sge': jobs of Grid Engine have one slot unless a "
                f'parallel environment is named. Add it, such as job_options = ["-pe smp {threads}"]; `qconf -spl` '
                "lists them."
            )
        settings |= {"project": compute.account, "resource_spec": f"mem_free={memory >> 20}M"}
    return {name: value for name, value in settings.items() if value is not None}


def _memory(compute: ComputeSettings) -> int:
    """Bytes that the scheduler lets a worker have."""
    return parse_size(compute.memory, "[compute] memory") + OVERHEAD

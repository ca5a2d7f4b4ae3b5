"""Memory and device of a fit: the ``[compute]`` table, and the same in bytes."""

import re
from dataclasses import dataclass
from typing import Annotated

from ..core import ConfigError
from ..core.settings import Count, CountOrZero, Rule, Text, Unit, settings
from ..core.workers import HERE, Workers

UNITS = {"B": 1, "kB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12}
SIZE = re.compile(r"\s*([0-9]+(?:\.[0-9]+)?)\s*([kMGT]?B)\s*")
Size = Annotated[str, Rule('a size such as "2 GB"', lambda text: SIZE.fullmatch(text) is not None)]
CLUSTER = re.compile(r"|local:[1-9][0-9]{0,3}|dask://[^\s/]+:[0-9]+|slurm|sge")
KEEP, CHUNK, MEMORY = "2 GB", "32 MB", "8 GB"


def parse_size(text: str, where: str) -> int:
    """Convert a size such as "1.5 kB" to bytes; `where` names the key in the message.

    >>> parse_size("1.5 kB", "size")
    1500
    """
    match = SIZE.fullmatch(str(text))
    if not match:
        raise ConfigError(f'{where} = {text!r}, but a size such as "2 GB" is needed.')
    return int(float(match[1]) * UNITS[match[2]])


@dataclass(frozen=True, slots=True)
class Compute:
    """Device, memory and threads of a computation; they change no result beyond rounding.

    Attributes
    ----------
    device : {"cpu", "cuda"}
        Where the search runs.
    keep_bytes : int
        Held-out predictions of a model are kept if they take at most this much; 0 keeps none.
    chunk_bytes : int
        Responses are read in chunks of targets of at most this size.
    memory_bytes : int
        What a fit may take in all; chunks become smaller where they must.
    vram_bytes : int
        The same on the graphics card.
    threads : int
        Threads on the processor; 0 takes all that there are.
    verify : bool
        Whether to check a sample of targets of every chunk against himalaya.
    workers : Workers
        Where chunks of targets are fitted, as of `open_workers`; in this process unless given.

    Examples
    --------
    >>> from encoding.fitting import Compute
    >>> Compute(memory_bytes=2_000_000_000, threads=1).device
    'cpu'
    """

    device: str = "cpu"
    keep_bytes: int = parse_size(KEEP, "keep_bytes")
    chunk_bytes: int = parse_size(CHUNK, "chunk_bytes")
    memory_bytes: int = parse_size(MEMORY, "memory_bytes")
    vram_bytes: int = parse_size(MEMORY, "vram_bytes")
    threads: int = 0
    verify: bool = False
    workers: Workers = HERE


@settings("[compute]")
class ComputeSettings:
    """What a fit may take; it changes no result beyond rounding."""

    keep_predictions: Size = KEEP
    """Held-out predictions of a model are kept on disk if they take at most this size; "0 B" keeps none."""
    chunk: Size = CHUNK
    """Responses are fitted in chunks of targets of at most this size; finished chunks are kept."""
    memory: Size = MEMORY
    """Memory that a fit may take in all, responses included; chunks become smaller where they must."""
    vram: Size = MEMORY
    """Memory of the graphics card that a fit may take."""
    verify: bool = False
    """Whether a sample of targets of every chunk is checked against himalaya."""
    cluster: Annotated[
        str,
        Rule('"local:N", "dask://host:port", "slurm", "sge" or ""', lambda text: CLUSTER.fullmatch(text) is not None),
    ] = ""
    """Where participants and pieces of their work run: "local:N" (N workers of this machine, as `--n-jobs N`),
    "dask://host:port" (a Dask scheduler that runs already), or "slurm" or "sge" (jobs, which need the extra
    `cluster`); "" is this process, or what `--n-jobs` says. All workers need the same folders."""
    threads: CountOrZero = 0
    """Threads of one worker; 0 divides the processors among local workers, and is 1 in jobs."""
    workers: Count = 1
    """Jobs of "slurm" or "sge", of one worker each; jobs that end too early are submitted again."""
    walltime: Annotated[Text, Unit("h:min:s")] = "04:00:00"
    """Time that a job of "slurm" or "sge" may take."""
    queue: Text | None = None
    """Queue or partition of the jobs."""
    account: Text | None = None
    """Account (Slurm) or project (Grid Engine) of the jobs."""
    job_options: tuple[Text, ...] = ()
    """Further options of the jobs, such as "--exclude=node7"; with "sge" and several threads a parallel environment is
    needed, such as "-pe smp 4"."""
    interface: Text | None = None
    """Network interface that workers and this process reach each other by, such as "ib0"."""
    scratch: Text | None = None
    """Folder on the nodes for what does not fit into the memory of a worker."""

    def compute(self, device: str, workers: Workers = HERE) -> Compute:
        """Turn sizes into bytes."""
        return Compute(
            device,
            keep_bytes=parse_size(self.keep_predictions, "[compute] keep_predictions"),
            chunk_bytes=parse_size(self.chunk, "[compute] chunk"),
            memory_bytes=parse_size(self.memory, "[compute] memory"),
            vram_bytes=parse_size(self.vram, "[compute] vram"),
            threads=self.threads,
            verify=self.verify,
            workers=workers if device == "cpu" else HERE,  # there is one graphics card
        )

"""Memory and device of a fit: the ``[compute]`` table, and the same in bytes."""

import re
from dataclasses import dataclass
from typing import Annotated

from ..core import ConfigError
from ..core.settings import Rule, settings

UNITS = {"B": 1, "kB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12}
SIZE = re.compile(r"\s*([0-9]+(?:\.[0-9]+)?)\s*([kMGT]?B)\s*")
Size = Annotated[str, Rule('a size such as "2 GB"', lambda text: SIZE.fullmatch(text) is not None)]
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
    """Where and within what memory to compute; changes no result beyond rounding.

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
    """

    device: str = "cpu"
    keep_bytes: int = parse_size(KEEP, "keep_bytes")
    chunk_bytes: int = parse_size(CHUNK, "chunk_bytes")
    memory_bytes: int = parse_size(MEMORY, "memory_bytes")
    vram_bytes: int = parse_size(MEMORY, "vram_bytes")
    threads: int = 0
    verify: bool = False


@settings("[compute]")
class ComputeSettings:
    """What a fit may take; it changes no result beyond rounding."""

    keep_predictions: Size = KEEP
    """Held-out predictions of a model are kept on disk if they take at most this much; "0 B" keeps none."""
    chunk: Size = CHUNK
    """Responses are fitted in chunks of targets of at most this size; finished chunks are kept."""
    memory: Size = MEMORY
    """Memory that a fit may take in all, responses included; chunks become smaller where they must."""
    vram: Size = MEMORY
    """Memory of the graphics card that a fit may take."""
    verify: bool = False
    """Whether a sample of targets of every chunk is checked against himalaya."""

    def compute(self, device: str) -> Compute:
        """Turn sizes into bytes."""
        return Compute(
            device,
            keep_bytes=parse_size(self.keep_predictions, "[compute] keep_predictions"),
            chunk_bytes=parse_size(self.chunk, "[compute] chunk"),
            memory_bytes=parse_size(self.memory, "[compute] memory"),
            vram_bytes=parse_size(self.vram, "[compute] vram"),
            verify=self.verify,
        )

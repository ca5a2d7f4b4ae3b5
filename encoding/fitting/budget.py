"""What a fit may take: the ``[compute]`` table."""

import re
from typing import Annotated

from ..core import ConfigError
from ..core.settings import Rule, settings
from .crossval import Compute

UNITS = {"B": 1, "kB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12}


SIZE = re.compile(r"\s*([0-9]+(?:\.[0-9]+)?)\s*([kMGT]?B)\s*")
Size = Annotated[str, Rule('a size such as "2 GB"', lambda text: SIZE.fullmatch(text) is not None)]


@settings("[compute]")
class Budget:
    """What a fit may take; it changes no result beyond rounding."""

    keep_predictions: Size = "2 GB"
    """Held-out predictions of a model are kept on disk if they take at most this much; "0 B" keeps none."""
    chunk: Size = "32 MB"
    """Responses are fitted in chunks of targets of at most this size; finished chunks are kept."""
    memory: Size = "8 GB"
    """Memory that a fit may take in all, responses included; chunks become smaller where they must."""
    vram: Size = "8 GB"
    """Memory of the graphics card that a fit may take."""
    verify: bool = False
    """Whether a sample of targets of every chunk is checked against himalaya."""

    def compute(self, device: str) -> Compute:
        """Turn sizes into bytes.

        Parameters
        ----------
        device : {"cpu", "cuda"}
            Where to compute.

        Returns
        -------
        Compute
            What `cross_predict` takes.
        """
        return Compute(
            device,
            keep_bytes=parse_size(self.keep_predictions, "[compute] keep_predictions"),
            chunk_bytes=parse_size(self.chunk, "[compute] chunk"),
            memory_bytes=parse_size(self.memory, "[compute] memory"),
            vram_bytes=parse_size(self.vram, "[compute] vram"),
            verify=self.verify,
        )


def parse_size(text: str, where: str) -> int:
    """Read a size such as "2 GB".

    Parameters
    ----------
    text : str
        A number and a unit: B, kB, MB, GB or TB.
    where : str
        Name of the key, for the message.

    Returns
    -------
    int
        Bytes.

    Raises
    ------
    ConfigError
        If it is not a size.

    Examples
    --------
    >>> parse_size("1.5 kB", "size")
    1500
    """
    match = SIZE.fullmatch(str(text))
    if not match:
        raise ConfigError(f'{where} = {text!r}, but a size such as "2 GB" is needed.')
    return int(float(match[1]) * UNITS[match[2]])

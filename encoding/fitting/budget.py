"""What a fit may take: the ``[compute]`` table."""

import re
from dataclasses import dataclass

from ..core import ConfigError
from .crossval import Compute

UNITS = {"B": 1, "kB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12}


@dataclass(frozen=True, slots=True)
class Budget:
    """The ``[compute]`` table; it changes no result beyond rounding.

    Attributes
    ----------
    keep_predictions : str
        Held-out predictions of a model are kept on disk if they take at most this much ("2 GB"); "0 B" keeps none.
    chunk : str
        Responses are fitted in chunks of targets of at most this size; what is finished is kept after each.
    memory : str
        What a fit may take in all, responses included; chunks become smaller where they must.
    vram : str
        The same on the graphics card.
    verify : bool
        Whether a sample of targets of every chunk is checked against himalaya.
    """

    keep_predictions: str = "2 GB"
    chunk: str = "32 MB"
    memory: str = "8 GB"
    vram: str = "8 GB"
    verify: bool = False

    def __post_init__(self) -> None:
        """Check sizes."""
        self.compute("cpu")
        if not isinstance(self.verify, bool):
            raise ConfigError(f"[compute] verify = {self.verify!r}, but true or false is needed.")

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
    match = re.fullmatch(r"\s*([0-9]+(?:\.[0-9]+)?)\s*([kMGT]?B)\s*", str(text))
    if not match:
        raise ConfigError(f'{where} = {text!r}, but a size such as "2 GB" is needed.')
    return int(float(match[1]) * UNITS[match[2]])

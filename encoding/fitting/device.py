"""Choose the hardware that a solver runs on."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from ..core import ConfigError, suggest

DEVICES = ("cpu", "cuda", "auto")
logger = logging.getLogger(__name__)


def choose_device(wanted: str = "auto") -> tuple[str, str]:
    """Decide between CPU and CUDA.

    Parameters
    ----------
    wanted : {"cpu", "cuda", "auto"}
        "auto" takes CUDA where there is a device.

    Returns
    -------
    tuple of str
        "cpu" or "cuda", and a sentence that says what was chosen and why.

    Raises
    ------
    ConfigError
        If the name is unknown, or CUDA is asked for and there is none.

    Examples
    --------
    >>> from encoding.fitting import choose_device
    >>> choose_device("cpu")
    ('cpu', 'CPU, as asked.')
    """
    if wanted not in DEVICES:
        raise ConfigError(f"--device {wanted!r}. {suggest(wanted, DEVICES)}")
    if wanted == "cpu":
        return "cpu", "CPU, as asked."
    import torch

    if torch.cuda.is_available():
        return "cuda", f"CUDA: {torch.cuda.get_device_name(0)}."
    if wanted == "cuda":
        raise ConfigError(
            f"--device cuda: PyTorch {torch.__version__} finds no CUDA device. Use --device cpu, or install "
            "a CUDA build of PyTorch."
        )
    n = torch.get_num_threads()
    return "cpu", f"CPU with {n} thread{'' if n == 1 else 's'}: no CUDA device was found."


@contextmanager
def himalaya_backend(device: str) -> Iterator[None]:
    """Switch himalaya's process-wide array library inside the block, and restore it."""
    from himalaya.backend import get_backend, set_backend

    before = get_backend().name
    set_backend("torch_cuda" if device == "cuda" else "torch", on_error="raise")
    try:
        yield
    finally:
        set_backend(before, on_error="raise")

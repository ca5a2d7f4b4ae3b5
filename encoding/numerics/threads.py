"""How many threads torch uses within one computation."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def torch_threads(n_threads: int) -> Iterator[None]:
    """Use so many threads within one computation, and give them back."""
    before = torch.get_num_threads()
    if before == n_threads:  # nothing is set, so that computations side by side cannot disturb each other
        yield
        return
    torch.set_num_threads(n_threads)
    try:
        yield
    finally:
        torch.set_num_threads(before)

"""One error that names the file, whatever a library raises on a damaged one."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ..core import DataError, EncodingError
from .fetched import is_unfetched, unfetched_error


@contextmanager
def naming(path: Path, damaged: tuple[type[Exception], ...], problem: str, advice: str) -> Iterator[None]:
    """Turn what is raised on a damaged file into an error that names it; errors that do so already pass."""
    try:
        yield
    except EncodingError:
        raise
    except damaged as error:
        if is_unfetched(path):
            raise unfetched_error([path]) from error
        told = " ".join(str(error).split())
        raise DataError(f"{path}: {problem} ({type(error).__name__}: {told}). {advice}") from error

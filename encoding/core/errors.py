"""Errors that are meant for the user; the command line prints them in one line."""

import difflib
from collections.abc import Iterable


class EncodingError(Exception):
    """Base of every error that the user can act on.

    Examples
    --------
    >>> import encoding
    >>> try:
    ...     encoding.load("nowhere")
    ... except encoding.EncodingError as error:
    ...     print(error)
    nowhere: no saved object here (object.json is missing).
    """


class ConfigError(EncodingError, ValueError):
    """A key or a value of the configuration is wrong."""


class DataError(EncodingError, ValueError):
    """A file is missing, unreadable, or holds something that cannot be used."""


class AlignmentError(EncodingError, ValueError):
    """Two objects that should share an axis (samples, targets, clock) do not."""


class SplitError(EncodingError, ValueError):
    """A cross-validation split cannot be made, or would leak."""


def suggest(name: str, known: Iterable[str]) -> str:
    """Suggest the closest known name and list all of them.

    Parameters
    ----------
    name : str
        What the user wrote.
    known : iterable of str
        What could have been written.

    Returns
    -------
    str
        A sentence or two to end an error message with.

    Examples
    --------
    >>> suggest("alpha", ["alphas", "n_iter"])
    "Did you mean 'alphas'? Known: alphas, n_iter."
    """
    known = list(known)
    near = difflib.get_close_matches(name, known, n=1)
    hint = f"Did you mean {near[0]!r}? " if near else ""
    return f"{hint}Known: {', '.join(known) or 'none'}."

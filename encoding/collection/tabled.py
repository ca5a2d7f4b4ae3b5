"""Judgments that people have given already, from a table; and which of its columns holds the odd one."""

from collections import defaultdict
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import numpy as np

from ..core import ConfigError, DataError, fingerprint
from ..core.settings import OneOf, Rule, Text, settings
from ..io.judgments.triplets import COLUMNS, read_triplets
from .computed import similarities
from .contents import Contents
from .trials import Answer, Ledger, Trial

CONVENTIONS = ("last", "first", "named")
LEVEL = 1e-3  # of significance at which a column counts as that of the odd one


Columns = Annotated[tuple[Text, ...], Rule("a list of the columns of three items", lambda names: len(names) == 3)]


@settings("[[annotator]]")
class Table:
    """An annotator that looks answers up: judgments that people have given already."""

    file: Text
    """Table of names, or file of 0-based numbers, one row per judgment."""
    odd: Annotated[str, OneOf(CONVENTIONS)] = "last"
    """Position of the odd item: SPoSE and VICE write it last, cblearn first; or a column names it."""
    column: str = ""
    """The column that names it, for "named"."""
    columns: Columns = COLUMNS
    """Columns of the three items, if the file is a table."""
    name: Text = "people"
    """Name of the annotator in tables."""

    def __post_init__(self) -> None:
        """Check rules across fields."""
        if (self.odd == "named") != bool(self.column):
            raise ConfigError(
                f'odd = {self.odd!r}, column = {self.column!r}: "named" needs a column, others have none.'
            )

    def open(self, contents: Contents, base: str | Path = ".") -> "TableAnnotator":
        """Read the judgments.

        Parameters
        ----------
        contents : Contents
            Names the stimuli.
        base : str or Path, optional
            Folder that the file is relative to.

        Returns
        -------
        TableAnnotator
            Ready to be asked.
        """
        path = Path(base) / self.file
        items, named = read_triplets(path, contents.stimuli, columns=self.columns, odd=self.column or None)
        odd = named if named is not None else items[:, 2 if self.odd == "last" else 0]
        return TableAnnotator(self, items, odd, fingerprint(path))


class TableAnnotator:
    """An annotator that looks answers up: the k-th time a triplet is asked, the k-th row about it.

    Parameters
    ----------
    settings : Table
        Where they come from.
    items : ndarray of integers, shape (n_rows, 3)
        Triplets of the file.
    odd : ndarray of integers, shape (n_rows,)
        The odd one of each.
    key : str
        Fingerprint of the file.

    Attributes
    ----------
    name, batch, concurrency
        As in `Annotator`.
    """

    def __init__(self, settings: Table, items: np.ndarray, odd: np.ndarray, key: str) -> None:
        self.name, self.batch, self.concurrency, self.free = settings.name, 4096, 1, True
        self._identity = {"kind": "table", "file": key, "odd": settings.odd, "column": settings.column}
        self._odd: defaultdict[tuple[int, ...], list[int]] = defaultdict(list)
        for triplet, one in zip(np.sort(items, axis=1).tolist(), odd.tolist(), strict=True):
            self._odd[tuple(triplet)].append(one)

    def identity(self) -> dict[str, Any]:
        """List everything that shapes the answers.

        Returns
        -------
        dict
            JSON.
        """
        return self._identity

    @asynccontextmanager
    async def ready(self) -> AsyncIterator[dict[str, Any]]:
        """Do nothing: the judgments are there.

        Yields
        ------
        dict
            Empty.
        """
        yield {}

    async def ask(self, trials: Sequence[Trial], ledger: Ledger) -> list[Answer]:  # noqa: ARG002
        """Look answers up.

        Parameters
        ----------
        trials : sequence of Trial
            Questions.
        ledger : Ledger
            Not used; nothing is sent.

        Returns
        -------
        list of Answer
            One each; an error where nobody was asked (so often).
        """
        answers = []
        for trial in trials:
            given = self._odd.get(tuple(sorted(trial.items)), [])
            if trial.repeat < len(given):
                answers.append(Answer("valid", trial.items.index(given[trial.repeat])))
            else:
                answers.append(Answer("error", detail=f"the table has {len(given)} rows about this triplet"))
        return answers


class Convention(NamedTuple):
    """Which column of a file holds the odd one.

    Attributes
    ----------
    odd : str
        "last", "first", "middle", or "" if it cannot be told.
    shares : tuple of (float, float, float)
        Share of rows in which ratings call the first, second, third item odd.
    n_rows : int
        Rows of which the ratings say something.
    message : str
        The finding in words.
    """

    odd: str
    shares: tuple[float, float, float]
    n_rows: int
    message: str


def check_convention(items: np.ndarray, ratings: np.ndarray) -> Convention:
    """Find out which column of a file holds the odd one, from ratings or an embedding of the stimuli.

    Ratings predict the odd one of each triplet: the item that is not of the most similar pair. If a column holds the
    answers of people, it is predicted more often than the two others, which are equal but for chance.

    Parameters
    ----------
    items : ndarray of integers, shape (n_rows, 3)
        Triplets in the order of the file.
    ratings : ndarray, shape (n_stimuli, n_ratings)
        One row per stimulus.

    Returns
    -------
    Convention
        The column, or none if the first two do not differ (binomial test, p < 0.001).

    Raises
    ------
    DataError
        If the file has no rows.
    """
    from scipy.stats import binomtest

    if not len(items):
        raise DataError("The file has no triplets of which the convention could be checked.")
    length = np.linalg.norm(ratings, axis=1, keepdims=True)
    unit = np.divide(ratings, length, out=np.zeros(ratings.shape), where=length > 0)
    score = similarities(unit, items)
    ordered = np.sort(score, axis=1)
    clear = ordered[:, 2] > ordered[:, 1] + 1e-12
    counts = np.bincount(score[clear].argmax(axis=1), minlength=3)
    n = int(counts.sum())
    first, second = np.sort(counts)[::-1][:2].tolist()
    names = ("first", "middle", "last")
    shares = tuple((counts / max(n, 1)).tolist())
    listed = ", ".join(f"{name} {share:.1%}" for name, share in zip(names, shares, strict=True))
    if n == 0 or binomtest(first, first + second).pvalue >= LEVEL:
        message = f"cannot tell which column holds the odd one: the ratings call odd {listed} of {n} rows"
        return Convention("", shares, n, message)
    column = names[int(counts.argmax())]
    return Convention(column, shares, n, f"the odd one stands {column}: the ratings call odd {listed} of {n} rows")

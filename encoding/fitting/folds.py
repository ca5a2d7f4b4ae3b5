"""Outer and inner folds, checked for leaks."""

from dataclasses import dataclass, field

import numpy as np

from ..core import Exclusion, Samples, SplitError
from ..numerics.designs import purge


@dataclass(frozen=True, eq=False, slots=True)
class Fold:
    """One outer fold.

    Attributes
    ----------
    train, test : ndarray of int
        Rows to fit and rows to predict.
    inner : tuple of (ndarray, ndarray)
        Training and validation rows of each inner fold, as positions in `train`.
    average : ndarray of int
        For each test row the averaged row that it goes into; ``0 .. n - 1`` where nothing is averaged.

    Examples
    --------
    >>> fold = fitted.folds.folds[0]
    >>> len(fold.train), len(fold.test), len(fold.inner)
    (28, 10, 2)
    """

    train: np.ndarray
    test: np.ndarray
    inner: tuple[tuple[np.ndarray, np.ndarray], ...]
    average: np.ndarray

    def __repr__(self) -> str:
        return f"Fold({len(self.train)} rows train, {len(self.test)} test, {len(self.inner)} inner folds)"


@dataclass(frozen=True, eq=False, slots=True)
class Folds:
    """All outer folds, checked for leaks when they are made.

    Attributes
    ----------
    folds : tuple of Fold
        The outer folds.
    samples : Samples
        The rows that the folds point into.
    gap : float or None
        Purge gap in seconds where folds divide runs; None where they must not.
    exclusions : tuple of Exclusion
        Presentations that were dropped or kept out of training.

    Raises
    ------
    SplitError
        If a row or a run is on both sides of a fold, a row is listed twice or does not exist, or a fold is empty.

    Examples
    --------
    >>> [len(fold.test) for fold in fitted.folds.folds]
    [10, 10, 9, 9]
    """

    folds: tuple[Fold, ...]
    samples: Samples
    gap: float | None = None
    exclusions: tuple[Exclusion, ...] = field(default=())

    def __post_init__(self) -> None:
        """Check every pair of sides for leaks."""
        if not self.folds:
            raise SplitError("There is no outer fold; at least one is needed.")
        for number, fold in enumerate(self.folds):
            where = f"outer fold {number}"
            self._check_rows(fold, where)
            self._check_pair(fold.train, fold.test, where)
            if not fold.inner:
                raise SplitError(f"{where} has no inner folds; hyper-parameters are chosen on them.")
            for k, (train, validation) in enumerate(fold.inner):
                self._check_pair(fold.train[train], fold.train[validation], f"{where}, inner fold {k}")
        tested = np.concatenate([fold.test for fold in self.folds])
        if len(np.unique(tested)) != len(tested):
            raise SplitError("A sample is tested in more than one outer fold; scores would count it twice.")

    def __repr__(self) -> str:
        inner = sorted({len(fold.inner) for fold in self.folds})
        return f"Folds({len(self.folds)} outer, {' or '.join(map(str, inner))} inner, {self.samples!r})"

    def _check_rows(self, fold: Fold, where: str) -> None:
        """Check that rows exist and are listed once, and that averages count from 0."""
        for rows in (fold.train, fold.test):
            # A negative number would count from the end, and slip past the comparison of both sides.
            outside = rows[(rows < 0) | (rows >= len(self.samples))]
            if len(outside):
                raise SplitError(f"{where}: row {outside[0]} does not exist; there are {len(self.samples)} rows.")
            unique, counts = np.unique(rows, return_counts=True)
            if (counts > 1).any():
                raise SplitError(f"{where}: row {unique[counts > 1][0]} is listed twice.")
        averaged = np.unique(fold.average)
        if len(fold.average) != len(fold.test) or not np.array_equal(averaged, np.arange(len(averaged))):
            raise SplitError(
                f"{where}: `average` has {len(fold.average)} entries between {np.min(fold.average, initial=0)} and "
                f"{np.max(fold.average, initial=0)}, but one averaged row, counted from 0, was needed for each of "
                f"the {len(fold.test)} test rows."
            )

    def _check_pair(self, train: np.ndarray, test: np.ndarray, where: str) -> None:
        """Check that two sides of a fold share no row, and no run unless there is a gap."""
        if not len(train) or not len(test):
            purged = "" if self.gap is None else f" A gap of {self.gap} s around held-out samples may be too long."
            raise SplitError(
                f"{where}: {len(train)} training and {len(test)} held-out samples; both must be at least one.{purged}"
            )
        rows = np.intersect1d(train, test)
        if len(rows):
            raise SplitError(
                f"{where}: {len(rows)} samples are both trained on and tested, the first is row {rows[0]}."
            )
        if self.gap is None:
            runs = np.intersect1d(self.samples.run[train], self.samples.run[test])
            if len(runs):
                raise SplitError(
                    f"{where}: run {str(runs[0])!r} is both trained on and tested ({len(runs)} such runs). "
                    f"Neighbouring samples share noise; hold out whole runs."
                )
            return
        for run in np.unique(self.samples.run[test]):
            held_out = np.isin(np.arange(len(self.samples)), test) & (self.samples.run == run)
            inside = np.isin(np.arange(len(self.samples)), train) & (self.samples.run == run)
            start, stop = self.samples.onset, self.samples.onset + self.samples.duration
            clear = purge(start, stop, held_out, self.gap)
            if (inside & ~clear).any():
                raise SplitError(
                    f"{where}: {np.sum(inside & ~clear)} training samples lie within {self.gap} s "
                    f"of held-out samples in {run!r}."
                )

    def membership(self) -> dict[str, np.ndarray]:
        """Return the outer fold that tests each row, and its inner fold within each outer fold.

        Returns
        -------
        dict of str to ndarray of int, shape (n_samples,)
            ``outer`` (-1: never tested) and ``inner_of_outer_<k>`` (-1: not validated in that fold). Where inner folds
            overlap, because they were drawn at random, the latter names all that validate on the row, as text ("0+4").
        """
        columns = {"outer": np.full(len(self.samples), -1)}
        for k, fold in enumerate(self.folds):
            columns["outer"][fold.test] = k
            held = np.concatenate([validation for _, validation in fold.inner])
            if len(np.unique(held)) < len(held):
                columns[f"inner_of_outer_{k}"] = self._overlapping(fold)
                continue
            inner = np.full(len(self.samples), -1)
            for j, (_, validation) in enumerate(fold.inner):
                inner[fold.train[validation]] = j
            columns[f"inner_of_outer_{k}"] = inner
        return columns

    def _overlapping(self, fold: Fold) -> np.ndarray:
        """Name the inner folds that validate on each row, joined by +."""
        named: list[list[str]] = [[] for _ in range(len(self.samples))]
        for j, (_, validation) in enumerate(fold.inner):
            for row in fold.train[validation]:
                named[row].append(str(j))
        return np.asarray(["+".join(numbers) or "-1" for numbers in named])

    def uses(self, repeats: str | None) -> np.ndarray:
        """Return how every row is used, or why it is not.

        Parameters
        ----------
        repeats : str or None
            What is done with stimuli that recur, as of `Split`.

        Returns
        -------
        ndarray of str, shape (n_samples,)
            "trained on and tested", "tested", "trained on", or "left out: ..." with the reason.
        """
        trained, tested = np.zeros(len(self.samples), bool), np.zeros(len(self.samples), bool)
        for fold in self.folds:
            trained[fold.train] = True
            tested[fold.test] = True
        later = np.ones(len(self.samples), bool)
        later[np.unique(self.samples.stimulus, return_index=True)[1]] = False
        why = np.full(len(self.samples), "left out: no fold has it", dtype=object)
        if repeats == "drop_later":
            why[later] = "left out: the same stimulus was shown before"
        why[trained & tested] = "trained on and tested"
        why[trained & ~tested] = "trained on"
        why[tested & ~trained] = "tested"
        return why.astype(str)

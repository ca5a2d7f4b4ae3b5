"""Judgments computed from a table of ratings: the two most similar stimuli belong together, the third is odd."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..core import ConfigError, DataError, fingerprint_array
from ..numerics.mixing import uniform
from ..numerics.triplet_ranks import rank_triplets
from .contents import Contents
from .trials import Answer, Ledger, Trial

DRAW = 21  # stream of random numbers
METRICS = ("cosine", "dot")


@dataclass(frozen=True)
class Cosine:
    """The ``[[annotator]]`` table of kind "cosine".

    Attributes
    ----------
    file : str
        Table of ratings: a stimulus column and one column per rating.
    name : str
        Name of the annotator in tables.
    stimulus : str or None
        Column that names the stimulus; the first of the usual names if left out.
    columns : tuple of str or None
        Ratings to use; all other columns if left out.
    metric : {"cosine", "dot"}
        Similarity of two stimuli.
    temperature : float
        0: the answer follows from the ratings. Above: answers are drawn, each slot with a probability that grows
        with the similarity of the other two, as exp(similarity / temperature).
    slot_bias : tuple of float
        Added to the logarithm of the three probabilities, to simulate a judge that prefers a slot.
    seed : int
        Seed of drawn answers.

    Raises
    ------
    ConfigError
        If a value is not allowed.
    """

    file: str
    name: str = "cosine"
    stimulus: str | None = None
    columns: tuple[str, ...] | None = None
    metric: str = "cosine"
    temperature: float = 0.0
    slot_bias: tuple[float, ...] = (0.0, 0.0, 0.0)
    seed: int = 0

    def __post_init__(self) -> None:
        """Check values."""
        if self.metric not in METRICS:
            raise ConfigError(f"[[annotator]] metric = {self.metric!r}. Known: {', '.join(METRICS)}.")
        if len(self.slot_bias) != 3 or self.temperature < 0 or (any(self.slot_bias) and not self.temperature):
            raise ConfigError(
                f"[[annotator]] temperature = {self.temperature}, slot_bias = {list(self.slot_bias)}: three numbers, "
                f"and a temperature above 0 if they are not 0, are needed."
            )

    def open(self, contents: Contents, base: str | Path = ".") -> "RatingAnnotator":
        """Read the ratings.

        Parameters
        ----------
        contents : Contents
            Names the stimuli.
        base : str or Path, optional
            Folder that the file is relative to.

        Returns
        -------
        RatingAnnotator
            Ready to be asked.
        """
        ratings = read_ratings(Path(base) / self.file, contents.stimuli, self.stimulus, self.columns)
        return RatingAnnotator(self, ratings)


class RatingAnnotator:
    """An annotator that computes.

    Parameters
    ----------
    settings : Cosine
        How.
    ratings : ndarray, shape (n_stimuli, n_ratings)
        One row per stimulus.

    Attributes
    ----------
    name, batch, concurrency
        As in `Annotator`.
    """

    def __init__(self, settings: Cosine, ratings: np.ndarray) -> None:
        self.name, self.batch, self.concurrency = settings.name, 4096, 1
        self._settings = settings
        self._key = fingerprint_array(ratings)
        if settings.metric == "cosine":
            length = np.linalg.norm(ratings, axis=1, keepdims=True)
            ratings = np.divide(ratings, length, out=np.zeros_like(ratings), where=length > 0)
        self._ratings = ratings

    def identity(self) -> dict[str, Any]:
        """List everything that shapes the answers.

        Returns
        -------
        dict
            JSON.
        """
        names = ("metric", "temperature", "slot_bias", "seed")
        return {"kind": "cosine", "ratings": self._key, **{name: getattr(self._settings, name) for name in names}}

    @asynccontextmanager
    async def ready(self) -> AsyncIterator[dict[str, Any]]:
        """Do nothing: the ratings are there.

        Yields
        ------
        dict
            Empty.
        """
        yield {}

    async def ask(self, trials: Sequence[Trial], ledger: Ledger) -> list[Answer]:  # noqa: ARG002
        """Compute answers.

        Parameters
        ----------
        trials : sequence of Trial
            Questions.
        ledger : Ledger
            Not used; nothing is sent.

        Returns
        -------
        list of Answer
            One each; unparsed where two pairs are equally similar.
        """
        items = np.array([trial.items for trial in trials], dtype=np.int64).reshape(-1, 3)
        score = similarities(self._ratings, items)
        if not self._settings.temperature:
            tied = np.isclose(np.sort(score, axis=1)[:, 1], score.max(axis=1), rtol=0, atol=1e-12)
            unclear = Answer("unparsed", detail="two pairs are equally similar")
            odd = score.argmax(axis=1).tolist()
            return [unclear if tie else Answer("valid", slot) for slot, tie in zip(odd, tied.tolist(), strict=True)]
        score = score / self._settings.temperature + np.array(self._settings.slot_bias)
        weights = np.exp(score - score.max(axis=1, keepdims=True))
        probabilities = weights / weights.sum(axis=1, keepdims=True)
        repeat = np.array([trial.repeat for trial in trials])
        draw = uniform(rank_triplets(items) * (1 << 15) + repeat, self._settings.seed, DRAW)
        odd = np.minimum((draw[:, None] > np.cumsum(probabilities, axis=1)).sum(axis=1), 2).tolist()
        return [Answer("valid", slot) for slot in odd]


def similarities(ratings: np.ndarray, items: np.ndarray) -> np.ndarray:
    """Give for each slot how similar the other two are.

    Parameters
    ----------
    ratings : ndarray, shape (n_stimuli, n_ratings)
        One row per stimulus.
    items : ndarray of integers, shape (n_trials, 3)
        Stimuli.

    Returns
    -------
    ndarray of float64, shape (n_trials, 3)
        Dot product of the two stimuli in the other slots.
    """
    a, b, c = (ratings[items[:, slot]] for slot in range(3))
    return np.stack(((b * c).sum(axis=1), (a * c).sum(axis=1), (a * b).sum(axis=1)), axis=1)


def read_ratings(
    path: Path, stimuli: Sequence[str], stimulus: str | None = None, columns: Sequence[str] | None = None
) -> np.ndarray:
    """Read a table of ratings, one row per stimulus of the plan.

    Parameters
    ----------
    path : Path
        A table with a header, or a folder into which a feature space was saved.
    stimuli : sequence of str
        Rows to return, in this order.
    stimulus : str, optional
        Column that names the stimulus.
    columns : sequence of str, optional
        Ratings to use; all other columns if left out.

    Returns
    -------
    ndarray of float64, shape (n_stimuli, n_ratings)
        The ratings.

    Raises
    ------
    DataError
        If a stimulus is missing or has several rows, or a value is missing.
    """
    names, values = _saved(path) if path.is_dir() else _table(path, stimulus, columns)
    place = {name: row for row, name in enumerate(names)}
    if len(place) < len(names):
        raise DataError(f"{path}: {len(names) - len(place)} stimuli have more than one row. Keep one each.")
    missing = [name for name in stimuli if name not in place]
    if missing:
        raise DataError(f"{path}: {len(missing)} of {len(stimuli)} stimuli have no row, the first is {missing[0]!r}.")
    values = values[[place[name] for name in stimuli]]
    if not np.isfinite(values).all():
        row = int(np.flatnonzero(~np.isfinite(values).all(axis=1))[0])
        raise DataError(f"{path}: a rating of {stimuli[row]!r} is missing.")
    return values


def _table(path: Path, stimulus: str | None, columns: Sequence[str] | None) -> tuple[list[str], np.ndarray]:
    from ..io.tables import STIMULUS_COLUMNS, numbers_of, read_table, stimulus_column

    frame = read_table(path, text=(*STIMULUS_COLUMNS, stimulus or ""))
    column = stimulus_column([str(name) for name in frame.columns], stimulus, str(path))
    wanted = list(columns) if columns else [name for name in frame.columns if name != column]
    values = np.stack([numbers_of(frame, name, str(path)) for name in wanted], axis=1)
    return frame[column].tolist(), values


def _saved(path: Path) -> tuple[list[str], np.ndarray]:
    from ..core import FeatureSpace
    from ..io.store import load

    space = load(path)
    if not isinstance(space, FeatureSpace) or space.samples.clock != "none":
        raise DataError(f"{path}: a saved feature space with one row per stimulus was needed.")
    return space.samples.stimulus.tolist(), np.asarray(space.values, dtype=np.float64)

"""Judgments that people have given already, from a table; and which of its columns holds the odd one."""

import dataclasses
import math
from collections import defaultdict
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import numpy as np
import pandas as pd
from annotated_types import Interval

from ..core import ConfigError, DataError, Plan, Provenance, digest, fingerprint
from ..core.settings import NotNegative, OneOf, Rule, Text, Unit, settings
from ..io.judgments.triplets import COLUMNS, read_triplets
from ..io.tables import read_table
from ..numerics.triplet_ranks import counterbalance
from .computed import similarities
from .contents import Contents
from .designs import Design, splits_of
from .participants import assess_participants, read_demographics, status_of
from .people import ODD, SOURCES, UNITS, Answers, read_answers, read_people
from .trials import Answer, Ledger, Trial

CONVENTIONS = ("last", "first", "named")
ORDER = 0  # seed of orders that a file does not tell
LEVEL = 1e-3  # of significance at which a column counts as that of the odd one


Columns = Annotated[tuple[Text, ...], Rule("a list of the columns of three items", lambda names: len(names) in (1, 3))]
Keys = Annotated[tuple[Text, ...], Rule("a list of three keys", lambda names: len(names) in (0, 3))]


@settings("[[annotator]]")
class Table:
    """Judgments that people have already given, read from a file.

    Examples
    --------
    >>> from encoding.collection import Table
    >>> Table("people.csv", odd="named", column="odd").name
    'people'
    """

    file: Text
    """Table of names, or file of 0-based numbers, one row per judgment; or a folder with a table per participant."""
    odd: Annotated[str, OneOf(CONVENTIONS)] = "last"
    """Position of the odd item: SPoSE and VICE write it last, cblearn first; or a column names it."""
    column: str = ""
    """The column that names it, for "named"."""
    columns: Columns = COLUMNS
    """Columns of the three items, if the file is a table; or one column that holds a list of them."""
    name: Text = "people"
    """Name of the annotator in tables."""
    source: Annotated[str, OneOf(SOURCES)] = "table"
    """Program that wrote the file: its usual columns are found, reaction times read in its unit. All but "table" name
    the odd item, so that `odd` is left out; `column` says where if that is not found."""
    keys: Keys = ()
    """What the answer column holds for the three slots, for instance ["left", "down", "right"]."""
    participant: str = ""
    """Column that names the participant; a usual name if left out."""
    reaction_time: str = ""
    """Column of reaction times (in s; in ms for programs that run in browsers); a usual name if left out."""
    reaction_unit: Annotated[str, OneOf(("", *UNITS))] = ""
    """Unit of the reaction times: "s" or "ms"; that of the program if left out."""
    answered: str = ""
    """Column of the time at which each answer was given; a usual name if left out."""
    first_item: Annotated[int, Interval(ge=0, le=1)] | None = None
    """Items are row numbers of the table of stimuli, counted from 0 or from 1. If left out, items are names, except in
    tables of the source "things", where they are numbers from 1."""
    demographics: str = ""
    """Table about the participants, such as Prolific's export of demographic data."""
    demographics_id: str = ""
    """Column of that table that names the participant; a usual name if left out."""
    excluded_status: tuple[Text, ...] = ("REJECTED", "RETURNED", "TIMED-OUT")
    """Participants with one of these statuses in that table get weight 0."""
    exclude: tuple[str, ...] = ()
    """Participants whose answers are kept with weight 0."""
    exclude_flagged: bool = False
    """Whether answers of flagged participants get weight 0."""
    fastest: Annotated[NotNegative, Unit("s")] = 0.0
    """Answers given in less time than this get weight 0."""
    slowest: Annotated[NotNegative, Unit("s")] = 0.0
    """Answers that took longer than this get weight 0; 0 for no limit."""

    def __post_init__(self) -> None:
        """Check rules across fields."""
        if len(self.columns) == 1 and self.source == "table" and self.odd != "named":
            raise ConfigError(f"columns = {list(self.columns)}, but with odd = {self.odd!r} three columns are needed.")
        if self.source == "table" and (self.odd == "named") != bool(self.column):
            raise ConfigError(
                f'odd = {self.odd!r}, column = {self.column!r}: "named" needs a column, others have none.'
            )

        if self.first_item is not None and self.source == "table" and self.odd != "named":
            raise ConfigError(
                f"first_item = {self.first_item}, but with odd = {self.odd!r} items are names, or in .txt and .npy "
                'files numbers from 0. Set odd = "named" and a column, or write names.'
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
        answers = self._read(path, contents.stimuli)
        about = None
        if self.demographics:
            about = read_demographics(Path(base) / self.demographics, answers.participant, self.demographics_id)
        return TableAnnotator(self, answers, _fingerprint(path), contents.stimuli, about)

    def _read(self, path: Path, stimuli: Sequence[str]) -> Answers:
        if self.source != "table" or self.odd == "named":
            usual = self.columns == COLUMNS and self.source != "table"
            names = {"columns": None if usual else self.columns, "odd": self.column, "participant": self.participant,
                     "reaction_time": self.reaction_time, "answered": self.answered}  # fmt: skip
            return read_answers(path, stimuli, self.source, names, self.keys, self.first_item, unit=self.reaction_unit)
        self._require_no_other_answer(path)
        items, _ = read_triplets(path, stimuli, columns=self.columns)
        odd = items[:, 2 if self.odd == "last" else 0]
        # The file has the odd one in one place, and does not say in which slot it was shown: an order is drawn.
        shown = counterbalance(np.sort(items, axis=1), len(stimuli), ORDER)
        unknown = np.full(len(items), np.nan)
        who, rt, when = [""] * len(items), unknown, unknown
        if path.suffix not in (".txt", ".npy"):
            names = {"participant": self.participant, "reaction_time": self.reaction_time, "answered": self.answered}
            who, rt, when = read_people(path, names, self.reaction_unit)
        return Answers(shown.astype(np.int64), odd.astype(np.int64), who, rt, when, pd.DataFrame(), {})

    def _require_no_other_answer(self, path: Path) -> None:
        """Refuse a table with a column that names another item of a row as the odd one than its place says."""
        if path.suffix not in (".tsv", ".csv", ".parquet"):
            return
        frame = read_table(path)
        if not set(self.columns) <= set(frame.columns):
            return  # who reads the items says so
        every = frame[list(self.columns)].astype(str).to_numpy()
        for name in set(ODD) & set(frame.columns):
            there = frame[name].notna() & (frame[name].astype(str).str.strip() != "")
            items, said = every[there.to_numpy()], frame[name][there].astype(str).to_numpy()
            if (
                len(said)
                and (items == said[:, None]).any(1).all()
                and (items[:, 2 if self.odd == "last" else 0] != said).any()
            ):
                raise DataError(
                    f"{path}: column {name!r} names the odd item, which is not always the {self.odd} of the three. Set "
                    f'odd = "named" and column = {name!r} for this annotator.'
                )


class TableAnnotator:
    """An annotator that looks answers up: the k-th time a triplet is asked, the k-th row about it.

    Shapes: `repeat` (n_rows,).
    """

    def __init__(
        self, settings: Table, answers: Answers, key: str, stimuli: Sequence[str], about: pd.DataFrame | None = None
    ) -> None:
        self.name, self.batch, self.concurrency, self.free = settings.name, 4096, 1, True
        self.answers, self._settings, self._stimuli = answers, settings, tuple(stimuli)
        self.about = about  # what is known about participants
        self._identity: dict[str, Any] = {"kind": "table", "file": key, "odd": settings.odd, "column": settings.column}
        # Named only where they are used, so that answers of earlier versions keep their key.
        if settings.source != "table":
            self._identity["source"] = settings.source
        if settings.columns != COLUMNS:
            self._identity["columns"] = list(settings.columns)
        if settings.keys:
            self._identity["keys"] = list(settings.keys)
        if settings.reaction_unit:
            self._identity["reaction_unit"] = settings.reaction_unit
        if settings.first_item is not None:
            self._identity["first_item"] = settings.first_item
        self._rows: defaultdict[tuple[int, ...], list[int]] = defaultdict(list)
        self.repeat = np.zeros(len(answers.items), dtype=np.int64)
        for row, triplet in enumerate(np.sort(answers.items, axis=1).tolist()):
            rows = self._rows[tuple(triplet)]
            self.repeat[row] = len(rows)
            rows.append(row)
        if len(self.repeat) and self.repeat.max() > np.iinfo(np.int16).max:
            raise DataError(f"{settings.file}: {self.repeat.max() + 1:,} rows about one triplet are too many.")

    def plan(self, design: Design, seed: int) -> Plan:
        """Return the rows of the file as a plan: every row once, in the order in which it was shown."""
        items = self.answers.items
        split = splits_of(items, design, self._stimuli, seed)
        how = {"design": dataclasses.asdict(design), "people": True}
        return Plan(self._stimuli, items, self.repeat, split, Provenance("people/1", how, {}, seed))

    def excluded(self) -> np.ndarray:
        """Return which rows weigh nothing: those of participants who are left out, too fast or too slow."""
        who, rt = np.array(self.answers.participant, dtype=str), self.answers.reaction
        out = np.isin(who, sorted(self.left_out()))
        if self._settings.fastest:
            out |= rt < self._settings.fastest
        return out | (rt > self._settings.slowest) if self._settings.slowest else out

    def left_out(self, quality: pd.DataFrame | None = None) -> dict[str, str]:
        """Return whose answers weigh nothing, and why."""
        settings = self._settings
        found = dict.fromkeys(settings.exclude, "named in exclude")
        if self.about is not None:
            bad = {status.upper() for status in settings.excluded_status}
            for name, status in zip(self.about["participant"], status_of(self.about), strict=True):
                if status in bad:
                    found.setdefault(name, f"status {status}")
        if settings.exclude_flagged and any(self.answers.participant):
            table = self.quality() if quality is None else quality
            flagged = table[table["flags"] != ""]
            for name, flags in zip(flagged["participant"], flagged["flags"], strict=True):
                found.setdefault(name, flags)
        return found

    def participants(self) -> pd.DataFrame:
        """Return a row per participant: quality, why left out ("" if not), and what is known about them."""
        table = self.quality()
        out = self.left_out(table)
        table = table.assign(left_out=[out.get(name, "") for name in table["participant"]])
        return table if self.about is None else table.merge(self.about, on="participant", how="left")

    def quality(self) -> pd.DataFrame:
        """Assess every participant."""
        answers = self.answers
        choice = (answers.items == answers.odd[:, None]).argmax(axis=1)
        who = np.array(answers.participant, dtype=str)
        return assess_participants(answers.items, choice, who, reaction=answers.reaction, catch=answers.catch)

    def identity(self) -> dict[str, Any]:
        """List everything that shapes the answers."""
        return self._identity

    @asynccontextmanager
    async def ready(self) -> AsyncIterator[dict[str, Any]]:
        """Yield which rows of the file are no judgments."""
        yield {"no_judgments": self.answers.left_out} if self.answers.left_out else {}

    async def ask(self, trials: Sequence[Trial], ledger: Ledger) -> list[Answer]:  # noqa: ARG002
        """Find answers: the k-th row about a triplet for its k-th repeat."""
        found, kept = [], self.answers
        for trial in trials:
            rows = self._rows.get(tuple(sorted(trial.items)), [])
            if trial.repeat >= len(rows):
                found.append(Answer("error", detail=f"the table has {len(rows)} rows about this triplet"))
                continue
            row = rows[trial.repeat]
            slot = trial.items.index(int(kept.odd[row]))
            rt, when = float(kept.reaction[row]), float(kept.answered[row])
            found.append(
                Answer(
                    "valid", slot, participant=kept.participant[row], reaction=None if math.isnan(rt) else rt,
                    answered=0.0 if math.isnan(when) else when,
                )
            )  # fmt: skip
        return found


def _fingerprint(path: Path) -> str:
    if not path.is_dir():
        return fingerprint(path)
    return digest([[file.name, fingerprint(file)] for file in sorted(path.iterdir()) if file.is_file()])


class Convention(NamedTuple):
    """Which column of a file holds the odd one."""

    odd: str
    shares: tuple[float, float, float]
    n_rows: int
    message: str


def check_convention(items: np.ndarray, ratings: np.ndarray) -> Convention:
    """Find out which column of a file holds the odd item, from ratings or an embedding of the stimuli.

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

    Examples
    --------
    >>> from encoding.collection import check_convention
    >>> similar = np.array([[1.0, 0.0], [0.9, 0.1], [0.0, 1.0], [0.1, 0.9]])  # items 0 and 1 are alike, and 2 and 3
    >>> odd_first = [[2, 0, 1], [3, 1, 0], [0, 2, 3], [1, 3, 2]]
    >>> check_convention(np.array(odd_first * 30), similar).odd
    'first'
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

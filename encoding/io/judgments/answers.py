"""Answers on disk: one SQLite file that is only ever added to, and holds every answer exactly once.

An answer is found by what was asked: a *setting* (annotator, model, parameters, prompt), the three *contents* in the
order of showing (hash of the caption or frames of each), how many times the triplet had been asked before, and the
attempt. So the same file is the record, the cache, and the place where an interrupted run goes on.
"""

import json
import sqlite3
import threading
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ...core import DataError, digest
from ...core.judgments import OUTCOMES
from ..locks import locked

CHUNK = 50_000  # rows that are read at once
SUMMED = 20_000  # rows that are written before the sums that status shows are brought up to date
FORMAT = 1
# Added to the format later, and to older stores when they are opened: the model that a server named, who answered, and
# in how much time (s). 0 is unknown.
ADDED = "served INTEGER NOT NULL DEFAULT 0, participant INTEGER NOT NULL DEFAULT 0, reaction REAL"
PEOPLE = """
CREATE TABLE served (id INTEGER PRIMARY KEY, model TEXT NOT NULL, fingerprint TEXT NOT NULL,
    UNIQUE (model, fingerprint));
CREATE TABLE participants (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);"""
SUMMARIES = (
    "CREATE TABLE IF NOT EXISTS summaries (setting INTEGER PRIMARY KEY, upto INTEGER NOT NULL, sums TEXT NOT NULL)"
)
TAKEN = ("tokens_in", "tokens_cached", "tokens_out", "most_in", "most_out")
SCHEMA = f"""
CREATE TABLE settings (id INTEGER PRIMARY KEY, digest TEXT NOT NULL UNIQUE, annotator TEXT NOT NULL,
    identity TEXT NOT NULL);
CREATE TABLE contents (id INTEGER PRIMARY KEY, digest TEXT NOT NULL, stimulus TEXT NOT NULL, UNIQUE (digest, stimulus));
CREATE TABLE runs (id INTEGER PRIMARY KEY, setting INTEGER NOT NULL REFERENCES settings, started REAL NOT NULL,
    seen REAL NOT NULL, requests INTEGER NOT NULL, notes TEXT NOT NULL);
CREATE TABLE answers (id INTEGER PRIMARY KEY, setting INTEGER NOT NULL REFERENCES settings,
    first INTEGER NOT NULL REFERENCES contents, second INTEGER NOT NULL REFERENCES contents,
    third INTEGER NOT NULL REFERENCES contents, repeat INTEGER NOT NULL, attempt INTEGER NOT NULL,
    run INTEGER NOT NULL REFERENCES runs, outcome INTEGER NOT NULL, choice INTEGER NOT NULL,
    p1 REAL, p2 REAL, p3 REAL, mass REAL, reply TEXT NOT NULL, detail TEXT NOT NULL,
    tokens_in INTEGER NOT NULL, tokens_cached INTEGER NOT NULL, tokens_out INTEGER NOT NULL,
    tries INTEGER NOT NULL, latency REAL NOT NULL, answered REAL NOT NULL, {ADDED},
    UNIQUE (setting, attempt, repeat, first, second, third));
{PEOPLE}
CREATE TRIGGER answers_stay BEFORE UPDATE ON answers BEGIN SELECT RAISE(ABORT, 'answers are only added'); END;
CREATE TRIGGER answers_remain BEFORE DELETE ON answers BEGIN SELECT RAISE(ABORT, 'answers are only added'); END;
PRAGMA user_version = {FORMAT};
"""


class AnswerRow(NamedTuple):
    """One answer as a row of the store; fields are its columns."""

    setting: int
    first: int
    second: int
    third: int
    repeat: int
    attempt: int
    run: int
    outcome: int
    choice: int
    p1: float | None
    p2: float | None
    p3: float | None
    mass: float | None
    reply: str
    detail: str
    tokens_in: int
    tokens_cached: int
    tokens_out: int
    tries: int
    latency: float
    answered: float
    served: tuple[str, str] | None = None  # model and fingerprint; a number in the file
    participant: str = ""  # a name; a number in the file
    reaction: float | None = None


ALL = AnswerRow._fields
MORE = ("served", "participant", "reaction")
COLUMNS = tuple(name for name in ALL if name not in MORE)
# Not OR IGNORE, which would drop a row that is damaged as quietly as one that is there already.
ONCE = "ON CONFLICT (setting, attempt, repeat, first, second, third) DO NOTHING"
INSERT = f"INSERT INTO answers ({', '.join(ALL)}) VALUES ({', '.join('?' * len(ALL))}) {ONCE}"
# Served model, outcome and choice in one number: rows are read one by one, and every column takes its time.
MARK = "(served * 8 + outcome) * 8 + choice + 1"
# The newest attempt at each trial; earlier ones are errors that somebody asked to try again.
LATEST = (
    "NOT EXISTS (SELECT 1 FROM answers AS later WHERE later.setting = answers.setting "
    "AND later.attempt = answers.attempt + 1 AND later.repeat = answers.repeat AND later.first = answers.first "
    "AND later.second = answers.second AND later.third = answers.third)"
)


def key_expression(n_contents: int, n_repeats: int) -> str:
    """Return the SQL expression for the key of a trial, ((repeat n + first) n + second) n + third; -1 out of range."""
    n = n_contents
    inside = f"repeat < {n_repeats} AND first < {n} AND second < {n} AND third < {n}"
    return f"CASE WHEN {inside} THEN ((repeat * {n} + first) * {n} + second) * {n} + third ELSE -1 END"


class AnswerStore:
    """An append-only SQLite store of answers."""

    def __init__(self, path: str | Path, *, read_only: bool = False) -> None:
        self.path = Path(path)
        self._servers: dict[tuple[str, str], int] = {}
        self._people: dict[str, int] = {}
        self._unsummed = 0
        self._lock = threading.RLock()  # answers are written from a thread of their own
        if read_only and not self.path.is_file():
            raise DataError(f"{self.path}: no answers here yet. `encoding collect run` makes them.")
        self.path.parent.mkdir(parents=True, exist_ok=True)
        try:
            self.base = sqlite3.connect(self.path, isolation_level=None, check_same_thread=False)
            self.base.execute("PRAGMA busy_timeout = 60000")
            self.base.execute("PRAGMA journal_mode = WAL")
            # An answer that was paid for survives a loss of power, not only a crash.
            self.base.execute("PRAGMA synchronous = FULL")
            self._prepare()
            if read_only:
                self.base.execute("PRAGMA query_only = 1")
        except sqlite3.DatabaseError as error:
            raise DataError(f"{self.path}: cannot be used as a store of answers ({error}).") from error

    def _prepare(self) -> None:
        with self.transaction():
            version = self.base.execute("PRAGMA user_version").fetchone()[0]
            if version == 0 and not self.base.execute("SELECT 1 FROM sqlite_master").fetchone():
                for statement in statements(SCHEMA):
                    self.base.execute(statement)
            elif (
                version == FORMAT
                and not self.base.execute("SELECT 1 FROM sqlite_master WHERE name = 'served'").fetchone()
            ):
                for column in ADDED.split(", "):
                    self.base.execute(f"ALTER TABLE answers ADD COLUMN {column}")
                for statement in statements(PEOPLE):
                    self.base.execute(statement)
            elif version != FORMAT:
                raise DataError(f"{self.path}: store of format {version}, but this version reads format {FORMAT}.")
            self.base.execute(SUMMARIES)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Do all of what the block writes, or nothing of it; other processes wait until it has ended."""
        with self._lock:
            self.base.execute("BEGIN IMMEDIATE")
            try:
                yield
            except BaseException:
                self.base.execute("ROLLBACK")
                self._servers.clear()  # what was registered in the block is gone
                self._people.clear()
                raise
            self.base.execute("COMMIT")

    def close(self) -> None:
        """Close the file."""
        self.base.close()

    def __enter__(self) -> "AnswerStore":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Keep other processes from asking the same questions while the block runs."""
        busy = (
            f"{self.path}: another process is collecting into this store. Wait for it, or give each process a part of "
            f"the plan with --shard."
        )
        with locked(self.path.parent, self.path.name, wait=False, busy=busy):
            yield

    def setting(self, identity: Mapping[str, Any], annotator: str) -> int:
        """Register everything that shapes the answers of an annotator (JSON), and return its number in this store."""
        key = digest(identity)
        text = json.dumps(identity, sort_keys=True, ensure_ascii=False)
        with self.transaction():
            self.base.execute(
                "INSERT OR IGNORE INTO settings (digest, annotator, identity) VALUES (?, ?, ?)", (key, annotator, text)
            )
            return self.base.execute("SELECT id FROM settings WHERE digest = ?", (key,)).fetchone()[0]

    def find_setting(self, identity: Mapping[str, Any]) -> int | None:
        """Return the number of a setting, or None if it has not been registered."""
        found = self.base.execute("SELECT id FROM settings WHERE digest = ?", (digest(identity),)).fetchone()
        return found[0] if found else None

    def contents(self, digests: Sequence[str], stimuli: Sequence[str]) -> np.ndarray:
        """Register what can be shown, by hash and stimulus, and return the number of each in this store, as int64."""
        pairs = list(zip(digests, stimuli, strict=True))
        known = self._known_contents()
        if not set(pairs) <= known.keys():
            with self.transaction():
                self.base.executemany("INSERT OR IGNORE INTO contents (digest, stimulus) VALUES (?, ?)", pairs)
            known = self._known_contents()
        return np.array([known[pair] for pair in pairs], dtype=np.int64)

    def find_contents(self, digests: Sequence[str], stimuli: Sequence[str]) -> np.ndarray:
        """Return the number of each content, as int64; one above all others for those that no answer is about."""
        known = self._known_contents()
        unknown = max(known.values(), default=0) + 1
        return np.array([known.get(pair, unknown) for pair in zip(digests, stimuli, strict=True)], dtype=np.int64)

    def _known_contents(self) -> dict[tuple[str, str], int]:
        rows = self.base.execute("SELECT digest, stimulus, id FROM contents")
        return {(key, stimulus): number for key, stimulus, number in rows}

    def stimuli(self) -> dict[int, str]:
        """Return which stimulus each content shows, by the number of the content."""
        return dict(self.base.execute("SELECT id, stimulus FROM contents").fetchall())

    def shown(self) -> dict[int, tuple[str, str]]:
        """Map numbers of contents to their stimulus and digest."""
        rows = self.base.execute("SELECT id, stimulus, digest FROM contents")
        return {number: (stimulus, digest) for number, stimulus, digest in rows}

    def answer(self, number: int, columns: Sequence[str]) -> dict[str, Any]:
        """Return some columns of one answer, by its id."""
        found = self.base.execute(f"SELECT {', '.join(columns)} FROM answers WHERE id = ?", (int(number),)).fetchone()
        return dict(zip(columns, found, strict=True))

    def start_run(self, setting: int, notes: Mapping[str, Any]) -> int:
        """Register a run with notes (JSON: server, versions), and return its number."""
        now = time.time()
        row = (setting, now, now, 0, json.dumps(notes, sort_keys=True))
        with self.transaction():
            statement = "INSERT INTO runs (setting, started, seen, requests, notes) VALUES (?, ?, ?, ?, ?)"
            return int(self.base.execute(statement, row).lastrowid or 0)

    def note(self, run: int, notes: Mapping[str, Any]) -> None:
        """Replace the notes of a run (JSON)."""
        with self.transaction():
            self.base.execute("UPDATE runs SET notes = ? WHERE id = ?", (json.dumps(notes, sort_keys=True), run))

    def runs(self, setting: int) -> list[dict[str, Any]]:
        """Return the runs of a setting, each with "started", "seen" (s since 1970), "requests" and "notes"."""
        rows = self.base.execute(
            "SELECT started, seen, requests, notes FROM runs WHERE setting = ? ORDER BY id", (setting,)
        )
        names = ("started", "seen", "requests", "notes")
        return [dict(zip(names, (*row[:3], json.loads(row[3])), strict=True)) for row in rows]

    def write(self, rows: Iterable[Sequence[Any]], *, run: int, requests: int) -> int:
        """Add answers in one transaction."""
        with self.transaction():
            rows = [self._numbered(row) for row in rows]
            before = self.base.total_changes
            self.base.executemany(INSERT, rows)
            n_new = self.base.total_changes - before
            self._unsummed += n_new
            if rows and self._unsummed >= SUMMED:  # so that status is quick after a run that was killed, too
                self._summary(rows[0][0])
                self._unsummed = 0
            self.base.execute("UPDATE runs SET seen = ?, requests = ? WHERE id = ?", (time.time(), requests, run))
        return n_new

    def _numbered(self, row: Sequence[Any]) -> Sequence[Any]:
        """Replace model and participant by their numbers."""
        named = row if isinstance(row, AnswerRow) else AnswerRow(*row)
        return (*named[: len(COLUMNS)], self._server(named.served), self._person(named.participant), named.reaction)

    def _server(self, names: tuple[str, str] | None) -> int:
        """Return the number of a model and fingerprint, which are registered when they are new."""
        if names is None:
            return 0
        if names not in self._servers:
            self.base.execute("INSERT OR IGNORE INTO served (model, fingerprint) VALUES (?, ?)", names)
            found = self.base.execute("SELECT id FROM served WHERE model = ? AND fingerprint = ?", names)
            self._servers[names] = found.fetchone()[0]
        return self._servers[names]

    def _person(self, name: str) -> int:
        """Return the number of a participant, who is registered when new."""
        if not name:
            return 0
        if name not in self._people:
            self.base.execute("INSERT OR IGNORE INTO participants (name) VALUES (?)", (name,))
            found = self.base.execute("SELECT id FROM participants WHERE name = ?", (name,))
            self._people[name] = found.fetchone()[0]
        return self._people[name]

    def participants(self) -> dict[int, str]:
        """Return the names of participants by their number; 0 is nobody in particular."""
        return {0: "", **dict(self.base.execute("SELECT id, name FROM participants").fetchall())}

    def models(self) -> dict[int, str]:
        """Return the models that replies named, with their fingerprint, by their number; 0 is unknown."""
        found = self.base.execute("SELECT id, model, fingerprint FROM served").fetchall()
        return {0: "", **{number: " ".join(filter(None, names)) for number, *names in found}}

    def served(self, setting: int) -> list[tuple[str, str, int, float, float]]:
        """Return each model and fingerprint that replies named, how many, and when first and last (s since 1970)."""
        found = self.base.execute(
            "SELECT model, fingerprint, n, first, last FROM (SELECT served, count(*) AS n, min(answered) AS first, "
            "max(answered) AS last FROM answers WHERE setting = ? AND served > 0 GROUP BY served) "
            "JOIN served ON served.id = served ORDER BY first",
            (setting,),
        )
        return found.fetchall()

    def keys(self, setting: int) -> np.ndarray:
        """Return contents, repeat and newest attempt of the questions that have answers, as int64 of shape (n, 5)."""
        columns = ("first", "second", "third", "repeat", "attempt")
        parts = [np.array(list(table.values()), dtype=np.int64).T for table in self.read(setting, columns)]
        return np.concatenate([np.empty((0, 5), dtype=np.int64), *parts])

    def packed_keys(self, setting: int, *, n_contents: int, n_repeats: int) -> np.ndarray:
        """Read which questions have been answered, as fast as that can be.

        Returns (n_answered,).
        """
        # Every question has a first attempt, and the index of attempts holds all that is read here, in this order.
        cursor = self.base.execute(
            "SELECT ((repeat * :n + first) * :n + second) * :n + third FROM answers WHERE setting = :setting "
            "AND attempt = 0 AND repeat < :r AND first < :n AND second < :n AND third < :n "
            "ORDER BY repeat, first, second, third",
            {"n": n_contents, "r": n_repeats, "setting": setting},
        )
        return np.fromiter((key for (key,) in cursor), dtype=np.int64)

    def spent(self, setting: int) -> dict[str, float]:
        """Sum up what the answers of a setting took."""
        found = self._summary(setting)
        requests, hours = self.base.execute(
            "SELECT total(requests), total(seen - started) / 3600 FROM runs WHERE setting = ?", (setting,)
        ).fetchone()
        return {name: found[name] for name in TAKEN} | {"requests": requests, "hours": hours}

    def counts(self, setting: int) -> dict[str, int]:
        """Return the number of trials per outcome of a setting, by their newest attempt."""
        found = self._summary(setting)
        return {outcome: int(found[outcome]) for outcome in OUTCOMES}

    def _summary(self, setting: int) -> dict[str, float]:
        """Return sums over the answers of a setting: those of the last time, and what has been added since."""
        with self._lock:
            last = self.base.execute("SELECT coalesce(max(id), 0) FROM answers").fetchone()[0]
            kept = self.base.execute("SELECT upto, sums FROM summaries WHERE setting = ?", (setting,)).fetchone()
            upto = kept[0] if kept else 0
            sums: dict[str, float] = json.loads(kept[1]) if kept else dict.fromkeys((*TAKEN, *OUTCOMES), 0.0)
            if upto < last:
                sums = self._added(setting, upto, last, sums)
                self._keep_summary(setting, last, sums)
            return sums

    def _keep_summary(self, setting: int, last: int, sums: Mapping[str, float]) -> None:
        """Keep sums for the next time, also where nothing else is written: they are made of what is there."""
        read_only = self.base.execute("PRAGMA query_only").fetchone()[0]
        row = (setting, last, json.dumps(sums))
        try:
            self.base.execute("PRAGMA query_only = 0")
            self.base.execute("INSERT OR REPLACE INTO summaries (setting, upto, sums) VALUES (?, ?, ?)", row)
        except sqlite3.OperationalError:  # a folder that may not be written to, or a process that is writing for long
            if not read_only:
                raise
        finally:
            self.base.execute(f"PRAGMA query_only = {read_only}")

    def _added(self, setting: int, upto: int, last: int, sums: dict[str, float]) -> dict[str, float]:
        newer = self.base.execute(
            "SELECT outcome, count(*), total(tokens_in), total(tokens_cached), total(tokens_out), "
            "max(tokens_in), max(tokens_out) FROM answers WHERE id > ? AND id <= ? AND +setting = ? GROUP BY outcome",
            (upto, last, setting),
        ).fetchall()
        # An attempt that follows another takes the place of its outcome.
        replaced = self.base.execute(
            "SELECT before.outcome, count(*) FROM answers AS now JOIN answers AS before "
            "ON before.setting = now.setting AND before.attempt = now.attempt - 1 AND before.repeat = now.repeat "
            "AND before.first = now.first AND before.second = now.second AND before.third = now.third "
            "WHERE now.id > ? AND now.id <= ? AND +now.setting = ? AND now.attempt > 0 GROUP BY before.outcome",
            (upto, last, setting),
        ).fetchall()
        sums = dict(sums)
        for outcome, n, *tokens in newer:
            sums[OUTCOMES[outcome]] += n
            for name, value in zip(TAKEN[:3], tokens[:3], strict=True):
                sums[name] += value
            for name, value in zip(TAKEN[3:], tokens[3:], strict=True):
                sums[name] = max(sums[name], value)
        for outcome, n in replaced:
            sums[OUTCOMES[outcome]] -= n
        return sums

    def means(self, setting: int) -> dict[str, float]:
        """Average what an answer takes, over answers that are no errors: tokens, requests and seconds."""
        query = (
            "SELECT avg(tokens_in), avg(tokens_cached), avg(tokens_out), avg(tries), avg(latency) FROM answers "
            "WHERE setting = ? AND outcome != ?"
        )
        found = self.base.execute(query, (setting, OUTCOMES.index("error"))).fetchone()
        names = ("tokens_in", "tokens_cached", "tokens_out", "requests", "latency")
        return {name: value or 0.0 for name, value in zip(names, found, strict=True)}

    def has_valid(self, setting: int) -> bool:
        """Return True if a setting has any valid answer."""
        query = "SELECT 1 FROM answers WHERE setting = ? AND outcome = 0 LIMIT 1"
        return self.base.execute(query, (setting,)).fetchone() is not None

    def read(
        self, setting: int, columns: Sequence[str], *, outcomes: Sequence[str] | None = None
    ) -> Iterator[dict[str, list[Any]]]:
        """Read answers, the newest attempt of each, in the order in which they were given."""
        several = self.base.execute("SELECT 1 FROM answers WHERE setting = ? AND attempt > 0", (setting,)).fetchone()
        where = f" AND {LATEST}" if several else ""
        if outcomes is not None:
            where += f" AND outcome IN ({', '.join(str(OUTCOMES.index(outcome)) for outcome in outcomes)})"
        # The unary plus keeps SQLite from the index, so that rows are read one after the other as they lie in the file.
        cursor = self.base.execute(
            f"SELECT {', '.join(columns)} FROM answers WHERE +setting = ?{where} ORDER BY id", (setting,)
        )
        while rows := cursor.fetchmany(CHUNK):
            yield dict(zip(columns, map(list, zip(*rows, strict=True)), strict=True))


def statements(script: str) -> Iterator[str]:
    """Cut a script of SQL into statements; a semicolon within a trigger ends none."""
    part = ""
    for piece in script.split(";"):
        part += piece + ";"
        if part.strip(" \n;") and sqlite3.complete_statement(part):
            yield part
            part = ""


def merge_stores(store: AnswerStore, other: str | Path) -> dict[str, int]:
    """Copy the answers of other stores into this one."""
    AnswerStore(other, read_only=True).close()
    store.base.execute("ATTACH ? AS other", (str(other),))
    try:
        with store.transaction():
            return _take_over(store)
    finally:
        store.base.execute("DETACH other")


def _take_over(store: AnswerStore) -> dict[str, int]:
    for statement in (
        "INSERT OR IGNORE INTO main.settings (digest, annotator, identity) "
        "SELECT digest, annotator, identity FROM other.settings ORDER BY id",
        "INSERT OR IGNORE INTO main.contents (digest, stimulus) "
        "SELECT digest, stimulus FROM other.contents ORDER BY id",
        "INSERT OR IGNORE INTO main.served (model, fingerprint) "
        "SELECT model, fingerprint FROM other.served ORDER BY id",
        "INSERT OR IGNORE INTO main.participants (name) SELECT name FROM other.participants ORDER BY id",
        "CREATE TEMP TABLE v AS SELECT o.id AS old, m.id AS new FROM other.served o "
        "JOIN main.served m USING (model, fingerprint)",
        "CREATE TEMP TABLE p AS SELECT o.id AS old, m.id AS new FROM other.participants o "
        "JOIN main.participants m USING (name)",
        "CREATE TEMP TABLE s AS SELECT o.id AS old, m.id AS new FROM other.settings o "
        "JOIN main.settings m USING (digest)",
        "CREATE TEMP TABLE c AS SELECT o.id AS old, m.id AS new FROM other.contents o "
        "JOIN main.contents m USING (digest, stimulus)",
        "CREATE UNIQUE INDEX temp.c_old ON c (old)",
        # A run is known by its setting and start, so that merging twice does not count its requests twice.
        "INSERT INTO main.runs (setting, started, seen, requests, notes) "
        "SELECT s.new, o.started, o.seen, o.requests, o.notes FROM other.runs o JOIN s ON s.old = o.setting "
        "WHERE NOT EXISTS (SELECT 1 FROM main.runs m WHERE m.setting = s.new AND m.started = o.started) "
        "ORDER BY o.id",
        "CREATE TEMP TABLE r AS SELECT o.id AS old, min(m.id) AS new FROM other.runs o JOIN s ON s.old = o.setting "
        "JOIN main.runs m ON m.setting = s.new AND m.started = o.started GROUP BY o.id",
    ):
        store.base.execute(statement)
    total = store.base.execute("SELECT count(*) FROM other.answers").fetchone()[0]
    values = ", ".join(f"a.{name}" for name in COLUMNS[7:])
    before = store.base.total_changes
    store.base.execute(
        f"INSERT INTO main.answers ({', '.join(ALL)}) "
        f"SELECT s.new, c1.new, c2.new, c3.new, a.repeat, a.attempt, r.new, {values}, coalesce(v.new, 0), "
        "coalesce(p.new, 0), a.reaction FROM other.answers a LEFT JOIN v ON v.old = a.served "
        "LEFT JOIN p ON p.old = a.participant "
        "JOIN s ON s.old = a.setting JOIN r ON r.old = a.run JOIN c c1 ON c1.old = a.first "
        f"JOIN c c2 ON c2.old = a.second JOIN c c3 ON c3.old = a.third WHERE true ORDER BY a.id {ONCE}"
    )
    added = store.base.total_changes - before
    for table in ("s", "c", "r", "v", "p"):
        store.base.execute(f"DROP TABLE temp.{table}")
    return {"added": added, "known": total - added}

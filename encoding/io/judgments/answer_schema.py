"""Tables of a store of answers, and the statements that read and fill them."""

import sqlite3
from collections.abc import Iterator

FORMAT = 1
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
    tries INTEGER NOT NULL, latency REAL NOT NULL, answered REAL NOT NULL,
    UNIQUE (setting, attempt, repeat, first, second, third));
CREATE TRIGGER answers_stay BEFORE UPDATE ON answers BEGIN SELECT RAISE(ABORT, 'answers are only added'); END;
CREATE TRIGGER answers_remain BEFORE DELETE ON answers BEGIN SELECT RAISE(ABORT, 'answers are only added'); END;
PRAGMA user_version = {FORMAT};
"""
KEY = ("setting", "first", "second", "third", "repeat", "attempt")
COLUMNS = (
    *KEY, "run", "outcome", "choice", "p1", "p2", "p3", "mass", "reply", "detail",
    "tokens_in", "tokens_cached", "tokens_out", "tries", "latency", "answered",
)  # fmt: skip
# Not OR IGNORE, which would drop a row that is damaged as quietly as one that is there already.
ONCE = "ON CONFLICT (setting, attempt, repeat, first, second, third) DO NOTHING"
INSERT = f"INSERT INTO answers ({', '.join(COLUMNS)}) VALUES ({', '.join('?' * len(COLUMNS))}) {ONCE}"
# The newest attempt at each trial; earlier ones are errors that somebody asked to try again.
LATEST = (
    "NOT EXISTS (SELECT 1 FROM answers AS later WHERE later.setting = answers.setting "
    "AND later.attempt = answers.attempt + 1 AND later.repeat = answers.repeat AND later.first = answers.first "
    "AND later.second = answers.second AND later.third = answers.third)"
)


def statements(script: str) -> Iterator[str]:
    """Cut a script into statements; a semicolon within a trigger ends none.

    Parameters
    ----------
    script : str
        SQL.

    Yields
    ------
    str
        One statement.
    """
    part = ""
    for piece in script.split(";"):
        part += piece + ";"
        if part.strip(" \n;") and sqlite3.complete_statement(part):
            yield part
            part = ""

"""Bring the answers of several stores together, such as those of the shards of one plan."""

from pathlib import Path

from .answer_schema import COLUMNS, ONCE
from .answers import AnswerStore


def merge_stores(store: AnswerStore, other: str | Path) -> dict[str, int]:
    """Take over the answers of another store.

    Parameters
    ----------
    store : AnswerStore
        Where to.
    other : str or Path
        A store, for instance that of a shard.

    Returns
    -------
    dict of str to int
        "added": answers that are new here; "known": those that were here already, which stay as they are.

    Raises
    ------
    DataError
        If the other is no store of this format.
    """
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
        f"INSERT INTO main.answers ({', '.join(COLUMNS)}) "
        f"SELECT s.new, c1.new, c2.new, c3.new, a.repeat, a.attempt, r.new, {values} FROM other.answers a "
        "JOIN s ON s.old = a.setting JOIN r ON r.old = a.run JOIN c c1 ON c1.old = a.first "
        f"JOIN c c2 ON c2.old = a.second JOIN c c3 ON c3.old = a.third WHERE true ORDER BY a.id {ONCE}"
    )
    added = store.base.total_changes - before
    for table in ("s", "c", "r"):
        store.base.execute(f"DROP TABLE temp.{table}")
    return {"added": added, "known": total - added}

"""The form of the store's database: numbered migrations, the triggers that keep it append-only, and
the seals by which a changed byte is seen.

A form that was published is never changed; what is new is a further migration.

SQLite sees that a page does not fit the others, and not that a number on it was another. So each
transaction that adds rows to a table seals them: the seal is a hash of these rows and of the seal
before, in a table of its own. A migration that changes a table has to make its seals anew.
"""

from __future__ import annotations

import hashlib
import sqlite3
import struct
from collections.abc import Iterator
from functools import cache

MIGRATIONS = (
    # 1: goals, what was seen, who judged, what came back, what it meant
    """
    CREATE TABLE frames (id TEXT PRIMARY KEY, width INTEGER NOT NULL, height INTEGER NOT NULL)
        STRICT;
    CREATE TABLE goals (id TEXT PRIMARY KEY, text TEXT NOT NULL, principles TEXT NOT NULL)
        STRICT;
    CREATE TABLE goal_pictures (
        goal_id TEXT NOT NULL REFERENCES goals (id),
        position INTEGER NOT NULL,
        frame_id TEXT NOT NULL REFERENCES frames (id),
        counterexample INTEGER NOT NULL CHECK (counterexample IN (0, 1)),
        PRIMARY KEY (goal_id, position)) STRICT;
    CREATE TABLE segments (
        id TEXT PRIMARY KEY, shape TEXT NOT NULL, observations BLOB NOT NULL, state TEXT NOT NULL)
        STRICT;
    CREATE TABLE segment_frames (
        segment_id TEXT NOT NULL REFERENCES segments (id),
        position INTEGER NOT NULL,
        frame_id TEXT NOT NULL REFERENCES frames (id),
        PRIMARY KEY (segment_id, position)) STRICT;
    CREATE TABLE comparisons (
        id TEXT PRIMARY KEY,
        goal_id TEXT NOT NULL REFERENCES goals (id),
        first_id TEXT NOT NULL REFERENCES segments (id),
        second_id TEXT NOT NULL REFERENCES segments (id),
        CHECK (first_id < second_id)) STRICT;
    CREATE TABLE judges (
        id TEXT PRIMARY KEY, name TEXT NOT NULL,
        simulated INTEGER NOT NULL CHECK (simulated IN (0, 1)), settings TEXT NOT NULL) STRICT;
    CREATE TABLE replies (
        id TEXT PRIMARY KEY,
        judge_id TEXT NOT NULL REFERENCES judges (id),
        raw TEXT NOT NULL,
        prompt_tokens INTEGER NOT NULL, completion_tokens INTEGER NOT NULL,
        cost_usd REAL NOT NULL CHECK (cost_usd >= 0), latency_s REAL NOT NULL,
        stored_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ'))) STRICT;
    CREATE TABLE judgments (
        sequence INTEGER PRIMARY KEY,
        id TEXT NOT NULL UNIQUE,
        reply_id TEXT NOT NULL REFERENCES replies (id),
        comparison_id TEXT NOT NULL REFERENCES comparisons (id),
        presentation TEXT NOT NULL CHECK (presentation IN ('forward', 'swapped')),
        p_shown_first REAL CHECK (p_shown_first BETWEEN 0 AND 1),
        failure_kind TEXT, failure_message TEXT,
        CHECK ((p_shown_first IS NULL) <> (failure_kind IS NULL))) STRICT;
    CREATE INDEX judgments_by_comparison ON judgments (comparison_id);
    """,
    # 2: live judging: each request before it is sent, under which principle, and why
    """
    CREATE TABLE requests (
        id TEXT PRIMARY KEY,
        judge_id TEXT NOT NULL REFERENCES judges (id),
        questions TEXT NOT NULL,
        reserved_usd REAL NOT NULL CHECK (reserved_usd >= 0),
        stored_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ'))) STRICT;
    ALTER TABLE replies ADD COLUMN request_id TEXT REFERENCES requests (id);
    ALTER TABLE replies ADD COLUMN reused_from TEXT;
    ALTER TABLE judgments ADD COLUMN principle TEXT;
    ALTER TABLE judgments ADD COLUMN explanation TEXT;
    CREATE UNIQUE INDEX replies_by_request ON replies (request_id);
    CREATE INDEX judgments_by_reply ON judgments (reply_id);
    """,
    # 3: clips: the environment's state at every step. The numbers stay as they were written.
    """
    DROP TRIGGER IF EXISTS segments_no_update;
    ALTER TABLE segments ADD COLUMN states TEXT NOT NULL DEFAULT '[]';
    UPDATE segments SET states = '[' || state || ']' WHERE state <> '{}';
    ALTER TABLE segments DROP COLUMN state;
    """,
    # 4: segments that have no frames: with which keyword arguments, as JSON, the environment is
    # made that draws them when somebody looks
    """
    ALTER TABLE segments ADD COLUMN drawn_with TEXT;
    """,
    # 5: seals; what was there before is sealed as it is
    """
    CREATE TABLE seals (
        sealed TEXT NOT NULL,
        last_row INTEGER NOT NULL,
        digest TEXT NOT NULL,
        PRIMARY KEY (sealed, last_row)) STRICT, WITHOUT ROWID;
    """,
)
TABLES = (
    "frames",
    "goals",
    "goal_pictures",
    "segments",
    "segment_frames",
    "comparisons",
    "judges",
    "requests",
    "replies",
    "judgments",
)
SEALS = "seals"
SEALED, WRITTEN = (  # the last row of each table that is sealed, and that there is
    f"SELECT {', '.join(f'({query.format(table)})' for table in TABLES)}"
    for query in (
        "SELECT max(last_row) FROM seals WHERE sealed = '{}'",
        "SELECT max(rowid) FROM {}",
    )
)


def append_only(table: str) -> str:
    """Triggers that refuse to change or delete a row of `table`."""
    return "".join(
        f"CREATE TRIGGER IF NOT EXISTS {table}_no_{verb.lower()} BEFORE {verb} ON {table} "
        f"BEGIN SELECT RAISE(ABORT, '{table} is append-only'); END;"
        for verb in ("UPDATE", "DELETE")
    )


def migrate(connection: sqlite3.Connection) -> None:
    """Brings a database to the newest form; a new one is made in it.

    Raises:
        sqlite3.DatabaseError: It is of a form that is newer than this program.
    """
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if version > len(MIGRATIONS):
        raise sqlite3.DatabaseError(
            f"it is of form {version}, and this version of Volition knows {len(MIGRATIONS)}"
        )
    if version < len(MIGRATIONS):
        scripts = "".join(MIGRATIONS[version:])
        triggers = "".join(append_only(table) for table in (*TABLES, SEALS))
        connection.executescript(
            f"BEGIN IMMEDIATE; {scripts} {triggers} PRAGMA user_version = {len(MIGRATIONS)};"
        )
        seal(connection)
        connection.execute("COMMIT")


def form_of(connection: sqlite3.Connection) -> list[tuple[str, ...]]:
    """What the database says of its own tables, indexes and triggers."""
    rows = connection.execute("SELECT type, name, tbl_name, sql FROM sqlite_master")
    return sorted((kind, name, table, sql or "") for kind, name, table, sql in rows)


@cache
def newest_form() -> list[tuple[str, ...]]:
    """What a database of the newest form says."""
    connection = sqlite3.connect(":memory:", isolation_level=None)
    migrate(connection)
    form = form_of(connection)
    connection.close()
    return form


# Seals ---------------------------------------------------------------------------------------


def seal(connection: sqlite3.Connection) -> None:
    """Seals every row that is not sealed yet, as a part of the transaction under way."""
    for table, after, last in zip(
        TABLES, *(connection.execute(query).fetchone() for query in (SEALED, WRITTEN)), strict=True
    ):
        if (last or 0) > (after or 0):
            seals = connection.execute(
                "SELECT digest FROM seals WHERE sealed = ? AND last_row = ?", (table, after)
            )
            (before,) = seals.fetchone() or ("",)
            connection.execute(
                "INSERT INTO seals (sealed, last_row, digest) VALUES (?, ?, ?)",
                (table, *_sealed(connection, table, before, after or 0, last)),
            )


def broken_seals(connection: sqlite3.Connection) -> Iterator[str]:
    """One line for every table of which a row is not as it was when it was sealed."""
    seals: dict[str, list[tuple[int, str]]] = {table: [] for table in TABLES}
    for table, row, digest in connection.execute(
        "SELECT sealed, last_row, digest FROM seals ORDER BY sealed, last_row"
    ):
        if table not in seals:
            yield f"a seal is of {table!r}, which is no table"
            return
        seals[table].append((row, digest))
    for table, sealed in seals.items():
        after, before = 0, ""
        for row, digest in sealed:
            if _sealed(connection, table, before, after, row) != (row, digest):
                yield f"rows {after + 1} to {row} of {table} are not as they were stored"
                break
            after, before = row, digest
        else:
            (count,) = connection.execute(
                f"SELECT count(*) FROM {table} WHERE rowid > ?", (after,)
            ).fetchone()
            if count:
                yield f"{count} rows of {table} were not stored by Volition"


def _sealed(
    connection: sqlite3.Connection, table: str, before: str, after: int, upto: int
) -> tuple[int, str]:
    """The last row, and the seal of those `after` one and `upto` another."""
    digest, last = hashlib.sha256(before.encode()), after
    query = f"SELECT rowid, * FROM {table} WHERE rowid > ? AND rowid <= ? ORDER BY rowid"
    for last, *values in connection.execute(query, (after, upto)):
        for value in (last, *values):
            digest.update(_tagged(value))
    return last, digest.hexdigest()


def _tagged(value: object) -> bytes:
    """A value of a row as bytes, of which no two values have the same."""
    if value is None:
        return b"n"
    if isinstance(value, float):
        return b"f" + struct.pack("<d", value)
    content = value if isinstance(value, bytes) else str(value).encode()
    kind = {int: b"i", str: b"s", bytes: b"b"}[type(value)]
    return kind + len(content).to_bytes(8, "little") + content

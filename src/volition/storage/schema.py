"""The form of the store's database: numbered migrations, and the triggers that keep it append-only.

A form that was published is never changed; what is new is a further migration.
"""

from __future__ import annotations

import sqlite3

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
        triggers = "".join(append_only(table) for table in TABLES)
        connection.executescript(
            f"BEGIN; {scripts} {triggers} PRAGMA user_version = {len(MIGRATIONS)}; COMMIT;"
        )

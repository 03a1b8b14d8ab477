"""The store's database: opened, read, written in transactions, and checked as SQLite checks it."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from volition.errors import StoreError
from volition.storage.schema import broken_seals, form_of, migrate, newest_form, seal

DATABASE = "judgments.sqlite"
# what SQLite names that is wrong with the disk or with who asks, and not with the file
NOT_ITS_FAULT = ("SQLITE_BUSY", "SQLITE_CANTOPEN", "SQLITE_FULL", "SQLITE_IOERR", "SQLITE_READONLY")
DAMAGE = (sqlite3.Error, UnicodeError)  # what SQLite raises where a byte is another than it was


class Database:
    """A connection to the file at `path`, which is made if it is not there, and brought to the
    newest form.

    Raises:
        StoreError: It is damaged, or cannot be opened.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            self._connection = _connection(path)
            self._connection.execute("PRAGMA foreign_keys = ON")
            (verdict,) = self._connection.execute("PRAGMA quick_check(1)").fetchone()
            if verdict != "ok":
                raise sqlite3.DatabaseError(verdict)
            migrate(self._connection)
        except DAMAGE as error:
            if getattr(error, "sqlite_errorname", "").startswith(NOT_ITS_FAULT):
                raise StoreError(f"{path} cannot be opened: {_why(error)}") from error
            raise StoreError(
                f"{path} cannot be read as a database ({_why(error)}). Restore the file from a "
                f"copy; `volition verify {path.parent}` lists what else is damaged"
            ) from error

    def close(self) -> None:
        """Lets go of the file."""
        self._connection.close()

    def read(self, query: str, *arguments: object) -> list[tuple]:  # type: ignore[type-arg]
        """The rows of a query.

        Raises:
            StoreError: The file is damaged.
        """
        try:
            return self._connection.execute(query, arguments).fetchall()
        except DAMAGE as error:
            raise StoreError(f"{self._path} is damaged: {_why(error)}") from error

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """All of the block is written, or nothing. Inside of another one it is part of that.

        Raises:
            StoreError: A row was refused.
        """
        if self._connection.in_transaction:
            yield self._connection
            return
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            yield self._connection
            seal(self._connection)
            self._connection.execute("COMMIT")
        except BaseException as error:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
            if isinstance(error, sqlite3.Error):
                raise StoreError(f"{self._path} refused a row: {_why(error)}") from error
            raise

    def broken(self) -> list[str]:
        """One line for each thing that SQLite itself finds wrong: pages and references."""
        defects = [
            f"{DATABASE}: {_why(line)}"
            for (line,) in self.read("PRAGMA integrity_check")
            if line != "ok"
        ]
        return defects + [
            f"{DATABASE}: row {row} of {table} refers to a row of {parent} that is not there"
            for table, row, parent, _ in self.read("PRAGMA foreign_key_check")
        ]

    def changed_rows(self) -> list[str]:
        """What is wrong with rows and tables, all of it as of one moment: others may be writing."""
        defects: list[str] = []
        try:
            self._connection.execute("BEGIN")
            if form_of(self._connection) != newest_form():
                defects.append("its tables are not as Volition makes them")
            defects += broken_seals(self._connection)
        except DAMAGE as error:
            defects.append(_why(error))
        finally:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
        return [f"{DATABASE}: {defect}" for defect in defects]


def _connection(path: Path) -> sqlite3.Connection:
    """To a database that is written as its answers come; or only read, where its folder may not be
    written and nothing waits beside it to be written."""
    connection = sqlite3.connect(path, isolation_level=None)
    try:
        connection.execute("PRAGMA journal_mode = WAL")
    except sqlite3.OperationalError:
        connection.close()
        if path.with_name(f"{path.name}-wal").exists():
            raise
        address = f"{path.absolute().as_uri()}?immutable=1"
        connection = sqlite3.connect(address, uri=True, isolation_level=None)
    return connection


def _why(error: object) -> str:
    """What SQLite says is wrong, in one line."""
    return " ".join(str(error).split())[:200]

"""The one writer of a store, on a thread of its own, beside an asyncio loop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import TypeVar

from volition.storage.store import Store

Change = Callable[[Store], object]
T = TypeVar("T")


class Writer:
    """The one that writes to the store, on a thread of its own.

    Whatever is waiting when it gets to write goes into one transaction, and is reported as
    written only after that is on disk.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._thread = ThreadPoolExecutor(1, "store")
        self._waiting: list[tuple[Change, asyncio.Future[None]]] = []
        self._task: asyncio.Task[None] | None = None

    async def open(self) -> None:
        self._store = await self._in_thread(lambda: Store.open(self._folder))

    async def read(self, query: Callable[[Store], T]) -> T:
        return await self._in_thread(partial(query, self._store))

    async def write(self, change: Change) -> None:
        """Returns when the change is on disk."""
        written: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((change, written))
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._write_all())
        await written

    async def close(self) -> None:
        if hasattr(self, "_store"):
            await self._in_thread(self._store.close)
        self._thread.shutdown()

    async def _write_all(self) -> None:
        while self._waiting:
            batch, self._waiting = self._waiting, []
            changes = [change for change, _ in batch]
            errors = await self._in_thread(partial(_write_together, self._store, changes))
            for (_, written), error in zip(batch, errors, strict=True):
                if written.cancelled():
                    continue
                if error is None:
                    written.set_result(None)
                else:
                    written.set_exception(error)
        self._task = None

    async def _in_thread(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)


def _write_together(store: Store, changes: Sequence[Change]) -> list[Exception | None]:
    """Makes changes in one transaction; where that fails, each by itself, so that one bad row
    does not take the others with it. What each one raised, or None."""
    try:
        with store.transaction():
            for change in changes:
                change(store)
    except Exception as error:
        if len(changes) == 1:
            return [error]
        return [_write_together(store, [change])[0] for change in changes]
    return [None] * len(changes)

"""Curves as TensorBoard reads them, written at once: whatever cannot be written is said.

tensorboardX's own writer does it on a thread of its own, which ends where the disk is full, and
everybody who adds to its queue then waits for ever.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tensorboardX.event_file_writer import EventsWriter
from tensorboardX.proto.event_pb2 import Event, SessionLog
from tensorboardX.summary import scalar

from volition.errors import RunError


class Curves:
    """Numbers by name over steps, in a file of their own for each process.

    Args:
        folder: Of the files.
        done: The last step that stays; what other files say of later ones is discarded there.

    Raises:
        RunError: They cannot be written.
    """

    def __init__(self, folder: Path, done: int | None = None) -> None:
        self._folder = folder
        with self._writing():
            folder.mkdir(exist_ok=True)
            self._writer = EventsWriter(str(folder / "events"), f".{os.getpid()}")
            if done is not None:
                started = SessionLog(status=SessionLog.START)
                self._write(Event(step=done + 1, session_log=started))
            self._writer.flush()

    def add(self, scalars: Mapping[str, float], step: int) -> None:
        """Writes numbers that were measured by a step.

        Raises:
            RunError: They cannot be written.
        """
        with self._writing():
            for name, value in scalars.items():
                self._write(Event(step=step, summary=scalar(name, value)))
            self._writer.flush()

    def close(self) -> None:
        """Ends the file, all of which is written."""
        with self._writing():
            self._writer.close()

    def _write(self, event: Any) -> None:
        event.wall_time = time.time()
        self._writer.write_event(event)

    @contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise RunError(f"{self._folder} cannot be written: {error.strerror}") from error

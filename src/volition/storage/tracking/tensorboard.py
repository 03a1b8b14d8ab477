"""Curves as TensorBoard reads them, written at once: whatever cannot be written is said.

tensorboardX's own writer does it on a thread of its own, which ends where the disk is full, and
everybody who adds to its queue then waits for ever.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from tensorboardX.proto.event_pb2 import Event, SessionLog
from tensorboardX.record_writer import RecordWriter
from tensorboardX.summary import scalar

from volition.errors import RunError

FLUSHED_EVERY_S = 10.0  # since it takes as long as the disk needs


class Curves:
    """Numbers by name over steps, in a file of their own for each process.

    Args:
        folder: Of the files.
        done: The last step that stays; what other files say of later ones is discarded there.

    Raises:
        RunError: They cannot be written.
    """

    def __init__(self, folder: Path, done: int | None = None) -> None:
        self._folder, self._flushed = folder, 0.0
        name = f"events.out.tfevents.{time.time():.0f}.{socket.gethostname()}.{os.getpid()}"
        with self._writing():
            folder.mkdir(exist_ok=True)
            self._records = RecordWriter(str(folder / name))
        first = [Event(file_version="brain.Event:2")]
        if done is not None:
            started = SessionLog(status=SessionLog.START)
            first.append(Event(step=done + 1, session_log=started))
        self._write(first)

    def add(self, scalars: Mapping[str, float], step: int) -> None:
        """Writes numbers that were measured by a step.

        Raises:
            RunError: They cannot be written.
        """
        self._write(
            Event(step=step, summary=scalar(name, value)) for name, value in scalars.items()
        )

    def close(self) -> None:
        """Ends the file."""
        with self._writing():
            self._records.close()

    def _write(self, events: Iterable[Any]) -> None:
        with self._writing():
            try:
                for event in events:
                    event.wall_time = time.time()
                    self._records.write(event.SerializeToString())
                if time.time() >= self._flushed + FLUSHED_EVERY_S:
                    self._records.flush()
                    self._flushed = time.time()
            except OSError:
                with suppress(OSError):
                    self._records.close()
                raise

    @contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise RunError(f"{self._folder} cannot be written: {error.strerror}") from error

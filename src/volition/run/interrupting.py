"""What passes between a run and whoever looks at it from outside, and heeded where nothing is half
done: Ctrl-C, what a person wants of it by its control file, and how it is getting on.

The control file is written whole by whoever steers and only read by the run, so a kill at any
moment leaves the one or the other; its wishes to pause and to stop end when the run is gone on
with, and a budget that was raised stays.
"""

from __future__ import annotations

import logging
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from types import FrameType
from typing import Literal

from volition.errors import Interrupted, RunError, VolitionError
from volition.judging.limits import Wanted
from volition.run.results import Listener, Progress
from volition.storage.documents import read_document, write_document

LOG = logging.getLogger("volition")
TOLD_EVERY_S = 0.5
PAUSED = "paused: go on from the page of `volition watch`, or stop with Ctrl-C"
State = Literal["running", "paused", "finished", "stopped", "failed"]


class Pressed:
    """Whether the run is to stop: Ctrl-C was pressed, or a person said so."""

    def __init__(self, said: Callable[[], bool]) -> None:
        self._pressed, self._said = threading.Event(), said

    def set(self) -> None:
        self._pressed.set()

    def is_set(self) -> bool:
        return self._pressed.is_set() or self._said()


@contextmanager
def noted(said: Callable[[], bool] = lambda: False) -> Iterator[Pressed]:
    """Within the block the first Ctrl-C is only noted; the second one stops at once.

    Args:
        said: Whether somebody wants it to stop in another way.
    """
    pressed, again = Pressed(said), threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield pressed
        return

    def note(_signal: int, _frame: FrameType | None) -> None:
        if again.is_set():
            raise KeyboardInterrupt
        again.set()
        pressed.set()

    before = signal.signal(signal.SIGINT, note)
    try:
        yield pressed
    finally:
        signal.signal(signal.SIGINT, before)


class Helm:
    """What a person wants of a run, by the file in which it is said.

    Args:
        file: The control file; without one nobody ever wants anything.
    """

    def __init__(self, file: Path | None = None) -> None:
        self._file = file
        self._read: tuple[int, int] | None = None
        self._wanted = Wanted()

    def __call__(self) -> Wanted:
        """What is wanted by now. A file that cannot be read says nothing."""
        if self._file is None:
            return self._wanted
        try:
            stat = self._file.stat()
        except OSError:
            self._read, self._wanted = None, Wanted()
            return self._wanted
        version = stat.st_mtime_ns, stat.st_size
        if version != self._read:
            self._read = version
            try:
                self._wanted = read_document(self._file, Wanted)
            except (RunError, ValueError) as error:
                LOG.warning("%s: it is not heeded", error)
        return self._wanted

    def stops(self) -> bool:
        return self().stop

    def pauses(self) -> bool:
        return self().pause

    def want(self, wanted: Wanted) -> None:
        """Says what is wanted, for the run to heed.

        Raises:
            RunError: It cannot be written.
        """
        assert self._file is not None
        write_document(self._file, wanted)

    def begin(self) -> None:
        """The run goes on: nobody wants it to pause or to stop any more."""
        wanted = self()
        if wanted.pause or wanted.stop:
            self.want(replace(wanted, pause=False, stop=False))


@dataclass(frozen=True, slots=True)
class UnderWay:
    """How a run is getting on, as in `progress.json`.

    Attributes:
        state: Of the process that went on with it last; `running` or `paused` of one that was
            killed, too.
        progress: What it told last.
        message: Why it ended, where it failed or was stopped.
        at: When, in seconds since 1970.
    """

    state: State
    progress: Progress
    message: str = ""
    at: float = 0.0


class Telling:
    """A listener that keeps what it is told in a file, too, now and then. A context manager, whose
    end says how the run ended."""

    def __init__(self, file: Path, helm: Helm, listener: Listener) -> None:
        self._file, self._helm, self._listener = file, helm, listener
        self._last: Progress | None = None
        self._written, self._stage = 0.0, ""

    def __call__(self, progress: Progress) -> None:
        self._listener(progress)
        self._last = progress
        now = time.monotonic()
        if progress.stage != self._stage or now >= self._written + TOLD_EVERY_S:
            self._stage, self._written = progress.stage, now
            self._write("paused" if self._helm.pauses() else "running")

    def __enter__(self) -> Telling:
        return self

    def __exit__(self, _: object, error: BaseException | None, __: object) -> None:
        if error is None:
            self._write("finished")
        elif isinstance(error, Interrupted | KeyboardInterrupt):
            self._write("stopped", str(error) or "stopped at once")
        else:
            kind = "" if isinstance(error, VolitionError) else f"{type(error).__name__}: "
            self._write("failed", f"{kind}{error}")

    def _write(self, state: State, message: str = "") -> None:
        """Nothing depends on it, so a disk that is full or read-only is no reason to stop."""
        if self._last is not None:
            with suppress(RunError, OSError):
                write_document(self._file, UnderWay(state, self._last, message, time.time()))

"""Files and folders that take their place whole or not at all, whenever the program is killed."""

from __future__ import annotations

import errno
import importlib.util
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from volition.errors import RunError, VolitionError

LOOKS, LOOK_S = 5, 0.02  # how often a lock that is taken is tried, and how long after each


def write_whole(path: Path, content: bytes | str, durable: bool = True) -> None:
    """Writes a file so that a kill at any moment leaves the old one or the new one.

    Args:
        path: Of the file.
        content: Text is written as UTF-8.
        durable: Whether it is on disk before this returns, should the machine lose its power.
    """
    data = content.encode() if isinstance(content, str) else content
    with new_file(path) as partial, partial.open("wb") as file:
        file.write(data)
        if durable:
            file.flush()
            os.fsync(file.fileno())


@contextmanager
def new_file(path: Path) -> Iterator[Path]:
    """A file that takes the place of `path` when the block that writes it ends well."""
    partial = _partial(path)
    try:
        yield partial
        partial.replace(path)
    except OSError as error:
        raise _unwritten(path, error) from error
    finally:
        partial.unlink(missing_ok=True)


@contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """A folder that takes its place as `path` when the block that fills it ends well."""
    partial = _partial(path)
    try:
        partial.mkdir(parents=True)
        yield partial
        partial.replace(path)
    except OSError as error:
        raise _unwritten(path, error) from error
    except VolitionError as error:  # of the folder as it will be called
        raise type(error)(str(error).replace(str(partial), str(path))) from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)


@contextmanager
def exclusively(folder: Path) -> Iterator[None]:
    """Within the block no other process is in such a block for this folder.

    The lock is the operating system's, so it ends with the process, however that ends. Where the
    system or the folder's file system has none, nobody is kept out.

    Raises:
        RunError: Another process is.
    """
    if importlib.util.find_spec("fcntl") is None:  # on Windows
        yield
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        _lock(descriptor)
    except BlockingIOError:
        os.close(descriptor)
        raise RunError(
            f"{folder} is in use: another process goes on with this run; wait until it ends, or "
            "stop it"
        ) from None
    except OSError as error:
        if error.errno not in (errno.ENOTSUP, errno.ENOLCK, errno.EBADF):
            os.close(descriptor)
            raise
    try:
        yield
    finally:
        os.close(descriptor)


def _lock(descriptor: int) -> None:
    """Takes the lock; whoever only looks whether it is taken has it for a moment."""
    import fcntl

    for left in reversed(range(LOOKS)):
        try:
            return fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if not left:
                raise
            time.sleep(LOOK_S)
    return None


def is_in_use(folder: Path) -> bool:
    """Whether another process, or another thread, is in a block of `exclusively` for this folder.

    Where nobody is kept out nobody knows, and it is said that none is.
    """
    if importlib.util.find_spec("fcntl") is None:
        return False
    import fcntl

    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    finally:
        os.close(descriptor)
    return False


def is_free(path: Path) -> bool:
    """Whether a new folder can take its place there: nothing is there, or an empty folder.

    Raises:
        RunError: Its name is too long, or one of the folders above cannot be looked into.
    """
    try:
        return not path.exists() or (path.is_dir() and not any(path.iterdir()))
    except OSError as error:
        raise RunError(f"{path} cannot be written: {error.strerror}") from error


def _unwritten(path: Path, error: OSError) -> RunError:
    return RunError(f"{path} cannot be written: {error.strerror or error}")


def _partial(path: Path) -> Path:
    """Where it is until then: beside it, and of this process alone."""
    return path.with_name(f".{path.name}.{os.getpid()}.partial")

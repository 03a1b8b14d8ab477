"""Files and folders that take their place whole or not at all, whenever the program is killed."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from volition.errors import RunError


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
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def is_free(path: Path) -> bool:
    """Whether a new folder can take its place there: nothing is there, or an empty folder.

    Raises:
        RunError: Its name is too long, or one of the folders above cannot be looked into.
    """
    try:
        return not path.exists() or (path.is_dir() and not any(path.iterdir()))
    except OSError as error:
        raise RunError(f"{path} cannot be written: {error.strerror}") from error


def _partial(path: Path) -> Path:
    """Where it is until then: beside it, and of this process alone."""
    return path.with_name(f".{path.name}.{os.getpid()}.partial")

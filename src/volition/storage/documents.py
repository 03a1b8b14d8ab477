"""Typed values as JSON documents, each checked when it is read."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from volition.errors import RunError
from volition.storage.files import write_whole

T = TypeVar("T")


def as_document(value: object) -> dict[str, Any]:
    """A dataclass as JSON has it; NaN and infinity stay what they are."""
    document: dict[str, Any] = TypeAdapter(type(value)).dump_python(value, mode="json")
    return document


def from_document(kind: type[T], document: Mapping[str, Any]) -> T:
    """The dataclass of that kind; keys that it does not know are left out.

    Raises:
        ValidationError: It is not one.
    """
    return TypeAdapter(kind).validate_python(document)


def write_document(path: Path, value: object) -> None:
    """Writes a dataclass, whole or not at all."""
    write_whole(path, json.dumps(as_document(value), indent=2))


def read_document(path: Path, kind: type[T]) -> T:
    """The dataclass of that kind that a file holds.

    Raises:
        RunError: It is missing, damaged, or another document.
    """
    try:
        return from_document(kind, json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, ValidationError) as error:
        raise RunError(f"{path} cannot be read: {error}") from error

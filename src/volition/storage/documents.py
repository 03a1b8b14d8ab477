"""Typed values as JSON documents, each checked when it is read.

A document begins with a digest of the rest of it, so that a changed digit is seen.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Mapping
from dataclasses import fields
from functools import cache
from pathlib import Path
from typing import Any, TypeVar, cast

from pydantic import TypeAdapter

from volition.errors import RunError
from volition.storage.files import write_whole

T = TypeVar("T")
SEAL = "sha256"


def as_document(value: object) -> dict[str, Any]:
    """A dataclass as JSON has it; NaN and infinity stay what they are."""
    document: dict[str, Any] = _adapter(cast(Any, type(value))).dump_python(value, mode="json")
    return document


def from_document(kind: type[T], document: Mapping[str, Any]) -> T:
    """The dataclass of that kind; keys that it does not know are left out.

    Raises:
        ValidationError: It is not one.
    """
    read: T = _adapter(cast(Any, kind)).validate_python(document)
    return read


@cache
def _adapter(kind: Any) -> TypeAdapter[Any]:
    """Made once for each kind: making one takes longer than using it."""
    return TypeAdapter(kind)


def sealed(document: Mapping[str, Any]) -> dict[str, Any]:
    """The document with a digest of it as its first key."""
    read_back = json.loads(json.dumps(document))  # in which every key is text
    canonical = json.dumps(read_back, sort_keys=True)
    return {SEAL: hashlib.sha256(canonical.encode()).hexdigest(), **document}


def unsealed(document: Mapping[str, Any], known: Collection[str]) -> dict[str, Any]:
    """The document without its digest, which must be that of the rest.

    Args:
        document: As it was read. One of 0.1 has no digest.
        known: The keys with which such a document begins.

    Raises:
        ValueError: It is not as it was written.
    """
    if not isinstance(document, Mapping):
        raise ValueError("it holds no table")
    rest = {key: value for key, value in document.items() if key != SEAL}
    first = next(iter(document), None)
    if first not in known and (SEAL not in document or dict(document) != sealed(rest)):
        raise ValueError("it is not as it was written: a byte was changed")
    return rest


def write_document(path: Path, value: object, **more: object) -> None:
    """Writes a dataclass and what else is given, whole or not at all."""
    write_whole(path, json.dumps(sealed({**as_document(value), **more}), indent=2))


def read_document(path: Path, kind: type[T]) -> T:
    """The dataclass of that kind that a file holds.

    Raises:
        RunError: It is missing, damaged, or another document.
    """
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        known = [field.name for field in fields(cast(Any, kind))]
        return from_document(kind, unsealed(document, known))
    except (OSError, ValueError, RecursionError) as error:
        why = " ".join(str(error).split())[:200]
        raise RunError(f"{path} cannot be read: {why}; restore it from a copy") from error

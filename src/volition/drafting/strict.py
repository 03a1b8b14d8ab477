"""Reading what somebody wrote: one JSON object, strictly, and every text in it as data.

A line break, a comment's mark or a sign that cannot be seen is refused, where the person would read
another thing than the judge. Other languages and scripts are as good as English.
"""

from __future__ import annotations

import json
import unicodedata
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from volition.drafting.request import LONGEST
from volition.errors import InputError
from volition.goal import VETO, Principle, hidden_sign, read_constitution
from volition.judges.prompt import Document
from volition.tasks.numbers import shown

MOST_CHARACTERS = 200_000  # of a reply: many times what is asked for
MOST_OBJECTS = 100  # braces at which one is looked for
MOST_FAULTS = 8  # that are told at once
LARGEST = 1 << 20  # bytes of a file with an answer

Text = Annotated[str, Field(strict=True)]


class Unreadable(Exception):
    """Why a reply cannot be taken: a line for each fault, with its place and its value."""


class Strict(BaseModel):
    """An object of which every key is known."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def written_in(file: Path) -> str:
    """The text of a file with an answer.

    Raises:
        InputError: It cannot be read, is too large, or no text.
    """
    try:
        data = file.read_bytes() if file.stat().st_size <= LARGEST else None
    except OSError as error:
        raise InputError(f"{file} cannot be read: {error.strerror}") from error
    if data is None:
        raise InputError(f"{file} has more than {LARGEST:,} bytes")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise InputError(f"{file}:{line} is not UTF-8 text: save it as UTF-8") from None


def object_in(text: str, key: str, what: str) -> Document:
    """The one object with a key that the text holds, outside of what a model wrote to itself.

    Args:
        text: In which words or a fence may stand around the object.
        key: That it must have.
        what: It is, for a message.

    Raises:
        Unreadable: There is none, or more than one.
    """
    if len(text) > MOST_CHARACTERS:
        raise Unreadable(f"it has {len(text):,} characters, and may have {MOST_CHARACTERS:,}")
    answer = text.rpartition("</think>")[2]
    decoder = json.JSONDecoder(object_pairs_hook=_unrepeated)
    found, why, start = [], "it holds no JSON object", answer.find("{")
    for _ in range(MOST_OBJECTS):
        if start < 0:
            break
        end = start + 1
        try:
            document, end = decoder.raw_decode(answer, start)
            found.append(document)
        except json.JSONDecodeError as error:
            if not found and why.startswith("it holds"):
                why = f"line {error.lineno}, column {error.colno}: no JSON: {error.msg}"
        except (ValueError, RecursionError) as error:
            if isinstance(error, RecursionError):
                error = ValueError("it is nested too deep")
            raise Unreadable(str(error)) from None
        start = answer.find("{", end)
    ones = [document for document in found if key in document]
    if len(ones) > 1:
        raise Unreadable(f"it holds {len(ones)} {what}s, and must hold one")
    if not ones:
        raise Unreadable(f"it holds no {key}: no object has that key" if found else why)
    return ones[0]


def _unrepeated(pairs: list[tuple[str, Any]]) -> Document:
    keys = [key for key, _ in pairs]
    twice = [key for key in keys if keys.count(key) > 1]
    if twice:
        raise ValueError(f"it says {shown(twice[0])} twice")
    return dict(pairs)


def told(error: ValidationError, what: str) -> str:
    """A line for each fault, what is read being called so where it has no place of its own."""
    lines = []
    for problem in error.errors()[:MOST_FAULTS]:
        place, value, kind = _place(problem["loc"]) or what, problem["input"], problem["type"]
        limits = problem.get("ctx", {})
        if kind == "too_long":
            why = f"at most {limits['max_length']} are taken, and there are {_length(value)}"
        elif kind == "too_short":
            why = "there must be one, and there is none"
        elif kind == "extra_forbidden":
            why = "there is no such key"
        elif kind == "literal_error":
            why = f"it must be {limits['expected']}, not {shown(value)}"
        elif kind == "missing":
            why = "it is missing"
        else:
            expected = _expected(kind)
            why = f"it must be {expected}, not {shown(value)}"
        lines.append(f"{place}: {why}")
    return "\n".join(lines)


def _length(value: object) -> object:
    return len(value) if isinstance(value, list | tuple) else shown(value)


def _expected(kind: str) -> str:
    kinds = {"string": "text", "int": "a whole number", "tuple": "an array", "model": "an object"}
    return next((words for name, words in kinds.items() if kind.startswith(name)), "otherwise")


def _place(location: tuple[int | str, ...]) -> str:
    """Such as `principles 2, picture`."""
    words: list[str] = []
    for part in location:
        if isinstance(part, int) and words:
            words[-1] += f" {part + 1}"
        else:
            name = str(part)
            words.append(name if name.isidentifier() and len(name) < 80 else shown(name))
    return ", ".join(words)


def unfit(text: str) -> str:
    """Why a text is not one line that can be read; empty where it is."""
    if not any(unicodedata.category(sign)[0] in "LN" for sign in text):
        return f"it says nothing: {shown(text)}"
    if len(text) > LONGEST:
        return f"it has {len(text):,} characters, and may have {LONGEST}: {shown(text)}"
    if sign := hidden_sign(text.strip()):
        name = "a line break" if sign in "\n\r\u2028\u2029" else f"the sign U+{ord(sign):04X}"
        return f"it holds {name}, and must be one line of text: {shown(text)}"
    return ""


def no_line(text: str, veto: bool) -> str:
    """Why a constitution would read something else, if it would: a comment, or a veto."""
    line = f"{VETO} {text}" if veto else text
    if read_constitution(line) == [Principle(text, veto)]:
        return ""
    return f"it begins like something else in a constitution: {shown(text)}"

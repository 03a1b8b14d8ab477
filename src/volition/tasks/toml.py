"""The text of a task.toml: read, its goals told apart, and where in it something is wrong."""

from __future__ import annotations

import json
import math
import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, time
from itertools import pairwise
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from volition.errors import InputError
from volition.tasks.numbers import shown

Table = dict[str, Any]  # of TOML
Location = tuple[int | str, ...]
SEVERAL = ("goals", "default_goal")  # the keys of a task.toml with several goals
OF_A_GOAL = ("view", "reward", "judgments", "training")  # sections that each of them may have
LARGEST = 2**20  # bytes of a task.toml
DEEPEST = 16  # tables and arrays inside of each other
MOST_DEFECTS = 8  # that are told at once
BARE_KEY = re.compile(r"[\w-]+")
KINDS = {  # of values, by what pydantic calls their being something else
    "bool": "true or false",
    "int": "a whole number",
    "float": "a number",
    "finite": "a finite number",
    "string": "text in quotes",
    "tuple": "an array",
    "list": "an array",
    "dict": "a table",
    "model": "a table",
}


def read_toml(path: Path) -> tuple[str, Table]:
    """The text of a TOML file and its document, of which every value can be kept in a run.

    Raises:
        InputError: It cannot be read, or holds what no run could keep: it names the file and where.
    """
    try:
        size = path.stat().st_size
        data = path.read_bytes() if size <= LARGEST else b""
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}") from error
    if size > LARGEST:
        raise InputError(f"{path} has {size:,} bytes: a task.toml has at most {LARGEST:,}")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise InputError(f"{path}:{line} is not UTF-8 text: save it as UTF-8") from None
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise InputError(f"{path} is not valid TOML: {error}") from None
    except RecursionError:
        nested = [line.count("[") + line.count("{") for line in text.split("\n")]
        line = nested.index(max(nested)) + 1
        raise InputError(f"{path}:{line}: it is nested more than {DEEPEST} deep") from None
    except ValueError:  # Python refuses to read a number of thousands of digits
        digits = max(re.finditer(r"[\d_]+", text), key=lambda run: run.end() - run.start())
        line, count = text.count("\n", 0, digits.start()) + 1, digits.end() - digits.start()
        raise InputError(f"{path}:{line}: a number of {count:,} digits is too large") from None
    for location, value in _values(document):
        if (why := _unfit(location, value)) is not None:
            raise InputError(f"{path}:{line_of(text, location)}: {_key(location)}: {why}")
    return text, document


def check_kwargs(kwargs: Mapping[str, object]) -> None:
    """That keyword arguments of an environment can be kept in a run.

    Raises:
        InputError: It names the argument and its value.
    """
    for location, value in _values(dict(kwargs)):
        if (why := _unfit(location, value)) is not None:
            raise InputError(f"--kwargs {_key(location)}: {why}")


def _values(document: Table) -> Iterator[tuple[Location, object]]:
    """Every value in a document and where it is, those that hold others first."""
    waiting: list[tuple[Location, object]] = [((), document)]
    while waiting:
        location, value = waiting.pop()
        yield location, value
        inside = (
            value.items()
            if isinstance(value, dict)
            else enumerate(value)
            if isinstance(value, list)
            else ()
        )
        waiting += [((*location, key), inner) for key, inner in inside]


def _unfit(location: Location, value: object) -> str | None:
    """Why a value cannot be kept or used anywhere, if it cannot."""
    if len(location) > DEEPEST:
        return f"it is nested more than {DEEPEST} deep"
    if isinstance(value, bool | dict | list):
        return None
    if isinstance(value, int):
        small = -(2**63) <= value < 2**63
        return None if small else f"{shown(value)} is too large: a whole number has 64 bits"
    if isinstance(value, float):
        return None if math.isfinite(value) else f"{shown(value)} is not a finite number"
    if isinstance(value, str):
        control = next((c for c in value if (c < " " and c not in "\t\n\r") or c == "\x7f"), None)
        return None if control is None else f"it holds the control character U+{ord(control):04X}"
    if isinstance(value, date | time):
        return f"{value} is a date or a time, which nothing here is: put it into quotes"
    return "it is nothing that TOML can say: a number, text, true, false, an array or a table"


def check_format(path: Path, text: str, document: Table, known: int) -> None:
    """Takes the number of its format out of the document; one without is of the first.

    Raises:
        InputError: It is none, or newer than what this program reads.
    """
    number = document.pop("format", 1)
    where = f"{path}:{line_of(text, ['format'])}: format"
    if isinstance(number, bool) or not isinstance(number, int) or number < 1:
        raise InputError(f"{where}: it is a whole number from 1 on (it is {number!r})")
    if number > known:
        raise InputError(
            f"{where}: {number} is newer than this Volition, which reads up to {known}: "
            "install a newer one"
        )


def by_goal(path: Path, text: str, document: Table) -> dict[str | None, Table]:
    """The document for each of its goals, the default one first, as though it were the only one.

    Raises:
        InputError: It has several goals, and they are not told apart as they must be.
    """
    if "goals" not in document:
        return {None: document}
    shared = {key: value for key, value in document.items() if key not in SEVERAL}
    default, goals = document.get("default_goal"), document["goals"]
    if not (isinstance(goals, dict) and all(isinstance(goal, dict) for goal in goals.values())):
        wrong, allowed = "goals", "it holds a table for each goal: [goals.NAME]"
    elif not isinstance(default, str) or default not in goals:
        wrong, allowed = "default_goal", f"it is one of {', '.join(goals)} (it is {default!r})"
    elif of_one := [key for key in ("goal", "judgments") if key in document]:
        wrong, allowed = (
            of_one[0],
            "where there are several goals, it is said of each: [goals.NAME]",
        )
    else:
        order = [default, *(name for name in goals if name != default)]
        return {name: _resolved(shared, name, goals[name]) for name in order}
    raise InputError(f"{path}:{line_of(text, [wrong])}: {wrong}: {allowed}")


def _resolved(shared: Table, name: str, goal: Table) -> Table:
    """What all goals share, with one of them; its own sections are laid over the shared ones."""
    resolved = {**shared, "goal": {key: goal[key] for key in goal if key not in OF_A_GOAL}}
    for section in OF_A_GOAL:
        if section in goal:
            common, own = shared.get(section, {}), goal[section]
            both = isinstance(common, dict) and isinstance(own, dict)
            resolved[section] = {**common, **own} if both else own
    if isinstance(shared.get("name"), str):
        resolved["name"] = f"{shared['name']}-{name}"
    return resolved


@dataclass(frozen=True, slots=True)
class Place:
    """A task.toml, and which of its goals is read; `own` is that goal's table."""

    path: Path
    text: str
    goal: str | None
    own: Mapping[str, Any]

    def written(self, location: Location) -> Location:
        """Where a key stands in the file, by where it stands once one goal is chosen."""
        if self.goal is None or not location:
            return location
        section, *keys = location
        if section == "goal":
            return ("goals", self.goal, *keys)
        own = self.own.get(section) if section in OF_A_GOAL else None
        is_own = not keys or not isinstance(own, dict) or keys[0] in own
        return ("goals", self.goal, *location) if own is not None and is_own else location


def _key(location: Location) -> str:
    """Where something is, as a person would write it; a key's own line breaks break no line."""
    return ".".join(
        part if isinstance(part, str) and BARE_KEY.fullmatch(part) else json.dumps(part)
        for part in location
    )


def _reason(problem: ErrorDetails) -> str:
    """What is wrong with a value, in TOML's words."""
    kind, message = problem["type"], problem["msg"].removeprefix("Value error, ")
    expected = KINDS.get(kind.partition("_")[0])
    if kind in ("missing", "value_error"):
        return message
    if kind in ("too_short", "too_long"):
        limits = problem["ctx"]
        bound = "at least" if kind == "too_short" else "at most"
        length = limits.get("min_length", limits.get("max_length"))
        return f"it must hold {bound} {length}, and holds {limits['actual_length']}"
    if expected and kind.endswith(("_type", "_parsing", "_from_float", "_number")):
        message = f"Input should be {expected}"
    return f"{message} (it is {shown(problem['input'])})"


def explain(place: Place, error: ValidationError, task: type[BaseModel]) -> str:
    """What is wrong in the file, a line for each: file, line, key, and what is allowed there.

    Args:
        place: Which file, and which of its goals was read.
        error: What its values were refused for.
        task: The model that refused them.
    """
    lines, problems = [], error.errors()
    for problem in problems[:MOST_DEFECTS]:
        location = problem["loc"]
        written = place.written(location)
        key = _key(written) or "task"
        reason = _reason(problem)
        if problem["type"] == "extra_forbidden":
            allowed = _table(task, location[:-1])
            if place.goal is not None and location[:-1] == ("goal",):
                allowed += OF_A_GOAL
            reason = f"there is no such key; allowed here: {', '.join(allowed)}"
        lines.append(f"{place.path}:{line_of(place.text, written)}: {key}: {reason}")
    if more := len(problems) - len(lines):
        lines.append(f"{place.path}: and {more} more of such")
    return "\n".join(lines)


def _table(task: type[BaseModel], location: Location) -> list[str]:
    """The keys that the table at `location` may have."""
    model: Any = task
    for part in location:
        if isinstance(part, str) and isinstance(model, type) and issubclass(model, BaseModel):
            model = section_in(model.model_fields[part].annotation)
    fields: Mapping[str, Any] = getattr(model, "model_fields", {})
    names = [name for name, field in fields.items() if not field.exclude]
    return names if location else [*names, *SEVERAL]


def section_in(annotation: Any) -> type[BaseModel] | None:
    """The section inside an annotation such as `Section | None` or `tuple[Section, ...]`."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    for inner in getattr(annotation, "__args__", ()):
        if (section := section_in(inner)) is not None:
            return section
    return None


def line_of(text: str, place: Sequence[int | str]) -> int:
    """The line of a key, or of a word in it: of its table where a key is missing."""
    lines, location = text.splitlines(), [part for part in place if isinstance(part, str)]
    start, matched = 0, 0
    for length in range(len(location), 0, -1):
        header = f"[{'.'.join(location[:length])}]"
        headed = [
            number for number, line in enumerate(lines) if line.startswith((header, f"[{header}]"))
        ]
        if headed:
            start, matched = headed[min(_which(place, length), len(headed) - 1)], length
            break
    if matched < len(location):
        word = re.compile(rf"(?<![\w.-]){re.escape(location[-1])}(?![\w-])")
        for number, line in enumerate(lines[start:], start=start):
            if word.search(line):
                return number + 1
    return start + 1


def _which(place: Sequence[int | str], length: int) -> int:
    """Which of several tables of one name, the name being so many words of the place: from 0."""
    words = 0
    for part, after in pairwise([*place, ""]):
        words += isinstance(part, str)
        if words == length:
            return after if isinstance(after, int) else 0
    return 0

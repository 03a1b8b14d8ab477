"""The text of a task.toml: its goals told apart, and where in it something is wrong."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from volition.errors import InputError

Table = dict[str, Any]  # of TOML
SEVERAL = ("goals", "default_goal")  # the keys of a task.toml with several goals
OF_A_GOAL = ("view", "reward", "judgments", "training")  # sections that each of them may have


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

    def written(self, location: tuple[int | str, ...]) -> tuple[int | str, ...]:
        """Where a key stands in the file, by where it stands once one goal is chosen."""
        if self.goal is None or not location:
            return location
        section, *keys = location
        if section == "goal":
            return ("goals", self.goal, *keys)
        own = self.own.get(section) if section in OF_A_GOAL else None
        is_own = not keys or not isinstance(own, dict) or keys[0] in own
        return ("goals", self.goal, *location) if own is not None and is_own else location


def explain(place: Place, error: ValidationError, task: type[BaseModel]) -> str:
    """What is wrong in the file, a line for each: file, line, key, and what is allowed there.

    Args:
        place: Which file, and which of its goals was read.
        error: What its values were refused for.
        task: The model that refused them.
    """
    lines = []
    for problem in error.errors():
        location = problem["loc"]
        written = place.written(location)
        key = ".".join(str(part) for part in written) or "task"
        reason = problem["msg"].removeprefix("Value error, ")
        if problem["type"] == "extra_forbidden":
            allowed = _table(task, location[:-1])
            if place.goal is not None and location[:-1] == ("goal",):
                allowed += OF_A_GOAL
            reason = f"there is no such key; allowed here: {', '.join(allowed)}"
        elif problem["type"] not in ("missing", "value_error"):
            reason += f" (it is {problem['input']!r})"
        lines.append(f"{place.path}:{line_of(place.text, written)}: {key}: {reason}")
    return "\n".join(lines)


def _table(task: type[BaseModel], location: tuple[int | str, ...]) -> list[str]:
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
        headed = [number for number, line in enumerate(lines) if line.startswith(header)]
        if headed:
            start, matched = headed[0], length
            break
    if matched < len(location):
        word = re.compile(rf"(?<![\w.-]){re.escape(location[-1])}(?![\w-])")
        for number, line in enumerate(lines[start:], start=start):
            if word.search(line):
                return number + 1
    return start + 1

"""How a person named a task."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from volition.tasks.kwargs import said_kwargs


@dataclass(frozen=True, slots=True)
class Given:
    """How a person named the task, as the command line takes it.

    Attributes:
        task: A bundled task's name, or a task folder; empty where there was none.
        env: In its place an environment's id; empty where a task was made in Python.
        goal: The name of one of the task's goals, or what is wanted, in words.
        kwargs: What the environment is made with, too.
        reuse: A run folder whose answers were taken over.
    """

    task: str = ""
    env: str = ""
    goal: str = ""
    kwargs: Mapping[str, Any] = field(default_factory=dict)
    reuse: str = ""

    @property
    def words(self) -> list[str]:
        """The words of a command that name the task; none where no command does."""
        if not (self.task or self.env):
            return []
        return [
            *([self.task] if self.task else ["--env", self.env]),
            *(["--goal", self.goal] if self.goal else []),
            *(["--kwargs", *shlex.split(said_kwargs(self.kwargs))] if self.kwargs else []),
        ]

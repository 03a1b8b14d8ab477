"""Train agents to do what people mean: judgments in, behaviour out."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from volition.errors import VolitionError
    from volition.goal import Goal
    from volition.learners.learned_reward import LearnedReward
    from volition.run.run import Run, train
    from volition.tasks.task import Task

__version__ = "0.1.0"
__all__ = ["Goal", "LearnedReward", "Run", "Task", "VolitionError", "train"]

_HOMES = {
    "Goal": "volition.goal",
    "LearnedReward": "volition.learners.learned_reward",
    "Run": "volition.run.run",
    "Task": "volition.tasks.task",
    "VolitionError": "volition.errors",
    "train": "volition.run.run",
}


def __getattr__(name: str) -> Any:
    """Imports a public name when it is first used: JAX takes seconds, and `--help` needs none."""
    if name not in _HOMES:
        raise AttributeError(f"module 'volition' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return [*__all__, "__version__"]

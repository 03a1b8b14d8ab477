"""Which entries of an observation a frame shows"""

from __future__ import annotations

from collections.abc import Mapping

from volition.tasks.task import RewardSection, Task


def find_shown(task: Task) -> tuple[RewardSection, Mapping[str, str]]:
    """The task's section `reward` with what it leaves open, and how each key was found.

    What the task says itself is left as it is (`model_fields_set`).

    Raises:
        EnvironmentUnsupported: The environment fails.
    """
    return task.reward, {}

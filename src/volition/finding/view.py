"""What the judge is shown of an environment"""

from __future__ import annotations

from collections.abc import Mapping

from volition.tasks.task import Task
from volition.tasks.view import JudgeView


def find_view(task: Task) -> tuple[JudgeView, Mapping[str, str]]:
    """The task's section `view` with what it leaves open, and how each key was found.

    What the task says itself is left as it is (`model_fields_set`).

    Raises:
        EnvironmentUnsupported: The environment fails.
    """
    return task.view, {}

"""How long to learn, how far ahead to look, and how many judgments that takes."""

from __future__ import annotations

from collections.abc import Mapping

from volition.tasks.task import Task, TrainingSection


def find_horizon(task: Task) -> tuple[TrainingSection, Mapping[str, str]]:
    """The task's section `training` with what it leaves open, and how each key was found.

    What the task says itself is left as it is (`model_fields_set`).

    Raises:
        EnvironmentUnsupported: The environment fails.
    """
    return task.training, {}

"""What is made of an environment's own observations and actions."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import closing

from volition.envs.making import make_env
from volition.tasks.task import Task


def find_spaces(task: Task) -> Mapping[str, str]:
    """In words for people, as `observations` and `actions`; nothing of what is taken as it is.

    Raises:
        EnvironmentUnsupported: The environment cannot be made, or nobody can learn in its spaces.
    """
    with closing(make_env(task.environment.id, task.environment.kwargs)) as env:
        how = {"observations": env.reading.described, "actions": env.acting.described}
    return {key: said for key, said in how.items() if said}

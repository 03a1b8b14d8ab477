"""Whatever a task leaves open, found out before anything is asked."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from volition.finding.horizon import find_horizon
from volition.finding.shown import find_shown
from volition.finding.spaces import find_spaces
from volition.finding.view import find_view
from volition.tasks.task import Task
from volition.tasks.view import JudgeView


class Found(NamedTuple):
    """A task as it is carried out.

    Attributes:
        task: With nothing left open.
        how: Of each key of task.toml that was found out, such as `view.crop`, how; and what is
            made of the environment's own `observations` and `actions`, where something is.
    """

    task: Task
    how: Mapping[str, str]


def find_out(task: Task, clip: bool = False, asked: JudgeView | None = None) -> Found:
    """The task with what it leaves open found out. What task.toml says overrules that.

    Args:
        task: As it was given.
        clip: Whether clips are to be judged, whose length is found where the task does not say it.
        asked: What was shown where judgments are there already, as far as it is known.

    Raises:
        EnvironmentUnsupported: The environment fails.
        InputError: Clips are wanted, and there are none.
    """
    how_spaces = find_spaces(task)
    view, how_view = find_view(task, clip, asked)
    task = task.model_copy(update={"view": view})
    reward, how_reward = find_shown(task)
    task = task.model_copy(update={"reward": reward})
    training, how_training = find_horizon(task)
    task = task.model_copy(update={"training": training})
    return Found(task, {**how_spaces, **how_view, **how_reward, **how_training})

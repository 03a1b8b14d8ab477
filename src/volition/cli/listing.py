"""The verbs that list what there is: tasks, doctor."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    pass


def tasks() -> int:
    """List the tasks that come with Volition."""
    from volition.tasks.task import BUNDLED, Task, bundled_names

    for name in bundled_names():
        goals = Task.read_all(BUNDLED / name)
        task = next(iter(goals.values()))
        print(f"{name:16} {task.environment.id:24} {task.summary}")
        for goal, stated in goals.items():
            if goal is not None:
                is_default = " (default)" if stated is task else ""
                print(f"{'':16} --goal {goal}{is_default}: {stated.goal.text}")
            if stated.judgments:
                default = stated.judgments.default
                others = ", ".join(sorted({*stated.judgments.sets} - {default})) or "none"
                print(f"{'':16} recorded judgments: {default} (default); others: {others}")
    return 0


def doctor() -> int:
    """Say what is installed, which devices JAX sees, and which judge keys are set."""
    from volition.cli.doctor import findings

    for name, value in findings():
        print(f"{name:28} {value}")
    return 0

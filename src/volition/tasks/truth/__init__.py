"""What is true of the bundled tasks. Only simulated judges and the evaluation may look here.

A task's goal says in words what these numbers say exactly, so that the loop can be run and measured
where no judge is reachable. Whatever a simulated judge touched says so.
"""

from __future__ import annotations

from volition.errors import InputError
from volition.tasks.truth import classic_control, guest, lamp, lander, mujoco, regatta
from volition.tasks.truth.base import Measure, Truth, of_state

__all__ = ["TRUTHS", "Measure", "Truth", "of_state", "truth_of"]

TRUTHS = {
    **classic_control.TRUTHS,
    **guest.TRUTHS,
    **lamp.TRUTHS,
    **lander.TRUTHS,
    **mujoco.TRUTHS,
    **regatta.TRUTHS,
}


def truth_of(task: str) -> Truth:
    """What is true of the bundled task of that name.

    Raises:
        InputError: Nobody knows.
    """
    if task not in TRUTHS:
        raise InputError(
            f"a simulated judge knows what is true of {', '.join(sorted(TRUTHS))} only, "
            f"not of {task or 'a task without a name'}"
        )
    return TRUTHS[task]

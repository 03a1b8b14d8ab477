"""What is true of goals. Only simulated judges and the evaluation may look here.

A task's goal says in words what these numbers say exactly, so that the loop can be run and measured
where no judge is reachable. Whatever a simulated judge touched says so.
"""

from __future__ import annotations

from dataclasses import replace

from volition.errors import InputError
from volition.tasks.truth import classic_control, guest, lamp, lander, mujoco, regatta
from volition.tasks.truth.base import Measure, Potential, Rule, Truth, of_state
from volition.tasks.truth.rules import RULES

__all__ = ["TRUTHS", "Measure", "Potential", "Rule", "Truth", "of_state", "truth_of"]


def _with_rules(truths: dict[str, Truth], environment: str) -> dict[str, Truth]:
    return {name: replace(truth, rules=RULES[environment]) for name, truth in truths.items()}


TRUTHS = {
    **classic_control.TRUTHS,
    **_with_rules(guest.TRUTHS, "guest"),
    **_with_rules(lamp.TRUTHS, "lamp"),
    **lander.TRUTHS,
    **mujoco.TRUTHS,
    **_with_rules(regatta.TRUTHS, "regatta"),
}


def truth_of(name: str) -> Truth:
    """What is true of a goal, by the name that its `truth` gives.

    Raises:
        InputError: Nobody knows.
    """
    if name not in TRUTHS:
        raise InputError(
            "a simulated judge answers from what is true, and the goal "
            + (f"names {name!r}" if name else "does not name it")
            + f": set `truth` beside its text to one of {', '.join(sorted(TRUTHS))}"
        )
    return TRUTHS[name]

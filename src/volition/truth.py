"""What is true of the bundled tasks. Only simulated judges and the evaluation may look here.

A task's goal says in words what these numbers say exactly, so that the loop can be run and measured
where no judge is reachable. Whatever a simulated judge touched says so.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from volition.errors import InputError
from volition.segment import Observations


@dataclass(frozen=True, slots=True)
class Truth:
    """What is true of one task.

    Attributes:
        potential: How well a segment (T, obs_dim) represents the goal, from 0 to 1.
        seen: The observation entries that a frame shows.
        measures: Numbers of one episode, from what was observed after each of its steps (steps,
            obs_dim), each with its unit in its name where it has one.
    """

    potential: Callable[[Observations], float]
    seen: tuple[int, ...]
    measures: Mapping[str, Callable[[Observations], float]] = field(default_factory=dict)


def of_state(
    potential: Callable[[Observations], npt.NDArray[Any]],
) -> Callable[[Observations], float]:
    """The potential of a segment by its states' (T, obs_dim) to (T,): their mean."""
    return lambda observations: float(np.mean(potential(observations)))


TRUTHS = {
    # the height of the rod's end; a frame shows the angle
    "pendulum": Truth(of_state(lambda observed: (1 + observed[:, 0]) / 2), (0, 1)),
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

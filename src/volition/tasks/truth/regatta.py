"""The race of `volition/Regatta-v0`: the environment says what each observation entry is."""

from __future__ import annotations

import numpy as np

from volition.comparison import Array, Observations
from volition.tasks.truth.base import Truth, of_state

TO_GATE, PASSED, BUOYS = (5, 6), 7, (8, 9, 10, 11)
UNIT, LONGEST_LEG = 2.5, 8.0  # lengths of the boat: observed as 1, and from anywhere to a gate
GATES, FINISH_POINTS = 5, 5
FINISH_WEIGHT = 0.25


def _potential(observed: Observations) -> Array:
    """The share of the course that lies behind, a gate being a fifth of it; and the finish."""
    legs = observed[:, PASSED].astype(np.float64) * GATES
    left = np.hypot(*observed[:, TO_GATE].astype(np.float64).T) * UNIT / LONGEST_LEG
    on_the_way = (1 - FINISH_WEIGHT) * (legs + 1 - np.minimum(left, 1)) / GATES
    return np.where(_finished(observed), 1.0, on_the_way)


def _finished(observed: Observations) -> Array:
    return observed[:, PASSED] > 1 - 0.5 / GATES


def _points(observed: Observations) -> float:
    """One for every buoy that went away, and the finish's."""
    there = observed[:, BUOYS] > 0.5
    before = np.vstack([np.ones((1, len(BUOYS)), np.bool_), there[:-1]])
    return float((before & ~there).sum() + FINISH_POINTS * _finished(observed)[-1])


REGATTA = Truth(
    of_state(_potential),
    tuple(range(12)),
    {
        "points": _points,
        "finished": lambda observed: float(_finished(observed)[-1]),
        "progress": lambda observed: float(observed[-1, PASSED]),
    },
)
TRUTHS = {"regatta": REGATTA}

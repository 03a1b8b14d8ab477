"""The postures of `volition/Lamp-v0`, as one could measure them: formulas in place of a feeling.

Each gives 1 at its best, wherever the ball lies. The lengths and ranges are the environment's; a
test compares them, since nothing that a judge is made of may know an environment.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from volition.comparison import Array, Observations
from volition.tasks.truth.base import Truth, of_state

LENGTHS, SHOULDER_HEIGHT = (0.28, 0.26), 0.10  # metres
LIMITS = np.radians([(48, 100), (-10, 190), (-130, 45)])  # of the links' angles with the table
TOP_RATE = 3.0  # radians a second: observed as 1
BALL, BALL_RADIUS = (0.42, 0.62), 0.065  # metres
HELD = 0.9  # of the best: a posture that is as good is held
STEP = 0.05  # seconds


class Posture(NamedTuple):
    """Angles in radians and places in metres, of every state: (T,) each."""

    head: Array  # the angle with the table at which the shade opens
    neck_x: Array
    neck_y: Array
    ball: Array


def _posture(observed: Observations) -> Posture:
    angles = _angles(observed)
    arms = angles[:, :2]
    neck_x, neck_y = np.cos(arms) @ LENGTHS, SHOULDER_HEIGHT + np.sin(arms) @ LENGTHS
    ball = sum(BALL) / 2 + observed[:, 6].astype(np.float64) * (BALL[1] - BALL[0]) / 2
    return Posture(angles[:, 2], neck_x, neck_y, ball)


def _angles(observed: Observations) -> Array:
    """Of the three links with the table, in radians: (T, 3)."""
    seen = observed[:, :3].astype(np.float64)
    return LIMITS.mean(1) + seen * (LIMITS[:, 1] - LIMITS[:, 0]) / 2


def _curious(observed: Observations) -> Array:
    """The light is on the ball, and the head is near it."""
    head, x, y, ball = _posture(observed)
    aside = head - np.arctan2(BALL_RADIUS - y, ball - x)
    distance = np.hypot(BALL_RADIUS - y, ball - x)
    return _peak(aside, np.radians(55)) * (0.3 + 0.7 * (1 - _rise(distance, 0.34, 0.66)))


def _ashamed(observed: Observations) -> Array:
    """The head looks down and away from the ball, and is tucked in low over the foot."""
    head, x, y, _ = _posture(observed)
    away = 1 - _rise(head, np.radians(-105), np.radians(10))
    over_foot = _peak(np.maximum(0, abs(x + 0.15) - 0.15), 0.25)
    return away * (0.2 + 0.8 * over_foot * (0.4 + 0.6 * (1 - _rise(y, 0.36, 0.66))))


def _proud(observed: Observations) -> Array:
    """Tall, and the chin is up."""
    head, _, y, _ = _posture(observed)
    return _rise(head, np.radians(-95), np.radians(30)) * (0.2 + 0.8 * _rise(y, 0.32, 0.62))


def _hello(observed: Observations) -> float:
    """The head goes down and up again once or twice, and nothing else moves. Of a clip."""
    head = _angles(observed)[:, 2]
    depth = float(np.ptp(head))
    swings = float(np.abs(np.diff(head)).sum()) / max(depth, 1e-6)
    nods = _band(np.degrees(depth), (0, 28), (60, 100)) * _band(swings, (1.0, 2.0), (5, 8))
    facing = float(_peak(head + np.radians(20), np.radians(60)).mean())
    arms = np.abs(observed[:, 3:5].astype(np.float64)).sum(1) * TOP_RATE
    calm = float(_peak(arms, 2.5).mean())
    return 0.2 * facing + 0.2 * calm + 0.6 * facing * calm * float(nods)


def _peak(value: Array, width: float) -> Array:
    return np.exp(-((value / width) ** 2))


def _rise(value: Array | float, low: float, high: float) -> Array:
    """From 0 at `low` to 1 at `high`, smoothly."""
    share = np.clip((value - low) / (high - low), 0, 1)
    return share * share * (3 - 2 * share)


def _band(value: float, rise: tuple[float, float], fall: tuple[float, float]) -> Array:
    return _rise(value, *rise) * (1 - _rise(value, *fall))


def _of_posture(potential: Callable[[Observations], Array]) -> Truth:
    def held(observed: Observations) -> float:
        return float((potential(observed)[len(observed) // 2 :] >= HELD).mean())

    return Truth(
        of_state(potential),
        (0, 1, 2, 6),
        {"share of the last half in which the posture is held": held},
    )


CLIP = 32  # steps, as task.toml has them


def _greeting(observed: Observations) -> float:
    """The mean potential of the clips of the last half of an episode."""
    last = observed[len(observed) // 2 :]
    starts = range(max(1, len(last) - CLIP + 1))
    return float(np.mean([_hello(last[start : start + CLIP]) for start in starts]))


TRUTHS = {
    "lamp-curious": _of_posture(_curious),
    "lamp-ashamed": _of_posture(_ashamed),
    "lamp-proud": _of_posture(_proud),
    "lamp-hello": Truth(
        _hello,
        (0, 1, 2, 3, 4, 5),
        {"mean potential of the last half": _greeting},
        moves=True,
    ),
}

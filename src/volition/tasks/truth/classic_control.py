"""The classic-control tasks. Angles are in radians, lengths in metres, as Gymnasium has them."""

from __future__ import annotations

import numpy as np

from volition.comparison import Array, Observations
from volition.tasks.truth.base import Truth, magnitude, of_state

FALLEN, OFF_TRACK, IN_THE_MIDDLE = 12 * 2 * np.pi / 360, 2.4, 0.5  # of Gymnasium's CartPole
ACROBOT_MARK = 1.0  # the height above the joint at which Gymnasium draws a line, in links
FLAG = 0.45  # where the car's flag stands


def _balance(observed: Observations) -> Array:
    """Leaning and straying weigh alike, as the judge of the recorded judgments weighed them."""
    leaning = magnitude(np.asarray(observed[:, 2], np.float64) / 0.3)
    straying = magnitude(np.asarray(observed[:, 0], np.float64) / OFF_TRACK)
    return np.clip(1 - (leaning + straying) / 2, 0, 1)


def _upright(observed: Observations) -> Array:
    return (abs(observed[:, 2]) <= FALLEN) & (abs(observed[:, 0]) <= OFF_TRACK)


def _free_end(observed: Observations) -> Array:
    """The height of the acrobot's free end above its joint, in links: from -2 to 2."""
    cos1, sin1, cos2, sin2 = observed[:, :4].T.astype(np.float64)
    return -cos1 - (cos1 * cos2 - sin1 * sin2)


def _steps_until_above(observed: Observations) -> float:
    """All of the episode's where the free end never is above the mark."""
    above = _free_end(observed) > ACROBOT_MARK
    return float(np.argmax(above) + 1 if above.any() else len(observed))


def _hill(observed: Observations) -> Array:
    """The height of Gymnasium's hill under the car, from 0 to 1."""
    return (1 + np.sin(3 * observed[:, 0].astype(np.float64))) / 2


TRUTHS = {
    # the height of the rod's end; a frame shows the angle
    "pendulum": Truth(of_state(lambda observed: (1 + observed[:, 0]) / 2), (0, 1)),
    "cartpole": Truth(
        of_state(_balance),
        (0, 2),
        {
            "steps upright": lambda observed: float(_upright(observed).sum()),
            "share of time within 0.5 m of the middle": lambda observed: float(
                (abs(observed[:, 0]) <= IN_THE_MIDDLE).mean()
            ),
        },
        scale=(OFF_TRACK, 0.3),
    ),
    "acrobot": Truth(
        of_state(lambda observed: (_free_end(observed) + 2) / 4),
        (0, 1, 2, 3),
        {
            "steps until the free end is above the mark": _steps_until_above,
            "highest free end, in links above the joint": lambda observed: float(
                _free_end(observed).max()
            ),
        },
    ),
    "mountain-car": Truth(
        of_state(_hill),
        (0,),
        {
            "flag reached": lambda observed: float((observed[:, 0] >= FLAG).any()),
            "steps": lambda observed: float(len(observed)),
        },
        scale=(0.9,),
    ),
}

"""The MuJoCo tasks. Speeds are in metres a second, angles in radians, as Gymnasium has them."""

from __future__ import annotations

import numpy as np

from volition.segment import Observations
from volition.truth.base import Array, Truth, of_state

TO_TARGET = (8, 9)  # from the reacher's target to its tip, in metres
FAR = 0.57  # the diagonal of a square as wide as the longest that this can be, 0.4
REACHED = 0.02  # of which the ball and the tip take up half each
HEIGHT, LEAN, HOPPER_SPEED = 0, 1, 5
LOWEST, MOST_LEAN = 0.7, 0.2  # below, and beyond, which Gymnasium ends the hopper's episode
CHEETAH_SPEED = 8


def _distance(observed: Observations) -> Array:
    return np.hypot(*observed[:, TO_TARGET].T.astype(np.float64))


def _running(observed: Observations) -> Array:
    """Speed forward, of which 10 m/s is all that counts; 2 m/s backward is as bad as can be."""
    return np.clip((observed[:, CHEETAH_SPEED].astype(np.float64) + 2) / 12, 0, 1)


def _hopping(observed: Observations) -> Array:
    """Standing is worth three fifths, so that no fall is worth it; speed up to 3 m/s the rest."""
    height, lean, speed = observed[:, (HEIGHT, LEAN, HOPPER_SPEED)].T.astype(np.float64)
    standing = _step((height - LOWEST) / 0.1) * _step((MOST_LEAN - abs(lean)) / 0.05)
    return 0.6 * standing + 0.4 * np.clip((speed + 1) / 4, 0, 1)


def _step(values: Array) -> Array:
    """From 0 to 1, smoothly; a half at zero."""
    return (1 + np.tanh(values)) / 2


TRUTHS = {
    "reacher": Truth(
        of_state(lambda observed: 1 - np.minimum(_distance(observed) / FAR, 1)),
        (0, 1, 2, 3, 4, 5, 8, 9),
        {
            "distance at the end, in metres": lambda observed: float(_distance(observed)[-1]),
            "target reached at the end": lambda observed: float(_distance(observed)[-1] <= REACHED),
        },
        scale=(1, 1, 1, 1, 0.2, 0.2, 0.4, 0.4),
    ),
    "hopper-hop": Truth(
        of_state(_hopping),
        tuple(range(11)),
        {
            "speed forward, in m/s": lambda observed: float(observed[:, HOPPER_SPEED].mean()),
            "steps without falling": lambda observed: float(len(observed)),
        },
        scale=(0.4, 0.2, 1.3, 1.3, 0.8, 3, 3, 3, 10, 10, 10),
    ),
    "half-cheetah-run": Truth(
        of_state(_running),
        tuple(range(17)),
        {"speed forward, in m/s": lambda observed: float(observed[:, CHEETAH_SPEED].mean())},
        scale=(0.3, 1.5, *(0.6,) * 6, 5, 3, 5, *(15,) * 6),
    ),
}

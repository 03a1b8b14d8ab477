"""The MuJoCo tasks. Speeds are in metres a second, angles in radians, as Gymnasium has them."""

from __future__ import annotations

import numpy as np

from volition.comparison import Array, Observations
from volition.tasks.truth.base import Truth, of_state

TO_TARGET = (8, 9)  # from the reacher's target to its tip, in metres
FAR = 0.57  # the diagonal of a square as wide as the longest that this can be, 0.4
REACHED = 0.02  # of which the ball and the tip take up half each
HEIGHT, LEAN, HOPPER_SPEED = 0, 1, 5
LOWEST, MOST_LEAN = 0.7, 0.2  # below, and beyond, which Gymnasium ends the hopper's episode
CHEETAH_SPEED = 8
SPIN, FAST_SPIN = 7, 8.0  # of the hopper, in radians a second; forward is positive
POSE = tuple(range(22))  # of the humanoid: its height, its torso's quaternion, its joints
KNEES = (11, 15)  # bent backward
KNEELING_HEIGHT, KNEELING_KNEE = 0.95, -np.pi / 2


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


def _flipping(observed: Observations) -> Array:
    """Turning backward, which is worth most where it is as high as it stands, or higher; turning
    forward is worth less than none."""
    height, spin = observed[:, (HEIGHT, SPIN)].T.astype(np.float64)
    return np.clip((1 - spin / FAST_SPIN) / 2, 0, 1) * (
        0.3 + 0.7 * np.clip((height - 0.3) / 0.9, 0, 1)
    )


def _kneeling(observed: Observations) -> Array:
    """A torso as upright and as high as it kneels, on knees bent to a right angle."""
    pose = observed[:, POSE].astype(np.float64)
    upright = np.exp(-3 * (pose[:, 2] ** 2 + pose[:, 3] ** 2))
    height = _near(pose[:, 0], KNEELING_HEIGHT, 0.8)
    knees = _near(pose[:, KNEES], KNEELING_KNEE, 2.6).mean(1)
    return 0.4 * upright + 0.2 * height + 0.4 * upright * knees


def _near(values: Array, wanted: float, reach: float) -> Array:
    """1 at what is wanted, and 0 from `reach` away on."""
    return 1 - np.minimum(abs(values - wanted) / reach, 1)


def _turns(observed: Observations) -> float:
    """Whole turns backward, by the angle that is counted without end."""
    return float(observed[0, LEAN] - observed[-1, LEAN]) / (2 * np.pi)


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
        moves=True,
    ),
    "hopper-flip": Truth(
        of_state(_flipping),
        tuple(range(11)),
        {"turns backward": _turns},
        scale=(0.6, 3, 1.3, 1.3, 0.8, 3, 3, 6, 10, 10, 10),
        moves=True,
    ),
    "humanoid-kneel": Truth(
        of_state(_kneeling),
        POSE,
        {"kneels, of the last second, from 0 to 1": lambda o: float(_kneeling(o[-67:]).mean())},
        scale=(0.5, *(0.7,) * 4, *(1.0,) * 17),
    ),
    "half-cheetah-run": Truth(
        of_state(_running),
        tuple(range(17)),
        {"speed forward, in m/s": lambda observed: float(observed[:, CHEETAH_SPEED].mean())},
        scale=(0.3, 1.5, *(0.6,) * 6, 5, 3, 5, *(15,) * 6),
        moves=True,
    ),
}

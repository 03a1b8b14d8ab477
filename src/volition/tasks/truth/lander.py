"""The lander, as Gymnasium observes it: 1 is half the drawing's width or height, angles in rad."""

from __future__ import annotations

import numpy as np

from volition.comparison import Array, Observations
from volition.tasks.truth.base import Truth, magnitude, of_state

PAD = 0.2  # half the distance between the flags
STILL, LEVEL = 0.05, 0.3  # speed and lean at which it stands softly
LYING = -0.02  # height below which its legs are splayed, and its body lies on the pad
SLOW, HASTE = 0.1, 0.5  # speed that is soft on the ground; what more of it is allowed at height 1
TOUCHING = 0.3  # speed at which it comes to stand no more


def _landing(observed: Observations) -> Array:
    """Nearness to the pad counts most; then standing there, slowness near the ground, uprightness.

    A crash on the pad is nearer than anything else, and an episode that ends is worth its last
    state, so a body that lies there counts against it.
    """
    x, y, x_dot, y_dot, angle = observed.T[:5].astype(np.float64)
    speed = np.hypot(x_dot, y_dot)
    away = magnitude(np.hypot(x, y))
    far = 0.33 * away + 0.1 * np.tanh(away / 0.3)  # hovering close above it is not enough
    too_fast = np.clip((speed - SLOW) / HASTE - np.clip(y, 0, 1), 0, 1)
    tilted = np.minimum(magnitude(angle), 1)
    standing = _on_its_legs(observed) * np.clip(1 - speed / TOUCHING, 0, 1)
    lost = far + 0.2 * too_fast + 0.1 * tilted + 0.2 * (1 - standing) + 0.1 * (y < LYING)
    return np.clip(1 - lost, 0, 1)


def _on_its_legs(observed: Observations) -> Array:
    """Whether it touches the pad between the flags with its legs only: bool (T,).

    One contact is enough: Box2D forgets that of a leg that slides over the pad's middle.
    """
    x, y = observed.T[:2]
    return (abs(x) <= PAD) & (y >= LYING) & (observed[:, 6:].max(1) > 0.5)


def _landed_softly(observed: Observations) -> float:
    """Whether it ends between the flags, on its legs, upright and at rest."""
    _, _, x_dot, y_dot, angle = observed[-1, :5].astype(np.float64)
    at_rest = np.hypot(x_dot, y_dot) <= STILL and abs(angle) <= LEVEL
    return float(at_rest and _on_its_legs(observed[-1:])[0])


TRUTHS = {
    "lunar-lander": Truth(
        of_state(_landing),
        tuple(range(8)),
        {
            "soft landings between the flags": _landed_softly,
            "distance from the pad's middle at the end, in half widths": lambda observed: float(
                np.hypot(*observed[-1, :2])
            ),
        },
        moves=True,
    ),
}

"""The lander, as Gymnasium observes it: 1 is half the drawing's width or height, angles in rad."""

from __future__ import annotations

import numpy as np

from volition.segment import Observations
from volition.truth.base import Array, Truth, magnitude, of_state

PAD = 0.2  # half the distance between the flags
STILL, LEVEL = 0.05, 0.3  # speed and lean at which it stands softly


def _landing(observed: Observations) -> Array:
    """Nearness to the pad counts most, then slowness, uprightness, and the two feet."""
    x, y, x_dot, y_dot, angle, _, left, right = observed.T.astype(np.float64)
    far = magnitude(np.hypot(x, y) / 1.5)
    fast = magnitude(np.hypot(x_dot, y_dot) / 1.5)
    tilted = magnitude(angle)
    return np.clip(1 - 0.4 * far - 0.3 * fast - 0.2 * tilted - 0.05 * (2 - left - right), 0, 1)


def _landed_softly(observed: Observations) -> float:
    """Whether it ends between the flags, on both legs, upright and at rest."""
    x, _, x_dot, y_dot, angle, _, left, right = observed[-1].astype(np.float64)
    at_rest = np.hypot(x_dot, y_dot) <= STILL and left > 0.5 and right > 0.5
    return float(at_rest and abs(x) <= PAD and abs(angle) <= LEVEL)


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
    ),
}

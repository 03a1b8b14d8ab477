"""Gymnasium's LunarLander as a scene: set to a state, observed and drawn.

A state is what is drawn and observed: the lander and its legs, their contacts, and the ground. It
is not all that Box2D keeps (the legs' velocities, the forces between bodies), so a lander that is
set to a state and then stepped goes nearly, not exactly, as the one that was captured. The engines'
flames are an ornament that lasts for a few frames, and are not part of it.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from volition.comparison import Observations, Pixels, State

BODY = ("x", "y", "angle", "x_dot", "y_dot", "angle_dot")
LEGS = tuple(f"{leg}_{entry}" for leg in ("leg1", "leg2") for entry in ("x", "y", "angle"))
CONTACTS = ("leg1_contact", "leg2_contact")
GROUND = tuple(f"ground{place}" for place in range(11))  # heights from left to right
WIDTH, HEIGHT, LEG_DOWN, STEPS_A_SECOND = 20.0, 400 / 30, 18 / 30, 50  # of Gymnasium's world


class LanderScene:
    """A lander that can be put anywhere above any ground. Implements `task.Scene`.

    Fields are in the units of Gymnasium's world: metres of which the drawing is 20 wide, radians,
    and seconds. A contact is 1 where the leg touches the ground.
    """

    fields = (*BODY, *LEGS, *CONTACTS, *GROUND)
    ranges = None  # the legs hang from the lander, and both stand above the ground

    def __init__(self, env: Any) -> None:
        self._made, self._env = env, env.unwrapped
        env.reset(seed=0)

    def observe(self, state: State) -> Observations:
        """As `LunarLander.step` observes."""
        pad = self._env.helipad_y + LEG_DOWN
        return np.array(
            [
                (state["x"] - WIDTH / 2) / (WIDTH / 2),
                (state["y"] - pad) / (HEIGHT / 2),
                state["x_dot"] * (WIDTH / 2) / STEPS_A_SECOND,
                state["y_dot"] * (HEIGHT / 2) / STEPS_A_SECOND,
                state["angle"],
                20 * state["angle_dot"] / STEPS_A_SECOND,
                state["leg1_contact"],
                state["leg2_contact"],
            ],
            np.float32,
        )

    def capture(self, env: Any) -> npt.NDArray[np.float64]:
        inner = env.unwrapped
        lander, (left, right) = inner.lander, inner.legs
        (x, y), (x_dot, y_dot) = lander.position, lander.linearVelocity
        return np.array(
            [
                x,
                y,
                lander.angle,
                x_dot,
                y_dot,
                lander.angularVelocity,
                *left.position,
                left.angle,
                *right.position,
                right.angle,
                left.ground_contact,
                right.ground_contact,
                inner.sky_polys[0][0][1],
                *(corners[1][1] for corners in inner.sky_polys),
            ],
            np.float64,
        )

    def draw(self, state: State) -> Pixels:
        env, legs = self._env, self._env.legs
        env.lander.position = state["x"], state["y"]
        env.lander.angle = state["angle"]
        for leg, name in zip(legs, ("leg1", "leg2"), strict=True):
            leg.position = state[f"{name}_x"], state[f"{name}_y"]
            leg.angle = state[f"{name}_angle"]
        heights = [state[place] for place in GROUND]
        across = [WIDTH / (len(GROUND) - 1) * place for place in range(len(GROUND))]
        corners = list(zip(across, heights, strict=True))
        env.sky_polys = [
            [left, right, (right[0], HEIGHT), (left[0], HEIGHT)]
            for left, right in pairwise(corners)
        ]
        return np.asarray(self._made.render())

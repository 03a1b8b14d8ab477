"""Gymnasium's classic-control environments as scenes: set to a state, observed and drawn."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import pi
from typing import Any

import numpy as np
import numpy.typing as npt

from volition.comparison import Observations, Pixels, State


@dataclass(frozen=True, slots=True)
class _Kind:
    """What is known of a class of environments.

    Attributes:
        ranges: Lowest and highest value of every field of the state, in its order and units:
            where the environment goes, or what it is thought worth asking a judge about.
        observe: The method that observes; None where the state itself is observed.
        angles: The fields that are observed as a cosine and a sine, one after the other and
            before all others.
    """

    ranges: Mapping[str, tuple[float, float]]
    observe: str | None = None
    angles: tuple[str, ...] = ()


CAR = _Kind({"position": (-1.2, 0.6), "velocity": (-0.07, 0.07)})
CLASSIC_CONTROL = {
    "PendulumEnv": _Kind({"theta": (-pi, pi), "theta_dot": (-8, 8)}, "_get_obs", ("theta",)),
    # An episode ends at 0.21 rad and at 2.4 m; the velocities are those of a policy that tries.
    "CartPoleEnv": _Kind(
        {"x": (-2.4, 2.4), "x_dot": (-3, 3), "theta": (-0.3, 0.3), "theta_dot": (-3, 3)}
    ),
    # Possible are 4 pi and 9 pi rad/s, at which hardly any policy ever is.
    "AcrobotEnv": _Kind(
        {"theta1": (-pi, pi), "theta2": (-pi, pi), "theta1_dot": (-6, 6), "theta2_dot": (-12, 12)},
        "_get_ob",
        ("theta1", "theta2"),
    ),
    "MountainCarEnv": CAR,
    "Continuous_MountainCarEnv": CAR,
}


class ClassicControlScene:
    """A classic-control environment that can be set to any state. Implements `task.Scene`."""

    def __init__(self, env: Any) -> None:
        self._made, self._env = env, env.unwrapped
        bases = (base.__name__ for base in type(self._env).__mro__)
        self._kind = next(CLASSIC_CONTROL[name] for name in bases if name in CLASSIC_CONTROL)
        self.fields = tuple(self._kind.ranges)
        self._turning = [self.fields.index(angle) for angle in self._kind.angles]
        env.reset(seed=0)

    @property
    def ranges(self) -> Mapping[str, tuple[float, float]]:
        """Lowest and highest value of every field: the part of its space worth asking about."""
        return self._kind.ranges

    def observe(self, state: State) -> Observations:
        self._set(state)
        method = self._kind.observe
        observed = self._env.state if method is None else getattr(self._env, method)()
        return np.asarray(observed, np.float32)

    def capture(self, env: Any) -> npt.NDArray[np.float64]:
        state = np.array(env.unwrapped.state, np.float64)
        state[self._turning] = (state[self._turning] + pi) % (2 * pi) - pi
        return state

    def draw(self, state: State) -> Pixels:
        self._set(state)
        return draw_classic_control(self._made)

    def _set(self, state: State) -> None:
        self._env.state = np.array([state[field] for field in self.fields])
        if hasattr(self._env, "last_u"):
            self._env.last_u = None  # else the pendulum draws the arrow of the last torque


def draw_classic_control(env: Any) -> Pixels:
    """What the environment looks like now: uint8 (height, width, 3).

    It gets a surface on which Gymnasium draws the same, and which it copies into an array at once.
    Its own has four bytes a pixel in the reverse order: taking them apart is most of the time that
    a drawing takes.
    """
    drawing = np.asarray(env.render())
    inner = env.unwrapped
    if inner.screen is not None and inner.screen.get_bitsize() != 24:
        import pygame

        masks = (0xFF, 0xFF00, 0xFF0000, 0)
        inner.screen = pygame.Surface(inner.screen.get_size(), depth=24, masks=masks)
    return drawing

"""Gymnasium's classic-control environments as scenes: set to a state, observed and drawn."""

from __future__ import annotations

import os
from typing import Any

import gymnasium
import numpy as np

from volition.errors import EnvironmentUnsupported
from volition.segment import Observations, Pixels, State

CLASSIC_CONTROL = {
    # class name: state fields in its order, method that observes (None: the state itself)
    "PendulumEnv": (("theta", "theta_dot"), "_get_obs"),
    "CartPoleEnv": (("x", "x_dot", "theta", "theta_dot"), None),
    "AcrobotEnv": (("theta1", "theta2", "theta1_dot", "theta2_dot"), "_get_ob"),
    "MountainCarEnv": (("position", "velocity"), None),
    "Continuous_MountainCarEnv": (("position", "velocity"), None),
}


class ClassicControlScene:
    """A classic-control environment that can be set to any state. Implements `task.Scene`."""

    def __init__(self, env: gymnasium.Env[Any, Any]) -> None:
        self._env: Any = env.unwrapped
        self.fields, self._observe = CLASSIC_CONTROL[type(self._env).__name__]
        self._env.reset(seed=0)

    def observe(self, state: State) -> Observations:
        self._set(state)
        observed = self._env.state if self._observe is None else getattr(self._env, self._observe)()
        return np.asarray(observed, np.float32)

    def draw(self, state: State) -> Pixels:
        self._set(state)
        return np.asarray(self._env.render())

    def _set(self, state: State) -> None:
        self._env.state = np.array([state[field] for field in self.fields])
        if hasattr(self._env, "last_u"):
            self._env.last_u = None  # else the pendulum draws the arrow of the last torque


def open_scene(env_id: str, kwargs: dict[str, Any] | None = None) -> ClassicControlScene:
    """The environment as a scene.

    Raises:
        EnvironmentUnsupported: It is unknown, or its state cannot be set.
    """
    env = make_env(env_id, kwargs, render_mode="rgb_array")
    if type(env.unwrapped).__name__ not in CLASSIC_CONTROL:
        raise EnvironmentUnsupported(
            f"{env_id} cannot be set to a state, so recorded judgments cannot be placed in it. "
            "Environments that can: Pendulum-v1, CartPole-v1, Acrobot-v1, MountainCar-v0, "
            "MountainCarContinuous-v0"
        )
    return ClassicControlScene(env)


def make_env(env_id: str, kwargs: dict[str, Any] | None = None, **more: Any) -> Any:
    """`gymnasium.make`, with errors that say what to do.

    Raises:
        EnvironmentUnsupported: No environment has that id, or something it needs is missing.
    """
    if more.get("render_mode") == "rgb_array":
        # Pygame opens a screen and a sound card even to draw into memory, and says so if it cannot.
        os.environ.setdefault("SDL_VIDEODRIVER", "dummy")
        os.environ.setdefault("SDL_AUDIODRIVER", "dummy")
    try:
        return gymnasium.make(env_id, **(kwargs or {}), **more)
    except gymnasium.error.DependencyNotInstalled as error:
        raise EnvironmentUnsupported(f"{env_id} needs a package more: {error}") from error
    except (gymnasium.error.Error, ModuleNotFoundError, TypeError) as error:
        raise EnvironmentUnsupported(f"gymnasium cannot make {env_id!r}: {error}") from error

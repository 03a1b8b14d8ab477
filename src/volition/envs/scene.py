"""Environments as scenes: made, set to a state, observed and drawn."""

from __future__ import annotations

import os
from typing import Any

import gymnasium
import numpy as np

from volition.envs.classic_control import (
    CLASSIC_CONTROL,
    ClassicControlScene,
    draw_classic_control,
)
from volition.envs.settable import Settable, SettableScene
from volition.errors import EnvironmentUnsupported
from volition.segment import Pixels
from volition.task import Scene


def open_scene(env_id: str, kwargs: dict[str, Any] | None = None) -> Scene:
    """The environment as a scene.

    Raises:
        EnvironmentUnsupported: It is unknown, or its state cannot be set.
    """
    env = make_env(env_id, kwargs, render_mode="rgb_array")
    if isinstance(env.unwrapped, Settable):
        return SettableScene(env)
    if type(env.unwrapped).__name__ in CLASSIC_CONTROL:
        return ClassicControlScene(env)
    raise EnvironmentUnsupported(
        f"{env_id} cannot be set to a state, so judged states cannot be placed in it. Environments "
        "that can: Pendulum-v1, CartPole-v1, Acrobot-v1, MountainCar-v0, "
        "MountainCarContinuous-v0, and every environment with state_fields, state_ranges, "
        "get_state, set_state, observe and render"
    )


def draw(env: gymnasium.Env[Any, Any]) -> Pixels:
    """What the environment looks like now: uint8 (height, width, 3)."""
    if type(env.unwrapped).__name__ in CLASSIC_CONTROL:
        return draw_classic_control(env)
    return np.asarray(env.render(), np.uint8)


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

"""Environments as scenes: made, set to a state, observed and drawn."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import gymnasium
import numpy as np

from volition.comparison import Pixels
from volition.envs.base import Scene, Scenes
from volition.envs.classic_control import (
    CLASSIC_CONTROL,
    ClassicControlScene,
    draw_classic_control,
)
from volition.envs.making import check_alike, make_env
from volition.envs.settable import Settable, SettableScene
from volition.errors import EnvironmentUnsupported
from volition.tasks.task import EnvironmentSection, Kwargs

__all__ = ["draw", "make_env", "open_scene", "scenes_of"]


def open_scene(env_id: str, kwargs: Kwargs | None = None) -> Scene:
    """The environment as a scene.

    Raises:
        EnvironmentUnsupported: It is unknown, or its state cannot be set.
    """
    env = make_env(env_id, kwargs, render_mode="rgb_array")
    kind = _kind_of(env)
    if kind is None:
        raise EnvironmentUnsupported(
            f"{env_id} cannot be set to a state, so judged states cannot be placed in it. "
            "Environments that can: Gymnasium's classic control, LunarLander-v3, its MuJoCo "
            "environments, and your own with state_fields, state_ranges, get_state, set_state, "
            "observe and render"
        )
    return kind(env)


def scenes_of(environment: EnvironmentSection) -> Scenes:
    """Opens the scene of an environment, and those of the same made with other keyword arguments.

    What judgments are about says itself how it was made. Each scene is opened once.

    Raises:
        EnvironmentUnsupported: From the returned function, as of `open_scene`; or what is observed
            there is of another shape.
    """
    opened: dict[str, Scene] = {}

    def scene(kwargs: Kwargs | None) -> Scene:
        made_with = environment.kwargs if kwargs is None else kwargs
        name = json.dumps(made_with, sort_keys=True)
        if name not in opened:
            if made_with != environment.kwargs:
                check_alike(environment.id, environment.kwargs, made_with)
            opened[name] = open_scene(environment.id, made_with)
        return opened[name]

    return scene


def _kind_of(env: Any) -> Callable[[Any], Scene] | None:
    """What makes a scene of an environment; MuJoCo and Box2D are imported where they are used."""
    inner = env.unwrapped
    bases = {base.__name__ for base in type(inner).__mro__}
    if isinstance(inner, Settable):
        return SettableScene
    if not bases.isdisjoint(CLASSIC_CONTROL):
        return ClassicControlScene
    if "MujocoEnv" in bases:
        from volition.envs.mujoco import MujocoScene

        return MujocoScene
    if "LunarLander" in bases:
        from volition.envs.lander import LanderScene

        return LanderScene
    return None


def draw(env: gymnasium.Env[Any, Any]) -> Pixels:
    """What the environment looks like now, as its scene draws it: uint8 (height, width, 3)."""
    inner: Any = env.unwrapped
    bases = {base.__name__ for base in type(inner).__mro__}
    if not bases.isdisjoint(CLASSIC_CONTROL):
        return draw_classic_control(env)
    if "MujocoEnv" in bases:
        from volition.envs.mujoco import draw_mujoco

        return draw_mujoco(inner)
    return np.asarray(env.render())

"""Environments as scenes: made, set to a state, observed and drawn."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import closing
from typing import Any

import gymnasium
import numpy as np

from volition.comparison import Observations, Pixels, observed
from volition.envs.base import Scene, Scenes
from volition.envs.checking import explained
from volition.envs.making import check_alike, entry_point, make_env
from volition.envs.scenes.classic_control import (
    CLASSIC_CONTROL,
    ClassicControlScene,
    draw_classic_control,
)
from volition.envs.scenes.settable import Settable, SettableScene, Unsettable
from volition.errors import VolitionError
from volition.tasks.task import EnvironmentSection, Kwargs

__all__ = ["draw", "find_scene", "make_env", "open_scene", "scenes_of"]


EPISODES, STEPS = 4, 15  # of a live environment, by which a scene proves itself
FIRST_SEED = 1  # of those episodes; a scene's own environment begins at 0
FAITHFUL = 0.2  # of an entry's standard deviation: the error that a scene may make
ROUNDING = 1e-4  # likewise, of an entry's size
_FORCES = ("qfrc_actuator", "cfrc_ext")  # of the last step: no part of a state

NO_SCENE = (
    "judged states cannot be placed in it. Environments that can: Gymnasium's classic control, "
    "LunarLander-v3, its MuJoCo environments, and your own with state_fields, state_ranges, "
    "get_state, set_state, observe and render"
)
_TROUBLE: dict[tuple[str, Any], str | None] = {}
"""Why environments are no scenes, by how they are made; None: they have proved that they are."""


def find_scene(environment: EnvironmentSection) -> Scene | None:
    """The environment as a scene; None where it cannot be set to a state, and is to be filmed.

    Raises:
        EnvironmentUnsupported: It is unknown, or fails.
    """
    try:
        return open_scene(environment.id, environment.kwargs)
    except Unsettable:
        return None


def open_scene(env_id: str, kwargs: Kwargs | None = None) -> Scene:
    """The environment as a scene, which has proved that it observes what is observed live.

    Raises:
        EnvironmentUnsupported: It is unknown, or fails.
        Unsettable: Its state cannot be set.
    """
    made = f"{env_id} {kwargs or {}}", entry_point(env_id)
    trouble = _TROUBLE.get(made)
    if trouble is None:
        env = make_env(env_id, kwargs, render_mode="rgb_array")
        scene = _scene_of(env)
        if isinstance(scene, str):
            trouble = scene
        elif made not in _TROUBLE:
            with closing(make_env(env_id, kwargs)) as live:
                trouble = _trouble(scene, live)
        _TROUBLE[made] = trouble
        if trouble is None and not isinstance(scene, str):
            return scene
        env.close()
    raise Unsettable(f"{env_id} cannot be set to a state: {trouble}")


def _scene_of(env: Any) -> Scene | str:
    """An environment as the scene that it might be, or why it is none."""
    kind = _kind_of(env)
    if kind is None:
        return NO_SCENE
    try:
        return kind(env)
    except VolitionError:
        raise
    except Exception as error:  # a class of a known name, and of another kind
        return explained(error)


def _trouble(scene: Scene, live: Any) -> str | None:
    """What speaks against a scene: what it observes of a live environment's states against what
    was observed there. Forces of the last step are left out, where Gymnasium observes them."""
    lived, seen = [], []
    live.action_space.seed(0)
    for episode in range(EPISODES):
        live.reset(seed=FIRST_SEED + episode)
        for step in range(STEPS):
            if step % (1 + 4 * episode) == 0:
                action = live.action_space.sample()
            observation, _, terminated, truncated, _ = live.step(action)
            try:
                lived.append(np.array(observation, np.float64))
                state = dict(zip(scene.fields, scene.capture(live).tolist(), strict=True))
                seen.append(np.array(scene.observe(state), np.float64))
            except VolitionError as error:
                return str(error)
            except Exception as error:  # whatever somebody's environment does
                return f"to observe a state raised {explained(error)}"
            if seen[-1].shape != lived[-1].shape:
                return f"a state is observed as {seen[-1].shape}, and live it is {lived[-1].shape}"
            if terminated or truncated:
                break
    there, here = np.stack(lived), np.stack(seen)
    off = np.sqrt(np.square(there - here).mean(0))
    wrong = ~(off <= FAITHFUL * there.std(0) + ROUNDING * np.abs(there).max(0) + ROUNDING)
    wrong[_momentary(live.unwrapped)] = False
    if not wrong.any():
        return None
    place = np.argwhere(wrong)[0].tolist()
    at = place[0] if len(place) == 1 else tuple(place)
    return (
        f"what is observed depends on more than its state (entry {at} is off by "
        f"{off[tuple(place)]:.3g} where it deviates by {there.std(0)[tuple(place)]:.3g})"
    )


def _momentary(inner: Any) -> list[int]:
    """The entries that Gymnasium's own MuJoCo environments observe of the last step's forces."""
    if not type(inner).__module__.startswith("gymnasium.envs.mujoco."):
        return []
    sizes = {
        name: size
        for name, size in getattr(inner, "observation_structure", {}).items()
        if not name.startswith("skipped")
    }
    ends = dict(zip(sizes, np.cumsum([*sizes.values()]).tolist(), strict=True))
    return [
        place
        for name in _FORCES
        if name in sizes
        for place in range(ends[name] - sizes[name], ends[name])
    ]


def scenes_of(environment: EnvironmentSection) -> Scenes:
    """The scene of an environment, and those of the same made with other keyword arguments.

    What judgments are about says itself how it was made. Each scene is opened once.
    """
    return _Scenes(environment)


class _Scenes:
    """Implements `Scenes`."""

    def __init__(self, environment: EnvironmentSection) -> None:
        self._environment = environment
        self._opened: dict[str, Scene] = {}
        self._blanks: dict[str, Observations] = {}

    def __call__(self, kwargs: Kwargs | None) -> Scene:
        name, made_with = self._made(kwargs)
        if name not in self._opened:
            self._check(made_with)
            self._opened[name] = open_scene(self._environment.id, made_with)
        return self._opened[name]

    def blank(self, kwargs: Kwargs | None) -> Observations:
        name, made_with = self._made(kwargs)
        if name not in self._blanks:
            self._check(made_with)
            with closing(make_env(self._environment.id, made_with)) as env:
                space = env.observation_space
                self._blanks[name] = observed(np.zeros(space.shape, space.dtype))
        return self._blanks[name]

    def _made(self, kwargs: Kwargs | None) -> tuple[str, Kwargs]:
        made_with = self._environment.kwargs if kwargs is None else kwargs
        return json.dumps(made_with, sort_keys=True), made_with

    def _check(self, made_with: Kwargs) -> None:
        if made_with != self._environment.kwargs:
            check_alike(self._environment.id, self._environment.kwargs, made_with)


def _kind_of(env: Any) -> Callable[[Any], Scene] | None:
    """What makes a scene of an environment; MuJoCo and Box2D are imported where they are used."""
    inner = env.unwrapped
    bases = {base.__name__ for base in type(inner).__mro__}
    if isinstance(inner, Settable):
        return SettableScene
    if not bases.isdisjoint(CLASSIC_CONTROL):
        return ClassicControlScene
    if "MujocoEnv" in bases:
        from volition.envs.scenes.mujoco import MujocoScene

        return MujocoScene
    if "LunarLander" in bases:
        from volition.envs.scenes.lander import LanderScene

        return LanderScene
    return None


def draw(env: gymnasium.Env[Any, Any]) -> Pixels:
    """What the environment looks like now, as its scene draws it: uint8 (height, width, 3)."""
    inner: Any = env.unwrapped
    bases = {base.__name__ for base in type(inner).__mro__}
    if not bases.isdisjoint(CLASSIC_CONTROL):
        return draw_classic_control(env)
    if "MujocoEnv" in bases:
        from volition.envs.scenes.mujoco import draw_mujoco, draws_itself

        if not draws_itself(inner):
            return draw_mujoco(inner)
    return np.asarray(env.render())

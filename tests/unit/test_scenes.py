"""Scenes know their states' ranges, find the state behind an observation, and draw faithfully."""

from __future__ import annotations

import gymnasium
import numpy as np
import pytest

from volition.envs.classic_control import ClassicControlScene
from volition.envs.scene import open_scene

SCENES = ["Pendulum-v1", "CartPole-v1", "Acrobot-v1", "MountainCar-v0", "MountainCarContinuous-v0"]
every_scene = pytest.mark.parametrize("env_id", SCENES)


@every_scene
def test_the_state_behind_an_observation_is_found(env_id: str) -> None:
    scene = open_scene(env_id)
    assert isinstance(scene, ClassicControlScene)
    rng = np.random.default_rng(0)
    for _ in range(20):
        state = {field: rng.uniform(*bounds) for field, bounds in scene.ranges.items()}
        found = scene.state_of(scene.observe(state))
        assert list(found) == list(scene.fields) == list(state)
        assert found == pytest.approx(state, abs=1e-5)


@every_scene
def test_drawings_are_the_environments_own(env_id: str) -> None:
    scene = open_scene(env_id)
    assert scene.ranges is not None
    own = gymnasium.make(env_id, render_mode="rgb_array").unwrapped
    own.reset(seed=0)
    rng = np.random.default_rng(0)
    drawn = []
    for _ in range(3):
        state = {field: rng.uniform(*bounds) for field, bounds in scene.ranges.items()}
        own.state = np.array(list(state.values()))  # type: ignore[attr-defined]
        drawn.append(scene.draw(state))
        np.testing.assert_array_equal(drawn[-1], own.render())
    assert not np.array_equal(drawn[0], drawn[1]), "a drawing changed after it was returned"

"""Scenes know their states' ranges, tell the state of a live environment, and draw faithfully."""

from __future__ import annotations

import gymnasium
import numpy as np
import pytest

from volition.envs.making import check_alike, make_env
from volition.envs.scene import open_scene
from volition.errors import EnvironmentUnsupported

SCENES = ["Pendulum-v1", "CartPole-v1", "Acrobot-v1", "MountainCar-v0", "MountainCarContinuous-v0"]
ANGLES = {"theta", "theta1", "theta2"}
every_scene = pytest.mark.parametrize("env_id", SCENES)


@every_scene
def test_the_state_of_a_live_environment_is_told_and_observed(env_id: str) -> None:
    scene = open_scene(env_id)
    env = gymnasium.make(env_id)
    env.reset(seed=0)
    env.action_space.seed(0)
    for _ in range(60):
        observation, _, terminated, _, _ = env.step(env.action_space.sample())
        state = dict(zip(scene.fields, scene.capture(env).tolist(), strict=True))
        assert all(abs(state[field]) <= np.pi for field in state if field in ANGLES)
        np.testing.assert_allclose(scene.observe(state), observation, atol=1e-5)
        if terminated:
            env.reset()


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


@pytest.mark.parametrize(
    ("env_id", "kwargs", "told"),
    [
        ("volition/Guest-v0", {"layout": "seen"}, "'layout' to set; it has layouts, max_episode_"),
        ("Pendulum-v1", {"render_mode": "human"}, "render_mode is no keyword argument to set"),
        ("LunarLander-v3", {"gravity": 5}, r"cannot make .* must be between -12 and 0"),
        ("volition/Guest-v0", {"layouts": ["seen"]}, "cannot make .* unhashable"),
    ],
)
def test_keyword_arguments_that_will_not_do(
    env_id: str, kwargs: dict[str, object], told: str
) -> None:
    with pytest.raises(EnvironmentUnsupported, match=told):
        make_env(env_id, kwargs, render_mode="rgb_array")


def test_environments_that_observe_and_act_alike() -> None:
    check_alike("volition/Guest-v0", {}, {"layouts": "heldout", "max_episode_steps": 7})
    with pytest.raises(EnvironmentUnsupported, match=r"observes \(8,\).* observes \(7,\)"):
        check_alike("volition/Lamp-v0", {}, {"rolling": True})
    with pytest.raises(EnvironmentUnsupported, match=r"acts in \['Box', \(2,\)\]; here"):
        check_alike("LunarLander-v3", {}, {"continuous": True})

"""What every environment must do that judged states are placed in. A new one is one line here."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
import pytest

from volition.envs.scene import open_scene
from volition.errors import EnvironmentUnsupported
from volition.rollout import Rollout
from volition.segment import State
from volition.task import EnvironmentSection

SCENES: dict[str, dict[str, float]] = {
    "Pendulum-v1": {"theta": 0.5, "theta_dot": -1.0},
    "CartPole-v1": {"x": 0.5, "x_dot": 0.1, "theta": 0.1, "theta_dot": -0.2},
    "Acrobot-v1": {"theta1": 0.5, "theta2": -1.0, "theta1_dot": 0.1, "theta2_dot": 0.2},
    "MountainCar-v0": {"position": -0.4, "velocity": 0.01},
    "MountainCarContinuous-v0": {"position": -0.4, "velocity": 0.01},
}
every_scene = pytest.mark.parametrize(("env_id", "state"), SCENES.items())


def elsewhere(state: State) -> dict[str, float]:
    return {field: -0.5 * value for field, value in state.items()}


@every_scene
def test_the_state_is_what_is_observed(env_id: str, state: State) -> None:
    scene = open_scene(env_id)
    assert set(scene.fields) == set(state)
    observation = scene.observe(state)
    assert observation.dtype == np.float32
    space = gymnasium.make(env_id).observation_space
    assert space.contains(observation)
    assert not np.array_equal(scene.observe(elsewhere(state)), observation)
    np.testing.assert_array_equal(scene.observe(state), observation)


@every_scene
def test_the_drawing_depends_on_the_state_alone(env_id: str, state: State) -> None:
    scene = open_scene(env_id)
    drawing = scene.draw(state)
    assert drawing.dtype == np.uint8
    other = scene.draw(elsewhere(state))
    np.testing.assert_array_equal(scene.draw(state), drawing)
    assert (drawing != other).any()


def test_an_environment_whose_state_cannot_be_set_is_refused() -> None:
    with pytest.raises(EnvironmentUnsupported, match="cannot be set to a state"):
        open_scene("Blackjack-v1")


@pytest.mark.parametrize("env_id", ["Pendulum-v1", "MountainCarContinuous-v0"])
def test_a_rollout_is_the_environment_stepped(env_id: str) -> None:
    """Against a single environment, over the end of an episode: the last state is not lost."""
    rollout = Rollout(EnvironmentSection(id=env_id, kwargs={"max_episode_steps": 3}), 2)
    single: Any = gymnasium.make(env_id, max_episode_steps=3)
    observation, _ = single.reset(seed=5)
    np.testing.assert_array_equal(rollout.reset(5)[0], observation)
    total = 0.0
    for number in range(3):
        actions = np.full((2, 1), 0.5, np.float32)
        step = rollout.step(actions)
        reached, reward, *_ = single.step(actions[0])
        total += float(reward)
        np.testing.assert_array_equal(step.transitions.observation[0], observation)
        np.testing.assert_array_equal(step.transitions.next_observation[0], reached)
        assert not step.transitions.terminated[0]
        assert step.ended[0] == (number == 2)
        assert step.true_returns[0] == pytest.approx(total)
        observation = reached
    assert not np.array_equal(step.observations[0], reached)
    np.testing.assert_array_equal(step.observations[0], single.reset()[0])

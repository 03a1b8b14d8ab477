"""What every environment must do that judged states are placed in. A new one is one line here."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import gymnasium
import numpy as np
import pytest

from volition.comparison import Pixels, State
from volition.envs.base import Scene
from volition.envs.scene import make_env, open_scene
from volition.errors import EnvironmentUnsupported
from volition.learners.rollout import Rollout
from volition.tasks.task import EnvironmentSection

# the environment, and by how much what it observes may differ from what its state shows
SCENES: dict[str, float] = {
    "Pendulum-v1": 0.0,
    "CartPole-v1": 0.0,
    "Acrobot-v1": 0.0,
    "MountainCar-v0": 0.0,
    "MountainCarContinuous-v0": 0.0,
    "volition-tests/Dot-v0": 0.0,
    "volition/Guest-v0": 0.0,
    "volition/Lamp-v0": 0.0,
    "volition/Regatta-v0": 0.0,
    "volition/Welcome-v0": 0.0,
}
every_scene = pytest.mark.parametrize(("env_id", "tolerance"), SCENES.items())
STEPS = 40


class Dot(gymnasium.Env[Any, Any]):
    """A dot on a line, which is pushed: an environment of one's own, with a state to set."""

    observation_space = gymnasium.spaces.Box(-np.inf, np.inf, (2,), np.float32)
    action_space = gymnasium.spaces.Discrete(3)
    metadata = {"render_modes": ["rgb_array"]}  # noqa: RUF012
    state_fields = ("place", "speed")
    state_ranges = {"place": (0.0, 1.0), "speed": (-0.1, 0.1)}  # noqa: RUF012

    def __init__(self, render_mode: str | None = None) -> None:
        self.render_mode = render_mode
        self._state = np.zeros(2)

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed)
        self._state = np.array([self.np_random.random(), 0.0])
        return self.observe(), {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        speed = self._state[1] + 0.01 * (int(action) - 1)
        self._state = np.array([np.clip(self._state[0] + speed, 0, 1), speed])
        return self.observe(), 0.0, False, False, {}

    def get_state(self) -> np.ndarray[Any, np.dtype[np.float64]]:
        return self._state

    def set_state(self, vector: np.ndarray[Any, np.dtype[np.float64]]) -> None:
        self._state = vector

    def observe(self) -> np.ndarray[Any, np.dtype[np.float32]]:
        return np.array(self._state, np.float32)

    def render(self) -> Any:
        picture = np.zeros((8, 64, 3), np.uint8)
        picture[:, : int(64 * self._state[0])] = 255
        return picture


gymnasium.register("volition-tests/Dot-v0", lambda **kwargs: Dot(**kwargs))


class Lived:
    """An environment that was stepped at random, and its scene."""

    def __init__(self, env_id: str) -> None:
        self.scene: Scene = open_scene(env_id)
        self.env: Any = make_env(env_id, render_mode="rgb_array")
        self.env.action_space.seed(1)

    def steps(self) -> Iterator[Any]:
        """What is observed at first and after every step."""
        observation, _ = self.env.reset(seed=1)
        yield observation
        for _ in range(STEPS):
            observation, _, terminated, truncated, _ = self.env.step(self.env.action_space.sample())
            yield observation
            if terminated or truncated:
                return

    def state(self) -> dict[str, float]:
        return dict(zip(self.scene.fields, self.scene.capture(self.env).tolist(), strict=True))


def drawn(scene: Scene, state: State) -> Pixels:
    """What is drawn; without OpenGL the test is skipped, except where it must be there."""
    try:
        return scene.draw(state)
    except EnvironmentUnsupported as error:
        if os.environ.get("CI"):
            raise
        pytest.skip(str(error))


def lived_states(env_id: str) -> tuple[Scene, list[State]]:
    lived = Lived(env_id)
    return lived.scene, [lived.state() for _ in lived.steps()]


@every_scene
def test_a_captured_state_is_observed_as_it_was_lived(env_id: str, tolerance: float) -> None:
    lived = Lived(env_id)
    compared = 0
    for observed in lived.steps():
        compared += 1
        vector = lived.scene.capture(lived.env)
        assert vector.dtype == np.float64
        assert vector.shape == (len(lived.scene.fields),)
        again = lived.scene.observe(lived.state())
        assert again.dtype == np.float32
        np.testing.assert_allclose(again, observed, rtol=0, atol=tolerance)
    assert compared > 5
    assert lived.env.observation_space.contains(again.astype(lived.env.observation_space.dtype))


@every_scene
def test_a_captured_state_stays_as_it_was(env_id: str, tolerance: float) -> None:
    lived = Lived(env_id)
    captured, copies = [], []
    for _ in lived.steps():
        captured.append(lived.scene.capture(lived.env))
        copies.append(captured[-1].copy())
    np.testing.assert_array_equal(captured, copies)
    assert not np.array_equal(captured[0], captured[-1])


@every_scene
def test_what_is_observed_depends_on_the_state_alone(env_id: str, tolerance: float) -> None:
    scene, (state, *_, other) = lived_states(env_id)
    observation = scene.observe(state)
    assert not np.array_equal(scene.observe(other), observation)
    np.testing.assert_array_equal(scene.observe(state), observation)


@every_scene
def test_the_drawing_depends_on_the_state_alone(env_id: str, tolerance: float) -> None:
    scene, (state, *_, other) = lived_states(env_id)
    drawing = drawn(scene, state)
    assert drawing.dtype == np.uint8
    assert drawing.ndim == 3
    elsewhere = scene.draw(other)
    np.testing.assert_array_equal(scene.draw(state), drawing)
    assert (drawing != elsewhere).any()


@every_scene
def test_ranges_are_of_every_field_or_there_are_none(env_id: str, tolerance: float) -> None:
    scene = open_scene(env_id)
    if scene.ranges is not None:
        assert list(scene.ranges) == list(scene.fields)
        assert all(low < high for low, high in scene.ranges.values())
        middle = {field: sum(bounds) / 2 for field, bounds in scene.ranges.items()}
        assert np.isfinite(scene.observe(middle)).all()
        assert scene.draw(middle).size


def test_an_environment_whose_state_cannot_be_set_is_refused() -> None:
    with pytest.raises(EnvironmentUnsupported, match="cannot be set to a state"):
        open_scene("Blackjack-v1")


def test_ranges_of_other_fields_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Dot, "state_ranges", {"place": (0.0, 1.0), "sped": (-0.1, 0.1)})
    with pytest.raises(EnvironmentUnsupported, match="state_ranges names place, sped"):
        open_scene("volition-tests/Dot-v0")


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

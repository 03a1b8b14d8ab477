"""What every environment of the project's own must do. A new one is a line in `ENVIRONMENTS`."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

from volition.envs.own.registration import ENVIRONMENTS

every_environment = pytest.mark.parametrize("env_id", ENVIRONMENTS)


def made(env_id: str, **kwargs: Any) -> Any:
    return gymnasium.make(env_id, render_mode="rgb_array", **kwargs).unwrapped


def somewhere(env: Any, seed: int) -> Any:
    """The environment in some state of its ranges."""
    low, high = np.array([env.state_ranges[field] for field in env.state_fields]).T
    env.set_state(np.random.default_rng(seed).uniform(low, high))
    return env


@every_environment
def test_gymnasium_finds_nothing_wrong(env_id: str) -> None:
    check_env(made(env_id), skip_close_check=True)


@every_environment
def test_an_episode_is_cut_after_its_steps(env_id: str) -> None:
    env: Any = gymnasium.make(env_id)
    env.reset(seed=0)
    env.action_space.seed(0)
    ends = [env.step(env.action_space.sample())[2:4] for _ in range(ENVIRONMENTS[env_id][1])]
    assert ends == [(False, False)] * (len(ends) - 1) + [(False, True)]


@every_environment
def test_a_state_is_all_there_is(env_id: str) -> None:
    """Set to the state of another, an environment observes, draws and goes on as that one does."""
    one, other = made(env_id), made(env_id)
    one.reset(seed=0)
    other.reset(seed=1)
    one.action_space.seed(0)
    for _ in range(30):
        one.step(one.action_space.sample())
    other.set_state(one.get_state())
    np.testing.assert_array_equal(other.get_state(), one.get_state())
    for _ in range(20):
        np.testing.assert_array_equal(other.observe(), one.observe())
        np.testing.assert_array_equal(other.render(), one.render())
        action = one.action_space.sample()
        observed, reward, *_ = one.step(action)
        np.testing.assert_array_equal(observed, one.observe())
        assert other.step(action)[1] == reward


@every_environment
@pytest.mark.parametrize("seed", range(20))
def test_any_state_of_the_ranges_is_possible(env_id: str, seed: int) -> None:
    env = somewhere(made(env_id), seed)
    assert len(env.get_state()) == len(env.state_fields)
    observed = env.observe()
    assert env.observation_space.contains(observed)
    settled = env.get_state()
    env.set_state(settled)
    np.testing.assert_array_equal(env.get_state(), settled)
    np.testing.assert_array_equal(env.observe(), observed)


@every_environment
def test_what_is_observed_stays_within_the_space(env_id: str) -> None:
    env = made(env_id)
    env.action_space.seed(3)
    for seed in range(5):
        env.reset(seed=seed)
        action = env.action_space.sample()
        for number in range(ENVIRONMENTS[env_id][1]):
            if number % 15 == 0:
                action = env.action_space.sample()
            observed, *_ = env.step(action)
            assert env.observation_space.contains(observed)


@every_environment
def test_the_drawing_shows_the_state(env_id: str) -> None:
    env = made(env_id)
    one, other = (somewhere(env, seed).render() for seed in (0, 1))
    assert one.dtype == np.uint8
    assert (one != other).any(2).mean() > 0.005

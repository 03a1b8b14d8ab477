"""Learners: transitions and a reward function in, behaviour out. One readable file each."""

from __future__ import annotations

from typing import Any, Literal

import gymnasium

from volition.learners.base import Learner
from volition.learners.ppo import PPO, PPOSettings
from volition.learners.sac import SAC, SACSettings

Algorithm = Literal["auto", "sac", "ppo"]
REMEMBERED = 1 << 20  # transitions of a replay, which is all in memory


def make(
    algorithm: Algorithm,
    observation_space: gymnasium.Space[Any],
    action_space: gymnasium.Space[Any],
    envs: int,
    *,
    gamma: float,
) -> Learner[Any]:
    """The learner for the spaces of a single environment.

    Args:
        algorithm: `auto` is SAC, which needs far fewer steps, where observations and actions are
            vectors of numbers, and PPO for choices and for pictures.
        observation_space: Of one environment.
        action_space: Of one environment.
        envs: Environments side by side.
        gamma: Discount factor of one environment step.

    Raises:
        EnvironmentUnsupported: The learner cannot act there.
        InputError: A setting is out of range.
    """
    numbers = isinstance(action_space, gymnasium.spaces.Box)
    pictures = len(observation_space.shape or ()) == 3
    if algorithm == "ppo" or (algorithm == "auto" and (pictures or not numbers)):
        return PPO.for_spaces(observation_space, action_space, envs, PPOSettings(gamma=gamma))
    settings = SACSettings(gamma=gamma, replay_capacity=REMEMBERED)
    return SAC.for_spaces(observation_space, action_space, envs, settings)

"""Learners: transitions and a reward function in, behaviour out. One readable file each."""

from __future__ import annotations

from math import prod
from typing import Any, Literal

import gymnasium

from volition.learners.base import Learner
from volition.learners.ppo import PPO, PPOSettings
from volition.learners.sac import SAC, SACSettings

Algorithm = Literal["auto", "sac", "ppo"]
REMEMBERED = 1 << 20  # transitions of a replay at most, which is all in memory
REPLAY_BYTES = 1 << 32  # of what is observed in them at most: fewer where that is very wide


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
    settings = SACSettings(gamma=gamma, replay_capacity=remembered(observation_space.shape))
    return SAC.for_spaces(observation_space, action_space, envs, settings)


def remembered(observation_shape: tuple[int, ...] | None) -> int:
    """Transitions of a replay at most, a power of two, where such float32 observations are made."""
    each = 2 * 4 * prod(observation_shape or ())  # what was observed, and what came of it
    return min(REMEMBERED, 1 << ((REPLAY_BYTES // max(1, each)).bit_length() - 1))

"""A learned reward in the place of an environment's own, for any other reinforcement learner."""

from __future__ import annotations

from typing import Any, SupportsFloat

import gymnasium
import jax.numpy as jnp

from volition.comparison import observed
from volition.reward.model import RewardModel


class LearnedReward(gymnasium.Wrapper[Any, Any, Any, Any]):
    """Gives the reward model's opinion of the state that a step leads to.

    The environment's own reward is kept in `info["true_reward"]`, for evaluation only.
    """

    def __init__(self, env: gymnasium.Env[Any, Any], reward_model: RewardModel) -> None:
        super().__init__(env)
        self._reward = reward_model

    def step(self, action: Any) -> tuple[Any, SupportsFloat, bool, bool, dict[str, Any]]:
        observation, true_reward, terminated, truncated, info = self.env.step(action)
        reward = self._reward(jnp.asarray(observed(observation)))
        return (
            observation,
            float(reward),
            terminated,
            truncated,
            {
                **info,
                "true_reward": true_reward,
            },
        )

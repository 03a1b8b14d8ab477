"""A learned reward in the place of an environment's own, for any other reinforcement learner."""

from __future__ import annotations

from typing import Any, SupportsFloat

import gymnasium
import jax.numpy as jnp

from volition.comparison import observed
from volition.envs.checking import checked
from volition.errors import EnvironmentUnsupported
from volition.reward.model import RewardModel


class LearnedReward(gymnasium.Wrapper[Any, Any, Any, Any]):
    """Gives the reward model's opinion of the state that a step leads to.

    The environment's own reward is kept in `info["true_reward"]`, for evaluation only.

    Raises:
        EnvironmentUnsupported: From `step`; what is observed is not what its space says, or not
            finite.
    """

    def __init__(self, env: gymnasium.Env[Any, Any], reward_model: RewardModel) -> None:
        super().__init__(env)
        self._reward = reward_model

    def step(self, action: Any) -> tuple[Any, SupportsFloat, bool, bool, dict[str, Any]]:
        observation, true_reward, terminated, truncated, info = self.env.step(action)
        try:
            seen = checked(self.env.observation_space, observation)
        except ValueError as error:
            name = self.spec.id if self.spec else type(self.unwrapped).__name__
            raise EnvironmentUnsupported(f"{name}: what is observed {error}") from None
        reward = self._reward(jnp.asarray(observed(seen)))
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

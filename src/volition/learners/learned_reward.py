"""A learned reward in the place of an environment's own, for any other reinforcement learner."""

from __future__ import annotations

from typing import Any, SupportsFloat

import gymnasium
import jax.numpy as jnp

from volition.envs.vectors import Reading
from volition.errors import EnvironmentUnsupported
from volition.reward.model import RewardModel


class LearnedReward(gymnasium.Wrapper[Any, Any, Any, Any]):
    """Gives the reward model's opinion of the state that a step leads to.

    What is observed, and an action, stay what they are in the environment, of whatever space. The
    environment's own reward is kept in `info["true_reward"]`, for evaluation only.

    Raises:
        EnvironmentUnsupported: Nobody can read what is observed; or, from `step`, it is not what
            its space says, or not finite.
    """

    def __init__(self, env: gymnasium.Env[Any, Any], reward_model: RewardModel) -> None:
        super().__init__(env)
        self._reward = reward_model
        try:
            self._reading = Reading(env.observation_space)
        except ValueError as error:
            raise EnvironmentUnsupported(f"{self._named}: its observation_space {error}") from None

    def step(self, action: Any) -> tuple[Any, SupportsFloat, bool, bool, dict[str, Any]]:
        observation, true_reward, terminated, truncated, info = self.env.step(action)
        try:
            seen = self._reading.read(observation)
        except ValueError as error:
            raise EnvironmentUnsupported(f"{self._named}: what is observed {error}") from None
        reward = self._reward(jnp.asarray(seen))
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

    @property
    def _named(self) -> str:
        return self.spec.id if self.spec else type(self.unwrapped).__name__

"""A learned reward in the place of an environment's own, for any other reinforcement learner."""

from __future__ import annotations

from typing import Any, SupportsFloat

import gymnasium
import jax.numpy as jnp
import numpy as np

from volition.comparison import observed
from volition.envs.vectors import Reading
from volition.errors import EnvironmentUnsupported
from volition.learners.rollout import staged_space
from volition.reward.model import RewardModel
from volition.reward.stages import Staging, check_observed

Info = dict[str, Any]  # as Gymnasium has it


class LearnedReward(gymnasium.Wrapper[Any, Any, Any, Any]):
    """Gives the reward model's opinion of the state that a step leads to.

    What is observed, and an action, stay what they are in the environment, of whatever space; but
    of a goal in stages which one is under way is appended to what is observed, one-hot, with an
    entry more for when all are done. The environment's own reward is kept in `info["true_reward"]`,
    for evaluation only.

    Raises:
        EnvironmentUnsupported: Nobody can read what is observed, or it is no vector where the goal
            has stages; or, from `step`, it is not what its space says, or not finite.
    """

    def __init__(self, env: gymnasium.Env[Any, Any], reward_model: RewardModel) -> None:
        super().__init__(env)
        self._reward = reward_model
        try:
            self._reading = Reading(env.observation_space)
        except ValueError as error:
            raise EnvironmentUnsupported(f"{self._named}: its observation_space {error}") from None
        self._staging, self._seen = Staging.of(reward_model), np.zeros((1, 0), np.float32)
        if self._staging is not None:
            check_observed(env.observation_space.shape, self._named)
            self.observation_space = staged_space(env.observation_space, self._staging)

    def reset(self, **options: Any) -> tuple[Any, Info]:
        observation, info = self.env.reset(**options)
        if self._staging is None:
            return observation, info
        self._seen = self._staging.begun(observed(observation)[None])
        return self._seen[0], info

    def step(self, action: Any) -> tuple[Any, SupportsFloat, bool, bool, Info]:
        observation, true_reward, terminated, truncated, info = self.env.step(action)
        try:
            seen = self._reading.read(observation)
        except ValueError as error:
            raise EnvironmentUnsupported(f"{self._named}: what is observed {error}") from None
        if self._staging is not None:
            self._seen = self._staging.after(self._seen, seen[None])
            observation = seen = self._seen[0]
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

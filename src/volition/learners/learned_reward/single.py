"""The learned reward of a single environment."""

from __future__ import annotations

from typing import Any, SupportsFloat

import gymnasium
import numpy as np
from gymnasium.vector import VectorEnv

from volition.errors import InputError
from volition.learners.learned_reward.on_host import HostReward
from volition.learners.learned_reward.rewarding import Rewarding
from volition.learners.learned_reward.vector import TRUE_REWARD, LearnedVectorReward
from volition.reward.model import RewardModel

Info = dict[str, Any]  # as Gymnasium has it


class LearnedReward(gymnasium.Wrapper[Any, Any, Any, Any]):
    """Gives the reward model's opinion of the state that a step leads to.

    What is observed, and an action, stay what they are in the environment, of whatever space; but
    of a goal in stages which one is under way is appended to what is observed, one-hot, with an
    entry more for when all are done. Of a `gymnasium.vector.VectorEnv` it makes a
    `LearnedVectorReward`, which does the same for all of its environments at once.

    Args:
        env: The environment, or several as a `VectorEnv`.
        reward_model: What is wanted; a `HostReward`, of which the model may be replaced later.
        clip: Steps over whose states the reward is the mean: of the last so many of the episode. A
            reward model that learned from clips was fitted to such means. By default it is that of
            the last state, as `volition train` has it.
        gamma: The learner's discount. Where it is given, a state in which the environment ends the
            episode is worth its reward for ever, reward / (1 - gamma), as `volition train` has it.
            Else what follows an ending is worth 0, which is the mean of a learned reward: where
            most states are worth less, the learner will seek endings.
        true_reward: Keep the environment's own reward in `info["true_reward"]`, for evaluation. By
            default nobody is told.

    Raises:
        InputError: `clip` or `gamma` is out of range, or what is observed does not fit the model.
        EnvironmentUnsupported: Nobody can read what is observed, or it is no vector where the goal
            has stages; or, from `step`, it is not what its space says, or not finite.
    """

    def __new__(cls, env: Any = None, *args: Any, **options: Any) -> Any:
        if isinstance(env, VectorEnv):
            return LearnedVectorReward(env, *args, **options)
        return super().__new__(cls)

    def __init__(
        self,
        env: gymnasium.Env[Any, Any] | VectorEnv[Any, Any, Any],
        reward_model: RewardModel | HostReward,
        *,
        clip: int = 1,
        gamma: float | None = None,
        true_reward: bool = False,
    ) -> None:
        if not isinstance(env, gymnasium.Env):
            raise InputError(f"{env!r:.80} is no environment: give what gymnasium.make makes")
        super().__init__(env)
        name = self.spec.id if self.spec else type(self.unwrapped).__name__
        self._rewarding = Rewarding(reward_model, env.observation_space, 1, name, clip, gamma)
        self._tells = true_reward
        if self._rewarding.staged:
            self.observation_space = self._rewarding.space

    def reset(self, **options: Any) -> tuple[Any, Info]:
        observation, info = self.env.reset(**options)
        if not self._rewarding.staged:
            self._rewarding.begin()
            return observation, info
        self._rewarding.begin(self._rewarding.read(observation)[None])
        return self._rewarding.seen[0].copy(), info

    def step(self, action: Any) -> tuple[Any, SupportsFloat, bool, bool, Info]:
        observation, true_reward, terminated, truncated, info = self.env.step(action)
        reached = self._rewarding.read(observation)[None]
        reward = float(self._rewarding.after(reached, np.array([terminated]))[0])
        if self._rewarding.staged:
            observation = self._rewarding.seen[0].copy()
        if self._tells:
            info = {**info, TRUE_REWARD: true_reward}
        return observation, reward, terminated, truncated, info

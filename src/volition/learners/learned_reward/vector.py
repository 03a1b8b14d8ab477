"""The learned reward of environments that Gymnasium steps side by side."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from gymnasium.vector import AutoresetMode, VectorEnv, VectorWrapper
from gymnasium.vector.utils import batch_space

from volition.comparison import Array
from volition.errors import EnvironmentUnsupported
from volition.learners.learned_reward.on_host import HostReward
from volition.learners.learned_reward.rewarding import Rewarding
from volition.reward.model import RewardModel

TRUE_REWARD = "true_reward"  # in info
FINAL = "final_obs"  # likewise, as Gymnasium has it where episodes begin within the step that ends

Info = dict[str, Any]  # as Gymnasium has it
Bools = npt.NDArray[np.bool_]


class LearnedVectorReward(VectorWrapper):
    """As `LearnedReward`, of all environments of a `VectorEnv` at once.

    A step that ends an episode is worth the state that it led to, whichever way the environments
    begin anew: `final_obs` where they do so within that step, what is observed elsewhere. A step
    that only resets an environment (`AutoresetMode.NEXT_STEP`) is worth 0, as Gymnasium has it.

    Args:
        env: The environments.
        reward_model, clip, gamma, true_reward: As of `LearnedReward`.

    Raises:
        EnvironmentUnsupported: As of `LearnedReward`, or the environments do not say in their
            metadata how they begin anew.
    """

    def __init__(
        self,
        env: VectorEnv[Any, Any, Any],
        reward_model: RewardModel | HostReward,
        *,
        clip: int = 1,
        gamma: float | None = None,
        true_reward: bool = False,
    ) -> None:
        super().__init__(env)
        name = self.spec.id if self.spec else type(self.unwrapped).__name__
        mode = env.metadata.get("autoreset_mode")
        if not isinstance(mode, AutoresetMode):
            raise EnvironmentUnsupported(
                f'{name}: metadata["autoreset_mode"] is {mode!r}, so nobody knows which state the '
                "last step of an episode led to: set it to one of gymnasium.vector.AutoresetMode"
            )
        self._mode, self._tells = mode, true_reward
        space = env.single_observation_space
        self._rewarding = Rewarding(reward_model, space, env.num_envs, name, clip, gamma)
        self._ended: Bools = np.zeros(env.num_envs, np.bool_)
        if self._rewarding.staged:
            self.single_observation_space = self._rewarding.space
            self.observation_space = batch_space(self._rewarding.space, env.num_envs)

    def reset(self, *, seed: Any = None, options: Info | None = None) -> tuple[Any, Info]:
        mask = (options or {}).get("reset_mask")  # which environments take out of the options
        observations, info = self.env.reset(seed=seed, options=options)
        begun: Bools = np.ones(self.num_envs, np.bool_) if mask is None else np.array(mask)
        self._ended = self._ended & ~begun
        return self._begin(observations, begun), info

    def step(self, actions: Any) -> tuple[Any, Array, Bools, Bools, Info]:
        observations, true_rewards, terminated, truncated, info = self.env.step(actions)
        ended: Bools = np.asarray(terminated) | np.asarray(truncated)
        reached = self._rewarding.read_all(observations)
        begun = self._begun(ended)
        if self._mode is AutoresetMode.SAME_STEP and begun.any():
            for place in np.flatnonzero(begun):
                reached[place] = self._rewarding.read(info[FINAL][place])
        rewards = self._rewarding.after(reached, np.asarray(terminated)).astype(np.float64)
        if self._mode is AutoresetMode.NEXT_STEP:
            rewards[begun] = 0.0
        elif self._rewarding.staged and begun.any():
            info = {**info, FINAL: self._final(info[FINAL], begun)}
        observations = self._begin(observations, begun)
        self._ended = ended
        if self._tells:
            info = {**info, TRUE_REWARD: true_rewards}
        return observations, rewards, terminated, truncated, info

    def _begun(self, ended: Bools) -> Bools:
        """In which environments an episode has begun by this step."""
        if self._mode is AutoresetMode.DISABLED:
            return np.zeros_like(ended)
        return ended if self._mode is AutoresetMode.SAME_STEP else self._ended

    def _begin(self, observations: Any, begun: Bools) -> Any:
        """What is observed, once episodes have begun in some environments."""
        if not self._rewarding.staged:
            self._rewarding.begin(rows=begun)
            return observations
        if begun.any():
            self._rewarding.begin(self._rewarding.read_all(observations)[begun], begun)
        return self._rewarding.seen.copy()

    def _final(self, observations: Array, begun: Bools) -> Array:
        """What is observed at the end of an episode, with the stage that was under way then."""
        final = observations.copy()
        for place in np.flatnonzero(begun):
            final[place] = self._rewarding.seen[place].copy()
        return final

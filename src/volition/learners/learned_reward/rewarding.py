"""What a learned reward needs of environments that are stepped side by side, one or many."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
from gymnasium.spaces import Box
from gymnasium.vector.utils import batch_space, iterate

from volition.comparison import Array, Floats, Observations
from volition.envs.vectors import Reading, finite
from volition.errors import EnvironmentUnsupported, InputError
from volition.learners.learned_reward.on_host import HostReward, host_reward
from volition.learners.rollout import staged_space
from volition.reward.model import RewardModel
from volition.reward.stages import check_observed


class Rewarding:
    """Reads what is observed, knows which stage of a goal is under way, and gives the reward.

    Args:
        reward: What is wanted.
        space: Of what one environment observes.
        envs: How many there are.
        name: Of the environment, for errors.
        clip, gamma: As of `LearnedReward`.

    Attributes:
        reward: Of now.
        space: Of what is observed with the stage that is under way, where the goal has stages.
        staged: Whether it has.
        seen: What the reward model was last given: (envs, ...).

    Raises:
        InputError, EnvironmentUnsupported: As of `LearnedReward`.
    """

    def __init__(
        self,
        reward: RewardModel | HostReward,
        space: gymnasium.Space[Any],
        envs: int,
        name: str,
        clip: int = 1,
        gamma: float | None = None,
    ) -> None:
        if clip < 1:
            raise InputError(f"a clip has one step at least, not {clip}")
        if gamma is not None and not 0 <= gamma < 1:
            raise InputError(f"gamma is {gamma}, and must be in [0, 1)")
        self._for_ever = 1.0 if gamma is None else 1 / (1 - gamma)
        self.reward = host_reward(reward)
        self._name, self._envs = name, envs
        try:
            self._reading = Reading(space)
        except ValueError as error:
            raise EnvironmentUnsupported(f"{name}: its observation_space {error}") from None
        self._in_a_row = (
            isinstance(space, Box) and len(space.shape) == 1 and space.dtype.kind == "f"
        )
        self._spaces, self.space = batch_space(space, envs), space
        if self.reward.staging is not None:
            check_observed(space.shape, name)
            self.space = staged_space(space, self.reward.staging)
        if wanted := self.reward.wants(self._reading.space.shape):
            raise InputError(
                f"{name} observes {self._reading.space.shape}, and the reward model is given "
                f"{wanted}: it was learned in another environment, or behind another wrapper"
            )
        self.seen: Observations = np.zeros((envs, *(self.space.shape or ())), np.float32)
        self._clips = _Clips(envs, clip) if clip > 1 else None

    @property
    def staged(self) -> bool:
        return self.reward.staging is not None

    def read(self, observation: Any) -> Observations:
        """What one environment observes, as the reward model is given it.

        Raises:
            EnvironmentUnsupported: It is not what its space says, or not finite.
        """
        try:
            return self._reading.read(observation)
        except ValueError as error:
            raise EnvironmentUnsupported(f"{self._name}: what is observed {error}") from None

    def read_all(self, observations: Any) -> Observations:
        """The same of all environments, as Gymnasium puts them together: (envs, ...), a copy."""
        if self._in_a_row:
            with np.errstate(over="ignore", invalid="ignore"):  # which one by one is said better
                rows = np.array(observations, np.float32)
            if rows.shape == self._spaces.shape and finite(rows):
                return rows
        return np.stack([self.read(one) for one in iterate(self._spaces, observations)])

    def begin(self, seen: Observations | None = None, rows: Any = slice(None)) -> None:
        """Episodes begin in these environments; of a goal in stages this is seen: (rows, ...)."""
        if self.reward.staging is not None and seen is not None:
            self.seen[rows] = self.reward.staging.begun(seen)
        if self._clips is not None:
            self._clips.begin(rows)

    def after(self, reached: Observations, terminated: Array) -> Floats:
        """The reward of what one step of every environment led to: (envs,).

        Args:
            reached: What is observed there: (envs, ...).
            terminated: Where the environment ended the episode: bool (envs,).
        """
        staging = self.reward.staging
        self.seen = reached if staging is None else staging.after(self.seen, reached)
        rewards: Floats = self.reward(self.seen)
        if self._clips is not None:
            rewards = self._clips.mean(rewards)
        return rewards if self._for_ever == 1 else rewards * self.held(terminated)

    def held(self, terminated: Array) -> Floats:
        """How often the reward of a state counts, (...): once, or for ever where episodes end."""
        return np.where(terminated, np.float32(self._for_ever), np.float32(1))


class _Clips:
    """The mean over the last steps of each environment, of an episode's first ones over fewer."""

    def __init__(self, envs: int, steps: int) -> None:
        self._rewards = np.zeros((envs, steps))
        self._count, self._rows = np.zeros(envs, np.int64), np.arange(envs)

    def begin(self, rows: Any) -> None:
        self._rewards[rows], self._count[rows] = 0.0, 0

    def mean(self, rewards: Array) -> Floats:
        steps = self._rewards.shape[1]
        self._rewards[self._rows, self._count % steps] = rewards
        self._count += 1
        means: Floats = self._rewards.sum(1) / np.minimum(self._count, steps)
        return means

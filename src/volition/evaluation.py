"""What a finished policy does, measured with the environment's own reward. Nothing learns here."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Protocol

import numpy as np

from volition.rollout import Rollout
from volition.task import EnvironmentSection

FIRST_SEED = 10_000
EPISODES = 100


class Acts(Protocol):
    """A policy: float32 (batch, obs_dim) to actions (batch, action_dim)."""

    def __call__(self, observations: Any, /) -> Any: ...


class Scores(Protocol):
    """A reward model: float32 (*batch, obs_dim) to rewards (*batch,)."""

    def __call__(self, observations: Any, /) -> Any: ...


@dataclass(frozen=True, slots=True)
class Evaluation:
    """Returns of fixed-seed episodes: `FIRST_SEED`, `FIRST_SEED` + 1, and so on.

    Attributes:
        true_returns: The environment's own return of each episode, by which nothing was trained.
        learned_returns: The sum of the learned reward over the same episodes.
    """

    true_returns: tuple[float, ...]
    learned_returns: tuple[float, ...]

    @property
    def mean(self) -> float:
        return float(np.mean(self.true_returns))

    @property
    def std(self) -> float:
        return float(np.std(self.true_returns))

    def as_dict(self) -> dict[str, Any]:
        return {**asdict(self), "true_return_mean": self.mean, "true_return_std": self.std}


def evaluate(
    policy: Acts, reward: Scores, environment: EnvironmentSection, episodes: int = EPISODES
) -> Evaluation:
    """The first episode of each of `episodes` environments, seeded one after the other."""
    rollout = Rollout(environment, episodes)
    observations = rollout.reset(FIRST_SEED)
    running = np.ones(episodes, np.bool_)
    true_returns = np.zeros(episodes)
    reached, counted = [], []
    while running.any():
        step = rollout.step(np.asarray(policy(observations)))
        reached.append(step.transitions.next_observation)
        counted.append(running)
        done = running & step.ended
        true_returns[done] = step.true_returns[done]
        running = running & ~step.ended
        observations = step.observations
    rewards = np.asarray(reward(np.stack(reached)))  # (steps, episodes)
    learned_returns = (rewards * np.stack(counted)).sum(0)
    rollout.close()
    return Evaluation(tuple(true_returns.tolist()), tuple(learned_returns.tolist()))

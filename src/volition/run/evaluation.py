"""What a finished policy does, measured with the environment's own reward. Nothing learns here."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np

from volition.learners.base import Acts
from volition.learners.rollout import CUT_AFTER, Rollout, episodes
from volition.tasks.task import EnvironmentSection
from volition.tasks.truth import TRUTHS, Measure

FIRST_SEED = 10_000
EPISODES = 100


class Scores(Protocol):
    """A reward model: float32 (*batch, obs_dim) to rewards (*batch,)."""

    def __call__(self, observations: Any, /) -> Any: ...


@dataclass(frozen=True, slots=True)
class Evaluation:
    """Returns of fixed-seed episodes: `FIRST_SEED`, `FIRST_SEED` + 1, and so on.

    Attributes:
        true_returns: The environment's own return of each episode, by which nothing was trained.
        learned_returns: The sum of the learned reward over the same episodes.
        measures: Numbers of each episode that say what was reached, by their names.
        cut: How many of the episodes the environment had not ended after `CUT_AFTER` steps.
    """

    true_returns: tuple[float, ...]
    learned_returns: tuple[float, ...]
    measures: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    cut: int = 0

    @property
    def mean(self) -> float:
        return float(np.mean(self.true_returns))

    @property
    def std(self) -> float:
        return float(np.std(self.true_returns))

    @property
    def measured(self) -> dict[str, float]:
        """The mean of every measure over the episodes."""
        return {name: float(np.mean(values)) for name, values in self.measures.items()}

    @property
    def warnings(self) -> list[str]:
        """What a person should know before reading the numbers."""
        if not self.cut:
            return []
        return [
            f"{self.cut} of {len(self.true_returns)} evaluation episodes were cut after "
            f"{CUT_AFTER} steps, since the environment has no limit of its own"
        ]


def measures_of(truth: str | None) -> Mapping[str, Measure]:
    """What is measured of a goal of which something is true."""
    return TRUTHS[truth].measures if truth else {}


def evaluate(
    policy: Acts,
    reward: Scores,
    environment: EnvironmentSection,
    count: int = EPISODES,
    measures: Mapping[str, Measure] | None = None,
) -> Evaluation:
    """The first episode of each of `count` environments, seeded one after the other."""
    with closing(Rollout(environment, count)) as rollout:
        moments = [*episodes(rollout, policy, FIRST_SEED)]
    reached = np.stack([moment.step.transitions.next_observation for moment in moments])
    during = np.stack([moment.running for moment in moments])  # (steps, episodes)
    true_returns = np.zeros(count)
    for moment in moments:
        true_returns[moment.running] = moment.step.true_returns[moment.running]
    cut = moments[-1].running & ~moments[-1].step.ended
    learned_returns = (np.asarray(reward(reached)) * during).sum(0)
    measured = {
        name: tuple(measure(reached[during[:, n], n]) for n in range(count))
        for name, measure in (measures or {}).items()
    }
    return Evaluation(
        tuple(true_returns.tolist()), tuple(learned_returns.tolist()), measured, int(cut.sum())
    )

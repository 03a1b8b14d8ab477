"""What a policy does: on the way by the learned return alone, and in the end by the true one, too.

Nothing learns here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any, Protocol, Self

import numpy as np
import numpy.typing as npt

from volition.learners.base import Acts
from volition.learners.rollout import CUT_AFTER, Padded, Rollout, episodes
from volition.run.results import Session
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


TRIAL_STEPS = 3200  # of all environments together, about, in one trial
FEWEST, MOST = 4, 16  # episodes of a trial
TRIAL_SEED = 20_000  # of the first: no training and no evaluation begins there
GROUP = 0.02  # of the episodes: fewer that do badly are no group
BAD = 0.5  # of the way from an untrained policy to the median: an episode below does badly


@dataclass(frozen=True, slots=True)
class Trial:
    """What a policy is worth by the learned return, without exploring.

    Attributes:
        mean: Over the episodes.
        worst: The lowest of them.
    """

    mean: float
    worst: float


class Trials:
    """Episodes from the same seeds for every policy that is tried. A context manager.

    Only the learned reward is looked at: what is kept by trials is chosen by it alone.

    Args:
        environment: Where.
        batch: Rows for which the policies' program is compiled.
    """

    def __init__(self, environment: EnvironmentSection, batch: int) -> None:
        with closing(Rollout(environment, 1)) as one:
            self.longest = one.episode_limit or CUT_AFTER
        count = min(MOST, max(FEWEST, TRIAL_STEPS // self.longest), batch)
        self._rollout, self._batch = Rollout(environment, count), batch

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._rollout.close()

    def __call__(self, policy: Acts, reward: Scores) -> Trial:
        """Acts all episodes."""
        returns = np.zeros(self._rollout.envs)
        for moment in episodes(self._rollout, Padded(policy, self._batch), TRIAL_SEED):
            reached = moment.step.transitions.next_observation
            returns += np.asarray(reward(reached)) * moment.running
        return Trial(float(returns.mean()), float(returns.min()))


def doing_badly(returns: npt.ArrayLike, untrained: float) -> npt.NDArray[np.bool_]:
    """Which episodes, by their learned returns, do badly where the median does well.

    None where the median is no better than an untrained policy: then there are no two groups.
    """
    values = np.asarray(returns)
    median = np.median(values)
    if not median > untrained:
        return np.zeros(len(values), np.bool_)
    return np.asarray(values < median - BAD * (median - untrained))


def doubts(evaluation: Evaluation, history: Sequence[Session]) -> list[str]:
    """What speaks against the policy, by the learned return alone."""
    untrained = history[0].untrained_return if history else None
    if untrained is None:
        return []
    returns = np.array(evaluation.learned_returns)
    median = float(np.median(returns))
    if not median > untrained:
        return [
            f"the policy does no better than an untrained one by the learned return ({median:.4g} "
            f"against {untrained:.4g}): more --steps may help, or the reward does not say the way"
        ]
    badly = doing_badly(returns, untrained)
    tried = [s.trial_return for s in history if s.trial_return is not None]
    best, warned = max(tried, default=median), []
    if returns.mean() < best - BAD * (best - untrained):
        warned.append(
            f"a policy on the way did better by the learned return ({best:.4g}) than the one that "
            f"was kept does in its evaluation ({returns.mean():.4g})"
        )
    if badly.mean() >= GROUP:
        warned.append(
            f"{badly.sum()} of {len(returns)} evaluation episodes do badly by the learned return "
            f"({returns[badly].mean():.4g} on average, the others {returns[~badly].mean():.4g}): "
            "from some starts the policy fails; more --steps or another --seed may help"
        )
    return warned


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

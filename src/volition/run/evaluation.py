"""What a policy does: on the way by the learned reward alone, and in the end by the true one, too.

Nothing learns here.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any, Protocol, Self

import numpy as np
import numpy.typing as npt

from volition.comparison import Floats, Observations
from volition.learners.base import Acts
from volition.learners.rollout import CUT_AFTER, Moment, Padded, Rollout, episodes
from volition.run.results import Session
from volition.tasks.task import EnvironmentSection
from volition.tasks.truth import TRUTHS, Measure

FIRST_SEED = 10_000
EPISODES = 100
ABREAST, PICTURES_ABREAST = 25, 4  # episodes acted side by side: of pictures few fit in memory
SCORED, PICTURES_SCORED = 40, 4  # steps that the reward model looks at together
LEAST_SECONDS = 30.0  # that an evaluation may take, however short the run was
SHARE = 0.25  # of the time that the run has taken, likewise
FEWEST = 5  # episodes side by side at least, however long it takes to make an environment
MAKING = 0.5  # of an evaluation's time may be taken by making environments, if these are more


class Scores(Protocol):
    """A reward model: float32 (*batch, obs_dim) to rewards (*batch,)."""

    def __call__(self, observations: Any, /) -> Any: ...


@dataclass(frozen=True, slots=True)
class Evaluation:
    """Returns of fixed-seed episodes: `FIRST_SEED`, `FIRST_SEED` + 1, and so on.

    Attributes:
        true_returns: The environment's own return of each episode, by which nothing was trained.
        learned_returns: The sum of the learned reward over the same episodes.
        worth: The learned reward of a step on average, as of `Round.worth`; none where an older
            version evaluated.
        measures: Numbers of each episode that say what was reached, by their names.
        lengths: The steps of each; none where an older version evaluated.
        highest, late: As of `Round`; none where an older version evaluated.
        cut: How many of the episodes had not ended when they were cut.
        left_out: Episodes for which there was no time.
        hurried: Whether time was what cut them, or left some out.
    """

    true_returns: tuple[float, ...]
    learned_returns: tuple[float, ...]
    measures: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    worth: tuple[float, ...] = ()
    lengths: tuple[int, ...] = ()
    highest: tuple[float, ...] = ()
    late: tuple[float, ...] = ()
    cut: int = 0
    left_out: int = 0
    hurried: bool = False

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
        count, warned = len(self.true_returns), []
        if self.left_out:
            warned.append(
                f"{count} of {count + self.left_out} evaluation episodes were acted: all of them "
                "would have taken too large a share of the run's time"
            )
        if self.cut:
            why = (
                "would have taken too large a share of the run's time"
                if self.hurried
                else "has no end in an environment without a limit of its own"
            )
            steps = max(self.lengths, default=CUT_AFTER)
            warned.append(
                f"{self.cut} of {count} evaluation episodes were cut after {steps} steps: acting "
                f"them to their end {why}"
            )
        return warned


@dataclass(slots=True)
class Round:
    """Episodes acted side by side.

    Attributes:
        true_returns: float (episodes,).
        rewards: The learned one of each step, float (episodes,); NaN where an episode had ended.
        lengths: int (episodes,).
        running: bool (episodes,), which were cut.
        terminated: bool (episodes,), which the environment ended by itself.
        observations: What each step led to, (episodes, obs_dim); kept only where it is measured.
        during: bool (episodes,) for each of those steps.
    """

    true_returns: Floats
    lengths: npt.NDArray[np.int64]
    running: npt.NDArray[np.bool_]
    terminated: npt.NDArray[np.bool_]
    rewards: list[Floats] = field(default_factory=list)
    observations: list[Observations] = field(default_factory=list)
    during: list[npt.NDArray[np.bool_]] = field(default_factory=list)

    @classmethod
    def of(
        cls,
        moments: Iterable[Moment],
        rows: int,
        reward: Scores,
        keep: bool = False,
        going: Callable[[Self], bool] = lambda _: True,
    ) -> Self:
        """Of so many episodes, `rows`, whose observations are kept or not.

        `going` is asked after each step, and ends the round when it says no.
        """
        acted = cls(
            np.zeros(rows),
            np.zeros(rows, np.int64),
            np.ones(rows, np.bool_),
            np.zeros(rows, np.bool_),
        )
        unscored: list[tuple[Observations, npt.NDArray[np.bool_]]] = []
        for moment in moments:
            running, step = moment.running, moment.step
            reached = np.asarray(step.transitions.next_observation)
            acted.true_returns[running] = step.true_returns[running]
            acted.lengths += running
            acted.running = running & ~step.ended
            acted.terminated |= running & np.asarray(step.transitions.terminated)
            unscored.append((reached, running))
            if len(unscored) == scored_together(reached.shape[1:]):
                acted._score(unscored, reward)
            if keep:
                acted.observations.append(reached)
                acted.during.append(running)
            if not going(acted):
                break
        acted._score(unscored, reward)
        return acted

    def _score(
        self, unscored: list[tuple[Observations, npt.NDArray[np.bool_]]], reward: Scores
    ) -> None:
        """Adds the learned rewards of some steps, which are taken out of the list."""
        if not unscored:
            return
        rows, *shape = unscored[0][0].shape
        together, most = scored_together(tuple(shape)), abreast(tuple(shape))
        reached = np.zeros((together, most, *shape), unscored[0][0].dtype)
        for place, (observations, _) in enumerate(unscored):
            reached[place, :rows] = observations
        values = np.asarray(reward(reached.reshape(-1, *shape))).reshape(together, most)
        for of_step, (_, running) in zip(values, unscored, strict=False):
            self.rewards.append(np.where(running, of_step[:rows], np.nan))
        unscored.clear()

    @property
    def learned_returns(self) -> Floats:
        """float (episodes,)."""
        return np.asarray(np.nansum(self.rewards, 0))

    @property
    def highest(self) -> Floats:
        """The highest learned reward of a step, (episodes,)."""
        return np.asarray(np.nanmax(self.rewards, 0))

    @property
    def late(self) -> Floats:
        """The learned reward of a step on average in the last part of each episode, (episodes,):
        where it has got to, wherever it began."""
        rewards, steps = np.stack(self.rewards), np.arange(len(self.rewards))[:, None]
        is_late = steps >= np.floor((1 - LATE) * self.lengths)
        return np.asarray(np.nanmean(np.where(is_late, rewards, np.nan), 0))

    def worth(self, longest: int) -> Floats:
        """The learned reward of a step on average, (episodes,), over `longest` steps.

        What an episode comes to that ends by itself is held until then, as learning has it
        (`held_value`): neither living nor dying is worth anything by itself.
        """
        last = np.stack(self.rewards)[self.lengths - 1, np.arange(len(self.lengths))]
        held = np.where(self.terminated, longest - self.lengths, 0)
        return np.asarray((self.learned_returns + held * last) / (self.lengths + held))

    def measured(self, measure: Measure, episode: int) -> float:
        """A measure of one episode."""
        return measure(np.stack(self.observations)[np.stack(self.during)[:, episode], episode])


TRIAL_STEPS = 2000  # of all environments together, about, in one trial
FEWEST = 4  # episodes of a trial
PICTURES_LONGEST = 200  # steps of a trial's episode where pictures are observed
TRIAL_SEED = 20_000  # of the first: no training and no evaluation begins there
GROUP = 0.02  # of the episodes: fewer that do badly are no group
LITTLE = 0.1  # reward of a step on average: a policy that has no more has hardly learned the goal
LATE = 0.25  # of an episode's steps, by which is seen where it has got to
FEW = 0.5  # of the episodes: if more never come near what was judged best, that is said
NEAR = 0.05  # of a judged state's deviation: so little less than what was judged best is near it
APART = 0.25  # of a judged state's deviation: a gap between what episodes come to that is one
TIMES = 2.0  # as wide as either side deviates, likewise
BAD = 0.5  # of the way from an untrained policy to the median: an episode below does badly


@dataclass(frozen=True, slots=True)
class Trial:
    """What a policy is worth by the learned reward of a step, without exploring.

    Judged states have 0 on average, and a deviation of 1.

    Attributes:
        mean: Over the episodes.
        worst: The lowest of them.
    """

    mean: float
    worst: float


def abreast(observation_shape: tuple[int, ...] | None) -> int:
    """How many episodes are acted side by side: a policy's program is compiled for so many."""
    return PICTURES_ABREAST if len(observation_shape or ()) == 3 else ABREAST


def scored_together(observation_shape: tuple[int, ...]) -> int:
    """How many steps of all episodes the reward model looks at together: it is compiled for so
    many."""
    return PICTURES_SCORED if len(observation_shape) == 3 else SCORED


class Trials:
    """Episodes from the same seeds for every policy that is tried. A context manager.

    Only the learned reward is looked at: what is kept by trials is chosen by it alone.

    Args:
        environment: Where.
    """

    def __init__(self, environment: EnvironmentSection) -> None:
        with closing(Rollout(environment, 1)) as one:
            self._rows = abreast(one.observation_space.shape)
            limit = one.episode_limit or CUT_AFTER
        most = PICTURES_LONGEST if self._rows == PICTURES_ABREAST else CUT_AFTER
        self._longest = min(limit, most)
        count = min(self._rows, max(FEWEST, TRIAL_STEPS // self._longest))
        self._rollout = Rollout(environment, count)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._rollout.close()

    def __call__(self, policy: Acts, reward: Scores) -> Trial:
        """Acts all episodes."""
        acting = Padded(policy, self._rows)
        moments = episodes(self._rollout, acting, TRIAL_SEED, self._longest)
        worth = Round.of(moments, self._rollout.envs, reward).worth(self._longest)
        return Trial(float(worth.mean()), float(worth.min()))


def doing_badly(worth: npt.ArrayLike, untrained: float) -> npt.NDArray[np.bool_]:
    """Which episodes do badly where the median does well.

    None where the median is no better than an untrained policy: then there are no two groups.
    """
    values = np.asarray(worth)
    median = np.median(values)
    if not median > untrained:
        return np.zeros(len(values), np.bool_)
    return np.asarray(values < median - BAD * (median - untrained))


def doubts(
    evaluation: Evaluation, history: Sequence[Session], good: float | None = None
) -> list[str]:
    """What speaks against the policy, by the learned reward alone.

    Args:
        evaluation: Of the policy.
        history: Of its learning.
        good: What the best tenth of the judged states is worth at least, where it is known.
    """
    untrained = history[0].untrained_reward if history else None
    if untrained is None or not evaluation.worth:
        return []
    worth = np.array(evaluation.worth)
    median, mean = float(np.median(worth)), float(worth.mean())
    if not median > untrained:
        return [
            f"the policy does no better than an untrained one by the learned reward ({median:.2g} "
            f"a step against {untrained:.2g}): more --steps may help, or the reward does not say "
            "the way"
        ]
    tried = [s.trial_reward for s in history if s.trial_reward is not None]
    best, warned = max(tried, default=median), []
    if mean < LITTLE:
        warned.append(
            f"what the policy does is worth {mean:.2g} a step by the learned reward, of which "
            "judged states have 0 on average and a deviation of 1: it has hardly learned the goal; "
            "more --steps or another --seed may help"
        )
    if mean < best - BAD * (best - untrained):
        warned.append(
            f"a policy on the way did better by the learned reward ({best:.2g} a step) than the "
            f"one that was kept does in its evaluation ({mean:.2g})"
        )
    if good is not None:
        warned += _stuck(np.array(evaluation.highest), good)
    return warned + _groups(worth, np.array(evaluation.late), untrained)


def _stuck(highest: Floats, good: float) -> list[str]:
    """Whether most episodes never come near what was judged best."""
    short = highest < good - NEAR
    if not short.mean() > FEW:
        return []
    return [
        f"in {short.sum()} of {len(short)} evaluation episodes the policy never comes to what the "
        f"best tenth of the judged states is worth ({good:.2g} by the learned reward; at best it "
        f"has {np.median(highest):.2g}): it may have stopped on the way to the goal; another "
        "--seed or more --steps may help"
    ]


def _groups(worth: Floats, late: Floats, untrained: float) -> list[str]:
    """Whether some episodes do badly and others well, on the whole or in what they come to."""
    badly, values, what = doing_badly(worth, untrained), worth, "on average"
    if badly.mean() < GROUP and len(late):
        badly, values, what = apart(late), late, "in their last part"
    if badly.mean() < GROUP:
        return []
    return [
        f"{badly.sum()} of {len(worth)} evaluation episodes do badly by the learned reward "
        f"({values[badly].mean():.2g} a step {what}, the others {values[~badly].mean():.2g}):"
        " from some starts the policy fails; more --steps or another --seed may help"
    ]


def apart(values: Floats) -> npt.NDArray[np.bool_]:
    """Which of the values lie below the others, apart from them: at most half, below a gap that is
    `APART` and `TIMES` as wide as either side deviates. None where there is no such gap."""
    order = np.sort(values)
    for place in np.argsort(-np.diff(order[: len(order) // 2 + 1])).tolist()[:1]:
        below, above = order[: place + 1], order[place + 1 :]
        gap = above[0] - below[-1]
        if gap > APART and gap > TIMES * max(below.std(), above.std()):
            return values <= below[-1]
    return np.zeros(len(values), np.bool_)


def measures_of(truth: str | None) -> Mapping[str, Measure]:
    """What is measured of a goal of which something is true."""
    return TRUTHS[truth].measures if truth else {}


def evaluate(
    policy: Acts,
    reward: Scores,
    environment: EnvironmentSection,
    count: int = EPISODES,
    measures: Mapping[str, Measure] | None = None,
    seconds: float = math.inf,
    tick: Callable[[int], None] = lambda _: None,
) -> Evaluation:
    """The first episode of environments seeded one after the other, in rounds side by side.

    Nothing is kept but sums, and, for measures, what is observed in vectors.

    Args:
        policy: Who acts.
        reward: What the learned return is the sum of.
        environment: Where.
        count: How many episodes.
        measures: What else is measured, by names.
        seconds: After which no new round is begun, and episodes of the first are cut; counted from
            where the environments are made.
        tick: Is called after each step with how many episodes have ended.
    """
    measures, begin = measures or {}, time.perf_counter()
    with closing(Rollout(environment, 1)) as one:
        rows, longest = abreast(one.observation_space.shape), one.episode_limit or CUT_AFTER
    in_time = MAKING * seconds / (time.perf_counter() - begin)
    rows = int(min(rows, max(FEWEST, in_time)))
    rounds: list[Round] = []
    late = False
    with closing(Rollout(environment, rows)) as rollout:
        end = time.perf_counter() + seconds
        for first in range(0, count, rows):

            def going(acted: Round, before: int = first) -> bool:
                tick(min(count, before + int((~acted.running).sum())))
                return time.perf_counter() < end

            moments = episodes(rollout, policy, FIRST_SEED + first)
            acted = Round.of(moments, rows, reward, bool(measures), going)
            late = time.perf_counter() >= end
            # Episodes that are cut say less than none, where there are others.
            if not (late and rounds and acted.running.any()):
                rounds.append(acted)
            if late:
                break
    return _evaluation(rounds, measures, count, longest, late)


def _evaluation(
    rounds: Sequence[Round],
    measures: Mapping[str, Measure],
    count: int,
    longest: int,
    hurried: bool,
) -> Evaluation:
    """Of all rounds together, without what is too much in the last."""

    def joined(parts: Iterable[npt.NDArray[Any]]) -> list[Any]:
        values: list[Any] = np.concatenate([*parts])[:count].tolist()
        return values

    true_returns = joined(part.true_returns for part in rounds)
    measured = {
        name: tuple(
            part.measured(measure, episode)
            for part in rounds
            for episode in range(len(part.lengths))
        )[:count]
        for name, measure in measures.items()
    }
    return Evaluation(
        tuple(true_returns),
        tuple(joined(part.learned_returns for part in rounds)),
        measured,
        tuple(joined(part.worth(longest) for part in rounds)),
        tuple(joined(part.lengths for part in rounds)),
        tuple(joined(part.highest for part in rounds)),
        tuple(joined(part.late for part in rounds)),
        cut=sum(joined(part.running for part in rounds)),
        left_out=count - len(true_returns),
        hurried=hurried,
    )

"""What a run tells and measures: where it is, each session of learning, and what came of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Self

from volition.reward.learning import StageFit, VetoFit
from volition.reward.principles import Alarm, Heed
from volition.run.gaming.record import GamingAlarm

STAGES = ("judgments", "reward model", "policy", "evaluation", "report")


@dataclass(frozen=True, slots=True)
class Progress:
    """Where a run is. None: not known yet.

    Attributes:
        stage: One of `STAGES`; the first is that of a live judge, the last is done by who shows it.
        env_steps, total_steps: Environment steps taken, and in all.
        updates_per_s: Gradient steps a second of the session just ended.
        judgments: How many judgments are used.
        comparisons: How many are to be judged live, in all.
        cost_usd: US dollars that live judging did cost so far.
        heldout_accuracy: Of the reward model, on comparisons that it did not see.
        learned_return: Mean over the episodes of the session just ended.
        true_return: Likewise by the environment's own reward; for evaluation only.
        episodes, total_episodes: Of the evaluation, that have ended, and in all.
        told: What a person should know of this stage; empty where there is nothing.
        waiting_for: Which judge does not answer, why, and how long it is waited for yet; empty
            where all answer.
        alarms: Why what the policy does may not be what is wanted, as of `GamingAlarm`.
        evidence: That it is not, as a decimal logarithm: 0 is none, and from about 1.7 on it is
            raised. None where nothing is checked.
    """

    stage: str
    env_steps: int = 0
    total_steps: int = 0
    updates_per_s: float | None = None
    judgments: int = 0
    comparisons: int = 0
    cost_usd: float | None = None
    heldout_accuracy: float | None = None
    learned_return: float | None = None
    true_return: float | None = None
    episodes: int = 0
    total_episodes: int = 0
    waiting_for: str = ""
    told: str = ""
    alarms: tuple[str, ...] = ()
    evidence: float | None = None


Listener = Callable[[Progress], None]


@dataclass(frozen=True, slots=True)
class Session:
    """What one session of learning measured.

    Attributes:
        env_steps: Environment steps taken by its end, in all.
        updates_per_s: Gradient steps a second.
        learned_return: Mean over the episodes that ended in it; NaN where none did.
        true_return: Likewise by the environment's own reward; for evaluation only.
        trial_reward: Learned reward of a step, on average, of the policy at its end, acting without
            exploring; None where it was not tried.
        trial_worst: Of the episode in which it is lowest.
        untrained_reward: Likewise the mean of a policy that has learned nothing.
        judgments: How many were used by its end, where a live judge was asked meanwhile.
        metrics: The learner's own, the last of the session.
        uncorrected_reward: Likewise the mean of the policy that the run had before it was corrected
            last, by the reward model with which learning went on then.
        gaming_evidence, gaming_alarms: As of `Progress`, by its end; of alarms the number.
    """

    env_steps: int
    updates_per_s: float
    learned_return: float
    true_return: float
    trial_reward: float | None = None
    trial_worst: float | None = None
    untrained_reward: float | None = None
    judgments: int | None = None
    metrics: Mapping[str, float] = field(default_factory=dict)
    uncorrected_reward: float | None = None
    gaming_evidence: float | None = None
    gaming_alarms: int | None = None

    @property
    def scalars(self) -> dict[str, float]:
        """All of it by name, as curves show it and a checkpoint keeps it."""
        named = asdict(self)
        metrics = named.pop("metrics")
        return {**metrics, **{name: value for name, value in named.items() if value is not None}}

    @classmethod
    def of(cls, scalars: Mapping[str, float]) -> Self:
        """The session of which these are the `scalars`."""
        own = [name for name in cls.__dataclass_fields__ if name != "metrics"]
        metrics = {name: value for name, value in scalars.items() if name not in own}
        named: dict[str, Any] = {name: scalars[name] for name in own if name in scalars}
        return cls(**named, metrics=metrics)


@dataclass(frozen=True, slots=True)
class Result:
    """What came of a run, as in `result.json`.

    Attributes:
        run: Its folder.
        task: The task's name.
        judge: Who judged.
        simulated: Whether any judge is an error model in place of a judge.
        judgments: How many were used.
        cost_usd: What judging did cost, in US dollars.
        return_mean, return_std: Of the evaluation's episodes by the environment's own reward, which
            nothing learned from.
        measures: Means over the episodes of what is measured of the task.
        episodes: How many.
        heldout_accuracy: Of the reward model, on comparisons that it did not see.
        principles, vetoes, alarms, stages: As of `RewardFit`.
        gaming: What was raised while it learned, because the policy seemed to exploit an error of
            the reward model, or the judge was not what it had been.
        stages_done: How many stages of the goal were done in an episode on average, by what was
            learned; None where it has none.
        env_steps: Environment steps taken.
        updates_per_s: Gradient steps a second, the median over the sessions.
        wall_s: Seconds that this process took.
        seed: Of everything random.
        kept_steps: Environment steps after which the policy was the best that was seen, which is
            the one that was kept; None of runs before 0.2.
        warnings: What a person should know before believing it.
        ended: Why learning ended when it did; empty of runs before 0.2.
        asked: How many questions a live judge was asked, and why no more.
        version: 1, and one more with each correction in words.
    """

    run: str
    task: str
    judge: str
    simulated: bool
    judgments: int
    cost_usd: float
    return_mean: float
    return_std: float
    episodes: int
    heldout_accuracy: float | None
    env_steps: int
    updates_per_s: float
    wall_s: float
    seed: int
    kept_steps: int | None = None
    measures: dict[str, float] = field(default_factory=dict)
    principles: tuple[Heed, ...] = ()
    vetoes: tuple[VetoFit, ...] = ()
    stages: tuple[StageFit, ...] = ()
    stages_done: float | None = None
    alarms: tuple[Alarm, ...] = ()
    gaming: tuple[GamingAlarm, ...] = ()
    warnings: tuple[str, ...] = ()
    ended: str = ""
    asked: str = ""
    version: int = 1

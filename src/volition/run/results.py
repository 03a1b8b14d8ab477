"""What a run measures, as typed values: each learning session, and the result of the whole."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Self

from volition.reward.learning import VetoFit
from volition.reward.principles import Alarm, Heed


@dataclass(frozen=True, slots=True)
class Session:
    """What one session of learning measured.

    Attributes:
        env_steps: Environment steps taken by its end, in all.
        updates_per_s: Gradient steps a second.
        learned_return: Mean over the episodes that ended in it; NaN where none did.
        true_return: Likewise by the environment's own reward; for evaluation only.
        judgments: How many were used by its end, where a live judge was asked meanwhile.
        metrics: The learner's own, the last of the session.
    """

    env_steps: int
    updates_per_s: float
    learned_return: float
    true_return: float
    judgments: int | None = None
    metrics: Mapping[str, float] = field(default_factory=dict)

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
        principles, vetoes, alarms: As of `RewardFit`.
        env_steps: Environment steps taken.
        updates_per_s: Gradient steps a second, the median over the sessions.
        wall_s: Seconds that this process took.
        seed: Of everything random.
        warnings: What a person should know before believing it.
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
    measures: dict[str, float] = field(default_factory=dict)
    principles: tuple[Heed, ...] = ()
    vetoes: tuple[VetoFit, ...] = ()
    alarms: tuple[Alarm, ...] = ()
    warnings: tuple[str, ...] = ()

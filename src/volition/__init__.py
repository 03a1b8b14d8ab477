"""Train agents to do what people mean: judgments in, behaviour out."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from volition.comparison import Comparison
    from volition.errors import VolitionError
    from volition.evidence.comparing.contest import compare
    from volition.goal import Goal
    from volition.judges.base import Judge
    from volition.judges.settings import JudgeSettings
    from volition.judging.pairs import judge_pairs
    from volition.judgment import Judgment
    from volition.learners.learned_reward import LearnedReward
    from volition.reward.model import RewardModel
    from volition.run.results import Progress, Result
    from volition.run.run import Run, train
    from volition.tasks.task import Task

__version__ = "0.2.0.dev0"
__all__ = [
    "Comparison",
    "Goal",
    "Judge",
    "JudgeSettings",
    "Judgment",
    "LearnedReward",
    "Progress",
    "Result",
    "RewardModel",
    "Run",
    "Task",
    "VolitionError",
    "compare",
    "judge_pairs",
    "train",
]

_HOMES = {
    "Comparison": "volition.comparison",
    "Goal": "volition.goal",
    "Judge": "volition.judges.base",
    "JudgeSettings": "volition.judges.settings",
    "Judgment": "volition.judgment",
    "LearnedReward": "volition.learners.learned_reward",
    "Progress": "volition.run.results",
    "Result": "volition.run.results",
    "RewardModel": "volition.reward.model",
    "Run": "volition.run.run",
    "Task": "volition.tasks.task",
    "VolitionError": "volition.errors",
    "compare": "volition.evidence.comparing.contest",
    "judge_pairs": "volition.judging.pairs",
    "train": "volition.run.run",
}


def __getattr__(name: str) -> Any:
    """Imports a public name when it is first used: JAX takes seconds, and `--help` needs none."""
    if name not in _HOMES:
        raise AttributeError(f"module 'volition' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return [*__all__, "__version__"]

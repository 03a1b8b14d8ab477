"""What a run tells of itself while it works."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Progress:
    """Where a run is. None: not known yet.

    Attributes:
        stage: In a word or two: judgments, reward model, policy, evaluation, report.
        env_steps, total_steps: Environment steps taken, and in all.
        updates_per_s: Gradient steps a second of the session just ended.
        judgments: How many judgments are used.
        comparisons: How many are to be judged live, in all.
        cost_usd: US dollars that live judging did cost so far.
        heldout_accuracy: Of the reward model, on comparisons that it did not see.
        learned_return: Mean over the episodes of the session just ended.
        true_return: Likewise by the environment's own reward; for evaluation only.
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


Listener = Callable[[Progress], None]

"""What judging will take, before anything is asked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from volition.comparison import Comparison
from volition.judges.base import Judge, Question
from volition.judging.limits import Limits
from volition.judgment import Order

# Assumed: usual for small models of large providers.
LATENCY_S = 1.5  # of a request
TOKENS_PER_S = 80.0  # of what comes out


@dataclass(frozen=True, slots=True)
class Prediction:
    """What judging will use, at most.

    Attributes:
        cost_usd: None where the price is not known.
        minutes: By `LATENCY_S` and `TOKENS_PER_S`, which are assumed.
    """

    judgments: int
    requests: int
    prompt_tokens: int
    completion_tokens: int
    cost_usd: float | None
    minutes: float


def predict(judge: Judge, comparisons: Sequence[Comparison], limits: Limits) -> Prediction:
    """What it will take to put these comparisons to a judge once. Asks nothing."""
    allowed = comparisons[: limits.max_judgments]
    size = judge.per_request
    estimates = [
        judge.estimate([Question(c, Order.FORWARD) for c in allowed[start : start + size]])
        for start in range(0, len(allowed), size)
    ]
    costs = [estimate.cost_usd for estimate in estimates]
    completion_tokens = sum(estimate.completion_tokens for estimate in estimates)
    seconds = len(estimates) * LATENCY_S + completion_tokens / TOKENS_PER_S
    return Prediction(
        judgments=len(allowed),
        requests=len(estimates),
        prompt_tokens=sum(estimate.prompt_tokens for estimate in estimates),
        completion_tokens=completion_tokens,
        cost_usd=sum(cost for cost in costs if cost is not None) if None not in costs else None,
        minutes=seconds / max(1, min(limits.concurrency, len(estimates))) / 60,
    )

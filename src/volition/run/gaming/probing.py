"""Questions whose answers are known, made of what the judge has answered surely: a few of those
that `volition certify` puts."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from volition.certifying.putting.gold import Gold, one_of_each
from volition.comparison import Comparison
from volition.judgment import Verdict, undo_order
from volition.reward.model import RewardModel, opinions
from volition.storage.store import Store

SUREST = 3  # pairs, of each of which one probe is made


def known_answers(
    store: Store, model: RewardModel, judge_id: str, goal_pictures: Sequence[Path]
) -> list[Gold]:
    """Of the pairs that reward model and judge decide alike, those of which the model is surest."""
    comparisons = store.comparisons()
    sure: list[tuple[float, Comparison, bool]] = []
    for judgment in store.judgments():
        if judgment.judge_id != judge_id or not isinstance(judgment.outcome, Verdict):
            continue
        comparison = comparisons[judgment.comparison_id]
        p_first = undo_order(judgment.outcome, judgment.order)
        first, second = (
            float(opinions(model, seen[None])[0].mean()) for seen in comparison.observations
        )
        if (first - second) * (p_first - 0.5) > 0:
            sure.append((abs(first - second), comparison, p_first > 0.5))
    sure.sort(key=lambda one: -one[0])
    surest = [(comparison, first_better) for _, comparison, first_better in sure[:SUREST]]
    return one_of_each(surest, goal_pictures)
